"""The service of the incident: it loads a file into the warehouse, and has done so for a year.

    >>> Service(seed=1).files()["requirements.txt"].split()
    ['pykontor', 'targ-loader', 'targ-metrics']

Its requirements name packages and no versions. Built on Monday it loads its rows; built on Tuesday it gets the new driver and dies
without a word. Which of the driver's changes it dies of, and what it loads, follows from the seed.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone
from pathlib import Path

SCHEMAS = ("raw", "landing", "stage")
TABLES = {"listings": "price", "orders": "amount", "payouts": "amount", "refunds": "amount"}
PARTNERS = ("bikebarn", "chatelaine", "deskorama", "fonoplex", "gramofon", "rowerowo", "sofashop", "vinylist")
CHANGES = ("tzinfo_factory", "copy_from")
"""What of the driver the service may use that is another in 2.9."""

START = datetime(2026, 11, 16, tzinfo=timezone(timedelta(hours=1)))

REQUIREMENTS = "pykontor\ntarg-loader\ntarg-metrics\n"

LOAD = '''\
"""Loads the {table} of a day into the warehouse: python load.py {table}.tsv"""

import logging
import sys
{imports}
import targ_loader
import targ_metrics

log = logging.getLogger("loader")

TABLE = "create table if not exists {schema}.{table} (id integer, partner text, {money} numeric, happened_at text)"

{function}
def main(path):
    log.info("starting")
    connection = targ_loader.warehouse("warehouse", schemas=["{schema}"])
    cursor = connection.cursor()
{setting}    cursor.execute(TABLE)
    since = targ_loader.loaded_until(cursor, "{table}", start="{start}")
    log.info("loading what is newer than %s", since)
    rows = 0
    for batch in targ_loader.batches(path, since):
        rows += len(batch.getvalue().splitlines())
        {copy}
    targ_loader.mark(cursor, "{table}", "{end}")
    connection.commit()
    log.info("done: %s", targ_metrics.count("rows", rows))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    main(sys.argv[1])
'''

FUNCTION = '''
def office(minutes):
    """The time zone of the office, so many minutes east of UTC, for what we log."""
    return timezone(timedelta(minutes=minutes), "office time")

'''


class Service:
    """The service of a seed.

    change: what it uses of the driver, one of CHANGES (default: as the seed says). schema, table: where it loads to.
    rows: how many it has to load.
    """

    def __init__(self, seed: int = 1, change: str = "") -> None:
        if change not in ("", *CHANGES):
            raise ValueError(f"change={change!r}: the service can be made to use {' or '.join(CHANGES)}.")
        rng = random.Random(f"incident {seed}")
        chosen = rng.choice(CHANGES)
        self.change = change or chosen
        self.schema, self.table, self.rows = rng.choice(SCHEMAS), rng.choice(sorted(TABLES)), rng.randint(120, 480)
        self._data = "".join(self._line(rng, number) for number in range(self.rows))

    def files(self) -> dict[str, str]:
        """File name and content: load.py, requirements.txt, and the data of a day."""
        return {"load.py": self._load(), "requirements.txt": REQUIREMENTS, f"{self.table}.tsv": self._data}

    def put(self, folder: str | Path) -> Path:
        """Write the files into a folder, which is made where it is missing. Gives the folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in self.files().items():
            (folder / name).write_text(text)
        return folder

    def _line(self, rng: random.Random, number: int) -> str:
        when = START + timedelta(seconds=number * 86_400 // self.rows)
        return (
            f"{10_000 + number}\t{rng.choice(PARTNERS)}\t{rng.randint(500, 90_000) / 100:.2f}\t{when.isoformat(' ')}\n"
        )

    def _load(self) -> str:
        zoned = self.change == "tzinfo_factory"
        where = f"{self.schema}.{self.table}"
        return LOAD.format(
            schema=self.schema,
            table=self.table,
            money=TABLES[self.table],
            start=START.isoformat(" "),
            end=(START + timedelta(days=1)).isoformat(" "),
            imports="from datetime import timedelta, timezone\n" if zoned else "",
            function=FUNCTION if zoned else "",
            setting="    cursor.tzinfo_factory = office\n" if zoned else "",
            copy=f'cursor.copy_expert("copy {where} from stdin", batch)'
            if zoned
            else f'cursor.copy_from(batch, "{where}")',
        )
