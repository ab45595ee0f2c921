"""Graders are graded: answers that people might hand in, kept as files and replayed against the real checks.

    tests/answers/<stem>/<task>/right/<case>/…     must get every point
    tests/answers/<stem>/<task>/wrong/<case>/…     must miss exactly what its case.toml says

The files of a case lie as in the workspace; one that begins with #! becomes executable. Besides them a `case.toml`, in which
all is optional, except `missed` for a wrong case:

    note = "Sorts after counting: uniq only sees neighbours."   # what whoever writes this has in mind
    missed = { counts = "uniq-before-sort" }   # id of the expectation = name of the Miss
    score = 0.5                                # checked where it is given
    base = "right/plain"                       # begin with the files of that case, with its modes and so on
    edit = [{ file = "bin/x.sh", old = "sort | ", new = "" }]   # `old` must stand in the file
    delete = ["passwords.txt"]                 # files or folders of the desk that are gone
    modes = { "bin/x.sh" = "644" }
    crlf = ["bin/x.sh"]                        # these get Windows line ends (git would not keep them)
    ask = ["counts"]                           # ask these only, where the whole task takes long; what is missed is always asked
    calls = [{ as = "staging-admin", call = "iam.put_role_policy", RoleName = "loader", PolicyDocument = "@policy.json" }]
                                               # done in the world's AWS, before the files are put there, as a profile of ~/.aws
                                               # (of the desk); "@policy.json" is what stands in that file of this case;
                                               # fails = "MalformedPolicyDocument": AWS does not do it, and says so;
                                               # calls = "word": what the test of the module gives for that word
    script = "do.sh"                           # a file of the case, run with bash on the desk as its learner, after its files
                                               # are there. Where the task has something in AWS, that is running, and records
    script_fails = true                        # the script ends with another exit code than 0, as it would for the learner
    seed = 4                                   # the world it plays in, where not every world has what it takes

A wrong answer is often a right one with a slip. So with `base`, the calls and the script of the base are done with this case's own
file where there is one of that name, and an `edit` of "@policy.json" or "@do.sh" changes what the base has there. A base's script
is run before that of the case, which has another name then.

Nothing waits in a script: no lab server is running, and `opslab mr work` (or show, or merge) lets colleagues look at once.

`{{word}}` in a file is replaced by what the test of the module gives for the seed (`{{password}}`), because no secret and
no solution stands in this repository. To see what a case brings while you write it:

    .venv/bin/python tests/replay.py 1.2 uniq-before-sort

And as a key, on the desk of somebody whose seed you know (it stands in their workspace, in .opslab.json), left in a folder to look at:

    .venv/bin/python tests/replay.py 3.5 --seed 48213 --keep key
"""

from __future__ import annotations

import argparse
import ast
import atexit
import configparser
import contextlib
import functools
import importlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opslab import checks
from opslab.course import number_of, stem_of
from opslab.worlds import terraform, workspace
from opslab.worlds.aws import cloud
from opslab.worlds.forge import reactions
from opslab.worlds.forge.forge import Forge
from opslab.worlds.images import desk

ANSWERS = Path(__file__).parent / "answers"
KEYS = {
    "note",
    "missed",
    "score",
    "base",
    "edit",
    "delete",
    "modes",
    "crlf",
    "ask",
    "calls",
    "script",
    "script_fails",
    "seed",
}


@dataclass(frozen=True)
class Case:
    """One answer to one task."""

    folder: Path

    @property
    def task(self) -> str:
        return self.folder.parts[-3]

    @property
    def right(self) -> bool:
        return self.folder.parts[-2] == "right"

    def __str__(self) -> str:
        return "/".join(self.folder.parts[-3:])

    @functools.cached_property
    def settings(self) -> dict[str, Any]:
        """What stands in its case.toml. Raises ValueError for a key that nobody reads."""
        path = self.folder / "case.toml"
        found = tomllib.loads(path.read_text()) if path.exists() else {}
        if unknown := set(found) - KEYS:
            raise ValueError(f"{path}: found {', '.join(sorted(unknown))}; the keys are {', '.join(sorted(KEYS))}")
        if self.right == bool(found.get("missed")):
            raise ValueError(f"{path}: a wrong answer says what it misses, a right one misses nothing")
        return found

    @property
    def missed(self) -> dict[str, str]:
        return self.settings.get("missed", {})

    @property
    def seed(self) -> int:
        """The seed of the world that it plays in."""
        return self.settings.get("seed", 1)

    @property
    def base(self) -> Case | None:
        """The case that it begins with."""
        return Case(self.folder.parents[1] / self.settings["base"]) if "base" in self.settings else None

    @property
    def aside(self) -> set[str]:
        """The names of its files that are for calls and scripts, and not for the workspace."""
        calls = self.settings.get("calls", [])
        own = {self.settings["script"]} if "script" in self.settings else set()
        own |= {
            str(value)[1:]
            for call in calls
            if isinstance(call, dict)
            for value in call.values()
            if str(value)[:1] == "@"
        }
        return own | (self.base.aside if self.base else set())

    @property
    def asked(self) -> list[str] | None:
        """The expectations to ask; None: all."""
        return [*self.settings["ask"], *self.missed] if "ask" in self.settings else None


