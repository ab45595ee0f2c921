"""Task 4.6: what went wrong went wrong as it does, and the means of a learner mend it; also after a real kill."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest
import replay
from graded import built, linux

from opslab import checks
from opslab.scenarios.terraform_gitops import objects, record_recovery, recovery
from opslab.scenarios.terraform_gitops.common import ACCOUNTS, PLATFORM, PRODUCTION
from opslab.worlds import terraform, workspace
from opslab.worlds.aws import cloud
from opslab.worlds.aws.organisation import Organisation
from opslab.worlds.forge.forge import Forge
from opslab.worlds.terraform import accounts
from opslab.worlds.terraform.tools import missing

STEM = "04_terraform_gitops"
with_terraform = pytest.mark.skipif(bool(missing()), reason=missing())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A desk as it is at the start."""
    return shutil.copytree(built(STEM, 1), tmp_path / "desk", symlinks=True)


@contextmanager
def running(home: Path, *, record: bool = True):
    """The organisation of a desk; what is done there stands in its journal."""
    where = {"seed": 1, "journal": home / cloud.JOURNAL, "record": record}
    with cloud.shared().open(workspace.cloud_of(STEM), **where) as aws:
        yield aws


def versions(aws: cloud.Cloud) -> dict[str, list]:
    """Every version of every object: key, id, ETag, and what is deleted."""
    platform, production = (aws.role(account, name) for account, name in ((PLATFORM, "state-keeper"), (PRODUCTION, "viewer")))  # fmt: skip
    names = [one["Name"] for one in production.call("s3", "list_buckets").result["Buckets"]]
    found = {}
    for who, bucket in [(platform, accounts.STATE), *((production, name) for name in names)]:
        listed = who.call("s3", "list_object_versions", Bucket=bucket).result
        found[bucket] = [(one["Key"], one["VersionId"], one["ETag"]) for one in listed.get("Versions", [])]
        found[bucket] += [(one["Key"], one["VersionId"]) for one in listed.get("DeleteMarkers", [])]
    return found


# ---- the world ----------------------------------------------------------------------------------------------------------------


def test_every_export_can_be_broken_in_every_way():
    seen = Counter()
    for seed in range(100):
        found = recovery.words(seed)
        assert sorted(found[name] for name in ("locked", "running", "half", "gone")) == sorted(recovery.EXPORTS)
        assert len({found["at_work"], found["author"], found["tidy"]}) == 3
        seen.update((name, found[name]) for name in ("locked", "running", "half", "gone"))
    assert len(seen) == 16


def test_the_merge_request_stands_as_it_was_left(home: Path):
    repository = Forge(home / workspace.FORGE).repository(recovery.NAME)
    mr, found = repository.merge_request(1), recovery.words(1)
    assert (mr.record["state"], mr.record["author"]) == ("opened", found["author"])
    assert [one["by"] for one in mr.record["approvals"]] == ["marek"] and not mr.approvals_missing()
    said = [item["text"] for item in mr.record["discussion"] if item["by"] == "atlantis"]
    assert [text.splitlines()[0].split(" for ")[0] for text in said] == ["Ran Plan", "Ran Apply", "Ran Plan", "Ran Apply"]  # fmt: skip
    assert "Atlantis itself was stopped" in said[1] and "BucketAlreadyOwnedByYou" in said[3]
    assert recovery.new_bucket(1) in said[0] and "{{" not in "".join(said)
    times = [item["at"] for item in mr.record["discussion"]]
    assert times == sorted(times) and times[-1] < "2026-11-14"
    # Nothing is waiting: to open a desk must not start terraform.
    assert not Forge(home / workspace.FORGE).waiting()


@linux
def test_versions_have_the_same_ids_each_time(home: Path):
    with running(home) as aws:
        before = versions(aws)
        keeper = aws.role(PLATFORM, "state-keeper").client("s3")
        key = recovery.key(recovery.words(1)["gone"])
        marker = keeper.list_object_versions(Bucket=accounts.STATE, Prefix=key)["DeleteMarkers"][0]
        keeper.delete_object(Bucket=accounts.STATE, Key=key, VersionId=marker["VersionId"])
        keeper.put_object(Bucket=accounts.STATE, Key="exports/mine.json", Body=b"{}")
        after = versions(aws)
        state = keeper.get_object(Bucket=accounts.STATE, Key=key)["Body"].read()
    assert sum(map(len, before.values())) > 30
    assert len(after[accounts.STATE]) == len(before[accounts.STATE])  # a marker less, an object more
    with running(home, record=False) as aws:  # from the journal
        assert aws.remarks == ()
        assert versions(aws) == after
        keeper = aws.role(PLATFORM, "state-keeper").client("s3")
        assert keeper.get_object(Bucket=accounts.STATE, Key=key)["Body"].read() == state
    with cloud.shared().open(workspace.cloud_of(STEM), seed=1) as aws:  # at the start
        assert versions(aws) == before


