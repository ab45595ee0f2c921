"""What a kernel of the course does when it starts, before any cell: `opslab learn` has IPython run `expect_a_world`.

Until a world is open, shell cells say so. Whoever restarts the kernel and runs a cell in the middle would otherwise work,
without a word, in the folder of the lessons.
"""

from __future__ import annotations

import os

from opslab.lab import LabError

SHELL_MAGICS = ("bash", "sh", "script", "writefile")


def expect_a_world() -> None:
    """Let %%bash, %%sh, %%script, %%writefile and !commands ask for an open world first. `!opslab …` always works."""
    from IPython import get_ipython

    ipython = get_ipython()
    if ipython is None:
        return
    for name in SHELL_MAGICS:
        ipython.register_magic_function(_guarded(ipython.find_cell_magic(name)), "cell", name)
    system = ipython.system

    def guarded_system(command: str) -> None:
        if command.split()[:1] != ["opslab"]:
            _must_be_open()
        system(command)

    ipython.system = guarded_system


def _guarded(magic):
    def asking_first(line: str, cell: str) -> None:
        _must_be_open()
        magic(line, cell)

    return asking_first


def _must_be_open() -> None:
    if "OPSLAB_WORLD" not in os.environ:
        raise LabError(
            "No world is open yet, so this would run in the wrong place. Run the first cell of the notebook first."
        )
