#!/usr/bin/env bash
# usage: late_feeds.sh LOG
set -euo pipefail
# grep exits with 1 where nothing matches, and that is good news here; 2 is real trouble.
{ grep 'status=LATE' "$1" || [ $? -eq 1 ]; } | cut -d' ' -f4 | cut -d= -f2 | sort | uniq -c | sort -rn
