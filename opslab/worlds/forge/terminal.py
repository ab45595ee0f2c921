"""Markdown of a comment as text for a terminal: no fences, no tags, and of what is folded the lines that say something.

    >>> print(plain("See `main.tf`:\\n```shell\\natlantis apply\\n```"))
    See main.tf: atlantis apply

A block of several lines stands behind a bar, as it was written. A folded one that is long is cut: of a plan stay the lines that
say what happens to what, of anything else the first ones.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

from opslab.worlds.forge.markdown import FOLD

FEW = 12
"""Lines of a folded block that are shown without being cut."""

MOST = 40
"""Lines that are left of one that is cut."""

WIDTH = 100
BAR = "│ "
HEADING = "── "
FOLDED = "▸ "

SAYS_SOMETHING = re.compile(
    r"^ *# .+ (will|must) be |^ *# .+ (has moved|will no longer)| -> |# forces replacement"
    r"|^(Plan:|No changes\.|Changes to Outputs:|Apply complete!|Warning:|Error:|FAIL|WARN)|^│ Error:|^│ Warning:"
    r"|^[│ ]*(ID|Operation|Who|Created): +"
)
"""In what terraform prints: the fate of a resource, a value that changes, the sum, an error. https://developer.hashicorp.com/terraform/cli/commands/plan"""


def plain(text: str, *, indent: int = 0, full: bool = False, more: str = "") -> str:
    """The text of a comment. full: cut nothing. more: the command that shows it all, for what is cut."""
    text = text.replace("\ufe0f", "")  # it asks for a picture instead of a sign, and terminals disagree about its width
    shown: list[str] = []
    for line in _lines(text, full, more, WIDTH - indent):
        above = shown[-1] if shown else ""
        if line.strip() or (above and not above.startswith(FOLDED)):
            shown.append(line.rstrip())
    return textwrap.indent("\n".join(shown).rstrip(), " " * indent)


def _lines(text: str, full: bool, more: str, width: int) -> Iterator[str]:
    """The lines as they are shown. A line of text is held back until it is known whether a block of one line follows it."""
    folds, number = 0, 0
    held: str | None = None
    block: list[str] | None = None
    for line in [*text.split("\n"), None]:
        fence = line is not None and line.lstrip().startswith("```")
        if block is not None and line is not None and not fence:
            block.append(line)
            continue
        if block is not None:  # it ends here, or nobody has closed it
            code, block = _code(block, full or not folds, more), None
            if held and held.endswith(":") and len(code) == 1:
                yield f"{held} {code[0]}"
            else:
                yield from [] if held is None else _wrapped(held, width)
                yield from (f"{BAR}{one}" for one in code)
            held = None
            continue
        if fence:
            block = []
            continue
        if held is not None:
            yield from _wrapped(held, width)
            held = None
        if line is None:
            return
        if fold := FOLD.fullmatch(line.strip()):
            folds += ("<details>" in line) - (line.strip() == "</details>")
            if summary := fold[1] or fold[2]:
                yield f"{FOLDED}{summary}"
            continue
        number = number + 1 if line.startswith("1. ") else 0
        held = re.sub(r"^1\. ", f"{number}. ", _words(line))


def _words(line: str) -> str:
    """A line without the signs of Markdown."""
    line = re.sub(r"^#{1,6} +", HEADING, line)
    line = re.sub(r"\*\*([^*\n]+)\*\*|(?<!`)`([^`\n]+)`(?!`)", lambda one: one[1] or one[2], line)
    return "" if re.fullmatch(r"-{3,}", line) else line


def _wrapped(line: str, width: int) -> list[str]:
    after = " " * (len(line) - len(line.lstrip(" *-")))
    return textwrap.wrap(line, width, subsequent_indent=after, break_long_words=False, break_on_hyphens=False) or [line]


def _code(lines: list[str], full: bool, more: str) -> list[str]:
    """The lines of a block, or what is left of them."""
    code = textwrap.dedent("\n".join(lines)).strip("\n").split("\n")
    if full or len(code) <= FEW:
        return code
    says = [line for line in code if SAYS_SOMETHING.search(line)]
    left = (says or code)[: MOST if says else FEW]
    how = f"; {more} shows all" if more else ""
    return [*left, f"({len(code) - len(left)} of {len(code)} lines are left out{how})"]
