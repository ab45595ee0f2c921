"""Task 5.4: images that are the same everywhere, a tag that was moved, a gate, and what production names."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys

import pytest

from opslab.checks import Miss
from opslab.checks.docker_pinning import promote as check
from opslab.scenarios.docker_pinning import cloud, promote
from opslab.scenarios.iam_roles.names import PLATFORM
from opslab.worlds import packages
from opslab.worlds.aws import cloud as clouds
from opslab.worlds.images import inspection
from opslab.worlds.images.registry.store import Store as Registry
from opslab.worlds.images.scanner import audit, gate
from opslab.worlds.images.store import Store
from opslab.worlds.packages import WEDNESDAY, Index, advisories

# ---- images -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 65534, 65535, 65536, 131070, 200_001])
def test_gzip_without_compression(size):
    data = bytes(range(251)) * (size // 251) + bytes(size % 251)
    assert gzip.GzipFile(fileobj=io.BytesIO(promote.stored(data))).read() == data


def test_the_same_digests_on_every_machine():
    found = {name: one.digest[7:19] for name, one in promote.known(1).items()}
    assert found == DIGESTS, "images that were handed in name these: change them only with a reason"


DIGESTS = {
    "old": "4130083f272f",
    "first": "bd96983c7511",
    "tested": "bbdee00997ed",
    "arm": "a3c473d6ff84",
    "moved": "7790529ab001",
    "next": "c59dc81a8467",
}


def test_they_are_images_that_an_engine_takes_as_they_are(tmp_path):
    store = Store(tmp_path / "store", tmp_path / "cache")
    for name, made in promote.known(2).items():
        (loaded,) = store.load(made.layout(tmp_path / name, f"data/loader:{name}"))
        assert loaded.image.digest == made.digest and not loaded.remarks
        assert store.read(loaded.image, "app/load.py")
    assert {one.name: one.version for one in inspection.packages(store, store.find("data/loader:tested"))} == dict(
        promote.tested_packages(2)
    )


def test_many_seeds():
    for seed in range(1, 30):
        known = promote.known(seed)
        assert len({one.digest for one in known.values()}) == len(known)
        assert promote.tags(seed)[promote.TAG] == known["moved"].digest != known["tested"].digest
        assert known["tested"].digest not in promote.tags(seed).values()
        assert promote.words(seed)["test_report"].count(known["tested"].digest) == len(promote.TESTED_ON)


def test_the_first_candidate_fails_as_the_report_says():
    (load,) = (data for data in promote.known(1)["first"].blobs.values() if b"__nam__" in data)
    text = gzip.decompress(load).decode("utf-8", "replace")
    assert "if __nam__" in text and "__nam__" in promote.words(1)["test_report"]


def test_the_registry_is_the_same_on_each_desk_and_whole(tmp_path):
    for name in ("a", "b"):
        promote.fill_registry(tmp_path / name, 1)
    files = [{str(path.relative_to(tmp_path / name)): path.read_bytes() for path in (tmp_path / name).rglob("*") if path.is_file()} for name in ("a", "b")]  # fmt: skip
    assert files[0] == files[1]
    assert sum(map(len, files[0].values())) < 500_000, "it travels with what is handed in"
    assert not Registry(tmp_path / "a").problems()


# ---- the desk -----------------------------------------------------------------------------------------------------------


def test_the_lock_is_what_uv_makes_and_so_is_the_mended_one(tmp_path):
    promote.build(tmp_path, 1, frozenset())
    build = tmp_path / "deploy" / "build"
    for more, units in (
        (["--exclude-newer", "2026-11-17T12:00:00Z"], "1.2.0"),
        (["--upgrade-package", "targ-units"], "1.2.1"),
    ):
        with packages.Server(Index(1, WEDNESDAY)) as server:
            command = [
                sys.executable,
                "-m",
                "uv",
                "pip",
                "compile",
                "-q",
                "requirements.in",
                "--generate-hashes",
                "--no-annotate",
            ]
            command += ["--no-header", "--no-config", "--no-cache", "--default-index", server.index_url, *more]
            done = subprocess.run(command, cwd=build, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)})  # fmt: skip
        assert done.stdout.strip() == promote.lock(1, units).strip(), done.stderr


def test_what_is_known_of_the_images():
    def found(versions):
        feed = Index(1, WEDNESDAY).advisories()
        return {one["id"] for name, version in versions for one in advisories.query(feed, {"package": {"name": name, "ecosystem": "PyPI"}, "version": version}) if "withdrawn" not in one}  # fmt: skip

    assert found(promote.tested_packages(1)) == {promote.ADVISORY}
    assert found(promote.needed(1).items()) == {promote.ADVISORY}
    assert found({**promote.needed(1), "targ-units": "1.2.0"}.items()) == {promote.ADVISORY, "TSA-2026-0004"}


def test_every_problem_of_an_exception_has_a_name_or_is_one_of_form():
    wrong = """
