"""Task 2.2: two people have changed the same mart. Kasia's change is on main, yours is a merge request in conflict."""

from __future__ import annotations

from opslab.scenarios.merge_requests.people import RULES, day, history
from opslab.worlds.forge.forge import Forge

NAME = "analytics/finance"
MART = "marts/revenue_daily.sql"
BRANCH = "only-paid"
REVIEWERS = {"kasia": ("conflict-marker", "my-currency")}

BASE = """\
-- Revenue, one line a day.
select
    day,
    round(sum(amount), 2) as revenue
from orders
group by day
order by day
"""
KASIA = """\
-- Revenue, one line a day and currency.
select
    day,
    currency,
    round(sum(amount), 2) as revenue
from orders
group by day, currency
order by day, currency
"""
YOURS = """\
-- Revenue of what was really paid, one line a day.
select
    day,
    count(*) as orders,
    round(sum(amount), 2) as revenue
from orders
where status = 'paid'
group by day
order by day
"""


def build(forge: Forge, seed: int) -> None:
    """Put the repository there, with Kasia's change on main and yours open."""
    repository = forge.create(NAME, reviewers=REVIEWERS, rule_modules=[RULES])
    history(
        repository,
        [
            (
                "kasia",
                "Start with the daily revenue",
                {"README.md": "# finance\n\nMarts for the finance team.\n", MART: BASE},
            )
        ],
        seed=seed,
    )
    repository.commit(BRANCH, {MART: YOURS}, "Count only what was paid", by="you", at=day(20))
    history(repository, [("kasia", "Revenue by currency: finance adds up euros and zloty", {MART: KASIA})], start=21)
    repository.create_merge_request(
        BRANCH,
        by="you",
        title="Count only what was paid, and how many orders that were",
        description="Finance books what was paid. Cancelled and refunded orders leave the sum; a column orders comes in.",
    )
