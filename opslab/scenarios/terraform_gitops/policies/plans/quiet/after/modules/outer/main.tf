resource "aws_s3_bucket" "this" {
  bucket = "targ-xthingx-outer-production"

  tags = {
    Name = "outer"
  }
}

module "inner" {
  source = "./inner"
}
