"""The commits of a repository as a picture: branches, merges, labels, and where HEAD is.

    >>> commit_graph("/tmp/desk/marts")                                             # doctest: +SKIP
    >>> print(commit_graph("/tmp/desk/marts"))                                      # doctest: +SKIP
    3f2a91bc  Merge branch 'country' into 'main'  [HEAD → main]  (merge of 81c3f891 and 5e4c2512)
    5e4c2512  Add the country  [country]
    81c3f891  Add the users mart

It is drawn from the repository as it is now, a clone or a bare one, and asks git only: nothing in the repository can start a
program by that. The newest commit stands at the top, a line leads from each commit down to its parents.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from opslab.worlds.forge.git import Git, GitError, git_folder
from opslab.worlds.forge.receive import clean

LIMIT = 60
SHORT = 8
SUBJECT_LIMIT = 60


@dataclass
class Node:
    """A commit in the picture. labels: (kind, name) of what points to it; row and lane: where it stands."""

    sha: str
    parents: list[str]
    subject: str
    labels: list[tuple[str, str]] = field(default_factory=list)
    row: int = 0
    lane: int = 0


@dataclass(frozen=True)
class Edge:
    """A line from a commit to a parent, in a lane of its own. target: the parent's row, or None below the picture."""

    source: Node
    target: Node | None
    lane: int


@dataclass(frozen=True)
class Drawing:
    """An SVG and the same in words. Shows itself in a notebook."""

    svg: str
    text: str

    def _repr_html_(self) -> str:
        return self.svg

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


def commit_graph(
    folder: str | Path, *, refs: Sequence[str] | None = None, limit: int = LIMIT, title: str = "Commits"
) -> Drawing:
    """Draw the newest commits of a repository.

    refs: full names of references or ids of commits to start from; by default all branches, tags and HEAD.
    limit: the most commits that are drawn; how many more there are is written below.
    Raises ValueError where there is no repository, or one that git cannot read.
    """
    git = Git(git_folder(folder))
    try:
        nodes, more = _read(git, refs, limit)
    except GitError as error:
        raise ValueError(f"git cannot read the repository {folder}: {error.said.strip() or error}") from None
    if not nodes:
        text = "There are no commits yet."
        return Drawing(_svg([], [], text, title), text)
    edges = _place(nodes)
    text = _text(nodes, more)
    return Drawing(_svg(nodes, edges, text, title, more), text)


def _read(git: Git, refs: Sequence[str] | None, limit: int) -> tuple[list[Node], int]:
    """The commits to draw, newest first, and how many more there are."""
    labels = _labels(git)
    starts = [sha for sha in map(git.resolve, refs) if sha] if refs is not None else list(labels)
    if not starts:
        return [], 0
    given = "\n".join([*dict.fromkeys(starts), ""]).encode()
    shape = "--format=%H%x00%P%x00%s%x1e"
    out = git.text("log", "--topo-order", f"--max-count={limit}", shape, "--stdin", give=given)
    nodes = []
    for entry in out.split("\x1e\n")[:-1]:
        sha, parents, subject = entry.split("\0", 2)
        nodes.append(Node(sha, parents.split(), clean(subject), labels.get(sha, [])))
    return nodes, int(git.run("rev-list", "--count", "--stdin", give=given)) - len(nodes)


def _labels(git: Git) -> dict[str, list[tuple[str, str]]]:
    """What points where: kinds are "HEAD" (with the branch, if it is on one), "branch", "remote" and "tag"."""
    found: dict[str, list[tuple[str, str]]] = {}
    try:
        head = git.text("symbolic-ref", "--quiet", "HEAD").strip()
    except GitError:
        head = ""
    bare = git.text("rev-parse", "--is-bare-repository").strip() == "true"
    if bare:
        head = ""  # nobody works there: its HEAD says only which branch a clone begins with
    elif sha := git.resolve("HEAD"):
        branch = head.removeprefix("refs/heads/")
        found[sha] = [("HEAD", f"HEAD → {branch}" if branch else "HEAD (detached)")]
    shape = "--format=%(objectname) %(*objectname) %(refname)"
    kinds = {"refs/heads/": "branch", "refs/remotes/": "remote", "refs/tags/": "tag"}
    for line in git.text("for-each-ref", shape, *kinds).splitlines():
        sha, peeled, ref = line.split(" ", 2)
        prefix = next(prefix for prefix in kinds if ref.startswith(prefix))
        if ref != head and not (prefix == "refs/remotes/" and ref.endswith("/HEAD")):
            name = f"tag: {ref[len(prefix) :]}" if prefix == "refs/tags/" else ref[len(prefix) :]
            if target := git.resolve(peeled or sha):  # a tag may point to something that is no commit
                found.setdefault(target, []).append((kinds[prefix], clean(name)))
    return found


def _place(nodes: list[Node]) -> list[Edge]:
    """Give each commit its row and lane, children above their parents, and each line the lane in which it runs down."""
    by_sha = {node.sha: node for node in nodes}
    lanes: list[str | None] = []  # the commit that each lane leads to
    edges = []

    def free() -> int:
        if None in lanes:
            return lanes.index(None)
        lanes.append(None)
        return len(lanes) - 1

    for row, node in enumerate(nodes):
        node.row = row
        node.lane = lanes.index(node.sha) if node.sha in lanes else free()
        lanes = [None if waiting == node.sha else waiting for waiting in lanes]
        for number, parent in enumerate(node.parents):
            joins = lanes.index(parent) if parent in lanes else None
            lane = node.lane if number == 0 else free() if joins is None else joins
            lanes[lane] = parent
            edges.append(Edge(node, by_sha.get(parent), lane))
    return edges


