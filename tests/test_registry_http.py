"""The registry as clients see it: every endpoint of the distribution API, how one logs in, and clients that mean no good."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import socket
import stat
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from patience import kept_port, until
from test_registry_store import EMPTY, descriptor, digest, image, index

from opslab import jail
from opslab.worlds.images.registry import manifests, server
from opslab.worlds.images.registry.server import Registry
from opslab.worlds.images.registry.store import Limits
from opslab.worlds.images.registry.team import Team, User

USERS = {
    "ana": User("ana's password", {"clicks/*": "pull push", "sandbox/*": "pull push delete"}),
    "ben": User("ben's password", {"*": "pull"}),
    "root": User("root's password", {"*": "pull push delete"}),
}


class Reply:
    """An answer, read to its end."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = answer.status, answer.headers, answer.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, str]:
        """(status, code), of a body in the form that the specification asks for."""
        assert self.headers["Content-Type"] == "application/json"
        (error,) = self.json["errors"]
        assert set(error) <= {"code", "message", "detail"} and error["message"]
        return self.status, error["code"]


class Client:
    """Somebody who speaks the API by hand."""

    def __init__(self, registry: Registry, user: str = "") -> None:
        self.port = registry.port
        self.headers = {}
        if user:
            given = base64.b64encode(f"{user}:{USERS[user].password}".encode()).decode()
            self.headers["Authorization"] = f"Basic {given}"

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, self.headers | named)
            return Reply(connection.getresponse())
        finally:
            connection.close()

    def start(self, name: str) -> str:
        """Begin an upload; returns its address."""
        return self("POST", f"/v2/{name}/blobs/uploads/").headers["Location"]

    def blob(self, name: str, content: bytes) -> str:
        known = digest(content)
        assert self("PUT", f"{self.start(name)}?digest={known}", content).status == 201
        return known

    def push(self, name: str, tag: str, *layers: bytes, **more: Any) -> str:
        """Push an image; returns its digest."""
        for one in (b"{}", *layers):
            self.blob(name, one)
        reply = self("PUT", f"/v2/{name}/manifests/{tag}", image(*layers, **more), Content_Type=manifests.OCI_MANIFEST)
        assert reply.status == 201, reply.body
        return reply.headers["Docker-Content-Digest"]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    limits = Limits(blob=4 * 2**20, manifest=2**20, total=64 * 2**20)
    team = Team(tmp_path_factory.mktemp("team"), USERS, public=["public/*"], immutable=["clicks/fixed"], limits=limits)
    with Registry(team) as running:
        yield running


@pytest.fixture
def root(registry: Registry) -> Client:
    return Client(registry, "root")


@pytest.fixture
def ana(registry: Registry) -> Client:
    return Client(registry, "ana")


# ---- logging in ---------------------------------------------------------------------------------------------------------


def test_the_first_answer_says_how_to_log_in(registry: Registry) -> None:
    reply = Client(registry)("GET", "/v2/")
    assert reply.error == (401, "UNAUTHORIZED")
    assert reply.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
    assert reply.headers["WWW-Authenticate"] == f'Bearer realm="http://{registry.address}/token",service="registry"'


def test_user_and_password_with_each_request(registry: Registry) -> None:
    for user in USERS:
        assert Client(registry, user)("GET", "/v2/").status == 200
    for given in ("ana:wrong", "nobody:ana's password", "ana", ":", "\udcff"):
        encoded = base64.b64encode(given.encode("utf-8", "surrogateescape")).decode()
        reply = Client(registry)("GET", "/v2/", Authorization=f"Basic {encoded}")
        assert reply.error == (401, "UNAUTHORIZED")
    assert Client(registry)("GET", "/v2/", Authorization="Basic ???").error == (401, "UNAUTHORIZED")


def token(registry: Registry, user: str, *scopes: str) -> Client:
    """Log in as clients do: the challenge says where, the token comes from there."""
    query = "&".join(["service=registry", *(f"scope={quote(scope)}" for scope in scopes)])
    reply = Client(registry, user)("GET", f"/token?{query}")
    assert reply.status == 200 and reply.json["expires_in"] >= 60 and reply.json["token"] == reply.json["access_token"]
    client = Client(registry)
    client.headers["Authorization"] = f"Bearer {reply.json['token']}"
    return client


