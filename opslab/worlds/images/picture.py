"""Two pictures of images: the layers of one, with what its last build made anew; and the way of a repository into production.

    >>> print(layers(store, "data/fees"))                                                   # doctest: +SKIP
    The layers of data/fees, 3f2a91bc7d0c; the base is at the bottom
    line    size
       7   154 B  ● made anew, 0.4 s      RUN python unlock.py rates.locked rates.json
                                          line 6 before it was built again
       6    2 MB  ◆ not as before, 0.0 s  COPY . .
                                          changed: app/main.py
       5  1.4 MB  ✓ from the cache        RUN pip install --no-cache-dir -r requirements.txt
       2   89 MB  ▪ the base              FROM python:3-slim@sha256:f5d9051135b0…, 2 layers
    In the last build, line 6 was the first that is not as before: changed: app/main.py. 1 more step was done again; 1 came …

`way` reads the engine's images, both registries and the manifests in ~/deploy, and says whether production runs what staging does.
Whatever is said by a colour is said by a word, a sign and the kind of line, too. A digest is shown with its first 12 letters.
"""

from __future__ import annotations

import itertools
import re
import textwrap
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from html import escape
from typing import TYPE_CHECKING, Any

from opslab.worlds.forge.commit_graph import Drawing
from opslab.worlds.forge.receive import clean
from opslab.worlds.images import inspection, references
from opslab.worlds.images.build import FIRST_TIME, NOT_ASKED, LastBuild, Step, last_build
from opslab.worlds.images.registry.errors import RegistryError
from opslab.worlds.images.store import Image, Layer, Store, StoreError, canonical, sha256

if TYPE_CHECKING:
    from opslab.worlds.images.desk import Desk
    from opslab.worlds.images.scanner.gate import Report

SHORT = 12
"""Letters of a digest, as docker shows it."""

# ---- the layers of an image -------------------------------------------------------------------------------------------

CACHED, CHANGED, ANEW, UNKNOWN, BASE, NOTE = "cached", "changed", "anew", "unknown", "base", "note"
STATES = {
    CACHED: ("✓", "from the cache"),
    CHANGED: ("◆", "not as before"),
    ANEW: ("●", "made anew"),
    UNKNOWN: ("·", ""),
    BASE: ("▪", "the base"),
    NOTE: ("·", "no layer"),
}
"""Sign and word of what became of a layer in the last build."""


@dataclass(frozen=True)
class Row:
    """A layer, or a line of the history without one. why: why it is not from the cache. size: bytes; None where there is no layer."""

    text: str
    state: str
    size: int | None = None
    line: int = 0
    why: str = ""
    seconds: float | None = None

    @property
    def word(self) -> str:
        """What became of it, in words."""
        word = STATES[self.state][1]
        return word if self.seconds is None else f"{word}, {self.seconds:.1f} s"


@dataclass(frozen=True)
class Stack:
    """Layers that lie one on the other; rows: the lowest first."""

    title: str
    rows: tuple[Row, ...]


def layers(store: Store, name: str, image: Image | None = None) -> Drawing:
    """The picture of an image's layers. name: what it is called in the title, and in the store unless `image` is given.

    Raises StoreError.
    """
    image = image or store.find(name)
    digest = short(image.digest)
    title = f"The layers of {name}" + ("" if digest in name else f", {digest}")
    built = last_build(store, image.digest)
    if built is None or built.kept > len(image.layers):
        return draw_layers(title, [Stack("", tuple(_unbuilt(store, image)))], FROM_ELSEWHERE)
    stacks = _stacks(store, image, built)
    return draw_layers(title, stacks, _happened(built))


FROM_ELSEWHERE = "It was not built here, but pulled or loaded: so nothing is known of a cache."


def _unbuilt(store: Store, image: Image) -> list[Row]:
    return [
        Row(_instruction(made.by), UNKNOWN, _size(store, made.layer))
        for made in inspection.history(image)
        if made.layer
    ]


