"""From `opslab learn` to the first executed cell, beside a bare `jupyter lab` on the same notebook, in headless Chromium.

Both start cold, each time in a new copy of the course with nothing remembered, one after the other in turns; the browser is
running already, as a learner's is. The course does more in that time: it opens a terminal and builds a workspace of
200,000 lines. It may cost at most half of the bare start on top.
"""

from __future__ import annotations

import contextlib
import json
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import browser

ROUNDS = 3
LIMIT = 1.5
"""Times the bare start."""

NOTEBOOK = "lessons/00_start_here.ipynb"
BARE = [
    *(sys.executable, "-m", "jupyterlab", "--no-browser", "--port=0", "--ServerApp.port_retries=0", "--allow-root"),
    f"--LabApp.default_url=/lab/tree/{NOTEBOOK}",
]


def course(folder: Path) -> Path:
    """A course with one lesson of one cell, so that only the way to it is measured."""
    (folder / "exercises").mkdir()
    (folder / "lessons").mkdir()
    cell = {
        "cell_type": "code",
        "id": "first",
        "metadata": {},
        "execution_count": None,
        "outputs": [],
        "source": "6 * 7",
    }
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = {"cells": [cell], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    (folder / NOTEBOOK).write_text(json.dumps(notebook))
    return folder


def once(page: browser.Page, command: list[str]) -> tuple[float, float]:
    """Seconds until the server answered, and until the first cell had run."""
    with tempfile.TemporaryDirectory(prefix="opslab-bench-", ignore_cleanup_errors=True) as scratch:
        place, home = Path(scratch, "course"), Path(scratch, "home")
        place.mkdir()
        home.mkdir()
        course(place)
        env = {"HOME": str(home), "JUPYTER_RUNTIME_DIR": str(home / "runtime"), "JUPYTER_PREFER_ENV_PATH": "0"}
        started = time.monotonic()
        with browser.running(place, command, env=env) as running:
            wait_until_it_listens(running.url)
            answered = time.monotonic() - started
            page.goto(running.url)
            browser.wait_until_idle(page)
            page.click(f"{browser.NOTEBOOK} .jp-CodeCell .cm-content")
            page.keyboard.press("Shift+Enter")
            page.wait_for_selector(f'{browser.NOTEBOOK} .jp-InputArea-prompt:text-is("[1]:")')
            done = time.monotonic() - started
            page.goto("about:blank")
    return answered, done


def wait_until_it_listens(url: str) -> None:
    """Jupyter prints its address a moment before it listens there."""
    parts, deadline = urlsplit(url), time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((parts.hostname, parts.port), timeout=1):
            return
        time.sleep(0.01)
    raise TimeoutError(f"nobody listens at {parts.netloc}")


def main() -> int:
    """Measure in turns, print the table, and return the exit code."""
    rows: dict[str, list[tuple[float, float]]] = {"opslab learn": [], "jupyter lab": []}
    commands = {"opslab learn": browser.LEARN, "jupyter lab": BARE}
    with browser.opened("about:blank") as (page, _):
        for _ in range(ROUNDS):
            for name, command in commands.items():
                rows[name].append(once(page, command))
    medians = {}
    for name, times in rows.items():
        answered, done = (statistics.median(column) for column in zip(*times, strict=True))
        medians[name] = done
        each = ", ".join(f"{second:.1f}" for _, second in times)
        print(f"{name:13} answers after {answered:4.1f} s, first cell done after {done:4.1f} s (median of {each})")
    ratio = medians["opslab learn"] / medians["jupyter lab"]
    print(f"ratio {ratio:.2f}, at most {LIMIT}: {'holds' if ratio <= LIMIT else 'DOES NOT HOLD'}")
    return 0 if ratio <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
