"""The pictures of module 05: the layers of an image and what a change makes anew; the way of an image into production."""

from __future__ import annotations

import datetime
import io
import re
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from images_world import Desk, cache, image_of, layer_of, linux  # noqa: F401  (cache is a fixture)
from test_forge_page import Outline

import opslab
from opslab import lab, wire
from opslab.scenarios.docker_pinning import promote
from opslab.server import World
from opslab.worlds.forge.commit_graph import Drawing
from opslab.worlds.images import picture
from opslab.worlds.images.build import last_build, last_image
from opslab.worlds.images.desk import REGISTRY, TEAM_NAME
from opslab.worlds.images.engine.commands import SENT, Commands, Work
from opslab.worlds.images.layers import Item
from opslab.worlds.images.picture import (
    BASE,
    LAPTOP,
    PLATFORM,
    TEAM,
    Place,
    Row,
    Runs,
    Stack,
    Way,
    draw_layers,
    draw_way,
)
from opslab.worlds.images.registry.team import Team
from opslab.worlds.images.scanner import audit, gate
from opslab.worlds.images.scanner.installed import Package
from opslab.worlds.images.store import Store

SVG = "{http://www.w3.org/2000/svg}"


def looked_at(drawing: Drawing) -> ElementTree.Element:
    """The picture, after what holds for all of them: it is sound, says all in words, and nothing is outside of it."""
    found = ElementTree.fromstring(drawing.svg)
    outline = Outline(drawing.svg)
    assert outline.open == [] and len(outline.ids) == len(set(outline.ids)) and "script" not in outline.tags
    assert found.findtext(f"{SVG}title") and found.findtext(f"{SVG}desc") == drawing.text
    assert {f"{name}" for name in found.get("aria-labelledby").split()} <= set(outline.ids)
    _, _, width, height = map(float, found.get("viewBox").split())
    for box in found.iterfind(f"{SVG}rect"):
        assert float(box.get("x")) + float(box.get("width")) <= width
        assert float(box.get("y")) + float(box.get("height")) <= height
    for text in found.iterfind(f"{SVG}text"):
        letter = 7.3 if "code" in text.get("class", "") else 7.6 if "strong" in text.get("class", "") else 7.2
        letter = 8.8 if text.get("class") == "title" else letter
        if not re.search("end|middle", text.get("class", "")):
            assert float(text.get("x")) + letter * len(text.text or "") <= width + 20, text.text
        assert float(text.get("y")) <= height
    return found


# ---- layers -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def desk(tmp_path: Path, cache: Path) -> Desk:  # noqa: F811
    """A folder and a store with a small image to begin with: COPY and WORKDIR need neither a jail nor Python."""
    store = Store(tmp_path / "store", cache)
    for tag, text in (("base:1", b"old"), ("base:2", b"new")):
        store.tag(tag, image_of(store, layer_of(store, Item("base.txt", "file", data=text))).digest)
    return Desk(tmp_path / "image", store)


DOCKERFILE = """\
FROM base:1
ENV WHO=you
WORKDIR /app
COPY lock.txt .
COPY app app
COPY end.txt .
CMD ["true"]
"""


def drawn(desk: Desk, name: str = "fees", **more: Any) -> SimpleNamespace:
    """The picture of an image: signs (of its own layers, the lowest first), text, last sentence. All took 0.0 s: machines differ."""
    found = picture.layers(desk.store, name, **more)
    looked_at(found)
    text, svg = (re.sub(r"\b\d\.\d s\b", "0.0 s", said) for said in (found.text, found.svg))
    first, *rows, last = text.split("\n")
    assert first.startswith(f"The layers of {name}") and rows.pop(0) == "line    size"
    mine = next((at for at, row in enumerate(rows) if row.startswith("Stage")), len(rows))
    signs = [row[15] for row in reversed(rows[:mine]) if row[15:16].strip()]
    return SimpleNamespace(signs="".join(signs), text=text, last=last, svg=svg, rows=rows)


