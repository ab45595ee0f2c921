"""The bot: what follows from a push, a comment, a merge.

    >>> bot = Atlantis("/tmp/desk/atlantis", tools, keys=keys, endpoint=cloud.endpoint, services=cloud.services,
    ...                server="repos: [{id: /.*/, apply_requirements: [approved]}]")            # doctest: +SKIP
    >>> forge.react(bots=[bot])                                                     # doctest: +SKIP

A plan is made in a room of its own for each project of a merge request, in the jail, from the commit that was pushed. The plan
file stays there, and what is applied later is that file and nothing else. A new commit throws rooms, plans and locks away.
"""

from __future__ import annotations

import copy
import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from opslab import jail
from opslab.worlds.forge import state
from opslab.worlds.forge.atlantis import code, comments, config, render, secrets
from opslab.worlds.forge.atlantis import store as stores
from opslab.worlds.forge.atlantis.comments import Command
from opslab.worlds.forge.atlantis.config import Config, ConfigError, Project, Server
from opslab.worlds.forge.atlantis.policies import Policies
from opslab.worlds.forge.atlantis.render import Result
from opslab.worlds.forge.atlantis.store import Store
from opslab.worlds.forge.git import Git
from opslab.worlds.forge.merge_requests import MergeRequest
from opslab.worlds.forge.reactions import Event
from opslab.worlds.forge.repository import Repository
from opslab.worlds.forge.state import OPENED, ForgeError
from opslab.worlds.terraform import tools as finding
from opslab.worlds.terraform.run import LIMITS, Folder, Outcome, Room
from opslab.worlds.terraform.tools import Tools

NAME = "atlantis"
CHECKOUT, PLAN, MASKS = "repo", "plan.tfplan", "masks.json"
SEEN = "👀"
AUTOPLAN = Command("plan")

UNLOCKED = "All Atlantis locks for this PR have been unlocked and plans discarded"
MERGING = "Automatically merging because all plans have been successfully applied."
CLOSED = "Atlantis commands can't be run on closed pull requests"
APPROVED = "Pull request must be approved according to the project's approval rules before running apply."
UNDIVERGED = "Default branch must be rebased onto pull request before running apply."
POLICIES = "All policies must pass for project before running apply."
INTERRUPTED = """\
Ran Apply for {title}

**Apply Error**
```
Atlantis itself was stopped in the middle of this apply.

  Project: {title}
  Who:     {by}, with the comment: {text}
  Began:   {at}
  Commit:  {head}

So it stands with the projects of this merge request:
{states}

What was done until then is done; the state in S3 is as terraform saved it last. The plan is used up.
If terraform was stopped while it held the lock of the state, the next plan says so, with the ID of the lock, who has it and since when.
Make sure that nobody else is at work, then release it: terraform force-unlock ID
```
* 🔁 To **plan** this project again, comment:
  ```shell
  {plan}
  ```"""


