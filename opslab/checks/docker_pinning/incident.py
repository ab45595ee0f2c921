"""Task 5.1: which library, which change, which line. What is claimed is tried: one library at a time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from opslab.checks import Miss, Trial
from opslab.checks.docker_pinning import module
from opslab.checks.docker_pinning.installing import DEAD, UV, Bench, installed, lines, said
from opslab.scenarios.docker_pinning import images, incident
from opslab.worlds import packages

KEYS = ("library", "on_machine", "in_container", "change", "line")

dead = module.task(
    "5.1",
    "Works on the machine, dies in the container",
    files=[incident.ANSWERS, incident.EXPERIMENT],
    memory=[incident.MACHINE, incident.LOADER, f"{images.MADE}5.1"],
    hints=[
        ("The code is the same, the data is the same. What else is in the image? Ask it what is installed there, and ask the machine, and lay "
        "the two lists side by side: diff shows lines that differ. The image runs load.py whatever you say, unless you say --entrypoint."),
        ("More than one library differs, so the lists alone prove nothing. Take the machine's list, change one line, install it in your own "
        "environment, empty the warehouse, load. pip may complain about what does not fit together: --no-deps lets you try it nevertheless. "
        "And a process that dies in C code can say where it was: PYTHONFAULTHANDLER=1."),
        ("~/machine/bin/pip freeze > answers/5.1-experiment.txt, then put the container's version of one library into it: pip install "
        "--no-deps -r answers/5.1-experiment.txt; rm -rf loader/warehouse; cd loader; python load.py … The most recent call stands first in what "
        "docker run --rm -e PYTHONFAULTHANDLER=1 data/loader:1.0 prints; look for the first line that is in load.py. What was called there? "
        "CHANGES.md lies beside the code of each library (pip show -f NAME)."),
    ],
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """What is so. machine, container: versions by name. frames: where it dies, file and line, the most recent call first."""

    machine: dict[str, str]
    container: dict[str, str]
    frames: list[tuple[str, int]]
    table: str

    @property
    def differ(self) -> list[str]:
        return [name for name in self.container if self.machine[name] != self.container[name]]


def _world(trial: Trial) -> World:
    def look() -> World:
        with Bench(trial) as bench:
            venv = bench.venv()
            bench.install(venv, bench.service.files()["requirements.txt"])
            done = bench.load(venv, PYTHONFAULTHANDLER="1")
            found = re.findall(r'^ +File "(.+)", line (\d+)', done.err, re.MULTILINE)
            machine = {wheel.release.project: wheel.release.version for wheel in incident.monday(trial.seed)}
            # load.py, or pykontor/cursor.py: as short as it can be told.
            frames = [(path.partition("/site-packages/")[2] or Path(path).name, int(number)) for path, number in found]
            return World(machine, installed(venv), frames, bench.service.table)

    return trial.once("world", look)


def _alone(trial: Trial, library: str) -> tuple[bool, str]:
    """The machine's libraries, and this one as in the container: whether the loader dies, and what it said."""

    def attempt() -> tuple[bool, str]:
        world = _world(trial)
        mixed = {**world.machine, library: world.container[library]}
        return _tried(trial, mixed)

    return trial.once(f"alone {library}", attempt)


def _tried(trial: Trial, versions: dict[str, str]) -> tuple[bool, str]:
    """Whether the loader dies with these libraries, and what it said. They are all on the index."""
    with Bench(trial) as bench:
        venv = bench.venv()
        text = "".join(f"{name}=={version}\n" for name, version in versions.items())
        done = bench.install(venv, text, UV, "--no-deps")
        if done.code:
            raise packages.PackagesError(f"these libraries are not on the index: {text} ({done.err.strip()})")
        loaded = bench.load(venv)
        return loaded.code == DEAD, said(loaded)


def _answers(trial: Trial, *keys: str) -> list[str]:
    found = trial.form(incident.ANSWERS, KEYS, *keys)
    return [found[key] for key in keys]


def _version(text: str, key: str) -> Version:
    try:
        return Version(re.split(r"[=\s]", text)[-1])
    except InvalidVersion:
        raise Miss(f"{key} in ~/{incident.ANSWERS} is no version.", tried=f"read ~/{incident.ANSWERS}", got=f"{key}: {text}", wanted=f"{key}: 1.2.3", name="no-version") from None  # fmt: skip


