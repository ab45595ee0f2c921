"""The forge: a folder with bare repositories and the people who work in them.

    >>> forge = Forge("/tmp/desk/forge")                                            # doctest: +SKIP
    >>> forge.create("platform/infrastructure", files={"README.md": "# Infrastructure\\n"})     # doctest: +SKIP
    <Repository platform/infrastructure>

Learners clone by path, or, with what `gitconfig()` says in their ~/.gitconfig, by a name that looks like at work:

    $ git clone forge:platform/infrastructure
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from opslab.worlds.forge import repository, state
from opslab.worlds.forge.merge_requests import METHODS, MergeRequest
from opslab.worlds.forge.repository import Repository
from opslab.worlds.forge.state import ForgeError
from opslab.worlds.forge.variables import Variable

NOTE = "forge.json"
URL = "https://forge.targ.example"
NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
USERS = {
    "you": {"name": "You at Targ", "email": "you@targ.example"},
    "forge": {"name": "Targ Forge", "email": "forge@targ.example"},
}


class Forge:
    """The forge in a folder, which is made where it is missing.

    url: how its web addresses begin. While `serve.Server` shows its pages, it is that server's address.
    """

    def __init__(self, folder: str | Path, url: str = URL) -> None:
        self.folder = Path(folder).absolute()
        self.note = self.folder / NOTE
        if not self.note.is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            if any(self.folder.iterdir()):
                raise ForgeError(f"{self.folder} is no forge (there is no {NOTE}), and it is not empty either.")
            first = {"version": 1, "url": url, "default_user": "you", "users": USERS, "groups": {}, "bots": []}
            state.write_json(self.note, first)

    @property
    def settings(self) -> dict[str, Any]:
        return state.read_json(self.note)

    def _set(self, **changes: Any) -> None:
        with state.flock(self.folder / ".lock") as held:
            if not held:
                raise ForgeError("Somebody else is changing the forge for a long time now. Try again in a moment.")
            state.write_json(self.note, {**self.settings, **changes})

    def set_url(self, url: str) -> None:
        """Let web addresses begin with something else."""
        self._set(url=url)

    def set_bots(self, *names: str) -> None:
        """Name the bots that live in the process that keeps this forge open: nobody else may react without them."""
        self._set(bots=list(names))

    # -- people

    def add_user(self, name: str, full_name: str, email: str = "") -> None:
        """Let somebody take part: `name` is how they are called with @, full_name and email stand in their commits."""
        _check_name(name)
        user = {"name": full_name, "email": email or f"{name}@targ.example"}
        self._set(users={**self.settings["users"], name: user})

    def add_group(self, name: str, members: Sequence[str]) -> None:
        """A group of users, for CODEOWNERS."""
        _check_name(name)
        self._set(groups={**self.settings["groups"], name: list(members)})

    # -- repositories

    def create(
        self,
        path: str,
        *,
        files: Mapping[str, str | bytes] | None = None,
        message: str = "Start of the repository",
        by: str = "forge",
        at: str = "",
        default_branch: str = "main",
        protected: Sequence[str] = ("main",),
        merge_method: str = "merge",
        approvals: int = 1,
        code_owners: bool = True,
        pipeline_must_succeed: bool = True,
        threads_must_be_resolved: bool = True,
        reviewers: Mapping[str, Sequence[str]] | None = None,
        rule_modules: Sequence[str] = (),
        variables: Sequence[Variable] = (),
    ) -> Repository:
        """Make a repository, with a first commit of `files` if any are given.

        protected: branches (or patterns such as release/*) that change by merge requests only.
        merge_method: one of METHODS. approvals: how many a merge request needs. code_owners: whether CODEOWNERS counts.
        reviewers: user and the names of the rules by which they look at merge requests (`reviewers.RULES`).
        rule_modules: modules below `opslab.scenarios.` that add rules of their own when they are imported.
        variables: what its pipelines get besides what the file says.
        """
        for part in path.split("/"):
            _check_name(part)
        if path.endswith(".git") or "/" not in path:
            raise ForgeError(f"A repository is called group/name, without .git; {path!r} is not.")
        if merge_method not in METHODS:
            raise ForgeError(f"There is no method {merge_method!r} to merge with; there are: {', '.join(METHODS)}.")
        folder = self._folder(path)
        if folder.exists():
            raise ForgeError(f"There is a repository {path} already.")
        repository.make(folder, default_branch)
        project = {
            "path": path,
            "default_branch": default_branch,
            "protected": list(protected),
            "merge_method": merge_method,
            "approvals_required": approvals,
            "code_owner_approval": code_owners,
            "pipeline_must_succeed": pipeline_must_succeed,
            "threads_must_be_resolved": threads_must_be_resolved,
            "reviewers": {user: list(rules) for user, rules in (reviewers or {}).items()},
            "rule_modules": list(rule_modules),
            "variables": [asdict(one) for one in variables],
        }
        state.write_json(folder / "forge" / "project.json", project)
        made = Repository(self, folder)
        if files:
            made.commit(default_branch, files, message, by=by, at=at)
        return made

    def _folder(self, path: str) -> Path:
        return self.folder / f"{path}.git"

    def paths(self) -> list[str]:
        """The names of all repositories."""
        return sorted(self._paths(self.folder))

    def _paths(self, folder: Path) -> Iterator[str]:
        for entry in folder.iterdir():
            if entry.name.endswith(".git"):  # what is in there are git's data: many files, none of them a repository
                if (entry / "forge" / "project.json").is_file():
                    yield entry.relative_to(self.folder).as_posix().removesuffix(".git")
            elif entry.is_dir() and not entry.is_symlink():
                yield from self._paths(entry)

    def waiting(self) -> bool:
        """Whether something has happened that nobody has reacted to yet. Quick, for those who ask often."""
        return any(state.Store(self._folder(path)).waiting() for path in self.paths())

    def repository(self, path: str = "") -> Repository:
        """A repository by its name; without one, the only one there is."""
        known = self.paths()
        if not path and len(known) == 1:
            path = known[0]
        if path not in known:
            what = (
                f"There is no repository {path} on the forge"
                if path
                else "Say which repository is meant, as in: opslab mr -R group/name list"
            )
            raise ForgeError(f"{what}; there are: {', '.join(known) or 'none'}.")
        return Repository(self, self._folder(path))

    def repositories(self) -> list[Repository]:
        return [self.repository(path) for path in self.paths()]

    def delete(self, path: str) -> None:
        """Remove a repository with all that was said in it."""
        shutil.rmtree(self.repository(path).folder)

    def merge_request(self, number: int, path: str = "") -> MergeRequest:
        """A merge request by its number, of the repository `path` or the only one there is."""
        return self.repository(path).merge_request(number)

    def react(self, **more: Any) -> int:
        """Let pipelines, reviewers and bots do what is waiting for them, in all repositories. See `reactions.react`."""
        return sum(one.react(**more) for one in self.repositories())

    def gitconfig(self) -> str:
        """What belongs into a learner's ~/.gitconfig so that `git clone forge:group/name` finds this forge."""
        folder = str(self.folder).replace("\\", "\\\\").replace('"', '\\"')
        return f'[url "{folder}/"]\n\tinsteadOf = forge:\n'


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name) or name.endswith((".", ".lock")) or ".." in name:
        raise ForgeError(f"{name!r} is no name for this: small letters, digits, dot, dash and underscore, at most 64.")
