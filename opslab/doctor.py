"""What is on this machine, what is missing, which module needs it, and how to get it: `opslab doctor`.

    >>> from opslab import doctor
    >>> [finding.name for finding in doctor.examine() if finding.required and finding.state != "ok"]
    []

Every finding comes from trying: a version is asked for, a file is written, a socket is bound. Nothing of it
stays, and nothing is asked of the network.
"""

from __future__ import annotations

import importlib.metadata
import json as json_module
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from opslab import course, jail, lab
from opslab.worlds import terraform, workspace
from opslab.worlds.pipeline import orchestrator
from opslab.worlds.terraform.tools import NAMES

SCHEMA = 1
"""The version of what `--json` prints. It goes up when a field is renamed or taken away, not when one is added."""

FIRST_MODULES = ("00", "01")
"""What is needed for these decides the exit code."""

ROOM = 500_000_000
"""Bytes of free disk that the first modules should find: workspaces, kept copies, logs."""

SECONDS = 10
"""How long a tool may take to tell its version."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    state: "ok"; "missing"; "old" (there, but too old); "problem" (there, but it does not work).
    found: what is there, in a few words. wanted: what would be right. needed_for: module numbers, or words such as
    "grading". required: whether module 00 or 01 needs it. get: the command or step that brings it, '' where nothing is to do.
    """

    name: str
    state: str
    found: str
    wanted: str = ""
    needed_for: tuple[str, ...] = ()
    required: bool = False
    get: str = ""


# ---- how to get things, by platform -----------------------------------------------------------------------------------

INSTALL = {
    "conda": "conda install -c conda-forge {}",
    "debian": "sudo apt-get install {}",
    "fedora": "sudo dnf install {}",
    "macos": "brew install {}",
    "other": "install {} with your system's package manager",
}

PACKAGES = {
    # name of the finding: the package on each platform; "" is the rest, None says that there is none
    "bash": {"": "bash"},
    "git": {"": "git"},
    "git completion": {"": "git"},
    "git prompt": {"": "git"},
    "bash-completion": {"": "bash-completion", "macos": "bash-completion@2"},
    "bubblewrap": {"": "bubblewrap", "macos": None},
    "graphviz": {"": "graphviz"},
    "terraform": {"": "opentofu", "conda": "terraform", "debian": None},
    "terragrunt": {"": "terragrunt", "debian": None, "fedora": None},
    "podman": {"": "podman", "conda": None},
    "skopeo": {"": "skopeo"},
    "uidmap": {"": "uidmap", "fedora": "shadow-utils", "conda": None, "macos": None},
    "node": {"": "nodejs", "macos": "node"},
    "chromium": {"": "chromium", "macos": "--cask google-chrome", "conda": None},
}

OTHERWISE = {
    "bubblewrap": "bubblewrap runs on Linux only: grade on a Linux machine, or in a Linux VM",
    "terraform": "see https://opentofu.org/docs/intro/install/, or use the conda way in (environment.yml)",
    "terragrunt": "see https://terragrunt.gruntwork.io/docs/getting-started/install/, or use the conda way in",
    "podman": "install podman with your system's package manager",
    "uidmap": "install newuidmap (package uidmap) with your system's package manager",
    "chromium": "install Chromium or Chrome with your system's package manager",
}


def platform() -> str:
    """Whose packages to name: 'conda', 'debian', 'fedora', 'macos' or 'other'."""
    if Path(sys.prefix, "conda-meta").is_dir():
        return "conda"
    if sys.platform == "darwin":
        return "macos"
    try:
        text = Path("/etc/os-release").read_text()
    except OSError:
        return "other"
    families = " ".join(re.findall(r'^ID(?:_LIKE)?="?([^"\n]*)', text, re.MULTILINE)).split()
    if {"debian", "ubuntu"} & set(families):
        return "debian"
    return "fedora" if {"fedora", "rhel", "centos"} & set(families) else "other"


def how_to_get(name: str, where: str) -> str:
    """The command that installs what a finding is about, on platform `where`; a sentence where there is no such command."""
    packages = PACKAGES[name]
    package = packages.get(where, packages[""])
    return INSTALL[where].format(package) if package else OTHERWISE[name]


# ---- tools ------------------------------------------------------------------------------------------------------------


