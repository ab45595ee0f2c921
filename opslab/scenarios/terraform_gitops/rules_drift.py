"""What the reviewers of platform/reports ask about."""

from __future__ import annotations

import re
from collections.abc import Iterator

from opslab.worlds.forge.reviewers import Finding, Review, rule

LOOKS_AWAY = re.compile(r"^\s*ignore_changes\s*=", re.MULTILINE)


@rule("looks-away")
def looks_away(review: Review) -> Iterator[Finding]:
    """A plan that looks away is empty, and says nothing."""
    for change in review.present(".tf"):
        if LOOKS_AWAY.search(review.text(change.path)):
            yield Finding(
                "ignore_changes makes the plan look away: it is empty then, and AWS is as it was. Please decide: "
                "what is right comes into the code, what is wrong goes with the next apply.",
                change.path,
            )
