"""The process that organisations live in: one that has imported everything, and forks a child for each organisation.

Importing moto takes a second and it can hold one organisation a process. So this process imports it once; a child then has its
organisation ready within a tenth of a second, and a check may have as many copies as it likes. `opslab.worlds.aws.cloud` starts
it and speaks with it; nothing else needs to.

    python -m opslab.worlds.aws.host         orders come as lines of JSON on stdin; see `Order`
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opslab import wire
from opslab.worlds.aws import operations
from opslab.worlds.aws.explain import explain
from opslab.worlds.aws.graph import trust_graph
from opslab.worlds.aws.journal import Journal
from opslab.worlds.aws.organisation import Organisation


@dataclass(frozen=True)
class Order:
    """An organisation that is wanted.

    folder    where its sockets go: `control`, which speaks `opslab.wire`, and `aws`, for clients in the jail
    scenario  a Python module with ACCOUNTS (name: id) and start(organisation, twists)
    port      the one to listen on where it is free; 0: any
    journal   a file with changes to be made again; "" for none
    record    whether further changes are written there
    """

    folder: str
    scenario: str
    seed: int
    twists: tuple[str, ...]
    port: int
    journal: str
    record: bool


def main() -> None:
    """Fork a child for each order, until stdin ends; the children end then, too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started this
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children that end leave no zombie
    _warm_up()
    alive, _end = os.pipe()  # children see the end of this process in it
    for line in sys.stdin:
        order = Order(**json.loads(line))
        if os.fork() == 0:
            os.close(_end)
            _live(order, alive)


def _warm_up() -> None:
    """Load what every organisation needs, so that children have it already. No thread may be started here."""
    from moto.core.routing import get_service_router
    from moto.core.utils import get_service_model

    with_these = Organisation({"warm-up": "000000000000"})
    with_these.reset()
    for service in operations.SERVICES:
        with_these.guard.app(service)
        get_service_router(service)
        get_service_model(service)


def _live(order: Order, alive: int) -> None:
    """The life of a child."""
    code = 1
    try:
        threading.Thread(target=_watch, args=(alive,), daemon=True).start()
        sys.stdin = open(os.devnull)  # noqa: SIM115  (for as long as this process lives)
        control = Control(order)
        with control.aws, wire.Server(Path(order.folder) / "control", control.answer) as server:
            control.server = server
            control.replay(())
            print(json.dumps({"port": control.aws.port, "remarks": control.remarks}), flush=True)
            server.serve_forever(0.05)
        code = 0
    except BaseException as error:  # noqa: BLE001  (whoever waits for the line must not wait for ever)
        traceback.print_exc()
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
    finally:
        os._exit(code)


def _watch(alive: int) -> None:
    os.read(alive, 1)  # returns when the other end is closed, which is when the parent has gone
    os._exit(0)


class Control:
    """What can be asked of an organisation, besides what AWS clients ask. Every public method is an operation."""

    def __init__(self, order: Order) -> None:
        self.order = order
        scenario = importlib.import_module(order.scenario)
        place = Path(order.folder) / "aws"
        twists = frozenset(order.twists)

        self.aws = Organisation(
            scenario.ACCOUNTS, order.seed, order.port, start=lambda aws: scenario.start(aws, twists), socket=place
        )
        self.remarks: list[str] = []
        self.server: wire.Server | None = None
        self.journal = Journal(Path(order.journal)) if order.journal else None

    def answer(self, request: dict[str, Any], tell: wire.Tell) -> Any:
        operation = getattr(self, str(request.pop("op")))
        try:
            return operation(**request)
        except (ValueError, LookupError) as error:
            raise wire.Refusal(str(error.args[0] if error.args else error)) from None

    def replay(self, without: tuple[str, ...] | list[str]) -> None:
        """Do what stands in the journal, except changes of what is named (patterns of ARNs)."""
        if self.journal is None:
            return
        if self.journal.damaged:
            self.remarks.append(f"{self.journal.path.name}: {self.journal.damaged}.")
            if self.order.record:
                # Kept as it was, because what could not be read is about to be lost.
                with contextlib.suppress(OSError):
                    os.link(self.journal.path, self.journal.path.with_suffix(".damaged"))
        self.aws.guard.on_change = None
        self.remarks += self.journal.replay(self.aws, without)
        if self.order.record:
            self.journal.record(self.aws)

    # -- operations

    def reset(self, without: list[str]) -> dict[str, Any]:
        """Back to the start, and then all changes again but those of what is named."""
        with self.aws.guard.lock:
            self.aws.reset()
            self.remarks = []
            self.replay(without)
        return {"remarks": self.remarks}

    def save(self) -> dict[str, Any]:
        """See to it that the journal's file says all that was changed."""
        if self.journal and self.order.record:
            with self.aws.guard.lock:
                self.journal.flush()
        return {}

    def why(self) -> dict[str, Any] | None:
        """The explanation of the last denial; None where there was none."""
        record = self.aws.last_denial()
        if record is None:
            return None
        explanation = explain(record)
        return {"text": explanation.text, "html": explanation._repr_html_(), "layer": explanation.layer}

    def explained(self) -> int:
        """How many denials somebody has had explained."""
        return sum(record.explained for record in self.aws.records)

    def draw(self, path: list[str]) -> dict[str, str]:
        """The trust graph, with the arrows of a path highlighted."""
        drawing = trust_graph(self.aws).draw(path)
        return {"svg": drawing.svg, "text": drawing.text}

    def paths(self, target: str) -> list[list[str]]:
        """Every way from a user to a role, "production/loader"."""
        return trust_graph(self.aws).paths(target)

    def edges(self) -> list[list[str]]:
        """The arrows of the trust graph: who can become whom."""
        return [[edge.source, edge.target] for edge in trust_graph(self.aws).edges]

    def role_session(self, account: str, role: str) -> list[str]:
        """(key, secret, token) of a session of a role, whoever it trusts: to ask what the role itself may do."""
        return list(self.aws.role_session(account, role))

    def stop(self) -> dict[str, Any]:
        """End, and have the port free for a successor before this is answered."""
        self.aws.close()
        if self.server:
            threading.Thread(target=self.server.shutdown).start()
        return {}


if __name__ == "__main__":
    main()
