module "daily" {
  source = "../modules/export"
  name   = "prices"
}

module "archive" {
  source = "../modules/export"
  name   = "prices-archive"
}
