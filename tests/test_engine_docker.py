"""`docker` as somebody types it: its options, what it prints, its exit codes; and `scan`. In the jail, too."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_world import BIN, Desk, cache, linux, program, small
from patience import kept_port

from opslab import jail
from opslab.worlds import packages, workspace
from opslab.worlds.images import base
from opslab.worlds.images.build import build
from opslab.worlds.images.engine import Engine
from opslab.worlds.images.registry.server import Registry
from opslab.worlds.images.registry.team import Team, User
from opslab.worlds.images.store import Store

__all__ = ["cache"]

DOCKER = program("docker")
NAME = "registry.targ.example"
USERS = {"you": User("a password", {"clicks/*": "pull push"}), "ben": User("ben's", {"*": "pull"})}
LOADER = "FROM python:3-slim\nWORKDIR /app\nCOPY requirements.txt .\nRUN pip install -r requirements.txt\nCOPY . .\n"

# ---- pure parts ------------------------------------------------------------------------------------------------------


def test_options_as_docker_reads_them():
    line = ["--rm=true", "-e", "A=1", "-eB=2", "--env=C", "-u=app", "-w", "/x", "image", "-e", "--", "D"]
    given, words = DOCKER.parsed("run", ["-i", *line])
    assert given == {"interactive": True, "rm": True, "env": ["A=1", "B=2", "C"], "user": "app", "workdir": "/x"}
    assert words == ["image", "-e", "--", "D"]
    given, words = DOCKER.parsed("build", [".", "-qt", "x:1", "--no-cache=false", "-f", "D"])
    assert given == {"quiet": True, "tag": ["x:1"], "no-cache": False, "file": "D"} and words == ["."]
    assert DOCKER.parsed("inspect", ["--", "-f"]) == ({}, ["-f"])


REFUSED = {
    "compose up": "docker compose is not there: a desk has one image",
    "exec -it x sh": "docker exec is not there: a container lives as long",
    "image prune": "docker image prune is not there",
    "frobnicate": "docker frobnicate is not there: docker --help",
    "run -p 80:80 x": "docker run -p is not there: no port of a container",
    "run --publish 80:80 x": "no port of a container",
    "run -it x sh": "docker run -t is not there: there is no terminal",
    "run --privileged x": "no container gets rights",
    "run --network host x": "--network host is not there",
    "run -v data:/data x": "there are no volumes with names. For a folder of this machine write ./data:/data:ro",
    "run -v ./nowhere:/data x": "there is no ./nowhere here",
    "run -v .:data x": "has to begin with /",
    "run --mystery x": "there is -e, --env",
    "run": "requires at least 1 argument",
    "run -e": "-e needs a value",
    "run -e =1 x": "names no variable",
    "run --rm=perhaps x": "takes no value",
    "build": "requires 1 argument",
    "build nowhere": 'path "nowhere" not found',
    "build -": "begins with a folder",
    "build https://github.com/x/y.git": "begins with a folder",
    "build --platform linux/arm64 .": "an image is built for this machine",
    "build --secret id=x,file=y .": "expected id=NAME,src=FILE",
    "build --secret id=x,src=nowhere .": "nowhere cannot be read",
    "build --secret id=x,env=NOWHERE .": "no variable NOWHERE",
    "build -f ../Dockerfile .": "has to be in the folder of the build",
    "build -f nowhere .": "no such file or directory. Did you mean -f Dockerfile?",
    "login": "docker means Docker Hub",
    "login --password-stdin x.example": "Must provide --username",
    "login -u a x.example": "non TTY device",
    "tag x": "requires 2 arguments",
    "inspect --type container x": "only images",
    "images --filter dangling=true": "docker images NAME shows",
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_is_not_there_is_refused_by_name(line, tmp_path, monkeypatch):
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{silent.getsockname()[1]}")
        if line.startswith("build --secret"):
            monkeypatch.setattr(DOCKER, "ask", lambda *_: {"wanted": "1"})
        with pytest.raises(DOCKER.Problem) as problem:
            DOCKER.main(line.split())
    assert REFUSED[line] in str(problem.value), problem.value
    assert (problem.value.code or 1) == (125 if line.split()[0] == "run" else 1)


def test_help(capsys):
    for line in ([], ["--help"], *([command, "--help"] for command in DOCKER.COMMANDS)):
        assert DOCKER.main(line) == 0
    assert "--build-arg VALUE" in capsys.readouterr().out


ROW = {
    "Id": "sha256:1",
    "RepoDigests": ["a@sha256:1", "b@sha256:1"],
    "Config": {
        "User": "app",
        "Env": ["A=1"],
        "Labels": {"x.y": "z"},
        "ExposedPorts": {"80/tcp": {}},
        "Healthcheck": None,
    },
    "Size": 3,
}

TEMPLATES = {
    "{{.Id}}": "sha256:1",
    "{{ .Config.User }}-{{.Size}}": "app-3",
    "{{json .Config.Env}}": '["A=1"]',
    "{{.Config.Env | json}}": '["A=1"]',
    "{{index .RepoDigests 0}}": "a@sha256:1",
    '{{index .Config.Labels "x.y"}}': "z",
    '{{index .Config.Labels "none"}}': "",
    "{{.RepoDigests}} {{.Config.ExposedPorts}}": "[a@sha256:1 b@sha256:1] map[80/tcp:map[]]",
    "{{len .RepoDigests}}": "2",
    "{{range .RepoDigests}}{{.}},{{end}}.": "a@sha256:1,b@sha256:1,.",
    "{{range .Config.Env}}{{println .}}{{end}}": "A=1\n",
    r"{{.Id}}\t{{.Size}}": "sha256:1\t3",
    "{{.Config.Missing}}": "",
    "{{json .Config.Healthcheck}}": "null",
}


@pytest.mark.parametrize("template", TEMPLATES)
def test_templates(template):
    assert DOCKER.filled(template, ROW) == TEMPLATES[template]


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{.Nothing}}", "there is no .Nothing; there is .Id, .RepoDigests"),
        ("{{index .RepoDigests 5}}", "there is no 5 in"),
        ("{{if .Id}}x{{end}}", "is not read here"),
        ("{{Id}}", "is not read here"),
        ("{{json Id}}", "begins with a dot"),
        ("{{range .RepoDigests}}x", "has no {{end}}"),
    ],
)
def test_templates_that_are_none(template, words):
    with pytest.raises(DOCKER.Problem) as problem:
        DOCKER.filled(template, ROW)
    assert words in str(problem.value)


def test_sizes_and_ages():
    assert [DOCKER.size(n) for n in (0, 999, 1000, 12_345, 999_600, 88_800_000, 1.5e9, 5e12)] == [
        "0B", "999B", "1kB", "12.3kB", "1MB", "88.8MB", "1.5GB", "5e+03GB",
    ]  # fmt: skip
    assert DOCKER.age("") == "N/A" and DOCKER.age("2001-01-01T00:00:00.123Z").endswith("years ago")
    assert DOCKER.age("2999-01-01T00:00:00Z") == "Less than a minute ago"


# ---- without an engine -------------------------------------------------------------------------------------------------


def test_where_no_engine_runs(tmp_path, monkeypatch):
    with kept_port() as port:
        for host, words in (
            (f"tcp://127.0.0.1:{port}", "The desk is not open: run the first cell of the notebook, or opslab shell"),
            ("", "no engine is named in DOCKER_HOST"),
            ("unix:///var/run/docker.sock", "the desk sets DOCKER_HOST itself"),
            ("tcp://registry.example:2375", "the engine of the desk is at a port"),
            ("tcp://127.0.0.1:many", "the engine of the desk is at a port"),
        ):
            monkeypatch.setenv("DOCKER_HOST", host)
            with pytest.raises(DOCKER.Problem) as problem:
                DOCKER.main(["images"])
            assert words in str(problem.value)


def test_an_engine_that_stops_in_the_middle(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server, contextlib.ExitStack() as stack:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.getsockname()[1]}")

        def answer() -> None:
            for text in (b"", b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b'HTTP/1.1 200 OK\r\n\r\n{"out"'):
                line = server.accept()[0]
                line.recv(65536)
                line.sendall(text)
                line.close()

        thread = threading.Thread(target=answer)
        stack.callback(thread.join)
        thread.start()
        for _ in range(3):
            with pytest.raises(DOCKER.Problem, match="stopped in the middle"):
                DOCKER.main(["images"])


# ---- with one: images without programs -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Iterator[Desk]:
    """A desk whose images have no programs, and the team's registry."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "socket").mkdir()
    with (
        Registry(Team(folder / "registry", USERS)) as registry,
        Engine(Store(folder / "store", folder / "cache"), hosts={NAME: registry.address}) as engine,
    ):
        small(engine.commands.store, "python:3-slim")
        yield Desk(folder / "home", engine)


