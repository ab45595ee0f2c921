#!/usr/bin/env bash
set -euo pipefail
day=$1
log() { echo "$(date +%FT%T) export.sh[$$] $*" | tee -a "$HOME/logs/export.log" >&2; }
work=$(mktemp -d -t export.XXXXXX)
trap 'code=$?; rm -rf "$work"; [ "$code" -eq 0 ] || log "FAILED: $day, exit code $code"' EXIT
log "start: $day"
fetch_orders "$day" | to_csv | gzip -9 > "$work/csv.gz"
gzip -t "$work/csv.gz"
publish "$work/csv.gz" "orders-$day.csv.gz"
log "end: $day"
