"""Organisations in processes of their own: apart from each other and from the machine's user, and gone when they should be."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from botocore.exceptions import ClientError
from patience import gone, kept_port, until

from opslab import wire
from opslab.scenarios.iam_roles.names import PLATFORM, PRODUCTION, RAW, STAGING
from opslab.worlds.aws import cloud, host, operations
from opslab.worlds.aws.cloud import Cloud, CloudError, Host
from opslab.worlds.aws.seeding import allow

SCENARIO = "opslab.scenarios.iam_roles.cloud"


@pytest.fixture(scope="module")
def warm() -> Iterator[Host]:
    with Host() as running:
        yield running


def admin(aws: Cloud, service: str = "iam", account: str = STAGING):
    return aws.user(account, "administrator").client(service)


def users(aws: Cloud) -> set[str]:
    return {one["UserName"] for one in admin(aws).list_users()["Users"]}


def children(running: Host) -> list[psutil.Process]:
    return psutil.Process(running._process.pid).children(recursive=True)


def listening(process: psutil.Process) -> set[int]:
    """The ports that a process listens on."""
    return {one.laddr.port for one in process.net_connections("inet") if one.status == "LISTEN"}


# ---- one organisation ---------------------------------------------------------------------------------------------------


def test_users_roles_and_nobody_are_who_they_are(warm: Host) -> None:
    with warm.open(SCENARIO, seed=1) as aws:
        jonas = aws.user(PLATFORM, "jonas")
        assert jonas.call("sts", "get_caller_identity").result["Arn"] == f"arn:aws:iam::{PLATFORM}:user/jonas"
        analyst = aws.role(STAGING, "orders-analyst")
        arn = analyst.call("sts", "get_caller_identity").result["Arn"]
        assert arn == f"arn:aws:sts::{STAGING}:assumed-role/orders-analyst/check"
        denied = jonas.assume(f"arn:aws:iam::{STAGING}:role/orders-analyst")
        assert not denied.allowed and denied.code == "AccessDenied" and "sts:AssumeRole" in denied.message
        assert aws.ask("why")["layer"]
        assert not aws.nobody().call("s3", "get_object", Bucket=RAW, Key="x").allowed
        assert aws.user(STAGING, "administrator").call("s3", "get_object", Bucket=RAW, Key="no such").allowed
        inside = aws.user(PLATFORM, "kasia").assume(f"arn:aws:iam::{STAGING}:role/orders-analyst")
        assert inside.call("s3", "list_objects_v2", Bucket="targ-orders-marts-staging").result["KeyCount"] == 1
        with pytest.raises(wire.Refusal, match="There is no role nosuch"):
            aws.role(STAGING, "nosuch")
        with pytest.raises(wire.Refusal, match="There is no account"):
            aws.role("nowhere", "nosuch")


def test_a_user_without_a_key_that_works_is_denied(warm: Host) -> None:
    with warm.open(SCENARIO, seed=1) as aws:
        answer = cloud.Actor(aws.endpoint, "AKIAFAKEFAKEEXAMPLE1", "a-fake-key").call("sts", "get_caller_identity")
        assert (answer.allowed, answer.code) == (False, "InvalidClientTokenId")


@pytest.mark.parametrize(
    "request_",
    [{"op": "nosuch"}, {"op": "__class__"}, {"op": "answer"}, {"op": "replay", "without": []}, {"op": "journal"}, {"op": "draw"},
     {"op": "draw", "path": 5}, {"op": "draw", "path": ["nobody"]}, {"op": "paths", "target": "x"}, {"op": "save", "more": 1}, {"op": "reset"}],
    ids=str,
)  # fmt: skip
def test_a_request_that_makes_no_sense_is_refused_and_the_organisation_lives(warm: Host, request_: dict) -> None:
    with warm.open(SCENARIO) as aws:
        with contextlib.suppress(wire.Refusal):
            answer = aws.ask(**request_)
            assert request_["op"] in ("draw", "paths"), answer
        assert aws.running


def test_after_its_end_it_is_said_in_one_sentence(warm: Host) -> None:
    with warm.open(SCENARIO) as aws:
        actor = aws.user(STAGING, "administrator")
        assert actor.call("sts", "get_caller_identity").allowed
    with kept_port(aws.port):  # given back, and whoever knocks is refused
        assert not aws.running
        for call in (
            lambda: aws.ask("why"),
            lambda: actor.call("sts", "get_caller_identity"),
            lambda: aws.role(STAGING, "x"),
        ):
            with pytest.raises(
                CloudError, match=r"^The AWS organisation of this module (has gone|does not answer) \(.*\)\.$"
            ):
                call()
        aws.close()


# ---- apart from each other ------------------------------------------------------------------------------------------------


def test_two_at_once_do_not_see_each_other(warm: Host) -> None:
    with warm.open(SCENARIO, seed=1) as one, warm.open(SCENARIO, seed=1) as two:
        admin(one).create_user(UserName="only-here")
        admin(one, "s3").put_object(Bucket=RAW, Key="only-here", Body=b"x")
        admin(one, "sqs").create_queue(QueueName="only-here")
        session = one.role(STAGING, "orders-analyst")
        with contextlib.suppress(ClientError):
            two.user(PLATFORM, "jonas").client("iam").list_users()
        assert "only-here" in users(one) and "only-here" not in users(two)
        assert not [
            one for one in admin(two, "s3").list_objects_v2(Bucket=RAW)["Contents"] if one["Key"] == "only-here"
        ]
        assert not [url for url in admin(two, "sqs").list_queues()["QueueUrls"] if url.endswith("only-here")]
        assert one.ask("why") is None and two.ask("why")
        assert (
            not cloud.Actor(two.endpoint, session.key, session.secret, session.token)
            .call("sts", "get_caller_identity")
            .allowed
        )
        with warm.open(SCENARIO, seed=1) as three:
            assert users(three) == users(two), "a fork of a process that has never held one"


def test_the_same_seed_gives_the_same_and_another_one_another(warm: Host) -> None:
    def picture(seed: int) -> tuple:
        with warm.open(SCENARIO, seed=seed) as aws:
            made = admin(aws).create_access_key(UserName="administrator")["AccessKey"]
            ids = [one["RoleId"] for one in admin(aws).list_roles()["Roles"]]
            return made["AccessKeyId"], made["SecretAccessKey"], ids, aws.ask("edges")

    assert picture(1) == picture(1)
    assert picture(1)[0] != picture(2)[0]


def test_the_sockets_are_for_their_user_alone(warm: Host) -> None:
    with warm.open(SCENARIO) as aws:
        for folder in (aws.folder, aws.folder.parent):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((aws.folder / "control").stat().st_mode) == 0o600
        assert (aws.folder / "aws").is_socket()
        assert aws.services == {aws.port: aws.folder / "aws"}
        (listening,) = [
            one for one in psutil.Process(child_of(warm, aws)).net_connections("inet") if one.status == "LISTEN"
        ]
        assert listening.laddr == ("127.0.0.1", aws.port)


def child_of(running: Host, aws: Cloud) -> int:
    """The process of an organisation: the one that listens on its port."""
    for child in children(running):
        # One that has been refused may just be ending; what it has open is root's then, and denied to everybody else.
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if aws.port in listening(child):
                return child.pid
    raise AssertionError("no process listens there")


def test_without_a_key_or_as_a_web_page_nothing_is_said(warm: Host) -> None:
    with warm.open(SCENARIO) as aws, socket.create_connection(("127.0.0.1", aws.port)) as visitor:
        visitor.sendall(b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        assert b"127.0.0.1 only" in visitor.makefile("rb").read()


# ---- port -----------------------------------------------------------------------------------------------------------------


def test_the_port_that_was_asked_for_and_again_after_its_end(warm: Host) -> None:
    for _ in range(5):  # between two of them, any neighbour may be given the port
        with warm.open(SCENARIO) as aws:
            port = aws.port
        got = []
        for _ in range(3):
            with warm.open(SCENARIO, port=port) as aws:
                got.append(aws.port)
                assert admin(aws).get_user(UserName="administrator")
        if got == [port] * 3:
            break
    assert got == [port] * 3


def test_a_port_in_use_is_replaced_by_another(warm: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with warm.open(SCENARIO, port=port) as aws:
            assert aws.port != port
            assert users(aws)
    with warm.open(SCENARIO) as one, warm.open(SCENARIO, port=one.port) as two:
        assert one.port != two.port


# ---- what does not start --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", ["opslab.scenarios.nosuch", "opslab.quiz", "os.path", "", "__main__"])
def test_a_scenario_with_a_fault_is_one_sentence(warm: Host, scenario: str) -> None:
    with pytest.raises(CloudError) as error:
        warm.open(scenario)
    said = str(error.value)
    assert said.startswith("The AWS organisation of this module could not be started (") and "\n" not in said
    with warm.open(SCENARIO) as aws:
        assert users(aws)


def test_one_that_dies_on_the_way_is_said_and_does_not_keep_us_waiting(warm: Host, tmp_path: Path) -> None:
    journal = many_keys(tmp_path, 400)
    killed: list[int] = []

    def kill() -> None:
        assert until(lambda: children(warm))
        (child,) = children(warm)
        killed.append(child.pid)
        child.kill()

    assert until(lambda: not children(warm))
    thread = threading.Thread(target=kill)
    thread.start()
    started = time.monotonic()
    with pytest.raises(CloudError, match="its process has ended"):
        warm.open(SCENARIO, journal=journal)
    thread.join()
    assert killed and time.monotonic() - started < 60, "and not only when host.READY_SECONDS are over"
    with warm.open(SCENARIO) as aws:
        assert users(aws)


@pytest.mark.slow
def test_a_host_that_has_gone_is_said_and_shared_starts_another(monkeypatch) -> None:
    monkeypatch.setattr(cloud, "_shared", lambda hosts=[Host()]: hosts)  # noqa: B008
    first = cloud.shared()
    os.kill(first._process.pid, signal.SIGKILL)
    first._process.wait()
    with pytest.raises(CloudError):
        first.open(SCENARIO)
    second = cloud.shared()
    try:
        assert second is not first
        with second.open(SCENARIO) as aws:
            assert users(aws)
    finally:
        second.close()


# ---- gone when they should be ---------------------------------------------------------------------------------------------


PARENT = f"""
import sys, time
from opslab.worlds.aws.cloud import Host
host = Host()
ports = [host.open({SCENARIO!r}).port for _ in range(2)]
print(host._process.pid, *ports, flush=True)
time.sleep(60)
"""


@pytest.mark.slow
@pytest.mark.parametrize("who", ["the parent", "the host"])
def test_nothing_outlives_whoever_started_it(who: str) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    try:
        pid, *ports = map(int, parent.stdout.readline().split())
        below = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        assert len(below) == 3
        # So their ports go with them. (Afterwards these may belong to a neighbour.)
        assert sorted(port for one in below for port in listening(one)) == sorted(ports)
        os.kill(parent.pid if who == "the parent" else pid, signal.SIGKILL)
        assert until(lambda: all(map(gone, below)))
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()


def test_ctrl_c_is_for_whoever_started_it(warm: Host) -> None:
    with warm.open(SCENARIO) as aws:
        os.kill(warm._process.pid, signal.SIGINT)
        os.kill(child_of(warm, aws), signal.SIGINT)
        time.sleep(0.1)
        assert aws.running and warm.running


@pytest.mark.slow
def test_twenty_opens_and_closes_leave_nothing_behind(tmp_path: Path, monkeypatch) -> None:
    # A folder of its own, as others still have servers running whose files come and go. A short name, for the sockets.
    own = tempfile.mkdtemp(prefix="t")
    monkeypatch.setattr(tempfile, "tempdir", own)
    monkeypatch.setenv("TMPDIR", own)
    with Host() as running:
        with running.open(SCENARIO):
            files = psutil.Process(running._process.pid).num_fds()
        for _ in range(20):
            with running.open(SCENARIO, seed=1, journal=tmp_path / "journal.jsonl", record=True) as aws:
                admin(aws, "s3").put_object(Bucket=RAW, Key="big", Body=b"x" * 6_000_000)
                (tmp_path / "journal.jsonl").unlink()
        for _ in range(3):
            with contextlib.suppress(CloudError):
                running.open("opslab.scenarios.nosuch")
        folder = Path(running._folder.name)
        assert os.listdir(folder) == []
        assert until(lambda: not children(running)), "and no zombies"
        assert psutil.Process(running._process.pid).num_fds() == files
    assert not folder.exists()
    assert os.listdir(own) == []
    assert os.listdir(tmp_path) == ["journal.lock"]


def test_one_that_ends_just_when_it_is_given_up_does_not_take_the_others_with_it(monkeypatch) -> None:
    def gone(*_: int) -> None:
        raise ProcessLookupError

    monkeypatch.setattr(host, "READY_SECONDS", 0.05)
    monkeypatch.setattr(host.os, "kill", gone)
    ready, say = os.pipe()
    try:
        assert "was not ready" in json.loads(host._first_line(ready, 1))["error"]
    finally:
        os.close(say)


def test_one_that_does_not_listen_any_more_ends_with_its_folder(warm: Host, monkeypatch) -> None:
    monkeypatch.setattr(cloud, "CLOSE_SECONDS", 0.1)
    aws = warm.open(SCENARIO)
    child = psutil.Process(child_of(warm, aws))
    child.suspend()
    assert not aws.running
    aws.close()
    child.resume()
    assert until(lambda: not child.is_running())


# ---- limits -----------------------------------------------------------------------------------------------------------------


def many_keys(tmp_path: Path, number: int) -> Path:
    """A journal with many changes; made by hand, which is quicker."""
    path = tmp_path / ".cloud" / "many.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(entry("kms", "TrentService.CreateKey", "{}", n + 1) + "\n" for n in range(number)))
    return path


def entry(service: str, target: str, body: str, nth: int = 1) -> str:
    headers = {"x-amz-target": target, "content-type": "application/x-amz-json-1.1"}
    return json.dumps({
        "time": "2026-11-21T09:14:03+00:00", "caller": f"arn:aws:iam::{STAGING}:user/administrator", "service": service,
        "region": "eu-west-1", "operation": target.split(".")[1], "resources": ["*"], "nth": nth,
        "request": {"method": "POST", "path": "/", "query": "", "headers": headers, "body": body},
    })  # fmt: skip


LIMITED = """
import sys
from opslab.worlds.aws import host
host.REPLAY_SECONDS, host.READY_SECONDS = {replay}, {ready}
{more}
host.main()
"""


@contextlib.contextmanager
def limited(replay: float, ready: float, more: str = "") -> Iterator[Host]:
    """A host with other limits, and perhaps a moto with a fault."""
    plain = subprocess.Popen
    with pytest.MonkeyPatch.context() as patch:
        code = LIMITED.format(replay=replay, ready=ready, more=more)
        patch.setattr(subprocess, "Popen", lambda command, **options: plain([sys.executable, "-c", code], **options))
        running = Host()
    with running:
        yield running


@pytest.mark.slow
def test_a_journal_that_takes_too_long_counts_as_far_as_it_goes(tmp_path: Path) -> None:
    journal = many_keys(tmp_path, 3000)
    # Without the alarm: on a slow machine a key that was begun in time may be made when it goes off, which is the next test.
    with limited(0.5, 60, "host.signal.setitimer = lambda *_: None") as running:
        with running.open(SCENARIO, journal=journal) as aws:
            (said,) = aws.remarks
            assert "changes are left out: all of them would take longer than 0.5 seconds" in said
            assert admin(aws, "kms").list_keys()["Keys"]
        with running.open(SCENARIO) as aws:
            assert aws.remarks == ()


DATABASE = entry("glue", "AWSGlue.CreateDatabase", '{"DatabaseInput": {"Name": "mine"}}')

HANGS = """
from moto.glue.models import GlueBackend
def hang(*_, **__):
    import time
    while True:
        {what}
