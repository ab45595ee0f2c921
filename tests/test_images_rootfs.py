"""Files of images on the disk, and commands that see nothing else: real owners, real limits, nothing left behind."""

from __future__ import annotations

import http.server
import random
import socketserver
import threading

import pytest
from images_world import TAG, cache, desk, image_of, layer_of, linux, store

from opslab import jail
from opslab.jail import Limits
from opslab.worlds.images import base, rootfs
from opslab.worlds.images.build import BuildError
from opslab.worlds.images.container import Container, ContainerError, run
from opslab.worlds.images.layers import EPOCH, Item, Tree
from opslab.worlds.images.rootfs import Rootfs, RootfsError
from opslab.worlds.images.store import Store

__all__ = ["cache", "desk", "store"]  # fixtures
pytestmark = [linux, pytest.mark.slow]


@pytest.fixture(scope="module")
def shared(tmp_path_factory, cache) -> Store:
    """A store with the base image, for tests that only run something in it."""
    store = Store(tmp_path_factory.mktemp("shared") / "store", cache)
    base.install(store, TAG)
    return store


@pytest.fixture(scope="module")
def container(shared):
    """A container for tests that do not mind what others have done in it."""
    with Container(shared, shared.find(TAG)) as container:
        yield container


def sh(container: Container, script: str, **how) -> jail.Done:
    return container.run(["sh", "-c", script], **how)


# ---- a container ------------------------------------------------------------------------------------------------------


def test_a_container_has_its_files_its_user_and_nothing_of_the_machine(container, monkeypatch):
    monkeypatch.setenv("LEAK", "1")
    done = sh(
        container,
        "ls /; id -u; echo $HOME $LEAK; cat /proc/1/comm; ls /proc | grep -c '^[0-9]'; ls /proc/self/fd; cat /proc/net/dev",
    )
    assert done.code == 0, done.err
    names, _, rest = done.out.partition("\n0\n")
    assert names.split() == [
        *(
            "bin",
            "dev",
            "etc",
            "home",
            "lib",
            "lib32",
            "lib64",
            "proc",
            "root",
            "run",
            "sbin",
            "srv",
            "sys",
            "tmp",
            "usr",
            "var",
        )
    ]
    lines = rest.splitlines()
    assert lines[:2] == ["/root", "bwrap"]
    assert int(lines[2]) < 6
    assert lines[3:7] == ["0", "1", "2", "3"]  # the last is that of `ls` itself
    assert [line.split(":")[0].strip() for line in lines if ":" in line] == ["lo"]


def test_users_have_what_is_theirs(container):
    assert sh(container, "useradd --create-home --uid 10001 app && chown app /srv && chmod 700 /root").code == 0
    done = sh(container, "id; touch /srv/mine; ls -l /srv; touch /etc/not-mine; ls /root", user="10001")
    assert "uid=10001(app)" in done.out
    assert "app" in done.out.splitlines()[-1]
    assert "touch: cannot touch '/etc/not-mine': Permission denied" in done.err
    assert "Permission denied" in done.err.splitlines()[1]


def test_root_of_a_container_is_not_root_of_the_machine(container, tmp_path):
    code = (
        "import os, ctypes\n"
        "for call in (lambda: os.mknod('/dev-x', 0o20600, os.makedev(1, 3)), lambda: os.chroot('/tmp'),\n"
        "             lambda: open('/proc/sys/kernel/hostname', 'w').write('x'),\n"
        "             lambda: open('/proc/sysrq-trigger', 'w').write('x'), lambda: os.setpriority(os.PRIO_PROCESS, 0, -5)):\n"
        "    try:\n        call(); print('could')\n"
        "    except (PermissionError, OSError) as error:\n        print('no')\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "print(libc.mount(b'none', b'/mnt', b'tmpfs', 0, None))\n"
    )
    done = container.run(["python", "-c", code])
    assert done.out == "no\n" * 5 + "-1\n", done.err


@pytest.mark.parametrize("where", ["jail", "container"])
def test_the_settings_of_the_kernel_cannot_be_changed(where, container, tmp_path):
    """Root of this machine may write them by name, without any right of root's: https://docs.kernel.org/admin-guide/sysctl/."""
    script = "for name in kernel/core_pattern vm/swappiness; do (: >> /proc/sys/$name) && echo could; done; cat /proc/sys/vm/swappiness"
    if where == "jail":
        done = jail.run(["sh", "-c", script], home=tmp_path, env={"PATH": "/usr/bin:/bin"})
    else:
        done = sh(container, script)
    assert done.out.strip().isdecimal(), done


