"""What somebody handed in, read with care.

A submission is a notebook and, beside it, the folder `workspace/`. Both were made by somebody else: a file may be a link to
the gradebook, a pipe that never ends, or a gigabyte. Nothing here follows a link, opens anything but an ordinary file, or
reads without a limit.

    >>> cells = read_notebook(Path("submitted/ada/01_shell_setup/shell_setup.ipynb"))
    >>> remarks = settle(Path("submitted/ada/01_shell_setup/workspace"), module, Path("/tmp/world/home"))

`settle` makes a fresh world and puts the answers into it: that world is graded, never the folder that came in.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opslab import course, plain
from opslab.checks import Module
from opslab.worlds import workspace

MEGABYTE = 1024 * 1024
NOTEBOOK_LIMIT = 10 * MEGABYTE
NOTE_LIMIT = 256 * 1024
MODES_LIMIT = 16 * MEGABYTE
CELL_LIMIT = 2000

MODES = ".opslab-modes.json"
"""Beside the files of a submitted workspace: the permissions that they had, because nbgrader's exchange flattens them."""

FOLDER = "workspace"


class Refused(Exception):
    """Something that was handed in cannot be read. The text is one line for the learner: what was found, what was expected."""


@dataclass(frozen=True)
class Cell:
    """What is taken over from a cell that was handed in: its type, its text, and the name that nbgrader knows it by."""

    kind: str
    source: str
    grade_id: str = ""


# ---- reading --------------------------------------------------------------------------------------------------------


def read_plain(path: Path, limit: int) -> bytes:
    """The content of an ordinary file of at most `limit` bytes. Raises Refused for everything else."""
    try:
        return plain.read_file(path, limit)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise Refused(f"{path.name} has {path.stat().st_size:,} bytes; at most {limit:,} are expected.") from None
        found = "a link" if error.errno == errno.ELOOP else (error.strerror or "an error").lower()
        raise Refused(f"{path.name} cannot be read ({found}); an ordinary file is expected.") from None


def read_notebook(path: Path) -> list[Cell]:
    """The cells of a notebook that was handed in. Raises Refused where it is no notebook of format 4 with cells."""
    raw = read_plain(path, NOTEBOOK_LIMIT)
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError):
        raise Refused(
            f"{path.name} is not a notebook: its text is not JSON. Open it in JupyterLab; if that fails too, take the last "
            "version that opens, and hand that in."
        ) from None
    if not isinstance(data, dict) or data.get("nbformat") != 4:
        version = data.get("nbformat") if isinstance(data, dict) else None
        found = f"version {version!r}"[:40] if version is not None else "no version"
        raise Refused(f"{path.name} is not a notebook of format 4 ({found} was found). Save it with JupyterLab.")
    cells = data.get("cells")
    known = [cell for item in cells[:CELL_LIMIT] if (cell := _cell(item))] if isinstance(cells, list) else []
    if not known:
        raise Refused(f"{path.name} has no cells. Was another file handed in by mistake?")
    return known


def _cell(item: Any) -> Cell | None:
    if not isinstance(item, dict) or item.get("cell_type") not in ("code", "markdown", "raw"):
        return None
    source = item.get("source", "")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str):
        return None
    metadata = item.get("metadata")
    nbgrader = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    grade_id = nbgrader.get("grade_id") if isinstance(nbgrader, dict) else None
    # JSON can spell half a surrogate pair, which no file can hold.
    source = source.encode("utf-8", "replace").decode()
    return Cell(item["cell_type"], source, grade_id if isinstance(grade_id, str) else "")


