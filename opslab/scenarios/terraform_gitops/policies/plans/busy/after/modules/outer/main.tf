resource "aws_s3_bucket" "this" {
  bucket = "targ-xthingx-outer-production"
}

module "inner" {
  source = "./inner"
}
