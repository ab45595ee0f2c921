"""Numbers about a job, as lines of JSON in a file.

targ_metrics.count("rows", 1_200, path="metrics.jsonl")
"""

import json

import targ_units


def count(name, value, path="metrics.jsonl"):
    """Note a number, and give it back as people read it."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps({"name": name, "value": value}) + "\n")
    return f"{targ_units.human(value)} {name}"
