"""Orders, from staging to clean: python door.py 2026-11-16. The rules are in ~/notes/at-the-door.md."""

import hashlib
import hmac
import json
import os
import re
import sys
from pathlib import Path

import duckdb
import pandas as pd
from targ import TABLES, frame_of

NEEDED = TABLES["orders"].columns  # names and types, as agreed on
PERSONAL = ["buyer_name", "buyer_email", "ship_to"]
CURRENCIES = ["CHF", "CZK", "EUR", "HUF", "PLN", "RON", "SEK"]
ADDRESS, PHONE = r"\S+@\S+", r"\d[\d\s()./-]{6,}\d"
PEPPER = Path("~/secrets/pepper").expanduser().read_text().strip().encode()


def read(path):
    # In SQL, FROM 'file' would add a column `day`: the folder's.
    return duckdb.read_parquet(str(path))


def write(frame, path):
    """Whole or not at all: written beside, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    duckdb.sql(f"COPY frame TO '{fresh}' (FORMAT parquet)")
    os.replace(fresh, path)


def masked(note, name):
    parts = [rf"\b{re.escape(part)}\b" for part in re.findall(r"\w{3,}", str(name))]
    found = not pd.isna(note) and re.search("|".join([ADDRESS, PHONE, *parts]), note, re.IGNORECASE)
    return "***" if found else note


def main(day):
    try:
        staged = read(f"staging/orders/day={day}/part-0.parquet")
    except duckdb.Error:
        sys.exit(f"stop: there is no file of {day} that can be read")
    types = dict(zip(staged.columns, map(str, staged.types), strict=True))
    if wrong := [name for name, type in NEEDED.items() if types.get(name) != type]:
        sys.exit(f"stop: missing, or of another type than agreed on: {', '.join(wrong)}")
    orders = frame_of(staged).assign(position=range(len(staged)), arrived_on=day)
    orders["email"] = orders.buyer_email.fillna("").str.strip().str.lower()
    orders["wait"] = orders.received_at - orders.ordered_at

    good = {  # what is missing is never good
        "no-key": orders.order_id.notna(),
        "bad-time": orders.wait.between(pd.Timedelta(0), pd.Timedelta(days=30)),
        "bad-amount": orders.amount.between(0, float("inf"), inclusive="neither"),
        "unknown-currency": orders.currency.isin(CURRENCIES),
    }
    orders["reason"] = [" ".join(name for name in good if not good[name][at]) for at in orders.index]
    real = orders[~orders.email.str.endswith("@test.example")]
    bad = real.loc[real.reason != "", ["order_id", "position", "reason"]]
    new = real[real.reason == ""].sort_values("received_at").drop_duplicates("order_id", keep="last")
    if new.empty:
        sys.exit(f"stop: of {len(orders)} rows none can be used")

    counts = {"staged": len(orders), "clean": len(new), "quarantined": len(bad)}
    counts["dropped"] = len(orders) - len(new) - len(bad)
    late, silent = (new.wait > pd.Timedelta(days=1)).sum(), (new.email == "").sum()
    warnings = {"late": int(late), "no-email": int(silent), "new-column": len(set(types) - set(NEEDED))}

    new["delivery_note"] = [masked(*pair) for pair in zip(new.delivery_note, new.buyer_name, strict=True)]
    hashes = [hmac.new(PEPPER, email.encode(), hashlib.sha256).hexdigest() if email else None for email in new.email]
    new["buyer_hash"] = hashes
    new = new[[name for name in NEEDED if name not in PERSONAL] + ["buyer_hash", "arrived_on"]]

    # Of each day that this file can tell of: what other files have brought, and what this one brings now.
    days = new.ordered_at.dt.strftime("%Y-%m-%d")
    for date in pd.date_range(end=day, periods=32).strftime("%Y-%m-%d").union(days.unique()):
        path, mine = Path(f"clean/orders/day={date}/part-0.parquet"), new[days == date]
        others = frame_of(read(path)) if path.exists() else new.head(0)
        if len(mine) or (others.arrived_on == day).any():
            both = pd.concat([others[others.arrived_on != day], mine]).sort_values("received_at")
            write(both.drop_duplicates("order_id", keep="last"), path)
    write(bad, Path(f"quarantine/orders/day={day}/part-0.parquet"))
    Path("report").mkdir(exist_ok=True)
    Path(f"report/{day}.json").write_text(json.dumps({"day": day, **counts, "warnings": warnings}))
    print(day, counts, warnings)


main(sys.argv[1])
