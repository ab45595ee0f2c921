"""Checks for a day of Targ, in the form in which a learner writes them: what good ones look like.

First everything becomes a number (`measure`), on a scale on which good days differ by about as much everywhere: shares as
log-odds, sizes and prices as logarithms. Then there is only one question (`check`): is the number where it was on good days, with
room? What a check has to know about Targ stands at the top, and nothing in it is a count.
"""

import numpy as np
import pandas as pd

KEYS = {
    "clicks": "click_id",
    "orders": "order_id",
    "refunds": "refund_id",
    "listings": "listing_id",
    "partners": "partner_id",
}
TIMES = {"clicks": ("happened_at", "received_at"), "orders": ("ordered_at", "received_at")}
NEWEST = {"clicks": "received_at", "orders": "received_at", "refunds": "refunded_at", "listings": "created_at"}
GROUPS = {
    "clicks": ["kind", "device", "country"],
    "orders": ["status", "payment", "currency", "partner_id"],
    "listings": ["currency", "partner_id"],
}
LEADS_TO = [
    ("clicks", "listing_id", "listings"),
    ("orders", "listing_id", "listings"),
    ("orders", "partner_id", "partners"),
]
MONEY = {"orders": "amount", "listings": "price", "refunds": "amount"}
EURO = {"EUR": 1, "PLN": 4.3, "SEK": 11.3, "CZK": 25, "RON": 4.97, "HUF": 400, "CHF": 0.95}
ROOM = {
    "rows, refunds": 0.8,
    "rows": 0.25,
    "newest": 1.0,
    "group orders": 1.0,
    "group": 0.35,
    "key leads nowhere, of one": 0.2,
    "key leads": 2.0,
}
"""By how much more than good days did a number may be off; otherwise 0.4."""


def odds(share):
    """A share as log-odds, so that 1 % and 2 % are as far apart as 98 % and 99 %."""
    return float(np.log((share + 0.0005) / (1.0005 - share)))


def fits(table, columns):
    """Whether the columns are there and times are times, numbers numbers. If not, another measure says so."""
    texts = [c for c in columns if c in table and table[c].dtype == "str" and c.endswith(("_at", "amount", "price"))]
    return len(table) > 0 and set(columns) <= set(table.columns) and not texts


def measure(day):
    """Everything that is worth remembering of a day."""
    found = {}
    today = pd.Timestamp(day.date)
    active = settled(day["partners"], today)
    for name, table in day.items():
        found[f"rows, {name}"] = float(np.log2(len(table) + 1))
        if not day.events:
            found[f"rows, {name}, weekday {today.day_of_week}"] = float(np.log2(len(table) + 1))
        for column in table:
            found[f"column {name}.{column} is {table[column].dtype}"] = 1.0
        if name in KEYS and KEYS[name] in table and len(table):
            found[f"key twice, {name}"] = odds(table[KEYS[name]].dropna().duplicated().mean())
        if name in NEWEST and fits(table, [NEWEST[name]]):
            found[f"newest, {name}"] = (today + pd.Timedelta(days=1) - table[NEWEST[name]].max()).total_seconds() / 3600
        if name in ("clicks", "orders"):
            searches = table["kind"].eq("search") if "kind" in table else pd.Series(False, index=table.index)
            for column in set(table.columns) - {"coupon", "delivery_note"}:
                rows = table[~searches] if column == "listing_id" else table
                if len(rows):
                    found[f"missing, {name}.{column}"] = odds(rows[column].isna().mean())
        for column in GROUPS.get(name, []):
            if column in table and len(table):
                values = table[column][table[column].isin(active)] if column == "partner_id" else table[column]
                members = active if column == "partner_id" else set()
                found |= shares(f"{name}.{column}", values, members)
                if column == "partner_id":
                    found[f"group not known, {name}"] = odds(
                        (~table[column].isin(day["partners"]["partner_id"])).mean()
                    )
        if name in TIMES and fits(table, TIMES[name]):
            found |= waiting(name, table, *TIMES[name])
        if name in MONEY and fits(table, [MONEY[name], "currency"]):
            found |= prices(name, table[MONEY[name]], table)
    for name, column, other in LEADS_TO:
        if column in day[name] and len(day[name]):
            values = day[name][column].dropna()
            found[f"key leads nowhere, {name}.{column}"] = odds((~values.isin(day[other][column])).mean())
    for specific in (of_clicks, of_orders, of_rates):
        found |= specific(day, today)
    return found


def settled(partners, today):
    """Partners who have been there for a while and are still: those whose share says something."""
    there = partners["closed_on"].isna() & (partners["joined_on"] < today - pd.Timedelta(days=70))
    return set(partners["partner_id"][there])


def shares(what, values, members=()):
    """The share of each group, also of those that must be there and are not."""
    counted = values.value_counts(normalize=True)
    return {f"group {what} = {group}": odds(counted.get(group, 0.0)) for group in {*counted.index, *members}}


