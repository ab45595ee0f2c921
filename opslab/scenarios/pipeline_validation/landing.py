"""What has landed before the desk is opened: ten days of clicks. On Tuesday the file came without a single row.

>>> deliver(cloud, seed=1, twists=frozenset())
"""

from __future__ import annotations

import datetime

from opslab.scenarios.pipeline_validation.cloud import STAGING
from opslab.worlds.aws.cloud import Cloud
from opslab.worlds.pipeline.cloud import EXPORTER, LANDING, LOADER
from opslab.worlds.pipeline.data import Targ
from opslab.worlds.pipeline.flow import Bucket, land

CLICKS = 1_500
"""Of an ordinary day, about. Few, so that a day runs through in a blink and AWS starts quickly."""

FIRST, LAST = datetime.date(2026, 11, 9), datetime.date(2026, 11, 18)
DAYS = [str(FIRST + datetime.timedelta(days=number)) for number in range((LAST - FIRST).days + 1)]
EMPTY = "2026-11-17"


def targ(seed: int) -> Targ:
    """The marketplace of a desk."""
    return Targ(seed, clicks=CLICKS)


def deliver(cloud: Cloud, seed: int, twists: frozenset[str] = frozenset()) -> None:
    """Put the clicks of each day into the landing place, as the exporter does. A day of which something is there stays as it is.

    The lesson lands its own files, in a folder: with the twist "lesson" nothing is done.
    """
    if "lesson" in twists:
        return
    there = Bucket(cloud.role(STAGING, LOADER).client("s3"), LANDING).list("clicks/")
    known = {key.split("/")[1].removeprefix("day=") for key in there}
    bucket, world = Bucket(cloud.role(STAGING, EXPORTER).client("s3"), LANDING), targ(seed)
    for day in DAYS:
        if day not in known:
            clicks = world.table("clicks", day)
            land(bucket, "clicks", day, clicks.head(0) if day == EMPTY else clicks)
