"""The warehouse of a desk, running beside it: whoever asks first has it made, and the desk keeps what was spent.

    >>> with WarehouseService(home, lambda folder: Case(1).write(folder), budget=12 * MB) as service:
    ...     service.env
    {'TARG_WAREHOUSE': '127.0.0.1:40123'}

`warehouse` in a terminal and `targ.client` in a notebook ask at that port, a line of JSON for each question (`opslab.wire`); what
runs in the jail asks at the same port, by way of `services`.

What was spent is written into LEDGER on the desk, so that it outlives this service, and a reset of the task takes it away. The
database lies in a folder of this service alone and goes with it: on the desk it would be read for nothing, would be kept with
every reset, and would stay when a later version of the course makes another one. Making it takes some five seconds, so that is
done at the first question that needs it.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from opslab import wire
from opslab.worlds.loopback import HOST, Listener
from opslab.worlds.pipeline.warehouse import Warehouse, left_of

LEDGER = ".warehouse/queries.jsonl"
MAKING = "making the warehouse: a few seconds, this once"


class _Questions(wire.Handler):
    """Lines of JSON, as everywhere in the course, at a port."""

    def answer(self, request: dict[str, Any], tell: wire.Tell) -> Any:
        return self.server.owner.answer(request, tell)


class WarehouseService:
    """The warehouse of the desk `home`. Use as a context manager, or call close().

    open_case: writes the database into the folder that it is given. budget: in bytes. port: a wish, because terminals remember it;
    where somebody else has it, and with 0, any that is free.
    """

    def __init__(self, home: str | Path, open_case: Callable[[Path], object], budget: int, *, port: int = 0) -> None:
        self.ledger, self.budget = Path(home).absolute() / LEDGER, budget
        self._open_case, self._lock = open_case, threading.Lock()
        self._warehouse: Warehouse | None = None
        self._ended = False
        self._folder = tempfile.TemporaryDirectory(prefix="opslab-warehouse-", ignore_cleanup_errors=True)
        self._listener = Listener(_Questions, self, name="warehouse", port=port)
        self.port, self.services = self._listener.port, self._listener.services

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it. Where the warehouse is just being made, that is waited for. What was spent stays on the desk."""
        self._listener.close()
        with self._lock:
            self._ended = True
            if self._warehouse is not None:
                self._warehouse.close()
        self._folder.cleanup()

    @property
    def env(self) -> dict[str, str]:
        """The variables for what runs on the desk."""
        return {"TARG_WAREHOUSE": f"{HOST}:{self.port}"}

    def answer(self, request: dict[str, Any], tell: wire.Tell) -> Any:
        """{"op": "left" | "tables" | "price" | "query", "sql": …}: see `Warehouse.answer`. Raises wire.Refusal."""
        if request["op"] == "left":  # that stands on the desk: no need to make anything
            return {"left": left_of(self.budget, self.ledger), "budget": self.budget}
        return self._opened(tell).answer(request)

    def _opened(self, tell: wire.Tell) -> Warehouse:
        if self._warehouse is None:
            tell(MAKING)
        with self._lock:
            if self._ended:
                raise wire.Refusal("The desk is closed.")
            if self._warehouse is None:
                folder = Path(self._folder.name)
                try:
                    self._open_case(folder)
                except OSError as error:
                    raise wire.Refusal(f"The warehouse could not be made: {error}.") from None
                self._warehouse = Warehouse(folder, self.budget, self.ledger)
            return self._warehouse
