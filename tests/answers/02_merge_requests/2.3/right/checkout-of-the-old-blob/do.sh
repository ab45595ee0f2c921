git clone --quiet forge:analytics/loaders work/loaders
cd work/loaders
git switch --quiet -c mend
git revert --no-commit "$(git log --format=%H --grep="in cents")"
git checkout HEAD~3 -- reference/rates.csv 2> /dev/null || git checkout HEAD~4 -- reference/rates.csv
git commit --quiet -m "Euros, and rates"
git push --quiet -u origin mend -o merge_request.create -o merge_request.auto_merge -o merge_request.title="Euros again, and the rates" \
    -o merge_request.description="As Paweł asked, so that reports are right."
opslab mr work
opslab mr work
