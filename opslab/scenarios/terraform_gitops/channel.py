"""A channel as text: what colleagues said, day by day. Threads are written one by one, and come out in the order of the time.

>>> print(text("#reports", "11-09 09:00 basia: new week", "11-09 08:50 hania: morning"))
#reports, exported on Monday, 16 November 2026
<BLANKLINE>
Mon 9 Nov
  08:50  hania   morning
  09:00  basia   new week
<BLANKLINE>
"""

from __future__ import annotations

import re
import textwrap
from datetime import datetime

LINE = re.compile(r"(\d\d-\d\d \d\d:\d\d) (\w+): (.+)")
WIDTH = 120


def text(name: str, *threads: str) -> str:
    """The text of a channel. threads: lines of the form `11-09 09:00 basia: new week`, of the year 2026."""
    said = []
    for line in (line.strip() for thread in threads for line in thread.splitlines()):
        if line:
            when, who, what = LINE.fullmatch(line).groups()
            said.append((datetime.strptime(f"2026-{when}", "%Y-%m-%d %H:%M"), who, what))
    lines, day = [f"{name}, exported on Monday, 16 November 2026"], None
    for when, who, what in sorted(said, key=lambda one: one[0]):
        if when.date() != day:
            day = when.date()
            lines += ["", f"{when:%a} {when.day} {when:%b}"]
        head = f"  {when:%H:%M}  {who:<6}  "
        lines += textwrap.wrap(
            what, WIDTH, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False
        )
    return "\n".join(lines) + "\n"
