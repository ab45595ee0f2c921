"""What the bot reads: comments, atlantis.yaml, the server's rules, Terraform code; and what it writes. Nothing is run."""

from __future__ import annotations

import doctest
import importlib
import json
import re
from pathlib import Path

import pytest
import yaml

from opslab.worlds.forge.atlantis import code, comments, config, hcl, policies, render, secrets
from opslab.worlds.forge.atlantis.comments import Command
from opslab.worlds.forge.atlantis.config import ConfigError, Project, Rules, Server
from opslab.worlds.forge.atlantis.render import Result
from opslab.worlds.forge.forge import Forge

BACKEND = 'terraform {\n  backend "s3" {}\n}\n'


@pytest.mark.parametrize("name", ["comments", "config", "hcl", "render"])
def test_the_examples_in_the_docstrings(name: str) -> None:
    module = importlib.import_module(f"opslab.worlds.forge.atlantis.{name}")
    assert doctest.testmod(module).failed == 0


def test_the_table_in_the_docs_names_tests_that_there_are(root: Path) -> None:
    tests = "".join(path.read_text() for path in root.glob("tests/test_*.py"))
    text = (root / "docs/atlantis.md").read_text().partition("## What the bot does")[2]
    rows = [
        line for line in text.splitlines() if line.startswith("| ") and not line.startswith(("| behaviour", "| ---"))
    ]
    names = [name for row in rows for name in re.findall(r"`([a-z_]+…?)`", row.rpartition(" | ")[2])]
    assert len(rows) > 35 and len(names) > 45
    assert [name for name in names if f"def test_{name.rstrip('…')}" not in tests] == []


# ---- comments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("atlantis plan", Command("plan")),
        ("  `Atlantis PLAN`  ", Command("plan")),
        ("run apply", Command("apply")),
        ("@atlantis unlock", Command("unlock")),
        ("atlantis plan -d staging -w blue", Command("plan", dir="staging", workspace="blue")),
        ("atlantis plan -dstaging", Command("plan", dir="staging")),
        ("atlantis plan --dir=./a/../b/", Command("plan", dir="b")),
        ("atlantis plan -d /", Command("plan", dir=".")),
        ("atlantis plan -d 'two words'", Command("plan", dir="two words")),
        ("atlantis apply -p staging --auto-merge-disabled", Command("apply", project="staging", automerge=False)),
        (
            "atlantis plan --verbose -- -target=a -var 'x=1 2'",
            Command("plan", verbose=True, extra=("-target=a", "-var", "x=1 2")),
        ),
        ("atlantis apply\n\n", Command("apply")),
    ],
)
def test_commands(text: str, command: Command) -> None:
    assert comments.parse(text) == comments.Parsed(command)


@pytest.mark.parametrize(
    "text", ["", "   ", "LGTM", "please atlantis plan", "atlantis plan\nthanks", "plan", "@mira plan"]
)
def test_what_is_not_for_the_bot(text: str) -> None:
    assert comments.parse(text) == comments.Parsed()


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("terraform plan", "Did you mean to use `atlantis` instead of `terraform`?"),
        ("Terraform plan", "Did you mean to use `atlantis` instead of `terraform`?"),
        ("atlantus plan", "Did you mean to use `atlantis` instead of `atlantus`?"),
        ("atlants apply", "Did you mean to use `atlantis` instead of `atlants`?"),
        (
            "atlantis paln",
            (
                "```\nError: unknown command \"paln\".\nRun 'atlantis --help' for usage.\n"
                "Available commands(--allow-commands): plan, apply, unlock, approve_policies\n```"
            ),
        ),
        ("atlantis plan 'x", "```\nError parsing command: no closing quotation\n```"),
    ],
)
def test_replies_to_mistakes(text: str, reply: str) -> None:
    assert comments.parse(text).reply == reply


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("atlantis plan staging", "unknown argument(s) – staging"),
        ("atlantis plan -x", "unknown shorthand flag: 'x' in -x"),
        ("atlantis plan --nope", "unknown flag: --nope"),
        ("atlantis plan -d", "flag needs an argument: 'd' in -d"),
        ("atlantis plan --dir", "flag needs an argument: --dir"),
        ("atlantis plan -d ../other", 'using a relative path "../other" with -d/--dir is not allowed'),
        ("atlantis plan -w a/b", "invalid workspace \"a/b\": cannot contain '/' or '\\'"),
        ("atlantis plan -w=-x", "invalid workspace \"-x\": cannot start with '-'"),
        ("atlantis apply -p a -d b", "cannot use -p/--project at same time as -d/--dir or -w/--workspace"),
        ("atlantis plan -- -chdir=/", 'flag "-chdir=/" is not allowed in extra args'),
        ("atlantis plan -- --plugin-dir x", 'flag "--plugin-dir" is not allowed in extra args'),
        ("atlantis plan --auto-merge-disabled", "unknown flag: --auto-merge-disabled"),
    ],
)
def test_wrong_flags_are_told_with_the_usage(text: str, error: str) -> None:
    reply = comments.parse(text).reply
    assert reply.startswith(f"```\nError: {error}.\nUsage of ") and "  -d, --dir string" in reply


