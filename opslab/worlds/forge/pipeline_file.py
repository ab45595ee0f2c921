"""The pipeline file: a subset of GitLab's .gitlab-ci.yml, read with care.

    >>> file = parse("test:\\n  script:\\n    - pytest\\n")
    >>> file.jobs[0].name, file.jobs[0].stage, file.jobs[0].script
    ('test', 'test', ('pytest',))
    >>> parse("test:\\n  script: [pytest]\\n  services: [docker:dind]\\n")
    Traceback (most recent call last):
    ...
    opslab.worlds.forge.pipeline_file.PipelineError: .gitlab-ci.yml, line 3: services: the forge has no containers …

What is in the subset stands in KEYWORDS, GLOBAL and the functions below; docs/forge.md has it as a table. All else is
refused by name and with its line, because a keyword that is silently ignored is worse than one that is missing.
The meaning is that of https://docs.gitlab.com/ci/yaml/
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

NAME = ".gitlab-ci.yml"
SIZE_LIMIT, JOB_LIMIT, NODE_LIMIT, DEPTH_LIMIT = 100_000, 50, 20_000, 20

GLOBAL = ("stages", "variables", "before_script", "image")
KEYWORDS = ("stage", "script", "before_script", "needs", "rules", "artifacts", "variables", "allow_failure", "image")
STAGES = (".pre", "build", "test", "deploy", ".post")
WHEN = ("on_success", "always", "never")

INSTEAD = {
    "only": "use rules with if",
    "except": "use rules with if and when: never",
    "services": "the forge has no containers beside the job; a daemon such as docker:dind is not needed to build an image",
    "include": "write the jobs into this file",
    "extends": "use a YAML anchor, or write the keys out",
    "default": "write before_script, image and variables at the top of the file",
    "after_script": "put it at the end of script",
    "cache": "jobs start from a clean checkout; pass files on with artifacts",
    "dependencies": "use needs",
    "workflow": "use rules in the jobs",
    "tags": "there is one runner, and it takes every job",
    "trigger": "there are no pipelines of other projects here",
    "parallel": "write one job for each",
    "when": "use rules with when",
    "retry": "a job that fails by chance should be mended",
    "timeout": "the runner has a limit of its own",
    "environment": "this forge has no environments",
    "secrets": "this forge has no vault",
    "<<": "merge keys are not read; write the keys out",
}


class PipelineError(Exception):
    """The file cannot be used. `problems` are sentences, each with its line."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(f"{NAME}, {problem}" for problem in problems))
        self.problems = problems


@dataclass(frozen=True)
class Rule:
    """An entry of `rules`: the condition ("" is always true) and what then holds."""

    condition: str
    when: str = "on_success"


@dataclass(frozen=True)
class Job:
    """A job as the file has it. needs and rules are None where the file says nothing."""

    name: str
    line: int
    stage: str = "test"
    script: tuple[str, ...] = ()
    before_script: tuple[str, ...] = ()
    needs: tuple[str, ...] | None = None
    rules: tuple[Rule, ...] | None = None
    artifacts: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    allow_failure: bool = False
    image: str = ""

    def when(self, variables: Mapping[str, str]) -> str:
        """Whether the job is part of a pipeline with these variables: a word of WHEN; the first rule that holds decides."""
        if self.rules is None:
            # Without rules a job belongs to the pipelines of branches, and not to those of merge requests.
            return "never" if variables.get("CI_PIPELINE_SOURCE") == "merge_request_event" else "on_success"
        for rule in self.rules:
            if not rule.condition or holds(rule.condition, {**variables, **self.variables}):
                return rule.when
        return "never"


@dataclass(frozen=True)
class PipelineFile:
    """A pipeline file that was read and found in order."""

    stages: tuple[str, ...]
    variables: Mapping[str, str]
    jobs: tuple[Job, ...]


# ---- the file --------------------------------------------------------------------------------------------------------


