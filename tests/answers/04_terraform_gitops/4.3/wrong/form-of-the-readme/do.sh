git clone -q forge:platform/service-roles work/service-roles
cd work/service-roles
git switch -qc {{job}}
sed -n '/^```hcl/,/^```$/p' README.md | sed -e '/```/d' -e 's/"example"/"{{job}}"/' -e 's/states.amazonaws.com/{{job_service}}/' \
    -e 's/"a team"/"{{job_team}}"/' -e 's/"a rota, .*"/"{{job_rota}}"/' -e 's/Statement = \[\]/Statement = [{ Effect = "Allow", Action = "s3:ListBucket", Resource = "arn:aws:s3:::{{job_source}}" }]/' \
    -e 's/aws_iam_role.example.name/aws_iam_role.{{job}}.name/' > staging/{{job}}.tf
git add staging
git commit -qm "A role for {{job}}"
git push -q -o merge_request.create -o merge_request.target=main -o merge_request.title="A role for {{job}}, the new nightly job" \
    -o merge_request.description="From Monday on it runs every night in staging, as its script says." -u origin {{job}}
opslab mr work
opslab mr comment 1 "atlantis apply"
opslab mr show 1
