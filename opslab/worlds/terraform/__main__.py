"""`python -m opslab.worlds.terraform`: which terraform and AWS provider there are; the provider is fetched where it is missing."""

import sys

from opslab.worlds.terraform.tools import TerraformMissing, fetch

try:
    print(fetch().text)
except TerraformMissing as error:
    sys.exit(str(error))