def noted(folder: Path) -> dict[str, Any]:
    """What the note of a submitted workspace says; empty where there is none, or one that makes no sense."""
    try:
        found = json.loads(read_plain(folder / workspace.NOTE, NOTE_LIMIT))
    except (Refused, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def noted_seed(folder: Path) -> int | None:
    """The seed that a submitted workspace says it was made from; None where it does not say, or says nonsense."""
    seed = noted(folder).get("seed")
    return seed if type(seed) is int and 0 <= seed < 2**32 else None


def module_of(folder: Path) -> str:
    """The module of a submitted workspace, such as "06_pipeline_validation": by its note, else by the folders that it lies in.

    Raises Refused where neither says it.
    """
    module = noted(folder).get("module")
    if isinstance(module, str):
        return module
    known = {course.stem_of(number) for number in course.TOPICS}
    around = next((part for part in reversed(folder.absolute().parts) if part in known), None)
    if around is None:
        raise Refused(f"It does not say of which module it is: opslab grade {folder} --module 06, for example.")
    return around


def same_seed(folder: Path, others: Iterable[Path]) -> list[Path]:
    """Which of `others`, submitted workspaces, were made from the same seed as `folder`: one may be a copy of another.

    That is a reason to look, and no proof: two people may have worked as one, on one machine. Grades never follow from it.
    """
    seed = noted_seed(folder)
    if seed is None or seed < course.SHARED_SEEDS:
        return []
    return [
        other
        for other in others
        if not other.is_symlink() and other.resolve() != folder.resolve() and noted_seed(other) == seed
    ]


def doubts(folder: Path, others: Mapping[Path, str]) -> list[str]:
    """What whoever grades should look at, in words, about where a submitted workspace comes from. Grades never follow from it.

    others: all that was handed in, with the names by which they are spoken of.
    """
    found = []
    if same := same_seed(folder, others):
        names = ", ".join(others[other] for other in same)
        found.append(f"made from the same seed as {names}: was one copied from the other?")
    seed = noted_seed(folder)
    if seed is not None and seed < course.SHARED_SEEDS:
        found.append(f"made from seed {seed}, which no learner gets: was it filled in from the published solutions?")
    return found


def around(folders: Iterable[Path]) -> list[str]:
    """The folders that hold what was handed in, to be hidden from it: of submitted/NAME/01_shell_setup/workspace, `submitted`.

    Nothing of them holds the system itself.
    """
    found = set()
    for folder in folders:
        own = folder.resolve()
        outer = [one for one in own.parents[:3] if not Path("/usr").is_relative_to(one)]
        found.add(str(outer[-1] if outer else own))
    return sorted(found)


def noted_modes(folder: Path) -> dict[str, int]:
    """The permissions that the files of a submitted workspace had, by path; empty where none were noted.

    Raises Refused where there is a note that cannot be used.
    """
    if not os.path.lexists(folder / MODES):
        return {}
    try:
        found = json.loads(read_plain(folder / MODES, MODES_LIMIT))
        return {str(path): int(mode, 8) & 0o777 for path, mode in found.items()}
    except (Refused, ValueError, TypeError, AttributeError, RecursionError):
        raise Refused(
            f"The note of permissions ({MODES}) cannot be used. Files have those with which they were copied, and a task that "
            "asks for permissions (1.5) or starts a script (1.2, 1.4, 2.5) may miss them."
        ) from None


# ---- copying --------------------------------------------------------------------------------------------------------


@dataclass
class Copier:
    """Copies the plain files of one folder into another, within limits. Virtual environments of Python are left out: they are made
    of links and of what can be installed again, and a few of them are more files than all answers.

    wanted: told the path of each file and folder, relative to where the copying starts; what it refuses is left out silently.
    modes: permissions by path that replace those found.
    remarks: afterwards, in words, what was left out because of what it is.
    """

    wanted: Callable[[str], bool] = lambda path: True
    modes: dict[str, int] = field(default_factory=dict)
    file_limit: int = workspace.ANSWER_LIMIT
    total_limit: float = 50 * MEGABYTE
    count_limit: float = 2000
    depth_limit: int = 30
    remarks: list[str] = field(default_factory=list)
    bytes: int = 0
    count: int = 0

    def copy(self, source: Path, target: Path) -> None:
        """Copy what is in the folder `source` into `target`, which is made where it is missing."""
        try:
            handle = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            self.remarks.append(f"{source.name} is not an ordinary folder; it was left out.")
            return
        try:
            self._folder(handle, target, "", 0)
        finally:
            os.close(handle)

    def _folder(self, handle: int, target: Path, prefix: str, depth: int) -> None:
        target.mkdir(parents=True, exist_ok=True)
        for name in sorted(os.listdir(handle)):
            path = prefix + name
            if not self.wanted(path):
                continue
            self.count += 1
            if self.count > self.count_limit:
                if self.count == self.count_limit + 1:
                    self.remarks.append(
                        f"There are more than {self.count_limit:,} files; {path!a} and what comes after it was left out."
                    )
                return
            try:
                self._entry(handle, name, target / name, path, depth)
            except OSError as error:
                self._leave_out(path, f"cannot be read ({(error.strerror or 'an error').lower()})")

    def _entry(self, parent: int, name: str, target: Path, path: str, depth: int) -> None:
        info = os.stat(name, dir_fd=parent, follow_symlinks=False)
        mode = self.modes.get(path, stat.S_IMODE(info.st_mode)) & 0o777
        folder = stat.S_ISDIR(info.st_mode)
        if not folder and not stat.S_ISREG(info.st_mode):
            self._leave_out(path, "is a link" if stat.S_ISLNK(info.st_mode) else "is not an ordinary file")
        elif target.exists() and target.is_dir() != folder:
            self._leave_out(path, f"is not a {'file' if folder else 'folder'}, as it was at the start")
        elif folder and depth >= self.depth_limit:
            self._leave_out(path, "lies too deep")
        elif folder:
            handle = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
            try:
                if os.access("pyvenv.cfg", os.F_OK, dir_fd=handle):
                    return
                self._folder(handle, target, path + "/", depth + 1)
            finally:
                os.close(handle)
            target.chmod(mode | 0o700)
        elif info.st_size > self.file_limit:
            self._leave_out(path, f"has {info.st_size:,} bytes, more than an answer needs")
        elif self.bytes + info.st_size > self.total_limit:
            self._leave_out(path, "would be too much with all the other files")
        else:
            content = plain.read_file(name, self.file_limit, dir_fd=parent)
            self.bytes += len(content)
            target.write_bytes(content)
            target.chmod(mode)

    def _leave_out(self, path: str, why: str) -> None:
        if len(self.remarks) < 20:
            self.remarks.append(f"{path!a} in the workspace {why}; it was left out.")


NO_NOTE = (
    f"The workspace does not say for whom it was made ({workspace.NOTE} is missing or damaged). So it was graded on another desk "
    "than yours, and answers that belong to one desk only do not fit it. Hand in the whole folder, hidden files as well."
)


def settle(handed_in: Path, module: Module, home: Path, seed: int = 1) -> list[str]:
    """Build a fresh world on `home`, from the seed noted in `handed_in`, else from `seed`, and put what was handed in into it.

    The answer files of the module's tasks come from `handed_in` alone: one that was deleted there is gone here too. All
    other files of the world are new; files that the world does not know are taken along.
    Returns remarks: what was left out, in words.
    """
    own = noted_seed(handed_in)
    workspace.build(module.stem, home, seed if own is None else own)
    answers = module.answers
    for path in answers:
        _remove(home / path)

    def ours(path: str) -> bool:
        return path in workspace.OURS or path.rpartition("/")[2] in workspace.OURS

    def of_an_answer(path: str) -> bool:
        return not ours(path) and any(f"{path}/".startswith(f"{answer}/") for answer in answers)

    def on_the_way(path: str) -> bool:
        return any(answer.startswith(f"{path}/") for answer in answers)

    def else_wanted(path: str) -> bool:
        if ours(path) or of_an_answer(path) or path in (workspace.NOTE, MODES):
            return False
        here = home / path
        # A folder that the world has too may hold files of the learner's own; a repository is the world's alone.
        return (here.is_dir() and here.name != ".git") or not here.exists()

    # Answers first, so that no heap of other files can use up what may be copied.
    try:
        modes, damaged = noted_modes(handed_in), []
    except Refused as refused:
        modes, damaged = {}, [str(refused)]
    copiers = [
        Copier(lambda path: of_an_answer(path) or on_the_way(path), modes, count_limit=20_000),
        Copier(else_wanted, modes, total_limit=20 * MEGABYTE, count_limit=1000),
    ]
    for copier in copiers:
        copier.copy(handed_in, home)
    remarks = damaged + [remark for copier in copiers for remark in copier.remarks]
    return list(dict.fromkeys([NO_NOTE, *remarks] if own is None else remarks))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
