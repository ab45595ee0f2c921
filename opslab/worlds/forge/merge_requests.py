"""A merge request: what is said, who approves, what stands in its way, and how it gets into the target branch.

    >>> mr = forge.merge_request(3)                                                 # doctest: +SKIP
    >>> mr.comment("Is the bucket public?", by="mira")                              # doctest: +SKIP
    >>> [blocker.text for blocker in mr.blockers()]                                 # doctest: +SKIP
    ['It needs 1 more approval.']
    >>> mr.merge()                                                                  # doctest: +SKIP

Every method reads the state anew and changes it under the repository's lock, so several processes may have the same merge
request in their hands. What cannot be done raises ForgeError with a sentence that says why.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opslab.worlds.forge import diff, owners, receive, state
from opslab.worlds.forge.diff import Change, Patch
from opslab.worlds.forge.git import NULL
from opslab.worlds.forge.state import CLOSED, MERGED, OPENED, ForgeError

if TYPE_CHECKING:
    from opslab.worlds.forge.repository import Repository

METHODS = ("merge", "squash", "fast-forward")
STATES = ("pending", "running", "success", "failed", "canceled", "skipped")
LIST_LIMIT = 12

Record = dict[str, Any]


@dataclass(frozen=True)
class Blocker:
    """Something that stands in the way of merging: a code for programs ("draft", "conflict", …) and a sentence."""

    code: str
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Commit:
    """A commit of a merge request. at: its author's date in ISO format."""

    sha: str
    parents: tuple[str, ...]
    author: str
    email: str
    at: str
    subject: str


class Outdated(ForgeError):
    """There are newer commits than those that were looked at."""


class NotMergeable(ForgeError):
    """It cannot be merged yet. `blockers` says why, one by one."""

    def __init__(self, number: int, blockers: list[Blocker]) -> None:
        super().__init__("\n- ".join([f"Merge request !{number} cannot be merged yet:", *map(str, blockers)]))
        self.blockers = blockers


