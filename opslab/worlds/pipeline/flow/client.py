"""Asking a warehouse that counts what a query costs, from a script.

>>> warehouse = connect()                       # where TARG_WAREHOUSE says: 127.0.0.1:5439
>>> warehouse.left                              # bytes of the budget that are left
12000000
>>> warehouse.price("SELECT * FROM clean.orders")["bytes"]
3600048
>>> warehouse.query("SELECT day, revenue_eur FROM gold.revenue_daily ORDER BY day")      # a DataFrame
"""

from __future__ import annotations

import json
import os
import socket
from typing import Any


class QueryError(RuntimeError):
    """The warehouse has not run the query. The text is what it says."""


class Warehouse:
    """The warehouse at an address, "127.0.0.1:5439"."""

    def __init__(self, address: str) -> None:
        host, _, port = address.partition(":")
        self.host, self.port = host, int(port)

    @property
    def left(self) -> int:
        """What is left of the budget, in bytes."""
        return self._ask("left")["left"]

    def tables(self) -> dict[str, dict[str, str]]:
        """The tables, their columns and types. Free."""
        return self._ask("tables")

    def price(self, sql: str) -> dict[str, Any]:
        """What a query would cost: {"bytes": …, "reads": [table, columns, days …]}. Free. Raises QueryError."""
        return self._ask("price", sql)

    def query(self, sql: str):
        """The result of a query, as a DataFrame; its price is taken from the budget. Raises QueryError."""
        import pandas as pd

        answer = self._ask("query", sql)
        frame = pd.DataFrame(answer["rows"], columns=answer["columns"])
        for column, kind in zip(answer["columns"], answer["types"], strict=True):
            if kind == "DATE" or kind.startswith("TIMESTAMP"):
                frame[column] = pd.to_datetime(frame[column], format="ISO8601")
        return frame

    def _ask(self, op: str, sql: str = "") -> Any:
        with socket.create_connection((self.host, self.port)) as connection, connection.makefile("rw") as lines:
            lines.write(json.dumps({"op": op, "sql": sql}) + "\n")
            lines.flush()
            answer = json.loads(lines.readline() or '{"error": "The warehouse is not there any more."}')
        if "error" in answer:
            raise QueryError(answer["error"])
        return answer["result"]


def connect(address: str = "") -> Warehouse:
    """The warehouse at an address; by default where the variable TARG_WAREHOUSE says."""
    address = address or os.environ.get("TARG_WAREHOUSE", "")
    if not address:
        raise QueryError("The variable TARG_WAREHOUSE is not set, so there is no warehouse to ask.")
    return Warehouse(address)
