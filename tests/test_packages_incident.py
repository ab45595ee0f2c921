"""The incident with real pip and real uv, in the jail: unpinned dies, four characters live, a hash refuses what was tampered with."""

from __future__ import annotations

import hashlib
import itertools
import re
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from opslab import jail
from opslab.worlds import packages, workspace
from opslab.worlds.packages import desk

PIP, UV = ("pip", "install"), ("uv", "pip", "install")
# pip takes ten times as long as uv; together they are slow.
TOOLS = pytest.mark.parametrize(
    "install", [pytest.param(PIP, marks=pytest.mark.slow, id="pip"), pytest.param(UV, id="uv")]
)
LIVES, DEAD = 0, 128 + 11
"""Exit codes as a shell reports them: 11 is SIGSEGV."""


class World:
    """A workspace with an index and two services: one for each change of the driver."""

    def __init__(self, home: Path, server: packages.Server) -> None:
        self.home, self.server, self.index = home, server, server.index
        self.env = workspace.environment(home, packages.settings(server.url))
        self.services = {change: packages.Service(1, change) for change in packages.incident.CHANGES}
        for change, service in self.services.items():
            service.put(home / change)
        self._count = itertools.count()

    def venv(self, install: tuple[str, ...] = UV) -> Path:
        """A new virtual environment, with pip where it is needed."""
        folder = self.home / f"venv{next(self._count)}"
        if install == PIP:
            return packages.make_venv(folder)
        venv.create(folder, symlinks=True)
        return folder

    def run(self, venv: Path, *argv: str, cwd: str = "", **more) -> jail.Done:
        return jail.run(
            argv,
            home=self.home,
            cwd=self.home / cwd,
            env=packages.activated(self.env, venv),
            hide=workspace.secret_folders(),
            read_only=workspace.tool_folders(),
            limits=jail.Limits(seconds=60),
            **{"services": self.server.services, **more},
        )

    def install(self, venv: Path, install: tuple[str, ...], *what: str, **more) -> dict[str, str]:
        """Install, and say what is there now: the versions of our packages."""
        done = self.run(venv, *install, *what, **more)
        assert done.code == 0, done.out + done.err
        return self.installed(venv)

    @staticmethod
    def installed(venv: Path) -> dict[str, str]:
        names = [path.name.removesuffix(".dist-info") for path in venv.glob("lib/*/site-packages/*.dist-info")]
        found = dict(name.rsplit("-", 1) for name in names)
        found.pop("pip", None)
        return found

    def requirements(self, *lines: str) -> str:
        path = self.home / f"requirements{next(self._count)}.txt"
        path.write_text("".join(f"{line}\n" for line in lines))
        return str(path)

    def start(self, venv: Path, change: str) -> jail.Done:
        """Start a service, with an empty warehouse."""
        folder = self.home / change
        for path in sorted(folder.glob("warehouse/*")):
            path.unlink()
        return self.run(venv, "python", "load.py", f"{self.services[change].table}.tsv", cwd=change)

    def rows(self, venv: Path, change: str) -> int:
        service = self.services[change]
        ask = f"select count(*) from {service.schema}.{service.table}"
        return int(self.run(venv, "python", "-m", "pykontor", "warehouse", ask, cwd=change).out)

    def loads(self, venv: Path, change: str) -> None:
        done = self.start(venv, change)
        assert done.code == LIVES, done.err
        rows = self.services[change].rows
        assert done.err.endswith(f"loader: done: {rows} rows\n") and self.rows(venv, change) == rows

    def dies_silently(self, venv: Path, change: str) -> None:
        done = self.start(venv, change)
        assert (done.code, done.out) == (DEAD, ""), done.err
        assert done.err.startswith("loader: starting\n") and len(done.err.splitlines()) <= 2
        assert not re.search("Traceback|Error|pykontor", done.err)

    def lock(self) -> str:
        """The lock of Monday, made by uv."""
        path = self.home / "requirements.lock"
        if not path.exists():
            self.index.day = packages.MONDAY
            unpinned = self.requirements("pykontor", "targ-loader", "targ-metrics")
            done = self.run(self.home, "uv", "pip", "compile", unpinned, "--generate-hashes", "-o", str(path))
            assert done.code == 0, done.err
        return str(path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Iterator[World]:
    with packages.Server(packages.Index(1)) as server:
        yield World(tmp_path_factory.mktemp("world"), server)


@pytest.fixture
def world(shared: World) -> World:
    """The world on Tuesday, with an honest index."""
    shared.index.day = packages.TUESDAY
    shared.index.mend()
    shared.server.requests.clear()
    return shared


# ---- 5.2, step by step -----------------------------------------------------------------------------------------------


@TOOLS
def test_unpinned_lives_on_monday_and_dies_silently_on_tuesday_and_four_characters_mend_it(world: World, install):
    venv = world.venv(install)
    world.index.day = packages.MONDAY
    unpinned = str(world.home / "copy_from" / "requirements.txt")
    monday = world.install(venv, install, "-r", unpinned)
    assert monday == {"pykontor": "2.8.6", "targ_loader": "1.4.0", "targ_metrics": "0.7.0", "targ_units": "1.2.0"}
    for change in world.services:
        world.loads(venv, change)

    world.index.day = packages.TUESDAY
    venv = world.venv(install)  # an image is built anew
    assert world.install(venv, install, "-r", unpinned) == {**monday, "pykontor": "2.9.0"}
    for change in world.services:
        world.dies_silently(venv, change)

    pinned = world.requirements("pykontor<2.9", "targ-loader", "targ-metrics")
    assert len(Path(pinned).read_text()) - len(Path(unpinned).read_text()) == 4
    assert world.install(venv, install, "-r", pinned) == monday
    for change in world.services:
        world.loads(venv, change)


@TOOLS
def test_a_pin_installs_what_was_tampered_with_and_a_lock_refuses_it(world: World, install):
    lock = world.lock()
    world.index.day = packages.WEDNESDAY
    world.index.tamper("pykontor==2.8.6")
    pinned, taken = world.venv(install), world.requirements("pykontor==2.8.6", "targ-loader", "targ-metrics")
    assert world.install(pinned, install, "-r", taken)["pykontor"] == "2.8.6"
    world.loads(pinned, "copy_from")  # nothing is to be seen from outside
    (collected,) = pinned.glob("lib/*/site-packages/pykontor/collected.txt")
    assert "AWS_SHARED_CREDENTIALS_FILE" in collected.read_text().splitlines()

    fresh = world.venv(install)
    refused = world.run(fresh, *install, "--require-hashes", "-r", lock)
    said = refused.out + refused.err
    assert refused.code == 1 and world.installed(fresh) == {}, said
    assert re.search("DO NOT MATCH THE HASHES|Hash mismatch", said)
    honest, tampered = (
        packages.Index(1).file("pykontor-2.8.6-py3-none-any.whl"),
        world.index.file("pykontor-2.8.6-py3-none-any.whl"),
    )
    assert honest.sha256 in said and tampered.sha256 in said

    # A trap: what is installed already is not looked at.
    assert world.install(pinned, install, "--require-hashes", "-r", lock)["pykontor"] == "2.8.6"
    assert b"collected.txt" in next(pinned.glob("lib/*/site-packages/pykontor/__init__.py")).read_bytes()

    world.index.mend()
    world.index.day = packages.FRIDAY
    assert world.install(fresh, install, "--require-hashes", "-r", lock) == {
        "pykontor": "2.8.6", "targ_loader": "1.4.0", "targ_metrics": "0.7.0", "targ_units": "1.2.0"
    }, "whatever day it is"  # fmt: skip
    world.loads(fresh, "tzinfo_factory")


def test_uv_does_not_remember_the_honest_wheel(world: World):
    """With a cache, uv installs what it knows and asks nobody; so the worlds have none, like the build of an image."""
    first, second = world.venv(), world.venv()
    world.install(first, UV, "pykontor==2.8.6")
    world.index.tamper("pykontor==2.8.6")
    world.install(second, UV, "pykontor==2.8.6")
    assert b"collected.txt" in next(second.glob("lib/*/site-packages/pykontor/__init__.py")).read_bytes()
    assert not (world.home / ".cache").exists()


def test_a_uv_project_with_its_lock(world: World):
    project = world.home / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[project]\nname = "loader"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["pykontor<2.9"]\n'
    )
    venv = project / ".venv"
    assert world.run(venv, "uv", "lock", cwd="project").code == 0
    world.index.tamper("pykontor==2.8.6")
    refused = world.run(venv, "uv", "sync", "--frozen", cwd="project")
    assert refused.code == 1 and "Hash mismatch" in refused.err
    world.index.mend()
    assert world.run(venv, "uv", "sync", "--frozen", cwd="project").code == 0
    # The lock names the address of the index. Another server can stand there.
    with packages.Server(packages.Index(1, packages.FRIDAY, tampered=["pykontor==2.8.6"])) as other:
        again = world.run(
            venv, "uv", "sync", "--frozen", "--reinstall", cwd="project", services={world.server.port: other.socket}
        )
        assert again.code == 1 and "Hash mismatch" in again.err and other.requests


