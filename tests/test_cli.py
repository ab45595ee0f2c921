"""The command line: exit codes, one line for every mistake, and JSON that programs can rely on."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import replay as answers
from click.testing import CliRunner
from conftest import ROOT, stop_servers

from opslab import cli, course, jail
from opslab.grading import submission
from opslab.worlds import workspace

OPSLAB = Path(sys.executable).with_name("opslab")
NAME = "exercises/00_start_here/workspace/name.txt"


class Desk:
    """A course in a temporary folder, and `opslab` called in it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def opslab(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "OPSLAB_COURSE_ROOT": str(self.root), "COLUMNS": "200", **env}
        return subprocess.run(
            [str(OPSLAB), *arguments],
            cwd=self.root,
            env=env,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=120,
            check=False,
        )

    def refuses(self, *arguments: str, code: int = 1, **env: str) -> str:
        """What a call says that must fail: one line on stderr, nothing on stdout, no traceback."""
        done = self.opslab(*arguments, **env)
        assert done.returncode == code, done
        assert done.stdout == ""
        assert re.fullmatch(r"(Error|opslab [a-z]+): .+\n", done.stderr), done.stderr
        return done.stderr.partition(": ")[2].rstrip("\n")


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Iterator[Desk]:
    """A course with the world of module 00 open, for calls that leave it as it is."""
    desk = Desk(tmp_path_factory.mktemp("course"))
    for name in ("lessons", "exercises"):
        (desk.root / name).mkdir()
    subprocess.run(
        [sys.executable, "-c", "import opslab; opslab.open('00')"],
        env={**os.environ, "OPSLAB_COURSE_ROOT": str(desk.root)},
        cwd=desk.root,
        check=True,
        capture_output=True,
    )
    yield desk
    stop_servers(Path(tempfile.gettempdir()))


@pytest.fixture
def desk(shared: Desk) -> Iterator[Desk]:
    """The same, put back to its start afterwards."""
    yield shared
    shared.opslab("reset", "00")


# ---- help -----------------------------------------------------------------------------------------------------------


def test_without_a_command_it_lists_them():
    shown = CliRunner().invoke(cli.main, ["--help"]).output
    for name, command in cli.main.commands.items():
        (line,) = re.findall(rf"^  {name} +(.+)$", shown, flags=re.MULTILINE)
        assert line.endswith((".", "...")), "a help text that breaks off in the middle"
        assert not line.endswith("e.g."), "click ends a short help at the first full stop"
        assert command.help


def test_each_command_explains_itself():
    def walk(group: click.Group, path: list[str]) -> None:
        for name, command in group.commands.items():
            done = CliRunner().invoke(cli.main, [*path, name, "--help"])
            assert done.exit_code == 0
            assert done.output.startswith("Usage: ")
            assert command.help
            if isinstance(command, click.Group):
                walk(command, [*path, name])

    walk(cli.main, [])


def test_the_version_is_that_of_the_package(shared):
    assert shared.opslab("--version").stdout.split()[-1] == importlib.metadata.version("opslab")


