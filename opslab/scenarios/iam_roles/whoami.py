"""Task 3.1: four profiles on Mara's laptop, one of which can read the clicks. Which one, and what is wrong with the others, follows
from the seed."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from opslab.scenarios.iam_roles.names import PRODUCTION, RAW, STAGING, Profile, of_user, user
from opslab.worlds.aws.seeding import Furnisher, allow, document, statement

if TYPE_CHECKING:
    from opslab.worlds.aws.organisation import Organisation

USERS = {"mara": "mara", "adhoc": "mara-adhoc", "reports": "svc-reports", "laptop": "mara-old-laptop"}
"""Profile: the user behind it."""

REASONS = ("works", "no-permission", "explicit-deny", "boundary", "other-account", "dead-key")


def situations(seed: int) -> dict[str, str]:
    """For each profile, what is the matter with it: one of REASONS, "works" exactly once."""
    rng = random.Random(f"whoami {seed}")
    chosen = ["works", *rng.sample(REASONS[1:], 3)]
    rng.shuffle(chosen)
    return dict(zip(USERS, chosen, strict=True))


def account_of(profile: str, seed: int) -> str:
    """The id of the account that a profile's user belongs to."""
    return PRODUCTION if situations(seed)[profile] == "other-account" else STAGING


def arn_of(profile: str, seed: int) -> str:
    """What get-caller-identity says; "" where the key is dead."""
    return "" if situations(seed)[profile] == "dead-key" else user(account_of(profile, seed), USERS[profile])


def profiles(seed: int) -> list[Profile]:
    """What this part puts into ~/.aws."""
    return [of_user(profile, seed, account_of(profile, seed), name) for profile, name in USERS.items()]


def furnish(aws: Organisation) -> None:
    """The four users. The bucket is the loader's, see `loader`."""
    staging, production = Furnisher(aws, "staging"), Furnisher(aws, "production")
    objects, bucket = f"arn:aws:s3:::{RAW}/*", f"arn:aws:s3:::{RAW}"
    reads = {
        "read-clicks": document(
            statement("Allow", "s3:GetObject", objects), statement("Allow", "s3:ListBucket", bucket)
        )
    }
    for profile, situation in situations(aws.seed).items():
        name = USERS[profile]
        if situation in ("works", "dead-key"):
            staging.user(name, reads, active=situation == "works")
        elif situation == "no-permission":
            staging.user(name, {"list-clicks": allow("s3:ListBucket", bucket)})
        elif situation == "explicit-deny":
            staging.group("contractors", {"no-raw-data": document(statement("Deny", "s3:GetObject", objects))})
            staging.user(name, {"read-everything": allow(["s3:Get*", "s3:List*"])}, groups=["contractors"])
        elif situation == "boundary":
            boundary = staging.policy("people-boundary", allow(["s3:List*", "athena:*", "glue:Get*"]))
            staging.user(name, reads, boundary=boundary)
        else:
            production.user(name, {"read-everything": allow("s3:*")})
