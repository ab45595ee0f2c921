"""Task 6.3, its parts: the days that come to the door, the rules, and how what a script leaves behind is read and searched.

The answers are replayed by test_06_pipeline_validation.py.
"""

import dataclasses
import datetime
import hashlib
import math
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from opslab import jail, server
from opslab.checks import Miss
from opslab.checks.pipeline_validation import door as checks
from opslab.checks.pipeline_validation import door_leaks, door_story
from opslab.scenarios.pipeline_validation import door
from opslab.worlds import workspace

NOON = datetime.datetime(2026, 11, 16, 12)
ORDER = {
    "order_id": 1, "listing_id": 2, "partner_id": "private", "buyer_id": 3, "ordered_at": NOON, "received_at": NOON, "amount": 9.5,
    "currency": "PLN", "status": "paid", "payment": "card", "coupon": None, "buyer_name": "Łukasz Wójcik",
    "buyer_email": "Lukasz.Wojcik7@mail.example ", "ship_to": "Łukasz Wójcik, Lipowa 12, Targowo", "delivery_note": None,
}  # fmt: skip


# ---- the rules ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({}, "good"),
        ({"order_id": None}, "no-key"),
        ({"ordered_at": None}, "bad-time"),
        ({"received_at": None}, "bad-time"),
        ({"ordered_at": NOON + datetime.timedelta(seconds=1)}, "bad-time"),
        ({"ordered_at": NOON - datetime.timedelta(days=30)}, "good"),
        ({"ordered_at": NOON - datetime.timedelta(days=30, seconds=1)}, "bad-time"),
        *(({"amount": amount}, "bad-amount") for amount in (None, math.nan, math.inf, -math.inf, 0.0, -0.01)),
        ({"amount": 0.01}, "good"),
        *(({"currency": currency}, "unknown-currency") for currency in (None, "", "pln", "USD")),
        ({"buyer_email": None}, "good"),
        ({"buyer_email": " QA+1@TEST.example\t", "amount": 0.0}, "test"),
        ({"buyer_email": "qa@test.example.org"}, "good"),
    ],
)
def test_a_row_has_its_verdict(changed, verdict):
    assert door.verdict({**ORDER, **changed}) == verdict


def test_the_hash_is_what_the_notes_show():
    text = door.notes()
    assert "{{" not in text
    assert door.buyer_hash(door.EXAMPLE_KEY, door.EXAMPLE_EMAIL) in text
    assert all(word in text for word in (*door.REASONS, *door.COLUMNS, *door.CURRENCIES))
    # As one builds it: whoever deduplicates before the quarantine is built lets bad rows displace good ones.
    steps = ("stop", "Drop test", "Quarantine", "newest", "Mask and hash", "Write", "Report")
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert all(step in heading for step, heading in zip(steps, headings, strict=True))
    assert text.index("displaces nothing") < text.index("newest `received_at`")
    assert door.buyer_hash("key", "  ") is None


def test_the_lines_of_code_in_the_notes_do_what_is_said(tmp_path):
    import duckdb
    import pandas as pd

    monday = door.days(1)[0]
    path = tmp_path / f"day={door.FIRST}/part-0.parquet"
    path.parent.mkdir()
    path.write_bytes(door.parquet([monday])[0])
    reading, masking, writing = re.findall(r"```python\n(.*?)```", door.notes(), re.DOTALL)
    known = {"duckdb": duckdb, "re": re, "os": os, "path": str(path), "rows": pd.DataFrame({"order_id": [1]})}
    exec(reading, known)  # noqa: S102  (our own lines)
    assert known["types"] == door.COLUMNS, "no column of the folder's name"
    for name in door.NAMES:
        for note in (f"Call for {name.upper()}", f"Ask for {name.split()[-1]}", *door.HARMLESS):
            known |= {"name": name, "note": note}
            exec(masking, known)  # noqa: S102  (our own lines)
            assert known["note"] == (note if note in door.HARMLESS else "***")
    exec(writing, known)  # noqa: S102  (our own lines)
    assert duckdb.read_parquet(str(path)).fetchall() == [(1,)]
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_thousands_of_marks_on_a_letter_are_put_in_order_in_no_time():
    text = "Łukasz " + "x" + "\u0301\u0316" * 200_000 + " Wójcik"
    assert len(door.folded(text)) < 100 and door.folded("Wo\u0301jcik") == door.folded("WÓJCIK")


# ---- staging a day where a script has run ---------------------------------------------------------------------------------


