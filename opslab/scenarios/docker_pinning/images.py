"""What module 05's desk has running for images, and what is there at the start: `opslab.worlds.images.desk`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from opslab.scenarios import docker_pinning
from opslab.scenarios.docker_pinning import common
from opslab.scenarios.iam_roles.names import PLATFORM
from opslab.worlds import packages
from opslab.worlds.aws.clients import REGION
from opslab.worlds.aws.cloud import Cloud
from opslab.worlds.images.desk import VENV, Desk

MADE = ".images/made"
"""The file that says that everything is there."""


def open(
    home: Path,
    *,
    seed: int,
    cloud: Callable[[], Cloud | None],
    ports: Mapping[str, int] | None = None,
    shown: Mapping[str, int] | None = None,
    theirs: Sequence[str] = (),
) -> Desk:
    """Start what the desk `home` has. cloud: gives its AWS organisation of the moment. For the rest see `Desk`."""

    def ask(what: str, /, **arguments: Any) -> Any:
        running = cloud()
        if running is None:
            raise RuntimeError("AWS is not running")
        return running.ask(what, **arguments)

    return Desk(
        home,
        seed=seed,
        ports=ports,
        shown=shown,
        theirs=theirs,
        users=common.users(seed),
        public=common.PUBLIC,
        immutable=common.IMMUTABLE,
        account=PLATFORM,
        region=REGION,
        ask=ask,
    )


def put(desk: Desk, twists: frozenset[str], *, task: str = "") -> None:
    """Make the images that are there at the start, where they are not there yet. task: only what this one ("5.4") needs."""
    if not (desk.home / VENV).exists():
        packages.make_venv(desk.home / VENV, also=["PyYAML"])  # 5.6 is a script's work
    made = desk.home / f"{MADE}{task}"
    if not made.exists():
        for number, part in enumerate(docker_pinning.parts(twists), 1):
            if hasattr(part, "images") and task in ("", f"5.{number}"):
                part.images(desk)
        made.touch()
    desk.prepare()
