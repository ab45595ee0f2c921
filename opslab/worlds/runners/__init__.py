"""Manifests of an estate, some of them privileged in ways that are easy to miss; and a finder that knows them all.

    >>> manifests = estate(seed=1).files
    >>> found = find(manifests)
    >>> len(manifests), len(found.files) < 20, found.problems
    (40, True, ())
    >>> find({**manifests, **read_folder("workspace/estate")}).findings                        # doctest: +SKIP

estate      the generator; recipes: what it can put into a manifest; workloads, render: how manifests are written
finder      the reference: what is privileged, from the manifests alone
kubernetes, gitlab_runner, gitlab_ci    what is privileged in which kind of file
findings    the reasons, and what to do instead
reading     YAML, JSON and TOML that anybody may have written
"""

from opslab.worlds.runners.estate import Estate, estate
from opslab.worlds.runners.finder import Found, find, read_folder
from opslab.worlds.runners.findings import REASONS, REPLACEMENTS, Finding

__all__ = ["REASONS", "REPLACEMENTS", "Estate", "Finding", "Found", "estate", "find", "read_folder"]