def test_variables_of_the_image_are_none_of_the_programs_around_it(shared):
    python = shared.find(TAG)
    hostile = image_of(
        shared,
        *python.layers,
        config={
            "Env": [
                "LD_PRELOAD=/evil.so",
                "PATH=/usr/local/bin:/usr/bin",
                "BASH_ENV=/evil",
                "PYTHONHOME=/nowhere",
                "X=--clearenv",
            ]
        },
    )
    done = run(shared, hostile, ["sh", "-c", "echo $LD_PRELOAD $X"])
    assert (done.code, done.out) == (0, "/evil.so --clearenv\n")
    # It is the loader in the container that complains, once for `sh`, and nobody before it.
    assert done.err.count("/evil.so") == 1


def test_commands_that_cannot_be_started(store, container):
    assert container.run(["frobnicate"]).code == 127
    assert container.run(["/etc"]).code == 126
    with pytest.raises(ContainerError, match="there is no folder /nowhere in this image; WORKDIR /nowhere makes it"):
        container.run(["true"], workdir="/nowhere")
    with pytest.raises(ContainerError, match="the image has no user nobdy"):
        container.run(["true"], user="nobdy")
    empty = image_of(store, layer_of(store, Item("x", "file")))
    with pytest.raises(ContainerError, match="neither ENTRYPOINT nor CMD"):
        run(store, empty)


def test_entrypoint_and_command_as_in_docker(shared):
    python = shared.find(TAG)
    image = image_of(
        shared, *python.layers, config={"Entrypoint": ["echo", "one"], "Cmd": ["two"], "WorkingDir": "/tmp"}
    )
    assert run(shared, image).out == "one two\n"
    assert run(shared, image, ["three"]).out == "one three\n"
    assert run(shared, image, entrypoint=["pwd"]).out == "/tmp\n"
    assert run(shared, image, ["-c", "cat; echo $A"], entrypoint=["sh"], stdin="in ", env={"A": "b"}).out == "in b\n"


