"""Starting the course: JupyterLab with the learner's profile, and the bash of a module's world.

    opslab learn                    JupyterLab, first lesson and a terminal side by side, until Ctrl-C
    opslab shell 01                 the bash of module 01's workspace, outside JupyterLab

The JupyterLab that `learn` starts reads and writes nothing of the learner's own: its HOME, settings, kernels' history and
logs live in `.opslab/` of the course, its fixed settings in `opslab/lab_profile/`. It listens on 127.0.0.1 only.

This module is also what a terminal in JupyterLab runs (`python -m opslab.launch shell`), so what it imports is kept small.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from opslab import course, lab
from opslab.worlds import workspace

PROFILE = Path(__file__).parent / "lab_profile"

LAYOUT = "course"
"""The name of the JupyterLab workspace: which documents are open, and where. `lab_profile` makes it the start page."""

FIRST_LESSON = "lessons/00_start_here.ipynb"

READY_SECONDS = 90
"""How long JupyterLab may take to answer. A cold disk needs up to 30 seconds; a warm one 3."""

STOP_SECONDS = 15

KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "USER", "LOGNAME", "SHELL", "TMPDIR", "LD_LIBRARY_PATH")
KEPT += ("OPSLAB_LEARNER", "JUPYTERHUB_USER")
"""What JupyterLab gets of the caller's environment. No key, proxy or setting of Python, Jupyter or git comes along."""


class LaunchError(RuntimeError):
    """The course cannot be started. The text is one line: what was found, what was expected, what to do."""


# ---- where things are -------------------------------------------------------------------------------------------------


def course_root() -> Path:
    """The folder of the course. Raises LaunchError where this package does not lie in one."""
    root = course.root()
    if root is None:
        place = os.environ.get("OPSLAB_COURSE_ROOT") or Path(__file__).parent.parent
        raise LaunchError(
            f"Found no course at {place}: a folder with lessons/ and exercises/ is expected there. "
            "Run opslab from a clone of the course, installed by “make setup”."
        )
    return root


def state(root: Path) -> Path:
    """The folder of everything the course remembers, as an absolute path."""
    return course.state(root).absolute()


