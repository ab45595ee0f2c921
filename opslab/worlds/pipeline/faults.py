"""What can go wrong with a day, and what only looks like it.

    >>> day = Targ(seed=1).day("2026-11-16")
    >>> broken = plant("cents for euros", day, seed=7)
    >>> FAULTS["cents for euros"].seen_in
    ('range',)

Each fault is a small function from the tables of a good day to those of a bad one, with the story of how it happens at work.
It changes what its story says and nothing else: columns, types, row order and index stay as they are on good days,
unless just that is the fault. The good day is never changed. `ODDITIES` are days on which nobody should be woken up.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from opslab.worlds.pipeline import company as about
from opslab.worlds.pipeline.data import ROWS_A_DAY, SCHEMA, Frames, Targ
from opslab.worlds.pipeline.draws import MILLION, Draws
from opslab.worlds.pipeline.profile import LOOKS

CLASSES = ("volume", "time", "keys", "values", "units", "schema", "population")
SEVERITIES = ("low", "medium", "high")
"""low: say it. medium: numbers are wrong for some. high: whoever decides by this day decides wrongly."""

Planter = Callable[[Frames, random.Random], Frames]


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    kind: one of `CLASSES`. severity: one of `SEVERITIES`. story: how it comes about. tables: those it changes.
    seen_in: each of these looks (`profile.LOOKS`) alone is enough to see it.
    """

    name: str
    kind: str
    severity: str
    story: str
    tables: tuple[str, ...]
    seen_in: tuple[str, ...]
    plant: Planter

    def __post_init__(self) -> None:
        known = {*CLASSES, *SEVERITIES, *LOOKS, *SCHEMA}
        for word in (self.kind, self.severity, *self.tables, *self.seen_in):
            if word not in known:
                raise ValueError(f"The fault {self.name!r} says {word!r}. Take one of: {', '.join(sorted(known))}.")


FAULTS: dict[str, Fault] = {}
"""The catalogue, by name."""


def fault(name: str, kind: str, severity: str, tables: str, seen_in: str) -> Callable[[Planter], Planter]:
    """Puts a planting function into the catalogue; its docstring is the story. tables, seen_in: separated by ", "."""

    def add(planter: Planter) -> Planter:
        story = " ".join(planter.__doc__.split())
        FAULTS[name] = Fault(
            name, kind, severity, story, tuple(tables.split(", ")), tuple(seen_in.split(", ")), planter
        )
        return planter

    return add


def plant(name: str, frames: Frames, seed: int | str) -> Frames:
    """A good day with the fault `name` in it. The same seed plants the same; `frames` stay as they are."""
    if name not in FAULTS:
        raise ValueError(f"There is no fault {name!r}. Take one of: {', '.join(FAULTS)}.")
    for table in FAULTS[name].tables:
        if not len(frames[table]):
            raise ValueError(
                f"The table {table} has no rows, so there is nothing to break. Plant faults in a good day."
            )
    return FAULTS[name].plant(frames, random.Random(f"{name} {seed}"))


# ---- what the planting functions share ---------------------------------------------------------------------------------


def _with(frames: Frames, **changed: pd.DataFrame) -> Frames:
    """The day with some tables replaced, their rows numbered from 0 again and in the order of arrival."""
    for name, frame in changed.items():
        if "received_at" in frame:
            frame = frame.sort_values("received_at", kind="stable")
        changed[name] = frame.reset_index(drop=True)
    return {**frames, **changed}


def _set(frame: pd.DataFrame, rows, column: str, values) -> pd.DataFrame:
    """A copy in which `column` has other values in some rows."""
    frame = frame.copy()
    frame.loc[rows, column] = values
    return frame


def _some(frame: pd.DataFrame, rng: random.Random, least: float, most: float) -> np.ndarray:
    """True for a share of the rows, between `least` and `most`; at least one."""
    share = rng.uniform(least, most)
    rows = Draws(rng.getrandbits(64)).chance("rows", np.arange(len(frame)), int(share * MILLION))
    rows[rng.randrange(len(frame))] = True
    return rows


def _midnight(frames: Frames) -> pd.Timestamp:
    """The beginning of the day that the tables are about."""
    arrived = next(frames[name]["received_at"] for name in ("orders", "clicks") if len(frames[name]))
    return arrived.iloc[0].normalize()


