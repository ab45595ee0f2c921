import pandera.pandas as pa

ORDERS = pa.DataFrameSchema(
    {
        "order_id": pa.Column("Int64", unique=True),
        "amount": pa.Column(float, pa.Check.gt(0)),
        "status": pa.Column(str, pa.Check.isin(["paid", "pending", "cancelled"])),
        "listing_id": pa.Column("Int64", nullable=False),
    }
)
CLICKS = pa.DataFrameSchema(
    {
        "visitor_id": pa.Column("Int64", nullable=False),
        "kind": pa.Column(str, pa.Check.isin(["view", "search", "favourite", "contact"])),
    }
)


def check(day, measures, past):
    ORDERS.validate(day["orders"])
    CLICKS.validate(day["clicks"])
