resource "aws_dynamodb_table" "xthingx" {
  name         = "xthingx"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "id"

  attribute {
    name = "id"
    type = "S"
  }
}

resource "aws_cloudwatch_log_group" "xthingx" {
  name              = "/targ/xthingx"
  retention_in_days = 90
}

resource "aws_ssm_parameter" "xthingx" {
  name  = "/targ/xthingx/table"
  type  = "String"
  value = aws_dynamodb_table.xthingx.name
}
