include "root" {
  path = find_in_parent_folders("root.hcl")
}

terraform {
  source = "../../partners"
}

inputs = {
  account       = "444455556666"
  log_days      = 90
  keep_versions = true
  recovery      = true
}
