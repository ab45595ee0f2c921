"""What a right answer does, said point by point, and how an answer is asked.

A check module (`opslab/checks/shell_setup.py` …) declares a `Module`, its tasks, and for each task a list of
expectations. An expectation is a small function that looks at the learner's world and returns, or raises `Miss` with what
was tried, what came back, what was expected and what to do about it:

    module = Module("01", "shell_setup", "Shell setup")
    late = module.task("1.2", "Which partner feed is late?", hints=[…], files=["bin/late_feeds.sh"])

    @late.expects("prints every late partner with its count", points=1, needs="script")
    def counts(trial):
        done = trial.run(["bash", "bin/late_feeds.sh", "day.log"])
        if done.out.split() != […]:
            raise Miss("The counts differ.", tried="late_feeds.sh day.log", got=done.out, wanted="…", name="no-sort")

`run` asks all expectations of a task and gives a `Report`. `grade` asks them again in worlds that the learner has not
seen; a point is earned only where it holds in all of them.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import signal
import tempfile
import threading
import time
import tomllib
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from opslab import jail
from opslab.course import TOPICS, number_of, stem_of
from opslab.worlds import shell, workspace
from opslab.worlds.aws import cloud
from opslab.worlds.images import desk
from opslab.worlds.images.registry import ecr
from opslab.worlds.images.registry import store as registry_files

__all__ = ["TOPICS", "Miss", "Module", "Report", "Result", "Task", "Trial", "grade", "load", "module_of", "run"]

READ_LIMIT = 1024 * 1024
LINE_LIMIT = 20_000
"""Bytes: no answer file, and no line of one, is longer. A longer one is refused by name instead of being read."""

LOOK_SECONDS = 600
"""To look at what was handed in, for one expectation, may take so long: the slowest one on a slow machine takes a fifth of it."""


class Miss(Exception):
    """An expectation that does not hold, in words for the learner.

    say: one or two sentences: what is wrong and what to do next.
    tried, got, wanted: what the check did, what came back, what a right answer gives. Plain text, may have several lines.
    name: the misconception behind it, where it is a known one (`no-sort-before-uniq`).
    """

    def __init__(self, say: str, *, tried: str = "", got: str = "", wanted: str = "", name: str = "") -> None:
        super().__init__(say)
        self.say, self.tried, self.got, self.wanted, self.name = say, tried, got, wanted, name


@dataclass(frozen=True)
class Expectation:
    """One thing that has to hold. needs: the ids of those without which it makes no sense to ask."""

    id: str
    title: str
    points: float
    needs: tuple[str, ...]
    function: Callable[[Trial], None]


@dataclass
class Task:
    """One numbered task.

    files: the paths in the workspace that are its answer; a reset brings them back to the start.
    cloud: patterns of ARNs (`arn:aws:iam::*:role/loader`): what a reset brings back to the start in the AWS organisation.
    sections: of files with [sections] that other tasks write to as well, the pattern of the sections that a reset brings back
        (`{".aws/config": "profile case-*"}`).
    stays: those of `files` that a reset leaves as they are: notes about a world that is to be put back under them.
    memory: what services remember of it, and what lies there to be tried with, as patterns of paths: no part of the answer. A
        reset brings it back to the start, too.
    uses: what an answer may lean on besides, as patterns (`.[!.]*`): it goes along when the answer is tried elsewhere.
    alone: whether an answer is tried without anything that runs beside the desk, which is quicker.
    """

    id: str
    title: str
    hints: Sequence[str]
    files: Sequence[str]
    uses: Sequence[str] = ()
    cloud: Sequence[str] = ()
    sections: Mapping[str, str] = field(default_factory=dict)
    stays: Sequence[str] = ()
    memory: Sequence[str] = ()
    alone: bool = False
    expectations: list[Expectation] = field(default_factory=list)

    def expects(self, title: str, *, points: float, needs: str = "") -> Callable:
        """Declare an expectation; `needs` names those (by function name) that must hold before it makes sense to ask."""

        def declare(function: Callable[[Trial], None]) -> Callable[[Trial], None]:
            self.expectations.append(Expectation(function.__name__, title, points, tuple(needs.split()), function))
            return function

        return declare

    @property
    def points(self) -> float:
        return sum(expectation.points for expectation in self.expectations)

    def with_needs(self, ids: Iterable[str]) -> list[Expectation]:
        """The expectations with these ids and all that they need, in order. Raises LookupError for an unknown id."""
        known = {expectation.id: expectation for expectation in self.expectations}
        wanted, waiting = set(), list(ids)
        while waiting:
            id = waiting.pop()
            if id not in known:
                raise LookupError(f"no expectation {id!r} in task {self.id}; there are {', '.join(known)}")
            if id not in wanted:
                wanted.add(id)
                waiting += known[id].needs
        return [expectation for expectation in self.expectations if expectation.id in wanted]


@dataclass
class Module:
    """A module: its number ('01'), topic (the stem without the number), title.

    graded: False for a mere try-out. cloud, forge: whether an AWS organisation, a git forge belongs to its world.
    bots: whether Atlantis works on that forge, and terraform lies on the desk.
    images: whether a package index, registries and what builds images belong to it.
    pipeline: whether the company's data pipeline and its warehouse belong to it.
    without_bots, without_images, without_airflow: what can be done where there is no terraform, where no image can be built,
        where there is no Airflow; in a sentence.
    draws_after: the task and the expectation that have to hold before the trust graph is drawn in the assignment's world.
    """

    number: str
    topic: str
    title: str
    graded: bool = True
    cloud: bool = False
    forge: bool = False
    bots: bool = False
    images: bool = False
    pipeline: bool = False
    without_bots: str = ""
    without_images: str = ""
    without_airflow: str = ""
    draws_after: tuple[str, str] | None = None
    tasks: list[Task] = field(default_factory=list)

    @property
    def stem(self) -> str:
        return f"{self.number}_{self.topic}"

    @property
    def points(self) -> float:
        return sum(task.points for task in self.tasks)

    @property
    def answers(self) -> list[str]:
        """The paths in a workspace that are what was handed in, of all tasks, and of the changes in the cloud."""
        files = {path.rstrip("/") for task in self.tasks for path in task.files}
        changes = {cloud.JOURNAL} if self.cloud else set()
        return sorted(files | changes | ({desk.REGISTRY, desk.ECR} if self.images else set()))

    def task(
        self,
        id: str,
        title: str,
        *,
        hints: Sequence[str],
        files: Sequence[str],
        uses: Sequence[str] = (),
        cloud: Sequence[str] = (),
        sections: Mapping[str, str] | None = None,
        stays: Sequence[str] = (),
        memory: Sequence[str] = (),
        alone: bool = False,
    ) -> Task:
        """Declare a task; tasks keep the order in which they are declared."""
        task = Task(id, title, hints, files, uses, cloud, sections or {}, stays, memory, alone)
        self.tasks.append(task)
        return task

    def find(self, id: str) -> Task:
        """The task with this id. Raises LookupError with the ids there are."""
        for task in self.tasks:
            if task.id == id:
                return task
        raise LookupError(
            f"no task {id!r} in module {self.number}; its tasks are {', '.join(t.id for t in self.tasks)}"
        )


def load(number: str | int) -> Module:
    """The module with this number. Raises LookupError with the numbers there are."""
    return importlib.import_module(f"opslab.checks.{stem_of(number)[3:]}").module


def module_of(task_id: str) -> Module:
    """The module that a task id such as '1.2' belongs to. Raises LookupError where there is no such task."""
    module = load(number_of(task_id))
    module.find(task_id)
    return module


# ---- one trial ------------------------------------------------------------------------------------------------------


class Trial:
    """What an expectation is given: the learner's workspace, scratch worlds to try answers in, and the jail.

    seed: of the learner's own world. unseen: of the data that a script is tried on. twists: names of difficulties that a
    hidden world adds; the check knows what each means.
    """

    def __init__(
        self,
        home: Path,
        module: Module,
        task: Task,
        *,
        seed: int,
        unseen: int,
        twists: frozenset[str] = frozenset(),
        graded: bool = False,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.home, self.module, self.task = home, module, task
        self.seed, self.unseen, self.twists, self.graded, self.tell = seed, unseen, twists, graded, tell
        self._memory: dict[str, Any] = {}
        self._exits = contextlib.ExitStack()

    def close(self) -> None:
        self._exits.close()

    def once(self, key: str, make: Callable[[], Any]) -> Any:
        """What `make` gives, made once per trial: a costly run that several expectations look at. A Miss is kept too."""
        if key not in self._memory:
            try:
                self._memory[key] = make()
            except Miss as miss:
                self._memory[key] = miss
        if isinstance(self._memory[key], Miss):
            raise self._memory[key]
        return self._memory[key]

    # -- reading answers

    def read(self, path: str) -> str:
        """The text of an answer file. Raises Miss where it is missing, no file, no text or too long."""
        found = self.home / path
        shown = f"~/{path}"
        tried = f"read {shown}"
        for folder in reversed(Path(path).parents[:-1]):
            if (self.home / folder).is_symlink():
                raise Miss(
                    f"~/{folder} is a link to another folder. Put the folder itself there: a link does not travel.",
                    tried=tried,
                    got=f"a link to {os.readlink(self.home / folder)}",
                    wanted="an ordinary folder",
                    name="link-out",
                )
        try:
            found.lstat()
        except PermissionError:
            raise Miss(
                f"~/{Path(path).parent} is a folder that you may not enter: it needs the right x. chmod u+rwx ~/{Path(path).parent}",
                tried=tried,
                got="permission denied",
                wanted="a folder with rwx for you",
                name="folder-closed",
            ) from None
        except OSError:
            pass  # it is missing, which is said below
        if found.is_symlink():
            raise Miss(
                f"{shown} is a link to another file. Put the file itself there: a link does not travel.",
                tried=tried,
                got=f"a link to {os.readlink(found)}",
                wanted="an ordinary file",
                name="link-out",
            )
        if found.is_dir():
            raise Miss(
                f"{shown} is a folder; a file is expected there. Move the folder away and make the file.",
                tried=tried,
                got="a folder",
                wanted="a file",
                name="folder",
            )
        if not found.exists():
            raise Miss(
                f"There is no file {shown} yet.",
                tried=tried,
                got=_nearby(self.home, path),
                wanted=f"a file {shown}",
                name="missing",
            )
        if not found.is_file():
            raise Miss(f"{shown} is not an ordinary file.", tried=tried, wanted="an ordinary file", name="special")
        size = found.stat().st_size
        if size > READ_LIMIT:
            raise Miss(
                f"{shown} has {size:,} bytes; an answer is far shorter. Was output sent into it by mistake?",
                tried=tried,
                got=f"{size:,} bytes",
                wanted=f"at most {READ_LIMIT:,} bytes",
                name="too-big",
            )
        try:
            raw = found.read_bytes()
        except PermissionError:
            raise Miss(
                f"{shown} cannot be read. Give yourself the right: chmod u+r {shown}",
                tried=tried,
                got="permission denied",
                name="unreadable",
            ) from None
        if b"\0" in raw:
            raise Miss(
                f"{shown} holds binary data, not text. Save it as plain text.",
                tried=tried,
                got=repr(raw[:40]),
                wanted="plain text",
                name="binary",
            )
        if raw.startswith(b"\xef\xbb\xbf"):
            raise Miss(
                f"{shown} begins with an invisible mark (a BOM), which some Windows editors write and bash takes for a part of the first word. Save it as UTF-8 without BOM.",
                tried=tried,
                got=repr(raw[:20]),
                wanted="text from the first byte on",
                name="bom",
            )
        if (longest := max(map(len, raw.split(b"\n")))) > LINE_LIMIT:
            raise Miss(f"{shown} has a line of {longest:,} letters, which nobody writes by hand. Was output sent into it by mistake?", tried=tried, got=repr(raw[:40]), wanted=f"lines of at most {LINE_LIMIT:,}", name="line-without-end")  # fmt: skip
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise Miss(
                f"{shown} is not UTF-8 text. Save it as UTF-8.",
                tried=tried,
                got=repr(raw[:40]),
                wanted="UTF-8 text",
                name="binary",
            ) from None

    def answers(self, path: str, keys: Iterable[str]) -> dict[str, str]:
        """An answer file of `key: value` lines as a dictionary, values stripped; empty ones are left out."""
        known = list(keys)
        found: dict[str, str] = {}
        for line in self.read(path).splitlines():
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            key, colon, value = line.partition(":")
            key = key.strip().lower().replace(" ", "_").replace("-", "_")
            if not colon or key not in known:
                raise Miss(
                    f"A line in ~/{path} is not understood. Keep the form “key: value”, with the keys that were there.",
                    tried=f"read ~/{path}", got=line.strip()[:200], wanted=", ".join(f"{k}: …" for k in known), name="form",
                )  # fmt: skip
            if value.strip():
                found[key] = value.strip()
        return found

    def form(self, path: str, keys: Iterable[str], *needed: str) -> dict[str, str]:
        """What `answers` gives, read once per trial. Raises Miss where one of the keys that are needed has no value yet."""
        found = self.once(f"form {path}", lambda: self.answers(path, keys))
        for key in needed:
            if key not in found:
                raise left_out(path, key)
        return found

    # -- trying answers

    def scratch(self, seed: int | None = None, *, twists: Iterable[str] = (), **size) -> Path:
        """A new, private copy of the module's world from `seed` (default: the unseen one), with the task's answer files in it.

        The learner's own workspace is never run in: whatever the answer does to its world, it does there.
        """
        home = self.folder() / "home"
        workspace.build(
            self.module.stem, home, self.unseen if seed is None else seed, twists={*self.twists, *twists}, **size
        )
        used = {found.relative_to(self.home) for pattern in self.task.uses for found in self.home.glob(pattern)}
        for path in sorted({*self.task.files, *map(str, used)} - {workspace.NOTE}):
            workspace.copy_answer(self.home, home, path)
        return home

    def cloud(self, *, at_start: bool = False) -> cloud.Cloud:
        """A private copy of the learner's AWS organisation; at_start: as it was before they changed anything.

        One for each trial: what a check changes there, the next expectation finds changed.
        """

        def start() -> cloud.Cloud:
            return self._exits.enter_context(
                cloud.shared().open(
                    workspace.cloud_of(self.module.stem),
                    seed=self.seed,
                    journal=None if at_start else self.home / cloud.JOURNAL,
                    registries=self._pushed() / desk.ECR if self.module.images else None,
                )
            )

        return self.once(f"cloud at_start={at_start}", start)

    def _pushed(self) -> Path:
        """A home with what the learner has pushed to registries, as far as it is sound."""

        def take() -> Path:
            home = self.folder()
            registry_files.take(self.home / desk.REGISTRY, home / desk.REGISTRY)
            ecr.take(self.home / desk.ECR, home / desk.ECR)
            return home

        return self.once("pushed", take)

    def images(self) -> desk.Desk:
        """A private copy of what the learner's desk has running for images: the registries with what was pushed to them, the
        package index and the engine as they are at the start.

        One for each trial. From inside the jail it is where the learner's own is.
        """

        def start() -> desk.Desk:
            running = self.cloud() if self.module.cloud else None
            return self._exits.enter_context(
                workspace.images_of(self.module.stem).open(
                    self._pushed(),
                    seed=self.seed,
                    cloud=lambda: running,
                    shown=workspace.image_ports(self.home),
                    theirs=workspace.base_digests(self.home),
                )
            )

        return self.once("images", start)

    def keep(self, running: Any) -> Any:
        """Enter a context manager, which is left with the trial. Gives what it gives."""
        return self._exits.enter_context(running)

    def folder(self) -> Path:
        """A new, empty folder that goes with the trial."""
        return Path(
            self._exits.enter_context(tempfile.TemporaryDirectory(prefix="opslab-", ignore_cleanup_errors=True))
        )

    def run(
        self,
        argv: Sequence[str],
        *,
        home: Path,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        limits: jail.Limits = jail.Limits(),
    ) -> jail.Done:
        """Run a command of the learner's in `home`, a scratch world, in the jail. Raises Miss where a limit ended it."""
        done = jail.run(argv, stdin=stdin, limits=limits, **self.confinement(home, env))
        if done.stopped:
            raise Miss(
                f"It was stopped: {done.stopped}. Look for a loop without an end, or a command that waits for input.",
                tried=" ".join(argv), got=shorten(done.out + done.err), wanted=f"an end within {limits.seconds:g} seconds", name="stopped",
            )  # fmt: skip
        return done

    def terminal(self, home: Path, env: Mapping[str, str] | None = None) -> shell.Terminal:
        """An interactive bash with the rc file of `home`, a scratch world, in the jail. It is closed with the trial."""
        confinement = self.confinement(home, env)
        return self._exits.enter_context(contextlib.closing(shell.Terminal(confinement.pop("home"), **confinement)))

    def confinement(self, home: Path, env: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The arguments for the jail with which a scratch world looks, to the learner's files, like their own workspace.

        Where the module has an AWS organisation, the private copy of it is the only service that is reached from inside.
        """
        there = {}
        if self.module.cloud and not self.task.alone:
            running = self.cloud()
            there["services"] = running.services
            env = {"AWS_ENDPOINT_URL": running.endpoint, **(env or {})}
        if self.module.images:
            images = self.images()
            there["services"] = {**there.get("services", {}), **images.services}
            env = {**images.env, **(env or {})}
        shown_as = self.home if self.home.is_dir() else home
        return {
            "home": home,
            "shown_as": shown_as,
            "env": workspace.environment(shown_as if jail.bubblewrap() else home, env),
            "hide": workspace.secret_folders(),
            "read_only": workspace.tool_folders(),
            "required": self.graded,
            **there,
        }


def left_out(path: str, key: str) -> Miss:
    """Why a form that is filled in but for one key cannot be judged."""
    return Miss(f"{key} is still to be said in ~/{path}.", tried=f"read ~/{path}", got=f"{key}:", wanted=f"{key}: …", name="left-out")  # fmt: skip


def printable(text: str) -> str:
    """Text as a page can hold it: a name of a file need not be UTF-8."""
    return text.encode("utf-8", "replace").decode()


def shorten(text: str, lines: int = 12, width: int = 160) -> str:
    """Text for a card: the first lines, each cut, with what was left out said."""
    all_lines = printable(text).rstrip("\n").split("\n")
    shown = [line if len(line) <= width else line[: width - 1] + "…" for line in all_lines[:lines]]
    if len(all_lines) > lines:
        shown.append(f"… and {len(all_lines) - lines:,} more lines")
    return "\n".join(shown)


def _nearby(home: Path, path: str) -> str:
    """What is there instead of a missing file: its neighbours, so that a typo in the name is seen."""
    folder = (home / path).parent
    if not folder.is_dir():
        return f"there is no folder ~/{folder.relative_to(home)} either"
    names = sorted(entry.name for entry in os.scandir(folder))[:8]
    place = "~" if folder == home else f"~/{folder.relative_to(home)}"
    return f"in {place}: {', '.join(names)}" if names else f"{place} is empty"


# ---- reports --------------------------------------------------------------------------------------------------------


@dataclass
class Result:
    """How one expectation came out. state: met, missed, waiting (another must hold first) or fault (the check broke)."""

    id: str
    title: str
    points: float
    state: str
    say: str = ""
    tried: str = ""
    got: str = ""
    wanted: str = ""
    name: str = ""


@dataclass
class Report:
    """How a task came out: plain data, so that it can cross a socket and be stored."""

    task: str
    title: str
    points: float
    results: list[Result]
    seconds: float = 0.0
    hints: int = 0

    @property
    def score(self) -> float:
        return sum(result.points for result in self.results if result.state == "met")

    @property
    def done(self) -> bool:
        return all(result.state == "met" for result in self.results)

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "score": self.score, "done": self.done}


def run(
    task_id: str,
    home: str | Path,
    *,
    seed: int | None = None,
    unseen: int | None = None,
    twists: Iterable[str] = (),
    graded: bool = False,
    only: Iterable[str] | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Report:
    """Ask every expectation of a task and report.

    home: the learner's workspace. seed: of its world (default: the one noted when it was made).
    unseen: seed of the data that scripts are tried on (default: one that follows from `seed`).
    graded: refuse to run anything where there is no full jail. tell: called with a line as long work goes on.
    only: ids of expectations: ask these and those they need, and leave the others out of the report.
    Raises LookupError for an unknown task or expectation; never for anything in the workspace.
    """
    module = module_of(task_id)
    task = module.find(task_id)
    asked = task.expectations if only is None else task.with_needs(only)
    home = Path(home)
    seed = workspace.seed_of(home) if seed is None else seed
    unseen = seed * 31 + 7 if unseen is None else unseen
    started = time.monotonic()
    results: list[Result] = []
    trial = Trial(home, module, task, seed=seed, unseen=unseen, twists=frozenset(twists), graded=graded, tell=tell)
    try:
        for expectation in asked:
            tell(expectation.title)
            results.append(_ask(expectation, trial, {r.id for r in results if r.state != "met"}))
    finally:
        trial.close()
    return Report(task.id, task.title, task.points, results, time.monotonic() - started, len(task.hints))


@contextlib.contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Raise Miss where what is done inside takes longer: somebody may have found an answer that cannot be looked at to its end.

    Works in the main thread, which alone hears signals, as that of nbgrader and of `opslab grade` is; elsewhere nothing is limited.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(*_: object) -> None:
        raise Miss("What was handed in cannot be looked at to its end. Is something in it without end, or far larger than it need be?", tried="look at it", got=f"no end after {seconds:g} seconds", wanted="an answer of ordinary size", name="without-end-to-look-at")  # fmt: skip

    began, handler = time.monotonic(), signal.signal(signal.SIGALRM, ring)
    # It rings again, should somebody on the way have caught the first one.
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds, 5)
    try:
        yield
    finally:
        left = max(left - (time.monotonic() - began), 0.1) if left else 0
        signal.setitimer(signal.ITIMER_REAL, left, interval)
        signal.signal(signal.SIGALRM, handler)


def _ask(expectation: Expectation, trial: Trial, open_ids: set[str]) -> Result:
    result = Result(expectation.id, expectation.title, expectation.points, "met")
    if open_ids.intersection(expectation.needs):
        result.state, result.say = "waiting", "Asked as soon as the points above it hold."
        return result
    try:
        with _within(LOOK_SECONDS) if trial.graded else contextlib.nullcontext():
            expectation.function(trial)
    except Miss as miss:
        result.state, result.say, result.name = "missed", printable(miss.say), miss.name
        result.tried, result.got, result.wanted = (shorten(text) for text in (miss.tried, miss.got, miss.wanted))
    except (jail.JailError, cloud.CloudError) as error:
        result.state, result.say = "fault", f"This could not be tried here: {error}"
    except Exception as error:  # noqa: BLE001  (a fault of the check must not look like one of the learner)
        traceback.print_exc()
        result.state = "fault"
        result.say = (
            f"The check itself stumbled ({type(error).__name__}: {error}). Your work is safe and not to blame; "
            "run it again, and if it stays, please report it with the output of “opslab doctor”."
        )
    return result


ELSEWHERE = "It holds with what you can see, and not in another world of the same kind. Which case does it not expect?"


class HiddenWorldsError(ValueError):
    """A hidden.toml that does not say what it should. The text says what was found and what is expected."""


def hidden_worlds(path: Path | None, task_id: str) -> list[dict[str, Any]]:
    """The worlds in a hidden.toml for a task: a list of {unseen = seed, twists = [names]}. No file: none.

    Raises HiddenWorldsError for anything else: a slip of the pen would be a hidden world less, and nobody would know.
    """
    if path is None or not path.is_file():
        return []
    expected = 'For each task it has a heading ["1.2"], with the quotes, and a line worlds = [{ unseen = 4096 }, …].'
    try:
        found = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise HiddenWorldsError(f"{path} cannot be read ({error}). {expected}") from None
    module = module_of(task_id)
    known = [task.id for task in module.tasks]
    for name, table in found.items():
        if isinstance(table, dict) and re.fullmatch(r"\d+\.\d+", name) and name not in known:
            raise HiddenWorldsError(f"{path}: module {module.number} has no task {name}; it has {', '.join(known)}.")
        worlds = table.get("worlds") if isinstance(table, dict) else None
        fits = isinstance(worlds, list) and worlds and table.keys() == {"worlds"} and all(map(_is_world, worlds))
        if name not in known or not fits:
            raise HiddenWorldsError(f"{path}: found {name} = {str(table)[:100]}. {expected}")
        if wrong := _unknown_twist(worlds, module):
            raise HiddenWorldsError(f"{path}: a world of {name} has {wrong}")
    return found.get(task_id, {}).get("worlds", [])


def in_numbers(path: Path | None, tasks: Iterable[Task]) -> str:
    """How many hidden worlds a hidden.toml has for which tasks, in words: "2 of 1.2, 1 of 1.4"; or "none"."""
    counts = {task.id: len(hidden_worlds(path, task.id)) for task in tasks}
    return ", ".join(f"{count} of {task}" for task, count in counts.items() if count) or "none"


def _is_world(world: object) -> bool:
    twists = world.get("twists", []) if isinstance(world, dict) else None
    return (
        isinstance(twists, list)
        and all(isinstance(twist, str) for twist in twists)
        and world.keys() <= {"unseen", "twists"}
        and type(world.get("unseen")) is int
    )


def _unknown_twist(worlds: list[dict[str, Any]], module: Module) -> str:
    """The first twist that the module's scenario does not know, and those that it does; "" where it knows them all."""
    twists = workspace.scenario(module.stem).TWISTS
    known = {name: what for name, what in twists.items() if name != "lesson"}  # whose desk has no tasks
    unknown = [twist for world in worlds for twist in world.get("twists", []) if twist not in known]
    if not unknown:
        return ""
    names = ", ".join(f"{name} ({what})" for name, what in known.items()) or "none: leave twists out"
    return f"the twist {unknown[0]}. Module {module.number} knows {names}."


def grade(
    task_id: str,
    home: str | Path,
    *,
    hidden: Path | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Report:
    """Like `run`, for marks: in the full jail, and again in every hidden world; a point counts where it held in all.

    What a hidden world was, and what was found there, is not in the report.
    """
    worlds = hidden_worlds(hidden, task_id)
    report = run(task_id, home, graded=True, tell=tell)
    for world in worlds:
        if not report.score:
            break
        again = run(task_id, home, unseen=world["unseen"], twists=world.get("twists", ()), graded=True, tell=tell)
        held = {result.id: result for result in again.results}
        for result in report.results:
            if result.state == "met" and held[result.id].state != "met":
                result.state, result.say = "missed", ELSEWHERE
                if held[result.id].state == "fault":  # whoever grades has to know why
                    result.state, result.say = "fault", held[result.id].say
        report.seconds += again.seconds
    return report