def cases(stem: str) -> list[Case]:
    """Every case of a module, in order."""
    folders = sorted(path for path in (ANSWERS / stem).glob("*/*/*") if path.is_dir())
    return [Case(folder) for folder in folders]


def named(stem: str, path: str) -> Case:
    """The case of this path: `1.2/right/plain`."""
    return next(case for case in cases(stem) if str(case) == path)


def put(case: Case, home: Path, words: Mapping[str, Any], slips: tuple[Case, ...] = ()) -> None:
    """Make the workspace `home` what it is when this answer is handed in. slips: the cases that it is the base of."""
    settings = case.settings
    if case.base and not _kept_base(case, home, words, slips):
        put(case.base, home, words, (*slips, case))
    if "calls" in settings:
        _call(case, home, words, slips)
    for name in settings.get("delete", []):
        path = home / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for source in sorted(path for path in case.folder.rglob("*") if path.is_file()):
        name = str(source.relative_to(case.folder))
        if name == "case.toml" or name in case.aside:
            continue
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, _filled(source.read_text(), words))
    for edit in settings.get("edit", []):
        if edit["file"][0] == "@":
            if edit["file"][1:] not in case.aside:
                raise ValueError(f"{case}: its base has nothing that uses {edit['file']}")
            continue
        path = home / edit["file"]
        _write(path, _edited(case, edit, path.read_text(), words))
    for name in settings.get("crlf", []):
        path = home / name
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    for name, mode in settings.get("modes", {}).items():
        (home / name).chmod(int(mode, 8))
    if "script" in settings:
        _run(case, home, words, slips)


