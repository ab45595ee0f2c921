"""Who can become whom: the trust graph of an organisation, from its live policies.

    >>> graph = trust_graph(aws)                                     # doctest: +SKIP
    >>> graph.paths("production/loader")                             # doctest: +SKIP
    >>> graph.draw(path=["staging/ana", "staging/deploy", "production/loader"])  # doctest: +SKIP

Every arrow is a decision of the evaluator: it was asked whether this user or role may call sts:AssumeRole on that role. So
the picture shows what is, and not what somebody meant.
"""

from __future__ import annotations

import itertools
import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from opslab.worlds.aws import operations
from opslab.worlds.aws.state import Caller, iam

if TYPE_CHECKING:
    from opslab.worlds.aws.organisation import Organisation


@dataclass(frozen=True)
class Node:
    """A user or role. `name` is "account/name"."""

    name: str
    account: str
    kind: str
    arn: str

    @property
    def label(self) -> str:
        return self.name.partition("/")[2]


@dataclass(frozen=True)
class Edge:
    """`source` can become `target`. `needs` says what it must bring along, "" for nothing."""

    source: str
    target: str
    reason: str
    needs: str = ""


@dataclass(frozen=True)
class Graph:
    """The trust graph. Shows itself in a notebook; `draw` highlights a path."""

    accounts: tuple[tuple[str, str], ...]
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def paths(self, target: str, source: str | None = None) -> list[list[str]]:
        """All ways (without loops) to a node, e.g. "production/loader"; from one node, or from every user. Sorted."""
        known = {node.name: node for node in self.nodes}
        for name in (target, source):
            if name is not None and name not in known:
                raise ValueError(f"There is no {name!r} in the graph; there are: {', '.join(sorted(known))}.")
        starts = [source] if source else [node.name for node in self.nodes if node.kind == "user"]
        found: list[list[str]] = []

        def walk(path: list[str]) -> None:
            if path[-1] == target:
                found.append(path)
                return
            for edge in self.edges:
                if edge.source == path[-1] and edge.target not in path:
                    walk([*path, edge.target])

        for start in starts:
            walk([start])
        return sorted(path for path in found if len(path) > 1)

    @property
    def text(self) -> str:
        """The graph in words: what the picture shows, for those who do not see it."""
        lines = []
        for name, account in self.accounts:
            members = [f"{node.kind} {node.label}" for node in self.nodes if node.account == account]
            lines.append(f"Account {name} ({account}): {', '.join(members) or 'nobody'}.")
        for edge in self.edges:
            needs = f", {edge.needs}" if edge.needs else ""
            lines.append(f"{edge.source} can become {edge.target}: {edge.reason}{needs}.")
        return "\n".join(lines if self.edges else [*lines, "Nobody can become anybody."])

    def draw(self, path: Iterable[str] = ()) -> Drawing:
        """The picture, with the arrows of a path highlighted."""
        return Drawing(_svg(self, list(path)), self.text)

    def _repr_html_(self) -> str:
        return self.draw()._repr_html_()


@dataclass(frozen=True)
class Drawing:
    """An SVG and the same in words."""

    svg: str
    text: str

    def _repr_html_(self) -> str:
        return self.svg

    def __str__(self) -> str:
        return self.text


def trust_graph(aws: Organisation, administrators: bool = False, only: str = "") -> Graph:
    """The graph of an organisation, as its policies are now. Without the accounts' administrators, if not asked for.

    only: leave out everybody whose ARN does not contain this ("/warehouse/").
    """
    from opslab.worlds.aws.organisation import ADMINISTRATOR

    with aws.guard.lock:
        nodes, callers = [], {}
        for name, account in aws.accounts.items():
            backend = iam(account)
            for user in sorted(backend.users.values(), key=lambda one: one.name):
                if only in user.arn and (administrators or user.name != ADMINISTRATOR):
                    node = Node(f"{name}/{user.name}", account, "user", user.arn)
                    nodes.append(node)
                    callers[node.name] = aws.state.caller_named(node.arn)
            for role in sorted(backend.roles.values(), key=lambda one: one.name):
                if only not in role.arn:
                    continue
                node = Node(f"{name}/{role.name}", account, "role", role.arn)
                nodes.append(node)
                session = f"arn:aws:sts::{account}:assumed-role/{role.name}/graph"
                callers[node.name] = aws.state.caller_named(session)
        roles = [node for node in nodes if node.kind == "role"]
        edges = [
            edge
            for source in nodes
            for target in roles
            if source is not target and (edge := _edge(aws, source, callers[source.name], target))
        ]
    return Graph(tuple(aws.accounts.items()), tuple(nodes), tuple(edges))


