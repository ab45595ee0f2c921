"""Forty requests at once, from threads and from other processes: no wrong decision, no lost write, no 500."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from opslab.worlds.aws import clients
from opslab.worlds.aws.organisation import Organisation

A, B = "111111111111", "222222222222"
AT_ONCE = 40


@pytest.fixture
def aws() -> Iterator[Organisation]:
    with Organisation({"staging": A, "production": B}) as running:
        iam = running.client("iam", "staging")
        running.client("s3", "staging").create_bucket(
            Bucket="clicks", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        for name, action in (("ana", "s3:PutObject"), ("ben", "s3:GetObject")):
            iam.create_user(UserName=name)
            own = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]}
            iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=json.dumps(own))
        yield running


def test_threads(aws: Organisation) -> None:
    pool = Config(max_pool_connections=AT_ONCE, retries={"total_max_attempts": 1})
    s3 = {name: aws.client("s3", "staging", name, config=pool) for name in ("ana", "ben", "administrator")}
    iam = aws.client("iam", "staging", config=pool)
    sts = aws.client("sts", "staging", config=pool)
    barrier = Barrier(AT_ONCE)

    def work(number: int) -> list[tuple[str, str]]:
        barrier.wait()
        seen = []
        calls = [
            ("put ana", lambda: s3["ana"].put_object(Bucket="clicks", Key=f"k{number}", Body=b"x")),
            ("put ben", lambda: s3["ben"].put_object(Bucket="clicks", Key=f"no{number}", Body=b"x")),
            ("create user", lambda: iam.create_user(UserName=f"u{number}")),
            ("who", sts.get_caller_identity),
            ("tag", lambda: iam.tag_user(UserName="ana", Tags=[{"Key": f"t{number}", "Value": "x"}])),
        ]
        for name, call in calls:
            try:
                call()
                seen.append((name, "200"))
            except ClientError as error:
                seen.append((name, error.response["Error"]["Code"]))
        return seen

    with ThreadPoolExecutor(AT_ONCE) as threads:
        seen = Counter(one for result in threads.map(work, range(AT_ONCE)) for one in result)
    assert seen == {
        ("put ana", "200"): AT_ONCE,
        ("put ben", "AccessDenied"): AT_ONCE,
        ("create user", "200"): AT_ONCE,
        ("who", "200"): AT_ONCE,
        ("tag", "200"): AT_ONCE,
    }
    keys = {one["Key"] for one in s3["administrator"].list_objects_v2(Bucket="clicks")["Contents"]}
    assert keys == {f"k{number}" for number in range(AT_ONCE)}
    users = {one["UserName"] for one in iam.list_users()["Users"]}
    assert {f"u{number}" for number in range(AT_ONCE)} <= users
    assert len(iam.list_user_tags(UserName="ana")["Tags"]) == AT_ONCE
    assert len({record.number for record in aws.records}) == len(aws.records)


WRITER = """
import sys, boto3
from concurrent.futures import ThreadPoolExecutor
process = sys.argv[1]
s3 = boto3.client("s3")
def put(number):
    s3.put_object(Bucket="clicks", Key=f"{process}/{number}", Body=b"x")
    try:
        s3.get_object(Bucket="clicks", Key=f"{process}/{number}")
    except s3.exceptions.ClientError as error:
        return error.response["Error"]["Code"]
with ThreadPoolExecutor(10) as threads:
    print(*set(threads.map(put, range(25))))
"""


def test_processes(aws: Organisation, tmp_path) -> None:
    (tmp_path / ".aws").mkdir()
    aws.credentials_file(tmp_path / ".aws" / "credentials", {"default": (A, "ana")})
    environment = clients.environment(aws.endpoint, tmp_path)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(number)], env=environment, stdout=subprocess.PIPE, text=True
        )
        for number in range(4)
    ]
    assert [process.communicate(timeout=120)[0].split() for process in running] == [["AccessDenied"]] * 4
    keys = aws.client("s3", "staging").list_objects_v2(Bucket="clicks")["Contents"]
    assert len(keys) == 100


def test_reset_in_the_middle_of_it(aws: Organisation) -> None:
    """Requests of before a reset end in an answer, and what comes after finds a clean world."""
    pool = Config(max_pool_connections=20, retries={"total_max_attempts": 1})
    s3 = aws.client("s3", "staging", config=pool)

    def work(number: int) -> int:
        if number % 10 == 5:
            aws.reset()
            return 200
        try:
            s3.put_object(Bucket="clicks", Key=str(number), Body=b"x")
            return 200
        except ClientError as error:
            return error.response["ResponseMetadata"]["HTTPStatusCode"]

    with ThreadPoolExecutor(20) as threads:
        assert set(threads.map(work, range(60))) <= {200, 404}
    aws.reset()
    assert aws.client("s3", "staging").list_buckets()["Buckets"] == []
