"""Pipelines: which jobs follow from a push, and running them in the jail, each in a clean checkout.

    >>> repository.react()                                                          # doctest: +SKIP
    3
    >>> repository.pipelines()[-1]["state"]                                         # doctest: +SKIP
    'success'

A push makes a pipeline for the branch; an open merge request one of its own if any job's rules ask for that
(`$CI_PIPELINE_SOURCE == "merge_request_event"`), as on GitLab. The latest one for its newest commit is the merge request's
check `pipeline`. Logs and artifacts are kept in `forge/pipelines/<id>/`.

A job is a bash script of somebody who is not trusted. It sees its checkout (with the last 20 commits), the tools of the course,
the variables of the pipeline, and nothing else; it cannot reach the forge or a network, but for the services that a world gives to
its jobs: `forge.react(services=…, env=…, equip=…)`, see `run`.
"""

from __future__ import annotations

import contextlib
import fnmatch
import logging
import os
import re
import shlex
import shutil
import stat
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from opslab import jail
from opslab.worlds import workspace
from opslab.worlds.forge import receive, state
from opslab.worlds.forge import variables as project_variables
from opslab.worlds.forge.git import NULL, Git
from opslab.worlds.forge.merge_requests import MergeRequest
from opslab.worlds.forge.pipeline_file import Job, PipelineError, PipelineFile, parse
from opslab.worlds.forge.repository import PIPELINE_FILE, Repository

LIMITS = jail.Limits(seconds=120, cpu=120)
DEPTH = 20
ARTIFACT_BYTES, ARTIFACT_FILES = 100_000_000, 1000
VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})")
NESTED = 4
"""How deep variables may stand in variables."""

BUILDS = "/tmp/builds"
"""Where a job sees its folder. Without bubblewrap it sees the real one, which has another name each time."""

Record = dict[str, Any]

Equip = Callable[[Path, str, Mapping[str, str]], Mapping[str, str]]
"""Puts into a job's folder what belongs there besides its checkout, such as a virtual environment: equip(folder, the same folder as
the job sees it, its environment) gives the environment that it is to have."""

# ---- which pipelines there are ---------------------------------------------------------------------------------------


def plan(repository: Repository, kind: str, facts: Mapping[str, Any]) -> None:
    """Make the pipeline that follows from an event ("push", or "merge_request" opened or updated), if one does."""
    if kind == "push":
        if facts["new"] != NULL:
            _plan(repository, facts["new"], facts["branch"], None, facts)
            for mr in repository.merge_requests(state.OPENED):
                if mr.record["source"] == facts["branch"]:
                    publish(repository, mr.number)
        return
    record = repository.merge_request(facts["number"]).record
    there = [one for one in repository.pipelines() if one["merge_request"] == record["number"]]
    if record["state"] == state.OPENED and all(one["sha"] != record["head"] for one in there):
        _plan(repository, record["head"], record["source"], record, facts)
    publish(repository, record["number"])


def _plan(repository: Repository, sha: str, branch: str, mr: Record | None, facts: Mapping[str, Any]) -> None:
    text = repository.git.file(sha, PIPELINE_FILE)
    if text is None:
        return
    known = repository.pipelines()
    record = {
        "id": max((one["id"] for one in known), default=0) + 1,
        "state": "pending",
        "source": "merge_request_event" if mr else "push",
        "branch": branch,
        "sha": sha,
        "merge_request": mr["number"] if mr else None,
        "target": mr["target"] if mr else None,
        "by": facts["by"],
        "created": state.now(),
        "variables": facts.get("variables", {}),
        "errors": [],
        "jobs": [],
    }
    try:
        file = parse(text.decode("utf-8", "replace"))
        ours = project_variables.of_pipeline(repository.store.project(), record)
        variables = predefined(repository, record) | dict(file.variables) | ours | record["variables"]
        chosen = [(job, job.when(variables)) for job in file.jobs]
        chosen = [(job, when) for job, when in chosen if when != "never"]
        record["jobs"] = [_job_record(job, when) for job, when in chosen]
        names = {job.name for job, _ in chosen}
        for job, _ in chosen:
            if missing := [need for need in job.needs or () if need not in names]:
                text = (
                    f"line {job.line}: {job.name} needs {missing[0]}, which has no place in this pipeline by its rules."
                )
                raise PipelineError([text])
        if not chosen:
            return
    except PipelineError as error:
        if mr and not record["jobs"]:
            return  # nobody can use such a file: the branch's pipeline says it
        record |= {"state": "failed", "errors": error.problems, "jobs": []}
    if facts.get("skip"):
        record["state"] = "skipped"
    for one in known:
        if one["state"] == "pending" and (one["branch"], one["source"]) == (branch, record["source"]):
            _save(repository, one | {"state": "canceled"})
    _save(repository, record)


