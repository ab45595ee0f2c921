"""Looks into images: what they are made of, which packages are in them, and whether a text is anywhere in them.

    >>> packages(store, image)[0]                                                           # doctest: +SKIP
    Package(name='clicks-driver', version='2.9.0', path='usr/local/lib/python3.11/site-packages/clicks_driver-2.9.0.dist-info')
    >>> for found in search(store, image, ["hunter2"]): print(found)                        # doctest: +SKIP
    layer 3 (COPY . .): app/.env, deleted by a later layer
    the history of the image

What a later layer deletes is no longer seen in a container, and still there for everybody who has the image: `search` looks
into every layer for itself, and into the config.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.parser import HeaderParser
from typing import IO

from opslab.worlds.images.layers import WHITEOUT, Listing, printable
from opslab.worlds.images.store import Image, Layer, Store, canonical

PIECE = 1024 * 1024


@dataclass(frozen=True)
class Made:
    """One line of an image's history. `layer` is None where the instruction made none."""

    by: str
    layer: Layer | None


@dataclass(frozen=True)
class Package:
    """A Python package that is installed in an image."""

    name: str
    version: str
    path: str


@dataclass(frozen=True)
class Found:
    """Where a text is: `layer` counts from 1; 0 is the config, and then `path` says which part of it."""

    text: str
    layer: int
    path: str
    by: str = ""
    deleted: bool = False

    def __str__(self) -> str:
        if not self.layer:
            return f"the {self.path} of the image"
        made = f" ({self.by[:60]})" if self.by else ""
        return f"layer {self.layer}{made}: {printable(self.path)}{', deleted by a later layer' if self.deleted else ''}"


def history(image: Image) -> list[Made]:
    """How an image came to be, oldest first, each line with its layer. An image without a history has a line for each layer."""
    waiting = list(image.layers)
    made = [
        Made(one["created_by"], None if one["empty_layer"] or not waiting else waiting.pop(0))
        for one in image.config["history"]
    ]
    return made + [Made("", layer) for layer in waiting]


def files(store: Store, layer: Layer) -> Listing:
    """What one layer has to say: its files, and its whiteouts, whose names begin with .wh."""
    return store.listing(layer)


def packages(store: Store, image: Image) -> list[Package]:
    """The Python packages that somebody sees who runs the image, by their *.dist-info/METADATA, in the order of their names."""
    tree = store.tree(image.layers)
    found = []
    for path, node in tree.nodes.items():
        if node.kind == "file" and re.search(r"\.dist-info/METADATA$", path):
            text = store.content(image.layers, node).decode("utf-8", "replace")
            head = HeaderParser().parsestr(text)
            if head["Name"] and head["Version"]:
                found.append(Package(str(head["Name"]), str(head["Version"]), path.rpartition("/")[0]))
    return sorted(found, key=lambda package: (package.name.lower(), package.path))


def search(store: Store, image: Image, texts: Sequence[str]) -> list[Found]:
    """Where any of these texts is in an image: in the files of every layer, their names, and the config with its history."""
    wanted = {text: text.encode() for text in texts if text}
    found = list(_in_config(image, wanted))
    by = {made.layer: made.by for made in history(image) if made.layer}
    tree = store.tree(image.layers)
    for number, layer in enumerate(image.layers, 1):
        listing = store.listing(layer)
        with store.open_layer(layer) as file:
            for text in _in_part(file, 0, layer_size(file), wanted):
                places = []
                for path, node in listing.nodes:
                    in_name = text in path or text in node.link
                    if in_name or (
                        node.kind == "file" and _in_part(file, node.offset, node.size, {text: wanted[text]})
                    ):
                        seen = tree.nodes.get(path)
                        hidden = not seen or (
                            node.kind == "file" and (seen.layer, seen.offset) != (layer.digest, node.offset)
                        )
                        gone = hidden and not path.rpartition("/")[2].startswith(WHITEOUT)
                        places.append(Found(text, number, path, by.get(layer, ""), gone))
                # In the archive, but in none of its files: then it is in a header, where nobody looks.
                found += places or [Found(text, number, "between the files", by.get(layer, ""))]
    return found


def layer_size(file: IO[bytes]) -> int:
    """How many bytes a file has."""
    return file.seek(0, 2)


def _in_config(image: Image, wanted: dict[str, bytes]) -> Iterator[Found]:
    config = image.run_config
    parts = {
        "history": [one["created_by"] + one["comment"] for one in image.config["history"]],
        "variables": config["Env"],
        "labels": config["Labels"],
        "command": [config["Entrypoint"], config["Cmd"], config["Healthcheck"]],
    }
    for text, data in wanted.items():
        escaped = canonical(text)[1:-1]
        for name, part in parts.items():
            if data in canonical(part) or escaped in canonical(part):
                yield Found(text, 0, name)


def _in_part(file: IO[bytes], offset: int, size: int, wanted: dict[str, bytes]) -> list[str]:
    """Which of the texts are in a part of a file."""
    longest = max(map(len, wanted.values()), default=0)
    found: set[str] = set()
    kept = b""
    at = 0
    while at < size:
        file.seek(offset + at)
        piece = file.read(min(PIECE, size - at))
        if not piece:
            break
        at += len(piece)
        both = kept + piece
        found |= {text for text, data in wanted.items() if data in both}
        kept = both[-(longest - 1) :] if longest > 1 else b""
    return [text for text in wanted if text in found]