@functools.cache
def _bases() -> Path:
    """Where desks with the answers of bases are kept, for as long as this process lives."""
    folder = tempfile.mkdtemp(prefix="opslab-bases-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _kept_base(case: Case, home: Path, words: Mapping[str, Any], slips: tuple[Case, ...]) -> bool:
    """Where terraform runs in a base, its desk is made once and copied. Returns whether that was done.

    Only where nothing of the base is changed by those who build on it.
    """
    stem, base = workspace.note(home)["module"], case.base
    later = (*slips, case)
    changed = any((slip.folder / name).is_file() for slip in later for name in base.aside)
    changed = changed or any(edit["file"][0] == "@" for slip in later for edit in slip.settings.get("edit", []))
    if not checks.load(stem).bots or changed:
        return False
    kept = _bases() / f"{case.base}-{workspace.seed_of(home)}".replace("/", "-")
    if not kept.exists():
        # It is made here and under this name: git and terraform have written the path into some files.
        put(base, home, words)
        shutil.copytree(home, kept, symlinks=True)
        return True
    shutil.rmtree(home)
    shutil.copytree(kept, home, symlinks=True)
    return True


def _edited(case: Case, edit: Mapping[str, str], text: str, words: Mapping[str, Any]) -> str:
    old = _filled(edit["old"], words)
    if old not in text:
        raise ValueError(f"{case}: {edit['file']} does not hold {old!r}")
    return text.replace(old, _filled(edit["new"], words))


def _call(case: Case, home: Path, words: Mapping[str, Any], slips: tuple[Case, ...]) -> None:
    """Make the changes of this case in the AWS of the workspace, so that they stand in its journal."""
    keys = configparser.RawConfigParser()
    keys.read(home / ".aws" / "credentials")
    stem = workspace.note(home)["module"]
    where = {"seed": workspace.seed_of(home), "journal": home / cloud.JOURNAL, "record": True}
    with cloud.shared().open(workspace.cloud_of(stem), **where) as aws:
        wanted = case.settings["calls"]
        for call in words[wanted] if isinstance(wanted, str) else wanted:
            given = {name: _value(case, value, words, slips) for name, value in call.items()}
            profile, what, fails = given.pop("as"), given.pop("call"), given.pop("fails", "")
            actor = cloud.Actor(
                aws.endpoint, keys[profile]["aws_access_key_id"], keys[profile]["aws_secret_access_key"]
            )
            answer = actor.call(*what.split("."), **given)
            if answer.code != fails:
                raise ValueError(f"{case}: {profile}: {what}: {answer.code or 'it was done'}: {answer.message}")


def _value(case: Case, value: Any, words: Mapping[str, Any], slips: tuple[Case, ...]) -> Any:
    """An argument of a call, as it is meant."""
    if not isinstance(value, str):
        return value
    return _own(case, value[1:], words, slips) if value.startswith("@") else _filled(value, words)


def _own(case: Case, name: str, words: Mapping[str, Any], slips: tuple[Case, ...]) -> str:
    """A file of a case, from where the last slip was made that has one, and edited by all the slips since."""
    at = next((number for number, slip in enumerate(slips) if (slip.folder / name).is_file()), len(slips))
    text = _filled(((*slips, case)[at].folder / name).read_text(), words)
    for slip in reversed(slips[: at + 1]):
        for edit in slip.settings.get("edit", []):
            if edit["file"] == f"@{name}":
                text = _edited(slip, edit, text, words)
    return text


def _run(case: Case, home: Path, words: Mapping[str, Any], slips: tuple[Case, ...]) -> None:
    """Run the script of this case on the desk, as the learner would in a terminal."""
    stem = workspace.note(home)["module"]
    text = _own(case, case.settings["script"], words, slips)
    module = checks.load(stem)
    with contextlib.ExitStack() as running:
        env, aws = {}, None
        if module.find(case.task).cloud:
            where = {"seed": workspace.seed_of(home), "journal": home / cloud.JOURNAL, "record": True}
            where["registries"] = home / desk.ECR if module.images else None
            aws = running.enter_context(cloud.shared().open(workspace.cloud_of(stem), **where))
            env["AWS_ENDPOINT_URL"] = aws.endpoint
            if module.bots:
                running.enter_context(_bots(home, stem, aws))
        if module.images:
            images = running.enter_context(_images(case, home, stem, aws))
            if module.forge and (home / workspace.FORGE).is_dir():
                running.enter_context(reactions.Worker(Forge(home / workspace.FORGE), every=0.05, **images.for_jobs))
        done = subprocess.run(
            ["bash", "-ec", text], cwd=home, env=workspace.environment(home, env), text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=250, check=False,
        )  # fmt: skip
    if bool(done.returncode) != case.settings.get("script_fails", False):
        raise ValueError(f"{case}: its script ended with {done.returncode}:\n{done.stdout}")


def _bots(home: Path, stem: str, aws: cloud.Cloud) -> reactions.Worker:
    """The bots of a desk at work, and terraform on it, as the lab server has them."""
    with contextlib.suppress(terraform.TerraformMissing):
        terraform.on_desk(home, terraform.find())
    forge = Forge(home / workspace.FORGE)
    return reactions.Worker(forge, every=0.05, bots=workspace.bots_of(stem, home, aws, reactions.telling(forge)))


def _images(case: Case, home: Path, stem: str, aws: cloud.Cloud | None) -> desk.Desk:
    """What a desk has running for images, as the lab server has it; of what is there at the start, what this task needs."""
    scenario = workspace.images_of(stem)
    found = scenario.open(home, seed=workspace.seed_of(home), cloud=lambda: aws, ports=workspace.image_ports(home))
    workspace.add_to_note(home, image_ports=found.ports, base_digests=found.base_digests)
    scenario.put(found, workspace.twists_of(home), task=case.task)
    return found


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    if text.startswith("#!"):
        path.chmod(0o755)


def _filled(text: str, words: Mapping[str, Any]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda found: str(words[found[1]]), text)


def ask(case: Case, home: Path, **options: Any) -> checks.Report:
    """Check the answer that lies in `home`. options: as for `opslab.checks.run`."""
    return checks.run(case.task, home, only=case.asked, **options)


def differences(case: Case, report: checks.Report) -> list[str]:
    """What the check says of this case and should not, line by line; empty: all is as the case says."""
    lines = []
    task = checks.module_of(case.task).find(case.task)
    needs = {expectation.id: set(expectation.needs) for expectation in task.expectations}
    for unknown in case.missed.keys() - needs.keys():
        lines.append(f"there is no expectation {unknown!r}; there are {', '.join(needs)}")
    waiting: set[str] = set()
    for result in report.results:
        wanted = ("missed", case.missed[result.id]) if result.id in case.missed else ("met", "")
        if result.id not in case.missed and needs[result.id] & (waiting | case.missed.keys()):
            wanted = ("waiting", "")
            waiting.add(result.id)
        if (result.state, result.name) != wanted:
            lines.append(f"{result.id}: {_shown(result.state, result.name)}, not {_shown(*wanted)}: {result.say}")
            lines += [f"    {label}: {text}" for label, text in (("tried", result.tried), ("got", result.got)) if text]
    if lines:
        return lines
    if case.right and case.asked is None and report.score != task.points:
        lines.append(f"{report.score} of {task.points} points for a right answer")
    if "score" in case.settings and report.score != case.settings["score"]:
        lines.append(f"{report.score} points, not {case.settings['score']}")
    return lines


def _shown(state: str, name: str) -> str:
    return f"{state} ({name})" if name else state


def names_of_misses(stem: str) -> set[str]:
    """Every name that a Miss can have in the check module of `stem`: what stands behind `name=` there, conditions included."""
    path = Path(importlib.import_module(f"opslab.checks.{stem[3:]}").__file__)
    files = sorted(path.parent.glob("*.py")) if path.name == "__init__.py" else [path]
    found: set[str] = set()
    for node in (node for file in files for node in ast.walk(ast.parse(file.read_text()))):
        values: list[ast.expr] = []
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Miss":
            values = [keyword.value for keyword in node.keywords if keyword.arg == "name"]
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                pairs = zip(target.elts, node.value.elts, strict=True) if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple) else [(target, node.value)]  # fmt: skip
                values += [value for name, value in pairs if getattr(name, "id", "") in ("name", "misconception")]
        for value in values:
            branches = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
            found |= {part.value for part in branches if isinstance(part, ast.Constant) and isinstance(part.value, str)}
    return found


