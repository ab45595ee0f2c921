"""Targ as a company: who sells there, when it is busy, and what everybody there knows about a day.

    >>> targ = Company(seed=1, clicks=20_000)
    >>> targ.events(to_number("2026-12-25"))
    ['Christmas']

Days are numbers here, counted from the first of January 2024. Nothing in this file is a row; `data` makes those.
"""

from __future__ import annotations

import datetime
import functools
from dataclasses import dataclass

import numpy as np

from opslab.worlds.pipeline.draws import Draws, table

FIRST_DAY = datetime.date(2024, 1, 1)
LAST_DAY = datetime.date(2031, 12, 31)
WARM_UP = 60
"""Days after FIRST_DAY that cannot be asked for: listings live for up to 45 days, so earlier ones would be incomplete."""

NEVER = 10**6


def to_number(day: str | datetime.date) -> int:
    """The number of a day ("2026-11-16" or a date)."""
    if isinstance(day, str):
        try:
            day = datetime.date.fromisoformat(day)
        except ValueError:
            raise ValueError(f'{day!r} is not a day: write it as "2026-11-16".') from None
    if isinstance(day, datetime.datetime):
        day = day.date()
    number = (day - FIRST_DAY).days
    if number < WARM_UP or day > LAST_DAY:
        first = FIRST_DAY + datetime.timedelta(WARM_UP)
        raise ValueError(f"{day} is outside of Targ's history. Take a day from {first} to {LAST_DAY}.")
    return number


def to_date(number: int) -> datetime.date:
    """The day with this number."""
    return FIRST_DAY + datetime.timedelta(number)


# ---- what is sold, and where -------------------------------------------------------------------------------------------

COUNTRIES = ("PL", "DE", "FR", "SE", "CZ", "RO", "HU", "CH")
COUNTRY_WEIGHTS = (34, 20, 12, 9, 9, 7, 5, 4)
CURRENCY = {"PL": "PLN", "DE": "EUR", "FR": "EUR", "SE": "SEK", "CZ": "CZK", "RO": "RON", "HU": "HUF", "CH": "CHF"}
RATES = {"PLN": 43_000, "SEK": 113_000, "CZK": 250_000, "RON": 49_700, "HUF": 4_000_000, "CHF": 9_500}
"""Units of a currency for one euro, times 10,000, about which the rates swing."""

CATEGORIES = (
    ("bikes", 18_000), ("books", 900), ("cameras", 21_000), ("chairs", 6_500), ("clothes", 2_400), ("instruments", 26_000),
    ("lamps", 3_200), ("phones", 17_000), ("records", 1_600), ("sofas", 24_000), ("tools", 4_800), ("toys", 1_900),
    ("plants", 1_300), ("board games", 2_100), ("kitchen", 3_900), ("camping", 5_600),
)  # fmt: skip
"""Categories, and about what a thing costs there, in euro cents. The last four were not there from the start."""

NEW_CATEGORY_DAYS = {12: "2025-03-10", 13: "2025-11-03", 14: "2026-06-15", 15: "2027-02-08"}

PARTNERS = (
    ("private", "Private sellers", "", 300), ("bikebarn", "Bike Barn", "DE", 85), ("chatelaine", "Châtelaine", "FR", 65),
    ("deskorama", "Deskorama", "DE", 55), ("fonoplex", "Fonoplex", "PL", 80), ("gramofon", "Gramofon", "CZ", 60),
    ("kamera-kiste", "Kamera-Kiste", "DE", 60), ("latelier", "L'atelier", "FR", 50), ("meubelmarkt", "Meubelmarkt", "DE", 40),
    ("oldbooks", "Old Books", "HU", 40), ("rowerowo", "Rowerowo", "PL", 95), ("sofashop", "Sofa Shop", "SE", 60),
    ("stuffswap", "Stuff Swap", "RO", 55), ("tekno-two", "Tekno Två", "SE", 45), ("vinylist", "Vinylist", "CH", 40),
)  # fmt: skip
"""Who sells at Targ all the time: id, name, country, weight. Private sellers come from everywhere."""

