"""Where a policy check is switched in: whatever can say yes or no to a plan.

    >>> def tagged(plan):
    ...     return [Verdict("tags", passed=True, output="1 test, 1 passed, 0 warnings, 0 failures, 0 exceptions")]
    >>> bot = Atlantis(folder, tools, policies=tagged, …)                           # doctest: +SKIP

A policy gets the plan as data (`terraform show -json`) and gives a Verdict for each of its sets. `Rego` reads them from files in the
language that conftest and OPA use, with the package regopy where that is installed.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """What one policy set says of a plan. output: as conftest prints it, a line for each failure and a summary."""

    name: str
    passed: bool
    output: str


Policies = Callable[[dict[str, Any]], list[Verdict]]


class Rego:
    """Policy sets in Rego: each a name and the text of a module `package main` with rules `deny` that give messages.

    They are run in this process: for policies of the platform's own. Raises ImportError where regopy is not installed.
    """

    def __init__(self, sets: Mapping[str, str]) -> None:
        import regopy

        self._interpreter, self.sets = regopy.Interpreter, dict(sets)

    def __call__(self, plan: dict[str, Any]) -> list[Verdict]:
        return [self._one(name, text, plan) for name, text in self.sets.items()]

    def _one(self, name: str, text: str, plan: dict[str, Any]) -> Verdict:
        rego = self._interpreter()
        rego.add_module(name, text)
        rego.set_input(plan)
        if str(rego.query("count(data.main.deny)")) == "undefined":
            raise ValueError(f"the policy set {name} has no rule `deny` in `package main`")
        # As base64, because regopy does not escape the quotes in every text, and addresses have some: bucket["orders"].
        # The members of a set, and the keys of what `deny[message] { … }` of older Rego gives.
        messages: set[str] = set()
        for query in (
            "[base64.encode(one) | some one in data.main.deny]",
            "[base64.encode(key) | data.main.deny[key]]",
        ):
            (found,) = json.loads(str(rego.query(query)))["expressions"]
            messages |= {base64.b64decode(one).decode() for one in found}
        return verdict(name, sorted(messages))


def rego(sets: Mapping[str, str]) -> Policies:
    """Policy sets in Rego; where regopy is not installed, a function that raises RuntimeError and says so."""
    try:
        return Rego(sets)
    except ImportError:

        def cannot(plan: dict[str, Any]) -> list[Verdict]:
            raise RuntimeError("the package regopy is not installed here, which reads them. Get it: pip install regopy")

        return cannot


def verdict(name: str, messages: list[str]) -> Verdict:
    """The verdict for a set that found this to be wrong, in conftest's words."""
    lines = [f"FAIL - plan.json - main - {message}" for message in messages]
    count = max(len(messages), 1)
    summary = f"{count} test{'s' * (count > 1)}, {int(not messages)} passed, 0 warnings, "
    summary += f"{len(messages)} failure{'s' * (len(messages) != 1)}, 0 exceptions"
    return Verdict(name, not messages, "\n".join([*lines, "", summary]))
