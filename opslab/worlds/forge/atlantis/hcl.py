"""The blocks of a Terraform file, as far as it takes to see what the file asks for. Nothing is evaluated.

    >>> file = read('provider "aws" {\\n  profile = "ana"\\n}\\n')
    >>> file.blocks[0].type, file.blocks[0].labels, file.blocks[0].text("profile")
    ('provider', ('aws',), 'ana')

The grammar is https://github.com/hashicorp/hcl/blob/main/hclsyntax/spec.md. What this reader does not understand is an HclError,
never a guess: whoever decides by it what may be run has to say no then.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

NAME = re.compile(r"[^\W\d][\w-]*")
SPACE = re.compile(r"[ \t\r]+")
HEREDOC = re.compile(r"<<-?([^\W\d][\w-]*)[ \t\r]*\n")
ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}
DEEPEST = 100


class HclError(ValueError):
    """The text is no HCL, as far as this reader knows. line: where."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}")
        self.line = line


@dataclass
class Body:
    """What is between braces: attributes (name: the line and the expression as it is written) and blocks."""

    attributes: dict[str, tuple[int, str]] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)

    def text(self, name: str) -> str | None:
        """The value of an attribute that is a plain text; None where it is missing or anything else."""
        return plain(self.attributes[name][1]) if name in self.attributes else None

    def line(self, name: str) -> int:
        return self.attributes[name][0]


@dataclass
class Block(Body):
    """A block: `type "label" "label" { … }`."""

    type: str = ""
    labels: tuple[str, ...] = ()
    start: int = 0


def plain(expression: str) -> str | None:
    """The text that an expression stands for, if it is nothing but a quoted text."""
    match = re.fullmatch(r'"((?:[^"\\$%\n]|\\.|[$%](?!\{))*)"', expression.strip())
    return re.sub(r"\\(.)", lambda one: ESCAPES.get(one[1], one[0]), match[1]) if match else None


def read(text: str) -> Body:
    """The blocks of a file. Raises HclError."""
    return _Reader(text.removeprefix("\ufeff")).body(top=True)


class _Reader:
    def __init__(self, text: str) -> None:
        self.text, self.at, self.depth = text, 0, 0

    def wrong(self, why: str, at: int | None = None) -> HclError:
        return HclError(self.text.count("\n", 0, self.at if at is None else at) + 1, why)

    def here(self, what: str) -> bool:
        return self.text.startswith(what, self.at)

    def skip(self, lines: bool) -> None:
        """Go over spaces and comments; over ends of lines only if `lines`."""
        while self.at < len(self.text):
            if found := SPACE.match(self.text, self.at):
                self.at = found.end()
            elif self.here("#") or self.here("//"):
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif self.here("/*"):
                end = self.text.find("*/", self.at + 2)
                if end < 0:
                    raise self.wrong("a comment is not closed")
                self.at = end + 2
            elif lines and self.here("\n"):
                self.at += 1
            else:
                return

    def name(self) -> str:
        found = NAME.match(self.text, self.at)
        if not found:
            raise self.wrong(f"expected a name, found {self.text[self.at : self.at + 1]!r}")
        self.at = found.end()
        return found[0]

    def body(self, top: bool = False) -> Body:
        """Attributes and blocks, up to the closing brace or, at the top, the end of the file."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.wrong("blocks are nested too deeply")
        found = Body()
        while True:
            self.skip(lines=True)
            if self.at >= len(self.text):
                if not top:
                    raise self.wrong("a block is not closed")
                break
            if self.here("}") and not top:
                break
            start = self.at
            line = self.text.count("\n", 0, start) + 1
            name = self.name()
            self.skip(lines=False)
            if self.here("=") and not self.here("=="):
                self.at += 1
                if name in found.attributes:
                    raise self.wrong(f"{name} is set twice", start)
                found.attributes[name] = (line, self.expression())
            else:
                found.blocks.append(self.block(name, line))
        self.depth -= 1
        return found

    def block(self, name: str, line: int) -> Block:
        labels = []
        while not self.here("{"):
            if self.here('"'):
                start = self.at
                self.quoted()
                label = plain(self.text[start : self.at])
                if label is None:
                    raise self.wrong("the label of a block is no plain text", start)
                labels.append(label)
            else:
                labels.append(self.name())
            self.skip(lines=False)
        self.at += 1
        body = self.body()
        self.at += 1
        return Block(body.attributes, body.blocks, name, tuple(labels), line)

    def expression(self) -> str:
        """The expression up to the end of its line, or up to the brace that closes a block of one line."""
        start, open_ones = self.at, []
        while self.at < len(self.text):
            if not open_ones and (self.here("\n") or self.here("}")):
                break
            self.piece(open_ones)
        if open_ones:
            raise self.wrong(f"a {open_ones[-1]} is not closed", start)
        return self.text[start : self.at].strip()

    def piece(self, open_ones: list[str]) -> None:
        """Go over one piece of an expression: a text, a comment, a bracket, or one other character."""
        sign = self.text[self.at]
        if sign == '"':
            self.quoted()
        elif found := HEREDOC.match(self.text, self.at):
            end = re.compile(rf"^[ \t]*{re.escape(found[1])}[ \t\r]*$", re.MULTILINE).search(self.text, found.end())
            if not end:
                raise self.wrong(f"the text that begins with <<{found[1]} does not end")
            self.at = end.end()
        elif sign == "#" or self.here("//") or self.here("/*"):
            self.skip(lines=False)
        elif sign in "([{":
            open_ones.append(sign)
            self.at += 1
        elif sign in ")]}":
            if not open_ones or open_ones.pop() + sign not in ("()", "[]", "{}"):
                raise self.wrong(f"found {sign} where nothing is to be closed")
            self.at += 1
        else:
            self.at += 1

    def quoted(self) -> None:
        """Go over a quoted text, with the expressions in its ${…} and %{…}."""
        start, self.at = self.at, self.at + 1
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.wrong("texts are nested too deeply")
        while True:
            if self.at >= len(self.text) or self.here("\n"):
                raise self.wrong("a text in quotes is not closed", start)
            if self.here('"'):
                self.at += 1
                self.depth -= 1
                return
            if self.here("$${") or self.here("%%{"):
                self.at += 3
            elif self.here("\\"):
                self.at += 2
            elif self.here("${") or self.here("%{"):
                self.at += 2
                open_ones = ["{"]
                while open_ones:
                    if self.at >= len(self.text):
                        raise self.wrong("a text in quotes is not closed", start)
                    self.piece(open_ones)
            else:
                self.at += 1
