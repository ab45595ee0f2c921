#!/usr/bin/env bash
set -euo pipefail
day=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

export_day() {
    fetch_orders "$day" > "$work/orders.tsv"
    to_csv < "$work/orders.tsv" | gzip > "$work/orders.csv.gz"
    publish "$work/orders.csv.gz" "orders-$day.csv.gz"
}

if export_day; then
    echo "export of $day done"
else
    echo "export of $day failed" >&2
    exit 1
fi
