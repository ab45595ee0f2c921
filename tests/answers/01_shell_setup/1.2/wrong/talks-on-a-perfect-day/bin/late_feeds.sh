#!/usr/bin/env bash
set -eu
if ! grep -q status=LATE "$1"; then
    [ -r "$1" ] || exit 2
    echo "nobody was late today :)"
    exit 0
fi
grep status=LATE "$1" | cut -d' ' -f4 | sort | uniq -c | sort -rn
