"""What must hold for any policies and any request."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opslab.worlds.aws.policy import Policies, Policy, Principal, Request, evaluate, mismatches

pytestmark = pytest.mark.slow

A, B = "111111111111", "222222222222"
USER = f"arn:aws:iam::{A}:user/ana"
ROLE = f"arn:aws:iam::{A}:role/etl"
CALLERS = [
    Principal(USER, A, "user"),
    Principal(f"arn:aws:sts::{A}:assumed-role/etl/monday", A, "role", ROLE),
    Principal(f"arn:aws:iam::{A}:root", A, "root"),
    Principal("", "", "anonymous"),
]
PRINCIPALS = ["*", {"AWS": A}, {"AWS": USER}, {"AWS": ROLE}, {"AWS": CALLERS[1].arn}, {"AWS": [B, USER]}]
ACTIONS = ["*", "s3:*", "s3:Get*", "s3:GetObject", "s3:PutObject", ["s3:Put*", "s3:GetObject"]]
RESOURCES = ["*", "arn:aws:s3:::a/*", "arn:aws:s3:::a/x", "arn:aws:s3:::${aws:username}/*", ["arn:aws:s3:::b/*"]]
CONDITIONS = [
    {},
    {"StringEquals": {"aws:username": "ana"}},
    {"StringNotEquals": {"aws:username": ["ana", "ben"]}},
    {"StringLikeIfExists": {"aws:RequestedRegion": "eu-*"}},
    {"Null": {"aws:username": "true"}},
    {"ForAllValues:StringEquals": {"aws:TagKeys": ["env"]}},
    {"ForAnyValue:StringNotLike": {"aws:TagKeys": ["e*"]}},
    {"Bool": {"aws:SecureTransport": "true"}},
]


def statements(effects: tuple[str, ...] = ("Allow", "Deny"), principal: bool = False) -> st.SearchStrategy:
    elements = {
        "Effect": st.sampled_from(effects),
        "Action": st.sampled_from(ACTIONS),
        "Resource": st.sampled_from(RESOURCES),
        "Condition": st.sampled_from(CONDITIONS),
    }
    if principal:
        elements["Principal"] = st.sampled_from(PRINCIPALS)
    return st.fixed_dictionaries(elements)


def documents(principal: bool = False) -> st.SearchStrategy[Policy]:
    def made(found: list[dict]) -> Policy:
        return Policy.parse({"Version": "2012-10-17", "Statement": found})

    return st.lists(statements(principal=principal), min_size=1, max_size=3).map(made)


maybe = st.none() | documents()
every_policy = st.builds(
    Policies,
    identity=st.lists(documents(), max_size=2).map(tuple),
    resource=st.none() | documents(principal=True),
    resource_kind=st.sampled_from(["resource", "trust", "key"]),
    boundary=maybe,
    session=st.none() | documents().map(lambda one: (one,)),
    scps=st.none() | st.lists(documents().map(lambda one: (one,)), max_size=2).map(tuple),
)
every_request = st.builds(
    Request,
    st.sampled_from(CALLERS),
    st.sampled_from(["s3:GetObject", "s3:PutObject", "s3:ListAllMyBuckets"]),
    st.sampled_from(["arn:aws:s3:::a/x", "arn:aws:s3:::b/y", "arn:aws:s3:::ana/z", "*"]),
    st.sampled_from([A, B]),
    st.fixed_dictionaries(
        {},
        optional={
            "aws:username": st.sampled_from(["ana", "ben"]),
            "aws:RequestedRegion": st.sampled_from(["eu-west-1", "us-east-1"]),
            "aws:TagKeys": st.lists(st.sampled_from(["env", "team"]), min_size=1, max_size=2),
            "aws:SecureTransport": st.just("true"),
        },
    ),
)
LAYERS = ["identity", "resource", "boundary", "session", "scps"]
many = settings(max_examples=400, deadline=None)


def in_layer(policies: Policies, layer: str) -> list[Policy]:
    found = getattr(policies, layer)
    if found is None:
        return []
    if layer == "scps":
        return [policy for level in found for policy in level]
    return [found] if isinstance(found, Policy) else list(found)


def with_statements(policies: Policies, layer: str, change) -> Policies:
    """The same policies, with `change(statements)` applied to each document of a layer."""

    def changed(policy: Policy) -> Policy:
        return Policy(policy.name, tuple(change(policy.statements)))

    found = getattr(policies, layer)
    if found is None:
        return policies
    if layer == "scps":
        new = tuple(tuple(map(changed, level)) for level in found)
    else:
        new = changed(found) if isinstance(found, Policy) else tuple(map(changed, found))
    return dataclasses.replace(policies, **{layer: new})


@many
@given(every_request, every_policy, st.sampled_from(LAYERS), statements(("Deny",), principal=True))
def test_adding_a_deny_never_allows(request: Request, policies: Policies, layer: str, deny: dict) -> None:
    if layer != "resource":
        deny.pop("Principal")
    extra = Policy.parse({"Version": "2012-10-17", "Statement": [deny]}).statements
    after = evaluate(request, with_statements(policies, layer, lambda found: (*found, *extra)))
    assert after.allowed <= evaluate(request, policies).allowed


@many
@given(every_request, every_policy, st.sampled_from(LAYERS), st.integers(0, 2))
def test_removing_an_allow_never_allows(request: Request, policies: Policies, layer: str, which: int) -> None:
    def without(found):
        return [one for one in found if not (one.effect == "Allow" and one.index == which)]

    after = evaluate(request, with_statements(policies, layer, without))
    assert after.allowed <= evaluate(request, policies).allowed


@many
@given(every_request, every_policy, st.randoms(use_true_random=False))
@pytest.mark.slow
def test_the_order_of_statements_never_matters(request: Request, policies: Policies, random) -> None:
    shuffled = policies
    for layer in LAYERS:
        shuffled = with_statements(shuffled, layer, lambda found: random.sample(found, len(found)))
    shuffled = dataclasses.replace(shuffled, identity=tuple(reversed(shuffled.identity)))
    before, after = evaluate(request, policies), evaluate(request, shuffled)
    assert (before.allowed, before.layer, before.explicit) == (after.allowed, after.layer, after.explicit)


@many
@given(every_request, every_policy, documents(), st.sampled_from(["boundary", "session", "scps"]))
@pytest.mark.slow
def test_boundary_session_and_scp_only_narrow(request: Request, policies: Policies, one: Policy, layer: str) -> None:
    open_wide = dataclasses.replace(policies, **{layer: None})
    value = {"boundary": one, "session": (one,), "scps": ((one,),)}[layer]
    narrowed = dataclasses.replace(policies, **{layer: value})
    assert evaluate(request, narrowed).allowed <= evaluate(request, open_wide).allowed


@many
@given(every_request, every_policy)
@pytest.mark.slow
def test_nothing_allows_without_an_allow(request: Request, policies: Policies) -> None:
    for layer in LAYERS:
        policies = with_statements(policies, layer, lambda found: [one for one in found if one.effect == "Deny"])
    root_at_home = (
        request.principal.kind == "root" and request.resource_account == A and policies.resource_kind == "resource"
    )
    if not root_at_home:
        assert not evaluate(request, policies).allowed


@many
@given(every_request, every_policy)
@pytest.mark.slow
def test_the_answer_can_be_checked(request: Request, policies: Policies) -> None:
    """The statement that is named does apply; an implicit deny means that no statement of that layer allows plainly."""
    decision = evaluate(request, policies)
    if decision.statement:
        assert list(mismatches(decision.statement, request)) == []
        assert decision.statement.effect == ("Allow" if decision.allowed else "Deny")
    elif not decision.allowed:
        for policy in decision.considered:
            for one in policy.statements:
                assert one.effect == "Deny" or list(mismatches(one, request)), "an Allow of the denying layer applies"


@many
@given(every_request, every_policy)
@pytest.mark.slow
def test_the_same_question_has_the_same_answer(request: Request, policies: Policies) -> None:
    assert evaluate(request, policies) == evaluate(request, policies)
