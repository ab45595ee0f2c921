"""Task 6.4: how many of four hundred million, how sure, and is it worth a week. A script is tried on files it has not seen."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from opslab.checks import Miss, Trial
from opslab.checks.pipeline_validation import module
from opslab.jail import Limits
from opslab.scenarios.pipeline_validation import sample as scenario
from opslab.scenarios.pipeline_validation.sample import Sample
from opslab.worlds.pipeline.scoring import by_clusters, interval_loss

TELLS = ("first_csv", "rows_csv", "visitors_csv")
SHARE = ("share", "share_low", "share_high")
KEYS = (*TELLS, *SHARE, "strange", *scenario.WORK)

MOST = {"rows": 1.3, "rare": 1.5, "visitors": 1.3}
"""What intervals may cost, where those of the reference cost 1. A rare thing leaves more to taste."""

ROUNDED = 1e-9
"""So little below 0 or above 1 is no statement, it is what rounding leaves of 0 or of 1."""

DECLINED = (None, None, None)
FOLDER = "samples"
SECONDS = 30

task = module.task(
    "6.4",
    "Ten thousand of four hundred million",
    alone=True,
    files=[scenario.SCRIPT, scenario.ANSWERS],
    hints=[
        ("Ask of each file: could every row of October have come into it, and as easily as any other? Look at the first and the last "
        "happened_at, and count how many rows and how many visitors there are. And what does Olek's script say of a file in which nothing "
        "is strange?"),
        ("Wilson's interval for rows: it is wide where nothing was found. Where visitors come with all their rows, they are what was drawn: "
        "group by visitor_id, and ask how much the visitors differ, not the rows (a bootstrap that draws visitors, or the effective number "
        "of rows). Where every visitor comes once, both give the same, so you need not ask which it is. What happened within "
        "a few minutes tells nothing about a month. A share is a share of what was drawn from; a week is worth it where even the low end pays for it."),
        ("groups = sample.groupby('visitor_id')['strange'].agg(['sum', 'size']); spread = ((groups['sum'] - share * groups['size']) ** 2).sum() "
        "/ len(sample) ** 2; n = share * (1 - share) / spread, or len(groups) where nothing was found; then Wilson with n instead of the "
        "number of rows. None if pd.to_datetime(sample['happened_at']) spans less than a day. Break-even: week / cost of a thousand × 1,000 rows. Compare that "
        "with share_low and share_high, each times the rows that are not of crawlers."),
    ],
)  # fmt: skip


# ---- the script ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    """What a script said of a file: share, low and high, or None three times."""

    sample: Sample
    share: float | None
    low: float | None
    high: float | None

    @property
    def declined(self) -> bool:
        return self.low is None


def _finite(word: str) -> float:
    """A number that a script has printed. Raises ValueError, also for what is no size."""
    found = float(word)
    if not math.isfinite(found):
        raise ValueError(word)
    # Wilson's interval ends at 0 where nothing was found, and in floating point often at something like -8.7e-19.
    return min(max(found, 0.0), 1.0) if -ROUNDED < found < 1 + ROUNDED else found


def read_line(line: str) -> tuple[str, tuple[float | None, ...]] | None:
    """A line of the script's: the file's name and its three numbers, or three times None. None for any other line. Raises Miss."""
    plain = re.sub(r"np\.float64\(([^()]*)\)", r"\1", line)  # as NumPy shows a number in a tuple
    words = [word.strip("()[]'") for word in re.split(r"[\s,;]+", plain.strip())]
    name = words[0].rpartition("/")[2]
    if not re.fullmatch(r"\d{3}(\.csv)?", name):
        return None
    tried, wanted = f"python {scenario.SCRIPT} {FOLDER}/…", "001.csv 0.12 0.10 0.14, or: 001.csv none"
    values = [word for word in words[1:] if word]
    if len(values) == 1 and values[0].lower() in ("none", "nan", "-"):
        return name[:3], DECLINED
    try:
        numbers = tuple(_finite(word) for word in values)
    except ValueError:
        raise Miss("A line is not understood: after the name there are three numbers, or none.", tried=tried, got=line[:100], wanted=wanted, name="form") from None  # fmt: skip
    if len(numbers) == 1:
        raise Miss("A share alone does not say how sure it is. Print the two ends of its interval, too.", tried=tried, got=line[:100], wanted=wanted, name="no-interval")  # fmt: skip
    if len(numbers) != 3:
        raise Miss("A line is not understood: after the name there are three numbers, or none.", tried=tried, got=line[:100], wanted=wanted, name="form")  # fmt: skip
    return name[:3], numbers


def _asked(trial: Trial) -> list[Said]:
    """What the script says of the hidden files."""

    def ask() -> list[Said]:
        trial.read(scenario.SCRIPT)
        home, samples = trial.scratch(task="6.4"), scenario.hidden(trial.unseen)
        (home / FOLDER).mkdir()
        names = [f"{number:03}" for number in range(1, len(samples) + 1)]
        for name, one in zip(names, samples, strict=True):
            (home / FOLDER / f"{name}.csv").write_text(one.text)
        argv = ["python", scenario.SCRIPT, *(f"{FOLDER}/{name}.csv" for name in names)]
        done = trial.run(argv, home=home, limits=Limits(seconds=SECONDS, cpu=2 * SECONDS))
        tried = f"python {scenario.SCRIPT} {FOLDER}/001.csv {FOLDER}/002.csv …"
        if done.code:
            last = (done.err.strip().splitlines() or [""])[-1][:200]
            raise Miss(f"The script ended with exit code {done.code}.", tried=tried, got=last, wanted="a line for each file, and exit code 0", name="crashed")  # fmt: skip
        found = dict(filter(None, map(read_line, done.out.splitlines())))
        if left := [name for name in names if name not in found]:
            raise Miss(
                f"Of {len(names)} files, {len(left)} have no line. They all come in one call, and each has its line, also if it says “none”.",
                tried=tried, got=done.out[:200] or "(nothing)", wanted="001.csv 0.12 0.10 0.14, and so on", name="lines-missing",
            )  # fmt: skip
        return [Said(one, *found[name]) for name, one in zip(names, samples, strict=True)]

    return trial.once("asked", ask)


def reference(sample: Sample) -> tuple[float, float, float]:
    """The interval that others are compared with."""
    _, at = np.unique(sample.visitor, return_inverse=True)
    return by_clusters(np.bincount(at, sample.strange).tolist(), np.bincount(at).tolist())


def costs(said: Sequence[Said]) -> tuple[float, float, float]:
    """Of intervals for files of one kind: what they cost, and how wide they are, compared with the reference; how many cover."""
    theirs = ours = width = 0.0
    for one in said:
        low, high = reference(one.sample)[1:]
        theirs += interval_loss(one.low, one.high, one.sample.share) / one.sample.scale
        ours += interval_loss(low, high, one.sample.share) / one.sample.scale
        width += (one.high - one.low) / (high - low)
    covered = sum(one.low <= one.sample.share <= one.high for one in said)
    return theirs / ours, width / len(said), covered / len(said)


def _of_kinds(trial: Trial, *kinds: str) -> list[Said]:
    """What was said of files that are drawn by lot. Raises Miss where no honest interval can have come of it."""
    said = [one for one in _asked(trial) if one.sample.kind in kinds]
    tried = f"{len(said)} files that were drawn by lot"
    if declined := [one for one in said if one.declined]:
        raise Miss(
            f"{len(declined)} of these files were drawn from the whole month, and the script says “none”. Few strange rows, or none at all, say something, too.",
            tried=tried, got=f"none: {len(declined)} of {len(said)}", wanted="an interval", name="declined",
        )  # fmt: skip
    if any(one.high > 1 for one in said):
        raise Miss("A share is at most 1. Are these per cent?", tried=tried, got=f"the largest is {max(one.high for one in said):.4g}", wanted="shares from 0 to 1", name="percent")  # fmt: skip
    if any(one.low > one.high for one in said):
        raise Miss("The low end of an interval is above the high one. Name, share, low, high, in this order.", tried=tried, got="low > high", wanted="low <= share <= high", name="order")  # fmt: skip
    if all(one.low == one.high for one in said):
        raise Miss("Low and high are the same in every line. How far could luck have moved the share?", tried=tried, got="width 0", wanted="an interval of 95 %", name="no-interval")  # fmt: skip
    return said


def _judge(said: list[Said], what: str, most: float, narrow: str, say: str) -> None:
    """Raise Miss where these intervals cost too much. narrow, say: name and words where they are too narrow."""
    cost, width, covered = costs(said)
    if cost <= most:
        return
    got = f"{covered:.0%} of {len(said)} hold the truth; their width is {width:.2g} times that of a good interval; they cost {cost:.2g} times as much"
    tried = f"{len(said)} files: {what}"
    wanted = f"about 95 % hold the truth, and they cost at most {most:g} times as much"
    if covered >= 0.93:
        raise Miss("The intervals are wider than they need be. “Somewhere between 0 and 1” is always true, and of no use. 95 per cent were asked for.", tried=tried, got=got, wanted=wanted, name="too-wide")  # fmt: skip
    raise Miss(say, tried=tried, got=got, wanted=wanted, name=narrow)


@task.expects("intervals for rows drawn by lot, also where next to nothing was found", points=0.5)
def rows(trial: Trial) -> None:
    said = _of_kinds(trial, "rows", "rare")
    nothing = [one for one in said if not one.sample.strange.any() and one.low == one.high]
    if nothing:
        raise Miss(
            "Nothing was found, and the script is sure that there is none: an interval from 0 to 0. Of how many could there be one without your having seen it?",
            tried="files in which no row is strange", got=f"0 to 0 in {len(nothing)} of them", wanted="0 to something: about 3 of as many rows as there are", name="sure-of-nothing",
        )  # fmt: skip
    if any(one.low < 0 for one in said):
        raise Miss(
            "No share is below 0. Share ± 1.96 standard errors takes a bell curve for granted, and with two or three strange rows there is none.",
            tried="files with few strange rows", got=f"the lowest is {min(one.low for one in said):.4f}", wanted="shares from 0 to 1", name="below-zero",
        )  # fmt: skip
    _judge(
        [one for one in said if one.sample.kind == "rows"], "rows drawn by lot, 3 to 35 % strange", MOST["rows"], "too-narrow",
        "The truth is outside too often. 95 per cent are about two standard errors to each side, not one.",
    )  # fmt: skip
    _judge(
        [one for one in said if one.sample.kind == "rare"], "rows drawn by lot, hardly any strange", MOST["rare"], "too-narrow-for-few",
        "Where there are many strange rows it is right, where there are few the truth is outside too often. Wilson's interval does not take a bell curve for granted.",
    )  # fmt: skip


@task.expects("intervals for visitors drawn by lot, with all their rows", points=0.5)
def visitors(trial: Trial) -> None:
    said = _of_kinds(trial, "visitors", "bare")
    bare = [one for one in said if one.sample.kind == "bare"]
    said = [one for one in said if one.sample.kind == "visitors"]
    by_visitor = [one.sample for one in said if abs(one.share - _share_of_visitors(one.sample)) < 0.002]
    if len(by_visitor) > len(said) / 2:
        raise Miss(
            "This is the share of the visitors. Asked was the share of the rows: who comes more often counts more.",
            tried=f"{len(said)} files of visitors", got="visitors with a strange click / visitors", wanted="strange rows / rows", name="of-visitors",
        )  # fmt: skip
    _judge(
        said, "visitors with all their rows", MOST["visitors"], "rows-are-not-alone",
        "The truth is outside far too often. Ten clicks of one phone with a wrong clock are one thing that was found, not ten. What was drawn is visitors.",
    )  # fmt: skip

    # Wilson's upper end is about 3.8 of the visitors, that of a bootstrap of visitors is 0.
    for one in bare:
        count = len(np.unique(one.sample.visitor))
        if one.high >= 2 / count:
            continue
        raise Miss(
            "Nothing strange was found among some visitors, and the script is too sure of that. Drawn were visitors: of so many that had none, how many could have one? Their rows do not make them more.",
            tried=f"{len(bare)} files of visitors, with nothing strange in them", got=f"up to {one.high:.4f}, of {count} visitors with {len(one.sample.visitor):,} rows", wanted="0 to something: about 3 of as many visitors as there are", name="sure-of-no-visitor",
        )  # fmt: skip


def _share_of_visitors(sample: Sample) -> float:
    return len(np.unique(sample.visitor[sample.strange])) / len(np.unique(sample.visitor))


@task.expects("“none” for rows that only follow each other, and for no other file", points=0.25)
def slices(trial: Trial) -> None:
    said = _asked(trial)
    slices = [one for one in said if one.sample.kind == "slice"]
    if trusted := [one for one in slices if not one.declined]:
        raise Miss(
            "Some files are rows that follow each other: a few minutes of a month. However many they are, they say nothing about its other days and hours.",
            tried=f"{len(slices)} files of rows that follow each other", got=f"an interval for {len(trusted)} of them", wanted="none", name="slice-trusted",
        )  # fmt: skip
    _of_kinds(trial, "rows", "rare", "visitors", "bare")


# ---- the form --------------------------------------------------------------------------------------------------------------


def _answers(trial: Trial, *keys: str) -> list[str]:
    found = trial.form(scenario.ANSWERS, KEYS, *keys)
    return [found[key] for key in keys]


UNITS = {"%": 0.01, "per cent": 0.01, "percent": 0.01, "million": 1e6, "mio": 1e6, "m": 1e6}
"""What may stand behind a number, and what it makes of it."""


def number(text: str, key: str) -> float:
    """A number as people write it: 1.2 %, 0.012, 0,012, 375,865,818, 5.6 million, 5_600_000, 5.6e6. Raises Miss."""
    words = re.sub(r"[\s\u00a0\u202f]+", " ", text.lower()).replace("_", "").removesuffix("rows").strip()
    factor = 1.0
    for ending, times in UNITS.items():
        if words.endswith(ending):
            words, factor = words.removesuffix(ending).strip(), times
            break
    words = re.sub(r"(?<=\d) (?=\d{3}\b)", "", words)
    if re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d+)?", words) and not words.startswith("0,"):
        words = words.replace(",", "")
    words = words.replace(",", ".")
    if not re.fullmatch(r"\d{1,15}(\.\d{0,20})?(e\+?\d{1,2})?|\.\d{1,20}|\d(\.\d{0,20})?e-\d{1,2}", words):
        raise Miss(f"{key} in ~/{scenario.ANSWERS} is no number.", tried=f"read ~/{scenario.ANSWERS}", got=f"{key}: {text}"[:100], wanted=f"{key}: 1234, or 5.6 million, or 1.2 %", name="no-number")  # fmt: skip
    return float(words) * factor


@task.expects("what each file can tell", points=0.25)
def tells(trial: Trial) -> None:
    found = [word.lower().strip("`") for word in _answers(trial, *TELLS)]
    tried = f"read ~/{scenario.ANSWERS}"
    wanted = "rows, visitors, both or nothing"
    for key, word in zip(TELLS, found, strict=True):
        if word not in ("rows", "visitors", "both", "nothing"):
            raise Miss(f"{key} is none of the four words.", tried=tried, got=f"{key}: {word}"[:100], wanted=wanted, name="unknown-word")  # fmt: skip
    first, by_row, by_visitor = found
    if first != "nothing":
        raise Miss(
            "What a database gives first is not drawn by lot. Look at the last happened_at in first.csv: what do these rows know of October?",
            tried=tried, got=f"first_csv: {first}", wanted="what every row of October could have come into", name="first-trusted",
        )  # fmt: skip
    if by_row != "rows":
        raise Miss(
            "In rows.csv each row is as likely as the others, so it tells the share of the rows. Is each visitor as likely as the others, too: one with sixty clicks and one with one?",
            tried=tried, got=f"rows_csv: {by_row}", wanted=wanted, name="every-visitor-alike",
        )  # fmt: skip
    if by_visitor != "both":
        raise Miss(
            "In visitors.csv each visitor is as likely as the others, and comes with all rows. So what are its rows, all together, a share of? (How sure it is, is another question.)",
            tried=tried, got=f"visitors_csv: {by_visitor}", wanted=wanted, name="not-both",
        )  # fmt: skip


@task.expects("the share of the rows with its interval, and how many rows that is", points=0.25)
def share(trial: Trial) -> None:
    month, tried = scenario.month(trial.seed), f"read ~/{scenario.ANSWERS}"
    given = tuple(number(text, key) for text, key in zip(_answers(trial, *SHARE), SHARE, strict=True))
    got = "share: {:.5g}, from {:.5g} to {:.5g}".format(*given)
    if any(value > 1 for value in given) or math.isclose(given[0], month.share * 100, rel_tol=0.03):
        raise Miss("A share of more than 1? Write 1.2 % or 0.012.", tried=tried, got=got, wanted="a share, or per cent with the sign", name="percent")  # fmt: skip
    shares = {name: float(sample.strange.mean()) for name, sample in month.samples.items()}
    if not math.isclose(given[0], month.share, rel_tol=0.02):
        if math.isclose(given[0], shares["first"], rel_tol=0.02):
            raise Miss("That is the share in first.csv: of the first minutes of October.", tried=tried, got=got, wanted="the share in a file that was drawn by lot from October", name="first-trusted")  # fmt: skip
        if math.isclose(given[0], shares["visitors"], rel_tol=0.02):
            raise Miss("That is the share in visitors.csv. It is an honest one, and a vague one: few phones have a wrong clock, and their clicks come together. Which file tells the share of the rows within the narrowest honest interval?", tried=tried, got=got, wanted="the share from the file with the narrowest honest interval", name="vaguer-file")  # fmt: skip
        raise Miss("That is not the share of strange rows in the file that tells it within the narrowest honest interval.", tried=tried, got=got, wanted="strange rows of the file / rows of the file", name="other-share")  # fmt: skip
    _ends(given, (month.low, month.high), got)
    (text,) = _answers(trial, "strange")
    strange, true = number(text, "strange"), month.share * month.people
    got, wanted = f"strange: {strange:,.0f}", "share × the rows of October of which each could have come into the file"
    if not math.isclose(strange, true, rel_tol=0.025):
        if math.isclose(strange, month.share * scenario.CLICKS, rel_tol=0.025):
            raise Miss("That is the share of all clicks, crawlers included. The crawlers were taken out before anything was drawn, so nothing is known of them here.", tried=tried, got=got, wanted=wanted, name="wrong-total")  # fmt: skip
        if strange <= scenario.ROWS:
            raise Miss("So many are in the file. How many are there in October?", tried=tried, got=got, wanted=wanted, name="not-extrapolated")  # fmt: skip
        raise Miss("The number of strange rows does not follow from the share.", tried=tried, got=got, wanted=wanted, name="does-not-follow")  # fmt: skip


def _ends(given: tuple[float, float, float], true: tuple[float, float], got: str) -> None:
    """Raise Miss where the ends of an interval are far from those of Wilson's; how far: an eighth of its width."""
    width, (said, low, high) = true[1] - true[0], given
    tried = f"read ~/{scenario.ANSWERS}"
    wanted = "an interval that holds the truth in 95 of 100 cases, and is no wider than that"
    if not low < said < high:
        raise Miss("The low end is below the share, and the high end above.", tried=tried, got=got, wanted="low < share < high", name="order")  # fmt: skip
    if abs(low - true[0]) <= width / 8 and abs(high - true[1]) <= width / 8:
        return
    if high - low < width:
        raise Miss("That interval is narrower than luck allows. (What does your script say of rows.csv?)", tried=tried, got=got, wanted=wanted, name="too-narrow")  # fmt: skip
    raise Miss("That interval is wider than need be. (What does your script say of rows.csv?)", tried=tried, got=got, wanted=wanted, name="too-wide")  # fmt: skip


