"""Task 5.3: an image that comes back the same, is quick to build again, keeps no secret, and is nobody's root.

The learner's Dockerfile is built on a desk of the check's own, from the code as it is in a fresh checkout: on a Monday; again with one
line of code changed; and on a Friday, without a cache, when the index and the tag of the base image have moved on.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from pathlib import Path

from opslab import jail
from opslab.checks import Miss, Trial
from opslab.checks.docker_pinning import module
from opslab.scenarios.docker_pinning import dockerfile as scenario
from opslab.worlds import packages, workspace
from opslab.worlds.images import accounts, base, inspection
from opslab.worlds.images.build import SECRET_NAME, Build, BuildError, Step
from opslab.worlds.images.container import ContainerError
from opslab.worlds.images.desk import BASE, Desk
from opslab.worlds.images.dockerfile import Dockerfile, DockerfileError, arguments, parse
from opslab.worlds.images.store import Image, Layer

proud = module.task(
    "5.3",
    "A Dockerfile to be proud of",
    files=[scenario.FOLDER],
    hints=[
        ("Build first what Kuba left, with his own command (the first line of his Dockerfile), and look: docker history --no-trunc data/fees. Then build it again, and again after "
        "touching a line of app/main.py. What is “cached” and what is not? docker images --digests says which digest python:3-slim has today."),
        ("What changes rarely comes first: base, user, folders, requirements.lock and pip, the rates, and the code last. Each COPY takes only what the next RUN needs. "
        "RUN --mount=type=secret,id=rates … lends a file to one command: /run/secrets/rates is there while it runs, and in no layer."),
        ("ENTRYPOINT [\"python\", \"app/main.py\"] gets the words behind the image's name; CMD is what they replace, and the form without brackets starts a shell. "
        "USER goes below what has to be root. Who writes into /data needs a /data that is theirs: RUN useradd app && install -d -o app /data."),
        ("FROM python:3-slim@sha256:… · WORKDIR /app · RUN useradd app && install -d -o app /data · COPY requirements.lock . · RUN pip install --no-cache-dir -r requirements.lock · "
        "COPY unlock.py rates.locked ./ · RUN --mount=type=secret,id=rates python unlock.py rates.locked rates.json · COPY app app · USER app · ENTRYPOINT […]"),
    ],
)  # fmt: skip

BUILD = "docker build --secret id=rates,src=secrets/rates image"
PARTNER, AMOUNTS = "gramofon", ("250.00", "19.90", "1030.55")
RUN = f"docker run data/fees {PARTNER} {' '.join(AMOUNTS)}"
CHANGED = ('CURRENCY = "EUR"', 'CURRENCY = "PLN"')
"""The line of code that is changed for the second build: before, after."""

SMALL = 1024 * 1024
LIMITS = jail.Limits(seconds=30, cpu=30, output=4 * jail.MEGABYTE, file_size=512 * jail.MEGABYTE, open_files=1024)


# ---- builds ------------------------------------------------------------------------------------------------------------


def _desk(trial: Trial) -> Desk:
    """A desk of the check's own, with the index of the unseen world, on a Monday. It needs no AWS, and so no registry there."""

    def start() -> Desk:
        return trial.keep(
            Desk(
                trial.folder(),
                seed=trial.unseen,
                day=packages.MONDAY,
                shown=workspace.image_ports(trial.home),
                theirs=workspace.base_digests(trial.home),
            )
        )

    return trial.once("fees desk", start)


def _checkout(trial: Trial) -> Path:
    """The folder as it comes from a checkout: the learner's Dockerfile and what they have added, everything else of another world."""

    def make() -> Path:
        trial.read(f"{scenario.FOLDER}/{scenario.DOCKERFILE}")
        home = trial.folder()
        workspace.copy_answer(trial.home, home, scenario.FOLDER)
        folder = home / scenario.FOLDER
        # Where somebody has put the passphrase into a file of the folder, that of the other world stands there.
        old, new = scenario.passphrase(trial.seed).encode(), scenario.passphrase(trial.unseen).encode()
        for path in folder.rglob("*"):
            if path.is_file() and path.stat().st_size <= SMALL and old in (data := path.read_bytes()):
                path.write_bytes(data.replace(old, new))
        fresh = trial.folder()
        scenario.put(fresh / scenario.FOLDER, trial.unseen)
        for path in sorted(path for path in fresh.rglob("*") if path.is_file()):
            workspace.copy_answer(fresh, home, str(path.relative_to(fresh)))
        return folder

    return trial.once("fees folder", make)


