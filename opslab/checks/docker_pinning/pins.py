"""Task 5.2: requirements and a lock, judged by what pip and uv make of them: on several days, and where somebody has tampered."""

from __future__ import annotations

import re

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from opslab.checks import Miss, Trial
from opslab.checks.docker_pinning import module
from opslab.checks.docker_pinning.installing import (
    PIP,
    UV,
    Bench,
    Line,
    complaint,
    from_the_index_alone,
    installed,
    lines,
    said,
)
from opslab.scenarios.docker_pinning import pins
from opslab.scenarios.docker_pinning.incident import NAMES
from opslab.worlds import packages

DRIVER = "pykontor"
DAYS = {packages.WEDNESDAY: "Wednesday", packages.FRIDAY: "Friday"}
"""When requirements are installed anew: today, and the day after tomorrow, when 2.9.0 will be yanked and 2.9.1 there."""

pinning = module.task(
    "5.2",
    "Four characters, then a lock",
    files=[pins.REQUIREMENTS, pins.LOCK, pins.ANSWERS],
    hints=[
        ("5.1 has told you which version is the first that you do not want. A requirement can say that, behind the name of the package. Four "
        "characters is what it takes; more may be right, too. Try it in a fresh environment, and empty the warehouse before."),
        ("A pin says which version, not which file. uv pip compile reads requirements.txt and writes down all that will be installed, each "
        "with its version; one option more, and each with its hashes (uv pip compile --help). Whose hashes? Those of the index that is asked: "
        "so ask the one that you trust. And an old lock is not made anew by itself: uv takes over what stands in it, so rm it first, or say --upgrade."),
        ("cd ~/service; uv pip compile --generate-hashes requirements.txt -o requirements.lock. Then pip install --require-hashes -r requirements.lock, "
        "and the same with -i $OFFICE_MIRROR: but what is installed already is not looked at again, so add --force-reinstall. Without the lock: "
        "uv pip install --reinstall --default-index $OFFICE_MIRROR -r requirements.txt, load, and then ls the folder of the driver in ~/venv."),
    ],
)  # fmt: skip


# ---- requirements.txt --------------------------------------------------------------------------------------------------


@pinning.expects("today and on Friday, requirements.txt gets a driver with which the service loads its day", points=1)
def constraint(trial: Trial) -> None:
    text = trial.read(pins.REQUIREMENTS)
    from_the_index_alone(text, pins.REQUIREMENTS)
    driver = ""
    with Bench(trial) as bench:
        for day, name in DAYS.items():
            bench.index.day = day
            venv = bench.venv()
            done = bench.install(venv, text)
            if done.code:
                raise Miss(
                    f"Installed on {name}, that cannot be had: no choice of versions fits all of it.",
                    tried=f"on {name}: uv pip install -r ~/{pins.REQUIREMENTS}", got=complaint(done), wanted="an environment",
                    name="cannot-be-installed",
                )  # fmt: skip
            driver = installed(venv).get(DRIVER, "none")
            loaded = bench.load(venv)
            if not bench.loaded(loaded):
                say, why = _why(lines(text), day)
                raise Miss(
                    f"Installed on {name}, the service does not load its day. {say}",
                    tried=f"on {name}: uv pip install -r ~/{pins.REQUIREMENTS}, python load.py {bench.service.table}.tsv",
                    got=f"{DRIVER} {driver}: {said(loaded)}", wanted=f"done: {bench.service.rows} rows", name=why,
                )  # fmt: skip
        _fresh_enough(bench.index, driver, pins.REQUIREMENTS)


def _why(found: list[Line], day: str) -> tuple[str, str]:
    """What somebody seems to have thought whose requirements get a driver that does not work: a sentence, and a name."""
    known = {line.name: line.requirement.specifier for line in found if line.requirement}
    if missing := [name for name in ("targ-loader", "targ-metrics") if name not in known]:
        return f"load.py imports {missing[0].replace('-', '_')}, which is not in it any more.", "requirement-gone"
    specifier = known.get(DRIVER, SpecifierSet())
    operators = {one.operator for one in specifier}
    if not specifier:
        if any(known.values()):
            return "Another library is held, and the driver, which kills it, is free.", "another-one-pinned"
        return "Nothing says that the new driver is not wanted.", "not-pinned"
    if day == packages.FRIDAY and "!=" in operators:
        return (
            "One version is ruled out, and the next one has what you do not want as well. Say where it begins.",
            "one-version-ruled-out",
        )
    if "<=" in operators:
        return "<= lets in what it names, and that is the version which kills it.", "up-to-and-including"
    if "~=" in operators:
        return (
            "~= lets the last number that you write grow: ~=2.8 is 2.8, 2.9, 2.10. One number more, and it stays in 2.8.",
            "tilde-too-wide",
        )
    if operators == {"=="}:
        return "It is pinned, to a version that does not work.", "pinned-to-what-dies"
    if operators <= {">=", ">"}:
        return "That says how old it may be at most. It is too new.", "no-upper-bound"
    return "The driver that kills it still fits.", "still-fits"


