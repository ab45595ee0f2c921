"""Who is who in an image: USER and --chown name users and groups of its /etc/passwd and /etc/group, or numbers.

>>> find(store, image.layers, tree, "app", None)                                        # doctest: +SKIP
Account(uid=1000, gid=1000, home='/home/app')
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from opslab.worlds.images.dockerfile import DockerfileError, Instruction
from opslab.worlds.images.layers import Tree
from opslab.worlds.images.store import Layer, Store

LARGEST = 65535
"""The highest id that an image may use: as many are there (see `rootfs`)."""


@dataclass(frozen=True)
class Account:
    """A user with group and home."""

    uid: int
    gid: int
    home: str


def find(store: Store, layers: Sequence[Layer], tree: Tree, text: str, here: Instruction | None) -> Account:
    """The user that USER means: name or number, and perhaps :group. Raises DockerfileError where the image has none."""
    name, _, group = (text or "0").partition(":")
    users = _table(store, layers, tree, "etc/passwd")
    known = next((row for row in users if len(row) >= 6 and name in (row[0], row[2])), None)
    if name.isdecimal():
        uid = int(name)
        gid = int(known[3]) if known and known[3].isdecimal() else 0
    elif known and known[2].isdecimal() and known[3].isdecimal():
        uid, gid = int(known[2]), int(known[3])
    else:
        raise _unknown("user", name, [row[0] for row in users], here)
    if group:
        gid = _group(store, layers, tree, group, here)
    if uid > LARGEST or gid > LARGEST:
        raise _problem(f"{text}: ids go up to {LARGEST} here.", here)
    return Account(uid, gid, (known[5] if known else "") or "/")


def owner(store: Store, layers: Sequence[Layer], tree: Tree, text: str, here: Instruction) -> tuple[int, int]:
    """The ids that --chown means. Without a group it is the one with the number of the user, as in Docker."""
    name, _, group = text.partition(":")
    uid = find(store, layers, tree, name, here).uid
    gid = _group(store, layers, tree, group, here) if group else uid
    return uid, gid


def _group(store: Store, layers: Sequence[Layer], tree: Tree, name: str, here: Instruction | None) -> int:
    if name.isdecimal():
        return int(name)
    groups = _table(store, layers, tree, "etc/group")
    for row in groups:
        if row[0] == name and len(row) >= 3 and row[2].isdecimal():
            return int(row[2])
    raise _unknown("group", name, [row[0] for row in groups], here)


def _table(store: Store, layers: Sequence[Layer], tree: Tree, path: str) -> list[list[str]]:
    node = tree.get(path)
    if node is None or node.kind != "file":
        return []
    text = store.content(layers, node).decode("utf-8", "replace")
    return [line.split(":") for line in text.splitlines() if line]


def _unknown(kind: str, name: str, known: list[str], here: Instruction | None) -> DockerfileError:
    there = f"There are {', '.join(known[:8])}" if known else f"There are no {kind}s in it, only numbers can be used"
    make = f" RUN {kind}add {name} makes it, in a line before this one." if known else ""
    return _problem(f"the image has no {kind} {name[:40]}. {there}.{make}", here)


def _problem(text: str, here: Instruction | None) -> DockerfileError:
    return here.problem(text) if here else DockerfileError([text])
