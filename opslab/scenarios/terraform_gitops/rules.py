"""What the reviewers of module 04 ask about, besides what every reviewer of the forge does."""

from __future__ import annotations

import re
from collections.abc import Iterator

from opslab.worlds.forge.reviewers import Finding, Review, rule


@rule("both-accounts")
def both_accounts(review: Review) -> Iterator[Finding]:
    """What is in production has been in staging."""
    touched = {change.path.split("/")[0] for change in review.present(".tf")} & {"staging", "production"}
    if len(touched) == 1:
        other = {"staging": "production", "production": "staging"}[touched.pop()]
        yield Finding(f"And {other}? Both accounts get the same; a name more or less is all that may differ.")


@rule("a-rota")
def a_rota(review: Review) -> Iterator[Finding]:
    """OnCall is a rota, because people go on holiday."""
    for change in review.present(".tf"):
        for value in re.findall(r'(?:on_call|OnCall)"?\s*[=:]\s*"([^"]*)"', review.text(change.path)):
            if not value.endswith("-oncall"):
                yield Finding(
                    f'Who is "{value}"? Please put the rota there, the one that ends with -oncall. People go on holiday, and alarms do not.',
                    change.path,
                )


@rule("no-copy")
def no_copy(review: Review) -> Iterator[Finding]:
    """Use the module; do not copy it."""
    for change in review.present(".tf"):
        if change.path.startswith("modules/"):
            continue
        if re.search(r'resource\s+"aws_s3_bucket"', review.text(change.path)):
            yield Finding(
                "This builds a bucket by hand. modules/bucket has encryption, the public access block and the tags in it already; "
                "please use that, so that we mend it in one place.",
                change.path,
            )


@rule("versions")
def versions(review: Review) -> Iterator[Finding]:
    """In production, versions are kept."""
    for change in review.present(".tf"):
        text = review.text(change.path)
        if (
            change.path.startswith("production/")
            and "modules/bucket" in text
            and not re.search(r"versions\s*=\s*true", text)
        ):
            yield Finding(
                "In production we keep versions: somebody will delete the wrong day. (versions = true)", change.path
            )
