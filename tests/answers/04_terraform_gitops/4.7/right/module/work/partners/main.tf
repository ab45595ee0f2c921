terraform {
  required_version = ">= 1.10"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.0"
    }
  }

  backend "s3" {
    bucket       = "targ-terraform-state"
    region       = "eu-west-1"
    use_lockfile = true
  }
}

variable "role" {
  type    = string
  default = "viewer"
}

variable "account" {
  type = string
}

variable "environment" {
  description = "staging, production, and one day rehearsal"
  type        = string
}

variable "log_days" {
  type = number
}

variable "like_production" {
  type = bool
}

provider "aws" {
  region              = "eu-west-1"
  allowed_account_ids = [var.account]

  assume_role {
    role_arn = "arn:aws:iam::${var.account}:role/${var.role}"
  }
}

module "partners" {
  source        = "./modules/partners"
  environment   = var.environment
  log_days      = var.log_days
  keep_versions = var.like_production
  recovery      = var.like_production
}
