"""Task 6.6: what one can stand for. Probabilities are judged by what follows from the evidence, not by what it was in the end."""

from __future__ import annotations

import re
from collections.abc import Mapping

from opslab.checks import Miss, Trial
from opslab.checks.pipeline_validation import module
from opslab.scenarios.pipeline_validation import memo as scenario
from opslab.scenarios.pipeline_validation.memo import CAUSES, FINE, ROUGH, STATEMENTS, Case, excess

KEYS = (*STATEMENTS, "know", "do_not_know", "would_change", "recommend", "next_word")
TRIED = f"read ~/{scenario.ANSWERS}"

NEAR, APART = 0.06, 0.12
"""How near an answer is to a known misreading, and how far at least that is from what is right, so that it is called by its name."""

task = module.task(
    "6.6",
    "The memo to the boss",
    files=[scenario.ANSWERS],
    hints=[
        ("Take the statements one by one, and ask of each: what was it usually, and what has been seen since that is more often seen when it is so "
        "than when it is not? And which files are made of other files?"),
        ("For the first four: four weights, how many of the forty incidents each was. Multiply each by how often the sign was seen with it (not seen: ten "
        "minus that), three times, for provider, stream and recount; then divide by their sum. heals can happen only if it is late. For all_partners "
        "and release: the usual odds (so many of the forty were so, to so many that were not), times the factor of each partner called, of the experiment. Recommend what is cheapest on average: "
        "the sum of probability × cost, for each action."),
        ("weights = incidents['it_was'].value_counts(); weights *= pd.Series({'late': 9, 'lost': 9, 'fewer': 1, 'chart': 1}) for each sign; weights / "
        "weights.sum(). An example: odds of 1 to 9, twice three to one, make 9 to 9, so 50 %. 'No space left on device' is no experiment. refunds: nobody has looked, so it is what "
        "it was in the forty. A test would change your mind if after one of its answers another action is cheapest: multiply once more, and look."),
    ],
)  # fmt: skip


def _case(trial: Trial) -> Case:
    return scenario.case(trial.seed)


def _answers(trial: Trial, *keys: str) -> list[str]:
    found = trial.form(scenario.ANSWERS, KEYS, *keys)
    return [found[key] for key in keys]


def percent(text: str, key: str) -> float:
    """A probability, of what was said in per cent: 80, 80 %, 80.5, 80,5. Raises Miss."""
    words = text.lower().removesuffix("%").removesuffix("per cent").strip().replace(",", ".")
    if not re.fullmatch(r"\d{1,3}(\.\d{0,9})?", words) or float(words) > 100:
        raise Miss(f"{key} is no probability in per cent.", tried=TRIED, got=f"{key}: {text}"[:100], wanted=f"{key}: 0 to 100, such as 80", name="no-per-cent")  # fmt: skip
    return float(words) / 100


def _said(trial: Trial) -> dict[str, float]:
    """What was said of the statements."""

    def read() -> dict[str, float]:
        found = {key: percent(text, key) for key, text in zip(STATEMENTS, _answers(trial, *STATEMENTS), strict=True)}
        if max(found.values()) <= 0.01:
            raise Miss("All of these are at most 1 per cent. Were they meant as shares of 1? Write 80, not 0.8.", tried=TRIED, got=f"at most {max(found.values()) * 100:g}", wanted="per cent", name="shares")  # fmt: skip
        total = 100 * sum(found[cause] for cause in CAUSES)
        if abs(total - 1) <= 0.1 and max(found[cause] for cause in CAUSES) <= 0.01:
            raise Miss("The first four add up to about 1 per cent. Were they meant as shares of 1? Write 80, not 0.8.", tried=" + ".join(CAUSES), got=f"{total:g}", wanted="100: all are in per cent", name="shares")  # fmt: skip
        return found

    return trial.once("said", read)


# ---- the statements --------------------------------------------------------------------------------------------------------


