"""Files that a client sends as a tar archive, put into a folder. The archive may have been made by anybody.

    >>> unpack(Path("sent.tar"), Path("work"))                                              # doctest: +SKIP

It has files, folders and links, each once, and nothing goes through a link. So whatever is in it ends in this folder.
"""

from __future__ import annotations

import os
from pathlib import Path

from opslab.worlds.images import layers
from opslab.worlds.images.layers import LayerProblem, printable

ENTRIES = 50_000
BYTES = 600 * 1024 * 1024
"""A little more than a build takes (`context.BYTES`), which says it in better words."""

PIECE = 1024 * 1024


def unpack(archive: Path, folder: Path) -> None:
    """Put what is in an archive into a new folder. Raises LayerProblem for what no client of ours sends.

    The rights of files are kept, as far as this process can still read them.
    """
    folder.mkdir()
    kinds = {"": "dir"}
    rights: list[tuple[Path, int]] = []
    with archive.open("rb") as file:
        for path, node in layers.listing(file, entries=ENTRIES, limit=BYTES).nodes:
            above = [path[:at] for at, char in enumerate(path) if char == "/"]
            for one in above:
                if kinds.setdefault(one, "dir") != "dir":
                    raise LayerProblem(f"{printable(path)} is to lie in {printable(one)}, which is no folder")
            if path in kinds and not kinds[path] == node.kind == "dir":
                raise LayerProblem(f"{printable(path)} is there twice")
            kinds[path] = node.kind
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if node.kind == "dir":
                target.mkdir(exist_ok=True)
                rights.append((target, node.mode | 0o700))
            elif node.kind == "link":
                target.symlink_to(node.link)
            elif node.kind == "file":
                _write(file, node, target)
                rights.append((target, node.mode | 0o400))
            else:
                raise LayerProblem(f"{printable(path)} is a hard link, and no client sends one")
    for target, mode in reversed(rights):
        target.chmod(mode)


def _write(file, node: layers.Node, target: Path) -> None:
    file.seek(node.offset)
    left = node.size
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as out:
        while left:
            piece = file.read(min(left, PIECE))
            if not piece:
                raise LayerProblem(f"{target.name} is cut off")
            out.write(piece)
            left -= len(piece)
