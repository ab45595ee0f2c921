resource "aws_s3_bucket" "xthingx" {
  bucket        = "targ-xthingx-incoming-production"
  force_destroy = true
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
