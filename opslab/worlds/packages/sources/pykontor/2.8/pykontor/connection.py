"""Connections. A database is a folder, and each schema is a file in it."""

import sqlite3
from pathlib import Path

from pykontor.cursor import Cursor
from pykontor.errors import InterfaceError, OperationalError, ProgrammingError, translated


def create(folder, schemas=("public",)):
    """Make a database with these schemas, in a folder that is made where it is missing. What is there already stays."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for schema in schemas:
        if not schema.isidentifier():
            raise ProgrammingError(f"{schema!r} is no name for a schema")
        Path(folder, f"{schema}.kontor").touch()


def connect(folder, autocommit=False):
    """Open a connection to the database in a folder."""
    files = sorted(Path(folder).glob("*.kontor"))
    if not files:
        raise OperationalError(f'there is no database in "{folder}"; pykontor.create("{folder}") makes one')
    return Connection(files, autocommit)


class Connection:
    """A session. Nothing is kept until `commit`, unless `autocommit` is on.

    Used with `with`, a connection commits at the end of the block, or rolls back where the block raises. It stays open.
    """

    def __init__(self, files, autocommit):
        # SQLite attaches at most ten files; a schema more says so.
        with translated():
            self._sqlite = sqlite3.connect(":memory:", isolation_level=None)
            for file in files:
                self._sqlite.execute(f"attach database ? as {file.stem}", (str(file),))
        self.autocommit = autocommit
        self.closed = False

    def cursor(self):
        self._must_be_open()
        return Cursor(self)

    def commit(self):
        self._end("commit")

    def rollback(self):
        self._end("rollback")

    def close(self):
        """Close the connection. What was not committed is lost."""
        self._sqlite.close()
        self.closed = True

    def __del__(self):
        # SQLite's own connection lies in a cycle, and would keep its locks until the garbage is collected.
        self._sqlite.close()

    def __enter__(self):
        self._must_be_open()
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            self.commit()
        else:
            self.rollback()

    def _must_be_open(self):
        if self.closed:
            raise InterfaceError("the connection is closed")

    def _begin(self):
        """Before each statement: without autocommit, it belongs to a transaction."""
        self._must_be_open()
        if not self.autocommit and not self._sqlite.in_transaction:
            self._sqlite.execute("begin")

    def _end(self, how):
        self._must_be_open()
        if self._sqlite.in_transaction:
            with translated():
                self._sqlite.execute(how)
