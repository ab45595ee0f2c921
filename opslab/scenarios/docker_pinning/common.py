"""What the parts of module 05 have in common: who is who at the team's registry."""

from __future__ import annotations

import random

from opslab.worlds.images.registry.team import User

PUBLIC = ("base/*",)
IMMUTABLE = ()

WORDS = (
    "amber",
    "birch",
    "cedar",
    "delta",
    "ember",
    "fjord",
    "grove",
    "heron",
    "inlet",
    "juniper",
    "kelp",
    "lagoon",
    "meadow",
    "otter",
)


def password(seed: int, who: str) -> str:
    """The password of somebody at the team's registry: words, so that nobody takes it for one of this world."""
    return "-".join(random.Random(f"registry {seed} {who}").sample(WORDS, 4))


def users(seed: int) -> dict[str, User]:
    """The users of the team's registry: you, who may push for the data team; the pipelines; a colleague."""
    return {
        "you": User(password(seed, "you"), {"data/*": "pull push"}),
        "ana": User(password(seed, "ana"), {"data/*": "pull push delete"}),
        "ci": User(password(seed, "ci"), {"*": "pull push"}),
    }
