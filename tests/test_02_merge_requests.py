"""Module 02: the checks look at the forge, and judge as they should, whatever was pushed there."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import replay
from graded import *
from test_lab import Course, course, until  # noqa: F401  (course is a fixture)

import opslab
from opslab import checks, lab
from opslab.checks import merge_requests
from opslab.scenarios.merge_requests import churn, first, halved, leak, people, rules, undo
from opslab.worlds import workspace
from opslab.worlds.forge.forge import Forge
from opslab.worlds.forge.repository import Repository
from opslab.worlds.forge.reviewers import RULES, Review

STEM = "02_merge_requests"
SEEDS = (1, 2)
BRIEF = ("2.2", "2.5")
TRIED_ELSEWHERE = {"too-many-files"}
LATER = ("2.1", "2.3", "2.4", "2.6")
named = functools.partial(replay.named, STEM)


def built_forge(folder: Path, part: Any, seed: int) -> Repository:
    """The repository of one part of the scenario, alone on a forge."""
    forge = Forge(folder / "forge")
    for person, full_name in people.PEOPLE.items():
        forge.add_user(person, full_name)
    with people.Past():
        part.build(forge, seed)
    return forge.repository(part.NAME)


@functools.cache
def words(seed: int) -> dict[str, Any]:
    """What stands for {{…}} in the answers of this module, in the world of this seed."""
    with tempfile.TemporaryDirectory() as folder:
        alerts = built_forge(Path(folder) / "leak", leak, seed).log("refs/heads/main")
        clicks = built_forge(Path(folder) / "halved", halved, seed).log("refs/heads/main")[::-1]
    key = next(commit for commit in alerts if commit.subject == leak.LEAK)
    told = halved.story(seed)
    culprit, rows = clicks[told.culprit - 1], len(re.findall(r"(?m)^2026.*,/", halved.sample(seed)))
    return {
        "old_key": leak.old_key(seed),
        "leak": key.sha[:8],
        "leak_long": key.sha,
        "after_leak": alerts[0].sha[:8],
        "customer": churn.customer(seed),
        "culprit": culprit.sha[:8],
        "culprit_long": culprit.sha,
        "culprit_short": culprit.sha[:6],
        "subject": culprit.subject,
        "last_good": clicks[told.culprit - 2].sha[:8],
        "broken": clicks[told.broken[0] - 1].sha[:8],
        "suspicious": clicks[8].sha[:8],
        "rows": rows,
    }


# ---- the world --------------------------------------------------------------------------------------------------------


def files_of(home: Path) -> dict[str, bytes]:
    return {str(path.relative_to(home)): path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file()}


def test_two_builds_of_one_seed_are_equal(tmp_path):
    """All but what git and the forge note about the folder that they are in, or about the minute."""
    one, other = (workspace.build(STEM, tmp_path / name, 5) for name in ("one", "other"))
    before, after = files_of(one), files_of(other)
    assert before.keys() == after.keys()
    differ = {name for name in before if before[name].replace(bytes(one), bytes(other)) != after[name]}
    assert {name for name in differ if not re.search(r"(^|/)index$", name)} == set()


def test_another_seed_has_other_keys_customers_and_culprits():
    equal = {name for name, value in words(2).items() if value == words(1)[name]}
    assert not {"old_key", "customer", "leak", "culprit"} & equal


def test_every_history_is_as_the_story_tells(tmp_path):
    """Programs of fifty histories, read without git: good before the culprit, half from then on, and which do not run."""
    for seed in range(1, 51):
        told = halved.story(seed, seed % 6)
        assert told.culprit - 1 not in told.broken and told.culprit not in told.broken
        assert told.culprit - 1 > 1 and told.culprit < halved.COUNT
        assert all(1 < number < halved.COUNT for number in told.broken)
        assert len(told.broken) == seed % 6
        seen = halved.visited(told.culprit)
        if len(told.broken) > 1:
            assert any(number in told.broken for number in seen if number < told.culprit)
            assert any(number in told.broken for number in seen if number > told.culprit)
        commits: list[people.Commit] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(halved, "history", lambda _, given, into=commits, **more: into.extend(given))
            halved.put(None, seed, told)
        (tmp_path / "sample.csv").write_text(commits[0][2]["sample.csv"])
        counts = {}
        for number, (_, _, files) in enumerate(commits, 1):
            program = files["count_rows.py"].replace('"sample.csv"', repr(str(tmp_path / "sample.csv")))
            scope: dict[str, Any] = {"__name__": "of the story", "print": lambda *said: None}
            try:
                exec(program, scope)  # noqa: S102  (our own)
            except SyntaxError:
                assert number in told.broken
            else:
                assert number not in told.broken
                counts[number] = len(scope["load"]())
        good = [rows for number, rows in counts.items() if number < told.culprit]
        bad = [rows for number, rows in counts.items() if number >= told.culprit]
        assert min(good) > 200 and 100 < max(bad) < 140, seed
        assert {len(commits)} == {halved.COUNT}


@pytest.mark.slow
@linux
@pytest.mark.parametrize("seed", range(1, 6))
def test_the_solution_finds_the_culprit_of_every_seed(seed, desk):
    home = desk(named("2.5/right/a-number"), seed=seed)
    report = checks.run("2.5", home)
    assert set(judged(report).values()) == {"met"}, report
    script = named("2.5/right/a-number").folder / "bin/check_rows.sh"
    for wrong in ("exit 1", "exit 0"):
        (home / "bin/check_rows.sh").write_text(script.read_text().replace("exit 125", wrong))
        report = checks.run("2.5", home, unseen=seed)
        assert judged(report) == {"named": "met", "finds": "met", "skips": "no-125"}, (seed, wrong)


# ---- what reviewers of this module ask --------------------------------------------------------------------------------


def asked(repository: Repository, files: dict[str, str | None], rule: str, **wanted: str) -> list[str]:
    """What one rule finds in a merge request with these files."""
    branch = f"try-{len(repository.git.branches())}"
    repository.commit(branch, files, "Something", by="you")
    mr = repository.create_merge_request(branch, by="you", title="Something or other", **wanted)
    assert rules  # it has added its own to RULES
    return [finding.text for finding in RULES[rule].find(Review(mr, "hania"))]


def test_the_rules_of_the_module_look_at_the_change(tmp_path):
    repository = built_forge(tmp_path, first, 1)
    mart = {first.MART: first.SQL.replace("from orders", "from orders where true")}
    assert "marts/orders_daily.sql" in asked(repository, mart, "changelog")[0]
    assert not asked(repository, mart | {"CHANGELOG.md": "# news\n"}, "changelog")
    assert not asked(repository, {"README.md": "# marts\n", "other/x.sql": "select 1\n"}, "changelog")
    assert not asked(repository, {first.MART: None}, "changelog"), "a mart that goes is another conversation"
    assert asked(repository, mart, "numbers", description="Because Marta asks for it.")
    assert not asked(repository, mart, "numbers", description="15 % less.")
    revenue = "marts/revenue_daily.sql"
    assert asked(repository, {revenue: "-- currency, currency\nselect day from orders group by day\n"}, "my-currency")
    assert asked(repository, {revenue: "select day, currency from orders group by day\n"}, "my-currency")
    assert not asked(repository, {revenue: "select currency from orders group by currency\n"}, "my-currency")
    assert asked(repository, {"x.sql": "select 1\n"}, "my-currency"), "the file is not there any more"


# ---- whatever stands in the forge that was handed in ------------------------------------------------------------------


@functools.cache
def solved(seed: int = 1) -> Path:
    """A desk on which tasks 2.1, 2.3, 2.4 and 2.6 are solved: to be copied."""
    home = Path(tempfile.mkdtemp(prefix="opslab-solved-")) / "home"
    shutil.copytree(built(STEM, seed), home, symlinks=True)
    for task in ("2.1/right/commit-for-each-question", "2.3/right/revert-and-restore"):
        replay.put(named(task), home, words(seed))
    for task in ("2.4/right/python-and-delete", "2.6/right/stripped-by-python"):
        replay.put(named(task), home, words(seed))
    return home


@pytest.fixture
def done(tmp_path: Path) -> Path:
    """A copy of the solved desk."""
    return Path(shutil.copytree(solved(), tmp_path / "home", symlinks=True))


def of(home: Path, name: str) -> Path:
    return home / f"forge/{name}.git"


def record(home: Path, name: str, **changes: Any) -> dict[str, Any]:
    """Change merge request 1 of a repository by hand, in its file."""
    path = of(home, name) / "forge/merge_requests/1.json"
    found = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(found))
    return found


def sh(home: Path, script: str, *, fails: bool = False) -> str:
    done = subprocess.run(
        ["bash", "-ec", script], cwd=home, env=workspace.environment(home), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False,
    )  # fmt: skip
    assert bool(done.returncode) == fails, done.stdout
    return done.stdout


def asks(home: Path, task: str) -> dict[str, str]:
    report = checks.run(task, home)
    in_one_line(report)
    return judged(report)


SHA = "1" * 40


def merged_elsewhere(home: Path) -> None:
    """Main goes back to the start, and the merge request goes on saying that it is merged."""
    git = of(home, first.NAME)
    sh(home, f"git --git-dir {git} update-ref refs/heads/main main~1^{{/Count.people}}")


def corrupted(home: Path) -> None:
    for path in (of(home, first.NAME) / "objects").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_bytes(b"no object " * 20)


def of_another_seed(home: Path) -> None:
    shutil.rmtree(home / "forge")
    shutil.copytree(solved(2) / "forge", home / "forge")


def a_link(home: Path) -> None:
    shutil.rmtree(of(home, first.NAME))
    of(home, first.NAME).symlink_to("/etc")


HOSTILE: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "main without the merge": ("2.1", merged_elsewhere, "counted not-merged"),
    "merged with a commit of nobody": (
        "2.1",
        lambda home: record(home, first.NAME, merged=record(home, first.NAME)["merged"] | {"sha": SHA}),
        "counted not-merged",
    ),
    "somebody else's merge request": ("2.1", lambda home: record(home, first.NAME, author="kasia"), "opened only-a-branch"),
    "an author whom nobody knows": ("2.1", lambda home: record(home, first.NAME, author="root"), ""),
    "approved by oneself": (
        "2.1",
        lambda home: record(home, first.NAME, approvals=[{"by": "you", "at": "2026-11-17T09:00:00Z", "head": SHA}]),
        "reviewed not-approved",
    ),
    "approved when something else was there": (
        "2.1",
        lambda home: record(home, first.NAME, approvals=[{"by": "hania", "at": "2026-11-17T09:00:00Z", "head": SHA}]),
        "reviewed not-approved",
    ),
    "a description that was emptied": ("2.1", lambda home: record(home, first.NAME, description=""), "opened no-description"),
    "a record with a type that is wrong": ("2.1", lambda home: record(home, first.NAME, discussion=7), "opened only-a-branch"),
    "a record cut off": (
        "2.1",
        lambda home: (of(home, first.NAME) / "forge/merge_requests/1.json").write_text('{"number": 1, "ti'),
        "opened only-a-branch",
    ),
    "no forge": ("2.1", lambda home: shutil.rmtree(home / "forge"), "opened forge-broken"),
    "a forge that is a file": (
        "2.1",
        lambda home: (shutil.rmtree(home / "forge"), (home / "forge").write_text("here\n")),
        "opened forge-broken",
    ),
    "no forge.json": ("2.1", lambda home: (home / "forge/forge.json").unlink(), "opened forge-broken"),
    "no repository": ("2.1", lambda home: shutil.rmtree(of(home, first.NAME)), "opened repository-gone"),
    "a repository that is a link": ("2.1", a_link, "opened repository-gone"),
    "objects corrupted": ("2.1", corrupted, "opened repository-gone"),
    "the forge of another seed: 2.1": ("2.1", of_another_seed, "opened rewritten"),
    "the forge of another seed: 2.3": ("2.3", of_another_seed, "went_on rewritten"),
    "the forge of another seed: 2.6": ("2.6", of_another_seed, "stripped rewritten"),
    "the forge of another seed: 2.4": ("2.4", of_another_seed, "cleaned rewritten"),
    "main deleted": (
        "2.3",
        lambda home: sh(home, "git --git-dir forge/analytics/loaders.git update-ref -d refs/heads/main"),
        "went_on repository-gone",
    ),
    "a merge request into nowhere": (
        "2.3",
        lambda home: record(home, undo.NAME, target="nowhere", state="opened", merged=None),
        "went_on not-merged",
    ),
    "a merge request of nothing": (
        "2.3",
        lambda home: record(home, undo.NAME, source="nothing", head=SHA, state="opened", merged=None),
        "went_on not-merged",
    ),
    "somebody else's main": (
        "2.3",
        lambda home: sh(home, "git --git-dir forge/analytics/loaders.git fetch -q ~/forge/analytics/marts.git +main:main"),
        "went_on rewritten",
    ),
    "the journal of AWS is gone": ("2.4", lambda home: (home / ".cloud/journal.jsonl").unlink(), "rotated old-key-works"),
    "the journal of AWS is nonsense": (
        "2.4",
        lambda home: (home / ".cloud/journal.jsonl").write_text('{"operation": 7}\n[]\nnull\n{"time": 3}\n'),
        "rotated old-key-works",
    ),
}  # fmt: skip


@linux
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * name.startswith("the forge of")) for name in HOSTILE]
)
def test_a_forge_changed_by_hand_earns_nothing_for_it(name, done):
    task, change, missed = HOSTILE[name]
    change(done)
    found = {f"{id} {how}" for id, how in asks(done, task).items() if how not in ("met", "waiting")}
    assert found == ({missed} if missed else set())


@linux
def test_nothing_that_lies_in_the_forge_is_run(done, tmp_path):
    """Hooks, config and attributes of the handed-in repository: neither run nor obeyed."""
    ran, folder = tmp_path / "ran", of(done, first.NAME)
    with (folder / "config").open("a") as config:
        config.write(
            f'[core]\n\tfsmonitor = touch {ran}\n\tpager = touch {ran}\n[diff "x"]\n\ttextconv = touch {ran}\n'
        )
        config.write(f"[uploadpack]\n\tpackObjectsHook = touch {ran}\n[include]\n\tpath = {tmp_path}/more\n")
    (folder / "info/attributes").write_text("* diff=x\n")
    for hook in ("pre-receive", "post-receive", "update", "reference-transaction", "post-checkout"):
        (folder / "hooks" / hook).write_text(f"#!/bin/sh\ntouch {ran}\n")
        (folder / "hooks" / hook).chmod(0o755)
    (folder / "objects/info/alternates").write_text("/etc\n")
    assert set(asks(done, "2.1").values()) == {"met"}
    assert not ran.exists()


@pytest.mark.slow
@linux
def test_what_stands_around_in_a_clone_does_not_matter(done):
    """A detached HEAD, a merge half done, a corrupted index, a branch with the name of a file, a repository in another."""
    sh(
        done,
        """
        cd work/loaders
        git branch load.py; git branch reference; git push -q origin load.py reference
        git checkout -q --detach HEAD~2
        cd ../marts
        git switch -q -c here HEAD~1; echo one > README.md; git commit -qam one
        git switch -q -c there HEAD~1; echo two > README.md; git commit -qam two
        git merge -q here || true
        cd ../alerts
        git init -q inner; git -C inner commit -q --allow-empty -m "A repository in a repository"
        echo nothing > .git/index
        """,
    )
    for task in ("2.1", "2.3", "2.4", "2.6"):
        assert set(asks(done, task).values()) == {"met"}, task
    assert "!1 " in sh(done, "cd work/loaders; opslab mr list --all"), "a clone without a branch knows where it is from"
    assert "!1 " in sh(done, "cd work/marts; opslab mr list --all")
    assert "!1 " in sh(done, "cd work/alerts; opslab mr list --all")


@linux
def test_strange_things_on_main_are_looked_at_and_not_followed(done):
    """A nested repository, a link as .gitignore, a path out of the folder: each is in the tree, none is a fault."""
    sh(
        done,
        """
        cd work/churn
        git switch -q -c strange; git pull -q origin main
        git init -q inner; git -C inner commit -q --allow-empty -m one; git add inner 2> /dev/null
        rm .gitignore; ln -s /etc/passwd .gitignore
        mkdir deeper; ln -s ../../../.. deeper/.gitignore; git add --all .gitignore deeper; git commit -qm strange
        git push -q origin strange -o mr.create -o mr.title="Strange things for main" -o mr.description="To see what happens then."
        opslab mr merge 2
        """,
    )
    assert asks(done, "2.6") == {"stripped": "met", "no_data": "met", "ignores": "not-ignored"}


# ---- the desk, open ---------------------------------------------------------------------------------------------------


@pytest.fixture
def desk_02(course: Course, monkeypatch: pytest.MonkeyPatch) -> Iterator[Course]:  # noqa: F811
    """A course with module 02 open, its colleagues at work."""
    (course.root / "exercises" / STEM).mkdir()
    monkeypatch.setattr(lab, "START", course.root / "exercises" / STEM)
    opslab.open("02")
    yield course
    lab.stop(course.home(STEM))


def shell(script: str) -> str:
    """bash in the environment that `opslab.open` has made of this process's."""
    done = subprocess.run(["bash", "-ec", script], capture_output=True, text=True, timeout=60, check=False)
    assert not done.returncode, done.stderr
    return done.stdout


