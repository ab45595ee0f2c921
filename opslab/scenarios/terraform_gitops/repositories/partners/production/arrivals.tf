# What has arrived, and by when it should have.

resource "aws_dynamodb_table" "arrivals" {
  name         = "partner-arrivals-production"
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
    enabled = true
  }

  tags = {
    Name   = "partner-arrivals-production"
    Owner  = "partners"
    OnCall = "{{production_table}}"
  }
}

resource "aws_cloudwatch_log_group" "checker" {
  name              = "/targ/partner-checker-production"
  retention_in_days = 90

  tags = {
    Name   = "/targ/partner-checker-production"
    Owner  = "partners"
    OnCall = "{{production_log}}"
  }
}

resource "aws_ssm_parameter" "deadline" {
  name  = "/targ/partners-production/deadline"
  type  = "String"
  value = "{{production_deadline}}"

  tags = {
    Name   = "/targ/partners-production/deadline"
    Owner  = "partners"
    OnCall = "partners-oncall"
  }
}
