"""Module 00: the first task, and the quiz that says where to begin."""

from __future__ import annotations

from pathlib import Path

import pytest
import replay

from opslab import checks, course, quiz
from opslab.worlds import workspace

STEM = "00_start_here"
CASES = replay.cases(STEM)


def words(seed: int) -> dict[str, str]:
    """Nothing stands for anything else in the answers of this module."""
    return {}


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A workspace as it is at the start."""
    return workspace.build(STEM, tmp_path / "desk", 1)


# ---- the first task ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_answer_is_judged_as_it_deserves(case: replay.Case, desk: Path):
    replay.put(case, desk, {})
    assert not replay.differences(case, replay.ask(case, desk))


def test_there_are_enough_answers_and_every_misconception_is_among_them():
    assert sum(case.right for case in CASES) >= 3
    assert sum(not case.right for case in CASES) >= 5
    produced = {name for case in CASES for name in case.missed.values()}
    assert replay.names_of_misses(STEM) <= produced
    assert {id for case in CASES for id in case.missed} == {"there", "one_line"}


def test_the_first_task_is_no_part_of_any_mark():
    assert checks.load("00").graded is False


# ---- the quiz ---------------------------------------------------------------------------------------------------------


def answered(desk: Path, text: str) -> list[dict]:
    """What the quiz says to a file of answers with this text."""
    path = desk / quiz.ANSWERS
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return quiz.advise(path)


def all_right(form: str = "{number}: {letter}") -> str:
    right = [question["right"] for question in quiz.questions()]
    return "".join(form.format(number=number, letter=letter) + "\n" for number, letter in enumerate(right, start=1))


def test_the_quiz_has_two_questions_for_each_topic_of_the_course():
    modules = [question["module"] for question in quiz.questions()]
    assert modules == sorted(modules)
    assert modules == [f"{number:02d}" for number in range(1, 7) for _ in range(2)]
    assert {number for number in course.TOPICS if number != "00"} <= set(modules)


def test_the_questions_are_in_order():
    for question in quiz.questions():
        assert set(question) == {"module", "topic", "text", "a", "b", "c", "right", "why"}
        assert question["right"] in "abc"
        assert all(value.strip() == value != "" for value in question.values())
        assert len({question[letter] for letter in "abc"}) == 3
    letters = [question["right"] for question in quiz.questions()]
    assert max(letters.count(letter) for letter in "abc") <= 7, "whoever always takes the same letter learns nothing"


@pytest.mark.parametrize(
    "form", ["{number}: {letter}", "{number}:{letter}", " {number} ) {letter} ", "{number}. {letter}"]
)
def test_whoever_knows_it_all_may_go_on(desk: Path, form: str):
    rows = answered(desk, all_right(form).upper() if "." in form else all_right(form))
    assert [(row["right"], row["of"], row["slips"]) for row in rows] == [(2, 2, [])] * 6
    assert rows[0]["advice"] == quiz.ADVICE[2]


def test_whoever_knows_nothing_begins_at_the_beginning(desk: Path):
    for text in ("", "\n\n", "".join(f"{number}:\n" for number in range(1, 13))):
        rows = answered(desk, text)
        assert [(row["right"], row["slips"]) for row in rows] == [(0, [])] * 6
        assert rows[0]["advice"] == quiz.ADVICE[0]


def test_a_wrong_answer_is_explained_and_an_empty_one_is_not(desk: Path):
    first, second = quiz.questions()[:2]
    wrong = next(letter for letter in "abc" if letter != first["right"])
    row = answered(desk, f"1: {wrong}\n2: {second['right']}\n3:\n")[0]
    assert row == {
        "module": "01",
        "topic": "Shell setup",
        "right": 1,
        "of": 2,
        "advice": quiz.ADVICE[1],
        "slips": [{"number": 1, "why": first["why"]}],
    }


def test_modules_that_are_not_there_yet_are_not_advised(desk: Path):
    for row in answered(desk, all_right()):
        assert (row["advice"] in quiz.ADVICE) == (row["module"] in course.TOPICS)


@pytest.mark.parametrize(
    "line", ["1: d", "1: ab", "13: a", "0: a", "b", "1 b", "one: a", "1: a or b", "-1: a", "x" * 500]
)
def test_a_line_that_is_not_understood_is_shown(desk: Path, line: str):
    with pytest.raises(quiz.Unreadable) as said:
        answered(desk, f"2: a\n{line}\n")
    assert line[:60] in str(said.value)
    assert "\n" not in str(said.value) and len(str(said.value)) < 200


def test_a_file_of_answers_that_is_none(desk: Path):
    path = desk / quiz.ANSWERS
    with pytest.raises(quiz.Unreadable, match="There is no file ~/answers/placement.txt yet"):
        quiz.advise(path)
    path.mkdir(parents=True)
    with pytest.raises(quiz.Unreadable, match="cannot be read as text"):
        quiz.advise(path)
    path.rmdir()
    path.write_bytes(bytes(range(128, 256)))
    with pytest.raises(quiz.Unreadable, match="cannot be read as text"):
        quiz.advise(path)
