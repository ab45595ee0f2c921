resource "aws_s3_bucket" "feeds" {
  bucket = "targ-partner-feeds-production"
}
