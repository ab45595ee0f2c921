aws s3 rm --recursive s3://targ-terraform-state/exports/ --exclude "*" --include "*.tflock"
