"""Record the plans of tasks 4.1 and 4.4: real ones, with what they come to.

    python -m opslab.scenarios.terraform_gitops.record_plans [NAME …]        # needs terraform

For each plan of the pool of 4.1: the code before the change is applied in an organisation of its own, every bucket, table and log
group gets some data, the change is planned, and then applied. What the plan counts follows from `terraform show -json`, and has to
be what terraform's own summary says. What is lost is what is gone afterwards; only what AWS deletes later by itself (logs that
are older than a shorter retention allows) follows from the plan. To be run again when code in `plans/` changes.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opslab.scenarios.iam_roles.names import ACCOUNTS, PRODUCTION, STAGING
from opslab.scenarios.terraform_gitops import plans, tags
from opslab.worlds import terraform
from opslab.worlds.aws import keys
from opslab.worlds.aws.organisation import Organisation
from opslab.worlds.aws.seeding import allow
from opslab.worlds.terraform import accounts
from opslab.worlds.terraform.run import environment

SUMMARY = re.compile(r"^Plan: (?:(\d+) to import, )?(\d+) to add, (\d+) to change, (\d+) to destroy\.\n", re.MULTILINE)
KINDS = {"aws_s3_bucket": "bucket", "aws_dynamodb_table": "name", "aws_cloudwatch_log_group": "name"}
"""What holds data, and the attribute that it is called by."""

BY_HAND = {"import": ("bucket", "targ-xthingx-exports-production")}
"""What somebody has made in the console before."""

KEPT = ("format_version", "terraform_version", "planned_values", "resource_changes", "output_changes", "configuration")
"""What a sample keeps of a plan."""

FOREVER = 0
"""A retention that never ends."""


# ---- data --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Holder:
    """Something that holds data. address: in the state. account: its id."""

    address: str
    account: str
    kind: str
    name: str

    def fill(self, aws: Organisation) -> None:
        """Put a day of data into it."""
        if self.kind == "aws_s3_bucket":
            aws.client("s3", self.account).put_object(Bucket=self.name, Key="2026-11-16/day.csv", Body=b"id\n7\n")
        elif self.kind == "aws_dynamodb_table":
            client = aws.client("dynamodb", self.account)
            attributes = client.describe_table(TableName=self.name)["Table"]["AttributeDefinitions"]
            item = {one["AttributeName"]: {one["AttributeType"]: "7"} for one in attributes}
            client.put_item(TableName=self.name, Item=item)
        else:
            client = aws.client("logs", self.account)
            client.create_log_stream(logGroupName=self.name, logStreamName="day")

    def full(self, aws: Organisation) -> bool:
        """Whether the data is (still) there."""
        try:
            if self.kind == "aws_s3_bucket":
                return bool(aws.client("s3", self.account).list_objects_v2(Bucket=self.name).get("Contents"))
            if self.kind == "aws_dynamodb_table":
                return bool(aws.client("dynamodb", self.account).scan(TableName=self.name)["Items"])
            return bool(aws.client("logs", self.account).describe_log_streams(logGroupName=self.name)["logStreams"])
        except Exception as error:
            if "NoSuchBucket" in str(error) or "ResourceNotFound" in str(error):
                return False
            raise


def holders(state: Mapping[str, Any]) -> list[Holder]:
    """What holds data, out of a state file."""
    found = []
    for one in state["resources"]:
        account = STAGING if one["provider"].endswith(".staging") else PRODUCTION
        for instance in one["instances"] if one["type"] in KINDS else []:
            index = f"[{json.dumps(instance['index_key'])}]" if "index_key" in instance else ""
            module = f"{one['module']}." if "module" in one else ""
            address = f"{module}{one['type']}.{one['name']}{index}"
            found.append(Holder(address, account, one["type"], instance["attributes"][KINDS[one["type"]]]))
    return found


# ---- what a plan comes to ------------------------------------------------------------------------------------------------


def counted(shown: Mapping[str, Any]) -> dict[str, Any]:
    """What a plan (`terraform show -json`) would do: addresses by what happens to them, and terraform's three numbers."""
    ways = {
        ("create",): "create",
        ("update",): "update",
        ("delete",): "delete",
        ("delete", "create"): "replace",
        ("create", "delete"): "replace",
        ("read",): "read",
        ("forget",): "forget",
        ("no-op",): "no-op",
    }
    found: dict[str, Any] = {name: [] for name in ("create", "update", "delete", "replace", "read", "forget")}
    found |= {"import": [], "moved": [], "shorter": []}
    for one in shown["resource_changes"]:
        address, change = one["address"], one["change"]
        way = ways[tuple(change["actions"])]
        if way != "no-op":
            found[way].append(address)
        if "importing" in change:
            found["import"].append(address)
        if "previous_address" in one:
            found["moved"].append(address)
        if way == "update" and _days(change["before"]) > _days(change["after"]):
            found["shorter"].append(address)
    outputs = shown.get("output_changes", {}).items()
    found["outputs"] = sorted(name for name, change in outputs if change["actions"] != ["no-op"])
    found["add"] = len(found["create"]) + len(found["replace"])
    found["change"] = len(found["update"])
    found["destroy"] = len(found["delete"]) + len(found["replace"])
    return found


