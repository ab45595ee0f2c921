"""The bot beside a forge, with a stand-in for terraform that is quick; and what it does about projects, locks and plans.

What the real terraform does is in test_atlantis_loop.py. Here, what counts is what the bot decides.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from opslab.worlds.forge.atlantis import Atlantis
from opslab.worlds.forge.atlantis.policies import verdict
from opslab.worlds.forge.forge import Forge
from opslab.worlds.forge.merge_requests import MergeRequest
from opslab.worlds.terraform import Tools

pytestmark = pytest.mark.slow

APPROVED = "repos: [{id: /.*/, apply_requirements: [approved]}]"
CODE = 'terraform {\n  backend "s3" {}\n}\n'
TWO = """\
version: 3
projects:
- name: staging
  dir: staging
- name: production
  dir: production
"""
STAND_IN = r"""#!/bin/bash
# A terraform that only looks like one: it says what it was asked, and obeys lines beginning with "#!" in main.tf.
fail() { echo "Error: $1"; exit 1; }
if grep -q '^#! sleep' main.tf; then touch begun; sleep 60; fi
case "$1" in
init) echo "Terraform has been successfully initialized!" ;;
workspace) echo "Switched to workspace \"${@: -1}\"." ;;
plan)
  grep -q '^#! no plan' main.tf && fail "the plan fails"
  for word in "$@"; do case "$word" in -out=*) cat main.tf > "${word#-out=}" ;; esac; done
  echo "aws_s3_bucket.b: Refreshing state... [id=b]"
  echo
  grep -q '^#! many' main.tf && for number in $(seq 2000); do echo "  + line $number of a long plan, which does not end soon"; done
  if grep -q '^#! same' main.tf; then echo "No changes. Your infrastructure matches the configuration."
  else echo "  + resource \"aws_s3_bucket\" \"b\" {"; echo "Plan: 1 to add, 0 to change, 0 to destroy."; fi
  echo "extra: ${*:4}" ;;
apply)
  grep -q '^#! no apply' main.tf && fail "the apply fails"
  echo "applied with $AWS_SECRET_ACCESS_KEY from ${@: -1}: $(cat "${@: -1}" | head -c 100 | tr '\n' ' ')"
  echo "Apply complete! Resources: 1 added, 0 changed, 0 destroyed." ;;
