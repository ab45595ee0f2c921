"""Tests that every graded module has: its answers, right and wrong, are judged as they deserve.

A test file takes them over with `from graded import *` and says what they are to play with:

    STEM = "03_iam_roles"
    SEEDS = (1, 2, 3)
    def words(seed): …            # what stands for {{…}} in the answers
    SLOW = ("1.1", "1.4")         # optional: tasks whose later cases wait for `make test`
    BRIEF = ("2.1",)              # optional: of these, not even each misconception is for a quick look; one miss of each kind is
    LATER = ("4.2",)              # optional: takes so long that neither the first case nor an empty desk is for a quick look
    EVERYWHERE = ("1.3",)         # optional: tasks whose answers need no Linux
    ELSEWHERE = {"1.1": ["…"]}    # optional: what is enough to ask in other worlds, where a whole task takes long
    TRIED_ELSEWHERE = {"…"}   # optional: misconceptions that other tests produce
    UNSEEN = {"4.4": ["…"]}       # optional: what depends on a hidden world, where the rest takes long
    def template(seed): …         # optional: a desk that is quicker to make
"""

from __future__ import annotations

import functools
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import replay
from conftest import ROOT

from opslab import checks
from opslab.worlds import workspace

__all__ = [
    "built",
    "desk",
    "in_one_line",
    "judged",
    "linux",
    "pytest_generate_tests",
    "test_a_right_answer_is_right_in_other_worlds",
    "test_an_answer_is_judged_as_it_deserves",
    "test_an_untouched_workspace_scores_nothing",
    "test_every_expectation_is_missed_by_an_answer",
    "test_every_named_misconception_is_produced_by_an_answer",
    "test_hidden_worlds_keep_right_answers_right",
    "test_there_are_enough_answers",
]

# Elsewhere there is no full jail, an older bash, and other tools.
linux = pytest.mark.skipif(sys.platform != "linux", reason="these answers are written for Linux and its jail")


def repeats(case: replay.Case, cases: list[replay.Case], brief: bool = False) -> bool:
    """Whether earlier cases have shown all that this one shows; what takes long is not repeated for a quick look.

    brief: it is enough that they have missed the same expectations, for whatever reason.
    """
    earlier = [other for other in cases[: cases.index(case)] if other.task == case.task]
    if case.right:
        return any(other.right for other in earlier)
    if brief:
        return case.missed.keys() <= {id for other in earlier for id in other.missed}
    return case.missed.items() <= {item for other in earlier for item in other.missed.items()}


def two(cases: list[replay.Case], task: str) -> list[replay.Case]:
    """Two right answers of a task, the plain one first: where a world takes long, they are enough."""
    mine = [case for case in cases if case.right and case.task == task]
    return sorted(mine, key=lambda case: case.folder.name != "plain")[:2]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give the tests of this file the cases, tasks and seeds of the test file that has taken them over."""
    test, of = metafunc.function.__name__, metafunc.module
    if test not in __all__:
        return
    cases = everything = replay.cases(of.STEM)
    brief, anywhere = getattr(of, "BRIEF", ()), getattr(of, "EVERYWHERE", ())
    slow, later = (*getattr(of, "SLOW", ()), *brief), getattr(of, "LATER", ())
    tasks = [task.id for task in checks.load(of.STEM[:2]).tasks]
    # Other worlds than the first are not for a quick look.
    elsewhere = test in ("test_a_right_answer_is_right_in_other_worlds", "test_hidden_worlds_keep_right_answers_right")
    seeds: list[int] = list(of.SEEDS)
    if test == "test_a_right_answer_is_right_in_other_worlds":
        cases, seeds = [two(cases, task)[0] for task in tasks], seeds[1:]
    elif test == "test_hidden_worlds_keep_right_answers_right":
        cases = [c for c in cases if c.right and checks.hidden_worlds(hidden(of), c.task)]
        cases = [c for c in cases if c.task not in later or c in two(cases, c.task)]
    marked = [
        pytest.param(
            case,
            marks=[linux] * (case.task not in anywhere)
            + [pytest.mark.slow]
            * (elsewhere or case.task in later or case.task in slow and repeats(case, everything, case.task in brief)),
            id=str(case),
        )
        for case in cases
    ]
    if test == "test_an_untouched_workspace_scores_nothing":
        tasks = [pytest.param(task, marks=[pytest.mark.slow] * (task in later)) for task in tasks]
    worlds = seeds if elsewhere else [*seeds[:1], *(pytest.param(seed, marks=pytest.mark.slow) for seed in seeds[1:])]
    for name, values in (("case", marked), ("task", tasks), ("seed", worlds)):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, values)


def hidden(of: ModuleType) -> Path:
    """The hidden worlds of a test file's module."""
    return ROOT / "solutions" / of.STEM / "hidden.toml"


