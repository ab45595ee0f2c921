"""Task 4.7: two folders that say nearly the same. They have been applied, and are to become one, without a thing being lost.

work/partners/staging, production     the code as it is
notes/partners.md                     what the platform team asks to see
work/terragrunt/                      the same with Terragrunt, to be read

By seed, there is one difference that nobody meant.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opslab.scenarios.iam_roles import write
from opslab.scenarios.terraform_gitops import common
from opslab.worlds.forge.forge import Forge

if TYPE_CHECKING:
    from opslab.worlds.aws.organisation import Organisation

FOLDER = "work/partners"
NOTES = Path(__file__).parent / "notes_two_folders"
KEY = "partners/{}.tfstate"
"""The state of an account."""

RECORDED = {"partners": ("partners", ["staging", "production"])}

TEAM, ROTA, DEADLINE = "partners", "partners-oncall", "06:00"
OLD_ROTA, LATER = "data-oncall", "07:00"

THIRD, LIKE = "rehearsal", "production"
"""The environment that is to come, and the one that it is like."""


@dataclass(frozen=True)
class Slip:
    """The difference that nobody meant: in which environment, at which resource, what stands there and what should."""

    environment: str
    place: str
    type: str
    found: str
    meant: str

    @property
    def what(self) -> str:
        """The setting, in words."""
        return "the value" if self.place == "deadline" else "the tag OnCall"

    def value(self, values: dict[str, Any]) -> Any:
        """What stands there, out of the values of the resource."""
        return values.get("value") if self.place == "deadline" else (values.get("tags_all") or {}).get("OnCall")


PLACES = {
    "bucket": ("aws_s3_bucket", OLD_ROTA, ROTA),
    "table": ("aws_dynamodb_table", OLD_ROTA, ROTA),
    "log": ("aws_cloudwatch_log_group", OLD_ROTA, ROTA),
    "deadline": ("aws_ssm_parameter", LATER, DEADLINE),
}


def slip(seed: int) -> Slip:
    """The difference that nobody meant, in the world of a seed."""
    dice = common.draw(seed, "two folders")
    environment, place = dice.choice(list(common.TARGETS)), dice.choice(list(PLACES))
    return Slip(environment, place, *PLACES[place])


def words(seed: int) -> dict[str, str]:
    """What stands in the places where the two folders might differ."""
    wrong = slip(seed)
    return {
        f"{environment}_{place}": found if (environment, place) == (wrong.environment, wrong.place) else meant
        for environment in common.TARGETS
        for place, (_, found, meant) in PLACES.items()
    }


def settings(environment: str) -> dict[str, dict[str, Any]]:
    """What is meant to be there in an environment, by type of resource: names, and what differs. The third is like production."""
    production = environment != "staging"
    found = {
        "aws_s3_bucket": {"bucket": f"targ-partner-feeds-{environment}"},
        "aws_s3_bucket_server_side_encryption_configuration": {},
        "aws_s3_bucket_public_access_block": {},
        "aws_dynamodb_table": {
            "name": f"partner-arrivals-{environment}",
            "point_in_time_recovery": production,
        },
        "aws_cloudwatch_log_group": {
            "name": f"/targ/partner-checker-{environment}",
            "retention_in_days": 90 if production else 14,
        },
        "aws_ssm_parameter": {"name": f"/targ/partners-{environment}/deadline", "value": DEADLINE},
    }
    return found | ({"aws_s3_bucket_versioning": {}} if production else {})


def build(forge: Forge, seed: int) -> None:
    """Nothing is on the forge: what is asked for is not pushed yet."""


def put_on_desk(home: Path, seed: int) -> None:
    """The two folders, and what colleagues have written about them."""
    for path, text in common.files("partners", words(seed)).items():
        write(home / FOLDER / path, text)
    write(home / FOLDER / ".terraform.lock.hcl", common.LOCK_FILE)
    for source in sorted(NOTES.rglob("*")):
        if source.is_file():
            # The pair for Terragrunt lies beside the code that it is about.
            place = "notes" if source.parent == NOTES else Path(FOLDER).parent
            write(home / place / source.relative_to(NOTES), source.read_text())


def furnish(aws: Organisation) -> None:
    """What the two folders were when they were applied, and a file that has arrived since."""
    common.replay(aws, "partners", words(aws.seed))
    from opslab.worlds.aws.state import backend_of

    for name, account in common.TARGETS.items():
        bucket = settings(name)["aws_s3_bucket"]["bucket"]
        backend_of("s3", account, "aws").put_object(bucket, "2026-11-16/kontor.csv", b"listing,price\n7,12\n")
