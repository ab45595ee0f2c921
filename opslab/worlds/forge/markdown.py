"""Markdown of a comment as HTML that is safe whoever wrote it.

    >>> render("Please **see** `main.tf`")
    '<p>Please <strong>see</strong> <code>main.tf</code></p>\\n'

Tags are shown as text, but for `<details>`, `<summary>` and their ends on lines of their own, with which long outputs are
folded. Pictures become links, since a page of the forge fetches nothing from elsewhere.
"""

from __future__ import annotations

import re
from html import escape

import mistune

FOLD = re.compile(
    r"<details>|</details>|<summary>([^<>\n]{1,200})</summary>|<details><summary>([^<>\n]{1,200})</summary>"
)


class _Renderer(mistune.HTMLRenderer):
    """escape=True already shows tags as text and disarms addresses; here is what is different on a page of the forge."""

    def heading(self, text: str, level: int, **_: object) -> str:
        return f"<h5>{text}</h5>\n"  # below the headings of the page, so that its outline stays in order

    def image(self, text: str, url: str, title: str | None = None) -> str:
        return self.link(text or "picture", url)

    def link(self, text: str, url: str, title: str | None = None) -> str:
        address = self.safe_url(url)
        if not re.match(r"https?://|mailto:", address):
            return text or escape(url)
        return f'<a href="{address}" rel="noopener noreferrer nofollow">{text or escape(url)}</a>'

    def block_code(self, code: str, info: str | None = None) -> str:
        if (info or "").strip() != "diff":
            return f"<pre>{escape(code)}</pre>\n"
        lines = []
        for line in code.splitlines():
            kind = {"+": ' class="add"', "-": ' class="del"'}.get(line[:1], "")
            lines.append(f"<span{kind}>{escape(line) or '&nbsp;'}</span>")
        return f"<pre>{''.join(lines)}</pre>\n"


_markdown = mistune.create_markdown(renderer=_Renderer(escape=True), plugins=["table", "strikethrough"])


def render(text: str) -> str:
    """HTML for a comment. Folds that are not closed are closed at the end; ends without a beginning are left out."""
    out, plain, depth, fenced = [], [], 0, False

    def flush() -> None:
        if "".join(plain).strip():
            out.append(_markdown("\n".join(plain) + "\n"))
        plain.clear()

    for line in text.split("\n"):
        fenced ^= line.lstrip().startswith("```")
        fold = None if fenced else FOLD.fullmatch(line.strip())
        if not fold:
            plain.append(line)
            continue
        flush()
        if line.strip() == "</details>":
            if depth:
                out.append("</details>\n")
                depth -= 1
            continue
        if "<details>" in line:
            out.append("<details>")
            depth += 1
        if summary := fold[1] or fold[2]:
            out.append(f"<summary>{escape(summary)}</summary>\n" if depth else f"<p>{escape(summary)}</p>\n")
    flush()
    return "".join(out) + "</details>\n" * depth
