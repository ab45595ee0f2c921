"""Wheels and source distributions, written by hand: the same input gives the same bytes on any machine.

    >>> name, data = wheel("Name: shelf\\nVersion: 1.0\\n", {"shelf/__init__.py": b""})
    >>> name
    'shelf-1.0-py3-none-any.whl'

Nothing is compressed, because what compression makes differs between versions of zlib. No clock, user or right of a file
gets in. This file also lies in each sdist and is its build backend (PEP 517): a wheel built there has the very bytes of the
wheel on the index. So it imports nothing but the standard library.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from email import message_from_string
from pathlib import Path

BACKEND = "_build"
"""What this file is called in an sdist."""

PYPROJECT = f"""\
[build-system]
requires = []
build-backend = "{BACKEND}"
backend-path = ["."]
"""

WHEEL = """\
Wheel-Version: 1.0
Generator: opslab
Root-Is-Purelib: true
Tag: py3-none-any
"""


def stem(metadata: str) -> str:
    """How the files of a release begin, by its core metadata: targ_loader-1.4.0."""
    headers = message_from_string(metadata)
    return f"{re.sub(r'[-_.]+', '_', headers['Name']).lower()}-{headers['Version']}"


def wheel(metadata: str, files: Mapping[str, bytes]) -> tuple[str, bytes]:
    """File name and bytes of a wheel.

    metadata: core metadata, https://packaging.python.org/en/latest/specifications/core-metadata/
    files: path in site-packages, and content.
    """
    info = f"{stem(metadata)}.dist-info"
    packed = dict(sorted(files.items()))
    packed |= {f"{info}/METADATA": metadata.encode(), f"{info}/WHEEL": WHEEL.encode()}
    rows = [f"{path},sha256={_digest(data)},{len(data)}\n" for path, data in packed.items()]
    packed[f"{info}/RECORD"] = "".join([*rows, f"{info}/RECORD,,\n"]).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path, data in packed.items():
            entry = zipfile.ZipInfo(path)  # of 1980, when zip files begin
            entry.compress_type, entry.create_system = zipfile.ZIP_STORED, 3
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, data)
    return f"{stem(metadata)}-py3-none-any.whl", out.getvalue()


def _digest(data: bytes) -> str:
    """As RECORD has it: base64 for addresses, without padding."""
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def sdist(metadata: str, files: Mapping[str, bytes]) -> tuple[str, bytes]:
    """File name and bytes of a source distribution. The arguments are those of `wheel`."""
    added = {"PKG-INFO": metadata.encode(), "pyproject.toml": PYPROJECT.encode()}
    added[f"{BACKEND}.py"] = Path(__file__).read_bytes()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, data in sorted({**files, **added}.items()):
            entry = tarfile.TarInfo(f"{stem(metadata)}/{path}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return f"{stem(metadata)}.tar.gz", _gzip(out.getvalue())


def _gzip(data: bytes) -> bytes:
    """A gzip file with stored blocks of at most 65,535 bytes (RFC 1951, 3.2.4; RFC 1952)."""
    blocks = [data[start : start + 0xFFFF] for start in range(0, len(data), 0xFFFF)]
    out = [b"\x1f\x8b\x08\0\0\0\0\0\0\xff"]
    for number, block in enumerate(blocks, 1):
        out += [struct.pack("<BHH", number == len(blocks), len(block), len(block) ^ 0xFFFF), block]
    return b"".join([*out, struct.pack("<II", zlib.crc32(data), len(data))])


# ---- the build backend of an sdist, called in its unpacked folder ----------------------------------------------------


def build_wheel(wheel_directory: str, config_settings: object = None, metadata_directory: object = None) -> str:
    """PEP 517: make the wheel of this source, and say its name."""
    return _write(wheel_directory, *wheel(*_source()))


def build_sdist(sdist_directory: str, config_settings: object = None) -> str:
    """PEP 517: make the sdist of this source, and say its name."""
    return _write(sdist_directory, *sdist(*_source()))


def _source() -> tuple[str, dict[str, bytes]]:
    # What is packed lies in folders; beside them are only the three files that `sdist` has added.
    paths = [path for path in Path().glob("*/**/*") if path.is_file() and "__pycache__" not in path.parts]
    return Path("PKG-INFO").read_text("utf-8"), {path.as_posix(): path.read_bytes() for path in paths}


def _write(folder: str, name: str, data: bytes) -> str:
    Path(folder, name).write_bytes(data)
    return name
