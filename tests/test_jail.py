"""The jail keeps every promise of its docstring: with bubblewrap, and, for what is left of it, without."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import pwd
import shlex
import shutil
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import ROOT
from patience import until

from opslab import jail
from opslab.jail import JailError, Limits
from opslab.worlds import shell
from opslab.worlds.aws.organisation import Organisation

PATH = "/usr/local/bin:/usr/bin:/bin"

# On Linux bubblewrap belongs to the course, so these tests fail where it is missing. Elsewhere there is none to be had.
linux = pytest.mark.skipif(sys.platform != "linux", reason="bubblewrap exists on Linux only")


@pytest.fixture
def unwrapped(monkeypatch):
    """As for an ordinary user on a machine without bubblewrap."""
    monkeypatch.setattr(jail, "bubblewrap", lambda: None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


@pytest.fixture(params=["bubblewrap", "limits only"])
def either(request):
    """Runs a test twice: in the full jail, and as on a machine without bubblewrap."""
    if request.param == "limits only":
        request.getfixturevalue("unwrapped")
    elif sys.platform != "linux":
        pytest.skip("bubblewrap exists on Linux only")
    else:
        assert jail.bubblewrap(), "no working bubblewrap here; “opslab doctor” tells how to get it"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def sh(home: Path):
    """Runs a line of bash in the jail."""

    def run(script: str, read_only: Sequence[Path] = (), **arguments) -> jail.Done:
        # The Python of the tests may live in /tmp, which the jail covers.
        visible = [*read_only, sys.prefix, sys.base_prefix]
        return jail.run(
            ["bash", "-c", script], **{"home": home, "env": {"PATH": PATH}, "read_only": visible, **arguments}
        )

    return run


@pytest.fixture
def marked():
    """A word for command lines, and the processes of this machine that carry it. None may outlive the test."""
    word = f"opslab-test-{uuid.uuid4().hex}"

    def processes() -> list[int]:
        listed = subprocess.run(["ps", "-A", "-ww", "-o", "pid=,command="], capture_output=True, text=True, check=True)
        return [int(line.split()[0]) for line in listed.stdout.splitlines() if word in line]

    yield word, processes
    for pid in processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)


def python(code: str) -> str:
    """A line of shell that runs Python code, with the interpreter of the tests."""
    return f"{shlex.quote(sys.executable)} -S -c {shlex.quote(code)}"


# ---- what comes back ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("true", 0),
        ("exit 3", 3),
        ("exit 255", 255),
        ("kill -TERM $$", 143),
        ("kill -KILL $$", 137),
        ("nosuch", 127),
        ("/", 126),
    ],
)
def test_exit_codes_are_those_of_a_shell(sh, script, code):
    done = sh(script)
    assert (done.code, done.stopped) == (code, "")


@pytest.mark.usefixtures("either")
def test_out_and_err_come_back_apart_and_in_full(sh):
    done = sh("echo to out; echo to err >&2")
    assert (done.out, done.err) == ("to out\n", "to err\n")
    assert 0 < done.seconds < 10


@pytest.mark.usefixtures("either")
def test_stdin_is_what_was_given_and_then_ends(sh):
    assert sh("cat", stdin="grüße\nno newline at the end").out == "grüße\nno newline at the end"
    assert sh("cat; echo end").out == "end\n"


@pytest.mark.usefixtures("either")
def test_binary_output_is_text_that_can_be_stored(sh):
    done = sh(r"printf 'a\377\376b'; printf '\200' >&2")
    assert (done.out, done.err) == ("a��b", "�")


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize(
    ("content", "mode", "code"),
    [
        (None, 0o755, 127),
        ("#!/bin/sh\n", 0o644, 126),
        ("#!/no/such/interpreter\n", 0o755, 127),
        ("#!/bin/bash\r\n", 0o755, 127),
    ],
    ids=["missing", "not executable", "no such interpreter", "windows line end"],
)
def test_a_command_that_cannot_be_started_ends_as_in_a_shell(home, content, mode, code):
    if content is not None:
        (home / "script.sh").write_bytes(content.encode())
        (home / "script.sh").chmod(mode)
    done = jail.run(["./script.sh"], home=home, env={"PATH": PATH})
    assert (done.code, done.out) == (code, "")
    assert "./script.sh: " in done.err
    assert "bwrap" not in done.err


@pytest.mark.usefixtures("either")
def test_an_own_exit_code_1_is_not_taken_for_a_fault_of_the_jail(sh):
    done = sh("echo 'bwrap: execvp true: No such file or directory' >&2; exit 1")
    assert done.code == 1


@pytest.mark.usefixtures("either")
def test_without_its_folder_the_jail_says_so(tmp_path):
    with pytest.raises(JailError, match="no-home"):
        jail.run(["true"], home=tmp_path / "no-home", env={"PATH": PATH})


@pytest.mark.usefixtures("either")
def test_a_pipe_that_is_closed_early_ends_the_writer(sh):
    # Python ignores SIGPIPE and would hand that down; then `yes` would complain instead of ending.
    done = sh("set -o pipefail; yes | head -1")
    assert (done.code, done.out, done.err) == (141, "y\n", "")


@pytest.mark.usefixtures("either")
def test_many_at_once_do_not_disturb_each_other(sh):
    results: dict[int, jail.Done] = {}

    def one(number: int) -> None:
        results[number] = sh(f"echo {number}; exit {number}")

    threads = [threading.Thread(target=one, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {number: (done.code, done.out) for number, done in results.items()} == {
        number: (number, f"{number}\n") for number in range(12)
    }


# ---- limits ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize(
    "script",
    [
        "sleep 60",
        "trap '' TERM INT HUP; while :; do sleep 60; done",
        "read line < <(sleep 60)",
        "exec sleep 60 >&- 2>&-",
    ],
    ids=["sleeps", "ignores signals", "waits", "has closed its output"],
)
def test_time_runs_out(sh, script):
    for seconds in (0.4, 4, 20):  # on a busy machine the first may be over before bash has begun
        done = sh(f"echo begun; {script}", limits=Limits(seconds=seconds))
        assert done.stopped == f"it was still running after {seconds:g} seconds"
        assert seconds <= done.seconds < 60
        if done.out:
            break
    assert done.out == "begun\n"


@pytest.mark.usefixtures("either")
def test_cpu_runs_out(sh):
    done = sh("while :; do :; done", limits=Limits(seconds=120, cpu=1))
    assert done.stopped == "it used more than 1 seconds of CPU time"


@pytest.mark.slow
@pytest.mark.usefixtures("either")
def test_cpu_runs_out_also_for_those_who_ignore_the_warning(sh):
    done = sh("trap '' XCPU; while :; do :; done", limits=Limits(seconds=120, cpu=1))
    assert (done.code, done.stopped) == (137, "")


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("to", ["", ">&2"], ids=["out", "err"])
def test_a_flood_of_output_is_cut_and_ends_the_run(sh, to):
    done = sh(f"head -c 100000000 /dev/zero {to}; sleep 60", limits=Limits(seconds=30, output=100_000))
    assert done.stopped == "it printed more than 100,000 bytes"
    assert len(done.out) + len(done.err) == 100_000
    assert done.seconds < 30


@pytest.mark.usefixtures("either")
def test_a_flood_that_ends_by_itself_is_cut_all_the_same(sh):
    done = sh("head -c 200001 /dev/zero | tr '\\0' x", limits=Limits(output=200_000))
    assert done.stopped
    assert done.out == "x" * 200_000


@pytest.mark.usefixtures("either")
def test_output_up_to_the_limit_is_whole(sh):
    done = sh("head -c 200000 /dev/zero | tr '\\0' x; head -c 200000 /dev/zero >&2", limits=Limits(output=200_000))
    assert (done.code, done.stopped, len(done.out), len(done.err)) == (0, "", 200_000, 200_000)


@pytest.mark.usefixtures("either")
def test_a_file_grows_only_so_far(sh, home):
    done = sh("head -c 100000000 /dev/zero > big; echo $?", limits=Limits(file_size=1_000_000))
    assert done.out == f"{128 + 25}\n"
    assert (home / "big").stat().st_size == 1_000_000


@pytest.mark.usefixtures("either")
@linux
def test_memory_runs_out(sh):
    limits = Limits(memory=512 * jail.MEGABYTE)
    assert sh(python("b = bytearray(100 * 2**20)"), limits=limits).code == 0
    assert "MemoryError" in sh(python("b = bytearray(600 * 2**20)"), limits=limits).err


@pytest.mark.usefixtures("either")
def test_only_so_many_files_can_be_open(sh):
    code = "fs = []\ntry:\n  while True: fs.append(open('/dev/null'))\nexcept OSError: print(len(fs))"
    assert 40 < int(sh(python(code), limits=Limits(open_files=64)).out) < 64


@pytest.mark.usefixtures("either")
def test_limits_cannot_be_lifted_and_no_core_is_dumped(sh):
    done = sh("for kind in f n t c; do ulimit -H$kind; done; ulimit -n 4096 && echo lifted; ulimit -c")
    limits = Limits()
    size, files, cpu, core, *rest = done.out.split()
    assert (int(size) * 1024, int(files), int(cpu), core) == (limits.file_size, limits.open_files, limits.cpu + 1, "0")
    assert rest == ["0"]


@pytest.mark.usefixtures("either")
@linux
def test_too_many_processes_end_the_run(sh, marked):
    word, processes = marked
    sleeper = f"exec -a {word} sleep 60"
    done = sh(f"for i in {{1..60}}; do ({sleeper}) & done; wait", limits=Limits(seconds=50, processes=40))
    assert done.stopped == "it started more than 40 processes"
    assert done.seconds < 50
    assert until(lambda: not processes())


@linux
def test_a_fork_bomb_goes_off_in_vain(home, marked):
    word, processes = marked
    # It doubles ten times and stops: a real one would take the machine along if the jail did not hold.
    bomb = "bomb() { (($1)) && { bomb $(($1 - 1)) & bomb $(($1 - 1)); }; sleep 30; }; bomb 10"
    most = 0
    done: list[jail.Done] = []
    arguments = {"home": home, "env": {"PATH": PATH}, "limits": Limits(seconds=25)}
    run = threading.Thread(target=lambda: done.append(jail.run(["bash", "-c", bomb, word], **arguments)))
    run.start()
    while run.is_alive():
        most = max(most, len(processes()))
        run.join(0.01)
    assert done[0].stopped == "it started more than 128 processes"
    assert done[0].seconds < 30
    # Two of them are bubblewrap's own.
    assert most <= 130
    assert until(lambda: not processes())


@pytest.mark.slow
@linux
@pytest.mark.parametrize(
    "ending",
    ["exit 0", "kill -9 $$", "sleep 60", "yes"],
    ids=["ends", "is killed", "runs out of time", "prints too much"],
)
def test_nothing_is_left_in_the_background(sh, home, marked, ending):
    word, processes = marked
    sleeper = f"exec -a {word} sleep 300"
    script = f"""
        ({sleeper}) &
        setsid bash -c '{sleeper}' &
        (setsid bash -c '({sleeper}) & exit' &)
        nohup bash -c 'trap "" TERM HUP INT; {sleeper}' > /dev/null 2>&1 & disown
        until [ "$(grep -al {word} /proc/[0-9]*/cmdline 2> /dev/null | wc -l)" -ge 4 ]; do :; done
        touch all-there
        {ending}
        """
    for seconds in (3, 50):  # on a busy machine not all of them may be there within the first
        done = sh(script, limits=Limits(seconds=seconds))
        if (home / "all-there").exists():
            break
    assert (home / "all-there").exists(), done
    assert until(lambda: not processes())


@pytest.mark.usefixtures("unwrapped")
def test_without_bubblewrap_something_in_the_background_does_not_hold_up_the_answer(sh, marked):
    word, _ = marked
    leaves = f"import os; os.setsid(); os.execlp('sleep', '{word}', '60')"
    done = sh(f"echo said; {python(leaves)} & exit 4")
    assert (done.code, done.out) == (4, "said\n")
    assert done.seconds < 30


# ---- a clean environment --------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("either")
def test_the_environment_is_exactly_what_was_given(home, monkeypatch):
    for name in ("AWS_SECRET_ACCESS_KEY", "BASH_ENV", "LD_PRELOAD_NOT", "PYTHONPATH", "HTTPS_PROXY", "GIT_DIR"):
        monkeypatch.setenv(name, "/of/the/caller")
    done = jail.run(["env", "-0"], home=home, env={"PATH": PATH, "GIVEN": "two\nlines", "HOME": "/not/this"})
    found = dict(entry.split("=", 1) for entry in done.out.strip("\0").split("\0"))
    found.pop("PWD", None)  # bubblewrap sets it to the folder it starts in
    assert found == {"PATH": PATH, "GIVEN": "two\nlines", "HOME": str(home)}


@pytest.mark.usefixtures("either")
def test_it_starts_at_home_or_where_it_is_told(sh, home):
    (home / "jobs").mkdir()
    assert sh("pwd").out == f"{home}\n"
    assert sh("pwd", cwd=home / "jobs").out == f"{home}/jobs\n"


@pytest.mark.usefixtures("either")
def test_no_open_file_of_the_caller_is_handed_down(sh, tmp_path):
    with (tmp_path / "secret").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        done = sh(f"echo forged >&{file.fileno()}")
    assert done.code != 0
    assert (tmp_path / "secret").read_text() == ""
    assert sh("for fd in /dev/fd/*; do [ -e $fd ] && echo ${fd##*/}; done").out.split()[:3] == ["0", "1", "2"]


# ---- what only namespaces can do ------------------------------------------------------------------------------------


@linux
def test_only_home_and_the_private_places_can_be_written(sh, home, tmp_path):
    done = sh("cat /proc/self/mountinfo")
    # https://docs.kernel.org/filesystems/proc.html: field 5 is the place, 6 its options, after the hyphen comes its kind.
    mounts = [line.split() for line in done.out.splitlines()]
    writable = {words[4]: words[words.index("-") + 1] for words in mounts if "rw" in words[5].split(",")}
    device_files = {place for place in writable if Path(place).is_char_device()}
    assert {place: kind for place, kind in writable.items() if place not in device_files} == {
        str(home): writable[str(home)],
        **dict.fromkeys(("/tmp", "/var/tmp", "/run", "/dev", "/dev/shm") & writable.keys(), "tmpfs"),
        "/dev/pts": "devpts",
        "/proc": "proc",
    }
    assert device_files <= {f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty", "console")}
    for place in ("/", "/etc", "/usr/bin", "/var", "/root", str(Path(__file__).parent)):
        assert sh(f"touch {place}/written-by-the-jail").code == 1


@linux
def test_tmp_is_private_and_empty(sh, tmp_path):
    (tmp_path / "of-the-caller").write_text("secret")
    done = sh(
        f"ls {tmp_path}/of-the-caller; echo mine > /tmp/mine; echo mine > /var/tmp/mine; cat /tmp/mine /var/tmp/mine"
    )
    assert done.out == "mine\nmine\n"
    assert sh("cat /tmp/mine /var/tmp/mine").code == 1
    assert not Path("/tmp/mine").exists()
    assert not Path("/var/tmp/mine").exists()


@linux
def test_what_is_hidden_is_not_there(sh, home):
    assert sh("ls /usr/share").out
    assert sh("ls -A /usr/share", hide=["/usr/share", "/no/such/folder"]).out == ""
    # A workspace stays, also where the folder around it is hidden.
    (home / "mine").touch()
    (home.parent / "solutions").mkdir()
    assert sh(f"ls ~; ls {home.parent}", hide=[home.parent]).out == "mine\nhome\n"


@linux
@pytest.mark.parametrize("word", ["a\0b", "\ud800"])
def test_what_cannot_be_passed_to_a_command_is_no_fault(home, word):
    for argv, env in ((["echo", word], {}), (["echo"], {"WORD": word}), ([word], {})):
        done = jail.run(argv, home=home, env={"PATH": PATH, **env})
        assert done.code == 126 and "Invalid argument" in done.err


@linux
def test_the_home_of_whoever_runs_it_is_empty_wherever_it_is(sh, monkeypatch):
    # Not below /tmp, which is empty anyway.
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".home-") as folder:
        Path(folder, "notes").write_text("private")
        assert sh(f"cat {folder}/notes").out == "private", "what everybody may read, can be read"
        monkeypatch.setenv("HOME", folder)
        assert sh(f"cat {folder}/notes").code == 1
        assert sh(f"ls -A {folder}").out == ""
        assert "Read-only" in sh(f"touch {folder}/mine").err
        # A workspace in it is there, and nothing beside it.
        workspace = Path(folder, "course/workspace")
        workspace.mkdir(parents=True)
        done = sh(f"touch ~/mine; ls -A {folder} {folder}/course; pwd", home=workspace)
        assert done.out == f"{folder}:\ncourse\n\n{folder}/course:\nworkspace\n{workspace}\n"
        assert (workspace / "mine").exists()


@linux
def test_what_belongs_to_people_and_services_of_the_machine_is_empty(sh):
    homes = [pwd.getpwuid(os.geteuid()).pw_dir, *jail.PERSONAL]
    # What leads to this Python may be in one of them.
    used = [Path(path).resolve() for path in (sys.prefix, sys.base_prefix, *jail.PROGRAMS)]
    for path in map(Path, homes):
        left = {str(one.relative_to(path).parts[0]) for one in used if one.is_relative_to(path)}
        if path.is_dir():
            assert set(sh(f"ls -A {path}").out.split()) <= left, path
        elif path.exists():
            assert sh(f"cat {path}").out == "", path


@linux
def test_read_only_folders_are_seen_through_the_private_tmp(sh, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "tool").write_text("of use")
    assert sh(f"cat {tools}/tool").code == 1
    done = sh(f"cat {tools}/tool; echo spoilt > {tools}/tool", read_only=[tools])
    assert done.out == "of use"
    assert done.code == 1
    assert (tools / "tool").read_text() == "of use"


@linux
def test_of_hidden_and_read_only_folders_the_inner_one_counts(sh, tmp_path):
    """Where the course is installed, not checked out, it stands inside the Python environment, which is read-only."""
    for name in ("course/tools/solutions", "course/home"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").touch()
    course, tools, solutions = (tmp_path / name for name in ("course", "course/tools", "course/tools/solutions"))
    assert sh(f"ls {course} {solutions}", hide=[solutions, course], read_only=[tools]).out == (
        f"{course}:\ntools\n\n{solutions}:\n"
    )


@linux
def test_a_copy_stands_where_the_original_is_expected(sh, home, tmp_path):
    original = tmp_path / "original"
    original.mkdir()
    (original / "mine").write_text("original")
    (home / "mine").write_text("copy")
    done = sh(f"pwd; echo ~; cat {original}/mine; echo changed > {original}/mine; ls -A {home}", shown_as=original)
    assert done.out == f"{original}\n{original}\ncopy"
    assert (original / "mine").read_text() == "original"
    assert (home / "mine").read_text() == "changed\n"


@linux
def test_a_home_below_a_link_is_found(tmp_path, sh, home):
    (tmp_path / "link").symlink_to(home)
    assert sh("touch here", home=tmp_path / "link").code == 0
    assert (home / "here").exists()


def test_there_is_no_network(sh, request):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        knock = f"exec 3<> /dev/tcp/127.0.0.1/{server.getsockname()[1]}"
        if sys.platform == "linux":
            done = sh(knock)
            assert "Connection refused" in done.err
            assert sh("cat /proc/net/route").out.count("\n") == 1, "only the heading: no way leads anywhere"
            server.setblocking(False)
            with pytest.raises(BlockingIOError):
                server.accept()
            server.settimeout(5)
        # The same knock without namespaces is heard, so the test would have noticed.
        request.getfixturevalue("unwrapped")
        assert sh(knock).code == 0
        server.accept()[0].close()


@linux
def test_sockets_without_a_file_are_not_reached_either(sh):
    name = f"opslab-{uuid.uuid4().hex}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{name}")
        server.listen()
        code = f"import socket; socket.socket(socket.AF_UNIX).connect('\\0{name}')"
        assert "ConnectionRefusedError" in sh(python(code)).err
        subprocess.run([sys.executable, "-c", code], check=True)


@linux
def test_nobody_is_root(sh, home):
    assert sh("id; hostname; whoami; id -Gn").out == "uid=1000(you) gid=1000(you) groups=1000(you)\ntarg\nyou\nyou\n"
    status = dict(line.split(":\t", 1) for line in sh("cat /proc/self/status").out.splitlines() if ":\t" in line)
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    (home / "locked").write_text("secret")
    (home / "locked").chmod(0o000)
    assert "Permission denied" in sh("cat locked").err


@linux
def test_other_processes_are_neither_seen_nor_reached(sh):
    done = sh(f"echo /proc/[0-9]*; kill -9 {os.getpid()}")
    assert len(done.out.split()) < 6
    assert "No such process" in done.err


@linux
def test_it_has_no_terminal_to_type_into(sh):
    assert sh("tty").out == "not a tty\n"
    assert sh(python("import os; print(os.getsid(0) == os.getpid() or os.getsid(0) == os.getppid())")).out == "True\n"
    assert sh("exec < /dev/tty").code == 1


# ---- with and without bubblewrap ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("unwrapped")
def test_grading_refuses_without_bubblewrap(sh, home):
    with pytest.raises(JailError, match=r"bubblewrap \(bwrap\).*somebody else.*apt-get install bubblewrap") as refused:
        sh("touch it-ran", required=True)
    assert "\n" not in str(refused.value)
    assert not (home / "it-ran").exists()


@pytest.mark.usefixtures("unwrapped")
def test_root_refuses_without_bubblewrap(sh, home, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(JailError, match=r"bubblewrap \(bwrap\).*as root.*apt-get install bubblewrap"):
        sh("touch it-ran")
    assert not (home / "it-ran").exists()


@linux
def test_required_runs_where_bubblewrap_is(sh):
    assert sh("echo fine", required=True).out == "fine\n"


@pytest.mark.parametrize(
    "script", [None, "exit 1", f"exec {shutil.which('sleep')} 60"], ids=["missing", "forbidden", "hangs"]
)
def test_a_bubblewrap_that_does_not_work_counts_as_none(tmp_path, monkeypatch, script):
    monkeypatch.setattr(jail, "PROBE_SECONDS", 0.2)
    if script:
        (tmp_path / "bwrap").write_text(f"#!{shutil.which('bash')}\n{script}\n")
        (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert jail.bubblewrap.__wrapped__() is None


AS_NOBODY = """
import json, jail, sys
env = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
bomb = "bomb() { (($1)) && { bomb $(($1 - 1)) & bomb $(($1 - 1)); }; sleep 30; }; bomb 9"
print(json.dumps([
    jail.run(["bash", "-c", bomb], home=sys.argv[1], env=env).stopped,
    jail.run(["bash", "-c", "ulimit -u; id -u; exit 3"], home=sys.argv[1], env=env, required=True).__dict__,
    jail.run(["nosuch"], home=sys.argv[1], env=env).code,
]))
"""


@pytest.fixture
def as_nobody(monkeypatch):
    """Runs Python code that uses the jail as an ordinary user would, with a home and a place that this user owns.

    As root the tests see another mechanism at work than most learners.
    """
    if os.geteuid() != 0:
        pytest.skip("all of these tests run as an ordinary user already")
    python3 = shutil.which("python3", path="/usr/local/bin:/usr/bin")
    if python3 is None:
        pytest.skip("there is no Python here that everybody may run")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        place = Path(folder)
        place.chmod(0o755)
        for file in (jail.__file__, jail.RELAY):
            shutil.copy(file, place)
        shutil.copytree(jail.ETC, place / "etc")
        (place / "home").mkdir()
        shutil.chown(place / "home", 65534, 65534)

        def run(code: str):
            done = subprocess.run(
                [python3, "-c", code, str(place / "home")],
                cwd=place,
                env={"PATH": PATH},
                user=65534,
                group=65534,
                extra_groups=[],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.stderr == ""
            return json.loads(done.stdout)

        yield run


@linux
def test_for_an_ordinary_user_the_kernel_counts_the_processes(as_nobody):
    bomb, small, missing = as_nobody(AS_NOBODY)
    assert bomb == "it started more than 128 processes"
    assert (small["out"], small["code"]) == ("128\n1000\n", 3)
    assert missing == 127


@linux
def test_control_groups_of_the_dead_are_swept_up(tmp_path):
    with subprocess.Popen(["true"]) as dead:
        dead.wait()
    for owner in (os.getpid(), dead.pid):
        (tmp_path / f"opslab-{owner}-0").mkdir()
    jail._sweep.__wrapped__(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [f"opslab-{os.getpid()}-0"]


def test_no_control_group_is_left_behind(sh):
    sh("true")
    sh("sleep 60", limits=Limits(seconds=0.2))
    with pytest.raises(JailError):
        sh("true", home=Path("/no/such/home"))
    left = [path for top in jail.CGROUPS for path in top.glob(f"opslab-{os.getpid()}-*")]
    assert left == []


@linux
def test_bubblewrap_is_tried_only_once():
    jail.bubblewrap()
    before = jail.bubblewrap.cache_info().misses
    jail.bubblewrap()
    assert jail.bubblewrap.cache_info().misses == before


# ---- services -------------------------------------------------------------------------------------------------------

PORT = 4566


class Web(http.server.BaseHTTPRequestHandler):
    """GET /5 answers with five bytes, POST with what was sent; PUT says no before it has read anything."""

    protocol_version = "HTTP/1.1"

    def answer(self, status: int, body: bytes) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.answer(200, b"x" * int(self.path[1:]))

    def do_POST(self) -> None:
        self.answer(200, self.rfile.read(int(self.headers["Content-Length"])))

    def do_PUT(self) -> None:
        self.close_connection = True
        self.answer(403, b"you may not")

    def log_message(self, *_: object) -> None:
        pass


class Service(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, path: Path, handler: type) -> None:
        self.path, self.asked = path, []
        super().__init__(str(path), handler)

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        return super().get_request()[0], ("jail", 0)


@pytest.fixture
def serve():
    """Starts a service on a unix socket in a folder of its own: `serve(handler)`."""
    with contextlib.ExitStack() as exits:

        def start(handler: type = Web) -> Service:
            # Not below tmp_path, whose name may be too long for a socket.
            folder = exits.enter_context(tempfile.TemporaryDirectory(dir="/tmp", prefix="opslab-"))
            service = exits.enter_context(Service(Path(folder) / "socket", handler))
            exits.callback(service.shutdown)
            threading.Thread(target=service.serve_forever, args=(0.02,), daemon=True).start()
            return service

        yield start


@pytest.fixture
def web(serve) -> Service:
    return serve()


@pytest.fixture
def online(sh, web):
    """Runs a line of bash in the jail, with the web service on PORT."""
    return lambda script, **arguments: sh(script, **{"services": {PORT: web.path}, **arguments})


def get(path: str, port: int = PORT) -> str:
    """A line of bash that prints the last line of what a web server answers."""
    return f"exec 9<> /dev/tcp/127.0.0.1/{port} && printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' >&9 && tail -n 1 <&9; exec 9>&-"


@linux
def test_a_service_is_reached_at_its_port(sh, serve):
    one, two = serve(), serve()
    done = sh(f"{get('/5')}; echo; {get('/3', 8080)}", services={PORT: one.path, 8080: str(two.path)}, required=True)
    assert (done.out, done.err, done.code) == ("xxxxx\nxxx", "", 0)
    assert (one.asked, two.asked) == (["GET /5"], ["GET /3"])


@linux
def test_it_is_there_before_the_command_begins(home, web):
    for _ in range(5):
        done = jail.run(["/bin/bash", "-c", "exec 9<> /dev/tcp/127.0.0.1/4566"], home=home, services={PORT: web.path})
        assert (done.err, done.code) == ("", 0)


@linux
def test_big_bodies_go_both_ways_unchanged(online):
    code = """
