"""The pipeline file and its subset; and jobs, which run in the jail."""

from __future__ import annotations

import json
import threading
import time

import pytest
from test_forge_desk import FILES, Desk, make_desk

from opslab import jail
from opslab.worlds.forge import pipeline
from opslab.worlds.forge.pipeline_file import PipelineError, holds, parse
from opslab.worlds.forge.reactions import Worker


def make(tmp_path, text: str, **settings) -> Desk:
    return make_desk(tmp_path, files={**FILES, ".gitlab-ci.yml": text}, **settings)


def run(desk: Desk, **how) -> dict:
    """React to all; the newest pipeline, with its jobs by name."""
    desk.repository.react(**how)
    record = desk.repository.pipelines()[-1]
    return record | {"jobs": {job["name"]: job for job in record["jobs"]}}


def log(desk: Desk, job: dict) -> str:
    return (desk.repository.store.folder / "pipelines" / job["log"]).read_text()


# ---- the file --------------------------------------------------------------------------------------------------------


def test_a_file_with_all_that_there_is():
    file = parse("""
stages: [build, test]
variables: {A: 1, B: "two"}
image: python:3.11
before_script: [echo first]
.template: &script
  - echo one
  - - echo two
    - echo three
build:
  stage: build
  script: *script
  artifacts:
    paths: [dist/, "*.txt"]
test it:
  stage: test
  image: {name: python:3.12}
  before_script: []
  script: pytest
  needs: [build, {job: build}]
  variables: {C: three}
  allow_failure: true
  rules:
    - if: $CI_COMMIT_BRANCH == "main"
      when: never
    - when: always
""")
    build, test = file.jobs
    assert file.stages == (".pre", "build", "test", ".post") and file.variables == {"A": "1", "B": "two"}
    assert build.script == ("echo one", "echo two", "echo three") and build.before_script == ("echo first",)
    assert build.artifacts == ("dist/", "*.txt") and build.image == "python:3.11"
    assert (test.name, test.needs, test.allow_failure, test.image) == (
        "test it",
        ("build", "build"),
        True,
        "python:3.12",
    )
    assert test.before_script == () and test.when({"CI_COMMIT_BRANCH": "main"}) == "never" and test.when({}) == "always"