def waiting(name, table, happened, received):
    """How long it took until we heard of something."""
    wait = (table[received] - table[happened]).dt.total_seconds()
    return {
        f"before it happened, {name}": odds((wait < 0).mean()),
        f"late, {name}": odds((wait > 1800).mean()),
        f"long ago, {name}": odds((wait > 5 * 86_400).mean()),
    }


def prices(name, amounts, table):
    """What things cost, for each partner: a wrong unit is a factor."""
    found = {f"not above zero, {name}": odds((amounts <= 0).mean())}
    good = amounts > 0
    logs = np.log2(amounts[good] / table["currency"][good].map(EURO).astype("float64"))
    groups = table["partner_id"][good] if "partner_id" in table else pd.Series("all", index=logs.index)
    for partner, values in logs.groupby(groups):
        if len(values) >= 10:
            found[f"price, {name} of {partner}"] = float(values.mean())
    return found


def of_clicks(day, today):
    """When clicks come, from whom, and what each device sends."""
    clicks, found = day["clicks"], {}
    if not fits(clicks, ["received_at", "kind", "device"]):
        return found
    found |= shares("clicks by hour", clicks["received_at"].dt.hour, range(24))
    for device, mine in clicks.groupby("device"):
        found |= shares(f"clicks on {device}", mine["kind"], ["contact", "favourite", "search", "view"])
    if "user_agent" in clicks:
        crawls = clicks["user_agent"].str.contains("bot|crawler|spider", case=False, na=False)
        found["group crawlers"] = odds(min(crawls.mean(), 0.06))  # more than usual is their affair
        people = clicks["visitor_id"][~crawls].dropna().value_counts()
        if len(people):
            found["busiest visitors"] = float(np.log2(people.quantile(0.99) / people.mean()))
    return found


def of_orders(day, today):
    """Texts that look as they should, the evening, and what orders and listings say of the same thing."""
    orders, listings, found = day["orders"], day["listings"], {}
    if not len(orders):
        return found
    if "buyer_email" in orders:
        plain = orders["buyer_email"].dropna().str.fullmatch(r"[a-z0-9.]+@(mail|post|inbox|letters)\.example")
        found["text, buyer_email"] = odds(1 - plain.mean())
    if "buyer_name" in orders:
        broken = orders["buyer_name"].dropna().str.contains("[ÃÅÄ][\x80-\xbf\u2010-\u203a€šŸžœ‚‘’]|�")
        found["text, buyer_name"] = odds(broken.mean())
    if fits(orders, ["received_at", "status"]):
        evening = orders[orders["received_at"].dt.hour >= 18]
        found |= shares("orders in the evening", evening["status"], ["paid", "pending"]) if len(evening) else {}
    if {"listing_id", "partner_id"} <= set(orders.columns):
        nowhere = ~orders["listing_id"].isin(listings["listing_id"]) & orders["listing_id"].notna()
        of_partners = nowhere.groupby(orders["partner_id"]).agg(["mean", "size"])
        found["key leads nowhere, of one partner"] = float(of_partners["mean"][of_partners["size"] >= 5].max())
    if {"listing_id", "currency"} <= set(orders.columns):
        both = orders.merge(listings.drop_duplicates("listing_id"), on="listing_id", suffixes=("", "_there"))
        if len(both):
            found["currency differs from the listing's"] = odds((both["currency"] != both["currency_there"]).mean())
    return found


def of_rates(day, today):
    """Rates are of the last business day, and move by little."""
    rates, found = day["rates"], {}
    if len(rates):
        due = np.busday_offset(today.date(), 0, roll="backward")
        late = float(np.busday_count(rates["rate_date"].min().date(), due))
        found["business days late, rates"] = max(late, 2.0)  # there are holidays that NumPy does not know
        for currency, rate in zip(rates["currency"], rates["rate"], strict=True):
            found[f"price of {currency}"] = float(np.log2(rate))
    return found


def check(day, measures, past):
    """What is not as on good days."""
    good = past[~past["announced"]].drop(columns="announced")
    alarms = []
    usual = good.columns[good.notna().sum() > 3]
    for name in usual:
        low, high = good[name].min(), good[name].max()
        if name.startswith("column"):
            if name not in measures:
                alarms.append(f"{name}: not today")
            continue
        room = high - low + next((extra for start, extra in ROOM.items() if name.startswith(start)), 0.4)
        if name.startswith("rows") and day.events:
            room += 1.2  # on a day that was announced, anything between less than half and more than twice
        value = measures.get(name, np.nan)
        if value < low - room or value > high + room:
            alarms.append(f"{name}: {value:.2f}, usually {low:.2f} to {high:.2f}")
    # What was never there before: a new column, a code that nobody knows.
    known = set(past.columns)
    for name in measures.keys() - known:
        if name.startswith("column") or (
            name.startswith("group") and "partner_id" not in name and measures[name] > odds(0.002)
        ):
            alarms.append(f"{name}: never seen before")
    return alarms
