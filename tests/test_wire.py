"""Lines of JSON over a unix socket: whatever comes in, whoever asks is answered in one line, and the server lives on."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from opslab import wire


class Answering:
    """A server in a thread that can do a few things, and remembers what it was asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked: list[dict] = []
        self.go_on = threading.Event()
        self.server = wire.Server(path, self.answer)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, request: dict, tell: wire.Tell):
        self.asked.append(request)
        match request["op"]:
            case "add":
                return sum(request["numbers"])
            case "refuse":
                raise wire.Refusal("No, and here is why.")
            case "tell":
                tell("one")
                tell("two")
                return None
            case "wait":
                self.go_on.wait(60)
                return "waited"
            case "not JSON":
                return {1, 2}
            case "big":
                return "x" * 5_000_000
            case "echo":
                return len(request["text"])
            case _:
                raise KeyError("a fault of the server")


@pytest.fixture
def running() -> Iterator[Answering]:
    with tempfile.TemporaryDirectory() as folder:  # a short path: tmp_path may be too long for a socket
        answering = Answering(Path(folder) / "s")
        yield answering
        answering.go_on.set()
        answering.server.shutdown()
        answering.server.server_close()


def test_a_request_gets_its_result(running):
    assert wire.exchange(running.path, {"op": "add", "numbers": [1, 2]}) == 3
    assert running.asked == [{"op": "add", "numbers": [1, 2]}]


def test_a_refusal_comes_as_one(running):
    with pytest.raises(wire.Refusal, match=r"^No, and here is why\.$"):
        wire.exchange(running.path, {"op": "refuse"})


def test_what_is_told_on_the_way_comes_in_order(running):
    told: list[str] = []
    assert wire.exchange(running.path, {"op": "tell"}, told.append) is None
    assert told == ["one", "two"]


def test_a_big_result(running):
    assert len(wire.exchange(running.path, {"op": "big"})) == 5_000_000


@pytest.mark.parametrize("more", [1, 3_000_000])
def test_what_is_too_long_is_refused_before_it_is_sent(running, more):
    """A server would hang up in the middle of it, or see half a line."""
    left = wire.LINE_LIMIT - len(json.dumps({"op": "echo", "text": ""}) + "\n")
    said = f"This request has {wire.LINE_LIMIT + more:,} bytes; at most 1,048,576 are taken in one go. Ask about less."
    with pytest.raises(wire.TooLong, match=f"^{re.escape(said)}$") as refused:
        wire.exchange(running.path, {"op": "echo", "text": "x" * (left + more)})
    assert isinstance(refused.value, wire.Refusal), "whoever shows refusals shows this one, too"
    assert running.asked == []
    assert wire.exchange(running.path, {"op": "echo", "text": "x" * left}) == left


def test_a_fault_of_the_server_is_one_sentence_and_not_silence(running, capfd):
    for op in ("fault", "not JSON"):
        with pytest.raises(wire.Refusal, match=r"^The server stumbled \((KeyError|TypeError): .*\)\.$"):
            wire.exchange(running.path, {"op": op})
    assert "Traceback" in capfd.readouterr().err, "whoever looks after the server finds it in its log"
    assert wire.exchange(running.path, {"op": "add", "numbers": []}) == 0


@pytest.mark.parametrize(
    "line",
    [
        b"", b"\n", b"no JSON\n", b"\xff\xfe\n", b"[]\n", b'["op"]\n', b'"op"\n', b"5\n", b"null\n", b'{"no": "op"}\n',
        b'{"op": 5}\n', b'{"op": ["add"]}\n', b'{"op": null}\n', b'{"op": "add", \n', b"[" * 100_000 + b"\n",
        b'{"op": "add", "x": "' + b"x" * wire.LINE_LIMIT + b'"}\n', b'{"op": "add", "numbers": [' + b"9" * 5000 + b"]}\n",
    ],
    ids=lambda line: repr(line[:24]),
)  # fmt: skip
def test_what_is_no_request_is_said_in_one_line_and_never_reaches_the_server(running, line):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(running.path))
        client.settimeout(60)
        try:
            client.sendall(line)
            client.shutdown(socket.SHUT_WR)
            (answer,) = client.makefile("rb").read().splitlines()
            assert list(json.loads(answer)) == ["error"]
            assert "\n" not in json.loads(answer)["error"]
        except (BrokenPipeError, ConnectionResetError):
            assert len(line) > wire.LINE_LIMIT, "it hangs up only on what is too long"
    assert running.asked == []
    assert wire.exchange(running.path, {"op": "add", "numbers": [1]}) == 1


