"""One repository of the forge: a bare git repository, its merge requests and pipelines.

>>> repository = forge.repository("platform/infrastructure")                    # doctest: +SKIP
>>> repository.commit("more-marts", {"marts/users.sql": "select …"}, "Add users", by="mira")   # doctest: +SKIP
>>> repository.create_merge_request("more-marts", by="mira").number             # doctest: +SKIP
1
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from opslab.worlds.forge import receive, state
from opslab.worlds.forge.git import NULL, Git
from opslab.worlds.forge.merge_requests import Commit, MergeRequest
from opslab.worlds.forge.state import ForgeError, Store

PIPELINE_FILE = ".gitlab-ci.yml"

CONFIG = """\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = true
[receive]
\tadvertisePushOptions = true
\tfsckObjects = true
\tautogc = false
[gc]
\tauto = 0
"""

HOOK = """\
#!/bin/sh
# Made by the forge, which puts it back when it is changed. What it does is in receive.py beside it.
python={python}
[ -x "$python" ] || python=python3
exec "$python" -E -S "$(dirname "$0")/receive.py" {name}
"""

HOOKS = ("pre-receive", "post-receive")
HOOK_PARTS = ("receive.py", "state.py", "git.py")


class Repository:
    """A repository in the forge's folder. forge: the Forge it belongs to."""

    def __init__(self, forge: Any, folder: Path) -> None:
        self.forge, self.folder = forge, folder
        self.git, self.store = Git(folder), Store(folder)
        if not (self.store.folder / "project.json").is_file():
            raise ForgeError(f"{folder} is no repository of the forge: it has no forge/project.json.")
        settle(folder)
        for record in self.store.records():
            if record["merging"]:
                with self.store.locked():
                    MergeRequest(self, record["number"]).finish_interrupted()

    @cached_property
    def path(self) -> str:
        """Its name on the forge: "platform/infrastructure"."""
        return self.store.project()["path"]

    def __repr__(self) -> str:
        return f"<Repository {self.path}>"

    def user(self, name: str = "") -> str:
        """The name of a user, by default the learner's. Raises ForgeError for one that the forge does not know."""
        forge = self.store.forge()
        name = name or forge["default_user"]
        if name not in forge["users"]:
            raise ForgeError(f"The forge knows no user {name}; it knows {', '.join(sorted(forge['users']))}.")
        return name

    # -- merge requests

    def merge_request(self, number: int) -> MergeRequest:
        """The merge request with this number. Raises ForgeError if there is none."""
        return MergeRequest(self, number)

    def merge_requests(self, which: str = "") -> list[MergeRequest]:
        """All merge requests, or those that are "opened", "merged" or "closed", oldest first."""
        return [MergeRequest(self, one["number"]) for one in self.store.records() if which in ("", one["state"])]

    def create_merge_request(self, source: str, target: str = "", *, by: str = "", **wanted: Any) -> MergeRequest:
        """Open a merge request for a branch that was pushed. wanted: title, description, draft, squash, …, as push options."""
        by = self.user(by)
        with self.store.locked():
            record = receive.create(self.store, source, {"target": target, **wanted}, by)
        return MergeRequest(self, record["number"])

    # -- commits

    def log(self, *revisions: str, most: int = 1000) -> list[Commit]:
        """Commits, newest first. revisions: full reference names, ids, or ranges of them."""
        shape = "%H%x00%P%x00%an%x00%ae%x00%aI%x00%s%x1e"
        out = self.git.text("log", f"--format={shape}", "--topo-order", f"--max-count={most}", *revisions, "--")
        commits = []
        for entry in out.split("\x1e\n")[:-1]:
            sha, parents, author, email, at, subject = entry.split("\0", 5)
            commits.append(Commit(sha, tuple(parents.split()), author, email, at, subject))
        return commits

    def commit(
        self,
        branch: str,
        files: Mapping[str, str | bytes | None],
        message: str,
        by: str = "",
        *,
        at: str = "",
        start: str = "",
    ) -> str:
        """Commit to a branch as a colleague would, and push it: merge requests of the branch are updated. Returns the commit.

        files: path and content; None deletes the file. What begins with #! can be executed. at: when (ISO format, default now).
        start: the branch to start from where `branch` is new (default: the default branch).
        """
        by = self.user(by)
        ref = f"refs/heads/{branch}"
        old = self.git.resolve(ref)
        parent = old or self.git.resolve(f"refs/heads/{start or self.store.project()['default_branch']}")
        seconds = int(datetime.fromisoformat(at or state.now()).timestamp())
        person = self._person(by)
        said = message.encode()
        stream = [f"commit {ref}\ncommitter {person} {seconds} +0000\ndata {len(said)}\n".encode(), said, b"\n"]
        if parent:
            stream.append(f"from {parent}\n".encode())
        for path, content in files.items():
            quoted = '"' + path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
            if content is None:
                stream.append(f"D {quoted}\n".encode())
                continue
            data = content.encode() if isinstance(content, str) else content
            mode = 100755 if data.startswith(b"#!") else 100644
            stream += [f"M {mode} inline {quoted}\ndata {len(data)}\n".encode(), data, b"\n"]
        stream.append(b"done\n")
        self.git.run("fast-import", "--quiet", "--done", give=b"".join(stream))
        new = self.git.resolve(ref)
        receive.after_push(self.store, [(old or NULL, new, ref)], by=by)
        return new

    def commit_tree(self, tree: str, parents: list[str], message: str, author: str, committer: str) -> str:
        """Make a commit object of a tree. Nothing points to it yet."""
        env = {}
        for role, name in (("AUTHOR", author), ("COMMITTER", committer)):
            user = self.store.forge()["users"][self.user(name)]
            env |= {
                f"GIT_{role}_NAME": user["name"],
                f"GIT_{role}_EMAIL": user["email"],
                f"GIT_{role}_DATE": state.now(),
            }
        flags = [flag for parent in parents for flag in ("-p", parent)]
        return self.git.text("commit-tree", tree, *flags, give=message.encode(), env=env).strip()

    def _person(self, name: str) -> str:
        user = self.store.forge()["users"][name]
        name, email = (re.sub(r"[<>\x00-\x1f]", "", user[key]).strip() for key in ("name", "email"))
        return f"{name} <{email}>"

    # -- pipelines

    def has_pipeline(self, commit: str) -> bool:
        """Whether there is a pipeline file in a commit."""
        return self.git.file(commit, PIPELINE_FILE) is not None

    def pipelines(self) -> list[dict[str, Any]]:
        """The records of all pipeline runs, oldest first."""
        folder = self.store.folder / "pipelines"
        found = [state.read_json(path) for path in folder.glob("[0-9]*.json")]
        return sorted(found, key=lambda record: record["id"])

    def pipeline(self, number: int) -> dict[str, Any]:
        """The record of one pipeline run. Raises ForgeError if there is none with this number."""
        if not (self.store.folder / "pipelines" / f"{int(number)}.json").is_file():
            raise ForgeError(f"There is no pipeline {number}; there are {len(self.pipelines())} of them.")
        return state.read_json(self.store.folder / "pipelines" / f"{int(number)}.json")

    def react(self, **more: Any) -> int:
        """Let pipelines, reviewers and bots do what is waiting for them. See `reactions.react`.

        Where bots of this forge live in another process, and neither bots nor services for jobs are given: wait until it has been
        done there, see `reactions.wait`.
        """
        from opslab.worlds.forge import reactions

        if self.forge.settings.get("bots") and not (more.get("bots") or more.get("services")):
            return reactions.wait(self, tell=more.get("tell"))
        more.pop("tell", None)
        return reactions.react(self, **more)


def settle(folder: Path) -> None:
    """Put config and hooks of a repository in the state in which the forge needs them, whatever was done to them."""
    parts = {name: (Path(__file__).parent / name).read_text(encoding="utf-8") for name in HOOK_PARTS}
    python = "'" + sys.executable.replace("'", "'\\''") + "'"
    parts |= {name: HOOK.format(python=python, name=name) for name in HOOKS}
    wanted = {folder / "config": CONFIG} | {folder / "hooks" / name: text for name, text in parts.items()}
    for path, text in wanted.items():
        if path.is_symlink() or not path.is_file() or path.read_bytes() != text.encode():
            path.parent.mkdir(exist_ok=True)
            state.write_text(path, text, 0o755 if path.name in HOOKS else 0o644)
    for name in ("info/attributes", "objects/info/alternates", "config.worktree"):
        (folder / name).unlink(missing_ok=True)


def make(folder: Path, default_branch: str) -> None:
    """An empty bare repository, made by hand: `git init` would ask templates and configuration."""
    for name in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info", "hooks"):
        (folder / name).mkdir(parents=True)
    (folder / "HEAD").write_text(f"ref: refs/heads/{default_branch}\n")
    (folder / "config").write_text(CONFIG)