def misreading(said: Mapping[str, float], case: Case) -> tuple[str, str]:
    """Why these probabilities are off, in a sentence, and its name."""
    truth = case.truth
    off = {key: said[key] - truth[key] for key in truth}
    worst = max(off, key=lambda key: abs(off[key]))

    def like(other: Mapping[str, float]) -> bool:
        """Whether what was said is nearer to this than to the truth, and near enough to be meant."""
        differ = [key for key in other if abs(other[key] - truth[key]) >= APART]
        return bool(differ) and all(abs(said[key] - other[key]) <= NEAR for key in differ)

    if max(said.values()) - min(said.values()) <= 0.05:
        return "The same for everything says nothing about anything. For some of these there is strong evidence, for or against.", "all-the-same"  # fmt: skip
    if all(min(share, 1 - share) <= 0.03 for share in said.values()):
        return "All is sure, one way or the other. Which of these would you bet ninety-nine to one on, by what lies here?", "all-is-sure"  # fmt: skip
    if meant := [key for key, share in said.items() if 0 < share < 0.01 and truth[key] > APART]:
        small = 100 * said[meant[0]]
        return f"{meant[0]}: {small:g} is less than 1 per cent. Was it meant as a share of 1? All are in per cent: write 80, not 0.8.", "shares"  # fmt: skip
    if like(case.base):
        return "This is what it usually was. Since then somebody has counted, looked and called: what has that to do with it?", "usual-only"  # fmt: skip
    for sign in case.signs:
        without = case.causes([other for other in case.signs if other != sign])
        if like(without):
            return f"The first four look as if one source had been left out ({SOURCES[sign]}). It knows nothing of the others, so it counts as much as they do.", "source-left-out"  # fmt: skip
    if any(abs(case.partners(sources) - said["all_partners"]) <= NEAR < off["all_partners"] for sources in (2, 3)):
        return "all_partners: the calls are counted more than once. Two charts of the same table are no witnesses of their own: look at how 6 and 7 were made.", "one-source-twice"  # fmt: skip
    if case.experiment == "died" and abs(off["release"]) > APART:
        return "release: there is no sign for or against it this morning. The rollback loaded nothing, so the chart after it shows nothing, and what people believe is no sign. Then what is usual *where there was a release* stands, not more and not less.", "experiment-did-not-run"  # fmt: skip
    if abs(said["heals"] - case.heals_if_late) <= NEAR < off["heals"]:
        return "heals: so often it goes away by itself *if it is late*. And how likely is that?", "if-it-is-late"
    if worst == "refunds":
        return "refunds: nobody has looked at them this morning. Then there is only what is usual.", "out-of-thin-air"
    if abs(said[worst] - 0.5) > abs(truth[worst] - 0.5) and (said[worst] > 0.5) == (truth[worst] > 0.5):
        return f"{worst}: that is more than can be stood for. What speaks against it, and how strongly?", "too-sure"
    if (said[worst] > 0.5) == (truth[worst] > 0.5):
        return f"{worst}: there is more evidence than that. Caution costs, too.", "too-careful"
    return f"{worst}: the evidence points the other way.", "other-way"


SOURCES = {"provider": "the payment provider", "queue": "the stream", "recount": "the recount"}


def _within(trial: Trial, most: float) -> None:
    """Raise Miss where the statements lose more than that against the best."""
    said, case = _said(trial), _case(trial)
    more = excess(said, case.truth)
    if more <= most:
        return
    say, name = misreading(said, case)
    raise Miss(
        say, tried="what your eight numbers cost on average, over all that could be behind this evidence", got=f"{more:.3f} more than the best",
        wanted=f"at most {most:g} more", name=name,
    )  # fmt: skip


@task.expects("eight statements that the evidence supports, roughly", points=0.5)
def supported(trial: Trial) -> None:
    _within(trial, ROUGH)


@task.expects("… and neither bolder nor more careful than it allows", points=0.5, needs="supported")
def sharp(trial: Trial) -> None:
    _within(trial, FINE)


@task.expects("numbers that fit together", points=0.25, needs="supported")
def fits(trial: Trial) -> None:
    said = _said(trial)
    total = sum(said[cause] for cause in CAUSES)
    if abs(total - 1) > 0.045:
        raise Miss("It is exactly one of the first four, so they add up to 100.", tried=" + ".join(CAUSES), got=f"{100 * total:g}", wanted="100, give or take a rounding", name="no-hundred")  # fmt: skip
    if said["heals"] > said["late"] + 0.005:
        raise Miss("It goes away by itself only if it is late; so that it does cannot be more likely than that it is.", tried="heals and late", got=f"heals: {100 * said['heals']:g}, late: {100 * said['late']:g}", wanted="heals at most late", name="part-above-whole")  # fmt: skip


# ---- the rest of the memo ----------------------------------------------------------------------------------------------------


def _words(text: str) -> list[str]:
    """A list as people write it: a, b and c; a dash for an empty one."""
    return [word for word in re.split(r"[\s,;]+", text.lower().replace("`", "").replace(".", " ")) if word not in ("", "and", "-", "–", "none", "nothing")]  # fmt: skip


