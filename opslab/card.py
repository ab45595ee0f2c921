"""How a report looks: a card in a notebook, plain text in a terminal. Light: the kernel imports it.

States are said in words and signs, not in colour alone; the card uses JupyterLab's own colour variables, so that it is
readable in the light and in the dark theme.
"""

from __future__ import annotations

import re
import textwrap
from html import escape
from typing import Any

SIGNS = {"met": "✓", "missed": "✗", "waiting": "…", "fault": "!"}
WORDS = {"met": "holds", "missed": "not yet", "waiting": "later", "fault": "could not be asked"}

STYLE = """
<style>
.opslab { border: 1px solid var(--jp-border-color1, #bdbdbd); border-left-width: 6px; border-radius: 4px;
  padding: .6em 1em; margin: .4em 0; max-width: 60em; color: var(--jp-content-font-color1, #1f1f1f);
  background: var(--jp-layout-color1, #fff); font-family: var(--jp-content-font-family, sans-serif); line-height: 1.45 }
.opslab.done { border-left-color: var(--jp-success-color1, #2e7d32) }
.opslab.open { border-left-color: var(--jp-warn-color0, #b26a00) }
.opslab.hint { border-left-color: var(--jp-info-color0, #01579b) }
.opslab .head { font-weight: 600; font-size: 1.08em; margin: 0 0 .4em }
.opslab ul { list-style: none; margin: 0; padding: 0 }
.opslab li { margin: .25em 0; padding-left: 1.6em; text-indent: -1.6em }
.opslab li > * { text-indent: 0 }
.opslab .sign { display: inline-block; width: 1.6em; text-indent: 0; font-weight: 700 }
.opslab .waiting { color: var(--jp-content-font-color2, #555) }
.opslab .points { color: var(--jp-content-font-color2, #555) }
.opslab p { margin: .3em 0; word-break: normal; overflow-wrap: break-word }
.opslab dl { margin: .3em 0 .6em; display: grid; grid-template-columns: max-content 1fr; gap: .15em .8em }
.opslab dt { color: var(--jp-content-font-color2, #555) }
.opslab dd { margin: 0; min-width: 0 }
.opslab pre { margin: 0; padding: .1em .4em; white-space: pre-wrap; word-break: normal; overflow-wrap: break-word; font-size: .92em;
  font-family: var(--jp-code-font-family, monospace);
  color: var(--jp-content-font-color1, #1f1f1f); background: var(--jp-layout-color2, #f0f0f0) }
.opslab table { border-collapse: collapse; margin: .3em 0 } .opslab table th, .opslab table td { text-align: left; padding: .2em .9em .2em 0 }
.opslab table td.number { text-align: right; font-variant-numeric: tabular-nums }
.opslab .bar { display: inline-block; width: 8em; height: .7em; border: 1px solid var(--jp-border-color1, #777) }
.opslab .bar > span { display: block; height: 100%; background: var(--jp-brand-color1, #1565c0) }
</style>
"""


# MathJax would take what stands between two $ for a formula. The first name is that of version 3, the second of version 2.
PLAIN = "mathjax_ignore tex2jax_ignore"


