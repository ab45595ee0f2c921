"""Task 6.2: checks, judged by the days they catch and the days they let pass.

In a world that nobody has seen, each of the planted faults breaks one day, and twenty good days are as odd as they come. All are asked
about in one run; what the learner is told is how many of each class of faults were caught. What stood in a broken day is not told, nor
in an alarm or an exception on it: a check could write the data there. Of good days, what the learner's own file said is shown, unless
it is for marks.
"""

from __future__ import annotations

import builtins
import functools
import re
from collections import Counter

from opslab import jail
from opslab.checks import Miss, Trial
from opslab.checks.pipeline_validation import module
from opslab.scenarios.pipeline_validation import catching
from opslab.worlds import workspace
from opslab.worlds.pipeline import flow, mutation
from opslab.worlds.pipeline.faults import FAULTS
from opslab.worlds.pipeline.mutation import Answer, Outcome, Trials

CLICKS, GOOD = 6_000, 20
"""The size of a hidden day, and how many of the days are good ones."""

TOLERATED = 2
"""Good days that may be lost. The reference loses one in fifty; nobody should lose a point to luck."""

EMPTY = ("empty load", "no orders")
"""What a check has to see before anything else is worth talking about: a table without a row."""

SETTLED = 30
"""After so many days it is known whether a check alarms at all."""

HALF, MOST, NEARLY_ALL = 0.5, 0.7, 0.85
"""Scores, each worth a point. Written in an afternoon, checks that look at everything once reach 0.92 and more."""

SECONDS = 5
LIMITS = jail.Limits(seconds=240, cpu=90, memory=mutation.LIMITS.memory)

LOOK = {
    "volume": "how many rows, of each table, and for each hour, device and partner by itself",
    "time": "how old the newest row is, how long rows take to come (and whether they come before they happen), how old the rates are",
    "keys": "whether a key comes twice, is missing, or is not found in the table that it points to",
    "units": "what things typically cost with each partner, whether a listing and its order agree, signs, and what a rate was yesterday",
    "values": "which codes there are and how often, at each time of day, and whether a text looks like what it should be",
    "schema": "which columns there are, and of which type",
    "population": "who is in there: crawlers, testers, people who click a lot, and what each device sends",
}
"""Where to look for the faults of a class."""

TRIED = f"~/{catching.CHECKS} on days of a world that nobody has seen"
QUIET = f"at most {TOLERATED} of {GOOD} good days lost"

watch = module.task(
    "6.2",
    "Write the checks",
    alone=True,
    files=[catching.CHECKS],
    hints=[
        ("Whatever number you write down is that of one day. `past` has the days before: what was the lowest, what the highest? Put into measure() what "
        "is worth remembering, and compare in check(). Begin with the rows of each table. python work/checks/tryout.py shows on which days it alarms, "
        "and `import tryout; tryout.load(date)` gives you a day to look at."),
        ("One loop in check() is enough for everything: for each column of past, is today's number between the lowest and the highest, with room on both "
        "sides? Then each new idea is a line in measure(). Room that fits everywhere: take logarithms of counts and prices, log-odds of shares. "
        "On days that were announced, leave out what is about size. And guard each measure: a column that is gone must lead to an alarm, not to a KeyError."),
        ("for name in past.columns.drop(\"announced\"): low, high = past[name].min(), past[name].max(); room = (high - low) * 0.7 + 0.4; alarm unless low - room <= "
        "measures[name] <= high + room. measure: np.log2(len(table) + 1); f\"{table} has {column} {dtype}\": 1, which is an alarm where it is new or gone; duplicated().mean(), "
        "isna().mean(), (~orders.listing_id.isin(listings.listing_id)).mean(), value_counts(normalize=True) of each code, hours, received - happened, prices by partner. For the last points: all of this for each partner and each "
        "device by itself, what is new or gone, pending orders in the evening, addresses that look like no customer's, clicks for each visitor, and rates beside yesterday's."),
    ],
)  # fmt: skip


