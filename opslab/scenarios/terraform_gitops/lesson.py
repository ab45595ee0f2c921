"""What lesson 04 plays with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from opslab.worlds.forge.forge import Forge

if TYPE_CHECKING:
    from opslab.worlds.aws.organisation import Organisation


def words(seed: int) -> dict[str, str]:
    return {}


def build(forge: Forge, home: Path, seed: int) -> None:
    """Put the repository on the forge."""


def put_on_desk(home: Path, seed: int) -> None:
    """Put what lies on the desk there."""


def furnish(aws: Organisation) -> None:
    """Put this part of the organisation there."""
