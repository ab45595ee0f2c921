"""Task 4.4: the depot, forty things that can have tags and hardly have any; and a policy that lets too much pass.

    repositories/estate/     the code, applied long ago; OWNERS.md says whose things are, another way for each seed
    policies/                what the platform team checks plans with, and the first try of it that the learner mends
    policies/plans/          plans as data, to try policies on, with the code that they were recorded from by `record_plans`

A plan to try policies on is `sample(name, seed)`; what a policy has to refuse in it follows from it, see `untagged`.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opslab.scenarios.iam_roles import write
from opslab.scenarios.terraform_gitops import common, plans
from opslab.scenarios.terraform_gitops import rules_tags as _rules  # noqa: F401  (it adds to RULES)
from opslab.worlds.forge.forge import Forge

if TYPE_CHECKING:
    from opslab.worlds.aws.organisation import Organisation

NAME = "platform/estate"
KEY = "estate/production.tfstate"
"""The state of the project."""

PROJECT = "production"
RECORDED = {"estate": ("estate", [PROJECT])}
REVIEWERS = {"ewa": ("title", "description", "a-rota", "one-owner", "conflict-marker")}

POLICY = "work/policies/tags.rego"
HERE = common.HERE / "policies"
POLICIES = {"tags": (HERE / "tags.rego").read_text()}
"""What the platform team holds plans of the estate against."""

SAMPLES = HERE / "plans"
SHOWN, HIDDEN = ("first", "defaults"), ("busy", "quiet", "gaps")
"""Plans to try a policy on: on the desk, and in the check."""

DAY = "2026-11-16"
"""The log stream that each log group has; the day of the data in buckets and tables."""

KEYS = ("Name", "Owner", "OnCall")
KINDS = ("feeds", "listings", "messages", "orders", "payouts", "search")
"""What things of the depot are for."""

TEAMS = ("catalogue", "checkout", "discovery", "payments", "trust")
ASK = ("Basia Kot", "Hania Lis", "Kasia Wrona", "Olek Maj", "Tomek Gil")
PARTNERS = ("heron", "otter", "wren")
SINGLE = {
    "aws_dynamodb_table.listings_drafts": "The table `depot-listings-drafts`",
    "aws_dynamodb_table.orders_refunds": "The table `depot-orders-refunds`",
    "aws_cloudwatch_log_group.search_api": "The log group `/depot/search/api`",
    "aws_ssm_parameter.feeds_schedule": "The parameter `/depot/feeds/schedule`",
}
"""Of which one belongs to another team than its name says."""


@functools.cache
def owners(seed: int) -> dict[str, Any]:
    """Whose things are: `teams` (what for: team), `rotas` (team: rota), and the exceptions `single` (address, team) and `feed`
    (partner, team)."""
    dice = common.draw(seed, "owners")
    teams = [*TEAMS, dice.choice(TEAMS)]
    dice.shuffle(teams)
    found: dict[str, Any] = {"teams": dict(zip(KINDS, teams, strict=True))}
    shares, whose = dice.sample(TEAMS, 2)
    found["rotas"] = {team: f"{whose if team == shares else team}-oncall" for team in TEAMS}
    single = dice.choice(sorted(SINGLE))
    found["single"] = single, dice.choice([team for team in TEAMS if team != found["teams"][kind_of(single)]])
    found["feed"] = dice.choice(PARTNERS), dice.choice([team for team in TEAMS if team != found["teams"]["feeds"]])
    return found


def kind_of(name: str) -> str:
    """What a thing is for, by its name in AWS or its address in the code."""
    return next((word for word in re.split(r"[^a-z]+", name) if word in KINDS), "")


def wanted(seed: int, address: str, name: str) -> dict[str, str]:
    """The Owner and the OnCall of a thing. address: in the code. name: in AWS."""
    found = owners(seed)
    team = found["teams"][kind_of(name)]
    if address == found["single"][0]:
        team = found["single"][1]
    if address.startswith(f"module.feed_{found['feed'][0]}."):
        team = found["feed"][1]
    return {"Owner": team, "OnCall": found["rotas"][team]}


def words(seed: int) -> dict[str, str]:
    """What stands in OWNERS.md; and its parts, for tests: {{owner_orders}}, {{oncall_orders}}, {{single}}, {{owner_single}} …"""
    found, dice = owners(seed), common.draw(seed, "whom to ask")
    whom = dict(zip(TEAMS, dice.sample(ASK, len(TEAMS)), strict=True))
    rows = [f"| {kind} | {team} | {found['rotas'][team]} | {whom[team]} |" for kind, team in found["teams"].items()]
    (single, its), (partner, whose) = found["single"], found["feed"]
    texts = {
        "owners": "\n".join(rows),
        "first_exception": f"{SINGLE[single]} belongs to {its}.",
        "second_exception": f"Everything of the feed `{partner}` belongs to {whose}: they pay for it.",
        "single": single,
        "partner": partner,
    }
    for name, team in {**found["teams"], "single": its, "partner": whose}.items():
        texts |= {f"owner_{name}": team, f"oncall_{name}": found["rotas"][team]}
    return texts


def build(forge: Forge, seed: int) -> None:
    """Put the repository on the forge."""
    common.put_repository(forge, NAME, "estate", words(seed), seed=seed, reviewers=REVIEWERS, approvals=1)


def put_on_desk(home: Path, seed: int) -> None:
    """The first try of a policy, what it is to say, and two plans to try it on."""
    for path in ("tags.rego", "README.md"):
        write(home / "work" / "policies" / path, (HERE / "first-try" / path).read_text())
    for name in SHOWN:
        write(home / "work" / "policies" / "plans" / f"{name}.json", json.dumps(sample(name, seed), indent=2) + "\n")


# ---- plans to try policies on ------------------------------------------------------------------------------------------


def sample(name: str, seed: int) -> dict[str, Any]:
    """A recorded plan as data, with the names of a seed."""
    dice = common.draw(seed, f"sample {name}")
    names = {"thing": dice.choice(plans.THINGS), "team": dice.choice(TEAMS)}
    found = json.loads(plans.named((SAMPLES / name / "plan.json").read_text(), names))
    del found["code"]
    return found


def untagged(plan: Mapping[str, Any]) -> list[str]:
    """The addresses in a plan that a policy has to refuse: what exists after the apply and has not all three tags, and a rota.

    Where a tag is empty, terraform does not know `tags_all` before the apply.
    """
    found = []
    for one in plan["resource_changes"]:
        after = one["change"]["after"]
        if one["mode"] != "managed" or after is None or "tags" not in after:
            continue
        tags = after.get("tags_all") or after["tags"] or {}
        if not all(tags.get(key) for key in KEYS) or not tags["OnCall"].endswith("-oncall"):
            found.append(one["address"])
    return found


# ---- the depot in AWS --------------------------------------------------------------------------------------------------


def furnish(aws: Organisation) -> None:
    """The depot, with a day of data in each bucket, table and log group."""
    common.replay(aws, "estate", {})
    from opslab.worlds.aws.state import backend_of

    s3 = backend_of("s3", common.PRODUCTION, "aws")
    for bucket in [name for name in s3.buckets if name.startswith("targ-depot-")]:
        s3.put_object(bucket, f"{DAY}/day.csv", b"id,value\n7,12\n")
    tables = backend_of("dynamodb", common.PRODUCTION, common.REGION)
    for name, table in tables.tables.items():
        if name.startswith("depot-"):
            tables.put_item(name, {table.hash_key_attr: {"S": "7"}, "day": {"S": DAY}})
    logs = backend_of("logs", common.PRODUCTION, common.REGION)
    for group in [name for name in logs.groups if name.startswith("/depot/")]:
        logs.create_log_stream(group, DAY)