def for_terminal(text: str, columns: int | None = None) -> str:
    """The text of a card as a terminal shows it: with the commands that are typed there, wrapped where it knows its width.

    `opslab.hint("1.2")` becomes `opslab hint 1.2`, `opslab.open("01")` becomes `opslab shell 01`.
    """
    text = re.sub(r'opslab\.open\("([^"]*)"\)', r"opslab shell \1", text)
    text = re.sub(r'opslab\.(\w+)\("([^"]*)"\)', r"opslab \1 \2", text)
    if not columns:
        return text
    lines = []
    for line in text.split("\n"):
        indent = " " * (len(line) - len(line.lstrip()))
        wrapped = textwrap.wrap(line, columns, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        lines += wrapped or [line]
    return "\n".join(lines)


def number(points: float) -> str:
    """Points as people write them: 4, 2.5."""
    return f"{points:g}"


class Card:
    """A report (the dictionary of `opslab.checks.Report.as_dict`) as HTML and as text."""

    def __init__(self, report: dict[str, Any]) -> None:
        self.report = report

    @property
    def _heading(self) -> str:
        report = self.report
        return f"{report['task']} · {report['title']}: {number(report['score'])} of {number(report['points'])} points"

    @property
    def _closing(self) -> str:
        report = self.report
        if report["done"]:
            return "All of it holds. Well done."
        return f'Stuck? opslab.hint("{report["task"]}") gives one hint at a time.' if report["hints"] else ""

    def __str__(self) -> str:
        lines = [self._heading]
        for result in self.report["results"]:
            points = f" ({number(result['points'])})" if result["points"] else ""
            lines.append(f"  {SIGNS[result['state']]} {result['title']}{points}")
            if result["state"] in ("missed", "fault"):
                lines += [f"      {line}" for line in result["say"].split("\n")]
                for label, key in (("tried", "tried"), ("got", "got"), ("expected", "wanted")):
                    if result[key]:
                        first, *rest = result[key].split("\n")
                        lines.append(f"      {label + ':':<10}{first}")
                        lines += [f"                {line}" for line in rest]
        if self._closing:
            lines.append(self._closing)
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        report = self.report
        items = []
        for result in report["results"]:
            state = result["state"]
            points = f' <span class="points">({number(result["points"])})</span>' if result["points"] else ""
            more = ""
            if state in ("missed", "fault"):
                more = f"<p>{escape(result['say'])}</p>"
                pairs = [("tried", "tried"), ("got", "got"), ("expected", "wanted")]
                rows = [
                    f"<dt>{label}</dt><dd><pre>{escape(result[key])}</pre></dd>" for label, key in pairs if result[key]
                ]
                more += f"<dl>{''.join(rows)}</dl>" if rows else ""
            items.append(
                f'<li class="{state}"><span class="sign" role="img" aria-label="{WORDS[state]}">{SIGNS[state]}</span>'
                f"{escape(result['title'])}{points}{more}</li>"
            )
        kind = "done" if report["done"] else "open"
        closing = f"<p>{escape(self._closing)}</p>" if self._closing else ""
        return (
            f'{STYLE}<section class="opslab {kind} {PLAIN}" aria-label="Result of task {escape(report["task"])}">'
            f'<p class="head">{escape(self._heading)}</p><ul>{"".join(items)}</ul>{closing}</section>'
        )


class Note:
    """A few lines of text, the first of them the heading, as a card: hints, greetings, what a reset did."""

    def __init__(self, heading: str, *lines: str, kind: str = "done") -> None:
        self.heading, self.lines, self.kind = heading, lines, kind

    def __str__(self) -> str:
        return "\n".join([self.heading, *(f"  {line}" for line in self.lines)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        body = "".join(f"<p>{escape(line)}</p>" for line in self.lines)
        return (
            f'{STYLE}<section class="opslab {self.kind} {PLAIN}" aria-label="{escape(self.heading, quote=True)}">'
            f'<p class="head">{escape(self.heading)}</p>{body}</section>'
        )


class Table:
    """Rows with a bar each: progress by task."""

    def __init__(self, heading: str, rows: list[dict[str, Any]], closing: str = "") -> None:
        self.heading, self.rows, self.closing = heading, rows, closing

    def __str__(self) -> str:
        lines = [self.heading]
        width = max((len(row["title"]) for row in self.rows), default=0)
        for row in self.rows:
            filled = round(10 * row["score"] / row["points"]) if row["points"] else 0
            share = f"{number(row['score'])}/{number(row['points'])}"
            lines.append(
                f"  {row['id']:<4} {row['title']:<{width}}  {'█' * filled}{'·' * (10 - filled)}  {share:>7}  {row['note']}".rstrip()
            )
        return "\n".join([*lines, self.closing] if self.closing else lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        body = ""
        for row in self.rows:
            percent = round(100 * row["score"] / row["points"]) if row["points"] else 0
            body += (
                f"<tr><th scope='row'>{escape(row['id'])}</th><td>{escape(row['title'])}</td>"
                f"<td><span class='bar' role='img' aria-label='{percent} percent'><span style='width:{percent}%'></span></span></td>"
                f"<td class='number'>{number(row['score'])} of {number(row['points'])}</td><td>{escape(row['note'])}</td></tr>"
            )
        closing = f"<p>{escape(self.closing)}</p>" if self.closing else ""
        return (
            f'{STYLE}<section class="opslab done {PLAIN}" aria-label="{escape(self.heading, quote=True)}">'
            f'<p class="head">{escape(self.heading)}</p><table>'
            "<tr><th scope='col'>Task</th><th scope='col'>Title</th><th scope='col'>Done</th>"
            f"<th scope='col'>Points</th><th scope='col'></th></tr>{body}</table>{closing}</section>"
        )


class Picture:
    """Something to look at, as HTML, and the same in words where there is no HTML."""

    def __init__(self, text: str, html: str) -> None:
        self.text, self.html = text, html

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.html


def screen(text: str, html: str) -> Picture:
    """What stood on a terminal's screen, with its colours."""
    return Picture(
        text,
        '<pre role="img" aria-label="A terminal" style="background:#1e1e1e;color:#e6e6e6;padding:.7em 1em;'
        "border-radius:6px;line-height:1.35;max-width:60em;overflow-x:auto;"
        f'font-family:var(--jp-code-font-family, monospace)">{html}</pre>',
    )
