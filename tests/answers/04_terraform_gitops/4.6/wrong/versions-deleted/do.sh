export AWS_PROFILE=state-keeper
state=targ-terraform-state key=exports/{{gone}}.tfstate
for which in 'DeleteMarkers[0]' 'Versions[-1]'; do
    version=$(aws s3api list-object-versions --bucket $state --prefix $key --query "$which.VersionId" --output text)
    aws s3api delete-object --bucket $state --key $key --version-id "$version"
done
