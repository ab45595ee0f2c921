"""Task 4.6: it went wrong. Four exports, each with a state of its own, and three of them broken, each in another way.

locked    a lock of the state is left from Friday: the laptop of whoever took it died
running   another lock, which is fine: Ewa is at work under it
half      an apply was killed: a bucket is in AWS, and neither in the state nor on main; the merge request waits
gone      the state was deleted, in a bucket that keeps versions

Which export is which, who was at work, what the new bucket is for: by seed. What Atlantis says in the merge request was said by the
real one, once: see `record_recovery`.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from opslab.scenarios.iam_roles import write
from opslab.scenarios.terraform_gitops import channel, common, objects
from opslab.scenarios.terraform_gitops.common import PLATFORM, PRODUCTION
from opslab.worlds.aws.seeding import Furnisher
from opslab.worlds.aws.state import backend_of
from opslab.worlds.forge import reactions
from opslab.worlds.forge.forge import Forge
from opslab.worlds.forge.repository import Repository
from opslab.worlds.forge.state import CLOCK
from opslab.worlds.terraform import accounts

if TYPE_CHECKING:
    from opslab.worlds.aws.organisation import Organisation

NAME = "platform/exports"
EXPORTS = ("invoices", "partners", "prices", "stock")
RECORDED = {"exports": ("exports", list(EXPORTS))}
COMMENTS = common.HERE / "recorded" / "exports-comments.json"
REVIEWERS = {"marek": ("title", "description", "conflict-marker")}
NOTES = "notes/exports-channel.txt"

MORE = ("corrections", "refunds", "previews", "samples")
LAPTOPS = {"olek": "olek@olek-x1", "basia": "basia@basia-air", "hania": "hania@hania-t14"}
RUNNING = "ewa@ewa-desk"


def words(seed: int) -> dict[str, str]:
    """Which export is broken in which way, and by whom."""
    dice = common.draw(seed, "recovery")
    locked, running, half, gone = dice.sample(EXPORTS, 4)
    at_work, author, tidy = dice.sample(sorted(LAPTOPS), 3)
    return {
        "locked": locked,
        "running": running,
        "half": half,
        "gone": gone,
        "more": dice.choice(MORE),
        "at_work": at_work,
        "author": author,
        "tidy": tidy,
        "lock": str(uuid.UUID(int=dice.getrandbits(128), version=4)),
    }


def bucket(name: str) -> str:
    """The bucket of an export: `stock`, `stock-archive`."""
    return f"targ-export-{name}"


def new_bucket(seed: int) -> str:
    """The bucket that was made before the apply was killed."""
    found = words(seed)
    return bucket(f"{found['half']}-{found['more']}")


def key(export: str) -> str:
    """Where in the state bucket the state of an export is. Its lock is beside it."""
    return f"exports/{export}.tfstate"


# ---- the forge ------------------------------------------------------------------------------------------------------------


def build(forge: Forge, seed: int) -> None:
    """Put the repository on the forge, with a colleague's merge request as it stands."""
    found = words(seed)
    repository = common.put_repository(forge, NAME, "exports", {}, seed=seed, reviewers=REVIEWERS, approvals=1)
    merge_request(repository, found)
    said = json.loads(COMMENTS.read_text())
    _discuss(repository, found, {what: common.fill(text, found) for what, text in said.items()})


def merge_request(repository: Repository, found: Mapping[str, str]) -> None:
    """A colleague's merge request, approved. found: the `words`."""
    half, more, author = found["half"], found["more"], found["author"]
    code = f'module "{more}" {{\n  source = "../modules/export"\n  name   = "{half}-{more}"\n}}\n'
    with _moment("11-13 15:40"):
        repository.commit(
            f"{half}-{more}", {f"{half}/{more}.tf": code}, f"An export for the {more} of {half}", by=author
        )
        repository.create_merge_request(
            f"{half}-{more}",
            by=author,
            title=f"An export for the {more} of {half}",
            description=f"From Friday on, the {more} of {half} go to a bucket of their own. First files come this afternoon.",
        )
        reactions.react(repository, run_pipelines=False)


def _discuss(repository: Repository, found: Mapping[str, str], said: Mapping[str, str]) -> None:
    """What was said in it. said: the words of Atlantis, `plan` and `apply`."""
    from opslab.worlds.forge.atlantis import bot
    from opslab.worlds.forge.atlantis.config import Project
    from opslab.worlds.forge.atlantis.render import Result

    half, more, author = found["half"], found["more"], found["author"]
    mr, project = repository.merge_request(1), Project(half, "default", half)
    if bot.NAME not in repository.store.forge()["users"]:
        repository.forge.add_user(bot.NAME, "Atlantis")
    apply = "atlantis apply"
    interrupted = bot.INTERRUPTED.format(
        title=project.title, by=author, text=apply, at="2026-11-13T16:02:11+00:00", head=mr.record["head"],
        states=f"  {project.key}: apply failed", plan=Result(project).plan_command,
    )  # fmt: skip
    for when, who, text in (
        ("11-13 15:43", bot.NAME, said["plan"]),
        ("11-13 16:02", author, apply),
        ("11-13 16:09", bot.NAME, interrupted),
        ("11-13 16:14", "ewa", "That was us, sorry: the machine of Atlantis got its updates, in the middle of this. Nobody else was at work, I've released the lock of the state."),
        ("11-13 16:20", author, f"atlantis plan -p {half}"),
        ("11-13 16:21", bot.NAME, said["plan"]),
        ("11-13 16:22", author, apply),
        ("11-13 16:23", bot.NAME, said["apply"]),
        ("11-13 16:40", author, f"So the bucket is there, and terraform does not know it. I have to run, and I'm off until Thursday: please finish this, on my branch or on one of yours. And don't lose the bucket: {more} have been coming in since four."),
    ):  # fmt: skip
        with _moment(when):
            mr.comment(text, by=who)
    head = mr.record["head"]
    with _moment("11-13 16:23"):
        mr.set_status("atlantis/plan", "success", "1/1 projects planned successfully.", by=bot.NAME, head=head)
        mr.set_status("atlantis/apply", "failed", "1/1 projects failed to apply.", by=bot.NAME, head=head)
        reactions.react(repository, run_pipelines=False)


