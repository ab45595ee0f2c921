terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.0"
    }
  }
}

provider "aws" {
  region              = "eu-west-1"
  allowed_account_ids = ["444455556666"]

  assume_role {
    role_arn = "arn:aws:iam::444455556666:role/deployer"
  }

  default_tags {
    tags = {
      Owner  = "xteamx"
      OnCall = "xteamx-oncall"
    }
  }
}
