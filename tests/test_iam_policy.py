"""The evaluator, rule by rule, with the examples of the AWS documentation where it gives some."""

from __future__ import annotations

import doctest
import importlib
import random
import re

import pytest

from opslab.worlds.aws import policy
from opslab.worlds.aws.explain import of_decision
from opslab.worlds.aws.policy import Policies, Policy, Principal, Request, condition_holds, evaluate, like, match_arn

A, B = "111111111111", "222222222222"
USER = f"arn:aws:iam::{A}:user/ana"
ROLE = f"arn:aws:iam::{A}:role/etl"
SESSION = f"arn:aws:sts::{A}:assumed-role/etl/monday"
ROOT = f"arn:aws:iam::{A}:root"
ANA = Principal(USER, A, "user")
ETL = Principal(SESSION, A, "role", ROLE)
OBJECT = "arn:aws:s3:::clicks/2026/a.csv"


def statement(effect: str = "Allow", action: object = "*", resource: object = "*", **more: object) -> dict:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def doc(*statements: dict, version: str = "2012-10-17") -> Policy:
    return Policy.parse({"Version": version, "Statement": list(statements)}, "p")


def ask(
    who: Principal = ANA, action: str = "s3:GetObject", resource: str = OBJECT, owner: str = A, **context: object
) -> Request:
    return Request(who, action, resource, owner, {key.replace("__", ":"): value for key, value in context.items()})


def allowed(identity: Policy | None = None, request: Request | None = None, **policies: object) -> bool:
    found = Policies(identity=(identity,) if identity else (), **policies)  # type: ignore[arg-type]
    return evaluate(request or ask(), found).allowed


S3 = doc(statement(action="s3:*"))
EC2 = doc(statement(action="ec2:*"))


def grants(who: object, effect: str = "Allow", element: str = "Principal", action: str = "s3:*") -> Policy:
    return doc({"Effect": effect, element: who, "Action": action, "Resource": "*"})


# --- statements --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("element", "pattern", "applies"),
    [
        ("Action", "s3:GetObject", True),
        ("Action", "S3:getobject", True),  # actions are not case-sensitive
        ("Action", "s3:Get*", True),
        ("Action", "s3:?etObject", True),
        ("Action", "s3:GetObject?", False),
        ("Action", ["s3:PutObject", "s3:Get*"], True),
        ("Action", "*", True),
        ("NotAction", "s3:Put*", True),
        ("NotAction", "s3:*", False),
        ("Resource", OBJECT, True),
        ("Resource", OBJECT.upper(), False),  # resources are
        ("Resource", "arn:aws:s3:::clicks/*", True),
        ("Resource", "arn:aws:s3:::clicks/????/a.csv", True),
        ("Resource", "arn:aws:s3:::clicks", False),
        ("Resource", "arn:aws:s3:::clicks/2026/aXcsv", False),  # a dot is a dot
        ("Resource", "arn:aws:s3:::clicks/2026/a?csv", True),
        ("Resource", "arn:aws:s3:::*", True),
        ("NotResource", "arn:aws:s3:::logs/*", True),
        ("NotResource", "arn:aws:s3:::clicks/*", False),
    ],
)
def test_actions_and_resources(element: str, pattern: object, applies: bool) -> None:
    one = statement()
    del one[element.removeprefix("Not")]
    one[element] = pattern
    assert allowed(doc(one)) is applies


def test_an_incomplete_arn_gets_stars() -> None:
    assert match_arn("arn:aws:sqs", "arn:aws:sqs:us-east-2:111111111111:q")
    assert match_arn("arn:aws:sqs:us-east-2", "arn:aws:sqs:us-east-2:111111111111:q")
    assert not match_arn("arn:aws:sqs:us-east-1", "arn:aws:sqs:us-east-2:111111111111:q")


def test_a_star_stays_in_its_part_of_the_arn() -> None:
    assert not match_arn("arn:aws:dynamodb:*:table/x", f"arn:aws:dynamodb:eu-west-1:{A}:table/x")
    assert match_arn("arn:aws:dynamodb:*:*:table/x", f"arn:aws:dynamodb:eu-west-1:{A}:table/x")


