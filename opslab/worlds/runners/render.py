"""Writes documents as YAML the way people do: with anchors and merge keys of their own, blocks of script, `yes` for true, comments.

>>> print(dump([{"kind": "Pod", "spec": {"hostPID": YES}}]), end="")
kind: Pod
spec:
  hostPID: yes
>>> base = Anchored("base", {"tty": True})
>>> print(dump([{"a": base, "b": {MERGE: base, "stdin": True}}]), end="")
a: &base
  tty: true
b:
  <<: *base
  stdin: true
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml


class Anchored(dict):
    """A table with a name, to which it is referred wherever it stands again."""

    def __init__(self, anchor: str, content: dict[str, Any]) -> None:
        super().__init__(content)
        self.anchor = anchor


class Block(str):
    """Text of several lines, as it is: after a |."""


class Plain(str):
    """A word without quotes, of the type that YAML takes it for: true, or a merge."""

    tag: str


class Yes(Plain):
    """yes, which is true."""

    tag = "tag:yaml.org,2002:bool"


class Merge(Plain):
    """<<, the key that merges a table."""

    tag = "tag:yaml.org,2002:merge"


YES, MERGE = Yes("yes"), Merge("<<")


class Reference(list):
    """GitLab's !reference [job, key]."""


class _Dumper(yaml.SafeDumper):
    """Names anchors as they are called, and repeats what has none."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.names: dict[int, str] = {}

    def ignore_aliases(self, data: Any) -> bool:
        return not isinstance(data, Anchored)

    def generate_anchor(self, node: yaml.Node) -> str:
        return self.names[id(node)]

    def anchored(self, data: Anchored) -> yaml.Node:
        node = self.represent_dict(data)
        self.names[id(node)] = data.anchor
        return node


_Dumper.add_representer(Anchored, _Dumper.anchored)
_Dumper.add_representer(Block, lambda dumper, data: dumper.represent_scalar("tag:yaml.org,2002:str", data, style="|"))
_Dumper.add_multi_representer(Plain, lambda dumper, data: dumper.represent_scalar(data.tag, str(data)))
_Dumper.add_representer(Reference, lambda dumper, data: dumper.represent_sequence("!reference", data, flow_style=True))


def dump(documents: Iterable[Any], flow: bool = False) -> str:
    """The documents as one file. flow: short tables and lists stand in one line, {like: this}."""
    style = None if flow else False
    texts = [
        yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=110, default_flow_style=style)
        for document in documents
    ]
    return "---\n".join(texts)


def comment(text: str, marker: str, note: str, behind: bool = False) -> str:
    """The text with a comment above the first line that has the marker in it, or behind that line.

    Raises ValueError where no line has it.
    """
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if marker in line:
            indent = " " * (len(line) - len(line.lstrip(" ")))
            lines[number : number + 1] = [f"{line}  # {note}"] if behind else [f"{indent}# {note}", line]
            return "\n".join(lines) + "\n"
    raise ValueError(f"there is no line with {marker!r} in it")
