git clone -q forge:platform/infrastructure work/infrastructure
cd work/infrastructure
git switch -qc {{thing}}

for account in staging production; do
    cat > $account/{{thing}}.tf <<TF
resource "aws_s3_bucket" "{{thing}}" {
  bucket = "targ-{{thing}}-raw-$account"
  tags   = { Name = "targ-{{thing}}-raw-$account", Owner = "{{team}}", OnCall = "{{rota}}" }
}
TF
done
git add .
git commit -qm "A bucket for {{thing}}"
git push -q -o merge_request.create -o merge_request.target=main -o merge_request.title="A bucket for {{thing}} in both accounts" \
    -o merge_request.description="The {{team}} team collects {{thing}} from Monday on and needs a place for the raw files: {{size}} GB a day, for a year." -u origin HEAD
opslab mr work
opslab mr comment 1 "atlantis apply"
opslab mr show 1
