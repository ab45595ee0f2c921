"""An index and its advisories over HTTP, for pip, uv and pip-audit.

    >>> with Server(Index(seed=1)) as server:                                       # doctest: +SKIP
    ...     print(server.index_url, server.osv_url)
    http://127.0.0.1:43121/simple/ http://127.0.0.1:43121/osv/v1/query

/simple/                 the simple repository API: the index as it is today
/2026-11-16/simple/      the same, as it was on that day
/files/…/NAME            wheels, sdists; with .metadata behind it, a wheel's metadata
/mirror/simple/          the same releases in another place, where somebody has tampered with one; /mirror/files/…, too
/osv/v1/query            POST: what is known of a version; also /osv/v1/querybatch, and GET /osv/v1/vulns/ID
/2026-11-16/osv/v1/…     the same, as it was known on that day

It listens on 127.0.0.1, and, for what runs in the jail, on a unix socket: `jail.run(…, services=server.services)`.
"""

from __future__ import annotations

import collections
import json
import re
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

from opslab.worlds.loopback import HOST, Listener
from opslab.worlds.packages import advisories, simple
from opslab.worlds.packages.index import Index, PackagesError

MIRROR = "/mirror"
"""Where another copy of the index is, see `Index.mirror`."""

BODY_LIMIT = 1024 * 1024
REMEMBERED = 1000
IDLE_SECONDS = 60
"""A connection on which nothing comes for so long is closed."""

FRESH = {"Cache-Control": "no-cache"}
"""Caches ask each time: a day or a tampering later, the answer is another."""


@dataclass(frozen=True)
class Response:
    """What is sent back."""

    status: int
    body: bytes = b""
    kind: str = "text/plain; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)


def answer(index: Index, method: str, target: str, accept: str = "", body: bytes = b"") -> Response:
    """The response to one request. target: path, as in the request line; accept: the Accept header.

    Raises PackagesError where the index does not know what day it is.
    """
    path = unquote(urlsplit(target).path)
    root, day, rest = re.fullmatch(rf"({MIRROR}(?=/))?(?:/(\d{{4}}-\d\d-\d\d)(?=/))?(.*)", path, re.DOTALL).groups("")
    index = index.mirror() if root else index
    before, day = root + (f"/{day}" if day else ""), day or index.day
    try:
        match rest.split("/")[1:]:
            case ["osv", "v1", *question]:
                return _osv(index, day, method, question, body)
            case _ if method not in ("GET", "HEAD"):
                return Response(405, b"An index is only read.\n", headers={"Allow": "GET, HEAD"})
            case ["files", _, _, name]:
                return _file(index, rest, name, root)
            case ["simple"]:
                return Response(301, headers={"Location": f"{before}/simple/"})
            case ["simple", ""]:
                return _page(accept, simple.root_json(index, day), simple.root_html(index, day))
            case ["simple", project, *end] if end in ([], [""]):
                name = canonicalize_name(project)
                if name not in index.projects(day):
                    raise PackagesError(f"The index has no project {name!r}.")
                if [project, *end] != [name, ""]:
                    return Response(301, headers={"Location": f"{before}/simple/{name}/"})
                pages = (simple.project_json, simple.project_html)
                return _page(accept, *(page(index, name, day, root) for page in pages))
        raise PackagesError(f"There is nothing at {path}; the index is at /simple/.")
    except PackagesError as error:
        return Response(404, f"{error}\n".encode())


def _page(accept: str, as_json: dict[str, Any], as_html: str) -> Response:
    kind = simple.choose(accept)
    if kind is None:
        return Response(406, f"There is {simple.JSON}, {simple.HTML} and {simple.OLD_HTML}.\n".encode())
    body = json.dumps(as_json) if kind == simple.JSON else as_html
    return Response(200, body.encode(), kind, {**FRESH, "Vary": "Accept"})


def _file(index: Index, path: str, name: str, root: str) -> Response:
    file = index.file(name.removesuffix(".metadata"))
    if path == simple.address(file):
        return Response(200, file.data, "application/octet-stream", FRESH)
    if path == f"{simple.address(file)}.metadata" and file.is_wheel:
        return Response(200, file.metadata, headers=FRESH)
    raise PackagesError(f"There is nothing at {path}; {file.name} is at {simple.address(file, root)}.")


def _osv(index: Index, day: str, method: str, question: list[str], body: bytes) -> Response:
    feed = index.advisories(day)
    match method, question:
        case (("GET" | "HEAD"), ["vulns", id]):
            found = [record for record in feed if record["id"] == id]
            return _json(found[0]) if found else _json({"code": 5, "message": "Bug not found."}, 404)
        case "POST", ["query" | "querybatch" as what]:
            try:
                asked = json.loads(body)
                if what == "query":
                    found = advisories.query(feed, asked)
                    return _json({"vulns": found} if found else {})
                if not isinstance(asked, dict) or not isinstance(asked.get("queries"), list):
                    raise advisories.BadQuery('A batch looks like {"queries": […]}.')
                results = [advisories.query(feed, one) for one in asked["queries"]]
            except (ValueError, RecursionError) as error:
                return _json({"code": 3, "message": str(error)}, 400)
            short = [[{"id": one["id"], "modified": one["modified"]} for one in found] for found in results]
            return _json({"results": [{"vulns": found} if found else {} for found in short]})
    return _json({"code": 5, "message": f"There is no {method} {'/'.join(question)}."}, 404)


def _json(value: Any, status: int = 200) -> Response:
    return Response(status, json.dumps(value).encode(), "application/json", FRESH)


# ---- HTTP -----------------------------------------------------------------------------------------------------------


class Server:
    """Serves an index from threads of this process until it is closed. Use as a context manager.

    port: the one to have, if it can be had; else, and for 0, a free one.
    requests: the last 1,000 requests, "GET /simple/pykontor/ 200 uv/0.13.8". socket: the unix socket where it listens, too.
    """

    def __init__(self, index: Index, port: int = 0) -> None:
        self.index = index
        self.requests: collections.deque[str] = collections.deque(maxlen=REMEMBERED)
        self._listener = Listener(_Handler, self, name="package index", port=port)
        self.port, self.socket, self.services = self._listener.port, self._listener.socket, self._listener.services

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening. Nothing is lost: day and tampering belong to the index."""
        self._listener.close()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def index_url(self) -> str:
        """For pip's --index-url and uv's --default-index."""
        return f"{self.url}/simple/"

    @property
    def osv_url(self) -> str:
        """For pip-audit's --osv-url."""
        return f"{self.url}/osv/v1/query"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "opslab-packages", ""
    timeout = IDLE_SECONDS
    wbufsize = -1  # headers and body in one packet

    def do_GET(self) -> None:
        ours = self.server.owner
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > BODY_LIMIT:
            self.close_connection = True
            response = Response(413, f"At most {BODY_LIMIT:,} bytes are read.\n".encode())
        else:
            body = self.rfile.read(int(length))
            try:
                response = answer(ours.index, self.command, self.path, self.headers.get("Accept", ""), body)
            except Exception as error:  # noqa: BLE001  (pip shows the reason, and the server goes on)
                response = Response(500, f"The index stumbled: {error}\n".encode())
        client = self.headers.get("User-Agent", "-").partition(" ")[0]
        ours.requests.append(f"{self.command} {self.path} {response.status} {client}")
        self.send_response(response.status)
        for name, value in {"Content-Type": response.kind, **response.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def log_message(self, *_: Any) -> None:
        """Says nothing: it would be written between the learner's own lines."""