REFUSED = {
    "a:\n  script: x\n  services: [docker:dind]": "line 3: services: the forge has no containers",
    "a:\n  script: x\n  only: [main]": "line 3: only: use rules with if.",
    "a:\n  scripts: x": "line 2: scripts: did you mean script?",
    "a:\n  script: x\n  flavour: y": "line 3: flavour: the forge does not know this keyword.",
    "include: other.yml\na:\n  script: x": "line 1: include: write the jobs into this file.",
    "stags: [a]\na:\n  script: x": "line 1: stags is no keyword; did you mean stages?",
    "a:\n  stage: test": "line 1: the job a has no script.",
    "a: x": "line 1: the job a has to be written as keys and values",
    "a:\n  script: x\n  stage: tset": "line 1: a: there is no stage tset; add it to stages.",
    "a:\n  script: x\n  needs: [b]": "line 1: a needs b, and there is no such job.",
    "a:\n  script: x\n  needs: [b]\nb:\n  script: x\n  needs: [a]": "line 1: these jobs wait for each other: a, b.",
    "a:\n  stage: build\n  script: x\n  needs: [b]\nb:\n  stage: deploy\n  script: x": (
        "line 1: a job: need b is not defined in current or prior stages: b is in deploy, which comes after build. "
        "Move one of the two into another stage, or take b out of needs."
    ),
    "a:\n  stage: .pre\n  script: x\n  needs: [b]\nb:\n  script: x": "need b is not defined in current or prior stages",
    "stages: [b, a]\na:\n  stage: b\n  script: x\n  needs: [b]\nb:\n  stage: a\n  script: x": "b is in a, which comes after b.",
    "a:\n  script: x\na:\n  script: y": "line 3: a is there twice.",
    "a:\n  script:\n    - echo a: b": "A colon followed by a space makes a key",
    "a:\n  script: x\n  rules:\n    - changes: [x]": "line 4: rules: changes is not read here; only if and when are.",
    "a:\n  script: x\n  rules:\n    - when: manual": "line 4: when: manual is not there;",
    "a:\n  script: x\n  rules:\n    - if: $A =~ /x/": "line 4: if: '=~ /x/' is not understood; a condition is made of",
    "a:\n  script: x\n  artifacts:\n    expire_in: 1 day": "line 4: artifacts: expire_in is not read here",
    "a:\n  script: x\n  allow_failure:\n    exit_codes: 1": "allow_failure is true or false here",
    "a:\n  script: x\n  needs: [{job: a, optional: true}]": "an entry of needs is the name of a job",
    "a:\n  <<: {script: x}": "line 2: <<: merge keys are not read; write the keys out.",
    "a:\n  script: x\n  variables: {A-B: 1}": "A-B is no name for a variable.",
    "a: [": "this is no YAML",
    "a:\n\tscript: x": "this is no YAML",
    "": "the file is empty",
    "variables: {A: 1}": "there is no job",
    "- a": "the file has to be written as keys and values",
    "a: !!python/object/apply:os.system [x]": "the job a has to be written as keys and values",
    "\0": "this is no YAML",
    "x" * 200_000: "larger than",
    "a: &a [x, *a]": "nested too deep, or its aliases",
    "[" * 500: "line 1:",
    "\n".join(f"j{n}:\n  script: x" for n in range(60)): "there are 60 jobs; 50 is the most",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:40].replace("\n", "|"))
def test_what_is_not_in_the_subset_is_refused_by_name_and_line(text):
    with pytest.raises(PipelineError) as caught:
        parse(text)
    assert REFUSED[text] in str(caught.value) and str(caught.value).startswith(".gitlab-ci.yml, line ")


def test_aliases_cannot_stand_for_too_much():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    started = time.monotonic()
    with pytest.raises(PipelineError, match="aliases stand for too much"):
        parse("\n".join(lines))
    assert time.monotonic() - started < 60  # it would be 43 million words


def test_all_mistakes_are_told_at_once():
    with pytest.raises(PipelineError) as caught:
        parse("a:\n  only: [x]\nb:\n  script: x\n  tags: [y]\n")
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    ("condition", "result"),
    [
        ('$CI_COMMIT_BRANCH == "main"', True),
        ("$CI_COMMIT_BRANCH != 'main'", False),
        ("$NOPE", False),
        ("$EMPTY", False),
        ("$EMPTY == null", False),
        ("$NOPE == null", True),
        ('$NOPE == "x" || $CI_COMMIT_BRANCH', True),
        ('$CI_COMMIT_BRANCH && $NOPE || "x" == "x"', True),
        ('$CI_COMMIT_BRANCH && ($NOPE || "x" == "y")', False),
        ('$CI_COMMIT_BRANCH == "main"&&$EMPTY==""', True),
    ],
)
def test_conditions(condition, result):
    assert holds(condition, {"CI_COMMIT_BRANCH": "main", "EMPTY": ""}) is result


@pytest.mark.parametrize(
    "condition",
    ["main", "$A =", "$A == ", "($A", "$A)", "$A $B", "$A =~ /x/", "== $A", "()", "", "__import__('os')", "(" * 300],
)
def test_conditions_that_are_none(condition):
    with pytest.raises(ValueError, match=r"a condition is made of|too long"):
        holds(condition, {})


# ---- which pipelines there are ---------------------------------------------------------------------------------------

BOTH = """
always:
  script: echo branch
review:
  script: echo review of $CI_MERGE_REQUEST_IID into $CI_MERGE_REQUEST_TARGET_BRANCH_NAME
  rules:
    - if: $CI_PIPELINE_SOURCE == "merge_request_event"
main:
  script: echo main
  rules:
    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH
"""


