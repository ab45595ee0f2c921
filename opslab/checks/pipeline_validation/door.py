"""Task 6.3: what comes in at the door. The script is run on days of another world, and what it leaves behind is looked at.

`door_story` plays what happens (Tuesday before Monday, a crash, a correction, files with which it has to stop), once for all
expectations. `door_leaks` searches for personal data. What is right stands in the scenario: the rules, and the days.
"""

from __future__ import annotations

import datetime
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from opslab.checks import Miss, Trial
from opslab.checks.pipeline_validation import door_leaks, module
from opslab.checks.pipeline_validation.door_story import (
    ACTS,
    RUN,
    Snapshot,
    Story,
    Table,
    id_of,
    last_line,
    told,
    whole,
)
from opslab.scenarios.pipeline_validation import door as scenario
from opslab.scenarios.pipeline_validation.door import SECOND, Row, bad_rows, good_rows, made_on, newest

door = module.task(
    "6.3",
    "At the door",
    alone=True,
    files=[scenario.SCRIPT],
    uses=["work/door/*.py", "work/door/*.sql"],
    memory=[f"{scenario.FOLDER}/{Path(output).parts[0]}" for output in scenario.OUTPUTS],  # what an older script has made
    hints=[
        ("Go through ~/notes/at-the-door.md from the top, and let the script do one thing after the other: read and stop, drop, quarantine, "
        "deduplicate, mask and hash, write. After each, count: what came in must be somewhere. Nothing is written before the last reason to stop "
        "is behind you. And print what you like while you try, on the desk; not in what you hand in."),
        ("Reading: duckdb.read_parquet(file) has .columns, .types and .df(). In SQL say read_parquet(file, hive_partitioning = false), or DuckDB adds "
        "a column day, which is the folder's. Missing values make comparisons neither true nor false: ask what is good, and take everything else "
        "for bad. Writing: keep in clean the day of the file that a row came with. Then a run takes a day of clean, leaves out what its own file "
        "brought the last time, adds what it brings now, keeps of each order the newest, and replaces the file: write beside it, then os.replace."),
        ("good = amount.between(0, math.inf, inclusive='neither') is false for NaN, NULL, 0 and infinity. rows.sort_values('received_at')"
        ".drop_duplicates('order_id', keep='last') keeps the newest. re.search('|'.join([address, phone, *map(re.escape, name.split())]), note, re.I) "
        "finds what is personal in a note; then put '***'. hmac.new(key, email.strip().lower().encode(), 'sha256').hexdigest(), with key = "
        "Path('~/secrets/pepper').expanduser().read_text().strip().encode(), and None where there is no address. sys.exit('a sentence') "
        "ends with exit code 1."),
    ],
)  # fmt: skip

# ---- what has to be there -------------------------------------------------------------------------------------------------


def _same(value: Any, wanted: Any) -> bool:
    """Whether a cell that was read says what it should: numbers and times in any type, NULL only as NULL."""
    if wanted is None:
        return value is None
    try:
        if isinstance(wanted, datetime.datetime):
            given = datetime.datetime.fromisoformat(str(value)).replace(tzinfo=None)
            return abs(given - wanted) < datetime.timedelta(milliseconds=1)
        if isinstance(wanted, (int, float)):
            return value is not None and math.isclose(float(value), wanted, abs_tol=0.001)
    except (TypeError, ValueError, OverflowError):
        return False
    return value == wanted


def _plain(row: Row) -> bool:
    """Whether a note of the staged row has nothing personal in it: no note, or one of those that the scenario calls harmless."""
    return row["delivery_note"] in (None, *scenario.HARMLESS)


def _what(row: Row, day: str) -> str:
    """What is special about a staged row, in words, without its data."""
    if scenario.is_test(row):
        return "a test order"
    if why := scenario.reasons(row):
        amount = row["amount"]
        if why == ["bad-amount"] and amount is not None and not math.isfinite(amount):
            return f"bad-amount: {amount}"
        return ", ".join(why)
    if not scenario.normal(row["buyer_email"]):
        return "an order without e-mail address"
    if row["received_at"] - row["ordered_at"] > scenario.LATE:
        return "an order that came more than a day late"
    if made_on(row) != day:
        return "an order that was made on an earlier day than its file's"
    return "an ordinary order"


