"""Task 4.1: what six plans come to. The truth was recorded with them, so this needs no terraform."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from opslab.checks import Miss, Trial
from opslab.checks.terraform_gitops.asking import module
from opslab.scenarios.terraform_gitops import plans
from opslab.scenarios.terraform_gitops.plans import Plan

FORM = "answers/plans.txt"
COUNTS = ("add", "change", "destroy")
LOSES = "loses_data"
NOTHING = ("no", "none", "nothing", "n", "-", "false")
FORMED = "add=… change=… destroy=… loses_data=…"

reading = module.task(
    "4.1",
    "Read the plan",
    files=[FORM, "plans"],
    stays=[FORM],
    hints=[
        ("Read only the lines that begin with #: grep '^ *#' plans/1/plan.txt. Each says what happens to one resource. Ask of each: is it "
        "new, is it changed, does it go? And if it goes: was there something in it, and whose was it?"),
        ("“must be replaced” is one that goes and one that comes: it counts twice. Data that is read, resources that have moved or "
        "are no longer managed, and what is imported count in none of the three numbers; something imported may be changed, too."),
        ("A plan that ends with “Error:” is no plan: nothing of it can be applied. A bucket goes only when it is empty, or when it has "
        "force_destroy = true. A table or a log group goes with all that is in it, and what comes under the same name is empty."),
        ("Whose is it? Look for aws.staging in the change, for the account in an ARN (444455556666 is production) or for the module in the address. "
        "And data can go where nothing is destroyed: look at what is updated in place, too."),
    ],
)  # fmt: skip


def _said(trial: Trial, plan: Plan) -> dict[str, str]:
    """What was answered for a plan, by add, change, destroy and loses_data. Raises Miss where something is left out or makes no sense."""
    keys = [f"{before}{number}" for before in ("", "plan_") for number in range(1, plans.NUMBER + 1)]
    answers = trial.once("form", lambda: trial.answers(FORM, keys))
    tried = f"read line {plan.number} of ~/{FORM}"
    line = answers.get(str(plan.number)) or answers.get(f"plan_{plan.number}", "")
    words = "|".join((*COUNTS, LOSES))
    found = dict(re.findall(rf"\b({words})\s*=\s*((?!(?:{words})\s*=)[^\s,;]*)", line))
    if not any(found.values()):
        raise Miss(f"Plan {plan.number} is not answered yet.", tried=tried, got=line or "nothing", wanted=f"{plan.number}: {FORMED}", name="not-answered")  # fmt: skip
    if left := [word for word in (*COUNTS, LOSES) if not found.get(word)]:
        raise Miss(f"Plan {plan.number}: {', '.join(left)} is still to be said.", tried=tried, got=line, wanted=f"{plan.number}: {FORMED}", name="left-out")  # fmt: skip
    if wrong := [word for word in COUNTS if not re.fullmatch(r"\d{1,4}", found[word])]:
        raise Miss(f"Plan {plan.number}: {wrong[0]} is a number.", tried=tried, got=f"{wrong[0]}={found[wrong[0]]}", wanted=f"{plan.number}: {FORMED}", name="no-number")  # fmt: skip
    return {**found, LOSES: found[LOSES].strip("\"'`")}


def _counts(plan: Plan, said: dict[str, str]) -> None:
    """Raises Miss where the three numbers are not terraform's."""
    truth = plan.truth
    numbers = [int(said[word]) for word in COUNTS]
    right = [truth[word] for word in COUNTS]
    if numbers in (right, truth.get("said")):
        return
    say, name = _mistake(numbers, truth)
    got = " ".join(f"{word}={number}" for word, number in zip(COUNTS, numbers, strict=True))
    raise Miss(f"Plan {plan.number}: {say}", tried=f"count in ~/plans/{plan.number}/plan.txt", got=got, wanted="other numbers", name=name)  # fmt: skip


