"""The files of an image as files on the disk, and commands that see them as their whole world.

    >>> with Rootfs(store, image.layers) as files:                                          # doctest: +SKIP
    ...     files.snapshot()
    ...     files.run(["sh", "-c", "echo hello > /greeting; id -u"]).out
    ...     files.changes().items
    '0\\n'
    [Item(path='greeting', kind='file', …)]

Unpacked layers are kept in the cache; a checkout lies over them, or is a copy where the kernel allows no overlays. Inside, there are as many users as an
image names, with real owners: `USER app` cannot write what belongs to root, and `chown` works. Ordinary users of this machine
need the package uidmap for that (newuidmap and a line in /etc/subuid). Where it is missing there is one user only: commands run,
but chown fails, and everything can be written by everybody. `many` tells.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self

from opslab import jail
from opslab.worlds.images.layers import EPOCH, Item, Node, Tree, printable
from opslab.worlds.images.store import Layer, Store, chain_id

WORKER = Path(__file__).with_name("worker.py")
IDS = 65535
HIGH = 1_000_000_000
"""Where the users of images begin on this machine, where root builds: numbers that no account has (https://systemd.io/UIDS-GIDS)."""

KEPT = 4
"""Unpacked trees that stay in the cache. The least recently used goes first."""

ARCHIVES = 400 * 1024**2
"""Bytes of layers that stay in the cache without compression. They can be made again of the blobs."""

LIMITS = jail.Limits(seconds=120, cpu=120, output=4 * jail.MEGABYTE, file_size=512 * jail.MEGABYTE, open_files=1024)
DISK = 1024 * jail.MEGABYTE
FILES = 50_000
"""How much one command may add to the disk: bytes, and files."""

LOOK_SECONDS = 0.5
"""Between two looks at each file of a command, while the disk gets full."""

ANYWAY_SECONDS = 10
"""And while it does not."""

OVERLAY = True
"""Whether a checkout may lie over the files in the cache, instead of being a copy of them."""


class RootfsError(RuntimeError):
    """The files of an image cannot be used here. Says why, and what to do."""


@dataclass
class Changes:
    """What a command has changed: what a layer has to say of it. `remarks`: what no layer can say, or what is worth a look."""

    items: list[Item]
    remarks: list[str] = field(default_factory=list)


class Rootfs:
    """A checkout of an image's layers. Use it as a context manager: at its end the files are gone.

    keep: how many of the layers are unpacked into the cache, for the next checkout. Without it, as many as are there already,
        and all where none are.
    """

    def __init__(self, store: Store, layers: Sequence[Layer], keep: int | None = None) -> None:
        self.store, self.layers = store, list(layers)
        self.keep = keep
        self.trees, self.jobs = store.cache / "trees", store.cache / "jobs"

    def __enter__(self) -> Self:
        if not jail.bubblewrap():
            raise RootfsError(
                "commands of an image run on Linux with bubblewrap only. On Debian or Ubuntu: apt-get install bubblewrap uidmap."
            )
        for folder in (self.trees, self.jobs):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.ExitStack() as stack:
            self._worker = stack.enter_context(_Worker())
            self.many = self._worker.many
            self._namespaces: dict[tuple[int, int], int] = {}
            stack.callback(lambda: [os.close(descriptor) for descriptor in self._namespaces.values()])
            self._sweep()
            # Held to the end, because the files of this checkout may be those of a tree in the cache.
            stack.enter_context(_locked(self.trees / ".lock", fcntl.LOCK_SH))
            self._job = Path(tempfile.mkdtemp(dir=self.jobs))
            stack.callback(self._worker.ask, "remove", path=str(self._job))
            self.root = self._job / "root"
            kept = self._kept()
            source = self._pristine(self.layers[:kept])
            done = self._worker.ask("check_out", source=str(source), job=str(self._job), overlay=OVERLAY)
            self._written = self._job / ("upper" if done["overlay"] else "root")
            for layer in self.layers[kept:]:
                self._unpack(layer, self.root)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # ---- files

    def _tree(self, layers: Sequence[Layer]) -> Path:
        name = chain_id([layer.diff_id for layer in layers]).removeprefix("sha256:") or "empty"
        return self.trees / f"{name}{'' if self.many else '-one'}"

    def _kept(self) -> int:
        """How many of the layers are unpacked in the cache, or are to be."""
        if self.keep is not None:
            return self.keep
        known = range(len(self.layers), 0, -1)
        return next((number for number in known if self._tree(self.layers[:number]).exists()), len(self.layers))

    def _pristine(self, layers: Sequence[Layer]) -> Path:
        """The folder with the files of these layers as they were unpacked, in which nothing ever runs."""
        place = self._tree(layers)
        if not place.exists():
            known = next((n for n in range(len(layers), 0, -1) if self._tree(layers[:n]).exists()), 0)
            new = Path(tempfile.mkdtemp(dir=self.trees, prefix=".new-"))
            try:
                if known:
                    self._worker.ask("clone", source=str(self._tree(layers[:known])), target=str(new / "root"))
                else:
                    (new / "root").mkdir(mode=0o755)
                for layer in layers[known:]:
                    self._unpack(layer, new / "root")
                with contextlib.suppress(OSError):  # somebody else was quicker
                    (new / "root").rename(place)
            finally:
                self._worker.ask("remove", path=str(new))
        os.utime(place)
        return place

    def _unpack(self, layer: Layer, root: Path) -> None:
        listing, archive = self.store.listing_file(layer), self.store.layer_file(layer)
        self._worker.ask("unpack", layer=str(archive), listing=str(listing), root=str(root), mtime=EPOCH)

    def _sweep(self) -> None:
        """When nobody else works here: remove what a killed process has left, and trees that nobody has used for long."""
        with contextlib.suppress(BlockingIOError), _locked(self.trees / ".lock", fcntl.LOCK_EX | fcntl.LOCK_NB):
            trees = [path for path in self.trees.iterdir() if path.is_dir()]
            trees.sort(key=lambda path: path.stat().st_mtime, reverse=True)
            unfinished = [path for path in trees if path.name.startswith(".new-")]
            for path in [*self.jobs.iterdir(), *unfinished, *[path for path in trees if path not in unfinished][KEPT:]]:
                self._worker.ask("remove", path=str(path))
            room = ARCHIVES
            archives = self.store.cache.glob("layers/[!.]*")
            for path in sorted(archives, key=lambda path: path.stat().st_mtime, reverse=True):
                room -= path.stat().st_size
                if room < 0:
                    path.unlink()

    def apply(self, layer: Layer) -> None:
        """Put one more layer on top of the files."""
        self._unpack(layer, self.root)
        self.layers.append(layer)

    def snapshot(self) -> None:
        """Remember what the files look like now, for `changes`."""
        self._worker.ask("snapshot", root=str(self.root))

    @contextlib.contextmanager
    def changes(self, tree: Tree, user: tuple[int, int] = (0, 0)) -> Iterator[Changes]:
        """What is different since the snapshot, in items of which a layer can be written before the block ends.

        tree: the files as they were. user: who made the changes, for where there is one user only and no file tells.
        What was only touched is no change, because an image has no times.
        """
        data = self._job / "data"
        found = self._worker.ask("changes", root=str(self.root), data=str(data))
        with data.open("rb") as contents, contextlib.ExitStack() as stack:
            layers = {layer.digest: stack.enter_context(self.store.open_layer(layer)) for layer in self.layers}
            changes = Changes([])
            for one in found["items"]:
                before = tree.nodes.get(one["path"])
                if not self.many:
                    one["uid"], one["gid"] = (before.uid, before.gid) if before else user
                offset, size = one.pop("offset", 0), one.pop("size", 0)
                item = Item(**one, source=functools.partial(_part, contents, offset), size=size)
                if not _same(item, before, layers):
                    changes.items.append(item)
                    if item.kind == "file" and item.mode & 0o6000:
                        changes.remarks.append(
                            f"/{printable(item.path)} is setuid or setgid: it runs with its owner's rights"
                        )
            for path in found["gone"]:
                folder, _, name = path.rpartition("/")
                changes.items.append(Item(f"{folder}/.wh.{name}".lstrip("/"), "file"))
            for path in found["special"]:
                changes.remarks.append(
                    f"/{printable(path)} is a pipe, a socket or a device, and is left out of the image"
                )
            yield changes
        data.unlink()

    # ---- commands

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        user: tuple[int, int] = (0, 0),
        services: Mapping[int, str | Path] | None = None,
        binds: Mapping[str, str | Path] | None = None,
        secrets: Mapping[str, Secret] | None = None,
        stdin: str = "",
        limits: jail.Limits = LIMITS,
    ) -> jail.Done:
        """Run a command that sees these files as its whole world, and the named services as its whole network.

        env, cwd, user: as the command has them. services: as in `jail.prepare`. binds: where the command finds files and
        folders of this machine, which it can read. secrets: files that are there while it runs, and leave nothing behind.
        Raises RootfsError where it cannot be started, JailError as `jail.run`.
        """
        binds = dict(binds or {})
        try:
            for number, (target, secret) in enumerate((secrets or {}).items()):
                place = self._job / f"secret-{number}"
                place.write_bytes(secret.value)
                self._worker.ask("own", path=str(place), uid=secret.uid, gid=secret.gid, mode=secret.mode)
                binds[target] = place
            folders = ["dev", "proc", *(target for target, source in binds.items() if Path(source).is_dir())]
            files = [target for target, source in binds.items() if not Path(source).is_dir()]
            self._worker.ask("prepare", root=str(self.root), folders=folders, files=files)
            root = jail.Root(
                self.root,
                self._worker.pid,
                self._namespace(user),
                *user,
                switch=self.many,
                binds=tuple((str(Path(source).resolve()), target) for target, source in binds.items()),
            )
            return jail.run(
                argv,
                home=self._job,
                env=env,
                cwd=cwd,
                root=root,
                services=services,
                read_only=[source for source, _ in root.binds if not Path(source).is_relative_to(self._job)],
                stdin=stdin,
                limits=limits,
                stop=_Disk(self),
            )
        except jail.JailError as error:
            if "Can't chdir to" in str(error):
                raise RootfsError(f"there is no folder {cwd} in this image; WORKDIR {cwd} makes it") from None
            raise
        finally:
            for place in self._job.glob("secret-*"):
                place.unlink()
            self._worker.ask("tidy")

    def _namespace(self, user: tuple[int, int]) -> int:
        if user not in self._namespaces:
            self._namespaces[user] = self._worker.ask("namespace", uid=user[0], gid=user[1])["descriptor"]
        return self._namespaces[user]

    def usage(self) -> tuple[int, int]:
        """Bytes and files that this checkout takes on the disk."""
        found = self._worker.ask("usage", root=str(self._written))
        return found["bytes"], found["files"]


