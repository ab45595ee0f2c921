"""Comments as Atlantis writes them.

    >>> project = Project("staging", name="staging")
    >>> comment("apply", [Result(project, output="Apply complete! Resources: 1 added, 0 changed, 0 destroyed.")])[:48]
    'Ran Apply for project: `staging` dir: `staging` '

The wording is that of the templates in https://github.com/runatlantis/atlantis/tree/main/server/events/templates, because a learner
will meet it at work. Different are two things: signs stand as themselves and not as `:repeat:`, and where Atlantis links to the page
of a lock, which there is none of here, it names the comment that does the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from opslab.worlds.forge.atlantis.comments import targeted
from opslab.worlds.forge.atlantis.config import Project
from opslab.worlds.forge.atlantis.policies import Verdict

TITLES = {"plan": "Plan", "apply": "Apply", "policy_check": "Policy Check", "approve_policies": "Approve Policies"}
FOLD_AFTER = 12
"""Lines of output that are shown without being folded."""

COMMENT_LIMIT = 60_000
"""Characters of one comment. Longer ones are continued in the next."""

ALL = """\
* ⏩ To **apply** all unapplied plans from this Merge Request, comment:
  ```shell
  atlantis apply
  ```
* 🚮 To **delete** all plans and locks from this Merge Request, comment:
  ```shell
  atlantis unlock
  ```"""

NOT_SAVED = "This plan was not saved because one or more projects failed and automerge requires all plans pass."
LOCKED = """\
This project is currently locked by an unapplied plan from pull !{number}. To continue, delete the lock from !{number} or apply that \
plan and merge the pull request.

