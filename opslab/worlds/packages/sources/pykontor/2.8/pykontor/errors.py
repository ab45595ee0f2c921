"""The exceptions of the Python Database API, and where they come from."""

import contextlib
import re
import sqlite3


class Warning(Exception):
    pass


class Error(Exception):
    pass


class InterfaceError(Error):
    pass


class DatabaseError(Error):
    pass


class DataError(DatabaseError):
    pass


class OperationalError(DatabaseError):
    pass


class IntegrityError(DatabaseError):
    pass


class InternalError(DatabaseError):
    pass


class ProgrammingError(DatabaseError):
    pass


class NotSupportedError(DatabaseError):
    pass


class UndefinedTable(ProgrammingError):
    pass


@contextlib.contextmanager
def translated():
    """What the storage engine (SQLite) raises becomes an exception of this driver."""
    try:
        yield
    except sqlite3.Error as error:
        text = str(error)
        if missing := re.fullmatch("no such table: (.*)", text):
            raise UndefinedTable(f'relation "{missing[1]}" does not exist') from None
        if isinstance(error, sqlite3.IntegrityError):
            raise IntegrityError(text) from None
        wrong = any(words in text for words in ("syntax error", "incomplete input", "no such"))
        if wrong or isinstance(error, sqlite3.ProgrammingError):
            raise ProgrammingError(text) from None
        raise OperationalError(text) from None
