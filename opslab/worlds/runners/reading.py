"""Reads manifests that anybody may have written: YAML with several documents, JSON, TOML.

>>> [document["kind"] for document in documents("kind: Service\\n---\\nkind: Pod\\n", "two.yaml")]
['Service', 'Pod']
>>> documents("kind: [Pod", "broken.yaml")
Traceback (most recent call last):
...
opslab.worlds.runners.reading.Unreadable: broken.yaml, line 1: this is no YAML: expected ',' or ']', but got '<stream end>'
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from typing import Any

import yaml

BYTES = 200_000
NODES = 50_000
"""Values in a document, each counted wherever an alias repeats it: so a small file cannot become a huge one."""


class Unreadable(Exception):
    """A manifest that cannot be read. Says which line, and why."""


class Reference:
    """GitLab's `!reference [job, key]`: the value stands elsewhere in the file."""

    def __init__(self, path: list[Any]) -> None:
        self.path = path


class Loader(yaml.SafeLoader):
    """YAML as Kubernetes and GitLab read it: version 1.1, in which `yes` and `on` are true, with aliases and merge keys.

    Not yaml.CSafeLoader: a file of brackets, one inside the other, ends that with the whole process.
    """


Loader.add_constructor("!reference", lambda loader, node: Reference(loader.construct_sequence(node)))


def documents(text: str, name: str) -> list[Any]:
    """The documents of a file of YAML or JSON, without empty ones. name: of the file, for messages. Raises Unreadable."""
    _check_size(text, name)
    try:
        if name.endswith(".json"):
            return [json.loads(text)]
        return [document for document in _load(text, name) if document is not None]
    except json.JSONDecodeError as error:
        raise Unreadable(f"{name}, line {error.lineno}: this is no JSON: {error.msg}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        why = getattr(error, "problem", None) or "it holds characters that YAML does not allow"
        raise Unreadable(f"{name}, line {mark.line + 1 if mark else 1}: this is no YAML: {why}") from None
    except RecursionError:
        raise Unreadable(f"{name}: its parts lie inside each other, too deep to be a manifest") from None
    except (ValueError, TypeError) as error:  # a date that is none, a list as a key
        raise Unreadable(f"{name}: a value in it cannot be read: {error}") from None


def _load(text: str, name: str) -> Iterator[Any]:
    loader = Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            if _size(node, {}) > NODES:
                raise Unreadable(
                    f"{name}: with its aliases it has more than {NODES:,} values, which is too much for a manifest"
                )
            yield loader.construct_document(node)
    finally:
        loader.dispose()


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node has, with everything that aliases repeat. One that contains itself is beyond all limits."""
    if id(node) in known:
        return known[id(node)]
    known[id(node)] = NODES + 1  # counts if we come by again, before the end
    size = 1
    if isinstance(node, yaml.SequenceNode):
        size += sum(_size(inner, known) for inner in node.value)
    elif isinstance(node, yaml.MappingNode):
        size += sum(_size(key, known) + _size(value, known) for key, value in node.value)
    known[id(node)] = size
    return size


def settings(text: str, name: str) -> dict[str, Any]:
    """A file of TOML. Raises Unreadable."""
    _check_size(text, name)
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{name}: this is no TOML: {error}") from None


def _check_size(text: str, name: str) -> None:
    if len(text) > BYTES:
        raise Unreadable(f"{name} has more than {BYTES:,} characters, which is too much for a manifest")


# What others wrote can be of any type anywhere. These give what is looked for, or something empty.


def table(value: object) -> dict[Any, Any]:
    """The value, if it is a table."""
    return value if isinstance(value, dict) else {}


def entries(value: object) -> list[Any]:
    """The value, if it is a list."""
    return value if isinstance(value, list) else []


def tables(value: object) -> list[tuple[int, dict[Any, Any]]]:
    """The tables in a list, each with its position."""
    return [(number, one) for number, one in enumerate(entries(value)) if isinstance(one, dict)]


def text(value: object) -> str:
    """The value, if it is text."""
    return value if isinstance(value, str) else ""


def words(*values: object) -> str:
    """Some texts and lists of texts as one line."""
    return " ".join(text(one) for value in values for one in (value if isinstance(value, list) else [value]))
