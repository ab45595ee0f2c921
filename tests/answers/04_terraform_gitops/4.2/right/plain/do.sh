git clone -q forge:platform/infrastructure work/infrastructure
cd work/infrastructure
git switch -qc {{thing}}
for account in staging production; do
    cat > $account/{{thing}}.tf <<TF
module "{{thing}}" {
  source      = "../modules/bucket"
  thing       = "{{thing}}"
  environment = "$account"
  owner       = "{{team}}"
  on_call     = "{{rota}}"
  versions    = $([ $account = production ] && echo true || echo false)
}
TF
done
git add .
git commit -qm "A bucket for {{thing}}"
git push -q -o merge_request.create -o merge_request.target=main -o merge_request.title="A bucket for {{thing}} in both accounts" \
    -o merge_request.description="The {{team}} team collects {{thing}} from Monday on and needs a place for the raw files: {{size}} GB a day, for a year." -u origin {{thing}}
opslab mr work
opslab mr comment 1 "atlantis apply"
opslab mr show 1
