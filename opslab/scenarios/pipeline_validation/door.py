"""Task 6.3: the door between staging and clean, and the days that come to it.

    work/door/door.py                  what Kuba has left: it appends, and prints whom it throws away
    work/door/staging/orders/day=…/    three days as they arrived, a Parquet file each
    secrets/pepper                     the key of the company's hashes
    notes/at-the-door.md               what is agreed on: columns, stop, drop, quarantine, warn, personal data

`days(seed)` are the days as rows, with all that is odd about them, so that a check can go by the rules; `verdict` is the rules.

    >>> monday, tuesday = days(1)[:2]
    >>> {verdict(row) for row in monday.rows} >= {"good", "test", "no-key", "bad-amount"}
    True
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import hmac
import math
import random
import re
import tempfile
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = "work/door"
SCRIPT = f"{FOLDER}/door.py"
STAGING = f"{FOLDER}/staging/orders"
PEPPER = "secrets/pepper"
NOTES = "notes/at-the-door.md"
OUTPUTS = ("clean/orders", "quarantine/orders", "report")
"""Where the script writes, below FOLDER."""

FIRST, SECOND, BROKEN = "2026-11-16", "2026-11-17", "2026-11-18"
"""The days on the desk. The last one is to be stopped."""

COLUMNS = {
    "order_id": "BIGINT", "listing_id": "BIGINT", "partner_id": "VARCHAR", "buyer_id": "BIGINT", "ordered_at": "TIMESTAMP",
    "received_at": "TIMESTAMP", "amount": "DOUBLE", "currency": "VARCHAR", "status": "VARCHAR", "payment": "VARCHAR", "coupon": "VARCHAR",
    "buyer_name": "VARCHAR", "buyer_email": "VARCHAR", "ship_to": "VARCHAR", "delivery_note": "VARCHAR",
}  # fmt: skip
"""What was agreed on: the columns of a staged file and their types in DuckDB."""

PERSONAL = ("buyer_name", "buyer_email", "ship_to")
CLEAN = (*(name for name in COLUMNS if name not in PERSONAL), "buyer_hash")
"""The columns of clean, in any order."""

CURRENCIES = ("CHF", "CZK", "EUR", "HUF", "PLN", "RON", "SEK")
REASONS = ("no-key", "bad-time", "bad-amount", "unknown-currency")
LATE, TOO_LATE = datetime.timedelta(days=1), datetime.timedelta(days=30)
TESTERS = "@test.example"

EXAMPLE_KEY, EXAMPLE_EMAIL = "only-an-example", "  Ana.Bjork12@Mail.example"
"""What the notes show how to hash with."""

NAMES = ("Siobhán O'Neill", "Ana (Ania) D'Angelo", "Jean-Luc d'Ormesson", "Zoë Björk-Šimek", "J. Bartosz Wójcik")
"""Names as people have them: with apostrophes, brackets, dots and hyphens."""

HARMLESS = (
    "Leave it at the door", "Second floor", "Please ring twice", "The dog is friendly", "Behind the green gate", "Not before noon, please",
    "If nobody is in, next door",
)  # fmt: skip
"""Notes without anything personal in them."""

PHONES = ("+48 {} {} {}", "+48{}{}{}", "0048-{}-{}-{}", "(+48) {} {} {}", "{}/{}.{}")
"""How people write their number."""

Row = dict[str, Any]


@dataclass
class Day:
    """What arrived on a day. phones: the numbers that stand somewhere in it. types: where a column has another type than agreed."""

    date: str
    rows: list[Row]
    phones: list[str] = field(default_factory=list)
    types: dict[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> dict[str, str]:
        """The columns of the file, in order, and their types."""
        names = list(self.rows[0]) if self.rows else list(COLUMNS)
        return {name: self.types.get(name, COLUMNS.get(name, "VARCHAR")) for name in names}


# ---- the rules, as they stand in the notes ----------------------------------------------------------------------------------


def normal(email: str | None) -> str:
    """An e-mail address as it is hashed; empty where there is none."""
    return (email or "").strip().lower()


def is_test(row: Row) -> bool:
    """Whether somebody tried the shop."""
    return normal(row["buyer_email"]).endswith(TESTERS)


def reasons(row: Row) -> list[str]:
    """Why a row goes to the quarantine; empty: it does not."""
    amount, ordered, received = row["amount"], row["ordered_at"], row["received_at"]
    in_time = ordered and received and datetime.timedelta() <= received - ordered <= TOO_LATE
    holds = {
        "no-key": row["order_id"] is not None,
        "bad-time": bool(in_time),
        "bad-amount": amount is not None and math.isfinite(amount) and amount > 0,
        "unknown-currency": row["currency"] in CURRENCIES,
    }
    return [reason for reason in REASONS if not holds[reason]]


def verdict(row: Row) -> str:
    """ "test", the first reason for the quarantine, or "good"."""
    return "test" if is_test(row) else next(iter(reasons(row)), "good")


def buyer_hash(pepper: str, email: str | None) -> str | None:
    """The company's hash of an address; None where there is none."""
    known = normal(email)
    return hmac.new(pepper.encode(), known.encode(), hashlib.sha256).hexdigest() if known else None


