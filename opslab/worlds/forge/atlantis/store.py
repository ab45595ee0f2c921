"""What the bot remembers of a repository: locks, plans, and an apply that is under way.

    >>> store = Store("/tmp/desk/atlantis/platform-infrastructure")                 # doctest: +SKIP
    >>> store.lock("staging//default", number=3, by="you")                          # doctest: +SKIP

    atlantis/platform-infrastructure-1f0c9a/
        state.json          locks, merge requests with their projects, the running apply
        3/staging-5be1/     the room of a project of !3: checkout, terraform's data, the plan file

Only the bot changes it, one event at a time (`reactions.react` sees to that), and each change is one step on disk. So whoever is
killed leaves it as it was before or after a change, never between.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path
from typing import Any

from opslab.worlds.forge import state

PLANNED, NO_CHANGES, PLAN_FAILED, APPLIED, APPLY_FAILED = (
    "planned",
    "no changes",
    "plan failed",
    "applied",
    "apply failed",
)

Record = dict[str, Any]


def slug(text: str) -> str:
    """A name for a folder: readable, and never the same for two texts."""
    return f"{re.sub(r'[^a-zA-Z0-9]+', '-', text).strip('-')[:40]}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


class Store:
    """The state of one repository. folder: where it is kept, made where it is missing."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # plan files hold sensitive values

    def _load(self) -> Record:
        path = self.folder / "state.json"
        return state.read_json(path) if path.exists() else {"version": 1, "locks": {}, "requests": {}, "running": None}

    def _save(self, data: Record) -> None:
        state.write_json(self.folder / "state.json", data)

    # -- locks

    def locks(self) -> dict[str, Record]:
        """The locks that are held, by project key: number, title, by, at."""
        return self._load()["locks"]

    def lock(self, key: str, number: int, by: str, title: str = "") -> Record | None:
        """Take the lock of a project for a merge request. Returns None when it has it, else who holds it."""
        data = self._load()
        held = data["locks"].get(key)
        if held and held["number"] != number:
            return held
        if not held:
            data["locks"][key] = {"number": number, "by": by, "at": state.now(), "title": title}
            self._save(data)
        return None

    def release(self, key: str, number: int) -> None:
        """Give the lock of a project back, if this merge request holds it."""
        data = self._load()
        if data["locks"].get(key, {}).get("number") == number:
            del data["locks"][key]
            self._save(data)

    # -- merge requests and their projects

    def request(self, number: int) -> Record:
        """What is known of a merge request: the head it was planned at, and its projects by key."""
        return self._load()["requests"].get(str(number), {"head": "", "done": False, "projects": {}})

    def begin(self, number: int, head: str) -> None:
        """A new commit: what was planned before does not count any more."""
        data = self._load()
        data["requests"][str(number)] = {"head": head, "done": False, "projects": {}}
        self._save(data)

    def done(self, number: int) -> None:
        """The commit was looked at. Until then, whoever was killed on the way does it again."""
        data = self._load()
        if str(number) in data["requests"]:
            data["requests"][str(number)]["done"] = True
            self._save(data)

    def note(self, number: int, key: str, **facts: Any) -> None:
        """Write down facts about a project of a merge request."""
        data = self._load()
        request = data["requests"].setdefault(str(number), {"head": "", "done": False, "projects": {}})
        request["projects"].setdefault(key, {}).update(facts, at=state.now())
        self._save(data)

    def discard(self, number: int, key: str = "") -> list[str]:
        """Throw away plans and locks of a merge request, or of one of its projects. Returns the keys that were locked."""
        data = self._load()
        gone = [one for one, lock in data["locks"].items() if lock["number"] == number and key in ("", one)]
        data["locks"] = {one: lock for one, lock in data["locks"].items() if one not in gone}
        if key:
            data["requests"].get(str(number), {"projects": {}})["projects"].pop(key, None)
            shutil.rmtree(self.room(number, key), ignore_errors=True)
        else:
            data["requests"].pop(str(number), None)
            shutil.rmtree(self.folder / str(number), ignore_errors=True)
        self._save(data)
        return gone

    def room(self, number: int, key: str) -> Path:
        """The folder in which a project of a merge request is planned and applied."""
        return self.folder / str(number) / slug(key)

    # -- an apply under way

    def running(self) -> Record | None:
        """The apply that was begun and not ended: number, key, title, by, at, text."""
        return self._load()["running"]

    def run(self, **facts: Any) -> None:
        """An apply begins; without facts, it has ended."""
        self._save(self._load() | {"running": {**facts, "at": state.now()} if facts else None})
