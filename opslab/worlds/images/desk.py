"""All that a desk with images has running: the package index, the engine behind `docker`, the registries.

    >>> with Desk(home, seed=1) as desk:                                                    # doctest: +SKIP
    ...     desk.build(home / "loader", "data/loader:1.0")
    ...     desk.run("data/loader:1.0").code
    139

It keeps everything in folders of its home: STORE (the engine's images), REGISTRY (the team's registry), ECR (the platform
account's), INDEX (what day it is on the package index). A check has a Desk of its own, which answers inside the jail under the
ports that the learner's desk knows: `ports`.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from opslab import jail
from opslab.worlds import packages
from opslab.worlds.images import base
from opslab.worlds.images.build import Build, build
from opslab.worlds.images.container import run
from opslab.worlds.images.engine import Engine
from opslab.worlds.images.registry import tools
from opslab.worlds.images.registry.ecr import Ecr
from opslab.worlds.images.registry.server import Registry
from opslab.worlds.images.registry.team import Team, User
from opslab.worlds.images.store import Image, Store, StoreError

FOLDER = ".images"
STORE = f"{FOLDER}/store"
INDEX = f"{FOLDER}/index.json"
REGISTRY = ".registry"
"""The team's registry: files that are part of an answer, as is ECR."""

ECR = ".cloud/ecr"
VENV = "venv"
"""The virtual environment of a desk, active in its terminals: without one, pip would act on the course's own."""

PORTS = ("index", "engine", "team", "platform")
BASE = "python:3-slim"
RELEASES = ("2026.10", "2026.11")
"""Of the base image, in the order in which they came: the tag has moved from the first to the last."""

TEAM_NAME = "registry.targ.example"


def ecr_name(account: str, region: str) -> str:
    """The name of an account's registry, as AWS has it."""
    return f"{account}.dkr.ecr.{region}.amazonaws.com"


