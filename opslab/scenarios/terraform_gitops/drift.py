"""Task 4.5: somebody clicked. AWS is not what main says any more; the channel tells who did what, and what has to stay.

What can have been clicked stands in `CLICKS`: each with what people said about it, from which follows whether it stays (adopt it
in the code) or goes (let the next apply revert it). By seed, two of each are drawn; of one that goes, nobody has said a word. And
there is a bucket that a team made by hand and uses, which no plan shows.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opslab.scenarios.iam_roles import write
from opslab.scenarios.merge_requests.people import history
from opslab.scenarios.terraform_gitops import channel, common, objects
from opslab.scenarios.terraform_gitops.common import PRODUCTION, REGION
from opslab.worlds.aws.seeding import Furnisher
from opslab.worlds.aws.state import backend_of
from opslab.worlds.forge.forge import Forge
from opslab.worlds.terraform import accounts

if TYPE_CHECKING:
    from opslab.worlds.aws.organisation import Organisation

NAME = "platform/reports"
FOLDER = "production"
KEY = "reports/production.tfstate"
RECORDED = {"reports": ("reports", [FOLDER])}
REVIEWERS = {"marek": ("title", "description", "looks-away", "conflict-marker")}
RULES = "opslab.scenarios.terraform_gitops.rules_drift"
NOTES = "notes/reports-channel.txt"

BUCKET, ROLE, LOGS, IMAGE = "targ-reports-production", "reports-render", "/targ/reports/render", "reports/render"
OBJECTS = {
    "partners/2026-11-15.csv": "partner,listings\nnorth,812\nsouth,455\n",
    "finance/2026-11-15.csv": "day,revenue\n2026-11-15,48213.50\n",
}
AUDITORS, OTHER_ACCOUNT = "121212121212", "111122223333"


# ---- what can be clicked ------------------------------------------------------------------------------------------------


def bucket_policy(*statements: dict[str, Any]) -> str:
    """The policy of the bucket as the code has it, and more statements behind."""
    fetch = _may_fetch("PartnersFetch", "343434343434", "partners/*")
    return canonical({"Version": "2012-10-17", "Statement": [fetch, *statements]})


def _may_fetch(sid: str, account: str, what: str) -> dict[str, Any]:
    who = {"AWS": f"arn:aws:iam::{account}:root"}
    return {"Sid": sid, "Effect": "Allow", "Principal": who, "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/{what}"}  # fmt: skip


def rights(*statements: dict[str, Any]) -> str:
    """The policy of the role as the code has it, and more statements behind."""
    read = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::targ-listings-raw-production/*"]}
    put = {"Effect": "Allow", "Action": ["s3:PutObject"], "Resource": [f"arn:aws:s3:::{BUCKET}/*"]}
    return canonical({"Version": "2012-10-17", "Statement": [read, put, *statements]})


def canonical(policy: Any) -> str:
    """The text of a policy in one form, so that two can be compared."""
    return json.dumps(policy, sort_keys=True)


TAGS = {"Name": BUCKET, "Owner": "reporting", "OnCall": "reporting-oncall"}

# What main says, by the name of the difference.
ON_MAIN = {
    "retention": "30",
    "owner": TAGS["Owner"],
    "versions": "Enabled",
    "encryption": "aws:kms",
    "policy": bucket_policy(),
    "rights": rights(),
    "max-rows": "50000",
    "send-at": "06:30",
    "image-tags": "IMMUTABLE",
    "scan": "false",
    "public": "closed",
}


def _set_retention(aws: Organisation, value: str) -> None:
    backend_of("logs", PRODUCTION, REGION).put_retention_policy(LOGS, int(value))


def _set_owner(aws: Organisation, value: str) -> None:
    backend_of("s3", PRODUCTION, "aws").put_bucket_tagging(BUCKET, {**TAGS, "Owner": value})


def _set_versions(aws: Organisation, value: str) -> None:
    backend_of("s3", PRODUCTION, "aws").put_bucket_versioning(BUCKET, value)


def _set_encryption(aws: Organisation, value: str) -> None:
    rule = {"Rule": {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": value}, "BucketKeyEnabled": "false"}}
    backend_of("s3", PRODUCTION, "aws").put_bucket_encryption(BUCKET, rule)


def _set_policy(aws: Organisation, value: str) -> None:
    backend_of("s3", PRODUCTION, "aws").put_bucket_policy(BUCKET, value.encode())


def _set_rights(aws: Organisation, value: str) -> None:
    backend_of("iam", PRODUCTION, "aws").put_role_policy(ROLE, "render", value)


def _set_parameter(name: str) -> Callable[[Organisation, str], None]:
    def put(aws: Organisation, value: str) -> None:
        backend = backend_of("ssm", PRODUCTION, REGION)
        old = backend.get_parameter(name)
        backend.put_parameter(name, old.description, value, "String", "", "", True, [], "text", "Standard", None)

    return put


def _set_image_tags(aws: Organisation, value: str) -> None:
    backend_of("ecr", PRODUCTION, REGION).put_image_tag_mutability(PRODUCTION, IMAGE, value)


def _set_scan(aws: Organisation, value: str) -> None:
    backend_of("ecr", PRODUCTION, REGION).put_image_scanning_configuration(PRODUCTION, IMAGE, {"scanOnPush": value == "true"})  # fmt: skip


def _set_public(aws: Organisation, value: str) -> None:
    block = backend_of("s3", PRODUCTION, "aws").get_bucket(BUCKET).public_access_block
    block.block_public_policy = block.restrict_public_buckets = value == "closed"


CLICKING = {
    "retention": _set_retention,
    "owner": _set_owner,
    "versions": _set_versions,
    "encryption": _set_encryption,
    "policy": _set_policy,
    "rights": _set_rights,
    "max-rows": _set_parameter("/reports/max-rows"),
    "send-at": _set_parameter("/reports/send-at"),
    "image-tags": _set_image_tags,
    "scan": _set_scan,
    "public": _set_public,
}


# ---- who said what about it ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Click:
    """A difference: what stands in AWS now, and whether that stays. said: lines of the channel, see `channel`."""

    what: str
    value: str
    stays: bool
    said: str = ""

    @property
    def right(self) -> str:
        """What has to be there in the end."""
        return self.value if self.stays else ON_MAIN[self.what]


CLICKS = (
    Click("retention", "365", True, """
        11-10 10:02 iza: the auditors want to see a year of what the render job did. in writing. is that possible?
        11-10 10:15 olek: a year of logs?? that's money, we have 30 days for a reason
        11-10 10:40 iza: it's not a wish, it's §12. from now on, please
        11-10 10:55 olek: ok. 365 days on the log group, in the console, so that nothing more gets lost. code comes later"""),
    Click("retention", "90", False, """
        11-11 15:20 hania: keeping the render logs for 90 days while I look for the missing rows. nobody delete anything please
        11-13 11:05 hania: found them!! it was a timezone. the old logs are of no more use to me"""),
    Click("owner", "insights", True, """
        11-09 09:00 basia: new week, new name: as of today my team is called insights. same people, same rota
        11-09 09:31 basia: I've put it on the reports bucket, so the bill goes to the right place. is that how you do it?
        11-09 09:33 olek: that's NOT how we do it, that's code
        11-09 09:34 basia: but it's right, isn't it
        11-09 09:35 olek: it's right"""),
    Click("owner", "olek", False, """
        11-12 13:10 olek: if you see my name on the reports bucket: I'm trying whether tags show up in the bill
        11-13 09:02 olek: they do! 41 €. cool"""),
    Click("versions", "Suspended", False, """
        11-12 08:45 hania: clearing 40,000 old files out of the reports bucket. versions are off meanwhile, or we'd pay for each of them twice
        11-12 11:20 hania: clean-up done"""),
    Click("encryption", "AES256", False, """
        11-10 14:20 olek: the upload tool of the north partner can't do our key. reports bucket is on the plain encryption until they can
        11-13 10:12 olek: north has got the new tool. works with the key, too, I've tried in staging"""),
    Click("policy", bucket_policy(_may_fetch("AuditorsRead", AUDITORS, "finance/*")), True, f"""
        11-11 09:40 iza: the auditors start on monday, until end of march. they read finance/ in the reports bucket, from their own account, {AUDITORS}
        11-11 09:58 basia: fine with me, I've signed that. can somebody?
        11-11 10:20 hania: done in the console, statement AuditorsRead. looks scary, is fine"""),
    Click("policy", bucket_policy(_may_fetch("DemoOnThursday", OTHER_ACCOUNT, "*")), False, """
        11-11 16:44 hania: basia, for your demo on thursday I've let staging read the reports bucket
        11-11 16:47 basia: you're the best. I'd love to have that for good
        11-13 08:58 basia: demo went well. I've asked ada about for good, she says no: production data stays in production"""),
    Click("rights", rights({"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": ["arn:aws:s3:::targ-listings-raw-production"]}), True, """
        11-10 23:51 olek: render 2.4 lists the days before it reads them, and must not. AccessDenied since 23:40. gave it s3:ListBucket on the listings, in the console
        11-10 23:53 olek: works. good night
        11-11 08:30 ada: read it just now. that's one bucket and one action, and the job needs it. it's ok, put it into the code"""),
    Click("rights", rights({"Effect": "Allow", "Action": ["s3:*"], "Resource": ["*"]}), False, """
        11-10 23:51 olek: AccessDenied in the render job. no idea which right is missing, gave it s3:* on everything, I want to sleep
        11-11 09:12 olek: it was a typo in the bucket's name in 2.4. fixed in 2.4.1, nothing was missing at all"""),
    Click("max-rows", "200000", True, """
        11-13 03:12 hania: on call. black friday offers don't fit, the run died at row 50000. max-rows is 200000 now
        11-13 08:20 olek: should I put it back?
        11-13 08:25 basia: no! that's the right number, it's the season. leave it"""),
    Click("max-rows", "500", False, """
        11-13 03:12 hania: on call. run too slow, would not be through by six. cut max-rows to 500, at least everybody gets something
        11-13 07:40 hania: it was the broken disk of the warehouse, that's replaced
        11-13 07:55 basia: north asks why its report has 500 rows"""),
    Click("send-at", "05:45", True, """
        11-12 16:00 basia: finance starts at six from now on, they need the report by then
        11-12 16:20 hania: send-at is 05:45. was two clicks
        11-12 16:21 basia: 💛"""),
    Click("image-tags", "MUTABLE", False, """
        11-11 12:30 olek: had to push render 2.4 once more under the same tag, so tags of the image can be overwritten just now
        11-11 12:31 olek: pushed. 2.4.1 next time, I promise"""),
    Click("scan", "true", True, """
        11-12 11:00 ada: from this week on every image of ours is scanned when it's pushed. switched it on for reports/render just now, would you take it over?
        11-12 11:30 hania: it makes a push slower
        11-12 11:31 ada: by eleven seconds"""),
    Click("public", "open", False, """
        11-11 17:20 olek: trying a public link for the south partner, so the block of the bucket is half open, just for today
        11-11 18:05 olek: doesn't work like that anyway. they get a presigned url, as always"""),
)  # fmt: skip

