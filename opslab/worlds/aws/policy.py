"""Does AWS say yes or no? The evaluation logic of IAM, as AWS documents it, and nothing else.

This module is pure: no network, no clock, no moto. It takes a request and the policies that apply to it, and says what
AWS would decide, which layer decided, and which statement.

    >>> from opslab.worlds.aws.policy import Policies, Policy, Principal, Request, evaluate
    >>> ana = Principal("arn:aws:iam::111111111111:user/ana", "111111111111", "user")
    >>> read = Policy.parse({"Version": "2012-10-17", "Statement": [
    ...     {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::clicks/*"}]}, "read-clicks")
    >>> asked = Request(ana, "s3:PutObject", "arn:aws:s3:::clicks/2026.csv", "111111111111")
    >>> decision = evaluate(asked, Policies(identity=(read,)))
    >>> decision.allowed, decision.layer, decision.because
    (False, 'identity', 'because no identity-based policy allows the s3:PutObject action')

Read it from the bottom: `evaluate` is the whole logic on one screen. Above it come, in turn, one statement against one
request, principals, conditions, policy variables, wildcards. Each part names the page of the AWS documentation that it
follows; the pages are in the IAM User Guide, https://docs.aws.amazon.com/IAM/latest/UserGuide/ + name + .html.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import ipaddress
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

Kind = Literal["user", "role", "federated", "root", "service", "anonymous"]
Layer = Literal["scp", "resource", "trust", "key", "identity", "boundary", "session"]

LAYER_NAMES: dict[str, str] = {
    "scp": "service control policy",
    "resource": "resource-based policy",
    "trust": "trust policy",
    "key": "resource-based policy",
    "identity": "identity-based policy",
    "boundary": "permissions boundary",
    "session": "session policy",
}
"""What AWS calls each layer in its messages; a role's trust policy is not named in any message."""


# --- What is asked, and what applies -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Principal:
    """Who makes a request.

    arn      of the caller: a user, a session of a role (arn:aws:sts::…:assumed-role/etl/monday), an account's root
    account  its account id, 12 digits
    kind     user, role (a session of one), federated, root, service or anonymous
    issuer   for a role's session the role's ARN; for a federated session the user's ARN
    """

    arn: str
    account: str
    kind: Kind
    issuer: str = ""


ANONYMOUS = Principal("", "", "anonymous")


@dataclass(frozen=True)
class Request:
    """One action on one resource by one principal.

    resource          the ARN, or "*" for an action that knows no resource
    resource_account  the account that owns it
    context           condition keys and their values: text, or a list of texts for keys with several values.
                      Names are compared without regard to case, as AWS does ("Condition keys are not case-sensitive").
    """

    principal: Principal
    action: str
    resource: str
    resource_account: str
    context: Mapping[str, str | list[str]] = field(default_factory=dict)
    _keys: dict[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        keys = {
            name.lower(): tuple(value) if isinstance(value, (list, tuple)) else (value,)
            for name, value in self.context.items()
        }
        object.__setattr__(self, "_keys", keys)

    def values(self, key: str) -> tuple[str, ...] | None:
        """The values of a condition key, or None when the request does not have it."""
        return self._keys.get(key.lower())


@dataclass(frozen=True)
class Statement:
    """One statement of a policy, its elements as tuples. `index` counts from 0."""

    index: int
    sid: str
    effect: Literal["Allow", "Deny"]
    actions: tuple[str, ...] | None
    not_actions: tuple[str, ...] | None
    resources: tuple[str, ...] | None
    not_resources: tuple[str, ...] | None
    principals: tuple[tuple[str, str], ...] | None
    not_principals: tuple[tuple[str, str], ...] | None
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...]
    variables: bool  # policy variables exist since version 2012-10-17; before, "${…}" was plain text
    document: Mapping[str, Any] = field(compare=False, hash=False, repr=False, default_factory=dict)

    @property
    def label(self) -> str:
        """What a person would call it: its Sid, or its place."""
        return f'"{self.sid}"' if self.sid else f"{self.index + 1}"


