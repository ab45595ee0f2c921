"""Reads a Dockerfile: its stages and instructions, and everything that is wrong with it, each with its line.

    >>> file = parse("FROM python:3-slim AS build\\nRUN pip install \\\\\\n  clicks-driver==2.8\\n")
    >>> file.stages[0].name, file.stages[0].instructions[0].body
    ('build', 'pip install   clicks-driver==2.8')

The language is https://docs.docker.com/reference/dockerfile/; docs/images.md says which part of it is read. What is not in
that part is refused by name, never passed over, because a line that does nothing is worse than one that is refused.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

SIZE_LIMIT = 256 * 1024
LINE_LIMIT = 2000
"""Instructions of one file, at most."""

KEYWORDS = (
    *("FROM", "ARG", "ENV", "WORKDIR", "COPY", "RUN", "USER", "ENTRYPOINT", "CMD", "LABEL", "EXPOSE", "HEALTHCHECK"),
    *("SHELL", "STOPSIGNAL"),
)
INSTEAD = {
    "ADD": "ADD is not read here: it is COPY that also downloads and unpacks, which surprises people. Write COPY",
    "MAINTAINER": 'MAINTAINER is out of use. Write LABEL org.opencontainers.image.authors="…"',
    "ONBUILD": "ONBUILD is not read here: it hides instructions in the image of somebody else. Write them where they are run",
    "VOLUME": "VOLUME is not read here: where data is kept is for whoever runs the image to say. Leave the line out",
}
FLAGS = {
    "COPY": ("from", "chown", "chmod"),
    "RUN": ("mount",),
    "HEALTHCHECK": ("interval", "timeout", "start-period", "retries"),
}
NO_FLAG = {
    "platform": "images are built for this machine only. Leave it out",
    "link": "it changes nothing here. Leave it out",
    "network": "a build reaches the services of its world and nothing else. Leave it out",
    "security": "a build has no more rights than any other. Leave it out",
}
NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
HEREDOC = re.compile(r"(?:^|\s)\d?<<-?([\"']?)([A-Za-z_]\w*)\1", re.ASCII)


class DockerfileError(ValueError):
    """What is wrong with a Dockerfile. `problems`: one sentence each, “line 3: …”."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Instruction:
    """One instruction. `body` is what stands behind keyword and flags, on one line; `words` is set where it is a JSON list."""

    keyword: str
    line: int
    body: str
    flags: tuple[tuple[str, str], ...] = ()
    words: tuple[str, ...] | None = None

    @property
    def text(self) -> str:
        """The instruction on one line, as it is shown and compared."""
        flags = "".join(f"--{name}={value} " for name, value in self.flags)
        return f"{self.keyword} {flags}{self.body}"

    def flag(self, name: str) -> str | None:
        """The value of a flag; None where it is not there."""
        return dict(self.flags).get(name)

    def problem(self, text: str) -> DockerfileError:
        """What is wrong with this instruction, ready to be raised."""
        return DockerfileError([f"line {self.line}: {text}"])


@dataclass(frozen=True)
class Stage:
    """From one FROM to the next. `base` is the FROM; name is empty where there is no AS."""

    index: int
    name: str
    base: Instruction
    instructions: tuple[Instruction, ...]


@dataclass(frozen=True)
class Dockerfile:
    """A Dockerfile that was read. `arguments`: the ARGs in front of the first FROM."""

    arguments: tuple[Instruction, ...]
    stages: tuple[Stage, ...]
    warnings: tuple[str, ...] = field(default=())

    def stage(self, name: str) -> Stage | None:
        """The stage of this name or number; None where there is none. Names are compared without regard to capitals."""
        for stage in self.stages:
            if name == str(stage.index) or (stage.name and name.lower() == stage.name):
                return stage
        return None


# ---- lines to instructions --------------------------------------------------------------------------------------------


