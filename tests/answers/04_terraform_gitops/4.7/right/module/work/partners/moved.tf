moved {
  from = aws_s3_bucket.feeds
  to   = module.partners.aws_s3_bucket.feeds
}

moved {
  from = aws_s3_bucket_server_side_encryption_configuration.feeds
  to   = module.partners.aws_s3_bucket_server_side_encryption_configuration.feeds
}

moved {
  from = aws_s3_bucket_public_access_block.feeds
  to   = module.partners.aws_s3_bucket_public_access_block.feeds
}

moved {
  from = aws_dynamodb_table.arrivals
  to   = module.partners.aws_dynamodb_table.arrivals
}

moved {
  from = aws_cloudwatch_log_group.checker
  to   = module.partners.aws_cloudwatch_log_group.checker
}

moved {
  from = aws_ssm_parameter.deadline
  to   = module.partners.aws_ssm_parameter.deadline
}

moved {
  from = aws_s3_bucket_versioning.feeds
  to   = module.partners.aws_s3_bucket_versioning.feeds[0]
}
