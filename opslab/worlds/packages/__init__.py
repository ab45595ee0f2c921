"""A package index on the laptop, with the packages of the incident; real pip, uv and pip-audit use it.

    with packages.Server(packages.Index(seed=1, day="2026-11-17")) as server:
        env = workspace.environment(home, packages.settings(server.url))
        jail.run(["uv", "pip", "install", "pykontor"], home=home, env=env, services=server.services)

archive      wheels and sdists, the same bytes on any machine; also the build backend of the sdists
catalogue    what was ever published, when, and what is in it; sources/: the code of the packages
advisories   known vulnerabilities, as OSV has them
index        the index as it is on a day, and whether somebody has tampered with it
simple       its pages; server: all of it over HTTP
desk         the environment of a world, and virtual environments in it
incident     a service that dies of the new version without a word
"""

from opslab.worlds.packages.catalogue import FRIDAY, MONDAY, THURSDAY, TUESDAY, WEDNESDAY
from opslab.worlds.packages.desk import activated, make_venv, settings
from opslab.worlds.packages.incident import Service
from opslab.worlds.packages.index import Index, PackagesError, build_wheels
from opslab.worlds.packages.server import Server

__all__ = [
    "FRIDAY", "MONDAY", "THURSDAY", "TUESDAY", "WEDNESDAY",
    "Index", "PackagesError", "Server", "Service", "activated", "build_wheels", "make_venv", "settings",
]  # fmt: skip
