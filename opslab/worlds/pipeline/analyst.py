"""Somebody who knows how to look: the reference for task 6.5, from the warehouse alone and within its budget.

    >>> with Warehouse(folder, BUDGET) as warehouse:
    ...     said = investigate(lambda sql: warehouse.query(sql).frame(), last="2026-06-18")
    >>> said.verdict, said.causes[0].name
    ('real', 'payment broken')

The order of the questions is what the module teaches. First an independent witness: the payment provider's settlements know nothing of
our pipeline, so where the mart and they part, the pipeline is at fault, and by so much. Then, on what really happened, one look for
each thing that can go wrong, at shares and not at totals, because a season moves all parts alike and a cause does not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from opslab.worlds.pipeline.revenue import BEFORE, WEEK, Said, Verdict
from opslab.worlds.pipeline.warehouse import MB

BUDGET = 12 * MB
"""Bytes. All of the orders cost 4 MB, all of the clicks 86; what is done here costs about 4."""

MATTERS = 0.025
"""A cause that explains less of the week's revenue is none that anybody asked for."""

Query = Callable[[str], pd.DataFrame]


@dataclass
class Days:
    """The days of the claim: the seven, of which the last four are certainly under whatever happened, and the four weeks before."""

    last: pd.Timestamp

    def __post_init__(self) -> None:
        self.first = self.last - pd.Timedelta(days=WEEK - 1)
        self.begin = self.first - pd.Timedelta(days=BEFORE)
        self.certain = self.last - pd.Timedelta(days=3)

    @property
    def where(self) -> str:
        return f"day BETWEEN DATE '{self.begin.date()}' AND DATE '{self.last.date()}'"


def investigate(query: Query, last: str) -> Verdict:
    """Find out what is behind the claim. query: runs SQL and returns a DataFrame. last: the last day of the claim."""
    days = Days(pd.Timestamp(last))
    events = query("SELECT day, event FROM ops.calendar ORDER BY day")
    calendar = pd.Series(events["event"].to_list(), index=pd.to_datetime(events["day"]), dtype="str")
    announced = set(calendar.index)
    causes = []
    pipeline, broken_days = _pipeline(query, days)
    if pipeline:
        causes.append(pipeline)
    quiet = [day for day in pd.date_range(days.begin, days.last) if day not in announced | broken_days]
    real = _real(query, days, quiet, pipeline)
    if real:
        causes.append(real)
    if not causes:
        return Verdict("nothing", (_overlooked(query, days, calendar),))
    return Verdict("both" if len(causes) == 2 else causes[0].kind, tuple(causes))


# ---- is it the pipeline? ------------------------------------------------------------------------------------------------------


