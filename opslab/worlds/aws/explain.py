"""Why was that denied, or allowed? The answer that AWS's message does not give: which statement, and what was missing.

    >>> from opslab.worlds.aws.explain import explain
    >>> with Organisation({"staging": "111111111111"}) as aws:      # doctest: +SKIP
    ...     ...                                                      # something is denied
    ...     print(explain(aws.last_denial()))

Learners read AWS's message first; this is the hint that comes after. `record.explained` remembers that it was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from opslab.worlds.aws.guard import Record
from opslab.worlds.aws.policy import LAYER_NAMES, Decision, Mismatch, Policy, Statement, mismatches

CLOSE_ENOUGH = 3  # so many statements that came close are worth reading


@dataclass(frozen=True)
class Near:
    """A statement that might have allowed the request, and what in it did not fit."""

    policy: Policy
    statement: Statement
    misses: tuple[Mismatch, ...]


@dataclass(frozen=True)
class Explanation:
    """What decided.

    allowed    the answer
    layer      scp, resource, trust, key, identity, boundary, session; or "caller" when the request did not get that far
    policy, statement  the ones that decided; None for an implicit deny
    near       for an implicit deny, the statements that came closest first
    message    AWS's own sentence
    text       all of it, to read
    """

    allowed: bool
    layer: str
    message: str
    policy: Policy | None
    statement: Statement | None
    near: tuple[Near, ...]
    text: str

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        first, *rest = self.text.splitlines()
        colour = "var(--jp-success-color1, #2e7d32)" if self.allowed else "var(--jp-error-color1, #c62828)"
        body = escape("\n".join(rest))
        return (
            f'<div style="border-left:4px solid {colour};padding:.2em 1em;margin:.5em 0">'
            f'<strong>{escape(first)}</strong><pre style="white-space:pre-wrap;margin:.4em 0">{body}</pre></div>'
        )


def explain(record: Record) -> Explanation:
    """Explains a request of `Organisation.records`."""
    record.explained = True
    message = record.refusal.message if record.refusal else ""
    if not record.decisions or (record.refusal and record.decisions[-1].allowed):
        return _without_decision(record, message)
    return of_decision(record.decisions[-1], message)


def _without_decision(record: Record, message: str) -> Explanation:
    what = f"{record.service}:{record.operation}" if record.operation else record.service or "a request"
    if record.refusal is None:
        text = f"Allowed: {what} by {record.caller}.\nNo permission is needed for this call."
        return Explanation(True, "caller", "", None, None, (), text)
    where = (
        "The policies allowed it. What was sent, AWS does not take."
        if record.decisions
        else "It did not get as far as the policies: AWS first wants to know who asks and what."
    )
    lines = [
        f"Refused: {what} by {record.caller or 'an unknown caller'}.",
        f"AWS says: {record.refusal.code}: {message}",
        where,
    ]
    return Explanation(False, "request" if record.decisions else "caller", message, None, None, (), "\n".join(lines))


def of_decision(decision: Decision, message: str = "") -> Explanation:
    """Explains one decision of the evaluator."""
    request = decision.request
    who = request.principal.arn or "an unsigned request"
    layer = "trust policy" if decision.layer == "trust" else LAYER_NAMES[decision.layer]
    lines = [
        f"{'Allowed' if decision.allowed else 'Denied'}: {request.action} on {request.resource}",
        f"Caller:  {who}",
    ]
    if message:
        lines.append(f"AWS says: {message}")
    lines.append(f"Layer:   {layer}{_which_account(decision)}")
    near: tuple[Near, ...] = ()
    if decision.statement and decision.policy:
        verb = "allows" if decision.allowed else "denies, and a Deny beats every Allow"
        lines.append(f"Statement {decision.statement.label} of {decision.policy.name} {verb}.")
        if not decision.allowed:
            lines += [f"  {line}" for line in _elements(decision.statement)]
    elif not decision.allowed:
        near = _nearest(decision)
        lines += _what_was_missing(decision, layer, near)
    return Explanation(
        decision.allowed, decision.layer, message, decision.policy, decision.statement, near, "\n".join(lines)
    )


def _which_account(decision: Decision) -> str:
    if not decision.cross_account:
        return ""
    request = decision.request
    if decision.layer in ("resource", "trust", "key"):
        return f", in the account of the resource ({request.resource_account}). Across accounts both sides must allow."
    return f", in the account of the caller ({request.principal.account}). Across accounts both sides must allow."


def _nearest(decision: Decision) -> tuple[Near, ...]:
    found = [
        Near(policy, statement, tuple(mismatches(statement, decision.request)))
        for policy in decision.considered
        for statement in policy.statements
        if statement.effect == "Allow"
    ]

    def distance(near: Near) -> tuple[bool, int]:
        # A statement about another action is further away than one that has only the resource or a condition wrong.
        return any(miss.element in ("Action", "NotAction") for miss in near.misses), len(near.misses)

    return tuple(sorted(found, key=distance)[:CLOSE_ENOUGH])


def _what_was_missing(decision: Decision, layer: str, near: tuple[Near, ...]) -> list[str]:
    action = decision.request.action
    if not decision.considered:
        return [f"Missing: there is no {layer} here at all, so nothing allows {action}."]
    lines = [
        f"Missing: no statement of the {layer} allows {action}. {'What came closest:' if near else 'It has no Allow.'}"
    ]
    for one in near:
        lines.append(f"  Statement {one.statement.label} of {one.policy.name}:")
        lines += [f"    {miss.element} says {miss.says}; the request has {miss.request}" for miss in one.misses]
        if not one.misses:  # it means the caller's account, and the caller's own policies do not allow
            lines.append("    fits, but it means the account: the caller also needs an identity-based policy")
    return lines


def _elements(statement: Statement) -> list[str]:
    import json

    return [f"{name}: {json.dumps(value)}" for name, value in statement.document.items() if name != "Sid"]
