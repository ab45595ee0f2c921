"""Task 6.5: what was behind a week in which revenue was down. Two numbers first, which only somebody has who asked; then the rest.

A miss refutes what was said, by what the answer itself brings or by where it would be seen in the warehouse. It does not say what
is true instead: names, places and days that were tried one after the other shall cost more than looking.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opslab.checks import Miss, Trial, left_out
from opslab.checks.pipeline_validation import module
from opslab.scenarios.pipeline_validation import revenue as scenario

if TYPE_CHECKING:
    from opslab.worlds.pipeline.revenue import Cause

CAUSE = ("cause", "where", "since", "effect")
KEYS = ("mart", "bank", "verdict", *CAUSE, *(f"second_{key}" for key in CAUSE))
VERDICTS = ("real", "pipeline", "both", "nothing")
NUMBER_OFF = 0.4
"""How far the two numbers may be off, in points: of rounding, and of nothing else."""

down = module.task(
    "6.5",
    "Revenue is down ten per cent",
    files=[scenario.ANSWERS],
    memory=[scenario.LEDGER],
    hints=[
        ("Ask a witness first. The payment provider knows nothing of our pipeline: where its settlements and our mart tell the same, it has happened; "
        "where they part, it was lost on the way. Compare the days, too. That costs 0.3 MB. Look at the calendar before you call any week unusual."),
        ("The pipeline: join gold.orders_daily and finance.settlements by day, partner_id, payment, currency, and see on which day and in which of them the two "
        "part; then clean.orders of these days says how. The marketplace: look at one thing at a time, at shares, not totals (a season moves all parts alike): "
        "payments per partner, category, country and payment; clicks per country; contacts per view, per device; the share of orders with a coupon; the price of the same listing. "
        "Neither: does the drop stay when you leave out odd days and odd orders?"),
        ("SELECT day, partner_id, payment, currency, sum(revenue_eur) FROM gold.orders_daily WHERE day >= … GROUP BY ALL is 1.4 MB: ask it once, keep the DataFrame, and "
        "pivot it as often as you like. What it has lost: settled_eur times the usual mart / bank, minus the mart. What a real cause has taken: what that part sold before, minus what it sells "
        "now, for the days since then, divided by what the whole week would have been. SELECT buyer_id, sum(amount) … GROUP BY ALL on one odd day costs little."),
    ],
)  # fmt: skip

REAL = (
    "app broken",
    "category hidden",
    "coupon leaked",
    "partner left",
    "payment broken",
    "price fell",
    "visitors gone",
)
PIPELINE = (
    "amount unreadable", "half a day", "key in capitals", "partner missing", "payments stuck", "rate missing", "re-used keys",
)  # fmt: skip
OVERLOOKED = ("holiday", "one big buyer", "sale", "season")

SEEN = {
    "app broken": "in gold.clicks_daily, one device would have far fewer contacts for each view since then",
    "category hidden": "since some day, most of the payments in one category would be gone, and the clicks on it, too",
    "coupon leaked": "the share of clean.orders with that coupon would have jumped",
    "partner left": "the provider would have nothing to pay out any more for a partner that mattered, and its listings would be gone",
    "payment broken": "in one country, one way to pay would have lost half of its share in gold.orders_daily, and in no other",
    "price fell": "the same listing_id in clean.listings would cost far less than two weeks ago, in a category with many euros",
    "visitors gone": "gold.clicks_daily of one country would have fallen beside all others",
    "amount unreadable": "clean.orders would have orders of one partner without an amount, day by day",
    "half a day": "mart and settlements would part on one single day, and agree on all the others",
    "key in capitals": "clean.orders would know one partner_id in two ways of writing",
    "partner missing": "clean.orders would have next to no rows of one partner, for whom the provider still pays out",
    "payments stuck": "clean.orders would have far more pending ones than before, for one way to pay",
    "rate missing": "clean.rates would miss a currency on these days",
    "re-used keys": "mart and settlements would part in every partner, way to pay and currency alike, day after day",
    "holiday": "ops.calendar would have holidays within the seven days",
    "one big buyer": "some day of the weeks before would stand out, and one buyer_id on it",
    "sale": "ops.calendar would have a sale within the four weeks before",
    "season": "every part would be down alike, and the calendar would be empty",
}
"""For each name, what would be seen if it were so."""

KIND_OF = {name: kind for kind, names in (("real", REAL), ("pipeline", PIPELINE), ("nothing", OVERLOOKED)) for name in names}  # fmt: skip
HOW = {
    "pipeline": "What was lost on the way can be counted: what the provider has paid out in the seven days, times what the mart usually has of it, should be there. See how much of that is missing.",
    "real": "Take what this part sold before and what it sells now, since that day, and divide the difference by what the whole week would have been.",
    "nothing": "Compare the week fairly, without what is odd, on both sides. The effect is the claimed change beside the fair one; ~/notes/revenue.md has an example.",
    "coupon leaked": "It is everywhere, so there is no part to look at: take the share of orders that have the coupon now and had it not before, times what it takes off each, for the days on which it was there, of the seven.",
    "price fell": "As much is sold, for less: take the share of all euros that this category had before, times what the same listing has lost in price, for the days since then, of the seven.",
    "app broken": "Orders do not know their device, so what one app has lost is missing everywhere: take the payments since that day beside the same weekdays before, for the days since then, of the seven.",
    "season": "It is everywhere and every day, so nothing can be left out to compare more fairly. If no part, no day and no buyer stands out: what of the change is left for anything else?",
}
"""How an effect is counted: for a kind, and for those names where it is done in another way."""

REPEATED, FAR = 0.3, 1.0
"""In points: what counts as the number of mart again, and how far that has to be from what is right to be refused."""

IN_CLICKS = ("late events dropped", "sampling left on", "event not sent")
NO_PLACE = {"everywhere", "all"}
FILLING = {"partner", "partner_id", "payment", "country", "category", "currency", "device", "day", "buyer", "buyer_id", "in", "and", "of"}  # fmt: skip
"""Words of a place that say nothing by themselves."""


@dataclass(frozen=True)
class Said:
    """One block of the form, as it was filled in. prefix: "" or "second_"."""

    prefix: str
    name: str
    text: Mapping[str, str]

    @property
    def kind(self) -> str:
        return KIND_OF.get(self.name, "")


def _answers(trial: Trial, *keys: str) -> dict[str, str]:
    return trial.form(scenario.ANSWERS, KEYS, *keys)


def _read() -> str:
    return f"read ~/{scenario.ANSWERS}"


def _per_cent(key: str, text: str) -> float:
    """A change in per cent, as people write it: -12.3, −12,3 %, +0.4 per cent."""
    plain = re.sub(r"\s*(%|per ?cent|percent|points?)$", "", text.strip().lower()).translate(
        str.maketrans("−–,", "--.")
    )
    if not re.fullmatch(r"[-+]?\s*\d{1,4}(\.\d{1,12})?", plain):
        raise Miss(f"{key} is a change in per cent, with its sign.", tried=_read(), got=f"{key}: {text}", wanted=f"{key}: -12.3", name="no-number")  # fmt: skip
    return float(plain.replace(" ", ""))


def _not_so(key: str, said: float, true: float, say: str, wanted: str, off: float = 1) -> Miss:
    """Why a number is wrong that should be another one; off: how near it has to be for one of the mistakes that everybody makes."""
    got = f"{key}: {said:g}"
    if abs(said * 100 - true) <= off and abs(said) < 1:
        return Miss(f"{key} is in per cent: -12.3, not -0.123.", tried=_read(), got=got, wanted=f"{key}: in per cent", name="share-instead-of-per-cent")  # fmt: skip
    if true < -1 and abs(said + true) <= off:
        return Miss(f"{key} has a sign: what has become less is negative.", tried=_read(), got=got, wanted=f"{key}: signed", name="sign")  # fmt: skip
    return Miss(say, tried=_read(), got=got, wanted=wanted, name="other-number")


# ---- the verdict -----------------------------------------------------------------------------------------------------


@down.expects("the two numbers, and whether it is real, the pipeline, both or nothing", points=1)
def verdict(trial: Trial) -> None:
    found = _answers(trial, "mart", "bank", "verdict")
    mart, bank = _per_cent("mart", found["mart"]), _per_cent("bank", found["bank"])
    said = found["verdict"].lower().strip(". ")
    if said not in VERDICTS:
        raise Miss("verdict is one word of four.", tried=_read(), got=f"verdict: {found['verdict']}", wanted=", ".join(VERDICTS), name="no-verdict")  # fmt: skip
    true = scenario.truth(trial.seed)
    for key, number, share, table in (
        ("mart", mart, true.headline, "revenue_eur of gold.revenue_daily"),
        ("bank", bank, true.paid_out, "settled_eur of finance.settlements"),
    ):
        right = 100 * share
        if abs(number - right) <= NUMBER_OFF:
            continue
        if abs(number - ((1 + share) / 4 - 1) * 100) < 2:
            raise Miss(
                "That is one week beside four. A week belongs beside the average of the four: a quarter of their sum.",
                tried=_read(), got=f"{key}: {number:g}", wanted="the seven days, divided by a quarter of the 28 days before, minus 1", name="week-beside-four-weeks",
            )  # fmt: skip
        raise _not_so(
            key, number, right, f"That is not what the warehouse says. Take {table}: the sum of the last seven days, and of the 28 days right before them.",
            "the seven days, divided by a quarter of the 28 days before, minus 1",
        )  # fmt: skip
    if said != true.verdict:
        raise _against(said, true.verdict, mart, bank)


def _against(said: str, true: str, mart: float, bank: float) -> Miss:
    """What stands against a verdict, in the two numbers that came with it."""
    tried, got = f"your numbers: mart {mart:+.1f}, bank {bank:+.1f}", f"verdict: {said}"
    lost = true in ("pipeline", "both")
    if lost and said in ("real", "nothing"):
        return Miss(
            "Your own two numbers do not fit this: our mart has fallen further than the money that was paid out. If nothing had been lost on the way, the two would agree.",
            tried=tried, got=got, wanted="a verdict that explains why they part", name="pipeline-overlooked",
        )  # fmt: skip
    if not lost and said in ("pipeline", "both"):
        return Miss(
            "Your own two numbers do not fit this: the money that was paid out has fallen just as far, and a pipeline that loses rows does not make people pay less.",
            tried=tried, got=got, wanted="a verdict that explains why they agree", name="pipeline-blamed",
        )  # fmt: skip
    if said == "pipeline":
        return Miss(
            "The pipeline cannot touch what was paid out, and something has taken from that, too. Its total does not show it: euros swing by five to ten per cent from week to week. Counts and shares swing less. Go through what is real on the list, one after the other: one of them has broken off on a day.",
            tried=tried, got=got, wanted="an answer for what the provider did not pay out, too", name="real-overlooked",
        )  # fmt: skip
    if said == "both":
        return Miss(
            "What was lost on the way is one thing. For the other, look at what was paid out: its euros swing by five to ten per cent from week to week without any reason, and by counts and shares nothing has broken off.",
            tried=tried, got=got, wanted="as many causes as there is evidence for", name="real-blamed",
        )  # fmt: skip
    undecided = (
        "The two numbers agree, so it was not lost on the way. What tells the other two apart: a cause begins on a day of the week and takes one part (a partner, a country, "
        "a device, prices, coupons …) beside all others; what a comparison overlooks goes away when odd days and odd orders are left out. Your answer does not fit what is there."
    )
    return Miss(undecided, tried=tried, got=got, wanted="the other explanation of two numbers that agree", name="nothing-where-there-is-one" if said == "nothing" else "cause-where-there-is-none")  # fmt: skip


# ---- causes --------------------------------------------------------------------------------------------------------------


def _blocks(trial: Trial) -> list[Said]:
    """The blocks that were filled in, as far as they have a cause."""
    found = _answers(trial, "cause")
    return [
        Said(prefix, " ".join(found[f"{prefix}cause"].lower().replace("_", " ").strip("\"'“”. ").split()), {key: found.get(prefix + key, "") for key in CAUSE})
        for prefix in ("", "second_")
        if f"{prefix}cause" in found
    ]  # fmt: skip


@down.expects("the cause, or what the comparison overlooks", points=1, needs="verdict")
def cause(trial: Trial) -> None:
    said, true = _blocks(trial), scenario.truth(trial.seed)
    names = {one.name for one in true.named}
    got = "\n".join(f"{one.prefix}cause: {one.text['cause']}" for one in said)
    for one in said:
        if one.name not in scenario.NAMES:
            raise Miss("Take one of the names that ~/notes/revenue.md lists.", tried=_read(), got=got, wanted=", ".join(scenario.NAMES), name="not-in-the-list")  # fmt: skip
        if not one.kind:
            why = (
                "That is about clicks, and revenue is made of orders: it can make no difference to either of your two numbers."
                if one.name in IN_CLICKS
                else "Count what that is worth: its share of all euros before, and how much of it is gone. It is nowhere near ten per cent."
            )
            raise Miss(why, tried=_read(), got=got, wanted="something that is large enough", name="decoy")
    wanted = {"both": ["pipeline", "real"]}.get(true.verdict, [true.verdict])
    if len(said) < len(wanted):
        raise Miss("Your verdict is both, and that takes two: fill in the second block as well.", tried=_read(), got=got, wanted="one of each", name="one-of-two")  # fmt: skip
    if len(said) > len(wanted):
        raise Miss(f"Your verdict is {true.verdict}, and you name two. Leave the second block empty.", tried=_read(), got=got, wanted="one", name="two-of-one")  # fmt: skip
    if sorted(one.kind for one in said) != wanted:
        raise Miss(
            "What you name does not belong to your verdict. What happens to the marketplace is real, what happens to rows is the pipeline, and where there is nothing, the calendar "
            "or a buyer explains the weeks.",
            tried=_read(), got=f"verdict: {true.verdict}\n{got}", wanted=f"names that belong to {true.verdict}", name="name-of-another-verdict",
        )  # fmt: skip
    for one in said:
        if one.name not in names:
            raise Miss(
                f"If it were “{one.name}”, {SEEN[one.name]}. Ask for that; it is not so.",
                tried=_read(), got=got, wanted="what the warehouse shows", name="other-cause",
            )  # fmt: skip


# ---- where, since, how much ----------------------------------------------------------------------------------------------------


def _pairs(trial: Trial) -> list[tuple[Said, Cause]]:
    """For each block of the form how it really is. To be asked once the names are right."""
    true = {cause.name: cause for cause in scenario.truth(trial.seed).named}
    return [(one, true[one.name]) for one in _blocks(trial)]


def _need(one: Said, key: str) -> str:
    if not one.text[key]:
        raise left_out(scenario.ANSWERS, one.prefix + key)
    return one.text[key]


@down.expects("where, and since when", points=1, needs="cause")
def where_and_since(trial: Trial) -> None:
    from opslab.worlds.pipeline.revenue import COUPON

    in_the_weeks = not scenario.truth(trial.seed).causes  # what a comparison overlooks may lie before the seven days
    for one, cause in _pairs(trial):
        text = _need(one, "where")
        got = f"{one.prefix}where: {text}"
        true = {word for value in cause.where.values() for word in _words(value)}
        said = _words(text) - FILLING - NO_PLACE
        if cause.name == "coupon leaked":
            said -= {"coupon", COUPON.lower()}  # it can be used everywhere, and people name it all the same
        if cause.where.keys() == {"day"} and not said:
            said = true  # everywhere, on one day: which one, `since` says
        if said != true:
            raise _elsewhere(said, true, got)
        if cause.since:
            _on_that_day(one, cause.since, in_the_weeks)


def _words(text: str) -> set[str]:
    """The words of a place; what stands in brackets is a remark."""
    return set(re.findall(r"[\w-]+", re.sub(r"\(.*?\)", "", text).lower()))


def _elsewhere(said: set[str], true: set[str], got: str) -> Miss:
    tried = _read()
    if said < true:
        return Miss(
            "That is too much: of what you name, only a part is affected. Split it by one more column, and see which part has broken off.",
            tried=tried, got=got, wanted="the smallest part that has it all", name="too-wide",
        )  # fmt: skip
    if true < said:
        return Miss(
            "That is too narrow: it is the same outside of what you name. Compare with the parts that you left out.",
            tried=tried, got=got, wanted="the whole part that is affected; “everywhere” where none stands out", name="too-narrow",
        )  # fmt: skip
    return Miss(
        "There it has not happened: beside the others, that part is as it was. Compare shares before and after, part by part, as the tables write them.",
        tried=tried, got=got, wanted="the part that has changed", name="other-place",
    )  # fmt: skip


def _on_that_day(one: Said, since: str, in_the_weeks: bool) -> None:
    from opslab.worlds.pipeline.revenue import DAYS_OFF

    text = _need(one, "since")
    got = f"{one.prefix}since: {text}"
    try:
        day = datetime.date.fromisoformat(text)
    except ValueError:
        raise Miss("since is a day, written like 2026-03-01.", tried=_read(), got=got, wanted=f"{one.prefix}since: 2026-03-01", name="no-day") from None  # fmt: skip
    off = (day - datetime.date.fromisoformat(since)).days
    if abs(off) <= DAYS_OFF:
        return
    if abs(off) >= 6 and not in_the_weeks:
        raise Miss(
            "That day has nothing to do with it. What makes the seven days differ from those before has begun within them.",
            tried=_read(), got=got, wanted="one of the last seven days", name="not-in-the-week",
        )  # fmt: skip
    raise Miss(
        "It did not begin on that day. Look at the days one by one, each beside the same weekday a week earlier.",
        tried=_read(), got=got, wanted="the first day on which it shows", name="other-day",
    )  # fmt: skip


@down.expects("how much of it that explains", points=1, needs="cause")
def effect(trial: Trial) -> None:
    from opslab.worlds.pipeline.revenue import EFFECT_OFF

    true, pairs = scenario.truth(trial.seed), _pairs(trial)
    mart = _per_cent("mart", _answers(trial)["mart"])
    for one, cause in pairs:
        key, off = f"{one.prefix}effect", 100 * EFFECT_OFF[one.kind]
        said = _per_cent(key, _need(one, "effect"))
        right = [100 * share for share in true.effects(cause)]
        near = any(abs(said - effect) <= off for effect in right)
        if _repeats_the_change(said, mart, right) or (not near and abs(said - mart) <= 0.5):
            rest = "Calendar and chance are in it, too" + (", and the other cause." if len(pairs) > 1 else ".")
            raise Miss(
                f"That is your number of mart again, the whole change. {rest} {_counted(cause)}",
                tried=_read(), got=f"mart: {mart:g}\n{key}: {said:g}", wanted="the part that this alone explains", name="the-whole-change",
            )  # fmt: skip
        if not near:
            wanted = "the seven days with it, beside what they would have been without it"
            raise _not_so(key, said, 100 * cause.effect, _counted(cause), wanted, off)


def _repeats_the_change(said: float, mart: float, right: list[float]) -> bool:
    """True for an effect that is only the number of mart, where that is not what is right: it would be near enough, and nobody has counted."""
    return round(abs(said - mart), 6) <= REPEATED and all(round(abs(mart - effect), 6) > FAR for effect in right)


def _counted(cause: Cause) -> str:
    """How the effect of a cause is counted."""
    return HOW.get(cause.name) or HOW[cause.kind]
