"""The reference finder: everything privileged in some manifests, from what stands in them and nothing else.

    >>> found = find({"pods/a.yaml": "kind: Pod\\nspec: {hostPID: yes}\\nmetadata: {name: a}\\n", "ci/notes.md": "privileged"})
    >>> [one.key for one in found.findings]
    [('pods/a.yaml', 'a', 'host-namespace')]

The name of a file says what it is: *.toml is a GitLab runner's configuration, *gitlab-ci.yml a pipeline, other YAML and JSON is for
Kubernetes. Files with other endings are not looked at.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from opslab.worlds.runners import gitlab_ci, gitlab_runner, kubernetes
from opslab.worlds.runners.findings import Finding
from opslab.worlds.runners.reading import BYTES, Unreadable, documents, settings, table

ENDINGS = (".yaml", ".yml", ".json", ".toml")
FILES = 500


@dataclass(frozen=True)
class Found:
    """What was found, in order, each (file, where, reason) once. problems: a sentence for each file that cannot be read."""

    findings: tuple[Finding, ...]
    problems: tuple[str, ...] = ()

    @property
    def files(self) -> set[str]:
        """The files in which something was found."""
        return {found.file for found in self.findings}


def find(manifests: Mapping[str, str]) -> Found:
    """What is privileged in manifests: path to text."""
    found: dict[tuple[str, str, str], Finding] = {}
    problems = []
    for file, content in sorted(manifests.items()):
        try:
            for one in _look(file, content):
                found.setdefault(one.key, one)
        except Unreadable as error:
            problems.append(str(error))
    return Found(tuple(sorted(found.values())), tuple(problems))


def _look(file: str, content: str) -> list[Finding]:
    if file.endswith(".toml"):
        return list(gitlab_runner.look(file, settings(content, file)))
    if file.endswith("gitlab-ci.yml"):
        return [one for document in documents(content, file) for one in gitlab_ci.look(file, table(document))]
    return list(kubernetes.look(file, documents(content, file))) if file.endswith(ENDINGS) else []


def read_folder(folder: str | Path) -> dict[str, str]:
    """The manifests below a folder, for `find`: path to text. Links are not followed, and what is no file is left out."""
    manifests = {}
    for above, _, names in os.walk(folder):
        for path in (Path(above, name) for name in names if name.endswith(ENDINGS)):
            if len(manifests) < FILES and path.is_file() and not path.is_symlink():
                with path.open("rb") as file:
                    manifests[path.relative_to(folder).as_posix()] = file.read(BYTES + 1).decode("utf-8", "replace")
    return manifests