import http.client, os
client, body = http.client.HTTPConnection("127.0.0.1", 4566), os.urandom(2**20) * 50
for _ in range(2):  # the second time on the same connection
    client.request("POST", "/", body)
    print(client.getresponse().read() == body)
"""
    assert online(python(code), limits=Limits(seconds=60)).out == "True\nTrue\n"


@linux
def test_many_connections_at_once(online, web):
    code = """
import http.client, threading
together, right = threading.Barrier(50), []
def one():
    client = http.client.HTTPConnection("127.0.0.1", 4566)
    for _ in range(2):
        client.request("GET", "/100000")
        right.append(len(client.getresponse().read()) == 100000)
        together.wait(60)
threads = [threading.Thread(target=one) for _ in range(50)]
[thread.start() for thread in threads], [thread.join() for thread in threads]
print(len(right), all(right))
"""
    # The service lets five wait, and no more.
    assert online(python(code), limits=Limits(seconds=90)).out == "100 True\n"


@linux
def test_more_connections_than_there_may_be_open_files_wait_for_their_turn(online):
    code = """
import socket
first = [socket.create_connection(("127.0.0.1", 4566)) for _ in range(20)]
late = socket.create_connection(("127.0.0.1", 4566), timeout=0.3)
late.send(b"GET /4 HTTP/1.0\\r\\n\\r\\n")
try:
    late.recv(1000)
