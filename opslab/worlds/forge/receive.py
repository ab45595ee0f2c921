"""What happens at a push: the two hooks of every repository, and the push options.

    $ git push -o merge_request.create -o merge_request.target=main -o merge_request.title="…" origin my-branch
    remote:
    remote: View merge request for my-branch:
    remote:   https://forge.targ.example/platform/infrastructure/-/merge_requests/1

git starts the hooks as processes of whoever pushes, in their environment. So they stand alone: this file, state.py and
git.py are copied into the repository's `hooks/` and need nothing but Python. And they are quick: they check, write down
what happened, and answer. Whatever takes time (reviewers, pipelines, bots) reacts to that later (`reactions`).

The options and the wording are GitLab's: https://docs.gitlab.com/topics/git/commit/#push-options-for-merge-requests
What is more than GitLab says is there because a learner has nobody to ask: an unknown option is named, for example.
"""

from __future__ import annotations

import difflib
import fnmatch
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

if __package__:
    from opslab.worlds.forge.git import NULL, Git
    from opslab.worlds.forge.state import OPENED, TEXT_LIMIT, ForgeError, Store, new_record, now, say
else:  # as a hook, beside the copies of these files
    from git import NULL, Git
    from state import OPENED, TEXT_LIMIT, ForgeError, Store, new_record, now, say

FLAGS = ("create", "draft", "squash", "remove_source_branch", "merge_when_pipeline_succeeds", "auto_merge")
VALUES = ("target", "title", "description", "label", "unlabel")
ELSEWHERE = ("assign", "unassign", "milestone", "target_project")
"""Options that GitLab knows and this forge does not."""

TITLE_LIMIT = 255
SHORT = 8

# ---- who, and where --------------------------------------------------------------------------------------------------


def user_by_email(forge: dict[str, Any], email: str) -> str:
    """The forge's user with this address; the forge's own learner for an address that nobody has."""
    for name, user in forge["users"].items():
        if email and user["email"].lower() == email.lower():
            return name
    return forge["default_user"]


def pusher(forge: dict[str, Any]) -> str:
    """Who pushes: the user whose address git would put into a commit. (On a real forge, the login decides.)"""
    email = os.environ.get("GIT_COMMITTER_EMAIL", "")
    if not email:
        asked = subprocess.run(["git", "config", "user.email"], capture_output=True, text=True, check=False)
        email = asked.stdout.strip()
    return user_by_email(forge, email)


def address(store: Store, rest: str) -> str:
    """The web address of something in this project."""
    return f"{store.forge()['url'].rstrip('/')}/{store.project()['path']}/-/{rest}"


def is_protected(project: dict[str, Any], branch: str) -> bool:
    """Whether a branch is protected: by its name, or by a pattern such as release/*."""
    return any(fnmatch.fnmatchcase(branch, pattern) for pattern in project["protected"])


# ---- push options ----------------------------------------------------------------------------------------------------


