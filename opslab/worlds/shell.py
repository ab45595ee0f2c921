"""A real interactive bash in a real terminal, driven as a person would: type, press a key, read the screen.

    >>> from opslab.worlds import shell
    >>> with shell.Terminal("/tmp/desk") as terminal:
    ...     terminal.type("git chec").press("TAB")
    ...     terminal.line()
    'you@targ:~$ git checkout'

The bash runs in the jail with the `.bashrc` of the given home, on a pseudo-terminal that `pexpect` holds; `pyte` keeps the
screen, so what is read is what a person would see, colours included.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import pexpect
import pyte

from opslab import jail

COLUMNS, ROWS = 100, 30

KEYS = {
    "TAB": "\t",
    "ENTER": "\r",
    "UP": "\x1b[A",
    "DOWN": "\x1b[B",
    "CTRL-C": "\x03",
    "CTRL-D": "\x04",
    "CTRL-E": "\x05",
    "CTRL-L": "\x0c",
    "CTRL-R": "\x12",
    "CTRL-U": "\x15",
}

LIMITS = jail.Limits(seconds=60, processes=200)


PROMPT_FOLLOWS = "\x1b[?2004h"
"""What bash writes before each prompt, from 5.1 on: it asks the terminal to mark what is pasted. Older ones write nothing."""

NO_TURN = 1.0
"""Seconds of silence after which a key has had its effect, where one that is seen was to be expected. Between terminal and shell
stands the kernel, which on a busy machine hands a key over late: so long, the shell seems to wait for it."""

KEPT = 200_000
"""Characters: of a flood of output that makes no pause, only the last ones are kept and drawn."""


class NoPrompt(Exception):
    """The shell did not come to a prompt. The text says why; `screen` is what stood there."""

    def __init__(self, why: str, screen: str = "") -> None:
        super().__init__(why)
        self.screen = screen


class Terminal:
    """An interactive bash on a screen of 100 × 30. Use as a context manager, or call `close`.

    home: the folder whose .bashrc is read. confinement: further arguments for `opslab.jail.prepare`.
    patience: seconds to wait for the first prompt. Raises NoPrompt where none comes.
    """

    def __init__(
        self,
        home: str | Path,
        *,
        env: Mapping[str, str] | None = None,
        patience: float = 10.0,
        columns: int = COLUMNS,
        rows: int = ROWS,
        **confinement: Any,
    ) -> None:
        confinement.setdefault("limits", LIMITS)
        bash = shutil.which("bash", path=(env or os.environ).get("PATH")) or "/bin/bash"
        self._limits: jail.Limits = confinement["limits"]
        self._prepared = prepared = jail.prepare([bash, "-i"], home=home, env=env, terminal=True, **confinement)
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.Stream(self.screen)
        self.raw = ""
        self.ended = False
        self._count = self._burst = 0
        self._front: tuple[int, set[int]] | None = None
        self._child = pexpect.spawn(
            prepared.argv[0],
            prepared.argv[1:],
            env=prepared.env,
            cwd=prepared.cwd,
            dimensions=(rows, columns),
            encoding="utf-8",
            codec_errors="replace",
            echo=True,
            preexec_fn=prepared.preexec,
            timeout=patience,
        )
        self._child.delaybeforesend = None
        self._child.delayafterclose = self._child.ptyproc.delayafterclose = 0.01
        try:
            self._await_first_prompt(patience)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the shell and everything it started. Hanging up first lets bash write its history."""
        if self._child.isalive() and self.at_prompt():
            self._child.send(KEYS["CTRL-U"] + KEYS["CTRL-D"])
            deadline = time.monotonic() + 1.0
            while not self.ended and time.monotonic() < deadline:
                self._pump(0.02)
        try:
            self._child.close(force=True)
        except pexpect.ExceptionPexpect:  # killed, but busy with dying: a fork bomb takes a moment
            self.ended = True
        self._prepared.close()

    # -- doing

    def type(self, text: str, *, patience: float = 8.0) -> Terminal:
        """Type text as on a keyboard, without ENTER, and wait up to `patience` seconds for what it brings about."""
        start = self._count
        self._child.send(text)
        return self.settle(patience=patience, after=start)

    def press(self, *keys: str, patience: float = 8.0) -> Terminal:
        """Press keys by name, quickly one after the other: TAB, ENTER, UP, DOWN, CTRL-C, -D, -E, -L, -R, -U."""
        start = self._count
        self._child.send("".join(KEYS[key] for key in keys))
        return self.settle(patience=patience, after=start)

    def run(self, command: str, patience: float = 10.0) -> str:
        """Type a command, press ENTER, wait until bash reads the keyboard again; returns what came in between.

        Raises NoPrompt where the command does not end within `patience` seconds.
        """
        start = self._count
        self._child.send(command + "\r")
        if not self._comes_back(start, patience):
            if self.ended:
                raise NoPrompt(f"the shell ended at “{command}”", self.text())
            raise NoPrompt(f"“{command}” did not end within {patience:g} seconds", self.text())
        raw = self._since(start)
        printed, mark, _ = raw.rpartition(PROMPT_FOLLOWS)
        _, _, printed = plain(printed if mark else raw.rpartition("\n")[0]).partition("\n")
        return printed.removesuffix("\n")

    def clear(self) -> Terminal:
        """Throw away what is typed on the line, and have nothing but a new prompt on the screen, on its second line.

        The screen is emptied on this side, because CTRL-L clears it in emacs mode only.
        """
        self._child.send(KEYS["CTRL-E"] + KEYS["CTRL-U"])
        self.settle()
        # Not a reset: a colour that was never switched off stays, as it does for a person.
        self.screen.erase_in_display(2)
        self.screen.cursor_position()
        start = self._count
        self._child.send(KEYS["ENTER"])
        self._comes_back(start, patience=8.0)
        return self

    def settle(self, quiet: float = 0.06, *, patience: float = 8.0, after: int = -1) -> Terminal:
        """Read until, for `quiet` seconds, nothing has come and bash has done nothing but wait for a key.

        Silence alone would not do: a completion may take its time, and on a busy machine bash may have had no turn yet.
        after: where something must come, the number of characters that had come before; until then, silence has to last.
        """
        deadline = time.monotonic() + patience
        silent_since = time.monotonic()
        while time.monotonic() < deadline and not self.ended:
            if self._pump(0.02):
                silent_since = time.monotonic()
                continue
            if jail.at_process_limit(self._child.pid, self._prepared, self._limits):
                self.close()
                raise NoPrompt(f"the shell started more than {self._limits.processes} processes", self.text())
            if self._is_working():
                silent_since = time.monotonic()
            elif time.monotonic() - silent_since >= (quiet if self._count > after else NO_TURN):
                break
        return self

    # -- reading

    def text(self) -> str:
        """What stands on the screen, without the empty ends of lines and of the screen."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def line(self) -> str:
        """The line that the cursor is on."""
        return self.screen.display[self.screen.cursor.y].rstrip()

    def prompt(self) -> str:
        """The prompt as it stands now: what is on the screen after ENTER on an empty line. May have several lines."""
        return self.clear().text().strip("\n")

    def colours_of(self, word: str) -> set[tuple[str, str]]:
        """The (foreground, background) colours of `word` where it stands last on the screen; empty: it is not there.

        Colours are pyte's names: black, red, green, brown (yellow), blue, magenta, cyan, white, bright…, default, or hex.
        """
        for y in reversed(range(self.screen.lines)):
            at = self.screen.display[y].rfind(word)
            if at >= 0:
                cells = [self.screen.buffer[y][x] for x in range(at, at + len(word))]
                return {(cell.bg, cell.fg) if cell.reverse else (cell.fg, cell.bg) for cell in cells}
        return set()

    def at_prompt(self) -> bool:
        """Whether bash reads the keyboard now. Its line editor switches the terminal to single keys while it does."""
        try:
            return not termios.tcgetattr(self._child.child_fd)[3] & termios.ICANON
        except (termios.error, ValueError):
            return False

    # -- inside

    def _await_first_prompt(self, patience: float) -> None:
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            self.settle(patience=1.0)
            if self.ended:
                raise NoPrompt("the shell ended before it came to a prompt", self.text())
            if self.at_prompt():
                self._front = self._in_front()[:2]
                return
        raise NoPrompt(f"there was no prompt after {patience:g} seconds", self.text())

    def _comes_back(self, start: int, patience: float) -> bool:
        """Whether, after ENTER, bash is at a prompt again within `patience` seconds. start: the characters that came before."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and not self.ended:
            self.settle(patience=max(deadline - time.monotonic(), 0.1), after=start)
            _, newline, prompt = self._since(start).rpartition("\n")
            if newline and self.at_prompt():
                if not plain(prompt).strip():  # it is empty, or still on its way through the kernel
                    self.settle(NO_TURN, patience=2 * NO_TURN)
                return True
        return False

    def _pump(self, wait: float) -> bool:
        """Read what is there, or comes within `wait` seconds, and draw it. False: nothing came, or the shell has ended."""
        try:
            piece = self._child.read_nonblocking(65536, timeout=wait)
        except pexpect.TIMEOUT:
            if self._burst > KEPT:  # a flood is over, and its end is what stands on the screen
                self.screen.reset()
                self._stream.feed(self.raw[-20_000:])
            self._burst = 0
            return False
        except (pexpect.EOF, OSError):
            self.ended = True
            return False
        self._count += len(piece)
        self._burst += len(piece)
        self.raw = (self.raw + piece)[-KEPT:]
        if self._burst <= KEPT:
            self._stream.feed(piece)
        return True

    def _since(self, count: int) -> str:
        """What came after the first `count` characters of this terminal, as far as it is kept."""
        return self.raw[max(len(self.raw) - (self._count - count), 0) :]

    def _is_working(self) -> bool:
        """Whether anything is in front but bash, or bash is computing. Not what the learner has put into the background."""
        group, members, computing = self._in_front()
        if self._front is None:
            return computing
        shell, companions = self._front
        return computing or group != shell or not members <= companions

    def _in_front(self) -> tuple[int, set[int], bool]:
        """The process group that has the keyboard, its members, and whether one of them computes now (Linux; else no members)."""
        try:
            group = os.tcgetpgrp(self._child.child_fd)
        except OSError:
            return 0, set(), False
        members, computing = set(), False
        for pid in (self._child.pid, *jail.descendants(self._child.pid)):
            with contextlib.suppress(OSError, ValueError):
                # https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html: after the name: state, parent, group
                state, _, of = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:3]
                if int(of) == group:
                    members.add(pid)
                    computing = computing or state == "R"
        return group, members, computing


