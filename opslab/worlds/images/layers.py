"""Layers: tar archives that say what an image's files are, one change on top of the other.

    >>> from io import BytesIO
    >>> first, second = BytesIO(), BytesIO()
    >>> write(first, [Item("app", "dir", 0o755), Item("app/key", "file", 0o600, data=b"x")])
    >>> write(second, [Item("app/.wh.key", "file")])                        # a whiteout: app/key is deleted
    >>> tree = Tree()
    >>> for layer in first, second:
    ...     tree.apply(listing(layer))
    >>> list(tree.nodes), b"app/key" in first.getvalue()                    # gone from the image, but not from the layer
    (['app'], True)

`write` makes the same bytes of the same items on any machine: names in order, numeric owners, one fixed time. `listing` reads what anybody may have written. It follows nothing and
unpacks nothing; what no honest tool would write is refused, what has no place in a container is reported and left out.

The form of a layer: https://github.com/opencontainers/image-spec/blob/main/layer.md
"""

from __future__ import annotations

import posixpath
import stat
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from io import BytesIO
from typing import IO, NamedTuple, Protocol

EPOCH = 1767225600
"""2026-01-01T00:00:00Z, the time of everything in an image. Not 1970, because zip files, and so wheels, begin with 1980."""

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"

ENTRIES = 100_000
LAYER_BYTES = 2 * 1024**3
HEADER_BYTES = 1024 * 1024
"""What one read of a header may ask for. The names in it are shorter; an attribute of 1 GB is an attack."""

DEPTH = 100
"""Folders inside each other, at most."""

LINKS = 40
"""How many links one path may lead through, as in Linux."""


class LayerProblem(ValueError):
    """A layer that is damaged, or that no honest tool would write. Says what is wrong with it."""


class Node(NamedTuple):
    """One file, folder or link of an image. `layer` and `offset` say where a file's content stands."""

    kind: str
    mode: int
    uid: int
    gid: int
    size: int = 0
    link: str = ""
    offset: int = 0
    layer: str = ""


class Readable(Protocol):
    """Something with content."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Item:
    """What is to be written: kind is file, dir, link (to `target`) or hard (the same file as `target`). Times are not chosen.

    A file's content is `data`, or `size` bytes of what `source` opens.
    """

    path: str
    kind: str
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    target: str = ""
    data: bytes = b""
    source: Callable[[], AbstractContextManager[Readable]] | None = None
    size: int = 0


@dataclass
class Listing:
    """What is in a layer, in its order: (path, node). `remarks`: what was left out, and what is worth a look."""

    nodes: list[tuple[str, Node]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


KINDS = {"file": tarfile.REGTYPE, "dir": tarfile.DIRTYPE, "link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE}


def write(file: IO[bytes], items: Iterable[Item]) -> None:
    """Write a layer. Of two items with one path the later counts. Folders stand before what is in them."""
    chosen = {item.path: item for item in items}
    for path in sorted(chosen):
        item = chosen[path]
        head = tarfile.TarInfo(path)
        head.type, head.mode, head.uid, head.gid = KINDS[item.kind], item.mode, item.uid, item.gid
        head.mtime, head.linkname = EPOCH, item.target
        head.size = (item.size if item.source else len(item.data)) if item.kind == "file" else 0
        file.write(head.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
        if item.kind == "file":
            with item.source() if item.source else BytesIO(item.data) as source:
                _copy(source, file, head.size, path)
            file.write(bytes(-head.size % tarfile.BLOCKSIZE))
    file.write(bytes(2 * tarfile.BLOCKSIZE))


def _copy(source: Readable, target: IO[bytes], size: int, path: str) -> None:
    left = size
    while left:
        piece = source.read(min(left, 1024 * 1024))
        if not piece:
            raise LayerProblem(f"{path} became shorter while it was read; try again when nothing writes to it")
        target.write(piece)
        left -= len(piece)


# ---- reading what others wrote ----------------------------------------------------------------------------------------


class _Guarded:
    """A file that tarfile reads from, which refuses to read a header that is far too long into memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= HEADER_BYTES:
            raise LayerProblem(f"it has a header of {size:,} bytes; {HEADER_BYTES:,} is the most")
        return self.file.read(size)


