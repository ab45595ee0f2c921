"""The engine as a service: whatever is sent to it, it answers, and goes on."""

from __future__ import annotations

import http.client
import io
import json
import socket
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_world import small
from images_world import tar_of
from patience import kept_port, until

from opslab.worlds.images import context
from opslab.worlds.images.engine import Engine, parcel, server
from opslab.worlds.images.engine.commands import COMMANDS, Commands, Refused, Work
from opslab.worlds.images.layers import LayerProblem
from opslab.worlds.images.store import Store

TYPE = {"Content-Type": server.KIND}
NOWHERE = {"registry.targ.example": "127.0.0.1:9"}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine with an empty store, and the name of a registry that does not run."""
    with Engine(Store(tmp_path / "store", tmp_path / "cache"), hosts=NOWHERE) as engine:
        yield engine


def post(engine: Engine, command: str, body: bytes | dict, headers: dict | None = None) -> tuple[int, list[dict]]:
    """Ask, as our client does: the status, and the lines of the answer."""
    line = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=60)
    body = json.dumps(body).encode() + b"\n" if isinstance(body, dict) else body
    line.request("POST", f"/v1/{command}", body, headers if headers is not None else TYPE)
    answer = line.getresponse()
    lines = [json.loads(text) for text in answer]
    line.close()
    return answer.status, lines


def raw(engine: Engine, data: bytes, *, end: bool = True) -> bytes:
    """Send bytes; what comes back until the engine hangs up."""
    with socket.create_connection(("127.0.0.1", engine.port), timeout=20) as line:
        line.sendall(data)
        if end:
            line.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := line.recv(65536):
            answer += piece
        return answer


def alive(engine: Engine) -> bool:
    return "done" in post(engine, "version", {})[1][-1]


# ---- what a request looks like ---------------------------------------------------------------------------------------


def test_a_command_and_its_answer(engine):
    small(engine.commands.store, "loader:1.0")
    status, lines = post(engine, "images", {})
    (row,) = lines[-1]["done"]["images"]
    assert status == 200 and (row["name"], row["tag"], row["size"]) == ("loader", "1.0", len("loader:1.0"))


@pytest.mark.parametrize(
    "headers",
    [{}, {"Content-Type": "text/plain"}, TYPE | {"Origin": "https://evil.example"}, TYPE | {"Host": "evil.example"}],
)
def test_web_pages_are_not_answered(engine, headers):
    status, (line,) = post(engine, "version", {}, headers)
    assert status == 403 and "not for web pages" in line["error"]


NONSENSE = {
    "no JSON": (b"what\n", 400, "no JSON"),
    "deep JSON": (b"[" * 100_000 + b"\n", 400, "no JSON"),
    "nothing": (b"", 400, "no JSON"),
    "a list": (b"[]\n", 200, "has to be a table"),
    "another shape": ({"image": 3}, 200, "image has to be text"),
    "a field is missing": ({}, 200, "image is missing"),
    "a long name": ({"image": "x" * 600}, 200, "at most 512"),
    "capital letters": ({"image": "Loader"}, 200, "capital letters"),
    "not there": ({"image": "loader"}, 200, "there is no image loader on this machine"),
    "half a character": ({"image": "\ud800"}, 200, "is no name of an image"),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_answered_in_words(engine, name):
    body, status, words = NONSENSE[name]
    found, lines = post(engine, "history", body)
    assert found == status and words in lines[-1]["error"] and "bug" not in lines[-1]["error"]
    assert alive(engine)


def test_what_is_not_there(engine):
    assert post(engine, "exec", {})[0] == 404
    assert b"404" in raw(engine, b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-desk\r\n\r\n")
    assert b" 400 " in raw(engine, b"nonsense of an old client\r\n\r\n")
    assert alive(engine)


def test_a_question_or_a_body_that_is_too_long(engine, monkeypatch):
    monkeypatch.setattr(server, "ASK_BYTES", 1000)
    status, (line,) = post(engine, "version", b" " * 2000 + b"{}\n")
    assert status == 413 and "too long" in line["error"]
    monkeypatch.setattr(server, "LIGHT_BYTES", 2 << 20)
    _, lines = post(engine, "version", b"{}\n" + b"x" * (3 << 20))
    assert lines[-1]["error"] == "more than 2 MB are not taken."
    assert alive(engine) and not list((engine.commands.store.folder / "work").iterdir())


def test_a_body_that_is_cut_off_or_garbled(engine):
    head = b"POST /v1/version HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-desk\r\n"
    assert b"done" not in raw(engine, head + b"Content-Length: 500\r\n\r\n{}\n")
    assert b"does not say its size" in raw(engine, head + b"Transfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\nzz\r\n")
    assert b"length of the body is not clear" in raw(engine, head + b"Transfer-Encoding: gzip\r\n\r\n")
    assert alive(engine)


def test_who_is_slow_is_hung_up_on(engine, monkeypatch):
    monkeypatch.setattr(server, "HEAD_SECONDS", 1)
    started = time.monotonic()
    assert raw(engine, b"POST /v1/ver", end=False) == b""
    head = b"POST /v1/version HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-desk\r\nContent-Length: 9\r\n\r\n{}"
    assert raw(engine, head, end=False) == b""
    assert time.monotonic() - started < 20, "it is 30 seconds for each of the two otherwise"
    monkeypatch.undo()  # on a busy machine an honest question takes its time, too
    assert alive(engine)


def test_a_crowd_waits_at_the_door_and_is_let_in(engine, monkeypatch):
    monkeypatch.setattr(server, "HEAD_SECONDS", 2)  # also for the one who is let in
    lines = [socket.create_connection(("127.0.0.1", engine.port)) for _ in range(server.CONNECTIONS + 5)]
    assert alive(engine)
    for line in lines:
        line.close()


def test_who_comes_when_all_are_busy_waits_and_is_told(engine, monkeypatch):
    for _ in range(server.JOBS):
        engine.jobs.acquire()
    assert alive(engine)  # small questions do not wait
    said: list[dict] = []

    def ask() -> None:
        line = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=60)
        line.request("POST", "/v1/pull", b'{"image": "x"}\n', TYPE)
        for text in line.getresponse():
            said.append(json.loads(text))
        line.close()

    asking = threading.Thread(target=ask)
    asking.start()
    assert until(lambda: said)  # only who has come before there is room is told to wait
    asking.join(0.3)
    assert asking.is_alive() and len(said) == 1 and "busy" in said[0]["err"]
    engine.jobs.release()
    asking.join(60)
    assert "error" in said[-1]
    engine.jobs.acquire()
    monkeypatch.setattr(server, "PATIENCE", 0.1)
    assert "still busy" in post(engine, "pull", {"image": "x"})[1][-1]["error"]


def test_a_bug_is_an_answer_too(engine, monkeypatch, capsys):
    monkeypatch.setattr(Commands, "_names", lambda self: 1 / 0)
    assert "a bug of the engine: ZeroDivisionError" in post(engine, "images", {})[1][-1]["error"]
    monkeypatch.undo()
    assert alive(engine) and "ZeroDivisionError" in capsys.readouterr().err


def test_it_listens_on_a_socket_too_and_ends(tmp_path):
    with kept_port() as port:  # else a neighbour might listen there by the time that we look
        engine = Engine(Store(tmp_path / "store", tmp_path / "cache"), port=port)
        assert engine.port == port
        with Engine(engine.commands.store, port=port) as other:  # a wish
            assert other.port != port
        (path,) = engine.services.values()
        line = http.client.HTTPConnection("localhost")
        line.sock = socket.socket(socket.AF_UNIX)
        line.sock.connect(str(path))
        line.request("POST", "/v1/version", b"{}\n", TYPE)
        assert line.getresponse().status == 200
        assert path.stat().st_mode & 0o077 == 0 and path.parent.stat().st_mode & 0o077 == 0
        engine.close()
        engine.close()
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=30)
        assert not path.parent.exists()


def test_as_a_proxy_it_knows_the_registries_and_nobody_else(engine):
    def ask(line: str) -> bytes:
        return raw(engine, f"{line} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    answer = ask("GET http://pypi.org/simple/")
    assert (
        b" 403 " in answer
        and b"pypi.org is not asked: nothing here leaves this machine. There is registry.targ" in answer
    )
    assert b" 403 " in ask("CONNECT registry.targ.example:443")
    assert b" 403 " in ask("GET http://127.0.0.1:9/v2/")
    assert b" 502 " in ask("GET http://registry.targ.example/v2/")


# ---- files that a client sends ---------------------------------------------------------------------------------------


def unpacked(tmp_path: Path, data: bytes) -> Path:
    (tmp_path / "sent").write_bytes(data)
    parcel.unpack(tmp_path / "sent", tmp_path / "files")
    return tmp_path / "files"


DIR, LINK, HARD, FIFO = (
    {"type": kind} for kind in (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE)
)


def test_files_come_out_as_they_went_in(tmp_path):
    members = [
        ("d", DIR | {"mode": 0o500}),
        ("d/run", {"mode": 0o755}),
        ("secret", {"mode": 0o040}),
        ("l", LINK | {"linkname": "/etc"}),
    ]
    files = unpacked(tmp_path, tar_of(*members, ("deep/er/x", {}), content={"d/run": b"#!"}))
    assert (files / "d/run").read_bytes() == b"#!" and (files / "d/run").stat().st_mode & 0o777 == 0o755
    assert (files / "secret").stat().st_mode & 0o777 == 0o440 and (files / "d").stat().st_mode & 0o777 == 0o700
    assert (files / "l").readlink() == Path("/etc") and (files / "deep/er/x").exists()


HOSTILE = {
    "out": ([("../x", {})], "no path inside"),
    "absolute": ([("/etc/x", {})], "no path inside"),
    "through a link": ([("a", LINK | {"linkname": ".."}), ("a/x", {})], "which is no folder"),
    "through a file": ([("a", {}), ("a/x", {})], "which is no folder"),
    "a link over a folder": ([("a/x", {}), ("a", LINK | {"linkname": "/tmp"})], "there twice"),
    "twice": ([("a", {}), ("a", {})], "there twice"),
    "a hard link": ([("a", {}), ("b", HARD | {"linkname": "a"})], "hard link"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_no_client_of_ours_sends_is_refused(tmp_path, name):
    members, words = HOSTILE[name]
    with pytest.raises(LayerProblem, match=words):
        unpacked(tmp_path, tar_of(*members))
    assert not (tmp_path / "x").exists()


def test_a_parcel_that_is_cut_off_too_large_or_none(tmp_path, monkeypatch):
    whole = tar_of(("a", {}), content={"a": b"x" * 5000})
    with pytest.raises(LayerProblem):
        unpacked(tmp_path, whole[:2000])
    with pytest.raises(LayerProblem):
        unpacked(_fresh(tmp_path, 1), b"no archive at all" * 100)
    monkeypatch.setattr(parcel, "BYTES", 100)
    with pytest.raises(LayerProblem, match="more than 100 bytes"):
        unpacked(_fresh(tmp_path, 2), whole)
    pipe = unpacked(_fresh(tmp_path, 3), tar_of(("p", FIFO)))
    assert not (pipe / "p").exists()


def _fresh(tmp_path: Path, number: int) -> Path:
    folder = tmp_path / str(number)
    folder.mkdir()
    return folder


# ---- the commands, without HTTP ---------------------------------------------------------------------------------------


@pytest.fixture
def commands(tmp_path) -> Commands:
    return Commands(Store(tmp_path / "store", tmp_path / "cache"), NOWHERE)


def do(commands: Commands, name: str, ask: dict, sent: bytes = b"") -> tuple[object, str]:
    """What a command gives, and what it says meanwhile."""
    said = io.StringIO()
    with commands.folder() as folder:
        if sent:
            (folder / "sent").write_bytes(sent)
        done = commands.do(name, ask, Work(folder, lambda **line: said.write(next(iter(line.values())))))
    return done, said.getvalue()


def refused(commands: Commands, name: str, ask: dict, sent: bytes = b"") -> str:
    with pytest.raises(Refused) as error:
        do(commands, name, ask, sent)
    return str(error.value)


def test_every_command_is_documented():
    assert all(command.do.__doc__ for command in COMMANDS.values())


def test_what_dockerignore_leaves_out_is_not_wanted(commands):
    sent = b"file 1 a.py\0dir 0 data\0file 5 data/big\0file 5 data/keep\0link 0 l\0file 1 caf\xe9\0"
    done, _ = do(commands, "wanted", {"name": "x", "ignore": "data\n!data/keep\n"}, sent)
    assert done == {"wanted": "100111", "bytes": 7}
    assert do(commands, "wanted", {"name": "x"})[0]["wanted"] == ""


def test_a_folder_that_is_too_large_is_refused_before_it_is_sent(commands, monkeypatch):
    large = b"file %d data/big\0" % (context.BYTES + 1)
    assert ".dockerignore, such as .venv" in refused(commands, "wanted", {"name": "x"}, large)
    assert do(commands, "wanted", {"name": "x", "ignore": "data"}, large)[0]["wanted"] == "0"
    monkeypatch.setattr(context, "FILES", 2)
    assert "more than 2 files" in refused(commands, "wanted", {"name": "x"}, b"file 0 a\0file 0 b\0file 0 c\0")
    assert "has to be" not in refused(commands, "wanted", {"name": "x"}, b"garbled\0")


BUILD = {"place": "/home/you/x", "name": "x", "dockerfile": "Dockerfile", "tags": ["x:1"]}


def archive(**files: str) -> bytes:
    return tar_of(*((name, {}) for name in files), content={name: text.encode() for name, text in files.items()})


def test_a_build_without_commands_needs_no_jail(commands):
    sent = archive(Dockerfile="FROM scratch\nCOPY a /a\nCMD x\n", a="A")
    first, said = do(commands, "build", BUILD | {"tags": ["x:1", "registry.targ.example/x:1"]}, sent)
    assert f"writing image {first['id']} done" in said and "naming to registry.targ.example/x:1 done" in said
    assert "[2/2] COPY a /a" in said and "not built before" in said
    again, said = do(commands, "build", BUILD, sent)
    assert again == first and said.count("CACHED") == 2
    _, said = do(commands, "build", BUILD, archive(Dockerfile="FROM scratch\nCOPY a /a\nCMD x\n", a="B"))
    assert "(changed: a)" in said
    assert "the cache was not asked" in do(commands, "build", BUILD | {"cache": False}, sent)[1]
    assert not any((commands.store.folder / "work").iterdir())


def test_what_was_left_out_is_named_with_its_line(commands):
    sent = archive(Dockerfile="FROM scratch\nCOPY data/a /a\n", **{".dockerignore": "data\n"})
    left_out = [
        {"path": "data", "folder": True},
        {"path": "../out", "folder": False},
        {"path": "/tmp/out", "folder": True},
    ]
    why = refused(commands, "build", BUILD | {"left_out": left_out}, sent)
    assert why == "failed to build x:\nline 2: COPY data/a: .dockerignore leaves it out (line 1: data)."


@pytest.mark.parametrize("dockerfile", ["../Dockerfile", "/etc/passwd", "l/Dockerfile", "link"])
def test_a_dockerfile_outside_of_the_folder_is_not_read(commands, dockerfile):
    sent = tar_of(("l", LINK | {"linkname": "/etc"}), ("link", LINK | {"linkname": "/etc/passwd"}))
    said = refused(commands, "build", BUILD | {"dockerfile": dockerfile}, sent)
    assert said == f"{dockerfile} is no file in the folder of the build."
    assert "bug" not in refused(commands, "build", BUILD | {"dockerfile": "\0"}, sent)


@pytest.mark.parametrize("name", ["..", "a/../../x", "", "\n", "x" * 200])
def test_the_name_of_a_folder_is_only_a_name(commands, name):
    assert do(commands, "build", BUILD | {"name": name}, archive(Dockerfile="FROM scratch\nCOPY . /\n"))[0]["id"]
    assert not any((commands.store.folder / "work").iterdir())


def test_builds_that_are_refused(commands):
    sent = archive(Dockerfile="FROM scratch\nCOPY . /\n")
    assert "missing behind" in refused(commands, "build", BUILD)
    assert "a digest follows" in refused(commands, "build", BUILD | {"tags": [f"x@sha256:{'0' * 64}"]}, sent)
    assert "not in base64" in refused(commands, "build", BUILD | {"secrets": {"a": "?"}}, sent)
    assert "there is no stage y" in refused(commands, "build", BUILD | {"target": "y"}, sent)
    assert "Docker Hub" in refused(commands, "build", BUILD, archive(Dockerfile="FROM debian\n"))
    base = archive(Dockerfile="ARG V=1\nFROM registry.targ.example/base:${V}\n")
    assert "line 2: registry.targ.example/base:1: registry.targ.example does not answer" in refused(
        commands, "build", BUILD, base
    )


def test_names_and_digests(commands):
    first, second = small(commands.store, "loader:1"), small(commands.store, "loader:2")
    do(commands, "tag", {"image": first[7:19], "name": "registry.targ.example/clicks/loader:1"})
    (found,), problems = do(commands, "inspect", {"images": ["loader:1", "nowhere"]})[0].values()
    assert found["Id"] == first
    assert found["RepoTags"] == ["registry.targ.example/clicks/loader:1", "loader:1"]
    assert found["RepoDigests"] == [f"registry.targ.example/clicks/loader@{first}", f"loader@{first}"]
    assert found["Config"]["User"] == "app" and found["RootFS"]["Type"] == "layers"
    assert problems[0]["name"] == "nowhere"
    rows = do(commands, "images", {"name": "loader"})[0]["images"]
    assert [(row["tag"], row["digest"]) for row in rows] == [("2", second), ("1", first)]
    assert [row["tag"] for row in do(commands, "images", {"name": "loader:1"})[0]["images"]] == ["1"]
    assert "more than one name" in refused(commands, "rmi", {"images": [first[:20]]})
    assert do(commands, "rmi", {"images": ["loader:1"]})[1] == "Untagged: loader:1\n"
    assert f"Deleted: {first}" in do(commands, "rmi", {"images": [first], "force": True})[1]
    assert "there is no image" in refused(commands, "rmi", {"images": [first]})
    assert commands.store.digests() == [second]


def test_a_name_can_mean_another_image_here(tmp_path):
    store = Store(tmp_path / "store", tmp_path / "cache")
    ours = small(store, "python:3-slim")
    theirs = f"python@sha256:{'1' * 64}"
    commands = Commands(store, images_here={theirs: "python:3-slim"})
    assert do(commands, "inspect", {"images": [theirs]})[0]["images"][0]["Id"] == ours
    sent = archive(Dockerfile=f"FROM {theirs}\nCOPY Dockerfile /\n")
    assert do(commands, "build", BUILD, sent)[0]["id"]


def test_where_nothing_is_pushed_or_asked(commands):
    small(commands.store, "loader:1")
    assert "docker tag loader:1 REGISTRY/loader:1" in refused(commands, "push", {"image": "loader:1"})
    assert "ghcr.io is not asked: nothing here leaves" in refused(commands, "push", {"image": "ghcr.io/x:1"})
    assert "loader:1 is on this machine already" in refused(commands, "pull", {"image": "loader:1"})
    assert "does not exist locally" in refused(commands, "push", {"image": "registry.targ.example/x:1"})
    assert "cannot push a digest" in refused(commands, "push", {"image": f"x@sha256:{'0' * 64}"})
    assert "127.0.0.1" not in refused(commands, "login", {"host": "registry.targ.example", "login": "eDp5"})
    assert "not asked" in refused(commands, "login", {"host": "169.254.169.254", "login": "eDp5"})


@pytest.mark.parametrize("target", ["/", "/proc/1", "/sys", "/dev/x", "relative", "/a/../../proc", "/..", ""])
def test_places_in_a_container_that_are_none(commands, target):
    small(commands.store, "loader:1")
    sent = archive(**{"mounts/0": "x"})
    assert "is no place in a container" in refused(
        commands, "run", {"image": "loader:1", "argv": [], "mounts": [target]}, sent
    )


def test_scans_that_are_refused(commands):
    scan = {"day": "2026-11-18", "name": "requirements.txt"}
    assert "no advisory service" in refused(commands, "scan", scan, archive(list="a==1"))
    assert "names no exact version" in refused(commands, "scan", scan, archive(list="a\n"))
    commands.osv_url = "http://127.0.0.1:9/osv/v1/query"
    for url in ("http://evil.example/osv/v1/query", "http://127.0.0.1:22/", "file:///etc/passwd"):
        assert "is not the advisory service" in refused(commands, "scan", scan | {"osv_url": url}, archive(list="a==1"))
    assert "is no TOML" in refused(commands, "scan", scan | {"exceptions": "["}, archive(list="a==1"))
    earlier = "http://127.0.0.1:4000/2026-11-16/osv/v1/query"
    assert commands._advisories(earlier) == "http://127.0.0.1:9/2026-11-16/osv/v1/query"