def test_images_history_inspect(plain):
    digest = small(plain.engine.commands.store, "loader:1.0", a="x" * 1500)
    assert plain.ok("docker", "images", "loader").splitlines()[0].split("  ")[0] == "REPOSITORY"
    head, row = plain.ok("docker", "image", "ls", "--digests", "--no-trunc", "loader").splitlines()
    assert head.split() == ["REPOSITORY", "TAG", "DIGEST", "IMAGE", "ID", "CREATED", "SIZE"]
    assert row.split()[:4] == ["loader", "1.0", digest, digest] and row.endswith("1.5kB")
    assert plain.ok("docker", "images", "-q", "loader") == f"{digest[7:19]}\n"
    assert (
        plain.ok("docker", "images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}", "loader:1.0")
        == f"loader:1.0 {digest[7:19]}\n"
    )
    assert plain.ok("docker", "inspect", "--format", "{{index .RepoDigests 0}}", "loader:1.0") == f"loader@{digest}\n"
    assert plain.ok("docker", "inspect", "-f", "{{.Id}} {{.Config.User}} {{json .Config.Env}}", digest[7:15]) == f'{digest} app ["PATH=/bin","A=1"]\n'  # fmt: skip
    (found,) = json.loads(plain.ok("docker", "inspect", "loader:1.0"))
    assert (
        found["RepoTags"] == ["loader:1.0"]
        and found["Config"]["Cmd"] == ["/a", "b"]
        and len(found["RootFS"]["Layers"]) == 1
    )
    assert plain.ok("docker", "history", "loader:1.0").splitlines()[1].split()[0] == digest[7:19]
    done = plain.run("docker", "inspect", "loader:1.0", "nowhere")
    assert (
        done.returncode == 1 and len(json.loads(done.stdout)) == 1 and "Error: No such object: nowhere" in done.stderr
    )
    assert "There are: loader:1.0" in plain.refused("docker", "history", "nowhere")
    assert plain.ok("docker", "ps").startswith("CONTAINER ID")
    assert "none of Docker" in plain.ok("docker") and "Not Docker's either" in plain.ok("docker", "version")
    assert plain.ok("docker", "tag", "loader:1.0", "loader:2.0") == ""
    assert plain.ok("docker", "rmi", "loader:2.0") == "Untagged: loader:2.0\n"