def _shop(frames: Frames, rng: random.Random, abroad: bool = False) -> str:
    """One of the partners that matter: not private sellers, at least 2.5 per cent of the orders. abroad: not paid in euros."""
    orders = frames["orders"]
    if abroad:
        orders = orders[orders["currency"] != "EUR"]
    counts = orders["partner_id"].value_counts()
    big = sorted(counts.index[(counts >= 0.025 * len(frames["orders"])) & (counts.index != "private")])
    if not big:
        big = sorted(counts.index.drop("private", errors="ignore"))
    return rng.choice(big)


# ---- volume ---------------------------------------------------------------------------------------------------------------


@fault("empty load", "volume", "high", "clicks", "row count")
def empty_load(frames: Frames, rng: random.Random) -> Frames:
    """The job started before the files were there. The pattern matched nothing, nothing was loaded, nothing failed."""
    return _with(frames, clicks=frames["clicks"].head(0))


@fault("no orders", "volume", "high", "orders", "row count")
def no_orders(frames: Frames, rng: random.Random) -> Frames:
    """The orders database was restored, and the reader's account came back without its grant on the table: it sees zero rows."""
    return _with(frames, orders=frames["orders"].head(0))


@fault("half a day", "volume", "high", "clicks", "row count, freshness, distribution")
def half_a_day(frames: Frames, rng: random.Random) -> Frames:
    """The export was stopped around noon for maintenance, and the file that lay there was taken for a whole one."""
    clicks = frames["clicks"]
    until = _midnight(frames) + pd.Timedelta(minutes=rng.randint(10 * 60, 14 * 60))
    return _with(frames, clicks=clicks[clicks["received_at"] < until])


@fault("double load", "volume", "high", "orders", "row count, uniqueness")
def double_load(frames: Frames, rng: random.Random) -> Frames:
    """The load timed out after its rows were in. The orchestrator tried again, and the rows came in again."""
    orders = frames["orders"]
    return _with(frames, orders=pd.concat([orders, orders]))


@fault("partner missing", "volume", "high", "listings, orders", "distribution, referential")
def partner_missing(frames: Frames, rng: random.Random) -> Frames:
    """A partner renewed the key of their feed. Their folder is empty today; all others are there, so the total looks fine."""
    shop = _shop(frames, rng)
    return _with(frames, **{name: frames[name][frames[name]["partner_id"] != shop] for name in ("listings", "orders")})


@fault("truncated", "volume", "high", "clicks", "freshness, distribution")
def truncated(frames: Frames, rng: random.Random) -> Frames:
    """The export tool stops at a round number of rows, and says so in a log that nobody reads."""
    clicks = frames["clicks"]
    step = 5 * 10 ** max(len(str(len(clicks))) - 2, 0)
    limit = len(clicks) // step * step
    while limit > step and limit > 0.9 * len(clicks):
        limit -= step
    return _with(frames, clicks=clicks.head(limit))


@fault("sampling left on", "volume", "high", "clicks", "distribution")
def sampling_left_on(frames: Frames, rng: random.Random) -> Frames:
    """For a test, the web site sent one click in three. The test ended, the setting stayed."""
    clicks = frames["clicks"]
    drop = (clicks["device"] == "web") & ~_some(clicks, rng, 0.28, 0.38)
    return _with(frames, clicks=clicks[~drop])


@fault("wrong join", "volume", "high", "orders, partners", "uniqueness")
def wrong_join(frames: Frames, rng: random.Random) -> Frames:
    """A partner changed their contact and got a second row in the partners table. Every join now counts their orders twice."""
    shop = _shop(frames, rng)
    partners, orders = frames["partners"], frames["orders"]
    second = _set(partners[partners["partner_id"] == shop], slice(None), "contact_email", f"data@{shop}.example")
    twice = pd.concat([orders, orders[orders["partner_id"] == shop]])
    both = pd.concat([partners, second]).sort_values("partner_id", kind="stable")
    return _with(frames, partners=both, orders=twice)


# ---- time ---------------------------------------------------------------------------------------------------------------


