"""What somebody hands in is taken over as objects, references and JSON: nothing of it runs, and nothing leads elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zlib
from pathlib import Path

import pytest
from test_forge_desk import Desk, errors, make_desk

from opslab.worlds.forge import schema, untrusted
from opslab.worlds.forge.commit_graph import commit_graph
from opslab.worlds.forge.git import Git, GitError, git_folder
from opslab.worlds.forge.repository import make
from opslab.worlds.forge.untrusted import read, take_forge, take_repository


@pytest.fixture(scope="module")
def handed_in(tmp_path_factory) -> Path:
    """A home with a forge and a clone in it, with one merge request merged and one open. Not to be changed: copy it."""
    desk = make_desk(tmp_path_factory.mktemp("desk"), reviewers={"mira": ["title"]})
    one = desk.opened()
    one.thread("Why?", "ola")
    one.resolve(1)
    one.approve("mira")
    one.merge()
    desk.opened("second", users="select 1\n")
    desk.sh("git tag -a v1 -m one && git stash list && git repack -qad && git commit -q --allow-empty -m 'A loose one'")
    return desk.home


@pytest.fixture
def home(handed_in, tmp_path) -> Path:
    shutil.copytree(handed_in, tmp_path / "home", symlinks=True)
    return tmp_path / "home"


def bare(home: Path) -> Path:
    return home / "forge" / "data" / "marts.git"


def refs(folder: Path) -> dict[str, str]:
    lines = Git(git_folder(folder)).text("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    return dict(line.split() for line in lines)


def test_a_clone_and_a_bare_repository_arrive_whole(home, tmp_path):
    for number, source in enumerate((home / "marts", bare(home))):
        taken = take_repository(source, tmp_path / f"{number}.git")
        wanted = {ref: sha for ref, sha in refs(source).items() if ref != "refs/remotes/origin/HEAD"}
        assert taken.remarks == [] and refs(taken.folder) == taken.refs == wanted
        assert taken.head == ("refs/heads/second" if source.name == "marts" else "refs/heads/main")
        Git(taken.folder).run("fsck", "--strict")
    assert "A loose one" in str(commit_graph(tmp_path / "0.git"))


def test_a_whole_forge_arrives_and_works(home, tmp_path):
    forge, remarks = take_forge(home / "forge", tmp_path / "taken")
    assert remarks == []
    before = [json.loads((bare(home) / "forge" / "merge_requests" / f"{n}.json").read_text()) for n in (1, 2)]
    for number, old in enumerate(before, 1):
        new = forge.merge_request(number).record
        assert {key: new[key] for key in old if key not in ("discussion",)} == {
            k: v for k, v in old.items() if k != "discussion"
        }
        assert [item["text"] for item in new["discussion"]] == [item["text"] for item in old["discussion"]]
    assert forge.react() > 0, "what was waiting there is waiting here"
    two = forge.merge_request(2)
    assert two.blockers() == []
    two.merge()


def plant(home: Path, ran: Path) -> None:
    """Everything in a repository that makes git start something, or look somewhere else."""
    signer = ran.with_name("ran.sh")
    signer.write_text(f"#!/bin/sh\ntouch {ran}\n")
    signer.chmod(0o755)
    for folder in (bare(home), home / "marts" / ".git"):
        (folder / "hooks").mkdir(exist_ok=True)
        for hook in (
            "post-checkout",
            "reference-transaction",
            "post-receive",
            "pre-receive",
            "update",
            "fsmonitor-watchman",
        ):
            (folder / "hooks" / hook).write_text(f"#!/bin/sh\ntouch {ran}\n")
            (folder / "hooks" / hook).chmod(0o755)
        with (folder / "config").open("a") as config:
            config.write(
                f"[core]\n\tfsmonitor = touch {ran}\n\tsshCommand = touch {ran}\n\tpager = touch {ran}\n\thooksPath = {folder}/hooks\n"
                f"\talternateRefsCommand = touch {ran}; echo\n\tgitProxy = touch {ran}\n\tworktree = /\n"
                f'[diff]\n\texternal = touch {ran}\n[diff "x"]\n\ttextconv = touch {ran}\n\tcommand = touch {ran}\n'
                f'[filter "x"]\n\tsmudge = touch {ran}\n\tclean = touch {ran}\n\tprocess = touch {ran}\n\trequired = true\n'
                f'[merge "x"]\n\tdriver = touch {ran}\n[gpg]\n\tprogram = {ran}.sh\n[gpg "x509"]\n\tprogram = {ran}.sh\n[log]\n\tshowSignature = true\n'
                f'[remote "origin"]\n\tuploadpack = touch {ran};\n\tpromisor = true\n\tpartialclonefilter = blob:none\n'
                f"[uploadpack]\n\tpackObjectsHook = touch {ran}\n[extensions]\n\tpartialClone = origin\n[include]\n\tpath = /etc/passwd\n"
            )
        (folder / "info").mkdir(exist_ok=True)
        (folder / "info" / "attributes").write_text("* filter=x diff=x merge=x\n")
        (folder / "objects" / "info").mkdir(exist_ok=True)
        (folder / "objects" / "info" / "alternates").write_text("/var/secret/objects\n")


def test_nothing_that_lies_in_it_runs_or_is_taken_along(home, tmp_path):
    ran = tmp_path / "ran"
    plant(home, ran)
    forge, remarks = take_forge(home / "forge", tmp_path / "taken")
    taken = take_repository(home / "marts", tmp_path / "clone.git")
    assert any("alternates" in remark for remark in remarks)
    mr = forge.merge_request(2)
    assert mr.changes() and mr.patches() and mr.diff() and mr._repr_html_()
    forge.react()
    mr.merge()
    commit_graph(taken.folder)
    assert not ran.exists()
    for folder in (taken.folder, forge.repository().folder):
        assert "fsmonitor" not in (folder / "config").read_text() and not (folder / "info" / "attributes").exists()


def test_a_graph_of_a_repository_that_is_not_taken_over_runs_nothing_either(home, tmp_path):
    ran = tmp_path / "ran"
    plant(home, ran)
    with pytest.raises(ValueError, match="git cannot read the repository .*bad config"):
        commit_graph(home / "marts")
    config = home / "marts" / ".git" / "config"
    config.write_text(config.read_text().replace("path = /etc/passwd", ""))
    assert "A loose one" in str(commit_graph(home / "marts"))
    # A signed commit, which git would have checked by the program that the config names for that.
    git = Git(home / "marts" / ".git")
    head = git.run("cat-file", "commit", "HEAD")
    signature = b"\ngpgsig -----BEGIN SIGNED MESSAGE-----\n x\n -----END SIGNED MESSAGE-----\n\n"
    signed = git.text("hash-object", "-t", "commit", "-w", "--stdin", give=head.replace(b"\n\n", signature, 1)).strip()
    git.run("update-ref", "refs/heads/signed", signed)
    assert "[signed]" in str(commit_graph(home / "marts"))
    assert not ran.exists()
    # git would fetch a missing object from a remote that has promised it, with the program that the config names for that.
    head = Git(home / "marts" / ".git").resolve("refs/heads/second")
    (home / "marts" / ".git" / "objects" / head[:2] / head[2:]).unlink()
    with pytest.raises(ValueError, match="transport 'ssh' not allowed"):
        commit_graph(home / "marts")
    assert not ran.exists()


def test_links_are_not_followed(home, tmp_path):
    secret = tmp_path / "secret"
    git = home / "marts" / ".git"
    secret.write_text(f"{Git(git).resolve('HEAD')}\n")
    (git / "refs" / "heads" / "link").symlink_to(secret)
    (git / "refs" / "heads" / "folder").symlink_to(tmp_path)
    os.mkfifo(git / "refs" / "heads" / "pipe")
    (git / "packed-refs").unlink()
    (git / "packed-refs").symlink_to(secret)
    taken = take_repository(home / "marts", tmp_path / "a.git")
    assert "refs/heads/link" not in taken.refs and not any("folder" in ref or "pipe" in ref for ref in taken.refs)
    shutil.move(git / "objects", tmp_path / "objects")
    (git / "objects").symlink_to(tmp_path / "objects")
    assert "no git repository" in errors(take_repository, home / "marts", tmp_path / "b.git")
    (git / "objects").unlink()
    shutil.move(tmp_path / "objects", git / "objects")
    shutil.move(git, tmp_path / "real")
    git.symlink_to(tmp_path / "real")
    assert "no git repository" in errors(take_repository, home / "marts", tmp_path / "c.git")
    git.unlink()
    git.write_text(f"gitdir: {tmp_path / 'real'}\n")
    assert "no git repository" in errors(take_repository, home / "marts", tmp_path / "d.git")
    assert read(secret, 10) is None and read(secret, 100) and read(git, 1000)


def test_an_object_that_unpacks_to_too_much_is_left_out(home, tmp_path, monkeypatch):
    head = Git(home / "marts" / ".git").resolve("refs/heads/second")
    data = (home / "marts" / ".git" / "objects" / head[:2] / head[2:]).read_bytes()
    assert untrusted._is_object(data, head)
    monkeypatch.setattr(untrusted, "OBJECT_BYTES", 100)
    assert not untrusted._is_object(data, head)
    taken = take_repository(home / "marts", tmp_path / "x.git")
    assert "refs/heads/second" not in taken.refs and len(taken.remarks) >= 2


ODD = [
    "refs/heads/..",
    "refs/heads/a..b",
    "refs/heads/-x",
    "refs/heads/.x",
    "refs/heads/x.lock",
    "refs/heads/a b",
    "--help",
]
ODD += ["refs/heads/a~1", "refs/heads/x\x1b[31m", f"refs/replace/{'1' * 40}", "HEAD", "../../etc/x", "refs/heads/a@{1}"]
ODD += ["refs/heads/x.lock/y", "refs/heads/a:b", "refs/heads/\u202ex", "refs/", ""]


def test_references_with_odd_names_are_left_out_and_named(home, tmp_path):
    git = home / "marts" / ".git"
    sha = Git(git).resolve("HEAD")
    with (git / "packed-refs").open("a") as packed:
        packed.writelines(f"{sha} {name}\n" for name in ODD)
    taken = take_repository(home / "marts", tmp_path / "x.git")
    left_out = set(ODD) - {"refs/heads/\u202ex"}  # right to left, but a name as good as any other
    assert not left_out & set(taken.refs) and "refs/heads/second" in taken.refs
    assert len(taken.remarks) == len(left_out) and all(
        "no name for a reference: left out" in one for one in taken.remarks
    )
    assert not any("\x1b" in remark for remark in taken.remarks)


def test_damaged_objects_are_left_out_with_what_hangs_on_them(home, tmp_path):
    git = home / "marts" / ".git"
    sha = Git(git).resolve("refs/heads/second")
    loose = git / "objects" / sha[:2] / sha[2:]
    content = loose.read_bytes()
    loose.chmod(0o644)
    for damage in (
        content[:-3],
        zlib.compress(b"commit 5\0hello"),
        b"nonsense",
        zlib.compress(b"\0" * 300_000_000, 9),
        b"",
    ):
        loose.write_bytes(damage)
        target = tmp_path / f"{len(damage)}.git"
        taken = take_repository(home / "marts", target)
        assert "refs/heads/second" not in taken.refs and "refs/remotes/origin/main" in taken.refs
        assert any("damaged" in remark for remark in taken.remarks)
    loose.write_bytes(content)
    pack = next((git / "objects" / "pack").glob("*.pack"))
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 0xFF
    pack.chmod(0o644)
    pack.write_bytes(data)
    taken = take_repository(home / "marts", tmp_path / "pack.git")
    assert any("pack" in remark and "damaged" in remark for remark in taken.remarks)


def test_a_history_with_a_hole_is_left_out(home, tmp_path):
    git = home / "marts" / ".git"
    subprocess.run(["git", "-C", str(home / "marts"), "checkout", "-q", "-b", "hole"], check=True)
    for number in range(2):
        (home / "marts" / "x.txt").write_text(f"{number}")
        identity = ["-c", "user.name=x", "-c", "user.email=x@targ.example"]
        subprocess.run(
            ["git", "-C", str(home / "marts"), *identity, "commit", "-qam", "x", "--allow-empty"], check=True
        )
    gone = Git(git).text("rev-parse", "refs/heads/hole~1").strip()
    (git / "objects" / gone[:2] / gone[2:]).unlink()
    taken = take_repository(home / "marts", tmp_path / "x.git")
    assert "refs/heads/hole is incomplete: commits or files that belong to it are missing" in taken.remarks
    assert "refs/heads/second" in taken.refs


def edit(home: Path, name: str, change) -> None:
    path = bare(home) / "forge" / name
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def test_state_of_a_wrong_shape_is_left_out_and_named(home, tmp_path):
    for number, damage in enumerate(
        (
            lambda record: record.update(number=7),
            lambda record: record.update(title=5),
            lambda record: record.update(head="../../x"),
            lambda record: record.update(source="a b"),
            lambda record: record["discussion"].append({"kind": "thread"}),
            lambda record: record.pop("approvals"),
            lambda record: record.update(draft=1),
        )
    ):
        shutil.copytree(home, tmp_path / f"h{number}", symlinks=True)
        edit(tmp_path / f"h{number}", "merge_requests/2.json", damage)
        forge, remarks = take_forge(tmp_path / f"h{number}" / "forge", tmp_path / f"t{number}")
        assert [mr.number for mr in forge.repository().merge_requests()] == [1]
        assert len(remarks) == 1 and "merge request !2 is damaged and left out" in remarks[0], number


def test_state_that_the_commits_do_not_bear_out_is_put_right(home, tmp_path):
    def lie(record):
        record["approvals"] = [
            {"by": name, "at": record["created"], "head": record["head"]} for name in ("you", "mira", "nobody")
        ]
        record["state"], record["merged"] = "merged", {**one["merged"], "sha": record["head"]}
        record["secret"] = "x"

    one = json.loads((bare(home) / "forge" / "merge_requests" / "1.json").read_text())
    edit(home, "merge_requests/2.json", lie)
    forge, remarks = take_forge(home / "forge", tmp_path / "taken")
    record = forge.merge_request(2).record
    assert [approval["by"] for approval in record["approvals"]] == ["mira"]
    assert record["state"] == "closed" and record["merged"] is None and "secret" not in record
    assert len(remarks) == 2 and "says that it is merged, but main does not have its commit" in remarks[1]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"path": "../../x"}', "[" * 100_000, '{"a": NaN}'])
def test_damaged_settings_are_one_sentence(home, tmp_path, text):
    (bare(home) / "forge" / "project.json").write_text(text)
    forge, remarks = take_forge(home / "forge", tmp_path / "taken")
    assert forge.paths() == [] and len(remarks) == 1 and "data/marts: its project.json is damaged" in remarks[0]
    (home / "forge" / "forge.json").write_text(text)
    assert "forge is no forge" in errors(take_forge, home / "forge", tmp_path / "none")


def test_a_project_that_calls_itself_something_else_is_left_out(home, tmp_path):
    edit(home, "project.json", lambda project: project.update(path="../../etc"))
    assert take_forge(home / "forge", tmp_path / "a")[0].paths() == []
    edit(home, "project.json", lambda project: project.update(path="other/name"))
    assert take_forge(home / "forge", tmp_path / "b")[0].paths() == []


def test_what_is_no_repository_is_one_sentence(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for name in ("empty", "file", "nothing"):
        assert "no git repository" in errors(take_repository, tmp_path / name, tmp_path / "x.git")
        assert not (tmp_path / "x.git").exists()


def test_an_empty_repository_arrives_empty(tmp_path):
    desk: Desk = make_desk(tmp_path)
    desk.sh("git init -q ../fresh")
    taken = take_repository(desk.home / "fresh", tmp_path / "x.git")
    assert (taken.refs, taken.remarks, taken.head) == ({}, [], "refs/heads/main")


def test_shapes():
    assert schema.shaped(None, schema.Maybe(int, 3)) == 3
    for value, shape in (
        (True, int),
        (1, bool),
        ("x", int),
        ({}, [int]),
        ([], {}),
        ("ab", schema.Text(1)),
        ({1: 2}, schema.Map(schema.NAME, int)),
    ):
        with pytest.raises(ValueError, match="has to be"):
            schema.shaped(value, shape)


# ---- git, where somebody else decides how much it prints ---------------------------------------------------------------


def test_git_is_read_up_to_a_limit_however_much_it_complains(tmp_path):
    make(tmp_path / "it.git", "main")
    git = Git(tmp_path / "it.git")
    noise = ("-c", "alias.noise=!head -c 300000 /dev/zero >&2; echo said", "noise")
    assert git.run(*noise, limit=1000) == b"said\n"
    assert git.run(*noise, limit=3) == b"sai"
    with pytest.raises(GitError, match="still running after 0.5 seconds"):
        git.run("-c", "alias.wait=!exec sleep 600", "wait", limit=10, seconds=0.5)
