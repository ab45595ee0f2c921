"""Images in a folder: names move, digests do not, and a layout from elsewhere is not believed."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest
from images_world import image_of, layer_of, tar_of

from opslab.worlds.images.layers import Item
from opslab.worlds.images.store import (
    CONFIG,
    IMAGES,
    INDEX,
    LAYER,
    MANIFEST,
    NAME,
    Image,
    ImageNotFound,
    Layer,
    Store,
    StoreError,
    architecture,
    canonical,
    chain_id,
    sha256,
)


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store", tmp_path / "cache")


@pytest.fixture
def image(store) -> Image:
    return image_of(store, layer_of(store, Item("a", "file", data=b"one")), config={"User": "app", "Env": ["A=1"]})


def other_image(store: Store) -> Image:
    return image_of(store, layer_of(store, Item("a", "file", data=b"two")))


# ---- names ------------------------------------------------------------------------------------------------------------


def test_a_tag_moves_and_a_digest_does_not(store, image):
    store.tag("python:3-slim", image.digest)
    newer = other_image(store)
    store.tag("python:3-slim", newer.digest)
    assert store.find("python:3-slim") == newer
    assert store.find(f"python@{image.digest}") == store.find(image.digest) == image
    assert store.find(f"python:3-slim@{image.digest}") == image
    assert store.tags() == {"python:3-slim": newer.digest}


def test_a_name_can_be_taken_away(store, image):
    store.tag("a:1", image.digest)
    store.tag("b:1", image.digest)
    store.untag("a:1")
    assert store.tags() == {"b:1": image.digest}
    store.untag("b:1")
    assert store.find(image.digest) == image


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "docker.io/library/python:3-slim",
            "docker.io is Docker Hub, on the internet, and nothing here leaves this machine",
        ),
        ("docker.io/library/python:3-slim", "Here there is python:3-slim."),
        ("ghcr.io/astral-sh/uv:latest", "ghcr.io would have to be asked for it, and nothing here leaves this machine"),
        ("python:3.12-slim", "nothing is fetched from Docker Hub. Here there is python:3-slim."),
        ("pyhton", "There are: python:3-slim"),
        ("python@sha256:" + "0" * 64, "A digest names exactly one image, and this one was never here"),
        ("sha256:" + "0" * 64, "was never here"),
    ],
)
def test_a_name_that_would_leave_the_machine_is_refused_by_name(store, image, name, said):
    store.tag("python:3-slim", image.digest)
    with pytest.raises(ImageNotFound) as error:
        store.find(name)
    assert said in str(error.value)
    assert name in str(error.value)


def test_names_that_are_none(store, image):
    for name in ("Python", "https://x", "a:b:c"):
        with pytest.raises(StoreError):
            store.tag(name, image.digest)
    with pytest.raises(StoreError, match="names a digest"):
        store.tag(f"a@{image.digest}", image.digest)
    with pytest.raises(StoreError, match="is missing or damaged"):
        store.tag("a", "sha256:" + "0" * 64)


def test_two_at_once_do_not_lose_each_others_names(store, image):
    threads = [threading.Thread(target=store.tag, args=(f"n:{number}", image.digest)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.tags()) == 20


def test_a_damaged_index_is_told(store):
    (store.folder / "index.json").write_text("{")
    with pytest.raises(StoreError, match=r"index.json is damaged.*Delete this folder"):
        store.tags()


# ---- images -----------------------------------------------------------------------------------------------------------


def test_the_same_image_has_the_same_digest_anywhere(tmp_path):
    digests = {
        image_of(store, layer_of(store, Item("a", "file", data=b"x")), config={"Env": ["B=1", "A=2"]}).digest
        for store in (Store(tmp_path / name, tmp_path / "cache") for name in ("one", "two"))
    }
    assert len(digests) == 1


def test_chain_ids_are_those_of_the_specification():
    one, two = "sha256:" + "1" * 64, "sha256:" + "2" * 64
    assert chain_id([]) == ""
    assert chain_id([one]) == one
    assert chain_id([one, two]) == sha256(f"{one} {two}".encode())


def test_a_file_of_an_image(store):
    image = image_of(
        store,
        layer_of(store, Item("etc", "dir", 0o755), Item("etc/name", "file", data=b"old")),
        layer_of(store, Item("etc/name", "file", data=b"new"), Item("link", "link", target="/etc/name")),
    )
    assert store.read(image, "/link") == b"new"
    assert store.read(image, "etc/name", 2) == b"ne"
    assert store.read(image, "etc") is store.read(image, "none") is None


def test_an_exported_image_can_be_loaded_elsewhere(store, image, tmp_path):
    store.export(image, tmp_path / "out", "team/loader:1.0")
    other = Store(tmp_path / "other", tmp_path / "cache")
    (loaded,) = other.load(tmp_path / "out")
    assert (loaded.name, loaded.image, loaded.remarks) == ("team/loader:1.0", image, [])
    assert other.find("team/loader:1.0").run_config["User"] == "app"
    with tarfile.open(tmp_path / "out.tar", "w") as archive:
        archive.add(tmp_path / "out", ".")
    third = Store(tmp_path / "third", tmp_path / "cache")
    assert third.load(tmp_path / "out.tar")[0].image == image


@pytest.mark.skipif(not shutil.which("skopeo"), reason="a real client is needed: apt-get install skopeo")
def test_skopeo_reads_and_copies_it(store, image, tmp_path):
    store.tag("team/loader:1.0", image.digest)
    source = f"oci:{store.folder}:team/loader:1.0"
    shown = subprocess.run(["skopeo", "inspect", source], capture_output=True, text=True, check=True)
    assert json.loads(shown.stdout)["Digest"] == image.digest
    # --insecure-policy: on a machine that has not decided whose images it trusts.
    subprocess.run(
        ["skopeo", "--insecure-policy", "copy", "-q", source, f"oci-archive:{tmp_path}/x.tar:a:1"], check=True
    )
    assert Store(tmp_path / "other", tmp_path / "cache").load(tmp_path / "x.tar")[0].image.layers == image.layers


# ---- layouts that anybody may have written ----------------------------------------------------------------------------


class Layout:
    """A layout that is written by hand, with whatever in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "blobs" / "sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        self.manifests: list[dict] = []

    def blob(self, data: bytes, digest: str = "") -> dict:
        digest = digest or sha256(data)
        (self.folder / "blobs" / "sha256" / digest[7:]).write_bytes(data)
        return {"digest": digest, "size": len(data)}

    def image(self, *layers: bytes, kind: str = LAYER, plain: list[bytes] | None = None, **more) -> dict:
        diff_ids = [sha256(layer) for layer in plain or layers]
        config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}} | more
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, **self.blob(canonical(config))},
            "layers": [{"mediaType": kind, **self.blob(layer)} for layer in layers],
        }
        entry = {"mediaType": MANIFEST, **self.blob(canonical(manifest)), "annotations": {NAME: "hostile:1"}}
        self.manifests.append(entry)
        self.write()
        return entry

    def write(self) -> None:
        index = {"schemaVersion": 2, "manifests": self.manifests}
        (self.folder / "index.json").write_bytes(canonical(index))


