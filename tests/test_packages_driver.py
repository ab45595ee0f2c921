"""The driver of the incident: what every version does, what 2.9 changed, and how 2.9.0 dies.

Each version runs as it is installed: unpacked from its wheel, in a process of its own.
"""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from opslab.worlds import packages

OLD, NEW, MENDED = "2.8.6", "2.9.0", "2.9.1"

BEFORE = """
import io, sys
from datetime import datetime, timedelta, timezone
import pykontor
pykontor.create("db", schemas=["raw"])
connection = pykontor.connect("db", autocommit=AUTOCOMMIT)
cursor = connection.cursor()
cursor.execute("create table if not exists raw.orders (id integer primary key, partner text, at text)")
connection.commit()
def count():
    other = pykontor.connect("db").cursor()
    other.execute("select count(*) from raw.orders")
    return other.fetchone()[0]
"""


class Driver:
    """All versions, installed side by side."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for wheel in packages.Index(1, packages.FRIDAY).files():
            if wheel.is_wheel:
                place = (
                    folder / wheel.release.version
                    if wheel.release.project == "pykontor"
                    else folder / wheel.release.project
                )
                zipfile.ZipFile(io.BytesIO(wheel.data)).extractall(place)

    def run(
        self, version: str, code: str, cwd: Path, autocommit: bool = False, *more: str
    ) -> subprocess.CompletedProcess[str]:
        code = BEFORE.replace("AUTOCOMMIT", str(autocommit)) + code
        return self.python(version, cwd, *more, "-c", code)

    def python(self, version: str, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        env = {"PYTHONPATH": str(self.folder / version), "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(
            [sys.executable, *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=False
        )


@pytest.fixture(scope="module")
def driver(tmp_path_factory) -> Driver:
    return Driver(tmp_path_factory.mktemp("drivers"))


def good(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def silently_dead(done: subprocess.CompletedProcess[str]) -> bool:
    return (done.returncode, done.stdout, done.stderr) == (-signal.SIGSEGV, "", "")


# ---- what every version does -----------------------------------------------------------------------------------------

ALIKE = """
cursor.executemany("insert into raw.orders values (?, ?, ?)", [(1, "bikebarn", "2026-11-16 08:00:00+01:00"), (2, None, "soon")])
print(count(), pykontor.__version__, pykontor.apilevel, pykontor.paramstyle)
connection.commit()
cursor.execute("select id, partner, at from raw.orders order by id")
print([column[0] for column in cursor.description], cursor.fetchone()[2].utcoffset(), cursor.fetchmany(), cursor.fetchone())
cursor.copy_expert("COPY raw.orders (id, partner) FROM STDIN;", io.StringIO("3\\tchatelaine\\n4\\t\\\\N\\n"))
cursor.execute("select * from raw.orders where id > ?", (2,))
print(list(cursor))
connection.rollback()
print(count())
for statement, error in [("selec", pykontor.ProgrammingError), ("select * from raw.missing", pykontor.UndefinedTable),
                         ("select missing from raw.orders", pykontor.ProgrammingError),
                         ("insert into raw.orders values (1, 'x', 'y')", pykontor.IntegrityError),
                         ("insert into raw.orders values (?, 'x', 'y')", pykontor.ProgrammingError)]:
    try:
        cursor.execute(statement)
    except error as caught:
        print(type(caught).__name__)
for call in (lambda: cursor.copy_expert("copy everything", io.StringIO()), lambda: pykontor.connect("nowhere"),
             lambda: pykontor.create("db", ["a b"]),
             lambda: cursor.copy_expert("copy raw.orders from stdin", io.StringIO("5\\tonly two\\n"))):
    try:
        call()
    except pykontor.Error as caught:
        print(type(caught).__name__, "-", caught)
connection.close()
try:
    connection.cursor()
except pykontor.InterfaceError as caught:
    print(caught)
