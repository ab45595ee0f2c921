"""What is known of vulnerabilities in some packages: real pip-audit asks a service that speaks OSV, and this reads its answer.

    >>> found = audit([Package("pykontor", "2.8.6")], server.osv_url)                           # doctest: +SKIP
    >>> found.findings[0].id, found.findings[0].severity, found.findings[0].mended_in           # doctest: +SKIP
    ('TSA-2026-0003', 'MODERATE', ('2.9.0',))

pip-audit gets names and exact versions, not the image: nothing of it is installed, imported or run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import InvalidName, canonicalize_name
from packaging.version import InvalidVersion, Version

from .installed import Package, ScanError, shown

SECONDS = 120
RECORD_BYTES = 1024 * 1024


@dataclass(frozen=True, order=True)
class Finding:
    """An advisory that is about an installed package.

    severity: the advisory's own word (LOW, MODERATE, HIGH, CRITICAL), or UNKNOWN. mended_in: versions without the problem, often
    none. paths: where the package is installed.
    """

    package: str
    version: str
    id: str
    aliases: tuple[str, ...] = ()
    severity: str = "UNKNOWN"
    mended_in: tuple[str, ...] = ()
    summary: str = ""
    url: str = ""
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Audit:
    """What was asked and what was found. unknown: packages of which nobody can say anything, each with the reason."""

    packages: tuple[Package, ...]
    findings: tuple[Finding, ...]
    unknown: tuple[tuple[Package, str], ...] = ()


def audit(packages: Iterable[Package], osv_url: str) -> Audit:
    """Ask pip-audit. osv_url: the address for questions, http://127.0.0.1:PORT/osv/v1/query. Raises ScanError."""
    packages = tuple(packages)
    if not packages:
        raise ScanError("no package is installed there, so nothing was scanned. Is it the right place?")
    places, unknown = _places(packages)
    findings = []
    for versions in _rounds(places):
        for about in _pip_audit(versions, osv_url):
            known = versions.get(about["name"], "")
            paths = tuple(path for path in places.get((about["name"], known), ()) if path)
            findings += [_finding(about, one, paths, _record(osv_url, one["id"])) for one in about.get("vulns", ())]
            if "skip_reason" in about:
                unknown.append((Package(about["name"], known), about["skip_reason"]))
    return Audit(packages, tuple(sorted(findings)), tuple(unknown))


def _places(packages: Iterable[Package]) -> tuple[dict[tuple[str, str], list[str]], list[tuple[Package, str]]]:
    """Where each (name, version) is installed, in their normal form; and what has no such form."""
    places: dict[tuple[str, str], list[str]] = {}
    unknown = []
    for one in packages:
        try:
            # Without its local part (2.8.6+targ1), which says who built it: advisories do not know of it.
            name, version = canonicalize_name(one.name, validate=True), Version(one.version).public
            places.setdefault((name, version), []).append(one.path)
        except InvalidName:
            unknown.append((one, "no package on an index can have this name"))
        except InvalidVersion:
            unknown.append((one, "its version is none that an advisory could name"))
    return places, unknown


def _rounds(places: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """The packages in groups that have each name once. An image can have a package twice; pip-audit takes no such list."""
    rounds: list[dict[str, str]] = []
    for name, version in sorted(places):
        group = next((group for group in rounds if name not in group), None)
        if group is None:
            rounds.append(group := {})
        group[name] = version
    return rounds


def _pip_audit(versions: Mapping[str, str], osv_url: str) -> list[dict[str, Any]]:
    """What pip-audit says of exact versions, by name: its list of dependencies."""
    with tempfile.TemporaryDirectory(prefix="scan-") as folder:
        # It keeps a cache in its HOME, and reads settings from variables. Neither is to be the user's.
        listed = Path(folder, "installed.txt")
        listed.write_text("".join(f"{name}=={version}\n" for name, version in versions.items()))
        command = [sys.executable, "-I", "-m", "pip_audit", "--vulnerability-service", "osv", "--osv-url", osv_url]
        command += ["--requirement", str(listed), "--no-deps", "--disable-pip"]
        command += ["--format", "json", "--aliases", "on", "--desc", "on", "--progress-spinner", "off"]
        env = {"HOME": folder, "PATH": os.defpath, "NO_PROXY": "*", "PIP_CONFIG_FILE": os.devnull}
        try:
            done = subprocess.run(
                command, env=env, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise ScanError(f"pip-audit was not ready after {SECONDS} seconds; is {osv_url} slow?") from None
    if "No module named pip_audit" in done.stderr:
        raise ScanError(f"pip-audit is not installed. Get it: {sys.executable} -m pip install pip-audit")
    try:
        return json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        why = "nobody answers there" if "ConnectionError" in last[0] else f"it says: {shown(last[0], 200)}"
        raise ScanError(f"pip-audit could not ask the advisory service {osv_url}: {why}") from None


def _finding(
    about: Mapping[str, Any], one: Mapping[str, Any], paths: tuple[str, ...], record: Mapping[str, Any]
) -> Finding:
    links = [link["url"] for link in record.get("references", ()) if link.get("type") == "ADVISORY"]
    return Finding(
        package=about["name"],
        version=about["version"],
        id=one["id"],
        aliases=tuple(one.get("aliases", ())),
        severity=str(record.get("database_specific", {}).get("severity", "UNKNOWN")).upper(),
        mended_in=tuple(one["fix_versions"]),
        summary=one.get("description", ""),
        url=links[0] if links else "",
        paths=paths,
    )


def _record(osv_url: str, id: str) -> dict[str, Any]:
    """The whole record of an advisory, for what pip-audit leaves out: how severe it is. {} where it cannot be had."""
    url = f"{osv_url.removesuffix('/query')}/vulns/{id}"
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=10) as answer:
            found = json.loads(answer.read(RECORD_BYTES))
            return found if isinstance(found, dict) else {}
    except (OSError, ValueError, urllib.error.URLError):
        return {}
