locals {
  tags = {
    Owner = "xteamx"
  }
}

resource "aws_cloudwatch_log_group" "partner" {
  for_each          = toset(["finch", "gull", "heron", "ibis", "jay", "kite", "lark", "magpie", "owl"])
  name              = "/targ/xthingx/${each.key}"
  retention_in_days = 180
  tags              = local.tags
}

resource "aws_dynamodb_table" "xthingx" {
  name         = "xthingx"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "id"
  tags         = local.tags

  attribute {
    name = "id"
    type = "S"
  }
}

resource "aws_s3_bucket" "xthingx" {
  bucket        = "targ-xthingx-raw-production"
  force_destroy = true
  tags          = local.tags
}
