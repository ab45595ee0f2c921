"""Advisories: OSV records, the questions that OSV answers, and pip-audit asking them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.version import Version

from opslab import jail
from opslab.worlds import packages, workspace
from opslab.worlds.packages import advisories
from opslab.worlds.packages.server import answer

QUOTING, PARSING, READABLE, WITHDRAWN = "TSA-2026-0003", "TSA-2026-0004", "TSA-2026-0006", "TSA-2025-0011"


def ask(index: packages.Index, what: object, path: str = "/osv/v1/query", method: str = "POST"):
    found = answer(index, method, path, body=what if isinstance(what, bytes) else json.dumps(what).encode())
    return found.status, json.loads(found.body)


def ids(index: packages.Index, name: str, version: str = "", path: str = "/osv/v1/query") -> list[str]:
    asked = {"package": {"name": name, "ecosystem": "PyPI"}, **({"version": version} if version else {})}
    status, found = ask(index, asked, path)
    assert status == 200 and found != {"vulns": []}
    return [record["id"] for record in found.get("vulns", [])]


# ---- records ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(1, 6))
def test_records_have_the_form_of_osv(seed: int):
    """What https://ossf.github.io/osv-schema/ asks for, and ranges and lists of versions that say the same."""
    index = packages.Index(seed, "2026-12-31")
    feed = index.advisories()
    assert len({record["id"] for record in feed}) == len(feed) == 4
    for record in feed:
        assert re.fullmatch(r"[A-Z]+-\d{4}-\d{4}", record["id"]) and record["schema_version"] == "1.6.0"
        for name in {"published", "modified", "withdrawn"} & set(record):
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", record[name]) and record[name] <= record["modified"]
        ((affected,), (severity,)) = record["affected"], record["severity"]
        assert severity["type"] == "CVSS_V3" and severity["score"].startswith("CVSS:3.1/AV:")
        package = affected["package"]
        assert package["ecosystem"] == "PyPI" and package["purl"] == f"pkg:pypi/{package['name']}"
        (versions,) = affected["ranges"]
        assert versions["type"] == "ECOSYSTEM" and "introduced" in versions["events"][0]
        assert set(affected["versions"]) <= {one.version for one in index.releases(package["name"])}
        for release in index.releases(package["name"]):
            hit = record["id"] in ids(index, package["name"], release.version)
            assert hit == (release.version in affected["versions"])


def test_what_is_known_on_a_day(tmp_path: Path):
    index = packages.Index(1, packages.MONDAY)
    known = {packages.MONDAY: [WITHDRAWN], packages.TUESDAY: [WITHDRAWN, QUOTING]}
    known[packages.THURSDAY] = known[packages.FRIDAY] = [WITHDRAWN, QUOTING, PARSING, READABLE]
    for day, expected in known.items():
        index.day = day
        assert [record["id"] for record in index.advisories()] == expected
    assert {path.name for path in index.write_advisories(tmp_path / "feed")} == {f"{id}.json" for id in expected}
    assert json.loads((tmp_path / "feed" / f"{PARSING}.json").read_text()) == index.advisories()[2]
    assert ids(index, "targ-units", "1.2.0", "/2026-11-17/osv/v1/query") == []
    (before,) = index.advisories("2025-06-25")
    assert before["id"] == WITHDRAWN and "withdrawn" not in before
    assert index.advisories()[0]["withdrawn"] == index.advisories()[0]["modified"] == "2025-07-02T06:00:00Z"


# ---- questions -------------------------------------------------------------------------------------------------------


def test_questions():
    index = packages.Index(1, packages.FRIDAY)
    assert ids(index, "pykontor", "2.8.6") == [WITHDRAWN, QUOTING]
    assert ids(index, "PyKontor", "2.9") == [WITHDRAWN], "2.9 is 2.9.0, which quotes"
    assert ids(index, "pykontor", "2.9.0rc1") == [WITHDRAWN, QUOTING], "it comes before 2.9.0"
    assert ids(index, "targ_units", "1.2.0") == [PARSING] and ids(index, "targ-units", "1.2.1") == []
    assert ids(index, "targ-metrics", "0.7.0") == [READABLE] and ids(index, "targ-metrics", "0.7.1") == []
    assert ids(index, "pykontor") == [WITHDRAWN, QUOTING], "without a version, all of them"
    assert ids(index, "requests", "1.0") == []
    purl = ask(index, {"package": {"purl": "pkg:pypi/targ-units@1.1.0"}})
    assert purl == ask(index, {"package": {"purl": "pkg:pypi/targ-units"}, "version": "1.1.0"})
    assert [record["id"] for record in purl[1]["vulns"]] == [PARSING]
    assert ask(index, {"package": {"purl": "pkg:pypi/targ-units@1.2.1"}}) == (200, {})


def test_a_batch_and_a_single_record():
    index = packages.Index(1, packages.FRIDAY)
    queries = [{"package": {"name": name, "ecosystem": "PyPI"}, "version": "1.0.0"} for name in ("targ-units", "no")]
    status, found = ask(index, {"queries": queries}, "/osv/v1/querybatch")
    assert (status, found) == (200, {"results": [{"vulns": [{"id": PARSING, "modified": "2026-11-18T06:00:00Z"}]}, {}]})
    assert ask(index, b"", f"/osv/v1/vulns/{PARSING}", "GET") == (200, index.advisories()[2])
    assert ask(index, b"", "/osv/v1/vulns/CVE-1", "GET") == (404, {"code": 5, "message": "Bug not found."})


