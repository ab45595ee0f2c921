"""Task 2.1: the first merge request. The mart of orders counts what was cancelled."""

from __future__ import annotations

from opslab.scenarios.merge_requests.people import RULES, history, orders
from opslab.worlds.forge.forge import Forge

NAME = "analytics/marts"
MART, SAMPLE = "marts/orders_daily.sql", "sample/orders.csv"

REVIEWERS = {"hania": ("title", "description", "numbers", "changelog", "select-star", "conflict-marker")}

README = """\
# marts

The tables that people at Targ look at. One file in `marts/` is one table; the job runs each of them every night.

## How to change one

1. A branch of your own, never `main`: it is protected.
2. A merge request. The title says what changes, the description why, and by how much a number moves.
3. Hania looks at it. She asks; answer her with a commit or with a sentence.
4. A mart that changes has a line in `CHANGELOG.md`.

## How to try one

`python try.py marts/orders_daily.sql` runs a mart on `sample/orders.csv`: some orders of six days, paid, cancelled and refunded ones.
"""
TRY = """\
\"\"\"Runs a mart on the sample: python try.py marts/orders_daily.sql\"\"\"

import csv
import sqlite3
import sys

base = sqlite3.connect(":memory:")
base.execute("create table orders (order_id text, day text, amount real, status text, currency text)")
rows = list(csv.reader(open("sample/orders.csv")))[1:]
base.executemany("insert into orders values (?, ?, ?, ?, ?)", rows)
answer = base.execute(open(sys.argv[1]).read())
print(",".join(column[0] for column in answer.description))
for row in answer:
    print(",".join(map(str, row)))
"""
SQL = """\
-- One line a day: how many orders, and what they are worth.
select
    day,
    count(*) as orders,
    round(sum(amount), 2) as revenue
from orders
group by day
order by day
"""
USERS = """\
-- One line a day: how many people came.
select day, count(distinct user_id) as users
from visits
group by day
order by day
"""
CHANGELOG = """\
# What changed in the marts

- 2026-10-02: `users_daily` counts people, not visits.
"""


def sample() -> str:
    """Some orders, as a CSV; the same for everybody."""
    lines = ["order_id,day,amount,status,currency"]
    return "\n".join([*lines, *(",".join(map(str, row)) for row in orders(0))]) + "\n"


def build(forge: Forge, seed: int) -> None:
    """Put the repository there."""
    repository = forge.create(NAME, reviewers=REVIEWERS, rule_modules=[RULES])
    history(
        repository,
        [
            ("hania", "Start with the daily orders", {"README.md": README, MART: SQL, "try.py": TRY, SAMPLE: sample()}),
            ("kasia", "Count users, too", {"marts/users_daily.sql": USERS.replace("distinct user_id", "*")}),
            ("hania", "Count people, not visits", {"marts/users_daily.sql": USERS, "CHANGELOG.md": CHANGELOG}),
        ],
        seed=seed,
    )
