module "staging" {
  source      = "./modules/table"
  environment = "staging"

  providers = {
    aws = aws.staging
  }
}

module "production" {
  source      = "./modules/table"
  environment = "production"
}
