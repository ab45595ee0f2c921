"""The numbers of the week: one line for each partner, and a total."""

import sys

import targ_units


def totals(lines):
    """The sum for each partner. lines: partner, tab, a number as people write it (1.2k)."""
    found = {}
    for line in lines:
        partner, number = line.rstrip("\n").split("\t")
        found[partner] = found.get(partner, 0) + targ_units.parse(number)
    return found


def report(found):
    lines = [f"{partner:<12} {targ_units.human(number):>8}" for partner, number in sorted(found.items())]
    return "\n".join([*lines, f"{'total':<12} {targ_units.human(sum(found.values())):>8}"])


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        print(report(totals(file)))
