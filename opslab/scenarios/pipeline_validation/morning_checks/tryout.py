"""Try your checks on days that you know: `python work/checks/tryout.py`. In Python: `import tryout; day = tryout.load("…")`.

The good days are measured, and then your file is asked about those of the last weeks, and about four bad ones. What counts as
an alarm, and what as none, is decided by driver.py, the file that asks your checks about the hidden days, too.
"""

import json
import sys
from pathlib import Path

import driver
import duckdb
from targ import TABLES, frame_of

HERE = Path(__file__).parent
SECONDS = 5
FIRST_DAYS = 14
"""Good days that are there to be compared with, before the first one is asked about."""

CALENDAR = json.loads((HERE / "calendar.json").read_text())
"""What was announced, and what was wrong, by day."""


def dates(which: str = "days") -> list[str]:
    """All good days, in order; dates("bad"): the bad ones."""
    return sorted(folder.name.removeprefix("day=") for folder in (HERE / which / "clicks").iterdir())


def load(date: str) -> driver.Day:
    """A day, as your checks get it: a dictionary of DataFrames, with `date` and `events`."""
    which = "bad" if date in CALENDAR["bad"] else "days"
    day = driver.Day()
    with duckdb.connect() as con:
        for table in TABLES:
            file = HERE / which / table / f"day={date}" / "part-0.parquet"
            day[table] = frame_of(con.execute("SELECT * FROM read_parquet(?, hive_partitioning = false)", [str(file)]))
    day.date, day.events = date, CALENDAR["announced"].get(date, [])
    return day


def main(checks: str) -> int:
    """Ask a file of checks, and print what it says."""
    driver.CHECKS = str(Path(checks).resolve())
    driver.import_before(checks)
    good = {date: load(date) for date in dates()}

    def measured() -> dict:
        module = driver.module_of(checks)
        rows = [
            {"date": date, "events": day.events, "measures": driver.measures_of(module, day)}
            for date, day in good.items()
        ]
        return {"state": "ok", "rows": rows}

    past = driver.ask(measured, SECONDS * len(good))
    if past["state"] != "ok":
        print(f"The good days could not be measured: {past['say']}")
        return 1
    asked = {**dict.fromkeys(list(good)[FIRST_DAYS:], "good"), **CALENDAR["bad"]}
    right = {"good": 0, "bad": 0}
    for date, what in sorted(asked.items(), key=lambda item: (item[1] != "good", item[0])):

        def one(date: str = date) -> dict:
            module, day = driver.module_of(checks), good.get(date) or load(date)
            before = driver.table_of([row for row in past["rows"] if row["date"] < date])
            return {"state": "ok", "alarms": driver.alarms_of(module, day, driver.measures_of(module, day), before)}

        said = driver.ask(one, SECONDS)
        alarms = said.get("alarms", [])
        state = ("ALARM" if alarms else "quiet") if said["state"] == "ok" else said["state"]
        right["good" if what == "good" else "bad"] += state == ("quiet" if what == "good" else "ALARM")
        announced = ", ".join(CALENDAR["announced"].get(date, []))
        print(f"{date}  {what + (f' ({announced})' if announced else ''):<24}{state:<10}{said.get('say', '')}".rstrip())
        for alarm in alarms[:5]:
            print(f"{'':<14}{alarm[: driver.LONGEST]}")
        if len(alarms) > 5:
            print(f"{'':<14}… and {len(alarms) - 5} more")
    passed, caught = len(asked) - len(CALENDAR["bad"]), len(CALENDAR["bad"])
    print(f"\nquiet on {right['good']} of {passed} good days, alarm on {right['bad']} of {caught} bad ones")
    if right["good"] < passed:
        print(
            f"(Here {FIRST_DAYS} to {len(good) - 1} good days lie before each. The check measures 60 first, so it is easier to be quiet there.)"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else str(HERE / "checks.py")))
