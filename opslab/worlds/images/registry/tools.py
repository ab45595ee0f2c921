"""What skopeo and podman must be told to work with registries on this machine: plain HTTP there, and everything in one home.

    >>> from opslab.worlds.images.registry import tools
    >>> env = {**workspace.environment(home), **tools.prepare(home, [registry.address])}                  # doctest: +SKIP

Then `skopeo copy oci:image docker://127.0.0.1:5000/clicks/loader:1.0` needs no flags. docker needs nothing: it takes any
registry at 127.0.0.1 without TLS.

With `prepare(home, {"registry.targ.example": "127.0.0.1:5000"})` they take the name, too. Who leads them from it to the address is
the engine (`opslab.worlds.images.engine.proxy`), and not `location` in registries.conf: skopeo follows that for what it
reads only, and then looks for its login under the address.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

LOGINS = ".docker/config.json"
"""Where logins are kept in a home. docker's own place, which the others are led to: by themselves they would use /run."""

POLICY = {"default": [{"type": "insecureAcceptAnything"}]}
"""Images are not signed here. Without a policy, which Debian has in a package of its own, skopeo takes none at all."""


def prepare(home: str | os.PathLike[str], registries: Iterable[str] | Mapping[str, str]) -> dict[str, str]:
    """Write the settings for registries into a home; returns the variables to be set.

    registries: addresses ("127.0.0.1:5000"), or names and the address of each.

    containers-registries.conf(5), containers-policy.json(5), containers-auth.json(5)
    """
    folder = Path(home) / ".config/containers"
    folder.mkdir(parents=True, exist_ok=True)
    places = [*registries, *(registries.values() if isinstance(registries, Mapping) else [])]
    entries = [f'[[registry]]\nlocation = "{place}"\ninsecure = true\n' for place in dict.fromkeys(places)]
    # A name without a host must not become one at docker.io.
    (folder / "registries.conf").write_text("\n".join(["unqualified-search-registries = []\n", *entries]))
    (folder / "policy.json").write_text(json.dumps(POLICY) + "\n")
    logins = Path(home) / LOGINS
    logins.parent.mkdir(exist_ok=True)
    return {"REGISTRY_AUTH_FILE": str(logins), "DOCKER_CONFIG": str(logins.parent)}
