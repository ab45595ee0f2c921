resource "aws_ssm_parameter" "batch_size" {
  for_each = {
    feeds    = "50"
    listings = "200"
    messages = "100"
    orders   = "500"
  }
  name  = "/depot/${each.key}/batch-size"
  type  = "String"
  value = each.value
}

resource "aws_ssm_parameter" "feeds_schedule" {
  name  = "/depot/feeds/schedule"
  type  = "String"
  value = "0 4 * * *"
}

resource "aws_ssm_parameter" "search_language" {
  name  = "/depot/search/language"
  type  = "String"
  value = "pl"
}
