git clone -q forge:platform/service-roles work/service-roles
cd work/service-roles
git switch -qc {{job}}
cat > staging/{{job}}.tf <<'TF'
locals {
  job = "{{job}}"
  own = {
    source    = "arn:aws:s3:::{{job_source}}"
    target    = "arn:aws:s3:::{{job_target}}"
    table     = "arn:aws:dynamodb:eu-west-1:${data.aws_caller_identity.here.account_id}:table/{{job_table}}"
    parameter = "arn:aws:ssm:eu-west-1:${data.aws_caller_identity.here.account_id}:parameter{{job_parameter}}"
  }
}

data "aws_caller_identity" "here" {}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["{{job_service}}"]
    }
  }
}

data "aws_iam_policy_document" "job" {
  statement {
    actions   = ["s3:ListBucket"]
    resources = [local.own.source]
    condition {
      test     = "StringEquals"
      variable = "s3:prefix"
      values   = ["{{job_input}}/"]
    }
  }
  statement {
    actions   = ["s3:GetObject"]
    resources = ["${local.own.source}/{{job_input}}/*"]
  }
  statement {
    actions   = ["s3:PutObject"]
    resources = ["${local.own.target}/{{job_output}}/*.json"]
  }
  dynamic "statement" {
    for_each = {
      (local.own.table)     = ["{{job_read_action}}", "{{job_write_action}}"]
      (local.own.parameter) = ["ssm:GetParameter"]
    }
    content {
      actions   = statement.value
      resources = [statement.key]
    }
  }
}

resource "aws_iam_role" "job" {
  name               = local.job
  description        = "Every night: what came in on a day"
  assume_role_policy = data.aws_iam_policy_document.trust.json

  tags = {
    Name   = local.job
    Owner  = "{{job_team}}"
    OnCall = "{{job_rota}}"
    Since  = "2026-11"
  }
}

resource "aws_iam_role_policy" "job" {
  role   = aws_iam_role.job.id
  policy = data.aws_iam_policy_document.job.json
}
TF
git add staging
git commit -qm "A role for {{job}}"
git push -q -o merge_request.create -o merge_request.target=main -o merge_request.title="A role for {{job}}, the new nightly job" \
    -o merge_request.description="From Monday on it runs every night in staging. The policy says what its script does, call by call." -u origin {{job}}
opslab mr work
opslab mr comment 1 "atlantis apply"
opslab mr show 1 | grep -q AccessDenied

boundary='arn:aws:iam::${data.aws_caller_identity.here.account_id}:policy/targ-service-boundary'
sed -i "s|^  description .*|&\n  path = \"/service/\"\n  permissions_boundary = \"$boundary\"|" staging/{{job}}.tf
git commit -qam "Where the deployer may make it: under /service/, inside the boundary"
git push -q
opslab mr work
opslab mr comment 1 "atlantis apply"
opslab mr show 1
