# As if it had been merged so, only quicker: the administrator of production does it.
export {{production_administrator}}
for table in depot-orders-baskets depot-orders-refunds; do
    aws dynamodb tag-resource --resource-arn arn:aws:dynamodb:eu-west-1:444455556666:table/$table --tags Key=Name,Value=depot
done
