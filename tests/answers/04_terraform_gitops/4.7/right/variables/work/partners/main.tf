terraform {
  required_version = ">= 1.10"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.0"
    }
  }

  backend "s3" {}
}

provider "aws" {
  region              = "eu-west-1"
  allowed_account_ids = [var.account]

  assume_role {
    role_arn = "arn:aws:iam::${var.account}:role/${var.role}"
  }
}