def test_the_flow_of_a_token(registry: Registry) -> None:
    challenge = Client(registry)("POST", "/v2/clicks/app/blobs/uploads/").headers["WWW-Authenticate"]
    found = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    assert found["scope"] == "repository:clicks/app:pull,push" and urlsplit(found["realm"]).path == "/token"
    client = token(registry, "ana", found["scope"])
    assert client("GET", "/v2/").status == 200
    assert client("POST", "/v2/clicks/app/blobs/uploads/").status == 202
    again = client("GET", f"/v2/clicks/other/blobs/{EMPTY}")  # allowed to ana, but not what the token is for
    assert again.error == (401, "UNAUTHORIZED") and 'error="insufficient_scope"' in again.headers["WWW-Authenticate"]
    greedy = token(registry, "ana", "repository:theirs/app:pull,push")
    assert greedy("POST", "/v2/theirs/app/blobs/uploads/").error == (403, "DENIED")


def test_tokens_that_are_not_ours(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    good = token(registry, "ana", "repository:clicks/app:pull,push")
    claims, _, signature = good.headers["Authorization"].removeprefix("Bearer ").partition(".")
    forged = base64.urlsafe_b64encode(b'{"user": "root", "scopes": {}, "until": 9999999999}').decode().rstrip("=")
    for wrong in (f"{forged}.{signature}", claims, "", "a.b.c", "é", f"{claims}.{signature[:-3]}"):
        reply = Client(registry)("GET", "/v2/", Authorization=f"Bearer {wrong}".encode().decode("latin-1"))
        assert reply.error == (401, "UNAUTHORIZED") and "invalid_token" in reply.headers["WWW-Authenticate"]
    later = time.time() + 3600
    monkeypatch.setattr("opslab.worlds.images.registry.team.time.time", lambda: later)
    assert "has expired" in good("GET", "/v2/").json["errors"][0]["message"]


def test_everybody_may_do_what_their_rules_say(registry: Registry, root: Client, ana: Client) -> None:
    root.push("clicks/rights", "1", b"layer")
    ben, nobody = Client(registry, "ben"), Client(registry)
    assert ben("GET", "/v2/clicks/rights/manifests/1").status == 200
    denied = ben("PUT", "/v2/clicks/rights/manifests/1", image(b"layer"))
    assert denied.error == (403, "DENIED")
    assert denied.json["errors"][0]["message"] == "ben may not push in clicks/rights; what ben may do there: pull."
    assert ana("DELETE", "/v2/clicks/rights/manifests/1").error == (403, "DENIED")
    assert ana("GET", "/v2/base/python/tags/list").error == (403, "DENIED")
    assert nobody("GET", "/v2/clicks/rights/manifests/1").error == (401, "UNAUTHORIZED")
    assert nobody("GET", "/v2/_catalog").error == (401, "UNAUTHORIZED")
    root.push("public/base", "1", b"layer")
    assert nobody("GET", "/v2/public/base/manifests/1").status == 200
    assert nobody("POST", "/v2/public/base/blobs/uploads/").error == (401, "UNAUTHORIZED")
    assert "clicks/rights" in ana("GET", "/v2/_catalog").json["repositories"]
    root.push("secret/plans", "1", b"layer")
    assert "secret/plans" not in ana("GET", "/v2/_catalog").json["repositories"]


def test_a_registry_without_users_is_open(tmp_path: Path) -> None:
    with Registry(Team(tmp_path, None)) as registry:
        nobody = Client(registry)
        assert nobody("GET", "/v2/").status == 200
        nobody.push("a", "1", b"layer")
        assert nobody("GET", "/v2/_catalog").json == {"repositories": ["a"]}


def test_rules_with_a_right_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"The rules of eve have the right 'admin'; there are: pull, push, delete\."):
        Team(tmp_path, {"eve": User("x", {"*": "pull admin"})})


# ---- blobs --------------------------------------------------------------------------------------------------------------


def test_post_then_put(ana: Client) -> None:
    started = ana("POST", "/v2/clicks/app/blobs/uploads/")
    assert started.status == 202 and started.headers["Range"] == "0-0" and started.headers["Docker-Upload-UUID"]
    done = ana("PUT", f"{started.headers['Location']}?digest={digest(b'whole')}", b"whole")
    assert done.status == 201 and done.headers["Docker-Content-Digest"] == digest(b"whole")
    found = ana("GET", done.headers["Location"])
    assert (found.status, found.body) == (200, b"whole")
    assert found.headers["Docker-Content-Digest"] == digest(b"whole")
    assert ana("GET", started.headers["Location"]).error == (404, "BLOB_UPLOAD_UNKNOWN")


