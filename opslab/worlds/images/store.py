"""Images on disk: a folder in the OCI image layout, which skopeo, podman and crane read as it is.

    >>> store = Store("workspace/images")                                                   # doctest: +SKIP
    >>> store.find("python:3-slim").digest                                                  # doctest: +SKIP
    'sha256:1c2f…'
    >>> [(one.name, one.remarks) for one in store.load("handed-in/image")]                  # doctest: +SKIP
    [('loader:1.0', ['bin/tool is setuid or setgid: …'])]

    oci-layout, index.json      which images there are, and what they are called
    blobs/sha256/3f0a…          manifests, configs and layers, each once, named by what is in it

A tag can be moved to another image; a digest cannot, because it is made of the image's bytes. An image that has lost its tag
stays, and is found by its digest.

What is expensive to make again and follows from digests alone (lists of files, unpacked layers) is in a cache, which all
stores of a course share. `load` reads layouts that anybody may have written: nothing in them is believed before it was checked.

https://github.com/opencontainers/image-spec (image-layout.md, manifest.md, config.md)
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import hashlib
import json
import os
import platform
import re
import shutil
import stat
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from opslab import course, plain
from opslab.worlds.forge.schema import Map, Maybe, Text, shaped
from opslab.worlds.images import layers as layer_files
from opslab.worlds.images import references
from opslab.worlds.images.layers import Item, LayerProblem, Listing, Node, Tree

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
PLAIN = (LAYER, "application/vnd.docker.image.rootfs.diff.tar")
ZIPPED = (f"{LAYER}+gzip", "application/vnd.docker.image.rootfs.diff.tar.gzip")
MANIFESTS = (MANIFEST, "application/vnd.docker.distribution.manifest.v2+json")

NAME = "org.opencontainers.image.ref.name"
"""The annotation of an index that says what an image is called."""

ZIP_LEVEL = 1
"""A third of the time of the usual level, for a tenth more bytes."""

JSON_BYTES = 1024 * 1024
LAYERS, IMAGES = 127, 200
BLOB_BYTES = 2 * 1024**3

NAMELESS = 20
"""Images built here that stay when their name has gone to another one."""

NOTES, YOUNG_SECONDS = 500, 600

DIGEST = references.DIGEST
DESCRIPTOR = {
    "mediaType": Text(200),
    "digest": DIGEST,
    "size": int,
    "annotations": Maybe(Map(Text(500), Text(4000)), {}),
    "platform": Maybe({"architecture": Text(50), "os": Text(50)}),
}
INDEX_SHAPE = {"schemaVersion": int, "manifests": [DESCRIPTOR]}
MANIFEST_SHAPE = {"schemaVersion": int, "mediaType": Maybe(Text(200), ""), "config": DESCRIPTOR, "layers": [DESCRIPTOR]}
WORDS, TABLE = Maybe([Text()], []), Maybe(Map(Text(), Text()), {})
CONFIG_SHAPE = {
    "architecture": Text(50),
    "os": Text(50),
    "created": Maybe(Text(50), ""),
    "config": Maybe(
        {
            "User": Maybe(Text(200), ""),
            "Env": WORDS,
            "Entrypoint": WORDS,
            "Cmd": WORDS,
            "WorkingDir": Maybe(Text(4096), ""),
            "Labels": TABLE,
            "ExposedPorts": Maybe(Map(Text(20), {}), {}),
            "StopSignal": Maybe(Text(20), ""),
            "Shell": WORDS,
            "Healthcheck": Maybe(
                {
                    "Test": WORDS,
                    **{name: Maybe(int) for name in ("Interval", "Timeout", "StartPeriod", "Retries")},
                }
            ),
        }
    ),
    "rootfs": {"type": re.compile("layers"), "diff_ids": [DIGEST]},
    "history": Maybe(
        [
            {
                "created": Maybe(Text(50), ""),
                "created_by": Maybe(Text(), ""),
                "comment": Maybe(Text(), ""),
                "empty_layer": Maybe(bool, False),
            }
        ],
        [],
    ),
}


class StoreError(ValueError):
    """An image or a layout that is not there, is damaged, or is not taken. Says why, and what to do."""


class ImageNotFound(StoreError):
    """A name that belongs to no image of this store."""


@dataclass(frozen=True)
class Layer:
    """One layer of an image: the blob, and the digest of its archive when it is not compressed."""

    digest: str
    size: int
    diff_id: str
    media_type: str = ZIPPED[0]


@dataclass(frozen=True)
class Image:
    """An image of a store. `config` is what OCI calls the image configuration, with everything it knows in its place."""

    digest: str
    layers: tuple[Layer, ...]
    config: Mapping[str, Any] = field(repr=False)

    @property
    def run_config(self) -> Mapping[str, Any]:
        """How it is run: User, Env, Entrypoint, Cmd, WorkingDir, Labels …"""
        return self.config["config"] or shaped({}, CONFIG_SHAPE["config"].shape)

    @property
    def chain(self) -> str:
        """One digest for the files of all its layers together (OCI: ChainID). "" for an image without layers."""
        return chain_id([layer.diff_id for layer in self.layers])


@dataclass(frozen=True)
class Loaded:
    """An image that was taken over from somebody else. `remarks`: what is worth a look, and what was left out of it."""

    name: str
    image: Image
    remarks: list[str]


def chain_id(diff_ids: Sequence[str]) -> str:
    """https://github.com/opencontainers/image-spec/blob/main/config.md#layer-chainid"""
    chain = ""
    for diff_id in diff_ids:
        chain = sha256(f"{chain} {diff_id}".encode()) if chain else diff_id
    return chain