def _edge(aws: Organisation, source: Node, caller: Caller, target: Node) -> Edge | None:
    """Asks the evaluator: plainly, and again with each ExternalId that the trust policy speaks of."""
    ask = operations.Ask("sts:AssumeRole", target.arn, target.account)
    for external in (None, *_external_ids(aws, target)):
        params = {"RoleArn": target.arn, "RoleSessionName": "graph"} | ({"ExternalId": external} if external else {})
        call = operations.Call("sts", "AssumeRole", params, source.account, "us-east-1", caller.user_name)
        keys = {"aws:SourceIp": "127.0.0.1", "aws:RequestedRegion": "us-east-1", "aws:SecureTransport": "true"}
        decision = aws.guard.decide(ask, caller, call, keys)
        if not decision.allowed:
            continue
        if decision.layer == "identity":
            reason = f"its own policy allows it ({decision.policy.name}), and the role trusts {_trusts(aws, target)}"
        else:
            reason = f"the role trusts {_trusts(aws, target)}"
        return Edge(source.name, target.name, reason, "with an ExternalId" if external else "")
    return None


def _trust(aws: Organisation, target: Node) -> list[dict]:
    document = json.loads(aws.state.role(target.arn).assume_role_policy_document)
    statements = document.get("Statement", [])
    return statements if isinstance(statements, list) else [statements]


def _external_ids(aws: Organisation, target: Node) -> list[str]:
    found = []
    for statement in _trust(aws, target):
        for keys in statement.get("Condition", {}).values():
            for key, value in keys.items():
                if key.lower() == "sts:externalid":
                    found += [value] if isinstance(value, str) else value
    return [one for one in dict.fromkeys(found) if "*" not in one and "?" not in one]


def _trusts(aws: Organisation, target: Node) -> str:
    """The principals of a trust policy in short: account names instead of ARNs where they are ours."""
    names = {account: name for name, account in aws.accounts.items()}
    found = []
    for statement in _trust(aws, target):
        principal = statement.get("Principal", {})
        values = (
            [principal]
            if isinstance(principal, str)
            else list(principal.values())
            if statement["Effect"] == "Allow"
            else []
        )
        for value in values:
            for one in [value] if isinstance(value, str) else value:
                account = one.split(":")[4] if one.startswith("arn:") else one
                if one == "*":
                    found.append("everyone")
                elif one == account or one.endswith(":root"):
                    found.append(f"the account {names.get(account, account)}")
                else:
                    found.append(f"{names.get(account, account)}/{one.rsplit('/', 1)[-1]}")
    return " and ".join(dict.fromkeys(found)) or "somebody"


# --- The picture -------------------------------------------------------------------------------------------------------

WIDTH, ROW, BOX_WIDTH, BOX_HEIGHT, GAP, TOP = 230, 74, 170, 40, 190, 60