[[exception]]
id = "*"
package = "pykontor"
until = 2030-01-01
reason = "no"
[[exception]]
id = "TSA-2026-0003"
package = "other"
until = 2020-01-01
who = "ana"
reason = "a reason with enough words in it"
"""
    about = audit.Finding("pykontor", "2.8.6", promote.ADVISORY)
    report = gate.decide(audit.Audit((), (about,)), gate.read(wrong), WEDNESDAY)
    codes = {problem.code for one in report.exceptions for problem in one.problems}
    assert codes == {"too-wide", "no-who", "thin-reason", "too-long", "expired", "other-package"}
    assert codes - check.NAMES.keys() == {"no-who"}


# ---- AWS ----------------------------------------------------------------------------------------------------------------


def test_you_may_look_and_the_role_may_bring_in():
    with clouds.shared().open("opslab.scenarios.docker_pinning.cloud", seed=1) as aws:
        you = aws.user(PLATFORM, "you")
        assert you.call("ecr", "describe_repositories").result is not None
        for operation, more in (
            ("create_repository", {"repositoryName": "data/loader"}),
            ("get_authorization_token", {}),
        ):
            assert you.call("ecr", operation, **more).code == "AccessDeniedException"
        role = you.assume(f"arn:aws:iam::{PLATFORM}:role/{cloud.PROMOTER}")
        assert not role.call("ecr", "create_repository", repositoryName="data/loader").code
        assert role.call("ecr", "create_repository", repositoryName="base/python").code == "AccessDeniedException"
        assert not role.call("ecr", "get_authorization_token").code
        assert not role.call("ecr", "delete_repository", repositoryName="data/loader").code
        assert role.call("iam", "list_roles").code == "AccessDenied"


# ---- what production names ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "images"),
    [
        ("containers: [{image: a}]", ["a"]),
        ("spec: {containers: [{image: a}], initContainers: [{image: b}]}", ["a", "b"]),
        ("containers: [{image: a}]\n---\ncontainers: [{image: b}]", ["a", "b"]),
        ("containers: {image: a}", []),
        ("containers: [a, 1, null, [x], {name: x}]", []),
        ("image: a", []),
        ("containers: [{image: 5}]", ["5"]),
        ("containers: [{image: [a]}]", ["(no name)"]),
        ("a: &a {containers: [{image: x}]}\nb: *a", ["x"]),
        ("[]", []),
        ("", []),
        ("just text", []),
    ],
)  # fmt: skip
def test_images_of_a_manifest(text, images):
    assert list(check._named(text)) == images


@pytest.mark.parametrize(
    "text",
    [
        "\tx: 1",
        "a: [",
        "a: b: c",
        "!!python/object:os.system x",
        "!!python/tuple [x]",
        "x: \x07",
        "[" * 2000,
        "a" * 30_000,
    ],
)
def test_what_is_no_manifest(text):
    with pytest.raises(Miss) as found:
        list(check._named(text))
    assert found.value.name == "no-manifest" and "\n" not in found.value.say


def test_aliases_that_stand_for_millions():
    lines = ["a0: &a0 {containers: [{image: x}]}"] + [
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)
    ]
    assert list(check._named("\n".join(lines))) == ["x"]


def test_the_manifests_on_the_desk(tmp_path):
    promote.build(tmp_path, 1, frozenset())
    for name, image in (
        ("staging", f"{promote.TEAM}@{promote.known(1)['tested'].digest}"),
        ("production", f"{promote.TEAM}:1.3"),
    ):
        assert list(check._named((tmp_path / "deploy" / f"{name}.yaml").read_text())) == [image]
    assert not any("{{" in path.read_text() for path in (tmp_path / "deploy").rglob("*") if path.is_file())
    assert json.loads((tmp_path / ".registry" / "index.json").read_text())["manifests"]
