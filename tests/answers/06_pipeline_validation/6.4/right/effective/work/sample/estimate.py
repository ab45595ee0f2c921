"""Wilson's interval for the effective number of rows: visitors are what was drawn."""

import math
import sys
from pathlib import Path

import pandas as pd

Z = 1.96


def wilson(share, n):
    middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
    return share, max(middle - half, 0.0), middle + half


def estimate(sample):
    """share, low, high of the share of strange rows in the month; or None."""
    times = pd.to_datetime(sample["happened_at"])
    if times.max() - times.min() < pd.Timedelta(days=1):
        return None
    share = sample["strange"].mean()
    groups = sample.groupby("visitor_id")["strange"].agg(["sum", "size"])
    spread = ((groups["sum"] - share * groups["size"]) ** 2).sum() / len(sample) ** 2
    n = share * (1 - share) / spread if spread else len(groups)
    return wilson(share, n)


for path in sys.argv[1:]:
    found = estimate(pd.read_csv(path))
    print(Path(path).name, *(found or ["none"]))