except TimeoutError:
    print("waits")
[one.close() for one in first]
late.settimeout(30)
print(late.makefile().read()[-4:])
"""
    done = online(python(code), limits=Limits(open_files=40, seconds=60))
    assert (done.out, done.err) == ("waits\nxxxx\n", "")


@linux
def test_one_side_may_end_before_the_other(sh, serve):
    class Reversed(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(self.rfile.read()[::-1])

    code = """
import socket
client = socket.create_connection(("127.0.0.1", 4566))
client.sendall(b"a" + b"b" * 1_000_000)
client.shutdown(socket.SHUT_WR)
answer = client.makefile("rb").read()
print(len(answer), answer[-2:])
"""
    assert sh(python(code), services={PORT: serve(Reversed).path}).out == "1000001 b'ba'\n"


@linux
@pytest.mark.parametrize("size", [100_000, 20_000_000])
def test_an_early_no_is_read(online, size):
    """A server may refuse a body without having read it; the client has to see why, not that the connection broke."""
    code = f"""
import http.client
client = http.client.HTTPConnection("127.0.0.1", 4566)
client.request("PUT", "/", b"x" * {size})
answer = client.getresponse()
print(answer.status, answer.read())
"""
    done = online(python(code))
    assert (done.out, done.err) == ("403 b'you may not'\n", "")


@linux
def test_a_service_that_breaks_off_is_noticed(sh, serve):
    class Dies(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            if self.rfile.readline():  # not so the jail, which only knocks
                self.server.shutdown()
                self.server.socket.close()

    code = """
