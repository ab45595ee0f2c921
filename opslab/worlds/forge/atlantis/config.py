"""atlantis.yaml, version 3, and the server's own rules, which a merge request cannot loosen.

    >>> server = Server.parse("repos: [{id: /.*/, apply_requirements: [approved]}]")
    >>> config = parse("version: 3\\nprojects: [{name: staging, dir: staging}]", server.rules("platform/infrastructure"))
    >>> config.projects[0].apply_requirements
    ('approved',)

The keys and what they mean: https://www.runatlantis.io/docs/repo-level-atlantis-yaml.html and
https://www.runatlantis.io/docs/server-side-repo-config.html. A key that Atlantis knows and this subset does not is named as such.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

import yaml

from opslab.worlds.forge.atlantis.comments import workspace_problem

FILE = "atlantis.yaml"
SIZE = 100_000
REQUIREMENTS = ("approved", "mergeable", "undiverged")
WHEN_MODIFIED = ("**/*.tf*", "**/*.tofu", "**/*.tofu.json", "**/terragrunt.hcl", "**/.terraform.lock.hcl")
WORKSPACE = "default"

TOP = {"version", "projects", "automerge"}
PROJECT = {"name", "dir", "workspace", "autoplan", "apply_requirements", "depends_on"}
AUTOPLAN = {"when_modified", "enabled"}
ELSEWHERE = {
    *("workflows", "policies", "autodiscover", "parallel_plan", "parallel_apply", "delete_source_branch_on_merge"),
    *(
        "emoji_reaction",
        "allowed_regexp_prefixes",
        "abort_on_execution_order_fail",
        "repo_locks",
        "silence_pr_comments",
    ),
    *("branch", "workflow", "terraform_distribution", "terraform_version", "plan_requirements", "import_requirements"),
    *("repo_locking", "execution_order_group", "policy_check", "custom_policy_check"),
}
"""Keys that Atlantis knows and this subset does not."""

RULES = {"id", "apply_requirements", "allowed_overrides", "allow_custom_workflows", "policy_check"}
OVERRIDES = ("apply_requirements",)


class ConfigError(Exception):
    """The file cannot be used. The text says what was found and what was expected."""


@dataclass(frozen=True)
class Project:
    """A folder with Terraform code, and a workspace of it. when_modified: patterns, relative to `dir`."""

    dir: str
    workspace: str = WORKSPACE
    name: str = ""
    when_modified: tuple[str, ...] = WHEN_MODIFIED
    autoplan: bool = True
    apply_requirements: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What locks and plans are kept by."""
        return f"{self.dir}//{self.workspace}"

    @property
    def title(self) -> str:
        """How comments call it."""
        named = f"project: `{self.name}` " if self.name else ""
        return f"{named}dir: `{self.dir}` workspace: `{self.workspace}`"

    def touched(self, paths: Iterable[str]) -> bool:
        """Whether a change of one of these files asks for a plan. Later patterns count more, and `!` takes back."""
        for path in paths:
            asked = False
            for pattern in self.when_modified:
                negative = pattern.startswith("!")
                if glob(posixpath.normpath(posixpath.join(self.dir, pattern.lstrip("!")))).fullmatch(path):
                    asked = not negative
            if asked:
                return True
        return False


@dataclass(frozen=True)
class Rules:
    """What the server says about one repository."""

    apply_requirements: tuple[str, ...] = ()
    allowed_overrides: tuple[str, ...] = ()
    policy_check: bool = False


@dataclass(frozen=True)
class Config:
    """What holds in one merge request. automerge: None where the file says nothing. given: whether there is a file."""

    projects: tuple[Project, ...] = ()
    automerge: bool | None = None
    given: bool = True


