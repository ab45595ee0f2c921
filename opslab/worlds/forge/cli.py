"""`opslab mr …`: merge requests from the terminal.

    $ opslab mr list
    $ opslab mr show 3
    $ opslab mr comment 3 "The owner tag is in." --reply-to 1

In a clone, its remote says which repository is meant. You act as the user whose e-mail address git is configured with.

    python -m opslab.worlds.forge.cli list
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import click

from opslab.worlds.forge import receive, terminal
from opslab.worlds.forge.forge import NOTE, Forge
from opslab.worlds.forge.git import GitError
from opslab.worlds.forge.merge_requests import METHODS, MergeRequest
from opslab.worlds.forge.repository import Repository
from opslab.worlds.forge.state import CLOSED, MERGED, OPENED, ForgeError

FOLDER = "OPSLAB_FORGE"
"""The variable that names the folder of a forge, where neither a remote nor ~/forge leads to it."""

PATIENCE = 30.0
"""Seconds to wait for colleagues and pipelines who are at work already."""

STEP = re.compile(
    r"(?:terraform|tofu) \w+|Plan: .*|No changes\.|Apply complete!.*|Error: .*|… still running, \d*[05] s"
)
ALIVE_EVERY = 15
"""What bots do, where every line stays: the steps, what came of them, and that a long one still runs, every so many seconds."""


def find_repository(name: str = "") -> Repository:
    """The repository that is meant here: by its name, by the remote of the clone one is in, or the only one there is."""
    here = _of_remote() if not name else None
    if here:
        return here
    for folder in (os.environ.get(FOLDER), Path(os.environ.get("OPSLAB_WORLD") or Path.home()) / "forge"):
        if folder and (Path(folder) / NOTE).is_file():
            return Forge(folder).repository(name)
    found = _of_remote()
    if found:
        return found.forge.repository(name)
    raise ForgeError(
        "found no forge from here. Go into a clone of one of its repositories (cd …; git remote -v says where it is from), "
        f"or set {FOLDER} to the forge's folder."
    )


def _of_remote() -> Repository | None:
    """The repository that this clone's remote is, if it is on a forge. Asks the learner's own git, which knows short names."""
    asked = subprocess.run(["git", "ls-remote", "--get-url"], capture_output=True, text=True, check=False)
    url = asked.stdout.strip()
    if asked.returncode or not url or url == "origin":
        return None
    path = Path(unquote(urlsplit(url).path) if url.startswith("file://") else url).absolute()
    for folder in (path, path.with_name(f"{path.name}.git")):
        if (folder / "forge" / "project.json").is_file():
            for above in folder.parents:
                if (above / NOTE).is_file():
                    return Repository(Forge(above), folder)
    return None


def plainly(command: Callable) -> Callable:
    """What a learner should read becomes one line and exit code 1, never a traceback."""

    @functools.wraps(command)
    def wrapped(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except (ForgeError, GitError, ValueError) as error:
            raise click.ClickException(str(error)) from None
        except BrokenPipeError:
            # `opslab mr diff 1 | head` has read enough.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    return wrapped


WHERE = {"default": "", "help": "group/name, if you are not in a clone of it."}


@click.group("mr")
@click.option("-R", "--repository", "name", **WHERE)
@click.pass_context
def mr(context: click.Context, name: str) -> None:
    """Merge requests of the forge: list, show, diff, comment, approve, merge …"""
    context.obj = name


def _command(name: str) -> Callable:
    """Registers a command that gets the repository as its first argument. -R may stand before its name or after it."""

    def register(function: Callable) -> click.Command:
        @functools.wraps(function)
        @plainly
        def command(in_repository: str, **options: Any) -> None:
            function(find_repository(in_repository or click.get_current_context().obj or ""), **options)

        where = click.option("-R", "--repository", "in_repository", **WHERE)
        return mr.command(name, help=function.__doc__)(where(command))

    return register


def _me(repository: Repository) -> str:
    with contextlib.suppress(OSError):
        return receive.pusher(repository.store.forge())
    return ""


NUMBER = click.argument("number", type=click.IntRange(min=1))


@_command("list")
@click.option("--all", "everything", is_flag=True, help="Those that are merged or closed, too.")
def list_(repository: Repository, everything: bool) -> None:
    """List the merge requests."""
    found = repository.merge_requests("" if everything else OPENED)
    for one in found:
        click.echo(repr(one))
    if not found:
        click.echo(f"{repository.path} has no {'' if everything else 'open '}merge requests.")


def _let_colleagues_look(repository: Repository) -> None:
    """What has just been pushed has been looked at, before anybody goes on. Pipelines take longer and are not waited for."""
    with _progress() as tell:
        repository.react(patience=PATIENCE, run_pipelines=False, tell=tell)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Shows what bots are doing, beside the output proper: in a terminal on one line, which is gone at the end; elsewhere, where
    every line stays, only a line for each step."""
    live = sys.stderr.isatty()
    seen: set[str] = set()

    def tell(line: str) -> None:
        text = receive.clean(line)
        if live:
            room = shutil.get_terminal_size().columns - 3
            click.secho(f"\r\033[K… {text[:room]}", err=True, dim=True, nl=False)
        elif (short := _step(text)) and short not in seen:
            seen.add(short)
            click.echo(f"… {short}", err=True)

    try:
        yield tell
    finally:
        if live:
            click.echo("\r\033[K", err=True, nl=False)


