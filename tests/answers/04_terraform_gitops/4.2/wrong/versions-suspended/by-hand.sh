{{production_administrator}} aws s3api put-bucket-versioning --bucket targ-{{thing}}-raw-production \
    --versioning-configuration Status=Suspended
