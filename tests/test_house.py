"""The house around the package: what is said twice (versions, targets, commands, licences) is said the same."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, stop_servers
from nbval.plugin import get_sanitize_patterns

BIN = Path(sys.executable).parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = tomllib.loads((ROOT / "uv.lock").read_text())
MAKEFILE = (ROOT / "Makefile").read_text()
DOCS = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "benchmarks" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
TARGETS = re.findall(r"^([a-z][a-z-]*):", MAKEFILE, flags=re.MULTILINE)


def run(*argv: str | Path, cwd: Path = ROOT, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in argv],
        cwd=cwd,
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **options,
    )


def passes(*argv: str | Path) -> None:
    done = run(*argv)
    assert done.returncode == 0, done.stdout


def tracked_files() -> list[Path]:
    """What is in git or would be with `git add .`, as paths from the root."""
    listed = run("git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard")
    assert listed.returncode == 0, f"this test needs a git clone: {listed.stdout}"
    return [Path(name) for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def texts() -> list[tuple[Path, str]]:
    found = []
    for path in tracked_files():
        with contextlib.suppress(FileNotFoundError):  # somebody at work here has put it away since it was listed
            found.append((path, (ROOT / path).read_bytes().decode("utf-8", "replace")))
    return found


# ---- dependencies ---------------------------------------------------------------------------------------------------


def test_the_lock_fits_pyproject():
    passes(BIN / "uv", "lock", "--check", "--offline")


def test_requirements_are_what_the_lock_exports():
    command = re.search(r"uv (export .*) --output-file requirements\.txt", MAKEFILE)[1].split()
    exported = run(BIN / "uv", *command, "--offline", "--no-header").stdout
    stored = re.sub(r"\A(#.*\n)+", "", (ROOT / "requirements.txt").read_text())
    assert stored == exported, "run: make lock"


def test_the_conda_environment_leads_to_the_same_place():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    plain = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert pip == ["-r requirements.txt", "-e ."]
    assert {"terraform", "opentofu"} & set(plain)
    assert {"pip", "terragrunt", "git", "graphviz", "nodejs", "make"} <= set(plain)
    (python,) = [entry.removeprefix("python=") for entry in plain if entry.startswith("python=")]
    assert version(python) >= OLDEST


def version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


OLDEST = version(PYPROJECT["project"]["requires-python"].removeprefix(">=").partition(",")[0])


def test_make_looks_for_pythons_that_the_locked_packages_come_ready_made_for():
    low, high = (int(minor) for minor in re.search(r"\(3, (\d+)\) <= .* <= \(3, (\d+)\)", MAKEFILE).groups())
    assert (3, low) == OLDEST
    assert f"sys.version_info < (3, {low})" in MAKEFILE
    for minor in range(low, high + 1):
        assert f" python3.{minor} " in MAKEFILE
        for name in ("numpy", "pandas"):
            wheels = [
                wheel["url"] for package in LOCK["package"] if package["name"] == name for wheel in package["wheels"]
            ]
            assert any(f"-cp3{minor}-" in url for url in wheels), f"{name} has no wheel for Python 3.{minor}"


def test_one_version_everywhere():
    said = PYPROJECT["project"]["version"]
    assert re.search(r"^## ([\w.]+)", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)[1] == said
    assert importlib.metadata.version("opslab") == said, "the installed package is not this one; run: make setup"
    assert [package["version"] for package in LOCK["package"] if package["name"] == "opslab"] == [said]


# ---- commands -------------------------------------------------------------------------------------------------------


def test_make_alone_lists_every_target():
    shown = re.findall(r"^make (\S+) +\S", run("make", "--no-print-directory").stdout, flags=re.MULTILINE)
    assert shown == TARGETS
    assert {"learn", "setup", "test", "test-fast", "lint", "fmt", "exercises", "bench"} <= set(TARGETS)
    assert sorted(re.findall(r"^\.PHONY: ([a-z-]+)$", MAKEFILE, flags=re.MULTILINE)) == sorted(TARGETS)


@pytest.mark.parametrize("page", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_commands_and_links_of_a_page_exist(page: Path):
    text = page.read_text()
    asked = set(re.findall(r"(?:^|`)make ([a-z][a-z-]*)\b", text, flags=re.MULTILINE))
    assert asked <= set(TARGETS)
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if not link.startswith(("http://", "https://", "mailto:")):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


def test_the_readme_fits_on_a_screen_and_claims_only_modules_that_exist():
    readme = (ROOT / "README.md").read_text()
    assert len(readme.splitlines()) <= 60
    assert {"make learn", "make test"} <= set(re.findall(r"^(make [a-z-]+) ", readme, flags=re.MULTILINE))
    rows = re.findall(r"^\| (\d\d) \| ", readme, flags=re.MULTILINE)
    assert rows == sorted(path.name[:2] for path in (ROOT / "lessons").glob("[0-9][0-9]_*.ipynb"))


def test_the_public_ci_runs_what_ci_runs():
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    steps = {name: [step.get("run", "") for step in job["steps"]] for name, job in workflow["jobs"].items()}
    assert steps["all"][-1] == "bash .ci/run"
    assert steps["macos"][-1] == "make test-fast"
    assert workflow["jobs"]["all"]["strategy"]["matrix"]["python"][0] == ".".join(map(str, OLDEST))


# ---- .ci/run, with stand-ins for what would change this machine -----------------------------------------------------


@pytest.fixture
def bare_machine(tmp_path: Path):
    """Runs a copy of .ci/run where only the given stand-ins are on PATH; returns its result and the calls they noted."""
    notes, tools = tmp_path / "notes", tmp_path / "bin"
    tools.mkdir()
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", tmp_path / ".ci/run")
    for tool in ("dirname", "env", "rm"):
        (tools / tool).symlink_to(shutil.which(tool))

    def start(**stand_ins: str):
        for name, script in {"sleep": "", "python3": "", "make": "echo '== 3 passed =='", **stand_ins}.items():
            path = tools / name.replace("_", "-")
            path.write_text(f'#!{shutil.which("bash")}\necho "{path.name} $* CI=$CI" >> "{notes}"\n{script}\n')
            path.chmod(0o755)
        done = run(shutil.which("bash"), ".ci/run", cwd=tmp_path, env={"PATH": str(tools)}, timeout=60)
        return done, notes.read_text()

    return start


def test_ci_installs_what_is_missing_by_name_and_runs_make_test(bare_machine):
    done, notes = bare_machine(apt_get="", id="echo 0")
    assert done.returncode == 0, done.stdout
    assert re.search(r"installing .*\bgit graphviz bubblewrap skopeo podman runc chromium\b", done.stdout)
    assert re.search(r"apt-get .* install .*\bgit graphviz bubblewrap skopeo podman runc chromium\b", notes)
    assert notes.splitlines()[-1] == "make test CI=true"
    assert done.stdout.splitlines()[-1] == "== 3 passed =="


def test_ci_tries_to_renew_the_lists_twice_and_goes_on(bare_machine):
    done, notes = bare_machine(apt_get='case "$*" in *update*) exit 100;; esac', id="echo 0")
    assert done.returncode == 0, done.stdout
    assert len(re.findall(r"apt-get .* update", notes)) == 2


def test_ci_fails_when_a_package_cannot_be_installed(bare_machine):
    done, notes = bare_machine(apt_get='case "$*" in *install*) exit 100;; esac', id="echo 0")
    assert done.returncode == 100
    assert "make test" not in notes


def test_ci_uses_sudo_where_it_is_not_root_and_says_so_where_it_cannot(bare_machine):
    done, notes = bare_machine(apt_get="", id="echo 1000", sudo='[ "$2" = true ] || { shift; "$@"; }')
    assert done.returncode == 0, done.stdout
    assert "sudo -n env DEBIAN_FRONTEND=noninteractive apt-get" in notes
    done, notes = bare_machine(apt_get="", id="echo 1000", sudo="exit 1")
    assert done.returncode == 1
    assert "install them first: git graphviz" in done.stdout


def test_ci_goes_on_without_apt(bare_machine):
    done, _ = bare_machine(id="echo 1000")
    assert done.returncode == 0, done.stdout
    assert "not installed: git graphviz" in done.stdout


def test_ci_fails_with_the_tests(bare_machine):
    done, _ = bare_machine(id="echo 1000", make="echo '== 1 failed =='; exit 2")
    assert done.returncode == 2
    assert done.stdout.splitlines()[-1] == "== 1 failed =="


# ---- lessons --------------------------------------------------------------------------------------------------------

MASKED = {
    "/home/ada/course/.opslab/lessons/01_shell_setup/bin": "/COURSE/lessons/01_shell_setup/bin",
    "/tmp/ol-1a2b/state/lessons/01_shell_setup": "/COURSE/lessons/01_shell_setup",
    "in '/srv/opslab/exercises/01_shell_setup/workspace'": "in '/COURSE/exercises/01_shell_setup/workspace'",
    "/home/ada/course/.venv/bin/python": "/VENV/bin/python",
    "/opt/conda/envs/opslab/bin/python": "/VENV/bin/python",
    "took 0.31 s": "took TIME",
    "real\t0m0.012s": "real\tTIME",
    "<Card at 0x7f3c205f6a50>": "<Card at ADDRESS>",
    "better, 38b3ec9a3890, sha256:f5d9051135b0d67f7d2c15eb4a815d2b": "better, DIGEST, DIGEST",
    "a layer of 47.6 kB on 88.8 MB": "a layer of SIZE on SIZE",
    "way-8223b8e8-title": "PICTURE-title",
    "Python 3.12.1 and tools": "PYTHON and tools",
    # what a lesson says must go on being compared
    "777788889999.dkr.ecr, 46b9d674, 657 B, 1.08 kB": "777788889999.dkr.ecr, 46b9d674, 657 B, 1.08 kB",
    "exit code 3, 12 late files, 20 seconds": "exit code 3, 12 late files, 20 seconds",
    "2026-11-16T01:10:51Z 4.5 MB /usr/bin/git lessons/01": "2026-11-16T01:10:51Z 4.5 MB /usr/bin/git lessons/01",
}


@pytest.mark.parametrize("output", MASKED)
def test_only_what_differs_between_machines_is_masked(output: str):
    masked = output
    for pattern, replacement in get_sanitize_patterns((ROOT / "tests/nbval_sanitize.cfg").read_text()):
        masked = re.sub(pattern, replacement, masked)
    assert masked == MASKED[output]


# ---- the tests themselves -------------------------------------------------------------------------------------------


def test_tests_read_and_write_nothing_of_the_user():
    """In a pytest of its own, whose caller has keys and settings."""
    theirs = {
        **os.environ,
        "AWS_PROFILE": "real",
        "GIT_AUTHOR_NAME": "Real",
        "JUPYTER_CONFIG_DIR": "/real",
        "OPSLAB_STATE": "/real",
    }
    done = run(
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "seen_from_inside", env=theirs
    )
    assert "1 passed" in done.stdout, done.stdout


def test_seen_from_inside():
    assert Path.home() != Path(pwd.getpwuid(os.getuid()).pw_dir)
    assert Path.home().is_relative_to(tempfile.gettempdir())
    assert not {"AWS_PROFILE", "GIT_AUTHOR_NAME", "JUPYTER_CONFIG_DIR", "OPSLAB_STATE"} & set(os.environ)


def test_lab_servers_that_tests_leave_behind_are_stopped():
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base) / "opslab-0"
        folder.mkdir()
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(folder / "left.sock"))
            listening.listen()
            listening.settimeout(60)
            with ThreadPoolExecutor() as pool:
                stopping = pool.submit(stop_servers, Path(base))
                server, _ = listening.accept()
                with server:
                    assert json.loads(server.recv(100)) == {"op": "stop"}
                stopping.result()


# ---- licences, style, and what must not be in here ------------------------------------------------------------------


def test_there_is_a_licence_for_code_and_one_for_content():
    code, content = (ROOT / "LICENSE").read_text(), (ROOT / "LICENSE-content").read_text()
    assert code.startswith("BSD 3-Clause License\n\nCopyright (c) 2026, The opslab authors\n")
    assert PYPROJECT["project"]["license"] == "BSD-3-Clause"
    assert PYPROJECT["project"]["license-files"] == ["LICENSE", "LICENSE-content"]
    assert "https://creativecommons.org/licenses/by/4.0/legalcode" in content
    for folder in re.search(r"It applies to: (.*)", content)[1].split(", "):
        assert (ROOT / folder).is_dir()


def test_ruff_looks_at_every_python_file_and_notebook():
    looked_at = {
        Path(line).relative_to(ROOT) for line in run(BIN / "ruff", "check", "--show-files").stdout.splitlines()
    }
    assert {path for path in tracked_files() if path.suffix in (".py", ".ipynb")} <= looked_at


def test_code_is_in_order():
    passes(BIN / "ruff", "check")


def test_code_is_formatted():
    passes(BIN / "ruff", "format", "--check")


def test_notebooks_are_in_canonical_form():
    passes(sys.executable, "-m", "opslab.grading.form", "--check", "lessons", "solutions", "exercises")


def test_what_is_committed_is_checked_like_make_lint():
    passes(BIN / "pre-commit", "validate-config", ".pre-commit-config.yaml")
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"
    entries = [hook["entry"].replace(" --force-exclude", "") for hook in repository["hooks"]]
    lint = (
        re.search(r"^lint:.*\n((?:\t.*\n)+)", MAKEFILE, flags=re.MULTILINE)[1]
        .replace("$(BIN)", ".venv/bin")
        .split("\n\t")
    )
    assert entries == [line.strip() for line in lint][: len(entries)]
    assert {hook["language"] for hook in repository["hooks"]} == {"system"}


def test_no_path_of_this_machine():
    home = pwd.getpwuid(os.getuid()).pw_dir.rstrip("/")
    here = {str(ROOT), *([f"{home}/"] if home else [])}
    found = [f"{path}: {word}" for path, text in texts() for word in here if word in text]
    assert not found


SECRETS = {
    "an AWS key": r"\b(?:AKIA|ASIA)(?![A-Z0-9]*EXAMPLE)[A-Z0-9]{16}\b",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a forge's token": r"\b(?:ghp|gho|ghs|github_pat|glpat|pypi)[-_][A-Za-z0-9_-]{20,}",
    "a chat's token": r"\bxox[abprs]-[A-Za-z0-9-]{10,}",
    "a user and password in an address": r"https?://[^\s/:@]+:[^\s/@]+@",
}


def test_nothing_that_looks_like_a_secret():
    found = [f"{path}: {what}" for path, text in texts() for what, form in SECRETS.items() if re.search(form, text)]
    assert not found


def test_packages_come_from_the_public_registry():
    hosts = set(re.findall(r"https?://([^/\"\s]+)", (ROOT / "uv.lock").read_text()))
    assert hosts == {"pypi.org", "files.pythonhosted.org"}
    assert "://" not in (ROOT / "requirements.txt").read_text()
