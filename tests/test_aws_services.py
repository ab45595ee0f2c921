"""Every service of the sandbox: a call is allowed by a policy with the right ARN, and refused with a wrong one."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from opslab.worlds.aws import operations
from opslab.worlds.aws.operations import NOTHING, Call, Unmapped, asks
from opslab.worlds.aws.organisation import Organisation

A, B = "111111111111", "222222222222"
HERE = f"eu-west-1:{A}"
TRUST = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": A}, "Action": "sts:AssumeRole"}]}
)


@pytest.fixture(scope="module")
def aws() -> Iterator[Organisation]:
    with Organisation({"staging": A, "production": B}, start=seed) as running:
        yield running


def seed(running: Organisation) -> None:
    from opslab.worlds.aws.state import iam

    iam(A).create_user("aws", "ana")
    iam(A).create_role("etl", TRUST, "/jobs/", None, "", [], "3600")


def furnish(aws: Organisation) -> dict[str, str]:
    """One thing of each kind, made by the administrator through the API."""
    aws.reset()
    made: dict[str, str] = {}
    aws.client("s3", "staging").create_bucket(
        Bucket="clicks", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    aws.client("s3", "staging").put_object(Bucket="clicks", Key="2026/a b.csv", Body=b"1")
    rules = [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
    aws.client("s3", "staging").put_bucket_encryption(
        Bucket="clicks", ServerSideEncryptionConfiguration={"Rules": rules}
    )
    aws.client("kinesis", "staging").create_stream(StreamName="clicks", ShardCount=1)
    made["queue"] = aws.client("sqs", "staging").create_queue(QueueName="jobs")["QueueUrl"]
    made["secret"] = aws.client("secretsmanager", "staging").create_secret(Name="db/pw", SecretString="x")["ARN"]
    aws.client("ssm", "staging").put_parameter(Name="/app/db", Value="x", Type="String")
    made["key"] = aws.client("kms", "staging").create_key()["KeyMetadata"]["Arn"]
    aws.client("kms", "staging").create_alias(AliasName="alias/data", TargetKeyId=made["key"])
    aws.client("ecr", "staging").create_repository(repositoryName="app/web")
    aws.client("dynamodb", "staging").create_table(
        TableName="orders",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
    )
    glue = aws.client("glue", "staging")
    glue.create_database(DatabaseInput={"Name": "raw"})
    glue.create_table(DatabaseName="raw", TableInput={"Name": "clicks"})
    made["query"] = aws.client("athena", "staging").start_query_execution(
        QueryString="select 1", ResultConfiguration={"OutputLocation": "s3://clicks/out/"}
    )["QueryExecutionId"]
    aws.client("logs", "staging").create_log_group(logGroupName="/jobs/load")
    return made


# service, call, parameters, action, resources that the policy must have
CASES: list[tuple[str, str, dict, str, list[str]]] = [
    ("s3", "get_object", {"Bucket": "clicks", "Key": "2026/a b.csv"}, "s3:GetObject", ["arn:aws:s3:::clicks/2026/a b.csv"]),
    ("s3", "head_bucket", {"Bucket": "clicks"}, "s3:ListBucket", ["arn:aws:s3:::clicks"]),
    ("s3", "list_objects", {"Bucket": "clicks"}, "s3:ListBucket", ["arn:aws:s3:::clicks"]),
    ("s3", "list_object_versions", {"Bucket": "clicks"}, "s3:ListBucketVersions", ["arn:aws:s3:::clicks"]),
    ("s3", "get_bucket_location", {"Bucket": "clicks"}, "s3:GetBucketLocation", ["arn:aws:s3:::clicks"]),
    ("s3", "get_bucket_encryption", {"Bucket": "clicks"}, "s3:GetEncryptionConfiguration", ["arn:aws:s3:::clicks"]),
    ("s3", "put_object", {"Bucket": "clicks", "Key": "n", "Body": b"x"}, "s3:PutObject", ["arn:aws:s3:::clicks/n"]),
    ("s3", "create_multipart_upload", {"Bucket": "clicks", "Key": "n"}, "s3:PutObject", ["arn:aws:s3:::clicks/n"]),
    ("s3", "get_object_tagging", {"Bucket": "clicks", "Key": "2026/a b.csv"}, "s3:GetObjectTagging", ["arn:aws:s3:::clicks/2026/*"]),
    ("kinesis", "put_record", {"StreamName": "clicks", "Data": b"x", "PartitionKey": "1"}, "kinesis:PutRecord", [f"arn:aws:kinesis:{HERE}:stream/clicks"]),
    ("kinesis", "describe_stream_summary", {"StreamARN": f"arn:aws:kinesis:{HERE}:stream/clicks"}, "kinesis:DescribeStreamSummary", [f"arn:aws:kinesis:{HERE}:stream/clicks"]),
    ("sqs", "send_message", {"QueueUrl": "@queue", "MessageBody": "x"}, "sqs:SendMessage", [f"arn:aws:sqs:{HERE}:jobs"]),
    ("sqs", "send_message_batch", {"QueueUrl": "@queue", "Entries": [{"Id": "1", "MessageBody": "x"}]}, "sqs:SendMessage", [f"arn:aws:sqs:{HERE}:jobs"]),
    ("sqs", "get_queue_url", {"QueueName": "jobs"}, "sqs:GetQueueUrl", [f"arn:aws:sqs:{HERE}:jobs"]),
    ("secretsmanager", "get_secret_value", {"SecretId": "db/pw"}, "secretsmanager:GetSecretValue", [f"arn:aws:secretsmanager:{HERE}:secret:db/pw-??????"]),
    ("secretsmanager", "describe_secret", {"SecretId": "@secret"}, "secretsmanager:DescribeSecret", ["@secret"]),
    ("secretsmanager", "create_secret", {"Name": "app/key", "SecretString": "x"}, "secretsmanager:CreateSecret", [f"arn:aws:secretsmanager:{HERE}:secret:app/*"]),
    ("ssm", "get_parameter", {"Name": "/app/db"}, "ssm:GetParameter", [f"arn:aws:ssm:{HERE}:parameter/app/db"]),
    ("ssm", "get_parameters", {"Names": ["/app/db"]}, "ssm:GetParameters", [f"arn:aws:ssm:{HERE}:parameter/app/*"]),
    ("ssm", "get_parameters_by_path", {"Path": "/app"}, "ssm:GetParametersByPath", [f"arn:aws:ssm:{HERE}:parameter/app"]),
    ("kms", "encrypt", {"KeyId": "alias/data", "Plaintext": b"x"}, "kms:Encrypt", ["@key"]),
    ("kms", "describe_key", {"KeyId": "@key"}, "kms:DescribeKey", ["@key"]),
    ("ecr", "describe_images", {"repositoryName": "app/web"}, "ecr:DescribeImages", [f"arn:aws:ecr:{HERE}:repository/app/web"]),
    ("ecr", "get_authorization_token", {}, "ecr:GetAuthorizationToken", ["*"]),
    ("dynamodb", "get_item", {"TableName": "orders", "Key": {"k": {"S": "1"}}}, "dynamodb:GetItem", [f"arn:aws:dynamodb:{HERE}:table/orders"]),
    ("dynamodb", "batch_get_item", {"RequestItems": {"orders": {"Keys": [{"k": {"S": "1"}}]}}}, "dynamodb:BatchGetItem", [f"arn:aws:dynamodb:{HERE}:table/orders"]),
    ("dynamodb", "transact_write_items", {"TransactItems": [{"Put": {"TableName": "orders", "Item": {"k": {"S": "1"}}}}]}, "dynamodb:PutItem", [f"arn:aws:dynamodb:{HERE}:table/orders"]),
    ("glue", "get_table", {"DatabaseName": "raw", "Name": "clicks"}, "glue:GetTable", [f"arn:aws:glue:{HERE}:catalog", f"arn:aws:glue:{HERE}:database/raw", f"arn:aws:glue:{HERE}:table/raw/clicks"]),
    ("glue", "get_database", {"Name": "raw"}, "glue:GetDatabase", [f"arn:aws:glue:{HERE}:catalog", f"arn:aws:glue:{HERE}:database/raw"]),
    ("glue", "get_tables", {"DatabaseName": "raw"}, "glue:GetTables", [f"arn:aws:glue:{HERE}:catalog", f"arn:aws:glue:{HERE}:database/raw", f"arn:aws:glue:{HERE}:table/raw/*"]),
    ("athena", "get_work_group", {"WorkGroup": "primary"}, "athena:GetWorkGroup", [f"arn:aws:athena:{HERE}:workgroup/primary"]),
    ("athena", "get_query_execution", {"QueryExecutionId": "@query"}, "athena:GetQueryExecution", [f"arn:aws:athena:{HERE}:workgroup/primary"]),
    ("logs", "create_log_stream", {"logGroupName": "/jobs/load", "logStreamName": "a"}, "logs:CreateLogStream", [f"arn:aws:logs:{HERE}:log-group:/jobs/load:*"]),
    ("logs", "describe_log_streams", {"logGroupName": "/jobs/load"}, "logs:DescribeLogStreams", [f"arn:aws:logs:{HERE}:log-group:/jobs/*"]),
    ("iam", "get_role", {"RoleName": "etl"}, "iam:GetRole", [f"arn:aws:iam::{A}:role/jobs/etl"]),
    ("iam", "get_user", {}, "iam:GetUser", [f"arn:aws:iam::{A}:user/${{aws:username}}"]),
    ("iam", "list_users", {}, "iam:ListUsers", ["*"]),
    ("sts", "assume_role", {"RoleArn": f"arn:aws:iam::{A}:role/jobs/etl", "RoleSessionName": "ss"}, "sts:AssumeRole", [f"arn:aws:iam::{A}:role/jobs/*"]),
]  # fmt: skip


@pytest.fixture(scope="module")
def made(aws: Organisation) -> dict[str, str]:
    return furnish(aws)


def real(value: Any, made: dict[str, str]) -> Any:
    if isinstance(value, str) and value.startswith("@"):
        return made[value[1:]]
    return value


@pytest.mark.parametrize(
    ("service", "call", "params", "action", "resources"), CASES, ids=[f"{c[0]}:{c[1]}" for c in CASES]
)
def test_right_and_wrong_resource(
    aws: Organisation, made: dict[str, str], service: str, call: str, params: dict, action: str, resources: list[str]
) -> None:
    params = {name: real(value, made) for name, value in params.items()}
    resources = [real(one, made) for one in resources]
    client = aws.client(service, "staging", "ana")
    iam = aws.client("iam", "staging")

    def try_with(action: str, resources: list[str]) -> str:
        iam.put_user_policy(
            UserName="ana",
            PolicyName="own",
            PolicyDocument=json.dumps(
                {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resources}]}
            ),
        )
        try:
            getattr(client, call)(**params)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            assert status < 500, error
            return "denied" if status == 403 or "AccessDenied" in error.response["Error"]["Code"] else str(error)
        return "allowed"

    assert try_with(action, resources) == "allowed", aws.last_denial()
    service_name = action.split(":")[0]
    assert try_with(f"{service_name}:Nothing", ["*"]) == "denied"
    for one in resources:
        others = [other for other in resources if other != one]
        assert try_with(action, [*others, "arn:aws:s3:::something-else"]) == "denied", f"without {one}"


def test_every_operation_is_mapped_or_refused() -> None:
    """No operation of the thirteen services ends in anything but asks or Unmapped, whatever its parameters."""
    import botocore.session

    session = botocore.session.get_session()
    mapped = 0
    for service in operations.SERVICES:
        for operation in session.get_service_model(service).operation_names:
            for params in (
                {},
                {"Bucket": "b", "Key": "k"},
                {"Name": "x"},
                {"ResourceArn": f"arn:aws:{service}:{HERE}:x/y"},
            ):
                try:
                    found = asks(Call(service, operation, params, A, "eu-west-1", "ana"), NOTHING)
                except Unmapped:
                    continue
                mapped += 1
                free = (service, operation) in {("sts", "GetCallerIdentity"), ("sts", "GetSessionToken")}
                assert found or free, (service, operation)
                for ask in found:
                    assert ask.action.split(":")[0] in (service, "iam")
                    assert ask.resource == "*" or ask.resource.startswith(("arn:", "None")), ask
    assert mapped > 1000


def test_actions_are_known_to_aws() -> None:
    """What the tables make of an operation is an action of the Service Authorization Reference."""
    for case in CASES:
        service, name = case[3].split(":")
        assert operations.action_details(service, name) is not None, case[3]
    for name in operations.S3_ACTIONS.values():
        assert operations.action_details("s3", name) is not None, name


def test_resource_policies_open_other_accounts(aws: Organisation, made: dict[str, str]) -> None:
    """Queue, secret, repository: identity in one account, resource policy in the other."""
    who = f"arn:aws:iam::{B}:user/administrator"

    def grant(action: str) -> str:
        statement = {"Effect": "Allow", "Principal": {"AWS": who}, "Action": action, "Resource": "*"}
        return json.dumps({"Version": "2012-10-17", "Statement": [statement]})

    sqs, theirs = aws.client("sqs", "staging"), aws.client("sqs", "production")
    with pytest.raises(ClientError, match="because no resource-based policy allows the sqs:sendmessage action"):
        theirs.send_message(QueueUrl=made["queue"], MessageBody="x")
    sqs.set_queue_attributes(QueueUrl=made["queue"], Attributes={"Policy": grant("sqs:SendMessage")})
    theirs.send_message(QueueUrl=made["queue"], MessageBody="from production")
    assert sqs.receive_message(QueueUrl=made["queue"])["Messages"]

    secrets, theirs = aws.client("secretsmanager", "staging"), aws.client("secretsmanager", "production")
    with pytest.raises(ClientError, match="resource-based policy"):
        theirs.get_secret_value(SecretId=made["secret"])
    secrets.put_resource_policy(SecretId=made["secret"], ResourcePolicy=grant("secretsmanager:GetSecretValue"))
    assert theirs.get_secret_value(SecretId=made["secret"])["SecretString"] == "x"

    ecr, theirs = aws.client("ecr", "staging"), aws.client("ecr", "production")
    with pytest.raises(ClientError, match="resource-based policy"):
        theirs.describe_images(registryId=A, repositoryName="app/web")
    ecr.set_repository_policy(repositoryName="app/web", policyText=grant("ecr:DescribeImages"))
    theirs.describe_images(registryId=A, repositoryName="app/web")


def test_long_polling_keeps_nobody_waiting(aws: Organisation, made: dict[str, str]) -> None:
    import threading
    import time

    sqs, other, sts = aws.client("sqs", "staging"), aws.client("sqs", "staging"), aws.client("sts", "staging")
    sqs.purge_queue(QueueUrl=made["queue"])
    found: list = []
    waiting = threading.Thread(
        target=lambda: found.extend(sqs.receive_message(QueueUrl=made["queue"], WaitTimeSeconds=20).get("Messages", []))
    )
    before = time.monotonic()
    waiting.start()
    sts.get_caller_identity()
    other.send_message(QueueUrl=made["queue"], MessageBody="late")
    waiting.join(60)
    assert [one["Body"] for one in found] == ["late"]
    assert time.monotonic() - before < 19, "it does not wait for the end of the 20 seconds"


def test_large_and_odd_bodies(aws: Organisation, made: dict[str, str]) -> None:
    s3 = aws.client("s3", "staging")
    big = bytes(range(256)) * 40_000
    s3.upload_fileobj(io.BytesIO(big), "clicks", "big")  # in parts
    assert s3.get_object(Bucket="clicks", Key="big")["Body"].read() == big
    for key in ("a b/ü+%20?&=.csv", "/leading", "trailing/", "a//b", "."):
        s3.put_object(Bucket="clicks", Key=key, Body=b"x", Metadata={"my_name": "v"})
        assert s3.get_object(Bucket="clicks", Key=key)["Body"].read() == b"x"
