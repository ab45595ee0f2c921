{{production_administrator}} aws s3api put-bucket-encryption --bucket targ-{{thing}}-raw-production \
    --server-side-encryption-configuration '{"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}'