def test_an_action_without_a_resource_needs_a_star() -> None:
    listing = ask(action="s3:ListAllMyBuckets", resource="*")
    assert allowed(S3, listing)
    assert not allowed(doc(statement(resource="arn:aws:s3:::clicks")), listing)
    assert not allowed(doc(statement(resource="arn:aws:s3:::*")), listing)


def test_a_deny_beats_every_allow() -> None:
    decision = evaluate(ask(), Policies(identity=(S3, doc(statement("Deny", "s3:GetObject", Sid="NoReading")))))
    assert (decision.allowed, decision.explicit, decision.layer) == (False, True, "identity")
    assert decision.statement is not None and decision.statement.sid == "NoReading"
    assert decision.because == "with an explicit deny in an identity-based policy"


# --- variables ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resource", "context", "expected"),
    [
        ("arn:aws:s3:::clicks/${aws:username}/*", {"aws:username": "2026"}, True),
        ("arn:aws:s3:::clicks/${aws:username}/*", {"aws:username": "2025"}, False),
        ("arn:aws:s3:::clicks/${AWS:UserName}/*", {"aws:username": "2026"}, True),  # names are not case-sensitive
        ("arn:aws:s3:::clicks/${aws:PrincipalTag/team}*", {}, False),  # no value matches nothing
        ("arn:aws:s3:::clicks/${aws:PrincipalTag/team, '2026'}/*", {}, True),
        ("arn:aws:s3:::clicks/${aws:PrincipalTag/team, '2026'}/*", {"aws:PrincipalTag/team": "x"}, False),
        ("arn:aws:s3:::clicks/${aws:PrincipalTag/team}", {"aws:PrincipalTag/team": "*"}, False),  # not a wildcard
        ("arn:aws:s3:::clicks/2026/a${*}csv", {}, False),
        ("arn:aws:s3:::clicks/${aws:TagKeys}/*", {"aws:TagKeys": ["2026", "x"]}, False),  # single-valued keys only
    ],
)
def test_policy_variables(resource: str, context: dict, expected: bool) -> None:
    request = Request(ANA, "s3:GetObject", OBJECT, A, context)
    assert allowed(doc(statement(resource=resource)), request) is expected


def test_special_characters_are_plain() -> None:
    for plain in ("*", "?", "$"):
        request = ask(resource=f"arn:aws:s3:::clicks/{plain}")
        assert allowed(doc(statement(resource=f"arn:aws:s3:::clicks/${{{plain}}}")), request)


def test_variables_are_plain_text_before_2012() -> None:
    request = ask(aws__username="2026")
    old = doc(statement(resource="arn:aws:s3:::clicks/${aws:username}/*"), version="2008-10-17")
    assert not allowed(old, request)


def test_a_variable_without_a_value_spoils_its_statement() -> None:
    by_team = {"StringNotEquals": {"aws:RequestedRegion": "${aws:PrincipalTag/region}"}}
    assert not allowed(doc(statement(Condition=by_team)), ask(aws__RequestedRegion="eu-west-1"))
    outside = {"Effect": "Deny", "Action": "*", "NotResource": "arn:aws:s3:::clicks/${aws:PrincipalTag/team}/*"}
    assert evaluate(ask(), Policies(identity=(S3, doc(outside)))).allowed