def test_help() -> None:
    for text in ("atlantis", "atlantis help", "atlantis -h", "atlantis --help"):
        assert comments.parse(text).reply == comments.HELP
    assert comments.parse("atlantis plan --help").reply.startswith("```\nUsage of plan:\n  -d, --dir string")
    assert comments.parse("atlantis unlock -p x").reply == comments.UNLOCK_USAGE
    assert comments.parse("atlantis unlock now").reply == comments.UNLOCK_USAGE


def test_the_comment_for_one_project() -> None:
    told = comments.targeted
    assert told("plan", "staging", "default", "") == "atlantis plan -d staging"
    assert told("plan", ".", "default", "") == "atlantis plan -d ."
    assert told("plan", ".", "blue", "") == "atlantis plan -w blue"
    assert told("apply", "two words", "blue", "") == 'atlantis apply -d "two words" -w blue'
    assert told("apply", "staging", "blue", "it") == "atlantis apply -p it"


# ---- atlantis.yaml ---------------------------------------------------------------------------------------------------


def test_a_config_with_all_that_there_is() -> None:
    text = """\
version: 3
automerge: true
projects:
- name: staging/one
  dir: ./staging/
  workspace: blue
  autoplan: {when_modified: ["*.tf"], enabled: false}
  apply_requirements: [approved, mergeable, undiverged]
  depends_on: [other]
- {name: other, dir: .}
"""
    found = config.parse(text, Rules(("approved",), ("apply_requirements",)))
    one = Project(
        "staging", "blue", "staging/one", ("*.tf",), False, ("approved", "mergeable", "undiverged"), ("other",)
    )
    assert found == config.Config((one, Project(".", name="other", apply_requirements=("approved",))), True)