AROUND = """
    11-09 08:50 hania: morning. reports went out at 06:30, 212 rows, no errors
    11-11 13:00 olek: who can I ask about the coffee machine on 3
    11-12 09:15 basia: could we have the reports as parquet some day? no hurry
    11-12 09:20 hania: would be an hour. some day
    11-13 16:30 marek: I've an audit of main against AWS on monday. if you have clicked anything, this is the moment to say so
    11-13 16:31 olek: 😇
    11-16 08:40 marek: plan of platform/reports is anything but empty. I'll let you sort that out together, somebody who was NOT in it should do it
"""

NOT_DONE = {
    "retention": "11-12 14:02 basia: do we need the render logs for 30 days? a week would do me\n11-12 14:05 iza: leave them. please",
    "versions": "11-10 12:10 hania: thought of switching versions off for the clean-up on thursday, then didn't. bucket is as it was",
    "encryption": "11-10 14:20 olek: north can't upload with our key. I'd set the bucket to plain encryption\n11-10 14:31 ada: don't\n11-10 14:40 olek: didn't. they got a new tool",
    "send-at": "11-10 17:05 hania: set send-at to 07:00 in STAGING, to try whether anybody notices",
    "max-rows": "11-11 10:45 olek: max-rows in staging is 10 now. so don't wonder",
    "image-tags": "11-11 12:30 olek: 2.4 was broken, I'd have to overwrite the tag\n11-11 12:33 hania: you mean 2.4.1\n11-11 12:34 olek: I mean 2.4.1",
}
"""What was talked about and is not to be seen in AWS."""

