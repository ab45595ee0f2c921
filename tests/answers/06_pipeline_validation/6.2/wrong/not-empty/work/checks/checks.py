def check(day, measures, past):
    return [f"{name} has no row" for name, table in day.items() if table.empty]
