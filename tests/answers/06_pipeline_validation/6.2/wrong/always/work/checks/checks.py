def check(day, measures, past):
    return ["please have a look at this day"]
