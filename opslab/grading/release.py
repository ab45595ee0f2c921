"""exercises/ from solutions/, with nbgrader's own generate_assignment.

    $ python -m opslab.grading.release            # make exercises/ what solutions/ says
    $ python -m opslab.grading.release --check    # change nothing; say which files differ

No gradebook is made or touched. What learners make in exercises/ (their `workspace/`) stays as it is.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

KEPT = {"workspace", ".opslab", ".ipynb_checkpoints", ".virtual_documents"}
"""What people make while working in exercises/: neither compared nor removed."""


class ReleaseError(Exception):
    """The release cannot be made. The text is one line: what was found, what was expected."""


def assignments(root: Path) -> list[str]:
    """The names of the assignments in solutions/: the folders `NN_topic` that hold a notebook."""
    folders = (root / "solutions").glob("[0-9][0-9]_*")
    return sorted(folder.name for folder in folders if any(folder.glob("*.ipynb")))


def generate(root: Path, target: Path) -> None:
    """Make the release of every assignment of the course at `root` in the folder `target`. Raises ReleaseError."""
    from nbgrader.converters import GenerateAssignment, NbGraderException
    from nbgrader.coursedir import CourseDirectory
    from traitlets.config import Config, PyFileConfigLoader
    from traitlets.config.loader import ConfigFileNotFound

    try:
        settings = PyFileConfigLoader("nbgrader_config.py", path=str(root)).load_config()
    except ConfigFileNotFound:
        raise ReleaseError(f"found no nbgrader_config.py in {root}; start this in the course's folder") from None
    for name in assignments(root):
        config = Config(settings)
        config.CourseDirectory.root = str(root.resolve())
        config.CourseDirectory.release_directory = str(target.resolve())
        config.CourseDirectory.assignment_id = name
        config.GenerateAssignment.no_database = True
        config.SaveCells.enabled = False
        try:
            GenerateAssignment(coursedir=CourseDirectory(config=config), config=config).start()
        except NbGraderException as error:
            raise ReleaseError(f"nbgrader could not make {name}: {error}") from None


def files(folder: Path) -> dict[str, Path]:
    """The released files in `folder`, by their path in it."""
    found = {}
    for place, names, entries in os.walk(folder):
        names[:] = sorted(set(names) - KEPT)
        for entry in entries:
            path = Path(place) / entry
            found[str(path.relative_to(folder))] = path
    return found


def compare(made: Path, there: Path) -> dict[str, str]:
    """How the folder `there` differs from the release in `made`: path to 'missing', 'differs' or 'not of this release'."""
    wanted = files(made)
    found = {path: file for path, file in files(there).items() if re.match(r"\d\d_", path)}
    difference = {}
    for path in sorted(wanted.keys() | found.keys()):
        if path not in found:
            difference[path] = "missing"
        elif path not in wanted:
            difference[path] = "not of this release"
        elif wanted[path].read_bytes() != found[path].read_bytes():
            difference[path] = "differs"
    return difference


def update(made: Path, there: Path) -> dict[str, str]:
    """Make the folder `there` the release in `made`, file by file; returns what was changed, as `compare` says it."""
    difference = compare(made, there)
    for path, how in difference.items():
        target = there / path
        if how == "not of this release":
            target.unlink()
            if not any(target.parent.iterdir()):
                target.parent.rmdir()
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((made / path).read_bytes())
    return difference


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code: 1 where something is wrong or, with --check, differs."""
    parser = argparse.ArgumentParser(
        prog="python -m opslab.grading.release", description="Make exercises/ from solutions/."
    )
    parser.add_argument("--check", action="store_true", help="change nothing; say which files differ")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the course's folder (default: where you are)")
    options = parser.parse_args(arguments)
    there = options.root / "exercises"
    with tempfile.TemporaryDirectory(prefix="opslab-release-") as folder:
        made = Path(folder)
        try:
            generate(options.root, made)
        except ReleaseError as error:
            print(error, file=sys.stderr)
            return 1
        difference = compare(made, there) if options.check else update(made, there)
    for path, how in difference.items():
        print(f"exercises/{path}: {how}", file=sys.stderr if options.check else sys.stdout)
    if options.check and difference:
        print("“make exercises” renews them.", file=sys.stderr)
    return int(options.check and bool(difference))


if __name__ == "__main__":
    sys.exit(main())
