"""Task 6.4: what is drawn for it, and how intervals are paid for. Its answers: test_06_pipeline_validation.py."""

from __future__ import annotations

import doctest
import hashlib
import json
import math
import re
import statistics

import numpy as np
import pytest

from opslab import checks, jail
from opslab.checks import Miss
from opslab.checks.pipeline_validation import sample as check
from opslab.scenarios.pipeline_validation import sample as scenario
from opslab.worlds import workspace
from opslab.worlds.pipeline import scoring
from opslab.worlds.pipeline.scoring import brier, by_clusters, interval_loss, wilson


@pytest.fixture
def desk(tmp_path):
    home = tmp_path / "desk"
    scenario.build(home, 1, frozenset())
    (home / workspace.NOTE).write_text(json.dumps({"module": "06_pipeline_validation", "seed": 1}))
    return home


# ---- scores --------------------------------------------------------------------------------------------------------------


def test_what_the_module_shows_is_so():
    assert doctest.testmod(scoring).failed == 0


def test_wilsons_interval_is_that_of_the_books():
    assert wilson(50, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert wilson(0, 100) == pytest.approx((0, 0.0370), abs=1e-4)
    assert wilson(100, 100) == pytest.approx((0.9630, 1), abs=1e-4)
    for hits, of in ((1, 0), (-1, 5), (6, 5)):
        with pytest.raises(ValueError, match="expected"):
            wilson(hits, of)


def test_by_clusters_is_wilsons_where_each_is_alone_and_far_wider_where_all_are_alike():
    share, low, high = by_clusters([1] * 30 + [0] * 70, [1] * 100)
    assert (share, low, high) == pytest.approx((0.3, *wilson(30, 100)), abs=2e-3)
    assert by_clusters([10] * 30 + [0] * 70, [10] * 100) == pytest.approx((share, low, high))
    assert by_clusters([0] * 50, [10] * 50) == (0, *wilson(0, 50)), "fifty things were looked at, not five hundred"
    with pytest.raises(ValueError, match="groups"):
        by_clusters([3], [10])


def test_who_says_what_they_believe_pays_least():
    """Of intervals: truths that lie like a bell curve. Of probabilities: any."""
    truths = [statistics.NormalDist().inv_cdf((n + 0.5) / 2000) for n in range(2000)]

    def paid(z: float) -> float:
        return sum(interval_loss(-z, z, truth) for truth in truths)

    assert min((1.0, 1.5, 1.96, 2.5, 3.3), key=paid) == 1.96
    for true in (0.01, 0.3, 0.5, 0.88):
        assert min((n / 100 for n in range(101)), key=lambda said: brier(said, true)) == pytest.approx(true)


# ---- the desk ------------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_files_on_any_machine():
    text = "".join(sample.text for sample in scenario.month(1).samples.values())
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "cd10e3267d0a4a35"
    assert (
        hashlib.sha256("".join(one.text for one in scenario.hidden(7)).encode()).hexdigest()[:16] == "0f940e6fe2135c3a"
    )


@pytest.mark.parametrize("seed", range(1, 9))
def test_what_the_three_files_are(seed: int):
    month = scenario.month(seed)
    first, rows, visitors = month.samples.values()
    times = scenario.happened(first.rows, month.people)
    assert times[-1] - times[0] < np.timedelta64(10, "m") and str(times[0]) == "2026-10-01T00:00:00"
    for one in (rows, visitors):
        days = scenario.happened(one.rows, month.people).astype("datetime64[D]")
        assert len(np.unique(days)) == 31 and len(np.unique(one.rows)) == len(one.rows)
        assert one.rows.max() <= month.people < scenario.CLICKS
    assert len(rows.rows) == 10_000 and len(np.unique(rows.visitor)) > 9_900
    assert len(np.unique(visitors.visitor)) == scenario.VISITORS
    assert month.low < rows.share < month.high, "so it is for these seeds; one in twenty has bad luck"
    assert first.strange.mean() > 1.5 * month.high, "what came first is something else"


@pytest.mark.parametrize("seed", range(1, 31))
def test_for_each_decision_there_is_a_team(seed: int):
    month = scenario.month(seed)
    pays_from = {team.decision: team.week / team.per_thousand * 1000 / month.people for team in month.teams}
    assert sorted(pays_from) == ["more", "no", "yes"]
    assert pays_from["yes"] < 0.6 * month.low and pays_from["no"] > 1.4 * month.high
    assert month.low < pays_from["more"] < month.high
    assert abs(pays_from["more"] - month.share) > 0.1 * (month.high - month.low), "the middle alone would decide"
    # Two decimals everywhere: beside “3,200 €”, many people read “1.140 €” as one thousand one hundred and forty.
    rows = re.findall(r"^\| (\w+) \| .* \| (\d+\.\d\d) € \| (\S+) € \|$", scenario.readme(month), re.MULTILINE)
    written = {(name, float(thousand), int(week.replace(",", ""))) for name, thousand, week in rows}
    assert written == {(team.name, team.per_thousand, team.week) for team in month.teams}


def test_the_form_asks_for_nothing_that_follows_from_the_rest():
    keys = re.findall(r"^(\w+):$", scenario.FORM, re.MULTILINE)
    assert keys == list(check.KEYS) and len(keys) <= 10


def test_what_the_readme_says_of_intervals_is_so():
    text = " ".join(scenario.README.split())
    assert interval_loss(0.10, 0.14, truth=0.12) == pytest.approx(0.04)
    assert interval_loss(0.10, 0.14, truth=0.15) == pytest.approx(0.44)
    assert "0.10 to 0.14" in text and "costs 0.04 " in text and "0.04 + 40 × 0.01 = 0.44" in text
    assert "30 per cent more" in text and check.MOST["rows"] == check.MOST["visitors"] == 1.3
    assert "50 per cent" in text and check.MOST["rare"] == 1.5
    assert "count each visitor once" in text


def test_hours_are_as_busy_as_they_are():
    people = 372_000_000
    times = scenario.happened(np.arange(1, people, 9_973), people)
    assert (np.diff(times.astype(int)) >= 0).all() and str(times[-1]).startswith("2026-10-31T23:5")
    hours = np.bincount(times.astype("datetime64[h]").astype(int) % 24, minlength=24) / len(times)
    assert hours == pytest.approx(np.array(scenario.HOURS) / sum(scenario.HOURS), abs=1e-3)


# ---- how intervals are judged ----------------------------------------------------------------------------------------------


def of_rows(one, z=1.96):
    return wilson(int(one.strange.sum()), len(one.rows), z)


def of_clusters(one, z=1.96):
    _, at = np.unique(one.visitor, return_inverse=True)
    return by_clusters(np.bincount(at, one.strange).tolist(), np.bincount(at).tolist(), z)[1:]


def bootstrap(one):
    _, at = np.unique(one.visitor, return_inverse=True)
    hits, sizes = np.bincount(at, one.strange), np.bincount(at)
    if not hits.any():
        return 0, 3 / len(hits)
    drawn = np.random.default_rng(1).integers(0, len(hits), (400, len(hits)))
    return tuple(np.quantile(hits[drawn].sum(axis=1) / sizes[drawn].sum(axis=1), [0.025, 0.975]))


def bell(one):
    share, of = one.strange.mean(), len(one.rows)
    half = 1.96 * math.sqrt(share * (1 - share) / of)
    return max(share - half, 0), share + half


def visitors_only(one):
    return wilson(len(np.unique(one.visitor[one.strange])), len(np.unique(one.visitor)))


METHODS = {
    "clusters": (of_clusters, ""), "bootstrap": (bootstrap, ""), "90 per cent": (lambda one: of_clusters(one, 1.645), ""),
    "rows": (of_rows, "visitors"), "bell": (bell, "rare visitors"), "one error": (lambda one: of_clusters(one, 1), "rows visitors"),
    "99.9 per cent": (lambda one: of_clusters(one, 3.3), "rows rare"), "visitors": (visitors_only, "visitors"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("seed", [38, 6401, 5])
@pytest.mark.parametrize("method", METHODS)
def test_what_ways_to_make_an_interval_cost(method: str, seed: int):
    interval, fails = METHODS[method]
    for kind, most in check.MOST.items():
        said = [check.Said(one, 0, *interval(one)) for one in scenario.hidden(seed) if one.kind == kind]
        cost = check.costs(said)[0]
        if kind in fails.split():
            assert cost > most, (kind, cost)
        elif not fails:
            assert cost < most, (kind, cost)


def test_hidden_files_are_what_they_should_be():
    found = scenario.hidden(38)
    assert {kind: sum(one.kind == kind for one in found) for kind in scenario.GROUPS} == scenario.GROUPS
    assert sum(not one.strange.any() for one in found if one.kind == "rare") >= 8
    for one in found:
        times = scenario.happened(one.rows, one.people)
        short = times.max() - times.min() < np.timedelta64(1, "h")
        assert short == (one.kind == "slice") and 100 < len(one.rows) < 4_000
    lucky = [one.strange.mean() > one.share for one in found if one.kind in ("rows", "visitors")]
    assert 0.35 < np.mean(lucky) < 0.65, "good and bad luck come as often as they should"


def as_in_the_lesson(hits, n):
    """Wilson's interval, as lesson 06 writes it: where nothing is found, rounding leaves a little less than 0."""
    z = statistics.NormalDist().inv_cdf(0.975)
    middle = (hits + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * (hits * (n - hits) / n + z**2 / 4) ** 0.5
    return middle - half, middle + half


def test_what_rounding_leaves_below_0_or_above_1_is_0_or_1(monkeypatch, desk):
    """So the lesson's own interval is not taken for the bell curve's, which goes truly below 0."""
    found = scenario.hidden(5)
    lines = []
    for number, one in enumerate(found, start=1):
        low, high = as_in_the_lesson(int(one.strange.sum()), len(one.rows))
        lines.append(
            f"{number:03}.csv {one.strange.mean()} {low!r} {high!r}" if one.kind != "slice" else f"{number:03} none"
        )
    assert any(" -" in line for line in lines), "so it is for some of these numbers of rows"

    def judged(lines):
        out = "\n".join(lines)
        monkeypatch.setattr(checks.Trial, "scratch", lambda trial, **_: trial.folder())
        monkeypatch.setattr(checks.Trial, "run", lambda *_, **__: jail.Done(0, out, "", 0.1))
        (result,) = [one for one in checks.run("6.4", desk, unseen=5).results if one.id == "rows"]
        return result.name or result.state

    assert judged(lines) == "met"
    for number, zero in ((0, 0.0), (-8.7e-19, 0.0), (-9e-10, 0.0), (-2e-9, -2e-9), (1 + 1e-12, 1.0), (1.01, 1.01)):
        assert check.read_line(f"001.csv 0 {number!r} 1")[1][1] == zero
    at = next(number for number, one in enumerate(found) if one.kind == "rows")
    lines[at] = f"{at + 1:03}.csv 0.1 -0.001 0.2"
    assert judged(lines) == "below-zero"


# ---- what a script and a form may say ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "007.csv 0.1 0.05 0.2", "samples/007.csv\t0.1\t0.05\t0.2", "007, 0.1, 0.05, 0.2", "007.csv 0.1 5e-2 .2",
        "('007.csv', np.float64(0.1), np.float64(0.05), 0.2)", "  007.csv [0.1, 0.05, 0.2]",
    ],
)  # fmt: skip
def test_lines_as_people_print_them(line: str):
    assert check.read_line(line) == ("007", (0.1, 0.05, 0.2))


def test_other_lines():
    for line in ("007.csv none", "samples/007.csv None", "007.csv nan", "007.csv -"):
        assert check.read_line(line) == ("007", check.DECLINED)
    for line in ("", "done", "reading samples/007.csv …", "first.csv 0.1 0.2 0.3"):
        assert check.read_line(line) is None
    for line, name in (("007.csv 0.1", "no-interval"), ("007.csv 0.1 0.2", "form"), ("007.csv 0.1 nan nan", "form"), ("007.csv a b c", "form"), ("007.csv 1 inf 2", "form"), ("007.csv", "form")):  # fmt: skip
        with pytest.raises(Miss) as miss:
            check.read_line(line)
        assert miss.value.name == name


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.2 %", 0.012), ("1,2 %", 0.012), ("0.012", 0.012), ("0,012", 0.012), (".012", 0.012), ("1.2 per cent", 0.012), ("1.2e-2", 0.012),
        ("375,865,818", 375_865_818), ("375 865 818", 375_865_818), ("375_865_818 rows", 375_865_818), ("375.9 million", 375_900_000),
        ("5.6e6", 5_600_000), ("5.6M", 5_600_000), ("10,000", 10_000), ("10 000", 10_000),
    ],
)  # fmt: skip
def test_numbers_as_people_write_them(text: str, value: float):
    assert check.number(text, "share") == pytest.approx(value)


