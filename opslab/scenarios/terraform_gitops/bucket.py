"""Task 4.2: a bucket in staging and production, through the whole loop. The platform team has sent a link."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from opslab.scenarios.iam_roles import write
from opslab.scenarios.terraform_gitops import common
from opslab.worlds.forge.forge import Forge

if TYPE_CHECKING:
    from opslab.worlds.aws.organisation import Organisation

NAME = "platform/infrastructure"
KEY = "infrastructure/{}.tfstate"
"""The state of an account."""
NOTE = "notes/new-bucket.md"
LISTINGS = "targ-listings-raw-{}"
"""The bucket that was there before, in an account."""

RECORDED = {"infrastructure": ("infrastructure", ["staging", "production"])}
REVIEWERS = {
    "marek": (
        "title", "description", "how-much", "both-accounts", "a-rota", "no-copy", "module-of-all", "versions", "conflict-marker",
    )
}  # fmt: skip

THINGS = ("returns", "parcels", "messages", "favourites", "searches", "reviews", "ratings", "vouchers")
TEAMS = ("logistics", "trust", "growth", "payments", "support")


LETTER = """\
# A bucket for {{thing}}

From Monday on we collect {{thing}} as raw files, a folder for each day. Two buckets, please: one in staging, where we try things,
and one in production.

- what is in it: {{thing}}
- team: {{team}}
- on call: {{rota}} (this week that is Basia)
- how much: about {{size}} GB a day, kept for a year

The platform team has sent us a link: `forge:platform/infrastructure`. “Read the README, open a merge request, we review.”

— Olek
"""


def words(seed: int) -> dict[str, str]:
    """What is wanted: a bucket for which thing, and whose it is."""
    dice = common.draw(seed, "bucket")
    team = dice.choice(TEAMS)
    thing, size = dice.choice(THINGS), str(dice.randrange(2, 9))
    return {"thing": thing, "team": team, "rota": f"{team}-oncall", "size": size}


def bucket(seed: int, environment: str) -> str:
    """The name of the bucket that is wanted."""
    return f"targ-{words(seed)['thing']}-raw-{environment}"


def build(forge: Forge, seed: int) -> None:
    """Put the repository on the forge."""
    common.put_repository(forge, NAME, "infrastructure", {}, seed=seed, reviewers=REVIEWERS, approvals=1)


def put_on_desk(home: Path, seed: int) -> None:
    """Put the letter on the desk that says which bucket is wanted."""
    write(home / NOTE, common.fill(LETTER, words(seed)))


def furnish(aws: Organisation) -> None:
    """The bucket of the listings, with what is in it."""
    common.replay(aws, "infrastructure", {})
    from opslab.worlds.aws.state import backend_of

    for name, account in common.TARGETS.items():
        backend = backend_of("s3", account, "aws")
        backend.put_object(LISTINGS.format(name), "2026-11-16/listings.csv", b"listing,price\n7,12\n")
