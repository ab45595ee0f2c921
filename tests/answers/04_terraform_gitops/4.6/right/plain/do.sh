state=targ-terraform-state
git clone -q forge:platform/exports work/exports
cd work/exports
export AWS_PROFILE=state-keeper

# the lock that nobody holds any more
cd {{locked}}
terraform init -input=false > /dev/null
terraform force-unlock -force {{lock}}
cd ..

# the state that was deleted: take the delete marker away
marker=$(aws s3api list-object-versions --bucket $state --prefix exports/{{gone}}.tfstate \
    --query 'DeleteMarkers[?IsLatest].VersionId' --output text)
aws s3api delete-object --bucket $state --key exports/{{gone}}.tfstate --version-id "$marker"

# the merge request: what is there is imported
git switch -q {{half}}-{{more}}
cat >> {{half}}/{{more}}.tf <<TF

import {
  to = module.{{more}}.aws_s3_bucket.this
  id = "targ-export-{{half}}-{{more}}"
}
TF
git commit -qam "Import the bucket that was made before the apply was cut off"
git push -q
opslab mr work
opslab mr comment 1 "atlantis apply"
opslab mr show 1 | tail -n 60
