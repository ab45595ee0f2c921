"""The warehouse that is paid for by what a query reads: prices, budget, and no way around it."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from opslab import jail, wire
from opslab.worlds import workspace
from opslab.worlds.pipeline.flow import install
from opslab.worlds.pipeline.warehouse import (
    DATABASE,
    LEAST,
    MB,
    Price,
    Warehouse,
    WarehouseError,
    engine,
    measure,
    megabytes,
)

DAYS = 10
ROWS = 20_000
"""Rows a day: a number has 8 bytes, so a column of numbers has 0.16 MB a day."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A small warehouse: ten days of sales, with a text of four letters, sometimes missing; and a table without days."""
    place = tmp_path_factory.mktemp("warehouse")
    with contextlib.closing(duckdb.connect(str(place / DATABASE))) as con:
        con.execute(f"""
            CREATE SCHEMA clean;
            CREATE TABLE clean.sales AS
                SELECT DATE '2026-11-01' + (i // {ROWS})::INTEGER AS day, i AS id, (i % 100)::DOUBLE AS amount,
                       CASE WHEN i % 10 > 0 THEN 'żółw' END AS animal
                FROM range({DAYS * ROWS}) AS r(i);
            CREATE TABLE clean.notes AS SELECT 'x' AS note;""")
        measure(con)
    return place


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Warehouse]:
    """One with a budget that no test can use up."""
    with Warehouse(folder, 10_000 * MB) as warehouse:
        yield warehouse


# ---- prices ---------------------------------------------------------------------------------------------------------------

COLUMN = 8 * ROWS * DAYS
ANIMAL = (2 + len("żółw".encode())) * ROWS * DAYS * 9 // 10


