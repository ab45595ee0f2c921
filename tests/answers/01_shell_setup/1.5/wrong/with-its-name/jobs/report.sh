#!/usr/bin/env bash
# Every morning at seven: sales per category, for the #sales channel.
set -a
. "$HOME/.secrets/warehouse"
warehouse report