@pytest.mark.parametrize(
    "text", ["", "many", "-1", "1e999", "nan", "inf", "1/3", "0x10", "1 2", "9" * 400, "%", "1..2"]
)
def test_what_is_no_number(text: str):
    with pytest.raises(Miss) as miss:
        check.number(text, "share")
    assert miss.value.name == "no-number"


def test_no_interval_breaks_the_arithmetic(monkeypatch, desk):
    """What a script prints is anything; what comes of it is a Miss and never a fault."""
    found = scenario.hidden(38)
    names = [f"{number:03}" for number in range(1, len(found) + 1)]
    (desk / "answers/6.4.txt").write_text("strange: 1e300\nshare: 9e99 %\n")
    printed = (
        *(f"{{name}}.csv {numbers}" for numbers in ("1e308 -1e308 1e308", "0 0 0", "0.5 0 1", "5 1 9", "-1 -2 -3", "1 0.9 0.1")),
        "{name} none", "{name} 1e999 0 1", "\0", "",
    )  # fmt: skip
    for line in printed:
        out = "\n".join(line.format(name=name) for name in names)
        monkeypatch.setattr(checks.Trial, "scratch", lambda trial, **_: trial.folder())
        monkeypatch.setattr(checks.Trial, "run", lambda *_, out=out, **__: jail.Done(0, out, "", 0.1))
        report = checks.run("6.4", desk)
        assert report.score == 0 and not [one for one in report.results if one.state == "fault"], report.results
