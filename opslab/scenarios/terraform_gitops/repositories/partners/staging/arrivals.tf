# What has arrived, and by when it should have.

resource "aws_dynamodb_table" "arrivals" {
  name         = "partner-arrivals-staging"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "partner"
  range_key    = "day"

  attribute {
    name = "partner"
    type = "S"
  }

  attribute {
    name = "day"
    type = "S"
  }

  point_in_time_recovery {
    enabled = false
  }

  tags = {
    Name   = "partner-arrivals-staging"
    Owner  = "partners"
    OnCall = "{{staging_table}}"
  }
}

resource "aws_cloudwatch_log_group" "checker" {
  name              = "/targ/partner-checker-staging"
  retention_in_days = 14

  tags = {
    Name   = "/targ/partner-checker-staging"
    Owner  = "partners"
    OnCall = "{{staging_log}}"
  }
}

resource "aws_ssm_parameter" "deadline" {
  name  = "/targ/partners-staging/deadline"
  type  = "String"
  value = "{{staging_deadline}}"

  tags = {
    Name   = "/targ/partners-staging/deadline"
    Owner  = "partners"
    OnCall = "partners-oncall"
  }
}
