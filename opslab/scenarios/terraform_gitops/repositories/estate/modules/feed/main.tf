# Where a partner's files arrive, and what the loader says about them.

variable "partner" {
  description = "Who sends it"
  type        = string
}

resource "aws_s3_bucket" "this" {
  bucket = "targ-depot-feeds-${var.partner}"
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/depot/feeds/${var.partner}"
  retention_in_days = 90
}
