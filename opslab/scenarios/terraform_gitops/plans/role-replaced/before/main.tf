resource "aws_iam_role" "loader" {
  name = "xthingx-loader"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "write" {
  name = "write"
  role = aws_iam_role.loader.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "s3:PutObject"
      Resource = "${aws_s3_bucket.xthingx.arn}/*"
    }]
  })
}

resource "aws_s3_bucket" "xthingx" {
  bucket = "targ-xthingx-clean-production"
}

resource "aws_s3_bucket_policy" "xthingx" {
  bucket = aws_s3_bucket.xthingx.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "s3:GetObject"
      Resource  = "${aws_s3_bucket.xthingx.arn}/*"
      Principal = { AWS = aws_iam_role.loader.arn }
    }]
  })
}

resource "aws_ssm_parameter" "role" {
  name  = "/targ/xthingx/role"
  type  = "String"
  value = aws_iam_role.loader.arn
}
