"""Task 2.5: sixty commits, and somewhere among them the number of rows was halved."""

from __future__ import annotations

import random
from dataclasses import dataclass

from opslab.scenarios.merge_requests.people import history
from opslab.worlds.forge.forge import Forge
from opslab.worlds.forge.repository import Repository

NAME = "analytics/clicks"
COUNT = 60
ROWS = 240
SUBJECTS = (
    "Name the columns as the dashboard does", "Trim white space", "Shorter names", "Sort by time", "Say where the data are from",
    "Move the limit into a constant", "Drop rows without a page", "Round half up", "Explain the partner codes", "Fewer imports",
    "Read the file once", "Spell Poznań right", "Quote the separator", "Use the new header", "Leave a note for the night shift",
    "Drop clicks of our own tests", "Less noise in the log", "One function for each step", "Follow the style guide",
    "Handle an empty file",
)  # fmt: skip


@dataclass(frozen=True)
class Story:
    """What a history looks like: the numbers (from 1) of the commit that halves the rows and of those that do not run."""

    culprit: int
    broken: tuple[int, ...]


def visited(culprit: int) -> list[int]:
    """The commits that git bisect looks at, between the first and the last, where all of them run."""
    good, bad, found = 1, COUNT, []
    while bad - good > 1:
        found.append(good + (2 if bad - good == 3 else (bad - good) // 2))  # of three, git begins with the second
        good, bad = (good, found[-1]) if found[-1] >= culprit else (found[-1], bad)
    return found


def story(seed: int, broken: int = 4) -> Story:
    """The history of a seed. broken: so many commits do not run; from two on, git bisect comes to one on either side.

    Whoever takes what does not run for bad, or for good, is sent to the wrong commit by one of these two.
    """
    rng = random.Random(f"halved {seed}")
    before, after = [], []
    while not (before and after):
        culprit = rng.randint(18, 46)
        before = [number for number in visited(culprit) if number < culprit - 1]
        after = [number for number in visited(culprit) if number > culprit]
    near = [culprit - 2, culprit + 3, culprit + 4, culprit - 7, culprit + 9]
    chosen = dict.fromkeys([before[-1], after[-1], *near])
    return Story(culprit, tuple(sorted(list(chosen)[:broken])))


def sample(seed: int) -> str:
    """The clicks that every commit counts."""
    rng = random.Random(f"sample {seed}")
    lines = ["time,page,partner"]
    for number in range(ROWS):
        page = (
            rng.choice(("/bikes", "/chairs", "/lamps", "/cars", ""))
            if number % 30 == 0
            else rng.choice(("/bikes", "/cars"))
        )
        lines.append(
            f"2026-11-16T{number // 60:02d}:{number % 60:02d}:00Z,{page},{rng.choice(('otter', 'plum', 'maple'))}"
        )
    return "\n".join(lines) + "\n"


def _program(notes: list[str], steps: dict[str, bool], broken: bool) -> str:
    body = ['    rows = list(csv.DictReader(open("sample.csv")))']
    if steps["pages"]:
        body.append('    rows = [row for row in rows if row["page"]]')
    if steps["halved"]:
        body.append("    rows = rows[::2]")
    body.append("    return rows" + (" if" if broken else ""))
    comments = "".join(f"# {note}\n" for note in notes[-6:])
    return (
        '"""How many clicks were loaded? python count_rows.py prints it."""\n\n'
        f"import csv\n\n{comments}\n\ndef load():\n" + "\n".join(body) + '\n\n\nprint("rows:", len(load()))\n'
    )


def put(repository: Repository, seed: int, told: Story) -> list[str]:
    """Put a history on main. Returns the ids of its commits, the first one first."""
    rng = random.Random(f"halved commits {seed}")
    commits, notes = [], []
    steps = {"pages": False, "halved": False}
    for number in range(1, COUNT + 1):
        subject = rng.choice(SUBJECTS)
        steps["pages"] = steps["pages"] or number == 9
        steps["halved"] = steps["halved"] or number == told.culprit
        notes.append(f"{number}: {subject.lower()}")
        files = {"count_rows.py": _program(notes, steps, number in told.broken)}
        if number == 1:
            files |= {"sample.csv": sample(seed), "README.md": "# clicks\n\n`python count_rows.py`\n"}
        who = rng.choice(("hania", "kasia", "pawel", "iwo"))
        commits.append((who, f"{subject} ({number})", files))
    return history(repository, commits, hours=9)


def build(forge: Forge, seed: int) -> None:
    """Put the repository there."""
    put(forge.create(NAME), seed, story(seed))
