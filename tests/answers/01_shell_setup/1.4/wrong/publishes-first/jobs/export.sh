#!/usr/bin/env bash
set -euo pipefail
day=$1
trap 'echo "export of $day failed" >&2' ERR
fetch_orders "$day" | to_csv | gzip > "$HOME/outbox/orders-$day.csv.gz"
echo "export of $day done"
