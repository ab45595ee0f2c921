"""The loop with the real terraform on two accounts: denied first, then allowed; and what happens when the bot is killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_atlantis_desk import Desk

from opslab.worlds import terraform
from opslab.worlds.aws import keys
from opslab.worlds.aws.journal import Journal
from opslab.worlds.aws.organisation import Organisation
from opslab.worlds.aws.seeding import allow
from opslab.worlds.forge.atlantis import Atlantis
from opslab.worlds.forge.forge import Forge
from opslab.worlds.terraform import accounts
from opslab.worlds.terraform.tools import missing

PLATFORM, STAGING, PRODUCTION = "333333333333", "111111111111", "222222222222"
ACCOUNTS = {"platform": PLATFORM, "staging": STAGING, "production": PRODUCTION}
TARGETS = {"staging": STAGING, "production": PRODUCTION}

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing())]

MODULE = """\
variable "environment" { type = string }
variable "password" {
  type      = string
  sensitive = true
}
resource "aws_s3_bucket" "clicks" {
  bucket = "targ-clicks-${var.environment}"
  tags   = { Owner = "data", Secret = var.password }
}
resource "aws_s3_bucket_versioning" "clicks" {
  bucket = aws_s3_bucket.clicks.id
  versioning_configuration { status = "Enabled" }
}
"""
USE = """\
module "clicks" {
  source      = "../modules/clicks"
  environment = "ENVIRONMENT"
  password    = "a-very-secret-password"
}
"""
CONFIG = """\
version: 3
automerge: true
projects:
- name: staging
  dir: staging
  autoplan: {when_modified: ["*.tf", "../modules/**/*.tf"]}
- name: production
  dir: production
  depends_on: [staging]
  autoplan: {when_modified: ["*.tf", "../modules/**/*.tf"]}
