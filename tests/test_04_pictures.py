"""The pictures of module 04: the loop of a merge request, and staging and production side by side; and a desk without terraform."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from test_atlantis_desk import CODE, Desk, make_desk, stand_in
from test_forge_page import Outline

import opslab
from opslab import card, lab, wire
from opslab.scenarios.terraform_gitops import cloud as scenario
from opslab.server import World
from opslab.worlds.aws import cloud, sides
from opslab.worlds.aws.cloud import Cloud
from opslab.worlds.aws.sides import Thing, compare
from opslab.worlds.forge.atlantis.picture import loop
from opslab.worlds.forge.atlantis.policies import verdict
from opslab.worlds.forge.merge_requests import MergeRequest
from opslab.worlds.terraform import tools as finding

pytestmark = pytest.mark.slow

# ---- the loop ---------------------------------------------------------------------------------------------------------

BOTH = {"staging/main.tf": f"{CODE}# more\n", "production/main.tf": f"{CODE}# more\n"}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return make_desk(tmp_path, stand_in(tmp_path / "tools"), approvals=1)


def drawn(desk: Desk, mr: MergeRequest) -> SimpleNamespace:
    """What the picture of a merge request says: states, in order; words, by station; now, what is to be done."""
    picture = loop(mr, desk.bot.store(desk.repository))
    assert ElementTree.fromstring(picture.svg).tag.endswith("svg")
    assert loop(mr, desk.bot.store(desk.repository)) == picture, "the same facts, the same picture"
    _, *lines, now = picture.text.split("\n")
    assert [line[1] for line in lines] == list("1234567")
    words = {line[15:29].strip(): line[30:] for line in lines}
    states = [line[6:15].strip() for line in lines]
    # Each state is in the picture as a word, a sign and a kind of line.
    assert re.findall(r'class="box (\w+)"', picture.svg) == states
    assert [sign in picture.svg for sign in ("✓ done", "● here")] == [True, "here" in states]
    return SimpleNamespace(states=" ".join(states), words=words, now=now.removeprefix("Now: "), svg=picture.svg)


def test_the_whole_way(desk: Desk) -> None:
    mr = desk.opened("more", BOTH)
    seen = drawn(desk, mr)
    assert seen.states == "done done done here later later later"
    assert seen.words["Plan"] == "staging: planned; production: planned"
    assert seen.words["Review"] == "nobody has approved it yet" and seen.now == "it waits for an approval."
    mr.approve("mira")
    seen = drawn(desk, mr)
    assert seen.states == "done done done done here later later"
    assert seen.words["Review"] == "approved by mira" and seen.now == 'say it: opslab mr comment 1 "atlantis apply"'
    desk.said(mr, "atlantis apply -p staging")
    seen = drawn(desk, mr)
    assert seen.states == "done done done done here here later"
    assert seen.words["Apply"] == "staging: applied; production: waits"
    assert seen.words["AWS and state"] == "1 of 2 changed, the rest as before"
    desk.said(mr, "atlantis apply")
    seen = drawn(desk, mr)
    assert seen.states == "done done done done done done here" and seen.now == "it can be merged: opslab mr merge 1"
    mr.merge()
    desk.react()
    seen = drawn(desk, mr)
    assert seen.states == "done done done done done done done"
    assert seen.words["Apply"] == "production: applied; staging: applied"
    assert seen.words["AWS and state"] == "changed, and written down" and seen.now.startswith("done. main says")


def test_a_question_a_draft_and_a_conflict(desk: Desk) -> None:
    mr = desk.opened("more", BOTH, draft=True)
    seen = drawn(desk, mr)
    assert seen.states == "done here later later later later later" and seen.now.endswith("opslab mr edit 1 --ready")
    mr.edit(draft=False)
    assert drawn(desk, mr).now == "Atlantis plans. opslab mr show 1 waits for it."
    desk.react()
    asked = mr.thread("Whose rota is this?", "mira")
    mr.approve("mira")
    seen = drawn(desk, mr)
    assert seen.states == "done done done here later later later"
    assert seen.words["Review"] == f"mira asks: #{asked}; approved by mira"
    reply = f'opslab mr comment 1 --reply-to {asked} "…"'
    assert seen.now == f"answer #{asked} (mira): with a commit, or with a sentence: {reply}"
    mr.resolve(asked, "mira")
    desk.repository.commit("main", {"staging/main.tf": "# theirs\n"}, "Theirs", by="ola")
    seen = drawn(desk, mr)
    assert seen.states == "done done done done later later later" and seen.now.startswith(
        "There are conflicts with main"
    )


def test_failures(desk: Desk) -> None:
    bad = desk.opened("bad", {"staging/main.tf": f"{CODE}#! no plan\n"})
    seen = drawn(desk, bad)
    assert seen.states == "done done failed here later later later" and seen.words["Plan"] == "staging: failed"
    assert seen.now.startswith("a plan has failed.") and "✗ failed" in seen.svg
    bad.close()
    mr = desk.opened("more", BOTH | {"production/main.tf": f"{CODE}#! no apply\n"})
    mr.approve("mira")
    desk.said(mr, "atlantis apply")
    seen = drawn(desk, mr)
    assert seen.states == "done done done done failed failed later"
    assert seen.words["Apply"] == "staging: applied; production: failed" and "opslab mr comment 2" in seen.now
    waits = desk.opened("waits", {"staging/main.tf": f"{CODE}# waits\n"})
    seen = drawn(desk, waits)
    assert seen.words["Plan"] == "staging: failed; locked by !2" and seen.now.startswith("it waits until !2 is merged")
    mr.close()
    desk.react()
    seen = drawn(desk, mr)
    assert seen.states == "done done done done failed failed failed"
    assert seen.words["Apply"] == "1/2 projects failed to apply." and "has left behind" in seen.now
    waits.close()
    desk.react()
    seen = drawn(desk, waits)
    assert "left behind" not in seen.now and seen.states.endswith("later later failed")


def test_nothing_to_plan_and_a_new_commit(desk: Desk) -> None:
    mr = desk.opened("readme", {"README.md": "x\n"})
    seen = drawn(desk, mr)
    assert (seen.words["Plan"], seen.words["Apply"]) == ("nothing to plan", "nothing to apply")
    desk.pushed(mr, BOTH)
    assert drawn(desk, mr).words["Apply"] == "staging: waits; production: waits"
    desk.repository.commit("readme", {"staging/main.tf": "# more\n"}, "And more", by="you")
    mr.repository.react()  # without the bot: it has not seen it yet
    seen = drawn(desk, mr)
    assert seen.states == "done done here here later later later" and seen.words["Apply"] == "not yet"


def test_a_policy_says_no(tmp_path: Path) -> None:
    refuse = lambda plan: [verdict("tags", ["aws_s3_bucket.b has no Owner"])]
    server = "repos: [{id: /.*/, policy_check: true}]"
    desk = make_desk(tmp_path, stand_in(tmp_path / "tools"), approvals=1, policies=refuse, server=server)
    mr = desk.opened("more", BOTH)
    mr.approve("mira")
    seen = drawn(desk, mr)
    assert seen.states == "done done failed done later later later"
    assert seen.words["Plan"].endswith("policies: failed") and seen.now.startswith("a rule says no.")


def test_what_somebody_wrote_is_text_and_fits(desk: Desk) -> None:
    name = "x" * 80
    config = "\n".join(f"- {{name: {name[: 40 + at]}, dir: d{at}}}" for at in range(9))
    files = {f"d{at}/main.tf": CODE for at in range(9)} | {"atlantis.yaml": f"version: 3\nprojects:\n{config}\n"}
    evil = '</title><script>alert(1)</script>&"\x1b[2J' + "long " * 40
    seen = drawn(desk, desk.opened("many", files, title=evil))
    assert "<script>" not in seen.svg and "\x1b" not in seen.svg and "and 6 more" in seen.words["Plan"]
    outline = Outline(seen.svg)
    assert outline.open == [] and len(outline.ids) == len(set(outline.ids))
    lines = re.findall(r'<text class="small"[^>]*>([^<]*)', seen.svg)
    assert max(map(len, lines)) <= 70


# ---- side by side -----------------------------------------------------------------------------------------------------

IDS = {"staging": "111122223333", "production": "444455556666"}


def bucket(account: str, **facts: str) -> Thing:
    return Thing("bucket", f"targ-prices-raw-{account}", {"tag Name": f"targ-prices-raw-{account}", **facts})


def test_what_differs_and_what_has_changed() -> None:
    before = {
        "staging": [bucket("staging", versions="kept", owner="a", old="x")],
        "production": [bucket("production", versions="kept"), Thing("role", "gone", {"path": "/"})],
    }
    now = {
        "staging": [bucket("staging", versions="not kept", owner="b"), Thing("role", "new", {"in": IDS["staging"]})],
        "production": [bucket("production", versions="kept"), Thing("role", "new", {"in": IDS["production"]})],
    }
    found = compare(now, before, "prices", IDS)
    assert str(found).split("\n") == [
        "“prices” in staging and production: + new, ~ changed, − gone since the start; ≠ differs between the two",
        "              staging                    production",
        "bucket        targ-prices-raw-staging    targ-prices-raw-production",
        "  tag Name    targ-prices-raw-staging    targ-prices-raw-production",
        "  versions  ~ kept → not kept            kept                        ≠",
        "  owner     ~ a → b                                                  ≠",
        "  old       − x",
        "role                                   − gone",
        "role        + new                      + new",
        "  in          111122223333               444455556666",
    ]
    html = found._repr_html_()
    assert "<td class='changed'><b>~</b> kept → not kept</td>" in html and "aria-label='differs'>≠" in html
    assert Outline(html).open == []


def test_one_side_only_nothing_and_what_somebody_wrote() -> None:
    found = compare({"staging": [bucket("staging")], "production": []}, {"staging": [], "production": []}, "p")
    assert "bucket      + targ-prices-raw-staging    not there   ≠" in str(found)
    nothing = compare({"staging": [], "production": []}, {"staging": [], "production": []}, "<b>")
    assert (
        str(nothing) == "Nothing in staging or production has “<b>” in its name." and "<b>" not in nothing._repr_html_()
    )
    evil = Thing("parameter", "<script>", {"<i>": "<u>" + "x" * 500 + "\n" * 9})
    html = compare({"staging": [evil], "production": [evil]}, {"staging": [], "production": []}, "")._repr_html_()
    assert not Outline(html).tags & {"script", "i", "u"} and "x" * 70 not in html


@pytest.fixture(scope="module")
def aws() -> Iterator[Cloud]:
    with cloud.shared().open(scenario.__name__, seed=1) as running:
        yield running


@pytest.mark.slow
def test_what_there_is_in_an_account(aws: Cloud) -> None:
    ours = aws.user(IDS["production"], "administrator")
    names = {"bucket": "targ-partner-feeds-production", "table": "partner-arrivals-production"}
    found = {
        thing.kind: thing
        for thing in sides.things(ours, "PARTNER")
        if thing.name in names.values() or "/targ/partner" in thing.name
    }
    assert {kind: found[kind].name for kind in names} == names
    assert found["bucket"].facts == {
        "encryption": "aws:kms", "public": "closed", "versions": "kept", "policy": "none", "objects": "1",
        "tag Name": names["bucket"], "tag OnCall": "partners-oncall", "tag Owner": "partners",
    }  # fmt: skip
    assert found["table"].facts["point in time"] == "can be brought back"
    assert found["log group"].facts["kept for"] == "90 days" and found["parameter"].facts["value"] == "06:00"
    everything = sides.things(ours)
    assert {"role", "bucket", "table"} <= {thing.kind for thing in everything}
    viewer = next(thing for thing in everything if thing.name == "viewer")
    assert viewer.facts["policies"] == "look" and viewer.facts["trusts"] == "arn:aws:iam::777788889999:user/you"
    ours.client("ecr").create_repository(repositoryName="x/clicks", tags=[{"Key": "Owner", "Value": "a"}])
    ours.client("ssm").put_parameter(Name="/clicks/key", Value="hush", Type="SecureString")
    ours.client("logs").create_log_group(logGroupName="/clicks/log")
    ours.client("s3").create_bucket(Bucket="clicks-bare", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    made = {thing.kind: thing.facts for thing in sides.things(ours, "clicks")}
    assert made["repository"] == {"image tags": "mutable", "scan": "not by itself", "tag Owner": "a"}
    assert made["parameter"] == {"type": "SecureString", "value": "is not shown"}
    assert made["log group"] == {"kept for": "ever"}
    assert made["bucket"]["public"] == "nothing keeps it closed" and made["bucket"]["versions"] == "not kept"


# ---- a desk on a machine without terraform ----------------------------------------------------------------------------


@pytest.mark.slow
def test_without_terraform_it_is_said_at_once_and_the_pictures_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "NAMES", {})  # none of its names is looked for
    world = World(tmp_path / "lessons" / "home", tmp_path / "state")
    told: list[str] = []
    try:
        answer = world.build(told.append, "04_terraform_gitops", anew=True)
        assert answer["made"] and len(answer["remarks"]) == 2
        assert "neither terraform nor opentofu" in answer["remarks"][0] and "environment.yml" in answer["remarks"][0]
        assert "4.1" in answer["remarks"][1]
        repository = world._forge().repository("platform/infrastructure")
        repository.commit("more", {"staging/more.tf": "# more\n"}, "More", by="you")
        repository.create_merge_request("more", by="you", title="More of it", description="Because.")
        seen = world.loop(told.append, 1, "platform/infrastructure")
        assert "✗ failed   Plan           staging: failed" in seen["text"] and "<svg" in seen["html"]
        assert (
            "neither terraform nor opentofu" in world.merge_request(told.append, 1, "platform/infrastructure")["text"]
        )
        world.cloud.user(IDS["staging"], "administrator").client("s3").delete_bucket_tagging(
            Bucket="targ-listings-raw-staging"
        )
        seen = world.sides(told.append, "listings")
        assert (
            "tag Owner   − catalogue" in seen["text"]
            and "catalogue-oncall" in seen["text"]
            and "<table>" in seen["html"]
        )
        with pytest.raises(wire.Refusal, match="There is no merge request !7"):
            world.loop(told.append, 7, "platform/infrastructure")
    finally:
        world.close()


def test_where_there_is_no_bot_and_no_aws(tmp_path: Path) -> None:
    world = World(tmp_path / "home", tmp_path / "state")
    assert world.build(lambda line: None, "00_start_here")["remarks"] == []
    with pytest.raises(wire.Refusal, match="Atlantis does not work in this module"):
        world.loop(lambda line: None, 1, "analytics/finance")
    with pytest.raises(wire.Refusal, match="There is no AWS organisation in this module"):
        world.sides(lambda line: None, "orders")
    world.close()


def test_what_a_notebook_shows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shown: list[card.Note] = []
    answers = {
        "build": {"made": True, "remarks": ["There is no terraform.", "4.1 works."]},
        "loop": {"text": "a", "html": "<p>a</p>"},
    }
    monkeypatch.setattr(lab, "ask", lambda home, op, **more: answers["loop" if op == "sides" else op])
    monkeypatch.setattr(lab, "enter", lambda home: None)
    monkeypatch.setattr(lab, "here", lambda: tmp_path)
    monkeypatch.setattr(lab, "_show", shown.append)
    monkeypatch.setenv("OPSLAB_STATE", str(tmp_path))
    for opens in (opslab.open, opslab.lesson):
        opens("04")
        assert str(shown[-1]).endswith("There is no terraform.\n  4.1 works.") and shown[-1].kind == "open"
    answers["build"]["remarks"] = []
    opslab.open("04")
    assert "terraform" not in str(shown[-1]).split("\n")[-1] and shown[-1].kind == "done"
    for picture in (opslab.loop(1, "platform/infrastructure"), opslab.sides("prices")):
        assert (str(picture), picture._repr_html_()) == ("a", "<p>a</p>")