class MergeRequest:
    """One merge request of a repository. `record` is its state as it is in its file now."""

    def __init__(self, repository: Repository, number: int) -> None:
        self.repository, self.number = repository, number
        self.store, self.git = repository.store, repository.git
        self.store.record(number)  # so that a wrong number is told here and not later

    def __repr__(self) -> str:
        record = self.record
        draft = "Draft: " if record["draft"] else ""
        return f"!{self.number} {draft}{record['title']} ({record['state']}, {record['source']} → {record['target']})"

    def _repr_html_(self) -> str:
        from opslab.worlds.forge.page import Page

        return Page(self).fragment()

    @property
    def record(self) -> Record:
        return self.store.record(self.number)

    @property
    def url(self) -> str:
        return receive.address(self.store, f"merge_requests/{self.number}")

    # -- what it changes

    def range(self, record: Record | None = None) -> tuple[str, str]:
        """(base, head): the two commits whose difference this merge request proposes, or was when it was merged."""
        record = record or self.record
        if record["merged"]:
            return record["merged"]["base"], record["merged"]["head"]
        target = self.git.resolve(f"refs/heads/{record['target']}")
        base = self.git.merge_base(target, record["head"]) if target else None
        return base or diff.EMPTY_TREE, record["head"]

    def changes(self) -> list[Change]:
        """The files it changes."""
        return diff.changes(self.git, *self.range())

    def patches(self) -> list[Patch]:
        """The lines it changes, file by file."""
        return diff.patches(self.git, *self.range())

    def diff(self) -> str:
        """The difference as `git diff` prints it (of very large ones only the beginning)."""
        return diff.patch_text(self.git, *self.range())

    def commits(self, most: int = 1000) -> list[Commit]:
        """Its commits, newest first."""
        base, head = self.range()
        wanted = [head] if base == diff.EMPTY_TREE else [f"{base}..{head}"]
        return self.repository.log(*wanted, most=most)

    def conflicts(self) -> list[str]:
        """The files in which its changes and those of the target branch contradict each other."""
        record = self.record
        target = self.git.resolve(f"refs/heads/{record['target']}")
        if record["state"] != OPENED or target is None:
            return []
        return self._merge_tree(target, record["head"])[1]

    def _merge_tree(self, ours: str, theirs: str) -> tuple[str, list[str]]:
        """Merge two commits without a work tree: the resulting tree, and the files in conflict."""
        out = self.git.text("merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", ours, theirs, ok=(0, 1))
        tree, *files = [part for part in out.split("\0") if part]
        return tree, sorted(set(files))

    # -- what is said

    def comment(
        self, text: str, by: str = "", *, reply_to: int = 0, path: str | None = None, line: int | None = None
    ) -> int:
        """Add a comment, or, with reply_to, answer in a thread. Returns its id, by which it is answered and resolved."""
        return self._say("comment", text, by, reply_to=reply_to, path=path, line=line)

    def thread(
        self, text: str, by: str = "", *, path: str | None = None, line: int | None = None, rule: str = ""
    ) -> int:
        """Start a thread: a comment that has to be resolved before the merge. Returns its id."""
        return self._say("thread", text, by, path=path, line=line, rule=rule or None)

    def _say(self, kind: str, text: str, by: str, reply_to: int = 0, **more: Any) -> int:
        by, text = self.repository.user(by), receive.clean(text).strip()
        if not text:
            raise ForgeError("There is no text in this comment.")
        with self.store.change(self.number) as record:
            if reply_to:
                item = _item(record, reply_to)
                item["replies"].append({"by": by, "at": state.now(), "text": text[: state.TEXT_LIMIT]})
            else:
                item = state.say(record, kind, by, text, **more)
            self.store.emit("comment", number=self.number, item=item["id"], by=by, text=text)
            return item["id"]

    def react(self, item: int, sign: str, by: str = "") -> None:
        """Put a sign (👀, 👍) on a comment."""
        by = self.repository.user(by)
        with self.store.change(self.number) as record:
            who = _item(record, item).setdefault("reactions", {}).setdefault(sign[:8], [])
            if by not in who:
                who.append(by)

    def resolve(self, item: int, by: str = "") -> None:
        """Resolve a thread."""
        by = self.repository.user(by)
        with self.store.change(self.number) as record:
            _thread(record, item)["resolved"] = {"by": by, "at": state.now()}
            self.store.emit("merge_request", number=self.number, action="resolve", by=by)

    def unresolve(self, item: int, by: str = "") -> None:
        """Open a resolved thread again."""
        self.repository.user(by)
        with self.store.change(self.number) as record:
            _thread(record, item)["resolved"] = None

    def edit(self, by: str = "", **wanted: Any) -> None:
        """Change the title, description, draft, squash, remove_source_branch, auto_merge or label: as push options do."""
        by = self.repository.user(by)
        with self._opened() as record:
            receive.apply(record, wanted, by)
            self.store.emit("merge_request", number=self.number, action="update", by=by)

    # -- what is decided

    def approve(self, by: str = "", *, head: str = "") -> None:
        """Approve the newest commit. Authors cannot approve their own merge request.

        head: the commit that was looked at; Outdated is raised where it is not the newest any more.
        """
        by = self.repository.user(by)
        with self._opened() as record:
            if by == record["author"]:
                raise ForgeError(f"{by} opened this merge request: authors cannot approve their own. Ask a colleague.")
            self._must_be_current(record, head)
            if all(one["by"] != by for one in record["approvals"]):
                record["approvals"].append({"by": by, "at": state.now(), "head": record["head"]})
                state.say(record, "event", by, "approved this merge request")
            self.store.emit("merge_request", number=self.number, action="approve", by=by)

    def unapprove(self, by: str = "") -> None:
        """Take an approval back."""
        by = self.repository.user(by)
        with self._opened() as record:
            left = [one for one in record["approvals"] if one["by"] != by]
            if len(left) == len(record["approvals"]):
                raise ForgeError(f"{by} has not approved this merge request.")
            record["approvals"] = left
            state.say(record, "event", by, "took the approval back")
            self.store.emit("merge_request", number=self.number, action="unapprove", by=by)

    def set_status(self, name: str, value: str, description: str = "", *, by: str, head: str = "", **more: Any) -> None:
        """Set the status of a check for a commit (default: the newest). value: one of STATES. `by` may be a bot."""
        if value not in STATES:
            raise ValueError(f"A status is one of {', '.join(STATES)}, not {value!r}.")
        with self.store.change(self.number) as record:
            entry = {
                "name": name,
                "state": value,
                "description": receive.clean(description),
                "by": by,
                "at": state.now(),
            }
            entry |= {"head": head or record["head"], **more}
            others = [one for one in record["statuses"] if (one["name"], one["head"]) != (name, entry["head"])]
            record["statuses"] = [*others, entry]

    def statuses(self, record: Record | None = None) -> list[Record]:
        """The checks of the newest commit."""
        record = record or self.record
        return [one for one in record["statuses"] if one["head"] == record["head"]]

    def close(self, by: str = "") -> None:
        """Close it without merging."""
        by = self.repository.user(by)
        with self._opened() as record:
            record["state"] = CLOSED
            state.say(record, "event", by, "closed this merge request")
            self.store.emit("merge_request", number=self.number, action="close", by=by)

    def reopen(self, by: str = "") -> None:
        """Open a closed one again."""
        by = self.repository.user(by)
        with self.store.change(self.number) as record:
            if record["state"] != CLOSED:
                raise ForgeError(
                    f"Merge request !{self.number} is {record['state']}; only a closed one can be reopened."
                )
            record["state"] = OPENED
            state.say(record, "event", by, "reopened this merge request")
            if head := self.git.resolve(f"refs/heads/{record['source']}"):
                receive.update(self.store, record, head, by)

    # -- what stands in its way

    def approvals_missing(self, record: Record | None = None) -> list[str]:
        """Sentences that say whose approval is missing."""
        record = record or self.record
        project = self.store.project()
        valid = {one["by"] for one in record["approvals"] if one["head"] == record["head"]} - {record["author"]}
        found = []
        if (missing := project["approvals_required"] - len(valid)) > 0:
            found.append(f"It needs {missing} more approval{'' if missing == 1 else 's'}.")
        groups = self.store.forge()["groups"]
        for need in self.owners_needed(record):
            people = {person for owner in need.owners for person in groups.get(owner, [owner])}
            able = people - {record["author"]}
            if len(able & valid) < min(need.count, len(able)):  # nobody waits for those who cannot approve
                found.append(f"A code owner of {need.pattern} has to approve: {', '.join(sorted(able - valid))}.")
        return found

    def owners_needed(self, record: Record | None = None) -> list[owners.Owner]:
        """The lines of CODEOWNERS (as it is on the target branch) that this change touches."""
        record = record or self.record
        if not self.store.project()["code_owner_approval"]:
            return []
        for place in owners.PLACES:
            text = self.git.file(f"refs/heads/{record['target']}", place)
            if text is not None:
                changed = diff.changes(self.git, *self.range(record))
                paths = [path for change in changed for path in (change.old_path, change.path)]
                return owners.needed(owners.parse(text.decode("utf-8", "replace")), paths)
        return []

    def blockers(self, record: Record | None = None, method: str = "") -> list[Blocker]:
        """What stands in the way of merging it now; empty if nothing does."""
        record = record or self.record
        if record["state"] != OPENED:
            return [Blocker("state", f"It is already {record['state']}.")]
        target = self.git.resolve(f"refs/heads/{record['target']}")
        source = self.git.resolve(f"refs/heads/{record['source']}")
        if target is None:
            return [Blocker("no target", f"The target branch {record['target']} does not exist.")]
        if source is None:
            return [Blocker("no source", f"The source branch {record['source']} was deleted. Push it again.")]
        found = []
        if source != record["head"]:
            found.append(Blocker("moved", f"{record['source']} has just got new commits. Look at them first."))
        if record["draft"]:
            found.append(Blocker("draft", "It is a draft. Mark it as ready first."))
        head = record["head"]
        if self.git.is_ancestor(head, target):
            found.append(Blocker("empty", f"{record['target']} has all of its commits: there is nothing to merge."))
        elif self.git.merge_base(target, head) is None:
            found.append(Blocker("unrelated", "The two branches have no common history. Start from the target branch."))
        elif (method or self.method(record)) == "fast-forward":
            if not self.git.is_ancestor(target, head):
                text = (
                    f"It cannot be fast-forwarded: {record['target']} has moved on. Rebase {record['source']} onto it."
                )
                found.append(Blocker("diverged", text))
        elif files := self._merge_tree(target, head)[1]:
            found.append(Blocker("conflict", f"There are conflicts with {record['target']} in {_listed(files)}."))
        open_threads = [item for item in record["discussion"] if item["kind"] == "thread" and not item["resolved"]]
        project = self.store.project()
        if open_threads and project["threads_must_be_resolved"]:
            numbers = _listed([f"#{item['id']}" for item in open_threads])
            found.append(Blocker("threads", f"Threads are still to be resolved: {numbers}."))
        if project["pipeline_must_succeed"]:
            found += self._checks(record)
        found += [Blocker("approval", text) for text in self.approvals_missing(record)]
        return found

    def _checks(self, record: Record) -> Iterator[Blocker]:
        statuses = self.statuses(record)
        if not any(one["name"] == "pipeline" for one in statuses) and self.repository.has_pipeline(record["head"]):
            yield Blocker("pipeline", "The pipeline of the newest commit has not run yet.")
        for one in statuses:
            if one["state"] != "success":
                more = f": {one['description'].rstrip('.')}" if one["description"] else ""
                yield Blocker("check", f"The check {one['name']} is {one['state']}{more}.")

    def method(self, record: Record | None = None) -> str:
        """How it would be merged: the project's method, or squashed if the merge request asks for that."""
        return "squash" if (record or self.record)["squash"] else self.store.project()["merge_method"]

    # -- merging

    def merge(self, by: str = "", method: str = "", message: str = "") -> str:
        """Merge it and return the new commit of the target branch. method: one of METHODS, by default the project's.

        Raises NotMergeable with all that stands in the way. The target branch is moved only if it still is where it was
        when the result was computed; if it has moved on in the meantime, the result is computed again.
        """
        by = self.repository.user(by)
        if method and method not in METHODS:
            raise ForgeError(f"There is no method {method!r} to merge with; there are: {', '.join(METHODS)}.")
        with self.store.locked():
            self.finish_interrupted()
            for _ in range(5):
                record = self.record
                if blockers := self.blockers(record, method):
                    raise NotMergeable(self.number, blockers)
                if sha := self._merge_once(record, by, method or self.method(record), message):
                    return sha
        raise ForgeError(f"{record['target']} is moved by somebody else all the time. Try again in a moment.")

    def _merge_once(self, record: Record, by: str, method: str, message: str) -> str | None:
        ref = f"refs/heads/{record['target']}"
        before, head = self.git.resolve(ref), record["head"]
        base = self.git.merge_base(before, head)
        if method == "fast-forward":
            sha = head
        else:
            tree, _ = self._merge_tree(before, head)
            parents = [before] if method == "squash" else [before, head]
            author = record["author"] if method == "squash" else by
            sha = self.repository.commit_tree(tree, parents, message or self._message(record, method), author, by)
        merged = {
            "by": by,
            "at": state.now(),
            "method": method,
            "sha": sha,
            "before": before,
            "base": base,
            "head": head,
        }
        # First what is about to happen, then the branch, then that it has happened: whoever comes after a crash can tell.
        record["merging"] = merged
        self.store.save(record)
        if not self.git.update_ref(ref, sha, before):
            record["merging"] = None
            self.store.save(record)
            return None
        self._merged(record)
        return sha

    def _merged(self, record: Record) -> None:
        record["merged"], record["merging"] = record["merging"], None
        record["state"], record["auto_merge"] = MERGED, False
        merged = record["merged"]
        how = {"merge": "merged", "squash": "squashed and merged", "fast-forward": "fast-forwarded"}[merged["method"]]
        text = f"{how} into {record['target']} with {merged['sha'][: receive.SHORT]}"
        state.say(record, "event", merged["by"], text)
        self.store.save(record)
        if record["remove_source_branch"] and not receive.is_protected(self.store.project(), record["source"]):
            self.git.update_ref(f"refs/heads/{record['source']}", NULL, merged["head"])
        facts = {"branch": record["target"], "old": merged["before"], "new": merged["sha"], "by": merged["by"]}
        self.store.emit("push", **facts)
        self.store.emit("merge_request", number=self.number, action="merge", by=merged["by"])

    def finish_interrupted(self) -> None:
        """Put right what a merge left behind whose process was killed half way. Call it with the lock held."""
        record = self.record
        if not record["merging"]:
            return
        target = self.git.resolve(f"refs/heads/{record['target']}")
        if target and self.git.is_ancestor(record["merging"]["sha"], target):
            self._merged(record)
        else:
            record["merging"] = None
            self.store.save(record)

    def _message(self, record: Record, method: str) -> str:
        see = f"See merge request {self.store.project()['path']}!{self.number}"
        if method == "squash":
            return f"{record['title']}\n\n{see}\n"
        return f"Merge branch '{record['source']}' into '{record['target']}'\n\n{record['title']}\n\n{see}\n"

    def revert(self, by: str = "") -> MergeRequest:
        """Open a new merge request that takes the changes of this merged one back. History stays as it is."""
        by, record = self.repository.user(by), self.record
        if record["state"] != MERGED:
            raise ForgeError(f"Merge request !{self.number} is {record['state']}; only a merged one can be reverted.")
        merged, target = record["merged"], self.git.resolve(f"refs/heads/{record['target']}")
        if target is None:
            raise ForgeError(f"The target branch {record['target']} does not exist any more.")
        # Undo, seen as a merge: a commit on top of the merged state in which everything is as it was before, merged into
        # what the target branch is today.
        undo = self.repository.commit_tree(f"{merged['before']}^{{tree}}", [merged["sha"]], "undo", by, by)
        tree, files = self._merge_tree(target, undo)
        if files:
            text = f"It cannot be reverted by itself: {_listed(files)} changed again since then. Revert it by hand: "
            flag = "-m 1 " if merged["method"] == "merge" else ""
            raise ForgeError(f"{text}git revert {flag}{merged['sha'][: receive.SHORT]}")
        if tree == self.git.text("rev-parse", f"{target}^{{tree}}").strip():
            raise ForgeError(f"There is nothing to revert: {record['target']} does not have these changes any more.")
        title = f'Revert "{record["title"]}"'[: receive.TITLE_LIMIT]
        text = f"This reverts merge request !{self.number}"
        sha = self.repository.commit_tree(tree, [target], f"{title}\n\n{text}\n", by, by)
        branch = f"revert-{self.number}-{re.sub(r'[^A-Za-z0-9]+', '-', record['source']).strip('-')[:40]}"
        with self.store.locked():
            if not self.git.update_ref(f"refs/heads/{branch}", sha, NULL):
                raise ForgeError(f"There is a branch {branch} already: somebody has reverted !{self.number} before.")
            wanted = {"target": record["target"], "title": title, "description": text, "create": True}
            new = receive.create(self.store, branch, wanted, by)
            new["reverts"] = self.number
            new["remove_source_branch"] = True
            self.store.save(new)
            self.store.emit("push", branch=branch, old=NULL, new=sha, by=by)
        with self.store.change(self.number) as record:
            state.say(record, "event", by, f"created !{new['number']} to revert this merge request")
        return MergeRequest(self.repository, new["number"])

    # -- inside

    @contextmanager
    def _opened(self) -> Iterator[Record]:
        with self.store.change(self.number) as record:
            if record["state"] != OPENED:
                raise ForgeError(f"Merge request !{self.number} is already {record['state']}.")
            yield record

    def _must_be_current(self, record: Record, head: str = "") -> None:
        newest = self.git.resolve(f"refs/heads/{record['source']}")
        if newest not in (record["head"], None) or head not in (record["head"], ""):
            raise Outdated(f"{record['source']} has just got new commits. Look at them first.")


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:LIST_LIMIT])
    return f"{shown} and {len(names) - LIST_LIMIT} more" if len(names) > LIST_LIMIT else shown


def _item(record: Record, number: int) -> Record:
    for item in record["discussion"]:
        if item["id"] == number and item["kind"] != "event":
            return item
    known = [f"#{item['id']}" for item in record["discussion"] if item["kind"] != "event"]
    raise ForgeError(f"There is no comment #{number} in !{record['number']}; there are: {_listed(known) or 'none'}.")


def _thread(record: Record, number: int) -> Record:
    item = _item(record, number)
    if item["kind"] != "thread":
        raise ForgeError(f"#{number} is a comment, not a thread: there is nothing to resolve.")
    return item
