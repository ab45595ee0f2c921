"""Assignments 01 and 03 through nbgrader's own commands: release, submissions of all kinds, autograde, feedback, export.

One course in a temporary folder, one batch with everybody in it: each start of nbgrader costs seconds.
"""

import contextlib
import csv
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import nbformat
import psutil
import pytest
import replay as answers
from nbgrader.api import Gradebook
from nbgrader.auth import Authenticator
from nbgrader.converters import Autograde, NbGraderException
from nbgrader.coursedir import CourseDirectory
from nbgrader.exchange import ExchangeFactory
from patience import until
from test_03_iam_roles import words
from traitlets.config import Config, PyFileConfigLoader

from opslab import card, checks, jail
from opslab.course import seed_of_name
from opslab.grading import nbgrader_plugin, release, replay, submission
from opslab.scenarios.iam_roles.names import STAGING
from opslab.scenarios.shell_setup import loader
from opslab.worlds import workspace
from opslab.worlds.aws import cloud, journal

# The first test of each course waits for a whole grading, which takes almost three minutes on a busy machine.
pytestmark = [pytest.mark.xdist_group("grading"), pytest.mark.timeout(1200)]

ROOT = Path(__file__).parents[1]
CLEAR_DESK = "import shutil; shutil.rmtree('jobs')"
STEM = "01_shell_setup"
NOTEBOOK = "shell_setup.ipynb"
MODULE = checks.load("01")
TASKS = {task.id: task.points for task in MODULE.tasks}
SCRIPTS = Path(sys.executable).parent

# A name that a hidden world must never betray: it stands in the copy of hidden.toml that these tests grade with.
SECRET_TWIST = "xyzzy-hidden-twist"


def start(course, *arguments, path=None):
    """Start an nbgrader command as an instructor does; the environment's programs are on PATH, as in an active venv."""
    env = {**os.environ, "PATH": path or f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}"}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [SCRIPTS / "nbgrader", *arguments], cwd=course, env=env, stdout=pipe, stderr=pipe, text=True
    )


def nbgrader(course, *arguments, path=None):
    """Run an nbgrader command; returns its exit code and what it logged."""
    process = start(course, *arguments, path=path)
    return process.communicate()[1], process.returncode


def settings(course, **sections):
    """The course's nbgrader configuration, as its commands have it, for use in this process."""
    config = Config(PyFileConfigLoader("nbgrader_config.py", path=str(course)).load_config())
    config.CourseDirectory.root = str(course)
    config.CourseDirectory.assignment_id = STEM
    for name, values in sections.items():
        config[name].update(values)
    return config


def cells_of(path):
    return json.loads(path.read_text())["cells"]


def write_notebook(path, cells):
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))


def code(source, **metadata):
    return {
        "cell_type": "code", "id": "x", "metadata": metadata, "source": source, "outputs": [], "execution_count": None,
    }  # fmt: skip


def loader_answer(seed=1, **wrong):
    """What stands in answers/loader.txt of task 1.3, where all is right except what `wrong` says."""
    truth = loader.log(seed)[1]
    values = {"root_cause": truth.root_cause, "first_seen": truth.first_seen, "line": truth.line, **wrong}
    return "".join(f"{key}: {value}\n" for key, value in values.items())


