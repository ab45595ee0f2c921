"""Module 01: the checks judge as they should, whatever lies in the workspace."""

from __future__ import annotations

import base64
import functools
import os
import re
import shutil
import socket
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import replay
from conftest import ROOT
from graded import *

from opslab import checks, jail
from opslab.scenarios import shell_setup as scenario
from opslab.scenarios.shell_setup import feeds, loader
from opslab.worlds import shell, workspace

STEM = "01_shell_setup"


@functools.cache
def words(seed: int) -> dict[str, str]:
    """What stands for {{…}} in the answers of this module, in the world of this seed."""
    with tempfile.TemporaryDirectory() as folder:
        day = Path(folder) / f"partner-feeds-{scenario.DAY}.log"
        late = feeds.write(day, seed).most_common()
        every = Counter(line.split(" ")[3].removeprefix("partner=") for line in day.open() if "LATE" in line)
    text, answer = loader.log(seed)
    lines = text.splitlines()

    def line_of(pattern: str, which: int = 0) -> int:
        return [number for number, line in enumerate(lines, 1) if re.search(pattern, line)][which]

    secret = scenario.password(seed)
    return {
        "password": secret,
        "password_half": secret[:9],
        "password_rest": secret[9:],
        "password_base64": base64.b64encode(secret.encode()).decode(),
        "account_base64": base64.b64encode(f"{scenario.ACCOUNT}:{secret}\n".encode()).decode(),
        "worst": late[0][0],
        "second": late[1][0],
        "least": late[-1][0],
        "latest_files": every.most_common(1)[0][0],
        "late_table": "\n".join(f"{count:7d} {name}" for name, count in late),
        "root_cause": answer.root_cause,
        "root_class": answer.root_cause.split(".")[-1],
        "first_seen": answer.first_seen,
        "first_clock": answer.first_seen[11:19],
        "second_seen": lines[line_of("attempt 2 of 3") - 1].split()[0],
        "end_seen": lines[line_of("status FAILED") - 1].split()[0],
        "metrics_seen": lines[line_of("could not send metrics") - 1].split()[0],
        "info_seen": lines[2].split()[0],
        "line": answer.line,
        "line_before": answer.line - 1,
        "line_of_error": line_of("attempt 1 of 3"),
        "line_of_layer": line_of("Caused by: com.targ.loader.LoaderException"),
        "line_of_decoy": line_of("Caused by: java.net.ConnectException"),
        "line_of_last": line_of(f"Caused by: {re.escape(answer.root_cause)}", -1),
    }


SEEDS = (1, 2, 3)
BRIEF = ("1.2",)
LATER = ("1.1", "1.4")
EVERYWHERE = ("1.3",)
# What 1.1 asks about the shell has nothing to do with the seed; one expectation shows that the world is there.
ELSEWHERE = {"1.1": ["prompt_branch"]}
TASKS = [task.id for task in checks.load("01").tasks]
CASES = replay.cases(STEM)
named = functools.partial(replay.named, STEM)


@functools.cache
def template(seed: int) -> Path:
    """A desk of this seed, made once a process. The partner log is short: the check knows the long one by itself."""
    return workspace.build(STEM, Path(tempfile.mkdtemp(prefix="opslab-template-")) / "home", seed, lines=10)


