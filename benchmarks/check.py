"""What a check costs a learner, and what importing opslab costs each kernel, beside the start of Python itself.

    .venv/bin/python benchmarks/check.py

Median of 20 each. Ends with exit code 1 where a limit does not hold: 0.3 s for a check whose work is trivial, 0.15 s of
CPU for `import opslab`, 1.5 s for a check that asks AWS.
"""

from __future__ import annotations

import contextlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from timing import wall

TIMES = 20
CHECK_LIMIT = 0.3
IMPORT_LIMIT = 0.15
AWS_LIMIT = 1.5


def cpu(argv: list[str]) -> float:
    """The median CPU time, in seconds, that a command takes."""
    taken = []
    for _ in range(TIMES):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(argv, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(taken)


def main() -> int:
    """Measure, print the table, and return the exit code."""
    nothing = [sys.executable, "-c", "pass"]
    python = wall(lambda: subprocess.run(nothing, check=True), TIMES)
    python_cpu = cpu(nothing)
    importing = cpu([sys.executable, "-c", "import opslab"]) - python_cpu

    # In a course of its own, because a check is remembered as progress.
    with tempfile.TemporaryDirectory(prefix="ol-") as folder:
        root = Path(folder)
        for name in ("lessons", "exercises", "tmp"):
            (root / name).mkdir()
        os.environ.update(OPSLAB_COURSE_ROOT=folder, TMPDIR=str(root / "tmp"), HOME=folder)
        os.environ.pop("OPSLAB_STATE", None)
        tempfile.tempdir = str(root / "tmp")
        from opslab import lab

        home = root / "exercises" / "00_start_here" / "workspace"
        try:
            started = time.perf_counter()
            lab.prepare(home, "00_start_here")
            first = time.perf_counter() - started
            (home / "name.txt").write_text("Ada\n")
            os.environ["OPSLAB_WORLD"] = str(home)
            with open(os.devnull, "w") as quiet, contextlib.redirect_stdout(quiet):
                checking = wall(lambda: lab.check("0.1"), TIMES)
            command = [sys.executable, "-m", "opslab.cli", "check", "0.1"]
            typed = wall(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL), TIMES)
        finally:
            lab.stop(home)
        home = root / "exercises" / "03_iam_roles" / "workspace"
        try:
            started = time.perf_counter()
            lab.prepare(home, "03_iam_roles")
            first_aws = time.perf_counter() - started
            # Untouched, 3.6 asks two copies of the organisation for every arrow.
            asking = wall(lambda: lab.ask(home, "check", task="3.6"), TIMES)
        finally:
            lab.stop(home)

    rows = [
        ("python -c pass", python, "", True),
        ("python -c pass, CPU", python_cpu, "", True),
        ("import opslab, CPU beyond that", importing, f"under {IMPORT_LIMIT} s", importing < IMPORT_LIMIT),
        ("opslab.check of a trivial task, in a notebook", checking, f"under {CHECK_LIMIT} s", checking < CHECK_LIMIT),
        ("opslab check of the same, typed in a terminal", typed, "", True),
        ("first opslab.open: server started, desk made (once)", first, "", True),
        ("the same for module 03, with its AWS (once)", first_aws, "", True),
        ("opslab.check of task 3.6, which asks AWS", asking, f"under {AWS_LIMIT} s", asking < AWS_LIMIT),
    ]
    print(f"{'':<52}{'seconds':>9}{'× python -c pass':>19}  limit")
    for what, seconds, limit, holds in rows:
        base = python_cpu if "CPU" in what else python
        print(f"{what:<52}{seconds:>9.4f}{seconds / base:>19.2f}  {limit}{'' if holds else '  NOT HELD'}")
    return 0 if all(holds for *_, holds in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