import socket
for attempt in range(2):
    try:
        client = socket.create_connection(("127.0.0.1", 4566), timeout=10)
        if attempt == 0:
            client.send(b"hello\\n")
        print(client.recv(10))
    except ConnectionResetError:
        print("reset")
"""
    done = sh(python(code), services={PORT: serve(Dies).path})
    assert (done.out, done.err) == ("b''\nreset\n", "")


@linux
def test_nothing_but_the_service_is_reached(online, web, serve):
    other = serve()
    neighbour = Service(web.path.with_name("control"), Web)
    places = [other.path, neighbour.path, web.path]
    with contextlib.ExitStack() as exits:
        exits.enter_context(neighbour)
        if os.access("/run", os.W_OK):
            folder = exits.enter_context(tempfile.TemporaryDirectory(dir="/run", prefix="opslab-"))
            places.append(exits.enter_context(Service(Path(folder) / "socket", Web)).path)
        tcp = exits.enter_context(socket.create_server(("127.0.0.1", 0)))
        code = f"""
import socket
for place in [("127.0.0.1", {tcp.getsockname()[1]}), ("192.0.2.1", 80), *{list(map(str, places))}]:
    kind = socket.AF_INET if isinstance(place, tuple) else socket.AF_UNIX
    try:
        socket.socket(kind).connect(place)
        print("reached", place)
    except OSError as error:
        print(error.strerror)
