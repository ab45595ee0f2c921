#!/usr/bin/env bash
day=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fetch_orders "$day" | to_csv | gzip > "$work/o.gz"
codes="${PIPESTATUS[*]}"
publish "$work/o.gz" "orders-$day.csv.gz" || codes+=" 1"
if [[ $codes == *[1-9]* ]]; then
    echo "export of $day failed: $codes" >&2
    exit 1
fi
echo "export of $day done"