def project(**keys: object) -> str:
    return yaml.safe_dump({"version": 3, "projects": [{"dir": "a", **keys}]})


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("projects: []", "version: is required"),
        ("version: 1", "only versions 2 and 3 are supported"),
        ("version: 3\nprojekts: []", "field projekts not found; there are: automerge, projects, version"),
        ("version: 3\nworkflows: {}", "Atlantis knows the key workflows, this subset does not"),
        ("version: [", "parsing atlantis.yaml: "),
        ("- a", "expected keys with values"),
        ("version: 3\nprojects: [{name: a}]", "projects[0]: (dir: cannot be blank.)."),
        (project(dir="../a"), "projects[0]: (dir: cannot contain '..'.)."),
        (project(dir="*"), "dir with a pattern"),
        (project(dir=7), "projects[0].dir: expected a text, found 7"),
        (project(name="a b"), 'projects[0]: (name: "a b" is not allowed: must contain only URL safe characters.).'),
        (project(name=""), "(name: if set cannot be empty.)"),
        (project(workspace="a/b"), "(workspace: cannot contain '/' or '\\'.)."),
        (project(autoplan={"enabled": "maybe"}), "projects[0].autoplan.enabled: expected true or false"),
        (project(workflow="x"), "projects[0]: Atlantis knows the key workflow"),
        (project(apply_requirements=["approve"]), '"approve" is not a valid apply_requirement, only "approved"'),
        (project(apply_requirements=["approved"]), "repo config not allowed to set 'apply_requirements' key: "),
        (project(depends_on=["x"]), 'project a depends on "x", which no project is called'),
        ("version: 3\nprojects: [{dir: a, name: x}, {dir: b, name: x}]", 'two or more projects with name "x"'),
        ("version: 3\nprojects: [{dir: a}, {dir: ./a}]", 'two or more projects with dir: "a" workspace: "default"'),
        ("version: 3\n#" + "x" * 100_000, "100,000 are the most"),
    ],
)
def test_a_config_that_is_wrong(text: str, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.parse(text, Rules())
    assert error in str(caught.value)


def test_rules_of_the_server() -> None:
    server = Server.parse("""\
repos:
- {id: /.*/, apply_requirements: [approved]}
- {id: "/platform/.*/", apply_requirements: [approved, mergeable], policy_check: true}
- {id: data/marts, allowed_overrides: [apply_requirements]}
""")
    assert server.rules("other/x") == Rules(("approved",))
    assert server.rules("platform/infrastructure") == Rules(("approved", "mergeable"), (), True)
    assert server.rules("data/marts") == Rules(("approved",), ("apply_requirements",))
    for text in ("repos: [{id: /(/}]", "repos: [{id: x, allowed_overrides: [workflow]}]", "reops: []"):
        with pytest.raises(ConfigError):
            Server.parse(text)


@pytest.mark.parametrize(
    ("patterns", "path", "asked"),
    [
        (config.WHEN_MODIFIED, "staging/main.tf", True),
        (config.WHEN_MODIFIED, "staging/deep/er/x.tfvars", True),
        (config.WHEN_MODIFIED, "staging/.terraform.lock.hcl", True),
        (config.WHEN_MODIFIED, "production/main.tf", False),
        (config.WHEN_MODIFIED, "staging/README.md", False),
        (("*.tf",), "staging/deep/main.tf", False),
        (("../modules/**/*.tf",), "modules/bucket/main.tf", True),
        (("../modules/**/*.tf",), "modules/main.tf", True),
        (("**/*.tf", "!old.tf"), "staging/old.tf", False),
        (("x?.tf", "[ab].tf"), "staging/x1.tf", True),
        (("x?.tf", "[!ab].tf"), "staging/c.tf", True),
        (("a+b.tf",), "staging/aab.tf", False),
    ],
)
def test_when_modified(patterns: tuple[str, ...], path: str, asked: bool) -> None:
    assert Project("staging", when_modified=patterns).touched(["README.md", path]) == asked


# ---- Terraform code --------------------------------------------------------------------------------------------------


def test_blocks_of_a_file() -> None:
    file = hcl.read("""\
# provider "null" {}
/* resource "x" "y" { */
locals { a = "}" } // }
resource "aws_s3_bucket" "b" {
  bucket = "b-${var.names["}"]}-$${x}-${join("-", [for x in y : "${x}"])}"
  policy = <<-EOT
    { "provisioner" "x" {
    EOT
  tags = {
    Name = "b" # }
  }
  lifecycle { prevent_destroy = true }
}
""")
    assert [(one.type, one.labels, one.start) for one in file.blocks] == [
        ("locals", (), 3),
        ("resource", ("aws_s3_bucket", "b"), 4),
    ]
    bucket = file.blocks[1]
    assert list(bucket.attributes) == ["bucket", "policy", "tags"] and [one.type for one in bucket.blocks] == [
        "lifecycle"
    ]
    assert bucket.text("bucket") is None and bucket.line("tags") == 9
    assert hcl.plain(' "a\\"b" ') == 'a"b' and hcl.plain('"a${b}"') is None and hcl.plain("x") is None


@pytest.mark.parametrize(
    "text",
    [
        'a "b" {',
        'a = "b',
        "a = (",
        "a = ]",
        "{",
        "a {\n  b = <<X\n",
        "/*",
        'a "${x}" {}',
        "a = 1\na = 2",
        "a { " * 300,
        'a = "${' * 300,
    ],
)
def test_what_is_no_code(text: str) -> None:
    with pytest.raises(hcl.HclError):
        hcl.read(text)


@pytest.fixture
def problems(tmp_path: Path):
    forge = Forge(tmp_path / "forge")

    def found(files: dict[str, str], folder: str = "staging", links: dict[str, str] | None = None) -> list[str]:
        repository = forge.create(f"a/r{len(forge.paths())}", files=files)
        for path, target in (links or {}).items():
            stream = f"commit refs/heads/main\ncommitter A <a@b> 1763280000 +0000\ndata 1\nx\nfrom refs/heads/main^0\nM 120000 inline {path}\ndata {len(target)}\n{target}\n"
            repository.git.run("fast-import", "--quiet", give=stream.encode())
        return code.problems(code.Tree(repository.git, repository.git.resolve("refs/heads/main")), folder)

    return found


GOOD = """\
terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.0"
    }
  }
  backend "s3" {
    bucket = "state"
  }
}
provider "aws" {
  region = "eu-west-1"
  assume_role {
    role_arn = "arn:aws:iam::111111111111:role/deployer"
  }
}
resource "aws_s3_bucket" "b" {}
resource "terraform_data" "t" {
  input = file("${path.module}/../files/a.json")
}
data "aws_caller_identity" "me" {}
"""


def test_good_code(problems) -> None:
    files = {
        "staging/main.tf": GOOD + 'module "m" {\n  source = "../modules/m"\n}\n',
        "modules/m/main.tf": 'resource "aws_s3_bucket" "b" {}\n',
    }
    assert problems(files) == []
    assert problems({**files, "common/tags.tf": "locals {}\n"}, links={"staging/tags.tf": "../common/tags.tf"}) == []


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('resource "null_resource" "x" {}', 1, "the provider hashicorp/null is not allowed; allowed is hashicorp/aws."),
        ('data "external" "x" {}', 1, "the provider hashicorp/external is not allowed"),
        ('data "http" "x" {}', 1, "the provider hashicorp/http is not allowed"),
        ('check "c" {\n  data "http" "x" {}\n}', 2, "the provider hashicorp/http is not allowed"),
        ('ephemeral "random_password" "x" {}', 1, "the provider hashicorp/random is not allowed"),
        ('resource "aws_s3_bucket" "x" {\n  provider = evil.one\n}', 1, "the provider hashicorp/evil is not allowed"),
        ('provider "kubernetes" {}', 1, "the provider hashicorp/kubernetes is not allowed"),
        (
            'terraform {\n  required_providers {\n    aws = { source = "evil/aws" }\n  }\n}',
            3,
            "the provider evil/aws is not allowed",
        ),
        (
            'terraform {\n  required_providers {\n    x = { "source" : "evil.example/x/y" }\n  }\n}',
            3,
            "the provider evil.example/x/y",
        ),
        (
            'terraform {\n  required_providers {\n    x = { source = lower("X") }\n  }\n}',
            3,
            "the source of the provider x is no plain text",
        ),
        (
            'resource "aws_s3_bucket" "x" {\n  provisioner "local-exec" {\n    command = "id"\n  }\n}',
            2,
            'provisioner "local-exec" starts a program',
        ),
        ('removed {\n  provisioner "local-exec" {}\n}', 2, 'provisioner "local-exec" starts a program'),
        ('provider "aws" {\n  access_key = "x"\n}', 2, 'provider "aws" must not set access_key: the bot\'s own'),
        ('provider "aws" {\n  profile = "theirs"\n}', 2, 'provider "aws" must not set profile'),
        ('provider "aws" {\n  endpoints {\n    s3 = "http://evil"\n  }\n}', 2, 'provider "aws" must not set endpoints'),
        (
            'provider "aws" {\n  dynamic "endpoints" {\n    for_each = [1]\n  }\n}',
            2,
            'provider "aws" must not set endpoints',
        ),
        ('terraform {\n  backend "s3" {\n    secret_key = "x"\n  }\n}', 3, "the backend must not set secret_key"),
        ('terraform {\n  backend "http" {}\n}', 2, 'the state is kept in S3 here: backend "s3", not "http".'),
        ("terraform {\n  cloud {}\n}", 2, "the state is kept in S3 here"),
        (
            'module "m" {\n  source = "terraform-aws-modules/s3-bucket/aws"\n}',
            1,
            "module \"m\" comes from 'terraform-aws-modules/s3-bucket/aws'",
        ),
        ('module "m" {\n  source = "git::https://example.com/m.git"\n}', 1, "only modules of this repository"),
        ('module "m" {\n  source = "../../m"\n}', 1, 'module "m" leads out of the repository'),
        ('module "m" {\n  source = "./m"\n}', 1, 'module "m": there is no folder ./m'),
        ('locals {\n  x = filebase64("/proc/self/environ")\n}', 2, "this reads a file outside of the repository."),
        ('output "x" {\n  value = join("", [file("~/.aws/credentials")])\n}', 2, "this reads a file outside"),
        ('module "m" {\n  source = var.x\n}', 1, 'module "m" has no source that is a plain text.'),
    ],
)
def test_what_code_must_not_ask_for(problems, text: str, line: int, said: str) -> None:
    found = problems({"staging/main.tf": GOOD, "staging/bad.tf": text})
    assert len(found) == 1 and found[0].startswith(f"staging/bad.tf:{line}: ") and said in found[0]
    hidden = {"staging/main.tf": GOOD + 'module "x" {\n  source = "../modules/x"\n}\n', "modules/x/bad.tf": text}
    if "backend" not in text:
        assert any(one.startswith(f"modules/x/bad.tf:{line}: ") for one in problems(hidden)), "also in a module"