@pytest.fixture
def layout(tmp_path) -> Layout:
    return Layout(tmp_path / "hostile")


def zipped(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def test_gzip_layers_are_read(store, layout):
    data = tar_of(("a", {}), content={"a": b"hello"})
    layout.image(zipped(data), kind=f"{LAYER}+gzip", plain=[data])
    (loaded,) = store.load(layout.folder)
    assert store.read(loaded.image, "a") == b"hello"


def test_a_zip_bomb_is_not_unpacked(store, layout, monkeypatch):
    monkeypatch.setattr("opslab.worlds.images.layers.LAYER_BYTES", 5 * 1024**2)
    data = tar_of(("a", {}))
    layout.image(zipped(data + bytes(20 * 1024**2)), kind=f"{LAYER}+gzip", plain=[data])
    with pytest.raises(StoreError, match="unpacks to more than 5,242,880 bytes"):
        store.load(layout.folder)
    assert not list((store.cache / "layers").iterdir())
    assert not list(store.blobs.iterdir())


def test_a_layer_that_is_another_one_than_its_config_says(store, layout):
    data = tar_of(("a", {}))
    layout.image(zipped(data), kind=f"{LAYER}+gzip", plain=[b"other"])
    with pytest.raises(StoreError, match="does not hold what its image says"):
        store.load(layout.folder)
    layout.image(data, plain=[b"other"])
    layout.manifests.pop(0)
    layout.write()
    with pytest.raises(StoreError, match="is not the one that its config says"):
        store.load(layout.folder)


def test_a_layer_cannot_pass_for_another_one_that_is_known(store, layout):
    harmless, other = tar_of(("a", {})), tar_of(("secret", {}))
    layout.image(zipped(harmless), kind=f"{LAYER}+gzip", plain=[harmless])
    store.load(layout.folder)
    layout.manifests.clear()
    layout.image(zipped(other), kind=f"{LAYER}+gzip", plain=[harmless])
    with pytest.raises(StoreError, match="does not hold what its image says"):
        store.load(layout.folder)


@pytest.mark.parametrize(
    ("member", "said"),
    [
        (("../../etc/cron.d/x", {}), "is no path inside an image"),
        (("a", {"type": tarfile.LNKTYPE, "linkname": "../../../etc/shadow"}), "is a hard link out"),
        (("/etc/x", {}), "is no path inside an image"),
    ],
)
def test_a_hostile_layer_refuses_the_whole_layout(store, layout, member, said):
    layout.image(tar_of(("fine", {})))
    layout.image(tar_of(member))
    with pytest.raises(StoreError, match=said):
        store.load(layout.folder)
    assert store.tags() == {}
    assert store._index() == []


def test_what_is_worth_a_look_is_told(store, layout):
    layout.image(tar_of(("su", {"mode": 0o4755}), ("null", {"type": tarfile.CHRTYPE})))
    (loaded,) = store.load(layout.folder)
    assert [remark.split(",")[0] for remark in loaded.remarks] == [
        "su is setuid or setgid: whoever starts it becomes its owner. Here it has no effect",
        "null is a device",
    ]


def test_bytes_that_are_not_those_of_the_digest(store, layout):
    entry = layout.image(tar_of(("a", {})))
    for digest in [
        entry["digest"],
        *json.loads((layout.folder / "blobs/sha256" / entry["digest"][7:]).read_bytes())["layers"],
    ]:
        digest = digest if isinstance(digest, str) else digest["digest"]
        path = layout.folder / "blobs" / "sha256" / digest[7:]
        kept = path.read_bytes()
        path.write_bytes(kept.replace(b"a", b"b", 1))
        with pytest.raises(StoreError, match="are not those that the digest stands for"):
            store.load(layout.folder)
        path.write_bytes(kept)


def test_links_and_pipes_in_a_layout_are_not_followed(store, layout, tmp_path):
    entry = layout.image(tar_of(("a", {})))
    path = layout.folder / "blobs" / "sha256" / entry["digest"][7:]
    kept = path.read_bytes()
    path.unlink()
    (tmp_path / "elsewhere").write_bytes(kept)
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="is not taken"):
        store.load(layout.folder)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(StoreError, match="is no file"):
        store.load(layout.folder)
    index = layout.folder / "index.json"
    index.unlink()
    index.symlink_to("/etc/passwd")
    with pytest.raises(StoreError, match="is not taken"):
        store.load(layout.folder)