def _warned(row: Row) -> bool:
    return not scenario.normal(row["buyer_email"]) or row["received_at"] - row["ordered_at"] > scenario.LATE


def _kinds(rows: Iterable[tuple[Row, str]]) -> str:
    counted = Counter(_what(row, day) for row, day in rows)
    return "\n".join(f"{number} × {kind}" for kind, number in counted.most_common(4))


@door.expects("every row is where the rules want it", points=1)
def rows(trial: Trial) -> None:
    story = told(trial)
    _clean_rows(story, story.table("both", "clean"))
    _quarantine_rows(story, story.table("both", "quarantine"))


def _clean_rows(story: Story, table: Table) -> None:
    looked = f"{RUN}; look into clean"
    for columns in table.columns:
        if left_out := [name for name in scenario.CLEAN if name not in columns and name != "buyer_hash"]:
            raise Miss(
                "A column is missing in clean. It has all columns of the list but buyer_name, buyer_email and ship_to.",
                tried=looked, got=f"no {', '.join(left_out)}", wanted=", ".join(scenario.CLEAN), name="column-lost",
            )  # fmt: skip
    wanted, seen = newest(story.days), {id_of(row) for row in table.rows}
    origin = {id(row): day.date for day in story.days for row in day.rows}
    if missing := [row for key, row in wanted.items() if key not in seen]:
        ids = {id_of(row) for row in story.table("both", "quarantine").rows}
        kinds = _kinds((row, origin[id(row)]) for row in missing)
        unreadable = {row["order_id"] for day in story.days for row in day.rows if scenario.reasons(row)}
        got = f"{len(missing)} orders are not in clean:\n{kinds}"
        said = {"tried": looked, "got": got, "wanted": "each order that is good, once"}
        if all(_warned(row) for row in missing):
            raise Miss("A warning is no quarantine: what comes late, or without an address, is said in the report, and passes.", **said, name="warned-is-not-bad")  # fmt: skip
        if all(made_on(row) != origin[id(row)] for row in missing):
            raise Miss(
                "Orders that came late are gone. Tuesday's file had some of Monday; then Monday was run, and its file took their place.",
                **said, name="late-orders-overwritten",
            )  # fmt: skip
        if all(row["order_id"] in unreadable for row in missing):
            raise Miss(
                "An order came once in a good row and once in a bad one, and the bad one has won. Quarantine comes before deduplication: what cannot be used displaces nothing.",
                **said, name="bad-displaces-good",
            )  # fmt: skip
        where = " Some of them are in the quarantine." if any(row["order_id"] in ids for row in missing) else ""
        raise Miss(f"Good orders are lost.{where}", **said, name="lost")
    staged = {row["order_id"]: (row, day.date) for day in story.days for row in day.rows}
    if strange := [row for row in table.rows if id_of(row) not in wanted]:
        found = [staged[id_of(row)] for row in strange if id_of(row) in staged]
        got = f"{len(strange)} rows that do not belong there:\n{_kinds(found)}".rstrip(":\n")
        said = {"tried": looked, "got": got, "wanted": "what is good, and nothing else"}
        if any(scenario.is_test(row) for row, _ in found):
            raise Miss("Test orders are in clean. In an address, capitals and blanks around it mean nothing.", **said, name="test-orders-pass")  # fmt: skip
        if any(row["amount"] is not None and not math.isfinite(row["amount"]) for row, _ in found):
            raise Miss(
                "What is no number, or no finite one, has passed. NaN is neither above 0 nor below, and DuckDB takes it for the greatest of all: ask whether an amount is good, not whether it is bad.",
                **said, name="nan-passes",
            )  # fmt: skip
        raise Miss("Rows that nobody can use are in clean.", **said, name="bad-passes")
    if wrong := [row for row in table.rows if row["/day"] != made_on(wanted[id_of(row)])]:
        raise Miss(
            "An order lies under another day than the one on which it was made. The file's day is when it came; ordered_at is when it happened, and of what people ask.",
            tried=looked, got=f"{len(wrong)} rows, e.g. made on {made_on(wanted[id_of(wrong[0])])}, found in {wrong[0]['/file']}", wanted="clean/orders/day=, and the date of ordered_at",
            name="day-of-the-file",
        )  # fmt: skip
    # What came with both files is for `again` to judge.
    within = [{row["order_id"] for row in good_rows(day)} for day in story.days]
    both = within[0] & within[1]
    counted = Counter(map(id_of, table.rows))
    if twice := [key for key, number in counted.items() if number > 1 and key not in both]:
        raise Miss(
            "Orders that were delivered again within a file are in clean more than once. They differ in received_at, so they are not equal: what makes an order itself is its order_id.",
            tried=looked, got=f"{len(twice)} orders more than once", wanted="each order once", name="not-deduplicated",
        )  # fmt: skip
    for row in table.rows:
        right = wanted[id_of(row)]
        if id_of(row) in both:
            continue
        older = [
            other["received_at"] for day in story.days for other in good_rows(day) if other["order_id"] == id_of(row)
        ]
        if any(_same(row["received_at"], time) and time != right["received_at"] for time in older):
            raise Miss(
                "Of an order that was delivered again, an older row was kept. The newest received_at counts; the file is in no particular order.",
                tried=looked, got="the row that came first", wanted="the row that came last", name="oldest-kept",
            )  # fmt: skip
        for name in scenario.CLEAN[:-1]:
            if name != "delivery_note" and not _same(row[name], right[name]):
                raise Miss(
                    f"{name} is not what was staged. What passes, passes as it is; what is missing stays NULL.",
                    tried=looked, got=f"{name}: {_shape(row[name])}", wanted=f"{name}: {_shape(right[name])}", name="value-changed",
                )  # fmt: skip
        if _plain(right) and row["delivery_note"] != right["delivery_note"]:
            raise Miss(
                "A note without anything personal in it did not stay word for word. Iga counts what stands there.",
                tried=looked, got=f"delivery_note: {_shape(row['delivery_note'])}", wanted=f"delivery_note: {right['delivery_note'] or 'NULL'}", name="harmless-note-gone",
            )  # fmt: skip


