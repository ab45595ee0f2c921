"""The trust graph: who can become whom, from live policies."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest

from opslab.worlds.aws.graph import trust_graph
from opslab.worlds.aws.organisation import Organisation

STAGING, PRODUCTION, PLATFORM = "111111111111", "222222222222", "333333333333"


@pytest.fixture(scope="module")
def running() -> Iterator[Organisation]:
    with Organisation({"staging": STAGING, "production": PRODUCTION, "platform": PLATFORM}) as aws:
        yield aws


@pytest.fixture
def aws(running: Organisation) -> Organisation:
    """ana → deploy → (ExternalId) writer; ci → writer, which nobody meant. ben may nothing."""
    running.reset()
    iam = {name: running.client("iam", name) for name in running.accounts}
    iam["staging"].create_user(UserName="ana")
    iam["staging"].create_user(UserName="ben")
    role(iam["staging"], "deploy", f"arn:aws:iam::{STAGING}:user/ana", assume="*")
    role(iam["platform"], "ci", PLATFORM, assume=f"arn:aws:iam::{PRODUCTION}:role/*")
    role(iam["production"], "writer", [STAGING, PLATFORM], external="load-9")
    iam["platform"].create_user(UserName="robot")
    iam["platform"].put_user_policy(UserName="robot", PolicyName="p", PolicyDocument=document("sts:AssumeRole", "*"))
    return running


def document(action: str, resource: str) -> str:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def role(iam, name: str, who, assume: str = "", external: str = "") -> None:
    trust = {"Effect": "Allow", "Principal": {"AWS": who}, "Action": "sts:AssumeRole"}
    if external:
        trust["Condition"] = {"StringEquals": {"sts:ExternalId": external}}
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}))
    if assume:
        iam.put_role_policy(RoleName=name, PolicyName="become", PolicyDocument=document("sts:AssumeRole", assume))


def test_edges_and_reasons(aws: Organisation) -> None:
    graph = trust_graph(aws)
    found = {(edge.source, edge.target): edge for edge in graph.edges}
    assert set(found) == {
        ("staging/ana", "staging/deploy"),
        ("staging/deploy", "production/writer"),
        ("platform/robot", "platform/ci"),
        ("platform/ci", "production/writer"),
        ("platform/robot", "production/writer"),
    }
    edge = found["staging/deploy", "production/writer"]
    assert edge.needs == "with an ExternalId"
    assert (
        "become, inline in role deploy" in edge.reason and "the account staging and the account platform" in edge.reason
    )
    assert found["staging/ana", "staging/deploy"].reason == "the role trusts staging/ana"


def test_paths(aws: Organisation) -> None:
    graph = trust_graph(aws)
    assert graph.paths("production/writer") == [
        ["platform/robot", "platform/ci", "production/writer"],
        ["platform/robot", "production/writer"],
        ["staging/ana", "staging/deploy", "production/writer"],
    ]
    assert graph.paths("production/writer", "platform/ci") == [["platform/ci", "production/writer"]]
    assert graph.paths("staging/deploy", "staging/ben") == []
    with pytest.raises(ValueError, match="There is no 'production/reader' in the graph"):
        graph.paths("production/reader")


def test_the_graph_follows_the_policies(aws: Organisation) -> None:
    aws.client("iam", "platform").delete_role_policy(RoleName="ci", PolicyName="become")
    aws.client("iam", "platform").delete_user_policy(UserName="robot", PolicyName="p")
    graph = trust_graph(aws)
    assert graph.paths("production/writer") == [["staging/ana", "staging/deploy", "production/writer"]]


def test_the_picture(aws: Organisation) -> None:
    graph = trust_graph(aws)
    drawing = graph.draw(["staging/ana", "staging/deploy", "production/writer"])
    picture = ET.fromstring(drawing.svg)  # well-formed
    name = "{http://www.w3.org/2000/svg}"
    assert picture.find(f"{name}title").text == "Who can become whom"
    assert picture.find(f"{name}desc").text == graph.text == str(drawing)
    arrows = picture.findall(f"{name}path")
    assert len(arrows) == len(graph.edges)
    assert sum(arrow.get("class") == "p" for arrow in arrows) == 2
    shown = " ".join(text.text for text in picture.iter(f"{name}text"))
    for word in ("staging · 111111111111", "user ana", "role writer", "with an ExternalId"):
        assert word in shown
    assert picture.get("aria-labelledby").split()[0] == picture.find(f"{name}title").get("id")
    assert drawing._repr_html_() == drawing.svg
    assert graph.draw().svg != drawing.svg


def test_nobody(running: Organisation) -> None:
    running.reset()
    graph = trust_graph(running)
    assert graph.edges == ()
    assert "Nobody can become anybody." in graph.text
    ET.fromstring(graph.draw().svg)
    assert "administrator" in trust_graph(running, administrators=True).text
