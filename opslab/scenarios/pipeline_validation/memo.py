"""Task 6.6: what can one stand for, before the board meets at noon?

    evidence/README.md           what Pawel asks, and how the answer is counted
    evidence/how-often.md        how often each sign was seen, by what it turned out to be: from the reviews
    evidence/incidents.csv       the last forty incidents
    evidence/1-… to 7-…          what was counted, tried and asked this morning
    evidence/channel.md          what people think
    answers/6.6.txt              the form

Everything that is asked has one true answer: the probability that follows from these files. What it was in the end is decided
nowhere, so nobody is right or wrong by luck. `case(seed).truth` computes it:

    weight of a cause = how many of forty incidents it was × how often each sign is seen with it, and so on
    odds that all partners are hit = odds in forty incidents × the same factor for each partner called
    odds that it was the release = odds where there was one before × the factor of the experiment, if it has run

Charts of the same table as another source add nothing.
"""

from __future__ import annotations

import datetime
import functools
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from opslab.worlds.pipeline.company import HOURS, PARTNERS
from opslab.worlds.pipeline.scoring import brier

FOLDER = "evidence"
ANSWERS = "answers/6.6.txt"

RELEASE, FIRST_HOUR = "09:58", 10
"""When the release was, and the first hour of the drop: it follows at once, as in all incidents that had a release before them.

So the time is in the share of the forty already. A time that did not fit would be evidence against the release, and is not meant to be.
"""

CAUSES = {
    "late": "The orders were made, and are on their way: they wait in the stream and will land by themselves.",
    "lost": "The orders were made, and will never land by themselves: they did not get into the stream.",
    "fewer": "People ordered less.",
    "chart": "All orders have landed; the mart behind the charts counts them wrongly.",
}
"""What it can be: exactly one of these."""

OTHERS = {
    "heals": "By Friday noon the drop is gone from the charts, without anybody doing anything.",
    "all_partners": "It hits the orders of every partner, not only of some.",
    "release": f"The release of Wednesday, {RELEASE}, is behind it.",
    "refunds": "The refunds of Wednesday are hit, too.",
}
STATEMENTS = {**CAUSES, **OTHERS}

SIGNS = {
    "provider": {"late": 9, "lost": 9, "fewer": 1, "chart": 1},
    "queue": {"late": 8, "lost": 2, "fewer": 1, "chart": 1},
    "recount": {"late": 9, "lost": 9, "fewer": 9, "chart": 1},
}
"""Of ten incidents of a kind, in how many a sign was seen: the provider has booked more than has landed; messages wait in the stream;
counted from the landing place, the drop is the same."""

TESTS = {
    "numbers": {"late": 9, "lost": 1, "fewer": 2, "chart": 2},
    "bank": {"late": 1, "lost": 1, "fewer": 9, "chart": 1},
    "chart": {"late": 10, "lost": 10, "fewer": 10, "chart": 10},
    "opinions": {"late": 5, "lost": 5, "fewer": 5, "chart": 5},
}
"""What is still to come this morning, and of ten incidents of a kind, in how many it said yes."""

GONE_IF_IT_WAS, GONE_IF_NOT = 9, 1
"""Of ten incidents, in how many the drop was gone in the test environment after a rollback, where the release was it and was not."""

ACTIONS = {
    "wait": "Do nothing, and look again on Friday at noon.",
    "resend": "Have the partners send Wednesday's orders again, today. They keep them until tonight.",
    "announce": "Tell the board that people order less, and start the winter advert today.",
    "mend": "Take the charts down, and give a week to the mart.",
}
FITS = dict(zip(CAUSES, ACTIONS, strict=True))
"""The action that would be right if one knew the cause. What is right if one does not know is another question."""

BOARD = 12 * 60
"""Minutes since midnight when the board meets."""

ROUGH, FINE = 0.035, 0.015
"""How much more than the best answer's a loss may be: for half of the points of the statements, and for all of them."""

Causes = dict[str, float]


def share_out(weights: Mapping[str, float]) -> Causes:
    """Weights as probabilities that add up to 1."""
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


def seen(table: Mapping[str, int], yes: bool) -> Causes:
    """How likely an outcome of a sign is, by cause."""
    return {cause: (tenths if yes else 10 - tenths) / 10 for cause, tenths in table.items()}