@dataclass(frozen=True)
class Secret:
    """What one command sees in a file, and who may read it."""

    value: bytes = field(repr=False)
    uid: int = 0
    gid: int = 0
    mode: int = 0o400


@contextlib.contextmanager
def _part(file: IO[bytes], offset: int) -> Iterator[IO[bytes]]:
    """A file that others read from, too, where one part of it begins."""
    file.seek(offset)
    yield file


def _same(item: Item, before: Node | None, layers: Mapping[str, IO[bytes]]) -> bool:
    """Whether a file is what it was in the image, as far as an image can tell."""
    if before is None or before.kind != item.kind:
        return False
    if item.kind == "link":
        return item.target == before.link and (item.uid, item.gid) == (before.uid, before.gid)
    if (item.mode, item.uid, item.gid) != (before.mode, before.uid, before.gid):
        return False
    if item.kind == "dir":
        return True
    if item.size != before.size or item.source is None:
        return False
    with item.source() as new, _part(layers[before.layer], before.offset) as old:
        pieces = [min(1024 * 1024, item.size - at) for at in range(0, item.size, 1024 * 1024)]
        return all(new.read(size) == old.read(size) for size in pieces)


class _Disk:
    """Says when a command has written too much. The file system's free space is asked first, because that costs nothing."""

    def __init__(self, files: Rootfs) -> None:
        self.files = files
        self.next, self.anyway = 0.0, time.monotonic() + ANYWAY_SECONDS
        self.free = self._free()
        self.bytes, self.count = files.usage()

    def _free(self) -> tuple[int, int]:
        status = os.statvfs(self.files.root)
        return status.f_bfree * status.f_frsize, status.f_ffree

    def __call__(self) -> str:
        if time.monotonic() < self.next:
            return ""
        now = self._free()
        self.free = max(self.free[0], now[0]), max(self.free[1], now[1])
        full = self.free[0] - now[0] >= DISK or self.free[1] - now[1] >= FILES
        if not full and time.monotonic() < self.anyway:
            return ""
        # It can have been somebody else who filled the disk, or who has made room for what this command writes.
        size, count = self.files.usage()
        self.next = time.monotonic() + LOOK_SECONDS
        self.anyway = time.monotonic() + ANYWAY_SECONDS
        if size - self.bytes > DISK:
            return f"its files grew by more than {DISK // jail.MEGABYTE:,} MB"
        return f"it made more than {FILES:,} files" if count - self.count > FILES else ""


