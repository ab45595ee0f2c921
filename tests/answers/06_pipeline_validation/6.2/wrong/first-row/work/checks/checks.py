def measure(day):
    return {"orders": len(day["orders"])}


def check(day, measures, past):
    if day["clicks"]["received_at"].max().hour < 20 or day["orders"]["amount"].iloc[0] <= 0:
        return ["clicks or orders look odd"]
    return ["too few"] if measures["orders"] < 0.4 * past["orders"].min() else []
