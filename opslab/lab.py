"""The light side of the lab: what a notebook's kernel and the command line import. No moto, no pandas, no pexpect.

It starts the lab server of a world where none is running, asks it, and shows what comes back. Every mistake that a learner
can make comes out as one line, `LabError`, without a traceback.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from opslab import card, course, wire
from opslab.card import Card, Note, Picture, Table, for_terminal, number
from opslab.worlds import workspace


def _working_directory() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was deleted while a terminal stood in it
        return os.environ.get("PWD") or "/"


START = Path(os.environ.get("OPSLAB_START") or _working_directory())
"""Where the notebook lies: the folder that its kernel was started in, remembered before `open` goes elsewhere."""

START_SECONDS = 40
PASSED_ON = ("JPY_", "JUPYTER", "IPYTHON", "IPY", "MPL", "NBGRADER", "OPSLAB_", "PYDEVD", "COLUMNS", "LINES", "TMPDIR")


class LabError(Exception):
    """Something is not as it has to be; the text is one sentence that says what to do. Shown without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class TooMuch(LabError):
    """More was to be asked than goes into one request."""


class NotYet(LabError):
    """A check in which something is still missing. The card above it says what."""


# ---- speaking with the server -----------------------------------------------------------------------------------------


def socket_path(home: Path) -> Path:
    """Where the server of a workspace listens. Short, because the system allows only about a hundred letters."""
    folder = Path(tempfile.gettempdir()) / f"opslab-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise LabError(f"{folder} cannot be made or used ({error.strerror}). Remove it, or set TMPDIR to a folder of yours.") from None  # fmt: skip
    if folder.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise LabError(f"{folder} belongs to somebody else or is open to others; it has to be yours alone. Remove it.")
    return folder / f"{hashlib.sha1(str(home).encode()).hexdigest()[:16]}.sock"


def ask(home: Path, op: str, *, tell: Callable[[str], None] = lambda text: None, **arguments: Any) -> Any:
    """Ask the server of a workspace and wait for the answer; start it where it is not running.

    tell: called with a few words now and then while it works. Raises LabError with what the server says is wrong.
    """
    path = socket_path(home)
    for last_try in (False, True):
        if op != "hello" or last_try or not path.exists():
            _make_sure(home, path)
        try:
            return wire.exchange(path, {"op": op, **arguments}, tell)
        except wire.TooLong as refusal:
            raise TooMuch(str(refusal)) from None
        except wire.Refusal as refusal:
            raise LabError(str(refusal)) from None
        except (ConnectionError, FileNotFoundError) as error:
            if last_try:
                raise LabError(f"The lab server of {home} does not answer ({error}). Its log: {_log(home)}") from None


