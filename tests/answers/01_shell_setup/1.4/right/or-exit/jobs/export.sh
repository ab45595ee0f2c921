#!/usr/bin/env bash
# No set -e: each step says itself what happens when it fails.
day=$1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 143' TERM INT HUP

give_up() {
    echo "export.sh: $day: $1 failed, nothing was published" >&2
    exit 1
}

fetch_orders "$day" > "$work/raw" || give_up fetch_orders
to_csv < "$work/raw" > "$work/csv" || give_up to_csv
gzip "$work/csv" || give_up gzip
publish "$work/csv.gz" "orders-$day.csv.gz" || give_up publish
echo "export of $day done"
