"""The steps of Targ's pipeline: landing, staging, clean, marts.

    >>> flow = Flow(Folder("/tmp/landing"), "/tmp/pipeline")
    >>> flow.stage("clicks", "2026-11-16")      # raw, as it came: the landed files of that day, copied
    >>> flow.clean("clicks", "2026-11-16")      # right types, each key once, by the day on which it happened
    >>> flow.marts("2026-11-16")                # for people, in DuckDB
    >>> flow.sql("SELECT * FROM gold.clicks_daily")

Every step is a function of what lies before it, and replaces what it made the last time. So a step, a day, or all of it may be
run again, in any order and after a crash, and nothing is counted twice. An event belongs to the day on which it *happened*, so
one that comes late changes the clean table and the marts of an earlier day.

No step asks whether what it got makes sense. A day without rows goes through all of them, and all of them succeed.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import duckdb

from .marts import COLUMNS, NEEDS, QUERIES
from .places import Folder, Place, place
from .records import Records
from .tables import TABLES, Table

CONFIG = {"threads": 2}
"""More threads do not pay for days of this size, and in the jail each counts as a process."""


class FlowError(RuntimeError):
    """A step cannot do its work; the text says why and what to do."""


class Flow:
    """The pipeline that takes files from `landing` and keeps everything else in the folder `home`.

    run_id: the name under which its steps are recorded, as the orchestrator calls the run; otherwise the day.
    """

    def __init__(self, landing: Place, home: str | Path, run_id: str = "") -> None:
        self.landing, self.home, self.run_id = landing, Path(home), run_id
        self.records = Records(self.home / "runs.sqlite")
        self.warehouse = self.home / "warehouse.duckdb"

    @classmethod
    def from_environment(cls, run_id: str = "") -> Flow:
        """The flow that the variables TARG_LANDING ("s3://bucket/prefix" or a folder) and TARG_PIPELINE (a folder) name."""
        try:
            landing, home = os.environ["TARG_LANDING"], os.environ["TARG_PIPELINE"]
        except KeyError as missing:
            raise FlowError(f"The variable {missing.args[0]} is not set, so there is no pipeline to run.") from None
        return cls(place(landing), home, run_id)

    # ---- the steps

    def stage(self, table: str, day: str) -> dict[str, Any]:
        """Copy what has landed for a day, byte for byte, in place of what was staged for it before.

        Returns {"rows": …, "files": …}. No file is no error: then there are no rows.
        """
        _known(table), _date(day)
        with self.records.step(day, "stage", table, self.run_id) as step:
            keys = [key for key in self.landing.list(f"{table}/day={day}/") if key.endswith(".parquet")]
            target = self._folder("staging", table, day)
            fresh = Folder(target.with_name(f"{target.name}.new"))
            shutil.rmtree(fresh.root, ignore_errors=True)
            fresh.root.mkdir(parents=True)
            for key in keys:
                data = self.landing.read(key)
                step.inputs[key] = hashlib.sha256(data).hexdigest()
                fresh.write(Path(key).name, data)
            with self._memory() as con:
                rows = _count(con, sorted(fresh.root.glob("*.parquet")))
            shutil.rmtree(target, ignore_errors=True)
            fresh.root.rename(target)
            step.rows_in = step.rows_out = rows
            step.detail = {"files": len(keys)}
        return {"rows": rows, "files": len(keys)}

    def clean(self, table: str, day: str) -> dict[str, Any]:
        """Bring what was staged for a day into the clean tables.

        Returns {"rows": …, "duplicates": …, "quarantined": …, "days": […]}: rows of this day's files that are in the clean table
        now; rows whose key is there already; rows without a key or a time; the days whose clean table was made anew.
        """
        about = _known(table)
        with self.records.step(day, "clean", table, self.run_id) as step, self._memory() as con:
            found = self._clean_events(con, table, day) if about.happened else self._clean_snapshot(con, table, day)
            step.rows_in = sum(found[name] for name in ("rows", "duplicates", "quarantined"))
            step.rows_out = found["rows"]
            step.detail = {name: value for name, value in found.items() if name != "rows"}
        return found

    def marts(self, day: str, *, only: Iterable[str] = QUERIES, days: Iterable[str] | None = None) -> dict[str, int]:
        """Make the marts anew for the days that the clean steps of `day` have touched, or for `days`.

        only: the marts that are wanted. Returns for each how many rows it has for those days.
        """
        _date(day)
        touched = sorted(self._touched(day) if days is None else set(days))
        counts = {}
        with self._marts() as con:
            for mart in only:
                if mart not in QUERIES:
                    raise FlowError(f"There is no mart {mart!r}. Take some of: {', '.join(QUERIES)}.")
                with self.records.step(day, "mart", mart, self.run_id) as step:
                    con.begin()
                    counts[mart] = step.rows_out = sum(self._mart(con, mart, one) for one in touched)
                    con.commit()
                    step.detail = {"days": touched}
        return counts

    def run(self, day: str) -> dict[str, int]:
        """All steps for a day, one after the other. To replay a day is to run it again."""
        for table in TABLES:
            self.stage(table, day)
            self.clean(table, day)
        return self.marts(day)

    # ---- looking

    def sql(self, query: str):
        """The result of a query on the marts (gold.orders_daily …), as a DataFrame."""
        with self._marts(read_only=True) as con:
            return con.execute(query).df()

    def count(self, layer: str, table: str, day: str) -> int:
        """How many rows a table has for a day in "staging" (arrived on it) or "clean" (happened on it)."""
        _known(table), _date(day)
        if layer not in ("staging", "clean"):
            raise FlowError(f'There is no layer {layer!r} with files. Take "staging" or "clean".')
        with self._memory() as con:
            return _count(con, sorted(self._folder(layer, table, day).glob("*.parquet")))

    def read(self, layer: str, table: str, day: str):
        """The rows of a table for a day in "staging" or "clean", as a DataFrame whose ids are Int64."""
        files = sorted(self._folder(layer, table, day).glob("*.parquet"))
        query = f"* EXCLUDE (day, file_row_number) FROM {_parquet(files)}" if files else _empty(_known(table))
        with self._memory() as con:
            return frame_of(con.execute(f"SELECT {query}"))

    # ---- inside

    def _folder(self, layer: str, table: str, day: str) -> Path:
        return self.home / layer / table / f"day={day}"

    def _days(self, layer: str, table: str) -> dict[str, list[Path]]:
        """The days that a layer has for a table, in order, each with its files."""
        folders = sorted((self.home / layer / table).glob("day=????-??-??"))
        return {folder.name.removeprefix("day="): sorted(folder.glob("*.parquet")) for folder in folders}

    @functools.cached_property
    def _duckdb(self) -> duckdb.DuckDBPyConnection:
        """DuckDB without a database of its own, to read and write files. To start it takes longer than most steps."""
        return duckdb.connect(config=CONFIG)

    def _memory(self) -> contextlib.closing[duckdb.DuckDBPyConnection]:
        return contextlib.closing(_quiet(self._duckdb.cursor()))

    @contextlib.contextmanager
    def _marts(self, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        """The warehouse. DuckDB lets one process write, or several read."""
        if not self.warehouse.exists():
            self.home.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(duckdb.connect(str(self.warehouse))) as con:
                con.execute("CREATE SCHEMA gold")
                for mart, columns in COLUMNS.items():
                    con.execute(f"CREATE TABLE gold.{mart} ({columns})")
        try:
            con = duckdb.connect(str(self.warehouse), read_only=read_only, config=CONFIG)
        except duckdb.IOException as error:
            raise FlowError(
                f"{self.warehouse.name} is open in another program, and DuckDB lets only one write. Close it there "
                f"(con.close(), or restart that notebook's kernel), then run this again. DuckDB says: {error}"
            ) from None
        with contextlib.closing(_quiet(con)):
            yield con

    def _clean_events(self, con: duckdb.DuckDBPyConnection, table: str, day: str) -> dict[str, Any]:
        about, staged = TABLES[table], self._days("staging", table)
        if day not in staged:
            raise FlowError(f"Nothing was staged for {table} on {day}. Run stage({table!r}, {day!r}) first.")
        good = f"{about.key} IS NOT NULL AND {about.happened} IS NOT NULL"
        arrived = _typed(con, about, staged[day])
        (total,) = con.execute(f"SELECT count(*) FROM {arrived}").fetchone()
        quarantined = self._quarantine(con, table, day, f"SELECT * FROM {arrived} WHERE NOT ({good})")
        # Days that this day's files tell of, or told of before they were replaced. Always the day itself, be it empty.
        query = f"SELECT DISTINCT strftime({about.happened}, '%Y-%m-%d') FROM {arrived} WHERE {good}"
        days = {day} | {found for (found,) in con.execute(query).fetchall()}
        known = [file for files in self._days("clean", table).values() for file in files]
        if known:
            query = f"SELECT DISTINCT strftime({about.happened}, '%Y-%m-%d') FROM {_parquet(known)} WHERE arrived_on = DATE '{day}'"
            days |= {found for (found,) in con.execute(query).fetchall()}
        kept = 0
        for happened in sorted(days):
            kept += self._clean_day(con, table, happened, arrived_on=day)
        return {
            "rows": kept,
            "duplicates": total - quarantined - kept,
            "quarantined": quarantined,
            "days": sorted(days),
        }

    def _clean_day(self, con: duckdb.DuckDBPyConnection, table: str, day: str, arrived_on: str) -> int:
        """Make the clean table of a day anew, from all that was ever staged of it. Returns how many of its rows arrived on a day.

        Of rows with the same key, the one that came first counts.
        """
        about = TABLES[table]
        # Nothing arrives before it happens, but for clocks that are wrong by less than a day.
        eve = str(_date(day) - datetime.timedelta(1))
        files = [file for staged, found in self._days("staging", table).items() if staged >= eve for file in found]
        target = self._folder("clean", table, day)
        query = f"""
            SELECT {", ".join(about.columns)}, arrived_on FROM {_typed(con, about, files)}
            WHERE {about.key} IS NOT NULL AND {about.happened} >= DATE '{day}' AND {about.happened} < DATE '{day}' + 1
            QUALIFY row_number() OVER (
                PARTITION BY {about.key} ORDER BY {about.received}, arrived_on, file_row_number) = 1
            ORDER BY {about.received}, {about.key}"""
        _write(con, query, target / "part-0.parquet")
        query = f"SELECT count(*) FROM {_parquet([target / 'part-0.parquet'])} WHERE arrived_on = DATE '{arrived_on}'"
        return con.execute(query).fetchone()[0]

    def _clean_snapshot(self, con: duckdb.DuckDBPyConnection, table: str, day: str) -> dict[str, Any]:
        about, staged = TABLES[table], self._days("staging", table)
        if day not in staged:
            raise FlowError(f"Nothing was staged for {table} on {day}. Run stage({table!r}, {day!r}) first.")
        rows = _typed(con, about, staged[day])
        (total,) = con.execute(f"SELECT count(*) FROM {rows}").fetchone()
        lost = self._quarantine(con, table, day, f"SELECT * FROM {rows} WHERE {about.key} IS NULL")
        target = self._folder("clean", table, day) / "part-0.parquet"
        columns = ", ".join(about.columns)
        _write(con, f"SELECT DISTINCT {columns} FROM {rows} WHERE {about.key} IS NOT NULL ORDER BY ALL", target)
        kept = _count(con, [target])
        return {"rows": kept, "duplicates": total - lost - kept, "quarantined": lost, "days": [day]}

    def _quarantine(self, con: duckdb.DuckDBPyConnection, table: str, day: str, query: str) -> int:
        """Put rows aside that cannot be used, in place of those of the last time. Returns how many."""
        target = self._folder("quarantine", table, day) / "part-0.parquet"
        (count,) = con.execute(f"SELECT count(*) FROM ({query})").fetchone()
        if count:
            _write(con, query, target)
        else:
            target.unlink(missing_ok=True)
        return count

    def _touched(self, day: str) -> set[str]:
        found = {day}
        for step in self.records.latest(day):
            if step["step"] == "clean":
                found |= set(step["detail"].get("days", ()))
        return found

    def _mart(self, con: duckdb.DuckDBPyConnection, mart: str, day: str) -> int:
        for source in NEEDS[mart]:
            if source in TABLES:
                content = self._of_day(source, day)
            else:
                content = f"SELECT * FROM gold.{source} WHERE day = DATE '{day}'"
            con.execute(f"CREATE OR REPLACE TEMP VIEW {source} AS {content}")
        con.execute(f"DELETE FROM gold.{mart} WHERE day = DATE '{day}'")
        con.execute(f"INSERT INTO gold.{mart} {QUERIES[mart]}")
        return con.execute(f"SELECT count(*) FROM gold.{mart} WHERE day = DATE '{day}'").fetchone()[0]

    def _of_day(self, table: str, day: str) -> str:
        """A query for the clean rows of a day. Of a snapshot that was not made that day, the last one before, or the first."""
        files = self._days("clean", table)
        if TABLES[table].happened:
            chosen = day
        else:
            chosen = max((known for known in files if known <= day), default=next(iter(files), day))
        if not files.get(chosen):
            return f"SELECT {_empty(TABLES[table], 'CAST(NULL AS DATE) AS day')}"
        columns = ", ".join(TABLES[table].columns)
        return f"SELECT {columns}, DATE '{day}' AS day FROM {_parquet(files[chosen])}"


# ---- landing ------------------------------------------------------------------------------------------------------------


def land(landing: Place, table: str, day: str, frame: Any, part: int = 0) -> str:
    """What the sources do: put a table of a day (a DataFrame) into the landing place, as one Parquet file. Returns its key."""
    import tempfile

    key = f"{_known(table) and table}/day={_date(day)}/part-{part}.parquet"
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(_quiet(duckdb.connect())) as con:
        con.register("frame", frame)
        # A column of texts without a single text looks like anything; say what it is.
        columns = [f'"{name}"::VARCHAR AS "{name}"' if frame[name].dtype == "str" else f'"{name}"' for name in frame]
        _write(con, f"SELECT {', '.join(columns)} FROM frame", Path(folder, "file"))
        landing.write(key, Path(folder, "file").read_bytes())
    return key


# ---- DuckDB and Parquet ---------------------------------------------------------------------------------------------------


def _quiet(con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """A connection that draws no progress bar into logs and notebooks."""
    con.execute("SET enable_progress_bar = false")
    return con


def frame_of(result: duckdb.DuckDBPyConnection):
    """The result of a query as a DataFrame. Whole numbers become Int64, so that an id that is missing leaves the others whole."""
    types = {column[0]: str(column[1]) for column in result.description}
    frame = result.df()
    wanted = {column: "Int64" for column in frame if frame[column].dtype.kind in "iu"}
    # A column without a single text would be one of objects.
    wanted |= {column: "str" for column, kind in types.items() if kind == "VARCHAR" and frame[column].dtype == object}
    return frame.astype(wanted)


def _parquet(files: Iterable[Path]) -> str:
    """A table function over files, of one and the same table, whose columns may have changed from day to day."""
    names = ", ".join("'{}'".format(str(file).replace("'", "''")) for file in files)
    return f"read_parquet([{names}], union_by_name = true, hive_partitioning = true, file_row_number = true)"


def _count(con: duckdb.DuckDBPyConnection, files: list[Path]) -> int:
    return con.execute(f"SELECT count(*) FROM {_parquet(files)}").fetchone()[0] if files else 0


def _write(con: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    """The result of a query as a Parquet file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    name = str(fresh).replace("'", "''")
    con.execute(f"COPY ({query}) TO '{name}' (FORMAT parquet)")
    os.replace(fresh, path)