def test_a_single_post(ana: Client) -> None:
    done = ana("POST", f"/v2/clicks/app/blobs/uploads/?digest={digest(b'single')}", b"single")
    assert done.status == 201 and ana("GET", done.headers["Location"]).body == b"single"
    wrong = ana("POST", f"/v2/clicks/app/blobs/uploads/?digest={EMPTY}", b"single")
    assert wrong.error == (400, "DIGEST_INVALID")


def test_in_pieces_with_and_without_ranges(ana: Client) -> None:
    place = ana.start("clicks/app")
    first = ana("PATCH", place, b"12345", Content_Range="0-4")
    assert (first.status, first.headers["Range"]) == (202, "0-4")
    second = ana("PATCH", first.headers["Location"], iter([b"67", b"89"]))  # chunked, as docker sends it
    assert (second.status, second.headers["Range"]) == (202, "0-8")
    done = ana("PUT", f"{place}?digest={digest(b'1234567890')}", b"0", Content_Range="9-9")
    assert done.status == 201 and ana("GET", done.headers["Location"]).body == b"1234567890"


def test_pieces_out_of_order_are_refused_and_say_where_to_go_on(ana: Client) -> None:
    place = ana.start("clicks/app")
    ana("PATCH", place, b"12345", Content_Range="0-4")
    for method, wanted in (("PATCH", place), ("PUT", f"{place}?digest={EMPTY}")):
        wrong = ana(method, wanted, b"12345", Content_Range="0-4")
        assert wrong.error == (416, "BLOB_UPLOAD_INVALID")
        assert (wrong.headers["Range"], wrong.headers["Location"]) == ("0-4", place)
    status = ana("GET", place)
    assert (status.status, status.body, status.headers["Range"]) == (204, b"", "0-4")
    assert ana("PATCH", place, b"6", Content_Range="five-six").error == (416, "BLOB_UPLOAD_INVALID")
    assert ana("PATCH", place, b"6", Content_Range="5-6").error == (400, "SIZE_INVALID")
    assert ana("PATCH", place, b"67", Content_Range="5-6").headers["Range"] == "0-6"


def go_on(client: Client, place: str, content: bytes, at: int) -> Reply:
    """Send the rest of an upload that was cut off. Its thread may still have it for a moment: only then, ask again."""
    until = time.monotonic() + 60
    while True:
        reply = client("PATCH", place, content, Content_Range=f"{at}-{at + len(content) - 1}")
        if reply.status != 409 or time.monotonic() > until:
            return reply
        time.sleep(0.01)


def test_a_push_that_is_cut_off_goes_on_where_it_was(ana: Client, registry: Registry) -> None:
    place, content = ana.start("clicks/app"), os.urandom(300_000)
    with socket.create_connection(("127.0.0.1", registry.port)) as line:
        head = f"PATCH {place} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(content)}\r\n"
        line.sendall(f"{head}Authorization: {ana.headers['Authorization']}\r\n\r\n".encode() + content[:200_000])
    assert until(lambda: ana("GET", place).headers["Range"] == "0-199999")
    assert ana("HEAD", f"/v2/clicks/app/blobs/{digest(content)}").status == 404
    rest = go_on(ana, place, content[200_000:], 200_000)
    assert (rest.status, rest.headers["Range"]) == (202, "0-299999")
    assert ana("PUT", f"{place}?digest={digest(content)}").status == 201
    assert ana("GET", f"/v2/clicks/app/blobs/{digest(content)}").body == content


def test_a_body_that_is_cut_off_is_never_a_blob(ana: Client, registry: Registry) -> None:
    """A final PUT, of whose bytes all that came would be a blob by themselves."""
    place = ana.start("clicks/app")
    with socket.create_connection(("127.0.0.1", registry.port)) as line:
        head = f"PUT {place}?digest={digest(b'half')} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 8\r\n"
        line.sendall(f"{head}Authorization: {ana.headers['Authorization']}\r\n\r\nhalf".encode())
    assert until(lambda: ana("GET", place).headers["Range"] == "0-3")
    assert ana("GET", f"/v2/clicks/app/blobs/{digest(b'half')}").error == (404, "BLOB_UNKNOWN")


def test_cancelling(ana: Client) -> None:
    place = ana.start("clicks/app")
    ana("PATCH", place, b"12345")
    assert ana("DELETE", place).status == 204
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        suffix = f"?digest={EMPTY}" if method == "PUT" else ""
        assert ana(method, place + suffix).error == (404, "BLOB_UPLOAD_UNKNOWN")


