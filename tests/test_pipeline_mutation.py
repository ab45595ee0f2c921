"""Checks are judged by what they say about days: by clear rules, whatever they do, and never to the harm of whoever judges."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import pytest

from opslab import jail
from opslab.worlds import workspace
from opslab.worlds.pipeline import mutation
from opslab.worlds.pipeline.faults import CLASSES, FAULTS
from opslab.worlds.pipeline.mutation import Answer, Outcome, Trial, Trials, ask, driver, reference, run

SMALL = ["empty load", "double load", "cents for euros", "null visitors"]


def confinement(home: Path) -> dict:
    return {
        "env": workspace.environment(home),
        "hide": workspace.secret_folders(),
        "read_only": workspace.tool_folders(),
    }


@pytest.fixture(scope="module")
def trials() -> Trials:
    return Trials(3, SMALL, good=4, clicks=2_000, past=7)


# ---- the days --------------------------------------------------------------------------------------------------------------------


def test_a_world_of_trials_is_the_same_each_time_and_odd(trials: Trials):
    again = Trials(3, SMALL, good=4, clicks=2_000, past=7)
    assert again.days == trials.days and again.past == trials.past
    assert sorted(trial.fault for trial in trials.days if trial.fault) == sorted(SMALL)
    good = [trial for trial in trials.days if not trial.fault]
    assert len(good) == 4 and any(trial.oddities for trial in good)
    assert not any(trials.events(trial.date) for trial in trials.days if trial.fault)
    assert min(trials.past) < min(trial.date for trial in trials.days)
    everything = Trials(7)
    assert {trial.fault for trial in everything.days if trial.fault} == set(FAULTS)
    assert len({odd for trial in everything.days for odd in trial.oddities}) >= 4
    assert len({Trials(seed, []).targ.clicks for seed in range(5)}) == 5, "sizes differ, so no stored count fits"


def test_no_good_twin_of_a_broken_day_lies_beside_it():
    """Whoever could compare a day with what it should have been would need no checks: not in other files, not by its layout."""
    days = Trials(9, good=5, clicks=1_500, past=5)
    assert len({trial.date for trial in days.days}) == len(days.days) == len(FAULTS) + 5
    assert not {trial.date for trial in days.days} & set(days.past)
    with tempfile.TemporaryDirectory() as folder:
        for number, trial in enumerate(days.days):
            file = Path(folder, "day")
            file.write_bytes(days.files[f"days/{number:03}"])
            day = driver.load(file)
            assert (day.date, day.events) == (trial.date, days.events(trial.date))
            for name, table in days.tables(trial).items():
                pd.testing.assert_frame_equal(day[name], table)
                assert day[name]._mgr.nblocks == len(table.columns), (
                    "which tables were touched can be told by their layout"
                )


# ---- scores ------------------------------------------------------------------------------------------------------------------------


def outcome(*states: str) -> Outcome:
    """Four broken days and four good ones, and how they were answered."""
    days = [Trial("2026-11-16", name) for name in SMALL] + [Trial("2026-11-17")] * 4
    return Outcome(tuple(Answer(day, state) for day, state in zip(days, states, strict=True)))


@pytest.mark.parametrize(
    "states, caught, false_alarms, score",
    [
        (["alarm"] * 4 + ["quiet"] * 4, 1.0, 0.0, 1.0),
        (["alarm"] * 8, 1.0, 1.0, 0.0),
        (["quiet"] * 8, 0.0, 0.0, 0.0),
        (["alarm"] * 3 + ["quiet"] * 4 + ["alarm"], 0.75, 0.25, 0.5),
        (["crash"] * 8, 0.0, 1.0, 0.0),
        (["alarm"] * 2 + ["slow", "nonsense"] + ["quiet"] * 3 + ["missing"], 0.5, 0.25, 0.25),
        (["quiet"] * 4 + ["alarm"] * 4, 0.0, 1.0, 0.0),
    ],
)
def test_what_counts(states: list[str], caught: float, false_alarms: float, score: float):
    found = outcome(*states)
    assert (found.caught, found.false_alarms, found.score) == (caught, false_alarms, score)


def test_faults_are_told_by_class():
    assert outcome("alarm", "quiet", "alarm", "quiet", *["quiet"] * 4).by_class() == {
        "volume": (1, 2),
        "keys": (0, 1),
        "units": (1, 1),
    }
    assert set(outcome(*["quiet"] * 8).by_class()) <= set(CLASSES)


def test_a_constant_of_a_sample_day_does_not_carry_over():
    """Who stores what was on one day of one world has no use of it in others."""
    sample = Trials(1, [], clicks=9_000).targ.day("2026-11-16")
    rows = {name: len(table) for name, table in sample.items()}

    def check(day, measures, past):
        return [name for name, table in day.items() if abs(len(table) - rows[name]) > 0.2 * rows[name]]

    found = ask(lambda day: {}, check, Trials(11, SMALL, good=4, past=0))
    assert (found.caught, found.false_alarms, found.score) == (1.0, 1.0, 0.0)


def test_functions_of_ours_are_asked_like_files(trials: Trials):
    def measure(day):
        return {"orders": len(day["orders"]), "duplicates": day["orders"]["order_id"].duplicated().sum()}

    def check(day, measures, past):
        assert len(past) >= 7 and set(past.columns) == {"announced", "orders", "duplicates"}
        assert max(past.index) < day.date
        return ["twice"] if measures["duplicates"] > past["duplicates"].max() else []

    found = ask(measure, check, trials)
    assert [answer.trial.fault for answer in found.answers if answer.state == "alarm"] == ["double load"]


# ---- in the jail -----------------------------------------------------------------------------------------------------------------

WILD = """
import os, sys, time
import numpy as np

