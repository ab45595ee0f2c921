resource "aws_dynamodb_table" "xthingx" {
  name         = "xthingx"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "id"

  attribute {
    name = "id"
    type = "S"
  }
}

resource "aws_s3_bucket" "xthingx" {
  bucket = "targ-xthingx-exports-production"
}
