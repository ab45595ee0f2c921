"""Task 4.7: the code stands there once, each environment is two small files, and nothing in AWS has to move for it."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opslab import plain
from opslab.checks import Miss, Trial, shorten
from opslab.checks.terraform_gitops import asking
from opslab.checks.terraform_gitops.asking import Planned, module
from opslab.scenarios.terraform_gitops import two_folders
from opslab.scenarios.terraform_gitops.common import TARGETS
from opslab.scenarios.terraform_gitops.two_folders import FOLDER, KEY, LIKE, THIRD
from opslab.worlds import workspace
from opslab.worlds.forge.atlantis import hcl
from opslab.worlds.terraform import accounts

CODE = "partners"
"""The folder of the code, in the room that terraform runs in."""

LEFT_OUT = (".terraform", ".git")
"""What terraform and git keep in a folder, and nobody has written."""

WORDS = ("description", "error_message")
"""Attributes that are for people."""

one_folder = module.task(
    "4.7",
    "Less copy and paste",
    files=["work/partners"],
    hints=[
        "diff -r work/partners/staging work/partners/production shows every difference. Hold them against the table in work/partners/README.md: what does not stand there, nobody meant.",
        "Move production's .tf files up into work/partners: it has one resource more. What differs becomes a variable \"…\" {} without a default, or follows from var.environment: \"targ-partner-feeds-${var.environment}\". The values go into staging.tfvars and production.tfvars, and the four lines of the backend into staging.tfbackend and production.tfbackend; in the code stays backend \"s3\" {}.",
        "What only production has gets count = var.keep_versions ? 1 : 0. Terraform understands by itself that the thing is now called …[0], and moves it in the state.",
        "For each of the two: terraform init -reconfigure -backend-config=staging.tfbackend, then terraform plan -var-file=staging.tfvars. Whatever is to be created or destroyed has another name, or another address, than today. When one change is left, and it is the one that the README wants, delete the two folders.",
    ],
)  # fmt: skip


# ---- one folder -------------------------------------------------------------------------------------------------------


@one_folder.expects("the code stands there once, and each environment is two files", points=0.25)
def one(trial: Trial) -> None:
    folder = trial.home / FOLDER
    if folder.is_symlink() or not folder.is_dir():
        raise Miss(f"There is no folder ~/{FOLDER} any more. opslab.reset(\"4.7\") brings it back as it was.", tried=f"ls ~/{FOLDER}", got="nothing", wanted="the code", name="gone")  # fmt: skip
    files = sorted(_files(folder))
    if link := next((path for path in files if (folder / path).is_symlink()), None):
        raise Miss(f"~/{FOLDER}/{link} is a link. Two folders that show the same files are still two folders; and a link does not travel.", tried=f"ls -l ~/{FOLDER}/{link}", got=f"-> {os.readlink(folder / link)}", wanted="ordinary files", name="links")  # fmt: skip
    for name in TARGETS:
        if old := [path for path in files if path.startswith(f"{name}/") and path.endswith(".tf")]:
            raise Miss(f"The folder {name}/ still has code in it. As long as it is there, whoever changes something has more than one place to do it.", tried=f"find ~/{FOLDER} -name '*.tf'", got="\n".join(old), wanted=f"code in ~/{FOLDER}, and no {name}/", name="two-folders")  # fmt: skip
    if not any(path.endswith(".tf") and "/" not in path for path in files):
        raise Miss(f"There is no code in ~/{FOLDER} itself, where terraform is to be called.", tried=f"ls ~/{FOLDER}/*.tf", got=", ".join(files[:8]), wanted="the .tf files", name="no-code")  # fmt: skip
    for name in TARGETS:
        for path in (f"{FOLDER}/{name}.tfbackend", f"{FOLDER}/{name}.tfvars"):
            _not_the_others(name, path, trial.read(path))
    _each_once(trial, [path for path in files if path.endswith(".tf")])


def _files(folder: Path) -> Iterator[str]:
    """What somebody has written in a folder, by path. A link to a folder is one, too, and is not followed."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in LEFT_OUT]
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        yield from (os.path.relpath(os.path.join(place, name), folder) for name in [*names, *links])


