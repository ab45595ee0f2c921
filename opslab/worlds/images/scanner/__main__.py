"""Scan what is installed somewhere, and say whether it may go on. For terminals and for jobs of a pipeline.

    scan rootfs/                                   the unpacked files of an image, or a virtual environment
    scan requirements.lock                         a list with exact versions
    scan images/ --image clicks-loader:1.0         an image of a store (OCI layout)

Exit code: 0 passed, 1 held back, 2 could not be scanned.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
from pathlib import Path

from . import audit, gate, installed, sbom
from .installed import ScanError


def main(argv: list[str] | None = None) -> int:
    """Run the command. Returns the exit code."""
    asked = argparse.ArgumentParser(
        prog="scan", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    asked.add_argument("what", metavar="WHAT", help="a folder, a list with exact versions, or a store of images")
    asked.add_argument("--image", metavar="NAME", help="which image of the store")
    asked.add_argument("--exceptions", metavar="FILE", help="findings that are accepted, in TOML")
    asked.add_argument("--json", metavar="FILE", help="write the report as data, too")
    asked.add_argument("--sbom", metavar="FILE", help="write the list of what is installed, in the CycloneDX format")
    asked.add_argument(
        "--osv-url",
        metavar="URL",
        default=os.environ.get("PIP_AUDIT_OSV_URL", ""),
        help="the advisory service (default: PIP_AUDIT_OSV_URL)",
    )
    today = os.environ.get("SCAN_DAY") or datetime.date.today().isoformat()
    asked.add_argument("--day", metavar="YYYY-MM-DD", default=today, help="today (default: SCAN_DAY, or the clock)")
    given = asked.parse_args(argv)
    try:
        if not given.osv_url:
            raise ScanError("no advisory service is named. Set PIP_AUDIT_OSV_URL, or give --osv-url http://…/v1/query")
        entries = gate.read(_text(given.exceptions), given.exceptions) if given.exceptions else []
        packages, version = _installed(given.what, given.image)
        report = gate.decide(audit.audit(packages, given.osv_url), entries, given.day)
        if given.json:
            _write(given.json, json.dumps(report.as_dict(), indent=2) + "\n")
        if given.sbom:
            _write(given.sbom, sbom.bom(packages, given.image or given.what, version, given.day))
    except ScanError as error:
        print(f"scan: {error}", file=sys.stderr)
        return 2
    print(report.text())
    return 0 if report.passed else 1


def _installed(what: str, image: str | None) -> tuple[list[installed.Package], str]:
    """The packages, and the version of what was scanned: an image's digest."""
    if image:
        if not Path(what, "oci-layout").is_file():
            raise ScanError(f"{what} is no store of images: there is no file oci-layout in it")
        try:
            from opslab.worlds.images.store import Store, StoreError
        except ImportError:
            raise ScanError("images cannot be opened here; give a folder, or a list with exact versions") from None
        try:
            store = Store(what)
            found = store.find(image)
            return installed.in_image(store, found), found.digest
        except StoreError as error:
            raise ScanError(str(error)) from None
    if Path(what).is_dir():
        return installed.in_folder(what), ""
    return installed.in_list(_text(what), what), ""


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ScanError(f"there is no file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ScanError(f"{path} cannot be read: {error}") from None


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ScanError(f"{path} cannot be written: {error.strerror}") from None


if __name__ == "__main__":
    sys.exit(main())
