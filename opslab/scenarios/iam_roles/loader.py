"""Task 3.3: the clicks loader's role has lost its administrator policy, and must get exactly what the job does."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opslab.scenarios.iam_roles.names import CLICKS, DAY, RAW, REGION, STAGING, Profile, of_role, role, user
from opslab.worlds.aws.seeding import Furnisher, allow, document, statement, trust

if TYPE_CHECKING:
    from opslab.worlds.aws.organisation import Organisation

NAME = "clicks-loader"
ROLE = role(STAGING, NAME)
SERVICE = "ecs-tasks.amazonaws.com"
CLEAN = "targ-clicks-clean-staging"
ARCHIVE = "incoming-archive/2025/clicks.csv"
SALARIES = "hr/salaries.csv"
PUBLISHED = "published/2026-11-15/part-00.csv"
LOGS, AUDIT = "/targ/clicks-loader", "/targ/clicks-loader-audit"
RUN = "run-1"
CLOUD = (
    ROLE, f"arn:aws:s3:::{RAW}*", f"arn:aws:s3:::{CLEAN}*", "*:stream/clicks-live*", "*:stream/payments-live*", "*:clicks-loaded",
    "*:payments-done", "*:secret:clicks/*", "*:secret:payments/*", "*:log-group:/targ/clicks-loader*", "*:role/debug",
)  # fmt: skip


def profiles(seed: int) -> list[Profile]:
    """What this part puts into ~/.aws."""
    return [of_role(NAME, ROLE, "staging-admin")]


def furnish(aws: Organisation) -> None:
    """Put this part of the organisation there."""
    staging = Furnisher(aws, "staging")
    rows = "time,page,partner\n2026-11-16T00:00:03Z,/bikes,otter\n2026-11-16T00:00:09Z,/chairs,plum\n"
    staging.bucket(RAW, {CLICKS: rows, ARCHIVE: rows, SALARIES: "name,salary\n"})
    staging.bucket(CLEAN, {f"clean/2026-11-15/{NAME}.csv": rows, PUBLISHED: rows})
    for name in ("clicks-live", "payments-live"):
        staging.stream(name)
    for name in ("clicks-loaded", "payments-done"):
        staging.queue(name)
    for name in ("clicks/warehouse", "clicks/warehouse-admin", "payments/gateway"):
        staging.secret(name, f"made up for {name}")
    staging.log_group(LOGS, RUN)
    staging.log_group(AUDIT, RUN)
    staging.parameter("/targ/feature-flags", "{}")
    # The administrator is there so that people can try what the job may do.
    trusted = document(*trust(service=SERVICE)["Statement"], *trust(user(STAGING, "administrator"))["Statement"])
    staging.role(NAME, trusted, description="Loads clicks every hour")
    staging.role("debug", trust(f"arn:aws:iam::{STAGING}:root"), {"look": allow(["s3:Get*", "s3:List*"])})
    staging.role("payments-loader", trust(service="ecs-tasks.amazonaws.com"), {"read": document(
        statement("Allow", "kinesis:Get*", f"arn:aws:kinesis:{REGION}:{STAGING}:stream/payments-live")
    )})  # fmt: skip


# ---- what the job does, and what it must never be able to do ----------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """One call to AWS as boto3 makes it; `text` says it in words. needs: what an earlier call has to bring."""

    text: str
    service: str
    operation: str
    parameters: dict[str, Any]
    needs: str = ""


def _queue(name: str) -> dict[str, str]:
    return {"QueueUrl": f"http://127.0.0.1/{STAGING}/{name}"}


def _iterator(stream: str) -> dict[str, str]:
    return {"StreamName": stream, "ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"}


def _events(group: str) -> dict[str, Any]:
    return {"logGroupName": group, "logStreamName": RUN, "logEvents": [{"timestamp": 1, "message": "loaded"}]}


MUST = (
    Call(
        "list incoming/ in the raw bucket",
        "s3",
        "list_objects_v2",
        {"Bucket": RAW, "Prefix": "incoming/", "Delimiter": "/"},
    ),
    Call(
        "list one day there", "s3", "list_objects_v2", {"Bucket": RAW, "Prefix": f"incoming/{DAY}/", "Delimiter": "/"}
    ),
    Call("read a file from incoming/", "s3", "get_object", {"Bucket": RAW, "Key": CLICKS}),
    Call(
        "write a file to clean/", "s3", "put_object", {"Bucket": CLEAN, "Key": f"clean/{DAY}/part-00.csv", "Body": b"x"}
    ),
    Call(
        "ask the stream clicks-live for a place to read from", "kinesis", "get_shard_iterator", _iterator("clicks-live")
    ),
    Call("read records from clicks-live", "kinesis", "get_records", {}, needs="clicks-live"),
    Call("look up the queue clicks-loaded", "sqs", "get_queue_url", {"QueueName": "clicks-loaded"}),
    Call(
        "send a message to clicks-loaded", "sqs", "send_message", {**_queue("clicks-loaded"), "MessageBody": "loaded"}
    ),
    Call("read the secret clicks/warehouse", "secretsmanager", "get_secret_value", {"SecretId": "clicks/warehouse"}),
    Call(
        "open a log stream in its log group",
        "logs",
        "create_log_stream",
        {"logGroupName": LOGS, "logStreamName": "run-2"},
    ),
    Call("write to its log", "logs", "put_log_events", _events(LOGS)),
)

TOO_MUCH = (  # other actions on its own things
    Call("delete a file from incoming/", "s3", "delete_object", {"Bucket": RAW, "Key": CLICKS}),
    Call("write a file to incoming/", "s3", "put_object", {"Bucket": RAW, "Key": f"incoming/{DAY}/mine.csv", "Body": b""}),
    Call("tag a file in incoming/", "s3", "put_object_tagging", {"Bucket": RAW, "Key": CLICKS, "Tagging": {"TagSet": []}}),
    Call("delete a file from clean/", "s3", "delete_object", {"Bucket": CLEAN, "Key": f"clean/2026-11-15/{NAME}.csv"}),
    Call("read a file from clean/", "s3", "get_object", {"Bucket": CLEAN, "Key": f"clean/2026-11-15/{NAME}.csv"}),
    Call("change who may read a file in clean/", "s3", "put_object_acl", {"Bucket": CLEAN, "Key": f"clean/2026-11-15/{NAME}.csv", "ACL": "private"}),
    Call("read the raw bucket's policy", "s3", "get_bucket_policy", {"Bucket": RAW}),
    Call("switch the raw bucket's versioning", "s3", "put_bucket_versioning", {"Bucket": RAW, "VersioningConfiguration": {"Status": "Suspended"}}),
    Call("write into the stream clicks-live", "kinesis", "put_record", {"StreamName": "clicks-live", "Data": b"x", "PartitionKey": "x"}),
    Call("delete the stream clicks-live", "kinesis", "delete_stream", {"StreamName": "clicks-live"}),
    Call("add shards to clicks-live", "kinesis", "split_shard", {"StreamName": "clicks-live", "ShardToSplit": "shardId-000000000000", "NewStartingHashKey": "10"}),
    Call("take messages out of clicks-loaded", "sqs", "receive_message", {**_queue("clicks-loaded"), "WaitTimeSeconds": 0}),
    Call("empty the queue clicks-loaded", "sqs", "purge_queue", _queue("clicks-loaded")),
    Call("change the secret clicks/warehouse", "secretsmanager", "put_secret_value", {"SecretId": "clicks/warehouse", "SecretString": "mine"}),
    Call("delete the secret clicks/warehouse", "secretsmanager", "delete_secret", {"SecretId": "clicks/warehouse"}),
    Call("read its own log again", "logs", "get_log_events", {"logGroupName": LOGS, "logStreamName": RUN}),
    Call("delete its log group", "logs", "delete_log_group", {"logGroupName": LOGS}),
)  # fmt: skip

TOO_FAR = (  # its own actions on other things
    Call("list the whole raw bucket", "s3", "list_objects_v2", {"Bucket": RAW}),
    Call("list hr/ in the raw bucket", "s3", "list_objects_v2", {"Bucket": RAW, "Prefix": "hr/"}),
    Call("list incoming-archive/ in the raw bucket", "s3", "list_objects_v2", {"Bucket": RAW, "Prefix": "incoming-archive/"}),
    Call("read hr/salaries.csv", "s3", "get_object", {"Bucket": RAW, "Key": SALARIES}),
    Call("read a file from incoming-archive/", "s3", "get_object", {"Bucket": RAW, "Key": ARCHIVE}),
    Call("list the clean bucket", "s3", "list_objects_v2", {"Bucket": CLEAN, "Prefix": "incoming/"}),
    Call("write a file to published/", "s3", "put_object", {"Bucket": CLEAN, "Key": "published/mine.csv", "Body": b"x"}),
    Call("write a file to clean-archive/", "s3", "put_object", {"Bucket": CLEAN, "Key": "clean-archive/mine.csv", "Body": b"x"}),
    Call("write a file at the top of the clean bucket", "s3", "put_object", {"Bucket": CLEAN, "Key": "mine.csv", "Body": b"x"}),
    Call("read the analysts' mart", "s3", "get_object", {"Bucket": "targ-orders-marts-staging", "Key": "gold/orders_daily.csv"}),
    Call("read the stream payments-live", "kinesis", "get_shard_iterator", _iterator("payments-live")),
    Call("send a message to payments-done", "sqs", "send_message", {**_queue("payments-done"), "MessageBody": "x"}),
    Call("look up the queue payments-done", "sqs", "get_queue_url", {"QueueName": "payments-done"}),
    Call("read the secret clicks/warehouse-admin", "secretsmanager", "get_secret_value", {"SecretId": "clicks/warehouse-admin"}),
    Call("read the secret payments/gateway", "secretsmanager", "get_secret_value", {"SecretId": "payments/gateway"}),
    Call("write to the audit log", "logs", "put_log_events", _events(AUDIT)),
    Call("open a log stream in the audit log", "logs", "create_log_stream", {"logGroupName": AUDIT, "logStreamName": "mine"}),
)  # fmt: skip

TOO_WILD = (  # things that a loader has nothing to do with
    Call("list all buckets", "s3", "list_buckets", {}),
    Call("create a bucket", "s3", "create_bucket", {"Bucket": "clicks-loader-was-here", "CreateBucketConfiguration": {"LocationConstraint": REGION}}),
    Call("list all streams", "kinesis", "list_streams", {}),
    Call("list all secrets", "secretsmanager", "list_secrets", {}),
    Call("list all queues", "sqs", "list_queues", {}),
    Call("list all log groups", "logs", "describe_log_groups", {}),
    Call("list the users of the account", "iam", "list_users", {}),
    Call("give itself a policy", "iam", "put_role_policy", {"RoleName": NAME, "PolicyName": "more", "PolicyDocument": '{"Version":"2012-10-17","Statement":[]}'}),
    Call("create an access key", "iam", "create_access_key", {"UserName": "administrator"}),
    Call("become another role", "sts", "assume_role", {"RoleArn": role(STAGING, "debug"), "RoleSessionName": "check"}),
    Call("read the feature flags", "ssm", "get_parameter", {"Name": "/targ/feature-flags"}),
    Call("list DynamoDB tables", "dynamodb", "list_tables", {}),
    Call("list the databases of Glue", "glue", "get_databases", {}),
    Call("list KMS keys", "kms", "list_keys", {}),
)  # fmt: skip


# ---- the same for the evaluator: every action that there is, on its own things and on others ----------------------------

SERVICES = (
    "sts", "iam", "s3", "kinesis", "sqs", "secretsmanager", "ssm", "kms", "ecr", "dynamodb", "glue", "athena", "logs", "ec2", "lambda",
)  # fmt: skip
_STREAM = f"arn:aws:kinesis:{REGION}:{STAGING}:stream/clicks-live"
_QUEUE = f"arn:aws:sqs:{REGION}:{STAGING}:clicks-loaded"
_SECRET = f"arn:aws:secretsmanager:{REGION}:{STAGING}:secret:clicks/warehouse"
_LOGS = f"arn:aws:logs:{REGION}:{STAGING}:log-group:{LOGS}"


def wanted() -> dict[str, list[str]]:
    """What the job needs, as ARNs with their actions. (Listing the raw bucket depends on a prefix: that is tried for real.)"""
    found = {
        f"arn:aws:s3:::{RAW}": ["s3:ListBucket"],
        f"arn:aws:s3:::{RAW}/{CLICKS}": ["s3:GetObject"],
        f"arn:aws:s3:::{CLEAN}/clean/{DAY}/part-00.csv": ["s3:PutObject"],
        _STREAM: ["kinesis:GetShardIterator", "kinesis:GetRecords"],
        _QUEUE: ["sqs:GetQueueUrl", "sqs:SendMessage"],
        f"{_SECRET}-Ab3dEf": ["secretsmanager:GetSecretValue"],
        f"{_LOGS}:log-stream:{RUN}": ["logs:CreateLogStream", "logs:PutLogEvents"],
    }
    # Allowed on * as well, they reach too far, which is another point.
    return found | {"*": [action for those in found.values() for action in those]}


def elsewhere(seed: int) -> list[str]:
    """Things that are not the loader's: other people's, and neighbours whose names follow from the seed."""
    rng = random.Random(f"elsewhere {seed}")

    def word() -> str:
        return "".join(rng.choices("abcdefghijkmnpqrstuvwxyz", k=5))

    s3 = "arn:aws:s3:::"
    return [
        f"{s3}{RAW}/incoming-{word()}/{DAY}.csv", f"{s3}{RAW}/{word()}/incoming/x.csv", f"{s3}{RAW}/{word()}.csv",
        f"{s3}{RAW}-{word()}", f"{s3}{RAW}-{word()}/incoming/x.csv", f"{s3}{CLEAN}", f"{s3}{CLEAN}/clean-{word()}/x.csv",
        f"{s3}{CLEAN}/{word()}/clean/x.csv", f"{s3}targ-{word()}-staging", f"{s3}targ-{word()}-staging/incoming/x.csv",
        f"{s3}targ-{word()}-production/clean/x.csv",
        f"{_STREAM}-{word()}", f"{_STREAM.replace('clicks', word())}", f"{_QUEUE}-{word()}", _QUEUE.replace("clicks", word()),
        _QUEUE.replace(STAGING, "444455556666"), f"{_SECRET}-{word()}-Ab3dEf", _SECRET.replace("clicks", word()) + "-Ab3dEf",
        f"{_LOGS}-{word()}:log-stream:{RUN}", f"{_LOGS.replace('clicks', word())}:log-stream:{RUN}",
        role(STAGING, word()), role("444455556666", word()), user(STAGING, word()),
        f"arn:aws:ssm:{REGION}:{STAGING}:parameter/{word()}", f"arn:aws:dynamodb:{REGION}:{STAGING}:table/{word()}",
        f"arn:aws:kms:{REGION}:{STAGING}:key/{word()}",
    ]  # fmt: skip