def test_branches_and_merge_requests_have_pipelines_of_their_own(tmp_path):
    desk = make(tmp_path, BOTH)
    mr = desk.opened()
    assert "The pipeline of the newest commit has not run yet." in [str(one) for one in mr.blockers()]
    desk.repository.react()
    found = [
        (one["source"], one["branch"], [job["name"] for job in one["jobs"]]) for one in desk.repository.pipelines()
    ]
    assert sorted(found) == [
        ("merge_request_event", "country", ["review"]),
        ("push", "country", ["always"]),
        ("push", "main", ["always", "main"]),
    ]
    (status,) = mr.statuses()
    assert (status["name"], status["state"]) == ("pipeline", "success")
    review = next(one for one in desk.repository.pipelines() if one["merge_request"])
    assert status["pipeline"] == review["id"]
    assert "review of 1 into main" in log(desk, review["jobs"][0])
    mr.approve("mira")
    mr.merge()
    assert run(desk)["branch"] == "main"


def test_a_pipeline_of_a_branch_counts_for_a_merge_request_that_comes_later(tmp_path):
    desk = make(tmp_path, "a:\n  script: 'false'\n")
    desk.change()
    desk.sh("git push -q origin country")
    desk.repository.react()
    desk.mr("create", "country")
    desk.repository.react()
    mr = desk.repository.merge_request(1)
    assert "The check pipeline is failed: a failed." in [str(one) for one in mr.blockers()]


def test_without_a_job_for_the_branch_nothing_is_waited_for(tmp_path):
    desk = make(tmp_path, 'a:\n  script: x\n  rules:\n    - if: $CI_COMMIT_BRANCH == "main"\n      when: never\n')
    mr = desk.opened()
    desk.repository.react()
    assert desk.repository.pipelines() == [] and [one.code for one in mr.blockers()] == ["approval"]


def test_a_file_that_cannot_be_used_fails_and_says_why(tmp_path):
    desk = make(tmp_path, "a:\n  script: x\n")
    desk.change()
    (desk.clone / ".gitlab-ci.yml").write_text("a:\n  script: x\n  retry: 2\n")
    desk.sh("git commit -qam 'Try again by itself' && git push -q -o merge_request.create origin country")
    assert run(desk)["errors"] == ["line 3: retry: a job that fails by chance should be mended."]
    assert "retry" in str(desk.repository.merge_request(1).blockers()[0])
    assert "line 3: retry" in desk.mr("pipelines", str(desk.repository.pipelines()[-1]["id"]))


def test_pipelines_can_be_skipped_given_variables_and_overtaken(tmp_path):
    desk = make(tmp_path, 'variables: {WHO: file}\na:\n  script: echo "[$WHO]"\n')
    desk.change()
    desk.sh("git push -q -o merge_request.create -o ci.skip origin country")
    assert run(desk)["state"] == "skipped"
    assert "The check pipeline is skipped." in [str(one) for one in desk.repository.merge_request(1).blockers()]
    desk.sh("git commit -q --allow-empty -m 'Another one' && git push -q origin country")
    desk.sh("git commit -q --allow-empty -m 'And another' && git push -q -o ci.variable=WHO=push origin country")
    record = run(desk)
    assert [one["state"] for one in desk.repository.pipelines()][-2:] == ["canceled", "success"]
    assert "[push]" in log(desk, record["jobs"]["a"])


def later(desk: Desk) -> dict:
    """Push a pipeline file in which a job needs one of a later stage; the pipeline."""
    desk.change()
    file = "a:\n  stage: build\n  script: x\n  needs: [b]\nb:\n  stage: deploy\n  script: x\n"
    (desk.clone / ".gitlab-ci.yml").write_text(file)
    desk.sh("git commit -qam 'Wait for b' && git push -q -o merge_request.create origin country")
    return run(desk)


