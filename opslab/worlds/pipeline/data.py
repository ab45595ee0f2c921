"""The days of Targ: clicks, orders, refunds, listings, partners and exchange rates, as pandas DataFrames.

    >>> targ = Targ(seed=1, clicks=20_000)
    >>> day = targ.day("2026-11-16")
    >>> sorted(day)
    ['clicks', 'listings', 'orders', 'partners', 'rates', 'refunds']
    >>> list(day["rates"].columns)
    ['rate_date', 'currency', 'rate', 'published_at']

The same seed, size and day give the same rows on any machine, bit for bit: everything is made of whole numbers (`draws`),
and the few floats (amounts, rates) are one division of a whole number, which IEEE 754 rounds in one way only. Each day is made by
itself. Keys fit across tables and across days: a refund of today has the amount of an order that came last week.

A day holds what *arrived* on it, in the order of arrival. So some rows are about the day before, some come twice, and
nothing of that is a fault; `docs/pipeline-data.md` says what is normal. There is no Parquet here: pandas writes it only with
pyarrow, so whoever lands the files (the flow) decides how. `SCHEMA` has the types for that.
"""

from __future__ import annotations

import functools
import hashlib
import unicodedata
from collections.abc import Mapping

import numpy as np
import pandas as pd

from opslab.worlds.pipeline import company as about
from opslab.worlds.pipeline.company import CATEGORIES, COUNTRIES, CURRENCY, RATES, Company
from opslab.worlds.pipeline.draws import table

Frames = dict[str, pd.DataFrame]

SCHEMA: dict[str, dict[str, str]] = {
    "clicks": {
        "click_id": "Int64", "visitor_id": "Int64", "happened_at": "datetime64[us]", "received_at": "datetime64[us]", "kind": "str",
        "listing_id": "Int64", "country": "str", "device": "str", "user_agent": "str",
    },
    "orders": {
        "order_id": "Int64", "listing_id": "Int64", "partner_id": "str", "buyer_id": "Int64", "ordered_at": "datetime64[us]",
        "received_at": "datetime64[us]", "amount": "float64", "currency": "str", "status": "str", "payment": "str", "coupon": "str",
        "buyer_name": "str", "buyer_email": "str", "ship_to": "str", "delivery_note": "str",
    },
    "refunds": {
        "refund_id": "Int64", "order_id": "Int64", "refunded_at": "datetime64[us]", "amount": "float64", "currency": "str", "reason": "str",
    },
    "listings": {
        "listing_id": "Int64", "partner_id": "str", "category": "str", "title": "str", "price": "float64", "currency": "str",
        "country": "str", "created_at": "datetime64[us]",
    },
    "partners": {
        "partner_id": "str", "name": "str", "country": "str", "currency": "str", "joined_on": "datetime64[us]",
        "closed_on": "datetime64[us]", "contact_email": "str",
    },
    "rates": {"rate_date": "datetime64[us]", "currency": "str", "rate": "float64", "published_at": "datetime64[us]"},
}  # fmt: skip
"""The tables, their columns in order, and their types. Ids are Int64, which can say "missing" without becoming a float."""

SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
"""Microseconds, in which all times are counted."""

ROWS_A_DAY = {"clicks": 10**8, "orders": 10**6, "listings": 10**6}
"""An id is the number of its day times this, plus a number within the day."""

LIFE_LEAST, LIFE_MOST = 30, 45
"""Days that a listing lives. What is clicked on or bought was put up in the last LIFE_LEAST days, so it is still there."""

REFUND_FIRST, REFUND_LAST = 3, 14
"""Days between an order and its refund."""

CLICK_DELAYS = ((98_900, 40 * SECOND), (800, 6 * HOUR), (300, 60 * HOUR))
"""How often, of 100,000, and within which time a click arrives: at once, after a tunnel, after a weekend offline."""
ORDER_DELAYS = ((97_500, 90 * SECOND), (2_000, 10 * HOUR), (500, 40 * HOUR))
REDELIVERED = 3_000
"""Of a million clicks, how many come a second time, within three hours."""
BOTS = 60_000
"""Of a million clicks, how many are of crawlers that say so."""

