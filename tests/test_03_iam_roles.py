"""Module 03: the checks ask AWS, and judge as they should, whatever somebody has changed there."""

from __future__ import annotations

import functools
import itertools
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import replay
from graded import *

from opslab import checks, jail
from opslab.scenarios.iam_roles import dots, let_in, loader, reports, triage, whoami
from opslab.scenarios.iam_roles.names import ACCOUNTS, CLICKS, PLATFORM, PRODUCTION, RAW, STAGING, role
from opslab.worlds import workspace
from opslab.worlds.aws import cloud, keys
from opslab.worlds.aws.cloud import Actor, Cloud
from opslab.worlds.aws.organisation import Organisation
from opslab.worlds.aws.seeding import Furnisher, allow, document, trust

STEM = "03_iam_roles"
SEEDS = (1, 5)
BRIEF = ("3.1", "3.2", "3.3", "3.5", "3.6")
LATER = ("3.4",)
named = functools.partial(replay.named, STEM)


@functools.cache
def words(seed: int) -> dict[str, Any]:
    """What stands for {{…}} in the answers of this module, in the world of this seed."""
    found: dict[str, Any] = {"external_id": reports.external_id(seed)}
    found["bot_key"], found["bot_secret"] = keys.access_key(seed, STAGING, "report-bot")
    found["marek_key"], _ = keys.access_key(seed, PLATFORM, "marek")
    found["other_external_id"] = (
        f"{reports.external_id(seed)[:-4]}{(int(reports.external_id(seed)[-4:]) + 1) % 10_000:04}"
    )
    for profile, situation in whoami.situations(seed).items():
        arn, can = whoami.arn_of(profile, seed), "yes" if situation == "works" else "no"
        row, name = f"{profile},{arn},{can},{situation}", situation.replace("-", "_")
        found |= {
            f"row_{profile}": row,
            f"spaced_{profile}": f" {profile} , {arn or '-'} , {can} , {situation.replace('-', ' ')} ",
            f"short_{profile}": f"{profile},{arn},{can.title()},{'' if situation == 'works' else situation}",
            f"number_{profile}": f"{profile},{arn or 'unknown'},{int(can == 'yes')},{situation}",
            # By what is the matter with it: {{no_permission}} is a profile, {{row_no_permission}} its line.
            f"arn_{profile}": arn, name: profile, f"arn_{name}": arn, f"row_{name}": row,
        }  # fmt: skip
    for profile, situation in whoami.situations(seed + 1).items():
        can = "yes" if situation == "works" else "no"
        found[f"theirs_{profile}"] = f"{profile},{whoami.arn_of(profile, seed + 1)},{can},{situation}"
    for one in triage.draw(seed):
        number, letters = one.number, {mend: letter for letter, mend in one.mends.items()}
        found |= {f"layer_{number}": one.case.layer, f"Layer_{number}": one.case.layer.title()}
        found |= {f"mend_{number}": one.right, f"Mend_{number}": one.right.upper()}
        found |= {f"wider_{number}": letters[one.case.wider], f"useless_{number}": letters[one.case.useless[0]]}
        found[f"under_layer_{number}"] = one.case.layer.replace("-", "_")
    for one in triage.draw(seed + 1):
        found |= {f"their_layer_{one.number}": one.case.layer, f"their_mend_{one.number}": one.right}
    found |= {f"meant_{number}": " > ".join(path) for number, path in enumerate(dots.MEANT, 1)}
    found["unmeant"] = " > ".join(dots.UNMEANT[dots.hole(seed)])
    for number, path in enumerate(dots.paths(seed), 1):
        found |= {
            f"way_{number}": " > ".join(path),
            f"arrow_{number}": " → ".join(path),
            f"ascii_{number}": "->".join(path),
        }
    return found | closings(seed)


