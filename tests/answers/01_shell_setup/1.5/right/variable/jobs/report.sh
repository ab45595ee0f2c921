#!/usr/bin/env bash
# Every morning at seven: sales per category, for the #sales channel.
set -euo pipefail
export WAREHOUSE_PASSWORD
WAREHOUSE_PASSWORD=$(< ~/.secrets/warehouse)
warehouse report
