"""Task 3.4: a report job in staging reads one prefix of a bucket in production. Nothing of the way there exists yet."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from opslab.scenarios.iam_roles.names import DAY, PRODUCTION, STAGING, Profile, of_user, role, user
from opslab.worlds.aws.seeding import Furnisher, allow, document, statement, trust

if TYPE_CHECKING:
    from opslab.worlds.aws.organisation import Organisation

BUCKET = "targ-orders-production"
ORDERS = f"daily/orders-{DAY}.csv"
CUSTOMERS = "customers/addresses.csv"
BOT = user(STAGING, "report-bot")
READER = role(PRODUCTION, "report-reader")
LOADER = role(PRODUCTION, "orders-loader")
PROFILE = "reports-production"
CLOUD = (BOT, "*:user/intern", READER, LOADER, f"arn:aws:s3:::{BUCKET}*", "*:user/dev", "*:role/*report-*")


def external_id(seed: int) -> str:
    """What the report job says when it becomes the role."""
    return f"targ-reports-{random.Random(f'external id {seed}').randint(1000, 9999)}"


def profiles(seed: int) -> list[Profile]:
    """What this part puts into ~/.aws."""
    return [of_user("report-bot", seed, STAGING, "report-bot"), of_user("intern", seed, STAGING, "intern")]


def furnish(aws: Organisation) -> None:
    """Put this part of the organisation there."""
    staging, production = Furnisher(aws, "staging"), Furnisher(aws, "production")
    staging.user("report-bot", {"own-reports": allow("s3:*", "arn:aws:s3:::targ-reports-staging/*")})
    staging.user("intern", {"try-things": allow("sts:AssumeRole", role(PRODUCTION, "report*"))})
    staging.bucket("targ-reports-staging")
    production.user("dev", {"look-around": allow(["s3:Get*", "s3:List*"])})
    production.role(
        "orders-loader",
        trust(service="ecs-tasks.amazonaws.com"),
        {"load-orders": allow(["s3:GetObject", "s3:PutObject", "s3:ListBucket"], [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"])},
    )  # fmt: skip
    # Customers' addresses lie here: whoever is not on the list is refused, whatever their own policies say.
    listed = [LOADER, user(PRODUCTION, "administrator")]
    guard = statement(
        "Deny",
        ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
        f"arn:aws:s3:::{BUCKET}/*",
        Sid="OnlyWhoIsListed",
        Principal="*",
        Condition={"ArnNotEquals": {"aws:PrincipalArn": listed}},
    )
    production.bucket(
        BUCKET,
        {
            ORDERS: "order_id,day,amount\n1001,2026-11-16,49.00\n1002,2026-11-16,12.50\n",
            "daily/orders-2026-11-15.csv": "order_id,day,amount\n990,2026-11-15,20.00\n",
            "daily-internal/margins.csv": "category,margin\n",
            CUSTOMERS: "customer,street\n",
        },
        document(guard),
    )