def _job_record(job: Job, when: str) -> Record:
    return {
        "name": job.name,
        "stage": job.stage,
        "state": "created",
        "when": when,
        "allow_failure": job.allow_failure,
        "image": job.image,
        "seconds": None,
        "code": None,
        "log": None,
        "artifacts": [],
    }


def predefined(repository: Repository, record: Record) -> dict[str, str]:
    """The variables that GitLab gives to each job: https://docs.gitlab.com/ci/variables/predefined_variables/"""
    project, branch = repository.store.project(), record["branch"]
    found = {
        "CI": "true",
        "GITLAB_CI": "true",
        "CI_COMMIT_SHA": record["sha"],
        "CI_COMMIT_SHORT_SHA": record["sha"][: receive.SHORT],
        "CI_COMMIT_REF_NAME": branch,
        "CI_COMMIT_REF_SLUG": re.sub(r"[^a-z0-9]+", "-", branch.lower())[:63].strip("-"),
        "CI_DEFAULT_BRANCH": project["default_branch"],
        "CI_PIPELINE_ID": str(record["id"]),
        "CI_PIPELINE_SOURCE": record["source"],
        "CI_PROJECT_PATH": project["path"],
        "CI_PROJECT_NAME": project["path"].rpartition("/")[2],
        "CI_COMMIT_REF_PROTECTED": "true" if project_variables.is_protected(project, record) else "false",
    }
    if record["merge_request"]:
        found["CI_MERGE_REQUEST_IID"] = str(record["merge_request"])
        found["CI_MERGE_REQUEST_SOURCE_BRANCH_NAME"] = branch
        found["CI_MERGE_REQUEST_TARGET_BRANCH_NAME"] = record["target"]
    else:
        found["CI_COMMIT_BRANCH"] = branch
    return found


def publish(repository: Repository, number: int, settled: bool = False) -> None:
    """Let the check `pipeline` of a merge request say what the latest pipeline for its newest commit says.

    settled: all events were looked at, so where there is no pipeline, none will come: no job is for this branch.
    """
    mr, store = repository.merge_request(number), repository.store
    with store.locked():
        record, settled = mr.record, settled and not store.waiting()
    if record["state"] != state.OPENED or not repository.has_pipeline(record["head"]):
        return
    here = [one for one in repository.pipelines() if one["sha"] == record["head"]]
    of_request = [one for one in here if one["merge_request"] == number]
    of_branch = [one for one in here if one["merge_request"] is None and one["branch"] == record["source"]]
    if not (of_request or of_branch):
        if settled:
            _report(mr, record, "success", "no job of the pipeline file is for this branch")
        return
    latest = (of_request or of_branch)[-1]
    failed = [job["name"] for job in latest["jobs"] if job["state"] == "failed" and not job["allow_failure"]]
    text = latest["errors"][0] if latest["errors"] else f"{', '.join(failed)} failed" if failed else ""
    _report(mr, record, latest["state"], text, pipeline=latest["id"])


def _report(mr: MergeRequest, record: Record, value: str, text: str, **more: Any) -> None:
    """Set the status, if it is not what it is already."""
    wanted = {"name": "pipeline", "head": record["head"], "state": value, "description": receive.clean(text), **more}
    if all(wanted.items() - one.items() for one in record["statuses"]):
        mr.set_status("pipeline", value, text, by="forge", head=record["head"], **more)


def _save(repository: Repository, record: Record) -> None:
    state.write_json(repository.store.folder / "pipelines" / f"{record['id']}.json", record)


# ---- running ---------------------------------------------------------------------------------------------------------


def recover(repository: Repository) -> None:
    """Put a pipeline back on the list that was running when its process was killed. Call it as the only worker."""
    for record in repository.pipelines():
        if record["state"] == "running":
            jobs = [job | {"state": "created", "artifacts": []} for job in record["jobs"]]
            _save(repository, record | {"state": "pending", "jobs": jobs})


def run_next(repository: Repository, **how: Any) -> list[int] | None:
    """Run the oldest pipeline that is waiting. Returns the merge requests it is a check of; None if none was waiting."""
    record = next((one for one in repository.pipelines() if one["state"] == "pending"), None)
    if record is None:
        return None
    numbers = [mr.number for mr in repository.merge_requests(state.OPENED) if mr.record["source"] == record["branch"]]
    record["state"] = "running"
    _save(repository, record)
    for number in numbers:
        publish(repository, number)
    try:
        run(repository, record, **how)
    except (OSError, jail.JailError):
        raise  # this machine lacks something: the pipeline runs again as soon as somebody reacts, see `recover`
    except PipelineError as error:  # a desk may be older than the version of the course that refuses this
        _give_up(repository, record, error.problems)
    except Exception as error:  # tried again, it would only stumble again, and keep all others waiting
        logging.getLogger(__name__).exception("pipeline %s of %s could not be run", record["id"], repository.path)
        said = f"running it: the forge stumbled ({type(error).__name__}: {error}). That is no fault of yours: push again, and report it if it stays so."  # fmt: skip
        _give_up(repository, record, [said])
    for number in numbers:
        publish(repository, number)
    return numbers


