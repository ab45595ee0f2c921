"""Task 5.2: the same loader, to be pinned: by four characters, then by a lock with hashes. And a mirror that cannot be trusted.

service/      load.py, requirements.txt without versions, a day's data
notes/office-mirror.md, answers/5.2.txt

The mirror is on the desk's package server, at $OFFICE_MIRROR: see `packages.Index.mirror`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from opslab.scenarios.docker_pinning.incident import NAMES, write
from opslab.worlds import packages

REQUIREMENTS = "service/requirements.txt"
LOCK = "service/requirements.lock"
ANSWERS = "answers/5.2.txt"
KEYS = ("package", "expected", "got", "left_behind")

FORM = """\
# For Ada. Install from the mirror of the office, once with the lock and once without, and say what came of it.
# Keep the form "key: value".
#
#   package       what pip refused to install from there
#   expected      its sha256, as your lock has it: what pip expected. Where pip names two, one is enough
#   got           the sha256 of what came from the mirror
#   left_behind   without the lock it is installed, and the loader runs: the name of the file that it then leaves beside its code

package:
expected:
got:
left_behind:
"""

NOTES = """\
# A mirror for the office

From Tadek, IT: the index is slow on Mondays, so we have put a mirror of it into the office. Same packages, same versions, twice as
fast. Its address is in $OFFICE_MIRROR:

    pip install -i $OFFICE_MIRROR …
    uv pip install --default-index $OFFICE_MIRROR …

From Ada, security: nobody has asked us. I do not say that something is wrong with it. I say that nobody would notice.
"""


def service(seed: int) -> packages.Service:
    """The service of a seed. The very loader of 5.1, in a folder of its own."""
    return packages.Service(seed)


def build(home: Path, seed: int, twists: frozenset[str]) -> None:
    """Put the service and the form on the desk."""
    service(seed).put(home / "service")
    write(home / "notes/office-mirror.md", NOTES)
    write(home / ANSWERS, FORM)


def words(seed: int) -> dict[str, Any]:
    """The right answers of a seed, for tests: {{last_driver}}, {{wheel_pykontor}}, {{sdist_pykontor}} …, and wrong ones: {{yanked_driver}}, {{tampered_wheel_pykontor}}."""
    index = packages.Index(seed, packages.WEDNESDAY)
    last = index.newest("pykontor", below="2.9")
    right = {**{name: str(index.newest(name)) for name in NAMES}, "pykontor": str(last), "targ-loader": "1.4.0"}
    found: dict[str, Any] = {
        "last_driver": str(last),
        "locked_units": right["targ-units"],
        "yanked_driver": next(one.version for one in index.releases("pykontor") if index.is_yanked(one)),
    }
    for before, one in (("", index), ("tampered_", index.mirror())):
        for file in one.files():
            if right[file.release.project] == file.release.version:
                found[f"{before}{'wheel' if file.is_wheel else 'sdist'}_{file.release.project.replace('-', '_')}"] = (
                    file.sha256
                )
            if file.name == "pykontor-2.9.0-py3-none-any.whl":
                found["wheel_of_2_9"] = file.sha256
            if file.name == "targ_loader-1.5.0-py3-none-any.whl":
                found["wheel_of_1_5"] = file.sha256
    return found
