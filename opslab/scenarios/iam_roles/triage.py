"""Task 3.5: eight denials out of a pool, by seed. For each: which layer said no, and which of four mends is the smallest that helps.

A case is a folder on the desk: `ticket.txt` (who, what), `try.sh` (the command that is refused) and the mends `a.sh` to `d.sh`,
real commands, in an order that follows from the seed. One of them helps and opens nothing else; one helps and opens too much;
two do not help. tests/test_03_iam_roles.py runs them all.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from opslab.scenarios.iam_roles.names import PRODUCTION, REGION, STAGING, Profile, of_role, of_user, role, user
from opslab.worlds.aws.seeding import Document, Furnisher, allow, document, session_keys, statement, trust

if TYPE_CHECKING:
    from opslab.worlds.aws.organisation import Organisation

LAYERS = ("caller", "identity", "trust", "resource", "explicit-deny", "boundary", "session", "other-account")
NUMBER = 8
LETTERS = "abcd"


@dataclass(frozen=True)
class Case:
    """One denial.

    profiles  (profile name, seed) -> what stands in ~/.aws for it; "case-3" and names that begin with that
    furnish   puts it into the accounts, given as {"staging": Furnisher, …}
    command   what is refused; {p} is the profile's name
    right, wider, useless  the mends: shell commands; {p} as above, {key} the access key id of the profile
    """

    name: str
    layer: str
    ticket: str
    profiles: Callable[[str, int], list[Profile]]
    furnish: Callable[[dict[str, Furnisher]], None]
    command: str
    right: str
    wider: str
    useless: tuple[str, str]
    cloud: tuple[str, ...] = field(default=())


# ---- little helpers, so that a case reads like one ---------------------------------------------------------------------


def _put(kind: str, name: str, account: str, policy: Document, title: str = "mend") -> str:
    """The command that gives a user or role an inline policy."""
    return (
        f"aws iam put-{kind}-policy --profile {account}-admin --{kind}-name {name} --policy-name {title} \\\n"
        f"  --policy-document '{json.dumps(policy)}'"
    )


def _trusts(name: str, account: str, policy: Document) -> str:
    return (
        f"aws iam update-assume-role-policy --profile {account}-admin --role-name {name} \\\n"
        f"  --policy-document '{json.dumps(policy)}'"
    )


def _bucket_policy(bucket: str, account: str, *statements: Document) -> str:
    return (
        f"aws s3api put-bucket-policy --profile {account}-admin --bucket {bucket} \\\n"
        f"  --policy '{json.dumps(document(*statements))}'"
    )


def _for(arn: str, action: str | list[str], resource: str | list[str]) -> Document:
    """A statement of a resource-based policy."""
    return statement("Allow", action, resource, Principal="*" if arn == "*" else {"AWS": arn})


def _static(account: str, name: str) -> Callable[[str, int], list[Profile]]:
    return lambda profile, seed: [of_user(profile, seed, account, name)]


def _arn(service: str, account: str, rest: str) -> str:
    return f"arn:aws:{service}:{REGION}:{account}:{rest}"


S3 = "arn:aws:s3:::"
EVERYTHING = allow("*")


# ---- caller: AWS does not know who asks, or no longer -------------------------------------------------------------------


def _wrong_secret(profile: str, seed: int) -> list[Profile]:
    found = of_user(profile, seed, STAGING, "feed-bot")
    return [Profile(profile, {}, found.key, found.secret[::-1])]


def _feed_bot(f: dict[str, Furnisher]) -> None:
    f["staging"].bucket("targ-feeds-staging", {"otter/day.csv": "id,price\n"})
    f["staging"].user("feed-bot", {"read-feeds": allow("s3:GetObject", f"{S3}targ-feeds-staging/*")})


def _price_bot(f: dict[str, Furnisher]) -> None:
    f["staging"].bucket("targ-prices-staging", {"today.csv": "id,price\n"})
    f["staging"].user("price-bot", {"read-prices": allow("s3:GetObject", f"{S3}targ-prices-staging/*")}, active=False)


def _expired(profile: str, seed: int) -> list[Profile]:
    key, secret, token = session_keys(seed, STAGING, "rates-reader", "tuesday")
    return [Profile(profile, {}, key, secret, token), of_user(f"{profile}-me", seed, STAGING, "petra")]


def _rates(f: dict[str, Furnisher]) -> None:
    f["staging"].bucket("targ-rates-staging", {"ecb.csv": "currency,rate\n"})
    f["staging"].user("petra")
    read = {"read-rates": allow("s3:GetObject", f"{S3}targ-rates-staging/*")}
    f["staging"].role("rates-reader", trust(user(STAGING, "petra")), read)
    f["staging"].session("rates-reader", "tuesday", expired=True)


CASES = [
    Case(
        "wrong-secret", "caller",
        "Feed job, staging. The new machine has been set up by hand this morning; on the old one it runs. "
        "The feed team's vault has the secret: vault/feed-bot.",
        _wrong_secret, _feed_bot,
        "aws s3api get-object --bucket targ-feeds-staging --key otter/day.csv /dev/null --query ContentLength --profile {p}",
        'aws configure set aws_secret_access_key "$(cat ~/vault/feed-bot)" --profile {p}',
        "aws configure set aws_access_key_id \"$(aws configure get aws_access_key_id --profile staging-admin)\" --profile {p}\n"
        "aws configure set aws_secret_access_key \"$(aws configure get aws_secret_access_key --profile staging-admin)\" --profile {p}",
        (_put("user", "feed-bot", "staging", allow("s3:*", [f"{S3}targ-feeds-staging", f"{S3}targ-feeds-staging/*"])),
         _bucket_policy("targ-feeds-staging", "staging", _for(user(STAGING, "feed-bot"), "s3:GetObject", f"{S3}targ-feeds-staging/*"))),
        ("*:user/feed-bot", f"{S3}targ-feeds-staging*"),
    ),
    Case(
        "inactive-key", "caller",
        "Price job, staging. Security switched keys off last week that nobody had used for ninety days. The price job runs once "
        "a quarter. They say: yes, that one may come back.",
        _static(STAGING, "price-bot"), _price_bot,
        "aws s3api get-object --bucket targ-prices-staging --key today.csv /dev/null --query ContentLength --profile {p}",
        "aws iam update-access-key --profile staging-admin --user-name price-bot --access-key-id {key} --status Active",
        "aws iam update-access-key --profile staging-admin --user-name price-bot --access-key-id {key} --status Active\n"
        + _put("user", "price-bot", "staging", EVERYTHING),
        (_put("user", "price-bot", "staging", allow("s3:GetObject", f"{S3}targ-prices-staging/today.csv")),
         _bucket_policy("targ-prices-staging", "staging", _for(user(STAGING, "price-bot"), "s3:GetObject", f"{S3}targ-prices-staging/*"))),
        ("*:user/price-bot", f"{S3}targ-prices-staging*"),
    ),
    Case(
        "expired-session", "caller",
        "Petra, analyst. On Tuesday she pasted the three lines of an assumed role into her credentials file. It worked, on Tuesday.",
        _expired, _rates,
        "aws s3api get-object --bucket targ-rates-staging --key ecb.csv /dev/null --query ContentLength --profile {p}",
        "# let the CLI become the role by itself, whenever that is needed\n"
        f"aws configure set role_arn {role(STAGING, 'rates-reader')} --profile {{p}}\n"
        "aws configure set source_profile {p}-me --profile {p}",
        "aws configure set role_arn " + role(STAGING, "rates-reader") + " --profile {p}\n"
        "aws configure set source_profile {p}-me --profile {p}\n"
        + _trusts("rates-reader", "staging", trust("*")),
        (_put("role", "rates-reader", "staging", allow("s3:*", f"{S3}targ-rates-staging/*")),
         _put("user", "petra", "staging", allow("sts:AssumeRole", role(STAGING, "rates-reader")))),
        ("*:user/petra", "*:role/rates-reader"),
    ),
]  # fmt: skip


# ---- identity: nothing the caller has allows it -------------------------------------------------------------------------


def _listings(f: dict[str, Furnisher]) -> None:
    f["staging"].bucket("targ-listings-staging", {"bikes/1.json": "{}", "drafts/2.json": "{}"})
    f["staging"].user("listing-bot", {"read": allow("s3:GetObject", f"{S3}targ-listings-staging/bikes/")})


def _events_writer(f: dict[str, Furnisher]) -> None:
    for name in ("events", "events-test"):
        f["staging"].stream(name)
    f["staging"].user(
        "events-bot",
        {"stream": allow(["kinesis:Describe*", "kinesis:Get*"], _arn("kinesis", STAGING, "stream/events"))},
    )


def _db_reader(f: dict[str, Furnisher]) -> None:
    f["staging"].secret("reports/db", "made up")
    f["staging"].secret("reports/db-owner", "made up too")
    f["staging"].user(
        "db-reader",
        {"read-secret": allow("secretsmanager:GetSecretValue", _arn("secretsmanager", STAGING, "secret:reports/db"))},
    )


CASES += [
    Case(
        "folder-is-no-object", "identity",
        "Listings job, staging. It is to read what lies in bikes/, and somebody gave it a policy for exactly that, they say.",
        _static(STAGING, "listing-bot"), _listings,
        "aws s3api get-object --bucket targ-listings-staging --key bikes/1.json /dev/null --query ContentLength --profile {p}",
        _put("user", "listing-bot", "staging", allow("s3:GetObject", f"{S3}targ-listings-staging/bikes/*"), "read"),
        _put("user", "listing-bot", "staging", allow("s3:GetObject", f"{S3}*"), "read"),
        (_put("user", "listing-bot", "staging", allow("s3:ListBucket", f"{S3}targ-listings-staging")),
         _put("user", "listing-bot", "staging", allow("s3:GetObject", f"{S3}targ-listings-staging"))),
        ("*:user/listing-bot",),
    ),
    Case(
        "other-verb", "identity",
        "Events job, staging. It reads the stream events without trouble. Since today it also has to write one record to it.",
        _static(STAGING, "events-bot"), _events_writer,
        "aws kinesis put-record --stream-name events --partition-key a --data aGk= --profile {p}",
        _put("user", "events-bot", "staging", allow("kinesis:PutRecord", _arn("kinesis", STAGING, "stream/events"))),
        _put("user", "events-bot", "staging", allow("kinesis:*")),
        (_put("user", "events-bot", "staging", allow("kinesis:PutRecord", _arn("kinesis", STAGING, "stream/events-test"))),
         _put("user", "events-bot", "staging", allow("kinesis:List*"))),
        ("*:user/events-bot",),
    ),
    Case(
        "six-letters", "identity",
        "Reports, staging. The policy names the secret reports/db, letter by letter, and nothing else: that was the wish of security.",
        _static(STAGING, "db-reader"), _db_reader,
        "aws secretsmanager get-secret-value --secret-id reports/db --query Name --profile {p}",
        "# AWS ends the ARN of a secret with a hyphen and six letters; a ? stands for one letter\n"
        + _put("user", "db-reader", "staging", allow("secretsmanager:GetSecretValue", _arn("secretsmanager", STAGING, "secret:reports/db-??????")), "read-secret"),
        _put("user", "db-reader", "staging", allow("secretsmanager:GetSecretValue", _arn("secretsmanager", STAGING, "secret:*")), "read-secret"),
        (_put("user", "db-reader", "staging", allow("secretsmanager:ListSecrets")),
         _put("user", "db-reader", "staging", allow("kms:Decrypt"))),
        ("*:user/db-reader",),
    ),
]  # fmt: skip


# ---- trust: the role does not know the caller ----------------------------------------------------------------------------


def _tom(f: dict[str, Furnisher]) -> None:
    f["staging"].user("tomasz.old")
    f["staging"].user("tomasz", {"become": allow("sts:AssumeRole", role(STAGING, "forecast"))})
    f["staging"].role(
        "forecast", trust(user(STAGING, "tomasz.old")), {"read": allow("s3:GetObject", f"{S3}targ-rates-staging/*")}
    )


def _partner(f: dict[str, Furnisher]) -> None:
    f["staging"].user("partner-sync", {"become": allow("sts:AssumeRole", role(PRODUCTION, "partner-export"))})
    condition = {"StringEquals": {"sts:ExternalId": "otter-4411"}}
    f["production"].role("partner-export", trust(user(STAGING, "partner-sync"), condition=condition))


CASES += [
    Case(
        "renamed", "trust",
        "Tomasz, analyst. He got a new user name when he changed teams. His own policies have moved with him, he checked them twice.",
        lambda p, seed: [of_user(f"{p}-me", seed, STAGING, "tomasz"), of_role(p, role(STAGING, "forecast"), f"{p}-me")], _tom,
        "aws sts get-caller-identity --profile {p}",
        _trusts("forecast", "staging", trust(user(STAGING, "tomasz"))),
        _trusts("forecast", "staging", trust("*")),
        (_put("user", "tomasz", "staging", allow("sts:*", role(STAGING, "forecast"))),
         _put("role", "forecast", "staging", allow("sts:AssumeRole"))),
        ("*:user/tomasz*", "*:role/forecast"),
    ),
    Case(
        "no-external-id", "trust",
        "Partner sync, from staging into production. The role's owner says: our role has not changed. You say the agreed word, "
        "otter-4411, when you come, do you?",
        lambda p, seed: [of_user(f"{p}-me", seed, STAGING, "partner-sync"), of_role(p, role(PRODUCTION, "partner-export"), f"{p}-me")], _partner,
        "aws sts get-caller-identity --profile {p}",
        "aws configure set external_id otter-4411 --profile {p}",
        _trusts("partner-export", "production", trust(f"arn:aws:iam::{STAGING}:root")),
        (_put("user", "partner-sync", "staging", allow("sts:*", role(PRODUCTION, "partner-export"))),
         "aws configure set role_session_name otter-4411 --profile {p}"),
        ("*:user/partner-sync", "*:role/partner-export"),
    ),
]  # fmt: skip


# ---- resource: the owner of the thing, in another account, does not let the caller in ----------------------------------


def _invoices(f: dict[str, Furnisher]) -> None:
    f["production"].bucket("targ-invoices-production", {"2026/1.csv": "id\n", "tax/1.csv": "id\n"})
    f["staging"].user("invoice-check", {"read": allow("s3:GetObject", f"{S3}targ-invoices-production/2026/*")})


def _alerts(f: dict[str, Furnisher]) -> None:
    f["production"].queue("alerts")
    f["staging"].user("alert-bot", {"send": allow("sqs:SendMessage", _arn("sqs", PRODUCTION, "alerts"))})


def _queue_policy(arn: str, action: str) -> str:
    attributes = json.dumps({"Policy": json.dumps(document(_for(arn, action, _arn("sqs", PRODUCTION, "alerts"))))})
    return (
        "aws sqs set-queue-attributes --profile production-admin \\\n"
        f"  --queue-url http://127.0.0.1/{PRODUCTION}/alerts --attributes '{attributes}'"
    )


CASES += [
    Case(
        "no-bucket-policy", "resource",
        "Invoice check. A user in staging is meant to read 2026/ of production's invoices. Staging's platform team gave it the "
        "policy last week. Production has not heard of it.",
        _static(STAGING, "invoice-check"), _invoices,
        "aws s3api get-object --bucket targ-invoices-production --key 2026/1.csv /dev/null --query ContentLength --profile {p}",
        _bucket_policy("targ-invoices-production", "production", _for(user(STAGING, "invoice-check"), "s3:GetObject", f"{S3}targ-invoices-production/2026/*")),
        _bucket_policy("targ-invoices-production", "production", _for(f"arn:aws:iam::{STAGING}:root", "s3:*", f"{S3}targ-invoices-production/*")),
        (_put("user", "invoice-check", "staging", allow("s3:*")),
         _put("user", "invoice-check", "staging", allow("sts:AssumeRole", f"arn:aws:iam::{PRODUCTION}:role/*"))),
        ("*:user/invoice-check", f"{S3}targ-invoices-production*"),
    ),
    Case(
        "no-queue-policy", "resource",
        "Alerts. A user in staging is meant to send messages to production's queue alerts. In staging all is set up.",
        _static(STAGING, "alert-bot"), _alerts,
        f"aws sqs send-message --queue-url http://127.0.0.1/{PRODUCTION}/alerts --message-body hello --profile {{p}}",
        _queue_policy(user(STAGING, "alert-bot"), "sqs:SendMessage"),
        _queue_policy("*", "sqs:*"),
        (_put("user", "alert-bot", "staging", allow("sqs:*")), _queue_policy(user(STAGING, "alert-bot"), "sqs:GetQueueUrl")),
        ("*:user/alert-bot", "arn:aws:sqs:*:alerts"),
    ),
]  # fmt: skip


# ---- explicit-deny: somebody has said no, and no Allow beats that ----------------------------------------------------------


def _ruta(f: dict[str, Furnisher]) -> None:
    deny = statement("Deny", "s3:PutObject", f"{S3}targ-uploads-staging/*")
    f["staging"].bucket("targ-uploads-staging")
    f["staging"].group("read-only-trial", {"no-writing": document(deny)})
    # Somebody else is on trial as well: the wider mend lets him write, too.
    f["staging"].user(
        "pavel", {"uploads": allow("s3:PutObject", f"{S3}targ-uploads-staging/pavel/*")}, groups=["read-only-trial"]
    )
    f["staging"].user(
        "ruta", {"uploads": allow("s3:PutObject", f"{S3}targ-uploads-staging/ruta/*")}, groups=["read-only-trial"]
    )


def _labels(f: dict[str, Furnisher]) -> None:
    guard = statement(
        "Deny", "s3:PutObject", f"{S3}targ-labels-staging/*", Sid="EncryptedOnly", Principal="*",
        Condition={"StringNotEquals": {"s3:x-amz-server-side-encryption": "AES256"}},
    )  # fmt: skip
    f["staging"].bucket("targ-labels-staging", policy=document(guard))
    f["staging"].user("label-bot", {"write": allow("s3:PutObject", f"{S3}targ-labels-staging/*")})


CASES += [
    Case(
        "group-says-no", "explicit-deny",
        "Ruta. Her trial month is over, she writes to her own folder now: her policy says so. And still she cannot.",
        _static(STAGING, "ruta"), _ruta,
        "echo hi | aws s3 cp - s3://targ-uploads-staging/ruta/hi.txt --profile {p}",
        "aws iam remove-user-from-group --profile staging-admin --group-name read-only-trial --user-name ruta",
        "aws iam delete-group-policy --profile staging-admin --group-name read-only-trial --policy-name no-writing",
        (_put("user", "ruta", "staging", allow("s3:*", f"{S3}targ-uploads-staging/*")),
         _bucket_policy("targ-uploads-staging", "staging", _for(user(STAGING, "ruta"), "s3:PutObject", f"{S3}targ-uploads-staging/ruta/*"))),
        ("*:user/ruta", "*:group/read-only-trial", f"{S3}targ-uploads-staging*"),
    ),
    Case(
        "encrypted-only", "explicit-deny",
        "Label job, staging. The bucket's owners want everything in it encrypted by S3 (AES256), and the job said: will do.",
        _static(STAGING, "label-bot"), _labels,
        'echo hi | aws s3 cp - s3://targ-labels-staging/hi.txt $OPTIONS --profile {p}    # OPTIONS stand in options.txt',
        'echo "--sse AES256" > options.txt',
        "aws s3api delete-bucket-policy --profile staging-admin --bucket targ-labels-staging",
        (_put("user", "label-bot", "staging", allow("s3:*", f"{S3}targ-labels-staging/*")),
         _put("user", "label-bot", "staging", allow("kms:*"))),
        ("*:user/label-bot", f"{S3}targ-labels-staging*"),
    ),
]  # fmt: skip


# ---- boundary: allowed, but beyond what this caller may ever be allowed ----------------------------------------------------


def _notebook(f: dict[str, Furnisher]) -> None:
    boundary = f["staging"].policy("notebook-boundary", allow(["s3:*", "athena:*"]))
    f["staging"].parameter("/notebooks/theme", "dark")
    parameter = _arn("ssm", STAGING, "parameter/notebooks/*")
    f["staging"].user("notebook-7", {"settings": allow("ssm:GetParameter", parameter)}, boundary=boundary)


def _scorer(f: dict[str, Furnisher]) -> None:
    boundary = f["staging"].policy("models-boundary", allow(["s3:Get*", "s3:List*"]))
    f["staging"].bucket("targ-scores-staging")
    f["staging"].user(
        "scorer", {"write-scores": allow("s3:PutObject", f"{S3}targ-scores-staging/*")}, boundary=boundary
    )


def _boundary_version(name: str, policy: Document) -> str:
    arn = f"arn:aws:iam::{STAGING}:policy/{name}"
    return (
        f"aws iam create-policy-version --profile staging-admin --set-as-default --policy-arn {arn} \\\n"
        f"  --policy-document '{json.dumps(policy)}'"
    )


CASES += [
    Case(
        "boundary-ssm", "boundary",
        "Notebook server, staging. Its policy lets it read its settings from Parameter Store. You can see the Allow with your own eyes.",
        _static(STAGING, "notebook-7"), _notebook,
        "aws ssm get-parameter --name /notebooks/theme --query Parameter.Value --profile {p}",
        _boundary_version("notebook-boundary", document(statement("Allow", ["s3:*", "athena:*"], "*"), statement("Allow", "ssm:GetParameter", _arn("ssm", STAGING, "parameter/notebooks/*")))),
        "aws iam delete-user-permissions-boundary --profile staging-admin --user-name notebook-7",
        (_put("user", "notebook-7", "staging", allow("ssm:*")), _put("user", "notebook-7", "staging", EVERYTHING)),
        ("*:user/notebook-7", "*:policy/notebook-boundary"),
    ),
    Case(
        "boundary-s3", "boundary",
        "Scoring job, staging. Until now it read. Now it also has to write scores, and got the policy for it.",
        _static(STAGING, "scorer"), _scorer,
        "echo 1 | aws s3 cp - s3://targ-scores-staging/1.txt --profile {p}",
        _boundary_version("models-boundary", document(statement("Allow", ["s3:Get*", "s3:List*"], "*"), statement("Allow", "s3:PutObject", f"{S3}targ-scores-staging/*"))),
        _boundary_version("models-boundary", EVERYTHING),
        (_put("user", "scorer", "staging", allow("s3:*", [f"{S3}targ-scores-staging", f"{S3}targ-scores-staging/*"])),
         _bucket_policy("targ-scores-staging", "staging", _for(f"arn:aws:iam::{STAGING}:root", "s3:PutObject", f"{S3}targ-scores-staging/*"))),
        ("*:user/scorer", "*:policy/models-boundary", f"{S3}targ-scores-staging*"),
    ),
]  # fmt: skip


# ---- session: the role may, but this session of it was started with less -------------------------------------------------


def _scheduler(name: str, session: str) -> Callable[[str, int], list[Profile]]:
    def found(profile: str, seed: int) -> list[Profile]:
        return [
            Profile(profile, {}, *session_keys(seed, STAGING, name, session)),
            of_user(f"{profile}-scheduler", seed, STAGING, f"{name}-scheduler"),
        ]

    return found


def _new_session(name: str, policy: Document | None) -> str:
    """Let the scheduler start the session anew, with another session policy or without one."""
    passed = f" \\\n  --policy '{json.dumps(policy)}'" if policy else ""
    return (
        f"set -- $(aws sts assume-role --profile {{p}}-scheduler --role-arn {role(STAGING, name)} --role-session-name nightly \\\n"
        f"  --query 'Credentials.[AccessKeyId,SecretAccessKey,SessionToken]' --output text{passed})\n"
        "aws configure set aws_access_key_id $1 --profile {p}\n"
        "aws configure set aws_secret_access_key $2 --profile {p}\n"
        "aws configure set aws_session_token $3 --profile {p}"
    )


def _nightly(f: dict[str, Furnisher]) -> None:
    f["staging"].user("nightly-scheduler")
    f["staging"].bucket("targ-nightly-staging", {"in/1.csv": "id\n"})
    may = allow(
        ["s3:GetObject", "s3:ListBucket", "s3:DeleteObject"],
        [f"{S3}targ-nightly-staging", f"{S3}targ-nightly-staging/*"],
    )
    f["staging"].role("nightly", trust(user(STAGING, "nightly-scheduler")), {"nightly": may})
    f["staging"].session("nightly", "nightly", policy=allow("s3:ListBucket", f"{S3}targ-nightly-staging"))


def _mailer(f: dict[str, Furnisher]) -> None:
    f["staging"].user("mailer-scheduler")
    f["staging"].queue("mails")
    f["staging"].role(
        "mailer", trust(user(STAGING, "mailer-scheduler")), {"mails": allow("sqs:*", _arn("sqs", STAGING, "mails"))}
    )
    f["staging"].session("mailer", "nightly", policy=allow("sqs:GetQueueAttributes"))


CASES += [
    Case(
        "session-s3", "session",
        "Nightly job. Its role may read and list and delete, everybody has looked. The scheduler starts the job, with a session of "
        "that role and a session policy: least privilege, they call it.",
        _scheduler("nightly", "nightly"), _nightly,
        "aws s3api get-object --bucket targ-nightly-staging --key in/1.csv /dev/null --query ContentLength --profile {p}",
        _new_session("nightly", allow(["s3:ListBucket", "s3:GetObject"], [f"{S3}targ-nightly-staging", f"{S3}targ-nightly-staging/*"])),
        _new_session("nightly", None),
        (_put("role", "nightly", "staging", allow("s3:*", f"{S3}targ-nightly-staging/*")),
         _put("user", "nightly-scheduler", "staging", allow("s3:GetObject", f"{S3}targ-nightly-staging/*"))),
        ("*:role/nightly", "*:user/nightly-scheduler"),
    ),
    Case(
        "session-sqs", "session",
        "Mailer. The role has sqs:* on its queue. The scheduler passes a session policy when it starts the job, since Monday.",
        _scheduler("mailer", "nightly"), _mailer,
        f"aws sqs send-message --queue-url http://127.0.0.1/{STAGING}/mails --message-body hello --profile {{p}}",
        _new_session("mailer", allow(["sqs:GetQueueAttributes", "sqs:SendMessage"], _arn("sqs", STAGING, "mails"))),
        _new_session("mailer", EVERYTHING),
        (_put("role", "mailer", "staging", EVERYTHING), _new_session("mailer", allow("sqs:ReceiveMessage"))),
        ("*:role/mailer", "*:user/mailer-scheduler"),
    ),
]  # fmt: skip


# ---- other-account: the right person in the wrong house -------------------------------------------------------------------


def _heat(f: dict[str, Furnisher]) -> None:
    f["staging"].bucket("targ-heatmaps-staging", {"home.json": "{}"})
    read = {"read": allow("s3:GetObject", f"{S3}targ-heatmaps-staging/*")}
    f["staging"].user("sofia", read)
    f["production"].user("sofia", read)


def _audit(f: dict[str, Furnisher]) -> None:
    may = {"become": allow("sts:AssumeRole", [role(STAGING, "log-reader"), role(PRODUCTION, "log-reader")])}
    f["staging"].user("henrik", may)
    f["staging"].role("log-reader", trust(user(STAGING, "henrik")), {"logs": allow("logs:Get*")})


CASES += [
    Case(
        "wrong-profile", "other-account",
        "Sofia reads staging's heatmaps with her user in staging. She also has one in production. Since she tidied up her profiles "
        "it does not work any more.",
        lambda p, seed: [of_user(p, seed, PRODUCTION, "sofia"), of_user(f"{p}-old", seed, STAGING, "sofia")], _heat,
        "aws s3api get-object --bucket targ-heatmaps-staging --key home.json /dev/null --query ContentLength --profile {p}",
        "for name in aws_access_key_id aws_secret_access_key; do\n"
        '  aws configure set $name "$(aws configure get $name --profile {p}-old)" --profile {p}\n'
        "done",
        _bucket_policy("targ-heatmaps-staging", "staging", _for(f"arn:aws:iam::{PRODUCTION}:root", "s3:*", f"{S3}targ-heatmaps-staging/*")),
        (_put("user", "sofia", "production", allow("s3:*")),
         _put("user", "sofia", "staging", allow("s3:GetObject", f"{S3}targ-heatmaps-staging/home.json"))),
        ("*:user/sofia", f"{S3}targ-heatmaps-staging*"),
    ),
    Case(
        "wrong-number", "other-account",
        "Henrik wants to read logs in staging and copied the role's ARN from production's wiki. There is a log-reader in staging only.",
        lambda p, seed: [of_user(f"{p}-me", seed, STAGING, "henrik"), of_role(p, role(PRODUCTION, "log-reader"), f"{p}-me")], _audit,
        "aws sts get-caller-identity --profile {p}",
        f"aws configure set role_arn {role(STAGING, 'log-reader')} --profile {{p}}",
        f"aws iam create-role --profile production-admin --role-name log-reader \\\n  --assume-role-policy-document '{json.dumps(trust(f'arn:aws:iam::{STAGING}:root'))}'",
        (_put("user", "henrik", "staging", allow("sts:*")),
         _trusts("log-reader", "staging", trust(f"arn:aws:iam::{STAGING}:root"))),
        ("*:user/henrik", "*:role/log-reader"),
    ),
]  # fmt: skip


# ---- eight of them -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Drawn:
    """A case as a learner meets it. mends: by letter, the commands; right: the letter of the smallest that helps."""

    number: int
    case: Case
    mends: dict[str, str]
    right: str

    @property
    def profile(self) -> str:
        return f"case-{self.number}"


def draw(seed: int) -> list[Drawn]:
    """The eight cases of a seed: at least six layers, none more than twice."""
    rng = random.Random(f"triage {seed}")
    by_layer = {
        layer: rng.sample(group, len(group)) for layer in LAYERS if (group := [c for c in CASES if c.layer == layer])
    }
    twice = rng.sample(sorted(by_layer), 2)
    without = rng.sample([layer for layer in by_layer if layer not in twice], 2)
    chosen = [by_layer[layer][0] for layer in by_layer if layer not in without] + [
        by_layer[layer][1] for layer in twice
    ]
    rng.shuffle(chosen)
    drawn = []
    for number, case in enumerate(chosen, 1):
        mends = [case.right, case.wider, *case.useless]
        rng.shuffle(mends)
        lettered = dict(zip(LETTERS, mends, strict=True))
        drawn.append(
            Drawn(number, case, lettered, next(letter for letter, mend in lettered.items() if mend is case.right))
        )
    return drawn


def profiles(seed: int) -> list[Profile]:
    """What this part puts into ~/.aws."""
    return [profile for one in draw(seed) for profile in one.case.profiles(one.profile, seed)]


def furnish(aws: Organisation) -> None:
    """The eight cases of the organisation's seed."""
    furnish_cases(aws, [one.case for one in draw(aws.seed)])


def furnish_cases(aws: Organisation, cases: list[Case]) -> None:
    """Put cases there."""
    accounts = {name: Furnisher(aws, name) for name in aws.accounts}
    for case in cases:
        case.furnish(accounts)


def files(seed: int) -> dict[str, str]:
    """What lies on the desk for the eight cases, by path."""
    found = {}
    for one in draw(seed):
        found |= files_of(one, seed)
    return found


def files_of(one: Drawn, seed: int) -> dict[str, str]:
    """What lies on the desk for one case."""
    place = f"triage/{one.number}"
    key = next(profile.key for profile in one.case.profiles(one.profile, seed) if profile.key)
    found = {f"{place}/ticket.txt": one.case.ticket + "\n"}
    command = one.case.command
    if "$OPTIONS" in command:
        found[f"{place}/options.txt"] = "\n"
        command = f"OPTIONS=$(cat options.txt)\n{command}"
    scripts = {"try": command, **one.mends}
    for name, text in scripts.items():
        filled = text.replace("{p}", one.profile).replace("{key}", key)
        found[f"{place}/{name}.sh"] = f'#!/usr/bin/env bash\nset -euo pipefail\ncd "$(dirname "$0")"\n{filled}\n'
    return found
