include "root" {
  path = find_in_parent_folders("root.hcl")
}

terraform {
  source = "../../partners"
}

inputs = {
  account       = "111122223333"
  log_days      = 14
  keep_versions = false
  recovery      = false
}