COUNT = []

class SchemaError(Exception):
    pass
SchemaError.__module__ = "pandera.errors"

def measure(day):
    return {"orders": np.int64(len(day["orders"])), "rows": np.float64(1.5)}

def check(day, measures, past):
    COUNT.append(day.date)
    what = PLAN[day.date]
    if what == "raises":
        day["orders"]["no such column"]
    if what == "asserts":
        assert False, "too few"
    if what == "pandera":
        raise SchemaError("column amount")
    if what == "hangs":
        time.sleep(60)
    if what == "exits":
        sys.exit(0)
    if what == "dies":
        os._exit(0)
    if what == "number":
        return 3
    if what == "mixed":
        return ["x", 4]
    if what == "mutates":
        day["orders"].drop(day["orders"].index, inplace=True)
        past["orders"] = 0.0
        return []
    if what == "looks again":
        return [] if len(day["orders"]) and past["orders"].min() > 0 and COUNT == [day.date] else ["changed"]
    if what == "looks around":
        seen = [os.path.join(here, name) for here, _, names in os.walk(".") for name in names]
        return [name for name in seen if any(word in name for word in ("load", "broken", "good", "fault"))]
    return {"none": None, "yes": True, "no": False, "text": "alarm", "tuple": ("a", ""), "empty": ()}[what]
"""
EXPECTED = {
    "raises": ("crash", "KeyError"), "asserts": ("alarm", "too few"), "pandera": ("alarm", "column amount"), "hangs": ("slow", "5 seconds"),
    "exits": ("crash", "SystemExit"), "dies": ("crash", "ended without an answer"), "number": ("nonsense", "gave int"),
    "mixed": ("nonsense", "gave list"), "mutates": ("quiet", ""), "looks again": ("quiet", ""), "looks around": ("quiet", ""),
    "none": ("quiet", ""), "yes": ("quiet", ""), "no": ("alarm", "False"), "text": ("alarm", "alarm"), "tuple": ("alarm", "a"),
    "empty": ("quiet", ""),
}  # fmt: skip
"""What a check does, and what that is taken for."""


@pytest.mark.slow
def test_whatever_a_check_does_is_one_of_the_answers(tmp_path: Path):
    trials = Trials(3, [], good=0, clicks=1_000, past=20)
    dates = trials.past[-len(EXPECTED) :]
    trials.days = [Trial(date) for date in dates]
    plan = dict(zip(dates, EXPECTED, strict=True))
    (tmp_path / "checks.py").write_text(f"PLAN = {plan!r}\n{WILD}")
    told = []
    # One of them waits so long; for all others it has to be enough, also on a busy machine.
    found = run("checks.py", trials, home=tmp_path, tell=told.append, seconds=5, **confinement(tmp_path))
    for answer in found.answers:
        state, said = EXPECTED[plan[answer.trial.date]]
        assert answer.state == state and said in " ".join((answer.say, *answer.alarms)), (
            plan[answer.trial.date],
            answer,
        )
    assert "(line 19)" in next(answer.say for answer in found.answers if answer.state == "crash")
    assert told[0].endswith("good days to measure")
    assert not (tmp_path / "trial").exists()


SPY = """
import glob, json, os, pickle

