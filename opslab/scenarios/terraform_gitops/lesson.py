"""What lesson 04 plays with: the platform team's buckets, the same repository as in task 4.2, and a colleague who clicks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from opslab.scenarios.iam_roles.names import STAGING, Profile, of_user
from opslab.scenarios.terraform_gitops import bucket
from opslab.worlds.aws.seeding import Furnisher, allow
from opslab.worlds.forge.forge import Forge

if TYPE_CHECKING:
    from opslab.worlds.aws.organisation import Organisation

CLICKED = "targ-test-basia2"


def profiles(seed: int) -> list[Profile]:
    """Basia, who still has the console."""
    return [of_user("basia", seed, STAGING, "basia")]


def build(forge: Forge, home: Path, seed: int) -> None:
    """Put the repository on the forge."""
    bucket.build(forge, seed)


def furnish(aws: Organisation) -> None:
    """The buckets that are code, one that was clicked, and Basia."""
    bucket.furnish(aws)
    staging = Furnisher(aws, "staging")
    staging.bucket(CLICKED, {"final_v2_REALLY.csv": "price\n12\n"})
    staging.user("basia", {"console": allow("s3:*")})