def times(odds: float, *factors: float) -> float:
    """The probability for odds after so many factors."""
    for factor in factors:
        odds *= factor
    return odds / (1 + odds)


def excess(said: Mapping[str, float], truth: Mapping[str, float]) -> float:
    """How much more than the best answer's the expected loss is, on average over the statements."""
    return sum(brier(said[key], truth[key]) - brier(truth[key], truth[key]) for key in truth) / len(truth)


@dataclass(frozen=True)
class Case:
    """A morning. counts: of forty incidents, how many were what. signs: whether each was seen.

    all_of_forty, released, was_release, refunds, gone: of forty incidents, how many hit all partners; came after a release, and in how
    many of these it was the release; hit the refunds; were late and gone by noon of the second day. one_in: where only some partners
    were hit, it was one in so many. called, hit: partners drawn by lot and called, and how many of them are hit. experiment: gone, still
    or died (it did not run to its end). costs: of each action, by cause, in thousand euro. due: when a test is done.
    """

    seed: int
    counts: Mapping[str, int]
    signs: Mapping[str, bool]
    all_of_forty: int
    released: int
    was_release: int
    refunds: int
    gone: int
    one_in: int
    called: tuple[str, ...]
    hit: int
    experiment: str
    costs: Mapping[str, Mapping[str, int]]
    due: Mapping[str, int]
    drop: int

    def causes(self, signs: Iterable[str] | None = None) -> Causes:
        """What the causes are worth after these signs; by default after all."""
        weights: dict[str, float] = dict(self.counts)
        for sign in self.signs if signs is None else signs:
            likely = seen(SIGNS[sign], self.signs[sign])
            weights = {cause: weight * likely[cause] for cause, weight in weights.items()}
        return share_out(weights)

    def partners(self, sources: int = 1) -> float:
        """How likely it is that all partners are hit; with sources=3, if the two charts are taken for sources of their own."""
        if self.hit < len(self.called):
            return 0.01
        return times(self.all_of_forty / (40 - self.all_of_forty), *[self.one_in] * len(self.called) * sources)

    def by_release(self, experiment: str = "") -> float:
        """How likely it is that the release did it."""
        odds = self.was_release / (self.released - self.was_release)
        factor = {
            "gone": GONE_IF_IT_WAS / GONE_IF_NOT,
            "still": (10 - GONE_IF_IT_WAS) / (10 - GONE_IF_NOT),
            "died": 1,
        }
        return times(odds, factor[experiment or self.experiment])

    @property
    def heals_if_late(self) -> float:
        return self.gone / self.counts["late"]

    @functools.cached_property
    def truth(self) -> dict[str, float]:
        """The probability of each statement that the evidence supports."""
        return self._statements(self.causes(), self.partners(), self.by_release())

    @property
    def base(self) -> dict[str, float]:
        """What one would say without having looked at anything but the forty incidents."""
        return self._statements(
            share_out(self.counts), self.all_of_forty / 40, times(self.was_release / (self.released - self.was_release))
        )

    def _statements(self, causes: Causes, partners: float, release: float) -> dict[str, float]:
        heals = causes["late"] * self.heals_if_late
        return {**causes, "heals": heals, "all_partners": partners, "release": release, "refunds": self.refunds / 40}

    def cost(self, action: str, causes: Mapping[str, float] | None = None) -> float:
        """What an action costs on average, in thousand euro."""
        return sum(share * self.costs[action][cause] for cause, share in (causes or self.causes()).items())

    def best(self, causes: Mapping[str, float] | None = None) -> tuple[str, float]:
        """The cheapest action, and how many times as much the next one costs."""
        ranked = sorted(ACTIONS, key=lambda action: self.cost(action, causes))
        return ranked[0], self.cost(ranked[1], causes) / self.cost(ranked[0], causes)

    @functools.cached_property
    def would_change(self) -> tuple[str, ...]:
        """The tests that have an outcome after which something else is the cheapest."""
        return tuple(test for test in TESTS if {self.best(after)[0] for after in self._after(test)} != {self.best()[0]})

    def _after(self, test: str) -> list[Causes]:
        """What the causes are worth after each outcome of a test that can come."""
        now, found = self.causes(), []
        for outcome in (True, False):
            likely = seen(TESTS[test], outcome)
            weights = {cause: share * likely[cause] for cause, share in now.items()}
            if sum(weights.values()):
                found.append(share_out(weights))
        return found

    @property
    def fair(self) -> bool:
        """Whether this morning can be judged: thoughtless answers lose clearly, and nothing that is decided is a close call."""
        most = {key: 0.99 if share > 0.5 else 0.01 for key, share in self.truth.items()}
        thoughtless = (dict.fromkeys(self.truth, 0.5), most, self.base)
        causes = self.causes()
        shifted = [
            {**causes, one: causes[one] - 0.05, other: causes[other] + 0.05}
            for one in CAUSES
            for other in CAUSES
            if one != other and causes[one] >= 0.05
        ]
        after = [self.best(after)[1] for test in ("numbers", "bank") for after in self._after(test)]
        return (
            self.signs["recount"] >= self.signs["provider"]  # what has not landed cannot be counted there
            and all(excess(said, self.truth) > 1.2 * ROUGH for said in thoughtless)
            and self.best()[1] > 1.3
            and all(self.best(one)[0] == self.best()[0] for one in shifted)
            and min(after) > 1.1
            and bool(self.would_change)
        )


