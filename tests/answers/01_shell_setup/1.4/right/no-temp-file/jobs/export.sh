#!/usr/bin/env bash
set -uo pipefail
# Small enough to be kept in a variable: base64, because a variable cannot hold the bytes of gzip.
day=$1
if ! data=$(fetch_orders "$day" | to_csv | gzip | base64); then
    echo "export of $day failed" >&2
    exit 1
fi
publish <(base64 -d <<< "$data") "orders-$day.csv.gz" || { echo "publishing $day failed" >&2; exit 1; }
echo "export of $day done"
