variable "role" {
  description = "Who terraform is in this account: people look, Atlantis sets TF_VAR_role=deployer"
  type        = string
  default     = "viewer"
}

variable "environment" {
  type = string
}

variable "account" {
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