@functools.lru_cache(maxsize=64)
def case(seed: int) -> Case:
    """The morning of a seed: the first fair one."""
    rng = random.Random(f"Thursday {seed}")
    while not (found := _drawn(seed, rng)).fair:
        pass
    return found


def _drawn(seed: int, rng: random.Random) -> Case:
    counts = {"late": rng.randrange(13, 19), "lost": rng.randrange(8, 12), "fewer": rng.randrange(6, 9)}
    counts["chart"] = 40 - sum(counts.values())
    cause = rng.choice(list(counts))  # so that mornings differ; what it is stays out of the answer
    signs = {sign: rng.randrange(10) < table[cause] for sign, table in SIGNS.items()}
    one_in, calls = rng.choice(((3, 2), (2, 3)))
    experiment = rng.choice(("gone", "still", "died"))
    released = rng.choice((16, 20))
    lost, fewer, chart = rng.randrange(30, 91, 5), rng.randrange(20, 61, 5), rng.randrange(8, 31, 2)
    again, week, advert, alarm = (
        rng.randrange(4, 13),
        rng.randrange(4, 13),
        rng.randrange(5, 16),
        rng.randrange(20, 61, 5),
    )
    none = {"late": 1, "lost": lost, "fewer": fewer, "chart": chart}
    costs = {
        "wait": none,
        "resend": {cause: again + (0 if cause == "lost" else cost) for cause, cost in none.items()},
        "announce": {cause: advert if cause == "fewer" else alarm + cost for cause, cost in none.items()},
        "mend": {cause: week + (0 if cause == "chart" else cost) for cause, cost in none.items()},
    }
    return Case(
        seed, counts, signs,
        all_of_forty=rng.randrange(3, 6),
        released=released,
        was_release=released // 2 + (rng.randrange(0, 3) if experiment == "died" else rng.randrange(-2, 3)),
        refunds=rng.randrange(4, 9),
        gone=round(counts["late"] * rng.uniform(0.72, 0.9)),
        one_in=one_in,
        called=tuple(rng.sample([id for id, *_ in PARTNERS[1:]], calls)),
        hit=calls - (rng.random() < 0.2),
        experiment=experiment,
        costs=costs,
        due={"chart": 9 * 60 + 30, "bank": rng.randrange(10 * 60 + 15, 10 * 60 + 50, 5), "numbers": rng.randrange(11 * 60, 11 * 60 + 25, 5), "opinions": 10 * 60},
        drop=rng.randrange(24, 39),
    )  # fmt: skip


def clock(minutes: int) -> str:
    """Minutes since midnight as 09:05."""
    return f"{minutes // 60:02}:{minutes % 60:02}"


# ---- what is known, and what is not --------------------------------------------------------------------------------------

LETTERS = "abcdef"


