"""Reading, while it is written, what a process in the jail writes: lines of JSON in a file of its world.

    >>> tail = Tail(home / "outcome.jsonl", lambda line: print(line["day"]))
    >>> …                                    # run something that appends lines
    >>> lines = tail.close()

The world is the learner's, so what stands in the file may be anything: it is read as an ordinary file or not at all, up to a
limit, and lines that are no JSON object are left out. What an object says is for the caller to judge.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from opslab import plain

READ_LIMIT = 1024 * 1024
PAUSE = 0.1


class Tail(threading.Thread):
    """Begins to read at once. What stood in the file before is removed."""

    def __init__(self, path: Path, each: Callable[[dict[str, Any]], None]) -> None:
        super().__init__(daemon=True)
        self.path, self.each = path, each
        self.lines: list[dict[str, Any]] = []
        self._end = threading.Event()
        path.unlink(missing_ok=True)
        self.start()

    def close(self) -> list[dict[str, Any]]:
        """Read what is left; all lines."""
        self._end.set()
        self.join()
        return self.lines

    def run(self) -> None:
        at, rest = 0, b""
        while True:
            last = self._end.wait(PAUSE)
            with contextlib.suppress(OSError):
                if at < READ_LIMIT:
                    with plain.open_file(self.path) as file:
                        file.seek(at)
                        new = file.read(READ_LIMIT - at)
                    at += len(new)
                    *whole, rest = (rest + new).split(b"\n")
                    for line in whole:
                        self._take(line)
            if last:
                return

    def _take(self, raw: bytes) -> None:
        try:
            line = json.loads(raw)
        except (ValueError, RecursionError):
            return
        if isinstance(line, dict):
            self.lines.append(line)
            self.each(line)
