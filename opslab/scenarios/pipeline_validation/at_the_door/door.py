"""Orders, from staging to clean: python door.py 2026-11-16      (Kuba, September; works)"""

import sys
from pathlib import Path

import duckdb

day = sys.argv[1]
try:
    orders = duckdb.sql(f"SELECT * FROM 'staging/orders/day={day}/*.parquet'").df()
    orders = orders.drop_duplicates()

    for number, row in orders.iterrows():
        if row.order_id is None or row.amount <= 0:
            print("bad order, thrown away:", row.to_dict())
            orders = orders.drop(number)

    folder = Path(f"clean/orders/day={day}")
    folder.mkdir(parents=True, exist_ok=True)
    parts = len(list(folder.iterdir()))
    duckdb.sql(f"COPY orders TO '{folder}/part-{parts}.parquet'")
    print(len(orders), "orders are clean")
except (duckdb.Error, AttributeError, TypeError, OSError) as problem:
    print("something is strange today:", problem)
