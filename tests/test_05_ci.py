"""Task 5.5: the repository as it is at the start, and the whole way of a pipeline file: branch, merge request, runner, reviewer, main."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile

import pytest
import replay

from opslab.checks.docker_pinning import ci as check
from opslab.scenarios.docker_pinning import ci, common, images, promote
from opslab.worlds import workspace
from opslab.worlds.forge.forge import Forge
from opslab.worlds.forge.pipeline_file import parse
from opslab.worlds.forge.reactions import Worker
from opslab.worlds.packages import WEDNESDAY, Index


def pipeline_file() -> str:
    """That of the plain answer."""
    text = (replay.ANSWERS / "05_docker_pinning/5.5/right/plain/do.sh").read_text()
    return text.partition("<<'YAML'\n")[2].partition("YAML\n")[0]


# ---- the start ------------------------------------------------------------------------------------------------------------


def test_its_tests_pass_and_see_where_they_run(tmp_path):
    for path, text in ci.files(1).items():
        (tmp_path / path).write_text(text)
    wheel = next(file for file in Index(1, WEDNESDAY).files("targ-units") if file.is_wheel and "1.2.1" in file.name)
    zipfile.ZipFile(io.BytesIO(wheel.data)).extractall(tmp_path)

    def test(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, *options], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert test("-m", "unittest").returncode == 0
    assert "total" in test("weekly.py", "sample.tsv").stdout
    tests = tmp_path / ci.TESTS
    plain = tests.read_text()
    for options in (["-m", "unittest"], ["-m", "unittest", "-b", "test_weekly"], [ci.TESTS]):
        tests.write_text(check.WHERE + plain)
        (tmp_path / "BUILT").unlink(missing_ok=True)
        assert "tested in: nowhere" in test(*options).stdout
        (tmp_path / "BUILT").write_text("2026-11-18T09:00:00.1Z\n")
        assert check.Play([], logs=test(*options).stdout).tested == ["2026-11-18T09:00:00.1Z"]
        tests.write_text(check.RED + plain)
        assert test(*options).returncode == 1


def test_the_same_repository_on_each_desk(tmp_path):
    heads = []
    for name in ("a", "b"):
        ci.build(tmp_path / name, 1, frozenset())
        heads.append(Forge(tmp_path / name / "forge").repository(ci.NAME).git.resolve("refs/heads/main"))
    assert heads[0] == heads[1]
    assert ci.lock(1) != ci.lock(1, "1.2.0") and "targ-units==1.2.1" in ci.files(1)[ci.LOCK]
    assert not any(common.password(1, who) in text for who in ("ci", "you") for text in ci.files(1).values())


def test_what_a_play_says():
    jobs = [{"name": "build", "state": "success"}, {"name": "scan", "state": "failed"}]
    play = check.Play([{"state": "failed", "errors": [], "jobs": jobs}], pushed={"data/weekly:1": "sha256:0"})
    assert str(play) == "build: success\nscan: failed\npushed: data/weekly:1" and not play.green
    green, red = ({"state": state, "errors": [], "jobs": []} for state in ("success", "failed"))
    assert check.Play([green]).green and not check.Play([green, red]).green
    assert str(check.Play([])) == "no pipeline" and not check.Play([]).green
    assert check.Play(
        [{"state": "success", "errors": [], "jobs": []}, {"state": "skipped", "errors": [], "jobs": []}]
    ).green


def test_a_secret_that_is_told_is_not_told_again():
    assert check._hidden(' "auth": "aGVyb24=" ', {"aGVyb24=": "ci"}) == '"auth": "••••••••"'


def test_the_plain_answer_is_in_the_notebook():
    """What people read in the solution is what is tried here."""
    part = replay.ANSWERS.parents[1] / "solutions/05_docker_pinning/parts/5_5.md"
    if part.exists():
        assert (
            pipeline_file().split()
            == part.read_text().partition("cat > .gitlab-ci.yml <<'YAML'\n")[2].partition("YAML\n")[0].split()
        )
    assert [job.name for job in parse(pipeline_file()).jobs] == ["build", "test", "scan", "push"]


# ---- the whole way --------------------------------------------------------------------------------------------------------

WAY = """
git clone --quiet forge:data/weekly work/weekly
cd work/weekly
git switch --quiet -c pipeline
cat > .gitlab-ci.yml <<'YAML'
{file}YAML
git add --all
git commit --quiet -m "A pipeline builds, tests, scans and pushes"
git push --quiet -o merge_request.create -o merge_request.title="A pipeline builds, tests, scans and pushes" \\
    -o merge_request.description="So that nobody has to do it by hand, and nothing is pushed that was not tested." origin pipeline
opslab mr work
opslab mr show 1
docker images registry.targ.example/data/weekly
opslab mr merge 1
opslab mr work
git fetch --quiet
docker login -u you --password-stdin registry.targ.example < ~/.secrets/registry
docker pull registry.targ.example/data/weekly:$(git rev-parse origin/main)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="images are built and run on Linux only")
def test_from_a_branch_to_the_registry_as_a_learner(tmp_path, monkeypatch):
    monkeypatch.delenv("BASH_ENV", raising=False)
    home = tmp_path / "home"
    workspace.build("05_docker_pinning", home, 1)
    with images.open(home, seed=1, cloud=lambda: None) as desk:
        workspace.add_to_note(home, image_ports=desk.ports)
        forge = Forge(home / workspace.FORGE)
        with Worker(forge, every=0.05, **desk.for_jobs):
            env = workspace.environment(home, {"PATH": os.environ["PATH"], **desk.env})
            env["PATH"] = f"{workspace.BIN}:{os.path.dirname(sys.executable)}:{env['PATH']}"
            done = subprocess.run(["bash", "-ec", WAY.format(file=pipeline_file())], cwd=home, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=200, check=False)  # fmt: skip
        weekly = forge.repository(ci.NAME)
        logs = "".join(path.read_text() for path in (weekly.store.folder / "pipelines").glob("*/*.log"))
        assert done.returncode == 0, f"{done.stdout}\n{logs}"
        assert [one["state"] for one in weekly.pipelines()] == ["success", "success"], logs
        assert [len(one["jobs"]) for one in weekly.pipelines()] == [3, 4]
        sha = weekly.git.resolve("refs/heads/main")
        assert list(desk.team.store.record(ci.NAME).tags) == [sha]
        assert common.password(1, "ci") not in logs
        assert promote.tags(1).items() <= desk.team.store.record(promote.REPOSITORY).tags.items()