def _read(trial: Trial) -> Dockerfile:
    text = trial.read(f"{scenario.FOLDER}/{scenario.DOCKERFILE}")
    try:
        return parse(text)
    except DockerfileError as error:
        raise Miss("Your Dockerfile cannot be read.", tried=BUILD, got=str(error), wanted="an image", name="not-built") from None  # fmt: skip


def _build(trial: Trial, name: str, **how: object) -> Build:
    file, folder = _read(trial), _checkout(trial)
    words = scenario.passphrase(trial.unseen)
    declared = {
        name for one in _instructions(file) if one.keyword == "ARG" for name, value in arguments(one) if not value
    }
    args = {name: words for name in declared if name == scenario.ARGUMENT or SECRET_NAME.search(name)}
    trial.tell(f"building it: {name}")
    try:
        return _desk(trial).build(
            folder,
            f"data/fees:{name}",
            args=args,
            secrets={scenario.SECRET_ID: f"{words}\n".encode()},
            limits=LIMITS,
            **how,
        )
    except BuildError as error:
        raise _not_built(file, str(error)) from None


def _instructions(file: Dockerfile) -> list:
    return [*file.arguments, *(one for stage in file.stages for one in (stage.base, *stage.instructions))]


def _not_built(file: Dockerfile, text: str) -> Miss:
    """The Miss for a build that did not come to its end."""
    say, name = "Your image cannot be built from a fresh checkout.", "not-built"
    at = re.match(r"line (\d+)", text)
    users = [one for one in _instructions(file) if one.keyword == "USER" and one.body not in ("root", "0")]
    if ".dockerignore leaves it out" in text:
        say, name = "Your .dockerignore leaves out what your Dockerfile needs.", "ignores-too-much"
    elif at and any(one.line < int(at[1]) for one in users) and re.search(r"(?i)permission denied|not permitted", text):
        say, name = "A command fails because USER stands above it: it has not the rights that it needs. Let root install, and say USER below.", "user-too-early"  # fmt: skip
    elif "there is no passphrase" in text or "was not given to the build" in text:
        say, name = "The build has the passphrase as the secret “rates”, and your RUN does not ask for it by that name.", "no-secret"  # fmt: skip
    return Miss(say, tried=BUILD, got=short(text), wanted="an image", name=name)


def _monday(trial: Trial) -> tuple[Build, float]:
    """The image of Monday, and when it was done."""
    return trial.once("fees monday", lambda: (_build(trial, "monday"), time.time()))


def _of(trial: Trial) -> Build:
    """The image of Monday, for expectations that only make sense where there is one, with everything in it that the program needs."""
    try:
        done = _monday(trial)[0]
    except Miss as miss:
        raise Miss("There is no image to look at, see above.", tried=BUILD, got=miss.got, wanted="an image", name=miss.name) from None  # fmt: skip
    if lacks := trial.once("fees lacks", lambda: _lacks(trial, done.image)):
        raise Miss(f"What your image lacks, it cannot be praised for: {lacks}.", tried="look into the image", got="it is not there", wanted="all that the program needs", name="incomplete")  # fmt: skip
    return done


def _lacks(trial: Trial, image: Image) -> str:
    """What the program needs and the image has not; "" where it has all."""
    store = _desk(trial).store
    tree = store.tree(image.layers)
    if "targ-metrics" not in {one.name for one in inspection.packages(store, image)}:
        return "the package targ-metrics"
    opened = tree.get("app/rates.json")
    if not opened or opened.kind != "file" or store.content(image.layers, opened) != scenario.opened(trial.unseen):
        return "the rates, as /app/rates.json"
    code = (scenario.HERE / "app/main.py").read_bytes()
    found = (node for path, node in tree.nodes.items() if path.endswith("main.py") and node.size == len(code))
    return "" if any(store.content(image.layers, node) == code for node in found) else "the code, app/main.py"


