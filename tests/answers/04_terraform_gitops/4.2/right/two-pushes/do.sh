git clone -q forge:platform/infrastructure work/infrastructure
cd work/infrastructure
git switch -qc {{thing}}

for account in staging production; do
    sed -e 's/listings/{{thing}}/; s/"catalogue"/"{{team}}"/; s/catalogue-oncall/{{rota}}/' $account/listings.tf > $account/{{thing}}.tf
done
sed -i 's/{{rota}}/basia/' production/{{thing}}.tf
sed -i 's/thing       = "listings"/thing       = "{{thing}}"/' */{{thing}}.tf
git add .
git commit -qm "A bucket for {{thing}}, as the listings have one"
git push -q -o merge_request.create -o merge_request.target=main -o merge_request.title="A bucket for {{thing}} in both accounts" \
    -o merge_request.description="The {{team}} team collects {{thing}} from Monday on and needs a place for the raw files." -u origin HEAD
opslab mr work
opslab mr show 1 | grep -q 'Who is "basia"'

sed -i 's/basia/{{rota}}/' production/{{thing}}.tf
python3 - <<'PY'
from pathlib import Path

file = Path("modules/bucket/variables.tf")
rule = """
  validation {
    condition     = endswith(var.on_call, "-oncall")
    error_message = "OnCall is a rota, which ends with -oncall. People go on holiday."
  }
}
"""
before, name, after = file.read_text().partition('variable "on_call" {')
inside, _, rest = after.partition("\n}\n")
file.write_text(before + name + inside + "\n" + rule + rest)
PY
git commit -qam "The rota, and a rule in the module that asks for one"
git push -q
opslab mr work
question=$(opslab mr show 1 | grep -o '#[0-9]* marek (to be resolved)' | grep -o '[0-9]*' | head -n 1)
opslab mr comment 1 "About {{size}} GB a day, and we keep a year of it." --reply-to "$question"
question=$(opslab mr show 1 | grep -o '#[0-9]* marek (to be resolved)' | grep -o '[0-9]*')
opslab mr comment 1 "Nobody's: it only checks the variable, and the plan leaves the listings alone." --reply-to "$question"
opslab mr comment 1 "atlantis apply"
opslab mr show 1
