"""Starting the course without a browser: the learner's JupyterLab, asked over HTTP, and the bash of `opslab shell`."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import browser
import nbformat
import pexpect
import psutil
import pytest

from opslab import lab, launch
from opslab.worlds import workspace

pytestmark = [pytest.mark.xdist_group("launch"), pytest.mark.slow]

SECRETS = {
    "AWS_ACCESS_KEY_ID": "AKIA" + "REAL" * 4,
    "AWS_SECRET_ACCESS_KEY": "real",
    "AWS_PROFILE": "production",
    "HTTPS_PROXY": "http://proxy.example:3128",
    "http_proxy": "http://proxy.example:3128",
    "PYTHONPATH": "/somewhere",
    "PYTHONSTARTUP": "/somewhere/start.py",
    "JUPYTER_CONFIG_DIR": "/somewhere/jupyter",
    "JUPYTER_TOKEN": "mine",
    "IPYTHONDIR": "/somewhere/ipython",
    "GIT_DIR": "/somewhere/.git",
    "BASH_ENV": "/somewhere/rc",
    "PROMPT_COMMAND": "touch /somewhere",
    "SSH_AUTH_SOCK": "/somewhere/agent",
}


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course with one tiny lesson, and a small workspace of module 01 that is there already."""
    return small_course(tmp_path / "course", monkeypatch.setenv)


def small_course(root: Path, set_variable) -> Path:
    (root / "lessons").mkdir(parents=True)
    note = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("6 * 7", id="first")])
    for name in ("00_start_here", "01_shell_setup"):
        nbformat.write(note, root / "lessons" / f"{name}.ipynb")
    workspace.build("01_shell_setup", root / "exercises" / "01_shell_setup" / "workspace", 1, lines=100)
    set_variable("OPSLAB_COURSE_ROOT", str(root))
    return root


# ---- what JupyterLab is given ------------------------------------------------------------------------------------------


def test_nothing_of_the_callers_environment_but_a_few_names(course):
    env = launch.lab_environment(course, {**SECRETS, "PATH": "/usr/bin", "LANG": "de_DE.UTF-8", "HOME": "/home/ada"})
    assert not [name for name, value in SECRETS.items() if env.get(name) == value]
    assert env["LANG"] == "de_DE.UTF-8"
    assert env["PATH"].split(os.pathsep) == [str(Path(sys.executable).parent), "/usr/bin"]


