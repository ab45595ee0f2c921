"""What the benchmarks have in common: the median of the times that a call takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def wall(call: Callable[[], object], times: int = 10, before: Callable[[], object] = lambda: None) -> float:
    """The median time of a call, in seconds; `before` is done each time and not counted."""
    taken = []
    for _ in range(times):
        before()
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)
