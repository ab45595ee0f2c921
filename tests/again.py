"""What was red in the last run of pytest, once more: by itself, one after the other, with nothing beside it.

    .venv/bin/python tests/again.py [--most 3] [options for pytest]

A fault is red again. What is green now was a race: of two things that nearly always come in one order, the other one
came first, on a machine that was busy with the tests beside it. It is told by name, its first traceback stands above,
and it is to be mended as any other fault, because learners' machines are busy, too. But it does not hide what else a
change has done. CPython's test runner has the same habit (`python -m test --rerun`, "FAILURE then SUCCESS").

With more than --most red tests nothing is run again: that many are no accident.
Exit code 0: all of them are green now. 1: not so, or there was more amiss than red tests, or nothing red was found.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest

CACHE = Path(".pytest_cache/v")
ENDED = "again/ended"


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """For conftest.py: keeps how a run has ended, because one that was broken off has not tried everything."""
    if hasattr(session.config, "cache") and not hasattr(session.config, "workerinput"):
        session.config.cache.set(ENDED, int(exitstatus))


def read(name: str) -> object:
    """What pytest has kept under this name; None if nothing."""
    try:
        return json.loads((CACHE / name).read_text())
    except (OSError, ValueError):
        return None


def to_run(red: list[str]) -> list[str]:
    """What to run for these: of a notebook all of it, because its cells build on each other."""
    return list(dict.fromkeys(name.split("::")[0] if ".ipynb::" in name else name for name in red))


def main() -> int:
    parser = argparse.ArgumentParser(description="Run once more what was red, alone.")
    parser.add_argument("--most", type=int, help="with more red tests than this, run nothing")
    options, others = parser.parse_known_args()
    ended, red = read(ENDED), list(read("cache/lastfailed") or [])
    if ended != pytest.ExitCode.TESTS_FAILED or not red:
        print(f"The last run of pytest did not just end with red tests (exit code {ended}): nothing is run again.")
        return 1
    if options.most is not None and len(red) > options.most:
        print(f"{len(red)} tests are red, more than {options.most}: that is no accident; nothing is run again.")
        return 1
    print(f"Once more, with nothing beside it: {', '.join(red)}", flush=True)
    again = subprocess.run([sys.executable, "-m", "pytest", "-v", "-n", "0", *others, *to_run(red)], check=False)
    if again.returncode:
        print("Red again.")
        return 1
    print("\n".join(["RED, THEN GREEN. A race, to be mended (its first traceback stands above):", *red]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