class Submissions:
    """Makes one submission of each kind. A workspace holds no more than the answer: what is missing fails at once."""

    def __init__(self, course):
        self.course = course
        self.released = course / "exercises" / STEM / NOTEBOOK

    def student(self, name, loader_txt=None):
        folder = self.course / "submitted" / name / STEM
        folder.mkdir(parents=True)
        shutil.copy(self.released, folder)
        if loader_txt is not None:
            answers = folder / "workspace" / "answers"
            answers.mkdir(parents=True)
            (answers / "loader.txt").write_text(loader_txt)
            (folder / "workspace" / workspace.NOTE).write_text('{"seed": 1}')
        return folder

    def right(self):
        # The desk of a learner who has run every cell of the solution.
        folder = self.student("right")
        sources = [cell.source for cell in submission.read_notebook(ROOT / "solutions" / STEM / NOTEBOOK)]
        assert replay.replay(sources, STEM, folder / "workspace") == ""

    def half(self):
        self.student("half", loader_answer(line=1))

    def empty(self):
        self.student("empty")

    def tampered(self):
        # One graded cell deleted, one doubled, with points, names and schema that nbgrader would stumble over.
        folder = self.student("tampered", loader_answer())
        cells = [cell for cell in cells_of(self.released) if cell["id"] != "check-1-1"]
        doubled = next(cell for cell in cells if cell["id"] == "check-1-3")
        forged = json.loads(json.dumps(doubled))
        forged["metadata"]["nbgrader"].update(points=100, schema_version=1)
        del forged["metadata"]["nbgrader"]["cell_type"]
        nameless = code("7", nbgrader={"grade": True, "points": 50, "schema_version": 99})
        unknown = code(
            "7", nbgrader={"grade": True, "grade_id": "bonus", "points": 50, "solution": False, "locked": True}
        )
        write_notebook(folder / NOTEBOOK, [forged, *cells, doubled, nameless, unknown])

    def forged(self):
        # Everything that nbgrader reads grades from, and a script for whoever opens the page.
        folder = self.student("forged", "")
        cells = cells_of(self.released)
        for cell in cells:
            if "nbgrader" in cell["metadata"]:
                data = {"text/plain": str(cell["metadata"]["nbgrader"].get("points"))}
                cell["outputs"] = [
                    {"output_type": "execute_result", "data": data, "metadata": {}, "execution_count": 1}
                ]
                cell["source"] = "print('all right')"
        script = "<script>alert('from the learner')</script>\n\n<img src=x onerror=alert(1)>"
        for kind in ("markdown", "raw"):
            texts = (script, f"```\n{script}", f"```\n```\n{script}")
            cells += [{"cell_type": kind, "metadata": {}, "source": text} for text in texts]
        write_notebook(folder / NOTEBOOK, cells)

    def junk(self):
        folder = self.student("junk", loader_answer())
        (folder / NOTEBOOK).write_text("{ not a notebook")

    def killer(self):
        # Without a workspace, so the notebook is run again; it kills its kernel before it has written anything.
        folder = self.student("killer")
        cells = [code(CLEAR_DESK), code("import os; os.kill(os.getpid(), 9)"), *cells_of(self.released)]
        write_notebook(folder / NOTEBOOK, cells)

    def writer(self):
        # Without a workspace, so it is tried on the desk that belongs to its name. It writes its answer only if it cannot find what a notebook run by the grader could look for.
        folder, mine = self.student("writer"), loader_answer(seed_of_name("writer"))
        secrets = [
            self.course / "gradebook.db",
            self.course / "submitted",
            ROOT / "opslab" / "checks",
            ROOT / "solutions",
        ]
        cells = [
            code('import opslab; opslab.open("01"); opslab.check("1.3")'),
            code(CLEAR_DESK),
            code(f"import os; seen = [path for path in {[str(path) for path in secrets]!r} if os.path.exists(path)]"),
            code(f"assert not seen\nopen('answers/loader.txt', 'w').write({mine!r})"),
        ]
        write_notebook(folder / NOTEBOOK, cells)

    def links(self):
        # The answer is a link to somebody else's, the workspace holds a pipe, and a link to the hidden checks lies about.
        folder = self.student("links", "")
        answers = folder / "workspace" / "answers"
        (answers / "loader.txt").unlink()
        (answers / "loader.txt").symlink_to(self.course / "submitted" / "half" / STEM / "workspace/answers/loader.txt")
        os.mkfifo(answers / "late_feed.txt")
        (folder / "notes.txt").symlink_to(self.course / "solutions" / STEM / "hidden.toml")
        os.mkfifo(folder / "pipe.txt")


STUDENTS = ("right", "half", "empty", "tampered", "forged", "junk", "killer", "writer", "links")


class Course:
    """The course folder after all commands have run, and what they said."""

    def __init__(self, folder, log):
        self.folder, self.log = folder, log
        with (folder / "grades.csv").open() as file:
            self.rows = {row["student_id"]: row for row in csv.DictReader(file)}

    def score(self, student):
        return float(self.rows[student]["score"])

    def by_task(self, student):
        """The score of each task in the gradebook."""
        with Gradebook(f"sqlite:///{self.folder / 'gradebook.db'}") as gradebook:
            notebook = gradebook.find_submission_notebook("shell_setup", STEM, student)
            return {grade.cell.name.removeprefix("check-").replace("-", "."): grade.score for grade in notebook.grades}

    def feedback(self, student):
        return (self.folder / "feedback" / student / STEM / "shell_setup.html").read_text()

    def files(self, step, student):
        return sorted(path.name for path in (self.folder / step / student / STEM).rglob("*"))


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    folder = tmp_path_factory.mktemp("course")
    shutil.copy(ROOT / "nbgrader_config.py", folder)
    shutil.copytree(ROOT / "solutions", folder / "solutions")
    hidden = folder / "solutions" / STEM / "hidden.toml"
    hidden.write_text(f"{hidden.read_text()}\n# {SECRET_TWIST}\n")
    logs = [nbgrader(folder, "generate_assignment", STEM)]
    make = Submissions(folder)
    for name in STUDENTS:
        getattr(make, name)()
    # Half of a full grading is waiting for a terminal, so two batches at once take little longer than one.
    batches = [start(folder, "autograde", STEM, "--student", who) for who in ("right", "[!r]*")]
    logs += [(batch.communicate()[1], batch.returncode) for batch in batches]
    logs += [nbgrader(folder, "generate_feedback", STEM), nbgrader(folder, "export")]
    for log, exit_code in logs:
        assert exit_code == 0, log
    return Course(folder, "\n".join(log for log, _ in logs))


# ---- scores ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_everybody_is_in_the_exported_table(course):
    assert set(course.rows) == set(STUDENTS)
    assert {float(row["max_score"]) for row in course.rows.values()} == {sum(TASKS.values())}


@pytest.mark.slow
def test_a_right_submission_scores_everything(course):
    assert course.by_task("right") == TASKS


@pytest.mark.slow
def test_a_half_right_one_scores_its_part_also_within_a_task(course):
    assert course.by_task("half") == {**dict.fromkeys(TASKS, 0), "1.3": TASKS["1.3"] - 1}
    assert course.score("half") == TASKS["1.3"] - 1


@pytest.mark.slow
def test_the_release_untouched_scores_nothing(course):
    assert course.by_task("empty") == dict.fromkeys(TASKS, 0)


@pytest.mark.slow
def test_deleted_doubled_and_invented_cells_change_nothing(course):
    assert course.by_task("tampered") == {**dict.fromkeys(TASKS, 0), "1.3": TASKS["1.3"]}
    assert (
        "tampered: graded cells are missing and added again: check-1-1" in course.log
        and "Score: 0.0 / 5.0" in course.feedback("tampered")
    )


