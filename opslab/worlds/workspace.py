"""The workspace: a folder that is also the learner's HOME, and the environment that goes with it.

    >>> from opslab.worlds import workspace
    >>> home = workspace.build("01_shell_setup", "/tmp/desk", seed=1)
    >>> workspace.environment(home)["AWS_EC2_METADATA_DISABLED"]
    'true'

`build` puts the module's scenario on an empty folder, the same files for the same seed on any machine. `environment` is
the whole environment of everything that runs there: nothing of the learner's own shell, home or AWS configuration gets in.
"""

from __future__ import annotations

import contextlib
import fnmatch
import importlib
import json
import os
import re
import shutil
import sysconfig
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from opslab import course, jail

NOTE = ".opslab.json"
"""The file in a workspace that says which module it belongs to and from which seed it was made."""

FOLDERS = ("bin", "answers", ".config")
"""Folders that every workspace has from the start."""

FORGE = "forge"
"""The folder of a workspace's git forge, where it has one."""

AIRFLOW_WARNS = ("Could not import graphviz", "Using `httpx`", "Multiple rows returned")
"""How the warnings of Airflow begin that have nothing to do with a DAG, and would stand between the lines of what it prints."""

LIBRARY = "lib"
"""The folder of a workspace with what Python programs there import, where it has one."""

TERRAFORM_RC = ".terraformrc"
"""Terraform's own settings on a desk, which say where its provider is."""

FEW_COLLECTIONS = {"GOGC": "off", "GOMEMLIMIT": "1GiB"}
"""Let a program written in Go collect garbage only when it has grown that big (https://go.dev/doc/gc-guide). Terraform and its
provider end before that: a plan takes 2.0 CPU-seconds instead of 4 or more, and 0.65 GB of memory instead of 0.3."""

LESSON_TIME = "2026-11-17T09:00:00Z"

NOWHERE = 9
"""The port AWS clients are sent to as long as no sandbox is running: the discard port of this machine, where nobody listens."""

BIN = Path(__file__).parent / "bin"
"""Commands of the worlds, which come before those of the machine."""

REGION = "eu-west-1"
ANSWER_LIMIT = 20 * 1024 * 1024
"""Bytes of one file. The largest is the journal of AWS: every `terraform apply` writes a state of 100 KB or so."""

OURS = (TERRAFORM_RC, "tools/terraform", ".atlantis", ".terraform", ".images")
"""Paths, or names of folders anywhere, that tools have put on the desk for this machine: they do not travel, and are made anew."""


