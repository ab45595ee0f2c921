resource "aws_s3_bucket" "feeds" {
  bucket = local.bucket
  tags   = { Name = local.bucket }
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
  for_each = var.this.like_production ? { on = "Enabled" } : {}
  bucket   = aws_s3_bucket.feeds.id
  versioning_configuration {
    status = each.value
  }
}

moved {
  from = aws_s3_bucket_versioning.feeds
  to   = aws_s3_bucket_versioning.feeds["on"]
}

resource "aws_dynamodb_table" "arrivals" {
  name         = local.table
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "partner"
  range_key    = "day"

  dynamic "attribute" {
    for_each = ["partner", "day"]
    content {
      name = attribute.value
      type = "S"
    }
  }

  dynamic "point_in_time_recovery" {
    for_each = var.this.like_production ? [1] : []
    content {
      enabled = true
    }
  }

  tags = { Name = local.table }
}

resource "aws_cloudwatch_log_group" "checker" {
  name              = local.log
  retention_in_days = var.this.log_days
  tags              = { Name = local.log }
}

resource "aws_ssm_parameter" "deadline" {
  name  = "/targ/partners-${var.this.name}/deadline"
  type  = "String"
  value = "06:00"
  tags  = { Name = "/targ/partners-${var.this.name}/deadline" }
}
