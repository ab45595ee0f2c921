git clone -q forge:platform/service-roles work/service-roles
cd work/service-roles
git switch -qc {{job}}
mkdir staging/policies
cat > staging/policies/{{job}}-files.json <<'JSON'
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": "s3:ListBucket",
      "Resource": "arn:aws:s3:::{{job_source}}",
      "Condition": {"StringLike": {"s3:prefix": ["{{job_input}}/", "{{job_input}}/*"]}}
    },
    {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::{{job_source}}/{{job_input}}/*"},
    {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::{{job_target}}/{{job_output}}/*"}
  ]
}
JSON
cat > staging/{{job}}.tf <<'TF'
variable "team" {
  type    = string
  default = "{{job_team}}"
}

resource "aws_iam_role" "this" {
  name                 = "{{job}}"
  path                 = "/service/nightly/"
  permissions_boundary = "arn:aws:iam::{{staging}}:policy/targ-service-boundary"
  assume_role_policy   = <<-JSON
    {
      "Version": "2012-10-17",
      "Statement": {"Effect": "Allow", "Principal": {"Service": ["{{job_service}}"]}, "Action": ["sts:AssumeRole"]}
    }
  JSON

  tags = merge({ Name = "{{job}}" }, { Owner = var.team, OnCall = "${var.team}-oncall" })
}

resource "aws_iam_role_policy" "files" {
  name   = "files"
  role   = aws_iam_role.this.name
  policy = file("${path.module}/policies/{{job}}-files.json")
}

resource "aws_iam_role_policy" "rest" {
  name = "rest"
  role = aws_iam_role.this.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Effect = "Allow", Action = "dynamodb:*", Resource = "arn:aws:dynamodb:eu-west-1:{{staging}}:table/{{job_table}}" },
      { Effect = "Allow", Action = "ssm:GetParameter", Resource = "arn:aws:ssm:eu-west-1:{{staging}}:parameter{{job_parameter}}" },
    ]
  })
}
TF
git add staging
git commit -qm "A role for {{job}}"
git push -q -o merge_request.create -o merge_request.target=main -o merge_request.title="A role for {{job}}, the new nightly job" \
    -o merge_request.description="From Monday on it runs every night in staging. The policy says what its script does, call by call." -u origin {{job}}
opslab mr work
opslab mr show 1 | grep -q 'dynamodb:\*" in a policy'

sed -i 's/"dynamodb:\*"/["{{job_read_action}}", "{{job_write_action}}"]/' staging/{{job}}.tf
git commit -qam "The two actions that the script has"
git push -q
opslab mr work
opslab mr comment 1 "atlantis apply -p staging"
opslab mr show 1
