"""The one door to git.

    >>> git = Git("/tmp/desk/forge/platform/infrastructure.git")                   # doctest: +SKIP
    >>> git.resolve("refs/heads/main")                                              # doctest: +SKIP
    '4f0d8c1e…'

Whoever writes a repository is not trusted: nothing that lies in it may start a program here. So git gets an empty
environment and no configuration of a user or of the machine, no hooks, no external diffs, no signature programs, no
protocols to fetch missing objects with, and references are always given by their full names, so that a branch that is
named like a file or an option stays a branch. What is left is the repository's own `config`: the forge writes it anew
whenever it differs (`repository.settle`), and nobody else's is read (`untrusted`).

Beside this door, git is started for two questions only, to the learner's own configuration and in their own name: who pushes
(`receive.pusher`), and what the short name of a remote stands for (`cli`).

Only the standard library is used, because this file is also part of the hooks, which stand alone.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from pathlib import Path

SECONDS = 60
COMPLAINTS = 1024 * 1024
PATH = "/usr/local/bin:/opt/homebrew/bin:/usr/bin:/bin"
NULL = "0" * 40
NO_NAME = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{")

SETTINGS = {
    "core.hooksPath": os.devnull,
    "core.attributesFile": os.devnull,
    "core.excludesFile": os.devnull,
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "core.alternateRefsCommand": "false",
    "core.quotePath": "false",
    "core.protectHFS": "true",
    "core.protectNTFS": "true",
    # What is larger is treated as binary: nobody reads the diff of a large CSV, and making it takes seconds.
    "core.bigFileThreshold": "1m",
    "diff.renameLimit": "400",
    "log.showSignature": "false",
    "log.mailmap": "false",
    "commit.gpgSign": "false",
    "gpg.program": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "fetch.fsckObjects": "true",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    "safe.directory": "*",
}


class GitError(Exception):
    """A git command failed. `said` is what it wrote to its error output, `code` its exit code."""

    def __init__(self, command: str, code: int, said: str) -> None:
        super().__init__(f"git {command} ended with {code}: {said.strip() or 'it said nothing'}")
        self.code, self.said = code, said


class Git:
    """git for one repository folder, bare or the `.git` of a clone. protocols: which ones may be used, by name."""

    def __init__(self, folder: str | Path, protocols: str = "none") -> None:
        self.folder, self.protocols = Path(folder), protocols

    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{os.path.dirname(shutil.which('git') or '')}:{PATH}",
            "HOME": os.devnull,
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_LITERAL_PATHSPECS": "1",
            "GIT_ALLOW_PROTOCOL": self.protocols,
        }

    def run(
        self,
        *arguments: str,
        give: bytes = b"",
        ok: tuple[int, ...] = (0,),
        env: dict[str, str] | None = None,
        limit: int | None = None,
        seconds: float = SECONDS,
    ) -> bytes:
        """Start git with these arguments and return what it printed.

        give: its input. ok: the exit codes that are no error. env: variables in addition. limit: read so many bytes and then
        stop it (for outputs that somebody else can make as large as they like). seconds: end it after that time.
        Raises GitError.
        """
        command = ["git", f"--git-dir={self.folder}", "--no-pager"]
        for name, value in SETTINGS.items():
            command += ["-c", f"{name}={value}"]
        environment = self.environment() | (env or {})
        pipe, late = subprocess.PIPE, GitError(arguments[0], -1, f"it was still running after {seconds:g} seconds")
        # What it complains of goes into a file: a pipe that nobody empties while its output is read would stop it.
        with (
            tempfile.TemporaryFile() as complaints,
            subprocess.Popen(
                [*command, *arguments], env=environment, cwd="/", stdin=pipe, stdout=pipe, stderr=complaints,
                start_new_session=True,
            ) as process,
        ):  # fmt: skip

            def end() -> None:
                """End it, and what it has started: whoever holds its output open is waited for."""
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

            if limit is not None:
                process.stdin.close()
                clock = threading.Timer(seconds, end)
                clock.start()
                try:
                    out = process.stdout.read(limit)
                    if len(out) == limit:
                        end()
                        return out
                    if process.wait() == -signal.SIGKILL:
                        raise late
                finally:
                    clock.cancel()
            else:
                try:
                    out, _ = process.communicate(give, seconds)
                except subprocess.TimeoutExpired:
                    end()
                    raise late from None
            complaints.seek(0)
            err = complaints.read(COMPLAINTS)
        if process.returncode not in ok:
            raise GitError(arguments[0], process.returncode, err.decode("utf-8", "replace"))
        self.code = process.returncode
        return out

    def text(self, *arguments: str, **more) -> str:
        """As `run`, as text. Bytes that are no UTF-8 become �."""
        return self.run(*arguments, **more).decode("utf-8", "replace")

    def resolve(self, name: str) -> str | None:
        """The commit that a full reference name ("refs/heads/main") or an object id stands for; None if there is none.

        It has to be a plain name: what git reads as an expression ("refs/heads/main~3") stands for nothing here.
        """
        if NO_NAME.search(name):
            return None
        try:
            return self.text("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}").strip()
        except GitError:
            return None

    def update_ref(self, ref: str, new: str, old: str) -> bool:
        """Let `ref` be `new` if it still is `old` (NULL: does not exist), as one step. False if it is something else by now."""
        try:
            if new == NULL:
                self.run("update-ref", "-d", ref, old)
            else:
                self.run("update-ref", ref, new, old)
        except GitError:
            if (self.resolve(ref) or NULL) == old:
                raise  # it was not the old value that stood in the way
            return False
        return True

    def is_ancestor(self, one: str, other: str) -> bool:
        """Whether the history of `other` holds the commit `one`."""
        self.run("merge-base", "--is-ancestor", one, other, ok=(0, 1))
        return self.code == 0

    def merge_base(self, one: str, other: str) -> str | None:
        """The best common ancestor of two commits; None where the histories have nothing in common."""
        return self.text("merge-base", one, other, ok=(0, 1)).strip() or None

    def count(self, *revisions: str) -> int:
        """How many commits `git rev-list` finds for these revisions ("base..head")."""
        return int(self.run("rev-list", "--count", *revisions, "--"))

    def branches(self) -> dict[str, str]:
        """Name and commit of every branch."""
        lines = self.text("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads/").splitlines()
        return {ref.removeprefix("refs/heads/"): sha for sha, ref in (line.split(" ", 1) for line in lines)}

    def file(self, commit: str, path: str, limit: int = 1024 * 1024) -> bytes | None:
        """The content of a file in a commit, up to so many bytes; None where there is no such file."""
        try:
            return self.run("cat-file", "blob", f"{commit}:{path}", limit=limit)
        except GitError:
            return None


def git_folder(folder: str | Path) -> Path:
    """Where git's data of this folder lie: the folder itself if it is bare, else its `.git` or that of a folder above.

    Raises ValueError with a sentence where there is none.
    """
    start = Path(folder).expanduser().absolute()
    if not start.is_dir():
        raise ValueError(f"There is no folder {start}.")
    for here in (start, *start.parents):
        if (here / ".git").is_dir():
            return here / ".git"
        if (here / ".git").is_file():
            # A worktree or a submodule: the file says where the data lie.
            with contextlib.suppress(OSError, UnicodeDecodeError):
                named = (here / ".git").read_text().removeprefix("gitdir:").strip()
                if (here / named).is_dir():
                    return (here / named).resolve()
        if (here / "HEAD").is_file() and (here / "objects").is_dir():
            return here
    raise ValueError(f"{start} is no git repository, and no folder above it is one. Start one with: git init")
