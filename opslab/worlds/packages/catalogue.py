"""What was ever published on the index, when, and what is in it.

    >>> [release.version for release in releases(seed=1) if release.project == "pykontor"][-3:]
    ['2.9.0rc1', '2.9.0', '2.9.1']

`pykontor` is the driver of a database, and goes from 2.8 to 2.9 as psycopg2 did (https://www.psycopg.org/docs/news.html): a
minor version, released on a Tuesday, that changes three things and dies without a word where psycopg2 raises. The other
packages are Targ's own. Numbers that no story hangs on follow from the seed; the days and the 2.9 are those of every world.
"""

from __future__ import annotations

import functools
import hashlib
import random
from dataclasses import dataclass, field
from pathlib import Path

from packaging.version import Version

from opslab.worlds.packages import archive

SOURCES = Path(__file__).parent / "sources"
TAMPERED = SOURCES / "tampered.py"
"""What whoever tampers with a release adds to its first module."""

MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = (f"2026-11-{day}" for day in range(16, 21))
HOUR = "T06:00:00Z"
"""Everything is published at six in the morning (UTC)."""

SUMMARIES = {
    "pykontor": "The driver for Kontor, the database that fits in a folder",
    "targ-loader": "What all loaders of Targ need",
    "targ-metrics": "Numbers about a job, as lines of JSON",
    "targ-units": "Numbers as people write them",
}


@dataclass(frozen=True)
class Release:
    """A version of a project.

    day: when it was published, YYYY-MM-DD. sources: folders in sources/, whose files are laid one over the other.
    requires: its dependencies (PEP 508). yanked: why it was withdrawn; yanked_on: when. news: what has changed in it.
    """

    project: str
    version: str
    day: str
    sources: tuple[str, ...]
    requires: tuple[str, ...] = ()
    requires_python: str = ">=3.9"
    yanked: str = ""
    yanked_on: str = ""
    sdist: bool = False
    news: tuple[str, ...] = ()


@dataclass(frozen=True)
class File:
    """A wheel or an sdist. metadata: its core metadata; honest: False where somebody has tampered with it."""

    release: Release
    name: str
    data: bytes = field(repr=False)
    metadata: bytes = field(repr=False)
    honest: bool = True

    @functools.cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def is_wheel(self) -> bool:
        return self.name.endswith(".whl")


@functools.cache
def releases(seed: int) -> tuple[Release, ...]:
    """Every release of a world's index, those of a project in the order of their versions."""
    rng = random.Random(f"packages {seed}")
    old, last, units = rng.randint(3, 9), rng.randint(4, 8), rng.randint(2, 6)

    def driver(version: str, day: str, *more: str, news: tuple[str, ...], **yanked: str) -> Release:
        return Release("pykontor", version, day, ("pykontor/2.8", *more), sdist=True, news=news, **yanked)

    withdrawn = {"yanked": f"built from the wrong branch; use 2.8.{last}", "yanked_on": EIGHTS[last][0]}
    eights = [
        driver(f"2.8.{patch}", day, news=(news,), **(withdrawn if patch == last - 1 else {}))
        for patch, (day, news) in enumerate(EIGHTS[: last + 1])
    ]
    return (
        driver(f"2.7.{old}", "2024-10-08", news=("Tested with Python 3.13.",)),
        *eights,
        driver("2.9.0rc1", "2026-10-20", "pykontor/2.9.0", news=NINE),
        driver(
            "2.9.0",
            TUESDAY,
            "pykontor/2.9.0",
            news=NINE,
            yanked="kills the process where it should raise; use 2.9.1",
            yanked_on=FRIDAY,
        ),
        driver(
            "2.9.1",
            FRIDAY,
            "pykontor/2.9.0",
            "pykontor/2.9.1",
            news=("What a callback raises is raised again; the process died without a word.",),
        ),
        Release("targ-loader", "1.3.0", "2025-06-03", ("targ-loader/1",), ("pykontor>=2.7",)),
        Release("targ-loader", "1.4.0", "2026-03-24", ("targ-loader/1",), ("pykontor>=2.8",)),
        Release(
            "targ-loader",
            "1.5.0",
            WEDNESDAY,
            ("targ-loader/1", "targ-loader/1.5.0"),
            ("pykontor>=2.9",),
            news=("copy() loads into a table of any schema. Needs pykontor 2.9.",),
        ),
        Release("targ-metrics", f"0.6.{units}", "2025-09-16", ("targ-metrics/0",), ("targ-units>=1.0,<1.2",)),
        Release("targ-metrics", "0.7.0", "2026-06-09", ("targ-metrics/0",), ("targ-units>=1.1",)),
        Release("targ-units", "1.0.0", "2024-04-16", ("targ-units/1",)),
        Release("targ-units", f"1.1.{units}", "2025-07-01", ("targ-units/1",)),
        Release("targ-units", "1.2.0", "2026-05-12", ("targ-units/1",)),
        Release(
            "targ-units",
            "1.2.1",
            WEDNESDAY,
            ("targ-units/1", "targ-units/1.2.1"),
            news=("parse() no longer hangs on long input.",),
        ),
    )


