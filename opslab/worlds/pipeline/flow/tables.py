"""The tables that flow through the pipeline: their columns and types, and what makes a row itself.

>>> TABLES["orders"].key, TABLES["orders"].happened
('order_id', 'ordered_at')
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """key: one row for each value of it. columns: names and DuckDB types.

    happened, received: the columns with the time at which something happened, and at which we heard of it. Without them
    the table is a snapshot: each day brings all of it again.
    """

    key: str
    columns: dict[str, str]
    happened: str = ""
    received: str = ""


TABLES = {
    "clicks": Table(
        "click_id",
        {
            "click_id": "BIGINT", "visitor_id": "BIGINT", "happened_at": "TIMESTAMP", "received_at": "TIMESTAMP", "kind": "VARCHAR",
            "listing_id": "BIGINT", "country": "VARCHAR", "device": "VARCHAR", "user_agent": "VARCHAR",
        },
        happened="happened_at",
        received="received_at",
    ),
    "orders": Table(
        "order_id",
        {
            "order_id": "BIGINT", "listing_id": "BIGINT", "partner_id": "VARCHAR", "buyer_id": "BIGINT", "ordered_at": "TIMESTAMP",
            "received_at": "TIMESTAMP", "amount": "DOUBLE", "currency": "VARCHAR", "status": "VARCHAR", "payment": "VARCHAR",
            "coupon": "VARCHAR", "buyer_name": "VARCHAR", "buyer_email": "VARCHAR", "ship_to": "VARCHAR", "delivery_note": "VARCHAR",
        },
        happened="ordered_at",
        received="received_at",
    ),
    "refunds": Table(
        "refund_id",
        {
            "refund_id": "BIGINT", "order_id": "BIGINT", "refunded_at": "TIMESTAMP", "amount": "DOUBLE", "currency": "VARCHAR",
            "reason": "VARCHAR",
        },
        happened="refunded_at",
        received="refunded_at",
    ),
    "listings": Table(
        "listing_id",
        {
            "listing_id": "BIGINT", "partner_id": "VARCHAR", "category": "VARCHAR", "title": "VARCHAR", "price": "DOUBLE",
            "currency": "VARCHAR", "country": "VARCHAR", "created_at": "TIMESTAMP",
        },
    ),
    "partners": Table(
        "partner_id",
        {
            "partner_id": "VARCHAR", "name": "VARCHAR", "country": "VARCHAR", "currency": "VARCHAR", "joined_on": "TIMESTAMP",
            "closed_on": "TIMESTAMP", "contact_email": "VARCHAR",
        },
    ),
    "rates": Table(
        "currency",
        {"rate_date": "TIMESTAMP", "currency": "VARCHAR", "rate": "DOUBLE", "published_at": "TIMESTAMP"},
    ),
}  # fmt: skip
"""All tables, by name."""
