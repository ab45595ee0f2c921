#!/usr/bin/env bash
set -euo pipefail
awk '/status=LATE/ { late[substr($4, 9)]++ } END { for (name in late) print late[name], name }' "$1" | sort -r
