git clone --quiet forge:analytics/finance work/finance
cd work/finance
git switch --quiet -c both origin/main
cat > marts/revenue_daily.sql <<'EOF'
with paid as (select * from orders where status = 'paid')
select currency, day, round(sum(amount), 2) as revenue, count(order_id) as orders
from paid group by currency, day order by currency, day
EOF
git commit --quiet -am "Only what was paid, by currency"
git push --quiet -u origin both -o merge_request.create -o merge_request.title="Only what was paid, by currency" \
    -o merge_request.description="Instead of !1, which was made before Kasia's change."
opslab mr close 1
opslab mr work
opslab mr merge 2 --method squash