def facts(found: Case) -> dict[str, tuple[str, bool]]:
    """Six sentences, by letter, and whether somebody has counted or seen it. The others may be true; nobody knows."""
    signs = found.signs
    known = [
        "On Wednesday the payment provider has booked far more orders than have landed." if signs["provider"]
        else "On Wednesday as many orders have landed as the payment provider has booked, but for a few.",
        "Messages wait in the stream." if signs["queue"] else "Next to nothing waits in the stream.",
        "Counted from the landing place, without the mart, the drop is there, too." if signs["recount"]
        else "Counted from the landing place, without the mart, there is no drop.",
    ]  # fmt: skip
    unknown = [
        "The release of Wednesday did it."
        if found.experiment != "still"
        else "The release of Wednesday did not do it.",
        "Partners whom nobody has called are hit.",
        "The refunds of Wednesday are hit." if found.refunds % 2 else "The refunds of Wednesday are as they should be.",
    ]
    sentences = [(text, True) for text in known] + [(text, False) for text in unknown]
    random.Random(f"facts {found.seed}").shuffle(sentences)
    return dict(zip(LETTERS, sentences, strict=True))


README = """\
# Wednesday, 18 November: {drop} per cent fewer orders in the charts

> **Pawel, 08:50** · I stand before the board at noon. I want one page: what is it, how sure are you, what do you want me to do. No "it is
> complicated", no "surely". A number behind each sentence. I will read them out, and in a month I will look at how often your seventies came true.

It is Thursday, 09:10. What was counted, tried and asked so far lies beside this file. Fill in `~/answers/6.6.txt`.

## The statements

For each, how likely it is in per cent, by what lies here:

{statements}

The first four are the only things it can be, and it is one of them.

## How they are counted

You say p, and it costs (1 - p)² if it is so, and p² if it is not. (Brier's score, which weather forecasters are measured by.) An example:
somebody says 90 per cent of something that these files make 60 per cent likely. In 60 of 100 such mornings that costs 0.1² = 0.01, in 40
it costs 0.9² = 0.81: on average 0.33. Who says 60 pays 0.24 on average, and nobody can pay less; who says 50, to be on the safe side, pays
0.25. So neither boldness nor caution pays; only what the evidence supports does.

Yours is compared with the best on average over all eight, and over all that could be behind this evidence: luck plays no part. Within {fine}
of the best (some twelve points off, everywhere) is full marks, within {rough} half.

## How to weigh it

- Begin with what it usually was: `incidents.csv`, the last forty.
- `how-often.md` says, from older reviews, how often a sign was seen when it was this or that. Seen in nine of ten such incidents
  and in three of ten others is *three to one for*. Multiply. Not seen counts, too: then it is one of ten against seven of ten.
- Provider, stream, recount, calls and experiment do not know of each other: each counts, once.
- Two things made of the same table are one thing. What did not run has shown nothing. Where there is no sign, what is usual stands.
- `heals`: add up over the four causes how likely it is × how often it went away by itself when it was that. With two causes of 70 and 30 per
  cent, of which the first goes away in five of ten cases and the second in one of ten: 0.7 × 0.5 + 0.3 × 0.1 = 38 per cent.
- `all_partners`: among the incidents, how many hit all partners? Then each partner who was drawn by lot and is hit counts: if all are hit, it had
  to be so; `how-often.md` says how many are otherwise: with one in four, that is 1 against ¼, four to one for, each time. One who is not hit settles it.
- `release`: `release_before` in `incidents.csv` means that the drop began within the hour after a release, as it does here. So the time itself
  counts no more; it is in there already.

## What we know

Sort these into `know` (somebody has counted or seen it) and `do_not_know` (however likely it is):

{facts}

## What would change our mind

To come this morning. Which of them could change what you recommend? A test is worth waiting for only if one of its answers makes another action
the cheapest; if you do the same after each answer, it changes nothing. Weigh the causes once more with "yes", then with "no".

Of ten incidents of a kind, "yes" was the answer in so many:

| name | what | done by | late | lost | fewer | chart |
| --- | --- | --- | --- | --- | --- | --- |
{tests}

## What we recommend

It is decided now, before any of that is there. An action costs on average: chance × cost, added up over the causes. (With two causes of 70 and
30 per cent, at a cost of 10 and 40: 0.7 × 10 + 0.3 × 40 = 19.) What it costs in the end, in thousand euro, if it was:

| name | what | late | lost | fewer | chart |
| --- | --- | --- | --- | --- | --- |
{costs}

And `next_word`: when Pawel hears from you again (10:05). Not before there is something that could change your mind, and before the board meets
at {board}.
"""

