"""Task 5.6: which of forty manifests are privileged, why, and what replaces it; and a pipeline that builds without a daemon."""

from __future__ import annotations

import collections
import csv
import io
import re
from collections.abc import Iterable

from opslab import jail
from opslab.checks import Miss, Trial
from opslab.checks.docker_pinning import module
from opslab.checks.docker_pinning.dockerfile import short
from opslab.scenarios.docker_pinning import runners as scenario
from opslab.worlds import workspace
from opslab.worlds.forge import pipeline
from opslab.worlds.forge.pipeline_file import PipelineError, PipelineFile, parse
from opslab.worlds.images.desk import Desk
from opslab.worlds.images.store import ImageNotFound
from opslab.worlds.runners import REASONS, REPLACEMENTS, Estate, Finding, find

forty = module.task(
    "5.6",
    "Forty manifests",
    files=[*scenario.ANSWERS, scenario.PROJECT],
    hints=[
        ("A search for the word finds what is harmless, and misses what is not. Let a program read the manifests as Kubernetes does: yaml.safe_load_all, json.load, tomllib.load. "
        "In every manifest walk down to what has containers, initContainers or ephemeralContainers, wherever it lies."),
        ("Container: securityContext.privileged is True, capabilities.add, procMount, allowPrivilegeEscalation, seccompProfile (the pod's, where it has none of its own). "
        "Pod: hostNetwork, hostPID, hostIPC, volumes with hostPath; and which container mounts them? Runner: only the section of its own executor counts."),
        ("A pipeline: services with docker…dind, also from default, extends, anchors, !reference, variables (yaml.safe_load does not know !reference: add a constructor). "
        "docker run with --privileged, --cap-add, --pid, -v /…, before the image's name. A ConfigMap may hold a config.toml. One pass by eye over what is left takes five minutes."),
        ("labels: away with services, tags and the three variables, and --privileged. What is left is a test, docker build and docker run."),
    ],
)  # fmt: skip

ENOUGH = 0.9
"""The share of findings that have to be right in all four columns, and of lines that have to be findings."""

FEW = 3
"""So many files that are harmless, and no more, are named one by one."""

GREP = re.compile(r"privileged['\"]?\s*[:=]\s*true")
"""What a search for `privileged: true` finds."""

BUILDERS = re.compile(r"^\s*(?:\S*/)?(buildah|kaniko|executor|podman|buildctl|nerdctl)\b", re.MULTILINE)
"""Commands that build without a daemon elsewhere."""

FAULT = "labels.py", " % 10}", " % 7}"
"""A fault in the code of labels that its test sees: the file, what stands there, and what then does."""

SHA = "5c0ffee1"
LIMITS = jail.Limits(seconds=60, cpu=60)

HIDDEN = (
    ("init container", "init-container-missed", "an init container. It prepares the machine, and then an ordinary container starts"),
    ("TLS protects", "docker-in-docker-missed", "a docker daemon beside a job. TLS protects the way to it, and it needs a privileged runner all the same"),
    ("anchor", "anchor-missed", "something that stands elsewhere in the file: an anchor, or a merge (<<)"),
    ("merges", "anchor-missed", "something that stands elsewhere in the file: an anchor, or a merge (<<)"),
    ("several documents", "document-missed", "a file with several documents, and not the first of them"),
    ("field of the pod", "pod-missed", "something that is said for the whole pod, and in no container"),
    ("capability", "capability-missed", "a capability that is nearly all of root"),
    ("volume", "volume-missed", "a volume that belongs to the machine"),
)  # fmt: skip
"""Why something is easy to miss (a part of `Planted.hidden`), the name of the mistake, and the words for it."""

HARMLESS = (
    ("comment", "comment-counted"),
    ("in quotes is text", "text-counted"),
)
"""Why something only looks privileged (a part of `Decoy.why`), and the name of the mistake."""


# ---- the answer --------------------------------------------------------------------------------------------------------


def _estate(trial: Trial) -> Estate:
    return trial.once("estate", lambda: scenario.of_seed(trial.seed))


