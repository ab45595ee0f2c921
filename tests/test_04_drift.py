"""Task 4.5: what can have been clicked can be seen, decided, adopted and reverted; and nothing may be lost on the way."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import replay
from graded import built, linux

from opslab import checks
from opslab.checks.terraform_gitops import drift as checking
from opslab.scenarios.terraform_gitops import channel, common, drift
from opslab.scenarios.terraform_gitops.common import ACCOUNTS, PLATFORM, PRODUCTION
from opslab.worlds import terraform, workspace
from opslab.worlds.aws import cloud, keys
from opslab.worlds.aws.cloud import Actor
from opslab.worlds.aws.organisation import Organisation
from opslab.worlds.terraform import accounts
from opslab.worlds.terraform.tools import missing

STEM = "04_terraform_gitops"
with_terraform = pytest.mark.skipif(bool(missing()), reason=missing())


# ---- what is drawn ----------------------------------------------------------------------------------------------------------


def test_two_stay_and_two_go_and_of_one_nobody_has_said_a_word():
    seen = set()
    for seed in range(200):
        drawn = drift.clicked(seed)
        assert [one.stays for one in drawn] == [True, True, False, False]
        assert len({one.what for one in drawn}) == 4
        assert [bool(one.said) for one in drawn] == [True, True, True, False]
        seen |= {(one.what, one.value, bool(one.said)) for one in drawn}
    assert {(one.what, one.value) for one in drift.CLICKS} == {(what, value) for what, value, _ in seen}
    assert all(one.value != drift.ON_MAIN[one.what] for one in drift.CLICKS)


@pytest.mark.parametrize("seed", range(8))
def test_the_channel_tells_what_was_drawn_and_nothing_else_that_is_there(seed: int, tmp_path: Path):
    drift.put_on_desk(tmp_path, seed)
    text = " ".join((tmp_path / drift.NOTES).read_text().split())
    drawn = drift.clicked(seed)

    def told(said: str) -> list[bool]:
        lines = [channel.LINE.fullmatch(line.strip())[3] for line in said.splitlines() if line.strip()]
        return [" ".join(line.split()) in text for line in lines]

    for click in drift.CLICKS:
        meant = any((one.what, one.value, bool(one.said)) == (click.what, click.value, True) for one in drawn)
        assert all(told(click.said)) if meant else not any(told(click.said))
    for what in {one.what for one in drawn} & set(drift.NOT_DONE):
        assert not any(told(drift.NOT_DONE[what]))  # "then didn't" would be a lie
    assert drift.made(seed) in text
    days = re.findall(r"(?:Mon|Tue|Wed|Thu|Fri) (\d+) Nov", text)
    assert days == sorted(days, key=int)


# ---- AWS ---------------------------------------------------------------------------------------------------------------------


@contextmanager
def organisation(clicks: list[drift.Click], monkeypatch: pytest.MonkeyPatch) -> Iterator[Organisation]:
    """The organisation with these clicks, instead of those of a seed."""
    monkeypatch.setattr(drift, "clicked", lambda seed: clicks)

    def start(aws: Organisation) -> None:
        common.furnish(aws)
        drift.furnish(aws)

    # A short path, as that of a socket must be: `tmp_path` is too long on macOS.
    with tempfile.TemporaryDirectory(prefix="tf-") as folder:
        socket = Path(folder) / "aws"
        with Organisation(ACCOUNTS, 1, start=start, socket=socket) as aws:
            aws.services = {aws.port: socket}
            yield aws


def viewer(aws: Organisation) -> Actor:
    return Actor(aws.endpoint, *aws.role_session(PRODUCTION, "viewer"))


def read(aws: Organisation) -> dict[str, str]:
    """What the check sees, difference by difference."""
    who = viewer(aws)
    return {what: look(who) for what, (look, _, _) in checking.LOOK.items()}


def test_the_check_sees_each_click(monkeypatch: pytest.MonkeyPatch):
    with organisation([], monkeypatch) as aws:
        who = viewer(aws)
        for one in drift.CLICKS:
            drift.CLICKING[one.what](aws, one.value)
            look, _, _ = checking.LOOK[one.what]
            assert look(who) == one.value
            drift.CLICKING[one.what](aws, drift.ON_MAIN[one.what])
        assert read(aws) == drift.ON_MAIN


def test_nothing_else_looks_as_if_it_had_been_made_anew(monkeypatch: pytest.MonkeyPatch):
    with organisation([], monkeypatch) as aws:
        role = viewer(aws).call("iam", "get_role", RoleName=drift.ROLE).result["Role"]
        keeper = Actor(aws.endpoint, *aws.role_session(PLATFORM, "state-keeper"))
        state = json.loads(keeper.call("s3", "get_object", Bucket=accounts.STATE, Key=drift.KEY).result["Body"].read())
    known = next(one for one in state["resources"] if one["type"] == "aws_iam_role")["instances"][0]["attributes"]
    assert (known["unique_id"], known["create_date"]) == (role["RoleId"], f"{role['CreateDate']:%Y-%m-%dT%H:%M:%SZ}")


def planned(
    aws: Organisation, folder: Path, edit: Callable[[Path], None]
) -> tuple[terraform.Folder, terraform.Outcome]:
    """A plan of the repository's code after an edit."""
    room = terraform.Room(folder / "room", terraform.find(), keys.access_key(1, PLATFORM, "atlantis"), aws.endpoint, aws.services, env=common.DEPLOYS)  # fmt: skip
    for path, text in common.files("reports", {}).items():
        (room.path / path).parent.mkdir(parents=True, exist_ok=True)
        (room.path / path).write_text(text)
    edit(room.path / drift.FOLDER)
    run = room.folder(drift.FOLDER)
    assert run.init().good
    return run, run.plan("-detailed-exitcode")