def _not_the_others(name: str, path: str, text: str) -> None:
    """Raises Miss where a file of an environment speaks of the other one."""
    other = next(one for one in TARGETS if one != name)
    for setting, (_, value) in _read(text).attributes.items():
        if other in value or TARGETS[other] in value:
            raise Miss(f"~/{path} is for {name}, and has something of {other} in it. Whoever looks into it at night must find one environment there.", tried=f"grep -n {setting} ~/{path}", got=f"{setting} = {shorten(value, 3)}", wanted=f"nothing of {other}", name="mixed")  # fmt: skip


def _each_once(trial: Trial, paths: list[str]) -> None:
    """Raises Miss where a kind of resource is written more than once."""
    found: dict[str, list[str]] = {}
    for path in paths:
        for block in _read(trial.read(f"{FOLDER}/{path}")).blocks:
            if block.type == "resource" and len(block.labels) == 2:
                found.setdefault(block.labels[0], []).append(f"{path}:{block.start}: {'.'.join(block.labels)}")
    if not found:
        raise Miss("There is not one resource in the code.", tried=f"grep resource ~/{FOLDER}/*.tf", got="nothing", wanted="seven", name="no-code")  # fmt: skip
    for type, places in found.items():
        if len(places) > 1:
            raise Miss(f"The code has {len(places)} blocks for {type}. One is enough: what differs is a variable, and a block that is written twice will differ one day, as the folders did.", tried=f"grep {type} ~/{FOLDER}/*.tf", got="\n".join(places), wanted="one block", name="twice")  # fmt: skip


def _read(text: str) -> hcl.Body:
    """The blocks and attributes of a file; none where it cannot be read, which terraform says better."""
    try:
        return hcl.read(text)
    except hcl.HclError:
        return hcl.Body()


# ---- what terraform says ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Look:
    """What terraform says of an environment. backend: where it looks for the state. planned: None where that is wrong."""

    backend: dict[str, Any]
    planned: Planned | None = None
    updates: tuple[dict[str, Any], ...] = ()

    @property
    def sum(self) -> dict[str, int]:
        """The last line of the plan: what is to be done, and how often (add, change, destroy, import)."""
        lines = re.findall(r"(?m)^Plan: (.*)\.$", self.planned.text) if self.planned.code == 2 else []
        return {what: int(count) for count, what in re.findall(r"(\d+) to (\w+)", lines[-1])} if lines else {}

    @property
    def moves_nothing(self) -> bool:
        """Whether it may change things, but makes, destroys and replaces none."""
        return not any(count for what, count in self.sum.items() if what != "change")

    def types(self, fate: str) -> set[str]:
        """The types of the resources with a fate: "will be created"."""
        return set(re.findall(rf"(?m)^ *# (?:\S+\.)?(\w+)\.\w+(?:\[\S+\])? {fate}", self.planned.text))


def _room(trial: Trial) -> Path:
    """A new place to run terraform in, with a copy of the code and the files of a third environment.

    Nothing is written there from outside after something was run: code can leave links behind.
    """
    place = trial.folder() / "room"
    for path in _files(trial.home / FOLDER):
        workspace.copy_answer(trial.home / FOLDER, place / CODE, path)
    for kind in ("tfbackend", "tfvars"):
        text = trial.read(f"{FOLDER}/{LIKE}.{kind}")
        # In values: a variable may be called like_production.
        text = re.sub(r'"[^"\n]*"', lambda value: value[0].replace(LIKE, THIRD), text)
        (place / CODE / f"{THIRD}.{kind}").write_text(text)
    return place


def _look(trial: Trial, name: str) -> Look:
    """What terraform says of an environment, by its two files. Raises Miss where it does not get as far as a plan."""

    def ask() -> Look:
        place = _room(trial)
        folder = asking.room(trial, place).folder(CODE, tell=trial.tell)
        done = folder.init(*_backend(name))
        begun, backend = done.good, _remembered(place)
        if begun and (_place(backend) != _place(_state(name)) or not backend.get("use_lockfile")):
            return Look(backend)  # there is nothing, or something else: no plan says anything then
        if begun:
            done = folder.plan("-detailed-exitcode", "-lock=false", f"-var-file={name}.tfvars")
        planned = Planned(done.code if begun and done.code in (0, 2) else 1, done.text, folder)
        look = Look(backend, planned)
        if planned.code == 1:
            raise Miss(f"For {name}, Terraform does not get as far as a plan.", tried=_tried(name), got=planned.short, wanted="a plan", name="no-plan")  # fmt: skip
        if look.moves_nothing and look.sum.get("change"):
            changes = planned.show().get("resource_changes", [])
            look = Look(backend, planned, tuple(one for one in changes if _does_something(one)))
        return look

    return trial.once(f"look {name}", ask)


