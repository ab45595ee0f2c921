"""How far a merge request has come through the loop: opened, planned, approved, applied, merged, and nothing left to do.

Each function raises Miss where it has not come so far, and says what the next step is.
"""

from __future__ import annotations

import re
import textwrap
from typing import Any

from opslab.checks import Miss, Trial, on_forge
from opslab.checks.terraform_gitops import asking
from opslab.scenarios.terraform_gitops.common import PEOPLE
from opslab.worlds.forge.merge_requests import MergeRequest
from opslab.worlds.forge.repository import Repository
from opslab.worlds.forge.state import CLOSED, MERGED

ATLANTIS = "atlantis"


def request(trial: Trial, part: Any) -> MergeRequest:
    """The learner's merge request in the repository of a part (a module of the scenario): a merged one before an open one."""
    repository = on_forge.not_rewritten(trial, part, PEOPLE)
    if mine := on_forge.mine(repository):
        return mine[0]
    branches = [name for name in repository.git.branches() if name != "main"]
    got, name = (f"the branch {branches[0]}, and no merge request for it", "only-a-branch") if branches else ("none", "none-yet")  # fmt: skip
    raise Miss("There is no merge request of yours yet: nobody can see what you want.", tried=f"look at the merge requests of {part.NAME}", got=got, wanted="git push -o merge_request.create …", name=name)  # fmt: skip


def planned(mr: MergeRequest) -> None:
    """Atlantis has planned its newest commit."""
    look = f"opslab mr show {mr.number} -R {mr.repository.path}"
    status = _status(mr, "plan")
    if status.get("state") == "failed":
        raise Miss("Atlantis could not plan it. Its comment says why: which file, which line?", tried=look, got=_error(mr) or status["description"], wanted="a plan", name="plan-failed")  # fmt: skip
    if status.get("state") != "success":
        raise Miss("Atlantis has not planned it. It leaves drafts alone, and what was closed.", tried=look, got="a draft" if mr.record["draft"] else f"no plan; it is {mr.record['state']}", wanted="a plan", name="not-planned")  # fmt: skip


def next_step(mr: MergeRequest) -> str:
    """A sentence on what comes next, for somebody who misses what was to be applied."""
    applied, number = _status(mr, "apply").get("state"), mr.number
    if mr.record["state"] == MERGED:
        if applied == "success":
            return f"!{number} is applied and merged: is this in it?"
        return (
            f"!{number} was merged before it was applied, and its plans are gone. Another merge request plans it again."
        )
    if mr.record["state"] == CLOSED:
        return f"!{number} is closed: opslab mr reopen {number}, or open another one."
    if _status(mr, "plan").get("state") != "success":
        return f"!{number} has no plan, so nothing can be applied."
    if mr.approvals_missing():
        return f"!{number} waits for an approval: what is still asked there?"
    if applied == "failed":
        return f"The apply of !{number} has failed: Atlantis's last comment says why."
    return (
        f"Planned is not applied. Does the plan of !{number} do what is to be done, and nothing else? "
        f'Then: opslab mr comment {number} "atlantis apply"'
    )


def denied(mr: MergeRequest) -> str:
    """The sentence with which AWS has refused the last apply; empty where it has not."""
    if _status(mr, "apply").get("state") != "failed":
        return ""
    found = re.search(r"User: \S+ is not authorized to perform: .*", _error(mr))
    return wrapped(found[0]) if found else ""


def wrapped(text: str) -> str:
    """A long sentence of AWS's in lines that a card does not cut."""
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def merged(mr: MergeRequest) -> None:
    """It is in main."""
    if mr.record["state"] == MERGED:
        return
    more = "Atlantis merges as soon as everything is applied." if mr.blockers() else f"Nothing stands in its way: opslab mr merge {mr.number}"  # fmt: skip
    raise Miss(f"It is not merged. {more}", tried=f"opslab mr show {mr.number} -R {mr.repository.path}", got=on_forge.waits_for(mr), wanted="merged", name="not-merged")  # fmt: skip


def in_state(trial: Trial, key: str, folder: str, type: str, attribute: str, value: str) -> dict[str, dict[str, Any]]:
    """The state (its key in the bucket) has a resource of a type whose attribute has this value. Returns all resources in it."""
    found = asking.resources(asking.state_of(trial.cloud(), key))
    if not any(f"{type}." in address and one.get(attribute) == value for address, one in found.items()):
        raise Miss(f"Terraform does not know of {value}: it was made by hand, or was taken out of the state.", tried=f"terraform state list, in {folder}", got=", ".join(found) or "nothing", wanted=f"{type}.… with {attribute} = {value}", name="not-in-state")  # fmt: skip
    return found


def clean(trial: Trial, repository: Repository, folder: str) -> None:
    """A plan of main has nothing to do in this folder."""
    found = asking.plan(trial, repository, folder)
    if not found.clean:
        raise Miss(f"A plan of main is not empty in {folder}: main and AWS are not the same.", tried=f"terraform plan, in {folder} of main", got=found.short, wanted="No changes.", name="not-clean")  # fmt: skip


def _status(mr: MergeRequest, command: str) -> dict[str, Any]:
    return next((one for one in mr.statuses() if one["name"] == f"{ATLANTIS}/{command}"), {})


def _error(mr: MergeRequest) -> str:
    """What the bot's last comment on an error quotes, from terraform's first Error on."""
    texts = [one["text"] for one in mr.record["discussion"] if one["by"] == ATLANTIS and " Error**" in one["text"]]
    quoted = re.search(r"^```\n(.*?)^```", texts[-1] if texts else "", re.DOTALL | re.MULTILINE)
    text = quoted[1] if quoted else ""
    return text[max(text.find("Error: "), 0) :].strip()
