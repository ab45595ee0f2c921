#!/usr/bin/env bash
# For git bisect run: 0 is good, 1 is bad, 125 cannot be tested
out=$(python count_rows.py 2> /dev/null) || exit 125
[ "${out##* }" -gt 150 ]