# ---- what follows from them -----------------------------------------------------------------------------------------------


def made_on(row: Row) -> str:
    """The day of clean to which an order belongs."""
    return row["ordered_at"].date().isoformat()


def good_rows(day: Day) -> list[Row]:
    """The rows of a file that pass, those that were delivered again included."""
    return [row for row in day.rows if verdict(row) == "good"]


def bad_rows(day: Day) -> dict[int, list[str]]:
    """The reasons for the rows of a file that belong into the quarantine, by their position."""
    found = {at: reasons(row) for at, row in enumerate(day.rows) if not is_test(row)}
    return {at: why for at, why in found.items() if why}


def newest(several: Iterable[Day]) -> dict[int, Row]:
    """The orders that count when these files were let in, by their id."""
    rows = sorted((row for day in several for row in good_rows(day)), key=lambda row: row["received_at"])
    return {row["order_id"]: row for row in rows}


def people(several: Iterable[Day]) -> list[Row]:
    """The rows of everybody who has bought something, or tried to."""
    return [row for day in several for row in day.rows if not is_test(row)]


def folded(text: str) -> str:
    """A text without the difference between capitals and small letters."""
    return unicodedata.normalize("NFC", _FOREIGN.sub(_with_few_marks, text)).casefold()


_FOREIGN = re.compile(r"[^\x00-\u02ff]{64,}")


def _with_few_marks(found: re.Match[str]) -> str:
    """At most thirty combining marks on a letter: to put thousands in order takes minutes, and no language has them."""
    kept, marks = [], 0
    for letter in found[0]:
        marks = marks + 1 if unicodedata.combining(letter) else 0
        if marks <= 30:
            kept.append(letter)
    return "".join(kept)


def personal(several: Iterable[Day]) -> dict[str, str]:
    """What must be nowhere, folded, and what it is: names and addresses, in some spellings."""
    found: dict[str, str] = {}
    for row in people(several):
        name, email = row["buyer_name"], normal(row["buyer_email"])
        first, _, last = name.rpartition(" ")
        found |= {folded(form): "a name" for form in (name, _plain(name), f"{last} {first}", f"{last}, {first}")}
        found |= {folded(form): "an address" for form in (row["ship_to"], row["ship_to"].split(", ")[1])}
        if email:
            found |= {form: "an e-mail address" for form in (email, email.partition("@")[0])}
    return found


def _plain(name: str) -> str:
    """A name without accents."""
    decomposed = unicodedata.normalize("NFKD", name.replace("ł", "l").replace("Ł", "L"))
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


# ---- days ---------------------------------------------------------------------------------------------------------------


def pepper(seed: int) -> str:
    """The key of a seed: made up, and of letters and digits only."""
    drawn = random.Random(f"pepper {seed}")
    return "".join(drawn.choice("abcdefghijkmnpqrstuvwxyz23456789") for _ in range(32))


