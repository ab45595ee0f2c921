"""Task 5.4: the way of an image from a laptop to production, and a tag that no longer means what was tested.

    ~/deploy/                  README.md, manifests of staging and production, the test report
    ~/deploy/build/            the next version: Dockerfile, lock, load.py
    ~/.secrets/registry        the password of the team's registry
    ~/.registry                what is in the team's registry: data/loader in some versions

Images hold what is ours and nothing else: load.py and its packages. On the platform, a runtime brings Python. So they are small, and
`image` makes the same bytes on every machine; that is why nothing in them is compressed (zlib does not always say the same).
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import random
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opslab.scenarios.docker_pinning import cloud, common
from opslab.scenarios.iam_roles import write
from opslab.scenarios.iam_roles.names import PLATFORM, config_file, credentials_file
from opslab.worlds.aws.clients import REGION
from opslab.worlds.images import layers
from opslab.worlds.images.desk import REGISTRY, TEAM_NAME, ecr_name
from opslab.worlds.images.registry.store import Store
from opslab.worlds.images.store import CONFIG, MANIFEST, NAME, ZIPPED, canonical, sha256
from opslab.worlds.packages import TUESDAY, WEDNESDAY, Index, Service, catalogue

if TYPE_CHECKING:
    from opslab.worlds.images.desk import Desk

HERE = Path(__file__).parent / "deploy"
REPOSITORY = "data/loader"
TEAM = f"{TEAM_NAME}/{REPOSITORY}"
ECR = f"{ecr_name(PLATFORM, REGION)}/{REPOSITORY}"
TAG = "1.4"
"""The version that was tested, and a tag that somebody has moved since."""

LOCAL = f"{REPOSITORY}:1.5"
"""The next version, built on the learner's laptop, in the engine's store."""

PLACE = "app/site-packages"
ADVISORY, PACKAGE = "TSA-2026-0003", "pykontor"
"""What cannot be mended before Friday; the other one can."""

TESTED_ON = ("2026-11-15", "2026-11-16", TUESDAY)


# ---- images ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Made:
    """An image as bytes. blobs: by digest; the manifest's own is `digest`."""

    digest: str
    manifest: bytes
    blobs: dict[str, bytes]

    def layout(self, folder: Path, name: str = "") -> Path:
        """Write it as an OCI layout, for `images.store.Store.load`. Gives the folder."""
        place = folder / "blobs" / "sha256"
        place.mkdir(parents=True)
        for digest, data in {**self.blobs, self.digest: self.manifest}.items():
            (place / digest.removeprefix("sha256:")).write_bytes(data)
        entry: dict[str, Any] = {"mediaType": MANIFEST, "digest": self.digest, "size": len(self.manifest)}
        if name:
            entry["annotations"] = {NAME: name}
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
        return folder


def image(seed: int, version: str, packages: Sequence[tuple[str, str]], load: str, arch: str = "amd64") -> Made:
    """An image of the loader. packages: (name, version) of what is on the index of this seed. load: the text of load.py."""
    files = {f"{PLACE}/{path}": data for name, one in packages for path, data in _unpacked(seed, name, one).items()}
    revision = hashlib.sha1(f"{seed} {version} {packages} {load}".encode()).hexdigest()
    two = [_layer(files), _layer({"app/load.py": load.encode()})]
    config = {
        "architecture": arch,
        "os": "linux",
        "config": {
            "Env": [f"PYTHONPATH=/{PLACE}"],
            "Entrypoint": ["python", "/app/load.py"],
            "Labels": {
                "org.opencontainers.image.revision": revision,
                "org.opencontainers.image.title": REPOSITORY,
                "org.opencontainers.image.version": version,
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [sha256(plain) for plain, _ in two]},
        "history": [{"created_by": f"COPY site-packages /{PLACE}"}, {"created_by": "COPY load.py /app/load.py"}],
    }
    about = canonical(config)
    manifest = canonical(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": sha256(about), "size": len(about)},
            "layers": [{"mediaType": ZIPPED[0], "digest": sha256(data), "size": len(data)} for _, data in two],
        }
    )
    return Made(sha256(manifest), manifest, {sha256(data): data for data in (about, *(data for _, data in two))})