def _fresh_enough(index: packages.Index, driver: str, path: str) -> None:
    """Raises Miss where the driver works, and is not the one that the machine has."""
    last = index.newest(DRIVER, below="2.9")
    if Version(driver) == last:
        return
    tried = f"install ~/{path}"
    if any(release.version == driver and index.is_yanked(release) for release in index.releases(DRIVER)):
        why = next(release.yanked for release in index.releases(DRIVER) if release.version == driver)
        raise Miss(
            f"It works, and {DRIVER} {driver} was withdrawn: {why}. pip says so when it installs it.",
            tried=tried, got=f"{DRIVER} {driver}", wanted=f"{DRIVER} {last}, as on the machine", name="yanked",
        )  # fmt: skip
    raise Miss(
        f"It works, and {DRIVER} {driver} is older than it has to be: the machine has run with {last}, mended since. Rule out what is bad, not "
        "more.",
        tried=tried, got=f"{DRIVER} {driver}", wanted=f"{DRIVER} {last}, as on the machine", name="older-than-needed",
    )  # fmt: skip


# ---- requirements.lock -------------------------------------------------------------------------------------------------


def _installed(trial: Trial) -> dict[str, str]:
    """Install the lock from an honest index, with both tools, and load. Versions by name. Raises Miss where that is no success."""
    text = trial.read(pins.LOCK)
    from_the_index_alone(text, pins.LOCK)
    with Bench(trial) as bench:
        for tool in (UV, PIP):
            venv = bench.venv(pip=tool == PIP)
            tried = f"{' '.join(tool)} --require-hashes -r ~/{pins.LOCK}, in a fresh environment"
            done = bench.install(venv, text, tool, "--require-hashes")
            if done.code or not installed(venv):
                say, name = _refused(lines(text), bench)
                raise Miss(
                    say, tried=tried, got=complaint(done) or "nothing was installed", wanted="an environment", name=name
                )
        found, loaded = installed(venv), bench.load(venv)
        driver = found.get(DRIVER, "none")
        if not bench.loaded(loaded):
            raise Miss(
                "All of it is locked, and what is locked does not work. Was the lock made before requirements.txt was mended? Make it again: "
                "a lock holds what was true when it was made.",
                tried=f"{tried}; python load.py {bench.service.table}.tsv", got=f"{DRIVER} {driver}: {said(loaded)}",
                wanted=f"done: {bench.service.rows} rows", name="locked-what-dies",
            )  # fmt: skip
        _fresh_enough(bench.index, driver, pins.LOCK)
        return found


@pinning.expects("pip and uv install all of requirements.lock by its hashes, and the service loads its day", points=1)
def locked(trial: Trial) -> None:
    trial.once("installed", lambda: _installed(trial))


def _refused(found: list[Line], bench: Bench) -> tuple[str, str]:
    """Why a lock is not installed from an honest index: a sentence, and a name."""
    known = [line for line in found if line.requirement]
    if not known:
        return "There is nothing in the lock.", "empty"
    bare = [line for line in known if not line.hashes]
    if bare == known:
        return (
            "Versions alone: there is no hash in it. So nobody can know whether what comes is what you had.",
            "no-hashes",
        )
    if bare:
        return (
            f"{bare[0].name} has no hash, and one that may be anything is enough. All of them, please.",
            "hash-missing",
        )
    if loose := [line for line in known if not line.exact]:
        return (
            f"{loose[0].name} is not exact. A hash belongs to one file, so a lock names one version: ==.",
            "not-exact",
        )
    there = {line.name for line in known}
    if missing := [name for name in NAMES if name not in there]:
        return (
            f"{missing[0]} is missing. What the libraries need themselves belongs into a lock as well.",
            "not-the-whole-tree",
        )
    theirs = {f"sha256:{file.sha256}" for file in bench.index.mirror().files()}
    honest = {f"sha256:{file.sha256}" for file in bench.index.files()}
    hashes = {one for line in known for one in line.hashes}
    if hashes & theirs - honest:
        return (
            "These are the hashes of what the mirror has. They make sure that you get the very file that somebody has tampered with. "
            "Delete the lock first (uv keeps the hashes that it finds in one), and make it anew from the index that you trust."
        ), "locked-from-the-mirror"
    released = {(release.project, release.version) for release in bench.index.releases()}
    if unknown := [line for line in known if (line.name, line.exact) not in released]:
        return f"The index has no {unknown[0].name} {unknown[0].exact}.", "no-such-version"
    return "A hash in it is not that of the file. Let a tool write them.", "wrong-hash"


