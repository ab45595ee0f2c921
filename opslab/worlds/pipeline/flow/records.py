"""What ran, when, on what, and how many rows came out: one row for each step that was tried, in a small SQLite file.

    >>> records = Records("/tmp/runs.sqlite")
    >>> with records.step("2026-11-16", "stage", "clicks") as step:
    ...     step.rows_in, step.rows_out = 870, 870
    >>> records.latest()[0]["status"]
    'success'

SQLite, because it can be read while something else writes, and needs no server: `sqlite3 runs.sqlite "select * from runs"`.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS steps (
    id INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL,        -- the name that the orchestrator gave the run, or the day
    day TEXT NOT NULL,
    step TEXT NOT NULL,          -- stage, clean, mart
    subject TEXT NOT NULL,       -- the table
    attempt INTEGER NOT NULL,    -- of this step for this day: 1, and more where it ran again
    status TEXT NOT NULL,        -- running, success, failed
    rows_in INTEGER,
    rows_out INTEGER,
    inputs TEXT NOT NULL,        -- JSON: {file: sha256}
    detail TEXT NOT NULL,        -- JSON: duplicates, quarantined, days …
    error TEXT NOT NULL,
    started_at TEXT NOT NULL,    -- UTC
    seconds REAL
);
CREATE VIEW IF NOT EXISTS latest AS
    SELECT * FROM steps WHERE id IN (SELECT max(id) FROM steps GROUP BY day, step, subject) ORDER BY day, id;
CREATE VIEW IF NOT EXISTS runs AS
    SELECT run_id, day,
           CASE WHEN sum(status = 'failed') THEN 'failed' WHEN sum(status = 'running') THEN 'running' ELSE 'success' END AS status,
           count(*) AS steps, min(started_at) AS started_at, round(sum(seconds), 3) AS seconds
    FROM latest GROUP BY run_id, day ORDER BY day;
"""


@dataclass
class Step:
    """One step while it runs. What is put in here is written down when it ends, well or not."""

    rows_in: int | None = None
    rows_out: int | None = None
    inputs: dict[str, str] = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)


class Records:
    """The records in the file `path`, which is made with the first step."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(self.path, timeout=30)) as connection, connection:
            # To wait for the disk would take longer than a step; what a crash of the machine loses, the next run writes anew.
            connection.execute("PRAGMA synchronous = OFF")
            connection.executescript(SCHEMA)
            connection.row_factory = sqlite3.Row
            yield connection

    @contextlib.contextmanager
    def step(self, day: str, name: str, subject: str, run_id: str = "") -> Iterator[Step]:
        """Write down a step: that it has begun, and then how it ended. What goes wrong in it goes on to the caller."""
        started = time.monotonic()
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        with self._open() as connection:
            where = (day, name, subject)
            (before,) = connection.execute(
                "SELECT count(*) FROM steps WHERE day = ? AND step = ? AND subject = ?", where
            ).fetchone()
            id = connection.execute(
                "INSERT INTO steps (day, step, subject, run_id, attempt, status, inputs, detail, error, started_at)"
                " VALUES (?, ?, ?, ?, ?, 'running', '{}', '{}', '', ?)",
                (*where, run_id or day, before + 1, now),
            ).lastrowid
        step, status, error = Step(), "failed", ""
        try:
            yield step
            status = "success"
        except BaseException as problem:
            error = f"{type(problem).__name__}: {problem}"
            raise
        finally:
            told = (step.rows_in, step.rows_out, json.dumps(step.inputs), json.dumps(step.detail))
            with self._open() as connection:
                connection.execute(
                    "UPDATE steps SET status = ?, error = ?, rows_in = ?, rows_out = ?, inputs = ?, detail = ?, seconds = ?"
                    " WHERE id = ?",
                    (status, error, *told, round(time.monotonic() - started, 3), id),
                )

    def query(self, sql: str, values: tuple[Any, ...] = ()) -> list[dict[str, Any]]:
        """The rows of a query, as dictionaries. Tables: steps; latest (of each step the last attempt); runs."""
        with self._open() as connection:
            return [dict(row) for row in connection.execute(sql, values)]

    def latest(self, day: str = "") -> list[dict[str, Any]]:
        """The last attempt of each step, of all days or of one, with inputs and detail as dictionaries."""
        rows = self.query("SELECT * FROM latest WHERE ? IN ('', day)", (day,))
        return [{**row, "inputs": json.loads(row["inputs"]), "detail": json.loads(row["detail"])} for row in rows]
