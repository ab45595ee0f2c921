"""What a comment asks of the bot, and what it answers to mistakes.

    >>> parse("atlantis plan -p staging").command
    Command(name='plan', project='staging', dir='', workspace='', extra=(), verbose=False, automerge=True)
    >>> parse("terraform plan").reply
    'Did you mean to use `atlantis` instead of `terraform`?'

The grammar and the wording of the replies are those of https://www.runatlantis.io/docs/using-atlantis.html and of the parser
behind it: one line, flags as in a shell, `--` before what goes to terraform itself.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from dataclasses import dataclass

EXECUTABLE = "atlantis"
COMMANDS = ("plan", "apply", "unlock", "approve_policies")
BLOCKED = ("-chdir", "--chdir", "-plugin-dir", "--plugin-dir")
"""Options of terraform that nobody may give in a comment: they lead out of the project."""

FLAGS = {
    "dir": ("d", "string", "{verb} for this directory, relative to root of repo, ex. 'child/dir'."),
    "project": (
        "p",
        "string",
        (
            "{verb} for this project. Refers to the name of the project configured in a repo config file. "
            "Cannot be used at same time as workspace or dir flags."
        ),
    ),
    "workspace": ("w", "string", "{verb} for this Terraform workspace."),
    "verbose": ("", "", "Append Atlantis log to comment."),
    "auto-merge-disabled": ("", "", "Disable automerge after apply."),
}
TAKES = {
    "plan": ("dir", "project", "verbose", "workspace"),
    "apply": ("auto-merge-disabled", "dir", "project", "verbose", "workspace"),
    "approve_policies": ("dir", "project", "verbose", "workspace"),
    "unlock": (),
}
VERBS = {"plan": "Run plan", "apply": "Apply the plan", "approve_policies": "Approve policies"}

HELP = """\
```cmake
atlantis
Terraform Pull Request Automation

Usage:
  atlantis <command> [options] -- [terraform options]

Examples:
  # show atlantis help
  atlantis help

  # run plan in the root directory passing the -target flag to terraform
  atlantis plan -d . -- -target=resource

  # apply all unapplied plans from this pull request
  atlantis apply

  # apply the plan for the root directory and staging workspace
  atlantis apply -d . -w staging

Commands:
  plan     Runs 'terraform plan' for the changes in this pull request.
           To plan a specific project, use the -d, -w and -p flags.
  apply    Runs 'terraform apply' on all unapplied plans from this pull request.
           To only apply a specific plan, use the -d, -w and -p flags.
  unlock   Removes all atlantis locks and discards all plans for this PR.
  approve_policies
           Approves all current policy checking failures for the PR.
  help     View help.

Flags:
  -h, --help   help for atlantis

Use "atlantis [command] --help" for more information about a command.
```"""

UNLOCK_USAGE = """\
`Usage of unlock:`

