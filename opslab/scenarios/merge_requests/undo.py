"""Task 2.3: a commit on a shared main turned amounts into cents, another deleted a table of rates. Others have worked on since."""

from __future__ import annotations

from opslab.scenarios.merge_requests.people import history
from opslab.worlds.forge.forge import Forge

NAME = "analytics/loaders"
LOAD, RATES = "load.py", "reference/rates.csv"
REVIEWERS = {"pawel": ("title", "description", "conflict-marker")}
BAD, TIDY = "Amounts in cents, for speed", "Tidy up"

RATES_TEXT = """\
currency,rate
EUR,1.0
PLN,0.2345
SEK,0.0871
"""

FIRST = '''\
"""Loads orders: a CSV on stdin, clean lines on stdout."""

import csv
import sys


def clean(row):
    return {"order_id": row["order_id"], "amount": float(row["amount"])}


def main():
    writer = csv.DictWriter(sys.stdout, ["order_id", "amount"], lineterminator="\\n")
    writer.writeheader()
    for row in csv.DictReader(sys.stdin):
        writer.writerow(clean(row))


main()
'''
STRIPPED = FIRST.replace('row["order_id"], "amount"', 'row["order_id"].strip(), "amount"')
CENTS = STRIPPED.replace('float(row["amount"])', 'int(round(float(row["amount"]) * 100))')
LOGGED = CENTS.replace(
    """    for row in csv.DictReader(sys.stdin):
        writer.writerow(clean(row))
""",
    """    count = 0
    for row in csv.DictReader(sys.stdin):
        writer.writerow(clean(row))
        count += 1
    print(f"loaded {count} rows", file=sys.stderr)
""",
)
README = "# loaders\n\n`python load.py < orders.csv > clean.csv`\n"


def build(forge: Forge, seed: int) -> None:
    """Put the repository there."""
    repository = forge.create(NAME, reviewers=REVIEWERS)
    history(
        repository,
        [
            ("pawel", "Load orders", {"README.md": README, LOAD: FIRST}),
            ("kasia", "Rates of exchange", {RATES: RATES_TEXT}),
            ("pawel", "Take spaces off order ids", {LOAD: STRIPPED}),
            ("iwo", TIDY, {RATES: None, "notes.txt": "to do: tidy up more\n"}),
            ("iwo", BAD, {LOAD: CENTS}),
            ("pawel", "Say how many rows were loaded", {LOAD: LOGGED}),
        ],
        seed=seed,
    )