@pytest.fixture(autouse=True)
def soon_out_of_patience(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """An rc file that hangs on purpose is not waited for as long as one of a learner."""
    case = getattr(request.node, "callspec", None) and request.node.callspec.params.get("case")
    if case and "rc-hangs" in case.missed.values():
        monkeypatch.setitem(shell.Terminal.__init__.__kwdefaults__, "patience", 3.0)


# ---- answers, right and wrong: what `graded` does not ask -------------------------------------------------------------


OF_THE_SEED = [case for case in CASES if not case.right and (case.task == "1.3" or "nowhere_else" in case.missed)]


@pytest.mark.parametrize("case", OF_THE_SEED, ids=str)
def test_wrong_answers_are_wrong_for_the_same_reason_in_another_world(case: replay.Case, desk):
    only = {"nowhere_else"} & case.missed.keys() or case.missed
    found = judged(checks.run(case.task, desk(case, seed=3), only=only))
    assert {id: found[id] for id in only} == {id: case.missed[id] for id in only}


def test_another_persons_answer_is_not_right_in_this_world(desk, tmp_path):
    home, other = desk(seed=1), desk(named("1.3/right/plain"), seed=2)
    shutil.copy(other / "answers/loader.txt", home / "answers/loader.txt")
    assert checks.run("1.3", home).score == 0


HIDDEN = ROOT / "solutions" / STEM / "hidden.toml"


@linux
def test_hidden_worlds_catch_what_has_learnt_the_visible_one_by_heart(desk, tmp_path):
    home = desk(named("1.2/right/plain"))
    log = tmp_path / "partner-feeds-2026-11-21.log"
    # The seed of the unseen log follows from that of the desk, see `checks.run`.
    late = feeds.write(log, 1 * 31 + 7, lines=20_000)
    table = "\n".join(f"{count} {name}" for name, count in late.most_common())
    (home / "bin/late_feeds.sh").write_text(f"#!/usr/bin/env bash\ncat <<'END'\n{table}\nEND\n")
    assert judged(checks.run("1.2", home, only=["counts"]))["counts"] == "met"
    counts = next(result for result in checks.grade("1.2", home, hidden=HIDDEN).results if result.id == "counts")
    assert (counts.state, counts.say) == ("missed", checks.ELSEWHERE)
    assert counts.got == counts.wanted == ""


def test_only_some_expectations_can_be_asked_and_what_they_need_is_asked_too(desk):
    report = checks.run("1.2", desk(named("1.2/right/plain")), only=["worst_first"])
    assert judged(report) == {"script_runs": "met", "counts": "met", "worst_first": "met"}
    with pytest.raises(LookupError, match="no expectation 'nonsense' in task 1.2; there are script_runs, counts"):
        checks.run("1.2", desk(seed=2), only=["nonsense"])


def test_the_copy_that_jupyterlab_keeps_of_an_opened_file_is_found_and_explained(desk):
    home = desk(named("1.5/right/plain"))
    copy = home / "jobs/.ipynb_checkpoints/report-checkpoint.sh"
    copy.parent.mkdir()
    copy.write_text(f"warehouse --password {words(1)['password']} report\n")
    report = checks.run("1.5", home, only=["nowhere_else"])
    assert judged(report)["nowhere_else"] == "still-there"
    assert "~/jobs/.ipynb_checkpoints/report-checkpoint.sh" in report.results[-1].got
    assert "JupyterLab keeps a copy" in report.results[-1].say


# ---- what nobody expects in place of an answer -------------------------------------------------------------------------


def a_folder(path: Path) -> None:
    path.mkdir()
    (path / "inside").write_text("something\n")


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    here = os.open(path.parent, os.O_RDONLY)
    listener.bind(f"/proc/self/fd/{here}/{path.name}")  # its own path may be too long for a socket
    os.close(here)
    listener.close()


DAMAGE: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a folder": ("folder", a_folder),
    "nothing": ("missing", lambda path: None),
    "binary junk": ("binary", lambda path: path.write_bytes(bytes(range(256)) * 20)),
    "text that is not UTF-8": ("binary", lambda path: path.write_bytes("Größe für Ä\n".encode("latin-1"))),
    "10 MB": ("too-big", lambda path: path.write_bytes(b"#!/bin/bash\n" * 900_000)),
    "a pipe": ("special", a_pipe),
    "a socket": ("special", a_socket),
    "a link to nowhere": ("link-out", lambda path: path.symlink_to("no-such-file")),
    "a link out of the workspace": ("link-out", lambda path: path.symlink_to("/etc/passwd")),
    "a link to a device": ("link-out", lambda path: path.symlink_to("/dev/zero")),
}

