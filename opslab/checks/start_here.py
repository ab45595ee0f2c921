"""Module 00: one small task, to see how tasks work. It is not graded anywhere."""

from __future__ import annotations

from opslab.checks import Miss, Module, Trial

module = Module("00", "start_here", "Start here", graded=False)

hello = module.task(
    "0.1",
    "Put your name on the desk",
    files=["name.txt"],
    hints=[
        "A cell that begins with %%bash is a small shell script. echo prints; > sends what is printed into a file.",
        "echo 'Ada' > name.txt",
    ],
)


@hello.expects("there is a file name.txt with something in it", points=0.5)
def there(trial: Trial) -> None:
    if not trial.read("name.txt").strip():
        raise Miss(
            "The file is there, and empty.", tried="read ~/name.txt", got="(nothing)", wanted="a name", name="empty"
        )


@hello.expects("and it is a name, on one line", points=0.5, needs="there")
def one_line(trial: Trial) -> None:
    lines = trial.read("name.txt").strip().splitlines()
    if len(lines) > 1 or len(lines[0]) > 60:
        raise Miss("A name on a desk is one line of at most 60 letters.", tried="read ~/name.txt", got=f"{len(lines)} lines, the longest {max(map(len, lines))} letters", wanted="one short line", name="too-long")  # fmt: skip
