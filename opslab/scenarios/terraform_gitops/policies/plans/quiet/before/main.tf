resource "aws_s3_bucket" "xthingx_left" {
  bucket = "targ-xthingx-left-production"

  tags = {
    Name = "left"
  }
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
    Name = "replaced"
  }
}

resource "aws_ssm_parameter" "xthingx_deleted" {
  name  = "/targ/xthingx/deleted"
  type  = "String"
  value = "7"
}
