"""Where a policy check is switched in: whatever can say yes or no to a plan.

    >>> def tagged(plan):
    ...     return [Verdict("tags", passed=True, output="1 test, 1 passed, 0 warnings, 0 failures, 0 exceptions")]
    >>> bot = Atlantis(folder, tools, policies=tagged, …)                           # doctest: +SKIP

A policy gets the plan as data (`terraform show -json`) and gives a Verdict for each of its sets. `Rego` reads them from files in the
language that conftest and OPA use, with the package regopy where that is installed.
"""

from __future__ import annotations

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
        said = str(rego.query("data.main.deny"))
        found = json.loads(said).get("expressions") if said.startswith("{") else None
        if not found:
            raise ValueError(f"the policy set {name} has no rule `deny` in `package main`")
        # A set comes as an object whose keys are its members.
        messages = sorted(str(message) for one in found for message in one)
        return verdict(name, messages)


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