def test_a_need_of_a_later_stage_fails_and_says_why(tmp_path):
    desk = make(tmp_path, "a:\n  script: x\n")
    assert later(desk)["state"] == "failed"
    assert "need b is not defined in current or prior stages" in str(desk.repository.merge_request(1).blockers()[0])


def test_jobs_of_the_same_stage_may_need_each_other(tmp_path):
    desk = make(
        tmp_path, "a:\n  script: [test -e x]\n  needs: [b]\nb:\n  script: [touch x]\n  artifacts: {paths: [x]}\n"
    )
    record = run(desk)
    assert {name: job["state"] for name, job in record["jobs"].items()} == {"a": "success", "b": "success"}


LEFT_OUT = """
a:
  script: echo a
  needs: [b]
  rules: [{if: $CI_PIPELINE_SOURCE == "merge_request_event"}]
b:
  script: echo b
"""


def test_a_need_that_the_rules_leave_out_of_a_merge_request_is_told_there(tmp_path):
    """The branch's pipeline has nothing to complain of, so it must not be the one that counts."""
    desk = make(tmp_path, LEFT_OUT)
    mr = desk.opened()
    desk.repository.react()
    found = {one["source"]: one for one in desk.repository.pipelines() if one["branch"] == "country"}
    assert {name: one["state"] for name, one in found.items()} == {"push": "success", "merge_request_event": "failed"}
    why = "line 2: a needs b, which has no place in this pipeline by its rules."
    assert found["merge_request_event"]["errors"] == [why] and why in str(mr.blockers()[0])


# ---- jobs ------------------------------------------------------------------------------------------------------------


def test_stages_needs_artifacts_and_failures(tmp_path):
    desk = make(
        tmp_path,
        """
stages: [build, test, deploy]
build:
  stage: build
  script: [mkdir -p dist/deep, echo $CI_JOB_NAME > dist/deep/a.txt, echo no > other.txt, ln -s /etc/passwd dist/link]
  artifacts: {paths: [dist/]}
flaky:
  stage: build
  script: ["false"]
  allow_failure: true
early:
  stage: deploy
  needs: []
  script: [test ! -e dist, test ! -e other.txt]
test:
  stage: test
  script: [cat dist/deep/a.txt, test ! -e other.txt, test ! -e dist/link, exit 3]
deploy:
  stage: deploy
  script: [echo never]
after:
  stage: .post
  rules: [{when: always}]
  script: [echo after]
""",
    )
    record = run(desk)
    states = {name: job["state"] for name, job in record["jobs"].items()}
    wanted = {
        "build": "success",
        "flaky": "failed",
        "early": "success",
        "test": "failed",
        "deploy": "skipped",
        "after": "success",
    }
    assert states == wanted and record["state"] == "failed"
    assert record["jobs"]["build"]["artifacts"] == ["dist/deep/a.txt"] and record["jobs"]["test"]["code"] == 3
    said = log(desk, record["jobs"]["test"]).splitlines()
    assert said == [
        "$ cat dist/deep/a.txt",
        "build",
        "$ test ! -e other.txt",
        "$ test ! -e dist/link",
        "$ exit 3",
        "ERROR: Job failed: exit code 3",
    ]


