git clone --quiet forge:analytics/loaders work/loaders
cd work/loaders
git checkout --quiet -b euros
sed -i 's/int(round(float(row\["amount"\]) \* 100))/float(row["amount"])/' load.py
mkdir -p reference
git show "$(git rev-list -n 1 HEAD -- reference/rates.csv)^:reference/rates.csv" > reference/rates.csv
git add .
git commit --quiet -m "Undo the cents, bring the rates back"
git push --quiet -u origin euros
opslab mr create euros --title "Undo the cents, bring back the rates" --description "Reports are off by a factor of 100 since Monday."
opslab mr merge 1 --method squash
