"""Task 6.1: what has landed, what stands on the desk, and how runs are judged. Airflow itself runs in the answers."""

from __future__ import annotations

import datetime
import importlib.metadata
import itertools
import json
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from opslab import checks
from opslab.checks import Miss
from opslab.checks.pipeline_validation import green as check
from opslab.checks.pipeline_validation.green import EMPTIED, HOLIDAY, LATE, NO_FILE, NO_ROWS, ORDINARY, SUNDAY, Night
from opslab.scenarios.pipeline_validation import cloud as accounts
from opslab.scenarios.pipeline_validation import green, landing
from opslab.worlds import workspace
from opslab.worlds.aws import cloud
from opslab.worlds.pipeline.cloud import EXPORTER, LANDING, LOADER
from opslab.worlds.pipeline.data import Targ
from opslab.worlds.pipeline.orchestrator import DagRun, TaskRun

STEM = "06_pipeline_validation"
STEPS = ("stage", "check", "clean", "marts")


# ---- the desk ------------------------------------------------------------------------------------------------------------------


def test_the_desk_is_the_same_each_time(tmp_path):
    for name in ("one", "two"):
        green._again.cache_clear()
        green.build(tmp_path / name, 5, frozenset())
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert {str(path) for path in files} >= {green.FILE, green.AGAIN, "airflow/airflow.cfg", ".aws/credentials"}
    for path in files:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes(), path
    rows = duckdb.connect().execute("SELECT count(*), count(DISTINCT click_id) FROM read_parquet(?)", [str(tmp_path / "one" / green.AGAIN)])  # fmt: skip
    assert rows.fetchone()[0] == len(landing.targ(5).table("clicks", landing.EMPTY)) > 1_000


@pytest.fixture(scope="module")
def delivered(tmp_path_factory):
    """The organisation of a desk whose files have been delivered, and its journal."""
    journal = tmp_path_factory.mktemp("desk") / "journal.jsonl"
    with cloud.shared().open(workspace.cloud_of(STEM), seed=3, journal=journal, record=True) as aws:
        landing.deliver(aws, 3)
        yield aws, journal


def sizes(aws: cloud.Cloud) -> dict[str, int]:
    """The objects in the landing place, as the pipeline sees them."""
    found = aws.role(accounts.STAGING, LOADER).client("s3").list_objects_v2(Bucket=LANDING)
    return {entry["Key"]: entry["Size"] for entry in found["Contents"]}


def test_ten_days_have_landed_and_one_of_them_is_empty(delivered):
    aws, journal = delivered
    found = sizes(aws)
    assert list(found) == [f"clicks/day={day}/part-0.parquet" for day in landing.DAYS]
    small = [key for key, size in found.items() if size < 10_000]
    assert small == [f"clicks/day={landing.EMPTY}/part-0.parquet"]
    assert journal.stat().st_size < 2_000_000


def test_what_is_there_already_is_not_delivered_again(delivered):
    aws, journal = delivered
    admin = aws.user(accounts.STAGING, "administrator").client("s3")
    gone, changed = (f"clicks/day={day}/part-0.parquet" for day in landing.DAYS[:2])
    before, size = sizes(aws), journal.stat().st_size
    landing.deliver(aws, 3)
    assert journal.stat().st_size == size and sizes(aws) == before
    admin.delete_object(Bucket=LANDING, Key=gone)
    admin.put_object(Bucket=LANDING, Key=changed, Body=b"mine")
    landing.deliver(aws, 3)
    assert sizes(aws) == {**before, changed: 4}
    landing.deliver(aws, 3, frozenset({"lesson"}))


def test_the_profiles_may_do_what_the_notes_say(delivered, tmp_path):
    aws, _ = delivered
    you, arn = aws.user(accounts.STAGING, "you"), "arn:aws:iam::111122223333:role/"
    loader, exporter = you.assume(f"{arn}{LOADER}"), you.assume(f"{arn}{EXPORTER}")
    key = {"Bucket": LANDING, "Key": f"clicks/day={landing.EMPTY}/part-1.parquet"}
    assert loader.call("s3", "list_objects_v2", Bucket=LANDING).allowed
    assert not loader.call("s3", "put_object", Body=b"", **key).allowed
    assert not exporter.call("s3", "list_objects_v2", Bucket=LANDING).allowed
    assert exporter.call("s3", "put_object", Body=b"", **key).allowed
    assert not you.call("s3", "get_object", **key).allowed
    names = {profile.name: profile for profile in accounts.profiles(3)}
    assert names["default"].settings["role_arn"] == f"{arn}{LOADER}"
    admin = names["staging-admin"]
    assert (admin.key, admin.secret) == (aws.user(accounts.STAGING, "administrator").key, aws.user(accounts.STAGING, "administrator").secret)  # fmt: skip


