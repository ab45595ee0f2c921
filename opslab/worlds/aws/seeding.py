"""Furnishing an organisation at its start: users, roles, buckets …, by direct calls, without asking for permission.

    >>> def start(aws, twists):
    ...     staging = Furnisher(aws, "staging")
    ...     staging.user("ana", {"read": allow("s3:GetObject", "arn:aws:s3:::clicks/*")})
    ...     staging.role("loader", trust(service="ecs-tasks.amazonaws.com"))

A thousand such calls cost what twenty requests would. Ids depend on the organisation's seed and on names alone.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from opslab.worlds.aws import keys
from opslab.worlds.aws.clients import REGION
from opslab.worlds.aws.policy import Policy, Principal
from opslab.worlds.aws.state import Session, backend_of, iam

if TYPE_CHECKING:
    from opslab.worlds.aws.organisation import Organisation

Document = dict[str, Any]


# ---- documents --------------------------------------------------------------------------------------------------------


def document(*statements: Document) -> Document:
    """A policy of these statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def statement(effect: str, action: str | list[str], resource: str | list[str], **more: Any) -> Document:
    """One statement. more: `Condition={…}`, `Sid="…"`, `Principal=…`."""
    return {**more, "Effect": effect, "Action": action, "Resource": resource}


def allow(action: str | list[str], resource: str | list[str] = "*", **more: Any) -> Document:
    """A policy with one statement that allows."""
    return document(statement("Allow", action, resource, **more))


def trust(*arns: str, service: str = "", condition: Document | None = None) -> Document:
    """A trust policy for these principals, or for a service."""
    principal = {"Service": service} if service else {"AWS": arns[0] if len(arns) == 1 else list(arns)}
    one: Document = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return document({**one, "Condition": condition} if condition else one)


# ---- things -------------------------------------------------------------------------------------------------------------


