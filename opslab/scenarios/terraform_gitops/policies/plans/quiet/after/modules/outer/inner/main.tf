resource "aws_cloudwatch_log_group" "this" {
  name = "/targ/xthingx/inner"

  tags = {
    Name = "inner"
  }
}
