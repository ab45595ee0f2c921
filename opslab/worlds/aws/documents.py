"""What comes with an allowed call: policy documents that must be well-formed, and sessions that must be remembered."""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from opslab.worlds.aws import moto_fixes, operations, policy_grammar
from opslab.worlds.aws.policy import Policies, Policy, Principal, Request, evaluate
from opslab.worlds.aws.state import Session, default_version, iam
from opslab.worlds.aws.wording import Refusal, Reply

if TYPE_CHECKING:
    from opslab.worlds.aws.guard import Work

MANAGED = "arn:aws:iam::aws:policy/"

# (service, operation): the parameter that holds a policy document, and its use.
DOCUMENTS: dict[tuple[str, str], tuple[str, policy_grammar.Use]] = {
    ("iam", "CreatePolicy"): ("PolicyDocument", "identity"),
    ("iam", "CreatePolicyVersion"): ("PolicyDocument", "identity"),
    ("iam", "PutUserPolicy"): ("PolicyDocument", "identity"),
    ("iam", "PutRolePolicy"): ("PolicyDocument", "identity"),
    ("iam", "PutGroupPolicy"): ("PolicyDocument", "identity"),
    ("iam", "CreateRole"): ("AssumeRolePolicyDocument", "trust"),
    ("iam", "UpdateAssumeRolePolicy"): ("PolicyDocument", "trust"),
    ("sts", "AssumeRole"): ("Policy", "identity"),
    ("sts", "GetFederationToken"): ("Policy", "identity"),
    ("s3", "PutBucketPolicy"): ("Policy", "bucket"),
    ("kms", "CreateKey"): ("Policy", "resource"),
    ("kms", "PutKeyPolicy"): ("Policy", "resource"),
    ("secretsmanager", "PutResourcePolicy"): ("ResourcePolicy", "resource"),
    ("ecr", "SetRepositoryPolicy"): ("policyText", "resource"),
    ("sqs", "CreateQueue"): ("Attributes.Policy", "resource"),
    ("sqs", "SetQueueAttributes"): ("Attributes.Policy", "resource"),
    ("kinesis", "PutResourcePolicy"): ("Policy", "resource"),
    ("dynamodb", "PutResourcePolicy"): ("Policy", "resource"),
}


def check(work: Work) -> None:
    """After the decision and before moto: what AWS would refuse for its content. Raises `Refusal`."""
    params = work.params
    account = work.call.account
    for arn in _named_policies(params):
        if arn.startswith(MANAGED):
            moto_fixes.add_aws_managed(account, arn)
    boundary = params.get("PermissionsBoundary") if work.service == "iam" else None
    if boundary and boundary not in iam(account).managed_policies:
        raise Refusal("NoSuchEntity", f"Scope ARN: {boundary} does not exist or is not attachable.", 404)
    if place := DOCUMENTS.get((work.service, work.operation)):
        document: Any = params
        for name in place[0].split("."):
            document = document.get(name) if isinstance(document, dict) else None
        if isinstance(document, bytes):
            document = document.decode("utf-8", "replace")
        if document:
            _check_document(work, document, place[1])
    if work.operation == "AssumeRole":
        _check_session(work)


def _named_policies(params: Any) -> Iterator[str]:
    for name in ("PolicyArn", "PermissionsBoundary"):
        if isinstance(params.get(name), str):
            yield params[name]
    for one in params.get("PolicyArns") or []:
        if isinstance(one, dict) and isinstance(one.get("arn"), str):
            yield one["arn"]


def _check_document(work: Work, document: str, use: policy_grammar.Use) -> None:
    exists = work.state.exists if work.guard.rules.check_principals else (lambda arn: True)
    reason = policy_grammar.problem(document, use, exists, _acts_on_objects)
    if reason:
        raise _malformed(work.service, reason)
    if work.service == "iam":
        _check_size(work, document)
    if work.service == "kms" and not work.params.get("BypassPolicyLockoutSafetyCheck"):
        _check_lockout(work, document)


def _malformed(service: str, reason: str) -> Refusal:
    if service == "sqs":
        return Refusal("InvalidAttributeValue", "Invalid value for the parameter Policy.", 400)
    if service == "ecr":
        sentence = (
            "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid repository policy provided'"
        )
        return Refusal("InvalidParameterException", sentence, 400)
    if service == "dynamodb":
        return Refusal("ValidationException", f"Invalid policy document: {reason}", 400)
    if service == "kinesis":
        return Refusal("InvalidArgumentException", f"Invalid policy document: {reason}", 400)
    return Refusal("MalformedPolicyDocument", reason, 400)