# ---- the days of the check --------------------------------------------------------------------------------------------------


def test_the_days_of_a_check_do_not_touch_each_other():
    seen = set()
    for seed in range(200):
        days = {kind: datetime.date.fromisoformat(day) for kind, day in check.days_of(seed).items()}
        assert days.keys() == {ORDINARY, NO_FILE, NO_ROWS, LATE, EMPTIED, SUNDAY, HOLIDAY}
        found = sorted(days.values())
        # A click may be three days late, and a clock wrong by one.
        assert all((later - sooner).days > 5 for sooner, later in itertools.pairwise(found))
        assert found[0] > datetime.date(2026, 11, 19), "none that stands on the desk"
        assert days[SUNDAY].weekday() == 6 and days[HOLIDAY].strftime("%m-%d") == "12-25"
        assert all(days[kind].weekday() < 5 for kind in (ORDINARY, NO_FILE, NO_ROWS, LATE, EMPTIED))
        events = Targ(seed, clicks=1_500).events
        number = (days[ORDINARY] - datetime.date(2024, 1, 1)).days
        assert not [name for name in events(number) if name != "sale"]
        seen.add(days[ORDINARY])
    assert len(seen) > 50


# ---- judging ----------------------------------------------------------------------------------------------------------------

DAYS = check.days_of(1)
WORDS = "ValueError: {day}: no clicks"


def run(kind: str, states: str, *, state: str = "", error: str = WORDS) -> DagRun:
    """A run whose four tasks ended so: s(uccess), f(ailed), u(pstream_failed), k (skipped)."""
    names = {"s": "success", "f": "failed", "u": "upstream_failed", "k": "skipped"}
    day = DAYS[kind]
    tasks = {
        step: TaskRun(step, names[letter], error=error.format(day=day) if letter == "f" else "")
        for step, letter in zip(STEPS, states, strict=True)
    }
    return DagRun(day, state or ("failed" if "f" in states else "success"), tasks=tasks, dag="clicks_daily")


def night(**changed: DagRun) -> Night:
    """A night as it should be, but for some kinds of day."""
    kinds = {kind: run(kind, "sfuu" if kind in (NO_FILE, NO_ROWS, EMPTIED) else "ssss") for kind in DAYS}
    wanted = {kind: 1_500 for kind in DAYS if kind not in (NO_FILE, NO_ROWS)}
    return Night({**kinds, **changed}, wanted, {DAYS[kind]: clicks for kind, clicks in wanted.items()})


def named(judge, asked: Night) -> str:
    with pytest.raises(Miss) as miss:
        judge(asked)
    assert miss.value.tried and miss.value.got and miss.value.wanted and "\n" not in miss.value.say
    return miss.value.name


def test_a_right_night_is_right():
    for judge in (check._must_run, check.judge_red, check.judge_words, check.judge_kept, check.judge_good, check.judge_again):  # fmt: skip
        judge(night())


@pytest.mark.parametrize(
    "changed, name",
    [
        ({ORDINARY: "sfuu"}, "good-day-red"),
        ({kind: "sfuu" for kind in (ORDINARY, SUNDAY, HOLIDAY, LATE)}, "good-day-red"),
        ({kind: "ssss" for kind in (NO_FILE, NO_ROWS, EMPTIED)}, "still-green"),
        ({kind: "skkk" for kind in (NO_FILE, NO_ROWS, EMPTIED)}, "skipped"),
        ({NO_ROWS: "ssss", EMPTIED: "ssss"}, "counts-files"),
        ({NO_FILE: "ssss"}, "no-file-passes"),
        ({EMPTIED: "ssss"}, "green-the-second-time"),
        ({NO_FILE: "ssss", NO_ROWS: "ssss"}, "still-green"),
    ],
)
def test_green_where_it_should_be_red(changed, name):
    assert named(check.judge_red, night(**{kind: run(kind, states) for kind, states in changed.items()})) == name


