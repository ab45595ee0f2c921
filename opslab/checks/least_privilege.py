"""Least privilege, asked: of AWS, by doing it as the role, and of the evaluator, for all that nobody thought of.

calls = [Call("delete a file", "s3", "delete_object", {…})]
if call := first_done(calls, lambda call: role.call(call.service, call.operation, **call.parameters)):
    raise Miss(f"It can also {call.text}.")
if more := beyond(trial, "arn:aws:iam::111122223333:role/loader", resources, wanted):
    raise Miss(f"It may also do {more[0].action} on {more[0].resource}.")
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from opslab.checks import Miss, Trial
from opslab.scenarios.iam_roles.loader import SERVICES, Call
from opslab.worlds.aws.cloud import Actor, Answer

GONE = ("NoSuchBucket", "ResourceNotFoundException", "AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")


class Allowed(NamedTuple):
    """An action that is allowed on a resource; "*" is any."""

    action: str
    resource: str


def here(trial: Trial, answer: Answer) -> Answer:
    """The same answer. Raises Miss where the thing that was asked for is not there any more, which says nothing of permission."""
    if answer.code in GONE:
        raise Miss(f"Something that this task needs was deleted. opslab.reset(\"{trial.task.id}\") brings it back.", tried="use the things of this task", got=said(answer), wanted="all of them in their place", name="thing-gone")  # fmt: skip
    return answer


def said(answer: Actor | Answer) -> str:
    """What AWS has said to a call, for a card."""
    return f"{answer.code}: {answer.message}" if isinstance(answer, Answer) and answer.code else "it was done"


def name_of(arn: str) -> str:
    """The name in the ARN of a user or role."""
    return arn.rsplit("/", 1)[-1]


def first_done(
    calls: Iterable[Call], do: Callable[[Call], Answer], later: Callable[[Call], bool] = lambda call: False
) -> Call | None:
    """The first call that AWS lets through; None where it denies them all. later: whether a call is tried after the others."""
    return next((call for call in sorted(calls, key=later) if do(call).allowed), None)


def beyond(
    trial: Trial,
    role: str,
    resources: Iterable[str],
    wanted: Mapping[str, list[str]],
    services: Iterable[str] = SERVICES,
) -> list[Allowed]:
    """What a role's policies allow beyond what is wanted, out of every action that IAM knows. Nothing of it is done.

    role: its ARN. resources: the ARNs to ask about, besides "*". wanted: for a resource, the actions that are meant.
    """
    order = {"resources": list(resources), "services": list(services), "wanted": dict(wanted)}
    return [Allowed(*one) for one in trial.cloud().ask("beyond", caller=role, **order)]


def trust_is(trial: Trial, role: str, meant: set[str], name: str) -> None:
    """A role (its ARN) trusts those who are meant and nobody else, whatever their own policies say today. Raises Miss."""
    if more := sorted(set(trial.cloud().ask("trusted", role=role)) - meant):
        raise Miss(f"The trust policy lets {more[0]} in, too, as soon as that one is allowed to ask. Name those who are meant, and not a whole account or a pattern.", tried=f"ask the trust policy of {name_of(role)} about everybody", got=", ".join(more[:5]), wanted=", ".join(sorted(meant)), name=name)  # fmt: skip