def test_a_job_has_a_clean_clone_variables_and_the_tools(tmp_path):
    desk = make(
        tmp_path,
        """
variables: {TAG: "orders:$CI_COMMIT_SHORT_SHA"}
a:
  image: python:3.11
  variables: {MINE: "${TAG}-x"}
  before_script: [echo before]
  script:
    - echo "$MINE $CI_PROJECT_PATH $CI_JOB_STAGE $CI_COMMIT_REF_SLUG"
    - test "$PWD" = "$CI_PROJECT_DIR" && git status --short && git log --oneline | wc -l
    - git diff --name-only origin/main
    - python -c 'print("py", 1 + 1)'
    - test -z "${AWS_ACCESS_KEY_ID:-}"
    - "cd /; echo 'with: colon'"
    - pwd
""",
    )
    desk.change("Feature/Ä")
    desk.sh("git push -q origin HEAD")
    record = run(desk)
    said = log(desk, record["jobs"]["a"])
    assert record["state"] == "success", said
    short = record["sha"][:8]
    assert "The job's image is python:3.11: noted, but" in said and "$ echo before\nbefore\n" in said
    assert f"orders:{short}-x data/marts test feature\n" in said and "\n2\n" in said
    assert "\norders.sql\n" in said and "\npy 2\n" in said and "with: colon\n$ pwd\n/\nJob succeeded\n" in said


def test_a_job_sees_neither_the_forge_nor_the_learners_home_nor_a_network(tmp_path):
    desk = make(tmp_path, "a:\n  script: ['true']\n")
    secret = desk.home / "secret.txt"
    secret.write_text("x")
    script = [
        f"if echo x >> {desk.repository.folder}/forge/project.json; then exit 1; fi",
        f"if echo x >> {secret}; then exit 1; fi",
        "if (exec 3<>/dev/tcp/127.0.0.1/22) 2>/dev/null; then exit 1; fi",
        "touch $HOME/fine",
    ]
    desk.repository.commit(
        "main", {".gitlab-ci.yml": json.dumps({"a": {"script": script}})}, "Try to get out", by="ola"
    )
    record = run(desk)
    assert record["state"] == "success", log(desk, record["jobs"]["a"])
    assert secret.read_text() == "x"


def test_nothing_in_a_repository_runs_when_it_is_checked_out(tmp_path):
    desk = make(tmp_path, "a:\n  script: [ls -a, git config --list]\n")
    ran = tmp_path / "ran"
    desk.sh(
        f"git switch -qc evil; printf '* filter=x diff=x\\n' > .gitattributes; git config filter.x.smudge 'touch {ran}'; "
        "printf '[submodule \"s\"]\\n\\tpath = s\\n\\turl = ext::sh -c touch% x\\n' > .gitmodules; ln -s /etc e; mkdir hooks; "
        f"printf '#!/bin/sh\\ntouch {ran}\\n' > hooks/post-checkout; chmod +x hooks/post-checkout; ln -s ../../../.. up; "
        "git add . && git commit -qm 'Things that want to run' && git push -q origin evil"
    )
    record = run(desk)
    assert record["branch"] == "evil" and record["state"] == "success", log(desk, record["jobs"]["a"])
    assert not ran.exists() and "filter.x" not in log(desk, record["jobs"]["a"])


def test_artifacts_are_ordinary_files_and_stay_where_they_belong(tmp_path):
    desk = make(
        tmp_path,
        """
stages: [one, two]
make:
  stage: one
  script: [mkdir out, echo data > out/x.txt, ln -s /etc/passwd out/y.txt, mkfifo out/z.txt]
  artifacts: {paths: [out]}
none:
  stage: one
  allow_failure: true
  script: ["true"]
  artifacts: {paths: [nothing/]}
take:
  stage: two
  script: [cat out/x.txt, test ! -e out/y.txt, test ! -e out/z.txt]
""",
    )
    record = run(desk)
    assert record["state"] == "success", record
    assert record["jobs"]["make"]["artifacts"] == ["out/x.txt"]
    assert "no file matches the paths of artifacts (nothing/)" in log(desk, record["jobs"]["none"])
    # In the next commit, `out` is a link to somewhere else: nothing may be put there.
    target = tmp_path / "elsewhere"
    target.mkdir()
    kept = desk.repository.store.folder / "pipelines" / "1" / "1"
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "out").symlink_to(target)
    pipeline._give(kept, ["out/x.txt"], tmp_path / "build")
    assert list(target.iterdir()) == []