def one_of_each(*, stays: bool) -> list[drift.Click]:
    return list({one.what: one for one in drift.CLICKS if one.stays == stays}.values())


@pytest.mark.slow
@with_terraform
def test_all_that_stays_can_be_adopted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    clicks = one_of_each(stays=True)
    answer = replay.named(STEM, "4.5/right/plain").folder / "do.sh"
    edits = answer.read_text().partition("as-decided\n")[2].partition("\ndone\n")[0] + "\ndone\n"

    def edit(folder: Path) -> None:
        script = edits.replace("{{stays}}", " ".join(one.what for one in clicks))
        subprocess.run(["bash", "-ec", script], cwd=folder, check=True)

    with organisation(clicks, monkeypatch) as aws:
        _, plan = planned(aws, tmp_path, edit)
        assert plan.code == 0, plan.text


@pytest.mark.slow
@with_terraform
def test_all_that_goes_is_reverted_by_an_apply_and_nothing_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    clicks = one_of_each(stays=False)
    with organisation(clicks, monkeypatch) as aws:
        run, plan = planned(aws, tmp_path, lambda folder: None)
        assert f"Plan: 0 to add, {len(clicks)} to change, 0 to destroy." in plan.text
        assert run.apply().good
        assert read(aws) == drift.ON_MAIN


# ---- what is lost is seen -----------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A desk as it is at the start."""
    return shutil.copytree(built(STEM, 1), tmp_path / "desk", symlinks=True)


@contextmanager
def recorded(home: Path) -> Iterator[cloud.Cloud]:
    """The organisation of a desk; what is done there stands in its journal."""
    where = {"seed": 1, "journal": home / cloud.JOURNAL, "record": True}
    with cloud.shared().open(workspace.cloud_of(STEM), **where) as aws:
        yield aws


def asked(home: Path, expectation: str) -> checks.Result:
    report = checks.run("4.5", home, only=[expectation])
    return next(result for result in report.results if result.id == expectation)