GUEST_WEIGHT = 22
GUESTS = 4
"""Places for small shops that stay about a year. Each quarter one of them closes, and another joins a little later."""
GUEST_FIRST = (
    "amber",
    "birch",
    "copper",
    "dune",
    "ember",
    "fjord",
    "garnet",
    "hazel",
    "iris",
    "jasper",
    "kelp",
    "linden",
)
GUEST_SECOND = ("attic", "cellar", "corner", "market", "shelf", "yard")

KINDS = ("view", "search", "favourite", "contact")
KIND_WEIGHTS = (70, 18, 8, 4)
DEVICES = ("web", "android", "ios")
DEVICE_WEIGHTS = (44, 33, 23)
CRAWLERS = ("SearchSpider/2.1 (+https://spider.example/bot)", "PriceCrawler/0.9 (+https://prices.example/crawler)")

# ---- when it is busy -------------------------------------------------------------------------------------------------

WEEKDAYS = (1000, 980, 985, 1010, 940, 1090, 1180)
MONTHS = (1040, 980, 1010, 1020, 990, 950, 900, 920, 1030, 1050, 1090, 1060)
HOURS = (14, 8, 5, 4, 4, 6, 14, 28, 42, 50, 54, 56, 60, 58, 54, 54, 58, 66, 78, 92, 98, 88, 60, 32)
"""How busy each hour of the day is (UTC)."""

HOLIDAYS = {
    (1, 1): ("New Year", 620), (5, 1): ("Labour Day", 800), (5, 3): ("Constitution Day", 830), (11, 1): ("All Saints", 760),
    (12, 24): ("Christmas", 520), (12, 25): ("Christmas", 440), (12, 26): ("Christmas", 560), (12, 31): ("New Year's Eve", 640),
}  # fmt: skip
"""Quiet days: name, and how busy they are, in thousandths of an ordinary day."""

SALE_CLICKS, SALE_ORDERS = 1550, 1900
GROWTH_PER_DAY = 4
"""Growth in ten-thousandths of the volume of `GROWTH_FROM`, a day."""
GROWTH_FROM = (datetime.date(2026, 1, 1) - FIRST_DAY).days


@dataclass(frozen=True)
class Partner:
    """Somebody who sells at Targ. `joined` and `closed` are numbers of days; on `closed` they are no longer there."""

    id: str
    name: str
    country: str
    place: int
    joined: int
    closed: int = NEVER


