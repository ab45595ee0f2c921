"""Pushing and pulling without docker or skopeo: the same protocol, the same logins, the registry's own words."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_registry_http import USERS
from test_registry_store import descriptor, digest, image, index

from opslab.worlds.images.registry import client, manifests
from opslab.worlds.images.registry.client import ClientProblem, Logins
from opslab.worlds.images.registry.server import Registry
from opslab.worlds.images.registry.team import Team


def layout(folder: Path, content: bytes, *blobs: bytes) -> Path:
    """An OCI layout with one image and these blobs."""
    (folder / "blobs/sha256").mkdir(parents=True)
    for blob in (content, *blobs):
        (folder / "blobs/sha256" / digest(blob)[7:]).write_bytes(blob)
    kind = manifests.parse(content).media_type
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [descriptor(content, kind)]}))
    return folder


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with Registry(Team(tmp_path_factory.mktemp("team"), USERS, public=["public/*"], immutable=["clicks/fixed"])) as one:
        yield one


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with Registry(Team(tmp_path_factory.mktemp("other"), None)) as one:
        yield one


@pytest.fixture
def logins(tmp_path: Path) -> Logins:
    return Logins(tmp_path / ".docker/config.json")


def test_an_image_goes_there_and_back_and_on(
    registry: Registry, other: Registry, logins: Logins, tmp_path: Path
) -> None:
    logins.add(registry.address, "ana", USERS["ana"].password)
    both = index(image(b"amd"), image(b"arm"))
    source = layout(tmp_path / "source", both, image(b"amd"), image(b"arm"), b"amd", b"arm", b"{}")
    place = f"{registry.address}/clicks/app"
    assert client.push(source, f"{place}:1.0", logins) == digest(both)
    sent = sum(entry.method == "PUT" and "uploads" in entry.path for entry in registry.log)
    assert client.push(source, f"{place}:again", logins) == digest(both)
    assert sum(entry.method == "PUT" and "uploads" in entry.path for entry in registry.log) == sent == 3
    for reference in (":1.0", f"@{digest(both)}"):
        assert client.pull(place + reference, tmp_path / "pulled", logins) == digest(both)
    pulled = {path.name: path.read_bytes() for path in (tmp_path / "pulled/blobs/sha256").iterdir()}
    assert pulled == {path.name: path.read_bytes() for path in (source / "blobs/sha256").iterdir()}
    assert json.loads((tmp_path / "pulled/oci-layout").read_text())["imageLayoutVersion"] == "1.0.0"
    assert client.copy(f"{place}:1.0", f"{other.address}/x:2", logins) == digest(both)
    assert other.door.store.manifest("x", "2").content == both


def test_logins_are_docker_s(registry: Registry, logins: Logins) -> None:
    logins.path.parent.mkdir()
    logins.path.write_text('{"auths": {"elsewhere:1": {"auth": "eDp5"}}, "credsStore": "none"}')
    with pytest.raises(ClientProblem, match=r"unauthorized: There is no user 'ana' with this password"):
        logins.add(registry.address, "ana", "wrong")
    assert logins.get(registry.address) == "" and logins.get("elsewhere:1") == "eDp5"
    logins.add(registry.address, "ana", USERS["ana"].password)
    found = json.loads(logins.path.read_text())
    assert found["credsStore"] == "none" and set(found["auths"]) == {"elsewhere:1", registry.address}
    assert stat.S_IMODE(logins.path.stat().st_mode) == 0o600
    logins.path.write_text("{")
    with pytest.raises(ClientProblem, match=r"config\.json cannot be read .* repair it"):
        logins.get("x")
    for odd in ("[]", '{"auths": []}', '{"auths": {"x": 1}}'):
        logins.path.write_text(odd)
        assert logins.get("x") == ""


def test_what_the_registry_refuses_is_told_in_its_words(registry: Registry, logins: Logins, tmp_path: Path) -> None:
    source = layout(tmp_path / "source", image(b"one"), b"one", b"{}")
    place = f"{registry.address}/clicks/fixed:1"
    with pytest.raises(ClientProblem, match="unauthorized: Please log in to push"):
        client.push(source, place, logins)
    logins.add(registry.address, "ben", USERS["ben"].password)
    with pytest.raises(ClientProblem, match="denied: ben may not push in clicks/fixed; what ben may do there: pull"):
        client.push(source, place, logins)
    with pytest.raises(ClientProblem, match="name unknown: There is no repository nothing"):
        client.pull(f"{registry.address}/nothing:1", tmp_path / "pulled", logins)
    logins.add(registry.address, "ana", USERS["ana"].password)
    client.push(source, place, logins)
    with pytest.raises(
        ClientProblem, match="tag invalid: The image tag '1' already exists in the 'clicks/fixed' repos"
    ):
        client.push(layout(tmp_path / "two", image(b"two"), b"two", b"{}"), place, logins)


@pytest.mark.parametrize(
    "name, said",
    [
        ("python:3", "A name without a host is not on this machine"),
        ("docker.io/library/python:3", "docker.io is not on this machine"),
        ("111111111111.dkr.ecr.eu-west-1.amazonaws.com/app:1", "amazonaws.com is not on this machine"),
        ("10.0.0.1:5000/app", "10.0.0.1:5000 is not on this machine"),
        ("127.0.0.1:5000/App", "capital letters"),
        ("http://127.0.0.1:5000/app", "is an address"),
        ("127.0.0.1:9/app:1", "127.0.0.1:9 does not answer .*Is it running"),
    ],
)
def test_names_that_lead_elsewhere_are_refused_by_name(name: str, said: str, logins: Logins, tmp_path: Path) -> None:
    source = layout(tmp_path / "source", image(), b"{}")
    for call in (lambda: client.push(source, name, logins), lambda: client.pull(name, tmp_path / "x", logins)):
        with pytest.raises(ClientProblem, match=said):
            call()
    assert not (tmp_path / "x/index.json").exists()


def test_folders_that_are_no_image(other: Registry, logins: Logins, tmp_path: Path) -> None:
    place = f"{other.address}/bad:1"
    source = layout(tmp_path / "source", image(b"one"), b"{}")
    with pytest.raises(ClientProblem, match=r"is no image: an OCI layout has an index\.json"):
        client.push(tmp_path / "nothing", place, logins)
    with pytest.raises(ClientProblem, match=f"is not complete: {digest(b'one')}"):
        client.push(source, place, logins)
    (source / "blobs/sha256" / digest(image(b"one"))[7:]).write_bytes(image(b"two"))
    with pytest.raises(ClientProblem, match="is damaged: what is called"):
        client.push(source, place, logins)
    for text in ("{", "[" * 10**5, '{"manifests": []}', '{"manifests": [{"digest": "../../x"}]}'):
        (source / "index.json").write_text(text)
        with pytest.raises(ClientProblem, match="is no image"):
            client.push(source, place, logins)


def test_bytes_that_are_not_what_was_asked_for(other: Registry, logins: Logins, tmp_path: Path) -> None:
    store = other.door.store
    for blob in (b"{}", b"true"):
        store.add_blob("forged", blob)
    store.put("forged", "1", image(b"true"))
    path = store.folder / "blobs" / digest(b"true").replace(":", "/")
    path.chmod(0o644)
    path.write_bytes(b"fake")
    with pytest.raises(ClientProblem, match=f"has sent other bytes than those of {digest(b'true')}"):
        client.pull(f"{other.address}/forged:1", tmp_path / "pulled", logins)
    assert not list((tmp_path / "pulled").rglob("*.part")) and not (tmp_path / "pulled/index.json").exists()


def test_a_registry_that_sends_one_to_log_in_elsewhere(
    registry: Registry, logins: Logins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its challenge names where the password goes: nowhere but to itself."""
    monkeypatch.setattr(registry.door, "address", "127.0.0.1:9")
    with pytest.raises(ClientProblem, match=r"asks to log in at 127\.0\.0\.1:9, which is not done from here"):
        logins.add(registry.address, "ana", USERS["ana"].password)
