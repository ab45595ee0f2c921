"""Builds an image from a Dockerfile, without an engine: every step in the jail, every layer the same bytes on every day.

    >>> done = build("workspace/loader", store, tag="loader:1.0")                           # doctest: +SKIP
    >>> print(done)                                                                         # doctest: +SKIP
    [1/4] FROM python:3-slim@sha256:5944c7dbc4dd…
    [2/4] COPY requirements.txt .          cached
    [3/4] RUN pip install --no-cache-…     cached
    [4/4] COPY . .                         0.1 s    app.py is another one
    loader:1.0 is sha256:7d0c…

A step is taken from the cache when nothing that it depends on has changed: for COPY the files, for RUN the command, its
variables and everything before it. Instructions that only say something about the image (ENV, USER, LABEL, CMD …) are no steps
and make no layers; what they say counts where a step uses it. That is how Docker's BuildKit does it.

RUN gets SOURCE_DATE_EPOCH (https://reproducible-builds.org/specs/source-date-epoch/), so that pip and useradd write one fixed
time instead of today's. What a command takes from the clock in spite of it, is another layer tomorrow.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import functools
import hashlib
import json
import posixpath
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opslab import jail
from opslab.worlds.forge.schema import Maybe, Text, shaped
from opslab.worlds.images import accounts
from opslab.worlds.images.context import Context, ContextError, matches
from opslab.worlds.images.dockerfile import (
    DockerfileError,
    Instruction,
    Stage,
    arguments,
    copied,
    expand,
    healthcheck,
    pairs,
    parse,
    quoted_words,
    secret_mount,
)
from opslab.worlds.images.layers import EPOCH, Item, LayerProblem, Node, Tree, join, printable
from opslab.worlds.images.rootfs import LIMITS, Rootfs, RootfsError, Secret
from opslab.worlds.images.store import DIGEST, Image, Layer, Store, StoreError, architecture, canonical, sha256

FORM = 1
"""To be counted up when the same instruction makes another layer than before, so that old ones are not taken from the cache."""

CREATED = "2026-01-01T00:00:00Z"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SHELL = ["/bin/sh", "-c"]
DOCKERFILE_BYTES = 256 * 1024
STEP_KEYWORDS = ("FROM", "RUN", "COPY", "WORKDIR")
OUTPUT_LINES = 25
SECONDS = 300.0
"""For all of a build. Each RUN has its own limit, but a file may have thousands of them."""

FIRST_TIME, NOT_ASKED = "not built before", "the cache was not asked"
"""Why all of a build is done."""

SECRET_NAME = re.compile(r"(?i)(^|_)(pass(word|wd|phrase)?|secret|token|api_?key|access_?key|credentials?)s?($|_)")


class BuildError(Exception):
    """A build that did not come to its end. `problems`: one sentence or more each, with the line. `steps`: how far it came."""

    def __init__(self, problems: Sequence[str], steps: Sequence[Step] = ()) -> None:
        super().__init__("\n".join(problems))
        self.problems, self.steps = list(problems), list(steps)


@dataclass
class Step:
    """What became of one instruction that can make a layer. `why`: why it was not taken from the cache. `of`: how many there are."""

    number: int
    stage: str
    line: int
    text: str
    cached: bool = False
    why: str = ""
    seconds: float = 0.0
    output: str = ""
    layer: Layer | None = None
    of: int = 0
    done: bool = False


@dataclass
class Build:
    """A build that came to its end."""

    image: Image
    name: str
    steps: list[Step]
    warnings: list[str]
    seconds: float

    @property
    def rebuilt(self) -> list[Step]:
        """The steps that had to be done; those from the cache are not among them."""
        return [step for step in self.steps if not step.cached]

    def __str__(self) -> str:
        lines = list(self.warnings)
        width = min(max(len(step.text) for step in self.steps), 60)
        for step in self.steps:
            text = step.text if len(step.text) <= 60 else f"{step.text[:59]}…"
            how = "cached" if step.cached else f"{step.seconds:.1f} s"
            lines.append(f"[{step.number}/{len(self.steps)}] {text:<{width}}  {how:<7} {step.why}".rstrip())
        return "\n".join([*lines, f"{self.name or 'the image'} is {self.image.digest}"])


def build(
    folder: str | Path,
    store: Store,
    *,
    dockerfile: str = "Dockerfile",
    tag: str = "",
    target: str = "",
    args: Mapping[str, str] | None = None,
    secrets: Mapping[str, bytes] | None = None,
    services: Mapping[int, str | Path] | None = None,
    env: Mapping[str, str] | None = None,
    limits: jail.Limits = LIMITS,
    seconds: float = SECONDS,
    cache: bool = True,
    images: Mapping[str, str] | None = None,
    say: Callable[[str], None] = lambda line: None,
    watch: Callable[[Step], None] = lambda step: None,
) -> Build:
    """Build the image of a Dockerfile in `folder` and keep it in the store, under the name `tag` if there is one.

    target: build only up to this stage. args: values for ARG. secrets: values for RUN --mount=type=secret, by id.
    services: what RUN can reach, see `jail.prepare`; nothing else is. env: variables of every RUN that are not in the image and not
    in the cache's key, such as PIP_INDEX_URL; those of the Dockerfile count more. cache=False: do every step.
    limits: of each RUN. seconds: for all of them together.
    images: names in FROM that mean another image here, to a name or digest of the store.
    say: called with a line for each step as it goes. watch: called with each step when it begins, and when it is done.

    Raises BuildError, whose text a learner understands, and jail.JailError where there is no jail.
    """
    work = _Work(
        store,
        args or {},
        secrets or {},
        services or {},
        env or {},
        limits,
        seconds,
        cache,
        images or {},
        say,
        watch,
        str(target),
    )
    try:
        return work.build(Path(folder), dockerfile, tag)
    except (DockerfileError, BuildError) as error:
        raise BuildError(error.problems, work.steps) from None
    except (ContextError, StoreError, RootfsError, LayerProblem) as error:
        raise BuildError([f"{_first_line(work.at)}{error}"], work.steps) from None


@dataclass(frozen=True)
class LastBuild:
    """What a store still knows of the build by which an image was made last.

    base: the name in FROM. kept, noted: how many layers, and lines of the history, are those of that image. steps: without output.
    """

    base: str
    kept: int
    noted: int
    steps: list[Step]


REMEMBERED = {
    "base": Text(1000),
    "kept": int,
    "noted": int,
    "steps": [
        {
            "number": int,
            "stage": Text(1000),
            "line": int,
            "text": Text(),
            "cached": bool,
            "why": Text(),
            "seconds": float,
            "layer": Maybe({"digest": DIGEST, "size": int, "diff_id": DIGEST}),
        }
    ],
}


def last_build(store: Store, digest: str) -> LastBuild | None:
    """How the image of a digest was built last; None where it was never built here, but pulled or loaded."""
    try:
        found = shaped(store.remembered(_note("build", digest)), REMEMBERED)
    except ValueError:  # no note, or one that somebody has changed
        return None
    steps = [Step(**{**one, "layer": Layer(**one["layer"]) if one["layer"] else None}) for one in found["steps"]]
    return LastBuild(found["base"], found["kept"], found["noted"], steps)


def last_image(store: Store, folder: str | Path) -> str:
    """The digest of the image that was built last from a folder; "" where none was."""
    found = (store.remembered(_note("folder", folder)) or {}).get("image")
    return found if isinstance(found, str) else ""


def _note(kind: str, about: str | Path) -> str:
    return sha256(canonical([kind, str(about)]))


def _first_line(at: Instruction | None) -> str:
    return f"line {at.line}: " if at else ""


@dataclass
class _State:
    """What a stage is made of so far."""

    base: str
    kept: int
    layers: list[Layer]
    tree: Tree
    key: str
    config: dict[str, Any]
    history: list[dict[str, Any]]
    noted: int = 0
    args: dict[str, str] = field(default_factory=dict)
    commanded: bool = False
    files: Rootfs | None = None

    @property
    def env(self) -> dict[str, str]:
        """The variables that ENV has set, here or in the base image."""
        return dict(entry.split("=", 1) for entry in self.config.get("Env", []) if "=" in entry)

    @property
    def variables(self) -> dict[str, str]:
        """What $NAME stands for: ENV counts more than ARG."""
        return {**self.args, **self.env}

    def note(self, text: str, layer: bool = False) -> None:
        """Add a line to the image's history."""
        entry: dict[str, Any] = {"created": CREATED, "created_by": text}
        self.history.append(entry if layer else {**entry, "empty_layer": True})

    def add(self, layer: Layer, key: str, store: Store) -> None:
        """Put a layer on top."""
        self.layers.append(layer)
        self.tree.apply(store.listing(layer), layer.digest)
        self.key = key


