# As if it had been merged so, only quicker: the administrator of production does it.
export {{production_administrator}}
aws logs tag-resource --resource-arn arn:aws:logs:eu-west-1:444455556666:log-group:/depot/messages/loader --tags OnCall={{owner_messages}}-oncall
