"""The log of arriving partner files: big enough to be real, the same for the same seed.

2026-11-16T02:14:09Z loader-2 WARN partner=autohaus-24 status=LATE minutes=14 file=listings_0214.csv.gz
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

PARTNERS = (
    "autohaus-24", "bikebarn", "chatelaine", "deskorama", "fonoplex", "gramofon", "kamera-kiste", "latelier",
    "meubelmarkt", "oldbooks", "rowerowo", "sofashop", "stuffswap", "tekno-two", "vinylist", "wardrobe",
)  # fmt: skip

TWISTS = {
    "close": "the first two partners differ by one",
    "none late": "a perfect day",
    "one digit": "few late files, so that counts of one, two and three digits meet",
}


def write(path: Path, seed: int, *, lines: int = 200_000, twists: frozenset[str] = frozenset()) -> Counter:
    """Write a day's log and return how often each partner was late. twists: names of TWISTS."""
    rng = random.Random(f"feeds {seed} {sorted(twists)}")
    partners = list(PARTNERS)
    rng.shuffle(partners)
    late = _late_counts(rng, partners, lines, twists)
    statuses = [f"partner={name} status=LATE" for name, count in late.items() for _ in range(count)]
    rest = lines - len(statuses)
    # Files called LATEST_… are in time: whoever searches for the bare word LATE counts them. Most belong to a partner
    # that is hardly ever late.
    punctual = partners[-1]
    for _ in range(rest):
        name = punctual if rng.random() < 0.12 else partners[int(rng.random() * len(partners))]
        statuses.append(f"partner={name} status={'OK' if rng.random() < 0.97 else 'RETRY'}")
    rng.shuffle(statuses)
    day = path.stem[-10:]
    with path.open("w") as file:
        for number, status in enumerate(statuses):
            second = number * 86_400 // lines
            clock = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
            stamp = f"{clock[:2]}{clock[3:5]}"
            if status.endswith("LATE"):
                level, minutes, name = "WARN", rng.randint(11, 180), f"listings_{stamp}"
            else:
                level, minutes = "INFO", rng.randint(0, 10)
                name = f"LATEST_{stamp}" if punctual in status and rng.random() < 0.7 else f"listings_{stamp}"
            file.write(
                f"{day}T{clock}Z loader-{number % 4 + 1} {level} {status} minutes={minutes} file={name}.csv.gz\n"
            )
    return late


def _late_counts(rng: random.Random, partners: list[str], lines: int, twists: frozenset[str]) -> Counter:
    if "none late" in twists:
        return Counter()
    scale = lines / 200_000
    counts = [1043, 987, 431, 98, 52, 9, 7, 1] if "one digit" not in twists else [104, 99, 11, 9, 8, 2, 1, 1]
    top = max(2, round(rng.uniform(0.9, 1.1) * counts[0] * scale))
    late = Counter({partners[0]: top})
    late[partners[1]] = top - 1 if "close" in twists else max(1, round(counts[1] * scale * 0.9))
    for partner, count in zip(partners[2:8], counts[2:], strict=True):
        late[partner] = max(1, round(count * scale) if "one digit" not in twists else count)
    late[partners[-1]] = 2
    return late
