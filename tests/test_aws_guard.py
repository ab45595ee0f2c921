"""The guard over real HTTP: who may get in, what they may do there, and what they are told."""

from __future__ import annotations

import datetime
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from opslab.worlds.aws.explain import explain
from opslab.worlds.aws.guard import S3_SUBRESOURCES
from opslab.worlds.aws.organisation import Organisation

A, B = "111111111111", "222222222222"
ANA = f"arn:aws:iam::{A}:user/ana"
REGION = "eu-west-1"


@pytest.fixture(scope="module")
def running() -> Iterator[Organisation]:
    with Organisation({"staging": A, "production": B}) as aws:
        yield aws


@pytest.fixture
def aws(running: Organisation) -> Organisation:
    running.reset()
    return running


def doc(*statements: dict) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: Any, resource: Any = "*", **more: Any) -> dict:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def trust(who: Any, **more: Any) -> str:
    return doc({"Effect": "Allow", "Principal": who, "Action": "sts:AssumeRole", **more})


def user(aws: Organisation, *statements: dict, name: str = "ana", account: str = "staging", **options: Any) -> None:
    iam = aws.client("iam", account)
    iam.create_user(UserName=name, **options)
    if statements:
        iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=doc(*statements))


def bucket(aws: Organisation, name: str = "clicks", account: str = "staging", **objects: bytes) -> Any:
    s3 = aws.client("s3", account)
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    for key, body in objects.items():
        s3.put_object(Bucket=name, Key=key, Body=body)
    return s3


def refused(call: Any, **params: Any) -> tuple[str, str]:
    """(code, message) of the error that a call must end in."""
    with pytest.raises(ClientError) as error:
        call(**params)
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] < 500
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


def get(url: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with opener.open(urllib.request.Request(url, body, names, method=method), timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


# --- who ---------------------------------------------------------------------------------------------------------------


def test_unknown_keys(aws: Organisation) -> None:
    for service, call, params, code in (
        ("sts", "get_caller_identity", {}, "InvalidClientTokenId"),
        ("iam", "list_users", {}, "InvalidClientTokenId"),
        ("kinesis", "list_streams", {}, "UnrecognizedClientException"),
        ("s3", "list_buckets", {}, "InvalidAccessKeyId"),
    ):
        client = aws.client_with(service, "AKIAIOSFODNN7EXAMPLE", "x" * 40)
        assert refused(getattr(client, call), **params)[0] == code


def test_a_wrong_secret(aws: Organisation) -> None:
    key, _ = aws.access_key("staging", "administrator")
    for service, call, code in (
        ("sts", "get_caller_identity", "SignatureDoesNotMatch"),
        ("kinesis", "list_streams", "InvalidSignatureException"),
        ("s3", "list_buckets", "SignatureDoesNotMatch"),
    ):
        assert refused(getattr(aws.client_with(service, key, "x" * 40), call))[0] == code


def test_inactive_and_deleted_keys(aws: Organisation) -> None:
    user(aws, allow("*"))
    iam, client = aws.client("iam", "staging"), aws.client("sts", "staging", "ana")
    key = aws.access_key("staging", "ana")[0]
    assert client.get_caller_identity()["Arn"] == ANA
    iam.update_access_key(UserName="ana", AccessKeyId=key, Status="Inactive")
    assert refused(client.get_caller_identity)[0] == "InvalidClientTokenId"
    iam.update_access_key(UserName="ana", AccessKeyId=key, Status="Active")
    assert client.get_caller_identity()["Arn"] == ANA
    iam.delete_access_key(UserName="ana", AccessKeyId=key)
    assert refused(client.get_caller_identity)[0] == "InvalidClientTokenId"


def role_session(aws: Organisation, service: str, *statements: dict, **options: Any) -> Any:
    iam = aws.client("iam", "staging")
    iam.create_role(RoleName="etl", AssumeRolePolicyDocument=trust({"AWS": A}))
    if statements:
        iam.put_role_policy(RoleName="etl", PolicyName="own", PolicyDocument=doc(*statements))
    made = aws.client("sts", "staging").assume_role(
        RoleArn=f"arn:aws:iam::{A}:role/etl", RoleSessionName="monday", **options
    )["Credentials"]
    return made, aws.client_with(service, made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])


def test_expired_sessions(aws: Organisation) -> None:
    made, sts = role_session(aws, "sts")
    assert sts.get_caller_identity()["Arn"] == f"arn:aws:sts::{A}:assumed-role/etl/monday"
    session = aws.state.sessions[made["AccessKeyId"]]
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=1)
    aws.state.sessions[made["AccessKeyId"]] = session.__class__(**{**vars(session), "expires": past})
    assert refused(sts.get_caller_identity)[0] == "ExpiredToken"
    keys = made["AccessKeyId"], made["SecretAccessKey"]
    assert refused(aws.client_with("kinesis", *keys, made["SessionToken"]).list_streams)[0] == "ExpiredTokenException"
    assert refused(aws.client_with("s3", *keys, made["SessionToken"]).list_buckets)[0] == "ExpiredToken"