SHOWN = r"[\d.:+ -]{1,40}|nan|NaN|None|NaT|inf"


def _shape(value: Any) -> str:
    """A value as it may be shown: numbers and times as they are, of texts only how long they are."""
    if value is None:
        return "NULL"
    if isinstance(value, (int, float, datetime.datetime)) or re.fullmatch(SHOWN, str(value)):
        return str(value)
    return f"a text of {len(str(value))} characters"


def _quarantine_rows(story: Story, table: Table) -> None:
    looked = f"{RUN}; look into quarantine"
    for day in story.days:
        wanted = bad_rows(day)
        mine = [row for row in table.rows if row["/day"] == day.date]
        if not mine:
            raise Miss(
                "Bad rows are dropped without a trace. Somebody has to find them again, and to ask why: they go to the quarantine.",
                tried=looked, got=f"no row for {day.date}", wanted=f"{len(wanted)} rows in quarantine/orders/day={day.date}/", name="bad-rows-dropped",
            )  # fmt: skip
        found: dict[int, Row] = {}
        for row in mine:
            at, key = whole(row.get("position")), id_of(row)
            if at is None and key is None:
                raise Miss(
                    "A row in the quarantine cannot be found again: it has neither order_id nor position.",
                    tried=looked, got=f"columns: {', '.join(name for name in row if name[0] != '/')}"[:300], wanted="order_id, and position: its place in the staged file, from 0", name="not-to-be-found",
                )  # fmt: skip
            if at is None:
                places = [place for place in wanted if day.rows[place]["order_id"] == key and place not in found]
                at = places[0] if places else None
            staged = day.rows[at] if at is not None and 0 <= at < len(day.rows) else None
            if staged is not None and staged["order_id"] != key:
                raise Miss(
                    "order_id and position of a row in the quarantine do not belong together. The first row of the staged file has position 0.",
                    tried=looked, got="another order_id at that position", wanted="the row's own place", name="wrong-position",
                )  # fmt: skip
            if at not in wanted:
                kind = _what(staged, day.date) if staged else "a row that was not staged, or not as a bad one"
                raise Miss("Something is in the quarantine that does not belong there.", tried=looked, got=kind, wanted="rows with one of the four reasons", name="not-bad")  # fmt: skip
            found[at] = row
        if missing := [at for at in wanted if at not in found]:
            kinds = _kinds((day.rows[at], day.date) for at in missing)
            raise Miss(
                "Bad rows are neither in clean nor in the quarantine. A comparison with what is missing is neither true nor false, so such a row is on no side: say what is good, and take all the rest.",
                tried=looked, got=f"{len(missing)} rows are lost:\n{kinds}", wanted=f"{len(wanted)} rows for {day.date}", name="bad-rows-lost",
            )  # fmt: skip
        for at, row in found.items():
            said = re.findall(r"[a-z]+-[a-z]+", str(row.get("reason") or ""))
            said = [word for word in said if word in scenario.REASONS]
            if not said or set(said) - set(wanted[at]):
                raise Miss(
                    "A row in the quarantine has no reason, or not its own. Take the names of the rules.",
                    tried=looked, got=f"reason: {', '.join(said) or _shape(row.get('reason'))}", wanted=f"reason: {' '.join(wanted[at])}", name="wrong-reason",
                )  # fmt: skip


