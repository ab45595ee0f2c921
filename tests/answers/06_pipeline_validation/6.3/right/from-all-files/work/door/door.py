"""Clean is a function of all files that were let in: each day of it is made anew from them.

Which files were let in stands in report/: a day with a report. So a file that was stopped takes no part.
"""

import hmac
import json
import re
import sys
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

WANTED = [
    ("order_id", "BIGINT"), ("listing_id", "BIGINT"), ("partner_id", "VARCHAR"), ("buyer_id", "BIGINT"), ("ordered_at", "TIMESTAMP"),
    ("received_at", "TIMESTAMP"), ("amount", "DOUBLE"), ("currency", "VARCHAR"), ("status", "VARCHAR"), ("payment", "VARCHAR"),
    ("coupon", "VARCHAR"), ("buyer_name", "VARCHAR"), ("buyer_email", "VARCHAR"), ("ship_to", "VARCHAR"), ("delivery_note", "VARCHAR"),
]  # fmt: skip
KEY = (Path.home() / "secrets" / "pepper").read_bytes().strip()
con = duckdb.connect()


def load(day):
    """The staged rows of a day, with verdict, hash and mask. None where the file does not fit."""
    path = f"staging/orders/day={day}/part-0.parquet"
    found = con.execute("SELECT * FROM read_parquet(?, hive_partitioning=false)", [path])
    if not {(c[0], str(c[1])) for c in found.description} >= set(WANTED):
        return None, 0
    columns = len(found.description)
    frame = found.df().astype({"order_id": "Int64", "listing_id": "Int64", "buyer_id": "Int64"})[
        [name for name, _ in WANTED]
    ]
    frame.insert(0, "position", np.arange(len(frame)))
    mail = frame["buyer_email"].map(lambda value: value.strip().lower() if isinstance(value, str) else "").astype("str")
    waited = (frame["received_at"] - frame["ordered_at"]).dt.total_seconds()
    frame["reason"] = ""
    frame.loc[~frame["currency"].isin(["CHF", "CZK", "EUR", "HUF", "PLN", "RON", "SEK"]), "reason"] = "unknown-currency"
    frame.loc[~(np.isfinite(frame["amount"]) & (frame["amount"] > 0)), "reason"] = "bad-amount"
    frame.loc[~((waited >= 0) & (waited <= 30 * 86400)), "reason"] = "bad-time"
    frame.loc[frame["order_id"].isna(), "reason"] = "no-key"
    frame.loc[mail.str.endswith("@test.example"), "reason"] = "test"
    frame["late"] = waited > 86400
    frame["delivery_note"] = [
        mask(note, name) for note, name in zip(frame["delivery_note"], frame["buyer_name"], strict=True)
    ]
    frame["buyer_hash"] = [hmac.digest(KEY, text.encode(), "sha256").hex() if text else None for text in mail]
    return frame.drop(columns=["buyer_name", "buyer_email", "ship_to"]), columns - len(WANTED)


def mask(note, name):
    """Only words that were agreed on stay: what is harmless is a short list, what is not is endless."""
    if not isinstance(note, str):
        return None
    words = re.findall(r"\w+", note.casefold())
    strange = set(words) & set(re.findall(r"\w+", name.casefold())) or re.search(r"@|\d", note)
    return "***" if strange else note


def put(frame, path, types=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    con.register("outgoing", frame)
    con.execute(f"COPY (SELECT * {types} FROM outgoing) TO '{path}' (FORMAT parquet, USE_TMP_FILE true)")
    con.unregister("outgoing")


def newest(frame):
    return frame.sort_values("received_at").drop_duplicates("order_id", keep="last")


day = sys.argv[1]
try:
    mine, unknown = load(day)
except duckdb.IOException:
    mine = None
if mine is None or not (mine["reason"] == "").any():
    sys.exit("This file is not let in: no file, other columns than agreed on, or nothing in it that can be used.")

let_in = {path.stem for path in Path("report").glob("*.json")} | {day}
frames = {date: mine if date == day else load(date)[0] for date in sorted(let_in)}
everything = pd.concat([frame[frame["reason"] == ""] for frame in frames.values() if frame is not None])
everything = newest(everything).drop(columns=["reason", "position", "late"])
everything["made"] = everything["ordered_at"].dt.strftime("%Y-%m-%d")
there = {path.name[4:] for path in Path("clean/orders").glob("day=*")}
for date in sorted(there | set(everything["made"])):
    rows = everything[everything["made"] == date].drop(columns="made")
    put(rows.sort_values("order_id"), Path(f"clean/orders/day={date}/all.parquet"))

bad = mine[~mine["reason"].isin(["", "test"])]
put(bad.drop(columns=["delivery_note", "late"]), Path(f"quarantine/orders/day={day}/all.parquet"))
good = newest(mine[mine["reason"] == ""])
Path("report").mkdir(exist_ok=True)
Path(f"report/{day}.json").write_text(
    json.dumps(
        {
            "day": day,
            "staged": len(mine),
            "clean": len(good),
            "quarantined": len(bad),
            "dropped": len(mine) - len(good) - len(bad),
            "warnings": {
                "late": int(good["late"].sum()),
                "no-email": int(good["buyer_hash"].isna().sum()),
                "new-column": unknown,
            },
        }
    )
)
