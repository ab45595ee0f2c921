variable "thing" {
  description = "What is in it: listings, orders …"
  type        = string
}

variable "environment" {
  description = "staging or production"
  type        = string
}

variable "owner" {
  description = "The team that it belongs to"
  type        = string
}

variable "on_call" {
  description = "The rota that is called when something is wrong with it"
  type        = string
}

variable "versions" {
  description = "Whether old versions of objects are kept"
  type        = bool
  default     = false
}
