"""What somebody may do, asked of the evaluator for thousands of requests at once, without doing any of them.

    >>> audit.beyond(aws, "arn:aws:iam::111111111111:role/loader", ["s3"], ["arn:aws:s3:::clicks/1.csv"], {})  # doctest: +SKIP
    [('s3:GetObject', 'arn:aws:s3:::clicks/1.csv')]
    >>> audit.trusted(aws, "arn:aws:iam::111111111111:role/loader")                                            # doctest: +SKIP
    ['staging/ana']

A check that has done the calls that matter asks here about all the others.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from opslab.worlds.aws import context, operations
from opslab.worlds.aws.policy import Policies, Policy, Principal, Request, evaluate
from opslab.worlds.aws.state import Caller, iam

if TYPE_CHECKING:
    from opslab.worlds.aws.organisation import Organisation

STRANGER = "999900001111"
"""An account that is none of ours."""

NETWORK = {"aws:SourceIp": "127.0.0.1", "aws:RequestedRegion": "eu-west-1", "aws:SecureTransport": "true"}
ANYTHING = Policy.parse(
    '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}', ""
)


@cache
def actions(service: str) -> tuple[str, ...]:
    """All actions of a service that IAM knows, as `s3:GetObject`."""
    names = operations.DATA.actions.get_actions_for_service(service)
    return tuple(f"{service}:{operations.DATA.actions.get_action_details(service, name)['name']}" for name in names)


MOST = 20


def beyond(
    aws: Organisation,
    caller: str,
    services: Iterable[str],
    resources: Iterable[str],
    wanted: Mapping[str, Iterable[str]],
) -> list[tuple[str, str]]:
    """The (action, resource) that a user or role may do by its own policies beyond what is wanted; the first MOST of them.

    caller: the ARN of a user or role. Every action of the services is tried on every resource that is an ARN of that service,
    and on "*". wanted: for a resource, the actions that are meant. Raises LookupError where there is no such caller.
    """
    principal, found = _principal(aws, caller)
    identity, boundary = aws.state.identity(principal)
    keys = {**NETWORK, **context.of_caller(found, aws.organisation_id, aws.state.entity_tags(principal))}
    policies = Policies(identity=identity, boundary=boundary)
    meant = {resource: set(those) for resource, those in wanted.items()}
    resources = list(resources)
    too_much = []
    for service in services:
        own = [arn for arn in resources if arn.split(":")[2] == service]
        for resource in ("*", *own):
            for action in actions(service):
                if action in meant.get(resource, ()):
                    continue
                request = Request(principal, action, resource, principal.account, keys)
                if evaluate(request, policies).allowed:
                    too_much.append((action, resource))
                    if len(too_much) == MOST:
                        return too_much
    return too_much


def reach(aws: Organisation, asked: Iterable[tuple[str, str, str]]) -> list[list[str]]:
    """For each (action, resource, its account): everybody who can do it, both sides considered, as "account/name"."""
    everybody = [(name, aws.state.caller_named(arn)) for name, arn in _sessions(aws)]
    call = operations.Call("s3", "GetObject", {}, "", "eu-west-1", "")
    return [
        [
            name
            for name, caller in everybody
            if aws.guard.decide(operations.Ask(action, resource, account), caller, call, NETWORK).allowed
        ]
        for action, resource, account in asked
    ]


def trusted(aws: Organisation, role: str) -> list[str]:
    """Everybody whom the trust policy of a role lets in, if only their own policies allowed it; "account/name".

    A condition that a caller can satisfy by what they say (a session's name, an external id, a tag) counts as satisfied. A
    service is named by its name, somebody from an account that is not ours is "a stranger".
    """
    text = aws.state.role(role).assume_role_policy_document
    policy = Policy.parse(text, "trust policy")
    found = []
    for name, arn in [*_sessions(aws), ("a stranger", f"arn:aws:iam::{STRANGER}:user/stranger")]:
        principal, caller = _principal(aws, arn)
        own = context.of_caller(
            caller, aws.organisation_id, aws.state.entity_tags(principal) if name != "a stranger" else {}
        )
        policies = Policies(identity=(ANYTHING,), resource=policy, resource_kind="trust")
        if any(
            evaluate(
                Request(principal, "sts:AssumeRole", role, role.split(":")[4], {**NETWORK, **own, **said}), policies
            ).allowed
            for said in _sayings(text)
        ):
            found.append(name)
    return found + sorted(_services(text))


def everybody(aws: Organisation) -> list[str]:
    """The ARNs of all users and roles."""
    return sorted(
        one.arn
        for account in aws.accounts.values()
        for one in (*iam(account).users.values(), *iam(account).roles.values())
    )


def _sayings(text: str) -> Iterator[dict[str, Any]]:
    """What a caller may say when asking for a role: nothing, and each value that the trust policy's conditions speak of."""
    said: dict[str, Any] = {}
    for statement in _statements(text):
        for keys in statement.get("Condition", {}).values():
            for key, value in keys.items():
                if key.lower().startswith(("sts:", "aws:requesttag/", "aws:tagkeys", "aws:multifactor")):
                    said[key] = value[0] if isinstance(value, list) else value
    yield {}
    yield {key: str(value).replace("*", "x").replace("?", "x") for key, value in said.items()}


def _services(text: str) -> set[str]:
    found = set()
    for statement in _statements(text):
        principal = statement.get("Principal", {})
        if statement.get("Effect") == "Allow" and isinstance(principal, dict):
            for kind in ("Service", "Federated"):
                value = principal.get(kind, [])
                found |= {value} if isinstance(value, str) else set(value)
    return found


def _statements(text: str) -> list[dict[str, Any]]:
    statements = json.loads(text).get("Statement", [])
    return statements if isinstance(statements, list) else [statements]


def _sessions(aws: Organisation) -> list[tuple[str, str]]:
    """("account/name", ARN) of every user, and of a session of every role."""
    found = []
    for name, account in aws.accounts.items():
        backend = iam(account)
        found += [(f"{name}/{user.name}", user.arn) for user in backend.users.values()]
        found += [
            (f"{name}/{role.name}", f"arn:aws:sts::{account}:assumed-role/{role.name}/audit")
            for role in backend.roles.values()
        ]
    return sorted(found)


def _principal(aws: Organisation, arn: str) -> tuple[Principal, Caller]:
    """The caller behind an ARN; of a role, a session of it. An account that is not ours: believed."""
    parts = arn.split(":")
    if parts[4] not in aws.accounts.values():
        principal = Principal(arn, parts[4], "user")
        return principal, Caller(principal, "", True, arn.rsplit("/", 1)[-1])
    if ":role/" in arn:
        arn = f"arn:aws:sts::{parts[4]}:assumed-role/{arn.rsplit('/', 1)[-1]}/audit"
    caller = aws.state.caller_named(arn)
    if caller is None:
        raise LookupError(f"There is no {arn}.")
    return caller.principal, caller
