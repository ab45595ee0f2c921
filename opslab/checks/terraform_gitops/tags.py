"""Task 4.4: everything in the depot has its tags, and nothing of it was lost on the way; and a policy that sees what is missing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opslab import jail
from opslab.checks import Miss, Trial
from opslab.checks.terraform_gitops import asking, loop
from opslab.checks.terraform_gitops.asking import module
from opslab.scenarios.terraform_gitops import rules_tags as _rules  # noqa: F401  (it adds to RULES)
from opslab.scenarios.terraform_gitops import tags
from opslab.scenarios.terraform_gitops.common import PRODUCTION
from opslab.worlds import workspace
from opslab.worlds.aws.cloud import Actor, Cloud
from opslab.worlds.forge.merge_requests import MergeRequest

nobody = module.task(
    "4.4",
    "The task nobody likes",
    files=["forge/platform/estate.git", "work/estate", "work/policies"],
    memory=[".atlantis/platform-estate-*"],
    cloud=[
        "arn:aws:s3:::targ-depot-*",
        "arn:aws:dynamodb:*:table/depot-*",
        "arn:aws:logs:*:log-group:/depot/*",
        "arn:aws:ssm:*:parameter/depot/*",
        "arn:aws:ecr:*:repository/depot/*",
        "arn:aws:iam::*:role/service/depot-*",
        "arn:aws:glue:*:database/depot_*",
        "arn:aws:s3:::targ-terraform-state/estate/*",
    ],
    hints=[
        ("git clone forge:platform/estate work/estate, and read OWNERS.md. One place for it in the code: locals { owner = { orders = { Owner = \"…\", OnCall = \"…\" }, … } }. "
        "Then each resource needs one line: tags = merge({ Name = \"…\" }, local.owner.orders), or local.owner[each.key] where there is for_each."),
        ("Push early: the plan and the policy check list what is still missing, with addresses. In the plan, everything should be “updated in-place”. "
        "An “Unsupported argument” is a kind that cannot have tags. terraform plan works on your desk, too."),
        ("A resource that keeps out of the plan has ignore_changes. Where merge(…) is used, what stands last wins. A module gets what it does not know by a "
        "variable: put one into modules/feed, and give it in feeds.tf. Keys are case-sensitive: owner is not Owner."),
        "Policy: begin with some resource in input.resource_changes; resource.mode == \"managed\"; \"tags\" in object.keys(resource.change.after).",
        ("Policy: some key in [\"Name\", \"Owner\", \"OnCall\"]; object.get(resource.change.after, [\"tags_all\", key], \"\") == \"\"; then the message. "
        "And a second rule deny for rotas: not endswith(…, \"-oncall\")."),
    ],
)  # fmt: skip


# ---- what is in AWS ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Thing:
    """Something of the depot that can have tags. address: in the code. name: in AWS."""

    address: str
    kind: str
    name: str
    arn: str


def _things(trial: Trial) -> list[Thing]:
    """The forty, from the state as it was at the start."""

    def find() -> list[Thing]:
        state = asking.resources(asking.state_of(trial.cloud(at_start=True), tags.KEY))
        found = []
        for address, one in state.items():
            if "tags_all" in one:
                kind = re.findall(r"aws_\w+", address)[0]
                found.append(Thing(address, kind, one.get("bucket") or one["name"], one["arn"]))
        return found

    return trial.once("things", find)


ASK: Mapping[str, tuple[str, str, Callable[[Thing], dict[str, str]], str, str]] = {
    "aws_s3_bucket": ("s3", "get_bucket_tagging", lambda one: {"Bucket": one.name}, "TagSet", "--bucket {name}"),
    "aws_dynamodb_table": ("dynamodb", "list_tags_of_resource", lambda one: {"ResourceArn": one.arn}, "Tags", "--resource-arn {arn}"),
    "aws_cloudwatch_log_group": ("logs", "list_tags_for_resource", lambda one: {"resourceArn": one.arn}, "tags", "--resource-arn {arn}"),
    "aws_ssm_parameter": ("ssm", "list_tags_for_resource", lambda one: {"ResourceType": "Parameter", "ResourceId": one.name}, "TagList", "--resource-type Parameter --resource-id {name}"),
    "aws_ecr_repository": ("ecr", "list_tags_for_resource", lambda one: {"resourceArn": one.arn}, "tags", "--resource-arn {arn}"),
    "aws_iam_role": ("iam", "list_role_tags", lambda one: {"RoleName": one.name}, "Tags", "--role-name {name}"),
    "aws_glue_catalog_database": ("glue", "get_tags", lambda one: {"ResourceArn": one.arn}, "Tags", "--resource-arn {arn}"),
}  # fmt: skip
"""How AWS is asked for tags: service, operation, parameters, where they are in the answer, and the options of the command."""


def _tags(actor: Actor, thing: Thing) -> dict[str, str] | None:
    """The tags that something has in AWS; None where it is not there any more."""
    service, operation, parameters, place, _ = ASK[thing.kind]
    # These two answer for what is gone, too.
    if service == "logs":
        groups = _result(actor, "logs", "describe_log_groups", logGroupNamePrefix=thing.name).get("logGroups", [])
        if thing.name not in [one["logGroupName"] for one in groups]:
            return None
    if service == "glue" and not _result(actor, "glue", "get_database", Name=thing.name):
        return None
    answer = actor.call(service, operation, **parameters(thing))
    if answer.result is None:
        # A bucket without tags is an error, too: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketTagging.html
        return {} if answer.code == "NoSuchTagSet" else None
    found = answer.result[place]
    return dict(found) if isinstance(found, dict) else {one["Key"]: one.get("Value", "") for one in found}


def _asking(thing: Thing) -> str:
    service, operation, _, _, options = ASK[thing.kind]
    command = f"aws {'s3api' if service == 's3' else service} {operation.replace('_', '-')}"
    return f"{command} {options.format(name=thing.name, arn=thing.arn)} --profile production"


def _all_tags(trial: Trial) -> dict[Thing, dict[str, str] | None]:
    def ask() -> dict[Thing, dict[str, str] | None]:
        viewer = trial.cloud().role(PRODUCTION, "viewer")
        return {thing: _tags(viewer, thing) for thing in _things(trial)}

    return trial.once("tags", ask)


# ---- through the loop --------------------------------------------------------------------------------------------------


def _where_it_stands(trial: Trial) -> MergeRequest:
    """The learner's merge request, as far as it is planned and the policy check lets it pass. Raises Miss where not."""
    mine = loop.request(trial, tags)
    loop.planned(mine)
    plan = next((one for one in mine.statuses() if one["name"] == "atlantis/plan"), {})
    if plan.get("description", "").startswith("0/0"):
        raise Miss(f"!{mine.number} changes nothing that terraform looks at: its code is in production/ and modules/.", tried=f"opslab mr show {mine.number} -R {tags.NAME}", got=", ".join(change.path for change in mine.changes()[:5]) or "no changes", wanted="a plan", name="nothing-planned")  # fmt: skip
    status = next((one for one in mine.statuses() if one["name"] == "atlantis/policy_check"), {})
    if status.get("state") == "failed":
        texts = [item["text"] for item in mine.record["discussion"] if item["by"] == loop.ATLANTIS]
        said = next((text for text in reversed(texts) if "FAIL - " in text), "")
        failures = [line.removeprefix("FAIL - plan.json - main - ") for line in said.splitlines() if line.startswith("FAIL")]  # fmt: skip
        count = f"{len(failures)} failures" if failures else "it does not pass"
        raise Miss(f"The policy check of !{mine.number} is red: {count}. Atlantis applies nothing before that is green.", tried=f"opslab mr show {mine.number} -R {tags.NAME}", got="\n".join(failures[:6]) or status["description"], wanted="a green policy check", name="policy-red")  # fmt: skip
    return mine