def test_a_build_sends_what_is_wanted(plain, tmp_path):
    """Nothing that .dockerignore names is sent, and a build is what it would be without the engine."""
    for path, text in {
        "app/Dockerfile": "FROM scratch\nARG WHAT\nCOPY . /app\nLABEL what=$WHAT\n",
        "app/.dockerignore": "data\n!data/keep\nDockerfile\n*.log\n",
        "app/data/big": "x" * 1000, "app/data/keep": "k", "app/run.sh": "#!/bin/sh", "app/a.log": "a",
    }.items():  # fmt: skip
        plain.put(path, text)
    folder = plain.home / "app"
    (folder / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "empty").mkdir()
    done = plain.run("docker", "build", "-t", "app", "--build-arg", "WHAT=it", "--iidfile", "id", "app")
    assert done.returncode == 0 and done.stdout == "" and "[2/2] COPY . /app" in done.stderr
    here = build(folder, Store(tmp_path / "store", tmp_path / "cache"), args={"WHAT": "it"})
    assert (
        plain.home / "id"
    ).read_text() == here.image.digest and f"writing image {here.image.digest} done" in done.stderr
    store = plain.engine.commands.store
    assert sorted(store.tree(here.image.layers).nodes) == [
        "app", "app/.dockerignore", "app/data", "app/data/keep", "app/empty", "app/link", "app/run.sh",
    ]  # fmt: skip
    again = plain.run("docker", "buildx", "build", "-t", "app", "--build-arg", "WHAT", "app", WHAT="it")
    assert again.stderr.count("CACHED") == 2
    (folder / "run.sh").write_text("#!/bin/bash")
    assert "(changed: run.sh)" in plain.run("docker", "build", "app").stderr
    plain.put("app/Copy", "FROM scratch\nCOPY data/big /\n")
    why = plain.refused("docker", "build", "-f", "app/Copy", "app")
    assert (
        "docker: ERROR: failed to build app:\nline 2: COPY data/big: .dockerignore leaves it out (line 1: data)." in why
    )
    plain.put("app/Copy", "FROM scratch\nCOPY a.log /\n")
    assert "leaves it out (line 4: *.log)" in plain.refused("docker", "build", "-f", "app/Copy", "app")
    assert plain.ok("docker", "build", "-q", "app").startswith("sha256:")
    assert "line 1: FORM is no instruction" in plain.refused(
        "docker", "build", str(plain.put("bad/Dockerfile", "FORM x\n").parent)
    )