FIRST_NAMES = (
    "Ana", "Bartosz", "Céline", "Dora", "Emil", "Františka", "Gábor", "Hanna", "Ioana", "Jonas", "Kasia", "Łukasz", "Małgorzata",
    "Noé", "Oskar", "Petra", "Radu", "Sofia", "Tomasz", "Ursula", "Věra", "Wiktor", "Zoë", "Åsa", "Élodie", "Örjan",
)  # fmt: skip
LAST_NAMES = (
    "Albrecht", "Björk", "Černý", "Dumont", "Eder", "Farkas", "Grabowska", "Horváth", "Ionescu", "Jansson", "Kowalczyk", "Lindqvist",
    "Müller", "Novák", "Orban", "Popescu", "Rossier", "Szymański", "Tóth", "Vogel", "Wójcik", "Zieliński",
)  # fmt: skip
MAIL_HOSTS = ("mail.example", "post.example", "inbox.example", "letters.example")
STREETS = ("Lipowa", "Lindenweg", "Rue des Tilleuls", "Lindgatan", "Lípová", "Strada Teilor", "Hársfa utca", "Kirchgasse", "Mostowa", "Hafenstraße")  # fmt: skip
TOWNS = ("Targowo", "Altmarkt", "Vieuxbourg", "Gamlastad", "Starý Trh", "Târgu Vechi", "Óvásár", "Marktwil")
PLAIN_NOTES = ("Leave it at the door", "Second floor", "Please ring twice", "The dog is friendly")
ADJECTIVES = (
    "Old",
    "Small",
    "Red",
    "Sturdy",
    "Nearly new",
    "Blue",
    "Repaired",
    "Light",
    "Rare",
    "Plain",
    "Green",
    "Handmade",
)
REASONS = ("not as described", "damaged on the way", "changed my mind", "arrived too late", "wrong item")

