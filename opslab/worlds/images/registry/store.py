"""Where a registry keeps its images: plain files in a folder, which is an OCI layout, too.

    oci-layout, index.json          the layout: `skopeo inspect oci:FOLDER:clicks/loader:1.0`
    blobs/sha256/3f0a…              layers, configs and manifests, each once
    repositories/clicks+loader.json what belongs to clicks/loader: its tags, manifests and blobs
    uploads/clicks+loader/<uuid>    what has arrived so far of a blob

A blob is in `uploads` until its digest is known to be right, and gets its name in `blobs` in one step; a repository's file is
replaced in one step, by one writer at a time. So whoever reads sees all of a blob, manifest or tag, or nothing, whenever a push
or this process is cut off. Nothing is remembered in memory that is not in the files.

    >>> from opslab.worlds.images.registry.store import Store
    >>> store = Store("workspace/registry")                                                     # doctest: +SKIP
    >>> store.add_layout("clicks/loader", "workspace/image", tag="1.0")                         # doctest: +SKIP
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import fcntl
import hashlib
import json
import os
import time
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from opslab import plain
from opslab.worlds.images.registry import manifests, names
from opslab.worlds.images.registry.errors import RegistryError
from opslab.worlds.images.registry.manifests import Manifest

MEGABYTE = 1024 * 1024
PIECE = MEGABYTE

ALONE_SECONDS = 1
"""So long a request waits for an upload that another one has not quite finished with."""

GRACE_SECONDS = 3600
"""So long a blob without an image, or an upload that nobody continues, is kept by `Store.collect`."""

HASHES = 64
"""So many uploads have their digest computed while they arrive. Of more, it is computed at the end."""

RECORD_LIMIT = 16 * MEGABYTE


@dataclass(frozen=True)
class Limits:
    """What a registry takes: bytes of a blob, of a manifest and in all; how many uploads may be under way in one repository, how
    many repositories there may be, and how many tags, manifests and blobs a repository may have together."""

    blob: int = 2048 * MEGABYTE
    manifest: int = 4 * MEGABYTE
    total: int = 8192 * MEGABYTE
    uploads: int = 32
    repositories: int = 1000
    entries: int = 10_000


LIMITS = Limits()


@dataclass
class Record:
    """What belongs to one repository.

    tags       tag: digest
    manifests  digest: {"mediaType", "size", "pushed"}; "subject" where there is one
    blobs      digest: {"size", "pushed"}
    """

    tags: dict[str, str] = field(default_factory=dict)
    manifests: dict[str, dict[str, Any]] = field(default_factory=dict)
    blobs: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.tags) + len(self.manifests) + len(self.blobs)

    @classmethod
    def read(cls, text: str) -> Record:
        """From JSON. Raises ValueError where it is something else."""
        try:
            record = cls(**json.loads(text))
            for tag, digest in record.tags.items():
                if not names.is_tag(tag) or digest not in record.manifests:
                    raise ValueError(f"the tag {names.short(tag)}")
            for digest, entry in [*record.manifests.items(), *record.blobs.items()]:
                sound = names.is_digest(digest) and isinstance(entry["size"], int) and isinstance(entry["pushed"], str)
                if not sound:
                    raise ValueError(f"the entry {names.short(digest)}")
            if not all(isinstance(entry["mediaType"], str) for entry in record.manifests.values()):
                raise ValueError("a mediaType")
        except (TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError(str(error)) from None
        return record


@dataclass(frozen=True)
class Collected:
    """What `Store.collect` has taken away."""

    blobs: int = 0
    uploads: int = 0
    bytes: int = 0


class Store:
    """The files of one registry. May be used from several threads and processes at once.

    Names, tags and digests are checked here. What cannot be done is a RegistryError; a file that was damaged, too.
    """

    def __init__(self, folder: str | os.PathLike[str], limits: Limits = LIMITS, *, read_only: bool = False) -> None:
        """read_only: for whoever only looks; nothing is made that is not there."""
        self.folder = Path(folder)
        self.limits = limits
        self._hashes: OrderedDict[str, tuple[int, Any]] = OrderedDict()
        if read_only:
            return
        for name in ("blobs/sha256", "blobs/sha512", "repositories", "uploads"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        if not (self.folder / "oci-layout").exists():
            _replace(self.folder / "oci-layout", b'{"imageLayoutVersion": "1.0.0"}\n')
            self._publish()

    # --- repositories ----------------------------------------------------------------------------------------------------

    def repositories(self) -> list[str]:
        """The names of all repositories, in order."""
        return sorted(path.stem.replace("+", "/") for path in (self.folder / "repositories").glob("*.json"))

    def record(self, name: str) -> Record:
        """What belongs to a repository. NAME_UNKNOWN where there is none."""
        path = self._record_path(name)
        try:
            return Record.read(path.read_text())
        except FileNotFoundError:
            raise RegistryError("NAME_UNKNOWN", f"There is no repository {name}.") from None
        except ValueError as error:
            raise RegistryError(
                "UNKNOWN", f"{path.name} in this registry's folder is damaged ({error}): repair it, or take it away."
            ) from None

    def _record_path(self, name: str) -> Path:
        return self.folder / "repositories" / f"{names.repository(name).replace('/', '+')}.json"

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time, in whatever thread or process: each opens the file anew, and flock tells them apart."""
        with open(self.folder / "lock", "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def _change(self, name: str, *, create: bool = False) -> Iterator[Record]:
        """Change what belongs to a repository; written where the block ends well."""
        with self._locked():
            path = self._record_path(name)
            there = path.exists()
            record = Record() if create and not there else self.record(name)
            before, entries = json.dumps(asdict(record)), len(record)
            images = json.dumps([record.tags, record.manifests])
            yield record
            if json.dumps(asdict(record)) == before and there:
                return
            if len(record) > max(entries, self.limits.entries):
                raise RegistryError("DENIED", f"{name} has {entries:,} tags and blobs, which is the limit here.")
            if not there and len(self.repositories()) >= self.limits.repositories:
                raise RegistryError(
                    "DENIED", f"This registry has {self.limits.repositories:,} repositories, its limit."
                )
            _replace(path, (json.dumps(asdict(record), indent=1) + "\n").encode())
            if json.dumps([record.tags, record.manifests]) != images:
                self._publish()

    def _publish(self) -> None:
        """Write index.json, by which other tools find what is tagged here."""
        entries = []
        for name in self.repositories():
            with contextlib.suppress(RegistryError):
                record = self.record(name)
                for tag, digest in sorted(record.tags.items()):
                    entry = record.manifests[digest]
                    entries.append(
                        {
                            "mediaType": entry["mediaType"],
                            "digest": digest,
                            "size": entry["size"],
                            "annotations": {"org.opencontainers.image.ref.name": f"{name}:{tag}"},
                        }
                    )
        index = {"schemaVersion": 2, "mediaType": manifests.OCI_INDEX, "manifests": entries}
        _replace(self.folder / "index.json", (json.dumps(index, indent=1) + "\n").encode())

    # --- blobs -----------------------------------------------------------------------------------------------------------

    def _blob_path(self, digest: str) -> Path:
        return self.folder / "blobs" / names.digest(digest).replace(":", "/")

    def size(self, name: str, digest: str) -> int:
        """The size of a blob of a repository. BLOB_UNKNOWN where it has none of this digest."""
        with self.open(name, digest) as file:
            return os.fstat(file.fileno()).st_size

    def open(self, name: str, digest: str) -> IO[bytes]:
        """A blob of a repository, to be read. BLOB_UNKNOWN where it has none of this digest, or not all of it any more."""
        entry = self._entry(name, digest)
        with contextlib.suppress(OSError):
            file = plain.open_file(self._blob_path(digest))
            if os.fstat(file.fileno()).st_size == entry["size"]:
                return file
            file.close()  # cut off by a machine that has stopped, or by somebody's hand
        raise _no_blob(name, digest)

    def _entry(self, name: str, digest: str) -> dict[str, Any]:
        names.digest(digest)
        try:
            return self.record(name).blobs[digest]
        except KeyError:
            raise _no_blob(name, digest) from None
        except RegistryError as error:
            raise _no_blob(name, digest) if error.code == "NAME_UNKNOWN" else error from None

    def mount(self, name: str, digest: str, source: str) -> bool:
        """Have a blob of the repository `source` in `name`, too. False where `source` has none of this digest."""
        try:
            size = self.size(source, digest)
        except RegistryError:
            return False
        with self._change(name, create=True) as record:
            # The size once more, now that nothing can be collected.
            if not self._blob_path(digest).exists():
                return False
            record.blobs[digest] = {"size": size, "pushed": _now()}
        return True

    def delete_blob(self, name: str, digest: str) -> None:
        """Take a blob away from a repository. Its bytes go with the next `collect`."""
        self._entry(name, digest)
        with self._change(name) as record:
            record.blobs.pop(digest, None)

    # --- uploads ---------------------------------------------------------------------------------------------------------

    def start(self, name: str) -> str:
        """Begin an upload; returns its id."""
        self._room()
        folder = self._uploads(name)
        folder.mkdir(exist_ok=True)
        if sum(1 for _ in folder.iterdir()) >= self.limits.uploads:
            self._expire(folder, GRACE_SECONDS)
        if sum(1 for _ in folder.iterdir()) >= self.limits.uploads:
            raise RegistryError(
                "TOOMANYREQUESTS", f"{self.limits.uploads} uploads to {name} are not finished. Finish or cancel some."
            )
        number = str(uuid.uuid4())
        (folder / number).touch(exist_ok=False)
        return number

    def _uploads(self, name: str) -> Path:
        return self.folder / "uploads" / names.repository(name).replace("/", "+")

    def _room(self) -> None:
        if self.used() >= self.limits.total:
            raise RegistryError(
                "DENIED", f"This registry is full: it holds {self.limits.total // MEGABYTE:,} MB. Delete images first."
            )

    def used(self) -> int:
        """The bytes of all blobs and uploads."""
        total = 0
        for folder in ("blobs/sha256", "blobs/sha512", "uploads"):
            for place, _, files in os.walk(self.folder / folder):
                for file in files:
                    with contextlib.suppress(OSError):
                        total += os.lstat(os.path.join(place, file)).st_size
        return total

    def received(self, name: str, upload: str) -> int:
        """How many bytes of an upload are here."""
        with self._upload(name, upload) as file:
            return os.fstat(file.fileno()).st_size

    @contextlib.contextmanager
    def _upload(self, name: str, upload: str, *, alone: bool = False) -> Iterator[IO[bytes]]:
        """The file of an upload. alone: as long as it is open, nobody else writes to it."""
        try:
            # Upload ids are made here: what does not look like one is none.
            path = self._uploads(name) / str(uuid.UUID(upload))
            file = plain.open_file(path, os.O_RDWR)
        except (ValueError, OSError):
            raise RegistryError("BLOB_UPLOAD_UNKNOWN", f"There is no upload {names.short(upload)} to {name}.") from None
        with file:
            if alone and not _had_alone(file):
                raise RegistryError(
                    "BLOB_UPLOAD_INVALID", "Somebody else is sending to this upload at this moment.", status=409
                )
            yield file

    def write(self, name: str, upload: str, pieces: Iterable[bytes | memoryview], at: int | None = None) -> int:
        """Add bytes to an upload; returns how many it has now.

        at: where they belong; RegistryError with status 416 where that is not the end of what is here. What has arrived
        before `pieces` raises is kept, so that the client can go on from there.
        """
        with self._upload(name, upload, alone=True) as file:
            there = os.fstat(file.fileno()).st_size
            if at is not None and at != there:
                raise RegistryError(
                    "BLOB_UPLOAD_INVALID",
                    f"The next byte of this upload is number {there}; these begin at {at}.",
                    status=416,
                    headers={"Range": span(there), "Location": f"/v2/{name}/blobs/uploads/{upload}"},
                )
            known, hasher = self._hashes.pop(upload, (0, None if there else hashlib.sha256()))
            hasher = hasher if known == there else None
            room = min(self.limits.blob, there + self.limits.total - self.used())
            try:
                for piece in pieces:
                    if there + len(piece) > room:
                        raise RegistryError(
                            "SIZE_INVALID",
                            f"This blob is larger than what this registry takes: {self.limits.blob // MEGABYTE:,} MB each, "
                            f"{self.limits.total // MEGABYTE:,} MB in all.",
                            status=413,
                        )
                    _write(file, piece, there)
                    there += len(piece)
                    if hasher:
                        hasher.update(piece)
            except OSError as error:
                os.ftruncate(file.fileno(), there)  # a piece that came half is not counted
                if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                    raise RegistryError("UNKNOWN", "The disk of this registry is full.", status=507) from None
                raise
            finally:
                if hasher:
                    self._hashes[upload] = (there, hasher)
                    while len(self._hashes) > HASHES:
                        self._hashes.popitem(last=False)
            return there

    def finish(self, name: str, upload: str, digest: str) -> None:
        """An upload is all there: check its digest, and make it a blob. A wrong one is thrown away: DIGEST_INVALID."""
        names.digest(digest)
        with self._upload(name, upload, alone=True) as file:
            path = self._uploads(name) / upload
            size = os.fstat(file.fileno()).st_size
            known, hasher = self._hashes.pop(upload, (0, None))
            algorithm = digest.partition(":")[0]
            if hasher is None or known != size or algorithm != "sha256":
                hasher = hashlib.file_digest(file, algorithm)
            found = f"{algorithm}:{hasher.hexdigest()}"
            if found != digest:
                path.unlink()
                raise RegistryError(
                    "DIGEST_INVALID", f"The {size:,} bytes that came have the digest {found}, not {digest}."
                )
            os.fchmod(file.fileno(), 0o444)
            with self._change(name, create=True) as record:
                os.replace(path, self._blob_path(digest))
                record.blobs[digest] = {"size": size, "pushed": _now()}

    def cancel(self, name: str, upload: str) -> None:
        """Throw an upload away."""
        with self._upload(name, upload, alone=True):
            self._hashes.pop(upload, None)
            (self._uploads(name) / upload).unlink()

    def _expire(self, folder: Path, seconds: float) -> tuple[int, int]:
        """Throw away the uploads of a repository that nobody has written to for so long; (how many, their bytes)."""
        count = size = 0
        for path in list(folder.iterdir()):
            with contextlib.suppress(OSError, RegistryError):
                found = path.stat()
                if time.time() - found.st_mtime >= seconds:
                    self.cancel(folder.name.replace("+", "/"), path.name)
                    count, size = count + 1, size + found.st_size
        return count, size

    # --- manifests and tags ------------------------------------------------------------------------------------------------

    def manifest(self, name: str, reference: str) -> Manifest:
        """The manifest of a tag or digest. MANIFEST_UNKNOWN where there is none."""
        names.reference(reference)
        record = self.record(name)
        digest = record.tags.get(reference, reference)
        entry = record.manifests.get(digest)
        if entry is not None:
            with contextlib.suppress(OSError, RegistryError), plain.open_file(self._blob_path(digest)) as file:
                content = file.read(self.limits.manifest)
                found = manifests.parse(content, entry["mediaType"])
                if _is(content, digest):
                    return found if found.digest == digest else _with_digest(found, digest)
        raise RegistryError("MANIFEST_UNKNOWN", f"There is no {reference} in {name}.")

    def put(
        self, name: str, reference: str, content: bytes, media_type: str = "", *, immutable: bool = False
    ) -> Manifest:
        """Store a manifest, under a tag or by its digest. All that it refers to must be there already.

        immutable: a tag that is there stays what it is; TAG_INVALID where it is another image.
        """
        names.reference(reference)
        if len(content) > self.limits.manifest:
            raise RegistryError(
                "SIZE_INVALID", f"A manifest has at most {self.limits.manifest // MEGABYTE} MB here.", status=413
            )
        self._room()
        found = manifests.parse(content, media_type)
        if ":" in reference:
            if not _is(content, reference):
                raise RegistryError("DIGEST_INVALID", f"The manifest has the digest {found.digest}, not {reference}.")
            found = _with_digest(found, reference)
        with self._change(name, create=True) as record:
            missing = [digest for digest in found.blobs if digest not in record.blobs]
            missing += [digest for digest in found.children if digest not in record.manifests]
            if missing:
                raise RegistryError(
                    "MANIFEST_BLOB_UNKNOWN",
                    f"The manifest refers to what is not in {name}: {', '.join(missing[:3])}"
                    + (f" and {len(missing) - 3} more." if len(missing) > 3 else "."),
                    detail=missing[:100],
                )
            for digest, size in [*found.blobs.items(), *found.children.items()]:
                there = (record.blobs.get(digest) or record.manifests[digest])["size"]
                if there != size:
                    raise RegistryError(
                        "MANIFEST_INVALID",
                        f"The manifest says that {digest} has {size:,} bytes; it has {there:,}.",
                    )
            if ":" not in reference and immutable and record.tags.get(reference, found.digest) != found.digest:
                raise tag_taken(name, reference)
            _replace(self._blob_path(found.digest), content)
            if found.digest not in record.manifests:
                about = {"subject": found.subject} if found.subject else {}
                record.manifests[found.digest] = {
                    "mediaType": found.media_type,
                    "size": len(content),
                    "pushed": _now(),
                    **about,
                }
            if ":" not in reference:
                record.tags[reference] = found.digest
        return found

    def delete_manifest(self, name: str, reference: str) -> None:
        """Take away a tag; or, by digest, a manifest with all of its tags."""
        names.reference(reference)
        with self._change(name) as record:
            if ":" not in reference:
                gone = record.tags.pop(reference, None)
            else:
                gone = record.manifests.pop(reference, None)
                record.tags = {tag: digest for tag, digest in record.tags.items() if digest != reference}
            if gone is None:
                raise RegistryError("MANIFEST_UNKNOWN", f"There is no {reference} in {name}.")

    def tags(self, name: str) -> list[str]:
        """The tags of a repository, in ASCII order."""
        return sorted(self.record(name).tags)

    def referrers(self, name: str, digest: str) -> list[Manifest]:
        """The manifests of a repository whose subject is `digest`."""
        names.digest(digest)
        try:
            record = self.record(name)
        except RegistryError as error:
            if error.code == "NAME_UNKNOWN":
                return []
            raise
        return [self.manifest(name, one) for one, entry in record.manifests.items() if entry.get("subject") == digest]

    def keep(self, found: Manifest) -> None:
        """Keep the bytes of a manifest that belongs to no repository here; the next `collect` takes them away."""
        self._room()
        with self._locked():
            _replace(self._blob_path(found.digest), found.content)

    # --- as a whole --------------------------------------------------------------------------------------------------------

    def add_layout(self, name: str, layout: str | os.PathLike[str], *, tag: str) -> Manifest:
        """Take the one image (or index) of an OCI layout's folder into a repository, as a push of it would."""
        layout = Path(layout)

        def read(digest: str) -> bytes:
            return (layout / "blobs" / names.digest(digest).replace(":", "/")).read_bytes()

        def add(digest: str, media_type: str, reference: str) -> Manifest:
            content = read(digest)
            found = manifests.parse(content, media_type)
            for blob in found.blobs:
                self.add_blob(name, layout / "blobs" / blob.replace(":", "/"))
            for child in found.children:
                add(child, "", child)
            return self.put(name, reference, content, media_type)

        entries = json.loads((layout / "index.json").read_text())["manifests"]
        if len(entries) != 1:
            raise ValueError(f"{layout} has {len(entries)} images in its index.json; one is expected.")
        return add(entries[0]["digest"], entries[0].get("mediaType", ""), tag)

    def add_blob(self, name: str, source: Path | bytes) -> str:
        """Take a file, or some bytes, into a repository, and return its sha256 digest."""
        upload = self.start(name)
        if isinstance(source, bytes):
            self.write(name, upload, [source])
        else:
            with source.open("rb") as file:
                self.write(name, upload, iter(lambda: file.read(PIECE), b""))
        _, hasher = self._hashes[upload]
        digest = f"sha256:{hasher.hexdigest()}"
        self.finish(name, upload, digest)
        return digest

    def collect(
        self, *, grace: float = GRACE_SECONDS, untagged: bool = False, live: Mapping[str, Iterable[str]] | None = None
    ) -> Collected:
        """Take away what no image needs: blobs and uploads that are older than `grace` seconds.

        untagged: manifests without a tag go, too, unless an index with a tag, or the subject of a signature, holds them.
        live: repository: digests of the blobs that its images need; for a registry whose images are kept elsewhere. What is
            not named there belongs to nothing.
        """
        count = size = 0
        old = (datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=grace)).isoformat()
        for folder in (self.folder / "uploads").iterdir():
            with contextlib.suppress(OSError):
                more, freed = self._expire(folder, grace)
                count, size = count + more, size + freed
                folder.rmdir()  # only where it is empty
        gone = 0
        with self._locked():
            kept: set[str] = set()
            for name in self.repositories():
                record = self.record(name)  # a damaged one stops it all: nobody knows what it would need
                if untagged:
                    self._forget_untagged(name, record, old)
                needed = set(live.get(name, ())) if live is not None else self._needed(name, record)
                record.blobs = {
                    digest: entry for digest, entry in record.blobs.items() if digest in needed or entry["pushed"] > old
                }
                kept |= {*record.blobs, *record.manifests}
                if record.blobs or record.manifests:
                    _replace(self._record_path(name), (json.dumps(asdict(record), indent=1) + "\n").encode())
                else:
                    self._record_path(name).unlink()
            for folder in (self.folder, self.folder / "repositories"):
                for path in folder.glob(".*"):  # what a process that was killed has begun
                    path.unlink()
            for path in (self.folder / "blobs").glob("*/*"):
                if f"{path.parent.name}:{path.name}" not in kept:
                    found = path.lstat()
                    path.unlink()
                    gone, size = gone + 1, size + found.st_size
            self._publish()
        return Collected(gone, count, size)

    def _needed(self, name: str, record: Record) -> set[str]:
        needed: set[str] = set()
        for digest in record.manifests:
            with contextlib.suppress(RegistryError):
                needed |= set(self.manifest(name, digest).blobs)
        return needed

    def _forget_untagged(self, name: str, record: Record, old: str) -> None:
        held = set(record.tags.values())
        while True:
            more: set[str] = set()
            for digest, entry in record.manifests.items():
                if digest in held:
                    with contextlib.suppress(RegistryError):
                        more |= set(self.manifest(name, digest).children)
                elif entry["pushed"] > old or entry.get("subject") in held:
                    more.add(digest)
            if more <= held:
                break
            held |= more
        record.manifests = {digest: entry for digest, entry in record.manifests.items() if digest in held}

    def note(self, name: str, text: str) -> None:
        """Write a line into a file of the folder."""
        with self._locked():
            _replace(self.folder / name, f"{text}\n".encode())

    def problems(self) -> list[str]:
        """What is wrong in the folder, in words: blobs whose bytes are not those of their name, images that miss something."""
        found = []
        for path in sorted((self.folder / "blobs").glob("*/*")):
            # What a process that was killed has begun is no blob yet, and `collect` takes it away.
            if path.name.startswith("."):
                continue
            try:
                with plain.open_file(path) as file:
                    if hashlib.file_digest(file, path.parent.name).hexdigest() != path.name:
                        found.append(f"blobs/{path.parent.name}/{path.name} has other bytes than its name says")
            except (OSError, ValueError) as error:
                found.append(f"blobs/{path.parent.name}/{path.name} cannot be read ({error})")
        for name in self.repositories():
            try:
                record = self.record(name)
                for digest in record.manifests:
                    for blob in self.manifest(name, digest).blobs:
                        self.size(name, blob)
            except RegistryError as error:
                found.append(f"{name}: {error.message}")
        return found