PUSH = """
git clone -q forge:analytics/marts work/marts
cd work/marts
git switch -q -c without-cancelled
sed -i "s/^from orders$/from orders\\nwhere status <> 'cancelled'/" marts/orders_daily.sql
git commit -q -am "Leave cancelled orders out of the daily mart"
git push -q -u origin without-cancelled -o merge_request.create \\
    -o merge_request.title="Leave cancelled orders out" -o merge_request.description="1902 before and 1584 after, for Marta."
""".replace("\\\\", "\\")


@pytest.mark.slow
def test_colleagues_review_while_the_desk_is_open(desk_02):
    home = desk_02.home(STEM)
    shell(PUSH)
    marts = Forge(home / "forge").repository("analytics/marts")
    assert until(lambda: marts.merge_request(1).record["discussion"], 60), "without being asked"
    page = opslab.merge_request(1, "analytics/marts")
    assert "CHANGELOG.md" in str(page) and "CHANGELOG.md" in page._repr_html_()
    assert "without-cancelled" in str(opslab.commits("work/marts"))
    assert opslab.commits("analytics/marts")._repr_html_()
    for call, arguments, told in (
        (opslab.merge_request, (9, "analytics/marts"), "!9"),
        (opslab.merge_request, (1, "analytics/nothing"), "analytics/nothing"),
        (opslab.merge_request, (1,), "analytics/marts"),
        (opslab.commits, ("work/nothing",), "work/nothing"),
        (opslab.commits, ("answers",), "answers"),
    ):
        assert told in desk_02.refused(call, *arguments)
    # Nothing has to be waited for: whoever asks for a check, has been looked at.
    shell("cd work/marts && echo '- no cancelled orders' >> CHANGELOG.md && git commit -qam 'Say so' && git push -q")
    assert [result["state"] for result in desk_02.check("2.1")["results"]] == ["met", "met", "missed"]
    shell("cd work/marts && opslab mr merge 1")
    before = files_of(home / "forge/analytics/marts.git/forge/merge_requests")
    assert lab.stop(home)
    assert files_of(home / "forge/analytics/marts.git/forge/merge_requests") == before
    opslab.open("02")
    assert desk_02.check("2.1")["done"], "a server that was stopped and started again knows everything"