@fault("yesterday again", "time", "high", "clicks", "freshness")
def yesterday_again(frames: Frames, rng: random.Random) -> Frames:
    """The name of the folder is made from local time, so just after midnight the job took the folder of the day before."""
    clicks = frames["clicks"].copy()
    for column in ("happened_at", "received_at"):
        clicks[column] = clicks[column] - pd.Timedelta(days=1)
    clicks["click_id"] = clicks["click_id"] - ROWS_A_DAY["clicks"]
    return _with(frames, clicks=clicks)


@fault("time zone shift", "time", "medium", "clicks", "lateness")
def time_zone_shift(frames: Frames, rng: random.Random) -> Frames:
    """A release of one app sends local time where it sent UTC. Its users click an hour or two into the future."""
    clicks, device = frames["clicks"], rng.choice(("android", "ios"))
    rows = clicks["device"] == device
    hours = pd.Timedelta(hours=rng.choice((1, 2)))
    return _with(frames, clicks=_set(clicks, rows, "happened_at", clicks.loc[rows, "happened_at"] + hours))


@fault("late events dropped", "time", "low", "clicks", "lateness")
def late_events_dropped(frames: Frames, rng: random.Random) -> Frames:
    """Somebody set the stream's watermark to ten minutes. Whoever was in a tunnel or offline is gone."""
    clicks = frames["clicks"]
    wait = clicks["received_at"] - clicks["happened_at"]
    return _with(frames, clicks=clicks[wait <= pd.Timedelta(minutes=10)])


@fault("dates of 1970", "time", "medium", "orders", "range")
def dates_of_1970(frames: Frames, rng: random.Random) -> Frames:
    """A missing time became 0 on the way, and 0 seconds after the beginning of time is the first of January 1970."""
    orders = frames["orders"]
    return _with(frames, orders=_set(orders, _some(orders, rng, 0.03, 0.08), "ordered_at", pd.Timestamp(0)))


@fault("stale rates", "time", "high", "rates", "freshness")
def stale_rates(frames: Frames, rng: random.Random) -> Frames:
    """The bank moved its page. The job kept the last file it had, which is from last week."""
    rates = frames["rates"].copy()
    back = pd.Timedelta(days=7 * rng.choice((1, 2)))
    rates["rate_date"], rates["published_at"] = rates["rate_date"] - back, rates["published_at"] - back
    moved = [round(rate * rng.uniform(0.988, 1.012) * 10_000) / 10_000 for rate in rates["rate"]]
    return _with(frames, rates=rates.assign(rate=moved))


@fault("stale listings", "time", "medium", "listings", "freshness, referential")
def stale_listings(frames: Frames, rng: random.Random) -> Frames:
    """The snapshot of the listings was not made tonight, so the one of the night before was loaded. All of today's are missing."""
    listings = frames["listings"]
    return _with(frames, listings=listings[listings["created_at"] < _midnight(frames)])


# ---- keys ---------------------------------------------------------------------------------------------------------------


@fault("null visitors", "keys", "medium", "clicks", "completeness")
def null_visitors(frames: Frames, rng: random.Random) -> Frames:
    """A new consent dialogue of one app is shown before the visitor's id is there. Those clicks belong to nobody."""
    clicks = frames["clicks"]
    rows = (clicks["device"] == rng.choice(("android", "ios"))) & _some(clicks, rng, 0.4, 0.8)
    return _with(frames, clicks=_set(clicks, rows, "visitor_id", pd.NA))


@fault("null listings", "keys", "medium", "orders", "completeness")
def null_listings(frames: Frames, rng: random.Random) -> Frames:
    """The wallet's new checkout does not pass on what was bought, only that something was paid."""
    orders = frames["orders"]
    return _with(frames, orders=_set(orders, orders["payment"] == "wallet", "listing_id", pd.NA))


