"""The AWS organisation of module 02: a bot whose key has leaked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opslab.scenarios.iam_roles.names import ACCOUNTS
from opslab.scenarios.merge_requests import leak

if TYPE_CHECKING:
    from opslab.worlds.aws.organisation import Organisation

__all__ = ["ACCOUNTS", "start"]


def start(aws: Organisation, twists: frozenset[str]) -> None:
    """Put everything there; the lesson has no use for it."""
    leak.furnish(aws)
