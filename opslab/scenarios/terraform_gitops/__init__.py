"""Module 04: a forge with the platform team's repositories, and a bot that plans and applies what is pushed there.

forge/             the forge: `git clone forge:platform/infrastructure` finds it
.atlantis/         what the bot remembers: plans, locks
plans/             plans to be read (task 4.1)
notes/             what colleagues have written down
answers/           forms to fill in
~/.aws             you, who may look; and the keeper of the state

What has been applied before is in the AWS organisation: see `cloud`.
"""

from __future__ import annotations

from pathlib import Path

from opslab.scenarios.iam_roles import write
from opslab.scenarios.iam_roles.names import (
    ACCOUNTS,
    PLATFORM,
    Profile,
    config_file,
    credentials_file,
    of_role,
    of_user,
    role,
)
from opslab.scenarios.merge_requests.people import Past, forge_of
from opslab.scenarios.terraform_gitops import bucket, drift, lesson, plans, recovery, service_role, tags, two_folders
from opslab.scenarios.terraform_gitops.common import PEOPLE, TARGETS

DESK = Path(__file__).parent / "desk"
TWISTS = {"lesson": "the desk of lesson 04"}


def profiles(seed: int) -> list[Profile]:
    """What stands in ~/.aws."""
    viewers = [of_role(name, role(account, "viewer"), "default") for name, account in TARGETS.items()]
    keeper = of_role("state-keeper", role(PLATFORM, "state-keeper"), "default")
    return [of_user("default", seed, ACCOUNTS["platform"], "you"), *viewers, keeper]


def build(home: Path, seed: int, twists: frozenset[str]) -> None:
    """Put the desk on `home`. Twist "lesson": the desk of lesson 04."""
    known = [*profiles(seed), *(lesson.profiles(seed) if "lesson" in twists else ())]
    write(home / ".aws" / "config", config_file(known))
    write(home / ".aws" / "credentials", credentials_file(known))
    (home / ".aws" / "credentials").chmod(0o600)
    with Past():
        forge = forge_of(home, PEOPLE)
        forge.set_bots("atlantis")
        if "lesson" in twists:
            lesson.build(forge, home, seed)
            return
        for part in (bucket, service_role, tags, drift, recovery):
            part.build(forge, seed)
    for part in (bucket, service_role, plans, tags, drift, recovery, two_folders):
        part.put_on_desk(home, seed)
    for source in sorted(DESK.rglob("*")):
        if source.is_file():
            write(home / source.relative_to(DESK), source.read_text())
