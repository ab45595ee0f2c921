"""The index: what there is on a day, its pages as the standards have them, tampering, and what it remembers."""

from __future__ import annotations

import doctest
import hashlib
import html.parser
import http.client
import importlib
import json
import re
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import parse_sdist_filename, parse_wheel_filename
from packaging.version import Version
from patience import kept_port

from opslab.worlds import packages
from opslab.worlds.packages import catalogue, simple
from opslab.worlds.packages.server import answer

MONDAY, TUESDAY, WEDNESDAY, FRIDAY = packages.MONDAY, packages.TUESDAY, packages.WEDNESDAY, packages.FRIDAY
SEEDS = range(1, 41)


def newest(day: str, seed: int = 1, **how) -> dict[str, str]:
    index = packages.Index(seed, day)
    return {project: str(index.newest(project, **how)) for project in index.projects()}


# ---- the catalogue ---------------------------------------------------------------------------------------------------


def test_what_an_unpinned_requirement_gets_day_by_day():
    monday = {"pykontor": "2.8.6", "targ-loader": "1.4.0", "targ-metrics": "0.7.0", "targ-units": "1.2.0"}
    assert newest(MONDAY) == monday
    assert newest(TUESDAY) == monday | {"pykontor": "2.9.0"}
    assert newest(WEDNESDAY) == newest(TUESDAY) | {"targ-loader": "1.5.0", "targ-units": "1.2.1"}
    assert newest(FRIDAY) == newest(WEDNESDAY) | {"pykontor": "2.9.1"}
    assert str(packages.Index(1, FRIDAY).newest("pykontor", below="2.9")) == "2.8.6"
    assert str(packages.Index(1, FRIDAY).newest("pykontor", below="2.9.1")) == "2.8.6", "2.9.0 is yanked by then"


@pytest.mark.parametrize("seed", SEEDS)
def test_what_holds_in_every_world(seed: int):
    index = packages.Index(seed, FRIDAY)
    versions = [Version(one.version) for one in index.releases("pykontor")]
    assert versions == sorted(set(versions)) and {"2.9.0", "2.9.1", "2.9.0rc1"} <= set(map(str, versions))
    assert index.newest("pykontor", below="2.9") in SpecifierSet("~=2.8.4")
    withdrawn = [one.version for one in index.releases("pykontor") if index.is_yanked(one)]
    assert len(withdrawn) == 2 and "2.9.0" in withdrawn
    before = packages.Index(seed, WEDNESDAY)
    assert not before.is_yanked(next(one for one in before.releases("pykontor") if one.version == "2.9.0"))
    # The release candidate's days were before the release, and so on: nobody publishes backwards.
    for project in index.projects():
        finals = [one for one in index.releases(project) if not Version(one.version).is_prerelease]
        assert [one.day for one in finals] == sorted(one.day for one in finals)
    for release in index.releases():
        for requirement in map(Requirement, release.requires):
            known = [Version(one.version) for one in index.releases(requirement.name, release.day)]
            assert any(version in requirement.specifier for version in known), f"{release} could never be installed"


def test_worlds_differ_and_a_world_is_the_same_each_time():
    assert len({str(packages.Index(seed, MONDAY).newest("pykontor")) for seed in SEEDS}) >= 4
    script = (
        "from opslab.worlds.packages import *; i = Index(7); print(sorted(f.sha256 for f in i.files()), "
        "Service(7).files())"
    )
    out = [
        subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": hash_seed}, capture_output=True, check=True
        )
        for hash_seed in "12"
    ]
    assert out[0].stdout == out[1].stdout and len(out[0].stdout) > 1000


def test_files_are_named_as_the_standards_say():
    for file in packages.Index(1, FRIDAY).files():
        name, version = (parse_wheel_filename if file.is_wheel else parse_sdist_filename)(file.name)[:2]
        assert (name, str(version)) == (file.release.project, file.release.version)


def test_changes_are_told_up_to_the_release():
    wheels = {one.release.version: one.metadata.decode() for one in packages.Index(1, FRIDAY).files("pykontor")}
    assert "## 2.9.0 (2026-11-17)" in wheels["2.9.1"] and "rc1" not in wheels["2.9.1"]
    assert "## 2.9.0rc1" in wheels["2.9.0rc1"] and "## 2.9" not in wheels["2.8.6"]
    for word in ("also with autocommit", "copy_from() quotes", "tzinfo_factory is called"):
        assert word in wheels["2.9.0"] and word not in wheels["2.8.6"]