def test_a_failed_task_in_a_green_run():
    assert named(check.judge_red, night(**{NO_ROWS: run(NO_ROWS, "sfus", state="success")})) == "leaf-green"


@pytest.mark.parametrize(
    "error, name",
    [
        ("AirflowFailException: ", "no-words"),
        ("AssertionError", "no-words"),
        ("", "no-words"),
        ("ValueError: no data", "vague"),
        ("ValueError: no clicks", "vague"),
        ("ValueError: {day}: 0 rows", "vague"),
        ("ValueError: 2026-11-17: no clicks", "vague"),
        ("AirflowException: Bash command failed. The command returned a non-zero exit code 1.", "vague"),
        ("RuntimeError: Clicks of {day}: nothing in s3://…", ""),
        ("AirflowFailException: clicks_daily\n{day}", ""),
    ],
)
def test_what_an_error_says(error, name):
    asked = night(**{kind: run(kind, "sfuu", error=error) for kind in (NO_FILE, NO_ROWS, EMPTIED)})
    if name:
        assert named(check.judge_words, asked) == name
    else:
        check.judge_words(asked)


def test_what_the_mart_says():
    asked = night()
    emptied = replace(asked, mart={**asked.mart, DAYS[EMPTIED]: 0})
    assert named(check.judge_kept, emptied) == "mart-overwritten"
    assert named(check.judge_kept, replace(asked, mart={})) == "mart-overwritten"
    for kind in (ORDINARY, SUNDAY, HOLIDAY):
        assert named(check.judge_good, replace(asked, mart={**asked.mart, DAYS[kind]: 1_499})) == "rows-missing"
    late = replace(asked, mart={day: clicks for day, clicks in asked.mart.items() if day != DAYS[LATE]})
    assert named(check.judge_again, late) == "rows-missing"
    check.judge_good(late)


def test_good_days_that_are_red():
    assert named(check.judge_good, night(**{SUNDAY: run(SUNDAY, "sfuu")})) == "quiet-day-red"
    assert named(check.judge_good, night(**{HOLIDAY: run(HOLIDAY, "sfuu")})) == "quiet-day-red"
    assert named(check.judge_again, night(**{LATE: run(LATE, "sfuu")})) == "red-for-ever"


def test_runs_that_are_none():
    def all_of(one: DagRun) -> Night:
        return Night(dict.fromkeys(DAYS, one))

    assert named(check._must_run, all_of(DagRun("", "no dag", "Traceback …\nSyntaxError: '(' was never closed\n"))) == "no-dag"  # fmt: skip
    assert named(check._must_run, all_of(DagRun("", "no dag", "one DAG is expected in the file; found: none"))) == "no-dag"  # fmt: skip
    assert named(check._must_run, all_of(DagRun("", "no dag", "one DAG is expected in the file; found: a, b"))) == "two-dags"  # fmt: skip
    assert named(check._must_run, night(**{SUNDAY: replace(run(SUNDAY, "ssss"), dag="clicks_checked")})) == "renamed"
    stopped = DagRun(DAYS[NO_FILE], "stopped", "it took longer than 90 seconds")
    assert named(check._must_run, night(**{NO_FILE: stopped})) == "no-end"


@pytest.mark.parametrize("text", ["", "[1]", "{", "[" * 100_000, '"x"', "null", '{"2027-01-12": "many"}'])
def test_a_mart_that_cannot_be_read_has_nothing(text):
    assert check._counts(text) == {}


def test_clicks_by_day_are_read():
    assert check._counts(json.dumps({"2027-01-12": 1_500}) + "\n") == {"2027-01-12": 1_500}


# ---- without Airflow, without a file ------------------------------------------------------------------------------------------


@pytest.fixture
def desk(tmp_path) -> Path:
    return workspace.build(STEM, tmp_path / "desk", 1, task="6.1")


def test_without_airflow_it_is_said_how_to_get_it(desk, monkeypatch):
    known = importlib.metadata.version

    def version(name: str) -> str:
        if name == "apache-airflow":
            raise importlib.metadata.PackageNotFoundError(name)
        return known(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    first, *others = checks.run("6.1", desk).results
    assert first.state == "missed" and "make airflow" in first.say
    assert {one.state for one in others} == {"waiting"}


def test_without_the_file_nothing_runs(desk):
    (desk / green.FILE).unlink()
    first, *_ = checks.run("6.1", desk).results
    assert (first.state, first.name) == ("missed", "missing")
