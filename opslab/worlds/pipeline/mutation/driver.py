"""Inside the jail: asks a file of checks about days, each in a process of its own, and writes down what it said.

    python driver.py checks.py trial outcome.jsonl

The file has two functions, of which the first may be missing:

    def measure(day):                  -> {"name": number, …}    what is worth remembering of a day
    def check(day, measures, past):    -> a list of alarms; an empty one (or None) where nothing is wrong

`day` is a dictionary of DataFrames, with `day.date` ("2026-11-16") and `day.events` (what was announced: ["sale"]). `past` is a DataFrame
with what `measure` gave for the days before, which were good, one row for each date, and a column `announced`.

Every day is asked in a fork of this process, so that what a check changes, remembers or breaks is gone with the next one. What an
answer counts for is decided outside. It imports nothing of the course.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import json
import numbers
import os
import pickle
import select
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path

PAST_SHARE = 3
"""What one day may take is enough to measure so many days of the past."""

LONGEST, MOST = 200, 20
"""Letters of an alarm, and alarms, that are kept."""

ANSWER_BYTES = 32_000_000
"""One answer. That of measure() for all days before is the longest: a thousand measures of a hundred days have some 5 MB."""


class Day(dict):
    """The tables of a day by name; `date` and `events`."""

    date: str
    events: list[str]


def load(path: Path) -> Day:
    """A day that the grader put there."""
    import pandas as pd

    date, events, tables = pickle.loads(path.read_bytes())
    day = Day({name: pd.DataFrame(columns, copy=False) for name, columns in tables.items()})
    day.date, day.events = date, list(events)
    return day


def import_before(path: str) -> None:
    """Import what a file of checks will import, where that is slow: once, before all forks."""
    try:
        names = {name for node in ast.walk(ast.parse(Path(path).read_bytes())) for name in _imported(node)}
    except (OSError, SyntaxError, ValueError, RecursionError):
        return  # that comes out where it is asked
    import pandas

    with contextlib.suppress(ImportError):
        if "duckdb" in names:
            importlib.import_module("duckdb")
        if names & {"pandera", "pandera.pandas"}:
            # It loads the greater part of itself when it is first used.
            schema = importlib.import_module("pandera.pandas").DataFrameSchema()
            schema.validate(pandas.DataFrame())


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return []


def module_of(path: str):
    """The learner's file as a module."""
    spec = importlib.util.spec_from_file_location("checks", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["checks"] = module
    spec.loader.exec_module(module)
    return module


# ---- what an answer is; the same rules inside and outside ---------------------------------------------------------------


class Nonsense(Exception):
    """What came back is not what was asked for."""


def measures_of(module, day: Day) -> dict[str, float]:
    """What `measure` says of a day. Raises Nonsense where that is no dictionary of numbers."""
    if not hasattr(module, "measure"):
        return {}
    found = module.measure(day)
    if not isinstance(found, dict):
        raise Nonsense(f"measure() gave {type(found).__name__}; a dictionary of numbers is expected")
    for name, value in found.items():
        if not isinstance(name, str) or not (isinstance(value, numbers.Real) or hasattr(value, "__float__")):
            raise Nonsense(f"measure() gave {name!r}: {value!r}; a name and a number are expected")
    return {name: float(value) for name, value in found.items()}


def alarms_of(module, day: Day, measures: dict[str, float], past) -> list[str]:
    """What `check` says of a day. Raises Nonsense where that is no list of alarms.

    Who writes assertions, or uses pandera, raises instead of returning: AssertionError and pandera's SchemaError are alarms, too.
    """
    if not callable(getattr(module, "check", None)):
        raise Nonsense("there is no function check(day, measures, past)")
    try:
        found = module.check(day, measures, past)
    except AssertionError as alarm:
        return [str(alarm) or "an assertion does not hold"]
    except Exception as alarm:
        if type(alarm).__name__ in ("SchemaError", "SchemaErrors") and type(alarm).__module__.startswith("pandera"):
            return [str(alarm)]
        raise
    if found is None or found is True:
        return []
    if found is False:
        return ["check() gave False"]
    if isinstance(found, str):
        return [found] if found else []
    if isinstance(found, list | tuple | set | frozenset) and all(isinstance(alarm, str) for alarm in found):
        return [alarm for alarm in found if alarm]
    raise Nonsense(f"check() gave {type(found).__name__}; a list of alarms (texts) is expected")


def table_of(rows: list[dict]):
    """`past`: one row for each good day before."""
    import pandas as pd

    frame = pd.DataFrame(
        [row["measures"] for row in rows], index=pd.Index([row["date"] for row in rows], name="date"), dtype="float64"
    )
    frame.insert(0, "announced", [bool(row["events"]) for row in rows])
    return frame


# ---- one process for each question -----------------------------------------------------------------------------------------


def ask(question, seconds: float) -> dict:
    """What `question()` gives, as JSON, from a fork. Otherwise {"state": "slow" | "crash" | "nonsense", "say": …}."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.setpgid(0, 0)
        try:
            answer = question()
        except Nonsense as problem:
            answer = {"state": "nonsense", "say": str(problem)}
        except BaseException as problem:  # noqa: BLE001  (also sys.exit: it is no answer)
            where = traceback.extract_tb(problem.__traceback__)
            line = next((f" (line {frame.lineno})" for frame in reversed(where) if frame.filename == CHECKS), "")
            answer = {"state": "crash", "say": f"{type(problem).__name__}: {problem}{line}"}
        with contextlib.suppress(OSError), os.fdopen(writing, "w") as pipe:
            json.dump(answer, pipe, default=str)
        os._exit(0)
    os.close(writing)
    with contextlib.suppress(
        OSError
    ):  # whichever of the two comes first; the child may be through with it, or have ended
        os.setpgid(child, child)
    deadline, text = time.monotonic() + seconds, b""
    while (left := deadline - time.monotonic()) > 0 and len(text) < ANSWER_BYTES:
        if not select.select([reading], [], [], left)[0]:
            break
        if not (piece := os.read(reading, 65536)):
            break
        text += piece
    late = time.monotonic() >= deadline
    os.close(reading)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    if late:
        return {"state": "slow", "say": f"no answer within {seconds:g} seconds"}
    if len(text) >= ANSWER_BYTES:
        return {"state": "nonsense", "say": f"more than {ANSWER_BYTES:,} letters of answer: measure fewer things"}
    try:
        answer = json.loads(text)
        assert isinstance(answer, dict)
        return answer
    except (ValueError, AssertionError):
        return {"state": "crash", "say": "its process ended without an answer"}


CHECKS = ""


def hush() -> None:
    """Let nothing be printed by this process: what a check prints is no answer."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def main(checks: str, trial: str, outcome: str) -> int:
    """Ask about the past, then about each day, and write a line for each."""
    global CHECKS
    CHECKS = os.path.abspath(checks)
    warnings.simplefilter("ignore")
    import_before(checks)
    folder = Path(trial)
    index = json.loads((folder / "index.json").read_text())
    with open(outcome, "a", encoding="utf-8") as file:

        def say(**line: object) -> None:
            file.write(json.dumps(line) + "\n")
            file.flush()

        def past() -> dict:
            hush()
            module, rows = module_of(checks), []
            for name in index["past"]:
                day = load(folder / "past" / name)
                rows.append({"date": day.date, "events": day.events, "measures": measures_of(module, day)})
                if len(rows) % 10 == 0:
                    say(event="measured", days=len(rows))
            return {"state": "ok", "rows": rows}

        known = ask(past, index["seconds"] * max(len(index["past"]) / PAST_SHARE, 1))
        if known.get("state") != "ok":
            say(event="past", state=known.get("state"), say=str(known.get("say"))[:LONGEST])
            return 1
        rows = known["rows"]
        say(event="past", state="ok")
        for name in index["days"]:

            def one(name: str = name) -> dict:
                hush()
                module, day = module_of(checks), load(folder / "days" / name)
                measures = measures_of(module, day)
                before = table_of([row for row in rows if row["date"] < day.date])
                return {
                    "state": "ok",
                    "alarms": [alarm[:LONGEST] for alarm in alarms_of(module, day, measures, before)[:MOST]],
                }

            said = ask(one, index["seconds"])
            say(
                event="day",
                name=name,
                state=said.get("state"),
                say=str(said.get("say", ""))[:LONGEST],
                alarms=said.get("alarms", []),
            )
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
