"""What the forge remembers of a repository: JSON files in its folder, changed under a lock, one at a time.

    >>> store = Store("/tmp/desk/forge/platform/infrastructure.git")               # doctest: +SKIP
    >>> with store.change(3) as record:                                             # doctest: +SKIP
    ...     record["title"] = "Give the loader a role"

    infrastructure.git/forge/
        project.json                 path, default branch, protected branches, rules for merging, who reviews
        merge_requests/3.json        one merge request: everything that is said and decided
        pipelines/7.json  7/         one pipeline run; its jobs' logs and artifacts
        events/00000012.json         what happened and nobody has reacted to yet
        lock                         held while something is changed

A file is written beside its place and then renamed, so a reader never sees half of one, whenever the machine is switched
off. The lock belongs to the process that holds it (flock) and is free again when that ends, however it ends.

Only the standard library is used, because this file is also part of the hooks, which stand alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

CLOCK = "FORGE_CLOCK"
"""The variable that stops the forge's clock at a time in ISO format, for lessons whose outputs are compared."""

PATIENCE = 30.0
"""Seconds to wait for somebody else who changes the same repository."""

TEXT_LIMIT = 64 * 1024

OPENED, MERGED, CLOSED = "opened", "merged", "closed"


class ForgeError(Exception):
    """Something cannot be done. The text is for the learner: what was found, what was expected, what to do."""


def now() -> str:
    """The time, in UTC, as "2026-11-21T09:30:00Z"."""
    return os.environ.get(CLOCK) or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises ForgeError where it is damaged or missing."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ForgeError(f"There is no {path.name} in {path.parent}.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ForgeError(f"{path} cannot be read ({error}). Bring back the file, or reset the module.") from None


def write_json(path: Path, value: Any) -> None:
    """Put a value into a JSON file as one step: readers see the old one or the new one."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str, mode: int = 0o644) -> None:
    """Put a text into a file as one step, however many do it at once: readers see one of them, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


@contextlib.contextmanager
def flock(path: Path, patience: float = PATIENCE) -> Iterator[bool]:
    """Hold a lock file. Gives True when it is held, False when somebody else held it all that time (in seconds)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as file:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    yield False
                    return
                time.sleep(0.005)
        yield True


class Store:
    """The state of one repository. folder: the bare repository."""

    def __init__(self, folder: str | Path) -> None:
        self.repository = Path(folder)
        self.folder = self.repository / "forge"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the repository's lock; it cannot be taken twice. Raises ForgeError when it does not get free."""
        with flock(self.folder / "lock") as held:
            if not held:
                raise ForgeError(
                    "Somebody else is changing this repository for a long time now. Try again in a moment."
                )
            yield

    def project(self) -> dict[str, Any]:
        return read_json(self.folder / "project.json")

    def forge(self) -> dict[str, Any]:
        """What holds for all repositories of this forge: its address, users and groups (forge.json at its top)."""
        depth = self.project()["path"].count("/")
        return read_json(self.repository.absolute().parents[depth] / "forge.json")

    # -- merge requests

    def numbers(self) -> list[int]:
        """The numbers of all merge requests, in order."""
        with contextlib.suppress(FileNotFoundError):
            names = (re.fullmatch(r"([1-9]\d{0,8})\.json", name) for name in os.listdir(self.folder / "merge_requests"))
            return sorted(int(match[1]) for match in names if match)
        return []

    def record(self, number: int) -> dict[str, Any]:
        path = self.folder / "merge_requests" / f"{number}.json"
        if not path.exists():
            known = ", ".join(f"!{one}" for one in self.numbers()[-10:]) or "none yet"
            raise ForgeError(f"There is no merge request !{number}; there are: {known}.")
        return read_json(path)

    def records(self) -> list[dict[str, Any]]:
        return [self.record(number) for number in self.numbers()]

    def save(self, record: dict[str, Any]) -> None:
        record["updated"] = now()
        write_json(self.folder / "merge_requests" / f"{record['number']}.json", record)

    @contextlib.contextmanager
    def change(self, number: int) -> Iterator[dict[str, Any]]:
        """Take the lock, give the merge request as it is now, and save it; nothing is saved if an error is raised."""
        with self.locked():
            record = self.record(number)
            yield record
            self.save(record)

    # -- events

    def emit(self, kind: str, **facts: Any) -> None:
        """Note that something happened, for those who react: reviewers, pipelines, bots. Call it with the lock held."""
        folder = self.folder / "events"
        folder.mkdir(parents=True, exist_ok=True)
        last = read_json(folder / "last") if (folder / "last").exists() else 0
        write_json(folder / "last", last + 1)
        write_json(folder / f"{last + 1:08}.json", {"kind": kind, "at": now(), **facts})

    def waiting(self) -> list[Path]:
        """The files of the events that nobody has reacted to yet, oldest first."""
        return sorted((self.folder / "events").glob("[0-9]*.json"))


def new_record(
    number: int, *, source: str, target: str, head: str, title: str, author: str, description: str = "", **more: Any
) -> dict[str, Any]:
    """A merge request as it begins. Everything that is in its file is listed here."""
    return {
        "number": number,
        "title": title,
        "description": description,
        "author": author,
        "source": source,
        "target": target,
        "head": head,
        "state": OPENED,
        "draft": False,
        "created": now(),
        "updated": now(),
        "labels": [],
        "squash": False,
        "remove_source_branch": False,
        "auto_merge": False,
        "versions": [{"head": head, "at": now()}],
        "discussion": [],  # comments, threads and what happened, in the order in which it came
        "approvals": [],
        "statuses": [],
        "merging": None,  # set while the target branch is being moved, so that an interrupted merge can be finished
        "merged": None,
        "reverts": None,
        **more,
    }


def say(record: dict[str, Any], kind: str, by: str, text: str, **more: Any) -> dict[str, Any]:
    """Add to the discussion: kind "comment", "thread" (has to be resolved) or "event" (a line that tells what happened)."""
    item = {"id": len(record["discussion"]) + 1, "kind": kind, "by": by, "at": now(), "text": text[:TEXT_LIMIT]}
    if kind != "event":
        item |= {"path": None, "line": None, "rule": None, "replies": []}
    if kind == "thread":
        item |= {"resolved": None}
    item |= more
    record["discussion"].append(item)
    return item
