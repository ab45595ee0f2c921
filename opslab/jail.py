"""The one door through which anything a learner wrote is ever run.

    >>> from opslab import jail
    >>> done = jail.run(["bash", "-c", "echo hello; exit 3"], home="/tmp")
    >>> done.out, done.code
    ('hello\\n', 3)

`run` starts a command, waits for it and brings back what it printed. `prepare` makes the same confined command line for
a caller who must hold the terminal itself (the interactive shell of `opslab.worlds.shell`). There is no third way.

What holds inside, on Linux with bubblewrap (https://github.com/containers/bubblewrap):

- its own process tree: when the command ends, is killed or runs out of time, nothing of it is left, not even what it
  put in the background;
- a read-only file system, except `home` and a private, empty /tmp and /run; homes of people, data of services and what only
  root may read are empty (PERSONAL), and so is what `hide` names (solutions, other submissions); what else everybody on this
  machine may read, can be read; no network but the services named in `services`;
- nobody is root: the user is `you` on the host `targ`, file permissions count, also where the grader is root;
- a clean environment: exactly the variables in `env`, nothing of the caller's.

And everywhere, with or without it: a wall-clock limit, CPU seconds, file size, open files, number of processes, and a
cap on what is read back. A machine without bubblewrap (macOS) may run a learner's own work on the learner's own
machine; `required=True`, which grading uses, refuses there and says why.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import pwd
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

MEGABYTE = 1024 * 1024
PROBE_SECONDS = 10

ETC = Path(__file__).parent / "etc"
"""passwd and group as seen inside, where everybody is `you`, also where the grader is root."""

SEPARATE = ["--unshare-ipc", "--unshare-pid", "--unshare-uts", "--cap-drop", "ALL", "--die-with-parent"]
NETWORK = ["--unshare-net", "--unshare-cgroup-try", "--hostname", "targ"]
NAMESPACES = ["--unshare-user", "--uid", "1000", "--gid", "1000", *NETWORK, *SEPARATE]

RELAY = Path(__file__).with_name("relay.py")
INSIDE = "/dev/opslab"
"""Where the relay and the sockets of services stand inside. /dev is always private, and no command looks for files there."""

PRIVATE = ("/tmp", "/var/tmp", "/run")
"""Empty inside. In /run stand the sockets of the machine's own services: Docker's would open the jail."""

PERSONAL = (
    *("/root", "/home", "/mnt", "/media", "/srv", "/usr/local/share/nbgrader"),
    *("/var/backups", "/var/lib", "/var/log", "/var/mail", "/var/spool", "/var/www"),
    *("/etc/gshadow", "/etc/gshadow-", "/etc/security", "/etc/shadow", "/etc/shadow-", "/etc/ssh", "/etc/ssl/private", "/etc/sudoers", "/etc/sudoers.d"),
)  # fmt: skip
"""What belongs to people and services of this machine, and is empty inside; the home of whoever runs this, wherever it is, as well.
Where root grades, every command inside could read all of it: for the kernel, the owner of a file is who has the same number."""

PROGRAMS = ("/home/linuxbrew",)
"""What stays visible of it: programs that all use."""

PROC = ["--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys"]
"""Processes of its own. The kernel's settings ask for the machine's root only, not for his rights: where root grades, every command
could change them, and one of them (core_pattern) names a program that the kernel itself runs."""

NIXOS = "/run/current-system"
"""Where all programs stand on NixOS; elsewhere it does not exist."""


class JailError(RuntimeError):
    """The jail cannot be built here, or the command cannot be started in it. The text says why and what to do."""


@dataclass(frozen=True)
class Limits:
    """What one run may use. `seconds` is wall-clock time, `cpu` CPU seconds of each process, sizes are in bytes."""

    seconds: float = 10.0
    cpu: int = 20
    output: int = MEGABYTE
    file_size: int = 64 * MEGABYTE
    memory: int = 2048 * MEGABYTE
    open_files: int = 256
    processes: int = 128


@dataclass(frozen=True)
class Done:
    """What came back from one run.

    `code` is the exit code as a shell would report it (128 + n for signal n). `out` and `err` are text, cut at the limit.
    `stopped` is empty, or says in words which limit ended the run.
    """

    code: int
    out: str
    err: str
    seconds: float
    stopped: str = ""


@dataclass(frozen=True)
class Root:
    """A file system of its own for a command, in place of this machine's: that of a container. Linux with bubblewrap only.

    folder: what the command sees as /. It stands in `home`, has the folders /dev and /proc, and can be written.
    keeper: the process in whose namespaces (user and mount) the folder is: there its files have the owners that they should
        have, and the user who runs this is root.
    inner: a file descriptor of a user namespace with the same ids inside that one, owned by the command's user.
    uid, gid: who the command is, as it sees it.
    switch: whether the keeper's namespace has the id `uid`, too. It has not where a user has no ids but the own one.
    binds: files and folders of this machine that the command can read: where they are, and where it finds them.
    """

    folder: Path
    keeper: int
    inner: int
    uid: int = 0
    gid: int = 0
    switch: bool = True
    binds: tuple[tuple[str, str], ...] = ()

    def enter(self) -> list[str]:
        """What a command line begins with that is to run where the folder is."""
        return [_tool("nsenter"), "--target", str(self.keeper), "--user", "--mount", "--preserve-credentials", "--"]

    def outside(self) -> list[str]:
        """Options of the jail around it, in which nothing runs but what follows here: it may become the user, and no more."""
        options = [*NETWORK, *SEPARATE]
        options += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"] if self.switch else []
        # A /proc of its own can be mounted only where all of one can be seen, and bubblewrap covers parts of its own for root.
        return [*options, "--bind", "/proc", f"{INSIDE}/proc"]

    def inside(self, wrap: str, command: list[str], env: Mapping[str, str], cwd: str) -> list[str]:
        """The command line that goes into the folder and starts the command there.

        The environment is set at the very end: what a container calls LD_PRELOAD is not for the programs of this machine.
        """
        user = ["--uid", str(self.uid), "--gid", str(self.gid)]
        become = [_tool("setpriv"), "--reuid", user[1], "--regid", user[3], "--clear-groups", "--"]
        # --block-fd closes the file descriptor, which would otherwise be open in the command.
        options = [
            "--userns",
            str(self.inner),
            "--block-fd",
            str(self.inner),
            *user,
            *SEPARATE,
            "--hostname",
            "container",
        ]
        if self.uid == 0:
            for right in CONTAINER_ROOT:
                options += ["--cap-add", f"CAP_{right}"]
        options += ["--bind", str(self.folder), "/", "--dev", "/dev", *PROC]
        for source, target in self.binds:
            options += ["--ro-bind", source, target]
        options += ["--clearenv"]
        for name, value in env.items():
            options += ["--setenv", name, value]
        return [*(become if self.switch else []), wrap, *options, "--chdir", cwd, "--", *command]


def _tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise JailError(
            f"found no {name} on this machine, which belongs to util-linux; a container cannot be run without it"
        )
    return path


CONTAINER_ROOT = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETGID", "SETUID", "KILL")
"""What root of a container may do to the files and processes of the container. Engines give a little more, none of it needed here."""


@dataclass(frozen=True)
class Prepared:
    """A command line ready to be started inside the jail, for a caller that must hold the terminal itself.

    relays: how many processes of the jail's own stand beside the command, because it was given services or a root.
    descriptors: files that it needs open. reports: where in argv bubblewrap is told to whom it reports. rooted: whether that is
        the bubblewrap inside another one.
    """

    argv: list[str]
    env: dict[str, str]
    cwd: str
    preexec: Callable[[], None] = field(repr=False)
    wrapped: bool = False
    group: Path | None = None
    relays: int = 0
    descriptors: tuple[int, ...] = ()
    reports: int = 1
    rooted: bool = False

    def close(self) -> None:
        """End what may still run of it and clear up. To be called when the command has ended."""
        if self.group is not None:
            _remove_group(self.group)

    def reporting_to(self, descriptor: int) -> list[str]:
        """The command line with which bubblewrap, where it is in use, tells this file descriptor how the command ended."""
        if not self.wrapped:
            return self.argv
        return [*self.argv[: self.reports], "--json-status-fd", str(descriptor), *self.argv[self.reports :]]


@functools.cache
def bubblewrap() -> str | None:
    """The path of a bubblewrap that works here, or None. It is tried once, because kernels may forbid what it needs."""
    path = shutil.which("bwrap")
    if path is None:
        return None
    probe = [path, "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", *NAMESPACES, "true"]
    try:
        subprocess.run(probe, check=True, capture_output=True, timeout=PROBE_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return None
    return path


def prepare(
    argv: Sequence[str],
    *,
    home: str | Path,
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    shown_as: str | Path | None = None,
    read_only: Sequence[str | Path] = (),
    hide: Sequence[str | Path] = (),
    services: Mapping[int, str | Path] | None = None,
    root: Root | None = None,
    limits: Limits = Limits(),
    terminal: bool = False,
    required: bool = False,
) -> Prepared:
    """The command line that runs `argv` inside the jail.

    home: the one folder that can be written.
    shown_as: the path under which the command sees `home` (default: its own). So a copy of a workspace can stand where
        the learner's scripts expect the original.
    env: the whole environment of the command; `HOME` is set to where it sees `home`.
    cwd: where it starts (default: `home`), as seen inside.
    read_only: folders that must be visible even where something else covers them.
    hide: folders to cover with an empty one. Of a hidden and a read-only folder, one inside the other, the inner one counts.
    services: what the command may reach: a port from 1024 up, and the unix socket where the service listens outside.
        Inside it is found at 127.0.0.1 and that port. The folder of the socket is covered, so that nothing else that
        listens there is reached. Without bubblewrap nothing is done: the command reaches the port of the machine itself,
        so a service meant for macOS, too, has to listen there as well. Raises JailError where nobody listens at the socket.
    root: a file system of its own for the command, a container's. `home` is then not what it sees, but what the jail needs to see:
        a folder in which the root's stands. `env` and `cwd` are as the command sees them.
    terminal: keep the caller's terminal as the controlling one, which an interactive shell needs. Only for a terminal that
        the caller made for this run alone.
    required: raise JailError where there is no bubblewrap, instead of running with limits only.
    """
    home = Path(home).resolve()
    wrap = bubblewrap()
    superuser = os.geteuid() == 0
    if wrap is None and (required or superuser or root):
        why = "somebody else's work is not run without it" if required else "as root, nothing is run without it"
        why = "a container cannot be run without it" if root else why
        raise JailError(
            f"found no working bubblewrap (bwrap) on this machine; {why}. "
            "On Debian or Ubuntu: apt-get install bubblewrap. macOS has none: grade on Linux."
        )
    seen = str(shown_as or home) if wrap else str(home)
    environment = {**(env or {}), "HOME": seen}
    place = str(cwd) if cwd else seen
    command = list(argv)
    services = services or {}
    relays = 1 if wrap and services else 0
    if root:
        command = inside = root.inside(wrap, command, env or {}, str(cwd or "/"))
        environment, place = {"PATH": os.defpath}, seen
        relays += 2  # bubblewrap's own
    if wrap:
        options = ["--ro-bind", "/", "/", "--dev", "/dev", *PROC]
        for folder in PRIVATE:
            options += ["--tmpfs", folder]
        options += ["--ro-bind-try", NIXOS, NIXOS]
        hidden = [*_personal(), *hide, *(Path(path).parent for path in services.values())]
        options += _covers(hidden, [*read_only, *programs()])
        options += ["--bind", str(home), seen, "--chdir", place]
        options += [word for folder in _folders(hidden) for word in ("--remount-ro", folder)]
        for name in ("passwd", "group"):
            options += ["--ro-bind", str(ETC / name), f"/etc/{name}"]
        for port, path in services.items():
            _knock(port, path)
            options += ["--ro-bind", str(path), f"{INSIDE}/{port}"]
        options += root.outside() if root else NAMESPACES
        if not terminal:
            options.append("--new-session")
        if not superuser:
            # Inside, the kernel counts the processes of this run alone; outside it would count all of the user's.
            command = ["bash", "-c", f'ulimit -u {limits.processes + relays}; exec "$@"', "bash", *command]
        if services:
            options += ["--ro-bind", str(RELAY), f"{INSIDE}/relay.py"]
            ports = [f"{port}={INSIDE}/{port}" for port in services]
            command = [os.path.realpath(sys.executable), "-I", "-S", f"{INSIDE}/relay.py", *ports, "--", *command]
        command = [*(root.enter() if root else []), wrap, *options, "--", *command]
    group = _make_group(limits.processes + relays) if superuser else None
    limit = functools.partial(_limit, limits, group, count=wrap is None)
    prepared = Prepared(command, environment, "/" if wrap else place, limit, wrap is not None, group, relays)
    if root:
        # It is the inner bubblewrap that knows whether the command could be started.
        reports = len(command) - len(inside) + inside.index(wrap) + 1
        return replace(prepared, descriptors=(root.inner,), reports=reports, rooted=True)
    return prepared


def _personal() -> list[str]:
    """What of PERSONAL there is on this machine and has something in it, with the home of whoever runs this."""
    homes = [Path.home()]
    with contextlib.suppress(KeyError):  # a number without a name, as in some containers
        homes.append(Path(pwd.getpwuid(os.geteuid()).pw_dir))
    # Somebody's home may be all of the machine, or in a folder that is empty inside anyway.
    kept = [Path(path) for path in ("/usr", "/etc", "/dev", *PRIVATE)]
    homes = [home for home in homes if not any(path.is_relative_to(home) or home.is_relative_to(path) for path in kept)]
    return [str(path) for path in (*map(Path, PERSONAL), *homes) if not path.is_dir() or _holds_something(path)]


def _holds_something(folder: Path) -> bool:
    """Whether there is something to see in a folder. One that is empty need not be covered, which would cost every run a little."""
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is not None
    except OSError:  # whoever runs this may not look into it; what is run may not, either
        return False


def programs() -> list[str]:
    """The folders that stay visible whatever is covered: what is needed for this Python and for programs that all use, each by the path that others know it by, and by its own."""
    folders = [Path(path) for path in (sys.prefix, sys.base_prefix, *PROGRAMS) if Path(path).is_dir()]
    return sorted({str(path) for folder in folders for path in (folder, folder.resolve())})


def _folders(hide: Sequence[str | Path]) -> list[str]:
    """Those that are folders, by their own paths, each once; but for those that are empty and can be written to inside."""
    return sorted({str(Path(folder).resolve()) for folder in hide if Path(folder).is_dir()}.difference(PRIVATE))


def _covers(hide: Sequence[str | Path], read_only: Sequence[str | Path]) -> list[str]:
    """The options that cover and uncover folders: outer ones first, so that nothing undoes what was said of an inner one."""
    covers = [["--tmpfs", folder] for folder in _folders(hide)]
    covers += [["--ro-bind", os.devnull, str(path)] for path in hide if Path(path).is_file()]
    covers += [["--ro-bind", folder, folder] for folder in sorted({str(folder) for folder in read_only})]
    covers.sort(key=lambda cover: len(Path(cover[-1]).resolve().parts))
    return [word for cover in covers for word in cover]


def _knock(port: int, path: str | Path) -> None:
    """Raise JailError where a service could not be reached from the jail, because then all that follows would mislead."""
    if not 1024 <= port < 65536:
        raise JailError(f"the service at {path} is to have port {port} in the jail; choose one from 1024 to 65535")
    with socket.socket(socket.AF_UNIX) as knock:
        knock.setblocking(False)
        try:
            knock.connect(str(path))
        except BlockingIOError:  # somebody listens, and is busy
            pass
        except OSError as error:
            raise JailError(
                f"the service for port {port} does not answer at its socket {path} ({error.strerror or error}); "
                "start it before the command, and keep it running"
            ) from error


def run(
    argv: Sequence[str],
    *,
    home: str | Path,
    stdin: str = "",
    limits: Limits = Limits(),
    stop: Callable[[], str] | None = None,
    **confinement,
) -> Done:
    """Run `argv` in the jail, wait for its end and bring back what it printed. For the other arguments see `prepare`.

    stop: asked now and then whether the run has to end early; what it returns, if anything, says why (`Done.stopped`).

    Never raises for anything the command does, or for a command that is missing or may not be executed (exit code 127 or
    126, as in a shell); raises JailError where the jail itself cannot be set up.
    """
    prepared = prepare(argv, home=home, limits=limits, **confinement)
    started = time.monotonic()
    if any(not _can_be_passed(word) for word in (*argv, *prepared.env, *prepared.env.values())):
        prepared.close()
        return _not_started(argv[0].split("\0")[0].encode("utf-8", "replace").decode(), os.strerror(errno.EINVAL), 0.0)
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as status:
        given.write(stdin.encode())
        given.seek(0)
        try:
            process = subprocess.Popen(
                prepared.reporting_to(status.fileno()),
                env=prepared.env,
                cwd=prepared.cwd,
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                preexec_fn=prepared.preexec,  # noqa: PLW1509  (it makes system calls only, and takes no lock)
                pass_fds=[status.fileno(), *prepared.descriptors] if prepared.wrapped else [],
            )
        except OSError as error:
            prepared.close()
            if error.filename == prepared.cwd:
                raise JailError(f"cannot go to the folder {prepared.cwd}: {error.strerror}") from error
            return _not_started(argv[0], error.strerror, time.monotonic() - started)
        except subprocess.SubprocessError as error:
            prepared.close()
            raise JailError(f"could not start {argv[0]}: its limits cannot be set here") from error
        return _finish(process, prepared, argv[0], limits, started, status if prepared.wrapped else None, stop)


def _finish(
    process: subprocess.Popen,
    prepared: Prepared,
    name: str,
    limits: Limits,
    started: float,
    status: IO[bytes] | None,
    stop: Callable[[], str] | None,
) -> Done:
    """Wait for the end of a run and say how it ended. status: what bubblewrap reported, where it is in use."""
    watch = _Watch(process, prepared, limits, stop)
    readers = [
        _Reader(process.stdout, limits.output, watch.too_much),
        _Reader(process.stderr, limits.output, watch.too_much),
    ]
    watch.wait()
    for reader in readers:
        # With namespaces all have ended, and it only has to be read. Without, something put in the background may hold
        # the pipe open: what it says later is not read.
        reader.join(30.0 if prepared.wrapped else 1.0)
    out, err = (reader.text() for reader in readers)
    code = process.returncode if process.returncode >= 0 else 128 - process.returncode
    seconds = time.monotonic() - started
    if status and process.returncode >= 0 and not watch.stopped:
        status.seek(0)
        if b'"exit-code"' not in status.read():
            # bubblewrap reports an exit code only where it came to start the command.
            reason = err.strip().removeprefix("bwrap: ")
            if (prepared.relays and not prepared.rooted) or not reason.startswith("execvp "):
                raise JailError(f"could not prepare the jail for {name}: {reason}")
            return _not_started(name, reason.rpartition(": ")[2], seconds)
    if code == 128 + signal.SIGXCPU:
        watch.stopped = watch.stopped or f"it used more than {limits.cpu} seconds of CPU time"
    return Done(code, out, err, seconds, watch.stopped)


def _can_be_passed(word: str) -> bool:
    """Whether a text can be an argument or a variable: without NUL, and without half a surrogate pair."""
    try:
        return b"\0" not in os.fsencode(word)
    except UnicodeError:
        return False


def _not_started(name: str, reason: str, seconds: float) -> Done:
    """A command that is missing or must not be executed ends as it would in a shell: with 127 or 126."""
    return Done(127 if reason == os.strerror(errno.ENOENT) else 126, "", f"{name}: {reason}\n", seconds)


class _Watch:
    """Ends a run that uses too much of what the kernel does not limit by itself: time, output, number of processes."""

    def __init__(
        self, process: subprocess.Popen, prepared: Prepared, limits: Limits, stop: Callable[[], str] | None
    ) -> None:
        self.process, self.prepared, self.limits, self.stop = process, prepared, limits, stop
        self.stopped = ""

    def too_much(self) -> None:
        self._end(f"it printed more than {self.limits.output:,} bytes")

    def wait(self) -> None:
        deadline = time.monotonic() + self.limits.seconds
        pause = 0.002
        while True:
            try:
                self.process.wait(pause)
                break
            except subprocess.TimeoutExpired:
                pause = min(pause * 2, 0.032)
            if time.monotonic() > deadline:
                self._end(f"it was still running after {self.limits.seconds:g} seconds")
            elif pause > 0.02 and at_process_limit(self.process.pid, self.prepared, self.limits):
                self._end(f"it started more than {self.limits.processes} processes")
            elif pause > 0.02 and self.stop and (why := self.stop()):
                self._end(why)
        # A bomb's first shell may be refused a fork and end before anybody has looked.
        if self.process.returncode and at_process_limit(self.process.pid, self.prepared, self.limits):
            self._end(f"it started more than {self.limits.processes} processes")
        _kill_group(self.process.pid)
        self.prepared.close()

    def _end(self, why: str) -> None:
        self.stopped = self.stopped or why
        # Killing bubblewrap kills the process tree with it; without it, the process group is all that can be reached.
        _kill_group(self.process.pid)


def at_process_limit(pid: int, prepared: Prepared, limits: Limits) -> bool:
    """Whether a run has reached its number of processes. The kernel holds it there; what it is worth is for us to say."""
    if prepared.group is not None:
        try:
            events = dict(line.split() for line in (prepared.group / "pids.events").read_text().splitlines())
            return int(events.get("max", 0)) > 0
        except (OSError, ValueError):
            pass
    return len(descendants(pid)) >= limits.processes + prepared.relays


class _Reader(threading.Thread):
    """Reads one stream up to a cap, and goes on reading into nothing, so that the writer does not block."""

    def __init__(self, stream, cap: int, too_much: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self.stream, self.cap, self.too_much = stream, cap, too_much
        self.kept = bytearray()
        self.start()

    def run(self) -> None:
        with self.stream:
            while piece := self.stream.read1(65536):
                room = self.cap - len(self.kept)
                self.kept += piece[: max(room, 0)]
                if len(piece) > room:
                    self.too_much()

    def text(self) -> str:
        return bytes(self.kept).decode("utf-8", "replace")


def _limit(limits: Limits, group: Path | None, count: bool) -> None:
    """Runs in the child between fork and exec: the limits that the kernel keeps, and signals as a command expects them."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and what is ignored is handed down
        signal.signal(number, signal.SIG_DFL)
    if group is not None:
        (group / "cgroup.procs").write_text(str(os.getpid()))
    wanted = {
        resource.RLIMIT_CPU: limits.cpu,
        resource.RLIMIT_FSIZE: limits.file_size,
        resource.RLIMIT_AS: limits.memory,
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_CORE: 0,
    }
    if count:
        # Counted per user, not per run: all the processes that the user has already are in it.
        wanted[resource.RLIMIT_NPROC] = limits.processes + 2048
    for kind, value in wanted.items():
        hard = resource.getrlimit(kind)[1]
        ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
        # For CPU time the first signal, a second before the one that cannot be ignored, tells what the matter is.
        grace = 1 if kind == resource.RLIMIT_CPU and hard == resource.RLIM_INFINITY else 0
        resource.setrlimit(kind, (ceiling, ceiling + grace))


