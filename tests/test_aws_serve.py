"""`opslab aws serve` and `opslab aws why`: the organisation by itself, for any tool."""

from __future__ import annotations

import configparser
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import psutil
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

A, B = "111111111111", "222222222222"
# Whatever proxy whoever runs this has to use, it is on the loopback.
DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
PLAIN = Config(retries={"total_max_attempts": 1}, proxies={})


@dataclass
class Running:
    port: int
    control: int
    file: Path
    process: subprocess.Popen

    def keys(self) -> configparser.ConfigParser:
        found = configparser.ConfigParser()
        found.read(self.file)
        return found

    def client(self, service: str, account: str):
        keys = self.keys()[account]
        return boto3.client(
            service,
            region_name="us-east-1",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            aws_access_key_id=keys["aws_access_key_id"],
            aws_secret_access_key=keys["aws_secret_access_key"],
            config=PLAIN,
        )

    def ask(self, method: str, path: str, **headers: str) -> tuple[int, dict]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.control}{path}", method=method, headers=headers)
        try:
            with DIRECTLY.open(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


def free_ports() -> tuple[int, int]:
    """Two ports that are free now. A neighbour may be given one of them at any time."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        return one.getsockname()[1], two.getsockname()[1]


def opslab(*words: object, **options) -> subprocess.Popen:
    command = [sys.executable, "-m", "opslab.cli", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    file = tmp_path_factory.mktemp("serve") / "credentials"
    for _ in range(5):
        port, control = free_ports()
        process = opslab(
            *("aws", "serve", "--port", port, "--control-port", control, "--account", A, "--account", B),
            *("--credentials-file", file),
        )
        if said := process.stdout.readline():
            break
        error = process.communicate()[1]
        assert "cannot be had" in error, "only a port that a neighbour has got meanwhile is a reason to try others"
    assert f"http://127.0.0.1:{port}" in said
    yield Running(port, control, file, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def test_administrators_and_reset(running: Running) -> None:
    before = running.file.read_text()
    assert running.keys().sections() == [A, B]
    assert running.file.stat().st_mode & 0o077 == 0
    for account in (A, B):
        assert running.client("sts", account).get_caller_identity()["Account"] == account
    running.client("s3", A).create_bucket(Bucket="clicks")
    running.client("iam", B).create_user(UserName="ana")
    assert running.ask("POST", "/reset") == (200, {"reset": True})
    assert running.file.read_text() == before
    assert running.client("s3", A).list_buckets()["Buckets"] == []
    assert [one["UserName"] for one in running.client("iam", B).list_users()["Users"]] == ["administrator"]
    with pytest.raises(ClientError):
        running.client("iam", A).create_role(RoleName="r", AssumeRolePolicyDocument="{}")


def test_a_trusted_user_may_come_later(running: Running) -> None:
    """By default it takes policies that name users who are not there yet, so that others can set up in any order."""
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{A}:user/later"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    running.client("iam", B).create_role(RoleName="r", AssumeRolePolicyDocument=document)
    running.ask("POST", "/reset")


def test_only_the_loopback_listens(running: Running) -> None:
    main = psutil.Process(running.process.pid)
    sockets = [one for process in (main, *main.children(recursive=True)) for one in process.net_connections("inet")]
    listening = {(one.laddr.ip, one.laddr.port) for one in sockets if one.status == psutil.CONN_LISTEN}
    assert {("127.0.0.1", running.port), ("127.0.0.1", running.control)} <= listening
    assert {ip for ip, _ in listening} == {"127.0.0.1"}


def test_the_control_port_is_not_for_web_pages(running: Running) -> None:
    assert running.ask("POST", "/reset", Origin="https://example.com")[0] == 403
    assert running.ask("POST", "/reset", Host="evil.example.com")[0] == 403
    assert running.ask("GET", "/reset")[0] == 404


def test_why(running: Running) -> None:
    running.ask("POST", "/reset")

    def why(*words: object, **environment: str) -> tuple[int, str]:
        process = opslab("aws", "why", *words, env={**os.environ, **environment})
        out, error = process.communicate(timeout=250)
        return process.returncode, out or error

    assert why("--control-port", running.control) == (0, "Nothing was denied since the start.\n")
    iam = running.client("iam", A)
    iam.create_user(UserName="ana")
    key = iam.create_access_key(UserName="ana")["AccessKey"]
    sqs = boto3.client(
        "sqs",
        region_name="us-east-1",
        endpoint_url=f"http://127.0.0.1:{running.port}",
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
        config=PLAIN,
    )
    with pytest.raises(ClientError):
        sqs.list_queues()
    code, text = why("--control-port", running.control, http_proxy="http://127.0.0.1:9")
    assert code == 0
    assert "Layer:   identity-based policy" in text and "Missing:" in text
    with socket.socket() as nobody:  # it has a port, and does not listen: so no neighbour can
        nobody.bind(("127.0.0.1", 0))
        code, text = why("--control-port", nobody.getsockname()[1])
    assert (code, "No organisation answers" in text) == (1, True)


def test_odd_arguments(tmp_path: Path) -> None:
    process = opslab(
        "aws",
        "serve",
        "--port",
        0,
        "--control-port",
        0,
        "--account",
        "12",
        "--credentials-file",
        tmp_path / "c",
    )
    _, error = process.communicate(timeout=250)
    assert process.returncode == 1
    assert error == "Error: The account '12' has the id '12'; an account id has 12 digits.\n"


def test_a_port_that_is_taken(running: Running, tmp_path: Path) -> None:
    process = opslab(
        "aws",
        "serve",
        "--port",
        running.port,
        "--control-port",
        0,
        "--account",
        A,
        "--credentials-file",
        tmp_path / "c",
    )
    _, error = process.communicate(timeout=250)
    assert process.returncode == 1
    assert (
        error == f"Error: Port {running.port} of 127.0.0.1 cannot be had (Address already in use): take another one.\n"
    )
