"""How good are checks? They are asked about good days and about days in which something was planted.

    >>> trials = Trials(seed=7)
    >>> outcome = run("checks.py", trials, home="/tmp/desk", env=…)
    >>> outcome.caught, outcome.false_alarms, outcome.score
    (0.92, 0.0, 0.92)
    >>> outcome.by_class()["volume"]
    (7, 8)

Score: the share of broken days that were caught, minus the share of good days on which there was an alarm, and not below 0. So
who always alarms, and who never does, has nothing. The rules for everything else that a check may do:

- only an alarm catches a broken day, only silence passes a good one. An exception, no answer within ten seconds, and an answer that
  is no list of texts are neither: such a day is lost either way. (AssertionError and pandera's SchemaError are alarms.)
- each day is asked in a process of its own, in an order without meaning, under a number: what a check remembers, changes in its
  input, or reads off names and clocks, is of no use to it.
- days, sizes and partners differ from world to world, so a number that fitted a sample day does not help.

`driver.py` has what `checks.py` has to offer, and runs it in the jail.
"""

from __future__ import annotations

import json
import pickle
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from opslab import jail
from opslab.worlds.pipeline import company as about
from opslab.worlds.pipeline.data import Frames, Targ
from opslab.worlds.pipeline.faults import CLASSES, FAULTS, ODDITIES
from opslab.worlds.pipeline.landing import tables_of
from opslab.worlds.pipeline.mutation import driver
from opslab.worlds.pipeline.tail import Tail

PAST, AHEAD = 35, 21
"""Good days that come before the first day that is asked about, and the days among which those are."""

SECONDS = 10
"""What a file of checks may take for one day."""

FOLDER = "trial"
LIMITS = jail.Limits(seconds=300, cpu=300, memory=3072 * jail.MEGABYTE)


@dataclass(frozen=True)
class Trial:
    """One day that is asked about. fault: what was planted, "" for a good day. oddities: what is unusual about it, and all right."""

    date: str
    fault: str = ""
    oddities: tuple[str, ...] = ()


class Trials:
    """Days of one world, broken and good. faults: the names of those to plant, each on one day. good: how many good days.

    clicks: about how many a day has; by default drawn from the seed. past: how many days are known before the first one.

    The world begins where the next three weeks have as many oddities as can be found, so that good days are not all alike.
    """

    def __init__(
        self, seed: int, faults: Iterable[str] = FAULTS, good: int = 15, clicks: int = 0, past: int = PAST
    ) -> None:
        self.seed, self._before = seed, past
        rng = random.Random(f"trials {seed}")
        self.targ = Targ(seed, clicks or rng.randrange(9_000, 20_000))
        starts = [rng.randrange(about.to_number("2025-03-01"), about.to_number("2028-06-01")) for _ in range(30)]
        self.start = max(starts, key=lambda start: len({odd for n in self._ahead(start) for odd in self._odd(n)}))
        ahead = list(self._ahead(self.start))
        ordinary = [number for number in ahead if not self.targ.events(number)]
        broken = [Trial(str(about.to_date(rng.choice(ordinary))), fault) for fault in faults]
        # Odd days first, each oddity at least once; then others.
        rng.shuffle(ahead)
        chosen = list({odd: number for number in ahead for odd in self._odd(number)}.values())
        chosen = list(dict.fromkeys(chosen + ahead))[:good]
        self.days = broken + [Trial(str(about.to_date(number)), "", tuple(self._odd(number))) for number in chosen]
        rng.shuffle(self.days)

    @property
    def past(self) -> list[str]:
        """The good days that are known: those before the first, and those between. A check sees only what lies before its day."""
        return [str(about.to_date(number)) for number in range(self.start - self._before, self.start + AHEAD - 1)]

    def events(self, date: str) -> list[str]:
        """What was announced for a day."""
        return self.targ.events(about.to_number(date))

    def tables(self, trial: Trial) -> Frames:
        """The tables of a day that is asked about."""
        return tables_of(self.targ, trial.date, trial.fault)

    @staticmethod
    def _ahead(start: int) -> range:
        return range(start, start + AHEAD)

    def _odd(self, number: int) -> list[str]:
        return [odd.name for odd in ODDITIES.values() if odd.on(self.targ, number)]


@dataclass(frozen=True)
class Answer:
    """What a file of checks said about one day. state: alarm, quiet, crash, slow, nonsense, or missing (it was never asked)."""

    trial: Trial
    state: str
    say: str = ""
    alarms: tuple[str, ...] = ()

    @property
    def right(self) -> bool:
        return self.state == ("alarm" if self.trial.fault else "quiet")


