"""The command line of the course: the same as in the notebooks, and what starts and examines it."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

import click

from opslab import course, lab
from opslab.card import for_terminal
from opslab.worlds import workspace
from opslab.worlds.forge.cli import mr


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="opslab")
def main() -> None:
    """A course in the ops that data people need. Start with: opslab learn"""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):  # a terminal that knows no ✓ gets a question mark, not a traceback
            stream.reconfigure(errors="replace")


def _plainly(function, *arguments) -> None:
    """Call, and turn what a learner should read into one line and exit code 1."""
    try:
        function(*arguments)
    except lab.NotYet:
        sys.exit(1)  # the card has said it all
    except lab.LabError as error:
        raise click.ClickException(for_terminal(str(error))) from None


@main.command()
@click.argument("lesson", required=False)
@click.option("--port", default=0, help="A fixed port; by default a free one.")
@click.option("--browser/--no-browser", default=True, help="Open the page, or only print its address.")
def learn(lesson: str | None, port: int, browser: bool) -> None:
    """Start JupyterLab with a lesson open and a terminal beside it. LESSON: 01, …; by default where you were."""
    from opslab import launch

    sys.exit(launch.learn(port=port, browser=browser, lesson=lesson))


@main.command()
@click.argument("module", required=False)
@click.option("--lesson", is_flag=True, help="The desk of the lesson instead of the exercise's.")
def shell(module: str | None, lesson: bool) -> None:
    """Open the world's bash in this terminal. MODULE: 01, …; by default the one that was opened last."""
    from opslab import launch

    _plainly(lambda: sys.exit(launch.shell(module, lesson=lesson)))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def doctor(as_json: bool) -> None:
    """Say what is on this machine, what is missing, which module needs it and how to get it."""
    from opslab import doctor

    sys.exit(doctor.main(json=as_json))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def tasks(as_json: bool) -> None:
    """List the tasks: number, title, points."""
    from opslab import checks

    rows = [
        {"id": task.id, "title": task.title, "module": module.stem, "points": task.points}
        for module in map(checks.load, sorted(course.TOPICS))
        for task in module.tasks
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    title, module = (max(len(str(row[name])) for row in rows) for name in ("title", "module"))
    for row in rows:
        click.echo(f"{row['id']:<5}{row['title']:<{title}}  {row['module']:<{module}}{row['points']:>4g} points")


@main.command()
@click.argument("task")
def check(task: str) -> None:
    """Check a task, such as 1.2. Exit code 0 if all of it holds."""
    _plainly(lab.check, task)


@main.command()
@click.argument("task")
def hint(task: str) -> None:
    """Show the next hint of a task, such as 1.2."""
    _plainly(lab.hint, task)


@main.command()
@click.argument("what")
def reset(what: str) -> None:
    """Bring a task (1.2) or a module (01) back to its start. A copy of what was there is kept."""
    _plainly(lab.reset, what)


@main.command()
def progress() -> None:
    """Show what was reached so far."""
    _plainly(lab.progress)


@main.command()
@click.argument("module")
def stop(module: str) -> None:
    """Stop what runs in the background for a module's exercise and lesson. Nothing is lost; the next check starts it again."""

    def quietly() -> None:
        stem = lab._stem(module)
        places = (course.assignment_workspace(stem, lab.START), course.lesson_workspace(stem, lab.START))
        stopped = [lab.stop(home) for home in places]
        click.echo("Stopped." if any(stopped) else "None was running.")

    _plainly(quietly)


@main.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--module", help="By default the one that each workspace says it is of.")
@click.option("--hidden", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The hidden.toml to use.")
def grade(folders: tuple[Path, ...], module: str | None, hidden: Path | None) -> None:
    """For instructors: grade workspaces in the full jail, hidden checks included, without nbgrader."""
    import tempfile

    from opslab import checks, jail
    from opslab.card import number
    from opslab.grading import submission

    try:
        jail.prepare(["true"], home=Path.cwd(), required=True).close()
    except jail.JailError as error:
        raise click.ClickException(str(error)) from None

    # What one has handed in, nothing of another may read.
    os.environ[workspace.HIDDEN] = os.pathsep.join([os.environ.get(workspace.HIDDEN, ""), *submission.around(folders)])
    refused: list[Path] = []

    def settle_and_grade() -> None:
        root, worlds = course.root(), {}  # of each module, which hidden ones were used
        given = lab._stem(module) if module else ""
        for folder in folders:
            try:
                found = checks.load(given or lab._stem(submission.module_of(folder)))
            except (submission.Refused, lab.LabError) as problem:
                refused.append(folder)
                click.echo(f"{folder}: not graded. {problem}")
                continue
            tests = hidden or (root / "solutions" / found.stem / "hidden.toml" if root else None)
            with tempfile.TemporaryDirectory() as scratch:
                # Without its note it gets a desk that is nobody's, and not that of the solutions.
                remarks = submission.settle(
                    folder, found, Path(scratch) / "workspace", course.seed_of_name(str(folder.resolve()))
                )
                reports = [checks.grade(task.id, Path(scratch) / "workspace", hidden=tests) for task in found.tasks]
            worlds[found.number] = checks.in_numbers(tests, found.tasks)
            each = "  ".join(f"{report.task}: {number(report.score)}/{number(report.points)}" for report in reports)
            click.echo(f"{folder}: {number(sum(r.score for r in reports))} of {number(found.points)}   {each}")
            for remark in remarks:
                click.echo(f"  {remark}")
            for doubt in submission.doubts(folder, {other: str(other) for other in folders}):
                click.echo(f"  {doubt}")
        click.echo(f"Hidden worlds: {', '.join(worlds.values()) or 'none'}.", err=True)

    try:
        _plainly(settle_and_grade)
    except (submission.Refused, checks.HiddenWorldsError) as error:
        raise click.ClickException(str(error)) from None
    if refused:
        raise click.ClickException(f"{len(refused)} of {len(folders)} were not graded.")


@main.group()
def aws() -> None:
    """The AWS organisation of the course, by itself."""


@aws.command("serve")
@click.option("--port", type=int, required=True, help="Where AWS clients find every service.")
@click.option("--control-port", type=int, required=True, help="POST /reset here restores the start.")
@click.option(
    "--account", "accounts", multiple=True, required=True, help="An account id of 12 digits. May be repeated."
)
@click.option("--credentials-file", required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same keys and ids.")
@click.option("--check-principals", is_flag=True, help="Refuse policies that name users and roles which do not exist.")
def aws_serve(
    port: int, control_port: int, accounts: tuple[str, ...], credentials_file: Path, seed: int, check_principals: bool
) -> None:
    """Run an AWS organisation on 127.0.0.1, in the foreground, with IAM enforced.

    The credentials file gets one profile for each account, named by its id, with the keys of an administrator.
    """
    from opslab.worlds.aws import server
    from opslab.worlds.aws.organisation import Organisation

    try:
        organisation = Organisation(dict(zip(accounts, accounts, strict=True)), seed, port, check_principals)
        server.serve(organisation, control_port, credentials_file)
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from None


@aws.command("why")
@click.option(
    "--control-port", type=int, help="Of an organisation that “opslab aws serve” runs; by default this world's."
)
def aws_why(control_port: int | None) -> None:
    """Explain the last denial: which layer decided, which statement, what was missing."""
    if control_port is None:
        _plainly(lab.why)
        return
    from opslab.worlds.aws import server

    try:
        click.echo(server.why(control_port))
    except OSError:
        raise click.ClickException(f"No organisation answers on control port {control_port}: start it first.") from None


@aws.command("draw")
@click.argument("path", nargs=-1)
def aws_draw(path: tuple[str, ...]) -> None:
    """Say who can become whom in this world, from its live policies; the picture is in the notebook: opslab.draw()."""
    _plainly(lambda: click.echo(str(lab.draw(*path))))


main.add_command(mr)


if __name__ == "__main__":
    main()
