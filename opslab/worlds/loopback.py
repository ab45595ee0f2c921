"""A server of this machine only: on a port of the loopback and, for what runs in the jail, on a unix socket.

    >>> with Listener(Handler, owner, name="package index") as listener:                      # doctest: +SKIP
    ...     listener.port, listener.services
    (40123, {40123: PosixPath('/tmp/opslab-…/socket')})

The handler is one of `socketserver` or `http.server`; it finds what it serves as `self.server.owner`. The number of clients is
limited, and `self.server.hang_up_after(self.request, seconds)` sees to it that nobody can keep a connection for ever.
"""

from __future__ import annotations

import contextlib
import os
import socket
import socketserver
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Self

HOST = "127.0.0.1"
POLL_SECONDS = 0.05


class Listener:
    """Listens as soon as it is made, in threads of this process. Use as a context manager, or call `close`.

    owner        what the handler serves: `self.server.owner`
    port         the one of 127.0.0.1 to have; 0 takes a free one. or_another: a free one also where that one is taken
    place        where the unix socket is to be; None: in a folder of its own, because the jail covers the folder in which a socket
                 stands; "": there is none
    connections  so many clients at once; whoever comes then waits in the queue of the port

    Raises OSError where the port or the place cannot be had.
    """

    def __init__(
        self,
        handler: type[socketserver.BaseRequestHandler],
        owner: Any,
        *,
        name: str,
        port: int = 0,
        or_another: bool = True,
        place: str | os.PathLike[str] | None = None,
        connections: int = 64,
    ) -> None:
        self._exits = contextlib.ExitStack()
        self._servers: list[Server] = []
        arguments = (handler, owner, connections)
        try:
            if place is None:
                folder = tempfile.TemporaryDirectory(prefix="opslab-", ignore_cleanup_errors=True)
                place = Path(self._exits.enter_context(folder), "socket")
            try:
                self._servers.append(Server((HOST, port), *arguments))
            except OSError:
                if not (port and or_another):
                    raise
                self._servers.append(Server((HOST, 0), *arguments))
            self.socket = Path(place) if place else None
            if self.socket:
                self._servers.append(UnixServer(self.socket, *arguments))
                self._exits.callback(self.socket.unlink, missing_ok=True)
        except OSError:
            for server in self._servers:
                server.server_close()
            self._exits.close()
            raise
        self.port: int = self._servers[0].server_address[1]
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,), name=name, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening, and hang up on whoever is there."""
        for server in self._servers:
            server.hang_up()
            server.shutdown()
            server.server_close()
            server.hang_up()
        self._servers = []
        self._exits.close()

    @property
    def services(self) -> dict[int, Path]:
        """For `opslab.jail`: what has to be reachable inside, by port. `{another_port: listener.socket}` does, too."""
        return {self.port: self.socket} if self.socket else {}


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """One of the two that a `Listener` has. A handler knows it as `self.server`."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self, place: Any, handler: type[socketserver.BaseRequestHandler], owner: Any, connections: int
    ) -> None:
        self.owner = owner
        self._free = threading.BoundedSemaphore(connections)
        self._clients: dict[socket.socket, float] = {}  # and when each is to be hung up on
        super().__init__(place, handler)

    def hang_up_after(self, request: socket.socket, seconds: float) -> None:
        """Give a client so many seconds from now on. Said again, the last time counts."""
        if request in self._clients:
            self._clients[request] = time.monotonic() + seconds

    def process_request(self, request: Any, client_address: Any) -> None:
        self._clients[request] = float("inf")
        while not self._free.acquire(timeout=0.2):
            self.service_actions()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._clients.pop(request, None)
            self._free.release()

    def service_actions(self) -> None:
        """Hang up on those who take too long. Called again and again by serve_forever."""
        now = time.monotonic()
        for request, until in list(self._clients.items()):
            if now > until:
                _hang_up(request)

    def hang_up(self) -> None:
        """On everybody."""
        for request in list(self._clients):
            _hang_up(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # clients that have gone are no news
            super().handle_error(request, client_address)


class UnixServer(Server):
    """The same at a path that only this user can reach."""

    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        path = Path(self.server_address)
        path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            self.socket.bind(str(path))
        finally:
            os.umask(before)

    def get_request(self) -> tuple[Any, Any]:
        return self.socket.accept()[0], (HOST, 0)


def _hang_up(request: socket.socket) -> None:
    with contextlib.suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)