@dataclass(frozen=True)
class Outcome:
    """All answers. error: why nothing could be asked, where that is so."""

    answers: tuple[Answer, ...]
    error: str = ""
    seconds: float = field(default=0.0, compare=False)

    def _share(self, answers: list[Answer]) -> float:
        return sum(answer.right for answer in answers) / len(answers) if answers else 0.0

    @property
    def caught(self) -> float:
        """Of the broken days, the share that was caught."""
        return self._share([answer for answer in self.answers if answer.trial.fault])

    @property
    def false_alarms(self) -> float:
        """Of the good days, the share that was not passed."""
        good = [answer for answer in self.answers if not answer.trial.fault]
        return 1 - self._share(good) if good else 0.0

    @property
    def score(self) -> float:
        return max(self.caught - self.false_alarms, 0.0)

    def by_class(self) -> dict[str, tuple[int, int]]:
        """For each class of faults, how many were caught, of how many."""
        caught = Counter(FAULTS[a.trial.fault].kind for a in self.answers if a.trial.fault and a.right)
        planted = Counter(FAULTS[a.trial.fault].kind for a in self.answers if a.trial.fault)
        return {kind: (caught[kind], planted[kind]) for kind in CLASSES if planted[kind]}


def run(
    checks: str,
    trials: Trials,
    *,
    home: str | Path,
    tell: Callable[[str], None] = lambda line: None,
    seconds: float = SECONDS,
    limits: jail.Limits = LIMITS,
    **confinement: Any,
) -> Outcome:
    """Ask a file of checks (its path in the world `home`) about all days, in the jail. Never raises for what the file does.

    seconds: what one day may take. Needs a folder `trial` in the world, which it makes and takes away. confinement: as for
    `opslab.jail.run`.
    """
    home = Path(home)
    folder = home / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "past").mkdir(parents=True)
    (folder / "days").mkdir()
    try:
        shutil.copyfile(driver.__file__, folder / "driver.py")
        names = {f"{number:03}": trial for number, trial in enumerate(trials.days)}
        for date in trials.past:
            _put(folder / "past" / date, date, trials.events(date), trials.targ.day(date))
        for name, trial in names.items():
            _put(folder / "days" / name, trial.date, trials.events(trial.date), trials.tables(trial))
        (folder / "index.json").write_text(json.dumps({"past": trials.past, "days": list(names), "seconds": seconds}))
        asked = Counter()

        def progress(line: dict[str, Any]) -> None:
            asked[line.get("event")] += 1
            if line.get("event") == "day" and asked["day"] % 10 == 0:
                tell(f"{asked['day']} of {len(names)} days")

        tell(f"{len(trials.past)} good days to measure")
        told = Tail(folder / "outcome.jsonl", progress)
        try:
            argv = [sys.executable, f"{FOLDER}/driver.py", checks, FOLDER, f"{FOLDER}/outcome.jsonl"]
            done = jail.run(argv, home=home, limits=limits, **confinement)
        finally:
            lines = told.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    past = next(
        (line for line in lines if line.get("event") == "past"),
        {"state": "crash", "say": done.stopped or done.err[-300:]},
    )
    if past.get("state") != "ok":
        error = f"the good days before could not be measured: {past.get('say')}"
        return Outcome(tuple(Answer(trial, "missing") for trial in trials.days), error, done.seconds)
    said = {line.get("name"): line for line in lines if line.get("event") == "day"}
    return Outcome(tuple(_answer(trial, said.get(name)) for name, trial in names.items()), done.stopped, done.seconds)


def ask(measure: Callable, check: Callable, trials: Trials) -> Outcome:
    """The same for functions of ours, here and now: no jail, no forks. For benchmarks."""
    module = SimpleNamespace(measure=measure, check=check)
    rows = [
        {"date": date, "events": trials.events(date), "measures": driver.measures_of(module, _day(trials, Trial(date)))}
        for date in trials.past
    ]
    answers = []
    for trial in trials.days:
        day = _day(trials, trial)
        past = driver.table_of([row for row in rows if row["date"] < trial.date])
        alarms = driver.alarms_of(module, day, driver.measures_of(module, day), past)
        answers.append(Answer(trial, "alarm" if alarms else "quiet", "", tuple(alarms)))
    return Outcome(tuple(answers))


def _day(trials: Trials, trial: Trial) -> driver.Day:
    day = driver.Day(trials.tables(trial))
    day.date, day.events = trial.date, trials.events(trial.date)
    return day


def _put(path: Path, date: str, events: list[str], tables: Frames) -> None:
    path.write_bytes(pickle.dumps((date, events, tables)))


def _answer(trial: Trial, line: dict[str, Any] | None) -> Answer:
    """An answer from what the driver wrote, in whose process the learner's code ran: anything else than text is left out."""
    if line is None:
        return Answer(trial, "missing", "it was not asked, because the time was over")
    say = line["say"] if isinstance(line.get("say"), str) else ""
    if line.get("state") == "ok":
        alarms = line.get("alarms")
        alarms = tuple(str(alarm) for alarm in alarms) if isinstance(alarms, list) else ()
        return Answer(trial, "alarm" if alarms else "quiet", "", alarms)
    state = line.get("state") if line.get("state") in ("slow", "nonsense") else "crash"
    return Answer(trial, state, say)
