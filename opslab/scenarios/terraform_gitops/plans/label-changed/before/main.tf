resource "aws_cloudwatch_log_group" "xthingx" {
  name              = "/targ/xthingx"
  retention_in_days = 400
}

resource "aws_cloudwatch_log_metric_filter" "errors" {
  name           = "xthingx-errors"
  log_group_name = aws_cloudwatch_log_group.xthingx.name
  pattern        = "ERROR"

  metric_transformation {
    name      = "xthingx-errors"
    namespace = "Targ"
    value     = "1"
  }
}
