"""What lesson 03 plays with: Ana, two buckets she knows of, two roles that she could be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opslab.scenarios.iam_roles.names import DAY, PLATFORM, PRODUCTION, STAGING, Profile, of_role, of_user, role, user
from opslab.worlds.aws.seeding import Furnisher, allow, document, statement, trust

if TYPE_CHECKING:
    from opslab.worlds.aws.organisation import Organisation

SHARED = "targ-shared"
FEEDS = "targ-feeds-staging"
PRICES = "targ-prices-production"
READER, PRICE_READER = role(STAGING, "feed-reader"), role(PRODUCTION, "price-reader")


def profiles(seed: int) -> list[Profile]:
    """What this part puts into ~/.aws."""
    people = [of_user(name, seed, PLATFORM, name) for name in ("ana", "ben")]
    named = {"role_session_name": "ana"}
    return [*people, of_role("feeds", READER, "ana", **named), of_role("prices", PRICE_READER, "ana", **named)]


def furnish(aws: Organisation) -> None:
    """Put this part of the organisation there."""
    platform, staging = Furnisher(aws, "platform"), Furnisher(aws, "staging")
    production = Furnisher(aws, "production")
    platform.bucket(SHARED, {"feeds/otter.csv": "item,price\nbike,80\nlamp,12\n", "hr/salaries.csv": "name,salary\n"})
    read_shared = document(
        statement("Allow", "s3:GetObject", f"arn:aws:s3:::{SHARED}/*"),
        statement("Deny", "s3:*", f"arn:aws:s3:::{SHARED}/hr/*", Sid="NobodysBusiness"),
    )
    platform.group("analysts", {"read-shared": read_shared})
    become = {"become-readers": allow("sts:AssumeRole", [READER, PRICE_READER])}
    for name in ("ana", "ben"):
        platform.user(name, become, groups=["analysts"])

    staging.bucket(FEEDS, {f"otter/{DAY}.csv": "item,price\nchair,15\n"})
    staging.role(
        "feed-reader", trust(user(PLATFORM, "ben")), {"read": allow("s3:GetObject", f"arn:aws:s3:::{FEEDS}/*")}
    )
    production.bucket(PRICES, {f"{DAY}.csv": "item,price\nchair,19\n"})
    agreed = {"StringEquals": {"sts:ExternalId": "targ-lesson-7"}}
    production.role(
        "price-reader",
        trust(user(PLATFORM, "ana"), condition=agreed),
        {"read": allow("s3:GetObject", f"arn:aws:s3:::{PRICES}/*")},
    )
