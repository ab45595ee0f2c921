"""The lab, as a notebook uses it, with a real server behind it: bad input, accidents, and nothing lost in any of them."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas
import psutil
import pytest
from patience import gone, until

import opslab
from opslab import card, checks, lab, server, wire
from opslab import course as course_code
from opslab.scenarios.iam_roles import let_in
from opslab.scenarios.iam_roles.names import PLATFORM, STAGING
from opslab.worlds import workspace
from opslab.worlds.aws import cloud, keys
from opslab.worlds.aws.seeding import allow, trust

ONE = "01_shell_setup"
ZERO = "00_start_here"
THREE = "03_iam_roles"

MODULES = ", ".join(sorted(course_code.TOPICS))


class Course:
    """A course in a temporary folder, and this process as the kernel of one of its notebooks."""

    def __init__(self, root: Path) -> None:
        self.root, self.state = root, root / ".opslab"
        self.shown: list = []

    def home(self, stem: str = ONE) -> Path:
        return self.root / "exercises" / stem / "workspace"

    def pid(self, stem: str = ONE) -> int:
        return lab.ask(self.home(stem), "hello")["pid"]

    def refused(self, call: Callable, *arguments) -> str:
        """What a call that must fail says: one line, without a traceback in a notebook."""
        with pytest.raises(lab.LabError) as error:
            call(*arguments)
        said = str(error.value)
        assert said
        assert "\n" not in said
        assert error.value._render_traceback_() == [said]
        return said

    def check(self, task: str = "1.2") -> dict:
        """The report behind the card that `opslab.check` shows."""
        with contextlib.suppress(lab.NotYet):
            opslab.check(task)
        shown = self.shown.pop()
        assert isinstance(shown, card.Card)
        assert shown._repr_html_()
        return shown.report

    def say(self, task: str = "1.2") -> str:
        """What the first missed point of a task says."""
        return next(result["say"] for result in self.check(task)["results"] if result["state"] == "missed")

    def write(self, name: str, text: str | bytes, mode: int = 0o755) -> Path:
        """Write a file on the desk that is open."""
        path = Path(os.environ["OPSLAB_WORLD"]) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return path

    def open(self, number: str = "01") -> None:
        """`opslab.open` with a short log on the desk, which is made sooner."""
        if number == "01" and not self.home().exists():
            workspace.build(ONE, self.home(), seed=1, lines=2000)
        opslab.open(number)

    def still_works(self) -> None:
        """The desk that is open can be checked."""
        task = "0.1" if ZERO in os.environ["OPSLAB_WORLD"] else "1.2"
        assert self.check(task)["task"] == task


@pytest.fixture
def course(tmp_path: Path, monkeypatch) -> Iterator[Course]:
    root = tmp_path / "course"
    (root / "lessons").mkdir(parents=True)
    for stem in (ZERO, ONE):
        (root / "exercises" / stem).mkdir(parents=True)
    monkeypatch.setenv("OPSLAB_COURSE_ROOT", str(root))
    monkeypatch.setattr(lab, "START", root / "exercises" / ONE)
    here = Course(root)
    monkeypatch.setattr(lab, "_show", here.shown.append)
    before, folder = dict(os.environ), os.getcwd()
    yield here
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(before)
    for pid in servers(root):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def servers(root: Path) -> list[int]:
    """The lab servers that run for workspaces below a folder."""
    listed = subprocess.run(["ps", "-A", "-ww", "-o", "pid=,command="], capture_output=True, text=True, check=True)
    wanted = f"-m opslab.server {root}/"
    return [int(line.split()[0]) for line in listed.stdout.splitlines() if wanted in line]


GOOD = r"""#!/usr/bin/env bash
set -euo pipefail
{ grep ' status=LATE ' -- "$1" || [ $? -eq 1 ]; } | cut -d' ' -f4 | cut -d= -f2 | sort | uniq -c | sort -rn
"""


# ---- the usual way --------------------------------------------------------------------------------------------------


def test_open_makes_the_desk_and_goes_there(course, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-fake-key-for-a-test")
    monkeypatch.setenv("JUPYTER_SOMETHING", "stays")
    opslab.open("01")
    assert str(course.shown[-1]).startswith(
        "Module 01: Your desk is ready.\n  ~ is now the folder exercises/01_shell_setup/workspace."
    )
    assert Path.cwd() == course.home()
    assert os.environ["HOME"] == os.environ["OPSLAB_WORLD"] == str(course.home())
    assert "AWS_SECRET_ACCESS_KEY" not in os.environ
    assert os.environ["JUPYTER_SOMETHING"] == "stays"
    assert (course.home() / "logs").is_dir()


def test_opening_again_leaves_everything_as_it_is(course):
    course.open("01")
    course.write("bin/late_feeds.sh", GOOD)
    opslab.open(1)
    assert str(course.shown[-1]).startswith("Module 01: Your desk is as you left it.")
    assert (course.home() / "bin/late_feeds.sh").read_text() == GOOD


def test_a_lesson_is_always_fresh_and_apart(course):
    course.open("01")
    course.write("mine", "mine")
    opslab.lesson("01")
    lesson = Path.cwd()
    assert lesson == course.state / "lessons" / ONE
    (lesson / "logs" / "loader.log").unlink()
    (lesson / "rubbish").touch()
    opslab.lesson("01")
    assert (Path.cwd() / "logs" / "loader.log").exists()
    assert not (Path.cwd() / "rubbish").exists()
    assert (course.home() / "mine").exists()


def test_check_gives_points_and_remembers_them(course):
    course.open("01")
    course.write("bin/late_feeds.sh", GOOD)
    report = course.check()
    assert (report["score"], report["points"], report["done"]) == (3.5, 4, False)
    with pytest.raises(lab.NotYet, match=r"^1\.2: 3\.5 of 4 points\. The card above says what is missing\.$"):
        opslab.check("1.2")
    course.write("bin/late_feeds.sh", "#!/bin/bash\n")
    course.check()
    remembered = json.loads((course.state / "progress.json").read_text())
    met = ["any_file", "counts", "edges", "script_runs", "worst_first"]
    assert remembered["1.2"] == {"best": 3.5, "tries": 3, "hints": 0, "met": met}


def test_a_task_that_holds_raises_nothing(course):
    opslab.open("00")
    (course.home(ZERO) / "name.txt").write_text("Ada\n")
    opslab.check("0.1")
    assert course.shown[-1].report["done"]
    assert "done" in json.loads((course.state / "progress.json").read_text())["0.1"]


def test_hints_come_one_rung_at_a_time_and_the_last_stays(course):
    course.open("01")
    texts = []
    for _ in range(6):
        opslab.hint("1.2")
        texts.append(str(course.shown[-1]))
    assert [text.split("\n")[0] for text in texts] == [f"1.2 · Hint {n} of 4" for n in (1, 2, 3, 4, 4, 4)]
    assert len(set(texts)) == 4


def test_progress_shows_what_was_reached(course):
    course.open("01")
    course.write("bin/late_feeds.sh", GOOD)
    course.check()
    opslab.hint("1.2")
    opslab.progress()
    (line,) = [line for line in str(course.shown[-1]).split("\n") if line.startswith("  1.2")]
    assert line.split()[-6:] == ["█████████·", "3.5/4", "1", "try,", "1", "hint"]
    points = sum(checks.load(number).points for number in course_code.TOPICS if checks.load(number).graded)
    assert str(course.shown[-1]).endswith(f"3.5 of {points:g} points so far. Small steps count.")


def test_screen_shows_what_a_terminal_would(course):
    course.open("01")
    course.write(".bashrc", "PS1='\\[\\e[31m\\]>\\[\\e[0m\\] '\n", 0o644)
    picture = opslab.screen("cd lo<TAB><ENTER>", "pwd<ENTER>", width=120)
    assert str(picture).split("\n")[:2] == ["> cd logs/", "> pwd"]
    assert str(picture).split("\n")[2] == f"{course.home()}/logs"
    assert '<span style="color:#ff7b72">&gt;</span>' in picture._repr_html_()


def test_screen_shows_markup_as_text(course):
    course.open("01")
    assert "&lt;script&gt;" in opslab.screen("echo '<script>'<ENTER>")._repr_html_()


# ---- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("1.9", "no task '1.9' in module 01; its tasks are 1.1, 1.2, 1.3, 1.4, 1.5."),
        ("9.1", f"there is no task '9.1': there are only the modules {MODULES}."),
        ("01.02", "no task '01.02' in module 01; its tasks are 1.1, 1.2, 1.3, 1.4, 1.5."),
        *((bad, "is not the number of a task; one looks like 1.2.") for bad in ("1", "1.", ".2", "1.2.3", "one.two")),
        *((bad, "is not the number of a task; one looks like 1.2.") for bad in ("1.2\n", " 1.2", "1.²", "../1.2", "1.2; ls")),
        *((bad, "is not the number of a task; one looks like 1.2.") for bad in (None, 1, [], 1e99, "1." + "9" * 5000)),
    ],
)  # fmt: skip
def test_no_such_task(course, task, said):
    course.open("01")
    for call in (opslab.check, opslab.hint):
        assert course.refused(call, task).endswith(said)
    course.still_works()


@pytest.mark.parametrize("module", ["9", "42", "", "shell", "01_other", "²", "1" * 5000, None])
def test_no_such_module(course, module):
    for call in (opslab.open, opslab.lesson):
        assert course.refused(call, module).endswith(f"there are {MODULES}.")
    assert list((course.root / "exercises" / ONE).iterdir()) == []
    assert not servers(course.root)


def test_no_world_is_open(course):
    said = 'The world of module 01 is not open. Run this first: opslab.open("01")'
    for call in (opslab.check, opslab.hint, opslab.reset):
        assert course.refused(call, "1.2") == said
    assert course.refused(opslab.screen, "ls<ENTER>").startswith("No world is open here.")
    assert not servers(course.root)


def test_the_world_of_another_module_is_open(course):
    opslab.open("00")
    assert course.refused(opslab.check, "1.2").startswith("The world of module 01 is not open.")
    course.open("01")
    assert course.check("0.1")["task"] == "0.1"
    opslab.reset("00")
    assert Path.cwd() == course.home()


def test_a_deleted_workspace(course):
    course.open("00")
    pid = course.pid(ZERO)
    shutil.rmtree(course.home(ZERO))
    said = course.refused(opslab.check, "0.1")
    assert said.startswith(
        "The workspace is not there (was it moved or deleted?). Run the first cell of the notebook again"
    )
    assert course.refused(opslab.reset, "0.1") == said
    assert course.refused(opslab.screen, "ls") == said
    course.open("00")
    assert str(course.shown[-1]).startswith("Module 00: Your desk is ready.")
    course.still_works()
    assert course.pid(ZERO) == pid


def test_a_deleted_workspace_comes_back_by_reset(course):
    course.open("00")
    shutil.rmtree(course.home(ZERO))
    opslab.reset("00")
    assert Path.cwd() == course.home(ZERO)
    course.still_works()


def test_a_workspace_that_became_a_file(course):
    course.open("00")
    shutil.rmtree(course.home(ZERO))
    course.home(ZERO).write_text("precious")
    assert course.refused(opslab.check, "0.1").startswith("The workspace is not there")
    assert (
        course.refused(opslab.open, "00")
        == f"{course.home(ZERO)} is a file; the workspace has to be a folder there. Move the file away."
    )
    assert course.home(ZERO).read_text() == "precious"
    course.home(ZERO).rename(course.root / "precious")
    course.open("00")
    course.still_works()


@pytest.mark.slow
@pytest.mark.parametrize("note", ["", "{", "[]", "null", '{"seed": "x"}', "\0\xff"])
def test_a_damaged_note_does_not_stop_the_check(course, note):
    course.open("01")
    course.write("bin/late_feeds.sh", GOOD)
    (course.home() / workspace.NOTE).write_bytes(note.encode("latin-1"))
    assert course.check()["score"] == 3.5


def test_a_deleted_note_costs_nothing(course):
    course.open("01")
    course.write("bin/late_feeds.sh", GOOD)
    (course.home() / workspace.NOTE).unlink()
    assert course.refused(opslab.check, "1.2").startswith("The workspace is not there")
    course.open("01")
    (kept,) = (course.state / "kept" / ONE).iterdir()
    assert kept.name.endswith("-damaged")
    assert (kept / "bin/late_feeds.sh").read_text() == GOOD


def test_a_file_that_is_a_folder(course):
    course.open("01")
    (course.home() / "bin/late_feeds.sh").mkdir(parents=True)
    assert course.say().startswith("~/bin/late_feeds.sh is a folder; a file is expected there.")


def test_binary_junk(course):
    course.open("01")
    course.write("bin/late_feeds.sh", bytes(range(256)) * 100)
    assert course.say() == "~/bin/late_feeds.sh holds binary data, not text. Save it as plain text."
    course.write("bin/late_feeds.sh", b"#!/bin/bash\necho gr\xfc\xdfe\n")
    assert course.say() == "~/bin/late_feeds.sh is not UTF-8 text. Save it as UTF-8."


def test_a_file_far_too_big(course):
    course.open("01")
    with course.write("bin/late_feeds.sh", "").open("wb") as file:
        file.truncate(10**10)
    assert course.say().startswith("~/bin/late_feeds.sh has 10,000,000,000 bytes; an answer is far shorter.")


@pytest.mark.parametrize(
    "kind", ["pipe", "socket", "link to a device", "link to itself", "link out", "link to nowhere"]
)
def test_a_file_that_is_none(course, kind):
    course.open("01")
    path = course.home() / "bin/late_feeds.sh"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        # By its bare name, because the path of a socket must be short.
        os.chdir(path.parent)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    else:
        to = {"link to a device": "/dev/zero", "link to itself": path.name, "link out": "/etc/passwd"}.get(
            kind, "nowhere"
        )
        path.symlink_to(to)
    started = time.monotonic()
    report = course.check()
    assert time.monotonic() - started < 60
    assert report["score"] == 0
    assert "root:" not in json.dumps(report)
    path.unlink()
    course.still_works()


@pytest.mark.slow
@pytest.mark.parametrize("to", ["", " >&2"], ids=["out", "err"])
def test_a_script_that_prints_100_megabytes(course, to):
    course.open("01")
    course.write("bin/late_feeds.sh", f"#!/bin/bash\nhead -c 100000000 /dev/zero | tr '\\0' x{to}\n")
    started = time.monotonic()
    assert course.say().startswith("It was stopped: it printed more than 1,048,576 bytes.")
    assert time.monotonic() - started < 60
    course.write("bin/late_feeds.sh", GOOD)
    assert course.check()["score"] == 3.5


@pytest.mark.slow
def test_a_script_that_never_ends(course):
    course.open("01")
    course.write("bin/late_feeds.sh", "#!/bin/bash\ntrap '' TERM\nwhile :; do sleep 1; done\n")
    started = time.monotonic()
    assert course.say().startswith("It was stopped: it was still running after 10 seconds.")
    assert time.monotonic() - started < 20, "one run of ten seconds, not two"
    course.write("bin/late_feeds.sh", GOOD)
    assert course.check()["score"] == 3.5


def test_a_script_cannot_harm_the_desk_it_is_checked_for(course):
    course.open("01")
    course.write("bin/late_feeds.sh", "#!/bin/bash\nrm -rf ~ ~/* ~/.[a-z]*\necho 5 bikebarn\n")
    before = sorted(course.home().rglob("*"))
    assert course.check()["score"] == 0.5
    assert sorted(course.home().rglob("*")) == before


def test_a_kernel_whose_folder_was_deleted_can_still_import(course, tmp_path):
    (tmp_path / "gone").mkdir()
    code = "import os, sys; os.rmdir(os.getcwd()); import opslab; opslab.progress()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "gone", capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


# ---- the server goes ------------------------------------------------------------------------------------------------


def test_a_killed_server_is_replaced_by_the_next_call(course):
    course.open("00")
    pid = course.pid(ZERO)
    os.kill(pid, signal.SIGKILL)
    assert until(lambda: not servers(course.root))
    assert lab.socket_path(course.home(ZERO)).exists(), "a stale socket is what this test is about"
    course.still_works()
    assert course.pid(ZERO) != pid
    assert len(servers(course.root)) == 1


@pytest.mark.slow
def test_a_server_killed_in_the_middle_of_a_check_is_replaced_and_asked_again(course):
    course.open("01")
    nap = f"sleep 1.5{os.getpid()}"  # by which this test knows its own among all processes
    course.write("bin/late_feeds.sh", f"#!/bin/bash\n{nap}\n")
    killed = []

    def kill() -> None:
        if until(lambda: [pid for pid in below(killed_pid) if nap in command(pid)]):
            os.kill(killed_pid, signal.SIGKILL)
            killed.append(killed_pid)

    killed_pid = course.pid()
    thread = threading.Thread(target=kill)
    thread.start()
    report = course.check()
    thread.join()
    assert killed
    assert report["task"] == "1.2"
    assert course.pid() != killed_pid
    assert json.loads((course.state / "progress.json").read_text())["1.2"]["tries"] == 1
    assert until(lambda: not [pid for pid in below(1) if nap in command(pid)])


def below(pid: int) -> list[int]:
    from opslab import jail

    return jail.descendants(pid)


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def test_a_server_that_cannot_be_kept_alive_is_told_in_one_line(course, monkeypatch):
    course.open("00")

    def broken(path, request, tell=None):
        if request["op"] == "hello":
            return {"fingerprint": course_code.fingerprint()}
        raise ConnectionError("it went away in the middle of the answer")

    monkeypatch.setattr(wire, "exchange", broken)
    assert course.refused(opslab.check, "0.1").startswith(
        f"The lab server of {course.home(ZERO)} does not answer (it went away"
    )


@pytest.mark.parametrize("days", [60_000, 200_000])
def test_a_frame_that_is_too_big_to_draw_is_told_in_one_line(course, days):
    course.open("00")
    counts = pandas.DataFrame({"rows": range(days)}, index=["2026-11-16"] * days)
    said = course.refused(opslab.rows, counts)
    assert re.match(r"This request has [0-9,]+ bytes; at most 1,048,576 are taken in one go\. .*groupby", said)
    said = course.refused(opslab.beside, {"rows": 5, "more": 6}, counts.assign(more=0.123456789))
    assert "at most 1,048,576" in said and "a row for each good day" in said
    course.still_works()


def test_a_server_that_does_not_start_is_told_in_one_line(course, monkeypatch):
    monkeypatch.setattr(lab.sys, "executable", shutil.which("false"))
    said = course.refused(opslab.open, "00")
    assert said.startswith("The lab server did not start. Try again;") and f"{course.state}/server.log" in said


def test_a_server_with_older_code_is_replaced(course, monkeypatch):
    course.open("00")
    course.write("mine", "mine")
    old = course.pid(ZERO)
    assert course.pid(ZERO) == old
    with monkeypatch.context() as patch:
        patch.setattr(course_code, "fingerprint", lambda: "other code")
        course.still_works()
    new = course.pid(ZERO)
    assert new != old
    assert until(lambda: servers(course.root) == [new])
    assert (course.home(ZERO) / "mine").exists()


def test_the_fingerprint_follows_the_code(tmp_path, monkeypatch):
    package = tmp_path / "opslab"
    package.mkdir()
    (package / "lab.py").write_text("1")
    monkeypatch.setattr(course_code, "__file__", str(package / "lab.py"))
    before = course_code.fingerprint()
    assert course_code.fingerprint() == before
    (package / "lab.py").write_text("2 and more")
    assert course_code.fingerprint() != before


def test_stop_and_nothing_to_stop(course):
    assert lab.stop(course.home(ZERO)) is False
    course.open("00")
    assert lab.stop(course.home(ZERO)) is True
    assert until(lambda: not servers(course.root))
    assert until(lambda: not lab.socket_path(course.home(ZERO)).exists())
    course.still_works()


def test_whoever_comes_after_the_stop_is_not_served_by_a_world_that_closes(monkeypatch, tmp_path):
    """However late the server's own thread is with ending it."""
    late = threading.Event()
    monkeypatch.setattr(server.Server, "shutdown", lambda self: late.wait(60) and wire.Server.shutdown(self))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s"
        arguments = (str(tmp_path / "home"), str(tmp_path / "state"), str(path))
        thread = threading.Thread(target=server.main, args=arguments, daemon=True)
        thread.start()
        assert until(path.exists)
        assert wire.exchange(path, {"op": "hello"}, seconds=60)
        assert wire.exchange(path, {"op": "stop"}, seconds=60) == {}
        for op in ("hello", "stop"):
            with pytest.raises(ConnectionError):
                wire.exchange(path, {"op": op}, seconds=60)
        late.set()
        thread.join(60)
        assert not thread.is_alive() and not path.exists()


