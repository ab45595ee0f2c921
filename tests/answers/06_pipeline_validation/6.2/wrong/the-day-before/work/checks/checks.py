def measure(day):
    return {name: len(table) for name, table in day.items()}


def check(day, measures, past):
    before = past.iloc[-1]
    return [name for name in measures if abs(measures[name] - before[name]) > 0.15 * before[name]]
