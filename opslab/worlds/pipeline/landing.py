"""Days of Targ, delivered to where the pipeline takes its files from.

>>> deliver(Folder("/tmp/landing"), Targ(1, 5_000), {"2026-11-15": "", "2026-11-16": "empty load"})
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from opslab.worlds.pipeline.data import SCHEMA, Frames, Targ
from opslab.worlds.pipeline.faults import plant
from opslab.worlds.pipeline.flow import land
from opslab.worlds.pipeline.flow.places import Place


def tables_of(targ: Targ, day: str, fault: str = "") -> Frames:
    """The tables of a day, with a fault planted where one is named; the same each time."""
    tables = targ.day(day)
    return plant(fault, tables, f"{targ.seed} {day}") if fault else tables


def deliver(place: Place, targ: Targ, days: Mapping[str, str], tables: Iterable[str] = SCHEMA) -> None:
    """Land days. days: for each date the fault that is in it, "" for none. tables: those that are delivered."""
    wanted = list(tables)
    for day, fault in days.items():
        for name, frame in tables_of(targ, day, fault).items():
            if name in wanted:
                land(place, name, day, frame)