@pytest.mark.parametrize("what", ["desk", "socket"])
def test_a_server_ends_when_nobody_can_use_it_any_more(course, monkeypatch, tmp_path, what):
    """With the waiting times of a minute cut short."""
    monkeypatch.setattr(server, "GONE_SECONDS", 0)
    looks = []

    def sleep(seconds, sleep=time.sleep):
        looks.append(seconds)
        sleep(min(seconds, 0.02))

    monkeypatch.setattr(server.time, "sleep", sleep)
    home = tmp_path / "home"
    path = Path(tempfile.gettempdir()) / "t.sock"
    arguments = (str(home), str(tmp_path / "state"), str(path))
    thread = threading.Thread(target=server.main, args=arguments, daemon=True)
    thread.start()
    assert until(path.exists)
    home.mkdir()
    before = looks.count(30)
    assert until(lambda: looks.count(30) >= before + 2)  # it has looked, and seen the desk
    assert thread.is_alive()
    if what == "desk":
        home.rmdir()
    else:
        path.unlink()
        path.write_text("of a successor")
    thread.join(60)
    assert not thread.is_alive()
    assert path.exists() == (what == "socket")
    path.unlink(missing_ok=True)


# ---- several at once ------------------------------------------------------------------------------------------------

KERNEL = "import opslab, sys; opslab.open('00')\ntry: opslab.check('0.1')\nexcept opslab.NotYet: print('checked')"


