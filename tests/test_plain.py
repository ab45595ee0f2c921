"""Files in a folder that somebody else has written to (opslab/plain.py)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from opslab import plain


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home/inner").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_text("not yours")
    (tmp_path / "home/inner/file").write_text("mine")
    return tmp_path / "home"


def test_an_ordinary_file_is_read_and_written(home: Path) -> None:
    assert plain.read(home, "inner/file", 4) == b"mine"
    plain.write(home, Path("new/folder/file"), b"1")
    plain.write(home, "new/folder/file", b"2")
    assert (home / "new/folder/file").read_bytes() == b"2"
    assert plain.names(home) == ["inner", "new"] and plain.names(home, "inner") == ["file"]
    with plain.open_file(home / "inner/file", os.O_RDWR) as file:
        file.write(b"M")
    assert (home / "inner/file").read_text() == "Mine"


@pytest.mark.parametrize("what", ["link", "pipe", "folder", "device", "missing", "large"])
def test_nothing_else_is_read(home: Path, what: str) -> None:
    path = home / "inner/it"
    if what == "link":
        path.symlink_to(home.parent / "outside/file")
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    elif what == "device":
        path = Path("/dev/zero")
    elif what == "large":
        path.write_bytes(bytes(11))
    with pytest.raises(OSError):
        plain.read_file(path, 10)
    if path.parent == home / "inner":
        with pytest.raises(OSError):
            plain.read(home, "inner/it", 10)


def test_no_link_on_the_way_is_followed(home: Path) -> None:
    (home / "way").symlink_to(home.parent / "outside")
    for do in (
        lambda: plain.read(home, "way/file", 100),
        lambda: plain.write(home, "way/file", b""),
        lambda: plain.write(home, "way/new/file", b""),
        lambda: plain.names(home, "way"),
        lambda: plain.read(home, "inner/../../outside/file", 100),
        lambda: plain.read(home, home.parent / "outside/file", 100),
    ):
        with pytest.raises(OSError):
            do()
    assert (home.parent / "outside/file").read_text() == "not yours"
    assert os.listdir(home.parent / "outside") == ["file"]


@pytest.mark.parametrize("what", ["link", "hard link", "pipe"])
def test_what_stands_in_the_way_is_replaced_and_not_written_to(home: Path, what: str) -> None:
    path = home / "inner/it"
    if what == "link":
        path.symlink_to(home.parent / "outside/file")
    elif what == "hard link":
        path.hardlink_to(home.parent / "outside/file")
    else:
        os.mkfifo(path)
    plain.write(home, "inner/it", b"new")
    assert path.read_text() == "new" and not path.is_symlink()
    assert (home.parent / "outside/file").read_text() == "not yours"
    (home / "folder").mkdir()
    with pytest.raises(OSError):
        plain.write(home, "folder", b"")