@pytest.mark.parametrize(
    "index",
    [
        b"",
        b"[]",
        b"{}",
        b'{"schemaVersion":2,"manifests":[{}]}',
        b'{"schemaVersion":2,"manifests":[{"mediaType":"x","digest":"sha256:../../../etc/passwd","size":1}]}',
        b'{"schemaVersion":2,"manifests":' + b"[" * 100_000,
        canonical(
            {"schemaVersion": 2, "manifests": [{"mediaType": "image/png", "digest": "sha256:" + "0" * 64, "size": 1}]}
        ),
        canonical(
            {
                "schemaVersion": 2,
                "manifests": [
                    {"mediaType": MANIFEST, "digest": f"sha256:{n:064}", "size": 1} for n in range(IMAGES + 1)
                ],
            }
        ),
        b"x" * 2_000_000,
    ],
    ids=range(9),
)
def test_a_strange_index_is_refused_in_words(store, layout, index):
    (layout.folder / "index.json").write_bytes(index)
    with pytest.raises(StoreError, match="^hostile is (not taken|no OCI layout)"):
        store.load(layout.folder)


def test_what_is_no_layout_at_all(store, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="empty is no OCI layout: oci-layout is missing"):
        store.load(tmp_path / "empty")
    (tmp_path / "x.tar").write_bytes(b"x" * 9999)
    with pytest.raises(StoreError, match=r"x.tar is not taken"):
        store.load(tmp_path / "x.tar")
    with pytest.raises(StoreError):
        store.load(tmp_path / "none")


