"""Accounts side by side: what is there under a name, what differs between them, and what has changed since the start.

    >>> now = {name: things(cloud.user(account, "administrator"), "prices") for name, account in accounts.items()}
    ...                                                                             # doctest: +SKIP
    >>> print(compare(now, before, "prices", accounts))                             # doctest: +SKIP
    “prices” in staging and production: + new, ~ changed, − gone since the start; ≠ differs between the two
                  staging                    production
    bucket        + targ-prices-raw-staging  + targ-prices-raw-production
      versions      not kept                   kept                        ≠
      tag Owner     pricing                    pricing

It is what AWS answers to an administrator's questions. Names, and values that hold the name or the number of their account, may
differ by just that.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from opslab.worlds.aws.cloud import Actor

KINDS = ("bucket", "table", "log group", "parameter", "repository", "role")
NOTHING = "none"
LONGEST = 60
"""Characters of a value that are shown."""


@dataclass(frozen=True)
class Thing:
    """Something in an account: its kind, its name, and what is known of it, in words."""

    kind: str
    name: str
    facts: Mapping[str, str]


# ---- what there is ----------------------------------------------------------------------------------------------------


def things(actor: Actor, word: str = "") -> list[Thing]:
    """What there is in the account of a caller, who may look at everything, with a word in its name. Sorted by kind and name."""
    looks = (_buckets, _tables, _log_groups, _parameters, _repositories, _roles)
    found = [thing for look in looks for thing in look(actor, word.lower())]
    return sorted(found, key=lambda one: (KINDS.index(one.kind), one.name))


def _ask(actor: Actor, service: str, operation: str, **parameters: Any) -> Mapping[str, Any]:
    """The answer to a question; empty where AWS says that there is no such setting."""
    return actor.call(service, operation, **parameters).result or {}


def _all(actor: Actor, service: str, operation: str, key: str, **parameters: Any) -> list[Any]:
    """All items of a list that comes in pages."""
    pages = actor.client(service).get_paginator(operation).paginate(**parameters)
    return [item for page in pages for item in page[key]]


def _tags(pairs: Sequence[Mapping[str, str]] | Mapping[str, str]) -> dict[str, str]:
    """Tags as facts: the AWS services have three forms of them."""
    if not isinstance(pairs, Mapping):
        pairs = {one.get("Key") or one["key"]: one.get("Value") or one.get("value", "") for one in pairs}
    return {f"tag {key}": pairs[key] for key in sorted(pairs)}


def _buckets(actor: Actor, word: str) -> Iterator[Thing]:
    for bucket in _ask(actor, "s3", "list_buckets")["Buckets"]:
        name = bucket["Name"]
        if word not in name:
            continue
        tags = _ask(actor, "s3", "get_bucket_tagging", Bucket=name).get("TagSet", [])
        rules = _ask(actor, "s3", "get_bucket_encryption", Bucket=name).get("ServerSideEncryptionConfiguration", {})
        kinds = [rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] for rule in rules.get("Rules", [])]
        block = _ask(actor, "s3", "get_public_access_block", Bucket=name).get("PublicAccessBlockConfiguration", {})
        kept = _ask(actor, "s3", "get_bucket_versioning", Bucket=name).get("Status") == "Enabled"
        yield Thing("bucket", name, {
            "encryption": ", ".join(kinds) or NOTHING,
            "public": "closed" if block and all(block.values()) else "nothing keeps it closed",
            "versions": "kept" if kept else "not kept",
            "policy": "one of its own" if _ask(actor, "s3", "get_bucket_policy", Bucket=name) else NOTHING,
            "objects": str(_ask(actor, "s3", "list_objects_v2", Bucket=name).get("KeyCount", 0)),
            **_tags(tags),
        })  # fmt: skip


def _tables(actor: Actor, word: str) -> Iterator[Thing]:
    for name in _all(actor, "dynamodb", "list_tables", "TableNames"):
        if word not in name.lower():
            continue
        table = _ask(actor, "dynamodb", "describe_table", TableName=name)["Table"]
        backups = _ask(actor, "dynamodb", "describe_continuous_backups", TableName=name)
        recovery = backups.get("ContinuousBackupsDescription", {}).get("PointInTimeRecoveryDescription", {})
        tags = _ask(actor, "dynamodb", "list_tags_of_resource", ResourceArn=table["TableArn"]).get("Tags", [])
        yield Thing("table", name, {
            "encryption": table.get("SSEDescription", {}).get("SSEType", "AWS owned key"),
            "point in time": "can be brought back" if recovery.get("PointInTimeRecoveryStatus") == "ENABLED" else "no recovery",
            "deletion": "protected" if table.get("DeletionProtectionEnabled") else "not protected",
            "items": str(table.get("ItemCount", 0)),
            **_tags(tags),
        })  # fmt: skip


def _log_groups(actor: Actor, word: str) -> Iterator[Thing]:
    for group in _all(actor, "logs", "describe_log_groups", "logGroups"):
        name = group["logGroupName"]
        if word in name.lower():
            days = group.get("retentionInDays")
            tags = _ask(actor, "logs", "list_tags_log_group", logGroupName=name).get("tags", {})
            yield Thing("log group", name, {"kept for": f"{days} days" if days else "ever", **_tags(tags)})


def _parameters(actor: Actor, word: str) -> Iterator[Thing]:
    for one in _all(actor, "ssm", "describe_parameters", "Parameters"):
        name = one["Name"]
        if word not in name.lower():
            continue
        secret = one["Type"] == "SecureString"
        value = "is not shown" if secret else _ask(actor, "ssm", "get_parameter", Name=name)["Parameter"]["Value"]
        tags = _ask(actor, "ssm", "list_tags_for_resource", ResourceType="Parameter", ResourceId=name)
        yield Thing("parameter", name, {"type": one["Type"], "value": value, **_tags(tags.get("TagList", []))})


def _repositories(actor: Actor, word: str) -> Iterator[Thing]:
    for one in _all(actor, "ecr", "describe_repositories", "repositories"):
        if word not in one["repositoryName"].lower():
            continue
        tags = _ask(actor, "ecr", "list_tags_for_resource", resourceArn=one["repositoryArn"]).get("tags", [])
        scan = one.get("imageScanningConfiguration", {}).get("scanOnPush")
        yield Thing("repository", one["repositoryName"], {
            "image tags": one.get("imageTagMutability", "MUTABLE").lower(),
            "scan": "at each push" if scan else "not by itself",
            **_tags(tags),
        })  # fmt: skip


def _roles(actor: Actor, word: str) -> Iterator[Thing]:
    for one in _all(actor, "iam", "list_roles", "Roles"):
        name = one["RoleName"]
        if word not in name.lower():
            continue
        role = _ask(actor, "iam", "get_role", RoleName=name)["Role"]
        inline = _all(actor, "iam", "list_role_policies", "PolicyNames", RoleName=name)
        attached = _all(actor, "iam", "list_attached_role_policies", "AttachedPolicies", RoleName=name)
        policies = sorted([*inline, *(policy["PolicyName"] for policy in attached)])
        yield Thing("role", name, {
            "path": role["Path"],
            "trusts": _trusted(role["AssumeRolePolicyDocument"]),
            "policies": ", ".join(policies) or NOTHING,
            "boundary": role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", NOTHING),
            **_tags(role.get("Tags", [])),
        })  # fmt: skip


def _trusted(document: Mapping[str, Any] | str) -> str:
    """The principals of a trust policy."""
    document = json.loads(document) if isinstance(document, str) else document
    statements = document.get("Statement", [])
    found: list[str] = []
    for statement in statements if isinstance(statements, list) else [statements]:
        principal = statement.get("Principal", {})
        for values in principal.values() if isinstance(principal, Mapping) else [principal]:
            found += [values] if isinstance(values, str) else values
    return ", ".join(sorted(found)) or NOTHING


# ---- side by side -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """A line of the table: a thing (indent 0) or a fact of it. cells: for each account, sign and text."""

    label: str
    cells: tuple[tuple[str, str], ...]
    differs: bool = False
    thing: bool = False


@dataclass(frozen=True)
class Sides:
    """The comparison. Shows itself in a notebook; str() is the same as text."""

    word: str
    accounts: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def title(self) -> str:
        named = (
            f"“{self.word}” in {' and '.join(self.accounts)}" if self.word else f"All in {' and '.join(self.accounts)}"
        )
        return f"{named}: + new, ~ changed, − gone since the start; ≠ differs between the two"

    @property
    def nothing(self) -> str:
        return f"Nothing in {' or '.join(self.accounts)} has “{self.word}” in its name."

    def __str__(self) -> str:
        if not self.rows:
            return self.nothing
        lines = [["", *(f"  {name}" for name in self.accounts), ""]]
        for row in self.rows:
            cells = [f"{sign or ' '} {text}" for sign, text in row.cells]
            lines.append([row.label if row.thing else f"  {row.label}", *cells, "≠" if row.differs else ""])
        widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
        body = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        ]
        return "\n".join([self.title, *body])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        if not self.rows:
            return f"{STYLE}<p class='opslab-sides'>{escape(self.nothing)}</p>"
        one = f"sides-{zlib.crc32(str(self).encode()):08x}"
        head = "".join(f"<th scope='col'>{escape(name)}</th>" for name in self.accounts)
        body = []
        for row in self.rows:
            cells = "".join(
                f"<td class='{NAMES[sign]}'>{f'<b>{sign}</b> ' if sign else ''}{escape(text)}</td>"
                for sign, text in row.cells
            )
            differs = "<b aria-label='differs'>≠</b>" if row.differs else ""
            kind = " class='thing'" if row.thing else ""
            body.append(f"<tr{kind}><th scope='row'>{escape(row.label)}</th>{cells}<td>{differs}</td></tr>")
        return (
            f"{STYLE}<section class='opslab-sides' aria-labelledby='{one}'><p id='{one}'>{escape(self.title)}</p><table><thead><tr>"
            f"<td></td>{head}<td></td></tr></thead><tbody>{''.join(body)}</tbody></table></section>"
        )


NEW, CHANGED, GONE, SAME = "+", "~", "−", ""
NAMES = {NEW: "new", CHANGED: "changed", GONE: "gone", SAME: "same"}

STYLE = """
<style>
.opslab-sides { color: var(--jp-content-font-color1, #1f1f1f); font-family: var(--jp-content-font-family, sans-serif); font-size: 14px;
  line-height: 1.45; overflow-x: auto }
.opslab-sides.opslab-sides table { border-collapse: collapse; margin: 0 }
.opslab-sides.opslab-sides table :is(th, td) { text-align: left; vertical-align: top; padding: .15em 1.4em .15em .8em;
  font-weight: normal; overflow-wrap: anywhere }
.opslab-sides.opslab-sides table th { white-space: nowrap }
.opslab-sides.opslab-sides table tr:not(.thing) th[scope=row] { padding-left: 1.8em }
.opslab-sides.opslab-sides table thead th, .opslab-sides.opslab-sides table .thing > * { font-weight: 600 }
.opslab-sides.opslab-sides table .thing > * { border-top: 1px solid var(--jp-border-color1, #bdbdbd); padding-top: .4em }
.opslab-sides td.new { box-shadow: inset 4px 0 0 var(--jp-success-color1, #2e7d32) }
.opslab-sides td.changed { box-shadow: inset 4px 0 0 var(--jp-warn-color0, #b26a00) }
.opslab-sides td.gone { box-shadow: inset 4px 0 0 var(--jp-error-color1, #c62828) }
</style>
"""
# Doubled, because the notebook's own rule for tables names two classes.


def compare(
    now: Mapping[str, Sequence[Thing]],
    before: Mapping[str, Sequence[Thing]],
    word: str = "",
    ids: Mapping[str, str] | None = None,
) -> Sides:
    """Put accounts side by side. now, before: what is and was there, by the name of the account. ids: their numbers."""
    ids = ids or {}

    def common(account: str, text: str) -> str:
        """A text without what differs because it is of one account."""
        return text.replace(account, "…").replace(ids.get(account, account), "…")

    def keyed(side: Mapping[str, Sequence[Thing]]) -> dict[tuple[int, str], dict[str, Thing]]:
        found: dict[tuple[int, str], dict[str, Thing]] = {}
        for account, each in side.items():
            for thing in each:
                found.setdefault((KINDS.index(thing.kind), common(account, thing.name)), {})[account] = thing
        return found

    ours, theirs = keyed(now), keyed(before)
    rows = []
    for key in sorted({*ours, *theirs}):
        here, there = ours.get(key, {}), theirs.get(key, {})
        pairs = [(here.get(account), there.get(account)) for account in now]
        none = (SAME, "not there" if here else "")
        cells = [_cell(new and new.name, old and old.name) if new or old else none for new, old in pairs]
        rows.append(Row(KINDS[key[0]], tuple(cells), len(here) not in (0, len(now)), thing=True))
        for label in dict.fromkeys(label for thing in here.values() for label in _facts(thing, there)):
            values = {common(account, thing.facts.get(label, NOTHING)) for account, thing in here.items()}
            rows.append(Row(label, tuple(_fact(new, old, label) for new, old in pairs), len(values) > 1))
    return Sides(word, tuple(now), tuple(rows))


def _facts(thing: Thing, before: Mapping[str, Thing]) -> Iterator[str]:
    """What is known of a thing now, and what was known of it or its likes before."""
    yield from thing.facts
    for one in before.values():
        yield from one.facts


def _fact(new: Thing | None, old: Thing | None, label: str) -> tuple[str, str]:
    """The cell of a fact. Where the whole thing is new or gone, that is marked at its name, and not again at each fact."""
    if new is None:
        return SAME, ""
    value = new.facts.get(label)
    return _cell(value, old.facts.get(label)) if old else (SAME, _short(value or ""))


def _cell(new: str | None, old: str | None) -> tuple[str, str]:
    """Sign and text of a cell. None: there is none."""
    if new == old:
        return SAME, _short(new or "")
    if new is None:
        return GONE, _short(old)
    if old is None:
        return NEW, _short(new)
    return CHANGED, f"{_short(old)} → {_short(new)}"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
