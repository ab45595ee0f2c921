# Where the reports lie until somebody fetches them.

resource "aws_s3_bucket" "reports" {
  bucket = "targ-reports-production"

  tags = {
    Name   = "targ-reports-production"
    Owner  = "reporting"
    OnCall = "reporting-oncall"
  }
}

resource "aws_s3_bucket_versioning" "reports" {
  bucket = aws_s3_bucket.reports.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "reports" {
  bucket = aws_s3_bucket.reports.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "aws:kms"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "reports" {
  bucket                  = aws_s3_bucket.reports.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_policy" "reports" {
  bucket = aws_s3_bucket.reports.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "PartnersFetch"
        Effect    = "Allow"
        Principal = { AWS = "arn:aws:iam::343434343434:root" }
        Action    = "s3:GetObject"
        Resource  = "${aws_s3_bucket.reports.arn}/partners/*"
      },
    ]
  })
}
