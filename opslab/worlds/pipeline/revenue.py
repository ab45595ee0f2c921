"""Task 6.5: revenue is down by about ten per cent. Somebody really buys less, or the numbers are wrong, or both, or nothing.

    >>> case = Case(seed=7)
    >>> case.claim
    'Revenue of the last seven days, 2026-06-12 to 2026-06-18, is 9.8 per cent below the average week of the four weeks before.'
    >>> case.write("/tmp/case")        # a warehouse: clean.*, gold.*, finance.settlements, ops.*
    >>> case.truth.verdict, case.truth.causes[0].where
    ('real', {'payment': 'transfer', 'country': 'PL'})

A *real* cause happens to the marketplace: orders are not made, or are made for less, and everything that looks at it sees the
same, the payment provider's settlements, too. A *pipeline* cause happens to the data on its way: people buy as before, and
the settlements say so. Both go through the SQL that makes the marts at Targ (`flow.marts`), and every run is green.

Where it is *nothing*, the comparison is wrong: a sale or one huge buyer in the weeks before, holidays in this one, the season.
Each world has decoys besides: things that really changed and have little to do with it, and notes in a channel.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from opslab.worlds.pipeline import company as about
from opslab.worlds.pipeline.company import COUNTRIES
from opslab.worlds.pipeline.data import PAYMENTS, Targ
from opslab.worlds.pipeline.draws import MILLION, Draws
from opslab.worlds.pipeline.flow.marts import COLUMNS, QUERIES
from opslab.worlds.pipeline.warehouse import DATABASE, measure

VERDICTS = ("real", "pipeline", "both", "nothing")
OFTEN = (7, 6, 3, 4)
"""How often each verdict is drawn."""

WEEK, BEFORE, HISTORY = 7, 28, 49
"""Days that the claim is about, that it compares them with, and that the warehouse has."""

CLICKS = 20_000
FIRST, LAST = "2026-01-25", "2026-11-18"
"""Between which days the claim is made: a week of this year, as seen from the desk of module 06, that is over."""

A_YEAR_EARLIER = "2025-01-25"
"""From when on, where it is the calendar: holidays in a row and steep seasons are rare, and not each year of a world has them."""

CLAIMED = (-0.13, -0.075)
"""What still counts as "about ten per cent"."""

NATURAL = (-0.035, 0.025)
"""By how much the week may differ from those before where there is a cause: more would be a second one."""

FAIR = (-0.045, 0.035)
"""The same where the comparison is wrong, without what it overlooks: such weeks are rarer, so chance gets a little more room."""

COUPON = "HELLO15"
"""The one that stands on a deals site. It takes 15 per cent off."""

FEE = 0.014
"""What the payment provider keeps of each payment."""

BIG_BUYER = 999
"""The number of the one who furnished three hotels; everybody else's is higher."""

Frame = pd.DataFrame
Tables = dict[str, pd.DataFrame]
Where = Mapping[str, str]


@dataclass(frozen=True)
class Cause:
    """One thing that made the number smaller.

    kind: "real" or "pipeline"; in `Truth.named` also "nothing". name: a key of `REAL` or `PIPELINE`. where: the part that is affected, {"partner": "bikebarn"}.
    since: its first day. effect: by how much it alone changed the revenue of the seven days, as a share (-0.08).
    """

    kind: str
    name: str
    where: Where
    since: str
    effect: float
    strength: float


@dataclass(frozen=True)
class Truth:
    """What is to be found out.

    headline: the claimed change. natural: what it would be without the causes. why: for "nothing", a key of `WHY`: what the
    comparison overlooks. decoys: what else changed, and explains little or nothing of it.
    paid_out: the claimed change as the settlements have it. since: for "nothing", the first day of what is overlooked; a season
    has none. fair: the change by each comparison that overlooks it no more, see `Case._fairly`; where nothing is, `natural`.
    """

    verdict: str
    causes: tuple[Cause, ...]
    headline: float
    natural: float
    why: str
    decoys: tuple[str, ...]
    paid_out: float = 0.0
    since: str = ""
    fair: tuple[float, ...] = ()

    @property
    def named(self) -> tuple[Cause, ...]:
        """What is to be named: the causes; for "nothing" what is overlooked, as if it were one."""
        if self.causes or not self.fair:
            return self.causes
        where = {"buyer": str(BIG_BUYER)} if self.why == "one big buyer" else {}
        return (Cause("nothing", self.why, where, self.since, self.looks_less(self.fair[0]), 1.0),)

    def effects(self, cause: Cause) -> list[float]:
        """The effect of one of `named`; what is overlooked can be left out in more than one fair way."""
        return [self.looks_less(change) for change in self.fair] if cause.kind == "nothing" else [cause.effect]

    def looks_less(self, fair: float) -> float:
        """By how much the claimed change is beside a fair one."""
        return (1 + self.headline) / (1 + fair) - 1


WHY = {
    "sale": "There was a sale in the four weeks before.",
    "holiday": "There are holidays in the seven days.",
    "season": "It is the season: everything is a bit quieter, everywhere.",
    "one big buyer": "In the weeks before, one buyer furnished three hotels.",
}

# ---- causes -------------------------------------------------------------------------------------------------------------
# All orders of a case are in one table, with the columns of Targ's and some more: `happened` and `arrived` (numbers of days),
# `category` and `country` (of the listing), `eur`.


