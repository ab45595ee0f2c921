variable "environment" {
  type = string
}

variable "log_days" {
  type = number
}

variable "keep_versions" {
  type = bool
}

variable "recovery" {
  type = bool
}
