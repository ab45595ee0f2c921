"""Module 05: a service that dies in its container, and the way of an image from a laptop to production.

loader/, machine/, notes/        5.1: the loader, an environment in which it runs, what was tried so far
service/                         5.2: the same loader, to be pinned
image/, secrets/                 5.3: an app with the Dockerfile that somebody left
deploy/                          5.4: what staging and production run, and the next version
forge/                           5.5: the forge, with data/weekly; `git clone forge:data/weekly`
runners/, labels/                5.6: forty manifests, and a pipeline that needs a daemon
answers/                         forms to fill in

What runs beside the files (package index, engine, registries) is opened by `images`, and what is made of this machine's own Python
(environments, images) is put there by it.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from opslab.scenarios.docker_pinning import ci, dockerfile, incident, lesson, pins, promote, runners

TWISTS = {"lesson": "the desk of lesson 05"}

TASKS = (incident, pins, dockerfile, promote, ci, runners)


def parts(twists: frozenset[str] = frozenset()) -> tuple[ModuleType, ...]:
    """What the desk is made of: a module for each task; with the twist "lesson" that of lesson 05."""
    return (lesson,) if "lesson" in twists else TASKS


def build(home: Path, seed: int, twists: frozenset[str]) -> None:
    """Put the desk on `home`. Twist "lesson": the desk of lesson 05."""
    for part in parts(twists):
        part.build(home, seed, twists)
