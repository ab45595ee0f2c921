"""Task 5.1: a machine that runs, an image that dies, and what can be found out by asking both."""

from __future__ import annotations

import contextlib
import re
import shutil
from pathlib import Path

import pytest
from graded import linux

from opslab import checks, jail
from opslab.checks.docker_pinning import incident as check
from opslab.checks.docker_pinning.installing import DEAD, Bench, from_the_index_alone, installed, lines
from opslab.scenarios.docker_pinning import incident
from opslab.server import World
from opslab.worlds import packages, workspace
from opslab.worlds.images.desk import Desk
from opslab.worlds.packages import catalogue

COPY_FROM, TZINFO_FACTORY = 1, 3
"""Seeds of the two kinds."""


def trial(home: Path, seed: int) -> checks.Trial:
    module = checks.load("05")
    return checks.Trial(home, module, module.find("5.1"), seed=seed, unseen=seed + 1)


# ---- the world, for many seeds -----------------------------------------------------------------------------------------


def test_what_holds_for_every_seed():
    seen = set()
    for seed in range(1, 61):
        words, loader = incident.words(seed), incident.service(seed)
        code = loader.files()["load.py"].splitlines()
        differ = {name for name in incident.NAMES if words[f"machine_{name.replace('-', '_')}"] != words[f"container_{name.replace('-', '_')}"]}  # fmt: skip
        assert differ == {"pykontor", "targ-loader", "targ-units"}, "the one that kills, and two that do not"
        # Only one of the two changes that load.py could meet is one that it meets.
        assert words["change"] in "\n".join(code) and words["other_change"] not in "\n".join(code)
        numbers = [words[name] for name in ("death_line", "main_line", "earlier_line", "reason_line")]
        assert len(set(numbers)) == 4, "each wrong line is another one"
        seen.add(words["change"])
    assert seen == set(packages.incident.CHANGES) and seen < incident.CHANGES.keys()


def test_the_named_changes_are_all_that_the_libraries_tell():
    new = [one for one in catalogue.releases(1) if packages.MONDAY < one.day <= packages.WEDNESDAY]
    told = " ".join(line for one in new for line in one.news).lower()
    assert sum(len(one.news) for one in new) == len(incident.CHANGES)
    assert all(what.lower() in told for what in incident.CHANGES.values())


def test_the_desk_is_the_same_each_time(tmp_path):
    for name in ("one", "two"):
        incident.build(tmp_path / name, 5, frozenset())
    files = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file()]
    assert len(files) > 5
    for path in files:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes(), path
    assert "{" not in (tmp_path / "one/notes/dead-on-arrival.md").read_text() + (tmp_path / "one/answers/5.1.txt").read_text()  # fmt: skip


# ---- the machine, with real tools --------------------------------------------------------------------------------------


@linux
@pytest.mark.parametrize("seed", (COPY_FROM, TZINFO_FACTORY))
def test_the_machine_is_what_was_installed_on_monday(tmp_path, seed):
    machine = incident.machine(tmp_path / "machine", seed)
    with Bench(trial(tmp_path, seed), packages.MONDAY) as bench:
        other = bench.venv()
        bench.install(other, bench.service.files()["requirements.txt"])
        assert installed(machine) == installed(other)
        for name in ("pykontor", "targ_loader", "targ_metrics", "targ_units"):
            for path in other.glob(f"lib/python*/site-packages/{name}/*.*"):
                assert (machine / path.relative_to(other)).read_bytes() == path.read_bytes()
        assert bench.loaded(bench.load(other))
    env = workspace.environment(tmp_path)
    limits = jail.Limits(seconds=60)
    frozen = jail.run([str(machine / "bin/pip"), "freeze"], home=tmp_path, env=env, limits=limits)
    words = incident.words(seed)
    assert frozen.out.split() == [f"{name}=={words['machine_' + name.replace('-', '_')]}" for name in incident.NAMES]


@linux
@pytest.mark.parametrize("seed", (COPY_FROM, TZINFO_FACTORY))
def test_where_it_dies_is_asked_of_the_world(tmp_path, seed):
    world, words = check._world(trial(tmp_path, seed)), incident.words(seed)
    own = [line for path, line in world.frames if path == "load.py"]
    assert own == [words["death_line"], words["main_line"]]
    assert world.frames[0][0] == "pykontor/_native.py"
    for name in incident.NAMES:
        key = name.replace("-", "_")
        assert (world.machine[name], world.container[name]) == (words[f"machine_{key}"], words[f"container_{key}"])


@linux
def test_one_library_at_a_time(tmp_path):
    asked = trial(tmp_path, TZINFO_FACTORY)
    found = {name: check._alone(asked, name)[0] for name in check._world(asked).differ}
    assert found == {"pykontor": True, "targ-loader": False, "targ-units": False}
    assert "exit code 0" in check._alone(asked, "targ-loader")[1]


# ---- the image ---------------------------------------------------------------------------------------------------------


