"""Task 5.6: what lies on the desk for it, and how an answer is read. Its answers: test_05_docker_pinning.py."""

from __future__ import annotations

import json
import subprocess
import sys
import unittest
from pathlib import Path

import pytest

from opslab import checks
from opslab.checks import Miss
from opslab.checks.docker_pinning import runners as check
from opslab.scenarios.docker_pinning import runners as scenario
from opslab.worlds import workspace
from opslab.worlds.forge.pipeline_file import PipelineError, parse
from opslab.worlds.runners import REASONS, REPLACEMENTS, find, read_folder

SCRIPT = Path(__file__).parent / "answers/05_docker_pinning/5.6/right/script/find.py"


def desk(folder: Path, seed: int = 1) -> Path:
    """The part of a desk that belongs to the task."""
    home = folder / f"desk-{seed}"
    scenario.build(home, seed, frozenset())
    (home / workspace.NOTE).write_text(json.dumps({"module": "05_docker_pinning", "seed": seed}))
    return home


def truth(seed: int) -> str:
    """The right answer."""
    found = find(scenario.of_seed(seed).files).findings
    lines = [f"{one.file}\t{one.where}\t{one.reason}\t{one.replacement}" for one in found]
    return "\n".join(lines) + "\n"


def judged(home: Path, *only: str) -> dict[str, str]:
    report = checks.run("5.6", home, only=only or ("files", "findings"))
    assert not [one for one in report.results if one.state == "fault"], report.results
    return {one.id: one.name or one.state for one in report.results}


# ---- the desk ----------------------------------------------------------------------------------------------------------


def test_the_manifests_on_the_desk_are_those_of_the_seed(tmp_path):
    home = desk(tmp_path)
    assert read_folder(home / "runners") == scenario.of_seed(1).files, "README.md is none of them"
    text = (home / "runners/README.md").read_text()
    assert all(f"`{word}`" in text for word in (*REASONS, *REPLACEMENTS))
    assert (home / scenario.ANSWERS[0]).read_text().split() == list(scenario.COLUMNS)


def test_the_pipeline_to_be_rewritten_is_privileged_in_two_ways_and_not_for_the_new_runners(tmp_path):
    text = (desk(tmp_path) / "labels/.gitlab-ci.yml").read_text()
    assert {one.reason for one in find({".gitlab-ci.yml": text}).findings} == {"docker-in-docker", "privileged"}
    with pytest.raises(PipelineError, match=r"default: .*\n.*tags: "):
        parse(text)


def test_the_project_does_what_its_tests_say(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(desk(tmp_path) / "labels"))
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromName("test_labels").run(result)
    assert result.testsRun == 1 and result.wasSuccessful()


@pytest.mark.slow
def test_somebody_elses_program_finds_the_same(tmp_path):
    """The one among the answers was written without the finder, from the README alone."""
    for seed in range(1, 13):
        home = desk(tmp_path, seed)
        done = subprocess.run([sys.executable, SCRIPT], cwd=home, capture_output=True, text=True, check=True)
        assert set(done.stdout.splitlines()[1:]) == set(truth(seed).splitlines())


# ---- the answer --------------------------------------------------------------------------------------------------------

ROW = ("a.yaml", "smoke test", "privileged", "delete")
FORMS = (
    "a.yaml\tsmoke test\tprivileged\tdelete",
    "a.yaml,smoke test,privileged,delete",
    'a.yaml, "smoke test" ,privileged , delete',
    '"a.yaml";"smoke test";"privileged";"delete"',
    "File\tWhere\tReason\tReplacement\n\n# mine\na.yaml\tsmoke test\tprivileged\tdelete\t\t",
    "a.yaml\tsmoke test\tprivileged\tdelete\r\n",
)


@pytest.mark.parametrize("text", FORMS)
def test_forms_in_which_an_answer_may_come(text: str):
    assert check.rows(text, "x") == [ROW]


@pytest.mark.parametrize(
    "text", ["a.yaml", "a.yaml smoke privileged delete", "a\tb\tc", "a\tb\tc\td\te", '"a\tb\tc\td']
)
def test_what_is_no_finding(text: str):
    with pytest.raises(Miss) as miss:
        check.rows(text, "x")
    assert miss.value.name == "form"


@pytest.mark.parametrize("prefix", ["", "./", "runners/", "~/runners/", "/home/you/workspace/runners/"])
def test_paths_as_people_write_them(prefix: str):
    known = ("platform/log-shipper.yaml", "runners/shared/config.toml")
    assert [check._path(f"{prefix}{path}", known) for path in known] == list(known)
    assert check._path("log-shipper.yaml", known) == "log-shipper.yaml"


@pytest.mark.parametrize("seed", (1, 2, 3))
def test_the_right_answer_is_right_in_every_world(seed: int, tmp_path):
    home = desk(tmp_path, seed)
    (home / scenario.ANSWERS[0]).write_text(truth(seed))
    assert judged(home) == {"files": "met", "findings": "met"}


def test_nine_of_ten(tmp_path):
    """Of what is there, and of what is said."""
    home, lines = desk(tmp_path), truth(1).splitlines()
    for wanted, answer in (
        ("met", lines[: round(len(lines) * 0.91)]),
        ("findings-missing", lines[: round(len(lines) * 0.85)]),
        ("met", [*lines, "platform/log-shipper.yaml\tshipper\tprivileged\tdelete"]),
        (
            "wrong-reason",
            [*lines, *(f"platform/log-shipper.yaml\tshipper\t{reason}\tdelete" for reason in sorted(REASONS)[:4])],
        ),
        ("met", [*lines, *lines]),
    ):
        (home / scenario.ANSWERS[0]).write_text("\n".join(answer))
        assert judged(home, "findings") == {"findings": wanted}


def test_a_table_of_commas_counts_where_the_other_form_was_left_empty(tmp_path):
    home = desk(tmp_path)
    (home / scenario.ANSWERS[1]).write_text(truth(1).replace("\t", ","))
    assert judged(home) == {"files": "met", "findings": "met"}


def test_unusual_answers(tmp_path):
    home = desk(tmp_path)
    answer = home / scenario.ANSWERS[0]
    for data, name in (
        (b"", "empty"),
        (b"# nothing\n", "empty"),
        (b"\xff\xfe", "binary"),
        (b"a" * 2_000_000, "too-big"),
    ):
        answer.write_bytes(data)
        assert judged(home) == {"files": name, "findings": name}
    answer.write_text("\t".join(["x" * 200_000] * 4))  # longer than csv takes for a field
    assert judged(home) == {"files": "line-without-end", "findings": "line-without-end"}
    answer.unlink()
    assert judged(home) == {"files": "missing", "findings": "missing"}


def test_every_way_to_overlook_something_has_words_in_some_world():
    """The names in HIDDEN and HARMLESS are about what recipes really say."""
    worlds = [scenario.of_seed(seed) for seed in range(1, 8)]
    for part, *_ in check.HIDDEN:
        assert any(part in one.hidden for made in worlds for one in made.planted), part
    for part, _ in check.HARMLESS:
        assert any(part in one.why for made in worlds for one in made.decoys), part