def _pipeline(query: Query, days: Days) -> tuple[Said | None, set[pd.Timestamp]]:
    """Where the mart and the settlements part. Also the days whose orders are not all there."""
    mart = query(f"""
        SELECT day, partner_id, payment, currency, sum(revenue_eur) AS mart FROM gold.orders_daily WHERE {days.where} GROUP BY ALL""")
    bank = query(f"""
        SELECT day, partner_id, payment, currency, sum(settled_eur) AS bank FROM finance.settlements WHERE {days.where} GROUP BY ALL""")
    both = bank.merge(mart, how="outer", on=["day", "partner_id", "payment", "currency"]).fillna(
        {"bank": 0.0, "mart": 0.0}
    )
    by_day = both.groupby("day")[["mart", "bank"]].sum()
    usual = (by_day["mart"] / by_day["bank"])[: days.first - pd.Timedelta(days=1)].median()
    both["lost"] = both["bank"] * usual - both["mart"]
    week = both[both["day"] >= days.first]
    expected = week["bank"].sum() * usual
    effect = -week["lost"].sum() / expected
    if effect > -MATTERS:
        return None, set()
    daily = (by_day["mart"] / by_day["bank"] / usual)[days.first :]
    low = daily.index[daily < 1 - 0.5 * (1 - daily.min())]
    since = str(low[0].date())
    lost = week["lost"].sum()
    alone = week[week["day"] == daily.idxmin()]["lost"].sum() / lost
    if alone > 0.75:
        day = daily.idxmin()
        return Said("pipeline", "half a day", {"day": str(day.date())}, str(day.date()), effect), {day}
    # The part that has lost nearly all of it; of several such parts, the one that has least left.
    after = week[week["day"] >= low[0]]
    parts = []
    for name, column in (("partner", "partner_id"), ("payment", "payment"), ("currency", "currency")):
        of = after.groupby(column)[["lost", "bank", "mart"]].sum()
        for value, row in of.iterrows():
            if row["lost"] > 0.8 * after["lost"].sum():
                parts.append((row["mart"] / row["bank"], name, value, column))
    if not parts:
        return Said("pipeline", "re-used keys", {}, since, effect), set()
    left, name, value, column = min(parts)
    part = week[week[column] == value].groupby("day")[["mart", "bank"]].sum()
    ratio = part["mart"] / part["bank"] / usual
    since = str(ratio.index[ratio < (1 + left) / 2][0].date())
    if name == "payment":
        return Said("pipeline", "payments stuck", {name: value}, since, effect), set()
    if name == "currency":
        return Said("pipeline", "rate missing", {name: value}, since, effect), set()
    theirs = query(f"""
        SELECT partner_id, count(*) AS orders, count(amount) AS amounts FROM clean.orders
        WHERE lower(partner_id) = '{value}' AND day >= DATE '{days.certain.date()}' GROUP BY ALL""")
    # Late orders of before still come as they did.
    counts = theirs.set_index("partner_id")
    if value.upper() in counts.index:
        found = "key in capitals"
    elif value in counts.index and counts.loc[value, "amounts"] < 0.5 * counts.loc[value, "orders"]:
        found = "amount unreadable"
    else:
        found = "partner missing"
    return Said("pipeline", found, {name: value}, since, effect), set()


# ---- is it real? ----------------------------------------------------------------------------------------------------------------


def _real(query: Query, days: Days, quiet: list[pd.Timestamp], pipeline: Said | None) -> Said | None:
    """What has changed in the marketplace itself, and matters."""
    paid = query(
        f"SELECT day, sum(settled_eur) AS eur FROM finance.settlements WHERE {days.where} GROUP BY day ORDER BY day"
    )
    if _beside_weekdays(paid.set_index("day")["eur"], days, quiet, str(days.first.date())) > -MATTERS / 2:
        return None
    for look in (_coupons, _contacts, _visitors, _prices, _parts):
        found = look(query, days, quiet, pipeline)
        if found:
            return found
    return None


def _steps(table: pd.DataFrame, days: Days, quiet: list[pd.Timestamp]) -> pd.DataFrame:
    """For each column, its middle on the days before and on the last four, and when it changed. table: one row for each day."""
    table = table[table.index.isin(quiet)]
    before, after = table[: days.first - pd.Timedelta(days=1)], table[days.certain :]
    middle = pd.DataFrame({"before": before.median(), "after": after.mean(), "noise": before.std()})
    halfway = (middle["before"] + middle["after"]) / 2
    since = {}
    for column in table:
        down = middle.loc[column, "after"] < middle.loc[column, "before"]
        week = table[column][days.first :]
        beyond = week < halfway[column] if down else week > halfway[column]
        since[column] = str(week.index[beyond][0].date()) if beyond.any() else ""
    return middle.assign(since=pd.Series(since))


def _beside_weekdays(series: pd.Series, days: Days, quiet: list[pd.Timestamp], since: str) -> float:
    """By how much the days from `since` on are above or below the same weekdays of the weeks before, as a share."""
    series = series[series.index.isin(quiet)]
    before, after = series[: days.first - pd.Timedelta(days=1)], series[since:]
    usual = before.groupby(before.index.day_of_week).mean().reindex(after.index.day_of_week)
    return float(after[usual.notna().to_numpy()].sum() / usual.sum() - 1)


def _beside_the_rest(table: pd.DataFrame) -> pd.DataFrame:
    """Each column divided by the sum of the others: so what one loses does not make the others look greater."""
    return table.apply(lambda column: column / (table.sum(axis=1) - column))


