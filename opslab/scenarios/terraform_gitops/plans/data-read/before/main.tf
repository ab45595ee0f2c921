resource "aws_cloudwatch_log_group" "xthingx" {
  name              = "/targ/xthingx"
  retention_in_days = 90
}