def sha256(data: bytes) -> str:
    """The digest of some bytes, as OCI writes it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def canonical(value: Any) -> bytes:
    """JSON that comes out the same each time."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def architecture() -> str:
    """This machine, as images name it."""
    machine = platform.machine().lower()
    return {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}.get(machine, machine)


def shared_cache(near: str | Path) -> Path:
    """The folder that all stores of this course share: the base image, lists of files, unpacked layers."""
    return course.state(course.root() or near) / "images"


class Store:
    """The images in a folder, which is made where it is missing.

    cache: where lists of files and unpacked layers are kept (default: shared by the whole course).
    """

    def __init__(self, folder: str | Path, cache: str | Path | None = None) -> None:
        self.folder = Path(folder).absolute()
        self.cache = Path(cache).absolute() if cache else shared_cache(self.folder)
        self.blobs = self.folder / "blobs" / "sha256"
        self.blobs.mkdir(parents=True, exist_ok=True)
        # Unpacked files may be setuid and belong to anybody: nobody else on this machine is to reach them.
        self.cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not (self.folder / "oci-layout").exists():
            _replace(self.folder / "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        if not (self.folder / "index.json").exists():
            self._write_index([])

    # ---- names

    def _index(self) -> list[dict[str, Any]]:
        try:
            data = _Folder(self.folder).read("index.json", JSON_BYTES)
            return shaped(json.loads(data), INDEX_SHAPE)["manifests"]
        except (ValueError, RecursionError, OSError) as error:
            raise StoreError(
                f"{self.folder / 'index.json'} is damaged: {error}. Delete this folder and build again."
            ) from None

    def _write_index(self, manifests: list[dict[str, Any]]) -> None:
        entries = [{key: value for key, value in one.items() if value} for one in manifests]
        _replace(self.folder / "index.json", canonical({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}))

    @contextlib.contextmanager
    def _locked_index(self) -> Iterator[list[dict[str, Any]]]:
        """The entries of the index, to be changed: two builds at once must not lose each other's."""
        with (self.folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            manifests = self._index()
            yield manifests
            self._write_index(manifests)

    def tags(self) -> dict[str, str]:
        """Which image each name belongs to: name to digest."""
        named = {one["annotations"].get(NAME): one["digest"] for one in self._index()}
        return {name: named[name] for name in sorted(filter(None, named))}

    def digests(self) -> list[str]:
        """All images, those without a name as well, in the order in which they came."""
        return list(dict.fromkeys(one["digest"] for one in self._index()))

    def tag(self, name: str, digest: str) -> None:
        """Give an image this name. Whoever had it keeps its digest. Raises StoreError."""
        reference = _parsed(name)
        if reference.digest:
            raise StoreError(f"{name} names a digest; a name that can be given ends with :tag")
        size = len(self._json_blob(digest)[0])
        entry = {"mediaType": MANIFEST, "digest": digest, "size": size}
        with self._locked_index() as manifests:
            for one in manifests:
                if one["annotations"].get(NAME) == str(reference):
                    one["annotations"] = {}
            manifests.append({**entry, "annotations": {NAME: str(reference)}})
            _only_once(manifests)

    def untag(self, name: str) -> None:
        """Take a name away. The image stays, and is found by its digest."""
        reference = str(_parsed(name))
        with self._locked_index() as manifests:
            for one in manifests:
                if one["annotations"].get(NAME) == reference:
                    one["annotations"] = {}
            _only_once(manifests)

    def forget(self, digest: str) -> None:
        """Take an image away, with all its names. Its blobs go with those that nobody needs, at one of the next builds."""
        with self._locked_index() as manifests:
            manifests[:] = [one for one in manifests if one["digest"] != digest]

    def find(self, name: str) -> Image:
        """The image of a name or of a digest: python:3-slim, python@sha256:…, sha256:…. Raises ImageNotFound, which says what is there."""
        if DIGEST.fullmatch(name):
            digest, reference = name, None
        else:
            reference = _parsed(name)
            digest = reference.digest or self.tags().get(str(reference), "")
        if digest and any(one["digest"] == digest for one in self._index()):
            return self.image(digest)
        raise ImageNotFound(self._not_here(name, reference))

    def _not_here(self, name: str, reference: references.Reference | None) -> str:
        tags = self.tags()
        if reference is None or reference.digest:
            return f"there is no image {name} on this machine. A digest names exactly one image, and this one was never here."
        path = reference.path.removeprefix("library/")
        here = [tag for tag in tags if references.parse(tag).path == path]
        if reference.host:
            leaves = (
                "is Docker Hub, on the internet"
                if reference.host in references.HUB
                else "would have to be asked for it"
            )
            first = f"{reference.host} {leaves}, and nothing here leaves this machine: {name} is not fetched."
        else:
            first = f"there is no image {name} on this machine, and nothing is fetched from Docker Hub."
        if here:
            return f"{first} Here there is {', '.join(here[:5])}."
        return f"{first} There are: {', '.join(list(tags)[:8]) or 'no images yet'}."

    # ---- blobs

    def put(self, data: bytes) -> str:
        """Keep some bytes; gives their digest."""
        digest = sha256(data)
        if not self.blob(digest).exists():
            _replace(self.blob(digest), data)
        return digest

    @contextlib.contextmanager
    def new_blob(self) -> Iterator[NewBlob]:
        """A file to write a blob into. It is kept, under its digest, when the block ends without an exception."""
        with tempfile.NamedTemporaryFile(dir=self.blobs, prefix=".new-", delete=False) as file:
            blob = NewBlob(file)
            try:
                yield blob
                file.flush()
                blob.digest, blob.size = _digest_of(Path(file.name))
                os.chmod(file.name, 0o644)
                os.replace(file.name, self.blob(blob.digest))
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise

    def write_layer(self, items: Iterable[Item]) -> Layer:
        """Make a layer of these items and keep it.

        Blobs are compressed, because skopeo and others compress what is not when they push it, and then it has another digest.
        """
        plain = self.cache / "layers"
        plain.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=plain, prefix=".new-", delete=False) as file:
            try:
                layer_files.write(file, items)
                file.flush()
                diff_id, _ = _digest_of(Path(file.name))
                with self.new_blob() as blob:
                    _zip(Path(file.name), blob.file)
                os.replace(file.name, plain / diff_id.removeprefix("sha256:"))
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
        return Layer(blob.digest, blob.size, diff_id)

    def blob(self, digest: str) -> Path:
        """Where a blob stands, or would stand. Raises StoreError for what is no digest."""
        if not DIGEST.fullmatch(digest):
            raise StoreError(f"{digest[:80]!r} is no digest")
        return self.blobs / digest.removeprefix("sha256:")

    def _json_blob(self, digest: str) -> tuple[bytes, Any]:
        try:
            data = _Folder(self.folder).read(f"blobs/sha256/{self.blob(digest).name}", JSON_BYTES)
            if sha256(data) != digest:
                raise StoreError("its bytes were changed")
            return data, json.loads(data)
        except (OSError, ValueError, RecursionError) as error:
            raise StoreError(f"{digest} is missing or damaged in {self.folder}: {error}") from None

    # ---- images

    def image(self, digest: str) -> Image:
        """The image whose manifest has this digest. Raises StoreError."""
        return _image(digest, self._json_blob(digest)[1], lambda inner: self._json_blob(inner)[1])

    def add(self, config: Mapping[str, Any], layers: Sequence[Layer]) -> Image:
        """Make an image of a config (without rootfs) and layers that are here, and keep it."""
        config = {**config, "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]}}
        data = canonical(config)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": self.put(data), "size": len(data)},
            "layers": [{"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size} for layer in layers],
        }
        data = canonical(manifest)
        digest = self.put(data)
        self._keep(digest, len(data))
        return self.image(digest)

    def _keep(self, digest: str, size: int) -> None:
        with self._locked_index() as manifests:
            manifests.append({"mediaType": MANIFEST, "digest": digest, "size": size, "annotations": {}})
            _only_once(manifests)

    # ---- what is in them

    @contextlib.contextmanager
    def open_layer(self, layer: Layer) -> Iterator[IO[bytes]]:
        """The archive of a layer, not compressed. Raises StoreError."""
        with self._opened_layer(layer) as file:
            yield file

    def _opened_layer(self, layer: Layer) -> IO[bytes]:
        for _ in range(3):  # where the cache is full, another process may just be taking it away
            with contextlib.suppress(FileNotFoundError):
                return self.layer_file(layer).open("rb")
        raise StoreError(f"the layer {layer.digest} is missing in {self.folder}")

    def layer_file(self, layer: Layer) -> Path:
        """Where the archive of a layer stands, not compressed."""
        blob = self.blob(layer.digest)
        if layer.media_type in PLAIN:
            return blob
        plain = self.cache / "layers" / layer.diff_id.removeprefix("sha256:")
        with contextlib.suppress(FileNotFoundError):
            os.utime(plain)  # it was used: see `Rootfs`, which removes what was not
            return plain
        self._unzip_layer(layer)
        return plain

    def _unzip_layer(self, layer: Layer) -> None:
        """Put the archive of a layer into the cache, if it is the one that its image names."""
        plain = self.cache / "layers" / layer.diff_id.removeprefix("sha256:")
        plain.parent.mkdir(exist_ok=True)
        with _replacing(plain) as file, self.blob(layer.digest).open("rb") as zipped:
            _unzip(zipped, file)
            file.flush()
            if _digest_of(Path(file.name))[0] != layer.diff_id:
                raise StoreError(f"the layer {layer.digest} does not hold what its image says")

    def listing_file(self, layer: Layer) -> Path:
        """The JSON file with what is in a layer. Raises LayerProblem."""
        self.listing(layer)
        return self._kept_listing(layer)

    def _kept_listing(self, layer: Layer) -> Path:
        return self.cache / "listings" / f"{layer.diff_id.removeprefix('sha256:')}.json"

    def listing(self, layer: Layer) -> Listing:
        """What is in a layer. Raises LayerProblem."""
        kept = self._kept_listing(layer)
        with contextlib.suppress(OSError, ValueError, TypeError):
            return _listing_in(kept)
        with self.open_layer(layer) as file:
            found = layer_files.listing(file)
        kept.parent.mkdir(exist_ok=True)
        _replace(kept, canonical({"nodes": [[path, *node] for path, node in found.nodes], "remarks": found.remarks}))
        return found

    def tree(self, layers: Sequence[Layer]) -> Tree:
        """The files that these layers make together. Raises LayerProblem."""
        tree = Tree()
        for layer in layers:
            tree.apply(self.listing(layer), layer.digest)
        return tree

    def read(self, image: Image, path: str, limit: int = JSON_BYTES) -> bytes | None:
        """A file of an image, up to `limit` bytes of it; None where there is no such file. Links are followed inside the image."""
        node = self.tree(image.layers).get(path.lstrip("/"))
        if node is None or node.kind != "file":
            return None
        return self.content(image.layers, node, limit)

    def content(self, layers: Sequence[Layer], node: Node, limit: int = JSON_BYTES) -> bytes:
        """The content of a file that a tree of these layers has."""
        layer = next(layer for layer in layers if layer.digest == node.layer)
        with self.open_layer(layer) as file:
            file.seek(node.offset)
            return file.read(min(node.size, limit))

    # ---- what builds remember

    def remember(self, key: str, value: Any) -> None:
        """Keep a note under a digest: what a build knows of its steps."""
        (self.folder / "steps").mkdir(exist_ok=True)
        _replace(self.folder / "steps" / key.removeprefix("sha256:"), canonical(value))

    def remembered(self, key: str) -> dict[str, Any] | None:
        """The note; None where there is none that can be read."""
        try:
            found = json.loads((self.folder / "steps" / key.removeprefix("sha256:")).read_bytes())
            return found if isinstance(found, dict) else None
        except (OSError, ValueError, RecursionError):
            return None

    def built(self, digest: str) -> None:
        """Say that an image was built here. Of those that have lost their name, the last few are kept, with what they need."""
        note = sha256(b"built")
        with self._locked_index() as manifests:
            order = [one for one in (self.remembered(note) or {}).get("images", []) if one != digest] + [digest]
            named = {one["digest"] for one in manifests if one["annotations"].get(NAME)}
            nameless = [one for one in order if one not in named]
            gone = set(nameless[:-NAMELESS])
            manifests[:] = [one for one in manifests if one["digest"] not in gone]
            self.remember(note, {"images": [one for one in order if one not in gone]})
        if gone:
            self._collect()

    def _collect(self) -> None:
        """Delete old notes, and blobs that belong neither to an image nor to a note."""
        now = time.time()
        notes = sorted((self.folder / "steps").iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in notes[NOTES:]:
            path.unlink(missing_ok=True)
        needed = {(self.remembered(f"sha256:{path.name}") or {}).get("digest") for path in notes[:NOTES]}
        for entry in self._index():
            manifest = self._json_blob(entry["digest"])[1]
            needed |= {entry["digest"], manifest["config"]["digest"], *(one["digest"] for one in manifest["layers"])}
        for path in self.blobs.iterdir():
            # What is young may belong to a build that is still going on.
            if f"sha256:{path.name}" not in needed and now - path.stat().st_mtime > YOUNG_SECONDS:
                path.unlink(missing_ok=True)

    # ---- to and from other places

    def export(self, image: Image, folder: str | Path, name: str = "") -> Path:
        """Write an image, with all it needs, as an OCI layout of its own: `skopeo copy oci:FOLDER:NAME …`. Gives the folder."""
        other = Store(folder, self.cache)
        manifest = self._json_blob(image.digest)[1]
        for digest in (image.digest, manifest["config"]["digest"], *(layer.digest for layer in image.layers)):
            other.take_blob(self, digest)
        other._keep(image.digest, self.blob(image.digest).stat().st_size)
        if name:
            other.tag(name, image.digest)
        return other.folder

    def take(self, other: Store, digest: str, name: str = "") -> Image:
        """Take an image over from another store of ours, whose bytes are believed."""
        other.export(other.image(digest), self.folder, name)
        return self.image(digest)

    def take_blob(self, other: Store, digest: str) -> None:
        """Take a blob over. It is the same file on the disk where that can be."""
        if not self.blob(digest).exists():
            new = self.blob(digest).with_name(f".new-{os.getpid()}-{self.blob(digest).name}")
            new.unlink(missing_ok=True)
            try:
                os.link(other.blob(digest), new)
            except OSError:
                shutil.copyfile(other.blob(digest), new)
            os.replace(new, self.blob(digest))

    def load(self, source: str | Path) -> list[Loaded]:
        """Take images over from a layout that anybody may have written: a folder, or a tar archive of one.

        Every digest is computed again, every layer is looked through, nothing is unpacked. Raises StoreError for a layout that is
        damaged or hostile; then nothing of it is here.
        """
        source = Path(source)
        try:
            with _open_layout(source) as layout:
                json.loads(layout.read("oci-layout", JSON_BYTES))
                index = shaped(json.loads(layout.read("index.json", JSON_BYTES)), INDEX_SHAPE)
                if len(index["manifests"]) > IMAGES:
                    raise StoreError(f"it has more than {IMAGES} images")
                found = [self._load(layout, _for_this_machine(layout, entry)) for entry in index["manifests"]]
        except FileNotFoundError as error:
            raise StoreError(f"{source.name} is no OCI layout: {Path(error.filename or '').name} is missing") from None
        except (OSError, ValueError, RecursionError) as error:
            raise StoreError(f"{source.name} is not taken: {error}") from None
        for one in found:
            self._keep(one.image.digest, self.blob(one.image.digest).stat().st_size)
            if one.name:
                self.tag(one.name, one.image.digest)
        return found

    def _load(self, layout: _Folder | _Archive, entry: dict[str, Any]) -> Loaded:
        if entry["mediaType"] not in MANIFESTS:
            raise StoreError(f"it has {layer_files.printable(entry['mediaType'])} where an image is expected")

        def json_of(digest: str) -> Any:
            data = layout.read(f"blobs/sha256/{digest[7:]}", JSON_BYTES)
            if sha256(data) != digest:
                raise StoreError(f"the bytes of {digest} are not those that the digest stands for")
            return json.loads(data)

        image = _image(entry["digest"], json_of(entry["digest"]), json_of)
        config = shaped(json_of(entry["digest"]), MANIFEST_SHAPE)["config"]["digest"]
        remarks = []
        for layer in image.layers:
            if not self.blob(layer.digest).exists():
                with layout.open(f"blobs/sha256/{layer.digest[7:]}") as file, self.new_blob() as blob:
                    _copy(file, blob.file, BLOB_BYTES)
                if blob.digest != layer.digest:
                    raise StoreError(f"the bytes of the layer {layer.digest} are not those that the digest stands for")
            if layer.media_type in PLAIN and layer.digest != layer.diff_id:
                raise StoreError(f"the layer {layer.digest} is not the one that its config says, {layer.diff_id}")
            try:
                if layer.media_type in ZIPPED:
                    self._unzip_layer(layer)  # also where the cache has such an archive: this blob could be another one
                remarks += self.listing(layer).remarks
            except LayerProblem as error:
                self.blob(layer.digest).unlink()
                raise StoreError(f"the layer {layer.digest[:19]}…: {error}") from None
        for digest in (config, image.digest):
            self.put(layout.read(f"blobs/sha256/{digest[7:]}", JSON_BYTES))
        name = entry["annotations"].get(NAME, "")
        try:
            name = str(references.parse(name)) if name else ""
        except references.NameProblem as error:
            remarks.append(f"its name is left out: {error}")
            name = ""
        return Loaded(name, image, remarks)


@dataclass
class NewBlob:
    """A blob that is being written; digest and size are known when it is done."""

    file: IO[bytes]
    digest: str = ""
    size: int = 0


def _image(digest: str, manifest: Any, json_of: Any) -> Image:
    """An image of its JSON. json_of: gives the JSON of a digest. Raises StoreError."""
    try:
        manifest = shaped(manifest, MANIFEST_SHAPE)
        config = shaped(json_of(manifest["config"]["digest"]), CONFIG_SHAPE)
    except ValueError as error:
        raise StoreError(f"{digest} is no image: {error}") from None
    diff_ids = config["rootfs"]["diff_ids"]
    if len(diff_ids) != len(manifest["layers"]) or len(diff_ids) > LAYERS:
        raise StoreError(
            f"{digest} has {len(manifest['layers'])} layers and names {len(diff_ids)}; {LAYERS} is the most"
        )
    layers = []
    for layer, diff_id in zip(manifest["layers"], diff_ids, strict=True):
        if layer["mediaType"] not in (*PLAIN, *ZIPPED):
            raise StoreError(
                f"the layer {layer['digest'][:19]}… is {layer['mediaType']}; only tar and tar+gzip are read"
            )
        layers.append(Layer(layer["digest"], layer["size"], diff_id, layer["mediaType"]))
    return Image(digest, tuple(layers), config)


def _for_this_machine(layout: _Folder | _Archive, entry: dict[str, Any]) -> dict[str, Any]:
    """Of an index of images for several machines, the one for this machine."""
    if entry["mediaType"] not in (INDEX, "application/vnd.docker.distribution.manifest.list.v2+json"):
        return entry
    data = layout.read(f"blobs/sha256/{entry['digest'][7:]}", JSON_BYTES)
    if sha256(data) != entry["digest"]:
        raise StoreError(f"the bytes of {entry['digest']} are not those that the digest stands for")
    for one in shaped(json.loads(data), INDEX_SHAPE)["manifests"]:
        if one["platform"] == {"architecture": architecture(), "os": "linux"}:
            return {**one, "annotations": entry["annotations"]}
    raise StoreError(f"{entry['digest'][:19]}… has no image for linux/{architecture()}")


def _parsed(name: str) -> references.Reference:
    try:
        return references.parse(name)
    except references.NameProblem as error:
        raise StoreError(str(error)) from None


def _only_once(manifests: list[dict[str, Any]]) -> None:
    """Take doubles out of an index, and entries without a name where the image has one."""
    named = {one["digest"] for one in manifests if one["annotations"].get(NAME)}
    seen: set[tuple[str, str]] = set()
    kept = []
    for one in manifests:
        key = (one["digest"], one["annotations"].get(NAME, ""))
        if key not in seen and (key[1] or one["digest"] not in named):
            kept.append(one)
        seen.add(key)
    manifests[:] = sorted(kept, key=lambda one: (one["annotations"].get(NAME, ""), one["digest"]))


# ---- files ------------------------------------------------------------------------------------------------------------


class _Folder:
    """Files of a folder that somebody else wrote. Links are not followed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        try:
            file = plain.open_file(self.folder / name)
        except OSError as error:
            if error.errno == errno.EINVAL:
                raise StoreError(f"{name} is no file") from None
            raise
        with file:
            yield file

    def read(self, name: str, limit: int) -> bytes:
        with self.open(name) as file:
            return _limited(file, name, limit)


class _Archive:
    """Files of a tar archive that somebody else wrote. It is not unpacked."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.nodes = {path: node for path, node in layer_files.listing(file, limit=4 * BLOB_BYTES).nodes}

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        node = self.nodes.get(name)
        if node is None or node.kind != "file":
            raise FileNotFoundError(2, "missing in the archive", name)
        with tempfile.TemporaryFile() as part:
            self.file.seek(node.offset)
            left = node.size
            while left and (piece := self.file.read(min(left, 1024 * 1024))):
                part.write(piece)
                left -= len(piece)
            part.seek(0)
            yield part

    def read(self, name: str, limit: int) -> bytes:
        with self.open(name) as file:
            return _limited(file, name, limit)


@contextlib.contextmanager
def _open_layout(source: Path) -> Iterator[_Folder | _Archive]:
    if stat.S_ISDIR(os.lstat(source).st_mode):
        yield _Folder(source)
    else:
        with _Folder(source.parent).open(source.name) as file:
            yield _Archive(file)


def _limited(file: IO[bytes], name: str, limit: int) -> bytes:
    data = file.read(limit + 1)
    if len(data) > limit:
        raise StoreError(f"{name} has more than {limit:,} bytes")
    return data


def _copy(source: IO[bytes], target: IO[bytes], limit: int) -> None:
    total = 0
    while piece := source.read(1024 * 1024):
        total += len(piece)
        if total > limit:
            raise StoreError(f"a layer has more than {limit:,} bytes")
        target.write(piece)


def _zip(source: Path, target: IO[bytes]) -> None:
    """gzip without a name and a time in its head, and so the same each time."""
    work = zlib.compressobj(ZIP_LEVEL, zlib.DEFLATED, 31)
    with source.open("rb") as file:
        while piece := file.read(1024 * 1024):
            target.write(work.compress(piece))
    target.write(work.flush())


def _unzip(source: IO[bytes], target: IO[bytes]) -> None:
    """gzip, with an end: a few kilobytes can stand for terabytes."""
    unzip = zlib.decompressobj(31)
    total = 0
    while piece := source.read(64 * 1024):
        while piece:
            try:
                plain = unzip.decompress(piece, 1024 * 1024)
            except zlib.error as error:
                raise LayerProblem(f"it is no gzip, or damaged: {error}") from None
            total += len(plain)
            if total > layer_files.LAYER_BYTES:
                raise LayerProblem(f"it unpacks to more than {layer_files.LAYER_BYTES:,} bytes")
            target.write(plain)
            if unzip.eof:  # gzip files may stand one behind the other
                piece, unzip = unzip.unused_data.lstrip(b"\0"), zlib.decompressobj(31)
            else:
                piece = unzip.unconsumed_tail


@functools.lru_cache(maxsize=32)
def _listing_in(kept: Path) -> Listing:
    """What a file of the cache says. It is never another: its name is the digest of what it is about."""
    found = json.loads(kept.read_bytes())
    return Listing([(path, Node(*node)) for path, *node in found["nodes"]], found["remarks"])


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A new file that takes the place of another when it is complete."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".new-", delete=False) as file:
        try:
            yield file
            file.flush()
            os.chmod(file.name, 0o644)
            os.replace(file.name, path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _replace(path: Path, data: bytes) -> None:
    with _replacing(path) as file:
        file.write(data)


def _digest_of(path: Path) -> tuple[str, int]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return f"sha256:{digest.hexdigest()}", file.tell()
