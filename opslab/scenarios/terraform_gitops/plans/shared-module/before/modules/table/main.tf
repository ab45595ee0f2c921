variable "environment" {
  type = string
}

resource "aws_dynamodb_table" "this" {
  name         = "xthingx-${var.environment}"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "user_id"

  attribute {
    name = "user_id"
    type = "S"
  }
}

resource "aws_ssm_parameter" "table" {
  name  = "/targ/xthingx/table"
  type  = "String"
  value = aws_dynamodb_table.this.arn
}
