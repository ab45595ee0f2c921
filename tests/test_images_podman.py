"""A real engine beside ours: podman runs what was built here, and builds the same from the same Dockerfile."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest
from images_world import TAG, Desk, cache, desk, linux, store

from opslab.worlds.images.container import run
from opslab.worlds.images.store import Image, Store

__all__ = ["cache", "desk", "store"]  # fixtures
pytestmark = [
    linux,
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("podman"), reason="a real engine is needed: apt-get install podman runc"),
]

# Rules that let podman run inside a container of CI, and keep it off the network.
SETTINGS = """
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
"""


class Podman:
    """podman with a storage of its own."""

    def __init__(self, folder: Path) -> None:
        (folder / "containers.conf").write_text(SETTINGS)
        (folder / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        self.folder, self.driver = folder, "overlay"

    def __call__(self, *words: str | Path, code: int = 0) -> str:
        command = [
            "podman",
            "--root",
            self.folder / "root",
            "--runroot",
            self.folder / "run",
            "--storage-driver",
            self.driver,
        ]
        env = {
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
        }
        env["CONTAINERS_CONF"] = str(self.folder / "containers.conf")
        done = subprocess.run([*command, *words], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout

    def load(self, store: Store, image: Image, name: str) -> None:
        """Load an image out of an OCI archive, as people hand one over."""
        layout = store.export(image, self.folder / "layout" / name.replace(":", "-"), name)
        with tarfile.open(self.folder / "image.tar", "w") as archive:
            for part in ("oci-layout", "index.json", "blobs"):
                archive.add(layout / part, part)
        policy = ["--signature-policy", self.folder / "policy.json"]
        try:
            self("load", "-q", *policy, "-i", self.folder / "image.tar")
        except AssertionError:
            self.driver = "vfs"  # where there is already an overlay under this folder, as in a container
            self("load", "-q", *policy, "-i", self.folder / "image.tar")

    def run(self, name: str, *words: str) -> str:
        return (
            self("run", "--rm", "--network=none", "--pull=never", *words[:-1], name, *words[-1:])
            if words
            else self("run", "--rm", "--network=none", "--pull=never", name)
        )


@pytest.fixture
def podman():
    folder = Path(tempfile.mkdtemp(prefix="podman-"))  # podman wants a short path
    podman = Podman(folder)
    yield podman
    podman("rmi", "--all", "--force")
    shutil.rmtree(folder, ignore_errors=True)


DOCKERFILE = f"""
FROM {TAG} AS build
ARG VERSION=2
WORKDIR /build
COPY src/ .
RUN echo "VERSION = $VERSION" > version.py && chmod 640 version.py && ln -s version.py latest && rm old.py

FROM {TAG}
LABEL team="clicks & co"
ENV GREETING="hello there" PLACE=$HOME/x
RUN useradd --create-home --uid 10001 app && rm -r /srv && mkdir -p /data/out && chown app /data/out
WORKDIR /app
COPY --from=build /build/version.py /build/latest ./
COPY --chown=app:users src/app.py etc/*.conf ./conf/
COPY . /data/
SHELL ["/bin/bash", "-c"]
RUN [[ $GREETING == hello* ]] && python -m compileall -q /data/src && rm -r /data/src/__pycache__
USER app
EXPOSE 8000/tcp
STOPSIGNAL SIGINT
ENTRYPOINT ["python", "/app/conf/app.py"]
CMD ["one", "two words"]
"""

LOOK = "find /app /data /home /etc /usr/local/bin -not -name resolv.conf -not -name hosts -not -name hostname -not -name mtab -printf '%p %m %U %G %y %l\\n' | sort"
APP = "import os, sys\nsys.path.insert(0, '/app')\nprint(sys.argv[1:], os.environ['GREETING'], os.getuid(), os.getcwd())\n"


def look(text: str) -> list[str]:
    """What `LOOK` has found. Engines put a few files of their own into /etc."""
    return [line for line in text.splitlines() if line]


def test_podman_runs_and_builds_the_same(desk: Desk, store: Store, podman: Podman):
    desk.put(
        src___app__py=APP,
        src___old__py="",
        etc___a__conf="a\n",
        etc___b__conf="b\n",
        secret__log="x",
        __dockerignore="*.log\n",
    )
    done = desk.build(DOCKERFILE, tag="loader:1.0")
    podman.load(store, done.image, "loader:1.0")
    podman.load(store, store.find(TAG), TAG)

    # It runs there as it runs here.
    ours = run(store, done.image)
    assert ours.out == "['one', 'two words'] hello there 10001 /app\n"
    assert podman.run("localhost/loader:1.0") == ours.out
    shell = ["--entrypoint", "sh", "--user", "0"]
    here = look(run(store, done.image, ["-c", LOOK], entrypoint=["sh"], user="0").out)
    there = look(podman("run", "--rm", "--network=none", *shell, "localhost/loader:1.0", "-c", LOOK))
    assert there == here
    assert any(line.startswith("/app/conf/app.py 644 10001 100 f") for line in here)
    denied = run(store, done.image, ["-c", "touch /app/x"], entrypoint=["sh"])
    assert (denied.code, denied.err) == (1, "touch: cannot touch '/app/x': Permission denied\n")
    podman("run", "--rm", "--network=none", "--entrypoint", "sh", "localhost/loader:1.0", "-c", "touch /app/x", code=1)

    # And from the same Dockerfile it builds the same files and the same config.
    text = DOCKERFILE.replace(TAG, f"localhost/{TAG}")
    (desk.folder / "Dockerfile").write_text(text)
    args = [
        "--network=none",
        "--pull=never",
        "--format=docker",
        "-q",
        "-t",
        "theirs",
        "--signature-policy",
        podman.folder / "policy.json",
    ]
    podman("build", *args, desk.folder)
    (desk.folder / "Dockerfile").write_text(DOCKERFILE)
    theirs = look(podman("run", "--rm", "--network=none", *shell, "localhost/theirs", "-c", LOOK))
    assert theirs == here
    config = json.loads(podman("image", "inspect", "localhost/theirs"))[0]["Config"]
    mine = done.image.run_config
    for key in ("User", "WorkingDir", "Entrypoint", "Cmd", "ExposedPorts", "StopSignal"):
        assert config[key] == mine[key], key
    assert set(config["Env"]) == set(mine["Env"])
    assert mine["Labels"].items() <= config["Labels"].items()
