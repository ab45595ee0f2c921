"""The jail keeps every promise of its docstring: with bubblewrap, and, for what is left of it, without."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest

from opslab import jail
from opslab.jail import JailError, Limits

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


def until(condition, seconds: float = 5.0) -> bool:
    """Wait for a condition that must come true by itself, and say whether it did."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


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
    assert 0 < done.seconds < 5


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
        thread.join(30)
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
    done = sh(f"echo begun; {script}", limits=Limits(seconds=0.4))
    assert done.stopped == "it was still running after 0.4 seconds"
    assert done.out == "begun\n"
    assert 0.4 <= done.seconds < 3


@pytest.mark.usefixtures("either")
def test_cpu_runs_out(sh):
    done = sh("while :; do :; done", limits=Limits(seconds=30, cpu=1))
    assert done.stopped == "it used more than 1 seconds of CPU time"
    assert done.seconds < 15


@pytest.mark.usefixtures("either")
def test_cpu_runs_out_also_for_those_who_ignore_the_warning(sh):
    done = sh("trap '' XCPU; while :; do :; done", limits=Limits(seconds=30, cpu=1))
    assert done.code == 137
    assert done.seconds < 15


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("to", ["", ">&2"], ids=["out", "err"])
def test_a_flood_of_output_is_cut_and_ends_the_run(sh, to):
    done = sh(f"head -c 100000000 /dev/zero {to}; sleep 60", limits=Limits(seconds=30, output=100_000))
    assert done.stopped == "it printed more than 100,000 bytes"
    assert len(done.out) + len(done.err) == 100_000
    assert done.seconds < 10


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
    done = sh(f"for i in {{1..60}}; do ({sleeper}) & done; wait", limits=Limits(seconds=20, processes=40))
    assert done.stopped == "it started more than 40 processes"
    assert done.seconds < 10
    assert until(lambda: not processes())


@linux
def test_a_fork_bomb_goes_off_in_vain(home, marked):
    word, processes = marked
    # It doubles ten times and stops: a real one would take the machine along if the jail did not hold.
    bomb = "bomb() { (($1)) && { bomb $(($1 - 1)) & bomb $(($1 - 1)); }; sleep 30; }; bomb 10"
    most = 0
    done: list[jail.Done] = []
    run = threading.Thread(
        target=lambda: done.append(jail.run(["bash", "-c", bomb, word], home=home, env={"PATH": PATH}))
    )
    run.start()
    while run.is_alive():
        most = max(most, len(processes()))
        run.join(0.01)
    assert done[0].stopped == "it started more than 128 processes"
    assert done[0].seconds < 8
    # Two of them are bubblewrap's own.
    assert most <= 130
    assert until(lambda: not processes(), 15)


@linux
@pytest.mark.parametrize(
    "ending",
    ["exit 0", "kill -9 $$", "sleep 60", "yes"],
    ids=["ends", "is killed", "runs out of time", "prints too much"],
)
def test_nothing_is_left_in_the_background(sh, home, marked, ending):
    word, processes = marked
    sleeper = f"exec -a {word} sleep 300"
    done = sh(
        f"""
        ({sleeper}) &
        setsid bash -c '{sleeper}' &
        (setsid bash -c '({sleeper}) & exit' &)
        nohup bash -c 'trap "" TERM HUP INT; {sleeper}' > /dev/null 2>&1 & disown
        until [ "$(grep -al {word} /proc/[0-9]*/cmdline 2> /dev/null | wc -l)" -ge 4 ]; do :; done
        touch all-there
        {ending}
        """,
        limits=Limits(seconds=3),
    )
    assert (home / "all-there").exists(), done
    assert until(lambda: not processes())


@pytest.mark.usefixtures("unwrapped")
def test_without_bubblewrap_something_in_the_background_does_not_hold_up_the_answer(sh, marked):
    word, _ = marked
    leaves = f"import os; os.setsid(); os.execlp('sleep', '{word}', '60')"
    done = sh(f"echo said; {python(leaves)} & exit 4")
    assert (done.code, done.out) == (4, "said\n")
    assert done.seconds < 5


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
        **dict.fromkeys(("/tmp", "/var/tmp", "/dev", "/dev/shm") & writable.keys(), "tmpfs"),
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


@linux
def test_bubblewrap_is_tried_only_once():
    jail.bubblewrap()
    before = jail.bubblewrap.cache_info().misses
    jail.bubblewrap()
    assert jail.bubblewrap.cache_info().misses == before
