"""What share of a month's clicks is strange, and how sure is that?    python estimate.py FILE...

Prints a line for each file: its name, the share, the low and the high end of the interval that holds the month's share in 95 of 100
cases. Or its name and "none", if the file says nothing about the month.
"""

import math
import sys
from pathlib import Path

import pandas as pd


def estimate(sample):
    """share, low, high of the share of strange rows in the month; or None."""
    share = sample["strange"].mean()
    half = 1.96 * math.sqrt(share * (1 - share) / len(sample))
    return share, share - half, share + half


for path in sys.argv[1:]:
    found = estimate(pd.read_csv(path))
    print(Path(path).name, *(found or ["none"]))
