"""Task 4.1: the plans of the pool are what terraform says, and what is said about them is true."""

from __future__ import annotations

import ast
import inspect
import re
from collections import Counter

import pytest
import replay

from opslab.checks.terraform_gitops import plans as check
from opslab.scenarios.terraform_gitops import plans, record_plans

HEADERS = {
    "will be created": (1, 0, 0),
    "will be updated in-place": (0, 1, 0),
    "will be destroyed": (0, 0, 1),
    "must be replaced": (1, 0, 1),
}
"""What a line that begins with # adds, changes and destroys."""


def pool(name: str) -> plans.Plan:
    """A plan as it is in the pool, with its stand-ins."""
    return plans.Plan(1, name, {})


@pytest.mark.parametrize("name", plans.POOL)
def test_the_truth_is_what_can_be_counted_in_the_text(name):
    plan = pool(name)
    lines = re.findall(r"^ *# \S+ (.*)$", plan.text, re.MULTILINE)
    counted = tuple(map(sum, zip((0, 0, 0), *(HEADERS.get(line, (0, 0, 0)) for line in lines), strict=True)))
    truth = plan.truth
    assert counted == tuple(truth.get("said") or (truth["add"], truth["change"], truth["destroy"]))
    assert ("Error:" in plan.text) == truth["failed"]
    for address in truth["loses"]:
        assert f"# {address} " in plan.text


@pytest.mark.parametrize("name", plans.POOL)
def test_nothing_in_a_plan_gives_the_summary_away(name):
    assert not re.search(r"Plan:|to add|without changing any|No changes", pool(name).text)


@pytest.mark.parametrize("name", plans.POOL)
def test_a_plan_was_recorded_from_the_code_that_is_there(name):
    assert pool(name).truth["code"] == record_plans.fingerprint(name), "record it again: see record_plans"


def test_each_kind_is_what_it_is_called():
    assert all(pool(name).truth["loses"] for name in plans.LOSES)
    assert not any(pool(name).truth["loses"] for name in (*plans.FRIGHTENS, *plans.COUNTS))
    nothing = {name for name in plans.POOL if not sum(pool(name).truth[word] for word in check.COUNTS)}
    assert nothing == plans.NOTHING
    assert len(set(plans.POOL)) == len(plans.POOL) >= 14


def test_everybody_gets_a_fair_mix_of_six():
    drawn = Counter()
    for seed in range(200):
        names = plans.names_of(seed)
        assert len(set(names)) == plans.NUMBER
        assert [sum(name in kind for name in names) for kind in (plans.LOSES, plans.FRIGHTENS, plans.COUNTS)] == [
            2,
            2,
            2,
        ]
        assert len(plans.NOTHING & set(names)) <= 1
        drawn.update(names)
    assert set(drawn) == set(plans.POOL)
    assert sum(plans.names_of(seed) == plans.names_of(seed + 1) for seed in range(200)) < 3


def test_the_names_on_a_desk_are_those_of_its_seed():
    for seed in range(10):
        for plan in plans.plans(seed):
            for text in (plan.text, plan.diff, plan.line):
                assert not re.search(r"x(thing|team|first|second|third)x", text)
            assert plan.words["thing"] in plan.text + plan.diff
            assert plan.diff.startswith("--- ") and re.search(r"(?m)^[+-](?![+-]{2})", plan.diff)
    assert [plan.line for plan in plans.plans(3)] == [plan.line for plan in plans.plans(3)]


def test_instances_stand_in_the_order_in_which_terraform_lists_them():
    for seed in range(50):
        for plan in plans.plans(seed):
            assert plan.words["first"] < plan.words["second"] < plan.words["third"]


def test_every_misconception_that_is_named_is_somebodys():
    """Names stand in what helpers return, where `replay.names_of_misses` does not see them."""
    named = set()
    for function in (check._mistake, check._no_loss, check._loss):
        for node in ast.walk(ast.parse(inspect.getsource(function))):
            if isinstance(node, ast.Tuple) and len(node.elts) == 2 and isinstance(node.elts[1], ast.Constant):
                named.add(node.elts[1].value)
    produced = {name for case in replay.cases("04_terraform_gitops") for name in case.missed.values()}
    assert len(named) > 15 and named <= produced


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bucket-refuses"])
def test_terraform_still_says_and_does_the_same(name):
    text, truth = record_plans.record(name)
    assert (text, truth) == (pool(name).text, pool(name).truth)
