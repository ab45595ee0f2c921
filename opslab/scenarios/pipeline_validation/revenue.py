"""Task 6.5: a week in which revenue was down by about ten per cent, and a warehouse that is paid for by what a query reads.

    notes/revenue.md      what is claimed, what the tables are, what a query costs, and what it can have been
    answers/6.5.txt

What happened differs by seed, see `opslab.worlds.pipeline.revenue`. The warehouse is made when somebody asks it
(`opslab.worlds.pipeline.running`), so nothing here needs the world but `open_case`, `truth` and `words`.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opslab.worlds.pipeline.revenue import Truth

ANSWERS = "answers/6.5.txt"
LEDGER = ".warehouse/queries.jsonl"
BUDGET = 12_000_000
"""Bytes. Who knows how to look needs 4 to 5 MB; all of the orders cost 4, all of the clicks 90."""

NAMES = {
    # By what they begin with, so that their order tells nothing.
    "amount unreadable": "A partner's amounts arrive with a decimal comma, and become null.",
    "app broken": "In one app the button to get in touch and buy does nothing.",
    "books got cheaper": "Books cost a third less.",
    "category hidden": "A category has slipped out of the menu, and most of its orders are gone.",
    "coupon leaked": "A coupon for 15 per cent off stands on a deals site, and many use it.",
    "event not sent": "The new iOS app does not send favourites.",
    "half a day": "On one day the export of the orders was cut off.",
    "holiday": "There are holidays in the seven days.",
    "key in capitals": "A partner's orders arrive with the name in capitals, and the mart's join drops them.",
    "late events dropped": "Clicks that come late are thrown away.",
    "one big buyer": "In the weeks before, one buyer furnished three hotels.",
    "partner left": "A partner has taken all listings away and sells somewhere else.",
    "partner missing": "The orders and listings of a partner do not arrive any more. Their shop is open.",
    "payment broken": "In one country a way to pay does not work: most who choose it give up.",
    "payments stuck": "For one way to pay, many confirmations do not come through: what was paid stays pending.",
    "price fell": "In one category prices have fallen; as much is sold as before.",
    "rate missing": "The exchange rate of one currency does not arrive any more, so its orders are worth nothing.",
    "re-used keys": "After a failover, new orders get the ids of earlier ones of that day, and the deduplication drops them.",
    "sale": "There was a sale in the four weeks before.",
    "sampling left on": "The web site sends one click in three.",
    "season": "It is the season: everything is a bit quieter, everywhere.",
    "small partner left": "A small partner has left.",
    "visitors gone": "From one country fewer people come: an advert ended, or a search engine changed its mind.",
}
"""What it can have been. A test holds it beside what there is in the worlds."""

NOTES = """\
# Revenue is down by about ten per cent

Pawel goes through the weeks that nobody has ever explained. This is one of them. The warehouse is kept as it stood on the morning
after: its last day is the last of the week in question.

> Revenue of the last seven days is about ten per cent below the average week of the four weeks before.

That is `revenue_eur` of `gold.revenue_daily`: the sum over the last seven days, beside a quarter of the sum over the 28 days
before them. Refunds are not in it.

Everybody who was asked knew at once. Mobile: the release. Partners: somebody has left. Platform: certainly a pipeline, it always is.
Iga: every run was green, so it must be real. Marketing: it is the season. Nobody had counted.

## The warehouse

49 days; each table has a column `day`. `clean` and `gold` came through our pipeline. `finance` did not.

| table | what | all of it costs |
| --- | --- | ---: |
| gold.revenue_daily | the number, a row a day | 0.1 MB |
| gold.orders_daily | orders, how many are paid, and euros, by day, partner, category, country, payment, currency | 1.7 MB |
| gold.clicks_daily | clicks and visitors by day, country, device, kind; crawlers are left out | 0.2 MB |
| gold.refunds_daily | refunds by day and currency | 0.1 MB |
| finance.settlements | what the payment provider has paid out, by the day on which people paid. They know nothing of our pipeline, and keep 1.4 per cent for themselves, always | 0.2 MB |
| clean.orders | each order: partner, buyer, amount in its currency, status, payment, coupon. It does not know the device | 4 MB |
| clean.clicks | each click | 90 MB |
| clean.listings | what was for sale, as it stood each day: partner, category, price | 7 MB |
| clean.partners, clean.rates, clean.refunds | as they came | 0.1 MB each |
| ops.steps | what ran, and how many rows came out. All of it green | 0.1 MB |
| ops.calendar | holidays and sales, as they were announced | 0.1 MB |
| ops.notes | what people wrote in the channel in these weeks. People write a lot | 0.1 MB |

## What it costs

You have 12 MB. (Our real one is a thousand times as large, and then it is money.) A query costs the bytes of the columns that it
names, on the days that it reads; nothing costs less than 0.1 MB. So name columns, not `*`; say which days (`WHERE day >= …`); LIMIT
does not make it cheaper. A price is free, and so is the list of tables.

The warehouse sends at most 10,000 rows of a result, and says CUT where there were more; they are paid for all the same. (A price says it
beforehand, where it can know.) So let the query count and add up (`GROUP BY`): sums over cut rows are wrong.

    warehouse left
    warehouse tables clean.orders
    warehouse price "SELECT coupon FROM clean.orders WHERE day >= '2026-03-01'"
    warehouse query "SELECT * FROM gold.revenue_daily ORDER BY day"

