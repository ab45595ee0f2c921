"""Where requirements of the learner's are tried: fresh virtual environments, and a package index of the check's own.

    with Bench(trial, packages.FRIDAY) as bench:
        venv = bench.venv()
        bench.install(venv, "pykontor<2.9")
        bench.load(venv).code

Nothing of the learner's but the text of requirements gets here. The index answers inside the jail where the learner's own does.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from opslab import jail
from opslab.checks import Miss, Trial
from opslab.worlds import packages, workspace

LIMITS = jail.Limits(seconds=60)
DEAD = 128 + 11
"""The exit code of a process that died of a segmentation fault."""

UV = ("uv", "pip", "install")
PIP = ("pip", "install")


class Bench:
    """A folder with the service of the trial's seed, an index as it is on a day, and virtual environments. A context manager.

    index: to be changed as a story needs it. service: what is loaded.
    """

    def __init__(self, trial: Trial, day: str = packages.WEDNESDAY) -> None:
        self.index = packages.Index(trial.seed, day)
        self.service = packages.Service(trial.seed)
        self.home = trial.folder()
        self.folder = self.service.put(self.home / "service")
        self._trial = trial
        self._count = itertools.count(1)

    def __enter__(self) -> Self:
        self._server = packages.Server(self.index)
        port = workspace.image_ports(self._trial.home).get("index", self._server.port)
        self._services = {port: self._server.socket}
        self._env = workspace.environment(self.home, packages.settings(f"http://{packages.server.HOST}:{port}"))
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def venv(self, pip: bool = False) -> Path:
        """A new virtual environment. uv needs no pip in it, and without one it is there in no time."""
        folder = self.home / f"venv{next(self._count)}"
        if pip:
            return packages.make_venv(folder)
        venv.create(folder, symlinks=True)
        return folder

    def run(self, venv: Path, *argv: str, **variables: str) -> jail.Done:
        """Run a command in the service's folder, with an environment active. Raises JailError where a limit ended it."""
        done = jail.run(
            argv,
            home=self.home,
            cwd=self.folder,
            env={**packages.activated(self._env, venv), **variables},
            hide=workspace.secret_folders(),
            read_only=workspace.tool_folders(),
            services=self._services,
            required=self._trial.graded,
            limits=LIMITS,
        )
        if done.stopped:
            raise jail.JailError(
                f"{' '.join(argv)} was stopped ({done.stopped}), which nothing that is installed here should need"
            )
        return done

    def install(self, venv: Path, text: str, tool: Sequence[str] = UV, *options: str) -> jail.Done:
        """Install what a requirements file with this text asks for."""
        (self.folder / "requirements.txt").write_text(text)
        return self.run(venv, *tool, *options, "-r", "requirements.txt")

    def load(self, venv: Path, **variables: str) -> jail.Done:
        """Load the day into an empty warehouse, with what is installed."""
        for file in self.folder.glob("warehouse/*"):
            file.unlink()
        with contextlib.suppress(FileNotFoundError):
            (self.folder / "metrics.jsonl").unlink()
        return self.run(venv, "python", "load.py", f"{self.service.table}.tsv", **variables)

    def loaded(self, done: jail.Done) -> bool:
        """Whether that was a success: the process has ended well, and says that every row is there."""
        return done.code == 0 and done.err.rstrip().endswith(f"done: {self.service.rows} rows")


def installed(venv: Path) -> dict[str, str]:
    """What is in an environment: versions by name, without pip."""
    names = [path.name.removesuffix(".dist-info") for path in venv.glob("lib/python*/site-packages/*.dist-info")]
    found = {canonicalize_name(name): version for name, version in (one.rsplit("-", 1) for one in names)}
    found.pop("pip", None)
    return dict(sorted(found.items()))


def said(done: jail.Done) -> str:
    """What came of a load, for a card."""
    words = f"exit code {done.code}"
    if done.code == DEAD:
        words += ", and no word why"
    lines = done.err.strip().splitlines()
    return f"{words}\n{lines[-1]}" if lines else words


def complaint(done: jail.Done) -> str:
    """What pip or uv has against it, for a card: without what it did before, and without the places of this machine."""
    words = done.err.strip() or done.out.strip()
    kept = [line for line in words.splitlines() if not line.startswith(("Using Python", "Resolved "))]
    return re.sub(r"http://[\d.:]+/", "…/", "\n".join(kept))


# ---- requirements as text ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """A line of requirements, comments gone and continued lines joined. requirement: None for options, paths and nonsense."""

    text: str
    requirement: Requirement | None
    hashes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return canonicalize_name(self.requirement.name) if self.requirement else ""

    @property
    def exact(self) -> str:
        """The one version that fits; empty, where there is more than one."""
        specifiers = list(self.requirement.specifier) if self.requirement else []
        if len(specifiers) == 1 and specifiers[0].operator == "==" and "*" not in specifiers[0].version:
            return specifiers[0].version
        return ""


def lines(text: str) -> list[Line]:
    """The lines of requirements as pip reads them, https://pip.pypa.io/en/stable/reference/requirements-file-format/."""
    found = []
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        line = re.sub(r"(^|\s)#.*", "", line).strip()
        hashes = tuple(re.findall(r"--hash[=\s]\s*(\w+:\w+)", line))
        bare = re.split(r"\s+--?[a-z]", line)[0].strip()
        if not line:
            continue
        try:
            found.append(Line(line, Requirement(bare), hashes))
        except InvalidRequirement:
            found.append(Line(line, None, hashes))
    return found


INDEX_OPTIONS = (
    "-i",
    "--index-url",
    "--extra-index-url",
    "--default-index",
    "--index",
    "--no-index",
    "-f",
    "--find-links",
)
FILE_OPTIONS = ("-r", "--requirement", "-c", "--constraint", "-e", "--editable")


def from_the_index_alone(text: str, path: str) -> None:
    """Raises Miss where requirements say where something comes from, instead of what is needed."""
    for line in lines(text):
        first = re.split(r"[\s=]", line.text)[0]
        if any(first == option or (len(option) == 2 and first.startswith(option)) for option in INDEX_OPTIONS):
            raise Miss(
                f"~/{path} says which index to ask. Whoever installs decides that (pip's -i, or its settings): the address is another one "
                "in the cluster, and the index of a day gone by hides what is new instead of ruling it out. Take the line out.",
                tried=f"read ~/{path}", got=line.text, wanted="names, versions, hashes", name="index-in-the-file",
            )  # fmt: skip
        if any(first == option or (len(option) == 2 and first.startswith(option)) for option in FILE_OPTIONS):
            raise Miss(
                f"~/{path} leads to another file, which does not come along. Put into it what is needed.",
                tried=f"read ~/{path}", got=line.text, wanted="all of it in one file", name="other-file",
            )  # fmt: skip
        direct = line.requirement.url if line.requirement else re.search(r"\.whl\b|\.tar\.gz\b|://|^[./]", line.text)
        if direct:
            raise Miss(
                f"~/{path} names a file to install instead of a version. It lies on this machine and not in the image, and nobody will know "
                "where it came from. Name the package and the versions that are fine.",
                tried=f"read ~/{path}", got=line.text, wanted="a name and a version, as in pykontor<3", name="a-file-instead",
            )  # fmt: skip