@functools.lru_cache(maxsize=2)
def trials(seed: int) -> Trials:
    """The days of a hidden world. To make them takes longer than anything else here does, so they are kept."""
    return Trials(seed, good=GOOD, clicks=CLICKS)


def lost(outcome: Outcome) -> list[Answer]:
    """The good days that were not passed, of those that were asked about."""
    return [answer for answer in _asked(outcome) if not answer.trial.fault and not answer.right]


def slept(outcome: Outcome) -> list[Answer]:
    """The days with an empty table that were not caught, of those that were asked about."""
    return [answer for answer in _asked(outcome) if answer.trial.fault in EMPTY and not answer.right]


def _asked(outcome: Outcome) -> list[Answer]:
    return [answer for answer in outcome.answers if answer.state != "missing"]


def decided(outcome: Outcome) -> bool:
    """Whether it is settled that the first point is not earned, and why, so that nothing more has to be asked."""
    slow = [answer for answer in outcome.answers if answer.state == "slow"]
    return len(lost(outcome)) > TOLERATED or len(slow) > TOLERATED or (
        len(outcome.answers) >= SETTLED and bool(slept(outcome))
    )  # fmt: skip


def _outcome(trial: Trial) -> Outcome:
    def ask() -> Outcome:
        trial.read(catching.CHECKS)
        home, days = trial.folder(), trials(trial.unseen)
        # Of the desk nothing is needed but the answer, and the company's library, where somebody uses it.
        flow.install(home / workspace.LIBRARY)
        workspace.copy_answer(trial.home, home, catching.CHECKS)
        confinement = trial.confinement(
            home, {"PYTHONPATH": f"{trial.home if jail.bubblewrap() else home}/{workspace.LIBRARY}"}
        )
        return mutation.run(
            catching.CHECKS, days, tell=trial.tell, enough=decided, seconds=SECONDS, limits=LIMITS, **confinement
        )  # fmt: skip

    return trial.once("outcome", ask)


# ---- what is told ----------------------------------------------------------------------------------------------------------


OWN_WORDS = ("its process ended without an answer", "it was answered more than once")
"""What the driver says itself."""


def where(say: str) -> str:
    """Of what an exception said, what cannot carry data: its kind, and the line of the learner's file."""
    if say in OWN_WORDS:
        return say
    kind, line = re.match(r"\w*", say)[0], re.search(r"\bline (\d{1,5})\)$", say)
    known = isinstance(getattr(builtins, kind, None), type)
    return (kind if known else "an exception") + (f" in line {line[1]}" if line else "")


def said_on(answer: Answer, trial: Trial) -> str:
    """What the learner's file said on a good day. For marks, only what cannot carry data."""
    if answer.state == "alarm":
        return "" if trial.graded else "; ".join(answer.alarms[:2])
    return where(answer.say) if trial.graded else answer.say


def by_class(outcome: Outcome) -> str:
    """How many were caught of each class, and on how many broken days there was no answer."""
    lines = [f"{kind:<12}{caught} of {of}" for kind, (caught, of) in outcome.by_class().items()]
    broken = [answer for answer in outcome.crashed if answer.trial.fault]
    said = Counter(where(answer.say) if answer.state == "crash" else answer.state for answer in broken)
    if said:
        lines.append("no answer: " + ", ".join(f"{what} ({often})" for what, often in said.most_common(4)))
    return "\n".join(lines)


def kinds_of(answers: list[Answer]) -> str:
    """What good days were, in words: "sale (2), weekend and viral listing"."""
    kinds = Counter(" and ".join(answer.trial.oddities) or "an ordinary day" for answer in answers)
    return ", ".join(f"{kind} ({often})" if often > 1 else kind for kind, often in kinds.most_common())


# ---- the points ------------------------------------------------------------------------------------------------------------


