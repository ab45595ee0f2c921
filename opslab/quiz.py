"""The placement quiz of lesson 00: reads the learner's answers and says, topic by topic, where to start."""

from __future__ import annotations

import re
import stat
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from opslab import course

ANSWERS = "answers/placement.txt"
SIZE_LIMIT = 64 * 1024
ADVICE = ("Begin here.", "Skim the lesson, do the exercise.", "Try the exercise right away.")


class Unreadable(ValueError):
    """The file of answers is not as it should be; the text says what to do."""


@cache
def questions() -> list[dict[str, str]]:
    """The questions in order: module, topic, text, options a to c, right, why."""
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text())["question"]


def advise(path: Path) -> list[dict[str, Any]]:
    """A row for each topic: module, topic, right (how many), of, advice, slips (number and why of each wrong answer).

    path: the file with one line a question, `7: b`; a question without a letter counts as not known.
    Raises Unreadable where there is no such file or a line is not understood.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > SIZE_LIMIT:
            raise OSError("a pipe, a folder, a device or a file far too big is not opened")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Unreadable(
            f"There is no file ~/{ANSWERS} yet. Run the cell that writes it, with your letters in it."
        ) from None
    except (OSError, UnicodeDecodeError):
        raise Unreadable(f"~/{ANSWERS} cannot be read as text. Write it anew with the cell above.") from None
    given: dict[int, str] = {}
    for line in text.splitlines():
        if not line.strip():
            continue
        match = re.fullmatch(r"\s*(\d{1,2})\s*[:.)]\s*([abcABC]?)\s*\)?\s*", line)
        if not match or not 1 <= int(match[1]) <= len(questions()):
            raise Unreadable(
                f"The line “{line.strip()[:60]}” is not understood. Write a number and a, b or c, like this: 7: b"
            )
        given[int(match[1])] = match[2].lower()
    rows: dict[str, dict[str, Any]] = {}
    for number, question in enumerate(questions(), start=1):
        row = rows.setdefault(
            question["module"],
            {"module": question["module"], "topic": question["topic"], "right": 0, "of": 0, "slips": []},
        )
        row["of"] += 1
        if given.get(number) == question["right"]:
            row["right"] += 1
        elif given.get(number):
            row["slips"].append({"number": number, "why": question["why"]})
    for row in rows.values():
        row["advice"] = ADVICE[2 if row["right"] == row["of"] else min(row["right"], 1)]
        if row["module"] not in course.TOPICS:
            row["advice"] = "This module is still being written."
    return list(rows.values())
