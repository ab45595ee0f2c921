"""Task 4.2: there is a bucket in both accounts, and it came through the loop."""

from __future__ import annotations

from opslab.checks import Miss, Trial, on_forge
from opslab.checks.terraform_gitops import asking
from opslab.checks.terraform_gitops.asking import module
from opslab.scenarios.terraform_gitops import bucket
from opslab.scenarios.terraform_gitops import rules as _rules  # noqa: F401  (it adds to RULES)
from opslab.scenarios.terraform_gitops.common import PEOPLE, PRODUCTION, TARGETS
from opslab.worlds.aws.cloud import Actor
from opslab.worlds.forge.state import MERGED

loop = module.task(
    "4.2",
    "A bucket, twice",
    files=["forge/platform/infrastructure.git", "work/infrastructure"],
    memory=[".atlantis/platform-infrastructure-*"],
    cloud=["arn:aws:s3:::targ-*-raw-*", "arn:aws:s3:::targ-terraform-state/infrastructure/*"],
    hints=[
        "git clone forge:platform/infrastructure work/infrastructure, then a branch. Look at staging/listings.tf: your file beside it needs the same five lines with other words in them.",
        "Write staging/THING.tf and production/THING.tf, both with source = \"../modules/bucket\". In production versions are kept (README.md says so). terraform fmt puts the spaces right.",
        "Push with -o merge_request.create -o merge_request.target=main -o merge_request.title='…' -o merge_request.description='…'. opslab mr show 1 waits for the plan: two to add in staging, and so on. Then read what Marek asks.",
        "As soon as Marek has approved: opslab mr comment 1 \"atlantis apply\", and opslab mr show 1. When both are applied, Atlantis merges by itself.",
    ],
)  # fmt: skip


def _target(trial: Trial) -> Actor:
    return trial.cloud().role(PRODUCTION, "viewer")


@loop.expects("a merge request, planned, with Marek's questions answered", points=1)
def asked(trial: Trial) -> None:
    repository = on_forge.not_rewritten(trial, bucket, PEOPLE)
    mine = on_forge.mine(repository)
    tried = f"look at the merge requests of {bucket.NAME}"
    if not mine:
        branches = [name for name in repository.git.branches() if name != "main"]
        got, name = (f"the branch {branches[0]}, and no merge request for it", "only-a-branch") if branches else ("none", "none-yet")  # fmt: skip
        raise Miss("There is no merge request of yours yet: nobody can see what you want.", tried=tried, got=got, wanted="git push -o merge_request.create …", name=name)  # fmt: skip
    on_forge.settled(mine[0], bucket)


@loop.expects("the buckets are there, in both accounts", points=1)
def there(trial: Trial) -> None:
    wanted = {name: bucket.bucket(trial.seed, name) for name in TARGETS}
    for name, account in TARGETS.items():
        found = trial.cloud().role(account, "viewer").call("s3", "list_buckets").result["Buckets"]
        names = [one["Name"] for one in found]
        if wanted[name] in names:
            continue
        tried = f"aws s3 ls --profile {name}"
        other = next((one for one in wanted.values() if one in names), "")
        if other:
            raise Miss(f"The bucket that is in {name} has the name of the other account's.", tried=tried, got=other, wanted=wanted[name], name="wrong-account")  # fmt: skip
        raise Miss(f"There is no bucket {wanted[name]} in {name}.", tried=tried, got=", ".join(names), wanted=wanted[name], name="not-there")  # fmt: skip


@loop.expects(
    "they are encrypted, closed to the public, tagged, and production keeps versions", points=1, needs="there"
)
def as_wanted(trial: Trial) -> None:
    words = bucket.words(trial.seed)
    for name, account in TARGETS.items():
        s3 = trial.cloud().role(account, "viewer")
        this = bucket.bucket(trial.seed, name)
        tags = {one["Key"]: one["Value"] for one in (s3.call("s3", "get_bucket_tagging", Bucket=this).result or {}).get("TagSet", [])}  # fmt: skip
        expected = {"Name": this, "Owner": words["team"], "OnCall": words["rota"]}
        for key, value in expected.items():
            if tags.get(key) != value:
                raise Miss(f"The tag {key} of {this} is not what the ticket says.", tried=f"aws s3api get-bucket-tagging --bucket {this} --profile {name}", got=f"{key} = {tags.get(key, 'nothing')}", wanted=f"{key} = {value}", name="tags")  # fmt: skip
        if not s3.call("s3", "get_bucket_encryption", Bucket=this).result:
            raise Miss(f"{this} is not encrypted with a key of ours. The module does that for you.", tried=f"aws s3api get-bucket-encryption --bucket {this} --profile {name}", got="nothing", wanted="aws:kms", name="not-encrypted")  # fmt: skip
        block = (s3.call("s3", "get_public_access_block", Bucket=this).result or {}).get("PublicAccessBlockConfiguration", {})  # fmt: skip
        if not (block and all(block.values())):
            raise Miss(f"Nothing keeps {this} from being made public.", tried=f"aws s3api get-public-access-block --bucket {this} --profile {name}", got=str(block or "nothing"), wanted="all four true", name="not-closed")  # fmt: skip
    versions = _target(trial).call("s3", "get_bucket_versioning", Bucket=bucket.bucket(trial.seed, "production")).result
    if versions.get("Status") != "Enabled":
        raise Miss("In production versions are to be kept, and are not.", tried="aws s3api get-bucket-versioning --profile production", got=versions.get("Status", "never switched on"), wanted="Enabled", name="no-versions")  # fmt: skip


@loop.expects("main is what was applied, and nothing is left to do", points=1, needs="asked there")
def settled(trial: Trial) -> None:
    repository = on_forge.repository(trial, bucket.NAME)
    mine = on_forge.mine(repository)[0]
    if mine.record["state"] != MERGED:
        raise Miss("It is not merged. Atlantis merges as soon as both projects are applied.", tried=f"opslab mr show {mine.number}", got=on_forge.waits_for(mine), wanted="merged", name="not-merged")  # fmt: skip
    for name in TARGETS:
        state = asking.state_of(trial.cloud(), bucket.KEY.format(name))
        ours = [address for address, one in asking.resources(state).items() if one.get("bucket") == bucket.bucket(trial.seed, name)]  # fmt: skip
        if not ours:
            raise Miss(f"The bucket in {name} was made by hand: terraform does not know of it.", tried=f"terraform state list, in {name}", got="no such bucket", wanted=f"module.….aws_s3_bucket.this with {bucket.bucket(trial.seed, name)}", name="by-hand")  # fmt: skip
        planned = asking.plan(trial, repository, name)
        if not planned.clean:
            raise Miss(f"A plan of main is not empty in {name}: main and AWS are not the same.", tried=f"terraform plan, in {name} of main", got=planned.short, wanted="No changes.", name="not-clean")  # fmt: skip
