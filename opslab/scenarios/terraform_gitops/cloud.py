"""The AWS organisation of module 04 as it is at the start: a part for each task, or the lesson's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opslab.scenarios.iam_roles.names import ACCOUNTS
from opslab.scenarios.terraform_gitops import bucket, common, drift, lesson, recovery, service_role, tags, two_folders

if TYPE_CHECKING:
    from opslab.worlds.aws.organisation import Organisation

__all__ = ["ACCOUNTS", "start"]

TASKS = (bucket, service_role, tags, drift, recovery, two_folders)
PARTS = (lesson, *TASKS)


def start(aws: Organisation, twists: frozenset[str]) -> None:
    """Put everything there. Twist "lesson": what lesson 04 plays with, and nothing else."""
    common.furnish(aws)
    for part in [lesson] if "lesson" in twists else TASKS:
        part.furnish(aws)