@functools.lru_cache(maxsize=4)
def days(seed: int) -> tuple[Day, Day, Day]:
    """Monday, Tuesday, and Tuesday's file as it comes again, corrected. To be read, not to be changed."""
    rng = random.Random(f"door {seed}")
    first, second = _ordinary(seed, FIRST, rng), _ordinary(seed, SECOND, rng)
    monday, tuesday = Day(FIRST, first), Day(SECOND, second)
    for day in (monday, tuesday):
        _people(day, rng)
    # Who buys on both days, and writes the address as it comes.
    spellings = (str.upper, str.title, "  {}".format, "{} ".format, " {}\t".format)
    back, silent = rng.sample(first, 5), [row for row in second if row["delivery_note"] is None]
    for old, new, spell in zip(back, rng.sample(silent, 5), spellings, strict=True):
        new.update(
            {name: old[name] for name in ("buyer_id", "buyer_name", "ship_to")}, buyer_email=spell(old["buyer_email"])
        )
    for day in (monday, tuesday):
        _break(day, rng)
    # What Monday's file had comes once more with Tuesday's: three are paid by now, one has become unreadable.
    ids = [row["order_id"] for row in first]
    single = [
        row
        for row in first
        if verdict(row) == "good" and ids.count(row["order_id"]) == 1 and 3 < row["ordered_at"].hour < 20
    ]
    for number, old in enumerate(rng.sample(single, 4)):
        later = datetime.datetime(2026, 11, 17, rng.randrange(3), rng.randrange(60))
        old["status"] = "pending"
        second.append(
            {**old, "received_at": later, "status": "paid", **({"amount": -old["amount"]} if number == 0 else {})}
        )
    # Two orders of Friday: a phone that was off over the weekend.
    for hour in (19, 20):
        late = dict(
            rng.choice([row for row in second if verdict(row) == "good" and _wait(row) < LATE]), order_id=_fresh(second)
        )
        late["ordered_at"] = datetime.datetime(2026, 11, 13, hour, rng.randrange(60))
        late["received_at"] = datetime.datetime(2026, 11, 17, hour - 12, rng.randrange(60))
        second.append(late)
    # A column that nobody has announced.
    tuesday.rows = [{**row, "buyer_phone": _phone(rng, tuesday) if rng.random() < 0.4 else None} for row in second]
    rng.shuffle(monday.rows)
    rng.shuffle(tuesday.rows)
    return monday, tuesday, _corrected(monday, tuesday, rng)


def stops(seed: int) -> dict[str, Day]:
    """Two files for Tuesday with which the script has to stop, by what is wrong with them: others where the seed is odd."""
    rng = random.Random(f"stops {seed}")
    good = days(seed)[0].rows
    gone = rng.choice(("status", "payment", "partner_id", "listing_id"))
    renamed = [{gone + "_new" if name == gone else name: value for name, value in row.items()} for row in good]
    typed = rng.choice(("amount", "ordered_at", "order_id"))
    as_text: Mapping[str, Any] = {
        "amount": lambda value: "" if value is None else f"{value:.2f}".replace(".", ","),
        "ordered_at": lambda value: value and value.isoformat(sep=" "),
        "order_id": lambda value: value and str(value),
    }
    text = [{**row, typed: as_text[typed](row[typed])} for row in good]
    unusable = [{**row, "currency": None} if number % 2 else {**row, "amount": 0.0} for number, row in enumerate(good)]
    if seed % 2:
        return {
            "a column that is needed is missing": Day(SECOND, renamed),
            "no row in the file can be used": Day(SECOND, unusable),
        }
    return {
        "a column has another type than agreed on": Day(SECOND, text, types={typed: "VARCHAR"}),
        "there is no row in the file": Day(SECOND, []),
    }


def _ordinary(seed: int, date: str, rng: random.Random) -> list[Row]:
    """Some 220 orders that arrived on a day, as dictionaries without pandas' own ideas of what is missing."""
    import pandas as pd

    from opslab.worlds.pipeline.data import Targ

    frame = Targ(seed, clicks=1_000).table("orders", date)
    late = frame.index[frame["ordered_at"] < pd.Timestamp(date)].tolist()
    others = sorted(set(frame.index) - set(late))
    chosen = frame.loc[sorted(late + rng.sample(others, 200))]
    columns = [[None if missing else value for value, missing in zip(chosen[name].tolist(), chosen[name].isna(), strict=True)] for name in chosen]  # fmt: skip
    rows = [dict(zip(chosen, values, strict=True)) for values in zip(*columns, strict=True)]
    for row in rows:
        for name in ("ordered_at", "received_at"):
            row[name] = row[name].to_pydatetime()
    return rows


