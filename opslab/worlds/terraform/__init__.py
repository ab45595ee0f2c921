"""Terraform in a world: the real binary, the real AWS provider, in the jail, against the organisation on this machine.

    >>> from opslab.worlds import terraform
    >>> tools = terraform.find()                                                    # doctest: +SKIP
    >>> tools.text                                                                  # doctest: +SKIP
    'terraform 1.11.4 with the AWS provider 5.100.0 from /usr/share/terraform/plugins'
    >>> room = terraform.Room("/tmp/desk", tools, keys=(key, secret), endpoint=cloud.endpoint, services=cloud.services)
    ...                                                                             # doctest: +SKIP
    >>> run = room.folder("staging", tell=print)                                    # doctest: +SKIP
    >>> run.init().code, run.plan().code                                            # doctest: +SKIP
    (0, 0)

tools     which terraform (or opentofu) and which AWS provider there are; fetching the provider once where there is none
run       init, plan, apply, show, validate in the jail, with lines that tell what goes on
accounts  remote state in the platform account, deployer roles in the others
"""

from opslab.worlds.terraform.run import Folder, Outcome, Room, on_desk
from opslab.worlds.terraform.tools import TerraformMissing, Tools, fetch, find, missing

__all__ = ["Folder", "Outcome", "Room", "TerraformMissing", "Tools", "fetch", "find", "missing", "on_desk"]
