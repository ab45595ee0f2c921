# As if it had been merged so, only quicker: the administrator of production does it.
export {{production_administrator}}
aws s3api delete-bucket-tagging --bucket targ-depot-messages-archive