def _coupons(query: Query, days: Days, quiet: list[pd.Timestamp], pipeline: Said | None) -> Said | None:
    share = query(f"""
        SELECT day, count(*) FILTER (coupon = 'HELLO15') / count(*) AS share FROM clean.orders WHERE {days.where} GROUP BY day ORDER BY day""")
    step = _steps(share.set_index("day"), days, quiet).loc["share"]
    if step["after"] < step["before"] + 0.15:
        return None
    started = (days.last - pd.Timestamp(step["since"])).days + 1
    return Said("real", "coupon leaked", {}, step["since"], -0.15 * (step["after"] - step["before"]) * started / WEEK)


def _contacts(query: Query, days: Days, quiet: list[pd.Timestamp], pipeline: Said | None) -> Said | None:
    clicks = query(f"""
        SELECT day, device, sum(clicks) FILTER (kind = 'contact') / sum(clicks) FILTER (kind = 'view') AS share
        FROM gold.clicks_daily WHERE {days.where} GROUP BY ALL""")
    steps = _steps(clicks.pivot(index="day", columns="device", values="share"), days, quiet)
    low = steps[steps["after"] < 0.6 * steps["before"]]
    if low.empty:
        return None
    device = low.index[0]
    # Orders do not know their device. What is missing is missing everywhere: settled payments, beside those before.
    paid = query(
        f"SELECT day, sum(payments) AS payments FROM finance.settlements WHERE {days.where} GROUP BY day ORDER BY day"
    )
    since = low["since"].iloc[0]
    drop = _beside_weekdays(paid.set_index("day")["payments"], days, quiet, since)
    started = (days.last - pd.Timestamp(since)).days + 1
    return Said("real", "app broken", {"device": device}, since, drop * started / WEEK)


def _visitors(query: Query, days: Days, quiet: list[pd.Timestamp], pipeline: Said | None) -> Said | None:
    clicks = query(f"SELECT day, country, sum(clicks) AS clicks FROM gold.clicks_daily WHERE {days.where} GROUP BY ALL")
    table = clicks.pivot(index="day", columns="country", values="clicks")
    # Beside the other countries: what a country loses makes the shares of all others greater.
    steps = _steps(_beside_the_rest(table), days, quiet)
    ratio = (steps["after"] / steps["before"]).sort_values()
    if ratio.iloc[0] > 0.85:
        return None
    country = ratio.index[0]
    orders = query(
        f"SELECT country, sum(orders) AS n FROM gold.orders_daily WHERE {days.where} AND day < DATE '{days.first.date()}' GROUP BY ALL"
    )
    share = orders.set_index("country")["n"] / orders["n"].sum()
    since = steps.loc[country, "since"]
    started = (days.last - pd.Timestamp(since)).days + 1
    return Said(
        "real", "visitors gone", {"country": country}, since, -share[country] * (1 - ratio.iloc[0]) * started / WEEK
    )


def _prices(query: Query, days: Days, quiet: list[pd.Timestamp], pipeline: Said | None) -> Said | None:
    # The same listings on a day before, and later: so it does not matter who came and who left.
    base = (days.first - pd.Timedelta(days=1)).date()
    prices = query(f"""
        SELECT now.day, now.category, median(now.price / old.price) AS ratio
        FROM clean.listings AS now JOIN clean.listings AS old USING (listing_id)
        WHERE old.day = DATE '{base}' AND now.day >= DATE '{base}' GROUP BY ALL""")
    table = prices.pivot(index="day", columns="category", values="ratio")
    ratio = table[days.certain :].mean()
    worth = query(
        f"SELECT category, sum(revenue_eur) AS eur FROM gold.orders_daily WHERE {days.where} AND day < DATE '{days.first.date()}' GROUP BY ALL"
    )
    share = worth.set_index("category")["eur"] / worth["eur"].sum()
    impact = ((1 - ratio) * share).dropna().sort_values()
    category = impact.index[-1]
    if ratio[category] > 0.8 or impact[category] < MATTERS:
        return None
    fallen = table.index[table[category] < (1 + ratio[category]) / 2]
    started = (days.last - fallen[0]).days + 1
    return Said("real", "price fell", {"category": category}, str(fallen[0].date()), -impact[category] * started / WEEK)