def _had_alone(file: IO[bytes]) -> bool:
    """Whether the file's lock can be had: where a connection was cut, its thread may hold it for another moment."""
    until = time.monotonic() + ALONE_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(0.02)


def take(source: str | os.PathLike[str], target: str | os.PathLike[str], limits: Limits = LIMITS) -> Store:
    """Copy a registry's folder that somebody has handed in, as far as it is sound. Returns the Store of the copy.

    Ordinary files only, no links; blobs only whose bytes are those of their name; of repositories what is then complete.
    """
    source, store, room = Path(source), Store(target, limits), limits.total
    for path in sorted((source / "blobs").glob("sha*/*")):
        if not names.is_digest(f"{path.parent.name}:{path.name}"):
            continue
        fresh = store.folder / "uploads" / path.name[:64]
        with contextlib.suppress(OSError), plain.open_file(path) as file, open(fresh, "xb") as copy:
            size = os.fstat(file.fileno()).st_size
            if size <= min(room, limits.blob):
                hasher = hashlib.new(path.parent.name)
                for piece in iter(lambda file=file: file.read(PIECE), b""):
                    hasher.update(piece)
                    copy.write(piece)
                copy.flush()
                if hasher.hexdigest() == path.name and os.fstat(copy.fileno()).st_size == size:
                    room -= size
                    os.replace(fresh, store.folder / "blobs" / path.parent.name / path.name)
        fresh.unlink(missing_ok=True)
    for path in sorted((source / "repositories").glob("*.json")):
        with contextlib.suppress(OSError, ValueError, RegistryError), plain.open_file(path) as file:
            name = names.repository(path.stem.replace("+", "/"))
            record = Record.read(file.read(RECORD_LIMIT).decode())
            _take_record(store, name, record)
    return store