def parse(text: str) -> Dockerfile:
    """Read a Dockerfile. Raises DockerfileError with all that can be said without building it."""
    if len(text) > SIZE_LIMIT:
        raise DockerfileError(
            [f"line 1: the file has more than {SIZE_LIMIT:,} characters; a Dockerfile is a page or two."]
        )
    if "\0" in text:
        raise DockerfileError(["line 1: this is no text: there are zero bytes in it."])
    problems: list[str] = []
    warnings: list[str] = []
    instructions = []
    for line, joined in _logical_lines(text.removeprefix("\ufeff"), problems):
        try:
            instructions.append(_instruction(line, joined))
        except DockerfileError as error:
            problems += error.problems
    if len(instructions) > LINE_LIMIT:
        problems = [f"line {instructions[LINE_LIMIT].line}: there are more than {LINE_LIMIT} instructions."]
    arguments, stages = _stages(instructions, problems, warnings)
    if problems:
        raise DockerfileError(sorted(problems, key=lambda problem: int(problem.split()[1].rstrip(":"))))
    return Dockerfile(arguments, stages, tuple(warnings))


def _logical_lines(text: str, problems: list[str]) -> list[tuple[int, str]]:
    """Instructions with the lines that a backslash joins to them; comments are gone. Each with its first line's number."""
    found: list[tuple[int, str]] = []
    first, parts, directives, until = 0, [], True, ""
    for number, line in enumerate(re.split(r"\r?\n", text), 1):
        stripped = line.strip()
        if until:  # the lines of a heredoc, which is refused as a whole
            until = "" if stripped == until else until
            continue
        if stripped.startswith("#"):
            directive = re.fullmatch(r"#\s*(syntax|escape|check)\s*=\s*(\S+).*", stripped, re.IGNORECASE)
            if directives and directive and directive[1].lower() == "escape" and directive[2] != "\\":
                problems.append(
                    f"line {number}: another escape character than \\ is not read here. Leave this line out."
                )
            directives = directives and bool(directive)
            continue
        directives = False
        if not stripped:
            continue  # also inside an instruction, as Docker does
        if not parts:
            first = number
        continued = re.fullmatch(r"(.*)\\[ \t]*", line)
        parts.append(continued[1] if continued else line)
        if not continued:
            found.append((first, "".join(parts).strip()))
            parts = []
            heredoc = HEREDOC.search(found[-1][1]) if found[-1][1][:4].upper() in ("RUN ", "COPY") else None
            until = heredoc[2] if heredoc else ""
    if parts:
        found.append((first, "".join(parts).strip()))
    return found


def _instruction(line: int, joined: str) -> Instruction:
    keyword, body = (*re.split(r"\s+", joined, maxsplit=1), "")[:2]
    name = keyword.upper()
    here = Instruction(name, line, body)
    if name in INSTEAD:
        raise here.problem(f"{INSTEAD[name]}.")
    if name not in KEYWORDS:
        raise here.problem(_unknown(keyword))
    flags, body = _flags(here, body)
    here = Instruction(name, line, body, flags)
    if not body and name != "HEALTHCHECK":
        raise here.problem(f"{name} stands alone; {EXPECTED[name]}.")
    if name in ("RUN", "COPY") and HEREDOC.search(body):
        other = (
            "Join the commands with && and \\"
            if name == "RUN"
            else "Put the text into a file of its own, and copy that"
        )
        raise here.problem(f"a heredoc (<<) is not read here. {other}.")
    words = _json_list(here) if name in ("RUN", "CMD", "ENTRYPOINT", "SHELL", "COPY") else None
    here = Instruction(name, line, body, flags, words)
    if check := _CHECKS.get(name):
        check(here)
    return here