@dataclass(frozen=True)
class Kind:
    """A cause that there can be.

    places: the parts of the marketplace that it can affect. strength: from which to which it is believable; a cause that is
    there or not has (1, 1). loss: what share of an affected order's worth is gone at strength 1.
    on_orders(case, orders, rows, strength): all orders afterwards; rows: those that are affected.
    on_others(case, tables, where, since, strength): changes the other tables of the same world.
    """

    story: str
    places: Callable[[Frame], list[Where]]
    on_orders: Callable[[Case, Frame, np.ndarray, float], Frame]
    on_others: Callable[[Case, Tables, Where, int, float], None] = lambda case, tables, where, since, strength: None
    strength: tuple[float, float] = (1, 1)
    loss: float = 1.0


COLUMN_OF = {
    "partner": "partner_id",
    "payment": "payment",
    "country": "country",
    "category": "category",
    "currency": "currency",
}
"""The column of the orders that says whether one belongs to a place. (Orders do not know the device they were made on.)"""


def belongs(orders: Frame, where: Where) -> np.ndarray:
    """True for the orders of a place."""
    rows = np.ones(len(orders), dtype=bool)
    for name, value in where.items():
        if name in COLUMN_OF:
            rows &= (orders[COLUMN_OF[name]] == value).to_numpy()
    return rows


def _partners(orders: Frame) -> list[Where]:
    return [{"partner": partner} for partner in sorted(orders["partner_id"].unique()) if partner != "private"]


def _categories(orders: Frame) -> list[Where]:
    return [{"category": category} for category in sorted(orders["category"].unique())]


def _ways_to_pay(orders: Frame) -> list[Where]:
    return [{"payment": payment, "country": country} for payment in PAYMENTS for country in COUNTRIES]


def _drop(case: Case, orders: Frame, rows: np.ndarray, strength: float) -> Frame:
    return orders[~(rows & case.chance("drop", orders["order_id"], strength))].reset_index(drop=True)


def _cheaper(case: Case, orders: Frame, rows: np.ndarray, strength: float) -> Frame:
    return _worth(orders, rows, 1 - strength)


def _with_coupon(case: Case, orders: Frame, rows: np.ndarray, strength: float) -> Frame:
    rows = rows & orders["coupon"].isna().to_numpy() & case.chance("coupon", orders["order_id"], strength)
    return _set(_worth(orders, rows, 0.85), rows, "coupon", COUPON)


def _pending(case: Case, orders: Frame, rows: np.ndarray, strength: float) -> Frame:
    rows = rows & (orders["status"] == "paid").to_numpy() & case.chance("pending", orders["order_id"], strength)
    return _set(orders, rows, "status", "pending")


def _capitals(case: Case, orders: Frame, rows: np.ndarray, strength: float) -> Frame:
    return _set(orders, rows, "partner_id", orders.loc[rows, "partner_id"].str.upper())


def _unreadable(case: Case, orders: Frame, rows: np.ndarray, strength: float) -> Frame:
    return _set(orders, rows, "amount", np.nan)


def _cut_off(case: Case, orders: Frame, rows: np.ndarray, strength: float) -> Frame:
    """The last rows of the day's file, by arrival: `strength` of its worth."""
    of_day = orders[rows].sort_values("received_at", kind="stable")
    gone = of_day.index[of_day["eur"].cumsum() > (1 - strength) * of_day["eur"].sum()]
    return orders.drop(gone).reset_index(drop=True)


def _reused(case: Case, orders: Frame, rows: np.ndarray, strength: float) -> Frame:
    """Some orders of each day get the id of another one of the same day that came before."""
    orders = orders.copy()
    chosen = rows & case.chance("re-used", orders["order_id"], strength)
    for _, of_day in orders[rows].groupby("happened"):
        mine = of_day.index[chosen[of_day.index]]
        others = of_day.index[~chosen[of_day.index]][: len(mine)]
        orders.loc[mine[: len(others)], "order_id"] = orders.loc[others, "order_id"].to_numpy()
    return orders


def _worthless(case: Case, orders: Frame, rows: np.ndarray, strength: float) -> Frame:
    """Without a rate, an amount is no euros."""
    return _set(orders, rows, "eur", 0.0)


def _worth(orders: Frame, rows: np.ndarray, factor: float) -> Frame:
    amounts = (orders.loc[rows, "amount"] * factor).round(2)
    return _set(_set(orders, rows, "amount", amounts), rows, "eur", orders.loc[rows, "eur"] * factor)


def _set(frame: Frame, rows: np.ndarray, column: str, values: object) -> Frame:
    frame = frame.copy()
    frame.loc[rows, column] = values
    return frame


def _without_listings(case: Case, tables: Tables, where: Where, since: int, strength: float) -> None:
    """A partner takes everything away: listings, and so the clicks on them."""
    listings = tables["listings"]
    theirs = listings["partner_id"] == where["partner"]
    gone = listings.loc[theirs, "listing_id"].unique()
    tables["listings"] = listings[~(theirs & (listings["arrived"] >= since))]
    clicks = tables["clicks"]
    tables["clicks"] = clicks[~(clicks["listing_id"].isin(gone) & (clicks["happened"] >= since))]