@task.expects("worth a week, or not, or not yet to be said", points=0.25)
def worth(trial: Trial) -> None:
    month, tried = scenario.month(trial.seed), f"read ~/{scenario.ANSWERS}"
    said = [word.lower().strip("`“”\"'") for word in _answers(trial, *scenario.WORK)]
    for team, word in zip(month.teams, said, strict=True):
        if word not in ("yes", "no", "more"):
            raise Miss(f"{team.name}: one of the three words, please.", tried=tried, got=f"{team.name}: {word}"[:100], wanted="yes, no or more", name="unknown-word")  # fmt: skip
    wrong = [(team, word) for team, word in zip(month.teams, said, strict=True) if word != team.decision]
    # What is wrong by most is said first.
    for team, word in sorted(wrong, key=lambda one: "more" in (one[0].decision, one[1])):
        got = f"{team.name}: {word}"
        wanted = f"a week pays from so many on: {team.week / team.per_thousand * 1000:,.0f}"
        if "more" not in (team.decision, word):
            raise Miss(f"{team.name}: that goes against the costs, at both ends of the interval.", tried=tried, got=got, wanted=wanted, name="against-the-costs")  # fmt: skip
        if word == "more":
            raise Miss(f"{team.name}: whatever in the interval is true, the answer is the same. More rows would change nothing, and cost something.", tried=tried, got=got, wanted=wanted, name="never-sure")  # fmt: skip
        raise Miss(f"{team.name}: at one end of the interval the week pays, at the other it does not. The number in the middle is no better known than the ends.", tried=tried, got=got, wanted=wanted, name="decided-by-the-middle")  # fmt: skip
