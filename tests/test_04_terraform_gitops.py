"""Module 04: the checks look at AWS, state and forge, and judge as they should, whatever was planned and applied there."""

from __future__ import annotations

import functools
from typing import Any

from graded import *

from opslab.scenarios.terraform_gitops import bucket, drift, plans, recovery, service_role, tags, two_folders
from opslab.scenarios.terraform_gitops.common import ACCOUNTS
from opslab.worlds.aws import keys

STEM = "04_terraform_gitops"
SEEDS = (1, 2)
BRIEF = ("4.1",)
LATER = ("4.2", "4.3", "4.4", "4.5", "4.6", "4.7")
ELSEWHERE = {"4.7": ["mended"]}
TRIED_ELSEWHERE = {"policy-endless"}  # in test_04_tags.py
UNSEEN = {"4.4": ["catches", "spares"]}
PARTS = (plans, bucket, service_role, tags, drift, recovery, two_folders)


@functools.cache
def words(seed: int) -> dict[str, Any]:
    """What stands for {{…}} in the answers of this module, in the world of this seed."""
    found: dict[str, Any] = {}
    for part in PARTS:
        found |= part.words(seed)
    for name, account in ACCOUNTS.items():
        # Nobody has these. But they follow from the seed, so somebody might find them out.
        key, secret = keys.access_key(seed, account, "administrator")
        found[f"{name}_administrator"] = f"AWS_ACCESS_KEY_ID={key} AWS_SECRET_ACCESS_KEY={secret}"
    return found