class Desk:
    """What runs for the desk `home`. Use as a context manager, or call close().

    seed: of the package index. day: what day it is there at the start (YYYY-MM-DD). ports: a wish for each of PORTS, because
    terminals remember them; `shown`: what stands for them inside the jail, where that is something else.
    lacks: what this machine has not, so that no image can be built on it; "" where nothing is missing.
    users, public, immutable: of the team's registry, see `registry.team.Team`.
    theirs: the digests that the base images of RELEASES have on another machine: FROM with one of them means ours.
    account, region, ask: of the platform's registry in AWS, `ask` as for `registry.ecr.Ecr`; without `ask` there is none.
    """

    def __init__(
        self,
        home: str | Path,
        *,
        seed: int = 1,
        day: str = packages.WEDNESDAY,
        ports: Mapping[str, int] | None = None,
        shown: Mapping[str, int] | None = None,
        users: Mapping[str, User] | None = None,
        public: Sequence[str] = (),
        immutable: Sequence[str] = (),
        account: str = "",
        region: str = "",
        ask: Callable[..., Any] | None = None,
        theirs: Sequence[str] = (),
    ) -> None:
        self.home, self.seed = Path(home).absolute(), seed
        wished = {**dict.fromkeys(PORTS, 0), **(ports or {})}
        self._exits = contextlib.ExitStack()
        with contextlib.ExitStack() as started:
            sockets = Path(started.enter_context(tempfile.TemporaryDirectory(prefix="opslab-images-")))
            self.home.joinpath(FOLDER).mkdir(parents=True, exist_ok=True)
            self.store = Store(self.home / STORE)
            self.lacks, self.base_digests = self._install_base()
            self.older_base_digest, self.base_digest = self.base_digests or ["", ""]
            self.same = {
                f"{name}@{their}": f"{BASE}@{our}"
                for their, our in zip(theirs, self.base_digests, strict=False)
                for name in (BASE, BASE.partition(":")[0])
            }
            self.index = packages.Index(seed, day, state=self.home / INDEX)
            self._index_server = started.enter_context(packages.Server(self.index, wished["index"]))
            self.team = Team(self.home / REGISTRY, users, public=public, immutable=immutable)
            found = {"index": (self._index_server.port, self._index_server.socket)}
            found["team"] = self._registry(started, self.team, wished["team"], sockets / "team")
            self.hosts = {TEAM_NAME: f"127.0.0.1:{found['team'][0]}"}
            self.platform: Ecr | None = None
            if ask:
                self.platform = Ecr(self.home / ECR, ask, account, region, aws_name=True)
                found["platform"] = self._registry(started, self.platform, wished["platform"], sockets / "platform")
                self.hosts[ecr_name(account, region)] = f"127.0.0.1:{found['platform'][0]}"
            self.ports = {**{name: port for name, (port, _) in found.items()}, **(shown or {})}
            build_env = packages.settings(self.index_url)
            # The way an image is built elsewhere: pip keeps what it has downloaded, unless it is told not to.
            build_env.pop("PIP_NO_CACHE_DIR")
            self._build = {"env": build_env, "services": {self.ports["index"]: self._index_server.socket}}
            self.engine = Engine(
                self.store,
                port=wished["engine"],
                env=build_env,
                services=self._build["services"],
                hosts=self.hosts,
                images=self.same,
                osv_url=self._index_server.osv_url,
            )
            started.callback(self.engine.close)
            found["engine"] = self.engine.port, self.engine.socket
            self.ports = {**{name: port for name, (port, _) in found.items()}, **(shown or {})}
            self.services = {self.ports[name]: Path(socket) for name, (_, socket) in found.items()}
            self._exits = started.pop_all()

    def _install_base(self) -> tuple[str, list[str]]:
        """Put the base images into the store. Gives what this machine lacks for it, in a sentence, and their digests."""
        if not jail.bubblewrap():
            return (
                "Images are built and run on Linux with bubblewrap only. Debian, Ubuntu: apt-get install bubblewrap uidmap",
                [],
            )
        try:
            return "", [base.install(self.store, BASE, release=release).digest for release in RELEASES]
        except StoreError as error:
            return f"Images cannot be built here: {error}", []

    @staticmethod
    def _registry(started: contextlib.ExitStack, door: Team | Ecr, port: int, socket: Path) -> tuple[int, Path]:
        socket.mkdir()
        try:
            registry = started.enter_context(Registry(door, port=port, socket=socket / "socket"))
        except OSError:
            if not port:
                raise
            registry = started.enter_context(Registry(door, socket=socket / "socket"))  # somebody else has it by now
        return registry.port, socket / "socket"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all that runs."""
        self._exits.close()

    @property
    def index_url(self) -> str:
        """The index as it is seen from the desk."""
        return f"http://127.0.0.1:{self.ports['index']}"

    @property
    def requests(self) -> list[str]:
        """The last requests to the package index and its advisories, the newest last."""
        return list(self._index_server.requests)

    @property
    def osv_url(self) -> str:
        """Where advisories can be asked for, as seen from this process."""
        return self._index_server.osv_url

    @property
    def env(self) -> dict[str, str]:
        """The variables for what runs on the desk, see `settings`."""
        return settings(self.home, self.ports)

    def build(self, folder: str | Path, tag: str = "", **more: Any) -> Build:
        """Build a folder's Dockerfile with what this desk has. For `more` see `build.build`."""
        given = {**self._build, "images": self.same, **more}
        given["env"] = {**self._build["env"], **more.get("env", {})}
        return build(folder, self.store, tag=tag, **given)

    def run(self, image: str | Image, argv: Sequence[str] = (), **more: Any) -> jail.Done:
        """Run a container of an image. For `more` see `container.Container.run`."""
        return run(self.store, self.store.find(image) if isinstance(image, str) else image, argv, **more)

    def equip(self, folder: Path, seen: str | Path, env: Mapping[str, str]) -> dict[str, str]:
        """What a job of a pipeline finds in its folder, which it sees as `seen`: a virtual environment. See `pipeline.Equip`."""
        packages.make_venv(folder / VENV, linked=bool(jail.bubblewrap()))
        return packages.activated({**env, **settings(seen, self.ports)}, f"{seen}/{VENV}")

    @property
    def for_jobs(self) -> dict[str, Any]:
        """What `Forge.react` takes so that jobs of pipelines can use all this."""
        return {"services": self.services, "equip": self.equip}

    def prepare(self) -> None:
        """Write the settings for skopeo and podman into the home."""
        names = {
            name: f"127.0.0.1:{self.ports[port]}" for name, port in zip(self.hosts, ("team", "platform"), strict=False)
        }
        tools.prepare(self.home, names)


def settings(home: str | Path, ports: Mapping[str, int], day: str = packages.WEDNESDAY) -> dict[str, str]:
    """The variables for pip, uv, docker, scan and skopeo on a desk whose services have these ports.

    Without `PATH`: what makes the desk's virtual environment active is in `activated`.
    """
    url = f"http://127.0.0.1:{ports['index']}"
    return {
        **packages.settings(url),
        "DOCKER_HOST": f"tcp://127.0.0.1:{ports['engine']}",
        "DOCKER_CONFIG": os.path.join(home, ".docker"),
        "REGISTRY_AUTH_FILE": os.path.join(home, tools.LOGINS),
        "PIP_AUDIT_VULNERABILITY_SERVICE": "osv",
        "PIP_AUDIT_OSV_URL": f"{url}/osv/v1/query",
        "SCAN_DAY": day,
    }
