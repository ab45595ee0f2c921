#!/usr/bin/env bash
# Every morning at seven: sales per category, for the #sales channel.
set -euo pipefail
warehouse --password-file "$HOME/.secrets/warehouse" report
