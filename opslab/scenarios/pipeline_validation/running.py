"""What module 06's desk has running beside its files: the landing place in S3 is filled once, and the warehouse answers.

>>> running = open(home, seed=1, cloud=lambda: aws)
>>> running.env
{'TARG_WAREHOUSE': '127.0.0.1:40123'}
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from opslab.scenarios.pipeline_validation import landing, lesson, revenue
from opslab.worlds.aws.cloud import Cloud
from opslab.worlds.pipeline.running import WarehouseService


def open(
    home: Path,
    *,
    seed: int,
    cloud: Callable[[], Cloud | None],
    port: int = 0,
    twists: frozenset[str] = frozenset(),
) -> WarehouseService:
    """Fill the landing place where that was not done yet, and start the warehouse of the desk `home`.

    cloud: gives its AWS organisation of the moment. port: where the warehouse is to listen; 0: where there is room.
    """
    if aws := cloud():
        landing.deliver(aws, seed, twists)
    open_case = lesson.open_case if "lesson" in twists else partial(revenue.open_case, seed=seed)
    return WarehouseService(home, open_case, revenue.BUDGET, port=port)
