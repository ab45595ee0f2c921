#!/usr/bin/env bash
if [ ! -r "${1:-}" ]; then
    echo "usage: late_feeds.sh LOG; cannot read '${1:-}'" >&2
    exit 2
fi
sed -n 's/.* partner=\([^ ]*\) status=LATE .*/\1/p' "$1" | sort | uniq -c | sort -k1,1nr
