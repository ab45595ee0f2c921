git clone --quiet forge:analytics/finance work/finance
cd work/finance
git switch --quiet only-paid
git merge origin/main || git checkout --ours marts/revenue_daily.sql
git add marts/revenue_daily.sql
git commit --quiet --no-edit
git push --quiet
opslab mr merge 1
