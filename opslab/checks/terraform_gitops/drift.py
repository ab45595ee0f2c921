"""Task 4.5: AWS, the state and main say the same again, each click was decided, and nothing was made anew for that."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from opslab.checks import Miss, Trial, on_forge
from opslab.checks.terraform_gitops import asking, loop
from opslab.checks.terraform_gitops.asking import module
from opslab.scenarios.terraform_gitops import drift
from opslab.scenarios.terraform_gitops import rules as _rules  # noqa: F401  (it adds to RULES)
from opslab.scenarios.terraform_gitops.common import PRODUCTION
from opslab.scenarios.terraform_gitops.drift import BUCKET, IMAGE, LOGS, ROLE, Click
from opslab.scenarios.terraform_gitops.rules_drift import LOOKS_AWAY
from opslab.worlds.aws.cloud import Actor
from opslab.worlds.forge.atlantis.code import Tree
from opslab.worlds.forge.merge_requests import MergeRequest
from opslab.worlds.forge.repository import Repository
from opslab.worlds.forge.state import MERGED

clicks = module.task(
    "4.5",
    "Somebody clicked",
    files=["forge/platform/reports.git", "work/reports"],
    memory=[".atlantis/platform-reports-*"],
    cloud=[
        "arn:aws:s3:::targ-reports-*",
        "arn:aws:s3:::targ-terraform-state/reports/*",
        "*:role/service/reports-*",
        "*:log-group:/targ/reports/*",
        "*:parameter/reports/*",
        "*:repository/reports/*",
    ],
    hints=[
        "A plan is the difference, seen from main: terraform init and terraform plan in work/reports/production. What it wants to change back is what somebody has clicked. Then look for each of them in notes/reports-channel.txt, and for the rules in README.md.",
        "Adopt: write what is in AWS into the code, and it vanishes from the plan. Revert: leave the code alone, and the next apply does it. A value that the plan hides (sensitive) is told by aws ssm get-parameter --name … --profile production. The plan cannot show what terraform has never heard of: aws s3 ls --profile production.",
        "For the bucket: import { to = aws_s3_bucket.NAME, id = \"targ-reports-…\" } on lines of their own, and a resource aws_s3_bucket NAME with its bucket name and the tags that it has. It is right when the plan says 1 to import, and nothing of that bucket is to be changed.",
        "One merge request: git push -o merge_request.create …, opslab mr show 1 for the plan. It should say 1 to import, 0 to add, 0 to destroy, and change only what goes. When Marek has approved: opslab mr comment 1 \"atlantis apply\".",
    ],
)  # fmt: skip


# ---- what is in AWS -------------------------------------------------------------------------------------------------------


def _retention(aws: Actor) -> str:
    groups = _ask(aws, "logs", "describe_log_groups", logGroupNamePrefix=LOGS)["logGroups"]
    return str(next((one.get("retentionInDays", "for ever") for one in groups if one["logGroupName"] == LOGS), "no such log group"))  # fmt: skip


def _rights(aws: Actor) -> str:
    return drift.canonical(_ask(aws, "iam", "get_role_policy", RoleName=ROLE, PolicyName="render").get("PolicyDocument", "none"))  # fmt: skip


def _policy(aws: Actor) -> str:
    return drift.canonical(json.loads(_ask(aws, "s3", "get_bucket_policy", Bucket=BUCKET).get("Policy", '"none"')))


def _encryption(aws: Actor) -> str:
    rules = _ask(aws, "s3", "get_bucket_encryption", Bucket=BUCKET).get("ServerSideEncryptionConfiguration", {}).get("Rules", [])  # fmt: skip
    return rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] if rules else "none"


def _public(aws: Actor) -> str:
    block = _ask(aws, "s3", "get_public_access_block", Bucket=BUCKET).get("PublicAccessBlockConfiguration", {})
    return "closed" if block and all(block.values()) else "open"


def _parameter(name: str) -> Callable[[Actor], str]:
    return lambda aws: _ask(aws, "ssm", "get_parameter", Name=name).get("Parameter", {}).get("Value", "no such parameter")  # fmt: skip


def _image(aws: Actor) -> dict[str, Any]:
    found = _ask(aws, "ecr", "describe_repositories", repositoryNames=[IMAGE]).get("repositories", [])
    return found[0] if found else {}


LOOK: dict[str, tuple[Callable[[Actor], str], str, str]] = {
    "retention": (_retention, f"the retention of {LOGS}", "aws logs describe-log-groups"),
    "owner": (lambda aws: _tags(aws, BUCKET).get("Owner", "none"), f"the tag Owner of {BUCKET}", f"aws s3api get-bucket-tagging --bucket {BUCKET}"),
    "versions": (lambda aws: _versions(aws, BUCKET), f"the versioning of {BUCKET}", f"aws s3api get-bucket-versioning --bucket {BUCKET}"),
    "encryption": (_encryption, f"the encryption of {BUCKET}", f"aws s3api get-bucket-encryption --bucket {BUCKET}"),
    "policy": (_policy, f"the policy of {BUCKET}", f"aws s3api get-bucket-policy --bucket {BUCKET}"),
    "rights": (_rights, f"the policy of the role {ROLE}", f"aws iam get-role-policy --role-name {ROLE} --policy-name render"),
    "max-rows": (_parameter("/reports/max-rows"), "the parameter /reports/max-rows", "aws ssm get-parameter --name /reports/max-rows"),
    "send-at": (_parameter("/reports/send-at"), "the parameter /reports/send-at", "aws ssm get-parameter --name /reports/send-at"),
    "image-tags": (lambda aws: _image(aws).get("imageTagMutability", "no such repository"), f"whether tags of {IMAGE} can be overwritten", f"aws ecr describe-repositories --repository-names {IMAGE}"),
    "scan": (lambda aws: str(_image(aws).get("imageScanningConfiguration", {}).get("scanOnPush", False)).lower(), f"whether {IMAGE} is scanned on push", f"aws ecr describe-repositories --repository-names {IMAGE}"),
    "public": (_public, f"the public access block of {BUCKET}", f"aws s3api get-public-access-block --bucket {BUCKET}"),
}  # fmt: skip
"""For each difference: how to ask AWS for it, what it is called, and what a learner would type."""


def _ask(aws: Actor, service: str, operation: str, **parameters: Any) -> Any:
    """What AWS says; nothing where there is no such thing."""
    return aws.call(service, operation, **parameters).result or {}


def _tags(aws: Actor, bucket: str) -> dict[str, str]:
    return {one["Key"]: one["Value"] for one in _ask(aws, "s3", "get_bucket_tagging", Bucket=bucket).get("TagSet", [])}


def _versions(aws: Actor, bucket: str) -> str:
    return _ask(aws, "s3", "get_bucket_versioning", Bucket=bucket).get("Status", "never switched on")


def _kept(aws: Actor, bucket: str) -> set[tuple[str, str]]:
    """The versions of all objects of a bucket: key and id."""
    found = _ask(aws, "s3", "list_object_versions", Bucket=bucket).get("Versions", [])
    return {(one["Key"], one["VersionId"]) for one in found}


# ---- the expectations -----------------------------------------------------------------------------------------------------


def _viewer(trial: Trial, *, at_start: bool = False) -> Actor:
    return trial.once(f"viewer {at_start}", lambda: trial.cloud(at_start=at_start).role(PRODUCTION, "viewer"))


def things(state: Any) -> dict[tuple[str, str], str]:
    """What a state knows of: type and id, and the address. Code may be tidied up and an address change; a thing stays.

    Nothing, where it is no state at all.
    """
    try:
        resources = asking.resources(state)
    except (AttributeError, TypeError):
        return {}
    found = {}
    for address, attributes in resources.items():
        if kind := re.search(r"(\w+)\.[\w-]+(\[.*\])?$", address):
            found[kind[1], str(attributes.get("id"))] = address
    return found


def _things(trial: Trial, *, at_start: bool = False) -> dict[tuple[str, str], str]:
    return things(asking.state_of(trial.cloud(at_start=at_start), drift.KEY))


def _nothing_hidden(trial: Trial, repository: Repository) -> None:
    """Raises Miss where the plan was made to look away."""
    git = repository.git
    for commit in (asking.MAIN, *(mr.record["head"] for mr in on_forge.mine(repository)[:1])):
        code = {path: git.file(commit, path) for path in Tree(git, commit).modes if path.endswith(".tf")}
        for path in (path for path, text in code.items() if LOOKS_AWAY.search((text or b"").decode("utf-8", "replace"))):  # fmt: skip
            raise Miss("ignore_changes decides nothing: the plan is empty, and AWS stays as somebody has clicked it. Write into the code what is right; what is wrong goes with the next apply.", tried=f"look into {path}", got="ignore_changes", wanted="none", name="looks-away")  # fmt: skip
    known = _things(trial)
    for thing, address in _things(trial, at_start=True).items():
        if thing not in known:
            raise Miss(f"Terraform has forgotten {address}. Then no plan can tell any more whether it is right: whatever somebody clicks there, nobody sees it. Take it into the state again, with import.", tried="terraform state list", got=f"nothing with the id {thing[1]}", wanted=address, name="out-of-state")  # fmt: skip


@clicks.expects("each click is decided: what stays has stayed, what goes is gone", points=1)
def decided(trial: Trial) -> None:
    mine = loop.request(trial, drift)
    _nothing_hidden(trial, mine.repository)
    for click in drift.clicked(trial.seed):
        look, called, command = LOOK[click.what]
        found = look(_viewer(trial))
        if found != click.right:
            say, name = _why(click, found, mine)
            raise Miss(f"{called[0].upper()}{called[1:]} is not right. {say}", tried=f"{command} --profile production", got=_shown(found), wanted=_shown(click.right), name=name)  # fmt: skip


def _why(click: Click, found: str, mr: MergeRequest) -> tuple[str, str]:
    """A sentence, and the name of the mistake."""
    if found == click.value and mr.record["state"] != MERGED:
        name = "not-applied"
        return f"It is still as somebody has clicked it. {loop.next_step(mr)}", name
    if found == click.value:
        name = "adopted-what-goes"
        return "You have let stay what somebody has clicked, and nobody who decides about it has said so. Read the channel to its end; where it says nothing, main is right.", name  # fmt: skip
    if found == drift.ON_MAIN[click.what]:
        name = "reverted-what-stays"
        return "You have let the apply put it back, and whoever decides about it has said that it stays. Write it into the code.", name  # fmt: skip
    return "This is neither what main said nor what was clicked.", ""


def _shown(value: str) -> str:
    """A policy is easier to read with its statements on lines of their own."""
    return value.replace('}, {"', '},\n{"') if value.startswith("{") else value


@clicks.expects("the bucket that was made by hand belongs to terraform, and is the same as before", points=1)
def taken_in(trial: Trial) -> None:
    name = drift.made(trial.seed)
    buckets = {id for kind, id in _things(trial) if kind == "aws_s3_bucket"}
    if name not in buckets:
        more = sorted(buckets - {BUCKET})
        if more:
            raise Miss(f"There is a new bucket {more[0]} now, and what people use is {name}. Import that one; nobody knows of yours.", tried="terraform state list", got=more[0], wanted=name, name="another-bucket")  # fmt: skip
        raise Miss("There is a bucket that people use and terraform does not know of, so no plan shows it. The channel tells which; an import block takes it in.", tried="terraform state list", got=", ".join(sorted(buckets)), wanted=f"aws_s3_bucket.… with {name}", name="not-taken-in")  # fmt: skip
    now, before = _viewer(trial), _viewer(trial, at_start=True)
    if not _kept(before, name) <= _kept(now, name):
        raise Miss(f"What lay in {name} is not there any more, or is not the same. An import changes nothing in AWS; this was something else.", tried=f"aws s3api list-object-versions --bucket {name} --profile production", got=f"{len(_kept(now, name))} objects", wanted=f"the {len(_kept(before, name))} that were there")  # fmt: skip
    lost = {key: value for key, value in _tags(before, name).items() if _tags(now, name).get(key) != value}
    if lost:
        key, value = next(iter(lost.items()))
        raise Miss(f"The import has changed the bucket: it had the tag {key}, and your code says nothing of it. An import is right when the plan has nothing to change for it.", tried=f"aws s3api get-bucket-tagging --bucket {name} --profile production", got=f"{key} = {_tags(now, name).get(key, 'nothing')}", wanted=f"{key} = {value}", name="import-changed-it")  # fmt: skip
    if _versions(now, name) != "Enabled":
        raise Miss(f"{name} kept versions, and does not any more. An import is right when the plan has nothing to change for it.", tried=f"aws s3api get-bucket-versioning --bucket {name} --profile production", got=_versions(now, name), wanted="Enabled", name="import-changed-it")  # fmt: skip


@clicks.expects("nothing was made anew, and a plan of main is empty", points=1, needs="decided taken_in")
def settled(trial: Trial) -> None:
    repository = on_forge.repository(trial, drift.NAME)
    now, before = _viewer(trial), _viewer(trial, at_start=True)
    for what, ask in (
        (f"the objects in {BUCKET}", lambda aws: _kept(aws, BUCKET)),
        (f"the log streams of {LOGS}", _streams),
        (f"the role {ROLE}", lambda aws: {_ask(aws, "iam", "get_role", RoleName=ROLE).get("Role", {}).get("RoleId")}),
    ):
        if not ask(before) <= ask(now):
            raise Miss(f"Something was made anew, and what hung on it is gone: {what}. A plan that says “destroy”, or “must be replaced”, is a question.", tried=f"compare {what} with before", got="others, or none", wanted="the same as before")  # fmt: skip
    loop.clean(trial, repository, drift.FOLDER)


def _streams(aws: Actor) -> set[str]:
    found = _ask(aws, "logs", "describe_log_streams", logGroupName=LOGS).get("logStreams", [])
    return {one["logStreamName"] for one in found}
