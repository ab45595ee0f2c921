"""Wheels and sdists: valid, the same bytes everywhere, and an sdist builds the very wheel."""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import importlib.util
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from opslab.worlds.packages import archive, catalogue
from opslab.worlds.packages.index import Index

METADATA = "Metadata-Version: 2.3\nName: Half.Shelf\nVersion: 1.0\nSummary: Żółw\n\nText.\n"
FILES = {"shelf/z.py": b"z = 1\n", "shelf/__init__.py": b"", "shelf/data.txt": "zażółć\n".encode()}

SHA_OF_WHEEL = "88ed741f9ac97c22099a3eeb2c73cd7100a69c3d378e6fdfad9c4ba8d93776f5"
SHA_OF_GZIP = "eff62f67594f8fb186a18339ab583defbaf45f0b36629ecda4414b09b6129103"


def test_the_bytes_are_the_same_on_any_machine():
    name, data = archive.wheel(METADATA, FILES)
    assert (name, hashlib.sha256(data).hexdigest()) == ("half_shelf-1.0-py3-none-any.whl", SHA_OF_WHEEL)
    assert archive.wheel(METADATA, dict(reversed(FILES.items()))) == (name, data), "the order of files does not matter"
    assert hashlib.sha256(archive._gzip(b"shelf" * 40_000)).hexdigest() == SHA_OF_GZIP


def test_a_wheel_is_what_the_standard_asks_for():
    _, data = archive.wheel(METADATA, FILES)
    with zipfile.ZipFile(io.BytesIO(data)) as wheel:
        assert wheel.testzip() is None
        assert {entry.external_attr >> 16 for entry in wheel.infolist()} == {0o100644}
        content = {name: wheel.read(name) for name in wheel.namelist()}
    assert {name: content[name] for name in FILES} == FILES
    assert content["half_shelf-1.0.dist-info/METADATA"].decode() == METADATA
    rows = {
        path: (digest, size)
        for path, digest, size in csv.reader(content["half_shelf-1.0.dist-info/RECORD"].decode().splitlines())
    }
    assert set(rows) == set(content)
    assert rows.pop("half_shelf-1.0.dist-info/RECORD") == ("", "")
    for path, (digest, size) in rows.items():
        # RECORD has no padding: https://packaging.python.org/en/latest/specifications/recording-installed-packages/
        sha = base64.urlsafe_b64encode(hashlib.sha256(content[path]).digest()).decode().rstrip("=")
        assert (digest, size) == (f"sha256={sha}", str(len(content[path])))


@pytest.mark.parametrize("size", [1, 65_535, 65_536, 200_000])
def test_gzip_can_be_unpacked(size: int):
    data = bytes(range(256)) * (size // 256 + 1)
    assert gzip.decompress(archive._gzip(data[:size])) == data[:size]


def test_the_wheel_built_from_an_sdist_has_the_bytes_of_the_wheel_on_the_index(tmp_path: Path, monkeypatch):
    wheel, sdist = Index(seed=3).files("pykontor")[:2]
    with tarfile.open(fileobj=io.BytesIO(sdist.data)) as packed:
        assert {(entry.mode, entry.mtime, entry.uid, entry.uname) for entry in packed} == {(0o644, 0, 0, "")}
        packed.extractall(tmp_path, filter="data")
    folder = tmp_path / sdist.name.removesuffix(".tar.gz")
    spec = importlib.util.spec_from_file_location("_build", folder / "_build.py")
    backend = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(backend)
    (folder / "pykontor/__pycache__").mkdir()
    (folder / "pykontor/__pycache__/cursor.pyc").write_bytes(b"made by a test run")
    monkeypatch.chdir(folder)
    assert backend.build_wheel(str(tmp_path)) == wheel.name
    assert (tmp_path / wheel.name).read_bytes() == wheel.data
    assert backend.build_sdist(str(tmp_path)) == sdist.name
    assert (tmp_path / sdist.name).read_bytes() == sdist.data


def test_a_tampered_file_has_the_name_of_the_honest_one_and_a_record_that_fits():
    (release,) = [one for one in catalogue.releases(1) if (one.project, one.version) == ("pykontor", "2.8.6")]
    honest, tampered = (catalogue.files_of(release, 1, honest) for honest in (True, False))
    assert [one.name for one in honest] == [one.name for one in tampered]
    assert {one.sha256 for one in honest}.isdisjoint(one.sha256 for one in tampered), "the sdist, too"
    with zipfile.ZipFile(io.BytesIO(tampered[0].data)) as wheel:
        first = wheel.read("pykontor/__init__.py")
        sha = base64.urlsafe_b64encode(hashlib.sha256(first).digest()).decode().rstrip("=")
        assert f"pykontor/__init__.py,sha256={sha}," in wheel.read("pykontor-2.8.6.dist-info/RECORD").decode()
    assert first.endswith(catalogue.TAMPERED.read_bytes())