# ---- day, tampering, memory ------------------------------------------------------------------------------------------


def test_day_and_tampering_are_remembered_where_there_is_a_file_for_it(tmp_path: Path):
    state = tmp_path / "cloud" / "packages.json"
    ours, theirs = packages.Index(1, MONDAY, state=state), packages.Index(1, FRIDAY, state=state)
    assert (ours.day, theirs.day) == (MONDAY, FRIDAY) and not state.exists(), "nothing has happened yet"
    ours.day = TUESDAY
    assert theirs.day == packages.Index(1, FRIDAY, tampered=["targ-units==1.2.0"], state=state).day == TUESDAY
    theirs.day = WEDNESDAY
    theirs.tamper("pykontor==2.8.6")
    assert (ours.day, ours.tampered) == (WEDNESDAY, ["pykontor==2.8.6"])
    ours.mend()
    assert theirs.tampered == [] and theirs.day == WEDNESDAY


@pytest.mark.parametrize("text", ["", "{", "[]", '{"day": 5, "tampered": []}', '{"day": "2026-11-17"}',
                                  '{"day": "2026-11-17", "tampered": ["pykontor==1"]}', "[" * 100_000])  # fmt: skip
def test_a_damaged_memory_is_said_and_not_guessed(tmp_path: Path, text: str):
    state = tmp_path / "packages.json"
    state.write_text(text)
    index = packages.Index(1, state=state)
    with pytest.raises(packages.PackagesError, match="Delete it; the index begins anew"):
        index.files()
    with pytest.raises(packages.PackagesError):
        answer(index, "GET", "/simple/")
    state.unlink()
    assert index.day == TUESDAY and index.files()


def test_bad_days_and_names_are_said():
    index = packages.Index(1)
    with pytest.raises(packages.PackagesError, match="'tuesday' is not a day: write it as \"2026-11-17\""):
        index.day = "tuesday"
    with pytest.raises(packages.PackagesError, match="never had 'pykontor 2.8.6'; write it as \"pykontor==2.7"):
        index.tamper("pykontor 2.8.6")
    with pytest.raises(packages.PackagesError, match="The index has no pykontor below 1.0 on 2026-11-17"):
        index.newest("pykontor", below="1.0")
    with pytest.raises(ValueError, match="'magic': the service can be made to use tzinfo_factory or copy_from"):
        packages.Service(1, "magic")


def test_a_tampered_release_has_other_bytes_under_the_same_names():
    index = packages.Index(1)
    honest = {file.name: file.sha256 for file in index.files()}
    index.tamper("pykontor==2.8.6")
    tampered = {file.name: file.sha256 for file in index.files()}
    assert list(honest) == list(tampered)
    changed = [name for name in honest if honest[name] != tampered[name]]
    assert changed == ["pykontor-2.8.6-py3-none-any.whl", "pykontor-2.8.6.tar.gz"]
    page = json.loads(answer(index, "GET", "/simple/pykontor/", simple.JSON).body)
    said = {file["filename"]: file["hashes"]["sha256"] for file in page["files"]}
    assert all(said[name] == tampered[name] for name in changed), "the index gives the hashes of what it serves"


def test_a_folder_of_wheels(tmp_path: Path):
    paths = packages.build_wheels(tmp_path / "wheels", seed=1, day=FRIDAY)
    names = {path.name for path in paths}
    assert names == {path.name for path in (tmp_path / "wheels").iterdir()}
    assert all(name.endswith(".whl") for name in names)
    assert not any(name.startswith(("pykontor-2.8.5-", "pykontor-2.9.0-")) for name in names), "yanked"
    index = packages.Index(1, FRIDAY)
    assert {hashlib.sha256(path.read_bytes()).hexdigest() for path in paths} <= {file.sha256 for file in index.files()}
    (tampered,) = packages.build_wheels(tmp_path / "t", 1, MONDAY, tampered=["targ-units==1.2.0"])[-1:]
    assert (
        tampered.name == "targ_units-1.2.0-py3-none-any.whl"
        and tampered.read_bytes() != (tmp_path / "wheels" / tampered.name).read_bytes()
    )


# ---- the pages -------------------------------------------------------------------------------------------------------


