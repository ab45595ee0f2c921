"""Module 02: the checks look at the forge, and judge as they should, whatever was pushed there."""

from __future__ import annotations

import functools
from typing import Any

from graded import *

from opslab.scenarios.merge_requests import churn, leak

STEM = "02_merge_requests"
SEEDS = (1, 2)


@functools.cache
def words(seed: int) -> dict[str, Any]:
    """What stands for {{…}} in the answers of this module, in the world of this seed."""
    return {"old_key": leak.old_key(seed), "customer": churn.customer(seed)}
