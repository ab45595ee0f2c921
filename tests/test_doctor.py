"""`opslab doctor`: it finds what is there, names what is missing with the command that brings it, and decides by modules 00 and 01."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from opslab import doctor, jail, lab
from opslab.worlds import workspace
from opslab.worlds.terraform import tools as finding_terraform

FIELDS = {"name", "state", "found", "wanted", "needed_for", "required", "get"}


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """The worlds' PATH is one empty folder; calling the fixture puts a tool into it that prints `text`."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setattr(doctor, "search_path", lambda: str(folder))

    def add(name: str, text: str, code: int = 0) -> Path:
        tool = folder / name
        tool.write_text(f"#!/bin/sh\necho '{text}'\nexit {code}\n")
        tool.chmod(0o755)
        return tool

    return add


def test_the_command_agrees_with_itself(capsys):
    code = doctor.main(json=True)
    answer = json.loads(capsys.readouterr().out)
    assert answer["schema"] == 1
    assert set(answer) == {"schema", "ready", "platform", "findings"}
    assert all(set(finding) == FIELDS for finding in answer["findings"])
    assert len({finding["name"] for finding in answer["findings"]}) == len(answer["findings"])
    needed = [finding for finding in answer["findings"] if finding["required"] and finding["state"] != "ok"]
    assert code == (1 if needed else 0) == (0 if answer["ready"] else 1)
    for finding in answer["findings"]:
        assert finding["state"] in ("ok", "missing", "old", "problem")
        # Whoever is told that something is amiss is told what to do.
        assert bool(finding["get"]) == (finding["state"] != "ok"), finding