"""


def furnish(aws: Organisation) -> None:
    accounts.platform(aws, "platform", deployers=dict.fromkeys(TARGETS, "deployer"))
    for name in TARGETS:
        # The right to make buckets is missing at first.
        accounts.deployer(aws, name, by="platform", policies={"look": allow(["s3:Get*", "s3:List*"])})


def grant(aws: Organisation, account: str, *actions: str) -> None:
    policy = json.dumps(allow(list(actions)))
    aws.client("iam", account).put_role_policy(RoleName="deployer", PolicyName="more", PolicyDocument=policy)


@pytest.fixture(scope="module")
def aws() -> Iterator[Organisation]:
    folder = Path(tempfile.mkdtemp(prefix="tf-"))
    with Organisation(ACCOUNTS, start=furnish, socket=folder / "aws") as running:
        running.services = {running.port: folder / "aws"}
        yield running
    shutil.rmtree(folder)


def bot(folder: Path, aws: Organisation, told: list[str], **settings) -> Atlantis:
    return Atlantis(
        folder / "atlantis",
        terraform.find(),
        keys=keys.access_key(0, PLATFORM, "atlantis"),
        endpoint=aws.endpoint,
        services=aws.services,
        server="repos: [{id: /.*/, apply_requirements: [approved, mergeable]}]",
        tell=told.append,
        **settings,
    )


def start(folder: Path, aws: Organisation, files: dict[str, str] | None = None) -> Desk:
    aws.reset()
    forge = Forge(folder / "forge")
    forge.add_user("mira", "Mira Novak")
    code = {"atlantis.yaml": CONFIG, "modules/clicks/main.tf": MODULE}
    for name, account in TARGETS.items():
        head = accounts.backend(f"{name}/terraform.tfstate") + accounts.provider(account)
        code |= {f"{name}/main.tf": head, f"{name}/.terraform.lock.hcl": terraform.find().lock_file("~> 5.0")}
    forge.create("platform/infrastructure", files={**code, **(files or {})})
    told: list[str] = []
    return Desk(forge, bot(folder, aws, told), told)


def use(environment: str) -> str:
    return USE.replace("ENVIRONMENT", environment)


def test_denied_and_then_allowed_on_two_accounts(aws: Organisation, tmp_path: Path) -> None:
    desk = start(tmp_path, aws)
    journal = Journal(tmp_path / "journal.jsonl")
    journal.record(aws)
    mr = desk.opened("clicks", {f"{name}/clicks.tf": use(name) for name in TARGETS})
    plan = desk.last(mr)
    assert plan.startswith("Ran Plan for 2 projects:\n\n1. project: `staging` dir: `staging` workspace: `default`\n")
    assert plan.count('+ resource "aws_s3_bucket" "clicks" {') == 2 and plan.count("<details>") == 2
    assert "2 projects, 2 with changes, 0 with no changes, 0 failed" in plan
    assert plan.count("Plan: 2 to add, 0 to change, 0 to destroy.") == 4  # in the output, and under the fold
    assert "(sensitive value)" in plan and "a-very-secret-password" not in plan
    mr.approve("mira")

    denied = desk.answer(mr, "atlantis apply")
    role = f"arn:aws:sts::{STAGING}:assumed-role/deployer/"
    words = " ".join(denied.replace("│", " ").split())
    assert "**Apply Error**" in words and "AccessDenied" in words
    assert f"User: {role}" in words and "is not authorized to perform: s3:CreateBucket on resource:" in words
    assert "because no identity-based policy allows the s3:CreateBucket action" in words
    assert "Can't apply your project unless you apply its dependencies: [staging]" in words
    assert "2 projects, 0 successful, 1 failed, 1 errored" in words
    assert desk.status(mr)["atlantis/apply"][0] == "failed" and mr.record["state"] == "opened"

    for name in TARGETS:
        grant(aws, name, "s3:*")
    desk.said(mr, "atlantis plan")
    done, merging, cleaned = desk.said(mr, "atlantis apply")
    assert "2 projects, 2 successful, 0 failed, 0 errored" in done
    assert done.count("Apply complete! Resources: 2 added, 0 changed, 0 destroyed.") == 2
    assert merging == "Automatically merging because all plans have been successfully applied."
    assert cleaned.endswith("- dir: `production` workspace: `default`\n- dir: `staging` workspace: `default`")
    assert mr.record["state"] == "merged" and not desk.bot.locks(desk.repository)

    for name in TARGETS:
        s3 = aws.client("s3", name)
        assert [one["Name"] for one in s3.list_buckets()["Buckets"]] == [f"targ-clicks-{name}"]
        assert s3.get_bucket_versioning(Bucket=f"targ-clicks-{name}")["Status"] == "Enabled"
        state = (
            aws.client("s3", "platform")
            .get_object(Bucket=accounts.STATE, Key=f"{name}/terraform.tfstate")["Body"]
            .read()
        )
        assert b"aws_s3_bucket" in state
    listed = aws.client("s3", "platform").list_objects_v2(Bucket=accounts.STATE)["Contents"]
    assert not [one["Key"] for one in listed if one["Key"].endswith(".tflock")]
    assert any("production: module.clicks.aws_s3_bucket.clicks: Creating..." in line for line in desk.told)

    # What terraform has made is made again from the journal, as after a restart of the learner's server.
    aws.guard.on_change = None
    aws.reset()
    assert Journal(tmp_path / "journal.jsonl").replay(aws) == []
    for name in TARGETS:
        assert [one["Name"] for one in aws.client("s3", name).list_buckets()["Buckets"]] == [f"targ-clicks-{name}"]
    again = aws.client("s3", "platform").get_object(Bucket=accounts.STATE, Key="production/terraform.tfstate")
    assert again["Body"].read() == state


# Terraform saves the state every 20 s, which on a slow machine is before the kill: here it saves it at the end only.
WORKER = """
import json, sys
from opslab.worlds import terraform
from opslab.worlds.forge.atlantis import Atlantis
from opslab.worlds.forge.forge import Forge
given = json.loads(sys.argv[1])
bot = Atlantis(given["folder"], terraform.find(), keys=tuple(given["keys"]), endpoint=given["endpoint"],
               services={int(port): path for port, path in given["services"].items()},
               env={"TF_STATE_PERSIST_INTERVAL": "3600"}, tell=lambda line: print(line, flush=True))