def parse_options(options: Iterable[str]) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Splits push options into those for the merge request, those for the pipeline, and what is wrong with the others.

    >>> parse_options(["merge_request.create", "mr.title=Add a bucket", "ci.skip"])
    ({'create': True, 'title': 'Add a bucket'}, {'skip': True}, [])
    """
    wanted: dict[str, Any] = {}
    pipeline: dict[str, Any] = {}
    wrong = []
    for option in options:
        name, equals, value = option.partition("=")
        space, _, key = name.partition(".")
        if space in ("merge_request", "mr") and key in FLAGS:
            wanted[key] = value.strip().lower() not in ("false", "0", "no")
        elif space in ("merge_request", "mr") and key in VALUES:
            if not equals:
                wrong.append(f'{name} needs a value: -o {name}="…"')
            elif key in ("label", "unlabel"):
                wanted.setdefault(key, []).append(value)
            else:
                wanted[key] = value
        elif space in ("merge_request", "mr") and key in ELSEWHERE:
            wrong.append(f"GitLab knows {name}, this forge does not; it is left out")
        elif name == "ci.skip":
            pipeline["skip"] = True
        elif name == "ci.variable" and re.fullmatch(r"[A-Za-z_]\w*=.*", value, re.DOTALL):
            key, _, text = value.partition("=")
            pipeline.setdefault("variables", {})[key] = text
        else:
            known = [f"merge_request.{one}" for one in (*FLAGS, *VALUES)] + ["ci.skip", "ci.variable"]
            near = difflib.get_close_matches(name.replace("mr.", "merge_request.", 1), known, 1)
            wrong.append(f"{name} is no push option{f'; did you mean {near[0]}?' if near else ''}")
    return wanted, pipeline, wrong


def framed(text: str) -> str:
    """A warning in the frame in which GitLab shows them."""
    lines = textwrap.wrap(text, 66, break_long_words=False, break_on_hyphens=False)
    return "\n".join(["=" * 72, "", *(line.center(72).rstrip() for line in lines), "", "=" * 72])


# ---- before a push is taken ------------------------------------------------------------------------------------------


def refusals(store: Store, changes: Sequence[tuple[str, str, str]]) -> list[str]:
    """Why this push must not be taken; nothing if it may. changes: (old, new, reference) as git gives them to the hook."""
    project = store.project()
    branches: dict[str, str] | None = None
    found = []
    for old, new, ref in changes:
        branch = ref.removeprefix("refs/heads/")
        if ref.startswith("refs/tags/"):
            continue
        if not ref.startswith("refs/heads/"):
            found.append(f"GitLab: You can push branches (refs/heads/…) and tags (refs/tags/…), but not {ref}.")
            continue
        if is_protected(project, branch):
            if branches is None:
                branches = Git(store.repository).branches()
            if not branches:
                continue  # the very first push into an empty repository
            if new == NULL:
                found.append("GitLab: You are not allowed to delete protected branches from this project.")
            else:
                found.append("GitLab: You are not allowed to push code to protected branches on this project.")
        elif old == NULL and re.fullmatch(r"[0-9a-fA-F]{40}", branch):
            found.append("GitLab: You cannot create a branch with a 40-character hexadecimal branch name.")
        elif old == NULL and branch in ("HEAD", "@"):
            found.append(
                f"GitLab: {branch} is no name for a branch. Give it one: git push origin HEAD:refs/heads/my-branch"
            )
    return list(dict.fromkeys(found))


# ---- after a push was taken ------------------------------------------------------------------------------------------


def after_push(
    store: Store, changes: Sequence[tuple[str, str, str]], options: Sequence[str] = (), by: str = ""
) -> list[str]:
    """Write down what was pushed and do what the options ask for. Returns the paragraphs to answer with."""
    by = by or store.forge()["default_user"]
    wanted, pipeline, wrong = parse_options(options)
    said = [framed("WARNINGS: " + "; ".join(wrong))] if wrong else []
    git = Git(store.repository)
    with store.locked():
        for old, new, ref in changes:
            if not ref.startswith("refs/heads/"):
                continue
            branch = ref.removeprefix("refs/heads/")
            # As it is now: of two pushes that come at once, the first one's hook may be the last to get here.
            there = git.resolve(ref) or new
            said += _after_branch(store, branch, there, wanted, options, by, pipeline)
            store.emit("push", branch=branch, old=old, new=new, by=by, **pipeline)
    return said


def _after_branch(
    store: Store,
    branch: str,
    new: str,
    wanted: dict[str, Any],
    options: Sequence[str],
    by: str,
    pipeline: dict[str, Any],
) -> list[str]:
    project = store.project()
    records = store.records()
    mine = [record for record in records if record["source"] == branch and record["state"] == OPENED]
    if new == NULL:
        for record in mine:
            say(record, "event", by, f"deleted the source branch {branch}")
            store.save(record)
        return [
            f"Merge request !{record['number']} is still open, but its source branch is gone.\n"
            f"To go on with it, push {branch} again."
            for record in mine
        ]
    said = []
    for record in mine:
        update(store, record, new, by, pipeline)
    if wanted:
        try:
            said.append(_steer(store, branch, new, wanted, mine, records, by, pipeline))
        except ForgeError as error:
            shown = " ".join(f"'{option}'" for option in options if option.startswith(("merge_request.", "mr.")))
            said.append(framed(f"WARNINGS: Error encountered with push options {shown}: {error}"))
    if any(said):
        return said
    if mine:
        return [link(store, record) for record in mine]
    if branch == project["default_branch"]:
        return []
    return [*said, *_ended(records, branch), _invitation(store, branch)]


def link(store: Store, record: dict[str, Any]) -> str:
    """What a pusher is told about a merge request, with its address."""
    return f"View merge request for {record['source']}:\n  {address(store, 'merge_requests/' + str(record['number']))}"


def _invitation(store: Store, branch: str) -> str:
    form = f"merge_requests/new?merge_request%5Bsource_branch%5D={quote(branch, safe='')}"
    return f"To create a merge request for {branch}, visit:\n  {address(store, form)}"


def _ended(records: list[dict[str, Any]], branch: str) -> list[str]:
    """A push to a branch whose merge request is over is easily taken for one that still changes it."""
    over = [record for record in records if record["source"] == branch]
    if not over:
        return []
    last = over[-1]
    text = f"Merge request !{last['number']} of this branch is already {last['state']}: what you pushed now"
    return [f"{text}\nis not part of it. It needs a merge request of its own."]


def update(store: Store, record: dict[str, Any], head: str, by: str, pipeline: dict[str, Any] | None = None) -> None:
    """An open merge request's branch has a new commit: note it, and withdraw the approvals, which were for the old one."""
    git, old = Git(store.repository), record["head"]
    if head != old:
        if git.resolve(old) and git.is_ancestor(old, head):
            number = git.count(f"{old}..{head}")
            text = f"added {number} commit{'' if number == 1 else 's'}: {old[:SHORT]}..{head[:SHORT]}"
        else:
            text = f"replaced the commits of the branch: {old[:SHORT]} became {head[:SHORT]}"
        record["head"] = head
        record["versions"].append({"head": head, "at": now()})
        say(record, "event", by, text)
        if record["approvals"]:
            names = ", ".join(one["by"] for one in record["approvals"])
            record["approvals"] = []
            say(record, "event", by, f"withdrew by this push the approval of {names}")
        keep(git, record)
    store.save(record)
    store.emit("merge_request", number=record["number"], action="update", by=by, **(pipeline or {}))


