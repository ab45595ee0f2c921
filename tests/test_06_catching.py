"""Task 6.2: the desk of the checks, and how their answers are judged and told. The answers themselves: test_06_pipeline_validation."""

from __future__ import annotations

import hashlib
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from opslab.checks import Miss
from opslab.checks.pipeline_validation import catching as judge
from opslab.scenarios.pipeline_validation import catching
from opslab.worlds import workspace
from opslab.worlds.pipeline import flow
from opslab.worlds.pipeline.data import Targ
from opslab.worlds.pipeline.faults import CLASSES, FAULTS
from opslab.worlds.pipeline.landing import tables_of
from opslab.worlds.pipeline.mutation import Answer, Outcome, Trial, driver

SECRET = "Kasia Wójcik, 1249.00"
"""What might stand in a hidden day."""


def put(home: Path, seed: int = 1) -> Path:
    flow.install(home / workspace.LIBRARY)
    catching.build(home, seed, frozenset())
    return home


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Path:
    return put(tmp_path_factory.mktemp("desk"))


# ---- the desk ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_desk_is_small_and_the_same_each_time(desk: Path, tmp_path: Path):
    def digest(home: Path) -> dict[str, str]:
        files = [path for path in sorted(home.rglob("*")) if path.is_file()]
        return {str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    catching._files.cache_clear()
    first, again = digest(desk), digest(put(tmp_path))
    assert first == again
    assert sum(path.stat().st_size for path in desk.rglob("*") if path.is_file()) < 4_000_000


def test_the_days_of_the_desk_are_days_of_targ(desk: Path, monkeypatch):
    monkeypatch.syspath_prepend(str(desk / "work/checks"))
    monkeypatch.syspath_prepend(str(desk / "lib"))
    tryout, targ = importlib.import_module("tryout"), Targ(1, catching.CLICKS)
    assert len(tryout.dates()) == 30 and len(tryout.dates("bad")) == 4
    for date, fault in [item for item in catching.days_of(1).items() if item[1]] + [(tryout.dates()[0], "")]:
        day = tryout.load(date)
        for name, table in tables_of(targ, date, fault).items():
            pd.testing.assert_frame_equal(day[name], table)
    sale = [date for date in tryout.dates() if tryout.load(date).events]
    assert len(sale) == 3 and tryout.dates().index(sale[0]) >= tryout.FIRST_DAYS
    for name in ("tryout", "driver", "targ"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("seed", range(1, 12))
def test_every_desk_has_a_sale_and_four_bad_days_outside_of_it(seed: int):
    known = catching.calendar(seed)
    assert sorted(known["bad"].values()) == sorted(catching.BAD.values())
    assert sum(events == ["sale"] for events in known["announced"].values()) == 3
    assert not set(known["announced"]) & set(known["bad"])


def test_the_notes_say_which_day_was_what(desk: Path):
    notes = (desk / catching.NOTES).read_text()
    assert all(f"## {date}" in notes for date in catching.calendar(1)["bad"])
    readme = (desk / "work/checks/README.md").read_text()
    assert f"{len(FAULTS)} of them" in readme.replace("\n", " ") and f"{judge.GOOD} are good" in readme
    assert "more than five seconds" in readme and judge.SECONDS == 5
    assert Path(desk / "work/checks/driver.py").read_bytes() == Path(driver.__file__).read_bytes()


@pytest.mark.slow
def test_checks_are_tried_on_the_desk_by_the_same_rules(desk: Path, tmp_path: Path):
    def tried(*argv: str) -> str:
        env = workspace.environment(desk) | {"PYTHONPATH": f"{desk}/lib"}
        run = subprocess.run([sys.executable, "work/checks/tryout.py", *argv], cwd=desk, env=env, text=True, capture_output=True, check=False)  # fmt: skip
        assert run.stderr == "" and "Traceback" not in run.stdout
        return run.stdout

    (tmp_path / "checks.py").write_text(
        "def check(day, measures, past):\n    day['orders']['amount']\n    return len(past) if day.events else None\n"
    )
    said = tried(str(tmp_path / "checks.py"))
    assert "crash     KeyError: 'amount' (line 2)" in said and "nonsense  check() gave int" in said
    assert "quiet on 13 of 16 good days, alarm on 0 of 4 bad ones" in said
    (tmp_path / "checks.py").write_text("def measure(day):\n    return day.date\n")
    assert "The good days could not be measured: measure() gave str" in tried(str(tmp_path / "checks.py"))
    reference = Path(driver.__file__).with_name("reference.py")
    assert "quiet on 16 of 16 good days, alarm on 4 of 4 bad ones" in tried(str(reference))


# ---- how answers are judged ------------------------------------------------------------------------------------------------------------


class Asked:
    """A trial whose answers are known."""

    def __init__(self, outcome: Outcome, graded: bool = True) -> None:
        self.outcome, self.graded = outcome, graded

    def once(self, key: str, make: object) -> Outcome:
        return self.outcome


def outcome(states: dict[str, str] | None = None, good: str = "quiet", lost: int = 0, error: str = "", left: int = 99) -> Outcome:  # fmt: skip
    """Answers to all faults (alarm, where states does not say otherwise) and to 20 good days, of which some are lost."""
    days = [(Trial("2026-11-16", name), (states or {}).get(name, "alarm")) for name in FAULTS]
    days += [(Trial("2026-11-17"), good if number < lost else "quiet") for number in range(judge.GOOD)]
    answers = [Answer(trial, state if number < left else "missing", f"ValueError: {SECRET} (line 7)", (SECRET,)) for number, (trial, state) in enumerate(days)]  # fmt: skip
    return Outcome(tuple(answers), error)


def missed(found: Outcome) -> dict[str, str]:
    """The names of what each point misses; and nothing that was said on a hidden day is told."""
    names = {}
    for expectation in judge.watch.expectations:
        try:
            expectation.function(Asked(found))
        except Miss as miss:
            names[expectation.id] = miss.name
            told = f"{miss.say} {miss.got} {miss.tried} {miss.wanted}"
            assert not any(word in told for word in SECRET.split()), told
            assert miss.say and miss.got and miss.wanted and "\n" not in miss.say
    return names


@pytest.mark.parametrize("state", ["alarm", "crash", "nonsense"])
def test_who_practises_reads_what_was_said_on_good_days_and_only_there(state: str):
    with pytest.raises(Miss) as told:
        judge.quiet(Asked(outcome({"double load": "quiet"}, good=state, lost=3), graded=False))
    assert told.value.got.count(SECRET) == 3 and "an ordinary day: " in told.value.got
    with pytest.raises(Miss) as told:
        judge.nearly_all(Asked(outcome(dict.fromkeys(list(FAULTS)[::3], "crash")), graded=False))
    assert SECRET not in told.value.got + told.value.say
    with pytest.raises(Miss) as told:
        error = f"the good days before could not be measured: KeyError: '{SECRET}' (line 3)"
        judge.quiet(Asked(outcome(error=error), graded=False))
    assert told.value.got == f"KeyError: '{SECRET}' (line 3)"


def test_all_caught_and_nothing_lost_is_everything():
    assert missed(outcome()) == {}
    assert missed(outcome(good="alarm", lost=judge.TOLERATED)) == {}


@pytest.mark.parametrize(
    "found, name",
    [
        (outcome(good="alarm", lost=20), "always-alarms"),
        (outcome({"double load": "quiet"}, good="alarm", lost=3), "alarms-on-good-days"),
        (outcome(good="crash", lost=3), "crashes-on-good-days"),
        (outcome(good="slow", lost=3), "too-slow"),
        (outcome(good="nonsense", lost=3), "no-list-of-alarms"),
        (outcome({"empty load": "quiet"}), "empty-load-passes"),
        (outcome(dict.fromkeys(FAULTS, "quiet")), "never-alarms"),
        (outcome({"no orders": "slow"}), "no-answer-is-no-alarm"),
        (outcome({"no orders": "nonsense"}), "no-answer-is-no-alarm"),
        (outcome(left=50), "no-end"),
        (outcome({"double load": "slow"}, left=50), "no-end"),
        (outcome(error="it was still running after 240 seconds", left=50), "no-end"),
        (outcome(error="the good days before could not be measured: it was still running after 240 seconds"), "measures-too-slowly"),
        (outcome(error=f"the good days before could not be measured: measure() gave 'a': '{SECRET}'; a number is expected"), "no-numbers"),
        (outcome(error=f"the good days before could not be measured: KeyError: '{SECRET}' (line 3)"), "cannot-measure"),
    ],
)  # fmt: skip
def test_who_is_not_quiet_and_awake_hears_why(found: Outcome, name: str):
    assert missed(found)["quiet"] == name


def test_each_point_has_its_measure():
    kinds = {kind: [name for name, fault in FAULTS.items() if fault.kind == kind] for kind in CLASSES}
    others = [name for name in FAULTS if name not in judge.EMPTY]
    blind = dict.fromkeys(kinds["units"], "quiet")
    assert missed(outcome(blind)) == {"every_class": "blind-to-a-class"}
    assert missed(outcome(dict.fromkeys(others, "quiet"))) == {"half": "too-little-seen", "most": "too-little-seen", "nearly_all": "too-little-seen", "every_class": "blind-to-a-class"}  # fmt: skip
    few = dict.fromkeys(others[::5][:6], "crash")
    assert missed(outcome(few)) == {"nearly_all": "falls-over"}
    few = dict.fromkeys(others[::8], "quiet")
    assert missed(outcome(few)) == {}
    assert missed(outcome(few, good="alarm", lost=2)) == {"nearly_all": "too-many-alarms"}


def test_an_exception_is_told_without_what_it_says():
    assert judge.where(f"KeyError: '{SECRET}' (line 12)") == "KeyError in line 12"
    assert judge.where(f"{SECRET.split()[0]}: x") == "an exception"
    assert judge.where("SyntaxError: '(' was never closed (checks.py, line 2)") == "SyntaxError in line 2"
    assert judge.where("its process ended without an answer") == "its process ended without an answer"
    assert judge.where("") == "an exception"


def test_as_soon_as_it_is_settled_no_more_is_asked():
    def first(states: list[str], fault: str = "", good: str = "quiet") -> Outcome:
        return Outcome(tuple(Answer(Trial("2026-11-16", fault), state) for state in states))

    assert not judge.decided(first(["alarm"] * 2)) and judge.decided(first(["alarm"] * 3))
    assert not judge.decided(first(["quiet"] * 20))
    assert not judge.decided(first(["quiet"] * 5, "empty load")), "whether it alarms at all is not known yet"
    assert judge.decided(first(["quiet"] * judge.SETTLED, "no orders"))
    assert judge.decided(first(["slow"] * 3, "double load"))
    assert not judge.decided(first(["crash"] * 40, "double load"))


def test_what_is_said_of_classes_names_no_fault():
    told = judge.by_class(outcome({"cents for euros": "quiet", "renamed column": "crash"}))
    assert "units       3 of 4" in told and "ValueError in line 7 (1)" in told
    assert not any(name in told for name in FAULTS)
    assert set(judge.LOOK) == set(CLASSES)


def test_the_first_try_on_the_desk_holds_numbers_of_a_day_that_is_there(desk: Path):
    words, text = catching.words(1), (desk / catching.CHECKS).read_text()
    assert f"'clicks': {words['rows_of_clicks']:}" in text
    assert json.loads((desk / "work/checks/calendar.json").read_text()) == catching.calendar(1)