def kernel(course: Course, code: str = KERNEL) -> subprocess.Popen[str]:
    env = {**os.environ, "TMPDIR": tempfile.gettempdir()}
    env.pop("OPSLAB_WORLD", None)
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=course.root / "exercises" / ZERO,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_two_kernels_at_once_share_one_server(course):
    kernels = [kernel(course) for _ in range(4)]
    said = [one.communicate(timeout=120) for one in kernels]
    assert [err for _, err in said] == [""] * 4
    assert all(out.endswith("checked\n") for out, _ in said)
    assert sum("Your desk is ready" in out for out, _ in said) == 1
    assert len(servers(course.root)) == 1
    assert json.loads((course.state / "progress.json").read_text())["0.1"]["tries"] == 4


def test_a_restarted_kernel_finds_the_same_desk_and_the_same_server(course):
    out, _ = kernel(course, KERNEL + "\nopen('mine', 'w').write('kept')").communicate(timeout=120)
    assert "Your desk is ready" in out
    pid = servers(course.root)
    out, _ = kernel(course, KERNEL + "\nprint(open('mine').read())").communicate(timeout=120)
    assert "as you left it" in out
    assert out.endswith("kept\n")
    assert servers(course.root) == pid


def test_a_command_in_a_cell_reaches_the_server_of_the_notebook(course):
    code = "import opslab, subprocess; opslab.open('00'); print(subprocess.run(['opslab', 'check', '0.1'], capture_output=True, text=True))"
    out, err = kernel(course, code).communicate(timeout=120)
    assert "0.1 · Put your name on the desk: 0 of 1 points" in out, err
    assert len(servers(course.root)) == 1


