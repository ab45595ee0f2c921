ROWS = {
    "clicks": int("{{rows_of_clicks}}"),
    "orders": int("{{rows_of_orders}}"),
    "listings": int("{{rows_of_listings}}"),
}


def check(day, measures, past):
    return [
        f"{name}: {len(day[name])} rows, not {rows}"
        for name, rows in ROWS.items()
        if abs(len(day[name]) - rows) > 0.4 * rows
    ]
