git clone --quiet forge:analytics/finance work/finance
cd work/finance
git switch --quiet only-paid
git merge origin/main || git diff
cat > marts/revenue_daily.sql <<'EOF'
-- Revenue of what was really paid, one line a day and currency.
select day, currency, count(*) as orders, round(sum(amount), 2) as revenue
from orders
where status = 'paid'
group by day, currency
order by day, currency
EOF
git add marts/revenue_daily.sql
git commit --quiet --no-edit
git push --quiet
opslab mr work
opslab mr merge 1