GlueBackend.create_database = hang
"""

PATIENT = """
first_line = host._first_line
def once(*arguments):
    try:
        return first_line(*arguments)
    finally:
        host.READY_SECONDS = 60
host._first_line = once
"""
"""The second organisation is meant to start, and has the time for it."""


@pytest.mark.slow
def test_a_request_that_hangs_is_broken_off_and_the_rest_counts(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text("\n".join([entry("kms", "TrentService.CreateKey", "{}"), DATABASE]) + "\n")
    with (
        limited(5, 60, HANGS.format(what="time.sleep(0.01)")) as running,
        running.open(SCENARIO, journal=path) as aws,
    ):
        (said,) = aws.remarks
        assert said.startswith("glue:CreateDatabase by ") and "this journal takes longer than 5 seconds" in said
        assert len(admin(aws, "kms").list_keys()["Keys"]) == 1


@pytest.mark.slow
def test_what_cannot_be_broken_off_is_ended_by_force_and_the_next_one_starts(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(DATABASE + "\n")
    stubborn = """try:
            time.sleep(0.01)
        except BaseException:
            pass"""
    with limited(0.2, 2, HANGS.format(what=stubborn) + PATIENT) as running:
        with pytest.raises(CloudError, match="it was not ready after 2 seconds"):
            running.open(SCENARIO, journal=path)
        assert until(lambda: not children(running))
        with running.open(SCENARIO) as aws:
            assert users(aws)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to its memory")
def test_a_journal_that_explodes_hurts_only_itself(tmp_path: Path) -> None:
    """An object that is copied onto twice of itself again and again."""
    path = tmp_path / "journal.jsonl"
    with limited(60, 90, "host.MEMORY = 400 * host.MEGABYTE") as running:
        with running.open(SCENARIO, journal=path, record=True) as aws:
            s3 = admin(aws, "s3")
            s3.put_object(Bucket=RAW, Key="0", Body=b"x" * 8_000_000)
            with pytest.raises(ClientError):
                for number in range(7):
                    upload = s3.create_multipart_upload(Bucket=RAW, Key=str(number + 1))["UploadId"]
                    parts = []
                    for part in (1, 2):
                        source = {"Bucket": RAW, "Key": str(number)}
                        made = s3.upload_part_copy(Bucket=RAW, Key=str(number + 1), UploadId=upload, PartNumber=part, CopySource=source)  # fmt: skip
                        parts.append({"PartNumber": part, "ETag": made["CopyPartResult"]["ETag"]})
                    s3.complete_multipart_upload(Bucket=RAW, Key=str(number + 1), UploadId=upload, MultipartUpload={"Parts": parts})  # fmt: skip
            assert users(aws), "it goes on with what it has"
        with running.open(SCENARIO, journal=path) as aws:
            assert users(aws)


def test_a_journal_of_64_megabytes_is_no_trouble_to_the_next(warm: Host, tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with path.open("wb") as file:
        file.write(b"[" * 64 * 1024 * 1024 + b"\n")
    started = time.monotonic()
    with warm.open(SCENARIO, journal=path) as aws:
        assert aws.remarks == ("journal.jsonl: line 1 makes no sense; it is left out.",) or aws.remarks
        assert users(aws)
    assert time.monotonic() - started < 20


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_copy_for_a_check_has_limits_and_one_that_is_worked_in_no_end(warm: Host, tmp_path: Path) -> None:
    def limit(aws: Cloud, name: str) -> str:
        for line in Path(f"/proc/{child_of(warm, aws)}/limits").read_text().splitlines():
            if line.startswith(name):
                return line.removeprefix(name).split()[0]
        raise AssertionError(name)

    with warm.open(SCENARIO) as copy, warm.open(SCENARIO, journal=tmp_path / "j", record=True) as live:
        assert limit(copy, "Max cpu time") == str(host.CPU_SECONDS)
        assert limit(live, "Max cpu time") == "unlimited"
        for aws in (copy, live):
            assert limit(aws, "Max data size") == str(host.MEMORY)
            assert limit(aws, "Max file size") == str(host.FILE_SIZE)


STARTS = """
import subprocess, socket, os
from moto.glue.models import GlueBackend
def run(*_, **__):
    for call in (lambda: subprocess.run(["true"]), lambda: os.system("true"), lambda: os.fork(),
                 lambda: socket.create_connection(("127.0.0.1", 9))):
        try:
            call()
        except PermissionError as error:
            print(error, file=sys.stderr)
        else:
            os._exit(7)
    raise ValueError("refused all four")
