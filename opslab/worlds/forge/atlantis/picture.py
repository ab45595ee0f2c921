"""The way of a change, from a branch into AWS, as a picture: what is done, what failed, and where it waits.

    >>> print(loop(forge.merge_request(1), bot.store(repository)))                  # doctest: +SKIP
    The loop of !1 A bucket for prices
     1  ✓ done     Branch         prices: 1 commit, 3f2a91bc
     2  ✓ done     Merge request  !1 into main, by you
     3  ✓ done     Plan           staging: planned; production: planned
     4  ● here     Review         nobody has approved it yet
     5  · later    Apply          staging: waits; production: waits
     6  · later    AWS and state  as before
     7  · later    Merge          by Atlantis, when all is applied
    Now: it waits for an approval.

It is drawn from what forge and bot know at this moment. States are said in words and signs and by the kind of line, not in colour alone.
"""

from __future__ import annotations

import re
import textwrap
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from opslab.worlds.forge.atlantis import store as stores
from opslab.worlds.forge.atlantis.store import Store
from opslab.worlds.forge.commit_graph import Drawing
from opslab.worlds.forge.merge_requests import MergeRequest
from opslab.worlds.forge.receive import SHORT, clean
from opslab.worlds.forge.state import CLOSED, MERGED

DONE, HERE, FAILED, LATER = "done", "here", "failed", "later"
SIGNS = {DONE: "✓", HERE: "●", FAILED: "✗", LATER: "·"}

BOT = "atlantis"
MOST = 4
"""Projects that are named; how many more there are is said."""


@dataclass
class Step:
    """A station of the loop: its name, its state and a few words about it."""

    name: str
    state: str
    lines: list[str]


@dataclass(frozen=True)
class Facts:
    """What is known of a merge request at one moment. projects: what became of each, by its name."""

    record: Mapping[str, Any]
    projects: Mapping[str, str]
    checks: Mapping[str, Mapping[str, Any]]
    blockers: list[tuple[str, str]]
    threads: list[Mapping[str, Any]]
    commits: int
    locked_by: int

    @property
    def number(self) -> int:
        return self.record["number"]

    def check(self, name: str) -> str:
        """The state of a check of the bot; empty where it has not reported."""
        return self.checks.get(f"{BOT}/{name}", {}).get("state", "")

    @property
    def applied_before_it_was_closed(self) -> str:
        """What the bot said of the applies of a merge request that was closed; empty where there was none."""
        said = self.checks.get(f"{BOT}/apply", {})
        text = said.get("description", "")
        return text if self.record["state"] == CLOSED and said.get("state") and not text.startswith("0/") else ""

    @property
    def policies_failed(self) -> bool:
        return self.check("policy_check") == "failed"


def loop(mr: MergeRequest, store: Store) -> Drawing:
    """The picture for a merge request. store: what the bot remembers of its repository."""
    facts = _facts(mr, store)
    steps, now = _steps(facts)
    title = clean(f"The loop of !{mr.number} {mr.record['title']}")
    lines = [title]
    for number, step in enumerate(steps, 1):
        lines.append(f" {number}  {SIGNS[step.state]} {step.state:<8} {step.name:<14} {'; '.join(step.lines)}".rstrip())
    now = clean(now)
    text = "\n".join([*lines, f"Now: {now}"])
    return Drawing(_svg(title, steps, now, text), text)


# ---- what is known ----------------------------------------------------------------------------------------------------


def _facts(mr: MergeRequest, store: Store) -> Facts:
    record = mr.record
    checks = {one["name"]: one for one in mr.statuses(record)}
    others = [one for one in record["statuses"] if not one["name"].startswith(f"{BOT}/")]
    return Facts(
        record,
        _projects(record, store, checks),
        checks,
        [(one.code, one.text) for one in mr.blockers({**record, "statuses": others})],
        [item for item in record["discussion"] if item["kind"] == "thread" and not item["resolved"]],
        len(mr.commits()),
        next((lock["number"] for key, lock in store.locks().items() if _waits_for(record, store, key, lock)), 0),
    )


def _waits_for(record: Mapping[str, Any], store: Store, key: str, lock: Mapping[str, Any]) -> bool:
    """Whether a project of this merge request could not be planned because of a lock."""
    known = store.request(record["number"])["projects"].get(key, {})
    return lock["number"] != record["number"] and known.get("status") == stores.PLAN_FAILED