@pytest.mark.slow
def test_whoever_asks_and_goes_away_disturbs_nobody(course):
    course.open("01")
    course.write("bin/late_feeds.sh", "#!/bin/bash\nsleep 0.5\n")
    for _ in range(3):
        with socket.socket(socket.AF_UNIX) as impatient:
            impatient.connect(str(lab.socket_path(course.home())))
            impatient.sendall(b'{"op": "check", "task": "1.2"}\n')
    course.still_works()


# ---- what the server is sent ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"garbage\n",
        b"\xff\xfe\x00\n",
        b"[]\n",
        b"null\n",
        b'{"op": 5}\n',
        b'{"op": ["hello"]}\n',
        b'{"no": "op"}\n',
        b'{"op": "_keep", "names": ["."], "why": "x"}\n',
        b'{"op": "__class__"}\n',
        b'{"op": "nosuch"}\n',
        b'{"op": "check"}\n',
        b'{"op": "check", "task": {"a": 1}}\n',
        b'{"op": "check", "task": "1.2", "more": 1}\n',
        b'{"op": "reset", "what": "../..", "stem": "01_shell_setup"}\n',
        b'{"op": "reset", "what": "01", "stem": "../../etc"}\n',
        b'{"op": "build", "stem": "os.path", "anew": true}\n',
        b'{"op": "screen", "steps": 5, "width": -1, "height": 0}\n',
        b"[" * 60_000 + b"\n",
        b'{"op": "check", "task": "' + b"x" * 1_000_000 + b'"}\n',
        b"x" * 1_000_000,
    ],
    ids=lambda line: repr(line[:40]),
)
def test_a_request_that_makes_no_sense_gets_one_line(course, line):
    lab.prepare(course.home(ZERO), ZERO)
    before = sorted(course.home(ZERO).rglob("*"))
    pid = course.pid(ZERO)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(lab.socket_path(course.home(ZERO))))
        client.settimeout(60)
        with contextlib.suppress(OSError):  # it hangs up on what is too long
            client.sendall(line)
            client.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            answers = client.makefile("rb").read().splitlines()
            assert list(json.loads(answers[-1])) == ["error"]
            assert "\n" not in json.loads(answers[-1])["error"]
    assert course.pid(ZERO) == pid
    assert sorted(course.home(ZERO).rglob("*")) == before


