"""The scanner without its tools: what is installed, which exceptions count, and the verdict."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from opslab.worlds.images.scanner import audit, gate, installed
from opslab.worlds.images.scanner.audit import Audit, Finding
from opslab.worlds.images.scanner.installed import Package, ScanError, in_folder, in_list, shown

TODAY = "2026-11-18"
QUOTING = Finding(
    *("pykontor", "2.8.6", "TSA-2026-0003", ("KONTOR-2026-02",), "MODERATE", ("2.9.0",), "copy_from() does not quote"),
    url="https://security.targ.example/TSA-2026-0003",
    paths=("usr/lib/python3/pykontor-2.8.6.dist-info",),
)
PARSING = Finding("targ-units", "1.2.0", "TSA-2026-0004", severity="HIGH", summary="parse() hangs")
FOUND = Audit((Package("pykontor", "2.8.6"), Package("targ-units", "1.2.0")), (QUOTING, PARSING))
GOOD = {
    "id": "TSA-2026-0003",
    "package": "pykontor",
    "until": "2026-12-01",
    "who": "ana",
    "reason": "load.py writes the name of the table itself.",
}


def file_of(*tables: dict[str, object]) -> str:
    """A file of exceptions."""
    lines = [
        ["[[exception]]", *(f"{json.dumps(key)} = {json.dumps(value)}" for key, value in one.items())] for one in tables
    ]
    return "\n".join(line for table in lines for line in table) + "\n"


def report(*tables: dict[str, object], found: Audit = FOUND, day: str = TODAY) -> gate.Report:
    return gate.decide(found, gate.read(file_of(*tables)), day)


def codes(*tables: dict[str, object], day: str = TODAY) -> list[str]:
    """What is wrong with the only exception; it then does not count."""
    made = report(*tables, day=day)
    (judged,) = made.exceptions
    assert (
        (judged.state == "used")
        == (not judged.problems)
        == (PARSING.id in [one.id for one in made.open] == [PARSING.id])
    )
    return [problem.code for problem in judged.problems]


# ---- the verdict ------------------------------------------------------------------------------------------------------


def test_what_is_found_holds_back_and_an_exception_lets_it_pass():
    assert not report().passed and report().open == [QUOTING, PARSING]
    one = report(GOOD)
    assert not one.passed and one.open == [PARSING]
    both = report(GOOD, {**GOOD, "id": PARSING.id, "package": "targ-units"})
    assert both.passed and [judged.state for judged in both.exceptions] == ["used", "used"]
    clean = report(found=Audit((Package("a", "1"),), ()))
    assert clean.passed and clean.text() == (
        "Nothing is known against what is installed.\n1 package, 0 open, 0 accepted: passed on 2026-11-18"
    )


def test_what_nobody_can_ask_about_holds_back():
    odd = Package("tool", "from a branch", "opt/tool.dist-info")
    made = report(found=Audit((odd,), (), ((odd, "its version is none that an advisory could name"),)))
    assert not made.passed and not made.open
    assert "tool from a branch could not be looked up: its version is none" in made.text()
    assert made.as_dict()["unknown"][0]["path"] == "opt/tool.dist-info"


@pytest.mark.parametrize(
    "change",
    [
        {"id": "KONTOR-2026-02"},
        {"id": "tsa-2026-0003"},
        {"package": "PyKontor"},
        {"until": TODAY},
        {"until": "2027-02-16"},
        {"who": "team payments"},
    ],
)
def test_exceptions_that_count(change: dict[str, str]):
    assert codes({**GOOD, **change}) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        *(({key: None}, [f"no-{key}"]) for key in GOOD),
        *(({key: "  "}, [f"no-{key}"]) for key in GOOD),
        ({"reason": "risk accepted"}, ["thin-reason"]),
        ({"reason": "it is fine"}, ["thin-reason"]),
        ({"until": "2026-11-17"}, ["expired"]),
        ({"until": "2027-02-17"}, ["too-long"]),
        ({"until": "2099-01-01"}, ["too-long"]),
        ({"until": "01.12.2026"}, ["no-until"]),
        ({"until": "forever"}, ["no-until"]),
        ({"until": "2026-13-01"}, ["no-until"]),
        ({"until": 20261201}, ["no-until"]),
        ({"id": "*"}, ["too-wide"]),
        ({"id": "TSA-2026-*"}, ["too-wide"]),
        ({"package": "*"}, ["too-wide", "other-package"]),
        ({"package": "targ-units"}, ["other-package"]),
        ({"id": "TSA-2026-0009"}, ["unused"]),
        ({"id": 3}, ["no-id"]),
        ({"who": ["ana"]}, ["no-who"]),
        ({"untill": "2026-12-01", "until": None}, ["unknown-field", "no-until"]),
        ({"severity": "low"}, ["unknown-field"]),
        ({"reason": "ok", "until": "2026-11-01", "who": ""}, ["no-who", "thin-reason", "expired"]),
    ],
)
def test_exceptions_that_do_not_count(change: dict[str, object], expected: list[str]):
    table = {key: value for key, value in {**GOOD, **change}.items() if value is not None}
    assert codes(table) == expected


def test_each_problem_has_words_of_its_own():
    made = [
        {**GOOD, "reason": ""},
        {**GOOD, "until": "2026-11-10"},
        {**GOOD, "until": "soon"},
        {**GOOD, "package": "targ-units"},
        {**GOOD, "untill": "2026-12-01"},
        {**GOOD, "id": "TSA-2020-0001"},
    ]
    text = report(*made).text()
    for words in (
        "Exception 1 (TSA-2026-0003) does not count: it has no reason: why this image may go on all the same.",
        "Exception 2 (TSA-2026-0003) does not count: it ended on 2026-11-10; look again",
        "Exception 3 (TSA-2026-0003) does not count: its until, 'soon', is no day; write 2026-12-01.",
        "Exception 4 (TSA-2026-0003) does not count: TSA-2026-0003 is about pykontor, not about targ-units.",
        "Exception 5 (TSA-2026-0003) does not count: 'untill' is no field of an exception; did you mean until?",
        "Exception 6 (TSA-2020-0001) is not needed: the scan does not find this advisory.",
    ):
        assert words in text


def test_one_good_exception_is_enough_beside_bad_ones():
    made = report({**GOOD, "until": "2026-11-01"}, GOOD, {**GOOD, "reason": "ok"})
    assert made.open == [PARSING] and [one.state for one in made.exceptions] == ["refused", "used", "refused"]
    assert made.as_dict()["findings"][0]["exception"] == 2


def test_days_are_dates_or_texts():
    for until in ("2026-12-01", '"2026-12-01"', "2026-12-01T12:00:00Z"):
        (entry,) = gate.read(file_of({**GOOD, "until": "X"}).replace('"X"', until))
        assert str(entry.until) == "2026-12-01" and not entry.problems


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[exception]\n", "exceptions.toml is no TOML"),
        ("x = " + "[" * 100_000, "is no TOML"),
        ("[exception]\nid = 'x'\n", "in two pairs of brackets"),
        ("exception = 5\n", "in two pairs of brackets"),
        ("exception = [1]\n", "in two pairs of brackets"),
        ("[[exceptions]]\nid = 'x'\n", "'exceptions' is unknown; each exception begins with [[exception]]"),
        ("#" * 200_001, "larger than 200,000 characters"),
    ],
)
def test_files_that_are_none(text: str, words: str):
    with pytest.raises(ScanError) as error:
        gate.read(text)
    assert words in str(error.value) and len(str(error.value)) < 300


def test_a_day_that_is_none():
    with pytest.raises(ScanError, match="'today' is no day; write it as 2026-11-17"):
        report(day="today")


# ---- what comes out ---------------------------------------------------------------------------------------------------


def test_the_table():
    assert report(GOOD).text().splitlines() == [
        "PACKAGE     INSTALLED  ADVISORY       SEVERITY  MENDED IN",
        "pykontor    2.8.6      TSA-2026-0003  moderate  2.9.0      accepted",
        "targ-units  1.2.0      TSA-2026-0004  high      -          OPEN",
        "",
        "TSA-2026-0003: copy_from() does not quote",
        "    accepted until 2026-12-01 by ana: load.py writes the name of the table itself.",
        "TSA-2026-0004: parse() hangs",
        "",
        "2 packages, 1 open, 1 accepted: HELD BACK on 2026-11-18",
    ]


def test_the_report_as_data():
    made = report(GOOD).as_dict()
    assert json.loads(json.dumps(made)) == made
    assert (made["passed"], made["day"]) == (False, TODAY)
    assert made["packages"][0] == {"name": "pykontor", "version": "2.8.6", "path": ""}
    first, second = made["findings"]
    assert (first["state"], first["exception"], first["aliases"]) == ("excepted", 1, ["KONTOR-2026-02"])
    assert (second["state"], second["exception"], second["severity"]) == ("open", None, "HIGH")
    assert made["exceptions"] == [{"number": 1, **GOOD, "state": "used", "problems": []}]


def test_the_findings_for_ecr():
    first, second = report(GOOD).for_ecr()
    assert first["name"] == QUOTING.id and first["uri"] == QUOTING.url and first["description"] == QUOTING.summary
    assert [one["severity"] for one in (first, second)] == ["MEDIUM", "HIGH"], "in ECR's words"
    assert first["attributes"] == [
        {"key": "package_name", "value": "pykontor"},
        {"key": "package_version", "value": "2.8.6"},
    ]


def test_what_others_wrote_cannot_play_with_the_terminal():
    nasty = "\x1b[2J" + "x" * 500 + "\n\rmore"
    assert "\x1b" not in shown(nasty) and len(shown(nasty)) == 120 and "\n" not in shown(nasty)
    made = report({**GOOD, "who": nasty, "reason": nasty + " and so on and on"}, {**GOOD, "until": nasty, nasty: 1})
    odd = Package(nasty, nasty)
    text = made.text() + gate.decide(Audit((odd,), (), ((odd, "why"),)), [], TODAY).text()
    assert "\x1b" not in text and "\r" not in text


# ---- what is installed ------------------------------------------------------------------------------------------------


def put(folder: Path, path: str, text: str = "") -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(text)


def test_packages_in_a_folder(tmp_path: Path):
    """Anywhere below it; by their metadata, or by the name of the folder where somebody has taken that away."""
    rootfs = tmp_path / "rootfs"
    put(
        rootfs,
        "usr/lib/python3/site-packages/PyKontor-2.8.6.dist-info/METADATA",
        "Name: pykontor\nVersion: 2.8.6\n\nName: x\n",
    )
    put(rootfs, "app/venv/targ_units-1.2.0.dist-info/RECORD")
    put(rootfs, "opt/old-1.0.egg-info/PKG-INFO", "Metadata-Version: 1.0\nName: old\nVersion: 1.0\n")
    put(rootfs, "opt/older-0.9-py3.11.egg-info", "Name: older\nVersion: 0.9\n")
    put(rootfs, "opt/METADATA", "Name: no\nVersion: 1\n")
    put(rootfs, "opt/file-1.dist-info", "Name: no\nVersion: 1\n")
    site = "usr/lib/python3/site-packages"
    assert in_folder(rootfs) == [
        Package("old", "1.0", "opt/old-1.0.egg-info"),
        Package("older", "0.9", "opt/older-0.9-py3.11.egg-info"),
        Package("pykontor", "2.8.6", f"{site}/PyKontor-2.8.6.dist-info"),
        Package("targ_units", "1.2.0", "app/venv/targ_units-1.2.0.dist-info"),
    ]
    with pytest.raises(ScanError, match="there is no folder"):
        in_folder(tmp_path / "nothing")


@pytest.mark.timeout(60)
def test_a_folder_that_wants_to_trick_the_scanner(tmp_path: Path):
    """No link is followed, no pipe waited for, and nothing is read to the end that has none."""
    secret = tmp_path / "secret-1.0.dist-info"
    put(secret, "METADATA", "Name: secret\nVersion: 1.0\n")
    rootfs = tmp_path / "rootfs"
    for number, name in enumerate(("a-1", "b-2", "c-3", "e-5")):
        (rootfs / f"{name}.dist-info").mkdir(parents=True)
        target = rootfs / f"{name}.dist-info" / "METADATA"
        if number == 0:
            target.symlink_to(secret / "METADATA")
        elif number == 1:
            os.mkfifo(target)
        elif number == 2:
            target.symlink_to("/dev/zero")
        else:
            target.write_bytes(b"\xff\xfe\n" * 1000)
    (rootfs / "d-4.dist-info").symlink_to(secret)
    (rootfs / "f-6.dist-info/METADATA").mkdir(parents=True)
    (rootfs / "loop").symlink_to(rootfs)
    assert [f"{one.name}-{one.version}" for one in in_folder(rootfs)] == ["a-1", "b-2", "c-3", "d-4", "e-5", "f-6"]


def test_a_folder_with_too_much_in_it(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(installed, "ENTRIES", 3)
    for name in "abc":
        (tmp_path / name).touch()
    assert in_folder(tmp_path) == []
    (tmp_path / "d").touch()
    with pytest.raises(ScanError, match="more than 3 files and folders"):
        in_folder(tmp_path)


def test_packages_in_a_list():
    text = """\