def _projects(record: Mapping[str, Any], store: Store, checks: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """What became of each project. After the merge, the bot has forgotten its plans; then its last comments say it."""
    if record["state"] not in (MERGED, CLOSED):
        request = store.request(record["number"])
        if request["head"] != record["head"]:
            return {}
        found = request["projects"].items()
        return {one.get("name") or key.partition("//")[0]: one["status"] for key, one in found}
    said = "\n".join(item["text"] for item in record["discussion"] if item["by"] == BOT)
    applied = record["state"] == MERGED and "applied successfully" in checks.get(f"{BOT}/apply", {}).get(
        "description", ""
    )
    names = re.findall(r"(?m)^- dir: `([^`]+)` workspace", said)
    return dict.fromkeys(names, stores.APPLIED if applied else "discarded")


# ---- what follows from it ---------------------------------------------------------------------------------------------


def _steps(facts: Facts) -> tuple[list[Step], str]:
    """The seven stations, and a sentence about what is to be done now."""
    record, number = facts.record, facts.number
    merged, closed = record["state"] == MERGED, record["state"] == CLOSED
    commits = f"{facts.commits} commit{'' if facts.commits == 1 else 's'}"
    steps = [
        Step("Branch", DONE, [f"{record['source']}: {commits}, {record['head'][:SHORT]}"]),
        Step("Merge request", DONE, [f"!{number} into {record['target']}, by {record['author']}"]),
        _plan(facts),
        _review(facts),
        _apply(facts),
        _aws(facts),
        Step("Merge", LATER, ["into main, when all is applied"]),
    ]
    _, request, plan, review, apply, _, merge = steps
    if merged:
        by, sha = record["merged"]["by"], record["merged"]["sha"][:SHORT]
        merge.state, merge.lines = DONE, [f"by {by} as {sha}"]
        review.state = DONE if review.state == HERE else review.state
        return steps, f"done. {record['target']} says what is there; the next change begins with a branch."
    if closed:
        merge.state, merge.lines = FAILED, ["closed without being merged"]
        more = " A plan of main shows what it has left behind." if facts.applied_before_it_was_closed else ""
        return steps, f"it is closed. Its plans and locks are gone.{more}"
    if record["draft"]:
        request.state, request.lines = HERE, [*request.lines, "a draft: no plans are made"]
        return steps, f"say that it is ready: opslab mr edit {number} --ready"
    if plan.state == HERE:
        return steps, f"Atlantis plans. opslab mr show {number} waits for it."
    if apply.state == HERE and facts.check("apply") == "running":
        return steps, f"Atlantis applies. opslab mr show {number} waits for it."
    if facts.locked_by:
        return (
            steps,
            f"it waits until !{facts.locked_by} is merged or closed, or its lock is released. Then: atlantis plan",
        )
    if plan.state == FAILED and facts.policies_failed:
        return steps, "a rule says no. What it says stands in Atlantis's comment. Mend the code, and push."
    if plan.state == FAILED:
        return steps, "a plan has failed. Read Atlantis's comment, mend the code, and push."
    if apply.state == FAILED:
        return steps, f'an apply has failed. Read Atlantis\'s comment; then opslab mr comment {number} "atlantis plan"'
    if facts.threads:
        who = ", ".join(f"#{item['id']} ({item['by']})" for item in facts.threads[:MOST])
        who += f" and {len(facts.threads) - MOST} more" if len(facts.threads) > MOST else ""
        reply = f'opslab mr comment {number} --reply-to {facts.threads[0]["id"]} "…"'
        return steps, f"answer {who}: with a commit, or with a sentence: {reply}"
    if others := [text for code, text in facts.blockers if code not in ("approval", "threads")]:
        return steps, others[0]
    if review.state == HERE:
        return steps, "it waits for an approval."
    if apply.state == HERE:
        return steps, f'say it: opslab mr comment {number} "atlantis apply"'
    merge.state = HERE
    return steps, f"it can be merged: opslab mr merge {number}"


def _plan(facts: Facts) -> Step:
    states = {
        stores.PLANNED: "planned", stores.NO_CHANGES: "no changes", stores.PLAN_FAILED: "failed",
        stores.APPLIED: "planned", stores.APPLY_FAILED: "used up", "discarded": "discarded",
    }  # fmt: skip
    lines = _named(facts, states)
    if facts.locked_by:
        lines.append(f"locked by !{facts.locked_by}")
    if facts.check("policy_check"):
        lines.append(f"policies: {'failed' if facts.policies_failed else 'passed'}")
    if facts.check("plan") == "running":
        return Step("Plan", HERE, ["Atlantis is at work"])
    if facts.check("plan") == "failed" or facts.policies_failed:
        return Step("Plan", FAILED, lines or ["atlantis.yaml cannot be used"])
    if facts.check("plan") == "success":
        return Step("Plan", DONE, lines or ["nothing to plan"])
    return Step(
        "Plan", LATER if facts.record["draft"] or facts.record["state"] in (MERGED, CLOSED) else HERE, ["not yet"]
    )


def _review(facts: Facts) -> Step:
    record = facts.record
    valid = [one["by"] for one in record["approvals"] if one["head"] == record["head"]]
    lines = [f"{item['by']} asks: #{item['id']}" for item in facts.threads[:MOST]]
    missing = [text for code, text in facts.blockers if code == "approval"]
    if valid:
        lines.append(f"approved by {', '.join(valid)}")
    elif missing:
        lines.append("nobody has approved it yet")
    waits = record["state"] not in (MERGED, CLOSED) and not record["draft"] and (missing or facts.threads)
    return Step("Review", HERE if waits else LATER if record["draft"] else DONE, lines or ["no approval is needed"])


def _apply(facts: Facts) -> Step:
    states = {
        stores.PLANNED: "waits", stores.NO_CHANGES: "nothing to do", stores.PLAN_FAILED: "no plan",
        stores.APPLIED: "applied", stores.APPLY_FAILED: "failed", "discarded": "never applied",
    }  # fmt: skip
    lines, known = _named(facts, states), set(facts.projects.values())
    if facts.check("apply") == "running":
        return Step("Apply", HERE, ["Atlantis is at work"])
    if stores.APPLY_FAILED in known:
        return Step("Apply", FAILED, lines)
    if facts.applied_before_it_was_closed:
        return Step("Apply", FAILED, [facts.applied_before_it_was_closed])
    if "discarded" in known:
        return Step("Apply", LATER, lines)
    if facts.check("plan") == "success" and known <= {stores.APPLIED, stores.NO_CHANGES}:
        return Step("Apply", DONE, lines or ["nothing to apply"])
    ready = not facts.blockers and facts.check("plan") == "success" and not facts.policies_failed
    return Step("Apply", HERE if ready else LATER, lines or ["not yet"])


def _aws(facts: Facts) -> Step:
    known = list(facts.projects.values())
    applied, waiting = known.count(stores.APPLIED), known.count(stores.PLANNED) + known.count(stores.APPLY_FAILED)
    if stores.APPLY_FAILED in known or facts.applied_before_it_was_closed:
        return Step("AWS and state", FAILED, ["perhaps half of it is there: the next plan shows it"])
    if applied and waiting:
        return Step("AWS and state", HERE, [f"{applied} of {applied + waiting} changed, the rest as before"])
    if applied:
        return Step("AWS and state", DONE, ["changed, and written down"])
    return Step("AWS and state", LATER, ["as before"])


def _named(facts: Facts, states: Mapping[str, str]) -> list[str]:
    """A line for each project; the last of many says how many more there are."""
    lines = [clean(f"{name}: {states[state]}") for name, state in facts.projects.items()]
    return lines if len(lines) <= MOST else [*lines[: MOST - 1], f"and {len(lines) - MOST + 1} more"]


# ---- the picture ------------------------------------------------------------------------------------------------------

BOX, GAP, LEFT, TOP, LINE, COLUMN, WIDE = 214, 34, 30, 36, 17, 28, 60
"""Width of a box, room between boxes, room left of them and above, height of a line, characters in a line of a box, and of all."""

PLACES = [(0, 0), (0, 1), (0, 2), (0, 3), (1, 3), (1, 2), (1, 1)]
"""Column and row of each station: the way goes down on the left and up on the right. A notebook beside a terminal is narrow."""

AGAIN = "- - a new commit: it is planned again, and approvals are gone"

STYLE = (
    "<style>.opslab-loop{"  # nested, because a style inside an SVG holds for the whole page
    "font-family:var(--jp-content-font-family,sans-serif);font-size:13px;"
    "text{fill:var(--jp-content-font-color1,#1f1f1f)}"
    ".box{fill:var(--jp-layout-color1,#fff);stroke:var(--jp-content-font-color2,#616161)}"
    ".done{stroke:var(--jp-success-color1,#2e7d32);stroke-width:2}.later{stroke-width:1;stroke-dasharray:3 4}"
    ".here{stroke:var(--jp-brand-color1,#1565c0);stroke-width:4}"
    ".failed{stroke:var(--jp-error-color1,#c62828);stroke-width:4;stroke-dasharray:12 4}"
    ".name{font-weight:600;font-size:14px}.now{font-weight:600}"
    ".way{fill:none;stroke:var(--jp-content-font-color2,#616161);stroke-width:1.5}"
    ".back{stroke-dasharray:5 4}.tip{fill:var(--jp-content-font-color2,#616161)}"
    "}</style>"
)


def _svg(title: str, steps: list[Step], now: str, text: str) -> str:
    wrapped = [[part for line in step.lines for part in textwrap.wrap(line, COLUMN)] for step in steps]
    heading, last = textwrap.wrap(title, WIDE), textwrap.wrap(f"Now: {now}", COLUMN)
    # In the corner where the way ends and begins there is room for a sentence.
    lines = [len(last) - 2, 0, 0, 0]
    for each, (_, row) in zip(wrapped, PLACES, strict=True):
        lines[row] = max(lines[row], len(each))
    tall = [58 + LINE * count for count in lines]
    start = TOP + LINE * (len(heading) - 1)
    rows = [start + sum(tall[:row]) + GAP * row for row in range(4)]
    width, height = LEFT + 2 * BOX + GAP + 4, rows[3] + tall[3] + 30
    one = f"loop-{zlib.crc32(text.encode()):08x}"  # ids must differ between pictures on one page
    out = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img" class="opslab-loop" '
            f'aria-labelledby="{one}-title {one}-text" style="max-width:100%;height:auto">'
        ),
        f'<title id="{one}-title">{escape(title)}</title>',
        f'<desc id="{one}-text">{escape(text)}</desc>',
        STYLE,
        (
            f'<defs><marker id="{one}-tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="9" markerHeight="9" '
            'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L10 5L0 10z" class="tip"/></marker></defs>'
        ),
    ]
    out += [f'<path class="{kind}" d="{path}" marker-end="url(#{one}-tip)"/>' for kind, path in _ways(rows, tall)]
    out += _text("name", LEFT, 18, heading)
    out += _text("now", _x(1) + 12, rows[0] + 22, last)
    out += _text("small", LEFT, height - 10, [AGAIN])
    for number, (step, each, (column, row)) in enumerate(zip(steps, wrapped, PLACES, strict=True), 1):
        x, y = _x(column), rows[row]
        out.append(f'<rect class="box {step.state}" x="{x}" y="{y}" width="{BOX}" height="{tall[row]}" rx="7"/>')
        out += _text("name", x + 12, y + 22, [f"{number} {step.name}"])
        out += _text("now", x + 12, y + 41, [f"{SIGNS[step.state]} {step.state}"])
        out += _text("small", x + 12, y + 60, each)
    return "\n".join([*out, "</svg>"])


