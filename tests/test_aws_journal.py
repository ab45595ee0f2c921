"""The journal: what was changed in an organisation is there again when it is made again, and nothing else."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import os
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import ClientError

from opslab.worlds.aws import journal as journal_code
from opslab.worlds.aws import operations
from opslab.worlds.aws.journal import Journal
from opslab.worlds.aws.organisation import Organisation
from opslab.worlds.aws.seeding import Furnisher, allow, document, statement, trust

A, B = "111111111111", "222222222222"
REGION = "eu-west-1"
BINARY = bytes(range(256)) * 8
DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # whatever proxy whoever runs this has to use


class Memory:
    """An organisation with a journal, which can be made again."""

    def __init__(self, aws: Organisation, path: Path) -> None:
        self.aws, self.path = aws, path

    def client(self, service: str, user: str = "administrator", account: str = A, **options: Any) -> Any:
        return self.aws.client(service, account, user, **options)

    def record(self) -> Journal:
        self.aws.guard.on_change = None
        journal = Journal(self.path)
        journal.record(self.aws)
        return journal

    def again(self, without: tuple[str, ...] = ()) -> list[str]:
        """Makes the organisation again from the file, as another process would; returns what did not go through."""
        self.aws.guard.on_change = None
        self.aws.reset()
        journal = Journal(self.path)
        failed = journal.replay(self.aws, without)
        journal.record(self.aws)
        return failed

    @property
    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def forge(self, **changes: Any) -> None:
        """Adds a line that somebody has made up: the first one, with changes."""
        entry = {**self.entries[0], **changes}
        with self.path.open("a") as file:
            file.write(json.dumps(entry) + "\n")


def start(aws: Organisation) -> None:
    staging = Furnisher(aws, "staging")
    staging.user(
        "ana",
        {"own": allow(["s3:*", "sts:AssumeRole"]), "keys": allow("iam:*AccessKey*", f"arn:aws:iam::{A}:user/ana")},
    )
    staging.user("intern")
    staging.role("loader", trust(f"arn:aws:iam::{A}:root"), {"load": allow("s3:*")})
    staging.bucket("clicks", {"old.csv": "old"})
    staging.key("orders", document(statement("Allow", "kms:*", "*", Principal={"AWS": f"arn:aws:iam::{A}:root"})))


@pytest.fixture(scope="module")
def organisation() -> Iterator[Organisation]:
    with Organisation({"staging": A, "production": B}, seed=7, start=start) as aws:
        yield aws


@pytest.fixture
def memory(organisation: Organisation, tmp_path: Path) -> Iterator[Memory]:
    organisation.guard.on_change = None
    organisation.reset()
    made = Memory(organisation, tmp_path / ".cloud" / "journal.jsonl")
    made.record()
    yield made
    organisation.guard.on_change = None


# ---- every service ------------------------------------------------------------------------------------------------------

Look = Callable[[], Any]
CHANGES: dict[str, Callable[[Callable[..., Any]], Look]] = {}


def of(service: str) -> Callable:
    """Declares changes of a service. The function makes them, and returns how to look at what they have made."""

    def declare(function: Callable) -> Callable:
        CHANGES[f"{service} {function.__name__}"] = function
        return function

    return declare


@of("iam")
def users_groups_and_policies(client):
    iam = client("iam")
    iam.create_user(UserName="eve", Path="/people/", Tags=[{"Key": "team", "Value": "data"}])
    iam.create_group(GroupName="readers")
    iam.add_user_to_group(GroupName="readers", UserName="eve")
    policy = iam.create_policy(PolicyName="read", PolicyDocument=json.dumps(allow("s3:Get*")))["Policy"]["Arn"]
    iam.create_policy_version(PolicyArn=policy, PolicyDocument=json.dumps(allow("s3:*")), SetAsDefault=True)
    iam.attach_group_policy(GroupName="readers", PolicyArn=policy)
    iam.put_user_policy(UserName="eve", PolicyName="ümläut", PolicyDocument=json.dumps(allow("sqs:*")))
    iam.put_user_permissions_boundary(UserName="eve", PermissionsBoundary=policy)
    iam.create_role(RoleName="job", AssumeRolePolicyDocument=json.dumps(trust(service="glue.amazonaws.com")))
    iam.update_assume_role_policy(RoleName="job", PolicyDocument=json.dumps(trust(f"arn:aws:iam::{A}:user/people/eve")))
    iam.delete_user_policy(UserName="ana", PolicyName="own")
    return lambda: iam.get_account_authorization_details(Filter=["User", "Group", "Role", "LocalManagedPolicy"])


@of("iam")
def access_keys(client):
    iam = client("iam")
    made = [iam.create_access_key(UserName="intern")["AccessKey"]]
    iam.delete_access_key(UserName="intern", AccessKeyId=made[0]["AccessKeyId"])
    made.append(iam.create_access_key(UserName="intern")["AccessKey"])
    iam.update_access_key(UserName="ana", AccessKeyId=keys_of(iam, "ana")[0]["AccessKeyId"], Status="Inactive")
    return lambda: ([keys_of(iam, name) for name in ("ana", "intern")], [key["SecretAccessKey"] for key in made])


def keys_of(iam, user: str) -> list[dict[str, Any]]:
    return iam.list_access_keys(UserName=user)["AccessKeyMetadata"]


@of("iam")
def a_key_of_ones_own(client):
    iam = client("iam", "ana")  # without a name, it is the caller's
    iam.create_access_key()
    return lambda: (keys_of(iam, "ana"), keys_of(client("iam"), "administrator"))


@of("s3")
def objects(client):
    s3 = client("s3")
    s3.create_bucket(Bucket="mine", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(
        Bucket="mine", Key="a b/ü+&%.bin", Body=BINARY, ContentType="image/png", Metadata={"who": "eve"}, CacheControl="no-store",
        ContentDisposition="attachment", ContentLanguage="pl", Tagging="team=data&more=1",
    )  # fmt: skip
    s3.put_object(Bucket="mine", Key="empty", Body=b"")
    s3.copy_object(Bucket="mine", Key="copy", CopySource={"Bucket": "mine", "Key": "a b/ü+&%.bin"})
    s3.delete_object(Bucket="clicks", Key="old.csv")
    s3.put_bucket_policy(Bucket="mine", Policy=json.dumps(document(statement("Deny", "s3:DeleteBucket", "arn:aws:s3:::mine", Principal="*"))))  # fmt: skip
    s3.put_bucket_tagging(Bucket="mine", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})

    def look():
        found = s3.get_object(Bucket="mine", Key="a b/ü+&%.bin")
        body = found.pop("Body").read()
        assert body == BINARY
        parts = [s3.get_object_tagging(Bucket="mine", Key="a b/ü+&%.bin"), s3.get_bucket_policy(Bucket="mine")]
        names = [s3.list_objects_v2(Bucket=bucket).get("Contents", []) for bucket in ("mine", "clicks")]
        return found, parts, names, s3.get_bucket_tagging(Bucket="mine")

    return look


@of("s3")
def a_multipart_upload(client):
    s3 = client("s3")
    started = s3.create_multipart_upload(Bucket="clicks", Key="big")["UploadId"]
    left = s3.create_multipart_upload(Bucket="clicks", Key="unfinished")["UploadId"]
    parts = []
    for number, body in ((1, b"\xff" * 5 * 1024 * 1024), (2, b"\x00end")):
        made = s3.upload_part(Bucket="clicks", Key="big", UploadId=started, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": made["ETag"]})
    s3.complete_multipart_upload(Bucket="clicks", Key="big", UploadId=started, MultipartUpload={"Parts": parts})

    def look():
        body = s3.get_object(Bucket="clicks", Key="big")["Body"].read()
        uploads = [one["UploadId"] for one in s3.list_multipart_uploads(Bucket="clicks")["Uploads"]]
        return hashlib.sha1(body).hexdigest(), len(body), uploads, left

    return look


@of("s3")
def versions(client):
    s3 = client("s3")
    s3.put_bucket_versioning(Bucket="clicks", VersioningConfiguration={"Status": "Enabled"})
    for body in (b"one", b"two", b"two"):
        s3.put_object(Bucket="clicks", Key="v", Body=body)
    first = s3.list_object_versions(Bucket="clicks", Prefix="v")["Versions"][-1]["VersionId"]
    s3.delete_object(Bucket="clicks", Key="v", VersionId=first)
    s3.delete_object(Bucket="clicks", Key="v")

    def look():
        found = s3.list_object_versions(Bucket="clicks", Prefix="v")
        return [(one["VersionId"], one.get("ETag")) for one in found["Versions"] + found["DeleteMarkers"]]

    return look


@of("s3")
def a_chunked_upload(client):
    """As the CLI and boto3 send a stream: aws-chunked, with a checksum behind it."""
    s3 = client("s3", config=Config(request_checksum_calculation="when_required"))

    def chunked(request: AWSRequest, **_: Any) -> None:
        request.context["checksum"] = {
            "request_algorithm": {"in": "trailer"}
        }  # what makes botocore sign it as a stream
        request.headers["Content-Encoding"] = "aws-chunked"
        request.headers["x-amz-decoded-content-length"] = "11"
        request.headers["x-amz-trailer"] = "x-amz-checksum-crc32"
        request.data = b"6\r\nhello \r\n5\r\nworld\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n"

    s3.meta.events.register_first("before-sign.s3.PutObject", chunked)
    s3.put_object(Bucket="clicks", Key="stream", Body=b"hello world")

    def look():
        body = s3.get_object(Bucket="clicks", Key="stream")["Body"].read()
        assert body == b"hello world"
        return body

    return look


@of("s3")
def a_presigned_upload(client):
    s3 = client("s3", "ana", config=Config(signature_version="s3v4"))
    url = s3.generate_presigned_url("put_object", Params={"Bucket": "clicks", "Key": "signed"}, ExpiresIn=60)
    DIRECTLY.open(urllib.request.Request(url, BINARY, method="PUT"), timeout=60).close()
    return lambda: s3.get_object(Bucket="clicks", Key="signed")["Body"].read() == BINARY


@of("s3")
def an_upload_of_nobody(client):
    s3 = client("s3")
    open_to_all = statement("Allow", "s3:PutObject", "arn:aws:s3:::clicks/public/*", Principal="*")
    s3.put_bucket_policy(Bucket="clicks", Policy=json.dumps(document(open_to_all)))
    url = f"{s3.meta.endpoint_url}/clicks/public/x"
    DIRECTLY.open(
        urllib.request.Request(url, b"anonymous", {"Content-Type": "text/plain"}, method="PUT"), timeout=60
    ).close()
    return lambda: s3.list_objects_v2(Bucket="clicks")["Contents"]


@of("kinesis")
def streams(client):
    kinesis = client("kinesis")
    kinesis.create_stream(StreamName="clicks", ShardCount=2)
    kinesis.put_records(StreamName="clicks", Records=[{"Data": bytes([n]), "PartitionKey": str(n)} for n in range(5)])
    kinesis.add_tags_to_stream(StreamName="clicks", Tags={"a": "b"})

    def look():
        shards = kinesis.list_shards(StreamName="clicks")["Shards"]
        records = []
        for shard in shards:
            where = {"ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON", "StreamName": "clicks"}
            found = kinesis.get_records(ShardIterator=kinesis.get_shard_iterator(**where)["ShardIterator"])["Records"]
            records += [(one["SequenceNumber"], one["Data"]) for one in found]
        return shards, records, kinesis.list_tags_for_stream(StreamName="clicks")

    return look


@of("sqs")
def queues(client):
    sqs = client("sqs")
    url = sqs.create_queue(QueueName="loaded", Attributes={"VisibilityTimeout": "0"}, tags={"a": "b"})["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="zażółć")
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"MessageRetentionPeriod": "3600"})

    def look():
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        messages = sqs.receive_message(QueueUrl=url)["Messages"]
        return found, [(one["MessageId"], one["Body"]) for one in messages], sqs.list_queue_tags(QueueUrl=url)["Tags"]

    return look


@of("secretsmanager")
def secrets(client):
    manager = client("secretsmanager")
    manager.create_secret(Name="clicks/db", SecretString="one")
    manager.put_secret_value(SecretId="clicks/db", SecretBinary=BINARY)
    manager.put_resource_policy(SecretId="clicks/db", ResourcePolicy=json.dumps(document(statement("Allow", "secretsmanager:GetSecretValue", "*", Principal={"AWS": f"arn:aws:iam::{A}:user/ana"}))))  # fmt: skip
    return lambda: (
        manager.get_secret_value(SecretId="clicks/db"),
        manager.get_secret_value(SecretId="clicks/db", VersionStage="AWSPREVIOUS"),
        manager.get_resource_policy(SecretId="clicks/db"),
    )


@of("ssm")
def parameters(client):
    ssm = client("ssm")
    ssm.put_parameter(Name="/targ/flags", Value="1", Type="String")
    ssm.put_parameter(Name="/targ/flags", Value="2", Type="String", Overwrite=True)
    ssm.put_parameter(Name="/targ/gone", Value="2", Type="String")
    ssm.delete_parameter(Name="/targ/gone")
    return lambda: ssm.get_parameters_by_path(Path="/targ")["Parameters"]


@of("kms")
def keys_that_still_decrypt(client):
    kms = client("kms")
    made = kms.create_key(Description="mine")["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/mine", TargetKeyId=made)
    secrets = [kms.encrypt(KeyId=key, Plaintext=b"salary")["CiphertextBlob"] for key in ("alias/mine", "alias/orders")]

    def look():
        texts = [kms.decrypt(CiphertextBlob=secret)["Plaintext"] for secret in secrets]
        assert texts == [b"salary"] * 2
        return kms.describe_key(KeyId="alias/mine")["KeyMetadata"]["Arn"], kms.list_aliases()["Aliases"][0][
            "TargetKeyId"
        ]

    return look


@of("dynamodb")
def tables(client):
    dynamodb = client("dynamodb")
    dynamodb.create_table(
        TableName="orders", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )  # fmt: skip
    for number in "123":
        dynamodb.put_item(TableName="orders", Item={"id": {"S": number}, "raw": {"B": BINARY}})
    change = {"UpdateExpression": "SET n = :n", "ExpressionAttributeValues": {":n": {"N": "5"}}}
    dynamodb.update_item(TableName="orders", Key={"id": {"S": "1"}}, **change)
    dynamodb.delete_item(TableName="orders", Key={"id": {"S": "2"}})
    dynamodb.transact_write_items(TransactItems=[{"Put": {"TableName": "orders", "Item": {"id": {"S": "4"}}}}])
    return lambda: (
        dynamodb.scan(TableName="orders")["Items"],
        dynamodb.describe_table(TableName="orders")["Table"]["TableArn"],
    )


@of("glue")
def a_catalogue(client):
    glue = client("glue")
    glue.create_database(DatabaseInput={"Name": "marts"})
    columns = {"Columns": [{"Name": "day", "Type": "date"}], "Location": "s3://clicks/"}
    glue.create_table(DatabaseName="marts", TableInput={"Name": "orders", "StorageDescriptor": columns})
    return lambda: (glue.get_databases()["DatabaseList"], glue.get_tables(DatabaseName="marts")["TableList"])


@of("athena")
def queries(client):
    athena = client("athena")
    athena.create_work_group(
        Name="analysts", Configuration={"ResultConfiguration": {"OutputLocation": "s3://clicks/r/"}}
    )
    number = athena.start_query_execution(QueryString="SELECT 1", WorkGroup="analysts")["QueryExecutionId"]
    return lambda: (number, athena.get_query_execution(QueryExecutionId=number)["QueryExecution"]["Query"])


@of("logs")
def log_groups(client):
    logs = client("logs")
    logs.create_log_group(logGroupName="/targ/mine")
    logs.create_log_stream(logGroupName="/targ/mine", logStreamName="run-1")
    events = [{"timestamp": int(time.time() * 1000), "message": "löaded"}]
    logs.put_log_events(logGroupName="/targ/mine", logStreamName="run-1", logEvents=events)
    logs.put_retention_policy(logGroupName="/targ/mine", retentionInDays=7)

    def look():
        found = logs.get_log_events(logGroupName="/targ/mine", logStreamName="run-1")["events"]
        return [(one["timestamp"], one["message"]) for one in found], logs.describe_log_groups()["logGroups"][0][
            "retentionInDays"
        ]

    return look


@of("ecr")
def images(client):
    ecr = client("ecr")
    ecr.create_repository(repositoryName="loader", tags=[{"Key": "a", "Value": "b"}])
    config = {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": f"sha256:{'0' * 64}", "size": 2}
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": []}
    ecr.put_image(repositoryName="loader", imageManifest=json.dumps(manifest), imageTag="1.0")
    return lambda: ([one["repositoryUri"] for one in ecr.describe_repositories()["repositories"]], ecr.list_images(repositoryName="loader")["imageIds"])  # fmt: skip


@of("sts")
def sessions(client):
    sts = client("sts", "ana")
    role = f"arn:aws:iam::{A}:role/loader"
    more = {"Tags": [{"Key": "team", "Value": "data"}], "Policy": json.dumps(allow("s3:List*"))}
    first = sts.assume_role(RoleArn=role, RoleSessionName="job")["Credentials"]
    second = sts.assume_role(RoleArn=role, RoleSessionName="job")["Credentials"]
    narrow = sts.assume_role(RoleArn=role, RoleSessionName="narrow", Policy=more["Policy"])["Credentials"]
    token = sts.get_session_token()["Credentials"]

    def look():
        found = []
        for one in (first, second, narrow, token):
            keys = (one["AccessKeyId"], one["SecretAccessKey"], one["SessionToken"])
            aws = client.__self__.aws
            found.append(aws.client_with("sts", *keys).get_caller_identity()["Arn"])
            try:
                aws.client_with("s3", *keys).get_object(Bucket="clicks", Key="old.csv")
                found.append("may read")
            except ClientError as error:
                found.append(error.response["Error"]["Code"])
        assert found[5] == "AccessDenied" and found[1] == found[3] == "may read"
        return found

    return look


def plain(seen: Any) -> Any:
    """What was seen, without what says when it was made or asked for."""
    if isinstance(seen, dict):
        return {name: plain(value) for name, value in seen.items() if name != "ResponseMetadata"}
    if isinstance(seen, list | tuple):
        return [plain(one) for one in seen]
    return "a time" if isinstance(seen, datetime.datetime) else seen


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGES)
def test_what_was_changed_is_there_again(memory: Memory, name: str) -> None:
    look = CHANGES[name](memory.client)
    before = plain(look())
    written = memory.path.read_bytes()
    assert memory.again() == []
    after = plain(look())
    for times in ("CreatedTimestamp", "LastModifiedTimestamp"):  # SQS says times as numbers
        for seen in (before, after):
            if name == "sqs queues":
                seen[0].pop(times)
    assert after == before
    assert memory.path.read_bytes() == written, "looking at it and making it again writes nothing"
    assert memory.again() == [], "and again"
    assert memory.path.read_bytes() == written


def test_every_service_is_tried() -> None:
    assert {name.split()[0] for name in CHANGES} == set(operations.SERVICES)


def test_without_a_journal_it_is_gone(memory: Memory) -> None:
    memory.client("iam").create_user(UserName="eve")
    memory.path.unlink()
    memory.again()
    assert "eve" not in {one["UserName"] for one in memory.client("iam").list_users()["Users"]}


# ---- what is written ----------------------------------------------------------------------------------------------------


def test_reads_and_denials_and_failures_are_not_written(memory: Memory) -> None:
    s3, iam, kms = memory.client("s3"), memory.client("iam"), memory.client("kms")
    s3.list_buckets()
    s3.get_object(Bucket="clicks", Key="old.csv")["Body"].read()
    s3.head_bucket(Bucket="clicks")
    iam.get_user(UserName="ana")
    kms.encrypt(KeyId="alias/orders", Plaintext=b"x")
    memory.client("sts").get_caller_identity()
    memory.client("logs").describe_log_groups()
    for call in (
        lambda: memory.client("iam", "intern").create_user(UserName="eve"),
        lambda: iam.create_user(UserName="ana"),
        lambda: s3.put_object(Bucket="nowhere", Key="x", Body=b""),
        lambda: iam.put_user_policy(UserName="ana", PolicyName="x", PolicyDocument="{"),
    ):
        with pytest.raises(ClientError):
            call()
    assert memory.path.read_bytes() == b""


def test_no_secret_and_no_signature_is_written(memory: Memory) -> None:
    made = memory.client("sts", "ana").assume_role(RoleArn=f"arn:aws:iam::{A}:role/loader", RoleSessionName="job")[
        "Credentials"
    ]
    session = memory.aws.client_with("s3", made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])
    session.put_object(Bucket="clicks", Key="x", Body=b"x")
    text = memory.path.read_text()
    assert len(memory.entries) == 2
    for secret in (
        made["SecretAccessKey"],
        made["SessionToken"],
        memory.aws.access_key(A, "ana")[1],
        "Signature",
        "Credential",
    ):
        assert secret not in text


def test_what_has_failed_does_not_shift_the_ids_of_what_follows(memory: Memory) -> None:
    iam = memory.client("iam")
    for _ in range(3):
        with pytest.raises(ClientError):
            iam.create_access_key(UserName="eve")
    iam.create_user(UserName="eve")
    first = iam.create_access_key(UserName="eve")["AccessKey"]
    with pytest.raises(ClientError):
        iam.create_user(UserName="eve")
    ids = [one["UserId"] for one in iam.list_users()["Users"]]
    memory.again()
    assert [one["AccessKeyId"] for one in keys_of(iam, "eve")] == [first["AccessKeyId"]]
    assert [one["UserId"] for one in iam.list_users()["Users"]] == ids
    again = iam.create_access_key(UserName="eve")["AccessKey"]
    assert again["AccessKeyId"] != first["AccessKeyId"]


def test_what_follows_a_restart_gets_the_ids_that_it_would_have_got(memory: Memory) -> None:
    iam = memory.client("iam")

    def two_keys(restart: bool) -> list[str]:
        found = [iam.create_access_key(UserName="intern")["AccessKey"]["AccessKeyId"]]
        iam.delete_access_key(UserName="intern", AccessKeyId=found[0])
        if restart:
            memory.again()
        return [*found, iam.create_access_key(UserName="intern")["AccessKey"]["AccessKeyId"]]

    straight = two_keys(False)
    memory.path.unlink()
    memory.again()
    assert two_keys(True) == straight
    assert len(set(straight)) == 2


# ---- sessions -------------------------------------------------------------------------------------------------------------


def assume(memory: Memory, name: str = "job") -> dict[str, str]:
    role = f"arn:aws:iam::{A}:role/loader"
    return memory.client("sts", "ana").assume_role(RoleArn=role, RoleSessionName=name)["Credentials"]


def works(memory: Memory, keys: dict[str, str]) -> str:
    s3 = memory.aws.client_with("s3", keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
    try:
        s3.list_objects_v2(Bucket="clicks")
    except ClientError as error:
        return error.response["Error"]["Code"]
    return ""


def test_sessions_that_have_expired_are_dropped_and_do_not_shift_the_others(memory: Memory) -> None:
    old, new = assume(memory), assume(memory)
    lines = memory.entries
    day = datetime.timedelta(days=1)
    lines[0]["time"] = (datetime.datetime.fromisoformat(lines[0]["time"]) - day).isoformat()
    memory.path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert memory.again() == []
    assert works(memory, new) == ""
    assert works(memory, old) == "InvalidAccessKeyId"
    assert [line["nth"] for line in memory.entries] == [2]


def test_a_session_does_not_live_longer_because_it_was_made_again(memory: Memory) -> None:
    keys = assume(memory)
    (line,) = memory.entries
    two_hours = datetime.timedelta(hours=2)  # and the session was for one
    line["time"] = (datetime.datetime.fromisoformat(line["time"]) - two_hours).isoformat()
    memory.path.write_text(json.dumps(line) + "\n")
    assert memory.again() == []
    assert works(memory, keys) == "ExpiredToken"


def test_what_a_session_has_changed_stays_when_the_session_has_gone(memory: Memory) -> None:
    keys = assume(memory)
    memory.aws.client_with("s3", keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"]).put_object(
        Bucket="clicks", Key="of a session", Body=b"x"
    )
    lines = memory.entries
    memory.path.write_text(json.dumps(lines[1]) + "\n")
    assert memory.again() == []
    assert memory.client("s3").head_object(Bucket="clicks", Key="of a session")["ContentLength"] == 1


def test_a_federated_user_is_known_again(memory: Memory) -> None:
    sts = memory.client("sts")
    made = sts.get_federation_token(Name="partner", Policy=json.dumps(allow("s3:*")))["Credentials"]
    s3 = memory.aws.client_with("s3", made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])
    s3.put_object(Bucket="clicks", Key="partner", Body=b"x")
    assert memory.again() == []
    assert s3.get_object(Bucket="clicks", Key="partner")["Body"].read() == b"x"


# ---- made up ----------------------------------------------------------------------------------------------------------------


def test_a_made_up_entry_gets_no_further_than_the_permissions_of_whom_it_names(memory: Memory) -> None:
    memory.client("iam").create_user(UserName="eve")
    for caller in (f"arn:aws:iam::{A}:user/intern", f"arn:aws:sts::{A}:assumed-role/loader/x", f"arn:aws:iam::{B}:user/administrator", ""):  # fmt: skip
        memory.forge(caller=caller, request={**memory.entries[0]["request"], "body": "Action=CreateUser&Version=2010-05-08&UserName=mallory"})  # fmt: skip
    (of_intern, of_loader, of_nobody) = memory.again()
    assert "AccessDenied" in of_intern and "user/intern is not authorized to perform: iam:CreateUser" in of_intern
    assert "AccessDenied" in of_loader and of_nobody
    names = {account: {one["UserName"] for one in memory.client("iam", account=account).list_users()["Users"]} for account in (A, B)}  # fmt: skip
    assert "mallory" not in names[A]
    assert "mallory" in names[B], "an administrator of another account makes users in that account, and in no other"
    assert len(memory.entries) == 2


@pytest.mark.parametrize(
    "caller",
    ["arn:aws:iam::999999999999:user/administrator", f"arn:aws:iam::{A}:user/nobody", f"arn:aws:iam::{A}:root", "administrator", "arn:::::",
     f"arn:aws:sts::{A}:assumed-role/nothing/x", "a\nb", "\ud800"],
)  # fmt: skip
def test_a_made_up_caller_is_nobody(memory: Memory, caller: str) -> None:
    memory.client("iam").create_user(UserName="eve")
    memory.forge(caller=caller)
    (failed,) = memory.again()
    assert failed.endswith("there is no such caller") and "\n" not in failed
    assert len(memory.entries) == 1


def test_a_made_up_entry_is_what_its_request_says_and_not_what_it_says_itself(memory: Memory) -> None:
    """Operation and resources are for people and for resets; what is done, and asked of IAM, is read from the request."""
    memory.client("s3", "ana").put_object(Bucket="clicks", Key="x", Body=b"x")
    create = {"method": "POST", "path": "/", "query": "", "headers": {"content-type": "application/x-www-form-urlencoded"}, "body": "Action=CreateUser&Version=2010-05-08&UserName=mallory"}  # fmt: skip
    memory.forge(service="iam", request=create)
    memory.forge(service="s3", request=create)
    memory.forge(service="lambda")
    memory.forge(service="moto-api", request={**create, "path": "/moto-api/reset"})
    memory.forge(request={**memory.entries[0]["request"], "headers": {"x-moto-account-id": B}})
    memory.forge(request={**memory.entries[0]["request"], "path": "/moto-api/reset", "method": "POST"})
    failed = memory.again()
    assert "AccessDenied" in failed[0]
    assert [line for line in failed if "there is no service lambda" in line]
    assert [line for line in failed if "there is no service moto-api" in line]
    assert len(memory.entries) == 2, "an own upload may be said twice; a header about accounts is of no account"
    assert memory.client("s3").list_objects_v2(Bucket="clicks")["KeyCount"] == 2
    assert memory.client("iam", account=B).list_users()["Users"][0]["UserName"] == "administrator"


def test_a_made_up_read_is_not_done(memory: Memory) -> None:
    memory.client("s3").put_object(Bucket="clicks", Key="x", Body=b"x")
    memory.forge(request={**memory.entries[0]["request"], "method": "GET", "body": ""})
    assert memory.again() == [f"s3:PutObject by arn:aws:iam::{A}:user/administrator: it changes nothing"]


def test_a_key_of_somebody_elses_cannot_be_taken_by_a_made_up_entry(memory: Memory) -> None:
    """Without a user's name, IAM means the caller: of the entry, whatever its headers say."""
    memory.client("iam", "ana").create_access_key()
    key = memory.aws.access_key(A, "administrator")[0]
    stolen = f"AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0"
    request = memory.entries[0]["request"]
    memory.path.write_text("")
    memory.path.write_text(json.dumps({**json.loads(json.dumps(entry_of(memory, request))), "request": {**request, "headers": {**request["headers"], "authorization": stolen}}}) + "\n")  # fmt: skip
    memory.again()
    assert len(keys_of(memory.client("iam"), "administrator")) == 1