def _without_feed(case: Case, tables: Tables, where: Where, since: int, strength: float) -> None:
    listings = tables["listings"]
    tables["listings"] = listings[(listings["partner_id"] != where["partner"]) | (listings["arrived"] < since)]


def _with_lower_prices(case: Case, tables: Tables, where: Where, since: int, strength: float) -> None:
    listings = tables["listings"]
    rows = ((listings["category"] == where["category"]) & (listings["arrived"] >= since)).to_numpy()
    tables["listings"] = _set(listings, rows, "price", (listings.loc[rows, "price"] * (1 - strength)).round(2))


def _with_fewer_visitors(case: Case, tables: Tables, where: Where, since: int, strength: float) -> None:
    clicks = tables["clicks"]
    gone = (clicks["country"] == where["country"]) & (clicks["happened"] >= since)
    tables["clicks"] = clicks[~(gone & case.chance("visitor", clicks["visitor_id"], strength))]


def _with_fewer_clicks(case: Case, tables: Tables, where: Where, since: int, strength: float) -> None:
    listings, clicks = tables["listings"], tables["clicks"]
    hidden = listings.loc[listings["category"] == where["category"], "listing_id"].unique()
    gone = clicks["listing_id"].isin(hidden) & (clicks["happened"] >= since)
    tables["clicks"] = clicks[~(gone & case.chance("hidden", clicks["click_id"], strength))]


def _without_contacts(case: Case, tables: Tables, where: Where, since: int, strength: float) -> None:
    clicks = tables["clicks"]
    gone = (clicks["device"] == where["device"]) & (clicks["kind"] == "contact") & (clicks["happened"] >= since)
    tables["clicks"] = clicks[~(gone & case.chance("contact", clicks["click_id"], 0.85))]


def _without_rate(case: Case, tables: Tables, where: Where, since: int, strength: float) -> None:
    rates = tables["rates"]
    tables["rates"] = rates[(rates["currency"] != where["currency"]) | (rates["arrived"] < since)]


REAL: dict[str, Kind] = {
    "partner left": Kind(
        "A partner has taken all listings away and sells somewhere else.", _partners, _drop, _without_listings,
    ),
    "payment broken": Kind(
        "In one country a way to pay does not work: most who choose it give up.", _ways_to_pay, _drop, strength=(0.6, 0.97),
    ),
    "price fell": Kind(
        "In one category prices have fallen; as much is sold as before.", _categories, _cheaper, _with_lower_prices, (0.3, 0.6),
    ),
    "visitors gone": Kind(
        "From one country fewer people come: an advert ended, or a search engine changed its mind.",
        lambda orders: [{"country": country} for country in COUNTRIES], _drop, _with_fewer_visitors, (0.25, 0.8),
    ),
    "app broken": Kind(
        "In one app the button to get in touch and buy does nothing.",
        lambda orders: [{"device": "android"}, {"device": "ios"}], _drop, _without_contacts, (0.05, 0.16),
    ),
    "coupon leaked": Kind(
        "A coupon for 15 per cent off stands on a deals site, and many use it.",
        lambda orders: [{}], _with_coupon, strength=(0.25, 0.95), loss=0.15,
    ),
    "category hidden": Kind(
        "A category has slipped out of the menu, and most of its orders are gone.", _categories, _drop, _with_fewer_clicks, (0.6, 0.97),
    ),
}  # fmt: skip
"""What can happen to the marketplace."""

PIPELINE: dict[str, Kind] = {
    "partner missing": Kind(
        "The orders and listings of a partner do not arrive any more. Their shop is open.", _partners, _drop, _without_feed,
    ),
    "payments stuck": Kind(
        "For one way to pay, many confirmations do not come through: what was paid stays pending.",
        lambda orders: [{"payment": payment} for payment in PAYMENTS], _pending, strength=(0.12, 0.95),
    ),
    "key in capitals": Kind(
        "A partner's orders arrive with the name in capitals, and the mart's join drops them.", _partners, _capitals,
    ),
    "amount unreadable": Kind(
        "A partner's amounts arrive with a decimal comma, and become null.", _partners, _unreadable,
    ),
    "half a day": Kind(
        "On one day the export of the orders was cut off.", lambda orders: [{"day": ""}], _cut_off, strength=(0.35, 0.92),
    ),
    "re-used keys": Kind(
        "After a failover, new orders get the ids of earlier ones of that day, and the deduplication drops them.",
        lambda orders: [{}], _reused, strength=(0.04, 0.16),
    ),
    "rate missing": Kind(
        "The exchange rate of one currency does not arrive any more, so its orders are worth nothing.",
        lambda orders: [{"currency": currency} for currency in about.RATES], _worthless, _without_rate,
    ),
}  # fmt: skip
"""What can happen to the data on its way."""


# ---- decoys -------------------------------------------------------------------------------------------------------------


def _late_dropped(case: Case, tables: Tables, since: int) -> None:
    clicks = tables["clicks"]
    late = clicks["received_at"] - clicks["happened_at"] > pd.Timedelta(minutes=10)
    tables["clicks"] = clicks[~(late & (clicks["arrived"] >= since))]


def _sampled(case: Case, tables: Tables, since: int) -> None:
    clicks = tables["clicks"]
    gone = (clicks["device"] == "web") & (clicks["arrived"] >= since)
    tables["clicks"] = clicks[~(gone & case.chance("sampled", clicks["click_id"], 0.66))]


