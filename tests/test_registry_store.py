"""The files of a registry: what has a name, what is in a manifest, and a folder that is never half of anything."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from opslab.worlds.images.registry import manifests, names
from opslab.worlds.images.registry import store as code
from opslab.worlds.images.registry.errors import RegistryError
from opslab.worlds.images.registry.store import Limits, Store, take

EMPTY = "sha256:" + hashlib.sha256(b"").hexdigest()
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "registry")


def digest(content: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def descriptor(content: bytes, media_type: str = LAYER) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest(content), "size": len(content)}


def image(*layers: bytes, config: bytes = b"{}", **more: Any) -> bytes:
    """The manifest of an image with these layers."""
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": manifests.OCI_MANIFEST,
            "config": descriptor(config, CONFIG),
            "layers": [descriptor(layer) for layer in layers],
            **more,
        }
    ).encode()


def index(*images: bytes, **more: Any) -> bytes:
    entries = [descriptor(one, manifests.OCI_MANIFEST) for one in images]
    return json.dumps({"schemaVersion": 2, "mediaType": manifests.OCI_INDEX, "manifests": entries, **more}).encode()


def push(store: Store, name: str, tag: str, *layers: bytes, config: bytes = b"{}", **more: Any) -> str:
    """Push an image as a client does; returns its digest."""
    for blob in (config, *layers):
        store.add_blob(name, blob)
    return store.put(name, tag, image(*layers, config=config, **more)).digest


@contextlib.contextmanager
def refused(code: str, status: int = 0) -> Iterator[SimpleNamespace]:
    """A block that must end in this error; gives something that then has its message."""
    told = SimpleNamespace(message="")
    with pytest.raises(RegistryError) as error:
        yield told
    told.message = error.value.message
    assert (error.value.code, error.value.status) == (code, status or error.value.status), told.message


# ---- names ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "clicks/loader", "a.b_c__d--e/f", "1234.dkr.example/x", "a" * names.LONGEST])
def test_names_of_repositories(name: str) -> None:
    assert names.repository(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "A",
        "a/",
        "/a",
        "a//b",
        "..",
        "a/../b",
        "a/.b",
        "a_",
        "a..b",
        "a___b",
        "é",
        "a b",
        "a\n",
        "a\0",
        "a" * 241,
        "a:b",
    ],
)
def test_what_is_no_name_is_refused_in_words(name: str) -> None:
    with refused("NAME_INVALID", 400) as error:
        names.repository(name)
    assert "small letters and digits" in error.message


@pytest.mark.parametrize("text", ["latest", "1.0", "_", "A" * 128, digest(b""), digest(b"", "sha512")])
def test_tags_and_digests(text: str) -> None:
    assert names.reference(text) == text


@pytest.mark.parametrize(
    "text, error",
    [
        *((tag, "TAG_INVALID") for tag in ("", ".hidden", "-x", "a/b", "A" * 129, "a b", "..")),
        *((one, "DIGEST_INVALID") for one in ("sha256:abc", "md5:" + "0" * 32, EMPTY.upper(), EMPTY + "\n", "a:b")),
    ],
)
def test_what_is_neither_is_refused(text: str, error: str) -> None:
    with refused(error, 400):
        names.reference(text)


# ---- manifests --------------------------------------------------------------------------------------------------------------


def test_a_manifest_says_what_it_needs() -> None:
    content = image(b"one", b"two", subject=descriptor(b"it", manifests.OCI_MANIFEST), annotations={"a": "b"})
    found = manifests.parse(content, f"{manifests.OCI_MANIFEST}; charset=utf-8")
    assert found.digest == digest(content)
    assert found.blobs == {digest(b"{}"): 2, digest(b"one"): 3, digest(b"two"): 3}
    assert (found.subject, found.kind, found.annotations) == (digest(b"it"), CONFIG, {"a": "b"})
    both = manifests.parse(index(content))
    assert both.is_index and both.children == {digest(content): len(content)} and not both.blobs


def test_layers_that_are_meant_to_be_elsewhere_are_not_asked_for() -> None:
    layer = {**descriptor(b"windows", "application/vnd.oci.image.layer.nondistributable.v1.tar"), "urls": ["http://x"]}
    content = json.loads(image(b"own"))
    content["layers"].append(layer)
    assert digest(b"windows") not in manifests.parse(json.dumps(content).encode()).blobs


DOCKER_1 = {"schemaVersion": 1, "name": "a", "tag": "b", "fsLayers": [], "history": []}


@pytest.mark.parametrize(
    "content, media_type",
    [
        (b"", ""),
        (b"\xff\xfe", ""),
        (b"[" * 100_000, ""),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, ""),
        (b"[]", ""),
        (b"{}", ""),
        (json.dumps(DOCKER_1).encode(), ""),
        (image(b"x").replace(b'"schemaVersion": 2', b'"schemaVersion": 1'), ""),
        (image(b"x", mediaType="x" * 10**6), ""),
        (image(b"x"), manifests.OCI_INDEX),
        (image(b"x"), "text/plain"),
        (image(b"x", mediaType="application/json"), ""),
        (image(b"x", mediaType=["a"]), ""),
        (image(b"x", mediaType=5), ""),
        (image(b"x", manifests=[]), ""),  # CVE-2021-41190
        (index(b"x", layers=[]), ""),
        (image(b"x", layers={}), ""),
        (image(b"x", layers=[1]), ""),
        (image(b"x", layers=[{**descriptor(b"x"), "digest": "sha256:../../etc/passwd"}]), ""),
        (image(b"x", layers=[{**descriptor(b"x"), "digest": [[]]}]), ""),
        (image(b"x", layers=[{**descriptor(b"x"), "size": -1}]), ""),
        (image(b"x", layers=[{**descriptor(b"x"), "size": True}]), ""),
        (image(b"x", layers=[{**descriptor(b"x"), "size": 1e3}]), ""),
        (image(b"x", layers=[{"digest": EMPTY, "size": 0}]), ""),
        (image(b"x", config=b"{}").replace(b'"config"', b'"conf"'), ""),
        (image(b"x", subject="it"), ""),
        (image(b"x", annotations={"a": 1}), ""),
        (image(b"x", annotations=[]).replace(b"[]", b"[1]"), ""),
        (image(b"x", artifactType=5), ""),
        (image(b"x").replace(b'"size": 1}', b'"size": 1' + b"0" * 5000 + b"}"), ""),
    ],
)
def test_what_is_no_manifest_is_refused(content: bytes, media_type: str) -> None:
    with refused("MANIFEST_INVALID", 400) as error:
        manifests.parse(content, media_type)
    assert len(error.message) < 500


# ---- blobs ------------------------------------------------------------------------------------------------------------------


def test_a_blob_is_there_when_it_is_all_there(store: Store) -> None:
    upload = store.start("a/b")
    assert store.write("a/b", upload, [b"half"], 0) == 4
    with refused("BLOB_UNKNOWN", 404):
        store.size("a/b", digest(b"half and half"))
    assert store.write("a/b", upload, [b" and ", b"half"], 4) == 13
    store.finish("a/b", upload, digest(b"half and half"))
    with store.open("a/b", digest(b"half and half")) as file:
        assert file.read() == b"half and half"
    with refused("BLOB_UNKNOWN"):  # a blob belongs to the repository that it was sent to
        store.size("a/c", digest(b"half and half"))
    assert list((store.folder / "uploads/a+b").iterdir()) == []


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_the_wrong_digest_is_no_blob(store: Store, algorithm: str) -> None:
    upload = store.start("a")
    store.write("a", upload, [b"content"])
    with refused("DIGEST_INVALID", 400) as error:
        store.finish("a", upload, digest(b"other", algorithm))
    assert digest(b"content", algorithm) in error.message
    assert store.used() == 0 and store.repositories() == []
    store.finish("a", upload := store.start("a"), digest(b"", algorithm))
    assert store.size("a", digest(b"", algorithm)) == 0
    with refused("BLOB_UPLOAD_UNKNOWN", 404):
        store.received("a", upload)


def test_an_upload_goes_on_where_it_was_cut_off_also_in_another_process(store: Store) -> None:
    upload = store.start("a")

    def cut_off() -> Iterator[bytes]:
        yield b"first "
        raise ConnectionError("the client has gone")

    with pytest.raises(ConnectionError):
        store.write("a", upload, cut_off())
    again = Store(store.folder)
    assert again.received("a", upload) == 6
    with refused("BLOB_UPLOAD_INVALID", 416) as error:
        again.write("a", upload, [b"first "], 0)
    assert "number 6" in error.message
    again.write("a", upload, [b"second"], 6)
    again.finish("a", upload, digest(b"first second"))
    assert again.problems() == []


@pytest.mark.parametrize("later", [b"", b"yyyy"])
def test_the_running_digest_is_not_believed_when_the_file_is_another(store: Store, later: bytes) -> None:
    upload = store.start("a")
    store.write("a", upload, [b"xxxx"])
    with (store.folder / "uploads/a" / upload).open("ab") as file:
        file.write(b"more")
    if later:
        store.write("a", upload, [later])
    with refused("DIGEST_INVALID"):
        store.finish("a", upload, digest(b"xxxx" + later))


def test_two_do_not_write_to_one_upload(store: Store) -> None:
    upload, other = store.start("a"), Store(store.folder)

    def meanwhile() -> Iterator[bytes]:
        with refused("BLOB_UPLOAD_INVALID", 409):
            other.write("a", upload, [b"x"])
        with refused("BLOB_UPLOAD_INVALID", 409):
            other.finish("a", upload, digest(b""))
        yield b"mine"

    assert store.write("a", upload, meanwhile()) == 4


@pytest.mark.parametrize("upload", ["", "x", "../../oci-layout", "0" * 32, "00000000-0000-4000-8000-000000000000"])
def test_an_upload_that_is_not_there(store: Store, upload: str) -> None:
    store.start("a")
    for call in (store.received, store.cancel):
        with refused("BLOB_UPLOAD_UNKNOWN", 404):
            call("a", upload)


def test_mounting_is_for_what_is_there(store: Store) -> None:
    known = store.add_blob("a", b"content")
    assert store.mount("b", known, "a") and store.size("b", known) == 7
    assert not store.mount("b", EMPTY, "a") and not store.mount("b", known, "nowhere")


def test_limits(tmp_path: Path) -> None:
    store = Store(tmp_path, Limits(blob=10, manifest=5000, total=25, uploads=2))
    upload = store.start("a")
    with refused("SIZE_INVALID", 413):
        store.write("a", upload, [b"12345678", b"9012"])
    assert store.received("a", upload) == 8
    store.start("a")
    with refused("TOOMANYREQUESTS", 429):
        store.start("a")
    store.cancel("a", upload)
    for number in range(2):
        store.add_blob("a", b"%010d" % number)
    upload = store.start("b")
    with refused("SIZE_INVALID", 413):  # not too large by itself, but all together
        store.write("b", upload, [b"1234567890"])
    with refused("SIZE_INVALID", 413):
        store.put("a", "1", b" " * 5001)
    store.write("b", upload, [b"12345"])
    with refused("DENIED") as error:
        store.start("b")
    assert "full" in error.message


def test_limits_of_numbers(tmp_path: Path) -> None:
    store = Store(tmp_path, Limits(repositories=2, entries=4))
    push(store, "a", "1", b"x")
    with refused("DENIED") as error:
        store.put("a", "2", image(b"x"))
    assert "the limit here" in error.message and store.tags("a") == ["1"]
    store.delete_manifest("a", "1")
    store.put("a", "2", image(b"x"))
    store.add_blob("b", b"x")
    with refused("DENIED") as error:
        store.add_blob("c", b"x")
    assert "its limit" in error.message and store.repositories() == ["a", "b"]


def test_looking_only_makes_nothing(tmp_path: Path) -> None:
    with refused("BLOB_UNKNOWN"):
        Store(tmp_path / "nothing", read_only=True).size("a", EMPTY)
    assert not (tmp_path / "nothing").exists()


def test_a_full_disk_is_said_and_keeps_what_was_there(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    known, upload = push(store, "a", "1", b"layer"), store.start("a")

    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(code.os, "pwrite", full)
    monkeypatch.setattr(Path, "write_bytes", full)
    with refused("UNKNOWN", 507):
        store.write("a", upload, [b"more"])
    with refused("UNKNOWN", 507):
        store.put("a", "2", image(b"layer"))
    monkeypatch.undo()
    assert store.received("a", upload) == 0 and store.tags("a") == ["1"] and store.manifest("a", "1").digest == known
    assert store.problems() == []


def test_a_blob_that_was_cut_off_by_the_machine_is_not_served(store: Store) -> None:
    known = store.add_blob("a", b"content")
    path = store.folder / "blobs" / known.replace(":", "/")
    path.chmod(0o644)
    os.truncate(path, 3)
    with refused("BLOB_UNKNOWN"):
        store.open("a", known)
    assert len(store.problems()) == 1
    store.add_blob("a", b"content")  # sent again, it is whole again
    assert store.size("a", known) == 7 and store.problems() == []


# ---- manifests and tags -------------------------------------------------------------------------------------------------------


def test_an_image_by_tag_and_by_digest(store: Store) -> None:
    known = push(store, "a/b", "1.0", b"layer")
    assert store.manifest("a/b", "1.0") == store.manifest("a/b", known)
    assert store.manifest("a/b", known).content == image(b"layer")
    assert (store.tags("a/b"), store.repositories()) == (["1.0"], ["a/b"])
    for name, reference, error in [
        ("a/b", "2.0", "MANIFEST_UNKNOWN"),
        ("a/b", EMPTY, "MANIFEST_UNKNOWN"),
        ("a", "1.0", "NAME_UNKNOWN"),
    ]:
        with refused(error, 404):
            store.manifest(name, reference)


def test_a_manifest_waits_for_its_blobs(store: Store) -> None:
    store.add_blob("a", b"{}")
    with refused("MANIFEST_BLOB_UNKNOWN", 404) as error:
        store.put("a", "1", image(b"one", b"two"))
    assert digest(b"one") in error.message and digest(b"{}") not in error.message
    store.add_blob("other", b"one")  # in another repository is not in this one
    with refused("MANIFEST_BLOB_UNKNOWN"):
        store.put("a", "1", image(b"one"))
    with refused("MANIFEST_BLOB_UNKNOWN"):
        store.put("a", "1", index(image()))
    assert store.tags("a") == []


def test_sizes_have_to_be_right(store: Store) -> None:
    store.add_blob("a", b"{}")
    content = image().replace(b'"size": 2', b'"size": 3')
    with refused("MANIFEST_INVALID") as error:
        store.put("a", "1", content)
    assert "has 3 bytes; it has 2" in error.message


def test_an_image_for_several_machines(store: Store) -> None:
    amd, arm = push(store, "a", "amd", b"amd"), push(store, "a", "arm", b"arm")
    both = store.put("a", "1.0", index(image(b"amd"), image(b"arm")))
    assert list(both.children) == [amd, arm] and store.manifest("a", "1.0").is_index


def test_a_manifest_under_a_digest_must_have_it(store: Store) -> None:
    content = image()
    store.add_blob("a", b"{}")
    with refused("DIGEST_INVALID"):
        store.put("a", EMPTY, content)
    assert store.put("a", digest(content, "sha512"), content).digest == digest(content, "sha512")
    assert store.manifest("a", digest(content, "sha512")).content == content and store.tags("a") == []


def test_immutable_tags_stay_and_the_same_image_may_come_again(store: Store) -> None:
    known = push(store, "a", "1", b"first")
    store.add_blob("a", b"second")
    with refused("TAG_INVALID", 400) as error:
        store.put("a", "1", image(b"second"), immutable=True)
    assert error.message == (
        "The image tag '1' already exists in the 'a' repository and cannot be overwritten because the repository is immutable."
    )
    store.put("a", "1", image(b"first"), immutable=True)
    assert store.manifest("a", "1").digest == known
    store.put("a", "1", image(b"second"))
    assert store.manifest("a", "1").digest == digest(image(b"second"))
    assert store.manifest("a", known).content == image(b"first")  # without a tag now, and still there


def test_tags_are_case_sensitive_and_sorted(store: Store) -> None:
    for tag in ("b", "A", "a", "1.10", "1.9"):
        push(store, "a", tag, tag.encode())
    assert store.tags("a") == ["1.10", "1.9", "A", "a", "b"]
    assert store.manifest("a", "A").digest != store.manifest("a", "a").digest


def test_deleting(store: Store) -> None:
    known = push(store, "a", "1", b"layer")
    store.put("a", "2", image(b"layer"))
    store.delete_manifest("a", "1")
    assert store.tags("a") == ["2"] and store.manifest("a", known).digest == known
    store.delete_manifest("a", known)
    assert store.tags("a") == []
    for reference in ("1", known):
        with refused("MANIFEST_UNKNOWN"):
            store.delete_manifest("a", reference)
    store.delete_blob("a", digest(b"layer"))
    with refused("BLOB_UNKNOWN"):
        store.delete_blob("a", digest(b"layer"))


def test_referrers(store: Store) -> None:
    subject = descriptor(image(b"layer"), manifests.OCI_MANIFEST)
    known = push(store, "a", "sbom", b"sbom", subject=subject, artifactType="application/sbom", annotations={"x": "y"})
    push(store, "a", "1", b"layer")
    (found,) = store.referrers("a", subject["digest"])
    assert found.descriptor() == {
        "mediaType": manifests.OCI_MANIFEST,
        "digest": known,
        "size": len(found.content),
        "artifactType": "application/sbom",
        "annotations": {"x": "y"},
    }
    assert store.referrers("a", EMPTY) == [] and store.referrers("nowhere", EMPTY) == []


# ---- at once --------------------------------------------------------------------------------------------------------------------


def test_two_pushes_of_one_tag_end_in_one_of_them(store: Store) -> None:
    for number in range(8):
        store.add_blob("a", b"%d" % number)
    store.add_blob("a", b"{}")
    results: list[Any] = []

    def put(number: int, immutable: bool) -> None:
        try:
            results.append(Store(store.folder).put("a", "1", image(b"%d" % number), immutable=immutable).digest)
        except RegistryError as error:
            results.append(error.code)

    for immutable in (True, False):
        results.clear()
        threads = [threading.Thread(target=put, args=(number, immutable)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        won = [one for one in results if one.startswith("sha256:")]
        assert len(won) == (1 if immutable else 8)
        assert store.manifest("a", "1").digest in won
        store.delete_manifest("a", "1")
    assert store.problems() == []


KILLED = """
import os, sys, threading
from opslab.worlds.images.registry.store import Store
sys.path.insert(0, sys.argv[2])
from test_registry_store import push
store = Store(sys.argv[1])
print("go", flush=True)
number = 0
while True:
    number += 1
    push(store, "a", "latest", b"%d" % number * 10_000)
