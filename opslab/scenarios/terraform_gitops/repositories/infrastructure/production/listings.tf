module "listings" {
  source      = "../modules/bucket"
  thing       = "listings"
  environment = "production"
  owner       = "catalogue"
  on_call     = "catalogue-oncall"
  versions    = true
}
