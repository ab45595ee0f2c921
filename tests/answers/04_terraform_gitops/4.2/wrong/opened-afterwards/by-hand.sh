{{staging_administrator}} aws s3api delete-public-access-block --bucket targ-{{thing}}-raw-staging
