"""The forge of module 02, who works there, and how its repositories come to their history."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from opslab.worlds import workspace
from opslab.worlds.forge import state
from opslab.worlds.forge.forge import Forge
from opslab.worlds.forge.repository import Repository

PEOPLE = {
    "hania": "Hania Lis",
    "kasia": "Kasia Wrona",
    "pawel": "Paweł Sroka",
    "iwo": "Iwo Dudek",
    "ada": "Ada Kruk",
}
RULES = "opslab.scenarios.merge_requests.rules"
FOLDER = workspace.FORGE
CLOCK = "2026-11-16T08:00:00Z"
"""When the forge was made; the desk is the same on every machine."""


def forge_of(home: Path, people: Mapping[str, str] = PEOPLE) -> Forge:
    """A new forge on the desk, with everybody in it; an old one goes."""
    shutil.rmtree(home / FOLDER, ignore_errors=True)
    forge = Forge(home / FOLDER)
    for name, full_name in people.items():
        forge.add_user(name, full_name)
    return forge


class Past:
    """The forge's clock stands still while the past is made."""

    def __enter__(self) -> None:
        self.before = os.environ.get(state.CLOCK)
        os.environ[state.CLOCK] = CLOCK

    def __exit__(self, *_: object) -> None:
        if self.before is None:
            del os.environ[state.CLOCK]
        else:
            os.environ[state.CLOCK] = self.before


def day(number: int, hour: int = 9) -> str:
    """A time in the weeks before the story, in ISO format."""
    return f"2026-{10 + number // 30:02d}-{number % 30 + 1:02d}T{hour:02d}:00:00+00:00"


Commit = tuple[str, str, Mapping[str, str | None]]
"""Who, with which message, and the files: path and content, None for one that goes."""


def history(
    repository: Repository, commits: list[Commit], start: int = 0, hours: int = 24, seed: int | None = None
) -> list[str]:
    """Put commits on main, one every `hours`, in one go, as something that happened long ago. Returns their ids.

    seed: moves them by some minutes, so that a repository tells whose desk it is from.
    """
    ref = "refs/heads/main"
    before = repository.git.resolve(ref)
    first = int(datetime.fromisoformat(day(start)).timestamp())
    first += random.Random(f"minutes {seed}").randrange(3000) if seed is not None else 0
    stream = []
    for number, (who, message, files) in enumerate(commits):
        person = f"{repository.store.forge()['users'][who]['name']} <{who}@targ.example>"
        stream.append(f"commit {ref}\ncommitter {person} {first + number * hours * 3600} +0000\n{_data(message)}")
        stream += [f"from {before}\n"] if before and not number else []
        for path, content in files.items():
            mode = 100755 if (content or "").startswith("#!") else 100644
            stream.append(f"D {path}\n" if content is None else f"M {mode} inline {path}\n{_data(content)}")
    repository.git.run("fast-import", "--quiet", give="".join(stream).encode())
    span = f"{before}..{ref}" if before else ref
    return repository.git.text("rev-list", "--reverse", span).split()


def _data(text: str) -> str:
    """A text in the form of git fast-import."""
    return f"data {len(text.encode())}\n{text}\n"


def git(folder: Path, *arguments: str, at: str = "") -> str:
    """git in a clone on the desk, as the learner, at a time of the past."""
    env = {
        "HOME": "/nonexistent",
        "PATH": os.environ.get("PATH", os.defpath),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_AUTHOR_NAME": "You at Targ",
        "GIT_AUTHOR_EMAIL": "you@targ.example",
        "GIT_COMMITTER_NAME": "You at Targ",
        "GIT_COMMITTER_EMAIL": "you@targ.example",
        "GIT_AUTHOR_DATE": at or day(40),
        "GIT_COMMITTER_DATE": at or day(40),
    }
    done = subprocess.run(["git", "-C", str(folder), *arguments], env=env, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def orders(seed: int, days: int = 6, each: int = 40) -> list[tuple[str, str, float, str, str]]:
    """Orders to try a mart on: (order_id, day, amount, status, currency)."""
    rng = random.Random(f"orders {seed}")
    rows = []
    for number in range(days * each):
        status = rng.choices(("paid", "cancelled", "refunded"), (8, 2, 1))[0]
        currency = rng.choices(("EUR", "PLN"), (3, 1))[0]
        rows.append(
            (f"o{number:05d}", f"2026-11-{number % days + 10}", rng.randint(200, 90_000) / 100, status, currency)
        )
    return rows
