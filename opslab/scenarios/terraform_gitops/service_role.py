"""Task 4.3: a new job needs a role, as code. Which job, and what it does every night, follows from the seed.

The job is a real script. It lies on the desk, the check runs it as the role, and `wanted` says what it needs.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

from opslab.scenarios.iam_roles import write
from opslab.scenarios.iam_roles.loader import Call
from opslab.scenarios.iam_roles.names import REGION, STAGING, role, user
from opslab.scenarios.terraform_gitops import common
from opslab.worlds.aws.seeding import Furnisher
from opslab.worlds.aws.state import backend_of
from opslab.worlds.forge.forge import Forge

if TYPE_CHECKING:
    from opslab.worlds.aws.organisation import Organisation

NAME = "platform/service-roles"
KEY = "service-roles/staging.tfstate"
REVIEWERS = {"ewa": ("title", "description", "owner-tag", "a-rota", "no-star")}
PATH = "/service/"
DAY = "2026-11-16"
NOTE = "notes/new-job.md"

THINGS = ("refunds", "invoices", "pickups", "offers", "chats", "photos")
KINDS = ("digest", "scores", "labels")
TEAMS = ("finance", "logistics", "trust", "growth", "support")
INPUTS = ("incoming", "daily", "landing")
SERVICES = {
    "a task of ECS": "ecs-tasks.amazonaws.com",
    "a Lambda function": "lambda.amazonaws.com",
    "a Glue job": "glue.amazonaws.com",
}
MEMORIES = (
    ("get_item(TableName=table, Key=me)", "put_item(TableName=table, Item=me | done)", ("GetItem", "PutItem")),
    (
        'query(TableName=table, KeyConditionExpression="job = :me", ExpressionAttributeValues={":me": me["job"]})',
        'update_item(TableName=table, Key=me, UpdateExpression="SET counted = :n", ExpressionAttributeValues={":n": done["counted"]})',
        ("Query", "UpdateItem"),
    ),
)
"""How a job remembers the last time: a call of DynamoDB that reads, one that writes, and their actions."""

JOB = '''\
"""{{job}}: every night, what came in on a day. Runs in staging as {{job_runs}}, with the role {{job}}."""

import json
import sys

from boto3 import client

s3, ssm, dynamodb = client("s3"), client("ssm"), client("dynamodb")
table, me = "{{job_table}}", {"job": {"S": "{{job}}"}}
day = sys.argv[1]

limit = int(ssm.get_parameter(Name="{{job_parameter}}")["Parameter"]["Value"])
last_time = dynamodb.{{job_reads}}

lines = 0
for one in s3.list_objects_v2(Bucket="{{job_source}}", Prefix="{{job_input}}/", MaxKeys=limit)["Contents"]:
    lines += s3.get_object(Bucket="{{job_source}}", Key=one["Key"])["Body"].read().count(b"\\n")

s3.put_object(Bucket="{{job_target}}", Key=f"{{job_output}}/{day}.json", Body=json.dumps({"day": day, "lines": lines}))
done = {"counted": {"N": str(lines)}}
dynamodb.{{job_writes}}
print(f"{day}: {lines} lines, and the last time: {last_time.get('Item') or last_time.get('Items')}")
'''

LETTER = """\
# A role for {{job}}

`jobs/{{job}}.py` is new. From Monday on it runs every night in staging ({{staging}}), as {{job_runs}}. The script is all that it
does: it has no other business with those buckets, that table, or the parameters beside its own.

- the job, and so the role: `{{job}}`
- team: `{{job_team}}`, rota: `{{job_rota}}`
- where roles are made: `forge:platform/service-roles` (read its README)

We looked for somebody in security who makes roles. They guide and review, they said, and the role is ours.

