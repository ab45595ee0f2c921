"""Works on the unpacked files of images, as a root who has many users under him. Started by `rootfs`, one for each checkout.

    python -I -S worker.py FD

On an ordinary machine nobody but root may give a file to another user. So this process enters a user namespace of its own, in
which it is root and the users of an image have their ids (https://man7.org/linux/man-pages/man7/user_namespaces.7.html).
Orders come as lines of JSON over the socket FD, and so do answers.

It reads no archives and believes no paths: what is unpacked was listed before, and is written from inside the folder (chroot),
where no path and no link leads out. It imports nothing of the course.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import socket
import stat
import subprocess
import sys

CLONE_NEWUSER, CLONE_NEWNS = 0x10000000, 0x00020000
PR_SET_DUMPABLE, PR_SET_PDEATHSIG, SIGKILL = 4, 1, 9
MOUNTS = ("dev", "proc", "sys")
"""Folders of a root in which the kernel's own file systems stand. What is in them belongs to no image."""

libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """An order that cannot be done. The text says why."""


class Worker:
    """The orders. Each takes the fields of its line and returns what is answered."""

    def __init__(self, channel: socket.socket, many: bool) -> None:
        self.channel, self.many = channel, many
        self.before: dict[str, tuple] = {}
        self.stubs: list[str] = []

    def unpack(self, layer: str, listing: str, root: str, mtime: int) -> None:
        """Put a layer on top of the files in `root`. listing: the JSON file with what is in it."""
        with open(listing) as file:
            nodes = json.load(file)["nodes"]
        archive = os.open(layer, os.O_RDONLY)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                inside = os.stat(root)
                os.chroot(root)
                os.chdir("/")
                # Everything from here on is written to /. Be sure whose / it is.
                if not os.path.samestat(os.stat("/"), inside):
                    raise Refused("the folder could not be entered")
                os.umask(0)
                _unpack(archive, nodes, mtime, self.many)
                os._exit(0)
            except BaseException as error:  # noqa: BLE001  (this process ends here, whatever it was)
                os.write(writer, f"{type(error).__name__}: {error}".encode("utf-8", "replace")[:1000])
                os._exit(1)
        os.close(writer)
        with open(reader, "rb") as said:
            why = said.read().decode("utf-8", "replace")
        os.close(archive)
        if os.waitpid(child, 0)[1]:
            raise Refused(f"a layer could not be unpacked: {why}")

    def check_out(self, source: str, job: str, overlay: bool) -> dict:
        """Make job/root, which has the files of a tree and can be written without changing the tree.

        An overlay costs nothing (https://docs.kernel.org/filesystems/overlayfs.html). Kernels before 5.11 allow none here, and not all
        file systems can carry one; then the files are copied.
        """
        folders = {name: f"{job}/{name}" for name in ("root", "upper", "work")}
        for folder in folders.values():
            os.mkdir(folder, 0o755)
        shutil.copystat(source, folders["upper"])
        options = f"userxattr,lowerdir={source},upperdir={folders['upper']},workdir={folders['work']}"
        plain = not {",", ":", "\\"} & set(source + job)  # they have a meaning in the options
        if overlay and plain and libc.mount(b"overlay", folders["root"].encode(), b"overlay", 0, options.encode()) == 0:
            return {"overlay": True}
        for folder in folders.values():
            os.rmdir(folder)
        self.clone(source, folders["root"])
        return {"overlay": False}

    def clone(self, source: str, target: str) -> None:
        """Copy a tree, with owners, rights and times; without copying any content where the file system can do that."""
        done = subprocess.run(
            ["cp", "-a", "--reflink=auto", source, target], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise Refused(done.stderr[-500:])

    def remove(self, path: str) -> None:
        """Delete a tree, also where its folders have lost their rights."""

        libc.umount2(f"{path}/root".encode(), 2)

        def again(call, name, _):
            os.chmod(os.path.dirname(name), 0o700)
            call(name)

        shutil.rmtree(path, onerror=again)

    def snapshot(self, root: str) -> None:
        """Remember what the files look like, for `changes`."""
        self.before = _scan(root)

    def changes(self, root: str, data: str) -> dict:
        """What is different since the snapshot. The content of changed files goes to the file `data`, one behind the other."""
        now = _scan(root)
        gone = [path for path in self.before if path not in now]
        gone = [path for path in gone if os.path.dirname(path) not in gone]
        items, first, offset, remarks = [], {}, 0, []
        with open(data, "wb") as out:
            for path in sorted(now):
                if self.before.get(path) == now[path]:
                    continue
                status = os.lstat(f"{root}/{path}")
                kind = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "link"}.get(
                    stat.S_IFMT(status.st_mode)
                )
                if kind is None:
                    remarks.append(path)
                    continue
                item = {
                    "path": path,
                    "kind": kind,
                    "mode": stat.S_IMODE(status.st_mode),
                    "uid": status.st_uid,
                    "gid": status.st_gid,
                }
                if kind == "link":
                    item["target"] = os.readlink(f"{root}/{path}")
                elif kind == "file" and status.st_nlink > 1 and status.st_ino in first:
                    item |= {"kind": "hard", "target": first[status.st_ino]}
                elif kind == "file":
                    first[status.st_ino] = path
                    size = _append(f"{root}/{path}", out)
                    item |= {"offset": offset, "size": size}
                    offset += size
                items.append(item)
        return {"items": items, "gone": sorted(gone), "special": remarks}

    def prepare(self, root: str, folders: list, files: list) -> None:
        """Make the places where something is mounted, and refuse where a link stands in the way: it could lead anywhere."""
        for path in [*folders, *files]:
            here = root
            parts = [part for part in path.split("/") if part not in ("", ".")]
            if ".." in parts:
                raise Refused(f"{path} leads out of the image")
            for number, part in enumerate(parts, 1):
                here = f"{here}/{part}"
                last_of_file = number == len(parts) and path in files
                try:
                    mode = os.lstat(here).st_mode
                except FileNotFoundError:
                    if last_of_file:
                        os.close(os.open(here, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY, 0o644))
                    else:
                        os.mkdir(here, 0o755)
                    self.stubs.append(here)
                    continue
                if not (stat.S_ISREG(mode) if last_of_file else stat.S_ISDIR(mode)):
                    raise Refused(
                        f"/{'/'.join(parts[:number])} is a link or no folder in this image, and has to be one"
                    )

    def tidy(self) -> None:
        """Take the places away that `prepare` made, as far as they are still empty."""
        for path in reversed(self.stubs):
            try:
                if stat.S_ISDIR(os.lstat(path).st_mode):
                    os.rmdir(path)
                elif os.lstat(path).st_size == 0:
                    os.unlink(path)
            except OSError:
                pass
        self.stubs = []

    def own(self, path: str, uid: int, gid: int, mode: int) -> None:
        """Give a file to a user of the image."""
        os.chmod(path, mode)
        if self.many:
            os.chown(path, uid, gid)

    def usage(self, root: str) -> dict:
        """How many bytes and files there are."""
        total = files = 0
        for folder, folders, names in os.walk(root):
            for name in [*folders, *names]:
                try:
                    total += os.lstat(f"{folder}/{name}").st_blocks * 512
                except OSError:
                    continue
                files += 1
        return {"bytes": total, "files": files}

    def namespace(self, uid: int, gid: int) -> int:
        """Make the inner user namespace of a user, who owns it: gives a file descriptor of it."""
        ready_in, ready_out = os.pipe()
        done_in, done_out = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(done_out)
            if self.many:
                os.setgroups([])
                os.setresgid(gid, gid, gid)
                os.setresuid(uid, uid, uid)
            libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # else its files in /proc belong to somebody else
            libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
            os.write(ready_out, b"!" if libc.unshare(CLONE_NEWUSER) else b".")
            os.read(done_in, 1)
            os._exit(0)
        try:
            if os.read(ready_in, 1) != b".":
                raise Refused("no second user namespace can be made here")
            for kind, number in (("uid", uid), ("gid", gid)):
                # The map of the outer one has two parts, and a part of a map has to lie in one of them.
                lines = "0 0 1\n1 1 65535\n" if self.many else f"{number} 0 1\n"
                if kind == "gid" and not self.many:
                    _write(f"/proc/{child}/setgroups", "deny")
                _write(f"/proc/{child}/{kind}_map", lines)
            return os.open(f"/proc/{child}/ns/user", os.O_RDONLY)
        finally:
            for descriptor in (ready_in, ready_out, done_in, done_out):
                os.close(descriptor)
            os.waitpid(child, 0)

    def serve(self) -> None:
        """Do what is ordered, until the other side closes."""
        with self.channel.makefile("r") as orders:
            for line in orders:
                order = json.loads(line)
                descriptors, answer = [], {"ok": True}
                try:
                    result = getattr(self, order.pop("do"))(**order)
                    if isinstance(result, int):
                        descriptors = [result]
                    else:
                        answer |= result or {}
                except (Refused, OSError) as error:
                    answer = {"ok": False, "why": str(error)}
                data = json.dumps(answer).encode() + b"\n"
                sent = socket.send_fds(self.channel, [data], descriptors) if descriptors else 0
                self.channel.sendall(data[sent:])
                for descriptor in descriptors:
                    os.close(descriptor)