def entry_of(memory: Memory, request: dict[str, Any]) -> dict[str, Any]:
    return {
        "time": datetime.datetime.now(datetime.UTC).isoformat(), "caller": f"arn:aws:iam::{A}:user/ana", "service": "iam",
        "region": "us-east-1", "operation": "CreateAccessKey", "resources": [], "nth": 1, "request": request,
    }  # fmt: skip


# ---- the file -----------------------------------------------------------------------------------------------------------


def users(memory: Memory) -> set[str]:
    return {one["UserName"] for one in memory.client("iam").list_users()["Users"]} - {"administrator", "ana", "intern"}


@pytest.mark.parametrize("accident", ["deleted", "folder deleted", "emptied", "truncated", "longer", "other", "a folder", "a pipe", "a link", "unreadable", "huge"])  # fmt: skip
def test_an_accident_of_the_file_while_it_is_written_costs_nothing(memory: Memory, accident: str) -> None:
    iam, path = memory.client("iam"), memory.path
    iam.create_user(UserName="one")
    size = path.stat().st_size
    match accident:
        case "deleted":
            path.unlink()
        case "folder deleted":
            path.unlink()
            path.parent.rmdir()
        case "emptied":
            path.write_bytes(b"")
        case "truncated":
            os.truncate(path, size // 2)
        case "longer":
            with path.open("a") as file:
                file.write("not of us\n")
        case "other":
            path.write_bytes(b"x" * size)
        case "a folder":
            path.unlink()
            path.mkdir()
        case "a pipe":
            path.unlink()
            os.mkfifo(path)
        case "a link":
            (path.parent / "elsewhere").write_text("precious")
            path.unlink()
            path.symlink_to("elsewhere")
        case "unreadable":
            path.chmod(0)
        case "huge":
            os.truncate(path, 10**11)
    iam.create_user(UserName="two")
    if accident == "a folder":
        path.rmdir()
    elif accident == "other":
        assert memory.aws.guard.on_change.__closure__, "the size is the same: `save` finds it out"
    iam.create_user(UserName="three")
    if accident == "a link":
        assert (path.parent / "elsewhere").read_text() == "precious"
    if accident == "other":
        journal = memory.aws.guard.on_change.__closure__[0].cell_contents
        journal.flush()
    assert len(memory.entries) == 3
    assert memory.again() == []
    assert users(memory) == {"one", "two", "three"}


def test_a_file_that_cannot_be_written_does_not_hinder_the_change_and_is_written_later(
    memory: Memory, monkeypatch
) -> None:
    iam = memory.client("iam")
    iam.create_user(UserName="one")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        for name in ("open", "write_bytes"):
            patch.setattr(Path, name, full)
        iam.create_user(UserName="two")
        with pytest.raises(OSError, match="No space"):
            memory.aws.guard.on_change.__closure__[0].cell_contents.flush()
    assert len(memory.entries) == 1
    iam.create_user(UserName="three")
    assert [entry["operation"] for entry in memory.entries] == ["CreateUser"] * 3


def test_a_workspace_that_was_moved_away_does_not_come_back(memory: Memory) -> None:
    gone = memory.path.parents[1].with_name("moved")
    memory.path.parents[1].rename(gone)
    memory.client("iam").create_user(UserName="one")
    assert not memory.path.parents[1].exists()
    gone.rename(memory.path.parents[1])
    memory.client("iam").create_user(UserName="two")
    assert len(memory.entries) == 2


BROKEN = [
    b"", b"   ", b"garbage", b"{", b"[]", b"null", b"5", b'"text"', b"{}", b"\xff\xfe\x00", b"[" * 50_000,
    b'{"time": "yesterday", "caller": "", "service": "s3", "operation": "x", "resources": [], "request": {}}',
    *(json.dumps({
        "time": "2026-11-21T09:14:03+00:00", "caller": "", "service": "s3", "operation": "PutObject", "resources": [], "nth": 1,
        "request": {"method": "PUT", "path": "/", "query": "", "headers": {}, "body": ""}, **wrong,
    }).encode() for wrong in (
        {"time": "0001-01-01T00:00:00+14:00"}, {"time": 5}, {"caller": None}, {"resources": "x", "service": 5}, {"resources": [5]},
        {"nth": 0}, {"nth": "1"}, {"nth": 1e400}, {"nth": -1}, {"request": []}, {"request": {"method": "PUT"}},
        {"request": {"method": "PUT", "path": "/", "query": "", "headers": [], "body": ""}},
        {"request": {"method": "PUT", "path": "/", "query": "", "headers": {"a": 5}, "body": ""}},
        {"request": {"method": "PUT", "path": "/", "query": "", "headers": {}, "base64": "%%%"}},
        {"request": {"method": "PUT", "path": "/", "query": "", "headers": {}, "body": "\ud800"}},
        {"request": {"method": "PUT", "path": "/", "query": "", "headers": {}, "body": 5}},
    )),
]  # fmt: skip


@pytest.mark.parametrize("line", BROKEN, ids=lambda line: repr(line[:60]))
def test_a_damaged_line_is_left_out_and_the_others_count(memory: Memory, line: bytes) -> None:
    memory.client("iam").create_user(UserName="one")
    memory.client("iam").create_user(UserName="two")
    first, second = memory.path.read_bytes().splitlines(keepends=True)
    memory.path.write_bytes(first + line + b"\n" + second)
    assert Journal(memory.path).damaged == ("line 2 makes no sense; it is left out" if line.strip() else "")
    assert memory.again() == []
    assert users(memory) == {"one", "two"}
    assert memory.path.read_bytes() == first + second


ODD = [
    {"method": "BREW"}, {"method": ""}, {"path": ""}, {"path": "//"}, {"path": "/\0"}, {"path": "/../../etc/passwd"}, {"path": "/" + "x" * 100_000},
    {"query": "&=&="}, {"query": "versions&policy"}, {"query": "x=%zz"}, {"headers": {"content-length": "-1"}}, {"headers": {"content-type": "\n"}},
    {"headers": {"\u1234": "x"}}, {"headers": {"x-amz-copy-source": "/../.."}}, {"headers": {"content-encoding": "aws-chunked", "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}, "body": "zz\r\n"},
]  # fmt: skip


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd)[:60])
def test_an_odd_request_costs_at_most_itself(memory: Memory, odd: dict[str, Any]) -> None:
    memory.client("s3").put_object(Bucket="clicks", Key="x", Body=b"x")
    memory.forge(request={**memory.entries[0]["request"], **odd})
    memory.client("s3")
    Journal(memory.path)
    failed = memory.again()
    assert all("\n" not in line and len(line) < 500 for line in failed)
    memory.client("iam").create_user(UserName="after")
    assert users(memory) == {"after"}


@pytest.mark.parametrize("what", ["a folder", "a pipe", "a device", "unreadable"])
def test_a_file_that_is_none_is_said_and_does_not_keep_us_waiting(tmp_path: Path, what: str) -> None:
    path = tmp_path / "journal.jsonl"
    match what:
        case "a folder":
            path.mkdir()
        case "a pipe":
            os.mkfifo(path)
        case "a device":
            path.symlink_to("/dev/zero")
        case "unreadable":
            path.touch()
            path.chmod(0)
            if os.access(path, os.R_OK):
                path.unlink()
                path.symlink_to("/proc/self/mem" if os.path.exists("/proc/self/mem") else "/dev/zero")
    journal = Journal(path)
    assert journal.damaged
    assert journal.lines == []


def test_what_is_too_long_counts_as_far_as_it_goes(memory: Memory, monkeypatch) -> None:
    for name in ("one", "two", "three"):
        memory.client("iam").create_user(UserName=name)
    size = memory.path.stat().st_size
    with monkeypatch.context() as patch:
        patch.setattr(journal_code, "SIZE_LIMIT", size - 10)
        journal = Journal(memory.path)
        assert len(journal.lines) == 2 and journal.damaged.startswith("it has more than")
    with monkeypatch.context() as patch:
        patch.setattr(journal_code, "MOST", 2)
        journal = Journal(memory.path)
        assert len(journal.lines) == 2 and journal.damaged == "it has more than 2 changes; what comes later is left out"
    assert Journal(memory.path).damaged == ""


def test_what_takes_too_long_counts_as_far_as_it_goes(memory: Memory) -> None:
    for number in range(20):
        memory.client("iam").create_user(UserName=f"u{number}")
    memory.aws.guard.on_change = None
    memory.aws.reset()
    journal = Journal(memory.path)
    failed = journal.replay(memory.aws, seconds=0)
    assert failed == ["the last 20 changes are left out: all of them would take longer than 0 seconds"]
    assert journal.lines == []


def test_copies_of_what_was_damaged_do_not_overwrite_each_other(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    for number in range(3):
        path.write_text(f"damage {number}\n")
        journal = Journal(path)
        journal.keep_a_copy()
        journal.flush()
        assert path.read_bytes() == b""
    kept = {one.name: one.read_text() for one in tmp_path.iterdir() if one != path}
    assert kept == {
        "journal.damaged": "damage 0\n",
        "journal.damaged-2": "damage 1\n",
        "journal.damaged-3": "damage 2\n",
    }


# ---- back to the start, but for … ---------------------------------------------------------------------------------------


def test_some_things_can_be_left_out(memory: Memory) -> None:
    iam = memory.client("iam")
    for name in ("keep", "drop"):
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(allow("s3:*")))
    memory.client("s3").put_object(Bucket="clicks", Key="drop/x", Body=b"x")
    memory.client("s3").put_object(Bucket="clicks", Key="keep/x", Body=b"x")
    assert memory.again(("*:user/drop", "arn:aws:s3:::clicks/drop/*")) == []
    assert users(memory) == {"keep"}
    keys = {one["Key"] for one in memory.client("s3").list_objects_v2(Bucket="clicks")["Contents"]}
    assert keys == {"old.csv", "keep/x"}
    assert len(memory.entries) == 3
    assert memory.again() == [] and users(memory) == {"keep"}, "they stay out"


def test_what_leaned_on_what_is_left_out_is_said(memory: Memory) -> None:
    iam = memory.client("iam")
    iam.create_group(GroupName="g")
    iam.create_user(UserName="drop")
    iam.add_user_to_group(GroupName="g", UserName="drop")
    failed = memory.again(("*:user/drop",))
    assert len(failed) <= 1 and all("AddUserToGroup" in line for line in failed)
    assert iam.get_group(GroupName="g")["Users"] == []


# ---- many at once ---------------------------------------------------------------------------------------------------------


def test_changes_from_many_threads_are_all_there_and_in_order(memory: Memory) -> None:
    clients = [memory.client("s3", config=Config(max_pool_connections=4)) for _ in range(8)]

    def work(number: int) -> None:
        for turn in range(5):
            clients[number].put_object(Bucket="clicks", Key=f"k{number}", Body=str(turn).encode())
            clients[number].put_object(Bucket="clicks", Key="shared", Body=f"{number}/{turn}".encode())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    s3 = memory.client("s3")
    last = s3.get_object(Bucket="clicks", Key="shared")["Body"].read()
    assert len(memory.entries) == 80
    assert memory.again() == []
    assert s3.get_object(Bucket="clicks", Key="shared")["Body"].read() == last
    assert {s3.get_object(Bucket="clicks", Key=f"k{n}")["Body"].read() for n in range(8)} == {b"4"}


def test_a_body_that_is_no_text_is_kept_as_base64(memory: Memory) -> None:
    memory.client("s3").put_object(Bucket="clicks", Key="x", Body=BINARY)
    request = memory.entries[0]["request"]
    assert "body" not in request
    assert BINARY in base64.b64decode(request["base64"])