class Company:
    """Targ of one seed. clicks: about how many there are on an ordinary day of January 2026; all else goes with it."""

    def __init__(self, seed: int, clicks: int) -> None:
        if not 1_000 <= clicks <= 20_000_000:
            raise ValueError(f"clicks={clicks}: a day of Targ has from 1,000 to 20,000,000 clicks.")
        self.seed, self.clicks = seed, clicks
        self.draws = Draws(f"targ {seed}")
        self.partners = self._everybody()
        weights = [weight for *_, weight in PARTNERS[1:]]
        # Which partner is big differs from world to world.
        order = np.argsort(self.draws.bits("partner size", np.arange(len(weights))), kind="stable")
        self.places = table([PARTNERS[0][3], *(weights[i] for i in order), *[GUEST_WEIGHT] * GUESTS])
        self.joined = np.array([partner.joined for partner in self.partners])
        self.closed = np.array([partner.closed for partner in self.partners])
        # A day asks for the volumes of the 45 days before it.
        self.events, self.volume = functools.cache(self.events), functools.cache(self.volume)

    def _everybody(self) -> list[Partner]:
        found = [
            Partner(id, name, country, place, joined=-self.draws.one("founded", place, 2_000) - 100)
            for place, (id, name, country, _) in enumerate(PARTNERS)
        ]
        first = self.draws.one("guest name", 0, len(GUEST_FIRST))
        for guest in range(GUESTS):
            joined, year = -200, 0
            while joined < NEVER and joined < (LAST_DAY - FIRST_DAY).days:
                # One place changes hands in each quarter of a year, somewhere in its middle.
                chance = guest * 100 + year
                closed = 365 * year + 91 * guest + 20 + self.draws.one("guest closes", chance, 50)
                number = year * GUESTS + guest
                words = GUEST_FIRST[(first + number) % 12], GUEST_SECOND[(number // 12 + number) % 6]
                country = COUNTRIES[self.draws.one("guest country", chance, len(COUNTRIES))]
                name = " ".join(words).title()
                found.append(Partner("-".join(words), name, country, len(PARTNERS) + guest, joined, closed))
                joined, year = closed + 5 + self.draws.one("guest joins", chance, 12), year + 1
        return found

    def partners_on(self, number: int) -> np.ndarray:
        """For each place the position of the partner who has it on a day; private sellers where it is empty."""
        found = np.zeros(len(PARTNERS) + GUESTS, dtype=np.int64)
        for position, partner in enumerate(self.partners):
            if partner.joined <= number < partner.closed:
                found[partner.place] = position
        return found

    # ---- the calendar

    def _sale_starts(self, year: int, quarter: int) -> int:
        """The Friday on which the sale of a quarter begins. The last one is the last Friday of November."""
        if quarter == 3:
            last = datetime.date(year, 11, 30)
            return (last - FIRST_DAY).days - (last.weekday() - 4) % 7
        begin = datetime.date(year, 3 * quarter + 1, 10)
        friday = (begin - FIRST_DAY).days + (4 - begin.weekday()) % 7
        return friday + 7 * self.draws.one("sale", year * 4 + quarter, 8)

    def events(self, number: int) -> list[str]:
        """What everybody at Targ knows about a day beforehand: holidays and sales."""
        day = to_date(number)
        found = [HOLIDAYS[day.month, day.day][0]] if (day.month, day.day) in HOLIDAYS else []
        starts = [self._sale_starts(day.year, quarter) for quarter in range(4)]
        return found + ["sale"] * any(0 <= number - start < 3 for start in starts)

    def volume(self, what: str, number: int) -> int:
        """How many clicks, orders or new listings ("clicks", "orders", "listings") a day brings."""
        day, events = to_date(number), self.events(number)
        base = {"clicks": self.clicks, "orders": max(600, self.clicks // 25), "listings": max(50, self.clicks // 400)}[
            what
        ]
        factors = [WEEKDAYS[day.weekday()], MONTHS[day.month - 1]]
        if (day.month, day.day) in HOLIDAYS:
            factors.append(HOLIDAYS[day.month, day.day][1])
        if "sale" in events and what != "listings":
            factors.append(SALE_ORDERS if what == "orders" else SALE_CLICKS)
        # The sum of four dice is round enough: from -6 to +6 per cent, mostly within 3.
        dice = self.draws.below(f"noise of {what}", np.arange(4) + 4 * number, 31).sum()
        factors.append(940 + int(dice))
        volume = base * (10_000 + GROWTH_PER_DAY * (number - GROWTH_FROM)) // 10_000
        for factor in factors:
            volume = volume * factor // 1000
        return volume

    # ---- things that happen without notice, and are no fault

    def crawler_wave(self, number: int) -> bool:
        """On such a day, crawlers come three times as often, and say who they are."""
        return self.draws.one("crawler wave", number, 100) < 4

    def viral(self, number: int) -> bool:
        """On such a day, half the internet looks at one listing."""
        return self.draws.one("viral", number, 100) < 4

    # ---- money

    @functools.cached_property
    def _walks(self) -> dict[str, np.ndarray]:
        """For each currency and business day, the rate times 10,000: its middle, moved by the steps of the last 40 days."""
        days = np.arange((LAST_DAY - FIRST_DAY).days + 60)
        walks = {}
        for currency, middle in RATES.items():
            steps = np.cumsum(self.draws.below(f"rate {currency}", days, 6_001) - 3_000)
            moved = steps[40:] - steps[:-40]
            walks[currency] = middle * (1_000_000 + moved) // 1_000_000
        return walks

    def rate_day(self, number: int) -> int:
        """The last business day on or before a day: rates are published on those only."""
        while to_date(number).weekday() > 4 or (to_date(number).month, to_date(number).day) in (
            (1, 1),
            (12, 25),
            (12, 26),
        ):
            number -= 1
        return number

    def rate(self, currency: str, number: int) -> int:
        """Units of a currency for one euro, times 10,000, as published on a business day."""
        return int(self._walks[currency][number])