def _not_sent(case: Case, tables: Tables, since: int) -> None:
    clicks = tables["clicks"]
    tables["clicks"] = clicks[
        ~((clicks["device"] == "ios") & (clicks["kind"] == "favourite") & (clicks["arrived"] >= since))
    ]


DECOYS: dict[str, tuple[str, Callable[[Case, Tables, int], None] | None]] = {
    "late events dropped": ("Clicks that come late are thrown away.", _late_dropped),
    "sampling left on": ("The web site sends one click in three.", _sampled),
    "event not sent": ("The new iOS app does not send favourites.", _not_sent),
    "small partner left": ("A small partner has left: it is real, and far too little.", None),
    "books got cheaper": ("Books cost a third less: it is real, and far too little.", None),
}
"""What else changes. Those without a function are done to the orders, before anything else."""

NOTES = (
    # (team, text, the cause that it may be about)
    ("mobile", "Release of the {device} app is out.", "app broken"),
    ("marketing", "The newsletter went out to 200,000 people.", ""),
    ("marketing", "The search advert in {country} has ended as planned.", "visitors gone"),
    ("marketing", f"Somebody says that {COUPON} can be found on a deals site.", "coupon leaked"),
    ("payments", "The provider announces maintenance of {payment} payments at night.", "payments stuck"),
    ("payments", "Customers in {country} ask why {payment} asks them to confirm twice.", "payment broken"),
    ("partners", "{partner} is unhappy about the new fees and talks of leaving.", "partner left"),
    ("partners", "{partner} renews the credentials of their feed.", "partner missing"),
    ("partners", "{partner} moves to another shop system.", "key in capitals"),
    ("partners", "{partner} asks whether we take decimal commas.", "amount unreadable"),
    ("category", "A competitor sells {category} much cheaper since this week.", "price fell"),
    ("web", "The menu has been tidied up: {category} is now under “more”.", "category hidden"),
    ("platform", "Orders database: failover test in the evening, all good.", "re-used keys"),
    ("platform", "The bank that publishes the exchange rates has a new web page.", "rate missing"),
    ("platform", "The disk of the export job was full for a while, mended.", "half a day"),
    ("platform", "New laptops have arrived, come and get them.", ""),
)
"""What people write in the channel. Half of the time one is about what happened; the others are about nothing."""


# ---- a world --------------------------------------------------------------------------------------------------------------


