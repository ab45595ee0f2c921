"""Airflow itself, with its own metadata database in the world, run in the jail.

    >>> prepare("/tmp/desk")                                              # once: ~/airflow, ~/dags
    >>> runs = run("dags/clicks_daily.py", ["2026-11-16"], tell=print, home="/tmp/desk", env=…)
    2026-11-16: stage is running
    >>> runs[0].state, runs[0].tasks["stage"].returned
    ('success', {'rows': 0, 'files': 0})

There is no imitation of Airflow here, not even a small one for quick checks. What takes long in Airflow is its first run in a
process: about 1 CPU-second for the import, half a second to make the metadata database, and 3.5 for the first task; each further
run costs 0.2. So a check that needs six days asks for them in one go, and the file that was handed in is judged by the same
trigger rules, retries and XComs as at work. (`driver.py` says what differs from a scheduler.)

What comes back was written by a process in which the learner's code ran, so it is read as untrusted: capped, and checked for
form. It can lie about itself; whether rows are where they should be, ask the world.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import re
import shutil
import sqlite3
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opslab import jail
from opslab.worlds.pipeline.tail import Tail

VERSION = "3.3"
"""The series of Airflow that all of this was tried with."""

AIRFLOW_HOME, DAGS, LIBRARY = "airflow", "dags", "lib"
"""Folders of a world: Airflow's own (where Airflow looks by itself: ~/airflow), the DAG files, and what DAGs import."""

OUTCOME = f"{AIRFLOW_HOME}/outcome.jsonl"
DRIVER = f"{AIRFLOW_HOME}/driver.py"

SETTINGS = f"""\
[core]
dags_folder = ~/{DAGS}
load_examples = False

[logging]
logging_level = WARNING
"""

LIMITS = jail.Limits(seconds=120, cpu=120, memory=4096 * jail.MEGABYTE)
STATES = ("success", "failed", "skipped", "upstream_failed", "removed", "none")


class AirflowMissing(RuntimeError):
    """Airflow is not installed. The text says how to get it."""


@dataclass(frozen=True)
class TaskRun:
    """One task of a run. state: as Airflow calls it. returned: what the task returned, None where that is no short JSON."""

    id: str
    state: str
    tries: int = 1
    seconds: float = 0.0
    returned: Any = None
    error: str = ""


@dataclass(frozen=True)
class DagRun:
    """The run of a DAG for a day.

    state: success or failed, as Airflow calls it; "stopped" where it did not come to an end (error says why); "no dag" where
    the file has none (error says what Airflow says). dag: its id, where one ran.
    """

    day: str
    state: str
    error: str = ""
    seconds: float = 0.0
    tasks: dict[str, TaskRun] = field(default_factory=dict)
    dag: str = ""

    @property
    def steps(self) -> list[dict[str, Any]]:
        """Its tasks as rows for `views.run_grid`; the rows that came out are those that a task has returned as {"rows": …}."""
        found = []
        for task in self.tasks.values():
            rows = task.returned.get("rows") if isinstance(task.returned, dict) else None
            rows = rows if isinstance(rows, int) else None
            found.append({"day": self.day, "step": task.id, "status": task.state, "rows_out": rows})
        return found


def version() -> str:
    """The version of Airflow that is installed beside the course; raises AirflowMissing."""
    try:
        return importlib.metadata.version("apache-airflow")
    except importlib.metadata.PackageNotFoundError:
        raise AirflowMissing(
            f"Airflow is not installed. It is an extra, because it is big (about 90 packages): make airflow, "
            f'or, in an environment of your own, in the folder of the course: pip install -e ".[airflow]" (Airflow {VERSION}).'
        ) from None


def missing() -> str:
    """Why Airflow cannot be had here, in a sentence; "" where it can."""
    try:
        version()
    except AirflowMissing as error:
        return str(error)
    return ""


def prepare(home: str | Path) -> Path:
    """Put Airflow's settings and the driver into a world. The metadata database is made by the first run. Returns `home`."""
    home = Path(home)
    for folder in (AIRFLOW_HOME, DAGS, LIBRARY):
        (home / folder).mkdir(parents=True, exist_ok=True)
    (home / AIRFLOW_HOME / "airflow.cfg").write_text(SETTINGS)
    shutil.copyfile(Path(__file__).with_name("driver.py"), home / DRIVER)
    return home


def environment(home: str | Path, landing: str) -> dict[str, str]:
    """What DAGs find in their environment, besides that of the workspace. home: as the DAGs see it.

    landing: where files land, "s3://bucket/prefix" or a folder.
    """
    return {"PYTHONPATH": f"{home}/{LIBRARY}", "TARG_LANDING": landing, "TARG_PIPELINE": f"{home}/pipeline"}


