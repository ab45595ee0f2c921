"""What lesson 02 plays with: a small repository that two people work in."""

from __future__ import annotations

from pathlib import Path

from opslab.scenarios.merge_requests.people import RULES, day, history
from opslab.worlds.forge.forge import Forge

NAME = "analytics/prices"
SQL = """\
-- The average price of a category.
select category, round(avg(price), 2) as average
from listings
group by category
"""


def build(forge: Forge, home: Path) -> None:
    """Put the repository there."""
    repository = forge.create(
        NAME, reviewers={"hania": ["title", "description", "changelog", "conflict-marker"]}, rule_modules=[RULES]
    )
    history(
        repository,
        [
            ("hania", "Average prices by category", {"README.md": "# prices\n", "marts/prices.sql": SQL}),
            ("kasia", "A place to say what changed", {"CHANGELOG.md": "# What changed\n"}),
        ],
    )
    rounded = SQL.replace("a category.", "a category, in whole euros.").replace(
        "round(avg(price), 2)", "round(avg(price))"
    )
    rounded = rounded.replace("from listings\n", "from listings\nwhere price > 0\n")
    repository.commit("kasia-rounds", {"marts/prices.sql": rounded}, "Whole euros are enough", by="kasia", at=day(20))