def environment(home: str | Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The whole environment of a process in the world whose HOME is `home`.

    It is made from nothing, so that no key, profile, proxy or setting of the machine's own user can leak in.
    """
    home, closed = str(home), f"http://127.0.0.1:{NOWHERE}"
    tools = f"{BIN}:{sysconfig.get_path('scripts')}:/usr/local/bin:/opt/homebrew/bin:/usr/bin:/bin"
    found = {
        "HOME": home,
        "PATH": f"{home}/bin:{home}/tools:{tools}",
        "SHELL": shutil.which("bash", path=tools) or "/bin/bash",
        "USER": "you",
        "LOGNAME": "you",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "TERM": "xterm-256color",
        "XDG_CONFIG_HOME": f"{home}/.config",
        "XDG_DATA_HOME": f"{home}/.local/share",
        "XDG_STATE_HOME": f"{home}/.local/state",
        "XDG_CACHE_HOME": f"{home}/.cache",
        "PYTHONDONTWRITEBYTECODE": "1",
        "GIT_CONFIG_NOSYSTEM": "1",
        # The course itself is a git repository, and the workspace lies in it: git must not find that one.
        "GIT_CEILING_DIRECTORIES": str(Path(home).parent),
        "AWS_CONFIG_FILE": f"{home}/.aws/config",
        "AWS_SHARED_CREDENTIALS_FILE": f"{home}/.aws/credentials",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{aws_port(home)}",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_PAGER": "",
        # Whatever tries to leave this machine runs into a closed door at once.
        **{name: closed for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")},
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "OPSLAB_WORLD": home,
        **_forge(home),
        **_terraform(home),
        **_pipeline(home),
    }
    found |= {**_images(home, found["PATH"]), **(extra or {})}
    # Terraform's backend does not take the general one where it becomes the role of a profile.
    return {"AWS_ENDPOINT_URL_STS": found["AWS_ENDPOINT_URL"], **found}


def _forge(home: str) -> dict[str, str]:
    """Where there is a forge on the desk, what lets git find it as forge:group/name (see git-config, `url.<base>.insteadOf`).

    In a lesson the clock of git and forge stands still, so that the ids of commits are the same each time.
    """
    if not Path(home, FORGE).is_dir():
        return {}
    clock = ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE", "FORGE_CLOCK") if "lesson" in twists_of(home) else ()
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{home}/{FORGE}/.insteadOf",
        "GIT_CONFIG_VALUE_0": "forge:",
        **dict.fromkeys(clock, LESSON_TIME),
    }


def _terraform(home: str) -> dict[str, str]:
    """What terraform needs where it is on the desk (`terraform.on_desk`). The lock files have no hashes, and stay so: see there."""
    if not Path(home, TERRAFORM_RC).is_file():
        return {}
    return {
        "TF_CLI_CONFIG_FILE": f"{home}/{TERRAFORM_RC}",
        "TF_CLI_ARGS_init": "-lockfile=readonly",
        "TF_INPUT": "0",
        "CHECKPOINT_DISABLE": "1",
        **FEW_COLLECTIONS,
    }


def _pipeline(home: str) -> dict[str, str]:
    """What the company's pipeline needs where it is on the desk: its library, where files land, and where its warehouse is."""
    if not Path(home, LIBRARY, "targ").is_dir():
        return {}
    warehouse = warehouse_port(home)
    return {
        "PYTHONPATH": f"{home}/{LIBRARY}",
        "TARG_LANDING": "s3://targ-landing-staging",
        "TARG_PIPELINE": f"{home}/pipeline",
        "PYTHONWARNINGS": ",".join(f"ignore:{start}" for start in AIRFLOW_WARNS),
        **({"TARG_WAREHOUSE": f"127.0.0.1:{warehouse}"} if warehouse else {}),
    }


def _images(home: str, path: str) -> dict[str, str]:
    """What docker, pip and their like need where images belong to the desk, see `opslab.worlds.images.desk`."""
    if not (ports := image_ports(home)):
        return {}
    from opslab.worlds import packages
    from opslab.worlds.images import desk

    return packages.activated({"PATH": path, **desk.settings(home, ports)}, Path(home, desk.VENV))


def build(stem: str, home: str | Path, seed: int, *, twists: Iterable[str] = (), **size) -> Path:
    """Put the scenario of module `stem` on `home`, which is made where it is missing. Existing files are overwritten.

    twists: names of difficulties that the scenario knows. size: what the scenario lets be scaled (`lines=2000`).
    """
    home = Path(home).absolute()
    home.mkdir(parents=True, exist_ok=True)
    for folder in FOLDERS:
        (home / folder).mkdir(exist_ok=True)
    (home / ".gitconfig").write_text(GITCONFIG)
    twists = frozenset(twists)
    scenario(stem).build(home, seed, twists, **size)
    told = {"twists": sorted(twists)} if twists else {}
    (home / NOTE).write_text(json.dumps({"module": stem, "seed": seed, **told}) + "\n")
    return home


def scenario(stem: str):
    """The module of `opslab.scenarios` that knows what lies on the desk at the start of a course module."""
    return importlib.import_module(f"opslab.scenarios.{stem[3:]}")


GITCONFIG = """\
[user]
\tname = You at Targ
\temail = you@targ.example
[init]
\tdefaultBranch = main
[core]
\tpager = cat
[advice]
\tdetachedHead = false
"""


def cloud_of(stem: str) -> str:
    """The name of the Python module that knows the AWS organisation of a course module."""
    return f"opslab.scenarios.{stem[3:]}.cloud"


def bots_of(stem: str, home: str | Path, aws: Any, tell: Callable[[str], None] = lambda line: None) -> list[Any]:
    """The bots on the forge of a course module. aws: its running organisation. tell: called with what they do, now and then."""
    return importlib.import_module(f"opslab.scenarios.{stem[3:]}.bots").bots(Path(home), aws, tell)


def images_of(stem: str) -> Any:
    """The Python module that knows the images of a course module: `open(home, …)` starts a desk's, `put(desk)` is the start."""
    return importlib.import_module(f"opslab.scenarios.{stem[3:]}.images")


def pipeline_of(stem: str) -> Any:
    """The Python module that knows what runs beside the pipeline of a course module: `open(home, …)` starts a desk's."""
    return importlib.import_module(f"opslab.scenarios.{stem[3:]}.running")


def note(home: str | Path) -> dict[str, Any]:
    """What the workspace's note says; empty where it is missing or damaged."""
    try:
        found = json.loads((Path(home) / NOTE).read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def add_to_note(home: str | Path, **more: Any) -> None:
    """Write more into the workspace's note."""
    path = Path(home) / NOTE
    known = note(home)
    if known != {**known, **more}:
        fresh = path.with_name(f"{NOTE}.new")
        fresh.write_text(json.dumps({**known, **more}) + "\n")
        fresh.replace(path)


def aws_port(home: str | Path) -> int:
    """The port on this machine where the workspace's AWS organisation listens."""
    return _port(note(home).get("aws_port")) or NOWHERE


def image_ports(home: str | Path) -> dict[str, int]:
    """The ports on this machine of the workspace's package index, engine and registries, by name; empty where it has none."""
    found = note(home).get("image_ports")
    if not isinstance(found, dict) or not {"index", "engine"} <= found.keys():
        return {}
    return {str(name): port for name, port in found.items() if _port(port)}


def warehouse_port(home: str | Path) -> int:
    """The port on this machine where the workspace's warehouse listens; 0 where it has none."""
    return _port(note(home).get("warehouse_port"))


def _port(found: object) -> int:
    """What a note says of a port; 0 where that is none."""
    return found if isinstance(found, int) and 0 < found < 65536 else 0


def base_digests(home: str | Path) -> list[str]:
    """The digests of the base images on the machine where the workspace is; empty where it has none."""
    found = note(home).get("base_digests")
    return [str(digest) for digest in found] if isinstance(found, list) else []


def twists_of(home: str | Path) -> frozenset[str]:
    """The twists a workspace was made with."""
    found = note(home).get("twists")
    return frozenset(map(str, found)) if isinstance(found, list) else frozenset()


def seed_of(home: str | Path) -> int:
    """The seed a workspace was made from; 1 where the note is missing or damaged."""
    try:
        return int(note(home)["seed"])
    except (ValueError, KeyError, TypeError, OverflowError):
        return 1


def copy_answer(source: Path, target: Path, path: str) -> None:
    """Let one answer, a file or a folder, be in the workspace `target` what it is in `source`; absent, if it is absent there.

    Only folders and ordinary files of a sane size are taken: no links, devices or pipes, and nothing that a link leads to.
    In `target`, what stands in the way is removed: a link there is never followed.
    """
    here, there = source / path, target / path
    above = Path(path).parents[:-1]
    for folder in reversed(above):
        if (target / folder).is_symlink() or (target / folder).is_file():
            (target / folder).unlink()
    if there.is_dir() and not there.is_symlink():
        shutil.rmtree(there)
    else:
        there.unlink(missing_ok=True)
    # Rights first: what is in a folder that may not be entered cannot even be asked whether it is a link.
    if not os.access(here, os.R_OK) or any((source / part).is_symlink() for part in (path, *above)):
        return
    if here.is_dir():
        there.mkdir(parents=True)
        for entry in sorted(here.iterdir()):
            copy_answer(source, target, str(entry.relative_to(source)))
        shutil.copystat(here, there)
    elif here.is_file() and here.stat().st_size <= ANSWER_LIMIT:
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(here, there)


def copy_sections(source: Path, target: Path, path: str, pattern: str) -> None:
    """In a file of [sections], let those whose name fits `pattern` be in `target` what they are in `source`; others stay."""

    def parts(home: Path) -> list[str]:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            return re.split(r"(?m)^(?=[ \t]*\[)", (home / path).read_text())
        return []

    def fits(part: str) -> bool:
        name = re.match(r"[ \t]*\[([^\]]*)\]", part)
        return bool(name) and fnmatch.fnmatchcase(name[1].strip(), pattern)

    kept = [part if part.endswith("\n") else f"{part}\n" for part in parts(target) if not fits(part) and part]
    text = "".join([*kept, *filter(fits, parts(source))])
    copy_answer(source, target, path)  # what stands in the way of a file is taken away
    (target / path).write_text(text)


def tool_folders() -> list[str]:
    """Folders that must stay visible in the jail because the tools on PATH live there: the Python environment, our own."""
    return sorted({*jail.programs(), str(BIN), str(BIN.resolve())})


HIDDEN = "OPSLAB_HIDDEN"
"""The variable that names more folders, separated by ':', that nothing in the jail may see."""


def secret_folders() -> list[str]:
    """Folders that nothing in the jail may see: the course with its solutions, checks and gradebook, and those of HIDDEN."""
    named = [Path(folder) for folder in os.environ.get(HIDDEN, "").split(os.pathsep) if folder]
    package = Path(__file__).resolve().parent.parent
    root = course.root()
    secret = [folder.resolve() for folder in ([root] if root else []) + named if folder.is_dir()]
    if not any(package.is_relative_to(folder) for folder in secret):
        secret.append(package)
    return sorted({str(folder) for folder in secret})
