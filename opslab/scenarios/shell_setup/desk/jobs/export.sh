#!/bin/bash
# Nightly at 02:30: yesterday's orders for finance.
# usage: export.sh DAY

fetch_orders $1 > ~/tmp/orders.tsv
cat ~/tmp/orders.tsv | to_csv | gzip > ~/tmp/orders.csv.gz
publish ~/tmp/orders.csv.gz orders-$1.csv.gz
echo "export of $1 done"
