"""What a merge request costs: 5,000 files in a history of 10,000 commits; a push and its answer.

    .venv/bin/python benchmarks/forge.py

Medians. Ends with exit code 1 where a limit does not hold: a second for whatever a learner looks at, two for all the rules of a reviewer, 0.6 s for what the hooks add
to a push (0.3 s each), two seconds for a merge.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from timing import wall

COMMITS, FILES = 10_000, 5_000
LOOK_LIMIT, PUSH_LIMIT, MERGE_LIMIT = 1.0, 0.6, 2.0


def history(branch: str, parent: str, commits: int) -> bytes:
    """A stream for git fast-import: so many commits, each with a change of one of 200 files."""
    out = []
    for number in range(commits):
        said = f"Change number {number} of the marts"
        out.append(f"commit refs/heads/{branch}\ncommitter Ola Berg <ola@targ.example> {1700000000 + number} +0000\n")
        out.append(f"data {len(said)}\n{said}\n" + (f"from {parent}\n" if number == 0 and parent else ""))
        text = f"select {number}\nfrom raw.orders\n" * 5
        out.append(f"M 100644 inline marts/{number % 200}.sql\ndata {len(text)}\n{text}\n")
    return "".join([*out, "done\n"]).encode()


def main() -> int:
    from opslab.worlds import workspace
    from opslab.worlds.forge import cli, reviewers
    from opslab.worlds.forge.commit_graph import commit_graph
    from opslab.worlds.forge.forge import Forge

    held = []
    with tempfile.TemporaryDirectory(prefix="opslab-bench-") as folder:
        home = Path(folder)
        forge = Forge(home / "forge")
        forge.add_user("ola", "Ola Berg")
        forge.add_user("mira", "Mira Novak")
        repository = forge.create("data/marts", approvals=0, reviewers={"mira": list(reviewers.RULES)})
        repository.git.run("fast-import", "--quiet", "--done", give=history("main", "", COMMITS))
        files = {
            f"generated/{number % 50}/{number}.sql": f"select {number}\nfrom raw.orders\n" for number in range(FILES)
        }
        repository.commit("large", files, "Add the generated marts", by="ola")
        repository.commit("main", {"README.md": "# Marts\n"}, "Say what this is", by="ola")
        started = time.perf_counter()
        mr = repository.create_merge_request("large", by="ola")
        held.append(("open a merge request", time.perf_counter() - started, LOOK_LIMIT))
        held += [
            ("list", wall(lambda: list(map(repr, repository.merge_requests()))), LOOK_LIMIT),
            ("show in the terminal", wall(lambda: cli.overview(mr)), LOOK_LIMIT),
            ("which files change", wall(mr.changes), LOOK_LIMIT),
            ("the diff", wall(mr.diff), LOOK_LIMIT),
            ("the diff, line by line", wall(mr.patches), LOOK_LIMIT),
            ("the page", wall(mr._repr_html_), LOOK_LIMIT),
            ("the reviewers' rules", wall(lambda: reviewers.review(repository, mr.number), 1), 2 * LOOK_LIMIT),
            ("the commit graph", wall(lambda: commit_graph(repository.folder)), LOOK_LIMIT),
        ]

        (home / ".gitconfig").write_text(workspace.GITCONFIG + forge.gitconfig())
        small = forge.create("data/small", files={"x.sql": "select 1\n"})
        environment = workspace.environment(home)

        def git(*arguments: str) -> None:
            subprocess.run(["git", *arguments], cwd=home / "small", env=environment, check=True, capture_output=True)

        subprocess.run(
            ["git", "clone", "-q", "forge:data/small", home / "small"], cwd=home, env=environment, check=True
        )
        git("switch", "-qc", "work")

        def push(*options: str) -> None:
            git("commit", "-q", "--allow-empty", "-m", "One more")
            git("push", "-q", *options, "origin", "work")

        push("-o", "merge_request.create")
        with_hooks = wall(push)
        hooks = small.folder / "hooks"
        hooks.rename(small.folder / "no-hooks")
        held.append(("a push: what hooks add", with_hooks - wall(push), PUSH_LIMIT))

        for item in mr.record["discussion"]:
            if item["kind"] == "thread":
                mr.resolve(item["id"])
        started = time.perf_counter()
        mr.merge("ola")
        held.append(("merge", time.perf_counter() - started, MERGE_LIMIT))
        held.append(("revert", wall(mr.revert, 1), MERGE_LIMIT))
    print(f"{FILES:,} files, {COMMITS:,} commits")
    for name, seconds, limit in held:
        print(
            f"{name:<26}{seconds * 1000:>8.0f} ms   limit {limit * 1000:g} ms{'' if seconds <= limit else '   TOO MUCH'}"
        )
    return int(any(seconds > limit for _, seconds, limit in held))


if __name__ == "__main__":
    sys.exit(main())
