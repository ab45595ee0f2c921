#!/usr/bin/env bash
# Every morning at seven: sales per category, for the #sales channel.
warehouse --password "$(cat ~/.secrets/warehouse)" report
