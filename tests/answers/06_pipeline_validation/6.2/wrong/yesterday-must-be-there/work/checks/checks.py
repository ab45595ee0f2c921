import datetime


def measure(day):
    return {name: len(table) for name, table in day.items()}


def check(day, measures, past):
    yesterday = datetime.date.fromisoformat(day.date) - datetime.timedelta(days=1)
    before = past.loc[str(yesterday)]
    return [name for name in measures if measures[name] < 0.5 * before[name]]
