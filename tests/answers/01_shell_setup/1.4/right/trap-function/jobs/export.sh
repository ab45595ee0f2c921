#!/usr/bin/env bash
set -Eeuo pipefail

main() {
    fetch_orders "$day" | to_csv | gzip > "$work/out.gz"
    publish "$work/out.gz" "orders-${day}.csv.gz"
}

finish() {
    local code=$?
    rm -rf -- "$work"
    if [ "$code" -ne 0 ]; then
        printf '%s: export of %s failed with %d\n' "${0##*/}" "$day" "$code" >&2
    else
        printf 'export of %s done\n' "$day"
    fi
}

day=${1:?usage: export.sh DAY}
work=$(mktemp -d)
trap finish EXIT
main