def test_the_wrong_digest(ana: Client) -> None:
    for asked, wrong in ((EMPTY, "DIGEST_INVALID"), ("", "DIGEST_INVALID"), ("sha256:1", "DIGEST_INVALID")):
        reply = ana("PUT", f"{ana.start('clicks/app')}?digest={asked}", b"something else")
        assert reply.error == (400, wrong)


def test_mounting(registry: Registry, root: Client, ana: Client) -> None:
    known, theirs = root.blob("sandbox/from", b"to be mounted"), root.blob("theirs/app", b"not for ana")

    def mount(client: Client, wanted: str, source: str) -> Reply:
        return client("POST", f"/v2/clicks/to/blobs/uploads/?mount={wanted}&from={source}")

    done = mount(ana, known, "sandbox/from")
    assert (done.status, done.headers["Location"]) == (201, f"/v2/clicks/to/blobs/{known}")
    assert ana("GET", done.headers["Location"]).body == b"to be mounted"
    # What is not there, or not for her, has to be sent; and she is not told which of them it is.
    for wanted, source in ((EMPTY, "sandbox/from"), (theirs, "theirs/app"), (known, "No%20Name"), (known, "")):
        asked = mount(ana, wanted, source)
        assert asked.status == 202 and "/blobs/uploads/" in asked.headers["Location"]
    assert ana("HEAD", f"/v2/clicks/to/blobs/{theirs}").status == 404
    assert mount(Client(registry, "ben"), known, "sandbox/from").error == (403, "DENIED")


def test_asking_for_a_part(ana: Client) -> None:
    place = f"/v2/clicks/app/blobs/{ana.blob('clicks/app', b'0123456789')}"
    for asked, body, said in [
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-2", b"89", "bytes 8-9/10"),
        ("bytes=5-500", b"56789", "bytes 5-9/10"),
        ("bytes=-500", b"0123456789", "bytes 0-9/10"),
    ]:
        reply = ana("GET", place, Range=asked)
        assert (reply.status, reply.body, reply.headers["Content-Range"]) == (206, body, said)
    for asked in ("bytes=10-", "bytes=5-4", "bytes=-0"):
        reply = ana("GET", place, Range=asked)
        assert reply.status == 416 and reply.headers["Content-Range"] == "bytes */10"
    for asked in ("lines=1-2", "bytes=1-2,5-6", "bytes=", "bytes=a-b"):
        assert ana("GET", place, Range=asked).body == b"0123456789"
    head = ana("HEAD", place)
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", "10")
    assert head.headers["Accept-Ranges"] == "bytes"


def test_deleting_a_blob(root: Client) -> None:
    place = f"/v2/sandbox/app/blobs/{root.blob('sandbox/app', b'to go')}"
    assert root("DELETE", place).status == 202
    assert root("DELETE", place).error == (404, "BLOB_UNKNOWN")
    assert root("GET", place).error == (404, "BLOB_UNKNOWN")
    assert root("HEAD", place).body == b""


# ---- images -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("media_type", [manifests.OCI_MANIFEST, manifests.DOCKER_MANIFEST])
def test_a_manifest_comes_back_byte_by_byte(ana: Client, media_type: str) -> None:
    ana.blob("clicks/app", b"{}")
    content = image(mediaType=media_type, extra={"b": 1, "a": "ä"}) + b"\n \n"
    done = ana("PUT", "/v2/clicks/app/manifests/exact", content, Content_Type=media_type)
    assert done.status == 201 and done.headers["Location"] == f"/v2/clicks/app/manifests/{digest(content)}"
    for reference in ("exact", digest(content), quote(digest(content), safe="")):
        found = ana("GET", f"/v2/clicks/app/manifests/{reference}", Accept=media_type)
        assert (found.status, found.body, found.headers["Content-Type"]) == (200, content, media_type)
        assert found.headers["Docker-Content-Digest"] == digest(content)
        head = ana("HEAD", f"/v2/clicks/app/manifests/{reference}")
        assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", str(len(content)))


@pytest.mark.parametrize("media_type", [manifests.OCI_INDEX, manifests.DOCKER_LIST])
def test_an_image_for_several_machines(ana: Client, media_type: str) -> None:
    known = ana.push("clicks/multi", "amd", b"amd")
    content = index(image(b"amd"), mediaType=media_type)
    assert ana("PUT", "/v2/clicks/multi/manifests/all", content, Content_Type=media_type).status == 201
    (found,) = ana("GET", "/v2/clicks/multi/manifests/all").json["manifests"]
    assert found["digest"] == known
    missing = ana("PUT", "/v2/clicks/multi/manifests/x", index(image(b"arm")), Content_Type=manifests.OCI_INDEX)
    assert missing.error == (404, "MANIFEST_BLOB_UNKNOWN")


