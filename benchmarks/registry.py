"""What a registry adds to moving bytes: pushing and pulling an image of 50 MB, beside copying the same file and taking its sha256.

    .venv/bin/python benchmarks/registry.py

The client is a process of its own that sends and receives in pieces of 1 MB; the copy is done in the same way. Where skopeo is
installed, its push and pull of the same image are told as well, without a limit: most of that is skopeo's own work. Also:
one small request (HEAD of a blob), to the team's registry and, decided by IAM, to an account's. Medians. Ends with exit code 1
where a limit does not hold: a push 4 times the copy, a pull 3 times, 5 ms for a request, 25 ms for one that IAM decides.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from opslab.scenarios.iam_roles.names import STAGING
from opslab.worlds.aws.cloud import Host
from opslab.worlds.images.registry.ecr import Ecr
from opslab.worlds.images.registry.server import Registry
from opslab.worlds.images.registry.store import Store
from opslab.worlds.images.registry.team import Team

MEGABYTE = 1024 * 1024
SIZE = 50 * MEGABYTE
ROUNDS = 7
REQUESTS = 100
PUSH_LIMIT, PULL_LIMIT = 4.0, 3.0
REQUEST_LIMIT, DECIDED_LIMIT = 0.005, 0.025
SCENARIO = "opslab.scenarios.iam_roles.cloud"

# Orders come as lines of JSON: method, path, file to send or to write; the answer is the time that it took.
CLIENT = """
import hashlib, http.client, json, sys, time
port = int(sys.argv[1])
for line in sys.stdin:
    method, path, file = json.loads(line)
    started = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, blocksize=2**20)
    if method == "GET":
        connection.request(method, path)
        answer, digest = connection.getresponse(), hashlib.sha256()
        with open(file, "wb") as target:
            while piece := answer.read(2**20):
                digest.update(piece)
                target.write(piece)
    else:
        with open(file, "rb") as body:
            connection.request(method, path, body)
            answer = connection.getresponse()
    assert answer.status < 300, answer.read()
    print(time.perf_counter() - started, flush=True)
