"""Dockerfiles become images: what each instruction does, what is taken from the cache, and that nothing depends on the day."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import socketserver
import threading
import time
import zipfile
from pathlib import Path

import pytest
from images_world import TAG, Desk, cache, desk, image_of, layer_of, linux, store

from opslab.worlds.images import base, inspection
from opslab.worlds.images.build import BuildError
from opslab.worlds.images.container import run
from opslab.worlds.images.layers import Item
from opslab.worlds.images.store import Store, StoreError

__all__ = ["cache", "desk", "store"]  # fixtures


def problem(desk: Desk, text: str, **how) -> str:
    """What is said of a Dockerfile that cannot be built."""
    with pytest.raises(BuildError) as error:
        desk.build(text, **how)
    return str(error.value)


# ---- what each instruction does, without running anything -------------------------------------------------------------


def test_what_is_said_about_an_image_is_in_its_config(desk):
    done = desk.build(
        """
        ARG TAG=3-slim
        FROM python:$TAG
        ARG PORT=8000 UNSET
        ENV HOST=0.0.0.0 PORT=9000
        ENV URL="http://$HOST:${PORT}/${UNSET:-x}"
        LABEL org.example.team="clicks & co" port=$PORT
        EXPOSE $PORT 53/udp
        USER www-data
        WORKDIR /srv
        WORKDIR data
        SHELL ["/bin/bash", "-c"]
        STOPSIGNAL SIGINT
        HEALTHCHECK --interval=5s CMD true
        ENTRYPOINT ["python", "-m"]
        CMD http.server $PORT
        """
    )
    config = done.image.run_config
    assert config["Env"][-3:] == ["HOST=0.0.0.0", "PORT=9000", "URL=http://0.0.0.0:9000/x"]
    assert config["Labels"]["org.example.team"] == "clicks & co"
    assert config["Labels"]["port"] == "9000"
    assert sorted(config["ExposedPorts"]) == ["53/udp", "9000/tcp"]
    assert (config["User"], config["WorkingDir"], config["StopSignal"]) == ("www-data", "/srv/data", "SIGINT")
    assert config["Entrypoint"] == ["python", "-m"]
    assert config["Cmd"] == ["/bin/bash", "-c", "http.server $PORT"]
    assert config["Healthcheck"] == {
        "Test": ["CMD-SHELL", "true"],
        "Interval": 5_000_000_000,
        "Timeout": None,
        "StartPeriod": None,
        "Retries": None,
    }
    tree = desk.store.tree(done.image.layers)
    assert (tree.nodes["srv/data"].uid, tree.nodes["srv/data"].gid) == (33, 33)


def test_a_new_entrypoint_forgets_the_command_of_the_base(desk):
    assert desk.build(f"FROM {TAG}").image.run_config["Cmd"] == ["python3"]
    assert desk.build(f'FROM {TAG}\nENTRYPOINT ["a"]').image.run_config["Cmd"] == []
    assert desk.build(f'FROM {TAG}\nCMD ["x"]\nENTRYPOINT ["a"]').image.run_config["Cmd"] == ["x"]


def copied(desk: Desk, dockerfile: str) -> dict[str, tuple]:
    """What the last layer of an image has: path to (mode, uid, gid)."""
    done = desk.build(dockerfile)
    listing = desk.store.listing(done.image.layers[-1])
    return {path: (oct(node.mode)[2:], node.uid, node.gid) for path, node in listing.nodes}


def test_copy_puts_files_where_docker_puts_them(desk):
    desk.put(app__py="1", src___a__py="2", src___sub___b__py="3", x__txt="4", y__txt="5")
    (desk.folder / "app.py").chmod(0o750)
    (desk.folder / "src").chmod(0o700)
    start = f"FROM {TAG}\nWORKDIR /w\n"
    assert copied(desk, f"{start}COPY app.py .") == {"w/app.py": ("750", 0, 0)}
    assert set(copied(desk, f"{start}COPY app.py new.py")) == {"w/new.py"}
    assert set(copied(desk, f"{start}COPY app.py new/")) == {"w/new", "w/new/app.py"}
    assert set(copied(desk, f"{start}COPY app.py /tmp")) == {"tmp/app.py"}
    assert set(copied(desk, f"{start}COPY *.txt there/")) == {"w/there", "w/there/x.txt", "w/there/y.txt"}
    assert set(copied(desk, f"{start}COPY src .")) == {"w/a.py", "w/sub", "w/sub/b.py"}
    assert copied(desk, f"{start}COPY src /new")["new"] == ("755", 0, 0)
    assert copied(desk, f"{start}COPY --chown=www-data --chmod=640 app.py d/e/") == {
        "w/d": ("640", 33, 33),
        "w/d/e": ("640", 33, 33),
        "w/d/e/app.py": ("640", 33, 33),
    }
    assert copied(desk, f"{start}COPY --chown=7:users app.py .") == {"w/app.py": ("750", 7, 100)}
    assert set(copied(desk, f'{start}COPY ["app.py", "a b/"]')) == {"w/a b", "w/a b/app.py"}


def test_copy_goes_through_the_links_of_the_image_and_never_out_of_it(desk):
    desk.put(tool="1")
    assert set(copied(desk, f"FROM {TAG}\nCOPY tool /bin/")) == {"usr/bin/tool"}
    odd = image_of(desk.store, layer_of(desk.store, Item("out", "link", target="../../../../etc")))
    desk.store.tag("odd:1", odd.digest)
    assert set(copied(desk, "FROM odd:1\nCOPY tool /out/x/")) == {"etc", "etc/x", "etc/x/tool"}


def test_links_in_the_folder_are_copied_as_links_and_not_followed_out(desk, tmp_path):
    (tmp_path / "secret").write_text("not for the image")
    desk.put(d___real="1")
    (desk.folder / "d" / "inside").symlink_to("real")
    (desk.folder / "d" / "outside").symlink_to(tmp_path / "secret")
    (desk.folder / "direct").symlink_to("../secret")
    (desk.folder / "up").symlink_to("..")
    done = desk.build(f"FROM {TAG}\nCOPY d /d/")
    tree = desk.store.tree(done.image.layers)
    assert {path: node.link for path, node in tree.below("d")} == {
        "d/inside": "real",
        "d/outside": str(tmp_path / "secret"),
        "d/real": "",
    }
    assert "it is a link to ../secret" in problem(desk, f"FROM {TAG}\nCOPY direct /")
    assert "there is no such file" in problem(desk, f"FROM {TAG}\nCOPY up/secret /")
    assert "not for the image" not in str(inspection.search(desk.store, done.image, ["not for the image"]))


def test_pipes_and_sockets_are_not_waited_for(desk):
    os.mkfifo(desk.folder / "pipe")
    desk.put(a="1")
    done = desk.build(f"FROM {TAG}\nCOPY . /d/")
    assert "d/pipe" not in desk.store.tree(done.image.layers).nodes
    assert any("pipe is a pipe, a socket or a device" in warning for warning in done.warnings)
    os.mkfifo(desk.folder / "Dockerfile.x")
    assert "Dockerfile.x is no file" in problem(desk, "", dockerfile="Dockerfile.x")


def test_setuid_of_a_file_is_not_taken_over(desk):
    desk.put(tool="1")
    (desk.folder / "tool").chmod(0o4755)
    assert copied(desk, f"FROM {TAG}\nCOPY tool /") == {"tool": ("755", 0, 0)}


def test_dockerignore_leaves_out_and_says_so(desk):
    desk.put(app__py="1", __env="KEY=1", data___x="2", data___keep="3")
    desk.put(__dockerignore=".env\ndata\n!data/keep\n")
    assert {"d/app.py", "d/data/keep"} <= set(copied(desk, f"FROM {TAG}\nCOPY . /d/")) | {"d/data/keep"}
    assert not {"d/.env", "d/data/x"} & set(copied(desk, f"FROM {TAG}\nCOPY . /d/"))
    assert ".dockerignore leaves it out (line 1: .env)" in problem(desk, f"FROM {TAG}\nCOPY .env /")
    (desk.folder / "Dockerfile.dockerignore").write_text("app.py")
    assert "leaves it out (line 1: app.py)" in problem(desk, f"FROM {TAG}\nCOPY app.py /")


def test_stages_that_are_not_needed_are_not_built(desk):
    desk.put(a="1")
    dockerfile = f"""
        FROM {TAG} AS one
        COPY a /one
        FROM {TAG} AS unused
        RUN exit 1
        FROM scratch AS two
        COPY --from=one /one /two
        FROM two
        COPY --from=0 /one /three
        LABEL x=y
    """
    done = desk.build(dockerfile)
    assert sorted(desk.store.tree(done.image.layers).nodes) == ["three", "two"]
    assert [step.stage for step in done.steps] == ["one", "one", "two", "two", "3", "3"]
    only = desk.build(dockerfile, target="two")
    assert sorted(desk.store.tree(only.image.layers).nodes) == ["two"]
    assert "there is no stage three in Dockerfile; there are one, unused, two, 3" in problem(
        desk, dockerfile, target="three"
    )


def test_files_come_from_other_images_by_name(desk):
    other = image_of(
        desk.store, layer_of(desk.store, Item("bin", "dir", 0o755), Item("bin/uv", "file", 0o755, 5, 6, data=b"x"))
    )
    desk.store.tag("team/uv:1", other.digest)
    assert copied(desk, "FROM scratch\nCOPY --from=team/uv:1 /bin/uv /bin/") == {
        "bin": ("755", 0, 0),
        "bin/uv": ("755", 5, 6),
    }


def test_names_may_stand_for_other_images(desk):
    pinned = f"{TAG}@sha256:{'1' * 64}"
    assert desk.build(f"FROM {pinned}", images={pinned: TAG}).image.layers == desk.store.find(TAG).layers


# ---- the cache --------------------------------------------------------------------------------------------------------

LOADER = f"""
FROM {TAG}
WORKDIR /app
COPY requirements.txt .
COPY vendor vendor/
COPY . .
LABEL version=1
"""


@pytest.fixture
def loader(desk) -> Desk:
    desk.put(requirements__txt="x\n", vendor___a="1", app__py="print(1)\n")
    desk.build(LOADER)
    return desk


def reasons(done) -> dict[str, str]:
    """The steps that were done anew, and why."""
    return {step.text: step.why for step in done.rebuilt}


def test_the_second_time_everything_is_from_the_cache(loader):
    done = loader.build()
    assert done.rebuilt == []
    assert [step.cached for step in done.steps] == [True] * 5
    assert "[5/5] COPY . .  " in str(done)
    assert done.seconds < 30  # what was done is counted above; this only says that nobody waits for long


def test_one_changed_line_rebuilds_what_has_the_file(loader):
    loader.put(app__py="print(2)\n")
    assert reasons(loader.build()) == {"COPY . .": "changed: app.py"}


def test_a_changed_file_at_the_top_rebuilds_all_that_follows(loader):
    loader.put(requirements__txt="y\n")
    assert reasons(loader.build()) == {
        "COPY requirements.txt .": "changed: requirements.txt",
        "COPY vendor vendor/": "line 4 before it was built again",
        "COPY . .": "changed: requirements.txt",
    }


def test_new_and_missing_files_are_named(loader):
    loader.put(new__py="1")
    (loader.folder / "app.py").unlink()
    assert reasons(loader.build()) == {"COPY . .": "new: new.py; gone: app.py"}


def test_rights_count_and_times_do_not(loader):
    os.utime(loader.folder / "app.py", (1, 1))
    assert loader.build().rebuilt == []
    (loader.folder / "app.py").chmod(0o755)
    assert reasons(loader.build()) == {"COPY . .": "rights, owners or places of the files were changed"}


def test_what_is_ignored_changes_nothing(loader):
    loader.put(__dockerignore=".dockerignore\n*.log\n")
    loader.build()
    loader.put(a__log="1")
    assert loader.build().rebuilt == []


def test_a_changed_instruction(loader):
    assert reasons(loader.build(LOADER.replace("COPY . .", "COPY app.py ."))) == {
        "COPY app.py .": "this instruction is new, or was changed"
    }


def test_what_makes_no_layer_rebuilds_nothing(loader):
    loader.put(__dockerignore="Dockerfile\n.dockerignore\n")
    loader.build()
    dockerfile = LOADER.replace("WORKDIR", "LABEL changed=often\nEXPOSE 80\nWORKDIR").replace("version=1", "version=2")
    assert loader.build(dockerfile).rebuilt == []


def test_a_base_whose_tag_has_moved_rebuilds_everything_and_one_by_digest_nothing(loader):
    before = loader.store.find(TAG)
    pinned = LOADER.replace(TAG, f"{TAG}@{before.digest}")
    first = loader.build(pinned)
    base.install(loader.store, TAG, release="2")
    assert loader.store.find(TAG).digest != before.digest
    assert loader.build(pinned).rebuilt == []
    assert loader.build(pinned).image == first.image
    loader.build(LOADER.replace(TAG, f"{TAG}@{before.digest}"), dockerfile="Dockerfile")
    moved = loader.build(LOADER)
    assert moved.steps[0].why == f"{TAG} is another image than last time"
    assert len(moved.rebuilt) == 4
    assert moved.rebuilt[0].why == f"line 2: {TAG} is another image than last time"


def test_without_the_cache_everything_is_done_and_comes_out_the_same(loader):
    first = loader.build()
    again = loader.build(cache=False)
    assert len(again.rebuilt) == 4
    assert {step.why for step in again.rebuilt} == {"the cache was not asked"}
    assert again.image == first.image


def test_a_layer_that_was_deleted_is_made_again(loader):
    layer = loader.build().image.layers[-1]
    loader.store.blob(layer.digest).unlink()
    assert reasons(loader.build()) == {"COPY . .": "its layer is no longer in the cache"}


def test_old_builds_are_forgotten_and_named_ones_and_bases_are_not(loader, monkeypatch):
    monkeypatch.setattr("opslab.worlds.images.store.NAMELESS", 2)
    monkeypatch.setattr("opslab.worlds.images.store.NOTES", 3)
    monkeypatch.setattr("opslab.worlds.images.store.YOUNG_SECONDS", -1)
    old_base = loader.store.find(TAG)
    base.install(loader.store, TAG, release="2")
    kept = loader.build(tag="kept:1").image
    images = []
    for number in range(5):
        loader.put(app__py=f"print({number + 10})\n")
        images.append(loader.build(tag="moving:1").image)
    store = loader.store
    for image in (old_base, kept, *images[-3:]):
        assert store.find(image.digest) == image
        assert all(store.blob(layer.digest).exists() for layer in image.layers)
    for image in images[:2]:
        with pytest.raises(StoreError):
            store.find(image.digest)
        assert not store.blob(image.layers[-1].digest).exists()
    assert loader.build(tag="moving:1").image == images[-1]


# ---- RUN --------------------------------------------------------------------------------------------------------------


@linux
def test_run_sees_what_was_said_before(desk):
    done = desk.build(
        f"""
        FROM {TAG}
        ARG VERSION=1 SHADOWED=arg
        ENV GREETING="hello there" SHADOWED=env
        WORKDIR /app
        RUN useradd --create-home --uid 10001 app && mkdir out && chown app out
        USER app
        RUN echo "$VERSION $GREETING $SHADOWED $(id -un):$(id -gn) $HOME $PWD" > out/seen && touch no || echo "not mine" >> out/seen
        SHELL ["/bin/bash", "-c"]
        RUN [[ $SOURCE_DATE_EPOCH == 1767225600 ]] && cat out/seen
        RUN ["python", "-c", "import os; print(os.environ.get('SECRET'), os.listdir('/proc/self/fd'))"]
        """,
        args={"VERSION": "2"},
    )
    seen = desk.store.read(done.image, "app/out/seen")
    assert seen == b"2 hello there env app:app /home/app /app\nnot mine\n"
    assert done.steps[-1].output == "None ['0', '1', '2', '3']\n"
    tree = desk.store.tree(done.image.layers)
    assert (tree.nodes["app"].uid, tree.nodes["app/out"].uid, tree.nodes["app/out/seen"].uid) == (0, 10001, 10001)
    assert "RUN |1 VERSION=2 " in str([made.by for made in inspection.history(done.image)])


@linux
def test_a_layer_has_what_was_changed_and_nothing_else(desk):
    done = desk.build(
        f"""
        FROM {TAG}
        RUN mkdir /d && echo 1 > /d/a && ln /d/a /d/b && ln -s a /d/c && chmod 600 /d/a
        RUN rm /d/b && rm -r /srv && touch /etc/hosts && cat /etc/hosts > /tmp/x && rm /tmp/x && chmod u+s /d/a
        """
    )
    first, second = (desk.store.listing(layer).nodes for layer in done.image.layers[-2:])
    assert [(path, node.kind, node.link) for path, node in first] == [
        *(("d", "dir", ""), ("d/a", "file", ""), ("d/b", "hard", "d/a"), ("d/c", "link", "a")),
    ]
    assert [path for path, _ in second] == [".wh.srv", "d/.wh.b", "d/a"]
    assert any("/d/a is setuid or setgid" in warning for warning in done.warnings)


@linux
def test_arguments_count_from_where_they_are_declared(desk):
    dockerfile = f"FROM {TAG}\nRUN echo 1 > /a\nARG V=1\nRUN echo $V > /b\nRUN echo 2 > /c"
    desk.build(dockerfile)
    again = desk.build(args={"V": "2"})
    assert reasons(again) == {
        "RUN echo $V > /b": "the argument V has another value",
        "RUN echo 2 > /c": "the argument V has another value",
    }
    assert desk.build(args={"V": "1"}).rebuilt == []
    changed = desk.build(dockerfile.replace("ARG V=1", "ENV X=1"))
    assert changed.rebuilt[0].why == "this instruction is new, or was changed" or "V" in changed.rebuilt[0].why
    assert any("the build argument W was given" in one for one in desk.build(dockerfile, args={"W": "1"}).warnings)


@linux
def test_a_secret_is_there_for_one_run_and_leaves_nothing(tmp_path):
    # A cache of its own: it is searched, and in that of all tests the neighbours' files come and go.
    store = Store(tmp_path / "store", tmp_path / "cache")
    base.install(store, TAG)
    desk = Desk(tmp_path / "desk", store)
    dockerfile = f"""
        FROM {TAG}
        RUN --mount=type=secret,id=index --mount=type=secret,id=token,env=TOKEN \\
            sha256sum < /run/secrets/index && ls -l /run/secrets && test "$TOKEN" && test ! -w /run/secrets/index
        RUN test ! -e /run/secrets && test -z "$TOKEN"
    """
    secrets = {"index": b"green-cow-7", "token": b"blue-horse-2"}
    done = desk.build(dockerfile, secrets=secrets)
    assert hashlib.sha256(b"green-cow-7").hexdigest() in done.steps[1].output
    assert inspection.search(desk.store, done.image, ["green-cow-7", "blue-horse-2"]) == []
    assert list(desk.store.listing(done.image.layers[-1]).nodes) == []
    # Another value is no reason to build again, as in Docker.
    assert desk.build(secrets={"index": b"other", "token": b"x"}).rebuilt == []
    leftover = [path for path in desk.store.cache.rglob("*") if path.is_file() and b"green-cow-7" in path.read_bytes()]
    assert leftover == []
    assert "the secret x was not given" in problem(desk, f"FROM {TAG}\nRUN --mount=type=secret,id=x,required true")


@linux
def test_secrets_in_the_wrong_places_are_found_in_every_layer(desk):
    desk.put(__env="PASSWORD=hunter-42\n")
    done = desk.build(
        f"FROM {TAG}\nARG INDEX_PASSWORD\nENV API_KEY=k-4711\nCOPY .env /app/\nRUN cp /app/.env /tmp/x\nRUN rm /tmp/x /app/.env",
        args={"INDEX_PASSWORD": "arg-secret"},
    )
    found = inspection.search(desk.store, done.image, ["hunter-42", "k-4711", "arg-secret", "not-there"])
    assert {(one.text, one.layer, one.path, one.deleted) for one in found} == {
        ("hunter-42", 3, "app/.env", True),
        ("hunter-42", 4, "tmp/x", True),
        ("k-4711", 0, "variables", False),
        ("k-4711", 0, "history", False),
        ("arg-secret", 0, "history", False),
    }
    assert "layer 3 (COPY .env /app/): app/.env, deleted by a later layer" in map(str, found)
    assert [warning.split(":")[0] for warning in done.warnings] == ["line 2", "line 3"]


def test_what_a_later_layer_covers_is_found_too(store):
    old, new = (layer_of(store, Item("key", "file", data=text)) for text in (b"key-1", b"key-2"))
    found = inspection.search(store, image_of(store, old, new), ["key-1", "key-2", "key"])
    assert {(one.text, one.layer, one.deleted) for one in found} == {
        *(("key-1", 1, True), ("key-2", 2, False)),
        *(("key", 1, True), ("key", 2, False)),
    }
    linked = layer_of(store, Item("link", "link", target="key-3"), Item("file-key-3", "file"))
    found = inspection.search(store, image_of(store, linked), ["key-3"])
    assert [one.path for one in found] == ["file-key-3", "link"]


def wheel(name: str, version: str) -> tuple[str, bytes]:
    """A wheel, and what its file is called."""
    out = io.BytesIO()
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(out, "w") as archive:
        for path, text in {
            f"{name}.py": f'VERSION = "{version}"\nKINDS = {{"a", "b", "c"}}\n\n\ndef known(x):\n    return x in {{"d", "e", "f"}}\n',
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/RECORD": "",
        }.items():
            archive.writestr(path, text)
    return f"{name}-{version}-py3-none-any.whl", out.getvalue()


@pytest.fixture
def index(tmp_path) -> Path:
    """A package index that listens on a unix socket: the path of the socket."""
    files = dict([wheel("driver", "2.8.0"), wheel("driver", "2.9.0")])

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.rpartition("/")[2]
            links = "".join(f'<a href="/{file}">{file}</a>' for file in files)
            body = files.get(name) or (links.encode() if "/driver/" in self.path else b"")
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "text/html" if name not in files else "application/zip")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self):
            return "pip"

        def log_message(self, *_):
            pass

    folder = tmp_path / "index"
    folder.mkdir()
    with socketserver.ThreadingUnixStreamServer(str(folder / "s"), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder / "s"
        server.shutdown()
        thread.join()


@linux
@pytest.mark.slow
def test_pip_installs_from_the_index_of_the_world_and_the_digest_does_not_depend_on_the_day(
    desk, index, cache, tmp_path
):
    desk.put(requirements__txt="driver<2.9\n", app__py="import driver; print(driver.VERSION)\n")
    dockerfile = f"""
        FROM {TAG}
        RUN useradd --create-home app
        WORKDIR /app
        COPY requirements.txt .
        RUN pip install --no-cache-dir -r requirements.txt
        COPY . .
        USER app
        CMD ["python", "app.py"]
    """
    how = {"services": {8081: index}, "env": {"PIP_INDEX_URL": "http://127.0.0.1:8081/simple"}}
    first = desk.build(dockerfile, **how)
    assert run(desk.store, first.image).out == "2.8.0\n"
    names = {(package.name, package.version) for package in inspection.packages(desk.store, first.image)}
    assert ("driver", "2.8.0") in names
    assert "PIP_INDEX_URL" not in str(first.image.config)
    # On another day, in another store, with another clock: useradd and pip would write all three down.
    other = Store(tmp_path / "other", cache)
    base.install(other, TAG)
    (desk.folder / "app.py").touch()
    time.sleep(1.1)
    second = Desk(desk.folder, other).build(**how)
    assert len(second.rebuilt) == 5
    assert second.image.digest == first.image.digest
    assert b":20454:" in desk.store.read(first.image, "etc/shadow")  # the day that SOURCE_DATE_EPOCH names
    # And without the index, pip says what is the matter.
    said = problem(desk, dockerfile.replace("RUN useradd", "RUN true && useradd"))
    assert "a build reaches the package index of its world and nothing else; none was given" in said


# ---- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("COPY aap.py .", "line 3: COPY aap.py: there is no such file in desk. Did you mean app.py?"),
        ("COPY b.py .", "Did you mean src/b.py?"),
        ("COPY /home/me/loader/x.txt .", "Paths of COPY begin in the folder of the build; leave out the /"),
        ("COPY app.py src/b.py there", "2 things are copied to there, which has to be a folder then"),
        ("COPY *.nothing .", "there is no such file in desk"),
        ("COPY src /etc/hosts", "/etc/hosts is a file in the image, and would have to be a folder"),
        ("COPY app.py /etc/hosts/x/", "/etc/hosts is a file in the image"),
        ("COPY --chown=nobdy app.py .", "the image has no user nobdy. There are root, daemon, www-data, nobody"),
        ("COPY --chown=root:staff app.py .", "the image has no group staff"),
        ("COPY --chown=70000 app.py .", "ids go up to 65535 here"),
        ("COPY --chmod=rwx app.py .", "--chmod=rwx: expected three octal digits"),
        ("COPY --from=later app.py .", "--from=later is no stage before this line"),
        (
            "COPY --from=ghcr.io/astral-sh/uv:0.9 /uv /bin/",
            "ghcr.io would have to be asked for it, and nothing here leaves",
        ),
        ("COPY --from=base /bin/uv /bin/", "COPY --from=base /bin/uv: there is no /bin/uv in it"),
        ("COPY $NOWHERE/.. .", "a build can take only what is in its folder"),
        ("WORKDIR $NOTHING", "WORKDIR $NOTHING comes to nothing"),
        ("EXPOSE 99999", "99999 is no port"),
        ("WORKDIR /etc/passwd/x", "/etc/passwd is a file in the image"),
    ],
)
def test_what_cannot_be_built_is_said_with_its_line(desk, line, said):
    desk.put(app__py="1", src___b__py="2")
    text = problem(desk, f"FROM {TAG} AS base\nFROM base\n{line}")
    assert said in text
    assert text.startswith("line 3: ")


@pytest.mark.parametrize(
    ("dockerfile", "said"),
    [
        (
            "FROM docker.io/library/python:3-slim",
            "line 1: FROM docker.io/library/python:3-slim: docker.io is Docker Hub",
        ),
        ("FROM python:3.12-slim", "Here there is python:3-slim."),
        ("FROM $NAME", "$NAME stands for nothing"),
        (
            "FROM scratch AS x\nCOPY --from=y a b\nFROM scratch AS y\nCOPY --from=x a b",
            "--from=y: that stage comes later",
        ),
        ("FROM scratch AS x\nCOPY --from=x a b", "that stage comes later, or is this one"),
        ("FROM Python:3", "there are capital letters in it"),
    ],
)
def test_a_base_that_is_not_there(desk, dockerfile, said):
    assert said in problem(desk, dockerfile)


def test_a_dockerfile_that_is_not_there(desk):
    (desk.folder / "dockerfile.txt").write_text("")
    assert problem(desk, "") == "there is no Dockerfile in desk. Did you mean dockerfile.txt?"
    (desk.folder / "Dockerfile").write_bytes(b"\xff\xfe")
    assert "is no text in UTF-8" in problem(desk, "")


def test_a_folder_with_thousands_of_files(desk, monkeypatch):
    monkeypatch.setattr("opslab.worlds.images.context.FILES", 50)
    for number in range(60):
        desk.put(**{f"data___{number}": ""})
    said = problem(desk, f"FROM {TAG}")
    assert "there are more than 50 files" in said
    assert "Name what the image does not need in .dockerignore" in said
    desk.put(__dockerignore="data")
    desk.build(f"FROM {TAG}")


def test_a_sparse_file_in_the_folder_is_not_copied(desk):
    with (desk.folder / "big").open("wb") as file:
        file.truncate(10 * 1024**3)
    started = time.process_time()  # to read so many zeros is work, whatever else the machine does meanwhile
    assert "500 MB in desk (the last one was big)" in problem(desk, f"FROM {TAG}\nCOPY . .")
    assert time.process_time() - started < 5


@linux
@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "RUN apt-get update && apt-get install -y curl",
            "apt-get is not in this image: there is no archive of system packages",
        ),
        ("RUN curl -O https://x.example/y", "curl is not in this image: nothing can be downloaded here"),
        ('RUN ["adduser", "app"]', "adduser is not in this image: the base image has useradd"),
        ("RUN frobnicate --all", "frobnicate is not in this image: look for what it is called"),
        ("RUN echo before; echo to err >&2; exit 3", "ended with exit code 3.\n    before\n    to err"),
        (
            "USER app\nRUN true",
            "line 3: the image has no user app. There are root, daemon, www-data, nobody. RUN useradd app makes it",
        ),
        ("RUN truncate -s 10G /sparse", "a file can have up to 512 MB here"),
    ],
)
def test_a_run_that_fails_says_why(desk, line, said):
    assert said in problem(desk, f"FROM {TAG}\n{line}")


@linux
def test_run_in_an_empty_image(desk):
    assert "FROM scratch has no shell and no tools" in problem(desk, "FROM scratch\nRUN echo x")


def test_a_user_whom_the_image_does_not_have_is_told(desk):
    assert any("USER app: the image has no such user" in one for one in desk.build(f"FROM {TAG}\nUSER app").warnings)
    assert desk.build(f"FROM {TAG}\nUSER 10001").warnings == []


def test_how_far_a_build_came_is_known(desk):
    desk.put(a="1")
    with pytest.raises(BuildError) as error:
        desk.build(f"FROM {TAG}\nCOPY a /\nCOPY b /")
    assert [step.text for step in error.value.steps] == [error.value.steps[0].text, "COPY a /"]


def test_the_steps_are_told_as_they_go(desk):
    said: list[str] = []
    desk.put(a="1")
    desk.build(f"FROM {TAG}\nCOPY a /", say=said.append)
    assert said[1].startswith("[2/2] COPY a /")
