"""What follows from a push or a comment: pipelines, reviewers and bots, one event after the other.

    >>> react(repository, bots=[atlantis])                                          # doctest: +SKIP
    2

Hooks and methods only write down what happened. Here is where somebody acts on it: a `Worker` in a long-running process, or
whoever calls `react`. One at a time for each repository; an event is taken off the list when everybody has reacted to it, so
none is lost when the process is killed, and one may be seen twice.

A bot is called with each event. It may comment, set statuses and react to comments (`event.merge_request`):

    def hello(event):
        if event.kind == "comment" and event.facts["text"] == "hello bot":
            event.merge_request.comment("Hello!", by="bot")
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from opslab.worlds.forge import pipeline, reviewers, state
from opslab.worlds.forge.merge_requests import MergeRequest
from opslab.worlds.forge.repository import Repository
from opslab.worlds.forge.state import OPENED, ForgeError

if TYPE_CHECKING:
    from opslab.worlds.forge.forge import Forge

MOST = 500
"""Events in one go: two bots that answer each other must not do it for ever."""

QUIET_SECONDS = 15.0
"""Somebody who waits for bots gives up after so long without a sign of life from them."""

PROGRESS, PROGRESS_BYTES = "progress.log", 500_000
"""The file of a forge in which bots say what they are doing, for those who wait in another process; and its size at most."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Event:
    """Something that happened.

    kind and facts: "push" (branch, old, new, by), "merge_request" (number, action, by; action is open, update, approve,
    unapprove, resolve, close or merge), "comment" (number, item, by, text).
    """

    repository: Repository
    kind: str
    facts: dict[str, Any]

    @property
    def merge_request(self) -> MergeRequest | None:
        """The merge request it is about; None for a push."""
        return self.repository.merge_request(self.facts["number"]) if "number" in self.facts else None


Bot = Callable[[Event], None]


def react(
    repository: Repository, *, bots: Sequence[Bot] = (), run_pipelines: bool = True, patience: float = 0, **jobs: Any
) -> int:
    """React to all that is waiting, and to what follows from it. Returns how many events that were.

    jobs: arguments for `pipeline.run`: how jobs are run. patience: seconds to wait for somebody else who is doing this
    already; 0 where they take that long.
    """
    store, count = repository.store, 0
    with state.flock(store.folder / "worker.lock", patience=patience) as held:
        if not held:
            return 0
        pipeline.recover(repository)
        while count < MOST:
            waiting = store.waiting()
            for path in waiting[: MOST - count]:
                facts = state.read_json(path)
                _one(Event(repository, facts.pop("kind"), facts), bots)
                path.unlink(missing_ok=True)
                count += 1
            if waiting:
                continue
            for record in store.records():
                if record["state"] == OPENED:
                    pipeline.publish(repository, record["number"], settled=True)
            _merge_automatically(repository)
            finished = pipeline.run_next(repository, **jobs) if run_pipelines else None
            for number in finished or []:
                _guarded(repository, number, "the reviewers", lambda: reviewers.review(repository, number))  # noqa: B023
            if finished is None and not store.waiting():
                break
    return count


def wait(repository: Repository, *, tell: Callable[[str], None] | None = None, quiet: float = QUIET_SECONDS) -> int:
    """Wait until all that is waiting has been reacted to by the process that the bots live in. Returns 0, as nothing is done here.

    tell: called with each line that bots say meanwhile. Raises ForgeError after `quiet` seconds without a sign of life.
    """
    store, progress = repository.store, repository.forge.folder / PROGRESS
    seen = progress.stat().st_size if progress.exists() else 0
    last, left = time.monotonic(), len(store.waiting())
    while True:
        with state.flock(store.folder / "worker.lock", patience=0) as free:
            waiting = len(store.waiting())
        # After the look at the lock: what was said until then is told, also when it was the last.
        size = progress.stat().st_size if progress.exists() else 0
        if size != seen:
            with progress.open("rb") as file:
                file.seek(seen if size > seen else 0)
                for line in file.read().decode("utf-8", "replace").splitlines():
                    if tell:
                        tell(line)
                size = file.tell()  # it may have grown since
        if free and not waiting:
            return 0
        if size != seen or waiting != left or not free:
            last = time.monotonic()
        seen, left = size, waiting
        if time.monotonic() - last > quiet:
            names = ", ".join(repository.forge.settings["bots"])
            raise ForgeError(
                f"Nobody reacts to what is new on the forge ({names} lives in the desk's server, which does not run). "
                "Open the desk: run the first cell of the notebook, or opslab shell in a terminal. Nothing is lost."
            )
        time.sleep(0.05)


def telling(forge: Forge) -> Callable[[str], None]:
    """A function for bots that says a line to all who `wait`."""
    path = forge.folder / PROGRESS

    def tell(line: str) -> None:
        mode = "w" if path.exists() and path.stat().st_size > PROGRESS_BYTES else "a"
        with path.open(mode, encoding="utf-8") as file:
            file.write(f"{line}\n")

    return tell


def _one(event: Event, bots: Sequence[Bot]) -> None:
    repository, facts = event.repository, event.facts
    number = facts.get("number", 0)
    if number and number not in repository.store.numbers():
        return
    if event.kind == "push" or facts.get("action") in ("open", "update"):
        _guarded(repository, number, "the pipeline", lambda: pipeline.plan(repository, event.kind, facts))
    if event.kind == "comment" or facts.get("action") in ("open", "update", "resolve"):
        answered = facts.get("item", 0)
        _guarded(repository, number, "the reviewers", lambda: reviewers.review(repository, number, answered))
    for bot in bots:
        name = getattr(bot, "name", getattr(bot, "__name__", "a bot"))
        _guarded(repository, number, name, lambda: bot(event))  # noqa: B023


def _guarded(repository: Repository, number: int, who: str, act: Callable[[], None]) -> None:
    """Somebody's mistake must not keep the others waiting: it is written into the merge request instead."""
    try:
        act()
    except Exception as error:
        log.exception("%s failed in %s", who, repository.path)
        if number:
            with repository.store.change(number) as record:
                text = f"{who} could not react: {error}"
                if not record["discussion"] or record["discussion"][-1]["text"] != text:
                    state.say(record, "event", "forge", text)


def _merge_automatically(repository: Repository) -> None:
    for record in repository.store.records():
        if record["state"] == OPENED and record["auto_merge"]:
            mr = repository.merge_request(record["number"])
            try:
                if not mr.blockers():
                    mr.merge(record["author"])
            except ForgeError:
                log.info("!%s was not merged by itself after all", mr.number)


class Worker:
    """Reacts in the background while a process lives. Use as a context manager. every: seconds between two looks."""

    def __init__(self, forge: Forge, *, every: float = 0.3, **more: Any) -> None:
        self.forge, self.every, self.more = forge, every, more
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="forge", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop; a job that is running is finished first."""
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        first = True  # what an earlier process has left half done is waiting without an event
        while not self._stop.wait(self.every):
            try:
                if first or self.forge.waiting():
                    # Whoever only looks whether somebody is at work holds the lock for a moment.
                    self.forge.react(patience=5 if first else 0, **self.more)
                first = False
            except Exception:  # a repository that is being reset under us
                log.exception("the forge could not react")
