# As if it had been merged so, only quicker: the administrator of production does it.
export {{production_administrator}}
aws s3api put-bucket-tagging --bucket targ-depot-feeds-{{partner}} \
    --tagging 'TagSet=[{Key=Name,Value=files},{Key=Owner,Value={{owner_feeds}}},{Key=OnCall,Value={{oncall_feeds}}}]'