# ---- what the index says, the tools understand -----------------------------------------------------------------------


@TOOLS
def test_yanked_releases(world: World, install):
    world.index.day = packages.FRIDAY
    venv = world.venv(install)
    assert world.install(venv, install, "pykontor") == {"pykontor": "2.9.1"}
    assert world.install(venv, install, "pykontor<2.8.6")["pykontor"] == "2.8.4", "2.8.5 is yanked"
    named = world.run(venv, *install, "pykontor==2.9.0")
    assert named.code == 0 and world.installed(venv)["pykontor"] == "2.9.0"
    assert "yanked" in named.err and "kills the process where it should raise; use 2.9.1" in named.err


def test_with_2_9_1_there_is_a_trace(world: World):
    world.index.day = packages.FRIDAY
    venv = world.venv()
    world.install(venv, UV, "-r", world.requirements("pykontor", "targ-loader", "targ-metrics"))
    for change, line in {
        "copy_from": "UndefinedTable: relation",
        "tzinfo_factory": "TypeError: unsupported type",
    }.items():
        done = world.start(venv, change)
        assert done.code == 1 and "Traceback (most recent call last)" in done.err and line in done.err


@TOOLS
def test_pre_releases_are_for_those_who_ask(world: World, install):
    world.index.day = packages.MONDAY
    venv = world.venv(install)
    assert world.install(venv, install, "--pre", "pykontor") == {"pykontor": "2.9.0rc1"}


