# Where partners put their files.

resource "aws_s3_bucket" "feeds" {
  bucket = "targ-partner-feeds-staging"

  tags = {
    Name   = "targ-partner-feeds-staging"
    Owner  = "partners"
    OnCall = "{{staging_bucket}}"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "feeds" {
  bucket = aws_s3_bucket.feeds.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "aws:kms"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "feeds" {
  bucket                  = aws_s3_bucket.feeds.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}