def _parts(query: Query, days: Days, quiet: list[pd.Timestamp], pipeline: Said | None) -> Said | None:
    """A partner, a category, or a way to pay in one country, whose orders are gone. Partners are asked of the bank."""
    before = f"FILTER (day < DATE '{days.first.date()}')"
    bank = query(f"""
        SELECT day, partner_id, sum(payments) AS n, coalesce(sum(settled_eur) {before}, 0) AS eur
        FROM finance.settlements WHERE {days.where} GROUP BY ALL""")
    mart = query(f"""
        SELECT day, category, country, payment, sum(orders) AS n, coalesce(sum(revenue_eur) {before}, 0) AS eur
        FROM gold.orders_daily WHERE {days.where} GROUP BY ALL""")
    found = []
    for name, frame, columns, gone in (
        ("partner left", bank, ["partner_id"], 0.8),
        ("category hidden", mart, ["category"], 0.5),
        ("payment broken", mart, ["country", "payment"], 0.45),
    ):
        counts = frame.pivot_table(index="day", columns=columns, values="n", aggfunc="sum", fill_value=0)
        # One listing that many want moves a category or a country, but not how people there pay.
        whole = counts.T.groupby(level=0).transform("sum").T if len(columns) > 1 else counts.sum(axis=1)
        steps = _steps(
            (counts.T / (whole.T - counts.T)).T if len(columns) > 1 else _beside_the_rest(counts), days, quiet
        )
        worth = frame.groupby(columns if len(columns) > 1 else columns[0])["eur"].sum()
        for part, step in steps.iterrows():
            lost = 1 - step["after"] / step["before"] if step["before"] else 0.0
            impact = lost * worth[part] / worth.sum()
            if lost > gone and impact > MATTERS:
                certainty = (step["before"] - step["after"]) / max(step["noise"], 1e-9)
                found.append((certainty, name, part, step["since"], impact))
    if not found:
        return None
    _, name, part, since, lost = max(found)
    where = {
        "partner left": lambda: {"partner": part},
        "category hidden": lambda: {"category": part},
        "payment broken": lambda: {"payment": part[1], "country": part[0]},
    }[name]()
    started = (days.last - pd.Timestamp(since)).days + 1
    return Said("real", name, where, since, -lost * started / WEEK)


# ---- is it nothing? -------------------------------------------------------------------------------------------------------------


def _overlooked(query: Query, days: Days, calendar: pd.Series) -> Said:
    """What the comparison overlooks, where nothing has happened: odd days, an odd buyer, or else the season."""
    table = query(f"SELECT day, revenue_eur FROM gold.revenue_daily WHERE {days.where} ORDER BY day")
    revenue = table.set_index("day")["revenue_eur"]
    seen = revenue[days.first :].sum() / revenue[: days.first - pd.Timedelta(days=1)].sum() * BEFORE / WEEK
    calendar = calendar[days.begin : days.last]
    name, where, odd = "season", {}, set(calendar.index)
    if odd:
        name = "holiday" if max(odd) >= days.first else "sale"
    else:
        usual = revenue.groupby(revenue.index.day_of_week).transform("median")
        outstanding = revenue.index[revenue > 1.5 * usual]
        for day in outstanding:
            buyers = query(f"""
                SELECT buyer_id, sum(amount) AS amount FROM clean.orders WHERE day = DATE '{day.date()}' GROUP BY ALL ORDER BY amount DESC""")
            if buyers["amount"].iloc[0] > 0.2 * buyers["amount"].sum():
                name, where = "one big buyer", {"buyer": str(buyers["buyer_id"].iloc[0])}
                odd.add(day)
    if not odd:
        return Said("nothing", name, where, "", seen - 1)
    fair = 1 + _beside_weekdays(revenue, days, [day for day in revenue.index if day not in odd], str(days.first.date()))
    begin = min(day for day in odd if name != "holiday" or day >= days.first)
    return Said("nothing", name, where, str(begin.date()), seen / fair - 1)
