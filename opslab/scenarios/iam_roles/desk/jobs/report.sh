#!/usr/bin/env bash
# The report job: how much did we sell?
set -euo pipefail
orders=$(mktemp)
trap 'rm -f "$orders"' EXIT
aws s3api get-object --bucket targ-orders-production --key daily/orders-2026-11-16.csv "$orders" \
    --profile reports-production > /dev/null
awk -F, 'NR > 1 { sum += $3 } END { printf "sold for %.2f\n", sum }' "$orders"
