"""Task 4.2: there is a bucket in both accounts, and it came through the loop."""

from __future__ import annotations

import json

from opslab.checks import Miss, Trial, on_forge
from opslab.checks.terraform_gitops import loop
from opslab.checks.terraform_gitops.asking import module
from opslab.scenarios.terraform_gitops import bucket
from opslab.scenarios.terraform_gitops import rules as _rules  # noqa: F401  (it adds to RULES)
from opslab.scenarios.terraform_gitops.common import TARGETS
from opslab.worlds.aws.cloud import Cloud

BLOCKED = "BlockPublicAcls BlockPublicPolicy IgnorePublicAcls RestrictPublicBuckets"

twice = module.task(
    "4.2",
    "A bucket, twice",
    files=["forge/platform/infrastructure.git", "work/infrastructure"],
    memory=[".atlantis/platform-infrastructure-*"],
    cloud=["arn:aws:s3:::targ-*-raw-*", "arn:aws:s3:::targ-terraform-state/infrastructure/*"],
    hints=[
        "git clone forge:platform/infrastructure work/infrastructure, then a branch. Look at staging/listings.tf: your file beside it needs the same lines with other words in them, and ~/notes/new-bucket.md has the words.",
        "Write staging/THING.tf and production/THING.tf, both with source = \"../modules/bucket\". In production versions are kept (README.md says so). terraform fmt puts the spaces right.",
        "Push with -o merge_request.create -o merge_request.target=main -o merge_request.title='…' -o merge_request.description='…'. opslab mr show 1 waits for the plan: three to add in staging, four in production. Then read what Marek asks: a push answers it, or opslab mr comment 1 '…' --reply-to NUMBER.",
        "As soon as Marek has approved: opslab mr comment 1 \"atlantis apply\", and opslab mr show 1. When both are applied, Atlantis merges by itself.",
    ],
)  # fmt: skip


@twice.expects("a merge request, planned, with Marek's questions answered", points=1)
def asked(trial: Trial) -> None:
    mine = loop.request(trial, bucket)
    loop.planned(mine)
    on_forge.settled(mine, bucket)


@twice.expects("the buckets are there, in both accounts", points=1)
def there(trial: Trial) -> None:
    wanted = {name: bucket.bucket(trial.seed, name) for name in TARGETS}
    for name, account in TARGETS.items():
        found = trial.cloud().role(account, "viewer").call("s3", "list_buckets").result["Buckets"]
        names = [one["Name"] for one in found]
        if wanted[name] in names:
            continue
        tried = f"aws s3 ls --profile {name}"
        if other := next((one for one in wanted.values() if one in names), ""):
            raise Miss(f"The bucket that is in {name} has the name of the other account's.", tried=tried, got=other, wanted=wanted[name], name="wrong-account")  # fmt: skip
        next_step = loop.next_step(loop.request(trial, bucket))
        raise Miss(f"There is no bucket {wanted[name]} in {name}. {next_step}", tried=tried, got=", ".join(names), wanted=wanted[name], name="not-there")  # fmt: skip


@twice.expects("they are encrypted, closed to the public, tagged, and production keeps versions", points=1, needs="there")  # fmt: skip
def as_wanted(trial: Trial) -> None:
    words = bucket.words(trial.seed)
    for name in TARGETS:
        this = bucket.bucket(trial.seed, name)
        found = _about(trial.cloud(), name, this)
        for key, value in {"Name": this, "Owner": words["team"], "OnCall": words["rota"]}.items():
            if found["tagging"].get(key) != value:
                raise Miss(f"The tag {key} of {this} is not what ~/{bucket.NOTE} says.", tried=_asking(name, this, "tagging"), got=f"{key} = {found['tagging'].get(key, 'nothing')}", wanted=f"{key} = {value}", name="tags")  # fmt: skip
        if "aws:kms" not in found["encryption"]:
            raise Miss(f"{this} is not encrypted with a key of ours. The module does that for you.", tried=_asking(name, this, "encryption"), got=found["encryption"] or "nothing", wanted="aws:kms", name="not-encrypted")  # fmt: skip
        if found["public access block"] != BLOCKED:
            raise Miss(f"Nothing keeps {this} from being made public.", tried=f"aws s3api get-public-access-block --bucket {this} --profile {name}", got=found["public access block"] or "nothing", wanted=BLOCKED, name="not-closed")  # fmt: skip
        if name == "production" and found["versioning"] != "Enabled":
            raise Miss("In production versions are to be kept, and are not.", tried=_asking(name, this, "versioning"), got=found["versioning"] or "never switched on", wanted="Enabled", name="no-versions")  # fmt: skip


@twice.expects("main is what was applied, nothing is left to do, and the listings are as they were", points=1, needs="asked there")  # fmt: skip
def settled(trial: Trial) -> None:
    mine = loop.request(trial, bucket)
    loop.merged(mine)
    for name in TARGETS:
        this, listings = bucket.bucket(trial.seed, name), bucket.LISTINGS.format(name)
        loop.in_state(trial, bucket.KEY.format(name), name, "aws_s3_bucket", "bucket", this)
        found, before = (_about(one, name, listings) for one in (trial.cloud(), trial.cloud(at_start=True)))
        if different := [what for what in before if found[what] != before[what]]:
            raise Miss(f"The bucket of the listings has changed, too: {', '.join(different)}. Who changes the module changes everybody's buckets; the plan says which.", tried=f"compare {listings} with how it was", got=f"{different[0]}: {found[different[0]] or 'nothing'}", wanted=str(before[different[0]]), name="listings-changed")  # fmt: skip
        loop.clean(trial, mine.repository, name)


def _asking(account: str, name: str, what: str) -> str:
    return f"aws s3api get-bucket-{what} --bucket {name} --profile {account}"


def _about(cloud: Cloud, account: str, name: str) -> dict[str, object]:
    """What matters of a bucket: tags, encryption, whether the public is kept out, versions, and what lies in it."""
    s3 = cloud.role(TARGETS[account], "viewer")

    def ask(operation: str) -> dict[str, object]:
        return dict(s3.call("s3", operation, Bucket=name).result or {})

    block = ask("get_public_access_block").get("PublicAccessBlockConfiguration", {})
    return {
        "tagging": {one["Key"]: one["Value"] for one in ask("get_bucket_tagging").get("TagSet", [])},
        "encryption": json.dumps(ask("get_bucket_encryption").get("ServerSideEncryptionConfiguration", "")).strip('"'),
        "public access block": " ".join(name for name, on in sorted(block.items()) if on),
        "versioning": ask("get_bucket_versioning").get("Status", ""),
        "objects": [one["Key"] for one in ask("list_objects_v2").get("Contents", [])],
    }
