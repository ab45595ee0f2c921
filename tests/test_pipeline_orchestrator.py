"""Airflow itself, in the jail: green with zero rows, red once somebody checks; and what comes back is not believed blindly."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import sys
import time
from pathlib import Path

import pytest

from opslab import jail
from opslab.worlds import workspace
from opslab.worlds.pipeline import dags, flow, orchestrator
from opslab.worlds.pipeline.data import Targ
from opslab.worlds.pipeline.landing import deliver
from opslab.worlds.pipeline.orchestrator import AirflowMissing, DagRun
from opslab.worlds.pipeline.tail import Tail
from opslab.worlds.pipeline.views import run_grid

GOOD, EMPTY, NOTHING = "2026-11-15", "2026-11-16", "2026-11-17"

PLAIN = (Path(dags.__file__).parent / "clicks_daily.py").read_text()
CHECKED = PLAIN.replace(
    "    stage() >> clean()",
    """    @task
    def check(staged):
        if not staged["rows"]:
            raise ValueError("no clicks today")

    check(stage()) >> clean()""",
)
WILD = """
import os, pendulum
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowSkipException

def tries(ti):
    if ti.try_number == 1:
        raise RuntimeError("the network was away")
    return {"tried": ti.try_number}

def skips():
    raise AirflowSkipException("not today")

def ends(ds):
    if ds == "2026-11-17":
        os._exit(3)

with DAG("wild", schedule="@daily", start_date=pendulum.datetime(2026, 11, 1), default_args={"retries": 2}):
    first = PythonOperator(task_id="first", python_callable=tries)
    said = BashOperator(task_id="said", bash_command="echo {{ ti.xcom_pull('first')['tried'] }} on {{ ds }}")
    gone = PythonOperator(task_id="gone", python_callable=skips)
    broken = BashOperator(task_id="broken", bash_command="exit 4", retries=0)
    after = PythonOperator(task_id="after", python_callable=ends)
    always = PythonOperator(task_id="always", python_callable=ends, trigger_rule="all_done")
    first >> said >> gone
    first >> broken >> after
    broken >> always
