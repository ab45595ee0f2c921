"""Module 05: the checks build, install, pull and scan, and judge as they should, whatever was built and pushed there."""

from __future__ import annotations

import functools
from typing import Any

from graded import *

from opslab.scenarios import docker_pinning

STEM = "05_docker_pinning"
SEEDS = (1, 2)
BRIEF = ("5.1", "5.6")
LATER = ("5.2", "5.3", "5.4", "5.5")


@functools.cache
def words(seed: int) -> dict[str, Any]:
    """What stands for {{…}} in the answers of this module, in the world of this seed."""
    found: dict[str, Any] = {}
    for part in docker_pinning.parts():
        if hasattr(part, "words"):
            found |= part.words(seed)
    return found
