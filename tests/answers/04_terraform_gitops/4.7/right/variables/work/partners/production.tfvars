environment   = "production"
account       = "444455556666"
log_days      = 90
keep_versions = true
recovery      = true