def search_path() -> str:
    """Where the worlds look for commands, without the course's own, which only call those of the machine."""
    path = workspace.environment(tempfile.gettempdir())["PATH"]
    return os.pathsep.join(folder for folder in path.split(os.pathsep) if folder != str(workspace.BIN))


def _version(path: str, *arguments: str) -> str:
    """The first number with dots that the tool prints when asked for its version; '' where it says none."""
    env = {"HOME": tempfile.gettempdir(), "PATH": search_path(), "LC_ALL": "C.UTF-8", "CHECKPOINT_DISABLE": "1"}
    try:
        done = subprocess.run(
            [path, *arguments],
            check=False,
            env=env,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return ""
    found = re.search(r"\d+(?:\.\d+)+", done.stdout + done.stderr)
    return found[0] if found and done.returncode == 0 else ""


def _at_least(version: str, wanted: str) -> bool:
    def numbers(text: str) -> list[int]:
        return [int(part) for part in text.split(".")]

    return numbers(version) >= numbers(wanted)


def _tool(
    name: str,
    where: str,
    *,
    commands: Iterable[str] = (),
    asks: tuple[str, ...] = ("--version",),
    least: str = "",
    needed_for: tuple[str, ...] = (),
    required: bool = False,
) -> Finding:
    """A command: is it where the worlds look, does it answer, is it new enough."""
    get = how_to_get(name, where)
    wanted = f"{least} or newer" if least else "any version"
    for command in commands or (name,):
        path = shutil.which(command, path=search_path())
        if path is None:
            continue
        version = _version(path, *asks)
        if not version:
            found = f"{path} does not tell its version"
            return Finding(name, "problem", found, wanted, needed_for, required, get)
        found = f"{version} ({path})"
        if least and not _at_least(version, least):
            return Finding(name, "old", found, wanted, needed_for, required, get)
        return Finding(name, "ok", found, wanted, needed_for, required)
    found = "not found"
    for command in commands or (name,):
        if elsewhere := shutil.which(command):
            # The worlds have a PATH of their own, so that no alias or wrapper of the machine gets in.
            found = f"only {elsewhere}, and the worlds do not look there"
            break
    return Finding(name, "missing", found, wanted, needed_for, required, get)


def _file(name: str, where: str, places: Iterable[str | Path], needed_for: tuple[str, ...], required: bool) -> Finding:
    """A file that some package installs, in one of several places."""
    for place in places:
        if Path(place).is_file():
            return Finding(name, "ok", str(place), "", needed_for, required)
    return Finding(name, "missing", "not found", "", needed_for, required, how_to_get(name, where))


SHARED = [Path(sys.prefix) / "share", Path("/usr/share"), Path("/opt/homebrew/share"), Path("/usr/local/share")]
BREW = [Path("/opt/homebrew/etc"), Path("/usr/local/etc")]

COMPLETION = [
    *(folder / "bash-completion/bash_completion" for folder in SHARED),
    *(folder / "profile.d/bash_completion.sh" for folder in BREW),
    Path("/etc/bash_completion"),
]
GIT_COMPLETION = [
    *(folder / "bash-completion/completions/git" for folder in SHARED),
    *(folder / "bash_completion.d/git-completion.bash" for folder in BREW),
    Path("/Library/Developer/CommandLineTools/usr/share/git-core/git-completion.bash"),
]
GIT_PROMPT = [
    Path("/usr/lib/git-core/git-sh-prompt"),
    *(folder / "git-core/contrib/completion/git-prompt.sh" for folder in SHARED),
    *(folder / "bash_completion.d/git-prompt.sh" for folder in BREW),
    Path("/usr/share/git/completion/git-prompt.sh"),
    Path("/Library/Developer/CommandLineTools/usr/share/git-core/git-prompt.sh"),
]


# ---- the Python side --------------------------------------------------------------------------------------------------


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    state = "ok" if sys.version_info >= (3, 11) else "old"
    get = "" if state == "ok" else "remove .venv, then: make setup PYTHON=/path/to/a/newer/python3"
    return Finding("python", state, f"{version} ({sys.executable})", "3.11 or newer", FIRST_MODULES, True, get)


def _packages() -> Finding:
    """Whether everything the course declares is installed, in a version that fits."""
    missing, wrong = [], []
    try:
        wanted = importlib.metadata.requires("opslab") or []
    except importlib.metadata.PackageNotFoundError:
        wanted, missing = [], ["opslab itself"]
    try:
        from packaging.requirements import Requirement
    except ImportError:
        wanted, missing = [], ["packaging"]
    for line in wanted:
        requirement = Requirement(line)
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(requirement.name)
        else:
            if version not in requirement.specifier:
                wrong.append(f"{requirement.name} {version} (wanted: {requirement.specifier})")
    name, get = "python packages", _setup()
    if missing:
        return Finding(name, "missing", "not installed: " + ", ".join(missing), "", FIRST_MODULES, True, get)
    if wrong:
        return Finding(name, "old", ", ".join(wrong), "", FIRST_MODULES, True, get)
    return Finding(name, "ok", f"{len(wanted)} packages and what they need", "", FIRST_MODULES, True)


def _setup() -> str:
    return "pip install -r requirements.txt -e ." if platform() == "conda" else "make setup"


def _environment() -> Finding:
    """Which environment Python runs in; an active conda environment that is not used is worth a word."""
    active, name = os.environ.get("CONDA_PREFIX"), "environment"
    if active and Path(active).resolve() != Path(sys.prefix).resolve():
        return Finding(name, "ok", f"{sys.prefix}; the active conda environment {active} is not used", needed_for=())
    if sys.prefix == sys.base_prefix and platform() != "conda":
        found = f"{sys.prefix}, which is the Python of the whole system"
        return Finding(name, "problem", found, "an environment of the course's own", (), False, _setup())
    return Finding(name, "ok", sys.prefix)


def _aws(where: str) -> Finding:
    path = shutil.which("aws_completer", path=search_path())
    if path and shutil.which("aws", path=search_path()):
        return Finding("aws", "ok", f"aws and {path}", "", ("01", "03"), True)
    found = "no aws_completer" if path is None else "no aws"
    return Finding("aws", "missing", found, "aws and aws_completer, from awscli", ("01", "03"), True, _setup())


# ---- the machine ------------------------------------------------------------------------------------------------------


def _terraform(where: str) -> Finding:
    """terraform or opentofu, and its AWS provider: both are needed, and the second does not come with the first."""
    name, needed_for = "terraform", ("04",)
    try:
        return Finding(name, "ok", terraform.find().text, "", needed_for)
    except terraform.TerraformMissing as error:
        if "AWS provider" not in str(error):
            return _tool(name, where, commands=tuple(NAMES), asks=("version",), needed_for=needed_for)
    found = "terraform is there, its AWS provider is not (about 170 MB, once)"
    get = f"{sys.executable} -m opslab.worlds.terraform"
    return Finding(name, "missing", found, "terraform and its AWS provider", needed_for, False, get)


def _airflow() -> Finding:
    """The extra that only one task needs, and that brings ninety packages along."""
    try:
        return Finding("airflow", "ok", orchestrator.version(), "", ("06",))
    except orchestrator.AirflowMissing:
        get = "make airflow" if platform() != "conda" else 'pip install -e ".[airflow]", in the folder of the course'
        return Finding("airflow", "missing", "not installed", "", ("06",), False, get)


def _bubblewrap(where: str) -> Finding:
    name, needed_for = "bubblewrap", ("grading",)
    path = shutil.which("bwrap")
    if path is None:
        return Finding(name, "missing", "not found", "", needed_for, False, how_to_get(name, where))
    if jail.bubblewrap() is None:
        found = f"{path} is there, but this system forbids what it needs (user namespaces)"
        get = "ask who runs this machine to allow unprivileged user namespaces"
        if Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").exists():
            get = "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
        return Finding(name, "problem", found, "a bwrap that can make namespaces", needed_for, False, get)
    return Finding(name, "ok", path, "", needed_for)


def _folder(root: Path | None) -> list[Finding]:
    """The course's folder: may it be written, does it keep permissions, do scripts in it run."""
    if root is None:
        found = "no lessons/ and exercises/ around this package"
        get = "run opslab from a clone of the course, installed by “make setup”"
        return [Finding("course folder", "missing", found, "", FIRST_MODULES, True, get)]
    state = course.state(root)
    for folder in (root / "lessons", root / "exercises", state if state.exists() else state.parent):
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            found = f"cannot write in {folder} ({error.strerror})"
            get = "put the clone where you may write, for example in your home folder"
            return [Finding("course folder", "problem", found, "", FIRST_MODULES, True, get)]
    return [Finding("course folder", "ok", f"{root}, may be written", "", FIRST_MODULES, True), _permissions(root)]


def _permissions(root: Path) -> Finding:
    """Windows folders under WSL, and some network and USB disks, keep no permissions; tasks about them cannot work there."""
    name, wanted = "permissions", "files keep their permissions, scripts run"
    get = "put the clone on a disk of this system; under WSL that is your Linux home (~), not /mnt/c"
    state = course.state(root)
    try:
        with tempfile.TemporaryDirectory(dir=state if state.exists() else root, prefix=".doctor-") as scratch:
            script = Path(scratch, "probe")
            script.write_text("#!/bin/sh\nexit 7\n")
            for mode in (0o600, 0o700):
                script.chmod(mode)
                if script.stat().st_mode & 0o777 != mode:
                    found = f"{root} is on a disk that keeps no permissions"
                    return Finding(name, "problem", found, wanted, ("01",), True, get)
            if subprocess.run([str(script)], check=False, timeout=SECONDS).returncode != 7:
                raise PermissionError
    except (OSError, subprocess.TimeoutExpired):
        found = f"scripts in {root} cannot be run (is the disk mounted noexec?)"
        return Finding(name, "problem", found, wanted, ("01",), True, get)
    if _windows_mount(root):
        found = f"{root} is a Windows folder: all will be slow"
        return Finding(name, "problem", found, wanted, ("01",), False, get)
    return Finding(name, "ok", "kept, and scripts run", wanted, ("01",), True)


def _windows_mount(root: Path, version: Path = Path("/proc/version")) -> bool:
    try:
        return "microsoft" in version.read_text().lower() and re.match(r"/mnt/[a-z](/|$)", str(root)) is not None
    except OSError:
        return False


def _disk(root: Path) -> Finding:
    free = shutil.disk_usage(root).free
    found = f"{free / 1e9:.1f} GB free"
    if free < ROOM:
        get = "make room on the disk that the clone is on"
        return Finding("disk", "problem", found, f"{ROOM / 1e9:g} GB", FIRST_MODULES, True, get)
    return Finding("disk", "ok", found, f"{ROOM / 1e9:g} GB", FIRST_MODULES, True)


def _clock(now: float) -> Finding:
    """A clock that is behind breaks certificates, make and git; nothing can be newer than now."""
    newest = max(path.stat().st_mtime for path in Path(__file__).parent.glob("*.py"))
    shown = time.strftime("%Y-%m-%d %H:%M", time.localtime(now))
    if newest > now + 24 * 3600:
        found = f"{shown}, which is before the files of the course were written"
        get = "set the clock of this machine"
        return Finding("clock", "problem", found, "the time of today", FIRST_MODULES, True, get)
    return Finding("clock", "ok", shown, "", FIRST_MODULES, True)


def _loopback() -> Finding:
    """JupyterLab needs a port of this machine."""
    try:
        with socket.socket() as server, socket.socket() as client:
            server.bind(("127.0.0.1", 0))
            server.listen(1)
            client.settimeout(SECONDS)
            client.connect(server.getsockname())
    except OSError as error:
        get = "allow programs on this machine to reach 127.0.0.1 (firewall, security software)"
        return Finding("loopback", "problem", f"127.0.0.1 cannot be used ({error})", "", FIRST_MODULES, True, get)
    return Finding("loopback", "ok", "a port on 127.0.0.1 can be bound and reached", "", FIRST_MODULES, True)


def _sockets(root: Path | None) -> Finding:
    """The lab server listens on a unix socket, and systems allow only about a hundred bytes for its path."""
    name = "sockets"
    try:
        path = lab.socket_path(root or Path("/")).with_suffix(".try")
        with socket.socket(socket.AF_UNIX) as server:
            try:
                server.bind(str(path))
            finally:
                path.unlink(missing_ok=True)
    except lab.LabError as error:
        return Finding(name, "problem", str(error), "", FIRST_MODULES, True, "remove that folder")
    except OSError as error:
        found = f"no socket can be made in {tempfile.gettempdir()} ({error})"
        get = "set TMPDIR to a short folder that is yours, for example: export TMPDIR=/tmp"
        return Finding(name, "problem", found, "a path of at most 100 bytes", FIRST_MODULES, True, get)
    return Finding(name, "ok", f"can be made in {path.parent}", "", FIRST_MODULES, True)


# ---- all of it --------------------------------------------------------------------------------------------------------


def examine() -> list[Finding]:
    """Look at everything. Takes about a second; raises nothing."""
    where, root = platform(), course.root()
    looks: list[Callable[[], Finding | list[Finding]]] = [
        _python,
        _packages,
        _environment,
        lambda: _folder(root),
        lambda: _disk(root or Path.cwd()),
        lambda: _clock(time.time()),
        _loopback,
        lambda: _sockets(root),
        lambda: _tool("bash", where, least="4.4", needed_for=FIRST_MODULES, required=True),
        lambda: _tool("git", where, least="2.30", needed_for=("01", "02", "04"), required=True),
        lambda: _file("bash-completion", where, COMPLETION, ("01",), True),
        lambda: _file("git completion", where, GIT_COMPLETION, ("01",), True),
        lambda: _file("git prompt", where, GIT_PROMPT, ("01",), False),
        lambda: _aws(where),
        lambda: _bubblewrap(where),
        lambda: _tool("graphviz", where, commands=("dot",), asks=("-V",), needed_for=("03",)),
        lambda: _terraform(where),
        lambda: _tool("terragrunt", where, needed_for=("04",)),
        *(
            [lambda: _file("uidmap", where, NEWUIDMAP, ("05",), False)]
            if sys.platform == "linux" and os.getuid()
            else []
        ),
        lambda: _tool("skopeo", where, needed_for=("05",)),
        lambda: _tool("podman", where, needed_for=("05",)),
        _airflow,
        lambda: _tool("node", where),
        lambda: _tool("chromium", where, commands=BROWSERS, needed_for=("make test",)),
    ]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda look: look(), looks))
    return [finding for answer in answers for finding in (answer if isinstance(answer, list) else [answer])]