# --- conditions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operator", "wanted", "have", "expected"),
    [
        ("StringEquals", "a", "a", True),
        ("StringEquals", "a", "A", False),
        ("StringEquals", ["a", "b"], "b", True),
        ("StringEquals", "a", None, False),
        ("stringequals", "a", "a", True),
        ("StringNotEquals", "a", "b", True),
        ("StringNotEquals", ["a", "b"], "b", False),
        ("StringNotEquals", "a", None, True),
        ("StringEqualsIgnoreCase", "a", "A", True),
        ("StringNotEqualsIgnoreCase", "a", "A", False),
        ("StringLike", "a*c", "abc", True),
        ("StringLike", "a?c", "abbc", False),
        ("StringLike", "a*", None, False),
        ("StringNotLike", "a*", "abc", False),
        ("StringNotLike", "a*", None, True),
        ("StringEqualsIfExists", "a", None, True),
        ("StringEqualsIfExists", "a", "b", False),
        ("StringLikeIfExists", "a*", None, True),
        ("StringNotEqualsIfExists", "a", None, True),
        ("NumericEquals", "5", "5.0", True),
        ("NumericNotEquals", "5", "6", True),
        ("NumericNotEquals", "5", None, True),
        ("NumericLessThan", "5", "4", True),
        ("NumericLessThan", "5", "5", False),
        ("NumericLessThanEquals", "5", "5", True),
        ("NumericGreaterThan", "5", "6", True),
        ("NumericGreaterThanEquals", "5", "5", True),
        ("NumericLessThan", "5", "many", False),
        ("DateEquals", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", True),
        ("DateEquals", "2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00Z", True),
        ("DateNotEquals", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", True),
        ("DateLessThan", "2026-01-01", "2025-12-31T23:59:59Z", True),
        ("DateLessThan", "1767225600", "2025-12-31T23:59:59Z", True),
        ("DateLessThanEquals", "2026-01-01", "2026-01-01T00:00:00Z", True),
        ("DateGreaterThan", "2026-01-01", "2026-01-01T00:00:01Z", True),
        ("DateGreaterThanEquals", "2026", "2026-01-01T00:00:00Z", True),
        ("Bool", "true", "true", True),
        ("Bool", True, "true", True),
        ("Bool", "false", None, False),
        ("BoolIfExists", "true", None, True),
        ("BinaryEquals", "QmluYXJ5", "QmluYXJ5", True),
        ("BinaryEquals", "QmluYXJ5", "Qmlu", False),
        ("IpAddress", "203.0.113.0/24", "203.0.113.9", True),
        ("IpAddress", "203.0.113.0/24", "203.0.114.9", False),
        ("IpAddress", "203.0.113.9", "203.0.113.9", True),
        ("IpAddress", "2001:db8::/32", "2001:db8::1", True),
        ("NotIpAddress", "203.0.113.0/24", "203.0.113.9", False),
        ("NotIpAddress", "203.0.113.0/24", None, True),
        ("ArnEquals", "arn:aws:sns:*:*:x", "arn:aws:sns:eu-west-1:1:x", True),
        ("ArnLike", "arn:aws:iam::*:role/*", ROLE, True),
        ("ArnLike", "arn:aws:iam:*:role/*", ROLE, False),  # part by part
        ("ArnNotEquals", ROLE, ROLE, False),
        ("ArnNotLike", "arn:aws:iam::*:user/*", ROLE, True),
        ("ArnNotLike", ROLE, None, True),
        ("Null", "true", None, True),
        ("Null", "true", "x", False),
        ("Null", "false", "x", True),
        ("Null", False, None, False),
        ("ForAllValues:StringEquals", ["a", "b"], ["a"], True),
        ("ForAllValues:StringEquals", ["a", "b"], ["a", "c"], False),
        ("ForAllValues:StringEquals", "a", None, True),  # the trap: no values at all satisfy it
        ("ForAllValues:StringNotEquals", "a", ["b", "c"], True),
        ("ForAllValues:StringNotEquals", "a", ["a", "c"], False),
        ("ForAllValues:StringLike", "a*", ["ab", "ac"], True),
        ("ForAnyValue:StringEquals", "a", ["b", "a"], True),
        ("ForAnyValue:StringEquals", "a", ["b"], False),
        ("ForAnyValue:StringEquals", "a", None, False),
        ("ForAnyValue:StringEqualsIfExists", "a", None, True),
        ("ForAnyValue:StringNotEquals", "a", ["a", "b"], True),
        ("ForAnyValue:StringNotEquals", "a", None, False),
        ("StringEquals", "a", ["a", "b"], False),  # a key with several values needs one of the two
    ],
)
def test_condition_operators(operator: str, wanted: object, have: object, expected: bool) -> None:
    request = Request(ANA, "s3:GetObject", OBJECT, A, {} if have is None else {"test:key": have})  # type: ignore[dict-item]
    values = doc(statement(Condition={operator: {"TEST:Key": wanted}})).statements[0].conditions[0][2]
    assert condition_holds(operator, "TEST:Key", values, request) is expected


def test_all_conditions_must_hold() -> None:
    both = doc(statement(Condition={"StringEquals": {"t:a": "1", "t:b": "2"}, "Bool": {"t:c": "true"}}))
    assert allowed(both, ask(t__a="1", t__b="2", t__c="true"))
    for missing in ({"t__b": "2", "t__c": "true"}, {"t__a": "1", "t__c": "true"}, {"t__a": "1", "t__b": "2"}):
        assert not allowed(both, ask(**missing))


def test_unknown_operators() -> None:
    for operator in ("StringEqual", "ForAnyValues:StringEquals", "NullIfExists", "ForAnyValue:Null", ""):
        with pytest.raises(ValueError, match="not a condition operator"):
            policy.split_operator(operator)


# --- resource-based policies -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "caller", "alone", "boundary_limits", "session_limits"),
    [
        ({"AWS": USER}, ANA, True, False, False),
        ({"AWS": ROOT}, ANA, False, True, True),
        ({"AWS": A}, ANA, False, True, True),
        ("*", ANA, True, False, False),
        ({"AWS": "*"}, ANA, True, False, False),
        ({"AWS": ROLE}, ETL, True, True, True),
        ({"AWS": SESSION}, ETL, True, False, False),
        ({"AWS": ROOT}, ETL, False, True, True),
        ("*", ETL, True, False, False),
        ({"AWS": f"arn:aws:iam::{A}:user/*"}, ANA, False, True, True),  # no wildcards inside
        ({"AWS": USER}, ETL, False, True, True),
        ({"Service": "s3.amazonaws.com"}, ANA, False, True, True),
    ],
)
def test_grants_within_an_account(
    who: object, caller: Principal, alone: bool, boundary_limits: bool, session_limits: bool
) -> None:
    grant = grants(who)
    assert allowed(None, ask(caller), resource=grant) is alone
    assert allowed(None, ask(caller), resource=grant, boundary=EC2) is (alone and not boundary_limits)
    assert allowed(None, ask(caller), resource=grant, session=(EC2,)) is (alone and not session_limits)
    assert allowed(S3, ask(caller), resource=grant)
    assert not allowed(S3, ask(caller), resource=grants(who, "Deny")) or not _means(who, caller)


