"""What is privileged in a pipeline file of GitLab: docker daemons as services, and `docker run` with too many rights.

    >>> job = {"services": ["docker:27-dind"], "script": ["docker run --rm --privileged tool"]}
    >>> [(found.where, found.reason, found.path) for found in look(".gitlab-ci.yml", {"build": job})]
    [('build', 'docker-in-docker', 'services'), ('build', 'privileged', 'script')]

Each job is looked at as it runs: with what it inherits by `extends`, `default`, anchors and `!reference`. A job whose name begins with
a dot never runs. https://docs.gitlab.com/ci/yaml/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from opslab.worlds.runners.findings import Finding, capabilities, instead, of_the_host
from opslab.worlds.runners.gitlab_runner import bound, unconfined
from opslab.worlds.runners.reading import NODES, Reference, Unreadable, entries, table, text, words

NO_JOBS = frozenset(
    "default include stages variables workflow image services cache before_script after_script spec".split()  # noqa: SIM905
)
"""Keys at the top of the file that are no jobs."""

INHERITED = ("image", "services", "before_script", "after_script")
"""What a job takes over from `default`, or from the top of the file, where that was written before there was `default`."""

DAEMON = re.compile(r"(^|/)docker:[\w.-]*dind[\w.-]*(@|$)")
"""Images with a docker daemon. docker:dind-rootless, too: it still needs a privileged container."""

ENGINES = ("docker", "podman", "nerdctl")
STARTS = ("run", "create", "exec")
BEFORE = ("sudo", "env", "exec", "time", "command", "nohup", "!", "then", "do", "else", "if", "while", "{")
"""Words of the shell that can stand before a command."""

GLOBAL_WITH_VALUE = ("-H", "--host", "-c", "--context", "--config", "-l", "--log-level", "--connection", "--url")
SWITCHES = frozenset(
    """--detach --disable-content-trust --help --init --interactive --no-healthcheck --oom-kill-disable --privileged --publish-all
    --quiet --read-only --rm --sig-proxy --tty --replace --tls-verify""".split()  # noqa: SIM905
)
"""Options of `docker run` that stand alone. All others take the next word."""

LETTERS = "ditqP"
"""Short options that stand alone, and can be written together: -it."""

NESTED = 11
"""How deep jobs may extend each other: GitLab's own limit."""

VALUE, SCRIPT = 1000, 400_000
"""How long a variable's value and a script may be: a small file cannot become a huge one."""

TOKEN = re.compile(
    r"""(?P<space>\\\n|[ \t\r]+)
    | (?P<comment>\#[^\n]*)
    | (?P<end>[\n;|&()`])
    | (?P<redirection>\d*[<>]+&?)
    | (?P<word>(?:\\.|'[^']*'|"(?:\\.|[^"\\])*"|[^\s;|&()<>`'"\\])+)
    | .""",
    re.VERBOSE | re.DOTALL,
)
"""What a shell script is made of."""

QUOTED = re.compile(r"""\\(?P<one>.)|'(?P<single>[^']*)'|"(?P<double>(?:\\.|[^"\\])*)\"""", re.DOTALL)


def look(file: str, pipeline: Mapping[str, Any]) -> Iterator[Finding]:
    """What is privileged in the jobs of a pipeline. Raises Unreadable where jobs extend what is not there."""
    file_of_jobs = _Pipeline(file, pipeline)
    for name in file_of_jobs.jobs():
        job = file_of_jobs.job(name)
        variables = _variables(file_of_jobs.top.get("variables")) | _variables(job.get("variables"))
        scripts = {key: _script(job.get(key), file, variables) for key in ("before_script", "script", "after_script")}
        runs = words(_name(job.get("image")), *scripts.values())
        if any(DAEMON.search(_expanded(_name(service), variables)) for service in entries(job.get("services"))):
            yield Finding(file, name, "docker-in-docker", "services", instead("docker-in-docker", runs))
        for key, script in scripts.items():
            # That docker starts something says nothing of what it is there for.
            purpose = "\n".join(line for line in script.splitlines() if not re.search(r"\bdocker\s+run\b", line))
            for reason in dict.fromkeys(reason for command in commands(script) for reason in started(command)):
                yield Finding(file, name, reason, key, instead(reason, purpose))


# ---- the job as it runs ----------------------------------------------------------------------------------------------