def _acts_on_objects(action: str) -> bool | None:
    details = operations.action_details("s3", action.partition(":")[2])
    kinds = {one["name"] for one in details["resourceTypes"]} if details else set()
    return True if "object" in kinds else False if "bucket" in kinds else None


def _check_size(work: Work, document: str) -> None:
    params, account = work.params, work.call.account
    size = policy_grammar.size(document)
    if work.operation in ("CreateRole", "UpdateAssumeRolePolicy"):
        if size > policy_grammar.SIZES["trust"]:
            raise Refusal(
                "LimitExceeded", f"Cannot exceed quota for ACLSizePerRole: {policy_grammar.SIZES['trust']}", 409
            )
    elif work.operation in ("CreatePolicy", "CreatePolicyVersion"):
        if size > policy_grammar.SIZES["managed"]:
            raise Refusal(
                "LimitExceeded", f"Cannot exceed quota for PolicySize: {policy_grammar.SIZES['managed']}", 409
            )
    else:
        kind = re.sub(r"Put(\w+)Policy", r"\1", work.operation)
        name = params.get(f"{kind}Name", "")
        backend = iam(account)
        those = {"User": backend.users, "Role": backend.roles, "Group": backend.groups}[kind]
        owner = next((one for one in those.values() if one.name == name), None)
        others = {key: text for key, text in owner.policies.items() if key != params.get("PolicyName")} if owner else {}
        limit = policy_grammar.SIZES[kind.lower()]
        if size + sum(map(policy_grammar.size, others.values())) > limit:
            sentence = f"Maximum policy size of {limit} bytes exceeded for {kind.lower()} {name}"
            raise Refusal("LimitExceeded", sentence, 409)


def _check_lockout(work: Work, document: str) -> None:
    """KMS refuses a key policy under which the caller could not change the key policy any more."""
    account = work.call.account
    identity, _ = work.state.identity(work.caller.principal)
    asked = Request(work.caller.principal, "kms:PutKeyPolicy", f"arn:aws:kms:{work.region}:{account}:key/new", account)
    policies = Policies(identity=identity, resource=Policy.parse(document), resource_kind="key")
    if not evaluate(asked, policies).allowed:
        sentence = "The new key policy will not allow you to update the key policy in the future."
        raise Refusal("MalformedPolicyDocument", sentence, 400)


# --- Sessions ----------------------------------------------------------------------------------------------------------


def _check_session(work: Work) -> None:
    params = work.params
    seconds = int(params.get("DurationSeconds") or 3600)
    role = work.state.role(params["RoleArn"])
    if work.caller.principal.kind == "role" and seconds > 3600:
        sentence = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
        raise Refusal("ValidationError", sentence, 400)
    if role is not None and seconds > int(role.max_session_duration or 3600):
        sentence = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        raise Refusal("ValidationError", sentence, 400)
    name = str(params.get("RoleSessionName") or "")
    if not re.fullmatch(r"[\w+=,.@-]{2,64}", name):
        sentence = (
            f"1 validation error detected: Value '{name}' at 'roleSessionName' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: [\\w+=,.@-]*"
        )
        raise Refusal("ValidationError", sentence, 400)
    if params.get("SerialNumber"):
        user = iam(work.call.account).users.get(work.caller.user_name)
        if user is None or params["SerialNumber"] not in user.mfa_devices:
            raise Refusal("AccessDenied", "MultiFactorAuthentication failed with invalid MFA one time pass code.")


def session_token_limits(work: Work) -> None:
    """What the credentials of GetSessionToken cannot do: no IAM without MFA, of STS only AssumeRole and
    GetCallerIdentity. (STS/latest/APIReference/API_GetSessionToken)"""
    session = work.caller.session
    allowed = ("AssumeRole", "GetCallerIdentity")
    if (work.service == "iam" and not session.mfa) or (work.service == "sts" and work.operation not in allowed):
        raise Refusal("AccessDenied", "Cannot call IAM API with session credentials, or this API of STS")


