"""The incident of module 05, step by step, with real pip and real uv in the jail, as a learner waits for it.

    .venv/bin/python benchmarks/packages.py

Medians. Beside each step stands what its tool needs in the same place for doing nothing (`pip --version`), so that the rest is
ours: the resolver's questions to the index, and the files. Ends with exit code 1 where a step takes 3 seconds or more, or does not
end as the story has it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from timing import wall

LIMIT, TIMES = 3.0, 5
DEAD = 139


class Bench:
    """Steps in a world of their own, each timed several times."""

    def __init__(self, home: Path) -> None:
        from opslab.worlds import packages, workspace

        self.home, self.packages, self.failed = home, packages, False
        self.server = packages.Server(packages.Index(1))
        self.env = workspace.environment(home, packages.settings(self.server.url))
        self.service = packages.Service(1)
        self.service.put(home)
        (home / "pinned.txt").write_text("pykontor==2.8.6\ntarg-loader\ntarg-metrics\n")
        (home / "four.txt").write_text("pykontor<2.9\ntarg-loader\ntarg-metrics\n")

    def jailed(self, command: str, code: int = 0) -> None:
        """Run a command in the jail; complain where it ends with another exit code."""
        from opslab import jail
        from opslab.worlds import workspace

        done = jail.run(
            command.split(),
            home=self.home,
            env=self.packages.activated(self.env, self.home / "venv"),
            services=self.server.services,
            hide=workspace.secret_folders(),
            read_only=workspace.tool_folders(),
        )
        if done.code != code:
            self.failed = True
            print(f"{command}: exit code {done.code}, expected {code}\n{done.out}{done.err}")

    def clear(self, installed: bool) -> None:
        """No warehouse; where `installed`, nothing but pip in the virtual environment either."""
        for name in ("pykontor*", "targ*") if installed else ():
            for place in self.home.glob(f"venv/lib/*/site-packages/{name}"):
                shutil.rmtree(place)
        shutil.rmtree(self.home / "warehouse", ignore_errors=True)

    def step(self, name: str, command: str, nothing: float, code: int = 0, fresh: bool = True) -> None:
        """Time a step and print it. fresh: with nothing installed, each time; else with what the last step has installed."""
        seconds = wall(lambda: self.jailed(command, code), TIMES, lambda: self.clear(fresh))
        self.show(name, seconds, nothing)

    def show(self, name: str, seconds: float, nothing: float) -> None:
        self.failed |= seconds >= LIMIT
        print(f"{name:<58}{seconds * 1000:>7.0f} ms{nothing * 1000:>8.0f} ms{'   TOO MUCH' * (seconds >= LIMIT)}")


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="opslab-bench-") as folder:
        bench = Bench(Path(folder))
        packages, index = bench.packages, bench.server.index
        print(f"{f'median of {TIMES}, limit {LIMIT:g} s':<58}{'step':>10}{'nothing':>11}")
        place = bench.home / "venv"
        usual = [sys.executable, "-m", "venv", str(bench.home / "usual")]
        started = time.perf_counter()
        subprocess.run(usual, check=True)
        usually = time.perf_counter() - started
        made = wall(lambda: packages.make_venv(place), TIMES, lambda: shutil.rmtree(place, ignore_errors=True))
        bench.show("a virtual environment with pip (beside: python -m venv)", made, usually)
        python = wall(lambda: bench.jailed("python -c pass"), TIMES)
        tools = {
            "pip": ("pip install -q", wall(lambda: bench.jailed("pip --version"), TIMES)),
            "uv": ("uv pip install -q", wall(lambda: bench.jailed("uv --version"), TIMES)),
        }
        load = f"python load.py {bench.service.table}.tsv"
        index.day = packages.MONDAY
        lock = "uv pip compile -q requirements.txt --generate-hashes -o requirements.lock"
        bench.step("Monday: lock with hashes", lock, tools["uv"][1])
        for tool, (install, nothing) in tools.items():
            index.mend()
            index.day = packages.TUESDAY
            bench.step(f"{tool}: unpinned", f"{install} -r requirements.txt", nothing)
            bench.step("  it dies", load, python, DEAD, fresh=False)
            bench.step(f"{tool}: four characters", f"{install} -r four.txt", nothing)
            bench.step("  it lives", load, python, fresh=False)
            bench.step(f"{tool}: from the lock", f"{install} --require-hashes -r requirements.lock", nothing)
            index.tamper("pykontor==2.8.6")
            bench.step(f"{tool}: pinned, and tampered with", f"{install} -r pinned.txt", nothing)
            bench.step(
                f"{tool}: from the lock, which refuses", f"{install} --require-hashes -r requirements.lock", nothing, 1
            )
        audit = f"pip-audit -s osv --osv-url {bench.server.osv_url} -r requirements.lock --disable-pip"
        bench.step(
            "pip-audit: what is known of the lock", audit, wall(lambda: bench.jailed("pip-audit --version"), TIMES), 1
        )
        bench.server.close()
    print(f"{os.cpu_count()} processors, Python {sys.version.split()[0]}")
    return int(bench.failed)


if __name__ == "__main__":
    sys.exit(main())
