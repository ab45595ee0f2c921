"""Task 5.5: the pipeline is played on a copy of the forge: on a branch, on main, with a test that fails, with a lock that has a known
problem. What counts is what is in the registry afterwards."""

from __future__ import annotations

import base64
import contextlib
import re
import shutil
from dataclasses import asdict, dataclass, field
from types import SimpleNamespace
from typing import Any

from opslab import jail
from opslab.checks import Miss, Trial, on_forge
from opslab.checks.docker_pinning import module
from opslab.checks.docker_pinning.promote import pulled
from opslab.scenarios.docker_pinning import ci, common
from opslab.worlds.forge import pipeline, state
from opslab.worlds.forge.pipeline_file import PipelineError, parse
from opslab.worlds.forge.repository import Repository
from opslab.worlds.images import inspection
from opslab.worlds.images.desk import TEAM_NAME, Desk
from opslab.worlds.images.registry.errors import RegistryError
from opslab.worlds.images.store import Image, StoreError

KEPT = "steps-kept"
HISTORY_BYTES = 50_000_000
LIMITS = jail.Limits(seconds=90, cpu=90)
TARGET = f"{TEAM_NAME}/{ci.NAME}"

WHERE = """\
import os as _os, unittest as _unittest


class Where(_unittest.TestCase):
    def test_where(self):
        built = open("BUILT").read().strip() if _os.path.exists("BUILT") else "nowhere"
        _os.write(1, f"\\ntested in: {built}\\n".encode())


"""
"""Put in front of the tests: it says which image they ran in."""

RED = """\
import unittest as _unittest


class Red(_unittest.TestCase):
    def test_red(self):
        self.fail("this test fails on purpose")


"""

by_itself = module.task(
    "5.5",
    "Let CI do it",
    files=[f"forge/{ci.NAME}.git", "work/weekly"],
    hints=[
        "The README of data/weekly says what the pipeline is to do, with the commands that are done by hand today. Begin with one job that builds, on a branch, and a merge request; its log is at opslab mr pipelines. Then add the next job. A line that is wrong is named there, too. Lesson 05 has an example; https://docs.gitlab.com/ci/yaml/ has all of it.",
        "Stages: build, test, scan, push. Each job names the image by the same variable, IMAGE: $CI_PROJECT_PATH:$CI_COMMIT_SHA, so that all mean the one that was built. docker run --rm \"$IMAGE\" python -m unittest runs the tests in it. A job is on main only with rules: - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH.",
        "The last job, and only this one: echo \"$REGISTRY_PASSWORD\" | docker login -u \"$REGISTRY_USER\" --password-stdin registry.targ.example; docker tag \"$IMAGE\" registry.targ.example/$IMAGE; docker push registry.targ.example/$IMAGE. No docker build there: that would be another image than the tested one.",
    ],
)  # fmt: skip


# ---- playing pipelines ------------------------------------------------------------------------------------------------------


@dataclass
class Play:
    """What came of a commit. pushed: tags and digests, by repository and tag; questions: to the advisory service."""

    records: list[dict[str, Any]]
    logs: str = ""
    pushed: dict[str, str] = field(default_factory=dict)
    questions: int = 0
    sha: str = ""

    @property
    def green(self) -> bool:
        return any(one["state"] == "success" for one in self.records) and all(
            one["state"] != "failed" for one in self.records
        )

    @property
    def tested(self) -> list[str]:
        """When the images were built that the tests have run in."""
        return re.findall(r"tested in: (.+)", self.logs)

    @property
    def jobs(self) -> list[dict[str, Any]]:
        return [job for record in self.records for job in record["jobs"]]

    def __str__(self) -> str:
        said = [error for record in self.records for error in record["errors"]]
        said += [f"{job['name']}: {job['state']}" for job in self.jobs]
        return "\n".join([*said, *(f"pushed: {name}" for name in self.pushed)]) or "no pipeline"

    @property
    def end(self) -> str:
        """The last lines of the job that failed, or of the last one."""
        return "\n".join(self.logs.rstrip().splitlines()[-6:])


