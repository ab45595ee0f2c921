"""A course in a real browser, for tests and benchmarks: start it, open it in headless Chromium, run a notebook.

    with running(root) as course, opened(course.url) as (page, log):
        wait_until_idle(page)
        run_all(page, root / "lessons/00_start_here.ipynb")

Everything is ended when the block is left. Nothing here sleeps and hopes: each wait is for something seen on the page.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Page, TimeoutError, sync_playwright

COURSE = Path(__file__).resolve().parent.parent

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC_CHROME = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
INSTALL = (
    "found no Chromium; install it (Debian, Ubuntu: apt-get install chromium; Fedora: dnf install chromium; "
    "macOS: brew install --cask google-chrome), or set OPSLAB_NO_BROWSER=1 to leave the browser tests out"
)
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
]

MINUTE = 60_000
"""In the milliseconds that playwright counts in. The longest that anything on the page may take."""

LEARN = [str(Path(sys.executable).parent / "opslab"), "learn", "--no-browser", "--port", "0"]
"""What `make learn` runs, without opening the learner's own browser."""


class NoBrowser(RuntimeError):
    """There is no Chromium on this machine. The text says how to get one."""


def chromium() -> str:
    """The path of a Chromium or Chrome on this machine. Raises NoBrowser, with the command that installs one."""
    for name in CHROMIUM:
        if found := shutil.which(name):
            return found
    if Path(MAC_CHROME).exists():
        return MAC_CHROME
    raise NoBrowser(INSTALL)


def copy_course(target: Path) -> Path:
    """A copy of what a learner opens, without workspaces and state: a course that a test may write in."""
    ignore = shutil.ignore_patterns("workspace", ".ipynb_checkpoints")
    for name in ("lessons", "exercises"):
        shutil.copytree(COURSE / name, target / name, ignore=ignore)
    return target


@dataclass
class Course:
    """A running `opslab learn`. url: as it printed it. said: what it printed so far."""

    process: subprocess.Popen
    url: str
    said: list[str]

    def stop(self, number: int = signal.SIGINT, seconds: float = 90) -> int:
        """End it as Ctrl-C does and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=seconds)
        self.said.append(rest)
        return self.process.returncode


@contextlib.contextmanager
def running(
    root: Path, command: Sequence[str] = LEARN, env: dict[str, str] | None = None, seconds: float = 90
) -> Iterator[Course]:
    """Start a command that prints the address of its JupyterLab, on the course at `root`."""
    environment = {**os.environ, "OPSLAB_COURSE_ROOT": str(root), **(env or {})}
    environment.pop("OPSLAB_STATE", None)
    process = subprocess.Popen(
        command, env=environment, cwd=root, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said: list[str] = []
    deadline = time.monotonic() + seconds
    try:
        for line in process.stdout:  # ends with the process, which gives up by itself after its own limit
            said.append(line)
            if found := re.search(r"http://127\.0\.0\.1:\d+/\S+", line):
                yield Course(process, found[0], said)
                break
            assert time.monotonic() < deadline, "".join(said)
        else:
            raise AssertionError("no address was printed: " + "".join(said))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.communicate(timeout=90)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


@dataclass
class Log:
    """What the page did: every address it asked for, and every error it wrote to its console."""

    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def elsewhere(self) -> list[str]:
        """The requests that did not go to this machine."""
        here = ("127.0.0.1", "localhost", None)
        return [url for url in self.requests if urlsplit(url).hostname not in here]


@contextlib.contextmanager
def opened(url: str, *, width: int = 1440, height: int = 900, dark: bool = False) -> Iterator[tuple[Page, Log]]:
    """The address in a new headless Chromium with an empty profile. Requests that leave this machine are cut off."""
    with (
        tempfile.TemporaryDirectory(prefix="opslab-browser-", ignore_cleanup_errors=True) as home,
        sync_playwright() as driver,
    ):
        # Chromium keeps fonts, dconf and crash folders in HOME: not in the caller's.
        env = {**os.environ, "HOME": home, "XDG_CONFIG_HOME": home, "XDG_CACHE_HOME": home}
        browser = driver.chromium.launch(executable_path=chromium(), args=FLAGS, env=env)
        try:
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
            )
            page, log = context.new_page(), Log()
            page.set_default_timeout(MINUTE)
            context.on("request", lambda request: log.requests.append(request.url))
            page.on("websocket", lambda socket: log.requests.append(socket.url))
            page.on("console", lambda message: log.errors.append(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: log.errors.append(str(error)))
            context.route(re.compile(r"^https?://(?!127\.0\.0\.1[:/]|localhost[:/])"), lambda route: route.abort())
            page.add_init_script(LISTENER)
            page.goto(url)
            yield page, log
        finally:
            browser.close()


# ---- JupyterLab ------------------------------------------------------------------------------------------------------

NOTEBOOK = ".jp-NotebookPanel:not(.lm-mod-hidden)"
TERMINAL = ".jp-Terminal:not(.lm-mod-hidden)"


def wait_until_idle(page: Page) -> None:
    """Wait until the kernel of the notebook in front is there and idle. What is run before that is silently dropped."""
    page.wait_for_selector("#jupyterlab-splash", state="detached")
    # The page shows Idle for a moment before it is connected to the kernel: hence `kernelWasIdle`, see LISTENER.
    page.wait_for_function(
        """panel => window.kernelWasIdle && document.querySelector(panel + ' .jp-CodeCell')
            && [...document.querySelectorAll('.jp-StatusBar-TextItem')].some(item => / \\| Idle$/.test(item.innerText))""",
        arg=NOTEBOOK,
    )


LISTENER = """
const Plain = window.WebSocket;
window.WebSocket = class extends Plain {
    constructor(url, ...rest) {
        super(url, ...rest);
        if (String(url).includes('/channels')) {
            this.addEventListener('message', ({ data }) => {
                const text = typeof data === 'string' ? data : new TextDecoder().decode(data);
                window.kernelWasIdle ||= /"execution_state": ?"idle"/.test(text);
            });
        }
    }
};
"""
"""Runs before the page's own code, and notes when a kernel has said that it is idle."""


