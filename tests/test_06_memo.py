"""Task 6.6: what follows from the folder, and how a memo is judged. Its answers: test_06_pipeline_validation.py."""

from __future__ import annotations

import csv
import io
import json
import random
import re

import pytest

from opslab import checks
from opslab.checks import Miss
from opslab.checks.pipeline_validation import memo as check
from opslab.scenarios.pipeline_validation import memo as scenario
from opslab.worlds import workspace

CAUSES = ("late", "lost", "fewer", "chart")


def desk(folder, seed: int = 1):
    home = folder / f"desk-{seed}"
    scenario.build(home, seed, frozenset())
    (home / workspace.NOTE).write_text(json.dumps({"module": "06_pipeline_validation", "seed": seed}))
    return home


def judged(home, text: str) -> dict[str, str]:
    (home / scenario.ANSWERS).write_text(text)
    report = checks.run("6.6", home)
    assert not [one for one in report.results if one.state == "fault"], report.results
    return {one.id: one.name or one.state for one in report.results}


def cells(text: str, begins: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {begins}")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def somebody_elses(evidence) -> dict[str, object]:
    """What follows from the files of the folder, computed from nothing but them, as a reader does."""
    texts = {path.name: path.read_text() for path in evidence.iterdir()}
    often, readme = texts["how-often.md"], texts["README.md"]
    incidents = list(csv.DictReader(io.StringIO(texts["incidents.csv"])))
    provider = list(csv.DictReader(io.StringIO(texts["1-provider.csv"])))
    booked, landed = (sum(int(row[name]) for row in provider) for name in ("booked_by_provider", "landed_with_us"))
    waiting = sum(
        int(number.replace(",", "")) for number in re.findall(r"partition \d +([\d,]+)", texts["2-queue.txt"])
    )
    days = [
        int(number.replace(",", "")) for number in re.findall(r"\| ([\d,]+) \|$", texts["3-recount.md"], re.MULTILINE)
    ]
    signs = {
        "The payment": booked > 1.1 * landed,
        "Messages": waiting > 1000,
        "Counted": days[3] < 0.85 * sum(days[:3]) / 3,
    }
    weights = {cause: sum(row["it_was"] == cause for row in incidents) for cause in CAUSES}
    for begins, seen in signs.items():
        for cause, tenths in zip(CAUSES, cells(often, begins)[1:], strict=True):
            weights[cause] *= int(tenths) if seen else 10 - int(tenths)
    found: dict[str, object] = {cause: weight / sum(weights.values()) for cause, weight in weights.items()}
    late = [row for row in incidents if row["it_was"] == "late"]
    found["heals"] = (
        found["late"] * sum(row["gone_by_itself_by_noon_of_second_day"] == "yes" for row in late) / len(late)
    )
    everybody = sum(row["partners_hit"] == "all" for row in incidents)
    calls = [
        row["fewer_orders_arrive_from_them"] == "yes" for row in csv.DictReader(io.StringIO(texts["5-partners.csv"]))
    ]
    one_in = {"two": 2, "three": 3}[re.search(r"it was one in (\w+)", often)[1]]
    odds = everybody / (40 - everybody) * one_in ** len(calls)
    found["all_partners"] = odds / (1 + odds) if all(calls) else 0.01
    after = [row["was_the_release"] == "yes" for row in incidents if row["release_before"] == "yes"]
    odds = sum(after) / (len(after) - sum(after))
    if "exit code 1" not in texts["4-rollback.log"]:
        odds *= 1 / 9 if "still there" in texts["4-rollback.log"] else 9
    found["release"] = odds / (1 + odds)
    found["refunds"] = sum(row["refunds_hit"] == "yes" for row in incidents) / 40
    costs = {name: [int(cell) for cell in cells(readme, f"`{name}`")[2:]] for name in scenario.ACTIONS}
    mean = {
        name: sum(cost * found[cause] for cost, cause in zip(row, CAUSES, strict=True)) for name, row in costs.items()
    }
    return {**found, "recommend": min(mean, key=mean.get)}


@pytest.mark.parametrize("seed", range(1, 26))
def test_somebody_else_reads_the_same_in_the_folder(seed: int, tmp_path):
    home = desk(tmp_path, seed)
    found, case = somebody_elses(home / scenario.FOLDER), scenario.case(seed)
    assert found.pop("recommend") == case.best()[0]
    assert found == pytest.approx(case.truth, abs=1e-9)


@pytest.mark.parametrize("seed", range(1, 26))
def test_the_time_of_the_release_speaks_neither_for_it_nor_against_it(seed: int, tmp_path):
    """The drop begins with the first whole hour after it, as it does after a release in the incidents."""
    case, evidence = scenario.case(seed), desk(tmp_path, seed) / scenario.FOLDER
    (said,) = set(re.findall(r"[Rr]elease (?:of|on) Wednesday,? (\d\d:\d\d)", (evidence / "README.md").read_text()))
    assert set(re.findall(r"release on Wednesday (\d\d:\d\d)", (evidence / "channel.md").read_text())) == {said}
    rows = list(csv.DictReader(io.StringIO((evidence / "1-provider.csv").read_text())))
    booked, landed = ([int(row[name]) for row in rows] for name in ("booked_by_provider", "landed_with_us"))
    usual = [22 * busy + 10 for busy in scenario.HOURS]
    less = landed if case.signs["provider"] else booked
    low = [hour for hour in range(24) if less[hour] < 0.87 * usual[hour]]
    assert low == (list(range(10, 24)) if case.signs["recount"] else [])
    assert "09:30" <= said < "10:00"
    (recount,) = re.findall(r"18 November \| ([\d,]+) \|", (evidence / "3-recount.md").read_text())
    assert sum(landed) == pytest.approx(int(recount.replace(",", "")), rel=0.04), "both have counted the same day"
    assert "`release_before`" in (evidence / "README.md").read_text(), "the time is in the usual already"


def test_the_readme_says_how_to_count_it(tmp_path):
    text = " ".join((desk(tmp_path) / scenario.FOLDER / "README.md").read_text().split())
    assert "0.7 × 0.5 + 0.3 × 0.1 = 38 per cent" in text and round(100 * (0.7 * 0.5 + 0.3 * 0.1)) == 38
    assert "0.7 × 10 + 0.3 × 40 = 19" in text and round(0.7 * 10 + 0.3 * 40) == 19
    assert "1 against ¼" in text and "worth waiting for only if" in text


def test_mornings_differ():
    cases = [scenario.case(seed) for seed in range(1, 41)]
    assert {case.best()[0] for case in cases} == set(scenario.ACTIONS)
    assert {case.experiment for case in cases} == {"gone", "still", "died"}
    assert len({tuple(case.signs.values()) for case in cases}) >= 4
    likeliest = [scenario.FITS[max(case.causes(), key=case.causes().get)] for case in cases]
    assert sum(case.best()[0] != fits for case, fits in zip(cases, likeliest, strict=True)) >= 5


@pytest.mark.parametrize("seed", range(1, 41))
def test_thought_wins_and_thoughtlessness_loses(seed: int):
    case = scenario.case(seed)
    truth, rng = case.truth, random.Random(seed)
    assert sum(truth[cause] for cause in CAUSES) == pytest.approx(1)
    assert scenario.excess(truth, truth) == pytest.approx(0)
    for thoughtless in (
        dict.fromkeys(truth, 0.5),
        {key: 0.99 if share > 0.5 else 0.01 for key, share in truth.items()},
        case.base,
    ):
        assert scenario.excess(thoughtless, truth) > scenario.ROUGH
    for _ in range(20):
        near = {key: min(max(share + rng.choice((-0.12, 0.12)), 0), 1) for key, share in truth.items()}
        assert scenario.excess(near, truth) <= scenario.FINE, "twelve points off everywhere are fine"
    three = {**truth, "all_partners": case.partners(3)}
    if case.hit == len(case.called):
        assert scenario.excess(three, truth) > scenario.FINE and check.misreading(three, case)[1] == "one-source-twice"
    if case.experiment == "died":
        believed = {**truth, "release": case.by_release("still")}
        assert scenario.excess(believed, truth) > scenario.FINE
        assert check.misreading(believed, case)[1] == "experiment-did-not-run"


def test_whatever_is_wrong_there_is_a_word_for_it():
    names = set()
    for seed in range(1, 6):
        case, rng = scenario.case(seed), random.Random(seed)
        for _ in range(300):
            said = {key: rng.choice((0, 0.1, 0.3, 0.5, 0.7, 0.9, 1)) for key in case.truth}
            say, name = check.misreading(said, case)
            assert say and "\n" not in say
            names.add(name)
    assert {"too-sure", "too-careful", "other-way"} <= names


def test_six_sentences_three_of_them_known():
    for seed in range(1, 10):
        facts = scenario.facts(scenario.case(seed))
        assert list(facts) == list("abcdef") and sum(seen for _, seen in facts.values()) == 3


# ---- the form --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "value"), [("80", 0.8), ("80 %", 0.8), ("80.5%", 0.805), ("80,5", 0.805), ("0", 0), ("100 per cent", 1), ("007", 0.07)])  # fmt: skip
def test_per_cents_as_people_write_them(text: str, value: float):
    assert check.percent(text, "late") == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "likely", "-1", "101", "1e1", "nan", "80-90", "> 90", "9" * 300])