@functools.cache
def built(stem: str, seed: int) -> Path:
    """A desk as it is at the start, made once a process: to be copied, not to be changed."""
    return workspace.build(stem, Path(tempfile.mkdtemp(prefix="opslab-template-")) / "home", seed)


@pytest.fixture
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Makes a workspace as it is at the start, or with the answers of cases in it."""
    of = request.module

    def make(*cases: replay.Case, seed: int = 1) -> Path:
        template = of.template(seed) if hasattr(of, "template") else built(of.STEM, seed)
        home = tmp_path / f"desk-{seed}"
        shutil.copytree(template, home, symlinks=True)
        for case in cases:
            replay.put(case, home, of.words(seed))
        return home

    yield make


def judged(report: checks.Report) -> dict[str, str]:
    """How each expectation came out, in a word: met, waiting, fault, or the name of the Miss."""
    return {result.id: result.name if result.state == "missed" else result.state for result in report.results}


def in_one_line(report: checks.Report) -> None:
    """Nothing in it looks like a fault of the course or takes more than a line to say."""
    for result in report.results:
        assert result.state != "fault", result.say
        assert "\n" not in result.say
        assert "Traceback" not in result.say + result.got


def test_an_answer_is_judged_as_it_deserves(case: replay.Case, desk):
    report = replay.ask(case, desk(case, seed=case.seed))
    found = replay.differences(case, report)
    assert not found, "\n".join([case.settings.get("note", ""), *found])
    in_one_line(report)


def test_there_are_enough_answers(task: str, request):
    mine = [case for case in replay.cases(request.module.STEM) if case.task == task]
    assert sum(case.right for case in mine) >= 3
    assert sum(not case.right for case in mine) >= 5
    assert all(case.settings.get("note") for case in mine if not case.right), "say what people think who write this"


def test_every_named_misconception_is_produced_by_an_answer(request):
    stem = request.module.STEM
    produced = {name for case in replay.cases(stem) for name in case.missed.values()}
    produced |= getattr(request.module, "TRIED_ELSEWHERE", set())
    assert replay.names_of_misses(stem) - produced == set()


def test_every_expectation_is_missed_by_an_answer(task: str, request):
    stem = request.module.STEM
    missed = {id for case in replay.cases(stem) if case.task == task for id in case.missed}
    assert missed == {expectation.id for expectation in checks.load(stem[:2]).find(task).expectations}


def test_an_untouched_workspace_scores_nothing(task: str, seed: int, desk):
    report = checks.run(task, desk(seed=seed))
    assert report.score == 0
    in_one_line(report)


def test_a_right_answer_is_right_in_other_worlds(case: replay.Case, seed: int, desk, request):
    only = getattr(request.module, "ELSEWHERE", {}).get(case.task, case.asked)
    report = checks.run(case.task, desk(case, seed=seed), only=only)
    assert set(judged(report).values()) == {"met"}, [result.say for result in report.results if result.say]


def test_hidden_worlds_keep_right_answers_right(case: replay.Case, desk, request):
    home, only = desk(case), getattr(request.module, "UNSEEN", {}).get(case.task)
    for world in checks.hidden_worlds(hidden(request.module), case.task):
        options = {"twists": world.get("twists", ()), "graded": True, "only": only}
        report = checks.run(case.task, home, unseen=world["unseen"], **options)
        assert set(judged(report).values()) == {"met"}
