def measure(day):
    return {name: len(table) for name, table in day.items()}


def check(day, measures, past):
    for name in measures:
        if measures[name] < past[name].min() * 0.6:
            print(f"ALARM: {name} has only {measures[name]:.0f} rows")