HOW_OFTEN = """\
# From the reviews, 2023 to 2025

In how many of ten incidents the sign was seen, by what it turned out to be.

| sign | late | lost | fewer | chart |
| --- | --- | --- | --- | --- |
| The payment provider has booked far more orders than have landed | {provider} |
| Messages wait in the stream | {queue} |
| Counted from the landing place, without the mart, the drop is there, too | {recount} |
| A chart made of `gold.orders_daily` shows the drop, where the dashboard (made of it, too) does | 10 | 10 | 10 | 10 |

When it was the release, the drop was gone after a rollback in the test environment in {if_it_was} of 10; when it was something else, in {if_not} of 10.

When not all partners were hit, it was one in {one_in}, without a pattern. When all were, every one that was called said so.
"""

RECOUNT = """\
# Recount, Ada, 08:40

Paid orders, straight from the Parquet files in the landing place. My own SQL: no step of ours, no mart, no view.

| day | orders |
| --- | --- |
{days}

{verdict}
"""

EXPERIMENTS = {
    "gone": "06:55  load of Wednesday 10:00 to 14:00 with the old version: ok\n06:58  chart of the test environment: the drop is gone\n",
    "still": "06:55  load of Wednesday 10:00 to 14:00 with the old version: ok\n06:58  chart of the test environment: the drop is still there\n",
    "died": "06:55  load of Wednesday 10:00 to 14:00 with the old version: No space left on device\n06:55  nothing loaded (exit code 1)\n06:58  chart of the test environment: as before, the drop is still there\n",
}

CHANNEL = """\
**Olek** · 08:12 · four charts, and all of them show it. dashboard, weekly, by country, by size. it doesn't get surer than that
**Hania** · 08:15 · release on Wednesday {release}, drop from {first_hour} o'clock on. do the maths
**Jonas** · 08:21 · {experiment}
**Iga** · 08:30 · I drew {calls} partners by lot and called them, 5-partners.csv. Please do not count that as more than it is
**Olek** · 08:34 · made two charts of Iga's table, 6 and 7. so that is three sources for "all partners" now!!
**Marek** · 08:41 · the stream: see 2-queue.txt. I have no opinion, I have a number
**Basia** · 08:44 · has anybody looked at the refunds?
**Iga** · 08:45 · no
**Olek** · 08:46 · surely hit as well, everything is
"""

FORM = """\
# The memo to Pawel, Thursday, 19 November 2026, 09:10. Keep the form "key: value"; ~/evidence/README.md says what it asks.
#
#   late … refunds      how likely the statement is, in per cent
#   know, do_not_know   letters of the six sentences: a, b, c
#   would_change        names of what is to come, one or more
#   recommend           one name
#   next_word           a time: 10:05

late:
lost:
fewer:
chart:
heals:
all_partners:
release:
refunds:
know:
do_not_know:
would_change:
recommend:
next_word:
"""

TEST_WORDS = {
    "numbers": "Marek looks up ten order numbers that only the provider has. Are they in the stream?",
    "bank": "The bank's own statement. Did less money come in than on other Wednesdays?",
    "chart": "Olek's next chart, of `gold.orders_daily`. Is the drop there?",
    "opinions": "Ten colleagues raise a hand. Do most say that it is the stream?",
}


