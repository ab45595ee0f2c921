"""What must never happen: a call to a real AWS, and a touch of the learner's own home.

The "elsewhere" of these tests is a socket on another address of this machine, 127.66.66.66, which must not hear a thing.
Each test first shows that its trap works: the same call, made outside of the world, does go there.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from opslab import jail
from opslab.worlds import workspace
from opslab.worlds.aws import cloud

BIN = Path(sys.executable).parent
AWS = [str(BIN / "aws"), "--cli-connect-timeout", "30", "--cli-read-timeout", "30"]

FAKE_KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIAFAKEFAKEEXAMPLE1",
    "AWS_SECRET_ACCESS_KEY": "a-fake-key-for-a-test",
    "AWS_SESSION_TOKEN": "a-fake-token-for-a-test",
    "AWS_MAX_ATTEMPTS": "1",
}


class Elsewhere:
    """A place that should not be called: it takes every connection, notes it, and hangs up."""

    def __init__(self) -> None:
        # macOS has only 127.0.0.1 unless told otherwise; the port tells the places apart as well.
        host = "127.66.66.66" if sys.platform == "linux" else "127.0.0.1"
        self.socket = socket.create_server((host, 0))
        self.url = f"http://{host}:{self.socket.getsockname()[1]}"
        self.heard: list[bytes] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                with connection:
                    connection.settimeout(10)
                    said = b""
                    with contextlib.suppress(OSError):  # it says nothing; that it came is noted all the same
                        said = connection.recv(300)
                    self.heard.append(said)


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    place = Elsewhere()
    yield place
    place.socket.close()


@pytest.fixture
def user(tmp_path: Path, elsewhere: Elsewhere) -> dict[str, str]:
    """The environment of somebody with a life of their own: keys, profiles, endpoints, proxies, rc files, settings."""
    home = tmp_path / "home of the user"
    read = f"touch '{tmp_path}/was-run'\n"
    files = {
        ".bashrc": read,
        ".bash_profile": read,
        ".profile": read,
        ".bash_aliases": read,
        ".bash_logout": read,
        ".inputrc": "set bell-style none\n",
        ".bash_history": "a command of the user\n",
        ".gitconfig": "[user]\n\tname = The User\n\temail = the@user.example\n",
        ".config/git/config": "[user]\n\tname = The User\n",
        ".config/git/ignore": "*\n",
        ".aws/config": f"[default]\nendpoint_url = {elsewhere.url}\nregion = us-east-1\ncredential_process = {read}",
        ".aws/credentials": "[default]\naws_access_key_id = AKIAFAKEFAKEEXAMPLE2\naws_secret_access_key = a-fake-key\n",
        ".aws/cli/alias": "[toplevel]\n",
        ".ipython/profile_default/startup/00.py": "raise SystemExit\n",
        ".jupyter/jupyter_config.py": "raise SystemExit\n",
        ".netrc": "machine 127.0.0.1 login the-user password not-a-real-one\n",
        ".terraformrc": "",
    }
    for name, text in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    startup = tmp_path / "startup.sh"
    startup.write_text(read)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TMPDIR": tempfile.gettempdir(),
        "LANG": "C.UTF-8",
        **FAKE_KEYS,
        "AWS_PROFILE": "default",
        "AWS_ENDPOINT_URL": elsewhere.url,
        "AWS_ENDPOINT_URL_STS": elsewhere.url,
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": elsewhere.url,
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{elsewhere.url}/keys",
        **{name: elsewhere.url for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy")},
        "BASH_ENV": str(startup),
        "ENV": str(startup),
        "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "INPUTRC": str(home / ".inputrc"),
    }


@pytest.fixture
def course(tmp_path: Path, user: dict[str, str]) -> Iterator[Path]:
    """The root of a course that the user has cloned; what runs for it is ended with the test."""
    root = tmp_path / "course"
    for name in ("lessons", "exercises"):
        (root / name).mkdir(parents=True)
    user["OPSLAB_COURSE_ROOT"] = str(root)
    yield root
    for pid in servers(root):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def servers(root: Path) -> list[int]:
    listed = subprocess.run(["ps", "-A", "-ww", "-o", "pid=,command="], capture_output=True, text=True, check=True)
    return [int(line.split()[0]) for line in listed.stdout.splitlines() if f"-m opslab.server {root}/" in line]


def run(argv: list[str], env: dict[str, str], **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=240, check=False, **options)


def kernel(code: str, user: dict[str, str], course: Path) -> subprocess.CompletedProcess[str]:
    """What a notebook's kernel does that the user has started, with all of their environment."""
    return run([sys.executable, "-c", code], user, cwd=course / "exercises")