@nobody.expects("in AWS, all forty have a Name, an Owner and an OnCall", points=0.5)
def tagged(trial: Trial) -> None:
    found = _all_tags(trial)
    if gone := [thing for thing, has in found.items() if has is None]:
        raise Miss(f"{gone[0].name} is not there any more. Was its name changed? A new name is a new thing, and the old one is destroyed.", tried=_asking(gone[0]), got="there is no such thing", wanted=f"{gone[0].address}, with tags", name="thing-gone")  # fmt: skip
    without = [thing for thing, has in found.items() if not all((has or {}).get(key) for key in tags.KEYS)]
    if not without:
        return
    mine = _where_it_stands(trial)
    first, count = without[0], f"{len(without)} of {len(found)}"
    got = ", ".join(f"{key}={value}" for key, value in (found[first] or {}).items()) or "no tags"
    if len(without) == len(found):
        raise Miss(f"Nothing has its tags yet. {loop.next_step(mine)}", tried=_asking(first), got=got, wanted="Name, Owner, OnCall", name="not-applied")  # fmt: skip
    raise Miss(f"{count} still lack a tag, {first.name} for one. What is not in the plan is not looked at: does terraform still know of it?", tried=_asking(first), got=got, wanted="Name, Owner, OnCall", name="left-out")  # fmt: skip


