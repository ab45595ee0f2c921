"""The AWS organisation of module 05 as it is at the start: the platform's account, which production pulls its images from.

You may look there; the role `image-promoter` brings the data team's images in. Their repository is not there yet: making it is a
part of task 5.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opslab.scenarios.iam_roles.names import ACCOUNTS, PLATFORM, REGION, Profile, of_role, of_user, role, user
from opslab.worlds.aws.seeding import Furnisher, document, statement, trust

if TYPE_CHECKING:
    from opslab.worlds.aws.organisation import Organisation

__all__ = ["ACCOUNTS", "PROMOTER", "profiles", "start"]

PROMOTER = "image-promoter"
OURS = f"arn:aws:ecr:{REGION}:{PLATFORM}:repository/data/*"

LOOK = ["ecr:Describe*", "ecr:List*"]
SET_UP = [
    "CreateRepository",
    "DeleteRepository",
    "PutImageTagMutability",
    "PutImageScanningConfiguration",
    "TagResource",
]
PULL = ["BatchCheckLayerAvailability", "GetDownloadUrlForLayer", "BatchGetImage"]
PUSH = [
    "InitiateLayerUpload",
    "UploadLayerPart",
    "CompleteLayerUpload",
    "PutImage",
    "BatchDeleteImage",
    "StartImageScan",
]


def profiles(seed: int) -> list[Profile]:
    """What stands in ~/.aws."""
    return [of_user("default", seed, PLATFORM, "you"), of_role("promoter", role(PLATFORM, PROMOTER), "default")]


def start(aws: Organisation, twists: frozenset[str]) -> None:
    """Put everything there; the lesson's is the same."""
    platform = Furnisher(aws, "platform")
    become = statement("Allow", "sts:AssumeRole", role(PLATFORM, PROMOTER))
    platform.user("you", {"look": document(statement("Allow", LOOK, "*"), become)})
    work = statement("Allow", [f"ecr:{operation}" for operation in SET_UP + PULL + PUSH], OURS)
    rights = document(work, statement("Allow", ["ecr:GetAuthorizationToken", *LOOK], "*"))
    about = "Brings images of the data team in."
    platform.role(PROMOTER, trust(user(PLATFORM, "you")), {"promote": rights}, description=about)
