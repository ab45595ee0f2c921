"""The AWS organisation of module 03 as it is at the start: a part for each task, or the lesson's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opslab.scenarios.iam_roles import dots, lesson, let_in, loader, reports, triage, whoami
from opslab.scenarios.iam_roles.names import ACCOUNTS

if TYPE_CHECKING:
    from opslab.worlds.aws.organisation import Organisation

__all__ = ["ACCOUNTS", "start"]


def start(aws: Organisation, twists: frozenset[str]) -> None:
    """Put everything there. Twist "lesson": what lesson 03 plays with, and nothing else."""
    parts = [lesson] if "lesson" in twists else [whoami, let_in, loader, reports, triage, dots]
    for part in parts:
        part.furnish(aws)
