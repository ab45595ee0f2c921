"""Everything the guard reads from moto, in one place: keys, policies, owners, tags.

Nothing here decides. All calls happen under the organisation's lock, because moto's own dictionaries are not safe to walk
while another thread writes.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opslab.worlds.aws.operations import Ask, Unmapped
from opslab.worlds.aws.policy import Policy, Principal


@dataclass(frozen=True)
class Session:
    """Temporary credentials, and what was passed when they were made."""

    principal: Principal
    access_key: str
    secret: str
    token: str
    issued: datetime.datetime
    expires: datetime.datetime
    name: str
    policies: tuple[Policy, ...] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    transitive: frozenset[str] = frozenset()
    source_identity: str = ""
    mfa: bool = False


@dataclass(frozen=True)
class Caller:
    """The owner of an access key."""

    principal: Principal
    secret: str
    active: bool = True
    user_name: str = ""
    session: Session | None = None


def backend_of(service: str, account: str, region: str) -> Any:
    """Moto's backend of a service in an account and region (of global services, any). Unmapped for an unknown region."""
    from moto import backends

    backend = backends.get_backend(service)[account]
    try:
        return backend["aws"] if service in ("iam", "sts", "s3") else backend[region]
    except KeyError:
        raise Unmapped(f"{service} in the region {region!r}, which does not exist") from None


def iam(account: str) -> Any:
    """Moto's IAM of an account."""
    return backend_of("iam", account, "aws")


def find(values: Any, **wanted: Any) -> Any:
    """The first of some objects whose attributes have these values, or None."""
    return next((one for one in values if all(getattr(one, name) == value for name, value in wanted.items())), None)


