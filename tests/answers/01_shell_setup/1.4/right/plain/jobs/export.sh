#!/usr/bin/env bash
# Nightly at 02:30: yesterday's orders for finance.
# usage: export.sh DAY
set -euo pipefail
day=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'echo "export of $day failed" >&2' ERR

fetch_orders "$day" > "$work/orders.tsv"
to_csv < "$work/orders.tsv" | gzip > "$work/orders.csv.gz"
publish "$work/orders.csv.gz" "orders-$day.csv.gz"
echo "export of $day done"
