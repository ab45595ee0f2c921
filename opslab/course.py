"""Which modules there are and where the course keeps its things. Light: a notebook kernel imports it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
from pathlib import Path

TOPICS = {
    "00": "start_here",
    "01": "shell_setup",
    "02": "merge_requests",
    "03": "iam_roles",
    "04": "terraform_gitops",
    "05": "docker_pinning",
    "06": "pipeline_validation",
}
"""Number to topic: the stem that every file of a module is named by, `01_shell_setup`."""


LESSON_ONLY = {"00"}
"""The modules without an assignment."""


def stem_of(number: str | int) -> str:
    """The stem of a module: '01' or 1 gives '01_shell_setup'. Raises LookupError with the numbers there are."""
    text = str(number)
    key = f"{int(text):02d}" if re.fullmatch("[0-9]{1,2}", text) else text[:2]
    if key not in TOPICS or text not in (key, str(int(key)), f"{key}_{TOPICS[key]}"):
        raise LookupError(f"there is no module {number!r}; there are {', '.join(sorted(TOPICS))}")
    return f"{key}_{TOPICS[key]}"


def number_of(task_id: str) -> str:
    """The module number of a task id: '1.2' gives '01'. Raises LookupError where it is not the form of a task id."""
    match = re.fullmatch(r"([0-9]{1,2})\.[0-9]{1,2}", str(task_id))
    if not match:
        raise LookupError(f"{task_id!r} is not the number of a task; one looks like 1.2")
    number = f"{int(match[1]):02d}"
    if number not in TOPICS:
        raise LookupError(f"there is no task {task_id!r}: there are only the modules {', '.join(sorted(TOPICS))}")
    return number


def root(start: str | Path | None = None) -> Path | None:
    """The folder of the course: the nearest at or above `start` (default: OPSLAB_COURSE_ROOT, then this package) that
    has lessons/ and exercises/; None where there is none."""
    named = os.environ.get("OPSLAB_COURSE_ROOT") if start is None else None
    place = Path(named or start or __file__).resolve()
    for folder in (place, *place.parents):
        if (folder / "lessons").is_dir() and (folder / "exercises").is_dir():
            return folder
    return None


def state(near: str | Path) -> Path:
    """The folder for what the course remembers (progress, kept copies): OPSLAB_STATE, or .opslab in the course root above
    `near`, or .opslab in `near` itself, for an assignment that was handed out alone."""
    if os.environ.get("OPSLAB_STATE"):
        return Path(os.environ["OPSLAB_STATE"])
    return (root(near) or Path(near)) / ".opslab"


def assignment_workspace(number: str | int, near: str | Path) -> Path:
    """Where the workspace of a module's assignment is, for a notebook (or terminal) that was started in `near`."""
    stem = stem_of(number)
    near = Path(near).resolve()
    for folder in (near, *near.parents):
        if folder.name == stem:
            return folder / "workspace"
    course = root(near) or root()
    return (course / "exercises" / stem if course else near / stem) / "workspace"


def lesson_workspace(number: str | int, near: str | Path) -> Path:
    """Where a lesson plays: made anew each time, apart from the assignment."""
    return state(near) / "lessons" / stem_of(number)


def learner_seed(state: str | Path) -> int:
    """The seed of a learner's assignments, so that answers cannot be passed on: always the same for the same learner.

    It follows from the name in OPSLAB_LEARNER or JUPYTERHUB_USER; without one it is drawn once and kept in the folder `state`.
    """
    name = os.environ.get("OPSLAB_LEARNER") or os.environ.get("JUPYTERHUB_USER")
    if name:
        return seed_of_name(name)
    path = Path(state) / "seed"
    Path(state).mkdir(parents=True, exist_ok=True)
    # The servers of two modules may draw at once: they must come to the same.
    with (Path(state) / "seed.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            return _sane_seed(int(path.read_text()))
        except (OSError, ValueError):
            drawn = secrets.randbelow(SEEDS)
            path.write_text(f"{drawn}\n")
            return _sane_seed(drawn)


SEEDS = 1_000_000
SHARED_SEEDS = 10
"""Seeds below this one are for lessons, tests and demonstrations; those of learners begin here."""


def seed_of_name(name: str) -> int:
    """The seed that belongs to the name of a learner."""
    return _sane_seed(int(hashlib.sha256(name.encode()).hexdigest()[:12], 16))


def _sane_seed(number: int) -> int:
    return number % (SEEDS - SHARED_SEEDS) + SHARED_SEEDS


def fingerprint() -> str:
    """What the code of this package looks like now: a server that runs other code is replaced."""
    stamp = hashlib.sha1()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        status = path.stat()
        stamp.update(f"{path}{status.st_mtime_ns}{status.st_size}".encode())
    return stamp.hexdigest()[:16]