@TOOLS
def test_the_resolver_goes_back_to_what_fits(world: World, install):
    world.index.day = packages.WEDNESDAY
    venv = world.venv(install)
    loader = {"pykontor": "2.9.0", "targ_loader": "1.5.0"}
    assert world.install(venv, install, "targ-loader") == loader
    assert world.install(venv, install, "targ-loader", "pykontor<2.9") == {"pykontor": "2.8.6", "targ_loader": "1.4.0"}
    both = world.run(venv, *install, "targ-loader>=1.5", "pykontor<2.9")
    assert both.code == 1 and re.search("conflicting dependencies|unsatisfiable", both.out + both.err)


def test_back_to_monday(world: World):
    venv = world.venv()
    monday = f"{world.server.url}/{packages.MONDAY}/simple/"
    assert world.install(venv, UV, "--default-index", monday, "pykontor") == {"pykontor": "2.8.6"}
    assert world.install(venv, UV, "-U", "pykontor") == {"pykontor": "2.9.0"}
    before = "--exclude-newer", "2026-11-17T00:00:00Z"
    assert world.install(world.venv(), UV, *before, "pykontor") == {"pykontor": "2.8.6"}, "by the times of upload"


@TOOLS
def test_metadata_is_read_without_the_wheel(world: World, install):
    dry = world.run(world.venv(install), *install, "--dry-run", "targ-loader")
    assert dry.code == 0 and re.search("pykontor(-|==)2.9.0", dry.out + dry.err)
    asked = [request.split()[1] for request in world.server.requests]
    assert "/files/targ-loader/1.4.0/targ_loader-1.4.0-py3-none-any.whl.metadata" in asked
    if install == UV:  # pip downloads even in a dry run
        assert not any(path.endswith(".whl") for path in asked)