# what pip freeze says
PyKontor==2.8.6 \\
    --hash=sha256:0123 \\
    --hash=sha256:4567
    # via targ-loader
targ_units == 1.2.0  # pinned
targ-loader[fast]===1.4.0
--index-url https://pypi.org/simple
win-only==1.0 ; sys_platform == "win32"
here==2.0 ; python_version > "3.0"
"""
    assert in_list(text) == [
        Package("here", "2.0"),
        Package("pykontor", "2.8.6"),
        Package("targ-loader", "1.4.0"),
        Package("targ-units", "1.2.0"),
    ]


@pytest.mark.parametrize(
    "line", ["pykontor", "pykontor<2.9", "pykontor==2.8.*", "pykontor>=2,==2.8", "-e .", "-r x.txt", "a @ https://x"]
)
def test_a_list_that_leaves_versions_open(line: str):
    with pytest.raises(ScanError) as error:
        in_list(f"targ-units==1.2.0\n{line}\n", "requirements.txt")
    assert f"requirements.txt says '{line}', which names no exact version" in str(error.value)


def test_a_package_twice_is_asked_about_twice():
    places, unknown = audit._places(
        [
            Package("PyKontor", "2.8.6", "a"),
            Package("pykontor", "v2.8.6+targ.1", "b"),
            Package("pykontor", "2.9", "c"),
            Package("targ_units", "1.2.0", "d"),
            Package("x; rm -rf", "1"),
            Package("y", "1\n--index-url http://x"),
            Package("", ""),
        ]
    )
    assert places == {("pykontor", "2.8.6"): ["a", "b"], ("pykontor", "2.9"): ["c"], ("targ-units", "1.2.0"): ["d"]}
    assert audit._rounds(places) == [{"pykontor": "2.8.6", "targ-units": "1.2.0"}, {"pykontor": "2.9"}]
    assert [(one.name, why.split()[-1]) for one, why in unknown] == [("x; rm -rf", "name"), ("y", "name"), ("", "name")]
