variable "name" {
  type = string
}

resource "aws_dynamodb_table" "this" {
  name         = var.name
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "id"

  attribute {
    name = "id"
    type = "S"
  }
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/targ/${var.name}"
  retention_in_days = 180
}

resource "aws_ssm_parameter" "this" {
  name  = "/targ/${var.name}/table"
  type  = "String"
  value = aws_dynamodb_table.this.name
}