"""


def copy(source: Path, target: Path) -> float:
    """Seconds to copy a file and take its sha256, in pieces."""
    started = time.perf_counter()
    digest = hashlib.sha256()
    with source.open("rb") as read, target.open("wb") as write:
        while piece := read.read(MEGABYTE):
            digest.update(piece)
            write.write(piece)
    return time.perf_counter() - started


def measure(folder: Path) -> tuple[float, float, float]:
    """(copy, push, pull) in seconds: medians of rounds in which each is done once, so that what else runs here slows all."""
    blob = folder / "blob"
    taken: tuple[list[float], ...] = ([], [], [])
    with Registry(Team(folder / "registry", None)) as registry:
        client = subprocess.Popen(
            [sys.executable, "-c", CLIENT, str(registry.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

        def ask(method: str, path: str, file: Path) -> float:
            client.stdin.write(json.dumps([method, path, str(file)]) + "\n")
            client.stdin.flush()
            return float(client.stdout.readline())

        for _ in range(ROUNDS + 1):
            blob.write_bytes(os.urandom(SIZE))  # other bytes each time: nothing is there already
            name = f"sha256:{hashlib.sha256(blob.read_bytes()).hexdigest()}"
            taken[0].append(copy(blob, folder / "copy"))
            taken[1].append(ask("POST", f"/v2/image/blobs/uploads/?digest={name}", blob))
            taken[2].append(ask("GET", f"/v2/image/blobs/{name}", folder / "pulled"))
            assert (folder / "pulled").stat().st_size == SIZE
            registry.door.store.collect(grace=0)
        client.stdin.close()
        client.wait()
        client.stdout.close()
    return tuple(statistics.median(times[1:]) for times in taken)  # type: ignore[return-value]


def by_skopeo(folder: Path) -> tuple[float, float]:
    """(push, pull) of an image of the same size with skopeo, in seconds."""
    layer = os.urandom(SIZE)
    store = Store(folder / "layout")
    known = store.add_blob("image", layer)
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [known]}})
    described = {"digest": store.add_blob("image", config.encode()), "size": len(config)}
    manifest = {
        "schemaVersion": 2,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **described},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": known, "size": SIZE}],
    }
    store.put("image", "1", json.dumps(manifest).encode())
    flags = [
        "--insecure-policy",
        "copy",
        "-q",
        "--preserve-digests",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
    ]
    times: tuple[list[float], ...] = ([], [])
    for number in range(3):
        with Registry(Team(folder / f"fresh{number}", None)) as registry:
            place = f"docker://{registry.address}/image:1"
            for source, target, taken in (
                (f"oci:{store.folder}:image:1", place, times[0]),
                (place, f"oci:{folder}/pulled{number}:1", times[1]),
            ):
                started = time.perf_counter()
                subprocess.run(["skopeo", *flags, source, target], check=True)
                taken.append(time.perf_counter() - started)
    return statistics.median(times[0]), statistics.median(times[1])


def request_time(registry: Registry, path: str, headers: dict[str, str]) -> float:
    """The median time of a small request on a connection that is kept."""
    line = http.client.HTTPConnection("127.0.0.1", registry.port)

    def once() -> None:
        line.request("HEAD", path, headers=headers)
        answer = line.getresponse()
        answer.read()
        assert answer.status == 200, answer.status

    found = statistics.median(_timed(once) for _ in range(REQUESTS))
    line.close()
    return found


def _timed(call: Callable[[], None]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def small_requests(folder: Path) -> tuple[float, float]:
    """Seconds for the HEAD of a blob: in the team's registry, and in an account's."""
    with Registry(Team(folder / "small", None)) as registry:
        known = registry.door.store.add_blob("clicks/loader", b"layer")
        alone = request_time(registry, f"/v2/clicks/loader/blobs/{known}", {})
    with Host() as host, host.open(SCENARIO, seed=1, registries=folder / "ecr") as cloud:
        ecr = cloud.user(STAGING, "administrator").client("ecr")
        ecr.create_repository(repositoryName="clicks/loader")
        token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        door = Ecr(folder / "ecr", cloud.ask, STAGING)
        known = door.store.add_blob("clicks/loader", b"layer")
        with Registry(door) as registry:
            headers = {"Authorization": f"Basic {token}"}
            decided = request_time(registry, f"/v2/clicks/loader/blobs/{known}", headers)
    return alone, decided


def main() -> int:
    """Print the figures; 1 where a limit does not hold."""
    with tempfile.TemporaryDirectory(prefix="registry-") as name:
        folder = Path(name)
        copied, pushed, pulled = measure(folder)
        print(f"copy + sha256 of 50 MB   {copied * 1000:6.0f} ms   (medians of {ROUNDS})")
        print(
            f"push of 50 MB            {pushed * 1000:6.0f} ms   {pushed / copied:.2f} times the copy (limit {PUSH_LIMIT:g})"
        )
        print(
            f"pull of 50 MB            {pulled * 1000:6.0f} ms   {pulled / copied:.2f} times the copy (limit {PULL_LIMIT:g})"
        )
        if shutil.which("skopeo"):
            push, pull = by_skopeo(folder)
            print(
                f"the same with skopeo     {push * 1000:6.0f} ms to push, {pull * 1000:.0f} ms to pull (medians of 3)"
            )
        alone, decided = small_requests(folder)
        print(
            f"a small request          {alone * 1000:6.2f} ms   (median of {REQUESTS}, limit {REQUEST_LIMIT * 1000:g} ms)"
        )
        print(
            f"one that IAM decides     {decided * 1000:6.2f} ms   (median of {REQUESTS}, limit {DECIDED_LIMIT * 1000:g} ms)"
        )
    slow = pushed > PUSH_LIMIT * copied or pulled > PULL_LIMIT * copied
    return int(slow or alone > REQUEST_LIMIT or decided > DECIDED_LIMIT)


if __name__ == "__main__":
    sys.exit(main())