def _unknown(keyword: str) -> str:
    shown = keyword[:40]
    if near := difflib.get_close_matches(keyword.upper(), [*KEYWORDS, *INSTEAD], 1, 0.6):
        return f"{shown} is no instruction. Did you mean {near[0]}?"
    if re.match(r"&&|\|\||\||-|\.|/|[a-z_]+==", keyword) or keyword in (
        "pip",
        "apt-get",
        "python",
        "then",
        "fi",
        "done",
    ):
        return f"{shown} cannot begin an instruction. If it belongs to the line above, that one has to end with a backslash \\."
    if shown[:1] in "<=>":
        return f"{shown} cannot begin an instruction. A merge conflict was left in this file: choose one side and delete the marks."
    return f"{shown} is no instruction. There are {', '.join(KEYWORDS)}."


def _flags(here: Instruction, body: str) -> tuple[tuple[tuple[str, str], ...], str]:
    """The --name=value words that an instruction begins with, and the rest of it."""
    flags: list[tuple[str, str]] = []
    while match := re.match(r"--([A-Za-z][\w-]*)(=\S*)?(?:\s+|$)", body):
        name, value = match[1], (match[2] or "=")[1:]
        known = FLAGS.get(here.keyword, ())
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.6)
            why = NO_FLAG.get(name) or (
                f"did you mean --{near[0]}?" if near else f"{here.keyword} knows {_listed(known)} here"
            )
            raise here.problem(f"--{name}: {why}{'' if why.endswith('?') else '.'}")
        if not value:
            raise here.problem(f"--{name} needs a value: --{name}=… without a space.")
        if name != "mount" and name in dict(flags):
            raise here.problem(f"--{name} is there twice.")
        flags.append((name, value))
        body = body[match.end() :]
    return tuple(flags), body


def _listed(flags: tuple[str, ...]) -> str:
    return ", ".join(f"--{flag}" for flag in flags) or "no flags"


def _json_list(here: Instruction) -> tuple[str, ...] | None:
    """The words of the exec form; None for the shell form. To Docker, a list that is no JSON is a command for the shell."""
    if not here.body.startswith("["):
        return None
    try:
        words = json.loads(here.body)
    except (ValueError, RecursionError):
        words = None
    if isinstance(words, list) and all(isinstance(word, str) for word in words):
        if not words:
            raise here.problem(f"{here.keyword} has an empty list; {EXPECTED[here.keyword]}.")
        return tuple(words)
    if here.body.endswith("]") and not re.match(r"\[+ ", here.body):
        hint = "JSON wants double quotes" if "'" in here.body else "it has to be JSON, each word in double quotes"
        raise here.problem(f'{here.body[:60]} looks like a list, but {hint}: ["python", "app.py"].')
    return None


# ---- what can be said of an instruction by itself ---------------------------------------------------------------------

EXPECTED = {
    "FROM": "expected the image to begin with, such as FROM python:3-slim AS build",
    "ARG": "expected ARG NAME or ARG NAME=value",
    "ENV": "expected ENV NAME=value",
    "WORKDIR": "expected a folder, such as WORKDIR /app",
    "COPY": "expected what to copy and where to, such as COPY app.py /app/",
    "RUN": "expected a command, such as RUN pip install --no-cache-dir -r requirements.txt",
    "USER": "expected a user, such as USER app",
    "ENTRYPOINT": 'expected a command, such as ENTRYPOINT ["python", "app.py"]',
    "CMD": 'expected a command, such as CMD ["python", "app.py"]',
    "LABEL": "expected LABEL name=value",
    "EXPOSE": "expected a port, such as EXPOSE 8000",
    "HEALTHCHECK": "expected HEALTHCHECK CMD and a command, or HEALTHCHECK NONE",
    "SHELL": 'expected a list, such as SHELL ["/bin/bash", "-o", "pipefail", "-c"]',
    "STOPSIGNAL": "expected a signal, such as STOPSIGNAL SIGTERM",
}