show) echo '{"resource_changes": []}' ;;
*) fail "there is no $1" ;;
esac
"""


def stand_in(folder: Path) -> Tools:
    """The tools with the stand-in for terraform."""
    folder.mkdir(parents=True, exist_ok=True)
    binary = folder / "terraform"
    binary.write_text(STAND_IN)
    binary.chmod(0o755)
    return Tools(str(binary), "1.11.4", "registry.terraform.io", folder, "5.100.0")


@dataclass
class Desk:
    """A forge with one repository, and the bot."""

    forge: Forge
    bot: Atlantis
    told: list[str] = field(default_factory=list)

    @property
    def repository(self):
        return self.forge.repository()

    def opened(self, branch: str, files: Mapping[str, str | bytes | None], by: str = "you", **wanted) -> MergeRequest:
        """A merge request, to which everybody has reacted."""
        self.repository.commit(branch, files, f"Change {branch}", by=by)
        mr = self.repository.create_merge_request(branch, by=by, **wanted)
        self.react()
        return mr

    def pushed(self, mr: MergeRequest, files: Mapping[str, str | bytes | None]) -> None:
        self.repository.commit(mr.record["source"], files, "Change more", by="you")
        self.react()

    def said(self, mr: MergeRequest, text: str, by: str = "you") -> list[str]:
        """What the bot answers to a comment."""
        before = len(self.answers(mr))
        mr.comment(text, by=by)
        self.react()
        return self.answers(mr)[before:]

    def answer(self, mr: MergeRequest, text: str, by: str = "you") -> str:
        """The one answer to a comment."""
        (only,) = self.said(mr, text, by)
        return only

    def answers(self, mr: MergeRequest) -> list[str]:
        """All that the bot has said in a merge request."""
        return [one["text"] for one in mr.record["discussion"] if one["by"] == "atlantis" and one["kind"] == "comment"]

    def last(self, mr: MergeRequest) -> str:
        return self.answers(mr)[-1]

    def react(self) -> None:
        self.forge.react(bots=[self.bot])

    def status(self, mr: MergeRequest) -> dict[str, tuple[str, str]]:
        return {one["name"]: (one["state"], one["description"]) for one in mr.statuses()}


def make_desk(folder: Path, tools: Tools | None, files: Mapping[str, str] | None = None, **settings) -> Desk:
    forge = Forge(folder / "forge")
    forge.add_user("mira", "Mira Novak")
    forge.add_user("ola", "Ola Berg")
    start = {"staging/main.tf": CODE, "production/main.tf": CODE, "atlantis.yaml": TWO, **(files or {})}
    kind = {
        name: settings.pop(name) for name in ("approvals", "merge_method", "pipeline_must_succeed") if name in settings
    }
    forge.create("platform/infrastructure", files=start, **kind)
    told: list[str] = []
    settings = {
        "keys": ("AKIAFORTESTS", "the-secret-of-the-bot"),
        "endpoint": "http://127.0.0.1:9",
        "services": {},
        "server": APPROVED,
        "tell": told.append,
        **settings,
    }
    return Desk(forge, Atlantis(folder / "atlantis", tools, **settings), told)


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    return stand_in(tmp_path / "tools")


@pytest.fixture
def desk(tmp_path: Path, tools: Tools) -> Desk:
    return make_desk(tmp_path, tools)


def new(text: str = "# new\n") -> str:
    return CODE + text


# ---- the loop ----------------------------------------------------------------------------------------------------------


def test_a_push_is_planned_approved_applied_and_merged(desk: Desk) -> None:
    mr = desk.opened("bucket", {"staging/main.tf": new()})
    expected = """\
        Ran Plan for project: `staging` dir: `staging` workspace: `default`

        ```diff
        + resource "aws_s3_bucket" "b" {
        Plan: 1 to add, 0 to change, 0 to destroy.
        extra: -out=../../plan.tfplan
        ```

        * ▶️ To **apply** this plan, comment:
          ```shell
          atlantis apply -p staging
          ```
        * 🚮 To **delete** this plan and lock, comment:
          ```shell
          atlantis unlock
          ```
        * 🔁 To **plan** this project again, comment:
          ```shell
          atlantis plan -p staging
          ```

        ---
        * ⏩ To **apply** all unapplied plans from this Merge Request, comment:
          ```shell
          atlantis apply
          ```
        * 🚮 To **delete** all plans and locks from this Merge Request, comment:
          ```shell
          atlantis unlock
          ```"""
    assert desk.last(mr) == textwrap.dedent(expected)
    assert desk.status(mr)["atlantis/plan"] == ("success", "1/1 projects planned successfully.")
    assert desk.status(mr)["atlantis/apply"] == ("pending", "0/1 projects applied.")
    refused = desk.answer(mr, "atlantis apply")
    assert refused == (
        "Ran Apply for project: `staging` dir: `staging` workspace: `default`\n\n**Apply Failed**: Pull request must be "
        "approved according to the project's approval rules before running apply."
    )
    mr.approve("mira")
    done = desk.answer(mr, "atlantis apply")
    assert "Apply complete! Resources: 1 added" in done and "# new" in done
    assert desk.status(mr)["atlantis/apply"] == ("success", "1/1 projects applied successfully.")
    mr.merge("you")
    desk.react()
    assert desk.last(mr) == (
        "Locks and plans deleted for the projects and workspaces modified in this pull request:\n\n"
        "- dir: `staging` workspace: `default`"
    )
    assert not desk.bot.locks(desk.repository)


def test_the_page_shows_the_comment_folded(desk: Desk) -> None:
    mr = desk.opened("many", {"staging/main.tf": new("#! many\n")})
    page = mr._repr_html_()
    assert "<details><summary>Show Output</summary>" in page and '<span class="add">+ line 1 of a long plan' in page
    assert "<strong>apply</strong>" in page and "<pre>atlantis apply -p staging\n</pre>" in page


def test_it_is_seen_to_be_alive(desk: Desk) -> None:
    mr = desk.opened("bucket", {"staging/main.tf": new()})
    assert f"!{mr.number} staging: Terraform has been successfully initialized!" in desk.told
    mr.approve("mira")
    mr.comment("atlantis apply", by="you")
    item = mr.record["discussion"][-1]["id"]
    desk.react()
    assert next(one for one in mr.record["discussion"] if one["id"] == item)["reactions"] == {"👀": ["atlantis"]}


# ---- projects --------------------------------------------------------------------------------------------------------


def test_only_what_is_touched_is_planned(desk: Desk) -> None:
    mr = desk.opened("both", {"staging/main.tf": new(), "production/x.tf": "# x\n"})
    assert desk.last(mr).startswith("Ran Plan for 2 projects:")
    assert desk.last(mr).count("### Plan Summary\n\n2 projects, 2 with changes, 0 with no changes, 0 failed") == 1
    mr = desk.opened("readme", {"README.md": "# Read\n"})
    assert desk.answers(mr) == []
    assert desk.status(mr)["atlantis/apply"] == ("success", "0/0 projects applied successfully.")
    assert desk.answer(mr, "atlantis plan") == "Ran Plan for 0 projects:"
    assert desk.answer(mr, "atlantis apply") == "Ran Apply for 0 projects:"


def test_without_autoplan_and_with_patterns(tmp_path: Path, tools: Tools) -> None:
    config = """\
