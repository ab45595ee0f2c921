"""The engine over HTTP: one request on each connection, and no client that can keep it busy.

    >>> with Engine(store) as engine:                                                       # doctest: +SKIP
    ...     engine.port
    40123

What a request asks for is in `commands`; here is what it may look like. It is read completely before anything is done. Who
sends or takes nothing for a while is hung up on; who asks when too much is going on waits, and is told so.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Self

from opslab.worlds.images.engine import parcel, proxy
from opslab.worlds.images.engine.commands import COMMANDS, SENT, Commands, Refused, Work
from opslab.worlds.images.registry.errors import RegistryError
from opslab.worlds.images.registry.server import Body, Interrupted
from opslab.worlds.images.store import Store
from opslab.worlds.loopback import HOST, Listener, Server

KIND = "application/x-desk"
"""A web page cannot send this content type to another server without asking, and it is never told that it may."""

CONNECTIONS = 32
JOBS = 2
"""Builds, containers and scans at once. They take a processor each."""

PATIENCE = 300
"""Seconds that somebody waits for their turn."""

HEAD_SECONDS, SLOWEST = 30, 1024 * 1024
"""A request may take so many seconds, and a second more for each of so many bytes."""

WORK_SECONDS = 900
SEND_SECONDS = 30
ASK_BYTES = 4 * 1024 * 1024
HEAVY_BYTES, LIGHT_BYTES = parcel.BYTES + 64 * 1024 * 1024, 64 * 1024 * 1024
"""What may come behind a question."""


class Gone(ConnectionError):
    """The client has gone, or takes nothing any more."""


class Engine:
    """An engine that listens, as soon as it is made. Use as a context manager, or call `close`.

    store     its images
    port      the one of 127.0.0.1 to have, if it can be had; else, and for 0, a free one
    hosts     registries by the names that people write: {"registry.targ.example": "127.0.0.1:5000"}; nothing else is asked
    services  what RUN and containers can reach: see `jail.prepare`
    env       variables of every RUN that are not in the image, such as PIP_INDEX_URL: see `build.build`
    images    names that mean another image here, to a name or digest of the store: see `build.build`
    osv_url   where `scan` asks for advisories, as this process reaches it: the index server's `osv_url`

    Logins are the client's: it keeps them in ~/.docker/config.json, and sends them along.
    """

    def __init__(
        self,
        store: Store,
        *,
        port: int = 0,
        hosts: Mapping[str, str] | None = None,
        services: Mapping[int, str | Path] | None = None,
        env: Mapping[str, str] | None = None,
        images: Mapping[str, str] | None = None,
        osv_url: str = "",
    ) -> None:
        self.commands = Commands(store, dict(hosts or {}), services or {}, env or {}, images or {}, osv_url)
        self.jobs = threading.BoundedSemaphore(JOBS)
        self._listener = Listener(
            _Handler,
            self,
            name="engine",
            port=port,
            connections=CONNECTIONS,
        )
        self.port, self.socket, self.services = self._listener.port, self._listener.socket, self._listener.services

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening and hang up. A build under way ends with its step; what is in the store stays."""
        self._listener.close()

    @property
    def env(self) -> dict[str, str]:
        """For `workspace.environment`: how the client finds the engine."""
        return {"DOCKER_HOST": f"tcp://{HOST}:{self.port}"}