def _give_up(repository: Repository, record: Record, errors: list[str]) -> None:
    """Note that a pipeline has failed in the middle: its job too, if one was running, and those after it never begin."""
    ended = {"running": "failed", "created": "skipped"}
    jobs = [job | {"state": ended.get(job["state"], job["state"])} for job in record["jobs"]]
    _save(repository, record | {"state": "failed", "errors": errors, "jobs": jobs})


def run(
    repository: Repository,
    record: Record,
    *,
    env: Mapping[str, str] | None = None,
    equip: Equip | None = None,
    limits: jail.Limits = LIMITS,
    after_job: Callable[[Record], None] = lambda entry: None,
    **confinement: Any,
) -> None:
    """Run the jobs of a pipeline, one after the other, and write down what became of them.

    env: variables for every job in addition. equip: called for each job before it starts, see `Equip`.
    confinement: for `opslab.jail.run`, such as the services that a job can reach.
    after_job: called with what is known of each job that was run.
    """
    file = parse((repository.git.file(record["sha"], PIPELINE_FILE) or b"").decode("utf-8", "replace"))
    jobs = {job.name: job for job in file.jobs}
    order = {stage: number for number, stage in enumerate(file.stages)}
    left = sorted(record["jobs"], key=lambda entry: order[entry["stage"]])
    finished: dict[str, Record] = {}
    while left:
        for entry in left:
            before = _before(jobs[entry["name"]], record, order)
            if all(name in finished for name in before):
                break
        left.remove(entry)
        finished[entry["name"]] = entry
        good = all(_passed(finished[name]) for name in before)
        if good or entry["when"] == "always":
            given = [finished[name] for name in before]
            _run_job(repository, record, entry, jobs[entry["name"]], file, given, env or {}, equip, limits, confinement)
            after_job(entry)
        else:
            entry["state"] = "skipped"
        _save(repository, record)
    bad = any(entry["state"] == "failed" and not entry["allow_failure"] for entry in record["jobs"])
    record["state"] = "failed" if bad else "success"
    _save(repository, record)


def _before(job: Job, record: Record, order: Mapping[str, int]) -> list[str]:
    """The jobs that have to be finished first: those it needs, or else all of the stages before its own."""
    if job.needs is not None:
        return list(job.needs)
    return [entry["name"] for entry in record["jobs"] if order[entry["stage"]] < order[job.stage]]


def _passed(entry: Record) -> bool:
    return entry["state"] == "success" or (entry["state"] == "failed" and entry["allow_failure"])


def _run_job(
    repository: Repository,
    record: Record,
    entry: Record,
    job: Job,
    file: PipelineFile,
    given: list[Record],
    env: Mapping[str, str],
    equip: Equip | None,
    limits: jail.Limits,
    confinement: Mapping[str, Any],
) -> None:
    entry["state"] = "running"
    _save(repository, record)
    kept = repository.store.folder / "pipelines" / str(record["id"])
    kept.mkdir(parents=True, exist_ok=True)
    number = record["jobs"].index(entry) + 1
    with tempfile.TemporaryDirectory(prefix="opslab-job-", ignore_cleanup_errors=True) as folder:
        home = Path(folder).resolve()
        name = record_name(repository)
        build = home / name
        check_out(repository, record, build)
        for other in given:
            _give(kept / f"{record['jobs'].index(other) + 1}", other["artifacts"], build)
        seen = BUILDS if jail.bubblewrap() else str(home)
        variables = predefined(repository, record) | {
            "CI_JOB_NAME": job.name,
            "CI_JOB_STAGE": job.stage,
            "CI_PROJECT_DIR": f"{seen}/{name}",
        }
        project = repository.store.project()
        ours = project_variables.of_pipeline(project, record)
        variables = expanded(variables, file.variables, job.variables, ours, record["variables"])
        environment: Mapping[str, str] = workspace.environment(seen, {**env, **variables})
        if equip:
            environment = equip(home, seen, environment)
        log = f"The job's image is {job.image}: noted, but it runs with the tools of the course.\n" if job.image else ""
        done = jail.run(
            ["bash", "--noprofile", "--norc", "-c", script(job)],
            home=home,
            env=environment,
            cwd=f"{seen}/{name}",
            shown_as=seen,
            limits=limits,
            **{"read_only": workspace.tool_folders(), "hide": workspace.secret_folders(), **confinement},
        )
        log += done.out + done.err
        problem = done.stopped or (f"exit code {done.code}" if done.code else "")
        if not problem and job.artifacts:
            entry["artifacts"], problem = _keep(build, job.artifacts, kept / str(number))
    log = project_variables.masked(project, log)
    log += f"ERROR: Job failed: {problem}\n" if problem else "Job succeeded\n"
    (kept / f"{number}.log").write_text(receive.clean(log), encoding="utf-8")
    entry["state"] = "failed" if problem else "success"
    entry |= {"seconds": round(done.seconds, 1), "code": done.code, "log": f"{record['id']}/{number}.log"}


