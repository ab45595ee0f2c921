"""Task 5.6: forty manifests of all teams, and a pipeline that builds its image with a daemon that it need not have.

runners/            the manifests (`opslab.worlds.runners`), and a README with the words for the answer
labels/             a small project, whose .gitlab-ci.yml is to be rewritten
answers/5.6.tsv     the form
"""

from __future__ import annotations

import textwrap
from pathlib import Path

from opslab.scenarios.docker_pinning.incident import write
from opslab.worlds.runners import REASONS, REPLACEMENTS, Estate, estate, find

HERE = Path(__file__).parent / "labels"
FOLDER = "runners"
PROJECT, PIPELINE = "labels", ".gitlab-ci.yml"
ANSWERS = ("answers/5.6.tsv", "answers/5.6.csv")
COLUMNS = ("file", "where", "reason", "replacement")
IMAGE = "data/labels"

FORM = "\t".join(COLUMNS) + "\n"

README = """\
# Forty manifests

What all teams run in the cluster (`*.yaml`, `*.json`: manifests of Kubernetes, some as helm has rendered them or as kubectl has
printed them), how their GitLab runners are set up (`config.toml`), and pipelines (`.gitlab-ci.yml`). Collected on Tuesday by Ada, security.

## What counts

What is as good as root on the machine under it, as it runs: what a field means where it stands, and not whether the word is there.
Kubernetes and GitLab read YAML 1.1, with its anchors. A manifest that the API server would refuse runs nothing.

## The answer

`~/answers/5.6.tsv`: a line for each finding, four columns, tabs between them (or `5.6.csv`, with commas).

- `file`: the path below `~/runners`
- `where`: the name of the container. For what only a pod can have (hostNetwork, hostPID, hostIPC), the
  name of the object (metadata.name) whose pods they are; a profile that the pod sets for its containers is found in each of them. In a
  `config.toml`, also one in a ConfigMap, the name of the runner. In a pipeline, the name of the job, as it runs: with what it
  takes over from elsewhere
- `reason`: why, one of these words. Two reasons in one container are two lines

{reasons}

- `replacement`: what to do instead, one of these words

{replacements}

Which replacement? Look at what it is there for. Whatever builds images with docker, or is a runner so that its jobs can do that,
builds without a daemon. Where a folder of the machine is mounted, it gets a volume of its own. What has no visible use goes.

A program helps: `yaml`, `json` and `tomllib` are there, in a Python cell and in the terminal (`python find.py`).

## The new runners

Ours since Monday (Marek, platform): no `privileged`, no `services`, no `tags`, and no daemon. `docker` is there, and is only the
client of a builder without rights: `docker build`, `docker run`, `docker push` as always. It knows where the builder is.
"""


def of_seed(seed: int) -> Estate:
    """The manifests of a seed."""
    return estate(seed)


def words(seed: int) -> dict[str, str]:
    """What stands for {{findings}} in answers, for tests: the right one."""
    found = find(of_seed(seed).files).findings
    return {"findings": "\n".join(f"{one.file}\t{one.where}\t{one.reason}\t{one.replacement}" for one in found)}


def put_project(folder: Path) -> None:
    """The project of the pipeline, as it is on main."""
    for source in sorted(HERE.iterdir()):
        if source.is_file():
            write(folder / source.name, source.read_text())


def build(home: Path, seed: int, twists: frozenset[str]) -> None:
    """Put the manifests, the project and the form on the desk."""
    of_seed(seed).write(home / FOLDER)
    write(home / FOLDER / "README.md", README.format(reasons=_list(REASONS), replacements=_list(REPLACEMENTS)))
    put_project(home / PROJECT)
    write(home / ANSWERS[0], FORM)


def _list(words: dict[str, str]) -> str:
    lines = (
        textwrap.wrap(f"- `{word}`: {text}", 125, initial_indent="  ", subsequent_indent="    ")
        for word, text in words.items()
    )
    return "\n".join("\n".join(line) for line in lines)