@watch.expects("good days pass, however odd; a table without a row does not", points=1)
def quiet(trial: Trial) -> None:
    outcome = _outcome(trial)
    if outcome.error.startswith("the good days before"):
        _not_measured(outcome, trial)
    asked, gone = _asked(outcome), lost(outcome)
    good = sum(not answer.trial.fault for answer in asked)
    if len(gone) > TOLERATED:
        _lost(gone, good, asked, trial)
    if empty := slept(outcome):
        _slept(empty[0], asked)
    if len(asked) < len(outcome.answers):
        slow = any(answer.state == "slow" for answer in asked)
        raise Miss("It did not come to an end: " + ("day after day takes too long." if slow else "the process that asks is gone. A check has no business with processes."),
            tried=TRIED, got=f"{len(asked)} of {len(outcome.answers)} days answered. {outcome.error}".strip(), wanted="an answer for each day", name="no-end")  # fmt: skip


def _not_measured(outcome: Outcome, trial: Trial) -> None:
    _, _, raised = outcome.error.partition(": ")
    tried, wanted = f"measure() of ~/{catching.CHECKS}, on good days", "a dictionary of names and numbers, for each day"
    if "still running" in outcome.error or "CPU time" in outcome.error or "no answer within" in raised:
        raise Miss("It takes too long: look for a loop without an end, or for a loop over rows where pandas has a word for the whole column.",
            tried=tried, got="no answer for all days in time", wanted=f"at most {SECONDS} seconds for a day", name="measures-too-slowly")  # fmt: skip
    if raised.startswith("measure() gave"):
        raise Miss("measure() has to give a dictionary of numbers: that is what is remembered of a day. A mean of nothing is no number: measure only what is there.",
            tried=tried, got="something else" if trial.graded else raised, wanted=wanted, name="no-numbers")  # fmt: skip
    raise Miss("The good days that are known could not even be measured, so nothing can be compared. Hidden days "
        "are not like yours in all things: which group may be missing, or be new?",
        tried=tried, got=where(raised) if trial.graded else raised, wanted=wanted, name="cannot-measure")  # fmt: skip


def _lost(gone: list[Answer], good: int, asked: list[Answer], trial: Trial) -> None:
    """Raise the Miss for too many good days lost, of so many that were asked about."""
    state = Counter(answer.state for answer in gone).most_common(1)[0][0]
    got = f"{len(gone)} of the first {good} good days lost (it ends there): {kinds_of(gone)}"
    said = [
        f"{' and '.join(answer.trial.oddities) or 'an ordinary day'}: {said_on(answer, trial)}" for answer in gone[:4]
    ]
    if not trial.graded:
        got += "\n" + "\n".join(said)
    if state == "crash":
        raised = Counter(where(answer.say) for answer in gone).most_common(1)[0][0]
        raise Miss("On good days it raises an exception. That is neither an alarm nor silence, so whoever runs it knows nothing.",
            tried=TRIED, got=f"{got}\nIt raised: {raised}", wanted=QUIET, name="crashes-on-good-days")  # fmt: skip
    if state == "slow":
        raise Miss(f"On good days there is no answer within {SECONDS} seconds. Is there a loop without an end, or one over single rows?",
            tried=TRIED, got=got, wanted=QUIET, name="too-slow")  # fmt: skip
    if state == "nonsense":
        raise Miss("What check() returns is no list of alarms. A list of texts, please, empty where nothing is wrong. And each value of measure() has to be a number; a mean of nothing is none.",
            tried=TRIED, got=got, wanted=f"[] on a good day; {QUIET}", name="no-list-of-alarms")  # fmt: skip
    if all(answer.state == "alarm" for answer in asked):
        raise Miss("It has alarmed on every day that it was asked about, good or bad. That is as good as no alarm: nobody gets up for it a second time. If it compares with numbers that stand in the file: they are those of one company, in one week.",
            tried=TRIED, got=got, wanted=QUIET, name="always-alarms")  # fmt: skip
    if all({"sale", "quiet Christmas"} & set(answer.trial.oddities) for answer in gone):
        raise Miss("It alarms on days that everybody knew of. day.events says what was announced: on such a day, being large or small is no news.",
            tried=TRIED, got=got, wanted=QUIET, name="alarms-on-announced-days")  # fmt: skip
    raise Miss("It alarms on good days, and after three of those nobody listens. What is normal differs by weekday, season and size of the company: "
        "compare with `past`, with more days than one, and leave room beyond the lowest and the highest that were seen.",
        tried=TRIED, got=got, wanted=QUIET, name="alarms-on-good-days")  # fmt: skip


