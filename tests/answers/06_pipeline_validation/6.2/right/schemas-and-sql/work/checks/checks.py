"""What was agreed upon stands in schemas (pandera), what is measured in SQL (DuckDB). A day is compared with the middle of the days before."""

import duckdb
import pandera.pandas as pa

TEXT, ID, TIME, NUMBER = "str", "Int64", "datetime64[us]", "float64"
COLUMNS = {
    "clicks": {"click_id": ID, "visitor_id": ID, "happened_at": TIME, "received_at": TIME, "kind": TEXT, "listing_id": ID,
               "country": TEXT, "device": TEXT, "user_agent": TEXT},
    "orders": {"order_id": ID, "listing_id": ID, "partner_id": TEXT, "buyer_id": ID, "ordered_at": TIME, "received_at": TIME,
               "amount": NUMBER, "currency": TEXT, "status": TEXT, "payment": TEXT, "coupon": TEXT, "buyer_name": TEXT,
               "buyer_email": TEXT, "ship_to": TEXT, "delivery_note": TEXT},
    "refunds": {"refund_id": ID, "order_id": ID, "refunded_at": TIME, "amount": NUMBER, "currency": TEXT, "reason": TEXT},
    "listings": {"listing_id": ID, "partner_id": TEXT, "category": TEXT, "title": TEXT, "price": NUMBER, "currency": TEXT,
                 "country": TEXT, "created_at": TIME},
    "partners": {"partner_id": TEXT, "name": TEXT, "country": TEXT, "currency": TEXT, "joined_on": TIME, "closed_on": TIME,
                 "contact_email": TEXT},
    "rates": {"rate_date": TIME, "currency": TEXT, "rate": NUMBER, "published_at": TIME},
}  # fmt: skip
RULES = {
    "clicks": {
        "kind": pa.Check.isin(["view", "search", "favourite", "contact"]),
        "device": pa.Check.isin(["web", "android", "ios"]),
        "country": pa.Check.str_matches("^(PL|DE|FR|SE|CZ|RO|HU|CH)$"),
    },
    "orders": {
        "amount": pa.Check.gt(0),
        "status": pa.Check.isin(["paid", "cancelled", "pending"]),
        "payment": pa.Check.isin(["card", "transfer", "wallet"]),
    },
    "refunds": {"amount": pa.Check.gt(0)},
    "listings": {"price": pa.Check.gt(0)},
}
KEYS = {
    "partners": "partner_id",
    "listings": "listing_id",
    "orders": "order_id",
    "refunds": "refund_id",
    "rates": "currency",
}
SCHEMAS = {
    table: pa.DataFrameSchema({name: pa.Column(checks=rule) for name, rule in RULES.get(table, {}).items()}, unique=key)
    for table, key in {**dict.fromkeys(COLUMNS), **KEYS}.items()
}