class Atlantis:
    """The bot, for `Forge.react(bots=[…])` or `Worker(…, bots=[…])`.

    folder: what it remembers, and the rooms it works in. tools: `terraform.find()`; None, and it says in comments that there is none.
    keys: access key and secret of its own user. endpoint, services: the AWS organisation, as `aws.cloud.Cloud` has them.
    server: the text of repos.yaml. automerge: merge when everything is applied, where atlantis.yaml says nothing else.
    policies: see `policies`; policy_owners: the users who may approve what a policy refuses.
    env: more of the environment of terraform, `{"TF_VAR_role": "deployer"}`.
    tell: called with a line about what goes on, now and then.
    """

    name = NAME

    def __init__(
        self,
        folder: str | Path,
        tools: Tools | None,
        *,
        keys: tuple[str, str],
        endpoint: str,
        services: Mapping[int, str | Path],
        server: str = "",
        automerge: bool = False,
        policies: Policies | None = None,
        policy_owners: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        tell: Callable[[str], None] | None = None,
        limits: jail.Limits = LIMITS,
    ) -> None:
        self.folder, self.tools, self.keys = Path(folder).absolute(), tools, keys
        self.endpoint, self.services, self.limits = endpoint, services, limits
        self.server, self.automerge = Server.parse(server), automerge
        self.env = dict(env or {})
        self.policies, self.policy_owners = policies, tuple(policy_owners)
        self._tell = tell or (lambda line: None)
        self._log: list[str] = []
        self._busy = threading.Lock()  # forges may have one worker each, a bot does one thing at a time

    def __call__(self, event: Event) -> None:
        """React to an event. See `reactions`."""
        with self._busy:
            self._log = []
            self._join(event.repository)
            again = self._recover(event)
            mr = event.merge_request
            if mr is None or again:
                return
            if event.kind == "comment":
                if event.facts["by"] != NAME:
                    self._comment(mr, event.facts)
            elif mr.record["state"] == OPENED:
                self._autoplan(mr, event.facts.get("by", ""))
            else:
                self._clean_up(mr)

    # -- for people, programs and pictures

    def store(self, repository: Repository) -> Store:
        """What it remembers of a repository: locks, plans."""
        return Store(self.folder / stores.slug(repository.path))

    def locks(self, repository: Repository) -> dict[str, dict[str, Any]]:
        """The locks that are held, by `dir//workspace`: number of the merge request, by, at."""
        return self.store(repository).locks()

    def unlock(self, repository: Repository, dir: str, workspace: str = config.WORKSPACE) -> None:
        """Delete one lock and its plan, as the page of a lock does at work. Raises ForgeError where there is no such lock."""
        store, key = self.store(repository), f"{dir}//{workspace}"
        if key not in store.locks():
            known = ", ".join(store.locks()) or "none"
            raise ForgeError(f"There is no lock {key}; there are: {known}.")
        number = store.locks()[key]["number"]
        store.discard(number, key)
        text = f"**Warning**: The plan for dir: `{dir}` workspace: `{workspace}` was **discarded** via the Atlantis UI.\n\n"
        repository.merge_request(number).comment(f"{text}To `apply` this plan you must run `plan` again.", by=NAME)

    # -- events

    def _join(self, repository: Repository) -> None:
        if NAME not in repository.store.forge()["users"]:
            repository.forge.add_user(NAME, "Atlantis")

    def _autoplan(self, mr: MergeRequest, by: str) -> None:
        """A merge request was opened, or has a new commit."""
        record, store = mr.record, self.store(mr.repository)
        planned = store.request(mr.number)
        if record["draft"] or (planned["done"] and planned["head"] == record["head"]):
            return
        store.discard(mr.number)
        store.begin(mr.number, record["head"])
        found = self._config(mr, record)
        if found is not None:
            projects = [one for one in found.projects if one.autoplan and one.touched(_changed(mr))]
            if projects:
                self._plan(mr, record, found, projects, by or record["author"])
            else:
                self._statuses(mr, record)
        store.done(mr.number)

    def _comment(self, mr: MergeRequest, facts: Mapping[str, Any]) -> None:
        parsed = comments.parse(facts["text"])
        if parsed.reply:
            mr.comment(parsed.reply, by=NAME)
        command = parsed.command
        if command is None:
            return
        mr.react(facts["item"], SEEN, by=NAME)
        if mr.record["state"] != OPENED:
            mr.comment(CLOSED, by=NAME)
        elif command.name == "unlock":
            self.store(mr.repository).discard(mr.number)
            mr.comment(UNLOCKED, by=NAME)
        elif command.name == "plan":
            self._plan_command(mr, command, facts["by"])
        elif command.name == "apply":
            self._apply_command(mr, command, facts)
        else:
            self._approve_policies(mr, command, facts["by"])

    def _clean_up(self, mr: MergeRequest) -> None:
        """It was merged or closed."""
        if keys := self.store(mr.repository).discard(mr.number):
            mr.comment(render.cleaned_up(keys), by=NAME)

    def _recover(self, event: Event) -> bool:
        """Report an apply that was under way when the bot was killed. Returns whether this event is the one that had asked for
        it: that is not done again without being asked."""
        store = self.store(event.repository)
        running = store.running()
        if not running or running["number"] not in event.repository.store.numbers():
            return False
        mr = event.repository.merge_request(running["number"])
        store.note(running["number"], running["key"], status=stores.APPLY_FAILED)
        projects = store.request(running["number"])["projects"]
        states = "\n".join(f"  {key}: {one['status']}" for key, one in projects.items())
        mr.comment(INTERRUPTED.format(**running, states=states), by=NAME)
        self._statuses(mr, mr.record)
        store.run()
        return event.kind == "comment" and (event.facts["number"], event.facts["item"]) == (
            running["number"],
            running["item"],
        )

    # -- which projects

    def _config(self, mr: MergeRequest, record: Mapping[str, Any], command: str = "plan") -> Config | None:
        """The projects of a merge request as its own atlantis.yaml names them, or as they are found. None, and a comment,
        where the file cannot be used."""
        rules = self.server.rules(mr.repository.path)
        tree = code.Tree(mr.git, record["head"])
        try:
            if "atlantis.yml" in tree.modes:
                raise ConfigError('found "atlantis.yml" as config file; rename using the .yaml extension')
            if config.FILE not in tree.modes:
                return config.discovered(_changed(mr), tree.modes, rules)
            if tree.modes[config.FILE] not in code.FILE:
                raise ConfigError(f"{config.FILE} is not an ordinary file")
            return config.parse(tree.read(config.FILE), rules)
        except ConfigError as error:
            mr.comment(f"**{render.TITLES[command]} Error**\n```\n{error}\n```", by=NAME)
            mr.set_status("atlantis/plan", "failed", "atlantis.yaml cannot be used.", by=NAME, head=record["head"])
            return None

    def _targets(self, found: Config, command: Command, rules: config.Rules) -> list[Project]:
        """The projects that a command names. Raises ConfigError where there is none."""
        if command.project:
            if not found.given:
                raise ConfigError(
                    f"cannot specify a project name unless an {config.FILE} file exists to configure projects"
                )
            named = [one for one in found.projects if one.name == command.project]
            if not named:
                raise ConfigError(f"no project with name '{command.project}' is defined in '{config.FILE}'")
            return named
        folder, workspace = command.dir or ".", command.workspace or config.WORKSPACE
        here = [one for one in found.projects if one.dir == folder]
        matching = [one for one in here if one.workspace == workspace]
        if here and not matching and found.given:
            spaces = ", ".join(one.workspace for one in here)
            raise ConfigError(
                f'running commands in workspace "{workspace}" is not allowed because this directory is only configured '
                f"for the following workspaces: {spaces}"
            )
        return matching or [config.default(folder, workspace, rules)]

    # -- plan

    def _plan_command(self, mr: MergeRequest, command: Command, by: str) -> None:
        record, store = mr.record, self.store(mr.repository)
        found = self._config(mr, record)
        if found is None:
            return
        try:
            if command.everything:
                projects = [one for one in found.projects if one.touched(_changed(mr))]
            else:
                projects = self._targets(found, command, self.server.rules(mr.repository.path))
        except ConfigError as error:
            mr.comment(f"**Plan Error**\n```\n{error}\n```", by=NAME)
            return
        if command.everything:
            store.discard(mr.number)
        if store.request(mr.number)["head"] != record["head"]:
            store.begin(mr.number, record["head"])
        self._plan(mr, record, found, projects, by, command)

    def _plan(
        self,
        mr: MergeRequest,
        record: Mapping[str, Any],
        found: Config,
        projects: Sequence[Project],
        by: str,
        command: Command = AUTOPLAN,
    ) -> None:
        """Plan some projects and comment on it."""
        head, store = record["head"], self.store(mr.repository)
        if not projects:
            self._say(mr, render.comment("plan", []), command)
            self._statuses(mr, record)
            return
        mr.set_status("atlantis/plan", "running", "Plan in progress...", by=NAME, head=head)
        tree = code.Tree(mr.git, head)
        results = [self._plan_one(mr, record, tree, project, by, command.extra) for project in projects]
        automerge = self.automerge if found.automerge is None else found.automerge
        deleted = automerge and command.everything and not all(result.good for result in results)
        for result in results:
            key = result.project.key
            status = stores.NO_CHANGES if result.no_changes else stores.PLANNED if result.good else stores.PLAN_FAILED
            facts = {"title": result.project.title, "name": result.project.name}
            store.note(mr.number, key, status=status, saved=result.good and not deleted, **facts)
            if not result.good or deleted:
                shutil.rmtree(store.room(mr.number, key), ignore_errors=True)
        self._say(mr, render.comment("plan", results, deleted=deleted), command)
        if self._checks_policies(mr) and not deleted:
            self._check_policies(mr, [result for result in results if result.good], command)
        self._statuses(mr, record)

    def _plan_one(
        self,
        mr: MergeRequest,
        record: Mapping[str, Any],
        tree: code.Tree,
        project: Project,
        by: str,
        extra: tuple[str, ...],
    ) -> Result:
        store = self.store(mr.repository)
        if held := store.lock(project.key, mr.number, by, project.title):
            return Result(project, failure=render.LOCKED.format(**held), extra=extra)
        room = store.room(mr.number, project.key)
        try:
            output, error = self._run_plan(mr, record, tree, project, room, extra)
        except (jail.JailError, OSError) as problem:
            output, error = "", f"Terraform could not be started: {problem}"
        if error:
            store.release(project.key, mr.number)
            return Result(project, error=self._masked(error), extra=extra)
        digest = hashlib.sha256((room / PLAN).read_bytes()).hexdigest()
        store.note(mr.number, project.key, head=record["head"], digest=digest)
        return Result(project, output=self._masked(render.diff_format(output)), extra=extra)

    def _run_plan(
        self,
        mr: MergeRequest,
        record: Mapping[str, Any],
        tree: code.Tree,
        project: Project,
        room: Path,
        extra: tuple[str, ...],
    ) -> tuple[str, str]:
        """(output, error). Nothing is run where the code asks for what it must not."""
        if self.tools is None:
            return "", finding.missing() or "There is no terraform for this bot."
        shutil.rmtree(room, ignore_errors=True)
        asked = code.problems(tree, project.dir, tofu=self.tools.product == "opentofu")
        unreadable = [text for text in asked if "this cannot be read" in text]
        if asked and not unreadable:
            return "", "Nothing was run, because of what the code asks for:\n\n" + "\n".join(
                f"- {one}" for one in asked
            )
        check_out(mr.git, record["head"], room / CHECKOUT)
        folder = self._folder(mr, project, room)
        if unreadable:
            # Terraform's own parser says it better, with the line; only if it has nothing to say, ours counts.
            done = folder.run("fmt", "-no-color", "-check", "-list=false", ".")
            said = done.text if "Error:" in done.text else "\n".join(f"- {one}" for one in asked)
            return "", f"Nothing was run, because the code cannot be read:\n\n{said.strip()}"
        steps: list[Callable[[], Outcome]] = [folder.init]
        if project.workspace != config.WORKSPACE:
            steps.append(lambda: folder.workspace(project.workspace))
        steps.append(lambda: folder.plan(*extra, out=_plan_path(project)))
        for step in steps:
            done = step()
            if not done.good:
                return "", f"running '{done.command}' in '{project.dir}': exit status {done.code}\n{done.text}"
        if not (room / PLAN).is_file() or (room / PLAN).is_symlink():
            return "", f"{done.command} wrote no plan file.\n{done.text}"
        values = []
        if "(sensitive" in done.text:
            try:
                values = secrets.sensitive(folder.show(_plan_path(project)))
            except ValueError as error:
                return "", f"The plan has sensitive values, and could not be read to mask them: {error}"
        (room / MASKS).unlink(missing_ok=True)
        state.write_json(room / MASKS, values)
        return secrets.masked(done.text, values), ""

    def _folder(self, mr: MergeRequest, project: Project, room: Path) -> Folder:
        place = Room(room, self.tools, self.keys, self.endpoint, self.services, self.limits, self.env)
        named = project.name or project.dir
        return place.folder(
            os.path.join(CHECKOUT, project.dir), lambda line: self._line(f"!{mr.number} {named}: {line}")
        )

    # -- apply

    def _apply_command(self, mr: MergeRequest, command: Command, facts: Mapping[str, Any]) -> None:
        record, store = mr.record, self.store(mr.repository)
        found = self._config(mr, record, "apply")
        if found is None:
            return
        planned = store.request(mr.number)
        current = planned["head"] == record["head"]
        known = {one.key: one for one in found.projects}
        try:
            if command.everything:
                keys = [key for key, one in planned["projects"].items() if current and one.get("saved")]
                folders = (key.rpartition("//") for key in keys)
                rules = self.server.rules(mr.repository.path)
                projects = [known.get(f"{a}//{b}") or config.default(a, b, rules) for a, _, b in folders]
            else:
                projects = self._targets(found, command, self.server.rules(mr.repository.path))
        except ConfigError as error:
            mr.comment(f"**Apply Error**\n```\n{error}\n```", by=NAME)
            return
        if projects:
            mr.set_status("atlantis/apply", "running", "Apply in progress...", by=NAME, head=record["head"])
        results = [self._apply_one(mr, record, project, command, facts) for project in _in_order(projects)]
        self._say(mr, render.comment("apply", results), command)
        self._statuses(mr, record)
        automerge = self.automerge if found.automerge is None else found.automerge
        if automerge and command.automerge and results and all(result.good for result in results):
            self._automerge(mr)

    def _apply_one(
        self,
        mr: MergeRequest,
        record: Mapping[str, Any],
        project: Project,
        command: Command,
        facts: Mapping[str, Any],
    ) -> Result:
        store, key = self.store(mr.repository), project.key
        request = store.request(mr.number)
        plan = request["projects"].get(key, {})
        room = store.room(mr.number, key)
        if not plan.get("saved") or plan.get("head") != record["head"] or not (room / PLAN).is_file():
            return Result(
                project,
                error=f'no plan found at path "{project.dir}" and workspace "{project.workspace}"–did you run plan?',
            )
        if hashlib.sha256((room / PLAN).read_bytes()).hexdigest() != plan.get("digest"):
            return Result(project, error="the plan file is not the one that was planned; plan this project again")
        if failure := self._forbidden(mr, record, project, request):
            return Result(project, failure=failure)
        store.run(
            number=mr.number, item=facts["item"], key=key, title=project.title, by=facts["by"], text=facts["text"],
            head=record["head"], plan=Result(project).plan_command,
        )  # fmt: skip
        try:
            done = self._folder(mr, project, room).apply(_plan_path(project), *command.extra)
        except (jail.JailError, OSError) as problem:
            store.run()
            return Result(project, error=f"Terraform could not be started: {problem}")
        store.note(mr.number, key, status=stores.APPLIED if done.good else stores.APPLY_FAILED, saved=not done.good)
        store.run()
        text = secrets.masked(self._masked(done.text), state.read_json(room / MASKS))
        if not done.good:
            return Result(
                project, error=f"running '{done.command}' in '{project.dir}': exit status {done.code}\n{text}"
            )
        (room / PLAN).unlink(missing_ok=True)
        return Result(project, output=text)

    def _forbidden(
        self, mr: MergeRequest, record: Mapping[str, Any], project: Project, request: Mapping[str, Any]
    ) -> str:
        """Why a project must not be applied now; empty if it may. https://www.runatlantis.io/docs/command-requirements.html"""
        for requirement in project.apply_requirements:
            if requirement == "approved" and mr.approvals_missing(record):
                return APPROVED
            if requirement == "mergeable" and (blockers := _blockers(mr, record)):
                return f"Pull request must be mergeable before running apply ({' '.join(blockers)})."
            if requirement == "undiverged":
                target = mr.git.resolve(f"refs/heads/{record['target']}")
                if target and not mr.git.is_ancestor(target, record["head"]):
                    return UNDIVERGED
        if self._checks_policies(mr) and not request["projects"].get(project.key, {}).get("policies", {}).get(
            "cleared"
        ):
            return POLICIES
        for name in project.depends_on:
            others = [
                one
                for one in self.store(mr.repository).request(mr.number)["projects"].values()
                if one.get("name") == name
            ]
            if any(one["status"] not in (stores.APPLIED, stores.NO_CHANGES) for one in others):
                return f"Can't apply your project unless you apply its dependencies: [{name}]"
        return ""

    def _automerge(self, mr: MergeRequest) -> None:
        projects = self.store(mr.repository).request(mr.number)["projects"].values()
        if any(one["status"] != stores.APPLIED for one in projects):
            return
        mr.comment(MERGING, by=NAME)
        try:
            mr.merge(by=NAME)
        except ForgeError as error:
            mr.comment(f"Automerging failed:\n```\n{error}\n```", by=NAME)

    # -- policies

    def _checks_policies(self, mr: MergeRequest) -> bool:
        return self.policies is not None and self.server.rules(mr.repository.path).policy_check

    def _check_policies(self, mr: MergeRequest, planned: Sequence[Result], command: Command) -> None:
        """Hold the plans against the policies, and comment on it."""
        store, results = self.store(mr.repository), []
        for result in planned:
            project = result.project
            try:
                shown = self._folder(mr, project, store.room(mr.number, project.key)).show(_plan_path(project))
                verdicts = tuple(self.policies(shown))
                facts = {one.name: {"passed": one.passed, "output": one.output} for one in verdicts}
                cleared = all(one.passed for one in verdicts)
                store.note(mr.number, project.key, policies={"cleared": cleared, "sets": facts, "approvals": {}})
                results.append(Result(project, verdicts=verdicts))
            except Exception as error:  # noqa: BLE001  (a policy is somebody's program; its mistake is told, and blocks)
                results.append(Result(project, error=f"The policies could not be checked: {error}"))
        if results:
            self._say(mr, render.comment("policy_check", results), command)

    def _approve_policies(self, mr: MergeRequest, command: Command, by: str) -> None:
        """Let those who own the policies approve what one of them refuses."""
        store, record = self.store(mr.repository), mr.record
        if by not in self.policy_owners:
            owners = ", ".join(self.policy_owners) or "nobody"
            mr.comment(
                f"**Approve Policies Error**\n```\ncontact policy owners to approve failing policies ({owners})\n```",
                by=NAME,
            )
            return
        results, approvals = [], {}
        for key, facts in store.request(mr.number)["projects"].items():
            folder, _, workspace = key.rpartition("//")
            project = Project(folder, workspace, facts.get("name", ""))
            named = (command.project, command.dir, command.workspace)
            wanted = (project.name, folder, workspace)
            if "policies" not in facts or any(a and a != b for a, b in zip(named, wanted, strict=True)):
                continue
            policies = copy.deepcopy(facts["policies"])
            policies["approvals"] = {name: 1 for name, one in policies["sets"].items() if not one["passed"]}
            store.note(mr.number, key, policies=policies | {"cleared": True, "by": by})
            approvals[key] = policies["approvals"]
            verdicts = tuple(
                render.Verdict(name, one["passed"], one["output"]) for name, one in policies["sets"].items()
            )
            results.append(Result(project, verdicts=verdicts))
        if len(results) > 1:
            lines = "".join(f"1. {result.project.title}\n" for result in results)
            mr.comment(f"Approved Policies for {len(results)} projects:\n\n{lines}", by=NAME)
        else:
            self._say(mr, render.comment("approve_policies", results, approvals=approvals), command)
        self._statuses(mr, record)

    # -- telling

    def _statuses(self, mr: MergeRequest, record: Mapping[str, Any]) -> None:
        """The two checks that a merge request shows: how many of its projects are planned, and how many applied."""
        projects = list(self.store(mr.repository).request(mr.number)["projects"].values())
        count = len(projects)
        failed = sum(one["status"] == stores.PLAN_FAILED for one in projects)
        text = (
            f"{failed}/{count} projects failed to plan."
            if failed
            else f"{count}/{count} projects planned successfully."
        )
        self._set(mr, record, "atlantis/plan", "failed" if failed else "success", text)
        if self._checks_policies(mr) and projects:
            bad = sum(not one.get("policies", {}).get("cleared") for one in projects)
            text = (
                f"{bad}/{count} projects failed policy checks."
                if bad
                else f"{count}/{count} projects had policies checked successfully."
            )
            self._set(mr, record, "atlantis/policy_check", "failed" if bad else "success", text)
        applied = sum(one["status"] == stores.APPLIED for one in projects)
        idle = sum(one["status"] == stores.NO_CHANGES for one in projects)
        errors = sum(one["status"] == stores.APPLY_FAILED for one in projects)
        if errors:
            self._set(mr, record, "atlantis/apply", "failed", f"{errors}/{count} projects failed to apply.")
        elif applied + idle < count:
            self._set(mr, record, "atlantis/apply", "pending", f"{applied}/{count} projects applied.")
        elif idle and not applied:
            self._set(mr, record, "atlantis/apply", "success", f"{idle}/{count} projects up to date.")
        else:
            more = f" ({idle} up to date)" if idle else ""
            self._set(
                mr, record, "atlantis/apply", "success", f"{applied}/{count} projects applied successfully{more}."
            )

    def _set(self, mr: MergeRequest, record: Mapping[str, Any], name: str, value: str, text: str) -> None:
        mr.set_status(name, value, text, by=NAME, head=record["head"])

    def _say(self, mr: MergeRequest, text: str, command: Command) -> None:
        """Comment, in as many pieces as it takes."""
        if command.verbose:
            log = self._masked("\n".join(self._log))
            text += f"\n\n<details><summary>Log</summary>\n\n```\n{log}\n```\n</details>"
        for piece in render.pieces(text):
            mr.comment(piece, by=NAME)

    def _line(self, line: str) -> None:
        self._log.append(line)
        self._tell(self._masked(line))

    def _masked(self, text: str) -> str:
        """Terraform masks what is declared as sensitive; the bot's own secret must not be in a message, either."""
        return text.replace(self.keys[1], "***") if self.keys[1] else text