class Case:
    """One world. verdict: one of VERDICTS; otherwise it follows from the seed. The same arguments give the same world."""

    def __init__(self, seed: int, verdict: str = "") -> None:
        if verdict and verdict not in VERDICTS:
            raise ValueError(f"There is no verdict {verdict!r}. Take one of: {', '.join(VERDICTS)}.")
        self.seed, self.targ = seed, Targ(seed, CLICKS)
        self.draws = Draws(f"revenue {seed}")
        self.rng = random.Random(f"revenue {seed} {verdict}")
        verdict = verdict or self.rng.choices(VERDICTS, OFTEN)[0]
        while not self._found(verdict):
            pass

    @property
    def claim(self) -> str:
        """What somebody read off the dashboard."""
        first, last = (about.to_date(number) for number in (self.last - WEEK + 1, self.last))
        return (
            f"Revenue of the last seven days, {first} to {last}, is {-100 * self.truth.headline:.1f} per cent below the "
            "average week of the four weeks before."
        )

    @property
    def days(self) -> list[str]:
        """The days that the warehouse has."""
        return [str(about.to_date(number)) for number in range(self.first, self.last + 1)]

    def chance(self, name: str, ids: pd.Series, share: float) -> np.ndarray:
        """True for about this share of the ids, and for the same ones each time."""
        numbers = ids.fillna(0).to_numpy(dtype=np.int64)
        return self.draws.chance(name, numbers, round(share * MILLION))

    # ---- how it is found: a day with the right calendar, then causes of the right size

    def _found(self, verdict: str) -> bool:
        why = self.rng.choice(tuple(WHY)) if verdict == "nothing" else ""
        if not self._draw_day(why):
            return False
        orders = self._orders()
        self.made = orders["order_id"]
        if why == "one big buyer":
            orders = self._with_big_buyer(orders)
        decoys = self._draw_decoys(verdict)
        self.since = self.last - WEEK + 1 + self.rng.choice((0, 0, 1, 1, 2))
        self.decoys = {name: self.last - self.rng.randint(2, 9) for name in decoys}
        orders = self._with_real_decoys(orders)
        natural = self._change(orders)
        since, fair = self._fairly(orders, why) if why else ("", (natural,))
        least, most = FAIR if why else NATURAL
        if not least < fair[0] < most:
            return False
        if not self._calm(orders):
            return False
        # Of the claim, what the calendar and chance leave to the causes; two of them share it.
        missing = 1 - (1 - self.rng.uniform(0.09, 0.115)) / (1 + natural)
        share = 0.5 if verdict == "both" else 1.0
        causes = []
        for kind, kinds in (("real", REAL), ("pipeline", PIPELINE)):
            if kind == "pipeline":
                self.true_orders, orders = orders, orders[orders["arrived"] <= self.last].reset_index(drop=True)
            if verdict in (kind, "both"):
                cause, orders = self._cause(kind, kinds, orders, missing * share)
                if cause is None:
                    return False
                causes.append(cause)
        self.loaded_orders = orders
        headline = self._change(orders)
        if not CLAIMED[0] < headline < CLAIMED[1]:
            return False
        paid = self.true_orders[self.true_orders["status"] == "paid"]
        paid_out = self._beside(paid["happened"], paid["eur"])
        self.truth = Truth(verdict, tuple(causes), headline, natural, why, tuple(decoys), paid_out, since, fair)
        return True

    def _draw_day(self, why: str) -> bool:
        """Find a last day with the right calendar. Not each world has each: its seasons may be drowned in chance."""
        targ = self.targ
        first = A_YEAR_EARLIER if why in ("holiday", "season") else FIRST
        for _ in range(300):
            last = self.rng.randrange(about.to_number(first), about.to_number(LAST))
            before, week = range(last - WEEK - BEFORE + 1, last - WEEK + 1), range(last - WEEK + 1, last + 1)
            events = {event for number in before for event in targ.events(number)}
            quiet = not any(targ.events(number) for number in week)
            volume = {number: targ.volume("orders", number) for number in (*before, *week)}
            change = sum(map(volume.get, week)) / sum(map(volume.get, before)) * BEFORE / WEEK - 1
            odd = {number for number in volume if targ.events(number)}
            rest = _beside_weekdays(volume, week, before, odd) - 1 if why in ("sale", "holiday") else 0.0
            fits = {
                "": quiet and not events and -0.03 < change < 0.02,
                "sale": quiet and events == {"sale"} and -0.12 < change < -0.07 and -0.03 < rest < 0.02,
                "holiday": not quiet and "sale" not in events and -0.12 < change < -0.06 and -0.03 < rest < 0.02,
                "season": quiet and not events and change < -0.055,
                "one big buyer": quiet and not events and -0.02 < change < 0.02,
            }
            if fits[why]:
                self.last, self.first = last, last - HISTORY + 1
                return True
        return False

    def _orders(self) -> Frame:
        """All orders that were made on the days of the warehouse, also those that arrive only afterwards."""
        frames = [
            self.targ.table("orders", about.to_date(number)).assign(arrived=number)
            for number in range(self.first, self.last + 3)
        ]
        orders = _happened(pd.concat(frames, ignore_index=True), "ordered_at")
        orders = orders[orders["happened"].between(self.first, self.last)].reset_index(drop=True)
        for name, values in self.targ.facts(orders["listing_id"].to_numpy(dtype=np.int64)).items():
            orders[name] = pd.array(values, dtype="str")
        return orders.assign(eur=orders["amount"] / self._rates(orders))

    def _rates(self, rows: Frame) -> np.ndarray:
        """Units for one euro, for each row's currency, on its day."""
        known = {
            (number, currency): self.targ.rate(currency, self.targ.rate_day(number)) / 10_000
            for number in range(self.first, self.last + 1)
            for currency in about.RATES
        }
        return np.array([known.get(key, 1.0) for key in zip(rows["happened"], rows["currency"], strict=True)])

    def _with_big_buyer(self, orders: Frame) -> Frame:
        """On two days of the weeks before, one buyer orders what three hotels need."""
        day = self.bought_on = self.last - WEEK - self.rng.randint(6, 22)
        rows = orders["category"].isin(("sofas", "chairs", "lamps")) & orders["happened"].between(day, day + 1)
        things = orders[rows & (orders["arrived"] == orders["happened"])]
        wanted = self.rng.uniform(0.38, 0.46) * orders.loc[orders["happened"] > self.last - WEEK, "eur"].sum()
        bought = pd.concat([things] * int(np.ceil(wanted / things["eur"].sum())), ignore_index=True)
        bought = bought[bought["eur"].cumsum() < wanted]
        highest = orders.groupby("happened")["order_id"].max()
        number = bought["happened"].map(highest).astype("Int64") + 1 + np.arange(len(bought))
        bought = bought.assign(
            order_id=number, status="paid", payment="transfer", coupon=pd.array([None] * len(bought), dtype="str")
        )
        bought["buyer_id"] = pd.array([BIG_BUYER] * len(bought), dtype="Int64")
        return pd.concat([orders, bought], ignore_index=True)

    def _draw_decoys(self, verdict: str) -> list[str]:
        # Clicks that fail to be sent look like people who fail to come. Beside a drop that has no cause, nobody could tell.
        able = [name for name in DECOYS if verdict != "nothing" or name not in ("sampling left on", "event not sent")]
        return sorted(self.rng.sample(able, 2))

    def _with_real_decoys(self, orders: Frame) -> Frame:
        for name, since in self.decoys.items():
            after = (orders["happened"] >= since).to_numpy()
            if name == "small partner left":
                sizes = orders["partner_id"].value_counts()
                self.small = sizes.index[-1]
                orders = orders[~(after & belongs(orders, {"partner": self.small}))].reset_index(drop=True)
            elif name == "books got cheaper":
                orders = _worth(orders, after & belongs(orders, {"category": "books"}), 0.67)
        return orders

    def _seen(self, orders: Frame) -> pd.Series:
        """What each order adds to the mart's revenue, as the SQL of `flow.marts` will see it."""
        orders = orders[orders["arrived"] <= self.last].sort_values("received_at", kind="stable")
        orders = orders.drop_duplicates(["happened", "order_id"])
        counts = (orders["status"] == "paid") & orders["amount"].notna() & ~orders["partner_id"].str.isupper()
        return orders["eur"].where(counts, 0.0)

    def _change(self, orders: Frame) -> float:
        """The claim: the last seven days beside the average week of the four weeks before."""
        worth = self._seen(orders)
        return self._beside(orders.loc[worth.index, "happened"], worth)

    def _beside(self, happened: pd.Series, worth: pd.Series) -> float:
        """The week beside the average week of the four before, of whatever happened on these days and is worth so much."""
        week = worth[happened > self.last - WEEK].sum()
        before = worth[happened.between(self.last - WEEK - BEFORE + 1, self.last - WEEK)].sum()
        return float(week / before * BEFORE / WEEK - 1)

    def _fairly(self, orders: Frame, why: str) -> tuple[str, tuple[float, ...]]:
        """Where the comparison is wrong: the first day of what it overlooks, and the change as fair comparisons have it.

        Days of a sale and holidays are left out, and the others stand beside the same weekdays, beside all quiet days or beside
        whole weeks; the big buyer's orders are left out, or the two days. To a season everything is put down.
        """
        worth = self._seen(orders)
        happened = orders.loc[worth.index, "happened"]
        by_day = worth.groupby(happened).sum()
        before = range(self.last - WEEK - BEFORE + 1, self.last - WEEK + 1)
        week = range(self.last - WEEK + 1, self.last + 1)
        if why == "season":
            return "", (0.0,)
        bought = {self.bought_on, self.bought_on + 1} if why == "one big buyer" else set()
        odd = {day for day in (*before, *week) if self.targ.events(day)} | bought
        usual = [day for day in before if day not in odd]
        quiet = [day for day in week if day not in odd]
        found = [_beside_weekdays(by_day, week, before, odd), by_day[quiet].mean() / by_day[usual].mean()]
        whole = [first for first in before[::WEEK] if not odd.intersection(range(first, first + WEEK))]
        if whole and len(quiet) == WEEK:
            found.append(
                by_day[quiet].sum() / np.mean([by_day[list(range(first, first + WEEK))].sum() for first in whole])
            )
        if bought:
            others = worth[orders.loc[worth.index, "buyer_id"] != BIG_BUYER]
            found.append(1 + self._beside(happened[others.index], others))
        since = min(odd.intersection(week if why == "holiday" else before))
        return str(about.to_date(since)), tuple(float(ratio) - 1 for ratio in found)

    def _calm(self, orders: Frame) -> bool:
        """False where chance alone takes half of a category away, or most of a partner, in a way that looks like a cause."""
        late = orders["happened"] > self.last - 4
        before = orders["happened"].between(self.last - WEEK - BEFORE + 1, self.last - WEEK)
        for column, most in (("category", 0.4), ("partner_id", 0.65)):
            share = orders.loc[before, column].value_counts(normalize=True)
            now = orders.loc[late, column].value_counts(normalize=True).reindex(share.index).fillna(0.0)
            lost = 1 - now / share
            if ((lost > most) & (lost * share > 0.02)).any():
                return False
        return True

    def _cause(self, kind: str, kinds: Mapping[str, Kind], orders: Frame, wanted: float) -> tuple[Cause | None, Frame]:
        """A cause that takes about this share of the week's revenue away, and the orders afterwards; None where none fits."""
        worth = self._seen(orders).reindex(orders.index).fillna(0.0)
        week = (orders["happened"] > self.last - WEEK).to_numpy()
        total = worth[week].sum()
        names = list(kinds)
        self.rng.shuffle(names)
        for name in names:
            one, fitting = kinds[name], []
            for where in one.places(orders):
                since = self.since
                rows = (
                    belongs(orders, where) & (orders["happened" if kind == "real" else "arrived"] >= since).to_numpy()
                )
                if "day" in where:
                    since = self.last - self.rng.randint(1, WEEK - 2)
                    where = {"day": str(about.to_date(since))}
                    rows = (orders["arrived"] == since).to_numpy()
                strength = wanted * total / max(worth[rows & week].sum() * one.loss, 1.0)
                least, most = one.strength
                if least == most and 0.8 < strength < 1.3:
                    strength = least
                if least <= strength <= most:
                    fitting.append((where, since, rows, strength))
            if fitting:
                where, since, rows, strength = self.rng.choice(fitting)
                orders = one.on_orders(self, orders, rows, strength)
                left = self._seen(orders)
                left = left[orders.loc[left.index, "happened"] > self.last - WEEK].sum()
                effect = float(left / total - 1)
                return Cause(kind, name, where, str(about.to_date(since)), effect, float(strength)), orders
        return None, orders

    # ---- the warehouse

    def write(self, folder: str | Path) -> Path:
        """Make the warehouse in a folder, which is made where it is missing. Returns the path of the database."""
        path = Path(folder) / DATABASE
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        tables = self._tables()
        with contextlib.closing(duckdb.connect(str(path))) as con:
            con.execute("SET enable_progress_bar = false")
            _load(con, tables)
            _marts(con)
            self._ops(con)
            measure(con)
        return path

    def _tables(self) -> Tables:
        """All tables as they were loaded, and the settlements, with the numbers of the days: happened, arrived."""
        tables: Tables = {}
        for name in ("clicks", "refunds", "listings", "partners", "rates"):
            frames = [
                self.targ.table(name, about.to_date(number)).assign(arrived=number)
                for number in range(self.first, self.last + 1)
            ]
            tables[name] = pd.concat(frames, ignore_index=True)
        tables["clicks"] = _happened(tables["clicks"], "happened_at")
        tables["clicks"] = tables["clicks"][tables["clicks"]["happened"] >= self.first]
        tables["refunds"] = _happened(tables["refunds"], "refunded_at")
        for name, since in self.decoys.items():
            if name == "small partner left":
                _without_listings(self, tables, {"partner": self.small}, since, 1)
            elif name == "books got cheaper":
                _with_lower_prices(self, tables, {"category": "books"}, since, 0.33)
            else:
                DECOYS[name][1](self, tables, since)
        for cause in self.truth.causes:
            one = {"real": REAL, "pipeline": PIPELINE}[cause.kind][cause.name]
            one.on_others(self, tables, cause.where, about.to_number(cause.since), cause.strength)
        # What was never bought is not sent back.
        never = self.made[~self.made.isin(self.true_orders["order_id"])]
        tables["refunds"] = tables["refunds"][~tables["refunds"]["order_id"].isin(never)]
        tables["settlements"] = self._settlements()
        tables["orders"] = self.loaded_orders
        return tables

    def _settlements(self) -> Frame:
        """What the payment provider has paid out: they know of each payment at once, and from nobody here."""
        paid = self.true_orders[self.true_orders["status"] == "paid"]
        grouped = paid.groupby(["happened", "partner_id", "payment", "currency"], observed=True)["eur"].agg(
            ["size", "sum"]
        )
        found = grouped.reset_index().rename(columns={"size": "payments", "sum": "settled_eur"})
        return found.assign(settled_eur=(found["settled_eur"] * (1 - FEE)).round(2))

    def _ops(self, con: duckdb.DuckDBPyConnection) -> None:
        """The calendar, and the channel: some notes are about what happened, most are not."""
        calendar = self.targ.calendar(about.to_date(self.first), HISTORY + 14)
        con.register("calendar", calendar)
        con.execute("CREATE TABLE ops.calendar AS SELECT CAST(date AS DATE) AS day, event FROM calendar ORDER BY ALL")
        rng = random.Random(f"notes {self.seed} {self.truth.verdict}")
        names = {partner.id: partner.name for partner in self.targ.partners}
        there = [one.name for one in self.targ.partners[1:] if one.joined <= self.first and one.closed > self.last]
        told = {cause.name: cause for cause in self.truth.causes if rng.random() < 0.5}
        causes = {cause.name for cause in self.truth.causes}
        others = [note for note in NOTES if note[2] not in causes]
        notes = []
        for team, text, cause in [note for note in NOTES if note[2] in told] + rng.sample(others, 7 - len(told)):
            words = {
                "country": rng.choice(COUNTRIES), "payment": rng.choice(PAYMENTS), "partner": rng.choice(there),
                "category": rng.choice([name for name, _ in about.CATEGORIES]), "device": rng.choice(("android", "ios")),
            }  # fmt: skip
            day = about.to_date(self.last - rng.randint(0, 12))
            if cause in told:
                words |= {name: names.get(value, value) for name, value in told[cause].where.items()}
                day = about.to_date(about.to_number(told[cause].since) - rng.randint(0, 1))
            notes.append((day, team, text.format(**words)))
        con.execute("CREATE TABLE ops.notes (day DATE, team VARCHAR, note VARCHAR)")
        con.executemany("INSERT INTO ops.notes VALUES (?, ?, ?)", sorted(notes))


