"""Atlantis: the bot that plans and applies Terraform from merge requests, in a documented subset (docs/atlantis.md).

    >>> from opslab.worlds.forge.atlantis import Atlantis
    >>> bot = Atlantis(folder, tools, keys=keys, endpoint=cloud.endpoint, services=cloud.services)     # doctest: +SKIP
    >>> forge.react(bots=[bot])                                                     # doctest: +SKIP

bot       what follows from an event: plans, applies, locks, comments, statuses, automerge
comments  the grammar of comments, and the replies to mistakes
config    atlantis.yaml, and the server's own rules
store     what the bot remembers: locks, plans, an apply that is under way
code, hcl what Terraform code must not ask for, read before anything is run
render    comments as Atlantis writes them
policies  where a policy check is switched in
"""

from opslab.worlds.forge.atlantis.bot import Atlantis

__all__ = ["Atlantis"]