def _text(nodes: list[Node], more: int) -> str:
    lines = []
    for node in nodes:
        line = f"{node.sha[:SHORT]}  {node.subject}"
        if node.labels:
            line += f"  [{', '.join(name for _, name in node.labels)}]"
        if len(node.parents) > 1:
            line += f"  (merge of {' and '.join(parent[:SHORT] for parent in node.parents)})"
        elif not node.parents:
            line += "  (the first commit)"
        lines.append(line)
    return "\n".join([*lines, _rest(more)] if more else lines)


def _rest(more: int) -> str:
    return f"… and {more:,} older commit{'' if more == 1 else 's'}"


# ---- the picture -----------------------------------------------------------------------------------------------------

ROW, LANE, LEFT, TOP, CHARACTER = 28, 18, 16, 20, 7.3

COLOURS = ("#2b74b8", "#b4560f", "#2f8050", "#a04a9c", "#8a6d00", "#c0392b")
"""Of the lanes. Each has a contrast of 3 and more to white and to black; nothing is told by colour alone."""


def _svg(nodes: list[Node], edges: list[Edge], text: str, title: str, more: int = 0) -> str:
    lanes = max([0, *(node.lane for node in nodes), *(edge.lane for edge in edges)])
    indent = LEFT + (lanes + 1) * LANE
    height = TOP + max(len(nodes), 1) * ROW + (ROW if more else 0)
    body, width = [], 0.0
    for edge in edges:
        body.append(f'<path class="l{edge.lane % len(COLOURS)}" d="{_line(edge, height)}"/>')
    for node in nodes:
        x, y = _at(node)
        kind = "m" if len(node.parents) > 1 else "c"
        body.append(f'<circle class="{kind} l{node.lane % len(COLOURS)}" cx="{x}" cy="{y}" r="5"/>')
        at: float = indent
        for label, name in node.labels:
            wide = len(name) * CHARACTER + 12
            body.append(f'<rect class="r {label}" x="{at:.0f}" y="{y - 10}" width="{wide:.0f}" height="20" rx="4"/>')
            body.append(f'<text class="t {label}" x="{at + 6:.0f}" y="{y + 4}">{escape(name)}</text>')
            at += wide + 6
        subject = node.subject if len(node.subject) <= SUBJECT_LIMIT else node.subject[: SUBJECT_LIMIT - 1] + "…"
        line = f"{node.sha[:SHORT]}  {subject}"
        body.append(f'<text class="t" x="{at:.0f}" y="{y + 4}">{escape(line)}</text>')
        width = max(width, at + len(line) * CHARACTER + 10)
    if more or not nodes:
        last = _rest(more) if nodes else text
        body.append(f'<text class="t" x="{indent}" y="{height - ROW // 2 + 4}">{escape(last)}</text>')
        width = max(width, indent + len(last) * CHARACTER + 10)
    one = f"commits-{zlib.crc32((title + text).encode()):08x}"  # ids must differ between pictures on one page
    colours = "".join(
        f"path.l{n}{{stroke:{colour}}}circle.l{n}{{stroke:{colour};fill:{colour}}}" for n, colour in enumerate(COLOURS)
    )
    head = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" role="img" '
            f'class="opslab-commits" aria-labelledby="{one}-title {one}-text" style="max-width:100%;height:auto">'
        ),
        f'<title id="{one}-title">{escape(title)}</title>',
        f'<desc id="{one}-text">{escape(text)}</desc>',
        (
            "<style>.opslab-commits{"  # nested, because a style inside an SVG holds for the whole page
            "font-family:var(--jp-code-font-family,monospace);font-size:12px;"
            "path{fill:none;stroke-width:2}circle{stroke-width:2}"
            f"{colours}"
            "circle.m{fill:var(--jp-layout-color1,#fff)}"
            ".t{fill:var(--jp-content-font-color1,#1f1f1f);white-space:pre}"
            ".r{fill:none;stroke:var(--jp-content-font-color1,#1f1f1f)}"
            ".r.remote{stroke-dasharray:4 3}.r.tag{stroke-dasharray:1 2}.r.HEAD{stroke-width:2.5}.t.HEAD{font-weight:700}"
            "}</style>"
        ),
    ]
    return "\n".join([*head, *body, "</svg>"])


def _at(node: Node) -> tuple[int, int]:
    return LEFT + node.lane * LANE, TOP + node.row * ROW


def _line(edge: Edge, bottom: int) -> str:
    """From the child into the line's lane, down, and into the parent; half a row for each change of lane."""
    x, y = _at(edge.source)
    lane = LEFT + edge.lane * LANE
    path = f"M{x} {y}"
    if lane != x:
        path += f"C{x} {y + ROW / 2:.0f} {lane} {y + ROW / 2:.0f} {lane} {y + ROW}"
    if edge.target is None:
        return f"{path}L{lane} {bottom - ROW / 2:.0f}"
    to_x, to_y = _at(edge.target)
    if to_x == lane:
        return f"{path}L{lane} {to_y}"
    if to_y - y > ROW:
        path += f"L{lane} {to_y - ROW}"
    return f"{path}C{lane} {to_y - ROW / 2:.0f} {to_x} {to_y - ROW / 2:.0f} {to_x} {to_y}"