def test_the_socket_is_for_its_user_alone(course):
    course.open("00")
    path = lab.socket_path(course.home(ZERO))
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o077 == 0
    assert len(str(path)) < 100


@pytest.mark.parametrize("what", ["open to others", "a link", "a file", "of another user", "below nothing"])
def test_a_folder_for_sockets_that_is_not_ours_alone_is_refused(course, tmp_path, monkeypatch, what):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / f"opslab-{os.getuid()}"
    if what == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to("elsewhere")
    elif what == "a file":
        folder.touch()
    elif what == "of another user":
        folder.mkdir(mode=0o700)
        monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
        folder.rename(tmp_path / f"opslab-{os.getuid()}")
    elif what == "below nothing":
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nothing"))
    else:
        folder.mkdir(mode=0o755)
    said = course.refused(opslab.open, "01")
    assert "opslab-" in said
    assert "Remove it" in said
    assert not servers(course.root)


# ---- what is remembered ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage", [b"{", b"", b"\xff\xfe", b"[1, 2]", b"null", b'{"0.1": 5}', b'{"0.1": "x", "1.1": {"best": 5}}']
)
def test_a_damaged_progress_file_is_put_aside_and_not_lost(course, damage):
    course.open("00")
    for round in (1, 2):
        (course.state / "progress.json").write_bytes(damage)
        opslab.progress()
        course.check("0.1")
        assert json.loads((course.state / "progress.json").read_text())["0.1"]["tries"] == 1
        kept = [path.read_bytes() for path in course.state.glob("progress.damaged*.json")]
        assert kept == [damage] * round


@pytest.mark.parametrize("entry", [{}, {"best": "x", "tries": None, "hints": []}, {"tries": 3}])
def test_a_number_that_is_missing_counts_as_0(course, entry):
    course.open("01")
    (course.state / "progress.json").write_text(json.dumps({"1.2": entry, "1.1": {"best": 2, "tries": 1, "hints": 0}}))
    opslab.progress()
    course.check()
    opslab.hint("1.2")
    remembered = json.loads((course.state / "progress.json").read_text())
    assert remembered["1.2"] == {"best": 0, "tries": (entry.get("tries") or 0) + 1, "hints": 1, "met": []}
    assert remembered["1.1"]["best"] == 2


def test_a_reset_task_is_as_at_the_start_and_a_copy_is_kept(course):
    course.open("01")
    original = (course.home() / "jobs/export.sh").read_text()
    course.write("jobs/export.sh", "#!/bin/bash\nmine\n")
    course.write("bin/late_feeds.sh", GOOD)
    task = checks.load("01").find("1.4")
    opslab.reset("1.4")
    assert (course.home() / "jobs/export.sh").read_text() == original
    assert (course.home() / "bin/late_feeds.sh").read_text() == GOOD, "another task's"
    assert str(course.shown[-1]).startswith("Back at the start: task 1.4.\n  What was there is kept in .opslab/kept/")
    (kept,) = (course.state / "kept" / ONE).iterdir()
    assert kept.name.endswith("-reset-1.4")
    assert (kept / "jobs/export.sh").read_text() == "#!/bin/bash\nmine\n"
    assert "jobs/export.sh" in task.files


