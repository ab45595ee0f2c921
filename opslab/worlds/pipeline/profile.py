"""What can be measured of a day, and the band that good days keep to.

    >>> targ = Targ(seed=1)
    >>> band = Band([profile(targ.day(day), day) for day in sixty_good_days])
    >>> band.outside(profile(targ.day("2026-11-16"), "2026-11-16"))
    {}

A measure has three names: what kind of look it is ("row count", "freshness" … the keys of `LOOKS`), the table, and what exactly. It
is a number on a scale on which good days differ by about the same amount: shares as log-odds, sizes and prices as
logarithms, times in hours. A measure outside of the band of good days is a reason to look, not a proof.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from opslab.worlds.pipeline.data import SCHEMA, Frames

Measure = tuple[str, str, str]

LOOKS = {
    "row count": "how many rows there are, compared with the same weekday",
    "freshness": "how recent the newest row is",
    "lateness": "how much time lies between what happened and its arrival",
    "uniqueness": "whether a key comes once",
    "completeness": "how much is missing",
    "range": "whether numbers and times are where they can be",
    "distribution": "how the rows divide among groups, hours and sizes",
    "allowed values": "whether a code is one that is known",
    "format": "whether a text looks as it should",
    "referential": "whether a key is found in the table that it points to, and both say the same",
    "schema": "whether the columns are those that were agreed on",
    "type": "whether a column has the type that was agreed on",
}
"""The ways to look at a day; `Fault.seen_in` names them."""

FLOOR = {
    "row count": 0.25,
    "freshness": 1.0,
    "range": 0.4,
    "distribution": 0.3,
    "referential": 1.5,
    "schema": 0.2,
    "type": 0.2,
}
"""How much wider than seen a band is: what differs by less is not worth a message. Otherwise 0.4."""

SLOW = {("range", "listings"): 1.0, ("distribution", "listings"): 1.0}
"""The same where one day is much like the one before, so that the days of a band have seen less than their number promises."""

KEYS = {"clicks": "click_id", "orders": "order_id", "refunds": "refund_id", "listings": "listing_id", "partners": "partner_id", "rates": "currency"}  # fmt: skip
ARRIVAL = {"clicks": "received_at", "orders": "received_at", "refunds": "refunded_at", "listings": "created_at"}
KNOWN = {
    ("clicks", "kind"): {"view", "search", "favourite", "contact"},
    ("clicks", "device"): {"web", "android", "ios"},
    ("clicks", "country"): {"PL", "DE", "FR", "SE", "CZ", "RO", "HU", "CH"},
    ("orders", "currency"): {"EUR", "PLN", "SEK", "CZK", "RON", "HUF", "CHF"},
    ("orders", "status"): {"paid", "cancelled", "pending"},
    ("orders", "payment"): {"card", "transfer", "wallet"},
}
OPTIONAL = {("orders", "coupon"), *(("partners", column) for column in SCHEMA["partners"])}
"""Columns whose share of missing values says nothing: it follows the calendar, or who has come and gone."""
GROUPS = {
    "clicks": ("kind", "device", "country"),
    "orders": ("status", "payment", "currency"),
    "listings": ("currency",),
}
FORMATS = {
    ("orders", "buyer_email"): (r"[a-z0-9.]+@(mail|post|inbox|letters)\.example", True),
    ("orders", "buyer_name"): ("[ÃÅÄ][\x80-\xbf\u2010-\u203a€šŸžœ‚‘’]|�", False),
    ("orders", "ship_to"): (r"[^,@]+, [^,@]+ \d+, [^,@]+", True),
}
"""A pattern, and whether texts should be like it (or must not contain it)."""

SMALL = 0.0005


def odds(share: float) -> float:
    """A share as log-odds, cut at about one in 2,000."""
    return float(np.log((share + SMALL) / (1 - share + SMALL)))


def profile(frames: Frames, day: str | datetime.date, announced: bool = False) -> dict[Measure, float]:
    """All measures of a day. announced: it is in the calendar as a sale or a holiday, so its row counts are its own.

    What cannot be measured (no rows, no such column) is left out, as a column check finds nothing wrong with an empty table.
    """
    found: dict[Measure, float] = {}
    day = pd.Timestamp(day)
    for name, columns in SCHEMA.items():
        frame = frames[name]
        found["row count", name, "coarse"] = float(np.log2(len(frame) + 1)) / 12
        if not announced:
            found["row count", name, f"weekday {day.weekday()}"] = float(np.log2(len(frame) + 1))
        found["schema", name, "missing columns"] = float(len(set(columns) - set(frame.columns)))
        found["schema", name, "new columns"] = float(len(set(frame.columns) - set(columns)))
        for column in set(columns) & set(frame.columns):
            found["type", name, column] = float(str(frame[column].dtype) != columns[column])
        if len(frame):
            found |= _columns(name, frame, day)
    for measure in (_clicks, _orders, _listings, _across, _money):
        found |= measure(frames, day)
    return found


def _typed(frame: pd.DataFrame, table: str, *columns: str) -> bool:
    return len(frame) > 0 and all(c in frame and str(frame[c].dtype) == SCHEMA[table][c] for c in columns)


def _columns(name: str, frame: pd.DataFrame, day: pd.Timestamp) -> dict[Measure, float]:
    """What each table is asked for, column by column."""
    found: dict[Measure, float] = {}
    key, arrival = KEYS[name], ARRIVAL.get(name)
    if key in frame:
        found["uniqueness", name, key] = odds(frame[key].dropna().duplicated().mean())
    for column in set(SCHEMA[name]) & set(frame.columns):
        of = frame
        if (name, column) == ("clicks", "listing_id") and "kind" in frame:
            of = frame[frame["kind"] != "search"]
        if (name, column) not in OPTIONAL and len(of):
            found["completeness", name, column] = odds(of[column].isna().mean())
    if arrival and _typed(frame, name, arrival):
        last = frame[arrival].max()
        found["freshness", name, arrival] = (day + pd.Timedelta(days=1) - last).total_seconds() / 3600
    if name == "rates" and _typed(frame, name, "rate_date"):
        expected = np.busday_offset(day.date(), 0, roll="backward")
        found["freshness", name, "business days"] = float(np.busday_count(frame["rate_date"].min().date(), expected))
    for (table, column), allowed in KNOWN.items():
        if table == name and column in frame:
            present = frame[column].dropna()
            found["allowed values", name, column] = odds((~present.isin(allowed)).mean() if len(present) else 0)
    for (table, column), (pattern, full) in FORMATS.items():
        if table == name and column in frame:
            present = frame[column].dropna()
            fits = present.str.fullmatch(pattern) if full else ~present.str.contains(pattern)
            found["format", name, column] = odds(1 - fits.mean())
    for column in GROUPS.get(name, ()):
        if column in frame:
            found |= _shares(name, column, frame[column])
    return found


def _shares(table: str, what: str, values: pd.Series, members: Iterable[object] = ()) -> dict[Measure, float]:
    """The share of each group; of `members` also those that are not there."""
    shares = values.value_counts(normalize=True)
    groups = {*shares.index, *members}
    return {("distribution", table, f"{what} {group}"): odds(float(shares.get(group, 0.0))) for group in groups}


def _waiting(table: str, frame: pd.DataFrame, happened: str) -> dict[Measure, float]:
    wait = (frame["received_at"] - frame[happened]).dt.total_seconds()
    return {
        ("lateness", table, "arrived before it happened"): odds((wait < 0).mean()),
        ("lateness", table, "over half an hour"): odds((wait > 1800).mean()),
        ("lateness", table, "median"): float(np.log2(max(wait.median(), 0.1))),
        ("range", table, f"{happened} long ago"): odds((wait > 5 * 86_400).mean()),
    }


def _clicks(frames: Frames, day: pd.Timestamp) -> dict[Measure, float]:
    clicks, found = frames["clicks"], {}
    if _typed(clicks, "clicks", "received_at", "happened_at"):
        found |= _waiting("clicks", clicks, "happened_at")
    if _typed(clicks, "clicks", "received_at"):
        found |= _shares("clicks", "hour", clicks["received_at"].dt.hour, range(24))
    if _typed(clicks, "clicks", "kind", "device"):
        for device, mine in clicks.groupby("device"):
            found |= _shares("clicks", f"on {device}", mine["kind"], KNOWN["clicks", "kind"])
    if _typed(clicks, "clicks", "user_agent"):
        named = [agent for agent in clicks["user_agent"].dropna().unique() if "crawler" in agent or "bot" in agent]
        crawler = clicks["user_agent"].isin(named)
        # More crawlers that say who they are is their affair. Fewer than usual is ours: where have they gone?
        found["distribution", "clicks", "crawlers"] = odds(min(crawler.mean(), 0.06))
        people = clicks["visitor_id"][~crawler].dropna().value_counts()
        if len(people):
            found["distribution", "clicks", "busiest visitors"] = float(np.log2(people.quantile(0.99) / people.mean()))
    return found


def _orders(frames: Frames, day: pd.Timestamp) -> dict[Measure, float]:
    orders, found = frames["orders"], {}
    if _typed(orders, "orders", "received_at", "ordered_at"):
        found |= _waiting("orders", orders, "ordered_at")
    if _typed(orders, "orders", "received_at"):
        found |= _shares("orders", "quarter of the day", orders["received_at"].dt.hour // 6, range(4))
    if _typed(orders, "orders", "received_at", "status"):
        evening = orders[orders["received_at"].dt.hour >= 18]
        found |= _shares("orders", "evening", evening["status"], KNOWN["orders", "status"]) if len(evening) else {}
    return found


def _listings(frames: Frames, day: pd.Timestamp) -> dict[Measure, float]:
    found: dict[Measure, float] = {}
    partners = frames["partners"]
    # Whoever has just joined puts up more each day, which says nothing about the day.
    settled = partners["joined_on"] < day - pd.Timedelta(days=70)
    active = set(partners["partner_id"][partners["closed_on"].isna() & settled])
    if _typed(frames["listings"], "listings", "partner_id"):
        mine = frames["listings"]["partner_id"]
        found |= _shares("listings", "partner", mine[mine.isin(active)], active)
        # Who has few listings has days without an order, and there is nothing to see in that.
        shares = mine.value_counts(normalize=True)
        active &= set(shares.index[shares > 0.02])
    if _typed(frames["orders"], "orders", "partner_id"):
        mine = frames["orders"]["partner_id"]
        found |= _shares("orders", "partner", mine[mine.isin(active)], active)
    return found


def _across(frames: Frames, day: pd.Timestamp) -> dict[Measure, float]:
    """Between tables: keys that lead nowhere, and facts that two tables tell differently."""
    found: dict[Measure, float] = {}
    known = {"listing_id": frames["listings"]["listing_id"], "partner_id": frames["partners"]["partner_id"]}
    for name, key in (
        ("clicks", "listing_id"),
        ("orders", "listing_id"),
        ("orders", "partner_id"),
        ("listings", "partner_id"),
    ):
        if _typed(frames[name], name, key):
            values = frames[name][key].dropna()
            if len(values):
                found["referential", name, key] = odds((~values.isin(known[key])).mean())
    if _typed(frames["orders"], "orders", "listing_id", "currency"):
        both = frames["orders"].merge(
            frames["listings"].drop_duplicates("listing_id"), on="listing_id", suffixes=("", "_there")
        )
        if len(both):
            found["referential", "orders", "currency"] = odds((both["currency"] != both["currency_there"]).mean())
    return found


def _money(frames: Frames, day: pd.Timestamp) -> dict[Measure, float]:
    found: dict[Measure, float] = {}
    rates = frames["rates"]
    per_euro = {"EUR": 1.0, **dict(zip(rates["currency"], rates["rate"], strict=True))}
    for currency, rate in per_euro.items():
        found["range", "rates", str(currency)] = float(np.log2(rate))
    for name, column, by in (
        ("orders", "amount", "partner_id"),
        ("listings", "price", "partner_id"),
        ("refunds", "amount", ""),
    ):
        frame = frames[name]
        if not _typed(frame, name, column, "currency"):
            continue
        found["range", name, f"{column} not above zero"] = odds((frame[column] <= 0).mean())
        good = frame[frame[column] > 0]
        # At rates that are about right: what they move in a year is small beside a wrong unit.
        euros = np.log2(good[column] / good["currency"].map(_USUAL).astype("float64"))
        if by:
            for partner, mine in euros.groupby(good[by]):
                if len(mine) >= 10:
                    found["range", name, f"typical for {partner}"] = float(mine.mean())
    return found


_USUAL = {"EUR": 1.0, "PLN": 4.3, "SEK": 11.3, "CZK": 25.0, "RON": 4.97, "HUF": 400.0, "CHF": 0.95}


class Band:
    """Between which values each measure was on good days."""

    def __init__(self, good: Iterable[Mapping[Measure, float]]) -> None:
        values: dict[Measure, list[float]] = {}
        for one in good:
            for measure, value in one.items():
                values.setdefault(measure, []).append(value)
        # Less than four days (a partner that has just joined) do not make a band.
        self.limits = {measure: (min(seen), max(seen)) for measure, seen in values.items() if len(seen) > 3}

    def distance(self, measure: Measure, value: float) -> float:
        """How far outside of its band a value is, in widths of that band; 0 inside, and where there is no band."""
        if measure not in self.limits:
            return 0.0
        low, high = self.limits[measure]
        return max(low - value, value - high, 0.0) / (high - low + SLOW.get(measure[:2], FLOOR.get(measure[0], 0.4)))

    def outside(self, measures: Mapping[Measure, float], room: float = 1.0) -> dict[Measure, float]:
        """The measures that are further outside than `room` widths of their band, and how far."""
        distances = {measure: self.distance(measure, value) for measure, value in measures.items()}
        return {measure: far for measure, far in distances.items() if far > room}