def closings(seed: int) -> dict[str, list[dict[str, str]]]:
    """Three ways to close the hole of 3.6: in the trust policy, on the caller's side where that works, and by a Deny."""

    def arn(name: str, kind: str = "role") -> str:
        account, _, rest = name.partition("/")
        number = {"platform": PLATFORM, "staging": STAGING, "production": PRODUCTION}[account]
        return f"arn:aws:iam::{number}:{kind}{dots.PATH}{rest}"

    def trusting(name: str, *statements: dict[str, Any]) -> dict[str, str]:
        account, _, role = name.partition("/")
        return {
            "as": f"{account}-admin", "call": "iam.update_assume_role_policy", "RoleName": role,
            "PolicyDocument": json.dumps(document(*statements)),
        }  # fmt: skip

    def role_policy(name: str, call: str, **more: str) -> dict[str, str]:
        account, _, role = name.partition("/")
        return {"as": f"{account}-admin", "call": f"iam.{call}", "RoleName": role, "PolicyName": "become", **more}

    no_kim = {"Effect": "Deny", "Principal": {"AWS": arn("platform/kim", "user")}, "Action": "sts:AssumeRole"}
    writers = trust(arn("production/deployer"), arn("production/oncall"))["Statement"]
    oncall = [*trust(arn("platform/olga", "user"))["Statement"], no_kim]
    ci = trust(arn("platform/deploy-bot", "user"))["Statement"]
    by_trust = {
        "backup": trusting("production/backup", *trust(service="backup.amazonaws.com")["Statement"]),
        "readers": trusting(dots.WRITER, *writers),
        "group": trusting("production/oncall", *oncall),
        "pattern": trusting(dots.WRITER, *writers),
        "temporary": trusting("platform/ci", *ci),
    }
    by_policy = {
        "backup": role_policy("staging/batch", "delete_role_policy"),
        "readers": role_policy("production/readers", "delete_role_policy"),
        "group": {
            "as": "platform-admin", "call": "iam.remove_user_from_group", "GroupName": "warehouse-legacy-ops", "UserName": "lena",
        },
        "pattern": role_policy("staging/deployer", "delete_role_policy"),
        "temporary": by_trust["temporary"],
    }  # fmt: skip
    deny = {"Effect": "Deny", "Action": "sts:AssumeRole"}
    nils, lena = {"AWS": arn("platform/nils", "user")}, {"AWS": arn("platform/lena", "user")}
    also_lena = trust(arn("platform/olga", "user"), arn("platform/lena", "user"))["Statement"]
    also_nils = trust(arn("platform/deploy-bot", "user"), arn("platform/nils", "user"))["Statement"]
    by_deny = {
        "backup": role_policy("staging/batch", "put_role_policy", PolicyDocument=json.dumps(document({**deny, "Resource": "*"}))),
        "readers": role_policy("production/readers", "put_role_policy", PolicyDocument=json.dumps(document({**deny, "Resource": "*"}))),
        "group": trusting("production/oncall", *also_lena, no_kim, {**deny, "Principal": lena}),
        "pattern": role_policy("staging/deployer", "put_role_policy", PolicyDocument=json.dumps(document({**deny, "Resource": "*"}))),
        "temporary": trusting("platform/ci", *also_nils, {**deny, "Principal": nils}),
    }  # fmt: skip
    here = dots.hole(seed)
    return {"close_by_trust": [by_trust[here]], "close_by_policy": [by_policy[here]], "close_by_deny": [by_deny[here]]}


# ---- the scenario: triage -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """A desk and an organisation that belong together."""

    home: Path
    aws: Cloud

    def sh(self, command: str) -> jail.Done:
        """Run a line of bash there, with the real tools."""
        env = workspace.environment(self.home, {"AWS_ENDPOINT_URL": self.aws.endpoint})
        where = {"env": env, "services": self.aws.services, "read_only": workspace.tool_folders()}
        return jail.run(["bash", "-c", command], home=self.home, limits=jail.Limits(seconds=200), **where)

    def user(self, account: str, name: str) -> Actor:
        return self.aws.user(account, name)

    def changes(self) -> list[dict[str, Any]]:
        """What was changed so far, as the journal has it."""
        path = self.home / cloud.JOURNAL
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@contextmanager
def world(seed: int, home: Path) -> Iterator[World]:
    """An organisation for the desk `home`, which is made where it is missing."""
    if not home.exists():
        shutil.copytree(built(STEM, seed), home, symlinks=True)
    where = {"seed": seed, "journal": home / cloud.JOURNAL, "record": True}
    with cloud.shared().open(workspace.cloud_of(STEM), **where) as aws:
        yield World(home, aws)


@functools.cache
def drawn(name: str) -> tuple[int, triage.Drawn]:
    """The first seed in whose world a case of the pool is played, and how."""
    return next((seed, one) for seed in range(1, 100) for one in triage.draw(seed) if one.case.name == name)


def _reads(account: str, name: str, bucket: str, key: str) -> Callable[[World, str], bool]:
    return lambda here, p: here.user(account, name).call("s3", "get_object", Bucket=bucket, Key=key).allowed