version: 3
projects:
- {name: staging, dir: staging, autoplan: {enabled: false}}
- {name: production, dir: production, autoplan: {when_modified: ["../modules/**/*.tf", "!../modules/old/*.tf"]}}
"""
    desk = make_desk(
        tmp_path, tools, {"atlantis.yaml": config, "modules/bucket/main.tf": "", "modules/old/main.tf": ""}
    )
    assert desk.answers(desk.opened("a", {"staging/main.tf": new(), "modules/old/main.tf": "# 1\n"})) == []
    mr = desk.opened("b", {"modules/bucket/main.tf": "# 1\n"})
    assert desk.last(mr).startswith("Ran Plan for project: `production` dir: `production`")
    assert "Ran Plan for project: `staging`" in desk.answer(mr, "atlantis plan -p staging")


def test_a_draft_is_planned_when_it_is_ready(desk: Desk) -> None:
    mr = desk.opened("draft", {"staging/main.tf": new()}, draft=True)
    assert desk.answers(mr) == []
    mr.edit(draft=False)
    desk.react()
    assert desk.last(mr).startswith("Ran Plan for project: `staging`")


def test_a_title_is_no_new_commit(desk: Desk) -> None:
    mr = desk.opened("bucket", {"staging/main.tf": new()})
    mr.edit(title="Something else")
    desk.react()
    assert len(desk.answers(mr)) == 1


def test_without_a_config_file_projects_are_found(tmp_path: Path, tools: Tools) -> None:
    desk = make_desk(tmp_path, tools)
    files = {"atlantis.yaml": None, "staging/main.tf": new(), "production/modules/x/main.tf": "# x\n"}
    mr = desk.opened("found", files)
    assert "1. dir: `production` workspace: `default`\n1. dir: `staging` workspace: `default`\n" in desk.last(mr)
    assert "cannot specify a project name unless an atlantis.yaml file exists" in desk.answer(
        mr, "atlantis plan -p staging"
    )


def test_a_config_that_cannot_be_used(desk: Desk) -> None:
    mr = desk.opened("loose", {"atlantis.yaml": TWO + "  apply_requirements: []\n", "staging/main.tf": new()})
    assert desk.last(mr) == (
        "**Plan Error**\n```\nrepo config not allowed to set 'apply_requirements' key: server-side config needs "
        "'allowed_overrides: [apply_requirements]'\n```"
    )
    assert desk.status(mr)["atlantis/plan"][0] == "failed"
    assert "not allowed to set" in desk.answer(mr, "atlantis apply -p staging")


def test_what_a_command_names(desk: Desk) -> None:
    mr = desk.opened("bucket", {"staging/main.tf": new()})
    assert desk.answer(mr, "atlantis plan -p stagging").endswith(
        "no project with name 'stagging' is defined in 'atlantis.yaml'\n```"
    )
    assert 'running commands in workspace "blue" is not allowed because this directory is only configured for the' in (
        desk.answer(mr, "atlantis plan -d staging -w blue")
    )
    assert "There is no folder nowhere in this commit." in desk.answer(mr, "atlantis plan -d nowhere")
    answer = desk.answer(mr, "atlantis plan -p production -- -target=aws_s3_bucket.b")
    assert "extra: -target=aws_s3_bucket.b -out=../../plan.tfplan" in answer
    assert "atlantis plan -p production -- -target=aws_s3_bucket.b\n" in answer
    assert "<details><summary>Log</summary>" in desk.answer(mr, "atlantis plan -d staging --verbose")
    assert desk.answer(mr, "atlantis apply -d modules") == (
        "Ran Apply for dir: `modules` workspace: `default`\n\n**Apply Error**\n```\n"
        'no plan found at path "modules" and workspace "default"–did you run plan?\n```'
    )


def test_workspaces(tmp_path: Path, tools: Tools) -> None:
    config = "version: 3\nprojects: [{dir: staging, workspace: blue}]\n"
    desk = make_desk(tmp_path, tools, {"atlantis.yaml": config})
    mr = desk.opened("blue", {"staging/main.tf": new()})
    assert "atlantis apply -d staging -w blue" in desk.last(mr)
    assert any('Switched to workspace "blue"' in line for line in desk.told)


# ---- locks and plans -------------------------------------------------------------------------------------------------


def test_two_merge_requests_on_one_project(desk: Desk) -> None:
    first = desk.opened("first", {"staging/main.tf": new("# 1\n")})
    second = desk.opened("second", {"staging/main.tf": new("# 2\n"), "production/main.tf": new()}, by="ola")
    locked = desk.last(second)
    assert (
        "**Plan Failed**: This project is currently locked by an unapplied plan from pull !1. To continue, delete the lock from "
        "!1 or apply that plan and merge the pull request.\n\nOnce the lock is released, comment `atlantis plan` here to re-plan."
    ) in locked
    assert "2 projects, 1 with changes, 0 with no changes, 1 failed" in locked
    held = desk.bot.locks(desk.repository)
    assert (held["staging//default"]["number"], held["staging//default"]["by"]) == (1, "you")
    assert held["production//default"]["number"] == 2 and held["staging//default"]["at"]
    assert desk.answer(first, "atlantis unlock") == (
        "All Atlantis locks for this PR have been unlocked and plans discarded"
    )
    assert desk.answer(first, "atlantis apply") == "Ran Apply for 0 projects:"
    assert "2 projects, 2 with changes" in desk.answer(second, "atlantis plan")
    second.close("ola")
    desk.react()
    assert desk.last(second).endswith("- dir: `production` workspace: `default`\n- dir: `staging` workspace: `default`")
    assert desk.bot.locks(desk.repository) == {}
    assert desk.answer(second, "atlantis plan") == "Atlantis commands can't be run on closed pull requests"


def test_one_lock_is_deleted(desk: Desk) -> None:
    mr = desk.opened("both", {"staging/main.tf": new(), "production/main.tf": new()})
    desk.bot.unlock(desk.repository, "staging")
    assert list(desk.bot.locks(desk.repository)) == ["production//default"]
    assert "The plan for dir: `staging` workspace: `default` was **discarded**" in desk.last(mr)
    mr.approve("mira")
    assert desk.answer(mr, "atlantis apply").startswith("Ran Apply for project: `production`")


def test_a_new_push_discards_plans_and_approvals(desk: Desk) -> None:
    mr = desk.opened("bucket", {"staging/main.tf": new("# 1\n"), "production/main.tf": new()})
    mr.approve("mira")
    desk.pushed(mr, {"staging/main.tf": new("# 2\n"), "production/main.tf": None})
    assert desk.last(mr).startswith("Ran Plan for 2 projects:")
    assert "**Apply Failed**: Pull request must be approved" in desk.answer(mr, "atlantis apply -p staging")
    mr.approve("mira")
    assert "# 2" in desk.answer(mr, "atlantis apply -p staging")


@pytest.mark.parametrize("text", ["atlantis apply", "atlantis apply -p staging"])
def test_a_push_that_nobody_has_seen_yet(desk: Desk, text: str) -> None:
    """The apply was commented before, and is seen after a push that the bot has not planned yet: the old plan is not applied."""
    mr = desk.opened("bucket", {"staging/main.tf": new("# 1\n")})
    mr.comment(text, by="you")
    desk.repository.commit("bucket", {"staging/main.tf": new("# 2\n")}, "More", by="you")
    mr.approve("mira")
    desk.react()
    (refused,) = [one for one in desk.answers(mr) if one.startswith("Ran Apply")]
    assert refused == "Ran Apply for 0 projects:" or "no plan found at path" in refused
    assert "# 2" in desk.answer(mr, text)


def test_only_what_was_planned_is_applied(desk: Desk) -> None:
    mr = desk.opened("bucket", {"staging/main.tf": new()})
    mr.approve("mira")
    room = desk.bot.store(desk.repository).room(mr.number, "staging//default")
    (room / "plan.tfplan").write_text("something else")
    assert "the plan file is not the one that was planned" in desk.answer(mr, "atlantis apply")


def test_a_plan_that_fails_keeps_no_lock(desk: Desk) -> None:
    mr = desk.opened("broken", {"staging/main.tf": new("#! no plan\n")})
    answer = desk.last(mr)
    assert answer.startswith(
        "Ran Plan for dir: `staging` workspace: `default`\n\n**Plan Error**\n```\nrunning 'terraform plan"
    )
    assert "exit status 1\n" in answer and "Error: the plan fails" in answer
    assert desk.bot.locks(desk.repository) == {}
    assert desk.status(mr)["atlantis/plan"] == ("failed", "1/1 projects failed to plan.")


def test_an_apply_that_fails(desk: Desk) -> None:
    mr = desk.opened("broken", {"staging/main.tf": new("#! no apply\n")})
    mr.approve("mira")
    assert "**Apply Error**" in desk.answer(mr, "atlantis apply")
    assert desk.status(mr)["atlantis/apply"] == ("failed", "1/1 projects failed to apply.")
    assert list(desk.bot.locks(desk.repository)) == ["staging//default"]


def test_nothing_to_change(desk: Desk) -> None:
    mr = desk.opened("same", {"staging/main.tf": new("#! same\n")})
    assert "No changes. Your infrastructure matches the configuration." in desk.last(mr)
    assert desk.status(mr)["atlantis/apply"] == ("success", "1/1 projects up to date.")


def test_a_long_plan_is_continued_in_the_next_comment(desk: Desk) -> None:
    mr = desk.opened("many", {"staging/main.tf": new("#! many\n")})
    pieces = desk.answers(mr)
    assert len(pieces) >= 2 and all(len(piece) < 64 * 1024 for piece in pieces)
    assert "Continued in next comment." in pieces[0] and pieces[1].startswith(
        "Continued from previous comment.\n<details>"
    )
    assert "line 1 of" in pieces[0] and "line 2000 of" in pieces[-1]
    for piece in pieces:
        assert piece.count("```") % 2 == 0 and piece.count("<details>") == piece.count("</details>")


# ---- what is required ------------------------------------------------------------------------------------------------


def test_mergeable_and_undiverged(tmp_path: Path, tools: Tools) -> None:
    desk = make_desk(
        tmp_path, tools, server="repos: [{id: platform/infrastructure, apply_requirements: [mergeable, undiverged]}]"
    )
    mr = desk.opened("bucket", {"staging/main.tf": new()})
    thread = mr.thread("Who owns it?", by="mira")
    mr.approve("mira")
    assert (
        "**Apply Failed**: Pull request must be mergeable before running apply (Threads are still to be resolved: "
        in desk.answer(mr, "atlantis apply")
    )
    mr.resolve(thread, by="mira")
    desk.repository.commit("main", {"README.md": "# Later\n"}, "Later", by="forge")
    assert desk.answer(mr, "atlantis apply").endswith(
        "**Apply Failed**: Default branch must be rebased onto pull request before running apply."
    )


def test_an_override_that_the_server_allows(tmp_path: Path, tools: Tools) -> None:
    desk = make_desk(
        tmp_path,
        tools,
        server="repos: [{id: /.*/, apply_requirements: [approved], allowed_overrides: [apply_requirements]}]",
    )
    mr = desk.opened("own", {"atlantis.yaml": TWO + "  apply_requirements: []\n", "production/main.tf": new()})
    assert "Apply complete!" in desk.answer(mr, "atlantis apply")


@pytest.mark.slow
def test_dependencies(tmp_path: Path, tools: Tools) -> None:
    config = """\