def _step(line: str) -> str:
    """What a line of a bot's says about the steps of its work; empty where that is nothing new."""
    where, _, said = line.partition(": ")
    found = STEP.match(said)
    if not found:
        return ""
    seconds = re.search(r"running, (\d+) s", found[0])
    return "" if seconds and int(seconds[1]) % ALIVE_EVERY else f"{where}: {found[0].removeprefix('… ')}"


@_command("show")
@NUMBER
@click.option("--full", is_flag=True, help="All of what is folded on the page, too.")
def show(repository: Repository, number: int, full: bool) -> None:
    """Show a merge request: what is said, the checks, and what stands in its way."""
    _let_colleagues_look(repository)
    for line in overview(repository.merge_request(number), full=full).split("\n"):
        click.secho(line, **_look(line))


def _look(line: str) -> dict[str, Any]:
    """How a line of an overview looks in a terminal that has colours."""
    text = line.strip()
    if text.startswith(terminal.BAR.strip()):
        sign = text.removeprefix(terminal.BAR.strip()).strip()[:2].strip()
        return {"fg": {"+": "green", "-": "red", "~": "yellow", "-/": "red", "+/": "red"}.get(sign)}
    return {"bold": text.startswith(terminal.HEADING.strip()) or bool(re.match(r"#\d+ ", text))}


@_command("diff")
@NUMBER
@click.option("--stat", is_flag=True, help="Only which files change, and how much.")
def diff(repository: Repository, number: int, stat: bool) -> None:
    """Show what it changes."""
    one = repository.merge_request(number)
    if stat:
        click.echo("\n".join(receive.clean(change.text) for change in one.changes()) or "Nothing.")
        return
    for line in receive.clean(one.diff()).splitlines():
        colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
        click.secho(line, fg=colour)


@_command("create")
@click.argument("source")
@click.option("--target", default="", help="The branch to merge into; by default the project's main branch.")
@click.option("--title")
@click.option("--description")
@click.option("--draft", is_flag=True, default=None)
def create(repository: Repository, source: str, **options: Any) -> None:
    """Open a merge request for the branch SOURCE, which has been pushed already."""
    wanted = {key: value for key, value in options.items() if value is not None}
    click.echo(repr(repository.create_merge_request(source, by=_me(repository), **wanted)))


@_command("comment")
@NUMBER
@click.argument("text")
@click.option("--reply-to", default=0, help="The number of a comment (#…) to answer.")
def comment(repository: Repository, number: int, text: str, reply_to: int) -> None:
    """Say something, or answer."""
    said = repository.merge_request(number).comment(text, _me(repository), reply_to=reply_to)
    click.echo(f"Answered #{said}." if reply_to else f"Said as #{said}.")
    if repository.forge.settings["bots"] and re.match(r"(?i)\s*(atlantis|run)\s", text):
        click.echo(f"The bot answers in the merge request: opslab mr show {number} waits for it.")


@_command("resolve")
@NUMBER
@click.argument("thread", type=int)
def resolve(repository: Repository, number: int, thread: int) -> None:
    """Resolve a thread."""
    repository.merge_request(number).resolve(thread, _me(repository))
    click.echo(f"Resolved #{thread}.")


@_command("edit")
@NUMBER
@click.option("--title")
@click.option("--description")
@click.option("--draft/--ready", default=None, help="Whether it is still being worked on.")
@click.option("--squash/--no-squash", default=None, help="Whether it becomes one commit when it is merged.")
@click.option("--auto-merge/--no-auto-merge", default=None, help="Merge it as soon as nothing stands in its way.")
def edit(repository: Repository, number: int, **options: Any) -> None:
    """Change the title, the description, or whether it is a draft."""
    wanted = {key: value for key, value in options.items() if value is not None}
    if not wanted:
        raise ForgeError("Say what to change: --title, --description, --draft, --ready, …")
    repository.merge_request(number).edit(_me(repository), **wanted)
    click.echo(repr(repository.merge_request(number)))


@_command("approve")
@NUMBER
def approve(repository: Repository, number: int) -> None:
    """Approve somebody else's merge request."""
    repository.merge_request(number).approve(_me(repository))
    click.echo(f"Approved !{number}.")


@_command("unapprove")
@NUMBER
def unapprove(repository: Repository, number: int) -> None:
    """Take your approval back."""
    repository.merge_request(number).unapprove(_me(repository))
    click.echo(f"Took back the approval of !{number}.")


