git clone --quiet forge:analytics/finance work/finance
cd work/finance
git switch --quiet only-paid
git rebase origin/main || true
git checkout --quiet --ours marts/revenue_daily.sql
sed -i -e "s/    currency,/    currency,\n    count(*) as orders,/" -e "s/^from orders$/from orders\nwhere status = 'paid'/" marts/revenue_daily.sql
git add marts/revenue_daily.sql
GIT_EDITOR=true git rebase --continue
git push --quiet --force-with-lease
opslab mr work
opslab mr merge 1 --method fast-forward