def _becomes(account: str, name: str, arn: str) -> Callable[[World, str], bool]:
    return lambda here, p: isinstance(here.user(account, name).assume(arn), Actor)


def _can(command: str) -> Callable[[World, str], bool]:
    return lambda here, p: here.sh(f"aws {command.replace('{p}', p)}").code == 0


def _given_everything(name: str) -> Callable[[World, str], bool]:
    """Whether somebody has no limit any more: given all permissions, they can do what the boundary was for."""

    def probe(here: World, p: str) -> bool:
        everything = {"PolicyName": "probe", "PolicyDocument": json.dumps(allow("*"))}
        here.user(STAGING, "administrator").client("iam").put_user_policy(UserName=name, **everything)
        return here.user(STAGING, name).call("iam", "list_users").allowed

    return probe


OPENED: dict[str, Callable[[World, str], bool]] = {
    "wrong-secret": _can("iam list-users --profile {p}"),
    "inactive-key": _can("iam list-users --profile {p}"),
    "expired-session": _becomes(STAGING, "report-bot", role(STAGING, "rates-reader")),
    "folder-is-no-object": _reads(STAGING, "listing-bot", "targ-listings-staging", "drafts/2.json"),
    "other-verb": _can("kinesis put-record --stream-name events-test --partition-key a --data aGk= --profile {p}"),
    "six-letters": _can("secretsmanager get-secret-value --secret-id reports/db-owner --profile {p}"),
    "renamed": _becomes(STAGING, "report-bot", role(STAGING, "forecast")),
    "no-external-id": _becomes(STAGING, "partner-sync", role(PRODUCTION, "partner-export")),
    "no-bucket-policy": lambda here, p: here.user(STAGING, "administrator").call("s3", "get_object", Bucket="targ-invoices-production", Key="tax/1.csv").allowed,
    "no-queue-policy": lambda here, p: here.user(PRODUCTION, "dev").call("sqs", "receive_message", QueueUrl=f"http://127.0.0.1/{PRODUCTION}/alerts", WaitTimeSeconds=0).allowed,
    "group-says-no": lambda here, p: here.user(STAGING, "pavel").call("s3", "put_object", Bucket="targ-uploads-staging", Key="pavel/x", Body=b"").allowed,
    "encrypted-only": lambda here, p: here.user(STAGING, "label-bot").call("s3", "put_object", Bucket="targ-labels-staging", Key="x", Body=b"").allowed,
    "boundary-ssm": _given_everything("notebook-7"),
    "boundary-s3": _given_everything("scorer"),
    "session-s3": _can("s3api delete-object --bucket targ-nightly-staging --key in/1.csv --profile {p}"),
    "session-sqs": _can(f"sqs purge-queue --queue-url http://127.0.0.1/{STAGING}/mails --profile {{p}}"),
    "wrong-profile": _reads(PRODUCTION, "dev", "targ-heatmaps-staging", "home.json"),
    "wrong-number": _becomes(STAGING, "henrik", role(PRODUCTION, "log-reader")),
}  # fmt: skip
"""What the wider mend of a case opens, and the right one does not."""

DECIDED_BY = {
    "caller": {"caller"},
    "identity": {"identity"},
    "trust": {"trust"},
    "resource": {"resource"},
    "explicit-deny": {"identity", "resource"},
    "boundary": {"boundary"},
    "session": {"session"},
    "other-account": {"resource", "trust", "identity"},
}
SAID = {
    "identity": "no identity-based policy allows",
    "boundary": "no permissions boundary allows",
    "session": "no session policy allows",
    "explicit-deny": "with an explicit deny in a",
}
"""What stands in the message that learners read, by layer."""


@linux
@pytest.mark.slow
@pytest.mark.parametrize("name", [case.name for case in triage.CASES])
def test_a_case_of_triage_is_what_it_says(name: str, tmp_path):
    seed, one = drawn(name)
    attempt, case = f"triage/{one.number}/try.sh", one.case
    patterns = checks.load("03").find("3.5").cloud

    def at_the_start() -> None:
        with world(seed, tmp_path / "start") as here:
            done = here.sh(attempt)
            assert done.code != 0, done.out
            assert here.aws.ask("why")["layer"] in DECIDED_BY[case.layer]
            assert SAID.get(case.layer, "An error occurred") in done.err
            assert not OPENED[name](here, one.profile)

    def after(letter: str) -> None:
        mend = one.mends[letter]
        with world(seed, tmp_path / letter) as here:
            done = here.sh(f"triage/{one.number}/{letter}.sh")
            assert done.code == 0, done.err
            for change in here.changes():
                assert any(fnmatchcase(arn, pattern) for arn in change["resources"] for pattern in patterns), change
            again = here.sh(attempt)
            assert (again.code == 0) == (mend not in case.useless), (letter, again.err)
            if mend not in case.useless:
                assert OPENED[name](here, one.profile) == (mend is case.wider), letter

    with ThreadPoolExecutor(3) as pool:
        for running in [pool.submit(at_the_start), *(pool.submit(after, letter) for letter in one.mends)]:
            running.result()


