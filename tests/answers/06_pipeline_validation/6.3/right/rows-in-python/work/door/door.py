import hmac
import json
import math
import os
import re
import sys
from datetime import timedelta
from pathlib import Path

import duckdb

TYPES = {
    "order_id": "BIGINT",
    "listing_id": "BIGINT",
    "partner_id": "VARCHAR",
    "buyer_id": "BIGINT",
    "ordered_at": "TIMESTAMP",
    "received_at": "TIMESTAMP",
    "amount": "DOUBLE",
    "currency": "VARCHAR",
    "status": "VARCHAR",
    "payment": "VARCHAR",
    "coupon": "VARCHAR",
    "delivery_note": "VARCHAR",
}
GONE = {"buyer_name": "VARCHAR", "buyer_email": "VARCHAR", "ship_to": "VARCHAR"}
OUT = {**TYPES, "buyer_hash": "VARCHAR", "source": "VARCHAR"}
PERSONAL = [re.compile(r"[\w.+'-]+@[\w.-]+"), re.compile(r"[+(]*\d[\d ()/.-]{7,}\d")]


def read(path):
    found = duckdb.execute("SELECT * FROM read_parquet(?, hive_partitioning=false)", [str(path)])
    types = {c[0]: str(c[1]) for c in found.description}
    return types, [dict(zip(types, row, strict=True)) for row in found.fetchall()]


def write(rows, columns, path):
    duckdb.execute("CREATE OR REPLACE TABLE out (" + ", ".join(f"{n} {t}" for n, t in columns.items()) + ")")
    if rows:
        duckdb.executemany(
            "INSERT INTO out VALUES (" + ", ".join("?" * len(columns)) + ")",
            [[row[n] for n in columns] for row in rows],
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    duckdb.execute(f"COPY out TO '{path}.unfinished' (FORMAT parquet)")
    os.replace(f"{path}.unfinished", path)


def problem(row):
    if row["order_id"] is None:
        return "no-key"
    if row["ordered_at"] is None or row["received_at"] is None:
        return "bad-time: missing"
    if not timedelta(0) <= row["received_at"] - row["ordered_at"] <= timedelta(days=30):
        return "bad-time: too early, or too old"
    if row["amount"] is None or not math.isfinite(row["amount"]) or row["amount"] <= 0:
        return "bad-amount"
    if row["currency"] not in ("CHF", "CZK", "EUR", "HUF", "PLN", "RON", "SEK"):
        return "unknown-currency"


def mask(note, name):
    """Here the note stays, and what is personal in it goes."""
    if note is None:
        return None
    for pattern in PERSONAL:
        note = pattern.sub("***", note)
    for part in sorted(re.split(r"[\s()]+", name), key=len, reverse=True):
        for piece in {part, *re.findall(r"\w{3,}", part)} - {""}:
            note = re.sub(re.escape(piece), "***", note, flags=re.IGNORECASE) if len(piece) > 2 else note
    return note


day = sys.argv[1]
pepper = Path("~/secrets/pepper").expanduser().read_text().strip()
types, staged = read(Path(f"staging/orders/day={day}/part-0.parquet"))
for name, type in {**TYPES, **GONE}.items():
    if types.get(name) != type:
        print(f"STOP {day}: {name} should be {type} and is {types.get(name, 'missing')}", file=sys.stderr)
        sys.exit(3)

good, bad, dropped, late, silent = {}, [], 0, 0, 0
for position, row in enumerate(staged):
    email = (row["buyer_email"] or "").strip().lower()
    if email.endswith("@test.example"):
        dropped += 1
    elif reason := problem(row):
        bad.append({"order_id": row["order_id"], "position": position, "reason": reason})
    else:
        row["buyer_hash"] = hmac.new(pepper.encode(), email.encode(), "sha256").hexdigest() if email else None
        row["delivery_note"] = mask(row["delivery_note"], row["buyer_name"])
        row["source"] = day
        key = row["order_id"]
        if key in good:
            dropped += 1
        if key not in good or good[key]["received_at"] < row["received_at"]:
            good[key] = row
if not good:
    sys.exit("STOP: nothing to keep")
late = sum(row["received_at"] - row["ordered_at"] > timedelta(hours=24) for row in good.values())
silent = sum(row["buyer_hash"] is None for row in good.values())

days = {}
for path in Path("clean/orders").glob("day=*/orders.parquet"):
    days[path.parent.name.removeprefix("day=")] = read(path)[1]
fresh = {date: {row["order_id"]: row for row in rows if row["source"] != day} for date, rows in days.items()}
for key, row in good.items():
    rows = fresh.setdefault(str(row["ordered_at"].date()), {})
    if key not in rows or rows[key]["received_at"] < row["received_at"]:
        rows[key] = row
for date, rows in fresh.items():
    if list(rows.values()) != days.get(date):
        write(list(rows.values()), OUT, Path(f"clean/orders/day={date}/orders.parquet"))
write(
    bad,
    {"order_id": "BIGINT", "position": "INTEGER", "reason": "VARCHAR"},
    Path(f"quarantine/orders/day={day}/orders.parquet"),
)
os.makedirs("report", exist_ok=True)
with open(f"report/{day}.json", "w") as file:
    json.dump(
        {
            "day": day,
            "staged": len(staged),
            "clean": len(good),
            "quarantined": len(bad),
            "dropped": dropped,
            "warnings": {"late": late, "no-email": silent, "new-column": len(set(types) - set(TYPES) - set(GONE))},
        },
        file,
    )