def _does_something(change: dict[str, Any]) -> bool:
    """Whether an update of a plan reaches AWS. Tags that come from the provider's default_tags from now on are the same tags."""
    if change["mode"] != "managed" or change["change"]["actions"] != ["update"]:
        return False
    before, after = change["change"]["before"], change["change"]["after"]
    return any(before[name] != after.get(name) for name in before if name != "tags")


MOST_STATE = 1024 * 1024


def _remembered(place: Path) -> dict[str, Any]:
    """The backend that terraform was initialised with, as it has noted it; empty where there is none."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        return json.loads(plain.read(place, ".data/terraform.tfstate", MOST_STATE))["backend"]["config"]
    return {}


def _state(name: str) -> dict[str, Any]:
    """Where the state of an environment is."""
    return {"bucket": accounts.STATE, "key": KEY.format(name)}


def _place(backend: dict[str, Any]) -> str:
    return f"{backend.get('bucket')}/{backend.get('key')}"


def _backend(name: str) -> tuple[str, ...]:
    return (f"-backend-config={name}.tfbackend",)


def _tried(name: str) -> str:
    return f"terraform init -reconfigure -backend-config={name}.tfbackend; terraform plan -var-file={name}.tfvars"


@one_folder.expects("in both accounts nothing is created, replaced or destroyed", points=0.5, needs="one")
def same(trial: Trial) -> None:
    for name in TARGETS:
        look, tried, nothing = _look(trial, name), _tried(name), "nothing is created or destroyed"
        where, wanted = _place(look.backend), _place(_state(name))
        if where != wanted:
            raise Miss(f"The state of {name} is looked for in another place than where it is. There is nothing, so Terraform would make everything a second time; or there is the state of something else.", tried=tried, got=where, wanted=wanted, name="other-state")  # fmt: skip
        if not look.backend.get("use_lockfile"):
            raise Miss(f"The state of {name} is not locked any more while somebody works with it: two applies at a time would spoil it.", tried=tried, got="no use_lockfile", wanted="use_lockfile = true, as before", name="no-lock")  # fmt: skip
        if look.moves_nothing:
            continue
        got = look.planned.short
        if any("terraform.workspace" in expression for _, _, expression in _expressions(trial)):
            raise Miss("terraform.workspace is “default” for whoever has not chosen one, and a workspace keeps its state in another place. Here the environment is a variable, with its value in the .tfvars file.", tried=tried, got=got, wanted=nothing, name="workspaces")  # fmt: skip
        if look.types("will be created") & look.types("will be destroyed"):
            raise Miss(f"In {name}, something is destroyed and made anew, because its address in the code is another one: for Terraform, another address is another thing. Keep the names, or say with a moved block what was called how.", tried=tried, got=got, wanted=nothing, name="renamed")  # fmt: skip
        raise Miss(f"In {name}, there would be another number of things in AWS than today, or things with another name. What the README says of {name} has to follow from {name}.tfvars.", tried=tried, got=got, wanted=nothing, name="not-the-same")  # fmt: skip


def _expressions(trial: Trial) -> Iterator[tuple[str, int, str]]:
    """(path, line, expression) of all that is not for people."""

    def inside(body: hcl.Body) -> Iterator[tuple[int, str]]:
        for name, (line, expression) in body.attributes.items():
            if name not in WORDS:
                yield line, expression
        for block in body.blocks:
            yield from inside(block)

    for path in sorted(_files(trial.home / FOLDER)):
        if path.endswith(".tf"):
            for line, expression in inside(_read(trial.read(f"{FOLDER}/{path}"))):
                yield path, line, expression


@one_folder.expects("the difference that nobody meant is mended, and nothing else changes", points=0.5, needs="same")
def mended(trial: Trial) -> None:
    slip = two_folders.slip(trial.seed)
    updates = {name: _look(trial, name).updates for name in TARGETS}
    got = "\n".join(f"{name}: {_look(trial, name).planned.short}" for name in TARGETS)
    tried = "\n".join(_tried(name) for name in TARGETS)
    if not any(updates.values()):
        raise Miss("Nothing changes at all: so the difference that nobody meant is still there, now in a file of variables. diff -r of the two old folders shows it; README.md says what is meant.", tried=tried, got=got, wanted="one change, in one of the two", name="kept-the-slip")  # fmt: skip
    for name, changes in updates.items():
        for change in changes:
            value = slip.value(change["change"]["after"])
            if change["type"] == slip.type and value != slip.meant:
                raise Miss(f"In {name}, {slip.what} of {change['address']} becomes what it should not be. Which of the two values is right, README.md says.", tried=_tried(name), got=str(value), wanted="what README.md says", name="wrong-value")  # fmt: skip
    for name, changes in updates.items():
        if more := [one["address"] for one in changes if (name, one["type"]) != (slip.environment, slip.type)]:
            raise Miss(f"More changes in {name} than was asked for. That may be an improvement; it belongs into a merge request of its own, or nobody will find the one change that matters here.", tried=_tried(name), got="\n".join(more), wanted="one change in one of the two accounts", name="changes-more")  # fmt: skip


@one_folder.expects("whoever forgets one of the two files is stopped", points=0.25, needs="one")
def forgotten(trial: Trial) -> None:
    place, name = _room(trial), next(iter(TARGETS))
    begun = asking.room(trial, place).folder(CODE, tell=trial.tell).init()
    if begun.good:
        raise Miss("terraform init without -backend-config goes through: so the code itself names a state, and whoever forgets the flag works with that one. Let backend \"s3\" {} be empty, or leave at least the key to the files.", tried="terraform init -reconfigure", got="initialized", wanted="an error: the key is required", name="key-in-code")  # fmt: skip
    planned = asking.plan_folder(trial, place, CODE, init=_backend(name))
    if planned.code != 1:
        raise Miss("terraform plan without -var-file goes through: so there are values that count where nothing is said (a default, or a file that is always read), and one day they will meet the state of another environment.", tried="terraform plan", got=planned.short, wanted="an error: no value for a variable", name="default-words")  # fmt: skip
    if "No value for required variable" not in planned.text:
        raise Miss("terraform plan without -var-file ends with an error, but not because of the missing values.", tried="terraform plan", got=planned.short, wanted="No value for required variable", name="another-error")  # fmt: skip


@one_folder.expects("a third environment is two more files, and no change of the code", points=0.5, needs="one")
def third(trial: Trial) -> None:
    for path, line, expression in _expressions(trial):
        if found := re.search(rf'"({"|".join((*TARGETS, THIRD))})"', expression):
            raise Miss(f"The code asks for {found[1]} by its name. With the next environment, somebody has to find all such places. Ask for what is meant (var.keep_versions), and let each .tfvars file say it.", tried=f"sed -n {line}p ~/{FOLDER}/{path}", got=shorten(expression, 3), wanted="no name of an environment in the code", name="names-in-code")  # fmt: skip
    copied = f"With the files of {LIKE} copied for {THIRD}, and the other name in them,"
    tried = f"two new files, {THIRD} for {LIKE} in them; {_tried(THIRD)}"
    try:
        look = _look(trial, THIRD)
    except Miss as miss:
        raise Miss(f"{copied} Terraform does not get as far as a plan.", tried=tried, got=miss.got, wanted=f"the same as {LIKE}, with another name", name="closed-list") from None  # fmt: skip
    if look.planned is None:
        got, wanted = (f"{_place(one)}, use_lockfile = {one.get('use_lockfile')}" for one in (look.backend, _state(THIRD) | {"use_lockfile": True}))  # fmt: skip
        raise Miss(f"{copied} {THIRD} would not have a state of its own, with a lock.", tried=tried, got=got, wanted=wanted, name="other-state")  # fmt: skip
    wanted = two_folders.settings(THIRD)
    made = look.planned.show().get("resource_changes", []) if look.planned.code == 2 else []
    made = {one["type"]: one["change"]["after"] for one in made if one["change"]["actions"] == ["create"]}
    got = {type: {name: _fact(values, name) for name in wanted.get(type, {})} for type, values in made.items()}
    for type in sorted({*wanted, *got}):
        if wanted.get(type) != got.get(type):
            raise Miss(f"{copied} {THIRD} is not what {LIKE} is: something in the code hangs on the name.", tried=tried, got=f"{type}: {got.get(type, 'none')}", wanted=f"{type}: {wanted.get(type, 'none')}", name="hangs-on-the-name")  # fmt: skip


def _fact(values: dict[str, Any], name: str) -> Any:
    """A setting of a planned resource; of a block with `enabled`, whether it is."""
    value = values.get(name)
    if isinstance(value, list):
        return any(one.get("enabled") for one in value)
    return value