def main(
    task: str, names: list[str], words: Callable[[int], Mapping[str, Any]], seed: int | None = None, keep: str = ""
) -> int:
    """Show what the check says of the cases of a task, and return of how many it says something else than it should.

    seed: of the desk to play them on, instead of that of the case. keep: a folder to leave the desks in, /RIGHT-OR-WRONG/CASE.
    """
    stem, wrong = stem_of(number_of(task)), 0
    for case in cases(stem):
        if case.task != task or (names and case.folder.name not in names):
            continue
        number = case.seed if seed is None else seed
        with contextlib.ExitStack() as stack:
            folder = Path(keep, *case.folder.parts[-2:]) if keep else stack.enter_context(tempfile.TemporaryDirectory())
            home = workspace.build(stem, Path(folder).absolute() / "workspace", number)
            put(case, home, words(number))
            report = ask(case, home)
        said = differences(case, report)
        wrong += bool(said)
        print(f"\n{'✗' if said else '✓'} {case}: {report.score:g} points, {report.seconds:.1f} s")
        for result in report.results:
            if result.state in ("missed", "fault"):
                print(f"    {result.id} ({result.name or result.state}): {result.say}")
                print(*(f"        {label}: {text}" for label, text in (("tried", result.tried), ("got", result.got), ("wanted", result.wanted))), sep="\n")  # fmt: skip
        print(*(f"    differs: {line}" for line in said), sep="\n", end="")
        if keep:
            print(f"    its desk: {home}")
    return wrong


def _asked_for() -> argparse.Namespace:
    """What stands on the command line. Ends with a sentence where there is no such task or case."""
    about = "Play answers that are kept here, and show what the check says."
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("task", help="1.2, for example")
    parser.add_argument(
        "case", nargs="*", help="names of cases; none: all of the task, or with --seed one right answer"
    )
    parser.add_argument("--seed", type=int, help="play them on the desk of this seed")
    parser.add_argument("--keep", metavar="FOLDER", default="", help="leave the desks there, with the answers on them")
    given = parser.parse_args()
    try:
        there = [case for case in cases(stem_of(number_of(given.task))) if case.task == given.task]
    except (ValueError, LookupError) as error:
        parser.error(str(error))
    known = [case.folder.name for case in there]
    if not there:
        parser.error(f"There are no answers to {given.task}; tasks are called 1.2, for example.")
    if unknown := set(given.case) - set(known):
        parser.error(f"{given.task} has no case {', '.join(sorted(unknown))}; it has {', '.join(known)}")
    if given.seed is not None and not given.case:
        # One that names a seed says what is right in that world only.
        right = [case.folder.name for case in there if case.right and "seed" not in case.settings]
        given.case = ["plain"] if "plain" in right else right[:1]
    if given.keep and Path(given.keep).exists():
        parser.error(f"{given.keep} is there already; name a folder that is not.")
    return given


if __name__ == "__main__":
    os.environ.pop("BASH_ENV", None)
    given = _asked_for()
    of_module = importlib.import_module(f"test_{stem_of(number_of(given.task))}")
    sys.exit(main(given.task, given.case, of_module.words, given.seed, given.keep))
