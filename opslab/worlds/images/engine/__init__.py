"""The engine of a desk: what `docker` and `scan` (opslab/worlds/bin) speak to, in threads of the process that opens it.

server    HTTP, on a port of the loopback and on a unix socket: what a request may look like and take
commands  what there is to ask for: build, run, images, push, scan …
parcel    files that a client sends, put into a folder
proxy     real-looking names of registries, for skopeo and others that speak with registries themselves

    >>> from opslab.worlds.images.engine import Engine
    >>> hosts = {"registry.targ.example": "127.0.0.1:5000"}                                 # doctest: +SKIP
    >>> with Engine(store, port=2375, hosts=hosts, services=index.services, env=packages.settings(index.url)) as engine:
    ...     env = workspace.environment(home, engine.env)                                   # doctest: +SKIP
    ...     jail.run(["docker", "build", "-t", "loader:1.0", "."], home=home, env=env, services=engine.services)

The protocol is small, and not Docker's. A request is `POST /v1/COMMAND` with the content type `application/x-desk`; its body is
one line of JSON, and behind it, for commands that take files, a tar archive of them. The answer is lines of JSON:
`{"out": text}` and `{"err": text}` while it works, and as the last one `{"done": …}` or `{"error": text, "code": 125}`. The
engine opens no path that a client names: clients send bytes.
"""

from opslab.worlds.images.engine.server import Engine

__all__ = ["Engine"]