@pytest.mark.parametrize(
    "arguments", [["nosuch"], ["check"], ["check", "1.1", "1.2"], ["check", "--nosuch"], ["grade"], ["stop"]]
)
def test_a_call_that_makes_no_sense_shows_the_usage(shared, arguments):
    done = shared.opslab(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: opslab")
    assert "Traceback" not in done.stderr


# ---- check, hint, reset, progress -----------------------------------------------------------------------------------


def test_check_prints_the_card_and_exits_with_1_until_all_holds(desk):
    done = desk.opslab("check", "0.1")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("0.1 · Put your name on the desk: 0 of 1 points\n  ✗ ")
    (desk.root / NAME).write_text("Ada\n")
    done = desk.opslab("check", "0.1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("All of it holds. Well done.\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_check_speaks_in_a_terminal_that_does_not_know_the_signs(desk, encoding):
    done = desk.opslab("check", "0.1", PYTHONIOENCODING=encoding)
    assert done.returncode == 1
    assert "Put your name on the desk: 0 of 1 points" in done.stdout
    assert "Traceback" not in done.stderr


def test_hint_comes_one_at_a_time(desk):
    first, second = desk.opslab("hint", "0.1"), desk.opslab("hint", "0.1")
    assert (first.returncode, second.returncode) == (0, 0)
    assert [done.stdout.split("\n")[0] for done in (first, second)] == ["0.1 · Hint 1 of 2", "0.1 · Hint 2 of 2"]


@pytest.mark.parametrize("what", ["0.1", "00"])
def test_reset_brings_back_the_start_and_says_where_the_copy_is(desk, what):
    (desk.root / NAME).write_text("Ada\n")
    done = desk.opslab("reset", what)
    assert (done.returncode, done.stderr) == (0, "")
    assert not (desk.root / NAME).exists()
    kept = re.search(r"What was there is kept in (\S+)", done.stdout)[1]
    assert (desk.root / kept / "name.txt").read_text() == "Ada\n"


def test_progress_shows_a_line_for_each_task(desk):
    (desk.root / NAME).write_text("Ada\n")
    desk.opslab("check", "0.1")
    done = desk.opslab("progress")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"\b0\.1\b.*█.*\b1/1\b", done.stdout)
    assert re.search(r"\b1\.2\b.*\b0/4\b.*not tried yet", done.stdout)


@pytest.mark.parametrize("command", ["check", "hint", "reset"])
@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("0.9", "no task '0.9' in module 00; its tasks are 0.1."),
        ("9.1", f"there is no task '9.1': there are only the modules {', '.join(sorted(course.TOPICS))}."),
        ("nine", None),
        ("", None),
        ("1.2", "The world of module 01 is not open. Run this first: opslab shell 01"),
    ],
)
def test_a_mistake_is_one_line(shared, command, task, said):
    line = shared.refuses(command, task)
    if said is not None:
        assert line == said