def _stacks(store: Store, image: Image, built: LastBuild) -> list[Stack]:
    """The image itself, and then the stages of which only files are in it."""
    waiting = [step for step in built.steps if step.layer]
    mine: dict[int, Step] = {}
    # From the top down: the steps of the image itself are the last ones, and stages before may have made the same layer.
    for number in range(len(image.layers) - 1, built.kept - 1, -1):
        same = [step for step in waiting if step.layer and step.layer.digest == image.layers[number].digest]
        if same:
            mine[number] = same[-1]
            del waiting[waiting.index(same[-1]) :]
    first = _first(built)
    lowest = mine[min(mine)].stage if mine else built.steps[-1].stage if built.steps else ""
    begin = next((step for step in built.steps if step.stage == lowest and _is_from(step)), None)
    count = f"{built.kept} layer{'' if built.kept == 1 else 's'}"
    text = f"{begin.text if begin else f'FROM {built.base}'}{f', {count}' if built.kept else ''}"
    size = sum(_size(store, layer) for layer in image.layers[: built.kept])
    rows = [_row(begin, first, size, text) if begin else Row(text, BASE, size)]
    # By number, and not by `inspection.history`: of an image from elsewhere, the base's own lines may be missing.
    number = built.kept
    for made in image.config["history"][built.noted :]:
        if made["empty_layer"] or number >= len(image.layers):
            rows.append(Row(_instruction(made["created_by"]), NOTE))
            continue
        size, step = _size(store, image.layers[number]), mine.get(number)
        rows.append(_row(step, first, size) if step else Row(_instruction(made["created_by"]), UNKNOWN, size))
        number += 1
    stacks = [Stack("", tuple(rows))]
    inside = {step.stage for step in mine.values()} | {lowest}
    others = [step for step in built.steps if step.stage not in inside]
    for stage in dict.fromkeys(step.stage for step in others):
        those = tuple(_row(step, first, _size(store, step.layer)) for step in others if step.stage == stage)
        stacks.append(Stack(f"Stage {stage}: only what COPY --from takes from it is in the image", those))
    return stacks


def _is_from(step: Step) -> bool:
    return step.layer is None


def _row(step: Step, first: Step | None, size: int, text: str = "") -> Row:
    state = CHANGED if step is first else BASE if _is_from(step) else CACHED if step.cached else ANEW
    size_or_none = size if size or step.layer else None
    return Row(text or step.text, state, size_or_none, step.line, step.why, None if step.cached else step.seconds)


def _first(built: LastBuild) -> Step | None:
    """The step from which on things were made anew because something had changed. None where that was all, or nothing."""
    anew = next((step for step in built.steps if not step.cached), None)
    if anew is None or anew.why in (FIRST_TIME, NOT_ASKED):
        return None
    moved = (step for step in built.steps if _is_from(step) and step.why and step.stage == anew.stage)
    return next(moved, anew)


def _happened(built: LastBuild) -> str:
    """What the last build did, in a sentence or two."""
    steps = [step for step in built.steps if step.layer]
    anew = [step for step in steps if not step.cached]
    if not anew:
        return "The last build took all of it from the cache: nothing that a step depends on has changed."
    first = _first(built)
    if first is None:
        return f"The last build did {len(anew)} of {len(steps)} steps: {anew[0].why}."
    rest = len(anew) - (first is anew[0])
    more = f"{rest} {'more ' if first is anew[0] else ''}{'step was' if rest == 1 else 'steps were'} done again" if rest else "No other step was done again"  # fmt: skip
    return f"In the last build, line {first.line} was the first that is not as before: {first.why}. {more}; {len(steps) - len(anew)} came from the cache."


def _size(store: Store, layer: Layer | None) -> int:
    """The bytes of a layer's files, as `docker history` counts them. 0 where the layer has been lost."""
    if layer is None:
        return 0
    try:
        return sum(node.size for _, node in store.listing(layer).nodes)
    except (StoreError, OSError):
        return 0


def _instruction(by: str) -> str:
    """A line of a history, as it stood in the Dockerfile."""
    text = re.sub(r"^RUN (\|\d+ .*? )?/bin/sh -c ", "RUN ", by)
    return text or "(its history does not say)"


def size_in_words(size: int | None) -> str:
    """Bytes as docker shows them; "" for None."""
    if size is None:
        return ""
    if size < 1000:
        return f"{size} B"
    value, unit = size / 1000, "kB"
    while value >= 999.5 and unit != "GB":
        value, unit = value / 1000, {"kB": "MB", "MB": "GB"}[unit]
    return f"{value:.3g} {unit}"


