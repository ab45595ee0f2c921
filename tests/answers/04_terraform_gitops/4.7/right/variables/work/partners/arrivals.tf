# What has arrived, and by when it should have.

resource "aws_dynamodb_table" "arrivals" {
  name         = "partner-arrivals-${var.environment}"
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
    enabled = var.recovery
  }

  tags = {
    Name   = "partner-arrivals-${var.environment}"
    Owner  = "partners"
    OnCall = "partners-oncall"
  }
}

resource "aws_cloudwatch_log_group" "checker" {
  name              = "/targ/partner-checker-${var.environment}"
  retention_in_days = var.log_days

  tags = {
    Name   = "/targ/partner-checker-${var.environment}"
    Owner  = "partners"
    OnCall = "partners-oncall"
  }
}

resource "aws_ssm_parameter" "deadline" {
  name  = "/targ/partners-${var.environment}/deadline"
  type  = "String"
  value = "06:00"

  tags = {
    Name   = "/targ/partners-${var.environment}/deadline"
    Owner  = "partners"
    OnCall = "partners-oncall"
  }
}