@dataclass(frozen=True)
class Policy:
    """A policy document with a name that a person can find it by."""

    name: str
    statements: tuple[Statement, ...]

    @staticmethod
    def parse(document: str | Mapping[str, Any], name: str = "policy") -> Policy:
        """From JSON text or a dict. The document must be well-formed: `policy_grammar` says whether it is."""
        if isinstance(document, str):
            return Policy(name, _parse_text(document))
        return Policy(name, _statements(document))


@dataclass(frozen=True)
class Policies:
    """All that applies to one request. None means: there is none of this kind (and so it restricts nothing).

    identity       of the user (its own and its groups'), or of the role
    resource       of the bucket, queue, key, secret, repository; or a role's trust policy
    resource_kind  "trust" and "key" must allow on their own account: nobody gets in without them
    boundary       the permissions boundary of the user or role
    session        the policies passed when the session was made
    scps           service control policies: one tuple for each level, from the organisation's root to the account
    """

    identity: tuple[Policy, ...] = ()
    resource: Policy | None = None
    resource_kind: Literal["resource", "trust", "key"] = "resource"
    boundary: Policy | None = None
    session: tuple[Policy, ...] | None = None
    scps: tuple[tuple[Policy, ...], ...] | None = None


@dataclass(frozen=True)
class Decision:
    """The answer.

    layer      which kind of policy decided
    policy, statement
               the one that allowed or denied; None when nothing did ("implicit deny")
    explicit   True for an explicit deny
    because    how AWS ends its sentence: "because no … allows …" or "with an explicit deny in a …"
    considered the policies of the deciding layer, to explain what was missing
    """

    allowed: bool
    layer: Layer
    request: Request
    policy: Policy | None = None
    statement: Statement | None = None
    explicit: bool = False
    considered: tuple[Policy, ...] = ()
    cross_account: bool = False

    @property
    def because(self) -> str:
        if self.allowed:
            return ""
        name = LAYER_NAMES[self.layer]
        if self.explicit:
            return f"with an explicit deny in a{'n' if name[0] in 'aeiou' else ''} {name}"
        return f"because no {name} allows the {self.request.action} action"


# --- Documents to statements -------------------------------------------------------------------------------------------


def _tuple(value: Any) -> tuple[str, ...] | None:
    """Most elements take one value or a list: reference_policies_grammar."""
    if value is None:
        return None
    return tuple(_text(item) for item in value) if isinstance(value, (list, tuple)) else (_text(value),)