def take_in(aws: cloud.Cloud) -> None:
    """Let the state know of the bucket that was made by hand, without the loop, which takes its time."""
    keeper = aws.role(PLATFORM, "state-keeper").client("s3")
    state = json.loads(keeper.get_object(Bucket=accounts.STATE, Key=drift.KEY)["Body"].read())
    bucket = next(one for one in state["resources"] if one["type"] == "aws_s3_bucket")
    more = json.loads(json.dumps(bucket).replace(drift.BUCKET, drift.made(1))) | {"name": "made"}
    text = json.dumps({**state, "resources": [*state["resources"], more]})
    keeper.put_object(Bucket=accounts.STATE, Key=drift.KEY, Body=text)


@pytest.mark.slow
@linux
def test_an_import_that_was_more_than_that_is_missed(home: Path):
    with recorded(home) as aws:
        take_in(aws)
    assert asked(home, "taken_in").state == "met"
    with recorded(home) as aws:
        s3 = aws.role(PRODUCTION, "deployer").client("s3")
        s3.put_bucket_versioning(Bucket=drift.made(1), VersioningConfiguration={"Status": "Suspended"})
    assert asked(home, "taken_in").name == "import-changed-it"
    with recorded(home) as aws:
        s3 = aws.role(PRODUCTION, "deployer").client("s3")
        version = s3.list_object_versions(Bucket=drift.made(1))["Versions"][0]
        s3.delete_object(Bucket=drift.made(1), Key=version["Key"], VersionId=version["VersionId"])
    missed = asked(home, "taken_in")
    assert (missed.state, missed.got, missed.wanted) == ("missed", "3 objects", "the 4 that were there")


@linux
@pytest.mark.parametrize(
    "what", ["objects", *(pytest.param(one, marks=pytest.mark.slow) for one in ("log streams", "role"))]
)
def test_what_was_made_anew_is_missed(home: Path, what: str):
    with recorded(home) as aws:
        deployer = aws.role(PRODUCTION, "deployer")
        if what == "objects":
            s3 = deployer.client("s3")
            for one in s3.list_object_versions(Bucket=drift.BUCKET)["Versions"]:
                s3.delete_object(Bucket=drift.BUCKET, Key=one["Key"], VersionId=one["VersionId"])
                s3.put_object(Bucket=drift.BUCKET, Key=one["Key"], Body=drift.OBJECTS[one["Key"]])
        elif what == "log streams":
            deployer.client("logs").delete_log_group(logGroupName=drift.LOGS)
            deployer.client("logs").create_log_group(logGroupName=drift.LOGS)
        else:
            iam = deployer.client("iam")
            role = iam.get_role(RoleName=drift.ROLE)["Role"]
            iam.delete_role_policy(RoleName=drift.ROLE, PolicyName="render")
            iam.delete_role(RoleName=drift.ROLE)
            iam.create_role(
                RoleName=drift.ROLE, Path="/service/", PermissionsBoundary=common.boundary(PRODUCTION),
                AssumeRolePolicyDocument=json.dumps(role["AssumeRolePolicyDocument"]),
            )  # fmt: skip
    module = checks.module_of("4.5")
    trial = checks.Trial(home, module, module.find("4.5"), seed=1, unseen=0, twists=frozenset(), graded=False, tell=print)  # fmt: skip
    try:
        with pytest.raises(checks.Miss, match="made anew") as missed:
            checking.settled(trial)
        assert what in missed.value.say
    finally:
        trial.close()


def test_a_state_that_is_none_knows_of_nothing():
    for text in (None, [], {"resources": [1]}, {"resources": {"a": 1}}, "x"):
        assert checking.things(text) == {}
    resource = {"mode": "managed", "module": "module.aws_a", "type": "aws_s3_bucket", "name": "this"}
    instances = [{"index_key": "a.b", "attributes": {"id": "x"}}, {"index_key": 0, "attributes": {"id": "y"}}]
    assert checking.things({"resources": [{**resource, "instances": instances}]}) == {
        ("aws_s3_bucket", "x"): 'module.aws_a.aws_s3_bucket.this["a.b"]',
        ("aws_s3_bucket", "y"): "module.aws_a.aws_s3_bucket.this[0]",
    }
