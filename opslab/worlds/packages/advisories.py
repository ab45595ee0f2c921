"""What is known of vulnerabilities in the packages of the index, in the OSV format, and the questions that OSV answers.

    >>> from opslab.worlds import packages
    >>> feed = packages.Index(seed=1).advisories("2026-11-18")
    >>> [found["id"] for found in query(feed, {"package": {"name": "targ-units", "ecosystem": "PyPI"}, "version": "1.2.0"})]
    ['TSA-2026-0004']

Format: https://ossf.github.io/osv-schema/. Questions: https://google.github.io/osv.dev/api/. What an advisory says is true
of the sources that the packages are made of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from opslab.worlds.packages.catalogue import HOUR, THURSDAY, TUESDAY, WEDNESDAY, Release

ECOSYSTEM = "PyPI"

KNOWN: tuple[dict[str, Any], ...] = (
    {
        "id": "TSA-2025-0011",
        "project": "pykontor",
        "published": "2025-06-24",
        "withdrawn": "2025-07-02",
        "events": ({"introduced": "2.8.0"},),
        "severity": ("MODERATE", "CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:L/I:N/A:N"),
        "summary": "connect() follows links out of the database's folder",
        "details": "Withdrawn: whoever can put a link there can read the file anyway.",
    },
    {
        "id": "TSA-2026-0003",
        "project": "pykontor",
        "published": TUESDAY,
        "aliases": ("KONTOR-2026-02",),
        "events": ({"introduced": "0"}, {"fixed": "2.9.0"}),
        "severity": ("MODERATE", "CVSS:3.1/AV:N/AC:H/PR:L/UI:N/S:U/C:L/I:L/A:N"),
        "summary": "copy_from() pastes the name of the table into its statement unquoted",
        "details": "Whoever can choose the name of the table, for example through a form of a web page, can put SQL there. "
        "Programs in which the name is written down are not affected. 2.9.0 quotes the name.",
    },
    {
        "id": "TSA-2026-0004",
        "project": "targ-units",
        "published": WEDNESDAY,
        "events": ({"introduced": "0"}, {"fixed": "1.2.1"}),
        "severity": ("HIGH", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"),
        "summary": "parse() hangs on long input that is nearly a number",
        "details": "Each digit more doubles the time that parse() takes to find that a text is no number. 32 digits and a "
        "question mark keep a processor busy for minutes.",
    },
    {
        "id": "TSA-2026-0006",
        "project": "targ-metrics",
        "published": THURSDAY,
        "events": ({"introduced": "0"}, {"last_affected": "0.7.0"}),
        "severity": ("LOW", "CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:L/I:N/A:N"),
        "summary": "The file of metrics can be read by every user of the machine",
        "details": "There is no release yet that mends it. Set a umask, or keep the file in a folder of your own.",
    },
)
"""What OSV records are made of. severity: a word, and a CVSS vector."""


class BadQuery(ValueError):
    """OSV does not take this question. The text says why."""


def records(releases: Sequence[Release], day: str) -> list[dict[str, Any]]:
    """The advisories that are published by a day, as OSV records. One that was withdrawn later is not withdrawn yet."""
    return [_record(known, releases, day) for known in KNOWN if known["published"] <= day]


def _record(known: Mapping[str, Any], releases: Sequence[Release], day: str) -> dict[str, Any]:
    word, vector = known["severity"]
    withdrawn = known.get("withdrawn", "9999") <= day
    versions = [release.version for release in releases if release.project == known["project"] and release.day <= day]
    return {
        "schema_version": "1.6.0",
        "id": known["id"],
        "published": known["published"] + HOUR,
        "modified": (known["withdrawn"] if withdrawn else known["published"]) + HOUR,
        **({"withdrawn": known["withdrawn"] + HOUR} if withdrawn else {}),
        "aliases": list(known.get("aliases", ())),
        "summary": known["summary"],
        "details": known["details"],
        "severity": [{"type": "CVSS_V3", "score": vector}],
        "affected": [
            {
                "package": {
                    "ecosystem": ECOSYSTEM,
                    "name": known["project"],
                    "purl": f"pkg:pypi/{known['project']}",
                },
                "ranges": [{"type": "ECOSYSTEM", "events": list(known["events"])}],
                "versions": [one for one in versions if _in_range(Version(one), known["events"])],
            }
        ],
        "references": [{"type": "ADVISORY", "url": f"https://security.targ.example/{known['id']}"}],
        "database_specific": {"severity": word},
    }


def query(feed: Sequence[Mapping[str, Any]], asked: Any) -> list[Mapping[str, Any]]:
    """The records that a question to `/v1/query` finds: {"package": {"name", "ecosystem"}, "version"}, or a purl.

    Without a version, all of the package. Raises BadQuery.
    """
    name, version = _asked(asked)
    found = []
    for record in feed:
        for affected in record["affected"]:
            same = affected["package"]["name"] == name
            if same and (version is None or any(_in_range(version, one["events"]) for one in affected["ranges"])):
                found.append(record)
    return found


def _asked(asked: Any) -> tuple[str, Version | None]:
    """Name and version that a question is about."""
    package = asked.get("package") if isinstance(asked, dict) else None
    if not isinstance(package, dict):
        raise BadQuery('The question has no package; it looks like {"package": {"name": …, "ecosystem": "PyPI"}}.')
    version = asked.get("version")
    name, ecosystem = package.get("name"), package.get("ecosystem")
    if isinstance(package.get("purl"), str):
        kind, _, rest = package["purl"].partition("?")[0].removeprefix("pkg:").partition("/")
        name, _, behind = unquote(rest).partition("@")
        version, ecosystem = behind or version, ECOSYSTEM if kind == "pypi" else kind
    if not isinstance(name, str) or ecosystem != ECOSYSTEM:
        raise BadQuery(f"A package of the ecosystem {ECOSYSTEM} is expected; the question names {ecosystem!r}.")
    try:
        return canonicalize_name(name), Version(str(version)) if version else None
    except InvalidVersion:
        raise BadQuery(f"{version!r} is not a version.") from None


def _in_range(version: Version, events: Sequence[Mapping[str, str]]) -> bool:
    """Whether a version lies between an `introduced` and what ends it; `events` are in the order of versions."""
    inside = False
    for event in events:
        ((what, text),) = event.items()
        if what == "introduced" and (text == "0" or version >= Version(text)):
            inside = True
        if (what == "fixed" and version >= Version(text)) or (what == "last_affected" and version > Version(text)):
            inside = False
    return inside