@dataclass(frozen=True)
class Server:
    """The server's rules (repos.yaml): for each pattern of a repository's name what it says; later ones count more."""

    repos: tuple[tuple[re.Pattern[str], dict[str, Any]], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Server:
        """Reads repos.yaml. Raises ConfigError."""
        data = _yaml(text, "repos.yaml")
        _keys(data, {"repos"}, "repos.yaml")
        repos = []
        for number, one in enumerate(_list(data.get("repos", []), "repos")):
            where = f"repos[{number}]"
            _keys(one, RULES, where)
            name = _text(one.get("id", ""), f"{where}.id")
            try:
                pattern = re.compile(name[1:-1] if re.fullmatch("/.*/", name) else re.escape(name))
            except re.error as error:
                raise ConfigError(f"{where}.id: {name} is no regular expression ({error}).") from None
            if "apply_requirements" in one:
                _requirements(one["apply_requirements"], where)
            for key in _texts(one.get("allowed_overrides", []), f"{where}.allowed_overrides"):
                if key not in OVERRIDES:
                    raise ConfigError(
                        f'{where}: "{key}" is not a valid override, only {_quoted(OVERRIDES)} are supported'
                    )
            repos.append((pattern, one))
        return cls(tuple(repos))

    def rules(self, repository: str) -> Rules:
        """What holds for a repository."""
        found: dict[str, Any] = {}
        for pattern, one in self.repos:
            if pattern.fullmatch(repository):
                found |= one
        return Rules(
            tuple(found.get("apply_requirements", ())),
            tuple(found.get("allowed_overrides", ())),
            bool(found.get("policy_check")),
        )


def parse(text: str, rules: Rules) -> Config:
    """Reads an atlantis.yaml under the server's rules. Raises ConfigError."""
    data = _yaml(text, FILE)
    _keys(data, TOP, FILE)
    if "version" not in data:
        raise ConfigError("version: is required. Begin the file with: version: 3")
    if data["version"] not in (2, 3) or isinstance(data["version"], bool):
        raise ConfigError("version: only versions 2 and 3 are supported.")
    projects = [
        _project(one, f"projects[{number}]", rules)
        for number, one in enumerate(_list(data.get("projects", []), "projects"))
    ]
    _unique(projects)
    return Config(tuple(projects), _flag(data["automerge"], "automerge") if "automerge" in data else None)


def _project(one: Any, where: str, rules: Rules) -> Project:
    _keys(one, PROJECT, where)
    if not one.get("dir"):
        raise ConfigError(f"{where}: (dir: cannot be blank.).")
    folder = _text(one["dir"], f"{where}.dir")
    if ".." in folder:
        raise ConfigError(f"{where}: (dir: cannot contain '..'.).")
    if re.search(r"[*?\[]", folder):
        raise ConfigError(f"{where}: dir with a pattern is known to Atlantis, but left out here; name each folder.")
    name = _text(one.get("name") or "", f"{where}.name")
    if "name" in one and not name:
        raise ConfigError(f"{where}: (name: if set cannot be empty.).")
    if quote_plus(name.replace("/", "-")) != name.replace("/", "-"):
        raise ConfigError(f'{where}: (name: "{name}" is not allowed: must contain only URL safe characters.).')
    workspace = _text(one.get("workspace") or WORKSPACE, f"{where}.workspace")
    if why := workspace_problem(workspace):
        raise ConfigError(f"{where}: (workspace: {why}.).")
    autoplan = one.get("autoplan") or {}
    _keys(autoplan, AUTOPLAN, f"{where}.autoplan")
    when = WHEN_MODIFIED
    if "when_modified" in autoplan:
        when = tuple(_texts(autoplan["when_modified"], f"{where}.autoplan.when_modified"))
    wanted = rules.apply_requirements
    if "apply_requirements" in one:
        wanted = _requirements(one["apply_requirements"], where)
        if "apply_requirements" not in rules.allowed_overrides:
            raise ConfigError(
                "repo config not allowed to set 'apply_requirements' key: "
                "server-side config needs 'allowed_overrides: [apply_requirements]'"
            )
    return Project(
        posixpath.normpath(f"./{folder.lstrip('/')}"),
        workspace,
        name,
        when,
        _flag(autoplan.get("enabled", True), f"{where}.autoplan.enabled"),
        wanted,
        tuple(_texts(one.get("depends_on", []), f"{where}.depends_on")),
    )


def _unique(projects: list[Project]) -> None:
    names = [project.name for project in projects if project.name]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f'found two or more projects with name "{name}"; project names must be unique')
    places = [project.key for project in projects]
    for project in projects:
        if places.count(project.key) > 1:
            raise ConfigError(
                f'there are two or more projects with dir: "{project.dir}" workspace: "{project.workspace}"; '
                "here, each dir and workspace can be one project"
            )
        if missing := [name for name in project.depends_on if name not in names]:
            raise ConfigError(
                f'project {project.name or project.dir} depends on "{missing[0]}", which no project is called'
            )


