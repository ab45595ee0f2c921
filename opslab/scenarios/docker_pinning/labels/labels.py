"""What is printed on a parcel: python labels.py NUMBER PARTNER"""

import sys


def label(number, partner):
    """One line, with a digit at its end that tells whether somebody has mistyped it."""
    return f"{partner[:4].upper()}-{int(number):06}-{sum(map(int, str(number))) % 10}"


if __name__ == "__main__":
    print(label(*sys.argv[1:]))
