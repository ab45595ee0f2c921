cd work/marts
echo "-- thanks, Hania" >> marts/orders_daily.sql
git commit --quiet -am "One more line"
git push --quiet
