# Where partners put their files.

resource "aws_s3_bucket" "feeds" {
  bucket = "targ-partner-feeds-${var.environment}"

  tags = {
    Name   = "targ-partner-feeds-${var.environment}"
    Owner  = "partners"
    OnCall = "partners-oncall"
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

resource "aws_s3_bucket_versioning" "feeds" {
  count  = var.keep_versions ? 1 : 0
  bucket = aws_s3_bucket.feeds.id

  versioning_configuration {
    status = "Enabled"
  }
}