@nobody.expects("they are those of OWNERS.md, and every name is one of its own", points=0.5, needs="tagged")
def right_ones(trial: Trial) -> None:
    found, names = _all_tags(trial), {}
    for thing, has in found.items():
        names.setdefault((thing.kind, has["Name"]), []).append(thing)
    if same := [group for group in names.values() if len(group) > 1]:
        one, other = same[0][:2]
        raise Miss(f"{one.name} and {other.name} have the same Name. It is there to tell them apart, so default_tags cannot give it.", tried=_asking(one), got=f"Name = {found[one]['Name']}, {len(same[0])} times", wanted="a name of its own", name="same-name")  # fmt: skip
    wrong = []
    for thing, has in found.items():
        right = tags.wanted(trial.seed, thing.address, thing.name)
        wrong += [(thing, key, has[key], value) for key, value in right.items() if has[key] != value]
    if not wrong:
        return
    owners = tags.owners(trial.seed)
    thing, key, got, right = wrong[0]
    more = f" ({len({one.address for one, *_ in wrong})} of {len(found)} are not right yet.)"
    excepted = (owners["single"][0], f"module.feed_{owners['feed'][0]}.")
    if all(one.address.startswith(excepted) for one, *_ in wrong):
        say, name = f"{thing.name} is one of the two exceptions at the end of OWNERS.md.", "exception-overlooked"
    elif key == "OnCall" and got == f"{tags.wanted(trial.seed, thing.address, thing.name)['Owner']}-oncall":
        say, name = f"{thing.name}: that team is called by another rota. OWNERS.md has a column for it.", "rota-guessed"
    elif len({has[key] for has in found.values()}) == 1:
        say, name = f"Everything has the same {key}, and OWNERS.md names several.", "same-owner"
    else:
        say, name = f"The {key} of {thing.name} is not the one of OWNERS.md.", "wrong-owner"
    raise Miss(say + more, tried=_asking(thing), got=f"{key} = {got}", wanted="what OWNERS.md says", name=name)


@nobody.expects("nothing was replaced, and no data is lost", points=0.5, needs="tagged")
def kept(trial: Trial) -> None:
    for thing in _things(trial):
        before = _data(trial.cloud(at_start=True), thing)
        if before and _data(trial.cloud(), thing) != before:
            raise Miss(f"{thing.name} is there, and what was in it is not: it was destroyed and made again. The plan had said so: “must be replaced”.", tried=f"look into {thing.name}", got="nothing", wanted="what was in it before", name="data-lost")  # fmt: skip