def _truth(trial: Trial) -> tuple[Finding, ...]:
    return trial.once("findings", lambda: find(_estate(trial).files).findings)


def _answer(trial: Trial) -> tuple[str, list[tuple[str, ...]]]:
    """The file that was filled in, and its lines. Raises Miss where there is none, or a line is no finding."""

    def read() -> tuple[str, list[tuple[str, ...]]]:
        there = [name for name in scenario.ANSWERS if (trial.home / name).exists()] or [scenario.ANSWERS[0]]
        known = _estate(trial).files
        found = {name: [(_path(row[0], known), *row[1:]) for row in rows(trial.read(name), name)] for name in there}
        name = max(found, key=lambda one: len(found[one]))
        if not found[name]:
            raise Miss(f"~/{name} has no findings yet. ~/{scenario.FOLDER}/README.md says what a line looks like.", tried=f"read ~/{name}", got="no lines", wanted="\t".join(scenario.COLUMNS), name="empty")  # fmt: skip
        return name, found[name]

    return trial.once("lines", read)


def rows(text: str, name: str) -> list[tuple[str, ...]]:
    """The findings of an answer file: four words each. name: of the file. Raises Miss for a line that is none.

    >>> rows("file,where,reason,replacement\\na.yaml, b ,privileged,delete\\n", "5.6.csv")
    [('a.yaml', 'b', 'privileged', 'delete')]
    """
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    mark = next((mark for mark in "\t;," if any(mark in line for line in lines)), "\t")
    found: list[tuple[str, ...]] = []
    try:
        table = list(csv.reader(io.StringIO("\n".join(lines)), delimiter=mark, skipinitialspace=True))
    except csv.Error as error:
        raise Miss(f"~/{name} is no table: {error}.", tried=f"read ~/{name}", got=lines[0][:200], wanted="\t".join(scenario.COLUMNS), name="form") from None  # fmt: skip
    for row in table:
        words = [word.strip() for word in row]
        while words and not words[-1]:
            words.pop()
        if tuple(word.lower() for word in words) == scenario.COLUMNS:
            continue
        if len(words) != len(scenario.COLUMNS):
            raise Miss(f"A line in ~/{name} is no finding: it has {len(words)} columns, and four are expected, with tabs between them.", tried=f"read ~/{name}", got=mark.join(row)[:200], wanted="\t".join(scenario.COLUMNS), name="form")  # fmt: skip
        found.append(tuple(words))
    return found


def _path(word: str, known: Iterable[str]) -> str:
    """The path of a manifest as it is below ~/runners, however it was written: runners/a.yaml, ~/runners/a.yaml, ./a.yaml."""
    word = word.removeprefix("./")
    return next((path for path in known if word == path or word.endswith(f"/{path}")), word)


@forty.expects("every file in which something is privileged is named, and no other", points=1)
def files(trial: Trial) -> None:
    name, lines = _answer(trial)
    made, named = _estate(trial), {line[0] for line in lines}
    right = {one.file for one in _truth(trial)}
    tried, got = f"compare the files of ~/{name} with the manifests", f"{len(named)} files"
    if unknown := sorted(named - made.files.keys()):
        raise Miss("That is none of the manifests below ~/runners.", tried=tried, got=unknown[0], wanted=f"such as {next(iter(made.files))}", name="no-such-file")  # fmt: skip
    missing, extra = right - named, sorted(named - right)
    if missing and named == {file for file, text in made.files.items() if GREP.search(text)}:
        raise Miss("These are the files in which a search finds “privileged: true”. Some of them are harmless, and most of what is privileged does not say it so. Read what the fields mean.", tried=tried, got=got, wanted="what is privileged as it runs", name="only-grep")  # fmt: skip
    if extra:
        harmless = {one.file: one.why for one in reversed(made.decoys)}
        shown = next((file for file in extra if file in harmless), extra[0]) if len(extra) > FEW else extra[0]
        why = harmless.get(shown, "nothing in it is privileged")
        kind = next((kind for part, kind in HARMLESS if part in why), "false-alarm")
        if len(extra) > FEW:
            # Whoever names them all to be told one after the other which it is not has not looked at any.
            raise Miss(f"{len(extra)} of the files that you name are harmless. Of one of them, for instance: {why}.", tried=tried, got=got, wanted="what is privileged as it runs, and no other", name="many-harmless")  # fmt: skip
        count = f" ({len(extra)} files are named that are harmless.)" if len(extra) > 1 else ""
        raise Miss(f"{extra[0]} only looks privileged: {why}.{count}", tried=tried, got=extra[0], wanted="not in the answer", name=kind)  # fmt: skip
    if missing:
        hidden = [one.hidden for one in made.planted if one.file in missing]
        other = ("missed", "something else. Which kinds of files, and which fields, does your search not know?")
        kind, words = next(((kind, words) for part, kind, words in HIDDEN if any(part in one for one in hidden)), other)
        raise Miss(f"{len(missing)} files are not found yet. Among them there is {words}", tried=tried, got=got, wanted="all that is privileged", name=kind)  # fmt: skip


