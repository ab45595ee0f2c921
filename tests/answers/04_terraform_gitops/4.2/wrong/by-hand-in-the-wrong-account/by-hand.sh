{{staging_administrator}} aws s3api create-bucket --bucket targ-{{thing}}-raw-production \
    --create-bucket-configuration LocationConstraint=eu-west-1
