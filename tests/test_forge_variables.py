"""Variables of a project: who gets them, and what a log shows of them."""

from __future__ import annotations

import pytest
from test_forge_desk import FILES, Desk, make_desk

from opslab.worlds.forge import variables
from opslab.worlds.forge.state import ForgeError
from opslab.worlds.forge.untrusted import take_forge
from opslab.worlds.forge.variables import Variable

SECRET = "heron-otter-kelp"
BOTH = [Variable("REGISTRY_USER", "ci"), Variable("TOKEN", SECRET, protected=True, masked=True)]
SHOWS = """
variables: {REGISTRY_USER: of the file, OTHER: "user $REGISTRY_USER"}
a:
  rules:
    - if: $CI_PIPELINE_SOURCE
  script:
    - echo "user is $REGISTRY_USER, $OTHER, token is <${TOKEN:-none}>, protected $CI_COMMIT_REF_PROTECTED"
only with token:
  rules:
    - if: $TOKEN
  script: printf '%s' "$TOKEN" | wc -c
"""


def make(tmp_path, text: str = SHOWS, **settings) -> Desk:
    return make_desk(tmp_path, files={**FILES, ".gitlab-ci.yml": text}, variables=BOTH, **settings)


def runs(desk: Desk) -> dict[tuple[str, str], str]:
    """The logs of all jobs, by the pipeline's source or branch, and the job's name."""
    desk.repository.react()
    folder = desk.repository.store.folder / "pipelines"
    return {
        (one["branch"] if one["source"] == "push" else "request", job["name"]): (folder / job["log"]).read_text()
        for one in desk.repository.pipelines()
        for job in one["jobs"]
        if job["log"]
    }


def test_a_protected_one_is_for_protected_branches_and_a_masked_one_is_in_no_log(tmp_path):
    desk = make(tmp_path)
    desk.repository.commit("main", {"x": "1"}, "On main", "mira")
    desk.change("mine")
    desk.sh("git push -q -o merge_request.create origin HEAD")
    found = runs(desk)
    assert "user is ci, user ci, token is <[MASKED]>, protected true" in found["main", "a"]
    assert f"{len(SECRET)}" in found["main", "only with token"]
    for where in ("mine", "request"):
        assert "user is ci, user ci, token is <none>, protected false" in found[where, "a"]
        assert (where, "only with token") not in found
    assert not any(SECRET in text for text in found.values())


def test_a_variable_of_a_push_counts_more(tmp_path):
    desk = make(tmp_path)
    desk.change("mine")
    desk.sh("git push -q -o ci.variable=REGISTRY_USER=somebody origin HEAD")
    assert "user is somebody, user somebody" in runs(desk)["mine", "a"]


def test_they_do_not_travel_with_what_is_handed_in(tmp_path):
    desk = make(tmp_path)
    taken, _ = take_forge(desk.forge.folder, tmp_path / "taken")
    assert SECRET not in "".join(path.read_text() for path in (tmp_path / "taken").rglob("*.json"))
    assert (
        variables.of_pipeline(taken.repositories()[0].store.project(), {"merge_request": None, "branch": "main"}) == {}
    )


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("A-B", "x", "no name"),
        ("1A", "x", "no name"),
        ("A", "short", "at least 8"),
        ("A", "two words here", "at least 8"),
        ("A", "two\nlines-of-text", "at least 8"),
    ],
)
def test_what_cannot_be_a_masked_variable(name, value, says):
    with pytest.raises(ForgeError, match=says):
        Variable(name, value, masked=True)


def test_a_longer_value_is_masked_before_one_that_begins_it():
    project = {
        "variables": [
            {"name": "A", "value": "heron-otter", "masked": True},
            {"name": "B", "value": SECRET, "masked": True},
        ]
    }
    assert variables.masked(project, f"{SECRET} heron-otter heron") == "[MASKED] [MASKED] heron"


def test_a_merge_request_is_never_protected():
    project = {"protected": ["main", "release/*"]}
    for branch, request, expected in (
        ("main", None, True),
        ("release/1", None, True),
        ("mine", None, False),
        ("release/1", 3, False),
    ):
        assert variables.is_protected(project, {"branch": branch, "merge_request": request}) == expected


def test_a_desk_from_before_has_none():
    assert variables.of_pipeline({"protected": ["main"]}, {"merge_request": None, "branch": "main"}) == {}
