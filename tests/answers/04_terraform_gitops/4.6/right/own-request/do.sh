state=s3://targ-terraform-state
export AWS_PROFILE=state-keeper
aws s3 rm --quiet $state/exports/{{locked}}.tfstate.tflock
version=$(aws s3api list-object-versions --bucket targ-terraform-state --prefix exports/{{gone}}.tfstate \
    --query 'sort_by(Versions, &LastModified)[-1].VersionId' --output text)
aws s3api get-object --bucket targ-terraform-state --key exports/{{gone}}.tfstate --version-id "$version" newest.json > /dev/null
aws s3 cp --quiet newest.json $state/exports/{{gone}}.tfstate
unset AWS_PROFILE

git clone -q forge:platform/exports work/exports
cd work/exports
git switch -qc finish-{{more}}
git merge -q --ff-only origin/{{half}}-{{more}}
printf 'import {\n  to = module.{{more}}.aws_s3_bucket.this\n  id = "targ-export-{{half}}-{{more}}"\n}\n' > {{half}}/imports.tf
git add .
git commit -qm "Import the bucket that was made before the apply was cut off"
git push -q -o merge_request.create -o merge_request.title="Finish the export of the {{more}}" \
    -o merge_request.description="What is in !1, and an import of the bucket that its apply has left behind." -u origin finish-{{more}}
opslab mr work
opslab mr close 1
opslab mr comment 2 "atlantis apply"
opslab mr show 2 | tail -n 60
