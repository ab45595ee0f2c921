git clone -q forge:platform/infrastructure work/infrastructure
cd work/infrastructure
git switch -qc {{thing}}

git switch -qc own-keys
cat > staging/{{thing}}.tf <<'TF'
provider "aws" {
  alias      = "mine"
  region     = "eu-west-1"
  access_key = "from-my-profile"
  secret_key = "from-my-profile"
}

module "{{thing}}" {
  source      = "../modules/bucket"
  providers   = { aws = aws.mine }
  thing       = "{{thing}}"
  environment = "staging"
  owner       = "{{team}}"
  on_call     = "{{rota}}"
}
TF
git add .
git commit -qm "A bucket for {{thing}}, with my own keys"
git push -q -o merge_request.create -o merge_request.target=main -o merge_request.title="A bucket for {{thing}} in both accounts" \
    -o merge_request.description="The {{team}} team collects {{thing}} from Monday on and needs a place for the raw files: {{size}} GB a day, for a year." -u origin HEAD
opslab mr work
opslab mr show 1 | grep -q access_key
opslab mr close 1

git switch -q {{thing}}
for account in staging production; do
    cat > $account/raw.tf <<'TF'
locals {
  raw = {
    {{thing}} = { team = "{{team}}", versions = false }
  }
}

module "raw" {
  source   = "../modules/bucket"
  for_each = local.raw

  thing       = each.key
  environment = "ACCOUNT"
  owner       = each.value.team
  on_call     = "${each.value.team}-oncall"
  versions    = each.value.versions
}
TF
    sed -i "s/ACCOUNT/$account/" $account/raw.tf
done
sed -i 's/versions = false/versions = true/' production/raw.tf
git add .
git commit -qm "A map of raw buckets, with {{thing}} in it"
git push -q -o merge_request.create -o merge_request.target=main -o merge_request.title="A bucket for {{thing}} in both accounts" \
    -o merge_request.description="The {{team}} team collects {{thing}} from Monday on and needs a place for the raw files: {{size}} GB a day, for a year." -u origin HEAD
opslab mr work
opslab mr comment 2 "atlantis apply -p staging"
opslab mr work
opslab mr comment 2 "atlantis apply -p production"
opslab mr show 2