GlueBackend.create_database = run
"""


@pytest.mark.slow
def test_an_organisation_starts_nothing_and_calls_nobody_whatever_moto_would_do(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(DATABASE + "\n")
    with limited(20, 60, STARTS) as running, running.open(SCENARIO, journal=path) as aws:
        assert aws.remarks == (
            f"glue:CreateDatabase by arn:aws:iam::{STAGING}:user/administrator: ValueError: refused all four",
        )


def test_the_services_of_a_journal_are_the_thirteen_and_none_of_them_runs_code() -> None:
    assert set(operations.SERVICES) == {
        "sts", "iam", "s3", "kinesis", "sqs", "secretsmanager", "ssm", "kms", "ecr", "dynamodb", "glue", "athena", "logs",
    }, "before another service is let in, read what host.py says about journals from somebody else"  # fmt: skip


# ---- journals, across processes -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_changes_are_there_in_the_next_process_and_in_copies(warm: Host, tmp_path: Path) -> None:
    journal = tmp_path / cloud.JOURNAL
    with warm.open(SCENARIO, seed=5, journal=journal, record=True) as aws:
        admin(aws).put_user_policy(
            UserName="administrator", PolicyName="more", PolicyDocument=json.dumps(allow("s3:*"))
        )
        admin(aws).create_user(UserName="eve")
        with warm.open(SCENARIO, seed=5, journal=journal) as copy:
            assert "eve" in users(copy)
            admin(copy).delete_user(UserName="eve")
            assert "eve" not in users(copy) and "eve" in users(aws)
    assert len(journal.read_text().splitlines()) == 2, "what is done to a copy is not written"
    with Host() as another, another.open(SCENARIO, seed=5, journal=journal, record=True) as aws:
        assert "eve" in users(aws) and aws.remarks == ()


@pytest.mark.slow
def test_two_never_write_into_one_journal(warm: Host, tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with warm.open(SCENARIO, journal=path, record=True) as one:
        admin(one).create_user(UserName="eve")
        with pytest.raises(CloudError, match="another server has the AWS of this workspace open"):
            warm.open(SCENARIO, journal=path, record=True)
        admin(one).create_user(UserName="kay")
        with warm.open(SCENARIO, journal=path) as copy:
            assert {"eve", "kay"} <= users(copy), "for a check it can be read all the same"
        os.kill(child_of(warm, one), signal.SIGKILL)
        with warm.open(SCENARIO, journal=path, record=True) as two:
            assert {"eve", "kay"} <= users(two)


def test_a_reset_takes_back_what_is_named_and_nothing_else(warm: Host, tmp_path: Path) -> None:
    with warm.open(SCENARIO, seed=5, journal=tmp_path / "j", record=True) as aws:
        for name in ("eve", "kay"):
            admin(aws).create_user(UserName=name)
        assert aws.ask("reset", without=["*:user/eve"]) == {"remarks": []}
        assert "kay" in users(aws) and "eve" not in users(aws)
        admin(aws).create_user(UserName="after")
        assert aws.ask("reset", without=[]) == {"remarks": []}
        assert {"kay", "after"} <= users(aws), "without patterns all changes stay"
        assert aws.ask("reset", without=["*"]) == {"remarks": []}
        assert not {"kay", "after"} & users(aws)
    assert (tmp_path / "j").read_text() == ""


def test_what_is_damaged_is_said_and_a_copy_is_kept(warm: Host, tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with warm.open(SCENARIO, journal=path, record=True) as aws:
        admin(aws).create_user(UserName="eve")
    good = path.read_text()
    path.write_text(good + "torn off in the mid")
    with warm.open(SCENARIO, journal=path) as copy:
        assert copy.remarks == ("journal.jsonl: line 2 makes no sense; it is left out",)
    assert not (tmp_path / "journal.damaged").exists(), "a check changes nothing in the workspace"
    with warm.open(SCENARIO, journal=path, record=True) as aws:
        assert aws.remarks == ("journal.jsonl: line 2 makes no sense; it is left out",)
        assert "eve" in users(aws)
    assert path.read_text() == good
    assert (tmp_path / "journal.damaged").read_text() == good + "torn off in the mid"


def test_remarks_are_few_and_short(warm: Host, tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    line = json.loads(entry("kms", "TrentService.CreateKey", "{}"))
    path.write_text(
        "".join(
            json.dumps({**line, "caller": f"arn:aws:iam::{STAGING}:user/{'x' * 5000}\n{n}"}) + "\n" for n in range(100)
        )
    )
    with warm.open(SCENARIO, journal=path) as aws:
        assert len(aws.remarks) == host.REMARKS + 1 and aws.remarks[-1] == "and 80 more"
        assert max(map(len, aws.remarks)) < 500 and "\n" not in "".join(aws.remarks)


def test_a_journal_that_cannot_be_written_is_said_when_it_is_to_be_saved(warm: Host, tmp_path: Path) -> None:
    folder = tmp_path / "workspace"
    folder.mkdir()
    with warm.open(SCENARIO, journal=folder / ".cloud" / "journal.jsonl", record=True) as aws:
        folder.rename(tmp_path / "moved")
        admin(aws).create_user(UserName="eve")
        assert "eve" in users(aws)
        with pytest.raises(wire.Refusal, match=r"^What you have changed in AWS cannot be written to .*No such file"):
            aws.ask("save")
        (tmp_path / "moved").rename(folder)
        aws.ask("save")
        assert len((folder / ".cloud" / "journal.jsonl").read_text().splitlines()) == 1


# ---- hostile surroundings -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_nothing_of_the_users_environment_gets_in(tmp_path: Path, monkeypatch) -> None:
    # Not 127.0.0.1 where there are others: a neighbour that looks whether somebody is still at a port knocks there.
    address = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"
    with socket.create_server((address, 0)) as elsewhere:
        elsewhere.setblocking(False)
        url = f"http://{address}:{elsewhere.getsockname()[1]}"
        (tmp_path / ".aws").mkdir()
        (tmp_path / ".aws" / "config").write_text(f"[default]\nendpoint_url = {url}\nregion = us-gov-west-1\n")
        (tmp_path / ".aws" / "credentials").write_text("[default]\naws_access_key_id = AKIAFAKEFAKEEXAMPLE2\naws_secret_access_key = a-fake-key\n")  # fmt: skip
        (tmp_path / "sitecustomize.py").write_text("raise SystemExit('of the user')\n")
        for name in (
            "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "MOTO_S3_CUSTOM_ENDPOINTS",
        ):  # fmt: skip
            monkeypatch.setenv(name, url)
        for name, value in {
            "HOME": str(tmp_path), "AWS_PROFILE": "default", "AWS_ACCESS_KEY_ID": "AKIAFAKEFAKEEXAMPLE1", "AWS_SECRET_ACCESS_KEY": "a-fake-key",
            "AWS_SESSION_TOKEN": "a-fake-token", "AWS_REGION": "us-gov-west-1", "MOTO_ACCOUNT_ID": "999999999999", "TEST_SERVER_MODE": "true",
            "INITIAL_NO_AUTH_ACTION_COUNT": "0", "MOTO_IAM_LOAD_MANAGED_POLICIES": "true", "PYTHONPATH": str(tmp_path), "BOTO_CONFIG": "/dev/null",
            "AWS_USE_FIPS_ENDPOINT": "true", "AWS_USE_DUALSTACK_ENDPOINT": "true", "AWS_MAX_ATTEMPTS": "1", "AWS_CA_BUNDLE": "/nowhere",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        with Host() as running, running.open(SCENARIO, seed=1) as aws:
            variables = psutil.Process(running._process.pid).environ()
            allowed = {
                "PATH",
                "LANG",
                "LC_ALL",
                "LC_CTYPE",
                "TMPDIR",
                "HOME",
                "PYTHONDONTWRITEBYTECODE",
                "AWS_EC2_METADATA_DISABLED",
            }
            assert set(variables) <= allowed | {"MOTO_S3_DEFAULT_KEY_BUFFER_SIZE"}
            assert variables["HOME"] != str(tmp_path)
            assert users(aws)
            assert admin(aws, "s3", PRODUCTION).list_buckets()["Buckets"]
            assert aws.user(PLATFORM, "kasia").assume(f"arn:aws:iam::{STAGING}:role/orders-analyst").key
            assert not aws.nobody().call("s3", "list_buckets").allowed, "nobody has no key, whatever lies in ~/.aws"
        with pytest.raises(BlockingIOError):
            elsewhere.accept()