"""
        missing = ["No such file or directory"] * len(places)
        assert online(python(code)).out.splitlines() == ["Connection refused", "Network is unreachable", *missing]


@linux
def test_neighbours_of_a_socket_are_not_reached_wherever_it_is(online, web, monkeypatch):
    with Service(web.path.with_name("control"), Web):
        knock = f"import socket; socket.socket(socket.AF_UNIX).connect('{web.path.with_name('control')}')"
        monkeypatch.setattr(jail, "PRIVATE", ())  # as if the socket were not in /tmp
        assert "FileNotFoundError" in online(python(knock)).err
        assert online(get("/2")).out == "xx"


@linux
def test_the_command_can_do_nothing_to_the_way_there(online, web):
    before = web.path.stat()
    done = online(
        f"""
        cd /dev/opslab
        for file in *; do chmod 777 $file || rm -f $file || mv $file other || echo broken > $file || echo $file kept; done
        {get("/2")}
        """
    )
    assert done.out == f"{PORT} kept\nrelay.py kept\nxx"
    after = web.path.stat()
    assert (after.st_mode, after.st_ino) == (before.st_mode, before.st_ino)
    assert "# " in jail.RELAY.read_text()


RELAY_IS_UP = "until grep -qsx relay /proc/[0-9]*/comm; do :; done"


@linux
def test_the_relay_holds_nothing_of_the_command(online):
    done = online(
        f"{RELAY_IS_UP}; for pid in /proc/[0-9]*; do [ $(< $pid/comm) = relay ] && cd $pid && readlink fd/[0-9]* cwd && "
        "tr '\\0' ' ' < cmdline && wc -c < environ; done; true"
    )
    *files, cwd, command = done.out.splitlines()
    assert files[:3] == ["/dev/null"] * 3
    assert sorted(name.split(":")[0] for name in files[3:]) == ["anon_inode", "socket"]
    assert cwd == "/"
    assert command.endswith(f"-I -S /dev/opslab/relay.py 3=/dev/opslab/{PORT} 0")


# All that a command can find out about itself: what surrounds it, and what was handed down to it.
SELF = """
import json, os, resource, stat, sys
def children():
    try:
        return os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
