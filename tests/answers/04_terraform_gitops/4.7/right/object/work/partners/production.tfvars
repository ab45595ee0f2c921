this = {
  name            = "production"
  account         = "444455556666"
  log_days        = 90
  like_production = true
}
