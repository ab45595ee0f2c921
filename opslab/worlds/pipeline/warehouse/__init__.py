"""A warehouse that is paid for by what a query reads, with a budget that can be used up.

    >>> with Warehouse("/tmp/case", budget=30 * MB) as warehouse:
    ...     warehouse.price("SELECT * FROM clean.orders").bytes                 # free, as a dry run
    ...     answer = warehouse.query("SELECT day, sum(paid) FROM gold.orders_daily WHERE day > '2026-11-09' GROUP BY day")
    ...     answer.frame()

The rule is that of BigQuery's on-demand price: a query costs the bytes of the columns that it names, on the days that it reads
(tables are kept by day, so a filter on `day` makes it cheaper, and LIMIT does not), and not less than `LEAST`. Numbers and times
have 8 bytes, a text its length in UTF-8 and 2 more. What is planned is paid, also where it fails half way.
https://cloud.google.com/bigquery/pricing#on_demand_pricing, https://cloud.google.com/bigquery/docs/estimate-costs

The database is read by a process in the jail (`engine`), because SQL is a program too. Budget and ledger are kept out here.
Nobody has to hand the file to whoever asks: a script in a jail of its own reaches the warehouse through `serve`, at a port,
and nothing else of it.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import duckdb

from opslab import jail, wire
from opslab.worlds import workspace
from opslab.worlds.pipeline.warehouse.engine import ROWS

MB = 1_000_000
LEAST = MB // 10
"""What any query costs at least, in bytes."""

DATABASE, ENGINE = "warehouse.duckdb", "engine.py"
SIZES = "catalogue.sizes"
LONGEST_QUERY = 20_000
LIMITS = jail.Limits(seconds=8 * 3600, cpu=3600, memory=4096 * jail.MEGABYTE, file_size=256 * jail.MEGABYTE)
START_SECONDS, ANSWER_SECONDS = 20, 60


class WarehouseError(RuntimeError):
    """The warehouse cannot be had; the text is one sentence."""


@dataclass(frozen=True)
class Price:
    """What a query costs, in bytes. reads: for each table that it reads, the columns, and how many of its days.

    rows: how many it gives, where that is certain without running it; else None.
    """

    bytes: int
    reads: tuple[dict[str, Any], ...] = ()
    rows: int | None = None

    def __str__(self) -> str:
        lines = [f"{megabytes(self.bytes)}"]
        for read in self.reads:
            what = f"{len(read['columns'])} columns" if len(read["columns"]) != 1 else "1 column"
            lines.append(f"  {read['table']}: {what}, {read['days']} of {read['of']} days, {megabytes(read['bytes'])}")
        if sum(read["bytes"] for read in self.reads) < LEAST:
            lines.append(f"  (no query costs less than {megabytes(LEAST)})")
        if (self.rows or 0) > ROWS:
            lines.append(f"  it gives {self.rows:,} rows, and only the first {ROWS:,} are sent: let the query count and add up (GROUP BY)")  # fmt: skip
        return "\n".join(lines)


@dataclass(frozen=True)
class Answer:
    """The result of a query, what it cost and what is left of the budget, in bytes."""

    columns: list[str]
    types: list[str]
    rows: list[list[Any]]
    more: bool
    cost: int
    left: int
    reads: tuple[dict[str, Any], ...] = field(default=(), repr=False)

    def frame(self):
        """The rows as a DataFrame; days and times are datetime64."""
        import pandas as pd

        frame = pd.DataFrame(self.rows, columns=self.columns)
        for column, kind in zip(self.columns, self.types, strict=True):
            if kind == "DATE" or kind.startswith("TIMESTAMP"):
                frame[column] = pd.to_datetime(frame[column], format="ISO8601")
        return frame


def megabytes(size: int) -> str:
    """A number of bytes as people read it: 1.2 MB."""
    return f"{size / MB:,.1f} MB" if size >= MB / 20 else f"{size / 1000:,.0f} kB"


def measure(con: duckdb.DuckDBPyConnection) -> None:
    """Write into a database how many bytes each column of each table has on each day. A table without a column `day` has one day."""
    con.execute("CREATE SCHEMA IF NOT EXISTS catalogue")
    con.execute(f"CREATE OR REPLACE TABLE {SIZES} (table_name VARCHAR, column_name VARCHAR, day DATE, bytes BIGINT)")
    query = """
        SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns()
        SEMI JOIN (SELECT table_oid FROM duckdb_tables() WHERE NOT temporary) USING (table_oid)"""
    tables: dict[str, list[tuple[str, str]]] = {}
    for schema, table, column, kind in con.execute(query).fetchall():
        if f"{schema}.{table}" != SIZES:
            tables.setdefault(f"{schema}.{table}", []).append((column, kind))
    for table, columns in tables.items():
        day = "day" if ("day", "DATE") in columns else "CAST(NULL AS DATE)"
        text, plain = '2 + strlen("{0}")', '8 * ("{0}" IS NOT NULL)::INTEGER'
        sizes = [
            f'coalesce(sum({(text if kind == "VARCHAR" else plain).format(column)}), 0)::BIGINT AS "{column}"'
            for column, kind in columns
        ]
        con.execute(f"""
            INSERT INTO {SIZES} BY NAME
            SELECT '{table}' AS table_name, column_name, the_day AS day, bytes
            FROM (SELECT {day} AS the_day, {", ".join(sizes)} FROM {table} GROUP BY ALL)
            UNPIVOT (bytes FOR column_name IN (COLUMNS(* EXCLUDE the_day)))""")


class Warehouse:
    """The warehouse in a folder (with the file `warehouse.duckdb`, which `measure` has seen), and a budget in bytes.

    ledger: the file where queries are written down, one line of JSON each; what stands there is spent, and whoever takes the file
    away has the whole budget again. None: in memory.
    The folder must hold nothing else: the engine's jail can write in it. Use as a context manager; safe for threads.
    """

    def __init__(self, folder: str | Path, budget: int, ledger: str | Path | None = None) -> None:
        self.folder, self.budget, self.ledger = Path(folder).resolve(), budget, Path(ledger) if ledger else None
        if not (self.folder / DATABASE).is_file():
            raise WarehouseError(f"There is no {DATABASE} in {self.folder}.")
        self._spent: list[dict[str, Any]] = []
        self._socket = self._fresh_socket()
        self._lock = threading.Lock()
        self._jail: threading.Thread | None = None
        self._failed = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the engine. What was spent stays in the ledger."""
        if self._jail is not None:
            with contextlib.suppress(OSError, wire.Refusal):
                wire.exchange(self._socket, {"op": "stop"}, seconds=5)
            self._jail.join(10)
            self._jail = None
        self._socket.unlink(missing_ok=True)

    @property
    def left(self) -> int:
        """What is left of the budget, in bytes."""
        return left_of(self.budget, self.ledger) if self.ledger else max(self.budget - _sum(self._spent), 0)

    def tables(self) -> dict[str, dict[str, str]]:
        """The tables with their columns and types. Free."""
        with self._lock:
            return self._ask({"op": "tables"})

    def price(self, sql: str) -> Price:
        """What a query would cost. Free. Raises wire.Refusal with a sentence where it could not be run."""
        with self._lock:
            return self._price(sql)

    def query(self, sql: str) -> Answer:
        """Run a query and take its price from the budget. Raises wire.Refusal where it cannot be run, or not be paid."""
        with self._lock:
            price = self._price(sql)
            if price.bytes > self.left:
                raise wire.Refusal(
                    f"This query costs {megabytes(price.bytes)}, and {megabytes(self.left)} of {megabytes(self.budget)} are left. "
                    f"It was not run. Fewer columns or fewer days cost less."
                )
            self._write_down({"bytes": price.bytes, "sql": sql, "at": round(time.time())})
            try:
                result = self._ask({"op": "run", "sql": sql})
            except wire.Refusal as refusal:
                raise wire.Refusal(f"{refusal} (it cost {megabytes(price.bytes)})") from None
            return Answer(cost=price.bytes, left=self.left, reads=price.reads, **result)

    def answer(self, request: dict[str, Any]) -> Any:
        """What a request of `serve` is answered with. Raises wire.Refusal."""
        op, sql = request["op"], request.get("sql", "")
        try:
            if op == "left":
                return {"left": self.left, "budget": self.budget}
            if op == "tables":
                return self.tables()
            if op == "price":
                return vars(self.price(sql))
            if op == "query":
                return vars(self.query(sql))
        except WarehouseError as error:
            raise wire.Refusal(str(error)) from None
        raise wire.Refusal(f"The warehouse does not know {op!r}.")

    @contextlib.contextmanager
    def serve(self, path: Path) -> Iterator[Path]:
        """Answer at a unix socket: {"op": "query" | "price" | "tables" | "left", "sql": …}, as long as the block runs."""

        path.parent.mkdir(parents=True, exist_ok=True)
        with wire.Server(path, lambda request, tell: self.answer(request)) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
            thread.start()
            try:
                yield path
            finally:
                server.shutdown()
                thread.join()
                path.unlink(missing_ok=True)

    # ---- inside

    def _write_down(self, entry: dict[str, Any]) -> None:
        if self.ledger is None:
            self._spent.append(entry)
            return
        try:
            self.ledger.parent.mkdir(parents=True, exist_ok=True)
            with self.ledger.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
        except OSError as error:
            raise wire.Refusal(f"The query could not be written down in {self.ledger} ({error.strerror}), so it was not run.") from None  # fmt: skip

    def _price(self, sql: str) -> Price:
        if not isinstance(sql, str) or not sql.strip():
            raise wire.Refusal("There is no query. Write one: SELECT … FROM …")
        if len(sql) > LONGEST_QUERY:
            raise wire.Refusal(f"This query has {len(sql):,} letters; the warehouse takes up to {LONGEST_QUERY:,}.")
        told = self._ask({"op": "price", "sql": sql})
        return Price(max(told["bytes"], LEAST), tuple(told["reads"]), told["rows"])

    def _ask(self, request: dict[str, Any]) -> Any:
        """Ask the engine, which is started where it does not run."""
        for _ in range(2):
            self._start()
            try:
                return wire.exchange(self._socket, request, seconds=ANSWER_SECONDS)
            except (OSError, ValueError):  # it has ended: idle for long, or killed by a limit
                self._socket.unlink(missing_ok=True)  # and if not, it ends now
                self._jail = None
        raise WarehouseError("The warehouse does not answer. Try again; if it stays so, restart the lab.")

    def _start(self) -> None:
        if self._jail is not None and self._jail.is_alive():
            return
        shutil.copyfile(Path(__file__).with_name("engine.py"), self.folder / ENGINE)
        self._failed = ""
        self._socket.unlink(missing_ok=True)  # an engine that has ended leaves it behind
        self._socket = self._fresh_socket()
        self._jail = threading.Thread(target=self._run_engine, daemon=True)
        self._jail.start()
        deadline = time.monotonic() + START_SECONDS
        while not self._socket.exists():
            if not self._jail.is_alive() or time.monotonic() > deadline:
                raise WarehouseError(f"The warehouse could not be started. {self._failed}".strip())
            time.sleep(0.01)

    def _fresh_socket(self) -> Path:
        """A name that nobody has had: several may share a folder, and an engine that was given up ends where its own is gone."""
        return self.folder / f"{uuid.uuid4().hex[:8]}.sock"

    def _run_engine(self) -> None:
        confinement = {"hide": workspace.secret_folders(), "read_only": workspace.tool_folders()}
        env = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": "UTC"}
        # The socket is named by a path from the folder: paths of sockets must be short.
        argv = [sys.executable, "-I", ENGINE, DATABASE, self._socket.name]
        try:
            done = jail.run(argv, home=self.folder, env=env, limits=LIMITS, **confinement)
            self._failed = done.stopped or done.err[-500:]
        except jail.JailError as error:
            self._failed = str(error)


def left_of(budget: int, ledger: Path) -> int:
    """What is left of a budget after all that stands in a ledger, in bytes. A line that cannot be read counts as nothing."""
    found = []
    if ledger.is_file():
        for line in ledger.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError, TypeError, KeyError):
                entry = json.loads(line)
                if isinstance(entry["bytes"], int) and entry["bytes"] > 0:
                    found.append(entry)
    return max(budget - _sum(found), 0)


def _sum(entries: list[dict[str, Any]]) -> int:
    return sum(entry["bytes"] for entry in entries)
