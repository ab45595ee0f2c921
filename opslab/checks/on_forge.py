"""What checks ask of a learner's forge: a copy of it, its merge requests, what reviewers would still want to know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from opslab.checks import Miss, Trial
from opslab.scenarios.merge_requests.people import PEOPLE, Past
from opslab.worlds import workspace
from opslab.worlds.forge.forge import Forge
from opslab.worlds.forge.merge_requests import MergeRequest
from opslab.worlds.forge.repository import Repository
from opslab.worlds.forge.reviewers import REASON_WORDS, RULES, Review
from opslab.worlds.forge.state import CLOSED, MERGED, OPENED, ForgeError
from opslab.worlds.forge.untrusted import take_forge

MAIN = "refs/heads/main"


def forge_of(trial: Trial) -> Forge:
    """A copy of the learner's forge, with the task's repositories: objects, references and what was said, and nothing that
    could run."""
    start, end = f"{workspace.FORGE}/", ".git"
    only = [path[len(start) : -len(end)] for path in trial.task.files if path.startswith(start) and path.endswith(end)]

    def take() -> Forge:
        try:
            return take_forge(trial.home / workspace.FORGE, trial.folder() / "forge", only=only)[0]
        except ForgeError as error:
            raise Miss(f"The forge on your desk cannot be read: {error} opslab.reset(\"{trial.module.number}\") makes a new one.", tried=f"read ~/{workspace.FORGE}", name="forge-broken") from None  # fmt: skip

    return trial.once("forge", take)


def repository(trial: Trial, name: str) -> Repository:
    """A repository of the learner's forge. Raises Miss where it is gone."""
    forge = forge_of(trial)
    if name not in forge.paths() or not forge.repository(name).git.resolve(MAIN):
        raise Miss(f"The repository {name} is not on the forge any more, or is damaged. opslab.reset(\"{trial.task.id}\") brings it back.", tried=f"look for {name}", got=", ".join(forge.paths()), wanted=name, name="repository-gone")  # fmt: skip
    return forge.repository(name)


def at_start(trial: Trial, part: Any, who: Mapping[str, str] = PEOPLE) -> Repository:
    """The repository of a part (a module of the scenario) as it was when the desk was made."""

    def make() -> Repository:
        fresh = Forge(trial.folder() / "forge")
        for person, full_name in who.items():
            fresh.add_user(person, full_name)
        with Past():
            part.build(fresh, trial.seed)
        return fresh.repository(part.NAME)

    return trial.once(f"start {part.NAME}", make)


def mine(repository: Repository) -> list[MergeRequest]:
    """The learner's merge requests: those that are merged first, then the open ones, and the newest of a kind first."""
    found = [mr for mr in reversed(repository.merge_requests()) if mr.record["author"] == "you"]
    return sorted(found, key=lambda mr: (MERGED, OPENED, CLOSED).index(mr.record["state"]))


def merged(repository: Repository) -> MergeRequest:
    """The newest of the learner's merge requests that are in main. Raises Miss where there is none."""
    found = mine(repository)
    if found and found[0].record["state"] == MERGED:
        return found[0]
    blockers = found[0].blockers() if found and found[0].record["state"] == OPENED else []
    in_conflict = any(blocker.code == "conflict" for blocker in blockers)
    got = "no open merge request of yours"
    if found and found[0].record["state"] == OPENED:
        got = waits_for(found[0])
    say = "Your branch and main still contradict each other." if in_conflict else "Nothing of yours is merged yet."
    raise Miss(say, tried=f"look at the merge requests of {repository.path}", got=got, wanted="a merged one", name="in-conflict" if in_conflict else "not-merged")  # fmt: skip


def settled(mr: MergeRequest, part: Any) -> None:
    """Not what is written down counts, but what the reviewers of a part would ask if they looked again. Raises Miss."""
    for who, rules in part.REVIEWERS.items():
        if waiting := still_asks(mr, who, rules):
            raise Miss("A question is still open. Answer it: with a commit, or with a sentence.", tried=f"opslab mr show {mr.number} -R {part.NAME}", got=waiting[0], wanted="no open questions", name="open-question")  # fmt: skip


def file(repository: Repository, path: str) -> str:
    """The text of a file on main. Raises Miss where it is not there."""
    content = repository.git.file(MAIN, path)
    if content is None:
        raise Miss(f"{path} is not on main.", tried=f"git show main:{path}", got="nothing", wanted=path, name="file-gone")  # fmt: skip
    return content.decode("utf-8", "replace")


def not_rewritten(trial: Trial, part: Any, who: Mapping[str, str] = PEOPLE) -> Repository:
    """The repository of a part, in which the history that everybody has is still there. Raises Miss."""
    found, start = repository(trial, part.NAME), at_start(trial, part, who).git.resolve(MAIN)
    git = found.git
    if not (git.resolve(start) and git.is_ancestor(start, MAIN)):
        raise Miss("The history of main was rewritten: what everybody else has cloned is not part of it any more.", tried=f"git log main, in {part.NAME}", got="other commits", wanted="the old ones, and new ones on top", name="rewritten")  # fmt: skip
    return found


def still_asks(mr: MergeRequest, who: str, rules: Iterable[str]) -> list[str]:
    """What a reviewer who looks at a merge request now would ask, and has had no answer to."""
    answered = {
        item["rule"]
        for item in mr.record["discussion"]
        if item["kind"] == "thread" and any(is_reason(reply) for reply in item["replies"])
    }
    review = Review(mr, who)
    return [
        finding.text
        for name in rules
        for finding in RULES[name].find(review)
        if not (RULES[name].negotiable and f"{name}:{finding.path or ''}" in answered)
    ]


def is_reason(reply: dict[str, Any]) -> bool:
    """Whether a reply of the learner's has the words that a reason takes."""
    return reply["by"] == "you" and len(reply["text"].split()) >= REASON_WORDS


def waits_for(mr: MergeRequest) -> str:
    """What stands in the way of merging it, a line each."""
    return "\n".join(str(blocker) for blocker in mr.blockers()) or "nothing: it can be merged"
