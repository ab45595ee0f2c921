"""The base image, made of this machine's own Python: what `FROM python:3-slim` means here.

    >>> store = Store("workspace/images")                                                   # doctest: +SKIP
    >>> install(store, "python:3-slim", release="2026.09")                                  # doctest: +SKIP
    >>> install(store, "python:3-slim", release="2026.10")        # the tag has moved, the older digest is still there
    >>> store.find("python:3-slim").digest                                                  # doctest: +SKIP

It has Python with its standard library and pip, a shell and the tools that Dockerfiles use, the shared libraries that these
need, and nothing else: about 50 MB. It is packed once for all worlds of a course and then only linked. On one machine it has
the same digest whenever it is made; another Python gives another one.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import marshal
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from opslab.worlds.images.layers import Item
from opslab.worlds.images.store import Image, Store, StoreError, architecture, canonical

FORM = 2
"""To be counted up when what follows makes another base of the same machine."""

TOOLS = (
    *(
        "sh",
        "bash",
        "cat",
        "chgrp",
        "chmod",
        "chown",
        "cp",
        "cut",
        "date",
        "dd",
        "df",
        "dirname",
        "basename",
        "du",
        "echo",
        "env",
    ),
    *(
        "expr",
        "false",
        "find",
        "getent",
        "grep",
        "head",
        "id",
        "install",
        "ln",
        "ls",
        "md5sum",
        "mkdir",
        "mktemp",
        "mv",
        "nproc",
    ),
    *(
        "printf",
        "pwd",
        "readlink",
        "realpath",
        "rm",
        "rmdir",
        "sed",
        "seq",
        "sha256sum",
        "sleep",
        "sort",
        "stat",
        "sync",
        "tail",
    ),
    *(
        "tar",
        "tee",
        "test",
        "[",
        "timeout",
        "touch",
        "tr",
        "true",
        "truncate",
        "uname",
        "uniq",
        "wc",
        "whoami",
        "xargs",
        "yes",
    ),
    *("gzip", "useradd", "groupadd"),
)
"""Whatever of these the machine has is in the image."""

NO_FOLDERS = (
    *("test", "tests", "idlelib", "tkinter", "turtledemo", "lib2to3", "distutils", "ensurepip", "pydoc_data"),
    *("site-packages", "dist-packages", "__pycache__"),
)
NO_FILE = re.compile(
    r"^(_test|_xx|xx|_ctypes_test|_tkinter|nis\.).*\.so$|\.(a|exe|orig|pyc)$|^(EXTERNALLY-MANAGED|turtle\.py)$"
)
"""Of Python: what no program needs. `nis` alone would bring ten libraries."""

MERGED = ("bin", "sbin", "lib", "lib64", "lib32")
"""Folders that are links into /usr, as on most systems of today."""

ENV = {
    "PATH": "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "PYTHON_VERSION": platform.python_version(),
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_ROOT_USER_ACTION": "ignore",
}

FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
    "www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "etc/group": "root:x:0:\ndaemon:x:1:\nwww-data:x:33:\nusers:x:100:\nnogroup:x:65534:\n",
    "etc/shadow": "root:*:20454:0:99999:7:::\n",
    "etc/gshadow": "root:*::\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "etc/hosts": "127.0.0.1\tlocalhost\n",
    "etc/login.defs": "UID_MIN 1000\nUID_MAX 60000\nGID_MIN 1000\nGID_MAX 60000\nSYS_UID_MIN 100\nSYS_UID_MAX 999\n"
    "SYS_GID_MIN 100\nSYS_GID_MAX 999\nUMASK 022\nUSERGROUPS_ENAB yes\nENCRYPT_METHOD SHA512\n",
    "etc/default/useradd": "SHELL=/bin/sh\nCREATE_MAIL_SPOOL=no\n",
}
MODES = {"etc/shadow": 0o640, "etc/gshadow": 0o640, "tmp": 0o1777, "var/tmp": 0o1777, "root": 0o700}
FOLDERS = ("dev", "proc", "sys", "tmp", "var/tmp", "var/log", "root", "home", "run", "srv", "usr/local/sbin")


def install(store: Store, name: str, release: str = "1", files: Mapping[str, str] | None = None) -> Image:
    """Put the base image into a store and give it a name; the name moves, if another image had it.

    release: what is written into /etc/os-release; another release is another image, with another digest, of the same Python.
    files: more that is in this release, path to text. Raises StoreError where no base can be made.
    """
    kept = _machine(store)
    about = (
        f'PRETTY_NAME="Targ base image {release}"\nNAME="Targ base image"\nID=targ\nVERSION_ID="{release}"\n'
        'HOME_URL="https://targ.example/base"\n'
    )
    texts = {"etc/os-release": about, **(files or {})}
    about_it = store.write_layer(Item(path.lstrip("/"), "file", data=text.encode()) for path, text in texts.items())
    machine = kept.image(next(iter(kept.tags().values())))
    for layer in machine.layers:
        store.take_blob(kept, layer.digest)
    image = store.add(
        {
            "architecture": architecture(),
            "os": "linux",
            "created": CREATED,
            "config": {
                "Env": [f"{key}={value}" for key, value in ENV.items()],
                "Cmd": ["python3"],
                "Labels": {"org.opencontainers.image.version": release},
            },
            "history": [
                {"created": CREATED, "created_by": f"Python {platform.python_version()} and tools of this machine"},
                {"created": CREATED, "created_by": f"release {release}"},
            ],
        },
        [*machine.layers, about_it],
    )
    store.tag(name, image.digest)
    return image


CREATED = "2026-01-01T00:00:00Z"


def _machine(store: Store) -> Store:
    """The store with the layer of this machine, which is made where it is missing."""
    made = hashlib.sha256(canonical(_fingerprint())).hexdigest()[:16]
    folder = store.cache / "base" / made
    folder.parent.mkdir(exist_ok=True)
    with (folder.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = Store(folder, store.cache)
        if not kept.tags():
            for old in folder.parent.iterdir():
                if old.is_dir() and old != folder:
                    shutil.rmtree(old)
            layer = kept.write_layer(_items())
            image = kept.add({"architecture": architecture(), "os": "linux", "created": CREATED}, [layer])
            kept.tag("machine", image.digest)
    return kept


@functools.cache
def _fingerprint() -> list:
    """What the base depends on: when it changes, the base is made anew."""
    stamps = []
    for path in (os.path.realpath(sys._base_executable), "/bin/sh", _pip_files()[0] / "pip"):  # type: ignore[attr-defined]
        status = os.stat(path)
        stamps.append([str(path), status.st_size, status.st_mtime_ns])
    return [FORM, sys.version, stamps]


# ---- what is in it ----------------------------------------------------------------------------------------------------


def _items() -> Iterator[Item]:
    """All files of the base, with the paths that they have in the image."""
    python = _python()
    for name in FOLDERS:
        yield Item(name, "dir", MODES.get(name, 0o755))
    for name in MERGED:
        yield Item(f"usr/{name}", "dir", 0o755)
        yield Item(name, "link", 0o777, target=f"usr/{name}")
    for name, text in FILES.items():
        yield Item(name, "file", MODES.get(name, 0o644), data=text.encode())
    programs = _tools() | _python_files(python)
    for name, source in {**programs, **_libraries(programs, python)}.items():
        yield Item(name, "file", 0o755 if os.access(source, os.X_OK) else 0o644, data=source.read_bytes())
        if source.suffix == ".py" and (code := _bytecode(source, f"/{name}")):
            yield Item(importlib.util.cache_from_source(name, optimization=""), "file", data=code)
    binary = _place(python["executable"], python)
    for name in ("python", "python3", f"python{python['version']}"):
        if f"usr/local/bin/{name}" != binary:
            yield Item(f"usr/local/bin/{name}", "link", 0o777, target=f"/{binary}")
    for name in ("pip", "pip3"):
        yield Item(f"usr/local/bin/{name}", "file", 0o755, data=PIP)


PIP = b"#!/usr/local/bin/python3\nfrom pip._internal.cli.main import main\n\nraise SystemExit(main())\n"


def _python() -> dict:
    """Where the Python is whose environment this is, and where its parts are."""
    executable = Path(os.path.realpath(sys._base_executable))  # type: ignore[attr-defined]
    ask = (
        "import json, sys, sysconfig as s; print(json.dumps({'prefix': sys.base_prefix, 'version': '%d.%d' % sys.version_info[:2],"
        " **{name: s.get_path(name) for name in ('stdlib', 'platstdlib', 'purelib')}}))"
    )
    asked = subprocess.run([executable, "-I", "-c", ask], capture_output=True, text=True, check=True)
    return {"executable": executable, **json.loads(asked.stdout)}


def _place(path: str | Path, python: dict) -> str:
    """Where something of Python's is in the image: below /usr/local, except where the system's own Python is below /usr already."""
    path = str(path)
    if python["prefix"] != "/usr" and path.startswith(f"{python['prefix']}/"):
        return f"usr/local{path[len(python['prefix']) :]}"
    path = path.lstrip("/")
    return f"usr/{path}" if path.split("/")[0] in MERGED else path


def _tools() -> dict[str, Path]:
    found = {}
    for name in TOOLS:
        source = shutil.which(name, path="/usr/bin:/bin:/usr/sbin:/sbin:/run/current-system/sw/bin")
        if source:
            found[f"usr/{'sbin' if '/sbin/' in source else 'bin'}/{name}"] = Path(os.path.realpath(source))
    return found


def _python_files(python: dict) -> dict[str, Path]:
    found = {_place(python["executable"], python): python["executable"]}
    for top in sorted({python["stdlib"], python["platstdlib"]}):
        for folder, folders, names in os.walk(top):
            folders[:] = [name for name in folders if name not in NO_FOLDERS and not name.startswith("config-")]
            for name in sorted(names):
                path = Path(folder) / name
                if not NO_FILE.search(name) and path.is_file():
                    found[_place(path, python)] = path
    root, names = _pip_files()
    for name in names:
        found[f"{_place(python['purelib'], python)}/{name}"] = root / name
    return found


def _pip_files() -> tuple[Path, list[str]]:
    """pip as it is installed here: the folder that it is in, and its files there."""
    try:
        pip = importlib.metadata.distribution("pip")
    except importlib.metadata.PackageNotFoundError:
        raise StoreError(
            "the base image needs pip, and this environment has none: run `python -m ensurepip`, or `make setup` again"
        ) from None
    root = Path(str(pip.locate_file("")))
    names = [str(name) for name in pip.files or () if name.suffix != ".pyc" and not str(name).startswith("..")]
    return root, [name for name in names if (root / name).is_file()]


def _libraries(programs: Mapping[str, Path], python: dict) -> dict[str, Path]:
    """The shared libraries of the programs among some files: where each is in the image, and where it is here."""
    if not shutil.which("ldd"):
        raise StoreError(
            "the base image cannot be made here: found no ldd, which tells the libraries of a program. It is made on Linux"
        )
    binaries = [str(path) for name, path in programs.items() if "bin/" in name or path.suffix == ".so"]
    listed = subprocess.run(["ldd", *binaries], capture_output=True, text=True, check=False)
    paths = [match[1] for match in re.finditer(r"^\s+(?:\S+ => )?(/\S+) \(0x", listed.stdout, re.MULTILINE)]
    system = {_place(path, python): Path(path) for path in paths if not _own(path, python)}
    home = next((str(Path(name).parent) for name in system if Path(name).name.startswith("libc.")), None)
    if home is None:
        raise StoreError("the base image cannot be made here: ldd does not tell which libraries this Python needs")
    # Python's own libraries go where every program looks first, because their folder is another one in the image.
    return system | {f"{home}/{Path(path).name}": Path(path) for path in paths if _own(path, python)}


def _own(path: str, python: dict) -> bool:
    return python["prefix"] != "/usr" and path.startswith(f"{python['prefix']}/")


def _bytecode(source: Path, name: str) -> bytes | None:
    """What Python would keep in __pycache__, but found valid without a look at the time of its source (PEP 552).

    It is taken over from this machine where it is there, because to compile it all again would take seconds.
    """
    text = source.read_bytes()
    head = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + importlib.util.source_hash(text)
    status = source.stat()
    stamp = b"".join(part.to_bytes(4, "little") for part in (0, int(status.st_mtime) & 0xFFFFFFFF, status.st_size))
    with contextlib.suppress(OSError, NotImplementedError):
        kept = Path(importlib.util.cache_from_source(str(source), optimization="")).read_bytes()
        if kept[:16] == importlib.util.MAGIC_NUMBER + stamp:
            return head + kept[16:]
    try:
        return head + marshal.dumps(compile(text, name, "exec", dont_inherit=True))
    except (SyntaxError, ValueError):
        return None
