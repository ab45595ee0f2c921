"""What all parts of module 04 share: who is there, and how a repository of Terraform code comes to the forge and into AWS.

The code of a repository lies in `repositories/NAME/`, with `{{words}}` where every learner has other names. What was applied before
the learner came (resources and state) is not made up: `record` lets the real terraform apply that code once, with stand-ins for
the words, and writes down what it asked AWS for. `replay` asks the same again, with the words of a seed, when a world is made.
"""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from opslab.scenarios.iam_roles.names import ACCOUNTS, PLATFORM, PRODUCTION, REGION, STAGING
from opslab.scenarios.merge_requests.people import Commit, history
from opslab.worlds.aws.seeding import Furnisher, allow, document, statement
from opslab.worlds.forge.forge import Forge
from opslab.worlds.forge.repository import Repository
from opslab.worlds.terraform import accounts

if TYPE_CHECKING:
    from opslab.worlds.aws.organisation import Organisation

__all__ = ["ACCOUNTS", "PLATFORM", "PRODUCTION", "REGION", "STAGING"]

HERE = Path(__file__).parent
PEOPLE = {
    "marek": "Marek Bąk",  # platform team
    "ewa": "Ewa Zając",  # platform team
    "hania": "Hania Lis",
    "olek": "Olek Maj",
    "basia": "Basia Kot",
}
RULES = "opslab.scenarios.terraform_gitops.rules"
TARGETS = {"staging": STAGING, "production": PRODUCTION}

BOUNDARY = "targ-service-boundary"
"""The policy that every role of a service has as its boundary; the deployer may make no role without it."""

LOOK = [
    f"{service}:{verb}*"
    for service in ("s3", "iam", "dynamodb", "logs", "ssm", "ecr", "glue")
    for verb in ("Get", "List", "Describe")
]
"""What people may do in staging and production: look. (The provider asks in all three ways.)"""

LOCK_FILE = 'provider "registry.terraform.io/hashicorp/aws" {\n  version     = "5.100.0"\n  constraints = "~> 5.0"\n}\n'


DEPLOYS = {"TF_VAR_role": accounts.ROLE}
"""The environment of those who apply: in the code, `var.role` is "viewer" where nothing else is said."""


def boundary(account: str) -> str:
    """The ARN of the boundary in an account; account: its id."""
    return f"arn:aws:iam::{account}:policy/{BOUNDARY}"


def furnish(aws: Organisation) -> None:
    """The accounts as the platform team has set them up: state, bot, deployers, and people who may look."""
    accounts.platform(aws, "platform", deployers=dict.fromkeys(TARGETS, accounts.ROLE))
    platform = Furnisher(aws, "platform")
    state = f"arn:aws:s3:::{accounts.STATE}"
    become = [accounts.role_arn(account, "viewer") for account in TARGETS.values()]
    become.append(accounts.role_arn(PLATFORM, "state-keeper"))
    see_state = [
        "s3:ListBucket",
        "s3:ListBucketVersions",
        "s3:GetBucketVersioning",
        "s3:GetObject",
        "s3:GetObjectVersion",
    ]
    # Whoever plans takes the lock for a moment.
    lock = statement("Allow", ["s3:PutObject", "s3:DeleteObject"], f"{state}/*.tflock")
    see = document(
        statement("Allow", see_state, [state, f"{state}/*"]), lock, statement("Allow", "sts:AssumeRole", become)
    )
    platform.user("you", {"look": see})  # fmt: skip
    keep = ["s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion"]
    you = f"arn:aws:iam::{PLATFORM}:user/you"
    trusted = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": you}, "Action": "sts:AssumeRole"}]}  # fmt: skip
    rights = document(statement("Allow", [*see_state, *keep], [state, f"{state}/*"]))
    platform.role("state-keeper", trusted, {"state": rights}, description="For emergencies: tell the channel first.")
    for name, account in TARGETS.items():
        there = Furnisher(aws, name)
        there.policy(
            BOUNDARY, allow(["s3:*", "dynamodb:*", "logs:*", "ssm:*", "kinesis:*", "sqs:*", "secretsmanager:*"])
        )
        accounts.deployer(aws, name, by="platform", policies={"deploy": deployer_rights(account)})
        there.role("viewer", trusted, {"look": allow(LOOK)})


def deployer_rights(account: str) -> dict[str, object]:
    """What terraform may do in an account: everything with data services, and roles of services only inside the boundary.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html#access_policies_boundaries-delegate
    """
    roles = f"arn:aws:iam::{account}:role/service/*"
    bounded = {"StringEquals": {"iam:PermissionsBoundary": boundary(account)}}
    return document(
        statement("Allow", ["s3:*", "dynamodb:*", "logs:*", "ssm:*", "ecr:*", "glue:*"], "*"),
        statement("Allow", ["iam:Get*", "iam:List*"], "*"),
        statement("Allow", ["iam:CreateRole", "iam:PutRolePolicy", "iam:DeleteRolePolicy", "iam:AttachRolePolicy", "iam:DetachRolePolicy"], roles, Condition=bounded),
        statement("Allow", ["iam:DeleteRole", "iam:TagRole", "iam:UntagRole", "iam:UpdateRole", "iam:UpdateRoleDescription", "iam:UpdateAssumeRolePolicy"], roles),
    )  # fmt: skip


# ---- words ------------------------------------------------------------------------------------------------------------


def draw(seed: int, part: str) -> random.Random:
    """The dice of a part of the module for a seed."""
    return random.Random(f"04 {part} {seed}")


def stand_in(word: str) -> str:
    """What stands for a word while something is recorded."""
    return f"x{word}x"


def fill(text: str, words: Mapping[str, str]) -> str:
    """Put the words in: `{{thing}}`. Raises KeyError for a word that is not there."""
    for word, value in words.items():
        text = text.replace("{{" + word + "}}", value)
    if "{{" in text:
        raise KeyError(text[text.index("{{") :][:40])
    return text


# ---- repositories -----------------------------------------------------------------------------------------------------


def files(name: str, words: Mapping[str, str]) -> dict[str, str]:
    """The files of `repositories/NAME`, by path. Every folder with a backend has a lock file."""
    folder = HERE / "repositories" / name
    found = {
        str(path.relative_to(folder)): fill(path.read_text(), words)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    for path, text in list(found.items()):
        if path.endswith(".tf") and 'backend "s3"' in text:
            found[str(Path(path).parent / ".terraform.lock.hcl")] = LOCK_FILE
    return found


def put_repository(
    forge: Forge, path: str, name: str, words: Mapping[str, str], *, seed: int, later: list[Commit] = (), **settings
) -> Repository:
    """Make the repository `path` on the forge from `repositories/NAME`. later: commits after the first. settings: as for `Forge.create`."""
    repository = forge.create(path, rule_modules=[RULES], **settings)
    history(repository, [("marek", "Infrastructure as it stands", files(name, words)), *later], seed=seed)
    return repository


# ---- what was applied before -------------------------------------------------------------------------------------------


@functools.cache
def _recorded(name: str) -> str:
    return (HERE / "recorded" / f"{name}.jsonl").read_text()


def replay(aws: Organisation, name: str, words: Mapping[str, str]) -> None:
    """Do again in AWS what was recorded under a name. Raises RuntimeError where AWS does not take it any more."""
    text = _recorded(name)
    for word, value in words.items():
        text = text.replace(stand_in(word), value)
    for line in text.splitlines():
        entry = json.loads(line)
        if problem := aws.guard.repeat(entry):
            raise RuntimeError(f"{name}: {entry['operation']}: {problem}")
