"""Module 03: who may do what, asked of AWS: as the user, as the role, with the learner's own profiles."""

from __future__ import annotations

import configparser
import csv
import io
import itertools
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from opslab import jail, wire
from opslab.checks import Miss, Module, Trial
from opslab.checks.least_privilege import Allowed, beyond, first_done, here, name_of, said, trust_is
from opslab.scenarios.iam_roles import dots, let_in, loader, reports, triage, whoami
from opslab.scenarios.iam_roles.names import CLICKS, PLATFORM, PRODUCTION, RAW, STAGING, role
from opslab.worlds.aws.cloud import Actor, Answer, Cloud

module = Module("03", "iam_roles", "IAM roles", cloud=True, draws_after=("3.6", "paths"))

IDS = {"platform": PLATFORM, "staging": STAGING, "production": PRODUCTION}


def _denied(answer: Actor | Answer) -> bool:
    return isinstance(answer, Answer) and not answer.allowed


def _role(cloud: Cloud, account: str, name: str) -> Actor:
    """A session of a role of the course. Raises Miss where somebody has deleted it."""
    try:
        return cloud.role(IDS[account], name)
    except wire.Refusal:
        raise Miss(f"There is no role {name} in {account} any more. It has to be there; opslab.reset(\"03\") brings it back.", tried=f"aws iam get-role --role-name {name} --profile {account}-admin", got="no such role", wanted="the role", name="role-gone") from None  # fmt: skip


def _administer(cloud: Cloud, account: str, service: str, operation: str, **parameters: Any) -> Mapping[str, Any]:
    """Let Ines do something in the copy. Raises Miss where somebody has locked her out."""
    answer = cloud.user(IDS[account], "administrator").call(service, operation, **parameters)
    if answer.result is None:
        raise Miss(f"Ines, the administrator of {account}, may not do everything there any more. Nobody can mend anything without her: opslab.reset(\"03\") brings the desk back.", tried=f"as {account}-admin: {service} {operation}", got=said(answer), wanted="it is done", name="administrator-out")  # fmt: skip
    return answer.result


def _document(**allowed: Any) -> str:
    """The text of a policy with one statement that allows."""
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **allowed}]})


def _layer(cloud: Cloud) -> str:
    """The layer that decided the last denial."""
    return (cloud.ask("why") or {}).get("layer", "")