def _means(who: object, caller: Principal) -> bool:
    return who in ("*", {"AWS": "*"}, {"AWS": ROOT}, {"AWS": A}) or who in ({"AWS": caller.arn}, {"AWS": caller.issuer})


def test_a_later_statement_may_mean_the_caller_more_closely() -> None:
    both = Policy("p", grants({"AWS": ROOT}).statements + grants({"AWS": USER}).statements)
    assert allowed(None, ask(), resource=both, boundary=EC2)


@pytest.mark.parametrize(
    ("listed", "caller", "excepted"),
    [
        ([USER, ROOT], ANA, True),
        ([USER], ANA, True),
        ([f"arn:aws:iam::{A}:user/ben", ROOT], ANA, False),
        ([ROOT], ANA, False),
        ([ROLE, ROOT], ETL, True),
        ([SESSION, ROLE, ROOT], ETL, True),
        ([f"arn:aws:iam::{A}:role/other", ROOT], ETL, False),
    ],
)
def test_not_principal_with_deny(listed: list[str], caller: Principal, excepted: bool) -> None:
    assert allowed(S3, ask(caller), resource=grants({"AWS": listed}, "Deny", "NotPrincipal")) is excepted


@pytest.mark.parametrize("who", [{"AWS": USER}, {"AWS": ROOT}, {"AWS": A}, "*"])
def test_across_accounts_both_sides_must_allow(who: object) -> None:
    other = ask(owner=B)
    grant = grants(who)
    assert allowed(S3, other, resource=grant)
    assert not allowed(None, other, resource=grant)
    assert not allowed(S3, other)
    assert not allowed(S3, other, resource=grants({"AWS": B}))
    # The boundary limits here, also if the policy names the user.
    assert not allowed(S3, other, resource=grant, boundary=EC2)
    assert evaluate(other, Policies(identity=(S3,))).because == (
        "because no resource-based policy allows the s3:GetObject action"
    )


