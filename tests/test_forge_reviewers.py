"""Reviewers react to what is in the change, and to what is answered."""

from __future__ import annotations

import json

import pytest
from test_forge_desk import Desk, errors, make_desk

from opslab.worlds.forge import reviewers
from opslab.worlds.forge.reviewers import RULES, Finding, is_vague, rule

# Put together here, so that no scanner takes this file for a leak.
KEY = "AK" + "IA" + "QWERTYUIOPASDFGH"
FINE = "Add the country to the orders mart"
WHY = "The report by country needs it. I ran the query for last week."


def make(tmp_path, *rules: str, **settings) -> Desk:
    return make_desk(tmp_path, reviewers={"mira": list(rules or RULES)}, pipeline_must_succeed=False, **settings)


def ask(desk: Desk, title: str = FINE, description: str = WHY):
    """Push what is committed, open a merge request, let the reviewers look."""
    desk.sh(
        f"git push -q -o merge_request.create -o 'merge_request.title={title}' -o 'merge_request.description={description}' origin HEAD"
    )
    desk.repository.react()
    return desk.repository.merge_requests()[-1]


def threads(mr, only_open: bool = True) -> dict[str, dict]:
    """The threads of the reviewers by rule and path."""
    found = [item for item in mr.record["discussion"] if item["kind"] == "thread"]
    return {item["rule"]: item for item in found if not (only_open and item["resolved"])}


def commit(desk: Desk, message: str = FINE, **files: str | bytes) -> None:
    for name, content in files.items():
        path = desk.clone / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    desk.sh(f"git add -A && git commit -qm '{message}'")


def notebook(**cell) -> str:
    return json.dumps({"cells": [{"cell_type": "code", "source": [], "outputs": [], "execution_count": None} | cell]})


TF = 'resource "aws_s3_bucket" "clicks" {\n  bucket = "clicks"\n%s}\n'
OWNER = '  tags = {\n    Owner = "ana"\n  }\n'

ASKED = {
    "large-file": [("clicks.csv", "x" * 1_000_001)],
    "notebook-output": [
        ("a.ipynb", notebook(outputs=[{"data": {}}])),
        ("a.ipynb", notebook(execution_count=3)),
        ("a.ipynb", "{"),
    ],
    "secret": [
        ("a.py", f"key = '{KEY}'\n"),
        ("b.env", "AWS_SECRET_ACCESS_KEY=" + "a1B2" * 10 + "\n"),
        ("id", "-----BEGIN OPENSSH " + "PRIVATE KEY-----\n"),
        ("c.py", "password = 'hunter22'\n"),
    ],
    "owner-tag": [("m.tf", TF % ""), ("m.tf", TF % '  tags = {\n    Name = "x"\n  }\n')],
    "select-star": [
        ("m.sql", "SELECT  *\nFROM x\n"),
        ("m.sql", "select distinct t.* from t\n"),
        ("m.sql", "select\n  *\nfrom x\n"),
    ],
    "conflict-marker": [("m.sql", "<<<<<<< HEAD\nselect 1\n=======\nselect 2\n>>>>>>> main\n")],
}
NOT_ASKED = {
    "large-file": [("clicks.csv", "x" * 900_000)],
    "notebook-output": [("a.ipynb", notebook()), ("a.txt", "outputs")],
    "secret": [("a.py", "key = os.environ['AWS_SECRET_ACCESS_KEY']\npassword = '${PASSWORD}'\nAKIA = 1\n")],
    "owner-tag": [
        ("m.tf", TF % OWNER),
        ("m.tf", TF % "  tags   = local.tags\n"),
        ("m.tf", 'provider "aws" {\n  default_tags {\n    tags = {\n      Owner = "ana"\n    }\n  }\n}\n' + TF % ""),
        ("m.tf", 'resource "aws_iam_role_policy_attachment" "x" {\n}\n'),
        ("m.txt", TF % ""),
    ],
    "select-star": [("m.sql", "select count(*), a * b, selected.* from x\n")],
    "conflict-marker": [("m.md", "Title\n=======\n\n<<<<<<<x\n")],
}


