"""What the reviewers of module 02 ask about, besides what every reviewer of the forge does."""

from __future__ import annotations

import re
from collections.abc import Iterator

from opslab.worlds.forge.reviewers import Finding, Review, rule


@rule("changelog")
def changelog(review: Review) -> Iterator[Finding]:
    """Who changes a mart tells those who read it."""
    marts = [change.path for change in review.present(".sql") if change.path.startswith("marts/")]
    if marts and not any(change.path == "CHANGELOG.md" for change in review.changes):
        yield Finding(
            f"Forty people look at what {marts[0]} makes. Can you add a line to CHANGELOG.md, so that they know why their numbers "
            "moved?",
            marts[0],
        )


@rule("numbers", negotiable=True)
def numbers(review: Review) -> Iterator[Finding]:
    """Who changes a number says by how much."""
    if not re.search(r"\d", review.record["description"]):
        yield Finding("By how much does the number move, for a day of your choice: before, and after?")


@rule("my-currency")
def my_currency(review: Review) -> Iterator[Finding]:
    """Kasia looks whether her change to the revenue lives."""
    path = "marts/revenue_daily.sql"
    lines = [line.split("--")[0] for line in review.text(path).splitlines()]
    if sum(line.count("currency") for line in lines) < 2:
        yield Finding(
            "I do not see my currencies any more: finance adds up euros and zloty again. Was that on purpose?", path
        )
