#!/usr/bin/env bash
# The report job: how much did we sell?
set -euo pipefail
aws s3 cp s3://targ-orders-production/daily/orders-2026-11-16.csv - --profile reports-production |
    awk -F, 'NR > 1 { sum += $3 } END { printf "sold for %.2f\n", sum }'
