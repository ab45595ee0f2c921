staging_administrator="{{staging_administrator}}"
production_administrator="{{production_administrator}}"
for account in staging production; do
    declare -n administrator=${account}_administrator
    env $administrator aws s3api create-bucket --bucket targ-{{thing}}-raw-$account \
        --create-bucket-configuration LocationConstraint=eu-west-1
done