def test_folders_of_the_machine_can_be_read_and_not_written(container, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rows").write_text("3")
    (tmp_path / "one").write_text("1")
    mounts = {"/mnt/data": tmp_path / "data", "/mnt/one": tmp_path / "one"}
    done = sh(container, "cat /mnt/data/rows /mnt/one; touch /mnt/data/x", mounts=mounts)
    assert done.out == "31"
    assert "Read-only file system" in done.err
    assert sh(container, "ls /mnt").code != 0  # and the places are gone again


def test_services_are_reached_and_nothing_else(container, tmp_path):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"hi")

        def address_string(self):
            return ""

        def log_message(self, *_):
            pass

    place = tmp_path / "s"
    place.mkdir()
    code = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/').read())"
    with socketserver.ThreadingUnixStreamServer(str(place / "socket"), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            assert (
                container.run(["python", "-c", code], services={8080: place / "socket"}, user="nobody").out == "b'hi'\n"
            )
            assert "Connection refused" in container.run(["python", "-c", code]).err
        finally:
            server.shutdown()
            thread.join()


def test_what_a_container_writes_is_gone_at_its_end(shared):
    image = shared.find(TAG)
    with Container(shared, image) as container:
        sh(container, "echo x >> /etc/passwd; rm /etc/hosts; echo y > /tmp/seen")
        assert sh(container, "cat /tmp/seen").out == "y\n"
    done = run(shared, image, ["sh", "-c", "tail -1 /etc/passwd; ls /etc/hosts /tmp/seen"])
    assert done.out.startswith("nobody:")
    assert "/etc/hosts\n" in done.out


@pytest.mark.slow
def test_many_containers_at_once(shared):
    image, seen = shared.find(TAG), {}

    def one(number: int) -> None:
        seen[number] = run(shared, image, ["sh", "-c", f"echo {number} > /etc/mine; cat /etc/mine"]).out

    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {number: f"{number}\n" for number in range(6)}


# ---- hostile commands -------------------------------------------------------------------------------------------------


def stopped(container: Container, script: str, **limits) -> str:
    return sh(container, script, limits=Limits(**{"seconds": 60, "open_files": 1024, **limits})).stopped


def test_a_command_that_never_ends(container):
    assert stopped(container, "trap '' TERM; sleep 60", seconds=0.5) == "it was still running after 0.5 seconds"
    assert sh(container, "echo still fine").out == "still fine\n"


def test_a_fork_bomb(container):
    # The first shell needs one process, as the very first: whoever gets none ends by itself, and may be quicker than the watch.
    script = "bomb() { bomb | bomb & }; (bomb) & while :; do :; done"
    assert stopped(container, script) == "it started more than 128 processes"


def test_a_file_of_ten_gigabytes(container):
    done = sh(container, "truncate -s 10G /sparse", limits=Limits(seconds=60, file_size=1024**2))
    assert (done.code, done.stopped) == (128 + 25, "")


def test_a_command_that_fills_the_disk(container, monkeypatch):
    monkeypatch.setattr(rootfs, "DISK", 30 * jail.MEGABYTE)
    # The next look is soon after the last, but not at once. And what the disk has left is asked first: where a neighbour frees
    # some of it meanwhile, it shows only when the files are looked at anyway.
    script = "for i in $(seq 60); do dd if=/dev/zero of=/big$i bs=1M count=20 2>/dev/null; sleep 0.2; done; sleep 60"
    assert stopped(container, script) == "its files grew by more than 30 MB"


@pytest.mark.slow
def test_a_command_that_makes_files_without_end(container, monkeypatch):
    monkeypatch.setattr(rootfs, "FILES", 3000)
    code = "import os; os.mkdir('/many')\nn = 0\nwhile True:\n    n += 1\n    open(f'/many/{n}', 'w').close()"
    done = container.run(["python", "-c", code], limits=Limits(seconds=60, cpu=60))
    assert done.stopped == "it made more than 3,000 files"


def test_folders_without_rights_are_removed_all_the_same(shared):
    with Container(shared, shared.find(TAG)) as container:
        sh(container, "mkdir -p /a/b/c && touch /a/b/c/d && chmod 0 /a/b/c /a/b /a && chown -R nobody /a")
    assert not container.files.root.parent.exists()


def test_a_secret_is_not_left_beside_the_files_and_variables_are_those_that_were_given(container):
    how = {"env": {"A": "1"}, "secrets": {"/run/x": rootfs.Secret(b"s", mode=0o444)}}
    done = container.files.run(["/usr/bin/env", "-u", "PWD", "sh", "-c", "cat /run/x; echo; export -p"], **how)
    assert done.out == "s\nexport A='1'\nexport PWD='/'\n"
    assert not list(container.files.root.parent.glob("secret-*"))
    assert sh(container, "ls /run").out == ""


@pytest.mark.parametrize("name", ["proc", "dev"])
def test_an_image_whose_mount_points_are_links(store, name):
    hostile = image_of(store, layer_of(store, Item(name, "link", target="/etc")))
    with pytest.raises(ContainerError, match=f"/{name} is a link or no folder in this image"):
        run(store, hostile, ["x"])


def test_a_secret_that_would_be_mounted_outside(desk):
    dockerfile = f"FROM {TAG}\nRUN ln -s /etc /run/secrets\nRUN --mount=type=secret,id=x cat /run/secrets/x"
    with pytest.raises(BuildError, match="/run/secrets is a link or no folder in this image"):
        desk.build(dockerfile, secrets={"x": b"1"})
    with pytest.raises(BuildError, match="leads out of the image"):
        desk.build(f"FROM {TAG}\nRUN --mount=type=secret,id=x,target=../../x true", secrets={"x": b"1"})


def test_a_build_that_is_stopped_keeps_nothing(desk):
    # Seconds enough to come to `echo` also on a busy machine.
    with pytest.raises(BuildError, match="was ended: it was still running after 5 seconds") as error:
        desk.build(f"FROM {TAG}\nRUN echo begun; sleep 60", limits=Limits(seconds=5))
    assert "    begun" in str(error.value)
    assert desk.store.tags().keys() == {TAG}


def test_many_commands_that_each_end_in_time_do_not_make_an_endless_build(desk):
    lines = [f"FROM {TAG}", *(f"RUN sleep 0.4; echo {number}" for number in range(50))]
    with pytest.raises(BuildError, match=r"taken 1 seconds|still running after (0\.\d|1) seconds") as error:
        desk.build("\n".join(lines), seconds=1)
    assert 2 <= len(error.value.steps) <= 5


# ---- trees ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_disk_and_the_tree_agree(store, tmp_path):
    """Layers that were made up, in all ways that one can cover another, come out the same in memory and on the disk."""
    chance = random.Random(4)
    names = ["a", "b", "c"]
    for _ in range(12):
        layers = []
        for _ in range(3):
            items = []
            for _ in range(8):
                path = "/".join(chance.choices(names, k=chance.randint(1, 3)))
                kind = chance.choice(["file", "dir", "dir", "link", "hard", "white", "opaque"])
                folder, _, name = path.rpartition("/")
                if kind == "white":
                    items.append(Item(f"{folder}/.wh.{name}".lstrip("/"), "file"))
                elif kind == "opaque":
                    items.append(Item(f"{path}/.wh..wh..opq", "file"))
                else:
                    items.append(
                        Item(path, kind, 0o755, target=chance.choice([*names, "../b", "/c/a"]).lstrip("./") or "a")
                    )
            layers.append(layer_of(store, *items))
        tree = store.tree(layers)
        # Since nothing: all that is there.
        with Rootfs(store, layers, keep=chance.randint(0, 3)) as files, files.changes(Tree()) as changes:
            there = {item.path: (item.kind, item.target) for item in changes.items}
            there |= {item.path: ("file", "") for item in changes.items if item.kind == "hard"}
        assert there == {path: (node.kind, node.link) for path, node in tree.nodes.items()}


@pytest.mark.parametrize("how", ["overlay", pytest.param("copy", marks=pytest.mark.slow)])
def test_files_have_owners_rights_and_times(store, monkeypatch, how):
    if how == "copy":
        monkeypatch.setattr(rootfs, "OVERLAY", False)
    layer = layer_of(
        store, Item("home/app", "dir", 0o750, 1000, 1000), Item("home/app/x", "file", 0o640, 1000, 33, data=b"1")
    )
    python = store.find(TAG)
    with Container(store, image_of(store, *python.layers, layer)) as container:
        done = sh(
            container,
            "stat -c '%a %u %g %Y' /home/app /home/app/x; echo 2 >> /home/app/x; cat /home/app/x; cat /proc/self/mounts",
        )
    assert done.out.splitlines()[:3] == [f"750 1000 1000 {EPOCH}", f"640 1000 33 {EPOCH}", "12"]
    assert ("overlay / overlay" in done.out) == (how == "overlay")


@pytest.mark.slow
def test_a_machine_with_one_user_only(store, monkeypatch, desk):
    monkeypatch.setattr(rootfs, "_map_many", lambda pid: False)
    done = desk.build(f"FROM {TAG}\nRUN echo 1 > /a && id -u\nUSER 1000\nRUN echo 2 > /tmp/b && id -u")
    assert [step.output for step in done.steps[1:]] == ["0\n", "1000\n"]
    tree = store.tree(done.image.layers)
    assert (tree.nodes["a"].uid, tree.nodes["tmp/b"].uid) == (0, 1000)
    with pytest.raises(BuildError, match="this machine has only one user for images.*apt-get install uidmap"):
        desk.build(f"FROM {TAG}\nRUN chown nobody /srv")


def test_without_bubblewrap_it_is_said(store, monkeypatch):
    monkeypatch.setattr(jail, "bubblewrap", lambda: None)
    with pytest.raises(RootfsError, match="Linux with bubblewrap only"), Rootfs(store, store.find(TAG).layers):
        pass


def test_what_a_killed_process_has_left_is_swept_up(tmp_path):
    store = Store(tmp_path / "store", tmp_path / "cache")
    layers = [layer_of(store, Item("a", "file"))]
    with Rootfs(store, layers):
        (store.cache / "jobs" / "stale" / "root").mkdir(parents=True)
        (store.cache / "trees" / ".new-stale").mkdir()
        with Rootfs(store, layers):  # somebody is at work: it could be theirs
            pass
        assert (store.cache / "jobs" / "stale").exists()
    with Rootfs(store, layers):
        pass
    assert list((store.cache / "jobs").iterdir()) == []
    assert [path.name[:4] for path in (store.cache / "trees").iterdir() if path.is_dir()] == [layers[0].diff_id[7:11]]


def test_trees_and_archives_that_nobody_uses_go_first(tmp_path, monkeypatch):
    monkeypatch.setattr(rootfs, "KEPT", 2)
    monkeypatch.setattr(rootfs, "ARCHIVES", 5000)
    store = Store(tmp_path / "store", tmp_path / "cache")
    chains = [[layer_of(store, Item(name, "file", data=b"x"))] for name in "abcd"]
    for layers in chains:
        with Rootfs(store, layers):
            pass
    with Rootfs(store, chains[3]):
        kept = {path.name for path in (store.cache / "trees").iterdir() if path.is_dir()}
        assert kept == {layers[0].diff_id[7:] for layers in chains[2:]}
        assert len(list((store.cache / "layers").iterdir())) == 2
    with Rootfs(store, chains[0]):  # what was removed is made again
        pass
