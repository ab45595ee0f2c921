"""Module 02: a forge with six repositories, a clone that was never pushed, and a key that should not be where it is.

forge/             the forge: `git clone forge:analytics/marts` finds it
work/churn         a clone with three commits that nobody has seen (task 2.6)
~/.aws             the bot whose key has leaked, and an administrator (2.4)
answers/           forms to fill in
"""

from __future__ import annotations

from pathlib import Path

from opslab.scenarios.iam_roles import write
from opslab.scenarios.iam_roles.names import config_file, credentials_file
from opslab.scenarios.merge_requests import churn, conflict, first, halved, leak, lesson, undo
from opslab.scenarios.merge_requests.people import Past, forge_of

DESK = Path(__file__).parent / "desk"
TWISTS = {"lesson": "the desk of lesson 02"}


def build(home: Path, seed: int, twists: frozenset[str]) -> None:
    """Put the desk on `home`. Twist "lesson": the desk of lesson 02."""
    with Past():
        forge = forge_of(home)
        if "lesson" in twists:
            lesson.build(forge, home)
            return
        for part in (first, conflict, undo, leak, halved, churn):
            part.build(forge, seed)
        churn.put_clone(home, seed)
        forge.react(run_pipelines=False)
    profiles = leak.profiles(seed)
    write(home / ".aws" / "config", config_file(profiles))
    write(home / ".aws" / "credentials", credentials_file(profiles))
    (home / ".aws" / "credentials").chmod(0o600)
    for source in sorted(DESK.rglob("*")):
        if source.is_file():
            write(home / source.relative_to(DESK), source.read_text())
