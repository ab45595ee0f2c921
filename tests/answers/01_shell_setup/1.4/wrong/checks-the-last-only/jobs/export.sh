#!/usr/bin/env bash
day=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fetch_orders "$day" | to_csv | gzip > "$work/o.gz"
if [ $? -ne 0 ]; then
    echo "export of $day failed" >&2
    exit 1
fi
publish "$work/o.gz" "orders-$day.csv.gz" || { echo "export of $day failed" >&2; exit 1; }
echo "export of $day done"
