"""Task 6.4: somebody found something in ten thousand rows of four hundred million.

    work/sample/README.md                       what was drawn and how, what it costs
    work/sample/{first,rows,visitors}.csv       three files of about ten thousand clicks of October
    work/sample/estimate.py                     Olek's script, which does not ask where its rows come from
    answers/6.4.txt                             the form

`month` knows the truth of which the files on the desk are drawn, `hidden` draws the files on which a script is tried. A click is
strange if it happened after it was received: a phone with a wrong clock. So it is a matter of the phone, not of the click.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from opslab.worlds.pipeline.company import HOURS
from opslab.worlds.pipeline.draws import MILLION, Draws
from opslab.worlds.pipeline.scoring import wilson

FOLDER = "work/sample"
SCRIPT = f"{FOLDER}/estimate.py"
ANSWERS = "answers/6.4.txt"

CLICKS = 400_000_000
ROWS = 10_000
VISITORS = 960
FILES = ("first", "rows", "visitors")
TELLS = {"first": "nothing", "rows": "rows", "visitors": "both"}
"""What each file can tell about October: the share of its rows, the share of its visitors, both, or nothing."""

DAYS = 31
FIRST_SECOND = np.datetime64("2026-10-01T00:00:00", "s")
BUSY = np.concatenate([[0], np.cumsum(HOURS)])

SIZES = tuple(size for size, often in zip(range(1, 61), (3600 // (n * n + 60) for n in range(1, 61)), strict=True) for _ in range(often))  # fmt: skip
"""How many clicks visitors have in a month: one of these, each as likely as the others. Most have few, some have many."""
SIZE = np.array(SIZES)

STRANGE_OF_WRONG = 900_000
"""Of a million clicks of a phone with a wrong clock, how many are strange. The others were set right by the network."""

HEAVIER = 2
"""How many times as many clicks those with a wrong clock have. Only phones have a clock of their own, and apps are used more."""


@dataclass(frozen=True)
class Sample:
    """Some clicks. share: what share of all rows is strange in the month they are from. scale: about how well that can be told.

    kind: rows, rare (rows, and hardly any of them strange), visitors, bare (visitors, and nothing strange was found) or slice.
    """

    kind: str
    rows: np.ndarray
    visitor: np.ndarray
    strange: np.ndarray
    people: int
    share: float = 0.0
    scale: float = 0.0

    @property
    def text(self) -> str:
        """As CSV."""
        when = np.datetime_as_string(happened(self.rows, self.people)).tolist()
        columns = (self.rows.tolist(), when, self.visitor.tolist(), self.strange.astype(int).tolist())
        lines = (f"{row},{at},{who},{odd}" for row, at, who, odd in zip(*columns, strict=True))
        return "\n".join(("row,happened_at,visitor_id,strange", *lines)) + "\n"


def happened(rows: np.ndarray, people: int) -> np.ndarray:
    """When the clicks with these numbers happened: each day has as many, and its hours are as busy as they always are."""
    day, within = np.divmod((rows - 1) * DAYS, people)
    mark = within * int(BUSY[-1]) // people
    hour = np.searchsorted(BUSY, mark, side="right") - 1
    rest = within * int(BUSY[-1]) - BUSY[hour] * people
    second = rest * 3600 // (np.array(HOURS)[hour] * people)
    return FIRST_SECOND + (day * 86_400 + hour * 3600 + second).astype("timedelta64[s]")


# ---- the month on the desk -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Team:
    """A team that would have to mend something. Costs are in euro, to the cent; decision: yes, no or more (draw more rows first)."""

    name: str
    what: str
    per_thousand: float
    week: int
    decision: str


@dataclass(frozen=True)
class Month:
    """What is on the desk of a seed. people: clicks that are not of crawlers. low, high: Wilson's, of rows.csv."""

    people: int
    samples: dict[str, Sample]
    low: float
    high: float
    teams: tuple[Team, ...]

    @property
    def share(self) -> float:
        return float(self.samples["rows"].strange.mean())


WORK = {
    "sessions": "The sessions of people with a wrong clock fall apart. Hania would join them again",
    "adverts": "Adverts are shown to people who have bought already. Marketing would count again",
    "support": "“You were here tomorrow”, says our mail, and people write to support. They would get a kind answer",
}


