"""The driver for Kontor, the database that fits in a folder. See CHANGES.md beside this file for what is new."""

from importlib import metadata

from pykontor.connection import Connection, connect, create
from pykontor.cursor import Cursor
from pykontor.errors import (
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    UndefinedTable,
    Warning,
)

__version__ = metadata.version("pykontor")

apilevel = "2.0"
threadsafety = 1
paramstyle = "qmark"

__all__ = [
    "Connection", "Cursor", "DataError", "DatabaseError", "Error", "IntegrityError", "InterfaceError", "InternalError",
    "NotSupportedError", "OperationalError", "ProgrammingError", "UndefinedTable", "Warning", "connect", "create",
]  # fmt: skip