def test_a_link_in_the_place_of_a_staged_file_is_not_written_through(tmp_path):
    home, outside = tmp_path / "home", tmp_path / "gradebook.db"
    outside.write_text("points")
    day = door.days(1)[1]
    path, data = door.staged(day)
    (home / path).parent.mkdir(parents=True)
    (home / path).symlink_to(outside)
    door_story._stage(home, day)
    assert outside.read_text() == "points" and (home / path).read_bytes() == data
    shutil.rmtree(home)
    home.mkdir()
    (home / "work").symlink_to(tmp_path)
    with pytest.raises(Miss) as missed:
        door_story._stage(home, day)
    assert missed.value.name == "staging-changed" and sorted(os.listdir(tmp_path)) == ["gradebook.db", "home"]


# ---- the days -------------------------------------------------------------------------------------------------------------


def test_the_days_are_the_same_on_any_machine():
    told = repr([(day.date, day.rows, day.phones) for day in (*door.days(1), *door.stops(1).values())])
    assert hashlib.sha256(told.encode()).hexdigest() == DIGEST


DIGEST = "9313351bbd718f637ac8a0a55d8c9eec9cfcb3069a8c59a0ac2e1dcfd3e4490b"


@pytest.mark.parametrize("seed", [1, 2, 3, 38, 69, 6301, 6302, 123_456])
def test_every_world_has_all_that_is_asked_about(seed):
    monday, tuesday, corrected = door.days(seed)
    for day in (monday, tuesday):
        verdicts = {door.verdict(row) for row in day.rows}
        assert verdicts == {"good", "test", *door.REASONS}
        good = door.good_rows(day)
        assert len(good) > len({row["order_id"] for row in good}), "something is delivered again"
        assert any(not door.normal(row["buyer_email"]) for row in good)
        amounts = [row["amount"] for row in day.rows]
        assert None in amounts
        assert {"nan", "inf", "0.0"} <= set(map(str, amounts))
        assert len(day.phones) >= 3
        notes = {row["delivery_note"] for row in good}
        assert set(door.HARMLESS) <= notes
        assert any(note and note.isupper() for note in notes)
    orders, staged = door.newest([monday, tuesday]), [row for day in (monday, tuesday) for row in day.rows]
    both = {row["order_id"] for row in door.good_rows(monday)} & {row["order_id"] for row in door.good_rows(tuesday)}
    assert len(both) == 3, "they came with both files"
    assert {door.made_on(row) for row in door.good_rows(tuesday)} >= {"2026-11-13", door.FIRST, door.SECOND}
    late = [row for row in orders.values() if row["received_at"] - row["ordered_at"] > door.LATE]
    assert len(late) >= 2
    assert set(tuesday.columns) - set(door.COLUMNS) == {"buyer_phone"}
    assert door.newest([monday, corrected]).keys() < orders.keys() | {row["order_id"] for row in staged}
    gone = {row["order_id"] for row in tuesday.rows} - {row["order_id"] for row in corrected.rows}
    assert len(gone) == 4
    assert "2026-11-13" not in {door.made_on(row) for row in door.good_rows(corrected)}
    spelled = [row["buyer_email"] for row in door.good_rows(tuesday) if row["buyer_email"]]
    assert sum(email != door.normal(email) for email in spelled) >= 3


@pytest.mark.parametrize("seed", range(1, 25))
def test_two_rows_of_an_order_with_the_same_time_are_the_same(seed):
    """Otherwise nobody could say which of them counts."""
    monday, tuesday, corrected = door.days(seed)
    for files in ((monday, tuesday), (monday, corrected)):
        seen = {}
        for row in (row for day in files for row in door.good_rows(day)):
            known = {name: row[name] for name in door.COLUMNS}
            assert seen.setdefault((row["order_id"], row["received_at"]), known) == known


def test_a_stop_is_another_one_in_the_next_world():
    assert not door.stops(1).keys() & door.stops(2).keys()
    for day in (*door.stops(1).values(), *door.stops(2).values()):
        whole = day.columns == door.COLUMNS
        assert not whole or not door.good_rows(day)


def test_a_file_says_what_the_rows_say(tmp_path):
    import duckdb

    days = [*door.days(1), *door.stops(1).values(), *door.stops(2).values()]
    assert door.parquet(days) == door.parquet(days)
    for day, data in zip(days, door.parquet(days), strict=True):
        (tmp_path / "file.parquet").write_bytes(data)
        found = duckdb.read_parquet(str(tmp_path / "file.parquet"))
        assert dict(zip(found.columns, map(str, found.types), strict=True)) == day.columns
        rows = [dict(zip(day.columns, row, strict=True)) for row in found.fetchall()]
        assert repr(rows) == repr(day.rows)  # NaN is not equal to itself


