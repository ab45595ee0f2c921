"""Inside the jail: DuckDB with one database, opened for reading, that says what a query will read and runs it.

    python -I engine.py warehouse.duckdb engine.sock

Speaks lines of JSON over a unix socket, as `opslab.wire` does: {"op": "price", "sql": …}, {"op": "run", "sql": …}. Who asks how
often, and what is left of the budget, is counted outside. The SQL is somebody's own, so DuckDB gets no files, no network and no
settings, and the process has nothing that it could give away but the database.

It imports nothing of the course, because inside the jail there is no course.
"""

from __future__ import annotations

import datetime
import decimal
import json
import math
import os
import re
import socketserver
import sys
import threading
import time

import duckdb

SECONDS = 20
ROWS = 10_000
IDLE = 600

SIZES = "catalogue.sizes"
"""The table that says how many bytes each column has on each day; `opslab.worlds.pipeline.warehouse.measure` makes it."""

FUNCTIONS = {
    "RANGE",
    "GENERATE_SERIES",
    "UNNEST",
    "SEQ_SCAN",
    "DUCKDB_TABLES",
    "DUCKDB_VIEWS",
    "DUCKDB_COLUMNS",
    "DUCKDB_SCHEMAS",
}
"""Table functions that read nothing, or what everybody may know: which tables there are."""


class Refused(Exception):
    """A query that is not run. The text says why."""


class Engine:
    """One database. Not for several threads at once."""

    def __init__(self, path: str) -> None:
        self.con = duckdb.connect(path, read_only=True, config={"threads": 2, "memory_limit": "1GB"})
        # With the first, ORDER BY … LIMIT reads one column before the others; with the second, min and max are known without
        # reading. Either way a query would cost less than what it names.
        self.con.execute("SET disabled_optimizers = 'late_materialization,statistics_propagation'")
        self.con.execute("SET enable_progress_bar = false")
        self.con.execute("SET enable_external_access = false")
        self.con.execute("SET lock_configuration = true")
        self.columns: dict[str, set[str]] = {}
        for table, columns in self.tables().items():
            self.columns[table] = set(columns)

    def price(self, sql: str) -> dict:
        """What a query reads: {"bytes": …, "reads": [{"table", "columns", "days", "of", "bytes"}], "rows": …}. Raises Refused.

        rows: how many come out, where that is certain; else None.
        """
        statement = self._one(sql)
        try:
            (plan,) = self.con.execute(f"EXPLAIN (FORMAT json)\n{statement}").fetchall()
        except duckdb.Error as error:  # it counts our line
            raise Refused(
                "DuckDB says: " + re.sub(r"LINE (\d+):", lambda line: f"LINE {int(line[1]) - 1}:", str(error))
            ) from None
        nodes = json.loads(plan[1])
        reads = [self._read(info) for node in nodes for info in _scans(node)]
        return {"bytes": sum(read["bytes"] for read in reads), "reads": reads, "rows": self._rows(nodes[0])}

    def run(self, sql: str) -> dict:
        """The result: {"columns": […], "types": […], "rows": [[…]], "more": whether there are more than ROWS}."""
        statement = self._one(sql)
        alarm = threading.Timer(SECONDS, self.con.interrupt)
        alarm.start()
        try:
            cursor = self.con.execute(statement)
            rows = cursor.fetchmany(ROWS + 1)
        except duckdb.InterruptException:
            raise Refused(f"it was stopped after {SECONDS} seconds; it had been read by then") from None
        finally:
            alarm.cancel()
        return {
            "columns": [column[0] for column in cursor.description],
            "types": [str(column[1]) for column in cursor.description],
            "rows": [[_plain(value) for value in row] for row in rows[:ROWS]],
            "more": len(rows) > ROWS,
        }

    def tables(self) -> dict:
        """The tables that can be asked, with their columns and types."""
        found: dict[str, dict[str, str]] = {}
        query = """
            SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns()
            WHERE NOT internal ORDER BY schema_name, table_name, column_index"""
        for schema, table, column, kind in self.con.execute(query).fetchall():
            if f"{schema}.{table}" != SIZES:
                found.setdefault(f"{schema}.{table}", {})[column] = kind
        return found

    def _one(self, sql: str) -> str:
        statements = self.con.extract_statements(sql)
        if len(statements) != 1:
            raise Refused(f"one query at a time, please; this has {len(statements)}")
        if statements[0].type != duckdb.StatementType.SELECT:
            kind = str(statements[0].type).rpartition(".")[2]
            raise Refused(f"the warehouse is for reading, with SELECT; this is {kind}")
        return statements[0].query.strip().rstrip(";")

    def _read(self, info: dict) -> dict:
        """What one scan reads. info: as DuckDB's plan tells of it."""
        table = _table(info)
        known = self.columns.get(table)
        if known is None:
            raise Refused(f"{table} is not for reading")
        filters = [text.removeprefix("optional: ") for text in _list(info.get("Filters"))]
        named = {text: _names(text) & known for text in filters}
        columns = (set(_list(info.get("Projections"))) & known).union(*named.values())
        # A filter on the day alone says which days are read: the table is kept by day.
        by_day = " AND ".join(text for text in filters if named[text] == {"day"}) or "true"
        values = (table, sorted(columns))
        query = f"SELECT coalesce(sum(bytes), 0), count(DISTINCT day) FROM {SIZES} WHERE table_name = ? AND column_name IN (SELECT unnest(?))"
        (of,) = self.con.execute(f"SELECT count(DISTINCT day) FROM {SIZES} WHERE table_name = ?", [table]).fetchone()
        try:
            size, days = self.con.execute(f"{query} AND ({by_day})", values).fetchone()
        except duckdb.Error:  # a filter that only DuckDB's plan can say
            size, days = self.con.execute(query, values).fetchone()
        return {"table": table, "columns": sorted(columns), "days": days, "of": of, "bytes": int(size)}

    def _rows(self, node: dict) -> int | None:
        """How many rows come out of a plan that shows whole days of one table; None for all others, which would have to be run.

        The plan's own numbers are estimates. What is certain is what is known of the column `day`: 8 bytes a row.
        """
        while node["name"].strip() in ("PROJECTION", "ORDER_BY"):
            (node,) = node["children"]
        info = node.get("extra_info", {})
        filters = _list(info.get("Filters"))
        if node["name"].strip() != "SEQ_SCAN" or any(
            _names(text) & self.columns[_table(info)] != {"day"} for text in filters
        ):
            return None
        query = f"SELECT sum(bytes) // 8 FROM {SIZES} WHERE table_name = ? AND column_name = 'day'"
        try:
            (rows,) = self.con.execute(
                " AND ".join([query, *(f"({text})" for text in filters)]), [_table(info)]
            ).fetchone()
        except duckdb.Error:  # a filter that only DuckDB's plan can say
            return None
        return None if rows is None else int(rows)