def default(dir: str, workspace: str, rules: Rules) -> Project:
    """A project that no file describes."""
    return Project(dir, workspace or WORKSPACE, apply_requirements=rules.apply_requirements)


def discovered(changed: Iterable[str], files: Iterable[str], rules: Rules) -> Config:
    """The projects of a merge request without atlantis.yaml: the folders of changed Terraform files; for a file of a module,
    the folder around `modules`, if there is Terraform code in it.
    """
    files, folders = list(files), []
    for path in changed:
        if not re.search(r"\.(tf|tf\.json|tofu|tfvars)$|(^|/)(terragrunt|\.terraform\.lock)\.hcl$", path):
            continue
        folder = posixpath.dirname(path)
        parts = folder.split("/")
        if "modules" in parts:
            folder = "/".join(parts[: parts.index("modules")])
        if any(posixpath.dirname(one) == folder and one.endswith((".tf", ".tofu")) for one in files):
            folders.append(folder or ".")
    return Config(tuple(default(folder, "", rules) for folder in sorted(set(folders))), given=False)


def glob(pattern: str) -> re.Pattern[str]:
    """A pattern with `*`, `**`, `?` and [sets], as a regular expression for paths."""
    out, at = "", 0
    while at < len(pattern):
        if pattern.startswith("**/", at):
            out, at = out + r"(?:[^/]+/)*", at + 3
        elif pattern.startswith("**", at):
            out, at = out + ".*", at + 2
        elif pattern[at] == "*":
            out, at = out + "[^/]*", at + 1
        elif pattern[at] == "?":
            out, at = out + "[^/]", at + 1
        elif pattern[at] == "[" and "]" in pattern[at + 2 :]:
            end = pattern.index("]", at + 2)
            inside = pattern[at + 1 : end].replace("\\", "\\\\")
            out, at = f"{out}[{'^' + inside[1:] if inside[0] in '!^' else inside}]", end + 1
        else:
            out, at = out + re.escape(pattern[at]), at + 1
    try:
        return re.compile(out)
    except re.error:
        raise ConfigError(f'invalid pattern "{pattern}" in when_modified') from None


# ---- shapes ----------------------------------------------------------------------------------------------------------


def _yaml(text: str, name: str) -> dict[str, Any]:
    if len(text) > SIZE:
        raise ConfigError(f"parsing {name}: it has {len(text):,} characters; {SIZE:,} are the most.")
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"parsing {name}: {error}") from None
    return {} if data is None else data


def _keys(value: Any, known: set[str], where: str) -> None:
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: expected keys with values, found {value!r:.100}.")
    for key in value:
        if key in known:
            continue
        if key in ELSEWHERE:
            raise ConfigError(f"{where}: Atlantis knows the key {key}, this subset does not: leave it out here.")
        raise ConfigError(f"{where}: field {key} not found; there are: {', '.join(sorted(known))}.")


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise ConfigError(f"{where}: expected a list, found {value!r:.100}.")
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{where}: expected a text, found {value!r:.100}.")
    return value


def _texts(value: Any, where: str) -> list[str]:
    return [_text(one, where) for one in _list(value, where)]


def _flag(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{where}: expected true or false, found {value!r:.100}.")
    return value


def _requirements(value: Any, where: str) -> tuple[str, ...]:
    wanted = tuple(_texts(value, f"{where}.apply_requirements"))
    for one in wanted:
        if one not in REQUIREMENTS:
            raise ConfigError(
                f'{where}: "{one}" is not a valid apply_requirement, only "approved", "mergeable" and "undiverged" are supported'
            )
    return wanted


def _quoted(words: Iterable[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)
