"""How a merge request looks: in a notebook, and as a page of its own.

    >>> forge.merge_request(3)             # in a notebook, at the end of a cell     # doctest: +SKIP
    >>> Page(forge.merge_request(3)).document()                                     # doctest: +SKIP
    '<!doctype html>…'

Everything that somebody wrote is escaped. No script, no picture and no font is fetched; folding is the browser's own
<details>. States are said in words and signs, not in colour alone. In a notebook the colours are those of its theme; as a page
it follows the light or dark setting of the system.
"""

from __future__ import annotations

import re
from html import escape
from typing import Any

from opslab.card import PLAIN
from opslab.worlds.forge import receive
from opslab.worlds.forge.commit_graph import commit_graph
from opslab.worlds.forge.diff import EMPTY_TREE, WORDS, Change, Patch
from opslab.worlds.forge.git import GitError
from opslab.worlds.forge.markdown import render
from opslab.worlds.forge.merge_requests import MergeRequest
from opslab.worlds.forge.state import OPENED, ForgeError

FILES_SHOWN, LINES_SHOWN, LINES_OF_A_FILE, WIDTH, COMMITS_SHOWN = 100, 3000, 400, 2000, 30
SIGNS = {
    "success": "✓",
    "failed": "✗",
    "running": "…",
    "pending": "…",
    "canceled": "⊘",
    "skipped": "⊘",
    "created": "…",
}

STYLE = """
<style>
.opslab-mr { color: var(--jp-content-font-color1, #1f1f1f); background: var(--jp-layout-color1, #fff); line-height: 1.5;
  font-family: var(--jp-content-font-family, system-ui, sans-serif); font-size: 15px; max-width: 68rem; overflow-wrap: anywhere }
.opslab-mr h2 { font-size: 1.45em; margin: .2em 0; font-weight: 600 }
.opslab-mr h3 { font-size: 1.12em; margin: 1.4em 0 .4em; font-weight: 600 }
.opslab-mr h4, .opslab-mr h5 { font-size: 1em; margin: .6em 0 .2em; font-weight: 600 }
.opslab-mr p { margin: .35em 0 }
.opslab-mr ul, .opslab-mr ol { margin: .35em 0; padding-left: 1.4em }
.opslab-mr a { color: var(--jp-content-link-color, #0b57b0); text-decoration: underline }
.opslab-mr .plain { list-style: none; padding: 0 }
.opslab-mr .badge { display: inline-block; padding: 0 .6em; border: 2px solid currentColor; border-radius: 1em; font-weight: 600;
  font-size: .85em }
.opslab-mr .box, .opslab-mr .item { border: 1px solid var(--jp-border-color1, #bdbdbd); border-radius: 6px; padding: .5em .9em;
  margin: .5em 0 }
.opslab-mr .box { border-left: 6px solid var(--jp-warn-color0, #b26a00) }
.opslab-mr .box.ready { border-left-color: var(--jp-success-color1, #2e7d32) }
.opslab-mr .event { padding: .15em .9em; font-size: .93em }
.opslab-mr .reply { border-left: 3px solid var(--jp-border-color1, #bdbdbd); padding-left: .8em; margin: .5em 0 }
.opslab-mr table { border-collapse: collapse; margin: .3em 0 }
.opslab-mr th, .opslab-mr td { text-align: left; padding: .15em 1.2em .15em 0; vertical-align: top }
.opslab-mr code, .opslab-mr pre { font-family: var(--jp-code-font-family, ui-monospace, monospace); font-size: .9em; color: inherit;
  background: none }
.opslab-mr pre { white-space: pre-wrap; margin: .4em 0; border: 1px solid var(--jp-border-color2, #d0d0d0); border-radius: 4px;
  padding: .4em 0; line-height: 1.45 }
.opslab-mr .item pre { padding: .4em .6em }
.opslab-mr summary { cursor: pointer; padding: .25em 0 }
.opslab-mr summary:focus-visible, .opslab-mr a:focus-visible { outline: 3px solid currentColor; outline-offset: 2px }
.opslab-mr pre > span { display: block; padding: 0 .6em }
.opslab-mr pre .add { background: color-mix(in srgb, #2e9e4f 20%, transparent) }
.opslab-mr pre .del { background: color-mix(in srgb, #d6453d 20%, transparent) }
.opslab-mr pre .place { background: color-mix(in srgb, #4a7dc4 14%, transparent); font-style: italic }
.opslab-mr .no { display: inline-block; width: 3.4em; padding: 0; user-select: none; text-align: right; margin-right: .8em }
.opslab-mr .graph { overflow-x: auto }
</style>
"""