# ---- the report -------------------------------------------------------------------------------------------------------------


@door.expects("the report adds up, and warns", points=0.5)
def counts(trial: Trial) -> None:
    story = told(trial)
    for day in story.days:
        report = _report(story.snapshots["both"], day.date)
        good, tests = good_rows(day), sum(map(scenario.is_test, day.rows))
        again = len(good) - len(newest([day]))
        # Whether a row that another day's file displaces is clean or dropped depends on when one asks.
        displaced = sum(newest(story.days)[key] is not row for key, row in newest([day]).items())
        staged, quarantined = len(day.rows), len(bad_rows(day))
        tried = f"read work/door/report/{day.date}.json"
        parts = {name: _number(report, name, tried) for name in ("staged", "clean", "quarantined", "dropped")}
        got = ", ".join(f"{name} {number}" for name, number in parts.items())
        if parts["clean"] + parts["quarantined"] + parts["dropped"] != parts["staged"]:
            raise Miss(
                "The report does not add up. Every row that was staged is clean, or quarantined, or dropped, and is counted once.",
                tried=tried, got=got, wanted="staged = clean + quarantined + dropped", name="does-not-add-up",
            )  # fmt: skip
        dropped = range(tests + again, tests + again + displaced + 1)
        if (parts["staged"], parts["quarantined"]) != (staged, quarantined) or parts["dropped"] not in dropped:
            raise Miss(
                "The report adds up, and its numbers are not those of that day's file.",
                tried=tried, got=got, wanted=f"staged {staged}, clean {len(good) - again}, quarantined {quarantined}, dropped {tests + again}", name="wrong-counts",
            )  # fmt: skip
        warnings = report.get("warnings")
        if not isinstance(warnings, dict):
            raise Miss('The report has no "warnings" with a number for each.', tried=tried, got=_shape(warnings), wanted='{"late": 3, …}', name="not-warned")  # fmt: skip
        timed = [row for row in day.rows if row["ordered_at"] and row["received_at"]]
        late = [row for row in timed if row["received_at"] - row["ordered_at"] > scenario.LATE]
        silent = [row for row in day.rows if not scenario.normal(row["buyer_email"])]
        new = len(set(day.columns) - set(scenario.COLUMNS))
        for name, several in (("late", late), ("no-email", silent)):
            passing, given = sum(scenario.verdict(row) == "good" for row in several), _amount(warnings.get(name))
            # Those that do not pass are not counted, and no harm is done where they are.
            if given is None or not passing <= given <= len(several):
                raise Miss("The report does not warn as agreed.", tried=tried, got=f"{name}: {_shape(warnings.get(name))}", wanted=f"{name}: {passing}", name="not-warned")  # fmt: skip
        if _amount(warnings.get("new-column")) != new:
            raise Miss(
                "The report does not say how many columns came that nobody has agreed on. (DuckDB makes one of the folder's name, unless it is read with hive_partitioning = false.)",
                tried=tried, got=f"new-column: {_shape(warnings.get('new-column'))}", wanted=f"new-column: {new}", name="new-column-not-counted",
            )  # fmt: skip


