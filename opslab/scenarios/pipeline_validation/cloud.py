"""The AWS organisation of module 06 as it is at the start: the account staging, with the bucket in which files land.

The desk is `pipeline-loader` where nothing else is said: it may list and read the bucket, as the DAG does at night. The files
come by the role `exporter`, see `landing`. Each account has its administrator, as always.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opslab.scenarios.iam_roles.names import Profile, of_role, of_user, role
from opslab.worlds.aws.seeding import Furnisher, allow
from opslab.worlds.pipeline.cloud import ACCOUNTS, EXPORTER, LOADER, furnish

if TYPE_CHECKING:
    from opslab.worlds.aws.organisation import Organisation

__all__ = ["ACCOUNTS", "STAGING", "profiles", "start"]

STAGING = ACCOUNTS["staging"]


def profiles(seed: int) -> list[Profile]:
    """What stands in ~/.aws. The profile `default` is who boto3 is in a DAG that says nothing."""
    return [
        of_role("default", role(STAGING, LOADER), "you"),
        of_user("you", seed, STAGING, "you"),
        of_role("exporter", role(STAGING, EXPORTER), "you"),
        of_user("staging-admin", seed, STAGING, "administrator"),
    ]


def start(aws: Organisation, twists: frozenset[str]) -> None:
    """Put everything there; the lesson's is the same."""
    staging = Furnisher(aws, "staging")
    furnish(staging)
    become = allow("sts:AssumeRole", [role(STAGING, LOADER), role(STAGING, EXPORTER)])
    staging.user("you", {"become": become})