def short(digest: str) -> str:
    """The first letters of a digest."""
    return digest.removeprefix("sha256:")[:SHORT]


def draw_layers(title: str, stacks: Sequence[Stack], happened: str) -> Drawing:
    """Draw stacks of layers: a title, the stacks with the lowest row at the bottom, and what has happened."""
    title, happened = _plain(title), _plain(happened)
    lines = [f"{title}; the base is at the bottom", "line    size"]
    for stack in stacks:
        lines += [_plain(stack.title)] if stack.title else []
        for row in reversed(stack.rows):
            said = f"{row.line or '':>4}  {size_in_words(row.size):>7}  {STATES[row.state][0]} {row.word:<20}"
            lines.append(f"{said}  {_one_line(row.text, TEXT_WIDE)}".rstrip())
            if row.why:
                lines.append(f"{'':{len(said) + 2}}{_one_line(row.why, TEXT_WIDE)}")
    text = "\n".join([*lines, happened])
    return Drawing(_layers_svg(title, stacks, happened, text), text)


TEXT_WIDE = 90
"""Characters of an instruction in the form for terminals."""


def _plain(text: str) -> str:
    """Text on one line, without what no terminal or SVG can show."""
    return re.sub("[\ud800-\udfff\ufffe\uffff]", "�", " ".join(clean(text).split()))


def _one_line(text: str, limit: int) -> str:
    text = _plain(text)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _wrapped(text: str, width: int, most: int) -> list[str]:
    """Text in lines of so many characters; of more than `most` lines, the last one says so."""
    lines = textwrap.wrap(_plain(text), width, break_on_hyphens=False) or [""]
    return lines if len(lines) <= most else [*lines[: most - 1], f"{lines[most - 1][: width - 1]}…"]


# ---- their picture ----------------------------------------------------------------------------------------------------

LEFT, WIDTH, GAP, LINE, INSIDE = 30, 600, 5, 17, 14
"""Room left of the boxes; width of the picture; room between boxes; height of a line; room inside of a box."""

CODE_COLUMN, WORD_COLUMN, TITLE_COLUMN = 60, 74, 62
"""Characters in a line: of an instruction beside its size, of words, of a title."""

MANY = 15
"""Where there are more layers, their instructions have one line each."""

COMMON = (
    "text{fill:var(--jp-content-font-color1,#1f1f1f)}"
    ".box{fill:var(--jp-layout-color1,#fff);stroke:var(--jp-content-font-color2,#616161)}"
    ".title{font-weight:600;font-size:14px}.strong{font-weight:600}"
    ".code{font-family:var(--jp-code-font-family,monospace);font-size:12px}"
    ".end{text-anchor:end}.middle{text-anchor:middle}"
    ".line{fill:none;stroke:var(--jp-content-font-color2,#616161);stroke-width:1.5}"
    ".tip{fill:var(--jp-content-font-color2,#616161)}"
    ".ink{fill:none;stroke:var(--jp-content-font-color2,#616161);stroke-width:1.5}"
)

LAYERS_STYLE = (
    "<style>.opslab-layers{"  # nested, because a style inside an SVG holds for the whole page
    f"font-family:var(--jp-content-font-family,sans-serif);font-size:13px;{COMMON}"
    ".cached{stroke:var(--jp-success-color1,#2e7d32);stroke-width:1.5}"
    ".anew{stroke:var(--jp-brand-color1,#1565c0);stroke-width:3}"
    ".changed{stroke:var(--jp-warn-color0,#b26a00);stroke-width:4}"
    ".unknown{stroke-dasharray:3 4}.base{stroke-width:1.5;stroke-dasharray:12 4}"
    ".rise{fill:none;stroke:var(--jp-warn-color0,#b26a00);stroke-width:2.5}.risen{fill:var(--jp-warn-color0,#b26a00)}"
    "}</style>"
)