def _report(snapshot: Snapshot, date: str) -> dict[str, Any]:
    tried, data = f"read work/door/report/{date}.json", snapshot.below("report").get(f"{date}.json")
    if data is None:
        raise Miss("There is no report of the day.", tried=tried, got=", ".join(sorted(snapshot.below("report"))[:4]) or "nothing in report", wanted=f"report/{date}.json", name="no-report")  # fmt: skip
    try:
        found = json.loads(data[:100_000])
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Miss("The report is no JSON object.", tried=tried, got=f"{len(data)} bytes", wanted='{"day": …, "staged": …}', name="no-report")  # fmt: skip
    return found


def _number(report: dict[str, Any], name: str, tried: str) -> int:
    value = report.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Miss(f"The report has no number “{name}”.", tried=tried, got=f"{name}: {_shape(value)}", wanted=f"{name}: a whole number", name="no-report")  # fmt: skip
    return value


def _amount(value: Any) -> int | None:
    """How many, where a number or a list of what it was is given; nothing is 0."""
    if value is None:
        return 0
    if isinstance(value, (list, dict)):
        return len(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


# ---- again ----------------------------------------------------------------------------------------------------------------


@door.expects("nothing twice, in any order, after a crash and a correction", points=0.5, needs="rows")
def again(trial: Trial) -> None:
    story = told(trial, "again")
    table, wanted = story.table("both", "clean"), newest(story.days)
    _once(table, RUN, "The same order came with two files, and is in clean twice. Orders of other files count, too.")
    for row in table.rows:
        if not _same(row["received_at"], wanted[id_of(row)]["received_at"]):
            raise Miss(
                "An order that was delivered again with a later file is in clean as it was before. The newest received_at counts, whichever file it came with and whichever was run last.",
                tried=RUN, got="the older row", wanted="the newer one", name="last-run-wins",
            )  # fmt: skip
    after = newest([story.monday, story.corrected])
    tried = f"{RUN}; correct Tuesday's file; python door.py {SECOND}, and the disk is full"
    _crashed(story, tried, wanted, after)
    tried = f"{tried}; python door.py {SECOND}"
    snapshot, table = story.snapshots["again"], story.table("again", "clean")
    if snapshot.code:
        raise Miss(
            "After a crash it does not get through any more. What a crash has left behind must not stand in the way.",
            tried=tried, got=f"exit code {snapshot.code}\n{last_line(snapshot.printed, story)}", wanted="exit code 0", name="stuck-after-crash",
        )  # fmt: skip
    if table.broken:
        raise Miss("After a crash and a good run there is still a file that nobody can read.", tried=tried, got=table.broken[0], wanted="only whole files end in .parquet", name="half-file")  # fmt: skip
    _once(table, tried, "Orders are in clean twice after a day was run again. A run takes the place of the one before; it adds nothing to it.")  # fmt: skip
    ids = {id_of(row) for row in table.rows}
    if missing := after.keys() - ids:
        raise Miss(
            "Orders are gone after a day was run again.",
            tried=tried, got=f"{len(missing)} orders are not in clean:\n{_kinds((after[key], SECOND) for key in missing)}", wanted="each order that is good, once", name="hole",
        )  # fmt: skip
    stale = "What Tuesday's former file had brought, and its corrected one has not, is still there. A run replaces everything that the same file's last run has made, on all days."
    if old := [row for row in table.rows if id_of(row) not in after or row["/day"] != made_on(after[id_of(row)])]:
        raise Miss(stale, tried=tried, got=f"{len(old)} rows in clean that are of yesterday's truth", wanted="what the files say now", name="stale")  # fmt: skip
    kept = [row for row in story.table("again", "quarantine").rows if row["/day"] == SECOND]
    if len(kept) != len(bad_rows(story.corrected)):
        raise Miss(stale, tried=tried, got=f"{len(kept)} rows in the quarantine of {SECOND}", wanted=f"{len(bad_rows(story.corrected))} rows", name="stale")  # fmt: skip


def _once(table: Table, tried: str, say: str) -> None:
    if twice := [key for key, number in Counter((id_of(row), row["/day"]) for row in table.rows).items() if number > 1]:
        raise Miss(say, tried=tried, got=f"{len(twice)} orders more than once", wanted="each order once", name="twice")


def _by_day(orders: Iterable[tuple[str, int | None]]) -> dict[str, Counter]:
    """How often each order is there, by the day."""
    found: dict[str, Counter] = defaultdict(Counter)
    for day, key in orders:
        found[day][key] += 1
    return found


def _crashed(story: Story, tried: str, before: dict[int, Row], after: dict[int, Row]) -> None:
    """After the crash each day of clean is as it was or as it will be."""
    snapshot, table = story.snapshots["crash"], story.table("crash", "clean")
    if table.broken:
        raise Miss(
            "After a crash there is half a file in clean, for everybody to read. Write it under another name, and rename it when it is whole.",
            tried=tried, got=table.broken[0], wanted="only whole files end in .parquet", name="half-file",
        )  # fmt: skip
    old_days, new_days = (_by_day((made_on(row), key) for key, row in orders.items()) for orders in (before, after))
    now = _by_day((row["/day"], id_of(row)) for row in table.rows)
    for day in sorted({*now, *old_days, *new_days}):
        known, old, new = now[day], old_days[day], new_days[day]
        if known in (old, new):
            continue
        if missing := (old & new) - known:
            raise Miss(
                "After a crash, orders are gone that were there before, and whoever reads clean now does without them. Take nothing away before its successor is there.",
                tried=tried, got=f"{len(missing)} orders of {day} are not in clean", wanted="the day as it was, or as it will be", name="hole",
            )  # fmt: skip
        raise Miss(
            "After a crash, a day of clean is neither as it was nor as it will be. Replace all of a day in one go.",
            tried=tried, got=f"{day}: {known.total()} rows", wanted=f"{old.total()} or {new.total()} rows", name="twice" if max(known.values()) > 1 else "half-file",
        )  # fmt: skip
    if snapshot.code == 0 and any(now[day] != new_days[day] for day in {*now, *new_days}):
        raise Miss(
            "The disk was full, the day was not written, and the script says that all is well. Let an error be an error: it has to be seen.",
            tried=tried, got="exit code 0", wanted="another one", name="green-after-crash",
        )  # fmt: skip


# ---- hashes ---------------------------------------------------------------------------------------------------------------


@door.expects("buyer_hash joins with the rest of the company, and cannot be guessed", points=0.5)
def hashes(trial: Trial) -> None:
    door_leaks.compare(told(trial), scenario.pepper(trial.seed))


# ---- stop -------------------------------------------------------------------------------------------------------------------


@door.expects("stop means stop: another exit code than 0, and nothing has changed", points=0.5)
def stops(trial: Trial) -> None:
    story = told(trial, ACTS[-1])
    last = story.snapshots["again"]
    for number, what in enumerate(story.bad):
        snapshot = story.snapshots[f"stop {number}"]
        tried = f"python door.py {SECOND}, where {what}"
        paths = sorted({*last.files, *snapshot.files})
        if changed := [path for path in paths if last.files.get(path) != snapshot.files.get(path)]:
            raise Miss(
                "It wrote, or took away, before it knew that it has to stop. Find out first, then write.",
                tried=tried, got=f"~/{changed[0]} is not as it was", wanted="everything as it was before, to the byte", name="stop-that-writes",
            )  # fmt: skip
        if snapshot.code == 0:
            raise Miss(
                "It has to stop and does not say so: exit code 0 is green, and the next step goes on with what there is.",
                tried=tried, got="exit code 0", wanted="another exit code: sys.exit('a sentence') gives 1", name="green-stop",
            )  # fmt: skip


# ---- personal data ----------------------------------------------------------------------------------------------------------


@door.expects("personal data ends at the door: in files, names of files, and what is printed", points=1)
def private(trial: Trial) -> None:
    # What two runs have left behind says most; the others are played where nothing is found in it.
    for until in ("both", ACTS[-1]):
        story = told(trial, until)
        door_leaks.search(story)
        expected = tuple(f"{scenario.FOLDER}/{name}/" for name in scenario.OUTPUTS)
        for snapshot in story.snapshots.values():
            if other := [path for path in snapshot.files if not path.startswith(expected)]:
                raise Miss(
                    "The script writes where nobody expects it, or changes what was staged. What is not in clean, quarantine or report is looked after by nobody.",
                    tried=f"python door.py {snapshot.date}", got=f"~/{other[0]}", wanted=", ".join(scenario.OUTPUTS), name="elsewhere",
                )  # fmt: skip
