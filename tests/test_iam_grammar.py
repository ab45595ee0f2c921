"""Policies that AWS refuses, and the sentence it refuses them with."""

from __future__ import annotations

import json

import pytest

from opslab.worlds.aws.policy_grammar import NO_VENDOR, problem, size

SYNTAX = "Syntax errors in policy."
GOOD = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::clicks/*"}
TRUST = {"Effect": "Allow", "Principal": {"AWS": "111111111111"}, "Action": "sts:AssumeRole"}
BUCKET = {**GOOD, "Principal": "*"}


def doc(statement: object, **more: object) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statement, **more})


def but(base: dict, **changes: object) -> str:
    """A document with the base's statement changed; None takes an element away."""
    return doc({name: value for name, value in {**base, **changes}.items() if value is not None})


@pytest.mark.parametrize(
    "document",
    [
        doc(GOOD),
        doc([GOOD, {**GOOD, "Sid": "Two"}]),
        doc(GOOD, Id="x"),
        but(GOOD, Resource="*"),
        but(GOOD, Action="*"),
        but(GOOD, Action=None, NotAction=["s3:*", "iam:*"]),
        but(GOOD, Condition={"NumericLessThan": {"s3:max-keys": 10}, "Bool": {"aws:SecureTransport": True}}),
        but(GOOD, Condition={"ForAllValues:StringLikeIfExists": {"aws:TagKeys": ["a*"]}}),
        but(GOOD, Condition={"DateLessThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"}}),
        but(GOOD, Resource="arn:aws:sqs:eu-west-1:111111111111:*"),
        but(GOOD, Resource="arn:aws:iam::111111111111:role/*"),
    ],
)
def test_good_policies(document: str) -> None:
    assert problem(document, "identity") is None


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("", SYNTAX),
        ("not json", SYNTAX),
        (doc(GOOD)[:-1] + ",}", SYNTAX),  # the trailing comma
        ("[]", SYNTAX),
        (doc([]), SYNTAX),
        (doc("x"), SYNTAX),
        (doc(["x"]), SYNTAX),
        ('{"Version": "2012-10-17"}', SYNTAX),
        (doc(GOOD, Comment="x"), SYNTAX),
        (but(GOOD, Comment="x"), SYNTAX),
        ('{"Version": "2012-10-17", "Statement": [], "Statement": []}', SYNTAX),
        (doc(GOOD, Version="2013-10-17"), SYNTAX),
        (doc(GOOD, Version="2008-10-17"), "Policy document must be version 2012-10-17 or greater."),
        (json.dumps({"Statement": GOOD}), "Policy document must be version 2012-10-17 or greater."),
        (but(GOOD, Effect=None), SYNTAX),
        (but(GOOD, Effect="Permit"), SYNTAX),
        (but(GOOD, Effect="allow"), "The policy failed legacy parsing"),
        (but(GOOD, Action=None), "Policy statement must contain actions."),
        (but(GOOD, Action=[]), "Policy statement must contain actions."),
        (but(GOOD, Action="GetObject"), NO_VENDOR),
        (but(GOOD, Action="s3:Get:Object"), "Actions/Condition can contain only one colon."),
        (but(GOOD, Action="a b:Get"), "Vendor a b is not valid"),
        (but(GOOD, Action={"s3": "*"}), SYNTAX),
        (but(GOOD, NotAction="s3:*"), SYNTAX),
        (but(GOOD, Resource=None), "Policy statement must contain resources."),
        (but(GOOD, Resource=[]), "Policy statement must contain resources."),
        (but(GOOD, Resource="clicks"), 'Resource clicks must be in ARN format or "*".'),
        (but(GOOD, Resource=""), 'Resource  must be in ARN format or "*".'),
        (but(GOOD, Resource="arn:aws:s3::clicks"), "The policy failed legacy parsing"),
        (but(GOOD, Resource="arn:amazon:s3:::x"), 'Partition "amazon" is not valid for resource "arn:amazon:s3:::x".'),
        (but(GOOD, Resource="aws:s3:::x"), 'Partition "s3" is not valid for resource "arn:s3:::x:*".'),
        (but(GOOD, Resource="arn:aws"), "Resource vendor must be fully qualified and cannot contain regexes."),
        (but(GOOD, Resource="arn:aws:*:::x"), "Resource vendor must be fully qualified and cannot contain regexes."),
        (
            but(GOOD, Resource="arn:aws:s3:eu-west-1::x"),
            "Resource arn:aws:s3:eu-west-1::x can not contain region information.",
        ),
        (
            but(GOOD, Resource="arn:aws:iam:eu-west-1:1:role/x"),
            "IAM resource arn:aws:iam:eu-west-1:1:role/x cannot contain region information.",
        ),
        (but(GOOD, Principal="*"), "Policy document should not specify a principal."),
        (but(GOOD, Condition={"StringEqual": {"a:b": "c"}}), SYNTAX),
        (but(GOOD, Condition={"StringEquals": "x"}), SYNTAX),
        (but(GOOD, Condition={"StringEquals": {"a:b": {}}}), SYNTAX),
        (but(GOOD, Condition=[]), SYNTAX),
        (but(GOOD, Condition={"DateLessThan": {"aws:CurrentTime": "tomorrow"}}), "The policy failed legacy parsing"),
        (doc([{**GOOD, "Sid": "A"}, {**GOOD, "Sid": "A"}]), "Statement IDs (SID) in a single policy must be unique."),
    ],
)
def test_identity_policies(document: str, reason: str) -> None:
    assert problem(document, "identity") == reason


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (doc(TRUST), None),
        (doc(TRUST, Version="2008-10-17"), None),
        (but(TRUST, Principal={"Service": ["glue.amazonaws.com"]}), None),
        (but(TRUST, Principal="*"), None),
        ("{,}", "This policy contains invalid Json"),
        (but(TRUST, Resource="*"), "Has prohibited field Resource"),
        (but(TRUST, Principal=None), "Missing required field Principal"),
        (but(TRUST, Action=None), "Missing required field Action"),
        (but(TRUST, Action="s3:GetObject"), "AssumeRole policy may only specify STS AssumeRole actions."),
        (but(TRUST, ExternalId="x"), "Unknown field ExternalId"),
        (but(TRUST, Principal={"AWS": "ana"}), 'Invalid principal in policy: "AWS":"ana"'),
        (
            but(TRUST, Principal={"AWS": "arn:aws:iam::111111111111:user/*"}),
            'Invalid principal in policy: "AWS":"arn:aws:iam::111111111111:user/*"',
        ),
    ],
)
def test_trust_policies(document: str, reason: str | None) -> None:
    assert problem(document, "trust") == reason


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (doc(BUCKET), None),
        ("x", "Policies must be valid JSON and the first byte must be '{'"),
        (but(BUCKET, Principal=None), "Missing required field Principal"),
        (but(BUCKET, Principal={"AWS": "arn:aws:iam::111111111111:user/*"}), "Invalid principal in policy"),
        (but(BUCKET, Resource="arn:aws:sqs:::x"), "Policy has invalid resource"),
        (but(BUCKET, Action="sqs:SendMessage"), "Policy has invalid action"),
        (but(BUCKET, Resource="arn:aws:s3:::clicks"), "Action does not apply to any resource(s) in statement"),
        (but(BUCKET, Action="s3:ListBucket"), "Action does not apply to any resource(s) in statement"),
        (but(BUCKET, Action=["s3:ListBucket", "s3:GetObject"]), None),
        (but(BUCKET, Condition={"StringEqual": {"s3:prefix": "x"}}), "Invalid Condition type : StringEqual"),
        (
            but(BUCKET, Resource=["arn:aws:s3:::clicks/" + "x" * 21000]),
            "Policy exceeds the maximum allowed document size.",
        ),
    ],
)
def test_bucket_policies(document: str, reason: str | None) -> None:
    on_objects = {"s3:GetObject": True, "s3:ListBucket": False}
    assert problem(document, "bucket", acts_on_objects=on_objects.get) == reason


def test_strangers_are_refused() -> None:
    trust = but(TRUST, Principal={"AWS": "arn:aws:iam::111111111111:user/ghost"})
    assert problem(trust, "trust") is None
    assert problem(trust, "trust", principal_exists=lambda arn: False) == (
        'Invalid principal in policy: "AWS":"arn:aws:iam::111111111111:user/ghost"'
    )


def test_white_space_does_not_count() -> None:
    assert size(json.dumps(json.loads(doc(GOOD)), indent=4)) == size(doc(GOOD))


def test_deep_nesting_is_a_syntax_error() -> None:
    assert problem("[" * 100_000, "identity") == SYNTAX
