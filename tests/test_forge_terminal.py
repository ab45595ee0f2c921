"""A merge request in a terminal: comments without the signs of Markdown, and what bots are doing while one waits."""

from __future__ import annotations

import io
import re

import click.testing
import pytest
from test_atlantis_desk import CODE, Desk, make_desk, stand_in

from opslab import lab
from opslab.worlds.forge import cli, reactions, terminal
from opslab.worlds.forge.atlantis import render
from opslab.worlds.forge.atlantis.config import Project
from opslab.worlds.forge.atlantis.render import Result

PLAN = """\
Terraform used the selected providers to generate the following execution
plan. Resource actions are indicated with the following symbols:
  + create
  ~ update in-place

Terraform will perform the following actions:

  # aws_s3_bucket.new will be created
  + resource "aws_s3_bucket" "new" {
      + bucket = "targ-new"
      + id     = (known after apply)
    }

  # aws_s3_bucket.old must be replaced
-/+ resource "aws_s3_bucket" "old" {
      ~ bucket = "a" -> "b" # forces replacement
      + prefix = "p" # forces replacement
        id     = "a"
    }

Plan: 2 to add, 0 to change, 1 to destroy."""

SHOWN = """\
Ran Plan for project: new dir: new workspace: default

▸ Show Output
│   # aws_s3_bucket.new will be created
│   # aws_s3_bucket.old must be replaced
│       ~ bucket = "a" -> "b" # forces replacement
│       + prefix = "p" # forces replacement
│ Plan: 2 to add, 0 to change, 1 to destroy.
│ (16 of 21 lines are left out; opslab mr show 1 --full shows all)

* ▶ To apply this plan, comment: atlantis apply -p new
* 🚮 To delete this plan and lock, comment: atlantis unlock
* 🔁 To plan this project again, comment: atlantis plan -p new
Plan: 2 to add, 0 to change, 1 to destroy.

* ⏩ To apply all unapplied plans from this Merge Request, comment: atlantis apply
* 🚮 To delete all plans and locks from this Merge Request, comment: atlantis unlock"""


def test_a_plan_is_readable():
    comment = render.comment("plan", [Result(Project("new", name="new"), output=PLAN)])
    assert terminal.plain(comment, more="opslab mr show 1 --full") == SHOWN
    whole = terminal.plain(comment, full=True)
    assert all(f"│ {line}".rstrip() in whole for line in PLAN.split("\n")) and "left out" not in whole
    indented = terminal.plain(comment, indent=6, more="opslab mr show 1 --full")
    assert [line[6:] for line in indented.split("\n")] == SHOWN.split("\n")


def test_two_projects_are_numbered_and_an_error_stands_out():
    project = Project("a", name="a")
    long = "\n".join(["Error: no such thing", *(f"line {number}" for number in range(30))])
    shown = terminal.plain(
        render.comment("plan", [Result(project, output="No changes. Fine."), Result(project, error=long)])
    )
    assert "1. project: a dir: a workspace: default\n2. project: a dir:" in shown
    assert "── 2. project: a" in shown and "Plan Error\n▸ Show Output\n│ Error: no such thing\n" in shown
    assert "```" not in shown and "**" not in shown and "<" not in shown and "---" not in shown


def test_what_is_no_plan_is_cut_to_its_beginning_and_a_short_one_is_not():
    fold = "<details><summary>Log</summary>\n\n```\n{}\n```\n</details>\n\nAfter."
    long = terminal.plain(fold.format("\n".join(f"line {number}" for number in range(40))))
    assert "│ line 11\n│ (28 of 40 lines are left out)\n\nAfter." in long and "line 12" not in long
    assert "left out" not in terminal.plain(fold.format("one\ntwo"))
    assert "left out" not in terminal.plain("```\n" + "line\n" * 40 + "```"), "only what is folded on the page"


@pytest.mark.parametrize(
    "text", ["", "```", "```diff\n+ a", "<details>", "</details></details>", "1. a\n1. b", "a\n```\n```\n", "x:\n```\n\n```", "* a:\n  ```\n  b", "**", "`", "# "]
)  # fmt: skip
def test_nothing_that_somebody_writes_breaks_it(text):
    assert isinstance(terminal.plain(text), str)


