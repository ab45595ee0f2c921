"""Task 4.3: what the deployer may do, and that the job needs what `wanted` says, no more and no less."""

from __future__ import annotations

import contextlib
import io
import json
import runpy
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from opslab.scenarios.terraform_gitops import common, service_role
from opslab.worlds.aws import audit
from opslab.worlds.aws.cloud import Actor, Answer
from opslab.worlds.aws.organisation import Organisation
from opslab.worlds.aws.seeding import document, statement, trust

SEEDS = (1, 2)
BOUNDARY = common.boundary(common.STAGING)


@pytest.fixture(scope="module", params=SEEDS)
def aws(request) -> Iterator[Organisation]:
    def start(aws: Organisation) -> None:
        common.furnish(aws)
        service_role.furnish(aws)

    with Organisation(common.ACCOUNTS, seed=request.param, start=start) as running:
        yield running


def as_role(aws: Organisation, name: str) -> Actor:
    return Actor(aws.endpoint, *aws.role_session("staging", name))


def create(aws: Organisation, name: str, **more: str) -> Answer:
    """Let the deployer make a role."""
    trusted = json.dumps(trust(service="lambda.amazonaws.com"))
    return as_role(aws, "deployer").call("iam", "create_role", RoleName=name, AssumeRolePolicyDocument=trusted, **more)


def permit(aws: Organisation, role: str, statements: list[dict]) -> None:
    """Let the deployer put a policy on a role."""
    policy = json.dumps(document(*statements))
    answer = as_role(aws, "deployer").call(
        "iam", "put_role_policy", RoleName=role, PolicyName="job", PolicyDocument=policy
    )
    assert answer.result is not None, answer.message


def made_job(aws: Organisation) -> None:
    """Let the deployer make the role of the job, for whichever test comes first."""
    try:
        aws.role_session("staging", "job")
    except LookupError:
        assert create(aws, "job", Path=service_role.PATH, PermissionsBoundary=BOUNDARY).result


def least(seed: int) -> list[dict]:
    """The policy that the job needs, a statement for each thing."""
    found = service_role.words(seed)
    statements = []
    for resource, actions in service_role.wanted(seed).items():
        if resource == "*":
            continue
        if actions == ["s3:ListBucket"]:
            condition = {"StringEquals": {"s3:prefix": f"{found['job_input']}/"}}
            statements.append(statement("Allow", actions, resource, Condition=condition))
        else:
            statements.append(statement("Allow", actions, resource))
    return statements


def run(aws: Organisation, role: str, monkeypatch, folder: Path) -> str:
    """What the job prints when it is run as a role, or the sentence with which AWS stops it."""
    monkeypatch.setattr(boto3, "client", as_role(aws, role).client)
    monkeypatch.setattr("sys.argv", ["job.py", service_role.DAY])
    said, script = io.StringIO(), folder / "job.py"
    script.write_text(service_role.script(aws.seed))
    try:
        with contextlib.redirect_stdout(said):
            runpy.run_path(str(script))
    except ClientError as error:
        return str(error)
    return said.getvalue()


def test_the_jobs_remember_in_different_ways():
    assert len({service_role.words(seed)["job_read_action"] for seed in SEEDS}) == 2


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"Path": service_role.PATH},
        {"PermissionsBoundary": BOUNDARY},
        {"Path": "/", "PermissionsBoundary": BOUNDARY},
        {"Path": service_role.PATH, "PermissionsBoundary": f"{BOUNDARY}-of-mine"},
    ],
)
def test_the_deployer_makes_no_role_outside_of_its_limits(aws, more):
    answer = create(aws, "somebody", **more)
    assert not answer.allowed
    assert "iam:CreateRole" in answer.message


def test_a_role_stays_inside_its_boundary(aws):
    assert create(aws, "inside", Path=service_role.PATH, PermissionsBoundary=BOUNDARY).result
    permit(aws, "inside", [statement("Allow", "*", "*")])
    assert as_role(aws, "inside").call("s3", "list_buckets").allowed
    assert not as_role(aws, "inside").call("iam", "list_roles").allowed
    deployer = as_role(aws, "deployer")
    assert not deployer.call("iam", "delete_role_permissions_boundary", RoleName="inside").allowed
    assert not deployer.call("iam", "create_policy", PolicyName="mine", PolicyDocument="{}").allowed


def test_the_job_needs_each_of_these_and_nothing_else(aws, monkeypatch, tmp_path):
    made_job(aws)
    statements = least(aws.seed)
    for one in statements:
        for action in one["Action"]:
            fewer = {**one, "Action": [other for other in one["Action"] if other != action] or ["s3:ListAllMyBuckets"]}
            permit(aws, "job", [fewer if other is one else other for other in statements])
            assert f"not authorized to perform: {action} " in run(aws, "job", monkeypatch, tmp_path)
    permit(aws, "job", statements)
    assert run(aws, "job", monkeypatch, tmp_path).startswith(f"{service_role.DAY}: 3 lines, and the last time: ")


def test_what_the_check_tries_besides_is_denied_and_there(aws):
    """What a role with the least may not do can be done by one that may do everything: so each call means something."""
    made_job(aws)
    permit(aws, "job", least(aws.seed))
    job = as_role(aws, "job")
    for call in (*service_role.too_much(aws.seed), *service_role.too_far(aws.seed)):
        assert not job.call(call.service, call.operation, **call.parameters).allowed, call.text
    arn = f"arn:aws:iam::{common.STAGING}:role{service_role.PATH}job"
    its_own = [one for one in service_role.wanted(aws.seed) if one != "*"]
    resources = [*its_own, *service_role.elsewhere(aws.seed, 5)]
    assert audit.beyond(aws, arn, ["s3", "dynamodb", "ssm", "iam"], resources, service_role.wanted(aws.seed)) == []
    permit(aws, "job", [statement("Allow", "*", "*")])
    # What deletes comes last.
    for call in sorted(
        (*service_role.too_much(aws.seed), *service_role.too_far(aws.seed)), key=lambda one: "delete" in one.operation
    ):
        answer = job.call(call.service, call.operation, **call.parameters)
        assert answer.result is not None, f"{call.text}: {answer.message}"
