#!/usr/bin/env python3
import re
import sys
from collections import Counter

late = Counter()
with open(sys.argv[1], encoding="utf-8") as log:
    for line in log:
        if found := re.search(r"partner=(\S+) status=LATE ", line):
            late[found[1]] += 1
for partner, count in late.most_common():
    print(f"{partner}: {count}")
