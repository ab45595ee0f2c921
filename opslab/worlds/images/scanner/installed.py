"""Which Python packages are installed: in a folder, in an image, or in a list.

    >>> in_list("Targ_Units==1.2.0 --hash=sha256:0123 # pinned\\n")
    [Package(name='targ-units', version='1.2.0', path='')]

A folder can be the unpacked files of an image, a virtual environment or a site-packages; it may have been written by anybody.
Nothing in it is run, and no link is followed.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from opslab.worlds.images.store import Image, Store

METADATA_BYTES = 1024 * 1024
LIST_BYTES = 4 * 1024 * 1024
ENTRIES = 300_000
"""Files and folders in what is scanned, at most."""

ABOUT = {".dist-info": "METADATA", ".egg-info": "PKG-INFO"}
"""Folders that say that a package is installed, and the file in them that says what it is called."""


class ScanError(RuntimeError):
    """Something cannot be scanned. Says what, why, and what to do."""


@dataclass(frozen=True, order=True)
class Package:
    """A package that is installed. path: where, as far as that is known."""

    name: str
    version: str
    path: str = ""


def in_folder(folder: str | Path) -> list[Package]:
    """The packages somewhere below a folder, in the order of their names. Raises ScanError.

    A folder NAME-VERSION.dist-info counts also where its METADATA is missing or damaged: the code beside it is still there.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ScanError(
            f"there is no folder {shown(folder)}. Name the unpacked files of an image, or a virtual environment."
        )
    found, seen = [], 0
    try:
        for above, folders, files in os.walk(folder):
            seen += len(folders) + len(files)
            if seen > ENTRIES:
                raise ScanError(
                    f"{shown(folder)} has more than {ENTRIES:,} files and folders, which is too much to scan"
                )
            for name in folders:
                if inner := ABOUT.get(os.path.splitext(name)[1]):
                    found.append(_package(Path(above, name, inner), Path(above, name).relative_to(folder)))
            for name in files:
                if name.endswith(".egg-info"):
                    found.append(_package(Path(above, name), Path(above, name).relative_to(folder)))
    except RecursionError:
        raise ScanError(f"{shown(folder)} has folders inside each other, too deep to scan") from None
    return sorted(found)


def _package(about: Path, path: Path) -> Package:
    """The package that a file of metadata is about. path: where it lies, seen from the scanned folder: …/NAME-VERSION.dist-info."""
    head = HeaderParser().parsestr(_read(about))
    name, _, version = path.stem.partition("-")
    return Package(str(head["Name"] or name).strip(), str(head["Version"] or version).strip(), str(path))


def _read(path: Path) -> str:
    """The text of an ordinary file; "" for anything else: a link, a pipe, what is missing."""
    if path.parent.is_symlink():
        return ""
    try:
        # Without waiting: opening a pipe would wait for somebody to write into it. (As opslab/plain.py does it, which cannot be
        # imported where this runs: in the jail, as a job of a pipeline.)
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return os.read(descriptor, METADATA_BYTES).decode("utf-8", "replace")
        return ""
    finally:
        os.close(descriptor)


def in_image(store: Store, image: Image) -> list[Package]:
    """The packages that somebody sees who runs an image of `opslab.worlds.images`."""
    from opslab.worlds.images import inspection

    return [Package(one.name, one.version, one.path) for one in inspection.packages(store, image)]


def in_list(text: str, name: str = "the list") -> list[Package]:
    """The packages of a list with exact versions, as `pip freeze` and `uv pip compile` write it. name: of the file, for messages.

    Raises ScanError for a line that leaves open which version will be installed.
    """
    if len(text) > LIST_BYTES:
        raise ScanError(f"{name} is larger than {LIST_BYTES:,} characters, which is too much for a list of packages")
    found = []
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        wanted = re.sub(r"\s--hash\S*|(^|\s)#.*", "", line).strip()
        if not wanted or wanted.startswith("--"):
            continue
        try:
            one = Requirement(wanted)
            (exact,) = one.specifier  # ValueError, if it is not just one
            if exact.operator not in ("==", "===") or exact.version.endswith("*"):
                raise ValueError(wanted)
        except (InvalidRequirement, ValueError):
            raise ScanError(
                f"{name} says {shown(wanted)!r}, which names no exact version. What is scanned is what gets installed: "
                "give the output of pip freeze, or a lock (name==version)."
            ) from None
        if one.marker is None or one.marker.evaluate():
            found.append(Package(canonicalize_name(one.name), exact.version))
    return sorted(found)


def shown(text: object, most: int = 120) -> str:
    """What somebody else wrote, as it may stand in a message: short, and without control characters."""
    clean = "".join(char if char.isprintable() else "?" for char in str(text))
    return clean if len(clean) <= most else f"{clean[: most - 1]}…"
