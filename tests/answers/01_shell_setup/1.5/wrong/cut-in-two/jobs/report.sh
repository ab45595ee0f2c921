#!/usr/bin/env bash
# Every morning at seven: sales per category, for the #sales channel.
first={{password_half}}
second={{password_rest}}
WAREHOUSE_PASSWORD="$first$second" warehouse report
