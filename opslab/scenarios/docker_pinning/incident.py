"""Task 5.1: a loader that runs on a machine and dies in its container, and all that is needed to find out why.

    loader/       the service, its data, and the Dockerfile that the image was built from, on Wednesday
    machine/      a virtual environment that was made on Monday; there it runs
    notes/dead-on-arrival.md, answers/5.1.txt, answers/5.1-experiment.txt

The image `data/loader:1.0` is built on the desk's own index, as it was on Wednesday.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from opslab.worlds import packages
from opslab.worlds.images.desk import Desk

IMAGE = "data/loader:1.0"
MACHINE, LOADER = "machine", "loader"
ANSWERS = "answers/5.1.txt"
EXPERIMENT = "answers/5.1-experiment.txt"

NAMES = ("pykontor", "targ-loader", "targ-metrics", "targ-units")
"""What the service is made of, dependencies of dependencies included."""

CHANGES = {
    "copy_from": "copy_from() quotes the names of table and columns",
    "native-conversions": "conversions moved to the native part",
    "parse": "parse() no longer hangs on long input",
    "targ-copy": "copy() loads into a table of any schema",
    "tzinfo_factory": "tzinfo_factory is called with a timedelta instead of minutes",
    "with-connection": "`with connection` begins a transaction, also with autocommit",
}
"""Everything that the CHANGES.md of the libraries tell of these days, by the names that the answer uses."""

DOCKERFILE = """\
FROM python:3-slim
WORKDIR /app
COPY . .
RUN pip install --no-cache-dir -r requirements.txt
ENTRYPOINT ["python", "load.py"]
CMD ["{table}.tsv"]
"""

LAST = {"copy_from": "loading what is newer than …", "tzinfo_factory": "starting"}
"""The last line of the log, by the change that the service dies of."""

NOTES = """\
# data/loader:1.0, Wednesday

New home for the loader: from Hania's machine into the cluster. Chart, service account, secrets, quota: all there. It starts and
is dead within a second. Exit code 139, no traceback, nothing in the log after “{last}”.

Ten people on the call since half past eight. What was looked at so far:

- memory: the limit is 2 GB, it never has more than 40 MB. A kill for memory would be 137, says Marek
- the service account: reads the bucket, checked by hand
- the chart: the same one as for the nine other services
- the file of the day: the very same that Hania's machine has loaded at seven
- the code: `git diff` is empty. Nobody has touched load.py for months
- built again, twice: the same

On Hania's machine it runs, every day, with the environment that she has made on Monday. It lies in ~/machine; the code is in ~/loader.

Basia has read the tickets of other teams about 139: the last one was a full disk, the one before the alpine image. Not here.

## To try things

    cd ~/loader
    rm -rf warehouse                           # each time: what is loaded already is not loaded again
    ~/machine/bin/python load.py {table}.tsv

“done: 0 rows” is no success: there was nothing left to load, so nothing was tried.
"""

FORM = """\
# The loader dies in data/loader:1.0. Say what kills it; keep the form "key: value".
#
#   library         the one that does it
#   on_machine      its version in ~/machine
#   in_container    its version in the image
#   change          what is another there since then, one of these names, as CHANGES.md of the libraries tell it:
#
{changes}
#
#   line            the line of load.py that runs when the process dies: a number

library:
on_machine:
in_container:
change:
line:
"""

EXPERIMENT_FORM = """\
# The experiment that shows it, as requirements: every library (`pip freeze` of ~/machine lists them), exact, in the version of
# the machine. Only one is in the version of the container, and with that the loader dies.
"""


def service(seed: int) -> packages.Service:
    """The loader of a seed."""
    return packages.Service(seed)


def build(home: Path, seed: int, twists: frozenset[str]) -> None:
    """Put the loader, the machine and what is known so far on the desk."""
    loader = service(seed)
    put(home / LOADER, seed)
    names = "\n".join(f"#       {name:<20}{what}" for name, what in CHANGES.items())
    write(home / "notes/dead-on-arrival.md", NOTES.format(table=loader.table, last=LAST[loader.change]))
    write(home / ANSWERS, FORM.format(changes=names))
    write(home / EXPERIMENT, EXPERIMENT_FORM)


def put(folder: Path, seed: int) -> None:
    """The service and the Dockerfile of its image."""
    loader = service(seed)
    loader.put(folder)
    write(folder / "Dockerfile", DOCKERFILE.format(table=loader.table))


def machine(folder: Path, seed: int) -> Path:
    """The virtual environment that was made on Monday: pip, and the wheels of that day, unpacked as pip does it. In 0.2 seconds."""
    packages.make_venv(folder)
    (site,) = folder.glob("lib/python*/site-packages")
    for wheel in monday(seed):
        with zipfile.ZipFile(io.BytesIO(wheel.data)) as archive:
            archive.extractall(site)
        (info,) = site.glob(f"{wheel.name.rsplit('-', 3)[0]}.dist-info")
        (info / "INSTALLER").write_text("pip\n")
    return folder


def monday(seed: int) -> list[Any]:
    """The wheels that requirements without versions got on Monday."""
    index = packages.Index(seed, packages.MONDAY)
    newest = {name: str(index.newest(name)) for name in NAMES}
    return [file for file in index.files() if file.is_wheel and newest[file.release.project] == file.release.version]


def images(desk: Desk) -> None:
    """Make the machine's environment, and build data/loader:1.0 as it was built on Wednesday, whatever day it is on the index by
    now, and whatever lies in ~/loader."""
    if not (desk.home / MACHINE).exists():
        machine(desk.home / MACHINE, desk.seed)
    if desk.lacks:
        return
    with tempfile.TemporaryDirectory(prefix="opslab-loader-") as folder:
        put(Path(folder), desk.seed)
        wednesday = f"{desk.index_url}/{packages.WEDNESDAY}/simple/"
        desk.build(folder, IMAGE, env={"PIP_INDEX_URL": wednesday})


def write(path: Path, text: str) -> None:
    """Write a file, in a folder that is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def words(seed: int) -> dict[str, Any]:
    """The right answers of a seed, for tests: {{machine_pykontor}}, {{container_pykontor}}, …, {{change}}, {{death_line}}; and wrong ones."""
    found: dict[str, Any] = {}
    machine = {one.release.project: one.release.version for one in monday(seed)}
    wednesday = packages.Index(seed, packages.WEDNESDAY)
    for name in NAMES:
        key = name.replace("-", "_")
        found |= {f"machine_{key}": machine[name], f"container_{key}": str(wednesday.newest(name))}
    loader = service(seed)
    code = loader.files()["load.py"].splitlines()

    def line(text: str) -> int:
        return next(number for number, line in enumerate(code, 1) if text in line)

    dies = {"copy_from": "cursor.copy_from(", "tzinfo_factory": "targ_loader.loaded_until("}
    return {
        **found,
        "change": loader.change,
        "other_change": next(name for name in dies if name != loader.change),
        "death_line": line(dies[loader.change]),
        "main_line": line("    main(sys.argv[1])"),
        "earlier_line": line("cursor.execute(TABLE)"),
        "reason_line": line("tzinfo_factory = office") if loader.change == "tzinfo_factory" else 0,
    }