def test_it_runs_from_the_command_line_and_leaves_no_trace(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    course = tmp_path / "course"
    (course / "lessons").mkdir(parents=True)
    (course / "exercises").mkdir()
    env = {**os.environ, "HOME": str(home), "OPSLAB_COURSE_ROOT": str(course)}
    done = subprocess.run(
        [sys.executable, "-m", "opslab.cli", "doctor", "--json"], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1) and not done.stderr, done.stderr
    found = {finding["name"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert found["course folder"]["found"].startswith(str(course))
    assert list(home.iterdir()) == []
    assert sorted(path.name for path in course.rglob("*")) == ["exercises", "lessons"]


def test_on_this_machine_the_basics_are_found():
    found = {finding.name: finding for finding in doctor.examine()}
    for name in (
        "python",
        "python packages",
        "course folder",
        "permissions",
        "disk",
        "clock",
        "loopback",
        "sockets",
        "bash",
        "git",
        "aws",
    ):
        assert found[name].state == "ok", found[name]


def test_an_old_bash_is_named_with_the_command_that_brings_a_newer_one(tools, capsys):
    tools("bash", "GNU bash, version 3.2.57(1)-release (arm64-apple-darwin22)")
    finding = doctor._tool("bash", "macos", least="4.4", needed_for=("00", "01"), required=True)
    assert (finding.state, finding.get) == ("old", "brew install bash")
    assert finding.found.startswith("3.2.57 ")
    doctor._show([finding])
    shown = capsys.readouterr().out
    assert "TOO OLD" in shown
    assert "bash (00, 01), 4.4 or newer is needed: brew install bash" in shown
    assert "Not ready for modules 00 and 01: bash" in shown


@pytest.mark.parametrize(
    ("said", "least", "state"),
    [
        ("git version 2.39.5 (Apple Git-154)", "2.30", "ok"),
        ("git version 2.30.0", "2.30", "ok"),
        ("git version 2.9.1", "2.30", "old"),
        ("git version 10.0", "2.30", "ok"),
        ("nothing with a number", "2.30", "problem"),
    ],
)
def test_versions_are_compared_as_numbers(tools, said, least, state):
    tools("git", said)
    assert doctor._tool("git", "debian", least=least).state == state


def test_a_tool_that_cannot_run_is_a_problem(tools):
    tools("terraform", "Terraform v1.11.4", code=126)
    finding = doctor._tool("terraform", "conda", asks=("version",))
    assert finding.state == "problem"
    assert finding.get == "conda install -c conda-forge terraform"


def test_terraform_without_its_provider(tools, monkeypatch, tmp_path):
    """Both are looked for, and each has its own way to get it."""
    monkeypatch.setattr(finding_terraform, "places", lambda: [tmp_path / "nowhere"])
    terraform = tools("terraform", '{"terraform_version": "1.11.4"}')
    monkeypatch.setenv("PATH", str(terraform.parent))
    finding = doctor._terraform("debian")
    assert (finding.state, finding.needed_for) == ("missing", ("04",)) and "its AWS provider is not" in finding.found
    assert finding.get == f"{sys.executable} -m opslab.worlds.terraform"
    terraform.unlink()
    monkeypatch.setattr(finding_terraform, "PATH", "")
    finding = doctor._terraform("conda")
    assert (finding.state, finding.found) == ("missing", "not found")
    assert finding.get == "conda install -c conda-forge terraform"


def test_a_tool_that_hangs_does_not_hang_the_doctor(tools, monkeypatch):
    tools("git", "git version 2.39.5").write_text("#!/bin/sh\nwhile :; do :; done\n")
    monkeypatch.setattr(doctor, "SECONDS", 0.2)
    monkeypatch.setenv("PATH", os.defpath)
    started = time.monotonic()
    finding = doctor._tool("git", "debian", least="2.30")
    assert finding.state == "problem"
    assert time.monotonic() - started < 60


def test_a_tool_outside_the_worlds_path_is_said_to_be_there(tools, tmp_path, monkeypatch):
    elsewhere = tmp_path / "mine"
    elsewhere.mkdir()
    tool = elsewhere / "terragrunt"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(elsewhere))
    finding = doctor._tool("terragrunt", "macos")
    assert finding.state == "missing"
    assert finding.found == f"only {tool}, and the worlds do not look there"


@pytest.mark.parametrize("where", ["conda", "debian", "fedora", "macos", "other"])
def test_everything_that_can_be_missing_has_a_way_to_get_it_everywhere(where):
    for name in doctor.PACKAGES:
        get = doctor.how_to_get(name, where)
        assert get and "{}" not in get and "None" not in get


def test_the_commands_are_those_of_the_platform():
    assert doctor.how_to_get("bash-completion", "debian") == "sudo apt-get install bash-completion"
    assert doctor.how_to_get("bash-completion", "fedora") == "sudo dnf install bash-completion"
    assert doctor.how_to_get("bash-completion", "macos") == "brew install bash-completion@2"
    assert doctor.how_to_get("chromium", "macos") == "brew install --cask google-chrome"
    assert doctor.how_to_get("bubblewrap", "macos").startswith("bubblewrap runs on Linux only")


def test_a_missing_completion_file(tmp_path):
    finding = doctor._file("git completion", "debian", [tmp_path / "no", tmp_path], ("01",), True)
    assert (finding.state, finding.get) == ("missing", "sudo apt-get install git")
    (tmp_path / "yes").touch()
    assert doctor._file("git completion", "debian", [tmp_path / "no", tmp_path / "yes"], ("01",), True).state == "ok"


def test_a_package_that_is_not_installed_or_too_old(monkeypatch):
    monkeypatch.setattr(doctor.importlib.metadata, "requires", lambda name: ["click>=8.3", "not-a-package-at-all>=1"])
    finding = doctor._packages()
    assert (finding.state, finding.found) == ("missing", "not installed: not-a-package-at-all")
    monkeypatch.setattr(
        doctor.importlib.metadata, "requires", lambda name: ["click>=900", 'nothing>=1; python_version < "3"']
    )
    finding = doctor._packages()
    assert finding.state == "old" and "click" in finding.found and ">=900" in finding.found
    assert finding.required and finding.get


def test_without_bubblewrap_one_can_learn_but_not_grade(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name, path=None: None)
    finding = doctor._bubblewrap("debian")
    assert (finding.state, finding.needed_for, finding.required) == ("missing", ("grading",), False)
    assert finding.get == "sudo apt-get install bubblewrap"


def test_a_bubblewrap_that_the_system_forbids(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name, path=None: "/usr/bin/bwrap")
    monkeypatch.setattr(jail, "bubblewrap", lambda: None)
    finding = doctor._bubblewrap("debian")
    assert finding.state == "problem" and "user namespaces" in finding.found and finding.get


def test_no_course_around_the_package(monkeypatch):
    (finding,) = doctor._folder(None)
    assert finding.state == "missing" and finding.required and "make setup" in finding.get


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "lessons").mkdir()
    (tmp_path / "exercises").touch()  # not even root can write in a file as if it were a folder
    (finding,) = doctor._folder(tmp_path)
    assert finding.state == "problem" and str(tmp_path / "exercises") in finding.found


def test_a_disk_that_keeps_no_permissions(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "chmod", lambda self, mode: None)  # as on a Windows folder: accepted, and forgotten
    finding = doctor._permissions(tmp_path)
    assert finding.state == "problem" and "keeps no permissions" in finding.found
    assert list(tmp_path.iterdir()) == []


def test_a_disk_on_which_nothing_runs(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor.subprocess, "run", refuse)
    finding = doctor._permissions(tmp_path)
    assert finding.state == "problem" and "noexec" in finding.found


def test_a_windows_folder_under_wsl(tmp_path):
    version = tmp_path / "version"
    version.write_text("Linux version 6.6.36.3-microsoft-standard-WSL2")
    assert doctor._windows_mount(Path("/mnt/c/Users/ada/course"), version)
    assert not doctor._windows_mount(Path("/home/ada/course"), version)
    version.write_text("Linux version 6.1.0-28-amd64 (debian-kernel@lists.debian.org)")
    assert not doctor._windows_mount(Path("/mnt/c/Users/ada/course"), version)


def test_a_full_disk(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 20_000_000})
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage)
    finding = doctor._disk(tmp_path)
    assert (finding.state, finding.found, finding.required) == ("problem", "0.0 GB free", True)