def _mistake(numbers: list[int], truth: dict[str, Any]) -> tuple[str, str]:
    """What somebody seems to have thought who gives these numbers: a sentence, and a name."""
    add, change, destroy = numbers
    n = {what: len(truth[what]) for what in ("create", "update", "delete", "replace", "read", "forget", "import", "moved", "outputs")}  # fmt: skip
    right = [truth[word] for word in COUNTS]
    if truth["failed"]:
        return "does it end as a plan ends? Read its last lines.", "refused-plan"
    if n["replace"] and numbers == [n["create"], n["update"] + n["replace"], n["delete"]]:
        return "a replacement is not a change. What was there goes, and something new comes: both are counted.", "replacement-as-change"  # fmt: skip
    once = ([n["create"] + n["replace"], right[1], n["delete"]], [n["create"], right[1], right[2]])
    if n["replace"] and numbers in once:
        return "a replacement is two things: one that is destroyed and one that is added.", "replacement-once"
    if n["read"] and add + change == sum(right[:2]) + n["read"]:
        return "what is read (<=) is only looked at. It is in none of the three numbers.", "reads-counted"
    if n["import"] and add > right[0]:
        return "what is imported is there already, so it is not added. Terraform counts it apart.", "import-as-add"
    if n["forget"] and destroy == right[2] + n["forget"]:
        return "what is no longer managed is still there: terraform only forgets it.", "forgotten-as-destroyed"
    if n["outputs"] and sum(numbers):
        return "an output is no resource. Which resources are named in it as changed?", "outputs-counted"
    if n["moved"] and sum(numbers) > sum(right):
        return "what has moved has a new address in the state, and is the same thing in AWS.", "moved-counted"
    wrong = [word for word, number, true in zip(COUNTS, numbers, right, strict=True) if number != true]
    return (
        f"{' and '.join(', '.join(wrong).rsplit(', ', 1))}: count again. grep '^ *#' shows what happens to each resource.",
        "miscounted",
    )


def _loss(plan: Plan, said: dict[str, str]) -> None:
    """Raises Miss where what was said about data in production does not hold."""
    truth, answer = plan.truth, said[LOSES]
    if answer.lower() in NOTHING:
        if not truth["loses"]:
            return
        if set(truth["loses"]) <= set(truth["update"]):
            say, name = "nothing is destroyed, and yet production has less data afterwards. What does AWS do with what is older than that?", "lost-in-place"  # fmt: skip
        else:
            say, name = "production has less data afterwards. Something that held some is destroyed, and what comes in its place is empty.", "loss-overlooked"  # fmt: skip
    elif answer in truth["loses"]:
        return
    else:
        say, name = _no_loss(answer, truth)
    raise Miss(f"Plan {plan.number}: {say}", tried=f"look for the data in ~/plans/{plan.number}/plan.txt", got=f"{LOSES}={answer}", wanted="the address of what loses data in production, or no", name=name)  # fmt: skip


def _no_loss(answer: str, truth: dict[str, Any]) -> tuple[str, str]:
    """Why what stands at an address is not what loses data: a sentence, and a name."""
    if answer.lower() in ("yes", "y", "true"):
        return "where? The address, please, as it stands behind the #.", "which-one"
    if truth["failed"]:
        return "is anything done at all? Read the last lines of the plan.", "error-taken-for-a-plan"
    if answer in truth["refused"]:
        return f"AWS deletes no bucket that has something in it, and force_destroy is false. The apply fails at {answer}, and the data stays.", "refusal-taken-for-a-loss"  # fmt: skip
    if answer in truth["elsewhere"]:
        return f"{answer} does lose data. In which account is it?", "staging-for-production"
    if answer in truth["forget"]:
        return f"{answer} stays in AWS as it is. Terraform only does not look after it any more.", "forgotten-for-lost"
    if answer in truth["moved"] or answer in truth["update"]:
        return f"{answer} stays, with what is in it.", "changed-for-lost"
    if answer in truth["delete"] or answer in truth["replace"]:
        return f"{answer} goes. But was there any data in it?", "no-data-in-it"
    return f"no resource with the address {answer} goes in this plan. Copy it from behind a #.", "no-such-address"


def _expectation(number: int) -> Callable[[Trial], None]:
    def plan(trial: Trial) -> None:
        one = plans.plans(trial.seed)[number - 1]
        said = _said(trial, one)
        _counts(one, said)
        _loss(one, said)

    plan.__name__ = f"plan_{number}"
    return plan


for _number in range(1, plans.NUMBER + 1):
    reading.expects(f"plan {_number}: what it adds, changes and destroys, and whether production loses data", points=0.5)(_expectation(_number))  # fmt: skip
