#!/usr/bin/env bash
# Every morning at seven: sales per category, for the #sales channel.
bash -c "export WAREHOUSE_PASSWORD=$(cat ~/.secrets/warehouse); warehouse report; true"
