git clone --quiet forge:analytics/marts work/marts
cd work/marts
git switch --quiet -c without-cancelled
sed -i "s/^from orders$/from orders\nwhere status <> 'cancelled'/" marts/orders_daily.sql
git commit --quiet -am "Leave cancelled orders out of the daily mart"
git push --quiet -u origin without-cancelled
