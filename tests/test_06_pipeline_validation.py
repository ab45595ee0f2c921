"""Module 06: answers of all kinds are judged as they deserve."""

from __future__ import annotations

import functools

from graded import *

from opslab.scenarios import pipeline_validation

STEM = "06_pipeline_validation"
SEEDS = (1, 2)
BRIEF = ("6.4", "6.5", "6.6")
LATER = ("6.1", "6.2", "6.3")
TRIED_ELSEWHERE = {
    *{"no-end", "renamed", "no-file-passes"},  # tests/test_06_green.py
    *{
        "too-slow",
        "no-list-of-alarms",
        "measures-too-slowly",
        "no-numbers",
        "cannot-measure",
        "too-many-alarms",
    },  # …_catching.py
}


@functools.cache
def words(seed: int) -> dict[str, object]:
    """What stands for {{…}} in the answers: what is true in the world of a seed."""
    found: dict[str, object] = {}
    for part in pipeline_validation.parts(frozenset()):
        found |= part.words(seed) if hasattr(part, "words") else {}
    return found
