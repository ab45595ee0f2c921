"""Real tools across accounts: the aws CLI, boto3 and terraform; and none of them ever talks to the real AWS."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from opslab.worlds.aws import clients
from opslab.worlds.aws.organisation import Organisation

pytestmark = pytest.mark.slow

A, B = "111111111111", "222222222222"
ROLE = f"arn:aws:iam::{B}:role/report"
AWS = Path(sys.executable).with_name("aws")


@pytest.fixture(scope="module")
def aws() -> Iterator[Organisation]:
    with Organisation({"staging": A, "production": B}) as running:
        yield running


def furnish(aws: Organisation, home: Path) -> None:
    """ana in staging may become report in production, which reads one prefix; production wants an ExternalId."""
    aws.reset()
    iam = aws.client("iam", "staging")
    iam.create_user(UserName="ana")
    assume = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": ROLE}
    iam.put_user_policy(UserName="ana", PolicyName="become", PolicyDocument=document(assume))
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": A},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": "report-7"}},
    }
    iam = aws.client("iam", "production")
    iam.create_role(RoleName="report", AssumeRolePolicyDocument=document(trust))
    read = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::sales/reports/*"}
    iam.put_role_policy(RoleName="report", PolicyName="read", PolicyDocument=document(read))
    s3 = aws.client("s3", "production")
    s3.create_bucket(Bucket="sales", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    for key in ("reports/q1", "salaries"):
        s3.put_object(Bucket="sales", Key=key, Body=key.encode())
    folder = home / ".aws"
    folder.mkdir(parents=True)
    aws.credentials_file(folder / "credentials", {"ana": (A, "ana")})
    profile = f"role_arn = {ROLE}\nsource_profile = ana\n"
    (folder / "config").write_text(
        f"[profile report]\n{profile}external_id = report-7\n\n[profile forgot]\n{profile}\n[profile typo]\n{profile}external_id = report-8\n"
    )


def document(*statements: dict) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@pytest.fixture
def home(aws: Organisation, tmp_path: Path) -> Path:
    furnish(aws, tmp_path / "home")
    return tmp_path / "home"


def run(command: list[str], aws: Organisation, home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**aws.environment(home), **more}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, cwd=home, check=False)


def cli(aws: Organisation, home: Path, *words: str, profile: str = "report") -> subprocess.CompletedProcess[str]:
    return run([str(AWS), "--profile", profile, *words], aws, home)


def test_the_cli(aws: Organisation, home: Path) -> None:
    who = cli(aws, home, "sts", "get-caller-identity", "--query", "Arn", "--output", "text")
    assert who.stdout.startswith(f"arn:aws:sts::{B}:assumed-role/report/"), who.stderr
    assert cli(aws, home, "s3", "cp", "s3://sales/reports/q1", "-").stdout == "reports/q1"
    refused = cli(aws, home, "s3api", "get-object", "--bucket", "sales", "--key", "salaries", "out")
    assert refused.returncode != 0
    assert "because no identity-based policy allows the s3:GetObject action" in refused.stderr
    for profile in ("forgot", "typo"):
        refused = cli(aws, home, "sts", "get-caller-identity", profile=profile)
        assert (
            f"(AccessDenied) when calling the AssumeRole operation: User: arn:aws:iam::{A}:user/ana" in refused.stderr
        )
        assert refused.stderr.strip().endswith(f"is not authorized to perform: sts:AssumeRole on resource: {ROLE}")


def test_a_trailing_comma_in_a_file(aws: Organisation, home: Path) -> None:
    aws.credentials_file(home / ".aws" / "credentials", {"admin": (A, "administrator")})
    (home / "policy.json").write_text('{"Version": "2012-10-17", "Statement": [],}')
    words = [
        "iam",
        "put-user-policy",
        "--user-name",
        "ana",
        "--policy-name",
        "p",
        "--policy-document",
        "file://policy.json",
    ]
    refused = cli(aws, home, *words, profile="admin")
    assert "(MalformedPolicyDocument)" in refused.stderr and "Syntax errors in policy." in refused.stderr


BOTO3 = """
import sys, boto3, botocore.exceptions
try:
    session = boto3.Session(profile_name=sys.argv[1])
    print(session.client("sts").get_caller_identity()["Arn"])
    print(session.client("s3").get_object(Bucket="sales", Key="reports/q1")["Body"].read().decode())
    session.client("s3").get_object(Bucket="sales", Key="salaries")
