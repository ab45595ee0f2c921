"""nbgrader's own commands, with grades from worlds: what nbgrader_config.py names.

nbgrader grades by running the learner's notebook and reading what its cells printed; whoever owns the kernel owns the grade.
Here no kernel has a say. `nbgrader autograde` goes its usual way through these parts:

- `SubmissionExporter` reads the notebook that was handed in: its cells' text, nothing else. One that cannot be read becomes an
  empty one, so that the batch goes on and the learner is told the reason.
- `CourseCells` gives each cell back what the gradebook knows about it: which cells are graded, for how many points, with
  which text. Whatever the notebook itself says about that is dropped; graded cells that were deleted come back.
- `PlainMarkdown` shows notes as they were typed. Markdown may hold HTML, and a feedback page must not run somebody's script.
- `GradeFromWorld` puts the submitted workspace into a fresh world, asks the checks there, and writes card and score under each
  graded cell, where nbgrader's `SaveAutoGrades` reads them as partial credit.
- `NoteInGradebook` marks for a human what a check could not decide, and notes why a submission could not be read.

`ReleaseExporter` writes what `nbgrader generate_assignment` makes in the one form of the course.
"""

from __future__ import annotations

import glob
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from html import escape
from pathlib import Path

import nbformat
from nbconvert.exporters import Exporter, NotebookExporter
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from nbgrader import utils
from nbgrader.api import Gradebook
from nbgrader.converters import NbGraderException, base
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Float

from opslab import checks, course, jail, plain
from opslab.card import Card, Note
from opslab.grading import form, replay, submission
from opslab.worlds import workspace

CHECK = re.compile(r"""^opslab\.check\(["'](\d+\.\d+)["']\)$""", re.MULTILINE)
"""The line in a graded cell that says which task it stands for."""


# ---- which files nbgrader copies ------------------------------------------------------------------------------------


def plain_files(path: str, exclude: list[str] | None = None) -> list[str]:
    """Like nbgrader's `find_all_files`, without links, pipes and devices, and without the insides of a workspace."""
    return [file for file in _find_all_files(path, [*(exclude or ()), submission.FOLDER]) if _is_plain(file)]


def _is_plain(file: str) -> bool:
    return stat.S_ISREG(os.lstat(file).st_mode)


_find_all_files = utils.find_all_files


def copy_plain_files_only() -> None:
    """Let every nbgrader command that copies the files beside a notebook copy plain ones only.

    nbgrader follows links: a file `notes.txt` that is a link to the hidden checks would come back on the feedback page. And a
    workspace belongs into the world that grades it, not into autograded/ and feedback/. nbgrader has no setting for either.
    """
    utils.find_all_files = base.find_all_files = plain_files


# ---- release --------------------------------------------------------------------------------------------------------


class ReleaseExporter(NotebookExporter):
    """Writes a released notebook in canonical form. Refuses to start where `--force` would delete somebody's workspace."""

    def __init__(self, **arguments) -> None:
        super().__init__(**arguments)
        converter = self.parent
        if not getattr(converter, "force", False):
            return
        for source in converter.assignments:
            released = Path(converter._format_dest(Path(source).name, "."))
            if (released / submission.FOLDER).exists():
                message = (
                    f"found {released / submission.FOLDER}, somebody's work, which --force would delete with the rest of the "
                    "folder. “make exercises” renews the released files and leaves workspaces alone."
                )
                self.log.error(message)
                raise NbGraderException(message)

    def from_notebook_node(self, nb, resources=None, **arguments):
        """The notebook after all preprocessors, as text in the form of an exercise."""
        node, resources = Exporter.from_notebook_node(self, nb, resources, **arguments)
        resources["output_suffix"] = ""
        return form.canonical(node, "exercise"), resources


# ---- autograde ------------------------------------------------------------------------------------------------------


