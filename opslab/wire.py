"""How processes of the course speak with each other: lines of JSON over a unix socket that only its own user can reach.

A request is one line, `{"op": "check", "task": "1.2"}`. The answer is any number of lines `{"tell": "…"}` while it works, and
one line `{"result": …}` or `{"error": "one sentence"}`.

    with Server(path, answer) as server:              # answer(request, tell) -> result, or raises Refusal
        server.serve_forever()

    exchange(path, {"op": "hello"})
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import socketserver
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

LINE_LIMIT = 1024 * 1024
Tell = Callable[[str], None]


class Refusal(Exception):
    """What was asked for cannot be done; the text is one sentence, made to be shown."""


class TooLong(Refusal):
    """More than a server reads at once was to be asked. Nothing was sent."""


def exchange(
    path: Path, request: dict[str, Any], tell: Tell = lambda text: None, *, seconds: float | None = None
) -> Any:
    """Ask the server at `path` and wait for its result. tell: called with a few words now and then while it works.

    seconds: the longest silence to put up with; None: any. Raises Refusal with the server's sentence, TooLong where the request
    is one of more than LINE_LIMIT bytes, ConnectionError or FileNotFoundError where no server answers, TimeoutError where one is
    silent for too long.
    """
    asked = json.dumps(request).encode() + b"\n"
    if len(asked) > LINE_LIMIT:  # the server would see half a line, or hang up in the middle of it
        found = f"This request has {len(asked):,} bytes; at most {LINE_LIMIT:,} are taken in one go."
        raise TooLong(f"{found} Ask about less.")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(seconds)
        _connect(connection, path, seconds)
        connection.sendall(asked)
        with connection.makefile("r", encoding="utf-8") as lines:
            for line in lines:
                message = json.loads(line)
                if "tell" in message:
                    tell(message["tell"])
                elif "error" in message:
                    raise Refusal(message["error"])
                else:
                    return message["result"]
    raise ConnectionError("it went away in the middle of the answer")


def _connect(connection: socket.socket, path: Path, seconds: float | None) -> None:
    """Connect, and wait where many wait already: with a time limit, Linux says EAGAIN at once then (connect(2))."""
    until = time.monotonic() + (seconds or 0)
    while True:
        try:
            return connection.connect(str(path))
        except BlockingIOError:
            if time.monotonic() > until:
                raise TimeoutError("timed out") from None
            time.sleep(0.02)


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Listens on a unix socket, one thread for each request.

    answer: called with the request and `tell`; what it returns goes back as the result, the text of a Refusal as the error.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, path: Path, answer: Callable[[dict[str, Any], Tell], Any]) -> None:
        self.answer = answer
        path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            super().__init__(str(path), Handler)
        finally:
            os.umask(before)


class Handler(socketserver.StreamRequestHandler):
    """One request and its answer. Who listens elsewhere gives it another `answer`."""

    server: Server

    def handle(self) -> None:
        try:
            request = json.loads(self.rfile.readline(LINE_LIMIT))
            if not isinstance(request, dict) or not isinstance(request.get("op"), str):
                raise TypeError("an object with an op is expected")
        except (ValueError, TypeError, RecursionError, OSError) as error:
            self._say({"error": f"The request is not a line of JSON ({error})."})
            return
        try:
            self._say({"result": self.answer(request, lambda text: self._say({"tell": text}))})
        except Refusal as error:
            self._say({"error": str(error)})
        except Exception as error:  # noqa: BLE001  (whoever asks is answered, also by a server with a fault)
            traceback.print_exc()
            self._say({"error": f"The server stumbled ({type(error).__name__}: {error})."})

    def answer(self, request: dict[str, Any], tell: Tell) -> Any:
        return self.server.answer(request, tell)

    def _say(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # whoever asked has gone: the work is done all the same
            self.wfile.write(json.dumps(message).encode() + b"\n")
            self.wfile.flush()