def _people(day: Day, rng: random.Random) -> None:
    """Names as people have them, and notes as people write them."""
    for row, name in zip(rng.sample(day.rows, len(NAMES)), NAMES, strict=True):
        street = row["ship_to"].partition(", ")[2]
        plain = "".join(letter for letter in _plain(name).lower().replace(" ", ".") if letter not in "()'")
        row.update(
            buyer_name=name, buyer_email=f"{plain}{row['buyer_id'] % 1000}@mail.example", ship_to=f"{name}, {street}"
        )
        row["delivery_note"] = f"Call for {name} or write to {row['buyer_email']}"
    quiet = [row for row in day.rows if row["buyer_name"] not in NAMES and row["delivery_note"] is None]
    rng.shuffle(quiet)
    for text in HARMLESS:
        quiet.pop()["delivery_note"] = text
    for form in (
        "Name on the bell: {last}",
        "{NAME}, SECOND FLOOR",
        "WRITE TO {EMAIL}",
        "Ask for {first}",
        "mail:{email}.",
        "{last}!",
    ):
        row = quiet.pop()
        first, last = row["buyer_name"].split()
        words = {"first": first, "last": last.upper(), "NAME": row["buyer_name"].upper(), "email": row["buyer_email"]}
        row["delivery_note"] = form.format(**words, EMAIL=row["buyer_email"].upper())
    # Every way to write a number stands in a note of each day: a script that overlooks one is found out on any day.
    for form, phone in zip(
        ("Phone {}", "{} (after six)", "Call {}, please", "{}", "Ring {} twice"),
        rng.sample(PHONES, len(PHONES)),
        strict=True,
    ):
        quiet.pop()["delivery_note"] = form.format(_phone(rng, day, phone))


def _phone(rng: random.Random, day: Day, form: str = "") -> str:
    """A number that nobody has. form: one of PHONES; "": any."""
    digits = "".join(rng.choice("23456789") for _ in range(9))
    parts = digits[:3], digits[3:6], digits[6:]
    number = (form or rng.choice(PHONES)).format(*parts)
    day.phones.append(number)
    return number


def _break(day: Day, rng: random.Random) -> None:
    """What is dropped, put aside or warned about. A row that came late stays as it is, so that each is odd in one way only."""
    calm = [row for row in day.rows if _wait(row) < datetime.timedelta(hours=1) and row["received_at"].hour < 21]
    calm = [row for row in calm if normal(row["buyer_email"]) == row["buyer_email"] and row["delivery_note"] is None]
    rng.shuffle(calm)

    def some(column: str, *values: Any) -> None:
        for value in values:
            row = calm.pop()
            row[column] = value(row) if callable(value) else value

    some("order_id", None, None)
    some("ordered_at", None, lambda row: datetime.datetime(1970, 1, 1), lambda row: row["received_at"] + LATE / 8)
    some("received_at", None)
    some("amount", None, math.nan, math.inf, 0.0, lambda row: -row["amount"])
    some("currency", None, "EURO", lambda row: row["currency"].lower())
    some("buyer_email", None, "", "  ")
    # Two things at once.
    calm.pop().update(amount=0.0, currency="XXX")
    calm.pop().update(order_id=None, amount=math.nan)
    for number, spelled in enumerate(("qa+{}@test.example", "QA+{}@Test.Example ", "qa+{}@test.example")):
        fake = dict(
            calm[number],
            buyer_name="Test Test",
            buyer_email=spelled.format(number),
            delivery_note=None,
            order_id=_fresh(day.rows),
        )
        day.rows.append({**fake, "amount": 1.0 if number < 2 else 0.0})
    # Delivered again: three with news, one without any, one that was better before.
    for number in range(5):
        old = calm.pop()
        new = {
            **old,
            "received_at": old["received_at"] + datetime.timedelta(minutes=rng.randrange(5, 150)),
            "status": "cancelled",
        }
        old["status"] = "pending"
        if number == 3:
            new = dict(old)
        if number == 4:
            new["amount"] = math.nan
        day.rows.append(new)