DRAWS = range(1, 201)


def test_every_draw_has_eight_cases_of_at_least_six_layers():
    letters: Counter[str] = Counter()
    for seed in DRAWS:
        eight = triage.draw(seed)
        assert len({one.case.name for one in eight}) == len(eight) == triage.NUMBER
        assert len({one.case.layer for one in eight}) >= 6
        letters.update(one.right for one in eight)
    assert all(0.2 < letters[letter] / letters.total() < 0.3 for letter in triage.LETTERS)
    assert {case.name for case in triage.CASES} == {one.case.name for seed in DRAWS for one in triage.draw(seed)}


def test_answers_of_triage_cannot_be_passed_on():
    answers = [tuple((one.case.layer, one.right) for one in triage.draw(seed)) for seed in DRAWS]
    assert len(set(answers)) == len(answers)
    same = [
        sum(mine == theirs for mine, theirs in zip(*pair, strict=True)) for pair in itertools.combinations(answers, 2)
    ]
    assert sum(same) / len(same) < 0.5  # of eight lines
    assert max(same) < triage.NUMBER - 1


def test_no_two_parts_of_the_organisation_disturb_each_other(monkeypatch):
    """Each user, role, bucket … is furnished by one part, or one case of triage, alone."""
    found: Counter[tuple[str, str]] = Counter()
    plain = Furnisher._seed

    def _seed(self: Furnisher, what: str) -> None:
        found["" if what.startswith("bucket") else self.account, what] += 1
        plain(self, what)

    monkeypatch.setattr(Furnisher, "_seed", _seed)
    with Organisation(ACCOUNTS, seed=1) as aws:
        for part in (whoami, let_in, loader, reports, dots):
            part.furnish(aws)
        triage.furnish_cases(aws, triage.CASES)
    assert found.total() > 100
    assert [what for what, times in found.items() if times > 1] == []


# ---- the scenario: who can become whom -------------------------------------------------------------------------------------


def seed_with(hole: str) -> int:
    """The first seed whose organisation has this hole."""
    return next(seed for seed in range(1, 100) if dots.hole(seed) == hole)


@pytest.mark.parametrize("hole", dots.HOLES)
def test_there_are_three_ways_to_the_writer_and_no_more(hole: str, tmp_path):
    seed = seed_with(hole)
    with world(seed, tmp_path / "home") as here:
        assert [tuple(path) for path in here.aws.ask("paths", target=dots.WRITER)] == dots.paths(seed)
    ways = closings(seed)
    assert len({json.dumps(calls) for calls in ways.values()}) >= 2, "there is more than one way to close it"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "arrows", "ascii"])
@pytest.mark.parametrize("hole", dots.HOLES)
def test_each_hole_can_be_closed_in_more_than_one_way(hole: str, name: str, desk):
    seed = seed_with(hole)
    report = checks.run("3.6", desk(named(f"3.6/right/{name}"), seed=seed))
    assert set(judged(report).values()) == {"met"}, [result.say for result in report.results]


# ---- the scenario: who am I -------------------------------------------------------------------------------------------------


ANSWERS = {
    "works": ("", ""),
    "no-permission": ("identity", "no identity-based policy allows"),
    "explicit-deny": ("identity", "with an explicit deny in an identity-based policy"),
    "boundary": ("boundary", "no permissions boundary allows"),
    "other-account": ("resource", "Access Denied"),
    "dead-key": ("caller", "AWS Access Key Id"),
}


@pytest.mark.slow
def test_aws_says_of_each_profile_what_the_answers_say(tmp_path):
    for seed in range(1, 51):
        with cloud.shared().open(workspace.cloud_of(STEM), seed=seed) as aws:
            for profile, situation in whoami.situations(seed).items():
                actor = aws.user(whoami.account_of(profile, seed), whoami.USERS[profile])
                me = actor.call("sts", "get_caller_identity")
                assert (me.result or {}).get("Arn", "") == whoami.arn_of(profile, seed)
                answer = actor.call("s3", "get_object", Bucket=RAW, Key=CLICKS)
                layer, message = ANSWERS[situation]
                assert answer.allowed == (situation == "works"), (seed, profile)
                if not answer.allowed:
                    assert (aws.ask("why")["layer"], message in answer.message) == (layer, True), answer.message
                    assert (answer.message == "Access Denied") == (situation == "other-account")