@contextlib.contextmanager
def _moment(when: str) -> Iterator[None]:
    """The forge's clock shows a time of November."""
    before = os.environ.get(CLOCK)
    os.environ[CLOCK] = f"2026-{when.replace(' ', 'T')}:00Z"
    try:
        yield
    finally:
        os.environ.pop(CLOCK)
        os.environ |= {CLOCK: before} if before else {}


# ---- AWS ------------------------------------------------------------------------------------------------------------------


def furnish(aws: Organisation) -> None:
    """What was applied, what came into it since, and what went wrong."""
    found = words(aws.seed)
    common.replay(aws, "exports", {})
    for export in EXPORTS:
        for name in (export, f"{export}-archive"):
            for day in (13, 14, 15):
                text = f"day,rows\n2026-11-{day},{common.draw(aws.seed, name).randrange(100, 9000) + day}\n"
                objects.put(aws, PRODUCTION, bucket(name), f"2026-11-{day}.csv", text, f"2026-11-{day}T05:10")
    _half(aws, found)
    _gone(aws, key(found["gone"]))
    _lock(aws, found["locked"], "OperationTypePlan", LAPTOPS[found["at_work"]], "2026-11-13T16:41:52.184913Z", found["lock"])  # fmt: skip
    lock = str(uuid.uuid5(uuid.NAMESPACE_URL, found["lock"]))
    _lock(aws, found["running"], "OperationTypeApply", RUNNING, "2026-11-16T07:31:08.550127Z", lock)


def _half(aws: Organisation, found: Mapping[str, str]) -> None:
    """A bucket as terraform has it when it has made it and not yet come to its settings."""
    name = new_bucket(aws.seed)
    Furnisher(aws, "production").bucket(name)
    tags = {"Name": name, "Owner": "exports", "OnCall": "exports-oncall"}
    backend_of("s3", PRODUCTION, "aws").put_bucket_tagging(name, tags)
    for hour in (16, 17, 18):
        objects.put(aws, PRODUCTION, name, f"{found['more']}-{hour}.csv", f"hour,rows\n{hour},{hour * 3}\n", f"2026-11-13T{hour}:05")  # fmt: skip


def _gone(aws: Organisation, name: str) -> None:
    """A state with a past, deleted by somebody who knew of no versions."""
    full = json.loads(backend_of("s3", PLATFORM, "aws").get_object(accounts.STATE, name).value)
    objects.forget(aws, PLATFORM, accounts.STATE, name)
    before = [one for one in full["resources"] if one.get("module") == "module.daily"]
    for when, state in (
        ("2026-10-05T08:00", {**full, "serial": 1, "resources": before}),
        ("2026-10-28T13:20", {**full, "serial": 4}),
    ):
        objects.put(aws, PLATFORM, accounts.STATE, name, json.dumps(state, indent=2) + "\n", when)
    objects.delete(aws, PLATFORM, accounts.STATE, name, "2026-11-16T08:12")


def _lock(aws: Organisation, export: str, operation: str, who: str, created: str, lock: str) -> None:
    """The lock of a state, as terraform writes it."""
    path = f"{accounts.STATE}/{key(export)}"
    text = {"ID": lock, "Operation": operation, "Info": "", "Who": who, "Version": "1.11.4", "Created": created, "Path": path}  # fmt: skip
    objects.put(aws, PLATFORM, accounts.STATE, f"{key(export)}.tflock", json.dumps(text, separators=(",", ":")), created[:16])  # fmt: skip


# ---- the desk -------------------------------------------------------------------------------------------------------------


def put_on_desk(home: Path, seed: int) -> None:
    """What was said in the channel."""
    found = words(seed)
    locked, running, gone = (found[name] for name in ("locked", "running", "gone"))
    text = channel.text("#exports", f"""
        11-13 15:45 {found["author"]}: who can approve !1 in platform/exports? the {found["more"]} come at four
        11-13 15:52 marek: done
        11-13 16:15 ewa: Atlantis was down for six minutes, it was us. if your apply was cut off, it says so in the merge request
        11-13 16:41 {found["at_work"]}: having a look at {locked} before the weekend, just a plan, on my laptop
        11-13 16:48 {found["at_work"]}: (phone) laptop is dead. black, hot, smells. taking it to the repair
        11-13 16:49 ewa: did you change anything?
        11-13 16:50 {found["at_work"]}: it hadn't even printed the plan. I'm offline now till wednesday, have a good weekend
        11-14 09:02 {found["at_work"]}: (phone) they say the disk is done for
        11-16 07:30 ewa: morning. I'm moving {running} to the new key from my own machine, Atlantis would time out. takes until noon, I hold the lock of {running} all the time, please leave it alone
        11-16 08:13 {found["tidy"]}: tidied up in the bucket of the states! whatever nobody has touched since the beginning of the month is gone now
        11-16 08:21 marek: a plan of {gone} wants to make EVERYTHING. nobody applies anything there!!
        11-16 08:22 {found["tidy"]}: oh
        11-16 08:35 ewa: {running} is at 20%
        11-16 08:50 marek: and {locked} says "Error acquiring the state lock" since friday. I'm on the train, no net in a minute. can somebody bring it back, please. READ FIRST. and whatever you do, no bucket gets lost""")  # fmt: skip
    write(home / NOTES, text)