def _repository(trial: Trial) -> Repository:
    """The learner's repository, on a copy of the forge, with a pipeline file that can be read. Raises Miss."""

    def take() -> Repository:
        start = SimpleNamespace(NAME=ci.NAME, build=ci.put)
        found = on_forge.not_rewritten(trial, start, ci.PEOPLE)
        text = found.git.file(on_forge.MAIN, ci.FILE)
        if text is None:
            tried = f"git show main:{ci.FILE}, in {ci.NAME}"
            if waiting := found.merge_requests("opened"):
                raise Miss(f"The merge request of {waiting[0].record['source']} is not merged yet.", tried=tried, got=on_forge.waits_for(waiting[0]), wanted="the pipeline, on main", name="not-merged")  # fmt: skip
            raise Miss(f"There is no {ci.FILE} on main yet.", tried=tried, got="nothing", wanted="the pipeline", name="no-file")  # fmt: skip
        try:
            parse(text.decode("utf-8", "replace"))
        except PipelineError as error:
            daemon = "services" in str(error)
            say = "A daemon beside the job (docker:dind) needs a privileged runner, and this one is none. The docker that is there needs no daemon." if daemon else "The forge cannot read the pipeline file, so no job runs."  # fmt: skip
            raise Miss(say, tried=f"read {ci.FILE} of main", got=str(error), wanted="jobs", name="asks-for-daemon" if daemon else "not-understood") from None  # fmt: skip
        # What the learner's folder says of variables is not taken over; these are those of the project.
        settings = found.store.project() | {"variables": [asdict(one) for one in ci.variables(trial.seed)]}
        state.write_json(found.store.folder / "project.json", settings)
        return found

    return trial.once("weekly", take)


def _play(trial: Trial, name: str, files: dict[str, str], *, branch: str = "main", forgets: bool = False) -> Play:
    """Commit files on top of main, and run what follows. forgets: what a job has cached, the next one does not know.

    On a branch a merge request is opened as well, whose pipeline counts, too.
    """

    def play() -> Play:
        repository, desk = _repository(trial), trial.images()
        trial.tell(f"playing the pipeline: {name}")
        start = repository.git.resolve(on_forge.MAIN)
        before, asked = _tags(desk), _questions(desk)
        known = {one["id"] for one in repository.pipelines()}
        sha = repository.commit(branch, files, f"Try: {name}", "ana", start="main")
        pipeline.plan(repository, "push", {"new": sha, "branch": branch, "by": "ana"})
        if branch != "main":
            request = repository.create_merge_request(branch, by="ana", title=f"Try: {name}")
            pipeline.plan(repository, "merge_request", {"number": request.number, "by": "ana", "action": "open"})
        found = Play([one for one in repository.pipelines() if one["id"] not in known])
        for record in found.records:
            if record["state"] == "pending":
                how = {"after_job": lambda job: _forget(desk)} if forgets else {}
                pipeline.run(repository, record, limits=LIMITS, required=trial.graded, **desk.for_jobs, **how)
            found.logs += "".join(_log(repository, job) for job in record["jobs"])
        _remember(desk)
        if branch == "main":
            repository.git.run("update-ref", on_forge.MAIN, start)  # the next one begins where this one has begun
        found.pushed = {tag: digest for tag, digest in _tags(desk).items() if before.get(tag) != digest}
        found.questions = _questions(desk) - asked
        found.sha = sha
        return found

    return trial.once(f"play {name}", play)


def _forget(desk: Desk) -> None:
    """What builds have cached is not known to the next one, as on another runner. Images stay."""
    with contextlib.suppress(FileNotFoundError):
        shutil.copytree(desk.store.folder / "steps", desk.store.folder / KEPT, dirs_exist_ok=True)
        shutil.rmtree(desk.store.folder / "steps")


def _remember(desk: Desk) -> None:
    """What `_forget` has put aside is there again: no other play has to wait for it."""
    with contextlib.suppress(FileNotFoundError):
        shutil.copytree(desk.store.folder / KEPT, desk.store.folder / "steps", dirs_exist_ok=True)


def _questions(desk: Desk) -> int:
    """How often the advisory service was asked something, so far."""
    return sum("/osv/v1/" in one for one in desk.requests)


def _log(repository: Repository, job: dict[str, Any]) -> str:
    return (repository.store.folder / "pipelines" / job["log"]).read_text() if job["log"] else ""


