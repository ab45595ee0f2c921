"""Task 4.4: the depot, its owners, and policies: what the check asks is what OWNERS.md and the plans say."""

from __future__ import annotations

import fnmatch
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import replay

from opslab import checks, jail
from opslab.checks.terraform_gitops import tags as check
from opslab.scenarios.terraform_gitops import common, record_plans, tags
from opslab.worlds import workspace
from opslab.worlds.forge.atlantis import policies

POLICY = workspace.BIN / "policy"
HEAD = "package main\n\nimport rego.v1\n\n"


# ---- the depot ---------------------------------------------------------------------------------------------------------


def recorded() -> list[dict]:
    return [json.loads(line) for line in (common.HERE / "recorded" / "estate.jsonl").read_text().splitlines()]


def state() -> dict[str, dict]:
    """The resources in the state as it was recorded, by address."""
    bodies = [one["request"]["body"] for one in recorded() if any(arn.endswith(tags.KEY) for arn in one["resources"])]
    from opslab.checks.terraform_gitops.asking import resources

    return resources(json.loads(bodies[-1]))


def test_there_are_forty_that_can_have_tags():
    can = [address for address, one in state().items() if "tags_all" in one]
    assert len(can) == 40 and len(state()) == 53
    assert all(tags.kind_of(one.get("bucket") or one["name"]) for one in state().values() if "tags_all" in one)


def test_a_reset_of_the_task_takes_back_all_of_the_depot():
    patterns = checks.module_of("4.4").find("4.4").cloud
    for entry in recorded():
        assert any(fnmatch.fnmatchcase(arn, pattern) for arn in entry["resources"] for pattern in patterns), entry


def test_no_other_task_takes_it_back():
    others = [pattern for task in checks.module_of("4.4").tasks if task.id != "4.4" for pattern in task.cloud]
    for entry in recorded():
        assert not any(fnmatch.fnmatchcase(arn, one) for arn in entry["resources"] for one in others), entry


def test_owners_of_many_seeds():
    for seed in range(100):
        found, words = tags.owners(seed), tags.words(seed)
        (single, its), (partner, whose) = found["single"], found["feed"]
        assert set(found["teams"].values()) == set(tags.TEAMS), "no team is there for nothing"
        assert its != found["teams"][tags.kind_of(single)] and whose != found["teams"]["feeds"]
        assert sum(rota != f"{team}-oncall" for team, rota in found["rotas"].items()) == 1
        assert (
            its in words["first_exception"]
            and whose in words["second_exception"]
            and partner in words["second_exception"]
        )
        assert tags.wanted(seed, single, single)["Owner"] == its
        assert tags.wanted(seed, f"module.feed_{partner}.aws_s3_bucket.this", f"targ-depot-feeds-{partner}") == {
            "Owner": whose,
            "OnCall": found["rotas"][whose],
        }
        for kind, team in found["teams"].items():
            assert f"| {kind} | {team} | {found['rotas'][team]} |" in words["owners"]
    assert tags.words(1)["owners"] != tags.words(2)["owners"]


# ---- plans that policies are tried on ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", (*tags.SHOWN, *tags.HIDDEN))
def test_a_sample_was_recorded_from_the_code_that_is_there(name):
    assert json.loads((tags.SAMPLES / name / "plan.json").read_text())["code"] == record_plans.fingerprint(
        name, tags.SAMPLES
    )


@pytest.mark.parametrize("name", (*tags.SHOWN, *tags.HIDDEN))
def test_the_platform_teams_policy_refuses_what_has_to_be_refused(name):
    plan = tags.sample(name, 5)
    (verdict,) = policies.Rego(tags.POLICIES)(plan)
    lines = [line.removeprefix("FAIL - plan.json - main - ") for line in verdict.output.splitlines() if "FAIL" in line]
    assert {line.partition(": ")[0] for line in lines} == set(tags.untagged(plan))


