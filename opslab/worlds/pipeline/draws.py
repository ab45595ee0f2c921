"""Random numbers that are the same on any machine, and that can be asked for in any order.

    >>> draws = Draws(seed=1)
    >>> ids = np.array([7, 8, 9])
    >>> draws.below("shoe size", ids, 50).tolist() == draws.below("shoe size", ids[::-1], 50)[::-1].tolist()
    True

A number belongs to a name and an id: the price of listing 7 is what it is, whoever asks, on whatever day, with or without
the listings before it. So a day can be made without the days before, and a refund knows what an order of last week cost.

The bits are those of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014), which
is a counter and a mixing function. NumPy's Philox is a counter too, but it gives numbers in blocks, not for an array of
scattered ids. From there on everything is arithmetic with whole numbers: no float, no libm, no version of NumPy matters.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

STEP = np.uint64(0x9E3779B97F4A7C15)
FIRST = np.uint64(0xBF58476D1CE4E5B9)
SECOND = np.uint64(0x94D049BB133111EB)
CHUNK = 16_384
"""Numbers that are mixed at a time: they fit into the processor's cache, which is three times as fast as all at once."""

PICK_BITS = 16
MILLION = 1_000_000


def mix(key: int, counters: np.ndarray) -> np.ndarray:
    """64 random bits for each counter, as uint64. The same key and counter give the same bits."""
    counters = np.ascontiguousarray(counters).astype(np.uint64, copy=False)
    out = np.empty(len(counters), np.uint64)
    start = np.uint64(key)
    for begin in range(0, len(counters), CHUNK):
        bits = out[begin : begin + CHUNK]
        np.multiply(counters[begin : begin + CHUNK], STEP, out=bits)
        bits += start
        bits ^= bits >> np.uint64(30)
        bits *= FIRST
        bits ^= bits >> np.uint64(27)
        bits *= SECOND
        bits ^= bits >> np.uint64(31)
    return out


def table(weights: Sequence[int]) -> np.ndarray:
    """A table of 65,536 entries in which each position of `weights` stands as often as its weight says, in order.

    For `Draws.pick`. Weights are whole numbers and need not add up to anything.
    """
    bounds = np.cumsum(np.asarray(weights, dtype=np.int64))
    ends = (bounds << PICK_BITS) // bounds[-1]
    return np.repeat(np.arange(len(ends), dtype=np.int64), np.diff(ends, prepend=0))


class Draws:
    """All the chance of a world. `name` says what is drawn, `ids` for what: an array of whole numbers from 0 on."""

    def __init__(self, seed: int | str) -> None:
        self.seed = seed
        self._keys: dict[str, int] = {}

    def bits(self, name: str, ids: np.ndarray) -> np.ndarray:
        """64 random bits for each id."""
        if name not in self._keys:
            digest = hashlib.blake2b(f"{self.seed}/{name}".encode(), digest_size=8).digest()
            self._keys[name] = int.from_bytes(digest, "little")
        return mix(self._keys[name], ids)

    def below(self, name: str, ids: np.ndarray, limit: int | np.ndarray) -> np.ndarray:
        """A whole number from 0 to limit - 1 for each id, each as likely as the others. limit: at most 2**31, or one for each id."""
        return (self.bits(name, ids) >> np.uint64(32)).astype(np.int64) * limit >> 32

    def skewed(self, name: str, ids: np.ndarray, limit: int | np.ndarray) -> np.ndarray:
        """As `below`, but small numbers are far more likely than great ones: the product of two draws."""
        bits = self.bits(name, ids)
        product = (bits >> np.uint64(32)) * (bits & np.uint64(0xFFFFFFFF)) >> np.uint64(33)
        return product.astype(np.int64) * limit >> 31

    def pick(self, name: str, ids: np.ndarray, weighted: np.ndarray) -> np.ndarray:
        """For each id one of the positions of a `table`."""
        return weighted[(self.bits(name, ids) >> np.uint64(64 - PICK_BITS)).astype(np.int64)]

    def chance(self, name: str, ids: np.ndarray, per_million: int | np.ndarray) -> np.ndarray:
        """For each id True in so many of a million cases."""
        return self.below(name, ids, MILLION) < per_million

    def one(self, name: str, number: int, limit: int) -> int:
        """`below` for a single id."""
        return int(self.below(name, np.array([number]), limit)[0])