def run(
    dag_file: str,
    days: Sequence[str],
    *,
    home: str | Path,
    tell: Callable[[str], None] = lambda line: None,
    limits: jail.Limits = LIMITS,
    **confinement: Any,
) -> list[DagRun]:
    """Run the DAG of a file in the world, for each of the days in turn, and return the runs in that order.

    dag_file: its path in the world. tell: called with a few words when a task begins or fails. confinement: as for
    `opslab.jail.run`; env needs what `environment` gives.
    Raises AirflowMissing, and JailError where the jail cannot be built; never for anything in the world.
    """
    version()
    home = prepare(home)
    told = Tail(home / OUTCOME, lambda line: _progress(line, tell))
    try:
        argv = [sys.executable, DRIVER, dag_file, OUTCOME, *days]
        done = jail.run(argv, home=home, limits=limits, **confinement)
    finally:
        lines = told.close()
    ended = {
        line.get("day"): _dag_run(line) for line in lines if line.get("event") == "ended" and line.get("day") in days
    }
    no_dag = [line for line in lines if line.get("event") == "no dag"]
    if no_dag:
        return [DagRun(day, "no dag", _text(no_dag[0].get("say"))) for day in days]
    last = (done.err.strip() or done.out.strip()).rsplit("\n", 1)[-1][:300]
    why = done.stopped or f"its process ended with code {done.code}{f': {last}' if last else ''}"
    return [ended.get(day, DagRun(day, "stopped", why)) for day in days]


def runs(home: str | Path) -> list[dict[str, Any]]:
    """How the runs in a world ended, as Airflow's own database tells, of each day the last: rows for `views.run_grid`.

    started_at: when, in UTC, to the second; "" where that is not known.
    Raises sqlite3.Error where the database cannot be read.
    """
    path = Path(home, AIRFLOW_HOME, "airflow.db").absolute()
    if not path.is_file():
        return []
    query = "SELECT substr(logical_date, 1, 10), dag_id, state, run_id FROM dag_run WHERE logical_date IS NOT NULL ORDER BY id"
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
        last = {(day, dag): (state, run_id) for day, dag, state, run_id in connection.execute(query)}
    return [
        {"day": day, "step": "Airflow", "subject": dag, "status": state, "started_at": _started(run_id)}
        for (day, dag), (state, run_id) in last.items()
    ]


def _started(run_id: object) -> str:
    """When somebody started a run by hand. Its start_date is no help: `airflow dags test` puts the day there that it is for."""
    found = re.match(r"manual__(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)", str(run_id))
    return found[1] if found else ""


def of_the_last_run(runs: Sequence[dict[str, Any]], steps: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those steps of `Records.latest` that no later run has passed over.

    runs: from `runs`. A step of the same day and table that began before the run is of an earlier one: it would look as if what this
    run did not come to had gone well.
    """
    began = {(run["day"], run["subject"].partition("_")[0]): run["started_at"] for run in runs}
    return [
        step
        for step in steps
        if step["started_at"][:19] >= began.get((step["day"], step["subject"].partition("_")[0]), "")
    ]


def _progress(line: dict[str, Any], tell: Callable[[str], None]) -> None:
    event, task = line.get("event"), _text(line.get("task"))
    words = {"running": "is running", "failed": "failed", "skipped": "was skipped"}
    if event == "starting Airflow":
        tell(event)
    elif event in words and task:
        tell(f"{_text(line.get('day'))}: {task} {words[event]}")


def _dag_run(line: dict[str, Any]) -> DagRun:
    tasks = line.get("tasks")
    found = [_task(task) for task in tasks if isinstance(task, dict)] if isinstance(tasks, list) else []
    state = line.get("state") if line.get("state") in ("success", "failed") else "stopped"
    error, seconds = _text(line.get("error")), _number(line.get("seconds"))
    return DagRun(line["day"], state, error, seconds, {task.id: task for task in found}, _text(line.get("dag")))


def _task(told: dict[str, Any]) -> TaskRun:
    returned = None
    with contextlib.suppress(ValueError, RecursionError, TypeError):
        returned = json.loads(told["returned"]) if isinstance(told.get("returned"), str) else None
    state = told.get("state")
    return TaskRun(
        _text(told.get("id")),
        state if state in STATES else "none",
        int(_number(told.get("tries"))),
        _number(told.get("seconds")),
        returned,
        _text(told.get("error")),
    )


def _text(value: object) -> str:
    """A short text without control characters."""
    return re.sub(r"[^\S\n]|[\x00-\x09\x0b-\x1f\x7f-\x9f]", " ", value)[:2000] if isinstance(value, str) else ""


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and abs(value) < 1e9 else 0.0
