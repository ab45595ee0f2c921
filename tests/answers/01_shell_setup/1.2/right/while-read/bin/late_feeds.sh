#!/usr/bin/env bash
# bash alone: read, an associative array, and sort at the end.
declare -A late=()
while read -r _ _ _ partner status _; do
    if [[ $status == status=LATE ]]; then
        late[${partner#partner=}]=$((${late[${partner#partner=}]:-0} + 1))
    fi
done < "$1" || exit 1
for partner in "${!late[@]}"; do
    echo "${late[$partner]} $partner"
done | sort -rn
