"""Module 03: the checks ask AWS, and judge as they should, whatever somebody has changed there."""

from __future__ import annotations

import functools
import json
from typing import Any

from graded import *

from opslab.scenarios.iam_roles import dots, reports, triage, whoami
from opslab.scenarios.iam_roles.names import PLATFORM, PRODUCTION, STAGING
from opslab.worlds.aws.seeding import document, trust

STEM = "03_iam_roles"
SEEDS = (1, 2, 3)


@functools.cache
def words(seed: int) -> dict[str, Any]:
    """What stands for {{…}} in the answers of this module, in the world of this seed."""
    found: dict[str, Any] = {"external_id": reports.external_id(seed)}
    for profile, situation in whoami.situations(seed).items():
        arn, can = whoami.arn_of(profile, seed), "yes" if situation == "works" else "no"
        found |= {
            f"row_{profile}": f"{profile},{arn},{can},{situation}",
            f"spaced_{profile}": f" {profile} , {arn or '-'} , {can} , {situation.replace('-', ' ')} ",
            f"short_{profile}": f"{profile},{arn},{can.title()},{'' if situation == 'works' else situation}",
        }
    for one in triage.draw(seed):
        number = one.number
        found |= {f"layer_{number}": one.case.layer, f"Layer_{number}": one.case.layer.title()}
        found |= {f"mend_{number}": one.right, f"Mend_{number}": one.right.upper()}
    for number, path in enumerate(dots.paths(seed), 1):
        found |= {
            f"way_{number}": " > ".join(path),
            f"arrow_{number}": " → ".join(path),
            f"ascii_{number}": "->".join(path),
        }
    return found | closings(seed)


def closings(seed: int) -> dict[str, list[dict[str, str]]]:
    """Three ways to close the hole of 3.6: in the trust policy, on the caller's side where that works, and by a Deny."""

    def arn(name: str, kind: str = "role") -> str:
        account, _, rest = name.partition("/")
        number = {"platform": PLATFORM, "staging": STAGING, "production": PRODUCTION}[account]
        return f"arn:aws:iam::{number}:{kind}{dots.PATH}{rest}"

    def trusting(name: str, *statements: dict[str, Any]) -> dict[str, str]:
        account, _, role = name.partition("/")
        return {
            "as": f"{account}-admin", "call": "iam.update_assume_role_policy", "RoleName": role,
            "PolicyDocument": json.dumps(document(*statements)),
        }  # fmt: skip

    def role_policy(name: str, call: str, **more: str) -> dict[str, str]:
        account, _, role = name.partition("/")
        return {"as": f"{account}-admin", "call": f"iam.{call}", "RoleName": role, "PolicyName": "become", **more}

    no_kim = {"Effect": "Deny", "Principal": {"AWS": arn("platform/kim", "user")}, "Action": "sts:AssumeRole"}
    writers = trust(arn("production/deployer"), arn("production/oncall"))["Statement"]
    oncall = [*trust(arn("platform/olga", "user"))["Statement"], no_kim]
    ci = trust(arn("platform/deploy-bot", "user"))["Statement"]
    by_trust = {
        "backup": trusting("production/backup", *trust(service="backup.amazonaws.com")["Statement"]),
        "readers": trusting(dots.WRITER, *writers),
        "group": trusting("production/oncall", *oncall),
        "pattern": trusting(dots.WRITER, *writers),
        "temporary": trusting("platform/ci", *ci),
    }
    by_policy = {
        "backup": role_policy("staging/batch", "delete_role_policy"),
        "readers": role_policy("production/readers", "delete_role_policy"),
        "group": {
            "as": "platform-admin", "call": "iam.remove_user_from_group", "GroupName": "warehouse-legacy-ops", "UserName": "lena",
        },
        "pattern": role_policy("staging/deployer", "delete_role_policy"),
        "temporary": by_trust["temporary"],
    }  # fmt: skip
    deny = {"Effect": "Deny", "Action": "sts:AssumeRole"}
    nils, lena = {"AWS": arn("platform/nils", "user")}, {"AWS": arn("platform/lena", "user")}
    also_lena = trust(arn("platform/olga", "user"), arn("platform/lena", "user"))["Statement"]
    also_nils = trust(arn("platform/deploy-bot", "user"), arn("platform/nils", "user"))["Statement"]
    by_deny = {
        "backup": role_policy("staging/batch", "put_role_policy", PolicyDocument=json.dumps(document({**deny, "Resource": "*"}))),
        "readers": role_policy("production/readers", "put_role_policy", PolicyDocument=json.dumps(document({**deny, "Resource": "*"}))),
        "group": trusting("production/oncall", *also_lena, no_kim, {**deny, "Principal": lena}),
        "pattern": role_policy("staging/deployer", "put_role_policy", PolicyDocument=json.dumps(document({**deny, "Resource": "*"}))),
        "temporary": trusting("platform/ci", *also_nils, {**deny, "Principal": nils}),
    }  # fmt: skip
    here = dots.hole(seed)
    return {"close_by_trust": [by_trust[here]], "close_by_policy": [by_policy[here]], "close_by_deny": [by_deny[here]]}
