"""A notebook that was handed in without its workspace is run once more, in the jail, so that there is one.

    >>> remark = replay(["%%writefile answers/late_feed.txt\\n…"], "01_shell_setup", Path("/tmp/world/home"))

Outside, `replay` builds a fresh workspace and starts this same file inside the jail. Inside, `main` feeds the code cells to a
kernel, one after the other. What is left in the workspace is then graded like any other submission: what the cells print,
and what the kernel says about itself, is of no account. This file imports nothing of the course at the top, because inside
the jail there is no course.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

STAND_IN = """\
import sys, types
_opslab = types.ModuleType("opslab", "Stands in for the course: nothing is opened, checked or shown in a replay.")
_opslab.__getattr__ = lambda name: lambda *values, **named: None
sys.modules["opslab"] = _opslab
del _opslab
"""

CELL_SECONDS = 20
SECONDS = 120

DEAD, BROKEN = 3, 4
"""Exit codes of the inside: the kernel died; it could not be started at all."""


def replay(
    sources: list[str], stem: str, home: Path, *, seed: int = 1, seconds: float = SECONDS, hide: list[Path] = ()
) -> str:
    """Build the world of module `stem` on `home` and run code cells there, in the full jail.

    sources: the text of the code cells. seconds: the limit for all of them together. hide: further folders to cover.
    Returns '' or one line about what went wrong; the workspace then holds what was done until there.
    Raises JailError where there is no full jail.
    """
    import opslab
    from opslab import checks, course, jail
    from opslab.worlds import workspace
    from opslab.worlds.aws import cloud

    workspace.build(stem, home, seed)
    # The course itself is covered too: its checks are nobody's business, and `import opslab` must find the stand-in.
    covered = [*hide, Path(opslab.__file__).parent]
    if root := course.root():
        covered.append(root)
    extra = {
        name: f"/tmp/.replay/{name.lower()}" for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR")
    }
    with contextlib.ExitStack() as running:
        services = {}
        if checks.load(stem).cloud:
            # What the notebook changes there is in the journal afterwards, as in a workspace that was handed in.
            where = {"journal": home / cloud.JOURNAL, "record": True}
            aws = running.enter_context(cloud.shared().open(workspace.cloud_of(stem), seed=seed, **where))
            services, extra["AWS_ENDPOINT_URL"] = aws.services, aws.endpoint
        done = jail.run(
            [sys.executable, "-P", __file__],
            home=home,
            stdin=json.dumps(sources),
            env=workspace.environment(home, extra),
            hide=covered,
            read_only=[*workspace.tool_folders(), __file__],
            services=services,
            limits=jail.Limits(seconds=seconds, cpu=int(seconds)),
            required=True,
        )
    if done.stopped:
        return f"The notebook was run again, because no workspace was handed in, and stopped: {done.stopped}."
    if done.code == DEAD:
        return "The notebook was run again, because no workspace was handed in, and its kernel died on the way."
    if done.code:
        return "The notebook was run again, because no workspace was handed in, and that broke off."
    return ""


def main() -> int:
    """Run the code cells that come as a JSON list on standard input. Returns the exit code."""
    import nbformat
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import DeadKernelError

    cells = [nbformat.v4.new_code_cell(source) for source in [STAND_IN, *json.load(sys.stdin)]]
    # Sockets of the file system need no network, and /tmp is private in the jail: nothing is left in the workspace.
    manager = AsyncKernelManager(transport="ipc", ip="/tmp/.replay-kernel", kernel_name="python3")
    client = NotebookClient(
        nbformat.v4.new_notebook(cells=cells),
        km=manager,
        timeout=CELL_SECONDS,
        startup_timeout=30,
        interrupt_on_timeout=True,
        error_on_timeout={"ename": "Timeout", "evalue": "", "traceback": []},
        allow_errors=True,
    )
    try:
        client.execute(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except DeadKernelError:
        return DEAD
    except RuntimeError:
        return BROKEN
    return 0


if __name__ == "__main__":
    sys.exit(main())
