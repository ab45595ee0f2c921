"""A forge with a learner beside it, for all tests of the forge; and what holds for the forge as a folder."""

from __future__ import annotations

import doctest
import importlib
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from opslab.worlds import workspace
from opslab.worlds.forge import state
from opslab.worlds.forge.forge import Forge
from opslab.worlds.forge.merge_requests import MergeRequest
from opslab.worlds.forge.repository import Repository
from opslab.worlds.forge.state import ForgeError

FILES = {"README.md": "# Marts\n", "orders.sql": "select id, amount\nfrom raw.orders\n"}


@dataclass
class Desk:
    """A learner's home with a clone in ~/marts, and the forge that it comes from."""

    forge: Forge
    repository: Repository
    home: Path

    @property
    def clone(self) -> Path:
        return self.home / "marts"

    def sh(self, script: str, code: int = 0, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
        """Run bash as the learner, in the clone; return all that it says. It has to end with `code`."""
        done = subprocess.run(
            ["bash", "-ec", script],
            cwd=cwd or self.clone,
            env=workspace.environment(self.home, env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout
        return "\n".join(line.rstrip() for line in done.stdout.splitlines())

    def mr(self, *arguments: str, code: int = 0) -> str:
        """`opslab mr …` as the learner."""
        quoted = " ".join("'" + argument.replace("'", "'\\''") + "'" for argument in arguments)
        return self.sh(f"'{sys.executable}' -m opslab.worlds.forge.cli {quoted}", code)

    def change(self, branch: str = "country", **files: str) -> None:
        """Commit on a new branch of the clone. files: name without its ending .sql, and content."""
        self.sh(f"git switch -qc {branch} origin/main")
        for name, text in (files or {"orders": "select id, amount, country\nfrom raw.orders\n"}).items():
            (self.clone / f"{name}.sql").write_text(text)
        self.sh("git add . && git commit -qm 'Add the country to the orders mart'")

    def opened(self, branch: str = "country", **files: str) -> MergeRequest:
        """The merge request of such a branch, opened by a push."""
        self.change(branch, **files)
        self.sh(f"git push -q -o merge_request.create origin {branch}")
        return self.repository.merge_requests()[-1]


def make_desk(folder: Path, **settings) -> Desk:
    forge = Forge(folder / "home" / "forge")
    for name, full_name in (("mira", "Mira Novak"), ("ola", "Ola Berg")):
        forge.add_user(name, full_name)
    files = settings.pop("files", FILES)
    repository = forge.create("data/marts", files=files, at="2026-11-16T08:00:00Z", **settings)
    home = folder / "home"
    (home / ".gitconfig").write_text(workspace.GITCONFIG + forge.gitconfig())
    desk = Desk(forge, repository, home)
    desk.sh("git clone -q forge:data/marts", cwd=home)
    return desk


def errors(call, *arguments, **named) -> str:
    with pytest.raises(ForgeError) as caught:
        call(*arguments, **named)
    return str(caught.value)


def test_a_forge_is_a_folder_and_survives_a_restart(tmp_path):
    desk = make_desk(tmp_path)
    number = desk.opened().number
    again = Forge(desk.forge.folder)
    assert again.paths() == ["data/marts"]
    assert again.merge_request(number).record == desk.repository.merge_request(number).record


def test_names_are_checked(tmp_path):
    forge = Forge(tmp_path / "forge")
    for path in ("../x/y", "x", "x/y.git", "x/../y", "X/y", "x//y", "/x/y", "x/.y"):
        assert "name" in errors(forge.create, path) or "called" in errors(forge.create, path)
    assert forge.paths() == []
    forge.create("data/marts")
    assert "already" in errors(forge.create, "data/marts")
    assert "there are: data/marts" in errors(forge.repository, "data/market")
    assert "no user bo" in errors(forge.repository().create_merge_request, "x", by="bo")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    assert "not empty" in errors(Forge, tmp_path / "full")


def test_the_forge_puts_its_hooks_and_config_back(tmp_path):
    """What lies in the repository belongs to the learner: nothing of it may decide what git does on the forge's side."""
    desk = make_desk(tmp_path)
    folder, ran = desk.repository.folder, tmp_path / "ran"
    with (folder / "config").open("a") as config:
        config.write(f'[core]\n\tfsmonitor = touch {ran}\n[merge "evil"]\n\tdriver = touch {ran}; false\n')
        config.write(f'[diff "evil"]\n\ttextconv = touch {ran}; cat\n\tcommand = touch {ran}\n')
    (folder / "info" / "attributes").write_text("* merge=evil diff=evil\n")
    for hook in ("reference-transaction", "post-receive"):
        (folder / "hooks" / hook).write_text(f"#!/bin/sh\ntouch {ran}\n")
        (folder / "hooks" / hook).chmod(0o755)
    repository = Forge(desk.forge.folder).repository()
    assert "evil" not in (folder / "config").read_text()
    assert not (folder / "info" / "attributes").exists()
    files = {"orders.sql": "select 1\n", ".gitattributes": "* merge=evil diff=evil filter=evil\n"}
    repository.commit("one", files, "One", by="mira")
    repository.commit("main", {"orders.sql": "select 2\n"}, "Two", by="ola")
    mr = repository.create_merge_request("one", by="mira")
    assert mr.conflicts() == ["orders.sql"]
    assert mr.changes() and mr.diff() and mr.patches()
    (folder / "hooks" / "reference-transaction").exists()
    repository.commit("main", {"x.sql": "select 3\n"}, "Three", by="ola")
    assert not ran.exists()
    desk.change("two")
    assert "merge_requests/new" in desk.sh("git push origin two")


def test_a_damaged_file_is_told_in_one_sentence(tmp_path):
    desk = make_desk(tmp_path)
    mr = desk.opened()
    (desk.repository.store.folder / "merge_requests" / "1.json").write_text('{"number": 1, "ti')
    assert "cannot be read" in errors(lambda: mr.record)
    assert "Error: " in desk.mr("show", "1", code=1)
    assert "Traceback" not in desk.sh("git commit -q --allow-empty -m 'More of it' && git push origin country")


def test_the_lock_is_free_when_its_holder_dies_and_busy_while_it_lives(tmp_path):
    lock = tmp_path / "lock"
    script = f"""
import sys, time
from pathlib import Path
from opslab.worlds.forge import state
with state.flock(Path({str(lock)!r})):
    print("held", flush=True)
    time.sleep(60)
"""
    holder = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    started = time.monotonic()
    with state.flock(lock, patience=0.1) as held:
        assert not held
    assert time.monotonic() - started < 30  # by far less than its holder lives
    holder.kill()
    holder.communicate()
    with state.flock(lock, patience=5) as held:
        assert held


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    state.write_json(tmp_path / "x.json", {"a": 1})
    with pytest.raises(TypeError):
        state.write_json(tmp_path / "x.json", {"a": object()})
    assert state.read_json(tmp_path / "x.json") == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


@pytest.mark.parametrize("name", ["owners", "schema", "markdown", "receive", "pipeline_file", "pipeline"])
def test_the_examples_in_the_docstrings_are_true(name):
    module = importlib.import_module(f"opslab.worlds.forge.{name}")
    found = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL)
    assert found.failed == 0 and found.attempted > 0


def test_with_the_clock_stopped_everything_is_the_same_each_time(tmp_path, monkeypatch):
    monkeypatch.setenv(state.CLOCK, "2026-11-20T09:30:00Z")
    pages = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        desk = make_desk(tmp_path / folder, reviewers={"mira": ["title"]})
        desk.repository.commit("x", {"x.sql": "select 1\n"}, "Add the x mart", by="ola")
        mr = desk.repository.create_merge_request("x", by="ola")
        desk.repository.react()
        mr.merge()
        pages.append(mr._repr_html_())
    assert pages[0] == pages[1] and "2026-11-20 09:30" in pages[0]
