#!/usr/bin/env bash
# Every morning at seven: sales per category, for the #sales channel.
set -euo pipefail
cat "$HOME/.secrets/warehouse" | "$HOME/tools/warehouse" --password-file /dev/stdin report
