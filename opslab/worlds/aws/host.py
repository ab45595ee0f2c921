"""The process that organisations live in: one that has imported everything, and forks a child for each organisation.

Importing moto takes a second and it can hold one organisation a process. So this process imports it once; a child then has its
organisation ready within a tenth of a second, and a check may have as many copies as it likes. `opslab.worlds.aws.cloud` starts
it and speaks with it; nothing else needs to.

    python -m opslab.worlds.aws.host         orders come as lines of JSON on stdin; see `Order`

What a journal from somebody else could do here. A journal is a list of requests, and is made again outside of the jail. Each
request passes the guard like one from a client: only the services of `operations.SERVICES`, only operations that the guard can
map, only what the policies give to the caller that is named. Moto keeps what comes in as data: in these services it starts no
program, opens no connection, and reads no file but its own resources. What would run somebody's code (a function that rotates
a secret or gets a bucket's events) needs Lambda, which is not among them. `_refuse` makes sure of it, whatever a later moto
does. So what is left is to be too much: of memory, time or lines. `_limit`, `_not_for_ever` and `journal.MOST` are for
that, and as each organisation is a process of its own, only the one with that journal suffers.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib
import json
import os
import resource
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from opslab import wire
from opslab.worlds.aws import audit, ecr, operations
from opslab.worlds.aws.explain import explain
from opslab.worlds.aws.graph import trust_graph
from opslab.worlds.aws.journal import Journal
from opslab.worlds.aws.organisation import Organisation

REPLAY_SECONDS = 60
"""A journal that takes longer is made again as far as it went until then."""

MEGABYTE = 1024 * 1024
MEMORY = 1536 * MEGABYTE
"""Bytes beyond what can be had for data. A new organisation has 200 MB, a request of 64 MB needs about 500 for a moment."""

FILE_SIZE = 128 * MEGABYTE
CPU_SECONDS = 240
"""Of a copy for a check. One that is worked in lives for days."""

LOCK_SECONDS = 30
"""A predecessor may have to wait for a bot that is applying something."""

READY_SECONDS = LOCK_SECONDS + REPLAY_SECONDS + 30
"""An organisation that is not ready by then is ended by force."""

REMARKS = 20

FORBIDDEN = (
    "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "pty.spawn", "socket.connect",
    "socket.sendto", "subprocess.Popen", "webbrowser.open", "ctypes.dlopen",
)  # fmt: skip
"""What an organisation never does: https://docs.python.org/3/library/audit_events.html"""


@dataclass(frozen=True)
class Order:
    """An organisation that is wanted.

    folder    where its sockets go: `control`, which speaks `opslab.wire`, and `aws`, for clients in the jail
    scenario  a Python module with ACCOUNTS (name: id) and start(organisation, twists)
    port      the one to listen on where it is free; 0: any
    journal   a file with changes to be made again; "" for none
    record    whether further changes are written there
    registries  the folder where registries of images keep the layers of ECR; "" for none
    """

    folder: str
    scenario: str
    seed: int
    twists: tuple[str, ...]
    port: int
    journal: str
    record: bool
    registries: str = ""