def test_the_desk_is_built_from_files_only(tmp_path):
    for home in (tmp_path / "a", tmp_path / "b"):
        door.build(home, 4, frozenset())
    names = [str(path.relative_to(tmp_path / "a")) for path in sorted((tmp_path / "a").rglob("*")) if path.is_file()]
    assert names == sorted([door.NOTES, door.PEPPER, door.SCRIPT, *(f"{door.STAGING}/day={day}/part-0.parquet" for day in (door.FIRST, door.SECOND, door.BROKEN))])  # fmt: skip
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in names)


def test_a_reset_takes_away_what_an_older_script_has_made_and_keeps_a_copy(tmp_path):
    """Otherwise clean would have rows of a script that is gone, and nobody could tell."""
    world = server.World(tmp_path / "pipeline/workspace", tmp_path / "state")
    workspace.build("06_pipeline_validation", world.home, 1)
    start = sorted(path.name for path in (world.home / door.FOLDER).iterdir())
    made = [f"{door.FOLDER}/{folder}/day={door.FIRST}/old" for folder in door.OUTPUTS]
    for path in made:
        (world.home / path).parent.mkdir(parents=True)
        (world.home / path).write_text("of an old script")
    kept = world.reset(lambda line: None, "6.3", "06_pipeline_validation")["kept"]
    assert sorted(path.name for path in (world.home / door.FOLDER).iterdir()) == start
    assert all(Path(kept, path).read_text() == "of an old script" for path in made)


# ---- what was left behind ----------------------------------------------------------------------------------------------------


def test_links_and_pipes_are_not_read(tmp_path):
    (tmp_path / "home/clean").mkdir(parents=True)
    (tmp_path / "secret").write_text("not theirs")
    (tmp_path / "home/clean/real").write_text("theirs")
    (tmp_path / "home/clean/link").symlink_to(tmp_path / "secret")
    (tmp_path / "home/folder").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "home/pipe")
    assert dict(door_story._files(tmp_path / "home")) == {"clean/real": b"theirs"}


@pytest.mark.parametrize("kind", ["many", "big", "deep"])
def test_too_much_is_refused(tmp_path, kind):
    if kind == "many":
        for number in range(door_story.MOST_FILES + 1):
            (tmp_path / str(number)).touch()
    elif kind == "big":
        with (tmp_path / "sparse").open("wb") as file:
            file.truncate(10**10)
    else:
        (tmp_path / "/".join("d" * (door_story.MOST_FILES + 1))).mkdir(parents=True)
    with pytest.raises(Miss) as caught:
        dict(door_story._files(tmp_path))
    assert caught.value.name == "too-much"


@pytest.fixture
def story(tmp_path):
    """A story in which nothing has happened yet. What is left behind is put there with `after`."""
    monday, tuesday, corrected = door.days(1)
    return door_story.Story(tmp_path, door.pepper(1), monday, tuesday, corrected, door.stops(1), {})


def after(story, act="both", printed="", files=None, rows=None):
    """Let a run have left this behind: texts by their path in the folder of the task, rows of Parquet files by theirs."""
    written = {f"{door.FOLDER}/{path}": text.encode() for path, text in (files or {}).items()}
    for path, cells in (rows or {}).items():
        written[f"{door.FOLDER}/{path}"] = data = f"the file {path}".encode()
        story.parquet[door_story.digest(data)] = {
            "columns": list(cells[0]),
            "rows": [list(row.values()) for row in cells],
        }
    story.snapshots[act] = door_story.Snapshot(door.FIRST, 0, printed, written)
    if act == "both":
        story.snapshots["again"] = story.snapshots[act]
    return story


class Jailed:
    """As much of a trial as is needed to read Parquet."""

    def __init__(self, folder):
        self._folder = folder

    def folder(self):
        return self._folder

    def run(self, argv, *, home, limits):
        return jail.run(argv, home=home, env={}, limits=limits, read_only=[sys.prefix, sys.base_prefix])


