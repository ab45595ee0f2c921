"""The answers that are kept here, played by hand: as whoever writes a check does it, and as a key for one learner's desk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from conftest import ROOT

from opslab.scenarios.iam_roles import whoami


def replay(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "tests/replay.py", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_key_for_the_desk_of_a_seed(tmp_path: Path) -> None:
    done = replay("3.1", "--seed", "48213", "--keep", tmp_path / "key")
    assert done.returncode == 0, done.stdout + done.stderr
    desk = tmp_path / "key/right/plain/workspace"
    assert "✓ 3.1/right/plain: 2 points" in done.stdout and f"its desk: {desk}" in done.stdout
    answer = (desk / "answers/3.1.csv").read_text()
    for profile in whoami.situations(48213):
        assert whoami.arn_of(profile, 48213) in answer
    again = replay("3.1", "--seed", "48213", "--keep", tmp_path / "key")
    assert again.returncode == 2 and "is there already" in again.stderr


def test_a_wrong_answer_shows_what_it_misses() -> None:
    done = replay("1.3", "plain", "--seed", "7")
    assert done.returncode == 0 and "its desk" not in done.stdout
    assert "there is no task" in replay("9.9").stderr
    assert "has no case nobody; it has" in replay("1.3", "nobody").stderr