def _unpacked(seed: int, name: str, version: str) -> dict[str, bytes]:
    """What a wheel of the index puts into site-packages, by path."""
    (release,) = (one for one in catalogue.releases(seed) if (one.project, one.version) == (name, version))
    (wheel,) = (file for file in catalogue.files_of(release, seed) if file.is_wheel)
    with zipfile.ZipFile(io.BytesIO(wheel.data)) as archive:
        return {one: archive.read(one) for one in archive.namelist()}


def code(seed: int, name: str, version: str) -> bytes | None:
    """The module of a package that everybody imports, as it is on the index; None for what the index has not."""
    there = {(one.project, one.version) for one in catalogue.releases(seed)}
    module = f"{name.replace('-', '_')}/__init__.py"
    return _unpacked(seed, name, version).get(module) if (name, version) in there else None


def _layer(files: dict[str, bytes]) -> tuple[bytes, bytes]:
    """The archive of a layer, and what a registry keeps of it."""
    folders = {str(above) for path in files for above in Path(path).parents if str(above) != "."}
    items = [layers.Item(path, "dir", 0o755) for path in folders]
    items += [layers.Item(path, "file", data=data) for path, data in files.items()]
    plain = io.BytesIO()
    layers.write(plain, items)
    return plain.getvalue(), stored(plain.getvalue())


def stored(data: bytes) -> bytes:
    """A gzip file that compresses nothing (RFC 1952; RFC 1951, 3.2.4), with the same bytes whatever zlib there is."""
    parts = [b"\x1f\x8b\x08\0\0\0\0\0\0\xff"]
    for at in range(0, max(len(data), 1), 65535):
        piece = data[at : at + 65535]
        parts.append(bytes([at + 65535 >= len(data)]))
        parts.append(len(piece).to_bytes(2, "little") + (len(piece) ^ 0xFFFF).to_bytes(2, "little") + piece)
    end = zlib.crc32(data).to_bytes(4, "little") + (len(data) & 0xFFFFFFFF).to_bytes(4, "little")
    return b"".join([*parts, end])


def needed(seed: int) -> dict[str, str]:
    """What version 1.5 needs, and what is the newest of it that works on Wednesday."""
    return {
        PACKAGE: str(Index(seed, WEDNESDAY).newest(PACKAGE, below="2.9")),
        "targ-loader": "1.4.0",
        "targ-metrics": "0.7.0",
        "targ-units": "1.2.1",
    }


def tested_packages(seed: int) -> list[tuple[str, str]]:
    """What is in the image that staging has tested."""
    return list(needed(seed).items())[:2]


@functools.cache
def known(seed: int) -> dict[str, Made]:
    """The images there are, by what they are to the story.

    tested: what has run in staging for three days. moved: what the tag 1.4 means now. first: the first try of 1.4, which failed.
    arm: the same as `tested`, for the laptops of a colleague. old: what runs in production. next: the build on the laptop.
    """
    nine = str(Index(seed, WEDNESDAY).newest(PACKAGE))
    load = Service(seed).files()["load.py"]
    broken = load.replace("if __name__", "if __nam__")
    four = tested_packages(seed)
    return {
        "old": image(seed, "1.3", [(PACKAGE, "2.8.0"), ("targ-loader", "1.3.0")], load),
        "first": image(seed, TAG, four, broken),
        "tested": image(seed, TAG, four, load),
        "arm": image(seed, TAG, four, load, "arm64"),
        "moved": image(seed, TAG, [(PACKAGE, nine), ("targ-loader", "1.4.0")], load),
        "next": image(seed, "1.5", [*four, ("targ-metrics", "0.7.0"), ("targ-units", "1.2.0")], load),
    }


PUSHED = {
    "old": ("2026-09-22T08:12:40+00:00", ("1.3",)),
    "first": ("2026-11-13T14:20:03+00:00", ("1.4-rc1",)),
    "tested": ("2026-11-14T16:41:27+00:00", ()),
    "arm": ("2026-11-16T09:05:11+00:00", ("1.4-arm64",)),
    "moved": ("2026-11-17T17:52:36+00:00", (TAG, "latest")),
}
"""What is in the team's registry: when it was pushed, and its tags of today."""