@pytest.mark.slow
def test_forged_outputs_and_texts_of_graded_cells_change_nothing(course):
    assert course.by_task("forged") == dict.fromkeys(TASKS, 0)


@pytest.mark.slow
def test_a_broken_notebook_is_zero_with_a_reason_in_gradebook_and_feedback(course):
    reason = "shell_setup.ipynb is not a notebook: its text is not JSON."
    assert course.by_task("junk") == dict.fromkeys(TASKS, 0)
    assert course.feedback("junk").count(reason) >= len(TASKS)
    with Gradebook(f"sqlite:///{course.folder / 'gradebook.db'}") as gradebook:
        notebook = gradebook.find_submission_notebook("shell_setup", STEM, "junk")
        assert notebook.comments and all(comment.comment.startswith(reason) for comment in notebook.comments)
        assert not notebook.needs_manual_grade


@pytest.mark.slow
def test_a_notebook_that_kills_its_kernel_is_zero_with_a_reason(course):
    assert course.score("killer") == 0
    assert "its kernel died on the way" in course.feedback("killer")


@pytest.mark.slow
def test_without_a_workspace_the_notebook_is_run_where_the_course_cannot_be_seen(course):
    assert course.by_task("writer") == {**dict.fromkeys(TASKS, 0), "1.3": TASKS["1.3"]}
    assert "on a desk that was made for “writer”" in course.feedback("writer")


@pytest.mark.slow
def test_whoever_grades_is_told_how_it_goes_and_of_the_desk_of_the_solutions(course):
    assert "half: task 1.3, 2 of 3 points" in course.log
    assert (
        "right: made from seed 1, which no learner gets: was it filled in from the published solutions?" in course.log
    )
    assert "published solutions" not in course.feedback("right")


@pytest.mark.slow
def test_links_and_pipes_are_left_out_and_named(course):
    assert course.score("links") == 0
    page = course.feedback("links")
    assert "answers/loader.txt" in page and "is a link; it was left out" in page
    assert "answers/late_feed.txt" in page and "is not an ordinary file; it was left out" in page


# ---- what gets out --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_only_the_notebook_goes_on_to_autograded_and_feedback(course):
    for student in STUDENTS:
        assert course.files("autograded", student) == [NOTEBOOK]
        assert course.files("feedback", student) == ["shell_setup.html"]


@pytest.mark.slow
def test_nothing_hidden_reaches_the_release_or_a_feedback_page(course):
    hidden = (ROOT / "solutions" / STEM / "hidden.toml").read_text()
    words = {SECRET_TWIST, "hidden.toml", "unseen", "twists", "BEGIN SOLUTION", "END SOLUTION"}
    words |= {line for line in hidden.splitlines() if len(line) > 12}
    released = [path for path in (course.folder / "exercises").rglob("*") if path.is_file()]
    assert [path.name for path in released] == [NOTEBOOK]
    # But for what they have handed in themselves: some have copied a solution, marks and all.
    pages = [re.sub(r"<details><summary>handed in: .*?</details>", "", course.feedback(one), flags=re.DOTALL) for one in STUDENTS]  # fmt: skip
    for text in [*(path.read_text() for path in released), *pages]:
        assert not [word for word in words if word in text]


@pytest.mark.slow
def test_a_script_in_a_submission_is_shown_and_not_run(course):
    page = course.feedback("forged")
    assert page.count("from the learner") == 6
    assert "<script>alert" not in page and "<img src=x" not in page


@pytest.mark.slow
def test_the_texts_of_the_course_stay_readable_in_feedback(course):
    markdown = [
        cell
        for cell in cells_of(course.folder / "autograded" / "half" / STEM / NOTEBOOK)
        if cell["cell_type"] == "markdown"
    ]
    assert markdown and not [cell for cell in markdown if "".join(cell["source"]).startswith("```text")]


def test_what_a_learner_wrote_goes_through_the_card_escaped():
    result = checks.Result("x", "<b>", 1, "missed", "say <i>", "<u>", "<script>alert(1)</script>", "a")
    html = card.Card(checks.Report("1.2", "<h1>", 1, [result]).as_dict())._repr_html_()
    assert "<script>" not in html and "<h1>" not in html and "<i>" not in html


@pytest.mark.slow
def test_the_autograded_notebook_is_valid_and_shows_a_card_for_each_task(course):
    for student in STUDENTS:
        node = nbformat.read(course.folder / "autograded" / student / STEM / NOTEBOOK, as_version=4)
        nbformat.validate(node)
        cards = [cell.outputs[0].data["text/html"] for cell in node.cells if cell.cell_type == "code" and cell.outputs]
        assert len(cards) == len(TASKS)


# ---- when grading cannot be trusted ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_without_a_full_jail_the_run_fails_and_grades_nobody(course, tmp_path):
    folder = tmp_path / "course"
    shutil.copytree(
        course.folder, folder, ignore=shutil.ignore_patterns("autograded", "feedback", "submitted", "*.csv")
    )
    Submissions(folder).student("late")
    log, exit_code = nbgrader(folder, "autograde", STEM, path=str(SCRIPTS))
    assert exit_code == 1 and "Traceback" not in log
    assert "Nothing was graded: found no working bubblewrap" in log
    assert not (folder / "autograded").exists()
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as gradebook:
        assert "late" not in {student.id for student in gradebook.students}