"""


def desk(folder: Path) -> Path:
    """A world with the pipeline: one good day, one of which a file without rows has landed, and nothing of the third."""
    home = orchestrator.prepare(folder)
    flow.install(home / orchestrator.LIBRARY)
    deliver(flow.Folder(home / "landing"), Targ(1, 2_000), {GOOD: "", EMPTY: "empty load"}, ["clicks"])
    for name, text in (
        ("plain", PLAIN),
        ("checked", CHECKED),
        ("wild", WILD),
        ("broken", "from airflow.sdk import dag\nimport there_is_no_such_thing"),
    ):
        (home / orchestrator.DAGS / f"{name}.py").write_text(text)
    return home


def run(home: Path, name: str, *days: str, tell=lambda line: None) -> list[DagRun]:
    env = workspace.environment(home) | orchestrator.environment(home, f"{home}/landing")
    return orchestrator.run(
        f"dags/{name}.py",
        days,
        home=home,
        env=env,
        tell=tell,
        hide=workspace.secret_folders(),
        read_only=workspace.tool_folders(),
    )


# ---- Airflow -------------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_green_with_zero_rows_and_red_after_a_check(tmp_path: Path):
    home, told = desk(tmp_path), []
    runs = run(home, "plain", GOOD, EMPTY, NOTHING, tell=told.append)
    assert [one.state for one in runs] == ["success"] * 3
    rows = [one.tasks["stage"].returned["rows"] for one in runs]
    assert rows[0] > 1_000 and rows[1:] == [0, 0]
    assert told[:2] == ["starting Airflow", f"{GOOD}: stage is running"] and told[-1] == f"{NOTHING}: marts is running"
    pipeline = flow.Flow(flow.Folder(home / "landing"), home / "pipeline")
    assert {step["status"] for step in pipeline.records.latest()} == {"success"}
    assert pipeline.records.latest(GOOD)[0]["run_id"].startswith("manual__")
    clicks = pipeline.sql("SELECT day, sum(clicks) AS n FROM gold.clicks_daily GROUP BY day ORDER BY day")
    assert clicks["n"].iloc[-1] > 1_000 and f"{clicks['day'].iloc[-1]:%Y-%m-%d}" == GOOD

    assert "stage  ✓ 2," in run_grid([step for one in runs for step in one.steps]).text

    good, empty = run(home, "checked", GOOD, EMPTY)
    assert (good.state, empty.state) == ("success", "failed")
    assert empty.tasks["check"].error == "ValueError: no clicks today"
    assert [empty.tasks[name].state for name in ("stage", "check", "clean", "marts")] == [
        *("success", "failed"),
        *["upstream_failed"] * 2,
    ]


@pytest.mark.slow
def test_what_else_airflow_does(tmp_path: Path):
    """Tries again without waiting, skips, follows trigger rules, fills templates; and a process that ends takes one day with it."""
    home = desk(tmp_path)
    first, second = run(home, "wild", EMPTY, NOTHING)
    tasks = first.tasks
    assert first.state == "failed"
    assert (tasks["first"].state, tasks["first"].tries, tasks["first"].returned) == ("success", 2, {"tried": 2})
    assert tasks["said"].returned == f"2 on {EMPTY}"
    assert (tasks["gone"].state, tasks["broken"].state, tasks["after"].state) == (
        "skipped",
        "failed",
        "upstream_failed",
    )
    assert tasks["always"].state == "success"
    assert (second.state, second.tasks) == ("stopped", {}) and "ended with code 3" in second.error


@pytest.mark.slow
def test_a_file_without_a_dag_says_why(tmp_path: Path):
    (one,) = run(desk(tmp_path), "broken", GOOD)
    assert one.state == "no dag" and "there_is_no_such_thing" in one.error


# ---- without it ------------------------------------------------------------------------------------------------------------------


def test_where_airflow_is_missing_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch):
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(AirflowMissing, match="Airflow is not installed.*make airflow"):
        orchestrator.run("dags/x.py", [GOOD], home=tmp_path)
    assert not (tmp_path / "airflow").exists()


def test_the_version_is_one_that_was_tried():
    assert orchestrator.version().startswith(orchestrator.VERSION)


@pytest.fixture
def driven(tmp_path: Path, monkeypatch):
    """Runs with a driver that writes what it is told to, instead of Airflow."""

    def play(text: str, *days: str) -> list[DagRun]:
        def fake(argv, *, home, limits, **confinement):
            Path(home, orchestrator.OUTCOME).write_bytes(text.encode())
            return jail.Done(0, "", "", 0.1)

        monkeypatch.setattr(jail, "run", fake)
        return orchestrator.run("dags/x.py", days, home=tmp_path)

    return play


def test_what_a_dag_writes_about_itself_is_read_with_care(driven):
    """The learner's code runs in the process that writes the outcome."""
    task = {
        "id": "stage\x1b[31m",
        "state": "gold",
        "tries": "many",
        "seconds": 1e99,
        "returned": "[" * 100_000,
        "error": ["x"],
    }
    lines = [
        "no json",
        "[1, 2]",
        '{"day": 7, "event": "ended"}',
        json.dumps({"day": GOOD, "event": "ended", "state": "very green", "tasks": [task, 3, "x"], "seconds": "long"}),
        json.dumps({"day": "1999-01-01", "event": "ended", "state": "success"}),
        json.dumps({"day": EMPTY, "event": "ended", "state": "success", "tasks": "all"}),
    ]
    good, empty, missing = driven("\n".join(lines) + "\n", GOOD, EMPTY, NOTHING)
    assert (good.state, good.seconds) == ("stopped", 0.0)
    (one,) = good.tasks.values()
    assert good.steps == [{"day": GOOD, "step": one.id, "status": "none", "rows_out": None}]
    assert (one.id, one.state, one.tries, one.seconds, one.returned, one.error) == (
        "stage [31m",
        "none",
        0,
        0.0,
        None,
        "",
    )
    assert (empty.state, empty.tasks) == ("success", {})
    assert missing.state == "stopped" and "ended with code 0" in missing.error


def test_lines_are_read_while_they_are_written_and_only_from_an_ordinary_file(tmp_path: Path):
    path, seen = tmp_path / "lines", []
    tail = Tail(path, seen.append)
    with path.open("w") as file:
        file.write('{"a": 1}\n{"a"')
        file.flush()
        while not seen:
            time.sleep(0.01)
        file.write(': 2}\nnonsense\n{"a": 3}\nhalf a line')
    assert tail.close() == [{"a": 1}, {"a": 2}, {"a": 3}] == seen
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text('{"a": 4}\n')
    tail = Tail(path, seen.append)
    path.symlink_to(elsewhere)
    assert tail.close() == []


def test_a_desk_has_what_airflow_looks_for_by_itself(tmp_path: Path):
    """So `airflow dags test` works in a terminal of the world, whose HOME it is."""
    home = orchestrator.prepare(tmp_path)
    assert "dags_folder = ~/dags" in (home / "airflow" / "airflow.cfg").read_text()
    assert shutil.which(sys.executable)
