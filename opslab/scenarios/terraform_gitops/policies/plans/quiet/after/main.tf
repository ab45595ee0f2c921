resource "aws_s3_bucket" "xthingx_left" {
  bucket = "targ-xthingx-left-production"

  tags = {
    Name = "left"
  }
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
    Name = "replaced"
  }
}

resource "aws_s3_bucket_versioning" "xthingx_kind" {
  bucket = aws_s3_bucket.xthingx_left.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_cloudwatch_log_group" "xthingx_new" {
  name              = "/targ/xthingx/new"
  retention_in_days = 90

  tags = {
    Name   = "new"
    OnCall = "night-oncall"
  }
}

data "aws_dynamodb_table" "xthingx_data" {
  name       = aws_dynamodb_table.xthingx_replaced.name
  depends_on = [aws_dynamodb_table.xthingx_replaced]
}

module "xthingx" {
  source = "./modules/outer"
}
