"""nbgrader's exchange for this course: only plain files travel.

A workspace is a home folder in use: it may hold links and pipes, on which nbgrader's own copying stumbles or which it
follows. A release leaves the instructor's own workspace behind. A submission notes the permissions of its files, which the
exchange flattens, because in module 01 they are part of the answer.
"""

from __future__ import annotations

import json
import math
import os
import stat
import tempfile
from pathlib import Path

from nbgrader.exchange.default import ExchangeCollect, ExchangeReleaseAssignment, ExchangeSubmit
from nbgrader.utils import ignore_patterns

from opslab.grading.submission import FOLDER, MODES, Copier


class PlainFiles:
    """Mixed into a class of nbgrader's exchange: what it copies goes through a folder of plain files first."""

    def do_copy(self, src, dest, log=None) -> None:
        """Copy the folder `src` to `dest`, which must not exist; what is left out is told in the log."""
        with tempfile.TemporaryDirectory(prefix="opslab-exchange-") as folder:
            plain = Path(folder) / Path(src).name
            # Too much in all is refused by nbgrader itself, below, in words for whoever submits: nothing is cut off here.
            limit = 1000 * self.coursedir.max_file_size
            copier = Copier(self._wanted(Path(src)), file_limit=limit, total_limit=math.inf, count_limit=math.inf)
            copier.copy(Path(src), plain)
            for remark in copier.remarks:
                self.log.warning("%s: %s", src, remark)
            self.prepare(Path(src), plain)
            super().do_copy(str(plain), dest, log)

    def prepare(self, source: Path, plain: Path) -> None:
        """What to change in the plain copy before it travels."""

    def leaves_out(self, path: str) -> bool:
        """Whether to leave out the file or folder at `path`, relative to the folder that is copied."""
        return False

    def _wanted(self, source: Path):
        ignored = ignore_patterns(exclude=self.coursedir.ignore)

        def wanted(path: str) -> bool:
            place = source / path
            return not self.leaves_out(path) and not ignored(str(place.parent), [place.name])

        return wanted


class Release(PlainFiles, ExchangeReleaseAssignment):
    """`nbgrader release_assignment`: without the workspace of an instructor who has tried the exercise."""

    def leaves_out(self, path: str) -> bool:
        """The workspace beside the notebook."""
        return path == FOLDER


class Submit(PlainFiles, ExchangeSubmit):
    """`nbgrader submit`: with a note of the permissions of the files in the workspace."""

    def prepare(self, source: Path, plain: Path) -> None:
        """Write the note into the copy of the workspace."""
        place = plain / FOLDER
        if not place.is_dir():
            return
        modes = {}
        for folder, names, files in os.walk(place):
            for name in [*names, *files]:
                path = os.path.relpath(os.path.join(folder, name), place)
                modes[path] = f"{stat.S_IMODE(os.lstat(source / FOLDER / path).st_mode):o}"
        (place / MODES).write_text(json.dumps(modes, sort_keys=True))


class Collect(PlainFiles, ExchangeCollect):
    """`nbgrader collect`."""