THINGS = ("corrections", "complaints", "forecasts", "rankings", "campaigns", "surveys")
MAKERS = (("hania", "partners"), ("olek", "growth"), ("basia", "finance-desk"))


def words(seed: int) -> dict[str, str]:
    """The bucket that was made by hand (what for, by whom, for which team), and which of the other clicks stay."""
    dice = common.draw(seed, "drift by hand")
    maker, team = dice.choice(MAKERS)
    stays = " ".join(one.what for one in clicked(seed) if one.stays)
    return {"made": dice.choice(THINGS), "maker": maker, "made_for": team, "stays": stays}


def made(seed: int) -> str:
    """The name of the bucket that was made by hand."""
    return f"targ-reports-{words(seed)['made']}"


def made_tags(seed: int) -> dict[str, str]:
    """The tags that it has got in the console."""
    team = words(seed)["made_for"]
    return {"Owner": team, "OnCall": f"{team}-oncall", "Keep": "until-2028"}


def made_objects(seed: int) -> dict[str, str]:
    """What lies in it."""
    thing, dice = words(seed)["made"], common.draw(seed, "drift data")
    return {f"{thing}-{day:02d}.csv": f"day,count\n2026-11-{day:02d},{dice.randrange(20, 900)}\n" for day in (12, 13, 14, 15)}  # fmt: skip