def _ran_as_root(trial: Trial) -> jail.Done:
    """What the image of Monday does for root, who may do everything."""
    return trial.once("fees root", lambda: _ran(trial, _monday(trial)[0].image, user="0"))


def _ran(trial: Trial, image: Image, **how: str) -> jail.Done:
    try:
        return _desk(trial).run(image, [PARTNER, *AMOUNTS], **how)
    except ContainerError as error:
        raise Miss("Your image cannot be started.", tried=RUN, got=str(error), wanted="an answer", name="wrong-answer") from None  # fmt: skip


def _said(done: jail.Done) -> str:
    return short(done.out + done.err).strip() or f"nothing; exit code {done.code}"


def short(text: str) -> str:
    """What a program has said, of tracebacks only their last line: it names what is wrong."""
    lines, depth = [], None
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if line.lstrip().startswith("Traceback (most recent call last)"):
            depth = indent
        elif depth is None or indent <= depth:
            lines.append(line)
            depth = None
    return "\n".join(lines)


# ---- what is expected --------------------------------------------------------------------------------------------------


@proud.expects("it builds from a fresh checkout, runs, and hears what stands behind the image's name", points=0.5)
def runs(trial: Trial) -> None:
    image = _monday(trial)[0].image
    wanted = scenario.answer(trial.unseen, PARTNER, AMOUNTS)
    done = _ran_as_root(trial)
    if done.out == wanted:
        return
    first = list(image.run_config["Entrypoint"] or [])
    if not first:
        say, name = "What stands behind the image's name replaces CMD. ENTRYPOINT gets it as its arguments.", "no-entrypoint"  # fmt: skip
    elif first[:2] == ["/bin/sh", "-c"] and len(first) == 3:
        say, name = "Your ENTRYPOINT is in the shell form: a shell stands in front of the program, and keeps arguments and docker stop to itself. Write it as a list.", "shell-form"  # fmt: skip
    else:
        ended = (
            f"Your program ends with exit code {done.code}."
            if done.code
            else "It runs, and does not say what it should."
        )
        say, name = ended, "wrong-answer"
    raise Miss(say, tried=RUN, got=_said(done), wanted=wanted, name=name)


@proud.expects("one changed line of code builds again what depends on it, and no more", points=1)
def cached(trial: Trial) -> None:
    first = _of(trial)
    again = trial.once("fees changed", lambda: _changed_line(trial))
    tried = "docker build, after a change in one line of app/main.py"
    got = "\n".join(f"[{one.number}/{len(again.steps)}] {one.text[:70]}  {one.why}" for one in again.rebuilt)
    before = {one.number: one for one in first.steps}
    for step in again.rebuilt:
        if step.text.startswith("RUN") and _installs(trial, step):
            raise Miss("A changed line of code installs all packages anew. Copy requirements.lock alone, install, and copy the code below.", tried=tried, got=got, wanted="the installation from the cache", name="code-before-install")  # fmt: skip
    for step in again.rebuilt:
        if step.text.startswith("RUN") and step.layer == before[step.number].layer:
            raise Miss("A command was run again and came to the very same: it does not need the code, so it belongs above it.", tried=tried, got=got, wanted=f"{step.text[:70]} from the cache", name="runs-again-for-nothing")  # fmt: skip


def _changed_line(trial: Trial) -> Build:
    _of(trial)
    path = _checkout(trial) / "app/main.py"
    text = path.read_text()
    path.write_text(text.replace(*CHANGED))
    try:
        return _build(trial, "changed")
    finally:
        path.write_text(text)


def _installs(trial: Trial, step: Step) -> bool:
    """Whether a step has installed what the lock names."""
    nodes = inspection.files(_desk(trial).store, step.layer).nodes if step.layer else []
    return any(re.search(r"targ_metrics[^/]*\.dist-info/METADATA$", path) for path, _ in nodes)


