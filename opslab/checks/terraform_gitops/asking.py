"""What the checks of module 04 ask: terraform itself, the state in S3, and AWS.

Code that a learner has written runs in the jail, as the bot would run it, against a private copy of their organisation: a check
may plan, and even apply, without changing anything of theirs.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opslab.checks import Miss, Module, Trial, shorten
from opslab.scenarios.terraform_gitops.common import DEPLOYS, PLATFORM
from opslab.worlds import terraform
from opslab.worlds.aws import keys
from opslab.worlds.aws.cloud import Cloud
from opslab.worlds.forge.atlantis.bot import check_out
from opslab.worlds.forge.repository import Repository
from opslab.worlds.terraform import accounts

module = Module(
    "04",
    "terraform_gitops",
    "Terraform via GitOps",
    cloud=True,
    forge=True,
    bots=True,
    without_bots="Until then, task 4.1 and the rule of task 4.4 work without it; the lesson can be read.",
)

MAIN = "refs/heads/main"


@dataclass(frozen=True)
class Planned:
    """What `terraform plan` came to. code: 0 nothing to do, 2 something to do, 1 an error. text: all it said."""

    code: int
    text: str
    folder: terraform.Folder

    @property
    def clean(self) -> bool:
        return self.code == 0

    @property
    def short(self) -> str:
        """The lines that say what would be done, or what is wrong."""
        lines = [line.strip() for line in self.text.splitlines() if re.match(r"\s*# \S+ (will|must|has)|Plan:|No changes|\s*│? ?Error:|\s*│", line)]  # fmt: skip
        return shorten("\n".join(lines) or self.text, lines=8)

    def show(self) -> dict[str, Any]:
        """The plan as data (`terraform show -json`)."""
        return self.folder.show()


def checkout(repository: Repository, folder: Path, ref: str = MAIN) -> Path:
    """The files of a commit of a repository, in `folder`, which must not be there yet."""
    check_out(repository.git, repository.git.resolve(ref) or ref, folder)
    return folder


def room(trial: Trial, place: Path, cloud: Cloud | None = None) -> terraform.Room:
    """A place to run terraform in, as the bot's user. Raises Miss where there is no terraform on this machine."""
    try:
        tools = terraform.find()
    except terraform.TerraformMissing as error:
        raise Miss(f"This needs terraform to be asked. {error}") from None
    cloud = cloud or trial.cloud()
    user = keys.access_key(trial.seed, PLATFORM, "atlantis")
    return terraform.Room(place, tools, user, cloud.endpoint, cloud.services, env=DEPLOYS, required=trial.graded)


def plan(trial: Trial, repository: Repository, path: str, *more: str, ref: str = MAIN) -> Planned:
    """What terraform would do if a folder of a repository's main were applied now. Asked once in a trial."""

    def ask() -> Planned:
        place = trial.folder() / "room"
        checkout(repository, place / "repo", ref)
        return plan_folder(trial, place, f"repo/{path}", *more)

    return trial.once(f"plan {repository.path} {path} {ref} {more}", ask)


def plan_folder(
    trial: Trial, place: Path, path: str, *more: str, init: tuple[str, ...] = (), cloud: Cloud | None = None
) -> Planned:
    """`terraform init` and `terraform plan` in a folder `path` below `place`. Whoever holds a lock of the state does not matter."""
    folder = room(trial, place, cloud).folder(path, tell=trial.tell)
    begun = folder.init(*init)
    if not begun.good:
        return Planned(1, begun.text, folder)
    done = folder.plan("-detailed-exitcode", "-lock=false", *more)
    return Planned(done.code if done.code in (0, 2) else 1, done.text, folder)


def state_of(cloud: Cloud, key: str) -> dict[str, Any] | None:
    """A state of the state bucket, as data; None where there is none. key: its name there."""
    client = cloud.user(PLATFORM, "atlantis").client("s3")
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        found = json.loads(client.get_object(Bucket=accounts.STATE, Key=key)["Body"].read())
    except (ClientError, BotoCoreError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def resources(state: dict[str, Any] | None) -> dict[str, dict[str, Any]]:
    """The managed resources of a state: address and attributes."""
    found = {}
    for one in (state or {}).get("resources", []):
        if one.get("mode") != "managed":
            continue
        for instance in one.get("instances", []):
            index = f"[{json.dumps(instance['index_key'])}]" if "index_key" in instance else ""
            prefix = f"{one['module']}." if one.get("module") else ""
            found[f"{prefix}{one['type']}.{one['name']}{index}"] = instance.get("attributes") or {}
    return found
