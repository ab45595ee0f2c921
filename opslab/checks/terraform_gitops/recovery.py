"""Task 4.6: what went wrong is mended, each with its own means, and no bucket, object, version or lock was lost on the way."""

from __future__ import annotations

import json
from typing import Any

from opslab.checks import Miss, Trial, on_forge
from opslab.checks.terraform_gitops import asking, loop
from opslab.checks.terraform_gitops.asking import module
from opslab.checks.terraform_gitops.drift import things
from opslab.scenarios.terraform_gitops import recovery
from opslab.scenarios.terraform_gitops.common import PEOPLE, PLATFORM, PRODUCTION
from opslab.worlds.aws.cloud import Actor
from opslab.worlds.forge.state import MERGED, OPENED
from opslab.worlds.terraform import accounts

wrong = module.task(
    "4.6",
    "It went wrong",
    files=["forge/platform/exports.git", "work/exports"],
    memory=[".atlantis/platform-exports-*"],
    cloud=["arn:aws:s3:::targ-export-*", "arn:aws:s3:::targ-terraform-state/exports/*"],
    hints=[
        "Three things, each with a state of its own: notes/exports-channel.txt says what, README.md of platform/exports what is allowed. Look before you touch: aws s3 ls --recursive s3://targ-terraform-state/exports/ shows states and locks (.tflock), aws s3 cp s3://…tflock - shows what is in one.",
        "The lock: two are held. One belongs to somebody who cannot be at work any more. In the folder of that export: terraform init, then terraform force-unlock ID. The deleted state: aws s3api list-object-versions --bucket targ-terraform-state --prefix exports/NAME.tfstate shows its versions, and a delete marker on top of them.",
        "A delete marker is a version, too. Take it away and the state is what it was: AWS_PROFILE=state-keeper aws s3api delete-object --bucket … --key … --version-id (that of the marker).",
        "The merge request: the bucket is there, so it has to be imported, not made. On the branch of !1, in the file with the new module: import { to = module.NAME.aws_s3_bucket.this, id = \"targ-export-…\" }, each on a line of its own. Push; the plan says 1 to import, 2 to add; when Marek has approved again: opslab mr comment 1 \"atlantis apply\".",
    ],
)  # fmt: skip

KINDS = ("aws_s3_bucket", "aws_s3_bucket_versioning", "aws_s3_bucket_public_access_block")
"""What belongs to an export's bucket."""


def _keeper(trial: Trial, *, at_start: bool = False) -> Actor:
    return trial.cloud(at_start=at_start).user(PLATFORM, "atlantis")


def _versions(aws: Actor, bucket: str, prefix: str = "") -> dict[tuple[str, str], str]:
    """The versions of the objects in a bucket: by key and id, what is in them (as the ETag)."""
    found = aws.call("s3", "list_object_versions", Bucket=bucket, Prefix=prefix).result or {}
    return {(one["Key"], one["VersionId"]): one["ETag"] for one in found.get("Versions", [])}


def _lock(aws: Actor, export: str) -> dict[str, Any]:
    """The lock of a state; empty where it is free."""
    answer = aws.call("s3", "get_object", Bucket=accounts.STATE, Key=f"{recovery.key(export)}.tflock")
    if answer.result is None:
        return {}
    try:
        found = dict(json.loads(answer.result["Body"].read()))
    except (ValueError, TypeError):
        found = {}
    return found or {"Who": "somebody who has written something else into it"}


def _buckets(state: dict[str, Any] | None) -> set[str]:
    return {id for kind, id in things(state) if kind == "aws_s3_bucket"}


@wrong.expects("the lock that was left behind is gone, and the one under which somebody works is not", points=0.5)
def unlocked(trial: Trial) -> None:
    found, aws = recovery.words(trial.seed), _keeper(trial)
    running, locked = found["running"], found["locked"]
    before = _lock(_keeper(trial, at_start=True), running)
    if _lock(aws, running).get("ID") != before["ID"]:
        raise Miss(f"{recovery.RUNNING} is applying {running} right now, and the lock is gone. Whoever applies next, does it at the same time, and one of the two states is lost. Read who holds a lock, and ask, before you release it.", tried=f"read the lock of exports/{running}.tfstate", got=_lock(aws, running).get("Who", "no lock"), wanted=f"{before['Who']}, since {before['Created'][:16]}", name="lock-of-somebody-at-work")  # fmt: skip
    if left := _lock(aws, locked):
        raise Miss(f"The state of {locked} is still locked, by somebody whose laptop is no more.", tried=f"read the lock of exports/{locked}.tfstate", got=f"{left.get('Operation')} by {left.get('Who')}, since {str(left.get('Created'))[:16]}", wanted="no lock", name="still-locked")  # fmt: skip


