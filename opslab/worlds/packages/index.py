"""The package index of a world: what can be had on a day, and whether somebody has tampered with it.

    >>> index = Index(seed=1, day="2026-11-16")
    >>> index.newest("pykontor") < index.newest("pykontor", day="2026-11-17")
    True

Nothing is stored but the day and what was tampered with: the files follow from the seed. `server.Server` serves an index;
`write_folder` makes a folder of wheels of it, for `--no-index --find-links`.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import Version

from opslab.worlds.packages import advisories, catalogue
from opslab.worlds.packages.catalogue import File, Release

LAST_DAY = "9999-12-31"


class PackagesError(ValueError):
    """There is no such day, release or file. The text is one sentence for the learner."""


def checked_day(text: str) -> str:
    """A day as YYYY-MM-DD. Raises PackagesError where it is none."""
    try:
        return datetime.date.fromisoformat(text).isoformat()
    except (ValueError, TypeError):
        raise PackagesError(f'{text!r} is not a day: write it as "{catalogue.TUESDAY}".') from None


class Index:
    """The index of one seed, as it is on `day`.

    tampered: releases whose files somebody has replaced, as "pykontor==2.8.6".
    state: a file that remembers day and tampering. Where it exists, what it says counts, also when another process changed
        it; without one, this object remembers.
    """

    def __init__(
        self, seed: int = 1, day: str = catalogue.TUESDAY, *, tampered: Iterable[str] = (), state: Path | None = None
    ) -> None:
        self.seed, self._file = seed, state
        self._known = {"day": checked_day(day), "tampered": sorted(_spec(self._named(release)) for release in tampered)}

    # -- what changes

    @property
    def day(self) -> str:
        """Today, as far as the index knows."""
        return self._read()["day"]

    @day.setter
    def day(self, day: str) -> None:
        self._write(day=checked_day(day))

    @property
    def tampered(self) -> list[str]:
        """The releases that somebody has replaced."""
        return self._read()["tampered"]

    def tamper(self, release: str) -> None:
        """From now on serve other bytes under the names of this release ("pykontor==2.8.6"), with their own hashes.

        That is what somebody does who has got into the index: a hash that it gives says nothing then.
        """
        self._write(tampered=sorted({*self.tampered, _spec(self._named(release))}))

    def mend(self) -> None:
        """Serve the honest files again, of all releases."""
        self._write(tampered=[])

    def mirror(self) -> Index:
        """Another place with the same releases, as it is now: the office's copy. Somebody has been at the last driver before 2.9 there."""
        last = f"pykontor=={self.newest('pykontor', below='2.9')}"
        return Index(self.seed, self.day, tampered=[*self.tampered, last])

    def _read(self) -> dict[str, Any]:
        if self._file is None or not self._file.exists():
            return self._known
        try:
            found = json.loads(self._file.read_text())
            tampered = [_spec(self._named(one)) for one in found["tampered"]]
            return {"day": checked_day(found["day"]), "tampered": tampered}
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise PackagesError(
                f"{self._file} does not say what day it is on the index ({error}). Delete it; the index begins anew."
            ) from None

    def _write(self, **changes: Any) -> None:
        known = {**self._read(), **changes}
        if self._file is None:
            self._known = known
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._file.with_name(f"{self._file.name}.new")
        fresh.write_text(json.dumps(known) + "\n")
        fresh.replace(self._file)

    # -- what there is

    def projects(self, day: str = "") -> list[str]:
        """The names of all projects that have a release."""
        return sorted({release.project for release in self.releases(day=day)})

    def releases(self, project: str = "", day: str = "") -> list[Release]:
        """The releases there are on a day (default: today), of one project or of all."""
        day = checked_day(day or self.day)
        name = canonicalize_name(project)
        return [
            release for release in catalogue.releases(self.seed) if release.day <= day and name in ("", release.project)
        ]

    def is_yanked(self, release: Release, day: str = "") -> bool:
        """Whether a release is yanked by that day: to be installed only by whoever names exactly this version (PEP 592)."""
        return bool(release.yanked) and release.yanked_on <= checked_day(day or self.day)

    def newest(self, project: str, below: str = "", day: str = "") -> Version:
        """The version that an unpinned requirement gets: the newest that is neither yanked nor a pre-release.

        below: only versions before this one.
        """
        versions = [Version(one.version) for one in self.releases(project, day) if not self.is_yanked(one, day)]
        fitting = [one for one in versions if not one.is_prerelease and (not below or one < Version(below))]
        if not fitting:
            raise PackagesError(f"The index has no {project}{below and f' below {below}'} on {day or self.day}.")
        return max(fitting)

    def files(self, project: str = "", day: str = "") -> list[File]:
        """All files on a day, of one project or of all; where somebody has tampered with a release, theirs."""
        tampered = self.tampered
        return [
            file
            for release in self.releases(project, day)
            for file in catalogue.files_of(release, self.seed, _spec(release) not in tampered)
        ]

    def file(self, name: str) -> File:
        """The file of this name, of whatever day. Raises PackagesError where there is none."""
        for file in self.files(day=LAST_DAY):
            if file.name == name:
                return file
        raise PackagesError(f"The index has no file {name}.")

    def advisories(self, day: str = "") -> list[dict[str, Any]]:
        """What is known of vulnerabilities on a day (default: today), as OSV records."""
        return advisories.records(catalogue.releases(self.seed), checked_day(day or self.day))

    def _named(self, text: str) -> Release:
        for release in catalogue.releases(self.seed):
            if _spec(release) == text:
                return release
        raise PackagesError(f'The index never had {text!r}; write it as "{_spec(catalogue.releases(self.seed)[0])}".')

    # -- as folders

    def write_folder(self, folder: str | Path, day: str = "") -> list[Path]:
        """Put the wheels of a day into a folder that can be used with `--no-index --find-links`; gives their paths.

        A folder cannot say that a release is yanked, so those are left out. What else lies there stays.
        """
        Path(folder).mkdir(parents=True, exist_ok=True)
        paths = []
        for file in self.files(day=day):
            if file.is_wheel and not self.is_yanked(file.release, day):
                paths.append(Path(folder, file.name))
                paths[-1].write_bytes(file.data)
        return paths

    def write_advisories(self, folder: str | Path, day: str = "") -> list[Path]:
        """Put the advisories of a day into a folder, one file for each, as https://osv.dev/ hands them out."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        paths = []
        for record in self.advisories(day):
            paths.append(Path(folder, f"{record['id']}.json"))
            paths[-1].write_text(json.dumps(record, indent=2) + "\n")
        return paths


def _spec(release: Release) -> str:
    return f"{release.project}=={release.version}"


def build_wheels(
    folder: str | Path, seed: int = 1, day: str = catalogue.TUESDAY, tampered: Iterable[str] = ()
) -> list[Path]:
    """`Index.write_folder` of the index of a seed. tampered: as for `Index`."""
    return Index(seed, day, tampered=tampered).write_folder(folder)
