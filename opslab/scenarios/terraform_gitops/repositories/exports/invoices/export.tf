module "daily" {
  source = "../modules/export"
  name   = "invoices"
}

module "archive" {
  source = "../modules/export"
  name   = "invoices-archive"
}
