resource "aws_cloudwatch_log_group" "feed" {
  for_each          = toset(["xfirstx", "xsecondx", "xthirdx"])
  name              = "/targ/xthingx/${each.key}"
  retention_in_days = 180
}

resource "aws_s3_bucket" "feed" {
  for_each = aws_cloudwatch_log_group.feed
  bucket   = "targ-xthingx-${each.key}-production"
}