def _tags(desk: Desk) -> dict[str, str]:
    """What is in the team's registry: REPOSITORY:TAG and digest."""
    found = {}
    for name in desk.team.store.repositories():
        for tag, digest in desk.team.store.record(name).tags.items():
            found[f"{name}:{tag}"] = digest
    return found


def _on_branch(trial: Trial) -> Play:
    return _play(trial, "a branch", _tests(trial, WHERE), branch="try-a-branch")


def _on_main(trial: Trial) -> Play:
    return _play(trial, "main", _tests(trial, WHERE), forgets=True)


def _tests(trial: Trial, first: str) -> dict[str, str]:
    """The tests on main, with something in front of them."""
    text = _repository(trial).git.file(on_forge.MAIN, ci.TESTS)
    if text is None:
        raise Miss(f"{ci.TESTS} is gone from main, so nothing is tested any more.", tried=f"git show main:{ci.TESTS}", got="nothing", wanted="the tests", name="tests-gone")  # fmt: skip
    return {ci.TESTS: first + text.decode("utf-8", "replace")}


# ---- expectations -----------------------------------------------------------------------------------------------------------


@by_itself.expects("on a branch it builds, tests and scans, and pushes nothing", points=0.5)
def branch(trial: Trial) -> None:
    play = _on_branch(trial)
    tried = "push a branch with a harmless change, and open a merge request"
    if play.pushed:
        raise Miss("Something was pushed from a branch that nobody has read. Who may push a branch could put anything under a name that others trust.", tried=tried, got=str(play), wanted="no push", name="pushes-from-branches")  # fmt: skip
    if not play.jobs:
        raise Miss("No job runs for a branch: what is wrong shows only when it is on main.", tried=tried, got=str(play), wanted="build, test, scan", name="only-main")  # fmt: skip
    if not play.green:
        raise Miss("The pipeline of a branch fails, though nothing is wrong with the change. The password is not there: it is for main only, and so is what needs it.", tried=tried, got=f"{play}\n{play.end}", wanted="green", name="red-on-branch")  # fmt: skip
    if not play.tested:
        raise Miss("The tests do not run on a branch.", tried=tried, got=str(play), wanted="docker run … python -m unittest, in some job", name="no-tests")  # fmt: skip
    if not play.questions:
        raise Miss("Nothing is scanned on a branch.", tried=tried, got=str(play), wanted="scan, in some job", name="no-scan")  # fmt: skip


def _pushed(trial: Trial) -> tuple[str, Image]:
    """The tag and the image that main has pushed. Raises Miss."""
    play = _on_main(trial)
    tag = f"{ci.NAME}:{play.sha}"
    tried, wanted = "merge a harmless change into main", f"pushed: {tag}"
    if not play.pushed:
        raise Miss(
            "On main nothing was pushed.", tried=tried, got=f"{play}\n{play.end}", wanted=wanted, name="not-pushed"
        )
    if tag not in play.pushed:
        latest = all(one.endswith(":latest") for one in play.pushed)
        say = "It was pushed as latest and nothing else. That says when, not what: nobody finds the code that it was built from, or the image of last week." if latest else "It was pushed under another name than the one that was asked for."  # fmt: skip
        raise Miss(say, tried=tried, got=str(play), wanted=wanted, name="latest-only" if latest else "other-name")
    try:
        return tag, pulled(trial, ci.NAME, play.pushed[tag])
    except (RegistryError, StoreError) as error:
        raise Miss(f"What was pushed is no image: {error}", tried=tried, got=play.pushed[tag], wanted="the image that was tested") from None  # fmt: skip


@by_itself.expects("on main it pushes the image that was tested, under the commit's id, and that image runs", points=1)
def main(trial: Trial) -> None:
    play, desk = _on_main(trial), trial.images()
    tag, image = _pushed(trial)
    tried = "merge a harmless change into main"
    built = (desk.store.read(image, "app/BUILT") or b"").decode("utf-8", "replace").strip()
    tested = play.tested
    if not tested:
        raise Miss("It was pushed without a test.", tried=tried, got=str(play), wanted="docker run … python -m unittest, in some job", name="untested")  # fmt: skip
    if built and built not in tested:
        elsewhere = set(tested) == {"nowhere"}
        say = "The tests have run beside the image and not in it: with other packages, another Python." if elsewhere else "What was pushed is not what was tested: it was built once more on the way. On another runner, or a day later, that is another image."  # fmt: skip
        raise Miss(say, tried=tried, got=f"tested: {', '.join(tested)}\npushed: built {built}", wanted="the same image", name="tested-elsewhere" if elsewhere else "rebuilt")  # fmt: skip
    done = desk.run(image)
    if done.code or "total" not in done.out:
        raise Miss("The image is in the registry and does not run.", tried=f"docker run {TEAM_NAME}/{tag[:30]}…", got=(done.err or done.out or f"exit code {done.code}").strip().splitlines()[-1][-300:], wanted="the numbers of the week", name="does-not-run")  # fmt: skip