def test_outside_of_the_course_it_works_on_the_course_all_the_same(shared, tmp_path):
    env = {**os.environ, "OPSLAB_COURSE_ROOT": str(shared.root)}
    done = subprocess.run(
        [str(OPSLAB), "check", "0.1"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("0.1 · ")
    assert list(tmp_path.iterdir()) == []


def test_it_works_in_a_folder_that_was_deleted(shared, tmp_path):
    (tmp_path / "gone").mkdir()
    env = {**os.environ, "OPSLAB_COURSE_ROOT": str(shared.root)}
    script = f"rmdir ../gone; {OPSLAB} check 0.1"
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path / "gone", env=env, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("0.1 · ")
    assert "Traceback" not in done.stderr


# ---- tasks, doctor, stop --------------------------------------------------------------------------------------------


def test_tasks_as_json_has_a_row_for_each_task(shared):
    done = shared.opslab("tasks", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    rows = json.loads(done.stdout)
    assert {tuple(row) for row in rows} == {("id", "title", "module", "points")}
    assert {row["module"] for row in rows} == {course.stem_of(number) for number in course.TOPICS}
    assert sum(row["points"] for row in rows if row["module"] == "01_shell_setup") == 20
    assert len({row["id"] for row in rows}) == len(rows)


def test_tasks_for_people_says_the_same(shared):
    lines = shared.opslab("tasks").stdout.splitlines()
    rows = json.loads(shared.opslab("tasks", "--json").stdout)
    for line, row in zip(lines, rows, strict=True):
        assert line.split()[0] == row["id"]
        assert row["title"] in line
        assert line.endswith(f"{row['points']:g} points")


def test_a_closed_pipe_is_no_accident(shared):
    script = f"set -o pipefail; {OPSLAB} tasks | head -1"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


def test_doctor_as_json_is_one_object(shared):
    done = shared.opslab("doctor", "--json")
    assert done.returncode in (0, 1)
    assert done.stderr == ""
    assert {"ready", "findings"} <= json.loads(done.stdout).keys()


def test_stop_ends_the_server_and_the_next_check_starts_it(desk):
    assert desk.opslab("check", "0.1").returncode == 1
    assert desk.opslab("stop", "00").stdout == "Stopped.\n"
    assert desk.opslab("stop", "00").stdout == "None was running.\n"
    assert desk.opslab("check", "0.1").stdout.startswith("0.1 · ")


@pytest.mark.parametrize("command", [["stop", "77"], ["grade", ".", "--module", "77"], ["shell", "77"]])
def test_no_such_module(shared, command):
    assert "77" in shared.refuses(*command)


# ---- shell ----------------------------------------------------------------------------------------------------------


def test_shell_is_the_bash_of_the_world(desk):
    script = "echo $HOME; pwd; echo ${AWS_SECRET_ACCESS_KEY:-no key}; opslab check 1.3 | head -1; exit 5\n"
    env = {**os.environ, "OPSLAB_COURSE_ROOT": str(desk.root), "AWS_SECRET_ACCESS_KEY": "a-fake-key-for-a-test"}
    done = subprocess.run(
        [str(OPSLAB), "shell", "01"], cwd=desk.root, env=env, input=script, capture_output=True, text=True, check=False
    )
    home = str(desk.root / "exercises" / "01_shell_setup" / "workspace")
    lines = done.stdout.splitlines()
    assert re.match(r"Module 01\W.*~ is exercises/01_shell_setup/workspace", lines[0])
    assert [line for line in lines if "$" not in line][1:4] == [home, home, "no key"]
    assert "1.3 · Read the log: 0 of 3 points" in done.stdout
    assert done.returncode == 5


@pytest.mark.slow
def test_aws_why_and_draw_of_the_world_that_is_open(shared):
    said = "The world of module 03 is not open"
    for command in (["aws", "why"], ["aws", "draw"]):
        assert shared.refuses(*command).startswith("No world is open here.")
    assert shared.refuses("check", "3.2").startswith(said)
    script = (
        "aws iam list-users --profile jonas 2>/dev/null; opslab aws why; opslab aws draw; opslab aws draw nobody/at-all; "
        "opslab check 3.2 | head -1; opslab reset 3.2 | head -1\n"
    )
    env = {**os.environ, "OPSLAB_COURSE_ROOT": str(shared.root), "COLUMNS": "200"}
    done = subprocess.run(
        [str(OPSLAB), "shell", "03"],
        cwd=shared.root,
        env=env,
        input=script,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "iam:ListUsers" in done.stdout
    assert done.stderr.count("Error: First on paper: the picture comes as soon as") == 2
    assert "3.2 · Let the analyst in: 0 of 3 points" in done.stdout
    assert "Back at the start: task 3.2." in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    shared.opslab("stop", "03")


# ---- grade ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def handed_in(tmp_path: Path) -> Path:
    return workspace.build("00_start_here", tmp_path / "handed in", seed=11)


def test_grade_prints_a_line_for_each_folder(shared, handed_in, tmp_path):
    (handed_in / "name.txt").write_text("Ada\n")
    solved = workspace.build("00_start_here", tmp_path / "solved", seed=1)
    done = shared.opslab("grade", str(handed_in), str(solved))
    assert (done.returncode, done.stderr) == (0, "Hidden worlds: none.\n")
    assert done.stdout.splitlines() == [
        f"{handed_in}: 1 of 1   0.1: 1/1",
        f"{solved}: 0 of 1   0.1: 0/1",
        "  made from seed 1, which no learner gets: was it filled in from the published solutions?",
    ]


def test_grade_wants_to_know_the_module_where_nothing_says_it(shared, tmp_path):
    done = shared.opslab("grade", str(tmp_path))
    assert done.returncode == 1 and "--module 06, for example" in done.stdout
    done = shared.opslab("grade", "--module", "00", str(tmp_path))
    assert done.returncode == 0 and "does not say for whom it was made" in done.stdout


def test_grade_lets_nobody_read_what_others_have_handed_in(shared):
    # Not below /tmp, which is empty for scripts anyway.
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".submitted-") as folder:
        ada, eve = (Path(folder, name, "01_shell_setup/workspace") for name in ("ada", "eve"))
        for seed, home in enumerate((ada, eve), 77):
            workspace.build("01_shell_setup", home, seed=seed)
        right = (ROOT / "tests/answers/01_shell_setup/1.2/right/plain/bin/late_feeds.sh").read_text()
        first, rest = right.split("\n", 1)
        (eve / "bin/late_feeds.sh").write_text(f"{first}\n[ ! -e {ada}/.opslab.json ] || exit 3\n{rest}")
        (eve / "bin/late_feeds.sh").chmod(0o755)
        assert submission.around([ada, eve]) == [folder]
        done = shared.opslab("grade", str(eve), str(ada))
    assert done.returncode == 0, done.stderr
    assert "1.2: 3" in done.stdout.splitlines()[0], done.stdout


def test_a_workspace_without_its_note_is_not_graded_on_the_desk_of_the_solutions(handed_in, monkeypatch):
    seeds, settle = [], submission.settle
    monkeypatch.setattr(submission, "settle", lambda *given: seeds.append(given[3]) or settle(*given))
    monkeypatch.delenv(workspace.HIDDEN, raising=False)
    (handed_in / workspace.NOTE).unlink()
    done = CliRunner().invoke(cli.main, ["grade", "--module", "00", str(handed_in)])
    assert done.exit_code == 0 and "on another desk" in done.output
    assert [seed >= course.SHARED_SEEDS for seed in seeds] == [True]


@pytest.mark.parametrize(
    "text",
    ["[1.2]\nworlds = []", '["0.1"]\nworlds = []', '["0.1"]\nworlds = 3', '["0.1"]\nworlds = [{ unseen = "abc" }]',
     '["0.1"]\nworld = []', '["0.1"]\nworlds = [{ unseen = 1, twist = [] }]', "x ="],
)  # fmt: skip
def test_grade_reads_no_hidden_worlds_with_a_slip_of_the_pen(shared, handed_in, tmp_path, text):
    path = tmp_path / "hidden.toml"
    path.write_text(text)
    done = shared.opslab("grade", "--hidden", str(path), str(handed_in))
    assert done.returncode == 1 and str(path) in done.stderr and 'a heading ["1.2"], with the quotes' in done.stderr
    assert "Traceback" not in done.stderr


def test_grade_reads_no_hidden_worlds_of_a_task_that_is_not_there(shared, handed_in, tmp_path):
    path = tmp_path / "hidden.toml"
    path.write_text('["1.9"]\nworlds = [{ unseen = 4096 }]')
    done = shared.opslab("grade", "--hidden", str(path), str(handed_in))
    assert done.returncode == 1 and "module 00 has no task 1.9; it has 0.1" in done.stderr


def test_one_that_cannot_be_graded_does_not_stop_the_others(shared, handed_in, tmp_path):
    (tmp_path / "empty").mkdir()
    known = tmp_path / "eva/00_start_here/workspace"
    known.mkdir(parents=True)
    done = shared.opslab("grade", str(tmp_path / "empty"), str(known), str(handed_in))
    first, second, *_, last = done.stdout.splitlines()
    assert "not graded" in first and "--module 06, for example" in first
    assert second == f"{known}: 0 of 1   0.1: 0/1" and last.startswith(f"{handed_in}: ")
    assert done.returncode == 1 and "1 of 3 were not graded" in done.stderr


def test_grade_says_where_two_were_made_from_the_same_seed(shared, tmp_path):
    ada, ben, eve = (
        workspace.build("00_start_here", tmp_path / name, seed=seed)
        for name, seed in (("ada", 77), ("ben", 77), ("eve", 78))
    )
    done = shared.opslab("grade", "--module", "00", *map(str, (ada, ben, eve)))
    assert done.stdout.splitlines() == [
        f"{ada}: 0 of 1   0.1: 0/1",
        f"  made from the same seed as {ben}: was one copied from the other?",
        f"{ben}: 0 of 1   0.1: 0/1",
        f"  made from the same seed as {ada}: was one copied from the other?",
        f"{eve}: 0 of 1   0.1: 0/1",
    ]


@pytest.mark.slow
def test_grade_reads_what_was_changed_in_aws(shared, tmp_path):
    home = workspace.build("03_iam_roles", tmp_path / "ada", seed=77)
    plain = next(
        case for case in answers.cases("03_iam_roles") if case.right and str(case).startswith("3.2/right/plain")
    )
    answers.put(plain, home, {})
    done = shared.opslab("grade", "--module", "03", str(home))
    assert done.returncode == 0 and done.stderr.startswith("Hidden worlds: ") and done.stderr.count("\n") == 1
    assert done.stdout.startswith(f"{home}: 3 of 20   3.1: 0/2  3.2: 3/3  ")


def test_grade_changes_nothing_in_what_was_handed_in(shared, handed_in):
    before = {path: path.stat().st_mtime_ns for path in handed_in.rglob("*")}
    shared.opslab("grade", "--module", "00", str(handed_in))
    assert {path: path.stat().st_mtime_ns for path in handed_in.rglob("*")} == before


def test_grade_refuses_without_a_jail(handed_in, monkeypatch):
    monkeypatch.setattr(jail, "bubblewrap", lambda: None)
    done = CliRunner().invoke(cli.main, ["grade", "--module", "00", str(handed_in)])
    assert done.exit_code == 1
    assert done.output.startswith("Error: found no working bubblewrap")
    assert done.output.count("\n") == 1


def test_what_opslab_calls_is_on_the_path():
    assert shutil.which("opslab", path=workspace.environment("/")["PATH"]) == str(OPSLAB)
