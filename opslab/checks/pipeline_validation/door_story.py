"""What happens at the door of task 6.3: the learner's script is run on one day after the other, and what it leaves behind is kept.

>>> story = told(trial)                      # Tuesday, then Monday
>>> story.table("both", "clean").rows[0]["order_id"]
1050000123
>>> story = told(trial, "again")             # Tuesday's file, corrected: first the disk is full, then it is not
>>> story = told(trial, ACTS[-1])            # and files with which it has to stop

What it wrote is untrusted: only ordinary files of a sane size are taken, and Parquet is read by a process in the jail.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opslab import jail, plain
from opslab.checks import Miss, Trial
from opslab.scenarios.pipeline_validation import door as scenario
from opslab.scenarios.pipeline_validation.door import FIRST, SECOND, Day, Row

ACTS = ("tuesday", "both", "crash", "again", "stop 0", "stop 1")
"""What is played, in this order. "both": Monday is run after Tuesday."""

RUN = f"python door.py {SECOND}; python door.py {FIRST}"
"""How the first two are told."""

LIMITS = jail.Limits(file_size=16 * jail.MEGABYTE)
DISK_FULL = jail.Limits(file_size=4096)
"""The crash in the middle: no file gets longer than this, and a day of clean has some 25 KB."""

MOST_FILES, MOST_BYTES = 400, 48 * jail.MEGABYTE
"""What a run may leave behind, to be looked at."""

READ_LIMIT = 48 * jail.MEGABYTE

READER = """\
import json
from pathlib import Path

import duckdb

con = duckdb.connect(config={"threads": 2, "memory_limit": "700MB"})
with open("read.jsonl", "w") as out:
    for path in sorted(Path(".").glob("*.parquet")):
        try:
            found = con.execute("SELECT * FROM read_parquet(?, hive_partitioning = false) LIMIT 5000", [str(path)])
            columns = [str(column[0])[:200] for column in found.description]
            rows = [[None if v is None else v if type(v) is int else str(v)[:2000] for v in row] for row in found.fetchall()]
            line = {"columns": columns, "rows": rows}
        except Exception as problem:
            line = {"error": str(problem)[:200]}
        out.write(json.dumps({"file": path.stem, **line}) + "\\n")