class SubmissionExporter(NotebookExporter):
    """Reads a submitted notebook: only the type, text and nbgrader name of its cells, never its outputs or other metadata.

    Refuses to start where there is no full jail: a zero because of the grader's machine would be a lie.
    """

    def __init__(self, **arguments) -> None:
        super().__init__(**arguments)
        # The gradebook and the other submissions lie in the folder where nbgrader was started.
        os.environ[workspace.HIDDEN] = self.parent.coursedir.root
        try:
            with tempfile.TemporaryDirectory() as folder:
                jail.run(["true"], home=folder, required=True)
        except jail.JailError as error:
            self.log.error("Nothing was graded: %s", error)
            raise NbGraderException(str(error)) from None

    def from_filename(self, filename, resources=None, **arguments):
        """Convert the notebook in a file; one that cannot be read is converted as a notebook without cells."""
        try:
            cells = submission.read_notebook(Path(filename))
        except submission.Refused as reason:
            self.log.warning("%s: %s", filename, reason)
            cells = []
        return self.from_notebook_node(_rebuilt(cells), resources=resources, **arguments)


def _rebuilt(cells: list[submission.Cell]) -> nbformat.NotebookNode:
    node = new_notebook(metadata={"kernelspec": form.KERNELSPEC, "language_info": {"name": "python"}})
    for number, cell in enumerate(cells, start=1):
        # Two types are enough here: what a raw cell says can be read as markdown, and PlainMarkdown then looks after it.
        make = new_code_cell if cell.kind == "code" else new_markdown_cell
        metadata = {"nbgrader": {"grade_id": cell.grade_id}} if cell.grade_id else {}
        node.cells.append(make(cell.source, id=f"cell-{number}", metadata=metadata))
    return node


class CourseCells(NbGraderPreprocessor):
    """Gives the cells of a submitted notebook the roles that the gradebook knows, and restores graded cells."""

    def preprocess(self, nb, resources):
        """Each name is used once; names that the gradebook does not know are dropped; missing graded cells are added."""
        names = resources["nbgrader"]
        with Gradebook(names["db_url"]) as gradebook:
            roles = _roles(gradebook.find_notebook(names["notebook"], names["assignment"]))
        seen = set()
        for index, cell in enumerate(nb.cells):
            name = cell.metadata.pop("nbgrader", {}).get("grade_id", "")
            if name in roles and name not in seen:
                seen.add(name)
                nb.cells[index] = _with_role(cell, roles[name])
        missing = sorted(name for name in roles.keys() - seen if roles[name]["metadata"]["grade"])
        nb.cells += [_with_role(new_code_cell(id=f"restored-{name}"[:64]), roles[name]) for name in missing]
        if missing:
            self.log.warning("%s: graded cells are missing and added again: %s", names["student"], ", ".join(missing))
        return nb, resources


def _roles(notebook) -> dict[str, dict]:
    """What the gradebook knows about the cells of a notebook, by name: type, text (of locked ones), nbgrader metadata."""
    points = {cell.name: cell.max_score for cell in [*notebook.grade_cells, *notebook.task_cells]}
    graded, solved = ({cell.name for cell in cells} for cells in (notebook.grade_cells, notebook.solution_cells))
    tasks = {cell.name for cell in notebook.task_cells}
    roles = {}
    for cell in notebook.source_cells:
        metadata = {
            "grade": cell.name in graded,
            "grade_id": cell.name,
            "locked": cell.locked,
            "schema_version": 3,
            "solution": cell.name in solved,
            "task": cell.name in tasks,
            "cell_type": cell.cell_type,
        }
        if cell.checksum:
            metadata["checksum"] = cell.checksum
        if cell.name in points:
            metadata["points"] = points[cell.name]
        roles[cell.name] = {"type": cell.cell_type, "source": cell.source, "metadata": metadata}
    return roles


def _with_role(cell: nbformat.NotebookNode, role: dict) -> nbformat.NotebookNode:
    metadata = role["metadata"]
    own_text = metadata["solution"] and not cell.id.startswith("restored-")
    make = new_code_cell if role["type"] == "code" else new_markdown_cell
    return make(cell.source if own_text else role["source"], id=cell.id, metadata={"nbgrader": metadata})