# ---- inside a root ----------------------------------------------------------------------------------------------------


def _unpack(archive: int, nodes: list, mtime: int, many: bool) -> None:
    """Write the files of a layer, in a process whose / is the root. See `layers.Tree.apply`, which does the same in memory."""
    for path, *_ in nodes:
        folder, _, name = path.rpartition("/")
        if name == ".wh..wh..opq" and os.path.isdir(f"/{folder}"):
            for inner in os.listdir(f"/{folder}"):
                _delete(f"/{folder}/{inner}")
        elif name.startswith(".wh."):
            _delete(f"/{folder}/{name[4:]}")
    folders = []
    for path, kind, mode, uid, gid, size, link, offset, _ in nodes:
        folder, _, name = path.rpartition("/")
        if name.startswith(".wh."):
            continue
        target = f"/{path}"
        _make_parents(f"/{folder}")
        if kind == "hard":
            source = _real(f"/{link}")
            if not (os.path.islink(source) or os.path.isfile(source)) or f"{source}/".startswith(f"{_real(target)}/"):
                continue
        if kind != "dir" or os.path.islink(target) or not os.path.isdir(target):
            _delete(target)
        if kind == "dir":
            if not os.path.isdir(target):
                os.mkdir(target)
            folders.append(target)
        elif kind == "link":
            os.symlink(link, target)
        elif kind == "hard":
            os.link(source, target, follow_symlinks=False)
            continue
        else:
            _extract(archive, offset, size, target)
        if many:
            os.lchown(target, uid, gid)
        if kind != "link":
            os.chmod(target, mode)
            os.utime(target, (mtime, mtime))
        else:
            os.utime(target, (mtime, mtime), follow_symlinks=False)
    for target in folders:  # what was written into them has moved their time
        os.utime(target, (mtime, mtime))