def _typed(con: duckdb.DuckDBPyConnection, about: Table, files: list[Path]) -> str:
    """A subquery: the rows of staged files with the columns and types of the table, and the day on which they arrived.

    What does not fit a type, and a column that did not come, is NULL; columns that nobody knows are left out.
    """
    if not files:
        return (
            f"(SELECT {_empty(about, 'CAST(NULL AS DATE) AS arrived_on', 'CAST(NULL AS BIGINT) AS file_row_number')})"
        )
    source = _parquet(files)
    there = {row[0] for row in con.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}
    columns = [
        f'TRY_CAST("{name}" AS {type}) AS "{name}"' if name in there else f'CAST(NULL AS {type}) AS "{name}"'
        for name, type in about.columns.items()
    ]
    return f"(SELECT {', '.join(columns)}, day AS arrived_on, file_row_number FROM {source})"


def _empty(about: Table, *more: str) -> str:
    columns = [f'CAST(NULL AS {type}) AS "{name}"' for name, type in about.columns.items()]
    return ", ".join([*columns, *more]) + " WHERE false"


def _known(table: str) -> Table:
    if table not in TABLES:
        raise FlowError(f"There is no table {table!r}. Take one of: {', '.join(TABLES)}.")
    return TABLES[table]


def _date(day: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(str(day))
    except ValueError:
        raise FlowError(f'{day!r} is not a day: write it as "2026-11-16".') from None
