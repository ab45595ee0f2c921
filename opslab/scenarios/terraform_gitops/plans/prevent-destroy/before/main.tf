resource "aws_dynamodb_table" "xthingx" {
  name         = "xthingx"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "id"

  attribute {
    name = "id"
    type = "S"
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_cloudwatch_log_group" "xthingx" {
  name              = "/targ/xthingx"
  retention_in_days = 90
}
