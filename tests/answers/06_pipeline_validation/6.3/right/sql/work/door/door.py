"""The door in SQL: DuckDB does the work, Python masks, hashes and renames."""

import hashlib
import hmac
import json
import os
import re
import sys
from pathlib import Path

import duckdb

day = sys.argv[1]
here = Path(__file__).parent
key = Path.home().joinpath("secrets/pepper").read_text().rstrip("\n").encode()
needed = {
    "order_id": "BIGINT", "listing_id": "BIGINT", "partner_id": "VARCHAR", "buyer_id": "BIGINT", "ordered_at": "TIMESTAMP",
    "received_at": "TIMESTAMP", "amount": "DOUBLE", "currency": "VARCHAR", "status": "VARCHAR", "payment": "VARCHAR", "coupon": "VARCHAR",
    "buyer_name": "VARCHAR", "buyer_email": "VARCHAR", "ship_to": "VARCHAR", "delivery_note": "VARCHAR",
}  # fmt: skip
passing = [name for name in needed if name not in ("buyer_name", "buyer_email", "ship_to", "delivery_note")]


def buyer_hash(email: str) -> str:
    return hmac.new(key, email.encode("utf-8"), hashlib.sha256).hexdigest()


def harmless(note: str, name: str) -> bool:
    lowered = note.lower()
    digits = sum(letter.isdigit() for letter in note)
    return (
        "@" not in note and digits < 7 and not any(w in lowered for w in re.split(r"\W+", name.lower()) if len(w) > 2)
    )


con = duckdb.connect(config={"threads": 1})
con.create_function("buyer_hash", buyer_hash, ["VARCHAR"], "VARCHAR")
con.create_function("harmless", harmless, ["VARCHAR", "VARCHAR"], "BOOLEAN")
source = here / f"staging/orders/day={day}/part-0.parquet"
if not source.is_file():
    sys.exit(f"no file for {day}")
con.execute(
    f"CREATE TABLE staged AS SELECT *, file_row_number AS position FROM read_parquet('{source}', hive_partitioning = false, file_row_number = true)"
)
there = dict(con.execute("SELECT column_name, column_type FROM (DESCRIBE staged)").fetchall())
unfit = [name for name in needed if there.get(name) != needed[name]]
if unfit:
    sys.exit(f"{day} is not loaded, because of its columns {unfit}")
unknown = set(there) - set(needed) - {"position", "file_row_number"}

con.execute("""
    CREATE TABLE judged AS
    SELECT *, lower(trim(coalesce(buyer_email, ''), E' \\t\\n')) AS email,
        email LIKE '%@test.example' AS test,
        concat_ws(' ',
            CASE WHEN order_id IS NULL THEN 'no-key' END,
            CASE WHEN (received_at - ordered_at BETWEEN INTERVAL 0 DAYS AND INTERVAL 30 DAYS) IS NOT TRUE THEN 'bad-time' END,
            CASE WHEN (isfinite(amount) AND amount > 0) IS NOT TRUE THEN 'bad-amount' END,
            CASE WHEN (currency IN ('CHF', 'CZK', 'EUR', 'HUF', 'PLN', 'RON', 'SEK')) IS NOT TRUE THEN 'unknown-currency' END
        ) AS reason
    FROM staged""")
con.execute(f"""
    CREATE TABLE good AS
    SELECT {", ".join(passing)}, CASE WHEN harmless(delivery_note, buyer_name) THEN delivery_note WHEN delivery_note IS NOT NULL THEN '***' END AS delivery_note,
        CASE WHEN email <> '' THEN buyer_hash(email) END AS buyer_hash, '{day}' AS came_with
    FROM judged WHERE NOT test AND reason = ''
    QUALIFY row_number() OVER (PARTITION BY order_id ORDER BY received_at DESC) = 1""")


def number(query: str) -> int:
    return con.execute(query).fetchone()[0]


clean = number("SELECT count(*) FROM good")
if not clean:
    sys.exit(f"{day}: nothing in it can be used")


def put(query: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    con.execute(f"COPY ({query}) TO '{path}.part' (FORMAT parquet)")
    os.rename(f"{path}.part", path)


brought = {found for (found,) in con.execute("SELECT DISTINCT strftime(ordered_at, '%Y-%m-%d') FROM good").fetchall()}
for file in here.glob("clean/orders/day=*/orders.parquet"):
    if number(f"SELECT count(*) FROM read_parquet('{file}') WHERE came_with = '{day}'"):
        brought.add(file.parent.name[4:])
for made in sorted(brought):
    target = here / f"clean/orders/day={made}/orders.parquet"
    columns = f"{', '.join(passing)}, delivery_note, buyer_hash, came_with"
    query = f"SELECT {columns} FROM good WHERE ordered_at::DATE = DATE '{made}'"
    if target.exists():
        query += f" UNION ALL SELECT {columns} FROM read_parquet('{target}') WHERE came_with <> '{day}'"
    put(
        f"FROM ({query}) QUALIFY row_number() OVER (PARTITION BY order_id ORDER BY received_at DESC) = 1 ORDER BY order_id",
        target,
    )
put(
    "SELECT order_id, position, reason, amount, currency, ordered_at, received_at FROM judged WHERE NOT test AND reason <> '' ORDER BY position",
    here / f"quarantine/orders/day={day}/rows.parquet",
)
staged, bad = (
    number("SELECT count(*) FROM judged"),
    number("SELECT count(*) FROM judged WHERE NOT test AND reason <> ''"),
)
report = {
    "day": day, "staged": staged, "clean": clean, "quarantined": bad, "dropped": staged - clean - bad,
    "warnings": {
        "late": number("SELECT count(*) FROM good WHERE received_at - ordered_at > INTERVAL 24 HOURS"),
        "no-email": number("SELECT count(*) FROM good WHERE buyer_hash IS NULL"),
        "new-column": sorted(unknown),
    },
}  # fmt: skip
(here / "report").mkdir(exist_ok=True)
(here / f"report/{day}.json").write_text(json.dumps(report, indent=2))
