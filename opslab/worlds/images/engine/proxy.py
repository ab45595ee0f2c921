"""Leads clients from a registry's name to where it listens: an HTTP proxy for these names, and for no others.

    HTTP_PROXY=http://127.0.0.1:2375 skopeo copy oci:image docker://registry.targ.example/clicks/loader:1.0

skopeo, podman and oras speak with registries themselves, by the name that somebody has typed, and no such name is known to any
name server. As their proxy the engine knows it. They find their logins under the name, as at work. TLS is refused (CONNECT):
with `insecure = true` (`registry.tools`) they try it without.
"""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from opslab.worlds.images.registry.server import Body

PIECE = 1024 * 1024
SECONDS = 120

HOPS = (
    "connection",
    "proxy-connection",
    "keep-alive",
    "transfer-encoding",
    "te",
    "upgrade",
    "proxy-authorization",
    "host",
    "expect",
)
"""Headers that are about one connection only, and those that are made anew."""


def refusal(name: str, hosts: Mapping[str, str]) -> str:
    """What is said of a name that nobody here answers to."""
    known = ", ".join(hosts) or "no registry"
    return f"{name} is not asked: nothing here leaves this machine. There is {known}."


def forward(handler: Any, hosts: Mapping[str, str], body: Body) -> None:
    """Answer the request `GET http://NAME/…` of a handler (http.server) with what the registry of this name says.

    A registry that does not answer is said with status 502. Raises OSError where the client has gone.
    """
    url = urlsplit(handler.path)
    address = hosts.get(url.netloc.removesuffix(":80"))
    if address is None:
        handler.say(403, refusal(url.netloc, hosts))
        return
    headers = {name: value for name, value in handler.headers.items() if name.lower() not in HOPS}
    if body.chunked:
        headers["Transfer-Encoding"] = "chunked"
    line = http.client.HTTPConnection(address, timeout=SECONDS, blocksize=PIECE)
    try:
        where = url.path + (f"?{url.query}" if url.query else "")
        line.putrequest(handler.command, where, skip_accept_encoding=True)
        for name, value in headers.items():
            line.putheader(name, value)
        line.endheaders()
        _send(line, body)
        handler.until(SECONDS)
        answer = line.getresponse()
    except (OSError, http.client.HTTPException) as error:
        line.close()
        handler.say(502, f"{url.netloc} does not answer ({error or type(error).__name__}).")
        return
    try:
        handler.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in HOPS:
                # The address may have another port where the client is, in the jail; the name is right everywhere.
                handler.send_header(name, value.replace(f"http://{address}", f"http://{url.netloc}"))
        handler.send_header("Connection", "close")
        handler.end_headers()
        while piece := answer.read(PIECE):
            handler.until(SECONDS)
            handler.wfile.write(piece)
    except http.client.HTTPException:
        pass  # it stopped in the middle: the client sees that, too
    finally:
        handler.close_connection = True
        line.close()


def _send(line: http.client.HTTPConnection, body: Body) -> None:
    """Pass the body on. A registry may answer "no" before it has read it: then its answer is what counts."""
    try:
        for piece in body.pieces():
            line.send(b"%x\r\n%b\r\n" % (len(piece), piece) if body.chunked else piece)
        if body.chunked:
            line.send(b"0\r\n\r\n")
    except (BrokenPipeError, ConnectionResetError):
        if not body.ended and body.received == 0:
            raise