def grade_one(course, student):
    config = settings(course.folder)
    config.CourseDirectory.student_id = student
    config.BaseConverter.force = True
    Autograde(coursedir=CourseDirectory(config=config), config=config).start()


def test_what_cannot_be_looked_at_to_its_end_is_a_miss(tmp_path, monkeypatch):
    def endless(trial):
        re.match(r"(a*)*b", "a" * 60)

    monkeypatch.setattr(checks, "LOOK_SECONDS", 0.3)
    expectation = checks.Expectation("x", "it ends", 1, (), endless)
    task = MODULE.find("1.3")
    trial = checks.Trial(tmp_path, MODULE, task, seed=1, unseen=2, graded=True)
    result = checks._ask(expectation, trial, set())
    assert (result.state, result.name) == ("missed", "without-end-to-look-at")


def test_a_name_that_is_no_text_can_be_written_into_a_page(tmp_path):
    home = workspace.build("00_start_here", tmp_path / "home", 1)
    (home / os.fsdecode(b"\xffbad")).touch()
    result = checks.run("0.1", home).results[0]
    assert "bad" in result.got and result.got.encode()


def test_a_check_that_stumbles_in_a_hidden_world_only_says_why(tmp_path, monkeypatch):
    hidden = tmp_path / "hidden.toml"
    hidden.write_text('["1.2"]\nworlds = [{ unseen = 4096 }]\n')

    def run(task_id, home, *, unseen=None, **more):
        state, say = ("met", "") if unseen is None else ("fault", "KeyError: 'bikebarn'")
        return checks.Report(task_id, "", 2, [checks.Result("x", "it works", 2, state, say)])

    monkeypatch.setattr(checks, "run", run)
    (result,) = checks.grade("1.2", tmp_path, hidden=hidden).results
    assert (result.state, result.say) == ("fault", "KeyError: 'bikebarn'")


@pytest.mark.slow
def test_a_check_at_fault_is_loud_and_waits_for_a_human(course, monkeypatch, caplog):
    Submissions(course.folder).student("unlucky", "")

    def stumble(task_id, home, **more):
        task = MODULE.find(task_id)
        state = "fault" if task_id == "1.4" else "met"
        return checks.Report(
            task_id, task.title, task.points, [checks.Result("x", "it works", task.points, state, "KeyError")]
        )

    monkeypatch.setattr(checks, "grade", stumble)
    with caplog.at_level("WARNING"):
        grade_one(course, "unlucky")
    assert [
        r for r in caplog.records if r.levelname == "ERROR" and "CHECK AT FAULT: unlucky, task 1.4" in r.getMessage()
    ]
    with Gradebook(f"sqlite:///{course.folder / 'gradebook.db'}") as gradebook:
        grades = gradebook.find_submission_notebook("shell_setup", STEM, "unlucky").grades
        waiting = {grade.cell.name: grade.auto_score for grade in grades if grade.needs_manual_grade}
    assert waiting == {"check-1-4": 0}


@pytest.mark.slow
def test_points_that_differ_from_the_gradebook_stop_the_grading_of_a_submission(course, monkeypatch, caplog):
    Submissions(course.folder).student("early", "")
    task = MODULE.find("1.3")
    more = checks.Expectation("more", "one more", 1, (), lambda trial: None)
    monkeypatch.setattr(task, "expectations", [*task.expectations, more])
    with pytest.raises(NbGraderException):
        grade_one(course, "early")
    assert "task 1.3 is worth 4 points, and its cell check-1-3 in the gradebook 3" in caplog.text


# ---- reading what was handed in -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content, says",
    [
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "no version was found"),
        (b'{"nbformat": 3, "worksheets": []}', "version 3"),
        (b'{"nbformat": 4}', "has no cells"),
        (b'{"nbformat": 4, "cells": [1, {"cell_type": "code", "source": 3}]}', "has no cells"),
        (b" " * (submission.NOTEBOOK_LIMIT + 1), "at most"),
    ],
)
def test_a_notebook_that_cannot_be_read_is_refused_in_one_line(tmp_path, content, says):
    path = tmp_path / NOTEBOOK
    path.write_bytes(content)
    with pytest.raises(submission.Refused, match=says) as refused:
        submission.read_notebook(path)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 250


def test_a_notebook_that_is_a_link_a_pipe_or_a_folder_is_refused(tmp_path):
    (tmp_path / "link.ipynb").symlink_to(ROOT / "solutions" / STEM / NOTEBOOK)
    os.mkfifo(tmp_path / "pipe.ipynb")
    (tmp_path / "folder.ipynb").mkdir()
    for name in ("link", "pipe", "folder", "missing"):
        with pytest.raises(submission.Refused, match=f"{name}.ipynb"):
            submission.read_notebook(tmp_path / f"{name}.ipynb")


def test_half_a_surrogate_pair_in_a_cell_does_not_stop_the_batch(tmp_path):
    path = tmp_path / NOTEBOOK
    path.write_text('{"nbformat": 4, "cells": [{"cell_type": "markdown", "source": "\\ud800"}]}')
    assert submission.read_notebook(path)[0].source == "?"


@pytest.fixture
def handed_in(tmp_path):
    folder = tmp_path / "workspace"
    (folder / "answers").mkdir(parents=True)
    (folder / workspace.NOTE).write_text('{"seed": 1}')
    return folder


