module "xthingx" {
  source = "./modules/service"
  name   = "xthingx"
}

moved {
  from = aws_dynamodb_table.xthingx
  to   = module.xthingx.aws_dynamodb_table.this
}

moved {
  from = aws_cloudwatch_log_group.xthingx
  to   = module.xthingx.aws_cloudwatch_log_group.this
}

moved {
  from = aws_ssm_parameter.xthingx
  to   = module.xthingx.aws_ssm_parameter.this
}