def main() -> None:
    """Fork a child for each order, until stdin ends; the children end then, too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started this
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children that end leave no zombie
    _warm_up()
    alive, _end = os.pipe()  # children see the end of this process in it
    for line in sys.stdin:
        order = Order(**json.loads(line))
        ready, say = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(_end)
            os.close(ready)
            _live(order, alive, say)
        os.close(say)
        print(_first_line(ready, child), flush=True)


def _warm_up() -> None:
    """Load what every organisation needs, so that children have it already. No thread may be started here."""
    from moto.core.routing import get_service_router
    from moto.core.utils import get_service_model

    # What is loaded here stays for good: nobody needs to look through it for garbage, neither now, which takes a quarter of
    # the time, nor in each of the children.
    gc.disable()
    with_these = Organisation({"warm-up": "000000000000"})
    with_these.reset()
    for service in operations.SERVICES:
        with_these.guard.app(service)
        get_service_router(service)
        get_service_model(service)
    gc.freeze()
    gc.enable()


def _first_line(ready: int, child: int) -> str:
    """What a child says when it is ready; an error where it ends before that, or never comes to it."""
    said, until = b"", time.monotonic() + READY_SECONDS
    with open(ready, "rb", buffering=0) as pipe:
        while not said.endswith(b"\n"):
            if not select.select([pipe], [], [], max(0, until - time.monotonic()))[0]:
                with contextlib.suppress(ProcessLookupError):  # it may just have ended by itself
                    os.kill(child, signal.SIGKILL)
                return json.dumps({"error": f"it was not ready after {READY_SECONDS} seconds"})
            piece = pipe.read(65536)
            if not piece:
                return json.dumps({"error": "its process has ended; was that too much for the memory of this machine?"})
            said += piece
    return said.decode().rstrip("\n")


def _live(order: Order, alive: int, say: int) -> None:
    """The life of a child. It says one line of JSON to `say`: that it is ready, or why it will not be."""
    code = 1
    with open(say, "w") as voice:
        try:
            threading.Thread(target=_watch, args=(alive, order.folder), daemon=True).start()
            sys.stdin = open(os.devnull)  # noqa: SIM115  (for as long as this process lives)
            os.dup2(2, 1)  # nobody waits for anything else that is printed
            _limit(order)
            control = Control(order)
            with control.aws, wire.Server(Path(order.folder) / "control", control.answer) as server:
                control.server = server
                control.replay((), _not_for_ever())
                print(json.dumps({"port": control.aws.port, "remarks": control.remarks}), file=voice)
                voice.close()
                server.serve_forever(0.05)
            code = 0
        except BaseException as error:  # noqa: BLE001  (whoever waits for the line must not wait for ever)
            if not isinstance(error, OSError):  # a port that is taken needs no traceback
                traceback.print_exc()
            with contextlib.suppress(ValueError):
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                print(json.dumps({"error": reason}), file=voice, flush=True)
        finally:
            os._exit(code)


def _watch(alive: int, folder: str) -> None:
    """End this process with its parent, or when whoever ordered it has taken away its folder."""
    # The other end of `alive` is closed, which makes it readable, when the parent has gone.
    while not select.select([alive], [], [], 3)[0] and os.path.isdir(folder):
        pass
    os._exit(0)


def _limit(order: Order) -> None:
    """What a child may use, and what it never does."""
    limits = {resource.RLIMIT_DATA: MEMORY, resource.RLIMIT_FSIZE: FILE_SIZE, resource.RLIMIT_CORE: 0}
    if not order.record:
        limits[resource.RLIMIT_CPU] = CPU_SECONDS
    for kind, value in limits.items():
        hard = resource.getrlimit(kind)[1]
        with contextlib.suppress(ValueError, OSError):  # macOS knows the names, but does not take all of them
            resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))
    sys.addaudithook(_refuse)


def _refuse(event: str, _: object) -> None:
    if event in FORBIDDEN:
        raise PermissionError(f"an organisation does nothing of the kind: {event}")


@contextlib.contextmanager
def _not_for_ever() -> Iterator[None]:
    """Break off a single request of a journal that hangs; the journal itself looks at the clock between requests.

    At the start only: a reset is done in a thread of its own, where no signal comes, with what was made again before.
    """

    def stop(number: int, frame: object) -> None:
        raise TimeoutError(f"this journal takes longer than {REPLAY_SECONDS} seconds")

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, REPLAY_SECONDS + 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _alone(journal: Path) -> IO[str] | None:
    """Have a journal for oneself, for as long as the file lives that is returned. RuntimeError where somebody else has it.

    Each of two that write would take what the other one writes for damage, and undo it.
    """
    try:
        journal.parent.mkdir(exist_ok=True)
        lock = journal.with_suffix(".lock").open("w")
    except OSError:  # `save` will say it
        return None
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:  # perhaps a predecessor, about to end
            if time.monotonic() > until:
                raise RuntimeError(
                    "another server has the AWS of this workspace open; end it, or try again in a minute"
                ) from None
            time.sleep(0.05)
        except OSError:  # a file system without locks
            return lock


class Control:
    """What can be asked of an organisation, besides what AWS clients ask. Every public method is an operation."""

    def __init__(self, order: Order) -> None:
        self.order = order
        scenario = importlib.import_module(order.scenario)
        place = Path(order.folder) / "aws"
        twists = frozenset(order.twists)

        self.aws = Organisation(
            scenario.ACCOUNTS,
            order.seed,
            order.port,
            start=lambda aws: scenario.start(aws, twists),
            socket=place,
            registries=Path(order.registries) if order.registries else None,
        )
        self.remarks: list[str] = []
        self.server: wire.Server | None = None
        self.lock = _alone(Path(order.journal)) if order.journal and order.record else None
        self.journal = Journal(Path(order.journal)) if order.journal else None

    def answer(self, request: dict[str, Any], tell: wire.Tell) -> Any:
        """Do one of OPERATIONS. Raises wire.Refusal."""
        op = request.pop("op")
        if op not in OPERATIONS:
            raise wire.Refusal(f"An AWS organisation does not know {op!r}.")
        try:
            return getattr(self, op)(**request)
        except (ValueError, LookupError, TypeError) as error:
            raise wire.Refusal(str(error.args[0] if error.args else error)) from None

    def replay(self, without: Iterable[str], limit: contextlib.AbstractContextManager[None]) -> None:
        """Do what stands in the journal, except changes of what is named (patterns of ARNs), within `limit`."""
        if self.journal is None:
            return
        self.aws.guard.on_change = None
        damaged, self.journal.damaged = self.journal.damaged, ""
        with limit:
            failed = self.journal.replay(self.aws, without, REPLAY_SECONDS)
        more = [f"and {len(failed) - REMARKS:,} more"] if len(failed) > REMARKS else []
        self.remarks = [f"{self.journal.path.name}: {text}" for text in [damaged] if text] + failed[:REMARKS] + more
        if self.order.record:
            if self.remarks:
                self.journal.keep_a_copy()  # what could not be made again is about to be lost there
            self.journal.record(self.aws)

    # -- operations

    def reset(self, without: list[str]) -> dict[str, Any]:
        """Back to the start, and then all changes again but those of what is named."""
        with self.aws.guard.lock:
            self.aws.reset()
            self.replay(without, contextlib.nullcontext())
        return {"remarks": self.remarks}

    def save(self) -> dict[str, Any]:
        """See to it that the journal's file says all that was changed."""
        if self.journal and self.order.record:
            try:
                with self.aws.guard.lock:
                    self.journal.flush()
            except OSError as error:
                raise wire.Refusal(
                    f"What you have changed in AWS cannot be written to {self.journal.path} ({error.strerror or error}). "
                    "Is the disk full, or a right missing?"
                ) from None
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

    def draw(self, path: list[str], only: str = "") -> dict[str, str]:
        """The trust graph, with the arrows of a path highlighted. only: see `trust_graph`."""
        graph = trust_graph(self.aws, only=only)
        known = {node.name for node in graph.nodes}
        for name in path:
            if name not in known:
                raise LookupError(f"There is no {name!r} in the picture; there are: {', '.join(sorted(known))}.")
        drawing = graph.draw(path)
        return {"svg": drawing.svg, "text": drawing.text}

    def paths(self, target: str) -> list[list[str]]:
        """Every way from a user to a role, "production/loader"."""
        return trust_graph(self.aws).paths(target)

    def edges(self) -> list[list[str]]:
        """The arrows of the trust graph: who can become whom."""
        return [[edge.source, edge.target] for edge in trust_graph(self.aws).edges]

    def beyond(
        self, caller: str, services: list[str], resources: list[str], wanted: dict[str, list[str]]
    ) -> list[list[str]]:
        """See `audit.beyond`."""
        with self.aws.guard.lock:
            return [list(one) for one in audit.beyond(self.aws, caller, services, resources, wanted)]

    def reach(self, asked: list[tuple[str, str, str]]) -> list[list[str]]:
        """See `audit.reach`."""
        with self.aws.guard.lock:
            return audit.reach(self.aws, asked)

    def trusted(self, role: str) -> list[str]:
        """See `audit.trusted`."""
        with self.aws.guard.lock:
            return audit.trusted(self.aws, role)

    def everybody(self) -> list[str]:
        """The ARNs of all users and roles."""
        with self.aws.guard.lock:
            return audit.everybody(self.aws)

    def role_session(self, account: str, role: str) -> list[str]:
        """(key, secret, token) of a session of a role, whoever it trusts: to ask what the role itself may do."""
        with self.aws.guard.lock:
            return list(self.aws.role_session(account, role))

    def registry(
        self,
        password: str,
        account: str,
        region: str,
        operation: str,
        parameters: dict[str, Any],
        only_ask: bool = False,
    ) -> dict[str, Any]:
        """What a registry of images asks for one of its clients. See `ecr.serve`."""
        return ecr.serve(self.aws, password, account, region, operation, parameters, only_ask)

    def images(self, account: str, region: str) -> dict[str, list[dict[str, str]]]:
        """See `ecr.images`."""
        with self.aws.guard.lock:
            return ecr.images(self.aws, account, region)

    def scan_findings(
        self, account: str, region: str, repository: str, digest: str, findings: list[dict[str, Any]]
    ) -> dict[str, Any]:
        """See `ecr.hand_in`."""
        with self.aws.guard.lock:
            ecr.hand_in(self.aws, account, region, repository, digest, findings)
        return {}

    def stop(self) -> dict[str, Any]:
        """End, and have the port free for a successor before this is answered."""
        self.aws.close()
        if self.server:
            threading.Thread(target=self.server.shutdown).start()
        return {}


OPERATIONS = (
    "reset", "save", "why", "explained", "draw", "paths", "edges", "beyond", "reach", "trusted", "everybody", "role_session", "registry",
    "images", "scan_findings", "stop",
)  # fmt: skip


if __name__ == "__main__":
    main()
