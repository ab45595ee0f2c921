"""Values that terraform calls sensitive, so that they can be masked wherever they stand.

Terraform masks a sensitive value where it is marked, and only there. What a provider computes from it is not marked: a password in
`tags` is masked, and in `tags_all`, two lines below, it stands in clear. In a comment, everybody would read it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

MASK = "(sensitive value)"
SHORTEST = 4
"""Characters: to mask "1" or "eu" everywhere would hide more than it protects."""


def sensitive(plan: dict[str, Any]) -> list[str]:
    """The texts in a plan (`terraform show -json`) that are marked as sensitive, longest first."""
    found: set[str] = set()
    for change in plan.get("resource_changes", []):
        for side in ("before", "after"):
            found |= set(_marked(change["change"].get(side), change["change"].get(f"{side}_sensitive")))
    for change in plan.get("output_changes", {}).values():
        for side in ("before", "after"):
            found |= set(_marked(change.get(side), change.get(f"{side}_sensitive")))
    declared = plan.get("configuration", {}).get("root_module", {}).get("variables", {})
    for name, variable in plan.get("variables", {}).items():
        if declared.get(name, {}).get("sensitive"):
            found |= set(_marked(variable.get("value"), True))
    return sorted(found, key=len, reverse=True)


def _marked(value: Any, mark: Any) -> Iterator[str]:
    """The texts in a value at the places that the mark, which has the same shape, says."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _marked(one, mark if mark is True else mark.get(key) if isinstance(mark, dict) else None)
    elif isinstance(value, list):
        for at, one in enumerate(value):
            inner = mark if mark is True else mark[at] if isinstance(mark, list) and at < len(mark) else None
            yield from _marked(one, inner)
    elif mark is True and isinstance(value, str):
        # A text of several lines is shown line by line.
        yield from (line for line in {value, *value.splitlines()} if len(line.strip()) >= SHORTEST)


def masked(text: str, values: list[str]) -> str:
    """A text without these values."""
    for value in values:
        for shown in (value, value.replace("\\", "\\\\").replace('"', '\\"')):
            text = text.replace(shown, MASK)
    return text