# ---- AWS ------------------------------------------------------------------------------------------------------------

CALLS = {
    "sts": [*AWS, "sts", "get-caller-identity"],
    "s3": [*AWS, "s3", "ls", "s3://some-bucket/prefix"],
    "iam": [*AWS, "iam", "list-roles", "--region", "us-gov-west-1"],
    "boto3": [sys.executable, "-c", "import boto3; boto3.client('dynamodb').list_tables()"],
    "boto3 session": [sys.executable, "-c", "import boto3; boto3.Session(region_name='us-east-1').client('s3').list_buckets()"],
}  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_in_the_world_aws_is_only_ever_sought_at_127_0_0_1(call, user, elsewhere, tmp_path, monkeypatch):
    home = workspace.build("00_start_here", tmp_path / "workspace", seed=1)
    monkeypatch.setattr(os, "environ", dict(user))
    # With keys, because without them nothing would be called at all.
    done = run(CALLS[call], workspace.environment(home, FAKE_KEYS), cwd=home)
    assert done.returncode != 0
    assert 'Could not connect to the endpoint URL: "http://127.0.0.1:9/' in done.stderr
    assert elsewhere.heard == []
    run(CALLS[call], user, cwd=home)
    assert elsewhere.heard, "the trap of this test does not work"


def test_without_keys_of_the_world_there_are_none(user, elsewhere, tmp_path, monkeypatch):
    home = workspace.build("00_start_here", tmp_path / "workspace", seed=1)
    monkeypatch.setattr(os, "environ", dict(user))
    done = run(CALLS["sts"], workspace.environment(home), cwd=home)
    assert "Unable to locate credentials" in done.stderr
    assert elsewhere.heard == []


def test_settings_that_a_learner_writes_do_not_lead_out_either(elsewhere, tmp_path):
    home = workspace.build("00_start_here", tmp_path / "workspace", seed=1)
    (home / ".aws").mkdir()
    (home / ".aws/config").write_text(f"[default]\nendpoint_url = {elsewhere.url}\nregion = eu-north-1\n")
    done = run(CALLS["sts"], workspace.environment(home, FAKE_KEYS), cwd=home)
    assert 'Could not connect to the endpoint URL: "http://127.0.0.1:9/' in done.stderr
    assert elsewhere.heard == []


@pytest.mark.slow
def test_a_cell_after_open_calls_nobody_but_127_0_0_1(user, course, elsewhere):
    done = kernel(
        f"""
import opslab, os, subprocess
opslab.open("00")
for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "ALL_PROXY", "BASH_ENV"):
    assert name not in os.environ, name
for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
    assert os.environ[name] == "http://127.0.0.1:9", "a closed door"
os.environ.update({FAKE_KEYS!r})
print(subprocess.run({AWS!r} + ["sts", "get-caller-identity"], capture_output=True, text=True).stderr)
import boto3
try:
    boto3.client("s3").list_buckets()
except Exception as error:
    print(error)
""",
        user,
        course,
    )
    assert done.stderr == ""
    assert done.stdout.count('Could not connect to the endpoint URL: "http://127.0.0.1:9/') == 2
    assert elsewhere.heard == []


def test_the_shell_of_the_world_calls_nobody_but_127_0_0_1(user, course, elsewhere):
    keys = "".join(f"export {name}={value}\n" for name, value in FAKE_KEYS.items())
    workspace.build("01_shell_setup", course / "exercises/01_shell_setup/workspace", seed=1, lines=2000)
    script = f"env | grep -E 'KEY|PROXY|proxy|PROFILE'; {keys} {' '.join(AWS)} sts get-caller-identity\nexit\n"
    done = run([str(BIN / "opslab"), "shell", "01"], user, cwd=course, input=script)
    said = done.stdout + done.stderr
    assert 'Could not connect to the endpoint URL: "http://127.0.0.1:9/' in said
    assert elsewhere.url not in said
    assert elsewhere.heard == []


@pytest.mark.skipif(sys.platform != "linux", reason="bubblewrap exists on Linux only")
def test_what_a_check_runs_calls_nobody_at_all(user, elsewhere, tmp_path):
    home = workspace.build("00_start_here", tmp_path / "workspace", seed=1)
    env = workspace.environment(
        home, {**FAKE_KEYS, "AWS_ENDPOINT_URL": elsewhere.url, "NO_PROXY": "*", "no_proxy": "*"}
    )
    limits = jail.Limits(seconds=60)
    done = jail.run(CALLS["sts"], home=home, env=env, read_only=workspace.tool_folders(), limits=limits)
    assert f'Could not connect to the endpoint URL: "{elsewhere.url}/"' in done.err
    assert elsewhere.heard == []


