"""Task 6.2: checks for a day, days to try them on, and somebody's first try.

    work/checks/checks.py            Iga's first try: she has written down the numbers of one day
    work/checks/README.md            the rules
    work/checks/days/, bad/          thirty good days around the last sale, and four bad ones, as Parquet
    work/checks/tryout.py            asks checks.py about them, by the rules of driver.py, which is the grader's own
    notes/post-mortems.md            what was wrong with the four

The days of the desk are of a small world, those of the check of a greater one with other partners: see `worlds.pipeline.mutation`.
"""

from __future__ import annotations

import contextlib
import functools
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from opslab.worlds.pipeline import company as about
from opslab.worlds.pipeline.data import SCHEMA, Frames, Targ
from opslab.worlds.pipeline.landing import tables_of
from opslab.worlds.pipeline.mutation import driver

FOLDER = "work/checks"
CHECKS = f"{FOLDER}/checks.py"
NOTES = "notes/post-mortems.md"
HERE = Path(__file__).parent / "morning_checks"

CLICKS = 1_000
BEFORE, AFTER = 24, 10
"""Days of the desk before the first day of the sale, and from it on."""

BAD = {-9: "half a day", -4: "cents for euros", 4: "renamed column", 7: "stale rates"}
"""What was wrong, by how many days after the beginning of the sale. What is known of these days is only the bad version."""


def build(home: Path, seed: int, twists: frozenset[str]) -> None:
    """Put the days, the first try and what is known on the desk."""
    for path, data in _files(seed).items():
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).write_bytes(data)


def calendar(seed: int) -> dict[str, dict[str, object]]:
    """What was announced, and what was wrong, by day: {"announced": {"2026-08-14": ["sale"]}, "bad": {…}}."""
    targ, days = Targ(seed, CLICKS), days_of(seed)
    announced = {date: targ.events(about.to_number(date)) for date in days}
    return {
        "announced": {date: events for date, events in announced.items() if events},
        "bad": {date: fault for date, fault in days.items() if fault},
    }


def days_of(seed: int) -> dict[str, str]:
    """The days of a desk, in order, each with what is wrong with it, or ""."""
    targ = Targ(seed, CLICKS)
    summer = range(about.to_number("2026-07-01"), about.to_number("2026-10-01"))
    sale = next(number for number in summer if "sale" in targ.events(number))
    return {str(about.to_date(sale + after)): BAD.get(after, "") for after in range(-BEFORE, AFTER)}


@functools.lru_cache(maxsize=4)
def _files(seed: int) -> dict[str, bytes]:
    """All files of this task, by path."""
    days, targ = days_of(seed), Targ(seed, CLICKS)
    tables = {date: tables_of(targ, date, fault) for date, fault in days.items()}
    sample = max(date for date, fault in days.items() if not fault)
    rows = {name: len(table) for name, table in tables[sample].items()}
    known = calendar(seed)
    found = {
        CHECKS: (HERE / "checks.py.txt").read_text().format(date=sample, rows=rows).encode(),
        NOTES: (HERE / "post-mortems.md").read_text().format_map({f: d for d, f in known["bad"].items()}).encode(),
        f"{FOLDER}/calendar.json": f"{json.dumps(known, indent=2)}\n".encode(),
        f"{FOLDER}/driver.py": Path(driver.__file__).read_bytes(),
    }
    found |= {f"{FOLDER}/{name}": (HERE / name).read_bytes() for name in ("README.md", "tryout.py")}
    for which, wrong in (("days", False), ("bad", True)):
        of = {date: frames for date, frames in tables.items() if bool(days[date]) == wrong}
        found |= {f"{FOLDER}/{which}/{path}": data for path, data in _landed(of).items()}
    return found


def _landed(days: Mapping[str, Frames]) -> dict[str, bytes]:
    """Days as they land, in Parquet, by path. One thread writes them, day by day, so that rows keep their order."""
    import duckdb

    found = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(duckdb.connect(config={"threads": 1})) as con:
        for date, frames in days.items():
            for name in SCHEMA:
                frame = frames[name]
                # A column of texts without a single text looks like anything; say what it is.
                columns = ", ".join(f'"{c}"::VARCHAR AS "{c}"' if frame[c].dtype == "str" else f'"{c}"' for c in frame)
                con.register("frame", frame)
                con.execute(f"COPY (SELECT {columns} FROM frame) TO '{folder}/file' (FORMAT parquet, COMPRESSION zstd)")
                found[f"{name}/day={date}/part-0.parquet"] = Path(folder, "file").read_bytes()
    return found


def words(seed: int) -> dict[str, object]:
    """What stands for {{…}} in the answers of the tests: the rows of a good day of the desk, and where the reference checks lie."""
    sample = max(date for date, fault in days_of(seed).items() if not fault)
    rows = {f"rows_of_{name}": len(Targ(seed, CLICKS).table(name, sample)) for name in ("clicks", "orders", "listings")}
    return {**rows, "reference_checks": Path(driver.__file__).with_name("reference.py")}
