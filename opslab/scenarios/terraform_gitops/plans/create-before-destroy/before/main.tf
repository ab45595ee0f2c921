resource "aws_iam_policy" "read" {
  name = "xthingx"

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "s3:GetObject"
      Resource = "arn:aws:s3:::targ-xthingx-raw-production/*"
    }]
  })

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_iam_role" "reader" {
  name = "xthingx-reader"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "read" {
  role       = aws_iam_role.reader.name
  policy_arn = aws_iam_policy.read.arn
}
