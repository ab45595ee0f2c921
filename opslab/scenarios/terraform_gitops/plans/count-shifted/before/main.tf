locals {
  partners = ["xfirstx", "xsecondx", "xthirdx"]
}

resource "aws_dynamodb_table" "feed" {
  count        = length(local.partners)
  name         = "xthingx-${local.partners[count.index]}"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "item_id"

  attribute {
    name = "item_id"
    type = "S"
  }
}
