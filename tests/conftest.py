"""What holds for every test: nothing of the machine's own user gets in, and nothing is left in their home or running."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from again import pytest_sessionfinish  # noqa: F401  a hook

ROOT = Path(__file__).resolve().parents[1]

# Prefixes of variables that would change what the tools do: keys, profiles, configuration, an outer make.
PERSONAL = ("AWS_", "GIT_", "XDG_", "JUPYTER", "JPY_", "IPYTHON", "TF_", "OPSLAB_", "VIRTUAL_ENV", "CONDA_")
PERSONAL += ("PYTHONSTARTUP", "BASH_ENV", "PROMPT_COMMAND", "HIST", "NO_COLOR", "FORCE_COLOR", "MAKE", "MFLAGS")
# And one that makes every process compile the course anew.
PERSONAL += ("PYTHONDONTWRITEBYTECODE",)

# Notebooks under tests/ are material of the tests, not lessons to be run by nbval.
collect_ignore_glob = ["*.ipynb"]


def pytest_configure(config: pytest.Config) -> None:
    """Gives this process, and so everything it starts, an empty HOME and TMPDIR. Each xdist worker gets its own."""
    # Two things worth keeping where they are: the download cache, so that `make setup` can be tested without
    # downloading everything again, and what pytest's tmp_path leaves for a look at a failed test.
    os.environ.setdefault("UV_CACHE_DIR", str(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "uv"))
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    for name in list(os.environ):
        if name.startswith(PERSONAL) and name != "OPSLAB_NO_BROWSER":
            del os.environ[name]
    # A short name, because the path of a lab server's socket must be short.
    base = Path(tempfile.mkdtemp(prefix="ol-"))
    (base / "home").mkdir()
    tempfile.tempdir = str(base)
    os.environ.update(
        HOME=str(base / "home"), TMPDIR=str(base), GIT_CONFIG_NOSYSTEM="1", AWS_EC2_METADATA_DISABLED="true"
    )
    config.add_cleanup(lambda: shutil.rmtree(base, ignore_errors=True))
    config.add_cleanup(lambda: stop_servers(base))
    config.pluginmanager.register(Lessons())


def stop_servers(base: Path) -> None:
    """Tells the lab servers that tests (or lessons) have left behind to stop: their sockets are all below TMPDIR."""
    for path in base.glob("opslab-*/*.sock"):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as server:
            server.connect(str(path))
            server.sendall(b'{"op": "stop"}\n')
            server.recv(100)


class Lessons:
    """Lessons under nbval play in a world of their own, not in the one that a learner may have open in this clone.

    A plugin, because pytest asks the hooks of this file about tests below this folder only.
    """

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[None]:
        if item.path.suffix != ".ipynb":
            return (yield)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OPSLAB_STATE", os.path.join(os.environ["TMPDIR"], "state"))
            # As nbgrader sets it: nobody watches. Lines of progress, which come and go with the machine's speed, are left out.
            patch.setenv("NBGRADER_EXECUTION", "validate")
            return (yield)


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the course, where README.md is."""
    return ROOT