@functools.lru_cache(maxsize=4)
def month(seed: int) -> Month:
    """The October of a seed."""
    draws = Draws(f"sample {seed}")
    people = CLICKS - 21_000_000 - draws.one("crawlers", 0, 9_000_000)
    wrong = 7_000 + draws.one("wrong clocks", 0, 3_000)  # visitors of a million
    samples = {
        "first": _slice(draws, "first", ROWS, 1, 40_000 + wrong, people),
        "rows": _rows(draws, "rows", "rows", ROWS, _row_share(wrong), people),
        "visitors": _visitors(draws, "visitors", "visitors", VISITORS, wrong, people),
    }
    strange = samples["rows"].strange
    low, high = wilson(int(strange.sum()), ROWS)
    return Month(people, samples, low, high, _teams(draws, people, float(strange.mean()), low, high))


def _teams(draws: Draws, people: int, share: float, low: float, high: float) -> tuple[Team, ...]:
    """Three teams: for one a week is worth it at both ends of the interval, for one at neither, for one only at one end."""
    turn = np.argsort(draws.bits("teams", np.arange(3)))
    weeks = (3_200, 4_000, 4_800)
    even = {
        "yes": low * 0.55,
        "no": high * 1.45,
        "more": share + (share - low) * (0.3 if draws.one("side", 0, 2) else -0.3),
    }
    found = []
    for name, at, week in zip(WORK, turn.tolist(), weeks, strict=True):
        decision = tuple(even)[at]
        found.append(Team(name, WORK[name], round(week / (even[decision] * people) * 1000, 2), week, decision))
    return tuple(found)


def _row_share(wrong: int) -> float:
    """The share of strange rows, where of a million visitors `wrong` have a wrong clock."""
    mine = wrong * HEAVIER
    return mine / (mine + MILLION - wrong) * STRANGE_OF_WRONG / MILLION


def _spread(draws: Draws, name: str, count: int, people: int) -> np.ndarray:
    """Numbers of rows, drawn by lot from all of them, none twice. In order."""
    drawn = draws.below(name, np.arange(count + 100), people)
    _, first = np.unique(drawn, return_index=True)
    return 1 + np.sort(drawn[np.sort(first)[:count]])


