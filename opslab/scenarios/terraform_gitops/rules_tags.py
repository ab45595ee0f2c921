"""What the reviewer of the estate asks about (task 4.4)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from opslab.worlds.forge.reviewers import Finding, Review, rule


@rule("one-owner", negotiable=True)
def one_owner(review: Review) -> Iterator[Finding]:
    """default_tags of a single provider name the same owner for everything."""
    for change in review.present(".tf"):
        text = review.text(change.path)
        if len(re.findall(r'(?m)^provider\s+"aws"', text)) == 1 and re.search(r"default_tags\s*\{[^}]*\bOwner\b", text):
            yield Finding(
                "default_tags give everything in here one Owner, and OWNERS.md names several teams. "
                "Is it overridden wherever it does not fit?",
                change.path,
            )