Once the lock is released, comment `atlantis plan` here to re-plan."""


@dataclass(frozen=True)
class Result:
    """What became of a command for one project: output, or an error (it went wrong), or a failure (it was not allowed)."""

    project: Project
    output: str = ""
    error: str = ""
    failure: str = ""
    extra: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = field(default=())

    @property
    def good(self) -> bool:
        return not (self.error or self.failure)

    @property
    def no_changes(self) -> bool:
        return self.good and not changes(self.output)

    @property
    def apply_command(self) -> str:
        return targeted("apply", self.project.dir, self.project.workspace, self.project.name)

    @property
    def plan_command(self) -> str:
        extra = f" -- {' '.join(self.extra)}" if self.extra else ""
        return targeted("plan", self.project.dir, self.project.workspace, self.project.name) + extra


def diff_format(output: str) -> str:
    """The output of a plan as a comment shows it: without the refreshing, and with the signs at the beginning of the line,
    where ```diff colours them."""
    lines = output.split("\n")
    last = max(
        (
            at
            for at, line in enumerate(lines)
            if re.search(r": (Refreshing state\.\.\.|Read complete after|Reading\.\.\.)", line)
        ),
        default=-1,
    )
    return re.sub(r"(?m)^ {2}([+~-])", r"\1", "\n".join(lines[last + 1 :])).strip()


def changes(output: str) -> bool:
    """Whether a plan would change something, outputs included."""
    return not re.search(r"(?m)^No changes\.", output) and bool(
        re.search(r"(?m)^Plan: \d|^Changes to Outputs:|^You can apply this plan", output)
    )


def summary(output: str) -> str:
    """The line of a plan that says how much it would do."""
    found = re.search(r"(?m)^(Plan: \d+ .*|No changes\. .*)$", output)
    text = found[1] if found else "Plan: 0 to add, 0 to change, 0 to destroy." if changes(output) else ""
    outside = re.search(r"(?m)^Note: Objects have changed outside of Terraform$", output)
    return f"\n**{outside[0]}**\n{text}" if outside else text


def folded(block: str, output: str) -> str:
    """A block that is folded if the output in it has many lines."""
    if output.count("\n") <= FOLD_AFTER:
        return block
    return f"<details><summary>Show Output</summary>\n\n{block}\n</details>"


def plan(result: Result, deleted: bool) -> str:
    """The part of a comment about a plan that worked. deleted: it was not kept."""
    output = result.output.strip()
    text = folded(f"```diff\n{output}\n```", output) + "\n\n"
    if deleted:
        text += NOT_SAVED
    else:
        text += f"* ▶️ To **apply** this plan, comment:\n  ```shell\n  {result.apply_command}\n  ```\n"
        text += "* 🚮 To **delete** this plan and lock, comment:\n  ```shell\n  atlantis unlock\n  ```\n"
        text += f"* 🔁 To **plan** this project again, comment:\n  ```shell\n  {result.plan_command}\n  ```"
    return f"{text}\n{summary(output)}" if output.count("\n") > FOLD_AFTER else text


def policy(result: Result, approvals: dict[str, int]) -> str:
    """The part about a policy check. approvals: how many each policy set has."""
    output = "\n".join(one.output for one in result.verdicts)
    sets = "".join(f"\n#### Policy Set: `{one.name}`\n```diff\n{one.output}\n```\n" for one in result.verdicts).strip()
    cleared = all(one.passed or approvals.get(one.name) for one in result.verdicts)
    text = "" if cleared else "**Policy Check Failed**: Some policy sets did not pass.\n"
    text += folded(sets, output) + "\n\n"
    if cleared:
        text += f"* ▶️ To **apply** this plan, comment:\n  ```shell\n  {result.apply_command}\n  ```\n"
    else:
        states = [
            f"policy set: {one.name}: "
            + ("passed." if one.passed else f"requires: 1 approval(s), have: {approvals.get(one.name, 0)}.")
            for one in result.verdicts
        ]
        approve = targeted("approve_policies", result.project.dir, result.project.workspace, result.project.name)
        text += "#### Policy Approval Status:\n```\n" + "\n".join(states) + "\n```\n"
        text += f"* ✔️ To **approve** this project, comment:\n  ```shell\n  {approve}\n  ```\n"
    text += "* 🚮 To **delete** this plan and lock, comment:\n  ```shell\n  atlantis unlock\n  ```\n"
    return (
        text
        + f"* 🔁 To re-run policies **plan** this project again by commenting:\n  ```shell\n  {result.plan_command}\n  ```"
    )


def problem(command: str, result: Result) -> str:
    """The part about something that went wrong or was not allowed."""
    if result.failure:
        return f"**{TITLES[command]} Failed**: {result.failure}"
    error = result.error.strip()
    head = f"**{TITLES[command]} Error**\n"
    if error.count("\n") > FOLD_AFTER:
        return f"{head}<details><summary>Show Output</summary>\n\n```\n{error}\n```\n</details>"
    return f"{head}```\n{error}\n```"


def comment(
    command: str,
    results: Sequence[Result],
    *,
    deleted: bool = False,
    approvals: dict[str, dict[str, int]] | None = None,
) -> str:
    """The comment about a command for some projects. deleted: the plans were not kept. approvals: of policies, by project."""

    def part(result: Result) -> str:
        if not result.good:
            return problem(command, result)
        if command == "plan":
            return plan(result, deleted)
        if command in ("policy_check", "approve_policies"):
            return policy(result, (approvals or {}).get(result.project.key, {}))
        output = result.output.strip()
        return folded(f"```diff\n{output}\n```", result.output)

    title = TITLES[command]
    if len(results) == 1:
        only = results[0]
        named = (
            only.project.title
            if only.good or command != "plan"
            else f"dir: `{only.project.dir}` workspace: `{only.project.workspace}`"
        )
        text = f"Ran {title} for {named}\n\n{part(only)}"
        return f"{text}\n\n---\n{ALL}" if command == "plan" and only.good and not deleted else text
    text = f"Ran {title} for {len(results)} projects:\n\n"
    text += "".join(f"1. {result.project.title}\n" for result in results)
    text += "---\n\n" if results else ""
    text += "".join(
        f"### {at}. {result.project.title}\n{part(result)}\n\n---\n" for at, result in enumerate(results, 1)
    )
    good = [result for result in results if result.good]
    if results and command == "plan":
        unchanged = sum(result.no_changes for result in good)
        text += f"### Plan Summary\n\n{len(results)} projects, {len(good) - unchanged} with changes, "
        text += f"{unchanged} with no changes, {len(results) - len(good)} failed\n"
        text += "" if deleted else f"\n{ALL}"
    elif results and command == "apply":
        failures = sum(bool(result.failure) for result in results)
        text += f"### Apply Summary\n\n{len(results)} projects, {len(good)} successful, {failures} failed, "
        text += f"{len(results) - len(good) - failures} errored"
    return text.strip()


def cleaned_up(keys: Sequence[str]) -> str:
    """The comment after a merge or a close. keys: of the projects whose locks were held."""
    folders: dict[str, list[str]] = {}
    for key in sorted(keys):
        folder, _, workspace = key.partition("//")
        folders.setdefault(folder, []).append(f"`{workspace}`")
    lines = [
        f"- dir: `{folder}` workspace{'s' * (len(names) > 1)}: {', '.join(names)}" for folder, names in folders.items()
    ]
    return "Locks and plans deleted for the projects and workspaces modified in this pull request:\n\n" + "\n".join(
        lines
    )


def pieces(text: str, limit: int = COMMENT_LIMIT) -> list[str]:
    """A long comment in pieces that fit; a fold or a block that is cut is closed, and opened again in the next."""
    found = []
    while len(text) > limit:
        cut = text.rfind("\n", limit // 2, limit)
        cut = cut if cut > 0 else limit
        head, text = text[:cut], text[cut:].lstrip("\n")
        fenced, fold = False, False
        for line in head.split("\n"):
            if line.lstrip().startswith("```"):
                fenced = not fenced
            elif not fenced and "<details>" in line:
                fold = True
            elif not fenced and line.strip() == "</details>":
                fold = False
        head += "\n```" * fenced + "\n</details>" * fold
        found.append(head + "\n\n**Warning**: Output length greater than max comment size. Continued in next comment.")
        again = "Continued from previous comment.\n"
        again += "<details><summary>Show Output</summary>\n\n" * fold + "```diff\n" * fenced
        text = again + text
    return [*found, text]