def settled(handed_in, tmp_path):
    home = tmp_path / "home"
    return home, submission.settle(handed_in, MODULE, home)


def test_a_world_holds_the_answers_and_is_otherwise_new(handed_in, tmp_path):
    workspace.build(STEM, handed_in, 5, lines=10)
    (handed_in / "answers" / "loader.txt").write_text("mine")
    (handed_in / "tools" / "warehouse").write_text("a warehouse that takes any password")
    (handed_in / "backup.txt").write_text("a file of my own")
    (handed_in / "passwords.txt").unlink()
    secret = handed_in / ".secrets" / "warehouse"
    secret.parent.mkdir(mode=0o700)
    secret.write_text("x")
    secret.chmod(0o600)
    home, remarks = settled(handed_in, tmp_path)
    assert not remarks
    assert (home / "answers" / "loader.txt").read_text() == "mine"
    assert (home / "backup.txt").read_text() == "a file of my own"
    assert not (home / "passwords.txt").exists()
    assert "any password" not in (home / "tools" / "warehouse").read_text()
    assert stat.S_IMODE((home / ".secrets" / "warehouse").stat().st_mode) == 0o600
    assert workspace.seed_of(home) == 5


def test_a_folder_that_is_a_link_is_not_entered(handed_in, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "late_feeds.sh").write_text("somebody else's work")
    (handed_in / "bin").symlink_to(elsewhere)
    home, remarks = settled(handed_in, tmp_path)
    assert (
        remarks == ["'bin' in the workspace is a link; it was left out."]
        and not (home / "bin" / "late_feeds.sh").exists()
    )


def test_answers_come_first_however_much_else_there_is(handed_in, tmp_path):
    (handed_in / "answers" / "loader.txt").write_text("mine")
    for number in range(1200):
        (handed_in / f"{number}.txt").touch()
    (handed_in / "tools").write_text("a file, where the world has a folder")
    home, remarks = settled(handed_in, tmp_path)
    assert (home / "answers" / "loader.txt").read_text() == "mine"
    assert len(list(home.glob("*.txt"))) <= 1000 and (home / "tools").is_dir()
    assert len(remarks) == 1 and "There are more than 1,000 files; '" in remarks[0]


def test_the_files_of_a_task_are_shown_as_text(tmp_path):
    home = workspace.build(STEM, tmp_path / "home", 3, lines=10)
    (home / "bin/late_feeds.sh").write_text("<script>alert(1)</script>\n")
    (home / "answers").mkdir(exist_ok=True)
    (home / "answers/late_feed.txt").symlink_to("/etc/passwd")
    shown = nbgrader_plugin.files_of(MODULE.find("1.2"), home)
    assert "handed in: bin/late_feeds.sh</summary><pre>&lt;script&gt;" in shown and "late_feed.txt" not in shown
    (home / "bin/late_feeds.sh").write_bytes(bytes(30_000))
    assert nbgrader_plugin.files_of(MODULE.find("1.2"), home) == ""


def test_an_environment_among_the_answers_takes_nothing_away(tmp_path):
    """What comes after it by name is there all the same; it has more files than all answers."""
    handed_in = workspace.build("05_docker_pinning", tmp_path / "handed in", 3)
    (handed_in / "image/Dockerfile").write_text("FROM python:3-slim\n")
    for place in ("deploy/build/.venv", "image/.venv"):
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", handed_in / place], check=True)
        for number in range(1500):
            (handed_in / place / f"{number}.py").touch()
    home = tmp_path / "home"
    assert submission.settle(handed_in, checks.load("05"), home) == []
    assert (home / "image/Dockerfile").exists() and not (home / "image/.venv").exists()


def test_a_file_in_the_place_of_a_folder_is_left_out(handed_in, tmp_path):
    (handed_in / "answers").rmdir()
    (handed_in / "answers").write_text("all of them")
    assert settled(handed_in, tmp_path)[1] == [
        "'answers' in the workspace is not a folder, as it was at the start; it was left out."
    ]


def test_too_big_too_many_and_too_deep_is_left_out(tmp_path):
    source = tmp_path / "source"
    place = source
    for number in range(8):
        place = place / str(number)
    place.mkdir(parents=True)
    (source / "big").write_bytes(b"x" * 2000)
    (source / "a").write_bytes(b"x" * 900)
    (source / "b").write_bytes(b"x" * 900)
    copier = submission.Copier(file_limit=1000, total_limit=1000, depth_limit=5)
    copier.copy(source, tmp_path / "target")
    assert sorted(path.name for path in (tmp_path / "target").iterdir()) == ["0", "a"]
    assert [remark.split(" in the workspace ")[1].split(" ")[0] for remark in copier.remarks] == [
        "lies",
        "would",
        "has",
    ]
    few = submission.Copier(count_limit=2)
    few.copy(source, tmp_path / "few")
    assert "more than 2 files" in few.remarks[-1]


@pytest.mark.parametrize("note", ["", "{}", '{"seed": "x"}', '{"seed": -1}', '{"seed": 1e400}', "[" * 100_000])
def test_a_seed_that_makes_no_sense_is_none(handed_in, note):
    (handed_in / workspace.NOTE).write_text(note)
    assert submission.noted_seed(handed_in) is None


