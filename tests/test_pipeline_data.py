"""The days of Targ: the same on any machine, each by itself, with keys that fit, and odd only where real days are."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from opslab.worlds.pipeline import company as about
from opslab.worlds.pipeline.company import CURRENCY, PARTNERS, Company
from opslab.worlds.pipeline.data import KIND, ROWS_A_DAY, SCHEMA, Targ, digest
from opslab.worlds.pipeline.draws import Draws, mix, table

DAY = "2026-11-16"


@pytest.fixture(scope="module")
def targ() -> Targ:
    return Targ(seed=1, clicks=5_000)


@pytest.fixture(scope="module")
def week(targ: Targ) -> dict[str, dict[str, pd.DataFrame]]:
    return {f"2026-11-{day}": targ.day(f"2026-11-{day}") for day in range(10, 17)}


# ---- the same on any machine -------------------------------------------------------------------------------------------

DIGESTS = {
    (1, 5_000, "2026-11-16"): "a72b903719fa511c24ea5f396f8ba08e183d096f9d8e67ffe369d5d4b5576f08",
    (1, 5_000, "2026-12-25"): "1add07aa1eecac3b8de25ea3451e4fd9c920dd21762075aae4d84c7a16b88a21",
    (7, 20_000, "2026-11-28"): "4d658c643d91bf8e99cbc77435a6d6fb7a80939e52e87f8e2651da37ca1da09a",
    (123_456, 2_000, "2024-03-01"): "97bf39cba933bc2252d8d43acc63bfa71b84c41a246159124caa732c6f159dfa",
}
"""Digests of whole days. If these change, all worlds that learners have change: do it knowingly, or not at all."""


@pytest.mark.parametrize("seed, clicks, day", DIGESTS)
def test_the_same_seed_and_day_give_the_same_rows(seed: int, clicks: int, day: str):
    assert digest(Targ(seed, clicks).day(day)) == DIGESTS[seed, clicks, day]


def test_the_bits_are_those_of_splitmix64():
    """The first numbers of SplitMix64 from seed 1234567, as published with the reference implementation."""
    known = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    assert mix(1234567, np.arange(1, 6)).tolist() == known


def test_a_draw_belongs_to_its_id_and_not_to_its_place():
    draws, ids = Draws(1), np.arange(50_000)
    everything = draws.below("x", ids, 1_000)
    assert draws.below("x", ids[40_000:40_010], 1_000).tolist() == everything[40_000:40_010].tolist()
    assert draws.below("y", ids, 1_000).tolist() != everything.tolist()
    assert Draws(2).below("x", ids, 1_000).tolist() != everything.tolist()
    assert abs(everything.mean() - 499.5) < 5 and everything.min() == 0 and everything.max() == 999


def test_weights_are_kept():
    drawn = Draws(1).pick("kind", np.arange(200_000), KIND)
    assert np.allclose(np.bincount(drawn) / 200_000, np.array(about.KIND_WEIGHTS) / 100, atol=0.005)
    assert np.bincount(table((1, 3))).tolist() == [16_384, 49_152]


def test_a_day_needs_no_other_day(targ: Targ, week):
    """The first day that a world is asked for, and one that it is asked for after a week of others."""
    assert digest(Targ(1, 5_000).day(DAY)) == digest(week[DAY]) == digest(targ.day(DAY))
    assert digest(Targ(1, 5_000).table("refunds", DAY)) == digest(week[DAY]["refunds"])


def test_seeds_sizes_and_days_differ(targ: Targ, week):
    others = [Targ(2, 5_000).day(DAY), Targ(1, 6_000).day(DAY), week["2026-11-15"]]
    assert len({digest(day) for day in [week[DAY], *others]}) == 4


def test_nothing_of_the_process_gets_in():
    """Another process, with another hash seed, time zone and language."""
    code = f"from opslab.worlds.pipeline.data import *; print(digest(Targ(1, 2_000).day({DAY!r})))"
    env = {"PYTHONHASHSEED": "7", "TZ": "Asia/Kathmandu", "LC_ALL": "C"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest(Targ(1, 2_000).day(DAY))


def test_a_digest_sees_every_change(week):
    orders = week[DAY]["orders"]
    once = digest(orders)
    for column in orders.columns:
        changed = orders.copy()
        values = changed[column].copy()
        other = values.dropna().iloc[0] if values.isna().iloc[3] else pd.NA if values.dtype != "float64" else 0.0
        values.iloc[3] = other
        assert digest(changed.assign(**{column: values})) != once, column
    assert digest(orders.iloc[::-1]) != once
    assert digest(orders.rename(columns={"amount": "sum"})) != once


# ---- shape and keys ------------------------------------------------------------------------------------------------------


def test_columns_and_types_are_those_of_the_schema(week):
    for day in week.values():
        assert {name: {c: str(t) for c, t in frame.dtypes.items()} for name, frame in day.items()} == SCHEMA
        assert all(list(frame.columns) == list(SCHEMA[name]) for name, frame in day.items())
        assert all(frame.index.equals(pd.RangeIndex(len(frame))) for frame in day.values())


def test_keys_are_unique_but_for_what_is_delivered_again(week):
    for day in week.values():
        for name, key in (
            ("orders", "order_id"),
            ("refunds", "refund_id"),
            ("listings", "listing_id"),
            ("partners", "partner_id"),
        ):
            assert day[name][key].is_unique
        clicks = day["clicks"]
        twice = clicks["click_id"].duplicated(keep=False)
        assert 0.001 < twice.mean() < 0.015
        same = clicks[twice].drop(columns="received_at").drop_duplicates()
        assert same["click_id"].is_unique, "a click that comes again says the same"


def test_nothing_is_lost_between_days(targ: Targ, week):
    """All clicks of the 12th have arrived by the 15th, each once, but for those that come again."""
    number = about.to_number("2026-11-12")
    arrived = pd.concat([week[f"2026-11-{day}"]["clicks"]["click_id"] for day in range(12, 16)])
    mine = arrived[arrived // ROWS_A_DAY["clicks"] == number]
    assert mine.nunique() == targ.volume("clicks", number)
    late = mine.nunique() - (week["2026-11-12"]["clicks"]["click_id"] // ROWS_A_DAY["clicks"] == number).sum()
    assert late != 0


def test_a_day_is_what_arrived_on_it_in_order(week):
    for day, frames in week.items():
        for name in ("clicks", "orders"):
            received = frames[name]["received_at"]
            assert received.is_monotonic_increasing
            assert (received.dt.normalize() == pd.Timestamp(day)).all()
        clicks = frames["clicks"]
        assert (clicks["received_at"] > clicks["happened_at"]).all()
        assert not clicks["happened_at"].is_monotonic_increasing, "events come out of order"
        yesterday = (clicks["happened_at"] < pd.Timestamp(day)).mean()
        assert 0 < yesterday < 0.02


def test_keys_lead_somewhere(week):
    for frames in week.values():
        listings = frames["listings"].set_index("listing_id")
        assert frames["listings"]["partner_id"].isin(frames["partners"]["partner_id"]).all()
        assert frames["orders"]["partner_id"].isin(frames["partners"]["partner_id"]).all()
        clicked = frames["clicks"]["listing_id"].dropna()
        assert clicked.isin(listings.index).mean() > 0.99
        assert frames["clicks"]["listing_id"].isna().equals(frames["clicks"]["kind"] == "search")
        orders = frames["orders"].set_index("listing_id").join(listings, how="inner", suffixes=("", "_there"))
        assert len(orders) > 0.99 * len(frames["orders"])
        assert (orders["partner_id"] == orders["partner_id_there"]).all()
        assert (orders["currency"] == orders["currency_there"]).all()
        full = orders[orders["coupon"].isna()]
        assert (full["amount"] == full["price"]).all()
        assert (orders["amount"] <= orders["price"]).all()


def test_refunds_are_of_orders_that_came_before():
    targ = Targ(1, clicks=60_000)
    refunds = targ.table("refunds", DAY)
    orders = pd.concat([targ.table("orders", f"2026-11-{day:02d}") for day in range(2, 16)]).set_index("order_id")
    joined = refunds.set_index("order_id").join(orders, suffixes=("", "_paid"), how="left")
    assert joined["amount_paid"].notna().all()
    assert (joined["status"] == "paid").all()
    assert (joined["currency"] == joined["currency_paid"]).all()
    assert (joined["amount"] <= joined["amount_paid"]).all() and (joined["amount"] > 0).all()


def test_amounts_have_two_decimals_and_the_currency_of_the_country(week):
    for frames in week.values():
        for values in (frames["orders"]["amount"], frames["listings"]["price"], frames["refunds"]["amount"]):
            assert (values == (values * 100).round() / 100).all() and (values > 0).all()
        assert (frames["listings"]["country"].map(CURRENCY) == frames["listings"]["currency"]).all()


def test_personal_data_is_made_up(week):
    orders, partners = week[DAY]["orders"], week[DAY]["partners"]
    for text in [*orders["buyer_email"], *partners["contact_email"]]:
        assert re.fullmatch(r"[a-z0-9.]+@[a-z0-9-]+\.example", text), text
    talking = orders["delivery_note"].dropna()
    told = talking[talking.str.contains("@")]
    assert 0.02 < len(told) / len(orders) < 0.12, "there is PII in free text, and not everywhere"
    assert told.str.contains(r"@\w+\.example$").all()
    who = orders.groupby("buyer_id")
    assert (who["buyer_email"].nunique() == 1).all() and (who["ship_to"].nunique() <= 8).all()


# ---- what is normal --------------------------------------------------------------------------------------------------------


def test_days_swing_with_weekday_season_growth_and_the_calendar():
    company = Company(1, 20_000)

    def mean(days: pd.DatetimeIndex) -> float:
        numbers = [about.to_number(day.date()) for day in days]
        return float(np.mean([company.volume("clicks", n) for n in numbers if not company.events(n)]))

    days = pd.date_range("2026-01-01", "2026-12-31")
    assert mean(days[days.day_of_week == 6]) > 1.15 * mean(days[days.day_of_week < 5])
    assert mean(days[days.month == 11]) > 1.1 * mean(days[days.month == 7])
    assert mean(days) > 1.1 * mean(pd.date_range("2025-01-01", "2025-12-31"))
    for day, low, high in (("2026-12-25", 0.3, 0.6), ("2026-11-27", 1.3, 1.9)):
        number = about.to_number(day)
        ratio = company.volume("clicks", number) / company.volume("clicks", number - 7)
        assert low < ratio < high, (day, ratio)
    assert company.events(about.to_number("2026-11-27")) == ["sale"]


def test_each_year_has_four_sales_and_they_are_in_the_calendar(targ: Targ):
    calendar = targ.calendar("2026-01-01", days=365)
    sales = calendar["date"][calendar["event"] == "sale"]
    assert len(sales) == 12 and set(sales.dt.day_of_week) == {4, 5, 6}
    assert {"Christmas", "New Year"} <= set(calendar["event"])


def test_partners_come_and_go_and_their_listings_with_them(targ: Targ):
    guests = [p for p in targ.partners if p.place >= len(PARTNERS)]
    assert len({p.id for p in targ.partners}) == len(targ.partners)
    leaving = next(p for p in guests if p.closed > 800)
    before, after = (targ.day(about.to_date(leaving.closed - 1 + step)) for step in (0, 1))
    assert (before["listings"]["partner_id"] == leaving.id).any()
    assert not (after["listings"]["partner_id"] == leaving.id).any()
    row = after["partners"].set_index("partner_id").loc[leaving.id]
    assert row["closed_on"].date() == about.to_date(leaving.closed)
    assert before["partners"].set_index("partner_id").loc[leaving.id, "closed_on"] is pd.NaT


def test_rates_are_those_of_the_last_business_day(targ: Targ):
    friday, sunday, monday = (targ.table("rates", day) for day in ("2026-11-13", "2026-11-15", "2026-11-16"))
    assert digest(friday) == digest(sunday) != digest(monday)
    assert (friday["rate_date"] == pd.Timestamp("2026-11-13")).all()
    change = (monday["rate"] / friday["rate"] - 1).abs()
    assert (change < 0.01).all() and (change > 0).any()


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda: Targ(1, clicks=10), "from 1,000 to"),
        (lambda: Targ(1).day("yesterday"), 'write it as "2026-11-16"'),
        (lambda: Targ(1).day("1999-01-01"), "Take a day from 2024-03-01"),
        (lambda: Targ(1).table("sales", DAY), "Take one of: clicks, orders"),
    ],
)
def test_what_cannot_be_had_is_said(call, said: str):
    with pytest.raises(ValueError, match=re.escape(said)):
        call()