def _data(cloud: Cloud, thing: Thing) -> Any:
    """What lies in something, where something lies in it."""
    atlantis = cloud.role(PRODUCTION, "deployer")
    if thing.kind == "aws_s3_bucket":
        return [one["Key"] for one in _result(atlantis, "s3", "list_objects_v2", Bucket=thing.name).get("Contents", [])]
    if thing.kind == "aws_dynamodb_table":
        return _result(atlantis, "dynamodb", "scan", TableName=thing.name).get("Items", [])
    if thing.kind == "aws_cloudwatch_log_group":
        streams = _result(atlantis, "logs", "describe_log_streams", logGroupName=thing.name).get("logStreams", [])
        return tags.DAY in [one["logStreamName"] for one in streams]
    return None


def _result(actor: Actor, service: str, operation: str, **parameters: str) -> Mapping[str, Any]:
    return actor.call(service, operation, **parameters).result or {}


@nobody.expects("main is what was applied, and nothing is left to do", points=0.5, needs="tagged")
def settled(trial: Trial) -> None:
    mine = loop.request(trial, tags)
    loop.merged(mine)
    known = asking.resources(asking.state_of(trial.cloud(), tags.KEY))
    if lost := [thing for thing in _things(trial) if thing.arn not in {one.get("arn") for one in known.values()}]:
        raise Miss(f"Terraform does not know {lost[0].name} any more. It should go on looking after it.", tried="terraform state list, in production", got=f"{len(known)} resources", wanted=lost[0].address, name="not-in-state")  # fmt: skip
    loop.clean(trial, mine.repository, tags.PROJECT)


# ---- the policy --------------------------------------------------------------------------------------------------------

POLICY_LIMITS = jail.Limits(seconds=20, cpu=10, memory=512 * 1024 * jail.MEGABYTE)
"""Of address space: regopy reserves 256 GB of it. `policy` itself ends where it uses too much memory."""

CATCHES = {
    "this": ("what is in a module, or in a module of a module", "child-modules"),
    "left": ("something without tags that the plan leaves as it is. It is there after the apply, too", "left-alone"),
    "replaced": ("something that is replaced, and has no OnCall afterwards", "replaced"),
    "changed": ("something that is changed, and has no Owner", "one-of-three"),
    "nameless": ("something that has Owner and OnCall by default_tags, and no Name", "one-of-three"),
    "hollow": ("a tag that is there and empty", "empty-tag"),
    "empty": ("a tag that is there and empty", "empty-tag"),
    "overridden": ("a tag of default_tags that is overridden by an empty one", "empty-tag"),
    "spelling": ("name, owner and oncall in small letters. AWS takes those for other tags", "letter-case"),
    "person": ("an OnCall that is no rota: kasia", "person-on-call"),
    "bare": ("something new without any tags. Terraform does not know its tags_all yet", "no-tags-at-all"),
}
"""What a policy has to catch: the last word of its address in the hidden plans, what it is, and the name of the mistake."""

SPARES = {
    "deleted": ("what is deleted. After the apply there is nothing that could have a tag", "deleted"),
    "kind": ("a kind of resource that has no tags. Nobody could ever satisfy that", "untaggable"),
    "data": ("data that is only read. It is somebody else's", "data-source"),
}
"""What it has to spare, in the same form."""

DEFAULT = ("a resource whose Owner and OnCall come from default_tags. What AWS gets is tags_all", "default-tags")
FINE = ("a resource that has all three tags", "false-alarm")


@dataclass(frozen=True)
class Held:
    """What a policy said of a hidden plan. named: the addresses in its messages. right: those that it has to name, in the plan's order."""

    named: set[str]
    right: list[str]
    of: list[str]
    default_tags: bool


