"""Draw visitors again and again, and see how the share moves; where nothing was found, the rule of three."""

import sys

import numpy as np
import pandas as pd

rng = np.random.default_rng(6)

for path in sys.argv[1:]:
    clicks = pd.read_csv(path, parse_dates=["happened_at"])
    if clicks["happened_at"].dt.date.nunique() < 7:
        print(path, None)
        continue
    by = clicks.groupby("visitor_id")["strange"].agg(["sum", "count"]).to_numpy()
    share = clicks["strange"].mean()
    if share == 0:
        print(path, 0, 0, 3 / len(clicks))
        continue
    drawn = by[rng.integers(0, len(by), (1000, len(by)))].sum(axis=1)
    print((path, share, *np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])))