CGROUPS = (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup"))


def _make_group(processes: int) -> Path | None:
    """For root, whom no rlimit holds: a control group that lets it have so many processes. None where there can be none.

    https://docs.kernel.org/admin-guide/cgroup-v1/pids.html; the same two files do it in version 2.
    """
    for top in CGROUPS:
        _sweep(top)
        group = top / f"opslab-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            # Bubblewrap itself needs two.
            (group / "pids.max").write_text(str(processes + 2))
            return group
        except OSError:
            _remove_group(group)
    return None


@functools.cache
def _sweep(top: Path) -> None:
    """Once: remove the empty control groups of processes that were killed before they could do it themselves."""
    for group in top.glob("opslab-*-*"):
        if not Path("/proc", group.name.split("-")[1]).exists():
            with contextlib.suppress(OSError):
                group.rmdir()


def _remove_group(group: Path) -> None:
    """Kill what is left in a control group and remove it."""
    for _ in range(200):
        try:
            for pid in (group / "cgroup.procs").read_text().split():
                os.kill(int(pid), signal.SIGKILL)
        except (OSError, ValueError):
            pass
        try:
            group.rmdir()
            return
        except FileNotFoundError:
            return
        except OSError:  # the killed are still dying
            time.sleep(0.01)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def descendants(pid: int, most: int = 10_000) -> list[int]:
    """The processes that stand below `pid` now, up to about `most` of them (Linux; elsewhere none)."""
    found, at = [pid], 0
    while at < len(found) <= most:
        try:
            for task in Path(f"/proc/{found[at]}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
        except OSError:  # it has ended in the meantime
            pass
        at += 1
    return found[1:]