def test_all_of_its_folders_are_in_the_courses_own(course):
    env = launch.lab_environment(course)
    state = course / ".opslab"
    for name in ("HOME", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        assert Path(env[name]).is_relative_to(state), name
    for name in ("JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR", "OPSLAB_STATE"):
        assert Path(env[name]).is_relative_to(state), name


def test_the_profile_is_plain_data_that_jupyterlab_knows():
    """Each setting is one that JupyterLab has, under that name: a setting that was renamed would silently do nothing."""
    schemas = Path(sys.prefix) / "share" / "jupyter" / "lab" / "schemas"
    overrides = json.loads((launch.PROFILE / "labconfig" / "default_setting_overrides.json").read_text())
    for plugin, settings in overrides.items():
        schema = json.loads((schemas / f"{plugin.replace(':', '/')}.json").read_text())
        assert set(settings) <= set(schema["properties"]), plugin
    known = "".join(path.read_text(errors="replace") for path in (schemas.parents[1]).glob("lab*/**/static/*.js"))
    for extension in json.loads((launch.PROFILE / "labconfig" / "page_config.json").read_text())["disabledExtensions"]:
        assert extension in known, extension


@pytest.mark.parametrize(
    "lesson", ["01", "1", "01_shell_setup", "lessons/01_shell_setup.ipynb", "01_shell_setup.ipynb"]
)
def test_a_lesson_is_found_by_number_stem_or_path(course, lesson):
    assert launch.find_lesson(course, lesson) == "lessons/01_shell_setup.ipynb"


def test_without_a_name_it_is_the_first_lesson(course):
    assert launch.find_lesson(course, None) == "lessons/00_start_here.ipynb"
    (course / "lessons" / "00_start_here.ipynb").unlink()
    assert launch.find_lesson(course, None) == "lessons/01_shell_setup.ipynb"


# ---- when it cannot be ---------------------------------------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture, **arguments) -> str:
    """Calls `learn`, which must refuse; returns its one line."""
    assert launch.learn(browser=False, **arguments) == 1
    said = capsys.readouterr().err
    assert said.startswith("opslab learn: ") and said.count("\n") == 1, said
    return said


def test_an_unknown_lesson(course, capsys):
    said = refused(capsys, lesson="42")
    assert "'42'" in said and "00_start_here, 01_shell_setup" in said


def test_a_course_without_lessons(course, capsys):
    for path in (course / "lessons").iterdir():
        path.unlink()
    assert "none at all" in refused(capsys)


def test_no_course_at_all(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OPSLAB_COURSE_ROOT", str(tmp_path))
    said = refused(capsys)
    assert str(tmp_path) in said and "make setup" in said


def test_a_course_that_cannot_be_written(course, capsys):
    (course / ".opslab").write_text("a file where a folder has to be: even root cannot write in it")
    said = refused(capsys)
    assert str(course / ".opslab") in said and "where you may write" in said


def test_jupyterlab_is_not_installed(course, monkeypatch, capsys):
    monkeypatch.setattr(launch.importlib.util, "find_spec", lambda name: None)
    assert "make setup" in refused(capsys)


def test_a_port_that_is_taken(course, capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert f"port {port} " in refused(capsys, port=port)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none(course, capsys, port):
    assert f"port {port} " in refused(capsys, port=port)


def test_a_jupyterlab_that_ends_at_once(course, tmp_path, monkeypatch, capsys):
    (tmp_path / "jupyter_server_config.py").write_text("raise SystemExit('this is how it ended')\n")
    (tmp_path / "layout.json").write_text((launch.PROFILE / "layout.json").read_text())
    monkeypatch.setattr(launch, "PROFILE", tmp_path)
    said = refused(capsys)
    assert "this is how it ended" in said and str(course / ".opslab" / "jupyter" / "lab.log") in said


def test_without_a_screen_no_text_browser_takes_the_terminal(monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    launch._open_browser("http://127.0.0.1:1/lab")
    assert opened == []
    monkeypatch.setenv("DISPLAY", ":0")
    launch._open_browser("http://127.0.0.1:1/lab")
    assert opened == ["http://127.0.0.1:1/lab"]


# ---- a running one -------------------------------------------------------------------------------------------------------


class Api:
    """The HTTP side of a running course, with its token."""

    def __init__(self, course: browser.Course) -> None:
        parts = urlsplit(course.url)
        self.base = f"{parts.scheme}://{parts.netloc}/"
        self.token = parse_qs(parts.query)["token"][0]

    def ask(self, path: str, data: object = None, *, token: str | None = None) -> bytes:
        headers = {"Authorization": f"token {self.token if token is None else token}"}
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(self.base + path, headers=headers, data=body)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return answer.read()

    def json(self, path: str, data: object = None):
        return json.loads(self.ask(path, data))


def lab_process(course: browser.Course) -> psutil.Process:
    """The JupyterLab that `opslab learn` has started."""
    (child,) = psutil.Process(course.process.pid).children()
    return child


def gone(processes: list[psutil.Process]) -> bool:
    """Whether all of them end within a minute. What does not is killed, so that a failure leaves nothing behind."""
    deadline = time.monotonic() + 60
    while (left := [process for process in processes if alive(process)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    return not left


def alive(process: psutil.Process) -> bool:
    """Whether it runs: not as a zombie, which wait_procs would wait for where nobody collects them."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Iterator[tuple[browser.Course, Api, Path, Path]]:
    """One running course for all that only look at it: (course, api, root, the caller's HOME)."""
    with pytest.MonkeyPatch.context() as patch:
        root = small_course(tmp_path_factory.mktemp("shared") / "course", patch.setenv)
    home = tmp_path_factory.mktemp("home")
    other = root / ".opslab" / "jupyter" / "data" / "kernels" / "other" / "kernel.json"
    other.parent.mkdir(parents=True)
    other.write_text(json.dumps({"argv": ["other"], "display_name": "Another kernel", "language": "other"}))
    with browser.running(root, env={**SECRETS, "HOME": str(home)}) as course:
        yield course, Api(course), root, home


def test_it_says_where_it_is_and_how_to_stop(shared):
    said = "".join(shared[0].said) + shared[0].process.stdout.readline() + shared[0].process.stdout.readline()
    said += shared[0].process.stdout.readline()
    assert "Starting JupyterLab" in said and "The course is open at" in said and "Ctrl-C" in said


def test_only_this_machine_and_only_with_the_token(shared):
    course, api, *_ = shared
    assert api.json("api/status")["kernels"] == 0
    with pytest.raises(urllib.error.HTTPError, match="403"):
        api.ask("api/status", token="guessed")
    listening = {c.laddr.ip for c in lab_process(course).net_connections("inet") if c.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}


def test_the_first_page_is_the_courses_layout(shared):
    course, api, *_ = shared
    assert urlsplit(course.url).path == "/lab/workspaces/course"
    layout = api.json("lab/api/workspaces/course")["data"]
    left, right = layout["layout-restorer:data"]["main"]["dock"]["children"]
    assert left["widgets"] == ["notebook:lessons/00_start_here.ipynb"] and right["widgets"] == ["terminal:1"]


def test_instructors_tools_news_and_extensions_are_off(shared):
    _, api, *_ = shared
    page = api.ask("lab").decode()
    config = json.loads(re.search(r'<script id="jupyter-config-data"[^>]*>(.*?)</script>', page, re.DOTALL)[1])
    for name in ("formgrader", "create-assignment", "course-list", "assignment-list", "validate-assignment"):
        assert f"@jupyter/nbgrader:{name}" in config["disabledExtensions"]
    assert config["news"]["disabled"] and not config["extensionManager"]["can_install"]
    assert api.json("lab/api/settings/@jupyterlab/apputils-extension:notification")["schema"]["properties"]["fetchNews"]["default"] == "false"  # fmt: skip
    for address in ("formgrader", "assignments", "assignments/validate", "courses"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            api.ask(address)


def test_one_kernel(shared):
    _, api, *_ = shared
    specs = api.json("api/kernelspecs")
    assert list(specs["kernelspecs"]) == ["python3"] == [specs["default"]]


def test_hidden_files_can_be_edited_and_the_courses_own_are_not_listed(shared):
    _, api, root, _ = shared
    desk = root / "exercises" / "01_shell_setup" / "workspace"
    (desk / ".bashrc").write_text("PS1='> '\n")
    try:
        assert api.json("api/contents/exercises/01_shell_setup/workspace/.bashrc")["content"] == "PS1='> '\n"
        names = {entry["name"] for entry in api.json("api/contents/exercises/01_shell_setup/workspace")["content"]}
        assert {".bashrc", ".gitconfig"} <= names and workspace.NOTE not in names
        assert {entry["name"] for entry in api.json("api/contents")["content"]} == {"lessons", "exercises"}
    finally:
        (desk / ".bashrc").unlink()


def test_the_environment_of_kernels_and_terminals_is_clean(shared):
    course, _, root, _ = shared
    env = lab_process(course).environ()
    assert not [name for name, value in SECRETS.items() if env.get(name) == value]
    assert env["HOME"] == str(root / ".opslab" / "home")


def test_a_second_start_says_where_the_first_one_is(shared):
    course, _, root, _ = shared
    started = time.monotonic()
    again = subprocess.run(
        browser.LEARN, env={**os.environ, "OPSLAB_COURSE_ROOT": str(root)}, capture_output=True, text=True, timeout=120, check=False
    )  # fmt: skip
    assert again.returncode == 0 and again.stderr == ""
    assert "already running" in again.stdout and course.url in again.stdout
    assert time.monotonic() - started < launch.READY_SECONDS, "it does not wait for another one to come up"
    assert len(psutil.Process(course.process.pid).children()) == 1


def test_the_callers_home_stays_empty(shared):
    assert list(shared[3].iterdir()) == []


# ---- its end -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP], ids=["Ctrl-C", "terminal closed"])
@pytest.mark.slow
def test_its_end_is_the_end_of_all_that_it_started(course, number):
    with browser.running(course) as running:
        api = Api(running)
        api.json("api/kernels", {"name": "python3"})
        api.json("api/terminals", {})
        started = psutil.Process(running.process.pid).children(recursive=True)
        assert len(started) >= 3, "JupyterLab, a kernel and a terminal"
        home = course / "exercises" / "01_shell_setup" / "workspace"
        lab.prepare(home, "01_shell_setup")
        server = psutil.Process(lab.ask(home, "hello")["pid"])
        assert running.stop(number) == 0
        assert gone([*started, server])
        assert "Stopped" in running.said[-1]
    assert list((course / ".opslab" / "jupyter" / "runtime").glob("jpserver-*")) == []


@pytest.mark.slow
def test_shutting_down_from_the_menu_ends_it_too(course):
    with browser.running(course) as running:
        Api(running).ask("api/shutdown", {})
        assert running.process.wait(90) == 0


@pytest.mark.slow
def test_after_a_hard_end_the_next_start_finds_the_jupyterlab_that_is_left(course):
    with browser.running(course) as running:
        left = lab_process(running)
        try:
            running.process.kill()
            running.process.wait()
            again = subprocess.run(
                browser.LEARN, env={**os.environ, "OPSLAB_COURSE_ROOT": str(course)}, capture_output=True, text=True, timeout=120, check=False
            )  # fmt: skip
            assert again.returncode == 0 and running.url in again.stdout
        finally:
            left.terminate()
            left.wait(60)


def test_a_layout_that_is_there_stays_unless_it_is_damaged_and_a_lesson_can_be_asked_for(course):
    layouts = Path(launch.lab_environment(course)["JUPYTERLAB_WORKSPACES_DIR"])
    launch._make_folders(course)
    launch._lay_out(course, "lessons/00_start_here.ipynb")
    (file,) = layouts.iterdir()
    mine = {"data": {"mine": 1}, "metadata": {"id": "course"}}
    file.write_text(json.dumps(mine))
    launch._lay_out(course, "lessons/01_shell_setup.ipynb")
    assert json.loads(file.read_text()) == mine
    file.write_text('{"data": ')
    launch._lay_out(course, "lessons/01_shell_setup.ipynb")
    assert "notebook:lessons/01_shell_setup.ipynb" in json.loads(file.read_text())["data"]
    address = launch._address({"url": "http://127.0.0.1:1/", "token": "t"}, "lessons/01_shell_setup.ipynb")
    assert address == "http://127.0.0.1:1/lab/workspaces/course/tree/lessons/01_shell_setup.ipynb?token=t"


# ---- opslab shell --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def shell(*arguments: str, **env: str) -> Iterator[pexpect.spawn]:
    """`opslab shell`: without arguments as a terminal in JupyterLab starts it, else as a person types it."""
    module = "opslab.cli" if arguments else "opslab.launch"
    child = pexpect.spawn(
        sys.executable,
        ["-P", "-m", module, "shell", *arguments],
        env={**os.environ, **SECRETS, **env},
        encoding="utf-8",
        dimensions=(30, 200),
        timeout=60,
    )
    try:
        yield child
    finally:
        with contextlib.suppress(pexpect.ExceptionPexpect):  # killed, and on a busy machine still dying
            child.close(force=True)


def test_the_shell_says_where_it_is_and_has_the_worlds_environment(course):
    desk = course / "exercises" / "01_shell_setup" / "workspace"
    with shell() as child:
        child.expect_exact("Module 01: ~ is exercises/01_shell_setup/workspace")
        child.expect_exact("you@targ:~$ ")
        child.sendline('echo "<$HOME|$PWD|$(env | grep -c real)|$(type -p aws opslab | wc -l)>"')
        child.expect_exact(f"<{desk}|{desk}|0|2>")
        child.sendline("exit 3")
        child.expect(pexpect.EOF)
        child.wait()
    assert child.exitstatus == 3


def test_the_shell_reads_the_learners_own_rc_file(course):
    (course / "exercises" / "01_shell_setup" / "workspace" / ".bashrc").write_text(
        "PS1='mine> '\nalias hi='echo hello'\n"
    )
    with shell() as child:
        child.expect_exact("mine> ")
        child.sendline("hi")
        child.expect_exact("hello\r\n")


def test_the_shell_goes_to_the_world_that_was_opened_last(course):
    other = course / ".opslab" / "lessons" / "01_shell_setup"
    workspace.build("01_shell_setup", other, 1, lines=100)
    (course / ".opslab" / "current").write_text(f"{other}\n")
    with shell() as child:
        child.expect_exact("~ is .opslab/lessons/01_shell_setup")
    with shell("01") as child:
        child.expect_exact("~ is exercises/01_shell_setup/workspace")
    (course / ".opslab" / "current").write_text("/not/there\n")
    with shell() as child:
        child.expect_exact("~ is exercises/01_shell_setup/workspace")


def test_the_shell_makes_a_workspace_that_is_missing(tmp_path, monkeypatch):
    (tmp_path / "lessons").mkdir()
    (tmp_path / "exercises").mkdir()
    monkeypatch.setenv("OPSLAB_COURSE_ROOT", str(tmp_path))
    home = tmp_path / "exercises" / "01_shell_setup" / "workspace"
    try:
        with shell() as child:
            child.expect_exact("Module 01: ~ is exercises/01_shell_setup/workspace")
            child.expect_exact("$ ")
        assert (home / workspace.NOTE).is_file()
    finally:
        lab.stop(home)


def test_the_shell_says_what_this_machine_lacks(tmp_path, monkeypatch, capsys):
    for folder in ("lessons", "exercises"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPSLAB_COURSE_ROOT", str(tmp_path))

    def prepare(home: Path, stem: str) -> dict[str, list[str]]:
        home.mkdir(parents=True)
        return {"remarks": ["There is no terraform.", "4.1 works."]}

    monkeypatch.setattr(launch.lab, "prepare", prepare)
    monkeypatch.setattr(launch.os, "execve", lambda *how: None)
    launch.shell("04")
    assert capsys.readouterr().out.splitlines()[1:] == ["There is no terraform.", "4.1 works."]


def test_the_shell_goes_to_a_lessons_desk_once_the_lesson_has_made_it(course):
    with shell("01", "--lesson") as child:
        child.expect_exact("made by the first cell of lessons/01_shell_setup.ipynb")
    workspace.build("01_shell_setup", course / ".opslab" / "lessons" / "01_shell_setup", 1, lines=100)
    with shell("01", "--lesson") as child:
        child.expect_exact("~ is .opslab/lessons/01_shell_setup")


def test_the_shell_of_a_module_that_is_a_lesson_only(course):
    with shell("00") as child:
        child.expect_exact("made by the first cell of lessons/00_start_here.ipynb")


def test_a_shell_in_the_same_shell_is_not_opened_twice(course):
    with shell() as child:
        child.expect_exact("you@targ:~$ ")
        child.sendline("opslab shell 01")
        child.expect_exact("You are at this desk already")
        child.expect_exact("you@targ:~$ ")
        child.sendline("exit")
        child.expect(pexpect.EOF)


@pytest.mark.parametrize("number", ["42", "abc", "", "../..", "1.2"])
def test_a_module_that_is_not_there(course, number, monkeypatch, capsys):
    monkeypatch.delattr(launch.os, "execve")  # if it goes on all the same, it must not become this process
    assert launch.shell(number) == 1
    said = capsys.readouterr().err
    assert said.startswith("opslab shell: ") and said.count("\n") == 1 and "00, 01" in said


def test_a_machine_without_bash(course, monkeypatch, capsys):
    monkeypatch.delattr(launch.os, "execve")
    monkeypatch.setattr(launch.shutil, "which", lambda name, path=None: None)
    assert launch.shell("01") == 1
    assert "opslab doctor" in capsys.readouterr().err


# ---- a world with an AWS organisation ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_shell_of_module_03_has_its_aws_and_that_of_the_lesson_another(course):
    home, lesson = course / "exercises" / "03_iam_roles" / "workspace", course / ".opslab" / "lessons" / "03_iam_roles"
    ask = "aws sts get-caller-identity --profile staging-admin --query Arn --output text"
    try:
        with shell("03") as child:
            child.expect_exact("Module 03: ~ is exercises/03_iam_roles/workspace")
            child.expect_exact("$ ")
            child.sendline(ask)
            child.expect_exact("arn:aws:iam::111122223333:user/administrator")
            child.sendline("aws iam create-user --user-name eve --profile staging-admin --query User.Arn")
            child.expect_exact("user/eve")
            # The server ends and comes back while the terminal stays open.
            assert lab.stop(home)
            child.sendline("opslab check 3.1 | head -n 1")
            child.expect_exact("3.1 · Who am I?")
            child.sendline("aws iam get-user --user-name eve --profile staging-admin --query User.Arn")
            child.expect_exact("user/eve")
        lab.prepare(lesson, "03_iam_roles", anew=True)
        assert workspace.aws_port(lesson) != workspace.aws_port(home)
        lab.stop(lesson)
        with shell("03", "--lesson") as child:
            child.expect_exact("~ is .opslab/lessons/03_iam_roles")
            child.expect_exact("$ ")
            child.sendline(f"{ask}; echo $AWS_ENDPOINT_URL")
            child.expect_exact("arn:aws:iam::111122223333:user/administrator")
            child.expect_exact(f"http://127.0.0.1:{workspace.aws_port(lesson)}")
    finally:
        for place in (home, lesson):
            lab.stop(place)


def test_a_shell_knows_whose_it_is(tmp_path, monkeypatch):
    """Or a server that it starts would take the seed of somebody else."""
    monkeypatch.setenv("OPSLAB_LEARNER", "ada")
    monkeypatch.setenv("JUPYTERHUB_USER", "ada-at-hub")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    found = launch.shell_environment(tmp_path)
    assert found["TMPDIR"] == str(tmp_path), "where the server of this desk is looked for"
    assert (found["OPSLAB_LEARNER"], found["JUPYTERHUB_USER"]) == ("ada", "ada-at-hub")
    assert {"OPSLAB_LEARNER", "JUPYTERHUB_USER"} <= set(lab._environment_of_server())
    assert launch.lab_environment(tmp_path)["OPSLAB_LEARNER"] == "ada"