def tags(seed: int) -> dict[str, str]:
    """The tags in the team's registry at the start, and their digests."""
    return {tag: known(seed)[name].digest for name, (_, those) in PUSHED.items() for tag in those}


def fill_registry(folder: Path, seed: int) -> None:
    """Put data/loader into the folder of the team's registry."""
    store = Store(folder)
    for name, (_, those) in PUSHED.items():
        one = known(seed)[name]
        for blob in one.blobs.values():
            store.add_blob(REPOSITORY, blob)
        for tag in those or (one.digest,):
            store.put(REPOSITORY, tag, one.manifest, MANIFEST)
    when = {known(seed)[name].digest: time for name, (time, _) in PUSHED.items()}
    record = store.record(REPOSITORY)
    for digest, entry in record.manifests.items():
        entry["pushed"] = when[digest]
    for entry in record.blobs.values():
        entry["pushed"] = min(when.values())
    # The registry's own file, with the times of the story: each desk is the same.
    write(folder / "repositories" / f"{REPOSITORY.replace('/', '+')}.json", json.dumps(asdict(record), indent=1) + "\n")


# ---- the desk ---------------------------------------------------------------------------------------------------------------


def words(seed: int) -> dict[str, str]:
    """What stands for {{…}} in the files of the desk, and in answers."""
    found = {f"{name}_digest": one.digest for name, one in known(seed).items()}
    return {
        **found,
        "team_image": TEAM,
        "ecr_image": ECR,
        "team_host": TEAM_NAME,
        "test_report": _report(seed),
        "loader_lock": lock(seed, "1.2.0"),
        "units_lock": locked(seed, {"targ-units": "1.2.1"}),
    }


def lock(seed: int, units: str) -> str:
    """The lock of version 1.5. units: the version of targ-units."""
    return locked(seed, {**needed(seed), "targ-units": units})


def locked(seed: int, packages: Mapping[str, str]) -> str:
    """A lock with hashes, as `uv pip compile --generate-hashes` has it. packages: name to version."""
    lines = []
    for name, version in packages.items():
        (release,) = (one for one in catalogue.releases(seed) if (one.project, one.version) == (name, version))
        hashes = sorted(file.sha256 for file in catalogue.files_of(release, seed))
        lines.append(" \\\n".join([f"{name}=={version}", *(f"    --hash=sha256:{one}" for one in hashes)]))
    return "\n".join(lines)


def _report(seed: int) -> str:
    """The lines of the test report: what ran in staging on which day."""
    dice, rows = random.Random(f"05 report {seed}"), Service(seed).rows
    first, tested = known(seed)["first"].digest, known(seed)["tested"].digest
    lines = [f"2026-11-14  {first}  exit 1    0 rows         NameError: name '__nam__' is not defined"]
    for day in TESTED_ON:
        count = rows + dice.randint(-20, 20)
        lines.append(f"{day}  {tested}  exit 0    {count} of {count} rows  ok")
    return "\n".join(lines)


def build(home: Path, seed: int, twists: frozenset[str]) -> None:
    """Put the files of this task on the desk."""
    filled = words(seed)
    for source in sorted(HERE.rglob("*")):
        if source.is_file() and "__pycache__" not in source.parts:
            text = source.read_text()
            for word, value in filled.items():
                text = text.replace("{{" + word + "}}", value)
            write(home / "deploy" / source.relative_to(HERE), text)
    write(home / "deploy" / "build" / "load.py", Service(seed).files()["load.py"])
    write(home / ".aws" / "config", config_file(cloud.profiles(seed)))
    write(home / ".aws" / "credentials", credentials_file(cloud.profiles(seed)))
    (home / ".aws" / "credentials").chmod(0o600)
    write(home / ".secrets" / "registry", common.password(seed, "you") + "\n")
    (home / ".secrets" / "registry").chmod(0o600)
    shutil.rmtree(home / REGISTRY, ignore_errors=True)  # whatever somebody has made of it
    fill_registry(home / REGISTRY, seed)


def images(desk: Desk) -> None:
    """The build of the next version, in the engine's store."""
    if LOCAL not in desk.store.tags():
        with tempfile.TemporaryDirectory() as folder:
            desk.store.load(known(desk.seed)["next"].layout(Path(folder) / "layout", LOCAL))
