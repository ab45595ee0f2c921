"""What is read of a Dockerfile, and what is said of one that cannot be read. Nothing is built here."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opslab.worlds.images import references
from opslab.worlds.images.context import ContextError, ignored, rules
from opslab.worlds.images.dockerfile import (
    DockerfileError,
    Instruction,
    SecretMount,
    arguments,
    expand,
    healthcheck,
    pairs,
    parse,
    secret_mount,
)


def only(text: str) -> Instruction:
    """The one instruction of a Dockerfile with one."""
    (instruction,) = parse(f"FROM base\n{text}").stages[0].instructions
    return instruction


# ---- what is read -----------------------------------------------------------------------------------------------------


def test_lines_are_joined_and_comments_are_no_part_of_them():
    file = parse(
        "# syntax=docker/dockerfile:1\r\n\r\nFROM base AS Build\r\nRUN one \\\r\n  # why\r\n  two \\  \r\n\r\n  three\r\n# end\r\nUSER app"
    )
    run, user = file.stages[0].instructions
    assert (run.line, run.body.split()) == (4, ["one", "two", "three"])
    assert (user.keyword, user.line) == ("USER", 10)
    assert file.stages[0].name == "build"


def test_keywords_may_be_written_small():
    assert only("run x").keyword == "RUN"


def test_stages_are_found_by_name_and_number():
    file = parse("ARG A\nFROM a AS One\nFROM b\nFROM one AS two")
    assert [one.body for one in file.arguments] == ["A"]
    assert file.stage("ONE").index == 0
    assert file.stage("1").base.body == "b"
    assert file.stage("three") is None


def test_exec_form_and_shell_form():
    assert only('CMD ["python", "-c", "print(\'x\')"]').words == ("python", "-c", "print('x')")
    assert only("CMD python app.py").words is None
    assert only("RUN [ -f x ] && echo [ok]").words is None
    assert only("RUN [[ -f x ]]").words is None


def test_flags_stand_in_front():
    copy = only("COPY --from=build --chown=app:app --chmod=755 a b/")
    assert copy.flag("from") == "build"
    assert copy.body == "a b/"
    assert copy.text == "COPY --from=build --chown=app:app --chmod=755 a b/"
    assert only("RUN pip install --no-cache-dir x").flags == ()


def test_env_and_label_take_quotes_and_backslashes():
    env = only(r"""ENV A="x y" B=c\ d C='$A' D="say \"hi\"" E=""")
    values = {name: expand(env, value, {"A": "old"}) for name, value in pairs(env)}
    assert values == {"A": "x y", "B": "c d", "C": "$A", "D": 'say "hi"', "E": ""}
    assert pairs(only("ENV NAME some value")) == [("NAME", "some value")]
    assert pairs(only('LABEL "a.b"=c')) == [("a.b", "c")]
    assert arguments(only("ARG A B=1")) == [("A", None), ("B", "1")]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$A", "1"),
        ("${A}b", "1b"),
        ("$Ab", ""),
        ("${NO:-x}${EMPTY:-y}${EMPTY-z}${A:-w}", "xy1"),
        ("${A:+yes}${NO:+no}${EMPTY+set}", "yesset"),
        ("${NO:-${A}}", "1"),
        (r"\$A", "$A"),
        ("'$A'", "$A"),
        ('"$A"', "1"),
        ("100%$", "100%$"),
    ],
)
def test_variables(text, value):
    assert expand(Instruction("ENV", 1, ""), text, {"A": "1", "EMPTY": ""}) == value


def test_healthcheck_in_nanoseconds():
    check = healthcheck(only("HEALTHCHECK --interval=1m30s --timeout=500ms --retries=3 CMD curl -f x || exit 1"))
    assert check == {
        "Test": ["CMD-SHELL", "curl -f x || exit 1"],
        "Interval": 90_000_000_000,
        "Timeout": 500_000_000,
        "Retries": 3,
    }
    assert healthcheck(only('HEALTHCHECK CMD ["python", "ok.py"]'))["Test"] == ["CMD", "python", "ok.py"]
    assert healthcheck(only("HEALTHCHECK NONE")) == {"Test": ["NONE"]}


def test_secret_mounts():
    run = only(
        "RUN --mount=type=secret,id=index --mount=type=secret,id=b,target=/x,required,mode=440,uid=5 pip install x"
    )
    mounts = [secret_mount(run, value) for _, value in run.flags]
    assert mounts == [
        SecretMount("index", "/run/secrets/index"),
        SecretMount("b", "/x", required=True, mode=0o440, uid=5),
    ]
    assert secret_mount(run, "type=secret,id=t,env=TOKEN") == SecretMount("t", "", "TOKEN")


# ---- what is said -----------------------------------------------------------------------------------------------------

WRONG = {
    "no FROM": ("", "line 1: there is no FROM"),
    "not FROM first": ("RUN x\nFROM a", "line 1: RUN stands before the first FROM; only ARG can"),
    "misspelt": ("FROM a\nCOPPY x y", "line 2: COPPY is no instruction. Did you mean COPY?"),
    "misspelt FROM": ("FORM python:3-slim", "line 1: FORM is no instruction. Did you mean FROM?"),
    "nothing like it": ("FROM a\nWHATEVER x", "line 2: WHATEVER is no instruction. There are FROM, ARG"),
    "a line that was not joined": ("FROM a\nRUN x\n  && y", "has to end with a backslash"),
    "a conflict": ("FROM a\n<<<<<<< HEAD\nRUN x\n", "a merge conflict was left"),
    "heredoc": ("FROM a\nRUN <<EOF\npip install x\nEOF\nUSER b", "line 2: a heredoc (<<) is not read here. Join"),
    "heredoc in COPY": ("FROM a\nCOPY <<'X' /y\nz\nX", "Put the text into a file of its own"),
    "escape": ("# escape=`\nFROM a", "line 1: another escape character"),
    "ADD": ("FROM a\nADD x y", "line 2: ADD is not read here"),
    "VOLUME": ("FROM a\nVOLUME /data", "line 2: VOLUME is not read here"),
    "ONBUILD": ("FROM a\nONBUILD RUN x", "line 2: ONBUILD is not read here"),
    "MAINTAINER": ("FROM a\nMAINTAINER me", "line 2: MAINTAINER is out of use"),
    "alone": ("FROM a\nRUN", "line 2: RUN stands alone; expected a command"),
    "FROM alone": ("FROM", "expected the image to begin with"),
    "FROM with too much": ("FROM a as b c", "found 'a as b c' behind FROM"),
    "a stage called 1": ("FROM a AS 1", "1 cannot be the name of a stage"),
    "two stages of a name": ("FROM a AS x\nFROM b AS X", "line 2: there is already a stage called x"),
    "single quotes": ("FROM a\nCMD ['python', 'app.py']", "JSON wants double quotes"),
    "a list that is none": ('FROM a\nENTRYPOINT ["python" "app.py"]', "it has to be JSON"),
    "an empty list": ("FROM a\nCMD []", "CMD has an empty list"),
    "spaces around =": ("FROM a\nENV A = b", "no spaces around the ="),
    "a value with spaces": ("FROM a\nENV A=b c", "'c' is no NAME=value. A value with spaces wants quotes"),
    "an open quote": ('FROM a\nENV A="b', "a quotation mark is opened and not closed"),
    "ENV without value": ("FROM a\nENV A", "ENV A has no value"),
    "a strange ARG": ("FROM a\nARG 1A=2", "'1A=2' is no name of an argument"),
    "above the folder": ("FROM a\nCOPY ../x .", "a build can take only what is in its folder, and .. leads out of it"),
    "a hidden way up": ("FROM a\nCOPY a/../../x .", "leads out of it"),
    "COPY one word": ("FROM a\nCOPY x", "COPY has only one word"),
    "COPY from the web": ("FROM a\nCOPY https://x.example/y .", "nothing is downloaded here"),
    "a flag of RUN": ("FROM a\nCOPY --form=b x y", "--form: did you mean --from?"),
    "platform": ("FROM a\nCOPY --link x y", "--link: it changes nothing here. Leave it out"),
    "a flag without value": ("FROM a\nCOPY --chown app x y", "--chown needs a value"),
    "a flag twice": ("FROM a\nCOPY --from=a --from=b x y", "--from is there twice"),
    "a cache mount": ("FROM a\nRUN --mount=type=cache,target=/x y", "--mount=type=cache is not read here"),
    "a secret without a name": ("FROM a\nRUN --mount=type=secret x", "needs the name of the secret"),
    "an option of a mount": (
        "FROM a\nRUN --mount=type=secret,id=a,tarket=/x y",
        "tarket is not read here. Did you mean target?",
    ),
    "a port to a port": ("FROM a\nEXPOSE 8080:80", "8080:80 is no port"),
    "two users": ("FROM a\nUSER app group", "found 'app group' behind USER"),
    "a time without unit": ("FROM a\nHEALTHCHECK --interval=30 CMD x", "expected a time with its unit"),
    "no CMD": ("FROM a\nHEALTHCHECK curl x", "expected HEALTHCHECK CMD"),
    "SHELL in words": ("FROM a\nSHELL /bin/bash -c", "behind SHELL; expected a list"),
    "zero bytes": ("FROM a\0", "this is no text"),
}


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_with_its_line(text, said):
    with pytest.raises(DockerfileError) as error:
        parse(text)
    assert said.lower() in str(error.value).lower()
    assert all(problem.startswith("line ") and problem[-1] in ".?:," for problem in error.value.problems)


def test_everything_that_is_wrong_is_said_at_once_in_order():
    with pytest.raises(DockerfileError) as error:
        parse("FROM a\nCOPPY x y\nENV A\nRUN <<EOF\nUSER\nEOF\nUSER x y")
    assert [problem.split(":")[0] for problem in error.value.problems] == ["line 2", "line 3", "line 4", "line 7"]


def test_a_variable_in_a_form_that_is_not_read():
    with pytest.raises(DockerfileError, match=r"'\$\{A/x/y\}' is not understood"):
        expand(Instruction("ENV", 3, ""), "${A/x/y}", {})


def test_only_the_last_cmd_counts_and_that_is_said():
    assert parse("FROM a\nCMD x\nCMD y").warnings == ("line 2: there is a later CMD, and only the last one counts.",)


@pytest.mark.parametrize("text", ["FROM a\n" * 3000, "FROM a\nRUN " + "x" * 300_000])
def test_a_file_that_is_far_too_long(text):
    with pytest.raises(DockerfileError):
        parse(text)


@settings(deadline=None, derandomize=True)  # 200 ms are not much on a busy machine; and the same texts each time
@given(st.text(alphabet=st.sampled_from("FROMrun copy=-$\\\"'[]{}#<>,:\n\t xé/.*0"), max_size=200))
def test_whatever_is_written_ends_in_a_dockerfile_or_in_words(text):
    for given_text in (text, f"FROM a\n{text}"):
        try:
            parse(given_text)
        except DockerfileError as error:
            assert error.problems


# ---- names of images --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("python", ("", "python", "latest", "")),
        ("python:3-slim", ("", "python", "3-slim", "")),
        ("data/loader:1.0", ("", "data/loader", "1.0", "")),
        ("localhost/a", ("localhost", "a", "latest", "")),
        ("127.0.0.1:5000/a/b:c", ("127.0.0.1:5000", "a/b", "c", "")),
        ("ghcr.io/x/y@sha256:" + "a" * 64, ("ghcr.io", "x/y", "", "sha256:" + "a" * 64)),
        ("a:b@sha256:" + "0" * 64, ("", "a", "b", "sha256:" + "0" * 64)),
    ],
)
def test_names_are_taken_apart(text, parts):
    reference = references.parse(text)
    assert (reference.host, reference.path, reference.tag, reference.digest) == parts
    assert references.parse(str(reference)) == reference


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Python", "capital letters"),
        ("https://x.example/a", "is an address"),
        ("a@sha256:123", "no digest behind its @"),
        ("a:", "no tag behind its colon"),
        ("a b", "no name of an image"),
        ("", "no name of an image"),
        ("../a", "no "),
        ("a" * 300, "no name of an image"),
    ],
)
def test_what_is_no_name_is_said(text, said):
    with pytest.raises(references.NameProblem, match=said):
        references.parse(text)


# ---- .dockerignore ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patterns", "out", "stays"),
    [
        (["*.log"], ["a.log"], ["b/a.log", "a.logs"]),
        (["**/*.log"], ["a.log", "b/c/a.log"], ["a.logs"]),
        (["data"], ["data", "data/x/y"], ["datas", "b/data"]),
        (["/data/"], ["data/x"], ["x/data"]),
        (["a?c"], ["abc"], ["ac", "a/c"]),
        (["[a-c].py"], ["b.py"], ["d.py"]),
        (["*", "!app.py", "!src"], ["x", "y/z"], ["app.py", "src", "src/a"]),
        (["src", "!src/keep", "src/keep/not"], ["src/x", "src/keep/not"], ["src/keep/a"]),
        (["# comment", "", "./x"], ["x"], ["# comment"]),
        (["**"], ["a", "a/b"], []),
    ],
)
def test_dockerignore(patterns, out, stays):
    among = rules("\n".join(patterns))
    assert [path for path in out if not ignored(path, among)] == []
    assert [path for path in stays if ignored(path, among)] == []


def test_the_rule_that_decided_is_known():
    assert ignored("a/b.log", rules("x\n\n**/*.log")).line == 3


def test_a_pattern_that_is_none():
    with pytest.raises(ContextError, match="line 2: a\\[ is no pattern"):
        rules("x\na[")