def remember_session(work: Work, reply: Reply) -> Reply:
    """Takes note of the credentials that moto has just made."""
    if work.operation == "AssumeRole":
        _remember_role(work)
    elif work.operation in ("GetSessionToken", "GetFederationToken"):
        return _remember_token(work, reply)
    elif work.operation == "GetCallerIdentity":
        # Moto does not know all sessions; of the others it would say that they are a user "moto".
        principal = work.caller.principal
        user_id = work.state.user_id(principal)
        if principal.kind == "role":
            user_id = f"{user_id}:{principal.arn.rsplit('/', 1)[-1]}"
        if principal.kind == "federated":
            user_id = f"{principal.account}:{work.caller.user_name}"
        body = re.sub(rb"<Arn>.*?</Arn>", f"<Arn>{principal.arn}</Arn>".encode(), reply.body)
        return _with_body(reply, re.sub(rb"<UserId>.*?</UserId>", f"<UserId>{user_id}</UserId>".encode(), body))
    return reply


def _with_body(reply: Reply, body: bytes) -> Reply:
    headers = tuple((name, value) for name, value in reply.headers if name.lower() != "content-length")
    return Reply(reply.status, (*headers, ("Content-Length", str(len(body)))), body)


def _session_policies(work: Work) -> tuple[Policy, ...] | None:
    params = work.params
    found = [Policy.parse(params["Policy"], "session policy")] if params.get("Policy") else []
    for one in params.get("PolicyArns") or []:
        managed = iam(work.call.account).managed_policies.get(one["arn"])
        found.append(
            Policy.parse(default_version(managed), f"{managed.name}, session policy")
            if managed
            else Policy(one["arn"], ())
        )
    return tuple(found) or None


def _remember_role(work: Work) -> None:
    from moto.sts.models import sts_backends

    from opslab.worlds.aws.context import request_tags

    params, before = work.params, work.caller.session
    account = params["RoleArn"].split(":")[4]
    made = sts_backends[account]["aws"].assumed_roles[-1]
    tags = (
        {key: value for key, value in (before.tags if before else {}).items() if key in before.transitive}
        if before
        else {}
    )
    transitive = set(before.transitive) if before else set()
    work.state.sessions[made.access_key_id] = Session(
        principal=Principal(made.arn, account, "role", params["RoleArn"]),
        access_key=made.access_key_id,
        secret=made.secret_access_key,
        token=made.session_token,
        issued=work.now,
        expires=work.now + datetime.timedelta(seconds=int(params.get("DurationSeconds") or 3600)),
        name="",
        policies=_session_policies(work),
        tags={**request_tags(params)[0], **tags},
        transitive=frozenset(transitive | set(params.get("TransitiveTagKeys") or [])),
        source_identity=params.get("SourceIdentity") or (before.source_identity if before else ""),
        mfa=bool(params.get("SerialNumber")),
    )


EXAMPLE_KEY = "AKIAIOSFODNN7EXAMPLE"
EXAMPLE_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY"
"""What moto answers to everybody who asks for a session token. They are AWS's documentation's examples."""


def _remember_token(work: Work, reply: Reply) -> Reply:
    from moto.moto_api._internal import mock_random

    params, caller = work.params, work.caller
    key = "ASIA" + mock_random.get_random_string(16).upper()
    secret = mock_random.get_random_string(40)
    token = hashlib.sha256(f"{key}{secret}".encode()).hexdigest() * 3
    principal, policies, name = caller.principal, None, caller.user_name
    if work.operation == "GetFederationToken":
        arn = f"arn:aws:sts::{principal.account}:federated-user/{params['Name']}"
        principal, name = Principal(arn, principal.account, "federated", principal.arn), params["Name"]
        policies = _session_policies(work) or ()  # none passed: it may nothing
    work.state.sessions[key] = Session(
        principal=principal,
        access_key=key,
        secret=secret,
        token=token,
        issued=work.now,
        expires=work.now + datetime.timedelta(seconds=int(params.get("DurationSeconds") or 43200)),
        name=name,
        policies=policies,
        tags=_federation_tags(work),
        mfa=bool(params.get("SerialNumber") and params.get("TokenCode")),
    )
    body = reply.body.replace(EXAMPLE_KEY.encode(), key.encode()).replace(EXAMPLE_SECRET.encode(), secret.encode())
    body = re.sub(rb"<SessionToken>.*?</SessionToken>", f"<SessionToken>{token}</SessionToken>".encode(), body)
    return _with_body(reply, body)


def _federation_tags(work: Work) -> dict[str, str]:
    from opslab.worlds.aws.context import request_tags

    return request_tags(work.params)[0] if work.operation == "GetFederationToken" else {}