@fault("re-used keys", "keys", "high", "orders", "uniqueness")
def reused_keys(frames: Frames, rng: random.Random) -> Frames:
    """After a failover the counter of orders started where its last backup was. Different orders now have the same id."""
    orders = frames["orders"]
    count = int(len(orders) * rng.uniform(0.06, 0.15)) + 1
    start = rng.randrange(len(orders) // 3 + 1)
    used = orders["order_id"].iloc[start : start + count].to_numpy()
    return _with(frames, orders=_set(orders, orders.index[-len(used) :], "order_id", used))


@fault("delivered again", "keys", "medium", "clicks", "uniqueness")
def delivered_again(frames: Frames, rng: random.Random) -> Frames:
    """The stream's consumer died before it could note how far it had come, and read an hour or two once more."""
    clicks = frames["clicks"]
    begin = _midnight(frames) + pd.Timedelta(minutes=rng.randint(14 * 60, 19 * 60))
    again = clicks[(clicks["received_at"] >= begin) & (clicks["received_at"] < begin + pd.Timedelta(hours=2))].copy()
    again["received_at"] = again["received_at"] + pd.Timedelta(seconds=rng.randint(2_000, 5_000))
    return _with(frames, clicks=pd.concat([clicks, again]))


@fault("ids through a spreadsheet", "keys", "high", "orders", "referential")
def ids_through_a_spreadsheet(frames: Frames, rng: random.Random) -> Frames:
    """A partner's file was opened and saved in a spreadsheet, which showed long ids as 1.04E+09 and saved what it showed."""
    orders = frames["orders"]
    rows = orders["partner_id"] == _shop(frames, rng)
    cut = orders.loc[rows, "listing_id"] // 10_000_000 * 10_000_000 + 999_999
    return _with(frames, orders=_set(orders, rows, "listing_id", cut))


@fault("key in capitals", "keys", "medium", "orders", "referential, distribution")
def key_in_capitals(frames: Frames, rng: random.Random) -> Frames:
    """A partner's new system writes its own name in capitals. In a join, BIKEBARN is nobody."""
    orders, shop = frames["orders"], _shop(frames, rng)
    return _with(frames, orders=_set(orders, orders["partner_id"] == shop, "partner_id", shop.upper()))


# ---- units ------------------------------------------------------------------------------------------------------------


@fault("cents for euros", "units", "high", "orders", "range")
def cents_for_euros(frames: Frames, rng: random.Random) -> Frames:
    """A partner's new release sends amounts in the smallest unit. For one partner of thirty, everything costs a hundred times."""
    orders = frames["orders"]
    rows = orders["partner_id"] == _shop(frames, rng)
    return _with(frames, orders=_set(orders, rows, "amount", (orders.loc[rows, "amount"] * 100).round()))


@fault("wrong currency", "units", "high", "orders", "referential")
def wrong_currency(frames: Frames, rng: random.Random) -> Frames:
    """A partner moved to a new shop system, whose currency was left at its default. Crowns and forints are booked as euros."""
    orders = frames["orders"]
    rows = orders["partner_id"] == _shop(frames, rng, abroad=True)
    return _with(frames, orders=_set(orders, rows, "currency", "EUR"))


@fault("inverted rate", "units", "high", "rates", "range")
def inverted_rate(frames: Frames, rng: random.Random) -> Frames:
    """A second source of rates was added. For one currency it gives euros per unit where the first gave units per euro."""
    rates = frames["rates"]
    row = rng.choice([i for i, currency in enumerate(rates["currency"]) if currency != "CHF"])
    inverted = max(round(10_000 / rates["rate"].iloc[row]), 1) / 10_000
    return _with(frames, rates=_set(rates, row, "rate", inverted))


@fault("refunds below zero", "units", "medium", "refunds", "range")
def refunds_below_zero(frames: Frames, rng: random.Random) -> Frames:
    """The payment provider now books refunds with a minus. Whoever subtracts them adds them."""
    refunds = frames["refunds"]
    return _with(frames, refunds=refunds.assign(amount=-refunds["amount"]))


# ---- values -------------------------------------------------------------------------------------------------------------


@fault("price of zero", "values", "medium", "listings", "range")
def price_of_zero(frames: Frames, rng: random.Random) -> Frames:
    """A partner writes 1.249,00 where the parser expects 1249.00. It gives up, and its default is 0."""
    listings = frames["listings"]
    return _with(frames, listings=_set(listings, listings["partner_id"] == _shop(frames, rng), "price", 0.0))


@fault("country unknown", "values", "medium", "clicks", "allowed values")
def country_unknown(frames: Frames, rng: random.Random) -> Frames:
    """The service that knows the country of an address answers too late for some, and the default is XX."""
    clicks = frames["clicks"]
    return _with(frames, clicks=_set(clicks, _some(clicks, rng, 0.2, 0.4), "country", "XX"))


@fault("broken letters", "values", "low", "orders", "format")
def broken_letters(frames: Frames, rng: random.Random) -> Frames:
    """Somewhere UTF-8 was read as Windows-1252. Mr Černý gets his parcels as ÄŒernÃ½, or not at all."""
    orders = frames["orders"].copy()
    for column in ("buyer_name", "ship_to"):
        orders[column] = orders[column].map(lambda text: text.encode().decode("cp1252", "replace")).astype("str")
    return _with(frames, orders=orders)


@fault("columns slipped", "values", "medium", "orders", "format")
def columns_slipped(frames: Frames, rng: random.Random) -> Frames:
    """A comma in a name, a file without quotes: in some rows everything behind it stands one column too far to the right."""
    orders = frames["orders"].copy()
    rows = _some(orders, rng, 0.02, 0.05)
    moved = orders.loc[rows, ["buyer_name", "buyer_email", "ship_to"]].to_numpy()
    orders.loc[rows, ["buyer_email", "ship_to", "delivery_note"]] = moved
    orders.loc[rows, "buyer_name"] = [name.split(" ")[0] for name in moved[:, 0]]
    orders.loc[rows, "buyer_email"] = [name.split(" ")[-1] for name in moved[:, 0]]
    return _with(frames, orders=orders)


@fault("payments stuck", "values", "high", "orders", "distribution")
def payments_stuck(frames: Frames, rng: random.Random) -> Frames:
    """The payment provider's callbacks have not come through since the afternoon. Paid orders stay pending."""
    orders = frames["orders"]
    since = _midnight(frames) + pd.Timedelta(minutes=rng.randint(14 * 60, 17 * 60))
    rows = (orders["received_at"] >= since) & (orders["status"] == "paid")
    return _with(frames, orders=_set(orders, rows, "status", "pending"))


@fault("change at noon", "values", "high", "clicks", "allowed values, distribution")
def change_at_noon(frames: Frames, rng: random.Random) -> Frames:
    """At noon the tracking team renamed an event, view to item_view, as was announced in a channel that nobody here reads."""
    clicks = frames["clicks"]
    noon = _midnight(frames) + pd.Timedelta(minutes=rng.randint(11 * 60, 13 * 60))
    rows = (clicks["received_at"] >= noon) & (clicks["kind"] == "view")
    return _with(frames, clicks=_set(clicks, rows, "kind", "item_view"))


# ---- schema -------------------------------------------------------------------------------------------------------------


@fault("renamed column", "schema", "high", "orders", "schema")
def renamed_column(frames: Frames, rng: random.Random) -> Frames:
    """Tidying up, a colleague called amount what it is: amount_total. The mart's sum of amount is now null, and green."""
    return _with(frames, orders=frames["orders"].rename(columns={"amount": "amount_total"}))


@fault("new column", "schema", "low", "clicks", "schema")
def new_column(frames: Frames, rng: random.Random) -> Frames:
    """The tracking team sends one more column. Nothing breaks, unless somewhere the columns are counted."""
    clicks = frames["clicks"].copy()
    values = Draws(rng.getrandbits(64)).below("scroll", np.arange(len(clicks)), 101)
    clicks.insert(rng.randint(5, len(clicks.columns)), "scroll_depth", pd.array(values, dtype="Int64"))
    return _with(frames, clicks=clicks)


@fault("column gone", "schema", "medium", "clicks", "schema")
def column_gone(frames: Frames, rng: random.Random) -> Frames:
    """For reasons of privacy user_agent is no longer sent. It was also how crawlers were told from people."""
    return _with(frames, clicks=frames["clicks"].drop(columns="user_agent"))


@fault("numbers as text", "schema", "high", "orders", "type")
def numbers_as_text(frames: Frames, rng: random.Random) -> Frames:
    """A partner's file has 12,50 for 12.50. One such cell, and the whole column is read as text."""
    orders = frames["orders"].copy()
    comma = orders["partner_id"] == _shop(frames, rng)
    shown = [f"{amount:.2f}" for amount in orders["amount"]]
    shown = [text.replace(".", ",") if swap else text for text, swap in zip(shown, comma, strict=True)]
    return _with(frames, orders=orders.assign(amount=pd.array(shown, dtype="str")))


# ---- population ---------------------------------------------------------------------------------------------------------


@fault("bots filtered twice", "population", "medium", "clicks", "distribution")
def bots_filtered_twice(frames: Frames, rng: random.Random) -> Frames:
    """The edge now removes crawlers, and its rule also takes everybody for one who clicks a lot: the best customers."""
    clicks = frames["clicks"]
    counts = clicks["visitor_id"].map(clicks["visitor_id"].value_counts())
    crawler = clicks["user_agent"].isin(about.CRAWLERS)
    per_person = clicks.loc[~crawler, "visitor_id"].value_counts()
    return _with(frames, clicks=clicks[~crawler & (counts < per_person.quantile(0.96))])


@fault("test orders", "population", "medium", "orders", "format")
def orders_of_testers(frames: Frames, rng: random.Random) -> Frames:
    """Before a release the testers bought things, many times, for 1.00. They did it in production."""
    orders = frames["orders"]
    fake = orders[_some(orders, rng, 0.04, 0.07)].copy()
    last = orders["order_id"].max()
    fake["order_id"] = pd.array(last + 1 + np.arange(len(fake)), dtype="Int64")
    fake["amount"] = 1.0
    fake["status"] = "paid"
    fake["buyer_name"] = "Test Test"
    fake["buyer_email"] = [f"qa+{number}@test.example" for number in range(len(fake))]
    fake["delivery_note"] = pd.array([None] * len(fake), dtype="str")
    return _with(frames, orders=pd.concat([orders, fake]))


@fault("event not sent", "population", "high", "clicks", "distribution")
def event_not_sent(frames: Frames, rng: random.Random) -> Frames:
    """One app's new version no longer sends the event when somebody contacts a seller. It looks as if they had lost interest."""
    clicks, device = frames["clicks"], rng.choice(("android", "ios"))
    return _with(frames, clicks=clicks[(clicks["device"] != device) | (clicks["kind"] != "contact")])


# ---- what is not a fault ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Oddity:
    """Something unusual that is as it should be: nobody must be alarmed. `on(targ, number)` says whether a day has it."""

    name: str
    story: str
    on: Callable[[Targ, int], bool]


def _changes(days: Callable[[about.Partner], int]) -> Callable[[Targ, int], bool]:
    return lambda targ, number: any(days(partner) == number for partner in targ.partners)


_NEW_CATEGORIES = {(pd.Timestamp(day).date() - about.FIRST_DAY).days for day in about.NEW_CATEGORY_DAYS.values()}

ODDITIES: dict[str, Oddity] = {
    odd.name: odd
    for odd in (
        Oddity("weekend", "More clicks, and the rates are those of Friday.", lambda targ, n: about.to_date(n).weekday() > 4),
        Oddity("sale", "Half as many clicks again, twice the orders, coupons. It was announced.", lambda targ, n: "sale" in targ.events(n)),
        Oddity("quiet Christmas", "Less than half of everything. It is in every calendar.", lambda targ, n: "Christmas" in targ.events(n)),
        Oddity("partner closes", "Their listings are gone from today, and closed_on says so.", _changes(lambda p: p.closed)),
        Oddity("partner joins", "A new partner with few listings so far.", _changes(lambda p: p.joined)),
        Oddity("new category", "From today something else is sold, too.", lambda targ, n: n in _NEW_CATEGORIES),
        Oddity("crawler wave", "Three times as many crawlers. They say who they are.", Targ.crawler_wave),
        Oddity("viral listing", "One listing gets a great share of all views.", Targ.viral),
        Oddity("new app version", "On the first of the month the apps have a version that was never seen before.",
               lambda targ, n: about.to_date(n).day == 1),
    )
}  # fmt: skip
"""Good days that look unusual, by name."""


def days_with(oddity: str, targ: Targ, first: str, days: int = 365) -> list[str]:
    """The days, of so many from `first` on, that have an oddity."""
    if oddity not in ODDITIES:
        raise ValueError(f"There is no oddity {oddity!r}. Take one of: {', '.join(ODDITIES)}.")
    start = about.to_number(first)
    return [str(about.to_date(n)) for n in range(start, start + days) if ODDITIES[oddity].on(targ, n)]