def test_files_that_are_strange(plain):
    folder = plain.put("strange/Dockerfile", "FROM scratch\nCOPY . /\n").parent
    (folder / "zażółć gęślą").write_text("x")
    with contextlib.suppress(OSError):
        (folder / b"caf\xe9".decode("utf-8", "surrogateescape")).write_text("x")
    os.mkfifo(folder / "pipe")
    done = plain.run("docker", "build", "-t", "strange", "strange")
    assert done.returncode == 0 and "WARNING: pipe: no file, folder or link, and not sent" in done.stderr
    with (folder / "sparse").open("wb") as file:
        file.truncate(10 * 1024**3)
    assert "Name what the image does not need in .dockerignore" in plain.refused("docker", "build", "strange")
    (folder / ".dockerignore").write_text("sparse\n")
    assert plain.run("docker", "build", "strange").returncode == 0
    (folder / "new\nline").write_text("x")
    assert "no path inside" in plain.refused("docker", "build", "strange")


def test_log_in_push_pull(plain):
    """By a name that looks like at work, and that no name server knows."""
    image = f"{NAME}/clicks/loader:1.0"
    digest = small(plain.engine.commands.store, image, a="pushed")
    assert f"docker: unauthorized: Please log in to push. docker login {NAME}" in plain.refused("docker", "push", image)
    assert "There is no user 'you' with this" in plain.refused(
        "docker", "login", "-u", "you", "--password-stdin", NAME, stdin="wrong\n"
    )
    assert not (plain.home / ".docker/config.json").exists()
    done = plain.run("docker", "login", "-u", "you", "--password-stdin", f"https://{NAME}/", stdin="a password\n")
    assert done.stdout == "Login Succeeded\n" and "stored unencrypted" in done.stderr
    kept = plain.home / ".docker/config.json"
    assert list(json.loads(kept.read_text())["auths"]) == [NAME] and kept.stat().st_mode & 0o077 == 0
    said = plain.ok("docker", "push", image)
    assert said.startswith(f"The push refers to repository [{NAME}/clicks/loader]\n") and "Pushed" in said
    assert f"1.0: digest: {digest} size: " in said
    assert "Layer already exists" in plain.ok("docker", "push", image)
    assert "denied: you may not push in others/x" in plain.refused(
        "docker", "push", *_tagged(plain, image, f"{NAME}/others/x:1")
    )
    plain.ok("docker", "rmi", image, f"{NAME}/others/x:1")
    assert "Downloaded newer image" in plain.ok("docker", "pull", image)
    assert "Image is up to date" in plain.ok("docker", "pull", image)
    assert plain.ok("docker", "pull", "-q", f"{NAME}/clicks/loader@{digest}") == f"{NAME}/clicks/loader@{digest}\n"
    assert plain.ok("docker", "images", "-q", "--no-trunc", f"{NAME}/clicks/loader") == f"{digest}\n"
    assert "manifest unknown" in plain.refused("docker", "pull", f"{NAME}/clicks/loader:9")
    plain.ok("docker", "rmi", image)
    plain.put("from/Dockerfile", f"FROM {NAME}/clicks/loader@{digest}\nCOPY Dockerfile /\n")
    assert f"Pulled {NAME}/clicks/loader@{digest}" in plain.run("docker", "build", "from").stderr
    assert plain.ok("docker", "logout", NAME) == f"Removing login credentials for {NAME}\n"
    assert plain.ok("docker", "logout", NAME) == f"Not logged in to {NAME}\n"
    kept.write_text("{")
    assert "Repair it, or take it away" in plain.refused("docker", "push", image)
    kept.unlink()