def parse(text: str) -> PipelineFile:
    """Read a pipeline file. Raises PipelineError with everything that is wrong in it."""
    if len(text) > SIZE_LIMIT:
        raise PipelineError([f"line 1: the file is larger than {SIZE_LIMIT:,} characters."])
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or "it is nested too deep, or holds characters that YAML does not allow"
        raise PipelineError([f"line {mark.line + 1 if mark else 1}: this is no YAML: {what}."]) from None
    return _Reader().file(root)


class _Reader:
    """Turns YAML nodes into a PipelineFile, and collects what is wrong on the way, each with its line."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def file(self, root: yaml.Node | None) -> PipelineFile:
        if root is None or not self._small(root):
            raise PipelineError(
                self.problems or ["line 1: the file is empty. It needs at least one job with a script."]
            )
        top = self._mapping(root, "the file")
        stages, variables, jobs = STAGES, {}, []
        before: tuple[str, ...] = ()
        image = ""
        for key, node in top.items():
            if key == "stages":
                stages = (".pre", *self._strings(node, key), ".post")
            elif key == "variables":
                variables = self._variables(node)
            elif key == "before_script":
                before = self._strings(node, key, nested=True)
            elif key == "image":
                image = self._image(node)
        for key, node in top.items():
            if key in GLOBAL or key.startswith("."):
                continue  # a name with a dot in front is a template, which only an anchor can use here
            if key in INSTEAD and key not in KEYWORDS:
                self._problem(node, f"{key}: {INSTEAD[key]}.")
                continue
            near = difflib.get_close_matches(key, GLOBAL, 1, 0.8)
            if near and not isinstance(node, yaml.MappingNode):
                self._problem(node, f"{key} is no keyword; did you mean {near[0]}?")
                continue
            jobs.append(self._job(key, node, before, image))
        if not jobs and not self.problems:
            self._problem(root, "there is no job. A job has a name and a script.")
        if len(jobs) > JOB_LIMIT:
            self._problem(root, f"there are {len(jobs)} jobs; {JOB_LIMIT} is the most.")
        self._check(jobs, stages)
        if self.problems:
            raise PipelineError(self.problems)
        return PipelineFile(tuple(dict.fromkeys(stages)), variables, tuple(jobs))

    def _job(self, name: str, node: yaml.Node, before: tuple[str, ...], image: str) -> Job:
        line = node.start_mark.line + 1
        values: dict[str, Any] = {"before_script": before, "image": image}
        keys = self._mapping(node, f"the job {name}")
        for key, value in keys.items():
            if key not in KEYWORDS:
                near = difflib.get_close_matches(key, KEYWORDS, 1, 0.7)
                hint = INSTEAD.get(key) or (
                    f"did you mean {near[0]}?" if near else "the forge does not know this keyword"
                )
                self._problem(value, f"{key}: {hint.rstrip('.')}{'' if hint.endswith('?') else '.'}")
            elif key in ("script", "before_script"):
                values[key] = self._strings(value, key, nested=True)
            elif key == "stage":
                values[key] = self._string(value, key)
            elif key == "needs":
                values[key] = self._needs(value)
            elif key == "rules":
                values[key] = self._rules(value)
            elif key == "artifacts":
                values[key] = self._artifacts(value)
            elif key == "variables":
                values[key] = self._variables(value)
            elif key == "image":
                values[key] = self._image(value)
            elif key == "allow_failure":
                if isinstance(value, yaml.ScalarNode) and value.value.lower() in ("true", "false"):
                    values[key] = value.value.lower() == "true"
                else:
                    self._problem(value, "allow_failure is true or false here; exit codes are not read.")
        if isinstance(node, yaml.MappingNode) and not values.get("script") and "script" not in keys:
            self._problem(node, f"the job {name} has no script.")
        return Job(name, line, **values)

    def _check(self, jobs: list[Job], stages: tuple[str, ...]) -> None:
        by_name = {job.name: job for job in jobs}
        order = {stage: number for number, stage in enumerate(dict.fromkeys(stages))}
        for job in jobs:
            if job.stage not in stages:
                self.problems.append(f"line {job.line}: {job.name}: there is no stage {job.stage}; add it to stages.")
            for need in job.needs or ():
                if need not in by_name:
                    self.problems.append(f"line {job.line}: {job.name} needs {need}, and there is no such job.")
                    continue
                own, others = job.stage, by_name[need].stage
                if own in order and others in order and order[others] > order[own]:
                    self.problems.append(
                        f"line {job.line}: {job.name} job: need {need} is not defined in current or prior stages: "
                        f"{need} is in {others}, which comes after {own}. "
                        f"Move one of the two into another stage, or take {need} out of needs."
                    )
        done: set[str] = set()
        while ready := [
            job for job in jobs if job.name not in done and all(n in done or n not in by_name for n in job.needs or ())
        ]:
            done |= {job.name for job in ready}
        if circle := [job.name for job in jobs if job.name not in done]:
            self.problems.append(
                f"line {by_name[circle[0]].line}: these jobs wait for each other: {', '.join(circle)}."
            )

    # -- values

    def _problem(self, node: yaml.Node, text: str) -> None:
        self.problems.append(f"line {node.start_mark.line + 1}: {text}")

    def _small(self, root: yaml.Node) -> bool:
        """With aliases, a few lines can stand for millions of values: count what they stand for, and stop early."""
        left = NODE_LIMIT
        waiting = [(root, 0)]
        while waiting:
            node, depth = waiting.pop()
            left -= 1
            if left < 0 or depth > DEPTH_LIMIT:
                self._problem(root, "the file is nested too deep, or its aliases stand for too much.")
                return False
            if isinstance(node, yaml.MappingNode):
                waiting += [(one, depth + 1) for pair in node.value for one in pair]
            elif isinstance(node, yaml.SequenceNode):
                waiting += [(one, depth + 1) for one in node.value]
        return True

    def _mapping(self, node: yaml.Node, what: str) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            self._problem(node, f"{what} has to be written as keys and values (name: value).")
            return {}
        found: dict[str, yaml.Node] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._problem(key, "a key has to be a word.")
            elif key.value in found:
                self._problem(key, f"{key.value} is there twice.")
            else:
                # The value's line may be a later one; people look for the key.
                value.start_mark = key.start_mark
                found[key.value] = value
        return found

    def _string(self, node: yaml.Node, what: str) -> str:
        if isinstance(node, yaml.ScalarNode):
            return node.value
        hint = ""
        if isinstance(node, yaml.MappingNode):
            hint = " A colon followed by a space makes a key of what is in front of it: put the whole line in quotes."
        self._problem(node, f"{what} has to be text here.{hint}")
        return ""

    def _strings(self, node: yaml.Node, what: str, nested: bool = False) -> tuple[str, ...]:
        if not isinstance(node, yaml.SequenceNode):
            return (self._string(node, what),)
        found: list[str] = []
        for one in node.value:
            if nested and isinstance(one, yaml.SequenceNode):
                found += self._strings(one, what, nested)
            else:
                found.append(self._string(one, what))
        return tuple(found)

    def _variables(self, node: yaml.Node) -> dict[str, str]:
        found = {}
        for key, value in self._mapping(node, "variables").items():
            if not re.fullmatch(r"[A-Za-z_]\w*", key):
                self._problem(value, f"{key} is no name for a variable.")
            found[key] = self._string(value, f"the variable {key}")
        return found

    def _image(self, node: yaml.Node) -> str:
        if isinstance(node, yaml.MappingNode):
            keys = self._mapping(node, "image")
            if set(keys) == {"name"}:
                return self._string(keys["name"], "image")
        return self._string(node, "image")

    def _needs(self, node: yaml.Node) -> tuple[str, ...]:
        if not isinstance(node, yaml.SequenceNode):
            self._problem(node, "needs is a list of jobs.")
            return ()
        found = []
        for one in node.value:
            if isinstance(one, yaml.MappingNode):
                keys = self._mapping(one, "needs")
                if set(keys) != {"job"}:
                    self._problem(one, "an entry of needs is the name of a job, or job: name; other keys are not read.")
                    continue
                one = keys["job"]
            found.append(self._string(one, "needs"))
        return tuple(found)

    def _rules(self, node: yaml.Node) -> tuple[Rule, ...]:
        if not isinstance(node, yaml.SequenceNode):
            self._problem(node, "rules is a list.")
            return ()
        found = []
        for one in node.value:
            keys = self._mapping(one, "a rule")
            for key in keys.keys() - {"if", "when"}:
                self._problem(keys[key], f"rules: {key} is not read here; only if and when are.")
            condition = self._string(keys["if"], "if") if "if" in keys else ""
            when = self._string(keys["when"], "when") if "when" in keys else "on_success"
            if when not in WHEN:
                self._problem(keys["when"], f"when: {when} is not there; {', '.join(WHEN)} are.")
            try:
                holds(condition or "null == null", {})
            except ValueError as error:
                self._problem(keys["if"], f"if: {error}")
            found.append(Rule(condition, when))
        return tuple(found)

    def _artifacts(self, node: yaml.Node) -> tuple[str, ...]:
        keys = self._mapping(node, "artifacts")
        for key in keys.keys() - {"paths"}:
            self._problem(
                keys[key], f"artifacts: {key} is not read here; only paths is. Artifacts are kept with the pipeline."
            )
        return self._strings(keys["paths"], "paths") if "paths" in keys else ()


# ---- conditions ------------------------------------------------------------------------------------------------------

TOKENS = re.compile(r"\s*(\$[A-Za-z_]\w*|\"[^\"]*\"|'[^']*'|null\b|==|!=|&&|\|\||\(|\))")
GRAMMAR = (
    'a condition is made of $VARIABLE, "text", null, ==, !=, &&, || and brackets, such as $CI_COMMIT_BRANCH == "main"'
)


def holds(condition: str, variables: Mapping[str, str]) -> bool:
    """Whether a condition of `rules` holds. A variable by itself holds if it is there and not empty.

        or  = and { "||" and }        and  = term { "&&" term }
        term = "(" or ")" | value [ ("==" | "!=") value ]        value = $NAME | "text" | 'text' | null

    >>> holds('$CI_COMMIT_BRANCH == "main" && ($A || $B != null)', {"CI_COMMIT_BRANCH": "main", "B": "1"})
    True

    Raises ValueError for anything else, regular expressions (=~) included.
    """
    tokens, at = [], 0
    text = condition.strip()
    while at < len(text):
        token = TOKENS.match(text, at)
        if not token:
            raise ValueError(f"{text[at:].strip()[:20]!r} is not understood; {GRAMMAR}.")
        tokens.append(token[1])
        at = token.end()
    if len(tokens) > 200:
        raise ValueError("the condition is too long.")
    result = _or(tokens, variables)
    if tokens:
        raise ValueError(f"{tokens[0]!r} is one too many; {GRAMMAR}.")
    return result


def _or(tokens: list[str], variables: Mapping[str, str]) -> bool:
    result = _and(tokens, variables)
    while tokens and tokens[0] == "||":
        tokens.pop(0)
        result = _and(tokens, variables) or result
    return result


def _and(tokens: list[str], variables: Mapping[str, str]) -> bool:
    result = _term(tokens, variables)
    while tokens and tokens[0] == "&&":
        tokens.pop(0)
        result = _term(tokens, variables) and result
    return result


def _term(tokens: list[str], variables: Mapping[str, str]) -> bool:
    if tokens and tokens[0] == "(":
        tokens.pop(0)
        result = _or(tokens, variables)
        if not tokens or tokens.pop(0) != ")":
            raise ValueError(f"a bracket is not closed; {GRAMMAR}.")
        return result
    left = _value(tokens, variables)
    if tokens and tokens[0] in ("==", "!="):
        equal = tokens.pop(0) == "=="
        return (left == _value(tokens, variables)) == equal
    return bool(left)


def _value(tokens: list[str], variables: Mapping[str, str]) -> str | None:
    token = tokens.pop(0) if tokens else ""
    if token.startswith("$"):
        return variables.get(token[1:])
    if token == "null":
        return None
    if token[:1] in ("'", '"'):
        return token[1:-1]
    raise ValueError(
        f"{token!r} stands where a value is expected; {GRAMMAR}." if token else f"it ends too early; {GRAMMAR}."
    )
