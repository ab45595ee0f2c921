resource "aws_s3_bucket" "xthingx_raw" {
  bucket = "targ-xthingx-raw-production"

  tags = {
    Name = "xthingx"
  }
}

resource "aws_cloudwatch_log_group" "xthingx_loader" {
  name              = "/targ/xthingx/loader"
  retention_in_days = 90

  tags = {
    Name = "loader of xthingx"
  }
}

resource "aws_dynamodb_table" "xthingx_index" {
  name         = "xthingx-index"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "id"

  attribute {
    name = "id"
    type = "S"
  }

  tags = {
    Name = "index of xthingx"
  }
}