@linux
@pytest.mark.slow
@pytest.mark.parametrize("seed", (COPY_FROM, TZINFO_FACTORY))
def test_the_image_dies_and_says_nothing(tmp_path, seed):
    with Desk(tmp_path, seed=seed) as desk:
        desk.index.day = packages.MONDAY  # whatever day somebody has made it
        incident.put(tmp_path / "loader", seed)
        (tmp_path / "loader/requirements.txt").write_text("pykontor<2.9\n")  # and whatever they have changed
        incident.images(desk)
        digest = desk.store.find(incident.IMAGE).digest
        dead = desk.run(incident.IMAGE)
        assert dead.code == DEAD and not re.search("Traceback|Error|pykontor", dead.out + dead.err)
        where = desk.run(incident.IMAGE, env={"PYTHONFAULTHANDLER": "1"})
        words = incident.words(seed)
        assert f'File "/app/load.py", line {words["death_line"]} in main' in where.err
        frozen = desk.run(incident.IMAGE, ["freeze"], entrypoint=["pip"]).out.split()
        assert frozen == [f"{name}=={words['container_' + name.replace('-', '_')]}" for name in incident.NAMES]
        incident.images(desk)
        assert desk.store.find(incident.IMAGE).digest == digest


# ---- requirements as text ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, found",
    [
        ("", []),
        ("# nothing\n\n   \n", []),
        ("a==1\r\nB_c == 2.0  # why\r\n", [("a", "1", 0), ("b-c", "2.0", 0)]),
        ("a==1 \\\n    --hash=sha256:00 \\\n    --hash=sha256:11\n    # via b\n", [("a", "1", 2)]),
        ("a==1 --hash sha256:00", [("a", "1", 1)]),
        ("a==1 ; python_version > '3' --hash=sha256:00", [("a", "1", 1)]),
        ("a[x]==1.*\nb<2,>1\nc===odd\nd~=1.0\ne", [("a", "", 0), ("b", "", 0), ("c", "", 0), ("d", "", 0), ("e", "", 0)]),
        ("--require-hashes\n-r x\n./a.whl\n???", [("", "", 0)] * 4),
        ("a==1#b", [("", "", 0)]),
    ],
)  # fmt: skip
def test_lines_are_read_as_pip_reads_them(text, found):
    assert [(line.name, line.exact, len(line.hashes)) for line in lines(text)] == found


@pytest.mark.parametrize(
    "line, name",
    [
        ("-i http://127.0.0.1:1/simple/", "index-in-the-file"),
        ("-ihttp://127.0.0.1:1/simple/", "index-in-the-file"),
        ("--index-url=http://127.0.0.1:1/simple/", "index-in-the-file"),
        ("--find-links wheels", "index-in-the-file"),
        ("-r other.txt", "other-file"),
        ("-cother.txt", "other-file"),
        ("-e .", "other-file"),
        ("./wheels/a-1-py3-none-any.whl", "a-file-instead"),
        ("wheels/a-1-py3-none-any.whl --hash=sha256:00", "a-file-instead"),
        ("a @ file:///a-1-py3-none-any.whl", "a-file-instead"),
        ("git+https://example.org/a", "a-file-instead"),
        ("../a", "a-file-instead"),
        ("--require-hashes", ""),
        ("--pre", ""),
        ("a==1 --hash=sha256:00", ""),
        ("a  # from https://example.org/a.whl", ""),
    ],
)
def test_where_it_comes_from_is_not_the_files_business(line, name):
    if not name:
        from_the_index_alone(f"{line}\n", "x.txt")
        return
    with pytest.raises(checks.Miss) as miss:
        from_the_index_alone(f"a==1\n{line}\n", "x.txt")
    assert miss.value.name == name and "~/x.txt" in miss.value.say


@linux
@pytest.mark.slow
def test_a_reset_brings_back_the_machine_the_loader_and_the_image(tmp_path):
    home = tmp_path / "home"
    with contextlib.closing(World(home, tmp_path / "state")) as world:
        world.build(lambda line: None, "05_docker_pinning")
        pin = (home / "loader/requirements.txt").read_text()
        older = f"pykontor=={incident.words(workspace.seed_of(home))['machine_pykontor']}\n"
        for _ in range(2):
            first = world._images.store.find(incident.IMAGE).digest
            shutil.rmtree(home / "machine/bin")
            (home / "loader/requirements.txt").write_text(older)
            world._images.build(home / "loader", incident.IMAGE)
            assert world._images.store.find(incident.IMAGE).digest != first
            world.reset(lambda line: None, "5.1", "05_docker_pinning")
            assert world._images.store.find(incident.IMAGE).digest == first
            assert (home / "loader/requirements.txt").read_text() == pin
            assert "pykontor" in installed(home / "machine")
    # After a restart nothing runs that could make it, until the reset starts it.
    with contextlib.closing(World(home, tmp_path / "state")) as world:
        world.reset(lambda line: None, "5.1", "05_docker_pinning")
        assert "pykontor" in installed(home / "machine")
