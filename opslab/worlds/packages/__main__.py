"""An index in the foreground, to try things with.

python -m opslab.worlds.packages [--day 2026-11-17] [--seed 1] [--port 8017] [--tamper pykontor==2.8.6]
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading

from opslab.worlds import packages


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m opslab.worlds.packages", description="Serve a world's package index."
    )
    parser.add_argument("--day", default=packages.TUESDAY, help="the day that it is there (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--tamper", action="append", default=[], metavar="NAME==VERSION")
    given = parser.parse_args(arguments)
    try:
        index = packages.Index(given.seed, given.day, tampered=given.tamper)
    except packages.PackagesError as error:
        parser.error(str(error))
    with packages.Server(index, given.port) as server, contextlib.suppress(KeyboardInterrupt):
        for name, value in packages.settings(server.url).items():
            print(f"export {name}={value}")
        print(f"# pip-audit -s osv --osv-url {server.osv_url}   Ctrl-C stops the server.", flush=True)
        threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