def _layers_svg(title: str, stacks: Sequence[Stack], happened: str, text: str) -> str:
    one = f"layers-{zlib.crc32(text.encode()):08x}"  # ids must differ between pictures on one page
    body: list[str] = []
    heading = _wrapped(title, TITLE_COLUMN, 3)
    body += _text("title", LEFT, 18, heading)
    y = 18 + LINE * (len(heading) - 1) + 14
    words = _wrapped(happened, WORD_COLUMN, 6)
    body += _text("", LEFT, y + 8, words)
    y += LINE * len(words) + 8
    for stack in stacks:
        if stack.title:
            lines = _wrapped(stack.title, TITLE_COLUMN, 3)
            body += _text("strong", LEFT, y + 20, lines)
            y += 12 + LINE * len(lines)
        y = _stack_svg(stack, y, body, one)
    head = _head("layers", one, title, text, WIDTH, y + 6)
    tip = _tip(f"{one}-rise", "risen")
    return "\n".join([*head, LAYERS_STYLE, f"<defs>{tip}</defs>", *body, "</svg>"])


def _stack_svg(stack: Stack, y: int, body: list[str], one: str) -> int:
    """Add the boxes of a stack below y, the lowest row at the bottom. Gives where it ends."""
    top, begins = y, 0
    for row in reversed(stack.rows):
        if row.state == NOTE:
            body += _text("code", LEFT + INSIDE, y + 14, [f"· {_one_line(row.text, CODE_COLUMN + 2)}"])
            body += _text("end", WIDTH - INSIDE, y + 14, ["no layer"])
            y += LINE + GAP
            continue
        code = _wrapped(row.text, CODE_COLUMN, 2 if len(stack.rows) <= MANY else 1)
        said = [
            f"line {row.line}" if row.line else "",
            f"{STATES[row.state][0]} {row.word}" if row.word else "",
            row.why,
        ]
        words = _wrapped(" · ".join(filter(None, said)), WORD_COLUMN, 2) if any(said) else []
        height = 12 + LINE * (len(code) + len(words))
        body.append(
            f'<rect class="box {row.state}" x="{LEFT}" y="{y}" width="{WIDTH - LEFT - 3}" height="{height}" rx="5"/>'
        )
        body += _text("code strong", LEFT + INSIDE, y + 19, code)
        body += _text("end", WIDTH - INSIDE, y + 19, [size_in_words(row.size)])
        body += _text("", LEFT + INSIDE, y + 19 + LINE * len(code), words)
        if row.state == CHANGED:
            begins = y + height // 2
        y += height + GAP
    if begins:  # from the layer that has changed to the top
        up = f"M{LEFT - 2} {begins}H{LEFT // 2}V{top + 2}"
        body.append(f'<path class="rise" d="{up}" marker-end="url(#{one}-rise)"/>')
    return y


def _head(kind: str, one: str, title: str, text: str, width: int, height: int) -> list[str]:
    return [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img" '
            f'class="opslab-{kind}" aria-labelledby="{one}-title {one}-text" style="max-width:100%;height:auto">'
        ),
        f'<title id="{one}-title">{escape(title)}</title>',
        f'<desc id="{one}-text">{escape(text)}</desc>',
    ]


def _tip(name: str, kind: str) -> str:
    return (
        f'<marker id="{name}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="9" markerHeight="9" '
        f'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L10 5L0 10z" class="{kind}"/></marker>'
    )


def _text(kind: str, x: float, y: float, lines: Sequence[str]) -> list[str]:
    named = f' class="{kind}"' if kind else ""
    return [f'<text{named} x="{x:g}" y="{y + LINE * at:g}">{escape(line)}</text>' for at, line in enumerate(lines)]


# ---- the way of an image ----------------------------------------------------------------------------------------------

LAPTOP, TEAM, PLATFORM = "laptop", "team's registry", "platform's ECR"
DEPLOYED = {"staging": "deploy/staging.yaml", "production": "deploy/production.yaml"}
"""The files of a desk that say what runs."""

IMAGE_LINE = re.compile(r"""(?m)^[ \t]*(?:-[ \t]+)?["']?image["']?[ \t]*:[ \t]*["']?([^\s"'#]+)""")
MANIFEST_CHARACTERS = 50_000

MOST = 12
"""Images that are shown; what runs, and then the newest, counts more."""

CELL_WIDE = 24
"""Characters of a cell in the form for terminals."""


@dataclass(frozen=True)
class Place:
    """Where images are. images: the tags of each digest, none for an image without. problem: why there is nothing."""

    name: str
    images: Mapping[str, Sequence[str]]
    problem: str = ""


