"""The SQL of the marts: what people look at.

The queries are over whatever days `orders`, `clicks` and `refunds` hold (`day`: when it happened). `partners`, `listings` and
`rates` are snapshots (`day`: of which they are). Amounts become euros with two decimals before they are added up, so that sums
do not depend on the order in which a database adds.
"""

from __future__ import annotations

COLUMNS = {
    "orders_daily": """
        day DATE, partner_id VARCHAR, partner VARCHAR, category VARCHAR, country VARCHAR, payment VARCHAR, currency VARCHAR,
        orders BIGINT, paid BIGINT, revenue_eur DECIMAL(18, 2)""",
    "refunds_daily": "day DATE, currency VARCHAR, refunds BIGINT, refunded_eur DECIMAL(18, 2)",
    "clicks_daily": "day DATE, country VARCHAR, device VARCHAR, kind VARCHAR, clicks BIGINT, visitors BIGINT",
    "revenue_daily": """
        day DATE, orders BIGINT, paid BIGINT, revenue_eur DECIMAL(18, 2), refunded_eur DECIMAL(18, 2), net_eur DECIMAL(18, 2)""",
}
"""The marts and their columns."""

NEEDS = {
    "orders_daily": ("orders", "partners", "listings", "rates"),
    "refunds_daily": ("refunds", "rates"),
    "clicks_daily": ("clicks",),
    "revenue_daily": ("orders_daily", "refunds_daily"),
}
"""What a mart is made of: clean tables, or other marts."""

QUERIES = {
    "orders_daily": """
        SELECT o.day, o.partner_id, p.name, l.category, l.country, o.payment, o.currency,
               count(*),
               count(*) FILTER (o.status = 'paid'),
               coalesce(sum((o.amount / r.rate)::DECIMAL(18, 2)) FILTER (o.status = 'paid'), 0)
        FROM orders AS o
        JOIN partners AS p ON p.day = o.day AND p.partner_id = o.partner_id
        LEFT JOIN listings AS l ON l.day = o.day AND l.listing_id = o.listing_id
        LEFT JOIN (SELECT day, currency, rate FROM rates UNION ALL SELECT DISTINCT day, 'EUR', 1 FROM orders) AS r
               ON r.day = o.day AND r.currency = o.currency
        GROUP BY ALL""",
    "refunds_daily": """
        SELECT f.day, f.currency, count(*), coalesce(sum((f.amount / r.rate)::DECIMAL(18, 2)), 0)
        FROM refunds AS f
        LEFT JOIN (SELECT day, currency, rate FROM rates UNION ALL SELECT DISTINCT day, 'EUR', 1 FROM refunds) AS r
               ON r.day = f.day AND r.currency = f.currency
        GROUP BY ALL""",
    "clicks_daily": """
        SELECT day, country, device, kind, count(*), count(DISTINCT visitor_id)
        FROM clicks
        WHERE user_agent IS NULL OR NOT regexp_matches(user_agent, '(?i)bot|spider|crawler')
        GROUP BY ALL""",
    "revenue_daily": """
        SELECT day, sum(orders), sum(paid), sum(revenue), sum(refunded), sum(revenue) - sum(refunded)
        FROM (SELECT day, orders, paid, revenue_eur AS revenue, 0 AS refunded FROM orders_daily
              UNION ALL
              SELECT day, 0, 0, 0, refunded_eur FROM refunds_daily)
        GROUP BY day""",
}
"""How each mart is made; revenue_daily comes last, because it adds up others."""
