"""Numbers as people write them: 1.2k, 40M."""

import re

UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
NUMBER = re.compile(r"(\d+(?:\.\d+)?)([kMG]?)")


def human(number):
    """A number, short: 1200 is 1.2k."""
    for unit, worth in reversed(UNITS.items()):
        if abs(number) >= worth and unit:
            return f"{number / worth:.1f}{unit}"
    return str(number)


def parse(text):
    """The number that is meant. ValueError where it is none."""
    match = NUMBER.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is no number")
    return float(match[1]) * UNITS[match[2]]
