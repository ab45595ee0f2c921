#!/usr/bin/env bash
# Every morning at seven: sales per category, for the #sales channel.
PASSWORD="{{password}}"
warehouse --password "$PASSWORD" report
