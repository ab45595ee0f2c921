environment   = "staging"
account       = "111122223333"
log_days      = 14
keep_versions = false
recovery      = false
