"""Task 6.1: red where nothing came. Airflow runs the DAG for days that nobody has seen, and the mart is asked what stands in it.

One process of Airflow runs all the days, because it needs five seconds for the first and a fifth of one for each further. What a
day finds is put there before: its files in S3, and what earlier runs have left in the pipeline.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import random
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from opslab import jail
from opslab.checks import Miss, Trial
from opslab.checks.pipeline_validation import module
from opslab.scenarios.pipeline_validation import green
from opslab.scenarios.pipeline_validation.cloud import STAGING
from opslab.worlds.pipeline import orchestrator
from opslab.worlds.pipeline.cloud import EXPORTER, LANDING
from opslab.worlds.pipeline.data import Targ
from opslab.worlds.pipeline.flow import Bucket, Flow, Folder, land
from opslab.worlds.pipeline.orchestrator import DagRun

TRIED = f"airflow dags test {green.DAG}, for "

NO_FILE, NO_ROWS, EMPTIED = "a day without a file", "a day with files without rows", "a day that came again, and empty"
ORDINARY, SUNDAY, HOLIDAY = "an ordinary day", "a Sunday", "a quiet holiday"
LATE = "a day that was empty yesterday and has come now"

LIMITS = jail.Limits(seconds=90, cpu=90, memory=orchestrator.LIMITS.memory)

READ_MART = """
import duckdb, json, sys
rows = duckdb.connect(sys.argv[1], read_only=True).execute("SELECT day::VARCHAR, sum(clicks) FROM gold.clicks_daily GROUP BY day")
print(json.dumps({day: int(clicks) for day, clicks in rows.fetchall()}))
"""

job = module.task(
    "6.1",
    "Turn the green job red",
    files=[green.FILE],
    cloud=["*:role/pipeline-loader", "*:role/exporter"],
    hints=[
        ("Green says that no task raised anything. Look what each task *returns*: python -c 'from targ import Flow; print(Flow.from_environment()"
        '.stage("clicks", "2026-11-17"))\'. Which number should have stopped the run, and which task is the last that should have run?'),
        ("A task that raises an exception is red, and what comes after it does not run: so the question has to be asked after stage and before "
        "marts, on the way, not beside it. Ask for rows, not for files: a file can be empty. Skipping is not failing. And what you raise is "
        "what somebody reads at six in the morning: which day, which table, where did you look?"),
        ("@task def check(staged, ds=None): if not staged[\"rows\"]: raise AirflowFailException(f\"{ds}: no clicks have landed …\"). "
        "from airflow.sdk.exceptions import AirflowFailException. What a task returns is handed on by calling with it: check(stage()) >> clean() >> marts()."),
    ],
)  # fmt: skip


@dataclass(frozen=True)
class Night:
    """How the DAG did on the days of the check.

    runs: of each kind of day. wanted: the clicks that the mart should have of it, where files have come; for EMPTIED those that it
    had before. mart: the clicks that it has.
    """

    runs: Mapping[str, DagRun]
    wanted: Mapping[str, int] = field(default_factory=dict)
    mart: Mapping[str, int] = field(default_factory=dict)

    def green(self, kind: str) -> bool:
        return self.runs[kind].state == "success"

    def clicks(self, kind: str) -> int:
        """The clicks that the mart has of a day."""
        return self.mart.get(self.runs[kind].day, 0)


def days_of(seed: int) -> dict[str, str]:
    """The days of a check, by kind. They lie so far apart that no late click of one belongs to another."""
    rng = random.Random(f"clicks_daily {seed}")
    year = rng.randrange(2026, 2030)
    monday = datetime.date(year + 1, 1, 11)
    monday -= datetime.timedelta(days=monday.weekday())

    def day(week: int, weekday: int) -> str:
        return str(monday + datetime.timedelta(weeks=week, days=weekday))

    working = (ORDINARY, NO_FILE, NO_ROWS, LATE, EMPTIED)
    sunday, *weeks = rng.sample(range(0, 12, 2), len(working) + 1)
    found = {kind: day(week, rng.randrange(1, 4)) for kind, week in zip(working, weeks, strict=True)}
    return {**found, SUNDAY: day(sunday, 6), HOLIDAY: f"{year}-12-25"}


def _night(trial: Trial) -> Night:
    return trial.once("night", lambda: _run(trial))


def _run(trial: Trial) -> Night:
    trial.read(green.FILE)
    if lacking := orchestrator.missing():
        raise Miss(f"This task needs Airflow. {lacking}", tried=f"{TRIED}some days", wanted="Airflow")
    home, days = trial.scratch(trial.seed, task=trial.task.id), days_of(trial.unseen)
    wanted = _prepare(trial, home, days)
    aws = trial.cloud(at_start=True)
    confinement = trial.confinement(home, {"AWS_ENDPOINT_URL": aws.endpoint}) | {"services": aws.services}
    seen_as = confinement["env"]["HOME"]
    confinement["env"] |= orchestrator.environment(seen_as, f"s3://{LANDING}")
    runs = orchestrator.run(green.FILE, list(days.values()), tell=trial.tell, limits=LIMITS, **confinement)
    night = Night(dict(zip(days, runs, strict=True)), wanted)
    _must_run(night)
    # DuckDB reads a file that the DAG could have written, so this is done in the jail, too, and without anything that lies there.
    argv = [sys.executable, "-I", "-c", READ_MART, f"{seen_as}/pipeline/warehouse.duckdb"]
    return Night(night.runs, wanted, _counts(jail.run(argv, limits=LIMITS, **confinement).out))


def _prepare(trial: Trial, home: Path, days: Mapping[str, str]) -> dict[str, int]:
    """Land the files of the days, and do what earlier runs have done. Returns the clicks that the mart should have, by kind of day."""
    rng = random.Random(f"clicks_daily volume {trial.unseen}")
    targ = Targ(trial.unseen, clicks=rng.randrange(1_300, 2_000))
    files, wanted = Folder(trial.folder()), {}
    exporter = Bucket(trial.cloud(at_start=True).role(STAGING, EXPORTER).client("s3"), LANDING)
    # A flow that has no business with S3: what it is to find there, the DAG finds later.
    before = Flow(files, home / "pipeline", "scheduled")
    before.stage("clicks", days[LATE])
    for kind in (EMPTIED, ORDINARY, SUNDAY, HOLIDAY, LATE):
        clicks = targ.table("clicks", days[kind])
        key = land(files, "clicks", days[kind], clicks)
        mine = clicks[clicks["happened_at"].dt.strftime("%Y-%m-%d") == days[kind]].drop_duplicates("click_id")
        wanted[kind] = int((~mine["user_agent"].str.contains("bot|spider|crawler", case=False, na=False)).sum())
        if kind != EMPTIED:
            exporter.write(key, files.read(key))
    before.stage("clicks", days[EMPTIED])
    before.clean("clicks", days[EMPTIED])
    before.marts(days[EMPTIED], only=["clicks_daily"])
    for kind, part in ((EMPTIED, 0), (NO_ROWS, 0), (NO_ROWS, 1)):
        land(exporter, "clicks", days[kind], clicks.head(0), part)
    return wanted


def _counts(text: str) -> dict[str, int]:
    """Clicks by day, as the mart gives them; none where it cannot be read."""
    found = None
    with contextlib.suppress(ValueError, RecursionError):
        found = json.loads(text)
    found = found if isinstance(found, dict) else {}
    return {day: clicks for day, clicks in found.items() if isinstance(clicks, int)}


def shown(run: DagRun) -> str:
    """A run in a line: "stage success, check failed, clean upstream_failed; the run: failed"."""
    tasks = ", ".join(f"{task.id} {task.state}" for task in list(run.tasks.values())[:12])
    return f"{tasks or run.error or 'no task'}; the run: {run.state}"


def errors(run: DagRun) -> list[str]:
    """What the tasks that have failed have said."""
    return [task.error for task in run.tasks.values() if task.state == "failed"] or [run.error]


def _end(error: str) -> list[str]:
    """The end of what Python says: what is wrong, and in which line."""
    lines = [line for line in error.splitlines() if line.strip()]
    return [line for line in lines[-4:] if not line.startswith("Traceback")]


def _must_run(night: Night) -> None:
    """Raises Miss where there is no DAG, not the one that is meant, or one that does not come to an end."""
    first = next(iter(night.runs.values()))
    if first.state == "no dag" and first.error.endswith("found: none"):
        raise Miss(
            "Airflow finds no DAG in the file. A function with @dag is only a recipe: it becomes a DAG where it is called, in the last line.",
            tried=f"load ~/{green.FILE}", got="no DAG", wanted=f"one DAG, {green.DAG}", name="no-dag",
        )  # fmt: skip
    if first.state == "no dag" and first.error.startswith("one DAG"):
        raise Miss(
            "At six, Airflow starts every DAG that it finds. Change the one that is there; a second one beside it leaves the first as it was.",
            tried=f"load ~/{green.FILE}", got=first.error, wanted=f"one DAG, {green.DAG}", name="two-dags",
        )  # fmt: skip
    if first.state == "no dag" and "update_relative" in first.error:
        raise Miss(
            "Something between the >> is no task of Airflow. A function becomes one by @task above it, and stands in the chain where it is called: check(stage()).",
            tried=f"load ~/{green.FILE}", got="\n".join(_end(first.error)), wanted="tasks, and nothing else, in the chain", name="no-dag",
        )  # fmt: skip
    if first.state == "no dag":
        raise Miss(
            f"Airflow cannot load the file, so nothing runs at all, and nothing is red either. Try it: python ~/{green.FILE}. "
            "Everything has to be in this one file; it may import what is installed, and targ.",
            tried=f"load ~/{green.FILE}", got="\n".join(_end(first.error)), wanted=f"one DAG, {green.DAG}", name="no-dag",
        )  # fmt: skip
    if names := {run.dag for run in night.runs.values()} - {green.DAG, ""}:
        raise Miss(
            "A DAG with another name is another DAG to Airflow: without its history, and without those who are told about it.",
            tried=f"load ~/{green.FILE}", got=", ".join(sorted(names)), wanted=green.DAG, name="renamed",
        )  # fmt: skip
    for kind, run in night.runs.items():
        if run.state == "stopped":
            raise Miss(
                "The run was not brought to its end. A run that waits for files that may never come is neither green nor red: look once, and say what is so.",
                tried=TRIED + kind, got=run.error, wanted="an end within a minute, green or red", name="no-end",
            )  # fmt: skip


@job.expects("a day without a click is red, an ordinary one is green", points=1)
def red(trial: Trial) -> None:
    judge_red(_night(trial))


def judge_red(night: Night) -> None:
    """Raises Miss where a day with nothing to load is green, or an ordinary one red."""
    if not night.green(ORDINARY):
        raise Miss(
            f"An ordinary day is red, too. Its files were there, with {night.wanted[ORDINARY]:,} clicks of people. What is always red is not looked at for long.",
            tried=TRIED + ORDINARY, got="\n".join([shown(night.runs[ORDINARY]), *errors(night.runs[ORDINARY])]),
            wanted="success", name="good-day-red",
        )  # fmt: skip
    passed = [kind for kind in (NO_ROWS, NO_FILE, EMPTIED) if night.green(kind)]
    if not passed:
        return
    run = night.runs[passed[0]]
    tried, got, wanted = TRIED + passed[0], shown(run), "failed"
    states = {task.state for task in run.tasks.values()}
    if "failed" in states:
        raise Miss(
            "A task has failed, and the run is green. Airflow judges a run by its last tasks, those after which nothing comes: they must not "
            "succeed when something before them has failed.",
            tried=tried, got=got, wanted=wanted, name="leaf-green",
        )  # fmt: skip
    if "skipped" in states:
        raise Miss(
            "What is skipped has not failed: the run is a success, and nobody is told. Skip what need not be done; fail where something is missing.",
            tried=tried, got=got, wanted=wanted, name="skipped",
        )  # fmt: skip
    if passed == [NO_ROWS, EMPTIED]:
        raise Miss(
            "Files came, and not a row was in them: green. A file is not a click. Count rows.",
            tried=tried, got=got, wanted=wanted, name="counts-files",
        )  # fmt: skip
    if passed == [NO_FILE]:
        raise Miss(
            "Not a single file came, and that is green. Whoever asks each file finds nothing to ask. Ask the day.",
            tried=tried, got=got, wanted=wanted, name="no-file-passes",
        )  # fmt: skip
    if passed == [EMPTIED]:
        raise Miss(
            "The day had come once, with clicks. It came again and was empty, and that is green. Ask for the rows of this run, not for those of an earlier one.",
            tried=tried, got=got, wanted=wanted, name="green-the-second-time",
        )  # fmt: skip
    raise Miss(
        "There is nothing to load, and the run is a success. A line in a log does not turn it red, and neither does an exception that somebody "
        "catches: a task has to fail. And the number has to be that of the day, not of all days.",
        tried=tried, got=got, wanted=wanted, name="still-green",
    )  # fmt: skip


@job.expects("what failed says which day, and what is missing", points=0.5, needs="red")
def says(trial: Trial) -> None:
    judge_words(_night(trial))


def judge_words(night: Night) -> None:
    """Raises Miss where the error does not name the day and the clicks."""
    for kind in (NO_FILE, NO_ROWS):
        run = night.runs[kind]
        said = " ".join(errors(run))
        words = re.sub(r"^\w+:?\s*", "", said)
        named = {"the day": run.day in said, "the clicks": "click" in said.lower()}
        lacks = [what for what, there in named.items() if not there]
        if not words.strip():
            raise Miss(
                "The run is red, and the error has no words. Somebody is called at six: tell them which day, which table, and where you looked. "
                "What is printed before lies deep in a log.",
                tried=TRIED + kind, got=said or "an error without words", wanted=f"{run.day}: no clicks have landed …", name="no-words",
            )  # fmt: skip
        if lacks:
            raise Miss(
                f"Whoever is called reads this one line, and it does not name {' or '.join(lacks)}. Say which day (2026-11-17), and what is missing.",
                tried=TRIED + kind, got=said, wanted=f"{run.day}: no clicks have landed …", name="vague",
            )  # fmt: skip


@job.expects("a red run leaves the mart as it is", points=0.5, needs="red")
def kept(trial: Trial) -> None:
    judge_kept(_night(trial))


def judge_kept(night: Night) -> None:
    """Raises Miss where good rows were overwritten with nothing."""
    before, now = night.wanted[EMPTIED], night.clicks(EMPTIED)
    if before != now:
        raise Miss(
            "The run is red, and the good rows are gone from the mart nevertheless. Whatever comes after the check, or beside it, has no "
            "right to write: ask before marts, and let marts wait for the answer.",
            tried=f"{TRIED}{EMPTIED}; it was in the mart",
            got=f"{now:,} clicks of that day\n{shown(night.runs[EMPTIED])}", wanted=f"{before:,} clicks, as before", name="mart-overwritten",
        )  # fmt: skip


@job.expects("Sundays and quiet holidays are green, and in the mart", points=0.5, needs="red")
def good(trial: Trial) -> None:
    judge_good(_night(trial))


def judge_good(night: Night) -> None:
    """Raises Miss where a good day is red, or not in the mart."""
    for kind in (SUNDAY, HOLIDAY):
        run = night.runs[kind]
        if not night.green(kind):
            raise Miss(
                f"On {kind} all that happened has come, and the run is red. A quiet day is not an empty one, and the number of one day is no "
                "measure for all: only nothing is nothing.",
                tried=TRIED + kind, got="\n".join([shown(run), *errors(run)]), wanted="success", name="quiet-day-red",
            )  # fmt: skip
    for kind in (ORDINARY, SUNDAY, HOLIDAY):
        _in_mart(night, kind)


def _in_mart(night: Night, kind: str) -> None:
    if night.clicks(kind) != night.wanted[kind]:
        raise Miss(
            "The run is green, and the mart has not got the day's clicks. All three steps still have to do their work: stage, clean, marts.",
            tried=f"{TRIED}{kind}; SELECT sum(clicks) FROM gold.clicks_daily", got=f"{night.clicks(kind):,} clicks\n{shown(night.runs[kind])}",
            wanted=f"{night.wanted[kind]:,} clicks", name="rows-missing",
        )  # fmt: skip


@job.expects("a day that was empty is green as soon as its files have come", points=0.5, needs="red")
def again(trial: Trial) -> None:
    judge_again(_night(trial))


def judge_again(night: Night) -> None:
    """Raises Miss where a day stays red, or out of the mart, after its files have come."""
    run = night.runs[LATE]
    if not night.green(LATE):
        raise Miss(
            "The files have come, the day was run again, and it is still red. Ask what there is now, and not what an earlier run has seen.",
            tried=TRIED + LATE, got="\n".join([shown(run), *errors(run)]), wanted="success", name="red-for-ever",
        )  # fmt: skip
    _in_mart(night, LATE)