def test_more_layers_than_named(store, layout):
    layer = tar_of(("a", {}))
    layout.image(layer, layer, plain=[layer])
    with pytest.raises(StoreError, match="has 2 layers and names 1"):
        store.load(layout.folder)


def test_a_kind_of_layer_that_is_not_read(store, layout):
    layout.image(b"x", kind=f"{LAYER}+zstd")
    with pytest.raises(StoreError, match="only tar and tar\\+gzip are read"):
        store.load(layout.folder)


def test_a_name_that_is_none_is_left_out(store, layout):
    entry = layout.image(tar_of(("a", {})))
    entry["annotations"][NAME] = "../../x"
    layout.write()
    (loaded,) = store.load(layout.folder)
    assert loaded.name == ""
    assert "its name is left out" in loaded.remarks[0]
    assert store.tags() == {}


def test_of_images_for_several_machines_the_right_one_is_taken(store, layout):
    other, mine = layout.image(tar_of(("other", {}))), layout.image(tar_of(("mine", {})))
    entries = [
        {**other, "platform": {"architecture": "s390x", "os": "linux"}},
        {**mine, "platform": {"architecture": architecture(), "os": "linux"}},
    ]
    index = layout.blob(canonical({"schemaVersion": 2, "manifests": entries}))
    layout.manifests = [{"mediaType": INDEX, **index, "annotations": {NAME: "multi:1"}}]
    layout.write()
    (loaded,) = store.load(layout.folder)
    assert "mine" in store.tree(loaded.image.layers).nodes
    assert loaded.name == "multi:1"


def test_a_blob_is_kept_whole_or_not_at_all(store):
    with pytest.raises(RuntimeError), store.new_blob() as blob:
        blob.file.write(b"half")
        raise RuntimeError
    assert not list(store.blobs.iterdir())


def test_a_layer_that_is_missing_is_told(store):
    layer = Layer("sha256:" + "0" * 64, 1, "sha256:" + "0" * 64)
    with pytest.raises(StoreError, match="is missing in"):
        store.listing(layer)


@pytest.mark.skipif(sys.platform != "linux", reason="rights as on Linux")
def test_the_cache_is_for_nobody_else(store):
    assert store.cache.stat().st_mode & 0o077 == 0


def test_random_bytes_as_a_layout(store, layout):
    layer = bytearray(tar_of(("a", {}), ("b", {"type": tarfile.SYMTYPE, "linkname": "a"})))
    for at in range(0, len(layer), 211):
        broken = bytearray(layer)
        broken[at] ^= 0xFF
        layout.manifests.clear()
        layout.image(bytes(broken))
        try:
            store.load(layout.folder)
        except StoreError as error:
            assert "hostile is not taken" in str(error)
