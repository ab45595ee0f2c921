"""Checks for a day of Targ. Everything becomes a number; then there is one question: is it where it was on good days, with room?"""

import numpy as np
import pandas as pd

KEYS = {
    "clicks": "click_id",
    "orders": "order_id",
    "refunds": "refund_id",
    "listings": "listing_id",
    "partners": "partner_id",
}
NEEDED = {"clicks": ["visitor_id", "listing_id"], "orders": ["listing_id"]}
CODES = {"clicks": ["kind", "device", "country"], "orders": ["status", "payment", "currency"], "listings": ["currency"]}
TIMES = {"clicks": ("happened_at", "received_at"), "orders": ("ordered_at", "received_at")}
MONEY = {"orders": "amount", "listings": "price", "refunds": "amount"}
EURO = {"EUR": 1, "PLN": 4.3, "SEK": 11.3, "CZK": 25, "RON": 5, "HUF": 400, "CHF": 0.95}
ROOM = {"rows": 0.35, "newest": 1, "partner": 1, "orders of": 1}
"""By how much more than good days did a number may be off; otherwise 0.4."""


def odds(share):
    """A share as log-odds: from 1 % to 2 % is as far as from 98 % to 99 %."""
    return float(np.log((share + 0.001) / (1.001 - share)))


def has(table, *columns):
    return len(table) > 0 and set(columns) <= set(table.columns)


def measure(day):
    found, today = {}, pd.Timestamp(day.date)
    for name, table in day.items():
        found[f"rows {name}"] = np.log2(len(table) + 1)
        found |= {f"schema {name}.{column} {table[column].dtype}": 1 for column in table}
        if name in KEYS and has(table, KEYS[name]):
            found[f"twice {name}"] = odds(table[KEYS[name]].dropna().duplicated().mean())
        for column in NEEDED.get(name, []):
            if has(table, column):
                found[f"missing {name}.{column}"] = odds(table[column].isna().mean())
        for column in CODES.get(name, []):
            if has(table, column):
                found |= shares(f"code {name}.{column}", table[column])
        if name in TIMES and has(table, *TIMES[name]):
            happened, received = (table[column] for column in TIMES[name])
            wait = (received - happened).dt.total_seconds()
            found[f"in the future {name}"] = odds((wait < 0).mean())
            found[f"late {name}"] = odds((wait > 1800).mean())
            found[f"long ago {name}"] = odds((wait > 4 * 86_400).mean())
            found[f"newest {name}"] = (today + pd.Timedelta(days=1) - received.max()).total_seconds() / 3600
        if name in MONEY and has(table, MONEY[name], "currency") and table[MONEY[name]].dtype == "float64":
            found[f"not above zero {name}"] = odds((table[MONEY[name]] <= 0).mean())
            euros = np.log2((table[MONEY[name]] / table["currency"].map(EURO)).clip(lower=0.01))
            for partner, prices in euros.groupby(table.get("partner_id", "all")) if "partner_id" in table else []:
                if len(prices) >= 8:
                    found[f"price {name} {partner}"] = prices.median()
    return found | of_clicks(day["clicks"]) | of_orders(day) | of_partners(day, today) | of_rates(day["rates"], today)


def shares(what, column):
    return {f"{what} = {code}": odds(share) for code, share in column.value_counts(normalize=True).items()}


def of_clicks(clicks):
    found = {}
    if has(clicks, "received_at", "device", "kind"):
        found |= shares("hour", clicks["received_at"].dt.hour)
        for device, mine in clicks.groupby("device"):
            found |= shares(f"code {device}", mine["kind"])
    if has(clicks, "user_agent"):
        crawlers = clicks["user_agent"].str.contains("bot|crawler").mean()
        found["share of crawlers"] = odds(min(crawlers, 0.06))  # more of them is their affair
    return found


def of_orders(day):
    found, orders = {}, day["orders"]
    if has(orders, "listing_id", "currency"):
        there = day["listings"].drop_duplicates("listing_id")
        both = orders.merge(there, on="listing_id", how="left", suffixes=("", "_there"))
        known = both["currency_there"].notna()
        found["orders of no listing"] = odds(1 - known.mean())
        found["other currency"] = odds((both["currency"] != both["currency_there"])[known].mean())
    if has(orders, "buyer_email", "buyer_name"):
        plain = orders["buyer_email"].str.fullmatch(r"[a-z0-9.]+@(mail|post|inbox|letters)\.example")
        found["odd e-mail"] = odds(1 - plain.mean())
        found["odd letters"] = odds(orders["buyer_name"].str.contains("[ÃÄÅ].|�").mean())
    if has(orders, "received_at", "status"):
        evening = orders[orders["received_at"].dt.hour >= 18]
        found["pending in the evening"] = max(odds((evening["status"] == "pending").mean()), -2)
    return found


def of_partners(day, today):
    found, partners = {}, day["partners"]
    settled = partners[partners["closed_on"].isna() & (partners["joined_on"] < today - pd.Timedelta(days=60))]
    for name in ("orders", "listings"):
        if has(day[name], "partner_id"):
            mine = day[name]["partner_id"].value_counts(normalize=True)
            found |= {f"partner {name} {partner}": odds(mine.get(partner, 0)) for partner in set(settled["partner_id"])}
            found[f"strangers {name}"] = odds((~day[name]["partner_id"].isin(partners["partner_id"])).mean())
    if has(day["listings"], "created_at"):
        newest = day["listings"]["created_at"].max()
        found["newest listings"] = (today + pd.Timedelta(days=1) - newest).total_seconds() / 3600
    return found


def of_rates(rates, today):
    if not has(rates):
        return {}
    found = {f"rate {currency}": np.log2(rate) for currency, rate in zip(rates["currency"], rates["rate"], strict=True)}
    return found | {"days since rates": max((today - rates["rate_date"].min()).days, 4)}  # Friday's, after holidays


def check(day, measures, past):
    alarms, good = [], past[~past["announced"]].drop(columns="announced")
    for name in good.columns[good.notna().sum() >= 5]:
        low, high = good[name].min(), good[name].max()
        if name not in measures and name.startswith("schema"):
            alarms.append(f"{name}: gone")
        value = measures.get(name, odds(0) if name.startswith("code") else low)
        room = (high - low) * 0.7 + next((more for start, more in ROOM.items() if name.startswith(start)), 0.4)
        of_size = name.startswith("rows") and day.events  # it was announced
        if not low - room <= value <= high + room and not of_size:
            alarms.append(f"{name}: {value:.2f}, usually {low:.2f} to {high:.2f}")
    for name in measures.keys() - set(past.columns):
        if name.startswith("schema") or (name.startswith("code") and measures[name] > odds(0.01)):
            alarms.append(f"{name}: never seen before")
    if any(table.empty for table in day.values()):
        alarms.append("a table without a row")
    return alarms
