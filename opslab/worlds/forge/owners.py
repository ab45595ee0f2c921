"""Code owners: whose approval a change needs, from the repository's CODEOWNERS file.

    >>> owners = parse("* @platform\\n/marts/ @ana\\n[Money]\\n*.sql @finance")
    >>> for need in needed(owners, ["marts/orders.sql"]): print(need.section, need.pattern, need.owners)
     /marts/ ('ana',)
    Money *.sql ('finance',)

The rules are GitLab's (https://docs.gitlab.com/user/project/codeowners/reference/): within a section the last line that
matches a file wins, sections count side by side, `^[Section]` is optional, `[Section][2]` needs two approvals, owners behind
a section's name stand for lines without any. Not here: roles (`@@maintainer`), exclusions (`!path`), owners by e-mail address.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

PLACES = ("CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS")
"""Where GitLab looks for the file; the first one that is there counts."""

PATTERN_LIMIT = 200
WILDCARD_LIMIT = 8


@dataclass(frozen=True)
class Owner:
    """One line: who owns the files that match a pattern. section: "" before the first heading. count: approvals needed."""

    section: str
    pattern: str
    owners: tuple[str, ...]
    expression: re.Pattern[str]
    optional: bool = False
    count: int = 1


def parse(text: str) -> list[Owner]:
    """The lines of a CODEOWNERS file. What cannot be understood is left out, as GitLab does."""
    found = []
    section, defaults, optional, count = "", (), False, 1
    for line in text.splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if heading := re.fullmatch(r"(\^)?\[([^\]]+)\](?:\[(\d{1,2})\])?\s*(.*)", line):
            section, optional, count = heading[2].strip(), bool(heading[1]), int(heading[3] or 1)
            defaults = _names(heading[4].split())
            continue
        pattern, *rest = re.split(r"(?<!\\)\s+", line)
        owners = _names(rest) or defaults
        if owners and (expression := _expression(pattern)):
            found.append(Owner(section, pattern, owners, expression, optional, count))
    return found


def needed(owners: Sequence[Owner], paths: Iterable[str]) -> list[Owner]:
    """The lines whose owners have to approve a change of these files, each once."""
    found: dict[tuple[str, str], Owner] = {}
    sections = list(dict.fromkeys(owner.section.lower() for owner in owners))
    for path in paths:
        for section in sections:
            matching = [one for one in owners if one.section.lower() == section and one.expression.fullmatch(path)]
            if matching and not matching[-1].optional:
                found[section, matching[-1].pattern] = matching[-1]
    return list(found.values())


def _names(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(word[1:] for word in words if re.fullmatch(r"@[\w./-]+", word))


def _expression(pattern: str) -> re.Pattern[str] | None:
    """A pattern as a regular expression; None for one that is too long, or has so many stars that matching takes long."""
    # "\\#" and "\\ " are how a name with # in front or with a space in it is written.
    pattern = re.sub(r"\*{3,}", "**", re.sub(r"^\\#", "#", pattern).replace("\\ ", " "))
    if len(pattern) > PATTERN_LIMIT or pattern.count("*") > WILDCARD_LIMIT:
        return None
    if pattern == "*":
        pattern = "/**/*"
    if not pattern.startswith("/"):
        pattern = f"/**/{pattern}"
    if pattern.endswith("/"):
        pattern += "**/*"
    out = ""
    for piece in re.findall(r"\*\*/|\*\*|\*|\?|[^*?]+", pattern.lstrip("/")):
        out += {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(piece, re.escape(piece))
    return re.compile(out, re.DOTALL)