def test_a_manifest_whose_blobs_are_missing(ana: Client) -> None:
    ana.blob("clicks/app", b"{}")
    reply = ana("PUT", "/v2/clicks/app/manifests/1", image(b"never sent"))
    assert reply.error == (404, "MANIFEST_BLOB_UNKNOWN")
    assert reply.json["errors"][0]["detail"] == [digest(b"never sent")]


def test_tags_that_stay(ana: Client) -> None:
    known = ana.push("clicks/fixed", "1", b"first")
    ana.blob("clicks/fixed", b"second")
    reply = ana("PUT", "/v2/clicks/fixed/manifests/1", image(b"second"))
    assert reply.error == (400, "TAG_INVALID") and "because the repository is immutable" in reply.body.decode()
    assert ana("PUT", "/v2/clicks/fixed/manifests/1", image(b"first")).status == 201
    assert ana("GET", "/v2/clicks/fixed/manifests/1").headers["Docker-Content-Digest"] == known


def test_lists_come_in_pages(ana: Client) -> None:
    for tag in ("c", "a", "b", "B", "e+f".replace("+", ".")):
        ana.push("clicks/tags", tag, b"layer")
    assert ana("GET", "/v2/clicks/tags/tags/list").json == {
        "name": "clicks/tags",
        "tags": ["B", "a", "b", "c", "e.f"],
    }
    found, path = [], "/v2/clicks/tags/tags/list?n=2"
    while path:
        page = ana("GET", path)
        found.append(page.json["tags"])
        link = page.headers["Link"]
        path = re.fullmatch(r'<(.+)>; rel="next"', link)[1] if link else ""
        assert not path or parse_qs(urlsplit(path).query)["last"] == [found[-1][-1]]
    assert found == [["B", "a"], ["b", "c"], ["e.f"]]
    assert ana("GET", "/v2/clicks/tags/tags/list?last=b").json["tags"] == ["c", "e.f"]
    nothing = ana("GET", "/v2/clicks/tags/tags/list?n=0")
    assert nothing.json["tags"] == [] and nothing.headers["Link"] is None
    for n in ("-1", "x", "9" * 50):
        assert ana("GET", f"/v2/clicks/tags/tags/list?n={n}").error == (400, "UNSUPPORTED")
    assert ana("GET", "/v2/clicks/nothing/tags/list").error == (404, "NAME_UNKNOWN")
    first = ana("GET", "/v2/_catalog?n=1")
    assert len(first.json["repositories"]) == 1 and "/v2/_catalog?n=1&last=clicks%2F" in first.headers["Link"]


def test_referrers(ana: Client) -> None:
    subject = descriptor(image(b"signed"), manifests.OCI_MANIFEST)
    ana.blob("clicks/signed", b"{}")
    content = image(subject=subject, artifactType="application/sbom")
    pushed = ana("PUT", "/v2/clicks/signed/manifests/sbom", content)  # before what it is about, which is allowed
    assert pushed.status == 201 and pushed.headers["OCI-Subject"] == subject["digest"]
    path = f"/v2/clicks/signed/referrers/{subject['digest']}"
    found = ana("GET", path)
    assert found.headers["Content-Type"] == manifests.OCI_INDEX
    assert [one["artifactType"] for one in found.json["manifests"]] == ["application/sbom"]
    other = ana("GET", f"{path}?artifactType=application/other")
    assert other.json["manifests"] == [] and other.headers["OCI-Filters-Applied"] == "artifactType"
    assert ana("GET", f"/v2/clicks/nothing/referrers/{EMPTY}").json["manifests"] == []
    assert ana("GET", "/v2/clicks/signed/referrers/latest").error == (400, "DIGEST_INVALID")


def test_deleting_images(root: Client) -> None:
    known = root.push("sandbox/gone", "1", b"layer")
    root.push("sandbox/gone", "2", b"layer")
    assert root("DELETE", "/v2/sandbox/gone/manifests/1").status == 202
    assert root("GET", "/v2/sandbox/gone/tags/list").json["tags"] == ["2"]
    assert root("DELETE", f"/v2/sandbox/gone/manifests/{known}").status == 202
    for reference in ("2", known):
        assert root("GET", f"/v2/sandbox/gone/manifests/{reference}").error == (404, "MANIFEST_UNKNOWN")
        assert root("DELETE", f"/v2/sandbox/gone/manifests/{reference}").error == (404, "MANIFEST_UNKNOWN")