"""
"""Runs in the jail, on copies of what was written. Whole numbers stay numbers, everything else becomes text."""


@dataclass
class Snapshot:
    """What there is after a run. files: what was not there before the first one, below the home; links are left out."""

    date: str
    code: int
    printed: str
    files: dict[str, bytes]

    def below(self, folder: str) -> dict[str, bytes]:
        """The files in one of the folders to which the script writes, by their path in it."""
        start = f"{scenario.FOLDER}/{folder}/"
        return {path.removeprefix(start): data for path, data in self.files.items() if path.startswith(start)}


@dataclass
class Table:
    """The rows of all Parquet files of a layer, with their cells, and besides "/day", the day of the folder, and "/file".

    columns: of each file. broken: the files that cannot be read.
    """

    rows: list[Row] = field(default_factory=list)
    columns: list[set[str]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


@dataclass
class Story:
    """What has happened so far.

    corrected: Tuesday's file as it comes again. bad: what is wrong with the files that have to be stopped, and the files.
    before: digests of what was there before the first run, or was staged since, by the path. parquet: what was read, by digest.
    """

    home: Path
    pepper: str
    monday: Day
    tuesday: Day
    corrected: Day
    bad: dict[str, Day]
    before: dict[str, str]
    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    parquet: dict[str, dict[str, Any]] = field(default_factory=dict)

    def table(self, snapshot: str, layer: str) -> Table:
        """ "clean" or "quarantine" after a run ("both", "crash", "again")."""
        found = Table()
        for path, data in sorted(self.snapshots[snapshot].below(f"{layer}/orders").items()):
            if not path.endswith(".parquet"):
                continue
            read = self.parquet[digest(data)]
            if "error" in read:
                found.broken.append(path)
                continue
            found.columns.append(set(read["columns"]))
            folder = path.partition("/")[0].removeprefix("day=")
            for cells in read["rows"]:
                found.rows.append({**dict(zip(read["columns"], cells, strict=True)), "/file": path, "/day": folder})
        return found

    @property
    def days(self) -> list[Day]:
        """The files that are let in at first."""
        return [self.monday, self.tuesday]


def told(trial: Trial, until: str = "both") -> Story:
    """The story up to an act; what was played is not played again. Raises Miss where there is nothing to look at."""
    story = trial.once("story", lambda: _begin(trial))
    for act in ACTS[: ACTS.index(until) + 1]:
        trial.once(act, lambda act=act: _play(trial, story, act))
    _read(trial, story)
    trial.once("enough", lambda: _enough(story))
    return story


def _begin(trial: Trial) -> Story:
    trial.read(scenario.SCRIPT)
    home, seed = trial.scratch(task=trial.task.id), trial.unseen
    before = {path: digest(data) for path, data in _files(home)}
    return Story(home, scenario.pepper(seed), *scenario.days(seed), scenario.stops(seed), before)


def _play(trial: Trial, story: Story, act: str) -> None:
    """One run of the script, and what there is after it."""
    date, limits = FIRST if act == "both" else SECOND, DISK_FULL if act == "crash" else LIMITS
    staged = None
    if act == "crash":
        staged = story.corrected
    elif act.startswith("stop"):
        staged = list(story.bad.values())[int(act[-1])]
    if staged:
        _stage(story.home, staged)
        story.before |= {path: digest(data) for path, data in _files(story.home / scenario.STAGING, story.home)}
    argv = ["bash", "-c", f"cd {scenario.FOLDER} && exec python door.py {date}"]
    done = trial.run(argv, home=story.home, limits=limits)
    files = {path: data for path, data in _files(story.home) if story.before.get(path) != digest(data)}
    story.snapshots[act] = Snapshot(date, done.code, f"{done.out}\n{done.err}", files)
    if act in ("tuesday", "both") and done.code:
        raise Miss(
            "It does not get through a day on which there is nothing to stop for.",
            tried=f"python door.py {date}", got=f"exit code {done.code}\n{last_line(done.err or done.out, story)}", wanted="exit code 0", name="fails",
        )  # fmt: skip


def _stage(home: Path, day: Day) -> None:
    """Put a day where the script finds it, in place of what was staged for it before."""
    path, data = scenario.staged(day)
    try:
        plain.write(home, path, data)
    except OSError as error:
        raise Miss(
            "The script has put something else in the place of a staged file or folder. What came in is not its to change.",
            tried=f"stage ~/{path}", got=(error.strerror or "an error").lower(), wanted="staging, as it was", name="staging-changed",
        ) from None  # fmt: skip


def _enough(story: Story) -> None:
    """Whether most orders are where they are looked for: of an empty folder all kinds of good things could be said."""
    table, wanted = story.table("both", "clean"), set(scenario.newest(story.days))
    if len(wanted & {id_of(row) for row in table.rows}) < 0.8 * len(wanted):
        snapshot = story.snapshots["both"]
        there = ", ".join(f"~/{path}" for path in sorted(snapshot.files)[:4]) or "no new file"
        broken = f", and {len(table.broken)} files that cannot be read" if table.broken else ""
        raise Miss(
            "Most orders are not in clean after two days, so there is not enough to judge by. The rules say where it is looked for.",
            tried=RUN, got=f"{len(table.rows):,} rows in clean{broken}\n{there}", wanted=f"{len(wanted):,} rows in ~/{scenario.FOLDER}/clean/orders/day=…/….parquet",
            name="nothing-in-clean",
        )  # fmt: skip


def _files(folder: Path, home: Path | None = None) -> Iterator[tuple[str, bytes]]:
    """The ordinary files below a folder: path from home, and bytes. Links are not followed. Raises Miss where there is too much."""
    room, count, waiting = MOST_BYTES, 0, [str(folder)]
    while waiting:
        entries: list[os.DirEntry] = []
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as found:
            entries = list(found)
        for entry in entries:
            with contextlib.suppress(OSError):
                count += 1
                room -= entry.stat(follow_symlinks=False).st_size
                if room < 0 or count > MOST_FILES:
                    raise Miss(
                        "It leaves more behind than anybody can look through. A day has some hundred orders.",
                        tried="count what it has written", got=f"more than {MOST_FILES} files, or {MOST_BYTES // jail.MEGABYTE} MB",
                        wanted="a few files, of some KB each", name="too-much",
                    )  # fmt: skip
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    data = plain.read_file(entry.path, MOST_BYTES)
                    shown = os.path.relpath(entry.path, home or folder)
                    yield shown.encode("utf-8", "replace").decode(), data


def _read(trial: Trial, story: Story) -> None:
    """Read the Parquet files of all snapshots that were not read yet, into `story.parquet`, by their digest."""
    files = [item for snapshot in story.snapshots.values() for item in snapshot.files.items()]
    new = {digest(data): data for path, data in files if path.endswith(".parquet")}
    new = {name: data for name, data in new.items() if name not in story.parquet}
    if not new:
        return
    home = trial.folder()
    for name, data in new.items():
        story.parquet[name] = {"error": "not read"}
        (home / f"{name}.parquet").write_bytes(data)
    (home / "reader.py").write_text(READER)
    trial.run([sys.executable, "-I", "reader.py"], home=home, limits=jail.Limits(file_size=READ_LIMIT))
    with contextlib.suppress(OSError):
        for line in plain.read(home, "read.jsonl", READ_LIMIT).decode("utf-8", "replace").splitlines():
            with contextlib.suppress(ValueError):  # the disk was full, or a file took it all
                read = json.loads(line)
                story.parquet[read.pop("file")] = read


def id_of(row: Row) -> int | None:
    """The order_id of a row that was read, whatever type it has by now."""
    return whole(row.get("order_id"))


def whole(value: Any) -> int | None:
    """A whole number that was written as one, or as a float or a text; None for everything else."""
    try:
        number = float(value)
        return int(value) if isinstance(value, int) else int(number) if number.is_integer() else None
    except (TypeError, ValueError, OverflowError):
        return None


def digest(data: bytes) -> str:
    """What names the content of a file."""
    return hashlib.sha256(data).hexdigest()


def last_line(text: str, story: Story) -> str:
    """What went wrong, as far as it was printed: the error, or else the last line. Nothing personal of a world that is not theirs."""
    lines = text.strip().splitlines() or ["(nothing printed)"]
    errors = [line for line in lines if re.match(r"[\w.]+(Error|Exception)\b", line)]
    line = (errors or lines)[-1][:200]
    shown = scenario.folded(line)
    return "(a line with personal data)" if any(term in shown for term in scenario.personal(story.days)) else line