In Python, the same: `from targ.client import connect`, then `connect().query("SELECT …")` is a DataFrame. If the budget is gone,
`opslab.reset("6.5")` gives it back, and a clean form.

## What it can have been

{names}

Some of these happened and have next to nothing to do with it.

## How to count

An amount becomes euros by the rate of its day: amount / rate, from `clean.rates` (the same `day` and `currency`; euros have no rate, theirs is 1).
Only orders with status `paid` are revenue. Small parts swing by a quarter from week to week, by chance: count orders rather than euros,
and believe a change that stays, day after day.

An effect is what this one thing has taken of the week. The change that is claimed has calendar and chance in it, too, and perhaps a second
cause. (These numbers are invented.)

- **pipeline**: what the mart lacks, of what it should have. Before, the mart had 1.014 € for each € of the settlements. By that, the week should
  be 200,000 €, and the mart has 186,000: (186,000 − 200,000) / 200,000 = −7.0 %.
- **real**: what is not sold now, of what the whole week would have brought. Chairs should have brought 20,000 € of 200,000 and brought 6,000:
  (6,000 − 20,000) / 200,000 = −7.0 %. If no part has broken off: the share of orders that it concerns, times what it takes off each.
- **nothing**: the change as it is claimed, beside the fair one. Claimed −10 %; without the odd days, on both sides, −4 %: 0.90 / 0.96 − 1 = −6.2 %.
  Where nothing can be left out, all of it.
"""

FORM = """\
# Revenue is down by about ten per cent: what is it? Keep the form "key: value".
#
#   mart      the change of gold.revenue_daily (revenue_eur), in per cent: the last seven days of the warehouse beside the average
#             week of the four weeks before them. Signed, one decimal: -12.3
#   bank      the same comparison for finance.settlements (settled_eur)
#   verdict   real       something happened to the marketplace: people buy less, or for less
#             pipeline   people buy as before, and our numbers do not say so
#             both       one of each
#             nothing    neither: what the week is compared with is not comparable
#
#   cause     one of the names in ~/notes/revenue.md. For "nothing": what the comparison overlooks
#   where     the part that is affected, as the tables write it: "partner=bikebarn", "payment=card country=PL", "category=toys",
#             "currency=HUF", "device=ios", "buyer=4711"; or "everywhere", as a coupon can be used
#   since     its first day, 2026-03-01 (a season has none)
#   effect    how much smaller this one thing has made the week, in per cent of what the week would have been without it.
#             For "nothing": how much smaller the week looks, only because the comparison is not fair. It is seldom the number
#             of "mart" again: ~/notes/revenue.md says how an effect is counted. Signed: -12.3
#
# The second block is for "both" only; the order does not matter.

mart:
bank:
verdict:

cause:
where:
since:
effect:

second_cause:
second_where:
second_since:
second_effect:
"""


def build(home: Path, seed: int, twists: frozenset[str]) -> None:
    """Put the claim and the form on the desk."""
    names = "\n".join(f"- **{name}**: {story}" for name, story in NAMES.items())
    for path, text in (("notes/revenue.md", NOTES.format(names=names)), (ANSWERS, FORM)):
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).write_text(text)


def open_case(folder: Path, seed: int) -> None:
    """Write the warehouse of a seed into a folder, where it is missing. Takes about five seconds."""
    # Only here, and below: it brings pandas and DuckDB along.
    from opslab.worlds.pipeline.revenue import Case
    from opslab.worlds.pipeline.warehouse import DATABASE

    if not (folder / DATABASE).is_file():
        made = Case(seed).write(folder / "new")
        made.replace(folder / DATABASE)
        (folder / "new").rmdir()


@functools.lru_cache(maxsize=32)
def truth(seed: int) -> Truth:
    """What is so in the world of a seed. About a second, the first time."""
    from opslab.worlds.pipeline.revenue import Case

    return Case(seed).truth


def words(seed: int) -> dict[str, Any]:
    """For tests: the right answers of a seed, {{revenue_mart}}, {{revenue_bank}}, {{revenue_verdict}}, of the first cause
    {{revenue_cause}}, {{revenue_where}}, {{revenue_since}}, {{revenue_effect}}; {{revenue_causes}}: all blocks, filled in."""
    found = truth(seed)
    named = [
        {
            "cause": cause.name,
            "where": " ".join(f"{key}={value}" for key, value in cause.where.items()) or "everywhere",
            "since": cause.since,
            "effect": f"{100 * cause.effect:.1f}",
        }
        for cause in found.named
    ]
    blocks = [f"{prefix}{key}: {value}" for prefix, one in zip(("", "second_"), named, strict=False) for key, value in one.items()]  # fmt: skip
    right = {
        "mart": f"{100 * found.headline:.1f}",
        "bank": f"{100 * found.paid_out:.1f}",
        "verdict": found.verdict,
        "causes": "\n".join(blocks),
        **named[0],
    }
    return {f"revenue_{name}": value for name, value in right.items()}