def check(day, measures, past):
    index = json.load(open("trial/index.json"))
    here = [pickle.load(open(path, "rb")) for path in glob.glob("trial/*/*")]
    twins = [found for found in here if found[0] == day.date]
    if len(twins) != 1 or set(index) != {"past", "days", "seconds"}:
        return ["there is something to compare with"]
    print("x" * 2_000_000)
    for name in index["days"] if FORGED else []:
        with open("trial/outcome.jsonl", "a") as file:
            file.write(json.dumps({"event": "day", "name": name, "state": "ok", "alarms": ["forged"]}) + chr(10))
    if KILL:
        os.kill(os.getppid(), 9)
    return []
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "how, states",
    [
        ("FORGED, KILL = False, False", {"quiet"}),
        ("FORGED, KILL = True, False", {"nonsense"}),
        ("FORGED, KILL = False, True", {"missing"}),
    ],
)
def test_who_looks_around_or_writes_answers_has_nothing_of_it(
    tmp_path: Path, trials: Trials, how: str, states: set[str]
):
    (tmp_path / "checks.py").write_text(f"{how}\n{SPY}")
    found = run("checks.py", trials, home=tmp_path, **confinement(tmp_path))
    assert {answer.state for answer in found.answers} == states and found.score == 0


@pytest.mark.slow
def test_what_is_settled_is_not_asked_any_further(tmp_path: Path, trials: Trials):
    """And it is the same answers that count, however many more came in before the end was made."""
    (tmp_path / "checks.py").write_text("def check(day, measures, past):\n    return ['always']\n")
    found = run("checks.py", trials, home=tmp_path, enough=lambda seen: len(seen.answers) == 3, **confinement(tmp_path))
    assert [answer.state for answer in found.answers] == ["alarm"] * 3 + ["missing"] * (len(trials.days) - 3)
    assert found.error == ""


def test_what_is_slow_to_import_is_imported_once(tmp_path: Path):
    """Before all forks; and a file that is no Python is nobody's business yet."""
    for text in ("import (", "\0", "x = 1", "import duckdb\nfrom pandera import pandas as pa\n"):
        (tmp_path / "checks.py").write_text(text)
        driver.import_before(str(tmp_path / "checks.py"))
    driver.import_before(str(tmp_path / "missing.py"))
    told = "import driver, sys; driver.import_before('checks.py'); print(*sys.modules)"
    env = {"PYTHONPATH": str(Path(driver.__file__).parent), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", told], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    assert {"duckdb", "pandera.pandas", "pandera.backends.pandas.container"} <= set(done.stdout.split())


@pytest.mark.slow
def test_a_file_that_cannot_be_asked_says_why(tmp_path: Path, trials: Trials):
    (tmp_path / "checks.py").write_text("def measure(day):\n    return {'orders': 'many'}\n")
    found = run("checks.py", trials, home=tmp_path, **confinement(tmp_path))
    assert "'orders': 'many'; a name and a number are expected" in found.error
    assert (found.score, {answer.state for answer in found.answers}) == (0.0, {"missing"})


@pytest.mark.slow
def test_the_reference_as_a_learners_file(tmp_path: Path):
    """The file of reference checks, in the jail, on a world of the usual size."""
    shutil.copy(reference.__file__, tmp_path / "checks.py")
    planted = ["empty load", "partner missing", "time zone shift", "key in capitals", "renamed column"]
    trials = Trials(5, planted, good=3, past=14)
    found = run("checks.py", trials, home=tmp_path, **confinement(tmp_path))
    assert found.error == "" and (found.caught, found.false_alarms) == (1.0, 0.0), [
        a for a in found.answers if not a.right
    ]


# ---- what the driver's process may have written --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lines, state",
    [
        ([], "missing"),
        ([{"state": "ok", "alarms": []}], "quiet"),
        ([{"state": "ok", "alarms": ["x", 7]}], "alarm"),
        ([{"state": "ok", "alarms": "many"}], "quiet"),
        ([{"state": "golden", "say": 5}], "crash"),
        ([{}], "crash"),
        ([{"state": "ok", "alarms": []}, {"state": "ok", "alarms": ["x"]}], "nonsense"),
    ],
)
def test_what_comes_back_is_read_with_care(lines, state: str):
    assert mutation._answer(Trial("2026-11-16"), lines).state == state


def test_a_process_that_is_gone_leaves_days_unasked(tmp_path: Path, trials: Trials, monkeypatch):
    """A check may end the process that asks: then there are no answers, and nothing is broken here."""
    monkeypatch.setattr(
        jail, "run", lambda argv, **more: jail.Done(137, "", "", 1.0, "it was still running after 300 seconds")
    )
    (tmp_path / "checks.py").write_text("")
    found = run("checks.py", trials, home=tmp_path)
    assert found.score == 0 and "still running" in found.error
    assert driver.PAST_SHARE == 3


# ---- long answers ---------------------------------------------------------------------------------------------------------------


def test_many_measures_are_no_crash_and_endless_ones_are_named(monkeypatch: pytest.MonkeyPatch):
    long = {"state": "ok", "rows": ["x" * 1000] * 3000}
    assert driver.ask(lambda: long, 20) == long
    monkeypatch.setattr(driver, "ANSWER_BYTES", 1_000_000)
    said = driver.ask(lambda: long, 20)
    assert said["state"] == "nonsense" and "more than 1,000,000 letters" in said["say"]
