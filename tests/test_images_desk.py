"""All that a desk with images has running: where it is, what it remembers, and what becomes of it where nothing can be built."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from patience import kept_port

from opslab import jail
from opslab.worlds import packages, workspace
from opslab.worlds.images import desk as desks
from opslab.worlds.images.desk import BASE, Desk, settings
from opslab.worlds.images.registry.team import User

DOCKERFILE = 'FROM {base}\nCOPY said .\nCMD ["cat", "said"]\n'


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with Desk(tmp_path_factory.mktemp("desk"), users={"you": User("plum-fern", {"*": "pull push"})}) as found:
        yield found


def folder(tmp_path: Path, base: str = BASE) -> Path:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE.format(base=base))
    (tmp_path / "said").write_text("hello\n")
    return tmp_path


def test_what_runs_is_on_the_loopback_and_in_the_settings(desk: Desk):
    env = settings(desk.home, desk.ports)
    assert desk.env == env and set(desk.ports) == {"index", "engine", "team"}
    assert env["PIP_INDEX_URL"] == f"http://127.0.0.1:{desk.ports['index']}/simple/"
    assert env["DOCKER_HOST"] == f"tcp://127.0.0.1:{desk.ports['engine']}"
    assert desk.index.day == packages.WEDNESDAY and set(desk.services) == set(desk.ports.values())
    with urllib.request.urlopen(env["PIP_INDEX_URL"], timeout=60) as answer:
        assert b"pykontor" in answer.read()


def test_a_base_whose_tag_has_moved_and_a_digest_of_another_machine(desk: Desk, tmp_path: Path):
    assert desk.store.find(BASE).digest == desk.base_digest != desk.older_base_digest
    theirs = ["sha256:" + letter * 64 for letter in "ab"]
    with Desk(tmp_path / "home", theirs=theirs) as other:
        newest = other.build(folder(tmp_path, f"{BASE}@{theirs[1]}"))
        older = other.build(folder(tmp_path, f"python@{theirs[0]}"))
        assert other.run(newest.image).out == "hello\n"
        assert newest.image.digest != older.image.digest
        assert newest.image.digest == other.build(folder(tmp_path, f"{BASE}@{other.base_digest}")).image.digest


def test_ports_are_kept_where_they_can_be_had(tmp_path: Path):
    with contextlib.ExitStack() as kept:  # else a neighbour might have one of them before the desk comes again
        ports = {name: kept.enter_context(kept_port()) for name in ("index", "engine", "team")}
        with Desk(tmp_path, ports=ports) as first:
            assert first.ports == ports
            with Desk(tmp_path / "second", ports=ports) as second:  # they are taken
                assert not set(second.ports.values()) & set(ports.values())
        with Desk(tmp_path, ports=ports) as again:
            assert again.ports == ports


def test_in_the_jail_a_private_desk_is_where_the_learners_is(desk: Desk, tmp_path: Path):
    shown = {"index": 4001, "engine": 4002, "team": 4003}
    home = tmp_path / "home"
    home.mkdir()
    with Desk(tmp_path / "private", shown=shown) as private:
        private.build(folder(tmp_path), "data/said:1")
        env = workspace.environment(home, private.env)
        how = {"home": home, "env": env, "services": private.services}
        how |= {"hide": workspace.secret_folders(), "read_only": workspace.tool_folders()}
        how |= {"limits": jail.Limits(seconds=100)}
        assert private.env["DOCKER_HOST"].endswith(":4002")
        done = jail.run(["docker", "run", "--rm", "data/said:1"], **how)
        assert (done.code, done.out) == (0, "hello\n"), done.err


def test_a_terminal_has_the_desks_own_environment(desk: Desk, tmp_path: Path):
    (tmp_path / workspace.NOTE).write_text(json.dumps({"image_ports": desk.ports, "seed": 1}))
    env = workspace.environment(tmp_path)
    assert env["PATH"].startswith(f"{tmp_path}/{desks.VENV}/bin:") and env["VIRTUAL_ENV"] == f"{tmp_path}/{desks.VENV}"
    assert env["DOCKER_HOST"] == f"tcp://127.0.0.1:{desk.ports['engine']}"
    for damaged in ({}, {"image_ports": 7}, {"image_ports": {"index": "x", "engine": 70000}}):
        (tmp_path / workspace.NOTE).write_text(json.dumps(damaged))
        assert "DOCKER_HOST" not in workspace.environment(tmp_path)


def test_where_nothing_can_be_built_the_rest_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(jail, "bubblewrap", lambda: None)
    with Desk(tmp_path) as found:
        assert "Linux with bubblewrap" in found.lacks and found.base_digests == []
        with urllib.request.urlopen(f"{found.index_url}/simple/", timeout=60) as answer:
            assert answer.status == 200


def test_nothing_is_left_when_it_is_closed(tmp_path: Path):
    def listening() -> set[int]:
        """Of this process only: a port that was given back may be somebody else's a moment later."""
        return {one.laddr.port for one in psutil.Process().net_connections("inet") if one.status == psutil.CONN_LISTEN}

    with Desk(tmp_path) as found:
        ports = set(found.ports.values())
        assert ports <= listening()
    assert not ports & listening()