def _svg(graph: Graph, path: list[str]) -> str:
    """One column for each account, arrows between; reasons stand on the arrows as numbers, and below in full."""
    steps = set(itertools.pairwise(path))
    place: dict[str, tuple[int, int]] = {}
    columns = []
    for column, (name, account) in enumerate(graph.accounts):
        x = 20 + column * (WIDTH + GAP)
        members = [node for node in graph.nodes if node.account == account]
        for row, node in enumerate(members):
            place[node.name] = (x + (WIDTH - BOX_WIDTH) // 2, TOP + 10 + row * ROW)
        columns.append((x, name, account, members))
    rows = max((len(members) for *_, members in columns), default=1) or 1
    box_height = 50 + rows * ROW
    bottom = TOP - 30 + box_height
    width = 40 + len(columns) * WIDTH + (len(columns) - 1) * GAP + 60
    height = bottom + 30 + 20 * len(graph.edges)
    one = f"trust-{zlib.crc32(repr((graph.edges, path)).encode()):08x}"  # ids must differ between pictures on one page
    out = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img" '
            f'class="opslab-trust" aria-labelledby="{one}-title {one}-text" font-family="sans-serif" font-size="13">'
        ),
        f'<title id="{one}-title">Who can become whom</title>',
        f'<desc id="{one}-text">{escape(graph.text)}</desc>',
        (
            "<style>.opslab-trust{"  # nested, because a style inside an SVG holds for the whole page
            ".a{fill:none;stroke:var(--jp-border-color1,#888);stroke-width:1.5}"
            ".n{fill:var(--jp-layout-color1,#fff);stroke:var(--jp-ui-font-color2,#555)}"
            ".t{fill:var(--jp-ui-font-color1,#222)}"
            ".e{fill:none;stroke:var(--jp-ui-font-color2,#555);stroke-width:1.5}"
            ".p{fill:none;stroke:var(--jp-error-color1,#c62828);stroke-width:3.5}"
            "}</style>"
        ),
        (
            f'<defs><marker id="{one}-tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
            'markerUnits="userSpaceOnUse" orient="auto-start-reverse"><path d="M0 0L10 5L0 10z" class="t"/></marker></defs>'
        ),
    ]
    for x, name, account, _ in columns:
        out.append(
            f'<rect class="a" x="{x}" y="{TOP - 30}" width="{WIDTH}" height="{box_height}" rx="8" stroke-dasharray="5 4"/>'
        )
        out.append(f'<text class="t" x="{x + 10}" y="{TOP - 38}" font-weight="bold">{escape(name)} · {account}</text>')
    labels = []
    for number, edge in enumerate(graph.edges, 1):
        lit = (edge.source, edge.target) in steps
        line, (label_x, label_y) = _arrow(place[edge.source], place[edge.target], number)
        out.append(f'<path class="{"p" if lit else "e"}" d="{line}" marker-end="url(#{one}-tip)"/>')
        labels.append(f'<circle class="n" cx="{label_x}" cy="{label_y}" r="10"/>')
        labels.append(
            f'<text class="t" x="{label_x}" y="{label_y + 4}" text-anchor="middle" font-size="11">{number}</text>'
        )
        needs = f", {edge.needs}" if edge.needs else ""
        weight = ' font-weight="bold"' if lit else ""
        legend = f"{number}  {edge.source} → {edge.target}: {edge.reason}{needs}"
        labels.append(
            f'<text class="t" x="20" y="{bottom + 10 + 20 * number}" font-size="12"{weight}>{escape(legend)}</text>'
        )
    for node in graph.nodes:
        x, y = place[node.name]
        rounded = 20 if node.kind == "user" else 3
        weight = ' font-weight="bold"' if node.name in path else ""
        out.append(f'<rect class="n" x="{x}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="{rounded}"/>')
        out.append(
            f'<text class="t" x="{x + BOX_WIDTH // 2}" y="{y + 25}" text-anchor="middle"{weight}>'
            f"{node.kind} {escape(node.label)}</text>"
        )
    out += labels
    return "\n".join([*out, "</svg>"])


def _arrow(source: tuple[int, int], target: tuple[int, int], number: int) -> tuple[str, tuple[int, int]]:
    """(path, where its number stands): from side to side between neighbouring columns, between the rows where a column is
    passed, in an arc beside the boxes within one."""
    (x1, y1), (x2, y2) = source, target
    y1, y2 = y1 + BOX_HEIGHT // 2, y2 + BOX_HEIGHT // 2
    if x1 == x2:
        x, bend = x1 + BOX_WIDTH, 50 + 12 * (number % 4)
        down = 8 if y2 > y1 else -8  # away from the arrows that leave in the middle
        y1, y2 = y1 + down, y2 - down
        return f"M{x} {y1}C{x + bend} {y1} {x + bend} {y2} {x} {y2}", (x + int(bend * 0.75), (y1 + y2) // 2)
    start, end = (x1 + BOX_WIDTH, x2) if x2 > x1 else (x1, x2 + BOX_WIDTH)
    if abs(x2 - x1) > WIDTH + GAP:
        side = 1 if end > start else -1
        lane = max(y1, y2) + ROW // 2 - 8 + 6 * (number % 3)  # below the lower of the two, between rows
        near, far = start + side * GAP // 2, end - side * GAP // 2
        curve = f"M{start} {y1}C{near} {y1} {start + side * 20} {lane} {near} {lane}L{far} {lane}"
        return f"{curve}C{end - side * 20} {lane} {far} {y2} {end} {y2}", ((start + end) // 2, lane)
    middle = (start + end) // 2
    # Numbers of arrows that cross stand at different places along them.
    share = (0.35, 0.5, 0.65)[number % 3]
    label = (round(start + (end - start) * share), round(y1 + (y2 - y1) * (3 * share**2 - 2 * share**3)))
    return f"M{start} {y1}C{middle} {y1} {middle} {y2} {end} {y2}", label
