"""Cursors: statements, rows, and COPY."""

import re
from datetime import datetime, timedelta, timezone

from pykontor.errors import DataError, ProgrammingError, translated

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?[+-]\d\d:\d\d")
COPY = re.compile(r"copy\s+([^\s(]+)\s*(\([^)]*\))?\s+from\s+stdin\s*;?\s*", re.IGNORECASE)


def fixed_offset(minutes):
    """A time zone that is so many minutes east of UTC."""
    return timezone(timedelta(minutes=minutes))


class Cursor:
    """What runs statements and holds their rows.

    tzinfo_factory: makes the time zone of each timestamp that is read. It is called with minutes east of UTC.
    """

    arraysize = 1

    def __init__(self, connection):
        self.connection = connection
        self.tzinfo_factory = fixed_offset
        self._cursor = connection._sqlite.cursor()

    @property
    def description(self):
        return self._cursor.description

    @property
    def rowcount(self):
        return self._cursor.rowcount

    def execute(self, statement, parameters=()):
        """Run a statement. Parameters stand for its question marks."""
        self.connection._begin()
        with translated():
            self._cursor.execute(statement, parameters)

    def executemany(self, statement, rows):
        """Run a statement once for each row of parameters."""
        self.connection._begin()
        with translated():
            self._cursor.executemany(statement, rows)

    def fetchone(self):
        """The next row, or None."""
        row = self._cursor.fetchone()
        return row and self._converted(row)

    def fetchmany(self, size=None):
        return [self._converted(row) for row in self._cursor.fetchmany(size or self.arraysize)]

    def fetchall(self):
        return [self._converted(row) for row in self._cursor.fetchall()]

    def __iter__(self):
        return iter(self.fetchall())

    def close(self):
        self._cursor.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def copy_from(self, file, table, sep="\t", null="\\N", columns=None):
        """Load the lines of a file into a table, columns divided by `sep`."""
        self._copy(file, table, sep, null, columns)

    def copy_expert(self, statement, file, sep="\t", null="\\N"):
        """Load the lines of a file with a statement of your own: copy schema.table (column, …) from stdin."""
        match = COPY.fullmatch(statement)
        if not match:
            raise ProgrammingError(f"this is no COPY … FROM STDIN: {statement}")
        columns = match[2] and [name.strip() for name in match[2][1:-1].split(",")]
        self._copy(file, match[1], sep, null, columns)

    def _copy(self, file, table, sep, null, columns):
        width = len(columns) if columns else self._width(table)
        rows = [self._row(line, sep, null, width) for line in file]
        names = f" ({', '.join(columns)})" if columns else ""
        self.executemany(f"insert into {table}{names} values ({', '.join('?' * width)})", rows)

    def _width(self, table):
        self.execute(f"select * from {table} limit 0")
        return len(self.description)

    def _row(self, line, sep, null, width):
        values = [None if value == null else value for value in line.rstrip("\n").split(sep)]
        if len(values) != width:
            raise DataError(f"{width} columns expected, {len(values)} found in this line: {line.rstrip()}")
        return values

    def _converted(self, row):
        return tuple(self._timestamp(value) if is_timestamp(value) else value for value in row)

    def _timestamp(self, text):
        when = datetime.fromisoformat(text)
        minutes = int(when.utcoffset().total_seconds()) // 60
        return when.replace(tzinfo=self.tzinfo_factory(minutes))


def is_timestamp(value):
    """Whether a value is a timestamp with time zone, which Kontor stores as text."""
    return isinstance(value, str) and TIMESTAMP.fullmatch(value) is not None