def _real(path: str) -> str:
    """A path without links, except at its very end."""
    folder, name = os.path.split(path)
    return os.path.join(os.path.realpath(folder), name)


def _make_parents(folder: str) -> None:
    if os.path.isdir(folder):
        return
    _make_parents(os.path.dirname(folder))
    if os.path.lexists(folder):
        _delete(folder)
    os.mkdir(folder, 0o755)


def _delete(path: str) -> None:
    try:
        if stat.S_ISDIR(os.lstat(path).st_mode):
            shutil.rmtree(path)
        else:
            os.unlink(path)
    except (FileNotFoundError, NotADirectoryError):
        pass


def _extract(archive: int, offset: int, size: int, target: str) -> None:
    out = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        while size:
            done = os.sendfile(out, archive, offset, size)
            if not done:
                raise Refused("the layer ends too early")
            offset, size = offset + done, size - done
    finally:
        os.close(out)


# ---- looking at a root ------------------------------------------------------------------------------------------------


def _scan(root: str) -> dict[str, tuple]:
    """What can be seen of each file without reading it. A change of content always changes its ctime."""
    found: dict[str, tuple] = {}
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        with os.scandir(f"{root}/{folder}") as entries:
            for entry in entries:
                path = f"{folder}/{entry.name}" if folder else entry.name
                status = entry.stat(follow_symlinks=False)
                found[path] = (
                    *(status.st_mode, status.st_uid, status.st_gid, status.st_size),
                    *(status.st_mtime_ns, status.st_ctime_ns, status.st_ino),
                )
                if entry.is_dir(follow_symlinks=False) and path not in MOUNTS:
                    waiting.append(path)
    return found


def _append(path: str, out) -> int:
    size = 0
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        while piece := file.read(1024 * 1024):
            out.write(piece)
            size += len(piece)
    return size


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def main() -> None:
    """Enter the namespace, wait until its ids are there, and serve."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
    failed = libc.unshare(CLONE_NEWUSER)
    channel.sendall(b"!" if failed else b".")
    kind = channel.recv(1)  # m: many ids, o: only one
    if failed or not kind or libc.unshare(CLONE_NEWNS):
        return
    os.umask(0o022)
    Worker(channel, kind == b"m").serve()


if __name__ == "__main__":
    main()