@dataclass(frozen=True)
class Runs:
    """What runs in an environment: how its file names the image, and which one that is. digest: "" where that is not known."""

    environment: str
    named: str
    digest: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Way:
    """All that is known of a repository. order: the digests, the oldest first. scans: what a scan has said, by digest."""

    repository: str
    places: Sequence[Place]
    runs: Sequence[Runs]
    order: Sequence[str]
    scans: Mapping[str, str] = field(default_factory=dict)


def way(desk: Desk, repository: str, call: Callable[..., Any] | None = None) -> Drawing:
    """The picture of the way of a repository (`data/loader`, or any name of an image in it) from the laptop into production.

    call: does an operation of ECR in the platform's account, for somebody who may look there: `call("describe_images", …)` gives
    its result, None where AWS says no. Raises NameProblem for what is no name, LookupError where there is nothing of this name.
    """
    path = references.parse(repository).path
    team, pushed = _team(desk, path)
    platform, there, scans = _platform(path, call)
    elsewhere = {*team.images, *platform.images}
    laptop = _laptop(desk, path, elsewhere)
    places = {LAPTOP: laptop, TEAM: team, PLATFORM: platform}
    runs = [one for environment, file in DEPLOYED.items() for one in _runs(desk, environment, file, path, places)]
    if not any((*laptop.images, *elsewhere, *(one.digest for one in runs))):
        raise LookupError(
            f"There is no {path} on the laptop, in the registries or in ~/deploy. docker images lists what is there."
        )
    times = {**there, **pushed}
    known = dict.fromkeys([*elsewhere, *laptop.images, *(one.digest for one in runs if one.digest)])
    # What was never pushed comes last: it was built here, and has no date.
    order = sorted(known, key=lambda digest: (digest not in times, times.get(digest, ""), list(known).index(digest)))
    scans = {**{digest: said for digest in known if (said := scanned(desk.store, digest))}, **scans}
    return draw_way(Way(path, list(places.values()), runs, order, scans))


def _laptop(desk: Desk, path: str, elsewhere: set[str]) -> Place:
    images: dict[str, list[str]] = {digest: [] for digest in desk.store.digests() if digest in elsewhere}
    short_names = {name: short_name for name, short_name in zip(desk.hosts, ("team", "ECR"), strict=False)}
    for name, digest in desk.store.tags().items():
        one = references.parse(name)
        if one.path == path:
            label = f"{short_names.get(one.host, one.host)}: {one.tag}" if one.host else one.tag
            images.setdefault(digest, []).append(label)
    return Place(LAPTOP, images, "" if images else "nothing of it")


def _team(desk: Desk, path: str) -> tuple[Place, dict[str, str]]:
    """What is in the team's registry, and when each was pushed."""
    try:
        record = desk.team.store.record(path)
    except RegistryError as error:
        return Place(TEAM, {}, "nothing of it" if error.code == "NAME_UNKNOWN" else error.message), {}
    images: dict[str, list[str]] = {
        digest: [] for digest, entry in record.manifests.items() if not entry.get("subject")
    }
    for tag, digest in sorted(record.tags.items()):
        images.setdefault(digest, []).append(tag)
    return Place(TEAM, images), {digest: record.manifests[digest]["pushed"] for digest in images}


def _platform(path: str, call: Callable[..., Any] | None) -> tuple[Place, dict[str, str], dict[str, str]]:
    """What is in the platform's ECR, when each was pushed, and what scans have said."""
    if call is None:
        return Place(PLATFORM, {}, "not in this module"), {}, {}
    found = call("describe_images", repositoryName=path)
    if found is None:
        return Place(PLATFORM, {}, "no such repository yet"), {}, {}
    images, times, scans = {}, {}, {}
    for one in found["imageDetails"]:
        digest = one["imageDigest"]
        images[digest] = sorted(one.get("imageTags", []))
        if "imagePushedAt" in one:
            times[digest] = one["imagePushedAt"].astimezone(UTC).isoformat()
        if "imageScanFindingsSummary" in one:
            counts = one["imageScanFindingsSummary"].get("findingSeverityCounts", {})
            scans[digest] = ", ".join(f"{count} {kind.lower()}" for kind, count in counts.items()) or "nothing found"
    return Place(PLATFORM, images, "" if images else "empty"), times, scans