@pytest.mark.slow
def test_a_reset_brings_the_repository_back_and_keeps_the_clone(desk_02):
    home = desk_02.home(STEM)
    shell(PUSH)
    shell("touch bin/mine")
    opslab.reset("2.1")
    assert desk_02.check("2.1")["score"] == 0
    assert not Forge(home / "forge").repository("analytics/marts").merge_requests()
    assert not (home / "work/marts").exists(), "a clone of what is not there any more would only confuse"
    (kept,) = (desk_02.state / "kept" / STEM).iterdir()
    assert (kept / "work/marts/.git").is_dir()
    assert (home / "bin/mine").exists()
    assert Forge(home / "forge").repository("analytics/finance").merge_requests()
    os.chdir(home)
    shell(PUSH)
    assert desk_02.check("2.1")["results"][0]["state"] == "met"
    opslab.reset("02")
    assert not (home / "work/marts").exists() and not (home / "bin/mine").exists()
    assert not Forge(home / "forge").repository("analytics/marts").merge_requests()
    os.chdir(home)
    shell(PUSH)
    marts = Forge(home / "forge").repository("analytics/marts")
    assert until(lambda: marts.merge_request(1).record["discussion"], 60), "the colleagues have not gone away"


# ---- trees that were made by hand -------------------------------------------------------------------------------------