class PlainMarkdown(NbGraderPreprocessor):
    """Shows markdown that is not the course's own as plain text."""

    def preprocess(self, nb, resources):
        """Markdown cells whose text stands in the released notebook stay; others are put between fences."""
        names = resources["nbgrader"]
        coursedir = self.parent.parent.coursedir
        folder = Path(coursedir.format_path(coursedir.source_directory, ".", names["assignment"]))
        known = {cell.source for cell in submission.read_notebook(folder / f"{names['notebook']}.ipynb")}
        for cell in nb.cells:
            if cell.cell_type == "markdown" and cell.source not in known and cell.source.strip():
                cell.source = fenced(cell.source)
        return nb, resources


def fenced(text: str) -> str:
    """Markdown that shows `text` letter by letter: between fences that are longer than any run of backticks in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def everybody(coursedir: CourseDirectory, assignment: str) -> dict[Path, str]:
    """The workspaces that were submitted for an assignment, with the names of those who did."""
    # Nobody is called NUL. What else stands in the path is a name, also where it looks like a pattern: ops[2026].
    path = os.path.join(coursedir.format_path(coursedir.submitted_directory, "\0", assignment), submission.FOLDER)
    found = glob.glob(glob.escape(path).replace("\0", "*"))
    return {Path(other): Path(other).parent.parent.name for other in sorted(found)}


SHOWN_BYTES = 20_000
"""Of a file that is shown in the feedback, at most."""


def files_of(task: checks.Task, world: Path) -> str:
    """HTML with the text files that a task names, as they were handed in, folded: for whoever reads and comments."""
    parts = []
    for path in task.files:
        try:
            text = plain.read(world, path, SHOWN_BYTES).decode()
        except (OSError, UnicodeDecodeError):  # a folder, not there, too long, or no text
            continue
        if "\0" not in text:
            parts.append(f"<details><summary>handed in: {escape(path)}</summary><pre>{escape(text)}</pre></details>")
    return "".join(parts)


class GradeFromWorld(NbGraderPreprocessor):
    """Fills the outputs of graded cells from checks in a fresh world. Learner kernels are never asked."""

    replay_seconds = Float(
        replay.SECONDS, help="Seconds for running a notebook again that was handed in without its workspace."
    ).tag(config=True)

    def preprocess(self, nb, resources):
        """Grade the submission that `nb` belongs to. Raises NbGraderException where course and gradebook disagree."""
        names = resources["nbgrader"]
        coursedir = self.parent.parent.coursedir
        folder = Path(coursedir.format_path(coursedir.submitted_directory, names["student"], names["assignment"]))
        source = Path(coursedir.format_path(coursedir.source_directory, ".", names["assignment"]))
        tasks = dict(self._graded(nb))
        refused, remarks = "", []
        try:
            cells = submission.read_notebook(folder / f"{names['notebook']}.ipynb")
        except submission.Refused as reason:
            refused = str(reason)
        else:
            with tempfile.TemporaryDirectory(prefix="opslab-grade-", ignore_cleanup_errors=True) as scratch:
                world = Path(scratch) / "home"
                remarks = self._settle(folder, cells, names["student"], names["assignment"], Path(scratch))
                total = 0.0
                for index, task in tasks.items():
                    report = self._grade(task, world, source / "hidden.toml")
                    total += report.score
                    self.log.info(
                        "%s: task %s, %g of %g points (%.0f seconds)",
                        names["student"], task.id, report.score, report.points, report.seconds,
                    )  # fmt: skip
                    self._fill(nb.cells[index], report.score, Card(report.as_dict()), files_of(task, world))
                    self._report_faults(report, nb.cells[index].metadata.nbgrader.grade_id, resources)
                tried = checks.in_numbers(source / "hidden.toml", tasks.values())
                self.log.info("%s: %g points. Hidden worlds: %s", names["student"], total, tried)
        if refused:
            for index, task in tasks.items():
                heading = f"{task.id} · {task.title}: 0 of {task.points:g} points"
                self._fill(nb.cells[index], 0, Note(heading, refused, kind="open"))
            resources["opslab_refused"] = refused
        for remark in remarks:
            self.log.warning("%s: %s", names["student"], remark)
        for doubt in submission.doubts(folder / submission.FOLDER, everybody(coursedir, names["assignment"])):
            # For whoever grades alone: it does not go into the notebook, and so not into the feedback.
            self.log.warning("%s: %s", names["student"], doubt)
        if remarks:
            nb.cells.insert(
                0, new_markdown_cell("Remarks on what was handed in:\n\n" + fenced("\n".join(remarks)), id="remarks")
            )
        return nb, resources

    def _graded(self, nb) -> Iterator[tuple[int, checks.Task]]:
        """The graded code cells, by their place in the notebook, with the task that each stands for."""
        for index, cell in enumerate(nb.cells):
            if cell.cell_type != "code" or not utils.is_grade(cell) or utils.is_solution(cell):
                continue
            name, points = cell.metadata.nbgrader.grade_id, cell.metadata.nbgrader.points
            found = CHECK.findall(cell.source)
            if len(found) != 1:
                raise self._wrong(
                    f'graded cell {name} holds {len(found)} lines like opslab.check("1.2"); exactly one is expected'
                )
            try:
                task = checks.module_of(found[0]).find(found[0])
            except LookupError as error:
                raise self._wrong(f"graded cell {name}: {error}") from None
            if task.points != points:
                raise self._wrong(
                    f"task {task.id} is worth {task.points:g} points, and its cell {name} in the gradebook {points:g}; "
                    "make them the same and run nbgrader generate_assignment again"
                )
            yield index, task

    def _wrong(self, message: str) -> NbGraderException:
        self.log.error(message)
        return NbGraderException(message)

    def _grade(self, task: checks.Task, world: Path, hidden: Path) -> checks.Report:
        try:
            return checks.grade(task.id, world, hidden=hidden)
        except checks.HiddenWorldsError as error:
            raise self._wrong(str(error)) from None

    def _settle(self, folder: Path, cells: list[submission.Cell], student: str, stem: str, scratch: Path) -> list[str]:
        """Make the world to grade at `scratch`/home: of the submitted workspace, or of what the notebook leaves when run."""
        remarks, seed = [], course.seed_of_name(student)
        root = Path(self.parent.parent.coursedir.root)
        handed_in = folder / submission.FOLDER
        if handed_in.is_symlink() or not handed_in.is_dir():
            if os.path.lexists(handed_in):
                remarks.append(f"{submission.FOLDER} is not an ordinary folder; it was left out.")
            handed_in = scratch / "replay"
            sources = [cell.source for cell in cells if cell.kind == "code"]
            remarks.append(
                f"No workspace was handed in, so the notebook was run again, on a desk that was made for “{student}”. Answers that "
                f"belong to another desk do not fit it: hand in the folder {submission.FOLDER} as well."
            )
            remark = replay.replay(sources, stem, handed_in, seed=seed, seconds=self.replay_seconds, hide=[root])
            remarks += [remark] if remark else []
        module = checks.load(course.stem_of(stem)[:2])
        return remarks + submission.settle(handed_in, module, scratch / "home", seed)

    def _fill(self, cell: nbformat.NotebookNode, score: float, card: Card | Note, files: str = "") -> None:
        shown = {"text/plain": str(card), "text/html": card._repr_html_() + files}
        cell.outputs = [
            new_output("display_data", data=shown),
            new_output("execute_result", data={"text/plain": f"{score:g}"}, execution_count=None),
        ]

    def _report_faults(self, report: checks.Report, name: str, resources) -> None:
        for result in report.results:
            if result.state == "fault":
                student = resources["nbgrader"]["student"]
                self.log.error("CHECK AT FAULT: %s, task %s, “%s”: %s", student, report.task, result.title, result.say)
                resources.setdefault("opslab_faults", []).append(name)


class NoteInGradebook(NbGraderPreprocessor):
    """Comes after SaveAutoGrades: cells whose check was at fault wait for a human; a refusal becomes a comment."""

    def preprocess(self, nb, resources):
        """Write both into the gradebook; the notebook stays as it is."""
        names = resources["nbgrader"]
        place = (names["notebook"], names["assignment"], names["student"])
        faults, refused = resources.get("opslab_faults", []), resources.get("opslab_refused", "")
        if faults or refused:
            with Gradebook(names["db_url"]) as gradebook:
                for name in faults:
                    gradebook.find_grade(name, *place).needs_manual_grade = True
                if refused:
                    for comment in gradebook.find_submission_notebook(*place).comments:
                        comment.auto_comment = refused
                gradebook.db.commit()
        return nb, resources