def test_a_workspace_without_its_note_is_graded_on_another_desk_and_told_so(handed_in, tmp_path):
    (handed_in / workspace.NOTE).unlink()
    assert submission.settle(handed_in, MODULE, tmp_path / "home", 4711) == [submission.NO_NOTE]
    assert workspace.seed_of(tmp_path / "home") == 4711
    assert submission.doubts(handed_in, {handed_in: "ada"}) == []
    with pytest.raises(submission.Refused, match="--module 06"):
        submission.module_of(handed_in)


# ---- running a notebook again ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_replay_that_never_ends_is_stopped_and_keeps_what_was_done(tmp_path):
    # A cell is interrupted after 20 seconds, so one is not without end.
    cells = ["open('mine', 'w')", *["while True: pass"] * 4]
    for seconds in (4, 15, 60):  # on a busy machine, a kernel needs more than 4 to begin with
        home = tmp_path / f"home-{seconds}"
        remark = replay.replay(cells, STEM, home, seconds=seconds)
        if (home / "mine").exists():
            break
    assert f"still running after {seconds} seconds" in remark
    assert (home / "mine").exists()
    assert not [path for path in home.iterdir() if "kernel" in path.name]


def test_a_replay_without_a_full_jail_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(jail, "bubblewrap", lambda: None)
    with pytest.raises(jail.JailError, match="somebody else's work"):
        replay.replay(["1"], STEM, tmp_path / "home")


# ---- release --------------------------------------------------------------------------------------------------------


@pytest.fixture
def clone(tmp_path):
    """A course to release from, with the exercises as they are committed."""
    folder = tmp_path / "clone"
    folder.mkdir()
    shutil.copy(ROOT / "nbgrader_config.py", folder)
    for name in ("solutions", "exercises"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("workspace", ".ipynb_checkpoints"))
    return folder


def test_the_committed_exercises_are_what_solutions_generate():
    assert release.main(["--check", "--root", str(ROOT)]) == 0


@pytest.mark.slow
def test_an_instructors_command_and_the_release_give_the_same_bytes(course):
    made = release.files(course.folder / "exercises")
    assert STEM in release.assignments(course.folder)
    assert {path: file.read_bytes() for path, file in made.items()} == {
        path: file.read_bytes() for path, file in release.files(ROOT / "exercises").items() if path.startswith(STEM)
    }


def test_a_release_is_checked_renewed_and_leaves_workspaces_alone(clone, capsys):
    folder = clone / "exercises" / STEM
    work = folder / "workspace" / "answers" / "loader.txt"
    work.parent.mkdir(parents=True)
    work.write_text("my work")
    (folder / "left-over.txt").write_text("of an old release")
    original = (folder / NOTEBOOK).read_bytes()
    (folder / NOTEBOOK).write_bytes(original.replace(b"colleagues", b"people"))

    assert release.main(["--check", "--root", str(clone)]) == 1
    said = capsys.readouterr().err
    assert f"exercises/{STEM}/{NOTEBOOK}: differs" in said and "left-over.txt: not of this release" in said
    assert (folder / NOTEBOOK).read_bytes() != original

    assert release.main(["--root", str(clone)]) == 0
    assert (folder / NOTEBOOK).read_bytes() == original and not (folder / "left-over.txt").exists()
    assert work.read_text() == "my work"
    assert release.main(["--check", "--root", str(clone)]) == 0


def test_a_release_outside_of_a_course_is_refused(tmp_path, capsys):
    assert release.main(["--root", str(tmp_path)]) == 1
    assert "found no nbgrader_config.py" in capsys.readouterr().err


def test_force_does_not_delete_a_workspace(clone):
    work = clone / "exercises" / STEM / "workspace" / "mine.txt"
    work.parent.mkdir()
    work.write_text("my work")
    log, exit_code = nbgrader(clone, "generate_assignment", STEM, "--force", "--no-db")
    assert exit_code == 1 and "“make exercises” renews" in log and "Traceback" not in log
    assert work.read_text() == "my work" and (clone / "exercises" / STEM / NOTEBOOK).exists()


# ---- the exchange ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_submission_keeps_its_permissions_through_the_exchange(course, tmp_path):
    """Release, submit and collect on one machine, with what a home folder may hold."""
    teacher, learner, place = tmp_path / "teacher", tmp_path / "learner", tmp_path / "exchange"
    shutil.copytree(course.folder / "exercises", teacher / "exercises")
    own = teacher / "exercises" / STEM / "workspace"
    own.mkdir()
    (own / "answer.txt").write_text("the instructor's own")
    shutil.copytree(course.folder / "exercises", learner)
    desk = learner / STEM / "workspace"
    workspace.build(STEM, desk, 3, lines=10)
    (desk / "bin" / "late_feeds.sh").write_text("#!/bin/sh\n")
    (desk / "bin" / "late_feeds.sh").chmod(0o755)
    (desk / ".secrets").mkdir(mode=0o700)
    (desk / ".secrets" / "warehouse").write_text("x")
    (desk / ".secrets" / "warehouse").chmod(0o600)
    os.mkfifo(desk / "pipe")
    (desk / "dangling").symlink_to("nowhere")

    shutil.copy(ROOT / "nbgrader_config.py", teacher)
    shutil.copy(course.folder / "gradebook.db", teacher)
    config = settings(teacher, Exchange={"root": str(place), "cache": str(tmp_path / "cache")})
    config.Exchange.assignment_dir = str(learner)
    factory = ExchangeFactory(config=config)
    for action in (factory.ReleaseAssignment, factory.Submit, factory.Collect):
        action(coursedir=CourseDirectory(config=config), authenticator=Authenticator(), config=config).start()

    assert [path.name for path in (place / "opslab" / "outbound" / STEM).iterdir()] == [NOTEBOOK]
    (collected,) = (teacher / "submitted").glob(f"*/{STEM}")
    assert not list(collected.rglob("partner-feeds-*"))
    home, remarks = tmp_path / "home", []
    remarks = submission.settle(collected / "workspace", MODULE, home)
    modes = {
        path: stat.S_IMODE((home / path).stat().st_mode)
        for path in ("bin/late_feeds.sh", ".secrets", ".secrets/warehouse")
    }
    assert modes == {"bin/late_feeds.sh": 0o755, ".secrets": 0o700, ".secrets/warehouse": 0o600} and not remarks