def _changed(mr: MergeRequest) -> list[str]:
    """The paths that a merge request touches."""
    return [path for change in mr.changes() for path in {change.path, change.old_path}]


def _plan_path(project: Project) -> str:
    """Where the plan file is, seen from the project's folder: beside the checkout, where no commit can put one."""
    return os.path.relpath(PLAN, os.path.join(CHECKOUT, project.dir))


def _in_order(projects: Sequence[Project]) -> list[Project]:
    """Projects after those that they depend on, else as they come."""
    done: list[Project] = []
    waiting = list(projects)
    while waiting:
        names = {project.name for project in waiting if project.name}
        ready = next((one for one in waiting if not names & set(one.depends_on)), waiting[0])
        done.append(ready)
        waiting.remove(ready)
    return done


def _blockers(mr: MergeRequest, record: Mapping[str, Any]) -> list[str]:
    """What stands in the way of merging, apart from the bot's own checks: they wait for the apply."""
    others = [one for one in record["statuses"] if not one["name"].startswith("atlantis/")]
    return [blocker.text for blocker in mr.blockers({**record, "statuses": others})]


def check_out(git: Git, commit: str, folder: Path) -> None:
    """The files of a commit, without a repository around them."""
    folder.mkdir(parents=True)
    env = {"GIT_WORK_TREE": str(folder), "GIT_INDEX_FILE": str(folder.with_name(".index"))}
    git.run("read-tree", commit, env=env)
    git.run("checkout-index", "--all", "--force", "--quiet", env=env)