def test_eight_pushes_of_one_tag_end_in_one_of_them(ana: Client) -> None:
    for one in (b"{}", *(b"%d" % number for number in range(8))):
        ana.blob("clicks/race", one)
    answers: list[Reply] = []

    def put(number: int) -> None:
        answers.append(ana("PUT", "/v2/clicks/race/manifests/latest", image(b"%d" % number)))

    threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status for answer in answers} == {201}
    known = ana("GET", "/v2/clicks/race/manifests/latest").headers["Docker-Content-Digest"]
    assert known in {answer.headers["Docker-Content-Digest"] for answer in answers}


# ---- clients that mean no good --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path, status, code",
    [
        ("/", 404, "UNSUPPORTED"),
        ("/v1/search", 404, "UNSUPPORTED"),
        ("/v2/../../etc/passwd", 404, "UNSUPPORTED"),
        ("/v2/UPPER/tags/list", 400, "NAME_INVALID"),
        ("/v2/../x/tags/list", 400, "NAME_INVALID"),
        ("/v2/clicks/%2e%2e/%2e%2e/tags/list", 400, "NAME_INVALID"),
        ("/v2/clicks/..%2f..%2foci-layout/manifests/1", 400, "NAME_INVALID"),
        ("/v2/clicks%00/tags/list", 400, "NAME_INVALID"),
        ("/v2/" + "a" * 300 + "/tags/list", 400, "NAME_INVALID"),
        ("/v2/" + "a/" * 3000 + "a/tags/list", 400, "NAME_INVALID"),
        ("/v2/clicks/app/manifests/..", 400, "TAG_INVALID"),
        ("/v2/clicks/app/manifests/" + "a" * 129, 400, "TAG_INVALID"),
        ("/v2/clicks/app/manifests/sha256:..", 400, "DIGEST_INVALID"),
        ("/v2/clicks/app/blobs/sha256:" + "A" * 64, 400, "DIGEST_INVALID"),
        ("/v2/clicks/app/blobs/uploads/..%2f..%2f..%2foci-layout", 404, "UNSUPPORTED"),
        ("/v2/clicks/app/blobs/uploads/nonsense", 404, "BLOB_UPLOAD_UNKNOWN"),
        ("/v2/_catalog?" + "&".join(["n=1"] * 200), 400, "UNSUPPORTED"),
    ],
)
def test_tricks_with_paths_and_names(root: Client, path: str, status: int, code: str) -> None:
    assert root("GET", path).error == (status, code)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "BREW"])
def test_methods_that_are_not_for_it(root: Client, method: str) -> None:
    reply = root(method, "/v2/clicks/app/tags/list")
    assert reply.error in ((405, "UNSUPPORTED"), (501, "UNSUPPORTED"))


def test_web_pages_and_other_names_stay_outside(root: Client) -> None:
    assert root("GET", "/v2/", Host="evil.example").error == (403, "DENIED")
    assert root("GET", "/v2/", Origin="http://127.0.0.1:8888").error == (403, "DENIED")
    assert root("GET", "/v2/", Host="localhost:5000").status == 200


def test_a_manifest_that_is_too_large_or_too_deep(root: Client, registry: Registry) -> None:
    place = "/v2/sandbox/app/manifests/1"
    assert root("PUT", place, b" " * (2**20 + 1)).error == (413, "SIZE_INVALID")
    assert root("PUT", place, iter([b" " * 2**20, b" "])).error == (413, "SIZE_INVALID")
    assert root("PUT", place, b"[" * 2**20).error == (400, "MANIFEST_INVALID")
    # Whoever does not say how long it will be is stopped at the limit, not at the end.
    line = head(root, "PUT", place, "Transfer-Encoding: chunked")
    assert b" 413 " in raw(registry, line, *[b"100000\r\n" + b" " * 2**20 + b"\r\n"] * 3).splitlines()[0]
    assert registry.log[-1].received <= 2 * 2**20