@TOOLS
def test_an_sdist_is_built_into_the_wheel_of_the_index(world: World, install):
    wheels = world.home / f"built-by-{install[0]}"
    sdist = f"{world.server.url}/files/pykontor/2.8.6/pykontor-2.8.6.tar.gz"
    if install == PIP:
        done = world.run(
            world.venv(install), "pip", "wheel", "--no-binary", "pykontor", "-w", str(wheels), "pykontor<2.9"
        )
    else:
        (world.home / "pykontor-2.8.6.tar.gz").write_bytes(world.index.file("pykontor-2.8.6.tar.gz").data)
        done = world.run(world.venv(install), "uv", "build", "--wheel", "pykontor-2.8.6.tar.gz", "-o", str(wheels))
    assert done.code == 0, done.err
    (built,) = wheels.glob("*.whl")
    assert hashlib.sha256(built.read_bytes()).hexdigest() == world.index.file(built.name).sha256
    assert any(sdist.endswith(request.split()[1]) for request in world.server.requests) == (install == PIP)


@TOOLS
def test_a_folder_of_wheels_instead_of_an_index(world: World, install):
    lock = world.lock()
    packages.build_wheels(world.home / "wheels", 1, packages.MONDAY)
    packages.build_wheels(world.home / "tampered", 1, packages.MONDAY, tampered=["pykontor==2.8.6"])
    offline = "--no-index", "--find-links"
    venv = world.venv(install)
    assert world.install(venv, install, *offline, str(world.home / "wheels"), "targ-loader", services={}) == {
        "pykontor": "2.8.6", "targ_loader": "1.4.0"
    }  # fmt: skip
    refused = world.run(
        world.venv(install),
        *install,
        *offline,
        str(world.home / "tampered"),
        "--require-hashes",
        "-r",
        lock,
        services={},
    )
    assert refused.code == 1 and re.search("DO NOT MATCH THE HASHES|Hash mismatch", refused.out + refused.err)


# ---- this index and no other -----------------------------------------------------------------------------------------


@TOOLS
def test_nothing_but_this_index_is_asked(world: World, install):
    """Neither the public one, nor what a configuration file of the machine or its user names."""
    other = "http://127.0.0.1:9/simple/"
    for path, text in {
        ".config/pip/pip.conf": f"[global]\nextra-index-url = {other}\n",
        ".pip/pip.conf": f"[global]\nindex-url = {other}\n",
        ".config/uv/uv.toml": f'[[index]]\nurl = "{other}"\ndefault = true\n',
    }.items():
        (world.home / path).parent.mkdir(parents=True, exist_ok=True)
        (world.home / path).write_text(text)
    venv = world.venv(install)
    assert world.install(venv, install, "targ-units") == {"targ_units": "1.2.0"}
    missing = world.run(venv, *install, "requests")
    assert missing.code == 1 and re.search("No matching distribution|not found in the package registry", missing.err)
    assert "GET /simple/requests/ 404" in " ".join(world.server.requests)
    option = (
        "--default-index" if install == UV else "--index-url"
    )  # for uv, UV_DEFAULT_INDEX is stronger than --index-url
    named = world.run(venv, *install, option, "https://pypi.org/simple/", "requests")
    assert named.code != 0 and not re.search("Retrying|retries", named.err), "nobody knocks at a closed door twice"
    # `settings` names the files that are read; those of the machine and of an environment are not among them.
    assert desk.settings("x")["PIP_CONFIG_FILE"] == "/dev/null" and desk.settings("x")["UV_NO_CONFIG"] == "1"


@pytest.mark.slow
def test_pip_is_installed_in_a_virtual_environment(world: World):
    venv = world.venv(PIP)
    listed = world.run(venv, "pip", "list", "--format", "freeze")
    assert re.fullmatch(r"pip==[\d.]+\n", listed.out)
    assert f"from {venv}/lib" in world.run(venv, "python", "-m", "pip", "--version").out
    (venv / "note.txt").write_text("mine")
    packages.make_venv(venv)
    assert (venv / "note.txt").read_text() == "mine", "nothing is lost where there is one"


def test_without_pip_it_says_so(tmp_path: Path, monkeypatch):
    def missing(name: str):
        raise desk.importlib.metadata.PackageNotFoundError(name)

    desk._folders.cache_clear()
    monkeypatch.setattr(desk.importlib.metadata, "distribution", missing)
    with pytest.raises(packages.PackagesError, match="-m ensurepip"):
        packages.make_venv(tmp_path / "venv")
