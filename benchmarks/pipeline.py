"""How long a day of Targ takes to make, beside the bare NumPy time for columns of the same sizes and types.

    .venv/bin/python benchmarks/pipeline.py

Best of 3 each, in a fresh world. Ends with exit code 1 where a limit does not hold: 2 s for a day with a million clicks, all
of its tables together. "Bare NumPy" draws each column of the clicks with NumPy's own generator and takes the texts from
arrays of objects: no keys, no sorting, no pandas. "pandas" is the same with a DataFrame around it.
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from opslab.worlds.pipeline.data import SCHEMA, Targ, digest
from opslab.worlds.pipeline.faults import FAULTS, plant
from opslab.worlds.pipeline.profile import profile

DAY = "2026-11-16"
LIMIT = 2.0
TIMES = 3


def best(call: Callable[[], object]) -> float:
    """The shortest time, in seconds, that a call takes."""
    taken = []
    for _ in range(TIMES):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return min(taken)


def bare(rows: int) -> dict[str, np.ndarray]:
    """Columns like those of the clicks, drawn without any thought."""
    rng = np.random.default_rng(1)
    columns = {}
    for column, kind in SCHEMA["clicks"].items():
        if kind == "str":
            columns[column] = np.array(["web", "android", "ios", "tv"], dtype=object)[rng.integers(0, 4, rows)]
        else:
            values = rng.integers(0, 2**40, rows)
            columns[column] = values.view("datetime64[us]") if kind.startswith("datetime") else values
    return columns


def framed(rows: int) -> pd.DataFrame:
    """The same as a DataFrame with the types of the schema."""
    return pd.DataFrame(bare(rows)).astype(SCHEMA["clicks"])


def main() -> int:
    """Measure, print the tables, and return the exit code."""
    print(f"Python {platform.python_version()}, NumPy {np.__version__}, pandas {pd.__version__}")
    print(
        f"{'clicks a day':>14}{'rows made':>12}{'whole day':>11}{'clicks':>9}{'NumPy':>9}{'pandas':>9}{'× NumPy':>9}{'× pandas':>9}"
    )
    holds = True
    for size in (20_000, 200_000, 1_000_000):
        day = Targ(1, size).day(DAY)
        rows = len(day["clicks"])
        whole = best(lambda size=size: Targ(1, size).day(DAY))
        clicks = best(lambda size=size: Targ(1, size).table("clicks", DAY))
        numpy, pandas = best(lambda rows=rows: bare(rows)), best(lambda rows=rows: framed(rows))
        late = whole > LIMIT and size <= 1_000_000
        holds = holds and not late
        print(
            f"{size:>14,}{sum(map(len, day.values())):>12,}{whole:>11.3f}{clicks:>9.3f}{numpy:>9.3f}{pandas:>9.3f}"
            f"{clicks / numpy:>9.1f}{clicks / pandas:>9.1f}{'  NOT HELD' if late else ''}"
        )
    print(f"limit: {LIMIT} s for the whole day with a million clicks")

    small = Targ(1, 20_000).day(DAY)
    planting = {name: best(lambda name=name: plant(name, small, seed=1)) for name in FAULTS}
    slowest = max(planting, key=planting.get)
    print(
        f"20,000 clicks: profile {best(lambda: profile(small, DAY)):.3f} s, digest {best(lambda: digest(small)):.3f} s,"
    )
    print(
        f"  a fault {np.median(list(planting.values())):.4f} s (median of {len(FAULTS)}), slowest {planting[slowest]:.3f} s: {slowest}"
    )
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