def test_a_blob_that_is_too_large_is_refused_in_the_middle(root: Client) -> None:
    place = root.start("sandbox/huge")
    reply = root("PATCH", place, b"\0" * (20 * 2**20))
    assert reply.error == (413, "SIZE_INVALID") and reply.headers["Connection"] == "close"
    assert int(root("GET", place).headers["Range"].removeprefix("0-")) < 4 * 2**20
    assert root("DELETE", place).status == 204


def raw(registry: Registry, *sent: bytes, wait: float = 25) -> bytes:
    """What comes back on a line of one's own, until it is closed."""
    with socket.create_connection(("127.0.0.1", registry.port), timeout=wait) as line:
        for one in sent:
            line.sendall(one)
        found = b""
        while piece := line.recv(65536):
            found += piece
    return found


def head(client: Client, method: str, path: str, *lines: str) -> bytes:
    first = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: {client.headers['Authorization']}"]
    return "\r\n".join([*first, *lines, "", ""]).encode()


@pytest.mark.parametrize(
    "lines, body, status",
    [
        (("Content-Length: -1",), b"", 400),
        (("Content-Length: 5x",), b"", 400),
        (("Content-Length: 5", "Transfer-Encoding: chunked"), b"0\r\n\r\n", 400),
        (("Transfer-Encoding: gzip",), b"", 400),
        (("Transfer-Encoding: chunked",), b"zz\r\n", 400),
        (("Transfer-Encoding: chunked",), b"-5\r\nhello\r\n", 400),
        (("X: y",) * 200, b"", 431),
        (("X: " + "y" * 70_000,), b"", 431),
    ],
)
def test_requests_that_make_no_sense(registry: Registry, root: Client, lines: tuple, body: bytes, status: int) -> None:
    found = raw(registry, head(root, "PATCH", root.start("sandbox/raw"), *lines) + body)
    assert found.startswith(f"HTTP/1.1 {status} ".encode()) and b'{"errors": [' in found
    assert found.count(b"HTTP/1.1") == 1