def test_parquet_is_read_whatever_it_is(story, tmp_path):
    import duckdb

    def copied(query):
        path = tmp_path / "made.parquet"
        duckdb.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
        return path.read_bytes()

    files = {
        "good": copied(
            "SELECT 1 AS order_id, 'x' AS note, NULL::INT AS nothing, 'nan'::DOUBLE AS amount, {'a': [1]} AS nested"
        ),
        "long": copied("SELECT range AS order_id, repeat('long ', 1000) AS note FROM range(20000)"),
        "garbage": b"PAR1" + bytes(range(256)) + b"PAR1",
        "empty": b"",
        "half": copied("SELECT range AS order_id FROM range(1000)")[:900],
    }
    written = {f"{door.FOLDER}/clean/orders/day={door.FIRST}/{name}.parquet": data for name, data in files.items()}
    story.snapshots["both"] = door_story.Snapshot(door.FIRST, 0, "", written)
    (tmp_path / "reading").mkdir()
    door_story._read(Jailed(tmp_path / "reading"), story)
    found = {name: story.parquet[door_story.digest(data)] for name, data in files.items()}
    assert found["good"]["rows"] == [[1, "x", None, "nan", "{'a': [1]}"]]
    assert len(found["long"]["rows"]) == 5000
    assert len(found["long"]["rows"][0][1]) == 2000
    table = story.table("both", "clean")
    assert sorted(path.rpartition("/")[2] for path in table.broken) == [
        "empty.parquet",
        "garbage.parquet",
        "half.parquet",
    ]
    assert {row["/day"] for row in table.rows} == {door.FIRST}


def test_an_error_is_shown_without_its_people(story):
    assert door_story.last_line("Traceback …\nValueError: no day\nnoise", story) == "ValueError: no day"
    assert door_story.last_line("", story) == "(nothing printed)"
    name = story.monday.rows[0]["buyer_name"]
    assert name.upper() not in door_story.last_line(f"KeyError: {name.upper()}", story)


# ---- personal data -----------------------------------------------------------------------------------------------------------


def someone(story):
    return next(row for row in story.monday.rows if door.verdict(row) == "good" and row["delivery_note"] is None)


SPELLED = {
    "name": lambda row: row["buyer_name"],
    "NAME": lambda row: row["buyer_name"].upper(),
    "without accents": lambda row: door._plain(row["buyer_name"]),
    "surname first": lambda row: ", ".join(reversed(row["buyer_name"].rsplit(" ", 1))),
    "E-MAIL": lambda row: row["buyer_email"].upper(),
    "who is before the @": lambda row: row["buyer_email"].split("@")[0] + "@***",
    "street": lambda row: row["ship_to"].split(", ")[1],
}


@pytest.mark.parametrize("spelled", SPELLED)
@pytest.mark.parametrize("where", ["printed", "report", "clean", "quarantine", "reason", "new", "cache"])
def test_personal_data_is_found_in_any_spelling(story, spelled, where):
    text = f"it was {SPELLED[spelled](someone(story))}!"
    left = {
        "printed": ({"printed": text}, "in-logs"),
        "report": ({"files": {f"report/{door.FIRST}.json": text}}, "in-report"),
        "clean": ({"rows": {"clean/orders/day=x/a.parquet": [{"order_id": 1, "delivery_note": text}]}}, "in-note"),
        "quarantine": ({"rows": {"quarantine/orders/day=x/a.parquet": [{"payment": text}]}}, "in-quarantine"),
        "reason": ({"rows": {"quarantine/orders/day=x/a.parquet": [{"reason": text}]}}, "in-reason"),
        "new": ({"rows": {"clean/orders/day=x/a.parquet": [{"extra": text}]}}, "in-new-column"),
        "cache": ({"files": {"cache.txt": text}}, "elsewhere"),
    }[where]
    with pytest.raises(Miss) as caught:
        door_leaks.search(after(story, **left[0]))
    assert caught.value.name == left[1]
    assert SPELLED[spelled](someone(story)) not in caught.value.got


def test_names_of_files_are_searched_and_what_is_left_after_a_stop(story):
    row = someone(story)
    name = "-".join(door._plain(row["buyer_name"]).lower().split())
    with pytest.raises(Miss, match="name of a file"):
        door_leaks.search(after(story, files={f"quarantine/orders/{name}.csv": "1"}))
    after(story)
    with pytest.raises(Miss, match="printed"):
        door_leaks.search(after(story, "stop 1", printed=row["ship_to"]))


def test_a_phone_number_is_found_however_it_is_written(story):
    phone = story.monday.phones[0]
    digits = "".join(filter(str.isdigit, phone))[-9:]
    for text in (phone, digits, " ".join(digits), f"0{digits[:2]}/{digits[2:]}"[1:]):
        with pytest.raises(Miss, match="delivery_note"):
            door_leaks.search(
                after(story, rows={"clean/orders/day=x/a.parquet": [{"order_id": 1, "delivery_note": text}]})
            )