def test_one_sees_what_a_change_in_one_file_makes_anew(desk: Desk) -> None:
    desk.put(lock__txt="1", app___main__py="1", end__txt="1")
    desk.build(DOCKERFILE, tag="fees")
    seen = drawn(desk)
    assert seen.signs == "▪·●●●●·" and seen.last == "The last build did 4 of 4 steps: not built before."
    assert 'class="rise"' not in seen.svg, "nothing had changed"
    desk.build(tag="fees")
    seen = drawn(desk)
    assert seen.signs == "▪·✓✓✓✓·" and seen.last.startswith("The last build took all of it from the cache")
    desk.put(app___main__py="22")
    desk.build(tag="fees")
    seen = drawn(desk)
    assert seen.signs == "▪·✓✓◆●·"
    assert "   5      2 B  ◆ not as before, 0.0 s  COPY app app" in seen.rows
    assert f"{'':39}changed: app/main.py" in seen.rows and f"{'':39}line 5 before it was built again" in seen.rows
    assert seen.last == "In the last build, line 5 was the first that is not as before: changed: app/main.py. 1 more step was done again; 2 came from the cache."  # fmt: skip
    assert seen.svg.count('class="rise"') == 1, "an arrow from there to the top"
    # Each state is in the picture as a sign with a word and a kind of line.
    assert re.findall(r'class="box (\w+)"', seen.svg) == ["anew", "changed", "cached", "cached", "base"]
    assert "line 5 · ◆ not as before, 0.0 s · changed: app/main.py" in seen.svg and "✓ from the cache" in seen.svg
    desk.build(tag="fees", cache=False)
    assert drawn(desk).last == "The last build did 4 of 4 steps: the cache was not asked."


def test_another_base_makes_everything_anew(desk: Desk) -> None:
    desk.put(a__txt="1")
    desk.build("FROM base:1\nCOPY . .\nWORKDIR /b\n", tag="fees")
    desk.store.tag("base:1", desk.store.find("base:2").digest)
    desk.build(tag="fees")
    seen = drawn(desk)
    assert seen.signs == "◆●●" and seen.last.startswith(
        "In the last build, line 1 was the first that is not as before: base:1 is another image than last time. 2 steps were"
    )
    assert f"FROM base:1@{desk.store.find('base:2').digest[:19]}…, 1 layer" in seen.text


def test_stages_of_which_only_files_are_in_the_image(desk: Desk) -> None:
    desk.put(a__txt="1")
    text = (
        "FROM base:2 AS made\nWORKDIR /app\nCOPY a.txt .\nFROM scratch\nWORKDIR /app\nCOPY --from=made /app/a.txt .\n"
    )
    desk.build(text, tag="fees")
    desk.put(a__txt="222")
    desk.build(tag="fees")
    seen = drawn(desk)
    # WORKDIR makes the same layer twice; each is told where it stands.
    assert seen.signs == "▪✓●" and [row[:4].strip() for row in seen.rows if row[15:16].strip()][:3] == ["6", "5", "4"]
    at = seen.rows.index("Stage made: only what COPY --from takes from it is in the image")
    assert [row[15] for row in seen.rows[at + 1 :] if row[15:16].strip()] == ["◆", "✓", "▪"]
    text = "FROM base:2 AS made\nWORKDIR /app\nCOPY a.txt .\nFROM base:2 AS other\nWORKDIR /app\nCOPY a.txt b.txt\n"
    desk.build(f"{text}FROM made\nCOPY --from=other /app/b.txt c.txt\n", tag="fees")
    seen = drawn(desk)
    at = seen.rows.index("Stage other: only what COPY --from takes from it is in the image")
    assert [row[:4].strip() for row in seen.rows[:at] if row[15:16].strip()] == ["8", "3", "2", "1"], (
        "all of made is in it"
    )


def test_what_was_not_built_here_and_notes_that_somebody_has_changed(desk: Desk) -> None:
    seen = drawn(desk, "base:1")
    assert seen.signs == "·" and seen.last == picture.FROM_ELSEWHERE and "(its history does not say)" in seen.text
    desk.put(a__txt="1")
    done = desk.build("FROM scratch\nCOPY a.txt .\n", tag="fees")
    assert drawn(desk).signs == "▪●" and "FROM scratch" in drawn(desk).text
    assert last_image(desk.store, desk.folder) == done.image.digest and last_image(desk.store, "/elsewhere") == ""
    known = last_build(desk.store, done.image.digest)
    assert [(step.line, step.why, step.layer) for step in known.steps][1:] == [
        (2, "not built before", done.steps[1].layer)
    ]
    for path in (desk.store.folder / "steps").iterdir():
        path.write_text('{"steps": [1], "kept": "x", "image": 7}')
    assert drawn(desk).last == picture.FROM_ELSEWHERE and last_image(desk.store, desk.folder) == ""


