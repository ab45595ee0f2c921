# The job that renders the reports: its image, its rights, its log, its settings.

resource "aws_ecr_repository" "render" {
  name                 = "reports/render"
  image_tag_mutability = "IMMUTABLE"

  image_scanning_configuration {
    scan_on_push = false
  }
}

resource "aws_iam_role" "render" {
  name                 = "reports-render"
  path                 = "/service/"
  permissions_boundary = "arn:aws:iam::444455556666:policy/targ-service-boundary"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect    = "Allow"
        Principal = { Service = "ecs-tasks.amazonaws.com" }
        Action    = "sts:AssumeRole"
      },
    ]
  })
}

resource "aws_iam_role_policy" "render" {
  name = "render"
  role = aws_iam_role.render.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = ["arn:aws:s3:::targ-listings-raw-production/*"]
      },
      {
        Effect   = "Allow"
        Action   = ["s3:PutObject"]
        Resource = ["${aws_s3_bucket.reports.arn}/*"]
      },
    ]
  })
}

resource "aws_cloudwatch_log_group" "render" {
  name              = "/targ/reports/render"
  retention_in_days = 30
}

resource "aws_ssm_parameter" "max_rows" {
  name        = "/reports/max-rows"
  description = "Rows of a report; what is beyond goes into the next file"
  type        = "String"
  value       = "50000"
}

resource "aws_ssm_parameter" "send_at" {
  name        = "/reports/send-at"
  description = "When the reports go out, in Warsaw"
  type        = "String"
  value       = "06:30"
}
