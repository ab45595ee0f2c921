#!/usr/bin/env bash
set -o pipefail
day=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'echo "export of $day failed" >&2' ERR
fetch_orders "$day" | to_csv | gzip > "$work/orders.csv.gz"
publish "$work/orders.csv.gz" "orders-$day.csv.gz"
echo "export of $day done"
