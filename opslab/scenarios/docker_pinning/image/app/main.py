"""What a partner pays us for sales: python main.py PARTNER AMOUNT …"""

import json
import sys
from pathlib import Path

import targ_metrics
from rounding import fee

CURRENCY = "EUR"
RATES = Path("/app/rates.json")
JOURNAL = Path("/data/fees.jsonl")


def main(partner, *amounts):
    rates = json.loads(RATES.read_text())
    if partner not in rates:
        sys.exit(f"main.py: {partner} is none of {', '.join(rates)}.")
    for amount in amounts:
        print(f"{partner} {amount}: {fee(amount, rates[partner])} {CURRENCY}")
    print(targ_metrics.count("fees", len(amounts), path=JOURNAL))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("main.py: python main.py PARTNER AMOUNT …")
    main(*sys.argv[1:])
