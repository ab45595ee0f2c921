"""What the forge's JSON files look like, for reading those that somebody else has written.

    >>> shaped({"name": "Ana", "email": "ana@targ.example", "admin": True}, USER)
    {'name': 'Ana', 'email': 'ana@targ.example'}
    >>> shaped({"name": "Ana"}, USER)
    Traceback (most recent call last):
    ...
    ValueError: email is missing

A shape is a type, a list of a shape, a dictionary of shapes, `Maybe`, `Text`, `Map` or a regular expression. What is not in
the shape is left out; what does not fit is a ValueError that says where.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

LIST_LIMIT = 5000


@dataclass(frozen=True)
class Maybe:
    """None, or missing, or a shape."""

    shape: Any
    otherwise: Any = None


@dataclass(frozen=True)
class Text:
    """Text of at most so many characters."""

    limit: int = 64 * 1024


@dataclass(frozen=True)
class Map:
    """A dictionary with any keys of a shape, and values of another."""

    key: Any
    value: Any


def shaped(value: Any, shape: Any, where: str = "") -> Any:
    """The value, with what belongs into the shape and nothing else. Raises ValueError."""

    def wrong(expected: str) -> ValueError:
        return ValueError(f"{where or 'it'} has to be {expected}, not {str(value)[:40]!r}")

    if isinstance(shape, Maybe):
        return shape.otherwise if value is None else shaped(value, shape.shape, where)
    if isinstance(shape, Text):
        if not isinstance(value, str) or len(value) > shape.limit:
            raise wrong(f"text of at most {shape.limit} characters")
        return value
    if isinstance(shape, re.Pattern):
        if not isinstance(value, str) or not shape.fullmatch(value):
            raise wrong(f"of the form {shape.pattern}")
        return value
    if isinstance(shape, list):
        if not isinstance(value, list) or len(value) > LIST_LIMIT:
            raise wrong("a list")
        return [shaped(one, shape[0], f"{where}[{number}]") for number, one in enumerate(value)]
    if isinstance(shape, Map):
        if not isinstance(value, dict) or len(value) > LIST_LIMIT:
            raise wrong("a table")
        return {shaped(key, shape.key, where): shaped(one, shape.value, f"{where}.{key}") for key, one in value.items()}
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            raise wrong("a table")
        found = {}
        for key, inner in shape.items():
            if key not in value and not isinstance(inner, Maybe):
                raise ValueError(f"{where}{'.' if where else ''}{key} is missing")
            found[key] = shaped(value.get(key), inner, f"{where}{'.' if where else ''}{key}")
        return found
    if type(value) is not shape:  # True is an int, too, but not a number of anything
        raise wrong({int: "a number", bool: "true or false", float: "a number"}.get(shape, shape.__name__))
    return value


NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
SHA = re.compile(r"[0-9a-f]{40}")
BRANCH = re.compile(r"[^\x00-\x20\x7f~^:?*\[\\-][^\x00-\x20\x7f~^:?*\[\\]{0,250}")
TIME = re.compile(r"[0-9T:.Z+-]{10,40}")
LINE, WORD = Text(1000), re.compile(r"[\w. -]{1,64}")

USER = {"name": Text(200), "email": Text(200)}
FORGE = {
    "version": int,
    "url": Text(200),
    "default_user": NAME,
    "users": Map(NAME, USER),
    "groups": Map(NAME, [NAME]),
    "bots": Maybe([NAME], []),
}

RULE_MODULE = re.compile(r"opslab\.scenarios(\.\w+)+")
"""What a project may name: modules that are imported for their rules. Its state lies in a learner's folder."""

PROJECT = {
    "path": re.compile(r"[a-z0-9][a-z0-9_./-]{0,200}"),
    "default_branch": BRANCH,
    "protected": [Text(250)],
    "merge_method": WORD,
    "approvals_required": int,
    "code_owner_approval": bool,
    "pipeline_must_succeed": bool,
    "threads_must_be_resolved": bool,
    "reviewers": Map(NAME, [WORD]),
    "rule_modules": [RULE_MODULE],
}

SAID = {"by": NAME, "at": TIME, "text": Text()}
SEAL = {"by": NAME, "at": TIME}
ITEM = {
    "id": int,
    "kind": re.compile("comment|thread|event"),
    **SAID,
    "path": Maybe(Text(4096)),
    "line": Maybe(int),
    "rule": Maybe(Text(5000)),
    "replies": Maybe([SAID], []),
    "resolved": Maybe(SEAL),
    "accepted": Maybe(bool, False),
    "reactions": Maybe(Map(Text(8), [NAME]), {}),
}
MERGED = {"by": NAME, "at": TIME, "method": WORD, "sha": SHA, "before": SHA, "base": SHA, "head": SHA}
RECORD = {
    "number": int,
    "title": Text(255),
    "description": Text(),
    "author": NAME,
    "source": BRANCH,
    "target": BRANCH,
    "head": SHA,
    "state": re.compile("opened|merged|closed"),
    "draft": bool,
    "created": TIME,
    "updated": TIME,
    "labels": [LINE],
    "squash": bool,
    "remove_source_branch": bool,
    "auto_merge": bool,
    "versions": [{"head": SHA, "at": TIME}],
    "discussion": [ITEM],
    "approvals": [{"by": NAME, "at": TIME, "head": SHA}],
    "statuses": [
        {
            "name": LINE,
            "state": WORD,
            "description": Text(),
            "by": NAME,
            "at": TIME,
            "head": SHA,
            "pipeline": Maybe(int),
        }
    ],
    "merged": Maybe(MERGED),
    "reverts": Maybe(int),
}
JOB = {
    "name": LINE,
    "stage": LINE,
    "state": WORD,
    "when": WORD,
    "allow_failure": bool,
    "image": LINE,
    "seconds": Maybe(float),
    "code": Maybe(int),
    "log": Maybe(re.compile(r"\d+/\d+\.log")),
    "artifacts": Maybe([Text(4096)], []),
}
PIPELINE = {
    "id": int,
    "state": WORD,
    "source": WORD,
    "branch": BRANCH,
    "sha": SHA,
    "merge_request": Maybe(int),
    "target": Maybe(BRANCH),
    "by": NAME,
    "created": TIME,
    "variables": Map(re.compile(r"[A-Za-z_]\w{0,200}"), Text()),
    "errors": [LINE],
    "jobs": [JOB],
}