def _runs(desk: Desk, environment: str, file: str, path: str, places: Mapping[str, Place]) -> list[Runs]:
    """What the file of an environment says that runs there."""
    place = desk.home / file
    if not place.is_file():
        return [Runs(environment, "", problem=f"there is no ~/{file}")]
    with place.open(errors="replace") as opened:
        text = opened.read(MANIFEST_CHARACTERS)
    found = []
    for name in IMAGE_LINE.findall(text):
        try:
            one = references.parse(name)
        except references.NameProblem:
            found.append(Runs(environment, name, problem="no name of an image"))
            continue
        if one.path == path:
            found.append(_resolved(environment, one, dict(zip(desk.hosts, (TEAM, PLATFORM), strict=False)), places))
    return found or [Runs(environment, "", problem=f"~/{file} does not name it")]


def _resolved(
    environment: str, one: references.Reference, hosts: Mapping[str, str], places: Mapping[str, Place]
) -> Runs:
    """Which image a name means where it would be pulled."""
    where = hosts.get(one.host)
    named = f"{'by digest' if one.digest else f'by the tag {one.tag}'}, from {f'the {where}' if where else one.host or 'nowhere'}"
    if where is None:
        return Runs(environment, named, one.digest, f"{one.host} is not known" if one.host else "it names no registry")
    images = places[where].images
    digest = one.digest or next((digest for digest, tags in images.items() if one.tag in tags), "")
    return Runs(environment, named, digest, "" if digest in images else f"not in the {where}")


def note_scan(store: Store, digest: str, report: Report) -> None:
    """Keep what the gate has said of an image, in a few words, for the picture."""
    excepted = len(report.findings) - len(report.open)
    said = f"passed{f', {excepted} excepted' if excepted else ''}" if report.passed else f"{len(report.open)} held back"
    said = "not all known" if report.audit.unknown and not report.open else said
    store.remember(_scan_key(digest), {"said": said})


def scanned(store: Store, digest: str) -> str:
    """What the last scan of an image has said; "" where none is known."""
    said = (store.remembered(_scan_key(digest)) or {}).get("said", "")
    return said if isinstance(said, str) else ""


def _scan_key(digest: str) -> str:
    return sha256(canonical(["scan", digest]))


def draw_way(found: Way) -> Drawing:
    """Draw what is known: a row for each image, a column for each place, and who runs what."""
    shown, more = _shown(found)
    letters = {digest: chr(ord("A") + number) for number, digest in enumerate(shown)}
    title, verdict = _plain(f"The way of {found.repository}"), _plain(_verdict(found, letters, more))
    table = [["", "image", *(place.name for place in found.places)]]
    below: list[list[str]] = [[]]
    for digest in shown:
        cells = [_one_line(", ".join(_tags(place, digest)), CELL_WIDE) or "-" for place in found.places]
        table.append([letters[digest], short(digest), *cells])
        scan = [f"scan: {found.scans[digest]}"] if digest in found.scans else []
        below.append([*scan, *(_run_words(one) for one in found.runs if one.digest == digest)])
    if lost := [_run_words(one) for one in found.runs if not one.digest]:
        table.append(["?", "not known", *("-" for _ in found.places)])
        below.append(lost)
    widths = [max(len(row[at]) for row in table) for at in range(len(table[0]))]
    lines = []
    for row, more_words in zip(table, below, strict=True):
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        lines += [f"   {_one_line(words, TEXT_WIDE)}" for words in more_words]
    empty = [f"{place.name}: {_plain(place.problem)}" for place in found.places if place.problem]
    text = "\n".join([title, *lines, *empty, verdict])
    return Drawing(_way_svg(title, found, letters, verdict, text), text)


def _shown(found: Way) -> tuple[list[str], int]:
    """The digests to draw, and how many more there are."""
    running = [one.digest for one in found.runs if one.digest]
    wanted = list(dict.fromkeys([*running, *reversed(found.order)]))[:MOST]
    return [digest for digest in found.order if digest in wanted], len(found.order) - len(wanted)


def _tags(place: Place, digest: str) -> list[str]:
    """What stands in a cell: the tags of an image, or that it has none; [] where it is not there."""
    return [] if digest not in place.images else list(place.images[digest]) or ["no tag"]


