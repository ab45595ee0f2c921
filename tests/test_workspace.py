"""The workspace: the same from the same seed everywhere, and nothing of the machine's user in it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import opslab
from opslab import course
from opslab.scenarios.shell_setup import feeds, loader
from opslab.worlds import workspace

STEMS = [course.stem_of(number) for number in course.TOPICS]

# What an environment may hold that would lead tools astray: keys (none of them real), places, settings, code to load.
HOSTILE = {
    "AWS_ACCESS_KEY_ID": "AKIAFAKEFAKEEXAMPLE1",
    "AWS_SECRET_ACCESS_KEY": "a-fake-key-for-a-test",
    "AWS_SESSION_TOKEN": "a-fake-token-for-a-test",
    "AWS_PROFILE": "production-of-the-user",
    "AWS_ENDPOINT_URL": "http://127.66.66.66:1",
    "AWS_ENDPOINT_URL_S3": "http://127.66.66.66:1",
    "AWS_CONFIG_FILE": "/of/the/user/config",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/of/the/user/token",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.66.66.66:1",
    "HTTP_PROXY": "http://127.66.66.66:1",
    "HTTPS_PROXY": "http://127.66.66.66:1",
    "ALL_PROXY": "http://127.66.66.66:1",
    "NO_PROXY": "",
    "GIT_DIR": "/of/the/user/repository",
    "GIT_CONFIG_GLOBAL": "/of/the/user/gitconfig",
    "GIT_SSH_COMMAND": "touch /of/the/user",
    "BASH_ENV": "/of/the/user/bash_env",
    "ENV": "/of/the/user/env",
    "PROMPT_COMMAND": "touch /of/the/user",
    "HISTFILE": "/of/the/user/history",
    "INPUTRC": "/of/the/user/inputrc",
    "PYTHONPATH": "/of/the/user/python",
    "PYTHONSTARTUP": "/of/the/user/startup.py",
    "LD_PRELOAD_OF_USER": "/of/the/user/library.so",
    "XDG_CONFIG_HOME": "/of/the/user/config",
    "TF_CLI_CONFIG_FILE": "/of/the/user/terraformrc",
    "HOME": "/of/the/user",
    "USER": "the-user",
    "SHELL": "/of/the/user/shell",
    "LANG": "tr_TR.UTF-8",
    "TZ": "Asia/Kathmandu",
}


def contents(home: Path) -> dict[str, str]:
    """What lies in a workspace: for each file a digest of its bytes, with an x where it may be executed.

    Of a git repository its commits, because its index holds the times of files.
    """
    found = {}
    for path in sorted(home.rglob("*")):
        if ".git" in path.relative_to(home).parts:
            continue
        name = path.relative_to(home).as_posix()
        if path.is_file():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
            found[name] = digest + (" x" if path.stat().st_mode & 0o100 else "")
        if (path / ".git").is_dir():
            found[f"{name}.git"] = git(path, "log", "--all", "--format=%H %s").stdout
    return found


def git(place: Path, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", "-C", str(place), *arguments], capture_output=True, text=True, check=False, **options)


# The desk of module 06 takes seconds to make.
@pytest.fixture(
    scope="module", params=[*STEMS[:6], *(pytest.param(stem, marks=pytest.mark.slow) for stem in STEMS[6:])]
)
def stem(request) -> str:
    return request.param


def build(stem: str, home: Path, seed: int = 1) -> Path:
    size = {"lines": 2000} if stem == "01_shell_setup" else {}
    return workspace.build(stem, home, seed, **size)


# ---- the same seed, the same bytes ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_wherever_it_is_built(stem, tmp_path):
    here = contents(build(stem, tmp_path / "one" / "workspace"))
    assert len(here) > 2
    code = (
        "import os, sys; os.umask(0o077); sys.path.insert(0, sys.argv[1]); import test_workspace; from pathlib import Path;"
        "test_workspace.build(sys.argv[2], Path(sys.argv[3]))"
    )
    for number, hash_seed in enumerate(("1", "2")):
        there = tmp_path / f"other {number}" / "workspace"
        env = {**HOSTILE, "PATH": os.environ["PATH"], "PYTHONHASHSEED": hash_seed}
        env = {name: value for name, value in env.items() if name != "PYTHONPATH"}
        subprocess.run([sys.executable, "-c", code, str(Path(__file__).parent), stem, str(there)], env=env, check=True)
        assert contents(there) == here


def test_building_again_puts_everything_back(stem, tmp_path):
    home = build(stem, tmp_path / "workspace")
    before = contents(home)
    for name in before:
        # A repository that is there already is left alone.
        if not name.startswith("projects/") and (home / name).is_file():
            (home / name).write_text("changed")
    build(stem, home)
    assert contents(home) == before


def test_another_seed_gives_another_world(tmp_path):
    one, two = (
        contents(build("01_shell_setup", tmp_path / name / "workspace", seed)) for name, seed in (("a", 1), ("b", 2))
    )
    assert one.keys() == two.keys()
    differ = {name for name in one if one[name] != two[name]}
    assert {"logs/partner-feeds-2026-11-16.log", "logs/loader.log", "passwords.txt", "warehouse/users"} <= differ


def test_the_generated_files_stay_as_they_are(tmp_path):
    """Lessons quote them. Where a change is meant, run the lessons anew and put the new values here."""
    log = tmp_path / "partner-feeds-2026-11-16.log"
    late = feeds.write(log, 1)
    assert hashlib.sha256(log.read_bytes()).hexdigest()[:16] == "a44982d0a336a345"
    assert log.read_bytes().count(b"\n") == 200_000
    assert sum(late.values()) == log.read_text().count(" status=LATE ")
    assert hashlib.sha256(loader.log(1)[0].encode()).hexdigest()[:16] == "22379ce59df89c5e"


def test_tools_and_jobs_can_be_started_and_nothing_else(tmp_path):
    home = build("01_shell_setup", tmp_path / "workspace")
    started = {name.removesuffix(" x") for name, what in contents(home).items() if what.endswith(" x")}
    tools = {f"tools/{path.name}" for path in (home / "tools").iterdir()}
    assert started == tools | {"jobs/export.sh", "jobs/report.sh", "jobs/report.sh.bak"}


def test_the_note_says_from_what_it_was_made(stem, tmp_path):
    home = build(stem, tmp_path / "workspace", seed=7)
    assert json.loads((home / workspace.NOTE).read_text()) == {"module": stem, "seed": 7}
    assert workspace.seed_of(home) == 7


@pytest.mark.parametrize(
    "note", [None, "", "{", "[]", "7", '{"module": "01"}', '{"seed": "x"}', '{"seed": null}', "\0\xff"]
)
def test_a_damaged_note_counts_as_seed_1(tmp_path, note):
    if note is not None:
        (tmp_path / workspace.NOTE).write_bytes(note.encode("latin-1"))
    assert workspace.seed_of(tmp_path) == 1


# ---- the environment ------------------------------------------------------------------------------------------------


def test_nothing_of_the_caller_is_in_the_environment(tmp_path, monkeypatch):
    clean = workspace.environment(tmp_path)
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "bash").write_text("#!/bin/sh\n")
    (tmp_path / "bash").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert workspace.environment(tmp_path) == clean


def test_everything_in_the_environment_is_text_and_leads_into_the_workspace(tmp_path):
    environment = workspace.environment(tmp_path)
    assert all(isinstance(value, str) for value in environment.values())
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        assert Path(environment[name]).is_relative_to(tmp_path)
    assert environment["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")
    assert environment["PATH"].split(":")[:2] == [f"{tmp_path}/bin", f"{tmp_path}/tools"]


def test_what_is_asked_for_is_added(tmp_path):
    environment = workspace.environment(tmp_path, {"AWS_PROFILE": "staging", "TZ": "Europe/Warsaw"})
    assert (environment["AWS_PROFILE"], environment["TZ"]) == ("staging", "Europe/Warsaw")


def test_the_tools_of_the_course_are_on_the_path(tmp_path):
    environment = workspace.environment(tmp_path)
    for tool in ("bash", "git", "python", "aws", "opslab"):
        assert shutil.which(tool, path=environment["PATH"]), tool
    assert Path(shutil.which("python", path=environment["PATH"])).parent == Path(sys.executable).parent


def test_git_knows_who_works_here_and_reads_no_other_settings(stem, tmp_path):
    home = build(stem, tmp_path / "workspace")
    shown = git(home, "config", "--list", "--show-origin", env=workspace.environment(home)).stdout
    assert "user.email=you@targ.example" in shown
    # The forge of a desk is found by what the environment says; git calls that the command line.
    elsewhere = {line for line in shown.splitlines() if not line.startswith(f"file:{home}/.gitconfig\t")}
    assert elsewhere <= {f"command line:\turl.{home}/forge/.insteadof=forge:"}


def test_git_does_not_find_the_repository_of_the_course(stem, tmp_path):
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    home = build(stem, tmp_path / "workspace")
    (home / "jobs").mkdir(exist_ok=True)
    for place in (home, home / "jobs"):
        done = git(place, "rev-parse", "--git-dir", env=workspace.environment(home))
        assert "not a git repository" in done.stderr


# ---- copying answers ------------------------------------------------------------------------------------------------


@pytest.fixture
def desks(tmp_path: Path) -> tuple[Path, Path]:
    """A source and a target workspace, and a folder outside of both with a file."""
    for name in ("source", "target", "outside"):
        (tmp_path / name).mkdir()
    (tmp_path / "outside" / "secret").write_text("not yours")
    return tmp_path / "source", tmp_path / "target"


def tree(home: Path) -> dict[str, str | None]:
    return {
        path.relative_to(home).as_posix(): path.read_text() if path.is_file() else None
        for path in sorted(home.rglob("*"))
    }


def test_a_file_comes_with_its_rights_and_its_time(desks):
    source, target = desks
    (source / "bin").mkdir()
    (source / "bin/run.sh").write_text("#!/bin/sh\n")
    (source / "bin/run.sh").chmod(0o750)
    os.utime(source / "bin/run.sh", (1e9, 1e9))
    workspace.copy_answer(source, target, "bin/run.sh")
    status = (target / "bin/run.sh").stat()
    assert (tree(target)["bin/run.sh"], status.st_mode & 0o777, status.st_mtime) == ("#!/bin/sh\n", 0o750, 1e9)


def test_a_folder_comes_whole_and_replaces_what_was_there(desks):
    source, target = desks
    (source / "bin/deep").mkdir(parents=True)
    (source / "bin/deep/one").write_text("1")
    (target / "bin").mkdir()
    (target / "bin/old").write_text("old")
    workspace.copy_answer(source, target, "bin")
    assert tree(target) == {"bin": None, "bin/deep": None, "bin/deep/one": "1"}


@pytest.mark.parametrize("was", ["file", "folder", "nothing"])
def test_what_is_not_in_the_source_is_not_in_the_target(desks, was):
    source, target = desks
    if was == "file":
        (target / "answer").write_text("old")
    if was == "folder":
        (target / "answer/deep").mkdir(parents=True)
    workspace.copy_answer(source, target, "answer")
    assert tree(target) == {}


def test_a_file_replaces_a_folder_and_a_folder_a_file(desks):
    source, target = desks
    (source / "a").write_text("now a file")
    (target / "a").mkdir()
    (source / "b").mkdir()
    (target / "b").write_text("was a file")
    for name in "ab":
        workspace.copy_answer(source, target, name)
    assert tree(target) == {"a": "now a file", "b": None}


def test_links_pipes_and_files_too_big_are_left_behind(desks, monkeypatch):
    source, target = desks
    (source / "bin").mkdir()
    (source / "bin/fine").write_text("fine")
    (source / "bin/link").symlink_to(source / "bin/fine")
    (source / "bin/out").symlink_to(source.parent / "outside")
    (source / "bin/dangling").symlink_to("nowhere")
    (source / "bin/loop").symlink_to(".")
    os.mkfifo(source / "bin/pipe")
    with (source / "bin/huge").open("wb") as file:
        file.truncate(workspace.ANSWER_LIMIT + 1)
    with (source / "bin/big").open("wb") as file:
        file.truncate(workspace.ANSWER_LIMIT)
    workspace.copy_answer(source, target, "bin")
    assert sorted(tree(target)) == ["bin", "bin/big", "bin/fine"]


@pytest.mark.parametrize("path", ["secret", "folder/secret", "folder"])
def test_a_link_in_the_source_leads_nowhere(desks, path):
    source, target = desks
    (source / "secret").symlink_to(source.parent / "outside/secret")
    (source / "folder").symlink_to(source.parent / "outside")
    workspace.copy_answer(source, target, path)
    assert tree(target) == {}


@pytest.mark.parametrize("kind", ["to a file", "to a folder", "dangling", "folder above"])
def test_a_link_in_the_target_is_replaced_and_not_followed(desks, kind):
    source, target = desks
    outside = source.parent / "outside"
    (source / "answers").mkdir()
    (source / "answers/secret").write_text("fresh")
    if kind == "folder above":
        (target / "answers").symlink_to(outside)
    else:
        (target / "answers").mkdir()
        to = {"to a file": outside / "secret", "to a folder": outside, "dangling": outside / "new"}[kind]
        (target / "answers/secret").symlink_to(to)
    workspace.copy_answer(source, target, "answers/secret")
    assert tree(target) == {"answers": None, "answers/secret": "fresh"}
    assert not (target / "answers/secret").is_symlink()
    assert tree(outside) == {"secret": "not yours"}


def test_a_file_where_a_folder_has_to_be_gives_way(desks):
    source, target = desks
    (source / "answers").mkdir()
    (source / "answers/one").write_text("fresh")
    (target / "answers").write_text("in the way")
    workspace.copy_answer(source, target, "answers/one")
    assert tree(target) == {"answers": None, "answers/one": "fresh"}


def test_a_workspace_that_is_itself_reached_by_a_link_stays(desks, tmp_path):
    source, target = desks
    (source / "one").write_text("1")
    (tmp_path / "short").symlink_to(target)
    workspace.copy_answer(source, tmp_path / "short", "one")
    assert (tmp_path / "short").is_symlink()
    assert tree(target) == {"one": "1"}


# ---- what the jail is told ------------------------------------------------------------------------------------------


def test_the_course_around_it_is_secret_and_what_the_grader_names(tmp_path, monkeypatch):
    for name in ("course/lessons", "course/exercises", "gradebook"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setenv("OPSLAB_COURSE_ROOT", str(tmp_path / "course"))
    monkeypatch.setenv(workspace.HIDDEN, f"{tmp_path}/gradebook:{tmp_path}/nothing:")
    package = Path(opslab.__file__).parent
    assert workspace.secret_folders() == sorted(map(str, [tmp_path / "course", tmp_path / "gradebook", package]))


def test_without_a_course_around_it_is_the_package_with_its_checks(monkeypatch):
    monkeypatch.setattr(course, "root", lambda start=None: None)
    monkeypatch.delenv(workspace.HIDDEN, raising=False)
    assert workspace.secret_folders() == [str(Path(opslab.__file__).parent)]


def test_the_python_of_the_tools_is_named():
    assert str(Path(sys.prefix).resolve()) in workspace.tool_folders()