class _Handler(BaseHTTPRequestHandler):
    """One connection, with one request."""

    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        self.timeout = SEND_SECONDS  # of a single read or write; the deadline is about all of them
        self.until(HEAD_SECONDS)
        super().setup()

    def version_string(self) -> str:
        return "opslab-engine"

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: it would be written between the learner's own lines."""

    def until(self, seconds: float) -> None:
        """Hang up after so many seconds."""
        self.server.hang_up_after(self.request, seconds)

    def do_GET(self) -> None:
        self.close_connection = True
        self.started = time.monotonic()

        def patience(received: int) -> None:
            self.until(HEAD_SECONDS + received / SLOWEST - (time.monotonic() - self.started))

        self.body: Body | None = None
        try:
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.body = Body(self.rfile, headers, patience)
            if self.path.startswith("http://"):
                proxy.forward(self, self.server.owner.commands.hosts, self.body)
            elif self.command == "CONNECT":
                self.say(403, proxy.refusal(self.path, self.server.owner.commands.hosts))
            else:
                self._command(headers)
        except RegistryError as error:
            self.say(error.status, error.message)
        except OSError:
            return  # the client has gone
        self._drain()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_CONNECT = do_GET

    def say(self, status: int, text: str) -> None:
        """A refusal of the request itself."""
        content = json.dumps({"error": text, "code": 1}).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _drain(self) -> None:
        """Of a body that was refused, read a part: a client that is still sending does not read the answer."""
        if self.body is None or self.body.ended:
            return
        until = time.monotonic() + 5
        self.until(5)
        self.body.patience = lambda received: None
        with contextlib.suppress(OSError, RegistryError):
            self.request.shutdown(socket.SHUT_WR)
            for _ in self.body.pieces():
                if time.monotonic() > until:
                    break

    # --- commands

    def _command(self, headers: Mapping[str, str]) -> None:
        host = headers.get("host", "").rsplit(":", 1)[0]
        name = self.path.removeprefix("/v1/")
        if "origin" in headers or host not in (HOST, "localhost") or headers.get("content-type") != KIND:
            self.say(403, f"This engine is for `docker` on a desk, and not for web pages: POST /v1/COMMAND, {KIND}.")
        elif self.command != "POST" or not self.path.startswith("/v1/") or name not in COMMANDS:
            self.say(
                404, f"There is no {self.command} {self.path[:80]}. There is POST /v1/ with {', '.join(COMMANDS)}."
            )
        else:
            with self.server.owner.commands.folder() as folder:
                self._do(name, folder)

    def _do(self, name: str, folder: Path) -> None:
        """Read all of a request, do it, and say what came of it."""
        engine, command = self.server.owner, COMMANDS[name]
        assert self.body is not None
        pieces = self.body.pieces()
        try:
            ask, rest = self._question(pieces)
        except Refused as error:
            self.say(error.code, str(error))
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        self.end_headers()
        with contextlib.ExitStack() as stack:
            # Before the files are read: what waits for its turn takes no room on the disk.
            if command.heavy:
                self.until(PATIENCE + HEAD_SECONDS)
                if not engine.jobs.acquire(blocking=False):
                    self.line(err="The engine is busy with other builds or containers; waiting for them.\n")
                    if not engine.jobs.acquire(timeout=PATIENCE):
                        self.line(error="the engine is still busy. Try again in a moment.", code=command.code)
                        return
                stack.callback(engine.jobs.release)
                self.started = time.monotonic()
            try:
                self._keep(rest, pieces, folder / SENT, HEAVY_BYTES if command.heavy else LIGHT_BYTES)
                self.until(WORK_SECONDS)
                done = engine.commands.do(name, ask, Work(folder, self.line))
            except (Gone, Interrupted):
                raise
            except (Refused, RegistryError) as error:
                self.line(
                    error=str(error), code=getattr(error, "code", 0) if isinstance(error, Refused) else command.code
                )
            except Exception as error:  # noqa: BLE001  (a client gets an answer, and the engine goes on)
                traceback.print_exc()
                self.line(error=f"a bug of the engine: {type(error).__name__}: {error}", code=command.code)
            else:
                self.line(done=done)

    def line(self, **fields: Any) -> None:
        """One line of the answer. Raises Gone."""
        try:
            self.wfile.write(json.dumps(fields).encode() + b"\n")
        except OSError as error:
            raise Gone(str(error)) from None

    def _question(self, pieces: Iterator[memoryview]) -> tuple[Any, bytes]:
        """The first line of the body, and what has come of the rest with it. Raises Refused, with a status of HTTP."""
        head = bytearray()
        for piece in pieces:
            head += piece
            if b"\n" in piece or len(head) > ASK_BYTES:
                break
        line, _, rest = bytes(head).partition(b"\n")
        if len(line) > ASK_BYTES:
            raise Refused("The question is too long.", 413)
        try:
            return json.loads(line), rest
        except (ValueError, RecursionError):
            raise Refused("The first line is no JSON.", 400) from None

    def _keep(self, rest: bytes, pieces: Iterator[memoryview], place: Path, limit: int) -> None:
        """Write what comes behind the question into a file, if there is anything."""
        with contextlib.ExitStack() as stack:
            file, size = None, 0
            for piece in itertools.chain([memoryview(rest)] if rest else [], pieces):
                size += len(piece)
                if size > limit:
                    raise Refused(f"more than {limit >> 20} MB are not taken.", 1)
                file = file or stack.enter_context(place.open("wb"))
                file.write(piece)
