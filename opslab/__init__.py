"""opslab: the package behind the notebooks of the course.

In a notebook these names are all you need:

    opslab.open("01")     go to the desk of module 01          opslab.check("1.2")   how far is task 1.2?
    opslab.lesson("01")   the same for a lesson, always fresh  opslab.hint("1.2")    one hint more
    opslab.progress()     what was reached so far              opslab.reset("1.2")   back to the start; a copy is kept
    opslab.screen("git chec<TAB>")   what a terminal would show
    opslab.why()          the last "access denied", explained  opslab.draw()         who can become whom
    opslab.commits("work/marts")     branches and commits     opslab.merge_request(1)   how it looks on the forge
    opslab.loop(1)        where it stands on its way into AWS  opslab.sides("prices")   staging and production side by side
    opslab.layers("image")   what a change makes anew         opslab.way("data/loader")   from the laptop into production
    opslab.runs()         what ran, and how many rows came out opslab.rows(counts)   rows over time
    opslab.beside(today, past)       a day beside good ones
"""

from opslab.lab import (
    LabError,
    NotYet,
    beside,
    check,
    commits,
    draw,
    hint,
    layers,
    lesson,
    loop,
    merge_request,
    open,
    placement,
    progress,
    reset,
    rows,
    runs,
    screen,
    sides,
    way,
    why,
)

__version__ = "0.1.0"

__all__ = [
    "LabError", "NotYet", "beside", "check", "commits", "draw", "hint", "layers", "lesson", "loop", "merge_request", "open", "placement",
    "progress", "reset", "rows", "runs", "screen", "sides", "way", "why",
]  # fmt: skip