def _take_record(store: Store, name: str, record: Record) -> None:
    """Put into a repository what of a record is there."""
    sound = Record()
    for digest, entry in record.blobs.items():
        with contextlib.suppress(OSError):
            size = store._blob_path(digest).stat().st_size
            sound.blobs[digest] = {"size": size, "pushed": entry["pushed"][:40]}
    _replace(store._record_path(name), (json.dumps(asdict(sound)) + "\n").encode())
    # Children come before the index that needs them; what then still cannot be put is not complete.
    waiting = dict(record.manifests)
    while waiting:
        before = len(waiting)
        for digest, entry in list(waiting.items()):
            with contextlib.suppress(RegistryError, OSError):
                content = store._blob_path(digest).read_bytes()
                store.put(name, digest, content, entry["mediaType"])
                del waiting[digest]
        if len(waiting) == before:
            break
    with store._change(name) as kept:
        kept.tags = {tag: digest for tag, digest in record.tags.items() if digest in kept.manifests}
        for digest, entry in kept.manifests.items():
            entry["pushed"] = record.manifests[digest]["pushed"][:40]


def span(size: int) -> str:
    """How the API says that so many bytes of an upload are here."""
    return f"0-{max(size - 1, 0)}"


def tag_taken(name: str, tag: str) -> RegistryError:
    """The refusal of a tag that is not to be moved, in the words of ECR."""
    return RegistryError(
        "TAG_INVALID",
        f"The image tag '{tag}' already exists in the '{name}' repository and cannot be overwritten because the repository "
        "is immutable.",
    )


def _no_blob(name: str, digest: str) -> RegistryError:
    return RegistryError("BLOB_UNKNOWN", f"There is no blob {digest} in {name}.", detail={"digest": digest})


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat()


def _is(content: bytes, digest: str) -> bool:
    algorithm, _, value = digest.partition(":")
    return hashlib.new(algorithm, content).hexdigest() == value


def _with_digest(found: Manifest, digest: str) -> Manifest:
    """The same manifest, named by another digest that is right, too (sha512)."""
    return Manifest(**{**vars(found), "digest": digest})


def _write(file: IO[bytes], piece: bytes | memoryview, at: int) -> None:
    """Write all of a piece; a full disk takes a part of it, and then none."""
    piece = memoryview(piece)
    while piece:
        done = os.pwrite(file.fileno(), piece, at)
        piece, at = piece[done:], at + done


def _replace(path: Path, content: bytes) -> None:
    """Let a file have this content, in one step."""
    fresh = path.with_name(f".{path.name[:60]}.{uuid.uuid4().hex}")
    try:
        fresh.write_bytes(content)
        os.replace(fresh, path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RegistryError("UNKNOWN", "The disk of this registry is full.", status=507) from None
        raise