def test_a_folder_that_was_built_through_the_engine_is_found_again(desk: Desk, tmp_path: Path) -> None:
    engine = Commands(desk.store)
    home = tmp_path / "home"
    (home / "image").mkdir(parents=True)
    (tmp_path / "work").mkdir()
    with tarfile.open(tmp_path / "work" / SENT, "w") as archive:
        for name, text in {"Dockerfile": b"FROM base:1\nCOPY a.txt .\n", "a.txt": b"1"}.items():
            head = tarfile.TarInfo(name)
            head.size = len(text)
            archive.addfile(head, io.BytesIO(text))
    asked = {"place": str(home / "image"), "name": "image", "dockerfile": "Dockerfile", "tags": ["fees", "fees:2"]}
    built = engine.do("build", asked, Work(tmp_path / "work", lambda **line: None))["id"]
    here: Any = SimpleNamespace(store=desk.store, engine=SimpleNamespace(commands=engine))
    world = World(home, tmp_path / "state")
    assert world._image(here, "fees")[0].digest == built
    for asked_for in ("image", "~/image", "image/", str(home / "image")):
        found, name = world._image(here, asked_for)
        assert (found.digest, name) == (built, f"fees:2, fees:latest, built from {asked_for}")
    for asked_for, said in {"home": "no image home", "A b": "no name of an image"}.items():
        with pytest.raises(ValueError, match=said):
            world._image(here, asked_for)
    (home / "other").mkdir()
    with pytest.raises(ValueError, match="nothing was built from other yet: docker build -t NAME other"):
        world._image(here, "other")


def test_many_layers_and_long_names_fit() -> None:
    evil = '</title><script>alert(1)</script>&"\x1b[2J\ud800' + "x" * 300
    states = list(picture.STATES)
    rows = [Row(evil if at % 2 else "long " * 80, states[at % 6], 7**at, at, evil, 1000.0) for at in range(25)]
    found = draw_layers(f"The layers of {evil}", [Stack("", tuple(rows)), Stack(evil, tuple(rows[:2]))], evil)
    boxes = [float(box.get("y")) for box in looked_at(found).iterfind(f"{SVG}rect")]
    assert boxes == sorted(boxes) and len(set(boxes)) == len(boxes) > 20, "one below the other"
    assert "\x1b" not in found.text + found.svg and "<script" not in found.svg
    found.text.encode()
    assert len(found.text.split("\n")[5]) < 150
    assert looked_at(draw_layers("t", [Stack("", (Row("FROM scratch", BASE),))], "x")) is not None


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (17_249, "17.2 kB"), (999_600, "1 MB"), (88_800_000, "88.8 MB"), (3_000_000_000, "3 GB"), (None, "")],
)  # fmt: skip
def test_sizes_as_docker_says_them(size: int | None, words: str) -> None:
    assert picture.size_in_words(size) == words


# ---- the way ----------------------------------------------------------------------------------------------------------