# ---- the scenario: jobs, seeds, hidden worlds -------------------------------------------------------------------------------


@linux
@pytest.mark.slow
def test_the_loader_is_stopped_everywhere_and_then_nowhere(desk):
    home = desk()
    with world(1, home) as here:
        before = here.sh("jobs/clicks-loader.sh").out.splitlines()
    replay.put(named("3.3/right/plain"), home, words(1))
    with world(1, home) as here:
        after = here.sh("jobs/clicks-loader.sh").out.splitlines()
    steps = [line.split(None, 1)[1] for line in before if line.startswith("STOPPED")]
    assert len(steps) == len(loader.MUST)
    assert not any(line.startswith("ok") for line in before)
    assert [line.split(None, 1) for line in after] == [["ok", step] for step in steps]


@linux
@pytest.mark.slow
def test_the_report_job_is_stopped_and_then_sells_something(desk):
    home = desk()
    with world(1, home) as here:
        done = here.sh("jobs/report.sh")
        assert done.code != 0 and "reports-production" in done.err
    replay.put(named("3.4/right/plain"), home, words(1))
    with world(1, home) as here:
        assert here.sh("jobs/report.sh").out == "sold for 61.50\n"


def everything(aws: Cloud) -> str:
    """All of IAM in all accounts, and what lies in the buckets; without the time of day, which is another each time."""
    found = {}
    for name, account in ACCOUNTS.items():
        admin = aws.user(account, "administrator")
        details = admin.client("iam").get_account_authorization_details(MaxItems=1000)
        found[name] = {kind: details[kind] for kind in details if kind.endswith("List") or kind == "Policies"}
        s3 = admin.client("s3")
        for bucket in s3.list_buckets()["Buckets"]:
            there = s3.list_objects_v2(Bucket=bucket["Name"]).get("Contents", [])
            found[bucket["Name"]] = [(one["Key"], one["ETag"]) for one in there]
    return re.sub(r"datetime\.datetime\([^)]*\)+", "then", repr(found))


def test_the_same_seed_makes_the_same_organisation_and_another_one_other_keys(tmp_path):
    opened = [cloud.shared().open(workspace.cloud_of(STEM), seed=seed) for seed in (1, 1, 2)]
    try:
        first, second, other = (everything(aws) for aws in opened)
    finally:
        for aws in opened:
            aws.close()
    assert first == second != other
    mine, theirs = (
        set(re.findall(r"= (\w{20}|\S{40})\n", (built(STEM, seed) / ".aws/credentials").read_text())) for seed in (1, 2)
    )
    assert len(mine) > 20 and not mine & theirs


def test_every_request_that_has_to_be_denied_could_be_done(desk):
    """Otherwise it would be denied whatever the learner's policy says, and say nothing about it."""
    home = desk(named("3.3/wrong/administrator-again"))
    with world(1, home) as here:
        actor = here.aws.role(STAGING, loader.NAME)
        pool = [*loader.TOO_MUCH, *loader.TOO_FAR, *loader.TOO_WILD]
        denied = [call.text for call in pool if not actor.call(call.service, call.operation, **call.parameters).allowed]
    assert denied == []


# ---- journals that somebody has made up -----------------------------------------------------------------------------------


def entry(caller: str, body: str, operation: str = "PutUserPolicy", service: str = "iam", **more: Any) -> str:
    """A line of a journal."""
    headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8", **more.pop("headers", {})}
    request = {"method": "POST", "path": "/", "query": "", "headers": headers, "body": body, **more}
    line = {"time": "2026-11-21T09:00:00+00:00", "caller": caller, "service": service, "region": "eu-west-1", "operation": operation, "resources": [], "request": request}  # fmt: skip
    return json.dumps(line) + "\n"


def forged(caller_of: Callable[[str], str], desk: Callable[..., Path]) -> str:
    """The journal of right answers to all tasks, said to have been made by others."""
    home = desk(*(named(f"{task}/right/plain") for task in ("3.2", "3.3", "3.4", "3.6")))
    lines = [json.loads(line) for line in (home / cloud.JOURNAL).read_text().splitlines()]
    shutil.rmtree(home)
    return "".join(json.dumps({**line, "caller": caller_of(line["caller"])}) + "\n" for line in lines)