def _slept(empty: Answer, asked: list[Answer]) -> None:
    """Raise the Miss for a day without rows that was not caught."""
    wanted = "an alarm where a table has no row"
    if empty.state in ("crash", "slow", "nonsense"):
        what = where(empty.say) if empty.state == "crash" else {"slow": f"no answer within {SECONDS} seconds", "nonsense": "no list of alarms"}[empty.state]  # fmt: skip
        raise Miss("On a day on which a table has no row, there was no answer, and no answer is no alarm. Ask for the number of rows first, and measure only what is there.",
            tried=TRIED, got=what, wanted=wanted, name="no-answer-is-no-alarm")  # fmt: skip
    if not any(answer.state == "alarm" for answer in asked):
        raise Miss("It has not alarmed on any day so far, and one of them had a table without a single row. An alarm is a text in the list that check() returns. What is printed, nobody reads; True means that all is well.",
            tried=TRIED, got="silence", wanted=wanted, name="never-alarms")  # fmt: skip
    raise Miss("A table came without a single row, and the day was waved through. Checks of columns hold where there is no row: count the rows, of each table.",
        tried=TRIED, got=f"silence, {empty.trial.fault}", wanted=wanted, name="empty-load-passes")  # fmt: skip


def _score(trial: Trial, least: float) -> None:
    outcome = _outcome(trial)
    if outcome.score >= least:
        return
    caught, gone = outcome.caught, lost(outcome)
    got = f"{caught:.0%} of {len(FAULTS)} broken days caught, {len(gone)} of {GOOD} good days lost{': ' + kinds_of(gone) if gone else ''}\n{by_class(outcome)}"
    wanted = f"the share caught, less the share of good days lost, at least {least:.0%}"
    crashed = [answer for answer in outcome.crashed if answer.trial.fault]
    if caught + len(crashed) / len(FAULTS) - outcome.false_alarms >= least:
        raise Miss("On some broken days it raises an exception, or gives no answer in time. That is no alarm. A column that is gone, a number that has become text: say so, "
            "and measure only what can be measured.", tried=TRIED, got=got, wanted=wanted, name="falls-over")  # fmt: skip
    if caught >= least:
        raise Miss("It catches enough. The alarms on good days cost it the point: where is there too little room?",
            tried=TRIED, got=got, wanted=wanted, name="too-many-alarms")  # fmt: skip
    shares = {kind: found / of for kind, (found, of) in outcome.by_class().items()}
    weakest = min(shares, key=shares.get)
    raise Miss(f"What is missed most is {weakest}. Look there: {LOOK[weakest]}.", tried=TRIED, got=got, wanted=wanted, name="too-little-seen")  # fmt: skip


@watch.expects(f"a score of {HALF:.0%}: half of what can go wrong is seen", points=1, needs="quiet")
def half(trial: Trial) -> None:
    _score(trial, HALF)


@watch.expects(f"a score of {MOST:.0%}", points=1, needs="half")
def most(trial: Trial) -> None:
    _score(trial, MOST)


@watch.expects("of each class of faults at least half is caught", points=1, needs="quiet")
def every_class(trial: Trial) -> None:
    outcome = _outcome(trial)
    weak = [kind for kind, (caught, of) in outcome.by_class().items() if caught < of / 2]
    if weak:
        raise Miss(f"Whole classes of faults go by. For {weak[0]}, look at {LOOK[weak[0]]}.",
            tried=TRIED, got=by_class(outcome), wanted="half of each class, or more", name="blind-to-a-class")  # fmt: skip


@watch.expects(f"a score of {NEARLY_ALL:.0%}: you will hear of it before the boss does", points=1, needs="most")
def nearly_all(trial: Trial) -> None:
    _score(trial, NEARLY_ALL)
