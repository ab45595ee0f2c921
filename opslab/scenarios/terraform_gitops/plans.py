"""Task 4.1: six plans to read, drawn by seed from a pool of real ones.

    plans/NAME/before/   the code as it was applied      plans/NAME/plan.txt     what terraform said, without its summary
    plans/NAME/after/    the files that a change touched  plans/NAME/truth.json  what it comes to, see `record_plans`

A word such as `xthingx` stands for a name that every learner has another one of. `record_plans` writes plan.txt and truth.json: it
lets the real terraform plan the change and then apply it, and looks what has become of the data.
"""

from __future__ import annotations

import difflib
import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opslab.scenarios.iam_roles import write
from opslab.scenarios.terraform_gitops import common

FOLDER = common.HERE / "plans"
NUMBER = 6

LOSES = ("table-key", "bucket-renamed", "label-changed", "count-shifted", "shared-module", "retention")
"""Plans after which production has less data than before."""

FRIGHTENS = (
    "moved",
    "forgotten",
    "bucket-refuses",
    "create-before-destroy",
    "staging-only",
    "prevent-destroy",
    "many-tags",
)
"""Plans that look worse than they are."""

COUNTS = ("import", "data-read", "outputs", "for-each", "role-replaced")
"""Plans in which not everything counts."""

NOTHING = {"forgotten", "prevent-destroy", "outputs"}
"""Plans that add, change and destroy nothing. Two of them, and six times zero would be worth a point."""

POOL = (*LOSES, *FRIGHTENS, *COUNTS)

THINGS = ("baskets", "disputes", "invoices", "offers", "refunds", "sessions", "shipments", "vouchers", "watchlists")
TEAMS = ("catalogue", "checkout", "growth", "payments", "search", "support")
PARTNERS = ("bittern", "curlew", "dunlin", "egret", "fulmar", "grebe", "merlin", "plover", "siskin", "wren")

FORM = """\
# Six plans lie in ~/plans, each with the change that led to it. Say what each of them comes to, before anybody applies it.
#
#   add, change, destroy   as terraform counts them in the last line of a plan: the line that is cut off here
#   loses_data             no, or the address of what has less data in production afterwards: aws_s3_bucket.example
#                          (one address is enough, where there are several)
#
# Every bucket, table and log group that is there already has data in it.

1: add= change= destroy= loses_data=
2: add= change= destroy= loses_data=
3: add= change= destroy= loses_data=
4: add= change= destroy= loses_data=
5: add= change= destroy= loses_data=
6: add= change= destroy= loses_data=
"""


@dataclass(frozen=True)
class Plan:
    """A plan on somebody's desk. number: its folder there. words: the names in it, by what stands for them in the pool."""

    number: int
    name: str
    words: Mapping[str, str]

    @property
    def text(self) -> str:
        """What terraform said, without the summary."""
        return named((FOLDER / self.name / "plan.txt").read_text(), self.words)

    @functools.cached_property
    def truth(self) -> dict[str, Any]:
        """What it comes to. See `record_plans.truth`."""
        return json.loads(named((FOLDER / self.name / "truth.json").read_text(), self.words))

    @property
    def line(self) -> str:
        """The right answer, as it stands in the form."""
        truth = self.truth
        loses = truth["loses"][0] if truth["loses"] else "no"
        counts = " ".join(f"{word}={truth[word]}" for word in ("add", "change", "destroy"))
        return f"{self.number}: {counts} loses_data={loses}"

    @property
    def diff(self) -> str:
        """The change of the code, as `git diff` shows it."""
        before, after = code(self.name, "before"), code(self.name, "after")
        lines: list[str] = []
        for path in sorted(after):
            if before.get(path) != after[path]:
                lines += difflib.unified_diff(
                    named(before.get(path, ""), self.words).splitlines(keepends=True),
                    named(after[path], self.words).splitlines(keepends=True),
                    f"a/{path}" if path in before else "/dev/null",
                    f"b/{path}",
                )
        return "".join(lines)


def code(name: str, side: str, pool: Path = FOLDER) -> dict[str, str]:
    """The files of a plan's code, by path. side: "before" or "after" the change."""
    found = {"providers.tf": (FOLDER / "providers.tf").read_text()}
    for folder in ("before", "after")[: 2 if side == "after" else 1]:
        place = pool / name / folder
        found |= {str(path.relative_to(place)): path.read_text() for path in sorted(place.rglob("*.tf"))}
    return found


def named(text: str, words: Mapping[str, str]) -> str:
    """A text of the pool with the names of a seed."""
    for word, value in words.items():
        text = text.replace(common.stand_in(word), value)
    return text


def names_of(seed: int) -> list[str]:
    """Which six of the pool a seed has, in the order of the desk: two of each kind, and at most one that comes to nothing."""
    dice = common.draw(seed, "plans")
    chosen = list(NOTHING)
    while len(NOTHING & set(chosen)) > 1:
        chosen = [*dice.sample(LOSES, 2), *dice.sample(FRIGHTENS, 2), *dice.sample(COUNTS, 2)]
    dice.shuffle(chosen)
    return chosen


def plans(seed: int) -> list[Plan]:
    """The six plans of a seed."""
    dice = common.draw(seed, "names in plans")
    things = dice.sample(THINGS, NUMBER)
    return [Plan(number, name, _words(dice, things[number - 1])) for number, name in enumerate(names_of(seed), 1)]


def words(seed: int) -> dict[str, Any]:
    """The right answers of a seed, for tests: {{line_1}}, and its parts {{add_1}} … {{loses_1}}, {{thing_1}}."""
    found: dict[str, Any] = {}
    for plan in plans(seed):
        loses = plan.truth["loses"][-1] if plan.truth["loses"] else "none"
        parts = {"line": plan.line, "thing": plan.words["thing"], "loses": loses}
        parts |= {word: plan.truth[word] for word in ("add", "change", "destroy")}
        found |= {f"{word}_{plan.number}": value for word, value in parts.items()}
    return found


def _words(dice: Any, thing: str) -> dict[str, str]:
    # In the alphabet's order, because terraform lists the instances of a resource in it.
    first, second, third = sorted(dice.sample(PARTNERS, 3))
    return {"thing": thing, "team": dice.choice(TEAMS), "first": first, "second": second, "third": third}


def put_on_desk(home: Path, seed: int) -> None:
    """The plans with their changes, and the form of the answer."""
    for path, text in _files(seed):
        write(home / path, text)


def _files(seed: int) -> Iterator[tuple[str, str]]:
    yield "plans/providers.tf", (FOLDER / "providers.tf").read_text()
    yield "answers/plans.txt", FORM
    for plan in plans(seed):
        yield f"plans/{plan.number}/plan.txt", plan.text
        yield f"plans/{plan.number}/change.diff", plan.diff
