resource "aws_s3_bucket" "xthingx_left" {
  bucket = "targ-xthingx-left-production"
}

resource "aws_dynamodb_table" "xthingx_replaced" {
  name         = "xthingx-replaced"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "user"

  attribute {
    name = "user"
    type = "S"
  }

  tags = {
    Name  = "xthingx"
    Owner = "xteamx"
  }
}

resource "aws_cloudwatch_log_group" "xthingx_changed" {
  name              = "/targ/xthingx/changed"
  retention_in_days = 60

  tags = {
    Name   = "a"
    OnCall = "xteamx-oncall"
  }
}

resource "aws_s3_bucket" "xthingx_good" {
  bucket = "targ-xthingx-good-production"

  tags = {
    Name   = "xthingx"
    Owner  = "xteamx"
    OnCall = "xteamx-oncall"
  }
}

resource "aws_s3_bucket_versioning" "xthingx_kind" {
  bucket = aws_s3_bucket.xthingx_good.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket" "xthingx_empty" {
  bucket = "targ-xthingx-empty-production"

  tags = {
    Name   = "empty"
    Owner  = ""
    OnCall = "xteamx-oncall"
  }
}

resource "aws_ssm_parameter" "xthingx_spelling" {
  name  = "/targ/xthingx/spelling"
  type  = "String"
  value = "7"

  tags = {
    name   = "xthingx"
    owner  = "xteamx"
    oncall = "xteamx-oncall"
  }
}

resource "aws_cloudwatch_log_group" "xthingx_person" {
  name              = "/targ/xthingx/person"
  retention_in_days = 90

  tags = {
    Name   = "person"
    Owner  = "xteamx"
    OnCall = "kasia"
  }
}

resource "aws_dynamodb_table" "xthingx_bare" {
  name         = "xthingx-bare"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "id"

  attribute {
    name = "id"
    type = "S"
  }
}

data "aws_dynamodb_table" "xthingx_data" {
  name       = aws_dynamodb_table.xthingx_replaced.name
  depends_on = [aws_dynamodb_table.xthingx_replaced]
}

module "xthingx" {
  source = "./modules/outer"
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