def test_what_is_no_per_cent(text: str):
    with pytest.raises(Miss) as miss:
        check.percent(text, "late")
    assert miss.value.name == "no-per-cent"


def test_shares_among_per_cents_are_called_so(tmp_path):
    """late: 0.90 beside heals: 75 is a slip, and no opinion."""
    home, words = desk(tmp_path), scenario.words(1)
    right = {key: words[key] for key in check.KEYS}
    causes = {cause: f"{float(words[cause]) / 100:.3f}" for cause in CAUSES}
    likeliest = max(CAUSES, key=lambda cause: float(words[cause]))
    mixes = (causes, {likeliest: causes[likeliest]}, {cause: f"{share} %" for cause, share in causes.items()})
    for mix in mixes:
        memo = "\n".join(f"{key}: {value}" for key, value in {**right, **mix}.items())
        assert judged(home, memo)["supported"] == "shares", mix
    for seed in range(1, 26):
        case = scenario.case(seed)
        for key in (key for key, share in case.truth.items() if share > 0.3):
            say, name = check.misreading({**case.truth, key: case.truth[key] / 100}, case)
            assert name == "shares" and key in say
        assert check.misreading({**case.truth, "refunds": 0.7}, case)[1] != "shares", (
            "1 per cent of something rare is fine"
        )