@forty.expects("nine of ten findings are right: where, why, and what to do instead", points=0.5)
def findings(trial: Trial) -> None:
    name, lines = _answer(trial)
    truth = {(one.file, one.where, one.reason): one.replacement for one in _truth(trial)}
    tried = f"compare ~/{name} with the manifests, line by line"
    for _, _, reason, replacement in lines:
        for word, known in ((reason, REASONS), (replacement, REPLACEMENTS)):
            if word not in known:
                raise Miss(f"“{word[:40]}” is none of the words of ~/{scenario.FOLDER}/README.md.", tried=tried, got=word[:80], wanted=", ".join(known), name="unknown-word")  # fmt: skip
    right = {line for line in lines if truth.get(line[:3]) == line[3]}
    if len(right) >= ENOUGH * len(truth) and len(right) >= ENOUGH * len(set(lines)):
        return
    wrong = collections.Counter(_slip(line, truth) for line in set(lines) - right)
    left = len(truth) - len({line[:3] for line in lines} & truth.keys())
    got = f"{len(right)} of {len(set(lines))} lines are right, and there are {len(truth)} findings"
    say, kind = SLIPS[wrong.most_common(1)[0][0]] if wrong else (f"{left} findings are missing. A file can have more than one.", "findings-missing")  # fmt: skip
    raise Miss(say, tried=tried, got=got, wanted=f"{ENOUGH:.0%} of both", name=kind)


SLIPS = {
    "replacement": ("Where and why are right in some lines, and the replacement is not. Look at what it is there for: its image, its command, its script.", "wrong-replacement"),
    "reason": ("The place is right in some lines, and the reason is not. README.md says what each word means.", "wrong-reason"),
    "where": ("The reason is right in some lines, and the place is not. README.md says whose name it is: a container's, an object's, a runner's, a job's.", "wrong-place"),
    "nothing": ("Some lines are about nothing that is privileged.", "no-finding"),
}  # fmt: skip
"""What is wrong with a line: what is said, and the name of the mistake."""


def _slip(line: tuple[str, ...], truth: dict[tuple[str, str, str], str]) -> str:
    """Which column of a line is wrong."""
    if line[:3] in truth:
        return "replacement"
    if any(key[:2] == line[:2] for key in truth):
        return "reason"
    return "where" if any((key[0], key[2]) == (line[0], line[2]) for key in truth) else "nothing"


# ---- the pipeline ------------------------------------------------------------------------------------------------------


