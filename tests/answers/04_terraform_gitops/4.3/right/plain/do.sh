git clone -q forge:platform/service-roles work/service-roles
cd work/service-roles
git switch -qc {{job}}
cat > staging/{{job}}.tf <<'TF'
resource "aws_iam_role" "job" {
  name                 = "{{job}}"
  path                 = "/service/"
  permissions_boundary = "arn:aws:iam::{{staging}}:policy/targ-service-boundary"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "{{job_service}}" }
      Action    = "sts:AssumeRole"
    }]
  })

  tags = {
    Name   = "{{job}}"
    Owner  = "{{job_team}}"
    OnCall = "{{job_rota}}"
  }
}

resource "aws_iam_role_policy" "job" {
  name = "{{job}}"
  role = aws_iam_role.job.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect    = "Allow"
        Action    = "s3:ListBucket"
        Resource  = "arn:aws:s3:::{{job_source}}"
        Condition = { StringLike = { "s3:prefix" = ["{{job_input}}/*"] } }
      },
      { Effect = "Allow", Action = "s3:GetObject", Resource = "arn:aws:s3:::{{job_source}}/{{job_input}}/*" },
      { Effect = "Allow", Action = "s3:PutObject", Resource = "arn:aws:s3:::{{job_target}}/{{job_output}}/*" },
      {
        Effect   = "Allow"
        Action   = ["{{job_read_action}}", "{{job_write_action}}"]
        Resource = "arn:aws:dynamodb:eu-west-1:{{staging}}:table/{{job_table}}"
      },
      {
        Effect   = "Allow"
        Action   = "ssm:GetParameter"
        Resource = "arn:aws:ssm:eu-west-1:{{staging}}:parameter{{job_parameter}}"
      },
    ]
  })
}
TF
git add staging
git commit -qm "A role for {{job}}"
git push -q -o merge_request.create -o merge_request.target=main -o merge_request.title="A role for {{job}}, the new nightly job" \
    -o merge_request.description="From Monday on it runs every night in staging. The policy says what its script does, call by call." -u origin {{job}}
opslab mr work
opslab mr comment 1 "atlantis apply"
opslab mr show 1
