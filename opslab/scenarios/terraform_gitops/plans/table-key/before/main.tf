resource "aws_dynamodb_table" "xthingx" {
  name         = "xthingx"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "order_id"

  attribute {
    name = "order_id"
    type = "S"
  }

  tags = {
    Owner = "xteamx"
  }
}

resource "aws_ssm_parameter" "xthingx_table" {
  name  = "/targ/xthingx/table"
  type  = "String"
  value = aws_dynamodb_table.xthingx.name
}