# ---- a world with an AWS organisation -------------------------------------------------------------------------------

IN_MODULE_03 = f"""
import boto3, botocore, json, opslab, os, subprocess
opslab.open("03")
print(subprocess.run({AWS!r} + ["sts", "get-caller-identity", "--profile", "jonas"], capture_output=True, text=True))
print(boto3.Session(profile_name="kasia-analyst").client("sts").get_caller_identity()["Arn"])
print(len(boto3.Session(profile_name="staging-admin").client("s3").list_buckets()["Buckets"]), "buckets")
try:
    boto3.client("s3").list_buckets()
except botocore.exceptions.NoCredentialsError as error:
    print(error)
for call in (lambda: opslab.check("3.2"), lambda: opslab.why(), lambda: opslab.reset("3.2")):
    try:
        call()
    except opslab.LabError as error:
        print(error)
"""

JONAS = "arn:aws:iam::777788889999:user/jonas"
ANALYST = "arn:aws:sts::111122223333:assumed-role/orders-analyst/"


@pytest.mark.slow
def test_in_a_world_with_aws_everything_calls_that_one_and_nobody_else(user, course, elsewhere, untouched):
    done = kernel(IN_MODULE_03, user, course)
    assert (done.returncode, done.stderr) == (0, "")
    assert JONAS in done.stdout and ANALYST in done.stdout and " buckets" in done.stdout
    assert "Unable to locate credentials" in done.stdout, "without a profile there are no keys, rather than the user's"
    assert "3.2 · Let the analyst in: 0 of 3 points" in done.stdout
    script = f"{' '.join(AWS)} sts get-caller-identity --profile jonas; opslab check 3.2 | head -1; env\nexit\n"
    shell = run([str(BIN / "opslab"), "shell", "03"], user, cwd=course, input=script)
    assert JONAS in shell.stdout and "3.2 · Let the analyst in: 0 of 3 points" in shell.stdout
    assert elsewhere.url not in shell.stdout
    home = course / "exercises/03_iam_roles/workspace"
    graded = run([str(BIN / "opslab"), "grade", "--module", "03", str(home)], user, cwd=course)
    assert graded.stdout.startswith(f"{home}: 0 of 20   3.1: 0/2"), graded.stderr
    assert elsewhere.heard == []
    untouched()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="bubblewrap exists on Linux only")
def test_in_the_jail_the_cli_reaches_the_aws_of_the_world_and_nobody_else(user, elsewhere, tmp_path, monkeypatch):
    home = workspace.build("03_iam_roles", tmp_path / "workspace", seed=1)
    monkeypatch.setattr(os, "environ", dict(user))
    with cloud.Host() as host, host.open(workspace.cloud_of("03_iam_roles"), seed=1) as aws:

        def jailed(command: list[str], endpoint: str) -> jail.Done:
            env = workspace.environment(home, {"AWS_ENDPOINT_URL": endpoint, "AWS_MAX_ATTEMPTS": "1"})
            visible, limits = workspace.tool_folders(), jail.Limits(seconds=60)
            return jail.run(command, home=home, env=env, services=aws.services, read_only=visible, limits=limits)

        who = [*AWS, "sts", "get-caller-identity", "--profile", "kasia-analyst"]
        assert ANALYST in jailed(who, aws.endpoint).out
        assert jailed(who, elsewhere.url).code != 0
        stop = ["python", "-c", f"import pathlib; print(list(pathlib.Path({str(aws.folder)!r}).iterdir()))"]
        assert jailed(stop, aws.endpoint).out.strip() in ("", "[]"), "the control socket is not there"
        other = ["python", "-c", "import socket; socket.create_connection(('127.66.66.66', 80), 1)"]
        assert jailed(other, aws.endpoint).code == 1
    assert elsewhere.heard == []


# ---- the learner's own home -----------------------------------------------------------------------------------------


