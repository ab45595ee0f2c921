"""Running terraform: in the jail, with progress that can be watched, and an end that is certain.

    >>> room = Room("/tmp/desk", find(), keys=(key, secret), endpoint=cloud.endpoint, services=cloud.services)
    ...                                                                             # doctest: +SKIP
    >>> folder = room.folder("staging", tell=print)                                 # doctest: +SKIP
    >>> folder.init(); folder.plan()                                                # doctest: +SKIP

Terraform code can start programs and read files, so whatever somebody else wrote runs here only. What it sees: its folder,
the provider (read-only) and the AWS organisation, nothing else. Its own folder is called /tmp/room inside, so that no path of
this machine gets into a message.

    room/              what may be written; a checkout and terraform's own data
      .data/           TF_DATA_DIR: kept from init to plan to apply, so that nothing is initialised twice
      .log             what the running command has printed so far; also there after a crash
    room-settings/     the CLI configuration, read-only inside
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from opslab import jail, plain
from opslab.worlds import workspace
from opslab.worlds.aws import clients
from opslab.worlds.terraform.tools import PATH, Tools

LIMITS = jail.Limits(
    seconds=600,
    cpu=600,
    # Address space, of which the provider, a program of 700 MB, alone maps 1.3 GB. What it uses is about 1 GB.
    memory=4096 * jail.MEGABYTE,
    file_size=128 * jail.MEGABYTE,
    open_files=1024,
    processes=400,  # threads count
)
SHOWN_AS = "/tmp/room"
DATA, LOG = ".data", ".log"
MOST = 1_000_000
"""Characters of output that are kept."""

JSON_MOST = 100_000_000
ALIVE = 5.0
"""Seconds of silence after which it is said that a command is still running."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """How a command ended. text: all that it printed. stopped: empty, or the limit that ended it, in words."""

    command: str
    code: int
    text: str
    seconds: float
    stopped: str = ""

    @property
    def good(self) -> bool:
        return self.code == 0 and not self.stopped


def environment(tools: Tools, rc: str, endpoint: str, home: str, keys: tuple[str, str] | None) -> dict[str, str]:
    """The whole environment of a run. rc: the CLI configuration. keys: access key and secret of whoever runs it."""
    closed = f"http://127.0.0.1:{workspace.NOWHERE}"
    base = {"PATH": f"{Path(tools.binary).parent}:{PATH}", "LANG": "C.UTF-8", "TZ": "UTC"}
    found = clients.environment(endpoint, home, base) | settings(rc)
    found |= {name: closed for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")}
    found |= {"TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "TF_DATA_DIR": f"{home}/{DATA}", "AWS_REGION": clients.REGION}
    if keys:
        found |= {"AWS_ACCESS_KEY_ID": keys[0], "AWS_SECRET_ACCESS_KEY": keys[1]}
    return found


def settings(rc: str) -> dict[str, str]:
    """What terraform needs wherever it runs. rc: the path of a file with `Tools.settings()`.

    No TF_PLUGIN_CACHE_DIR: from an unpacked mirror the provider is linked, not copied, and a cache would make the copy.
    """
    return {"TF_CLI_CONFIG_FILE": rc, "CHECKPOINT_DISABLE": "1", **workspace.FEW_COLLECTIONS}


def on_desk(home: str | Path, tools: Tools) -> None:
    """Let a learner have terraform on the desk: as ~/tools/terraform, with settings that `workspace.environment` points to.

    Where the desk's commands run in the jail, `folders(tools)` have to be among its read-only folders.
    """
    home = Path(home)
    (home / workspace.TERRAFORM_RC).write_text(tools.settings())
    command = home / "tools" / "terraform"
    command.parent.mkdir(exist_ok=True)
    if not command.is_symlink() or os.readlink(command) != tools.binary:
        command.unlink(missing_ok=True)
        command.symlink_to(tools.binary)


def folders(tools: Tools) -> list[str]:
    """What has to be visible in the jail for terraform to run there."""
    return [str(tools.mirror), str(Path(tools.binary).resolve().parent)]


@dataclass
class Room:
    """A place to run terraform in. path: the folder that may be written, which is made where it is missing.

    keys: access key and secret of whoever runs it. endpoint, services: the AWS organisation, as `aws.cloud.Cloud` has them.
    """

    path: Path
    tools: Tools
    keys: tuple[str, str] | None = None
    endpoint: str = f"http://127.0.0.1:{workspace.NOWHERE}"
    services: Mapping[int, str | Path] = field(default_factory=dict)
    limits: jail.Limits = LIMITS
    env: Mapping[str, str] = field(default_factory=dict)
    """More variables: `TF_VAR_role` …"""

    required: bool = False
    """Whether to refuse where there is no full jail: for what others have handed in."""

    def __post_init__(self) -> None:
        self.path = Path(self.path).absolute()
        self.path.mkdir(parents=True, exist_ok=True)
        folder = self.path.with_name(f"{self.path.name}-settings")
        folder.mkdir(exist_ok=True)
        self.rc = folder / "terraform.rc"
        self.rc.write_text(self.tools.settings())

    def folder(self, path: str = ".", tell: Tell | None = None) -> Folder:
        """A folder of it, with terraform code. tell: called with a line about what goes on, now and then."""
        return Folder(self, path, tell or (lambda line: None))

    def run(
        self, arguments: Sequence[str], path: str = ".", *, tell: Tell = lambda line: None, most: int = MOST
    ) -> Outcome:
        """Run terraform with these arguments in a folder of the room. Never raises for what terraform does."""
        command = " ".join([self.tools.product.replace("opentofu", "tofu"), *arguments])
        seen = SHOWN_AS if jail.bubblewrap() else str(self.path)
        (self.path / LOG).unlink(missing_ok=True)
        tell(command)
        started = time.monotonic()
        # It prints into a file: so what it says can be shown while it runs, and is still there after a crash.
        with _Follower(self.path / LOG, tell) as follower:
            done = jail.run(
                [
                    "sh",
                    "-c",
                    'log="$1"; shift; exec "$@" >"$log" 2>&1',
                    "sh",
                    f"{seen}/{LOG}",
                    self.tools.binary,
                    *arguments,
                ],
                home=self.path,
                shown_as=seen,
                cwd=os.path.normpath(f"{seen}/{path}"),
                env={**environment(self.tools, str(self.rc), self.endpoint, seen, self.keys), **self.env},
                services=self.services,
                limits=self.limits,
                required=self.required,
                hide=workspace.secret_folders(),
                read_only=[
                    *workspace.tool_folders(),
                    *folders(self.tools),
                    str(self.rc.parent),
                ],
            )
        text = follower.text(most) + done.out + done.err
        if done.stopped:
            text += f"\n{command} was ended: {done.stopped}.\n"
        return Outcome(command, done.code, text, time.monotonic() - started, done.stopped)


class Folder:
    """A folder with terraform code, in a room. Its methods are the commands."""

    def __init__(self, room: Room, path: str, tell: Tell) -> None:
        self.room, self.path, self.tell = room, path, tell

    def run(self, *arguments: str, most: int = MOST) -> Outcome:
        return self.room.run(arguments, self.path, tell=self.tell, most=most)

    def init(self, *more: str) -> Outcome:
        """`terraform init`. Where there is no lock file, a lean one is put there first (see `Tools.lock_file`)."""
        name = ".terraform.lock.hcl"
        try:
            if name not in plain.names(self.room.path, self.path):
                plain.write(self.room.path, f"{self.path}/{name}", self.room.tools.lock_file().encode())
        except OSError as error:  # a link, for one: nothing is written where it leads
            return Outcome("terraform init", 1, f"{self.path} is no ordinary folder ({error.strerror}).\n", 0.0)
        return self.run("init", "-input=false", "-no-color", "-lockfile=readonly", *more)

    def workspace(self, name: str) -> Outcome:
        """Go to a workspace, which is made where it is missing."""
        return self.run("workspace", "select", "-no-color", "-or-create", name)

    def plan(self, *more: str, out: str = "plan.tfplan") -> Outcome:
        """`terraform plan`, which writes the plan into the file `out`."""
        return self.run("plan", "-input=false", "-no-color", *more, f"-out={out}")

    def apply(self, plan: str = "plan.tfplan", *more: str) -> Outcome:
        """`terraform apply` of a plan file: that and nothing else is done."""
        return self.run("apply", "-input=false", "-no-color", *more, plan)

    def unlock(self, lock: str) -> Outcome:
        """`terraform force-unlock`: release the lock of the state that somebody left behind. lock: its ID."""
        return self.run("force-unlock", "-force", "-no-color", lock)

    def show(self, plan: str = "plan.tfplan") -> dict[str, Any]:
        """A plan as data (https://developer.hashicorp.com/terraform/internals/json-format). Holds sensitive values in clear.

        Raises ValueError with what terraform said where it cannot be read.
        """
        return self._json("show", "-json", "-no-color", plan)

    def state(self) -> dict[str, Any]:
        """The state as data. Raises ValueError with what terraform said where it cannot be read."""
        return self._json("show", "-json", "-no-color")

    def validate(self) -> dict[str, Any]:
        """`terraform validate` as data: valid, and diagnostics with summary, detail and place."""
        return self._json("validate", "-json", "-no-color")

    def _json(self, *arguments: str) -> dict[str, Any]:
        done = self.run(*arguments, most=JSON_MOST)
        for line in (done.text, done.text[done.text.find("{") :]):
            with contextlib.suppress(ValueError):
                return json.loads(line)
        raise ValueError(f"{done.command} gave no JSON: {done.text.strip()[:2000]}")


class _Follower(threading.Thread):
    """Reads a file while somebody else writes it, and tells its lines. Use as a context manager."""

    def __init__(self, path: Path, tell: Tell) -> None:
        super().__init__(daemon=True)
        # Opened before the run: should the code in the jail put a link in its place, that is not what is read.
        self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "rb")
        self._tell, self._over = tell, threading.Event()
        self._began = self._last = time.monotonic()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        rest = b""
        while True:
            over = self._over.wait(0.2)
            while piece := self._file.read(65536):
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    text = line.decode("utf-8", "replace").strip()
                    if text and not text.startswith("{"):  # JSON is for programs
                        self._say(text)
            if over:
                return
            if time.monotonic() - self._last > ALIVE:
                self._say(f"… still running, {time.monotonic() - self._began:.0f} s")

    def _say(self, text: str) -> None:
        self._last = time.monotonic()
        with contextlib.suppress(Exception):  # whoever watches must not be able to stop what is watched
            self._tell(text)

    def text(self, most: int) -> str:
        """All that was written, the beginning and the end of it where it is more than `most` characters."""
        with self._file:
            size = self._file.seek(0, os.SEEK_END)
            self._file.seek(0)
            text = self._file.read(min(size, 4 * most)).decode("utf-8", "replace")
        if len(text) <= most:
            return text
        return f"{text[: most // 2]}\n[… {len(text) - most:,} characters are left out …]\n{text[-(most // 2) :]}"