@dataclass
class _Work:
    """One build."""

    store: Store
    args: Mapping[str, str]
    secrets: Mapping[str, bytes]
    services: Mapping[int, str | Path]
    env: Mapping[str, str]
    limits: jail.Limits
    seconds: float
    use_cache: bool
    images: Mapping[str, str]
    say: Callable[[str], None]
    watch: Callable[[Step], None]
    target: str
    at: Instruction | None = None
    steps: list[Step] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    done: dict[int, _State] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    memory: list[dict[str, Any]] = field(default_factory=list)

    def build(self, folder: Path, dockerfile: str, tag: str) -> Build:
        started = time.monotonic()
        self.until = started + self.seconds
        self.context = Context(folder, dockerfile)
        self.file = parse(_text(self.context, dockerfile))
        self.last = _Last(self.store, folder, dockerfile)
        stage = self.file.stages[-1]
        if self.target:
            found = self.file.stage(self.target)
            if found is None:
                names = ", ".join(stage.name or str(stage.index) for stage in self.file.stages)
                raise BuildError([f"there is no stage {self.target} in {dockerfile}; there are {names}"])
            stage = found
        needed = self._needed(stage)
        self.total = sum(one.keyword in STEP_KEYWORDS for each in needed for one in (each.base, *each.instructions))
        self.globals = self._globals()
        with contextlib.ExitStack() as stack:
            self.stack = stack
            for each in needed:
                self.done[each.index] = self._stage(each)
        self.at = None
        state = self.done[stage.index]
        image = self._finish(state)
        if tag:
            self.store.tag(tag, image.digest)
        self.store.built(image.digest)
        self.last.save(self.memory)
        self._remember(folder, image, state)
        self._warn(state)
        return Build(image, tag, self.steps, self.warnings, time.monotonic() - started)

    # ---- stages

    def _needed(self, wanted: Stage) -> list[Stage]:
        """The stages that a stage is made of, in order. Others are not built, as in BuildKit."""
        found: dict[int, Stage] = {}
        waiting = [wanted]
        while waiting:
            stage = waiting.pop()
            if stage.index in found:
                continue
            found[stage.index] = stage
            names = [(stage.base, stage.base.body.split()[0])]
            names += [(one, one.flag("from") or "") for one in stage.instructions if one.keyword == "COPY"]
            for one, name in names:
                other = self.file.stage(name) if name and not (one is stage.base and name.isdecimal()) else None
                if other and one is not stage.base and other.index >= stage.index:
                    raise one.problem(
                        f"--from={name}: that stage comes later, or is this one; only earlier ones can be copied from."
                    )
                if other and other.index < stage.index:
                    waiting.append(other)
        return [found[index] for index in sorted(found)]

    def _globals(self) -> dict[str, str]:
        """The ARGs in front of the first FROM, which FROM can use."""
        found: dict[str, str] = {}
        for one in self.file.arguments:
            for name, default in arguments(one):
                self.used.add(name)
                if name in self.args:
                    found[name] = self.args[name]
                elif default is not None:
                    found[name] = expand(one, default, found)
        return found

    def _stage(self, stage: Stage) -> _State:
        self.at = stage.base
        name = expand(stage.base, stage.base.body.split()[0], self.globals)
        state = self._base(stage, name)
        for one in stage.instructions:
            self.at = one
            getattr(self, f"_{one.keyword.lower()}")(one, state, stage)
        if state.files:
            state.files.__exit__(None, None, None)
            state.files = None
        return state

    def _base(self, stage: Stage, name: str) -> _State:
        here = stage.base
        earlier = self.file.stage(name)
        if not name:
            raise here.problem(
                f"{here.body.split()[0]} stands for nothing: give its ARG a value, in front of the first FROM."
            )
        if earlier and earlier.index < stage.index and not name.isdecimal():
            state = self.done[earlier.index]
            state = dataclasses.replace(
                state,
                layers=list(state.layers),
                tree=state.tree.copy(),
                config=json.loads(json.dumps(state.config)),
                history=list(state.history),
                args={},
                commanded=False,
                files=None,
            )
            shown = f"FROM {name}"
        elif name == "scratch":
            state = _State("scratch", 0, [], Tree(), "scratch", {}, [])
            shown = "FROM scratch"
        else:
            try:
                image = self.store.find(self.images.get(name, name))
            except StoreError as error:
                raise here.problem(f"FROM {name}: {error}") from None
            config = {key: value for key, value in image.run_config.items() if value}
            config = json.loads(json.dumps(config))
            history = [{key: value for key, value in one.items() if value} for one in image.config["history"]]
            tree = self.store.tree(image.layers)
            state = _State(
                name, len(image.layers), list(image.layers), tree, image.digest, config, history, len(history)
            )
            shown = f"FROM {name}" if image.digest in name else f"FROM {name}@{image.digest[:19]}…"
        step = self._begin(here, stage, shown)
        inputs = {"base": state.key}
        before = self.last.inputs(self._place(stage, here))
        if name != "scratch" and before and before.get("base") != state.key:
            step.why = f"{name} is another image than last time"
        step.cached = True
        self._end(step, here, stage, inputs)
        return state

    # ---- steps

    def _place(self, stage: Stage, here: Instruction) -> list[Any]:
        """Where a step stands, for the comparison with the build before."""
        steps = [one for one in (stage.base, *stage.instructions) if one.keyword in STEP_KEYWORDS]
        return [stage.name or stage.index, next(number for number, one in enumerate(steps) if one is here)]

    def _begin(self, here: Instruction, stage: Stage, text: str) -> Step:
        step = Step(len(self.steps) + 1, stage.name or str(stage.index), here.line, text, of=self.total)
        self.steps.append(step)
        self.watch(step)
        self.began = time.monotonic()
        return step

    def _end(self, step: Step, here: Instruction, stage: Stage, inputs: Mapping[str, Any]) -> None:
        step.seconds = time.monotonic() - self.began
        self.memory.append({"place": self._place(stage, here), "text": here.text, "inputs": inputs, "line": here.line})
        how = "cached" if step.cached else f"{step.seconds:.1f} s"
        self.say(f"[{step.number}/{self.total}] {step.text}  {how}  {step.why}".rstrip())
        step.done = True
        self.watch(step)

    def _step(
        self,
        here: Instruction,
        state: _State,
        stage: Stage,
        inputs: Mapping[str, Any],
        make: Callable[[Step], Layer],
    ) -> None:
        """Do a step, or take it from the cache."""
        step = self._begin(here, stage, here.text)
        inputs = {"parent": state.key, **inputs}
        key = sha256(canonical([FORM, here.keyword, inputs]))
        layer = self._cached(key) if self.use_cache else None
        if layer:
            step.cached = True
        else:
            step.why = self._why(here, stage, inputs)
            layer = make(step)
            self.store.remember(key, {"digest": layer.digest, "size": layer.size, "diff_id": layer.diff_id})
        step.layer = layer
        state.add(layer, key, self.store)
        if state.files and layer not in state.files.layers:
            state.files.apply(layer)
        self._end(step, here, stage, inputs)

    def _cached(self, key: str) -> Layer | None:
        kept = self.store.remembered(key)
        if kept and self.store.blob(kept["digest"]).exists():
            return Layer(kept["digest"], kept["size"], kept["diff_id"])
        return None

    def _why(self, here: Instruction, stage: Stage, inputs: Mapping[str, Any]) -> str:
        if not self.use_cache:
            return NOT_ASKED
        if not self.last.steps:
            return FIRST_TIME
        if not self.last.same_text(self._place(stage, here), here.text):
            return "this instruction is new, or was changed"
        before = self.last.inputs(self._place(stage, here)) or {}
        found = _differences(before, inputs)
        if found:
            return "; ".join(found)
        if before.get("parent") != inputs["parent"]:
            changed = [
                step for step in self.steps[:-1] if step.stage == (stage.name or str(stage.index)) and not step.cached
            ]
            moved = [step for step in self.steps[:-1] if step.why and step.text.startswith("FROM")]
            first = (changed or moved or self.steps[:1])[-1 if changed else 0]
            return f"line {first.line} before it was built again" if changed else f"line {first.line}: {first.why}"
        return "its layer is no longer in the cache"

    # ---- instructions that make layers

    def _run(self, here: Instruction, state: _State, stage: Stage) -> None:
        shell = list(state.config.get("Shell") or SHELL)
        argv = list(here.words) if here.words is not None else [*shell, here.body]
        mounts = [secret_mount(here, value) for name, value in here.flags if name == "mount"]
        for mount in mounts:
            if mount.required and mount.id not in self.secrets:
                raise here.problem(
                    f"the secret {mount.id} was not given to the build, and this RUN cannot do without it."
                )
        given = {name: value for name, value in state.args.items() if name not in state.env}
        inputs = {
            "argv": argv,
            "env": state.env,
            "args": given,
            "user": state.config.get("User", ""),
            "workdir": state.config.get("WorkingDir", ""),
            "mounts": [dataclasses.asdict(mount) for mount in mounts],
        }
        self._step(here, state, stage, inputs, lambda step: self._do_run(here, state, argv, mounts, step))
        described = [f"{name}={value}" for name, value in given.items()]
        state.note(" ".join(["RUN", *([f"|{len(described)}", *described] if described else []), *argv]), layer=True)

    def _do_run(self, here: Instruction, state: _State, argv: list[str], mounts: list[Any], step: Step) -> Layer:
        left = self.until - time.monotonic()
        if left <= 0:
            raise here.problem(
                f"the build has taken {self.seconds:g} seconds, and a whole build may take no longer here."
            )
        user = accounts.find(self.store, state.layers, state.tree, state.config.get("User", ""), here)
        if state.files is None:
            state.files = self.stack.enter_context(Rootfs(self.store, state.layers, state.kept))
        env = {"PATH": PATH, "HOME": user.home, "SOURCE_DATE_EPOCH": str(EPOCH), **self.env, **state.variables}
        secrets = {}
        for mount in mounts:
            if mount.id in self.secrets and mount.target:
                target = posixpath.join(state.config.get("WorkingDir") or "/", mount.target)
                secrets[target] = Secret(self.secrets[mount.id], mount.uid, mount.gid, mount.mode)
            if mount.id in self.secrets and mount.env:
                env[mount.env] = self.secrets[mount.id].decode("utf-8", "replace")
        state.files.snapshot()
        done = state.files.run(
            argv,
            env=env,
            cwd=state.config.get("WorkingDir") or "/",
            user=(user.uid, user.gid),
            services=self.services,
            secrets=secrets,
            limits=dataclasses.replace(self.limits, seconds=min(self.limits.seconds, max(round(left, 1), 0.1))),
        )
        step.output = done.out + done.err
        if done.code or done.stopped:
            raise BuildError([_failed(here, done, state, self)])
        with state.files.changes(state.tree, (user.uid, user.gid)) as changes:
            layer = self.store.write_layer(changes.items)
            self.warnings += [f"line {here.line}: {remark}" for remark in changes.remarks]
        state.files.layers.append(layer)
        return layer

    def _copy(self, here: Instruction, state: _State, stage: Stage) -> None:
        plan = _CopyPlan(self, here, state, stage)
        items = plan.items()
        inputs = {
            "files": {
                item.path: [item.kind, item.mode, item.uid, item.gid, item.target, plan.digests.get(item.path, "")]
                for item in items
            },
            "sources": plan.sources,
        }

        self._step(here, state, stage, inputs, lambda step: self.store.write_layer(items))
        flags = [f"--{name}={value}" for name, value in here.flags]
        state.note(" ".join(["COPY", *flags, *plan.words]), layer=True)

    def _workdir(self, here: Instruction, state: _State, stage: Stage) -> None:
        folder = posixpath.normpath(
            posixpath.join(state.config.get("WorkingDir") or "/", self._word(here, here.body, state))
        )
        state.config["WorkingDir"] = folder = f"/{folder.lstrip('/')}"
        user = accounts.find(self.store, state.layers, state.tree, state.config.get("User", ""), here)
        items = _folders(here, state.tree, folder.lstrip("/"), 0o755, user.uid, user.gid)

        inputs = {"folder": folder, "owner": [user.uid, user.gid]}
        self._step(here, state, stage, inputs, lambda step: self.store.write_layer(items))
        state.note(f"WORKDIR {folder}", layer=True)

    # ---- instructions that say something about the image

    def _word(self, here: Instruction, word: str, state: _State) -> str:
        value = expand(here, word, state.variables)
        if not value:
            raise here.problem(f"{here.keyword} {word} comes to nothing: a variable in it is not set in this stage.")
        return value

    def _arg(self, here: Instruction, state: _State, stage: Stage) -> None:
        for name, default in arguments(here):
            self.used.add(name)
            if name in self.args:
                value: str | None = self.args[name]
            elif default is not None:
                value = expand(here, default, state.variables)
            else:
                value = self.globals.get(name)
            if value is not None:
                state.args[name] = value
            elif name in state.args:
                del state.args[name]
            if SECRET_NAME.search(name):
                self.warnings.append(
                    f"line {here.line}: ARG {name} looks like a secret. The values of ARG are in the history of the image, for "
                    "everybody who has it. Use RUN --mount=type=secret."
                )
            state.note(f"ARG {name}" if value is None else f"ARG {name}={value}")

    def _env(self, here: Instruction, state: _State, stage: Stage) -> None:
        variables = state.variables
        env = state.env
        for name, value in pairs(here):
            env[name] = expand(here, value, variables)
            if SECRET_NAME.search(name) and env[name]:
                self.warnings.append(
                    f"line {here.line}: ENV {name} looks like a secret. It is in the config of the image, for everybody who has "
                    "it. Give it to the container when it is run, or use RUN --mount=type=secret."
                )
        state.config["Env"] = [f"{name}={value}" for name, value in env.items()]
        state.note(f"ENV {here.body}")

    def _label(self, here: Instruction, state: _State, stage: Stage) -> None:
        labels = dict(state.config.get("Labels") or {})
        labels.update({name: expand(here, value, state.variables) for name, value in pairs(here)})
        state.config["Labels"] = labels
        state.note(f"LABEL {here.body}")

    def _user(self, here: Instruction, state: _State, stage: Stage) -> None:
        state.config["User"] = self._word(here, here.body, state)
        state.note(f"USER {state.config['User']}")

    def _expose(self, here: Instruction, state: _State, stage: Stage) -> None:
        ports = dict(state.config.get("ExposedPorts") or {})
        for word in quoted_words(here):
            port, _, kind = self._word(here, word, state).lower().partition("/")
            if not re.fullmatch(r"\d{1,5}(-\d{1,5})?", port) or kind not in ("", "tcp", "udp"):
                raise here.problem(f"{word} comes to {port[:20]!r}, which is no port.")
            first, _, last = port.partition("-")
            if not 0 < int(first) <= int(last or first) < 65536:
                raise here.problem(f"{port} is no port: they go from 1 to 65535.")
            for number in range(int(first), int(last or first) + 1):
                ports[f"{number}/{kind or 'tcp'}"] = {}
        state.config["ExposedPorts"] = ports
        state.note(f"EXPOSE {here.body}")

    def _cmd(self, here: Instruction, state: _State, stage: Stage) -> None:
        state.config["Cmd"] = self._command(here, state)
        state.commanded = True
        state.note(f"CMD {json.dumps(state.config['Cmd'])}")

    def _entrypoint(self, here: Instruction, state: _State, stage: Stage) -> None:
        state.config["Entrypoint"] = self._command(here, state)
        if not state.commanded:
            state.config.pop("Cmd", None)  # the base image's CMD was meant for its own ENTRYPOINT
        state.note(f"ENTRYPOINT {json.dumps(state.config['Entrypoint'])}")

    def _command(self, here: Instruction, state: _State) -> list[str]:
        return list(here.words) if here.words is not None else [*(state.config.get("Shell") or SHELL), here.body]

    def _healthcheck(self, here: Instruction, state: _State, stage: Stage) -> None:
        state.config["Healthcheck"] = healthcheck(here)
        state.note(f"HEALTHCHECK {here.body}")

    def _shell(self, here: Instruction, state: _State, stage: Stage) -> None:
        state.config["Shell"] = list(here.words or ())
        state.note(f"SHELL {here.body}")

    def _stopsignal(self, here: Instruction, state: _State, stage: Stage) -> None:
        state.config["StopSignal"] = self._word(here, here.body, state)
        state.note(f"STOPSIGNAL {state.config['StopSignal']}")

    # ---- the end

    def _remember(self, folder: Path, image: Image, state: _State) -> None:
        """Keep what came of each step, for whoever looks at the image later: `last_build`, `last_image`."""
        kept = {"base": state.base, "kept": state.kept, "noted": state.noted}
        steps = [dataclasses.asdict(step) for step in self.steps]
        self.store.remember(_note("build", image.digest), {**kept, "steps": [{**one, "output": ""} for one in steps]})
        self.store.remember(_note("folder", folder.absolute()), {"image": image.digest})

    def _finish(self, state: _State) -> Image:
        config = {"architecture": architecture(), "os": "linux", "created": CREATED, "history": state.history}
        return self.store.add({**config, "config": state.config}, state.layers)

    def _warn(self, state: _State) -> None:
        self.warnings += self.file.warnings
        self.warnings += [
            f"the build argument {name} was given, and no ARG uses it" for name in self.args if name not in self.used
        ]
        self.warnings += [f"{remark}" for remark in self.context.remarks]
        with contextlib.suppress(BuildError, DockerfileError):
            accounts.find(self.store, state.layers, state.tree, state.config.get("User", ""), None)
            return
        self.warnings.append(
            f"USER {state.config['User']}: the image has no such user in /etc/passwd, so it cannot be run. "
            f"RUN useradd {state.config['User']} makes one."
        )


