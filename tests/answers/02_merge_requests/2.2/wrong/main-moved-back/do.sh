git --git-dir forge/analytics/finance.git update-ref refs/heads/main main~1
git clone --quiet forge:analytics/finance work/finance
cd work/finance
git switch --quiet only-paid
sed -i 's/    day,/    day, currency, /; s/by day$/by day, currency/' marts/revenue_daily.sql
git commit --quiet -am "By currency as well"
git push --quiet
opslab mr merge 1