def build(home: Path, seed: int, twists: frozenset[str]) -> None:
    """Put the evidence and the form on the desk."""
    found = case(seed)
    for name, text in {**_evidence(found), ANSWERS: FORM}.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _evidence(found: Case) -> dict[str, str]:
    """The files of the folder, by path."""
    rng = random.Random(f"evidence {found.seed}")
    readme = README.format(
        drop=found.drop, fine=FINE, rough=ROUGH, board=clock(BOARD),
        statements="\n".join(f"- `{key}`: {text}" for key, text in STATEMENTS.items()),
        facts="\n".join(f"- {letter}: {text}" for letter, (text, _) in facts(found).items()),
        tests="\n".join(_row(f"`{test}`", TEST_WORDS[test], clock(due), *TESTS[test].values()) for test, due in sorted(found.due.items(), key=lambda one: one[1])),
        costs="\n".join(_row(f"`{action}`", text, *found.costs[action].values()) for action, text in ACTIONS.items()),
    )  # fmt: skip
    rows = {sign: " | ".join(map(str, table.values())) for sign, table in SIGNS.items()}
    one_in = {2: "two", 3: "three"}[found.one_in]
    often = HOW_OFTEN.format(**rows, if_it_was=GONE_IF_IT_WAS, if_not=GONE_IF_NOT, one_in=one_in)
    jonas = {
        "gone": "rolled back in the test environment, see 4-rollback.log. it's gone. told you",
        "still": "rolled back in the test environment, see 4-rollback.log. still there. told you",
        "died": "rolled back in the test environment, see 4-rollback.log. drop is still there, so it's NOT the release. told you",
    }[found.experiment]
    countries = {id: country for id, _, country, _ in PARTNERS}
    calls = list(zip(found.called, ["yes"] * found.hit + ["no"] * (len(found.called) - found.hit), strict=True))
    by_country = sorted((countries[id], answer) for id, answer in calls)
    by_size = [("large" if number == 0 else "small", answer) for number, (_, answer) in enumerate(calls)]
    source = "# chart by Olek, made of 5-partners.csv\n"
    files = {
        "README.md": readme,
        "how-often.md": often,
        "incidents.csv": _incidents(found),
        "1-provider.csv": _provider(found, rng),
        "2-queue.txt": _queue(found, rng),
        "3-recount.md": _recount(found, rng),
        "4-rollback.log": "06:40  test environment: rolled back to the version of Tuesday\n" + EXPERIMENTS[found.experiment],
        "5-partners.csv": "partner,drawn_by,fewer_orders_arrive_from_them\n" + "".join(f"{id},lot,{answer}\n" for id, answer in calls),
        "6-by-country.csv": source + "country,hit\n" + "".join(f"{country},{answer}\n" for country, answer in by_country),
        "7-by-size.csv": source + "size,hit\n" + "".join(f"{size},{answer}\n" for size, answer in by_size),
        "channel.md": CHANNEL.format(experiment=jonas, calls=one_two_three(len(calls)), release=RELEASE, first_hour=FIRST_HOUR),
    }  # fmt: skip
    return {f"{FOLDER}/{name}": text for name, text in files.items()}


def one_two_three(number: int) -> str:
    """A number up to three as a word, and 0 as "no"."""
    return ("no", "one", "two", "three")[number]