@pytest.fixture
def untouched(user: dict[str, str], tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Says, when called, whether anything in the user's home was read, changed, added or taken away since the start."""
    home = Path(user["HOME"])
    paths = sorted([home, *home.rglob("*")])

    def state() -> dict[str, tuple]:
        there = sorted([home, *home.rglob("*")])
        return {str(path): (path.stat().st_mode, path.stat().st_mtime_ns, path.stat().st_ino) for path in there}

    # A file system that keeps times of access, and most do, notes the first read after this one for certain.
    for path in reversed(paths):
        os.utime(path, (1, path.stat().st_mtime))
    before = state()
    read_before = {path: path.stat().st_atime for path in paths if path.is_file()}

    def verify() -> None:
        assert {str(path) for path in read_before if path.stat().st_atime != read_before[path]} == set(), "was read"
        assert state() == before, "was changed"
        assert not (tmp_path / "was-run").exists()

    yield verify


def notes_access(folder: Path) -> bool:
    probe = folder / "probe"
    probe.write_text("x")
    os.utime(probe, (1, probe.stat().st_mtime))
    probe.read_text()
    return probe.stat().st_atime != 1


EVERYTHING = """
import opslab, pathlib, subprocess
for number, task in (("00", "0.1"), ("01", "1.2")):
    opslab.lesson(number)
    opslab.open(number)
    pathlib.Path("bin/late_feeds.sh").write_text("#!/bin/bash\\nls ~; cat ~/.gitconfig; git status\\n")
    pathlib.Path("bin/late_feeds.sh").chmod(0o755)
    for call in (opslab.check, opslab.hint, opslab.reset):
        try:
            call(task)
        except opslab.NotYet:
            pass
    print(opslab.screen("git config user.name<ENTER>", "ls -A ~<ENTER>"))
    print(subprocess.run(["bash", "-c", "cat ~/.gitconfig; git config user.name"], capture_output=True, text=True).stdout)
opslab.reset("01")
opslab.progress()
"""


def test_the_trap_in_the_home_works(user, untouched, tmp_path):
    if not notes_access(tmp_path):
        pytest.skip("this file system keeps no times of access")
    run(["bash", "-i", "-c", "true"], user)
    with pytest.raises(AssertionError, match=r"was read"):
        untouched()
    assert (tmp_path / "was-run").exists()


@pytest.mark.slow
def test_nothing_of_a_notebook_touches_the_home_of_its_user(user, course, untouched):
    done = kernel(EVERYTHING, user, course)
    assert (done.returncode, done.stderr) == (0, "")
    assert "The User" not in done.stdout
    assert "You at Targ" in done.stdout
    assert len(servers(course)) == 4
    untouched()


@pytest.mark.slow
def test_nothing_of_the_command_line_touches_the_home_of_its_user(user, course, untouched):
    assert kernel("import opslab; opslab.open('00')", user, course).returncode == 0
    for command in (
        ["check", "0.1"],
        ["hint", "0.1"],
        ["progress"],
        ["tasks"],
        ["reset", "0.1"],
        ["reset", "00"],
        ["stop", "00"],
    ):
        done = run([str(BIN / "opslab"), *command], user, cwd=course)
        assert "Traceback" not in done.stderr, done.stderr
    untouched()


def test_the_shell_of_the_world_does_not_touch_the_home_of_its_user(user, course, untouched):
    workspace.build("01_shell_setup", course / "exercises/01_shell_setup/workspace", seed=1, lines=2000)
    script = 'cd; pwd; git config user.name; bash -c true; history; echo "rc: $(cat ~/.bashrc)"\nexit\n'
    done = run([str(BIN / "opslab"), "shell", "01"], user, cwd=course, input=script)
    assert str(course / "exercises/01_shell_setup/workspace") in done.stdout.splitlines()
    assert "You at Targ" in done.stdout
    assert "The User" not in done.stdout
    assert "a command of the user" not in done.stdout
    untouched()


def test_the_doctor_does_not_touch_the_home_of_its_user(user, course, untouched):
    done = run([str(BIN / "opslab"), "doctor"], user, cwd=course)
    assert "Traceback" not in done.stderr
    untouched()


# ---- the server -----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_lab_server_knows_nothing_of_its_user_and_listens_to_no_network(user, course, elsewhere):
    assert kernel("import opslab; opslab.open('00')", user, course).returncode == 0
    (pid,) = servers(course)
    variables = dict(entry.split("=", 1) for entry in Path(f"/proc/{pid}/environ").read_text().strip("\0").split("\0"))
    assert not [name for name in variables if name.startswith(("AWS_", "GIT_", "XDG_")) or "PROXY" in name.upper()]
    assert variables["HOME"] != user["HOME"]
    assert elsewhere.url not in variables.values()
    sockets = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        # It may just be closing the connection of the kernel that has ended.
        with contextlib.suppress(FileNotFoundError):
            sockets.add(os.readlink(fd))
    # https://docs.kernel.org/networking/proc_net_tcp.html: field 10 is the inode of the socket
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            assert f"socket:[{line.split()[9]}]" not in sockets
