resource "aws_s3_bucket" "xthingx_good" {
  bucket = "targ-xthingx-good-production"

  tags = {
    Name = "good"
  }
}