def _tagged(desk: Desk, image: str, name: str) -> tuple[str]:
    desk.ok("docker", "tag", image, name)
    return (name,)


# ---- with the base image: RUN, containers, scans ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def desk(tmp_path_factory, cache) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    store = Store(folder / "store", cache)
    base.install(store, "python:3-slim")
    with (
        packages.Server(packages.Index(seed=1, day=packages.WEDNESDAY)) as index,
        Engine(store, services=index.services, env=packages.settings(index.url), osv_url=index.osv_url) as engine,
    ):
        desk = Desk(
            folder / "home",
            engine,
            SCAN_DAY="2026-11-18",
            PIP_AUDIT_OSV_URL=index.osv_url,
            **packages.settings(index.url),
        )
        desk.services = {**index.services, **engine.services}
        yield desk


@linux
def test_in_the_jail(desk):
    """A build with pip, the container, and its exit code, from where nothing of the course can be seen."""
    desk.put("app/Dockerfile", LOADER + 'CMD ["python", "app.py"]\n')
    desk.put("app/requirements.txt", "pykontor==2.8.6\n")
    desk.put(
        "app/app.py",
        "import os, pykontor, signal\nprint(pykontor.__version__, flush=True)\nos.kill(os.getpid(), signal.SIGSEGV)\n",
    )
    desk.put(".config/containers/policy.json", "{}")

    def jailed(line: str) -> jail.Done:
        how = {"read_only": workspace.tool_folders(), "hide": workspace.secret_folders(), "services": desk.services}
        return jail.run(["bash", "-c", line], home=desk.home, env=desk.env, limits=jail.Limits(seconds=100), **how)

    done = jailed("docker build -t loader:1.0 app && docker run --rm loader:1.0")
    assert (done.code, done.out) == (139, "2.8.6\n"), done.err
    assert "Collecting pykontor==2.8.6" in done.err and "[4/5] RUN pip install" in done.err
    done = jailed("scan loader:1.0 --json report.json --sbom sbom.json")
    assert done.code == 1 and "TSA-2026-0003" in done.out and "HELD BACK on 2026-11-18" in done.out
    assert json.loads((desk.home / "report.json").read_text())["findings"][0]["package"] == "pykontor"
    assert json.loads((desk.home / "sbom.json").read_text())["metadata"]["component"]["name"] == "loader:1.0"
    assert jailed(f"cat {BIN}/../../jail.py").code == 1