# ---- the process with the many users ----------------------------------------------------------------------------------


class _Worker:
    """worker.py, running. `many`: whether it has all the users that an image can have, or only one."""

    def __enter__(self) -> Self:
        self.channel, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(WORKER), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={"PATH": os.defpath},
            )
        self.pid = self.process.pid
        if self.channel.recv(1) != b".":
            self.__exit__()
            raise RootfsError("no user namespace can be made here; “opslab doctor” tells more")
        self.many = _map_many(self.pid)
        if not self.many:
            _map_one(self.pid)
        self.channel.sendall(b"m" if self.many else b"o")
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()
        self.process.wait()

    def ask(self, what: str, **fields: Any) -> dict[str, Any]:
        """Have something done. Raises RootfsError with what the worker says."""
        self.channel.sendall(json.dumps({"do": what, **fields}).encode() + b"\n")
        answer, descriptors = b"", []
        while not answer.endswith(b"\n"):
            piece, new, _, _ = socket.recv_fds(self.channel, 1024 * 1024, 1)
            descriptors += new
            answer += piece
            if not piece:
                raise RootfsError("the process that keeps the files of images has ended; try again")
        found = json.loads(answer)
        if not found["ok"]:
            raise RootfsError(found["why"])
        return {**found, "descriptor": descriptors[0]} if descriptors else found