def _check_from(here: Instruction) -> None:
    words = here.body.split()
    if len(words) == 1 or (len(words) == 3 and words[1].upper() == "AS"):
        if len(words) == 3 and not re.fullmatch(r"[A-Za-z][\w.-]*", words[2], re.ASCII):
            raise here.problem(
                f"{words[2]} cannot be the name of a stage: letters, digits and . _ -, and a letter first."
            )
        return
    raise here.problem(f"found {' '.join(words)[:60]!r} behind FROM; {EXPECTED['FROM']}.")


def _check_pairs(here: Instruction) -> None:
    pairs(here)


def _check_arg(here: Instruction) -> None:
    arguments(here)


def _check_copy(here: Instruction) -> None:
    *sources, _ = copied(here)
    if not sources:
        raise here.problem(f"COPY has only one word, {here.body[:60]!r}; {EXPECTED['COPY']}.")
    if here.flag("from"):
        return
    for source in sources:
        if ".." in source.split("/"):
            raise here.problem(
                f"COPY {source}: a build can take only what is in its folder, and .. leads out of it. Start the build one "
                "folder higher, or put what is needed into the folder."
            )
        if re.match(r"https?://|git@", source):
            raise here.problem(f"COPY {source}: nothing is downloaded here. Put the file into the folder of the build.")


def _check_run(here: Instruction) -> None:
    for name, value in here.flags:
        secret_mount(here, value) if name == "mount" else None


def _check_expose(here: Instruction) -> None:
    for word in here.body.split():
        if "$" not in word and not re.fullmatch(r"\d{1,5}(-\d{1,5})?(/(tcp|udp))?", word.lower()):
            more = " Which port of the machine it is connected to is said when the image is run." if ":" in word else ""
            raise here.problem(f"{word} is no port; {EXPECTED['EXPOSE']}.{more}")


def _check_one_word(here: Instruction) -> None:
    if len(here.body.split()) != 1:
        raise here.problem(f"found {here.body[:60]!r} behind {here.keyword}; {EXPECTED[here.keyword]}.")


def _check_health(here: Instruction) -> None:
    healthcheck(here)


def _check_shell(here: Instruction) -> None:
    if here.words is None:
        raise here.problem(f"found {here.body[:60]!r} behind SHELL; {EXPECTED['SHELL']}.")


_CHECKS: dict[str, Callable[[Instruction], None]] = {
    "FROM": _check_from,
    "ARG": _check_arg,
    "ENV": _check_pairs,
    "LABEL": _check_pairs,
    "COPY": _check_copy,
    "RUN": _check_run,
    "EXPOSE": _check_expose,
    "USER": _check_one_word,
    "STOPSIGNAL": _check_one_word,
    "HEALTHCHECK": _check_health,
    "SHELL": _check_shell,
}


def pairs(here: Instruction) -> list[tuple[str, str]]:
    """The names and values of ENV or LABEL; quotes and variables are still in the values. Raises DockerfileError."""
    words = quoted_words(here)
    if "=" not in words[0]:
        name, _, value = here.body.partition(" ")
        if value.strip().startswith("="):
            raise here.problem(f"{here.keyword} {here.body[:60]}: no spaces around the =; {EXPECTED[here.keyword]}.")
        if not value.strip():
            raise here.problem(f"{here.keyword} {name} has no value; {EXPECTED[here.keyword]}.")
        return [(name, value.strip())]  # the old form: ENV NAME value
    found = []
    for word in words:
        name, equals, value = word.partition("=")
        name = name.strip("\"'") if here.keyword == "LABEL" else name
        if not equals or not name or (here.keyword == "ENV" and not NAME.fullmatch(name)):
            hint = " A value with spaces wants quotes." if not equals else ""
            raise here.problem(f"{word[:60]!r} is no NAME=value.{hint}")
        found.append((name, value))
    return found