KIND = table(about.KIND_WEIGHTS)
DEVICE = table(about.DEVICE_WEIGHTS)
COUNTRY = table(about.COUNTRY_WEIGHTS)
HOUR_OF_DAY = table(about.HOURS)
STATUS, STATUSES = table((93, 5, 2)), ("paid", "cancelled", "pending")
PAYMENT, PAYMENTS = table((58, 27, 15)), ("card", "transfer", "wallet")
CATEGORY = table((10, 12, 6, 9, 16, 4, 7, 9, 8, 5, 6, 8))
MAIL_HOST = table((4, 3, 2, 1))
AGE = table([40 // (2 + age) + 1 for age in range(LIFE_LEAST)])
"""How many days old the listing is that somebody looks at: new ones are looked at more."""


def texts(pool, codes: np.ndarray):
    """A text column: for each code the text at that place of the pool. Quick, because only the pool is checked."""
    return pd.array(list(pool), dtype="str").take(codes)


def times(microseconds: np.ndarray) -> np.ndarray:
    """A time column from microseconds since 1970, UTC."""
    return microseconds.astype("datetime64[us]")


def ids(values: np.ndarray, missing: np.ndarray | None = None):
    """An id column, with <NA> where `missing` is True."""
    missing = np.zeros(len(values), dtype=bool) if missing is None else missing
    return pd.arrays.IntegerArray(np.where(missing, 1, values), missing)


def start_of(number: int) -> int:
    """Midnight (UTC) at which a day begins, in microseconds since 1970."""
    return pd.Timestamp(about.to_date(number)).value // 1000


class Targ(Company):
    """The marketplace of one seed. clicks: about how many a day has; the other tables go with it."""

    def __init__(self, seed: int = 1, clicks: int = 20_000) -> None:
        super().__init__(seed, clicks)
        # New listings of a day are asked for by the 45 days after it.
        self._sellers_of = functools.lru_cache(maxsize=64)(self._sellers)

    def day(self, day) -> Frames:
        """All tables of a day ("2026-11-16" or a date)."""
        number = about.to_number(day)
        return {name: self._table(name, number) for name in SCHEMA}

    def table(self, name: str, day) -> pd.DataFrame:
        """One table of a day: one of clicks, orders, refunds, listings, partners, rates."""
        if name not in SCHEMA:
            raise ValueError(f"There is no table {name!r}. Take one of: {', '.join(SCHEMA)}.")
        return self._table(name, about.to_number(day))

    def facts(self, listings: np.ndarray) -> dict[str, np.ndarray]:
        """What is known of listings (their ids), also of those that are gone: arrays category and country."""
        known = self._describe(np.asarray(listings, dtype=np.int64))
        categories = np.array([name for name, _ in CATEGORIES], dtype=object)
        return {
            "category": categories[known["category"]],
            "country": np.array(COUNTRIES, dtype=object)[known["country"]],
        }

    def calendar(self, day, days: int = 1) -> pd.DataFrame:
        """What marketing has announced for so many days from `day` on: columns date, event. Ordinary days are not in it."""
        first = about.to_number(day)
        rows = [(about.to_date(n), event) for n in range(first, first + days) for event in self.events(n)]
        frame = pd.DataFrame(rows, columns=["date", "event"])
        return frame.astype({"date": "datetime64[us]", "event": "str"})

    def _table(self, name: str, number: int) -> pd.DataFrame:
        columns = getattr(self, f"_{name}")(number)
        return pd.DataFrame({column: columns[column] for column in SCHEMA[name]}, copy=False)

    # ---- listings

    def _sellers(self, number: int) -> np.ndarray:
        """For each listing put up on a day, the position of the partner who did. Read only: it is kept."""
        new = self._new("listings", number)
        found = self.partners_on(number)[self.draws.pick("seller", new, self.places)]
        found.flags.writeable = False
        return found

    def _new(self, what: str, number: int) -> np.ndarray:
        """The ids that came into the world on a day."""
        return number * ROWS_A_DAY[what] + np.arange(self.volume(what, number))

    def _choose(self, name: str, at: np.ndarray, number: int) -> np.ndarray:
        """For each id of `at` (clicks or orders of a day) a listing that is live on that day."""
        ages = self.draws.pick(f"{name}: age of the listing", at, AGE)
        sellers = [self._sellers_of(number - age) for age in range(LIFE_LEAST)]
        sizes = np.array([len(of_day) for of_day in sellers])
        starts = np.cumsum(sizes) - sizes
        within = self.draws.skewed(f"{name}: which listing", at, sizes[ages])
        # Where the seller has closed in the meantime, the next listing of that day is taken.
        gone = np.concatenate(sellers)
        gone = self.closed[gone] <= number
        if gone.any():
            while (dead := gone[starts[ages] + within]).any():
                within[dead] = (within[dead] + 1) % sizes[ages[dead]]
        return (number - ages) * ROWS_A_DAY["listings"] + within

    def _describe(self, listing: np.ndarray) -> dict[str, np.ndarray]:
        """What is known of listings: positions of partner, category and country, and the price in euro cents."""
        numbers, within = np.divmod(listing, ROWS_A_DAY["listings"])
        first = int(numbers.min()) if len(numbers) else 0
        span = range(first, int(numbers.max()) + 1) if len(numbers) else range(0)
        sellers = [self._sellers_of(number) for number in span]
        starts = np.cumsum([0, *map(len, sellers)])
        partner = np.concatenate([*sellers, np.zeros(0, dtype=np.int64)])[starts[numbers - first] + within]
        country = self.draws.pick("country of the listing", listing, COUNTRY)
        home = np.array([COUNTRIES.index(p.country) if p.country else -1 for p in self.partners])[partner]
        category = self.draws.pick("category", listing, CATEGORY)
        for fresh, since in about.NEW_CATEGORY_DAYS.items():
            young = self.draws.chance(f"category {fresh}", listing, 45_000)
            category[young & (numbers >= (pd.Timestamp(since).date() - about.FIRST_DAY).days)] = fresh
        middle = np.array([price for _, price in CATEGORIES])[category]
        # Three factors between 0.3 and 1.7 multiply to a skewed price; a few things are antiques.
        price = middle
        for factor in range(3):
            price = price * (300 + self.draws.below(f"price {factor}", listing, 1_400)) // 1000
        price = np.where(self.draws.chance("antique", listing, 500), price * 20, price)
        return {"partner": partner, "category": category, "country": np.where(home < 0, country, home), "cents": price}

    def _in_currency(self, cents: np.ndarray, country: np.ndarray) -> np.ndarray:
        """Euro cents as hundredths of the country's currency, to half a unit, at a rate that shops change once in a while."""
        rates = np.array([RATES.get(CURRENCY[code], 10_000) for code in COUNTRIES])[country]
        return np.maximum(cents * rates // 10_000 // 50, 1) * 50

    def _listings(self, number: int) -> dict[str, object]:
        born = [self._new("listings", past) for past in range(number - LIFE_MOST, number + 1)]
        listing = np.concatenate(born)
        age = number - listing // ROWS_A_DAY["listings"]
        life = LIFE_LEAST + 1 + self.draws.below("life", listing, LIFE_MOST - LIFE_LEAST)
        listing = listing[age < life]
        known = self._describe(listing)
        alive = self.closed[known["partner"]] > number
        listing, known = listing[alive], {name: values[alive] for name, values in known.items()}
        adjective = self.draws.below("title", listing, len(ADJECTIVES))
        titles = [f"{adjective} {category}" for category, _ in CATEGORIES for adjective in ADJECTIVES]
        created = self._moment("listing", listing, listing // ROWS_A_DAY["listings"])
        return {
            "listing_id": ids(listing),
            "partner_id": texts([partner.id for partner in self.partners], known["partner"]),
            "category": texts([name for name, _ in CATEGORIES], known["category"]),
            "title": texts(titles, known["category"] * len(ADJECTIVES) + adjective),
            "price": self._in_currency(known["cents"], known["country"]) / 100.0,
            "currency": texts([CURRENCY[code] for code in COUNTRIES], known["country"]),
            "country": texts(COUNTRIES, known["country"]),
            "created_at": times(created),
        }

    # ---- what happens, and when it arrives

    def _moment(self, what: str, at: np.ndarray, numbers: int | np.ndarray) -> np.ndarray:
        """When something happens on its day, in microseconds since 1970, to the millisecond."""
        hour = self.draws.pick(f"{what}: hour", at, HOUR_OF_DAY)
        within = self.draws.below(f"{what}: time", at, 3_600_000)
        return start_of(0) + numbers * DAY + hour * HOUR + within * 1000

    def _delay(self, what: str, at: np.ndarray, delays) -> np.ndarray:
        longest = np.array([most for _, most in delays])
        kind = self.draws.pick(f"{what}: delay", at, table([often for often, _ in delays]))
        return 1000 * (200 + self.draws.below(f"{what}: how long", at, longest[kind] // 1000))

    def _arrivals(self, what: str, number: int, delays, again: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Ids that arrive on a day, and when, in the order of arrival. again: of a million, how many come a second time."""
        found, when = [], []
        begin = start_of(number)
        for past in range(number - 3, number + 1):
            new = self._new(what, past)
            arrives = self._moment(what, new, past) + self._delay(what, new, delays)
            twice = self.draws.chance(f"{what}: delivered again", new, again)
            second = (
                arrives[twice] + 60 * SECOND + 1000 * self.draws.below(f"{what}: when again", new[twice], 10_000_000)
            )
            new, arrives = np.concatenate([new, new[twice]]), np.concatenate([arrives, second])
            here = (arrives >= begin) & (arrives < begin + DAY)
            found.append(new[here])
            when.append(arrives[here])
        found, when = np.concatenate(found), np.concatenate(when)
        # Time and position in one number: no two are the same, so that every way of sorting gives the same order.
        key = np.sort((when - begin) // 1000 << 32 | np.arange(len(when)))
        order = key & 0xFFFFFFFF
        return found[order], when[order]

    def _clicks(self, number: int) -> dict[str, object]:
        click, received = self._arrivals("clicks", number, CLICK_DELAYS, again=REDELIVERED)
        days = click // ROWS_A_DAY["clicks"]
        happened = self._moment("clicks", click, days)
        visitor = 1000 + self.draws.skewed("visitor", click, self.clicks // 3)
        kind = self.draws.pick("kind", click, KIND)
        listing = np.zeros(len(click), dtype=np.int64)
        bot = np.zeros(len(click), dtype=bool)
        for past in range(number - 3, number + 1):
            (mine,) = np.nonzero(days == past)
            listing[mine] = self._choose("click", click[mine], past)
            if self.viral(past):
                star = self._choose("star", click[mine][:1], past)
                listing[mine[self.draws.chance("viral", click[mine], 70_000)]] = star
            bot[mine] = self.draws.chance("bot", click[mine], BOTS * (3 if self.crawler_wave(past) else 1))
        kind[bot] = 0
        crawler = self.draws.below("crawler", click, len(about.CRAWLERS))
        visitor[bot] = 100 + self.draws.below("crawler host", click[bot], 40)
        device = self.draws.pick("device", visitor, DEVICE)
        device[bot] = 0
        agent = np.where(bot, len(about.DEVICES) + crawler, device)
        day = about.to_date(number)
        # The apps have a new version each month.
        version = f"{day.year - 2021}.{day.month}"
        agents = ("Mozilla/5.0 (browser)", f"TargApp/{version} (Android)", f"TargApp/{version} (iOS)", *about.CRAWLERS)
        return {
            "click_id": ids(click),
            "visitor_id": ids(visitor),
            "happened_at": times(happened),
            "received_at": times(received),
            "kind": texts(about.KINDS, kind),
            "listing_id": ids(listing, kind == about.KINDS.index("search")),
            "country": texts(COUNTRIES, self.draws.pick("visitor's country", visitor, COUNTRY)),
            "device": texts(about.DEVICES, device),
            "user_agent": texts(agents, agent),
        }

    def _bought(self, order: np.ndarray) -> dict[str, np.ndarray]:
        """What orders were about: the listing, all that is known of it, the amount in hundredths of its currency, the coupon."""
        days = order // ROWS_A_DAY["orders"]
        listing = np.zeros(len(order), dtype=np.int64)
        sale = np.zeros(len(order), dtype=bool)
        for past in np.unique(days):
            mine = days == past
            listing[mine] = self._choose("order", order[mine], int(past))
            sale[mine] = "sale" in self.events(int(past))
        known = self._describe(listing)
        coupon = self.draws.chance("coupon", order, np.where(sale, 550_000, 20_000))
        amount = self._in_currency(known["cents"], known["country"])
        amount = np.where(coupon, amount * 85 // 100, amount)
        return {**known, "listing": listing, "amount": amount, "coupon": coupon}

    def _orders(self, number: int) -> dict[str, object]:
        order, received = self._arrivals("orders", number, ORDER_DELAYS)
        days = order // ROWS_A_DAY["orders"]
        what = self._bought(order)
        buyer = 1000 + self.draws.skewed("buyer", order, self.clicks * 2)
        first, last, host = (
            self.draws.below("first name", buyer, len(FIRST_NAMES)),
            self.draws.below("last name", buyer, len(LAST_NAMES)),
            self.draws.pick("mail host", buyer, MAIL_HOST),
        )
        names = [f"{a} {b}" for a in FIRST_NAMES for b in LAST_NAMES]
        name = first * len(LAST_NAMES) + last
        plain = [_plain(text) for text in names]
        emails = [
            f"{plain[n]}{b % 1000}@{MAIL_HOSTS[h]}"
            for n, b, h in zip(name.tolist(), buyer.tolist(), host.tolist(), strict=True)
        ]
        street, house = self.draws.below("street", buyer, len(STREETS)), 1 + self.draws.below("house", buyer, 120)
        homes = [
            f"{names[n]}, {STREETS[s]} {h}, {TOWNS[c]}"
            for n, s, h, c in zip(name.tolist(), street.tolist(), house.tolist(), what["country"].tolist(), strict=True)
        ]
        # Most people say nothing, some say where to leave it, and some write who they are into a field that nobody masks.
        talk = self.draws.below("note", order, 100)
        notes = [
            f"Call for {names[n]} or write to {e}" if t < 6 else PLAIN_NOTES[t % 4] if t < 28 else None
            for n, e, t in zip(name.tolist(), emails, talk.tolist(), strict=True)
        ]
        coupons = [f"{'SALE' if 'sale' in self.events(n) else 'HELLO'}15" for n in range(number - 3, number + 1)]
        coupon = np.where(what["coupon"], days - (number - 3), len(coupons))
        return {
            "order_id": ids(order),
            "listing_id": ids(what["listing"]),
            "partner_id": texts([partner.id for partner in self.partners], what["partner"]),
            "buyer_id": ids(buyer),
            "ordered_at": times(self._moment("orders", order, days)),
            "received_at": times(received),
            "amount": what["amount"] / 100.0,
            "currency": texts([CURRENCY[code] for code in COUNTRIES], what["country"]),
            "status": texts(STATUSES, self.draws.pick("status", order, STATUS)),
            "payment": texts(PAYMENTS, self.draws.pick("payment", order, PAYMENT)),
            "coupon": texts([*coupons, None], coupon),
            "buyer_name": texts(names, name),
            "buyer_email": pd.array(emails, dtype="str"),
            "ship_to": pd.array(homes, dtype="str"),
            "delivery_note": pd.array(notes, dtype="str"),
        }

    def _refunds(self, number: int) -> dict[str, object]:
        found = []
        for lag in range(REFUND_FIRST, REFUND_LAST + 1):
            new = self._new("orders", number - lag)
            back = self.draws.chance("refund", new, 40_000)
            back &= self.draws.below("refund after", new, REFUND_LAST - REFUND_FIRST + 1) == lag - REFUND_FIRST
            # What was never paid is not paid back.
            back &= self.draws.pick("status", new, STATUS) == 0
            found.append(new[back])
        order = np.concatenate(found)
        moment = self._moment("refund", order, number)
        turn = np.argsort(moment, kind="stable")
        order, moment = order[turn], moment[turn]
        what = self._bought(order)
        # One in four keeps the thing and gets half of the money.
        half = self.draws.chance("half the money", order, 250_000)
        return {
            "refund_id": ids(order * 10 + 7),
            "order_id": ids(order),
            "refunded_at": times(moment),
            "amount": np.where(half, what["amount"] // 2, what["amount"]) / 100.0,
            "currency": texts([CURRENCY[code] for code in COUNTRIES], what["country"]),
            "reason": texts(REASONS, self.draws.below("reason", order, len(REASONS))),
        }

    # ---- small tables

    def _partners(self, number: int) -> dict[str, object]:
        here = [partner for partner in self.partners if partner.joined <= number]
        here = sorted(here, key=lambda partner: partner.id)
        joined = np.array([max(partner.joined, -3_000) for partner in here])
        closed = np.array([partner.closed if partner.closed <= number else about.NEVER for partner in here])
        closed_on = times(start_of(0) + np.where(closed == about.NEVER, 0, closed) * DAY)
        closed_on[closed == about.NEVER] = np.datetime64("NaT")
        return {
            "partner_id": pd.array([partner.id for partner in here], dtype="str"),
            "name": pd.array([partner.name for partner in here], dtype="str"),
            "country": pd.array([partner.country or None for partner in here], dtype="str"),
            "currency": pd.array([CURRENCY.get(partner.country) for partner in here], dtype="str"),
            "joined_on": times(start_of(0) + joined * DAY),
            "closed_on": closed_on,
            "contact_email": pd.array([f"feeds@{partner.id}.example" for partner in here], dtype="str"),
        }

    def _rates(self, number: int) -> dict[str, object]:
        published = self.rate_day(number)
        wait = self.draws.below("rates published", published + np.zeros(len(RATES), dtype=np.int64), 900)
        return {
            "rate_date": times(np.full(len(RATES), start_of(published))),
            "currency": pd.array(list(RATES), dtype="str"),
            "rate": np.array([self.rate(currency, published) for currency in RATES]) / 10_000.0,
            "published_at": times(start_of(published) + 15 * HOUR + wait * SECOND),
        }


@functools.cache
def _plain(name: str) -> str:
    """A name as it stands in an e-mail address: "Łukasz Wójcik" is lukasz.wojcik."""
    name = unicodedata.normalize("NFKD", name.replace("ł", "l").replace("Ł", "L"))
    return "".join(letter for letter in name if letter.isascii()).lower().replace(" ", ".").replace("'", "")


def digest(frames: Mapping[str, pd.DataFrame] | pd.DataFrame) -> str:
    """A SHA-256 over names, types and values of a table, or of all tables of a day: equal if and only if the data is."""
    if isinstance(frames, pd.DataFrame):
        frames = {"": frames}
    found = hashlib.sha256()
    for name in sorted(frames):
        for column in frames[name].columns:
            values = frames[name][column]
            found.update(f"{name}\0{column}\0{values.dtype}\0{len(values)}\0".encode())
            found.update(_bytes(values))
    return found.hexdigest()


def _bytes(values: pd.Series) -> bytes:
    missing = values.isna().to_numpy()
    if values.dtype.kind in "iufM":
        plain = values.fillna(0).to_numpy() if values.dtype.kind != "M" else values.to_numpy().view("int64")
        return missing.tobytes() + plain.astype("<f8" if values.dtype.kind == "f" else "<i8").tobytes()
    return (
        missing.tobytes() + "\0".join("" if gone else str(v) for v, gone in zip(values, missing, strict=True)).encode()
    )