ANSWER_FILES = {
    "1.1": {".bashrc": "starts"},
    "1.2": {"bin/late_feeds.sh": "script_runs", "answers/late_feed.txt": "partner_named"},
    "1.3": {"answers/loader.txt": "root_cause first_seen line"},
    "1.4": {"jobs/export.sh": "good_day"},
    "1.5": {"jobs/report.sh": "report_works", ".secrets/warehouse": "right_place"},
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("task", TASKS)
def test_something_else_in_place_of_an_answer(task: str, damage: str, desk):
    wanted, put = DAMAGE[damage]
    for path, ids in ANSWER_FILES[task].items():
        home = desk(named(f"{task}/right/plain"))
        (home / path).unlink()
        put(home / path)
        report = checks.run(task, home, only=ids.split())
        in_one_line(report)
        assert {judged(report)[id] for id in ids.split()} == {wanted}
        assert report.score == 0
        shutil.rmtree(home)


@linux
def test_what_does_not_depend_on_the_damaged_file_is_asked_all_the_same(desk):
    home = desk(named("1.2/right/plain"), named("1.5/right/plain"))
    (home / "answers/late_feed.txt").unlink()
    (home / "answers/late_feed.txt").mkdir()
    assert set(judged(checks.run("1.2", home)).values()) == {"met", "folder"}
    (home / "jobs/report.sh").write_bytes(b"\x00\x01")
    found = judged(checks.run("1.5", home))
    assert found == {
        "report_works": "binary",
        "right_place": "met",
        "nowhere_else": "met",
        "not_in_ps": "waiting",
        "one_place": "waiting",
    }


@pytest.mark.slow
@pytest.mark.parametrize("path", ["bin", "answers", "jobs", ".secrets"])
def test_a_file_where_a_folder_belongs(path: str, desk):
    home = desk()
    if (home / path).is_dir():
        shutil.rmtree(home / path)
    (home / path).write_text("I am a file\n")
    for task in TASKS[1:]:
        in_one_line(checks.run(task, home))


def test_empty_files(desk):
    home = desk()
    for files in ANSWER_FILES.values():
        for path in files:
            (home / path).parent.mkdir(exist_ok=True)
            (home / path).write_text("")
    for task in TASKS[1:]:
        report = checks.run(task, home)
        in_one_line(report)
        assert report.score == 0


@pytest.fixture
def my_own_desk(desk):
    """Makes a workspace whose rights count for whoever asks: root, to whom every file is open, becomes somebody else."""
    is_root, folder = os.geteuid() == 0, Path(tempfile.mkdtemp(prefix="opslab-desk-"))
    for above in (folder, *folder.parents):
        if not above.stat().st_mode & 0o001:
            above.chmod(above.stat().st_mode | 0o011)

    def make(*cases: replay.Case, close: str) -> Path:
        home = folder / "home"
        shutil.move(desk(*cases), home)
        (home / close).chmod(0)
        if is_root:
            for path in [home, *home.rglob("*")]:
                os.chown(path, 65534, 65534, follow_symlinks=False)
            os.setresuid(65534, 65534, 0)
        return home

    yield make
    if is_root:
        os.setresuid(0, 0, 0)
    shutil.rmtree(folder)


def test_a_file_that_its_owner_may_not_read(my_own_desk):
    report = checks.run("1.3", my_own_desk(named("1.3/right/plain"), close="answers/loader.txt"))
    in_one_line(report)
    assert set(judged(report).values()) == {"unreadable"}


@pytest.mark.parametrize(
    "task, folder, id", [("1.2", "bin", "script_runs"), ("1.3", "answers", "line"), ("1.5", ".secrets", "right_place")]
)
def test_a_folder_that_its_owner_may_not_enter(task: str, folder: str, id: str, my_own_desk):
    home = my_own_desk(named(f"{task}/right/plain"), close=folder)
    report = checks.run(task, home, only=[id])
    in_one_line(report)
    assert judged(report)[id] == "folder-closed"


def test_the_answers_of_a_closed_folder_are_left_behind_without_a_fault(my_own_desk):
    home = my_own_desk(named("1.5/right/plain"), close=".secrets")
    target = home / "copy"
    target.mkdir()
    for path in (".secrets", "jobs", ".secrets/warehouse"):
        workspace.copy_answer(home, target, path)
    assert (target / "jobs/report.sh").is_file() and not (target / ".secrets/warehouse").exists()


def test_a_folder_that_is_a_link_is_not_followed(desk, tmp_path):
    home = desk(named("1.3/right/plain"))
    (home / "answers").rename(tmp_path / "elsewhere")
    (home / "answers").symlink_to(tmp_path / "elsewhere")
    report = checks.run("1.3", home)
    in_one_line(report)
    assert set(judged(report).values()) == {"link-out"}


# ---- answers that run away -----------------------------------------------------------------------------------------------

RUNAWAYS = {
    "prints 100 MB": "yes this is far too much | head -c 100000000",
    "prints 100 MB on stderr": "yes this is far too much | head -c 100000000 >&2",
    "never ends": "while :; do sleep 1; done",
    "waits for the keyboard": "exec 3<> <(:); read -r -u 3 answer",
    "does not listen to signals": "trap '' TERM INT HUP; while :; do :; done",
    "leaves something behind it": "sleep 1000 & disown; setsid sleep 1000 & while :; do sleep 1; done",
    "is a fork bomb": "bomb() { bomb | bomb & }; bomb; sleep 1000",
}


SCRIPTS = (("1.2", "counts", "bin/late_feeds.sh"), ("1.4", "good_day", "jobs/export.sh"), ("1.5", "report_works", "jobs/report.sh"))  # fmt: skip


@pytest.mark.slow
@linux
@pytest.mark.parametrize("number, what", list(enumerate(RUNAWAYS)), ids=RUNAWAYS)
def test_a_script_that_runs_away(number: int, what: str, desk, monkeypatch):
    task, id, script = SCRIPTS[number % len(SCRIPTS)]
    home = desk(named(f"{task}/right/plain"))
    good = (home / script).read_text()
    (home / script).write_text(f"#!/usr/bin/env bash\n{RUNAWAYS[what]}\n")
    with monkeypatch.context() as sooner:
        sooner.setitem(checks.Trial.run.__kwdefaults__, "limits", jail.Limits(seconds=2, processes=60))
        report = checks.run(task, home, only=[id])
    in_one_line(report)
    assert judged(report)[id] == "stopped"
    assert report.seconds < 60
    # Nothing of it is left to disturb what comes next.
    (home / script).write_text(good)
    assert judged(checks.run(task, home, only=[id]))[id] == "met"