@pinning.expects("with the lock, neither pip nor uv installs what was tampered with", points=1, needs="locked")
def refused(trial: Trial) -> None:
    text, versions = trial.read(pins.LOCK), trial.once("installed", lambda: _installed(trial))
    with Bench(trial) as bench:
        # pip takes a second each time, so it is asked for the one that the mirror has tampered with.
        for tool, name in [(PIP, DRIVER), *((UV, name) for name in versions)]:
            bench.index.mend()
            bench.index.tamper(f"{name}=={versions[name]}")
            venv = bench.venv(pip=tool == PIP)
            done = bench.install(venv, text, tool, "--require-hashes")
            if done.code == 0:
                raise Miss(
                    f"Somebody has replaced {name} {versions[name]} on the index, and {tool[0]} has installed it: the lock has a hash for that file, too. "
                    "Where pip refuses something, the question is where it comes from. Its hash is not what is missing.",
                    tried=f"tamper with {name}; {' '.join(tool)} --require-hashes -r ~/{pins.LOCK}", got="installed",
                    wanted="THESE PACKAGES DO NOT MATCH THE HASHES", name="hash-of-the-tampered-added",
                )  # fmt: skip


# ---- the mirror --------------------------------------------------------------------------------------------------------


@pinning.expects("what the mirror has, and what it does", points=1)
def mirror(trial: Trial) -> None:
    found, tried = trial.form(pins.ANSWERS, pins.KEYS, *pins.KEYS), f"read ~/{pins.ANSWERS}"
    index = packages.Index(trial.seed, packages.WEDNESDAY)
    name = canonicalize_name(re.split(r"[=<\s]", found["package"])[0])
    if name != DRIVER:
        raise Miss(
            f"pip has no objection to {name} there. Read who is named below “DO NOT MATCH THE HASHES”.",
            tried=f"pip install --force-reinstall --require-hashes -i $OFFICE_MIRROR -r ~/{pins.LOCK}", got=f"package: {found['package']}",
            wanted="the package that is refused", name="another-package",
        )  # fmt: skip
    release = f"{DRIVER}-{index.newest(DRIVER, below='2.9')}"
    honest, theirs = ({file.sha256 for file in one.files(DRIVER) if file.name.startswith((f"{release}-", f"{release}.tar"))} for one in (index, index.mirror()))  # fmt: skip
    said = {key: set(re.findall(r"[0-9a-f]{64}", found[key].lower())) for key in ("expected", "got")}
    if any(not hashes for hashes in said.values()):
        key = next(key for key, hashes in said.items() if not hashes)
        raise Miss(f"{key} is no sha256: 64 digits, 0 to 9 and a to f.", tried=tried, got=f"{key}: {found[key]}", wanted="all of it, as pip prints it", name="no-hash")  # fmt: skip
    if said["expected"] <= theirs and said["got"] <= honest:
        raise Miss(
            "The wrong way round: what stands behind got is the honest file. Expected is what the lock says, got is what came from the mirror.",
            tried=tried, got=f"got: {found['got']}", wanted="got: the hash of what came from the mirror", name="hashes-swapped",
        )  # fmt: skip
    for key, fine in (("expected", honest), ("got", theirs)):
        if not said[key] <= fine:
            raise Miss(
                f"{key} is not a hash of {release} " + ("as the index has it." if key == "expected" else "as the mirror has it."),
                tried=tried, got=f"{key}: {found[key]}", wanted="what pip prints when it refuses it", name="another-hash",
            )  # fmt: skip
    if found["left_behind"].rstrip("/").rpartition("/")[2].strip("`\"'") != "collected.txt":
        raise Miss(
            "That is not what it leaves. Install from the mirror without the lock, load, and compare the folder of the driver in site-packages "
            "with an honest one (~/machine has one).",
            tried=tried, got=f"left_behind: {found['left_behind']}", wanted="the name of a file beside the driver's code", name="another-file",
        )  # fmt: skip