EIGHTS = (
    ("2025-02-04", "The numbers of versions follow https://semver.org/ from here on, as far as we can foresee."),
    ("2025-04-08", "Examples for copy_expert() in the documentation."),
    ("2025-06-17", "Tested on macOS, too."),
    ("2025-09-02", "The documentation has a search."),
    ("2025-11-25", "Tested with Python 3.14."),
    ("2026-02-10", "The documentation says what happens to a transaction when a program ends."),
    ("2026-04-21", "Built with newer tools."),
    ("2026-07-07", "Typing errors in the documentation."),
    ("2026-09-15", "Tested on ARM, too."),
)
"""The releases of 2.8: when, and what was new. A world has the first five to nine of them."""

NINE = (
    "`with connection` begins a transaction, also with autocommit.",
    "copy_from() quotes the names of table and columns.",
    "tzinfo_factory is called with a timedelta instead of minutes. The default is datetime.timezone.",
    "Conversions moved to the native part, which is faster.",
)


def changes_of(release: Release, seed: int) -> str:
    """The changes up to a release, newest first; '' where nobody wrote any down."""
    this = Version(release.version)
    known = [
        one
        for one in releases(seed)
        if one.project == release.project
        and one.news
        and Version(one.version) <= this
        # What a release candidate had is said again by the release.
        and (one == release or not Version(one.version).is_prerelease)
    ]
    parts = ["# Changes\n"] if known else []
    for one in reversed(known):
        parts.append(f"## {one.version} ({one.day})\n\n" + "".join(f"- {line}\n" for line in one.news))
    return "\n".join(parts)


def metadata_of(release: Release, seed: int) -> str:
    """Core metadata, which a wheel has as METADATA and an sdist as PKG-INFO."""
    lines = [
        "Metadata-Version: 2.3",
        f"Name: {release.project}",
        f"Version: {release.version}",
        f"Summary: {SUMMARIES[release.project]}",
        "License: BSD-3-Clause",
        f"Requires-Python: {release.requires_python}",
        *(f"Requires-Dist: {one}" for one in release.requires),
        "Description-Content-Type: text/markdown",
    ]
    readme = (SOURCES / release.project / "README.md").read_text("utf-8")
    changes = changes_of(release, seed)
    return "\n".join([*lines, "", readme, *([changes] if changes else [])])


def content_of(release: Release, seed: int) -> dict[str, bytes]:
    """What a release puts into site-packages: path and bytes."""
    found: dict[str, bytes] = {}
    for source in release.sources:
        folder = SOURCES / source
        for path in sorted(folder.rglob("*.py")):
            found[path.relative_to(folder).as_posix()] = path.read_bytes()
    if changes := changes_of(release, seed):
        found[f"{release.project.replace('-', '_')}/CHANGES.md"] = changes.encode()
    return found


@functools.cache
def files_of(release: Release, seed: int, honest: bool = True) -> tuple[File, ...]:
    """The files of a release. honest: False gives those that somebody has tampered with: the same names, other bytes."""
    metadata, content = metadata_of(release, seed), content_of(release, seed)
    if not honest:
        first = next(path for path in content if path.endswith("/__init__.py"))
        content[first] += b"\n" + TAMPERED.read_bytes()
    makers = [archive.wheel, archive.sdist] if release.sdist else [archive.wheel]
    return tuple(File(release, *make(metadata, content), metadata.encode(), honest) for make in makers)
