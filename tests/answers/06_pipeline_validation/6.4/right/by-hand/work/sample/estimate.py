"""Without pandas: the exact interval (Clopper and Pearson) where each visitor comes once, else the spread of the visitors."""

import csv
import math
import sys
from collections import Counter


def at_most(k, n, p):
    """How likely are k or fewer of n."""
    term = total = (1 - p) ** n
    for i in range(k):
        term *= (n - i) / (i + 1) * p / (1 - p)
        total += term
    return total


def where(holds):
    """The largest p for which it holds, by halving."""
    low, high = 0.0, 0.9
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def exact(k, n):
    low = where(lambda p: 1 - at_most(k - 1, n, p) < 0.025) if k else 0
    return low, where(lambda p: at_most(k, n, p) > 0.025)


def by_visitors(hits, sizes):
    n, m = sum(sizes.values()), len(sizes)
    share = sum(hits.values()) / n
    spread = sum((hits[who] - share * size) ** 2 for who, size in sizes.items())
    half = 1.96 * math.sqrt(spread * m / (m - 1)) / n
    return max(share - half, 0), min(share + half, 1)


for path in sys.argv[1:]:
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    numbers = sorted(int(row["row"]) for row in rows)
    if numbers[-1] - numbers[0] < 1_000_000:
        print(f"{path}\tnone")
        continue
    sizes, hits = Counter(), Counter()
    for row in rows:
        sizes[row["visitor_id"]] += 1
        hits[row["visitor_id"]] += int(row["strange"])
    k, n = sum(hits.values()), len(rows)
    low, high = exact(k, n) if len(sizes) > 0.9 * n else by_visitors(hits, sizes) if k else exact(0, len(sizes))
    print(f"{path}\t{k / n:.6f}\t{low:.6f}\t{high:.6f}")
