resource "aws_s3_bucket" "xthingx_old" {
  bucket = "targ-xthingx-old-production"

  tags = {
    Name   = "xthingx"
    Owner  = "xteamx"
    OnCall = "xteamx-oncall"
  }
}
