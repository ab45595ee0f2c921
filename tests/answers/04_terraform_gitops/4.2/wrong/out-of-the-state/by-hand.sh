state="--bucket targ-terraform-state --key infrastructure/staging.tfstate --profile state-keeper"
version=$(aws s3api list-object-versions --bucket targ-terraform-state --prefix infrastructure/staging.tfstate --profile state-keeper \
    --query "Versions[?Key=='infrastructure/staging.tfstate'] | [-1].VersionId" --output text)
aws s3api get-object $state --version-id "$version" old.tfstate
aws s3api put-object $state --body old.tfstate