@pytest.mark.parametrize("name", ASKED)
def test_a_rule_asks_about_its_cause(tmp_path, name):
    desk = make(tmp_path, name)
    for number, (file, content) in enumerate(ASKED[name]):
        desk.sh(f"git switch -qc work{number} origin/main")
        (desk.clone / file).write_text(content)
        desk.sh(f"git add . && git commit -qm '{FINE}'")
        mr = ask(desk)
        assert list(threads(mr)) == [f"{name}:{file}"], content[:100]
        assert "threads" in [blocker.code for blocker in mr.blockers()] and not mr.record["approvals"]


@pytest.mark.slow
@pytest.mark.parametrize("name", NOT_ASKED)
def test_a_rule_does_not_ask_about_what_is_fine(tmp_path, name):
    desk = make(tmp_path, name)
    for number, (file, content) in enumerate(NOT_ASKED[name]):
        desk.sh(f"git switch -qc work{number} origin/main")
        (desk.clone / file).write_text(content)
        desk.sh(f"git add . && git commit -qm '{FINE}'")
        mr = ask(desk)
        assert not threads(mr) and [one["by"] for one in mr.record["approvals"]] == ["mira"], content


def test_titles_descriptions_and_messages(tmp_path):
    desk = make(tmp_path, "title", "description", "commit-message")
    desk.sh("git switch -qc work && git commit -q --allow-empty -m 'Fix'")
    mr = ask(desk, "update files", "")
    assert list(threads(mr)) == ["title:", "description:", "commit-message:"]
    desk.sh("git commit -q --amend --allow-empty -m 'Count each order once'")
    desk.sh(f"git push -q --force -o 'merge_request.title={FINE}' -o 'merge_request.description={WHY}' origin work")
    desk.repository.react()
    assert not threads(mr) and len(threads(mr, only_open=False)) == 3
    assert mr.record["discussion"][0]["replies"][-1]["text"] == "Thank you, that is settled."
    assert not mr.blockers()


@pytest.mark.parametrize("title", ["fix", "Fix bug", "WIP", "update file", "changes 2", "", "123", "Final changes"])
def test_vague_titles(title):
    assert is_vague(title)


@pytest.mark.parametrize("title", ["Fix the row count of orders", "Add country", "Länder für Bestellungen"])
def test_titles_that_say_something(title):
    assert not is_vague(title)


def test_what_was_deleted_again_is_still_in_the_history(tmp_path):
    desk = make(tmp_path, "large-file", "secret")
    desk.sh("git switch -qc work")
    commit(desk, big_csv="x" * 2_000_000, a_py=f"key = '{KEY}'\n")
    desk.sh(
        "git rm -q big.csv a.py && git commit -qm 'Take them out again' && echo x >> README.md && git commit -qam 'Say x'"
    )
    mr = ask(desk)
    found = threads(mr)
    assert "an earlier commit of this branch still has it" in found["large-file:big.csv"]["text"]
    assert "in an earlier commit of this branch" in found["secret:a.py"]["text"]
    assert KEY not in json.dumps(mr.record), "a reviewer does not repeat a secret"
    mr.edit(squash=True)
    desk.repository.react()
    assert list(threads(mr)) == ["secret:a.py"], "squashed, the file is not merged; the key is known all the same"
    desk.sh("git reset -q --soft origin/main && git commit -qm 'Say x' && git push -q --force origin work")
    desk.repository.react()
    assert not threads(mr)


