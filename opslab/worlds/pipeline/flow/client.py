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
import sys
import warnings
from typing import Any

OPEN_THE_DESK = "Open the desk: run the first cell of the notebook, or opslab shell."


class QueryError(RuntimeError):
    """The warehouse has not run the query. The text is what it says."""

    def _render_traceback_(self) -> list[str]:  # in a notebook, the sentence is enough
        return [f"{type(self).__name__}: {self}"]


class Warehouse:
    """The warehouse at an address, "127.0.0.1:5439"."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise QueryError(f"{address!r} is no address of a warehouse. An address looks like 127.0.0.1:5439.")
        self.host, self.port = host, int(port)

    def __repr__(self) -> str:
        return f"Warehouse('{self.host}:{self.port}')"

    @property
    def left(self) -> int:
        """What is left of the budget, in bytes."""
        return self._ask("left")["left"]

    def tables(self) -> dict[str, dict[str, str]]:
        """The tables, their columns and types. Free."""
        return self._ask("tables")

    def price(self, sql: str) -> dict[str, Any]:
        """What a query would cost: {"bytes": …, "reads": [table, columns, days …], "rows": …}. Free. Raises QueryError.

        rows: how many it gives, where that can be known without running it; else None. The warehouse sends the first 10,000.
        """
        return self._ask("price", sql)

    def query(self, sql: str):
        """The result of a query, as a DataFrame; its price is taken from the budget. Raises QueryError.

        The warehouse sends up to 10,000 rows. Where there are more, these are the first, and a warning says so.
        """
        import pandas as pd

        answer = self._ask("query", sql)
        if answer["more"]:
            _say_at_the_end(
                f"CUT: this is not all. Only the first {len(answer['rows']):,} rows came of “{' '.join(sql.split())[:60]}”, and there are more. "
                "Sums over them are wrong: let the query count and add up (GROUP BY), or ask for fewer days."
            )
        frame = pd.DataFrame(answer["rows"], columns=answer["columns"])
        for at, kind in enumerate(answer["types"]):
            if kind == "DATE" or kind.startswith("TIMESTAMP"):
                frame.isetitem(at, pd.to_datetime(frame.iloc[:, at], format="ISO8601"))
        return frame

    def _ask(self, op: str, sql: str = "") -> Any:
        if not isinstance(sql, str):
            raise QueryError(f"A query is a text: 'SELECT …'. This is {type(sql).__name__}.")
        try:
            with socket.create_connection((self.host, self.port)) as connection, connection.makefile("rw") as lines:
                lines.write(json.dumps({"op": op, "sql": sql}) + "\n")
                lines.flush()
                for line in lines:
                    answer = json.loads(line)
                    if "tell" not in answer:
                        break
                    print(answer["tell"], file=sys.stderr)
                else:
                    raise QueryError("The warehouse went away in the middle of its answer. Ask again.")
        except ConnectionRefusedError:
            raise QueryError(f"Nobody answers at {self.host}:{self.port}. {OPEN_THE_DESK}") from None
        except (OSError, ValueError) as error:
            raise QueryError(f"The warehouse at {self.host}:{self.port} cannot be asked: {error}.") from None
        if "error" in answer:
            raise QueryError(answer["error"])
        return answer["result"]


def _say_at_the_end(text: str) -> None:
    """Warn. In a notebook below what the cell prints, where it is seen, and each time; elsewhere at once."""
    notebook = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if notebook is None:
        warnings.warn(text, stacklevel=3)
        return

    def say(*_: object) -> None:
        notebook.events.unregister("post_run_cell", say)
        print(text, file=sys.stderr)

    notebook.events.register("post_run_cell", say)


def connect(address: str = "") -> Warehouse:
    """The warehouse at an address; by default where the variable TARG_WAREHOUSE says."""
    address = address or os.environ.get("TARG_WAREHOUSE", "")
    if not address:
        raise QueryError(f"The variable TARG_WAREHOUSE is not set, so there is no warehouse to ask. {OPEN_THE_DESK}")
    return Warehouse(address)
