"""The landing place in AWS: a bucket in staging, who may write there, and who may read.

    >>> def start(aws, twists):                                   # of a scenario's cloud.py
    ...     furnish(Furnisher(aws, "staging"))
    >>> exporter = cloud.role("111122223333", EXPORTER)           # of the running organisation
    >>> deliver(Bucket(exporter.client("s3"), LANDING), Targ(1, 5_000), {"2026-11-16": "empty load"})

The sources write as the role `exporter`, which may put objects and not even list them; the pipeline reads as `pipeline-loader`, which
may list and get and nothing else. With a boto3 client of the second, `flow.Bucket` is the place that a `Flow` takes its files from.

The process that an organisation lives in makes no data (it lets nothing load NumPy), so `landing.deliver` does, as the exporter would.
As a scenario of its own, `opslab.worlds.pipeline.cloud` is the smallest organisation with such a bucket, for tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opslab.worlds.aws.seeding import Furnisher, allow, document, statement, trust

if TYPE_CHECKING:
    from opslab.worlds.aws.organisation import Organisation

LANDING = "targ-landing-staging"
EXPORTER, LOADER = "exporter", "pipeline-loader"

ACCOUNTS = {"platform": "777788889999", "staging": "111122223333", "production": "444455556666"}


def furnish(staging: Furnisher, *, trusted: tuple[str, ...] = ()) -> None:
    """Make the bucket and both roles.

    trusted: ARNs of those who may assume the roles; by default everybody in the account whose own policies allow it.
    """
    staging.bucket(LANDING)
    who = trust(*(trusted or (f"arn:aws:iam::{staging.account}:root",)))
    staging.role(EXPORTER, who, {"write": allow("s3:PutObject", f"arn:aws:s3:::{LANDING}/*")})
    reading = document(
        statement("Allow", "s3:ListBucket", f"arn:aws:s3:::{LANDING}"),
        statement("Allow", "s3:GetObject", f"arn:aws:s3:::{LANDING}/*"),
    )
    staging.role(LOADER, who, {"read": reading})


def start(aws: Organisation, twists: frozenset[str]) -> None:
    """The bucket, and a user who may become the loader."""
    staging = Furnisher(aws, "staging")
    furnish(staging)
    staging.user("night", {"become": allow("sts:AssumeRole", f"arn:aws:iam::{ACCOUNTS['staging']}:role/{LOADER}")})
