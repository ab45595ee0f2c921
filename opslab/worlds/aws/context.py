"""The condition keys of a request: what a policy's Condition block and ${variables} can ask about.

Global keys: IAM/latest/UserGuide/reference_policies_condition-keys.html. Keys of services: the Service Authorization
Reference. A key that AWS would not have in this request must be absent here too, because operators treat absent keys in
their own way.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import Any

from opslab.worlds.aws.operations import Ask, Call
from opslab.worlds.aws.signature import Credential, Http
from opslab.worlds.aws.state import Caller, State

Keys = dict[str, str | list[str]]

STAMP = "%Y-%m-%dT%H:%M:%SZ"


def of_caller(caller: Caller | None, organisation: str, tags: Mapping[str, str]) -> Keys:
    """Properties of the principal."""
    if caller is None:
        return {"aws:PrincipalType": "Anonymous", "aws:PrincipalIsAWSService": "false"}
    principal, session = caller.principal, caller.session
    root = organisation.replace("o-", "r-", 1)[:6]
    keys: Keys = {
        "aws:PrincipalArn": principal.issuer if principal.kind == "role" else principal.arn,
        "aws:PrincipalAccount": principal.account,
        "aws:PrincipalOrgID": organisation,
        "aws:PrincipalOrgPaths": [f"{organisation}/{root}/"],
        "aws:PrincipalType": {"user": "User", "role": "AssumedRole", "federated": "FederatedUser"}.get(
            principal.kind, "Account"
        ),
        "aws:PrincipalIsAWSService": "false",
    }
    keys |= {f"aws:PrincipalTag/{name}": value for name, value in tags.items()}
    if principal.kind == "user":
        keys["aws:username"] = caller.user_name
    if session:
        keys["aws:TokenIssueTime"] = session.issued.strftime(STAMP)
        keys["aws:MultiFactorAuthPresent"] = str(session.mfa).lower()
        if session.mfa:
            age = datetime.datetime.now(datetime.UTC) - session.issued
            keys["aws:MultiFactorAuthAge"] = str(int(age.total_seconds()))
        if session.source_identity:
            keys["aws:SourceIdentity"] = session.source_identity
    return keys


def of_http(http: Http, credential: Credential | None, region: str, address: str, now: datetime.datetime) -> Keys:
    """Properties of the network and of the request."""
    keys: Keys = {
        "aws:SourceIp": address,
        "aws:RequestedRegion": region,
        "aws:CurrentTime": now.strftime(STAMP),
        "aws:EpochTime": str(int(now.timestamp())),
        # The sandbox speaks plain HTTP on the loopback; a real client speaks TLS, so that is what policies see.
        "aws:SecureTransport": "true",
        "aws:ViaAWSService": "false",
    }
    for name, header in (("aws:UserAgent", "user-agent"), ("aws:referer", "referer")):
        if header in http.headers:
            keys[name] = http.headers[header]
    return keys


def of_ask(ask: Ask, call: Call, caller: Caller | None, state: State, organisation: str) -> Keys:
    """Properties of the resource, and what the service itself adds."""
    service = ask.action.split(":")[0]
    keys: Keys = dict(ask.keys)
    keys["aws:ResourceAccount"] = ask.account
    if ask.account in state.accounts:
        keys["aws:ResourceOrgID"] = organisation
    if ask.resource != "*":
        for name, value in state.resource_tags(ask).items():
            keys[f"aws:ResourceTag/{name}"] = value
            if service in ("iam", "sts"):
                keys[f"iam:ResourceTag/{name}"] = value
            elif service in ("secretsmanager", "ssm", "ecr"):
                keys[f"{service}:ResourceTag/{name}"] = value
    tags, tag_keys = request_tags(call.params)
    if service != "s3":
        keys |= {f"aws:RequestTag/{name}": value for name, value in tags.items()}
        if tag_keys:
            keys["aws:TagKeys"] = tag_keys
    service_keys = SERVICE_KEYS.get(service)
    if service_keys:
        keys.update(service_keys(ask, call, caller, state))
    return keys


def request_tags(params: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    """(tags, tag keys) that a call wants to set or remove, in any of the shapes that services use."""
    given = next((params[name] for name in ("Tags", "tags", "TagList", "TagsToAdd") if params.get(name)), None)
    tags: dict[str, str] = {}
    if isinstance(given, Mapping):
        tags = dict(given)
    elif isinstance(given, list) and given and isinstance(given[0], Mapping):
        for tag in given:
            low = {name.lower(): value for name, value in tag.items()}
            tags[low.get("key", low.get("tagkey", ""))] = low.get("value", low.get("tagvalue", ""))
    elif isinstance(given, list):
        return {}, [str(one) for one in given]
    removed = next((params[name] for name in ("TagKeys", "tagKeys", "TagsToRemove") if params.get(name)), None)
    return tags, list(removed) if isinstance(removed, list) else list(tags)


# --- Services ----------------------------------------------------------------------------------------------------------


def _sts(ask: Ask, call: Call, caller: Caller | None, state: State) -> Iterator[tuple[str, str | list[str]]]:
    for name, param in (
        ("sts:ExternalId", "ExternalId"),
        ("sts:RoleSessionName", "RoleSessionName"),
        ("sts:SourceIdentity", "SourceIdentity"),
        ("sts:DurationSeconds", "DurationSeconds"),
        ("sts:TransitiveTagKeys", "TransitiveTagKeys"),
    ):
        if call.params.get(param) is not None:
            value = call.params[param]
            yield name, value if isinstance(value, list) else str(value)
    if call.params.get("SerialNumber") and call.params.get("TokenCode"):
        yield "aws:MultiFactorAuthPresent", "true"
        yield "aws:MultiFactorAuthAge", "0"


S3_HEADERS = {
    "x-amz-acl": "ACL",
    "x-amz-copy-source": "CopySource",
    "x-amz-metadata-directive": "MetadataDirective",
    "x-amz-server-side-encryption": "ServerSideEncryption",
    "x-amz-server-side-encryption-aws-kms-key-id": "SSEKMSKeyId",
    "x-amz-server-side-encryption-customer-algorithm": "SSECustomerAlgorithm",
    "x-amz-storage-class": "StorageClass",
    "x-amz-website-redirect-location": "WebsiteRedirectLocation",
    "x-amz-grant-read": "GrantRead",
    "x-amz-grant-write": "GrantWrite",
    "x-amz-grant-read-acp": "GrantReadACP",
    "x-amz-grant-write-acp": "GrantWriteACP",
    "x-amz-grant-full-control": "GrantFullControl",
    "x-amz-object-ownership": "ObjectOwnership",
}


def _s3(ask: Ask, call: Call, caller: Caller | None, state: State) -> Iterator[tuple[str, str | list[str]]]:
    params = call.params
    yield "s3:ResourceAccount", ask.account
    for header, param in S3_HEADERS.items():
        if params.get(param) is not None:
            yield f"s3:{header}", str(params[param])
    if call.operation.startswith("List") and ask.action in ("s3:ListBucket", "s3:ListBucketVersions"):
        for key, param in (("s3:prefix", "Prefix"), ("s3:delimiter", "Delimiter"), ("s3:max-keys", "MaxKeys")):
            if params.get(param) is not None:
                yield key, str(params[param])
    if params.get("VersionId"):
        yield "s3:VersionId", str(params["VersionId"])
    if call.operation == "CreateBucket":
        where = (params.get("CreateBucketConfiguration") or {}).get("LocationConstraint")
        if where:
            yield "s3:LocationConstraint", where
    if isinstance(params.get("Tagging"), str):
        from urllib.parse import parse_qsl

        tags = dict(parse_qsl(params["Tagging"]))
    else:
        tags = request_tags({"Tags": (params.get("Tagging") or {}).get("TagSet")})[0]
    for name, value in tags.items():
        yield f"s3:RequestObjectTag/{name}", value
    if tags:
        yield "s3:RequestObjectTagKeys", list(tags)
    if "/" in ask.resource:
        for name, value in state.object_tags(ask).items():
            yield f"s3:ExistingObjectTag/{name}", value


def _iam(ask: Ask, call: Call, caller: Caller | None, state: State) -> Iterator[tuple[str, str | list[str]]]:
    if call.params.get("PolicyArn"):
        yield "iam:PolicyARN", call.params["PolicyArn"]
    boundary = call.params.get("PermissionsBoundary")
    if not boundary:
        boundary = (getattr(state.thing(ask), "permissions_boundary", None) or {}).get("PermissionsBoundaryArn")
    if boundary:
        yield "iam:PermissionsBoundary", boundary
    if call.params.get("AWSServiceName"):
        yield "iam:AWSServiceName", call.params["AWSServiceName"]


def _kms(ask: Ask, call: Call, caller: Caller | None, state: State) -> Iterator[tuple[str, str | list[str]]]:
    if caller:
        yield "kms:CallerAccount", caller.principal.account
    context = call.params.get("EncryptionContext") or {}
    for name, value in context.items():
        yield f"kms:EncryptionContext:{name}", value
    if context:
        yield "kms:EncryptionContextKeys", list(context)
    thing = state.thing(ask)
    if thing is not None and thing.aliases:
        yield "kms:ResourceAliases", list(thing.aliases)


def _secretsmanager(ask: Ask, call: Call, caller: Caller | None, state: State) -> Iterator[tuple[str, str | list[str]]]:
    for name in ("VersionId", "VersionStage", "Name", "Description", "KmsKeyId"):
        if call.params.get(name):
            yield f"secretsmanager:{name}", str(call.params[name])


def _dynamodb(ask: Ask, call: Call, caller: Caller | None, state: State) -> Iterator[tuple[str, str | list[str]]]:
    params = call.params
    table = state.thing(ask)
    names = (
        {attribute["AttributeName"]: attribute["KeyType"] for attribute in table.schema} if table is not None else {}
    )
    hash_key = next((name for name, kind in names.items() if kind == "HASH"), None)
    items = [params[name] for name in ("Key", "Item") if isinstance(params.get(name), Mapping)]
    for request in (params.get("RequestItems") or {}).values():
        items += request.get("Keys", []) if isinstance(request, Mapping) else []
        for one in request if isinstance(request, list) else []:
            items += [body.get("Item") or body.get("Key") or {} for body in one.values()]
    leading = [str(next(iter(item[hash_key].values()))) for item in items if hash_key in item]
    if params.get("KeyConditionExpression") and hash_key:
        leading += _leading_key_of_query(params, hash_key)
    if leading:
        yield "dynamodb:LeadingKeys", leading
    attributes = params.get("AttributesToGet") or [
        (params.get("ExpressionAttributeNames") or {}).get(name.strip(), name.strip())
        for name in (params.get("ProjectionExpression") or "").split(",")
        if name.strip()
    ]
    if attributes or items:
        yield "dynamodb:Attributes", list(dict.fromkeys([*attributes, *(name for item in items for name in item)]))
    for name in ("Select", "ReturnValues", "ReturnConsumedCapacity"):
        if params.get(name):
            yield f"dynamodb:{name}", params[name]


def _leading_key_of_query(params: Mapping[str, Any], hash_key: str) -> list[str]:
    """The value in "k = :k" of a query."""
    import re

    names = params.get("ExpressionAttributeNames") or {}
    values = params.get("ExpressionAttributeValues") or {}
    for name, value in re.findall(r"([#\w.]+)\s*=\s*(:\w+)", params["KeyConditionExpression"]):
        if names.get(name, name) == hash_key and value in values:
            return [str(next(iter(values[value].values())))]
    return []


def _ssm(ask: Ask, call: Call, caller: Caller | None, state: State) -> Iterator[tuple[str, str | list[str]]]:
    if "Recursive" in call.params:
        yield "ssm:Recursive", str(call.params["Recursive"]).lower()
    if "Overwrite" in call.params:
        yield "ssm:Overwrite", str(call.params["Overwrite"]).lower()


SERVICE_KEYS = {
    "sts": _sts,
    "s3": _s3,
    "iam": _iam,
    "kms": _kms,
    "secretsmanager": _secretsmanager,
    "dynamodb": _dynamodb,
    "ssm": _ssm,
}