def _days(resource: Mapping[str, Any]) -> float:
    days = resource.get("retention_in_days")
    return 0 if days is None else float("inf") if days == FOREVER else days


def without_summary(said: str) -> tuple[str, tuple[int, int, int, int]]:
    """A plan's text without what is not part of it and without the summary; and the summary: imported, added, changed, destroyed."""
    text = said[min(at for at in (said.find("Terraform used the selected"), said.find("Changes to Outputs"), said.find("Terraform planned the")) if at >= 0):]  # fmt: skip
    found = SUMMARY.search(text)
    text = SUMMARY.sub("", text)
    text = re.sub(r"\nYou can apply this plan to save .*?(?:\n\n|\Z)", "\n", text, flags=re.DOTALL)
    text = re.sub(r"\n─+\n.*", "\n", text, flags=re.DOTALL)
    numbers = tuple(int(number or 0) for number in found.groups()) if found else (0, 0, 0, 0)
    return text.strip() + "\n", numbers


# ---- recording -------------------------------------------------------------------------------------------------------------


def start(aws: Organisation) -> None:
    """Two accounts with a deployer who may do everything: what may be done is not what these plans are about."""
    accounts.platform(aws, "platform", deployers={"staging": accounts.ROLE, "production": accounts.ROLE})
    for name in ("staging", "production"):
        accounts.deployer(aws, name, by="platform", policies={"all": allow("*")})


