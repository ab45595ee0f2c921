"""Taking over what somebody handed in: a repository, or a whole forge, and nothing of it that could run or lead elsewhere.

    >>> taken = take_repository("/tmp/submission/marts", "/tmp/grading/marts.git")  # doctest: +SKIP
    >>> taken.remarks                                                               # doctest: +SKIP
    ['refs/heads/../x is no name for a reference: left out']
    >>> forge, remarks = take_forge("/tmp/submission/forge", "/tmp/grading/forge")  # doctest: +SKIP

git is never started in the folder that was handed in, so its config, hooks, attributes, alternates and links mean nothing. We
read three kinds of things from it ourselves, as bytes of ordinary files: objects, whose content has to fit their names (git
checks them again, in a repository of ours); references, whose names have to be in order; and the forge's JSON, which has to
have the right shape and to agree with the commits. Everything else stays where it is.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import stat
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opslab import plain
from opslab.worlds.forge import receive, schema, state
from opslab.worlds.forge.diff import EMPTY_TREE
from opslab.worlds.forge.forge import NOTE, Forge
from opslab.worlds.forge.git import Git, GitError
from opslab.worlds.forge.repository import make, settle
from opslab.worlds.forge.state import ForgeError

BYTES, FILES, REFS = 1_000_000_000, 200_000, 5_000
OBJECT_BYTES = 200_000_000
JSON_BYTES, RECORDS, REPOSITORIES = 5_000_000, 2_000, 20
SECONDS = 120

REF = re.compile(r"refs/(?:heads|tags|remotes|merge-requests)(?:/(?![.-])[^\x00-\x20\x7f~^:?*\[\\/]{1,200})+")


@dataclass
class Taken:
    """A repository that was taken over. head: what HEAD names, a branch ("refs/heads/main") or a commit. remarks: what was
    left out, and why."""

    folder: Path
    head: str = ""
    refs: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def take_repository(source: str | Path, target: str | Path, default_branch: str = "main") -> Taken:
    """Make a bare repository at `target` with the objects and references of the one at `source` (bare, or a clone).

    Raises ForgeError where there is no repository, or one that is too large or broken.
    """
    source, taken = _git_folder(Path(source)), Taken(Path(target))
    if taken.folder.exists():
        raise ForgeError(f"{taken.folder} is there already.")
    make(taken.folder, default_branch)
    settle(taken.folder)
    try:
        _objects(source / "objects", taken)
        _references(source, taken)
    except BaseException:
        shutil.rmtree(taken.folder, ignore_errors=True)
        raise
    return taken


def _git_folder(folder: Path) -> Path:
    for place in (folder / ".git", folder):
        if _is_folder(place / "objects") and _is_folder(place) and _is_folder(folder):
            return place
    raise ForgeError(f"{folder.name} is no git repository, or its data are somewhere else.")


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def _files(folder: Path, depth: int) -> Iterator[tuple[str, Path]]:
    """(path inside, path) of the ordinary files in a folder. No link is followed."""
    count = 0
    for here, folders, names in os.walk(folder):
        inside = Path(here).relative_to(folder)
        if len(inside.parts) >= depth:
            folders.clear()
        for name in names:
            count += 1
            if count > FILES:
                raise ForgeError(f"There are more than {FILES:,} files in {folder.name}.")
            yield (inside / name).as_posix(), Path(here, name)


def read(path: Path, limit: int) -> bytes | None:
    """The bytes of an ordinary file of at most `limit` bytes; None for anything else (links, pipes, devices, too large)."""
    try:
        return plain.read_file(path, limit)
    except OSError:
        return None


# ---- objects ---------------------------------------------------------------------------------------------------------


def _objects(source: Path, taken: Taken) -> None:
    left = BYTES
    packs = []
    for name, path in _files(source, 1):
        loose = re.fullmatch(r"([0-9a-f]{2})/([0-9a-f]{38})", name)
        pack = re.fullmatch(r"pack/(pack-[0-9a-f]{40}\.pack)", name)
        if name == "info/alternates":
            taken.remarks.append("objects that lie in another repository (alternates) are left out")
        if not (loose or pack):
            continue
        data = read(path, left)
        if data is None:
            taken.remarks.append(f"objects/{name} is no ordinary file, or too large: left out")
            continue
        left -= len(data)
        if loose and not _is_object(data, loose[1] + loose[2]):
            taken.remarks.append(f"objects/{name} is damaged, or is not what its name says: left out")
            continue
        place = taken.folder / "objects" / name
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(data)
        if pack:
            packs.append(place)
    git = Git(taken.folder)
    for pack in packs:
        try:
            env = {"GIT_ALLOC_LIMIT": str(OBJECT_BYTES)}
            git.run("index-pack", "--fsck-objects", str(pack), env=env, seconds=SECONDS)
        except GitError as error:
            pack.unlink()
            taken.remarks.append(f"objects/pack/{pack.name} is damaged: left out ({error.said.strip()[:200]})")


def _is_object(data: bytes, name: str) -> bool:
    """Whether the compressed content of a loose object has this name, of sane size. It is read piece by piece."""
    reader, digest, size = zlib.decompressobj(), hashlib.sha1(), 0
    try:
        while data and not reader.eof:
            piece = reader.decompress(data, 1 << 20)
            data = reader.unconsumed_tail
            digest.update(piece)
            size += len(piece)
            if size > OBJECT_BYTES:
                return False
    except zlib.error:
        return False
    return reader.eof and digest.hexdigest() == name


# ---- references ------------------------------------------------------------------------------------------------------


def _references(source: Path, taken: Taken) -> None:
    found: dict[str, str] = {}
    for line in (read(source / "packed-refs", JSON_BYTES) or b"").decode("utf-8", "replace").splitlines():
        sha, _, ref = line.partition(" ")
        if re.fullmatch(r"[0-9a-f]{40}", sha):
            found[ref] = sha
    if _is_folder(source / "refs"):
        for name, path in _files(source / "refs", 12):
            content = (read(path, 500) or b"").decode("utf-8", "replace").strip()
            if re.fullmatch(r"[0-9a-f]{40}", content):
                found[f"refs/{name}"] = content
    if len(found) > REFS:
        raise ForgeError(f"There are {len(found):,} references; {REFS:,} is the most.")
    git = Git(taken.folder)
    for ref, sha in sorted(found.items()):
        shown = receive.clean(ref.encode("utf-8", "replace").decode())[:100]
        if not REF.fullmatch(ref) or ".." in ref or "@{" in ref or ref.endswith((".", ".lock")) or ".lock/" in ref:
            if ref != "refs/stash":
                taken.remarks.append(f"{shown} is no name for a reference: left out")
            continue
        try:
            git.run("update-ref", ref, sha)
        except (GitError, ValueError):
            taken.remarks.append(f"{shown} points to nothing that is there: left out")
            continue
        taken.refs[ref] = sha
    _complete(git, taken)
    head = (read(source / "HEAD", 500) or b"").decode("utf-8", "replace").strip()
    named = head.removeprefix("ref: ")
    if named in taken.refs or (named.startswith("refs/heads/") and REF.fullmatch(named) and ".." not in named):
        taken.head = named
        (taken.folder / "HEAD").write_text(f"ref: {named}\n")
    elif re.fullmatch(r"[0-9a-f]{40}", head) and git.resolve(head):
        taken.head = head


def _complete(git: Git, taken: Taken) -> None:
    """Leave out the references from which something cannot be reached, or is malformed."""

    def whole(ref: str) -> bool:
        try:
            git.run("rev-list", "--objects", "--quiet", ref, "--", seconds=SECONDS)
        except GitError:
            return False
        return True

    with contextlib.suppress(GitError):
        git.run("fsck", "--full", "--no-dangling", "--no-reflogs", seconds=SECONDS)
        return
    for ref in list(taken.refs):
        if not whole(ref):
            git.run("update-ref", "-d", ref)
            del taken.refs[ref]
            taken.remarks.append(f"{ref} is incomplete: commits or files that belong to it are missing")


# ---- a whole forge ---------------------------------------------------------------------------------------------------


def take_forge(source: str | Path, target: str | Path, only: Sequence[str] = ()) -> tuple[Forge, list[str]]:
    """Make a forge at `target` with the repositories, merge requests and pipelines of the one at `source`: (forge, remarks).

    only: names of repositories; the others are left there.

    Raises ForgeError where there is no forge. What was waiting for reviewers and pipelines there, is waiting here.
    """
    source, target = Path(source), Path(target)
    settings = _json(source / NOTE, schema.FORGE)
    if not isinstance(settings, dict):
        raise ForgeError(f"{source.name} is no forge: {settings}.")
    settings["users"].setdefault(settings["default_user"], {"name": "You at Targ", "email": "you@targ.example"})
    target.mkdir(parents=True)
    state.write_json(target / NOTE, settings)
    forge, remarks = Forge(target), []
    places = [Path(path) for name, path in _notes(source)]
    for note in places[:REPOSITORIES]:
        folder = note.parents[1]
        path = folder.relative_to(source).as_posix().removesuffix(".git")
        if only and path not in only:
            continue
        project = _json(note, schema.PROJECT)
        if not isinstance(project, dict) or project["path"] != path:
            remarks.append(
                f"{path}: its project.json is damaged ({project if isinstance(project, str) else 'its path'})"
            )
            continue
        try:
            taken = take_repository(folder, forge.folder / f"{path}.git", project["default_branch"])
        except ForgeError as error:
            remarks.append(f"{path}: {error}")
            continue
        remarks += [f"{path}: {remark}" for remark in taken.remarks]
        state.write_json(taken.folder / "forge" / "project.json", project)
        remarks += [f"{path}: {remark}" for remark in _state(folder / "forge", taken.folder, settings)]
    return forge, remarks


def _notes(source: Path) -> Iterator[tuple[str, Path]]:
    """The project.json of each repository: group/name.git, or one group deeper."""

    def walk(folder: Path, depth: int) -> Iterator[Path]:
        for entry in sorted(folder.iterdir()):
            if not _is_folder(entry) or not schema.NAME.fullmatch(entry.name):
                continue
            if entry.name.endswith(".git"):
                yield entry / "forge" / "project.json"
            elif depth:
                yield from walk(entry, depth - 1)

    for path in walk(source, 3):
        if _is_folder(path.parent):
            yield path.parent.parent.name, path


def _json(path: Path, shape: Any) -> Any:
    """The content of a JSON file of somebody else's, in this shape; or, as text, why there is none."""
    data = read(path, JSON_BYTES)
    if data is None:
        return f"there is no {path.name} that can be read"
    try:
        return schema.shaped(json.loads(data), shape)
    except (ValueError, RecursionError) as error:
        return f"{path.name}: {error}"