@pytest.mark.parametrize(
    "query, price",
    [
        ("SELECT * FROM clean.sales", 3 * COLUMN + ANIMAL),
        ("SELECT * FROM clean.sales LIMIT 1", 3 * COLUMN + ANIMAL),
        ("SELECT id FROM clean.sales ORDER BY amount LIMIT 1", 2 * COLUMN),
        ("SELECT sum(amount) FROM clean.sales", COLUMN),
        ("SELECT sum(amount) FROM clean.sales WHERE animal = 'żółw'", COLUMN + ANIMAL),
        ("SELECT sum(amount) FROM clean.sales WHERE day = '2026-11-03'", LEAST * 0 + 2 * COLUMN // 10),
        ("SELECT sum(amount) FROM clean.sales WHERE day BETWEEN '2026-11-03' AND '2026-11-06'", 2 * COLUMN * 4 // 10),
        ("SELECT sum(amount) FROM clean.sales WHERE day IN ('2026-11-03', '2026-11-09')", 2 * COLUMN * 2 // 10),
        ("SELECT sum(amount) FROM clean.sales WHERE day > DATE '2026-11-05' AND amount < 7 AND animal <> 'it''s day'", (2 * COLUMN + ANIMAL) // 2),
        ("SELECT max(s.id), (SELECT max(id) FROM clean.sales WHERE day = '2026-11-01') FROM clean.sales AS s", COLUMN + 2 * COLUMN // 10),
        ("WITH a AS (SELECT day, amount FROM clean.sales WHERE day > '2026-11-08') SELECT day, sum(amount) FROM a GROUP BY day", 2 * COLUMN * 2 // 10),
        ("SELECT count(*) FROM clean.sales", LEAST),
        ("SELECT 1", LEAST),
        ("SELECT note FROM clean.notes", LEAST),
        ("SELECT * FROM clean.sales WHERE false", LEAST),
    ],
)  # fmt: skip
def test_a_query_costs_the_columns_it_names_on_the_days_it_reads(query: str, price: int, running: Warehouse):
    assert running.price(query).bytes == price


def test_a_price_says_what_it_is_for(running: Warehouse):
    assert str(running.price("SELECT id FROM clean.sales WHERE day > '2026-11-08'")).splitlines() == [
        "0.6 MB",
        "  clean.sales: 2 columns, 2 of 10 days, 0.6 MB",
        "  it gives 40,000 rows, and only the first 10,000 are sent: let the query count and add up (GROUP BY)",
    ]
    assert str(Price(LEAST)).splitlines()[1] == "  (no query costs less than 0.1 MB)"
    assert (megabytes(12_345_678), megabytes(900)) == ("12.3 MB", "1 kB")


@pytest.mark.parametrize(
    "query, rows",
    [
        ("SELECT * FROM clean.sales", DAYS * ROWS),
        ("SELECT id + 1 AS next FROM clean.sales WHERE day > '2026-11-08' ORDER BY next", 2 * ROWS),
        (
            "SELECT id FROM clean.sales WHERE day BETWEEN '2026-11-03' AND '2026-11-06' AND day <> '2026-11-04'",
            3 * ROWS,
        ),
        ("SELECT id FROM clean.sales WHERE amount > 98", None),
        ("SELECT id FROM clean.sales LIMIT 20000", None),
        ("SELECT DISTINCT id FROM clean.sales", None),
        ("SELECT unnest([1, 2]), id FROM clean.sales", None),
        ("SELECT count(*) FROM clean.sales", None),
        ("SELECT a.id FROM clean.sales AS a, clean.sales AS b", None),
        ("SELECT id FROM clean.sales WHERE day = '2026-11-03' AND random() < 0.5", None),
        ("SELECT note FROM clean.notes", None),
        ("SELECT 1", None),
    ],
)
def test_a_price_says_how_many_rows_come_out_where_that_is_certain(query: str, rows: int | None, running: Warehouse):
    assert running.price(query).rows == rows
    assert ("only the first 10,000 are sent" in str(running.price(query))) == bool(rows)


def test_tables_are_free_and_the_catalogue_is_not_among_them(running: Warehouse):
    left = running.left
    assert running.tables() == {
        "clean.notes": {"note": "VARCHAR"},
        "clean.sales": {"day": "DATE", "id": "BIGINT", "amount": "DOUBLE", "animal": "VARCHAR"},
    }
    running.price("SELECT * FROM clean.sales")
    assert running.left == left


# ---- the budget --------------------------------------------------------------------------------------------------------------


def test_a_budget_is_used_up_and_stays_so(folder: Path, tmp_path: Path):
    """Also when the process is another one: what was spent is in the ledger. What cannot be paid is not run, and costs nothing."""
    query, ledger = "SELECT sum(amount) FROM clean.sales", tmp_path / "queries.jsonl"
    with Warehouse(folder, 3 * COLUMN + 1000, ledger) as warehouse:
        answer = warehouse.query(query)
        assert (answer.rows, answer.cost, answer.left) == ([[99 / 2 * DAYS * ROWS]], COLUMN, 2 * COLUMN + 1000)
        warehouse.query(query)
        with pytest.raises(wire.Refusal, match=r"costs 4.\d MB, and 1.6 MB of 4.8 MB are left. It was not run"):
            warehouse.query("SELECT id, amount, day FROM clean.sales")
        assert warehouse.left == COLUMN + 1000
    with ledger.open("a") as file:
        file.write('half a li\n{"bytes": -5, "sql": ""}\n')
    with Warehouse(folder, 3 * COLUMN + 1000, ledger) as warehouse:
        assert warehouse.left == COLUMN + 1000
        warehouse.query(query)
        with pytest.raises(wire.Refusal, match="1 kB of 4.8 MB are left"):
            warehouse.query("SELECT 1")
    assert [json.loads(line)["sql"] for line in ledger.read_text().splitlines()[:2]] == [query, query]


def test_an_error_that_tells_something_is_paid_for(running: Warehouse):
    """Otherwise the message of a failed cast would be a free answer. What cannot even be planned costs nothing."""
    left = running.left
    with pytest.raises(wire.Refusal, match=r"(?s)Could not convert string 'żółw'.*\(it cost 1.6 MB\)"):
        running.query("SELECT CAST(animal AS INTEGER) FROM clean.sales WHERE animal IS NOT NULL")
    assert running.left < left
    left = running.left
    with pytest.raises(wire.Refusal, match='(?s)column "price" not found.*LINE 1: SELECT price FROM') as refused:
        running.query("SELECT price FROM clean.sales")
    assert "EXPLAIN" not in str(refused.value)
    assert running.left == left


@pytest.mark.parametrize(
    "query, said",
    [
        ("", "There is no query"),
        ("SELECT 1; SELECT 2", "one query at a time, please; this has 2"),
        ("CREATE TABLE x (a INTEGER)", "for reading, with SELECT; this is CREATE"),
        ("DELETE FROM clean.sales", "this is DELETE"),
        ("SET memory_limit = '9GB'", "this is SET"),
        ("COPY clean.sales TO '/tmp/sales.csv'", "this is COPY"),
        ("ATTACH '/tmp/other.db'", "this is ATTACH"),
        ("EXPLAIN ANALYZE SELECT 1", "this is EXPLAIN"),
        ("SELECT * FROM '/etc/passwd'", "does not exist"),
        ("SELECT * FROM read_text('/etc/passwd')", "disabled by configuration"),
        ("SELECT * FROM glob('/*')", "disabled by configuration"),
        ("SELECT * FROM catalogue.sizes", "catalogue.sizes is not for reading"),
        ("SELECT * FROM duckdb_settings()", "duckdb_settings reads something else"),
        ("SELECT * FROM pragma_storage_info('clean.sales')", "pragma_storage_info reads something else"),
        ("SELECT " + "1 + " * 10_000 + "1", "has 40,008 letters"),
    ],
)
def test_what_is_not_run_and_why(query: str, said: str, running: Warehouse):
    left = running.left
    with pytest.raises(wire.Refusal) as refused:
        running.query(query)
    assert said in str(refused.value)
    assert running.left == left


def test_a_query_without_an_end_is_stopped_and_paid(folder: Path, monkeypatch, tmp_path: Path):
    """The engine's own limit, tried without its jail. It is long enough for the query to have begun: before that, none is stopped."""
    monkeypatch.setattr(engine, "SECONDS", 2)
    one = engine.Engine(str(folder / DATABASE))
    with pytest.raises(engine.Refused, match="stopped after 2 seconds"):
        one.run("SELECT count(*) FROM range(100000000000) AS a, range(100000) AS b")
    monkeypatch.undo()
    assert one.run("SELECT 7")["rows"] == [[7]]


def test_values_arrive_as_what_they_are(running: Warehouse):
    answer = running.query("""
        SELECT DATE '2026-11-03' AS day, TIMESTAMP '2026-11-03 04:05:06.5' AS at, 1.50::DECIMAL(9, 2) AS euros, NULL AS nothing,
               'NaN'::DOUBLE AS nan, 10000000000000001 AS big, 'żółw' AS animal, [1, 2] AS list, true AS yes""")
    frame = answer.frame()
    assert {name: str(kind) for name, kind in frame.dtypes.items() if name in ("day", "at", "big")} == {
        "day": "datetime64[us]",
        "at": "datetime64[us]",
        "big": "int64",
    }
    assert answer.rows == [
        ["2026-11-03", "2026-11-03T04:05:06.500000", 1.5, None, None, 10000000000000001, "żółw", "[1, 2]", True]
    ]
    many = running.query("SELECT i FROM range(20000) AS r(i)")
    assert (len(many.rows), many.more) == (10_000, True)


# ---- no way around it -------------------------------------------------------------------------------------------------------------


def test_a_script_in_the_jail_has_the_port_and_nothing_else(running: Warehouse, folder: Path, tmp_path: Path):
    """What is graded asks through the client of `targ`; the file, the engine's socket and the ledger are not there."""
    home = tmp_path / "home"
    home.mkdir()
    install(home / "lib")
    (home / "ask.py").write_text(f"""
import os
from targ.client import QueryError, connect
warehouse = connect()
before = warehouse.left
frame = warehouse.query("SELECT day, sum(amount) AS s FROM clean.sales WHERE day < '2026-11-03' GROUP BY day ORDER BY day")
print(list(frame["s"]), str(frame["day"].dtype), before - warehouse.left, warehouse.price("SELECT 1")["bytes"], len(warehouse.tables()))
try:
    warehouse.query("DROP TABLE clean.sales")
except QueryError as error:
    print(error)
print(os.path.exists({str(folder / DATABASE)!r}))
""")
    left = running.left
    with running.serve(tmp_path / "service" / "s") as socket:
        env = workspace.environment(home) | {"PYTHONPATH": f"{home}/lib", "TARG_WAREHOUSE": "127.0.0.1:5439"}
        hide = [*workspace.secret_folders(), str(folder)]
        done = jail.run(
            [sys.executable, "ask.py"],
            home=home,
            env=env,
            hide=hide,
            read_only=workspace.tool_folders(),
            services={5439: socket},
            limits=jail.Limits(seconds=60),
        )
    total = 99 / 2 * ROWS
    assert done.out.splitlines() == [
        f"[{total}, {total}] datetime64[us] {2 * COLUMN * 2 // 10} {LEAST} 2",
        "the warehouse is for reading, with SELECT; this is DROP",
        "False",
    ], done.err
    assert running.left == left - 2 * COLUMN * 2 // 10


def test_an_engine_that_is_gone_is_started_again(folder: Path):
    with Warehouse(folder, 10 * MB) as warehouse:
        assert warehouse.query("SELECT 1").rows == [[1]]
        for waits in (True, False, False):  # it is still ending, or has left its socket behind
            wire.exchange(warehouse._socket, {"op": "stop"})
            if waits:
                warehouse._jail.join(60)
            assert warehouse.query("SELECT 2").rows == [[2]]
    assert warehouse._jail is None and not warehouse._socket.exists()


def test_a_folder_without_a_warehouse_is_named(tmp_path: Path):
    with pytest.raises(WarehouseError, match="There is no warehouse.duckdb"):
        Warehouse(tmp_path, MB)