def test_files_that_are_not_read(problems) -> None:
    assert problems({"staging/main.tf": GOOD, "staging/x.tf.json": "{}"}) == [
        "staging/x.tf.json: Terraform code in JSON is not read here. Write it as a .tf file."
    ]
    assert problems({"staging/main.tf": GOOD + "}"}) == [
        "staging/main.tf:23: this cannot be read (expected a name, found '}')."
    ]
    assert problems({"staging/main.tf": GOOD, "staging/x.tf": "#\n" * 160_000 + 'data "external" "x" {}'}) == [
        "staging/x.tf is larger than 300 kB. Split it."
    ]
    assert 'there is no backend "s3" in its terraform block' in problems({"staging/main.tf": "locals {}\n"})[0]
    assert problems({"x.tf": GOOD}) == ["There is no folder staging in this commit."]


@pytest.mark.parametrize("target", ["/etc/passwd", "../../x", "loop"])
def test_links_that_lead_out(problems, target: str) -> None:
    found = problems({"staging/main.tf": GOOD}, links={"loop": target} if target == "loop" else {"staging/x": target})
    assert len(found) == 1 and "is a link to" in found[0] and "outside of the repository" in found[0]


def test_code_behind_a_link_is_read(problems) -> None:
    files = {"staging/main.tf": GOOD, "common/evil.txt": 'data "external" "x" {}\n'}
    assert "staging/evil.tf:1: " in problems(files, links={"staging/evil.tf": "../common/evil.txt"})[0]
    files = {
        "staging/main.tf": GOOD + 'module "x" {\n  source = "./m"\n}\n',
        "common/m/evil.tf": 'data "external" "x" {}\n',
    }
    assert "common/m/evil.tf:1: " in problems(files, links={"staging/m": "../common/m"})[0]