@forty.expects("the pipeline of labels builds its image on the new runners", points=0.5)
def builds(trial: Trial) -> None:
    path = f"{scenario.PROJECT}/{scenario.PIPELINE}"
    text = trial.read(path)
    found = find({scenario.PIPELINE: text})
    if found.problems:
        raise Miss("Your pipeline file cannot be read.", tried=f"read ~/{path}", got=found.problems[0], wanted="a pipeline", name="no-pipeline")  # fmt: skip
    if found.findings:
        one = found.findings[0]
        raise Miss(f"Your pipeline still asks for more than the new runners give: {REASONS[one.reason]}", tried=f"look for what is privileged in ~/{path}", got=f"{one.where}: {one.reason} ({one.path})", wanted="nothing", name="still-privileged")  # fmt: skip
    try:
        file = parse(text)
    except PipelineError as error:
        raise Miss("The new runners do not take your pipeline.", tried=f"read ~/{path}", got=str(error), wanted="a pipeline", name="no-pipeline") from None  # fmt: skip
    with Desk(trial.folder(), seed=trial.seed) as desk:
        if failed := _run(trial, file, desk):
            raise failed
        try:
            desk.store.find(f"{scenario.IMAGE}:{SHA}")
        except ImageNotFound:
            raise Miss(f"The pipeline is green, and there is no image {scenario.IMAGE}:$CI_COMMIT_SHORT_SHA. Green is not built.", tried="run the pipeline, and look for the image", got=", ".join(desk.store.tags()), wanted=f"{scenario.IMAGE}:{SHA}", name="builds-nothing") from None  # fmt: skip
        if not _run(trial, file, desk, fault=True):
            raise Miss("The pipeline does not test any more: with a fault in the code it is as green as before. Is the job gone, may it fail (allow_failure), or is its exit code lost (|| true)?", tried=f"the pipeline, with a fault in {FAULT[0]}, for which the test is red", got="all jobs succeed", wanted="a job that fails", name="tests-nothing")  # fmt: skip


def _run(trial: Trial, file: PipelineFile, desk: Desk, fault: bool = False) -> Miss | None:
    """Run the jobs of a pipeline in order, each in a clean checkout, as the forge's runner does; what to say of the first that fails.

    fault: with FAULT in the code.
    """
    given = {"CI": "true", "CI_COMMIT_BRANCH": "main", "CI_COMMIT_REF_NAME": "main", "CI_DEFAULT_BRANCH": "main", "CI_COMMIT_SHA": SHA * 5, "CI_COMMIT_SHORT_SHA": SHA, "CI_PIPELINE_SOURCE": "push", "CI_PROJECT_NAME": scenario.PROJECT}  # fmt: skip
    for job in sorted(file.jobs, key=lambda job: file.stages.index(job.stage)):
        if job.when({**given, **file.variables}) == "never":
            continue
        home = trial.folder()
        scenario.put_project(home / scenario.PROJECT)
        if fault:
            name, right, wrong = FAULT
            path = home / scenario.PROJECT / name
            path.write_text(path.read_text().replace(right, wrong))
        there = f"{pipeline.BUILDS}/{scenario.PROJECT}" if jail.bubblewrap() else str(home / scenario.PROJECT)
        seen = pipeline.BUILDS if jail.bubblewrap() else str(home)
        variables = pipeline.expanded(given, {"CI_JOB_NAME": job.name, "CI_PROJECT_DIR": there}, file.variables, job.variables)  # fmt: skip
        trial.tell(f"running the job {job.name}")
        done = jail.run(
            ["bash", "--noprofile", "--norc", "-c", pipeline.script(job)],
            home=home,
            shown_as=seen,
            cwd=there,
            env=workspace.environment(seen, {**desk.env, **variables}),
            services=desk.services,
            read_only=workspace.tool_folders(),
            hide=workspace.secret_folders(),
            required=trial.graded,
            limits=LIMITS,
        )
        if (done.code or done.stopped) and not job.allow_failure:
            asks = "DOCKER_HOST" in variables or "DOCKER_TLS_VERIFY" in variables
            other = BUILDERS.search(pipeline.script(job))
            say, kind = f"The job {job.name} fails on the new runners.", "job-fails"
            if asks:
                say, kind = "The pipeline still says where the docker daemon is, and there is none any more. The new runners know where their builder is.", "asks-the-daemon"  # fmt: skip
            elif other:
                say, kind = f"These runners have no {other[1]}. Their builder without a daemon is used by docker's client: docker build, docker run (~/{scenario.FOLDER}/README.md).", "another-builder"  # fmt: skip
            return Miss(say, tried=f"the job {job.name}", got=done.stopped or short(done.out + done.err).strip()[-600:], wanted="a job that succeeds", name=kind)  # fmt: skip
    return None
