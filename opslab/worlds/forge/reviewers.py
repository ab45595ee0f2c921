"""Colleagues who read merge requests. They have rules, not lines to recite: what they say follows from the change.

    >>> @rule("no-friday")                                                          # doctest: +SKIP
    ... def no_friday(review):
    ...     for patch in review.patches:
    ...         if patch.path.endswith(".sh"):
    ...             yield Finding("Who looks after this script at the weekend?", patch.path)

A rule looks at a `Review` and yields a `Finding` for each thing it wants to ask about. A reviewer is a user with the names of
the rules by which they look (`Forge.create(…, reviewers={"mira": ["large-file", "no-friday"]})`). For each new finding the
reviewer opens a thread; when the cause is gone, they say thanks and resolve it; when somebody resolves it and the cause is
still there, they open it again; when they are answered, they look again, and of what is a matter of taste (`negotiable`) they
can be convinced by a reason. When nothing is left, they approve. A draft is nobody's business yet.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from opslab.worlds.forge import diff, schema
from opslab.worlds.forge.diff import Change, Patch
from opslab.worlds.forge.merge_requests import Commit, MergeRequest, Outdated
from opslab.worlds.forge.repository import Repository
from opslab.worlds.forge.state import OPENED, ForgeError

LARGE = 1_000_000
"""Bytes from which on a file is asked about."""

RECENT = 30
"""Commits of the target branch in which a reviewer looks for changes of their own."""

REASON_WORDS = 4
READ_LIMIT = 4 * 1024 * 1024
TEXT_LIMIT = 256 * 1024


@dataclass(frozen=True)
class Finding:
    """What a rule asks about. One thread is kept for each rule and path, however often the finding comes."""

    text: str
    path: str | None = None
    line: int | None = None


@dataclass(frozen=True)
class Rule:
    """What one reviewer looks for. negotiable: a reason settles it."""

    name: str
    find: Callable[[Review], Iterator[Finding]]
    negotiable: bool


RULES: dict[str, Rule] = {}


def rule(name: str, *, negotiable: bool = False) -> Callable:
    """Add a rule to RULES. negotiable: a reason of a few words settles it, although the cause stays."""

    def add(find: Callable[[Review], Iterator[Finding]]) -> Callable[[Review], Iterator[Finding]]:
        RULES[name] = Rule(name, find, negotiable)
        return find

    return add


class Review:
    """What a reviewer sees of a merge request. Everything is read once, when a rule asks for it."""

    def __init__(self, mr: MergeRequest, reviewer: str) -> None:
        self.mr, self.git, self.repository, self.reviewer = mr, mr.git, mr.repository, reviewer
        self.record = mr.record
        self.base, self.head = mr.range(self.record)

    @property
    def _revisions(self) -> tuple[str, ...]:
        return (self.head,) if self.base == diff.EMPTY_TREE else (f"{self.base}..{self.head}",)

    @cached_property
    def changes(self) -> list[Change]:
        return diff.changes(self.git, self.base, self.head)

    @cached_property
    def patches(self) -> list[Patch]:
        return diff.patches(self.git, self.base, self.head, self.changes)

    @cached_property
    def _by_path(self) -> dict[str, Patch]:
        return {patch.path: patch for patch in self.patches}

    @cached_property
    def commits(self) -> list[Commit]:
        return self.repository.log(*self._revisions)

    @cached_property
    def target(self) -> str:
        return self.git.resolve(f"refs/heads/{self.record['target']}") or self.base

    def text(self, path: str) -> str:
        """A file as the merge request leaves it; empty if it is not there."""
        return (self.git.file(self.head, path, TEXT_LIMIT) or b"").decode("utf-8", "replace")

    def patch(self, path: str) -> Patch:
        return self._by_path.get(path, Patch(path))

    def present(self, *endings: str) -> Iterator[Change]:
        """The changed files that are still there, with one of these endings in their names."""
        for change in self.changes:
            if change.status != "D" and change.path.lower().endswith(endings or ("",)):
                yield change

    def stored(self) -> Iterator[tuple[str, int]]:
        """(path, bytes) of every file in every commit of the branch: also of those that a later commit deletes again."""
        out = self.git.text("rev-list", "--objects", *self._revisions, "--")
        names = dict(line.split(" ", 1) for line in out.splitlines() if " " in line)
        found: dict[str, int] = {}
        for blob, size in diff.sizes(self.git, list(names)).items():
            found[names[blob]] = max(size, found.get(names[blob], 0))
        yield from sorted(found.items())

    def written(self) -> Iterator[tuple[str, str]]:
        """(path, line) of every line that any commit of the branch adds: also of those that a later one takes out."""
        flags = ("-p", "--format=", "--no-ext-diff", "--no-textconv", "--no-renames")
        path = ""
        for line in self.git.text("log", *flags, *self._revisions, "--", limit=READ_LIMIT).splitlines():
            if line.startswith("+++ "):
                path = line[6:].rstrip("\t")
            elif line.startswith("+"):
                yield path, line[1:1000]


# ---- what reviewers do -----------------------------------------------------------------------------------------------


def review(repository: Repository, number: int, answered: int = 0) -> None:
    """Let the reviewers of a repository look at a merge request. answered: the comment that somebody has just replied to."""
    project = repository.store.project()
    for module in project["rule_modules"]:
        if schema.RULE_MODULE.fullmatch(module):
            importlib.import_module(module)
    for name, rules in project["reviewers"].items():
        mr = repository.merge_request(number)
        record = mr.record
        if record["state"] != OPENED or record["draft"] or name == record["author"]:
            continue
        if not repository.git.resolve(f"refs/heads/{record['source']}"):
            continue
        try:
            _look(mr, name, rules, answered)
        except ForgeError:
            if mr.record["state"] == OPENED:  # else it was merged or closed under the reviewer's eyes
                raise


def _look(mr: MergeRequest, name: str, rules: list[str], answered: int) -> None:
    seen = Review(mr, name)
    found: dict[str, tuple[Rule, Finding]] = {}
    for one in rules:
        if one not in RULES:
            raise ForgeError(f"There is no rule {one!r} for reviewers; there are: {', '.join(sorted(RULES))}.")
        for finding in RULES[one].find(seen):
            found.setdefault(f"{one}:{finding.path or ''}", (RULES[one], finding))
    threads = {
        item["rule"]: item for item in seen.record["discussion"] if item["kind"] == "thread" and item["by"] == name
    }
    for key, item in threads.items():
        if key in found:
            _still_there(mr, name, item, *found[key], answered)
        elif key and not item["resolved"]:
            mr.comment("Thank you, that is settled.", name, reply_to=item["id"])
            mr.resolve(item["id"], name)
    for key, (_, finding) in found.items():
        if key not in threads:
            mr.thread(finding.text, name, path=finding.path, line=finding.line, rule=key)
    # What has been pushed meanwhile was not looked at. It will be: the push is an event of its own.
    with contextlib.suppress(Outdated):
        _approve(mr, name, seen.head)


def _still_there(mr: MergeRequest, name: str, item: dict[str, Any], one: Rule, finding: Finding, answered: int) -> None:
    """A thread whose cause has not gone: has anybody said something new about it?"""
    last = item["replies"][-1] if item["replies"] else None
    asked = item["id"] == answered and last and last["by"] != name
    if item.get("accepted"):
        return
    if one.negotiable and last and last["by"] != name and len(last["text"].split()) >= REASON_WORDS:
        mr.comment("I see. Fine with me then, thank you for explaining.", name, reply_to=item["id"])
        with mr.store.change(mr.number) as record:
            record["discussion"][item["id"] - 1]["accepted"] = True
        mr.resolve(item["id"], name)
    elif item["resolved"]:
        mr.unresolve(item["id"], name)
        mr.comment(f"This was resolved, but I can still see it. {finding.text}", name, reply_to=item["id"])
    elif asked:
        mr.comment(
            f"Thank you for the answer. I have looked again and can still see it. {finding.text}",
            name,
            reply_to=item["id"],
        )


def _approve(mr: MergeRequest, name: str, head: str) -> None:
    record = mr.record
    threads = [item for item in record["discussion"] if item["kind"] == "thread" and item["by"] == name]
    failed = any(one["state"] == "failed" for one in mr.statuses(record))
    approved = any(one["by"] == name and one["head"] == record["head"] for one in record["approvals"])
    if all(item["resolved"] for item in threads) and not failed and not approved:
        mr.approve(name, head=head)


# ---- the rules -------------------------------------------------------------------------------------------------------

VAGUE = {
    *(
        "fix",
        "fixes",
        "fixed",
        "bug",
        "bugs",
        "update",
        "updates",
        "updated",
        "change",
        "changes",
        "changed",
        "wip",
        "test",
    ),
    *("tests", "stuff", "misc", "some", "minor", "small", "my", "the", "a", "file", "files", "code", "commit", "final"),
    *("new", "work", "done", "more", "again", "it", "this", "and", "things", "temp", "tmp", "asdf", "edit", "cleanup"),
}


def is_vague(title: str) -> bool:
    """Whether a title says nothing: "fix", "update file", "final changes 2"."""
    words = re.findall(r"[^\W\d_]+", title.lower())
    return len(words) < 2 or all(word in VAGUE for word in words)


@rule("title")
def title(review: Review) -> Iterator[Finding]:
    """The title says what changes."""
    if is_vague(review.record["title"]):
        shown = review.record["title"]
        yield Finding(f"The title “{shown}” does not tell me what changes. Can it say that, in five to ten words?")


@rule("description")
def description(review: Review) -> Iterator[Finding]:
    """The description says why."""
    if len(review.record["description"].split()) < 5:
        edit = f'opslab mr edit {review.record["number"]} --description "…"'
        yield Finding(
            f"What is this for, and how did you check it? Two sentences in the description would help me: {edit}"
        )


@rule("commit-message")
def commit_message(review: Review) -> Iterator[Finding]:
    """Each commit's message will tell something in half a year."""
    vague = [commit for commit in review.commits if is_vague(commit.subject)]
    if vague:
        names = ", ".join(f"{commit.sha[:8]} “{commit.subject[:60]}”" for commit in vague[:3])
        yield Finding(
            f"In half a year, what will this tell us? {names}. Please reword "
            "(git commit --amend for the last one, git rebase -i for others)."
        )