def test_anonymous_needs_everyone() -> None:
    nobody = ask(policy.ANONYMOUS)
    assert allowed(None, nobody, resource=grants("*"))
    assert not allowed(None, nobody, resource=grants({"AWS": USER}))
    assert not allowed(None, nobody)


def test_the_root_user_needs_no_policy_at_home() -> None:
    root = ask(Principal(ROOT, A, "root"))
    assert allowed(None, root)
    assert not allowed(None, root, resource=grants("*", "Deny"))
    assert not allowed(None, root, scps=((S3,), (EC2,)))


# --- trust and key policies --------------------------------------------------------------------------------------------

ASSUME = doc(statement(action="sts:AssumeRole"))


def trusts(who: object, **more: object) -> Policy:
    return doc({"Effect": "Allow", "Principal": who, "Action": "sts:AssumeRole", **more})


def assume(owner: str = A, who: Principal = ANA, **context: object) -> Request:
    return ask(who, "sts:AssumeRole", f"arn:aws:iam::{owner}:role/target", owner, **context)


def test_trust_within_an_account() -> None:
    options = {"resource_kind": "trust"}
    assert allowed(None, assume(), resource=trusts({"AWS": USER}), **options)
    assert not allowed(None, assume(), resource=trusts({"AWS": ROOT}), **options)
    assert allowed(ASSUME, assume(), resource=trusts({"AWS": ROOT}), **options)
    assert not allowed(ASSUME, assume(), resource=trusts({"AWS": f"arn:aws:iam::{A}:user/ben"}), **options)
    assert not allowed(ASSUME, assume(), **options)


def test_trust_across_accounts() -> None:
    other, options = assume(B), {"resource_kind": "trust"}
    for who in (
        {"AWS": ROOT},
        {"AWS": A},
        {"AWS": USER},
        {"AWS": "*"},
        "*",
        {"AWS": ["arn:aws:iam::333333333333:root", USER]},
    ):
        assert allowed(ASSUME, other, resource=trusts(who), **options), who
        assert not allowed(None, other, resource=trusts(who), **options), who
    assert not allowed(ASSUME, other, resource=trusts({"Service": "glue.amazonaws.com"}), **options)


def test_external_id() -> None:
    trust = trusts({"AWS": ROOT}, Condition={"StringEquals": {"sts:ExternalId": "vendor-42"}})
    options = {"resource": trust, "resource_kind": "trust"}
    assert allowed(ASSUME, assume(B, sts__ExternalId="vendor-42"), **options)
    assert not allowed(ASSUME, assume(B, sts__ExternalId="vendor-43"), **options)
    assert not allowed(ASSUME, assume(B), **options)


def test_a_key_policy_must_let_the_account_in() -> None:
    key = f"arn:aws:kms:eu-west-1:{A}:key/k"
    asked, kms = ask(action="kms:Encrypt", resource=key), doc(statement(action="kms:*"))
    root = grants({"AWS": ROOT}, action="kms:*")
    assert allowed(kms, asked, resource=root, resource_kind="key")
    assert not allowed(None, asked, resource=root, resource_kind="key")
    assert not allowed(kms, asked, resource=grants({"AWS": ROLE}, action="kms:*"), resource_kind="key")
    assert allowed(None, asked, resource=grants({"AWS": USER}, action="kms:*"), resource_kind="key")


# --- boundary, session, SCP --------------------------------------------------------------------------------------------