def _held(trial: Trial) -> list[Held]:
    """The learner's policy on plans that they have not seen. Raises Miss where it does not run."""
    policy = trial.read(tags.POLICY)
    if policy.split() == (tags.HERE / "first-try" / "tags.rego").read_text().split():
        raise Miss(f"~/{tags.POLICY} is still the first try. README.md beside it says what it should do.", tried=f"read ~/{tags.POLICY}", got="the policy from the start", wanted="yours", name="first-try")  # fmt: skip
    home, seen = trial.folder(), {name: tags.sample(name, trial.unseen) for name in tags.HIDDEN}
    (home / "tags.rego").write_text(policy)
    for name, plan in seen.items():
        (home / f"{name}.json").write_text(json.dumps(plan))
    done = _confined(trial, home, "policy", "test", "--output", "json", "tags.rego", *(f"{name}.json" for name in seen))
    try:
        said = {one["filename"].removesuffix(".json"): one for one in json.loads(done.out)}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Miss("Your policy cannot be tried.", tried="policy test tags.rego", got=done.err.strip()[-300:] or done.out[:300] or f"exit code {done.code}", wanted="messages", name="policy-broken") from None  # fmt: skip
    if broken := [one["error"] for one in said.values() if one["error"]]:
        raise Miss("Rego cannot make sense of your policy.", tried="policy test tags.rego, on a plan", got=broken[0], wanted="messages, or none", name="policy-broken")  # fmt: skip
    return [_compared(seen[name], said[name]["failures"]) for name in seen]


def _confined(trial: Trial, home: Path, *argv: str) -> jail.Done:
    """Run a command in the jail, in a folder, without AWS: a policy is only about a plan."""
    there = {"hide": workspace.secret_folders(), "read_only": workspace.tool_folders(), "required": trial.graded}
    done = jail.run(argv, home=home, env=workspace.environment(home), limits=POLICY_LIMITS, **there)
    if done.stopped:
        raise Miss(f"Your policy was stopped: {done.stopped}. How often does it go through everything?", tried=" ".join(argv[:2]), got=done.stopped, wanted="an answer within a second", name="policy-endless")  # fmt: skip
    return done


def _compared(plan: Mapping[str, Any], messages: list[str]) -> Held:
    addresses = [one["address"] for one in plan["resource_changes"]]
    named = {one for one in addresses if any(re.search(rf"(?<![\w.]){re.escape(one)}(?![\w.\[])", text) for text in messages)}  # fmt: skip
    if messages and not named:
        raise Miss("Your messages do not say which resource they are about. Begin them with its address.", tried="policy test tags.rego, on a plan", got=messages[0], wanted="aws_s3_bucket.raw: …", name="no-address")  # fmt: skip
    has_default = "default_tags" in json.dumps(plan["configuration"]["provider_config"])
    return Held(named, tags.untagged(plan), addresses, has_default)


def _label(address: str) -> str:
    """The last word of an address."""
    return re.split(r"[._]", address)[-1]


@nobody.expects("your policy catches what has no tags, wherever it is", points=0.5)
def catches(trial: Trial) -> None:
    held = trial.once("held", lambda: _held(trial))
    if all(set(one.of) <= one.named for one in held):
        raise Miss("Your policy is against everything, tags or no tags. Nobody learns from that what is missing.", tried="policy test tags.rego, on plans that you have not seen", got="a message about every resource", wanted="messages about those without their tags", name="against-everything")  # fmt: skip
    for one in held:
        for address in one.right:
            if address not in one.named:
                what, name = CATCHES[_label(address)]
                raise Miss(f"Your policy lets something pass: {what}.", tried="policy test tags.rego, on a plan that you have not seen", got=f"nothing about {address}", wanted="a message about it", name=name)  # fmt: skip


@nobody.expects("and has nothing against the rest", points=0.5, needs="catches")
def spares(trial: Trial) -> None:
    for one in trial.once("held", lambda: _held(trial)):
        for address in one.of:
            if address in one.named and address not in one.right:
                what, name = SPARES.get(_label(address)) or (DEFAULT if one.default_tags else FINE)
                raise Miss(f"Your policy stops what is fine: {what}.", tried="policy test tags.rego, on a plan that you have not seen", got=f"a message about {address}", wanted="none", name=name)  # fmt: skip
