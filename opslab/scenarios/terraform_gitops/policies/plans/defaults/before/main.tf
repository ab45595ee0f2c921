resource "aws_s3_bucket" "xthingx_raw" {
  bucket = "targ-xthingx-raw-production"

  tags = {
    Name = "xthingx"
  }
}