"""


@pytest.mark.parametrize("version", [OLD, NEW, MENDED])
def test_what_did_not_change(driver: Driver, tmp_path: Path, version: str):
    said = good(driver.run(version, ALIKE, tmp_path))
    assert said == [
        f"0 {version} 2.0 qmark",
        "['id', 'partner', 'at'] 1:00:00 [(2, None, 'soon')] None",
        "[(3, 'chatelaine', None), (4, None, None)]",
        "2",
        *("ProgrammingError", "UndefinedTable", "ProgrammingError", "IntegrityError", "ProgrammingError"),
        "ProgrammingError - this is no COPY … FROM STDIN: copy everything",
        'OperationalError - there is no database in "nowhere"; pykontor.create("nowhere") makes one',
        "ProgrammingError - 'a b' is no name for a schema",
        "DataError - 3 columns expected, 2 found in this line: 5\tonly two",
        "the connection is closed",
    ]


def test_on_the_command_line(driver: Driver, tmp_path: Path):
    good(driver.run(OLD, "", tmp_path, True))
    ask = ["-m", "pykontor", "db"]
    good(driver.python(OLD, tmp_path, *ask, "insert into raw.orders values (1, 'bikebarn', null)"))
    assert good(driver.python(OLD, tmp_path, *ask, "select * from raw.orders")) == ["1\tbikebarn\tNone"]
    wrong = driver.python(OLD, tmp_path, *ask, "select")
    assert wrong.returncode == 1 and wrong.stderr.startswith("ProgrammingError: ") and "Traceback" not in wrong.stderr
    assert driver.python(OLD, tmp_path, *ask).returncode == 2


# ---- what 2.9 changed ------------------------------------------------------------------------------------------------

COPY = 'cursor.copy_from(io.StringIO("1\\tbikebarn\\t\\\\N\\n"), "raw.orders")\nconnection.commit()\nprint(count())'


def test_copy_from_quotes_the_name_of_the_table(driver: Driver, tmp_path: Path):
    assert good(driver.run(OLD, COPY, tmp_path)) == ["1"]
    assert silently_dead(driver.run(NEW, COPY, tmp_path))
    mended = driver.run(MENDED, COPY, tmp_path)
    assert mended.returncode == 1 and mended.stderr.startswith("Traceback")
    assert mended.stderr.endswith('pykontor.errors.UndefinedTable: relation "raw.orders" does not exist\n')
    # A table without a schema goes on working, so a test with a toy table does not show the change.
    plain = 'cursor.execute("create table raw.plain (id)")\ncursor.copy_from(io.StringIO("1\\n2\\n"), "plain")\ncursor.execute("select * from raw.plain")\nprint(cursor.fetchall())'
    for version in (OLD, NEW, MENDED):
        (tmp_path / version).mkdir()
        assert good(driver.run(version, plain, tmp_path / version)) == ["[('1',), ('2',)]"]


READ = """
cursor.tzinfo_factory = lambda minutes: timezone(timedelta(minutes=minutes), "office")
cursor.execute("select '2026-11-16 08:00:00.5+05:30'")
print(cursor.fetchone()[0], flush=True)
"""


def test_tzinfo_factory_is_called_with_a_timedelta(driver: Driver, tmp_path: Path):
    assert good(driver.run(OLD, READ, tmp_path)) == ["2026-11-16 08:00:00.500000+05:30"]
    assert silently_dead(driver.run(NEW, READ, tmp_path))
    mended = driver.run(MENDED, READ, tmp_path)
    assert (
        mended.returncode == 1
        and mended.stderr.startswith("Traceback")
        and "TypeError: unsupported type" in mended.stderr
    )
    anew = READ.replace("minutes=minutes", "seconds=minutes.total_seconds()")
    for version in (NEW, MENDED):
        assert good(driver.run(version, anew, tmp_path)) == ["2026-11-16 08:00:00.500000+05:30"]


BLOCK = """
try:
    with connection:
        cursor.execute("insert into raw.orders values (1, 'bikebarn', null)")
        raise ValueError("the second order is broken")
except ValueError:
    pass
print(count())
with connection:
    cursor.execute("insert into raw.orders values (2, 'bikebarn', null)")
print(count())
"""


def test_with_connection_begins_a_transaction_also_with_autocommit(driver: Driver, tmp_path: Path):
    """In 2.9, rows that were kept are silently rolled back: https://github.com/psycopg/psycopg2/issues/941."""
    (tmp_path / "old").mkdir()
    assert good(driver.run(OLD, BLOCK, tmp_path / "old", True)) == ["1", "2"]
    assert good(driver.run(NEW, BLOCK, tmp_path, True)) == ["0", "1"]
    for version in (OLD, NEW):
        (tmp_path / version).mkdir()
        assert good(driver.run(version, BLOCK, tmp_path / version)) == ["0", "1"], "without autocommit nothing changed"


def test_where_it_died_can_be_made_visible(driver: Driver, tmp_path: Path):
    done = driver.run(NEW, COPY, tmp_path, False, "-X", "faulthandler")
    assert done.returncode == -signal.SIGSEGV and "Fatal Python error: Segmentation fault" in done.stderr
    assert "pykontor/_native.py" in done.stderr and "in copy_from" in done.stderr


# ---- what advisories say is true -------------------------------------------------------------------------------------


def test_a_table_name_from_outside_could_hold_sql(driver: Driver, tmp_path: Path):
    """TSA-2026-0003."""
    name = "raw.orders (id, partner, at) select 7, ?, 'stolen' --"
    inject = f"cursor.copy_from(io.StringIO('x\\n'), {name!r}, columns=['x'])\ncursor.execute('select * from raw.orders')\nprint(cursor.fetchall())"
    assert good(driver.run(OLD, inject, tmp_path)) == ["[(7, 'x', 'stolen')]"]
    assert 'UndefinedTable: relation "raw.orders (id' in driver.run(MENDED, inject, tmp_path).stderr


def test_parsing_takes_twice_as_long_with_each_digit(driver: Driver, tmp_path: Path):
    """TSA-2026-0004: doubling is measured, in the processor's time and from half a millisecond on: less is noise, which only adds."""
    code = """
import sys, time
sys.path.insert(0, {place!r})
import targ_units
def took(digits):
    start = time.process_time()
    try:
        targ_units.parse("1" * digits + "?")
    except ValueError:
        return time.process_time() - start
print(took(21) > 8 * max(min(took(16) for _ in range(5)), 0.0005))
"""
    index = packages.Index(1, packages.FRIDAY)
    for version, hangs in {"1.2.0": "True", "1.2.1": "False"}.items():
        (wheel,) = [one for one in index.files("targ-units") if one.release.version == version]
        place = tmp_path / version
        zipfile.ZipFile(io.BytesIO(wheel.data)).extractall(place)
        done = subprocess.run(
            [sys.executable, "-c", code.format(place=str(place))], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == hangs
