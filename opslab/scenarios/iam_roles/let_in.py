"""Task 3.2: Jonas must become the role orders-analyst in staging. Neither side knows him."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opslab.scenarios.iam_roles.names import PLATFORM, STAGING, Profile, of_role, of_user, role, user
from opslab.worlds.aws.seeding import Furnisher, allow, document, statement, trust

if TYPE_CHECKING:
    from opslab.worlds.aws.organisation import Organisation

MARTS = "targ-orders-marts-staging"
MART = "gold/orders_daily.csv"
ROLE = role(STAGING, "orders-analyst")
JONAS, KASIA = user(PLATFORM, "jonas"), user(PLATFORM, "kasia")

STRANGERS = (
    ("platform", "ola"),
    ("platform", "ci-runner"),
    ("staging", "notebook-server"),
    ("production", "release-bot"),
)
"""Who must not get in: some of them may call AssumeRole on anything in staging."""

BEFORE = role(STAGING, "marts-reader")
"""The role that Jonas has had all along."""

ELSEWHERE = (role(STAGING, "marts-writer"), role(STAGING, "marts-admin"), role(STAGING, "orders-analyst-admin"))
"""Roles that trust the whole platform account: whoever there may call AssumeRole on them gets them."""

CLOUD = (
    f"arn:aws:s3:::{MARTS}*",
    "*:role/marts-reader",
    "*:user/jonas",
    "*:user/kasia",
    "*:user/ola",
    "*:user/ci-runner",
    "*:group/data-people",
    ROLE,
    *ELSEWHERE,
)


def profiles(seed: int) -> list[Profile]:
    """What this part puts into ~/.aws."""
    people = [of_user(name, seed, PLATFORM, name) for name in ("jonas", "kasia", "ola")]
    return [*people, *(of_role(f"{name}-analyst", ROLE, name) for name in ("jonas", "kasia", "ola"))]


def furnish(aws: Organisation) -> None:
    """Put this part of the organisation there."""
    platform, staging = Furnisher(aws, "platform"), Furnisher(aws, "staging")
    production = Furnisher(aws, "production")
    platform.group("data-people", {"read-marts": allow("sts:AssumeRole", role(STAGING, "marts-reader"))})
    platform.user("jonas", groups=["data-people"])
    platform.user("kasia", {"orders-analyst": allow("sts:AssumeRole", ROLE)}, groups=["data-people"])
    platform.user("ola", groups=["data-people"])
    platform.user("ci-runner", {"deploy-to-staging": allow("sts:AssumeRole", role(STAGING, "*"))})
    staging.user("notebook-server", {"become-anybody": allow("sts:AssumeRole", role(STAGING, "*"))})
    production.user("release-bot", {"become-anybody": allow("sts:AssumeRole", role(STAGING, "*"))})

    staging.bucket(MARTS, {MART: "day,orders\n2026-11-15,1841\n2026-11-16,1902\n"})
    read = document(
        statement("Allow", "s3:ListBucket", f"arn:aws:s3:::{MARTS}"),
        statement("Allow", "s3:GetObject", f"arn:aws:s3:::{MARTS}/gold/*"),
    )
    staging.role("orders-analyst", trust(KASIA), {"read-gold": read}, description="Read the marts about orders")
    platform_account = trust(f"arn:aws:iam::{PLATFORM}:root")
    staging.role("marts-reader", platform_account, {"read-gold": read})
    staging.role("marts-writer", platform_account, {"write-marts": allow("s3:*", f"arn:aws:s3:::{MARTS}/*")})
    staging.role("marts-admin", platform_account, {"everything": allow("s3:*")})
    staging.role("orders-analyst-admin", platform_account, {"everything": allow("s3:*")})
