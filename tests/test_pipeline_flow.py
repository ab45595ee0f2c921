"""The pipeline: every step may be run again, nothing is counted twice, everything is written down, and empty is green."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from botocore.exceptions import ClientError

from opslab.worlds.aws import cloud
from opslab.worlds.pipeline.cloud import ACCOUNTS, EXPORTER, LANDING, LOADER
from opslab.worlds.pipeline.data import SCHEMA, Targ, digest
from opslab.worlds.pipeline.faults import FAULTS, plant
from opslab.worlds.pipeline.flow import TABLES, Bucket, Flow, FlowError, Folder, Records, install, land, place
from opslab.worlds.pipeline.flow import pipeline as steps
from opslab.worlds.pipeline.landing import deliver, tables_of

DAYS = ("2026-11-14", "2026-11-15", "2026-11-16")
KINDS = {"BIGINT": "Int64", "VARCHAR": "str", "TIMESTAMP": "datetime64[us]", "DOUBLE": "float64"}


@pytest.fixture(scope="module")
def targ() -> Targ:
    return Targ(seed=1, clicks=2_000)


@pytest.fixture(scope="module")
def landed(targ: Targ, tmp_path_factory) -> Path:
    """Three days in a landing place. Not to be changed: take a copy."""
    folder = tmp_path_factory.mktemp("landing")
    deliver(Folder(folder), targ, dict.fromkeys(DAYS, ""))
    return folder


@pytest.fixture(scope="module")
def whole(landed: Path, tmp_path_factory) -> Flow:
    """All three days, run in order. Not to be changed."""
    flow = Flow(Folder(landed), tmp_path_factory.mktemp("whole"))
    for day in DAYS:
        flow.run(day)
    return flow


def run_clicks(flow: Flow, day: str) -> None:
    """The steps for the clicks of a day, which have all that is difficult: late ones, some that come again, some in between."""
    flow.stage("clicks", day)
    flow.clean("clicks", day)
    flow.marts(day, only=["clicks_daily"])


@pytest.fixture(scope="module")
def clicks(landed: Path, tmp_path_factory) -> Flow:
    """The clicks of all three days. Not to be changed."""
    flow = Flow(Folder(landed), tmp_path_factory.mktemp("clicks"))
    for day in DAYS:
        run_clicks(flow, day)
    return flow


@pytest.fixture
def again(clicks: Flow, landed: Path, tmp_path: Path) -> Flow:
    """A copy of it, with a landing place of its own."""
    shutil.copytree(clicks.home, tmp_path / "pipeline")
    shutil.copytree(landed / "clicks", tmp_path / "landing" / "clicks")
    return Flow(Folder(tmp_path / "landing"), tmp_path / "pipeline")


def contents(flow: Flow) -> dict[str, str]:
    """What the pipeline has made of the clicks: digests of each clean day and of the mart."""
    days = sorted(folder.name.removeprefix("day=") for folder in (flow.home / "clean" / "clicks").glob("day=*"))
    found = {day: digest(flow.read("clean", "clicks", day)) for day in days}
    return found | {"mart": digest(flow.sql("SELECT * FROM gold.clicks_daily ORDER BY ALL"))}


# ---- what goes through -----------------------------------------------------------------------------------------------------


def test_columns_and_types_are_those_of_the_data():
    assert {name: {c: KINDS[kind] for c, kind in one.columns.items()} for name, one in TABLES.items()} == SCHEMA


SHAPES = [
    "",
    "empty load",
    "no orders",
    "null listings",
    "renamed column",
    "new column",
    "column gone",
    "numbers as text",
]
"""Faults that change columns, types or emptiness: what a way through a file could lose."""


@pytest.mark.parametrize("fault", SHAPES)
def test_staging_has_what_came_to_the_last_bit(fault: str, targ: Targ, tmp_path: Path):
    """Also where it came broken: through Parquet and back, without pyarrow."""
    tables = tables_of(targ, DAYS[2], fault)
    flow = Flow(Folder(tmp_path / "landing"), tmp_path / "pipeline")
    for name in FAULTS[fault].tables if fault else tables:
        land(flow.landing, name, DAYS[2], tables[name])
        flow.stage(name, DAYS[2])
        assert digest(flow.read("staging", name, DAYS[2])) == digest(tables[name])


def test_the_marts_say_what_the_data_says(whole: Flow, targ: Targ):
    """The 15th, from the frames themselves: everything that happened on it and arrived on the 15th or the 16th."""
    orders = pd.concat([targ.table("orders", day) for day in DAYS])
    mine = orders[orders["ordered_at"].dt.strftime("%Y-%m-%d") == DAYS[1]]
    rates = targ.table("rates", DAYS[1]).set_index("currency")["rate"]
    paid = mine[mine["status"] == "paid"]
    euros = (paid["amount"] / paid["currency"].map(rates).fillna(1.0)).round(2).sum()
    (row,) = whole.sql(f"SELECT * FROM gold.revenue_daily WHERE day = DATE '{DAYS[1]}'").to_dict("records")
    assert (row["orders"], row["paid"]) == (len(mine), len(paid))
    assert row["revenue_eur"] == pytest.approx(euros, abs=0.01 * len(paid) / 10)
    assert row["net_eur"] == pytest.approx(row["revenue_eur"] - row["refunded_eur"])
    people = targ.table("clicks", DAYS[1])
    people = people[~people["user_agent"].str.contains("bot|crawler", regex=True)]
    (clicks,) = whole.sql(f"SELECT sum(clicks) FROM gold.clicks_daily WHERE day = DATE '{DAYS[1]}'").iloc[0]
    assert clicks == pytest.approx(people["click_id"].nunique(), rel=0.02)


def test_late_events_belong_to_the_day_on_which_they_happened(whole: Flow):
    late = whole.read("clean", "clicks", DAYS[0])
    assert set(late["arrived_on"].dt.strftime("%Y-%m-%d")) == set(DAYS)
    assert (late["happened_at"].dt.strftime("%Y-%m-%d") == DAYS[0]).all()


def test_nothing_is_counted_twice(whole: Flow, targ: Targ):
    """Each click once, also those that came again on another day; and each row that was staged is accounted for."""
    clean = pd.concat([whole.read("clean", "clicks", day) for day in DAYS])
    assert clean["click_id"].is_unique
    arrived = pd.concat([targ.table("clicks", day) for day in DAYS])
    assert arrived["click_id"].duplicated().any()
    assert set(clean["click_id"]) == {
        id for id, at in zip(arrived["click_id"], arrived["happened_at"], strict=True) if f"{at:%Y-%m-%d}" in DAYS
    }
    for step in whole.records.latest():
        if step["step"] == "clean":
            detail = step["detail"]
            assert step["rows_in"] == step["rows_out"] + detail["duplicates"] + detail["quarantined"]
            assert step["rows_in"] == whole.count("staging", step["subject"], step["day"])


# ---- run again -------------------------------------------------------------------------------------------------------------


def test_days_may_come_in_any_order_and_again(clicks: Flow, landed: Path, tmp_path: Path):
    flow = Flow(Folder(landed), tmp_path)
    for day in (DAYS[2], DAYS[0], DAYS[1], DAYS[0]):
        run_clicks(flow, day)
    assert contents(flow) == contents(clicks)


def test_a_day_that_is_corrected_is_replaced(again: Flow, clicks: Flow, targ: Targ):
    """Rows that are gone from the file are gone from all days; when they are back, everything is as it was."""
    before = targ.table("clicks", DAYS[1])
    land(again.landing, "clicks", DAYS[1], before[before["happened_at"] >= pd.Timestamp(DAYS[1])])
    run_clicks(again, DAYS[1])
    assert again.count("clean", "clicks", DAYS[0]) < clicks.count("clean", "clicks", DAYS[0])
    assert contents(again) != contents(clicks)
    land(again.landing, "clicks", DAYS[1], before)
    run_clicks(again, DAYS[1])
    assert contents(again) == contents(clicks)


@pytest.mark.parametrize("at, where", [("read", "landing"), ("_write", ""), ("_mart", "flow")])
def test_a_crash_leaves_nothing_that_another_run_does_not_mend(
    at: str, where: str, again: Flow, clicks: Flow, monkeypatch
):
    """In the middle of staging, of cleaning, of a mart. What was there stays readable, and the records say what happened."""

    class Out(Exception):
        pass

    land(again.landing, "clicks", DAYS[1], clicks.read("staging", "clicks", DAYS[1]), part=1)
    it = {"landing": again.landing, "flow": again, "": steps}[where]
    real, calls = getattr(it, at), iter(range(100))

    def breaks(*arguments):
        if next(calls) == 1:
            raise Out("the power went off")
        return real(*arguments)

    monkeypatch.setattr(it, at, breaks)
    with pytest.raises(Out):
        run_clicks(again, DAYS[1])
    assert digest(again.sql("SELECT * FROM gold.clicks_daily ORDER BY ALL")) == contents(clicks)["mart"]
    failed = [step for step in again.records.latest(DAYS[1]) if step["status"] == "failed"]
    assert [step["error"] for step in failed] == ["Out: the power went off"]
    assert {run["day"]: run["status"] for run in again.records.query("SELECT * FROM runs")}[DAYS[1]] == "failed"
    monkeypatch.undo()
    run_clicks(again, DAYS[1])  # and the whole file came twice
    assert contents(again) == contents(clicks)


# ---- how it lies ------------------------------------------------------------------------------------------------------------


def test_a_day_without_rows_is_green(targ: Targ, tmp_path: Path):
    """No file at all, and a file without rows: all steps succeed, and say 0 where somebody looks."""
    flow = Flow(Folder(tmp_path / "landing"), tmp_path / "pipeline")
    assert flow.stage("clicks", DAYS[0]) == {"rows": 0, "files": 0}
    deliver(flow.landing, targ, {DAYS[1]: "empty load"})
    flow.run(DAYS[1])
    latest = flow.records.latest(DAYS[1])
    assert {step["status"] for step in latest} == {"success"}
    rows = {(step["step"], step["subject"]): step["rows_out"] for step in latest}
    assert (
        rows["stage", "clicks"]
        == rows["clean", "clicks"]
        == rows["mart", "clicks_daily"]
        == 0
        < rows["stage", "orders"]
    )
    assert flow.sql("SELECT * FROM gold.clicks_daily").empty
    assert flow.records.query("SELECT status FROM runs WHERE day = ?", (DAYS[1],)) == [{"status": "success"}]


@pytest.mark.parametrize(
    "fault, query",
    [
        ("renamed column", "SELECT sum(revenue_eur) = 0 AND sum(orders) > 500 FROM gold.revenue_daily"),
        (
            "numbers as text",
            "SELECT min(n) = 0 FROM (SELECT sum(revenue_eur) AS n FROM gold.orders_daily GROUP BY partner_id)",
        ),
        ("key in capitals", "SELECT count(DISTINCT partner_id) < 19 FROM gold.orders_daily"),
        ("dates of 1970", "SELECT bool_or(day = DATE '1970-01-01' AND orders > 5) FROM gold.revenue_daily"),
    ],
)
def test_broken_days_are_green_and_wrong(fault: str, query: str, targ: Targ, tmp_path: Path):
    flow = Flow(Folder(tmp_path / "landing"), tmp_path / "pipeline")
    deliver(flow.landing, targ, {DAYS[0]: fault}, set(SCHEMA) - {"clicks"})
    for table in set(TABLES) - {"clicks"}:
        flow.stage(table, DAYS[0])
        flow.clean(table, DAYS[0])
    flow.marts(DAYS[0], only=["orders_daily", "refunds_daily", "revenue_daily"])
    assert {step["status"] for step in flow.records.latest()} == {"success"}
    assert bool(flow.sql(query).iloc[0, 0])


def test_a_partner_with_two_rows_counts_twice_in_the_join(whole: Flow, targ: Targ, tmp_path: Path):
    query = f"SELECT partner_id, sum(orders) AS n FROM gold.orders_daily WHERE day = DATE '{DAYS[2]}' GROUP BY 1"
    before = whole.sql(query).set_index("partner_id")["n"]
    shutil.copytree(whole.home, tmp_path / "pipeline")
    flow = Flow(Folder(tmp_path / "landing"), tmp_path / "pipeline")
    land(flow.landing, "partners", DAYS[2], plant("wrong join", targ.day(DAYS[2]), seed=3)["partners"])
    flow.stage("partners", DAYS[2])
    flow.clean("partners", DAYS[2])
    flow.marts(DAYS[2], only=["orders_daily"])
    ratio = flow.sql(query).set_index("partner_id")["n"] / before
    assert sorted(ratio)[-2:] == [1, 2]


def test_rows_without_a_key_are_put_aside(targ: Targ, tmp_path: Path):
    flow = Flow(Folder(tmp_path / "landing"), tmp_path / "pipeline")
    orders = targ.table("orders", DAYS[0])
    orders.loc[:9, "order_id"] = pd.NA
    orders.loc[5:14, "ordered_at"] = pd.NaT
    land(flow.landing, "orders", DAYS[0], orders)
    assert flow.stage("orders", DAYS[0])["rows"] == len(orders)
    cleaned = flow.clean("orders", DAYS[0])
    assert (cleaned["quarantined"], cleaned["rows"]) == (15, len(orders) - 15)
    kept = duckdb.sql(f"SELECT * FROM '{tmp_path}/pipeline/quarantine/orders/day={DAYS[0]}/*.parquet'").df()
    assert len(kept) == 15
    land(flow.landing, "orders", DAYS[0], targ.table("orders", DAYS[0]))
    flow.stage("orders", DAYS[0])
    assert flow.clean("orders", DAYS[0])["quarantined"] == 0
    assert not list((tmp_path / "pipeline" / "quarantine").rglob("*.parquet"))


# ---- records ----------------------------------------------------------------------------------------------------------------


def test_records_say_what_ran_on_what(again: Flow):
    import hashlib

    flow = Flow(again.landing, again.home, run_id="manual__1")
    flow.stage("clicks", DAYS[0])
    step = next(one for one in flow.records.latest(DAYS[0]) if (one["step"], one["subject"]) == ("stage", "clicks"))
    key = f"clicks/day={DAYS[0]}/part-0.parquet"
    assert step["inputs"] == {key: hashlib.sha256(again.landing.read(key)).hexdigest()}
    assert (step["run_id"], step["attempt"], step["rows_out"]) == (
        "manual__1",
        2,
        again.count("staging", "clicks", DAYS[0]),
    )
    assert step["seconds"] > 0 and step["started_at"].endswith("+00:00")


def test_a_step_that_is_killed_stays_running(tmp_path: Path):
    """A process that is gone says nothing more; what it began is in the records all the same."""
    code = f"""
