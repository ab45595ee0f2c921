def measure(day):
    return {name: len(table) for name, table in day.items()}


def check(day, measures, past):
    return any(measures[name] < past[name].min() * 0.3 for name in measures)