def test_a_reset_leaves_what_belongs_to_other_tasks(course):
    course.open("01")
    course.write("bin/late_feeds.sh", GOOD)
    course.write(".bashrc.d/helper", "of the prompt")
    course.write(".bashrc", "mine")
    opslab.reset("1.1")
    assert (course.home() / "bin/late_feeds.sh").read_text() == GOOD
    assert os.access(course.home() / "bin/late_feeds.sh", os.X_OK)
    assert not (course.home() / ".bashrc.d").exists()
    assert not (course.home() / ".bashrc").exists()
    (kept,) = (course.state / "kept" / ONE).iterdir()
    assert (kept / ".bashrc.d/helper").read_text() == "of the prompt"


@pytest.mark.slow
def test_resets_in_the_same_second_keep_a_copy_each(course):
    course.open("01")
    for number in range(4):
        course.write("bin/late_feeds.sh", f"version {number}")
        opslab.reset("1.2")
    kept = sorted((course.state / "kept" / ONE).glob("*/bin/late_feeds.sh"))
    assert sorted(path.read_text() for path in kept) == [f"version {number}" for number in range(4)]


def test_a_reset_module_is_as_new_and_everything_is_kept(course):
    course.open("01")
    course.write("mine/deep/file", "mine")
    course.write(".bashrc", "mine")
    (course.home() / "link").symlink_to("/nowhere")
    opslab.reset("01")
    assert not (course.home() / "mine").exists()
    assert not (course.home() / ".bashrc").exists()
    assert (course.home() / "logs/loader.log").exists()
    assert Path.cwd().samefile(course.home())
    (kept,) = (course.state / "kept" / ONE).iterdir()
    assert (kept / "mine/deep/file").read_text() == (kept / ".bashrc").read_text() == "mine"
    assert (kept / "link").is_symlink()
    course.still_works()


def test_a_reset_follows_no_link_and_keeps_what_was_in_the_way(course, tmp_path):
    course.open("01")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "export.sh").write_text("not of this course")
    shutil.rmtree(course.home() / "jobs")
    (course.home() / "jobs").symlink_to(outside)
    opslab.reset("1.4")
    assert (outside / "export.sh").read_text() == "not of this course"
    assert (course.home() / "jobs/export.sh").read_text().startswith("#!")
    assert not (course.home() / "jobs").is_symlink()
    shutil.rmtree(course.home() / "jobs")
    (course.home() / "jobs").write_text("precious")
    opslab.reset("1.4")
    assert "precious" in [path.read_text() for path in (course.state / "kept" / ONE).glob("*/jobs") if path.is_file()]
    assert (course.home() / "jobs/export.sh").exists()


def test_there_was_nothing_to_keep(course):
    course.open("01")
    opslab.reset("1.2")
    assert "There was nothing to keep." in str(course.shown[-1])


# ---- no room, no right ----------------------------------------------------------------------------------------------


def test_a_state_that_cannot_be_written(course, monkeypatch):
    blocked = course.root / "a file"
    blocked.touch()
    monkeypatch.setenv("OPSLAB_STATE", str(blocked / "state"))
    said = course.refused(opslab.open, "01")
    assert (
        said
        == f"The course cannot write into {blocked}/state (Not a directory). Give yourself the right, or set OPSLAB_STATE."
    )
    assert not servers(course.root)


def test_a_state_that_can_no_longer_be_written_costs_no_work(course):
    course.open("01")
    course.write("bin/late_feeds.sh", GOOD)
    (course.state / "progress.lock").unlink(missing_ok=True)
    (course.state / "progress.lock").mkdir()
    assert course.refused(opslab.check, "1.2").startswith("Is a directory: ")
    (course.state / "progress.lock").rmdir()
    assert course.check()["score"] == 3.5