def test_ids_do_not_follow_from_what_was_put_there_before():
    ids = []
    with Organisation(ACCOUNTS, 1) as aws:
        for order in (("a", "b", "b"), ("b", "c", "a", "b")):
            aws.reset()
            accounts.state_bucket(aws, "platform")
            for key in order:
                objects.put(aws, PLATFORM, accounts.STATE, key, "text")
            objects.delete(aws, PLATFORM, accounts.STATE, "a")
            listed = aws.client("s3", "platform").list_object_versions(Bucket=accounts.STATE)
            found = {(one["Key"], one["VersionId"]) for one in [*listed["Versions"], *listed["DeleteMarkers"]]}
            ids.append({one for one in found if one[0] != "c"})
    assert ids[0] == ids[1] and len(ids[0]) == 4


@linux
def test_the_newest_version_is_listed_first(home: Path):
    with running(home, record=False) as aws:
        listed = aws.role(PLATFORM, "state-keeper").call("s3", "list_object_versions", Bucket=accounts.STATE, Prefix=recovery.key(recovery.words(1)["gone"])).result  # fmt: skip
    assert listed["DeleteMarkers"][0]["IsLatest"]
    newer, older = listed["Versions"]
    assert listed["DeleteMarkers"][0]["LastModified"] > newer["LastModified"] > older["LastModified"]
    assert newer["Size"] > older["Size"]


@linux
def test_a_lost_object_is_missed(home: Path):
    with running(home) as aws:
        bucket = recovery.bucket(recovery.words(1)["gone"])
        s3 = aws.role(PRODUCTION, "deployer").client("s3")
        version = s3.list_object_versions(Bucket=bucket)["Versions"][0]
        s3.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
    (result,) = checks.run("4.6", home, only=["finished"]).results
    assert result.say == f"Something that was in {bucket} is lost."


@linux
def test_what_is_no_state_and_no_lock_is_told_and_no_fault(home: Path):
    found = recovery.words(1)
    with running(home) as aws:
        keeper = aws.role(PLATFORM, "state-keeper").client("s3")
        for key, body in (
            (recovery.key(found["gone"]), b'{"version": 4, "resources": [1]}'),
            (recovery.key(found["half"]), b"[]"),
            (f"{recovery.key(found['locked'])}.tflock", b"[]"),
            (f"{recovery.key(found['running'])}.tflock", b"\xff"),
        ):
            keeper.put_object(Bucket=accounts.STATE, Key=key, Body=body)
    report = checks.run("4.6", home)
    assert [result.state for result in report.results] == ["missed"] * 3
    names = ["lock-of-somebody-at-work", "older-version", "not-imported"]
    assert [result.name for result in report.results] == names


# ---- with terraform -------------------------------------------------------------------------------------------------------------


def same(text: str) -> str:
    return re.sub(r"(RequestID|HostID): [^,]*", r"\1: …", text)


@pytest.mark.slow
@with_terraform
def test_atlantis_still_says_what_was_recorded():
    # A short path, as that of a socket must be: `tmp_path` is too long on macOS.
    with tempfile.TemporaryDirectory(prefix="tf-") as folder:
        socket = Path(folder) / "aws"
        with Organisation(ACCOUNTS, 2, start=record_recovery.start, socket=socket) as aws:
            aws.services = {aws.port: socket}
            said = record_recovery.listen(aws, seed=2)
    recorded = json.loads(recovery.COMMENTS.read_text())
    assert {what: same(text) for what, text in said.items()} == {what: same(text) for what, text in recorded.items()}


# Terraform saves the state every 20 s, which on a slow machine is before the kill: here it saves it at the end only.
WORKER = """
import sys
from pathlib import Path
from opslab.worlds import workspace
from opslab.worlds.aws.cloud import Cloud
from opslab.worlds.forge.forge import Forge
home, folder, port = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
bots = workspace.bots_of("04_terraform_gitops", home, Cloud(folder, 1, port), lambda line: print(line, flush=True))
for bot in bots:
    bot.env["TF_STATE_PERSIST_INTERVAL"] = "3600"
Forge(home / workspace.FORGE).react(bots=bots)
"""

DRILL = """\
module "drill" {
  source = "../modules/export"
  name   = "drill"
}
"""
# The provider waits for a minute until it believes that there is a rule.
SLOW_RULE = """\
resource "aws_s3_bucket_lifecycle_configuration" "drill" {
  bucket     = "targ-export-drill"
  depends_on = [module.drill]

  rule {
    id     = "old"
    status = "Enabled"
    filter {}
    expiration {
      days = 400
    }
  }
}
"""