def test_a_clock_that_is_behind():
    assert doctor._clock(time.time()).state == "ok"
    finding = doctor._clock(0)
    assert finding.state == "problem" and "1970" in finding.found and finding.required


def test_a_path_too_long_for_a_socket(tmp_path, monkeypatch):
    long = tmp_path / ("a" * 120)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    finding = doctor._sockets(tmp_path)
    assert finding.state == "problem" and finding.required and "TMPDIR" in finding.get


def test_a_socket_folder_that_is_somebody_elses(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / f"opslab-{os.getuid()}").mkdir(mode=0o777)
    (tmp_path / f"opslab-{os.getuid()}").chmod(0o777)
    with pytest.raises(lab.LabError):
        lab.socket_path(tmp_path)
    assert doctor._sockets(tmp_path).state == "problem"


def test_a_machine_without_loopback(monkeypatch):
    def refuse(self, address):
        raise OSError(99, "Cannot assign requested address")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    finding = doctor._loopback()
    assert finding.state == "problem" and finding.required


def test_an_active_conda_environment_that_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("CONDA_PREFIX", str(tmp_path))
    finding = doctor._environment()
    assert finding.state == "ok" and f"{tmp_path} is not used" in finding.found


def test_the_table_reads_without_colour_and_in_a_narrow_window(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    missing = doctor.Finding("git", "missing", "not found", "2.30 or newer", ("01",), True, "sudo apt-get install git")
    long = (
        "see https://podman.example/docs/installation/on-many-systems, or install it with your system's package manager"
    )
    later = doctor.Finding("podman", "missing", "not found", "", ("05",), False, long)
    doctor._show([doctor.Finding("python", "ok", "3.12.1", needed_for=("00", "01"), required=True), missing, later])
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "MISSING  git" in shown and "later" in shown
    # A command stands whole on its line, ready to be copied.
    assert "  git (01): sudo apt-get install git\n" in shown
    assert f"  podman (05): {long}\n" in shown


def test_a_command_of_the_course_is_not_taken_for_the_machines():
    """`skopeo` on a desk is a wrapper: whether the machine has one is another question."""
    assert (workspace.BIN / "skopeo").is_file()
    assert str(workspace.BIN) not in doctor.search_path().split(":")