def menu(page: Page, *path: str) -> None:
    """Choose from the menu bar: menu(page, "Run", "Run All Cells")."""
    page.click(f'.lm-MenuBar-itemLabel:text-is("{path[0]}")')
    for label in path[1:]:
        page.click(f'.lm-Menu-itemLabel:text-is("{label}")')


def run_all(page: Page, path: Path, seconds: float = 120) -> None:
    """Run all cells of the notebook in front, whose file is `path`, by the menu, and wait until each has run."""
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    page.click(f'.lm-TabBar-tab:has-text("{path.name}")')
    # Without the stored outputs, a number in front of a cell can only be from this run.
    menu(page, "Edit", "Clear Outputs of All Cells")
    menu(page, "Run", "Run All Cells")
    # textContent, because what is below the fold is not laid out. A cell without code gets no number.
    numbers = """panel => [...document.querySelectorAll(panel + ' .jp-CodeCell .jp-InputArea-prompt')]
        .filter(prompt => /\\d/.test(prompt.textContent)).length"""
    wanted = sum(bool("".join(cell["source"]).strip()) for cell in cells)
    try:
        page.wait_for_function(
            f"([panel, wanted]) => ({numbers})(panel) >= wanted", arg=[NOTEBOOK, wanted], timeout=seconds * 1000
        )
    except TimeoutError:
        errors = page.locator(
            f"{NOTEBOOK} .jp-OutputArea-output[data-mime-type*=error], {NOTEBOOK} .jp-RenderedText[data-mime-type*=stderr]"
        )
        said = errors.last.text_content() if errors.count() else "no error is shown"
        raise AssertionError(
            f"{page.evaluate(numbers, NOTEBOOK)} of {wanted} cells ran within {seconds:g} seconds; {said}"
        ) from None


SCREEN_READER = {"@jupyterlab/terminal-extension/plugin": {"screenReaderMode": True}}
"""The setting with which a terminal's text can be read by `terminal_text`, as by a screen reader."""


def set_settings(root: Path, settings: dict[str, dict]) -> None:
    """Put settings where the learner's own are, for a course that is not running."""
    for plugin, values in settings.items():
        file = root / ".opslab" / "jupyter" / "settings" / f"{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))


def terminal_text(page: Page) -> str:
    """What stands on the screen of the terminal. Needs SCREEN_READER."""
    return page.inner_text(f"{TERMINAL} .xterm-accessibility-tree")


def saved(path: Path, page: Page) -> dict:
    """Save the notebook in front, whose file is `path`, and return it as it is on disk."""
    page.click(f'.lm-TabBar-tab:has-text("{path.name}")')
    page.keyboard.press("Control+s")
    page.wait_for_selector(f'.lm-TabBar-tab.jp-mod-current:not(.jp-mod-dirty):has-text("{path.name}")')
    return json.loads(path.read_text())