@by_itself.expects("a test that fails keeps the image out of the registry", points=0.5, needs="main")
def red_test(trial: Trial) -> None:
    play = _play(trial, "a failing test", _tests(trial, RED))
    if play.pushed:
        allowed = any(job["state"] == "failed" and job["allow_failure"] for job in play.jobs)
        say = "A test failed, and the image was pushed all the same: " + ("its job may fail (allow_failure)." if allowed else "the push does not wait for the tests, or their exit code is lost.")  # fmt: skip
        raise Miss(say, tried="merge a change with a test that fails into main", got=str(play), wanted="red, and no push", name="pushes-untested")  # fmt: skip


@by_itself.expects("a package with a known problem keeps it out, too", points=0.5, needs="main")
def held_back(trial: Trial) -> None:
    play = _play(trial, "a known problem", {ci.LOCK: ci.lock(trial.seed, "1.2.0") + "\n"})
    tried = "merge a lock with targ-units 1.2.0 (TSA-2026-0004) into main"
    if play.pushed:
        failed = [job for job in play.jobs if job["state"] == "failed"]
        if any(job["allow_failure"] for job in failed):
            say, name = "The scan holds the image back, and nobody listens: its job may fail (allow_failure).", "scan-may-fail"  # fmt: skip
        elif failed:
            say, name = "The scan comes too late: what it holds back is in the registry already.", "scan-after-push"
        elif play.questions:
            say, name = "The scan holds the image back, and its exit code is lost on the way.", "exit-code-lost"
        else:
            say, name = "On main nothing is scanned.", "unscanned"
        raise Miss(say, tried=tried, got=str(play), wanted="red, and no push", name=name)


@by_itself.expects("no password is in the repository, in a log or in the image", points=0.5, needs="main")
def quiet(trial: Trial) -> None:
    secrets = {}
    for who in (ci.USER, "you"):
        password = common.password(trial.seed, who)
        secrets |= dict.fromkeys((password, base64.b64encode(f"{who}:{password}".encode()).decode()), who)
    repository = _repository(trial)
    everything = _everything(repository)
    if any(secret.encode() in everything for secret in secrets):
        raise Miss("A password stands in the repository. It is in its history from now on, for everybody who may read it: it has to be changed. The project has a variable for it.", tried=f"look through every commit of {ci.NAME}", got="a password of the team's registry", wanted="$REGISTRY_PASSWORD", name="secret-in-file")  # fmt: skip
    for play in (_on_branch(trial), _on_main(trial)):
        if line := next((line for line in play.logs.splitlines() if any(secret in line for secret in secrets)), ""):
            raise Miss("A log tells the password. Masking hides it only as it stands: in base64, as in docker's config.json, it is there for everybody.", tried="read the logs of all jobs", got=_hidden(line, secrets), wanted="no password", name="secret-in-log")  # fmt: skip
    _, image = _pushed(trial)
    if inspection.search(trial.images().store, image, list(secrets)):
        raise Miss("The password is in the image, where everybody finds it who may pull: docker history shows arguments of a build.", tried="look through every layer, and the history", got="a password of the team's registry", wanted="no password", name="secret-in-image")  # fmt: skip


def _everything(repository: Repository) -> bytes:
    """Every line that any commit of any branch has brought, and what was said about it."""
    how = ("--all", "--patch", "--root", "-m", "--text", "--no-ext-diff", "--no-textconv", "--no-renames")
    return repository.git.run("log", *how, limit=HISTORY_BYTES)


def _hidden(line: str, secrets: dict[str, str]) -> str:
    for secret in secrets:
        line = line.replace(secret, "•" * 8)
    return line.strip()
