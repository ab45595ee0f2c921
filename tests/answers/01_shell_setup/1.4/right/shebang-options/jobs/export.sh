#!/bin/bash -eu
# The options stand in the first line; they hold because the job is started by its name.
set -o pipefail
work="$HOME/.cache/export.$$.$RANDOM"
mkdir -p "$work"
trap 'code=$?; rm -rf "$work"; [ $code -eq 0 ] || echo "export of $1: exit code $code" >&2' EXIT
fetch_orders "$1" | to_csv | gzip > "$work/o.gz"
publish "$work/o.gz" "orders-$1.csv.gz"
echo done
