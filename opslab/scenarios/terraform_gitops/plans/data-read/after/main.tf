resource "aws_cloudwatch_log_group" "xthingx" {
  name              = "/targ/xthingx"
  retention_in_days = 90
}

resource "aws_s3_bucket" "xthingx" {
  bucket = "targ-xthingx-reports-production"
}

data "aws_iam_policy_document" "tls_only" {
  statement {
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.xthingx.arn, "${aws_s3_bucket.xthingx.arn}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_s3_bucket_policy" "tls_only" {
  bucket = aws_s3_bucket.xthingx.id
  policy = data.aws_iam_policy_document.tls_only.json
}