def test_whoever_asks_and_goes_away_disturbs_nobody(running):
    for _ in range(5):
        with socket.socket(socket.AF_UNIX) as impatient:
            impatient.connect(str(running.path))
            impatient.sendall(b'{"op": "wait"}\n')
    running.go_on.set()
    assert wire.exchange(running.path, {"op": "add", "numbers": [1]}) == 1


def test_whoever_connects_and_says_nothing_keeps_nobody_waiting(running):
    with socket.socket(socket.AF_UNIX) as silent:
        silent.connect(str(running.path))
        assert wire.exchange(running.path, {"op": "add", "numbers": [1]}) == 1


def test_many_at_once(running):
    results: list[int] = []
    threads = [
        threading.Thread(
            target=lambda n=n: results.append(wire.exchange(running.path, {"op": "add", "numbers": [n, 1000]}))
        )
        for n in range(60)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(results) == list(range(1000, 1060))


def test_a_server_that_is_silent_for_too_long(running):
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        wire.exchange(running.path, {"op": "wait"}, seconds=0.1)
    assert time.monotonic() - started < 30, "it did not wait for the answer, which takes a minute"
    running.go_on.set()
    assert wire.exchange(running.path, {"op": "wait"}, seconds=60) == "waited"


def test_nobody_there(running):
    with pytest.raises(FileNotFoundError):
        wire.exchange(running.path.with_name("other"), {"op": "add"})
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(running.path.with_name("dead")))
    with pytest.raises(ConnectionError):
        wire.exchange(running.path.with_name("dead"), {"op": "add"})


def test_a_server_that_goes_in_the_middle_of_an_answer():
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/s")
        listener.listen()

        def tell_and_go() -> None:
            visitor, _ = listener.accept()
            with visitor:
                visitor.recv(100)
                visitor.sendall(b'{"tell": "soon"}\n')

        threading.Thread(target=tell_and_go, daemon=True).start()
        told: list[str] = []
        with pytest.raises(ConnectionError, match="in the middle of the answer"):
            wire.exchange(Path(folder) / "s", {"op": "add"}, told.append)
        assert told == ["soon"]


def test_the_socket_is_for_its_user_alone(running):
    status = running.path.stat()
    assert stat.S_ISSOCK(status.st_mode)
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert status.st_uid == os.geteuid()


def test_the_socket_is_for_its_user_alone_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        with tempfile.TemporaryDirectory() as folder, wire.Server(Path(folder) / "s", lambda request, tell: None):
            assert stat.S_IMODE((Path(folder) / "s").stat().st_mode) == 0o600
    finally:
        assert os.umask(before) == 0, "and the umask of the process is what it was"


def test_a_stale_socket_is_replaced(running):
    with tempfile.TemporaryDirectory() as folder:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(f"{folder}/s")
        answering = Answering(Path(folder) / "s")
        assert wire.exchange(Path(folder) / "s", {"op": "add", "numbers": [2]}) == 2
        answering.server.shutdown()
        answering.server.server_close()


def test_where_many_wait_already_one_waits_too_and_is_answered(tmp_path):
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as busy:
        busy.bind(f"{folder}/s")
        busy.listen(1)
        with contextlib.ExitStack() as waiting:
            with pytest.raises(BlockingIOError):
                while True:
                    early = waiting.enter_context(socket.socket(socket.AF_UNIX))
                    early.setblocking(False)
                    early.connect(f"{folder}/s")
            with pytest.raises(TimeoutError):
                wire.exchange(Path(folder) / "s", {"op": "add"}, seconds=0.05)
            with ThreadPoolExecutor() as pool:
                asked = pool.submit(wire.exchange, Path(folder) / "s", {"op": "add"}, seconds=60)
                time.sleep(0.05)
                busy.settimeout(0.2)
                while not asked.done():
                    with contextlib.suppress(OSError), busy.accept()[0] as server:
                        server.settimeout(0.2)  # the early ones say nothing
                        server.recv(100)
                        server.sendall(b'{"result": "at last"}\n')
                assert asked.result() == "at last"
