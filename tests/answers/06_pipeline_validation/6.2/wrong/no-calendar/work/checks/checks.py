def measure(day):
    return {name: len(day[name]) for name in ("clicks", "orders")}


def check(day, measures, past):
    usual = past[~past["announced"]].median()
    return [name for name in measures if not 0.62 * usual[name] < measures[name] < 1.5 * usual[name]]