def test_text_stays_text():
    text = "A sentence with `code`, **weight** and a long tail. " * 5 + "\n\n- one\n- two\n\n    indented"
    shown = terminal.plain(text, indent=2)
    assert "`" not in shown and "*" not in shown and all(len(line) <= 100 for line in shown.split("\n"))
    assert "\n\n  - one\n  - two\n\n      indented" in shown


# ---- the command ------------------------------------------------------------------------------------------------------

SAID = """\
!1 staging: terraform init -input=false -no-color
!1 staging: Initializing the backend...
!1 staging: terraform plan -input=false -no-color -out=../../plan.tfplan
!1 staging: … still running, 5 s
!1 staging: … still running, 15 s
!1 staging: aws_s3_bucket.b: Refreshing state... [id=b]
!1 staging: + resource "aws_s3_bucket" "b" {
!1 staging: Plan: 1 to add, 0 to change, 0 to destroy.
!1 staging: Error: no\x1b[2J"""
STEPS = """\
… !1 staging: terraform init
… !1 staging: terraform plan
… !1 staging: still running, 15 s
… !1 staging: Plan: 1 to add, 0 to change, 0 to destroy.
… !1 staging: Error: no�[2J
"""


def test_where_every_line_stays_a_step_is_one_line(capsys):
    with cli._progress() as tell:
        for line in SAID.split("\n"):
            tell(line)
    out, err = capsys.readouterr()
    assert (out, err) == ("", STEPS)


def test_in_a_terminal_progress_is_one_line_that_goes(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr(cli.shutil, "get_terminal_size", lambda: type("Size", (), {"columns": 30}))
    with cli._progress() as tell:
        for line in SAID.split("\n"):
            tell(line)
    err = capsys.readouterr().err
    shown = [re.sub(r"\x1b\[\d*m", "", part) for part in err.split("\r\x1b[K")]
    assert shown[0] == shown[-1] == "" and len(shown) == 11 and "\n" not in err
    assert all(len(part) <= 30 for part in shown)


@pytest.fixture
def desk(tmp_path) -> Desk:
    desk = make_desk(tmp_path, stand_in(tmp_path / "tools"))
    desk.opened("many", {"staging/main.tf": f"{CODE}#! many\n"})
    return desk


def test_show_has_a_short_and_a_full_form(desk, monkeypatch):
    monkeypatch.setenv(cli.FOLDER, str(desk.forge.folder))
    monkeypatch.setattr(cli, "_of_remote", lambda: None)
    run = click.testing.CliRunner().invoke
    short = run(cli.mr, ["show", "1", "-R", "platform/infrastructure"]).output
    assert re.search(
        r"\(\d+ of \d+ lines are left out; opslab mr show 1 -R platform/infrastructure --full shows all\)", short
    )
    full = run(cli.mr, ["-R", "platform/infrastructure", "show", "1", "--full"]).output
    assert full.count("line 1999 of a long plan") == 1 and "<details>" not in full
    coloured = run(cli.mr, ["show", "1", "--full"], color=True).output
    assert "\x1b[32m      │ + resource" in coloured and "\x1b[1m  #1 atlantis" in coloured
    assert re.sub(r"\x1b\[\d*m", "", coloured) == full


def test_the_bots_own_lines_come_to_who_waits(desk, monkeypatch, capsys):
    """From the process that they live in, over the forge's file."""
    desk.forge.set_bots("atlantis")
    tell, waits = reactions.telling(desk.forge), iter([True, False])
    before = reactions.state.flock

    def flock(path, patience=0):
        if next(waits, False):
            tell("!1 staging: terraform plan -out=x")
        return before(path, patience)

    tell("an old line")
    monkeypatch.setattr(reactions.state, "flock", flock)
    with cli._progress() as progress:
        reactions.wait(desk.repository, tell=progress)
        reactions.wait(desk.repository, tell=progress)
    assert capsys.readouterr().err == "… !1 staging: terraform plan\n"


def test_in_a_notebook_progress_is_no_alarm(capsys):
    plain = io.StringIO()
    aside = lab._Aside(plain)
    aside.write("… !1 staging: terraform plan\n")
    aside.write("ls: no such file\n")
    aside.flush()
    assert (capsys.readouterr().out, plain.getvalue()) == ("… !1 staging: terraform plan\n", "ls: no such file\n")
    assert not aside.isatty()
