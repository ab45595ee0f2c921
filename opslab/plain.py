"""Files in a folder that somebody else has written to: a link to the gradebook, a pipe that never ends, a gigabyte.

    >>> from opslab import plain
    >>> plain.write(home, "staging/day.parquet", data)                              # doctest: +SKIP
    >>> plain.read(home, "outbox/orders.csv.gz", limit=4_000_000)                   # doctest: +SKIP
    b'…'

What runs in the jail can put anything in the place of a file or a folder of its home. So whoever reads or writes there from
outside, after something was run, does it by this module: nothing but ordinary files is opened, no link is followed, neither the
last one of a path nor one on the way, nothing is waited for, and nothing is read without a limit.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Without waiting: opening a pipe would wait for whoever is at its other end."""


def open_file(path: str | Path, flags: int = os.O_RDONLY, *, dir_fd: int | None = None) -> IO[bytes]:
    """Open an ordinary file. Raises OSError for everything else; the folders on the way to it are taken as they are.

    flags: O_RDONLY or O_RDWR. dir_fd: of the folder that `path` is relative to.
    """
    handle = os.open(path, flags | FILE, dir_fd=dir_fd)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is not an ordinary file", str(path))
    return os.fdopen(handle, "r+b" if flags & os.O_RDWR else "rb")


def read_file(path: str | Path, limit: int, *, dir_fd: int | None = None) -> bytes:
    """The bytes of an ordinary file. Raises OSError for anything else; EFBIG where it has more than `limit` bytes."""
    with open_file(path, dir_fd=dir_fd) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"it has more than {limit:,} bytes", str(path))
    return data


def read(home: str | Path, path: str | Path, limit: int) -> bytes:
    """The bytes of an ordinary file in `home`, to which no link leads. path: from `home`. Raises OSError like `read_file`."""
    with _parent(home, path) as (folder, name):
        return read_file(name, limit, dir_fd=folder)


def names(home: str | Path, path: str | Path = ".") -> list[str]:
    """What lies in a folder in `home`, in order. Raises OSError where it is none, or a link leads there."""
    with _folder(home, _parts(path)) as folder:
        return sorted(os.listdir(folder))


def write(home: str | Path, path: str | Path, data: bytes) -> None:
    """Let an ordinary file in `home` have this content, in place of what stood there. Folders that are missing are made.

    path: from `home`. A link, a pipe or whatever else has that name is removed, not written to. Raises OSError where a folder
    on the way is none, or a folder stands in the file's place.
    """
    with _parent(home, path, make=True) as (folder, name):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
        handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | FILE, 0o644, dir_fd=folder)
        with os.fdopen(handle, "wb") as file:
            file.write(data)


@contextlib.contextmanager
def _parent(home: str | Path, path: str | Path, *, make: bool = False) -> Iterator[tuple[int, str]]:
    """The folder that a file lies in, open, and the file's name."""
    parts = _parts(path)
    if not parts:
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    with _folder(home, parts[:-1], make=make) as folder:
        yield folder, parts[-1]


def _parts(path: str | Path) -> tuple[str, ...]:
    """The folders and the name in a path that leads to something inside. Raises OSError for any other."""
    parts = Path(path).parts
    if {"..", "/"} & {*parts} or "\0" in str(path):
        raise OSError(errno.EINVAL, "it leads out of the folder, or is no name", str(path))
    return parts


@contextlib.contextmanager
def _folder(home: str | Path, folders: tuple[str, ...], *, make: bool = False) -> Iterator[int]:
    """Go down from `home`, folder by folder, each an ordinary one; the last, open."""
    handle = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in folders:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, dir_fd=handle)
            inner = os.open(name, FOLDER, dir_fd=handle)
            os.close(handle)
            handle = inner
        yield handle
    finally:
        os.close(handle)