version: 3
projects:
- {name: production, dir: production, depends_on: [staging]}
- {name: staging, dir: staging}
"""
    desk = make_desk(tmp_path, tools, {"atlantis.yaml": config}, server="")
    mr = desk.opened("both", {"staging/main.tf": new(), "production/main.tf": new()})
    assert desk.answer(mr, "atlantis apply -p production").endswith(
        "**Apply Failed**: Can't apply your project unless you apply its dependencies: [staging]"
    )
    answer = desk.answer(mr, "atlantis apply")
    assert answer.index("project: `staging`") < answer.index("project: `production`")
    assert "2 projects, 2 successful, 0 failed, 0 errored" in answer


@pytest.mark.slow
def test_automerge(tmp_path: Path, tools: Tools) -> None:
    desk = make_desk(tmp_path, tools, automerge=True)
    files = {"staging/main.tf": new(), "production/main.tf": new("#! no plan\n")}
    mr = desk.opened("both", files)
    assert "This plan was not saved because one or more projects failed and automerge requires all plans pass." in (
        desk.last(mr)
    )
    mr.approve("mira")
    assert desk.answer(mr, "atlantis apply") == "Ran Apply for 0 projects:"
    desk.pushed(mr, {"production/main.tf": new()})
    mr.approve("mira")
    assert len(desk.said(mr, "atlantis apply -p staging")) == 1 and mr.record["state"] == "opened"
    thread = mr.thread("Wait", by="mira")
    _, merging, failed = desk.said(mr, "atlantis apply")
    assert merging == "Automatically merging because all plans have been successfully applied."
    assert failed.startswith("Automerging failed:\n```\nMerge request !1 cannot be merged yet:") and "Threads" in failed
    mr.resolve(thread, by="mira")
    mr = desk.opened("more", {"staging/main.tf": new("# more\n")})
    mr.approve("mira")
    assert "locked by an unapplied plan from pull !1" in desk.last(mr)


def test_automerge_can_be_left_out(tmp_path: Path, tools: Tools) -> None:
    desk = make_desk(tmp_path, tools, {"atlantis.yaml": TWO + "automerge: true\n"})
    mr = desk.opened("one", {"staging/main.tf": new()})
    mr.approve("mira")
    assert len(desk.said(mr, "atlantis apply --auto-merge-disabled")) == 1 and mr.record["state"] == "opened"


# ---- policies --------------------------------------------------------------------------------------------------------


def test_policies_block_the_apply_until_their_owner_approves(tmp_path: Path, tools: Tools) -> None:
    def untagged(plan: dict) -> list:
        assert plan == {"resource_changes": []}
        return [verdict("tags", ["aws_s3_bucket.b has no tag OnCall"]), verdict("names", [])]

    server = "repos: [{id: /.*/, policy_check: true}]"
    desk = make_desk(tmp_path, tools, server=server, policies=untagged, policy_owners=["mira"])
    mr = desk.opened("bucket", {"staging/main.tf": new()})
    plan, check = desk.answers(mr)
    assert plan.startswith("Ran Plan")
    assert check.startswith(
        "Ran Policy Check for project: `staging` dir: `staging` workspace: `default`\n\n"
        "**Policy Check Failed**: Some policy sets did not pass.\n#### Policy Set: `tags`\n```diff\n"
        "FAIL - plan.json - main - aws_s3_bucket.b has no tag OnCall\n\n"
        "1 test, 0 passed, 0 warnings, 1 failure, 0 exceptions\n```"
    )
    assert "policy set: tags: requires: 1 approval(s), have: 0.\npolicy set: names: passed.\n" in check
    assert desk.answer(mr, "atlantis apply").endswith(
        "**Apply Failed**: All policies must pass for project before running apply."
    )
    assert desk.status(mr)["atlantis/policy_check"][0] == "failed"
    assert "contact policy owners to approve failing policies (mira)" in desk.answer(mr, "atlantis approve_policies")
    assert "Ran Approve Policies for project: `staging`" in desk.answer(mr, "atlantis approve_policies", by="mira")
    assert "Apply complete!" in desk.answer(mr, "atlantis apply")


def test_a_policy_with_a_mistake_blocks_too(tmp_path: Path, tools: Tools) -> None:
    def broken(plan: dict) -> list:
        raise KeyError("no such thing")

    desk = make_desk(tmp_path, tools, server="repos: [{id: /.*/, policy_check: true}]", policies=broken)
    mr = desk.opened("bucket", {"staging/main.tf": new()})
    assert "**Policy Check Error**\n```\nThe policies could not be checked: 'no such thing'\n```" in desk.last(mr)
    assert "All policies must pass" in desk.answer(mr, "atlantis apply")


# ---- safety ----------------------------------------------------------------------------------------------------------


def test_what_the_code_must_not_ask_for_is_told_and_nothing_is_run(desk: Desk) -> None:
    bad = 'resource "null_resource" "x" {\n  provisioner "local-exec" {\n    command = "id"\n  }\n}\n'
    mr = desk.opened("bad", {"staging/main.tf": new(bad)})
    assert "Nothing was run, because of what the code asks for:" in desk.last(mr)
    assert '- staging/main.tf:4: resource "null_resource" needs a provider that is not there' in desk.last(mr)
    assert '- staging/main.tf:5: provisioner "local-exec" starts a program' in desk.last(mr)
    assert desk.told == [] and desk.bot.locks(desk.repository) == {}


def test_a_link_out_of_the_repository(desk: Desk) -> None:
    desk.repository.git.run(
        "fast-import",
        give=b"commit refs/heads/link\ncommitter You <you@targ.example> 1763280000 +0000\ndata 4\nLink\n"
        b"from refs/heads/main\nM 120000 inline staging/secrets.tf\ndata 11\n/etc/passwd\n",
    )
    mr = desk.repository.create_merge_request("link", by="you")
    desk.react()
    assert "- staging/secrets.tf is a link to '/etc/passwd', which is outside of the repository." in desk.last(mr)
    assert desk.told == []


def test_the_secret_of_the_bot_is_masked(desk: Desk) -> None:
    mr = desk.opened("bucket", {"staging/main.tf": new()})
    mr.approve("mira")
    answer = desk.answer(mr, "atlantis apply")
    assert "applied with *** from" in answer and "the-secret-of-the-bot" not in "".join([answer, *desk.told])


def test_without_terraform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opslab.worlds.terraform.tools.missing", lambda: "There is no terraform on this machine.")
    desk = make_desk(tmp_path, None)
    mr = desk.opened("bucket", {"staging/main.tf": new()})
    assert "There is no terraform on this machine." in desk.last(mr)


def test_talk_is_not_answered(desk: Desk) -> None:
    mr = desk.opened("readme", {"README.md": "# Read\n"})
    assert desk.said(mr, "Shall I say atlantis apply?") == []
    assert desk.said(mr, "atlantis plan\nand then some") == []
    assert desk.answer(mr, "terraform apply") == "Did you mean to use `atlantis` instead of `terraform`?"
    assert desk.answer(mr, "atlantis").startswith("```cmake\natlantis\nTerraform Pull Request Automation")


def test_a_bot_that_was_killed_reports_it_and_does_not_do_it_again(tmp_path: Path, desk: Desk) -> None:
    mr = desk.opened("bucket", {"staging/main.tf": new()})
    mr.approve("mira")
    desk.react()
    mr.comment("atlantis apply", by="you")
    item = mr.record["discussion"][-1]["id"]
    store = desk.bot.store(desk.repository)
    store.run(
        number=1, item=item, key="staging//default", title="project: `staging`", by="you", text="atlantis apply",
        head=mr.record["head"], plan="atlantis plan -p staging",
    )  # fmt: skip
    desk.react()
    report = desk.last(mr)
    assert "Atlantis itself was stopped in the middle of this apply." in report
    assert "Who:     you, with the comment: atlantis apply\n" in report and "terraform force-unlock ID" in report
    assert store.running() is None and not any("Apply complete" in text for text in desk.answers(mr))
    assert desk.bot.locks(desk.repository)["staging//default"]["by"] == "you"
    assert desk.status(mr)["atlantis/apply"][0] == "failed"


def another(desk: Desk, tools: Tools) -> Atlantis:
    """The bot of a new process, with what the old one remembered."""
    return Atlantis(
        desk.bot.folder, tools, keys=desk.bot.keys, endpoint=desk.bot.endpoint, services={}, server=APPROVED
    )


class Killed(BaseException):
    """Nobody catches it: what it leaves behind is what a process leaves that is killed."""


def dies_at(word: str):
    def tell(line: str) -> None:
        if f": terraform {word}" in line:
            raise Killed

    return tell


def test_killed_while_it_plans_it_plans_again(desk: Desk, tools: Tools) -> None:
    desk.bot._tell = dies_at("plan")
    with pytest.raises(Killed):
        desk.opened("bucket", {"staging/main.tf": new()})
    desk.bot = another(desk, tools)
    desk.react()
    mr = desk.repository.merge_request(1)
    assert len(desk.answers(mr)) == 1 and desk.last(mr).startswith("Ran Plan for project: `staging`")


@pytest.mark.slow
def test_killed_while_it_applies_it_reports_and_waits(desk: Desk, tools: Tools) -> None:
    mr = desk.opened("bucket", {"staging/main.tf": new()})
    mr.approve("mira")
    desk.react()
    desk.bot._tell = dies_at("apply")
    mr.comment("atlantis apply", by="you")
    with pytest.raises(Killed):
        desk.react()
    desk.bot = another(desk, tools)
    desk.react()
    assert "stopped in the middle of this apply" in desk.last(mr) and "staging//default: apply failed" in desk.last(mr)
    assert not any("Apply complete" in text for text in desk.answers(mr))
    desk.said(mr, "atlantis plan")
    assert "Apply complete" in desk.answer(mr, "atlantis apply")


def test_an_organisation_that_does_not_answer(tmp_path: Path, tools: Tools) -> None:
    desk = make_desk(tmp_path, tools, services={4566: tmp_path / "nobody"})
    mr = desk.opened("bucket", {"staging/main.tf": new()})
    assert "Terraform could not be started: the service for port 4566 does not answer at its socket" in desk.last(mr)
    assert desk.bot.locks(desk.repository) == {}
