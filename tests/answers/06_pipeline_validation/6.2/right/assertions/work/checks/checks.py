"""Six looks at each table, and the highest and lowest of the good days. Assertions, as in a test."""

import math

import pandas as pd

IDS = {
    "clicks": "click_id",
    "orders": "order_id",
    "refunds": "refund_id",
    "listings": "listing_id",
    "partners": "partner_id",
}
ARRIVAL = {"clicks": "received_at", "orders": "received_at", "listings": "created_at"}


def measure(day):
    seen = {}
    end = pd.Timestamp(day.date) + pd.Timedelta(days=1)
    for name, table in day.items():
        seen[f"{name}: rows"] = math.log(len(table) + 1)
        seen[f"{name}: columns"] = hash_of(table)
        if table.empty:
            continue
        if IDS.get(name) in table:
            seen[f"{name}: duplicates"] = share(table[IDS[name]].duplicated())
        for column in table.columns.intersection(["visitor_id", "listing_id", "user_agent", "amount"]):
            seen[f"{name}.{column}: missing"] = share(table[column].isna())
        if ARRIVAL.get(name) in table:
            seen[f"{name}: hours since the last"] = (end - table[ARRIVAL[name]].max()) / pd.Timedelta(hours=3)
        for column in table.columns.intersection(["kind", "device", "country", "status", "payment", "currency"]):
            if name in ("clicks", "orders", "listings"):
                for value, part in table[column].value_counts(normalize=True).items():
                    seen[f"{name}.{column} = {value}"] = math.log(part + 0.004)
        for column in table.columns.intersection(["amount", "price", "rate"]):
            if table[column].dtype == float:
                seen[f"{name}.{column}: below zero"] = share(table[column] <= 0)
                good = table[table[column] > 0]
                for who, prices in good.groupby("partner_id" if "partner_id" in good else "currency")[column]:
                    if len(prices) > 9 or name == "rates":
                        seen[f"{name}.{column} of {who}"] = math.log(prices.median()) / 2
    clicks, orders, rates = day["clicks"], day["orders"], day["rates"]
    if "received_at" in clicks and len(clicks):
        wait = clicks["received_at"] - clicks["happened_at"]
        seen["clicks: before they happened"] = share(wait < pd.Timedelta(0))
        seen["clicks: late"] = share(wait > pd.Timedelta(minutes=30))
        for hour, part in clicks["received_at"].dt.hour.floordiv(6).value_counts(normalize=True).items():
            seen[f"clicks: quarter {hour}"] = math.log(part + 0.01)
    if len(rates):
        seen["rates: days old"] = max((end - rates["rate_date"].min()).days, 5) / 2
    if {"ordered_at", "currency"} <= set(orders) and len(orders):
        seen["orders: old"] = share(orders["ordered_at"] < end - pd.Timedelta(days=5))
        unknown = ~orders["listing_id"].isin(day["listings"]["listing_id"])
        seen["orders: listing unknown"] = math.log(unknown.mean() + 0.03)  # of a partner who has closed, some are
        both = orders.merge(day["listings"], on="listing_id")
        seen["orders: another currency"] = share(both["currency_x"] != both["currency_y"])
        seen["orders: partner unknown"] = share(~orders["partner_id"].isin(day["partners"]["partner_id"]))
        seen["orders: outside"] = share(~orders["buyer_email"].str.contains("@(?:mail|post|inbox|letters)", na=False))
    if "device" in clicks and "kind" in clicks:
        for who, contacts in clicks["kind"].eq("contact").groupby(clicks["device"]):
            seen[f"clicks: contacts on {who}"] = math.log(contacts.mean() + 0.004)
    partners = day["partners"]
    here = partners[partners["closed_on"].isna() & (partners["joined_on"] < end - pd.Timedelta(days=60))]
    for who in set(here["partner_id"]):
        seen[f"listings of {who}"] = math.log((day["listings"]["partner_id"] == who).sum() + 0.5)
    return seen


def hash_of(table):
    """Any change of names or types is a change of this number."""
    return float(sum(ord(letter) * (place + 1) for place, letter in enumerate(str(table.dtypes.to_dict()))))


def share(rows):
    return math.log(float(rows.mean()) + 0.004)


def check(day, measures, past):
    for name, table in day.items():
        assert len(table), f"{name} is empty"
    good = past[~past["announced"]].drop(columns="announced")
    for name in good.columns[good.count() > 6]:
        value = measures.get(name)
        if name.endswith("rows") and day.events:
            continue  # it was announced that there would be more, or fewer
        if value is not None:
            low, high = good[name].quantile(0.02), good[name].quantile(0.98)
            room = 0.0 if name.endswith("columns") else 0.25 + 0.8 * (high - low)
            assert low - room <= value <= high + room, f"{name}: {value:.2f}, not between {low:.2f} and {high:.2f}"