@proud.expects("the same commit gives the same digest, on a Monday and on a Friday", points=1)
def same(trial: Trial) -> None:
    first, file = _of(trial), _read(trial)
    tried = "docker build --no-cache, on two days"
    bases = [
        one for one in file.stages if not file.stage(one.base.body.split()[0]) and one.base.body.split()[0] != "scratch"
    ]
    second = trial.once("fees friday", lambda: _friday(trial))
    store = _desk(trial).store
    if first.image.digest != second.image.digest:
        got = f"Monday {first.image.digest[:19]}…, Friday {second.image.digest[:19]}…"
        if moved := [one.base for one in bases if "@" not in _expanded_base(file, one.base.body.split()[0])]:
            raise Miss(f"FROM {moved[0].body}: that tag is another image by Friday. Name the digest behind it: python:3-slim@sha256:…", tried=tried, got=got, wanted="one digest", name="moving-tag")  # fmt: skip
        before, after = ({(one.name, one.version) for one in inspection.packages(store, each.image)} for each in (first, second))  # fmt: skip
        if before != after:
            shown = "; ".join(f"{day} {name} {version}" for day, only in (("Monday", before - after), ("Friday", after - before)) for name, version in sorted(only))  # fmt: skip
            raise Miss("Other packages are installed by Friday. The lock knows exact versions and hashes, for dependencies of dependencies, too.", tried=tried, got=shown, wanted="what requirements.lock says", name="not-the-lock")  # fmt: skip
        for one, other in zip(first.steps, second.steps, strict=True):
            if one.layer != other.layer:
                got = f"{one.text}\n{_changed(trial, one, other)}"
                break
        raise Miss("Something in your image is another on each build. Does a RUN ask the clock, or chance?", tried=tried, got=got, wanted="one digest", name="clock")  # fmt: skip
    if found := _days(trial, first, second):
        raise Miss("Your image knows what day it was built on, so tomorrow's is another one.", tried=tried, got=found, wanted="nothing that is another tomorrow", name="clock")  # fmt: skip


def _expanded_base(file: Dockerfile, name: str) -> str:
    """The name in a FROM, with the defaults of the ARGs above it."""
    for one in file.arguments:
        for argument, value in arguments(one):
            name = re.sub(rf"\$(?:{argument}\b|\{{{argument}\}})", value or "", name)
    return name


def _friday(trial: Trial) -> Build:
    """The same commit, four days later, on a machine that has built nothing yet."""
    desk, folder = _desk(trial), _checkout(trial)
    _, ended = _monday(trial)
    time.sleep(max(0.0, ended + 1.05 - time.time()))  # in each RUN, the clock is to say another second than on Monday
    desk.index.day = packages.FRIDAY
    base.install(desk.store, BASE, release="2026.12")
    for path in folder.rglob("*"):
        os.utime(path)
    try:
        return _build(trial, "friday", cache=False)
    finally:
        desk.index.day = packages.MONDAY
        desk.store.tag(BASE, desk.base_digest)


def _changed(trial: Trial, step: Step, other: Step) -> str:
    """The files in which the layer of a step is another one in the second build."""
    if step.layer is None or other.layer is None:
        return ""
    before, after = (_contents(trial, layer) for layer in (step.layer, other.layer))
    names = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    return ", ".join(f"/{name}" for name in names[:3])


def _contents(trial: Trial, layer: Layer) -> dict[str, bytes]:
    """The files of a layer, as far as they are small enough to be compared."""
    store, found = _desk(trial).store, {}
    with store.open_layer(layer) as file:
        for path, node in inspection.files(store, layer).nodes:
            if node.kind == "file" and 0 < node.size <= SMALL:
                file.seek(node.offset)
                found[path] = file.read(node.size)
    return found


def _days(trial: Trial, *builds: Build) -> str:
    """Where the day of these builds stands in what their RUNs have written; "" where it does not.

    Two builds of one day agree in it, and are no proof. What packages tell of days is left out.
    """
    now = time.gmtime()
    forms = [time.strftime(form, now).encode() for form in ("%Y-%m-%d", "%Y%m%d", "%a %b %e", "%d.%m.%Y", "%m/%d/%y")]
    for step in (step for build in builds for step in build.steps if step.layer and step.text.startswith("RUN")):
        for path, data in _contents(trial, step.layer).items():
            if "site-packages/" not in path and any(form in data for form in forms):
                return f"{step.text}\n/{path}"
    return ""