SEED = 1
PUSHED = datetime.datetime(2026, 11, 18, 9, 0, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The desk of task 5.4, as far as the picture looks at it."""
    folder = tmp_path_factory.mktemp("way")
    home = folder / "home"
    promote.build(home, SEED, frozenset())
    store = Store(home / "store", folder / "cache")
    host = promote.ECR.partition("/")[0]
    desk = SimpleNamespace(
        home=home, seed=SEED, store=store, team=Team(home / REGISTRY, None), hosts=dict.fromkeys([TEAM_NAME, host], "")
    )
    promote.images(desk)  # type: ignore[arg-type]
    return desk


def way(laptop: Any, there: dict[str, list[str]] | None = None, **more: Any) -> SimpleNamespace:
    """The picture, with these images in the platform's account: rows (letter: cells), what stands below, last sentence."""

    def call(operation: str, *, repositoryName: str) -> dict[str, Any] | None:
        assert (operation, repositoryName) == ("describe_images", promote.REPOSITORY)
        details = [{"imageDigest": digest, "imageTags": tags, "imagePushedAt": PUSHED, **more} for digest, tags in (there or {}).items()]  # fmt: skip
        return None if there is None else {"imageDetails": details}

    found = picture.way(laptop, promote.REPOSITORY, call)
    looked_at(found)
    _, _, *rows, last = found.text.split("\n")
    cells = {row[0]: re.split(r"\s{2,}", row)[1:] for row in rows if row[:1].isupper() and row[1:3] == "  "}
    letters = {digest: letter for letter, (digest, *_) in cells.items()}
    names = {name: letters[picture.short(one.digest)] for name, one in promote.known(SEED).items()}
    return SimpleNamespace(rows=rows, cells=cells, last=last, svg=found.svg, names=names, text=found.text)


def test_at_the_start_production_runs_another_image_than_staging(laptop: Any) -> None:
    seen = way(laptop)
    assert seen.names == {"old": "A", "first": "B", "tested": "C", "arm": "D", "moved": "E", "next": "F"}, (
        "the oldest first"
    )
    assert seen.cells["A"][1:] == ["-", "1.3", "-"] and seen.cells["C"][1:] == ["-", "no tag", "-"]
    assert seen.cells["E"][1:] == ["-", "1.4, latest", "-"] and seen.cells["F"][1:] == ["1.5", "-", "-"]
    assert "platform's ECR: no such repository yet" in seen.rows
    below = {row[0]: following.strip() for row, following in zip(seen.rows, seen.rows[1:], strict=False)}
    assert below["A"] == "runs in production, by the tag 1.3, from the team's registry"
    assert below["C"] == "runs in staging, by digest, from the team's registry"
    assert (
        seen.last
        == "Staging runs C, and production A: another image. Production names a tag: what it means can change."
    )
    # The same letter and the same pattern wherever the same image is.
    fills = re.findall(r'fill="url\(#way-\w+-(\d)\)"', seen.svg)
    assert fills == ["0", "0", "0", "1", "1", "2", "2", "2", "3", "3", "4", "4", "5", "5"]


def test_when_it_is_done_both_run_the_same(laptop: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tested = promote.known(SEED)["tested"]
    production = laptop.home / "deploy" / "production.yaml"
    before = production.read_text()
    try:
        production.write_text(re.sub(r"image: .*", f'- "image": "{promote.ECR}:1.4@{tested.digest}"  # x', before))
        seen = way(laptop, {})
        assert "platform's ECR: empty" in seen.rows and 'class="box wrong"' in seen.svg
        assert seen.last == "Staging and production name the same image, C. What production names cannot be pulled: not in the platform's ECR."  # fmt: skip
        found = {"findingSeverityCounts": {"HIGH": 1, "LOW": 2}}
        laptop.store.load(tested.layout(tmp_path / "layout", f"{promote.ECR}:1.4"))
        seen = way(laptop, {tested.digest: ["1.4"]}, imageScanFindingsSummary=found)
        assert seen.cells["C"][1:] == ["ECR: 1.4", "no tag", "1.4"] and "   scan: 1 high, 2 low" in seen.rows
        assert seen.last == "Staging and production run the same image, C." and "wrong" not in re.sub(
            "<style.*", "", seen.svg
        )
        for line, said in {
            "image: data/loader:1.3": "Staging names C, and production",
            f"image: {promote.TEAM}:9": "production: not in the team's registry.",
            "image: evil.example/data/loader:1": "production: evil.example is not known.",
            "image: Data/": "production: no name of an image.",
            "kind: nothing": "production: ~/deploy/production.yaml does not name it.",
        }.items():
            production.write_text(line)
            assert said in way(laptop, {}).last or "nowhere" in way(laptop, {}).text, line
            assert "?  not known" in way(laptop, {}).text
        production.unlink()
        assert "production: there is no ~/deploy/production.yaml." in way(laptop, {}).last
    finally:
        production.write_text(before)


def test_what_a_scan_has_said_is_remembered(laptop: Any) -> None:
    findings = tuple(audit.Finding("a", "1", f"TSA-2026-000{at}") for at in (1, 2))
    package = Package("a", "1")
    digest = promote.known(SEED)["next"].digest

    def scan(*found: audit.Finding, unknown: Any = (), text: str = "") -> str:
        report = gate.decide(audit.Audit((package,), found, unknown), gate.read(text), "2026-11-18")
        picture.note_scan(laptop.store, digest, report)
        return picture.scanned(laptop.store, digest)

    exception = '[[exception]]\nid = "TSA-2026-0001"\npackage = "a"\nuntil = 2026-12-01\nwho = "ana"\nreason = "Nobody outside can reach what it is about."\n'
    assert scan(*findings) == "2 held back" and scan() == "passed"
    assert scan(unknown=((package, "no such package"),)) == "not all known"
    assert scan(findings[0], text=exception) == "passed, 1 excepted"
    seen = way(laptop)
    assert "   scan: passed, 1 excepted" in seen.rows and "excepted</text>" in seen.svg
    assert picture.scanned(laptop.store, promote.known(SEED)["old"].digest) == ""


def test_nothing_of_that_name(laptop: Any) -> None:
    with pytest.raises(LookupError, match="There is no data/other on the laptop, in the registries or in ~/deploy"):
        picture.way(laptop, "data/other")
    with pytest.raises(ValueError, match="capital letters"):
        picture.way(laptop, "Data/loader")
    assert "platform's ECR: not in this module" in picture.way(laptop, f"{promote.TEAM}:1.4").text


def test_many_images_and_long_names_fit() -> None:
    evil = '</title><script>alert(1)</script>&"\x1b[2J' + "x" * 300
    many = [f"sha256:{at:064x}"[:7] + f"{at:02}{'0' * 62}" for at in range(40)]
    places = [
        Place(LAPTOP, {digest: [evil, *"abcdefgh"] for digest in many[3:9]}),
        Place(TEAM, {digest: [f"build-{digest[7:9]}-{'y' * 100}"] for digest in many}),
        Place(PLATFORM, {}, evil),
    ]
    runs = [
        Runs("staging", evil, many[2]),
        *(Runs("production", evil, digest, evil) for digest in (many[4], "", many[4])),
    ]
    found = draw_way(Way(evil, places, runs, many, {many[2]: evil}))
    looked_at(found)
    letters = re.findall(r"(?m)^([A-Z])  (\d\d)", found.text)
    assert [digest for _, digest in letters] == ["02", "04", *(f"{at}" for at in range(30, 40))], (
        "what runs, and the newest"
    )
    assert "".join(letter for letter, _ in letters) == "ABCDEFGHIJKL" and "28 older images are not shown" in found.text
    assert max(map(len, found.text.split("\n")[1:-2])) < 150 and "\x1b" not in found.text
    none = draw_way(Way("data/loader", [Place(LAPTOP, {})], [], []))
    assert looked_at(none) is not None and none.text.startswith("The way of data/loader")


# ---- through the lab --------------------------------------------------------------------------------------------------


def test_what_a_notebook_shows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[dict[str, Any]] = []

    def ask(home: Path, op: str, **more: Any) -> dict[str, str]:
        asked.append({"op": op, **{name: value for name, value in more.items() if name != "tell"}})
        return {"text": "a", "html": "<p>a</p>"}

    monkeypatch.setattr(lab, "ask", ask)
    monkeypatch.setattr(lab, "here", lambda: tmp_path)
    for shown in (opslab.layers("image"), opslab.way("data/loader")):
        assert (str(shown), shown._repr_html_()) == ("a", "<p>a</p>")
    assert asked == [{"op": "layers", "image": "image"}, {"op": "way", "repository": "data/loader"}]


def test_a_module_without_images_says_so(tmp_path: Path) -> None:
    world = World(tmp_path / "home", tmp_path / "state")
    world.build(lambda line: None, "00_start_here")
    for op, name in (("layers", "image"), ("way", "data/loader")):
        with pytest.raises(wire.Refusal, match="There are no images in this module"):
            getattr(world, op)(lambda line: None, name)
    world.close()


@linux
@pytest.mark.slow
def test_on_the_desk_of_the_module(tmp_path: Path) -> None:
    world = World(tmp_path / "home", tmp_path / "state")
    told: list[str] = []
    try:
        world.build(told.append, "05_docker_pinning")
        seen = world.way(told.append, "data/loader")
        assert "Staging runs C, and production A: another image." in seen["text"] and "<svg" in seen["html"]
        assert "platform's ECR: no such repository yet" in seen["text"]
        assert world._cloud(told.append).ask("why") is None, "looking is no denial"
        assert "pulled or loaded" in world.layers(told.append, "data/loader:1.5")["text"]
        for asked, said in {"image": "Nothing was built from image yet: docker build -t NAME image.", "x" * 9: "There is no image"}.items():  # fmt: skip
            with pytest.raises(wire.Refusal, match=re.escape(said)):
                world.layers(told.append, asked)
        with pytest.raises(wire.Refusal, match="no name of an image: there are capital"):
            world.way(told.append, "Data")
        with pytest.raises(wire.Refusal, match="There is no data/fees on the laptop"):
            world.way(told.append, "data/fees")
    finally:
        world.close()
