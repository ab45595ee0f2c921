#!/usr/bin/env bash
# One pipe, and a look at what each part of it said.
day="$1"
file=$(mktemp "${TMPDIR:-/tmp}/export.XXXXXX") || exit 1
trap 'rm -f "$file"' EXIT

fetch_orders "$day" | to_csv | gzip -c > "$file"
said=("${PIPESTATUS[@]}")
for code in "${said[@]}"; do
    if [ "$code" -ne 0 ]; then
        echo "export of $day FAILED (exit codes ${said[*]})" >&2
        exit "$code"
    fi
done
if ! publish "$file" "orders-$day.csv.gz"; then
    echo "export of $day FAILED: not published" >&2
    exit 1
fi
echo "export of $day done"