def test_a_part_of_the_own_name_is_found_and_that_of_others_is_a_word(story):
    row, others = someone(story), ("Ring at the vogel house", "leave it in the shed")
    surname = row["buyer_name"].split()[-1]
    for note in others:
        cells = {"order_id": row["order_id"], "delivery_note": note}
        door_leaks.search(after(story, rows={"clean/orders/day=x/a.parquet": [cells]}))
    cells["delivery_note"] = f"bell: {surname.upper()}."
    with pytest.raises(Miss, match="delivery_note"):
        door_leaks.search(after(story, rows={"clean/orders/day=x/b.parquet": [cells]}))


def test_numbers_and_hashes_are_nobodys_data(story):
    hashed = [{"order_id": row["order_id"], "received_at": str(row["received_at"]), "delivery_note": "***", "buyer_hash": door.buyer_hash(story.pepper, row["buyer_email"])} for row in story.monday.rows]  # fmt: skip
    report = '{"day": "2026-11-16", "staged": 230, "warnings": {"new-column": ["buyer_phone"]}}'
    printed = " ".join(str(row["order_id"]) for row in story.monday.rows)
    door_leaks.search(
        after(story, printed=printed, files={"report/a.json": report}, rows={"clean/orders/day=x/a.parquet": hashed})
    )


@pytest.mark.parametrize("made", ["md5", "sha256", "blake2b", "empty key", "cut", "base64"])
def test_what_can_be_guessed_is_guessed(story, made):
    import base64
    import hmac

    email = door.normal(someone(story)["buyer_email"]).encode()
    value = {
        "empty key": lambda: hmac.new(b"", email, "sha256").hexdigest(),
        "cut": lambda: hashlib.sha256(email).hexdigest()[:16].upper(),
        "base64": lambda: base64.b64encode(email).decode(),
    }.get(made, lambda: hashlib.new(made, email).hexdigest())()
    with pytest.raises(Miss) as caught:
        door_leaks.search(after(story, files={f"report/{door.FIRST}.json": f'{{"buyer": "{value}"}}'}))
    assert caught.value.name == "guessable"


def test_the_key_is_found(story):
    with pytest.raises(Miss) as caught:
        door_leaks.search(after(story, printed=f"key={story.pepper}"))
    assert caught.value.name == "key-shown"


# ---- odd values ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (7, 7),
        ("7", 7),
        ("7.0", 7),
        ("1e3", 1000),
        ("7.5", None),
        ("nan", None),
        ("inf", None),
        (None, None),
        ("x", None),
        (10**400, None),
    ],
)
def test_a_whole_number_is_one_however_it_is_written(value, number):
    assert door_story.whole(value) == number


@pytest.mark.parametrize(
    ("value", "wanted", "same"),
    [
        (None, None, True), ("None", None, False), ("nan", None, False), ("", None, False), ("x", "x", True), ("X", "x", False),
        ("9.5", 9.5, True), ("9.49999999", 9.5, True), ("9,5", 9.5, False), (None, 9.5, False), ("nan", 9.5, False), (10**400, 9.5, False),
        ("2026-11-16 12:00:00", NOON, True), ("2026-11-16T12:00:00+00:00", NOON, True), ("2026-11-16", NOON, False), (5, NOON, False),
    ],
)  # fmt: skip
def test_a_cell_is_compared_by_what_it_says(value, wanted, same):
    assert checks._same(value, wanted) is same


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{",
        "[" * 100_000,
        '{"staged": 1e999}',
        '{"staged": true}',
        '{"staged": ' + "9" * 5000 + "}",
        "\0",
    ],
)
def test_a_report_of_any_kind_is_judged_in_words(story, text):
    snapshot = after(story, files={f"report/{door.FIRST}.json": text}).snapshots["both"]
    with pytest.raises(Miss) as caught:
        report = checks._report(snapshot, door.FIRST)
        checks._number(report, "staged", "read it")
    assert caught.value.name == "no-report"


def test_a_list_of_what_it_was_is_a_number_of_it():
    amounts = {None: 0, 3: 3, ("a", "b"): 2, True: None, "3": None, 2.0: None}
    assert [checks._amount(list(value) if isinstance(value, tuple) else value) for value in amounts] == list(
        amounts.values()
    )


def test_days_are_not_changed_by_whoever_looks_at_them():
    before = repr(door.days(1))
    (
        door.stops(1),
        door.stops(2),
        door.newest(door.days(1)),
        door.personal(door.days(1)),
        door.parquet(list(door.days(1))),
    )
    assert repr(door.days(1)) == before
    assert dataclasses.is_dataclass(door.days(1)[0])
