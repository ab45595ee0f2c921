# A bucket as Targ wants one: private, encrypted, tagged.

resource "aws_s3_bucket" "this" {
  bucket = "targ-${var.thing}-raw-${var.environment}"

  tags = {
    Name   = "targ-${var.thing}-raw-${var.environment}"
    Owner  = var.owner
    OnCall = var.on_call
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "aws:kms"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "this" {
  count  = var.versions ? 1 : 0
  bucket = aws_s3_bucket.this.id

  versioning_configuration {
    status = "Enabled"
  }
}