@rule("large-file")
def large_file(review: Review) -> Iterator[Finding]:
    """No commit of the branch brings a large file along."""
    there = {change.path for change in review.present()}
    # A squashed merge takes only the result along; any other keeps each commit, and with it each file, for ever.
    for path, size in review.stored():
        if size < LARGE or (review.record["squash"] and path not in there):
            continue
        megabytes = f"{size / 1e6:.0f} MB" if size >= 1.5e6 else f"{size / 1e6:.1f} MB"
        if path in there:
            yield Finding(
                f"Why is there a file of {megabytes} ({path})? Everybody who clones this gets it, for ever. Can it live in a "
                "bucket, and the repository only know where?",
                path,
            )
        else:
            yield Finding(
                f"{path} ({megabytes}) is deleted at the end, but an earlier commit of this branch still has it, so the merge "
                "would bring it into our history. Can you take it out of that commit?",
                path,
            )


@rule("notebook-output")
def notebook_output(review: Review) -> Iterator[Finding]:
    """Notebooks come without outputs."""
    for change in review.present(".ipynb"):
        try:
            cells = json.loads(review.text(change.path))["cells"]
            ran = [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            yield Finding(f"{change.path} does not open as a notebook. Is it complete?", change.path)
            continue
        if ran:
            yield Finding(
                f"{change.path} comes with the outputs of {len(ran)} cell{'' if len(ran) == 1 else 's'}. I cannot review "
                "those, and they may hold data. Can you strip them?",
                change.path,
            )


SECRETS = {
    "an AWS access key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "an AWS secret key": re.compile(r"(?i)aws_?secret_?access_?key[\"']?\s{0,5}[=:]\s{0,5}[\"']?[A-Za-z0-9/+]{40}\b"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----"),
    "a password": re.compile(r"(?i)\b(?:password|passwd|pwd)[\"']?\s{0,5}[=:]\s{0,5}[\"'][^\"'${}\s]{6,}[\"']"),
}


@rule("secret")
def secret(review: Review) -> Iterator[Finding]:
    """No commit of the branch holds a key or a password."""
    there = {patch.path: [line for line in patch.lines if line.sign == "+"] for patch in review.patches}
    for path, text in review.written():
        for what, pattern in SECRETS.items():
            if not pattern.search(text):
                continue
            now = [line.number for line in there.get(path, []) if pattern.search(line.text)]
            where = path if now else f"{path}, in an earlier commit of this branch,"
            yield Finding(
                f"Is that {what} in {where} for real? Then it is known to everybody who can "
                "fetch this branch: rotate it first, so that it stops working, and then take it out of the commits.",
                path,
                now[0] if now else None,
            )


RESOURCE = re.compile(r'^[ \t]*resource[ \t]+"(aws_[a-z0-9_]+)"[ \t]+"([^"\n]+)"[ \t]*\{', re.MULTILINE)
UNTAGGED = re.compile(r"_attachment|_policy$|aws_s3_bucket_(?!object)|_association$|_rule$|_notification$")
"""Resource types that have no tags of their own."""


@rule("owner-tag")
def owner_tag(review: Review) -> Iterator[Finding]:
    """Each resource that is new or changed has an Owner: its own tag, the provider's default_tags, or tags from elsewhere."""
    for change in review.present(".tf"):
        text = review.text(change.path)
        if _default_owner(review, change.path):
            continue
        touched = {line.number for line in review.patch(change.path).lines if line.sign == "+"}
        without = []
        for start in RESOURCE.finditer(text):
            block = text[start.start() : _end_of_block(text, start.end())]
            first = text.count("\n", 0, start.start()) + 1
            lines = range(first, first + block.count("\n") + 1)
            given = re.search(r"\bOwner\b\"?\s*[=:]", block) or re.search(r"\btags\s*=\s*[^{\s]", block)
            if not UNTAGGED.search(start[1]) and not given and touched & set(lines):
                without.append((f"{start[1]}.{start[2]}", first))
        if without:
            names = ", ".join(name for name, _ in without[:5])
            more = f" and {len(without) - 5} more" if len(without) > 5 else ""
            yield Finding(f"Whom do we call about {names}{more}? I do not see a tag Owner.", change.path, without[0][1])


def _default_owner(review: Review, path: str) -> bool:
    """Whether a provider, in this file or where one usually is in the same folder, gives every resource an Owner."""
    folder = path.rpartition("/")[0]
    usual = ("providers.tf", "provider.tf", "main.tf", "versions.tf", "terraform.tf")
    for name in (path, *(f"{folder}/{name}" if folder else name for name in usual)):
        text = review.text(name)
        if start := re.search(r"\bdefault_tags\s*\{", text):
            return bool(re.search(r"\bOwner\b", text[start.end() : _end_of_block(text, start.end())]))
    return False


def _end_of_block(text: str, start: int) -> int:
    depth = 1
    for brace in re.finditer(r"[{}]", text[start:]):
        depth += 1 if brace[0] == "{" else -1
        if not depth:
            return start + brace.end()
    return len(text)


@rule("reverts-my-change")
def reverts_my_change(review: Review) -> Iterator[Finding]:
    """The merge request takes out at least half of the lines that a recent commit of the reviewer's has put in."""
    email = review.mr.store.forge()["users"][review.reviewer]["email"]
    gone = {patch.path: _texts(patch, "-") for patch in review.patches}
    gone = {path: lines - _texts(review.patch(path), "+") for path, lines in gone.items()}
    for commit in review.repository.log("--no-merges", review.target, most=RECENT):
        if commit.email.lower() != email.lower():
            continue
        parent = commit.parents[0] if commit.parents else diff.EMPTY_TREE
        for patch in diff.patches(review.git, parent, commit.sha):
            mine = _texts(patch, "+")
            lost = mine & gone.get(patch.path, set())
            if mine and 2 * len(lost) >= len(mine):
                yield Finding(
                    f"This takes out what I put in with {commit.sha[:8]} (“{commit.subject[:80]}”). Is that on purpose, or was "
                    "your branch older than my change?",
                    patch.path,
                )


def _texts(patch: Patch, sign: str) -> set[str]:
    return {line.text.strip() for line in patch.lines if line.sign == sign and re.search(r"\w", line.text)}


@rule("select-star", negotiable=True)
def select_star(review: Review) -> Iterator[Finding]:
    """A query names its columns, or says why not."""
    for change in review.present(".sql"):
        lines = [line for line in review.patch(change.path).lines if line.sign == "+"]
        if not any("*" in line.text for line in lines):
            continue  # reading a file costs a process: of thousands, only those in question
        text, added = review.text(change.path), {line.number for line in lines}
        for match in re.finditer(r"(?i)\bselect\s+(?:distinct\s+)?(?:\w+\.)?\*", text):
            line = text.count("\n", 0, match.end()) + 1
            if line in added:
                yield Finding(
                    "Does this need every column? With * the mart changes whenever somebody adds one upstream. "
                    "Can you name them, or tell me why not?",
                    change.path,
                    line,
                )
                break


@rule("conflict-marker")
def conflict_marker(review: Review) -> Iterator[Finding]:
    """No marks of a conflict are left."""
    for patch in review.patches:
        for line in patch.lines:
            if line.sign == "+" and re.match(r"(<{7}|>{7})( |$)", line.text):
                yield Finding(
                    "There is a conflict marker left in this file. What would it look like if both changes were in it?",
                    patch.path,
                    line.number,
                )
                break