Forge(given["forge"]).react(bots=[bot])
"""

FIRST = 'resource "aws_s3_bucket" "first" {\n  bucket = "targ-first"\n}\n'
SECOND = 'resource "aws_s3_bucket" "second" {\n  bucket = "targ-second"\n}\n'
# The provider waits for half a minute until it believes that there is a queue.
QUEUE = 'resource "aws_sqs_queue" "slow" {\n  name       = "slow"\n  depends_on = [aws_s3_bucket.second]\n}\n'


def test_killed_in_the_middle_of_an_apply(aws: Organisation, tmp_path: Path) -> None:
    desk = start(tmp_path, aws, {"staging/first.tf": FIRST})
    grant(aws, "staging", "s3:*", "sqs:*")
    # What is there already, made by hand: one bucket, and a state that knows it.
    room = terraform.Room(
        tmp_path / "room", terraform.find(), keys.access_key(0, PLATFORM, "atlantis"), aws.endpoint, aws.services
    )
    head = accounts.backend("staging/terraform.tfstate") + accounts.provider(STAGING)
    (room.path / "main.tf").write_text(head + FIRST)
    hand = room.folder()
    for done in (hand.init(), hand.plan(), hand.apply()):
        assert done.good, done.text

    mr = desk.opened("queue", {"staging/queue.tf": SECOND + QUEUE})
    mr.approve("mira")
    desk.react()
    mr.comment("atlantis apply", by="you")
    given = {
        "folder": str(tmp_path / "atlantis"),
        "forge": str(desk.forge.folder),
        "keys": keys.access_key(0, PLATFORM, "atlantis"),
        "endpoint": aws.endpoint,
        "services": {port: str(path) for port, path in aws.services.items()},
    }
    command = [sys.executable, "-c", WORKER, json.dumps(given)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        for line in worker.stdout:
            if "aws_sqs_queue.slow: Creating..." in line:
                break
        os.kill(worker.pid, signal.SIGKILL)

    # The state is as it was, or newer; nothing of it is lost.
    s3 = aws.client("s3", "platform")
    state = json.loads(s3.get_object(Bucket=accounts.STATE, Key="staging/terraform.tfstate")["Body"].read())
    assert "first" in [one["name"] for one in state["resources"]]
    lock = json.loads(s3.get_object(Bucket=accounts.STATE, Key="staging/terraform.tfstate.tflock")["Body"].read())
    assert lock["Operation"] == "OperationTypeApply"

    desk.bot = bot(tmp_path, aws, desk.told)
    desk.react()
    assert "Atlantis itself was stopped in the middle of this apply." in desk.last(mr)
    assert "Who:     you, with the comment: atlantis apply" in desk.last(mr)
    assert desk.bot.locks(desk.repository)["staging//default"]["number"] == mr.number
    assert not any("Apply complete" in text for text in desk.answers(mr))

    refused = desk.answer(mr, "atlantis plan")
    assert "Error acquiring the state lock" in refused and f"ID:        {lock['ID']}" in refused
    assert f"Who:       {lock['Who']}" in refused and f"Created:   {lock['Created'][:10]}" in refused
    assert hand.unlock(lock["ID"]).good
    plan = desk.answer(mr, "atlantis plan")
    assert "Plan: 2 to add, 0 to change, 0 to destroy." in plan and '"targ-first"' not in plan
    # What was made before the kill, and after the last time that the state was saved, is taken in, not lost.
    (room.path / "main.tf").write_text(head + FIRST + SECOND)
    assert hand.run("import", "-input=false", "-no-color", "aws_s3_bucket.second", "targ-second").good
    assert "Plan: 1 to add, 0 to change, 0 to destroy." in desk.answer(mr, "atlantis plan")


def test_two_hundred_resources_and_a_syntax_error(aws: Organisation, tmp_path: Path) -> None:
    desk = start(tmp_path, aws)
    many = 'resource "aws_s3_bucket" "many" {\n  count  = 200\n  bucket = "targ-many-${count.index}"\n}\n'
    mr = desk.opened("many", {"staging/many.tf": many})
    pieces = desk.answers(mr)
    assert len(pieces) > 3 and "Plan: 200 to add, 0 to change, 0 to destroy." in pieces[-1]
    assert sum(piece.count("will be created") for piece in pieces) == 200
    desk.pushed(mr, {"staging/many.tf": 'resource "aws_s3_bucket" {\n  bucket = "b\n}\n'})
    last = desk.last(mr)
    assert "**Plan Error**" in last and "Nothing was run, because the code cannot be read:" in last
    assert "Error: " in last and "on many.tf line 2" in last
    assert desk.bot.locks(desk.repository) == {}