def listing(file: IO[bytes], *, entries: int = ENTRIES, limit: int = LAYER_BYTES) -> Listing:
    """What is in a layer. file: the archive, not compressed, that can be searched in. Raises LayerProblem."""
    found = Listing()
    total = 0
    size = file.seek(0, 2)
    file.seek(0)
    try:
        with tarfile.open(fileobj=_Guarded(file), mode="r:", errors="surrogateescape") as archive:
            for head in archive:
                total += head.size
                if len(found.nodes) >= entries:
                    raise LayerProblem(f"it has more than {entries:,} entries")
                if total > limit:
                    raise LayerProblem(
                        f"its files have more than {limit:,} bytes together, with {printable(head.name)}"
                    )
                if head.sparse is not None or "GNU.sparse.major" in head.pax_headers:
                    raise LayerProblem(f"{printable(head.name)} is a sparse file, which no image has")
                archive.members.clear()  # else tarfile keeps them all
                _add(found, head)
            end = archive.offset
    except (tarfile.TarError, EOFError, OverflowError, UnicodeError, MemoryError, OSError, RecursionError) as error:
        raise LayerProblem(f"it is damaged: {error}") from None
    except ValueError as error:
        raise error if isinstance(error, LayerProblem) else LayerProblem(f"it is damaged: {error}") from None
    _check_end(file, end, size)
    return found


def _check_end(file: IO[bytes], end: int, size: int) -> None:
    """Tools disagree about what stands behind the end of an archive. So nothing may: else it could be hidden there."""
    file.seek(end)
    while piece := file.read(1024 * 1024):
        if piece.strip(b"\0"):
            raise LayerProblem(f"something stands behind its end, or it is damaged at byte {end:,} of {size:,}")


def _add(found: Listing, head: tarfile.TarInfo) -> None:
    shown = printable(head.name)
    path = clean(head.name)
    if path is None:
        raise LayerProblem(
            f"{shown} is no path inside an image: it is absolute, leads out with .., is far too deep or holds a strange character"
        )
    if not path:
        return  # the root itself
    mode = head.mode & 0o777
    if head.mode & (stat.S_ISUID | stat.S_ISGID) and head.isreg():
        found.remarks.append(f"{shown} is setuid or setgid: whoever starts it becomes its owner. Here it has no effect")
    if head.mode & stat.S_ISVTX and head.isdir():
        mode |= stat.S_ISVTX
    if not 0 <= head.uid < 2**31 or not 0 <= head.gid < 2**31:
        raise LayerProblem(f"{shown} belongs to a user who cannot be: {head.uid}:{head.gid}")
    if head.isreg():
        node = Node("file", mode, head.uid, head.gid, head.size, offset=head.offset_data)
    elif head.isdir():
        node = Node("dir", mode, head.uid, head.gid)
    elif head.issym():
        if not head.linkname or len(head.linkname) > 4096 or "\0" in head.linkname:
            raise LayerProblem(f"{shown} is a link that leads nowhere")
        node = Node("link", 0o777, head.uid, head.gid, link=head.linkname)
    elif head.islnk():
        target = clean(head.linkname)
        if not target:
            raise LayerProblem(f"{shown} is a hard link out of the image, to {printable(head.linkname)}")
        node = Node("hard", mode, head.uid, head.gid, link=target)
    else:
        what = "a device" if head.isdev() and not head.isfifo() else "a named pipe" if head.isfifo() else "no file"
        found.remarks.append(f"{shown} is {what}, and left out: a container has no such things of its own")
        return
    found.nodes.append((path, node))


def clean(name: str) -> str | None:
    """A path as it is written in a layer, without ./ in front and / behind; None where it leads out of the image."""
    if name.startswith("/") or ".." in name.split("/") or any(ord(char) < 32 or ord(char) == 127 for char in name):
        return None
    path = posixpath.normpath(name or ".")
    return "" if path == "." else path if len(path) <= 4096 and path.count("/") < DEPTH else None


def printable(name: str) -> str:
    """A name that somebody else chose, as it may stand in a message."""
    shown = name if len(name) <= 120 else f"{name[:60]}…{name[-50:]}"
    return "".join(char if char.isprintable() else char.encode("unicode_escape", "replace").decode() for char in shown)


