"""What it costs to claim too little or too much: proper scores for intervals and for probabilities.

    >>> round(10_000 * wilson(0, 10_000)[1], 2)  # nothing found in ten thousand rows: up to 4 in ten thousand there may be
    3.84
    >>> interval_loss(0.3, 0.5, truth=0.4)  # it covers, so it costs its width …
    0.2
    >>> round(interval_loss(0.3, 0.5, truth=0.51), 6)  # … and if it does not, 40 times the distance besides
    0.6
    >>> round(brier(0.8, true=0.5) - brier(0.5, true=0.5), 6)  # "80 per cent" of what is as likely as not
    0.09

A score is proper if nobody expects to do better than by saying what they believe (Gneiting and Raftery, "Strictly proper scoring
rules, prediction, and estimation", JASA 2007). So with these, a wide interval "to be on the safe side" costs, as a narrow one does, and
50 per cent for everything costs, as 99 does.

The intervals are the reference that others are compared with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

LEVEL = 0.95
Z = 1.959964
"""95 per cent of a normal distribution lie within so many standard deviations."""


def wilson(hits: float, of: float, z: float = Z) -> tuple[float, float]:
    """The interval for a share of which `hits` were found among `of` (Wilson 1927): low, high.

    Neither has to be a whole number, so an effective sample size will do. Raises ValueError where nothing was looked at.
    """
    if of <= 0 or not 0 <= hits <= of:
        raise ValueError(f"Found {hits} hits of {of}; expected 0 to all of at least one.")
    share = hits / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    # At both ends the two terms are the same but for rounding.
    return (0.0 if hits == 0 else middle - half), (1.0 if hits == of else middle + half)


def by_clusters(hits: Sequence[float], sizes: Sequence[float], z: float = Z) -> tuple[float, float, float]:
    """A share of rows that were drawn in groups (all rows of a visitor), not one by one: share, low, high.

    hits, sizes: of each group, how many rows have it and how many there are. Wilson's interval for as many independent rows as
    would tell as much as these do: the effective sample size (Kish 1965; Korn and Graubard 1998). Where all rows are alike there is
    nothing to estimate that from, and each group counts once.
    """
    groups, rows = len(sizes), sum(sizes)
    if groups < 2:
        raise ValueError(f"Found {groups} groups; from fewer than two nothing can be said about how much they differ.")
    share = sum(hits) / rows
    spread = sum((hit - share * size) ** 2 for hit, size in zip(hits, sizes, strict=True))
    variance = spread / rows**2 * groups / (groups - 1)
    effective = share * (1 - share) / variance if variance else groups
    effective = min(effective, rows)
    return share, *wilson(min(share, 1.0) * effective, effective, z)


def interval_loss(low: float, high: float, truth: float, level: float = LEVEL) -> float:
    """Winkler's score of an interval that should hold the truth in `level` of all cases. Smaller is better."""
    outside = max(low - truth, truth - high, 0.0)
    return high - low + 2 / (1 - level) * outside


def brier(said: float, true: float) -> float:
    """The quadratic loss (Brier 1950) to be expected for saying that probability of something whose probability is `true`.

    The best that can be had is true * (1 - true), for saying it; (said - true)² comes on top.
    """
    return true * (1 - said) ** 2 + (1 - true) * said**2
