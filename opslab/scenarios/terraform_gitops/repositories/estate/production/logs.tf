resource "aws_cloudwatch_log_group" "loader" {
  for_each          = toset(["feeds", "listings", "messages", "orders", "payouts", "search"])
  name              = "/depot/${each.key}/loader"
  retention_in_days = 90
}

resource "aws_cloudwatch_log_group" "search_api" {
  name              = "/depot/search/api"
  retention_in_days = 30
}

resource "aws_cloudwatch_log_group" "payouts_api" {
  name              = "/depot/payouts/api"
  retention_in_days = 400
  tags              = merge({ Name = "the API of payouts" }, local.legacy)
}

resource "aws_cloudwatch_log_stream" "payouts_api" {
  name           = "main"
  log_group_name = aws_cloudwatch_log_group.payouts_api.name
}

resource "aws_cloudwatch_log_metric_filter" "payouts_errors" {
  name           = "depot-payouts-errors"
  log_group_name = aws_cloudwatch_log_group.payouts_api.name
  pattern        = "ERROR"

  metric_transformation {
    name      = "depot-payouts-errors"
    namespace = "Targ"
    value     = "1"
  }
}
