# Said once, for every folder below.

remote_state {
  backend = "s3"

  config = {
    bucket       = "targ-terraform-state"
    key          = "partners/${path_relative_to_include()}.tfstate"
    region       = "eu-west-1"
    use_lockfile = true
  }
}

inputs = {
  environment = path_relative_to_include()
}
