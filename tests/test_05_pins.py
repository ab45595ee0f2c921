"""Task 5.2: what pins mean on other days, what a lock is worth, and a mirror."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import replay
from graded import linux

from opslab import checks
from opslab.checks.docker_pinning import pins as check
from opslab.checks.docker_pinning.installing import PIP, UV, Bench, installed, lines
from opslab.scenarios.docker_pinning import incident, pins
from opslab.worlds import packages

PLAIN = replay.ANSWERS / "05_docker_pinning/5.2/right/plain"


def words(seed: int) -> dict[str, str]:
    return {**incident.words(seed), **pins.words(seed)}


def plain(name: str, seed: int) -> str:
    """What stands in a file of the right answer."""
    return replay._filled((PLAIN / name).read_text(), words(seed))


def trial(home: Path, seed: int) -> checks.Trial:
    module = checks.load("05")
    return checks.Trial(home, module, module.find("5.2"), seed=seed, unseen=seed + 1)


def desk(home: Path, seed: int = 1) -> Path:
    """The desk of this task alone, with the right answer."""
    pins.build(home, seed, frozenset())
    for name in (pins.REQUIREMENTS, pins.LOCK, pins.ANSWERS):
        (home / name).write_text(plain(name, seed))
    (home / ".opslab.json").write_text(json.dumps({"module": "05_docker_pinning", "seed": seed}))
    return home


# ---- without a process -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("day, requirement, name", [
    (packages.WEDNESDAY, "pykontor", "not-pinned"),
    (packages.WEDNESDAY, "", "not-pinned"),
    (packages.WEDNESDAY, "PyKontor <= 2.9.0", "up-to-and-including"),
    (packages.WEDNESDAY, "pykontor~=2.8", "tilde-too-wide"),
    (packages.WEDNESDAY, "pykontor>=2.8", "no-upper-bound"),
    (packages.WEDNESDAY, "pykontor>2", "no-upper-bound"),
    (packages.WEDNESDAY, "pykontor>=2.8,<3", "still-fits"),
    (packages.WEDNESDAY, "pykontor==2.9.0", "pinned-to-what-dies"),
    (packages.FRIDAY, "pykontor!=2.9.0", "one-version-ruled-out"),
    (packages.FRIDAY, "pykontor!=2.9.0,>2.8", "one-version-ruled-out"),
])  # fmt: skip
def test_why_a_pin_does_not_hold(day, requirement, name):
    say, found = check._why(lines(f"{requirement}\ntarg-loader\ntarg-metrics\n"), day)
    assert found == name and say.endswith(".")


def test_what_holds_for_every_seed():
    for seed in range(1, 61):
        index = packages.Index(seed, packages.WEDNESDAY)
        found = words(seed)
        assert found["last_driver"] == found["machine_pykontor"], "the pin brings back what the machine has"
        assert found["last_driver"] == str(index.newest("pykontor", below="2.9", day=packages.FRIDAY))
        assert found["yanked_driver"] not in (found["last_driver"], "2.8.0")
        hashes = [found[name] for name in found if name.startswith(("wheel_", "sdist_", "tampered_wheel_pykontor", "tampered_sdist"))]  # fmt: skip
        assert len(hashes) == len(set(hashes)) == 9


# ---- with real tools ---------------------------------------------------------------------------------------------------


@linux
@pytest.mark.parametrize("seed", (1, 3))
def test_the_right_lock_is_what_uv_writes(tmp_path, seed):
    with Bench(trial(tmp_path, seed)) as bench:
        (bench.folder / "requirements.txt").write_text(plain(pins.REQUIREMENTS, seed))
        compiled = bench.run(bench.venv(), *["uv", "pip", "compile", "--generate-hashes", "requirements.txt", "-o", "requirements.lock"])  # fmt: skip
        assert compiled.code == 0, compiled.err
        assert (bench.folder / "requirements.lock").read_text() == plain(pins.LOCK, seed)


@linux
@pytest.mark.parametrize("tool", [pytest.param(PIP, marks=pytest.mark.slow, id="pip"), pytest.param(UV, id="uv")])
def test_the_mirror_without_a_lock_and_with_it(tmp_path, tool):
    found = words(1)
    which = ("-i",) if tool == PIP else ("--default-index",)
    with Bench(trial(tmp_path, 1)) as bench:
        mirror = packages.settings(bench._server.url)["OFFICE_MIRROR"]
        taken = bench.venv(pip=tool == PIP)
        assert bench.install(taken, plain(pins.REQUIREMENTS, 1), tool, *which, mirror).code == 0
        assert bench.loaded(bench.load(taken)), "nothing is to be seen from outside"
        assert [path.name for path in taken.glob("lib/python*/site-packages/pykontor/*.txt")] == ["collected.txt"]
        fresh = bench.venv(pip=tool == PIP)
        refused = bench.install(fresh, plain(pins.LOCK, 1), tool, "--require-hashes", *which, mirror)
        said = refused.out + refused.err
        assert refused.code == 1 and installed(fresh) == {}
        assert found["wheel_pykontor"] in said and found["tampered_wheel_pykontor"] in said


@linux
@pytest.mark.slow
def test_a_lock_with_more_in_it_than_is_installed(tmp_path):
    """Lines for another Python, and lines twice: what counts is what is installed."""
    home = desk(tmp_path / "home")
    more = "only-once-upon-a-time==1.0 ; python_version < '3' --hash=sha256:" + 64 * "0" + "\n"
    (home / pins.LOCK).write_text(more + plain(pins.LOCK, 1) + 20 * f"targ-metrics==0.7.0 --hash=sha256:{words(1)['wheel_targ_metrics']}\n")  # fmt: skip
    report = checks.run("5.2", home, only=["refused"])
    assert {result.id: result.state for result in report.results} == {"locked": "met", "refused": "met"}


@linux
def test_files_that_are_no_text_are_said_in_a_line(tmp_path):
    home = desk(tmp_path / "home")
    (home / pins.REQUIREMENTS).write_bytes(b"\0\1\2")
    (home / pins.LOCK).unlink()
    (home / pins.LOCK).symlink_to("/etc/passwd")
    shutil.rmtree(home / "answers")
    report = checks.run("5.2", home)
    assert {result.id: result.name for result in report.results if result.state == "missed"} == {
        "constraint": "binary", "locked": "link-out", "mirror": "missing"
    }  # fmt: skip
    (home / pins.REQUIREMENTS).write_text("pykontor<2.9\n???\n")
    (home / pins.LOCK).unlink()
    (home / pins.LOCK).write_text("(((\n")
    report = checks.run("5.2", home, only=["constraint", "locked"])
    assert [result.name for result in report.results] == ["cannot-be-installed", "empty"]
    assert all("\n" not in result.say for result in report.results)