def lab_environment(root: Path, env: Mapping[str, str] | None = None) -> dict[str, str]:
    """The whole environment of JupyterLab, its kernels and terminals. env: the caller's (default: this process's)."""
    env = os.environ if env is None else env
    place = state(root)
    jupyter = place / "jupyter"
    kept = {name: env[name] for name in KEPT if name in env}
    # The course's own commands work in a cell (`!opslab check 1.2`), whether or not the environment was activated.
    kept["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
    return {
        **kept,
        "HOME": str(place / "home"),
        "JUPYTER_CONFIG_PATH": str(PROFILE),
        "JUPYTER_CONFIG_DIR": str(jupyter / "config"),
        "JUPYTER_DATA_DIR": str(jupyter / "data"),
        "JUPYTER_RUNTIME_DIR": str(jupyter / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(jupyter / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(jupyter / "layouts"),
        "IPYTHONDIR": str(jupyter / "ipython"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1,localhost",
        "OPSLAB_COURSE_ROOT": str(root),
        "OPSLAB_STATE": str(place),
    }


def find_lesson(root: Path, lesson: str | None) -> str:
    """The path of a lesson, relative to the course. lesson: its number, stem or path; None is the first one.

    Raises LaunchError, with the lessons there are, where none fits.
    """
    there = sorted(path.stem for path in (root / "lessons").glob("*.ipynb"))
    wanted = Path(FIRST_LESSON if lesson is None else lesson).name.removesuffix(".ipynb")
    number = wanted.zfill(2) if wanted.isdigit() else wanted
    for stem in there:
        if stem == wanted or stem.split("_")[0] == number:
            return f"lessons/{stem}.ipynb"
    if lesson is None and there:
        return f"lessons/{there[0]}.ipynb"
    raise LaunchError(
        f"Found no lesson {lesson or wanted!r} in {root / 'lessons'}; there are: {', '.join(there) or 'none at all'}. "
        "Name one by its number, as in “opslab learn 01”."
    )


# ---- opslab learn -----------------------------------------------------------------------------------------------------


def learn(port: int = 0, browser: bool = True, lesson: str | None = None) -> int:
    """Start JupyterLab on the course and stay until it ends, or until Ctrl-C ends it. Returns the exit code.

    port: on 127.0.0.1; 0 takes a free one. browser: open the address in the default browser, too.
    lesson: the one to open beside what was open last time (default at the first start: 00).
    """
    try:
        root = course_root()
        opened = find_lesson(root, lesson)
        _check_jupyterlab()
        _make_folders(root)
        with _only_one(root) as alone:
            info = _running(root, wait=0 if alone else READY_SECONDS)
            if info:
                _say(f"The course is already running. It is open at\n\n    {_address(info, lesson and opened)}\n")
                if browser:
                    _open_browser(_address(info, lesson and opened))
                return 0
            if not alone:
                raise LaunchError("Another “opslab learn” holds this course but does not answer. End it and try again.")
            _check_port(port)
            return _serve(root, port, browser, opened, named=lesson is not None)
    except (LaunchError, OSError) as error:
        print(f"opslab learn: {error}", file=sys.stderr)
        return 1


def _serve(root: Path, port: int, browser: bool, opened: str, named: bool) -> int:
    """Run JupyterLab in the foreground. Raises LaunchError where it does not come up.

    opened: the lesson of a first start. named: whether the learner asked for it, so that it is opened at any start.
    """
    _say("Starting JupyterLab …")
    log = state(root) / "jupyter" / "lab.log"
    with _interruptible(), log.open("wb") as output:
        # A session of its own: Ctrl-C reaches this process alone, which then ends JupyterLab in good order.
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "jupyterlab", "--no-browser", f"--port={port}", "--ServerApp.port_retries=0"],
            cwd=root,
            env=lab_environment(root),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _lay_out(root, opened)  # while JupyterLab starts; it is read when the page is opened
            info = _await(process, root, log)
            address = _address(info, opened if named else None)
            _say(
                f"The course is open at\n\n    {address}\n\n"
                f"{'Your browser shows it in a moment; if not, copy' if browser else 'Copy'} this address into a browser.\n"
                "To stop, press Ctrl-C here. Your work is kept as files in this folder."
            )
            if browser:
                _open_browser(address)
            process.wait()
            _say("JupyterLab was shut down. Your work is kept; “opslab learn” brings it back.")
            return 0 if process.returncode == 0 else 1
        except KeyboardInterrupt:
            _say("\nStopping …")
            _stop(process)
            _say("Stopped. Your work is kept; “opslab learn” brings it back.")
            return 0
        finally:
            _stop(process)
            _stop_worlds(root)


def _check_jupyterlab() -> None:
    if importlib.util.find_spec("jupyterlab") is None:
        raise LaunchError(f"Found no JupyterLab in {sys.prefix}. Install the course with “make setup”.")


def _make_folders(root: Path) -> None:
    env = lab_environment(root)
    names = ("HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    names += ("JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")
    try:
        for name in names:
            Path(env[name]).mkdir(parents=True, exist_ok=True)
        # Tokens and histories are nobody else's business on a machine that several people use.
        state(root).joinpath("jupyter").chmod(0o700)
        startup = Path(env["IPYTHONDIR"]) / "profile_default" / "startup"
        startup.mkdir(parents=True, exist_ok=True)
        (startup / "00-course.py").write_text("__import__('opslab.kernel').kernel.expect_a_world()\n")
        for folder in (root / "lessons", Path(env["JUPYTER_RUNTIME_DIR"])):
            if not os.access(folder, os.W_OK):
                raise PermissionError(13, "Permission denied", str(folder))
    except OSError as error:
        raise LaunchError(
            f"Cannot write in {error.filename} ({error.strerror}). "
            "The course keeps your work in its own folder: put the clone where you may write."
        ) from error


def _check_port(port: int) -> None:
    try:
        with socket.socket() as probe:
            # As servers do: a port that was closed a minute ago is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        raise LaunchError(
            f"Cannot listen on port {port} of this machine ({getattr(error, 'strerror', None) or error}). "
            "Name another one, or leave --port out to get a free one."
        ) from error


@contextlib.contextmanager
def _only_one(root: Path) -> Iterator[bool]:
    """Whether this is the only `opslab learn` on this course. The kernel drops the lock with the process."""
    with (state(root) / "jupyter" / "learn.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True


def _running(root: Path, wait: float) -> dict[str, Any] | None:
    """What the server of this course says of itself, if one runs and answers within `wait` seconds."""
    deadline = time.monotonic() + wait
    while True:
        for file in (state(root) / "jupyter" / "runtime").glob("jpserver-*.json"):
            with contextlib.suppress(OSError, ValueError, KeyError):
                info = json.loads(file.read_text())
                if info["root_dir"] == str(root) and _answers(info):
                    return info
        if time.monotonic() >= deadline:
            return None
        time.sleep(0.1)


def _await(process: subprocess.Popen, root: Path, log: Path) -> dict[str, Any]:
    file = state(root) / "jupyter" / "runtime" / f"jpserver-{process.pid}.json"
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
            last = lines[-1].strip() if lines else "it said nothing"
            raise LaunchError(f"JupyterLab ended while it started: {last}. All it said: {log}")
        with contextlib.suppress(OSError, ValueError):
            info = json.loads(file.read_text())
            if _answers(info):
                return info
        time.sleep(0.05)
    raise LaunchError(f"JupyterLab did not answer within {READY_SECONDS} seconds. What it said: {log}")


def _answers(info: Mapping[str, Any]) -> bool:
    """Whether the server that wrote `info` is there and knows its token."""
    import urllib.request

    request = urllib.request.Request(f"{info['url']}api/status", headers={"Authorization": f"token {info['token']}"})
    with contextlib.suppress(OSError):
        # Without proxies: this is always a request to this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as answer:
            return answer.status == 200
    return False


def _address(info: Mapping[str, Any], opened: str | None) -> str:
    page = f"lab/workspaces/{LAYOUT}" + (f"/tree/{opened}" if opened else "")
    return f"{info['url']}{page}?token={info['token']}"


def _lay_out(root: Path, lesson: str) -> None:
    """Write the window's layout: the lesson and a terminal beside it. A layout that is there already is the learner's."""
    # The name of the file is JupyterLab's: a slug of the layout's name and four digits of its hash.
    from jupyterlab_server.workspaces_handler import WorkspacesManager

    manager = WorkspacesManager(lab_environment(root)["JUPYTERLAB_WORKSPACES_DIR"])
    with contextlib.suppress(ValueError, KeyError, TypeError):  # a damaged one is replaced
        if manager.load(LAYOUT)["data"]:
            return
    manager.save(LAYOUT, (PROFILE / "layout.json").read_text().replace(FIRST_LESSON, lesson))


def _open_browser(address: str) -> None:
    """Open the address in the learner's own browser. Without a screen, do nothing: a text browser would take the terminal."""
    import webbrowser

    screen = sys.platform == "darwin" or {"DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME", "BROWSER"} & set(os.environ)
    if screen:
        with contextlib.suppress(webbrowser.Error):
            webbrowser.open(address)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let a closed terminal and a polite `kill` end this process as Ctrl-C does."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(process: subprocess.Popen) -> None:
    """End JupyterLab: politely, so that it ends its kernels and terminals; by force where that takes too long."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        # Kernels notice that their parent is gone and end; terminals are hung up.
        process.kill()
        process.wait()


def _stop_worlds(root: Path) -> None:
    """End the lab servers that notebooks and terminals of this course have started. They keep nothing in memory."""
    for number in course.TOPICS:
        for home in (course.assignment_workspace(number, root), course.lesson_workspace(number, root)):
            with contextlib.suppress(lab.LabError):
                lab.stop(home.absolute())


def _say(text: str) -> None:
    print(text, flush=True)


# ---- opslab shell -----------------------------------------------------------------------------------------------------


def shell(number: str | None = None, lesson: bool = False) -> int:
    """Become an interactive bash in a module's workspace, with that world's environment. Returns only where it cannot.

    number: of the module, '01'; None is the one opened last, else 01. lesson: the lesson's desk, not the assignment's.
    It runs outside the jail: it is the learner's own machine, and their own work.
    """
    try:
        root = course_root()
        home, remarks = _home(root, number, lesson)
        if os.environ.get("OPSLAB_WORLD") == str(home) and "SHLVL" in os.environ and sys.stdin.isatty():
            _say(f"You are at this desk already: {_title(home)}. A new .bashrc is read by: exec bash")
            return 0
        env = shell_environment(home)
        bash = shutil.which("bash", path=env["PATH"])
        if bash is None:
            raise LaunchError("Found no bash on this machine. “opslab doctor” says how to get it.")
        os.chdir(home)
    except (LaunchError, LookupError, lab.LabError) as error:
        print(f"opslab shell: {error.args[0]}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"opslab shell: cannot use {error.filename} ({error.strerror}).", file=sys.stderr)
        return 1
    shown = home.relative_to(root) if home.is_relative_to(root) else home
    # Short, because a terminal beside a notebook is narrow.
    _say("\n".join([f"{_title(home)}: ~ is {shown}", *remarks]))
    rc = [] if (home / ".bashrc").exists() else ["--rcfile", str(PROFILE / "bashrc")]
    os.execve(bash, ["bash", *rc, "-i"], env)


def shell_environment(home: Path) -> dict[str, str]:
    """The environment of `opslab shell`: the world's, and what the real terminal and the course's commands need."""
    passed = {name: os.environ[name] for name in ("TERM", "COLORTERM") if os.environ.get(name)}
    # TMPDIR: a lab server is found there. Elsewhere a second one would be started for the same desk.
    kept = ("TMPDIR", "OPSLAB_COURSE_ROOT", "OPSLAB_STATE", "OPSLAB_LEARNER", "JUPYTERHUB_USER")
    passed |= {name: os.environ[name] for name in kept if name in os.environ}
    return workspace.environment(home, passed)


def _home(root: Path, number: str | None, lesson: bool = False) -> tuple[Path, list[str]]:
    """The workspace to go to, and what its user should know. Raises LaunchError.

    A module's assignment workspace is made where it is missing, and what belongs to it is started where it does not run.
    """
    stem = course.stem_of("01" if number is None else number)
    home: Path | None = None
    if lesson or (number is not None and stem[:2] in course.LESSON_ONLY):
        home = course.lesson_workspace(stem, root)
        if not (home / workspace.NOTE).is_file():
            raise LaunchError(
                f"The desk of lesson {stem[:2]} is made by the first cell of lessons/{stem}.ipynb: run that first."
            )
    elif number is None:
        with contextlib.suppress(OSError, ValueError):
            current = Path((state(root) / "current").read_text().strip())
            home = current if current.is_absolute() and current.is_dir() else None
    missing = False
    if home is None:
        home = course.assignment_workspace(stem, root)
        missing = not (home / workspace.NOTE).is_file()
    known = workspace.note(home)
    if not missing and "aws_port" not in known:
        return home, []
    return home, lab.prepare(home, str(known.get("module") or stem))["remarks"]


def _title(home: Path) -> str:
    module = str(workspace.note(home).get("module", ""))
    return f"Module {module[:2]}" if module else "Workspace"


if __name__ == "__main__":  # what a terminal in JupyterLab starts
    sys.exit(shell(*sys.argv[2:3]))
