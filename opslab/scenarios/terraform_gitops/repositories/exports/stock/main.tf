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
    key          = "exports/stock.tfstate"
    region       = "eu-west-1"
    use_lockfile = true
  }
}

variable "role" {
  description = "Who terraform is in this account: people look, Atlantis sets TF_VAR_role=deployer"
  type        = string
  default     = "viewer"
}

provider "aws" {
  region              = "eu-west-1"
  allowed_account_ids = ["444455556666"]

  assume_role {
    role_arn = "arn:aws:iam::444455556666:role/${var.role}"
  }
}