def plain(raw: str) -> str:
    """Terminal output as plain text: colours and other control sequences taken out."""
    text = re.sub(r"\x1b\][^\x07\x1b]*(\x07|\x1b\\\\)|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-_]", "", raw)
    return text.replace("\r", "").replace("\x07", "").replace("\x01", "").replace("\x02", "")


def faults_of_rc(home: str | Path, path: str = ".bashrc", **confinement: Any) -> str:
    """What bash says about the syntax of an rc file (`line 12: unexpected end of file`), or '' where it is in order."""
    seen = str(Path(confinement.get("shown_as") or home) / path)
    done = jail.run(["bash", "-n", seen if jail.bubblewrap() else str(Path(home) / path)], home=home, **confinement)
    return re.sub(r"^\S*?: line", "line", done.err, flags=re.MULTILINE).strip()


def last_line_of_rc(home: str | Path, path: str = ".bashrc", *, seconds: float = 3.0, **confinement: Any) -> int:
    """The number of the line of an rc file that bash was in when it ran out of time or ended; 0 where none was traced."""
    trace = "PS4='+at ${BASH_SOURCE##*/} ${LINENO} '; set -x; source ~/" + path
    # A sleeping neighbour holds standard input open, so that an rc file that waits for the keyboard waits here too.
    script = f'sleep {seconds + 5:g} | bash --norc -i -c "$0"'
    limits = jail.Limits(seconds=seconds)
    done = jail.run(["bash", "-c", script, trace], home=home, limits=limits, **confinement)
    lines = re.findall(rf"^\++at {re.escape(Path(path).name)} (\d+) ", done.err, flags=re.MULTILINE)
    return int(lines[-1]) if lines else 0