# ---- the files of an image --------------------------------------------------------------------------------------------


class Tree:
    """The files of an image, seen through all its layers. Paths have no / in front; the root is ""."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.inside: dict[str, set[str]] = {"": set()}
        """The names in each folder."""

    def copy(self) -> Tree:
        """A tree of its own with the same files."""
        other = Tree()
        other.nodes, other.inside = dict(self.nodes), {path: set(names) for path, names in self.inside.items()}
        return other

    def apply(self, layer: Listing, digest: str = "") -> None:
        """Put a layer on top. digest: the name by which its content can be found again."""
        # A whiteout hides what lower layers have, never what stands in its own layer, wherever it stands in it.
        for path, _ in layer.nodes:
            folder, _, name = path.rpartition("/")
            if name == OPAQUE:
                for inner in list(self.inside.get(self.resolve(folder), ())):
                    self.remove(join(self.resolve(folder), inner))
            elif name.startswith(WHITEOUT):
                self.remove(join(self.resolve(folder), name[len(WHITEOUT) :]))
        last, place = "", ""
        for path, node in layer.nodes:
            folder, _, name = path.rpartition("/")
            if name.startswith(WHITEOUT):
                continue
            if folder != last:  # what is in one folder mostly stands together
                last, place = folder, self.make_folder(folder)
            real = join(place, name)
            if node.kind == "hard":
                source = self.resolve(node.link, last=False)
                node = self.nodes.get(source)
                if node is None or node.kind == "dir" or f"{source}/".startswith(f"{real}/"):
                    continue
            elif node.kind == "file":
                node = node._replace(layer=digest)
            self.add(real, node)

    def make_folder(self, path: str) -> str:
        """Make sure that a path leads to a folder, and say which one. Links are followed; one that leads nowhere gives way."""
        done = ""
        for part in path.split("/") if path else []:
            here = join(done, part)
            target = self.resolve(here)
            if target and target not in self.inside:
                self.add(here, Node("dir", 0o755, 0, 0))
                target = here
            done = target
        return done

    def add(self, path: str, node: Node) -> None:
        """Put a node at a path, in place of what is there. Folders that are missing on the way are made."""
        folder, _, name = path.rpartition("/")
        if folder not in self.inside:
            self.add(folder, Node("dir", 0o755, 0, 0))
        if node.kind != "dir" or path not in self.inside:
            self.remove(path)
        if node.kind == "dir":
            self.inside.setdefault(path, set())
        self.nodes[path] = node
        self.inside[folder].add(name)

    def remove(self, path: str) -> None:
        """Take a path away, with all that is below it."""
        if self.nodes.pop(path, None) is not None:
            folder, _, name = path.rpartition("/")
            self.inside[folder].discard(name)
            for inner in list(self.inside.get(path, ())):
                self.remove(join(path, inner))
            self.inside.pop(path, None)

    def below(self, path: str) -> Iterator[tuple[str, Node]]:
        """All that is in a folder, at any depth, in order."""
        for name in sorted(self.inside.get(path, ())):
            inner = join(path, name)
            yield inner, self.nodes[inner]
            yield from self.below(inner)

    def get(self, path: str) -> Node | None:
        """The node at a path, through links; None where there is nothing."""
        real = self.resolve(path)
        return Node("dir", 0o755, 0, 0) if not real else self.nodes.get(real)

    def resolve(self, path: str, last: bool = True) -> str:
        """Where a path leads, through the links of the image, which never lead out of it: above its root there is only itself.

        What is missing is kept as it is written. last=False: a link at the very end is not followed.
        """
        waiting = [part for part in reversed(path.split("/")) if part not in ("", ".")]
        done = ""
        followed = 0
        while waiting:
            part = waiting.pop()
            if part == "..":
                done = posixpath.dirname(done)
                continue
            here = join(done, part)
            node = self.nodes.get(here)
            if node is None or node.kind != "link" or (not waiting and not last) or followed >= LINKS:
                done = here
                continue
            followed += 1
            done = "" if node.link.startswith("/") else done
            waiting += [step for step in reversed(node.link.split("/")) if step not in ("", ".")]
        return done


def join(folder: str, name: str) -> str:
    """The path of a name in a folder of an image."""
    return f"{folder}/{name}" if folder else name