```cmake
atlantis unlock

  Unlocks the entire PR and discards all plans in this PR.
  Arguments or flags are not supported at the moment.
```"""


@dataclass(frozen=True)
class Command:
    """A command in a comment. Of project, and dir and workspace, those are empty that were not named."""

    name: str
    project: str = ""
    dir: str = ""
    workspace: str = ""
    extra: tuple[str, ...] = ()
    verbose: bool = False
    automerge: bool = True

    @property
    def everything(self) -> bool:
        """Whether it is meant for all projects of the merge request."""
        return not (self.project or self.dir or self.workspace)


@dataclass(frozen=True)
class Parsed:
    """What was found in a comment: a command, or a reply to it, or neither (it is not for the bot)."""

    command: Command | None = None
    reply: str = ""


class _Mistake(Exception):
    pass


def parse(text: str) -> Parsed:
    """What a comment asks of the bot."""
    text = text.strip().strip("`").strip()
    if re.search(r"\n[^\r\n]+", text) or not text:
        return Parsed()  # several lines are talk, not a command
    first = text.split()[0]
    called = first.lower()
    if called not in (EXECUTABLE, "run", f"@{EXECUTABLE}"):
        if called == "terraform" or distance(called, EXECUTABLE) < 3:
            meant = called if called == "terraform" else first
            return Parsed(reply=f"Did you mean to use `{EXECUTABLE}` instead of `{meant}`?")
        return Parsed()
    try:
        words = shlex.split(text)
    except ValueError as error:
        return Parsed(reply=f"```\nError parsing command: {str(error).lower()}\n```")
    if len(words) == 1 or words[1].lower() in ("help", "-h", "--help"):
        return Parsed(reply=HELP)
    name = words[1].lower()
    if name not in COMMANDS:
        return Parsed(
            reply=f"```\nError: unknown command \"{name}\".\nRun '{EXECUTABLE} --help' for usage.\n"
            f"Available commands(--allow-commands): {', '.join(COMMANDS)}\n```"
        )
    try:
        return _command(name, words[2:])
    except _Mistake as mistake:
        if name == "unlock":
            return Parsed(reply=UNLOCK_USAGE)
        return Parsed(reply=f"```\nError: {mistake}.\nUsage of {name}:\n{usage(name)}```")


def _command(name: str, words: list[str]) -> Parsed:
    given, rest, extra = _flags(name, words)
    if given.pop("help", None):
        return Parsed(reply=UNLOCK_USAGE if name == "unlock" else f"```\nUsage of {name}:\n{usage(name)}\n```")
    if rest:
        raise _Mistake(f"unknown argument(s) – {' '.join(rest)}")
    for word in extra:
        if word.partition("=")[0] in BLOCKED:
            raise _Mistake(f'flag "{word}" is not allowed in extra args')
    folder, workspace, project = (str(given.get(key, "")) for key in ("dir", "workspace", "project"))
    if folder:
        folder = posixpath.normpath(f"./{folder.lstrip('/')}")
        if folder.startswith(".."):
            raise _Mistake(f'using a relative path "{given["dir"]}" with -d/--dir is not allowed')
    if why := workspace_problem(workspace):
        raise _Mistake(f'invalid workspace "{workspace}": {why}')
    if project and (workspace or folder):
        raise _Mistake("cannot use -p/--project at same time as -d/--dir or -w/--workspace")
    verbose, automerge = bool(given.get("verbose")), not given.get("auto-merge-disabled")
    return Parsed(Command(name, project, folder, workspace, tuple(extra), verbose, automerge))


def _flags(name: str, words: list[str]) -> tuple[dict[str, str | bool], list[str], list[str]]:
    """Splits the words after a command into flags, other words, and what follows `--`."""
    given: dict[str, str | bool] = {}
    rest: list[str] = []
    short = {FLAGS[flag][0]: flag for flag in TAKES[name] if FLAGS[flag][0]}
    while words:
        word = words.pop(0)
        if word == "--":
            return given, rest, words
        if word in ("-h", "--help"):
            given["help"] = True
            continue
        if not word.startswith("-") or word == "-":
            rest.append(word)
            continue
        if word.startswith("--"):
            key, equals, value = word[2:].partition("=")
            if key not in TAKES[name]:
                raise _Mistake(f"unknown flag: --{key}")
        else:
            key, value = short.get(word[1], ""), word[2:].removeprefix("=")
            equals = value
            if not key:
                raise _Mistake(f"unknown shorthand flag: '{word[1]}' in {word}")
        if not FLAGS[key][1]:
            given[key] = value.lower() not in ("false", "0") if equals else True
        elif equals:
            given[key] = value
        elif words:
            given[key] = words.pop(0)
        else:
            shown = f"'{FLAGS[key][0]}' in {word}" if not word.startswith("--") else f"--{key}"
            raise _Mistake(f"flag needs an argument: {shown}")
    return given, rest, []


def usage(name: str) -> str:
    """The flags of a command, one a line, as its --help shows them."""
    lines = []
    for flag in TAKES[name]:
        short, kind, text = FLAGS[flag]
        head = f"  {f'-{short}, ' if short else '    '}--{flag} {kind}".rstrip()
        lines.append(f"{head:<28} {text.format(verb=VERBS[name])}\n")
    return "".join(lines)


def workspace_problem(name: str) -> str:
    """Why a workspace cannot be called so; empty where it can."""
    if "/" in name or "\\" in name:
        return "cannot contain '/' or '\\'"
    if ".." in name or name == ".":
        return "cannot contain '..'" if ".." in name else "cannot be '.'"
    for sign in "-~":
        if name.startswith(sign):
            return f"cannot start with '{sign}'"
    if "$" in name:
        return "cannot contain '$'"
    if any(sign.isspace() or not sign.isprintable() for sign in name):
        return "cannot contain whitespace or control characters"
    return ""


def distance(one: str, other: str) -> int:
    """How many letters have to be added, taken away or changed to make one word of the other (Levenshtein)."""
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, 1):
        before, row[0] = row[0], number
        for place, wanted in enumerate(other, 1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (letter != wanted))
    return row[-1]


def targeted(command: str, dir: str, workspace: str, project: str) -> str:
    """The comment that runs a command for one project: `atlantis apply -p staging`."""
    folder = f'"{dir}"' if " " in dir else dir
    if project:
        flags = f"-p {project}"
    elif workspace == "default":
        flags = f"-d {folder}"
    elif dir == ".":
        flags = f"-w {workspace}"
    else:
        flags = f"-d {folder} -w {workspace}"
    return f"{EXECUTABLE} {command} {flags}"