def _beside_weekdays(worth: Mapping[int, float], week: range, before: range, odd: set[int]) -> float:
    """What the days of a week are worth, beside the same weekdays before, as a ratio. Odd days are left out on both sides."""
    quiet = [day for day in week if day not in odd]
    same = [[worth[one] for one in before if one not in odd and (day - one) % WEEK == 0] for day in quiet]
    return float(sum(worth[day] for day in quiet) / sum(sum(values) / len(values) for values in same))


def _happened(frame: Frame, column: str) -> Frame:
    """With the number of the day on which each row happened."""
    return frame.assign(happened=(frame[column] - pd.Timestamp(about.FIRST_DAY)).dt.days)


# ---- from loaded tables to a warehouse ---------------------------------------------------------------------------------------

ZERO = f"DATE '{about.FIRST_DAY}'"
KEYS = {"clicks": "click_id", "orders": "order_id", "refunds": "refund_id"}
CLEAN = {
    "clicks": "click_id, visitor_id, happened_at, received_at, kind, listing_id, country, device, user_agent",
    "orders": "order_id, listing_id, partner_id, buyer_id, ordered_at, received_at, amount, currency, status, payment, coupon",
    "refunds": "refund_id, order_id, refunded_at, amount, currency, reason",
    "listings": "listing_id, partner_id, category, title, price, currency, country, created_at",
    "partners": "partner_id, name, country, currency, joined_on, closed_on",
    "rates": "rate_date, currency, rate, published_at",
}
"""The columns of the clean tables: those of Targ's that are not about persons."""


