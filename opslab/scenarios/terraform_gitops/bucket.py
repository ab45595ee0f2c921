"""Task 4.2: a bucket in staging and production, through the whole loop. The platform team has sent a link."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opslab.scenarios.terraform_gitops import common
from opslab.worlds.forge.forge import Forge

if TYPE_CHECKING:
    from opslab.worlds.aws.organisation import Organisation

NAME = "platform/infrastructure"
KEY = "infrastructure/{}.tfstate"
"""The state of an account."""

RECORDED = {"infrastructure": ("infrastructure", ["staging", "production"])}
REVIEWERS = {"marek": ("title", "description", "both-accounts", "a-rota", "no-copy", "versions", "conflict-marker")}

THINGS = ("returns", "parcels", "messages", "favourites", "searches", "reviews", "ratings", "vouchers")
TEAMS = ("logistics", "trust", "growth", "payments", "support")


def words(seed: int) -> dict[str, str]:
    """What is wanted: a bucket for which thing, and whose it is."""
    dice = common.draw(seed, "bucket")
    team = dice.choice(TEAMS)
    return {"thing": dice.choice(THINGS), "team": team, "rota": f"{team}-oncall"}


def bucket(seed: int, environment: str) -> str:
    """The name of the bucket that is wanted."""
    return f"targ-{words(seed)['thing']}-raw-{environment}"


def build(forge: Forge, seed: int) -> None:
    """Put the repository on the forge."""
    common.put_repository(forge, NAME, "infrastructure", {}, seed=seed, reviewers=REVIEWERS, approvals=1)


def furnish(aws: Organisation) -> None:
    """The bucket of the listings, with what is in it."""
    common.replay(aws, "infrastructure", {})
    from opslab.worlds.aws.state import backend_of

    for name, account in common.TARGETS.items():
        backend = backend_of("s3", account, "aws")
        backend.put_object(f"targ-listings-raw-{name}", "2026-11-16/listings.csv", b"listing,price\n7,12\n")