"""


def test_a_process_that_is_killed_leaves_nothing_half(tmp_path: Path) -> None:
    """Killed at any moment of a push: what is there can be pulled, and what is not wanted can be collected."""
    luck = random.Random(5)
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path / "r"), str(Path(__file__).parent)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[1],
        )
        process.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.02 + luck.random() * 0.1)
        process.kill()
        process.communicate()
        store = Store(tmp_path / "r")
        assert store.problems() == []
        assert push(store, "a", "after", b"after") == store.manifest("a", "after").digest
        store.collect(grace=0, untagged=True)
        assert not list(store.folder.rglob(".*")) and not list((store.folder / "uploads").iterdir())
        layout = json.loads((store.folder / "index.json").read_text())
        assert {one["digest"] for one in layout["manifests"]} == {
            store.manifest("a", tag).digest for tag in store.tags("a")
        }


def test_what_was_begun_and_never_renamed_is_no_blob(store: Store) -> None:
    push(store, "a", "1", b"layer")
    begun = next((store.folder / "blobs/sha256").iterdir()).with_name(f".{'0' * 64}.1234")
    others = [store.folder / ".index.json.1234", store.folder / "repositories/.a.json.1234"]
    for path in (begun, *others):
        path.write_bytes(b"half")
    assert store.problems() == []
    store.collect(grace=0)
    assert not any(path.exists() for path in (begun, *others)) and store.problems() == []


# ---- collecting -----------------------------------------------------------------------------------------------------------------


def test_collecting_takes_what_no_image_needs(store: Store) -> None:
    known = push(store, "a", "1", b"shared", b"own")
    push(store, "b", "1", b"shared")
    store.add_blob("a", b"never used")
    upload = store.start("a")
    store.write("a", upload, [b"never finished"])
    assert store.collect() == code.Collected()  # all of it is too young: its push may be under way
    done = store.collect(grace=0)
    assert (done.blobs, done.uploads, done.bytes) == (1, 1, len(b"never used" + b"never finished"))
    store.delete_manifest("a", known)
    assert store.collect(grace=0).blobs == 2  # the manifest and b"own"
    assert store.repositories() == ["b"] and store.size("b", digest(b"shared")) == 6
    assert store.problems() == []


def test_collecting_what_has_no_tag_keeps_what_a_tag_holds(store: Store) -> None:
    child = push(store, "a", "child", b"child")
    both = store.put("a", "both", index(image(b"child"))).digest
    signature = push(store, "a", "s", b"s", subject=descriptor(index(image(b"child")), manifests.OCI_INDEX))
    old = push(store, "a", "moved", b"old")
    push(store, "a", "moved", b"new")
    for tag in ("child", "s"):
        store.delete_manifest("a", tag)
    store.collect(grace=0)
    assert store.manifest("a", old).digest == old
    store.collect(grace=0, untagged=True)
    with refused("MANIFEST_UNKNOWN"):
        store.manifest("a", old)
    assert all(store.manifest("a", one).digest == one for one in (child, both, signature))
    assert store.problems() == []


def test_an_upload_that_is_written_to_is_not_collected(store: Store) -> None:
    upload = store.start("a")

    def meanwhile() -> Iterator[bytes]:
        yield b"some"
        assert Store(store.folder).collect(grace=0).uploads == 0
        yield b"more"

    assert store.write("a", upload, meanwhile()) == 8


# ---- the folder -----------------------------------------------------------------------------------------------------------------


def test_the_folder_is_an_oci_layout(store: Store, tmp_path: Path) -> None:
    known = push(store, "clicks/loader", "1.0", b"layer")
    assert json.loads((store.folder / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    (entry,) = json.loads((store.folder / "index.json").read_text())["manifests"]
    assert entry["digest"] == known
    assert entry["annotations"] == {"org.opencontainers.image.ref.name": "clicks/loader:1.0"}
    assert (store.folder / "blobs" / known.replace(":", "/")).read_bytes() == image(b"layer")
    other = Store(tmp_path / "other")
    assert other.add_layout("x", store.folder, tag="2").digest == known and other.problems() == []


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}x", '{"tags": {"a": "b"}}', '{"tags": []}', '{"blobs": {"x": {}}}', "[" * 10**5]
)
def test_a_damaged_file_is_named(store: Store, text: str) -> None:
    push(store, "a", "1", b"x")
    push(store, "b", "1", b"x")
    (store.folder / "repositories/a.json").write_text(text)
    for call in (lambda: store.manifest("a", "1"), lambda: store.add_blob("a", b"y"), lambda: store.collect(grace=0)):
        with refused("UNKNOWN", 500) as error:
            call()
        assert "a.json in this registry's folder is damaged" in error.message
    assert store.manifest("b", "1").blobs and store.size("b", digest(b"x")) == 1


def test_taking_what_is_sound_of_a_folder_that_was_handed_in(store: Store, tmp_path: Path) -> None:
    good = push(store, "a/good", "1", b"good")
    store.put("a/good", "all", index(image(b"good")))
    forged = push(store, "forged", "1", b"evil")
    path = store.folder / "blobs" / digest(b"evil").replace(":", "/")
    path.chmod(0o644)
    path.write_bytes(b"live")
    linked = push(store, "linked", "1", b"linked")
    secret = tmp_path / "secret"
    secret.write_bytes(b"linked")
    path = store.folder / "blobs" / digest(b"linked").replace(":", "/")
    path.unlink()
    path.symlink_to(secret)
    os.mkfifo(store.folder / "blobs/sha256" / digest(b"pipe")[7:])
    (store.folder / "repositories/bad.json").write_text("{" * 1000)
    (store.folder / "repositories/..json").write_text("{}")
    (store.folder / "repositories/link.json").symlink_to(store.folder / "repositories/a+good.json")
    huge = store.folder / "blobs/sha256" / digest(b"huge")[7:]
    with huge.open("wb") as file:
        file.truncate(10 * 2**30)
    copy = take(store.folder, tmp_path / "copy", Limits(blob=1000, total=100_000))
    assert copy.problems() == []
    assert copy.tags("a/good") == ["1", "all"] and copy.manifest("a/good", "1").digest == good
    for name, reference in (("forged", forged), ("linked", linked)):
        with refused("MANIFEST_UNKNOWN"):
            copy.manifest(name, reference)
    assert copy.repositories() == ["a/good", "forged", "linked"]
    assert copy.used() < 10_000 and not list((copy.folder / "uploads").iterdir())


def test_taking_from_nowhere_is_an_empty_registry(tmp_path: Path) -> None:
    assert take(tmp_path / "nothing", tmp_path / "copy").repositories() == []


def test_every_refusal_has_a_status_and_the_form_of_the_specification() -> None:
    error = RegistryError("BLOB_UNKNOWN", "There is none.", detail={"digest": EMPTY})
    assert error.body() == {
        "errors": [{"code": "BLOB_UNKNOWN", "message": "There is none.", "detail": {"digest": EMPTY}}]
    }
    with pytest.raises(KeyError):
        RegistryError("NO_SUCH_CODE", "")