def _text(context: Context, dockerfile: str) -> str:
    if not (context.folder / dockerfile).exists():
        near = [
            one.name
            for one in sorted(context.folder.iterdir())
            if "docker" in one.name.lower() and one.suffix != ".dockerignore"
        ]
        near = [name for name in near if name != ".dockerignore"]
        hint = f" Did you mean {near[0]}?" if near else ""
        raise BuildError([f"there is no {dockerfile} in {context.folder.name}.{hint}"])
    with context.open(dockerfile) as file:
        data = file.read(DOCKERFILE_BYTES + 1)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise BuildError([f"{dockerfile} is no text in UTF-8."]) from None


# ---- COPY -------------------------------------------------------------------------------------------------------------


def _folders(here: Instruction, tree: Tree, path: str, mode: int, uid: int, gid: int) -> list[Item]:
    """The folders that have to be made so that `path` is one."""
    items: list[Item] = []
    at = ""
    for part in path.split("/") if path else []:
        at = tree.resolve(join(at, part))
        node = tree.nodes.get(at)
        if node is None:
            items.append(Item(at, "dir", mode, uid, gid))
        elif node.kind != "dir":
            raise here.problem(f"/{at} is a file in the image, and would have to be a folder.")
    return items


class _CopyPlan:
    """What one COPY puts where. The rules are those of BuildKit, the words those of this course."""

    def __init__(self, work: _Work, here: Instruction, state: _State, stage: Stage) -> None:
        self.work, self.here, self.state = work, here, state
        self.words = [expand(here, word, state.variables) for word in copied(here)]
        self.digests: dict[str, str] = {}
        self.sources: dict[str, str] = {}
        """The files that were copied, as the Dockerfile's reader knows them, and their digests."""
        self._layers: Sequence[Layer] = ()
        name = expand(here, here.flag("from") or "", {**work.globals, **state.variables})
        self.tree = self._tree(name, stage) if name else work.context.tree
        self.owner = self._owner()
        self.mode = self._mode()

    def _tree(self, name: str, stage: Stage) -> Tree:
        other = self.work.file.stage(name)
        if other and other.index < stage.index:
            state = self.work.done[other.index]
            self._layers = state.layers
            return state.tree
        try:
            image = self.work.store.find(self.work.images.get(name, name))
        except StoreError as error:
            names = [one.name for one in self.work.file.stages[: stage.index] if one.name]
            hint = f" The stages before this line are {', '.join(names)}." if names else ""
            raise self.here.problem(f"--from={name} is no stage before this line, and {error}{hint}") from None
        self._layers = image.layers
        return self.work.store.tree(image.layers)

    def _owner(self) -> tuple[int, int] | None:
        """Who gets the files: None leaves that to the source, which for files of the folder is root."""
        if not (text := self.here.flag("chown")):
            return None
        text = expand(self.here, text, self.state.variables)
        return accounts.owner(self.work.store, self.state.layers, self.state.tree, text, self.here)

    def _mode(self) -> int | None:
        if not (text := self.here.flag("chmod")):
            return None
        if not re.fullmatch(r"[0-7]{3,4}", text):
            raise self.here.problem(f"--chmod={text}: expected three octal digits, such as 755.")
        return int(text, 8) & 0o777

    def items(self) -> list[Item]:
        *patterns, dest = self.words
        found = [path for pattern in patterns for path in self._matches(pattern)]
        image = self.state.tree
        folder = self.state.config.get("WorkingDir") or "/"
        root = image.resolve(posixpath.normpath(posixpath.join(folder, dest)).lstrip("/"))
        there = Node("dir", 0, 0, 0) if not root else image.nodes.get(root)
        into = dest.endswith(("/", "/.")) or dest == "." or bool(there and there.kind == "dir")
        if len(found) > 1 and not into:
            raise self.here.problem(
                f"{len(found)} things are copied to {dest}, which has to be a folder then. Write it with a / at the end: {dest}/"
            )
        planned: dict[str, Item] = {}
        for path in found:
            real = self.tree.resolve(path)
            node = self.tree.nodes.get(real)
            if node is None or node.kind == "dir":
                self._need_folder(planned, root)
                for inner, below in self.tree.below(real):
                    self._plan(planned, join(root, inner[len(real) :].lstrip("/")), inner, below)
            else:
                target = join(root, posixpath.basename(path)) if into else root
                if not target:
                    raise self.here.problem("a file cannot be copied over the root of the image.")
                self._need_folder(planned, posixpath.dirname(target))
                self._plan(planned, target, real, node)
        return list(planned.values())

    def _need_folder(self, planned: dict[str, Item], path: str) -> None:
        for item in _folders(
            self.here, self.state.tree, path, 0o755 if self.mode is None else self.mode, *(self.owner or (0, 0))
        ):
            planned.setdefault(item.path, item)

    def _plan(self, planned: dict[str, Item], target: str, source: str, node: Node) -> None:
        folder, _, name = target.rpartition("/")
        target = join(self.state.tree.resolve(folder), name)
        there = self.state.tree.get(target) if node.kind == "dir" else self.state.tree.nodes.get(target)
        if there and (there.kind == "dir") != (node.kind == "dir"):
            what = "a folder" if there.kind == "dir" else "a file"
            raise self.here.problem(
                f"{source} cannot be copied to /{target}: there is {what} of that name in the image."
            )
        if there and node.kind == "dir":
            return
        uid, gid = self.owner or (node.uid, node.gid)
        mode = node.mode if self.mode is None or node.kind == "link" else self.mode
        if node.kind == "file":
            self.digests[target] = self.sources[source] = self._digest(source, node)
            planned[target] = Item(target, "file", mode, uid, gid, source=self._opener(source, node), size=node.size)
        else:
            self.sources[source] = node.link or f"{mode:o}"
            planned[target] = Item(target, node.kind, mode, uid, gid, target=node.link)

    def _opener(self, path: str, node: Node) -> Callable[[], AbstractContextManager[Any]]:
        if node.layer:
            return functools.partial(self._in_layer, node)
        return functools.partial(self.work.context.open, path)

    @contextlib.contextmanager
    def _in_layer(self, node: Node) -> Iterator[Any]:
        layer = next(layer for layer in self._layers if layer.digest == node.layer)
        with self.work.store.open_layer(layer) as file:
            file.seek(node.offset)
            yield file

    def _digest(self, path: str, node: Node) -> str:
        if not node.layer:
            return self.work.context.digest(path)
        digest, left = hashlib.sha256(), node.size
        with self._in_layer(node) as file:
            while left and (piece := file.read(min(left, 1024 * 1024))):
                digest.update(piece)
                left -= len(piece)
        return digest.hexdigest()

    def _matches(self, pattern: str) -> list[str]:
        found = matches(self.tree, pattern)
        if found:
            return found
        here, context = self.here, self.work.context
        name = here.flag("from")
        clean = posixpath.normpath(pattern).lstrip("/")
        if name:
            raise here.problem(f"COPY --from={name} {pattern}: there is no /{clean} in it.{self._near(clean)}")
        if clean.startswith("../") or clean == "..":
            raise here.problem(f"COPY {pattern}: a build can take only what is in its folder, and .. leads out of it.")
        for part in (clean, *(str(parent) for parent in Path(clean).parents)):
            if rule := context.left_out.get(part):
                raise here.problem(f"COPY {pattern}: .dockerignore leaves it out (line {rule.line}: {rule.text}).")
        node = self.tree.nodes.get(self.tree.resolve(clean, last=False))
        if node and node.kind == "link":
            raise here.problem(
                f"COPY {pattern}: it is a link to {printable(node.link)}, and there is no such file in the folder of the build. "
                "Links are not followed out of it: copy the file itself into the folder."
            )
        hint = self._near(clean)
        if pattern.startswith("/") and not hint:
            hint = " Paths of COPY begin in the folder of the build; leave out the / and what is above that folder."
        raise here.problem(f"COPY {pattern}: there is no such file in {context.folder.name}.{hint}")

    def _near(self, path: str) -> str:
        same = [one for one in self.tree.nodes if posixpath.basename(one) == posixpath.basename(path)]
        near = same[:1] or difflib.get_close_matches(path, list(self.tree.nodes)[:5000], 1, 0.7)
        return f" Did you mean {near[0]}?" if near else ""


