resource "aws_s3_bucket" "xthingx_good" {
  bucket = "targ-xthingx-good-production"

  tags = {
    Name = "good"
  }
}

resource "aws_cloudwatch_log_group" "xthingx_nameless" {
  name              = "/targ/xthingx/nameless"
  retention_in_days = 90
}

resource "aws_dynamodb_table" "xthingx_overridden" {
  name         = "xthingx-overridden"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "id"

  attribute {
    name = "id"
    type = "S"
  }

  tags = {
    Name   = "overridden"
    OnCall = ""
  }
}
