"""HTTP on the loopback for the guard, and the control port of `opslab aws serve`."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opslab.worlds.aws.organisation import Organisation

HOST = "127.0.0.1"


def make_server(place: int | Path, app: Any) -> Any:
    """A threading HTTP server on a port of the loopback (0 takes a free one) or on a unix socket.

    OSError, in one line, if the port is taken.
    """
    from moto.moto_server.werkzeug_app import MotoRequestHandler
    from werkzeug.serving import ThreadedWSGIServer

    class Quiet(MotoRequestHandler):
        protocol_version = "HTTP/1.1"  # keep connections: a new one for each request would cost more than the guard
        disable_nagle_algorithm = not isinstance(place, Path)

        def log(self, *_: Any) -> None:
            pass

        def version_string(self) -> str:
            return "opslab"

    class Server(ThreadedWSGIServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 256

        def log(self, *_: Any) -> None:
            pass

    if isinstance(place, Path):
        return Server(f"unix://{place}", 0, app, handler=Quiet)
    try:
        # Bound here, because werkzeug ends the process when a port is taken.
        with socket.create_server((HOST, place), backlog=Server.request_queue_size) as bound:
            return Server(HOST, place, app, handler=Quiet, fd=bound.fileno())
    except OSError as error:
        raise OSError(
            f"Port {place} of {HOST} cannot be had ({os.strerror(error.errno or 0)}): take another one."
        ) from None


def serve(organisation: Organisation, control_port: int, credentials_file: Path) -> None:
    """Runs an organisation in the foreground until it is told to stop (Ctrl-C, SIGTERM)."""
    stop = threading.Event()
    for name in ("SIGINT", "SIGTERM"):
        signal.signal(getattr(signal, name), lambda *_: stop.set())
    with organisation:
        control = make_server(control_port, _Control(organisation))
        threading.Thread(target=control.serve_forever, args=(0.05,), daemon=True).start()
        organisation.credentials_file(credentials_file)
        print(
            f"AWS: {organisation.endpoint}   control: http://{HOST}:{control.server_address[1]}   Ctrl-C stops it.",
            flush=True,
        )
        stop.wait()
        control.shutdown()
        control.server_close()
    sys.stdout.flush()


class _Control:
    """POST /reset restores the start. GET /why explains the last denial."""

    def __init__(self, organisation: Organisation) -> None:
        self.organisation = organisation

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        from opslab.worlds.aws.explain import explain

        asked = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
        status, body = "404 Not Found", {"error": "There is POST /reset and GET /why."}
        host = environ.get("HTTP_HOST", "").rsplit(":", 1)[0]
        if "HTTP_ORIGIN" in environ or host not in (HOST, "localhost"):
            status, body = "403 Forbidden", {"error": "Not for web pages."}
        elif asked == ("POST", "/reset"):
            self.organisation.reset()
            status, body = "200 OK", {"reset": True}
        elif asked == ("GET", "/why"):
            record = self.organisation.last_denial()
            status = "200 OK"
            body = {"why": explain(record).text if record else "Nothing was denied since the start."}
        data = json.dumps(body).encode()
        start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
        return [data]


def why(control_port: int) -> str:
    """The explanation of the last denial, asked from a running organisation. OSError if none runs there."""
    import urllib.request

    # No proxy: this is on the loopback, whatever the environment says.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://{HOST}:{control_port}/why", timeout=10) as answer:
        return json.load(answer)["why"]
