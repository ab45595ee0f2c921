resource "aws_s3_bucket" "xthingx" {
  bucket        = "targ-xthingx-raw-production"
  force_destroy = true
}

resource "aws_dynamodb_table" "xthingx" {
  name         = "xthingx"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "id"

  attribute {
    name = "id"
    type = "S"
  }
}

output "bucket" {
  value = aws_s3_bucket.xthingx.arn
}

output "table" {
  value = aws_dynamodb_table.xthingx.name
}
