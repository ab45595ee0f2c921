"""Variables of a project, which its pipelines get: https://docs.gitlab.com/ci/variables/

    >>> from opslab.worlds.forge.variables import Variable
    >>> forge.create("data/weekly", variables=[Variable("TOKEN", "heron-otter-kelp", protected=True, masked=True)])  # doctest: +SKIP

A protected one is there for pipelines of protected branches only, so that nobody gets at it with a branch of their own. A masked
one is replaced by [MASKED] in logs: a help against accidents, no lock.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from opslab.worlds.forge import receive
from opslab.worlds.forge.state import ForgeError

MASKED = "[MASKED]"
MASKABLE = re.compile(r"[A-Za-z0-9@:.~+/=_-]{8,}")
"""What GitLab can mask: a line of at least eight characters, none of which a shell or a log would change."""


@dataclass(frozen=True)
class Variable:
    """One variable. Raises ForgeError for a name that is none, or a value that cannot be masked."""

    name: str
    value: str
    protected: bool = False
    masked: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z_]\w*", self.name):
            raise ForgeError(f"{self.name!r} is no name for a variable: letters, digits and _, no digit first.")
        if self.masked and not MASKABLE.fullmatch(self.value):
            raise ForgeError(
                f"The value of {self.name} cannot be masked: at least 8 letters, digits or @:.~+/=_- in one line are needed."
            )


def of_pipeline(project: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, str]:
    """The variables of a project that a pipeline gets, by name. record: the pipeline's."""
    protected = is_protected(project, record)
    return {one.name: one.value for one in _all(project) if protected or not one.protected}


def is_protected(project: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    """Whether a pipeline is that of a protected branch. Those of merge requests run code that nobody has approved: they are not."""
    return record["merge_request"] is None and receive.is_protected(dict(project), record["branch"])


def masked(project: Mapping[str, Any], log: str) -> str:
    """A log without the values that are to be masked."""
    for one in sorted(_all(project), key=lambda one: -len(one.value)):
        if one.masked:
            log = log.replace(one.value, MASKED)
    return log


def _all(project: Mapping[str, Any]) -> Iterable[Variable]:
    return [Variable(**one) for one in project.get("variables", [])]