class State:
    """What is there, seen through moto. `accounts` are the ids of the organisation's accounts."""

    def __init__(self, accounts: tuple[str, ...]) -> None:
        self.accounts = accounts
        self.sessions: dict[str, Session] = {}

    # --- who -----------------------------------------------------------------------------------------------------------

    def caller(self, access_key: str) -> Caller | None:
        """Whose key it is, in any of the accounts."""
        if session := self.sessions.get(access_key):
            return Caller(session.principal, session.secret, True, session.name, session)
        for account in self.accounts:
            key = iam(account).access_keys.get(access_key)
            if key is None or not key.user_name:
                continue
            user = iam(account).users.get(key.user_name)
            if user is None or key not in user.access_keys:
                continue
            return Caller(
                Principal(user.arn, account, "user"), key.secret_access_key, key.status == "Active", user.name
            )
        return None

    def caller_named(self, arn: str) -> Caller | None:
        """The caller behind the ARN of a user or of a role's session, without a key: for what a journal tells."""
        parts = arn.split(":")
        if len(parts) != 6 or parts[4] not in self.accounts:
            return None
        kind, _, name = parts[5].partition("/")
        if kind != "user":
            for session in reversed(self.sessions.values()):
                if session.principal.arn == arn:
                    return Caller(session.principal, session.secret, True, session.name, session)
        if kind == "user" and (user := find(iam(parts[4]).users.values(), arn=arn)):
            return Caller(Principal(arn, parts[4], "user"), "", True, user.name)
        if kind == "assumed-role" and (role := find(iam(parts[4]).roles.values(), name=name.partition("/")[0])):
            principal = Principal(arn, parts[4], "role", role.arn)
            now = datetime.datetime.now(datetime.UTC)
            return Caller(principal, "", True, "", Session(principal, "", "", "", now, now, ""))
        return None

    def key_of(self, caller: Caller) -> str:
        """The id of an access key of a user, "" where there is none."""
        user = iam(caller.principal.account).users.get(caller.user_name)
        return user.access_keys[0].access_key_id if user and user.access_keys else ""

    def role(self, arn: str) -> Any:
        """Moto's role of an ARN, in one of our accounts, or None."""
        parts = arn.split(":")
        if len(parts) != 6 or parts[4] not in self.accounts or not parts[5].startswith("role/"):
            return None
        return find(iam(parts[4]).roles.values(), arn=arn)

    def exists(self, arn: str) -> bool:
        """Whether a user, role or session's role named in a Principal element is there. Other accounts: believed."""
        parts = arn.split(":")
        kind, _, rest = parts[5].partition("/")
        if parts[4] not in self.accounts:
            return True
        if kind == "user":
            return find(iam(parts[4]).users.values(), arn=arn) is not None
        if kind == "assumed-role":
            return find(iam(parts[4]).roles.values(), name=rest.split("/")[0]) is not None
        return kind != "role" or self.role(arn) is not None

    # --- policies ------------------------------------------------------------------------------------------------------

    def identity(self, principal: Principal) -> tuple[tuple[Policy, ...], Policy | None]:
        """(identity-based policies, permissions boundary) of a user, or of the role or user behind a session."""
        arn = principal.issuer or principal.arn
        backend = iam(principal.account)
        if ":user/" in arn:
            entity = find(backend.users.values(), arn=arn)
            who = f"user {entity.name}" if entity else ""
        else:
            entity = self.role(arn)
            who = f"role {entity.name}" if entity else ""
        if entity is None:
            return (), None
        found = self._attached(entity, who)
        if who.startswith("user"):
            for group in backend.groups.values():
                if entity in group.users:
                    found += self._attached(group, f"group {group.name}")
        boundary = getattr(entity, "permissions_boundary", None)
        return tuple(found), self._boundary(principal.account, boundary["PermissionsBoundaryArn"]) if boundary else None

    def _attached(self, entity: Any, who: str) -> list[Policy]:
        inline = [
            Policy.parse(_text(document), f"{name}, inline in {who}") for name, document in entity.policies.items()
        ]
        managed = [
            Policy.parse(default_version(one), f"{one.name}, attached to {who}")
            for one in entity.managed_policies.values()
        ]
        return inline + managed

    def _boundary(self, account: str, arn: str) -> Policy:
        found = iam(account).managed_policies.get(arn)
        # A boundary whose policy is gone allows nothing.
        return (
            Policy.parse(default_version(found), f"{found.name}, the permissions boundary")
            if found
            else Policy(arn, ())
        )

    def resource_policy(self, ask: Ask) -> tuple[Policy | None, str]:
        """The resource-based policy of what is asked for, and its kind: resource, trust or key."""
        service, _, _action = ask.action.partition(":")
        if ask.resource == "*":
            return None, "resource"
        if service == "sts" and ":role/" not in ask.resource:
            return None, "resource"
        if service == "sts":
            role = self.role(ask.resource)
            # A role that does not exist trusts nobody, and AWS says no more than that.
            document = _text(role.assume_role_policy_document) if role else json.dumps({"Statement": []})
            return Policy.parse(document, f"trust policy of role {ask.resource.split('/')[-1]}"), "trust"
        document, name, kind = None, "", "resource"
        thing = self.thing(ask)
        if service == "s3":
            document, name = (thing.policy if thing else None), "bucket policy"
        elif service == "sqs" and thing:
            document, name = thing.policy, "queue policy"
        elif service == "kms" and thing:
            document, name, kind = thing.policy, "key policy", "key"
        elif service in ("secretsmanager", "ecr") and thing:
            document, name = thing.policy, "resource policy"
        elif service in ("kinesis", "dynamodb"):
            region = ask.resource.split(":")[3]
            found = backend_of(service, ask.account, region).resource_policies.get(ask.resource.split("/index/")[0])
            document, name = getattr(found, "policy_doc", found), "resource policy"
        if not document:
            return None, "resource"
        return Policy.parse(_text(document), f"{name} of {ask.resource.split(':')[-1].split('/')[0]}"), kind

    def thing(self, ask: Ask) -> Any:
        """Moto's object behind an ARN, for the services whose resources have policies or tags of their own."""
        service = ask.action.split(":")[0]
        parts = ask.resource.split(":", 5)
        if len(parts) < 6 or ask.account not in self.accounts:
            return None
        region, name = parts[3], parts[5]
        if service == "s3":
            return backend_of("s3", ask.account, "aws").buckets.get(name.split("/")[0])
        if service in ("iam", "sts"):
            backend = iam(ask.account)
            return find(
                [*backend.roles.values(), *backend.users.values(), *backend.managed_policies.values()], arn=ask.resource
            )
        backend = backend_of(service, ask.account, region)
        if service == "sqs":
            return backend.queues.get(name)
        if service == "kms":
            return backend.keys.get(name.removeprefix("key/"))
        if service == "secretsmanager":
            return backend.secrets.get(ask.resource)
        if service == "ecr":
            return backend.repositories.get(name.removeprefix("repository/"))
        if service == "kinesis":
            return backend.streams.get(name.removeprefix("stream/").split("/")[0])
        if service == "dynamodb":
            return backend.tables.get(name.removeprefix("table/").split("/")[0])
        return None

    def user_id(self, principal: Principal) -> str:
        """aws:userid: AIDA… of a user, AROA… of the role behind a session."""
        arn = principal.issuer or principal.arn
        entity = self.role(arn) if ":role/" in arn else find(iam(principal.account).users.values(), arn=arn)
        return entity.id if entity else ""

    # --- tags ----------------------------------------------------------------------------------------------------------

    def entity_tags(self, principal: Principal) -> dict[str, str]:
        """The tags of a user, or of the role behind a session."""
        arn = principal.issuer or principal.arn
        if ":role/" in arn:
            role = self.role(arn)
            return _tags(role.tags) if role else {}
        return _tags(iam(principal.account).tagger.list_tags_for_resource(arn)["Tags"])

    def resource_tags(self, ask: Ask) -> dict[str, str]:
        """The tags on the resource of an ask; empty where there is none."""
        service = ask.action.split(":")[0]
        parts = ask.resource.split(":")
        if len(parts) < 6 or ask.account not in self.accounts:
            return {}
        thing = self.thing(ask)
        if service in ("iam", "sts"):
            if thing is not None and ":user/" in ask.resource:
                return _tags(iam(ask.account).tagger.list_tags_for_resource(ask.resource)["Tags"])
            return _tags(getattr(thing, "tags", None))
        if service in ("kinesis", "sqs", "secretsmanager", "dynamodb"):
            return _tags(getattr(thing, "tags", None))
        if service == "s3":
            return {}  # "aws:ResourceTag is not supported" for objects; see object_tags
        backend = backend_of(service, ask.account, parts[3])
        if service == "ssm":
            name = ask.resource.split(":parameter/")[-1]
            for one in (name, "/" + name):
                if found := backend._resource_tags.get("Parameter", {}).get(one):
                    return dict(found)
            return {}
        arn = thing.id if service == "kms" and thing else ask.resource.removesuffix(":log-stream:")
        return backend.tagger.get_tag_dict_for_resource(arn)

    def object_tags(self, ask: Ask) -> dict[str, str]:
        """The tags of an S3 object."""
        _bucket, _, key = ask.resource.removeprefix("arn:aws:s3:::").partition("/")
        found = self.thing(ask)
        stored = found.keys.get(key) if found is not None and key else None
        # What a deleted object leaves in a bucket with versions has no ARN, and no tags.
        arn = getattr(stored, "arn", None)
        return backend_of("s3", ask.account, "aws").tagger.get_tag_dict_for_resource(arn) if arn else {}

    # --- operations.Inventory ------------------------------------------------------------------------------------------

    def bucket_owner(self, bucket: str) -> str | None:
        from moto.s3.models import s3_backends

        found = s3_backends.bucket_accounts.get(bucket)
        return found[1] if found else None

    def object_exists(self, account: str, bucket: str, key: str) -> bool:
        found = backend_of("s3", account, "aws").buckets.get(bucket)
        return found is not None and key in found.keys

    def entity_arn(self, account: str, kind: str, name: str) -> str | None:
        backend = iam(account)
        those = {
            "role": backend.roles,
            "user": backend.users,
            "group": backend.groups,
            "instance-profile": backend.instance_profiles,
        }[kind]
        found = find(those.values(), name=name)
        return found.arn if found else None

    def key_arn(self, account: str, region: str, key: str) -> str | None:
        if key.startswith("arn:"):
            region, account = key.split(":")[3:5]
        if account not in self.accounts:
            return None
        backend = backend_of("kms", account, region)
        try:
            found = backend.keys.get(backend.any_id_to_key_id(key))
        except AttributeError:  # an alias that is not there
            return None
        return found.arn if found else None

    def secret_arn(self, account: str, region: str, name: str) -> str | None:
        if name.startswith("arn:"):
            region, account = name.split(":")[3:5]
        if account not in self.accounts:
            return None
        found = backend_of("secretsmanager", account, region).secrets.get(name)
        return found.arn if found else None

    def workgroup(self, account: str, region: str, query: str) -> str | None:
        backend = backend_of("athena", account, region)
        found = backend.executions.get(query) or backend.named_queries.get(query)
        return found.workgroup.name if found and found.workgroup else None

    def access_key_user(self, account: str, key: str) -> str | None:
        found = iam(account).access_keys.get(key)
        return found.user_name if found else None


def default_version(policy: Any) -> str:
    """The document of a managed policy that counts: its default version."""
    return find(policy.versions, version_id=policy.default_version_id).document


def _text(document: Any) -> str:
    return (
        document.decode()
        if isinstance(document, bytes)
        else document
        if isinstance(document, str)
        else json.dumps(document)
    )


def _tags(tags: Any) -> dict[str, str]:
    """A dict of tags, however moto keeps them."""
    if not tags:
        return {}
    if isinstance(tags, Mapping):
        return {key: value["Value"] if isinstance(value, Mapping) else value for key, value in tags.items()}
    return {tag.get("Key", tag.get("TagKey", "")): tag.get("Value", tag.get("TagValue", "")) for tag in tags}