def _map_many(pid: int) -> bool:
    """Give a new user namespace its root, who is whoever runs this, and 65535 more users. False where that cannot be."""
    me = {"uid": os.getuid(), "gid": os.getgid()}
    try:
        for kind, own in me.items():
            start = _spare_ids(kind)
            if os.geteuid() == 0:
                Path(f"/proc/{pid}/{kind}_map").write_text(f"0 {own} 1\n1 {start} {IDS}\n")
            else:
                tool = shutil.which(f"new{kind}map")
                if start is None or tool is None:
                    return False
                numbers = [str(pid), "0", str(own), "1", "1", str(start), str(IDS)]
                subprocess.run([tool, *numbers], check=True, capture_output=True)
        return True
    except (OSError, subprocess.SubprocessError):
        return False


@functools.cache
def _spare_ids(kind: str) -> int | None:
    """The first of 65535 ids that may be given away: high ones for root, those of /etc/subuid for everybody else."""
    if os.geteuid() == 0:
        for line in Path(f"/proc/self/{kind}_map").read_text().splitlines():
            inside, _, count = map(int, line.split())
            if inside <= HIGH and inside + count >= HIGH + IDS:
                return HIGH
        return 1  # in a container that has few ids itself
    with contextlib.suppress(OSError, KeyError):
        name = pwd.getpwuid(os.getuid()).pw_name
        for line in Path(f"/etc/sub{kind}").read_text().splitlines():
            owner, start, count = line.split(":")
            if owner in (name, str(os.getuid())) and int(count) >= IDS:
                return int(start)
    return None


def _map_one(pid: int) -> None:
    if os.geteuid() != 0:
        Path(f"/proc/{pid}/setgroups").write_text("deny")
    for kind, own in (("uid", os.getuid()), ("gid", os.getgid())):
        Path(f"/proc/{pid}/{kind}_map").write_text(f"0 {own} 1\n")


@contextlib.contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    """Hold a lock file. With LOCK_NB, BlockingIOError where somebody else has it."""
    with path.open("a") as file:
        fcntl.flock(file, how)
        yield