# ---- comments that are written ---------------------------------------------------------------------------------------

PLAN = """\
aws_s3_bucket.old: Refreshing state... [id=old]

Terraform used the selected providers to generate the following execution
plan. Resource actions are indicated with the following symbols:
  + create
  ~ update in-place

  # aws_s3_bucket.b will be created
  + resource "aws_s3_bucket" "b" {
      + id = (known after apply)
    }

Plan: 1 to add, 0 to change, 0 to destroy.
"""


def test_a_plan_as_a_comment_shows_it() -> None:
    shown = render.diff_format(PLAN)
    assert shown.startswith("Terraform used the selected") and '\n+ resource "aws_s3_bucket" "b" {\n      + id' in shown
    assert render.summary(shown) == "Plan: 1 to add, 0 to change, 0 to destroy."
    assert render.changes(shown) and not render.changes("No changes. Your infrastructure matches the configuration.")
    assert render.changes("Changes to Outputs:\n+ x = 1")


def test_what_is_folded() -> None:
    short, long = "\n".join("x" * 13), "\n".join("x" * 14)
    assert "<details>" not in render.comment("plan", [Result(Project("a"), output=short)])
    text = render.comment("plan", [Result(Project("a"), output=long + "\nPlan: 1 to add, 0 to change, 0 to destroy.")])
    assert "<details><summary>Show Output</summary>\n\n```diff\n" in text
    assert "atlantis plan -d a\n  ```\nPlan: 1 to add, 0 to change, 0 to destroy.\n\n---\n" in text
    assert "<details>" in render.comment("apply", [Result(Project("a"), error=long)])