@pytest.mark.skipif(sys.platform != "linux", reason="a small disk is made with bubblewrap")
def test_a_full_disk_is_told_in_one_line_and_nothing_is_lost(course):
    small = course.root / "exercises"
    code = """
import opslab, pathlib, shutil
home = pathlib.Path("workspace").absolute()
for _ in range(2):
    try: opslab.open("01")
    except opslab.LabError as error: print(error)
for path in home.iterdir(): shutil.rmtree(path) if path.is_dir() else path.unlink()
opslab.open("00")
pathlib.Path("name.txt").write_text("Ada")
opslab.check("0.1")
"""
    wrap = ["bwrap", "--dev-bind", "/", "/", "--size", "3000000", "--tmpfs", str(small), "--dir", str(small / ONE)]
    done = subprocess.run(
        [
            *wrap,
            "--chdir",
            str(small / ONE),
            "--unshare-pid",
            "--die-with-parent",
            "--proc",
            "/proc",
            sys.executable,
            "-c",
            code,
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": tempfile.gettempdir(), "OPSLAB_STATE": str(course.state)},
        check=False,
    )
    lines = done.stdout.splitlines()
    assert lines[:2] == [line for line in lines[:2] if line.startswith(os.strerror(errno.ENOSPC))], done
    assert "Is the disk full" in lines[0]
    assert "0.1 · Put your name on the desk: 1 of 1 points" in done.stdout
    assert done.stderr == ""


# ---- module 03: a world with an AWS organisation --------------------------------------------------------------------


class Aws:
    """The AWS of module 03's desk, as the learner's profiles and tools see it."""

    def __init__(self, course: Course, home: Path | None = None) -> None:
        self.course, self.home = course, home or course.home(THREE)

    @property
    def port(self) -> int:
        return workspace.aws_port(self.home)

    def actor(self, account: str = STAGING, user: str = "administrator") -> cloud.Actor:
        key, secret = keys.access_key(workspace.seed_of(self.home), account, user)
        return cloud.Actor(f"http://127.0.0.1:{self.port}", key, secret)

    def create(self, *users: str) -> None:
        for user in users:
            assert not self.actor().call("iam", "create_user", UserName=user).code

    def users(self, account: str = STAGING) -> set[str]:
        return {one["UserName"] for one in self.actor(account).client("iam").list_users()["Users"]}

    def cli(self, *words: str, command: str = "aws") -> subprocess.CompletedProcess[str]:
        """The aws CLI in this process's environment, which after `open` is that of the kernel."""
        return subprocess.run([command, *words], capture_output=True, text=True, timeout=120, check=False)

    def plain_cli(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The same as it is installed, without what the world has in front of it."""
        return self.cli(*words, command=str(Path(sys.executable).with_name("aws")))

    def processes(self) -> list[psutil.Process]:
        """The host of organisations, and what is below it, of the server of this desk."""
        return psutil.Process(self.course.pid(THREE)).children(recursive=True)

    def kill(self, who: int) -> None:
        """Kill one of them, and wait until it is gone. 0: the host, which takes its organisations along. 1: that of this desk."""
        below = self.processes()
        below[who].kill()
        assert until(lambda: all(map(gone, below if who == 0 else below[who : who + 1])))


@pytest.fixture
def aws(course: Course, monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    (course.root / "exercises" / THREE).mkdir()
    monkeypatch.setattr(lab, "START", course.root / "exercises" / THREE)
    yield Aws(course)
    for home in (course.home(THREE), course.state / "lessons" / THREE):
        lab.stop(home)


def let_jonas_in(aws: Aws) -> None:
    """The solution of task 3.2."""
    trusted = trust(let_in.JONAS, let_in.KASIA)
    document = json.dumps(trusted)
    assert (
        not aws.actor()
        .call("iam", "update_assume_role_policy", RoleName="orders-analyst", PolicyDocument=document)
        .code
    )
    policy = {
        "UserName": "jonas",
        "PolicyName": "become",
        "PolicyDocument": json.dumps(allow("sts:AssumeRole", let_in.ROLE)),
    }
    assert not aws.actor(PLATFORM).call("iam", "put_user_policy", **policy).code


@pytest.mark.slow
def test_open_makes_aws_reachable_and_a_restart_is_not_noticed(course, aws):
    opslab.open("03")
    port = aws.port
    assert os.environ["AWS_ENDPOINT_URL"] == f"http://127.0.0.1:{port}"
    who = aws.cli("sts", "get-caller-identity", "--profile", "jonas")
    assert json.loads(who.stdout)["Arn"] == let_in.JONAS, who.stderr
    let_jonas_in(aws)
    aws.create("eve")
    (course.home(THREE) / ".cloud" / "journal.jsonl").unlink()
    assert course.check("3.2")["done"], "a check asks the live organisation, also where its journal was deleted"
    lines = (course.home(THREE) / ".cloud" / "journal.jsonl").read_text().splitlines()
    assert len(lines) == 3
    # As a role: AWS's own CLI (not that of the world) remembers the credentials, and they go on working.
    read = ["s3", "cp", f"s3://{let_in.MARTS}/{let_in.MART}", "-", "--profile", "jonas-analyst"]
    assert aws.plain_cli(*read).stdout.startswith("day,orders")
    (cached,) = (course.home(THREE) / ".aws/cli/cache").iterdir()
    before = cached.read_text()
    below = aws.processes()
    assert lab.stop(course.home(THREE))
    assert until(lambda: all(map(gone, below))), "nothing is left when the server has ended"
    assert aws.plain_cli(*read).returncode != 0
    opslab.open("03")
    assert aws.port == port
    assert aws.plain_cli(*read).stdout.startswith("day,orders")
    assert cached.read_text() == before
    assert "eve" in aws.users() and course.check("3.2")["done"]


@pytest.mark.slow
def test_after_an_accident_the_next_call_brings_aws_back_with_all_changes(course, aws):
    opslab.open("03")
    aws.create("one")
    port = aws.port
    for who, call in (
        (0, lambda: course.check("3.2")),
        (1, lambda: opslab.open("03")),
        (0, lambda: course.refused(opslab.why)),
    ):
        aws.kill(who)
        call()
        assert aws.port == port
        assert "one" in aws.users()
    below = aws.processes()
    os.kill(course.pid(THREE), signal.SIGKILL)
    assert until(lambda: all(map(gone, below)))
    course.check("3.2")
    assert aws.port == port and "one" in aws.users()
    aws.create("two")
    assert {"one", "two"} <= aws.users()


@pytest.mark.slow
def test_a_reset_of_a_task_brings_back_its_part_of_aws_and_a_reset_of_the_module_all(course, aws):
    opslab.open("03")
    seed, port = workspace.seed_of(course.home(THREE)), aws.port
    let_jonas_in(aws)
    aws.create("eve")
    aws.cli("s3", "ls", "--profile", "jonas-analyst")
    assert course.check("3.2")["done"]
    opslab.reset("3.2")
    assert "What was there is kept in" in str(course.shown[-1])
    (kept,) = (course.state / "kept" / THREE).iterdir()
    assert len((kept / ".cloud" / "journal.jsonl").read_text().splitlines()) >= 3
    assert course.check("3.2")["score"] == 0
    assert "eve" in aws.users(), "of no task: it stays"
    assert not (course.home(THREE) / ".aws/cli/cache").exists()
    opslab.reset("03")
    assert "eve" not in aws.users()
    assert (workspace.seed_of(course.home(THREE)), aws.port) == (seed, port)
    assert not (course.home(THREE) / ".cloud/journal.jsonl").read_text()
    shutil.rmtree(course.home(THREE))
    opslab.reset("03")
    assert workspace.seed_of(course.home(THREE)) == seed, "also where the note of it is gone"
    assert aws.users()


@pytest.mark.slow
def test_a_desk_that_was_deleted_or_moved_takes_its_aws_along(course, aws):
    opslab.open("03")
    aws.create("eve")
    moved = course.root / "moved"
    course.home(THREE).rename(moved)
    aws.home = moved
    aws.create("kay")
    aws.home = course.home(THREE)
    assert not course.home(THREE).exists(), "a change does not bring back the folder"
    assert course.refused(opslab.check, "3.2").startswith("The workspace is not there")
    opslab.open("03")
    assert str(course.shown[-1]).startswith("Module 03: Your desk is ready.")
    assert not {"eve", "kay"} & aws.users(), "a new desk has a new AWS"
    shutil.rmtree(course.home(THREE))
    moved.rename(course.home(THREE))
    lab.stop(course.home(THREE))
    opslab.open("03")
    assert "eve" in aws.users()


@pytest.mark.slow
def test_the_lesson_has_an_aws_of_its_own_that_is_always_fresh(course, aws):
    opslab.open("03")
    aws.create("eve")
    opslab.lesson("03")
    lesson = Aws(course, course.state / "lessons" / THREE)
    assert os.environ["AWS_ENDPOINT_URL"].endswith(f":{lesson.port}")
    assert lesson.port != aws.port
    assert workspace.seed_of(lesson.home) == 1
    assert "eve" not in lesson.users() and "jonas" not in lesson.users(PLATFORM)
    lesson.create("kay")
    port, roles = lesson.port, sorted(one["RoleId"] for one in lesson.actor().client("iam").list_roles()["Roles"])
    opslab.draw()
    opslab.reset("03")
    assert workspace.twists_of(lesson.home) == {"lesson"}, "a lesson that is reset is still the lesson"
    opslab.lesson("03")
    assert "kay" not in lesson.users() and lesson.port == port
    assert sorted(one["RoleId"] for one in lesson.actor().client("iam").list_roles()["Roles"]) == roles
    assert "eve" in aws.users()


@pytest.mark.slow
def test_why_and_draw_answer_or_say_why_not_in_one_line(course, aws):
    opslab.open("00")
    for call in (opslab.why, opslab.draw):
        assert course.refused(call) == "There is no AWS organisation in this module."
    opslab.open("03")
    assert course.refused(opslab.why).startswith("Nothing was denied here since AWS was started.")
    assert not aws.actor(PLATFORM, "jonas").call("iam", "list_users").allowed
    opslab.why()
    assert "iam:ListUsers" in str(course.shown[-1])
    assert course.refused(opslab.draw).startswith(
        "First on paper: the picture comes as soon as you have found the paths of task 3.6."
    )
    found = {"3.6": {"best": 1, "tries": 1, "hints": 0, "met": ["paths"]}}
    (course.state / "progress.json").write_text(json.dumps(found))
    picture = opslab.draw()
    assert "production/orders-writer" in str(picture) and "<svg" in picture._repr_html_()
    highlighted = opslab.draw("platform/olga", "production/oncall")
    assert highlighted._repr_html_() != picture._repr_html_()
    assert "nobody" in course.refused(opslab.draw, "platform/nobody", "production/oncall")


def test_the_seed_of_a_learner(tmp_path, monkeypatch):
    for name in ("OPSLAB_LEARNER", "JUPYTERHUB_USER"):
        monkeypatch.delenv(name, raising=False)
    drawn = course_code.learner_seed(tmp_path / "one")
    assert course_code.learner_seed(tmp_path / "one") == drawn
    assert len({course_code.learner_seed(tmp_path / str(n)) for n in range(20)}) > 15, "others have others"
    monkeypatch.setenv("JUPYTERHUB_USER", "ada")
    assert course_code.learner_seed(tmp_path / "one") == course_code.seed_of_name("ada") != drawn
    monkeypatch.setenv("OPSLAB_LEARNER", "ben")
    assert course_code.learner_seed(tmp_path / "nowhere") == course_code.seed_of_name("ben")
    assert not (tmp_path / "nowhere").exists()
    for name in ("OPSLAB_LEARNER", "JUPYTERHUB_USER"):
        monkeypatch.setenv(name, "")
    assert course_code.learner_seed(tmp_path / "one") == drawn
    assert all(course_code.seed_of_name(f"learner {n}") > 9 for n in range(1000)), "0 to 9 are not for learners"


@pytest.mark.parametrize("damage", [b"", b"x", b"\xff", b"9" * 5000, b"1 2"])
def test_a_damaged_seed_is_drawn_again(tmp_path, damage, monkeypatch):
    monkeypatch.delenv("JUPYTERHUB_USER", raising=False)
    (tmp_path / "seed").write_bytes(damage)
    drawn = course_code.learner_seed(tmp_path)
    assert drawn > 9 and course_code.learner_seed(tmp_path) == drawn


def test_two_that_draw_a_seed_at_once_come_to_the_same(tmp_path, monkeypatch):
    monkeypatch.delenv("JUPYTERHUB_USER", raising=False)
    drawn: list[int] = []
    threads = [
        threading.Thread(target=lambda: drawn.append(course_code.learner_seed(tmp_path / "new"))) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(drawn) == 20 and len(set(drawn)) == 1


@pytest.mark.parametrize("name", ["OPSLAB_LEARNER", "JUPYTERHUB_USER"])
def test_a_desk_has_the_seed_of_its_learner_and_keeps_it(course, monkeypatch, name):
    monkeypatch.setenv(name, "ada")
    opslab.open("00")
    assert workspace.seed_of(course.home(ZERO)) == course_code.seed_of_name("ada")
    lab.stop(course.home(ZERO))
    os.environ[name] = "ben"
    opslab.open("00")
    opslab.reset("0.1")
    opslab.reset("00")
    assert workspace.seed_of(course.home(ZERO)) == course_code.seed_of_name("ada")
