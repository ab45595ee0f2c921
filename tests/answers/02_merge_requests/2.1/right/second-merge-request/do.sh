git clone --quiet forge:analytics/marts work/marts
cd work/marts
git switch --quiet -c try
sed -i "s/count(\*)/count(*) - 1/" marts/orders_daily.sql
git commit --quiet -am "Does this help?"
git push --quiet -u origin try -o merge_request.create -o merge_request.title=test
opslab mr close 1
git switch --quiet -c again origin/main
sed -i "s/^from orders$/from orders\nwhere status <> 'cancelled'/" marts/orders_daily.sql
echo "- 2026-11-17: no cancelled orders in orders_daily" >> CHANGELOG.md
git commit --quiet -am "Leave cancelled orders out of the daily mart"
git push --quiet -u origin again -o merge_request.create -o merge_request.title="Leave cancelled orders out of orders_daily" \
    -o merge_request.description="Marta's dashboard counts what was cancelled: 1902 orders instead of 1584."
opslab mr work
opslab mr merge 2
opslab mr revert 2
