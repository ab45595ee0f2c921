"""The journal: every change that was made in an organisation, so that the same organisation can be made again.

An organisation lives in memory. What it is like at the start comes from a scenario and a seed; what people have changed since
stands in a file, one request a line, as JSON:

    {"time": "2026-11-21T09:14:03+00:00", "caller": "arn:aws:iam::111111111111:user/ana", "service": "iam",
     "operation": "PutRolePolicy", "resources": ["arn:aws:iam::111111111111:role/loader"], "nth": 1, "request": {…}}

    >>> from opslab.worlds.aws.journal import Journal
    >>> journal = Journal(path)                                      # doctest: +SKIP
    >>> journal.replay(aws)            # what stands there is done again … # doctest: +SKIP
    >>> journal.record(aws)            # … and from now on it is written   # doctest: +SKIP

A request that is done again is decided again, by the policies of that moment, for the caller whose name stands there: a journal
that somebody has made up gets no further than the permissions of those it names. Ids and keys come out the same, because they
follow from the request and from how many of the same kind there were before (`nth`).
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import fnmatch
import json
import os
import stat
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opslab import plain
from opslab.worlds import workspace
from opslab.worlds.aws.signature import Http

if TYPE_CHECKING:
    from opslab.worlds.aws.guard import Work
    from opslab.worlds.aws.organisation import Organisation

MOST = 20_000
"""So many changes are made again, no more: a journal from somebody else could be without end."""

SIZE_LIMIT = workspace.ANSWER_LIMIT
"""Bytes. What is larger would not be taken along when the workspace is handed in."""

READS = (
    "Get", "List", "Describe", "Head", "BatchGet", "Query", "Scan", "Select", "Simulate", "Lookup", "Filter",
    "Encrypt", "Decrypt", "ReEncrypt", "Generate", "Sign", "Verify", "ReceiveMessage",
)  # fmt: skip
"""How the names of operations begin that change nothing. (ReceiveMessage hides a message for some seconds: not worth it.)"""

SESSIONS = ("AssumeRole", "GetSessionToken", "GetFederationToken")
"""Operations that make temporary credentials: done again only as long as these are valid."""

SESSION_HOURS = 12
KEPT_HEADERS = (
    "content-type", "content-md5", "content-encoding", "content-disposition", "content-language", "cache-control", "expires",
    "if-match", "if-none-match",
)  # fmt: skip
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
            with plain.open_file(self.path) as file:
                raw = file.read(SIZE_LIMIT + 1)
        except FileNotFoundError:
            return
        except OSError as error:
            self.damaged = error.strerror or "it cannot be read"
            return
        if len(raw) > SIZE_LIMIT:
            raw = raw[: raw.rfind(b"\n", 0, SIZE_LIMIT) + 1]
            self.damaged = f"it has more than {SIZE_LIMIT:,} bytes; what comes later is left out"
        for number, line in enumerate(raw.decode("utf-8", "replace").split("\n"), 1):
            if not line.strip():
                continue
            if len(self.lines) == MOST:
                self.damaged = f"it has more than {MOST:,} changes; what comes later is left out"
                break
            try:
                _check(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
                self.damaged = self.damaged or f"line {number} makes no sense; it is left out"
                continue
            self.lines.append(line)
        self._size = len(raw)

    def replay(self, aws: Organisation, without: Iterable[str] = (), seconds: float = float("inf")) -> list[str]:
        """Make the changes again. Returns a line for each that did not go through, which is what then stays out.

        without: patterns of ARNs (`arn:aws:iam::*:role/loader`); changes of these are left out. The rest is kept, from here on.
        seconds: what is not made again by then stays out, too.
        """
        patterns, kept, failed = list(without), [], []
        until = time.monotonic() + seconds
        for number, line in enumerate(self.lines):
            if time.monotonic() > until:
                left = len(self.lines) - number
                failed.append(
                    f"the last {left:,} changes are left out: all of them would take longer than {seconds:g} seconds"
                )
                break
            entry = json.loads(line)
            if _matches(entry, patterns) or _expired(entry):
                continue
            if problem := aws.guard.repeat(entry):
                failed.append(_in_one_line(f"{entry['service']}:{entry['operation']} by {entry['caller']}: {problem}"))
            else:
                kept.append(line)
        self.lines = kept
        return failed

    def keep_a_copy(self) -> None:
        """Keep the file as it is now beside it, as journal.damaged, journal.damaged-2 …"""
        for number in range(1, 100):
            copy = self.path.with_name(f"{self.path.stem}.damaged{f'-{number}' if number > 1 else ''}")
            try:
                os.link(self.path, copy, follow_symlinks=False)
            except FileExistsError:
                continue
            except OSError:  # there is nothing, or nothing can be written
                pass
            return

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
        # It was deleted, or changed by somebody: what is in memory is what is true. Where it cannot be written at all, the
        # change is made all the same, and the next `flush` says so.
        with contextlib.suppress(OSError):
            self.flush()

    def flush(self) -> None:
        """See to it that the file says what is in memory. OSError where it cannot be written."""
        content = "".join(f"{line}\n" for line in self.lines).encode()
        with contextlib.suppress(OSError):
            found = self.path.lstat()
            if stat.S_ISREG(found.st_mode) and found.st_size == len(content) and self.path.read_bytes() == content:
                self._size = len(content)
                return
        self._size = -1  # until it has been written, so that the next change tries again
        # Not the folders above: a workspace that was moved away must not come back because of this.
        self.path.parent.mkdir(exist_ok=True)
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
    if "nth" in entry and not (isinstance(entry["nth"], int) and 0 < entry["nth"] < 2**31):
        raise ValueError
    _body(request)


def _in_one_line(text: str) -> str:
    return " ".join(text.split())[:400]


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
        "nth": work.nth,
        "request": request,
    }


def _body(request: Mapping[str, Any]) -> bytes:
    return request["body"].encode() if "body" in request else base64.b64decode(request["base64"], validate=True)


def json_call(service: str, operation: str, parameters: Mapping[str, Any]) -> Http:
    """A call of a service that speaks JSON, as the aws CLI would send it, without signature."""
    from moto.core.utils import get_service_model

    about = get_service_model(service).metadata
    headers = {
        "content-type": f"application/x-amz-json-{about['jsonVersion']}",
        "x-amz-target": f"{about['targetPrefix']}.{operation}",
        "host": "127.0.0.1",
    }
    return Http("POST", "/", "", headers, json.dumps(parameters).encode())


def http_of(entry: Mapping[str, Any]) -> Http:
    """The request of an entry, without signature."""
    request = entry["request"]
    headers = {**request["headers"], "host": "127.0.0.1"}
    return Http(request["method"], request["path"], request["query"], headers, _body(request))