def test_pieces_of_a_long_comment() -> None:
    text = (
        "Ran Plan\n\n<details><summary>Show Output</summary>\n\n```diff\n" + "+ line\n" * 3000 + "```\n</details>\nend"
    )
    found = render.pieces(text, 5000)
    assert len(found) == 5 and found[-1].endswith("end")
    assert all(one.count("```") == 2 and one.count("<details>") == one.count("</details>") == 1 for one in found)
    assert sum(one.count("+ line") for one in found) == 3000
    assert render.pieces("short") == ["short"]


def test_values_that_are_sensitive() -> None:
    plan = {
        "resource_changes": [
            {
                "change": {
                    "before": None,
                    "before_sensitive": False,
                    "after": {"tags": {"a": "open", "b": 'se"cret'}, "list": [{"x": "hidden"}], "n": 5, "short": "ab"},
                    "after_sensitive": {"tags": {"b": True}, "list": [{"x": True}], "n": True, "short": True},
                }
            }
        ],
        "output_changes": {"o": {"after": {"deep": ["line one\nline two"]}, "after_sensitive": True}},
        "variables": {"v": {"value": "from-a-variable"}, "w": {"value": "public"}},
        "configuration": {"root_module": {"variables": {"v": {"sensitive": True}, "w": {}}}},
    }
    found = secrets.sensitive(plan)
    assert set(found) == {'se"cret', "hidden", "line one\nline two", "line one", "line two", "from-a-variable"}
    text = 'open "se\\"cret" hidden line two from-a-variable public ab'
    assert (
        secrets.masked(text, found) == f'open "{secrets.MASK}" {secrets.MASK} {secrets.MASK} {secrets.MASK} public ab'
    )


REGO = """\
package main
deny[message] {
  change := input.resource_changes[_]
  not change.change.after.tags.OnCall
  message := sprintf("%s has no tag OnCall", [change.address])
}
"""


def test_rego() -> None:
    """Runs where regopy is installed; it is not in the lock yet."""
    pytest.importorskip("regopy")
    plan = json.loads('{"resource_changes": [{"address": "a.b", "change": {"after": {"tags": {"Name": "x"}}}}]}')
    (verdict,) = policies.Rego({"tags": REGO})(plan)
    assert not verdict.passed and "FAIL - plan.json - main - a.b has no tag OnCall" in verdict.output
    plan["resource_changes"][0]["change"]["after"]["tags"]["OnCall"] = "me"
    (verdict,) = policies.Rego({"tags": REGO})(plan)
    assert verdict.passed and verdict.output.strip() == "1 test, 1 passed, 0 warnings, 0 failures, 0 exceptions"
    with pytest.raises(ValueError, match="no rule `deny`"):
        policies.Rego({"tags": "package main\nallow = true\n"})(plan)