NEWUIDMAP = [Path("/usr/bin/newuidmap")]
BROWSERS = (
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)


def ready(findings: Iterable[Finding]) -> bool:
    """Whether all that modules 00 and 01 need is there."""
    return all(finding.state == "ok" for finding in findings if finding.required)


def main(json: bool = False) -> int:
    """Print what was found: a table, or with `json` an object. Returns 0 if all that modules 00 and 01 need is there.

    The object: {"schema": 1, "ready": bool, "platform": str, "findings": [the fields of `Finding`]}.
    """
    findings = examine()
    if json:
        answer = {
            "schema": SCHEMA,
            "ready": ready(findings),
            "platform": platform(),
            "findings": [asdict(finding) for finding in findings],
        }
        print(json_module.dumps(answer, indent=1))
    else:
        _show(findings)
    return 0 if ready(findings) else 1


def _show(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("", "what", "found", "needed for"):
        # Words say what colours say, for those who see none.
        table.add_column(title, overflow="fold", no_wrap=title in ("", "what"))
    for finding in findings:
        state, style = _state(finding)
        table.add_row(Text(state, style), finding.name, Text(finding.found), ", ".join(finding.needed_for))
    console.print(table)

    open_ones = [finding for finding in findings if finding.state != "ok"]
    for title, group in (
        ("To begin, you still need:", [finding for finding in open_ones if finding.required]),
        ("For later, when you come to it:", [finding for finding in open_ones if not finding.required]),
    ):
        if group:
            console.print(f"\n[bold]{title}[/bold]")
        for finding in group:
            purpose = f" ({', '.join(finding.needed_for)})" if finding.needed_for else ""
            wanted = f", {finding.wanted} is needed" if finding.state == "old" and finding.wanted else ""
            console.print(Text(f"  {finding.name}{purpose}{wanted}: {finding.get}"), soft_wrap=True)
    if ready(findings):
        console.print("\n[green]All that modules 00 and 01 need is there.[/green] Start with: opslab learn")
    else:
        names = ", ".join(finding.name for finding in findings if finding.required and finding.state != "ok")
        console.print(f"\n[red]Not ready for modules 00 and 01:[/red] {names}. Then run this again: opslab doctor")


def _state(finding: Finding) -> tuple[str, str]:
    if finding.state == "ok":
        return "ok", "green"
    if finding.required:
        return {"old": "TOO OLD"}.get(finding.state, finding.state.upper()), "bold red"
    return {"old": "too old", "missing": "later"}.get(finding.state, finding.state), "yellow"
