"""The whole conversation as a learner has it: plain git, `opslab mr`, and colleagues who answer."""

from __future__ import annotations

import re
import sys

import pytest
from test_forge_desk import FILES, Desk, make_desk

from opslab.worlds.forge import cli, pipeline_file, receive, reviewers
from opslab.worlds.forge.forge import Forge

PIPELINE = """
lint:
  script:
    - '! grep -ri "select \\*" --include=*.sql .'
  allow_failure: true
query:
  script:
    - python -c 'import pathlib; assert "from" in pathlib.Path("orders.sql").read_text()'
"""


@pytest.fixture
def desk(tmp_path) -> Desk:
    rules = ["title", "description", "commit-message", "large-file", "select-star"]
    files = {**FILES, ".gitlab-ci.yml": PIPELINE, "CODEOWNERS": "* @mira\n"}
    return make_desk(tmp_path, files=files, reviewers={"mira": rules, "ola": ["reverts-my-change"]})


@pytest.mark.slow
def test_push_review_changes_approval_merge_and_revert(desk):
    # A hasty first try.
    desk.sh(
        "git switch -qc country && echo 'select *' > orders.sql && head -c 2000000 /dev/zero > all.csv && git add . && git commit -qm fix"
    )
    said = desk.sh("git push -u -o merge_request.create -o merge_request.target=main origin country")
    assert "View merge request for country:" in said
    assert desk.mr("list") == "!1 fix (opened, country → main)"
    assert "The check pipeline is pending." in desk.mr("show", "1")

    # The colleagues and the pipeline look at it.
    assert desk.mr("work").strip() == "Everybody has looked at what is new."
    shown = desk.mr("show", "1")
    for words in (
        "The title “fix” does not tell me",
        "Why is there a file of 2 MB (all.csv)?",
        "Does this need every column?",
    ):
        assert words in re.sub(r"\s+", " ", shown)
    assert "Check pipeline: failed: query failed" in shown and "Threads are still to be resolved: #1, #2" in shown
    assert "Error: Merge request !1 cannot be merged yet:\n- Threads" in desk.mr("merge", "1", code=1)
    assert "AssertionError" in desk.mr("pipelines", "2")
    assert "all.csv  binary or large" in desk.mr("diff", "1", "--stat")
    assert "+select *" in desk.mr("diff", "1")

    # An answer, and new commits.
    star = int(re.search(r"#(\d+) mira on orders.sql, line 1 \(to be resolved\)", shown)[1])
    assert (
        desk.mr("comment", "1", "The report reads every column there is.", "--reply-to", str(star))
        == f"Answered #{star}."
    )
    desk.sh(
        "printf 'select *\\nfrom raw.orders\\n' > orders.sql && git rm -q --cached all.csv && rm all.csv && git commit -q -a --amend -m 'Read every column of the raw orders'"
    )
    desk.sh("git push -q --force-with-lease origin country")
    desk.mr(
        "edit",
        "1",
        "--title",
        "Read every column of the raw orders",
        "--description",
        "The new report needs all of them. I ran it for last week.",
    )
    desk.mr("work")
    shown = desk.mr("show", "1")
    assert "to be resolved" not in shown and "I see. Fine with me then" in shown and "replaced the commits" in shown
    assert "Check pipeline: success" in shown and "Approved by: mira, ola" in shown and "Ready to merge." in shown
    assert "authors cannot approve their own" in desk.mr("approve", "1", code=1)

    # In.
    assert "Merged !1 into main as " in desk.mr("merge", "1")
    assert "already merged" in desk.mr("merge", "1", code=1)
    desk.sh(
        "git switch -q main && git pull -q && grep -q raw.orders orders.sql && git log -1 --format=%s | grep -q \"Merge branch 'country'\""
    )

    # And out again, without rewriting anything.
    assert desk.mr("revert", "1") == '!2 Revert "Read every column of the raw orders" (opened, revert-1-country → main)'
    desk.mr("edit", "2", "--description", "The report counts some orders twice now; we look for the reason first.")
    desk.mr("work")
    assert "Ready to merge." in desk.mr("show", "2")
    desk.mr("merge", "2")
    desk.sh("git pull -q && git diff --exit-code HEAD~2 -- orders.sql && ! grep '[*]' orders.sql")
    assert (
        desk.mr("list") == "data/marts has no open merge requests." and len(desk.mr("list", "--all").splitlines()) == 2
    )
    git = desk.repository.git
    assert git.is_ancestor(desk.repository.merge_request(1).record["head"], git.resolve("refs/heads/main"))


