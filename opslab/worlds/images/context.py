"""The folder that a build takes its files from, without what .dockerignore leaves out.

    >>> context = Context("workspace/loader")                                               # doctest: +SKIP
    >>> context.find("src/*.py")                                                            # doctest: +SKIP
    ['src/app.py', 'src/rows.py']

Nothing in the folder is believed: links are never followed out of it, and what is no file, folder or link is not there.

Patterns are those of https://docs.docker.com/build/concepts/context/#dockerignore-files
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from opslab.worlds.images.layers import DEPTH, Node, Tree, join, printable

FILES = 20_000
BYTES = 500 * 1024 * 1024
IGNORE_BYTES = 64 * 1024


class ContextError(ValueError):
    """A folder that cannot be built from, or a file in it that cannot be taken. Says why, and what to do."""


@dataclass(frozen=True)
class Rule:
    """A line of .dockerignore."""

    line: int
    text: str
    keeps: bool
    pattern: re.Pattern[str]


def rules(text: str) -> list[Rule]:
    """The lines of a .dockerignore. Raises ContextError for a pattern that is none."""
    found = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        keeps, pattern = line.startswith("!"), line.removeprefix("!").strip()
        pattern = os.path.normpath(pattern).lstrip("/")
        if pattern not in ("", "."):
            try:
                found.append(Rule(number, line, keeps, re.compile(_regex(pattern))))
            except re.error:
                raise ContextError(
                    f".dockerignore, line {number}: {line[:60]} is no pattern: a [ is not closed."
                ) from None
    return found


def _regex(pattern: str) -> str:
    """A pattern with *, ?, [a-z] and ** as a regular expression."""
    out, at = "", 0
    while at < len(pattern):
        char = pattern[at]
        if pattern.startswith("**", at):
            at += 2
            if pattern.startswith("/", at):
                at += 1
                out += "(?:.*/)?"
            else:
                out += ".*"
            continue
        if char == "*":
            out += "[^/]*"
        elif char == "?":
            out += "[^/]"
        elif char == "[":
            end = pattern.find("]", at + 2)
            if end < 0:
                raise re.error("not closed")
            out += (
                f"[{pattern[at + 1 : end].replace('!', '^', 1) if pattern[at + 1] == '!' else pattern[at + 1 : end]}]"
            )
            at = end
        elif char == "\\" and at + 1 < len(pattern):
            at += 1
            out += re.escape(pattern[at])
        else:
            out += re.escape(char)
        at += 1
    return out


def ignored(path: str, among: list[Rule]) -> Rule | None:
    """The rule that leaves a path out; None where it stays. The last rule that fits it, or a folder above it, decides."""
    parts = path.split("/")
    above = ["/".join(parts[:number]) for number in range(1, len(parts) + 1)]
    decided = None
    for rule in among:
        if any(rule.pattern.fullmatch(one) for one in above):
            decided = None if rule.keeps else rule
    return decided


class Context:
    """The files that COPY can take. `tree` has them all; `left_out` says by which rule a path is not among them."""

    def __init__(self, folder: str | Path, dockerfile: str = "Dockerfile") -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise ContextError(f"there is no folder {self.folder} to build from")
        self.tree = Tree()
        self.left_out: dict[str, Rule] = {}
        self.rules: list[Rule] = []
        self.remarks: list[str] = []
        for name in (f"{dockerfile}.dockerignore", ".dockerignore"):
            if (self.folder / name).is_file():
                self.rules = rules(self._small_text(name))
                break
        self.total = 0
        self._walk("", any(rule.keeps for rule in self.rules))

    def _small_text(self, name: str) -> str:
        with self.open(name) as file:
            data = file.read(IGNORE_BYTES + 1)
        if len(data) > IGNORE_BYTES:
            raise ContextError(f"{name} has more than {IGNORE_BYTES:,} bytes")
        return data.decode("utf-8", "replace")

    def _walk(self, folder: str, look_inside: bool) -> None:
        """look_inside: whether a folder that is left out may have something that is not."""
        if folder.count("/") > DEPTH:
            raise ContextError(f"{folder[:80]}… is more than {DEPTH} folders deep")
        try:
            entries = sorted(os.scandir(self.folder / folder), key=lambda entry: entry.name)
        except PermissionError:
            raise ContextError(
                f"{folder} must not be read; give yourself the right, or name it in .dockerignore"
            ) from None
        for entry in entries:
            path = join(folder, entry.name)
            rule = ignored(path, self.rules) if self.rules else None
            status = entry.stat(follow_symlinks=False)
            if rule:
                self.left_out[path] = rule
            else:
                self._add(path, status)
            if stat.S_ISDIR(status.st_mode) and (not rule or look_inside):
                self._walk(path, look_inside)

    def _add(self, path: str, status: os.stat_result) -> None:
        mode = status.st_mode
        if stat.S_ISREG(mode):
            self.total += status.st_size
            node = Node("file", mode & 0o777, 0, 0, status.st_size)
        elif stat.S_ISDIR(mode):
            node = Node("dir", mode & 0o777, 0, 0)
        elif stat.S_ISLNK(mode):
            node = Node("link", 0o777, 0, 0, link=os.readlink(self.folder / path))
        else:
            self.remarks.append(f"{printable(path)} is a pipe, a socket or a device, and is not copied")
            return
        self.tree.add(path, node)
        if len(self.tree.nodes) > FILES or self.total > BYTES:
            raise ContextError(
                f"there are more than {FILES:,} files or {BYTES // 1024**2:,} MB in {self.folder.name} (the last one was "
                f"{printable(path)}). Name what the image does not need in .dockerignore, such as .venv, .git or data."
            )

    def open(self, path: str) -> IO[bytes]:
        """Read a file of the folder. Raises ContextError where it is none, also where it has become a link in the meantime."""
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            *above, name = path.split("/")
            for part in above:
                inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=descriptor)
        except OSError as error:
            raise ContextError(f"{printable(path)} cannot be read: {error.strerror}") from None
        finally:
            os.close(descriptor)
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            os.close(opened)
            raise ContextError(f"{printable(path)} is no file any more")
        return open(opened, "rb")  # it is for the caller to close

    def digest(self, path: str) -> str:
        """The SHA-256 of a file, in hexadecimal digits."""
        with self.open(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def matches(tree: Tree, pattern: str) -> list[str]:
    """The paths of a tree that fit a pattern of COPY; one without wildcards fits itself, if it is there."""
    pattern = os.path.normpath(pattern).lstrip("/")
    if pattern == ".":
        return [""]
    if not re.search(r"[*?\[]", pattern):
        return [pattern] if tree.get(pattern) else []
    # In COPY, other than in .dockerignore, ** means no more than *.
    fits = re.compile(_regex(re.sub(r"\*+", "*", pattern)))
    return [path for path in sorted(tree.nodes) if fits.fullmatch(path) and tree.get(path)]
