"""Module 06: a pipeline that is green whatever comes, and what can be known about its numbers.

lib/targ/                        the company's library: landing, staging, clean, marts
dags/, airflow/, .aws/           6.1: the DAG of the clicks, Airflow's settings, who may read the landing place
work/checks/                     6.2: checks, and days to try them on
work/door/, secrets/             6.3: what comes in, and the key for hashes
work/sample/                     6.4: samples of a table that nobody can read whole
.warehouse/                      6.5: what was asked of the warehouse, and what it cost
evidence/                        6.6: what is known so far
notes/, answers/                 what colleagues have written down; forms to fill in

What runs beside the files (the landing place in S3, the warehouse) is opened by `running`.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from opslab.worlds.workspace import LIBRARY

TWISTS = {"lesson": "the desk of lesson 06"}

TASKS = {"6.1": "green", "6.2": "catching", "6.3": "door", "6.4": "sample", "6.5": "revenue", "6.6": "memo"}
"""The part of each task: a module of this package."""


def parts(twists: frozenset[str], task: str = "") -> list[ModuleType]:
    """What the desk is made of: a module for each task, or for one; with the twist "lesson" that of lesson 06."""
    names = ["lesson"] if "lesson" in twists else [name for id, name in TASKS.items() if task in ("", id)]
    return [importlib.import_module(f"{__name__}.{name}") for name in names]


def build(home: Path, seed: int, twists: frozenset[str], task: str = "") -> None:
    """Put the desk on `home`. Twist "lesson": the desk of lesson 06. task: only what belongs to this one ("6.3")."""
    # Only here: the process that AWS lives in imports this package too, and may load nothing like DuckDB.
    flow = importlib.import_module("opslab.worlds.pipeline.flow")
    flow.install(home / LIBRARY)
    for part in parts(twists, task):
        part.build(home, seed, twists)