@task.expects("what we know, and what we do not", points=0.25)
def known(trial: Trial) -> None:
    given = dict(zip(("know", "do_not_know"), map(_words, _answers(trial, "know", "do_not_know")), strict=True))
    facts = scenario.facts(_case(trial))
    for key, letters in given.items():
        if strange := [letter for letter in letters if letter not in facts]:
            raise Miss(f"{key}: there is no sentence {strange[0][:20]}.", tried=TRIED, got=f"{key}: {', '.join(letters)}"[:100], wanted=f"letters from {', '.join(facts)}", name="no-such-sentence")  # fmt: skip
    if odd := [letter for letter in facts if sum(letter in letters for letters in given.values()) != 1]:
        raise Miss(f"Sentence {odd[0]} belongs into one of the two, and into one only.", tried=TRIED, got="; ".join(f"{key}: {', '.join(letters)}" for key, letters in given.items()), wanted="each letter once", name="not-sorted")  # fmt: skip
    for letter, (text, seen) in facts.items():
        got = f"{letter}: {text}"
        if letter in given["know"] and not seen:
            raise Miss("Likely is not known. Who has counted it, looked at it or called there?", tried=TRIED, got=f"know: {got}", wanted="only what somebody has counted or seen", name="likely-is-not-known")  # fmt: skip
        if letter in given["do_not_know"] and seen:
            raise Miss("This has been counted or seen: it lies in the folder. Say it, it is what the rest stands on.", tried=TRIED, got=f"do_not_know: {got}", wanted="know", name="known-and-not-said")  # fmt: skip


@task.expects("what we recommend, by the costs", points=0.25)
def recommend(trial: Trial) -> None:
    case, (text,) = _case(trial), _answers(trial, "recommend")
    word = text.lower().strip("`. ")
    if word not in scenario.ACTIONS:
        raise Miss("One of the four names, please.", tried=TRIED, got=f"recommend: {text}"[:100], wanted=", ".join(scenario.ACTIONS), name="unknown-word")  # fmt: skip
    best, _ = case.best()
    if word == best:
        return
    causes = case.causes()
    tried, got = "the costs, weighed with how likely each cause is", f"recommend: {word}"
    if word == scenario.FITS[max(causes, key=causes.get)]:
        raise Miss("That is right for what it is most likely. What does it cost where it is something else? Weigh each cost with its probability.", tried=tried, got=got, wanted="the action that costs least on average", name="likeliest-only")  # fmt: skip
    raise Miss("On average another one costs less. Weigh each cost with how likely its cause is.", tried=tried, got=got, wanted="the action that costs least on average", name="against-the-costs")  # fmt: skip


@task.expects("what would change our mind, and when the next word comes", points=0.25)
def later(trial: Trial) -> None:
    case = _case(trial)
    named, (text,) = _words(_answers(trial, "would_change")[0]), _answers(trial, "next_word")
    if unknown := [word for word in named if word not in scenario.TESTS]:
        raise Miss("would_change: that is not to come this morning.", tried=TRIED, got=f"would_change: {unknown[0]}"[:100], wanted=", ".join(scenario.TESTS), name="not-to-come")  # fmt: skip
    for word in named:
        if word in case.would_change:
            continue
        wanted = "a test with an answer after which another action is the cheapest"
        if len(set(scenario.TESTS[word].values())) == 1:
            raise Miss(f"{word}: its answer is the same whatever it is, so it can change nothing.", tried=TRIED, got=f"would_change: {word}", wanted=wanted, name="no-evidence")  # fmt: skip
        raise Miss(f"{word}: it tells something, but whatever it says, the same action stays the cheapest. Multiply once more, for both answers.", tried=TRIED, got=f"would_change: {word}", wanted=wanted, name="changes-nothing")  # fmt: skip
    time = re.fullmatch(r"(?:at )?(\d{1,2})[:.h](\d{2})", text.lower().strip())
    if not time or int(time[1]) > 23 or int(time[2]) > 59:
        raise Miss("next_word is a time.", tried=TRIED, got=f"next_word: {text}"[:100], wanted="next_word: 10:05", name="no-time")  # fmt: skip
    minutes = int(time[1]) * 60 + int(time[2])
    wanted = "after what could change your mind is there, and before the board meets"
    if minutes >= scenario.BOARD:
        raise Miss("By then Pawel stands before the board.", tried=TRIED, got=f"next_word: {text}", wanted=wanted, name="too-late")  # fmt: skip
    if minutes < min(case.due[test] for test in case.would_change):
        raise Miss("By then there is nothing new that could change anything. Do not promise a word that has to be “still looking”.", tried=TRIED, got=f"next_word: {text}", wanted=wanted, name="too-early")  # fmt: skip
