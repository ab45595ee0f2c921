# A version can be copied on top, as well. And the lock is an object like any other.
state=targ-terraform-state key=exports/{{gone}}.tfstate
aws s3api delete-object --bucket $state --key exports/{{locked}}.tfstate.tflock
version=$(aws s3api list-object-versions --bucket $state --prefix $key --query 'Versions[0].VersionId' --output text)
aws s3api copy-object --copy-source "$state/$key?versionId=$version" --bucket $state --key $key --profile state-keeper
