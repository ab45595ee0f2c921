"""What module 06 draws, and what the lab server has running beside its desk."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from patience import kept_port

import opslab
from opslab import lab, wire
from opslab.server import World
from opslab.worlds import workspace
from opslab.worlds.pipeline.flow import Flow, Folder
from opslab.worlds.pipeline.flow.client import connect

STEM = "06_pipeline_validation"


def tell(text: str) -> None:
    """Nobody listens."""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world with nothing but its note, which the notebook's functions ask."""
    home = tmp_path / "workspace"
    home.mkdir()
    (home / workspace.NOTE).write_text(json.dumps({"module": STEM, "seed": 1}))
    with contextlib.closing(World(home, tmp_path / "state")) as world:
        monkeypatch.setenv("OPSLAB_WORLD", str(home))

        def ask(home: Path, op: str, *, tell=tell, **more):
            try:  # as it would come through the socket
                return getattr(world, op)(tell, **json.loads(json.dumps(more)))
            except wire.Refusal as refusal:
                raise lab.LabError(str(refusal)) from None

        monkeypatch.setattr(lab, "ask", ask)
        yield world


# ---- runs ------------------------------------------------------------------------------------------------------------


def airflow_database(home: Path, *runs: tuple[str, str]) -> None:
    """As much of Airflow's own database as is read."""
    (home / "airflow").mkdir(exist_ok=True)
    with contextlib.closing(sqlite3.connect(home / "airflow/airflow.db")) as connection, connection:
        connection.execute("CREATE TABLE dag_run (id INTEGER PRIMARY KEY, dag_id, logical_date, state, run_id)")
        for day, state in runs:
            values = ("clicks_daily", f"{day} 00:00:00.000000" if day else None, state)
            connection.execute("INSERT INTO dag_run (dag_id, logical_date, state) VALUES (?, ?, ?)", values)


def test_a_run_that_is_red_before_the_pipeline_wrote_anything_is_red(world: World):
    flow = Flow(Folder(world.home / "landing"), world.home / "pipeline")
    for day in ("2026-11-16", "2026-11-17"):
        flow.stage("clicks", day)
    airflow_database(
        world.home, ("2026-11-16", "failed"), ("2026-11-16", "success"), ("2026-11-17", "failed"), ("", "failed")
    )
    lines = [line.split() for line in str(opslab.runs()).splitlines()]
    assert lines[1] == ["11-16", "11-17"]
    assert ["Airflow", "clicks_daily", "✓", "✗"] in lines, "of each day the last run counts"
    assert ["stage", "clicks", "✓", "0", "✓", "0"] in lines
    assert "11-16" not in str(opslab.runs("2026-11-17")) and "11-17" not in str(opslab.runs(last="2026-11-16"))
    with pytest.raises(lab.LabError, match="no runs of these days"):
        opslab.runs("2026-12-01")


def test_what_the_last_run_did_not_come_to_is_not_shown_from_an_earlier_one(world: World):
    flow = Flow(Folder(world.home / "landing"), world.home / "pipeline")
    for step in (flow.stage, flow.clean):
        step("clicks", "2026-11-16")
    flow.stage("orders", "2026-11-16")
    airflow_database(world.home, ("2026-11-16", "failed"))
    database = world.home / "airflow/airflow.db"
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE dag_run SET run_id = 'manual__2036-01-01T00:00:00.404307+00:00'")
    lines = [line.split() for line in str(opslab.runs()).splitlines()]
    assert ["Airflow", "clicks_daily", "✗"] in lines and any(line[:2] == ["stage", "orders"] for line in lines)
    assert not any(line[1:2] == ["clicks"] for line in lines), "those were steps of an earlier run"


def test_nothing_has_run_or_the_records_are_damaged(world: World):
    with pytest.raises(lab.LabError, match="Nothing has run here yet"):
        opslab.runs()
    (world.home / "pipeline").mkdir()
    (world.home / "pipeline/runs.sqlite").write_text(
        "no database at all, although it is long enough to be taken for one"
    )
    with pytest.raises(lab.LabError, match="runs.sqlite and ~/airflow/airflow.db: move the damaged one away"):
        opslab.runs()
    (world.home / "pipeline/runs.sqlite").unlink()
    airflow_database(world.home, ("2026-11-16", "failed"))
    assert "✗ failed" in str(opslab.runs())


# ---- rows, beside -----------------------------------------------------------------------------------------------------


def test_counts_over_time(world: World):
    days = ["2026-11-14", "2026-11-15", "2026-11-16"]
    counts = pd.Series([10, 12, None], index=days, name="clicks")
    shown = opslab.rows(counts, marked={"2026-11-15": "Sunday"})
    assert "2026-11-15      12  ← Sunday" in str(shown) and "2026-11-16       –" in str(shown)
    assert "<svg" in shown._repr_html_()
    assert str(opslab.rows(counts.to_frame().set_index(pd.to_datetime(days)))) == str(opslab.rows(counts))
    for wrong in ({"a": 1}, 7, pd.Series(["x"], index=days[:1]), pd.Series([1], index=["no day"])):
        with pytest.raises(lab.LabError, match="index"):
            opslab.rows(wrong)


def test_a_day_beside_good_ones(world: World):
    past = pd.DataFrame({"rows": [10, 12, float("nan")], "share": [0.1, 0.2, 0.3]})
    text = str(opslab.beside({"rows": 5, "share": float("inf"), "new": 1}, past))
    assert "✗ below        rows      5    10 to 12" in text
    assert "no value" in text and "new" not in text
    for today, known in ((7, past), ({"rows": "many"}, past), ({"rows": 1}, 7)):
        with pytest.raises(lab.LabError, match="wants a dictionary of numbers, and a DataFrame"):
            opslab.beside(today, known)
    with pytest.raises(lab.LabError, match="nothing to compare"):
        opslab.beside({"other": 1}, past)


# ---- what runs beside the desk ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_desk_finds_its_warehouse_where_it_was(tmp_path: Path):
    home, ports = tmp_path / "workspace", set()
    home.mkdir()
    with kept_port() as port:  # else a neighbour might have it in between
        (home / workspace.NOTE).write_text(json.dumps({"warehouse_port": port}))
        for _ in range(2):
            with contextlib.closing(World(home, tmp_path / "state")) as world:
                world.build(tell, STEM, anew=True)
                env = workspace.environment(home)
                ports.add(env["TARG_WAREHOUSE"])
                assert connect(env["TARG_WAREHOUSE"]).left == 12_000_000
    assert ports == {f"127.0.0.1:{port}"}, "terminals remember it"
    assert env["PYTHONPATH"] == f"{home}/lib" and env["TARG_PIPELINE"] == f"{home}/pipeline"
