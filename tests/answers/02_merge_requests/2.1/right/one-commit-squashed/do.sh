git clone --quiet forge:analytics/marts marts-of-mine
cd marts-of-mine
git checkout --quiet -b marta/cancelled
cat > marts/orders_daily.sql <<'SQL'
-- One line a day: how many orders, and what they are worth. Cancelled ones do not count.
with real_orders as (
    select day, amount from orders where status not in ('cancelled')
)
select day, count(*) as orders, round(sum(amount), 2) as revenue
from real_orders
group by 1
order by 1
SQL
echo '- 2026-11-17: `orders_daily` no longer counts what was cancelled.' >> CHANGELOG.md
git add .
git commit --quiet -m "Do not count cancelled orders" -m "Marta's dashboard shows 20 % too many."
git push --quiet -u origin marta/cancelled
opslab mr create marta/cancelled --title "Do not count cancelled orders in orders_daily" \
    --description "Marta's dashboard shows about 20 % too many orders, because cancelled ones are counted."
opslab mr work
opslab mr merge 1 --method squash