def _state(source: Path, folder: Path, settings: dict[str, Any]) -> Iterator[str]:
    """Take over merge requests, pipelines and their logs; gives a remark for each thing that is wrong with them."""
    store, git = state.Store(folder), Git(folder)
    for number, path in _numbered(source / "merge_requests"):
        record = _json(path, schema.RECORD)
        if isinstance(record, str) or record["number"] != number:
            yield f"merge request !{number} is damaged and left out ({record if isinstance(record, str) else 'its number'})"
            continue
        yield from _agrees(record, git, settings)
        state.write_json(store.folder / "merge_requests" / path.name, record | {"merging": None})
    for number, path in _numbered(source / "pipelines"):
        record = _json(path, schema.PIPELINE)
        if isinstance(record, str) or record["id"] != number:
            yield f"pipeline {number} is damaged and left out ({record if isinstance(record, str) else 'its number'})"
            continue
        for job in record["jobs"]:
            job["artifacts"] = []  # they are files of any kind: a check that wants one makes it anew
            if job["log"] and (log := read(source / "pipelines" / job["log"], JSON_BYTES)) is not None:
                place = store.folder / "pipelines" / job["log"]
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(receive.clean(log.decode("utf-8", "replace")), encoding="utf-8")
        state.write_json(store.folder / "pipelines" / path.name, record)
    if _is_folder(source / "events") and any(
        re.fullmatch(r"\d+\.json", one.name) for one in (source / "events").iterdir()
    ):
        with store.locked():
            for record in store.records():
                if record["state"] == state.OPENED:
                    store.emit("merge_request", number=record["number"], action="update", by=record["author"])


