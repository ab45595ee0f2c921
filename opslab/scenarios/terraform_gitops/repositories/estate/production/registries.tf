resource "aws_ecr_repository" "loader" {
  for_each = toset(["listings", "orders"])
  name     = "depot/${each.key}-loader"
}

resource "aws_ecr_repository" "search_api" {
  name                 = "depot/search-api"
  image_tag_mutability = "IMMUTABLE"
}

resource "aws_ecr_lifecycle_policy" "search_api" {
  repository = aws_ecr_repository.search_api.name

  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "The last thirty"
      selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 30 }
      action       = { type = "expire" }
    }]
  })
}