class Links(html.parser.HTMLParser):
    """What a client finds on a page: the attributes of each link, its text, and the meta tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[dict[str, str]] = []
        self.meta: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "a":
            self.links.append({**dict(attrs), "text": ""})
        if tag == "meta":
            self.meta[dict(attrs)["name"]] = dict(attrs)["content"]

    def handle_data(self, data):
        if self.links and not self.links[-1]["text"]:
            self.links[-1]["text"] = data


def get(index: packages.Index, path: str, accept: str = simple.JSON):
    found = answer(index, "GET", path, accept)
    assert found.status == 200, found.body
    return json.loads(found.body) if accept == simple.JSON else Links(found.body.decode())


def test_the_list_of_projects_in_both_forms():
    index = packages.Index(1)
    assert get(index, "/simple/") == {
        "meta": {"api-version": "1.1"},
        "projects": [{"name": name} for name in ("pykontor", "targ-loader", "targ-metrics", "targ-units")],
    }
    page = get(index, "/simple/", simple.OLD_HTML)
    assert page.meta == {"pypi:repository-version": "1.1"}
    assert page.links[0] == {"href": "pykontor/", "text": "pykontor"}


def test_a_project_in_json():
    index = packages.Index(1, FRIDAY)
    page = get(index, "/simple/pykontor/")
    assert page["name"] == "pykontor" and page["versions"][-2:] == ["2.9.0", "2.9.1"]
    assert len(page["files"]) == 2 * len(page["versions"])
    wheel, sdist = page["files"][-4:-2]
    assert wheel["filename"] == "pykontor-2.9.0-py3-none-any.whl" and sdist["filename"] == "pykontor-2.9.0.tar.gz"
    body = answer(index, "GET", wheel["url"]).body
    assert (wheel["size"], wheel["hashes"]) == (len(body), {"sha256": hashlib.sha256(body).hexdigest()})
    metadata = answer(index, "GET", wheel["url"] + ".metadata").body
    assert wheel["core-metadata"] == {"sha256": hashlib.sha256(metadata).hexdigest()}
    assert metadata.startswith(b"Metadata-Version: 2.3\nName: pykontor\nVersion: 2.9.0\n")
    assert wheel["upload-time"] == "2026-11-17T06:00:00Z" and wheel["requires-python"] == ">=3.9"
    assert wheel["yanked"] == sdist["yanked"] == "kills the process where it should raise; use 2.9.1"
    assert page["files"][-1]["yanked"] is False and sdist["core-metadata"] is False
    assert get(packages.Index(1, WEDNESDAY), "/simple/pykontor/")["files"][-1]["yanked"] is False, "not yet"


def test_html_says_the_same_as_json():
    index = packages.Index(1, FRIDAY)
    index.tamper("pykontor==2.8.6")
    for project in index.projects():
        as_json = get(index, f"/simple/{project}/")["files"]
        page = get(index, f"/simple/{project}/", simple.HTML)
        assert page.meta == {"pypi:repository-version": "1.1"}
        for file, link in zip(as_json, page.links, strict=True):
            expected = {
                "text": file["filename"],
                "href": f"{file['url']}#sha256={file['hashes']['sha256']}",
                "data-requires-python": file["requires-python"],
            }
            if file["core-metadata"]:
                expected["data-core-metadata"] = f"sha256={file['core-metadata']['sha256']}"
            if file["yanked"]:
                expected["data-yanked"] = file["yanked"]
            assert link == expected


PIP = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"
UV = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
ACCEPT = {
    PIP: simple.JSON,
    UV: simple.JSON,
    "": simple.OLD_HTML,
    "*/*": simple.OLD_HTML,
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": simple.OLD_HTML,
    "application/vnd.pypi.simple.latest+json": simple.JSON,
    "application/vnd.pypi.simple.v1+html": simple.HTML,
    "text/html;q=0.1, application/vnd.pypi.simple.v1+json;q=0": simple.OLD_HTML,
    "application/json": None,
    "application/vnd.pypi.simple.v2+json": None,
    "text/html;q=oops": None,
}


@pytest.mark.parametrize("accept", ACCEPT)
def test_the_client_chooses_the_form(accept: str):
    found = answer(packages.Index(1), "GET", "/simple/", accept)
    assert (found.status, found.kind) == (
        (200, ACCEPT[accept]) if ACCEPT[accept] else (406, "text/plain; charset=utf-8")
    )


ANSWERS = {
    ("GET", "/simple"): (301, "/simple/"),
    ("GET", "/simple/pykontor"): (301, "/simple/pykontor/"),
    ("GET", "/simple/PyKontor/"): (301, "/simple/pykontor/"),
    ("GET", "/2026-11-16/simple/Targ._-Loader"): (301, "/2026-11-16/simple/targ-loader/"),
    ("HEAD", "/simple/"): (200, ""),
    ("GET", "/simple/pykontor/?format=whatever"): (200, ""),
    ("GET", "/simple/requests/"): (404, ""),
    ("GET", "/2020-01-01/simple/pykontor/"): (404, ""),
    ("GET", "/2026-99-99/simple/"): (404, ""),
    ("GET", "/"): (404, ""),
    ("GET", "/files/pykontor/2.8.6/nothing.whl"): (404, ""),
    ("GET", "/files/pykontor/2.8.6/pykontor-2.8.6.tar.gz.metadata"): (404, ""),
    ("GET", "/files/pykontor/2.8.4/pykontor-2.8.6.tar.gz"): (404, ""),
    ("GET", "/files/pykontor/2.8.6/pykontor-2.8.6.tar.gz"): (200, ""),
    ("GET", "/files/../../etc/passwd"): (404, ""),
    ("GET", "/osv/v1/nothing"): (404, ""),
    ("POST", "/simple/"): (405, ""),
    ("DELETE", "/files/pykontor/2.8.6/pykontor-2.8.6.tar.gz"): (405, ""),
}  # fmt: skip


@pytest.mark.parametrize(("method", "path"), ANSWERS)
def test_addresses(method: str, path: str):
    found = answer(packages.Index(1), method, path)
    assert (found.status, found.headers.get("Location", "")) == ANSWERS[method, path]


def test_the_index_as_it_was_on_another_day():
    index = packages.Index(1, FRIDAY)
    assert get(index, "/simple/pykontor/")["versions"][-1] == "2.9.1"
    assert get(index, "/2026-11-16/simple/pykontor/")["versions"][-1] == "2.9.0rc1"
    with_later = get(index, "/2026-11-17/simple/pykontor/")["files"][-1]
    assert with_later["filename"] == "pykontor-2.9.0.tar.gz" and with_later["yanked"] is False


def test_the_mirror_has_the_same_releases_and_one_was_tampered_with():
    index = packages.Index(1, WEDNESDAY, tampered=["targ-units==1.2.0"])
    for project in index.projects():
        honest, copied = (get(index, f"{root}/simple/{project}/")["files"] for root in ("", "/mirror"))
        assert [one["filename"] for one in honest] == [one["filename"] for one in copied]
        assert all(one["url"] == f"/mirror{other['url']}" for one, other in zip(copied, honest, strict=True))
        for one in copied:
            data = answer(index, "GET", one["url"]).body
            assert hashlib.sha256(data).hexdigest() == one["hashes"]["sha256"]
        changed = [a["filename"] for a, b in zip(honest, copied, strict=True) if a["hashes"] != b["hashes"]]
        assert changed == (
            ["pykontor-2.8.6-py3-none-any.whl", "pykontor-2.8.6.tar.gz"] if project == "pykontor" else []
        )
    assert index.mirror().tampered == ["pykontor==2.8.6", "targ-units==1.2.0"] and len(index.tampered) == 1
    # It goes with the days of the index, and has the days before, too.
    assert get(index, "/mirror/2026-11-16/simple/pykontor/")["versions"][-1] == "2.9.0rc1"
    assert answer(index, "GET", "/mirror/simple/Pykontor").headers["Location"] == "/mirror/simple/pykontor/"
    assert b"/mirror/files/pykontor/" in answer(index, "GET", "/mirror/simple/pykontor/", "text/html").body
    assert answer(index, "GET", "/mirrors/simple/").status == answer(index, "GET", "/mirror").status == 404


# ---- over HTTP -------------------------------------------------------------------------------------------------------


def test_the_server_listens_on_a_port_and_on_a_socket_and_ends(tmp_path: Path):
    with kept_port() as ours:  # else a neighbour might listen there by the time that we look
        with packages.Server(packages.Index(1, MONDAY), ours) as server:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            for _ in range(2):  # the connection is kept
                connection.request(
                    "GET", "/simple/", headers={"Accept": simple.JSON, "User-Agent": "pip/23.2.1 {…}".encode()}
                )
                answered = connection.getresponse()
                assert answered.status == 200 and json.load(answered)["projects"]
            server.index.day = TUESDAY
            connection.request("GET", "/simple/pykontor/")
            assert b"pykontor-2.9.0-py3" in connection.getresponse().read(), "from one request to the next"
            assert server.requests[0] == "GET /simple/ 200 pip/23.2.1"
            ((port, path),) = server.services.items()
            assert port == server.port and path == server.socket
            with socket.socket(socket.AF_UNIX) as unix:
                unix.connect(str(path))
                unix.sendall(b"GET /simple/targ-units/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                said = b"".join(iter(lambda: unix.recv(65536), b""))
            assert said.startswith(b"HTTP/1.1 200 OK") and b"targ_units-1.2.0-py3-none-any.whl" in said
            with socket.create_connection(("127.0.0.1", port), 60) as head:
                head.sendall(b"HEAD /simple/ HTTP/1.1\r\nConnection: close\r\n\r\n")
                said = b"".join(iter(lambda: head.recv(65536), b""))
            assert said.endswith(b"\r\n\r\n") and int(re.search(rb"Content-Length: (\d+)", said)[1]) > 100
            with packages.Server(server.index, server.port) as second:
                assert second.port != server.port, "a port that is taken is no reason to fail"
        assert not path.exists()
        server.close()
        with pytest.raises(OSError), socket.create_connection(("127.0.0.1", port), 30):
            pass


def test_what_would_upset_a_server(capfd):
    with packages.Server(packages.Index(1)) as server:

        def ask(request: bytes) -> bytes:
            with socket.create_connection(("127.0.0.1", server.port), 60) as connection:
                connection.sendall(request)
                return connection.recv(65536).partition(b"\r\n")[0]

        assert (
            ask(b"POST /osv/v1/query HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n")
            == b"HTTP/1.1 413 Request Entity Too Large"
        )
        assert ask(b"POST /osv/v1/query HTTP/1.1\r\nContent-Length: -1\r\n\r\n").startswith(b"HTTP/1.1 413")
        assert ask(b"POST /osv/v1/query HTTP/1.1\r\nContent-Length: 7\r\n\r\n[[[[[[[").startswith(b"HTTP/1.1 400")
        assert ask(b"GET /%00%ff/simple/ HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 404")
        with socket.create_connection(("127.0.0.1", server.port), 60) as connection:  # gone in the middle of a request
            connection.sendall(b"GET /simp")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        server.index.files = lambda *_: 1 // 0
        assert ask(b"GET /simple/pykontor/ HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 500")
        del server.index.files
        assert ask(b"GET /simple/pykontor/ HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200")
        for thread in threading.enumerate():
            if "process_request_thread" in thread.name:
                thread.join(60)
    assert capfd.readouterr() == ("", "")


def test_in_the_foreground():
    command = [sys.executable, "-m", "opslab.worlds.packages", "--day", MONDAY]
    with subprocess.Popen([*command, "--tamper", "pykontor==2.8.6"], stdout=subprocess.PIPE, text=True) as running:
        said = ""
        for line in running.stdout:
            said += line
            if line.startswith("#"):
                break
        port = int(re.search(r"^export UV_DEFAULT_INDEX=http://127\.0\.0\.1:(\d+)/simple/$", said, re.MULTILINE)[1])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/simple/pykontor/")
        assert b"2.9.0-py3" not in connection.getresponse().read()
        running.terminate()
    refused = subprocess.run([*command, "--tamper", "pykontor"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2 and "The index never had 'pykontor'" in refused.stderr


@pytest.mark.parametrize("name", ["advisories", "archive", "catalogue", "incident", "index", "server", "simple"])
def test_the_examples_in_the_modules(name: str):
    module = importlib.import_module(f"opslab.worlds.packages.{name}")
    failed, _ = doctest.testmod(module)
    assert failed == 0


def test_the_example_in_the_documentation(tmp_path: Path):
    page = (Path(__file__).parents[1] / "docs" / "packages.md").read_text()
    (example,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    example += "assert (installed.code, loaded.code) == (0, 139), installed"
    subprocess.run([sys.executable, "-c", example], cwd=tmp_path, check=True)


def test_the_documentation_names_tests_that_exist():
    page = (Path(__file__).parents[1] / "docs" / "packages.md").read_text()
    rows = re.findall(r"^\|[^|]+\| `(\w+)`: `(\w+)` \|$", page, re.MULTILINE)
    for file, test in rows:
        assert f"def {test}(" in (Path(__file__).parent / f"{file}.py").read_text(), test
    assert len(rows) > 30


def test_every_source_is_used():
    used = {catalogue.SOURCES / source for seed in SEEDS for one in catalogue.releases(seed) for source in one.sources}
    lying = {path for path in catalogue.SOURCES.rglob("*.py") if path != catalogue.TAMPERED}
    assert all(any(path.is_relative_to(folder) for folder in used) for path in lying)