def _run_words(one: Runs) -> str:
    return (
        f"runs in {one.environment}{f', {one.named}' if one.named else ''}{f' ✗ {one.problem}' if one.problem else ''}"
    )


def _verdict(found: Way, letters: Mapping[str, str], more: int) -> str:
    """Whether production runs what staging runs, in a sentence or two."""
    first: dict[str, Runs] = {}
    for one in found.runs:
        first.setdefault(one.environment, one)
    staging, production = first.get("staging"), first.get("production")
    said = []
    if staging and production:
        left, right = letters.get(staging.digest), letters.get(production.digest)
        if left and right:
            verb = "name" if staging.problem or production.problem else "run"
            said.append(
                f"Staging and production {verb} the same image, {left}."
                if left == right
                else f"Staging {verb}s {left}, and production {right}: another image."
            )
        else:
            said.append(f"Staging runs {left or 'something not known'}, production {right or 'something not known'}.")
    for one in found.runs:
        if one.problem and one.digest:
            said.append(f"What {one.environment} names cannot be pulled: {one.problem}.")
        elif one.problem:
            said.append(f"{one.environment}: {one.problem}.")
        elif one.named.startswith("by the tag"):
            said.append(f"{one.environment.capitalize()} names a tag: what it means can change.")
    if more:
        said.append(f"{more} older {'image is' if more == 1 else 'images are'} not shown.")
    return " ".join(said)


# ---- its picture ------------------------------------------------------------------------------------------------------

HEAD_WIDE, PLACE_WIDE, RUNS_WIDE, BETWEEN, STRIP = 124, 126, 170, 10, 24
"""Widths: of what begins a row, of a place, of what runs; room between them; the part of a box with letter and pattern."""

TAG_COLUMN, RUN_COLUMN, TAG_LINES = 12, 18, 4
"""Characters in a line of a box, and the most lines of tags in it."""

PATTERNS = (
    '<path d="M0 8L8 0" class="ink"/>',
    '<circle cx="4" cy="4" r="1.6" class="tip"/>',
    '<path d="M0 4H8" class="ink"/>',
    '<path d="M0 0L8 8" class="ink"/>',
    '<path d="M4 0V8" class="ink"/>',
    '<path d="M0 4H8M4 0V8" class="ink"/>',
    '<path d="M0 6L4 2L8 6" class="ink"/>',
)
"""Beside its letter, each image has one of these."""

WAY_STYLE = (
    "<style>.opslab-way{"  # nested, because a style inside an SVG holds for the whole page
    f"font-family:var(--jp-content-font-family,sans-serif);font-size:13px;{COMMON}"
    ".run{stroke:var(--jp-brand-color1,#1565c0);stroke-width:3}"
    ".wrong{stroke:var(--jp-error-color1,#c62828);stroke-width:3;stroke-dasharray:12 4}"
    ".plate{fill:var(--jp-layout-color1,#fff)}.faint{stroke-dasharray:2 4}"
    "}</style>"
)


def _way_svg(title: str, found: Way, letters: Mapping[str, str], verdict: str, text: str) -> str:
    one = f"way-{zlib.crc32(text.encode()):08x}"  # ids must differ between pictures on one page
    starts = [HEAD_WIDE + BETWEEN + at * (PLACE_WIDE + BETWEEN) for at in range(len(found.places) + 1)]
    width = starts[-1] + RUNS_WIDE + 4
    heading, words = _wrapped(title, TITLE_COLUMN + 10, 3), _wrapped(verdict, WORD_COLUMN + 8, 8)
    body = _text("title", 2, 18, heading)
    y = 24 + LINE * len(heading)
    body += _text("strong", 2, y, words)
    y += LINE * len(words) + 12
    problems = [_wrapped(place.problem, TAG_COLUMN + 4, 3) if place.problem else [] for place in found.places]
    for start, name, problem in zip(
        starts, [*(place.name for place in found.places), "runs in"], [*problems, []], strict=True
    ):
        body += _text("strong", start, y, [name])
        body += _text("", start, y + LINE, problem)
    body += _text("strong", 2, y, ["image"])
    y += 10 + LINE * max(map(len, problems), default=0)
    rows: list[tuple[str, str]] = [(digest, letter) for digest, letter in letters.items()]
    rows += [("", "?")] if any(not run.digest for run in found.runs) else []
    for number, (digest, letter) in enumerate(rows):
        fill = f"url(#{one}-{number % len(PATTERNS)})" if digest else "none"
        y = _way_row(found, digest, letter, fill, starts, y, body)
    patterns = "".join(
        f'<pattern id="{one}-{number}" width="8" height="8" patternUnits="userSpaceOnUse">{shape}</pattern>'
        for number, shape in enumerate(PATTERNS)
    )
    head = _head("way", one, title, text, width, y + 4)
    return "\n".join([*head, WAY_STYLE, f"<defs>{patterns}</defs>", *body, "</svg>"])


