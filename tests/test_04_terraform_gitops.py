"""Module 04: the checks look at AWS, state and forge, and judge as they should, whatever was planned and applied there."""

from __future__ import annotations

import functools
from typing import Any

from graded import *

from opslab.scenarios.terraform_gitops import bucket

STEM = "04_terraform_gitops"
SEEDS = (1, 2)
PARTS = (bucket,)


@functools.cache
def words(seed: int) -> dict[str, Any]:
    """What stands for {{…}} in the answers of this module, in the world of this seed."""
    found: dict[str, Any] = {}
    for part in PARTS:
        found |= part.words(seed)
    return found
