"""Optional: thousands of random requests, judged by the evaluator and by another implementation of IAM.

The other one is `@cloud-copilot/iam-simulate` from npm (AGPL: never shipped, only asked). Install it into any folder with
`npm install @cloud-copilot/iam-simulate` and set IAM_SIMULATE to that folder.

Left out on purpose, because the AWS documentation says otherwise than the simulator does: NotPrincipal with an account's
root, session policies against grants to a session's ARN, variables in policies older than 2012-10-17, ForAnyValue with
IfExists on a missing key; incomplete ARNs, which it completes in identity-based policies only.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from opslab.worlds.aws.policy import Policies, Policy, Principal, Request, evaluate

FOLDER = os.environ.get("IAM_SIMULATE", "")
A, B = "111111111111", "222222222222"
USER = f"arn:aws:iam::{A}:user/ana"
ROLE = f"arn:aws:iam::{A}:role/etl"
SESSION = f"arn:aws:sts::{A}:assumed-role/etl/monday"
ROOT = f"arn:aws:iam::{A}:root"
SCRIPT = """
import { runSimulation } from '@cloud-copilot/iam-simulate'
import { createInterface } from 'node:readline'
for await (const line of createInterface({ input: process.stdin })) {
  const result = await runSimulation(JSON.parse(line), {})
  console.log(JSON.stringify({ overall: result.overallResult, errors: result.errors }))
}
"""

ACTIONS = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
OBJECTS = ["arn:aws:s3:::clicks/2026/a.csv", "arn:aws:s3:::clicks/ana/b", "arn:aws:s3:::logs/x"]
CONTEXT = {
    "aws:username": ["ana"],
    "aws:PrincipalTag/team": ["data", "ops"],
    "aws:SourceIp": ["10.0.0.7", "192.168.1.1"],
    "aws:RequestedRegion": ["eu-west-1", "us-east-1"],
    "aws:MultiFactorAuthPresent": ["true", "false"],
    "aws:CurrentTime": ["2026-11-01T00:00:00Z"],
    "aws:PrincipalOrgID": ["o-exampleorg"],
    "aws:PrincipalArn": [USER],
}
CONDITIONS = [
    ("StringEquals", "aws:PrincipalTag/team", ["data"]),
    ("StringEquals", "aws:PrincipalTag/team", ["ops", "data"]),
    ("StringNotEquals", "aws:PrincipalTag/team", ["data"]),
    ("StringNotEqualsIfExists", "aws:PrincipalTag/team", ["data"]),
    ("StringEqualsIfExists", "aws:RequestedRegion", ["eu-west-1"]),
    ("StringLike", "aws:RequestedRegion", ["eu-*"]),
    ("StringNotLike", "aws:RequestedRegion", ["eu-*", "ap-*"]),
    ("StringEqualsIgnoreCase", "aws:PrincipalTag/team", ["DATA"]),
    ("StringNotEqualsIgnoreCase", "aws:PrincipalTag/team", ["DATA"]),
    ("IpAddress", "aws:SourceIp", ["10.0.0.0/8"]),
    ("NotIpAddress", "aws:SourceIp", ["10.0.0.0/8", "192.168.1.1/32"]),
    ("Bool", "aws:MultiFactorAuthPresent", ["true"]),
    ("Bool", "aws:MultiFactorAuthPresent", ["false"]),
    ("BoolIfExists", "aws:MultiFactorAuthPresent", ["true"]),
    ("Null", "aws:PrincipalTag/team", ["true"]),
    ("Null", "aws:MultiFactorAuthPresent", ["false"]),
    ("DateGreaterThan", "aws:CurrentTime", ["2026-01-01T00:00:00Z"]),
    ("DateLessThan", "aws:CurrentTime", ["2026-01-01T00:00:00Z"]),
    ("ArnLike", "aws:PrincipalArn", [f"arn:aws:iam::{A}:user/*"]),
    ("ArnNotLike", "aws:PrincipalArn", ["arn:aws:iam::*:role/*"]),
    ("ArnEquals", "aws:PrincipalArn", [USER]),
    ("StringEquals", "aws:PrincipalOrgID", ["o-exampleorg"]),
]
PRINCIPALS = [
    "*",
    {"AWS": "*"},
    {"AWS": USER},
    {"AWS": ROLE},
    {"AWS": SESSION},
    {"AWS": ROOT},
    {"AWS": A},
    {"AWS": [USER, ROLE]},
]
PRINCIPALS += [{"AWS": f"arn:aws:iam::{A}:user/ben"}, {"Service": "s3.amazonaws.com"}]


def statement(draw: random.Random, principal: bool) -> dict:
    effect = draw.choices(["Allow", "Deny"], [4, 1])[0]
    found: dict = {"Effect": effect}
    found[draw.choices(["Action", "NotAction"], [5, 1])[0]] = draw.choice(
        [
            "*",
            "s3:*",
            "s3:Get*",
            "s3:GetObject",
            "S3:getobject",
            ["s3:PutObject", "s3:Get?bject"],
            "ec2:*",
            "s3:DeleteObject",
        ]
    )
    found[draw.choices(["Resource", "NotResource"], [5, 1])[0]] = draw.choice(
        [
            "*",
            "arn:aws:s3:::clicks/*",
            "arn:aws:s3:::clicks/????/*",
            ["arn:aws:s3:::logs/*", "arn:aws:s3:::clicks/2026/a.csv"],
            "arn:aws:s3:::*",
            "arn:aws:s3:::clicks",
            "arn:aws:s3:::Clicks/*",
        ]
    )
    if principal:
        found["Principal"] = draw.choice(PRINCIPALS)
    if draw.random() < 0.5:
        found["Condition"] = {}
        for operator, key, values in draw.sample(CONDITIONS, draw.randint(1, 2)):
            found["Condition"].setdefault(operator, {})[key] = values
    return found


def document(draw: random.Random, principal: bool = False) -> dict:
    return {"Version": "2012-10-17", "Statement": [statement(draw, principal) for _ in range(draw.randint(1, 3))]}


def case(draw: random.Random) -> dict:
    caller = draw.choice([USER, USER, SESSION])
    context = {name: draw.choice(values) for name, values in CONTEXT.items() if draw.random() < 0.7}
    scps = (
        [[document(draw)] if draw.random() < 0.3 else [everything()] for _ in range(2)] if draw.random() < 0.4 else []
    )
    found = {
        "request": {
            "principal": caller,
            "action": draw.choice(ACTIONS),
            "resource": {"resource": draw.choice(OBJECTS), "accountId": draw.choice([A, A, B])},
            "contextVariables": context,
        },
        "identityPolicies": [{"name": str(i), "policy": document(draw)} for i in range(draw.randint(0, 2))],
        "serviceControlPolicies": [
            {"orgIdentifier": str(i), "policies": [{"name": "p", "policy": one} for one in level]}
            for i, level in enumerate(scps)
        ],
        "resourceControlPolicies": [],
    }
    if draw.random() < 0.6:
        found["resourcePolicy"] = document(draw, principal=True)
    if draw.random() < 0.4:
        found["permissionBoundaryPolicies"] = [{"name": "b", "policy": document(draw)}]
    return found


def everything() -> dict:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


def ours(one: dict) -> str:
    asked = one["request"]
    caller = asked["principal"]
    principal = Principal(USER, A, "user") if caller == USER else Principal(SESSION, A, "role", ROLE)
    boundary = one.get("permissionBoundaryPolicies")
    decision = evaluate(
        Request(
            principal,
            asked["action"],
            asked["resource"]["resource"],
            asked["resource"]["accountId"],
            asked["contextVariables"],
        ),
        Policies(
            identity=tuple(Policy.parse(found["policy"], found["name"]) for found in one["identityPolicies"]),
            resource=Policy.parse(one["resourcePolicy"]) if "resourcePolicy" in one else None,
            boundary=Policy.parse(boundary[0]["policy"]) if boundary else None,
            scps=tuple(
                tuple(Policy.parse(found["policy"]) for found in level["policies"])
                for level in one["serviceControlPolicies"]
            ),
        ),
    )
    return "Allowed" if decision.allowed else "ExplicitlyDenied" if decision.explicit else "ImplicitlyDenied"


@pytest.mark.skipif(not FOLDER or not shutil.which("node"), reason="optional: set IAM_SIMULATE, see above")
def test_agrees_with_another_implementation() -> None:
    draw = random.Random(int(os.environ.get("IAM_SEED", "0")))
    cases = [case(draw) for _ in range(int(os.environ.get("IAM_CASES", "3000")))]
    script = Path(FOLDER) / "opslab-oracle.mjs"
    script.write_text(SCRIPT)
    lines = "\n".join(map(json.dumps, cases))
    done = subprocess.run(["node", script.name], cwd=FOLDER, input=lines, capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(cases)
    differ = [
        (answer["overall"] or answer["errors"], ours(one), one)
        for one, answer in zip(cases, answers, strict=True)
        if answer["overall"] != ours(one)
    ]
    assert not differ, f"{len(differ)} of {len(cases)} differ; the first: {json.dumps(differ[0], indent=1)}"
    assert {ours(one) for one in cases} == {"Allowed", "ExplicitlyDenied", "ImplicitlyDenied"}