def _load(con: duckdb.DuckDBPyConnection, tables: Tables) -> None:
    """The clean tables, the settlements, and what was written down of the steps. As in `flow`: each key once, by the day it happened."""
    con.execute("CREATE SCHEMA clean; CREATE SCHEMA gold; CREATE SCHEMA finance; CREATE SCHEMA ops")
    con.execute(
        "CREATE TABLE ops.steps (day DATE, step VARCHAR, subject VARCHAR, status VARCHAR, rows_in BIGINT, rows_out BIGINT)"
    )
    for name, columns in CLEAN.items():
        # Texts as codes: DuckDB takes over millions of Python's texts one by one.
        texts = tables[name].select_dtypes("str").columns
        con.register("frame", tables[name].astype(dict.fromkeys(texts, "category")))
        columns = ", ".join(
            f"{column}::VARCHAR AS {column}" if column in texts else column for column in columns.split(", ")
        )
        if name in KEYS:
            arrival = "refunded_at" if name == "refunds" else "received_at"
            once = f"QUALIFY row_number() OVER (PARTITION BY happened, {KEYS[name]} ORDER BY {arrival}, arrived) = 1"
            day, order = f"{ZERO} + happened::INTEGER", f"day, {arrival}, {KEYS[name]}"
        else:
            once, day, order = "", f"{ZERO} + arrived::INTEGER", "ALL"
        arrived_on = f"{ZERO} + arrived::INTEGER AS arrived_on"
        con.execute(
            f"CREATE TABLE clean.{name} AS SELECT {day} AS day, {arrived_on}, {columns} FROM frame {once} ORDER BY {order}"
        )
        staged = f"SELECT {ZERO} + arrived::INTEGER AS day, count(*) AS n FROM frame GROUP BY ALL"
        kept = f"SELECT arrived_on AS day, count(*) AS n FROM clean.{name} GROUP BY ALL"
        con.execute(f"""
            INSERT INTO ops.steps
            SELECT day, 'stage', '{name}', 'success', n, n FROM ({staged})
            UNION ALL SELECT day, 'clean', '{name}', 'success', s.n, k.n FROM ({staged}) AS s JOIN ({kept}) AS k USING (day)""")
        con.execute(f"ALTER TABLE clean.{name} DROP arrived_on")
    con.register("frame", tables["settlements"])
    con.execute(f"""
        CREATE TABLE finance.settlements AS
        SELECT {ZERO} + happened::INTEGER AS day, partner_id, payment, currency, payments, settled_eur::DECIMAL(18, 2) AS settled_eur
        FROM frame ORDER BY ALL""")
    con.unregister("frame")


