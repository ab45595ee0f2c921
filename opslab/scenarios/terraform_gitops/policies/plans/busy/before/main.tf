resource "aws_s3_bucket" "xthingx_left" {
  bucket = "targ-xthingx-left-production"
}

resource "aws_dynamodb_table" "xthingx_replaced" {
  name         = "xthingx-replaced"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "id"

  attribute {
    name = "id"
    type = "S"
  }

  tags = {
    Name  = "xthingx"
    Owner = "xteamx"
  }
}

resource "aws_ssm_parameter" "xthingx_deleted" {
  name  = "/targ/xthingx/deleted"
  type  = "String"
  value = "7"
}

resource "aws_cloudwatch_log_group" "xthingx_changed" {
  name              = "/targ/xthingx/changed"
  retention_in_days = 30

  tags = {
    Name   = "a"
    OnCall = "xteamx-oncall"
  }
}

resource "aws_ssm_parameter" "xthingx_hollow" {
  name  = "/targ/xthingx/hollow"
  type  = "String"
  value = "7"

  tags = {
    Name   = "hollow"
    Owner  = ""
    OnCall = "xteamx-oncall"
  }
}