class Furnisher:
    """Puts things into one account of an organisation. Policies are given by name: `{"read-clicks": {…}}`."""

    def __init__(self, aws: Organisation, account: str) -> None:
        self.aws, self.account = aws, aws.account(account)
        self.iam = iam(self.account)

    def _seed(self, what: str) -> None:
        from moto.moto_api._internal import mock_random

        mock_random.seed(f"{self.aws.seed}/{self.account}/{what}")

    def group(self, name: str, policies: Mapping[str, Document]) -> None:
        """A group with inline policies."""
        self._seed(f"group {name}")
        self.iam.create_group(name)
        for title, policy in policies.items():
            self.iam.put_group_policy(name, title, json.dumps(policy))

    def user(
        self,
        name: str,
        policies: Mapping[str, Document] | None = None,
        *,
        groups: Iterable[str] = (),
        boundary: str = "",
        path: str = "/",
        active: bool = True,
    ) -> str:
        """A user with inline policies and an access key; returns the ARN. boundary: the ARN of a policy."""
        self._seed(f"user {name}")
        made = self.iam.create_user("aws", name, path)
        for title, policy in (policies or {}).items():
            self.iam.put_user_policy(name, title, json.dumps(policy))
        for group in groups:
            self.iam.add_user_to_group(group, name)
        if boundary:
            made.permissions_boundary = {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": boundary}
        self.aws.access_key(self.account, name)
        if not active:
            made.access_keys[0].status = "Inactive"
        return made.arn

    def role(
        self,
        name: str,
        trusted: Document,
        policies: Mapping[str, Document] | None = None,
        *,
        boundary: str = "",
        path: str = "/",
        description: str = "",
    ) -> str:
        """A role with a trust policy and inline policies; returns the ARN."""
        self._seed(f"role {name}")
        made = self.iam.create_role(name, json.dumps(trusted), path, boundary or None, description, [], "3600")
        for title, policy in (policies or {}).items():
            self.iam.put_role_policy(name, title, json.dumps(policy))
        return made.arn

    def policy(self, name: str, content: Document) -> str:
        """A managed policy; returns its ARN."""
        self._seed(f"policy {name}")
        return self.iam.create_policy("", "/", json.dumps(content), name, []).arn

    def bucket(self, name: str, objects: Mapping[str, str] | None = None, policy: Document | None = None) -> str:
        """A bucket with objects (key: text) and a policy; returns its ARN."""
        backend = backend_of("s3", self.account, "aws")
        self._seed(f"bucket {name}")
        backend.create_bucket(name, REGION)
        for key, text in (objects or {}).items():
            backend.put_object(name, key, text.encode())
        if policy:
            backend.put_bucket_policy(name, json.dumps(policy).encode())
        return f"arn:aws:s3:::{name}"

    def stream(self, name: str) -> str:
        """A Kinesis stream with one shard; returns its ARN."""
        self._seed(f"stream {name}")
        return backend_of("kinesis", self.account, REGION).create_stream(name, 1).arn

    def queue(self, name: str, policy: Document | None = None) -> str:
        """An SQS queue; returns its ARN."""
        self._seed(f"queue {name}")
        made = backend_of("sqs", self.account, REGION).create_queue(name)
        if policy:
            made.policy = json.dumps(policy)
        return made.queue_arn

    def secret(self, name: str, value: str) -> str:
        """A secret; returns its ARN, which ends with six letters that AWS has drawn."""
        self._seed(f"secret {name}")
        backend = backend_of("secretsmanager", self.account, REGION)
        backend.create_secret(name, value, None, "", [], None, None, [], False)
        return backend.secrets[name].arn

    def parameter(self, name: str, value: str) -> str:
        """A parameter of Systems Manager; returns its ARN."""
        self._seed(f"parameter {name}")
        backend = backend_of("ssm", self.account, REGION)
        backend.put_parameter(name, "", value, "String", "", "", False, [], "text", None, None)
        return f"arn:aws:ssm:{REGION}:{self.account}:parameter/{name.lstrip('/')}"

    def log_group(self, name: str, *streams: str) -> str:
        """A log group with streams; returns its ARN without the `:*` at the end."""
        self._seed(f"log group {name}")
        backend = backend_of("logs", self.account, REGION)
        backend.create_log_group(name, {})
        for stream in streams:
            backend.create_log_stream(name, stream)
        return f"arn:aws:logs:{REGION}:{self.account}:log-group:{name}"

    def repository(self, name: str, *, policy: Document | None = None, immutable: bool = False) -> str:
        """An ECR repository; returns its ARN. immutable: its tags cannot be moved."""
        backend = backend_of("ecr", self.account, REGION)
        made = backend.create_repository(name, None, {}, None, "IMMUTABLE" if immutable else "MUTABLE", [])
        if policy:
            made.policy = json.dumps(policy)
        return made.arn

    def key(self, alias: str, policy: Document) -> str:
        """A KMS key; returns its ARN."""
        self._seed(f"key {alias}")
        backend = backend_of("kms", self.account, REGION)
        made = backend.create_key(json.dumps(policy), "ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT", alias, None)
        backend.create_alias(made.id, f"alias/{alias}")
        return made.arn

    def session(
        self, role: str, name: str, *, expired: bool = False, policy: Document | None = None
    ) -> tuple[str, str, str]:
        """Credentials of a session of a role that somebody has started; (key, secret, token), see `session_keys`."""
        arn = self.aws.state.entity_arn(self.account, "role", role)
        key, secret, token = session_keys(self.aws.seed, self.account, role, name)
        now = datetime.datetime.now(datetime.UTC)
        hours = datetime.timedelta(hours=-2) if expired else datetime.timedelta(days=365)
        principal = Principal(f"arn:aws:sts::{self.account}:assumed-role/{role}/{name}", self.account, "role", arn)
        policies = (Policy.parse(json.dumps(policy), "session policy"),) if policy else None
        self.aws.state.sessions[key] = Session(principal, key, secret, token, now, now + hours, "", policies)
        return key, secret, token


def session_keys(seed: int, account: str, role: str, name: str) -> tuple[str, str, str]:
    """(key, secret, token) of a session that `Furnisher.session` starts."""
    key, secret = keys.access_key(seed, account, f"role {role} session {name}")
    return f"ASIA{key[4:]}", secret, f"{secret}{secret}".replace("+", "x")