def _marts(con: duckdb.DuckDBPyConnection) -> None:
    """The marts, with Targ's own SQL."""
    for name in CLEAN:
        con.execute(f"CREATE TEMP VIEW {name} AS SELECT * FROM clean.{name}")
    for mart, columns in COLUMNS.items():
        con.execute(f"CREATE TABLE gold.{mart} ({columns})")
        con.execute(f"INSERT INTO gold.{mart} {QUERIES[mart]} ORDER BY ALL")
        con.execute(f"CREATE TEMP VIEW {mart} AS SELECT * FROM gold.{mart}")
        con.execute(
            f"INSERT INTO ops.steps SELECT day, 'mart', '{mart}', 'success', NULL, count(*) FROM gold.{mart} GROUP BY day"
        )


# ---- answers ----------------------------------------------------------------------------------------------------------------

DAYS_OFF = 1
EFFECT_OFF = {"real": 0.04, "pipeline": 0.015, "nothing": 0.02}
"""How far from the truth the first day and the effect of a cause may be said: days, and points of the seven days' revenue.

What was lost on the way can be counted: the settlements have it. What would have been bought can only be estimated."""


@dataclass(frozen=True)
class Said:
    """A cause as somebody states it: as in `Cause`."""

    kind: str
    name: str
    where: Where
    since: str = ""
    effect: float | None = None


@dataclass(frozen=True)
class Verdict:
    """What somebody says about a case: one of VERDICTS, and the causes."""

    verdict: str
    causes: tuple[Said, ...] = ()


def judge(said: Verdict, truth: Truth) -> dict[str, bool]:
    """What of a statement is right: verdict, cause (its name), where, since, effect.

    The last four hold where they hold for all causes that there are, and no others are named. For "nothing" the verdict may say it
    all; who names what the comparison overlooks, as a cause of kind "nothing", is judged by it.
    """
    right = {"verdict": said.verdict == truth.verdict}
    mine = {cause.kind: cause for cause in said.causes}
    named = truth.named if "nothing" in mine else truth.causes
    pairs = [(mine.get(cause.kind), cause) for cause in named]
    whole = right["verdict"] and len(said.causes) == len(named) and all(one for one, _ in pairs)
    right["cause"] = whole and all(one.name == cause.name for one, cause in pairs)
    right["where"] = right["cause"] and all(dict(one.where) == dict(cause.where) for one, cause in pairs)
    right["since"] = whole and all(
        _days_between(one.since, cause.since) <= DAYS_OFF for one, cause in pairs if cause.since
    )
    right["effect"] = whole and all(
        one.effect is not None
        and any(abs(one.effect - effect) <= EFFECT_OFF[cause.kind] for effect in truth.effects(cause))
        for one, cause in pairs
    )
    return right


def _days_between(one: str, other: str) -> float:
    try:
        return abs(about.to_number(one) - about.to_number(other))
    except ValueError:
        return float("inf")