def record_name(repository: Repository) -> str:
    """The name of the folder in which a job finds its checkout: the project's."""
    return repository.path.rpartition("/")[2]


def script(job: Job) -> str:
    """The bash script of a job: each line is shown before it is run, and the first that fails ends it."""
    lines = ["exec 2>&1", "set -eo pipefail"]
    for line in (*job.before_script, *job.script):
        lines += [f"printf '%s\\n' {shlex.quote('$ ' + line)}", line]
    return "\n".join(lines) + "\n"


def expanded(*layers: Mapping[str, str]) -> dict[str, str]:
    """Variables of several sources, the later ones before the earlier; $NAME and ${NAME} in a value stand for others.

    >>> expanded({"CI_COMMIT_BRANCH": "main"}, {"TAG": "app-$CI_COMMIT_BRANCH"})["TAG"]
    'app-main'
    """
    found: dict[str, str] = {}
    for layer in layers:
        found |= layer

    def value(match: re.Match[str]) -> str:
        return found.get(match[1] or match[2], "")

    for _ in range(NESTED):
        before = found
        found = {name: VARIABLE.sub(value, text)[: state.TEXT_LIMIT] for name, text in before.items()}
        if found == before:
            break
    return found


def check_out(repository: Repository, record: Record, build: Path) -> None:
    """A clean clone of a commit, with its last commits and the default branch, made without asking any configuration."""
    folder = build / ".git"
    for name in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info"):
        (folder / name).mkdir(parents=True)
    (folder / "HEAD").write_text("ref: refs/heads/main\n")
    (folder / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n")
    git = Git(folder, protocols="file")
    wanted = [f"{record['sha']}:refs/remotes/origin/{record['branch']}"]
    default = repository.store.project()["default_branch"]
    if default != record["branch"] and repository.git.resolve(f"refs/heads/{default}"):
        wanted.append(f"refs/heads/{default}:refs/remotes/origin/{default}")
    git.run("fetch", "--quiet", "--no-tags", f"--depth={DEPTH}", str(repository.folder), *wanted)
    git.run("checkout", "--quiet", "--force", "--detach", record["sha"], env={"GIT_WORK_TREE": str(build)})


# ---- artifacts: only ordinary files, and no link is followed ---------------------------------------------------------


def _keep(build: Path, patterns: tuple[str, ...], kept: Path) -> tuple[list[str], str]:
    """Copy what the patterns name from the checkout to the forge: (paths, what is wrong)."""
    found, size = [], 0
    for folder, folders, files in os.walk(build):
        folders[:] = [name for name in folders if name != ".git"]
        for name in files:
            path = Path(folder, name)
            relative = path.relative_to(build).as_posix()
            about = path.lstat()
            if stat.S_ISREG(about.st_mode) and any(_matches(relative, pattern) for pattern in patterns):
                found.append(relative)
                size += about.st_size
    if not found:
        return [], f"no file matches the paths of artifacts ({', '.join(patterns)})"
    if size > ARTIFACT_BYTES or len(found) > ARTIFACT_FILES:
        return [], f"artifacts of {size / 1e6:.0f} MB in {len(found)} files are too much"
    shutil.rmtree(kept, ignore_errors=True)
    for relative in found:
        (kept / relative).parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(build / relative, kept / relative, follow_symlinks=False)
        except OSError as error:
            return [], f"the artifact {relative} cannot be read: {error.strerror}"
    return sorted(found), ""


def _matches(path: str, pattern: str) -> bool:
    pattern = pattern.removeprefix("./").rstrip("/")
    return fnmatch.fnmatchcase(path, pattern) or path.startswith(f"{pattern}/")


def _give(kept: Path, paths: list[str], build: Path) -> None:
    """Copy artifacts of an earlier job into a checkout. A link of the checkout that stands in the way is left alone."""
    for relative in paths:
        target = build / relative
        if any((build / above).is_symlink() for above in [Path(relative), *Path(relative).parents]):
            continue
        with contextlib.suppress(OSError):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(kept / relative, target, follow_symlinks=False)
