"""What the reviewers of module 04 ask about, besides what every reviewer of the forge does."""

from __future__ import annotations

import re
from collections.abc import Iterator

from opslab.worlds.forge.reviewers import Finding, Review, rule

MODULE = "modules/bucket"
"""Where the platform team's bucket is, in their repository."""


@rule("how-much", negotiable=True)
def how_much(review: Review) -> Iterator[Finding]:
    """Who asks for room says how much, and until when."""
    if not re.search(r"\d", review.record["description"]):
        yield Finding("How much comes in a day, roughly, and for how long is it kept? I have to pay for it.")


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
        if not change.path.startswith(f"{MODULE}/") and re.search(
            r'resource\s+"aws_s3_bucket"', review.text(change.path)
        ):
            yield Finding(
                f"This builds a bucket by hand. {MODULE} has encryption, the public access block and the tags in it already; "
                "please use that, so that we mend it in one place.",
                change.path,
            )


@rule("module-of-all", negotiable=True)
def module_of_all(review: Review) -> Iterator[Finding]:
    """Who changes a module says whose things it changes."""
    if any(change.path.startswith("modules/") for change in review.changes):
        yield Finding(
            "This changes a module, and so what everybody has made with it. Whose buckets change, and how? The plan knows; one "
            "sentence here is enough."
        )


@rule("versions")
def versions(review: Review) -> Iterator[Finding]:
    """In production, versions are kept. Whatever is more than a plain "false" may come to true: the plan shows it."""
    for change in review.present(".tf"):
        text = review.text(change.path)
        if not (change.path.startswith("production/") and MODULE in text):
            continue
        said = re.findall(r"\bversions\s*=\s*(\S+)", text)
        if not said or set(said) == {"false"}:
            yield Finding(
                "In production we keep versions: somebody will delete the wrong day. (versions = true)", change.path
            )


@rule("no-star")
def no_star(review: Review) -> Iterator[Finding]:
    """Permissions have names in them."""
    for change in review.present(".tf"):
        if found := re.search(r'"(\*|[a-z0-9-]+:\*)"', review.text(change.path)):
            yield Finding(
                f"There is {found[0]} in a policy. What of that does the job do? Please name it: the actions one by one, and the "
                "things that it does them to.",
                change.path,
            )
