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
  input, or reads off names and clocks, is of no use to it. A day that has been answered twice has no answer.
- where a check runs, nothing says which days are broken, and no date comes twice: whoever looks around, and compares all days that
  lie there, finds no good day beside its broken twin.
- days, sizes and partners differ from world to world, so a number that fitted a sample day does not help.

`driver.py` has what `checks.py` has to offer, and runs it in the jail.
"""

from __future__ import annotations

import functools
import json
import pickle
import random
import shutil
import sys
import threading
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

PAST = 35
"""Good days that come before the first day that is asked about."""

ASKED = 2, 3
"""From then on so many days of so many are asked about. The others are good, and known as well."""

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

    No day is asked about twice, and none of them is among the good ones that are known. The world begins where the weeks ahead
    have as many oddities as can be found, so that good days are not all alike.
    """

    def __init__(
        self, seed: int, faults: Iterable[str] = FAULTS, good: int = 20, clicks: int = 0, past: int = PAST
    ) -> None:
        self.seed, faults = seed, list(faults)
        rng = random.Random(f"trials {seed}")
        self.targ = Targ(seed, clicks or rng.randrange(9_000, 20_000))
        asked, (some, of) = len(faults) + good, ASKED
        ahead = max(-(-asked * of // some), asked + 10)  # where days are few, ten of them may have been announced
        starts = [rng.randrange(about.to_number("2025-03-01"), about.to_number("2028-06-01")) for _ in range(30)]
        self.start = max(
            starts, key=lambda start: len({odd for n in range(start, start + ahead) for odd in self._odd(n)})
        )
        numbers = list(range(self.start, self.start + ahead))
        rng.shuffle(numbers)
        # Odd days first, each oddity at least once; then others.
        chosen = {odd: number for number in numbers for odd in self._odd(number)}.values()
        chosen = list(dict.fromkeys([*chosen, *numbers]))[:good]
        ordinary = [number for number in numbers if number not in chosen and not self.targ.events(number)]
        broken = dict(zip(ordinary, faults, strict=False))
        self.days = [Trial(str(about.to_date(number)), fault) for number, fault in broken.items()]
        self.days += [Trial(str(about.to_date(number)), "", tuple(self._odd(number))) for number in chosen]
        rng.shuffle(self.days)
        known = set(range(self.start - past, self.start + ahead)) - {*chosen, *broken}
        self.past = [str(about.to_date(number)) for number in sorted(known)]
        """The good days that are known. A check sees only those before the day that it is asked about."""

    def events(self, date: str) -> list[str]:
        """What was announced for a day."""
        return self.targ.events(about.to_number(date))

    def tables(self, trial: Trial) -> Frames:
        """The tables of a day that is asked about."""
        return tables_of(self.targ, trial.date, trial.fault)

    def _odd(self, number: int) -> list[str]:
        return [odd.name for odd in ODDITIES.values() if odd.on(self.targ, number)]

    @functools.cached_property
    def files(self) -> dict[str, bytes]:
        """What the process that asks is given, by path: the days that are known, and those that are asked about under numbers.

        Of each table the columns, one by one: how pandas keeps them together would tell which tables somebody has touched.
        """
        found = {f"past/{date}": _packed(date, self.events(date), self.targ.day(date)) for date in self.past}
        for number, trial in enumerate(self.days):
            found[f"days/{number:03}"] = _packed(trial.date, self.events(trial.date), self.tables(trial))
        return found


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
    def crashed(self) -> list[Answer]:
        """The days on which there was no answer: it crashed, was slow, or said nonsense."""
        return [answer for answer in self.answers if answer.state in ("crash", "slow", "nonsense")]

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
    enough: Callable[[Outcome], bool] = lambda outcome: False,
    seconds: float = SECONDS,
    limits: jail.Limits = LIMITS,
    **confinement: Any,
) -> Outcome:
    """Ask a file of checks (its path in the world `home`) about all days, in the jail. Never raises for what the file does.

    enough: shown the answers so far, in the order of `trials.days`; where it says True, no more is asked, and what has not been asked
    is "missing". seconds: what one day may take. Needs a folder `trial` in the world, which it makes and takes away. confinement: as for
    `opslab.jail.run`.
    """
    home = Path(home)
    folder = home / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "past").mkdir(parents=True)
    (folder / "days").mkdir()
    try:
        shutil.copyfile(driver.__file__, folder / "driver.py")
        names = [name.removeprefix("days/") for name in trials.files if name.startswith("days/")]
        # All is made before anything is written: times of files say nothing about how long a day has taken to make.
        for path, data in trials.files.items():
            (folder / path).write_bytes(data)
        (folder / "index.json").write_text(json.dumps({"past": trials.past, "days": names, "seconds": seconds}))
        over = threading.Event()
        heard: list[dict[str, Any]] = []

        def progress(line: dict[str, Any]) -> None:
            if line.get("event") == "measured" and isinstance(line.get("days"), int):
                tell(f"{min(line['days'], len(trials.past))} of {len(trials.past)} good days measured")
            if line.get("event") != "day" or len(heard) == len(trials.days):
                return
            heard.append(line)
            if len(heard) % 10 == 0:
                tell(f"{len(heard)} of {len(trials.days)} days")
            if enough(Outcome(tuple(_answers(trials.days[: len(heard)], heard)))):
                over.set()

        tell(f"{len(trials.past)} good days to measure")
        told = Tail(folder / "outcome.jsonl", progress)
        try:
            argv = [sys.executable, f"{FOLDER}/driver.py", checks, FOLDER, f"{FOLDER}/outcome.jsonl"]
            stop = {"stop": lambda: "that was enough" if over.is_set() else ""}
            done = jail.run(argv, home=home, limits=limits, **stop, **confinement)
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
    return Outcome(tuple(_answers(trials.days, lines, enough)), "" if over.is_set() else done.stopped, done.seconds)


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


def _packed(date: str, events: list[str], tables: Frames) -> bytes:
    return pickle.dumps(
        (date, events, {name: {column: table[column].array for column in table} for name, table in tables.items()})
    )


def _answers(
    days: list[Trial], lines: list[dict[str, Any]], enough: Callable[[Outcome], bool] = lambda outcome: False
) -> list[Answer]:
    """The answers to days from what the driver wrote, in whose process the learner's code ran. Those after `enough` do not count."""
    said: dict[Any, list[dict[str, Any]]] = {}
    for line in lines:
        if line.get("event") == "day":
            said.setdefault(str(line.get("name")), []).append(line)
    answers, over = [], False
    for number, trial in enumerate(days):
        answers.append(Answer(trial, "missing") if over else _answer(trial, said.get(f"{number:03}", [])))
        over = over or enough(Outcome(tuple(answers)))
    return answers


def _answer(trial: Trial, lines: list[dict[str, Any]]) -> Answer:
    """An answer from the lines about a day. Anything else than text is left out."""
    if not lines:
        return Answer(trial, "missing", "it was not asked, because the time was over")
    if len(lines) > 1:
        return Answer(trial, "nonsense", "it was answered more than once")
    (line,) = lines
    say = line["say"] if isinstance(line.get("say"), str) else ""
    if line.get("state") == "ok":
        alarms = line.get("alarms")
        alarms = tuple(str(alarm) for alarm in alarms) if isinstance(alarms, list) else ()
        return Answer(trial, "alarm" if alarms else "quiet", "", alarms)
    state = line.get("state") if line.get("state") in ("slow", "nonsense") else "crash"
    return Answer(trial, state, say)