def test_permissions_are_noted_however_many_files_there_are(tmp_path):
    handed_in = workspace.build(STEM, tmp_path / "handed in", 3, lines=10)
    names = [f"bin/venv/lib/package_{number}/module_{number}.py" for number in range(5_000)]
    modes = {name: "644" for name in names} | {"bin/late_feeds.sh": "750"}
    (handed_in / submission.MODES).write_text(json.dumps(modes))
    (handed_in / "bin/late_feeds.sh").write_text("#!/bin/sh\n")
    assert submission.settle(handed_in, MODULE, tmp_path / "home") == []
    assert stat.S_IMODE((tmp_path / "home/bin/late_feeds.sh").stat().st_mode) == 0o750
    (handed_in / submission.MODES).write_text("[")
    (remark,) = submission.settle(handed_in, MODULE, tmp_path / "again")
    assert "The note of permissions" in remark and "1.5" in remark


def test_the_exchange_carries_what_is_graded(course):
    config = settings(course.folder)
    assert 1000 * config.CourseDirectory.max_file_size >= workspace.ANSWER_LIMIT - 1000 >= journal.SIZE_LIMIT - 1000


def test_fences_hold_whatever_stands_between_them():
    assert nbgrader_plugin.fenced("a ```` b") == "`````text\na ```` b\n`````"


@pytest.mark.parametrize("name", ["course", "ops[2026]", "a * and ?", "[!x]"])
def test_everybody_is_found_whatever_the_course_folder_is_called(tmp_path, name):
    submitted = tmp_path / name / "submitted"
    for student in ("ada", "ben[1]"):
        (submitted / student / STEM / "workspace").mkdir(parents=True)
    (submitted / "eve" / "02_merge_requests" / "workspace").mkdir(parents=True)
    found = nbgrader_plugin.everybody(CourseDirectory(root=str(tmp_path / name)), STEM)
    assert found == {submitted / student / STEM / "workspace": student for student in ("ada", "ben[1]")}


# ---- module 03: what was changed in AWS -----------------------------------------------------------------------------

THREE = "03_iam_roles"
SEED = 4321
OTHERS = ("right", "copy", "own", "journal", "forged", "junk", "endless", "huge", "none")


def made_up(count=1, **changes):
    """Lines of a journal that somebody has written by hand: as the administrator of staging, create a user."""
    body = "Action=CreateUser&Version=2010-05-08&UserName=eve"
    form = {"content-type": "application/x-www-form-urlencoded"}
    line = {
        "time": "2026-11-21T09:14:03+00:00", "caller": f"arn:aws:iam::{STAGING}:user/administrator", "service": "iam", "region": "us-east-1",
        "operation": "CreateUser", "resources": [], "request": {"method": "POST", "path": "/", "query": "", "headers": form, "body": body},
        **changes,
    }  # fmt: skip
    return (json.dumps(line) + "\n") * count


