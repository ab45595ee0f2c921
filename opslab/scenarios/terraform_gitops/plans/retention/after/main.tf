resource "aws_cloudwatch_log_group" "xthingx" {
  name              = "/targ/xthingx"
  retention_in_days = 14
}

resource "aws_cloudwatch_log_group" "xthingx_audit" {
  name              = "/targ/xthingx/audit"
  retention_in_days = 180
}
