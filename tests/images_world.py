"""What the tests of images have in common: one base image for a whole run of pytest, and small helpers."""

from __future__ import annotations

import io
import os
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from opslab.worlds.images import base
from opslab.worlds.images.build import Build, build
from opslab.worlds.images.layers import Item
from opslab.worlds.images.store import Image, Layer, Store, architecture

linux = pytest.mark.skipif(sys.platform != "linux", reason="images are run on Linux only")

TAG = "python:3-slim"


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> Path:
    """The cache of all stores, one for all workers of pytest-xdist: the base image takes a second to make."""
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if os.environ.get("PYTEST_XDIST_WORKER") else folder
    return folder / "images"


@pytest.fixture
def store(tmp_path, cache) -> Store:
    """A store with the base image."""
    store = Store(tmp_path / "store", cache)
    base.install(store, TAG)
    return store


class Desk:
    """A folder to build in, and a store."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder, self.store = folder, store
        folder.mkdir(exist_ok=True)

    def put(self, **files: str) -> None:
        """Write files; __ in a name is a dot, and ___ a slash: app__py."""
        for name, text in files.items():
            path = self.folder / name.replace("___", "/").replace("__", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def build(self, text: str = "", **how) -> Build:
        """Build, with this Dockerfile if there is one."""
        if text:
            (self.folder / "Dockerfile").write_text(text)
        return build(self.folder, self.store, **how)


@pytest.fixture
def desk(tmp_path, store) -> Desk:
    return Desk(tmp_path / "desk", store)


def layer_of(store: Store, *items: Item) -> Layer:
    """Keep a layer with these items."""
    return store.write_layer(items)


def image_of(store: Store, *layers: Layer, config: Mapping | None = None) -> Image:
    """Keep an image of these layers."""
    return store.add({"architecture": architecture(), "os": "linux", "config": dict(config or {})}, layers)


def tar_of(*members: tuple[str, dict], content: Mapping[str, bytes] | None = None) -> bytes:
    """An archive as anybody may write one: (name, what to set in its header)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, fields in members:
            head = tarfile.TarInfo(name)
            for field, value in fields.items():
                setattr(head, field, value)
            data = (content or {}).get(name, b"")
            head.size = len(data)
            archive.addfile(head, io.BytesIO(data))
    return out.getvalue()
