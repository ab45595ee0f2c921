module "daily" {
  source = "../modules/export"
  name   = "partners"
}

module "archive" {
  source = "../modules/export"
  name   = "partners-archive"
}