MEND = """\
git clone -q forge:platform/exports work/exports
cd work/exports
git switch -q drill
opslab mr comment 2 "atlantis plan" > /dev/null
lock=$(opslab mr show 2 --full | grep -oE '[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}' | tail -n 1)
cd {half}
terraform init -input=false > /dev/null
AWS_PROFILE=state-keeper terraform force-unlock -force "$lock"
git rm -q slow.tf
printf 'import {{\\n  to = module.drill.aws_s3_bucket.this\\n  id = "targ-export-drill"\\n}}\\n' > imports.tf
git add .
git commit -qm "Import what the apply that was cut off has made"
git push -q
opslab mr work
opslab mr comment 2 "atlantis apply"
opslab mr work
"""


@linux
@pytest.mark.slow
@with_terraform
def test_a_bot_that_is_killed_in_the_middle_of_an_apply(home: Path):
    """The drill for good: SIGKILL, and then nothing but what a learner has."""
    half = recovery.words(1)["half"]
    forge = Forge(home / workspace.FORGE)
    repository = forge.repository(recovery.NAME)
    with running(home) as aws:
        keeper, viewer = aws.role(PLATFORM, "state-keeper").client("s3"), aws.role(PRODUCTION, "viewer").client("s3")
        key = recovery.key(half)
        before = json.loads(keeper.get_object(Bucket=accounts.STATE, Key=key)["Body"].read())
        kept = {entry for entry in versions(aws)[accounts.STATE] if not entry[0].endswith(".tflock")}

        repository.commit("drill", {f"{half}/drill.tf": DRILL, f"{half}/slow.tf": SLOW_RULE}, "A drill", by="you")
        mr = repository.create_merge_request("drill", by="you", title="An export to try the drill", description="It is cut off while it is applied, on purpose.")  # fmt: skip
        terraform.on_desk(home, terraform.find())
        command = [sys.executable, "-c", WORKER, str(home), str(aws.folder), str(aws.port)]
        subprocess.run(command, check=True, capture_output=True)
        assert "Plan: 4 to add, 0 to change, 0 to destroy." in mr.record["discussion"][-1]["text"]
        mr.comment("atlantis apply", by="you")
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
            for line in worker.stdout:
                if "aws_s3_bucket_lifecycle_configuration.drill: Creating..." in line:
                    break
            os.kill(worker.pid, signal.SIGKILL)

        # Nothing of the state is lost, and the lock names who and when. It is of the form that the task's own locks have.
        state = json.loads(keeper.get_object(Bucket=accounts.STATE, Key=key)["Body"].read())
        assert state["lineage"] == before["lineage"]
        assert {json.dumps(one) for one in before["resources"]} <= {json.dumps(one) for one in state["resources"]}
        real, ours = (
            json.loads(keeper.get_object(Bucket=accounts.STATE, Key=f"{recovery.key(name)}.tflock")["Body"].read())
            for name in (half, recovery.words(1)["running"])
        )
        assert list(real) == list(ours) and real["Operation"] == ours["Operation"] == "OperationTypeApply"
        assert re.fullmatch(r"\S+@\S+", real["Who"]) and re.fullmatch(r"20\d\d-\d\d-\d\dT[\d:.]+Z", real["Created"])

        # Somebody uses the new bucket already.
        aws.role(PRODUCTION, "deployer").client("s3").put_object(
            Bucket="targ-export-drill", Key="first.csv", Body=b"1\n"
        )

        with replay._bots(home, STEM, aws):
            env = workspace.environment(home, {"AWS_ENDPOINT_URL": aws.endpoint})
            done = subprocess.run(["bash", "-ec", MEND.format(half=half)], cwd=home, env=env, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=250, check=False)  # fmt: skip
        assert done.returncode == 0, done.stdout
        said = [item["text"] for item in mr.record["discussion"] if item["by"] == "atlantis"]
        assert any("Atlantis itself was stopped in the middle of this apply." in text for text in said)
        assert any(real["Who"] in text and real["ID"] in text and real["Created"][:10] in text for text in said)
        assert "Apply complete! Resources: 1 imported, 2 added, 0 changed, 0 destroyed." in "".join(said), said[-1]
        assert mr.record["state"] == "merged"

        assert viewer.get_object(Bucket="targ-export-drill", Key="first.csv")["Body"].read() == b"1\n"
        left = versions(aws)
        assert kept <= set(left[accounts.STATE])
        locks = [one["Key"] for one in keeper.list_objects_v2(Bucket=accounts.STATE, Prefix=f"exports/{half}")["Contents"]]  # fmt: skip
        assert locks == [key]
    with running(home, record=False) as aws:  # made again from the journal, as after a restart
        assert aws.remarks == () and versions(aws) == left
