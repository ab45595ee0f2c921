resource "aws_s3_bucket" "xthingx" {
  bucket = "targ-xthingx-archive-production"
}

resource "aws_s3_bucket_versioning" "xthingx" {
  bucket = aws_s3_bucket.xthingx.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_public_access_block" "xthingx" {
  bucket                  = aws_s3_bucket.xthingx.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_ssm_parameter" "owner" {
  name  = "/targ/xthingx/owner"
  type  = "String"
  value = "xteamx"
}
