"""The terminal of the checks: a real bash is typed into, and what a person would see is what is read."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from patience import until

from opslab import jail
from opslab.worlds import shell, workspace

PLAIN = "PS1='$ '\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def terminal(home: Path) -> Iterator:
    """Opens a terminal whose bash reads the given rc file."""
    opened = []

    def start(rc: str | bytes = PLAIN, **arguments) -> shell.Terminal:
        (home / ".bashrc").write_bytes(rc if isinstance(rc, bytes) else rc.encode())
        opened.append(shell.Terminal(home, env=workspace.environment(home), **arguments))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def processes(word: str) -> list[str]:
    """The processes of this machine whose command line has the word."""
    listed = subprocess.run(["ps", "-A", "-ww", "-o", "command="], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if word in line]


# ---- typing and reading ---------------------------------------------------------------------------------------------


def test_a_command_gives_its_output_and_nothing_else(terminal):
    one = terminal()
    assert one.run("echo hello; echo two words") == "hello\ntwo words"
    assert one.run("true") == ""
    assert one.run("printf 'no newline'") == "no newline"
    assert one.run("(exit 7)") == ""
    assert one.run("echo $?") == "7"


def test_a_shell_that_gets_no_turn_for_a_while_is_waited_for(terminal, home, monkeypatch):
    monkeypatch.setattr(shell, "NO_TURN", 4.0)  # where the tests' machine is busy itself, half a second gets longer
    one = terminal("PS1='${AWS_PROFILE} $ '\n")
    one.run("export AWS_PROFILE=staging")

    def send(sign: int) -> None:
        for pid in (one._child.pid, *jail.descendants(one._child.pid)):
            with suppress(ProcessLookupError):
                os.kill(pid, sign)

    (home / "clicks.csv").touch()
    late_ones = (lambda: one.prompt(), lambda: one.type("echo cli").line(), lambda: one.press("TAB").line())
    for late, shown in zip(late_ones, ("staging $", "staging $ echo cli", "staging $ echo clicks.csv"), strict=True):
        # As on a machine that is busy with other things: the key is there, and bash does not come to read it.
        send(signal.SIGSTOP)
        waker = threading.Timer(0.5, send, [signal.SIGCONT])
        waker.start()
        assert late() == shown
        waker.join()


def test_without_an_rc_file_there_is_a_prompt_too(home):
    with shell.Terminal(home, env=workspace.environment(home)) as one:
        assert one.run("pwd") == str(home)
        assert one.prompt()


def test_tab_completes_the_names_of_files_and_commands(terminal, home):
    (home / "quarterly-report.csv").touch()
    (home / "quarterly-review.csv").touch()
    one = terminal()
    assert one.type("cat quar").press("TAB").line() == "$ cat quarterly-re"
    assert one.press("TAB", "TAB").text().split("\n")[-2:] == [
        "quarterly-report.csv  quarterly-review.csv",
        "$ cat quarterly-re",
    ]
    assert one.type("p").press("TAB").line() == "$ cat quarterly-report.csv"


def test_a_slow_completion_is_waited_for(terminal):
    # Longer than any pause that the terminal takes for silence.
    one = terminal(PLAIN + "slow() { sleep 0.7; COMPREPLY=(found-it); }; complete -F slow look\n")
    assert one.type("look fo").press("TAB", patience=60).line() == "$ look found-it"


def test_a_completion_that_only_computes_is_waited_for(terminal):
    busy = (
        "slow() { local i; for ((i = 0; i < 300000; i++)); do :; done; COMPREPLY=(found-it); }; complete -F slow look\n"
    )
    one = terminal(PLAIN + busy)
    assert one.type("look fo").press("TAB", patience=60).line() == "$ look found-it"


def test_the_prompt_is_read_as_it_stands_now(terminal):
    one = terminal("n=0; PROMPT_COMMAND='n=$((n + 1))'; PS1='$n \\w $ '\n")
    first, second = (int(one.prompt().split()[0]) for _ in range(2))
    assert second == first + 1
    one.run("cd /usr/bin")
    assert one.prompt().endswith(" /usr/bin $")


@pytest.mark.parametrize(
    "mode", ["", "set -o vi", "export TERM=dumb", "bind 'set enable-bracketed-paste off'", "stty raw"]
)
def test_a_prompt_may_have_several_lines_in_any_mode(terminal, mode):
    one = terminal(f"PS1='one\\ntwo $ '\n{mode}\n")
    one.type("half a command")
    assert one.prompt() == "one\ntwo $"
    # Where bash does not announce its prompt, the first lines of the prompt count as output.
    assert one.run("echo hi") == ("hi\none" if "TERM" in mode or "paste" in mode else "hi")
    one.clear().type("ech").press("TAB")
    assert one.line() == "two $ echo"


def test_clear_throws_away_what_was_typed(terminal, home):
    one = terminal()
    one.run("echo something on the screen")
    one.type("touch never").clear()
    assert one.text().strip() == "$"
    one.press("ENTER")
    assert not (home / "never").exists()


def test_colours_are_seen_as_a_person_sees_them(terminal):
    one = terminal(
        r"PS1='\[\e[31m\]red\[\e[0m\] \[\e[7;32m\]inverse\[\e[0m\] \[\e[38;5;196m\]many\[\e[0m\] \[\e[41;97m\]behind\[\e[0m\] $ '"
    )
    assert one.prompt() == "red inverse many behind $"
    assert one.colours_of("red") == {("red", "default")}
    assert one.colours_of("inverse") == {("default", "green")}
    assert one.colours_of("many") == {("ff0000", "default")}
    assert one.colours_of("behind") == {("brightwhite", "red")}
    assert one.colours_of("red inv") == {("red", "default"), ("default", "default"), ("default", "green")}
    assert one.colours_of("not there") == set()


def test_history_is_there_by_key_and_is_written_at_the_end(terminal, home):
    one = terminal()
    one.run("echo first")
    one.run("echo second")
    assert one.press("UP", "UP").line() == "$ echo first"
    one.press("CTRL-C").press("CTRL-R")
    assert one.type("fir").line() == "(reverse-i-search)`fir': echo first"
    one.press("CTRL-C").type("never entered")
    one.close()
    assert (home / ".bash_history").read_text().split("\n") == ["echo first", "echo second", ""]


def test_ctrl_c_ends_what_runs(terminal):
    one = terminal()
    one.type("sleep 60").press("ENTER", patience=0.3)
    assert until(lambda: not one.at_prompt())
    one.press("CTRL-C")
    assert one.at_prompt()
    assert one.run("echo $?") == "130"


def test_ctrl_d_ends_the_shell(terminal):
    one = terminal()
    one.press("CTRL-D")
    assert until(lambda: one.settle().ended)
    with pytest.raises(shell.NoPrompt, match="ended at “echo too late”"):
        one.run("echo too late")


def test_wide_output_and_wide_letters_stay_whole(terminal):
    one = terminal("PS1='日本 🎉 $ '\n")
    assert one.prompt() == "日本 🎉 $"
    assert one.run("printf '%0500d\\n' 7") == "7".rjust(500, "0")
    assert one.run("echo 'größe 日本語 🎉'") == "größe 日本語 🎉"
    long = "echo " + "x" * 250
    shown = one.clear().type(long).text().replace("\n", "")
    assert long in shown.replace("  ", " ")


def test_the_screen_has_the_size_that_is_asked_for(terminal):
    one = terminal(PLAIN, columns=60, rows=10)
    assert one.run("tput cols; tput lines") == "60\n10"
    assert len(one.screen.display) == 10


def test_colours_and_titles_do_not_count_as_text():
    assert shell.plain("\x1b]0;a title\x07\x1b[1;31mred\x1b[0m\r\n\x01\x02end") == "red\nend"


# ---- floods and junk ------------------------------------------------------------------------------------------------


def test_after_a_flood_the_terminal_goes_on(terminal):
    one = terminal()
    printed = one.run("seq 500000", patience=30)
    assert printed.endswith("\n499999\n500000")
    assert len(printed) < 2 * shell.KEPT
    assert one.text().split("\n")[-2:] == ["500000", "$"]
    assert one.run("echo after") == "after"
    assert one.prompt() == "$"


def test_a_flood_without_an_end_is_given_up_in_time(terminal):
    one = terminal()
    started = time.monotonic()
    with pytest.raises(shell.NoPrompt, match="“yes” did not end within 1 seconds"):
        one.run("yes", patience=1)
    assert time.monotonic() - started < 30
    assert one.press("CTRL-C").at_prompt()
    assert one.run("echo after") == "after"


@pytest.mark.parametrize("seed", range(6))
def test_junk_on_the_screen_does_no_harm(terminal, home, seed):
    (home / "junk").write_bytes(random.Random(seed).randbytes(20_000))
    one = terminal(PLAIN + "cat junk\n")
    one.run("stty sane; clear")
    assert one.run("echo fine") == "fine"


ODD = [
    r"\e[999999999;999999999H",
    r"\e[999999999@",
    r"\e[999999999L",
    r"\e[?5000h\e[>c\e[=1;2u",
    r"\e[38;5;999m\e[48;2;300;300;300mx",
    r"\e(0\x0e",
    r"\e[5;2r\e[0;0r",
    r"\eP1$r\e\\\\",
    r"\e[1;2;3;4;5;6;7;8;9m\e[m",
    r"\e]2;never closed",
]


@pytest.mark.slow
def test_odd_control_sequences_do_no_harm(terminal):
    one = terminal()
    for sequence in ODD:
        one.run(f"printf '{sequence}'; printf '\\a\\ec'")
        assert one.run("echo fine") == "fine", sequence
        assert one.prompt() == "$", sequence


# ---- rc files that go wrong -----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "rc",
    [
        "sleep 60",
        "read answer",
        "cat",
        "while :; do :; done",
        "PROMPT_COMMAND='sleep 60'",
        "kill -STOP $$",
        "yes",
        "trap '' INT TERM HUP; sleep 60",
    ],
)
def test_an_rc_file_that_hangs_is_given_up_in_time(terminal, rc):
    started = time.monotonic()
    with pytest.raises(shell.NoPrompt, match="no prompt after 0.6 seconds"):
        terminal(PLAIN + rc + "\n", patience=0.6)
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("rc", ["exit 3", "exec true", "kill -9 $$", "logout() { builtin exit; }; logout"])
def test_an_rc_file_that_ends_the_shell_is_told_apart(terminal, rc):
    with pytest.raises(shell.NoPrompt, match="ended before it came to a prompt") as given_up:
        terminal(f"echo what stood there\n{rc}\n")
    assert "what stood there" in given_up.value.screen


def test_a_shell_that_ends_later_is_told_with_the_command(terminal):
    one = terminal(PLAIN + "set -e\n")
    with pytest.raises(shell.NoPrompt, match="the shell ended at “false”"):
        one.run("false")


@pytest.mark.parametrize("rc", [b"if true; then\n", bytes(range(256)) * 40, b"echo ((\n", "grüße\n".encode("latin-1")])
def test_an_rc_file_with_faults_leaves_a_shell_that_works(terminal, rc):
    assert terminal(rc).run("echo fine") == "fine"


@pytest.mark.parametrize(
    ("rc", "fault"),
    [
        ("alias ll='ls -l'\n", ""),
        ("if true; then\necho\n", "line 3: syntax error: unexpected end of file"),
        ("true\necho 'open\n", "line 2: unexpected EOF while looking for matching `''"),
        ("true\nfi\n", "line 2: syntax error near unexpected token `fi'\nline 2: `fi'"),
    ],
)
def test_the_faults_of_an_rc_file_have_their_line(home, rc, fault):
    (home / ".bashrc").write_text(rc + "")
    assert shell.faults_of_rc(home, env=workspace.environment(home)) == fault


def test_the_faults_are_found_without_running_it(home):
    (home / ".bashrc").write_text("touch ran\nif true; then\n")
    shell.faults_of_rc(home, env=workspace.environment(home))
    assert not (home / "ran").exists()


@pytest.mark.parametrize(
    ("rc", "line"),
    [
        ("a=1\nsleep 60\nb=2\n", 2),
        ("a=1\n\nread -p 'sure? ' answer\necho after\n", 3),
        ("f() {\n  true\n  sleep 60\n}\nf\n", 3),
        ("for i in 1 2; do\n  true\ndone\nexit 3\n", 4),
        ("a=1\nexec true\n", 2),
        ("a=1\nwhile sleep 60; do\n  :\ndone\n", 2),
        ("", 0),
    ],
    ids=["sleeps", "asks", "function", "exits", "replaces", "loops", "empty"],
)
def test_the_last_line_of_an_rc_file_is_named(home, rc, line):
    (home / ".bashrc").write_text(rc)
    assert last_line(home, line, env=workspace.environment(home)) == line


def test_the_last_line_is_found_where_the_copy_is_shown_as_the_original(home, tmp_path):
    (tmp_path / "original").mkdir()
    (home / ".bashrc").write_text("true\nsleep 60\n")
    confinement = {"env": workspace.environment(home), "shown_as": tmp_path / "original"}
    assert last_line(home, 2, **confinement) == 2


def last_line(home: Path, wanted: int, **confinement) -> int:
    """What `last_line_of_rc` says. With more time where the first was over before bash came to the line: the machine is busy."""
    for seconds in (0.5, 5, 30):
        found = shell.last_line_of_rc(home, seconds=seconds, **confinement)
        if found >= wanted:
            break
    return found


# ---- what a terminal leaves behind ----------------------------------------------------------------------------------


def test_nothing_is_left_when_it_is_closed(terminal):
    word = f"opslab-test-{uuid.uuid4().hex}"
    one = terminal()
    started = time.monotonic()
    one.run(f"(exec -a {word} sleep 300) & setsid bash -c 'exec -a {word} sleep 300' & disown -a", patience=60)
    assert time.monotonic() - started < 30, "what is in the background need not be waited for"
    assert until(lambda: len(processes(word)) >= 2)
    one.close()
    one.close()
    assert until(lambda: not processes(word))


def test_it_is_closed_when_the_block_is_left_by_an_error(home):
    word = f"opslab-test-{uuid.uuid4().hex}"
    with pytest.raises(ZeroDivisionError), shell.Terminal(home, env=workspace.environment(home)) as one:
        one.type(f"exec -a {word} sleep 300").press("ENTER", patience=0.2)
        assert until(lambda: processes(word))
        raise ZeroDivisionError
    assert until(lambda: not processes(word))


@pytest.mark.skipif(sys.platform != "linux", reason="counts processes in /proc")
@pytest.mark.parametrize("where", ["rc", "command"])
def test_a_shell_that_starts_too_many_processes_is_ended(terminal, where):
    # It doubles nine times and stops: a real one would take the machine along if the limit did not hold.
    bomb = "bomb() { (($1)) && { bomb $(($1 - 1)) & bomb $(($1 - 1)); }; sleep 30; }\n"
    started = time.monotonic()
    with pytest.raises(shell.NoPrompt, match="started more than 200 processes"):
        terminal(PLAIN + bomb + ("bomb 9\n" if where == "rc" else ""), patience=25).run("bomb 9", patience=25)
    assert time.monotonic() - started < 60


def test_nothing_of_the_caller_gets_in(terminal, monkeypatch, home):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-real-key")
    monkeypatch.setenv("PROMPT_COMMAND", "echo of the caller")
    one = terminal()
    assert "not-a-real-key" not in one.run("env")
    assert "of the caller" not in one.text()
    assert one.run("echo ~") == str(home)


# ---- a slow machine -------------------------------------------------------------------------------------------------


@contextmanager
def busy(hogs: int) -> Iterator[None]:
    """As many processes that do nothing but compute."""
    running = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(hogs)]
    try:
        yield
    finally:
        for one in running:
            one.kill()
            one.wait()


@pytest.mark.slow
def test_on_a_busy_machine_the_same_is_read(terminal):
    rc = r"""PS1='$(sleep 0.05; echo slow) $ '
    slow() { local i; for ((i = 0; i < 20000; i++)); do :; done; COMPREPLY=($(sleep 0.1; echo found-it)); }
    complete -F slow look
    """
    with busy(4):
        one = terminal(rc, patience=30)
        for round in range(8):
            assert one.run(f"echo {round}; (exit {round + 1})", patience=30) == str(round)
            assert one.run("echo $?", patience=30) == str(round + 1)
            assert one.clear().type("look fo").press("TAB", patience=30).line() == "slow $ look found-it"
            assert one.prompt() == "slow $"
