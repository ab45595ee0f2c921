git clone --quiet forge:analytics/finance work/finance
cd work/finance
git switch --quiet only-paid
git merge --quiet -X theirs --no-edit origin/main
sed -i "/count(\*) as orders/d; /where status/d" marts/revenue_daily.sql
sed -i -e "s/    currency,/    currency, count(*) as orders,/" -e "s/^from orders$/from orders where status in ('paid')/" marts/revenue_daily.sql
git commit --quiet -am "Put my half back"
git push --quiet
opslab mr merge 1
