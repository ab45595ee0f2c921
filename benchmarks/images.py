"""What a build and a push cost, beside `podman build` of the same Dockerfile on the same base and `podman push`, in one run.

    .venv/bin/python benchmarks/images.py

Medians. With podman (apt-get install podman runc) there is a second column, and how many times longer it takes. Ends with exit code 1
where a limit does not hold: four seconds for the base image, which is made once; a second for a build apart from what RUN does itself,
a quarter of one where everything is in the cache, half a second until a container has started; three for a push into an empty
registry (90 MB unpacked), a quarter of one where one line has changed.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from timing import wall

BASE_LIMIT, BUILD_LIMIT, WARM_LIMIT, START_LIMIT, PUSH_LIMIT = 4.0, 1.0, 0.25, 0.5, 3.0
TIMES = 5

DOCKERFILE = """\
FROM {base}
RUN useradd --create-home --uid 10001 app
WORKDIR /app
COPY requirements.txt .
RUN python -c "print(open('requirements.txt').read())"
COPY . .
USER app
CMD ["python", "app.py"]
"""

SETTINGS = """\
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
"""


class Podman:
    """podman with a storage of its own, which has the base image."""

    def __init__(self, folder: Path, store, image) -> None:
        folder.mkdir()
        (folder / "containers.conf").write_text(SETTINGS)
        (folder / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        self.folder = folder
        self.start = ["podman", "--root", folder / "root", "--runroot", folder / "run"]
        layout = store.export(image, folder / "layout", "base:1")
        with tarfile.open(folder / "image.tar", "w") as archive:
            for part in ("oci-layout", "index.json", "blobs"):
                archive.add(layout / part, part)
        self("load", "-q", "--signature-policy", folder / "policy.json", "-i", folder / "image.tar")

    def __call__(self, *words: str | Path) -> None:
        env = {
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
        }
        env["CONTAINERS_CONF"] = str(self.folder / "containers.conf")
        subprocess.run([*self.start, *words], env=env, check=True, capture_output=True)

    def build(self, desk: Path, *words: str) -> None:
        policy = ("--signature-policy", self.folder / "policy.json")
        self("build", "-q", "--layers", "--network=none", "--pull=never", "-t", "app", *policy, *words, desk)

    def push(self, target: str) -> None:
        policy = ("--signature-policy", self.folder / "policy.json")
        self("push", "-q", "--tls-verify=false", *policy, "localhost/app", f"docker://{target}")

    def run(self) -> None:
        self("run", "--rm", "--network=none", "--pull=never", "localhost/app")


def main() -> int:
    from opslab.worlds.images import base
    from opslab.worlds.images.build import build
    from opslab.worlds.images.container import run
    from opslab.worlds.images.registry import client
    from opslab.worlds.images.registry.server import Registry
    from opslab.worlds.images.registry.team import Team
    from opslab.worlds.images.store import Store

    rows: list[tuple[str, float, float | None, float]] = []
    with tempfile.TemporaryDirectory(prefix="ob-") as folder:
        top = Path(folder)
        started = time.perf_counter()
        store = Store(top / "store", top / "cache")
        image = base.install(store, "base:1")
        rows.append(("the base image, once", time.perf_counter() - started, None, BASE_LIMIT))
        podman = Podman(top / "podman", store, image) if shutil.which("podman") else None
        desk = top / "desk"
        desk.mkdir()
        (desk / "requirements.txt").write_text("driver<2.9\n")

        def compare(name: str, mine: Callable, other: Callable, limit: float, before: Callable = lambda: None) -> None:
            seconds = wall(mine, TIMES, before)
            rows.append((name, seconds, wall(other, TIMES, before) if podman else None, limit))

        def touch() -> None:
            (desk / "app.py").write_text(f"print({time.time()})\n")

        touch()
        (desk / "Dockerfile").write_text(DOCKERFILE.format(base="localhost/base:1"))
        names = {"localhost/base:1": "base:1"}

        def mine(**how) -> None:
            build(desk, store, tag="app:1", images=names, **how)

        mine()  # the first time, the base is unpacked, here and there
        if podman:
            podman.build(desk)
        compare(
            "build, nothing in the cache",
            lambda: mine(cache=False),
            lambda: podman.build(desk, "--no-cache"),
            BUILD_LIMIT,
        )
        compare("build, all in the cache", mine, lambda: podman.build(desk), WARM_LIMIT)
        compare("build, one line changed", mine, lambda: podman.build(desk), WARM_LIMIT, before=touch)
        compare("run a container", lambda: run(store, store.find("app:1")), lambda: podman.run(), START_LIMIT)
        with contextlib.ExitStack() as running:
            address = ""

            def another_registry() -> None:
                nonlocal address
                running.close()
                door = Team(Path(tempfile.mkdtemp(dir=top)), None)
                address = running.enter_context(Registry(door)).address

            def one_line() -> None:
                touch()
                mine()
                if podman:
                    podman.build(desk)

            def push() -> None:
                layout = store.export(store.find("app:1"), Path(tempfile.mkdtemp(dir=top)) / "layout", "app:1")
                client.push(layout, f"{address}/data/mine:1", client.Logins(top / "logins.json"))

            def theirs() -> None:
                podman.push(f"{address}/data/theirs:1")

            compare("push, into an empty registry", push, theirs, PUSH_LIMIT, before=another_registry)
            compare("push, one line changed", push, theirs, WARM_LIMIT, before=one_line)
        if podman:
            podman("rmi", "--all", "--force")
    print(f"{'':<30}{'here':>9}{'podman':>11}" if podman else "podman is not here; nothing to compare with")
    for name, seconds, other, limit in rows:
        beside = f"{other * 1000:>8.0f} ms  {other / seconds:>5.1f} times" if other is not None else " " * 24
        print(
            f"{name:<30}{seconds * 1000:>6.0f} ms{beside}   limit {limit * 1000:g} ms{'' if seconds <= limit else '   TOO MUCH'}"
        )
    return int(any(seconds > limit for _, seconds, _, limit in rows))


if __name__ == "__main__":
    sys.exit(main())