def _text(value: Any) -> str:
    """JSON true is the text "true", 5 is "5": quotation marks are optional (reference_policies_elements_condition)."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _principals(value: Any) -> tuple[tuple[str, str], ...] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        return (("AWS", _text(value)),)  # "Principal": "*"
    return tuple((kind, item) for kind, items in value.items() for item in _tuple(items) or ())


def _statements(document: Mapping[str, Any]) -> tuple[Statement, ...]:
    found = document.get("Statement", [])
    return tuple(
        Statement(
            index=index,
            sid=one.get("Sid", ""),
            effect=one["Effect"],
            actions=_tuple(one.get("Action")),
            not_actions=_tuple(one.get("NotAction")),
            resources=_tuple(one.get("Resource")),
            not_resources=_tuple(one.get("NotResource")),
            principals=_principals(one.get("Principal")),
            not_principals=_principals(one.get("NotPrincipal")),
            conditions=tuple(
                (operator, key, _tuple(values) or ())
                for operator, keys in one.get("Condition", {}).items()
                for key, values in keys.items()
            ),
            variables=document.get("Version") == "2012-10-17",
            document=one,
        )
        for index, one in enumerate([found] if isinstance(found, Mapping) else found)
    )


@lru_cache(maxsize=4096)
def _parse_text(document: str) -> tuple[Statement, ...]:
    return _statements(json.loads(document))


# --- Wildcards and policy variables ------------------------------------------------------------------------------------


@lru_cache(maxsize=16384)
def _pattern(text: str, ignore_case: bool = False) -> re.Pattern[str]:
    """`*` is any run of characters, also none; `?` is exactly one; nothing else is special.

    A backslash before one of them (only `resolve` writes it) makes it a plain character.
    """
    parts = re.findall(r"\\[*?$]|.", text, re.DOTALL)
    pieces = [""]  # what stands between the stars
    for part in parts:
        if part == "*":
            pieces.append("")
        else:
            pieces[-1] += "." if part == "?" else re.escape(part[-1])
    # The first place where a piece fits is as good as any later one, so it is never gone back to (an atomic group): otherwise a
    # policy of twenty stars takes minutes. Only the last piece has to stand at the end.
    first, *middle, last = pieces if len(pieces) > 1 else [*pieces, ""]
    body = first + "".join(f"(?>.*?{piece})" for piece in middle if piece) + (".*" + last if len(pieces) > 1 else "")
    return re.compile(body, re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def like(pattern: str, value: str, ignore_case: bool = False) -> bool:
    """Whether a value matches a pattern with `*` and `?`."""
    return pattern == "*" or _pattern(pattern, ignore_case).fullmatch(value) is not None


_VARIABLE = re.compile(r"\$\{\s*([^}]*?)\s*\}")


def resolve(text: str, request: Request) -> str | None:
    """Puts the request's values in the place of `${policy variables}`: reference_policies_variables.

    `${*}`, `${?}` and `${$}` are the plain characters. `${key, 'default'}` has a default. None: the request has no value
    for a variable, or has several ("If AWS cannot resolve a variable this might cause the entire statement to be
    invalid"). A `*` inside a value is a plain `*`, so that nobody can widen a policy by a tag.
    """
    if "${" not in text:
        return text
    missing = False

    def value(match: re.Match[str]) -> str:
        nonlocal missing
        name = match[1]
        if name in ("*", "?", "$"):
            return "\\" + name
        key, comma, default = name.partition(",")
        found = request.values(key.strip())
        if found is not None and len(found) == 1:
            plain = found[0]
        elif comma:
            plain = default.strip().strip("'")
        else:
            missing = True
            return ""
        return re.sub(r"([*?$])", r"\\\1", plain)

    resolved = _VARIABLE.sub(value, text)
    return None if missing else resolved


def _unescape(text: str) -> str:
    """For comparisons without wildcards: what `resolve` protected is plain text again."""
    return re.sub(r"\\([*?$])", r"\1", text)


def match_action(pattern: str, action: str) -> bool:
    """reference_policies_elements_action: wildcards; service prefix and action name are not case-sensitive."""
    return like(pattern, action, ignore_case=True)


def match_arn(pattern: str, arn: str) -> bool:
    """Each of the six parts of an ARN by itself: reference_policies_elements_resource.

    "If you specify an incomplete ARN, AWS automatically completes the ARN by adding wildcard characters (*) to all
    missing fields." The comparison is case-sensitive.
    """
    if pattern == "*" or pattern == arn:
        return True
    parts = pattern.split(":", 5)
    asked = arn.split(":", 5)
    if len(asked) < 6:
        return like(pattern, arn)  # an action without a resource asks for "*"
    parts += ["*"] * (6 - len(parts))
    return all(like(part, have) for part, have in zip(parts, asked, strict=True))


# --- Conditions: reference_policies_elements_condition_operators -------------------------------------------------------


def _number(text: str) -> float:
    return float(text)


def _moment(text: str) -> datetime.datetime:
    """A date of the W3C profile of ISO 8601, or seconds since 1970."""
    if re.fullmatch(r"-?\d{5,}(\.\d+)?", text):
        return datetime.datetime.fromtimestamp(float(text), datetime.UTC)
    if re.fullmatch(r"\d{4}(-\d\d)?", text):
        text += "-01-01"[len(text) - 4 :]
    found = datetime.datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)


def _compare(convert: Any, compare: Any) -> Any:
    """A comparison of converted values; a value that cannot be converted never matches."""

    def test(wanted: str, have: str) -> bool:
        try:
            return compare(convert(have), convert(_unescape(wanted)))
        except (ValueError, OverflowError):
            return False

    return test


def _in_network(wanted: str, have: str) -> bool:
    try:
        return ipaddress.ip_address(have) in ipaddress.ip_network(_unescape(wanted), strict=False)
    except ValueError:
        return False


def _same_bytes(wanted: str, have: str) -> bool:
    try:
        return base64.b64decode(wanted, validate=True) == base64.b64decode(have, validate=True)
    except binascii.Error:
        return False


def _arn_like(wanted: str, have: str) -> bool:
    """ "Each of the six colon-delimited components of the ARN is checked separately"; ArnEquals behaves identically."""
    parts, asked = wanted.split(":", 5), have.split(":", 5)
    return len(parts) == len(asked) == 6 and all(map(like, parts, asked))


POSITIVE = {
    "StringEquals": lambda wanted, have: _unescape(wanted) == have,
    "StringEqualsIgnoreCase": lambda wanted, have: _unescape(wanted).casefold() == have.casefold(),
    "StringLike": like,
    "NumericEquals": _compare(_number, lambda have, wanted: have == wanted),
    "NumericLessThan": _compare(_number, lambda have, wanted: have < wanted),
    "NumericLessThanEquals": _compare(_number, lambda have, wanted: have <= wanted),
    "NumericGreaterThan": _compare(_number, lambda have, wanted: have > wanted),
    "NumericGreaterThanEquals": _compare(_number, lambda have, wanted: have >= wanted),
    "DateEquals": _compare(_moment, lambda have, wanted: have == wanted),
    "DateLessThan": _compare(_moment, lambda have, wanted: have < wanted),
    "DateLessThanEquals": _compare(_moment, lambda have, wanted: have <= wanted),
    "DateGreaterThan": _compare(_moment, lambda have, wanted: have > wanted),
    "DateGreaterThanEquals": _compare(_moment, lambda have, wanted: have >= wanted),
    "Bool": lambda wanted, have: wanted.lower() == have.lower(),
    "BinaryEquals": _same_bytes,
    "IpAddress": _in_network,
    "ArnEquals": _arn_like,
    "ArnLike": _arn_like,
}
"""operator: does the request's value `have` match the policy's value `wanted`?"""

NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
    "NotIpAddress": "IpAddress",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}
"""A negated operator: its opposite."""

OPERATORS = {name.lower(): name for name in (*POSITIVE, *NEGATED, "Null")}

_OPERATOR = re.compile(r"(?:(ForAllValues|ForAnyValue):)?(\w+?)(IfExists)?", re.IGNORECASE)


@lru_cache(maxsize=1024)
def split_operator(operator: str) -> tuple[str, str, bool]:
    """ "ForAllValues:StringLikeIfExists" -> ("ForAllValues", "StringLike", True). ValueError if there is no such one."""
    match = _OPERATOR.fullmatch(operator)
    name = OPERATORS.get(match[2].lower()) if match else None
    if not match or not name or (name == "Null" and (match[1] or match[3])):
        raise ValueError(f"{operator} is not a condition operator")
    quantifier = {"forallvalues": "ForAllValues", "foranyvalue": "ForAnyValue"}.get((match[1] or "").lower(), "")
    return quantifier, name, bool(match[3])


def condition_holds(operator: str, key: str, wanted: tuple[str, ...], request: Request, variables: bool = True) -> bool:
    """One line of a Condition block against a request.

    - Several values in the policy: any of them may match (for negated operators: none of them may).
    - A key that the request does not have: no match; a match for negated operators and with …IfExists.
    - ForAllValues: every value of the request must match, so also when there are none
      (reference_policies_condition-single-vs-multi-valued-context-keys). ForAnyValue: at least one.
    - A key with several values needs one of these two; without, it matches nothing.
    - Null: true means the key must be absent, false means it must be there.
    - A value whose policy variable cannot be resolved counts as not written; when none is left, there is no match.
    """
    quantifier, name, if_exists = split_operator(operator)
    have = request.values(key)
    if name == "Null":
        return any((have is None) == (text.lower() == "true") for text in wanted)
    if have is None:
        if quantifier:
            return quantifier == "ForAllValues" or if_exists
        return if_exists or name in NEGATED
    if variables:
        wanted = tuple(text for text in (resolve(one, request) for one in wanted) if text is not None)
    if not wanted or (len(have) > 1 and not quantifier):
        return False
    negated = name in NEGATED
    test = POSITIVE[NEGATED.get(name, name)]

    def matches(value: str) -> bool:
        return any(test(one, value) for one in wanted) != negated

    return all(map(matches, have)) if quantifier == "ForAllValues" else any(map(matches, have))


# --- Principals: reference_policies_elements_principal -----------------------------------------------------------------

Match = Literal["", "account", "role", "anyone", "exact"]
"""How a Principal element means the caller: not at all; by its account; by the role its session is of; by "*"; by its own
ARN. It matters: an account only delegates, and a role's own policies still bound its sessions."""


def match_principal(kind: str, value: str, principal: Principal) -> Match:
    """One entry of a Principal element. Wildcards inside an ARN are not possible there, only "*" as a whole."""
    if kind in ("Service", "Federated"):
        return "exact" if principal.kind in ("service", "federated") and value == principal.arn else ""
    if value == "*":
        return "anyone"
    if not principal.account or kind != "AWS":
        return ""
    if value == principal.arn:
        return "exact"
    if value == principal.account or re.fullmatch(rf"arn:[\w-]+:iam::{principal.account}:root", value):
        return "account"
    if value == principal.issuer:
        return "role"
    return ""


CLOSEST_FIRST: tuple[Match, ...] = ("exact", "anyone", "role", "account", "")


def _how(entries: tuple[tuple[str, str], ...], principal: Principal) -> Match:
    """How a whole Principal element means the caller: the closest of its entries."""
    found = {match_principal(kind, value, principal) for kind, value in entries}
    return next((way for way in CLOSEST_FIRST if way in found), "")


# --- One statement, one request ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mismatch:
    """Why a statement does not apply: the element, what it says, what the request has."""

    element: str
    says: str
    request: str


def mismatches(statement: Statement, request: Request) -> Iterator[Mismatch]:
    """All the reasons why a statement does not apply to a request; none if it does. Lazy: the first one is cheap."""

    def listed(values: tuple[str, ...]) -> str:
        return ", ".join(values)

    def arn_in(patterns: tuple[str, ...], unresolved: bool) -> bool:
        resolved = (resolve(one, request) for one in patterns) if statement.variables else patterns
        return any(unresolved if one is None else match_arn(one, request.resource) for one in resolved)

    if statement.principals is not None and not _how(statement.principals, request.principal):
        yield Mismatch("Principal", listed(tuple(value for _, value in statement.principals)), _caller(request))
    if statement.not_principals is not None and _excepted(statement.not_principals, request.principal):
        yield Mismatch("NotPrincipal", listed(tuple(value for _, value in statement.not_principals)), _caller(request))
    if statement.actions is not None and not any(match_action(one, request.action) for one in statement.actions):
        yield Mismatch("Action", listed(statement.actions), request.action)
    if statement.not_actions is not None and any(match_action(one, request.action) for one in statement.not_actions):
        yield Mismatch("NotAction", listed(statement.not_actions), request.action)
    if statement.resources is not None and not arn_in(statement.resources, unresolved=False):
        yield Mismatch("Resource", listed(statement.resources), request.resource)
    if statement.not_resources is not None and arn_in(statement.not_resources, unresolved=True):
        yield Mismatch("NotResource", listed(statement.not_resources), request.resource)
    for operator, key, wanted in statement.conditions:
        if not condition_holds(operator, key, wanted, request, statement.variables):
            have = request.values(key)
            yield Mismatch(f"Condition {operator} {key}", listed(wanted), "none" if have is None else listed(have))


def _excepted(entries: tuple[tuple[str, str], ...], principal: Principal) -> bool:
    """NotPrincipal: reference_policies_elements_notprincipal. To be excepted from a Deny, a user must be listed itself, and
    a role's session by its own ARN or its role's. To list the account alone excepts only its root user."""
    way = _how(entries, principal)
    return way in ("exact", "anyone", "role") or (way == "account" and principal.kind == "root")


def _caller(request: Request) -> str:
    return request.principal.arn or "nobody (an unsigned request)"


def applies(statement: Statement, request: Request) -> bool:
    """Whether all elements of a statement match a request."""
    return next(mismatches(statement, request), None) is None


def _find(effect: str, policies: tuple[Policy, ...], request: Request) -> tuple[Policy, Statement] | None:
    for policy in policies:
        for statement in policy.statements:
            if statement.effect == effect and applies(statement, request):
                return policy, statement
    return None


def _grant(resource: Policy | None, request: Request) -> tuple[tuple[Policy, Statement] | None, Match]:
    """The Allow of a resource-based policy that means the caller most closely, and how it means it."""
    allows = [
        ((resource, statement), _how(statement.principals or (), request.principal))
        for statement in (resource.statements if resource else ())
        if statement.effect == "Allow" and applies(statement, request)
    ]
    return min(allows, key=lambda found: CLOSEST_FIRST.index(found[1]), default=(None, ""))


# --- The evaluation logic ----------------------------------------------------------------------------------------------


def evaluate(request: Request, policies: Policies) -> Decision:
    """What AWS decides: reference_policies_evaluation-logic_policy-eval-denyallow and …-logic-cross-account.

    1. Denied by default.                   2. An explicit deny in any policy that applies wins over everything.
    3. SCPs: every level must allow.        4. A resource-based policy can be enough, within one account.
    5. Identity-based policies must allow.  6. So must the permissions boundary, 7. and the session policies.
    Across accounts both sides must allow: 3, 5, 6 and 7 in the caller's account, and the resource-based policy in the other.
    """
    caller = request.principal
    kind = policies.resource_kind
    resource = (policies.resource,) if policies.resource else ()
    boundary = (policies.boundary,) if policies.boundary else ()
    cross = caller.account != request.resource_account

    def decide(
        allowed: bool, layer: Layer, of: tuple[Policy, ...], found: Any = None, explicit: bool = False
    ) -> Decision:
        policy, statement = found or (None, None)
        return Decision(allowed, layer, request, policy, statement, explicit, of, cross)

    # Explicit denies first, whatever else allows. ("If the code finds even one explicit deny that applies …")
    every_scp = tuple(policy for level in policies.scps or () for policy in level)
    layers: list[tuple[Layer, tuple[Policy, ...]]] = [
        ("scp", every_scp),
        (kind, resource),
        ("identity", policies.identity),
        ("boundary", boundary),
        ("session", policies.session or ()),
    ]
    for layer, those in layers:
        if found := _find("Deny", those, request):
            return decide(False, layer, those, found, explicit=True)

    # Service control policies: allowed at every level, from the root down. (orgs_manage_policies_scps_evaluation)
    for level in policies.scps or ():
        if not _find("Allow", level, request):
            return decide(False, "scp", level)

    granted, way = _grant(policies.resource, request)

    # The root user of the account, nobody without an account, and AWS services have no identity-based policies.
    if caller.kind in ("anonymous", "service"):
        return decide(bool(granted), kind, resource, granted)
    if caller.kind == "root" and not cross and kind == "resource":
        return decide(True, "identity", ())

    # Within one account a resource-based policy alone is enough, if it means the caller and not just the account.
    # A grant to a role's ARN is still limited by the boundary and the session policies of the role's session. A grant to
    # a user, to one session by its ARN or to "*" is limited by nothing but an explicit deny. (reference_policies_
    # evaluation-logic_policy-eval-basics, "IAM roles", "IAM role sessions"; access_policies_boundaries)
    enough = not cross and way in ("exact", "anyone", "role")
    limited = not enough or way == "role"

    # Trust policies and key policies are never optional. (reference_policies_evaluation-logic, "… must explicitly allow")
    if kind != "resource" and not granted:
        return decide(False, kind, resource)

    found = _find("Allow", policies.identity, request)
    if not found and not enough and caller.kind != "root":
        return decide(False, "identity", policies.identity)
    if limited and boundary and not _find("Allow", boundary, request):
        return decide(False, "boundary", boundary)
    if limited and policies.session is not None and not _find("Allow", policies.session, request):
        return decide(False, "session", policies.session)
    if cross and not granted:
        return decide(False, kind, resource)
    if granted and (enough or not found):
        return decide(True, kind, resource, granted)
    return decide(True, "identity", policies.identity, found)