def keep(git: Git, record: dict[str, Any]) -> None:
    """A reference of the forge's own, so that the commits stay when the branch is deleted."""
    git.run("update-ref", f"refs/merge-requests/{record['number']}/head", record["head"])


def _steer(
    store: Store,
    branch: str,
    head: str,
    wanted: dict[str, Any],
    mine: list[dict[str, Any]],
    records: list[dict[str, Any]],
    by: str,
    pipeline: dict[str, Any],
) -> str:
    """Create or change a merge request as the options say. Raises ForgeError with GitLab's words where it has some."""
    if mine:
        record = mine[0]
        if wanted.get("target", record["target"]) != record["target"]:
            _must_be_target(store, wanted["target"], branch)
            say(record, "event", by, f"changed the target branch from {record['target']} to {wanted['target']}")
            record["target"] = wanted["target"]
        apply(record, wanted, by)
        store.save(record)
        store.emit("merge_request", number=record["number"], action="update", by=by)
        return link(store, record)
    if not wanted.get("create"):
        text = f"A merge_request.create push option is required to create a merge request for branch {branch}"
        over = [record for record in records if record["source"] == branch]
        if over:
            text += f" (!{over[-1]['number']} of this branch is already {over[-1]['state']})"
        raise ForgeError(text)
    return link(store, create(store, branch, wanted, by, pipeline))


