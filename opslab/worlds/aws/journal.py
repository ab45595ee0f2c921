"""The journal: every change that was made in an organisation, so that the same organisation can be made again.

An organisation lives in memory. What it is like at the start comes from a scenario and a seed; what people have changed since
stands in a file, one request a line, as JSON:

    {"time": "2026-11-21T09:14:03+00:00", "caller": "arn:aws:iam::111111111111:user/ana", "service": "iam",
     "operation": "PutRolePolicy", "resources": ["arn:aws:iam::111111111111:role/loader"], "request": {…}}

    >>> from opslab.worlds.aws.journal import Journal
    >>> journal = Journal(path)                                      # doctest: +SKIP
    >>> journal.replay(aws)            # what stands there is done again … # doctest: +SKIP
    >>> journal.record(aws)            # … and from now on it is written   # doctest: +SKIP

A request that is done again is decided again, by the policies of that moment, for the caller whose name stands there: a journal
that somebody has made up gets no further than the permissions of those it names. Ids and keys come out the same, because they
follow from the request.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import fnmatch
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opslab.worlds.aws.signature import Http

if TYPE_CHECKING:
    from opslab.worlds.aws.guard import Work
    from opslab.worlds.aws.organisation import Organisation

MOST = 20_000
"""So many changes are made again, no more: a journal from somebody else could be without end."""

SIZE_LIMIT = 64 * 1024 * 1024

READS = (
    "Get", "List", "Describe", "Head", "BatchGet", "Query", "Scan", "Select", "Simulate", "Lookup", "Filter",
    "Encrypt", "Decrypt", "ReEncrypt", "Generate", "Sign", "Verify", "ReceiveMessage",
)  # fmt: skip
"""How the names of operations begin that change nothing. (ReceiveMessage hides a message for some seconds: not worth it.)"""

SESSIONS = ("AssumeRole", "GetSessionToken", "GetFederationToken")
"""Operations that make temporary credentials: done again only as long as these are valid."""

SESSION_HOURS = 12
KEPT_HEADERS = ("content-type", "content-md5", "content-encoding")
DROPPED_HEADERS = ("x-amz-security-token", "x-amz-date")


def changes(service: str, operation: str) -> bool:
    """Whether an operation may change something."""
    return (service == "sts" and operation in SESSIONS) or not operation.startswith(READS)


class Journal:
    """The journal of an organisation in a file. Of a file that is damaged, what can be read is used; `damaged` says so."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged = ""
        self.lines: list[str] = []
        self._size = 0
        self._load()

    def _load(self) -> None:
        try:
            raw = self.path.read_bytes() if self.path.stat().st_size <= SIZE_LIMIT else b""
            self.damaged = "" if raw or not self.path.stat().st_size else "it is too big"
        except FileNotFoundError:
            return
        except OSError as error:
            self.damaged = error.strerror or "it cannot be read"
            return
        for number, line in enumerate(raw.decode("utf-8", "replace").splitlines(), 1):
            if not line.strip():
                continue
            try:
                _check(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                self.damaged = f"line {number} makes no sense"
                continue
            self.lines.append(line)
        if len(self.lines) > MOST:
            self.damaged, self.lines = f"it has more than {MOST:,} lines", self.lines[:MOST]
        self._size = len(raw)

    def replay(self, aws: Organisation, without: Iterable[str] = ()) -> list[str]:
        """Make the changes again. Returns a line for each that did not go through, which is what then stays out.

        without: patterns of ARNs (`arn:aws:iam::*:role/loader`); changes of these are left out. The rest is kept, from here on.
        """
        patterns, kept, failed = list(without), [], []
        for line in self.lines:
            entry = json.loads(line)
            if _matches(entry, patterns) or _expired(entry):
                continue
            if problem := aws.guard.repeat(entry):
                failed.append(f"{entry['service']}:{entry['operation']} by {entry['caller']}: {problem}")
            else:
                kept.append(line)
        self.lines = kept
        return failed

    def record(self, aws: Organisation) -> None:
        """From now on, write down each change."""
        self.flush()
        aws.guard.on_change = lambda work: self._append(json.dumps(_entry(work)))

    def _append(self, line: str) -> None:
        self.lines.append(line)
        text = (line + "\n").encode()
        try:
            if self.path.stat().st_size == self._size:
                with self.path.open("ab") as file:
                    file.write(text)
                self._size += len(text)
                return
        except OSError:
            pass
        self.flush()  # it was deleted, or changed by somebody: what is in memory is what is true

    def flush(self) -> None:
        """See to it that the file says what is in memory."""
        content = "".join(f"{line}\n" for line in self.lines).encode()
        with contextlib.suppress(OSError):
            if self.path.read_bytes() == content:
                self._size = len(content)
                return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_name(f"{self.path.name}.new")
        fresh.write_bytes(content)
        fresh.replace(self.path)
        self._size = len(content)


def _check(entry: Mapping[str, Any]) -> None:
    """Raises one of the usual errors where an entry has not the form of one."""
    datetime.datetime.fromisoformat(entry["time"]).astimezone(datetime.UTC)
    request = entry["request"]
    texts = [entry["caller"], entry["service"], entry["operation"], *entry["resources"]]
    texts += [request["method"], request["path"], request["query"], *request["headers"], *request["headers"].values()]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError
    _body(request)


def _matches(entry: Mapping[str, Any], patterns: list[str]) -> bool:
    return any(fnmatch.fnmatchcase(arn, pattern) for arn in entry["resources"] for pattern in patterns)


def _expired(entry: Mapping[str, Any]) -> bool:
    age = datetime.datetime.now(datetime.UTC) - when(entry)
    return entry["service"] == "sts" and age > datetime.timedelta(hours=SESSION_HOURS)


def when(entry: Mapping[str, Any]) -> datetime.datetime:
    """When the change was made."""
    return datetime.datetime.fromisoformat(entry["time"]).astimezone(datetime.UTC)


def _entry(work: Work) -> dict[str, Any]:
    http = work.http
    headers = {
        name: value
        for name, value in http.headers.items()
        if (name in KEPT_HEADERS or name.startswith("x-amz-")) and name not in DROPPED_HEADERS
    }
    request: dict[str, Any] = {"method": http.method, "path": http.path, "query": http.query, "headers": headers}
    try:
        request["body"] = http.body.decode()
    except UnicodeDecodeError:
        request["base64"] = base64.b64encode(http.body).decode()
    return {
        "time": work.now.isoformat(timespec="seconds"),
        "caller": work.caller.principal.arn if work.caller else "",
        "service": work.service,
        "region": work.region,
        "operation": work.operation,
        "resources": sorted({ask.resource for ask in work.asks}),
        "request": request,
    }


def _body(request: Mapping[str, Any]) -> bytes:
    return request["body"].encode() if "body" in request else base64.b64decode(request["base64"], validate=True)


def http_of(entry: Mapping[str, Any]) -> Http:
    """The request of an entry, without signature."""
    request = entry["request"]
    headers = {**request["headers"], "host": "127.0.0.1"}
    return Http(request["method"], request["path"], request["query"], headers, _body(request))
