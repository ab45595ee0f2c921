#!/usr/bin/env bash
# Every morning at seven: sales per category, for the #sales channel.
set -eu
IFS= read -r password < "$HOME/.secrets/warehouse" || [ -n "$password" ]
WAREHOUSE_PASSWORD="$password" exec warehouse report