— Hania
"""


def words(seed: int) -> dict[str, str]:
    """Everything that is different from seed to seed."""
    dice = common.draw(seed, "job")
    thing, kind, team = dice.choice(THINGS), dice.choice(KINDS), dice.choice(TEAMS)
    runs, service = dice.choice(list(SERVICES.items()))
    found = {
        "job": f"{thing}-{kind}",
        "job_team": team,
        "job_rota": f"{team}-oncall",
        "job_runs": runs,
        "job_service": service,
        "job_source": f"targ-{thing}-staging",
        "job_input": dice.choice(INPUTS),
        "job_target": f"targ-{thing}-reports-staging",
        "job_output": kind,
        "job_table": f"{thing}-{kind}-days",
        "job_parameter": f"/targ/{thing}-{kind}/limit",
        "staging": STAGING,
    }
    reads, writes, actions = dice.choice(MEMORIES)
    found |= {"job_read_action": f"dynamodb:{actions[0]}", "job_write_action": f"dynamodb:{actions[1]}"}
    return found | {"job_reads": common.fill(reads, found), "job_writes": common.fill(writes, found)}


def script(seed: int) -> str:
    """The job: a Python script that gets the day as its argument."""
    return common.fill(JOB, words(seed))


def build(forge: Forge, seed: int) -> None:
    """Put the repository on the forge."""
    common.put_repository(forge, NAME, "service-roles", {}, seed=seed, reviewers=REVIEWERS, approvals=1)


def put_on_desk(home: Path, seed: int) -> None:
    """Put the job on the desk, and the letter that asks for its role."""
    found = words(seed)
    write(home / "jobs" / f"{found['job']}.py", script(seed))
    write(home / NOTE, common.fill(LETTER, found))


def furnish(aws: Organisation) -> None:
    """What the job works with, and what lies beside it."""
    found = words(aws.seed)
    staging = Furnisher(aws, "staging")
    rows = "id,amount\n1,12\n2,7\n"
    given, made = found["job_input"], found["job_output"]
    staging.bucket(
        found["job_source"],
        {f"{given}/{DAY}.csv": rows, f"{given}-archive/2025.csv": rows, "contracts/terms.csv": rows},
    )
    staging.bucket(found["job_target"], {f"{made}/2026-11-15.json": "{}", "published/2026-11-15.json": "{}"})
    tables = backend_of("dynamodb", STAGING, REGION)
    for name in (found["job_table"], f"{found['job_table']}-archive"):
        key = [{"AttributeName": "job", "KeyType": "HASH"}]
        types = [{"AttributeName": "job", "AttributeType": "S"}]
        tables.create_table(name, key, None, types, None, None, None, "PAY_PER_REQUEST", None, [], None, None)
        tables.put_item(name, {"job": {"S": found["job"]}, "counted": {"N": "2"}})
    staging.parameter(found["job_parameter"], "1000")
    staging.parameter(f"/targ/{found['job']}/webhook", "made up: whoever has this can post as the team")


# ---- what the job needs, and what its role must never be able to do -----------------------------------------------------


def _arns(found: dict[str, str]) -> tuple[str, str, str, str]:
    """Source, target, table and parameter of a job."""
    here = f"{REGION}:{STAGING}"
    table, parameter = (
        f"arn:aws:dynamodb:{here}:table/{found['job_table']}",
        f"arn:aws:ssm:{here}:parameter{found['job_parameter']}",
    )
    return f"arn:aws:s3:::{found['job_source']}", f"arn:aws:s3:::{found['job_target']}", table, parameter


def wanted(seed: int) -> dict[str, list[str]]:
    """What the job needs, as ARNs with their actions. (Listing depends on a prefix: that is tried for real.)"""
    found = words(seed)
    source, target, table, parameter = _arns(found)
    needed = {
        source: ["s3:ListBucket"],
        f"{source}/{found['job_input']}/{DAY}.csv": ["s3:GetObject"],
        f"{target}/{found['job_output']}/{DAY}.json": ["s3:PutObject"],
        table: [found["job_read_action"], found["job_write_action"]],
        parameter: ["ssm:GetParameter"],
    }
    # Allowed on * as well, they reach too far, which is another point.
    return needed | {"*": [action for those in needed.values() for action in those]}


def elsewhere(seed: int, unseen: int) -> list[str]:
    """Things that are not the job's: other people's, and neighbours whose names follow from the seed `unseen`."""
    found, dice = words(seed), random.Random(f"elsewhere {unseen}")
    source, target, table, parameter = _arns(found)
    given, made = found["job_input"], found["job_output"]

    def word() -> str:
        return "".join(dice.choices("abcdefghijkmnpqrstuvwxyz", k=5))

    return [
        f"{source}/{given}-{word()}/{DAY}.csv", f"{source}/{word()}/{given}/x.csv", f"{source}/{word()}.csv", f"{source}-{word()}",
        f"{source}-{word()}/{given}/x.csv", f"{target}/{made}-{word()}/x.json", f"{target}/{word()}/{made}/x.json", f"{target}-{word()}",
        target, f"arn:aws:s3:::targ-{word()}-staging", f"arn:aws:s3:::targ-{word()}-staging/{given}/x.csv",
        f"{table}-{word()}", table.replace(found["job"], word()), f"{parameter}-{word()}", f"{parameter.rpartition('/')[0]}/{word()}",
        parameter.replace(found["job"], word()), role(STAGING, word()), role("444455556666", word()), user(STAGING, word()),
    ]  # fmt: skip


def too_much(seed: int) -> list[Call]:
    """Other actions on its own things."""
    found = words(seed)
    source, target, table = found["job_source"], found["job_target"], found["job_table"]
    me = {"job": {"S": found["job"]}}
    old = {"Bucket": target, "Key": f"{found['job_output']}/2026-11-15.json"}
    given = {"Bucket": source, "Key": f"{found['job_input']}/{DAY}.csv"}
    return [
        Call(f"delete a file from {found['job_input']}/", "s3", "delete_object", given),
        Call(f"write a file to {found['job_input']}/", "s3", "put_object", {**given, "Body": b"x"}),
        Call(f"read a file from {found['job_output']}/", "s3", "get_object", old),
        Call(f"delete a file from {found['job_output']}/", "s3", "delete_object", old),
        Call(f"read the whole table {table}", "dynamodb", "scan", {"TableName": table}),
        Call(f"delete from the table {table}", "dynamodb", "delete_item", {"TableName": table, "Key": me}),
        Call(f"delete the table {table}", "dynamodb", "delete_table", {"TableName": table}),
        Call("change its parameter", "ssm", "put_parameter", {"Name": found["job_parameter"], "Value": "0", "Overwrite": True}),
    ]  # fmt: skip


def too_far(seed: int) -> list[Call]:
    """Its own actions on other things."""
    found = words(seed)
    source, target, beside = found["job_source"], found["job_target"], f"{found['job_table']}-archive"
    given, made = found["job_input"], found["job_output"]
    me = {"S": found["job"]}
    if found["job_read_action"] == "dynamodb:GetItem":
        operation, how = "get_item", {"Key": {"job": me}}
    else:
        operation, how = "query", {"KeyConditionExpression": "job = :me", "ExpressionAttributeValues": {":me": me}}
    return [
        Call(f"list all of {source}", "s3", "list_objects_v2", {"Bucket": source}),
        Call(f"list {given}-archive/ in {source}", "s3", "list_objects_v2", {"Bucket": source, "Prefix": f"{given}-archive/"}),
        Call("read contracts/terms.csv", "s3", "get_object", {"Bucket": source, "Key": "contracts/terms.csv"}),
        Call(f"read a file from {given}-archive/", "s3", "get_object", {"Bucket": source, "Key": f"{given}-archive/2025.csv"}),
        Call(f"list {target}", "s3", "list_objects_v2", {"Bucket": target, "Prefix": f"{given}/"}),
        Call("write a file to published/", "s3", "put_object", {"Bucket": target, "Key": "published/mine.json", "Body": b"x"}),
        Call(f"write a file to {made}-archive/", "s3", "put_object", {"Bucket": target, "Key": f"{made}-archive/mine.json", "Body": b"x"}),
        Call(f"read the table {beside}", "dynamodb", operation, {"TableName": beside, **how}),
        Call("read the parameter webhook beside its own", "ssm", "get_parameter", {"Name": f"/targ/{found['job']}/webhook"}),
    ]  # fmt: skip