class Terraform:
    """Terraform in a folder, outside of the jail: for code of this package only."""

    def __init__(self, place: Path, aws: Organisation) -> None:
        self.tools, self.folder = terraform.find(), place / "code"
        self.folder.mkdir()
        (place / "terraform.rc").write_text(self.tools.settings())
        user = keys.access_key(0, ACCOUNTS["platform"], accounts.USER)
        self.env = environment(self.tools, str(place / "terraform.rc"), aws.endpoint, str(place), user)

    def put(self, files: Mapping[str, str]) -> None:
        """Let these be the files of code, and get what they need."""
        for old in self.folder.rglob("*.tf"):
            old.unlink()
        files = {**files, ".terraform.lock.hcl": self.tools.lock_file("~> 5.0")}
        for path, text in files.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(text)
        self("init", "-lockfile=readonly")

    def __call__(self, *arguments: str, may_fail: bool = False) -> str:
        command = [self.tools.binary, *arguments, "-no-color"]
        done = subprocess.run(command, cwd=self.folder, env=self.env, text=True, capture_output=True, check=False)
        if done.returncode and not may_fail:
            raise SystemExit(f"terraform {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def state(self) -> dict[str, Any]:
        path = self.folder / "terraform.tfstate"
        return json.loads(path.read_text()) if path.exists() else {"resources": []}


def fingerprint(name: str, pool: Path = plans.FOLDER) -> str:
    """Of a plan's code: a test compares, so that nobody forgets to record it again."""
    both = [plans.code(name, side, pool) for side in ("before", "after")]
    return hashlib.sha256(json.dumps(both, sort_keys=True).encode()).hexdigest()[:16]


def record(name: str) -> tuple[str, dict[str, Any]]:
    """(text of the plan, truth about it) for a plan of the pool."""
    with tempfile.TemporaryDirectory() as place, Organisation(ACCOUNTS, start=start) as aws:
        run = Terraform(Path(place), aws)
        run.put(plans.code(name, "before"))
        run("apply", "-auto-approve")
        there = holders(run.state())
        if name in BY_HAND:
            by_hand = Holder("by hand", PRODUCTION, "aws_s3_bucket", BY_HAND[name][1])
            where = {"LocationConstraint": "eu-west-1"}
            aws.client("s3", PRODUCTION).create_bucket(Bucket=by_hand.name, CreateBucketConfiguration=where)
            there.append(by_hand)
        for one in there:
            one.fill(aws)
            assert one.full(aws), one
        run.put(plans.code(name, "after"))
        text, summary = without_summary(run("plan", "-out=plan.tfplan", may_fail=True))
        shown = json.loads(run("show", "-json", "plan.tfplan"))
        found = counted(shown)
        assert summary == (len(found["import"]), found["add"], found["change"], found["destroy"]), (
            name,
            summary,
            found,
        )
        run("apply", "plan.tfplan", may_fail=True)
        gone = [one for one in there if not one.full(aws)]
        planned = [*found["delete"], *found["replace"]]
        found["refused"] = [one.address for one in there if one.address in planned and one not in gone]
        found["loses"] = [one.address for one in gone if one.account == PRODUCTION]
        found["elsewhere"] = [one.address for one in gone if one.account == STAGING]
        shorter = [one for one in there if one.address in found["shorter"]]
        found["loses"] += [one.address for one in shorter if one.account == PRODUCTION]
        found["elsewhere"] += [one.address for one in shorter if one.account == STAGING]
        found["failed"] = bool(shown.get("errored"))
        if found["failed"]:
            # Terraform counts what it would have done, and does nothing of it.
            found |= {"said": list(summary[1:]), "add": 0, "change": 0, "destroy": 0}
        found["code"] = fingerprint(name)
    return text, found


def sample(name: str) -> dict[str, Any]:
    """A plan as data, for policies to be tried on: without what was there before and what an apply would not look at."""
    with tempfile.TemporaryDirectory() as place, Organisation(ACCOUNTS, start=start) as aws:
        run = Terraform(Path(place), aws)
        run.put(plans.code(name, "before", tags.SAMPLES))
        run("apply", "-auto-approve")
        run.put(plans.code(name, "after", tags.SAMPLES))
        run("plan", "-out=plan.tfplan")
        shown = json.loads(run("show", "-json", "plan.tfplan"))
    return {key: shown[key] for key in KEPT if key in shown} | {"code": fingerprint(name, tags.SAMPLES)}


def main(names: list[str]) -> None:
    """Record what is named, or everything."""
    for name in plans.POOL:
        if not names or name in names:
            text, found = record(name)
            (plans.FOLDER / name / "plan.txt").write_text(text)
            (plans.FOLDER / name / "truth.json").write_text(json.dumps(found, indent=1) + "\n")
            print(f"{name}: {found['add']} {found['change']} {found['destroy']}, loses {found['loses'] or 'nothing'}")
    for name in (*tags.SHOWN, *tags.HIDDEN):
        if not names or name in names:
            shown = sample(name)
            (tags.SAMPLES / name / "plan.json").write_text(json.dumps(shown) + "\n")
            print(f"{name}: {len(shown['resource_changes'])} resources")


if __name__ == "__main__":
    main(sys.argv[1:])
