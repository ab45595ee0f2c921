#!/usr/bin/env python3
"""The same job in Python: check=True is its set -e, TemporaryDirectory its trap."""

import gzip
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

day = sys.argv[1]
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
try:
    with tempfile.TemporaryDirectory() as work:
        raw = subprocess.run(["fetch_orders", day], check=True, stdout=subprocess.PIPE).stdout
        csv = subprocess.run(["to_csv"], check=True, input=raw, stdout=subprocess.PIPE).stdout
        packed = Path(work) / "orders.csv.gz"
        packed.write_bytes(gzip.compress(csv))
        subprocess.run(["publish", packed, f"orders-{day}.csv.gz"], check=True)
except subprocess.CalledProcessError as error:
    sys.exit(f"export of {day} failed: {error}")
print(f"export of {day} done")
