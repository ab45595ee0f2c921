"""Module 05: the checks build, install, pull and scan, and judge as they should, whatever was built and pushed there."""

from __future__ import annotations

import functools
import shutil
import tempfile
from pathlib import Path
from typing import Any

from graded import *

from opslab.scenarios import docker_pinning
from opslab.worlds import workspace

STEM = "05_docker_pinning"
SEEDS = (1, 2)
BRIEF = ("5.1", "5.6")
LATER = ("5.2", "5.3", "5.4", "5.5")


@functools.cache
def template(seed: int) -> Path:
    """A desk without pip in its environments, which no check uses: half of all its files, to be copied for each answer."""
    home = Path(tempfile.mkdtemp(prefix="opslab-template-")) / "home"
    workspace.build(STEM, home, seed)
    for folder in home.glob("*/lib/python*/site-packages/pip"):
        shutil.rmtree(folder)
    return home


@functools.cache
def words(seed: int) -> dict[str, Any]:
    """What stands for {{…}} in the answers of this module, in the world of this seed."""
    found: dict[str, Any] = {}
    for part in docker_pinning.parts():
        if hasattr(part, "words"):
            found |= part.words(seed)
    return found
