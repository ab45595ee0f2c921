"""What lesson 03 plays with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opslab.scenarios.iam_roles.names import Profile

if TYPE_CHECKING:
    from opslab.worlds.aws.organisation import Organisation


def profiles(seed: int) -> list[Profile]:
    return []


def furnish(aws: Organisation) -> None:
    pass
