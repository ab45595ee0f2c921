"""Layers: written the same each time, read whoever wrote them, put on top of each other as OCI says."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
import time

import pytest
from images_world import tar_of

from opslab.worlds.images.layers import EPOCH, Item, LayerProblem, Node, Tree, listing, write


def written(*items: Item) -> bytes:
    out = io.BytesIO()
    write(out, items)
    return out.getvalue()


def tree_of(*layers: list[Item]) -> Tree:
    tree = Tree()
    for items in layers:
        tree.apply(listing(io.BytesIO(written(*items))))
    return tree


FILE, FOLDER = ("file",), ("dir", 0o755)

# ---- writing ----------------------------------------------------------------------------------------------------------


def test_the_order_of_items_and_the_clock_change_nothing(monkeypatch):
    items = [
        Item("b/c", "file", data=b"x"),
        Item("a", "link", target="b"),
        Item("b", "dir"),
        Item("d", "hard", target="b/c"),
    ]
    first = written(*items)
    monkeypatch.setattr(time, "time", lambda: 1e9)
    assert written(*reversed(items)) == first
    with tarfile.open(fileobj=io.BytesIO(first)) as archive:
        heads = archive.getmembers()
    assert [head.name for head in heads] == ["a", "b", "b/c", "d"]
    assert {(head.mtime, head.uname, head.gname) for head in heads} == {(EPOCH, "", "")}


def test_of_two_items_with_one_path_the_later_counts():
    assert b"old" not in written(Item("a", "file", data=b"old"), Item("a", "file", data=b"new"))


def test_names_that_are_long_or_not_latin():
    name = f"{'ä' * 80}/{'x' * 150}.py"
    data = written(Item(name, "file", data=b"1"), Item("odd\udcff", "file"))
    assert [path for path, _ in listing(io.BytesIO(data)).nodes] == ["odd\udcff", name]


def test_content_comes_from_a_source_and_has_to_be_all_there():
    def source():
        return contextlib.nullcontext(io.BytesIO(b"12345"))

    assert b"123" in written(Item("a", "file", source=source, size=3))
    with pytest.raises(LayerProblem, match="a became shorter while it was read"):
        written(Item("a", "file", source=source, size=6))


# ---- reading what anybody may have written ----------------------------------------------------------------------------

REFUSED = {
    "absolute": (("/etc/passwd", {}), "is no path inside an image"),
    "traversal": (("a/../../etc/passwd", {}), "is no path inside an image"),
    "traversal that comes back": (("a/../b", {}), "is no path inside an image"),
    "control characters": (("a\nb", {}), "is no path inside an image"),
    "far too deep": (("a/" * 200 + "b", {}), "is no path inside an image"),
    "a hard link out": (
        ("a", {"type": tarfile.LNKTYPE, "linkname": "../../etc/shadow"}),
        "is a hard link out of the image",
    ),
    "an absolute hard link": (
        ("a", {"type": tarfile.LNKTYPE, "linkname": "/etc/shadow"}),
        "is a hard link out of the image",
    ),
    "a link to nothing": (("a", {"type": tarfile.SYMTYPE, "linkname": ""}), "is a link that leads nowhere"),
    "an impossible owner": (("a", {"uid": 2**40}), "belongs to a user who cannot be"),
}


@pytest.mark.parametrize(("member", "said"), REFUSED.values(), ids=REFUSED)
def test_what_no_honest_tool_writes_is_refused(member, said):
    with pytest.raises(LayerProblem, match=said):
        listing(io.BytesIO(tar_of(("first", {}), member)))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}, "is a device, and left out"),
        ({"type": tarfile.BLKTYPE, "devmajor": 8}, "is a device, and left out"),
        ({"type": tarfile.FIFOTYPE}, "is a named pipe, and left out"),
    ],
)
def test_what_has_no_place_in_a_container_is_left_out_and_told(fields, said):
    found = listing(io.BytesIO(tar_of(("dev/x", fields), ("y", {}))))
    assert [path for path, _ in found.nodes] == ["y"]
    assert said in found.remarks[0]


def test_setuid_is_told_and_not_done():
    found = listing(io.BytesIO(tar_of(("bin/su", {"mode": 0o4755}))))
    assert found.nodes[0][1].mode == 0o755
    assert "bin/su is setuid or setgid" in found.remarks[0]


def test_links_that_lead_out_are_links_inside():
    found = listing(io.BytesIO(tar_of(("a", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}))))
    assert found.nodes[0][1].link == "/etc/passwd"


def sparse(size: int) -> bytes:
    """A GNU sparse file, as `tar --sparse` writes one: 512 bytes that stand for `size`."""
    head = tarfile.TarInfo("huge")
    head.type = tarfile.GNUTYPE_SPARSE
    data = bytearray(head.tobuf(tarfile.GNU_FORMAT))
    data[386:398], data[398:410] = b"%011o\0" % 0, b"%011o\0" % 0
    data[483:495] = b"%011o\0" % size
    data[148:156] = b"        "
    data[148:156] = b"%06o\0 " % sum(data)
    return bytes(data) + bytes(1024)


def test_a_sparse_file_of_ten_gigabytes_is_refused_in_no_time():
    with pytest.raises(LayerProblem, match="huge is a sparse file|more than 2,147,483,648 bytes"):
        listing(io.BytesIO(sparse(8 * 1024**3 - 1)))


def test_a_header_that_promises_more_than_is_there():
    head = tarfile.TarInfo("huge")
    head.size = 10 * 1024**3
    with pytest.raises(LayerProblem, match="more than 2,147,483,648 bytes together"):
        listing(io.BytesIO(head.tobuf(tarfile.GNU_FORMAT) + bytes(1024)))
    head.size = 10_000
    with pytest.raises(LayerProblem, match="damaged"):
        listing(io.BytesIO(head.tobuf() + bytes(1024)))


def test_an_attribute_of_a_gigabyte_is_not_read():
    head = tarfile.TarInfo("././@PaxHeader")
    head.type, head.size = tarfile.XHDTYPE, 1024**3
    with pytest.raises(LayerProblem, match="a header of 1,073,741,824 bytes"):
        listing(io.BytesIO(head.tobuf() + bytes(4096)))


def test_thousands_of_files_are_refused():
    with pytest.raises(LayerProblem, match="more than 100 entries"):
        listing(io.BytesIO(written(*(Item(f"f{number}", "file") for number in range(101)))), entries=100)


def test_nothing_stands_behind_the_end():
    data = written(Item("a", "file"))
    assert listing(io.BytesIO(data + bytes(10_240))).nodes
    with pytest.raises(LayerProblem, match="something stands behind its end"):
        listing(io.BytesIO(data + written(Item("hidden", "file"))))


@pytest.mark.parametrize("data", [b"", b"x" * 100, b"x" * 5000, os.urandom(10_000)])
def test_what_is_no_archive(data):
    with pytest.raises(LayerProblem, match="damaged|behind its end"):
        listing(io.BytesIO(data))


@pytest.mark.parametrize("at", range(0, 1536, 37))
def test_any_byte_may_be_another(at):
    data = bytearray(written(Item("a/b", "file", data=b"hello"), Item("c", "link", target="a")))
    data[at] ^= 0x5A
    with contextlib.suppress(LayerProblem):
        listing(io.BytesIO(bytes(data)))


# ---- layers on top of each other --------------------------------------------------------------------------------------


def test_a_later_layer_covers_and_deletes():
    tree = tree_of(
        [Item("a", *FOLDER), Item("a/b", *FILE, data=b"1"), Item("a/c", *FILE), Item("d", *FILE)],
        [Item("a/.wh.b", "file"), Item("d", *FILE, data=b"22"), Item("a/.wh.none", "file")],
    )
    assert sorted(tree.nodes) == ["a", "a/c", "d"]
    assert tree.nodes["d"].size == 2


def test_an_opaque_folder_hides_what_was_in_it_but_not_what_is_new():
    tree = tree_of(
        [Item("a", *FOLDER), Item("a/old", *FILE), Item("a/sub", *FOLDER), Item("a/sub/x", *FILE)],
        [Item("a/.wh..wh..opq", "file"), Item("a/new", *FILE)],
    )
    assert sorted(tree.nodes) == ["a", "a/new"]


def test_files_become_folders_and_folders_files():
    tree = tree_of(
        [Item("a", *FILE), Item("b", *FOLDER), Item("b/c", *FILE)],
        [Item("a", *FOLDER), Item("a/x", *FILE), Item("b", *FILE)],
    )
    assert sorted(tree.nodes) == ["a", "a/x", "b"]
    assert tree.nodes["b"].kind == "file"


def test_links_lead_on_inside_the_image():
    tree = tree_of(
        [
            *(Item("usr", *FOLDER), Item("usr/bin", *FOLDER), Item("bin", "link", target="usr/bin")),
            *(Item("up", "link", target="../../../usr"), Item("loop", "link", target="loop")),
        ],
        [Item("bin/sh", *FILE), Item("up/bin/ls", *FILE)],
    )
    assert {"usr/bin/sh", "usr/bin/ls"} <= set(tree.nodes)
    assert tree.resolve("up/../bin/sh") == "usr/bin/sh"
    assert tree.resolve("/../../etc") == "etc"
    assert tree.get("up/bin/sh").kind == "file"
    assert tree.get("loop/x") is None
    assert tree.resolve("bin", last=False) == "bin"


def test_a_hard_link_is_the_file_that_it_names():
    tree = tree_of(
        [Item("a", *FILE, data=b"123"), Item("b", "hard", target="a"), Item("c", "hard", target="missing")],
        [Item("a", *FILE, data=b"4")],
    )
    assert tree.nodes["b"].size == 3
    assert "c" not in tree.nodes


def test_many_whiteouts_take_no_time():
    folders = [Item(f"d{number}", *FOLDER) for number in range(3000)]
    gone = [Item(f".wh.d{number}", "file") for number in range(3000)]
    started = time.process_time()
    assert not tree_of(folders, gone).nodes
    assert time.process_time() - started < 3


def test_a_copy_of_a_tree_is_its_own():
    tree = tree_of([Item("a", *FOLDER), Item("a/b", *FILE)])
    other = tree.copy()
    other.remove("a")
    other.add("x/y", Node("file", 0o644, 0, 0))
    assert sorted(tree.nodes) == ["a", "a/b"]
    assert sorted(other.nodes) == ["x", "x/y"]
