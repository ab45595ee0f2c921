"""The README's commands, in a clean copy of the course: what a clone holds, and nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from conftest import ROOT
from test_house import tracked_files

COMMANDS = sorted(set(re.findall(r"^make [a-z-]+", (ROOT / "README.md").read_text(), flags=re.MULTILINE)))


def run(*argv: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in argv],
        cwd=cwd,
        env={**os.environ, **environment},
        check=False,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of the files that a clone would have, in a folder whose name has a space in it."""
    folder = tmp_path / "my course"
    for path in tracked_files():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, folder / path)
    return folder


@pytest.fixture
def pythons(tmp_path: Path):
    """Puts stand-ins on PATH: `pythons(python3="3.9.18")` is one that only knows its version. Returns that PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("sh", "cat", "echo", "test", "sed", "awk", "make"):
        (folder / tool).symlink_to(shutil.which(tool))

    def install(**versions: str) -> str:
        for name, version in versions.items():
            new_enough = tuple(map(int, version.split(".")[:2])) >= (3, 11)
            path = folder / name.replace("_", ".")
            path.write_text(
                f'#!{folder}/sh\ncase "$*" in\n  --version) echo "Python {version}";;\n'
                f"  *version_info*) exit {0 if new_enough else 1};;\n  *) exit 1;;\nesac\n"
            )
            path.chmod(0o755)
        return str(folder)

    return install


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_sets_up_first_and_then_does_its_work(clone: Path, command: str):
    done = run("make", "-n", command.split()[1], cwd=clone)
    assert done.returncode == 0, done.stdout
    assert done.stdout.index("-m venv") < done.stdout.index("uv sync")
    last = {"make learn": ".venv/bin/opslab learn", "make test": ".venv/bin/pytest"}[command]
    assert done.stdout.splitlines()[-1].startswith(last)


def test_the_first_python_that_is_new_enough_is_taken(clone: Path, pythons):
    done = run("make", "-n", "setup", cwd=clone, PATH=pythons(python3="3.9.18", python3_12="3.12.1"))
    assert "python3.12 -m venv --clear .venv" in done.stdout


def test_no_python_new_enough_is_said_with_what_to_do(clone: Path, pythons):
    done = run("make", "setup", cwd=clone, PATH=pythons(python3="3.9.18"))
    assert done.returncode != 0
    assert "Found Python 3.9.18; Python 3.11 or newer is needed" in done.stdout
    assert "make setup PYTHON=" in done.stdout
    assert not (clone / ".venv").exists()


def test_no_python_at_all_is_said(clone: Path, pythons):
    done = run("make", "setup", cwd=clone, PATH=pythons())
    assert done.returncode != 0
    assert "Found no Python; Python 3.11 or newer is needed" in done.stdout


def test_a_named_python_is_taken_or_refused_by_its_version(clone: Path, pythons):
    path = pythons(python3="3.12.1", python3_9="3.9.18")
    done = run("make", "setup", "PYTHON=python3.9", cwd=clone, PATH=path)
    assert done.returncode != 0
    assert "Found Python 3.9.18" in done.stdout
    assert "python3 -m venv" in run("make", "-n", "setup", cwd=clone, PATH=path).stdout


def test_a_python_without_venv_is_said_with_the_package_to_install(clone: Path, pythons):
    done = run("make", "setup", cwd=clone, PATH=pythons(python3="3.11.2"))
    assert done.returncode != 0
    assert "Found Python 3.11.2, but without venv and pip" in done.stdout
    assert "sudo apt install python3-venv" in done.stdout


def wheel_of(name: str, folder: Path) -> None:
    """Packs an installed package into a wheel again, so that pip finds it without a network."""
    installed = distribution(name)
    stem = f"{name}-{installed.version}"
    tag = re.search(r"^Tag: (\S+)", installed.read_text("WHEEL"), flags=re.MULTILINE)[1]
    record = []
    with zipfile.ZipFile(folder / f"{stem}-{tag}.whl", "w") as wheel:
        for path in installed.files:
            if path.suffix == ".pyc" or path.name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json"):
                continue
            inside = f"{stem}.data/scripts/{path.name}" if ".." in path.parts else str(path)
            content = path.locate().read_bytes()
            wheel.write(path.locate(), inside)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            record.append((inside, f"sha256={digest}", len(content)))
        with wheel.open(f"{stem}.dist-info/RECORD", "w") as file:
            file.write("".join(f"{','.join(map(str, row))}\n" for row in record).encode())


@pytest.mark.slow
@pytest.mark.timeout(1200)  # it installs and compiles all packages, maybe beside other tests
def test_setup_makes_the_environment_once_and_again_after_a_move(clone: Path, tmp_path: Path):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    wheel_of("uv", wheels)
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "UV_OFFLINE": "1"}
    done = run("make", "setup", f"PYTHON={sys.executable}", cwd=clone, **offline)
    if done.returncode != 0 and "network was disabled" in done.stdout:
        # The download cache of this machine does not hold everything: do what a new learner's machine does.
        done = run("make", "setup", f"PYTHON={sys.executable}", cwd=clone)
    assert done.returncode == 0, done.stdout

    doctor = run(".venv/bin/opslab", "doctor", "--json", cwd=clone)
    assert json.loads(doctor.stdout), doctor.stdout
    compiled = clone / ".venv/lib" / f"python3.{sys.version_info.minor}" / "site-packages/pandas/__pycache__"
    assert any(compiled.glob("*.pyc"))

    assert "Nothing to be done" in run("make", "setup", cwd=clone).stdout
    (clone / "uv.lock").touch()
    again = run("make", "-n", "setup", cwd=clone).stdout
    assert "uv sync" in again
    moved = clone.rename(tmp_path / "elsewhere")
    assert "-m venv --clear" in run("make", "-n", "setup", cwd=moved).stdout