def _rows(trial: Trial, path: str, columns: tuple[str, ...], wanted: list[str]) -> dict[str, dict[str, str]]:
    """A CSV answer by its first column. Raises Miss where the form is not kept."""
    lines = [line for line in trial.read(path).splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found = list(csv.reader(io.StringIO("\n".join(lines)), skipinitialspace=True))
    head = [cell.strip().lower() for cell in found[0]] if found else []
    form = f"the first line {','.join(columns)} and a line for each of {', '.join(wanted)}"
    if head != list(columns):
        raise Miss(f"The first line of ~/{path} is not what it was. Put it back.", tried=f"read ~/{path}", got=",".join(head) or "nothing", wanted=",".join(columns), name="form")  # fmt: skip
    rows = {}
    for cells in found[1:]:
        if len(cells) != len(columns):
            raise Miss(f"A line of ~/{path} has {len(cells)} fields, and {len(columns)} are expected. A comma too many, or one too few?", tried=f"read ~/{path}", got=",".join(cells), wanted=",".join(columns), name="form")  # fmt: skip
        row = {column: cell.strip() for column, cell in zip(columns, cells, strict=True)}
        rows[row[columns[0]].lower()] = row
    if missing := [key for key in wanted if key not in rows]:
        raise Miss(f"A line is missing in ~/{path}: {', '.join(missing)}.", tried=f"read ~/{path}", got=", ".join(rows) or "no lines", wanted=form, name="form")  # fmt: skip
    return rows


# ---- 3.1 ------------------------------------------------------------------------------------------------------------

WHO = "answers/3.1.csv"

who = module.task(
    "3.1",
    "Who am I?",
    files=[WHO],
    cloud=[f"*:user/{name}" for name in whoami.USERS.values()] + ["*:group/contractors", "*:policy/people-boundary"],
    hints=[
        (
            "One profile after the other, the same two commands: aws sts get-caller-identity --profile mara, and then the command of "
            "the ticket with --profile mara. Write down what comes back before you think about it."
        ),
        (
            "An ARN has six parts: arn:aws:iam::111122223333:user/mara. The fifth is the account. The bucket lives in staging, "
            "111122223333: does everybody?"
        ),
        (
            "Read a denial from its end. “no identity-based policy allows”: no-permission. “with an explicit deny”: explicit-deny. "
            "“no permissions boundary allows”: boundary. “Access Denied” and not a word more, from S3: other-account. Something about "
            "the token or the access key: dead-key."
        ),
    ],
)

NO_ARN = ("", "-", "unknown", "none", "?", "n/a")
YES, NO = ("yes", "y", "true", "1"), ("no", "n", "false", "0")


def _who(trial: Trial) -> dict[str, dict[str, str]]:
    rows = _rows(trial, WHO, ("profile", "arn", "can_read", "why"), list(whoami.USERS))
    if not any(cell for row in rows.values() for column, cell in row.items() if column != "profile"):
        raise Miss(f"~/{WHO} is still empty.", tried=f"read ~/{WHO}", wanted="four lines filled in", name="empty")
    return rows


def _of_profile(trial: Trial, profile: str) -> Actor:
    account = whoami.account_of(profile, trial.seed)
    return trial.cloud(at_start=True).user(account, whoami.USERS[profile])


@who.expects("says who is behind each profile", points=0.5)
def identities(trial: Trial) -> None:
    rows = _who(trial)
    for profile in whoami.USERS:
        answer = _of_profile(trial, profile).call("sts", "get_caller_identity")
        said = rows[profile]["arn"]
        if answer.result is None:
            if said.lower() not in NO_ARN:
                raise Miss(f"AWS does not say who {profile} is. What did you get there? Leave the ARN empty where AWS gives none.", tried=f"aws sts get-caller-identity --profile {profile}", got=said, wanted="an error, and so no ARN", name="arn-made-up")  # fmt: skip
            continue
        if said != answer.result["Arn"]:
            short = bool(said) and said in answer.result["Arn"]
            say = (
                "That is a part of it. The whole ARN, please: it has the account in it."
                if short
                else "That is not what AWS says."
            )
            raise Miss(f"{profile}: {say}", tried=f"aws sts get-caller-identity --profile {profile}", got=said or "nothing", wanted="the Arn that the command prints", name="arn-in-part" if short else "arn-wrong")  # fmt: skip


@who.expects("says which of them can read the clicks", points=0.5)
def can_read(trial: Trial) -> None:
    rows = _who(trial)
    for profile in whoami.USERS:
        said = rows[profile]["can_read"].lower()
        if said not in (*YES, *NO):
            raise Miss(f"{profile}: write yes or no into can_read.", tried=f"read ~/{WHO}", got=said or "nothing", wanted="yes or no", name="no-word")  # fmt: skip
        answer = _of_profile(trial, profile).call("s3", "get_object", Bucket=RAW, Key=CLICKS)
        if (said in YES) == answer.allowed:
            continue
        tried = f"aws s3api get-object --bucket {RAW} --key {CLICKS} … --profile {profile}"
        if answer.allowed:
            raise Miss(f"{profile} can read it. Was there a typo in the name of the bucket?", tried=tried, got="the file", wanted="yes", name="missed-the-one")  # fmt: skip
        listed = _of_profile(trial, profile).call("s3", "list_objects_v2", Bucket=RAW).allowed
        say = (
            "can list the bucket. To read a file is another action."
            if listed
            else "cannot read it. Did you try it with this profile?"
        )
        raise Miss(f"{profile} {say}", tried=tried, got="a denial", wanted="no", name="list-is-not-read" if listed else "guessed")  # fmt: skip


@who.expects("says why the others cannot", points=1, needs="can_read")
def why_not(trial: Trial) -> None:
    rows, wrong = _who(trial), []
    for profile, situation in whoami.situations(trial.seed).items():
        said = rows[profile]["why"].lower().replace(" ", "-").replace("_", "-")
        if said not in whoami.REASONS and not (said == "" and situation == "works"):
            raise Miss(f"{profile}: the word in the column why is not one of the six.", tried=f"read ~/{WHO}", got=said or "nothing", wanted=", ".join(whoami.REASONS), name="no-word")  # fmt: skip
        if said not in (situation, ""):
            wrong.append((profile, said, situation))
    if not wrong:
        return
    profile, said, situation = wrong[0]
    more = f" ({len(wrong)} of the reasons are not right yet.)" if len(wrong) > 1 else ""
    if situation == "other-account":
        raise Miss(f"{profile}: not {said}. S3 says nothing but “Access Denied” here. When does it keep so silent? Look at the account in the ARN.{more}", tried=f"as {profile}: read the file", got=said, wanted="another of the six words", name="account-overlooked")  # fmt: skip
    if situation == "dead-key":
        raise Miss(f"{profile}: not {said}. No policy has been read there: AWS did not get that far.{more}", tried=f"aws sts get-caller-identity --profile {profile}", got=said, wanted="another of the six words", name="key-overlooked")  # fmt: skip
    raise Miss(f"{profile}: not {said}. Read the message from its end: the last words name what said no.{more}", tried=f"as {profile}: read the file", got=said, wanted="another of the six words", name="denial-misread")  # fmt: skip


# ---- 3.2 ------------------------------------------------------------------------------------------------------------

let = module.task(
    "3.2",
    "Let the analyst in",
    files=[],
    cloud=let_in.CLOUD,
    hints=[
        (
            "Two sides have to say yes: the role's trust policy (in staging), and a policy of Jonas (in platform). Look at both, "
            "with aws iam get-role and with aws iam list-user-policies, list-groups-for-user, get-group-policy."
        ),
        "How does Kasia do it? aws iam get-user-policy --user-name kasia --policy-name orders-analyst --profile platform-admin",
        (
            "Trust: write the new policy into a file, with both ARNs in a list, and aws iam update-assume-role-policy --role-name "
            "orders-analyst --policy-document file://… --profile staging-admin. It replaces the old one, so Kasia must be in it."
        ),
        (
            "Jonas: aws iam put-user-policy --user-name jonas --policy-name orders-analyst --policy-document file://… "
            "--profile platform-admin, with sts:AssumeRole on this one role and no other."
        ),
    ],
)


def _nobody_new(trial: Trial) -> None:
    """No user or role was made that no task asks for. Raises Miss."""
    more = set(trial.cloud().ask("everybody")) - set(trial.cloud(at_start=True).ask("everybody")) - {reports.READER}
    if extra := sorted(arn for arn in more if not arn.endswith("/report-reader")):
        raise Miss(f"{name_of(extra[0])} is new, and nothing in these tasks needs somebody new. Was it for trying? Delete it again.", tried="compare the users and roles with those of the start", got=extra[0], wanted="the same users and roles", name="somebody-new")  # fmt: skip


def _jonas(trial: Trial) -> Actor:
    return trial.cloud().user(PLATFORM, "jonas")


@let.expects("Jonas becomes orders-analyst and reads the mart", points=1)
def gets_in(trial: Trial) -> None:
    inside = _jonas(trial).assume(let_in.ROLE)
    tried = f"as jonas: aws sts assume-role --role-arn {let_in.ROLE}"
    if isinstance(inside, Answer):
        layer = _layer(trial.cloud())
        _role(trial.cloud(), "staging", "orders-analyst")
        if layer == "trust":
            raise Miss("The role does not let Jonas in. Whom does its trust policy name?", tried=tried, got=said(inside), wanted="credentials", name="trust-missing")  # fmt: skip
        raise Miss("Nothing that Jonas has allows him to ask for this role. The role is in another account, so its trust alone is not enough.", tried=tried, got=said(inside), wanted="credentials", name="identity-missing")  # fmt: skip
    read = here(trial, inside.call("s3", "get_object", Bucket=let_in.MARTS, Key=let_in.MART))
    if not read.allowed:
        raise Miss("Jonas becomes the role, and then the role may not read the mart any more. Was its own policy changed? opslab.reset(\"3.2\") brings it back.", tried=f"as orders-analyst: read {let_in.MART}", got=said(read), wanted="the file", name="role-broken")  # fmt: skip


@let.expects("nobody else does, and Kasia still does", points=1, needs="gets_in")
def nobody_else(trial: Trial) -> None:
    kasia = trial.cloud().user(PLATFORM, "kasia").assume(let_in.ROLE)
    if _denied(kasia):
        raise Miss("Kasia had this role before, and has lost it. A new trust policy replaces the old one: both must be in it.", tried="as kasia: aws sts assume-role", got=said(kasia), wanted="credentials, as before", name="kasia-out")  # fmt: skip
    trust_is(trial, let_in.ROLE, {"platform/jonas", "platform/kasia"}, "trust-too-wide")
    for account, name in let_in.STRANGERS:
        if not _denied(trial.cloud().user(IDS[account], name).assume(let_in.ROLE)):
            raise Miss(f"{name} ({account}) gets in, too. The trust policy must name Jonas and Kasia, and not a whole account or everybody: in an account there are others who may call AssumeRole.", tried=f"as {name}: aws sts assume-role --role-arn {let_in.ROLE}", got="credentials", wanted="a denial", name="trust-too-wide")  # fmt: skip


@let.expects("and Jonas gets nowhere else", points=1, needs="gets_in")
def nowhere_else(trial: Trial) -> None:
    jonas = _jonas(trial)
    for arn in let_in.ELSEWHERE:
        if not _denied(jonas.assume(arn)):
            raise Miss(f"Jonas can become {name_of(arn)} now. Name the one role in his policy: a * opens every role that trusts his account.", tried=f"as jonas: aws sts assume-role --role-arn {arn}", got="credentials", wanted="a denial", name="identity-too-wide")  # fmt: skip
    if _denied(jonas.assume(let_in.BEFORE)):
        raise Miss(f"Jonas could become {name_of(let_in.BEFORE)} before, and cannot any more. He was to get one role more, not another one.", tried=f"as jonas: aws sts assume-role --role-arn {let_in.BEFORE}", got="a denial", wanted="credentials, as before", name="jonas-lost")  # fmt: skip
    for service, operation, text in (("iam", "list_users", "list users"), ("s3", "list_buckets", "list buckets")):
        if jonas.call(service, operation).allowed:
            raise Miss(f"Jonas himself can {text} in platform now. He needs sts:AssumeRole on one role, nothing else.", tried=f"as jonas: {text}", got="it was done", wanted="a denial", name="too-many-actions")  # fmt: skip
    inside = _role(trial.cloud(), "staging", "orders-analyst")
    if inside.call("s3", "put_object", Bucket=let_in.MARTS, Key="gold/mine.csv", Body=b"").allowed:
        raise Miss("The role itself can write now. It was fine as it was: Jonas only had to get in.", tried="as orders-analyst: write a file into the mart", got="it was done", wanted="a denial", name="role-grew")  # fmt: skip


# ---- 3.3 ------------------------------------------------------------------------------------------------------------

enough = module.task(
    "3.3",
    "Just enough",
    files=[],
    cloud=loader.CLOUD,
    hints=[
        ("Run ~/jobs/clicks-loader.sh. Each line that is stopped names an action and a resource: that is a statement of the policy. "
        "Give it, run the job again, and so on, until the last line is ok."),
        ("s3:ListBucket is asked of the bucket (arn:aws:s3:::bucket), s3:GetObject and s3:PutObject of objects (arn:aws:s3:::bucket/incoming/*). "
        "What may be listed is said in a Condition on s3:prefix."),
        ("A secret's ARN ends with six letters that AWS draws: …:secret:clicks/warehouse-??????  (a * would take in warehouse-admin). "
        "A log stream's ARN is …:log-group:/targ/clicks-loader:log-stream:*  or, shorter, …:log-group:/targ/clicks-loader:*"),
        ("For the list: \"Condition\": {\"StringLike\": {\"s3:prefix\": [\"incoming/\", \"incoming/*\"]}}. For the stream: kinesis:GetShardIterator "
        "and kinesis:GetRecords on arn:aws:kinesis:eu-west-1:111122223333:stream/clicks-live. For the queue: sqs:GetQueueUrl and sqs:SendMessage."),
    ],
)  # fmt: skip


def _loader(trial: Trial) -> Actor:
    return trial.once("loader", lambda: _role(trial.cloud(), "staging", loader.NAME))


def _do(trial: Trial, call: loader.Call) -> Answer:
    parameters = dict(call.parameters)
    if call.needs:
        parameters["ShardIterator"] = trial.once("iterator", lambda: _iterator(trial))
    return here(trial, _loader(trial).call(call.service, call.operation, **parameters))


def _iterator(trial: Trial) -> str:
    """A place in the stream to read from: asked for by the administrator, so that each permission is tried alone."""
    shard = {"ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"}
    made = _administer(trial.cloud(), "staging", "kinesis", "get_shard_iterator", StreamName="clicks-live", **shard)
    return made["ShardIterator"]


@enough.expects("the clicks loader can do its work", points=1.5)
def works(trial: Trial) -> None:
    stopped = [(call, answer) for call in loader.MUST if not (answer := _do(trial, call)).allowed]
    if not stopped:
        return
    call, answer = stopped[0]
    if len(stopped) == len(loader.MUST):
        raise Miss("The role may do nothing at all yet. Put a policy on it: aws iam put-role-policy --role-name clicks-loader …", tried=f"as clicks-loader: {call.text}", got=said(answer), wanted="it is done", name="no-policy")  # fmt: skip
    name, more = "still-stopped", ""
    if call.operation == "list_objects_v2":
        name, more = (
            "list-is-of-the-bucket",
            " Listing is asked of the bucket itself, not of what lies in it; a Condition says which prefix.",
        )
    elif call.operation == "get_secret_value":
        name, more = (
            "secret-six-letters",
            " Compare the ARN in the message with the one in your policy, to the last letter.",
        )
    elif call.service == "logs":
        name, more = "log-streams", " The message has the ARN: a log stream is below its log group, after a colon."
    rest = f" After that there are {len(stopped) - 1} more." if len(stopped) > 1 else ""
    raise Miss(f"It is stopped at: {call.text}.{more}{rest}", tried=f"as clicks-loader: {call.text}", got=said(answer), wanted="it is done", name=name)  # fmt: skip


NEIGHBOURS = ("incoming-archive", "clean-archive", "warehouse-admin", "audit")
"""Whose names only begin like those of the loader's own things."""


def _is_neighbour(call: loader.Call) -> bool:
    return any(word in call.text for word in NEIGHBOURS)


def _first_done(trial: Trial, calls: tuple[loader.Call, ...]) -> loader.Call | None:
    """The first call that goes through. Neighbours last: a Resource that takes in strangers as well is another mistake."""
    return first_done(calls, lambda call: _do(trial, call), later=_is_neighbour)


def _beyond(trial: Trial, resources: list[str]) -> list[Allowed]:
    return beyond(trial, loader.ROLE, resources, loader.wanted())


@enough.expects("and nothing more with its own things", points=1, needs="works")
def no_other_actions(trial: Trial) -> None:
    if call := _first_done(trial, loader.TOO_MUCH):
        raise Miss(f"The loader can also {call.text}. Which action of your policy, which * in an action, lets it?", tried=f"as clicks-loader: {call.text}", got="it was done", wanted="a denial", name="action-too-wide")  # fmt: skip
    own = [arn for arn in loader.wanted() if arn != "*"]
    if more := [one for one in _beyond(trial, own) if one.resource != "*"]:
        action, arn = more[0]
        raise Miss(f"The loader may also do {action} on its own things. Name the actions that the job needs, one by one: a * in an action brings others along.", tried=f"ask your policies for {action} on {arn}", got="allowed", wanted="not allowed", name="star-in-action")  # fmt: skip


@enough.expects("and nothing with other people's things", points=1, needs="works")
def no_other_things(trial: Trial) -> None:
    if call := _first_done(trial, loader.TOO_FAR):
        neighbour = _is_neighbour(call)
        more = " A * also takes in what only begins with the same letters." if neighbour else ""
        raise Miss(f"The loader can also {call.text}. Which Resource, or which Condition, of your policy lets it?{more}", tried=f"as clicks-loader: {call.text}", got="it was done", wanted="a denial", name="neighbour-too" if neighbour else "resource-too-wide")  # fmt: skip
    if more := [one for one in _beyond(trial, loader.elsewhere(trial.unseen)) if one.resource != "*"]:
        action, arn = more[0]
        raise Miss(f"The loader may also do {action} on things that are not its own. Which * of a Resource takes them in?", tried=f"ask your policies for {action} on {arn}", got="allowed", wanted="not allowed", name="star-in-resource")  # fmt: skip


@enough.expects("and nothing else in the account", points=0.5, needs="works")
def nothing_else(trial: Trial) -> None:
    if call := _first_done(trial, loader.TOO_WILD):
        raise Miss(f"The loader can also {call.text}. Is there a statement that allows everything?", tried=f"as clicks-loader: {call.text}", got="it was done", wanted="a denial", name="everything")  # fmt: skip
    if more := _beyond(trial, []):
        raise Miss(f"The loader may also do {more[0].action}. A Resource of * belongs to actions that know no other, and the job has none of these.", tried=f"ask your policies for {more[0].action}", got="allowed", wanted="not allowed", name="everything")  # fmt: skip
    trust_is(trial, loader.ROLE, {"staging/administrator", loader.SERVICE}, "trust-opened")
    _nobody_new(trial)
    found = _administer(trial.cloud(), "staging", "iam", "get_role", RoleName=loader.NAME)["Role"]
    if loader.SERVICE not in json.dumps(found["AssumeRolePolicyDocument"]):
        raise Miss(f"The job itself ({loader.SERVICE}) cannot become the loader any more. Its trust policy was fine as it was.", tried="aws iam get-role --role-name clicks-loader --query Role.AssumeRolePolicyDocument", got=json.dumps(found["AssumeRolePolicyDocument"]), wanted="the trust policy as it was", name="trust-cut")  # fmt: skip


# ---- 3.4 ------------------------------------------------------------------------------------------------------------

CONFIG = ".aws/config"

across = module.task(
    "3.4",
    "Across accounts",
    files=[CONFIG],
    cloud=reports.CLOUD,
    hints=[
        ("Draw it first: report-bot (staging), report-reader (production), the bucket. Which three policies stand on the way, "
        "and in which account is each of them?"),
        ("In production: aws iam create-role --role-name report-reader with a trust policy that names report-bot's ARN and has the "
        "Condition StringEquals sts:ExternalId; then aws iam put-role-policy for s3:GetObject on daily/*."),
        ("In staging: report-bot needs sts:AssumeRole on the new role. In ~/.aws/config: [profile reports-production] with role_arn, "
        "source_profile = report-bot, external_id, region."),
        ("The bucket policy: aws s3api get-bucket-policy --bucket targ-orders-production --query Policy --output text --profile production-admin "
        "> policy.json, add the role's ARN (arn:aws:iam::444455556666:role/report-reader) to the list in its Condition, put it back with put-bucket-policy."),
    ],
)  # fmt: skip


def _report_job(trial: Trial) -> Answer:
    """Let the learner's profile fetch the orders with the real aws CLI, in the jail: a config file may hold commands."""
    fetch = ["s3api", "get-object", "--bucket", reports.BUCKET, "--key", reports.ORDERS, "/dev/stdout"]
    # One call of the CLI; on a busy laptop it may take longer than what is usual for a script.
    limits = jail.Limits(seconds=60)
    done = trial.run(["aws", *fetch, "--profile", reports.PROFILE], home=trial.scratch(trial.seed), limits=limits)
    return Answer(done.code == 0 and "order_id" in done.out, "", (done.err or done.out).strip())


def _as_agreed(trial: Trial) -> None:
    """The job works; see to it that there is the role of the note, and that it comes as report-bot. Raises Miss."""
    cloud = trial.cloud()
    try:
        cloud.role(PRODUCTION, "report-reader")
    except wire.Refusal:
        raise Miss("The job gets its orders, and there is no role report-reader in production. The note names the role.", tried="aws iam get-role --role-name report-reader --profile production-admin", got="no such role", wanted=reports.READER, name="another-role") from None  # fmt: skip
    key = {"UserName": "report-bot", "AccessKeyId": cloud.user(STAGING, "report-bot").key}
    _administer(cloud, "staging", "iam", "update_access_key", **key, Status="Inactive")
    without_bot = _report_job(trial)
    _administer(cloud, "staging", "iam", "update_access_key", **key, Status="Active")
    if without_bot.allowed:
        raise Miss("The job works with somebody else's keys. It has to come as report-bot: which profile is the source?", tried="switch report-bot's key off, and run the job", got="the orders", wanted="an error: without report-bot's key nothing goes", name="borrowed-keys")  # fmt: skip


@across.expects("the report job gets its orders with its profile", points=1.5)
def report_runs(trial: Trial) -> None:
    _profile_is_sane(trial)
    answer = _report_job(trial)
    if answer.allowed:
        return _as_agreed(trial)
    tried = f"aws s3api get-object --bucket {reports.BUCKET} --key {reports.ORDERS} … --profile {reports.PROFILE}"
    cloud = trial.cloud()
    bot = cloud.user(STAGING, "report-bot").assume(reports.READER, ExternalId=reports.external_id(trial.seed))
    name, say = (
        "profile-wrong",
        "The way is open, but the profile does not take it. Compare role_arn, source_profile and external_id with the note.",
    )
    if isinstance(bot, Answer):
        if _layer(cloud) == "trust":
            name, say = (
                "trust-missing",
                "Production does not let report-bot become report-reader. Is the role there, does it name report-bot's ARN, and is the external id the one of the note?",
            )
        else:
            name, say = (
                "identity-missing",
                "Staging does not let report-bot ask for the role: it needs sts:AssumeRole on it, by a policy of its own.",
            )
    elif not bot.call("s3", "get_object", Bucket=reports.BUCKET, Key=reports.ORDERS).allowed:
        if _layer(cloud) == "identity":
            name, say = (
                "role-cannot-read",
                "report-bot becomes report-reader, and that role may not read the file: nothing that it has allows it.",
            )
        else:
            name, say = (
                "not-on-the-list",
                "report-reader may read, and the bucket turns it away: its policy knows a list, and the role is not on it. The list takes the role's own ARN, …:role/report-reader; the one in AWS's message is that of a session.",
            )
    raise Miss(say, tried=tried, got=answer.message, wanted="the orders", name=name)


def _profile_is_sane(trial: Trial) -> None:
    """What can be said about the profile without asking AWS. Raises Miss."""
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(trial.read(CONFIG))
    except configparser.Error as error:
        raise Miss(f"~/{CONFIG} cannot be read. A line is neither a [section], nor “key = value”.", tried=f"read ~/{CONFIG}", got=str(error).splitlines()[0], wanted="sections with key = value", name="config-broken") from None  # fmt: skip
    section = f"profile {reports.PROFILE}"
    if section not in parser:
        bare = reports.PROFILE in parser
        say = (
            f"In the config file the section is called [{section}], with the word profile."
            if bare
            else f"There is no profile {reports.PROFILE} in ~/{CONFIG} yet."
        )
        raise Miss(say, tried=f"read ~/{CONFIG}", got=f"[{reports.PROFILE}]" if bare else "no such section", wanted=f"[{section}]", name="section-name" if bare else "no-profile")  # fmt: skip
    if "aws_access_key_id" in parser[section]:
        raise Miss("The profile has keys of its own. It is to become the role from report-bot's keys: role_arn and source_profile.", tried=f"read ~/{CONFIG}", got="aws_access_key_id", wanted="no keys", name="keys-in-profile")  # fmt: skip


@across.expects(
    "nobody gets in without the external id, and nobody but report-bot with it", points=1, needs="report_runs"
)
def external_id(trial: Trial) -> None:
    cloud, word = trial.cloud(), reports.external_id(trial.seed)
    bot = cloud.user(STAGING, "report-bot")
    _administer(cloud, "production", "iam", "create_role", RoleName="not-for-the-bot", AssumeRolePolicyDocument=_document(Action="sts:AssumeRole", Principal={"AWS": STAGING}))  # fmt: skip
    for other in (role(STAGING, "debug"), role(PRODUCTION, "not-for-the-bot")):
        if not _denied(bot.assume(other)):
            raise Miss("report-bot can become other roles, too: every role that trusts its account. Name the one role in its policy.", tried=f"as report-bot: aws sts assume-role --role-arn {other}", got="credentials", wanted="a denial", name="bot-too-wide")  # fmt: skip
    people = (("staging", "report-bot"), ("staging", "intern"), ("staging", "notebook-server"), ("production", "dev"))
    for account, name in people:
        # Production cannot know what their own policies say, today or tomorrow. So the trust policy alone has to hold.
        policy = _document(Action="sts:AssumeRole", Resource="*")
        admin = cloud.user(IDS[account], "administrator")
        admin.call("iam", "put_user_policy", UserName=name, PolicyName="check", PolicyDocument=policy)
    if _denied(bot.assume(reports.READER, ExternalId=word)):
        raise Miss("The role asks for another external id than the one that was agreed. Compare the trust policy and the profile with the note.", tried=f"as report-bot: aws sts assume-role --external-id {word}", got="a denial", wanted="credentials", name="another-external-id")  # fmt: skip
    for given, text in (
        ({}, "no external id"),
        ({"ExternalId": f"{word}0"}, "a wrong external id"),
        ({"ExternalId": "anything"}, "any external id"),
    ):
        if not _denied(bot.assume(reports.READER, **given)):
            raise Miss(f"report-bot becomes the role with {text}. The trust policy has to ask for it: Condition, StringEquals, sts:ExternalId.", tried=f"as report-bot: aws sts assume-role, {text}", got="credentials", wanted="a denial", name="no-external-id")  # fmt: skip
    trust_is(trial, reports.READER, {"staging/report-bot"}, "trust-too-wide")
    for account, name in people[1:]:
        if not _denied(cloud.user(IDS[account], name).assume(reports.READER, ExternalId=word)):
            raise Miss(f"{name} becomes the role, too. The trust policy must name report-bot, not its whole account: an external id is no secret.", tried=f"as {name}: aws sts assume-role --external-id {word}", got="credentials", wanted="a denial", name="trust-too-wide")  # fmt: skip


@across.expects("the role reads daily/ and nothing else", points=1, needs="report_runs")
def one_prefix(trial: Trial) -> None:
    reader = _role(trial.cloud(), "production", "report-reader")
    bucket = {"Bucket": reports.BUCKET}
    other = here(trial, reader.call("s3", "get_object", **bucket, Key="daily/orders-2026-11-15.csv"))
    if not other.allowed:
        raise Miss("The role reads the orders of one day. The job runs every day.", tried="as report-reader: read daily/orders-2026-11-15.csv", got=said(other), wanted="the file", name="one-day-only")  # fmt: skip
    tries = (
        ("read customers/addresses.csv", "get_object", {**bucket, "Key": reports.CUSTOMERS}, "prefix-too-wide"),
        (
            "read daily-internal/margins.csv",
            "get_object",
            {**bucket, "Key": "daily-internal/margins.csv"},
            "prefix-too-wide",
        ),
        ("list the whole bucket", "list_objects_v2", bucket, "lists"),
        ("write into daily/", "put_object", {**bucket, "Key": "daily/mine.csv", "Body": b""}, "writes"),
        ("delete a file in daily/", "delete_object", {**bucket, "Key": "daily/orders-2026-11-15.csv"}, "writes"),
        ("list all buckets", "list_buckets", {}, "lists"),
    )
    for text, operation, parameters, kind in tries:
        if reader.call("s3", operation, **parameters).allowed:
            raise Miss(f"report-reader can also {text}. The note says: it reads the files in daily/, and that is all.", tried=f"as report-reader: {text}", got="it was done", wanted="a denial", name="reads-too-much" if kind != "writes" else "writes-too")  # fmt: skip
    bot = trial.cloud().user(STAGING, "report-bot")
    if bot.call("s3", "get_object", **bucket, Key=reports.ORDERS).allowed:
        raise Miss("report-bot reads production directly, without becoming the role. The agreement says: as report-reader.", tried="as report-bot: read the orders", got="the file", wanted="a denial", name="round-the-role")  # fmt: skip


@across.expects("the bucket still turns everybody else away", points=0.5, needs="report_runs")
def guard_holds(trial: Trial) -> None:
    cloud = trial.cloud()
    bucket = {"Bucket": reports.BUCKET}
    own = _role(cloud, "production", "orders-loader")
    for text, operation, more in (("read", "get_object", {}), ("write", "put_object", {"Body": b"x"})):
        answer = here(trial, own.call("s3", operation, **bucket, Key="daily/orders-2026-11-15.csv", **more))
        if not answer.allowed:
            raise Miss("orders-loader, who fills this bucket, is turned away now. Only one name had to be added to the list.", tried=f"as orders-loader: {text} a file", got=said(answer), wanted="it is done", name="loader-out")  # fmt: skip
    tries = (("read", "get_object", {}), ("write", "put_object", {"Body": b"x"}), ("delete", "delete_object", {}))
    for kind, stranger in _powerful_strangers(cloud).items():
        for text, operation, more in tries:
            for key in (reports.ORDERS, reports.CUSTOMERS):
                if stranger.call("s3", operation, **bucket, Key=key, **more).allowed:
                    raise Miss(f"Any {kind} of production with s3:* can {text} {key} now. The Deny of the bucket policy kept them out: it has to stay, for everything that it was for.", tried=f"as a {kind} of production who has s3:*: {text} {key}", got="it was done", wanted="a denial", name="guard-gone")  # fmt: skip
    asked = [(f"s3:{verb}Object", f"arn:aws:s3:::{reports.BUCKET}/{key}", PRODUCTION) for verb in ("Get", "Put", "Delete") for key in (reports.ORDERS, "daily-internal/margins.csv", reports.CUSTOMERS)]  # fmt: skip
    before, now = trial.cloud(at_start=True).ask("reach", asked=asked), cloud.ask("reach", asked=asked)
    for (action, arn, _), had, have in zip(asked, before, now, strict=True):
        if more := sorted(set(have) - set(had) - {"production/report-reader", "staging/report-bot"}):
            raise Miss(f"{more[0]} reaches the bucket now, too. The list gets one name longer: that of report-reader.", tried=f"who may {action} on {arn}?", got=", ".join(more[:5]), wanted="the same as before", name="others-on-the-list")  # fmt: skip
        if gone := sorted(set(had) - set(have)):
            raise Miss(f"{gone[0]} was on the list, and is not any more.", tried=f"who may {action} on {arn}?", got="a denial", wanted="as before", name="taken-off-the-list")  # fmt: skip


def _powerful_strangers(cloud: Cloud) -> dict[str, Actor]:
    """A new user and a new role in the copy of production who may do everything in S3, as far as their own policies go."""

    def administer(operation: str, **parameters: Any) -> Mapping[str, Any]:
        return _administer(cloud, "production", "iam", operation, **parameters)

    policy = {"PolicyName": "s3", "PolicyDocument": _document(Action="s3:*", Resource="*")}
    newcomer = "somebody-new"
    administer("create_user", UserName=newcomer)
    administer("put_user_policy", UserName=newcomer, **policy)
    key = administer("create_access_key", UserName=newcomer)["AccessKey"]
    trusted = _document(Action="sts:AssumeRole", Principal={"Service": "ecs-tasks.amazonaws.com"})
    administer("create_role", RoleName=newcomer, AssumeRolePolicyDocument=trusted)
    administer("put_role_policy", RoleName=newcomer, **policy)
    return {
        "user": Actor(cloud.endpoint, key["AccessKeyId"], key["SecretAccessKey"]),
        "role": _role(cloud, "production", newcomer),
    }


# ---- 3.5 ------------------------------------------------------------------------------------------------------------

TRIAGE = "answers/3.5.csv"

eight = module.task(
    "3.5",
    "Triage",
    files=[TRIAGE, "triage"],
    stays=[TRIAGE],
    sections={CONFIG: "profile case-*", ".aws/credentials": "case-*"},
    cloud=sorted({pattern for case in triage.CASES for pattern in case.cloud}),
    hints=[
        ("The same four steps for each: read the ticket, run try.sh, read the whole message, ask who you are (aws sts "
        "get-caller-identity --profile case-1). Only then look at the mends."),
        ("The end of the message names the layer. “no identity-based policy”: identity. “explicit deny”: explicit-deny. “no permissions "
        "boundary”: boundary. “no session policy”: session. Key, token, signature: caller. AssumeRole without a reason: both sides, look at "
        "both. S3 with “Access Denied” alone: two accounts are at work."),
        ("Two accounts: either the owner has to open the door (resource), or the caller came from the wrong house or knocks at the wrong one (other-account). "
        "The ticket says which was meant."),
        ("You may run the mends: it is a sandbox. opslab.reset(\"3.5\") brings everything back. Two of the four help; the smallest "
        "is the one that opens nothing for anybody else, and nothing more for this one."),
    ],
)  # fmt: skip


def _judge(number: int) -> Callable[[Trial], None]:
    def judge(trial: Trial) -> None:
        rows = _rows(trial, TRIAGE, ("case", "layer", "mend"), [str(n) for n in range(1, triage.NUMBER + 1)])
        one = triage.draw(trial.seed)[number - 1]
        layer = rows[str(number)]["layer"].lower().replace(" ", "-").replace("_", "-")
        mend = rows[str(number)]["mend"].lower().removesuffix(".sh")
        tried = f"triage/{number}/try.sh"
        if blank := [key for key, row in rows.items() if not row["layer"] or not row["mend"]]:
            # All at once or none, so that nobody comes to the answers by trying one word after the other.
            raise Miss(f"Judged as soon as all eight lines are filled in. Still to do: {', '.join(blank)}.", tried=f"read ~/{TRIAGE}", got="empty fields", wanted="a layer and a letter in each line", name="empty")  # fmt: skip
        if layer not in triage.LAYERS:
            raise Miss("This is none of the eight layers.", tried=f"read ~/{TRIAGE}", got=layer or "nothing", wanted=", ".join(triage.LAYERS), name="no-word")  # fmt: skip
        if layer != one.case.layer:
            if (layer, one.case.layer) == ("resource", "other-account"):
                name, say = (
                    "open-or-move",
                    "Two accounts are at work. Before anybody opens a door: is this the right house, and the right visitor? The ticket says what was meant.",
                )
            elif (layer, one.case.layer) == ("other-account", "resource"):
                name, say = (
                    "meant-to-be-there",
                    "Two accounts are at work, and both are the ones that the ticket means. Who has not said yes yet?",
                )
            elif layer == "identity" and one.case.layer in ("boundary", "session", "explicit-deny"):
                name, say = (
                    "allow-is-not-enough",
                    "The Allow that you miss is there; look at the caller's policies. Something else says no, and the message names it.",
                )
            elif layer == "identity" and one.case.layer in ("resource", "trust"):
                name, say = "one-side-only", "The caller's own policies allow it. Who else has to say yes?"
            elif one.case.layer == "caller":
                name, say = (
                    "before-policies",
                    "AWS did not get as far as this layer. What is it that the message complains about?",
                )
            else:
                name, say = (
                    "wrong-layer",
                    "Not this layer. Read the message word by word, from its end, and compare the account in the caller's ARN with that of the resource.",
                )
            raise Miss(say, tried=tried, got=layer, wanted="another layer", name=name)
        if mend not in (*triage.LETTERS,):
            raise Miss("The layer is right. Now the mend: one letter, a to d.", tried=f"read ~/{TRIAGE}", got=mend or "nothing", wanted="a, b, c or d", name="no-letter")  # fmt: skip
        if mend != one.right:
            wider = one.mends[mend] is one.case.wider
            say = (
                "The layer is right, and this mend helps. It also opens more than was asked for: what else could this caller, or somebody else, do afterwards?"
                if wider
                else "The layer is right. This mend does not help: try it, and then try.sh again."
            )
            raise Miss(say, tried=tried, got=mend, wanted="another mend", name="mend-too-wide" if wider else "mend-useless")  # fmt: skip

    judge.__name__ = f"case_{number}"
    return judge


for _number in range(1, triage.NUMBER + 1):
    eight.expects(f"case {_number}: the layer, and the smallest mend", points=0.5)(_judge(_number))


# ---- 3.6 ------------------------------------------------------------------------------------------------------------

PATHS = "answers/3.6.txt"

draw = module.task(
    "3.6",
    "Draw the dots",
    files=[PATHS],
    cloud=dots.CLOUD,
    hints=[
        ("Begin at the end: whom does orders-writer trust? aws iam get-role --role-name orders-writer --query Role.AssumeRolePolicyDocument "
        "--profile production-admin. Then ask the same of each of those, until you are at people."),
        ("An arrow needs both sides when the two are in different accounts: the trust of the one and a policy of the other. "
        "In one account, a trust policy that names the ARN is enough; one that names the account (…:root) is not."),
        ("People: aws iam list-users --path-prefix /warehouse/ --profile platform-admin, then list-user-policies and get-user-policy, and "
        "list-groups-for-user. There are three ways in all; two are in the note."),
        "To close the third, cut the arrow on it that no meant way uses. Take away one statement or one name; delete nobody.",
    ],
)  # fmt: skip


def _edges(cloud: Cloud) -> set[tuple[str, str]]:
    """The arrows between those who belong to the warehouse."""
    ours = {name for path in (*dots.MEANT, *dots.UNMEANT.values()) for name in path}
    ours |= {"platform/kim", "staging/readers"}
    return {(source, target) for source, target in cloud.ask("edges") if source in ours and target in ours}


def _ways(cloud: Cloud) -> set[tuple[str, ...]]:
    _role(cloud, "production", "orders-writer")
    return {tuple(path) for path in cloud.ask("paths", target=dots.WRITER)}


def _members(cloud: Cloud) -> set[str]:
    """The users and roles of the warehouse that there are."""
    found = set()
    for account in IDS:
        for kind in ("user", "role"):
            there = _administer(cloud, account, "iam", f"list_{kind}s", PathPrefix=dots.PATH)[f"{kind.title()}s"]
            found |= {f"{account}/{one[f'{kind.title()}Name']}" for one in there}
    return found


def _shown(path: tuple[str, ...]) -> str:
    return " > ".join(path)


@draw.expects("every way to orders-writer is written down", points=1)
def paths(trial: Trial) -> None:
    start = trial.cloud(at_start=True)
    truth, arrows = _ways(start), _edges(start)
    lines = [
        line.strip() for line in trial.read(PATHS).splitlines() if line.strip() and not line.strip().startswith("#")
    ]
    if not lines:
        raise Miss(
            f"~/{PATHS} has no way in it yet.",
            tried=f"read ~/{PATHS}",
            got="no lines",
            wanted="one way a line",
            name="empty",
        )
    found = set()
    for line in lines:
        way = tuple(part.strip() for part in re.split(r"\s*(?:->|→|>)\s*", line))
        if len(way) < 2 or not all(re.fullmatch(r"(platform|staging|production)/[\w.-]+", part) for part in way):
            raise Miss("A line has not the form account/name > account/name > …", tried=f"read ~/{PATHS}", got=line, wanted="platform/ada > staging/builder > production/orders-writer", name="form")  # fmt: skip
        if way not in truth:
            _say_what_is_wrong(way, arrows)
        found.add(way)
    if missing := truth - found:
        word = "one way is" if len(missing) == 1 else f"{len(missing)} ways are"
        raise Miss(f"What stands there is right, and {word} missing. Go through everybody whom orders-writer, and each role on the way, trusts.", tried="compare with the live policies", got=f"{len(found)} of {len(truth)}", wanted=f"{len(truth)} ways", name="way-missing")  # fmt: skip


def _say_what_is_wrong(way: tuple[str, ...], arrows: set[tuple[str, str]]) -> None:
    line = _shown(way)
    if way[-1] != dots.WRITER:
        raise Miss(
            "This does not end at production/orders-writer.",
            tried=f"follow {line}",
            got=way[-1],
            wanted=dots.WRITER,
            name="wrong-end",
        )
    for source, target in itertools.pairwise(way):
        if (source, target) not in arrows:
            raise Miss(f"{source} cannot become {target}. One side may say yes; look at the other one, and for a Deny.", tried=f"as {source}: become {target}", got="a denial", wanted="only arrows that are there", name="half-an-arrow")  # fmt: skip
    raise Miss("This way begins at a role. Who can become that role? Begin at a person.", tried=f"follow {line}", got=way[0], wanted="a user", name="starts-at-role")  # fmt: skip


@draw.expects("the way that nobody meant is closed", points=1)
def closed(trial: Trial) -> None:
    unmeant = dots.UNMEANT[dots.hole(trial.seed)]
    more = _ways(trial.cloud()) - set(dots.MEANT)
    if unmeant in more:
        raise Miss("A way that is not in the note is still open.", tried="follow every arrow, in the live policies", got="more ways than two", wanted="the two ways of ~/notes/access-plan.md", name="still-open")  # fmt: skip
    if more:
        raise Miss("The old one is closed, and there is a new way that is not in the note.", tried="follow every arrow, in the live policies", got=_shown(min(more)), wanted="the two ways of ~/notes/access-plan.md", name="new-way")  # fmt: skip


@draw.expects("and everything else is as it was", points=1, needs="closed")
def nothing_broken(trial: Trial) -> None:
    ways = _ways(trial.cloud())
    for way in dots.MEANT:
        if way not in ways:
            raise Miss(f"{way[0]} cannot become orders-writer any more. That way was meant.", tried=f"follow {_shown(way)}", got="it is cut", wanted="open, as before", name="meant-way-cut")  # fmt: skip
    unmeant = dots.UNMEANT[dots.hole(trial.seed)]
    may_go = set(itertools.pairwise(unmeant))
    before, now = _edges(trial.cloud(at_start=True)), _edges(trial.cloud())
    if gone := sorted(_members(trial.cloud(at_start=True)) - _members(trial.cloud())):
        raise Miss("Somebody was deleted. They have other things to do, too: take away one statement or one name, and nobody.", tried="list the users and roles of /warehouse/", got=f"{gone[0]} is gone", wanted="everybody is there", name="somebody-deleted")  # fmt: skip
    if gone := sorted(before - now - may_go):
        raise Miss("More was cut than the way that nobody meant. opslab.reset(\"3.6\") brings it back; then cut one arrow.", tried="compare who can become whom, before and now", got=f"{_shown(gone[0])} is gone", wanted="only an arrow of the way that nobody meant is gone", name="cut-too-much")  # fmt: skip
    if new := sorted(now - before):
        raise Miss("There is an arrow that was not there before.", tried="compare who can become whom, before and now", got=_shown(new[0]), wanted="no new arrows", name="new-arrow")  # fmt: skip
    for arn in trial.cloud(at_start=True).ask("everybody"):
        if ":role/warehouse/" in arn:
            # A role that is of use to nobody any more may be given to a service; the writer is of use.
            services = set() if arn.endswith("/orders-writer") else {name for name in trial.cloud().ask("trusted", role=arn) if name.endswith(".amazonaws.com")}  # fmt: skip
            trust_is(trial, arn, services.union(trial.cloud(at_start=True).ask("trusted", role=arn)), "new-arrow")
    _nobody_new(trial)
    writer = _role(trial.cloud(), "production", "orders-writer")
    answer = here(trial, writer.call("s3", "put_object", Bucket=dots.BUCKET, Key="orders/1.csv", Body=b""))
    if not answer.allowed:
        raise Miss("Who becomes orders-writer cannot write any more. The role's own policy was fine.", tried="as orders-writer: write a file", got=said(answer), wanted="it is done", name="writer-broken")  # fmt: skip
