"""The forge's pages at an address of this machine, for a browser.

    >>> with Server(forge) as server:                                               # doctest: +SKIP
    ...     print(server.url)
    http://127.0.0.1:43121

They can be looked at, and nothing else: whoever wants to act does it with git, `opslab mr` or Python. While a server is
running, the links that a push answers with lead to it.
"""

from __future__ import annotations

import threading
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, quote, unquote, urlsplit

from opslab.worlds.forge.forge import Forge
from opslab.worlds.forge.page import Page, document
from opslab.worlds.forge.repository import Repository
from opslab.worlds.forge.state import ForgeError

LOG_SHOWN = 1_000_000

HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    # Even if something that was written slipped through unescaped: a browser would not run it, and fetch nothing.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Server:
    """Shows a forge on 127.0.0.1 until it is closed. Use as a context manager. port: 0 for a free one."""

    def __init__(self, forge: Forge, port: int = 0) -> None:
        self.forge = forge
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _Handler)
        self._server.forge, self._server.daemon_threads = forge, True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="forge pages", daemon=True)

    def __enter__(self) -> Self:
        self._before = self.forge.settings["url"]
        self.forge.set_url(self.url)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        if self.forge.note.exists():
            self.forge.set_url(self._before)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        # A page elsewhere whose name was made to lead here would ask under that name.
        host = (self.headers.get("Host") or "").rpartition(":")[0]
        if host not in ("127.0.0.1", "localhost"):
            self._answer(403, document("Not here", [], "<h1>This address is for this machine only.</h1>"))
            return
        try:
            self._answer(200, _page(self.server.forge, self.path))
        except ForgeError as error:
            body = f'<div class="opslab-mr"><h1>Not found</h1><p>{escape(str(error))}</p></div>'
            self._answer(404, document("Not found", [("Forge", "/")], body))

    do_HEAD = do_GET

    def _answer(self, code: int, text: str) -> None:
        body = text.encode()
        self.send_response(code)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Says nothing: it would be written between the learner's own lines."""


def _page(forge: Forge, path: str) -> str:
    """The page at an address. Raises ForgeError where there is none."""
    parts = urlsplit(path)
    project, _, rest = unquote(parts.path).strip("/").partition("/-/")
    if not project:
        return document("Forge", [("Forge", "/")], _overview(forge.repositories()))
    repository = forge.repository(project)
    base = "/" + quote(project)
    trail = [("Forge", "/"), (project, f"{base}/-/merge_requests")]
    match rest.split("/"):
        case [""] | ["merge_requests"]:
            return document(project, trail, _overview([repository]))
        case ["merge_requests", "new"]:
            return document("New merge request", trail, _new(parts.query))
        case ["merge_requests", number] if number.isdecimal():
            return Page(repository.merge_request(int(number[:9])), base).document(trail)
        case ["pipelines", pipeline, job] if pipeline.isdecimal() and job.isdecimal():
            return document(f"Job {job} of pipeline {pipeline}", trail, _log(repository, int(pipeline), int(job)))
    raise ForgeError(f"There is no page {unquote(parts.path)}.")


def _overview(repositories: list[Repository]) -> str:
    out = ['<div class="opslab-mr"><h1>Merge requests</h1>']
    for repository in repositories:
        rows = ""
        for mr in reversed(repository.merge_requests()):
            record = mr.record
            title = f"{'Draft: ' if record['draft'] else ''}{record['title']}"
            address = f"/{quote(repository.path)}/-/merge_requests/{mr.number}"
            rows += (
                f'<tr><th scope="row">!{mr.number}</th><td><a href="{escape(address)}">{escape(title)}</a></td>'
                f"<td>{escape(record['state'])}</td><td>@{escape(record['author'])}</td></tr>"
            )
        head = "".join(f'<th scope="col">{name}</th>' for name in ("Number", "Title", "State", "Author"))
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>" if rows else "<p>None yet.</p>"
        out.append(f"<h2>{escape(repository.path)}</h2>{table}")
    return "".join(out) + "</div>"


def _new(query: str) -> str:
    branch = parse_qs(query).get("merge_request[source_branch]", ["my-branch"])[0]
    return (
        '<div class="opslab-mr"><h1>New merge request</h1><p>These pages can only be looked at. To open a merge request for '
        f"<code>{escape(branch)}</code>, type in your clone:</p>"
        f'<pre> opslab mr create {escape(branch)} --title "…" --description "…"</pre>'
        "<p>Next time, let the push do it: <code>git push -o merge_request.create</code></p></div>"
    )


def _log(repository: Repository, pipeline: int, job: int) -> str:
    jobs = repository.pipeline(pipeline)["jobs"]
    if not 1 <= job <= len(jobs):
        raise ForgeError(f"Pipeline {pipeline} has {len(jobs)} jobs; there is no number {job}.")
    record = jobs[job - 1]
    path = repository.store.folder / "pipelines" / str(pipeline) / f"{job}.log"
    text = path.read_text(encoding="utf-8", errors="replace")[:LOG_SHOWN] if path.is_file() else "There is no log yet."
    return (
        f'<div class="opslab-mr"><h1>{escape(record["name"])}: {escape(record["state"])}</h1>'
        f"<p>Job {job} of pipeline {pipeline}, stage {escape(record['stage'])}</p><pre>{escape(text)}</pre></div>"
    )
