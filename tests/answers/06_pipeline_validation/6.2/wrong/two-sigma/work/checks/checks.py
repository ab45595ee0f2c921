def measure(day):
    found = {name: len(table) for name, table in day.items()}
    for column in ("kind", "device", "country"):
        found |= {
            f"{column} {value}": share for value, share in day["clicks"][column].value_counts(normalize=True).items()
        }
    for column in ("status", "payment", "currency"):
        found |= {
            f"{column} {value}": share for value, share in day["orders"][column].value_counts(normalize=True).items()
        }
    return found


def check(day, measures, past):
    if any(table.empty for table in day.values()):
        return ["empty"]
    good = past[~past["announced"]].drop(columns="announced")
    low, high = good.mean() - 2 * good.std(), good.mean() + 2 * good.std()
    return [name for name in good if name in measures and not low[name] <= measures[name] <= high[name]]