def _numbered(folder: Path) -> list[tuple[int, Path]]:
    if not _is_folder(folder.parent) or not _is_folder(folder):
        return []
    found = [
        (match, entry) for entry in folder.iterdir() if (match := re.fullmatch(r"([1-9]\d{0,8})\.json", entry.name))
    ]
    return sorted((int(match[1]), entry) for match, entry in found)[:RECORDS]


def _agrees(record: dict[str, Any], git: Git, settings: dict[str, Any]) -> Iterator[str]:
    """Hold a merge request against the commits, and take out of it what is not so."""
    name, users = f"merge request !{record['number']}", settings["users"]
    record["discussion"] = [item | {"id": place} for place, item in enumerate(record["discussion"], 1)]
    valid = [one for one in record["approvals"] if one["by"] in users and one["by"] != record["author"]]
    if len(valid) < len(record["approvals"]):
        yield f"{name} has approvals of its author or of nobody: left out"
        record["approvals"] = valid
    if record["author"] not in users:
        yield f"{name} has an author whom the forge does not know"
        record["author"] = settings["default_user"]
    merged = record["merged"]
    if record["state"] == state.MERGED or merged:
        target = git.resolve(f"refs/heads/{record['target']}")
        there = merged and all(git.resolve(merged[key]) for key in ("sha", "before", "head"))
        if not (target and there and git.is_ancestor(merged["sha"], target)):
            yield f"{name} says that it is merged, but {record['target']} does not have its commit"
            record["state"], record["merged"] = state.CLOSED, None
        elif merged["base"] != EMPTY_TREE and not git.resolve(merged["base"]):
            record["merged"]["base"] = git.merge_base(merged["before"], merged["head"]) or EMPTY_TREE
    if not git.resolve(record["head"]):
        yield f"{name} has a commit that is not there"
        head = git.resolve(f"refs/heads/{record['source']}") or git.resolve(f"refs/heads/{record['target']}")
        if head is None:
            record["state"] = state.CLOSED
        record["head"] = head or record["head"]
