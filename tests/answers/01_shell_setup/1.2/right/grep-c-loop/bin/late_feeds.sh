#!/usr/bin/env bash
# One count for each partner that appears at all; a zero is said as well.
set -euo pipefail
log=$1
partners=$(grep -o 'partner=[^ ]*' "$log" | sort -u)
for partner in $partners; do
    printf '%s\t%s\n' "$(grep -c "$partner status=LATE" "$log" || true)" "${partner#partner=}"
done | sort --numeric-sort --reverse