def _corrected(monday: Day, tuesday: Day, rng: random.Random) -> Day:
    """Tuesday's file once more: two bad amounts are mended, four orders are gone, and one was not made on Friday after all."""
    ids = [row["order_id"] for row in monday.rows + tuesday.rows]
    single = [row for row in tuesday.rows if ids.count(row["order_id"]) == 1 and not is_test(row)]
    bad = [row["order_id"] for row in single if reasons(row) == ["bad-amount"]]
    gone, moved = [row["order_id"] for row in single if verdict(row) == "good" and row["ordered_at"].day == 13]
    others = [row["order_id"] for row in single if verdict(row) == "good" and row["ordered_at"].day == 17]
    left_out = {gone, *rng.sample(others, 3)}
    rows = [dict(row) for row in tuesday.rows if row["order_id"] not in left_out]
    for row in rows:
        if row["order_id"] in bad[:2]:
            row["amount"] = 24.5
        if row["order_id"] == moved:
            row["ordered_at"] = row["received_at"] - datetime.timedelta(minutes=3)
    return Day(SECOND, rows, tuesday.phones)


def _fresh(rows: list[Row]) -> int:
    """An id of this day that no other order has."""
    return max(row["order_id"] or 0 for row in rows) // 1_000_000 * 1_000_000 + 900_000 + len(rows)


def _wait(row: Row) -> datetime.timedelta:
    return row["received_at"] - row["ordered_at"]


# ---- on the desk ----------------------------------------------------------------------------------------------------------


def build(home: Path, seed: int, twists: frozenset[str]) -> None:
    """Put the script, the days, the key and the rules on the desk."""
    monday, tuesday, _ = days(seed)
    broken = Day(BROKEN, _renamed(monday.rows))
    for day, data in zip((monday, tuesday, broken), _files(seed), strict=True):
        _write(home / STAGING / f"day={day.date}/part-0.parquet", data)
    _write(home / SCRIPT, (Path(__file__).parent / "at_the_door/door.py").read_bytes())
    _write(home / NOTES, notes().encode())
    _write(home / PEPPER, f"{pepper(seed)}\n".encode())
    (home / PEPPER).chmod(0o600)


def staged(day: Day) -> tuple[str, bytes]:
    """Where a day is staged, as a path from the home, and what stands there."""
    return f"{STAGING}/day={day.date}/part-0.parquet", parquet([day])[0]


@functools.lru_cache(maxsize=4)
def _files(seed: int) -> list[bytes]:
    monday, tuesday, _ = days(seed)
    return parquet([monday, tuesday, Day(BROKEN, _renamed(monday.rows))])


def _renamed(rows: list[Row]) -> list[Row]:
    """Orders of two days later, with `amount` called amount_total."""
    later, ids = datetime.timedelta(days=2), 2_000_000
    shifted = [
        {
            **row,
            "order_id": row["order_id"] and row["order_id"] + ids,
            **{name: row[name] and row[name] + later for name in ("ordered_at", "received_at")},
        }
        for row in rows
    ]
    return [{"amount_total" if name == "amount" else name: value for name, value in row.items()} for row in shifted]


def parquet(several: list[Day]) -> list[bytes]:
    """The Parquet files of days, the same bytes each time."""
    import duckdb
    import pandas as pd

    found = []
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(config={"threads": 1}) as con:
        for day in several:
            # As texts, because pandas cannot say both "missing" and "not a number", and DuckDB can.
            texts = [{name: None if value is None else str(value) for name, value in row.items()} for row in day.rows]
            con.register("texts", pd.DataFrame(texts, columns=list(day.columns), dtype="str"))
            columns = ", ".join(f'"{name}"::{type} AS "{name}"' for name, type in day.columns.items())
            path = Path(folder, "file.parquet")
            con.execute(f"COPY (SELECT {columns} FROM texts) TO '{path}' (FORMAT parquet)")
            found.append(path.read_bytes())
    return found


def notes() -> str:
    """The rules, with an example of the hash."""
    columns = "\n".join(f"| `{name}` | {type} |" for name, type in COLUMNS.items())
    example = buyer_hash(EXAMPLE_KEY, EXAMPLE_EMAIL)
    text = (Path(__file__).parent / "at_the_door/at-the-door.md").read_text()
    words = {
        "columns": columns,
        "currencies": ", ".join(CURRENCIES),
        "key": EXAMPLE_KEY,
        "email": EXAMPLE_EMAIL,
        "hash": example,
    }
    for name, value in words.items():
        text = text.replace("{{" + name + "}}", value)
    return text


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def words(seed: int) -> dict[str, Any]:
    """The key of a seed, for tests: {{pepper}}."""
    return {"pepper": pepper(seed)}
