"""Merge requests: what stands in the way, merging, reverting, and two processes at once."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from test_forge_desk import Desk, errors, make_desk

from opslab.worlds.forge import owners
from opslab.worlds.forge.git import Git
from opslab.worlds.forge.merge_requests import MergeRequest, NotMergeable


@pytest.fixture
def desk(tmp_path) -> Desk:
    return make_desk(tmp_path)


def codes(mr: MergeRequest) -> list[str]:
    return [blocker.code for blocker in mr.blockers()]


def texts(mr: MergeRequest) -> str:
    return " ".join(str(blocker) for blocker in mr.blockers())


# ---- what stands in the way ------------------------------------------------------------------------------------------


def test_each_hindrance_has_its_own_sentence_and_nothing_else_is_one(desk):
    mr = desk.opened()
    assert codes(mr) == ["approval"] and "It needs 1 more approval." in texts(mr)
    mr.approve("mira")
    assert codes(mr) == []
    mr.edit(draft=True)
    thread = mr.thread("Why the country?", "mira", path="orders.sql", line=1)
    mr.set_status("pipeline", "running", by="forge")
    assert codes(mr) == ["draft", "threads", "check"]
    with pytest.raises(NotMergeable) as caught:
        mr.merge()
    assert [blocker.code for blocker in caught.value.blockers] == ["draft", "threads", "check"]
    assert f"#{thread}" in str(caught.value) and "The check pipeline is running." in str(caught.value)
    mr.edit(draft=False)
    mr.resolve(thread)
    mr.set_status("pipeline", "failed", "2 jobs", by="forge")
    assert texts(mr) == "The check pipeline is failed: 2 jobs."
    mr.set_status("pipeline", "success", by="forge")
    assert codes(mr) == []


def test_a_conflict_names_its_files(desk):
    mr = desk.opened(orders="select a\n", users="select b\n")
    mr.approve("mira")
    desk.repository.commit("main", {"orders.sql": "select c\n", "users.sql": "select d\n"}, "Other", by="ola")
    assert mr.conflicts() == ["orders.sql", "users.sql"]
    assert texts(mr) == "There are conflicts with main in orders.sql, users.sql."
    desk.sh(
        "git fetch -q && (git merge origin/main || true) && git checkout -q --ours . && git commit -qam 'Merge main' && git push -q origin country"
    )
    mr.approve("mira")
    assert codes(mr) == [] and mr.conflicts() == []
    mr.merge()


def test_unrelated_histories_and_moved_branches(desk):
    desk.sh(
        "git checkout -q --orphan alone && git commit -qm 'Alone here' && git push -q -o merge_request.create origin alone"
    )
    mr = desk.repository.merge_request(1)
    assert "unrelated" in codes(mr) and len(mr.changes()) == 2 and len(mr.commits()) == 1
    other = desk.opened()
    other.approve("mira")
    git = desk.repository.git
    git.update_ref("refs/heads/country", git.resolve("refs/heads/main"), other.record["head"])  # a push still under way
    assert codes(other)[0] == "moved"
    assert "just got new commits" in errors(other.approve, "ola")


def test_approvals(desk):
    mr = desk.opened()
    assert "authors cannot approve their own" in errors(mr.approve)
    assert "knows no user" in errors(mr.approve, "nobody")
    mr.approve("mira")
    mr.approve("mira")
    assert [one["by"] for one in mr.record["approvals"]] == ["mira"]
    desk.sh("git commit -q --allow-empty -m 'One more' && git push -q origin country")
    assert mr.record["approvals"] == [] and "withdrew" in mr.record["discussion"][-1]["text"]
    mr.approve("mira")
    mr.unapprove("mira")
    assert "has not approved" in errors(mr.unapprove, "mira")
    mr.approve("ola")
    mr.merge()
    assert "already merged" in errors(mr.approve, "mira") and "already merged" in errors(mr.close)


def test_a_status_is_one_of_a_commit(desk):
    mr = desk.opened()
    mr.set_status("pipeline", "failed", by="forge")
    desk.sh("git commit -q --allow-empty -m 'Mended' && git push -q origin country")
    assert mr.statuses() == [] and len(mr.record["statuses"]) == 1
    mr.set_status("pipeline", "success", by="forge")
    mr.set_status("pipeline", "success", "again", by="forge")
    assert [one["description"] for one in mr.statuses()] == ["again"]
    with pytest.raises(ValueError, match="A status is one of"):
        mr.set_status("pipeline", "green", by="forge")


def test_threads_comments_replies_and_reactions(desk):
    mr = desk.opened()
    thread, comment = mr.thread("Why?", "mira"), mr.comment("Nice", "ola")
    assert mr.comment("Because", reply_to=thread) == thread
    mr.react(comment, "👀", by="mira")
    assert mr.record["discussion"][thread - 1]["replies"][0]["text"] == "Because"
    assert mr.record["discussion"][comment - 1]["reactions"] == {"👀": ["mira"]}
    assert "not a thread" in errors(mr.resolve, comment)
    assert f"there are: #{thread}, #{comment}" in errors(mr.resolve, 77)
    assert "no text" in errors(mr.comment, "  ")
    mr.resolve(thread)
    mr.unresolve(thread)
    assert "threads" in codes(mr)


def test_closed_and_opened_again(desk):
    mr = desk.opened()
    mr.close()
    assert codes(mr) == ["state"] and "already closed" in errors(mr.merge)
    desk.sh("git commit -q --allow-empty -m 'Meanwhile' && git push -q origin country")
    mr.reopen("mira")
    assert mr.record["state"] == "opened" and mr.commits()[0].subject == "Meanwhile"
    assert "only a closed one" in errors(mr.reopen)


def test_code_owners_have_to_approve(tmp_path):
    owners_file = "* @data\n/finance/ @ola @boss\n[Docs]\n*.md @mira\n"
    desk = make_desk(tmp_path, files={"CODEOWNERS": owners_file, "README.md": "x\n"})
    desk.forge.add_group("data", ["you", "mira"])
    (desk.clone / "finance").mkdir()
    desk.change(**{"finance/x": "select 1\n"})
    desk.sh("git push -q -o merge_request.create origin country")
    mr = desk.repository.merge_request(1)
    assert mr.approvals_missing() == [
        "It needs 1 more approval.",
        "A code owner of /finance/ has to approve: boss, ola.",
    ]
    mr.approve("mira")
    assert mr.approvals_missing() == ["A code owner of /finance/ has to approve: boss, ola."]
    mr.approve("ola")
    assert codes(mr) == []
    # What the branch itself says about owners does not count before it is merged.
    desk.sh("echo '* @you' > CODEOWNERS && git commit -qam 'Owners' && git push -q origin country")
    mr.approve("ola")
    assert mr.approvals_missing() == ["A code owner of * has to approve: mira."]


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*", ".gitignore", True),
        ("*.sql", "marts/deep/x.sql", True),
        ("*.sql", "x.sqlx", False),
        ("/docs/", "docs/a/b.md", True),
        ("/docs/", "x/docs/b.md", False),
        ("docs/", "x/docs/b.md", True),
        ("/docs/*", "docs/a.md", True),
        ("/docs/*", "docs/a/b.md", False),
        ("/docs/**/*.md", "docs/b.md", True),
        ("README.md", "x/README.md", True),
        ("/README.md", "x/README.md", False),
        ("with\\ space/", "with space/x", True),
        ("\\#x", "#x", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("*" * 40 + "x", "y" * 300, False),
    ],
)
def test_patterns_of_code_owners(pattern, path, matches):
    assert bool(owners.needed(owners.parse(f"{pattern} @x"), [path])) is matches


def test_sections_of_code_owners():
    text = "# nobody\n*.py @a\nx.py @b\n[Money][2] @c @d\n*.py\n^[Maybe]\n*.py @e\n[money]\nx.py @f\n[odd\n*.py name@mail @\n"
    found = {
        need.section: (need.pattern, need.owners, need.count) for need in owners.needed(owners.parse(text), ["x.py"])
    }
    assert found == {"": ("x.py", ("b",), 1), "money": ("x.py", ("f",), 1)}
    assert owners.needed(owners.parse(text), ["y.py"])[1].owners == ("c", "d")


# ---- merging ---------------------------------------------------------------------------------------------------------


def approved(desk: Desk, branch: str = "country") -> MergeRequest:
    """A merge request of two commits, which nothing stands in the way of, while main has moved on."""
    desk.change(branch)
    desk.sh(
        f"echo more >> README.md && git commit -qam 'Say more' && git push -q -o merge_request.create origin {branch}"
    )
    desk.repository.commit("main", {"other.sql": "select 1\n"}, "Other", by="ola")
    mr = desk.repository.merge_requests()[-1]
    mr.edit(title="Add the country")
    mr.approve("mira")
    return mr


def test_a_merge_commit(desk):
    mr = approved(desk)
    sha = mr.merge("mira")
    merge, *_ = desk.repository.log("refs/heads/main")
    assert merge.sha == sha and merge.parents[1] == mr.record["head"] and merge.author == "Mira Novak"
    message = desk.repository.git.text("log", "-1", "--format=%B", sha)
    assert message.split("\n")[:5] == [
        "Merge branch 'country' into 'main'",
        "",
        "Add the country",
        "",
        "See merge request data/marts!1",
    ]
    desk.sh(
        "git switch -q main && git pull -q && grep -q country orders.sql && grep -q more README.md && test -e other.sql"
    )
    assert mr.record["merged"]["by"] == "mira" and "already merged" in errors(mr.merge)
    assert len(mr.changes()) == 2, "what it changed can still be seen"


def test_squashed_it_is_one_commit_of_its_author(desk):
    mr = approved(desk)
    mr.merge("mira", "squash")
    commits = desk.repository.log("refs/heads/main")
    assert [commit.subject for commit in commits] == ["Add the country", "Other", "Start of the repository"]
    assert (commits[0].author, len(commits[0].parents)) == ("You at Targ", 1)


def test_a_fast_forward_needs_a_branch_that_is_up_to_date(desk):
    mr = approved(desk)
    assert "cannot be fast-forwarded" in errors(mr.merge, "", "fast-forward")
    desk.sh("git pull -q --rebase origin main && git push -q --force origin country")
    mr.approve("mira")
    assert mr.merge("", "fast-forward") == mr.record["head"]
    assert "no method" in errors(mr.merge, "", "octopus")


def test_the_source_branch_is_removed_if_that_was_asked_for(desk):
    mr = approved(desk)
    mr.edit(remove_source_branch=True)
    mr.merge()
    assert sorted(desk.repository.git.branches()) == ["main"] and mr.commits() and mr.diff()


@pytest.mark.parametrize("method", ["merge", "squash", "fast-forward"])
def test_a_merge_is_reverted_by_another_merge_request(desk, method):
    mr = approved(desk)
    if method == "fast-forward":
        desk.sh("git pull -q --rebase origin main && git push -q --force origin country")
        mr.approve("mira")
    assert "only a merged one" in errors(mr.revert)
    mr.merge("", method)
    desk.repository.commit("main", {"later.sql": "select 2\n"}, "Later", by="ola")
    before = desk.repository.git.count("refs/heads/main")
    back = mr.revert()
    assert back.record["title"] == 'Revert "Add the country"' and back.record["reverts"] == 1
    assert {change.path for change in back.changes()} == {"orders.sql", "README.md"}
    back.approve("mira")
    back.merge()
    desk.sh(
        "git switch -q main && git pull -q && ! grep country orders.sql && ! grep more README.md && test -e later.sql"
    )
    assert desk.repository.git.count("refs/heads/main") > before, "history is not rewritten"
    assert "nothing to revert" in errors(mr.revert)


def test_a_revert_that_conflicts_says_how_to_do_it_by_hand(desk):
    mr = approved(desk)
    sha = mr.merge()
    desk.repository.commit("main", {"orders.sql": "select country, 1\n"}, "Later", by="ola")
    assert f"orders.sql changed again since then. Revert it by hand: git revert -m 1 {sha[:8]}" in errors(mr.revert)


@pytest.mark.parametrize("branch_was_moved", [True, False])
def test_a_merge_that_was_interrupted_is_finished_or_forgotten(desk, monkeypatch, branch_was_moved):
    mr = approved(desk)

    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(*((MergeRequest, "_merged", killed) if branch_was_moved else (Git, "update_ref", killed)))
        mr.merge()
    assert mr.record["state"] == "opened" and mr.record["merging"]
    again = desk.forge.repository().merge_request(1)
    assert again.record["merging"] is None
    assert again.record["state"] == ("merged" if branch_was_moved else "opened")
    if not branch_was_moved:
        again.merge()
    merges = desk.repository.log("--merges", "refs/heads/main")
    assert [merge.sha for merge in merges] == [again.record["merged"]["sha"]]


def test_a_target_that_moves_while_we_merge_is_merged_with_as_it_is_then(desk, monkeypatch):
    mr = approved(desk)
    real, moved = Git.update_ref, []

    def update_ref(git, ref, new, old):
        if ref == "refs/heads/main" and len(moved) < 2:
            moved.append(
                real(
                    git,
                    ref,
                    git.text("commit-tree", f"{old}^{{tree}}", "-p", old, give=b"In between", env=AUTHOR).strip(),
                    old,
                )
            )
        return real(git, ref, new, old)

    monkeypatch.setattr(Git, "update_ref", update_ref)
    mr.merge()
    assert moved == [True, True]
    assert [commit.subject for commit in desk.repository.log("--first-parent", "refs/heads/main")][1:3] == [
        "In between"
    ] * 2


AUTHOR = {f"GIT_{role}_{what}": "x@targ.example" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}

MERGER = """
import sys
from opslab.worlds.forge.forge import Forge
from opslab.worlds.forge.state import ForgeError
repository = Forge(sys.argv[1]).repository()
print("ready", flush=True)
sys.stdin.readline()
for number in map(int, sys.argv[2].split(",")):
    try:
        print(number, repository.merge_request(number).merge(), flush=True)
    except ForgeError as error:
        print(number, str(error).splitlines()[-1], flush=True)