def test_a_session_needs_its_token(aws: Organisation) -> None:
    made, _ = role_session(aws, "sts")
    for token in (None, "wrong"):
        client = aws.client_with("sts", made["AccessKeyId"], made["SecretAccessKey"], token)
        assert refused(client.get_caller_identity)[0] == "InvalidClientTokenId"


def test_nobody_can_choose_their_account(aws: Organisation) -> None:
    user(aws)
    client = aws.client("sts", "staging", "ana")
    client.meta.events.register("before-send.*", lambda request, **_: request.headers.update({"x-moto-account-id": B}))
    assert client.get_caller_identity()["Account"] == A
    bucket(aws, "theirs", "production")
    s3 = aws.client("s3", "staging")
    s3.meta.events.register("before-send.*", lambda request, **_: request.headers.update({"x-moto-account-id": B}))
    assert s3.list_buckets()["Buckets"] == []


def test_the_inside_of_moto_is_out_of_reach(aws: Organisation) -> None:
    for path in ("/moto-api/", "/moto-api/data.json", "/moto-api/reset", "/latest/meta-data/iam/", "/favicon.ico"):
        for method in ("GET", "POST"):
            assert get(aws.endpoint + path, method, b"" if method == "POST" else None)[0] in (403, 404)
    bucket(aws)
    get(aws.endpoint + "/moto-api/reset", "POST", b"")
    assert len(aws.client("s3", "staging").list_buckets()["Buckets"]) == 1


def test_other_hosts_are_not_answered(aws: Organisation) -> None:
    status, body = get(aws.endpoint + "/", Host="clicks.s3.amazonaws.com")
    assert (status, b"127.0.0.1" in body) == (400, True)