def _make_sure(home: Path, path: Path) -> None:
    """See to it that a server with today's code listens on `path`."""
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with contextlib.suppress(OSError):
            if wire.exchange(path, {"op": "hello"})["fingerprint"] == course.fingerprint():
                return
            wire.exchange(path, {"op": "stop"})
        path.unlink(missing_ok=True)
        state = course.state(home.parent)
        try:
            state.mkdir(parents=True, exist_ok=True)
            log = _log(home).open("ab")
        except OSError as error:
            raise LabError(f"The course cannot write into {state} ({error.strerror}). Give yourself the right, or set OPSLAB_STATE.") from None  # fmt: skip
        with log:
            process = subprocess.Popen(
                [sys.executable, "-m", "opslab.server", str(home), str(state), str(path)],
                cwd="/",
                env=_environment_of_server(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                # The lock must not live on in the server.
                close_fds=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                wire.exchange(path, {"op": "hello"})
                return
            if process.poll() is not None:
                break
            time.sleep(0.02)
        process.kill()  # a server that comes up too late would stand beside the next one
        process.wait()
        raise LabError(
            f"The lab server did not start. Try again; if it stays so, “opslab doctor” and {_log(home)} may tell why."
        )


def _environment_of_server() -> dict[str, str]:
    """What the server needs to know of this process, and nothing that belongs to the machine's user."""
    names = ("PATH", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "CONDA_PREFIX", "OPSLAB_STATE", "OPSLAB_COURSE_ROOT")
    names += ("OPSLAB_LEARNER", "JUPYTERHUB_USER")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    scripts = str(Path(sys.executable).parent)
    path = kept.get("PATH", os.defpath)
    kept["PATH"] = path if scripts in path.split(os.pathsep) else f"{scripts}{os.pathsep}{path}"
    return {**kept, "HOME": tempfile.gettempdir(), "PYTHONDONTWRITEBYTECODE": "1"}


def _log(home: Path) -> Path:
    return course.state(home.parent) / "server.log"


# ---- worlds -----------------------------------------------------------------------------------------------------------


def prepare(
    home: Path, stem: str, *, anew: bool = False, tell: Callable[[str], None] = lambda text: None
) -> dict[str, Any]:
    """Have the workspace made where it is missing, and note it as the one in use.

    Returns whether it was made now (made), and what its user should know (remarks): a tool that this machine has not.
    """
    answer = ask(home, "build", stem=stem, anew=anew, tell=tell)
    with contextlib.suppress(OSError):
        (course.state(home.parent) / "current").write_text(f"{home}\n")
    return answer


def enter(home: Path) -> None:
    """Make the workspace the world of this process: its environment and its working directory."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    os.environ.clear()
    os.environ.update({**kept, **workspace.environment(home), "OPSLAB_START": str(START)})
    os.chdir(home)
    library = str(home / workspace.LIBRARY)
    if os.environ.get("PYTHONPATH") == library and library not in sys.path:
        sys.path.insert(0, library)  # PYTHONPATH is read when Python starts, and this one runs
    _keep_what_is_overwritten()
    _say_exit_codes()


def _keep_what_is_overwritten() -> None:
    """Let %%writefile keep a copy of a file that was changed elsewhere (in an editor, by a program) before it replaces it.

    Whoever runs an old cell again would lose that work without a word.
    """
    if "IPython" not in sys.modules:
        return
    from IPython import get_ipython

    ipython = get_ipython()
    plain = ipython.find_cell_magic("writefile") if ipython else None
    if plain is None or hasattr(plain, "opslab_written"):
        return
    written: dict[Path, str] = {}

    def writefile(line: str, cell: str) -> None:
        path = Path(line.split()[-1] if line.split() else "").expanduser().absolute()
        if _is_untouched(cell):
            left = "is left as it is" if path.exists() else "is not written"
            print(f"{line.strip()} {left}: this cell still holds its starting text. Put your lines in first.")
            return
        with contextlib.suppress(OSError, UnicodeDecodeError):
            before = path.read_text() if path.is_file() and "-a" not in line.split() else None
            if before is not None and before not in (cell, written.get(path)):
                kept = _copy_aside(path)
                print(f"{line.strip()} held something else; that version is kept in {_shown(kept)}")
        plain(line, cell)
        written[path] = cell

    writefile.opslab_written = written
    ipython.register_magic_function(writefile, "cell", "writefile")


class _Aside:
    """Error output in which lines of progress (they begin with “… ”) are no alarm: a notebook shows all of it on red."""

    def __init__(self, plain: Any) -> None:
        self._plain = plain

    def write(self, text: str) -> int:
        return (sys.stdout if text.startswith("… ") else self._plain).write(text)

    def flush(self) -> None:
        sys.stdout.flush()
        self._plain.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)


def _say_exit_codes() -> None:
    """Let a %%bash cell whose last command fails say so in one line, instead of a traceback of Python's."""
    if "IPython" not in sys.modules:
        return
    from IPython import get_ipython

    ipython = get_ipython()
    plain = ipython.find_cell_magic("bash") if ipython else None
    if plain is None or hasattr(plain, "opslab_says"):
        return

    def bash(line: str, cell: str) -> None:
        try:
            with contextlib.redirect_stderr(_Aside(sys.stderr)):
                plain(line, cell)
        except subprocess.CalledProcessError as error:
            raise LabError(f"The last command ended with exit code {error.returncode}.") from None

    bash.opslab_says = True
    ipython.register_magic_function(bash, "cell", "bash")


STUB = "# your lines go here"


def _is_untouched(cell: str) -> bool:
    """Whether a cell is as it was handed out. Running all cells must not put starting texts over finished work."""
    others = [line.strip() for line in cell.splitlines() if line.strip() and line.strip() != STUB]
    return STUB in cell and all(line.startswith("#") or line.endswith(":") for line in others)


def _copy_aside(path: Path) -> Path:
    home = Path(os.environ["OPSLAB_WORLD"])
    folder = course.state(home.parent) / "kept" / home.parent.name / time.strftime("%Y-%m-%dT%H-%M-%S-overwritten")
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy2(path, folder / path.name))


def here(task_or_module: str = "") -> Path:
    """The workspace that is meant: the world this process is in, or else the assignment's.

    Raises LabError where that world has not been made, or belongs to another module.
    """
    named = os.environ.get("OPSLAB_WORLD")
    wanted = _stem(task_or_module) if task_or_module else ""
    if named:
        home = Path(named)
        stem = _stem_of_world(home)
        if not wanted or not stem or stem == wanted:
            return home
    if not wanted:
        raise LabError('No world is open here. The first cell of the notebook opens one: opslab.open("01")')
    home = course.assignment_workspace(wanted, START)
    if not (home / workspace.NOTE).is_file():
        raise LabError(f'The world of module {wanted[:2]} is not open. Run this first: opslab.open("{wanted[:2]}")')
    return home


def _stem(task_or_module: str) -> str:
    text = str(task_or_module)
    try:
        return course.stem_of(course.number_of(text) if "." in text else text)
    except LookupError as error:
        raise LabError(f"{error.args[0]}.") from None


def _task(task: str) -> str:
    """The id of a task as text. Raises LabError where it has not the form of one."""
    if task == "":
        raise LabError('Which task? Name it, like this: opslab.check("1.2"). “opslab tasks” in a terminal lists them.')
    try:
        course.number_of(str(task))
    except LookupError as error:
        raise LabError(f"{error.args[0]}.") from None
    return str(task)


def _stem_of_world(home: Path) -> str:
    return str(workspace.note(home).get("module", ""))


# ---- what a notebook calls --------------------------------------------------------------------------------------------


def _show(thing: Any) -> None:
    """Show a card: as HTML in a notebook, as text elsewhere."""
    if "IPython" in sys.modules:
        from IPython import get_ipython
        from IPython.display import display

        if get_ipython() is not None:
            display(thing)
            return
    print(for_terminal(str(thing), shutil.get_terminal_size().columns if sys.stdout.isatty() else None))


class _Telling:
    """Shows what is being done on one line that is overwritten, and takes it away at the end."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.shown = None
        self.live = sys.stderr.isatty() and "ipykernel" not in sys.modules
        self.notebook = "ipykernel" in sys.modules and not os.environ.get("NBGRADER_EXECUTION")

    def __call__(self, text: str) -> None:
        # What is over in a moment needs no line about it.
        if time.monotonic() - self.started < 0.7:
            return
        if self.live:
            print(f"\r\033[K… {text}", end="", file=sys.stderr, flush=True)
            self.shown = True
        elif self.notebook:
            from IPython.display import clear_output

            clear_output(wait=True)
            print(f"… {text}")
            self.shown = True

    def done(self) -> None:
        if self.shown and self.live:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
        elif self.shown:
            from IPython.display import clear_output

            clear_output(wait=True)


@contextlib.contextmanager
def _telling():
    telling = _Telling()
    try:
        yield telling
    finally:
        telling.done()


def open(number: str | int) -> None:
    """Open the world of a module's assignment and go there: files, HOME, PATH and everything else are those of the world.

    number: '01'. The workspace is made where it is missing; what is in it stays as it is. Raises LabError.
    """
    stem = _stem(str(number))
    home = course.assignment_workspace(stem, START)
    with _telling() as tell:
        answer = prepare(home, stem, tell=tell)
    enter(home)
    first = "Your desk is ready." if answer["made"] else "Your desk is as you left it."
    _show(
        Note(
            f"Module {stem[:2]}: {first}",
            f"~ is now the folder {_shown(home)}. Cells that begin with %%bash, and the terminal, work there.",
            f"In a terminal, this brings you to the same desk: opslab shell {stem[:2]}",
            *answer["remarks"],
            kind="open" if answer["remarks"] else "done",
        )
    )


def lesson(number: str | int) -> None:
    """Open the world of a lesson and go there. It is made anew each time, so nothing can be broken. Raises LabError."""
    stem = _stem(str(number))
    home = course.lesson_workspace(stem, START)
    with _telling() as tell:
        answer = prepare(home, stem, anew=True, tell=tell)
    enter(home)
    _show(
        Note(
            f"Lesson {stem[:2]}: a fresh desk.",
            "Break what you like. Run this cell again and all is as before.",
            f"In a terminal, this brings you to the same desk: opslab shell {stem[:2]} --lesson",
            *answer["remarks"],
            kind="open" if answer["remarks"] else "done",
        )
    )


def _shown(path: Path) -> str:
    top = course.root(START)
    with contextlib.suppress(ValueError):
        return str(path.relative_to(top or START))
    return str(path)


def check(task: str = "") -> None:
    """Check a task ('1.2') and show the card. Raises NotYet, one line long, where points are missing."""
    home = here(_task(task))
    with _telling() as tell:
        report = ask(home, "check", task=str(task), tell=tell)
    _show(Card(report))
    if not report["done"]:
        raise NotYet(f"{report['task']}: {number(report['score'])} of {number(report['points'])} points. The card above says what is missing.")  # fmt: skip


def hint(task: str = "") -> None:
    """Show the next hint of a task ('1.2'), one rung further each time. Raises LabError."""
    given = ask(here(_task(task)), "hint", task=str(task))
    rung = f"Hint {given['rung']} of {given['of']}" if given["of"] else "No hint"
    last = ["That was the last one."] if given["rung"] == given["of"] else []
    _show(Note(f"{given['task']} · {rung}", given["text"], *last, kind="hint"))


def reset(what: str = "") -> None:
    """Bring a task ('1.2') or a module ('01') back to its start. A copy of what was there is kept. Raises LabError."""
    if what == "":
        raise LabError('Reset what? Name a task, opslab.reset("1.2"), or a module, opslab.reset("01").')
    stem = _stem(str(what))
    home = here(stem)
    with _telling() as tell:
        text = str(what) if "." in str(what) else stem[:2]
        done = ask(home, "reset", what=text, stem=stem, tell=tell)
    if os.environ.get("OPSLAB_WORLD") == str(home):
        os.chdir(home)  # the folder may be a new one under the same name
    kept = f"What was there is kept in {_shown(Path(done['kept']))}" if done["kept"] else "There was nothing to keep."
    _show(Note(f"Back at the start: {done['what']}.", kept))


def progress() -> None:
    """Show what was reached so far, task by task. Raises LabError."""
    _show(Table("Your progress", *progress_rows(course.state(START))))


def progress_rows(state: Path) -> tuple[list[dict[str, Any]], str]:
    """(a row for each graded task, a closing sentence) from what the course remembers."""
    from opslab import checks  # only here: the check modules are heavier than all the rest

    try:
        known = json.loads((state / "progress.json").read_text())
    except (OSError, ValueError):
        known = {}
    rows, score, points = [], 0.0, 0.0
    for key in sorted(course.TOPICS):
        module = checks.load(key)
        for task in module.tasks:
            entry = known.get(task.id) if isinstance(known, dict) else None
            numbers = [
                (entry or {}).get(name) if isinstance(entry, dict) else None for name in ("best", "tries", "hints")
            ]
            best, tries, hints = (value if isinstance(value, int | float) else 0 for value in numbers)
            note = "not tried yet" if not tries else f"{tries} {'try' if tries == 1 else 'tries'}"
            note += f", {hints} {'hint' if hints == 1 else 'hints'}" if hints else ""
            rows.append({"id": task.id, "title": task.title, "score": best, "points": task.points, "note": note})
            if module.graded:
                score, points = score + best, points + task.points
    if score == points:
        return rows, f"All {number(points)} points. Look back at the first task: that was you, not long ago."
    return rows, f"{number(score)} of {number(points)} points so far. Small steps count."


def screen(*steps: str, width: int = 88, height: int = 24) -> Picture:
    """What a person sees who types `steps` into a new terminal of this world.

    Keys stand in angle brackets: screen("git chec<TAB>"), screen("cd projects/marts<ENTER>"). There are <TAB>, <ENTER>,
    <UP>, <DOWN>, <CTRL-C>, <CTRL-L>, <CTRL-R>. Raises LabError.
    """
    pieces = [piece for step in steps for piece in re.split(r"<([A-Z-]+)>", step)]
    home = here()
    shown = ask(home, "screen", steps=[piece for piece in pieces if piece], width=width, height=height)
    return card.screen(shown["text"], shown["html"])


def placement() -> None:
    """Read the answers to the placement quiz and show where to start, topic by topic. Raises LabError."""
    rows = ask(here(), "placement")["rows"]
    lines = [f"{row['module']} {row['topic']}: {row['right']} of {row['of']}. {row['advice']}" for row in rows]
    lines += [f"Question {slip['number']}: {slip['why']}" for row in rows for slip in row["slips"]]
    _show(Note("Where to start", *lines))


def why() -> None:
    """Explain the last denial in this world's AWS: which layer decided, which statement, what was missing. Raises LabError.

    Read AWS's own message first: at work there is no such button.
    """
    with _telling() as tell:
        found = ask(here(), "why", tell=tell)
    if found is None:
        raise LabError("Nothing was denied here since AWS was started. Run the command that fails, then ask again.")
    # No formulas: a policy may hold a ${variable}.
    _show(Picture(found["text"], f'<div class="{card.PLAIN}">{found["html"]}</div>'))


def draw(*path: str, only: str = "") -> Picture:
    """The picture of who can become whom in this world's AWS, from its live policies.

    path: users and roles, one after the other, whose arrows are highlighted: draw("platform/ana", "staging/reader").
    only: leave out everybody whose ARN does not contain this: draw(only="/warehouse/"). Raises LabError.
    """
    with _telling() as tell:
        found = ask(here(), "draw", path=list(path), only=only, tell=tell)
    return Picture(found["text"], found["svg"])


def _picture(op: str, *, less: str = "", **arguments: Any) -> Picture:
    """What the server of this world draws; raises LabError. less: how to come to less, where it is too much to be sent."""
    try:
        with _telling() as tell:
            found = ask(here(), op, tell=tell, **arguments)
    except TooMuch as error:
        raise LabError(f"{error} {less}".strip()) from None
    return Picture(found["text"], found["html"])


def merge_request(number: int, repository: str = "") -> Picture:
    """How a merge request on the forge looks: title, discussion, changes. repository: its name, where there are several.

    Raises LabError.
    """
    return _picture("merge_request", number=number, repository=repository)


def loop(number: int, repository: str = "") -> Picture:
    """Where a merge request stands on its way from a branch into AWS, as a picture. repository: its name, where there are several.

    Raises LabError.
    """
    return _picture("loop", number=number, repository=repository)


def sides(word: str) -> Picture:
    """What there is in staging and production with `word` in its name, side by side, and what has changed since the start.

    Raises LabError.
    """
    return _picture("sides", word=word)


def layers(image: str) -> Picture:
    """The layers of an image as a picture, and what its last build made anew, and why.

    image: its name ("data/fees"), or the folder of the desk that it was built from ("image"). Raises LabError.
    """
    return _picture("layers", image=image)


def way(repository: str) -> Picture:
    """The way of images from the laptop into production as a picture: which are where, and what runs. repository: "data/loader".

    Raises LabError.
    """
    return _picture("way", repository=repository)


def runs(first: str = "", last: str = "") -> Picture:
    """The runs of the pipeline as a grid: days from left to right, steps from top to bottom, with the rows that came out.

    first, last: the days to show, such as "2026-11-16"; by default all. Raises LabError.
    """
    return _picture("runs", first=str(first), last=str(last))


def rows(counts: Any, title: str = "Rows a day", marked: dict[str, str] | None = None) -> Picture:
    """Counts over time as lines, weekends in grey.

    counts: a DataFrame or Series with a row for each day (the days are its index). marked: a word at a day,
    {"2026-11-16": "0 rows"}. Raises LabError.
    """
    table = counts.to_frame() if hasattr(counts, "to_frame") else counts
    try:
        days = [str(day)[:10] for day in table.index]
        columns = {str(name): [_value(value) for value in table[name]] for name in table.columns}
    except (AttributeError, TypeError, ValueError):
        raise LabError("opslab.rows() draws a DataFrame or Series of numbers whose index are days.") from None
    less = f"opslab.rows() draws a row for each day, and these are {len(days):,} rows: group them first, counts.groupby('day').sum()."
    return _picture("rows", less=less, days=days, columns=columns, title=title, marked=marked or {})


def beside(today: Any, past: Any, title: str = "A day beside the days before") -> Picture:
    """Each measure of a day beside the range that it had on days that were good.

    today: a dictionary of numbers. past: a DataFrame with a row for each good day, and columns of the same names.
    Raises LabError.
    """
    try:
        values = {str(name): _value(value) for name, value in dict(today).items()}
        history = {name: [_value(value) for value in past[name]] for name in values if name in past}
    except (AttributeError, TypeError, ValueError):
        raise LabError("opslab.beside(today, past) wants a dictionary of numbers, and a DataFrame of such numbers.") from None  # fmt: skip
    if not history:
        raise LabError("None of the measures of today has a column in past, so there is nothing to compare.")
    rows = max(map(len, history.values()))
    less = f"opslab.beside(today, past) wants a row for each good day in past, and there are {rows:,} rows: measure day by day first."
    return _picture("beside", less=less, today=values, history=history, title=title)


def _value(value: Any) -> float | None:
    """A number as JSON can have it; None where there is none."""
    number = float(value)
    return number if abs(number) < float("inf") else None  # not a number is no smaller than anything, either


def commits(folder: str) -> Picture:
    """The commits of a repository as a picture: a folder of the desk ("work/marts"), or one of the forge ("analytics/marts").

    Raises LabError.
    """
    found = ask(here(), "commits", folder=folder)
    return Picture(found["text"], found["html"])


def stop(home: Path) -> bool:
    """Stop the server of a workspace. Returns whether one was running."""
    try:
        wire.exchange(socket_path(home), {"op": "stop"})
    except OSError:
        return False
    return True
