cd work/reports/production
terraform init -input=false > /dev/null
AWS_PROFILE=state-keeper terraform state rm aws_cloudwatch_log_group.render