ADMIN = f"arn:aws:iam::{STAGING}:user/administrator"
SWAPPED = str.maketrans({"7": "1", "8": "2", "9": "3", "1": "4", "2": "5", "3": "6", "4": "7", "5": "8", "6": "9"})
"""Makes platform's number that of staging, staging's that of production, and production's that of platform."""
KINESIS = {"headers": {"content-type": "application/x-amz-json-1.1", "x-amz-target": "Kinesis_20131202.CreateStream"}}
JOURNALS: dict[str, Callable[[Any], str | bytes]] = {
    "people who may not": lambda desk: forged(lambda arn: arn.replace("administrator", "mara"), desk),
    "people who are not there": lambda desk: forged(lambda arn: arn.replace("administrator", "ghost"), desk),
    "nobody": lambda desk: forged(lambda arn: "", desk),
    "another account": lambda desk: forged(lambda arn: "arn:aws:iam::999999999999:user/administrator", desk),
    "administrators in one another's account": lambda desk: forged(lambda arn: arn.translate(SWAPPED), desk),
    "no ARN": lambda desk: forged(lambda arn: "administrator", desk),
    "binary junk": lambda desk: bytes(range(256)) * 500,
    "lines that are something else": lambda desk: '[]\n{}\n"x"\nnull\n1e999\n{"time": 1}\n' + "[" * 100_000 + "\n",
    "a file without line ends": lambda desk: "x" * 5_000_000,
    "requests that moto cannot take": lambda desk: "".join([
        entry(ADMIN, "Action=PutUserPolicy&UserName=%00%ff&PolicyName=&PolicyDocument=" + "[" * 5_000),
        entry(ADMIN, "Action=NoSuchThing&Version=2010-05-08", "NoSuchThing"),
        entry(ADMIN, "", "PutUserPolicy", "moto_api", path="/moto-api/reset"),
        entry(ADMIN, "", "CreateBucket", "s3", method="PUT", path="/moto-api/reset"),
        entry(ADMIN, "", "CreateBucket", "../../etc/passwd"),
        entry(ADMIN, "{", "CreateStream", "kinesis", **KINESIS),
        entry(ADMIN, '{"StreamName": {"a": []}, "ShardCount": "many"}', "CreateStream", "kinesis", **KINESIS),
        entry(ADMIN, '{"StreamName": "x", "ShardCount": -1}', "CreateStream", "kinesis", **KINESIS),
        entry(ADMIN, "", "PutObject", "s3", method="PUT", path="/no-such-bucket/" + "x" * 100_000),
        entry(ADMIN, "", "PutObject", "s3", method="\n", path="\x00", query="%"),
    ]),
}  # fmt: skip


QUICK = ("people who may not", "requests that moto cannot take")


@linux
@pytest.mark.parametrize(
    "what", [pytest.param(what, marks=[pytest.mark.slow] * (what not in QUICK)) for what in JOURNALS]
)
def test_a_journal_that_was_made_up_does_no_harm_and_earns_nothing(what: str, desk):
    content = JOURNALS[what](desk)
    home = desk()
    # What lies on the desk is right; what was done in AWS is made up.
    with (home / ".aws/config").open("a") as config:
        settings = {"role_arn": reports.READER, "source_profile": "report-bot", "external_id": words(1)["external_id"]}
        config.write(
            "[profile reports-production]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items())
        )
    path = home / cloud.JOURNAL
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for task in ("3.2", "3.3", "3.4", "3.6"):
        report = checks.run(task, home, graded=True)
        in_one_line(report)
        assert report.score == 0, task
    assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode()), "grading changes nothing"


@linux
@pytest.mark.slow
def test_a_journal_with_a_hundred_thousand_lines_is_cut_off(desk):
    home = desk(named("3.2/right/plain"))
    path = home / cloud.JOURNAL
    good = path.read_text()
    ghost = entry(
        "arn:aws:iam::111122223333:user/ghost", "Action=CreateUser&UserName=x&Version=2010-05-08", "CreateUser"
    )
    path.write_text(good + ghost * 100_000)
    assert set(judged(checks.run("3.2", home, graded=True)).values()) == {"met"}
    path.write_text(ghost * 100_000 + good)
    report = checks.run("3.2", home, graded=True)
    in_one_line(report)
    assert report.score == 0
