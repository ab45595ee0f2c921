terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.0"
    }
  }

  backend "s3" {
    encrypt = true
  }
}

variable "role" {
  default = "viewer"
}

variable "this" {
  description = "The environment"
  type = object({
    name            = string
    account         = string
    log_days        = optional(number, 14)
    like_production = optional(bool, false)
  })

  validation {
    condition     = can(regex("^[a-z]+$", var.this.name))
    error_message = "The name of an environment, such as staging."
  }
}

locals {
  bucket = "targ-partner-feeds-${var.this.name}"
  table  = "partner-arrivals-${var.this.name}"
  log    = "/targ/partner-checker-${var.this.name}"
}

provider "aws" {
  region              = "eu-west-1"
  allowed_account_ids = [var.this.account]

  default_tags {
    tags = {
      Owner  = "partners"
      OnCall = "partners-oncall"
    }
  }

  assume_role {
    role_arn = format("arn:aws:iam::%s:role/%s", var.this.account, var.role)
  }
}