def test_the_bot_can_name_what_has_an_index():
    """regopy gives such texts without escaping their quotes."""
    change = {"change": {"after": {"tags": None}}, "mode": "managed"}
    plan = {"resource_changes": [{"address": 'aws_s3_bucket.raw["a"]', **change}]}
    (verdict,) = policies.Rego(tags.POLICIES)(plan)
    assert 'aws_s3_bucket.raw["a"]: Name, Owner, OnCall missing' in verdict.output


def test_every_trap_in_the_hidden_plans_has_a_sentence():
    caught, spared = set(), set()
    for name in tags.HIDDEN:
        plan = tags.sample(name, 5)
        bad = set(tags.untagged(plan))
        caught |= {check._label(address) for address in bad}
        spared |= {check._label(one["address"]) for one in plan["resource_changes"] if one["address"] not in bad}
    assert caught == set(check.CATCHES)
    assert set(check.SPARES) <= spared


def test_every_trap_is_somebodys():
    named = {name for _, name in (*check.CATCHES.values(), *check.SPARES.values(), check.DEFAULT, check.FINE)}
    assert named <= {name for case in replay.cases("04_terraform_gitops") for name in case.missed.values()}


def test_another_seed_has_other_names():
    assert tags.sample("busy", 5) != tags.sample("busy", 6)
    assert "xthingx" not in json.dumps(tags.sample("busy", 5)) and "xteamx" not in json.dumps(tags.sample("busy", 5))


# ---- the command -------------------------------------------------------------------------------------------------------