"""


@pytest.mark.slow
def test_two_processes_that_merge_at_once_lose_nothing_and_merge_nothing_twice(tmp_path):
    """Forty merge requests, each merged by both of two processes, while a learner pushes."""
    desk = make_desk(tmp_path, approvals=0)
    rounds = 40
    for number in range(rounds):
        desk.repository.commit(
            f"b{number}", {f"f{number}.sql": f"select {number}\n"}, f"Add {number}", by="mira", start="main"
        )
        desk.repository.create_merge_request(f"b{number}", by="mira")
    forward = ",".join(str(number) for number in range(1, rounds + 1))
    argv = [sys.executable, "-c", MERGER, str(desk.forge.folder), forward]
    processes = [
        subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    desk.change()
    desk.sh("git push -q -o merge_request.create origin country")
    said = [process.communicate(timeout=120)[0] for process in processes]
    lines = sorted((line for text in said for line in text.splitlines()), key=lambda line: int(line.split()[0]))
    assert len(lines) == 2 * rounds
    merged = [line for line in lines if "already merged" not in line]
    assert len(merged) == rounds, "\n".join(lines)
    commits = desk.repository.log("--first-parent", "refs/heads/main")
    assert len(commits) == rounds + 1 and len({commit.parents[-1] for commit in commits[:-1]}) == rounds
    for number in range(rounds):
        record = desk.repository.merge_request(number + 1).record
        assert record["state"] == "merged" and record["merging"] is None
        assert desk.repository.git.file("refs/heads/main", f"f{number}.sql") == f"select {number}\n".encode()
        assert record["merged"]["sha"] in {commit.sha for commit in commits}
    assert desk.repository.merge_request(rounds + 1).record["source"] == "country"


def test_many_pushes_at_once_get_numbers_of_their_own(desk):
    desk.sh("git switch -qc work && git commit -q --allow-empty -m 'Something to merge'")
    desk.sh("for n in 1 2 3 4 5 6; do git push -q -o merge_request.create origin work:refs/heads/b$n & done; wait")
    found = desk.repository.merge_requests()
    assert [mr.number for mr in found] == [1, 2, 3, 4, 5, 6]
    assert {mr.record["source"] for mr in found} == {f"b{n}" for n in range(1, 7)}
    events = [json.loads(path.read_text()) for path in desk.repository.store.waiting()]
    assert len([event for event in events if event["kind"] == "push" and event["branch"] != "main"]) == 6