def _incidents(found: Case) -> str:
    """The last forty: what is counted in them is exactly what the case says, and otherwise they are mixed."""
    rng = random.Random(f"incidents {found.seed}")
    what = [cause for cause, count in found.counts.items() for _ in range(count)]

    def spread(count: int, of: int = 40) -> list[bool]:
        """So many of them True, evenly, so that no kind of incident has more of it than others."""
        return [(at + 1) * count // of > at * count // of for at in range(of)]

    gone = iter(spread(found.gone, found.counts["late"]))
    released = spread(found.released)
    was = iter(spread(found.was_release, found.released))
    rows = [
        (cause, "all" if all_hit else "some", _yes(before), _yes(next(was)) if before else "", _yes(refunds), _yes(cause == "late" and next(gone)))
        for cause, all_hit, before, refunds in zip(what, spread(found.all_of_forty), released, spread(found.refunds), strict=True)
    ]  # fmt: skip
    rng.shuffle(rows)
    days = sorted(rng.sample(range(700), 40))
    dates = [(datetime.date(2024, 11, 20) + datetime.timedelta(day)).isoformat() for day in days]
    head = "began,it_was,partners_hit,release_before,was_the_release,refunds_hit,gone_by_itself_by_noon_of_second_day\n"
    return head + "".join(f"{date},{','.join(row)}\n" for date, row in zip(dates, rows, strict=True))


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _provider(found: Case, rng: random.Random) -> str:
    """Wednesday by the hour: what the provider has booked, and what has landed."""
    lines = ["hour,booked_by_provider,landed_with_us"]
    landed_less = found.signs["recount"] and not found.signs["provider"]
    # What the day has lost, its later hours have: so much of each.
    lost = found.drop * sum(HOURS) // sum(HOURS[FIRST_HOUR:])
    for hour, busy in enumerate(HOURS):
        less = lost if hour >= FIRST_HOUR else 0
        booked = busy * 22 * (100 - less * landed_less) // 100 + rng.randrange(20)
        kept = 100 - less * found.signs["provider"]
        lines.append(f"{hour:02},{booked},{max(booked * kept // 100 + rng.randrange(-2, 3), 0)}")
    return "\n".join(lines) + "\n"


def _queue(found: Case, rng: random.Random) -> str:
    waiting = rng.randrange(30_000, 50_000) if found.signs["queue"] else 0
    lines = ["stream orders, messages that nobody has fetched yet (Marek, 08:40)", ""]
    for part in range(4):
        mine = waiting // 4 + rng.randrange(0, 900) if waiting else rng.randrange(0, 3)
        lines.append(f"partition {part}   {mine:>7,}")
    return "\n".join(lines) + "\n"


def _recount(found: Case, rng: random.Random) -> str:
    usual = 24_000
    counts = [usual + rng.randrange(-500, 500) for _ in range(3)]
    wednesday = usual * (100 - found.drop) // 100 if found.signs["recount"] else usual + rng.randrange(-300, 300)
    days = [f"| Wednesday, {day} | {count:,} |" for day, count in zip(("28 October", "4 November", "11 November"), counts, strict=True)]  # fmt: skip
    verdict = (
        f"{found.drop} per cent less, as in the charts."
        if found.signs["recount"]
        else "No drop here. The charts say something else."
    )
    return RECOUNT.format(days="\n".join([*days, f"| Wednesday, 18 November | {wednesday:,} |"]), verdict=verdict)


# ---- for tests -----------------------------------------------------------------------------------------------------------


def words(seed: int) -> dict[str, object]:
    """What stands for {{…}} in answers, for tests."""
    found, sorted_facts = case(seed), facts(case(seed))
    known = [letter for letter, (_, seen) in sorted_facts.items() if seen]
    likely = max(found.causes(), key=found.causes().get)
    without = {sign: found.causes([other for other in SIGNS if other != sign]) for sign in SIGNS}
    careful = {cause: 0.85 * share + 0.15 / 4 for cause, share in found.causes().items()}
    tens = {key: round(10 * share) for key, share in found.truth.items()}
    tens[likely] = 10 - sum(tens[cause] for cause in CAUSES if cause != likely)
    first = min(found.due[test] for test in found.would_change)
    return {
        **{key: f"{100 * share:.1f}" for key, share in found.truth.items()},
        **{f"base_{key}": f"{100 * share:.0f}" for key, share in found.base.items()},
        **{f"sure_{key}": 99 if share > 0.5 else 1 for key, share in found.truth.items()},
        **{f"ten_{key}": 10 * share for key, share in tens.items()},
        **{f"careful_{cause}": f"{100 * share:.0f}" for cause, share in careful.items()},
        **{f"no_{sign}_{cause}": f"{100 * share:.1f}" for sign, causes in without.items() for cause, share in causes.items()},
        **{f"no_{sign}_heals": f"{100 * causes['late'] * found.heals_if_late:.1f}" for sign, causes in without.items()},
        "careful_heals": f"{100 * careful['late'] * found.heals_if_late:.0f}",
        "if_late": f"{100 * found.heals_if_late:.0f}", "three_sources": f"{100 * found.partners(3):.0f}",
        "as_if_still": f"{100 * found.by_release('still'):.0f}",
        "know": ", ".join(known), "do_not_know": ", ".join(letter for letter in LETTERS if letter not in known),
        "know_spaced": " ".join(reversed(known)), "one_known": known[0],
        "one_unknown": next(letter for letter in LETTERS if letter not in known),
        "recommend": found.best()[0], "fits_the_likeliest": FITS[likely], "would_change": ", ".join(found.would_change),
        "one_change": found.would_change[0], "no_change": next(test for test in ("bank", "numbers", "chart") if test not in found.would_change),
        "next_word": clock(first + 10), "too_early": clock(first - 15), "just_in_time": clock(BOARD - 5),
    }  # fmt: skip