def arguments(here: Instruction) -> list[tuple[str, str | None]]:
    """The names of ARG and their defaults, None where there is none. Raises DockerfileError."""
    found: list[tuple[str, str | None]] = []
    for word in quoted_words(here):
        name, equals, value = word.partition("=")
        if not NAME.fullmatch(name):
            raise here.problem(f"{word[:60]!r} is no name of an argument; {EXPECTED['ARG']}.")
        found.append((name, value if equals else None))
    return found


def copied(here: Instruction) -> list[str]:
    """The words of COPY: what is copied, and last where to."""
    return list(here.words) if here.words is not None else here.body.split()


def quoted_words(here: Instruction) -> list[str]:
    """The words of an instruction, where quotes and backslashes hold one together. They stay in it, for `expand` to take."""
    if re.search(r"[\"']", _PIECE.sub("", here.body)):
        raise here.problem("a quotation mark is opened and not closed.")
    return re.findall(rf"(?:{_PIECE.pattern}|[^\s\"'])+", here.body)


_PIECE = re.compile(r"""\\.|"(?:\\.|[^"\\])*"|'[^']*'""")


@dataclass(frozen=True)
class SecretMount:
    """A secret that one RUN sees, as a file (`target`) or as a variable (`env`). No layer and no history has it."""

    id: str
    target: str = ""
    env: str = ""
    required: bool = False
    mode: int = 0o400
    uid: int = 0
    gid: int = 0


def secret_mount(here: Instruction, value: str) -> SecretMount:
    """What RUN --mount=type=secret,… asks for. Raises DockerfileError for any other kind of mount."""
    options = dict(part.partition("=")[::2] for part in value.split(","))
    kind = options.pop("type", "bind")
    if kind != "secret":
        raise here.problem(f"--mount=type={kind} is not read here; only type=secret is.")
    known = ("id", "target", "dst", "destination", "env", "required", "mode", "uid", "gid")
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.6)
            raise here.problem(f"--mount: {name} is not read here.{f' Did you mean {near[0]}?' if near else ''}")
    target = options.get("target") or options.get("dst") or options.get("destination") or ""
    name = options.get("id") or target.rsplit("/", 1)[-1]
    if not re.fullmatch(r"[\w.-]{1,100}", name, re.ASCII):
        raise here.problem("--mount=type=secret needs the name of the secret: --mount=type=secret,id=index-password.")
    try:
        mode = int(options.get("mode", "400"), 8)
        uid, gid = int(options.get("uid", 0)), int(options.get("gid", 0))
    except ValueError:
        raise here.problem("--mount: mode is three octal digits such as 400, uid and gid are numbers.") from None
    if not target and not options.get("env"):
        target = f"/run/secrets/{name}"
    required = options.get("required", "false") in ("true", "1", "")
    return SecretMount(name, target, options.get("env", ""), required, mode & 0o777, uid, gid)


SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}


def healthcheck(here: Instruction) -> dict[str, object]:
    """HEALTHCHECK as it stands in an image's config: times in nanoseconds. Raises DockerfileError."""
    kind, _, command = here.body.partition(" ")
    if kind.upper() == "NONE":
        return {"Test": ["NONE"]}
    command = command.strip()
    if kind.upper() != "CMD" or not command:
        raise here.problem(f"found {here.body[:60]!r} behind HEALTHCHECK; {EXPECTED['HEALTHCHECK']}.")
    words = _json_list(Instruction("CMD", here.line, command))
    found: dict[str, object] = {"Test": ["CMD", *words] if words else ["CMD-SHELL", command]}
    for name, value in here.flags:
        if name == "retries":
            if not value.isdecimal():
                raise here.problem(f"--retries={value}: expected a number.")
            found["Retries"] = int(value)
            continue
        parts = re.findall(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)", value)
        if not parts or "".join(map("".join, parts)) != value:
            raise here.problem(f"--{name}={value}: expected a time with its unit, such as 30s or 1m30s.")
        key = {"interval": "Interval", "timeout": "Timeout", "start-period": "StartPeriod"}[name]
        found[key] = round(sum(float(number) * SECONDS[unit] for number, unit in parts) * 1e9)
    return found