def test_a_job_that_takes_too_long_or_says_too_much_is_ended(tmp_path):
    desk = make(tmp_path, "slow:\n  script: [sleep 60]\n")
    record = run(desk, limits=jail.Limits(seconds=1))
    assert "still running after 1 seconds" in log(desk, record["jobs"]["slow"])
    # The others have the time that they need on a busy machine.
    text = "loud:\n  script: [yes]\nansi:\n  script: [\"printf '\\\\033[31mred\\\\033[0m\\\\n'\"]\n"
    desk.repository.commit("main", {".gitlab-ci.yml": text}, "Other jobs", by="ola")
    record = run(desk, limits=jail.Limits(seconds=60, output=10_000))
    assert "printed more than 10,000 bytes" in log(desk, record["jobs"]["loud"])
    assert "\nred\n" in log(desk, record["jobs"]["ansi"])


def test_a_pipeline_whose_process_was_killed_runs_again(tmp_path, monkeypatch):
    desk = make(tmp_path, "a:\n  script: [echo again]\n")

    class Killed(BaseException):
        pass

    def killed(*_, **__):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(jail, "run", killed)
        desk.repository.react()
    assert [(one["state"], one["jobs"][0]["state"]) for one in desk.repository.pipelines()] == [("running", "running")]
    assert run(desk)["state"] == "success" and len(desk.repository.pipelines()) == 1


def test_a_fault_of_the_forge_ends_the_pipeline_and_is_told(tmp_path, monkeypatch):
    desk = make(tmp_path, "a:\n  script: [echo x]\n")
    desk.opened()
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "script", lambda job: {}[job.name])
        desk.repository.react()
    states = [(one["state"], one["jobs"][0]["state"]) for one in desk.repository.pipelines()]
    assert states == [("failed", "failed")] * 2, "the first does not keep the second waiting"
    (status,) = desk.repository.merge_request(1).statuses()
    assert status["state"] == "failed" and "the forge stumbled (KeyError: 'a')" in status["description"]


def test_without_a_jail_a_pipeline_waits_until_there_is_one(tmp_path, monkeypatch):
    desk = make(tmp_path, "a:\n  script: [echo x]\n")

    def missing(*_, **__):
        raise jail.JailError("there is no bubblewrap")

    with monkeypatch.context() as patch, pytest.raises(jail.JailError):
        patch.setattr(jail, "run", missing)
        desk.repository.react()
    assert run(desk)["state"] == "success", "a machine that lacks something is no fault of the pipeline"


def test_a_pipeline_file_that_was_in_order_once_fails_and_says_why(tmp_path, monkeypatch):
    """A desk may be older than this version of the course, which refuses more."""
    desk = make(tmp_path, "a:\n  script: [echo x]\n")

    def refused(text):
        raise PipelineError(["line 1: not any more."])

    with monkeypatch.context() as patch:
        parse_now = pipeline.parse
        patch.setattr(pipeline, "parse", lambda text: refused(text) if desk.repository.pipelines() else parse_now(text))
        record = run(desk)
    assert (record["state"], record["errors"]) == ("failed", ["line 1: not any more."])


def test_one_worker_at_a_time_and_events_are_never_lost(tmp_path):
    desk = make(tmp_path, "a:\n  script: [echo x]\n")
    counts = []
    threads = [threading.Thread(target=lambda: counts.append(desk.forge.repository().react())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    desk.repository.react()
    assert len(desk.repository.pipelines()) == 1 and not desk.repository.store.waiting()


def test_a_worker_reacts_in_the_background(tmp_path):
    desk = make(tmp_path, "a:\n  script: [echo x]\n", reviewers={"mira": ["title"]})
    with Worker(desk.forge, every=0.02):
        mr = desk.opened()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and [one.code for one in mr.blockers()]:
            time.sleep(0.02)
    assert mr.blockers() == [] and mr.record["approvals"]
