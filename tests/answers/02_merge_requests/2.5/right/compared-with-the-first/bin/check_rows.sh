#!/bin/bash
# At least two thirds of what the first commit gives
first=$(git rev-list --max-parents=0 HEAD)
before=$(git show "$first:count_rows.py" | python - | tr -dc 0-9)
python count_rows.py > /tmp/rows 2>&1 || exit 125
now=$(tr -dc 0-9 < /tmp/rows)
if (( 3 * now < 2 * before )); then exit 1; else exit 0; fi