# ---- instructions to stages -------------------------------------------------------------------------------------------


def _stages(
    instructions: list[Instruction], problems: list[str], warnings: list[str]
) -> tuple[tuple[Instruction, ...], tuple[Stage, ...]]:
    arguments: list[Instruction] = []
    stages: list[tuple[Instruction, list[Instruction]]] = []
    for one in instructions:
        if one.keyword == "FROM":
            stages.append((one, []))
        elif stages:
            stages[-1][1].append(one)
        elif one.keyword == "ARG":
            arguments.append(one)
        else:
            problems.append(
                f"line {one.line}: {one.keyword} stands before the first FROM; only ARG can. Begin with FROM."
            )
    if not stages and not problems:
        problems.append("line 1: there is no FROM. A Dockerfile begins with one, such as FROM python:3-slim.")
    found: list[Stage] = []
    for index, (base, body) in enumerate(stages):
        words = base.body.split()
        name = words[2].lower() if len(words) == 3 else ""
        if name and any(stage.name == name for stage in found):
            problems.append(f"line {base.line}: there is already a stage called {name}.")
        for keyword in ("CMD", "ENTRYPOINT", "HEALTHCHECK"):
            for one in [one for one in body if one.keyword == keyword][:-1]:
                warnings.append(f"line {one.line}: there is a later {keyword}, and only the last one counts.")
        found.append(Stage(index, name, base, tuple(body)))
    return tuple(arguments), tuple(found)


# ---- variables --------------------------------------------------------------------------------------------------------

_NAMED = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(\}|:?[-+]))", re.ASCII)
NESTED = 10


def expand(here: Instruction, text: str, variables: Mapping[str, str]) -> str:
    """A word with its variables filled in and its quotes taken away: $A, ${A}, ${A:-word}, ${A:+word}, also without the colon.

    What is not set is empty. Raises DockerfileError for any other form.
    """
    out, at, quote = [], 0, ""
    while at < len(text):
        char = text[at]
        if quote == "'":
            quote = "" if char == "'" else quote
            out.append("" if char == "'" else char)
        elif char == "\\":
            following = text[at + 1 : at + 2]
            # Between double quotes a backslash is one, except in front of what has a meaning there.
            keep = "\\" if quote and following not in ('"', "$", "\\") else ""
            out.append(keep + (following or "\\"))
            at += 1
        elif char == quote:
            quote = ""
        elif char in "\"'" and not quote:
            quote = char
        elif char == "$":
            value, at = _variable(here, text, at, variables)
            out.append(value)
        else:
            out.append(char)
        at += 1
    return "".join(out)


def _variable(here: Instruction, text: str, at: int, variables: Mapping[str, str]) -> tuple[str, int]:
    """What stands for the variable whose $ is at `at`, and where its last character is."""
    match = _NAMED.match(text, at)
    if not match:
        if text.startswith("${", at):
            raise here.problem(
                f"{text[at : at + 40]!r} is not understood; $NAME, ${{NAME}}, ${{NAME:-word}} and ${{NAME:+word}} are."
            )
        return "$", at
    name, sign = match[1] or match[2], match[3] or "}"
    if sign == "}":
        return variables.get(name, ""), match.end() - 1
    depth, end = 1, match.end()
    while end < len(text) and depth:  # the word may have variables of its own
        depth += (text[end] == "{" and text[end - 1] == "$") - (text[end] == "}")
        end += 1
    if depth or text.count("${") > NESTED:
        raise here.problem(f"{text[at : at + 40]!r} has a bracket that is not closed, or far too many.")
    there = bool(variables.get(name)) if sign.startswith(":") else name in variables
    word = (
        expand(here, text[match.end() : end - 1], variables) if there == sign.endswith("+") else variables.get(name, "")
    )
    return ("" if sign.endswith("+") and not there else word), end - 1