def _search(trial: Trial) -> Sequence[inspection.Found]:
    """Where the passphrase and the words that mark junk are, in every layer and in what is said about the image."""

    def look() -> Sequence[inspection.Found]:
        words = [scenario.passphrase(trial.unseen), *scenario.junk(trial.unseen)]
        return inspection.search(_desk(trial).store, _of(trial).image, words)

    return trial.once("fees search", look)


@proud.expects("the passphrase is in no layer, no variable and no line of history", points=0.5)
def secret(trial: Trial) -> None:
    _of(trial)
    found = [one for one in _search(trial) if one.text == scenario.passphrase(trial.unseen)]
    if not found:
        return
    places = {one.path for one in found if not one.layer}
    tried, got = "look for the passphrase in all that somebody has who has the image", "\n".join(map(str, found))
    if "variables" in places:
        raise Miss("The passphrase is a variable of the image: docker inspect shows it to everybody who has it.", tried=tried, got=got, wanted="nothing", name="secret-in-env")  # fmt: skip
    if places:
        raise Miss("The passphrase stands in the history of the image: what ARG was given, and what RUN says, is kept there. docker history --no-trunc shows it.", tried=tried, got=got, wanted="nothing", name="secret-in-history")  # fmt: skip
    if all(one.deleted for one in found):
        raise Miss("The passphrase was deleted, in a later layer. The layer in which it came is still there, for everybody who has the image.", tried=tried, got=got, wanted="nothing", name="secret-deleted-later")  # fmt: skip
    raise Miss("The passphrase is in the files of the image.", tried=tried, got=got, wanted="nothing", name="secret-in-layer")  # fmt: skip


@proud.expects("it does its work as somebody who is not root", points=0.5)
def user(trial: Trial) -> None:
    image = _of(trial).image
    store, name = _desk(trial).store, image.run_config["User"] or ""
    try:
        account = accounts.find(store, image.layers, store.tree(image.layers), name, None)
    except DockerfileError as error:
        raise Miss(f"USER {name} cannot be used.", tried="docker inspect data/fees", got=str(error), wanted="a user of the image", name="unknown-user") from None  # fmt: skip
    if account.uid == 0:
        raise Miss("The program runs as root. Whoever breaks out of it is root, too. Make a user, and say USER.", tried="docker run --entrypoint id data/fees", got=f"uid=0, User={name!r}", wanted="another user", name="root")  # fmt: skip
    as_root, done = _ran_as_root(trial), _ran(trial, image)
    if as_root.code == 0 and (done.code or done.out != as_root.out):
        where = "it may not write into /data" if "/data" in done.err else "something is forbidden to it"
        raise Miss(f"As root the program works, and as {name} not: {where}. What it needs, root has to give it above USER.", tried=RUN, got=_said(done)[-400:], wanted=as_root.out, name="not-its-folder")  # fmt: skip
    if done.code:
        raise Miss("It does not run, see above.", tried=RUN, got=_said(done)[-400:], wanted="an answer", name="wrong-answer")  # fmt: skip


@proud.expects("nothing is in it that nobody needs, and nothing twice", points=0.5)
def clean(trial: Trial) -> None:
    image = _of(trial).image
    found = [one for one in _search(trial) if one.text in scenario.junk(trial.unseen)]
    tried = "look into every layer"
    if found:
        what = scenario.junk(trial.unseen)[found[0].text]
        more = " It was deleted later, and is still in its layer." if found[0].deleted else ""
        raise Miss(f"It holds {what}.{more} Copy what is needed by name, or leave it out with a .dockerignore.", tried=tried, got="\n".join(str(one) for one in found), wanted="none of it", name="junk")  # fmt: skip
    seen: dict[str, bytes] = {}
    for made in inspection.history(image):
        for path, data in (
            _contents(trial, made.layer).items() if made.layer and made.by.startswith(("COPY", "RUN")) else ()
        ):
            # A COPY of a file that is there already costs nothing to speak of. A RUN that touches everything costs all of it.
            if made.by.startswith("RUN") and seen.get(path) == data:
                raise Miss("A file is in the image twice: to give it another owner or other rights, a RUN has put it into one more layer. COPY --chown and --chmod do it in one.", tried=tried, got=f"{made.by}\n/{path}, once more", wanted="each once", name="copied-twice")  # fmt: skip
            seen[path] = data