def create(
    store: Store, source: str, wanted: dict[str, Any], by: str, pipeline: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A new merge request, with the lock held. wanted: as parse_options gives them. Raises ForgeError."""
    git, project = Git(store.repository), store.project()
    target = wanted.get("target") or project["default_branch"]
    head = git.resolve(f"refs/heads/{source}")
    if head is None:
        raise ForgeError(f"There is no branch {source} in {project['path']}. Push it first: git push origin {source}")
    base = _must_be_target(store, target, source)
    for record in store.records():
        if (record["source"], record["target"], record["state"]) == (source, target, OPENED):
            raise ForgeError(f"Another open merge request already exists for this source branch: !{record['number']}")
    if not git.count(f"{base}..{head}"):
        raise ForgeError(
            f"{source} has no commits that {target} does not have, so there is nothing to merge. "
            "Commit your change on it (git status, git log), and push again"
        )
    title, description = describe(git, base, head, source)
    record = new_record(
        max(store.numbers(), default=0) + 1,
        source=source,
        target=target,
        head=head,
        title=title,
        author=by,
        description=description,
    )
    apply(record, wanted, by, quietly=True)
    keep(git, record)
    store.save(record)
    store.emit("merge_request", number=record["number"], action="open", by=by, **(pipeline or {}))
    return record


def _must_be_target(store: Store, target: str, source: str) -> str:
    commit = Git(store.repository).resolve(f"refs/heads/{target}")
    if target == source:
        raise ForgeError(
            f"Source and target are the same branch ({source}). Make a branch of your own: git switch -c my-change"
        )
    if commit is None:
        raise ForgeError(f"Target branch {store.project()['path']}:{target} does not exist")
    return commit


def apply(record: dict[str, Any], wanted: dict[str, Any], by: str, quietly: bool = False) -> None:
    """Change what a merge request says of itself. quietly: it is new, so nothing of it counts as a change."""
    if "title" in wanted:
        title = " ".join(clean(wanted["title"]).split())
        if not title:
            raise ForgeError("Title can't be blank")
        if len(title) > TITLE_LIMIT:
            raise ForgeError(f"Title is too long ({len(title)} characters, the maximum is {TITLE_LIMIT})")
        draft = re.match(r"(?i)\s*(draft:|\[draft\]|\(draft\))\s*", title)
        if draft and title[draft.end() :]:
            title, wanted = title[draft.end() :], {**wanted, "draft": True}
        if title != record["title"] and not quietly:
            say(record, "event", by, f"changed the title from “{record['title']}” to “{title}”")
        record["title"] = title
    if "description" in wanted:
        # A push option cannot hold a line break; GitLab takes these two characters for one.
        text = clean(wanted["description"].replace("\\n", "\n"))[:TEXT_LIMIT]
        if text != record["description"] and not quietly:
            say(record, "event", by, "changed the description")
        record["description"] = text
    if "draft" in wanted and wanted["draft"] != record["draft"]:
        record["draft"] = wanted["draft"]
        if not quietly:
            say(record, "event", by, f"marked this merge request as {'draft' if record['draft'] else 'ready'}")
    for key in ("squash", "remove_source_branch"):
        if key in wanted:
            record[key] = wanted[key]
    for key in ("auto_merge", "merge_when_pipeline_succeeds"):
        if key in wanted:
            record["auto_merge"] = wanted[key]
    labels = [*record["labels"], *map(clean, wanted.get("label", []))]
    record["labels"] = [one for one in dict.fromkeys(labels) if one and one not in wanted.get("unlabel", [])]


def describe(git: Git, base: str, head: str, branch: str) -> tuple[str, str]:
    """Title and description where nobody gave any: from the only commit, the first one that has a body, or the branch."""
    log = git.text("log", "-z", "--reverse", "--no-merges", "--max-count=100", "--format=%B", f"{base}..{head}", "--")
    messages = [clean(message).strip() for message in log.split("\0") if message.strip()]
    for message in messages:
        subject, _, body = message.partition("\n")
        if len(messages) == 1 or body.strip():
            return subject[:TITLE_LIMIT], body.strip()[:TEXT_LIMIT]
    words = re.sub(r"[-_/]+", " ", branch).strip()
    return (words[:1].upper() + words[1:])[:TITLE_LIMIT], ""


def clean(text: str) -> str:
    """Text without colours and control characters, which could rewrite a terminal's screen; line breaks and tabs stay."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", "�", text.replace("\r\n", "\n"))


# ---- the hooks -------------------------------------------------------------------------------------------------------


def main(hook: str) -> int:
    """Run as a hook, in the repository's folder. Its output is what the pusher sees after `remote:`."""
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")
    store = Store(Path.cwd())
    changes = [tuple(line.split(" ", 2)) for line in sys.stdin.read().splitlines()]
    if hook == "pre-receive":
        found = refusals(store, changes)
        print(*found, sep="\n", end="\n" if found else "")
        return int(bool(found))
    count = int(os.environ.get("GIT_PUSH_OPTION_COUNT", "0"))
    options = [os.environ.get(f"GIT_PUSH_OPTION_{number}", "") for number in range(count)]
    said = after_push(store, changes, options, pusher(store.forge()))
    if said:
        print("\n" + "\n\n".join(said) + "\n")
    return 0


if __name__ == "__main__":
    name = sys.argv[1]
    try:
        sys.exit(main(name))
    except Exception as error:  # noqa: BLE001  (a learner must never see a traceback of the forge's)
        print(f"GitLab: {error}")
        if name != "pre-receive":
            print("Your branch has arrived, but its merge request could not be looked after.")
        sys.exit(1)