class _Pipeline:
    """A pipeline file, and its jobs with everything that they take from elsewhere in it."""

    def __init__(self, file: str, pipeline: Mapping[str, Any]) -> None:
        self.file, self.left = file, 2 * NODES
        self.raw = {text(key): value for key, value in pipeline.items()}
        self.top = {key: self._resolved(value, NESTED) for key, value in self.raw.items()}
        self.extended: dict[str, dict[str, Any]] = {}

    def jobs(self) -> list[str]:
        """The names of the jobs that can run."""
        return [
            name
            for name, value in self.top.items()
            if name not in NO_JOBS and not name.startswith(".") and isinstance(value, dict)
        ]

    def job(self, name: str) -> dict[str, Any]:
        """A job as it runs."""
        job = self._extended(name, NESTED)
        defaults = {key: self.top[key] for key in INHERITED if key in self.top}
        defaults |= {key: value for key, value in table(self.top.get("default")).items() if key in INHERITED}
        wanted = table(job.get("inherit")).get("default", True)
        if wanted is not True:
            defaults = {key: value for key, value in defaults.items() if key in entries(wanted)}
        return {**defaults, **job}

    def _resolved(self, value: Any, depth: int) -> Any:
        """A value with what its !references stand for."""
        self.left -= 1
        if not depth or self.left < 0:
            raise Unreadable(f"{self.file}: its !references go on for ever, or repeat too much")
        if isinstance(value, Reference):
            found: Any = self.raw
            for key in value.path:
                found = table(found).get(key)
            return self._resolved(found, depth - 1)
        if isinstance(value, dict):
            return {key: self._resolved(inner, depth) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._resolved(inner, depth) for inner in value]
        return value

    def _extended(self, name: str, depth: int) -> dict[str, Any]:
        """A job with everything that it extends: tables are merged, and lists replaced."""
        if name not in self.extended:
            job = self.top.get(name)
            if not isinstance(job, dict) or not depth:
                why = "is not there" if depth else "goes on in a circle, or too far"
                raise Unreadable(f"{self.file}: a job extends {name!r}, which {why}")
            parents = job.get("extends")
            found: dict[str, Any] = {}
            for parent in [parents] if isinstance(parents, str) else map(text, entries(parents)):
                found = _merged(found, self._extended(parent, depth - 1))
            self.extended[name] = _merged(found, job)
        return self.extended[name]


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def _name(image: Any) -> str:
    """The name of an image or service, which can be a text or a table with a name."""
    return text(table(image).get("name")) or text(image)


def _variables(given: Any) -> dict[str, str]:
    """Variables and their values. A value can stand in a table, beside its description."""
    plain = {text(key): table(value).get("value", value) for key, value in table(given).items()}
    return {key: str(value)[:VALUE] for key, value in plain.items() if isinstance(value, str | int | float)}


def _expanded(line: str, variables: Mapping[str, str]) -> str:
    """A line with the values of the file's variables. Others stay as they are."""
    return re.sub(r"\$(?:(\w+)|\{(\w+)\})", lambda match: variables.get(match[1] or match[2], match[0]), line)


def _script(given: Any, file: str, variables: Mapping[str, str]) -> str:
    """A script as one text. It can be a text, or a list of lines and lists."""
    if isinstance(given, list):
        whole = "\n".join(_script(inner, file, variables) for inner in given)
    else:
        whole = _expanded(text(given), variables)
    if len(whole) > SCRIPT:
        raise Unreadable(f"{file}: with its variables, a script has more than {SCRIPT:,} characters")
    return whole


# ---- what a script starts --------------------------------------------------------------------------------------------


def commands(script: str) -> Iterator[list[str]]:
    r"""The commands of a shell script, as far as they can be told without running it: lists of words.

    >>> list(commands("cd app && docker run \\\n  --rm x  # not privileged\necho 'a; b' > log"))
    [['cd', 'app'], ['docker', 'run', '--rm', 'x'], ['echo', 'a; b']]
    """
    command: list[str] = []
    to_file = False
    for token in TOKEN.finditer(script):
        if token.lastgroup == "word":
            if not to_file:
                command.append(QUOTED.sub(lambda match: match[match.lastgroup], token[0]))
            to_file = False
        elif token.lastgroup == "redirection":
            to_file = True
        elif token.lastgroup == "end" and command:
            yield command
            command = []
    if command:
        yield command


def started(command: list[str]) -> list[str]:
    """The reasons for which what a command starts in a container is privileged.

    >>> started(["docker", "run", "-v", "/:/host", "--privileged", "tool"]), started(["docker", "run", "tool", "--privileged"])
    (['host-path', 'privileged'], [])
    """
    found = []
    for name, value in _options(command):
        if name == "--privileged" and value != "false":
            found.append("privileged")
        elif name == "--cap-add" and capabilities(value.split(",")):
            found.append("capability")
        elif name in ("--pid", "--ipc", "--network", "--net", "--userns") and value == "host":
            found.append("host-namespace")
        elif name == "--security-opt" and unconfined(value):
            found.append("unconfined")
        elif name in ("-v", "--volume") and bound(value):
            found.append(of_the_host(bound(value)))
        elif name == "--mount":
            parts = dict(part.partition("=")[::2] for part in value.split(","))
            if parts.get("type") == "bind":
                found.append(of_the_host(parts.get("source", parts.get("src", ""))))
    return found


def _options(command: list[str]) -> Iterator[tuple[str, str]]:
    """The options of `docker run` before the name of the image. What stands behind it belongs to the program in the container."""
    rest = list(command)
    while rest and (rest[0] in BEFORE or re.match(r"\w+=", rest[0])):
        rest.pop(0)
    if not rest or rest.pop(0).rpartition("/")[2] not in ENGINES:
        return
    while rest and rest[0].startswith("-"):
        if rest.pop(0) in GLOBAL_WITH_VALUE and rest:
            rest.pop(0)
    if rest and rest[0] == "container":
        rest.pop(0)
    if not rest or rest.pop(0) not in STARTS:
        return
    while rest and rest[0].startswith("-") and rest[0] != "--":
        name, equals, value = rest.pop(0).partition("=")
        if not name.startswith("--"):
            # Letters can stand together, and the last one's value can follow at once: -itv/srv:/srv
            letters = name[1:].lstrip(LETTERS)
            if not letters:
                continue
            value = letters[1:] + equals + value if letters[1:] else value
            name, equals = f"-{letters[0]}", value
        if not equals and name not in SWITCHES:
            value = rest.pop(0) if rest else ""
        yield name, value