def test_unsigned_requests(aws: Organisation) -> None:
    s3 = bucket(aws, hello=b"hi")
    status, body = get(f"{aws.endpoint}/clicks/hello")
    assert (status, b"<Message>Access Denied</Message>" in body) == (403, True)
    everyone = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::clicks/*"}
    s3.put_bucket_policy(Bucket="clicks", Policy=doc(everyone))
    assert get(f"{aws.endpoint}/clicks/hello") == (200, b"hi")
    assert get(f"{aws.endpoint}/clicks/hello", "DELETE")[0] == 403
    status, body = get(
        aws.endpoint, "POST", b"Action=ListUsers&Version=2010-05-08", Content_Type="application/x-www-form-urlencoded"
    )
    assert (status, b"MissingAuthenticationToken" in body) == (403, True)


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_presigned_urls(aws: Organisation, version: str) -> None:
    bucket(aws, hello=b"hi")
    user(aws, allow("s3:GetObject", "arn:aws:s3:::clicks/*"))
    s3 = aws.client("s3", "staging", "ana", config=Config(signature_version=version))
    where = {"Bucket": "clicks", "Key": "hello"}
    url = s3.generate_presigned_url("get_object", where)
    assert get(url) == (200, b"hi")
    assert get(url.replace("hello", "other"))[0] == 403
    assert get(s3.generate_presigned_url("put_object", where), "PUT", b"no")[0] == 403
    gone = s3.generate_presigned_url("get_object", where, ExpiresIn=-5)
    assert get(gone)[0] == 403
    aws.client("iam", "staging").delete_user_policy(UserName="ana", PolicyName="own")
    assert get(url)[0] == 403  # a URL is only as good as its maker's permissions now


def test_tampering_is_noticed(aws: Organisation) -> None:
    bucket(aws)
    s3 = aws.client("s3", "staging")

    def change(request: Any, **_: Any) -> None:
        request.url = request.url.replace("good", "evil")

    s3.meta.events.register("before-send.s3.PutObject", change)
    assert refused(s3.put_object, Bucket="clicks", Key="good", Body=b"x")[0] == "SignatureDoesNotMatch"
    kinesis = aws.client("kinesis", "staging")

    def body(request: Any, **_: Any) -> None:
        request.body = b'{"StreamName": "other", "ShardCount": 1}'
        request.headers["Content-Length"] = str(len(request.body))

    kinesis.meta.events.register("before-send.kinesis.CreateStream", body)
    assert refused(kinesis.create_stream, StreamName="mine", ShardCount=1)[0] == "InvalidSignatureException"


# --- the wording -------------------------------------------------------------------------------------------------------


def test_the_wording(aws: Organisation) -> None:
    user(aws)
    bucket(aws, hello=b"hi")
    stream = f"arn:aws:kinesis:{REGION}:{A}:stream/clicks"
    who = f"User: {ANA} is not authorized to perform:"

    def because(action: str) -> str:
        return f"because no identity-based policy allows the {action} action"

    def ask(service: str, call: str, **params: Any) -> tuple[str, str]:
        return refused(getattr(aws.client(service, "staging", "ana"), call), **params)

    assert ask("s3", "get_object", Bucket="clicks", Key="hello") == (
        "AccessDenied",
        f'{who} s3:GetObject on resource: "arn:aws:s3:::clicks/hello" {because("s3:GetObject")}',
    )
    assert ask("s3", "list_buckets") == ("AccessDenied", f"{who} s3:ListAllMyBuckets {because('s3:ListAllMyBuckets')}")
    assert ask("s3", "head_object", Bucket="clicks", Key="hello")[0] == "403"
    assert ask("kinesis", "put_record", StreamName="clicks", Data=b"x", PartitionKey="1") == (
        "AccessDeniedException",
        f"{who} kinesis:PutRecord on resource: {stream} {because('kinesis:PutRecord')}",
    )
    assert ask("iam", "create_role", RoleName="r", AssumeRolePolicyDocument=trust("*")) == (
        "AccessDenied",
        f"{who} iam:CreateRole on resource: arn:aws:iam::{A}:role/r {because('iam:CreateRole')}",
    )
    queue = f"{aws.endpoint}/{A}/jobs"
    assert ask("sqs", "send_message", QueueUrl=queue, MessageBody="x") == (
        "AccessDenied",
        f"{who} sqs:sendmessage on resource: arn:aws:sqs:{REGION}:{A}:jobs {because('sqs:sendmessage')}",
    )
    assert ask("sts", "assume_role", RoleArn=f"arn:aws:iam::{A}:role/none", RoleSessionName="ss") == (
        "AccessDenied",
        f"{who} sts:AssumeRole on resource: arn:aws:iam::{A}:role/none",
    )
    aws.client("iam", "staging").put_user_policy(
        UserName="ana",
        PolicyName="own",
        PolicyDocument=doc(allow("*"), {"Effect": "Deny", "Action": "kms:*", "Resource": "*"}),
    )
    assert ask("kms", "list_keys") == (
        "AccessDeniedException",
        f"{who} kms:ListKeys on resource: * with an explicit deny in an identity-based policy",
    )


def test_s3_keeps_silent_across_accounts(aws: Organisation) -> None:
    user(aws, allow("s3:*"))
    bucket(aws, "theirs", "production", hello=b"hi")
    s3 = aws.client("s3", "staging", "ana")
    assert refused(s3.get_object, Bucket="theirs", Key="hello") == ("AccessDenied", "Access Denied")
    told = explain(aws.last_denial())
    assert told.layer == "resource"
    assert "in the account of the resource (222222222222). Across accounts both sides must allow." in told.text


def test_who_may_not_list_is_not_told_what_is_missing(aws: Organisation) -> None:
    bucket(aws)
    user(aws, allow("s3:GetObject", "arn:aws:s3:::clicks/*"))
    s3 = aws.client("s3", "staging", "ana")
    code, message = refused(s3.get_object, Bucket="clicks", Key="missing")
    assert (code, "s3:ListBucket" in message) == ("AccessDenied", True)
    aws.client("iam", "staging").put_user_policy(UserName="ana", PolicyName="own", PolicyDocument=doc(allow("s3:*")))
    assert refused(s3.get_object, Bucket="clicks", Key="missing")[0] == "NoSuchKey"
    assert refused(s3.get_object, Bucket="no-such-bucket", Key="x")[0] == "NoSuchBucket"


# --- layers, with moto behind -------------------------------------------------------------------------------------------


def test_boundaries_of_users(aws: Organisation) -> None:
    iam = aws.client("iam", "staging")
    only_s3 = iam.create_policy(PolicyName="only-s3", PolicyDocument=doc(allow("s3:*")))["Policy"]["Arn"]
    user(aws, allow("*"), PermissionsBoundary=only_s3)
    assert iam.get_user(UserName="ana")["User"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == only_s3
    kinesis = aws.client("kinesis", "staging", "ana")
    assert "because no permissions boundary allows the kinesis:ListStreams action" in refused(kinesis.list_streams)[1]
    aws.client("s3", "staging", "ana").list_buckets()
    iam.delete_user_permissions_boundary(UserName="ana")
    kinesis.list_streams()
    iam.put_user_permissions_boundary(UserName="ana", PermissionsBoundary=only_s3)
    assert "boundary" in refused(kinesis.list_streams)[1]
    missing = f"arn:aws:iam::{A}:policy/none"
    assert refused(iam.create_user, UserName="ben", PermissionsBoundary=missing)[0] == "NoSuchEntity"


def test_session_policies(aws: Organisation) -> None:
    _, s3 = role_session(aws, "s3", allow("s3:*"), Policy=doc(allow("s3:ListAllMyBuckets")))
    s3.list_buckets()
    _code, message = refused(s3.create_bucket, Bucket="mine", CreateBucketConfiguration={"LocationConstraint": REGION})
    assert "because no session policy allows the s3:CreateBucket action" in message


def test_managed_session_policies_and_aws_managed_ones(aws: Organisation) -> None:
    managed = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
    _, s3 = role_session(aws, "s3", allow("*"), PolicyArns=[{"arn": managed}])
    s3.list_buckets()
    assert "session policy" in refused(s3.create_bucket, Bucket="mine")[1]
    user(aws)
    aws.client("iam", "staging").attach_user_policy(UserName="ana", PolicyArn=managed)
    aws.client("s3", "staging", "ana").list_buckets()
    iam = aws.client("iam", "staging")
    assert refused(iam.attach_user_policy, UserName="ana", PolicyArn=managed + "x")[0] == "NoSuchEntity"


def test_service_control_policies(aws: Organisation) -> None:
    user(aws, allow("*"))
    kinesis = aws.client("kinesis", "staging", "ana")
    kinesis.list_streams()
    aws.attach_scp(
        "staging",
        "no-kinesis",
        {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "kinesis:*", "Resource": "*"}]},
    )
    assert "with an explicit deny in a service control policy" in refused(kinesis.list_streams)[1]
    assert "service control policy" in refused(aws.client("kinesis", "staging").list_streams)[1]  # administrators too
    aws.client("kinesis", "production").list_streams()
    aws.detach_scp("staging", "no-kinesis")
    kinesis.list_streams()
    aws.attach_scp("root", "only-s3", {"Version": "2012-10-17", "Statement": [allow("s3:*")]})
    aws.detach_scp("root", "FullAWSAccess")
    assert "because no service control policy allows the kinesis:ListStreams action" in refused(kinesis.list_streams)[1]
    with pytest.raises(ValueError, match="MalformedPolicyDocument"):
        aws.attach_scp("root", "odd", "{}")


def test_a_bucket_policy_denies_only_whom_it_means(aws: Organisation) -> None:
    s3 = bucket(aws, hello=b"hi")
    user(aws, allow("s3:*"))
    user(aws, allow("s3:*"), name="ben")
    deny = {
        "Effect": "Deny",
        "Principal": {"AWS": ANA},
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::clicks", "arn:aws:s3:::clicks/*"],
    }
    s3.put_bucket_policy(Bucket="clicks", Policy=doc(deny))
    assert (
        "explicit deny in a resource-based policy"
        in refused(aws.client("s3", "staging", "ana").get_object, Bucket="clicks", Key="hello")[1]
    )
    for name in ("ben", "administrator"):
        assert aws.client("s3", "staging", name).get_object(Bucket="clicks", Key="hello")["Body"].read() == b"hi"
        aws.client("s3", "staging", name).delete_objects(Bucket="clicks", Delete={"Objects": [{"Key": "none"}]})


def test_deleting_many_asks_for_each(aws: Organisation) -> None:
    s3 = bucket(aws, a=b"1", b=b"2")
    user(aws, allow("s3:DeleteObject", "arn:aws:s3:::clicks/a"))
    both = {"Objects": [{"Key": "a"}, {"Key": "b"}]}
    assert "clicks/b" in refused(aws.client("s3", "staging", "ana").delete_objects, Bucket="clicks", Delete=both)[1]
    assert len(s3.list_objects_v2(Bucket="clicks")["Contents"]) == 2


def test_copying_asks_on_both_sides(aws: Organisation) -> None:
    bucket(aws, a=b"1")
    user(aws, allow("s3:PutObject", "arn:aws:s3:::clicks/*"))
    s3 = aws.client("s3", "staging", "ana")
    assert "s3:GetObject" in refused(s3.copy_object, Bucket="clicks", Key="b", CopySource="clicks/a")[1]


def test_pass_role(aws: Organisation) -> None:
    iam = aws.client("iam", "staging")
    arn = iam.create_role(
        RoleName="job", Path="/etl/", AssumeRolePolicyDocument=trust({"Service": "glue.amazonaws.com"})
    )["Role"]["Arn"]
    user(aws, allow("glue:*"))
    glue = aws.client("glue", "staging", "ana")
    job = {"Name": "load", "Role": arn, "Command": {"Name": "glueetl"}}
    _code, message = refused(glue.create_job, **job)
    assert message == (
        f"User: {ANA} is not authorized to perform: iam:PassRole on resource: {arn} "
        "because no identity-based policy allows the iam:PassRole action"
    )
    assert refused(glue.create_job, **{**job, "Role": "job"})[1] == message  # also by name
    only = {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    iam.put_user_policy(
        UserName="ana", PolicyName="pass", PolicyDocument=doc(allow("iam:PassRole", arn, Condition=only))
    )
    assert refused(glue.create_job, **job)[1] == message
    only["StringEquals"]["iam:PassedToService"] = "glue.amazonaws.com"
    iam.put_user_policy(
        UserName="ana", PolicyName="pass", PolicyDocument=doc(allow("iam:PassRole", arn, Condition=only))
    )
    glue.create_job(**job)


def test_tags_as_conditions(aws: Organisation) -> None:
    iam = aws.client("iam", "staging")
    user(
        aws,
        allow(
            "secretsmanager:GetSecretValue",
            Condition={"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}},
        ),
    )
    iam.tag_user(UserName="ana", Tags=[{"Key": "team", "Value": "data"}])
    secrets = aws.client("secretsmanager", "staging")
    for team in ("data", "ops"):
        secrets.create_secret(Name=team, SecretString="s", Tags=[{"Key": "team", "Value": team}])
    own = aws.client("secretsmanager", "staging", "ana")
    assert own.get_secret_value(SecretId="data")["SecretString"] == "s"
    assert refused(own.get_secret_value, SecretId="ops")[0] == "AccessDeniedException"


def test_session_tags_need_their_own_permission(aws: Organisation) -> None:
    iam = aws.client("iam", "staging")
    iam.create_role(RoleName="etl", AssumeRolePolicyDocument=trust({"AWS": A}))
    sts, arn = aws.client("sts", "staging"), f"arn:aws:iam::{A}:role/etl"
    tags = [{"Key": "team", "Value": "data"}]
    assert "sts:TagSession" in refused(sts.assume_role, RoleArn=arn, RoleSessionName="ss", Tags=tags)[1]
    both = {"Effect": "Allow", "Principal": {"AWS": A}, "Action": ["sts:AssumeRole", "sts:TagSession"]}
    iam.update_assume_role_policy(RoleName="etl", PolicyDocument=doc(both))
    sts.assume_role(RoleArn=arn, RoleSessionName="ss", Tags=tags)


def test_key_policies(aws: Organisation) -> None:
    user(aws, allow("kms:*"))
    root = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{A}:root"}, "Action": "kms:*", "Resource": "*"}
    kms, own = aws.client("kms", "staging"), aws.client("kms", "staging", "ana")
    open_key = kms.create_key(Policy=doc(root))["KeyMetadata"]["KeyId"]
    blob = own.encrypt(KeyId=open_key, Plaintext=b"x")["CiphertextBlob"]
    assert own.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    admin_only = {**root, "Principal": {"AWS": f"arn:aws:iam::{A}:user/administrator"}}
    closed = kms.create_key(Policy=doc(admin_only))["KeyMetadata"]["KeyId"]
    assert (
        "because no resource-based policy allows the kms:Encrypt action"
        in refused(own.encrypt, KeyId=closed, Plaintext=b"x")[1]
    )
    elsewhere = {**root, "Principal": {"AWS": f"arn:aws:iam::{B}:root"}}
    _code, message = refused(kms.create_key, Policy=doc(elsewhere))
    assert message == "The new key policy will not allow you to update the key policy in the future."


def test_get_session_token_and_federation(aws: Organisation) -> None:
    user(aws, allow(["s3:*", "iam:*", "sts:*"]))
    made = aws.client("sts", "staging", "ana").get_session_token()["Credentials"]
    keys = made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"]
    assert made["AccessKeyId"] != "AKIAIOSFODNN7EXAMPLE"
    assert aws.client_with("sts", *keys).get_caller_identity()["Arn"] == ANA
    aws.client_with("s3", *keys).list_buckets()
    assert refused(aws.client_with("iam", *keys).list_users)[0] == "AccessDenied"
    made = aws.client("sts", "staging", "ana").get_federation_token(
        Name="guest", Policy=doc(allow("s3:ListAllMyBuckets"))
    )["Credentials"]
    guest = aws.client_with("s3", made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])
    guest.list_buckets()
    assert "session policy" in refused(guest.create_bucket, Bucket="mine")[1]


def test_limits_of_assumed_roles(aws: Organisation) -> None:
    iam, sts = aws.client("iam", "staging"), aws.client("sts", "staging")
    iam.create_role(RoleName="etl", AssumeRolePolicyDocument=trust({"AWS": A}), MaxSessionDuration=7200)
    arn = f"arn:aws:iam::{A}:role/etl"
    sts.assume_role(RoleArn=arn, RoleSessionName="ss", DurationSeconds=7200)
    assert "MaxSessionDuration" in refused(sts.assume_role, RoleArn=arn, RoleSessionName="ss", DurationSeconds=7201)[1]
    assert refused(sts.assume_role, RoleArn=arn, RoleSessionName="a b")[0] == "ValidationError"


# --- documents ---------------------------------------------------------------------------------------------------------


def test_malformed_documents(aws: Organisation) -> None:
    iam = aws.client("iam", "staging")
    user(aws)
    broken = doc(allow("*"))[:-1] + ",}"
    malformed = "MalformedPolicyDocument"
    assert refused(iam.put_user_policy, UserName="ana", PolicyName="p", PolicyDocument=broken) == (
        malformed,
        "Syntax errors in policy.",
    )
    assert refused(iam.create_policy, PolicyName="p", PolicyDocument=broken) == (malformed, "Syntax errors in policy.")
    assert refused(iam.create_role, RoleName="r", AssumeRolePolicyDocument=broken) == (
        malformed,
        "This policy contains invalid Json",
    )
    bucket(aws)
    assert (
        refused(aws.client("s3", "staging").put_bucket_policy, Bucket="clicks", Policy=broken)[0] == "MalformedPolicy"
    )
    sts = aws.client("sts", "staging")
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust({"AWS": A}))
    assert (
        refused(sts.assume_role, RoleArn=f"arn:aws:iam::{A}:role/r", RoleSessionName="ss", Policy=broken)[0]
        == malformed
    )
    # Without permission, AWS does not look into the document.
    assert (
        refused(aws.client("iam", "staging", "ana").create_policy, PolicyName="p", PolicyDocument=broken)[0]
        == "AccessDenied"
    )


def test_strangers_in_policies(aws: Organisation) -> None:
    iam, ghost = aws.client("iam", "staging"), f"arn:aws:iam::{A}:user/ghost"
    assert refused(iam.create_role, RoleName="r", AssumeRolePolicyDocument=trust({"AWS": ghost})) == (
        "MalformedPolicyDocument",
        f'Invalid principal in policy: "AWS":"{ghost}"',
    )
    user(aws, name="ghost")
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust({"AWS": ghost}))


def test_names_that_are_not_there(aws: Organisation) -> None:
    iam = aws.client("iam", "staging")
    for call, params, message in (
        (iam.get_role, {"RoleName": "none"}, "The role with name none cannot be found."),
        (iam.get_user, {"UserName": "none"}, "The user with name none cannot be found."),
        (iam.get_group, {"GroupName": "none"}, "The group with name none cannot be found."),
        (
            iam.put_role_policy,
            {"RoleName": "none", "PolicyName": "p", "PolicyDocument": doc(allow("*"))},
            "The role with name none cannot be found.",
        ),
        (
            iam.get_policy,
            {"PolicyArn": f"arn:aws:iam::{A}:policy/none"},
            f"Policy arn:aws:iam::{A}:policy/none was not found.",
        ),
    ):
        assert refused(call, **params) == ("NoSuchEntity", message)


def test_sizes(aws: Organisation) -> None:
    iam = aws.client("iam", "staging")
    user(aws)

    def long(characters: int) -> str:
        return doc(allow([f"s3:{i:017}" for i in range(characters // 22)]))

    code, message = refused(iam.put_user_policy, UserName="ana", PolicyName="p", PolicyDocument=long(2200))
    assert (code, message) == ("LimitExceeded", "Maximum policy size of 2048 bytes exceeded for user ana")
    iam.put_user_policy(UserName="ana", PolicyName="a", PolicyDocument=long(1200))
    assert refused(iam.put_user_policy, UserName="ana", PolicyName="b", PolicyDocument=long(1200))[0] == "LimitExceeded"
    iam.put_user_policy(UserName="ana", PolicyName="a", PolicyDocument=long(1400))  # it replaces itself
    iam.create_policy(PolicyName="p", PolicyDocument=long(5500))
    assert refused(iam.create_policy, PolicyName="q", PolicyDocument=long(6500)) == (
        "LimitExceeded",
        "Cannot exceed quota for PolicySize: 6144",
    )


# --- what cannot be mapped ---------------------------------------------------------------------------------------------


def test_what_it_does_not_know_is_refused(aws: Organisation) -> None:
    for service, call, params in (
        ("ec2", "describe_instances", {}),
        ("lambda", "list_functions", {}),
        ("dynamodb", "execute_statement", {"Statement": "SELECT * FROM t"}),
        ("dynamodbstreams", "list_streams", {}),
    ):
        _code, message = refused(getattr(aws.client(service, "staging"), call), **params)
        assert "This is a limit of the sandbox, not of AWS" in message, service


def test_what_moto_cannot_do_says_so(aws: Organisation) -> None:
    code, message = refused(aws.client("iam", "staging").generate_service_last_accessed_details, Arn=ANA)
    assert (code, "moto cannot do it" in message) == ("NotImplemented", True)


def test_one_request_means_one_call(aws: Organisation) -> None:
    """Where moto and the guard could read a request differently, it is refused."""
    user(aws, allow("kinesis:ListStreams"))
    aws.client("kinesis", "staging").create_stream(StreamName="clicks", ShardCount=1)
    kinesis = aws.client("kinesis", "staging", "ana")

    def smuggle(request: Any, **_: Any) -> None:
        request.data = json.dumps({"x": "&Action=DeleteStream&StreamName=clicks&", "StreamName": "clicks"}).encode()

    kinesis.meta.events.register("before-sign.kinesis.ListStreams", smuggle)
    kinesis.list_streams()
    assert aws.client("kinesis", "staging").list_streams()["StreamNames"] == ["clicks"]
    s3 = bucket(aws)

    def two(request: Any, **_: Any) -> None:
        request.url += "&policy"

    s3.meta.events.register("before-sign.s3.ListObjectsV2", two)
    assert "limit of the sandbox" in refused(s3.list_objects_v2, Bucket="clicks")[1]
    assert {"policy", "acl", "delete", "uploads"} <= S3_SUBRESOURCES


# --- the same again ----------------------------------------------------------------------------------------------------


def test_reset_brings_back_the_start(aws: Organisation) -> None:
    before = {account: aws.access_key(account, "administrator") for account in (A, B)}
    user(aws, allow("*"))
    bucket(aws)
    made, _ = role_session(aws, "sts")
    aws.attach_scp("root", "x", {"Version": "2012-10-17", "Statement": [allow("*")]})
    aws.reset()
    assert {account: aws.access_key(account, "administrator") for account in (A, B)} == before
    assert aws.client("s3", "staging").list_buckets()["Buckets"] == []
    names = [one["UserName"] for one in aws.client("iam", "staging").list_users()["Users"]]
    assert names == ["administrator"]
    old = aws.client_with("sts", made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])
    assert refused(old.get_caller_identity)[0] == "InvalidClientTokenId"


def test_ids_are_the_same_every_time(aws: Organisation) -> None:
    def play(noise: bool) -> tuple:
        aws.reset()
        iam = aws.client("iam", "staging")
        if noise:  # other requests in between change nothing
            iam.list_users()
            iam.create_user(UserName="noise")
        made = iam.create_user(UserName="ana")["User"]
        role = iam.create_role(RoleName="etl", AssumeRolePolicyDocument=trust({"AWS": A}))["Role"]
        key = iam.create_access_key(UserName="ana")["AccessKey"]
        secret = aws.client("secretsmanager", "staging").create_secret(Name="db", SecretString="x")["ARN"]
        return made["UserId"], role["RoleId"], key["AccessKeyId"], key["SecretAccessKey"], secret

    first = play(noise=False)
    assert play(noise=True) == first
    assert len(set(first)) == 5
    assert first[0].startswith("AIDA") and first[1].startswith("AROA") and first[2].startswith("AKIA")


def test_explained_is_remembered(aws: Organisation) -> None:
    user(aws)
    refused(aws.client("s3", "staging", "ana").list_buckets)
    record = aws.last_denial()
    assert (record.explained, record.allowed, record.operation) == (False, False, "ListBuckets")
    told = explain(record)
    assert record.explained and "there is no identity-based policy here at all" in told.text
    assert "Denied: s3:ListAllMyBuckets" in told._repr_html_()
    allowed = explain(next(one for one in aws.records if one.allowed and one.operation == "CreateUser"))
    assert "AdministratorAccess, inline in user administrator allows" in allowed.text


def test_one_organisation_in_a_process(aws: Organisation) -> None:
    with pytest.raises(RuntimeError, match="already holds an organisation"):
        Organisation({"other": "333333333333"}).open()


def test_odd_accounts() -> None:
    for accounts in ({}, {"a": "1"}, {"a": A, "b": A}):
        with pytest.raises(ValueError, match="account"):
            Organisation(accounts)