@pytest.mark.slow
def test_each_command_says_what_it_did_and_what_it_cannot_do(desk):
    desk.change()
    desk.sh("git push -q origin country")
    assert desk.mr("create", "country", "--title", "Add it", "--draft") == "!1 Draft: Add it (opened, country → main)"
    assert desk.mr("comment", "1", "Hello") == "Said as #1."
    desk.repository.merge_request(1).thread("Why?", "mira")
    assert desk.mr("resolve", "1", "2") == "Resolved #2."
    assert "not a thread" in desk.mr("resolve", "1", "1", code=1)
    assert desk.mr("edit", "1", "--ready") == "!1 Add it (opened, country → main)"
    assert "Say what to change" in desk.mr("edit", "1", code=1)
    assert desk.mr("close", "1") == "Closed !1." and "Closed without being merged." in desk.mr("show", "1")
    assert desk.mr("reopen", "1") == "Reopened !1."
    own = {"GIT_COMMITTER_EMAIL": "mira@targ.example"}
    command = f"'{sys.executable}' -m opslab.worlds.forge.cli"
    assert (
        desk.sh(f"{command} approve 1 && {command} unapprove 1", env=own)
        == "Approved !1.\nTook back the approval of !1."
    )
    assert "There is no merge request !7; there are: !1." in desk.mr("show", "7", code=1)
    assert "Usage" in desk.mr("show", "x", code=2)
    assert "There is no pipeline 99" in desk.mr("pipelines", "99", code=1)
    assert "Everybody has looked" in desk.mr("work")


def test_the_forge_is_found_from_a_clone_from_home_and_by_name(desk, tmp_path):
    other = desk.forge.create("data/other", files={"x": "1"})
    assert "data/marts" in desk.mr("list")
    assert other.path in desk.mr("-R", "data/other", "list")
    assert "Say which repository is meant" in desk.sh(
        f"'{sys.executable}' -m opslab.worlds.forge.cli list", 1, desk.home
    )
    for url in (f"file://{desk.repository.folder}", str(desk.repository.folder), "../forge/data/marts"):
        desk.sh(f"git remote set-url origin '{url}'")
        assert "data/marts" in desk.mr("list"), url
    desk.sh("git remote remove origin")
    assert "Say which repository" in desk.mr("list", code=1)
    away = tmp_path / "away"
    away.mkdir()
    command = f"env HOME={away} OPSLAB_WORLD= '{sys.executable}' -m opslab.worlds.forge.cli list"
    assert "found no forge from here" in desk.sh(command, 1, away)
    Forge(away / "f").create("a/b")
    assert "a/b" in desk.sh(f"OPSLAB_FORGE={away}/f {command}", 0, away)


def test_a_hostile_title_cannot_rewrite_the_screen(desk):
    desk.repository.commit("x", {"y\x1b]0;z": "\x1b[2J\x07"}, "A\x1b[2Jtitle \u202eright", by="mira")
    desk.repository.create_merge_request("x", by="mira")
    for arguments in (("list",), ("show", "1"), ("diff", "1"), ("diff", "1", "--stat")):
        assert not re.search(r"[\x00-\x08\x0b-\x1f\u202e]", desk.mr(*arguments))


def test_the_page_in_the_docs_names_everything_there_is(root):
    text = (root / "docs" / "forge.md").read_text()
    options = {f".{name}" for name in (*receive.FLAGS, *receive.VALUES)} | {"ci.skip", "ci.variable"}
    keywords = {f"`{name}`" for name in (*pipeline_file.GLOBAL, *pipeline_file.KEYWORDS, *pipeline_file.WHEN)}
    for words in (
        options,
        keywords,
        {f"`{name}`" for name, one in reviewers.RULES.items() if one.find.__module__ == reviewers.__name__},
        {f"`{name}" for name in cli.mr.commands},
    ):
        assert [word for word in words if word not in text] == []
