resource "aws_cloudwatch_log_group" "xthingx" {
  name              = "/targ/xthingx"
  retention_in_days = 90
}

# Somebody made it in the console, in spring.

import {
  to = aws_s3_bucket.xthingx
  id = "targ-xthingx-exports-production"
}

resource "aws_s3_bucket" "xthingx" {
  bucket = "targ-xthingx-exports-production"

  tags = {
    Owner  = "xteamx"
    OnCall = "xteamx-oncall"
  }
}

resource "aws_s3_bucket_public_access_block" "xthingx" {
  bucket                  = aws_s3_bucket.xthingx.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}