SQL = """
SELECT 'size clicks', ln(count(*) + 1) FROM clicks UNION ALL
SELECT 'size orders', ln(count(*) + 1) FROM orders UNION ALL
SELECT 'size refunds', ln(count(*) + 1) / 3 FROM refunds UNION ALL
SELECT 'size listings', ln(count(*) + 1) FROM listings UNION ALL
SELECT 'clicks twice', odds(1 - count(DISTINCT click_id) / count(*)) FROM clicks UNION ALL
SELECT 'clicks by nobody', odds(avg((visitor_id IS NULL)::INT)) FROM clicks UNION ALL
SELECT 'orders of nothing', odds(avg((listing_id IS NULL)::INT)) FROM orders UNION ALL
SELECT 'clicks from the future', odds(avg((happened_at > received_at)::INT)) FROM clicks UNION ALL
SELECT 'clicks that waited', odds(avg((received_at > happened_at + INTERVAL 20 MINUTE)::INT)) FROM clicks UNION ALL
SELECT 'orders of long ago', odds(avg((received_at > ordered_at + INTERVAL 4 DAY)::INT)) FROM orders UNION ALL
SELECT 'hours without news, clicks', epoch(today + INTERVAL 1 DAY - max(received_at)) / 3600 FROM clicks, today GROUP BY today UNION ALL
SELECT 'hours without news, listings', epoch(today + INTERVAL 1 DAY - max(created_at)) / 7200 FROM listings, today GROUP BY today UNION ALL
SELECT 'age of rates', greatest(date_diff('day', min(rate_date), today), 4) FROM rates, today GROUP BY today UNION ALL
SELECT 'rate ' || currency, ln(rate) * 3 FROM rates UNION ALL
SELECT 'night', odds(avg((hour(received_at) < 9)::INT)) FROM clicks UNION ALL
SELECT 'evening', odds(avg((hour(received_at) >= 18)::INT)) FROM clicks UNION ALL
SELECT 'pending', odds(avg((status = 'pending')::INT)) / 2 FROM orders WHERE hour(received_at) >= 18 UNION ALL
SELECT 'strange e-mail', odds(avg((NOT regexp_full_match(buyer_email, '[a-z0-9.]+@(mail|post|inbox|letters).example'))::INT)) FROM orders UNION ALL
SELECT 'strange name', odds(avg(regexp_matches(buyer_name, '[ÃÄÅ]')::INT)) / 2 FROM orders UNION ALL
SELECT 'crawlers', odds(least(avg(regexp_matches(user_agent, 'bot|crawler')::INT), 0.06)) FROM clicks UNION ALL
SELECT 'on ' || device, odds(count(*) / (SELECT count(*) FROM clicks)) FROM clicks GROUP BY device UNION ALL
SELECT 'contacts on ' || device, odds(avg((kind = 'contact')::INT)) FROM clicks GROUP BY device UNION ALL
SELECT 'strangers', odds(avg((p.partner_id IS NULL)::INT)) FROM orders o LEFT JOIN partners p USING (partner_id) UNION ALL
SELECT 'no such listing', odds(avg((l.listing_id IS NULL)::INT)) / 2 FROM orders o LEFT JOIN listings l USING (listing_id) UNION ALL
SELECT 'other currency', odds(avg((o.currency != l.currency)::INT)) FROM orders o JOIN listings l USING (listing_id) UNION ALL
SELECT 'other price, ' || o.partner_id, median(abs(ln(o.amount / l.price))) FROM orders o JOIN listings l USING (listing_id)
    WHERE o.amount > 0 AND l.price > 0 GROUP BY o.partner_id UNION ALL
SELECT 'listings of ' || p.partner_id, ln(count(l.listing_id) + 1) FROM partners p LEFT JOIN listings l USING (partner_id), today
    WHERE p.closed_on IS NULL AND p.joined_on < today - INTERVAL 60 DAY GROUP BY p.partner_id
"""


def odds(share):
    return f"ln(({share} + 0.002) / (1.002 - {share}))"


def agreed(day):
    """Whether the columns and their types are as agreed: only then can anything be asked in SQL."""
    return all({c: str(day[t][c].dtype) for c in day[t]} == columns for t, columns in COLUMNS.items())


def measure(day):
    if not agreed(day):
        return {}
    with duckdb.connect(config={"threads": 1}) as con:
        for name, table in day.items():
            con.register(name, table)
        con.execute(
            f"CREATE TABLE today AS SELECT DATE '{day.date}' AS today; CREATE MACRO odds(share) AS {odds('share')}"
        )
        return {name: value for name, value in con.execute(SQL).fetchall() if value is not None}


def check(day, measures, past):
    for name, table in day.items():
        if table.empty:
            return [f"{name} has no row"]
    if not agreed(day):
        return ["the columns, or their types, are not those that were agreed on"]
    for name, table in day.items():
        SCHEMAS[name].validate(table)
    good = past[~past["announced"]].drop(columns="announced").dropna(axis="columns", thresh=8)
    middle, spread = good.median(), good.quantile(0.95) - good.quantile(0.05)
    alarms = []
    for name in good:
        far = abs(measures.get(name, middle[name]) - middle[name])
        announced = day.events and name.startswith(("size", "listings"))
        room = (0.15 if name.startswith("size") else 0.45) + 1.8 * spread[name]
        if far > room and not announced:
            alarms.append(f"{name}: {measures[name]:.2f}, in the middle it is {middle[name]:.2f}")
    return alarms
