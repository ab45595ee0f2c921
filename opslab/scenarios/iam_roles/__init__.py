"""Module 03: the laptop of somebody who is lent three administrators' profiles for an afternoon, and the notes of five colleagues.

~/.aws             profiles and keys of everybody whose trouble it is
notes/             what the platform team and colleagues have written down
jobs/              the two jobs that do not run
triage/1 … 8       eight denials (task 3.5)
answers/           forms to fill in

The AWS organisation itself is made by `cloud`, part by part.
"""

from __future__ import annotations

from pathlib import Path

from opslab.scenarios.iam_roles import lesson, let_in, loader, reports, triage, whoami
from opslab.scenarios.iam_roles.names import ACCOUNTS, Profile, config_file, credentials_file, of_user
from opslab.worlds.aws import keys

DESK = Path(__file__).parent / "desk"
TWISTS = {"lesson": "the desk of lesson 03"}


def profiles(seed: int, twists: frozenset[str] = frozenset()) -> list[Profile]:
    """Every profile of ~/.aws."""
    parts = [lesson] if "lesson" in twists else [whoami, let_in, loader, reports, triage]
    admins = [of_user(f"{name}-admin", seed, account, "administrator") for name, account in ACCOUNTS.items()]
    return [*admins, *(profile for part in parts for profile in part.profiles(seed))]


def build(home: Path, seed: int, twists: frozenset[str]) -> None:
    """Put the desk on `home`. Twist "lesson": the desk of lesson 03."""
    known = profiles(seed, twists)
    write(home / ".aws" / "config", config_file(known))
    write(home / ".aws" / "credentials", credentials_file(known))
    (home / ".aws" / "credentials").chmod(0o600)
    if "lesson" in twists:
        return
    for source in sorted(DESK.rglob("*")):
        if source.is_file():
            text = source.read_text().replace("{{external_id}}", reports.external_id(seed))
            write(home / source.relative_to(DESK), text)
    if any(one.case.name == "wrong-secret" for one in triage.draw(seed)):
        write(home / "vault" / "feed-bot", keys.access_key(seed, ACCOUNTS["staging"], "feed-bot")[1] + "\n")
    for path, text in triage.files(seed).items():
        write(home / path, text)


def write(path: Path, text: str) -> None:
    """Write a file of the desk; one that begins with #! becomes executable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755 if text.startswith("#!") else 0o644)
