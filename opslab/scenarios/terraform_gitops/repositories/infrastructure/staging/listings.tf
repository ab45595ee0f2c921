module "listings" {
  source      = "../modules/bucket"
  thing       = "listings"
  environment = "staging"
  owner       = "catalogue"
  on_call     = "catalogue-oncall"
}
