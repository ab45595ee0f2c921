aws s3 rm s3://targ-terraform-state/service-roles/staging.tfstate --profile state-keeper