print(json.dumps([
    os.getpid(), os.getppid(), os.getpgid(0), os.getsid(0), children(), os.getcwd(), os.umask(0),
    [stat.S_IFMT(os.fstat(fd).st_mode) for fd in (0, 1, 2)], len(os.listdir("/proc/self/fd")),
    *[open(f"/proc/self/{name}", errors="surrogateescape").read() for name in ("environ", "cmdline")], sys.stdin.read(),
    *[status[name] for name in ("SigBlk", "SigIgn", "SigCgt", "CapEff", "NoNewPrivs", "Uid", "Groups")],
    [resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT") and name != "RLIMIT_NPROC"],
]))
"""


@linux
@pytest.mark.parametrize("env", [{}, {"LC_CTYPE": "C", "EMPTY": "", "TWO": "a=b\nc"}], ids=["none", "some"])
def test_the_command_finds_itself_as_it_would_without_services(home, web, env):
    argv = [
        os.path.realpath(sys.executable),
        "-I",
        "-S",
        "-c",
        SELF,
        "--",
        "an argument",
        "",
        os.fsdecode(b"\xc3\xbc\xff"),
    ]
    visible = [sys.prefix, sys.base_prefix]
    without, given = (
        jail.run(argv, home=home, env=env, stdin="read me", read_only=visible, services=services)
        for services in (None, {PORT: web.path})
    )
    assert without.err == given.err == ""
    assert json.loads(given.out) == json.loads(without.out)


@linux
@pytest.mark.parametrize(
    "script",
    ["true", "exit 3", "exit 255", "kill -TERM $$", "kill -KILL $$", "nosuch", "/", "set -o pipefail; yes | head -1"],
)
def test_with_services_a_command_ends_as_it_would_without(sh, online, script):
    without, given = sh(script), online(script)
    assert (given.code, given.out, given.err, given.stopped) == (without.code, without.out, without.err, "")


@pytest.mark.slow
@linux
@pytest.mark.parametrize("path", ["./script.sh", "script.sh", "nosuch", "./home", "/"])
@pytest.mark.parametrize("mode", [0o755, 0o644])
@pytest.mark.parametrize("content", ["#!/bin/sh\necho $0 $1\n", "echo $0 $1\n", "#!/no/such\n", "#!/bin/bash\r\n"])
def test_with_services_a_command_starts_or_not_as_it_would_without(home, web, content, mode, path):
    (home / "script.sh").write_text(content)
    (home / "script.sh").chmod(mode)
    without, given = (
        jail.run([path, "one"], home=home, env={"PATH": f"/nosuch:{home}:{PATH}"}, services=services)
        for services in (None, {PORT: web.path})
    )
    assert (given.code, given.out, given.err) == (without.code, without.out, without.err)


@linux
@pytest.mark.parametrize("path", ["", None])
def test_with_services_a_command_is_looked_for_in_the_same_places(home, web, path):
    env = {} if path is None else {"PATH": path}
    codes = [jail.run(["true"], home=home, env=env, services=services).code for services in (None, {PORT: web.path})]
    assert codes[0] == codes[1]


@linux
def test_with_services_no_more_and_no_fewer_processes_are_allowed(sh, online):
    limits = Limits(processes=20, seconds=20)
    start = "for i in $(seq {}); do sleep 60 & done; sleep 0.2 & wait $!; kill $(jobs -p)"
    # The bash itself is one. For an ordinary user process 1 counts, too, and a run is stopped when it reaches its number.
    fits = 18 if os.geteuid() == 0 else 16
    for run in (sh, online):
        assert run(start.format(fits), limits=limits).stopped == ""
        assert run(start.format(20), limits=limits).stopped == "it started more than 20 processes"


@linux
@pytest.mark.parametrize(
    ("script", "stopped"),
    [
        ("sleep 300", "it was still running after 1 seconds"),
        (
            "bomb() { (($1)) && { bomb $(($1 - 1)) & bomb $(($1 - 1)); }; sleep 300; }; bomb 9",
            "it started more than 128 p",
        ),
        ("yes", "it printed more than"),
        ("setsid sleep 300 & disown; exit 0", ""),
        ("kill -9 $$", ""),
        ("nosuch", ""),
    ],
    ids=["time", "processes", "output", "background", "killed", "missing"],
)
def test_the_relay_ends_with_the_command(sh, web, script, stopped):
    port = 20000 + os.getpid() % 20000  # by which this test knows its own relay among all processes
    mine = f"/dev/opslab/{port}"

    def relays() -> list[str]:
        listed = subprocess.run(["ps", "-A", "-ww", "-o", "command="], capture_output=True, text=True, check=True)
        return [line for line in listed.stdout.splitlines() if mine in line]

    seen: list[str] = []
    done: list[jail.Done] = []
    limits = Limits(seconds=1 if "still" in stopped else 20)
    script = f"{RELAY_IS_UP}; {script}"
    run = threading.Thread(target=lambda: done.append(sh(script, services={port: web.path}, limits=limits)))
    run.start()
    while run.is_alive():
        seen += relays()
    assert done[0].stopped.startswith(stopped)
    assert bool(done[0].stopped) == bool(stopped)
    assert seen or "still" not in stopped
    assert until(lambda: not relays())


@linux
def test_the_relay_is_not_taken_for_a_process_of_the_command(sh, online):
    assert online(f"{RELAY_IS_UP}; pkill python; trap '' TERM; kill 0; {get('/2')}").out == "xx"
    count = "pgrep -fc 'a word of this very line'"
    assert online(f"{RELAY_IS_UP}; {count}").out == sh(count).out


@linux
@pytest.mark.parametrize("services", [False, True])
def test_in_a_terminal_signals_are_as_a_shell_expects_them(home, web, services):
    env = {"PATH": PATH, "TERM": "xterm-256color"}
    with shell.Terminal(home, env=env, services={PORT: web.path} if services else None) as terminal:
        printed, ignored = terminal.run("yes | head -1; grep SigIgn /proc/self/status").split("SigIgn:")
        # Only those that have names: who started the tests may ignore one that threads use (32).
        assert (printed, int(ignored, 16) & 0x7FFFFFFF) == ("y\n", 0)


@linux
def test_services_in_an_interactive_shell(home, web):
    (home / ".bashrc").write_text("PS1='$ '\n")
    env = {"PATH": PATH, "TERM": "xterm-256color"}
    with shell.Terminal(home, env=env, services={PORT: web.path}) as terminal:
        assert terminal.run(get("/6")) == "xxxxxx"
        # Job control, and a Ctrl-C that ends what is in front, but neither bash nor the relay.
        assert terminal.run("sleep 60 & jobs").splitlines()[-1].split() == ["[1]+", "Running", "sleep", "60", "&"]
        assert terminal.run("kill %1; wait; tty").splitlines()[-1].startswith("/dev/")
        terminal.type("sleep 60\r", patience=0.3).press("CTRL-C")
        assert terminal.run("echo $?") == "130"
        assert terminal.run(get("/7")) == "xxxxxxx"
        started = time.monotonic()
        terminal.press("ENTER", patience=20)
        assert time.monotonic() - started < 8, "the relay must not look like work in front"
    assert web.asked == ["GET /6", "GET /7"]


@linux
@pytest.mark.parametrize("how", ["missing", "nobody listens", "a file", "name too long"])
def test_a_service_that_is_not_there_is_named(sh, home, web, how):
    path = web.path.with_name("other" if how != "name too long" else "o" * 120)
    if how == "nobody listens":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    elif how == "a file":
        path.touch()
    with pytest.raises(JailError, match=rf"port 8080 does not answer at its socket {path} \(.+\); start it") as refused:
        sh("touch it-ran", services={PORT: web.path, 8080: path})
    assert "\n" not in str(refused.value)
    assert not (home / "it-ran").exists()
    assert [path for top in jail.CGROUPS for path in top.glob(f"opslab-{os.getpid()}-*")] == []


@linux
@pytest.mark.parametrize("port", [80, 1023, 65536, 0, -1])
def test_a_port_that_cannot_be_had_is_refused(sh, web, port):
    with pytest.raises(JailError, match=f"port {port} .*1024 to 65535"):
        sh("true", services={port: web.path})


@linux
def test_a_service_that_is_busy_counts_as_there(sh, tmp_path):
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{folder}/socket")
        server.listen(0)
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(f"{folder}/socket")
            assert sh("echo fine", services={PORT: Path(folder) / "socket"}).out == "fine\n"


@linux
def test_the_jail_says_so_where_the_relay_cannot_start(online, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(JailError, match="/no/such/python"):
        online("true")


@linux
def test_the_python_of_the_relay_is_found_below_hidden_folders(home, web):
    hide = [Path(sys.prefix).parent, Path(sys.base_prefix).parent]
    done = jail.run(["/bin/true"], home=home, env={"PATH": PATH}, hide=hide, services={PORT: web.path})
    assert (done.err, done.code) == ("", 0)


@pytest.mark.usefixtures("unwrapped")
def test_without_bubblewrap_services_are_left_to_the_machine(sh, tmp_path):
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as server:
        port = server.server_address[1]
        done = sh(f"exec 3<> /dev/tcp/127.0.0.1/{port} && echo heard", services={port: tmp_path / "no-socket"})
    assert (done.out, done.code) == ("heard\n", 0)


SERVICES_AS_NOBODY = """
import contextlib, json, jail, socket, sys, tempfile, threading
server = socket.socket(socket.AF_UNIX)
path = tempfile.mkdtemp() + "/socket"
server.bind(path)
server.listen()
def serve():
    while True:
        with server.accept()[0] as client, contextlib.suppress(BrokenPipeError):
            client.sendall(b"hello\\n")
threading.Thread(target=serve, daemon=True).start()
knock = "read line < /dev/tcp/127.0.0.1/4566; echo $line; ulimit -u; id -u; exit 3"
bomb = "bomb() { (($1)) && { bomb $(($1 - 1)) & bomb $(($1 - 1)); }; sleep 30; }; bomb 9"
few = "for i in $(seq 16); do sleep 60 & done; sleep 0.2 & wait $!; kill $(jobs -p)"
def run(argv, **more):
    return jail.run(argv, home=sys.argv[1], env={"PATH": "/usr/local/bin:/usr/bin:/bin"}, services={4566: path}, **more)
print(json.dumps([
    run(["bash", "-c", knock], required=True).__dict__,
    run(["bash", "-c", bomb]).stopped,
    run(["bash", "-c", few], limits=jail.Limits(processes=20)).__dict__,
    run(["bash", "-c", "sleep 60 & sleep 60"], limits=jail.Limits(seconds=0.5)).stopped,
    run(["nosuch"]).code,
    run(["/"]).code,
]))
"""


@linux
def test_services_for_an_ordinary_user(as_nobody):
    knock, bomb, few, time_out, missing, forbidden = as_nobody(SERVICES_AS_NOBODY)
    assert (knock["out"], knock["err"], knock["code"]) == ("hello\n129\n1000\n", "", 3)
    assert bomb == "it started more than 128 processes"
    assert (few["err"], few["stopped"]) == ("", "")
    assert time_out == "it was still running after 0.5 seconds"
    assert (missing, forbidden) == (127, 126)


@linux
def test_aws_clients_reach_an_organisation(sh, home):
    boto = "import boto3; print(boto3.resource('s3').create_bucket(Bucket='clicks').name)"
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        path = Path(folder) / "aws"
        with Organisation({"staging": "111111111111"}, socket=path) as aws:
            key, secret = aws.access_key("staging", "administrator")
            (home / "big").write_bytes(b"b" * 12_000_000)  # sent in parts, several at once
            done = sh(
                f"""
                set -e
                aws sts get-caller-identity --query Arn --output text
                {shlex.quote(sys.executable)} -c {shlex.quote(boto)}
                aws s3 cp --no-progress big s3://clicks/big
                aws s3 cp --no-progress s3://clicks/big copy
                cmp big copy
                """,
                services={PORT: path},
                limits=Limits(seconds=200, cpu=60),
                env={
                    "PATH": f"{Path(sys.executable).parent}:{PATH}",
                    "AWS_ENDPOINT_URL": f"http://127.0.0.1:{PORT}",
                    "AWS_ACCESS_KEY_ID": key,
                    "AWS_SECRET_ACCESS_KEY": secret,
                    "AWS_DEFAULT_REGION": "us-east-1",
                },
            )
    assert done.err == ""
    assert done.out.splitlines()[:2] == ["arn:aws:iam::111111111111:user/administrator", "clicks"]
    assert done.code == 0