def test_a_change_that_takes_back_the_reviewers_own(tmp_path):
    desk = make(tmp_path, "reverts-my-change")
    desk.change(orders="select id, amount, country\nfrom raw.orders\n")
    text = "select id, amount\nfrom raw.orders\nwhere not test\n  and amount > 0\n"
    desk.repository.commit("main", {"orders.sql": text}, "Leave out test orders", by="mira")
    desk.repository.commit("main", {"other.sql": "select 1\n"}, "Other", by="ola")
    desk.sh("git fetch -q && git merge -q -s ours -m 'Merge main' origin/main")
    mr = ask(desk)
    assert "“Leave out test orders”" in threads(mr)["reverts-my-change:orders.sql"]["text"]
    (desk.clone / "orders.sql").write_text(text.replace("amount\n", "amount, country\n"))
    desk.sh("git checkout -q origin/main -- other.sql && git commit -qam 'Both of them' && git push -q origin country")
    desk.repository.react()
    assert not threads(mr)
    moved = "where not test\n  and amount > 0\n"
    (desk.clone / "orders.sql").write_text(
        f"with kept as (\n{text.replace(moved, '')}    {moved})\nselect * from kept\n"
    )
    desk.sh("git commit -qam 'Put it into a common table' && git push -q origin country")
    desk.repository.react()
    assert not threads(mr), "a line that is moved is not taken out"


def test_an_answer_is_looked_at(tmp_path):
    desk = make(tmp_path, "select-star", "owner-tag")
    desk.sh("git switch -qc work")
    commit(desk, m_sql="select * from x\n", m_tf=TF % "")
    mr = ask(desk)
    star, owner = (threads(mr)[name]["id"] for name in ("select-star:m.sql", "owner-tag:m.tf"))
    mr.comment("ok", reply_to=star)
    mr.comment("I will do that in another merge request, promised.", reply_to=owner)
    desk.repository.react()
    assert len(threads(mr)) == 2, "neither a short word nor a promise settles it"
    said = [item["replies"][-1] for item in threads(mr).values()]
    assert all(one["by"] == "mira" and "can still see it" in one["text"] for one in said)
    assert desk.repository.react() == 0, "nobody talks to themselves"
    mr.comment("All the columns are read by the report, by contract.", reply_to=star)
    desk.repository.react()
    assert list(threads(mr)) == ["owner-tag:m.tf"], "what is a matter of taste is settled by a reason"
    mr.resolve(owner)
    desk.repository.react()
    assert list(threads(mr)) == ["owner-tag:m.tf"], "resolving it does not help against a cause that stays"
    assert "This was resolved, but I can still see it" in threads(mr)["owner-tag:m.tf"]["replies"][-1]["text"]
    commit(desk, m_tf=TF % OWNER)
    desk.sh("git push -q origin work")
    desk.repository.react()
    assert not threads(mr) and not mr.blockers()
    commit(desk, m_tf=TF % "")
    desk.sh("git push -q origin work")
    desk.repository.react()
    assert list(threads(mr)) == ["owner-tag:m.tf"], "it is back, and so is the question"
    assert not mr.record["approvals"]


def test_a_draft_and_ones_own_are_left_alone(tmp_path):
    desk = make(tmp_path, "title")
    desk.sh(
        "git switch -qc work && git commit -q --allow-empty -m fix && git push -q -o merge_request.create -o merge_request.draft origin work"
    )
    mr = desk.repository.merge_request(1)
    desk.repository.react()
    assert not threads(mr) and not mr.record["approvals"]
    mr.edit(draft=False)
    desk.repository.react()
    assert list(threads(mr)) == ["title:"]
    desk.repository.commit("own", {"x": "1"}, "fix", by="mira")
    own = desk.repository.create_merge_request("own", by="mira")
    desk.repository.react()
    assert not own.record["discussion"] and not own.record["approvals"]


def test_a_module_brings_rules_of_its_own(tmp_path, monkeypatch):
    @rule("friday")
    def friday(review):
        for change in review.present(".sh"):
            yield Finding("Who looks after this at the weekend?", change.path)

    monkeypatch.setattr(reviewers, "RULES", {"friday": RULES.pop("friday")})
    desk = make(tmp_path, "friday")
    desk.sh("git switch -qc work")
    commit(desk, run_sh="echo\n")
    assert list(threads(ask(desk))) == ["friday:run.sh"]


