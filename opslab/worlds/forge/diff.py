"""What a merge request changes: its files with their line counts, and the lines themselves.

>>> changes(git, base, head)[0].path                                            # doctest: +SKIP
'marts/orders.sql'
>>> [line.text for line in patches(git, base, head)[0].lines if line.sign == "+"]   # doctest: +SKIP
['    country,']
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from opslab.worlds.forge.git import NULL, Git

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
"""What git compares with where there is nothing: the id of the tree without entries."""

PATCH_LIMIT = 4 * 1024 * 1024
DIFF = ("diff-tree", "-r", "-M", "--no-commit-id", "--no-ext-diff", "--no-textconv", "--ignore-submodules=none")

WORDS = {"A": "added", "D": "deleted", "M": "changed", "R": "renamed", "C": "copied", "T": "type changed"}


@dataclass(frozen=True)
class Change:
    """One file. status: a letter of WORDS. added, deleted: lines; None for a binary file. blob: the new content's id."""

    status: str
    path: str
    old_path: str
    added: int | None
    deleted: int | None
    mode: str
    blob: str

    @property
    def binary(self) -> bool:
        return self.added is None

    @property
    def text(self) -> str:
        name = f"{self.old_path} → {self.path}" if self.old_path != self.path else self.path
        size = "binary or large" if self.binary else f"+{self.added} −{self.deleted}"
        return f"{WORDS.get(self.status, 'changed'):<8} {name}  {size}"


@dataclass(frozen=True)
class Line:
    """A line of a patch. sign: "+", "-", " " or "@" (where a new place in the file begins). number: in the new file, or,
    for a deleted line, in the old one."""

    sign: str
    number: int
    text: str


@dataclass
class Patch:
    """The changed lines of one file. cut: there are more of them than were read."""

    path: str
    lines: list[Line] = field(default_factory=list)
    cut: bool = False


def changes(git: Git, base: str, head: str) -> list[Change]:
    """The files that differ between two commits (or trees)."""
    out = git.run(*DIFF, "-z", "--raw", "--numstat", "--abbrev=40", base, head)
    fields = iter(out.decode("utf-8", "replace").split("\0"))
    raw: list[tuple[str, str, str, str, str]] = []
    counts: dict[str, tuple[int | None, int | None]] = {}
    for one in fields:
        if one.startswith(":"):
            _, mode, _, blob, status = one.split(" ")
            old = next(fields)
            new = next(fields) if status[0] in "RC" else old
            raw.append((status[0], old, new, mode, blob))
        elif one:
            added, deleted, path = one.split("\t", 2)
            if not path:
                next(fields)
                path = next(fields)
            counts[path] = (None, None) if added == "-" else (int(added), int(deleted))
    return [Change(status, new, old, *counts.get(new, (0, 0)), mode, blob) for status, old, new, mode, blob in raw]


def patch_text(git: Git, base: str, head: str, limit: int = PATCH_LIMIT) -> str:
    """The diff as `git diff` prints it, up to so many bytes."""
    return git.text(*DIFF, "-p", "--full-index", "--src-prefix=a/", "--dst-prefix=b/", base, head, limit=limit)


def patches(git: Git, base: str, head: str, found: list[Change] | None = None) -> list[Patch]:
    """The changed lines of every file, in the order of `changes`; those beyond PATCH_LIMIT are left out and marked so."""
    found = changes(git, base, head) if found is None else found
    text = patch_text(git, base, head)
    # In a patch, every line of a file's content has a sign in front: only the head of a file's part can start with "diff".
    parts = re.split(r"^diff --git .*\n", text, flags=re.MULTILINE)[1:]
    result, at = [], 0
    for change in found:
        patch = Patch(change.path, cut=at >= len(parts))
        for part in parts[at : at + (2 if change.status == "T" else 1)]:
            patch.lines += _lines(part)
        at += 2 if change.status == "T" else 1
        result.append(patch)
    if len(text.encode()) >= PATCH_LIMIT and parts:
        result[min(at, len(parts), len(result)) - 1].cut = True
    return result


def _lines(part: str) -> list[Line]:
    lines: list[Line] = []
    old = new = 0
    for text in part.split("\n"):
        if place := re.match(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@ ?(.*)", text):
            old, new = int(place[1]), int(place[2])
            lines.append(Line("@", new, place[3]))
        elif not old and not new:
            continue  # before the first place: index, mode, names
        elif text.startswith("+"):
            lines.append(Line("+", new, text[1:]))
            new += 1
        elif text.startswith("-"):
            lines.append(Line("-", old, text[1:]))
            old += 1
        elif text.startswith(" "):
            lines.append(Line(" ", new, text[1:]))
            old, new = old + 1, new + 1
    return lines


def sizes(git: Git, blobs: list[str]) -> dict[str, int]:
    """The size in bytes of each blob."""
    wanted = [blob for blob in dict.fromkeys(blobs) if blob != NULL]
    out = git.text("cat-file", "--batch-check=%(objectname) %(objectsize)", give="\n".join([*wanted, ""]).encode())
    pairs = (line.split(" ") for line in out.splitlines())
    return {name: int(size) for name, size in pairs if size.isdigit()}
