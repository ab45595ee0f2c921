"""The pipeline world in figures: how long its days take, how good its reference checks are, how often its analyst is right.

    .venv/bin/python benchmarks/pipeline.py speed
    .venv/bin/python benchmarks/pipeline.py checks --seeds 200      about 30 CPU-minutes
    .venv/bin/python benchmarks/pipeline.py revenue --seeds 200     about 25 CPU-minutes

`speed`: best of 3 each, in a fresh world. "Bare NumPy" draws each column of the clicks with NumPy's own generator and takes the
texts from arrays of objects: no keys, no sorting, no pandas. "pandas" is the same with a DataFrame around it.

`checks`: in each world every fault is planted once, and 20 good days are asked about, as odd as that world has them. The checks are
those of `mutation/reference.py`. The table has a row for each fault.

`revenue`: each seed is a world of task 6.5; the analyst asks the warehouse through its jail, and pays.

Ends with exit code 1 where a limit does not hold: 2 s for a day with a million clicks; 95 per cent of the faults caught, 2 per cent of
the good days alarmed; 95 per cent of the worlds explained, none over the budget.
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import pandas as pd

from opslab.worlds.pipeline.analyst import BUDGET, investigate
from opslab.worlds.pipeline.data import SCHEMA, Targ, digest
from opslab.worlds.pipeline.faults import FAULTS, ODDITIES, plant
from opslab.worlds.pipeline.flow import Flow, Folder
from opslab.worlds.pipeline.landing import deliver
from opslab.worlds.pipeline.mutation import Outcome, Trials, ask, reference
from opslab.worlds.pipeline.profile import profile
from opslab.worlds.pipeline.revenue import Case, judge
from opslab.worlds.pipeline.warehouse import Warehouse, megabytes

DAY, NEXT = "2026-11-16", "2026-11-17"
LIMIT = 2.0
CAUGHT, ALARMED, EXPLAINED = 0.95, 0.02, 0.95
TIMES = 3


def best(call: Callable[[], object]) -> float:
    """The shortest time, in seconds, that a call takes."""
    taken = []
    for _ in range(TIMES):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return min(taken)


# ---- speed ----------------------------------------------------------------------------------------------------------------


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


def flow_of(size: int) -> tuple[float, float]:
    """Seconds to land a day, and to run it through the whole pipeline, with the day before already there."""
    with tempfile.TemporaryDirectory() as folder:
        flow, targ = Flow(Folder(f"{folder}/landing"), f"{folder}/pipeline"), Targ(1, size)
        deliver(flow.landing, targ, {DAY: ""})
        flow.run(DAY)
        started = time.perf_counter()
        deliver(flow.landing, targ, {NEXT: ""})
        landed = time.perf_counter()
        flow.run(NEXT)
        return landed - started, time.perf_counter() - landed


def speed() -> bool:
    """Print the times; whether the limit holds."""
    print(
        f"{'clicks a day':>14}{'rows made':>12}{'whole day':>11}{'clicks':>9}{'NumPy':>9}{'pandas':>9}{'× NumPy':>9}{'landing':>9}{'flow':>9}"
    )
    holds = True
    for size in (20_000, 200_000, 1_000_000):
        day = Targ(1, size).day(DAY)
        rows = len(day["clicks"])
        whole = best(lambda size=size: Targ(1, size).day(DAY))
        clicks = best(lambda size=size: Targ(1, size).table("clicks", DAY))
        numpy, pandas = best(lambda rows=rows: bare(rows)), best(lambda rows=rows: framed(rows))
        landing, flow = flow_of(size)
        late = whole > LIMIT and size <= 1_000_000
        holds = holds and not late
        print(
            f"{size:>14,}{sum(map(len, day.values())):>12,}{whole:>11.3f}{clicks:>9.3f}{numpy:>9.3f}{pandas:>9.3f}"
            f"{clicks / numpy:>9.1f}{landing:>9.2f}{flow:>9.2f}{'  NOT HELD' if late else ''}"
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
    return holds


# ---- checks ---------------------------------------------------------------------------------------------------------------


def checked(seed: int) -> Outcome:
    """The reference checks in one world."""
    return ask(reference.measure, reference.check, Trials(seed))


def checks(seeds: range, pool: multiprocessing.pool.Pool) -> bool:
    """Print the table by fault; whether both limits hold."""
    planted, caught, good, alarmed, why = Counter(), Counter(), Counter(), Counter(), Counter()
    for number, outcome in enumerate(pool.imap_unordered(checked, seeds), 1):
        for answer in outcome.answers:
            if answer.trial.fault:
                planted[answer.trial.fault] += 1
                caught[answer.trial.fault] += answer.right
            else:
                for odd in answer.trial.oddities or ("ordinary",):
                    good[odd] += 1
                    alarmed[odd] += not answer.right
                good["all"] += 1
                alarmed["all"] += not answer.right
                why.update(alarm.split(":")[0] for alarm in answer.alarms)
        show(number, len(seeds))
    print(f"{'fault':<28}{'class':<12}{'severity':<10}{'caught':>8}{'of':>6}{'':>8}")
    for name, fault in FAULTS.items():
        share = caught[name] / planted[name]
        print(f"{name:<28}{fault.kind:<12}{fault.severity:<10}{caught[name]:>8}{planted[name]:>6}{share:>8.1%}")
    share = sum(caught.values()) / sum(planted.values())
    print(f"{'all':<50}{sum(caught.values()):>8,}{sum(planted.values()):>6,}{share:>8.1%}   (at least {CAUGHT:.0%})\n")
    print(f"{'good days':<28}{'alarmed':>8}{'of':>8}")
    for name in ("ordinary", *ODDITIES, "all"):
        if good[name]:
            print(f"{name:<28}{alarmed[name]:>8}{good[name]:>8,}{alarmed[name] / good[name]:>8.1%}")
    print(
        f"at most {ALARMED:.0%} of all; alarms were about: {', '.join(f'{name} ({n})' for name, n in why.most_common(6)) or 'nothing'}"
    )
    return share >= CAUGHT and alarmed["all"] / good["all"] <= ALARMED


# ---- revenue ---------------------------------------------------------------------------------------------------------------


def explained(seed: int) -> tuple[int, str, tuple[str, ...], dict[str, bool], int, str]:
    """What the analyst has found in one world, and what it cost."""
    case = Case(seed)
    with tempfile.TemporaryDirectory() as folder:
        case.write(folder)
        with Warehouse(folder, BUDGET) as warehouse:
            said = investigate(lambda sql: warehouse.query(sql).frame(), case.days[-1])
            spent = BUDGET - warehouse.left
    names = tuple(cause.name for cause in case.truth.causes) or (case.truth.why,)
    found = ", ".join(f"{cause.name} {dict(cause.where)}" for cause in said.causes) or "nothing"
    return seed, case.truth.verdict, names, judge(said, case.truth), spent, found


def revenue(seeds: range, pool: multiprocessing.pool.Pool) -> bool:
    """Print how often the analyst is right; whether the limits hold."""
    right, worlds, spent, wrong = Counter(), Counter(), [], []
    for number, (seed, verdict, names, judged, cost, found) in enumerate(pool.imap_unordered(explained, seeds), 1):
        for kind in (verdict, *(f"  {name}" for name in names), "all"):
            worlds[kind] += 1
            for point, holds in judged.items():
                right[kind, point] += holds
        spent.append(cost)
        if not all(judged.values()):
            missed = [point for point, holds in judged.items() if not holds]
            wrong.append(f"seed {seed}: {verdict}, {', '.join(names)}; missed {', '.join(missed)}; said {found}")
        show(number, len(seeds))
    points = ("verdict", "cause", "where", "since", "effect")
    print(f"{'':<24}{'worlds':>8}" + "".join(f"{point:>10}" for point in points))
    for kind in sorted(worlds, key=lambda kind: (kind == "all", kind.startswith(" "), kind)):
        print(
            f"{kind:<24}{worlds[kind]:>8}" + "".join(f"{right[kind, point] / worlds[kind]:>10.1%}" for point in points)
        )
    print(
        f"spent: {megabytes(int(np.median(spent)))} in the middle, {megabytes(max(spent))} at most, of {megabytes(BUDGET)}"
    )
    print("\n".join(wrong))
    # An effect that chance has moved is a matter of intervals; whoever names cause and place has found it.
    return right["all", "where"] / worlds["all"] >= EXPLAINED and max(spent) < BUDGET


def show(done: int, of: int) -> None:
    """Progress, on the terminal only."""
    if sys.stderr.isatty():
        print(f"\r{done} of {of} worlds", end="\n" if done == of else "", file=sys.stderr, flush=True)


def main() -> int:
    """Measure what is asked for, print it, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", default="speed", choices=("speed", "checks", "revenue"))
    parser.add_argument("--seeds", type=int, default=200, help="how many hidden worlds")
    parser.add_argument("--first", type=int, default=1000, help="the first seed")
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    print(f"Python {platform.python_version()}, NumPy {np.__version__}, pandas {pd.__version__}")
    if asked.what == "speed":
        return 0 if speed() else 1
    seeds = range(asked.first, asked.first + asked.seeds)
    with multiprocessing.get_context("spawn").Pool(asked.processes) as pool:
        return 0 if {"checks": checks, "revenue": revenue}[asked.what](seeds, pool) else 1


if __name__ == "__main__":
    sys.exit(main())