def clicked(seed: int) -> list[Click]:
    """What was clicked in the world of a seed. The last one is one that goes and that nobody has said a word about."""
    dice = common.draw(seed, "drift")
    chosen: list[Click] = []
    for stays in (True, True, False, False):
        others = {one.what for one in chosen}
        chosen.append(dice.choice([one for one in CLICKS if one.stays == stays and one.what not in others]))
    return [*chosen[:-1], replace(chosen[-1], said="")]


# ---- the world ----------------------------------------------------------------------------------------------------------


def build(forge: Forge, seed: int) -> None:
    """Put the repository on the forge."""
    repository = forge.create(NAME, rule_modules=[RULES], reviewers=REVIEWERS, approvals=1)
    history(repository, [("marek", "Reports as they stand", common.files("reports", {}))], seed=seed)


def furnish(aws: Organisation) -> None:
    """What was applied, what came into it since, and what was clicked."""
    common.replay(aws, "reports", {})
    _role_as_recorded(aws)
    production, logs = Furnisher(aws, "production"), backend_of("logs", PRODUCTION, REGION)
    s3 = backend_of("s3", PRODUCTION, "aws")
    for key, text in OBJECTS.items():
        objects.put(aws, PRODUCTION, BUCKET, key, text, "2026-11-15T05:31")
    for day in ("2026-11-13", "2026-11-14", "2026-11-15"):
        logs.create_log_stream(LOGS, f"run-{day}")
    for one in clicked(aws.seed):
        CLICKING[one.what](aws, one.value)
    name = made(aws.seed)
    production.bucket(name)
    s3.put_bucket_versioning(name, "Enabled")
    s3.put_bucket_tagging(name, made_tags(aws.seed))
    for key, text in made_objects(aws.seed).items():
        objects.put(aws, PRODUCTION, name, key, text, f"2026-11-{key[-6:-4]}T23:05")


def _role_as_recorded(aws: Organisation) -> None:
    """Give the role the id and the age that the state knows. Else `plan -refresh-only` tells that somebody has made it anew."""
    state = json.loads(backend_of("s3", common.PLATFORM, "aws").get_object(accounts.STATE, KEY).value)
    known = next(one for one in state["resources"] if one["type"] == "aws_iam_role")["instances"][0]["attributes"]
    iam = backend_of("iam", PRODUCTION, "aws")
    role = iam.roles.pop(iam.get_role(ROLE).id)
    role.id, role.create_date = known["unique_id"], datetime.fromisoformat(known["create_date"]).replace(tzinfo=None)
    iam.roles[role.id] = role


def put_on_desk(home: Path, seed: int) -> None:
    """What was said in the channel."""
    drawn, found = clicked(seed), words(seed)
    by_hand = f"""
        11-11 11:00 {found["maker"]}: the {found["made"]} have to go somewhere from today on. made a bucket in production, {made(seed)}, the team {found["made_for"]} writes into it every day
        11-11 11:02 marek: by hand??
        11-11 11:03 {found["maker"]}: it was urgent. versions are on, tags are on, it even has an owner
        11-13 14:10 {found["maker"]}: the {found["made_for"]} people are happy with it. it stays"""
    talk = [said for what, said in NOT_DONE.items() if what not in {one.what for one in drawn}][:3]
    text = channel.text("#reports", AROUND, by_hand, *talk, *(one.said for one in drawn))
    write(home / NOTES, text)