import os
from opslab.worlds.pipeline.flow import Records
with Records({str(tmp_path / "runs.sqlite")!r}).step("2026-11-16", "stage", "clicks"):
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    (step,) = Records(tmp_path / "runs.sqlite").latest()
    assert (step["status"], step["rows_out"], step["seconds"]) == ("running", None, None)


# ---- where it runs ------------------------------------------------------------------------------------------------------------


def test_it_needs_nothing_of_the_course(landed: Path, tmp_path: Path):
    """On a desk it is called targ; there is no opslab, and Python does not find it there."""
    install(tmp_path / "lib")
    code = """
import sys
from targ import Flow
flow = Flow.from_environment("by hand")
flow.stage("orders", "2026-11-16")
print(flow.clean("orders", "2026-11-16")["rows"], "opslab" in sys.modules, flow.records.latest()[0]["run_id"])
"""
    env = {
        "PYTHONPATH": str(tmp_path / "lib"),
        "TARG_LANDING": str(landed),
        "TARG_PIPELINE": str(tmp_path / "p"),
        "PATH": os.defpath,
    }
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    rows, with_opslab, run_id = done.stdout.split(maxsplit=2)
    assert int(rows) > 500 and with_opslab == "False" and run_id.strip() == "by hand"


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda flow: flow.stage("sales", DAYS[0]), "There is no table 'sales'. Take one of: clicks"),
        (lambda flow: flow.stage("clicks", "yesterday"), 'write it as "2026-11-16"'),
        (lambda flow: flow.clean("clicks", "2026-12-24"), "Run stage('clicks', '2026-12-24') first"),
        (lambda flow: flow.marts(DAYS[0], only=["gold"]), "There is no mart 'gold'"),
        (lambda flow: flow.count("gold", "clicks", DAYS[0]), 'Take "staging" or "clean"'),
        (lambda flow: Flow.from_environment(), "The variable TARG_LANDING is not set"),
        (lambda flow: place("s3://"), "names no bucket"),
    ],
)
def test_what_cannot_be_done_is_said(call, said: str, tmp_path: Path):
    with pytest.raises((FlowError, ValueError)) as caught:
        call(Flow(Folder(tmp_path), tmp_path))
    assert said in str(caught.value)