@_command("merge")
@NUMBER
@click.option("--method", type=click.Choice(METHODS), default=None, help="By default the project's.")
def merge(repository: Repository, number: int, method: str | None) -> None:
    """Merge it, if nothing stands in its way."""
    _let_colleagues_look(repository)
    one = repository.merge_request(number)
    sha = one.merge(_me(repository), method or "")
    click.echo(f"Merged !{number} into {one.record['target']} as {sha[: receive.SHORT]}.")


@_command("revert")
@NUMBER
def revert(repository: Repository, number: int) -> None:
    """Open a merge request that takes a merged one back."""
    click.echo(repr(repository.merge_request(number).revert(_me(repository))))


@_command("close")
@NUMBER
def close(repository: Repository, number: int) -> None:
    """Close it without merging."""
    repository.merge_request(number).close(_me(repository))
    click.echo(f"Closed !{number}.")


@_command("reopen")
@NUMBER
def reopen(repository: Repository, number: int) -> None:
    """Open a closed one again."""
    repository.merge_request(number).reopen(_me(repository))
    click.echo(f"Reopened !{number}.")


@_command("pipelines")
@click.argument("pipeline", type=int, required=False)
def pipelines(repository: Repository, pipeline: int | None) -> None:
    """List the pipelines, or show the logs of one."""
    if pipeline is None:
        for record in repository.pipelines()[-20:]:
            jobs = ", ".join(f"{job['name']} {job['state']}" for job in record["jobs"]) or "; ".join(record["errors"])
            where = f"!{record['merge_request']}" if record["merge_request"] else record["branch"]
            click.echo(receive.clean(f"{record['id']:>4}  {record['state']:<9} {where:<24} {jobs}"))
        return
    record = repository.pipeline(pipeline)
    for error in record["errors"]:
        click.echo(receive.clean(f".gitlab-ci.yml, {error}"))
    for job in record["jobs"]:
        click.secho(receive.clean(f"== {job['name']}: {job['state']}"), bold=True)
        if job["log"] and (path := repository.store.folder / "pipelines" / job["log"]).is_file():
            click.echo(path.read_text(encoding="utf-8", errors="replace"))


@_command("work")
def work(repository: Repository) -> None:
    """Let pipelines and colleagues do what is waiting for them (by themselves they do it while a world is open)."""
    with _progress() as tell:
        repository.react(patience=PATIENCE, tell=tell)
    click.echo("Everybody has looked at what is new.")


@_command("serve")
@click.option("--port", default=0, help="By default a free one.")
def serve(repository: Repository, port: int) -> None:
    """Show the forge's pages in a browser, until Ctrl-C."""
    import threading

    from opslab.worlds.forge.serve import Server

    try:
        with Server(repository.forge, port) as server, contextlib.suppress(KeyboardInterrupt):
            click.echo(f"{server.url}/{repository.path}/-/merge_requests   (Ctrl-C ends it)")
            threading.Event().wait()
    except OSError as error:
        raise ForgeError(f"Port {port} cannot be used: {error.strerror}. Leave --port out for a free one.") from None


# ---- as text ---------------------------------------------------------------------------------------------------------


def overview(one: MergeRequest, *, full: bool = False) -> str:
    """A merge request as text for a terminal. full: what is folded on the page is not cut, however long it is."""
    record = one.record
    how = {"full": full, "more": f"opslab mr show {one.number} -R {one.repository.path} --full"}
    lines = [repr(one), f"{record['author']} · {one.url}"]
    if record["description"]:
        lines += ["", terminal.plain(record["description"], **how)]
    if record["discussion"]:
        lines.append("")
    for item in record["discussion"]:
        if item["kind"] == "event":
            lines.append(f"  · {item['by']} {item['text']}")
            continue
        state = ""
        if item["kind"] == "thread":
            state = f" (resolved by {item['resolved']['by']})" if item["resolved"] else " (to be resolved)"
        where = f" on {item['path']}{', line ' + str(item['line']) if item['line'] else ''}" if item["path"] else ""
        lines.append(f"  #{item['id']} {item['by']}{where}{state}")
        lines.append(terminal.plain(item["text"], indent=6, **how))
        for reply in item["replies"]:
            lines += [f"      {reply['by']}:", terminal.plain(reply["text"], indent=8, **how)]
    lines.append("")
    for status in one.statuses(record):
        more = f": {status['description']}" if status["description"] else ""
        lines.append(f"Check {status['name']}: {status['state']}{more}")
    lines.append(f"Approved by: {', '.join(each['by'] for each in record['approvals']) or 'nobody yet'}")
    if record["state"] == OPENED:
        blockers = one.blockers(record)
        lines += (
            ["It cannot be merged yet:", *(f"- {blocker}" for blocker in blockers)] if blockers else ["Ready to merge."]
        )
    elif record["state"] == MERGED:
        lines.append(f"Merged by {record['merged']['by']} as {record['merged']['sha'][: receive.SHORT]}.")
    elif record["state"] == CLOSED:
        lines.append("Closed without being merged.")
    return receive.clean("\n".join(lines))


if __name__ == "__main__":
    mr(prog_name="opslab mr")
