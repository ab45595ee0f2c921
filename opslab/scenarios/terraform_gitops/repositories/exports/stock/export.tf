module "daily" {
  source = "../modules/export"
  name   = "stock"
}

module "archive" {
  source = "../modules/export"
  name   = "stock-archive"
}
