resource "aws_ssm_parameter" "owner" {
  name  = "/targ/xthingx/owner"
  type  = "String"
  value = "xteamx"
}