DOCUMENT = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --jp-layout-color1: #fff; --jp-content-font-color1: #1f1f1f; --jp-border-color1: #b5b5b5;
  --jp-border-color2: #d0d0d0; --jp-content-link-color: #0b57b0; --jp-warn-color0: #b26a00; --jp-success-color1: #2e7d32 }}
@media (prefers-color-scheme: dark) {{ :root {{ --jp-layout-color1: #16181c; --jp-content-font-color1: #e8e8e8;
  --jp-border-color1: #5c6068; --jp-border-color2: #43474e; --jp-content-link-color: #8ab8ff; --jp-warn-color0: #f0a63a;
  --jp-success-color1: #6cc070 }} }}
body {{ margin: 0; background: var(--jp-layout-color1) }}
header, main {{ max-width: 68rem; margin: 0 auto; padding: .6rem 1.2rem }}
</style>
{style}
</head>
<body>
<header class="opslab-mr"><nav aria-label="Forge">{trail}</nav></header>
<main>
{body}
</main>
</body>
</html>
"""


def document(title: str, trail: list[tuple[str, str]], body: str) -> str:
    """A whole page. trail: (text, address) of the pages above it; body: HTML."""
    links = " / ".join(f'<a href="{escape(address)}">{escape(text)}</a>' for text, address in trail)
    return DOCUMENT.format(title=escape(title), style=STYLE, trail=links, body=body)


class Page:
    """One merge request. base: the beginning of links to the forge's other pages; empty where nobody serves them."""

    def __init__(self, mr: MergeRequest, base: str = "") -> None:
        self.mr, self.base = mr, base
        self.record = mr.record
        users = mr.store.forge()["users"]
        self.names = {name: user["name"] for name, user in users.items()}
        self.one = (
            f"{mr.repository.path.replace('/', '-')}-{mr.number}"  # ids must differ between pages in one notebook
        )

    def document(self, trail: list[tuple[str, str]] | None = None) -> str:
        """The merge request as a whole HTML page."""
        return document(f"{self._title()} · {self.mr.repository.path}", trail or [], self.fragment(style=False))

    def fragment(self, style: bool = True) -> str:
        """The merge request as a part of a page, for a notebook."""
        parts = [
            f'<article class="opslab-mr {PLAIN}" aria-labelledby="{self.one}-title">',
            self._head(),
            self._standing(),
            self._description(),
            self._discussion(),
            self._commits(),
            self._changes(),
            "</article>",
        ]
        return (STYLE if style else "") + "\n".join(parts)

    # -- parts

    def _title(self) -> str:
        return f"{'Draft: ' if self.record['draft'] else ''}{self.record['title']} !{self.mr.number}"

    def _who(self, name: str) -> str:
        return f"<strong>{escape(self.names.get(name, name))}</strong> @{escape(name)}"

    def _head(self) -> str:
        record = self.record
        labels = "".join(f' <span class="badge">{escape(label)}</span>' for label in record["labels"])
        return (
            f'<h2 id="{self.one}-title">{escape(self._title())}</h2>'
            f'<p><span class="badge">{escape(record["state"])}</span>{labels} {self._who(record["author"])} asks to merge '
            f"<code>{escape(record['source'])}</code> into <code>{escape(record['target'])}</code>, {_when(record['created'])}</p>"
        )

    def _standing(self) -> str:
        """What stands in the way, the checks, and who approved."""
        record = self.record
        if record["state"] == OPENED:
            try:
                blockers = self.mr.blockers(record)
            except (GitError, ForgeError) as error:
                return f'<div class="box"><p>{escape(str(error))}</p></div>'
            lines = "".join(f"<li>{escape(blocker.text)}</li>" for blocker in blockers)
            body = (
                f"<p><strong>✗ It cannot be merged yet</strong></p><ul>{lines}</ul>"
                if blockers
                else "<p><strong>✓ Ready to merge</strong></p>"
            )
            ready = "" if blockers else " ready"
        elif record["merged"]:
            merged = record["merged"]
            body = f"<p><strong>✓ Merged</strong> by {self._who(merged['by'])} as <code>{escape(merged['sha'][:8])}</code></p>"
            ready = " ready"
        else:
            body, ready = "<p><strong>⊘ Closed</strong> without being merged</p>", ""
        rows = "".join(self._check(one) for one in self.mr.statuses(record))
        checks = (
            "<table><thead><tr><th scope='col'>Check</th><th scope='col'>Result</th><th scope='col'>What it says</th></tr></thead>"
            f"<tbody>{rows}</tbody></table>"
            if rows
            else "<p>No checks have reported on the newest commit.</p>"
        )
        approvals = ", ".join(self._who(one["by"]) for one in record["approvals"]) or "nobody yet"
        return f'<div class="box{ready}">{body}<p>Approved by: {approvals}</p>{checks}</div>'

    def _check(self, one: dict[str, Any]) -> str:
        more = escape(one["description"])
        if "pipeline" in one:
            try:
                jobs = self.mr.repository.pipeline(one["pipeline"])["jobs"]
            except ForgeError:
                jobs = []
            shown = ", ".join(self._job(one["pipeline"], number, job) for number, job in enumerate(jobs, 1))
            more = f"{more} {shown}" if more else shown
        state = escape(one["state"])
        sign = SIGNS.get(one["state"], "")
        return f"<tr><th scope='row'>{escape(one['name'])}</th><td><span aria-hidden='true'>{sign}</span> {state}</td><td>{more}</td></tr>"

    def _job(self, pipeline: int, number: int, job: dict[str, Any]) -> str:
        text = f"{escape(job['name'])} {SIGNS.get(job['state'], '')} {escape(job['state'])}"
        if self.base and job["log"]:
            return f'<a href="{escape(self.base)}/-/pipelines/{int(pipeline)}/{number}">{text}</a>'
        return text

    def _description(self) -> str:
        text = self.record["description"].strip()
        return f"<h3>Description</h3>{render(text) if text else '<p>There is no description.</p>'}"

    def _discussion(self) -> str:
        items = "".join(f"<li>{self._item(item)}</li>" for item in self.record["discussion"])
        return (
            f'<h3>Discussion</h3><ol class="plain">{items}</ol>'
            if items
            else "<h3>Discussion</h3><p>Nobody has said anything yet.</p>"
        )

    def _item(self, item: dict[str, Any]) -> str:
        if item["kind"] == "event":
            return f'<div class="event">{self._who(item["by"])} {escape(item["text"])} · {_when(item["at"])}</div>'
        where = ""
        if item["path"]:
            line = f", line {int(item['line'])}" if item["line"] else ""
            where = f" on <code>{escape(item['path'])}</code>{line}"
        state = ""
        if item["kind"] == "thread":
            state = f"✓ resolved by @{escape(item['resolved']['by'])}" if item["resolved"] else "● to be resolved"
            state = f' <span class="badge">{state}</span>'
        signs = " ".join(f"{escape(sign)} {len(who)}" for sign, who in item.get("reactions", {}).items())
        replies = "".join(
            f'<div class="reply"><p>{self._who(reply["by"])} · {_when(reply["at"])}</p>{render(reply["text"])}</div>'
            for reply in item["replies"]
        )
        return (
            f'<div class="item"><p>#{item["id"]} {self._who(item["by"])}{where} · {_when(item["at"])}{state}</p>'
            f"{render(item['text'])}{f'<p>{signs}</p>' if signs else ''}{replies}</div>"
        )

    def _commits(self) -> str:
        base, head = self.mr.range()
        number = self.mr.git.count(head if base == EMPTY_TREE else f"{base}..{head}")
        record = self.record
        starts = [record["merged"]["sha"] if record["merged"] else f"refs/heads/{record['target']}", head]
        drawing = commit_graph(
            self.mr.repository.folder, refs=starts, limit=12, title=f"Commits around !{self.mr.number}"
        )
        commits = self.mr.commits(most=COMMITS_SHOWN)
        items = "".join(
            f"<li><code>{commit.sha[:8]}</code> {escape(receive.clean(commit.subject))} · {escape(receive.clean(commit.author))}</li>"
            for commit in commits
        )
        if number > len(commits):
            items += f"<li>and {number - len(commits):,} older ones</li>"
        return (
            f'<h3>Commits ({number:,})</h3><ul class="plain">{items}</ul>'
            f'<details><summary>The commit graph</summary><div class="graph">{drawing.svg}</div></details>'
        )

    def _changes(self) -> str:
        changes, patches = self.mr.changes(), self.mr.patches()
        added = sum(change.added or 0 for change in changes)
        deleted = sum(change.deleted or 0 for change in changes)
        out = [f"<h3>Changes in {len(changes):,} file{'' if len(changes) == 1 else 's'} (+{added:,} −{deleted:,})</h3>"]
        left = LINES_SHOWN
        for change, patch in list(zip(changes, patches, strict=True))[:FILES_SHOWN]:
            shown = min(LINES_OF_A_FILE, left)
            out.append(self._file(change, patch, shown))
            left -= min(shown, len(patch.lines))
        if len(changes) > FILES_SHOWN:
            out.append(f"<p>{len(changes) - FILES_SHOWN:,} more files are not shown here; git diff shows them.</p>")
        return "\n".join(out)

    def _file(self, change: Change, patch: Patch, most: int) -> str:
        path = f"{change.old_path} → {change.path}" if change.old_path != change.path else change.path
        size = "binary or large" if change.binary else f"+{change.added} −{change.deleted}"
        summary = f"<code>{escape(receive.clean(path))}</code> {WORDS.get(change.status, 'changed')}, {size}"
        lines = "".join(_line(line.sign, line.number, line.text) for line in patch.lines[:most])
        rest = len(patch.lines) - most
        note = ""
        if rest > 0 or patch.cut:
            note = f"<p>{f'{rest:,} more lines' if rest > 0 else 'More lines'} of this file are not shown here.</p>"
        elif not lines:
            note = "<p>There are no lines to show: it is binary, large, empty, or only its name or mode changes.</p>"
        opened = " open" if most and len(patch.lines) <= LINES_OF_A_FILE else ""
        return f"<details{opened}><summary>{summary}</summary>{f'<pre>{lines}</pre>' if lines else ''}{note}</details>"


def _when(at: str) -> str:
    return escape(f"{at[:10]} {at[11:16]}")


def _line(sign: str, number: int, text: str) -> str:
    text = re.sub(r"[\r\n]", "␍", receive.clean(text))[:WIDTH]
    if sign == "@":
        return f'<span class="place">line {number} {escape(text)}</span>'
    kind = {"+": ' class="add"', "-": ' class="del"'}.get(sign, "")
    shown = {"-": "−"}.get(sign, sign)
    return f'<span{kind}><span class="no" aria-hidden="true">{number}</span>{shown} {escape(text)}</span>'