def _scans(node: dict) -> list[dict]:
    """Of all that a plan reads, the tables. Raises Refused for what is no table."""
    info = node.get("extra_info", {})
    found = [info] if "Table" in info else []
    function = info.get("Function")
    if isinstance(function, str) and function not in FUNCTIONS:
        raise Refused(f"{function.lower()} reads something else than the tables of the warehouse")
    for child in node.get("children", []):
        found += _scans(child)
    return found


def _table(info: dict) -> str:
    """The table of a scan, with its schema."""
    return ".".join(info["Table"].split(".")[-2:])


def _list(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def _names(expression: str) -> set[str]:
    """The words of an expression that stand outside of its texts."""
    return set(re.findall(r"\w+", re.sub(r"'(?:[^']|'')*'", "", expression)))


def _plain(value: object) -> object:
    """A value as JSON can have it."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value)


class Server(socketserver.ThreadingUnixStreamServer):
    """One query at a time; whoever comes meanwhile waits."""

    daemon_threads = True

    def __init__(self, path: str, engine: Engine) -> None:
        self.engine, self.busy, self.last = engine, threading.Lock(), time.monotonic()
        super().__init__(path, Handler)


class Handler(socketserver.StreamRequestHandler):
    """One question and its answer, a line of JSON each."""

    server: Server

    def handle(self) -> None:
        op = ""
        with self.server.busy:
            self.server.last = time.monotonic()
            try:
                request = json.loads(self.rfile.readline(1024 * 1024))
                op = request["op"]
                if op == "stop":
                    answer = {"result": {}}
                elif op == "tables":
                    answer = {"result": self.server.engine.tables()}
                else:
                    answer = {
                        "result": {"price": self.server.engine.price, "run": self.server.engine.run}[op](request["sql"])
                    }
            except Refused as refusal:
                answer = {"error": str(refusal)}
            except duckdb.Error as error:
                answer = {"error": f"DuckDB says: {error}"}
            except Exception as error:  # noqa: BLE001  (whoever asks is answered)
                answer = {"error": f"it could not be run ({type(error).__name__}: {error})"}
            self.server.last = time.monotonic()
        self.wfile.write(json.dumps(answer).encode() + b"\n")
        if op == "stop":  # whoever asked for it is answered first: this thread ends with the process
            self.server.shutdown()


def main(database: str, path: str) -> None:
    """Serve until told to stop, until nobody has asked anything for a while, or until the socket is gone."""
    engine = Engine(database)
    os.umask(0o177)
    with Server(f"{path}.new", engine) as server:
        os.rename(f"{path}.new", path)  # whoever sees it finds it listening

        def retire() -> None:
            while time.monotonic() - server.last < IDLE and os.path.exists(path):
                time.sleep(1)
            server.shutdown()

        threading.Thread(target=retire, daemon=True).start()
        server.serve_forever(poll_interval=0.5)


if __name__ == "__main__":
    main(*sys.argv[1:])
