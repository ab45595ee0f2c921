"""The gate: which findings hold an image back, and which exceptions let one pass.

    >>> entries = read('''
    ... [[exception]]
    ... id = "TSA-2026-0003"
    ... package = "pykontor"
    ... until = 2026-12-01
    ... who = "ana"
    ... reason = "load.py writes the name of the table itself. 2.9.0 kills the service; we wait for 2.9.1."
    ... ''')
    >>> report = decide(found, entries, "2026-11-18")                                           # doctest: +SKIP
    >>> report.passed, report.as_dict()["findings"][0]["state"]                                 # doctest: +SKIP
    (True, 'excepted')

An exception is about one advisory in one package. It says why, until when, and who answers for it; one that does not is listed
with what is wrong, and does not count. What no advisory can be asked about (`Audit.unknown`) holds the image back, too.
"""

from __future__ import annotations

import datetime
import difflib
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from packaging.utils import canonicalize_name

from .audit import Audit, Finding
from .installed import ScanError, shown

FILE_BYTES = 200_000
FIELDS = {
    "id": "the advisory that it is about, such as TSA-2026-0003",
    "package": "the package that it is about",
    "until": "the last day on which it counts, such as 2026-12-01",
    "who": "who answers for it: a name or a team",
    "reason": "why this image may go on all the same",
}
MOST_DAYS = 90
"""How far ahead an exception may reach. Nobody knows what will be true in a year, and nobody looks at it again."""

REASON_WORDS = 5
"""A reason has at least so many words. Fewer only say that there is one."""

SEVERITIES = {"MODERATE": "MEDIUM", "UNKNOWN": "UNDEFINED"}
"""Words of advisories for which ECR has others."""


@dataclass(frozen=True)
class Problem:
    """What is wrong with an exception. code: for programs; text: for people."""

    code: str
    text: str


@dataclass(frozen=True)
class Entry:
    """One [[exception]] of the file. problems: what is wrong with it whatever the image; then it does not count."""

    number: int
    id: str = ""
    package: str = ""
    until: datetime.date | None = None
    who: str = ""
    reason: str = ""
    problems: tuple[Problem, ...] = ()

    def is_about(self, finding: Finding) -> bool:
        """Whether it names this advisory, by its id or an alias, and this package."""
        return self.names(finding) and canonicalize_name(self.package) == finding.package

    def names(self, finding: Finding) -> bool:
        """Whether it names this advisory."""
        return self.id.upper() in {name.upper() for name in (finding.id, *finding.aliases)}


# ---- the file of exceptions ------------------------------------------------------------------------------------------


def read(text: str, name: str = "exceptions.toml") -> list[Entry]:
    """The exceptions of a file in TOML, [[exception]] each. Raises ScanError where it is no such file."""
    if len(text) > FILE_BYTES:
        raise ScanError(f"{name} is larger than {FILE_BYTES:,} characters; that many exceptions are none")
    try:
        found = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ScanError(f"{name} is no TOML: {shown(error, 200)}") from None
    tables = found.pop("exception", [])
    if found:
        raise ScanError(f"{name}: {shown(next(iter(found)))!r} is unknown; each exception begins with [[exception]]")
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ScanError(
            f"{name}: an exception begins with [[exception]], in two pairs of brackets, because there can be more"
        )
    return [_entry(number, table) for number, table in enumerate(tables, 1)]


def _entry(number: int, table: dict[str, Any]) -> Entry:
    problems = []
    for key in table.keys() - FIELDS.keys():
        near = difflib.get_close_matches(key, FIELDS, 1)
        hint = f"did you mean {near[0]}?" if near else f"an exception has {', '.join(FIELDS)}"
        problems.append(Problem("unknown-field", f"{shown(key)!r} is no field of an exception; {hint}"))
    texts = {key: " ".join(str(table.get(key, "")).split()) for key in FIELDS}
    for key, meaning in FIELDS.items():
        if not texts[key]:
            problems.append(Problem(f"no-{key}", f"it has no {key}: {meaning}"))
        elif key != "until" and not isinstance(table[key], str):
            problems.append(Problem(f"no-{key}", f"its {key} has to be text in quotes: {meaning}"))
    for key in ("id", "package"):
        if "*" in texts[key]:
            problems.append(
                Problem(
                    "too-wide", f"its {key} is {shown(texts[key])}; an exception is about one advisory in one package"
                )
            )
    if texts["reason"] and len(texts["reason"].split()) < REASON_WORDS:
        problems.append(
            Problem(
                "thin-reason",
                f"its reason is {shown(texts['reason'])!r}; say why the problem cannot hurt here, or what it waits for",
            )
        )
    until = _day(table.get("until"))
    if texts["until"] and not until:
        problems.append(
            Problem("no-until", f"its until, {shown(texts['until'])!r}, is no day; write {FIELDS['until'][-10:]}")
        )
    fields = {key: texts[key] for key in ("id", "package", "who", "reason")}
    return Entry(number, **fields, until=until, problems=tuple(problems))


def _day(value: Any) -> datetime.date | None:
    """A day of TOML, as a date, a time, or a text like 2026-12-01."""
    if isinstance(value, datetime.datetime):
        return value.date()
    if isinstance(value, datetime.date):
        return value
    try:
        return datetime.date.fromisoformat(value) if isinstance(value, str) and len(value) == 10 else None
    except ValueError:
        return None


# ---- the verdict -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Decided:
    """A finding, and the exception that lets it pass, if one does."""

    finding: Finding
    entry: Entry | None = None