@dead.expects("the library that kills the loader, and its version here and there", points=1)
def library(trial: Trial) -> None:
    name, here, there = _answers(trial, "library", "on_machine", "in_container")
    tried, name = f"read ~/{incident.ANSWERS}", canonicalize_name(re.split(r"[=\s]", name)[0])
    versions = _version(here, "on_machine"), _version(there, "in_container")
    world = _world(trial)
    if name not in world.machine:
        raise Miss(
            "That is none of the libraries. Take the name as pip writes it.",
            tried=tried, got=f"library: {name}", wanted=f"one that pip list shows: {', '.join(world.machine)}", name="no-such-library",
        )  # fmt: skip
    if name not in world.differ:
        raise Miss(
            f"{name} is the same in both places. What is the same cannot be what makes the difference.",
            tried=tried, got=f"{name} {world.machine[name]}, here and there", wanted="a library that differs", name="same-in-both",
        )  # fmt: skip
    dies, words = _alone(trial, name)
    if not dies:
        raise Miss(
            f"{name} differs, and does no harm: with the container's version of it, and all else as on the machine, the day is loaded.",
            tried=f"the machine's libraries with {name}=={world.container[name]}, python load.py {world.table}.tsv", got=words,
            wanted=f"exit code {DEAD}, as in the container", name="harmless-difference",
        )  # fmt: skip
    true = Version(world.machine[name]), Version(world.container[name])
    if versions == true:
        return
    got = f"on_machine: {versions[0]}\nin_container: {versions[1]}"
    if versions == true[::-1]:
        raise Miss("The two versions are the wrong way round. Which of them dies?", tried=tried, got=got, wanted="on_machine: what runs", name="swapped")  # fmt: skip
    where = (
        "~/machine/bin/pip list"
        if versions[0] != true[0]
        else f"docker run --rm --entrypoint pip {incident.IMAGE} list"
    )
    raise Miss(
        f"The library is right, one of its versions is not. Ask there: {where}. (Your own ~/venv is a third place.)",
        tried=tried, got=got, wanted="what pip lists in each of the two places", name="wrong-version",
    )  # fmt: skip


@dead.expects("an experiment that shows it: one library changed, and it dies", points=1)
def experiment(trial: Trial) -> None:
    found = lines(trial.read(incident.EXPERIMENT))
    tried = f"read ~/{incident.EXPERIMENT}"
    if not found:
        raise Miss("There is no requirement in it yet.", tried=tried, got="comments only", wanted="what pip freeze prints on the machine, one line changed", name="no-experiment")  # fmt: skip
    if loose := [line for line in found if not line.exact]:
        raise Miss(
            "An experiment can be done again only if every version in it is exact.",
            tried=tried, got=loose[0].text, wanted="name==version, on each line", name="not-exact",
        )  # fmt: skip
    world, versions = _world(trial), {line.name: line.exact for line in found}
    if strange := [name for name in versions if name not in world.machine]:
        raise Miss(
            f"{strange[0]} does not belong to the loader. Take the machine's list: ~/machine/bin/pip freeze.",
            tried=tried, got=f"{strange[0]}=={versions[strange[0]]}", wanted=", ".join(world.machine), name="no-such-library",
        )  # fmt: skip
    if missing := [name for name in world.machine if name not in versions]:
        raise Miss(
            f"{missing[0]} is missing, so pip would choose a version for it, and then it is two things that have changed.",
            tried=tried, got=", ".join(versions), wanted=", ".join(world.machine), name="not-all-of-them",
        )  # fmt: skip
    changed = [name for name in versions if Version(versions[name]) != Version(world.machine[name])]
    if not changed:
        raise Miss("That is the machine as it is, and there it runs.", tried=tried, got="every version is that of the machine", wanted="one of them as in the container", name="nothing-changed")  # fmt: skip
    if len(changed) > 1:
        raise Miss(
            f"{len(changed)} libraries differ from the machine. If it dies now, which of them was it? Change one at a time.",
            tried=tried, got=", ".join(f"{name}=={versions[name]}" for name in changed), wanted="one of them as in the container", name="more-than-one-changed",
        )  # fmt: skip
    name = changed[0]
    if Version(versions[name]) != Version(world.container[name]):
        raise Miss(
            f"{name} {versions[name]} is neither what the machine has nor what the container has.",
            tried=tried, got=f"{name}=={versions[name]}", wanted="the version that the container has", name="third-version",
        )  # fmt: skip
    dies, words = _alone(trial, name)
    if not dies:
        raise Miss(
            f"With {name} {versions[name]} the loader does its work. So this difference is harmless: put the machine's version back, and try the next.",
            tried=f"uv pip install --no-deps -r ~/{incident.EXPERIMENT}, python load.py {world.table}.tsv", got=words,
            wanted=f"exit code {DEAD}", name="lives",
        )  # fmt: skip


