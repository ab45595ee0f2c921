"""Module 00: an almost empty desk, to try how the course works."""

from __future__ import annotations

from pathlib import Path

TWISTS: dict[str, str] = {}


def build(home: Path, seed: int, twists: frozenset[str]) -> None:
    """Put the desk on `home`: a welcome note."""
    (home / "welcome.txt").write_text(
        "Welcome to Targ!\n\nYour desk is the third by the window. Coffee is on the left, the data platform on the right.\n"
        "People who are stuck write to #data-support. From today on, that is you. No, wait: from today on, you answer.\n"
    )