def _slice(draws: Draws, name: str, count: int, first: int, wrong: int, people: int) -> Sample:
    """Rows that follow each other: of few people, within minutes."""
    at = np.arange(count)
    who = draws.skewed(f"{name}: who", at, max(count // 4, 2))
    odd = draws.chance(f"{name}: wrong clock", who, wrong) & draws.chance(f"{name}: strange", at, STRANGE_OF_WRONG)
    return Sample("slice", first + at, 1_000 + who * 12_347, odd, people)


def _rows(draws: Draws, name: str, kind: str, count: int, share: float, people: int, scale: float = 0.0) -> Sample:
    """Rows that were drawn by lot. Of so many visitors, hardly one comes twice."""
    rows = _spread(draws, name, count, people)
    strange = draws.chance(f"{name}: strange", rows, int(share * MILLION))
    return Sample(kind, rows, 1_000 + draws.below(f"{name}: who", rows, 30_000_000), strange, people, share, scale)


def _visitors(draws: Draws, name: str, kind: str, count: int, wrong: int, people: int, scale: float = 0.0) -> Sample:
    """All rows of visitors who were drawn by lot. Of a million visitors, `wrong` have a wrong clock."""
    at = np.arange(count)
    odd = draws.chance(f"{name}: wrong clock", at, wrong)
    sizes = SIZE[draws.below(f"{name}: clicks", at, len(SIZE))] * np.where(odd, HEAVIER, 1)
    who = np.repeat(at, sizes)
    rows = _spread(draws, f"{name}: rows", len(who), people)
    # Rows are in order of time, so which of them belong to whom is a matter of lot as well.
    who = who[np.argsort(draws.bits(f"{name}: order", np.arange(len(who))))]
    strange = odd[who] & draws.chance(f"{name}: strange", rows, STRANGE_OF_WRONG)
    ids = 1_000 + at * 36_001 + draws.below(f"{name}: ids", at, 36_000)
    return Sample(kind, rows, ids[who], strange, people, _row_share(wrong), scale)


# ---- files on which a script is tried --------------------------------------------------------------------------------------

GROUPS = {"rows": 40, "rare": 60, "visitors": 60, "bare": 12, "slice": 20}
"""How many files of each kind."""


TRIES = 8
"""So many files are drawn for one that is taken."""


@functools.lru_cache(maxsize=2)
def hidden(seed: int) -> tuple[Sample, ...]:
    """Files from as many months, each with a share of its own, in an order without meaning.

    Good and bad luck come as often as they should: of all that were drawn, put in the order of how far they are off, every eighth is
    taken. So a script that is right does not fail because too many of its intervals had bad luck.
    """
    draws = Draws(f"hidden samples {seed}")
    found = []
    for kind, count in GROUPS.items():
        drawn = [_hidden(draws, kind, number) for number in range(count if kind == "slice" else count * TRIES)]
        drawn.sort(key=lambda one: (one.strange.mean() - one.share) / one.scale if one.scale else 0)
        if kind == "bare":
            drawn = [one for one in drawn if not one.strange.any()][:count]
        elif kind != "slice":
            drawn = drawn[TRIES // 2 :: TRIES]
        found += drawn
    return tuple(found[at] for at in np.argsort(draws.bits("order", np.arange(len(found)))))


def _hidden(draws: Draws, kind: str, number: int) -> Sample:
    """One file."""
    name = f"{kind} {number}"

    def between(what: str, least: int, most: int) -> int:
        return least + draws.one(f"{kind}: {what}", number, most - least)

    people = CLICKS - between("crawlers", 10, 50) * MILLION
    if kind == "slice":
        begin = 1 if number % 2 else between("begin", MILLION, 300 * MILLION)
        return _slice(draws, name, between("size", 300, 900), begin, between("share", 40_000, 200_000), people)
    if kind in ("visitors", "bare"):
        count = between("size", 110, 190)
        wrong = between("share", 90_000, 240_000) if kind == "visitors" else between("share", 4_000, 12_000)
        share = _row_share(wrong)
        # How far visitors are from the share, by the rows that they have: the variance of a ratio of sums.
        per_row = wrong * (HEAVIER * (STRANGE_OF_WRONG / MILLION - share)) ** 2 + (MILLION - wrong) * share**2
        mean = float(SIZE.mean()) * (1 + wrong * (HEAVIER - 1) / MILLION)
        scale = math.sqrt(per_row / MILLION * float((SIZE**2).mean()) / count) / mean
        return _visitors(draws, name, kind, count, wrong, people, scale)
    count = between("size", 300, 900)
    share = (
        between("share", 30_000, 350_000) / MILLION if kind == "rows" else between("hits", 400, 3_000) / 1000 / count
    )
    scale = math.sqrt(share * (1 - share) / count) + (1 / count if kind == "rare" else 0)
    return _rows(draws, name, kind, count, share, people, scale)


# ---- the desk --------------------------------------------------------------------------------------------------------------

STARTER = '''\
"""What share of a month's clicks is strange, and how sure is that?    python estimate.py FILE...

Prints a line for each file: its name, the share, the low and the high end of the interval that holds the month's share in 95 of 100
cases. Or its name and "none", if the file says nothing about the month.
"""

import math
import sys
from pathlib import Path

import pandas as pd


def estimate(sample):
    """share, low, high of the share of strange rows in the month; or None."""
    share = sample["strange"].mean()
    half = 1.96 * math.sqrt(share * (1 - share) / len(sample))
    return share, share - half, share + half


for path in sys.argv[1:]:
    found = estimate(pd.read_csv(path))
    print(Path(path).name, *(found or ["none"]))
'''

README = """\
# Clicks from the future

A click is *strange* if it happened after we received it: somebody's phone has a wrong clock. Such a phone does it with nearly every
click. Olek has found some in the clicks of October 2026.

## What there is

October has {clicks:,} clicks. {crawlers:,} of them are of crawlers, who have no phone and no clock; they had been taken out before
anything here was drawn.

| file | how it was made |
| --- | --- |
| `first.csv` | Olek: `SELECT … LIMIT {rows}`. The database gave what came first |
| `rows.csv` | Iga: {rows:,} clicks of October, drawn by lot, each as likely as the others |
| `visitors.csv` | Iga: {visitors} visitors of October, drawn by lot, each as likely as the others, with all their clicks |

| column | what |
| --- | --- |
| `row` | its number in October, in order of time |
| `happened_at` | when it happened (mended: the right time) |
| `visitor_id` | whose click it is |
| `strange` | 1 if it is strange, else 0 |

## The script

`estimate.py` is Olek's. Make it right. It is tried on 180 files like these, of other months and smaller (300 to 4,000 rows), all in one call:

    python work/sample/estimate.py samples/001.csv samples/002.csv …

and prints a line for each: name, share, low, high; shares of the month's *rows*, from 0 to 1. Or name and `none` where a file says nothing
about the month. The files do not say how they were made; what is in them does. Some were drawn row by row, some visitor by visitor, some
are rows that follow each other. It has 30 seconds.

Where nothing strange was found, say up to how much there could be. In a file that was drawn by visitors, count each visitor once then.

Each interval costs points, the fewer the better. It costs its width. If the truth lies outside, 40 times the distance comes on top. Say you
print 0.10 to 0.14, a width of 0.04. If the truth is 0.12, that costs 0.04 points. If it is 0.15, it lies 0.01 outside, and that costs
0.04 + 40 × 0.01 = 0.44. So too wide costs a little each time, too narrow costs much now and then; an interval that holds the truth in 95 of
100 cases costs least. (Winkler's score.) Yours may cost 30 per cent more than a good one, over all files of a kind; where next to nothing
was found, 50 per cent.

## What it costs

A week of work mends October. To leave it as it is costs so much for each thousand strange rows:

| team | what | a thousand rows | a week |
| --- | --- | --- | --- |
{teams}

Worth a week? `yes`, if it is worth it wherever in the interval the truth is; `no`, if it is nowhere; `more`, if that depends: then draw more
rows before anybody begins.
"""

FORM = """\
# Clicks from the future. Keep the form "key: value". work/sample/README.md says what was drawn and how.
#
#   first_csv, rows_csv, visitors_csv     what this file can tell about October: which share of the
#                                         rows is strange (rows), which share of the visitors has strange
#                                         clicks (visitors), both, or nothing
#   share, share_low, share_high          which share of October's rows is strange, and from where to where
#                                         it may be? From the file with the narrowest honest interval for
#                                         that; 0.012 or 1.2 %
#   strange                               how many rows of October that is: a share of which rows?
#   sessions, adverts, support            worth a week? yes, no or more

first_csv:
rows_csv:
visitors_csv:
share:
share_low:
share_high:
strange:
sessions:
adverts:
support:
"""


def build(home: Path, seed: int, twists: frozenset[str]) -> None:
    """Put the three files, Olek's script and the form on the desk."""
    found = month(seed)
    files = {f"{FOLDER}/{name}.csv": sample.text for name, sample in found.samples.items()}
    files |= {f"{FOLDER}/README.md": readme(found), SCRIPT: STARTER, ANSWERS: FORM}
    for name, text in files.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def readme(found: Month) -> str:
    """What lies beside the files."""
    teams = "\n".join(f"| {one.name} | {one.what} | {one.per_thousand:.2f} € | {one.week:,} € |" for one in found.teams)
    numbers = {"clicks": CLICKS, "crawlers": CLICKS - found.people, "rows": ROWS, "visitors": VISITORS}
    return README.format(**numbers, teams=teams)


def words(seed: int) -> dict[str, object]:
    """What stands for {{…}} in answers, for tests."""
    found = month(seed)
    share, low, high = found.share, found.low, found.high
    first, visitors = (float(found.samples[name].strange.mean()) for name in ("first", "visitors"))
    return {
        "share": f"{share:.5f}", "share_low": f"{low:.5f}",
        "share_high": f"{high:.5f}", "percent": f"{share:.2%}", "percent_low": f"{low:.2%}", "percent_high": f"{high:.2%}",
        "strange": round(share * found.people), "strange_commas": f"{share * found.people:,.0f}",
        "millions": f"{share * found.people / 1e6:.2f}", "of_all": round(share * CLICKS), "hits": round(share * ROWS),
        "first_share": f"{first:.5f}", "visitors_share": f"{visitors:.5f}",
        "narrow_low": f"{share - (share - low) / 2:.5f}", "narrow_high": f"{share + (high - share) / 2:.5f}",
        "wide_low": f"{share - (share - low) * 1.7:.5f}", "wide_high": f"{share + (high - share) * 1.7:.5f}",
        **{f"{team.name}_week": team.decision for team in found.teams},
        **{f"{team.name}_point": "yes" if share * found.people / 1000 * team.per_thousand > team.week else "no" for team in found.teams},
        **{f"{team.name}_first": "yes" if first * found.people / 1000 * team.per_thousand > team.week else "no" for team in found.teams},
    }  # fmt: skip