@dataclass(frozen=True)
class Judged:
    """An exception on a day, for an image. state: used, unused or refused; problems say why."""

    entry: Entry
    state: str
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class Report:
    """What a scan has come to. `passed`: whether the image may go on."""

    day: str
    audit: Audit = field(repr=False)
    findings: tuple[Decided, ...]
    exceptions: tuple[Judged, ...]

    @property
    def passed(self) -> bool:
        return not self.open and not self.audit.unknown

    @property
    def open(self) -> list[Finding]:
        """The findings that no exception covers."""
        return [one.finding for one in self.findings if not one.entry]

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain data, for JSON."""
        return {
            "passed": self.passed,
            "day": self.day,
            "packages": [{"name": one.name, "version": one.version, "path": one.path} for one in self.audit.packages],
            "findings": [
                {
                    "id": one.finding.id,
                    "aliases": list(one.finding.aliases),
                    "package": one.finding.package,
                    "version": one.finding.version,
                    "paths": list(one.finding.paths),
                    "severity": one.finding.severity,
                    "mended_in": list(one.finding.mended_in),
                    "summary": one.finding.summary,
                    "url": one.finding.url,
                    "state": "excepted" if one.entry else "open",
                    "exception": one.entry.number if one.entry else None,
                }
                for one in self.findings
            ],
            "exceptions": [
                {
                    "number": one.entry.number,
                    "id": one.entry.id,
                    "package": one.entry.package,
                    "until": str(one.entry.until or ""),
                    "who": one.entry.who,
                    "reason": one.entry.reason,
                    "state": one.state,
                    "problems": [{"code": problem.code, "text": problem.text} for problem in one.problems],
                }
                for one in self.exceptions
            ],
            "unknown": [
                {"name": one.name, "version": one.version, "path": one.path, "why": why}
                for one, why in self.audit.unknown
            ],
        }

    def for_ecr(self) -> list[dict[str, Any]]:
        """The findings as AWS's API has them (ImageScanFinding), for `describe-image-scan-findings`. ECR knows no exceptions."""
        return [
            {
                "name": one.finding.id,
                "description": one.finding.summary,
                "uri": one.finding.url,
                "severity": SEVERITIES.get(one.finding.severity, one.finding.severity),
                "attributes": [
                    {"key": "package_name", "value": one.finding.package},
                    {"key": "package_version", "value": one.finding.version},
                ],
            }
            for one in self.findings
        ]

    def text(self) -> str:
        """All of it for people: a table of findings, what is wrong with exceptions, and the verdict."""
        lines = []
        if self.findings:
            rows = [("PACKAGE", "INSTALLED", "ADVISORY", "SEVERITY", "MENDED IN", "")]
            rows += [
                (
                    f.package,
                    f.version,
                    f.id,
                    f.severity.lower(),
                    ", ".join(f.mended_in) or "-",
                    "accepted" if e else "OPEN",
                )
                for f, e in ((one.finding, one.entry) for one in self.findings)
            ]
            widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
            lines += ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows] + [""]
        for one in self.findings:
            about = f"{one.finding.id}: {shown(one.finding.summary, 200)}"
            lines.append(f"{about}\n    accepted until {_until(one.entry)}" if one.entry else about)
        for one, why in self.audit.unknown:
            lines.append(f"{shown(one.name)} {shown(one.version)} could not be looked up: {why}.")
        for one in self.exceptions:
            for problem in one.problems:
                named = f" ({shown(one.entry.id)})" if one.entry.id else ""
                does = "does not count" if one.state == "refused" else "is not needed"
                lines.append(f"Exception {one.entry.number}{named} {does}: {problem.text}.")
        count, accepted = len(self.audit.packages), len(self.findings) - len(self.open)
        verdict = f"{count} package{'s' * (count != 1)}, {len(self.open)} open, {accepted} accepted"
        verdict += f", {len(self.audit.unknown)} unknown" * bool(self.audit.unknown)
        return "\n".join([*lines, "" if lines else "Nothing is known against what is installed.", verdict]).lstrip() + (
            f": {'passed' if self.passed else 'HELD BACK'} on {self.day}"
        )


def _until(entry: Entry) -> str:
    return f"{entry.until} by {shown(entry.who)}: {shown(entry.reason, 300)}"


def decide(audit: Audit, entries: Iterable[Entry], day: str) -> Report:
    """Hold what was found against the exceptions. day: today, YYYY-MM-DD. Raises ScanError for a day that is none."""
    try:
        today = datetime.date.fromisoformat(day)
    except ValueError:
        raise ScanError(f"{shown(day)!r} is no day; write it as 2026-11-17") from None
    judged = [_judge(entry, audit.findings, today) for entry in entries]
    valid = [one.entry for one in judged if one.state == "used"]
    decided = tuple(
        Decided(finding, next((entry for entry in valid if entry.is_about(finding)), None))
        for finding in audit.findings
    )
    return Report(day, audit, decided, tuple(judged))


def _judge(entry: Entry, findings: Sequence[Finding], today: datetime.date) -> Judged:
    problems = list(entry.problems)
    if entry.until and entry.until < today:
        problems.append(Problem("expired", f"it ended on {entry.until}; look again, and mend it or give a new reason"))
    elif entry.until and (entry.until - today).days > MOST_DAYS:
        problems.append(
            Problem("too-long", f"it would last until {entry.until}; {MOST_DAYS} days from today are the most")
        )
    named = [finding for finding in findings if entry.names(finding)]
    if entry.id and entry.package and named and not any(map(entry.is_about, named)):
        packages = " and ".join(sorted({finding.package for finding in named}))
        problems.append(Problem("other-package", f"{entry.id} is about {packages}, not about {shown(entry.package)}"))
    if problems:
        return Judged(entry, "refused", tuple(problems))
    if not named:
        unused = Problem(
            "unused", "the scan does not find this advisory. Delete the exception, so that nobody relies on it"
        )
        return Judged(entry, "unused", (unused,))
    return Judged(entry, "used")