def test_a_warehouse_that_is_open_elsewhere_is_named(again: Flow):
    code = f"import duckdb, sys; con = duckdb.connect({str(again.warehouse)!r}); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "open\n"
        with pytest.raises(FlowError, match="open in another program"):
            again.sql("SELECT 1")
        other.stdin.close()


def test_a_file_that_is_no_parquet_fails_and_is_written_down(tmp_path: Path):
    flow = Flow(Folder(tmp_path / "landing"), tmp_path / "pipeline")
    flow.landing.write(f"orders/day={DAYS[0]}/part-0.parquet", b"order_id,amount\n1,2\n")
    with pytest.raises(duckdb.Error):
        flow.stage("orders", DAYS[0])
    assert flow.records.latest()[0]["status"] == "failed"


# ---- S3 -----------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def organisation() -> Iterator[cloud.Cloud]:
    with cloud.shared().open("opslab.worlds.pipeline.cloud", seed=1) as running:
        yield running


def bucket(organisation: cloud.Cloud, role: str) -> Bucket:
    return Bucket(organisation.role(ACCOUNTS["staging"], role).client("s3"), LANDING)


@pytest.mark.slow
def test_files_land_in_s3_and_go_through(organisation: cloud.Cloud, landed: Path, tmp_path: Path):
    """The exporter puts, the loader gets; both through IAM. The result is that of a folder."""
    there, sources = bucket(organisation, LOADER), bucket(organisation, EXPORTER)
    for key in Folder(landed).list("orders/"):
        sources.write(key, Folder(landed).read(key))
    assert there.list(f"orders/day={DAYS[0]}/") == [f"orders/day={DAYS[0]}/part-0.parquet"]
    flows = [Flow(there, tmp_path / "s3"), Flow(Folder(landed), tmp_path / "folder")]
    for flow in flows:
        flow.stage("orders", DAYS[0])
        flow.clean("orders", DAYS[0])
    first, second = (flow.records.latest()[0]["inputs"] for flow in flows)
    assert first == second
    assert digest(flows[0].read("clean", "orders", DAYS[0])) == digest(flows[1].read("clean", "orders", DAYS[0]))


@pytest.mark.slow
def test_s3_says_no_in_its_own_words(organisation: cloud.Cloud, targ: Targ, tmp_path: Path):
    flow = Flow(bucket(organisation, EXPORTER), tmp_path)
    with pytest.raises(ClientError, match=f"exporter.* not authorized to perform: s3:ListBucket.*{LANDING}"):
        flow.stage("orders", DAYS[0])
    assert "AccessDenied" in flow.records.latest()[0]["error"]
    with pytest.raises(ClientError, match="not authorized to perform: s3:PutObject"):
        land(bucket(organisation, LOADER), "rates", DAYS[0], targ.table("rates", DAYS[0]))