# ---- what changed, and what went wrong --------------------------------------------------------------------------------


class _Last:
    """What the build before, of the same Dockerfile in the same folder, was made of. Only for saying why; the cache is another."""

    def __init__(self, store: Store, folder: Path, dockerfile: str) -> None:
        self.store = store
        self.key = sha256(canonical(["last", str(folder.absolute()), dockerfile]))
        kept = store.remembered(self.key)
        self.steps = kept["steps"] if kept and kept.get("form") == FORM else []

    def _step(self, place: list[Any]) -> dict[str, Any] | None:
        return next((step for step in self.steps if step["place"] == place), None)

    def inputs(self, place: list[Any]) -> dict[str, Any] | None:
        step = self._step(place)
        return step["inputs"] if step else None

    def same_text(self, place: list[Any], text: str) -> bool:
        step = self._step(place)
        return bool(step) and step["text"] == text

    def save(self, steps: list[dict[str, Any]]) -> None:
        self.store.remember(self.key, {"form": FORM, "steps": steps})


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What is different in what a step depends on, in words; nothing where it is only the step before."""
    found = []
    old, new = before.get("sources", {}), now.get("sources", {})
    for verb, names in (
        ("changed", [name for name in new if name in old and old[name] != new[name]]),
        ("new", [name for name in new if name not in old]),
        ("gone", [name for name in old if name not in new]),
    ):
        if names and "sources" in before:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            found.append(f"{verb}: {', '.join(map(printable, names[:3]))}{more}")
    if not found and before.get("files") != now.get("files"):
        found.append("rights, owners or places of the files were changed")
    for kind, title in (("args", "the argument"), ("env", "the variable")):
        old, new = before.get(kind, {}), now.get(kind, {})
        names = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
        if names:
            found.append(f"{title} {', '.join(names[:3])} has another value")
    for kind, title in (("user", "USER"), ("workdir", "WORKDIR"), ("folder", "the folder"), ("argv", "SHELL")):
        if before.get(kind) != now.get(kind):
            found.append(f"{title} was changed")
    return found


TOOLS_INSTEAD = {
    ("apt-get", "apt", "apk", "yum", "dnf", "microdnf", "zypper"): (
        "there is no archive of system packages to reach here, and the base image has what this course needs. "
        "Python packages come with pip"
    ),
    ("curl", "wget"): "nothing can be downloaded here. Put the file into the folder of the build, and COPY it",
    (
        "adduser",
        "addgroup",
    ): "the base image has useradd and groupadd, which every Linux has: RUN useradd --create-home app",
    ("sudo",): "RUN is root until USER says otherwise; leave sudo out",
    ("git",): "a build does not clone here. Put the files into the folder of the build, and COPY them",
    ("gcc", "make", "cc"): "nothing can be compiled here. Install a wheel",
}


def _failed(here: Instruction, done: jail.Done, state: _State, work: _Work) -> str:
    """What is said of a RUN that did not end well."""
    output = (done.out + done.err).rstrip().splitlines()
    shown = [f"    {line}" for line in output[-OUTPUT_LINES:]]
    command = here.body if len(here.body) <= 80 else f"{here.body[:79]}…"
    if done.stopped:
        first = f"line {here.line}: RUN {command} was ended: {done.stopped}."
        return "\n".join([first, *shown])
    first = f"line {here.line}: RUN {command} ended with exit code {done.code}."
    missing = re.search(r"([\w.+-]+): (?:command )?not found", done.err) if done.code == 127 else None
    missing = missing or (re.match(r"(\S+): No such file or directory", done.err) if done.code == 127 else None)
    hint = ""
    if not state.tree.nodes:
        hint = "the image is empty: FROM scratch has no shell and no tools. COPY --from another stage, and RUN there."
    elif missing:
        name = missing[1].rsplit("/", 1)[-1]
        instead = next((text for names, text in TOOLS_INSTEAD.items() if name in names), None)
        hint = (
            f"{name} is not in this image: {instead or 'look for what it is called, or for a base image that has it'}."
        )
    elif done.code == 128 + signal.SIGXFSZ:
        hint = f"a file can have up to {work.limits.file_size // 1024**2:,} MB here."
    elif re.search(r"No matching distribution|NewConnectionError|Failed to establish a new connection", done.err):
        hint = "a build reaches the package index of its world and nothing else" + (
            "." if work.services else "; none was given to this build."
        )
    elif (
        state.files
        and not state.files.many
        and re.search(r"(?i)invalid argument|operation not permitted|chown", done.err)
    ):
        hint = "this machine has only one user for images, so nothing can be given to another. apt-get install uidmap helps."
    return "\n".join([first, *shown, *([hint] if hint else [])])