@pytest.fixture(scope="module")
def organisations(tmp_path_factory):
    """Everybody's submission of module 03, graded in one batch by nbgrader's own commands."""
    folder, before = tmp_path_factory.mktemp("organisations"), hosts_of_these_tests()
    shutil.copy(ROOT / "nbgrader_config.py", folder)
    shutil.copytree(
        ROOT / "solutions" / THREE, folder / "solutions" / THREE, ignore=shutil.ignore_patterns("workspace")
    )
    logs = [nbgrader(folder, "generate_assignment", THREE)]
    desks = {name: folder / "submitted" / name / THREE / "workspace" for name in OTHERS}
    for desk in desks.values():
        desk.parent.mkdir(parents=True)
        shutil.copy(folder / "exercises" / THREE / "iam_roles.ipynb", desk.parent)
    plain = {case.task: case for case in answers.cases(THREE) if case.right and case.folder.name == "plain"}
    workspace.build(THREE, desks["right"], SEED)
    for case in plain.values():
        answers.put(case, desks["right"], words(SEED))
    shutil.copytree(desks["right"], desks["copy"])
    for number, name in enumerate(("own", "journal", "forged", "junk", "endless", "huge")):
        workspace.build(THREE, desks[name], 5000 + number)
    answers.put(plain["3.2"], desks["own"], words(workspace.seed_of(desks["own"])))
    # Nothing but the note and the journal, and somebody else's journal is not one's own.
    answers.put(plain["3.2"], desks["journal"], words(workspace.seed_of(desks["journal"])))
    for path in desks["journal"].iterdir():
        if path.name not in (workspace.NOTE, ".cloud"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name, text in {
        "forged": made_up(caller=f"arn:aws:iam::{STAGING}:user/notebook-server") + made_up(service="lambda"),
        "junk": "x\n" * 5000 + "[" * 100_000 + "\n" + made_up(),
        "endless": made_up(3000),
        "huge": "x" * 64 * 1024 * 1024,
    }.items():
        (desks[name] / ".cloud").mkdir(exist_ok=True)
        (desks[name] / cloud.JOURNAL).write_text(text)
    logs.append(nbgrader(folder, "autograde", THREE))
    logs += [nbgrader(folder, "generate_feedback", THREE), nbgrader(folder, "export")]
    for log, exit_code in logs:
        assert exit_code == 0, log
    found = Course(folder, "\n".join(log for log, _ in logs))
    found.before = before
    return found


def of_task(organisations, student):
    with Gradebook(f"sqlite:///{organisations.folder / 'gradebook.db'}") as gradebook:
        notebook = gradebook.find_submission_notebook("iam_roles", THREE, student)
        assert not notebook.needs_manual_grade
        return {grade.cell.name.removeprefix("check-").replace("-", "."): grade.score for grade in notebook.grades}


@pytest.mark.slow
def test_changes_in_aws_are_graded_from_the_journal(organisations):
    everything = {task.id: task.points for task in checks.load("03").tasks}
    nothing = dict.fromkeys(everything, 0)
    assert of_task(organisations, "right") == everything
    assert of_task(organisations, "copy") == everything, "never a deduction"
    assert of_task(organisations, "own") == {**nothing, "3.2": 3}
    assert of_task(organisations, "journal") == {**nothing, "3.2": 3}


@pytest.mark.slow
def test_a_bad_journal_is_worth_nothing_and_hurts_nobody_else(organisations):
    nothing = {task.id: 0 for task in checks.load("03").tasks}
    for student in ("forged", "junk", "endless", "huge", "none"):
        assert of_task(organisations, student) == nothing, student
    assert "CHECK AT FAULT" not in organisations.log and "Traceback" not in organisations.log
    assert "'.cloud/journal.jsonl' in the workspace has 67,108,864 bytes" in organisations.log


@pytest.mark.slow
def test_whoever_grades_is_told_of_a_copy_and_nobody_else_is(organisations):
    said = [line for line in organisations.log.splitlines() if "was one copied from the other?" in line]
    assert len(said) == 2
    assert "right: made from the same seed as copy: was one copied from the other?" in "".join(said)
    assert "copy: made from the same seed as right: was one copied from the other?" in "".join(said)
    for student in OTHERS:
        page = (organisations.folder / "feedback" / student / THREE / "iam_roles.html").read_text()
        assert "same seed" not in page


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the environment of processes")
def test_no_organisation_is_left_running_when_grading_is_over(organisations):
    # What tests of other files have left behind was there before. What was told to end needs its time for it.
    def left():
        return [host for host, parent in hosts_of_these_tests() - organisations.before if parent != os.getpid()]

    assert until(lambda: not left(), 60), left()


def hosts_of_these_tests():
    """The processes in which organisations live, of these tests, and their parents: they are told by their TMPDIR."""
    found = set()
    for process in psutil.process_iter(["cmdline"]):
        with contextlib.suppress(psutil.Error):
            if (
                "opslab.worlds.aws.host" in (process.info["cmdline"] or [])
                and process.environ().get("TMPDIR") == os.environ["TMPDIR"]
            ):
                parent = process.parent()  # None, where it has just ended
                if parent and "opslab.worlds.aws.host" not in parent.cmdline():
                    found.add((process.pid, parent.pid))
    return found


@pytest.mark.slow
def test_one_process_serves_all_that_is_graded(tmp_path):
    home = workspace.build(THREE, tmp_path / "home", SEED)
    processes = set()
    for task in ("3.2", "3.6"):
        assert checks.grade(task, home).score == 0
        processes.add(cloud.shared()._process.pid)
    assert len(processes) == 1
    left = psutil.wait_procs(psutil.Process(processes.pop()).children(), timeout=60)[1]
    assert not left, "each check ends the copies that it has made"


@pytest.mark.slow
def test_a_notebook_without_its_workspace_makes_its_changes_in_an_organisation(tmp_path):
    home = tmp_path / "home"
    cells = [
        'import opslab; opslab.open("03")',
        "%%bash\naws iam create-user --user-name eve --profile staging-admin",
        "%%bash\naws iam create-user --user-name adam --profile jonas 2> ~/said",
        "import urllib.request; urllib.request.urlopen('http://127.0.0.1:80')",
    ]
    assert replay.replay(cells, THREE, home) == ""
    (line,) = (home / cloud.JOURNAL).read_text().splitlines()
    assert json.loads(line)["operation"] == "CreateUser" and "eve" in line
    assert "AccessDenied" in (home / "said").read_text()


def test_workspaces_of_the_same_seed(tmp_path):
    def desk(name, note):
        (tmp_path / name).mkdir()
        (tmp_path / name / workspace.NOTE).write_text(note)
        return tmp_path / name

    ada, copy, other = (
        desk(name, json.dumps({"seed": seed})) for name, seed in (("ada", 77), ("copy", 77), ("other", 78))
    )
    demo, again = desk("demo", '{"seed": 1}'), desk("again", "{")
    link = tmp_path / "link"
    link.symlink_to(copy)
    everybody = [ada, copy, other, demo, again, link, tmp_path / "missing"]
    assert submission.same_seed(ada, everybody) == [copy]
    assert submission.same_seed(copy, everybody) == [ada]
    for alone in (other, demo, again, tmp_path / "missing"):
        assert submission.same_seed(alone, everybody) == []