@linux
def test_containers(desk):
    desk.put("data/rows.tsv", "1\n2\n")
    (desk.home / "data/rows.tsv").chmod(0o600)
    image = "python:3-slim"
    done = desk.run("docker", "run", "--rm", "-e", "A=1", "-e", "B", "-w", "/tmp", "-u", "nobody", "-i", "-v", "./data:/data:ro", image,
                    "sh", "-c", "echo $A $B; pwd; id -un; cat; cat /data/rows.tsv; echo x > /data/y; exit 3", stdin="in\n", B="two")  # fmt: skip
    assert (done.returncode, done.stdout.split()) == (3, ["1", "two", "/tmp", "nobody", "in", "1", "2"])
    assert "Read-only" in done.stderr or "ermission denied" in done.stderr
    assert "nosuch" in desk.refused("docker", "run", image, "nosuch", code=127)
    assert "ermission denied" in desk.refused("docker", "run", image, "/etc/passwd", code=126)
    assert "there is no image nowhere:1" in desk.refused("docker", "run", "nowhere:1", code=125)
    assert "the image has no user who" in desk.refused("docker", "run", "-u", "who", image, code=125)
    assert desk.ok("docker", "run", "--entrypoint", "echo", image, "-n", "x") == "x"
    desk.put("env", "# a comment\nX=from a file\n")
    assert (
        desk.ok("docker", "run", "--env-file", "env", "--network", "none", image, "sh", "-c", 'echo "$X"')
        == "from a file\n"
    )


@linux
def test_a_secret_and_a_build_that_fails(desk):
    desk.put("secret", "hunter2")
    desk.put(
        "s/Dockerfile",
        "FROM python:3-slim\nRUN --mount=type=secret,id=a cat /run/secrets/a | wc -c; echo a line; false\n",
    )
    done = desk.run("docker", "build", "--secret", "id=a,src=secret", "s")
    assert done.returncode == 1 and "\n#4 ERROR\n" in done.stderr
    assert done.stderr.endswith("a line; false ended with exit code 1.\n    7\n    a line\n"), done.stderr
    assert "hunter2" not in done.stderr


@linux
@pytest.mark.slow
def test_scans(desk):
    lock = desk.put("requirements.lock", "pykontor==2.8.6\ntarg-loader==1.4.0\n")
    held = desk.run("scan", str(lock))
    assert held.returncode == 1 and "pykontor" in held.stdout and "1 open" in held.stdout
    desk.put("exceptions.toml", '[[exception]]\nid = "TSA-2026-0003"\npackage = "pykontor"\nuntil = 2026-12-01\nwho = "ana"\n'
             'reason = "load.py writes the name of the table itself; we wait for 2.9.1"\n')  # fmt: skip
    assert "passed on 2026-11-18" in desk.ok("scan", str(lock), "--exceptions", "exceptions.toml")
    assert (
        "it ended on 2026-12-01"
        in desk.run("scan", str(lock), "--exceptions", "exceptions.toml", "--day", "2026-12-24").stdout
    )
    desk.put("venv/lib/site-packages/targ_units-1.2.0.dist-info/METADATA", "Name: targ-units\nVersion: 1.2.0\n")
    assert "TSA-" in desk.run("scan", "venv").stdout
    assert "there is no file nowhere.txt" in desk.refused("scan", "nowhere.txt", code=2)
    assert "no image nowhere:1" in desk.refused("scan", "nowhere:1", code=2)
    assert "no package is installed" in desk.refused("scan", str(desk.put("empty/x", "").parent), code=2)
    assert "is not the advisory service" in desk.refused(
        "scan", str(lock), PIP_AUDIT_OSV_URL="http://osv.dev/v1/query", code=2
    )
    assert "no file nowhere.toml" in desk.refused("scan", str(lock), "--exceptions", "nowhere.toml", code=2)


def test_where_there_is_no_skopeo(tmp_path):
    """The command of the desk says what does it instead."""
    (tmp_path / "bin").mkdir()
    for name in ("bash", "dirname", "env"):
        (tmp_path / "bin" / name).symlink_to(Path(shutil.which(name)).resolve())
    done = jail.run([str(BIN / "skopeo")], home=tmp_path, env={"PATH": f"{BIN}:{tmp_path}/bin"}, read_only=[BIN])
    assert done.code == 127 and "docker pull, docker tag and docker push" in done.err
