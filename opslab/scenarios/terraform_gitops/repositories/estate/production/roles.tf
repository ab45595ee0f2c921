resource "aws_iam_role" "loader" {
  for_each             = toset(["listings", "orders"])
  name                 = "depot-${each.key}-loader"
  path                 = "/service/"
  permissions_boundary = "arn:aws:iam::444455556666:policy/targ-service-boundary"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "loader" {
  for_each = aws_iam_role.loader
  name     = "write"
  role     = each.value.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "s3:PutObject"
      Resource = "${aws_s3_bucket.exports[each.key].arn}/*"
    }]
  })
}

resource "aws_iam_role" "search_api" {
  name                 = "depot-search-api"
  path                 = "/service/"
  permissions_boundary = "arn:aws:iam::444455556666:policy/targ-service-boundary"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "search_api" {
  name = "read"
  role = aws_iam_role.search_api.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "s3:GetObject"
      Resource = "${aws_s3_bucket.search_index.arn}/*"
    }]
  })
}
