"""The placement quiz: any answers get advice, and what cannot be read is told in one line."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import pytest

from opslab import course, quiz

QUESTIONS = quiz.questions()


@pytest.fixture
def answers(tmp_path: Path):
    """Writes a file of answers and gives its path."""

    def write(content: str | bytes) -> Path:
        path = tmp_path / "placement.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def right(*wrong: int) -> str:
    """All the right answers, but for the questions with these numbers."""
    letters = [question["right"] for question in QUESTIONS]
    for number in wrong:
        letters[number - 1] = next(letter for letter in "abc" if letter != letters[number - 1])
    return "".join(f"{number}: {letter}\n" for number, letter in enumerate(letters, start=1))


# ---- the questions --------------------------------------------------------------------------------------------------


def test_each_question_is_whole():
    for question in QUESTIONS:
        assert question.keys() == {"module", "topic", "text", "a", "b", "c", "right", "why"}
        assert all(value.strip() for value in question.values())
        assert question["right"] in "abc"
        assert len({question["a"], question["b"], question["c"]}) == 3
        assert re.fullmatch(r"\d\d", question["module"])


def test_there_are_two_questions_a_topic_in_the_order_of_the_modules():
    modules = [question["module"] for question in QUESTIONS]
    assert modules == sorted(modules)
    assert set(Counter(modules).values()) == {2}
    assert len({(question["module"], question["topic"]) for question in QUESTIONS}) == len(set(modules))


def test_guessing_one_letter_throughout_does_not_pay():
    most = Counter(question["right"] for question in QUESTIONS).most_common(1)[0][1]
    assert most <= 0.6 * len(QUESTIONS)


# ---- the advice -----------------------------------------------------------------------------------------------------


def test_the_advice_follows_from_what_was_right(answers):
    first, *_ = quiz.advise(answers(right()))
    assert first == {
        "module": "01",
        "topic": "Shell setup",
        "right": 2,
        "of": 2,
        "slips": [],
        "advice": "Try the exercise right away.",
    }
    first, *_ = quiz.advise(answers(right(1)))
    assert (first["right"], first["advice"]) == (1, "Skim the lesson, do the exercise.")
    assert first["slips"] == [{"number": 1, "why": QUESTIONS[0]["why"]}]
    first, *_ = quiz.advise(answers(right(1, 2)))
    assert (first["right"], first["advice"]) == (0, "Begin here.")


def test_each_topic_has_its_own_row(answers):
    rows = quiz.advise(answers(right(1, 3, 4)))
    assert [row["module"] for row in rows] == sorted({question["module"] for question in QUESTIONS})
    assert [row["right"] for row in rows[:2]] == [1, 0]
    assert all(row["right"] == row["of"] == 2 for row in rows[2:])


def test_a_module_that_is_not_there_yet_is_not_recommended(answers):
    for row in quiz.advise(answers("")):
        here = row["module"] in course.TOPICS
        assert row["advice"] == ("Begin here." if here else "This module is still being written.")


def test_an_open_question_is_not_known_and_no_slip(answers):
    for content in ("", "\n\n", "1:\n2:\n", "1: \n"):
        first, *_ = quiz.advise(answers(content))
        assert (first["right"], first["slips"]) == (0, [])


def test_letters_and_numbers_may_be_written_in_several_ways(answers):
    one, two = (question["right"] for question in QUESTIONS[:2])
    for content in (
        f"1:{one}\n2:{two}",
        f" 1) {one.upper()} \r\n02. {two}\r\n",
        f"2: {two}\n\n1: {one}\n",
        f"1: x\n1: {one}\n2: {two}"[5:],
    ):
        first, *_ = quiz.advise(answers(content))
        assert first["right"] == 2, content


def test_the_last_answer_to_a_question_counts(answers):
    assert quiz.advise(answers(right(1) + f"1: {QUESTIONS[0]['right']}\n"))[0]["right"] == 2


# ---- what cannot be read --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "b",
        "1: d",
        "1 b",
        "0: a",
        f"{len(QUESTIONS) + 1}: a",
        "99: b",
        "1: ab",
        "one: a",
        "1: b because",
        "-1: a",
        "1: " + "x" * 500,
    ],
)
def test_a_line_that_is_not_understood_is_shown(answers, line):
    with pytest.raises(quiz.Unreadable) as error:
        quiz.advise(answers(f"2: a\n{line}\n"))
    said = str(error.value)
    assert said.startswith(f"The line “{line[:60]}” is not understood.")
    assert said.endswith("like this: 7: b")
    assert "\n" not in said


def test_a_missing_file_says_what_makes_it(tmp_path):
    with pytest.raises(quiz.Unreadable, match=r"^There is no file ~/answers/placement\.txt yet\. Run the cell"):
        quiz.advise(tmp_path / "nothing")


@pytest.mark.parametrize("content", [b"\xff\xfe1\x00", b"1: \xfcb\n"])
def test_a_file_that_is_no_text_is_told(answers, content):
    with pytest.raises(quiz.Unreadable, match=r"cannot be read as text\. Write it anew"):
        quiz.advise(answers(content))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "huge", "below a file"])
def test_what_is_no_file_is_told_and_never_waited_for(answers, tmp_path, kind):
    path = tmp_path / "it"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "huge":
        with path.open("wb") as file:
            file.truncate(10**12)
    else:
        path = answers("") / "it"
    with pytest.raises(quiz.Unreadable, match=r"cannot be read as text\. Write it anew"):
        quiz.advise(path)