def test_boundaries_and_sessions_only_narrow() -> None:
    for layer in ("boundary", "session"):

        def limit(one: Policy, layer: str = layer) -> dict:
            return {layer: one if layer == "boundary" else (one,)}

        assert allowed(S3, **limit(S3))
        assert not allowed(None, **limit(S3))
        assert not allowed(S3, **limit(EC2))
        assert not allowed(S3, **limit(doc(statement(), statement("Deny", "s3:GetObject"))))
        decision = evaluate(ask(), Policies(identity=(S3,), **limit(EC2)))
        assert decision.layer == layer


def test_every_level_of_scps_must_allow() -> None:
    full = doc(statement())
    assert allowed(S3, scps=((full,), (full,)))
    assert not allowed(S3, scps=((full,), (EC2,)))
    assert not allowed(S3, scps=((EC2,), (full,)))
    assert allowed(S3, scps=((EC2, S3), (full,)))
    assert not allowed(S3, scps=((full,), ()))
    assert not allowed(None, scps=((full,), (full,)))
    decision = evaluate(ask(), Policies(identity=(S3,), scps=((full,), (full, doc(statement("Deny", "s3:*"))))))
    assert (decision.layer, decision.because) == ("scp", "with an explicit deny in a service control policy")


# --- what is said about it ---------------------------------------------------------------------------------------------


def test_the_reason() -> None:
    assert evaluate(ask(), Policies()).because == "because no identity-based policy allows the s3:GetObject action"
    assert "no permissions boundary allows" in evaluate(ask(), Policies((S3,), boundary=EC2)).because
    assert "no session policy allows" in evaluate(ask(), Policies((S3,), session=(EC2,))).because
    assert "no service control policy allows" in evaluate(ask(), Policies((S3,), scps=((EC2,),))).because


def test_explain_names_the_nearest_statement_first() -> None:
    near = doc(
        statement(action="kinesis:*"),
        statement(action="s3:GetObject", resource="arn:aws:s3:::click/*", Sid="Typo"),
    )
    told = of_decision(evaluate(ask(), Policies(identity=(near,))))
    assert (told.allowed, told.layer, told.statement) == (False, "identity", None)
    assert told.near[0].statement.sid == "Typo"
    assert [miss.element for miss in told.near[0].misses] == ["Resource"]
    assert f'Statement "Typo" of p:\n    Resource says arn:aws:s3:::click/*; the request has {OBJECT}' in told.text


def test_explain_says_when_there_is_nothing() -> None:
    assert "there is no identity-based policy here at all" in of_decision(evaluate(ask(), Policies())).text


def test_explain_shows_the_deny() -> None:
    deny = doc(statement(), statement("Deny", "s3:*", Sid="Stop", Condition={"Bool": {"aws:SecureTransport": "true"}}))
    told = of_decision(evaluate(ask(aws__SecureTransport="true"), Policies(identity=(deny,))))
    assert told.statement is not None and told.statement.sid == "Stop"
    assert 'Condition: {"Bool": {"aws:SecureTransport": "true"}}' in told.text


@pytest.mark.parametrize("module", ["policy", "policy_grammar", "operations", "organisation"])
def test_the_examples_in_the_docstrings(module: str) -> None:
    found = doctest.testmod(importlib.import_module(f"opslab.worlds.aws.{module}"))
    assert (found.failed, found.attempted > 0) == (0, True)


@pytest.mark.parametrize("seed", range(4))
def test_wildcards_match_as_a_search_with_going_back_would(seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(3_000):
        pattern = "".join(draw.choice("ab*?") for _ in range(draw.randrange(8)))
        value = "".join(draw.choice("ab") for _ in range(draw.randrange(9)))
        plain = "".join({"*": ".*", "?": "."}.get(letter, letter) for letter in pattern)
        assert like(pattern, value) == bool(re.fullmatch(plain, value)), (pattern, value)


def test_many_stars_take_no_time() -> None:
    value = "arn:aws:s3:::" + "a" * 900
    assert not like("arn:aws:s3:::" + "*?" * 200 + "#", value)
    assert not like("*a" * 300 + "#", value) and like("*a" * 300 + "*", value)
