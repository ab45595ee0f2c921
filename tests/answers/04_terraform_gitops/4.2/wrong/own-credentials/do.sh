git clone -q forge:platform/infrastructure work/infrastructure
cd work/infrastructure
git switch -qc {{thing}}

cat > production/{{thing}}.tf <<'TF'
provider "aws" {
  alias   = "mine"
  region  = "eu-central-1"
  profile = "production"
}

module "{{thing}}" {
  source      = "../modules/bucket"
  providers   = { aws = aws.mine }
  thing       = "{{thing}}"
  environment = "production"
  owner       = "{{team}}"
  on_call     = "{{rota}}"
  versions    = true
}
TF
sed -e 's/production/staging/; /versions/d' production/{{thing}}.tf > staging/{{thing}}.tf
git add .
git commit -qm "A bucket for {{thing}}"
git push -q -o merge_request.create -o merge_request.target=main -o merge_request.title="A bucket for {{thing}} in both accounts" \
    -o merge_request.description="The {{team}} team collects {{thing}} from Monday on and needs a place for the raw files: {{size}} GB a day, for a year." -u origin HEAD
opslab mr work
opslab mr comment 1 "atlantis apply"
opslab mr show 1