def _text(kind: str, x: int, y: int, lines: list[str]) -> list[str]:
    return [f'<text class="{kind}" x="{x}" y="{y + LINE * at}">{escape(line)}</text>' for at, line in enumerate(lines)]


def _x(column: int) -> int:
    return LEFT + column * (BOX + GAP)


def _ways(rows: list[int], tall: list[int]) -> list[tuple[str, str]]:
    """The arrows: kind and path."""
    left, right = _x(0) + BOX // 2, _x(1) + BOX // 2
    down = [("way", f"M{left} {rows[row] + tall[row]}V{rows[row + 1] - 3}") for row in range(3)]
    across = ("way", f"M{_x(0) + BOX} {rows[3] + tall[3] // 2}H{_x(1) - 3}")
    up = [("way", f"M{right} {rows[row]}V{rows[row - 1] + tall[row - 1] + 3}") for row in (3, 2)]
    home = ("way", f"M{_x(1)} {rows[1] + tall[1] // 2}H{_x(1) - GAP // 2}V{rows[0] + tall[0] // 2}H{_x(0) + BOX + 3}")
    again = ("way back", f"M{_x(0)} {rows[3] + tall[3] // 2}H{LEFT // 2}V{rows[0] + tall[0] // 2}H{_x(0) - 3}")
    return [*down, across, *up, home, again]
