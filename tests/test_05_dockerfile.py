"""Task 5.3: what lies on the desk for it, and what its check says of unusual folders. Its answers: test_05_docker_pinning.py."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from images_world import linux

from opslab import checks
from opslab.checks.docker_pinning import dockerfile as check
from opslab.scenarios.docker_pinning import dockerfile as scenario
from opslab.worlds import packages, workspace
from opslab.worlds.images.context import Context
from opslab.worlds.images.dockerfile import parse


def desk(folder: Path, seed: int = 1) -> Path:
    """The part of a desk that belongs to the task."""
    home = folder / f"desk-{seed}"
    scenario.build(home, seed, frozenset())
    (home / workspace.NOTE).write_text(json.dumps({"module": "05_docker_pinning", "seed": seed}))
    return home


def content(home: Path) -> dict[str, str]:
    return {
        str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(home.rglob("*"))
        if path.is_file()
    }


# ---- the desk ----------------------------------------------------------------------------------------------------------


def test_the_same_bytes_each_time_and_others_for_another_seed(tmp_path):
    first = content(desk(tmp_path / "a"))
    scenario.lock.cache_clear(), scenario.locked.cache_clear()
    assert first == content(desk(tmp_path / "b"))
    other = content(desk(tmp_path, seed=2))
    differs = {name for name in first if first[name] != other[name]}
    assert differs >= {
        "secrets/rates",
        "image/rates.locked",
        "image/.env",
        "image/.git/config",
        "image/history/2025.tsv",
    }
    assert first.keys() == other.keys() and first["image/Dockerfile"] == other["image/Dockerfile"]


@pytest.mark.parametrize("seed", range(1, 6))
def test_the_lock_is_what_the_index_has_on_every_day(seed: int):
    index = packages.Index(seed, packages.MONDAY)
    known = {file.sha256: file for file in index.files()}
    named = [line.split("sha256:")[1].split()[0] for line in scenario.lock(seed).splitlines() if "sha256:" in line]
    assert {(known[one].release.project, known[one].release.version) for one in named} == set(scenario.LOCKED)
    # The lock is needed: what is newest is another on Friday, and nothing of the lock is yanked by then.
    newest = {str(index.newest("targ-units", day=day)) for day in (packages.MONDAY, packages.FRIDAY)}
    assert len(newest) == 2 and dict(scenario.LOCKED)["targ-units"] in newest
    assert not any(index.is_yanked(known[one].release, packages.FRIDAY) for one in named)


def unlock(home: Path, passphrase: str) -> subprocess.CompletedProcess:
    env = {"RATES_PASSPHRASE": passphrase} if passphrase else {}
    return subprocess.run(
        [sys.executable, "unlock.py", "rates.locked", "rates.json"],
        cwd=home / "image", env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_only_the_passphrase_opens_the_rates(tmp_path):
    home = desk(tmp_path)
    words = (home / scenario.SECRET).read_text()
    done = unlock(home, words)
    assert (done.returncode, done.stderr) == (0, "")
    rates = home / "image/rates.json"
    assert rates.read_bytes() == scenario.opened(1) and json.loads(rates.read_text()) == scenario.rates(1)
    rates.unlink()
    for wrong, said in ((scenario.passphrase(2), "not the passphrase"), ("", "there is no passphrase")):
        done = unlock(home, wrong)
        assert done.returncode and said in done.stderr and "Traceback" not in done.stderr and not rates.exists()
    locked = home / "image/rates.locked"
    locked.write_text(locked.read_text().replace("A", "B"))
    assert "not the passphrase" in unlock(home, words).stderr, "who changes the file does not get it opened"


def test_the_words_that_must_not_be_in_an_image_are_where_they_should_be_and_nowhere_else(tmp_path):
    home = desk(tmp_path)
    words = scenario.junk(1)
    assert len({*words, scenario.passphrase(1)}) == 4
    for word, what in words.items():
        holding = [name for name in content(home) if word.encode() in (home / name).read_bytes()]
        assert len(holding) == 1 and holding[0].startswith(f"image/{what.split(',')[0]}")
    assert not any(
        scenario.passphrase(1).encode() in (home / "image" / name).read_bytes() for name in content(home / "image")
    )


def test_the_readme_shows_what_the_program_prints(tmp_path):
    readme = (desk(tmp_path) / "image/README.md").read_text()
    for line in scenario.answer(1, "sofashop", ["120.00", "19.90"]).splitlines():
        assert f"    {line}\n" in readme
    assert "{{" not in readme


def test_the_line_that_the_check_changes_is_there():
    text = (scenario.HERE / "app/main.py").read_text()
    assert text.count(check.CHANGED[0]) == 1 and check.CHANGED[1] not in text
    assert check.PARTNER in scenario.rates(1)


def test_the_folder_can_be_a_context(tmp_path):
    context = Context(desk(tmp_path) / "image")
    assert not context.remarks and 2_000_000 < context.total < 3_000_000


# ---- the check ---------------------------------------------------------------------------------------------------------

NOT_BUILT = {
    "line 4: COPY requirements.lock: .dockerignore leaves it out (line 1: *.lock).": "ignores-too-much",
    "line 4: RUN pip install … ended with exit code 1.\n    [Errno 13] Permission denied: '/home/app'": "user-too-early",
    "line 2: RUN pip install … ended with exit code 1.\n    [Errno 13] Permission denied: '/home/app'": "not-built",
    "line 4: RUN python unlock.py …\n    unlock.py: there is no passphrase, neither in": "no-secret",
    "line 4: the secret words was not given to the build, and this RUN cannot do without it.": "no-secret",
    "line 1: FROM python:3: there is no image python:3 on this machine": "not-built",
}


@pytest.mark.parametrize("text", NOT_BUILT)
def test_what_is_said_of_a_build_that_fails(text: str):
    file = parse("FROM a\nRUN a\nUSER app\nRUN b\n")
    assert check._not_built(file, text).name == NOT_BUILT[text]


def test_of_a_traceback_the_last_line_is_shown():
    inner = "Traceback (most recent call last):\n  File a\n    x\nKeyError: 'a'\nafter"
    assert check.short(inner) == "KeyError: 'a'\nafter"
    indented = "line 2: RUN\n" + "\n".join(f"    {line}" for line in inner.splitlines())
    assert check.short(indented) == "line 2: RUN\n    KeyError: 'a'\n    after"
    assert check.short("a\n  b\n") == "a\n  b"


def test_a_base_with_arguments():
    file = parse("ARG A=python B=3-slim\nARG D\nFROM $A:${B}\n")
    assert check._expanded_base(file, "$A:${B}@sha256:0$D") == "python:3-slim@sha256:0"
    assert check._expanded_base(file, "$AB") == "$AB"


@linux
def test_unusual_folders_are_told_in_a_line(tmp_path):
    """What lies there instead of the answer; and files of the program that somebody has made into something else."""
    home = desk(tmp_path)
    answer = home / "image/Dockerfile"
    for make, name in (
        (lambda: answer.unlink(), "missing"),
        (lambda: answer.mkdir(), "folder"),
        (lambda: (answer.rmdir(), answer.symlink_to("/etc/hostname")), "link-out"),
        (lambda: (answer.unlink(), answer.write_bytes(b"FROM a\0")), "binary"),
        (lambda: answer.write_text("FROM scratch\nCOPY README.md /\n"), "incomplete"),
    ):
        make()
        report = checks.run("5.3", home, only=["clean"])
        assert [(one.state, one.name) for one in report.results] == [("missed", name)], report.results


@linux
def test_a_fresh_checkout_is_one_whatever_somebody_has_made_of_the_folder(tmp_path):
    home = desk(tmp_path)
    folder = home / "image"
    (folder / "README.md").unlink(), (folder / "README.md").mkdir(), (folder / "README.md/x").write_text("x")
    (folder / "requirements.lock").write_text("targ-metrics\n")
    (folder / "app/main.py").unlink(), (folder / "app/main.py").symlink_to("/etc/passwd")
    (folder / "notes.txt").write_text(f"passphrase: {scenario.passphrase(1)}\n")
    task = checks.module_of("5.3").find("5.3")
    trial = checks.Trial(home, checks.load("05"), task, seed=1, unseen=8)
    try:
        made = check._checkout(trial)
        assert (made / "README.md").read_text() and (made / "requirements.lock").read_text() == scenario.lock(8)
        assert not (made / "app/main.py").is_symlink() and check.CHANGED[0] in (made / "app/main.py").read_text()
        assert (made / "notes.txt").read_text() == f"passphrase: {scenario.passphrase(8)}\n"
    finally:
        trial.close()
    assert (folder / "README.md/x").exists(), "the learner's folder stays as it is"