@pytest.mark.parametrize("meanwhile", ["push", "push, hook on the way", "close"])
def test_what_changes_while_a_reviewer_looks_is_not_approved_by_the_way(tmp_path, monkeypatch, meanwhile):
    desk = make(tmp_path, "slowly")
    heads = []

    @rule("slowly")
    def slowly(review):
        heads.append(review.head)
        if len(heads) == 1 and meanwhile == "close":
            review.repository.merge_request(1).close("you")
        elif len(heads) == 1 and meanwhile == "push":
            desk.sh("git commit -q --allow-empty -m 'One more' && git push -q origin HEAD")
        elif len(heads) == 1:  # git has moved the branch, and the hook has not come to say so
            desk.sh("git commit -q --allow-empty -m 'One more' && git push -q origin HEAD:refs/heads/aside")
            git = review.repository.git
            git.run("update-ref", "refs/heads/work", git.resolve("refs/heads/aside"))
        if len(heads) > 1:
            yield Finding("What is this one for?")

    monkeypatch.setattr(reviewers, "RULES", {"slowly": RULES.pop("slowly")})
    desk.sh("git switch -qc work && git commit -q --allow-empty -m 'The first one'")
    mr = ask(desk)
    assert "could not react" not in str(mr.record["discussion"])
    assert mr.record["approvals"] == []
    assert (len(heads) > 1) == (meanwhile == "push")


def test_a_rule_that_is_unknown_or_fails_is_told_and_the_rest_goes_on(tmp_path, monkeypatch):
    desk = make(tmp_path, "no-such-rule")
    desk.change()
    mr = ask(desk)
    assert "There is no rule 'no-such-rule' for reviewers" in mr.record["discussion"][-1]["text"]
    assert not desk.repository.store.waiting()


def test_only_modules_of_the_course_are_imported(tmp_path):
    desk = make(
        tmp_path, "title", rule_modules=["antigravity", "opslab.../x", "opslab.doctor", "opslab.scenarios.nothing"]
    )
    desk.change()
    mr = ask(desk)
    assert "No module named 'opslab.scenarios.nothing'" in mr.record["discussion"][-1]["text"]


def test_bots_get_every_event_may_act_and_do_not_hold_up_the_others(tmp_path):
    desk = make(tmp_path, "title")
    seen = []

    def echo(event):
        seen.append((event.kind, event.facts.get("action") or event.facts.get("text")))
        if event.kind == "comment" and event.facts["by"] != "forge":
            event.merge_request.react(event.facts["item"], "👀", by="forge")
            event.merge_request.comment("Ran.", by="forge")
            event.merge_request.set_status("echo", "success", by="forge")

    def broken(event):
        raise RuntimeError("out of order")

    mr = desk.opened()
    mr.comment("echo plan")
    desk.repository.react(bots=[broken, echo])
    assert seen[0] == ("push", None) and ("merge_request", "open") in seen and ("comment", "echo plan") in seen
    assert [one["name"] for one in mr.statuses()] == ["echo"]
    said = [item["text"] for item in mr.record["discussion"]]
    assert "Ran." in said and "broken could not react: out of order" in said
    assert "approved this merge request" in said
    mr.merge()
    seen.clear()
    desk.repository.react(bots=[echo])
    assert ("merge_request", "merge") in seen and ("push", None) in seen


def test_what_merges_by_itself_waits_for_everything(tmp_path):
    desk = make(tmp_path, "title")
    desk.sh(
        "git switch -qc work && git commit -q --allow-empty -m fix && git push -q -o merge_request.create -o merge_request.auto_merge origin work"
    )
    mr = desk.repository.merge_request(1)
    desk.repository.react()
    assert mr.record["state"] == "opened"
    mr.edit(title=FINE)
    desk.repository.react()
    assert mr.record["state"] == "merged" and mr.record["merged"]["by"] == "you"
    assert "already merged" in errors(mr.edit, title="x")
