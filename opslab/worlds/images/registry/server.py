"""The registry over HTTP: the OCI distribution API v1.1, on a port of the loopback and, for clients in the jail, on a unix socket.

    >>> from opslab.worlds.images.registry.server import Registry
    >>> from opslab.worlds.images.registry.team import Team
    >>> with Registry(Team("workspace/registry", None), port=5000) as registry:               # doctest: +SKIP
    ...     registry.address
    '127.0.0.1:5000'

Any number of registries may run in a process. What a client may use up is limited: connections, time, sizes. It gets an answer
that it can read, also where it is refused in the middle of sending.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import socket
import time
import traceback
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import IO, Any, Self
from urllib.parse import parse_qs, quote, unquote

from opslab.worlds.images.registry import doors, manifests, names
from opslab.worlds.images.registry.doors import Door
from opslab.worlds.images.registry.errors import RegistryError
from opslab.worlds.images.registry.store import MEGABYTE, span
from opslab.worlds.loopback import HOST, Listener, Server

CONNECTIONS = 64
"""So many clients at once. Whoever comes then waits in the queue of the port."""

HEAD_SECONDS = 30
"""For the head of a request, and between two requests on one connection."""

SLOWEST = 16 * 1024
"""Bytes a second. Who sends or takes less, after `HEAD_SECONDS`, is hung up on."""

PIECE = MEGABYTE
DRAIN = 64 * MEGABYTE
"""So much of a body that nobody wants is read all the same, because a client that is still sending does not read the answer."""

DRAIN_SECONDS = 5
LIST_LIMIT = 10_000
LOG = 1000


@dataclass(frozen=True)
class Entry:
    """One request, for those who want to see what a client does. path: with its query."""

    time: datetime.datetime
    method: str
    path: str
    status: int
    received: int


class Interrupted(ConnectionError):
    """The client has gone in the middle of its request."""


class Registry:
    """A registry that listens. Use as a context manager.

    door     who may come in, and what is behind: `team.Team`, `ecr.Ecr`
    port     of 127.0.0.1; 0 takes a free one
    socket   a unix socket to listen on as well; for `opslab.jail`, with the same port inside: services={port: socket}
    """

    def __init__(self, door: Door, *, port: int = 0, socket: str | os.PathLike[str] | None = None) -> None:
        self.door = door
        self._port = port
        self._socket = Path(socket) if socket else None
        self._listener: Listener | None = None
        self.log: deque[Entry] = deque(maxlen=LOG)
        """The last requests, the newest last."""

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> Self:
        """Begin to listen, in threads. OSError, in one line, where the port is taken."""
        try:
            self._listener = Listener(
                _Handler,
                self,
                name="registry",
                port=self._port,
                or_another=False,
                place=self._socket or "",
                connections=CONNECTIONS,
            )
        except OSError as error:
            raise OSError(
                f"The registry cannot listen on port {self._port} of {HOST}"
                + (f" and at {self._socket}" if self._socket else "")
                + f" ({error.strerror or error}): take another one."
            ) from None
        self.door.opened(self.address)
        return self

    def close(self) -> None:
        """Stop. Requests under way are cut off; what they have brought can be gone on with later."""
        if self._listener:
            self._listener.close()
            self._listener = None

    @property
    def port(self) -> int:
        return self._listener.port

    @property
    def address(self) -> str:
        """What comes before the name of a repository: "127.0.0.1:5000"."""
        return f"{HOST}:{self.port}"

    @property
    def services(self) -> dict[int, Path]:
        """For `opslab.jail`: what has to be reachable inside, by port."""
        return self._listener.services


class Body:
    """The body of a request, piece by piece, as it comes: with a Content-Length or in chunks."""

    def __init__(self, stream: Any, headers: Mapping[str, str], patience: Any) -> None:
        """patience: called with the number of bytes that have come. RegistryError where the headers make no sense."""
        self.stream, self.patience = stream, patience
        self.received = 0
        encoding, length = headers.get("transfer-encoding", "").lower(), headers.get("content-length")
        if encoding not in ("", "chunked") or (encoding and length is not None):
            raise RegistryError("SIZE_INVALID", "The length of the body is not clear: Content-Length, or chunked?")
        if length is not None and not re.fullmatch(r"\d{1,18}", length.strip()):
            raise RegistryError("SIZE_INVALID", "The Content-Length is no number.")
        self.chunked = bool(encoding)
        self.length = None if self.chunked else int(length or 0)
        self.left = self.length or 0
        self.ended = not self.chunked and not self.left

    def pieces(self) -> Iterator[memoryview]:
        """The bytes. Each piece is to be used before the next one is asked for. Raises Interrupted where the client goes."""
        buffer = memoryview(bytearray(PIECE))
        while not self.ended:
            if self.left == 0 and not self._next_chunk():
                return
            try:
                count = self.stream.readinto1(buffer[: min(self.left, PIECE)])
            except OSError as error:
                raise Interrupted(str(error)) from None
            if not count:
                raise Interrupted("the client has gone")
            self.received += count
            self.patience(self.received)
            self.left -= count
            if self.left == 0:
                if self.chunked:
                    self._line()
                else:
                    self.ended = True
            yield buffer[:count]

    def _next_chunk(self) -> bool:
        size = self._line().partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9a-fA-F]{1,15}", size):
            raise RegistryError("SIZE_INVALID", "A chunk of the body does not say its size.")
        self.left = int(size, 16)
        if self.left == 0:
            while self._line().strip():  # trailers
                pass
            self.ended = True
        return not self.ended

    def _line(self) -> bytes:
        try:
            line = self.stream.readline(1024)
        except OSError as error:
            raise Interrupted(str(error)) from None
        if not line.endswith(b"\n"):
            raise Interrupted("a chunk is not complete")
        return line

    def read(self, limit: int) -> bytes:
        """All of it. RegistryError where it is more than `limit` bytes."""
        content = bytearray()
        if (self.length or 0) > limit:
            raise _too_large(limit)
        for piece in self.pieces():
            content += piece
            if len(content) > limit:
                raise _too_large(limit)
        return bytes(content)


def _too_large(limit: int) -> RegistryError:
    return RegistryError("SIZE_INVALID", f"A manifest has at most {limit // MEGABYTE} MB here.", status=413)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        self.disable_nagle_algorithm = self.request.family != socket.AF_UNIX
        self._until(HEAD_SECONDS)
        super().setup()

    def version_string(self) -> str:
        return "opslab-registry"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def handle_one_request(self) -> None:
        self._until(HEAD_SECONDS)
        self.body: Body | None = None
        self.asked_to_continue = self.answered = False
        super().handle_one_request()

    def handle_expect_100(self) -> bool:
        """ "Go on and send" is said when it is clear that the body is wanted."""
        self.asked_to_continue = True
        return True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What http.server has to say of a request that makes no sense."""
        self.close_connection = True
        status = int(code)
        self._answer(
            status,
            {"errors": [{"code": "UNSUPPORTED", "message": message or f"HTTP {status}"}]},
            {"Connection": "close"},
        )

    def _until(self, seconds: float) -> None:
        self.server.hang_up_after(self.request, seconds)

    # --- one request -------------------------------------------------------------------------------------------------------

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET

    def _serve(self) -> None:
        started = time.monotonic()

        def patience(received: int) -> None:
            self._until(HEAD_SECONDS + received / SLOWEST - (time.monotonic() - started))

        try:
            try:
                self.body = Body(self.rfile, self._headers(), patience)
                self._check_host()
                self._route()
            except RegistryError as error:
                self._refuse(error)
            except Interrupted:
                self.close_connection = True
            except RecursionError:
                self._refuse(RegistryError("MANIFEST_INVALID", "What was sent is too deep."))
            except ConnectionError:
                self.close_connection = True
            except Exception as error:  # noqa: BLE001  (a client gets an answer, never a broken connection)
                traceback.print_exc()
                if self.answered:  # in the middle of a blob, an explanation would be taken for a part of it
                    raise Interrupted from None
                self._refuse(
                    RegistryError("UNKNOWN", f"A bug of the registry, or its folder: {type(error).__name__}: {error}")
                )
        except ConnectionError:
            self.close_connection = True
        self._drain()

    def _headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    def _check_host(self) -> None:
        """Not for web pages: a browser sends Origin, and a name that somebody has led to this machine is not ours."""
        host = self.headers.get("Host", "").rsplit(":", 1)[0]
        if "Origin" in self.headers or host not in (HOST, "localhost"):
            raise RegistryError("DENIED", f"This registry is at {HOST}, and not for web pages.")

    def _drain(self) -> None:
        """Of a body that was refused, read a part, so that the client gets to read the answer; then hang up."""
        if self.body is not None and self.body.ended:
            return
        self.close_connection = True
        if self.body is None:
            return
        self._until(DRAIN_SECONDS)
        self.body.patience = lambda received: None
        wanted = not self.asked_to_continue
        with contextlib.suppress(OSError, RegistryError):
            self.request.shutdown(socket.SHUT_WR)
            if wanted:
                for _ in self.body.pieces():
                    if self.body.received > DRAIN:
                        break

    def _wanted(self) -> Body:
        """The body, after the client has been told to go on, if it waits for that."""
        assert self.body is not None
        if self.asked_to_continue and not self.body.ended:
            self.send_response_only(100)
            self.end_headers()
            self.asked_to_continue = False
        return self.body

    def _answer(
        self, status: int, body: Any = None, headers: Mapping[str, str] | None = None, length: int | None = None
    ) -> None:
        """headers and, unless this is HEAD, the body. length: of a body that is sent by somebody else, or not at all."""
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode() + b"\n"
        self.send_response(status)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        sent = {"Content-Length": str(len(content) if length is None else length), **(headers or {})}
        if body is not None and not isinstance(body, bytes):
            sent.setdefault("Content-Type", "application/json")
        if status == 204:
            del sent["Content-Length"]
        if self.body is not None and not self.body.ended:
            sent["Connection"] = "close"
        for name, value in sent.items():
            self.send_header(name, value)
        received = self.body.received if self.body else 0
        path = getattr(self, "path", "")[:500]
        self.server.owner.log.append(
            Entry(datetime.datetime.now(datetime.UTC), self.command or "", path, status, received)
        )
        self.answered = True
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _refuse(self, error: RegistryError) -> None:
        self._answer(error.status, error.body(), error.headers)

    # --- the API -----------------------------------------------------------------------------------------------------------

    @property
    def door(self) -> Door:
        return self.server.owner.door

    ROUTES = (
        ("ping", r"/v2/?"),
        ("token", r"/token"),
        ("catalog", r"/v2/_catalog"),
        ("tags", r"/v2/(?P<name>.+)/tags/list"),
        ("referrers", r"/v2/(?P<name>.+)/referrers/(?P<digest>[^/]+)"),
        ("manifest", r"/v2/(?P<name>.+)/manifests/(?P<reference>[^/]+)"),
        ("uploads", r"/v2/(?P<name>.+)/blobs/uploads/?"),
        ("upload", r"/v2/(?P<name>.+)/blobs/uploads/(?P<upload>[^/]+)"),
        ("blob", r"/v2/(?P<name>.+)/blobs/(?P<digest>[^/]+)"),
    )
    _ROUTES = tuple((what, re.compile(pattern)) for what, pattern in ROUTES)

    def _route(self) -> None:
        raw, _, query = self.path.partition("?")
        path = unquote(raw, errors="replace")
        try:
            self.query = parse_qs(query, keep_blank_values=True, max_num_fields=100)
        except ValueError:
            raise RegistryError("UNSUPPORTED", "The query cannot be read.", status=400) from None
        what, found = next(
            ((what, one) for what, pattern in self._ROUTES if (one := pattern.fullmatch(path))), ("", None)
        )
        if found is None:
            raise RegistryError("UNSUPPORTED", "There is nothing here; the API begins at /v2/.", status=404)
        method = "GET" if self.command == "HEAD" else self.command
        action = getattr(self, f"_{method.lower()}_{what}", None)
        if action is None:
            raise RegistryError("UNSUPPORTED", f"{self.command} is not for {what}.")
        self.caller = None
        if what != "token":
            self.caller = self.door.caller(self._headers())
        parts = found.groupdict()
        if "name" in parts:
            names.repository(parts["name"])
        action(**parts)

    def _one(self, name: str) -> str:
        """A parameter of the query; "" where it is missing."""
        return self.query.get(name, [""])[-1]

    def _get_ping(self) -> None:
        self.door.ping(self.caller)
        self._answer(200, {})

    def _get_token(self) -> None:
        self._answer(200, self.door.token(self._headers(), self.query))

    def _get_catalog(self) -> None:
        self._list("repositories", self.door.catalog(self.caller), {}, "/v2/_catalog")

    def _get_tags(self, name: str) -> None:
        self._list("tags", self.door.tags(self.caller, name), {"name": name}, f"/v2/{name}/tags/list")

    def _list(self, key: str, found: list[str], more: dict[str, str], path: str) -> None:
        """A list, or the page of it that n and last ask for."""
        wanted = self._one("n")
        if wanted and not re.fullmatch(r"\d{1,9}", wanted):
            raise RegistryError("UNSUPPORTED", "n has to be a number: how many to list.", status=400)
        count = min(int(wanted or LIST_LIMIT), LIST_LIMIT)
        if last := self._one("last"):
            found = [one for one in found if one > last]
        page, headers = found[:count], {}
        if count and len(found) > count:
            headers["Link"] = f'<{path}?n={count}&last={quote(page[-1], safe="")}>; rel="next"'
        self._answer(200, {**more, key: page}, headers)

    def _get_referrers(self, name: str, digest: str) -> None:
        found = self.door.referrers(self.caller, name, names.digest(digest))
        headers = {"Content-Type": manifests.OCI_INDEX}
        if kind := self._one("artifactType"):
            found = [one for one in found if one.kind == kind]
            headers["OCI-Filters-Applied"] = "artifactType"
        entries = [one.descriptor() for one in found]
        self._answer(200, {"schemaVersion": 2, "mediaType": manifests.OCI_INDEX, "manifests": entries}, headers)

    # manifests

    def _get_manifest(self, name: str, reference: str) -> None:
        found = self.door.manifest(self.caller, name, names.reference(reference))
        self._answer(
            200,
            found.content,
            {
                "Content-Type": found.media_type,
                "Docker-Content-Digest": found.digest,
                "ETag": f'"{found.digest}"',
            },
        )

    def _put_manifest(self, name: str, reference: str) -> None:
        names.reference(reference)
        self.door.allow(self.caller, doors.PUT_MANIFEST, name)  # before so much is read
        assert self.body is not None
        limit = self.door.store.limits.manifest
        if (self.body.length or 0) > limit:
            raise _too_large(limit)
        content = self._wanted().read(limit)
        found = self.door.put_manifest(self.caller, name, reference, content, self.headers.get("Content-Type", ""))
        headers = {"Location": f"/v2/{name}/manifests/{found.digest}", "Docker-Content-Digest": found.digest}
        if found.subject:
            headers["OCI-Subject"] = found.subject
        self._answer(201, None, headers)

    def _delete_manifest(self, name: str, reference: str) -> None:
        self.door.delete_manifest(self.caller, name, names.reference(reference))
        self._answer(202)

    # blobs

    def _get_blob(self, name: str, digest: str) -> None:
        want = doors.CHECK_BLOB if self.command == "HEAD" else doors.GET_BLOB
        with self.door.open_blob(self.caller, want, name, names.digest(digest)) as file:
            size = os.fstat(file.fileno()).st_size
            first, last, status = 0, size - 1, 200
            headers = {
                "Content-Type": "application/octet-stream",
                "Docker-Content-Digest": digest,
                "ETag": f'"{digest}"',
                "Accept-Ranges": "bytes",
            }
            if (asked := self._range(size)) is not None:
                first, last, status = *asked, 206
                headers["Content-Range"] = f"bytes {first}-{last}/{size}"
            self._answer(status, None, headers, last - first + 1)
            if self.command != "HEAD":
                self._send(file, first, last - first + 1)

    def _range(self, size: int) -> tuple[int, int] | None:
        """(first, last) byte that is asked for; None for all. One range is understood, which is all that clients use."""
        found = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", self.headers.get("Range", "").replace(" ", ""))
        if not found or not (found[1] or found[2]):
            return None
        if found[1]:
            first, last = int(found[1]), min(int(found[2] or size - 1), size - 1)
        else:
            first, last = max(size - int(found[2]), 0), size - 1
        if first > last:
            raise RegistryError(
                "SIZE_INVALID",
                f"The blob has {size} bytes; there is nothing in this range.",
                status=416,
                headers={"Content-Range": f"bytes */{size}"},
            )
        return first, last

    def _send(self, file: IO[bytes], first: int, count: int) -> None:
        while count:
            self._until(HEAD_SECONDS + PIECE * 4 / SLOWEST)
            done = self.connection.sendfile(file, first, min(count, PIECE * 4))
            if not done:  # the file has become shorter: all that is left is to hang up
                raise Interrupted("the blob is cut off")
            first, count = first + done, count - done

    def _delete_blob(self, name: str, digest: str) -> None:
        if not self.door.deletes_blobs:
            raise RegistryError("UNSUPPORTED", "This registry deletes images, not single blobs.")
        self.door.allow(self.caller, doors.DELETE, name)
        self.door.store.delete_blob(name, names.digest(digest))
        self._answer(202)

    # uploads

    def _post_uploads(self, name: str) -> None:
        self.door.allow(self.caller, doors.START_UPLOAD, name)
        mount, source, digest = self._one("mount"), self._one("from"), self._one("digest")
        if mount and self.door.mounts and self._mount(name, names.digest(mount), source):
            self._created(name, mount)
            return
        if digest:
            names.digest(digest)
        upload = self.door.store.start(name)
        if digest and not mount:
            self._fill(name, upload, None)
            self.door.allow(self.caller, doors.FINISH_UPLOAD, name)
            self.door.store.finish(name, upload, digest)
            self._created(name, digest)
            return
        self._progress(202, name, upload, 0)

    def _mount(self, name: str, digest: str, source: str) -> bool:
        """Have a blob from another repository. Where that cannot be, or is not allowed, the client is to send it instead."""
        try:
            self.door.allow(self.caller, doors.GET_BLOB, names.repository(source))
        except RegistryError:
            return False
        return self.door.store.mount(name, digest, source)

    def _created(self, name: str, digest: str) -> None:
        self._answer(201, None, {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest})

    def _progress(self, status: int, name: str, upload: str, size: int) -> None:
        headers = {"Location": f"/v2/{name}/blobs/uploads/{upload}", "Range": span(size), "Docker-Upload-UUID": upload}
        self._answer(status, None, headers)

    def _fill(self, name: str, upload: str, at: int | None) -> int:
        """Take the body into an upload; returns how much is there now."""
        assert self.body is not None
        if not self.body.ended:
            self.door.allow(self.caller, doors.UPLOAD, name)
        return self.door.store.write(name, upload, self._wanted().pieces(), at)

    def _at(self) -> int | None:
        """Where the body belongs in the blob, by its Content-Range, "0-99"; None where it does not say."""
        asked = self.headers.get("Content-Range", "")
        if not asked:
            return None
        found = re.fullmatch(r"(?:bytes[ =])?(\d{1,18})-(\d{1,18})(?:/(?:\d+|\*))?", asked)
        if not found or int(found[2]) < int(found[1]) - 1:
            raise RegistryError("BLOB_UPLOAD_INVALID", "Content-Range has to be FIRST-LAST, both in bytes.", status=416)
        assert self.body is not None
        if self.body.length is not None and self.body.length != int(found[2]) - int(found[1]) + 1:
            raise RegistryError("SIZE_INVALID", "Content-Range and Content-Length say different things.")
        return int(found[1])

    def _get_upload(self, name: str, upload: str) -> None:
        self.door.allow(self.caller, doors.UPLOAD, name)
        self._progress(204, name, upload, self.door.store.received(name, upload))

    def _patch_upload(self, name: str, upload: str) -> None:
        self._progress(202, name, upload, self._fill(name, upload, self._at()))

    def _put_upload(self, name: str, upload: str) -> None:
        self.door.allow(self.caller, doors.FINISH_UPLOAD, name)
        digest = names.digest(self._one("digest"))
        self._fill(name, upload, self._at())
        self.door.store.finish(name, upload, digest)
        self._created(name, digest)

    def _delete_upload(self, name: str, upload: str) -> None:
        self.door.allow(self.caller, doors.UPLOAD, name)
        self.door.store.cancel(name, upload)
        self._answer(204)
