"""The accounts that terraform works in: state in the platform account, deployer roles in the others.

    >>> def start(aws, twists):                                                     # part of a scenario's cloud
    ...     platform(aws, "platform", deployers={"staging": "deployer", "production": "deployer"})
    ...     deployer(aws, "staging", by="platform", policies={"buckets": allow("s3:*")})

Whoever runs terraform is a user of the platform account, with the right to read and write the state and to become deployer.
What a deployer may do is decided in its own account, by IAM: a role without the right is denied by AWS, not by terraform.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from opslab.worlds.aws.clients import REGION
from opslab.worlds.aws.seeding import Document, Furnisher, document, statement, trust
from opslab.worlds.aws.state import backend_of

if TYPE_CHECKING:
    from opslab.worlds.aws.organisation import Organisation

STATE = "targ-terraform-state"
USER = "atlantis"
ROLE = "deployer"


def state_bucket(aws: Organisation, account: str, name: str = STATE) -> None:
    """The bucket of the remote state, with versioning: a state that was deleted or spoilt can be brought back."""
    Furnisher(aws, account).bucket(name)
    backend_of("s3", aws.account(account), "aws").put_bucket_versioning(name, "Enabled")


def platform(
    aws: Organisation, account: str, *, deployers: Mapping[str, str], user: str = USER, bucket: str = STATE
) -> str:
    """The state bucket and the user that terraform runs as; returns its ARN. deployers: account and role it may become."""
    state_bucket(aws, account, bucket)
    return runner(aws, account, user, deployers=deployers, bucket=bucket)


def runner(aws: Organisation, account: str, user: str, *, deployers: Mapping[str, str], bucket: str = STATE) -> str:
    """A user who may read and write the state and become these roles; returns the ARN.

    The rights on the bucket are those that the S3 backend asks for with `use_lockfile`:
    https://developer.hashicorp.com/terraform/language/backend/s3#s3-bucket-permissions
    """
    arn = f"arn:aws:s3:::{bucket}"
    objects = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:GetObjectVersion", "s3:DeleteObjectVersion"]
    rights = [
        statement("Allow", ["s3:ListBucket", "s3:ListBucketVersions", "s3:GetBucketVersioning"], arn),
        statement("Allow", objects, f"{arn}/*"),
    ]
    if deployers:
        roles = [role_arn(aws.account(name), role) for name, role in deployers.items()]
        rights.append(statement("Allow", "sts:AssumeRole", roles))
    return Furnisher(aws, account).user(user, {"terraform": document(*rights)})


def deployer(
    aws: Organisation,
    account: str,
    *,
    by: str,
    policies: Mapping[str, Document],
    role: str = ROLE,
    users: tuple[str, ...] = (USER,),
    boundary: str = "",
) -> str:
    """The role in an account that terraform becomes there; returns the ARN. by: the platform account. users: who may."""
    trusted = [f"arn:aws:iam::{aws.account(by)}:user/{user}" for user in users]
    return Furnisher(aws, account).role(role, trust(*trusted), policies, boundary=boundary)


def role_arn(account: str, role: str = ROLE) -> str:
    """The ARN of a deployer. account: its id."""
    return f"arn:aws:iam::{account}:role/{role}"


def backend(key: str, bucket: str = STATE) -> str:
    """HCL: a terraform block with the S3 backend and the AWS provider. key: the object of the state."""
    return f"""\
terraform {{
  required_version = ">= 1.10"
  required_providers {{
    aws = {{
      source  = "hashicorp/aws"
      version = "~> 5.0"
    }}
  }}
  backend "s3" {{
    bucket       = "{bucket}"
    key          = "{key}"
    region       = "{REGION}"
    use_lockfile = true
  }}
}}
"""


def provider(account: str, role: str = ROLE, more: str = "") -> str:
    """HCL: the provider of an account. account: its id. more: further lines of the block."""
    return f"""\
provider "aws" {{
  region              = "{REGION}"
  allowed_account_ids = ["{account}"]
  assume_role {{
    role_arn = "{role_arn(account, role)}"
  }}
{more}}}
"""