def _way_row(found: Way, digest: str, letter: str, fill: str, starts: Sequence[int], y: int, body: list[str]) -> int:
    """Add the row of an image. Gives where it ends."""
    head = [short(digest) if digest else "not known"]
    scan = _wrapped(f"scan: {found.scans[digest]}", 13, 3) if digest in found.scans else []
    cells = [_cell(_tags(place, digest), TAG_COLUMN) for place in found.places]
    runs = [
        (one, [one.environment, *_wrapped(one.named, RUN_COLUMN, 3)] if one.named else [one.environment])
        for one in found.runs
        if one.digest == digest
    ]
    runs = [
        (one, [*lines, *(_wrapped(f"✗ {one.problem}", RUN_COLUMN, 3) if one.problem else [])]) for one, lines in runs
    ]
    tall_runs = sum(12 + LINE * len(lines) for _, lines in runs) + 6 * max(len(runs) - 1, 0)
    tall = max(12 + LINE * (1 + len(scan)), *(12 + LINE * len(cell) for cell in cells), tall_runs)
    middle = y + tall // 2
    there = [at for at, cell in enumerate(cells) if cell] + ([len(cells)] if runs else [])
    if there:  # dots to the first place where this image is, and a line from each place to the next one
        body.append(f'<path class="line faint" d="M{HEAD_WIDE} {middle}H{starts[there[0]]}"/>')
        for left, right in itertools.pairwise(there):
            kind = "line" if right == left + 1 else "line faint"
            body.append(f'<path class="{kind}" d="M{starts[left]} {middle}H{starts[right]}"/>')
    body += _text("code", STRIP + 6, y + 20, head)
    body += _text("", STRIP + 6, y + 20 + LINE, scan)
    body += _badge(2, y, tall, letter, fill)
    for at, cell in enumerate(cells):
        if cell:
            body += _box("box", starts[at], y, PLACE_WIDE, tall, letter, fill, cell)
    top = y
    for run, lines in runs:
        height = tall if len(runs) == 1 else 12 + LINE * len(lines)
        kind = f"box {'wrong' if run.problem else 'run'}"
        body += _box(kind, starts[-1], top, RUNS_WIDE, height, letter, fill, lines, strong=1)
        top += height + 6
    return y + tall + 8


def _cell(tags: Sequence[str], column: int) -> list[str]:
    """The lines of a cell, not too many."""
    lines = [line for tag in tags for line in _wrapped(tag, column, 2)]
    return lines if len(lines) <= TAG_LINES else [*lines[: TAG_LINES - 1], "…"]


def _box(
    kind: str, x: int, y: int, width: int, height: int, letter: str, fill: str, lines: Sequence[str], strong: int = 0
) -> list[str]:
    box = f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="5"/>'
    first = _text("strong", x + STRIP + 8, y + 20, lines[:strong])
    others = _text("code", x + STRIP + 8, y + 20 + LINE * strong, lines[strong:])
    return [box, *_badge(x + 2, y + 2, height - 4, letter, fill), *first, *others]


def _badge(x: int, y: int, height: int, letter: str, fill: str) -> list[str]:
    """The letter of an image on its pattern."""
    middle = y + height // 2
    return [
        f'<rect x="{x}" y="{y}" width="{STRIP}" height="{height}" rx="4" fill="{fill}"/>',
        f'<rect class="plate" x="{x + 4}" y="{middle - 9}" width="{STRIP - 8}" height="18" rx="4"/>',
        *_text("strong middle", x + STRIP / 2, middle + 5, [letter]),
    ]