def test_who_is_wrong_about_the_release_hears_what_stands_then(tmp_path):
    case = next(case for case in map(scenario.case, range(1, 50)) if case.experiment == "died")
    for wrong in (case.by_release("still"), case.was_release / 40, 0.9):
        say, name = check.misreading({**case.truth, "release": wrong}, case)
        assert name == "experiment-did-not-run" and "where there was a release" in say
        assert "to its end" not in say and "for or against" in say and not re.search(r"\d\d", say)


def test_unusual_memos(tmp_path):
    home = desk(tmp_path)
    words = scenario.words(1)
    right = "\n".join(f"{key}: {words[key]}" for key in check.KEYS)
    assert set(judged(home, right).values()) == {"met"}
    assert set(judged(home, right.upper().replace(", ", " AND ")).values()) == {"met"}
    assert set(judged(home, right.replace("\n", "\r\n\r\n")).values()) == {"met"}
    assert judged(home, "")["supported"] == "left-out"
    assert judged(home, right + "\nlater: no")["supported"] == "form"
    assert judged(home, right.replace(f"next_word: {words['next_word']}", "next_word: 99:99"))["later"] == "no-time"
    assert judged(home, right.replace(f"would_change: {words['would_change']}", "would_change: ,"))["later"] != "fault"
    (home / scenario.ANSWERS).unlink()
    (home / scenario.ANSWERS).mkdir()
    assert {one.name for one in checks.run("6.6", home).results if one.state == "missed"} == {"folder"}


def test_an_untouched_form_is_worth_nothing(tmp_path):
    assert checks.run("6.6", desk(tmp_path)).score == 0