@wrong.expects("the state that was deleted is back, the newest one, and the old versions are kept", points=0.5)
def restored(trial: Trial) -> None:
    gone = recovery.words(trial.seed)["gone"]
    key = recovery.key(gone)
    aws, before = _keeper(trial), _keeper(trial, at_start=True)
    tried = f"aws s3 cp s3://{accounts.STATE}/{key} -"
    state, buckets = asking.state_of(trial.cloud(), key), [recovery.bucket(gone), recovery.bucket(f"{gone}-archive")]
    wanted = {(kind, name) for name in buckets for kind in KINDS}
    if not isinstance(state, dict):
        raise Miss(f"There is no state of {gone}: a plan would make everything anew that is there already.", tried=tried, got="no such object, or nothing that is a state", wanted=f"the state, with {' and '.join(buckets)}", name="still-gone")  # fmt: skip
    if missing := wanted - things(state).keys():
        raise Miss(f"There is a state of {gone}, and it does not know all that is there. The version that counts is the newest before it was deleted.", tried=tried, got=f"serial {state.get('serial')}, without (all of) {', '.join(sorted({name for _, name in missing}))}", wanted=f"a state with all of {' and '.join(buckets)}", name="older-version")  # fmt: skip
    lost = _versions(before, accounts.STATE, "exports/").keys() - _versions(aws, accounts.STATE, "exports/").keys()
    if lost := {name for name, _ in lost if name.endswith(".tfstate")}:
        raise Miss("Versions of states are gone for good that were there this morning. To bring one back, none of the others has to go: they are what saves you next time.", tried=f"aws s3api list-object-versions --bucket {accounts.STATE}", got=f"fewer of {', '.join(sorted(lost))}", wanted="all of them, and the delete marker gone", name="versions-deleted")  # fmt: skip


@wrong.expects("the merge request is finished, with the bucket that was there, and nothing is lost", points=1)
def finished(trial: Trial) -> None:
    found, new = recovery.words(trial.seed), recovery.new_bucket(trial.seed)
    half = found["half"]
    repository = on_forge.not_rewritten(trial, recovery, PEOPLE)
    viewer, before = (trial.cloud(at_start=one).role(PRODUCTION, "viewer") for one in (False, True))
    exports = [recovery.bucket(name) for export in recovery.EXPORTS for name in (export, f"{export}-archive")]
    for name in (new, *exports):
        if missing := _versions(before, name).items() - _versions(viewer, name).items():
            raise Miss(f"Something that was in {name} is lost.", tried=f"aws s3api list-object-versions --bucket {name} --profile production", got=f"{len(missing)} objects fewer", wanted="all that was there")  # fmt: skip
    known = _buckets(asking.state_of(trial.cloud(), recovery.key(half)))
    if new not in known:
        if more := sorted(known - set(exports)):
            raise Miss(f"There is a bucket {more[0]} now; that does away with the message and with nothing else. The one that people write to is {new}, and terraform does not know of it.", tried=f"terraform state list, in {half}", got=more[0], wanted=new, name="another-bucket")  # fmt: skip
        raise Miss(f"{new} is in AWS, and terraform does not know of it yet.", tried=f"terraform state list, in {half}", got=", ".join(sorted(known)), wanted=new, name="not-imported")  # fmt: skip
    theirs = next((mr for mr in repository.merge_requests() if mr.number == 1), None)
    if theirs and theirs.record["state"] == OPENED:
        waiting = on_forge.waits_for(theirs)
        if not any(mr.record["state"] == MERGED for mr in on_forge.mine(repository)):
            raise Miss("The bucket is in the state, and the code for it is not on main yet: the next plan of main would destroy it.", tried="opslab mr show 1 -R platform/exports", got=waiting, wanted="merged")  # fmt: skip
        raise Miss(f"What {theirs.record['author']} wanted has come by another merge request, and theirs is still open. Close it, or somebody applies it one day.", tried="opslab mr show 1 -R platform/exports", got="open", wanted="merged, or closed", name="left-open")  # fmt: skip
    loop.clean(trial, repository, half)
