environment     = "staging"
account         = "111122223333"
log_days        = 14
like_production = false