def policy(folder: Path, text: str, *plans: object, more: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    (folder / "mine.rego").write_text(text)
    for number, plan in enumerate(plans):
        (folder / f"{number}.json").write_text(plan if isinstance(plan, str) else json.dumps(plan))
    command = [sys.executable, POLICY, "test", "mine.rego", *(f"{number}.json" for number in range(len(plans))), *more]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


PLAN = {"resource_changes": [{"address": 'aws_s3_bucket.raw["a"]', "change": {"after": {"tags": None}}}]}
EVERYTHING = f"{HEAD}deny contains message if {{\n\tsome one in input.resource_changes\n\tmessage := TEXT\n}}\n"


@pytest.mark.parametrize(
    "text",
    [
        EVERYTHING.replace("TEXT", "one.address"),
        EVERYTHING.replace("TEXT", 'sprintf("%s", [one.address])'),
        EVERYTHING.replace("TEXT", '{"msg": one.address}'),
        "package main\ndeny[message] {\n\tmessage := input.resource_changes[_].address\n}\n",
        f"{HEAD}deny := [one.address | some one in input.resource_changes]\n",
        f"{HEAD}deny contains text if {{\n\tinput\n}}\n\ntext := input.resource_changes[0].address\n",
    ],
)
def test_messages_in_each_form_and_addresses_with_quotes(text, tmp_path):
    done = policy(tmp_path, text, PLAN)
    assert done.stdout.splitlines()[0] == 'FAIL - 0.json - main - aws_s3_bucket.raw["a"]'
    assert "1 test, 0 passed, 0 warnings, 1 failure, 0 exceptions" in done.stdout
    assert done.returncode == 1


def test_a_message_may_be_the_same_for_everything(tmp_path):
    done = policy(tmp_path, f'{HEAD}deny contains "never" if {{\n\tinput\n}}\n', PLAN)
    assert (done.stdout.splitlines()[0], done.returncode) == ("FAIL - 0.json - main - never", 1)


def test_nothing_is_wrong(tmp_path):
    done = policy(tmp_path, EVERYTHING.replace("TEXT", "one.address"), {"resource_changes": []}, PLAN)
    assert done.returncode == 1 and "2 tests, 1 passed" in done.stdout
    done = policy(tmp_path, EVERYTHING.replace("TEXT", "one.address"), {"resource_changes": []})
    assert done.returncode == 0 and done.stdout.strip() == "1 test, 1 passed, 0 warnings, 0 failures, 0 exceptions"


@pytest.mark.parametrize(
    ("text", "plan", "said"),
    [
        (f"{HEAD}deny contains message if {{\n", PLAN, "mine.rego:5: this is unclosed"),
        (f"{HEAD}allow := true\n", PLAN, "there is no rule deny in it"),
        ("package tags\n\nimport rego.v1\n\ndeny contains 1\n", PLAN, "there is no rule deny in it, in package main"),
        (f"{HEAD}deny := true\n", PLAN, "deny has to be a set of messages"),
        (f"{HEAD}deny contains 7\n", PLAN, "deny has to be a set of messages"),
        (f'{HEAD}deny contains gone.by("x")\n', PLAN, "Function not found: gone.by"),
        (f"{HEAD}f(x) := f(x + 1)\n\ndeny contains f(1)\n", PLAN, "Recursion detected"),
        (f"{HEAD}deny contains k if {{\n\tx := {{k | some k, v in input}}\n\tsome k in x\n}}\n", PLAN, "does not know “some key, value in”"),
        (EVERYTHING.replace("message := TEXT", "one.address"), PLAN, "mine.rego:5: message is unsafe: it never gets a value"),
        (EVERYTHING.replace("message := TEXT", 'one.address != "message" # message'), PLAN, "message is unsafe"),
        (EVERYTHING.replace("TEXT", "one.address") + "\ndeny contains message if {\n\tinput\n}\n", PLAN, "mine.rego:10: message is unsafe"),
        (EVERYTHING, "no json", "0.json is no plan as data"),
        (EVERYTHING, {"values": {}}, "0.json is no plan as data"),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_a_line(text, plan, said, tmp_path):
    done = policy(tmp_path, text, plan)
    assert said in done.stdout + done.stderr
    assert done.returncode == 2
    assert "Traceback" not in done.stderr and "errormsg" not in done.stdout


def test_output_for_programs_is_json_and_nothing_else(tmp_path):
    done = policy(tmp_path, f"{HEAD}deny contains message if {{\n", PLAN, more=("--output", "json"))
    (one,) = json.loads(done.stdout)
    assert one["failures"] == [] and "unclosed" in one["error"]


def test_a_policy_cannot_take_all_memory(tmp_path):
    small = tmp_path / "policy"
    small.write_text(POLICY.read_text().replace("MOST = 1 << 30", "MOST = 1 << 10"))
    (tmp_path / "mine.rego").write_text(endless())
    (tmp_path / "0.json").write_text(json.dumps(tags.sample("busy", 1)))
    command = [sys.executable, small, "test", "mine.rego", "0.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2 and "more than" in done.stderr


def test_memory_of_the_program_that_asks_is_not_the_policys(tmp_path):
    """A notebook with a large table in it asks, too. On Linux a process inherits the most that its parent had."""
    policy(tmp_path, EVERYTHING.replace("TEXT", "one.address"), PLAN)
    large = f"import subprocess, sys; b'x' * (1200 << 20); subprocess.run([sys.executable, {str(POLICY)!r}, 'test', 'mine.rego', '0.json'])"
    done = subprocess.run([sys.executable, "-c", large], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("FAIL - 0.json") and done.stderr == ""


def endless() -> str:
    loops = "\n".join(f"\tsome {name} in input.resource_changes" for name in "abcdefgh")
    same = "a.address == b.type\n\tmessage := h.address"
    return f"{HEAD}deny contains message if {{\n{loops}\n\t{same}\n}}\n"


@pytest.mark.skipif(not jail.bubblewrap(), reason="what is tried here is the jail")
def test_a_policy_without_end_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(check, "POLICY_LIMITS", jail.Limits(seconds=2, cpu=1, memory=check.POLICY_LIMITS.memory))
    (tmp_path / tags.POLICY).parent.mkdir(parents=True)
    (tmp_path / tags.POLICY).write_text(endless())
    (tmp_path / workspace.NOTE).write_text('{"module": "04_terraform_gitops", "seed": 1}')
    report = checks.run("4.4", tmp_path, only=["catches"])
    assert [(one.state, one.name) for one in report.results] == [("missed", "policy-endless")]


def test_the_command_is_on_the_path_of_every_world(tmp_path):
    env = workspace.environment(tmp_path)
    assert os.access(POLICY, os.X_OK)
    done = subprocess.run(["policy", "test"], env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "FILE.rego" in done.stderr
