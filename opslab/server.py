"""The lab server: one background process per world, which builds it, runs its checks and remembers.

It listens on a unix socket that only its own user can reach. One request is one line of JSON, `{"op": "check", "task": "1.2"}`;
the answer is any number of `{"tell": "…"}` lines while it works, and one line `{"result": …}` or `{"error": "one sentence"}`.
`opslab.lab` starts it and speaks with it; nothing else needs to.

    python -m opslab.server WORKSPACE STATE SOCKET
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import json
import os
import shutil
import sqlite3
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from types import ModuleType
from typing import Any

from opslab import checks, course, jail, quiz, wire
from opslab.worlds import shell, terraform, workspace
from opslab.worlds.aws import cloud, sides
from opslab.worlds.forge import cli as mr_in_words
from opslab.worlds.forge import commit_graph, forge, reactions
from opslab.worlds.forge.atlantis import picture
from opslab.worlds.forge.state import CLOCK, ForgeError
from opslab.worlds.images import build as builds
from opslab.worlds.images import desk
from opslab.worlds.images import picture as image_pictures
from opslab.worlds.images.references import NameProblem
from opslab.worlds.images.store import Image, ImageNotFound, StoreError
from opslab.worlds.pipeline import orchestrator

LESSON_SEED = 1
"""Lessons look the same for everybody, so that their stored outputs can be compared."""

SOLUTION_SEED = 1

BOT_SECONDS = 600
"""Whoever asks for a merge request waits so long for what bots are doing there."""

SIDES = ("staging", "production")
"""The accounts that are looked at side by side."""

LEARNER = "you"
"""The learner's user in the platform's account."""

ADMINISTRATOR = "administrator"
ADMINISTRATORS = f"*:user/{ADMINISTRATOR}"
"""What every reset of a task brings back in AWS."""

IDLE_SECONDS = 8 * 3600
GONE_SECONDS = 60
"""A server whose workspace was deleted ends so long after its last request; the next request starts another."""

Tell = wire.Tell
Refusal = wire.Refusal


class World:
    """What one server does for one workspace. Every public method is an operation; its arguments come from the request."""

    def __init__(self, home: Path, state: Path) -> None:
        self.home, self.state = home, state
        self.seen = course.fingerprint()
        self.cloud: cloud.Cloud | None = None
        self._colleagues: contextlib.ExitStack | None = None
        self._bots: list[Any] = []
        self._told: Tell | None = None  # whoever waits for the bots at this moment
        self._images: desk.Desk | None = None
        self._pipeline: Any = None

    def close(self) -> None:
        """End what this world has running."""
        self._stop_colleagues()  # first: a bot may be at work in AWS
        if self._pipeline:
            self._pipeline.close()
            self._pipeline = None
        if self._images:
            self._images.close()
            self._images = None
        if self.cloud:
            self.cloud.close()

    def _stop_colleagues(self) -> None:
        if self._colleagues:
            self._colleagues.close()
            self._colleagues, self._bots = None, []

    @contextlib.contextmanager
    def _without_colleagues(self) -> Iterator[None]:
        """Nobody else changes a repository while it is replaced; those who were at work before go on afterwards."""
        at_work = self._colleagues is not None
        self._stop_colleagues()
        try:
            yield
        finally:
            if at_work:
                self._start_colleagues()

    # -- operations

    def hello(self, tell: Tell) -> dict[str, Any]:
        return {"pid": os.getpid(), "fingerprint": self.seen, "ready": (self.home / workspace.NOTE).is_file()}

    def build(self, tell: Tell, stem: str, anew: bool = False) -> dict[str, Any]:
        """Make the workspace where it is missing. anew: take the old one away first (a lesson's, which nobody works in)."""
        made = False
        self._module(stem)
        ports = self._ports()
        if anew and self.home.exists():
            self.close()
            shutil.rmtree(self.home, ignore_errors=True)
            self._forget_hints(stem)
        if not (self.home / workspace.NOTE).is_file():
            if self.home.exists() and not self.home.is_dir():
                raise Refusal(f"{self.home} is a file; the workspace has to be a folder there. Move the file away.")
            tell("putting things on your desk")
            self.close()  # of a world that is gone
            if any(self.home.iterdir()) if self.home.is_dir() else False:
                kept = self._keep([entry.name for entry in self.home.iterdir()], "damaged")
                tell(f"the old workspace was damaged and is kept in {kept}")
            if anew:
                module = self._module(stem)
                # What lies on the desk of modules that bring no services is the same in lesson and assignment.
                workspace.build(stem, self.home, LESSON_SEED, twists={"lesson"} if module.cloud or module.forge else ())
            else:
                workspace.build(stem, self.home, self._seed())
            made = True
        self._start_services(tell, *ports)
        self._start_colleagues()
        return {"home": str(self.home), "made": made, "remarks": self._remarks(stem)}

    def check(self, tell: Tell, task: str) -> dict[str, Any]:
        self._must_be_there()
        found = self._task(task)
        if aws := self._start_services(tell):
            aws.ask("save")
        self._start_colleagues(now=True, tell=tell)
        if aws:
            aws.ask("save")
        report = checks.run(found.id, self.home, tell=tell).as_dict()
        with self._progress() as progress:
            entry = self._entry(progress, found)
            entry["tries"] += 1
            entry["best"] = max(entry["best"], report["score"])
            met = {result["id"] for result in report["results"] if result["state"] == "met"}
            entry["met"] = sorted(met.union(entry["met"] if isinstance(entry.get("met"), list) else []))
            if report["done"]:
                entry.setdefault("done", datetime.now().isoformat(timespec="seconds"))
        return report

    def hint(self, tell: Tell, task: str) -> dict[str, Any]:
        """The next hint of a task; after the last one, the last one again."""
        found = self._task(task)
        # A server that has just replaced another one must not leave the desk without AWS.
        self._start_services(tell)
        with self._progress() as progress:
            entry = self._entry(progress, found)
            entry["hints"] = min(entry["hints"] + 1, len(found.hints))
            rung = entry["hints"]
        text = found.hints[rung - 1] if found.hints else "There is no hint for this task; the lesson has all it needs."
        return {"task": found.id, "title": found.title, "rung": rung, "of": len(found.hints), "text": text}

    def reset(self, tell: Tell, what: str, stem: str) -> dict[str, Any]:
        """Bring a task ('1.2') or the whole module back to its start; what was there is kept."""
        module = self._module(stem)
        if what == module.number or what == stem:
            seed, twists = self._seed(), workspace.twists_of(self.home)
            ports = self._ports()
            self.close()
            names = [entry.name for entry in self.home.iterdir()] if self.home.is_dir() else []
            kept = self._keep(names, "reset")
            workspace.build(stem, self.home, seed, twists=twists)
            self._start_services(tell, *ports)
            self._start_colleagues()
            return {"what": f"module {module.number}", "kept": kept}
        task = self._task(what)
        self._must_be_there()
        tell("putting the start back")
        with self._without_colleagues():
            return self._reset(tell, task, module)

    def _reset(self, tell: Tell, task: checks.Task, module: checks.Module) -> dict[str, Any]:
        self.state.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="fresh-", dir=self.state, ignore_cleanup_errors=True) as folder:
            fresh = workspace.build(
                module.stem, Path(folder) / "workspace", self._seed(), twists=workspace.twists_of(self.home)
            )
            aws = self._start_cloud(tell) if task.cloud else None
            if aws:
                aws.ask("save")
            copied = [cloud.JOURNAL] if aws and (self.home / cloud.JOURNAL).stat().st_size else []
            files = [path for path in task.files if path not in task.stays]
            files += [str(one.relative_to(self.home)) for pattern in task.memory for one in self.home.glob(pattern)]
            kept = self._keep([self._in_the_way(path) or path for path in files], f"reset-{task.id}", copied)
            for path in files:
                workspace.copy_answer(fresh, self.home, path)
            for path, pattern in task.sections.items():
                workspace.copy_sections(fresh, self.home, path, pattern)
            if module.cloud:
                # Whoever has locked out the administrators, or lost their keys, must find the way back.
                workspace.copy_sections(fresh, self.home, ".aws/config", "profile *-admin")
                workspace.copy_sections(fresh, self.home, ".aws/credentials", "*-admin")
            for folder in workspace.FOLDERS:
                with contextlib.suppress(FileExistsError):
                    (self.home / folder).mkdir()
        # A folder of this task may hold files of another one, which stay.
        others = {path for other in module.tasks if other is not task for path in other.files} - set(files)
        for path in others:
            if kept and any(path.startswith(f"{folder}/") for folder in files):
                workspace.copy_answer(Path(kept), self.home, path)
        if aws:
            aws.ask("reset", without=[*task.cloud, ADMINISTRATORS])
            # What the CLI remembers of roles that it has become would outlive the reset.
            shutil.rmtree(self.home / ".aws/cli/cache", ignore_errors=True)
        if task.memory and (images := self._start_images(tell)):
            workspace.images_of(module.stem).put(images, workspace.twists_of(self.home), task=task.id)
        return {"what": f"task {task.id}", "kept": kept}

    def progress(self, tell: Tell) -> dict[str, Any]:
        with self._progress() as progress:
            return {"tasks": progress}

    def screen(self, tell: Tell, steps: list[str], width: int, height: int) -> dict[str, Any]:
        """A fresh interactive bash in this world: do the steps, give back the screen as text and as HTML."""
        self._must_be_there()
        try:
            with shell.Terminal(
                self.home, env=workspace.environment(self.home), columns=width, rows=height, **self._confinement()
            ) as terminal:
                for step in steps:
                    if step in shell.KEYS:
                        terminal.press(step, patience=4)
                    else:
                        terminal.type(step, patience=4)
                return {"text": terminal.text(), "html": _coloured(terminal)}
        except shell.NoPrompt as error:
            raise Refusal(f"bash did not come to a prompt: {error}") from None

    def placement(self, tell: Tell) -> dict[str, Any]:
        self._must_be_there()
        try:
            return {"rows": quiz.advise(self.home / quiz.ANSWERS)}
        except quiz.Unreadable as error:
            raise Refusal(str(error)) from None

    def why(self, tell: Tell) -> dict[str, Any] | None:
        """The last denial of this world's AWS organisation, explained; None where nothing was denied."""
        return self._cloud(tell).ask("why")

    def draw(self, tell: Tell, path: list[str], only: str = "") -> dict[str, str]:
        """Who can become whom in this world's AWS organisation."""
        aws = self._cloud(tell)
        module = self._module_here()
        if module.draws_after and "lesson" not in workspace.twists_of(self.home):
            task, expectation = module.draws_after
            with self._progress() as progress:
                if expectation not in progress.get(task, {}).get("met", []):
                    raise Refusal(
                        f"First on paper: the picture comes as soon as you have found the paths of task {task}. Then compare."
                    )
        return aws.ask("draw", path=path, only=only)

    def merge_request(self, tell: Tell, number: int, repository: str) -> dict[str, str]:
        """How a merge request on the forge of this world looks now, after everybody has reacted to what is new."""
        self._must_be_there()
        self._start_services(tell)
        self._start_colleagues(now=True, tell=tell)
        try:
            found = self._forge().merge_request(number, repository)
            return {"text": mr_in_words.overview(found), "html": found._repr_html_()}
        except ForgeError as error:
            raise Refusal(str(error)) from None

    def loop(self, tell: Tell, number: int, repository: str) -> dict[str, str]:
        """Where a merge request stands on its way into AWS, after everybody has reacted to what is new, as a picture."""
        self._must_be_there()
        self._start_cloud(tell)
        self._start_colleagues(now=True, tell=tell)
        if not self._bots:
            raise Refusal("Atlantis does not work in this module.")
        try:
            found = self._forge().merge_request(number, repository)
            drawing = picture.loop(found, self._bots[0].store(found.repository))
        except ForgeError as error:
            raise Refusal(str(error)) from None
        return {"text": drawing.text, "html": drawing.svg}

    def sides(self, tell: Tell, word: str) -> dict[str, str]:
        """What there is in staging and production with a word in its name, side by side, and what has changed since the start."""
        now, module = self._cloud(tell), self._module_here()
        self._start_colleagues(now=True, tell=tell)
        scenario = workspace.cloud_of(module.stem)
        ids = {name: id for name, id in importlib.import_module(scenario).ACCOUNTS.items() if name in SIDES}
        ids = {name: ids[name] for name in SIDES if name in ids}
        if len(ids) < len(SIDES):
            raise Refusal(f"There are no accounts {' and '.join(SIDES)} in this module.")

        def look(aws: cloud.Cloud) -> dict[str, list[sides.Thing]]:
            return {name: sides.things(aws.user(id, ADMINISTRATOR), word) for name, id in ids.items()}

        tell("looking at staging and production")
        seed, twists = workspace.seed_of(self.home), workspace.twists_of(self.home)
        with cloud.shared().open(scenario, seed=seed, twists=twists) as before:
            found = sides.compare(look(now), look(before), word, ids)
        return {"text": str(found), "html": found._repr_html_()}

    def commits(self, tell: Tell, folder: str) -> dict[str, str]:
        """The commits of a repository on the desk (a clone) or on the forge (group/name), as a picture."""
        self._must_be_there()
        place = self.home / folder
        if not place.is_dir():
            place = self.home / workspace.FORGE / f"{folder}.git"
        if not place.is_dir():
            raise Refusal(f"There is no folder ~/{folder}, and no repository {folder} on the forge. Clone it first?")
        try:
            drawing = commit_graph.commit_graph(place)
        except ValueError as error:
            raise Refusal(str(error)) from None
        return {"text": drawing.text, "html": drawing.svg}

    def layers(self, tell: Tell, image: str) -> dict[str, str]:
        """The layers of an image, and what its last build made anew. image: its name, or the folder that it was built from."""
        here = self._desk(tell)
        try:
            found, name = self._image(here, image)
            drawing = image_pictures.layers(here.store, name, found)
        except (StoreError, NameProblem) as error:
            raise Refusal(f"{str(error)[:1].upper()}{str(error)[1:].removesuffix('.')}.") from None
        return {"text": drawing.text, "html": drawing.svg}

    def way(self, tell: Tell, repository: str) -> dict[str, str]:
        """Which images of a repository are on the laptop, in the registries and in staging and production."""
        here, call = self._desk(tell), None
        if here.platform and (aws := self._start_cloud(tell)):
            platform = aws.user(here.platform.account, LEARNER)
            call = lambda operation, **more: platform.call("ecr", operation, **more).result
        try:
            drawing = image_pictures.way(here, repository, call)
        except (StoreError, NameProblem) as error:
            raise Refusal(f"{str(error)[:1].upper()}{str(error)[1:].removesuffix('.')}.") from None
        except LookupError as error:
            raise Refusal(error.args[0]) from None
        return {"text": drawing.text, "html": drawing.svg}

    def runs(self, tell: Tell, first: str, last: str) -> dict[str, str]:
        """The runs that the pipeline of this world has written down, as a grid."""
        self._must_be_there()
        records = importlib.import_module("opslab.worlds.pipeline.flow.records")  # only here: it brings DuckDB along
        path = self.home / "pipeline" / "runs.sqlite"
        try:
            runs = orchestrator.runs(self.home)
            steps = runs + orchestrator.of_the_last_run(runs, records.Records(path).latest() if path.is_file() else [])
        except sqlite3.Error as error:
            raise Refusal(
                f"The records of the runs cannot be read ({error}). They are ~/pipeline/runs.sqlite and ~/airflow/airflow.db: "
                "move the damaged one away, and the next run makes a new one."
            ) from None
        wanted = [step for step in steps if (first or step["day"]) <= step["day"] <= (last or step["day"])]
        if not wanted:
            raise Refusal("There are no runs of these days." if steps else "Nothing has run here yet.")
        return self._shown(self._views().run_grid(wanted))

    def rows(
        self, tell: Tell, days: list[str], columns: dict[str, list], title: str, marked: dict[str, str]
    ) -> dict[str, str]:
        """Counts over time, as lines."""
        views, pandas = self._views(), importlib.import_module("pandas")
        try:
            counts = pandas.DataFrame(columns, index=pandas.to_datetime(days), dtype="float64")
        except (ValueError, TypeError):
            raise Refusal("The index is no days. Set it: counts.set_index('day')") from None
        return self._shown(views.row_counts(counts, title, marked))

    def beside(
        self, tell: Tell, today: dict[str, float], history: dict[str, list[float]], title: str
    ) -> dict[str, str]:
        """Each measure of a day beside the range that it had on good days."""
        known = {name: [value for value in values if value is not None] for name, values in history.items()}
        values = {name: float("nan") if value is None else value for name, value in today.items()}
        return self._shown(self._views().against_band(known, values, title))

    # -- inside

    @staticmethod
    def _views() -> ModuleType:
        """`opslab.worlds.pipeline.views`, only where it is needed: pandas and matplotlib take a second."""
        return importlib.import_module("opslab.worlds.pipeline.views")

    @staticmethod
    def _shown(view: Any) -> dict[str, str]:
        return {"text": str(view), "html": view._repr_html_()}

    def _desk(self, tell: Tell) -> desk.Desk:
        self._must_be_there()
        self._start_cloud(tell)  # a registry asks it
        here = self._start_images(tell)
        if here is None:
            raise Refusal("There are no images in this module.")
        return here

    def _image(self, here: desk.Desk, asked: str) -> tuple[Image, str]:
        """An image, and what it is called in a picture. asked: its name, or the folder that it was built from."""
        folder = Path(os.path.realpath(self.home / asked.removeprefix("~/")))
        try:
            return here.store.find(asked), asked
        except (StoreError, NameProblem):
            if not folder.is_dir():
                raise
        for place in (here.engine.commands.where(str(folder), folder.name), folder):
            with contextlib.suppress(StoreError):
                found = here.store.image(builds.last_image(here.store, place))
                names = [name for name, digest in here.store.tags().items() if digest == found.digest]
                return found, f"{', '.join(names) or 'an image without a name'}, built from {asked}"
        raise ImageNotFound(f"nothing was built from {asked} yet: docker build -t NAME {asked}")

    def _remarks(self, stem: str) -> list[str]:
        """What whoever opens this world should know: a tool that this machine has not."""
        module = checks.load(stem)
        lacks = terraform.missing() if module.bots else ""
        lacks = lacks or (self._images.lacks if self._images else "")
        if module.pipeline and not lacks:
            lacks = orchestrator.missing()
        without = module.without_bots or module.without_images or module.without_airflow
        return [lacks, *([without] if without else [])] if lacks else []

    def _forge(self) -> forge.Forge:
        if not (self.home / workspace.FORGE / forge.NOTE).is_file():
            raise Refusal("There is no forge in this module.")
        return forge.Forge(self.home / workspace.FORGE)

    def _start_colleagues(self, *, now: bool = False, tell: Tell | None = None) -> None:
        """Where a forge belongs to the world, let its reviewers, pipelines and bots react to pushes from now on.

        now: also wait until they have done so for all that is new, and tell what bots are doing.
        """
        module = self._module_here()
        if module is None or not module.forge:
            return
        if "lesson" in workspace.twists_of(self.home):
            os.environ[CLOCK] = workspace.LESSON_TIME
        jobs = self._images.for_jobs if self._images else {}
        try:
            if self._colleagues is None:
                self._bots = self._make_bots(module)
                self._colleagues = contextlib.ExitStack()
                self._colleagues.enter_context(reactions.Worker(self._forge(), bots=self._bots, **jobs))
            if now:
                self._told = tell
                self._forge().react(patience=BOT_SECONDS if self._bots or jobs else 30, bots=self._bots, **jobs)
        except ForgeError as error:
            raise Refusal(f'{error} opslab.reset("{module.number}") makes a new forge.') from None
        finally:
            self._told = None

    def _make_bots(self, module: checks.Module) -> list[Any]:
        """The bots of the module. Terraform is put on the desk, too, where it is on this machine."""
        if not module.bots or self.cloud is None:
            return []
        with contextlib.suppress(terraform.TerraformMissing):
            terraform.on_desk(self.home, terraform.find())
        write = reactions.telling(self._forge())

        def said(line: str) -> None:
            write(line)
            if self._told:
                with contextlib.suppress(OSError):
                    self._told(line)

        return workspace.bots_of(module.stem, self.home, self.cloud, said)

    def _ports(self) -> tuple[int, dict[str, int], int]:
        """Where terminals know AWS, what belongs to images, and the warehouse: for `_start_services`, where the note goes away."""
        return self._port(), workspace.image_ports(self.home), workspace.warehouse_port(self.home)

    def _start_services(
        self, tell: Tell, port: int = 0, image_ports: Mapping[str, int] | None = None, warehouse_port: int = 0
    ) -> cloud.Cloud | None:
        """All that runs beside this world's files, started where it does not run. Returns its AWS organisation, None where it has none."""
        aws = self._start_cloud(tell, port)
        self._start_images(tell, image_ports)
        self._start_pipeline(tell, warehouse_port)
        return aws

    def _start_cloud(self, tell: Tell, port: int = 0) -> cloud.Cloud | None:
        """The AWS organisation of this world, started where it does not run; None where the module has none."""
        module = self._module_here()
        if module is None or not module.cloud:
            return None
        if self.cloud is None or not self.cloud.running:
            tell("starting AWS on this machine")
            if self._bots:
                self._stop_colleagues()  # they know an AWS that is gone
            port = port or self._port()
            try:
                self.cloud = cloud.shared().open(
                    workspace.cloud_of(module.stem),
                    seed=workspace.seed_of(self.home),
                    twists=workspace.twists_of(self.home),
                    port=port,
                    journal=self.home / cloud.JOURNAL,
                    record=True,
                    registries=self.home / desk.ECR if module.images else None,
                )
            except cloud.CloudError as error:
                raise Refusal(str(error)) from None
            for remark in self.cloud.remarks:
                print(f"{self.home}: {remark}", file=sys.stderr)
            if self.cloud.remarks:
                tell(f"not all that you had changed in AWS could be brought back: {self.cloud.remarks[0]}")
        workspace.add_to_note(self.home, aws_port=self.cloud.port)
        return self.cloud

    def _start_images(self, tell: Tell, ports: Mapping[str, int] | None = None) -> desk.Desk | None:
        """What this world has for images, started where it does not run; None where they are no part of the module.

        ports: where terminals know it, where the note does not say.
        """
        module = self._module_here()
        if module is None or not module.images:
            return None
        if self._images is None:
            tell("starting the package index and the registries")
            scenario = workspace.images_of(module.stem)
            self._images = scenario.open(
                self.home,
                seed=workspace.seed_of(self.home),
                cloud=lambda: self.cloud,
                ports=workspace.image_ports(self.home) or ports,
            )
            workspace.add_to_note(self.home, image_ports=self._images.ports, base_digests=self._images.base_digests)
            tell("making the images that are there at the start")
            scenario.put(self._images, workspace.twists_of(self.home))
        return self._images

    def _start_pipeline(self, tell: Tell, port: int = 0) -> Any:
        """What runs beside the pipeline of this world, started where it does not run; None where the module has none.

        port: where terminals know the warehouse, where the note does not say.
        """
        module = self._module_here()
        if module is None or not module.pipeline:
            return None
        if self._pipeline is None:
            tell("delivering the files of the last days")
            self._pipeline = workspace.pipeline_of(module.stem).open(
                self.home,
                seed=workspace.seed_of(self.home),
                cloud=lambda: self.cloud,
                port=workspace.warehouse_port(self.home) or port,
                twists=workspace.twists_of(self.home),
            )
            workspace.add_to_note(self.home, warehouse_port=self._pipeline.port)
        return self._pipeline

    def _port(self) -> int:
        """Where AWS was found here before, because terminals know it; 0: nowhere."""
        port = workspace.aws_port(self.home)
        return port if port != workspace.NOWHERE else self.cloud.port if self.cloud else 0

    def _seed(self) -> int:
        """The seed that the workspace was made from; that of the learner where it does not say."""
        if isinstance(workspace.note(self.home).get("seed"), int):
            return workspace.seed_of(self.home)
        # The solutions' own answers are those of one world.
        ours = self.home.parent.parent.name == "solutions"
        return SOLUTION_SEED if ours else course.learner_seed(self.state)

    def _module_here(self) -> checks.Module | None:
        """The module that this world belongs to; None where its note is damaged."""
        with contextlib.suppress(LookupError):
            return checks.load(str(workspace.note(self.home).get("module", "")))
        return None

    def _cloud(self, tell: Tell) -> cloud.Cloud:
        self._must_be_there()
        aws = self._start_cloud(tell)
        if aws is None:
            raise Refusal("There is no AWS organisation in this module.")
        return aws

    @staticmethod
    def _entry(progress: dict[str, Any], task: checks.Task) -> dict[str, Any]:
        """What is remembered of a task; a number that is missing or none counts as 0."""
        entry = progress.setdefault(task.id, {})
        for name in ("best", "tries", "hints"):
            if not isinstance(entry.get(name), int | float):
                entry[name] = 0
        return entry

    def _forget_hints(self, stem: str) -> None:
        """A try-out begins with its first hint again."""
        module = checks.load(stem)
        if not module.graded:
            with self._progress() as progress:
                for task in module.tasks:
                    progress.get(task.id, {})["hints"] = 0

    def _must_be_there(self) -> None:
        if not (self.home / workspace.NOTE).is_file():
            raise Refusal(
                "The workspace is not there (was it moved or deleted?). Run the first cell of the notebook again: it makes a new "
                f"one. Copies that were kept are in {self.state / 'kept'}."
            )

    def _module(self, stem: str) -> checks.Module:
        try:
            return checks.load(stem)
        except LookupError as error:
            raise Refusal(f"{error.args[0]}.") from None

    def _task(self, task: str) -> checks.Task:
        try:
            return checks.module_of(task).find(task)
        except LookupError as error:
            raise Refusal(f"{error.args[0]}.") from None

    def _confinement(self) -> dict[str, Any]:
        return {"read_only": workspace.tool_folders(), "hide": workspace.secret_folders()}

    def _in_the_way(self, path: str) -> str:
        """What the learner has put where a folder of this path has to be: a file, or a link; '' where there is no such thing."""
        for folder in reversed(Path(path).parents[:-1]):
            place = self.home / folder
            if place.is_symlink() or place.is_file():
                return str(folder)
        return ""

    def _keep(self, names: list[str], why: str, copied: Sequence[str] = ()) -> str:
        """Move files of the workspace aside; returns the folder where they are now, '' where there was nothing.

        copied: files that stay, and of which a copy is put aside.
        """
        present = [
            name for name in dict.fromkeys(names) if (self.home / name).exists() or (self.home / name).is_symlink()
        ]
        if not present and not copied:
            return ""
        stamp = datetime.now().strftime("%Y-%m-%dT%H-%M-%S")
        target = self.state / "kept" / self.home.parent.name / f"{stamp}-{why}"
        number = 1
        while target.exists():
            number += 1
            target = target.with_name(f"{stamp}-{why}-{number}")
        for name in present:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(str(self.home / name), str(target / name))
        for name in copied:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self.home / name, target / name)
        return str(target)

    @contextlib.contextmanager
    def _progress(self) -> Iterator[dict[str, Any]]:
        """What was reached so far, by task; written back on leaving. Several servers share the file, hence the lock."""
        self.state.mkdir(parents=True, exist_ok=True)
        path = self.state / "progress.json"
        with (self.state / "progress.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                known = json.loads(path.read_text())
                assert isinstance(known, dict)
                assert all(isinstance(entry, dict) for entry in known.values())
            except FileNotFoundError:
                known = {}
            except (ValueError, AssertionError):
                path.replace(path.with_name(f"progress.damaged-{time.time_ns()}.json"))
                known = {}
            before = json.dumps(known)
            yield known
            if json.dumps(known) != before:
                fresh = path.with_suffix(".new")
                fresh.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
                fresh.replace(path)


PALETTE = {
    "black": "#000000", "red": "#ff7b72", "green": "#7ee787", "brown": "#e3b341", "blue": "#79c0ff",
    "magenta": "#d2a8ff", "cyan": "#76e3ea", "white": "#e6e6e6", "default": "",
}  # fmt: skip


def _coloured(terminal: shell.Terminal) -> str:
    """The screen as HTML: one span for each run of letters in the same colours, and a block where the cursor waits."""
    screen, lines = terminal.screen, []
    rows = len(terminal.text().split("\n"))
    for y in range(rows):
        width = len(screen.display[y].rstrip())
        spans: list[tuple[str, str]] = []
        for x in range(width):
            cell = screen.buffer[y][x]
            style = _style(cell)
            if spans and spans[-1][0] == style:
                spans[-1] = (style, spans[-1][1] + cell.data)
            else:
                spans.append((style, cell.data))
        if y == screen.cursor.y and screen.cursor.x >= width:
            spans += [("", " " * (screen.cursor.x - width)), ("background:#e6e6e6", " ")]
        lines.append("".join(f'<span style="{s}">{escape(t)}</span>' if s else escape(t) for s, t in spans))
    return "\n".join(lines)


def _style(cell) -> str:
    fore, back = (cell.bg, cell.fg) if cell.reverse else (cell.fg, cell.bg)

    def colour(name: str) -> str:
        name = name.removeprefix("bright")
        return PALETTE.get(name, f"#{name}" if len(name) == 6 else "")

    parts = [f"color:{colour(fore)}"] if colour(fore) else []
    parts += [f"background:{colour(back)}"] if colour(back) else []
    parts += ["font-weight:bold"] if cell.bold else []
    return ";".join(parts)


# ---- the socket -------------------------------------------------------------------------------------------------------


class Server(wire.Server):
    """One request at a time gets to the world; whatever goes wrong there becomes one sentence."""

    def __init__(self, path: Path, world: World) -> None:
        self.world = world
        self.busy = threading.Lock()
        self.last = time.monotonic()
        self.ending = False
        super().__init__(path, self.serve)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whoever comes after "stop" is hung up on, and so starts a successor: this world is closing."""
        return not self.ending

    def shutdown_request(self, request: Any) -> None:
        """Called when a request has been answered. Only now, lest the process ends before whoever said "stop" has the answer."""
        super().shutdown_request(request)
        if self.ending:
            threading.Thread(target=self.shutdown).start()

    def serve(self, request: dict[str, Any], tell: Tell) -> Any:
        """Do what is asked. Raises Refusal with a sentence for the learner, never anything else."""
        self.last = time.monotonic()
        try:
            op = request.pop("op")
            if op == "stop":
                self.ending = True
                return {}
            if op.startswith("_") or op == "close" or not callable(getattr(World, op, None)):
                raise Refusal(f"the lab server does not know {op!r}")
            with contextlib.nullcontext() if op == "hello" else self.busy:
                return getattr(self.world, op)(tell, **request)
        except Refusal:
            raise
        except jail.JailError as error:
            raise Refusal(f"It could not be run: {error}") from None
        except cloud.CloudError as error:
            traceback.print_exc()
            raise Refusal(f"{error} Nothing is lost; try again.") from None
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            traceback.print_exc()
            raise Refusal(f"The lab server could not make sense of the request ({error}).") from None
        except OSError as error:
            traceback.print_exc()
            where = error.filename or "the workspace"
            raise Refusal(f"{error.strerror or error}: {where}. Is the disk full, or a right missing?") from None
        except Exception as error:  # noqa: BLE001  (whatever it is, the learner reads one sentence)
            traceback.print_exc()
            raise Refusal(
                f"The lab server stumbled ({type(error).__name__}: {error}). Nothing is lost; try again."
            ) from None
        finally:
            self.last = time.monotonic()


def main(home: str, state: str, path: str) -> None:
    """Serve until told to stop, until nobody has asked anything for eight hours, or until the workspace or the socket is gone."""
    os.umask(0o022)
    socket_path = Path(path)
    world = World(Path(home), Path(state))
    with contextlib.closing(world), Server(socket_path, world) as server:
        ours = socket_path.stat().st_ino

        def reachable() -> bool:
            with contextlib.suppress(OSError):
                return socket_path.stat().st_ino == ours
            return False

        def retire() -> None:
            built = False
            while time.monotonic() - server.last < IDLE_SECONDS and reachable():
                built = built or Path(home).exists()
                if built and not Path(home).exists() and time.monotonic() - server.last > GONE_SECONDS:
                    break
                time.sleep(30)
            server.shutdown()

        threading.Thread(target=retire, daemon=True).start()
        try:
            server.serve_forever(poll_interval=0.1)
        finally:
            if reachable():  # a successor may listen there already
                socket_path.unlink()


if __name__ == "__main__":
    main(*sys.argv[1:])
