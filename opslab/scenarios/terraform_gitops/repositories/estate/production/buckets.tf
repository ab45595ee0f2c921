resource "aws_s3_bucket" "exports" {
  for_each = toset(["listings", "orders", "payouts"])
  bucket   = "targ-depot-${each.key}-exports"
}

resource "aws_s3_bucket_public_access_block" "exports" {
  for_each                = aws_s3_bucket.exports
  bucket                  = each.value.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket" "messages_archive" {
  bucket = "targ-depot-messages-archive"

  # The cost report used to write tags here. It is gone, as far as we know.
  lifecycle {
    ignore_changes = [tags]
  }
}

resource "aws_s3_bucket" "search_index" {
  bucket = "targ-depot-search-index"

  tags = {
    Name   = "search index"
    Owner  = ""
    OnCall = ""
  }
}