except botocore.exceptions.ClientError as error:
    print(error.operation_name, error.response["Error"]["Code"])
"""


def test_boto3(aws: Organisation, home: Path) -> None:
    done = run([sys.executable, "-c", BOTO3, "report"], aws, home).stdout.splitlines()
    assert done[0].startswith(f"arn:aws:sts::{B}:assumed-role/report/")
    assert done[1:] == ["reports/q1", "GetObject AccessDenied"]
    for profile in ("forgot", "typo"):
        assert run([sys.executable, "-c", BOTO3, profile], aws, home).stdout == "AssumeRole AccessDenied\n"


# --- terraform ---------------------------------------------------------------------------------------------------------

TERRAFORM = shutil.which("terraform") or shutil.which("tofu")


def provider_mirror() -> Path | None:
    """A folder with the AWS provider for terraform, where distributions and add-ons put such folders."""
    places = [
        Path.home() / ".terraform.d/plugins",
        Path("/usr/local/share/terraform/plugins"),
        Path("/usr/share/terraform/plugins"),
    ]
    places += sorted(Path("/opt").glob("*")) if Path("/opt").is_dir() else []
    # Not Path.is_dir, which raises where /opt has a folder that this user may not look into.
    return next((one for one in places if os.path.isdir(one / "registry.terraform.io/hashicorp/aws")), None)


MAIN = """
provider "aws" {{
  region              = "eu-west-1"
  s3_use_path_style   = true
  profile             = "ana"
  allowed_account_ids = ["{account}"]
  assume_role {{
    role_arn     = "{role}"
    session_name = "terraform"
    {external}
  }}
}}
data "aws_caller_identity" "me" {{}}
data "aws_s3_object" "report" {{
  bucket = "sales"
  key    = "reports/q1"
}}
output "who" {{ value = data.aws_caller_identity.me.arn }}
output "etag" {{ value = data.aws_s3_object.report.etag }}
"""


@pytest.mark.slow
@pytest.mark.skipif(not TERRAFORM or not provider_mirror(), reason="needs terraform and a mirror of its AWS provider")
def test_terraform(aws: Organisation, home: Path) -> None:
    tagging = {"Effect": "Allow", "Action": "s3:GetObjectTagging", "Resource": "arn:aws:s3:::sales/reports/*"}
    aws.client("iam", "production").put_role_policy(
        RoleName="report", PolicyName="tags", PolicyDocument=document(tagging)
    )
    (home / "tf.rc").write_text(
        f'provider_installation {{\n filesystem_mirror {{ path = "{provider_mirror()}" }}\n'
        ' direct { exclude = ["registry.terraform.io/*/*"] }\n}\n'
    )
    settings = {"TF_CLI_CONFIG_FILE": str(home / "tf.rc"), "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}

    def apply(external: str) -> subprocess.CompletedProcess[str]:
        (home / "main.tf").write_text(MAIN.format(account=B, role=ROLE, external=external))
        return run([TERRAFORM, "apply", "-auto-approve", "-no-color", "-input=false"], aws, home, **settings)

    (home / "main.tf").write_text(MAIN.format(account=B, role=ROLE, external=""))
    ready = run([TERRAFORM, "init", "-no-color", "-input=false"], aws, home, **settings)
    assert ready.returncode == 0, ready.stderr
    done = apply('external_id = "report-7"')
    assert done.returncode == 0, done.stderr
    assert f'who = "arn:aws:sts::{B}:assumed-role/report/terraform"' in done.stdout
    refused = apply("")
    assert refused.returncode != 0
    words = " ".join(refused.stderr.replace("│", " ").split())
    assert "Cannot assume IAM Role" in words
    assert f"is not authorized to perform: sts:AssumeRole on resource: {ROLE}" in words


# --- never the real AWS ------------------------------------------------------------------------------------------------


class Trap:
    """A port that nobody must come to: a proxy, a metadata service, another endpoint. Counts who does."""

    # Not 127.0.0.1 where there are others: a neighbour that looks whether somebody is still at a port knocks there.
    address = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"

    def __init__(self) -> None:
        self.visits = 0
        self._socket = socket.create_server((self.address, 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                visitor, _ = self._socket.accept()
            except OSError:
                return
            self.visits += 1
            visitor.close()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trap]:
    """An environment in which every setting leads elsewhere, with keys that look real."""
    trap = Trap()
    elsewhere = f"http://{trap.address}:{trap.port}"
    victim = tmp_path / "victim"
    (victim / ".aws").mkdir(parents=True)
    keys = (
        "aws_access_key_id = AKIAI44QH8DHBEXAMPLE\naws_secret_access_key = je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY\n"
    )
    (victim / ".aws" / "credentials").write_text(f"[default]\n{keys}")
    (victim / ".aws" / "config").write_text(
        f"[default]\nregion = us-east-1\nendpoint_url = {elsewhere}\nservices = own\n[services own]\ns3 =\n  endpoint_url = {elsewhere}\n"
    )
    for name, value in {
        "HOME": str(victim),
        "AWS_ACCESS_KEY_ID": "AKIAI44QH8DHBEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY",
        "AWS_SESSION_TOKEN": "real-looking",
        "AWS_PROFILE": "default",
        "AWS_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(victim / ".aws" / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(victim / ".aws" / "credentials"),
        "AWS_ENDPOINT_URL": elsewhere,
        "AWS_ENDPOINT_URL_S3": elsewhere,
        "AWS_ENDPOINT_URL_STS": elsewhere,
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
        "AWS_EC2_METADATA_DISABLED": "false",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": elsewhere,
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": elsewhere,
        "AWS_USE_FIPS_ENDPOINT": "true",
        "HTTP_PROXY": elsewhere,
        "http_proxy": elsewhere,
        "HTTPS_PROXY": elsewhere,
        "https_proxy": elsewhere,
        "ALL_PROXY": elsewhere,
        "MOTO_ACCOUNT_ID": "999999999999",
    }.items():
        monkeypatch.setenv(name, value)
    yield trap
    trap.close()


def test_no_client_goes_elsewhere(aws: Organisation, home: Path, hostile: Trap) -> None:
    # the organisation's own clients
    assert aws.client("sts", "staging").get_caller_identity()["Account"] == A
    assert [one["Name"] for one in aws.client("s3", "production").list_buckets()["Buckets"]] == ["sales"]
    # boto3 and the CLI in the world's environment
    assert run([sys.executable, "-c", BOTO3, "report"], aws, home).stdout.splitlines()[1] == "reports/q1"
    assert cli(aws, home, "s3", "cp", "s3://sales/reports/q1", "-").stdout == "reports/q1"
    # without a profile there are no keys at all, rather than somebody's
    nobody = run([str(AWS), "sts", "get-caller-identity"], aws, home)
    assert "Unable to locate credentials" in nobody.stderr
    assert hostile.visits == 0


def test_the_trap_works(hostile: Trap) -> None:
    """The same commands in the hostile environment do go elsewhere: what the test above shows is not luck."""
    environment = {**os.environ, "AWS_MAX_ATTEMPTS": "1", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false"}
    subprocess.run(
        [str(AWS), "sts", "get-caller-identity"], env=environment, capture_output=True, timeout=280, check=False
    )
    assert hostile.visits > 0


def test_the_environment_of_clients(tmp_path: Path) -> None:
    base = {
        "AWS_PROFILE": "x",
        "BOTO_CONFIG": "x",
        "https_proxy": "x",
        "PATH": "/bin",
        "MOTO_ACCOUNT_ID": "1",
        "No_Proxy": "*",
    }
    found = clients.environment("http://127.0.0.1:1", tmp_path, base)
    assert (
        found["PATH"] == "/bin" and found["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1" and found["HOME"] == str(tmp_path)
    )
    assert not {"AWS_PROFILE", "BOTO_CONFIG", "https_proxy", "MOTO_ACCOUNT_ID", "No_Proxy"} & set(found)
