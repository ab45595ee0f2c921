"""Task 3.6: who can become the writer of the orders warehouse? Two ways are meant, one is not; which one follows from the seed.

Everybody who belongs to this task has the path /warehouse/ in their ARN.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from opslab.scenarios.iam_roles.names import PLATFORM, PRODUCTION, STAGING
from opslab.worlds.aws.seeding import Document, Furnisher, allow, document, statement, trust

if TYPE_CHECKING:
    from opslab.worlds.aws.organisation import Organisation

PATH = "/warehouse/"
WRITER = "production/orders-writer"
BUCKET = "targ-warehouse-production"
MEANT = (
    ("platform/deploy-bot", "platform/ci", "production/deployer", WRITER),
    ("platform/olga", "production/oncall", WRITER),
)
HOLES = ("backup", "readers", "group", "pattern", "temporary")
UNMEANT = {
    "backup": ("platform/marek", "staging/batch", "production/backup", WRITER),
    "readers": ("platform/nils", "production/readers", WRITER),
    "group": ("platform/lena", "production/oncall", WRITER),
    "pattern": ("platform/marek", "staging/deployer", WRITER),
    "temporary": ("platform/nils", "platform/ci", "production/deployer", WRITER),
}
"""The way that nobody meant, for each hole."""

CLOUD = (f"*:user{PATH}*", f"*:role{PATH}*", "*:group/warehouse-*")


def hole(seed: int) -> str:
    """Which hole the organisation of this seed has."""
    return random.Random(f"dots {seed}").choice(HOLES)


def paths(seed: int) -> list[tuple[str, ...]]:
    """Every way from a person to the writer."""
    return sorted([*MEANT, UNMEANT[hole(seed)]])


def _user(name: str) -> str:
    return f"arn:aws:iam::{PLATFORM}:user{PATH}{name}"


def _role(account: str, name: str) -> str:
    return f"arn:aws:iam::{account}:role{PATH}{name}"


def _may(*roles: str) -> dict[str, Document]:
    return {"become": allow("sts:AssumeRole", list(roles))}


def furnish(aws: Organisation) -> None:
    """Put this part of the organisation there."""
    here = hole(aws.seed)
    platform, staging = Furnisher(aws, "platform"), Furnisher(aws, "staging")
    production = Furnisher(aws, "production")
    ci, deployer, oncall = _role(PLATFORM, "ci"), _role(PRODUCTION, "deployer"), _role(PRODUCTION, "oncall")
    backup, readers, writer = (_role(PRODUCTION, name) for name in ("backup", "readers", "orders-writer"))
    batch, staging_deployer = _role(STAGING, "batch"), _role(STAGING, "deployer")

    # -- people, and what they may become by their own policies
    ops = [oncall] if here == "group" else [_role(PRODUCTION, "oncall-2024")]
    platform.group("warehouse-legacy-ops", {"become": allow("sts:AssumeRole", ops)})
    platform.user("deploy-bot", _may(ci), path=PATH)
    platform.user("olga", _may(oncall), path=PATH)
    platform.user("kim", _may(_role(STAGING, "readers"), writer), path=PATH)  # the writer does not trust kim
    platform.user("lena", _may(batch), groups=["warehouse-legacy-ops"], path=PATH)
    platform.user("marek", _may(batch, staging_deployer), path=PATH)
    platform.user("nils", _may(readers, *([ci] if here == "temporary" else [])), path=PATH)

    # -- roles: whom they trust, and what they may become in turn
    at_ci = [_user("deploy-bot")] + ([_user("nils")] if here == "temporary" else [])
    platform.role("ci", trust(*at_ci), _may(deployer), path=PATH)
    staging.role("readers", trust(_user("kim")), path=PATH)
    at_batch = [_user("marek")] if here == "backup" else [_user("deploy-bot")]
    to_backup = _may(_role(PRODUCTION, "*")) if here == "backup" else _may(_role(PRODUCTION, "oncall-2024"))
    staging.role("batch", trust(*at_batch), to_backup, path=PATH)
    staging.role("deployer", trust(_user("marek")), _may(writer), path=PATH)
    production.role("deployer", trust(ci), _may(writer), path=PATH)
    at_oncall = [_user("olga")] + ([_user("lena")] if here == "group" else [])
    # A Deny in the trust policy, so that not every Allow that is seen counts.
    no_kim = statement("Deny", "sts:AssumeRole", "*", Principal={"AWS": _user("kim")})
    del no_kim["Resource"]
    production.role("oncall", document(*trust(*at_oncall)["Statement"], no_kim), _may(writer), path=PATH)
    from_staging = trust(f"arn:aws:iam::{STAGING}:root") if here == "backup" else trust(oncall)
    # Where the writer trusts its whole account, a permission would be one more way.
    production.role("backup", from_staging, {} if here == "readers" else _may(writer), path=PATH)
    production.role("readers", trust(_user("nils")), _may(writer) if here == "readers" else {}, path=PATH)

    production.bucket(BUCKET)
    trusted = [deployer, oncall]
    if here == "backup":
        trusted.append(backup)
    if here == "readers":
        trusted.append(f"arn:aws:iam::{PRODUCTION}:root")
    statements = trust(*trusted)["Statement"]
    if here == "pattern":
        pattern = {"StringLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/*deployer"}}
        statements += trust(f"arn:aws:iam::{STAGING}:root", condition=pattern)["Statement"]
    production.role("orders-writer", document(*statements), {"write": allow("s3:PutObject", f"arn:aws:s3:::{BUCKET}/*")}, path=PATH)  # fmt: skip