def test_not_http_at_all(registry: Registry, root: Client) -> None:
    assert b"errors" in raw(registry, b"\x16\x03\x01\x02\x00 hello\r\n\r\n")
    assert b"414" in raw(registry, b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n").splitlines()[0]
    assert root("GET", "/v2/").status == 200


def test_whoever_waits_to_be_asked_is_told_no_before_sending(registry: Registry, ana: Client) -> None:
    waiting = ("Content-Length: 1000000000", "Expect: 100-continue")
    denied = raw(registry, head(ana, "PUT", "/v2/theirs/app/manifests/1", *waiting))
    assert denied.startswith(b"HTTP/1.1 403")
    place = ana.start("clicks/app")
    with socket.create_connection(("127.0.0.1", registry.port), timeout=60) as line:
        line.sendall(head(ana, "PATCH", place, "Content-Length: 4", "Expect: 100-continue"))
        assert line.recv(100).startswith(b"HTTP/1.1 100")
        line.sendall(b"body")
        assert line.recv(100).startswith(b"HTTP/1.1 202")


def test_the_slow_are_hung_up_on(registry: Registry, root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    place, other = root.start("sandbox/slow"), root.start("sandbox/slow")
    monkeypatch.setattr(server, "HEAD_SECONDS", 1)
    started = time.monotonic()
    assert raw(registry, b"GET /v2/ HT") == b""  # a head that never ends
    assert raw(registry, b"") == b""  # nothing at all
    assert raw(registry, head(root, "PATCH", place, "Content-Length: 100000"), b"a few bytes") == b""
    assert time.monotonic() - started < 25, "it is 30 seconds for each of them otherwise"
    monkeypatch.undo()  # on a busy machine an honest request takes its time, too
    assert until(lambda: root("GET", place).headers["Range"] == "0-10")  # what came is kept

    def trickle() -> Iterator[bytes]:
        for _ in range(500):
            time.sleep(0.02)
            yield b"x"

    monkeypatch.setattr(server, "HEAD_SECONDS", 1)
    with pytest.raises((ConnectionError, http.client.HTTPException)):  # never silent, and slower than SLOWEST
        root("PATCH", other, trickle())


def test_a_crowd_waits_and_is_served(registry: Registry, root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS", 2)  # also for the one who is served
    lines = [socket.create_connection(("127.0.0.1", registry.port)) for _ in range(server.CONNECTIONS + 10)]
    assert root("GET", "/v2/").status == 200  # as soon as the idle ones are hung up on
    for line in lines:
        line.close()


def test_one_connection_many_requests(registry: Registry, ana: Client) -> None:
    line = http.client.HTTPConnection("127.0.0.1", registry.port, timeout=60)
    for number in range(5):
        line.request("GET", "/v2/", headers=ana.headers)
        assert Reply(line.getresponse()).status == 200
        line.request("PUT", "/v2/clicks/app/manifests/x", b"no manifest %d" % number, ana.headers)
        assert Reply(line.getresponse()).error == (400, "MANIFEST_INVALID")
    line.close()


def test_a_bug_is_an_answer_too(ana: Client, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.door.store, "tags", lambda name: 1 / 0)
    reply = ana("GET", "/v2/clicks/app/tags/list")
    assert reply.error == (500, "UNKNOWN") and "ZeroDivisionError" in reply.json["errors"][0]["message"]


@pytest.mark.parametrize("what", ["shorter", "broken"])
def test_a_blob_that_breaks_off_while_it_is_sent(
    root: Client, registry: Registry, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection ends; nothing else is ever put in the place of bytes that are missing."""
    content = os.urandom(4 * 2**20)
    known = root.blob("sandbox/broken", content)
    path = registry.door.store.folder / "blobs" / known.replace(":", "/")

    def broken(self: Any, file: Any, first: int, count: int) -> None:
        raise OSError(5, "Input/output error")

    def shorter(self: Any, file: Any, first: int, count: int) -> None:
        path.chmod(0o644)
        os.truncate(path, 1000)
        send(self, file, first, count)

    send = server._Handler._send
    monkeypatch.setattr(server._Handler, "_send", {"shorter": shorter, "broken": broken}[what])
    with pytest.raises(http.client.IncompleteRead) as error:
        root("GET", f"/v2/sandbox/broken/blobs/{known}")
    assert content.startswith(error.value.partial) and len(error.value.partial) <= 1000
    monkeypatch.undo()
    root.blob("sandbox/broken", content)
    assert root("GET", f"/v2/sandbox/broken/blobs/{known}").body == content


# ---- where it listens -----------------------------------------------------------------------------------------------------


def test_it_listens_on_the_loopback_only_and_says_when_a_port_is_taken(registry: Registry, tmp_path: Path) -> None:
    assert {one.server_address[0] for one in registry._listener._servers} == {"127.0.0.1"}
    with pytest.raises(OSError, match=rf"cannot listen on port {registry.port} of 127\.0\.0\.1 .*: take another one"):
        Registry(Team(tmp_path, None), port=registry.port).open()


def test_it_can_be_closed_in_the_middle_and_opened_again(tmp_path: Path) -> None:
    with kept_port() as port:  # else a neighbour might have it in between
        registry = Registry(Team(tmp_path, None), port=port).open()
        nobody = Client(registry)
        place = nobody.start("a")
        line = socket.create_connection(("127.0.0.1", port))
        line.sendall(f"PATCH {place} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 8\r\n\r\nhalf".encode())
        assert until(lambda: nobody("GET", place).headers["Range"] == "0-3")
        registry.close()
        line.close()
        with Registry(Team(tmp_path, None), port=port):
            assert go_on(nobody, place, b"half", 4).headers["Range"] == "0-7"
            assert nobody("PUT", f"{place}?digest={digest(b'halfhalf')}").status == 201


def test_what_clients_do_can_be_seen(tmp_path: Path) -> None:
    with Registry(Team(tmp_path, None)) as registry:
        Client(registry).push("a", "1", b"layer")
        found = [(entry.method, entry.status, entry.received) for entry in registry.log]
    assert found == [
        ("POST", 202, 0),
        ("PUT", 201, 2),
        ("POST", 202, 0),
        ("PUT", 201, 5),
        ("PUT", 201, len(image(b"layer"))),
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="bubblewrap exists on Linux only")
def test_from_the_jail_by_its_unix_socket(tmp_path: Path) -> None:
    place = tmp_path / "sockets/registry"
    place.parent.mkdir()
    with Registry(Team(tmp_path / "registry", None), socket=place) as registry:
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        known = Client(registry).push("a", "1", b"layer")
        script = (
            "import urllib.request as u; "
            f"print(u.urlopen('http://{registry.address}/v2/a/manifests/1').headers['Docker-Content-Digest'])"
        )
        (tmp_path / "home").mkdir()
        limits = jail.Limits(seconds=60)
        done = jail.run(
            [sys.executable, "-c", script], home=tmp_path / "home", services=registry.services, limits=limits
        )
        assert (done.out.strip(), done.err) == (known, "")
    assert not place.exists()
