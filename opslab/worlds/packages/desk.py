"""What a world needs so that pip and uv use its index and nothing else, and virtual environments in it.

env = workspace.environment(home, settings(server.url))
make_venv(home / "venv")
jail.run(["pip", "install", "pykontor"], home=home, env=activated(env, home / "venv"), services=server.services)
"""

from __future__ import annotations

import functools
import importlib.metadata
import os
import shutil
import sys
import venv
from collections.abc import Iterable, Mapping
from pathlib import Path

from opslab.worlds.packages.index import PackagesError

SCRIPT = """\
#!/bin/sh
exec "$(dirname "$0")/python" -m pip "$@"
"""


def settings(url: str) -> dict[str, str]:
    """The variables for pip and uv, to be added to `workspace.environment`. url: that of the server, http://127.0.0.1:PORT.

    The configuration files of the machine and its user are not read: one of them could name another index. Nothing is cached,
    as in the build of an image: uv would install a wheel that it knows, whatever the index says of it by now. Another index
    that somebody names is behind the closed door of `workspace.environment`, and nobody knocks there twice. OFFICE_MIRROR is for
    people: where another copy of the index is, see `Index.mirror`.
    https://pip.pypa.io/en/stable/topics/configuration/, https://docs.astral.sh/uv/reference/environment/
    """
    return {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": f"{url}/simple/",
        "OFFICE_MIRROR": f"{url}/mirror/simple/",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_RETRIES": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_NO_COLOR": "1",
        "PIP_PROGRESS_BAR": "off",
        "PIP_AUDIT_PROGRESS_SPINNER": "off",
        "UV_NO_CONFIG": "1",
        "UV_DEFAULT_INDEX": f"{url}/simple/",
        "UV_NO_CACHE": "1",
        "UV_LINK_MODE": "copy",
        "UV_HTTP_RETRIES": "0",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_PROGRESS": "1",
    }


def make_venv(folder: str | Path, also: Iterable[str] = (), *, linked: bool = False) -> Path:
    """A new virtual environment, with the pip of this Python. Gives its folder.

    also: names of other distributions that it gets a copy of ("PyYAML"). linked: links instead of copies, which is quicker; only
    for the jail, where nobody can write through them into this Python.

    In 0.3 seconds: `python -m venv` takes ten times as long, nearly all of it for letting pip install itself. Raises
    PackagesError where this Python has none.
    """
    folder = Path(folder)
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    for source in (source for name in ("pip", *also) for source in _folders(name)):
        if linked:
            (site / source.name).symlink_to(source)
        else:
            shutil.copytree(source, site / source.name, dirs_exist_ok=True)
    for name in ("pip", "pip3"):
        script = folder / "bin" / name
        script.write_text(SCRIPT)
        script.chmod(0o755)
    return folder


@functools.cache
def _folders(name: str) -> tuple[Path, ...]:
    """The folders of a distribution that this Python has: its code, and what says that it is installed."""
    try:
        found = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        raise PackagesError(
            f"{sys.prefix} has no {name}, which the worlds take theirs from. Get it: {sys.executable} -m ensurepip"
            if name == "pip"
            else f"{sys.prefix} has no {name}, which the worlds take theirs from. Get it: make setup"
        ) from None
    tops = {file.parts[0] for file in found.files or () if len(file.parts) > 1 and file.parts[0] != ".."}
    return tuple(Path(found.locate_file(top)) for top in sorted(tops) if not top.startswith("__"))


def activated(env: Mapping[str, str], folder: str | Path) -> dict[str, str]:
    """An environment in which a virtual environment is active, as after `source venv/bin/activate`; for pip-audit, too."""
    return {
        **env,
        "VIRTUAL_ENV": str(folder),
        "PATH": f"{folder}/bin:{env['PATH']}",
        "PIPAPI_PYTHON_LOCATION": f"{folder}/bin/python",
    }
