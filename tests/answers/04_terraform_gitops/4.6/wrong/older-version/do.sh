state=targ-terraform-state key=exports/{{gone}}.tfstate
version=$(aws s3api list-object-versions --bucket $state --prefix $key --query 'Versions[-1].VersionId' --output text)
aws s3api copy-object --copy-source "$state/$key?versionId=$version" --bucket $state --key $key --profile state-keeper
