"""The desk of lesson 06: three weeks of clicks and orders where the sources put them, and nothing run yet.

    landing/       clicks and orders by day; of Monday the 16th there is a file of clicks without a row
    dags/          the DAG that does each morning what the lesson does by hand
    sample/        ten thousand rows of a table that nobody can read whole

The warehouse has the case of `CASE`, which is nobody's own.
"""

from __future__ import annotations

import datetime
import functools
import random
from pathlib import Path

from opslab.worlds.pipeline import dags
from opslab.worlds.pipeline.data import Targ
from opslab.worlds.pipeline.flow import Folder
from opslab.worlds.pipeline.landing import deliver
from opslab.worlds.pipeline.revenue import Case

FIRST, DAYS, EMPTY = datetime.date(2026, 10, 29), 21, "2026-11-16"
ROWS = 10_000
CASE = 928
"""The seed of what the warehouse of the lesson tells of: from the last Monday of October, one exchange rate does not come any more."""


def build(home: Path, seed: int, twists: frozenset[str]) -> None:
    """Put the landing place, the DAG and the sample on the desk."""
    days = [str(FIRST + datetime.timedelta(days=number)) for number in range(DAYS)]
    targ = Targ(seed, clicks=2_000)
    deliver(Folder(home / "landing"), targ, dict.fromkeys(days, "") | {EMPTY: "empty load"}, ["clicks"])
    deliver(Folder(home / "landing"), targ, dict.fromkeys(days[-3:], ""), ["orders", "listings"])
    (home / "dags").mkdir()
    (home / "dags/clicks_daily.py").write_text(Path(dags.__file__).with_name("clicks_daily.py").read_text())
    (home / "sample").mkdir()
    (home / "sample/events.csv").write_text(sample())


def open_case(folder: Path) -> None:
    """The warehouse of the lesson."""
    Case(CASE, "pipeline").write(folder)


@functools.cache
def sample() -> str:
    """Ten thousand events. A visitor in forty has an old app, and then all of their events come without a country."""
    rng, lines = random.Random("lesson 06"), ["visitor_id,country"]
    visitor = 40_000
    while len(lines) <= ROWS:
        visitor += rng.randrange(1, 60)
        country = "" if rng.random() < 1 / 40 else rng.choice(("PL", "DE", "CZ", "SE"))
        events = min(int(rng.paretovariate(1.1)), 400)
        lines += [f"{visitor},{country}"] * events
    return "\n".join(lines[: ROWS + 1]) + "\n"