def committed(repository: Repository, tree: str) -> str:
    """A commit of a tree, without a parent."""
    who = {f"GIT_{role}_{what}": "eve@targ.example" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return repository.git.text("commit-tree", tree, "-m", "by hand", env=who).strip()


def test_a_tree_that_names_another_place_is_written_nowhere(tmp_path):
    """Git's own commands make no such tree, and read it without a word."""
    repository, outside = built_forge(tmp_path, leak, 1), tmp_path / "outside"
    outside.mkdir()
    blob = repository.git.text("hash-object", "-w", "--stdin", give=b"config.env\n").strip()
    names = [f"{outside}/.gitignore", "../outside/.gitignore", "x" * 300 + "/.gitignore", ".gitignore"]
    entries = b"".join(b"100644 " + name.encode() + b"\0" + bytes.fromhex(blob) for name in names)
    tree = repository.git.text("hash-object", "-t", "tree", "--literally", "-w", "--stdin", give=entries).strip()
    commit = committed(repository, tree)
    repository.git.run("update-ref", "refs/heads/main", commit)
    module = checks.load("02")
    home = workspace.build(STEM, tmp_path / "home", 1)
    trial = checks.Trial(home, module, module.find("2.4"), seed=1, unseen=2)
    try:
        assert merge_requests._ignores(trial, repository, ["config.env", "other"]) == [True, False]
    finally:
        trial.close()
    assert not list(outside.iterdir())


def test_a_few_trees_that_stand_for_millions_are_not_listed_to_their_end(tmp_path):
    repository = built_forge(tmp_path, leak, 1)
    blob = repository.git.text("hash-object", "-w", "--stdin", give=b"").strip()
    entry, mode = bytes.fromhex(blob), b"100644"
    for _ in range(9):
        entries = b"".join(mode + b" %02d\0" % number + entry for number in range(10))
        tree = repository.git.text("hash-object", "-t", "tree", "-w", "--stdin", give=entries).strip()
        entry, mode = bytes.fromhex(tree), b"40000"
    commit = committed(repository, tree)
    repository.git.run("update-ref", "refs/heads/main", commit)
    with pytest.raises(checks.Miss) as missed:
        merge_requests._files_of_main(repository)
    assert missed.value.name == "too-many-files"