BAD = {
    "not json": (b"{", "Expecting property name"),
    "too deep": (b"[" * 100_000, ""),
    "not an object": ([], "The question has no package"),
    "no package": ({"version": "1"}, "The question has no package"),
    "another ecosystem": ({"package": {"name": "x", "ecosystem": "npm"}}, "the question names 'npm'"),
    "another purl": ({"package": {"purl": "pkg:npm/x@1"}}, "the question names 'npm'"),
    "no name": ({"package": {"ecosystem": "PyPI"}}, "A package of the ecosystem PyPI is expected"),
    "no version": ({"package": {"name": "x", "ecosystem": "PyPI"}, "version": "newest"}, "'newest' is not a version"),
    "a list": ({"package": {"name": "x", "ecosystem": "PyPI"}, "version": ["1"]}, "['1'] is not a version"),
}


@pytest.mark.parametrize("name", BAD)
def test_questions_that_are_none(name: str):
    question, words = BAD[name]
    for path in ("/osv/v1/query", "/osv/v1/querybatch"):
        asked = {"queries": [question]} if path.endswith("batch") and not isinstance(question, bytes) else question
        status, found = ask(packages.Index(1), asked, path)
        assert status == 400 and found["code"] == 3 and words in found["message"]
    assert ask(packages.Index(1), {"queries": 5}, "/osv/v1/querybatch")[0] == 400


@pytest.mark.parametrize(
    ("version", "events", "inside"),
    [
        ("1.5", [{"introduced": "1.0"}, {"fixed": "1.5"}], False),
        ("1.5rc1", [{"introduced": "1.0"}, {"fixed": "1.5"}], True),
        ("1.10", [{"introduced": "1.0"}, {"fixed": "1.9"}], False),
        ("0.9", [{"introduced": "1.0"}], False),
        ("1.5", [{"introduced": "0"}, {"last_affected": "1.5"}], True),
        ("1.5.1", [{"introduced": "0"}, {"last_affected": "1.5"}], False),
        ("3.1", [{"introduced": "0"}, {"fixed": "2"}, {"introduced": "3"}, {"fixed": "4"}], True),
        ("2.5", [{"introduced": "0"}, {"fixed": "2"}, {"introduced": "3"}, {"fixed": "4"}], False),
    ],
)
def test_ranges(version: str, events: list[dict[str, str]], inside: bool):
    assert advisories._in_range(Version(version), events) == inside


# ---- pip-audit -------------------------------------------------------------------------------------------------------


class Desk:
    """A workspace with an index on Friday, and a virtual environment in which the locked versions of Monday are."""

    def __init__(self, home: Path, server: packages.Server) -> None:
        self.home, self.server, self.venv = home, server, packages.make_venv(home / "venv")
        self.env = packages.activated(workspace.environment(home, packages.settings(server.url)), self.venv)
        (home / "requirements.txt").write_text("pykontor<2.9\ntarg-metrics\n")
        for command in ("compile --generate-hashes -o lock requirements.txt", "install --require-hashes -r lock"):
            done = self.run("uv", "pip", *command.split(), "--exclude-newer", "2026-11-16")
            assert done.code == 0, done.err

    def run(self, *argv: str) -> jail.Done:
        return jail.run(
            argv,
            home=self.home,
            env=self.env,
            services=self.server.services,
            hide=workspace.secret_folders(),
            read_only=workspace.tool_folders(),
            limits=jail.Limits(seconds=60),
        )

    def audit(self, *options: str) -> tuple[int, dict[str, list[str]], str]:
        """Exit code, what was found in which package, and what was said."""
        done = self.run("pip-audit", "-s", "osv", "--osv-url", self.server.osv_url, "-f", "json", *options)
        assert done.out, done.err
        found = {one["name"]: [vuln["id"] for vuln in one["vulns"]] for one in json.loads(done.out)["dependencies"]}
        return done.code, {name: ids for name, ids in found.items() if ids}, done.err


@pytest.fixture(scope="module")
def audited(tmp_path_factory) -> Iterator[Desk]:
    with packages.Server(packages.Index(1, packages.FRIDAY)) as server:
        yield Desk(tmp_path_factory.mktemp("audit"), server)


ALL = {"pykontor": [QUOTING], "targ-metrics": [READABLE], "targ-units": [PARSING]}


def test_pip_audit_finds_what_is_known_of_a_lock(audited: Desk):
    done = audited.run("pip-audit", "-s", "osv", "--osv-url", audited.server.osv_url, "-r", "lock", "--disable-pip")
    assert done.code == 1 and "Found 3 known vulnerabilities in 3 packages" in done.err, (
        "what was withdrawn is left out"
    )
    rows = done.out
    assert re.search(rf"^pykontor +2\.8\.6 +{QUOTING} +2\.9\.0$", rows, re.MULTILINE), "and what mends it"
    assert re.search(rf"^targ-metrics +0\.7\.0 +{READABLE} *$", rows, re.MULTILINE)
    assert re.search(rf"^targ-units +1\.2\.0 +{PARSING} +1\.2\.1$", rows, re.MULTILINE)


@pytest.mark.slow
def test_pip_audit_looks_into_the_active_environment_or_a_folder(audited: Desk):
    code, found, said = audited.audit()
    assert (code, found) == (1, ALL) and "WARNING" not in said
    (site,) = audited.venv.glob("lib/python*/site-packages")
    assert audited.audit("--path", str(site))[:2] == (1, ALL)


@pytest.mark.slow
def test_exceptions_and_a_clean_result(audited: Desk):
    ignored = [word for id in (QUOTING, READABLE) for word in ("--ignore-vuln", id)]
    assert audited.audit("-r", "lock", "--disable-pip", *ignored)[:2] == (1, {"targ-units": [PARSING]})
    monday = audited.server.url + "/2026-11-16/osv/v1/query"
    done = audited.run("pip-audit", "-s", "osv", "--osv-url", monday, "-r", "lock", "--disable-pip")
    assert done.code == 0 and "No known vulnerabilities found" in done.err