@dead.expects("the change behind it", points=0.5)
def change(trial: Trial) -> None:
    (text,) = _answers(trial, "change")
    tried, named = f"read ~/{incident.ANSWERS}", text.strip("`").removesuffix("()").lower().replace(" ", "-")
    known = {name.replace("_", "-"): name for name in incident.CHANGES}
    named = known.get(named.replace("_", "-"), "")
    true = incident.service(trial.seed).change
    if named == true:
        return
    got = f"change: {text}"
    if not named:
        raise Miss("Take one of the names that stand above the form.", tried=tried, got=got, wanted=", ".join(incident.CHANGES), name="not-in-the-list")  # fmt: skip
    if named in ("targ-copy", "parse"):
        raise Miss(
            "That is a change of another library, and with that library in its new version the loader still lives.",
            tried=tried, got=got, wanted="a change of the library that kills it", name="change-of-another-library",
        )  # fmt: skip
    if named == "native-conversions":
        raise Miss(
            "That is why it dies without a word: native code raises nothing. But something went wrong before. Which call of load.py, or which "
            "function of load.py that is called back, does not fit the new version?",
            tried=tried, got=got, wanted="what goes wrong, not where it becomes visible", name="how-instead-of-why",
        )  # fmt: skip
    if named == "with-connection":
        raise Miss(
            "That one counts under autocommit, and nobody turns it on here. Which call stands in the line where it dies, and what is called back there?",
            tried=tried, got=got, wanted="a change that load.py meets", name="not-met",
        )  # fmt: skip
    raise Miss(
        "load.py does not use that. Search it for the names in CHANGES.md: only one of them is there.",
        tried=f"grep {named} ~/loader/load.py", got="nothing", wanted="a change that load.py meets", name="not-used",
    )  # fmt: skip


@dead.expects("the line of load.py where it dies", points=0.5)
def line(trial: Trial) -> None:
    (text,) = _answers(trial, "line")
    number = re.fullmatch(r"(?:line |load\.py:)?(\d{1,5})", text)
    tried = f"docker run --rm -e PYTHONFAULTHANDLER=1 {incident.IMAGE}"
    if not number:
        raise Miss("line is a number.", tried=f"read ~/{incident.ANSWERS}", got=f"line: {text}", wanted="line: 7", name="no-number")  # fmt: skip
    given, world = int(number[1]), _world(trial)
    own = [line for path, line in world.frames if path == "load.py"]
    if given == own[0]:
        return
    code = incident.service(trial.seed).files()["load.py"].splitlines()
    shown = (
        f"line {given}: {code[given - 1].strip() or '(empty)'}"
        if 0 < given <= len(code)
        else f"line {given}: load.py has {len(code)}"
    )
    wanted = "the first line of load.py in what faulthandler prints: the most recent call stands first"
    if given in own:
        raise Miss("That is where everything begins. The most recent call stands first, not last.", tried=tried, got=shown, wanted=wanted, name="where-it-begins")  # fmt: skip
    if given in [line for path, line in world.frames if path != "load.py"]:
        elsewhere = next(path for path, line in world.frames if line == given and path != "load.py")
        raise Miss(f"That is a line of {elsewhere}. Which line of load.py has called it?", tried=tried, got=f"line {given} of {elsewhere}", wanted=wanted, name="line-of-a-library")  # fmt: skip
    if 0 < given <= len(code) and incident.service(trial.seed).change in code[given - 1]:
        raise Miss("There the reason is laid down; the process dies later, when it is used.", tried=tried, got=shown, wanted=wanted, name="reason-instead-of-death")  # fmt: skip
    raise Miss("It does not die there. Guess nothing: faulthandler knows the line.", tried=tried, got=shown, wanted=wanted, name="another-line")  # fmt: skip
