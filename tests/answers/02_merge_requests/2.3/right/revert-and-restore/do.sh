git clone --quiet forge:analytics/loaders work/loaders
cd work/loaders
git switch --quiet -c back-to-euros
git revert --no-edit $(git log --format=%h --grep="Amounts in cents")
git restore --source=$(git log --format=%h --grep="Tidy up")^ reference/rates.csv
git add reference/rates.csv
git commit --quiet -m "Bring the rates of exchange back"
git push --quiet -u origin back-to-euros -o merge_request.create -o merge_request.title="Amounts in euros again, rates back" \
    -o merge_request.description="Since Monday reports are off by a factor of 100. Reverts one commit, restores one file."
opslab mr work
opslab mr merge 1
