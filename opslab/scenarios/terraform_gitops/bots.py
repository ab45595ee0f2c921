"""Atlantis, as the platform team of module 04 has it running."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from opslab.scenarios.iam_roles.names import PLATFORM
from opslab.scenarios.terraform_gitops import tags
from opslab.scenarios.terraform_gitops.common import DEPLOYS
from opslab.worlds import terraform
from opslab.worlds.aws import keys
from opslab.worlds.aws.cloud import Cloud
from opslab.worlds.forge.atlantis import Atlantis, policies

FOLDER = ".atlantis"
"""Where on the desk it keeps plans and locks."""

SERVER = """\
repos:
- id: /.*/
  apply_requirements: [approved, mergeable]
- id: platform/estate
  apply_requirements: [approved, mergeable]
  policy_check: true
"""


def bots(home: Path, aws: Cloud, tell: Callable[[str], None]) -> list[Atlantis]:
    """The bot of a desk. aws: the organisation that it works in. tell: called with what it does, now and then."""
    try:
        tools = terraform.find()
    except terraform.TerraformMissing:
        tools = None
    return [
        Atlantis(
            home / FOLDER,
            tools,
            keys=keys.access_key(aws.seed, PLATFORM, "atlantis"),
            endpoint=aws.endpoint,
            services=aws.services,
            server=SERVER,
            policies=policies.rego(tags.POLICIES),
            env=DEPLOYS,
            tell=tell,
        )
    ]
