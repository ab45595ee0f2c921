"""What was red is run once more, alone: a fault stays red, a race is told by name."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT

pytestmark = pytest.mark.slow

AGAIN = ROOT / "tests/again.py"
FAULT = "def test_fault():\n    assert 1 == 2\n"
RACE = """
import pathlib
def test_race():
    seen = pathlib.Path("seen")
    first = not seen.exists()
    seen.touch()
    assert not first
"""
GREEN = "def test_green():\n    pass\n"
BROKEN_OFF = "import pytest\ndef test_stop():\n    pytest.exit('broken off', 3)\n"


def start(command: list[str], folder: Path) -> tuple[int, str]:
    """Runs it there with tests/ on the path; gives its exit code and output."""
    env = {**os.environ, "PYTHONPATH": str(AGAIN.parent), "PYTEST_ADDOPTS": ""}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@pytest.fixture
def tried(tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Runs pytest on small test files, then what was red again; gives that one's exit code and output."""

    def run(*arguments: str, workers: int = 0, **files: str) -> tuple[int, str]:
        (tmp_path / "conftest.py").write_text("from again import pytest_sessionfinish\n")
        for name, text in files.items():
            (tmp_path / f"test_{name}.py").write_text(text)
        start(
            [sys.executable, "-m", "pytest", "-q", "-n", str(workers), "--basetemp", str(tmp_path / "base")], tmp_path
        )
        return start([sys.executable, str(AGAIN), *arguments], tmp_path)

    return run


def test_a_race_is_green_and_told_by_name(tried):
    code, said = tried(workers=2, green=GREEN, race=RACE)
    assert code == 0
    assert said.splitlines()[-2:] == [
        "RED, THEN GREEN. A race, to be mended (its first traceback stands above):",
        "test_race.py::test_race",
    ]
    assert "test_green" not in said


def test_a_fault_is_red_again_also_beside_a_race(tried):
    code, said = tried(fault=FAULT, race=RACE)
    assert code == 1
    assert said.splitlines()[-1] == "Red again." and "assert 1 == 2" in said


def test_many_red_ones_are_no_accident(tried):
    code, said = tried("--most", "1", race=RACE, fault=FAULT)
    assert code == 1 and said == "2 tests are red, more than 1: that is no accident; nothing is run again.\n"


@pytest.mark.parametrize(
    "files",
    [{"green": GREEN}, {"race": RACE, "stop": BROKEN_OFF}, {"race": RACE, "import": "import nosuch_module\n"}],
    ids=["nothing red", "broken off", "not imported"],
)
def test_what_is_more_amiss_than_red_tests_stays_red(tried, files):
    code, said = tried(**files)
    assert code == 1 and ("nothing is run again" in said or said.endswith("Red again.\n"))


def test_where_nothing_was_run_nothing_is_run_again(tmp_path):
    code, said = start([sys.executable, str(AGAIN)], tmp_path)
    assert code == 1 and "exit code None" in said


def test_a_notebook_is_run_as_a_whole(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tests")
    import again

    red = ["lessons/01_shell.ipynb::Cell 3", "tests/test_x.py::test_a[b]", "lessons/01_shell.ipynb::Cell 4"]
    assert again.to_run(red) == ["lessons/01_shell.ipynb", "tests/test_x.py::test_a[b]"]
