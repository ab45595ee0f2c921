git clone -q forge:platform/service-roles work/service-roles
cd work/service-roles
git switch -qc {{job}}
cat > staging/{{job}}.tf <<'TF'
resource "aws_iam_role_policy" "job" {
  role   = aws_iam_role.jobs.name
  policy = jsonencode({ Version = "2012-10-17", Statement = [] })
}
TF
git add staging
git commit -qm "A role for {{job}}"
git push -q -o merge_request.create -o merge_request.target=main -o merge_request.title="A role for {{job}}, the new nightly job" \
    -o merge_request.description="From Monday on it runs every night in staging, as its script says." -u origin {{job}}
opslab mr work
